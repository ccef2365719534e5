"""open_clip's models with an image tower of timm's or with a text tower apart (custom_text): random weights,
each by its published configuration, with a small vocabulary and few layers: tests/parity/test_architectures.py
holds the sizes of all names against timm."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file

import other_tokenizers
from test_embeddings import TEXTS, compare
from test_image_towers import embedded, pixels_of
from models import draw_all
from test_worldwide import embedded as texts_embedded

# Architectures, and the layout of the tokenizer for those that have one of their own.
MODELS = {
    "ViT-B-16-SigLIP": "SigLIP's spiece.model",
    "ViT-B-32-SigLIP2-256": "Gemma's tokenizer.json through open_clip",
    "ViT-L-14-CLIPA": "BERT's vocab.txt",
    "PE-Core-T-16-384": None,
    "EVA02-B-16": None,
    "MobileCLIP2-B": None,
    "ViTamin-S": None,
    "vit_medium_patch16_gap_256": None,
    "EVA02-E-14 made small": None,
    "ViT-S/14 with registers": None,
    "ViT-M/16 with registers and a mean": None,
    # As ViT-SO400M-16-SigLIP-i18n-256.
    "ViT-B-16-SigLIP without a projection of texts": "SigLIP's spiece.model",
}
# Whose heads are compared with the definition.
WITH_HEADS = ["EVA02-B-16", "MobileCLIP2-B", "ViTamin-S", "EVA02-E-14 made small", "ViT-S/14 with registers",
              "ViT-M/16 with registers and a mean"]
# Towers of timm's in other sizes than those of their names, or in place of a published configuration's.
CHANGED = {name: (name.split()[0], None, dict(depth=4)) for name in (
    "EVA02-B-16", "MobileCLIP2-B", "vit_medium_patch16_gap_256",
    "ViT-B-16-SigLIP without a projection of texts")} | {
    "EVA02-E-14 made small": ("EVA02-E-14", "eva02_enormous_patch14_clip_224", dict(
        img_size=70, embed_dim=192, depth=6, num_heads=6, mlp_ratio=8.6)),
    "ViT-S/14 with registers": ("EVA02-B-16", "vit_small_patch14_reg4_dinov2", dict(
        img_size=126, depth=5, reg_tokens=3)),
    "ViT-M/16 with registers and a mean": ("EVA02-B-16", "vit_medium_patch16_reg4_gap_256", dict(
        img_size=128, depth=5)),
}
OTHER_SIZES = {"MobileCLIP2-B": 170, "ViTamin-S": 160}


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    return other_tokenizers.write_all(tmp_path_factory.mktemp("timm"))


def head_contributions(model, pixels: torch.Tensor) -> np.ndarray:
    """[L, H, E] of one picture by the definition in fp64, of a tower whose class token's row is pooled, or the
    mean of the patches' rows. A LayerNorm over the heads' outputs is part of what a head writes. One behind the
    attention centres what each head writes, and its bias is a constant; LayerScale is folded into W_O."""
    visual = model.visual.double()
    trunk = visual.trunk
    mean_of_rows = trunk.global_pool == "avg"
    norm = trunk.fc_norm if mean_of_rows else trunk.norm
    first = getattr(trunk, "num_prefix_tokens", 0)
    pooled = (lambda rows: rows[0, first:].mean(0)) if mean_of_rows else (lambda rows: rows[0, 0])
    written, last, behind = [], [], []
    hooks = [block.attn.proj.register_forward_pre_hook(lambda _, x: written.append(pooled(x[0])))
             for block in trunk.blocks]
    post_norm = type(trunk.blocks[0]).__name__ == "EvaBlockPostNorm"
    if post_norm:
        hooks += [block.norm1.register_forward_pre_hook(lambda _, x: behind.append(pooled(x[0])))
                  for block in trunk.blocks]
    hooks.append(norm.register_forward_pre_hook(lambda _, x: last.append(x[0][0] if mean_of_rows else x[0][0, 0])))
    raw = visual(pixels[None].double())[0]
    for hook in hooks:
        hook.remove()
    x, head = last[0], getattr(visual.head, "proj", trunk.head)
    mean, sigma = x.mean(), ((x - x.mean()) ** 2).mean().add(norm.eps).sqrt()
    layers, heads = len(trunk.blocks), trunk.blocks[0].attn.num_heads
    parts = 2 * layers + 1
    rows = []
    for layer, (block, z) in enumerate(zip(trunk.blocks, written)):
        scale = getattr(getattr(block, "ls1", None), "gamma", torch.ones(x.numel(), dtype=torch.float64))
        out = (scale[:, None] * block.attn.proj.weight).T.reshape(heads, -1, x.numel())
        r = torch.einsum("hk,hkd->hd", z.reshape(heads, -1), out) + scale * block.attn.proj.bias / heads
        if post_norm:
            a, own = behind[layer], block.norm1
            of_a = ((a - a.mean()) ** 2).mean().add(own.eps).sqrt()
            r = (r - r.mean(1, keepdim=True)) / of_a * own.weight + own.bias / heads
        r = r - mean / parts / heads
        row = (r * norm.weight / sigma + norm.bias / (parts * heads)) @ head.weight.T
        rows.append(row if head.bias is None else row + head.bias / (parts * heads))
    return (torch.stack(rows) / raw.norm()).numpy()


def compare_at_another_size(cliplens, measured, name, directory, reference, odd_folder, tmp_path, side):
    """`--image-size` against timm's set_input_size."""
    size = ("--image-size", side)
    got = tmp_path / "other.npy"
    cliplens("embed", directory, *size, "--images", odd_folder, "--out", got)
    pixels = []
    for path in sorted(odd_folder.iterdir()):
        out = tmp_path / f"{path.name}.npy"
        cliplens("preprocess", directory, *size, "--image", path, "--out", out)
        pixels.append(torch.from_numpy(np.load(out)).reshape(3, side, side))
    other = copy.deepcopy(reference)
    other.visual.set_input_size(side)
    with torch.no_grad():
        wanted = other.encode_image(torch.stack(pixels), normalize=True).double().numpy()
    compare(measured, f"image embeddings, {name} at {side} pixels", np.load(got), wanted)


def head_contributions_to_the_mean(model, pixels: torch.Tensor) -> np.ndarray:
    """The same of a tower without a class token, whose rows' mean behind the final LayerNorm is pooled, with
    LayerScale and a projection apart."""
    trunk, projection = model.visual.trunk.double(), model.visual.head.proj.double()
    written, last = [], []
    hooks = [block.attn.proj.register_forward_pre_hook(lambda _, x: written.append(x[0][0]))
             for block in trunk.blocks]
    hooks.append(trunk.norm.register_forward_pre_hook(lambda _, x: last.append(x[0][0])))
    raw = projection(trunk(pixels[None].double()))[0]
    for hook in hooks:
        hook.remove()
    x, norm = last[0], trunk.norm
    mean, sigma = x.mean(1), ((x - x.mean(1, keepdim=True)) ** 2).mean(1).add(norm.eps).sqrt()
    tokens, width = x.shape
    layers, heads = len(trunk.blocks), trunk.blocks[0].attn.num_heads
    parts = 2 * layers + 1
    rows = []
    for block, z in zip(trunk.blocks, written):
        weight = block.ls1.gamma[:, None] * block.attn.proj.weight
        bias = block.ls1.gamma * block.attn.proj.bias
        r = torch.einsum("qhk,hkd->hqd", z.reshape(tokens, heads, -1), weight.T.reshape(heads, -1, width))
        r = r + (bias - mean[:, None] / parts) / heads
        normed = r / sigma[:, None] * norm.weight + norm.bias / (parts * heads)
        rows.append(normed.mean(1) @ projection.weight.T)
    return (torch.stack(rows) / raw.norm()).numpy()


@pytest.mark.parametrize("name", MODELS)
def test_embeddings(cliplens, measured, layouts, odd_folder, tmp_path, monkeypatch, name):
    published, tower, sizes = CHANGED.get(name, (name.split()[0], None, {}))
    cfg = copy.deepcopy(open_clip.get_model_config(published))
    if tower:
        cfg["vision_cfg"] |= dict(timm_model_name=tower, timm_pool="avg" if "gap" in tower else "token",
                                  image_size=sizes["img_size"])
    if sizes:
        create = timm.create_model
        monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: create(*args, **kwargs, **sizes))
    if name.endswith("without a projection of texts"):
        cfg["text_cfg"] |= dict(proj_type="none", proj_bias=False)
    directory = tmp_path / "model"
    directory.mkdir()
    cfg["text_cfg"]["layers"] = 2
    if "timm_model_name" not in cfg["vision_cfg"]:
        cfg["vision_cfg"]["layers"] = 3
    layout = layouts[MODELS[name]] if MODELS[name] else None
    kwargs = cfg["text_cfg"].get("tokenizer_kwargs", {})
    if layout is not None:
        for file in layout.path.iterdir():
            shutil.copy(file, directory)
        tokenizer = open_clip.tokenizer.HFTokenizer(
            str(layout.path), context_length=cfg["text_cfg"]["context_length"], **kwargs)
        cfg["text_cfg"]["vocab_size"] = len(tokenizer.tokenizer) + 2
    else:
        tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=cfg["text_cfg"]["context_length"])
    made = copy.deepcopy(cfg)
    custom = made.pop("custom_text", False)
    for key in ("hf_tokenizer_name", "tokenizer_kwargs"):
        made["text_cfg"].pop(key, None)
    reference = (CustomTextCLIP if custom else CLIP)(**made).eval()
    draw_all(reference, 7)
    if sizes:  # an addition to open_clip's format
        cfg["vision_cfg"]["timm_model_kwargs"] = sizes
    state = {k: v.contiguous() for k, v in reference.state_dict().items() if "attn_mask" not in k}
    save_file(state, directory / "open_clip_model.safetensors")
    (directory / "open_clip_config.json").write_text(json.dumps(dict(
        model_cfg=cfg, preprocess_cfg=dict(mean=[0.5] * 3, std=[0.5] * 3, resize_mode="squash"))))
    got = embedded(cliplens, directory, odd_folder, tmp_path / "images.npy")
    side = cfg["vision_cfg"]["image_size"]
    pixels = pixels_of(cliplens, directory, odd_folder, tmp_path, side)
    with torch.no_grad():
        wanted = reference.encode_image(pixels, normalize=True).double().numpy()
        texts = reference.encode_text(tokenizer(TEXTS), normalize=True).double().numpy()
    compare(measured, f"image embeddings, {name}", got, wanted)
    compare(measured, f"text embeddings, {name}", texts_embedded(cliplens, directory, tmp_path), texts)
    if name in OTHER_SIZES:
        compare_at_another_size(cliplens, measured, name, directory, reference, odd_folder, tmp_path,
                                OTHER_SIZES[name])
    made = cliplens.json("decompose", directory, "--images", odd_folder, "--out", tmp_path / "store")
    measured.at_most(f"certificate, {name}", made["certificate"]["max"], 1e-5)
    definitions = {one: head_contributions for one in WITH_HEADS}
    definitions["vit_medium_patch16_gap_256"] = head_contributions_to_the_mean
    if name not in definitions:
        return
    heat = cliplens.json("heatmap", directory, "--image", sorted(odd_folder.iterdir())[0], "--text", TEXTS[0])
    score = float(wanted[0] @ texts[0])
    measured.at_most(f"score of a heat map, {name}", abs(heat["score"] - score), 1e-5)
    measured.at_most(f"heat map and rest, {name}, from the score",
                     abs(np.sum(heat["map"]) + sum(heat["rest"].values()) - score), 1e-5)
    cliplens("export", tmp_path / "store", "--format", "npy", "--out", tmp_path / "arrays")
    heads = np.load(tmp_path / "arrays/attn.npy")
    with torch.no_grad():
        worst = max(np.abs(heads[i] - definitions[name](reference, pixels[i])).max() for i in range(4))
    measured.at_most(f"contributions of heads, {name}, from the definition", worst, 1e-5)
