#!/usr/bin/env python3
"""Writes the cases of tests/model/hugging_face_test.cc with the ids of transformers' CLIPTokenizer.

    python tests/parity/write_hugging_face_cases.py

  tests/data/hugging_face_cases.json   {"context": 24, "layouts": [{"name", "files": {name: JSON},
                                       "end": id, "ids": [[id]]}], "texts": [text], "planes": for
                                       each plane of Unicode a hash of what the normalizer makes of
                                       its code points}

The vocabulary is that of tests/data/tokenizer_merges.txt, in the spelling of Hugging Face's files;
the files of a layout stand beside it. Unlike the lines of test_tokens.py the texts hold line ends.
"""

import json
import pathlib
import random
import tempfile

from transformers import CLIPTokenizer

import hugging_face
import tokenizer_texts

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
CONTEXT = 24
TOKENS = ("<|startoftext|>", "<|endoftext|>", "<|STARTOFTEXT|>", "<|EndOfText|>", "<cat-toy>",
          "<CAT-TOY>", "PADDING", "padding", "a cat", "dog's", "\n", "!!")
BY_HAND = ["", " ", "a photo of a cat", "it's they're I'LL 's' ''s 'S", "ΟΔΟΣ οδος İstanbul ſ'ſ", "x" * 300,
           "12 3.14 ²½ ٣", "a\tb\r\nc\x0b\x0c\x1c\x85\u2028d\u180e\u200b", "&amp; schÃ¶n “q” ﬁ ｆ",
           "e\u0301e\u0323\u0301 \u1100\u1161\u11a8 \U00011935\U00011930 a\u0898\u0334\u0301",
           "a<|ENDOFTEXT|>!! <|StartOfText|>? <|endoftext|>??",
           "\ua7cb\U00010d50 \u1c89 \U000105c0 \ua7dc", "!!<|ENDOFTEXT|>!!", "<|endoftext|><|endoftext|>"]


def plane_hash(normalizer, plane):
    """FNV-1a, 64 bits, over the normalized form of every code point c as "A c U+0301 c"."""
    value = 0xCBF29CE484222325
    for c in range(plane << 16, (plane + 1) << 16):
        if 0xD800 <= c <= 0xDFFF:
            continue
        for byte in normalizer.normalize_str(f"A{chr(c)}\u0301{chr(c)}").encode("utf-8") + b"\n":
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def main():
    rng = random.Random(8)
    texts = BY_HAND + [text[:100] for text in tokenizer_texts.texts(250, 12, raw=True)]
    texts += [rng.choice(["", " "]).join(rng.choice(TOKENS) for _ in range(rng.randrange(1, 6)))
              for _ in range(60)]
    merges = hugging_face.read_merges(DATA / "tokenizer_merges.txt")
    layouts = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, folder in hugging_face.write_tokenizers(pathlib.Path(scratch), merges).items():
            tokenizer = CLIPTokenizer.from_pretrained(folder)
            if name in ("pair", "legacy", "added"):
                files = {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))
                         if path.name != "vocab.json"}
                layouts.append(dict(name=name, files=files, end=tokenizer.eos_token_id,
                                    ids=hugging_face.encode(tokenizer, texts, CONTEXT)))
        planes = [plane_hash(tokenizer.backend_tokenizer.normalizer, plane) for plane in range(17)]
    path = DATA / "hugging_face_cases.json"
    lines = [json.dumps(layout, separators=(",", ":")) for layout in layouts]
    path.write_text('{"context":%d,"planes":%s,"texts":%s,"layouts":[\n%s\n]}\n' % (
        CONTEXT, json.dumps(planes), json.dumps(texts), ",\n".join(lines)))
    print(f"{len(texts)} texts, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
