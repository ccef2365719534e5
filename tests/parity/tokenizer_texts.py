"""Texts that try a tokenizer: many scripts, character references, mojibake, control characters.

`texts(count, seed)` yields the same texts for the same arguments. They hold no line end, so that
they can stand in a file with one text a line; `raw=True` also puts tabs in.
"""

import html.entities
import random
import unicodedata

from ftfy import badness, chardata

WORDS = (
    "a photo of the cat dog two dogs running on beach red car street sign that says stop it's "
    "they're we've I'm you'll he'd don't can't CAN'T It'S o'clock rock'n'roll sunset over mountain "
    "lake people walking snow-covered trees black white 1990s vintage 4x4 3.14 $5 100% #tag @user "
    "http://example.org/a?b=1&c=2 C++ naive antidisestablishmentarianism X-ray mp3 e.g. U.S.A. "
    "state-of-the-art <b>bold</b> AT&T R&D <start_of_text> <end_of_text> <|startoftext|> "
    "<|endoftext|> <START_OF_TEXT> close-up , . ! ? ... -- ; : ( ) \" ' `` '' 's 't 'ſ <ſtart_of_text>"
).split(" ")

SCRIPTS = {
    "latin": [(0xC0, 0x24F), (0x1E00, 0x1EFF), (0x250, 0x2AF)],
    "greek": [(0x370, 0x3FF), (0x1F00, 0x1FFF)],
    "cyrillic": [(0x400, 0x52F)],
    "hebrew": [(0x591, 0x5F4), (0xFB1D, 0xFB4F)],
    "arabic": [(0x600, 0x6FF), (0x750, 0x77F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)],
    "indic": [(0x900, 0xDFF)],
    "thai": [(0xE00, 0xEFF)],
    "tibetan": [(0xF00, 0xFFF)],
    "georgian": [(0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x2D00, 0x2D2F)],
    "cherokee": [(0x13A0, 0x13FF), (0xAB70, 0xABBF)],
    "cjk": [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0xF900, 0xFAFF)],
    "japanese": [(0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xFF61, 0xFF9F)],
    "hangul": [(0xAC00, 0xD7A3), (0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F)],
    "width": [(0xFF00, 0xFFEF), (0x3000, 0x3003)],
    "letterlike": [(0x2100, 0x218F), (0x2460, 0x24FF), (0x1D400, 0x1D7FF)],
    "punctuation": [(0x2000, 0x206F), (0x20A0, 0x20CF), (0x2190, 0x22FF), (0x3000, 0x303F)],
    "numbers": [(0xB2, 0xBE), (0x660, 0x669), (0x966, 0x96F), (0x2150, 0x218B), (0x2080, 0x2089)],
    "emoji": [(0x1F300, 0x1FAFF), (0x2600, 0x27BF)],
    "deseret": [(0x10400, 0x1044F), (0x104B0, 0x104FB), (0x1E900, 0x1E95F)],
    "new": [(0x11F00, 0x11F59), (0x1E4D0, 0x1E4FF), (0x31350, 0x323AF), (0xA7C0, 0xA7FF)],
}
MARKS = [c for c in range(0x110000) if unicodedata.combining(chr(c))]
MARK_BASES = "aAeEoOuUnNsSıİſßΑΩαωΣσς가각ᄀ한カは\u0915\u0dd9\u1025q1 "
ENTITIES = sorted(html.entities.html5)
ENCODINGS = chardata.CHARMAP_ENCODINGS
GARBLE = sorted(
    set(c for s in badness.MOJIBAKE_CATEGORIES.values() for c in s)
    | set(c for s in chardata.UTF8_CLUES.values() for c in s)
    | set("\xa0\x80\x85\x9f\x1a?  azAZ")
)


def code_point(rng):
    while True:
        c = rng.randrange(0x110000) if rng.random() < 0.5 else rng.randrange(0x3000)
        if not 0xD800 <= c <= 0xDFFF:
            return chr(c)


def caption(rng):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 14)))


def script(rng):
    words = []
    ranges = SCRIPTS[rng.choice(sorted(SCRIPTS))]
    for _ in range(rng.randrange(1, 6)):
        first, last = rng.choice(ranges)
        words.append("".join(chr(rng.randint(first, last)) for _ in range(rng.randrange(1, 9))))
        if rng.random() < 0.3:
            words.append(rng.choice(WORDS))
    return rng.choice([" ", " ", "", "  ", "\u3000", "\xa0", "\u200b"]).join(words)


def marks(rng):
    out = ""
    for _ in range(rng.randrange(1, 8)):
        out += rng.choice(MARK_BASES)
        out += "".join(chr(rng.choice(MARKS)) for _ in range(rng.randrange(0, 5)))
    return out


def hangul(rng):
    text = "".join(chr(rng.randrange(0xAC00, 0xD7A4)) for _ in range(rng.randrange(1, 10)))
    return unicodedata.normalize("NFD", text) if rng.random() < 0.7 else text


def emoji(rng):
    people = ["\U0001F468", "\U0001F469", "\U0001F467", "\U0001F466", "\U0001F9D1"]
    kinds = [
        lambda: "\u200d".join(rng.choice(people) for _ in range(rng.randrange(2, 5))),
        lambda: rng.choice(people) + chr(0x1F3FB + rng.randrange(5)),
        lambda: chr(0x1F1E6 + rng.randrange(26)) + chr(0x1F1E6 + rng.randrange(26)),
        lambda: rng.choice("0123456789#*") + "\ufe0f\u20e3",
        lambda: "\u2764\ufe0f",
        lambda: "\U0001F3F4\U000E0067\U000E0062\U000E0077\U000E006C\U000E0073\U000E007F",
    ]
    return " ".join(rng.choice(kinds)() for _ in range(rng.randrange(1, 5))) + rng.choice(WORDS)


def sigma(rng):
    alphabet = "ΣΣσςΟΑαβ'.:·\u0301\u0345\u200d\u00ad\u02b0ªİIiıK -1᾿ͺ\U0001D6BA"
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 16)))


def reference(rng):
    kind = rng.randrange(10)
    name = rng.choice(ENTITIES)
    if kind < 3:
        return "&" + name
    if kind == 3:
        return "&" + name.rstrip(";") + rng.choice(["", "x", "é", ";;", " ;", "&"])
    if kind == 4:
        return "&" + name.upper()
    if kind == 5:
        return "&amp;" * rng.randrange(1, 4) + rng.choice(["amp;", "lt;", "#38;", "amp;amp;eacute;"])
    number = rng.choice(
        [rng.randrange(0x200), rng.randrange(0x80, 0xA0), rng.randrange(0x3000),
         rng.randrange(0x120000), 0xD83D, 0xFFFE, 0xFDD0, 59, 10**30, 38]
    )
    form = rng.choice(["&#{:d};", "&#{:d}", "&#x{:x};", "&#X{:X}", "&#0{:d};", "&#{:d}ab;", "&#x;",
                       "&#;", "&#{:d};;"])
    return form.format(number)


def references(rng):
    parts = [rng.choice([reference, reference, caption])(rng) for _ in range(rng.randrange(1, 5))]
    return rng.choice(["", " "]).join(parts)


def clear_text(rng):
    samples = ["schön", "voilà le travail", "à la carte", "às vezes àquele", "naïve café",
               "“quotes” – dash…", "Привет мир", "Ελλάδα", "日本語", "żółć", "ğüş", "😀 fun 👍",
               "€100 ±5°", "Ão", "l’été", "© 2020 ® ™", "ｆｕｌｌ", "a\xa0b", "„Schrift“", "ｶﾀｶﾅ",
               "\U00010348", "ﬁne", "Øystein Ærø", "مرحبا", "हिन्दी"]
    if rng.random() < 0.3:
        return script(rng)
    return " ".join(rng.choice(samples) for _ in range(rng.randrange(1, 4)))


def cesu8(char):
    """UTF-8 in which a character above U+FFFF is two surrogates."""
    high = ord(char) - 0x10000
    if high < 0:
        return char.encode()
    pair = chr(0xD800 + (high >> 10)) + chr(0xDC00 + (high & 0x3FF))
    return pair.encode("utf-8", "surrogatepass")


def mojibake(rng):
    text = clear_text(rng)
    data = text.encode("utf-8", "replace")
    if rng.random() < 0.2:
        data = b"".join(cesu8(c) for c in text)
    if rng.random() < 0.05:
        data = data.replace(b" ", b"\xc0\x80")
    encoding = rng.choice(ENCODINGS + ["windows-1252"])
    text = data.decode(encoding, "replace")
    if rng.random() < 0.3:
        text = text.replace("\xa0", " ")
    if rng.random() < 0.2:
        text = text.encode("utf-8").decode(rng.choice(ENCODINGS), "replace")
    if rng.random() < 0.3:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice([clear_text, caption, script])(rng) + text[at:]
    if rng.random() < 0.15 and text:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(["\ufffd", "?", "\x1a", " ", ""]) + text[at + 1:]
    return text


def garble(rng):
    return "".join(rng.choice(GARBLE) for _ in range(rng.randrange(1, 20)))


def controls(rng):
    pieces = ["\x1b[31m", "\x1b[0;1m", "\x1b[", "\x1b[12", "\x1b[\u0661\u0662m", "\x1b[\uff11m", "\x00",
              "\x07", "\x0b", "\x0c", "\x1c", "\x1f", "\x7f", "\x85", "\x9b31m", "\u2028", "\u2029", "\ufeff",
              "\ufff9", "\u206a", "\u200e", "\u202e", "\ufffc", "\xad", "\u180e", "\u2003"]
    return "".join(
        rng.choice(pieces) + (rng.choice(WORDS) if rng.random() < 0.7 else "")
        for _ in range(rng.randrange(1, 8))
    )


def long_word(rng):
    alphabet = rng.choice(["ab", "abcdefghijklmnopqrstuvwxyz", "aeiounrst", "!?.,-", "é漢😀", "a"])
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(20, 400)))


def anything(rng):
    return "".join(code_point(rng) for _ in range(rng.randrange(1, 12)))


KINDS = [caption, caption, caption, script, script, script, marks, hangul, emoji, sigma, references,
         references, mojibake, mojibake, garble, controls, long_word, anything]


def texts(count, seed, raw=False):
    rng = random.Random(seed)
    for i in range(count):
        text = KINDS[i % len(KINDS)](rng)
        if rng.random() < 0.25:
            text += rng.choice(["", " "]) + KINDS[rng.randrange(len(KINDS))](rng)
        text = text.encode("utf-8", "replace").decode("utf-8")
        for no_text in "\n\r\0":  # they end a line, or are refused
            text = text.replace(no_text, " ")
        if raw:
            if rng.random() < 0.1:
                at = rng.randrange(len(text) + 1)
                text = text[:at] + rng.choice(["\t", "\t \t\t"]) + text[at:]
        else:
            text = text.replace("\t", " ").strip(" ")
        yield text if text.strip() else "empty"


def code_points():
    """One text for each code point, alone and between letters."""
    for c in range(0x110000):
        if not 0xD800 <= c <= 0xDFFF and c not in (0, 0x0A, 0x0D):
            yield f"{chr(c)} a{chr(c)}b1{chr(c)}"
