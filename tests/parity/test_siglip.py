"""SigLIP: no class token, a pool by attention with an MLP behind it, texts whose padding is read. The
public libraries' embeddings, and the sum by its definition in fp64."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoTokenizer, SiglipConfig, SiglipModel, SiglipVisionModel

import other_tokenizers
from models import draw_all
from test_embeddings import TEXTS, compare
from test_image_towers import embedded, pixels_of
from test_worldwide import embedded as texts_embedded

SIDE, CONTEXT = 96, 40
PREPROCESSING = dict(image_processor_type="SiglipImageProcessor", size=dict(height=SIDE, width=SIDE))
# Layouts of tokenizers, as SigLIP 1 and 2 have them.
KINDS = ["SigLIP's spiece.model", "Gemma's tokenizer.json"]


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    return other_tokenizers.write_all(tmp_path_factory.mktemp("siglip"))


def small_siglip(vocabulary: int) -> SiglipConfig:
    return SiglipConfig(
        text_config=dict(vocab_size=vocabulary, hidden_size=96, intermediate_size=200, num_hidden_layers=2,
                         num_attention_heads=3, max_position_embeddings=CONTEXT, projection_size=96),
        vision_config=dict(hidden_size=96, intermediate_size=210, num_hidden_layers=3, num_attention_heads=4,
                           image_size=SIDE, patch_size=15))


@pytest.fixture(scope="module")
def saved(layouts, tmp_path_factory):
    """A SiglipModel with trained-like weights, its directory and its tokenizer."""
    made = {}

    def save(kind):
        if kind not in made:
            directory = tmp_path_factory.mktemp("model") / "m"
            tokenizer = AutoTokenizer.from_pretrained(layouts[kind].path)
            model = SiglipModel(small_siglip(len(tokenizer) + 3)).eval()
            draw_all(model, 5)
            model.save_pretrained(directory)
            for file in layouts[kind].path.iterdir():
                shutil.copy(file, directory)
            (directory / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING))
            made[kind] = directory, model, tokenizer
        return made[kind]

    return save


@pytest.mark.parametrize("kind", KINDS)
def test_transformers(cliplens, measured, saved, odd_folder, tmp_path, kind):
    directory, model, tokenizer = saved(kind)
    got = embedded(cliplens, directory, odd_folder, tmp_path / "images.npy")
    with torch.no_grad():
        rows = model.get_image_features(pixels_of(cliplens, directory, odd_folder, tmp_path, SIDE)).pooler_output
        ids = tokenizer(TEXTS, padding="max_length", truncation=True, max_length=CONTEXT,
                        return_tensors="pt").input_ids
        texts = model.get_text_features(ids).pooler_output
    compare(measured, f"image embeddings, SiglipModel, {kind}", got,
            F.normalize(rows, dim=-1).double().numpy())
    compare(measured, f"text embeddings, SiglipModel, {kind}", texts_embedded(cliplens, directory, tmp_path),
            F.normalize(texts, dim=-1).double().numpy())


def decomposed(model, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """One picture's embedding as a sum, by the definition: head by head and token by token."""
    m = model.double().vision_model
    layers, heads = m.config.num_hidden_layers, m.config.num_attention_heads
    x = m.embeddings(pixels[None].double())[0]
    tokens, width = x.shape
    k = width // heads
    parts, written, biases = [x], [], []
    for block in m.encoder.layers:
        y = block.layer_norm1(x)
        a = block.self_attn
        q, key, v = (p(y).reshape(tokens, heads, k).transpose(0, 1) for p in (a.q_proj, a.k_proj, a.v_proj))
        pattern = (q @ key.transpose(1, 2) / k ** 0.5).softmax(-1)
        out = a.out_proj.weight.T.reshape(heads, k, width)
        # What head h takes for row q from token i: [H, q, i, D].
        written.append(torch.einsum("hqi,hik,hkd->hqid", pattern, v, out))
        biases.append(a.out_proj.bias)
        x = x + written[-1].sum((0, 2)) + a.out_proj.bias
        mlp = block.mlp(block.layer_norm2(x))
        parts.append(mlp)
        x = x + mlp
    norm, head = m.post_layernorm, m.head
    mean = x.mean(-1)
    sigma = (((x - mean[:, None]) ** 2).mean(-1) + norm.eps).sqrt()
    w_in, b_in = head.attention.in_proj_weight, head.attention.in_proj_bias
    normed = norm(x)
    query = (head.probe[0, 0] @ w_in[:width].T + b_in[:width]).reshape(heads, k)
    keys = (normed @ w_in[width:2 * width].T + b_in[width:2 * width]).reshape(tokens, heads, k)
    pool = (torch.einsum("pk,qpk->pq", query, keys) / k ** 0.5).softmax(-1)
    values = w_in[2 * width:].reshape(heads, k, width)
    o_weight = head.attention.out_proj.weight.T.reshape(heads, k, width)
    through = torch.einsum("pkd,pke->pde", values, o_weight)  # [Q, D, E]

    def pooled(rows):  # [..., q, D]: what rows behind the blocks add to the pool's output
        return torch.einsum("pq,...qd,pde->...e", pool, rows / sigma[:, None] * norm.weight, through)

    constant = (norm.bias @ w_in[2 * width:].T + b_in[2 * width:]) @ head.attention.out_proj.weight.T \
        + head.attention.out_proj.bias
    shared = (constant - pooled(mean[:, None].expand(tokens, width))) / (2 * layers + 1)
    o = pooled(x - mean[:, None]) + constant
    mlp = head.mlp(head.layernorm(o))
    n = (o + mlp).norm()
    by_token = torch.stack([pooled(w.permute(0, 2, 1, 3)) + (pooled(b.expand(tokens, width)) + shared)
                            / (heads * tokens) for w, b in zip(written, biases)])
    mlps = torch.stack([pooled(part) + shared for part in parts] + [mlp])
    # At the level of the pool: what its own heads write.
    taken = (normed @ w_in[2 * width:].T + b_in[2 * width:]).reshape(tokens, heads, k)
    pool_heads = torch.einsum("pq,qpk,pke->pe", pool, taken, o_weight) + head.attention.out_proj.bias / heads
    return dict(heads=by_token / n, mlps=mlps / n, embedding=(o + mlp) / n, pool_heads=pool_heads / n)


def test_the_sum_by_its_definition(cliplens, measured, saved, odd_folder, tmp_path):
    directory, model, _ = saved(KINDS[0])
    made = cliplens.json("decompose", directory, "--images", odd_folder, "--out", tmp_path / "store")
    measured.at_most("certificate, SiglipModel, POOL.MLP counted", made["certificate"]["max"], 1e-5)
    cliplens("export", tmp_path / "store", "--format", "npy", "--out", tmp_path / "arrays")
    got = {name: np.load(tmp_path / "arrays" / f"{name}.npy") for name in ("attn", "mlp", "embedding")}
    pixels = pixels_of(cliplens, directory, odd_folder, tmp_path, SIDE)
    worst = dict.fromkeys(got, 0.0)
    with torch.no_grad():
        for i, picture in enumerate(pixels):
            wanted = decomposed(model, picture)
            whole = wanted["heads"].sum((0, 1, 2)) + wanted["mlps"].sum(0)
            assert (whole - wanted["embedding"]).abs().max() < 1e-13
            arrays = dict(attn=wanted["heads"].sum(2), mlp=wanted["mlps"], embedding=wanted["embedding"])
            for name, array in arrays.items():
                worst[name] = max(worst[name], float(np.abs(got[name][i] - array.numpy()).max()))
    model.float()
    for name, value in worst.items():
        measured.at_most(f"{name}, SiglipModel, from the definition", value, 1e-5)


def test_image_tower_alone(cliplens, measured, saved, odd_folder, tmp_path):
    directory, model, _ = saved(KINDS[0])
    alone = SiglipVisionModel(model.config.vision_config).eval()
    alone.load_state_dict({k: v for k, v in model.state_dict().items() if k.startswith("vision_model.")},
                          strict=False)
    alone.save_pretrained(tmp_path / "alone")
    shutil.copy(directory / "preprocessor_config.json", tmp_path / "alone")
    got = embedded(cliplens, tmp_path / "alone", odd_folder, tmp_path / "x.npy")
    with torch.no_grad():
        rows = alone(pixels_of(cliplens, directory, odd_folder, tmp_path, SIDE)).pooler_output
    compare(measured, "image embeddings, SiglipVisionModel", got, F.normalize(rows, dim=-1).double().numpy())


def test_the_level_of_the_pool_by_its_definition(cliplens, measured, saved, odd_folder, tmp_path):
    directory, model, _ = saved(KINDS[0])
    made = cliplens.json("decompose", directory, "--level", "pool", "--images", odd_folder, "--out", tmp_path / "store")
    measured.at_most("certificate, SiglipModel at the level of the pool", made["certificate"]["max"], 1e-5)
    cliplens("export", tmp_path / "store", "--format", "npy", "--out", tmp_path / "arrays")
    heads, mlps = (np.load(tmp_path / "arrays" / f"{name}.npy") for name in ("attn", "mlp"))
    pixels = pixels_of(cliplens, directory, odd_folder, tmp_path, SIDE)
    worst = dict(heads=0.0, mlp=0.0)
    with torch.no_grad():
        for i, picture in enumerate(pixels[:4]):
            wanted = decomposed(model, picture)
            for name, got, array in (("heads", heads, wanted["pool_heads"]), ("mlp", mlps, wanted["mlps"][-1])):
                worst[name] = max(worst[name], float(np.abs(got[i, 0] - array.numpy()).max()))
    model.float()
    for name, value in worst.items():
        measured.at_most(f"{name} at the level of the pool, SiglipModel, from the definition", value, 1e-5)
