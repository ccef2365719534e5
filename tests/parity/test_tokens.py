"""Token ids against open_clip's tokenizers and transformers' CLIPTokenizer, each by its own rule, on
texts of every script and kind of damage."""

from __future__ import annotations

import json
import random

import open_clip
import pytest
from transformers import CLIPTokenizer

import hugging_face
import tokenizer_parity
import tokenizer_texts
from harness import ROOT, SHIPPED

LINES = 12_000
CONTEXT = {"plain": 77, SHIPPED: 24}
# The shipped vocabulary, in the layout of transformers, spells the ends of a text in another way
# than open_clip's SimpleTokenizer, so a text that has them literally is another one there.
SPELLINGS = ("<start_of_text>", "<end_of_text>", "<|startoftext|>", "<|endoftext|>")


def has_ends(text: str) -> bool:
    return any(s in text.casefold() for s in SPELLINGS)


def tokenize(cliplens, folder, model, texts) -> list[tuple[list[int], int]]:
    """The ids of each text and the position that is pooled."""
    path = folder / "texts.txt"
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8", newline="\n")
    rows = cliplens.json("tokenize", model, "--texts", path, "--truncate")["texts"]
    assert len(rows) == len(texts)
    return [(row["ids"], row["pooled"]) for row in rows]


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
        texts = [text for text in texts if not has_ends(reference.clean_fn(text))]
    wanted = []
    for text in texts:
        ids = tokenizer_parity.unpadded_ids(reference, text, CONTEXT[name])
        wanted.append((ids, ids.index(max(ids))))
    got = tokenize(cliplens, tmp_path, model_folders[name], texts)
    measured.note(f"tokens, {name}: odd texts", len(texts))
    measured.at_most(f"tokens, {name}: odd texts that differ from open_clip's SimpleTokenizer",
                     differing(texts, got, wanted), 0)
    assert len(texts) >= 10_000


def test_the_shipped_vocabulary_through_transformers(cliplens, measured, model_folders, tmp_path):
    """What `open_clip.get_tokenizer` makes of the shipped directory, on texts as people write.

    On others transformers and SimpleTokenizer, with which the model was trained, differ from each
    other (the long s in "'ſ" is one case); the program reads those as SimpleTokenizer.
    """
    tokenizer = open_clip.get_tokenizer(f"local-dir:{model_folders[SHIPPED]}")
    end = tokenizer.tokenizer.eos_token_id

    def count(texts):
        wanted = [(row[:row.index(end) + 1], row.index(end)) for row in tokenizer(texts).tolist()]
        got = tokenize(cliplens, tmp_path, model_folders[SHIPPED], texts)
        return differing(texts, got, wanted)

    rng = random.Random(4)
    plain = [line.split("\t")[0] for path in sorted((ROOT / "world/texts").glob("*.txt"))
             for line in path.read_text().splitlines() if line.strip()]
    plain += [text for text in (tokenizer_texts.caption(rng) for _ in range(6000))
              if not has_ends(text) and "ſ" not in text]
    odd = [text for text in tokenizer_texts.texts(LINES, 3, raw=True) if not has_ends(text)]
    measured.note(f"tokens, {SHIPPED}: odd texts that transformers reads otherwise", count(odd))
    measured.note(f"tokens, {SHIPPED}: plain texts", len(plain))
    measured.at_most(f"tokens, {SHIPPED}: plain texts that differ from transformers", count(plain),
                     0)


# Texts that special and added tokens have a part in.
TOKENS = ("<|startoftext|>", "<|endoftext|>", "<|STARTOFTEXT|>", "<|EndOfText|>", "<cat-toy>",
          "<CAT-TOY>", "PADDING", "padding", "!!<|endoftext|>!!", "!!<|EndOfText|>!!", "a cat", "dog's")


def hugging_face_texts() -> list[str]:
    rng = random.Random(6)
    return list(tokenizer_texts.texts(LINES, 5, raw=True)) + [
        rng.choice(["", " "]).join(rng.choice(TOKENS) for _ in range(rng.randrange(1, 6)))
        for _ in range(500)]


@pytest.mark.parametrize("layout", ["pair", "legacy", "added", "saved", "saved-normalized", "clip"])
def test_by_the_rule_of_transformers(cliplens, measured, tmp_path, layout):
    """Ids and the pooled position, whatever the tokenizer's files, with both kinds of eos_token_id."""
    if layout == "clip":
        model = tmp_path / "clip"
        hugging_face.write_pair(model, hugging_face.clip_merges())
    else:
        merges = hugging_face.read_merges(ROOT / "tests/data/tokenizer_merges.txt")
        model = hugging_face.write_tokenizers(tmp_path / "models", merges)[layout]
    reference = CLIPTokenizer.from_pretrained(model)
    texts = hugging_face_texts()
    context = 77
    ids = hugging_face.encode(reference, texts, context)
    for eos_token_id in (reference.eos_token_id, 2):
        hugging_face.write_clip_model(model, len(reference), context, eos_token_id)
        wanted = [(row, hugging_face.pooled(row, eos_token_id)) for row in ids]
        got = tokenize(cliplens, tmp_path, model, texts)
        what = f"tokens, Hugging Face files '{layout}', eos_token_id {eos_token_id}"
        measured.note(f"{what}: odd texts", len(texts))
        measured.at_most(f"{what}: differ from transformers' CLIPTokenizer in ids or pooled position",
                         differing(texts, got, wanted), 0)
    assert len(texts) >= 10_000
    assert max(row[1] for row in wanted) > 10
    assert min(len(row) - at for row, at in wanted) == 1 < max(len(row) - at for row, at in wanted)


def test_every_code_point_by_the_rule_of_transformers(cliplens, measured, tmp_path):
    model = tmp_path / "clip"
    hugging_face.write_pair(model, hugging_face.clip_merges())
    reference = CLIPTokenizer.from_pretrained(model)
    texts = list(tokenizer_texts.code_points())
    hugging_face.write_clip_model(model, len(reference), 77, reference.eos_token_id)
    wanted = [(row, len(row) - 1) for row in hugging_face.encode(reference, texts, 77)]
    got = tokenize(cliplens, tmp_path, model, texts)
    measured.note("tokens, every code point alone and between letters", len(texts))
    measured.at_most("tokens, code points that differ from transformers' CLIPTokenizer",
                     differing(texts, got, wanted), 0)
