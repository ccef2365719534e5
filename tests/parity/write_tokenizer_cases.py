#!/usr/bin/env python3
"""Writes the cases of tests/model/tokenizer_test.cc with the ids of open_clip's SimpleTokenizer.

    python tests/parity/write_tokenizer_cases.py

  tests/data/tokenizer_merges.txt   a small vocabulary, learned here from the texts' own words
  tests/data/tokenizer_cases.json   {"context": [77, 24], "cases": [[text, ids, ids]]}: with CLIP's
                                    vocabulary and with the small one, without the zeros at the end;
                                    "planes": for each plane of Unicode a hash of what cleaning makes
                                    of its code points (takes minutes)

Unlike the lines of tokenizer_parity.py the texts hold line ends.
"""

import collections
import json
import pathlib
import random
import tempfile

from open_clip.tokenizer import SimpleTokenizer, bytes_to_unicode, default_bpe

import tokenizer_parity
import tokenizer_texts

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
CONTEXTS = (77, 24)
GENERATED = 500
MERGES = 600

BY_HAND = [
    "",
    " ",
    "\n",
    "a photo of a cat",
    "A PHOTO OF A CAT.",
    "two lines\nof text",
    "windows\r\nline\rends\u2028and\u2029more\x85",
    "this &eacute; is read\nbut <b>from here\n&eacute; only html.unescape reads &EACUTE;",
    "&EACUTE; once\n&EACUTE; twice < &EACUTE;\n&EACUTE;",
    "voilÃ \nle travail Ã  la carte\n",
    "schÃ¶n\nschön\nÃ©",
    "À\u0080 Àé\nÀ\n",
    "Ã\x80Â\n",
    "í\xa0\xbdí\xb8\x80 í\xa0\xbdí\xb8\n",
    "\u00ed\u00a0\u0080\u00ed\u00b0\n",
    "ΟΔΥΣΣΕΥΣ\nΣ ΑΣ ΑΣ. ΑΣΑ Α\u0301Σ\u0301",
    "İstanbul DİYARBAKIR ı I",
    "<start_of_text>hello<end_of_text> world <END_OF_TEXT>",
    "<ſtart_of_text> it'ſ IT'S it’s itʼs",
    "\u1fb3 α\u0345 \u0345 a\u0345b",
    "１２３ ＡＢＣ ｶﾞ ﾊﾟ ﾡ\uffc2",
    "ﬁ ﬂ ﬃ ﬆ ŉ Ǆ ĳ",
    "\x1b[31mred\x1b[0m \x1b[\u0661mx",
    "&#x80; &#128; &#0; &#xD800; &#x110000; &#11; &#13; &#xFFFE; &#59; &#99999999999999999999;",
    "&notit; &notin; &not &amp;lt; &amp;amp;amp;eacute; &CounterClockwiseContourIntegral; &fjlig;",
    "&nGt; &ThickSpace; &NotEqualTilde; &SZLIG; &FFILIG; &ntilde &NTILDE",
    "e\u0301 \u0301e q\u0323\u0307 q\u0307\u0323 \u1100\u1161\u11a8 \uac00\u11a8 \u0958 \u212b \u2126",
    "👨‍👩‍👧‍👦 🏴\U000e0067\U000e0062\U000e007f 🇩🇪 1️⃣",
    "x" * 300,
    "ab" * 200,
    "a photo of " * 30,
    "a a a a a a a a a a a a a a a a a a a a a a a a a a",
    "\x00\x01 nul \ufeff bom \ufffd",
    "\U00011f02\u0301\U0001e4ec\U0001e4ed a\U0001e4ef\u0323",
    "\U00031350 \U000105c0 \ua7cb \u1c89",
]


def learn_merges(texts, count):
    """The usual procedure: join the most frequent pair, again and again; ties by spelling."""
    tokenizer = SimpleTokenizer(default_bpe())
    names = bytes_to_unicode()
    words = collections.Counter()
    for text in texts:
        for word in tokenizer.pat.findall(tokenizer.clean_fn(text)):
            symbols = [names[b] for b in word.encode("utf-8")]
            symbols[-1] += "</w>"
            words[tuple(symbols)] += 1
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        joined = collections.Counter()
        for word, n in words.items():
            out, i = [], 0
            while i < len(word):
                if word[i : i + 2] == best:
                    out.append("".join(best))
                    i += 2
                else:
                    out.append(word[i])
                    i += 1
            joined[tuple(out)] += n
        words = joined
    return merges


def plane_hash(tokenizer, plane):
    """FNV-1a, 64 bits, over the cleaned form of every code point c as "a c U+0301 c"."""
    value = 0xCBF29CE484222325
    for c in range(plane << 16, (plane + 1) << 16):
        if 0xD800 <= c <= 0xDFFF:
            continue
        for byte in tokenizer.clean_fn(f"a{chr(c)}\u0301{chr(c)}").encode("utf-8") + b"\n":
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def main():
    rng = random.Random(7)
    generated = []
    for text in tokenizer_texts.texts(GENERATED, 11, raw=True):
        text = "".join(c if c != " " or rng.random() < 0.8 else "\n" for c in text)
        generated.append(text[:120] + rng.choice(["", "", "\n"]))
    texts = BY_HAND + generated
    merges = learn_merges((t for t in texts if len(t) < 150), MERGES)
    path = DATA / "tokenizer_merges.txt"
    path.write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8",
                    newline="\n")
    with tempfile.TemporaryDirectory() as folder:
        tokenizers = (tokenizer_parity.reference(None, folder),
                      tokenizer_parity.reference(path, folder))
        cases = [
            [text] + [
                tokenizer_parity.trim(tokenizer_parity.expected_ids(tokenizer, text, context))
                for tokenizer, context in zip(tokenizers, CONTEXTS)
            ]
            for text in texts
        ]
        planes = [plane_hash(tokenizers[0], plane) for plane in range(17)]
    lines = ",\n".join(
        json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases
    )
    path = DATA / "tokenizer_cases.json"
    path.write_text(
        '{"context":%s,"planes":%s,"cases":[\n%s\n]}\n'
        % (json.dumps(list(CONTEXTS)), json.dumps(planes), lines)
    )
    print(f"{len(cases)} cases, {path.stat().st_size} bytes; {len(merges)} merges")


if __name__ == "__main__":
    main()
