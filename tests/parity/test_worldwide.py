"""Models with CLIP's towers and another tokenizer ("worldwide", MetaCLIP 2): texts are pooled at their
end token. With small tokenizers of the same kinds (other_tokenizers.py)."""

from __future__ import annotations

import json
import shutil

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from transformers import AutoTokenizer, MetaClip2Config, MetaClip2Model

import models
import other_tokenizers
from test_embeddings import TEXTS, compare

WIDTH, CONTEXT = 128, 40
# Layouts, and how open_clip cleans texts for them.
KINDS = [("XLM-R's tokenizer.json", ""), ("T5's tokenizer.json", "canonicalize"),
         ("XLM-R's sentencepiece.bpe.model", "lower")]


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    return other_tokenizers.write_all(tmp_path_factory.mktemp("worldwide"))


def embedded(cliplens, model, tmp_path) -> np.ndarray:
    texts, out = tmp_path / "texts.txt", tmp_path / "x.npy"
    texts.write_text("\n".join(TEXTS) + "\n")
    cliplens("embed", model, "--texts", texts, "--truncate", "--out", out)
    return np.load(out)


def copied(layout, model):
    model.mkdir()
    for file in layout.path.iterdir():
        shutil.copy(file, model)


def random_state(state, seed):
    random = torch.Generator().manual_seed(seed)
    return {name: models.random_tensor(name, tuple(value.shape), random) for name, value in state.items()}


@pytest.mark.parametrize("kind, clean", KINDS)
def test_open_clip(cliplens, measured, layouts, tmp_path, kind, clean):
    layout, model = layouts[kind], tmp_path / "model"
    copied(layout, model)
    kwargs = dict(tokenizer_kwargs=dict(clean=clean)) if clean else {}
    tokenizer = open_clip.tokenizer.HFTokenizer(str(layout.path), context_length=CONTEXT,
                                                **({"clean": clean} if clean else {}))
    ids = tokenizer(TEXTS)
    end = tokenizer.tokenizer.eos_token_id
    cfg = dict(
        embed_dim=96, quick_gelu=True,
        vision_cfg=dict(image_size=64, patch_size=16, layers=2, width=128, head_width=64),
        text_cfg=dict(context_length=CONTEXT, vocab_size=len(tokenizer.tokenizer) + 3, width=WIDTH, heads=2,
                      layers=3, pool_type="eos", eos_id=end))
    reference = CLIP(**cfg).eval()
    state = random_state(reference.state_dict(), 11)
    reference.load_state_dict(state)
    save_file({k: v.contiguous() for k, v in state.items()}, model / "open_clip_model.safetensors")
    cfg["text_cfg"] |= dict(hf_tokenizer_name="somebody/tokenizer", **kwargs)
    (model / "open_clip_config.json").write_text(json.dumps(dict(model_cfg=cfg)))
    with torch.no_grad():
        wanted = reference.encode_text(ids, normalize=True).double().numpy()
    compare(measured, f"text embeddings, worldwide, {kind}", embedded(cliplens, model, tmp_path), wanted)


def test_transformers(cliplens, measured, layouts, tmp_path):
    layout, model = layouts[KINDS[0][0]], tmp_path / "model"
    tokenizer = AutoTokenizer.from_pretrained(layout.path)
    config = MetaClip2Config(
        projection_dim=96,
        text_config=dict(vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=256,
                         num_hidden_layers=3, num_attention_heads=2, max_position_embeddings=CONTEXT,
                         projection_dim=96, hidden_act="gelu", eos_token_id=tokenizer.eos_token_id,
                         bos_token_id=tokenizer.bos_token_id, pad_token_id=tokenizer.pad_token_id),
        vision_config=dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, hidden_act="gelu",
                           num_attention_heads=2, image_size=64, patch_size=16, projection_dim=96))
    torch.manual_seed(3)
    reference = MetaClip2Model(config).eval()
    with torch.no_grad():
        for name, value in reference.named_parameters():
            if value.ndim > 0:
                value += 0.1 * torch.randn_like(value)
    copied(layout, model)
    reference.save_pretrained(model)
    tokens = tokenizer(TEXTS, max_length=CONTEXT, padding="max_length", truncation=True,
                       return_tensors="pt")
    with torch.no_grad():
        rows = reference.get_text_features(**tokens)
    rows = getattr(rows, "pooler_output", rows)
    wanted = torch.nn.functional.normalize(rows, dim=-1).double().numpy()
    compare(measured, "text embeddings, MetaClip2Model", embedded(cliplens, model, tmp_path), wanted)
