"""Embeddings of pictures and texts against open_clip, which loads the same directories."""

from __future__ import annotations

import copy
import functools
import pathlib

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

import models
from harness import SHIPPED

MODELS = [*models.MODELS, SHIPPED]
MAX_ABS = 2e-5
COSINE = 0.99999

TEXTS = [
    "a photo of a cat", "A PHOTO OF A DOG!", "x", "...", "don't they've I'll we're", "1990s 4x4 3.14",
    "schön voilà naïve café", "日本語のテキスト", "Привет, мир", "👩‍👩‍👧 🇩🇪 1️⃣", "AT&amp;T &lt;b&gt;",
    "a  lot   of    blanks", "state-of-the-art, close-up", "an upside-down green tractor in the rain",
    "two red ducks on a lake", "antidisestablishmentarianism " * 3,
    "a very long text that says the same again and again " * 12,
]


@functools.cache
def reference(directory: pathlib.Path):
    """open_clip's model, transform and tokenizer of a hub directory, as its factory makes them."""
    torch.set_num_threads(2)
    name = f"local-dir:{directory}"
    model, _, transform = open_clip.create_model_and_transforms(name, require_pretrained=True)
    return model.eval(), transform, open_clip.get_tokenizer(name)


def compare(measured, what: str, got: np.ndarray, wanted: np.ndarray) -> None:
    assert got.dtype == np.float32 and got.shape == wanted.shape
    wide = got.astype(np.float64)
    cosine = (wide * wanted).sum(1) / np.linalg.norm(wide, axis=1) / np.linalg.norm(wanted, axis=1)
    measured.at_most(f"{what}: largest difference", np.abs(wide - wanted).max(), MAX_ABS)
    measured.at_least(f"{what}: smallest cosine", cosine.min(), COSINE)
    measured.at_most(f"{what}: length from 1", np.abs(np.linalg.norm(wide, axis=1) - 1).max(), 1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_images(cliplens, measured, model_folders, odd_folder, tmp_path, name):
    model, transform, _ = reference(model_folders[name])
    out = tmp_path / "x.npy"
    result = cliplens.json("embed", model_folders[name], "--images", odd_folder, "--out", out)
    pixels = torch.stack([transform(Image.open(odd_folder / item)) for item in result["items"]])
    with torch.no_grad():
        wanted = model.encode_image(pixels, normalize=True).double().numpy()
    assert len(result["items"]) == len(list(odd_folder.iterdir()))
    compare(measured, f"image embeddings, {name}", np.load(out), wanted)


@pytest.mark.parametrize("name", MODELS)
def test_texts(cliplens, measured, model_folders, tmp_path, name):
    model, _, tokenizer = reference(model_folders[name])
    texts, out = tmp_path / "texts.txt", tmp_path / "x.npy"
    texts.write_text("\n".join(TEXTS) + "\n")
    cliplens("embed", model_folders[name], "--texts", texts, "--truncate", "--out", out)
    with torch.no_grad():
        wanted = model.encode_text(tokenizer(TEXTS), normalize=True).double().numpy()
    compare(measured, f"text embeddings, {name}", np.load(out), wanted)


BFLOAT16 = any(flag in pathlib.Path("/proc/cpuinfo").read_text().split()
               for flag in ("avx512_bf16", "amx_bf16"))


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16(cliplens, measured, model_folders, odd_folder, tmp_path, name):
    """No farther from fp32 than the reference's own bfloat16, and as exact a sum; refused where the
    processor has none, and then auto is fp32."""
    out = tmp_path / "x.npy"
    arguments = ["embed", model_folders[name], "--images", odd_folder, "--out", out]
    if not BFLOAT16:
        refused = cliplens.run(*arguments, "--precision", "bf16")
        assert refused.returncode == 6 and "--precision" in refused.stderr
        assert cliplens.json(*arguments, "--precision", "auto")["precision"] == "fp32"
        return
    model, transform, _ = reference(model_folders[name])
    result = cliplens.json(*arguments, "--precision", "auto")
    assert result["precision"] == "bf16"
    pixels = torch.stack([transform(Image.open(odd_folder / item)) for item in result["items"]])
    with torch.no_grad():
        wanted = model.encode_image(pixels, normalize=True).double().numpy()
        visual = copy.deepcopy(model.visual).bfloat16()
        theirs = torch.nn.functional.normalize(visual(pixels.bfloat16()).double(), dim=-1).numpy()
    ours = 1 - (np.load(out).astype(np.float64) * wanted).sum(1).min()
    measured.at_most(f"bf16 image embeddings, {name}: 1 - smallest cosine, limit is the reference's",
                     ours, 1 - (theirs * wanted).sum(1).min())
    store = cliplens.json("decompose", model_folders[name], "--images", odd_folder, "--out",
                          tmp_path / "store", "--precision", "bf16")
    measured.at_most(f"bf16 certificate, {name}: largest", store["certificate"]["max"], 1e-5)


@pytest.mark.parametrize("name", [SHIPPED, "odd"])
def test_classes(cliplens, measured, model_folders, odd_folder, tmp_path, name):
    """Zero-shot probabilities: 80 templates a class, mean of unit rows made unit again."""
    model, transform, tokenizer = reference(model_folders[name])
    classes = ["duck", "tractor", "red apple", "house", "x-ray", "café"]
    names = tmp_path / "classes.txt"
    names.write_text("\n".join(classes) + "\n")
    result = cliplens.json("classify", model_folders[name], "--images", odd_folder, "--classes",
                           names, "--templates", "imagenet", "--truncate", "--count", len(classes))
    templates = open_clip.OPENAI_IMAGENET_TEMPLATES
    with torch.no_grad():
        classifier = torch.stack([
            torch.nn.functional.normalize(model.encode_text(
                tokenizer([template(c) for template in templates]), normalize=True).mean(0), dim=-1)
            for c in classes])
        pixels = torch.stack([transform(Image.open(odd_folder / row["path"]))
                              for row in result["results"]])
        similarities = (model.encode_image(pixels, normalize=True) @ classifier.T).double()
        similarity, probability = 0.0, 0.0
        for row, wanted in zip(result["results"], similarities):
            got = torch.tensor([top["similarity"] for top in row["top"]], dtype=torch.float64)
            order = [classes.index(top["class"]) for top in row["top"]]
            similarity = max(similarity, (got - wanted[order]).abs().max().item())
            # Probabilities follow from the program's own similarities.
            softmax = (model.logit_scale.exp().double() * got).softmax(0)
            printed = torch.tensor([top["probability"] for top in row["top"]], dtype=torch.float64)
            probability = max(probability, (printed - softmax).abs().max().item())
    measured.at_most(f"class similarities, {name}: largest difference", similarity, MAX_ABS)
    measured.at_most(f"class probabilities, {name}: from their similarities", probability, 1e-5)
