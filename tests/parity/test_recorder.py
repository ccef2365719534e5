"""cliplens.torch.Recorder beside the program: the same random weights, the same pixels, and what the program's store
holds. One model of each family, small."""

from __future__ import annotations

import copy
import dataclasses
import json
import pathlib
import shutil

import numpy as np
import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from cliplens.torch import Factors, Recorder, RecorderError
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.numpy import load_file
from safetensors.torch import save_file
from transformers import (AutoTokenizer, CLIPConfig, CLIPModel, CLIPVisionModelWithProjection, MetaClip2Config,
                          MetaClip2Model, Siglip2Config, Siglip2Model, SiglipConfig, SiglipModel)

import models
import other_tokenizers
from models import draw_all
from test_embeddings import TEXTS
from test_image_towers import pixels_of


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
        d, "EVA02-E-14", "eva02_enormous_patch14_clip_224", img_size=70, embed_dim=192, depth=3, num_heads=6,
        mlp_ratio=8.6),
    "PE-Core": lambda d: timm_tower(d, "PE-Core-T-16-384", img_size=96, depth=3),
    "timm SigLIP": lambda d: timm_tower(d, "ViT-B-16-SigLIP", img_size=96, depth=3),
    "timm ViT with a mean": lambda d: timm_tower(
        d, "EVA02-B-16", "vit_medium_patch16_reg4_gap_256", "avg", img_size=96, depth=3),
    "CLIPA": lambda d: open_clip_vit(d, no_ln_pre=True, pool_type="avg", final_ln_after_pool=True),
    "timm ViT with a mean of normed rows": lambda d: timm_tower(d, "vit_medium_patch16_gap_256", depth=3),
    "ViTamin-S": lambda d: timm_tower(d, "ViTamin-S"),
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
        measured.at_most(f"recorder, {what}, {array}, from the program",
                         np.abs(got[array] - wanted[array]).max(), limit)


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


def compare_factors(measured, what, got: Factors, wanted: Factors, limit: float) -> None:
    worst = max(relative(a, b) for a, b in zip(got.numpy().values(), wanted.numpy().values()))
    measured.at_most(f"recorder, {what}, largest difference relative to the tensor's largest number", worst, limit)


@pytest.mark.parametrize("name", ["EVA-02", "timm SigLIP", "PE-Core"])
def test_a_tower_of_timms_alone(measured, cases, stored, name):
    trunk, pixels = cases(name).model.visual.trunk, stored(name).pixels
    recorder, factors = recorded(trunk, pixels)
    _, wanted = recorded(cases(name).model, pixels)
    compare_factors(measured, f"{name}, timm's tower alone", factors, wanted, 1e-6)
    assert recorder.config["family"] == "timm" and recorder.config["name"] == type(trunk).__name__
    with pytest.raises(RecorderError, match="no text tower"):
        recorder.embed_texts(["a cat"])


def siglip2_of(model: SiglipModel) -> Siglip2Model:
    """transformers' class for any resolution, with the weights of one of fixed resolution: patches come as rows."""
    vision = model.config.vision_config
    config = Siglip2Config(text_config=model.config.text_config.to_dict(), vision_config=tower_config(
        patch_size=vision.patch_size, num_patches=(vision.image_size // vision.patch_size) ** 2))
    other = Siglip2Model(config).eval()
    state = model.state_dict()
    patch = "vision_model.embeddings.patch_embedding.weight"
    state[patch] = state[patch].permute(0, 2, 3, 1).flatten(1)
    missing, unexpected = other.load_state_dict(state, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    return other


def as_patches(pixels: torch.Tensor, patch: int) -> dict[str, torch.Tensor]:
    grid = pixels.shape[-1] // patch
    rows = pixels[..., :grid * patch, :grid * patch].unflatten(2, (grid, patch)).unflatten(4, (grid, patch))
    rows = rows.permute(0, 2, 4, 3, 5, 1).reshape(len(pixels), grid * grid, -1)
    return dict(pixel_values=rows, spatial_shapes=torch.tensor([[grid, grid]] * len(pixels)),
                pixel_attention_mask=torch.ones(len(pixels), grid * grid, dtype=torch.int32))


def test_siglip2(measured, cases, stored):
    case, program = cases("SiglipModel"), stored("SiglipModel")
    model = siglip2_of(case.model)
    inputs = as_patches(program.pixels, 15)
    recorder, factors = recorded(model, None, lambda m, _: m.get_image_features(**inputs))
    compare_arrays(measured, "Siglip2Model", arrays_of(recorder, factors), program.arrays)
    measured.at_most("recorder, Siglip2Model, certificate", recorder.certificate().max(), CERTIFICATE)
    assert recorder.config["image_size"] == 90  # whole patches
    inputs["pixel_attention_mask"][1, -6:] = 0
    with pytest.raises(RecorderError, match="padded"), recorder:
        model.get_image_features(**inputs)


def test_passes_add_up(cases, stored):
    case, pixels = cases("open_clip ViT"), stored("open_clip ViT").pixels
    recorder, whole = recorded(case.model, pixels)
    with recorder, torch.inference_mode():
        case.embed(pixels[:2])
        case.embed(pixels[2:3])
    with torch.no_grad():
        case.embed(pixels)  # not recorded
    with recorder:
        case.embed(pixels[3:])  # with gradients
        assert len(recorder.certificate()) == 5  # does not take them
    parts = recorder.factors()
    assert len(parts) == 5
    for got, wanted in zip(parts.numpy().values(), whole.numpy().values()):
        assert np.abs(got - wanted).max() < 1e-5 * np.abs(wanted).max()
        assert got.dtype == np.float32
    assert not parts.embedding.requires_grad and not parts.embedding.is_inference()
    assert torch.equal(recorder.certificate(), recorder.certificate(parts))
    with pytest.raises(RecorderError, match="nothing is recorded"):
        recorder.factors()


@pytest.mark.parametrize("name", ["open_clip ViT", "CoCa", "EVA-02", "SiglipModel"])
def test_the_model_is_left_as_it_was(cases, stored, name):
    """Its answer to the bit, and no hook, also after an error of the caller or of the pass."""
    case, pixels = cases(name), stored(name).pixels[:2]
    with torch.inference_mode():
        plain = case.embed(pixels)
        with Recorder(case.model) as recorder:
            assert torch.equal(case.embed(pixels), plain)
    assert hooks_of(case.model) == 0
    with pytest.raises(KeyError), recorder:
        assert hooks_of(case.model) > 0
        raise KeyError
    assert hooks_of(case.model) == 0
    with pytest.raises(RuntimeError), recorder:
        case.embed(pixels[:, :1])  # one channel
    assert hooks_of(case.model) == 0
    assert len(recorder.factors()) == 2
    with recorder:
        with pytest.raises(RecorderError, match="recording already"):
            recorder.__enter__()
        case.embed(pixels)
        with Recorder(case.model) as second:
            case.embed(pixels)
    assert hooks_of(case.model) == 0
    assert len(recorder.factors()) == 4 and len(second.factors()) == 2


def test_an_interrupted_pass_leaves_nothing(cases, stored):
    case, pixels = cases("open_clip ViT"), stored("open_clip ViT").pixels
    recorder, _ = recorded(case.model, pixels)

    def stop(*_):
        raise KeyboardInterrupt

    handle = case.model.visual.transformer.resblocks[2].register_forward_hook(stop)
    with recorder, torch.inference_mode():
        with pytest.raises(KeyboardInterrupt):
            case.embed(pixels[:3])
        handle.remove()
        case.embed(pixels[:2])
    assert len(recorder.factors()) == 2


def compiled_visual(model, backend):
    """A copy of open_clip's model whose image tower is compiled."""
    model = copy.deepcopy(model)
    model.visual = torch.compile(model.visual, backend=backend)
    return model


def test_compiled(measured, cases, stored, backend="aot_eager"):
    """Compiled before the recorder, or first run within it: the same factors, and the compiled code runs again
    afterwards, without hooks. Whether hooks are called does not depend on the backend."""
    case, pixels = cases("open_clip ViT"), stored("open_clip ViT").pixels
    _, wanted = recorded(case.model, pixels)
    torch._dynamo.reset()
    model = compiled_visual(case.model, backend)
    with torch.inference_mode():
        before = embed(model, pixels)
    recorder, factors = recorded(model, pixels)
    compare_factors(measured, "compiled before", factors, wanted, 1e-5)
    torch._dynamo.reset()
    recorder, factors = recorded(compiled_visual(case.model, backend), pixels)
    compare_factors(measured, "compiled, first run within", factors, wanted, 1e-5)
    count = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    with torch.inference_mode():
        assert (embed(model, pixels) - before).abs().max() < 1e-5
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > count  # compiled now
    assert hooks_of(model) == 0
    with pytest.raises(RecorderError, match="nothing is recorded"):
        recorder.factors()


def test_compiled_as_a_whole(measured, cases, stored):
    trunk, pixels = copy.deepcopy(cases("timm SigLIP").model.visual.trunk), stored("timm SigLIP").pixels
    _, wanted = recorded(trunk, pixels)
    whole = torch.compile(trunk, backend="aot_eager")
    with torch.inference_mode():
        whole(pixels)
    recorder, factors = recorded(whole, pixels)
    compare_factors(measured, "torch.compile(model)", factors, wanted, 1e-5)
    trunk.compile(backend="aot_eager")
    _, factors = recorded(trunk, pixels)
    compare_factors(measured, "model.compile()", factors, wanted, 1e-5)
    assert recorder.fingerprint == Recorder(trunk).fingerprint


@pytest.mark.parametrize("name", ["open_clip ViT", "CLIPModel", "EVA-02", "PE-Core", "SiglipModel"])
def test_halves(measured, cases, stored, name):
    """Autocast and models in bfloat16: float32 factors of what the model computed, which rounds at 2^-9."""
    case, pixels = cases(name), stored(name).pixels
    recorder, wanted = recorded(case.model, pixels)

    def by_autocast(model, pixels):
        with torch.autocast("cpu", torch.bfloat16):
            return embed(model, pixels)

    half = copy.deepcopy(case.model).to(torch.bfloat16)
    for what, (own, got) in {
            "autocast": recorded(case.model, pixels, by_autocast),
            "bfloat16": recorded(half, pixels.to(torch.bfloat16))}.items():
        assert all(array.dtype == np.float32 for array in got.numpy().values())
        cosine = F.cosine_similarity(got.embedding, wanted.embedding).min()
        measured.at_least(f"recorder, {name} by {what}, cosine of embeddings to float32", cosine, 0.9999)
        heads, exact = got.contributions(own.basis()), wanted.contributions(recorder.basis())
        measured.at_most(f"recorder, {name} by {what}, contributions to those in float32, relative",
                         (heads - exact).norm() / exact.norm(), 0.02)
        measured.at_most(f"recorder, {name} by {what}, certificate", own.certificate(got).max(), 0.02)


def test_a_layout_of_ones_own(measured, cases, stored):
    """Names given by hand: the same as the table's; what is missing is named."""
    case, pixels = cases("CLIPModel"), stored("CLIPModel").pixels
    _, wanted = recorded(case.model, pixels)
    table = dict(blocks="vision_model.encoder.layers", attention="self_attn", qkv=["q_proj", "k_proj", "v_proj"],
                 out="out_proj", mlp="mlp", final_norm="vision_model.post_layernorm",
                 projection="visual_projection", output="visual_projection")
    recorder, factors = recorded(case.model, pixels, layout=table, name="mine")
    compare_factors(measured, "layout by hand", factors, wanted, 1e-7)
    assert recorder.config["name"] == "mine" and recorder.config["family"] == "own layout"
    for change, message in [
            (dict(mlp="feed_forward"), r"feed_forward, what is added .*layout="),
            (dict(blocks="vision_model.blocks"), r"vision_model.blocks, the list of blocks"),
            (dict(qkv=["qkv"]), r"no qkv, queries"),
            (dict(qkv=[]), r"not nn.MultiheadAttention"),
            (dict(norm="x"), r"no field norm; the fields are blocks"),
            (dict(pool="max"), r"pool is 'max'"),
            (dict(projection=["visual_projection", "visual_projection"]), r"reads 96 numbers where 80 come")]:
        with pytest.raises(RecorderError, match=message):
            Recorder(case.model, layout=table | change).basis()
    with pytest.raises(RecorderError, match="final_norm missing"):
        Recorder(case.model, layout=dict(blocks="x"))
    wrong = Recorder(case.model, layout=table | dict(output="vision_model.post_layernorm"))
    with pytest.raises(RecorderError, match="name what gives the embedding"), wrong:
        case.embed(pixels)
    assert hooks_of(case.model) == 0


class ByTheBook(torch.nn.Module):
    """A tower of somebody's own, whose blocks have other names."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Linear(48, 32)
        self.first = torch.nn.Parameter(torch.randn(1, 1, 32))
        self.steps = torch.nn.ModuleList()
        for _ in range(3):
            self.steps.append(torch.nn.ModuleDict(dict(
                before=torch.nn.LayerNorm(32), look=torch.nn.MultiheadAttention(32, 4, batch_first=True),
                middle=torch.nn.LayerNorm(32),
                think=torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.GELU(), torch.nn.Linear(64, 32)))))
        self.last, self.out = torch.nn.LayerNorm(32), torch.nn.Linear(32, 20)

    def forward(self, rows):
        x = torch.cat([self.first.expand(len(rows), -1, -1), self.stem(rows)], 1)
        for step in self.steps:
            y = step["before"](x)
            x = x + step["look"](y, y, y, need_weights=False)[0]
            x = x + step["think"](step["middle"](x))
        return self.out(self.last(x[:, 0]))


def test_a_tower_of_ones_own(measured):
    torch.manual_seed(1)
    model = ByTheBook().eval()
    rows = torch.randn(4, 9, 48)
    with pytest.raises(RecorderError, match="ByTheBook.*layout="):
        Recorder(model)
    layout = dict(blocks="steps", attention="look", mlp="think", final_norm="last", projection="out", output="out")
    # Nothing calls a ModuleDict, so the input to block 0 is seen elsewhere.
    with pytest.raises(RecorderError, match="hooks saw 3 of 3 attentions, 3 of 4 rows"), Recorder(model, layout):
        model(rows)
    recorder, factors = recorded(model, rows, layout=layout | dict(input="steps.0.before"))
    measured.at_most("recorder, a tower of one's own, certificate", recorder.certificate().max(), CERTIFICATE)
    with torch.no_grad():
        assert (factors.embedding - F.normalize(model(rows), dim=-1)).abs().max() < 1e-6


@pytest.mark.parametrize("make, message", [
    (lambda: open_clip.create_model("RN50", load_weights=False), "ModifiedResNet.*convolutions"),
    (lambda: timm.create_model("vit_base_patch16_224", depth=2, embed_dim=48, num_heads=3,
                               block_fn=timm.models.vision_transformer.ParallelScalingBlock),
     "blocks.0 is a ParallelScalingBlock; known are Block"),
    (lambda: timm.create_model("resnet18"), "ResNet.*convolutions"),
    (lambda: "ViT-B-16", "str is no torch.nn.Module")])
def test_what_cannot_be_recorded(make, message):
    with pytest.raises(RecorderError, match=message) as error:
        Recorder(make())
    assert isinstance(error.value, ValueError)


def test_configuration(cases, stored, cliplens):
    recorder = Recorder(cases("EVA-02").model, name="eva")
    config = recorder.config
    fingerprint = config.pop("fingerprint")
    assert config == dict(
        name="eva", family="timm", layers=3, heads=12, head_width=64, width=768, embed_width=512, factor_values=64,
        factor_constants=3, image_size=96, patch=16, prefix_tokens=1, class_token=True, pool="token", pool_heads=None,
        pool_mlp=False)
    assert len(fingerprint) == 32 and int(fingerprint, 16) >= 0
    json.dumps(config)
    pool = Recorder(cases("PE-Core").model).config
    assert (pool["pool"], pool["pool_heads"], pool["pool_mlp"], pool["factor_constants"]) == ("attention", 8, True, 0)
    changed = copy.deepcopy(cases("EVA-02").model)
    assert Recorder(changed).fingerprint == fingerprint
    with torch.no_grad():
        changed.visual.trunk.blocks[1].mlp.fc2.bias[7] += 1e-3
    assert Recorder(changed).fingerprint != fingerprint


def test_weights_that_change(measured, cases, stored):
    """A Recorder follows its model: another type, other weights."""
    model, pixels = copy.deepcopy(cases("timm SigLIP").model), stored("timm SigLIP").pixels
    recorder, before = recorded(model, pixels)
    fingerprint = recorder.fingerprint
    with torch.no_grad():
        for value in model.visual.trunk.attn_pool.parameters():
            value *= 1.25
        model.visual.trunk.blocks[1].attn.proj.weight *= 0.5
    with recorder, torch.inference_mode():
        embed(model, pixels)
    after = recorder.factors()
    assert (after.head_z - before.head_z).abs().max() > 1e-3 and recorder.fingerprint != fingerprint
    measured.at_most("recorder, changed weights, certificate", recorder.certificate(after).max(), CERTIFICATE)
    model.double()
    with recorder, torch.inference_mode():
        embed(model, pixels.double())
    measured.at_most("recorder, a model in float64, certificate", recorder.certificate().max(), CERTIFICATE)
    compare_factors(measured, "a model in float64", recorder.factors(), after, 1e-5)


def test_adapters_are_refused(cases):
    class Adapter(torch.nn.Module):
        def __init__(self, base_layer):
            super().__init__()
            self.base_layer = base_layer
            self.weight, self.bias = base_layer.weight, base_layer.bias

    model = copy.deepcopy(cases("CLIPModel").model)
    attention = model.vision_model.encoder.layers[1].self_attn
    attention.v_proj = Adapter(attention.v_proj)
    with pytest.raises(RecorderError, match=r"layers.1.self_attn.v_proj is a Adapter.*merge"):
        Recorder(model)


def test_texts(cliplens, measured, cases, tmp_path):
    """open_clip's own tokenizer, and transformers' for its model, as the program embeds them."""
    case = cases("open_clip ViT")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    cliplens("embed", case.directory, "--texts", tmp_path / "texts.txt", "--truncate", "--out", tmp_path / "t.npy")
    recorder = Recorder(case.model)
    for tokenizer in (None, open_clip.get_tokenizer("ViT-B-16")):
        rows = recorder.embed_texts(TEXTS, tokenizer, batch=5)
        assert rows.dtype == torch.float32
        measured.at_most("recorder, embed_texts, open_clip, from the program",
                         np.abs(rows.numpy() - np.load(tmp_path / "t.npy")).max(), 2e-5)
    case = cases("CoCa")
    with torch.no_grad():
        wanted = case.model.encode_text(open_clip.tokenizer.SimpleTokenizer(
            context_length=case.model.text.context_length)(TEXTS), normalize=True)
    assert (Recorder(case.model).embed_texts(TEXTS) - wanted).abs().max() < 1e-5
    layout = other_tokenizers.write_all(tmp_path / "tokenizers")["SigLIP's spiece.model"]
    tokenizer = AutoTokenizer.from_pretrained(layout.path)
    text = tower_config(num_hidden_layers=2, vocab_size=len(tokenizer) + 3, max_position_embeddings=40,
                        projection_size=96)
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=tower_config(image_size=32, patch_size=16)))
    directory = tmp_path / "siglip"
    hugging_face_case(directory, model, 32, image_processor_type="SiglipImageProcessor", size=dict(height=32, width=32))
    for file in layout.path.iterdir():
        shutil.copy(file, directory)
    cliplens("embed", directory, "--texts", tmp_path / "texts.txt", "--truncate", "--out", tmp_path / "s.npy")
    rows = Recorder(model).embed_texts(TEXTS, tokenizer)
    measured.at_most("recorder, embed_texts, SiglipModel, from the program",
                     np.abs(rows.numpy() - np.load(tmp_path / "s.npy")).max(), 2e-5)
    with pytest.raises(RecorderError, match="give the tokenizer"):
        Recorder(model).embed_texts(TEXTS)


@pytest.mark.parametrize("name", ["open_clip ViT", "EVA-02", "PE-Core", "SiglipModel"])
def test_a_store(cliplens, measured, cases, stored, few, tmp_path, monkeypatch, name):
    """A recorded model becomes a store, which verbs read as the program's own; texts are the model's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    import cliplens as cl

    case, program = cases(name), stored(name)
    recorder, factors = recorded(case.model, program.pixels, name="recorded")
    texts = ["a duck", "a car", "a tree", "a house", "a cup"]
    rows = torch.nn.functional.normalize(torch.randn(5, recorder.config["embed_width"],
                                                     generator=torch.Generator().manual_seed(1)), dim=-1)
    asked = []

    def embed_texts(wanted):
        asked.append(wanted)
        return rows[[texts.index(text) for text in wanted]]

    names = sorted(path.name for path in few.iterdir())
    with cl.StoreWriter(tmp_path / "store", recorder, names, root=few, texts=embed_texts) as writer:
        writer.add(factors)
    store = writer.finish()
    assert store.verify().whole and len(store) == 5 and store.model_name == "recorded"
    assert [item.path for item in store.items] == names
    limit = max(CERTIFICATE, 2 * float(recorder.certificate(factors).max()))
    measured.at_most(f"recorder, {name}, the store's certificate", store.certificate, limit)
    head = store.contributions("L1.H1")
    measured.at_most(f"recorder, {name}, the store's contributions, from the program",
                     np.abs(head - program.arrays["attn"][:, 1, 1]).max(), CONTRIBUTIONS)
    span = store.span(texts, heads="L1.H1", count=2)
    # The first text is the one along which the head varies most (arXiv 2310.05916, algorithm 1).
    spread = ((head - head.mean(0)).astype(float) @ rows.double().numpy().T).var(0)
    assert span.heads[0].texts[0].text == texts[int(spread.argmax())]
    assert asked == [texts]
    store.span(texts, heads="L1.H0", count=1)
    assert len(asked) == 1  # rows are kept
    assert store.search(text="a duck", heads="L1.H1", count=2).results
    store.close()
    with pytest.raises(cl.NotFound, match="recorded"):
        cl.Store(tmp_path / "store").span(["another text"], count=1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_products_of_halves(measured, monkeypatch, dtype):
    """What a GPU computes of rows in half precision: both parts of the float32 side count. Without a GPU the product
    itself is that of float64."""
    from cliplens.torch import attention
    monkeypatch.setattr(attention, "half_product", lambda a, b: (a.double() @ b.double()).float())

    class OfGpu(torch.Tensor):
        device = torch.device("cuda")

    random = torch.Generator().manual_seed(4)
    rows = torch.randn(3, 50, 64, generator=random).to(dtype)
    columns, weights = torch.randn(3, 64, 5, generator=random), torch.rand(3, 5, 50, generator=random)
    for got, wanted in (
            (attention.wide_product(rows.as_subclass(OfGpu), columns), rows.double() @ columns.double()),
            (attention.narrow_product(weights, rows.as_subclass(OfGpu)), weights.double() @ rows.double())):
        assert got.dtype == torch.float32 and got.shape == wanted.shape
        measured.at_most(f"recorder, products of {dtype} rows, relative",
                         float((got - wanted).norm()) / float(wanted.norm()), 2**-16)
