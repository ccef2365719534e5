"""Token ids against open_clip's tokenizers, on texts of every script and kind of damage."""

from __future__ import annotations

import json
import random

import open_clip
import pytest

import tokenizer_parity
import tokenizer_texts
from conftest import ROOT, SHIPPED

LINES = 12_000
CONTEXT = {"plain": 77, SHIPPED: 24}
# A vocabulary in the layout of transformers spells the ends of a text in another way than
# open_clip's own tokenizer: what stands in such a text literally is another token there.
SPELLINGS = ("<start_of_text>", "<end_of_text>", "<|startoftext|>", "<|endoftext|>")


def tokenize(cliplens, folder, model, texts) -> list[list[int]]:
    path = folder / "texts.txt"
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8", newline="\n")
    rows = [json.loads(line) for line in
            cliplens("tokenize", model, "--texts", path, "--truncate").splitlines()]
    assert len(rows) == len(texts)
    return rows


def differing(texts, got, wanted) -> int:
    count = 0
    for text, ours, theirs in zip(texts, got, wanted, strict=True):
        if ours != theirs:
            count += 1
            if count <= 10:
                print(f"{text!r}\n  expected {theirs}\n  got      {ours}")
    return count


@pytest.mark.parametrize("name", CONTEXT)
def test_odd_texts(cliplens, measured, model_folders, tmp_path, name):
    merges = None if name == "plain" else model_folders[name] / "merges.txt"
    reference = tokenizer_parity.reference(merges, tmp_path)
    texts = list(tokenizer_texts.texts(LINES, 3, raw=True))
    if merges is not None:
        texts = [t for t in texts if not any(s in t.lower() for s in SPELLINGS)]
    wanted = []
    for text in texts:
        ids = tokenizer_parity.expected_ids(reference, text, CONTEXT[name])
        wanted.append(ids[:ids.index(reference.eot_token_id) + 1])
    got = tokenize(cliplens, tmp_path, model_folders[name], texts)
    measured.note(f"tokens, {name}: odd texts", len(texts))
    measured.at_most(f"tokens, {name}: odd texts that differ from open_clip's SimpleTokenizer",
                     differing(texts, got, wanted), 0)
    assert len(texts) >= 10_000


def test_the_shipped_vocabulary_through_transformers(cliplens, measured, model_folders, tmp_path):
    """What `open_clip.get_tokenizer` makes of the shipped directory, on texts as people write."""
    tokenizer = open_clip.get_tokenizer(f"local-dir:{model_folders[SHIPPED]}")
    rng = random.Random(4)
    texts = [line.split("\t")[0] for path in sorted((ROOT / "world/texts").glob("*.txt"))
             for line in path.read_text().splitlines() if line.strip()]
    captions = (tokenizer_texts.caption(rng) for _ in range(6000))
    texts += [c for c in captions if not any(s in c.lower() for s in SPELLINGS)]
    end = tokenizer.tokenizer.eos_token_id
    wanted = [row[:row.index(end) + 1] for row in tokenizer(texts).tolist()]
    got = tokenize(cliplens, tmp_path, model_folders[SHIPPED], texts)
    measured.note(f"tokens, {SHIPPED}: plain texts", len(texts))
    measured.at_most(f"tokens, {SHIPPED}: plain texts that differ from transformers",
                     differing(texts, got, wanted), 0)
