"""Contributions and their statistics against the definition, computed token by token in fp64."""

from __future__ import annotations

import functools
import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

import models
from harness import SHIPPED
from reference import VisionTower

MODELS = [*models.MODELS, SHIPPED]
MAX_ABS = 1e-5
CERTIFICATE = 1e-5
# Statistics are sums in fp64 of numbers that both sides read from the same shards.
STATISTICS = 1e-11


@functools.cache
def definition(directory, pictures):
    """Every picture of a folder, in the order of names: attn, mlp, cls_attn, embedding."""
    tower = VisionTower(directory)
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{directory}")
    parts = [tower.decompose(transform(Image.open(path)).numpy())
             for path in sorted(pictures.iterdir())]
    return {name: torch.stack([getattr(part, field) for part in parts]).numpy()
            for name, field in dict(attn="attn", mlp="mlps", cls_attn="cls_attn",
                                    embedding="embedding").items()}


def total(arrays) -> np.ndarray:
    return arrays["attn"].sum((1, 2), dtype=np.float64) + arrays["mlp"].sum(1, dtype=np.float64)


def certificate(arrays) -> np.ndarray:
    """|sum of contributions - embedding| / |embedding| of each picture."""
    embedding = arrays["embedding"].astype(np.float64)
    return np.linalg.norm(total(arrays) - embedding, axis=1) / np.linalg.norm(embedding, axis=1)


@pytest.mark.parametrize("name", MODELS)
def test_the_definition_is_the_model(measured, model_folders, odd_folder, name):
    """The fp64 forward pass is open_clip's in fp64, and its parts add up: what the other tests
    compare with is right."""
    directory = model_folders[name]
    wanted = definition(directory, odd_folder)
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{directory}")
    pixels = torch.stack([transform(Image.open(p)) for p in sorted(odd_folder.iterdir())])
    with torch.no_grad():
        embedding = model.double().encode_image(pixels.double(), normalize=True).numpy()
    measured.at_most(f"the fp64 definition against open_clip in fp64, {name}",
                     np.abs(embedding - wanted["embedding"]).max(), 1e-12)
    measured.at_most(f"the fp64 definition's certificate, {name}", certificate(wanted).max(), 1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_contributions(measured, model_folders, odd_folder, stores, exports, name):
    wanted = definition(model_folders[name], odd_folder)
    store, printed = stores(name, "odd")
    got = exports(name, "odd")
    paths = [json.loads(line)["path"] for line in (store / "items-00000.jsonl").read_text().splitlines()]
    assert paths == [path.name for path in sorted(odd_folder.iterdir())]
    for array, value in got.items():
        assert value.dtype == np.float32 and value.shape == wanted[array].shape
        measured.at_most(f"{array} against the definition, {name}: largest difference",
                         np.abs(value - wanted[array]).max(), MAX_ABS)
    ours = certificate(got)
    measured.at_most(f"certificate of the exported arrays, {name}", ours.max(), CERTIFICATE)
    measured.at_most(f"certificate that decompose prints, {name}", printed["certificate"]["max"],
                     CERTIFICATE)
    assert printed["certificate"]["mean"] <= printed["certificate"]["max"]


@pytest.mark.parametrize("name", ["odd", SHIPPED])
def test_store_of_halves(measured, model_folders, odd_folder, stores, exports, name):
    """A store of halves holds the nearest halves of a store of floats, and its certificate is that
    of what it holds."""
    floats, halves = stores(name, "odd")[0], stores(name, "odd", "--store-dtype", "fp16")[0]
    shards = [load_file(next(store.glob("shard-*.safetensors"))) for store in (floats, halves)]
    for tensor in ("head_z", "mlp", "cls_attn", "embedding"):
        assert shards[0][tensor].dtype == np.float32 and shards[1][tensor].dtype == np.float16
        assert np.array_equal(shards[0][tensor].astype(np.float16), shards[1][tensor])
    assert np.array_equal(shards[0]["ln"], shards[1]["ln"])
    wanted = definition(model_folders[name], odd_folder)
    got = exports(name, "odd", "--store-dtype", "fp16")
    for array, value in got.items():
        measured.note(f"{array} from a store of halves, {name}: largest difference",
                      np.abs(value - wanted[array]).max())
    printed = stores(name, "odd", "--store-dtype", "fp16")[1]["certificate"]["max"]
    measured.note(f"certificate of a store of halves, {name}", printed)
    measured.at_most(f"printed certificate of halves against the arrays', {name}",
                     abs(certificate(got).max() - printed), 1e-6)


def relative(got: np.ndarray, wanted: np.ndarray) -> float:
    assert got.shape == wanted.shape
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def scatter(rows: np.ndarray) -> np.ndarray:
    """[B, ..., n] to [..., n, n]: the second moment about the mean, not divided by B."""
    centred = rows - rows.mean(0)
    return np.einsum("b...i,b...j->...ij", centred, centred, optimize=True)


def exact(pairs: np.ndarray, unit: int) -> np.ndarray:
    """Integers [..., 2] of 128 bits times 2^-unit, in long doubles: differences of sums would lose
    digits in doubles."""
    low, high = pairs[..., 0].copy().view(np.uint64), pairs[..., 1]
    integers = high.astype(np.longdouble) * 2.0**64 + low.astype(np.longdouble)
    return integers * np.longdouble(2)**-unit


def about_mean(count: int, sums: np.ndarray, triangle: np.ndarray):
    """Mean and scatter about it from Σ x [..., n] and the triangle of Σ x x^T [..., n(n+1)/2]."""
    n = sums.shape[-1]
    rows, columns = np.triu_indices(n)
    square = np.zeros((*sums.shape, n), np.longdouble)
    square[..., rows, columns] = square[..., columns, rows] = triangle
    mean = sums / count
    return (mean.astype(np.float64),
            (square - count * mean[..., :, None] * mean[..., None, :]).astype(np.float64))


@pytest.mark.parametrize("options", [("--slices", "1"), ()], ids=["one slice", "eight slices"])
@pytest.mark.parametrize("name", ["odd", SHIPPED])
def test_statistics(measured, stores, name, options):
    store = stores(name, "world", *options)[0]
    label = f"{name}, {'one slice' if options else 'slices merged'}"
    shard = {key: value.astype(np.float64)
             for key, value in load_file(next(store.glob("shard-*.safetensors"))).items()}
    basis = load_file(store / "basis.safetensors")["heads"].astype(np.float64)  # [L, H, K+3, E]
    got = {key: exact(value, 90 if key.endswith("_square") else 72)
           if value.shape[-1:] == (2,) and value.dtype == np.int64 else value
           for key, value in load_file(store / "stats.safetensors").items()}
    images = got["count"].sum()
    z = shard["head_z"].transpose(2, 0, 1, 3)  # [B, L, H, K]
    mean, sigma, norm = (v[:, None, None, None] for v in shard["ln"].T)
    ones = np.ones_like(z[..., :1])
    factors = np.concatenate([z, ones, mean * ones, sigma * ones], -1) / (sigma * norm)
    joint, second = about_mean(images, got["head_sum"].sum(0), got["head_square"].sum(0))
    measured.at_most(f"statistics, mean of factors, {label}: relative",
                     relative(joint, factors.mean(0)), STATISTICS)
    measured.at_most(f"statistics, second moment of factors, {label}: relative",
                     relative(second, scatter(factors)), STATISTICS)

    arrays = dict(mlp=shard["mlp"].transpose(1, 0, 2), cls_attn=shard["cls_attn"].transpose(1, 0, 2))
    for array, rows in arrays.items():
        joint, second = about_mean(images, got[f"{array}_sum"].sum(0),
                                   got[f"{array}_total_square"])
        measured.at_most(f"statistics, mean of {array}, {label}: relative",
                         relative(joint, rows.mean(0)), STATISTICS)
        measured.at_most(f"statistics, second moment of {array}, {label}: relative",
                         relative(second, scatter(rows)), STATISTICS)
    if options:
        arrays["embedding"] = shard["embedding"][:, None]
        centred = {array: rows - rows.mean(0) for array, rows in arrays.items()}
        means = {}
        for array, rows in arrays.items():
            means[array] = got[f"{array}_sum"][0].reshape(rows.shape[1:]) / images
            trace = got[f"{array}_square"][0] - images * (means[array] ** 2).sum(-1)
            measured.at_most(f"statistics, slice trace of {array}, {label}: relative",
                             relative(np.atleast_1d(trace).astype(np.float64),
                                      (centred[array] ** 2).sum((0, 2))), STATISTICS)
        attn = np.einsum("blhk,lhke->blhe", factors, basis, optimize=True)
        parts = np.concatenate([attn.reshape(len(attn), -1, attn.shape[-1]), arrays["mlp"]], 1)
        shared = np.einsum("bce,be->c", parts - parts.mean(0), centred["embedding"][:, 0])
        between = images * parts.mean(0) @ means["embedding"][0].astype(np.float64)
        measured.at_most(f"statistics, share of the variance, {label}: relative",
                         relative(got["shared"][0].astype(np.float64) - between, shared),
                         STATISTICS)
