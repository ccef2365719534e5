"""Every layout on disk x open_clip's architectures: embeddings against the library of the layout,
and the same fingerprint for the same weights."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

import layouts
from test_embeddings import COSINE, MAX_ABS

TEXTS = ["a photo of a cat", "two red ducks on a lake", "a black and white picture of a house",
         "x", "an upside-down green tractor in the rain at night, seen from above"]


def pictures(folder: pathlib.Path, size: int) -> pathlib.Path:
    """Pictures of the model's own size: how others are resized is another test's matter."""
    folder.mkdir()
    random = np.random.default_rng(size)
    for i in range(2):
        coarse = random.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC).save(
            folder / f"{i}.png")
    return folder


def reference_embeddings(kind: str, case, state: dict, pixels: torch.Tensor, tokens: torch.Tensor,
                         path) -> dict[str, np.ndarray]:
    with torch.no_grad():
        if kind == "hugging_face":
            model = layouts.hugging_face_model(case, state)
            vision = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
            text = model.text_projection(model.text_model(input_ids=tokens).pooler_output)
        elif kind == "openai":
            # open_clip builds the model from the archive as OpenAI's own loader does.
            model = open_clip.openai.load_openai_model(str(path), precision="fp32", device="cpu")
            vision, text = model.encode_image(pixels), model.encode_text(tokens)
        else:
            model = layouts.open_clip_model(case, state)
            vision, text = model.encode_image(pixels), model.encode_text(tokens)
    return {name: torch.nn.functional.normalize(value.double(), dim=-1).numpy()
            for name, value in dict(images=vision, texts=text).items()}


@pytest.mark.parametrize("case", layouts.CASES, ids=lambda c: c.title.replace(", ", "-"))
def test_layouts(cliplens, measured, tmp_path, monkeypatch, case):
    torch.set_num_threads(2)
    state = case.state()
    images = pictures(tmp_path / "pictures", case.size)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    transform = open_clip.image_transform(case.size, is_train=False)
    pixels = torch.stack([transform(Image.open(file)) for file in sorted(images.iterdir())])
    tokens = open_clip.tokenize(TEXTS)
    wanted: dict[str, dict] = {}
    fingerprints: dict[str, str] = {}
    for layout in layouts.layouts_of(case):
        folder, results = tmp_path / "model", tmp_path / "results"
        folder.mkdir()
        results.mkdir()
        monkeypatch.setenv("HF_HUB_CACHE", str(folder))
        model = layout.write(case, state, folder)
        if layout.reference not in wanted:
            wanted[layout.reference] = reference_embeddings(
                layout.reference, case, state, pixels, tokens, model[0])
        worst = {}
        for what, source in (("images", images), ("texts", tmp_path / "texts.txt")):
            out = results / f"{what}.npy"
            result = cliplens.json("embed", *model, f"--{what}", source, "--out", out)
            got, reference = np.load(out).astype(np.float64), wanted[layout.reference][what]
            assert got.shape == reference.shape
            worst[what] = np.abs(got - reference).max()
            cosine = (got * reference).sum(1).min()
            name = f"{case.title}: {layout.title}: {what}"
            assert worst[what] <= MAX_ABS, f"{name}: differs by {worst[what]:.3g}"
            assert cosine >= COSINE, f"{name}: cosine {cosine:.9f}"
            fingerprints[layout.title] = result["fingerprint"]
        measured.layout(case.title, layout.title, worst["images"], worst["texts"])
        shutil.rmtree(folder)
        shutil.rmtree(results)
    assert len(set(fingerprints.values())) == 1, fingerprints


def test_every_layout_meets_eight_architectures():
    for layout in layouts.LAYOUTS:
        names = {case.title for case in layouts.CASES if layout in layouts.layouts_of(case)}
        assert len(names) >= 8, (layout.title, names)
