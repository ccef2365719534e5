#!/usr/bin/env python3
"""Writes the tables of text cleaning that cliplens/model/text/*.inc hold.

    python tools/generate_text_tables.py            # writes the files
    python tools/generate_text_tables.py --check    # fails if a file differs

The tables say how the reference tokenizer sees each character, so they come from the very modules
that it runs on, and each file names their versions:

  html_entities.inc    names of html.entities.html5, and the upper-case names that ftfy adds
  unicode_classes.inc  letters and numbers of the `regex` module; spaces, digits, unassigned code
                       points and the context rules of str.lower() of Python itself
  mojibake_tables.inc  single-byte code pages and ftfy's test for mojibake, as a state machine
  hugging_face_classes.inc  letters, numbers, white space, lower case and the characters that
                       normalization knows, of the `tokenizers` package that transformers runs on
  hugging_face_marks.inc  what joins with its neighbour to one grapheme, punctuation, control
                       characters and marks, of the same package

Needs Python 3.11 with ftfy, regex and tokenizers installed.
"""

import argparse
import html
import html.entities
import pathlib
import platform
import re
import sys
import unicodedata
from re import _parser as sre_parser

import ftfy
import ftfy.badness
import ftfy.bad_codecs
import ftfy.chardata
import regex
import tokenizers
from tokenizers import normalizers, pre_tokenizers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fuzz"))
from make_corpus import character_map  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "cliplens" / "model" / "text"
LAST = 0x10FFFF
PYTHON = ".".join(platform.python_version_tuple()[:2])


def versions():
    """What decides the contents: `--check` is only meaningful where these agree."""
    return {
        "html_entities.inc": f"Python {PYTHON}, ftfy {ftfy.__version__}",
        "unicode_classes.inc": f"Python {PYTHON} (Unicode {unicodedata.unidata_version}), "
        f"regex {regex.__version__}",
        "mojibake_tables.inc": f"Python {PYTHON}, ftfy {ftfy.__version__}",
        "hugging_face_classes.inc": f"tokenizers {tokenizers.__version__}, Python {PYTHON} "
        f"(Unicode {unicodedata.unidata_version})",
        "hugging_face_marks.inc": f"tokenizers {tokenizers.__version__}",
    }


def header(name, comment):
    lines = ["// Written by tools/generate_text_tables.py; do not edit."]
    lines += [f"// From {versions()[name]}."]
    lines += [f"// {line}" for line in comment]
    return "\n".join(lines) + "\n// clang-format off\n"


def rows(items, width=98):
    """Joins items with commas into lines of at most `width` characters."""
    out, line = [], ""
    for item in items:
        piece = f"{item},"
        if line and len(line) + len(piece) > width:
            out.append(line)
            line = ""
        line += piece
    if line:
        out.append(line)
    return "\n".join(out) + "\n"


def c_string(text):
    """A C++ string literal of the UTF-8 bytes; octal escapes cannot swallow what follows."""
    out = ""
    for byte in text.encode("utf-8"):
        char = chr(byte)
        out += char if 0x20 <= byte < 0x7F and char not in '"\\?' else f"\\{byte:03o}"
    return f'"{out}"'


def code_points():
    return (c for c in range(LAST + 1) if not 0xD800 <= c <= 0xDFFF)


def to_ranges(values):
    """[(first code point, value)] from a list indexed by code point; surrogates join what
    precedes them, as they cannot occur."""
    out = []
    for c in code_points():
        if not out or out[-1][1] != values[c]:
            out.append((c, values[c]))
    return out


# ---------------------------------------------------------------------------------------------


def html_entities():
    html5 = html.entities.html5
    upper = {}
    for key, value in ftfy.chardata.HTML_ENTITIES.items():
        name = key[1:]
        if name not in html5:
            upper[name] = value
        elif html5[name] != value:
            raise SystemExit(f"ftfy reads &{name} in another way than html.unescape")
    if set(ftfy.chardata.HTML_ENTITIES) != {"&" + n for n in html5 if n.endswith(";")} | {
        "&" + n for n in upper
    }:
        raise SystemExit("ftfy's list of entities is not html5's names with a semicolon")

    def table(name, entries):
        ordered = sorted(entries.items(), key=lambda kv: kv[0].encode())
        body = rows([f"{{{c_string(k)},{c_string(v)}}}" for k, v in ordered])
        return f"constexpr Entity {name}[] = {{\n{body}}};\n"

    return (
        header(
            "html_entities.inc",
            [
                "The named character references of HTML (WHATWG HTML Living Standard, section",
                "'Named character references'), sorted by byte, and the upper-case spellings that",
                "ftfy also reads.",
            ],
        )
        + table("kHtml5", html5)
        + table("kUpperCase", upper)
    )


# ---------------------------------------------------------------------------------------------

# Bits of a row of unicode_classes.inc; cliplens/model/text/unicode.cc names the same.
LETTER, NUMBER, SYMBOL, SPACE, DIGIT, CASED, CASE_IGNORABLE, UNASSIGNED = (1 << i for i in range(8))


def unicode_classes():
    # The three classes of the tokenizer's expression, with its flag: IGNORECASE takes U+0345 out
    # of all of them.
    letter = regex.compile(r"[\p{L}]+", regex.IGNORECASE)
    number = regex.compile(r"[\p{N}]", regex.IGNORECASE)
    symbol = regex.compile(r"[^\s\p{L}\p{N}]+", regex.IGNORECASE)
    digit = re.compile(r"\d")
    values = [0] * (LAST + 1)
    for c in code_points():
        char = chr(c)
        bits = 0
        if letter.match(char):
            bits |= LETTER
        elif number.match(char):
            bits |= NUMBER
        elif symbol.match(char):
            bits |= SYMBOL
        if char.isspace():
            bits |= SPACE
        if digit.match(char):
            bits |= DIGIT
        # str.lower() makes a capital sigma final after a cased character and what it ignores.
        after_space = (" " + char + "\u03a3").lower().endswith("\u03c2")
        after_letter = ("a" + char + "\u03a3").lower().endswith("\u03c2")
        if after_space:
            bits |= CASED
        elif after_letter:
            bits |= CASE_IGNORABLE
        if unicodedata.category(char) == "Cn":
            bits |= UNASSIGNED
        values[c] = bits
    ranges = to_ranges(values)
    body = rows([f"{{{first:#x},{bits}}}" for first, bits in ranges])
    return (
        header(
            "unicode_classes.inc",
            [
                "Classes of code points: {first code point, bits}, each row up to the next one.",
                "Bits: 1 letter, 2 number, 4 other (not space); of the tokenizer's expression.",
                "8 space, 16 decimal digit, 32 cased and not ignored, 64 ignored in front of and",
                "behind a final sigma, 128 unassigned; of Python.",
                "Derived from the Unicode Character Database (Unicode License v3).",
            ],
        )
        + f"constexpr ClassRange kClassRanges[] = {{\n{body}}};\n"
    )


# ---------------------------------------------------------------------------------------------


# Bits of a row of hugging_face_classes.inc; cliplens/model/text/hugging_face.cc names the same.
HF_LETTER, HF_NUMBER, HF_OTHER, HF_UNKNOWN = (1 << i for i in range(4))


def matched(expression):
    """The code points that an expression of `tokenizers` matches."""
    split = pre_tokenizers.Split(tokenizers.Regex(expression), behavior="removed", invert=True)
    found, points = set(), list(code_points())
    for begin in range(0, len(points), 4096):
        text = "".join(map(chr, points[begin : begin + 4096]))
        for piece, _ in split.pre_tokenize_str(text):
            found.update(map(ord, piece))
    return found


def unknown_to_normalization():
    """Code points that `tokenizers`, whose version of Unicode is older here, takes for characters
    without class and decomposition; those that are not assigned in Python's version count too."""
    nfc = normalizers.NFC().normalize_str
    unknown = {c for c in code_points() if unicodedata.category(chr(c)) == "Cn"}
    marks = [c for c in code_points() if unicodedata.combining(chr(c))]
    for c in marks:
        text = f"a{chr(c)}\u0334\u0301"  # 1 and 230, the lowest and a high class
        if nfc(text) == text and unicodedata.normalize("NFC", text) != text:
            unknown.add(c)
        elif unicodedata.combining(chr(c)) == 1:
            text = f"a\u0301{chr(c)}"
            if nfc(text) == text:
                unknown.add(c)
    for c in code_points():
        parts = unicodedata.normalize("NFD", chr(c))
        if len(parts) == 2 and unicodedata.normalize("NFC", parts) == chr(c) != nfc(parts):
            unknown.update([c, ord(parts[1])])

    nfkc = normalizers.NFKC().normalize_str
    for c in code_points():
        if nfkc(chr(c)) == chr(c) != unicodedata.normalize("NFKC", chr(c)):
            unknown.add(c)

    # The rest must behave as in Python: the order of each pair of classes, and every composition.
    classes = {unicodedata.combining(chr(c)): chr(c) for c in marks if c not in unknown}

    def expected(text):
        out, run = "", ""
        for char in text:
            if ord(char) in unknown:
                out, run = out + unicodedata.normalize("NFC", run) + char, ""
            else:
                run += char
        return out + unicodedata.normalize("NFC", run)

    for c in code_points():
        others = classes.values() if unicodedata.combining(chr(c)) else ["\u0301"]
        for other in others:
            for text in (f"a{chr(c)}{other}", f"a{other}{chr(c)}"):
                if nfc(text) != expected(text):
                    raise SystemExit(f"normalization of {ascii(text)} follows no rule known here")
    return unknown


def lower_case():
    """[(first, last, step, what is added)] of all characters that have a lower case."""
    lower = normalizers.Lowercase().normalize_str
    points = [c for c in code_points() if c != 0x0A]
    changed = []
    for c, result in zip(points, lower("\n".join(map(chr, points))).split("\n"), strict=True):
        if c == 0x130:
            if result != "i\u0307":
                raise SystemExit("the lower case of U+0130 is not the usual one")
        elif len(result) != 1:
            raise SystemExit(f"the lower case of U+{c:04X} has {len(result)} characters")
        elif result != chr(c):
            changed.append((c, ord(result) - c))
    if lower("\u0391\u03a3") != "\u03b1\u03c3":
        raise SystemExit("the lower case of a sigma depends on what stands beside it")
    out = []
    for c, delta in changed:
        if out and out[-1][3] == delta:
            first, last, step, _ = out[-1]
            if c - last in (1, 2) and step in (0, c - last):
                out[-1] = (first, c, c - last, delta)
                continue
        out.append((c, c, 0, delta))
    return [(first, last, step or 1, delta) for first, last, step, delta in out]


def hugging_face_classes():
    letter, number = matched(r"\p{L}"), matched(r"\p{N}")
    space, other = matched(r"\s"), matched(r"[^\s\p{L}\p{N}]")
    unknown = unknown_to_normalization()
    values = [0] * (LAST + 1)
    for c in code_points():
        if [c in part for part in (letter, number, space, other)].count(True) != 1:
            raise SystemExit(f"U+{c:04X} is of several classes, or of none")
        values[c] = (HF_LETTER * (c in letter) + HF_NUMBER * (c in number) + HF_OTHER * (c in other)
                     + HF_UNKNOWN * (c in unknown))
    return (
        header(
            "hugging_face_classes.inc",
            [
                "Classes of code points: {first code point, bits}, each row up to the next one.",
                "Bits: 1 letter, 2 number, 4 other (none of the three: white space), 8 unknown to",
                "normalization. Then lower case: {first, last, step, what is added}.",
                "Derived from the Unicode Character Database (Unicode License v3).",
            ],
        )
        + "constexpr ClassRange kHuggingFaceClasses[] = {\n"
        + rows([f"{{{first:#x},{bits}}}" for first, bits in to_ranges(values)])
        + "};\nconstexpr LowerCaseRange kLowerCase[] = {\n"
        + rows([f"{{{a:#x},{b:#x},{step},{delta}}}" for a, b, step, delta in lower_case()])
        + "};\n"
    )


# ---------------------------------------------------------------------------------------------


# Bits of the rows of hugging_face_marks.inc; cliplens/model/text/hugging_face.h names the same.
G_EXTENDS, G_PREPENDS, G_CONTROL = (1 << i for i in range(3))
BERT_SPACE, BERT_PUNCTUATION, BERT_REMOVED, BERT_MARK = (1 << i for i in range(4))


def one_rule(key, value):
    """A precompiled map of characters, as sentencepiece writes them, that maps `key` alone."""
    return normalizers.Precompiled(character_map(key, value))


def grapheme_classes():
    """A rule for "a" swallows what stands behind it in the same grapheme."""
    values = [0] * (LAST + 1)
    swallow = one_rule(b"a", b"X").normalize_str
    for c in code_points():
        char = chr(c)
        if c == 0:
            values[c] = G_CONTROL
        elif swallow("a" + char) == "X":
            values[c] = G_EXTENDS
        elif swallow(char + "a\u0301") == char + "X\u0301":
            values[c] = G_PREPENDS
        elif unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp"):
            if one_rule(char.encode(), b"X").normalize_str(char + "\u0301") == "X\u0301":
                values[c] = G_CONTROL
    return values


def bert_classes():
    values = [0] * (LAST + 1)

    def bert(**on):
        off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
        return normalizers.BertNormalizer(**(off | on)).normalize_str

    clean, strip = bert(clean_text=True), bert(strip_accents=True)
    words, blanks = pre_tokenizers.BertPreTokenizer(), pre_tokenizers.WhitespaceSplit()
    for c in code_points():
        char = chr(c)
        pieces = [piece for piece, _ in words.pre_tokenize_str(f"a{char}b")]
        space = pieces == ["a", "b"]
        if space != (len(blanks.pre_tokenize_str(f"a{char}b")) == 2):
            raise SystemExit(f"U+{c:04X} is white space to one of two splits")
        cleaned = clean(f"a{char}b")
        if cleaned != ("a b" if space else f"a{char}b") and cleaned != "ab":
            raise SystemExit(f"U+{c:04X} becomes another character in the clean-up")
        values[c] = (BERT_SPACE * space + BERT_PUNCTUATION * (pieces == ["a", char, "b"])
                     + BERT_REMOVED * (cleaned == "ab") + BERT_MARK * (strip(char) == ""))
    return values


def hugging_face_marks():
    out = header(
        "hugging_face_marks.inc",
        [
            "{first code point, bits}, each row up to the next one. Graphemes: 1 joins with what",
            "stands before it, 2 with what follows, 4 joins with nothing. Then: 1 white space,",
            "2 punctuation, 4 removed by BERT's clean-up, 8 a mark without width.",
            "Derived from the Unicode Character Database (Unicode License v3).",
        ],
    )
    for name, values in (("kGraphemeClasses", grapheme_classes()), ("kBertClasses", bert_classes())):
        out += f"constexpr ClassRange {name}[] = {{\n"
        out += rows([f"{{{first:#x},{bits}}}" for first, bits in to_ranges(values)]) + "};\n"
    return out


# ---------------------------------------------------------------------------------------------


def parse(pattern):
    return sre_parser.parse(pattern.pattern, pattern.flags)


class Atom:
    """A set of code points: explicit ones and classes, perhaps negated."""

    def __init__(self, explicit=(), word=False, space=False, negate=False, not_newline=False):
        self.explicit = frozenset(explicit)
        self.word, self.space, self.negate = word, space, negate
        self.not_newline = not_newline

    def key(self):
        return (self.explicit, self.word, self.space, self.negate, self.not_newline)

    def contains(self, c, word, space):
        if self.not_newline:
            return c != 0x0A
        inside = c in self.explicit or (self.word and word) or (self.space and space)
        return inside != self.negate


def atom_of(op, value):
    name = str(op)
    if name == "LITERAL":
        return Atom([value])
    if name == "NOT_LITERAL":
        return Atom([value], negate=True)
    if name == "ANY":
        return Atom(not_newline=True)
    if name != "IN":
        return None
    explicit, word, space, negate = set(), False, False, False
    for kind, argument in value:
        kind = str(kind)
        if kind == "NEGATE":
            negate = True
        elif kind == "LITERAL":
            explicit.add(argument)
        elif kind == "RANGE":
            explicit.update(range(argument[0], argument[1] + 1))
        elif kind == "CATEGORY" and str(argument) == "CATEGORY_WORD":
            word = True
        elif kind == "CATEGORY" and str(argument) == "CATEGORY_SPACE":
            space = True
        else:
            raise SystemExit(f"ftfy's expression has {kind} {argument}, which is not handled")
    return Atom(explicit, word, space, negate)


class Machine:
    """The expression as a nondeterministic automaton."""

    def __init__(self):
        self.empty = []  # state -> [(state, only at the start of the text)]
        self.moves = []  # state -> [(atom index, state)]
        self.atoms = []
        self.atom_index = {}

    def state(self):
        self.empty.append([])
        self.moves.append([])
        return len(self.empty) - 1

    def add(self, sequence, begin):
        """Appends a parsed sequence behind the state `begin`; returns the state behind it."""
        at = begin
        for op, value in sequence:
            name = str(op)
            atom = atom_of(op, value)
            after = self.state()
            if atom is not None:
                index = self.atom_index.setdefault(atom.key(), len(self.atoms))
                if index == len(self.atoms):
                    self.atoms.append(atom)
                self.moves[at].append((index, after))
            elif name == "BRANCH":
                for branch in value[1]:
                    self.empty[self.add(branch, at)].append((after, False))
            elif name == "SUBPATTERN":
                self.empty[self.add(value[3], at)].append((after, False))
            elif name == "MAX_REPEAT" and (value[0], value[1]) == (0, 1):
                self.empty[at].append((after, False))
                self.empty[self.add(value[2], at)].append((after, False))
            elif name == "AT" and str(value) == "AT_BEGINNING":
                self.empty[at].append((after, True))
            else:
                raise SystemExit(f"ftfy's expression has {name} {value}, which is not handled")
            at = after
        return at

    def closure(self, states, at_start):
        todo, seen = list(states), set(states)
        while todo:
            for state, start_only in self.empty[todo.pop()]:
                if state not in seen and (at_start or not start_only):
                    seen.add(state)
                    todo.append(state)
        return frozenset(seen)


CONTINUATION, STRICT, FIRST_OF_2, FIRST_OF_3, FIRST_OF_4 = (1 << i for i in range(5))


def clue_sets():
    """The characters of ftfy's detector of UTF-8 read in a single-byte encoding, by bit."""
    pairs = [
        (CONTINUATION, "utf8_continuation"),
        (STRICT, "utf8_continuation_strict"),
        (FIRST_OF_2, "utf8_first_of_2"),
        (FIRST_OF_3, "utf8_first_of_3"),
        (FIRST_OF_4, "utf8_first_of_4"),
    ]
    sets = {}
    for bit, name in pairs:
        (op, value), = sre_parser.parse(f"[{ftfy.chardata.UTF8_CLUES[name]}]")
        sets[bit] = atom_of(op, value).explicit
    return sets


def mojibake_tables():
    machine = Machine()
    start = machine.state()
    end = machine.add(parse(ftfy.badness.BADNESS_RE), start)
    clues = clue_sets()

    interesting = set().union(*(a.explicit for a in machine.atoms), *clues.values(), {0x0A})
    word, space = re.compile(r"\w"), re.compile(r"\s")
    class_index, class_atoms, class_bits = {}, [], []
    classes = [0] * (LAST + 1)
    known = {}
    for c in code_points():
        w, s = bool(word.match(chr(c))), bool(space.match(chr(c)))
        plain = (w, s) if c not in interesting else None
        if plain in known:
            classes[c] = known[plain]
            continue
        inside = frozenset(i for i, a in enumerate(machine.atoms) if a.contains(c, w, s))
        bits = sum(bit for bit, members in clues.items() if c in members)
        index = class_index.setdefault((inside, bits), len(class_atoms))
        if index == len(class_atoms):
            class_atoms.append(inside)
            class_bits.append(bits)
        classes[c] = index
        if plain is not None:
            known[plain] = index

    # Subset construction; every step also starts a new match. State 0 is the start of a text,
    # state 1 is "found".
    first = machine.closure({start}, True)
    fresh = machine.closure({start}, False)
    if end in first:
        raise SystemExit("ftfy's expression matches the empty text")
    index = {first: 0}
    states, table = [first, None], []
    while len(table) < len(states):
        current = states[len(table)]
        if current is None:
            table.append([1] * len(class_atoms))
            continue
        row = []
        for atoms in class_atoms:
            moved = {to for s in current for atom, to in machine.moves[s] if atom in atoms}
            target = machine.closure(moved, False) | fresh
            if end in target:
                row.append(1)
                continue
            if target not in index:
                index[target] = len(states)
                states.append(target)
            row.append(index[target])
        table.append(row)
    if len(states) > 256 or len(class_atoms) > 256:
        raise SystemExit("more than 256 states or classes")

    pages = []
    for encoding in ftfy.chardata.CHARMAP_ENCODINGS[1:]:
        upper = bytes(range(0x80, 0x100)).decode(encoding)
        sloppy = encoding.startswith("sloppy-")
        if sloppy != (bytes([0x1A]).decode(encoding) == "\ufffd"):
            raise SystemExit(f"{encoding}: byte 1A is read in an unexpected way")
        pages.append(
            f'{{"{encoding}",{str(sloppy).lower()},{{\n'
            + rows([f"{ord(char):#x}" for char in upper])
            + "}},\n"
        )

    ranges = to_ranges(classes)
    return (
        header(
            "mojibake_tables.inc",
            [
                "The single-byte encodings that text may have been read in by mistake, in the",
                "order in which they are tried (Latin-1, the first, needs no table); the upper 128",
                "characters of each. Then the test for mojibake: {first code point, class}, each",
                "row up to the next one; what a class can be in UTF-8 that was read in such an",
                "encoding (1 continuation, 2 continuation and nothing else, 4, 8, 16 first of 2, 3,",
                "4); and the transitions [state][class] of a machine that starts in state 0 and",
                "reaches state 1 on a sequence that ftfy calls bad.",
                "Derived from ftfy (Apache License 2.0, Copyright Robyn Speer).",
            ],
        )
        + f"constexpr CodePage kCodePages[] = {{\n{''.join(pages)}}};\n"
        + "constexpr ClassRange kMojibakeClasses[] = {\n"
        + rows([f"{{{a:#x},{b}}}" for a, b in ranges])
        + f"}};\nconstexpr std::uint8_t kClueBits[] = {{\n{rows(class_bits)}}};\n"
        + f"constexpr std::uint8_t kBadness[][{len(class_atoms)}] = {{\n"
        + "".join("{" + rows(row).rstrip().rstrip(",") + "},\n" for row in table)
        + "};\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--versions", action="store_true", help="print what each file comes from")
    options = parser.parse_args()
    if options.versions:
        for name, text in versions().items():
            print(f"{name}\t{text}")
        return 0
    different = []
    for name, make in (
        ("html_entities.inc", html_entities),
        ("unicode_classes.inc", unicode_classes),
        ("mojibake_tables.inc", mojibake_tables),
        ("hugging_face_classes.inc", hugging_face_classes),
        ("hugging_face_marks.inc", hugging_face_marks),
    ):
        text = make()
        path = FOLDER / name
        if options.check:
            if not path.exists() or path.read_text() != text:
                different.append(name)
        else:
            path.write_text(text)
            print(f"{path.relative_to(FOLDER.parent.parent.parent)}: {len(text)} bytes")
    if different:
        print("differs from what this script writes: " + ", ".join(different), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
