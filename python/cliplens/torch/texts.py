"""Texts through a model's own text tower."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import nn

from .errors import RecorderError
from .families import find

CLIP_VOCABULARY = 49408


def _context(model: Any) -> int:
    """Tokens of a text. CoCa's own context_length is its decoder's."""
    for name in ("text.context_length", "context_length", "config.text_config.max_position_embeddings"):
        found = find(model, name)
        if isinstance(found, int):
            return found
    return 77


def _ids(model: Any, tokenizer: Callable[..., Any], texts: list[str]) -> dict[str, torch.Tensor]:
    """What the text tower reads of texts."""
    if not hasattr(tokenizer, "pad"):
        ids = tokenizer(texts)
        if not isinstance(ids, torch.Tensor):
            ids = ids["input_ids"] if hasattr(ids, "__getitem__") and "input_ids" in ids else torch.as_tensor(ids)
        return dict(input_ids=torch.as_tensor(ids))
    made = tokenizer(texts, padding="max_length", truncation=True, max_length=_context(model), return_tensors="pt")
    # SigLIP's towers attend to padding.
    siglip = "siglip" in type(model).__name__.lower()
    return {key: made[key] for key in ("input_ids",) + (() if siglip else ("attention_mask",)) if key in made}


def _default(model: Any) -> Callable[..., Any]:
    vocabulary = getattr(model, "vocab_size", find(model, "text.vocab_size"))
    if not hasattr(model, "encode_text") or vocabulary != CLIP_VOCABULARY:
        raise RecorderError(f"embed_texts: give the tokenizer of this {type(model).__name__}, such as "
                            "open_clip.get_tokenizer(NAME) or transformers.AutoTokenizer.from_pretrained(NAME)")
    tokenizers: Any = importlib.import_module("open_clip.tokenizer")
    return cast(Callable[..., Any], tokenizers.SimpleTokenizer(context_length=_context(model)))


def embed(model: nn.Module, texts: Sequence[str], tokenizer: Callable[..., Any] | None, batch: int,
          device: torch.device) -> torch.Tensor:
    """Unit rows [M, E] in float32: `Recorder.embed_texts`."""
    if isinstance(texts, str):
        texts = [texts]
    if batch < 1:
        raise RecorderError(f"embed_texts: batch is {batch}; at least one text is taken at a time")
    tower: Any = model
    encode = getattr(tower, "encode_text", None)
    features: Any = getattr(tower, "get_text_features", None)
    if encode is None and features is None:
        raise RecorderError(f"{type(model).__name__} has no text tower (encode_text or get_text_features)")
    tokenizer = tokenizer or _default(tower)
    rows = []
    with torch.no_grad():
        for start in range(0, len(texts), batch):
            inputs = {k: v.to(device) for k, v in _ids(tower, tokenizer, list(texts[start:start + batch])).items()}
            made = encode(inputs["input_ids"]) if encode is not None else features(**inputs)
            made = getattr(made, "pooler_output", made)
            rows.append(nn.functional.normalize(made.float(), dim=-1))
    if not rows:
        raise RecorderError("embed_texts: no texts; give at least one")
    return torch.cat(rows)
