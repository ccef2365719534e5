"""LoRA adapters beside a model's weights: embeddings against the model that peft merges."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

from test_embeddings import COSINE, MAX_ABS
from test_layouts import TEXTS, pictures

SIDE = 48
SIZES = dict(hidden_size=64, intermediate_size=128, num_attention_heads=2, projection_dim=48)
ADAPTERS = {
    "plain": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "rslora": dict(r=5, lora_alpha=3, use_rslora=True, target_modules=["out_proj", "fc1", "fc2"]),
    "patterns": dict(r=4, lora_alpha=8, target_modules=["k_proj", "fc1"],
                     rank_pattern={"fc1": 2}, alpha_pattern={"encoder.layers.1.mlp.fc1": 30}),
    "more than matrices": dict(r=3, lora_alpha=6, bias="all", modules_to_save=["visual_projection"],
                               target_modules=["token_embedding", "patch_embedding", "v_proj"]),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("adapters") / "base"
    config = CLIPConfig(
        projection_dim=48,
        text_config=dict(SIZES, num_hidden_layers=2),
        vision_config=dict(SIZES, num_hidden_layers=3, image_size=SIDE, patch_size=8))
    CLIPModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        f'{{"size": {{"shortest_edge": {SIDE}}}, "crop_size": {SIDE}}}')
    return folder


def embed(cliplens, model, images, folder):
    (folder / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    rows = []
    for what, source in (("images", images), ("texts", folder / "texts.txt")):
        out = folder / f"{model.name}-{what}.npy"
        cliplens.json("embed", model, f"--{what}", source, "--out", out)
        rows.append(np.load(out).astype(np.float64))
    return rows


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_are_merged_as_peft_merges_them(cliplens, tmp_path, base, name):
    torch.manual_seed(len(name))
    model = get_peft_model(CLIPModel.from_pretrained(base),
                           LoraConfig(init_lora_weights=False, **ADAPTERS[name]))
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad and "lora_" not in parameter_name:
            parameter.data += 0.05 * torch.randn_like(parameter)
    both = tmp_path / "both"
    shutil.copytree(base, both)
    model.save_pretrained(tmp_path / "adapter")
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(tmp_path / "adapter" / file, both)
    merged = tmp_path / "merged"
    shutil.copytree(base, merged)
    model.merge_and_unload().save_pretrained(merged)

    images = pictures(tmp_path / "pictures", SIDE)
    got = embed(cliplens, both, images, tmp_path)
    wanted = embed(cliplens, merged, images, tmp_path)
    without = embed(cliplens, base, images, tmp_path)
    for rows, reference, plain in zip(got, wanted, without):
        assert np.abs(rows - reference).max() <= MAX_ABS
        assert (rows * reference).sum(1).min() >= COSINE
    # The adapter does something.
    assert np.abs(wanted[0] - without[0]).max() > 1e-3


def test_what_is_not_merged_is_named(cliplens, tmp_path, base):
    model = get_peft_model(CLIPModel.from_pretrained(base),
                           LoraConfig(init_lora_weights=False, **ADAPTERS["plain"]))
    model.save_pretrained(tmp_path / "adapter")
    save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()},
              tmp_path / "unmerged.safetensors")
    for path, words in ((tmp_path / "adapter", f"an adapter without the weights of its model, '{base}'"),
                        (tmp_path / "unmerged.safetensors", "holds an adapter that is not merged")):
        done = cliplens.run("info", path)
        assert done.returncode == 7, done.stderr
        assert words in done.stderr and "merge_and_unload()" in done.stderr
