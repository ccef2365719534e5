"""CoCa (open_clip's): an image tower whose pool is an attention with a LayerNorm and a projection behind it,
a text tower that pools a row of its own behind the text. Random weights, few layers."""

from __future__ import annotations

import copy
import json

import numpy as np
import open_clip
import pytest
import torch
from open_clip.coca_model import CoCa
from safetensors.torch import save_file

from test_embeddings import TEXTS, compare
from test_image_towers import embedded, pixels_of
from models import draw_all

# "equal": a pool as wide as the tower, whose weights have other names.
MODELS = ["coca_ViT-B-32", "coca_ViT-L-14", "coca_base", "equal"]
# A text with id 0 ("!") in its middle, which the mask takes for padding; texts that leave one place of the
# context, and none.
MORE = ["wow!$ no!?! yes", "a " * 73, "a " * 74]


def configuration(name: str) -> dict:
    cfg = copy.deepcopy(open_clip.get_model_config("coca_ViT-B-32" if name == "equal" else name))
    cfg["vision_cfg"]["layers"] = 3
    cfg["text_cfg"] |= dict(layers=2, vocab_size=49408)
    cfg["multimodal_cfg"] |= dict(layers=1, vocab_size=49408)
    if name == "equal":
        cfg["embed_dim"] = 192
        cfg["vision_cfg"] |= dict(width=192, image_size=96, attn_pooler_queries=3)
        cfg["multimodal_cfg"] |= dict(width=192, heads=4)
    return cfg


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A CoCa model, its directory and its configuration."""
    made = {}

    def save(name):
        if name not in made:
            directory = tmp_path_factory.mktemp("coca")
            cfg = configuration(name)
            sizes = copy.deepcopy(cfg)
            sizes.pop("custom_text")
            model = CoCa(**sizes).eval()
            draw_all(model, 11)
            save_file({k: v.contiguous() for k, v in model.state_dict().items() if "attn_mask" not in k},
                      directory / "open_clip_model.safetensors")
            (directory / "open_clip_config.json").write_text(json.dumps(dict(model_cfg=cfg)))
            made[name] = directory, model, cfg
        return made[name]

    return save


@pytest.mark.parametrize("name", MODELS)
def test_embeddings(cliplens, measured, saved, odd_folder, tmp_path, name):
    directory, model, cfg = saved(name)
    got = embedded(cliplens, directory, odd_folder, tmp_path / "images.npy")
    pixels = pixels_of(cliplens, directory, odd_folder, tmp_path, cfg["vision_cfg"]["image_size"])
    tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=cfg["text_cfg"]["context_length"])
    texts = TEXTS + MORE
    ids = tokenizer(texts)
    assert any(0 in row[:row.argmax()] for row in ids)
    assert {75, 76} <= {int(row.argmax()) + 1 for row in ids}
    with torch.no_grad():
        images = model.encode_image(pixels, normalize=True).double().numpy()
        wanted = model.encode_text(ids, normalize=True).double().numpy()
    compare(measured, f"image embeddings, CoCa, {name}", got, images)
    lines, out = tmp_path / "texts.txt", tmp_path / "texts.npy"
    lines.write_text("\n".join(texts) + "\n")
    cliplens("embed", directory, "--texts", lines, "--truncate", "--out", out)
    compare(measured, f"text embeddings, CoCa, {name}", np.load(out), wanted)
    made = cliplens.json("decompose", directory, "--images", odd_folder, "--out", tmp_path / "store")
    measured.at_most(f"certificate, CoCa, {name}", made["certificate"]["max"], 1e-5)
    info = cliplens("info", directory)
    pool = "the class token's row" if name == "coca_base" else \
        "attention of 8 heads over all rows, then a LayerNorm and a projection"
    assert f"pooled         {pool}\n" in info
    assert "\n  not read       the text decoder\n" in info
    assert "and 3 MLPs\n" in info and "POOL.MLP" not in info


def decomposed(model, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """One picture's embedding as a sum, by the definition: head by head and token by token."""
    v = model.visual.double()
    x = v._embeds(pixels[None].double())[0]
    tokens, width = x.shape
    parts, written, biases = [x], [], []
    for block in v.transformer.resblocks:
        y = block.ln_1(x)
        heads, k = block.attn.num_heads, block.attn.head_dim
        qkv = y @ block.attn.in_proj_weight.T + block.attn.in_proj_bias
        q, key, value = qkv.reshape(tokens, 3, heads, k).permute(1, 2, 0, 3)
        pattern = (q @ key.transpose(1, 2) / k ** 0.5).softmax(-1)
        out = block.attn.out_proj.weight.T.reshape(heads, k, width)
        written.append(torch.einsum("hqi,hik,hkd->hqid", pattern, value, out))
        biases.append(block.attn.out_proj.bias)
        x = x + written[-1].sum((0, 2)) + biases[-1]
        parts.append(block.mlp(block.ln_2(x)))
        x = x + parts[-1]
    pool = v.attn_pool
    a, norm, behind = pool.attn, pool.ln_k, v.ln_post
    mean = x.mean(-1)
    sigma = (((x - mean[:, None]) ** 2).mean(-1) + norm.eps).sqrt()
    count, size, k = a.num_heads, a.embed_dim, a.head_dim
    if a.in_proj_weight is not None:
        w_q, w_k, w_v = a.in_proj_weight.chunk(3)
    else:
        w_q, w_k, w_v = a.q_proj_weight, a.k_proj_weight, a.v_proj_weight
    b_q, b_k, b_v = a.in_proj_bias.chunk(3)
    query = (pool.ln_q(pool.query[0]) @ w_q.T + b_q).reshape(count, k)
    keys = (norm(x) @ w_k.T + b_k).reshape(tokens, count, k)
    weights = (torch.einsum("pk,qpk->pq", query, keys) / k ** 0.5).softmax(-1)
    o_weight = a.out_proj.weight.T.reshape(count, k, size)
    through = torch.einsum("pkd,pke->pde", w_v.reshape(count, k, width), o_weight)

    def pooled(rows):  # [..., q, D]: what rows behind the blocks add to the attention's output
        return torch.einsum("pq,...qd,pde->...e", weights, rows / sigma[:, None] * norm.weight, through)

    constant = (norm.bias @ w_v.T + b_v) @ a.out_proj.weight.T + a.out_proj.bias
    o = pooled(x - mean[:, None]) + constant
    sigma_o = (((o - o.mean()) ** 2).mean() + behind.eps).sqrt()

    def embedded_(rows):  # [..., C] of o to the embedding, but for the bias of the LayerNorm
        return (rows - rows.mean(-1, keepdim=True)) / sigma_o * behind.weight @ v.proj

    terms = 2 * len(biases) + 1
    shared = (embedded_(constant - pooled(mean[:, None].expand(tokens, width))) + behind.bias @ v.proj) / terms
    e = embedded_(o) + behind.bias @ v.proj
    by_token = torch.stack([
        embedded_(pooled(w.permute(0, 2, 1, 3)))
        + (embedded_(pooled(b.expand(tokens, width))) + shared) / (len(w) * tokens)
        for w, b in zip(written, biases)])
    mlps = torch.stack([embedded_(pooled(part)) + shared for part in parts])
    return dict(heads=by_token / e.norm(), mlps=mlps / e.norm(), embedding=e / e.norm())


@pytest.mark.parametrize("name", ["coca_ViT-B-32", "equal"])
def test_the_sum_by_its_definition(cliplens, measured, saved, odd_folder, tmp_path, name):
    directory, model, cfg = saved(name)
    model = copy.deepcopy(model)
    cliplens("decompose", directory, "--images", odd_folder, "--out", tmp_path / "store")
    cliplens("export", tmp_path / "store", "--format", "npy", "--out", tmp_path / "arrays")
    got = {part: np.load(tmp_path / "arrays" / f"{part}.npy") for part in ("attn", "mlp", "embedding")}
    pixels = pixels_of(cliplens, directory, odd_folder, tmp_path, cfg["vision_cfg"]["image_size"])
    worst = dict.fromkeys(got, 0.0)
    text = "a red car by the sea"
    (tmp_path / "text.txt").write_text(text + "\n")
    cliplens("embed", directory, "--texts", tmp_path / "text.txt", "--out", tmp_path / "text.npy")
    direction = np.load(tmp_path / "text.npy")[0].astype(np.float64)
    with torch.no_grad():
        for i, picture in enumerate(pixels):
            wanted = decomposed(model, picture)
            whole = wanted["heads"].sum((0, 1, 2)) + wanted["mlps"].sum(0)
            assert (whole - wanted["embedding"]).abs().max() < 1e-13
            arrays = dict(attn=wanted["heads"].sum(2), mlp=wanted["mlps"], embedding=wanted["embedding"])
            for part, array in arrays.items():
                worst[part] = max(worst[part], float(np.abs(got[part][i] - array.numpy()).max()))
            if i > 0:
                continue
            file = sorted(odd_folder.iterdir())[0]
            map_ = cliplens.json("heatmap", directory, "--image", file, "--text", text)
            tokens = wanted["heads"].sum((0, 1)).numpy() @ direction
            measured.at_most(f"heat map, CoCa, {name}, from the definition",
                             np.abs(np.array(map_["map"]).ravel() - tokens[1:]).max(), 1e-5)
            rest = sum(value for value in map_["rest"].values())
            measured.at_most(f"heat map and rest, CoCa, {name}, from the score",
                             abs(np.sum(map_["map"]) + rest - wanted["embedding"].numpy() @ direction), 1e-5)
    for part, value in worst.items():
        measured.at_most(f"{part}, CoCa, {name}, from the definition", value, 1e-5)


def test_words_of_a_text(cliplens, saved, odd_folder):
    directory, _, _ = saved("equal")
    picture = sorted(odd_folder.iterdir())[0]
    words = cliplens.json("explain", directory, "--image", picture, "--text", "a red car")["words"]
    assert [word["text"] for word in words if word["kind"] == "word"] == \
        ["‹start›", "a", "red", "car", "‹end›", "‹padding›", "‹class›"]


def test_another_text_tower(cliplens, measured, saved, odd_folder, tmp_path):
    """coca_roberta's kind: no pool by attention, texts are rows made elsewhere."""
    directory, model, cfg = saved("coca_base")
    alone = tmp_path / "model"
    alone.mkdir()
    state = {k: v.contiguous() for k, v in model.state_dict().items() if not k.startswith("text.")}
    state["text.transformer.embeddings.word_embeddings.weight"] = torch.randn(50, 8)
    save_file(state, alone / "open_clip_model.safetensors")
    cfg = cfg | dict(text_cfg=open_clip.get_model_config("coca_roberta-ViT-B-32")["text_cfg"])
    (alone / "open_clip_config.json").write_text(json.dumps(dict(model_cfg=cfg)))
    got = embedded(cliplens, alone, odd_folder, tmp_path / "x.npy")
    assert np.array_equal(got, embedded(cliplens, directory, odd_folder, tmp_path / "y.npy"))
    texts = directory / "open_clip_config.json"
    refused = cliplens.run("embed", alone, "--texts", texts, "--out", tmp_path / "z.npy")
    assert refused.returncode == 7 and "--text-rows" in refused.stderr
