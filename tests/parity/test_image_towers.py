"""Models of which the image tower alone is evaluated: transformers' CLIPVisionModelWithProjection, and
open_clip's with a text tower of Hugging Face's."""

from __future__ import annotations

import json

import numpy as np
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

import layouts
from test_embeddings import compare

CASE = layouts.Case("ViT-B-32", layers=3, quick_gelu=True)


def pixels_of(cliplens, model, folder, tmp_path, side=224) -> torch.Tensor:
    """What the model reads of each picture; tests/parity/test_pixels.py compares it with its makers'."""
    pixels = []
    for i, path in enumerate(sorted(folder.iterdir())):
        cliplens("preprocess", model, "--image", path, "--out", tmp_path / f"{i}.npy")
        pixels.append(torch.from_numpy(np.load(tmp_path / f"{i}.npy")))
    return torch.stack([p.reshape(3, side, side) for p in pixels])


def embedded(cliplens, model, folder, out) -> np.ndarray:
    result = cliplens.json("embed", model, "--images", folder, "--out", out)
    assert result["items"] == sorted(path.name for path in folder.iterdir())
    return np.load(out)


def test_image_tower_of_transformers(cliplens, measured, odd_folder, tmp_path):
    model = tmp_path / "model"
    whole = layouts.hugging_face_config(CASE)
    config = CLIPVisionConfig(**whole.vision_config.to_dict())
    reference = CLIPVisionModelWithProjection(config).eval()
    state = {name: value.float() for name, value in layouts.hugging_face_state(CASE.state()).items()
             if name.startswith("vis")}
    missing, unexpected = reference.load_state_dict(state, strict=False)
    assert not unexpected and all("position_ids" in name for name in missing)
    reference.save_pretrained(model)
    got = embedded(cliplens, model, odd_folder, tmp_path / "x.npy")
    with torch.no_grad():
        rows = reference(pixel_values=pixels_of(cliplens, model, odd_folder, tmp_path)).image_embeds
    wanted = torch.nn.functional.normalize(rows, dim=-1).double().numpy()
    compare(measured, "image embeddings, CLIPVisionModelWithProjection", got, wanted)
    made = cliplens.json("decompose", model, "--images", odd_folder, "--out", tmp_path / "store")
    measured.at_most("certificate, CLIPVisionModelWithProjection", made["certificate"]["max"], 1e-5)


def test_open_clip_with_another_text_tower(cliplens, measured, odd_folder, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    cfg = CASE.model_cfg()
    reference = CLIP(**cfg).eval()
    state = CASE.state()
    reference.load_state_dict({k: v.float() for k, v in state.items()})
    kept = {k: v.float().contiguous() for k, v in state.items()
            if k.startswith("visual.") or k == "logit_scale"}
    kept |= {"text.transformer.embeddings.word_embeddings.weight": torch.randn(50, 8),
             "text.transformer.encoder.layer.0.attention.self.query.weight": torch.randn(8, 8),
             "text.proj.weight": torch.randn(512, 8)}
    save_file(kept, model / "open_clip_model.safetensors")
    cfg["text_cfg"] = dict(hf_model_name="roberta-base", hf_tokenizer_name="roberta-base",
                           hf_pooler_type="mean_pooler")
    (model / "open_clip_config.json").write_text(json.dumps(dict(model_cfg=cfg)))
    got = embedded(cliplens, model, odd_folder, tmp_path / "x.npy")
    with torch.no_grad():
        wanted = reference.encode_image(pixels_of(cliplens, model, odd_folder, tmp_path),
                                        normalize=True).double().numpy()
    compare(measured, "image embeddings, open_clip with another text tower", got, wanted)
    # The same weights as a file, by the name of their architecture.
    result = cliplens.run("info", model / "open_clip_model.safetensors", "--arch", "roberta-ViT-B-32")
    assert result.returncode != 0
    assert "resblocks.3" in result.stderr  # of twelve layers, this one has three
