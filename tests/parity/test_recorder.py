"""cliplens.torch.Recorder beside the program: the same random weights, the same pixels, and what the program's store
holds. One model of each family, small."""

from __future__ import annotations

import copy
import dataclasses
import json
import pathlib
import shutil
import sys

import numpy as np
import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.numpy import load_file
from safetensors.torch import save_file
from transformers import (AutoTokenizer, CLIPConfig, CLIPModel, CLIPVisionModelWithProjection, MetaClip2Config,
                          MetaClip2Model, Siglip2Config, Siglip2Model, SiglipConfig, SiglipModel)

import models
import other_tokenizers
from harness import ROOT
from models import draw_all
from test_embeddings import TEXTS
from test_image_towers import pixels_of

sys.path.insert(0, str(ROOT / "python"))

from cliplens.torch import Factors, Recorder, RecorderError  # noqa: E402

CONTRIBUTIONS = 1e-5
CERTIFICATE = 1e-5
ARRAYS = ("attn", "mlp", "cls_attn", "embedding")
TEXT = dict(context_length=77, vocab_size=49408, width=64, heads=2, layers=1)
SQUASH = dict(mean=[0.5] * 3, std=[0.5] * 3, resize_mode="squash")


@dataclasses.dataclass
class Case:
    """A model, the directory that the program reads, the call that embeds pixels."""

    directory: pathlib.Path
    model: torch.nn.Module
    side: int

    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        return embed(self.model, pixels)


def embed(model: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    if hasattr(model, "encode_image"):
        return model.encode_image(pixels)
    if hasattr(model, "get_image_features"):
        return model.get_image_features(pixel_values=pixels).pooler_output
    if isinstance(model, CLIPVisionModelWithProjection):
        return model(pixel_values=pixels).image_embeds
    return model(pixels)


def open_clip_case(directory, cfg, kind, seed=3) -> Case:
    """Of open_clip's format; `timm_model_kwargs` of the image tower are an addition to it."""
    sizes = copy.deepcopy(cfg)
    kwargs = sizes["vision_cfg"].pop("timm_model_kwargs", {})
    sizes.pop("custom_text", None)
    create = timm.create_model
    timm.create_model = lambda *args, **own: create(*args, **own, **kwargs)
    try:
        model = kind(**sizes).eval()
    finally:
        timm.create_model = create
    draw_all(model, seed)
    save_file({k: v.contiguous() for k, v in model.state_dict().items() if "attn_mask" not in k},
              directory / "open_clip_model.safetensors")
    (directory / "open_clip_config.json").write_text(json.dumps(dict(model_cfg=cfg, preprocess_cfg=SQUASH)))
    return Case(directory, model, cfg["vision_cfg"]["image_size"])


def open_clip_vit(directory, **vision) -> Case:
    cfg = copy.deepcopy(models.PLAIN["model_cfg"])
    cfg["vision_cfg"] |= vision
    cfg["text_cfg"] |= dict(layers=1)
    return open_clip_case(directory, cfg, CLIP)


def timm_tower(directory, published, tower=None, pool=None, **kwargs) -> Case:
    """A published architecture of open_clip's with its tower made small, or another one in its place."""
    cfg = copy.deepcopy(open_clip.get_model_config(published))
    vision = cfg["vision_cfg"]
    cfg |= dict(text_cfg=dict(TEXT), custom_text=True)
    if kwargs.get("embed_dim") and not vision.get("timm_proj") and vision.get("timm_pool") == "map" and (
            published.startswith("ViT")):
        cfg["embed_dim"] = kwargs["embed_dim"]  # no projection behind the pool
    vision |= dict(image_size=kwargs.get("img_size", vision["image_size"]), timm_model_kwargs=kwargs)
    if tower:
        vision |= dict(timm_model_name=tower, timm_pool=pool or "token")
    return open_clip_case(directory, cfg, CustomTextCLIP)


def coca(directory) -> Case:
    cfg = copy.deepcopy(open_clip.get_model_config("coca_ViT-B-32"))
    cfg["embed_dim"] = 192
    cfg["vision_cfg"] |= dict(layers=3, width=128, image_size=96, attn_pooler_queries=3)
    cfg["text_cfg"] |= TEXT
    cfg["multimodal_cfg"] |= dict(layers=1, vocab_size=49408, width=64, heads=2)
    return open_clip_case(directory, cfg, CoCa)


def tower_config(**more) -> dict:
    return dict(hidden_size=96, intermediate_size=200, num_hidden_layers=3, num_attention_heads=4) | more


def hugging_face_case(directory, model, side, **processor) -> Case:
    model.eval()
    draw_all(model, 5)
    model.save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text(json.dumps(processor))
    return Case(directory, model, side)


def clip_of_transformers(directory) -> Case:
    text = tower_config(num_hidden_layers=1, projection_dim=80)
    model = CLIPModel(CLIPConfig(text_config=text, projection_dim=80, vision_config=tower_config(
        image_size=64, patch_size=16, projection_dim=80)))
    return hugging_face_case(directory, model, 64, size=64, crop_size=64)


def vision_of_transformers(directory) -> Case:
    config = CLIPConfig(projection_dim=80, vision_config=tower_config(image_size=64, patch_size=16, projection_dim=80))
    model = CLIPVisionModelWithProjection(config.vision_config)
    return hugging_face_case(directory, model, 64, size=64, crop_size=64)


def metaclip2(directory) -> Case:
    text = tower_config(num_hidden_layers=1, projection_dim=80, vocab_size=600, max_position_embeddings=40,
                        eos_token_id=2, bos_token_id=0, pad_token_id=1, hidden_act="gelu")
    model = MetaClip2Model(MetaClip2Config(projection_dim=80, text_config=text, vision_config=tower_config(
        image_size=64, patch_size=16, projection_dim=80, hidden_act="gelu")))
    return hugging_face_case(directory, model, 64, size=64, crop_size=64)


def siglip(directory) -> Case:
    text = tower_config(num_hidden_layers=1, vocab_size=600, max_position_embeddings=40, projection_size=96)
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=tower_config(image_size=96, patch_size=15)))
    return hugging_face_case(directory, model, 96, image_processor_type="SiglipImageProcessor",
                             size=dict(height=96, width=96))


CASES = {
    "open_clip ViT": open_clip_vit,
    "open_clip with LayerScale": lambda d: open_clip_vit(d, ls_init_value=0.1),
    "timm ViT (MobileCLIP2-B)": lambda d: timm_tower(d, "MobileCLIP2-B", depth=3),
    "timm ViT with registers": lambda d: timm_tower(
        d, "EVA02-B-16", "vit_small_patch14_reg4_dinov2", img_size=98, depth=3, reg_tokens=3),
    "EVA-02": lambda d: timm_tower(d, "EVA02-B-16", img_size=96, depth=3),
    "EVA-02 with norms behind": lambda d: timm_tower(
        d, "EVA02-E-14", "eva02_enormous_patch14_clip_224", img_size=70, embed_dim=192, depth=3, num_heads=6, mlp_ratio=8.6),
    "PE-Core": lambda d: timm_tower(d, "PE-Core-T-16-384", img_size=96, depth=3),
    "timm SigLIP": lambda d: timm_tower(d, "ViT-B-16-SigLIP", img_size=96, depth=3),
    "timm ViT with a mean": lambda d: timm_tower(
        d, "EVA02-B-16", "vit_medium_patch16_reg4_gap_256", "avg", img_size=96, depth=3),
    "CLIPA": lambda d: open_clip_vit(d, no_ln_pre=True, pool_type="avg", final_ln_after_pool=True),
    "CoCa": coca,
    "CLIPModel": clip_of_transformers,
    "CLIPVisionModelWithProjection": vision_of_transformers,
    "MetaClip2Model": metaclip2,
    "SiglipModel": siglip,
}


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    made = {}

    def make(name: str) -> Case:
        if name not in made:
            made[name] = CASES[name](tmp_path_factory.mktemp("recorder"))
        return made[name]

    return make


@pytest.fixture(scope="session")
def few(odd_folder, tmp_path_factory) -> pathlib.Path:
    """Five pictures."""
    out = tmp_path_factory.mktemp("few")
    for path in sorted(odd_folder.iterdir())[:5]:
        shutil.copy(path, out)
    return out


@dataclasses.dataclass
class Stored:
    """What the program made of a case, and the pixels that it read."""

    shard: dict[str, np.ndarray]
    basis: dict[str, np.ndarray]
    arrays: dict[str, np.ndarray]
    pixels: torch.Tensor


@pytest.fixture(scope="session")
def stored(cliplens, cases, few, tmp_path_factory):
    made = {}

    def store(name: str) -> Stored:
        if name not in made:
            case, out = cases(name), tmp_path_factory.mktemp("store")
            cliplens("decompose", case.directory, "--images", few, "--out", out / "s")
            cliplens("export", out / "s", "--format", "npy", "--out", out / "a")
            made[name] = Stored(load_file(out / "s/shard-00000.safetensors"), load_file(out / "s/basis.safetensors"),
                                {array: np.load(out / "a" / f"{array}.npy") for array in ARRAYS},
                                pixels_of(cliplens, case.directory, few, out, case.side))
        return made[name]

    return store


def recorded(model, pixels, run=None, **options) -> tuple[Recorder, Factors]:
    recorder = Recorder(model, **options)
    with recorder, torch.inference_mode():
        (run or embed)(model, pixels)
    return recorder, recorder.factors()


def arrays_of(recorder: Recorder, factors: Factors) -> dict[str, np.ndarray]:
    """As `export` writes them: pictures first."""
    return dict(attn=factors.contributions(recorder.basis()).permute(2, 0, 1, 3).numpy(),
                mlp=factors.mlp.transpose(0, 1).numpy(), cls_attn=factors.cls_attn.transpose(0, 1).numpy(),
                embedding=factors.embedding.numpy())


def compare_arrays(measured, what, got, wanted, limit=CONTRIBUTIONS):
    for array in ARRAYS:
        assert got[array].shape == wanted[array].shape, array
        measured.at_most(f"recorder, {what}, {array}, from the program", np.abs(got[array] - wanted[array]).max(), limit)


def relative(got, wanted) -> float:
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    return float(np.abs(got - wanted).max() / max(np.abs(wanted).max(), 1e-30))


def hooks_of(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("name", CASES)
def test_a_family(measured, cases, stored, name):
    case, program = cases(name), stored(name)
    recorder, factors = recorded(case.model, program.pixels)
    compare_arrays(measured, name, arrays_of(recorder, factors), program.arrays)
    measured.at_most(f"recorder, {name}, certificate", recorder.certificate(factors).max(), CERTIFICATE)
    own = factors.numpy()
    assert set(own) == set(program.shard)
    for tensor, wanted in program.shard.items():
        measured.at_most(f"recorder, {name}, the shard's {tensor}, relative", relative(own[tensor], wanted), 1e-5)
    basis = recorder.basis().numpy()
    assert set(basis) == set(program.basis)
    if "heads" in basis:
        measured.at_most(f"recorder, {name}, basis, relative", relative(basis["heads"], program.basis["heads"]), 1e-6)
    else:
        assert np.array_equal(basis["contributions"], program.basis["contributions"])
        assert basis["contributions"].dtype == np.int32
    assert hooks_of(case.model) == 0
    with torch.inference_mode():
        plain = embed(case.model, program.pixels)
    assert np.abs(F.normalize(plain.float(), dim=-1).numpy() - own["embedding"]).max() < 1e-6
