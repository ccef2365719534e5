"""Model files in every layout that is read, as their own libraries write them.

The architectures are open_clip's published ones with few layers: widths, heads, MLP ratios, patch
and picture sizes are real, weights are random with the scales of trained ones (models.py).
"""

from __future__ import annotations

import copy
import dataclasses
import json
import pathlib

import open_clip
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

import models
from random_weights import hugging_face_names

COMMIT = "0123456789abcdef" * 2 + "01234567"


@dataclasses.dataclass(frozen=True)
class Case:
    """One architecture: open_clip's name, and what is changed."""

    name: str
    layers: int | None = 2  # in both towers; None: all
    quick_gelu: bool = False
    dtype: torch.dtype = torch.float32
    vision: tuple = ()  # further settings of the image tower
    seed: int = 7

    @property
    def title(self) -> str:
        parts = [self.name]
        parts += [f"{key}" for key, _ in self.vision]
        if self.quick_gelu:
            parts.append("QuickGELU")
        if self.layers is None:
            parts.append("all layers")
        return ", ".join(parts)

    def model_cfg(self) -> dict:
        cfg = copy.deepcopy(open_clip.get_model_config(self.name))
        if self.layers is not None:
            cfg["vision_cfg"]["layers"] = cfg["text_cfg"]["layers"] = self.layers
        cfg["vision_cfg"].update(dict(self.vision))
        if self.quick_gelu:
            cfg["quick_gelu"] = True
        return cfg

    def state(self) -> dict[str, torch.Tensor]:
        random = torch.Generator().manual_seed(self.seed)
        with torch.device("meta"):
            shapes = {k: tuple(v.shape) for k, v in CLIP(**self.model_cfg()).state_dict().items()}
        state = {}
        for name, shape in shapes.items():
            if name.endswith(".gamma"):
                value = 0.5 + torch.rand(shape, generator=random)
            else:
                value = models.random_tensor(name, shape, random)
            state[name] = value.to(self.dtype).contiguous()
        return state

    @property
    def size(self) -> int:
        return self.model_cfg()["vision_cfg"]["image_size"]

    @property
    def is_openai(self) -> bool:
        """Whether OpenAI's loader could tell the sizes from the shapes."""
        vision = self.model_cfg()["vision_cfg"]
        return (self.quick_gelu and vision.get("head_width", 64) == 64
                and vision.get("mlp_ratio", 4) == 4 and not self.vision)

    @property
    def is_hugging_face(self) -> bool:
        """Hugging Face's class knows neither LayerScale nor a tower without its first norm."""
        vision = self.model_cfg()["vision_cfg"]
        return "ls_init_value" not in vision and not vision.get("no_ln_pre")


# Reference models, each from its own library.

def open_clip_model(case: Case, state: dict) -> torch.nn.Module:
    model = CLIP(**case.model_cfg()).eval()
    model.load_state_dict({k: v.float() for k, v in state.items()})
    return model


def hugging_face_config(case: Case) -> CLIPConfig:
    cfg = case.model_cfg()
    vision, text = cfg["vision_cfg"], cfg["text_cfg"]
    act = "quick_gelu" if cfg.get("quick_gelu") else "gelu"
    return CLIPConfig(
        projection_dim=cfg["embed_dim"],
        vision_config=dict(
            hidden_size=vision["width"], num_hidden_layers=vision["layers"],
            num_attention_heads=vision["width"] // vision.get("head_width", 64),
            intermediate_size=int(vision["width"] * vision.get("mlp_ratio", 4.0)),
            image_size=vision["image_size"], patch_size=vision["patch_size"], hidden_act=act,
            projection_dim=cfg["embed_dim"]),
        text_config=dict(
            hidden_size=text["width"], num_hidden_layers=text["layers"],
            num_attention_heads=text["heads"], intermediate_size=4 * text["width"],
            hidden_act=act, projection_dim=cfg["embed_dim"]))


def hugging_face_state(state: dict) -> dict[str, torch.Tensor]:
    return hugging_face_names(state, lambda matrix: matrix.T.contiguous(),
                              lambda value: [part.contiguous().clone() for part in value.chunk(3)])


def hugging_face_model(case: Case, state: dict) -> CLIPModel:
    model = CLIPModel(hugging_face_config(case)).eval()
    missing, unexpected = model.load_state_dict(
        {k: v.float() for k, v in hugging_face_state(state).items()}, strict=False)
    assert not unexpected and all("position_ids" in name for name in missing), (missing, unexpected)
    return model


# Writers: (case, state, folder) -> arguments of the program for MODEL.

def shards(state: dict, folder: pathlib.Path, stem: str, suffix: str, save) -> None:
    names = list(state)
    cut = len(names) // 3 + 1
    parts = [names[i:i + cut] for i in range(0, len(names), cut)]
    weight_map = {}
    for i, part in enumerate(parts):
        file = f"{stem}-{i + 1:05}-of-{len(parts):05}.{suffix}"
        save({name: state[name] for name in part}, folder / file)
        weight_map |= {name: file for name in part}
    index = dict(metadata=dict(total_size=0), weight_map=weight_map)
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))


def open_clip_directory(case, state, folder):
    (folder / "open_clip_config.json").write_text(json.dumps(dict(
        model_cfg=case.model_cfg(), preprocess_cfg=dict(interpolation="bicubic"))))
    save_file(state, folder / "open_clip_model.safetensors")
    return [folder]


def open_clip_bin(case, state, folder):
    (folder / "open_clip_config.json").write_text(json.dumps(case.model_cfg()))
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    return [folder]


def architecture(case, folder):
    """What goes with a file that has no configuration."""
    if case.layers is None:
        return ["--arch", case.name + ("-quickgelu" if case.quick_gelu else "")]
    path = folder / "architecture.json"
    path.write_text(json.dumps(case.model_cfg()))
    return ["--arch", path]


def training_checkpoint(case, state, folder):
    """As open_clip's training loop saves one."""
    some = {name: torch.nn.Parameter(state[name].float().clone()) for name in list(state)[-4:]}
    optimizer = torch.optim.AdamW(some.values())
    sum(p.sum() for p in some.values()).backward()
    optimizer.step()
    torch.save(dict(epoch=3, name="run", state_dict={"module." + k: v for k, v in state.items()},
                    optimizer=optimizer.state_dict(), scaler=dict(scale=65536.0)),
               folder / "epoch_3.pt")
    return [folder / "epoch_3.pt", *architecture(case, folder)]


def bare_safetensors(case, state, folder):
    save_file(state, folder / "weights.safetensors")
    return [folder / "weights.safetensors", *architecture(case, folder)]


def bare_legacy(case, state, folder):
    """The format before PyTorch 1.6; tensors of a layer are views of one storage."""
    flat = torch.cat([v.flatten() for v in state.values()])
    views, at = {}, 0
    for name, value in state.items():
        views[name] = flat[at:at + value.numel()].view(value.shape)
        at += value.numel()
    torch.save(views, folder / "weights.pt", _use_new_zipfile_serialization=False)
    return [folder / "weights.pt", *architecture(case, folder)]


def hugging_face_directory(case, state, folder):
    model = CLIPModel(hugging_face_config(case)).to(case.dtype)
    model.load_state_dict(hugging_face_state(state), strict=False)
    model.save_pretrained(folder)
    return [folder]


def hugging_face_sharded(case, state, folder):
    hugging_face_config(case).save_pretrained(folder)
    shards(hugging_face_state(state), folder, "model", "safetensors", save_file)
    return [folder]


def hugging_face_bin(case, state, folder):
    config = hugging_face_config(case).to_dict() | dict(model_type="clip")
    (folder / "config.json").write_text(json.dumps(config, default=str))
    torch.save(hugging_face_state(state), folder / "pytorch_model.bin")
    return [folder]


def hugging_face_bin_sharded(case, state, folder):
    hugging_face_config(case).save_pretrained(folder)
    # Turned views, as a state dictionary of tied or transposed weights has them.
    converted = hugging_face_state(state)
    for name in ("visual_projection.weight", "text_projection.weight"):
        converted[name] = converted[name].T.contiguous().T
    shards(converted, folder, "pytorch_model", "bin", torch.save)
    return [folder]


def hub_cache(case, state, folder):
    """A snapshot in the cache of huggingface_hub: links to blobs."""
    repository = folder / "models--org--model-name"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / COMMIT
    for directory in (blobs, snapshot, repository / "refs"):
        directory.mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    open_clip_directory(case, state, blobs)
    for file in list(blobs.iterdir()):
        blob = file.rename(blobs / f"{len(file.name):064x}")
        (snapshot / file.name).symlink_to(pathlib.Path("../../blobs") / blob.name)
    return ["hf:org/model-name"]


class Node(torch.nn.Module):
    """A module tree with the attributes that a state dictionary names."""

    def __init__(self, state: dict):
        super().__init__()
        children: dict[str, dict] = {}
        for name, value in state.items():
            head, point, rest = name.partition(".")
            if point:
                children.setdefault(head, {})[rest] = value
            elif value.is_floating_point():
                self.register_parameter(head, torch.nn.Parameter(value, requires_grad=False))
            else:
                self.register_buffer(head, value)
        for name, members in children.items():
            self.add_module(name, Node(members))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def openai_state(case, state):
    cfg = case.model_cfg()
    return state | dict(input_resolution=torch.tensor(cfg["vision_cfg"]["image_size"]),
                        context_length=torch.tensor(cfg["text_cfg"]["context_length"]),
                        vocab_size=torch.tensor(cfg["text_cfg"]["vocab_size"]))


def openai_script(case, state, folder):
    torch.jit.script(Node(openai_state(case, state))).save(folder / "model.pt")
    return [folder / "model.pt"]


def openai_trace(case, state, folder):
    torch.jit.trace(Node(openai_state(case, state)), torch.zeros(1)).save(folder / "model.pt")
    return [folder / "model.pt"]


def openai_plain(case, state, folder):
    torch.save(state, folder / "model.pt")
    return [folder / "model.pt", "--arch", "openai"]


@dataclasses.dataclass(frozen=True)
class Layout:
    title: str
    write: object
    reference: str  # whose model the embeddings are compared with

    def fits(self, case: Case) -> bool:
        if self.reference == "hugging_face":
            return case.is_hugging_face
        return case.is_openai if self.reference == "openai" else True


LAYOUTS = [
    Layout("open_clip directory", open_clip_directory, "open_clip"),
    Layout("open_clip .bin", open_clip_bin, "open_clip"),
    Layout("epoch_N.pt", training_checkpoint, "open_clip"),
    Layout("bare safetensors", bare_safetensors, "open_clip"),
    Layout("bare older .pt", bare_legacy, "open_clip"),
    Layout("hf: cache", hub_cache, "open_clip"),
    Layout("Hugging Face", hugging_face_directory, "hugging_face"),
    Layout("Hugging Face sharded", hugging_face_sharded, "hugging_face"),
    Layout("Hugging Face .bin", hugging_face_bin, "hugging_face"),
    Layout("Hugging Face .bin sharded", hugging_face_bin_sharded, "hugging_face"),
    Layout("OpenAI script", openai_script, "openai"),
    Layout("OpenAI trace", openai_trace, "openai"),
    Layout("OpenAI state", openai_plain, "openai"),
]

HALF, BRAIN = torch.float16, torch.bfloat16
# OpenAI's weights are halves, and its loader makes halves of others.
CASES = [
    Case("ViT-S-32-alt", quick_gelu=True, dtype=HALF),
    Case("ViT-S-16", quick_gelu=True, dtype=HALF),
    Case("ViT-M-32", quick_gelu=True, dtype=HALF),
    Case("ViT-M-16-alt"),  # LayerScale
    Case("ViT-B-32", quick_gelu=True, dtype=HALF),
    Case("ViT-B-32", vision=(("no_ln_pre", True),)),
    Case("ViT-B-16", quick_gelu=True, dtype=HALF),
    Case("ViT-B-16-plus-240", quick_gelu=True, dtype=HALF),
    Case("ViT-L-14", quick_gelu=True, dtype=HALF),
    Case("ViT-L-14-336", layers=1, quick_gelu=True, dtype=HALF),
    Case("ViT-L-16-320", layers=1),
    Case("ViT-H-14", layers=1, dtype=HALF),
    Case("ViT-g-14", layers=1, dtype=HALF),
    Case("ViT-bigG-14", layers=1, dtype=BRAIN),
    Case("ViT-B-32", layers=None, quick_gelu=True, dtype=HALF),
    Case("ViT-L-14", layers=None),
]
# Every layout meets at least eight architectures; the largest and the full-depth models come in
# those that their users have.
LARGE = ("ViT-L-16-320", "ViT-H-14", "ViT-g-14", "ViT-bigG-14")
OF_LARGE = ("open_clip directory", "epoch_N.pt", "Hugging Face", "Hugging Face .bin sharded",
            "OpenAI script")


def layouts_of(case: Case) -> list[Layout]:
    large = case.layers is None or case.name in LARGE
    return [layout for layout in LAYOUTS
            if layout.fits(case) and (not large or layout.title in OF_LARGE)]
