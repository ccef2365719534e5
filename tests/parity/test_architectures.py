"""--arch NAME: what it says is what open_clip's file of that name says, and no name is unknown."""

from __future__ import annotations

import pathlib
import re
import shutil
import sys

import numpy as np
import open_clip
import pytest
import torch
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP
from PIL import Image
from safetensors.torch import save_file

import other_tokenizers
from harness import ROOT
from test_embeddings import TEXTS, compare
from models import draw_all

NO_WEIGHTS = ("attn_mask", "num_batches_tracked", "relative_position_index", "k_bias")
sys.path.insert(0, str(ROOT / "tools"))
import write_architectures  # noqa: E402


@pytest.fixture(scope="module")
def program(cliplens) -> pathlib.Path:
    path = pathlib.Path(cliplens.path).resolve().with_name("architecture_table")
    assert path.is_file(), f"{path}: build it with the tests (cmake --build ... --target architecture_table)"
    return path


@pytest.fixture(scope="module")
def found(program) -> dict[str, dict]:
    return write_architectures.answers(program)


def test_names_say_what_open_clips_files_say(found):
    for name, answer in found.items():
        if answer["by_name"] is None:
            assert answer["equal"], (name, answer)
            assert answer["texts"] in ("here", "rows")
        else:
            # Refused for a reason of its own, and so is its file.
            assert answer["by_name"].startswith(f"--arch {name}: "), answer
            assert "no architecture of that name" not in answer["by_name"]
            assert answer["by_config"] is not None, f"{name}: its file is read, its name is not"


def test_all_names_are_open_clips(cliplens, found, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"visual.class_embedding": torch.zeros(8), "logit_scale": torch.zeros(())}, path)
    message = cliplens.run("info", path, "--arch", "ViT-Z").stderr
    known = re.search("known are openai, (.*), and a JSON file", message)[1].split(", ")
    assert known == [name for name in sorted(found) if found[name]["by_name"] is None]


def test_files_have_the_tensors_of_open_clips_models(program, found):
    """Names and shapes of all tensors, of one architecture for each of timm's towers and each other shape."""
    one = {}
    for name, answer in found.items():
        cfg = open_clip.get_model_config(name)
        if answer["texts"] == "here":
            vision = cfg["vision_cfg"]
            one.setdefault(vision.get("timm_model_name", str(sorted(vision)) + str("multimodal_cfg" in cfg)), name)
    for name, answer in write_architectures.answers(program, one.values(), tensors=True).items():
        cfg = open_clip.get_model_config(name)
        custom = cfg.pop("custom_text", False)
        for key in ("hf_tokenizer_name", "tokenizer_kwargs"):
            cfg["text_cfg"].pop(key, None)
        with torch.device("meta"):
            made = (CoCa if "multimodal_cfg" in cfg else CustomTextCLIP if custom else CLIP)(**cfg)
        wanted = {key: list(value.shape) for key, value in made.state_dict().items()
                  if not key.startswith("text_decoder.") and key.split(".")[-1] not in NO_WEIGHTS}
        assert any(layout == wanted for layout in answer["tensors"]), (
            name, min((set(map(str, layout.items())) ^ set(map(str, wanted.items()))
                       for layout in answer["tensors"]), key=len))


def test_page_lists_them(found):
    text = write_architectures.PAGE.read_text()
    assert text == write_architectures.updated(text, found), "run tools/write_architectures.py"
    block = write_architectures.BLOCK.search(text)[0]
    assert sorted(re.findall("`([^`]+)`", block.replace("`--text-rows`", ""))) == sorted(open_clip.list_models())


def test_weights_with_a_name(cliplens, measured, odd_folder, tmp_path):
    """A bare checkpoint of a model with a tokenizer of its own."""
    name = "ViT-B-16-SigLIP"
    layout = other_tokenizers.write_all(tmp_path / "tokenizers")["SigLIP's spiece.model"]
    cfg = open_clip.get_model_config(name)
    rule = cfg["text_cfg"].pop("tokenizer_kwargs")
    own = cfg["text_cfg"].pop("hf_tokenizer_name")
    cfg.pop("custom_text")
    reference = CustomTextCLIP(**cfg).eval()
    draw_all(reference, 7)
    (tmp_path / "model").mkdir()
    path = tmp_path / "model/weights.safetensors"
    save_file({k: v.contiguous() for k, v in reference.state_dict().items() if "attn_mask" not in k}, path)
    transform = open_clip.image_transform(
        reference.visual.image_size, is_train=False,
        **{key: value for key, value in write_architectures.preprocessing(name).items()})
    pixels = torch.stack([transform(Image.open(file)) for file in sorted(odd_folder.iterdir())])
    with torch.no_grad():
        wanted = reference.encode_image(pixels, normalize=True).double().numpy()
    got = tmp_path / "images.npy"
    cliplens("embed", path, "--arch", name, "--images", odd_folder, "--out", got)
    compare(measured, f"image embeddings, weights with --arch {name}", np.load(got), wanted)

    lines, out = tmp_path / "texts.txt", tmp_path / "texts.npy"
    lines.write_text("\n".join(TEXTS) + "\n")
    embed = ("embed", path, "--arch", name, "--texts", lines, "--truncate", "--out", out)
    refused = cliplens.run(*embed)
    assert refused.returncode == 3 and f"'{own}'" in refused.stderr and str(path.parent) in refused.stderr
    for file in layout.path.iterdir():
        shutil.copy(file, path.parent)
    tokenizer = open_clip.tokenizer.HFTokenizer(
        str(layout.path), context_length=cfg["text_cfg"]["context_length"], **rule)
    with torch.no_grad():
        wanted = reference.encode_text(tokenizer(TEXTS), normalize=True).double().numpy()
    cliplens(*embed)
    compare(measured, f"text embeddings, weights with --arch {name}", np.load(out), wanted)
