"""Token ids of the tokenizers of CLIP's relatives against transformers, open_clip and sentencepiece,
from every kind of file, on texts of every script and kind of damage."""

from __future__ import annotations

import json
import subprocess

import pytest

import other_tokenizers
import tokenizer_texts
from harness import ROOT

LINES = 12_000
# Texts that special and added tokens have a part in, and what joins with its neighbour.
TOKENS = ["</s> x", "<unk>a", "a</s>", "a <mask> b", "<mask>a  <mask>", "Cat cat CAT", "▁a ▁", "▁▁ a",
          "<pad><eos> a <bos>", "[SEP] a [CLS]", "<extra_id_3> a", "a\u0301b", "\u0600e\u0301", "\x1fa\u0301"]


@pytest.fixture(scope="module")
def layouts(folder):
    return other_tokenizers.write_all(folder / "other-tokenizers")


@pytest.fixture(scope="module")
def tokens(request):
    path = ROOT / "build/release/bin/text_tokens"
    program = request.config.getoption("--cliplens")
    beside = type(path)(program).with_name("text_tokens")
    path = beside if beside.is_file() else path
    assert path.is_file(), f"{path}: build it with the tests (cmake --build ... --target text_tokens)"

    def run(layout, texts):
        result = subprocess.run([path, layout.path, json.dumps(layout.rule)], capture_output=True,
                                input="".join(text + "\n" for text in texts).encode())
        assert result.returncode == 0, result.stderr.decode()
        return [json.loads(line) for line in result.stdout.decode().splitlines()]

    return run


def differing(texts, got, wanted) -> int:
    pairs = [(text, ours, theirs) for text, ours, theirs in zip(texts, got, wanted, strict=True)
             if ours != theirs]
    for text, ours, theirs in pairs[:10]:
        print(f"{text!r}\n  expected {theirs}\n  got      {ours}")
    return len(pairs)


def test_odd_texts(layouts, tokens, measured):
    texts = list(tokenizer_texts.texts(LINES, 3, raw=True)) + TOKENS
    measured.note("tokens of other tokenizers: odd texts, each", len(texts))
    for name, layout in layouts.items():
        measured.at_most(f"tokens by {name}: odd texts that differ from the reference",
                         differing(texts, tokens(layout, texts), layout.encode(texts)), 0)
    assert len(layouts) > 30


@pytest.mark.parametrize("name", ["T5's tokenizer.json", "BERT's vocab.txt"])
def test_every_code_point(layouts, tokens, measured, name):
    layout = layouts[name]
    texts = list(tokenizer_texts.code_points())[::4]
    measured.at_most(f"tokens by {name}: code points, every fourth, that differ from transformers",
                     differing(texts, tokens(layout, texts), layout.encode(texts)), 0)
