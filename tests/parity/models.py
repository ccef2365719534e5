"""Model directories with random weights whose scales are those of trained ones.

Fresh weights hide mistakes: gains of 1, biases of 0 and near-uniform attention make wrong terms
vanish. Here layer norms have gains and biases, attention is peaked, the class token differs from
the patches, and a few channels of the residual stream are far larger than the rest, as in trained
vision transformers. Every directory is an open_clip hub directory; the same seed gives the same
bytes.
"""

from __future__ import annotations

import copy
import json
import math
import pathlib
import shutil

import torch
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file

from random_weights import draw

# K is 64, everything else is as in CLIP, only narrower.
PLAIN = dict(
    seed=1, dtype=torch.float32, vocabulary=None,
    model_cfg=dict(
        embed_dim=128,
        vision_cfg=dict(image_size=96, patch_size=16, layers=4, width=192, head_width=64),
        text_cfg=dict(context_length=77, vocab_size=49408, width=128, heads=2, layers=3)),
    preprocess_cfg=dict(
        mean=[0.48145466, 0.4578275, 0.40821073], std=[0.26862954, 0.26130258, 0.27577711],
        interpolation="bicubic", resize_mode="shortest"))

# K is 80 in one tower and 34 in the other; the picture's side is no multiple of the patch's; MLP
# widths are cut to whole numbers; QuickGELU; halves on disk.
ODD = dict(
    seed=2, dtype=torch.float16, vocabulary=None,
    model_cfg=dict(
        embed_dim=96, quick_gelu=True,
        vision_cfg=dict(image_size=95, patch_size=15, layers=3, width=240, head_width=80,
                        mlp_ratio=2.61, norm_kwargs=dict(eps=1e-6)),
        text_cfg=dict(context_length=40, vocab_size=49408, width=136, heads=4, layers=2,
                      mlp_ratio=3.3, norm_kwargs=dict(eps=1e-6))),
    preprocess_cfg=dict(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5], interpolation="bicubic",
                        resize_mode="shortest"))

# K is 48, E is wider than D, the whole picture is squashed, bfloat16 on disk; the vocabulary is the
# shipped model's.
WIDE = dict(
    seed=3, dtype=torch.bfloat16, vocabulary="models/pictureworld",
    model_cfg=dict(
        embed_dim=160,
        vision_cfg=dict(image_size=56, patch_size=14, layers=2, width=96, head_width=48,
                        mlp_ratio=3.0),
        text_cfg=dict(context_length=24, vocab_size=2304, width=64, heads=1, layers=2,
                      hf_tokenizer_name="local")),
    preprocess_cfg=dict(mean=[0.45, 0.44, 0.4], std=[0.25, 0.26, 0.27], interpolation="bilinear",
                        resize_mode="squash"))

MODELS = dict(plain=PLAIN, odd=ODD, wide=WIDE)
VOCABULARY_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json")


def random_tensor(name: str, shape: tuple[int, ...], random: torch.Generator) -> torch.Tensor:
    if name == "logit_scale":
        return torch.tensor(math.log(71.3))
    return draw(name, shape, lambda scale: torch.randn(shape, generator=random) * scale,
                lambda: 0.3 + 1.5 * torch.rand(shape, generator=random), outlier_step=37)


def draw_all(module: torch.nn.Module, seed: int) -> None:
    """Weights with the scales of trained ones: gains that are not 1, peaked attention, channels that
    stand out."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            normal = torch.randn(value.shape, generator=random)
            if name == "logit_scale":
                value.fill_(2.1)
            elif name == "logit_bias":
                value.fill_(-9.3)
            elif any(part in name for part in ("norm", ".ln_", ".bn.")) or name.startswith("ln_"):
                value.copy_(0.3 * normal if name.endswith("bias") else 0.3 + 1.5 * torch.rand(
                    value.shape, generator=random))
            elif "pos" in name and "embed" in name:
                value.copy_(0.15 * normal)
                value[..., 5] += 3.0
            elif value.ndim < 2:
                value.copy_(0.2 * normal)
            elif "probe" in name or "latent" in name or "token" in name:
                value.copy_(0.7 * normal)
            else:
                scale = value[0].numel() ** -0.5
                peaked = any(part in name for part in ("q_proj", "k_proj", "qkv", "in_proj", ".q.", ".kv."))
                value.copy_(normal * scale * (1.5 if peaked else 0.8))
        for name, value in module.named_buffers():  # of BatchNorms
            if name.endswith("running_mean"):
                value.copy_(0.3 * torch.randn(value.shape, generator=random))
            elif name.endswith("running_var"):
                value.copy_(0.3 + 1.5 * torch.rand(value.shape, generator=random))


def write_model(directory: pathlib.Path, *, seed: int, dtype: torch.dtype, vocabulary: str | None,
                model_cfg: dict, preprocess_cfg: dict) -> pathlib.Path:
    directory.mkdir(parents=True)
    arguments = copy.deepcopy(model_cfg)
    for key in ("hf_tokenizer_name", "tokenizer_kwargs"):
        arguments["text_cfg"].pop(key, None)
    if arguments.pop("custom_text", False):
        model = CustomTextCLIP(**arguments)
        draw_all(model, seed)
        state = {name: value.to(dtype).contiguous() for name, value in model.state_dict().items()}
    else:
        random = torch.Generator().manual_seed(seed)
        state = {name: random_tensor(name, tuple(value.shape), random).to(dtype).contiguous()
                 for name, value in CLIP(**arguments).state_dict().items()}
    save_file(state, directory / "open_clip_model.safetensors", metadata={"format": "pt"})
    config = dict(model_cfg=model_cfg, preprocess_cfg=preprocess_cfg)
    (directory / "open_clip_config.json").write_text(json.dumps(config, indent=2))
    if vocabulary is not None:
        for file in VOCABULARY_FILES:
            shutil.copy(pathlib.Path(__file__).parents[2] / vocabulary / file, directory / file)
    return directory


def write_models(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    return {name: write_model(folder / name, **model) for name, model in MODELS.items()}
