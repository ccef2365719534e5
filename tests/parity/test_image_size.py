"""`--image-size` against open_clip, which resizes position embeddings when it is asked for another size."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP, resize_pos_embed
from PIL import Image
from safetensors.torch import load_file

from harness import SHIPPED
from test_embeddings import compare


def reference(folder, size):
    """open_clip's model and transform for pictures of this size. Its own factory cannot resize the
    embeddings of halves, so they are made fp32 first, as cliplens does."""
    config = json.loads((folder / "open_clip_config.json").read_text())
    cfg = config["model_cfg"]
    cfg["vision_cfg"]["image_size"] = size
    cfg["text_cfg"].pop("hf_tokenizer_name", None)
    model = CLIP(**cfg).eval()
    state = {k: v.float() for k, v in load_file(folder / "open_clip_model.safetensors").items()}
    resize_pos_embed(state, model)
    model.load_state_dict(state)
    preprocess = config["preprocess_cfg"]
    return model, open_clip.image_transform(
        size, is_train=False, mean=preprocess["mean"], std=preprocess["std"],
        interpolation=preprocess.get("interpolation", "bicubic"),
        resize_mode=preprocess.get("resize_mode", "shortest"))


@pytest.mark.parametrize("name, size", [("plain", 160), ("plain", 48), ("plain", 100), ("odd", 190),
                                        ("wide", 84), (SHIPPED, 120), (SHIPPED, 50)])
def test_pictures_of_another_size(cliplens, measured, model_folders, odd_folder, tmp_path, name, size):
    model, transform = reference(model_folders[name], size)
    out = tmp_path / "x.npy"
    result = cliplens.json("embed", model_folders[name], "--image-size", size, "--images", odd_folder,
                           "--out", out)
    pixels = torch.stack([transform(Image.open(odd_folder / item)) for item in result["items"]])
    assert pixels.shape[-1] == size
    with torch.no_grad():
        wanted = model.encode_image(pixels, normalize=True).double().numpy()
    compare(measured, f"image embeddings, {name} at {size} pixels", np.load(out), wanted)
