"""Directories as transformers writes them, and what its tokenizer and model make of a text."""

from __future__ import annotations

import gzip
import json
import pathlib

import torch
from open_clip.tokenizer import bytes_to_unicode, default_bpe
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"


def byte_names() -> list[str]:
    """The printable characters that stand for the bytes, as open_clip numbers them."""
    return list(bytes_to_unicode().values())


def read_merges(path: pathlib.Path) -> list[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return [tuple(line.split()) for line in lines if line and not line.startswith("#version")]


def clip_merges() -> list[tuple[str, str]]:
    """The merges of CLIP's own vocabulary."""
    lines = gzip.decompress(pathlib.Path(default_bpe()).read_bytes()).decode("utf-8").split("\n")
    return [tuple(line.split()) for line in lines[1:49152 - 256 - 2 + 1]]


def vocabulary(merges) -> dict[str, int]:
    names = byte_names()
    tokens = names + [name + "</w>" for name in names] + [a + b for a, b in merges] + [START, END]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}


def token(content: str, **flags) -> dict:
    return dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=True) | flags


def write_pair(folder: pathlib.Path, merges) -> None:
    """vocab.json and merges.txt alone, as OpenAI's models were first published."""
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary(merges)), encoding="utf-8")
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")


def write_tokenizers(folder: pathlib.Path, merges) -> dict[str, pathlib.Path]:
    """The same vocabulary in each layout whose files change the ids of some text."""
    made = {}

    def new(name: str) -> pathlib.Path:
        made[name] = folder / name
        write_pair(made[name], merges)
        return made[name]

    new("pair")
    # Legacy files: the special tokens are looked for after normalization, the padding is not.
    out = new("legacy")
    (out / "special_tokens_map.json").write_text(json.dumps(dict(
        bos_token=token(START), eos_token=token(END), unk_token=token(END), pad_token=END)))
    (out / "tokenizer_config.json").write_text(json.dumps(dict(
        model_max_length=77, do_lower_case=True, errors="replace", add_prefix_space=False,
        bos_token=token(START, __type="AddedToken"), eos_token=token(END, __type="AddedToken"),
        tokenizer_class="CLIPTokenizer")))
    # A short limit, a padding of its own, tokens that were added for a concept.
    out = new("added")
    (out / "added_tokens.json").write_text(json.dumps({"<cat-toy>": 60_000, "PADDING": 60_001}))
    (out / "special_tokens_map.json").write_text(json.dumps(dict(
        bos_token=START, eos_token=END, unk_token=END, pad_token="PADDING")))
    (out / "tokenizer_config.json").write_text(json.dumps(dict(model_max_length=20)))
    # As transformers 5 saves it, and the same with its tokens looked for after normalization.
    out = folder / "saved"
    made["saved"] = out
    CLIPTokenizer.from_pretrained(made["pair"]).save_pretrained(out)
    out = folder / "saved-normalized"
    made["saved-normalized"] = out
    CLIPTokenizer.from_pretrained(made["legacy"]).save_pretrained(out)
    config = json.loads((out / "tokenizer_config.json").read_text())
    config.pop("added_tokens_decoder", None)
    (out / "tokenizer_config.json").write_text(json.dumps(config))
    file = json.loads((out / "tokenizer.json").read_text())
    for entry in file["added_tokens"]:
        entry["normalized"] = True
    (out / "tokenizer.json").write_text(json.dumps(file))
    return made


def write_clip_model(folder: pathlib.Path, vocabulary_size: int, context: int, eos_token_id: int,
                     **preprocessor) -> None:
    """A tiny CLIPModel beside the tokenizer's files."""
    torch.manual_seed(0)
    image_size = preprocessor.pop("image_size", 32)
    preprocessor = preprocessor or dict(size=image_size, crop_size=image_size)
    tower = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    config = CLIPConfig(
        text_config=tower | dict(vocab_size=vocabulary_size, max_position_embeddings=context,
                                 projection_dim=8, bos_token_id=0, pad_token_id=1,
                                 eos_token_id=eos_token_id),
        vision_config=tower | dict(image_size=image_size, patch_size=8,
                                   projection_dim=8),
        projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))


def encode(tokenizer: CLIPTokenizer, texts: list[str], context: int) -> list[list[int]]:
    limit = min(context, tokenizer.model_max_length)
    return tokenizer(texts, truncation=True, max_length=limit)["input_ids"]


def pooled(ids: list[int], eos_token_id: int) -> int:
    """The row that CLIPTextModel pools of a text without padding."""
    row = torch.tensor(ids)
    return int((row if eos_token_id == 2 else (row == eos_token_id).int()).argmax())
