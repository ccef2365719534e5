"""Maps and figures of `evaluate segmentation`, computed again in fp64 from the weights.

A forward pass in NumPy forms what attention adds through every token as a vector of the embedding's
E numbers, as "Interpreting CLIP's Image Representation via Text-Based Decomposition" (arXiv
2310.05916) defines it, on the shipped model (K = 32) and on one with heads of 80.
"""

import io
import json
import math
import tarfile

import numpy as np
import pytest
from PIL import Image

from bench.segmentation import metrics
from test_analysis_twins import (ROOT, SHIPPED, TEXTS, WEIGHTS, cliplens, make_wide_heads,
                                 read_safetensors)

PICTURES = 6
METHODS = ("decomposition", "raw-attention", "rollout", "patch-text")
CLASSES = ("--classes", TEXTS / "objects.txt", "--templates", TEXTS / "objects.templates.txt")
erf = np.vectorize(math.erf)


@pytest.fixture(scope="module", params=["shipped", "wide"])
def case(request, tmp_path_factory):
    """A model and a few pictures with masks."""
    folder = tmp_path_factory.mktemp(request.param)
    model = SHIPPED
    if request.param == "wide":
        model = folder / "model"
        make_wide_heads(model)
    pictures = folder / "pictures"
    with tarfile.open(ROOT / "world/sets/single/single-000.tar") as shard:
        members = [m for m in shard if m.name.endswith(".png")][:2 * PICTURES]
        for member in members:
            path = pictures / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(shard.extractfile(member).read())
    return folder, model, pictures


def norm(x, weights, name):
    mean = x.mean(-1, keepdims=True)
    deviation = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return (x - mean) / deviation * weights[name + ".weight"] + weights[name + ".bias"]


class Tower:
    """The image tower in fp64."""

    def __init__(self, model):
        read = read_safetensors(model / WEIGHTS)
        self.w = {k.removeprefix("visual."): v.astype(np.float64) for k, v in read.items()
                  if k.startswith("visual.")}
        config = json.loads((model / "open_clip_config.json").read_text())["model_cfg"]
        vision = config["vision_cfg"]
        self.layers, self.width = vision["layers"], vision["width"]
        self.head = vision.get("head_width", 64)
        self.heads = self.width // self.head
        self.patch = vision["patch_size"]

    def run(self, pixels):
        """Maps by method for a direction [E] as functions, and the unit embedding."""
        w, patch, heads, k = self.w, self.patch, self.heads, self.head
        grid = pixels.shape[-1] // patch
        cut = pixels.reshape(3, grid, patch, grid, patch).transpose(1, 3, 0, 2, 4)
        tokens = cut.reshape(grid * grid, -1) @ w["conv1.weight"].reshape(self.width, -1).T
        x = np.concatenate([w["class_embedding"][None], tokens]) + w["positional_embedding"]
        x = norm(x, w, "ln_pre")
        n = len(x)
        parts = np.zeros((n, self.width))  # of attention, by token, before the final LayerNorm
        attentions = []
        for layer in range(self.layers):
            b = f"transformer.resblocks.{layer}."
            qkv = norm(x, w, b + "ln_1") @ w[b + "attn.in_proj_weight"].T
            qkv += w[b + "attn.in_proj_bias"]
            q, key, value = (part.reshape(n, heads, k).transpose(1, 0, 2)
                             for part in np.split(qkv, 3, 1))
            logits = q @ key.transpose(0, 2, 1) / np.sqrt(k)
            attention = np.exp(logits - logits.max(-1, keepdims=True))
            attention /= attention.sum(-1, keepdims=True)
            out = w[b + "attn.out_proj.weight"]
            for h in range(heads):
                piece = attention[h, 0][:, None] * value[h]
                parts += piece @ out[:, h * k:(h + 1) * k].T
            parts += w[b + "attn.out_proj.bias"] / n
            mixed = (attention @ value).transpose(1, 0, 2).reshape(n, self.width)
            x = x + mixed @ out.T + w[b + "attn.out_proj.bias"]
            hidden = norm(x, w, b + "ln_2") @ w[b + "mlp.c_fc.weight"].T + w[b + "mlp.c_fc.bias"]
            hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
            x = x + hidden @ w[b + "mlp.c_proj.weight"].T + w[b + "mlp.c_proj.bias"]
            attentions.append(attention)
        embedded = norm(x, w, "ln_post") @ w["proj"]
        length = np.linalg.norm(embedded[0])
        mu, sigma = x[0].mean(), np.sqrt(x[0].var() + 1e-5)
        share = self.layers / (2 * self.layers + 1) / n
        contributions = ((w["ln_post.weight"] * (parts - mu * share) / sigma
                          + w["ln_post.bias"] * share) @ w["proj"]) / length
        rolled = np.eye(n)
        for attention in attentions:
            rolled = (attention.mean(0) + np.eye(n)) / 2 @ rolled
        unit = embedded / np.linalg.norm(embedded, axis=-1, keepdims=True)
        maps = {"decomposition": lambda t: contributions @ t,
                "raw-attention": lambda t: attentions[-1].mean(0)[0],
                "rollout": lambda t: rolled[0], "patch-text": lambda t: unit @ t}
        return {name: lambda t, f=f: f(t)[1:].reshape(grid, grid)
                for name, f in maps.items()}, unit[0]


def classifier(model, folder):
    names = [line.split("\t")[0] for line in (TEXTS / "objects.txt").read_text().splitlines()]
    patterns = (TEXTS / "objects.templates.txt").read_text().splitlines()
    texts = [p.replace("{}", n) for n in names for p in patterns]
    (folder / "all.txt").write_text("\n".join(texts) + "\n")
    cliplens("embed", model, "--texts", folder / "all.txt", "--out", folder / "all.npy")
    rows = np.load(folder / "all.npy").astype(np.float64)
    rows = rows.reshape(len(names), len(patterns), -1).mean(1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_maps_and_figures_are_those_of_the_definition(case):
    folder, model, pictures = case
    paths = sorted(p for p in pictures.rglob("*.png") if ".mask." not in p.name)
    masks = [(np.asarray(Image.open(p.with_suffix(".mask.png")).convert("L")) > 0).astype(int)
             for p in paths]
    rows = classifier(model, folder)
    tower = Tower(model)
    passes = []
    for i, path in enumerate(paths):
        cliplens("preprocess", model, "--image", path, "--out", folder / f"{i}.npy")
        passes.append(tower.run(np.load(folder / f"{i}.npy").astype(np.float64)))
    for method in METHODS:
        said = cliplens("evaluate", "segmentation", model, "--images", pictures, *CLASSES,
                        "--method", method, "--maps", folder / f"{method}.npy")
        maps = np.load(folder / f"{method}.npy")
        for (by_method, embedding), found in zip(passes, maps, strict=True):
            direction = rows[np.argmax(rows @ embedding)] - rows.mean(0)
            expected = by_method[method](direction)
            assert np.abs(found - expected).max() < 2e-5 * max(1, np.abs(expected).max()), method
        for name, value in metrics.figures(maps, masks).items():
            assert said["all"][name]["value"] == pytest.approx(value, abs=2e-4), (method, name)


def by_neurons(folder, model, pictures):
    """Options of maps by neurons; the store is made once."""
    if not (folder / "neurons").exists():
        cliplens("neurons", "collect", model, "--images", pictures, "--out", folder / "neurons",
                 "--layers", "last-2")
    return {"neurons": ("--neurons", folder / "neurons", "--top-neurons", 5),
            "neuron-effects": ("--neurons", folder / "neurons")}


@pytest.mark.parametrize("cut", ["mean", "half"])
@pytest.mark.parametrize("method", [*METHODS, "neurons", "neuron-effects"])
def test_segment_and_evaluate_segmentation_have_the_same_maps(case, method, cut, tmp_path):
    _, model, pictures = case
    path = sorted(p for p in pictures.rglob("*.png") if ".mask." not in p.name)[0]
    how = ("--method", method, "--cut", cut, *by_neurons(*case).get(method, ()))
    cliplens("evaluate", "segmentation", model, "--images", pictures, *CLASSES, *how, "--maps",
             tmp_path / "maps.npy")
    said = cliplens("segment", model, "--image", path, *CLASSES, *how, "--out",
                    tmp_path / "mask.png", "--npy", tmp_path / "map.npy")
    mask, values = np.asarray(Image.open(tmp_path / "mask.png")), np.load(tmp_path / "map.npy")
    expected = metrics.enlarged(np.load(tmp_path / "maps.npy")[0].astype(np.float64), 80)
    if cut == "mean":
        expected = np.maximum(expected, 0)
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    assert np.abs(values - expected).max() < 1e-5
    assert (said["method"], said["cut"]) == (method, cut)
    assert said["mean"] == pytest.approx(expected.mean(), abs=1e-6)
    assert said["threshold"] == (said["mean"] if cut == "mean" else 0.5)
    clear = np.abs(expected - said["threshold"]) > 1e-5
    assert ((mask == 255) == (expected > said["threshold"]))[clear].all()


def test_segment_writes_the_mask_of_the_map(case):
    folder, model, pictures = case
    path = sorted(p for p in pictures.rglob("*.png") if ".mask." not in p.name)[0]
    said = cliplens("segment", model, "--image", path, *CLASSES, "--out", folder / "mask.png",
                    "--npy", folder / "map.npy")
    mask, values = np.asarray(Image.open(folder / "mask.png")), np.load(folder / "map.npy")
    assert mask.shape == values.shape == (80, 80)
    assert set(np.unique(mask)) <= {0, 255} and said["object_pixels"] == (mask == 255).sum()
    assert values.max() == 1 and values.min() == 0
    assert np.abs(said["mean"] - values.mean()) < 1e-6
    assert ((values > said["mean"]) == (mask == 255)).all()
