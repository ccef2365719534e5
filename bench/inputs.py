"""What the benchmarks run on: models with random weights, texts of real lengths, large pictures.

    python bench/inputs.py model B/32 FOLDER
    python bench/inputs.py jpegs FOLDER COUNT
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "parity"))
ARCHITECTURES = {"B/32": "ViT-B-32", "B/16": "ViT-B-16", "L/14": "ViT-L-14",
                 "SigLIP-B/16": "ViT-B-16-SigLIP", "SigLIP-so400m/14-384": "ViT-SO400M-14-SigLIP-384"}
JPEG_SIZE = (3000, 2000)


def model_config(name: str) -> dict:
    import open_clip
    config = open_clip.get_model_config(ARCHITECTURES[name])
    if "timm_model_name" not in config["vision_cfg"]:
        config["vision_cfg"].setdefault("head_width", 64)
    kept = ("embed_dim", "custom_text", "init_logit_bias", "vision_cfg", "text_cfg")
    return {key: config[key] for key in kept if key in config}


def has_texts(name: str) -> bool:
    """Whether its tokenizer is here: the others' files cannot be had without the hub."""
    return "SigLIP" not in name


def write_model(folder: pathlib.Path, config: dict) -> pathlib.Path:
    import models
    import torch
    return models.write_model(
        folder, seed=7, dtype=torch.float32, vocabulary=None, model_cfg=config,
        preprocess_cfg=dict(mean=[0.48145466, 0.4578275, 0.40821073],
                            std=[0.26862954, 0.26130258, 0.27577711], interpolation="bicubic",
                            resize_mode="shortest"))


def write_pixels(file: pathlib.Path, count: int, side: int) -> pathlib.Path:
    """[count, 3, side, side], as bright as normalised pictures."""
    random = np.random.default_rng(3)
    np.save(file, random.standard_normal((count, 3, side, side), dtype=np.float32))
    return file


def real_texts(count: int) -> list[str]:
    """Prompts of the zero-shot protocol on ImageNet: templates and class names in turn."""
    from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES
    return [OPENAI_IMAGENET_TEMPLATES[7 * i % len(OPENAI_IMAGENET_TEMPLATES)](
        IMAGENET_CLASSNAMES[37 * i % len(IMAGENET_CLASSNAMES)]) for i in range(count)]


def real_tokens(texts: list[str]) -> list[int]:
    """Tokens of each text with its start and its end, without padding."""
    import open_clip
    return (open_clip.tokenize(texts).argmax(-1) + 1).tolist()


def write_jpegs(folder: pathlib.Path, count: int):
    """Pictures with detail at every scale, as photographs have it; about 2 MB each."""
    from PIL import Image
    folder.mkdir(parents=True)
    random = np.random.default_rng(5)
    width, height = JPEG_SIZE
    for i in range(count):
        picture = np.zeros((height, width, 3), np.float32)
        for cells, strength in ((6, 60), (40, 30), (250, 18), (1500, 8)):
            noise = random.integers(0, 256, (cells * height // width, cells, 3), dtype=np.uint8)
            scaled = Image.fromarray(noise).resize(JPEG_SIZE, Image.Resampling.BICUBIC)
            picture += (np.asarray(scaled, np.float32) - 128) * (strength / 64)
        Image.fromarray((picture + 128).clip(0, 255).astype(np.uint8)).save(
            folder / f"{i}.jpg", quality=90)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["model", name, folder]:
            write_model(pathlib.Path(folder), model_config(name))
        case ["jpegs", folder, count]:
            write_jpegs(pathlib.Path(folder), int(count))
        case _:
            sys.exit(__doc__)
