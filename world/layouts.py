"""The files of the picture world's models, in the layouts of the public libraries.

A "clip" is an open_clip directory, its tensors by the names the training uses. A "siglip" is a directory of
transformers' `SiglipModel`. An "eva" is an open_clip directory whose image tower is timm's EVA-02, with the
sizes that differ from the named tower's in `timm_model_kwargs`, which is an addition to open_clip's format.
Weights are written in fp16.
"""
import json
import math
import os
import tempfile

import numpy as np
import torch

from world.model import IMAGE_SIZE, MEAN, STD, config, write_text

TIMM_NAME = "eva02_base_patch16_clip_224"
OPEN_CLIP_FILES = ("open_clip_config.json", "open_clip_model.safetensors")
TRANSFORMERS_FILES = ("config.json", "model.safetensors")


def sinusoids(grid, width, scale):
    """2-D sine and cosine position embedding [grid*grid + 1, width]; the class row is zero."""
    quarter = width // 4
    freq = np.exp(-np.arange(quarter) / quarter * math.log(40.0)) * math.pi / 2
    rows, cols = np.mgrid[0:grid, 0:grid]
    parts = []
    for axis in (rows, cols):
        angle = axis.reshape(-1, 1) * freq[None]
        parts += [np.sin(angle), np.cos(angle)]
    table = np.concatenate(parts, axis=1) * scale
    out = np.zeros((grid * grid + 1, width), np.float32)
    out[1:, :table.shape[1]] = table
    return torch.from_numpy(out)


def mlp_width(cfg):
    """Of the image tower. SwiGLU has three matrices, so it is narrower for as many parameters."""
    ratio = cfg["vision_cfg"]["mlp_ratio"]
    return round(cfg["vision_cfg"]["width"] * (ratio * 2 / 3 if cfg["kind"] == "eva" else ratio))


def timm_arguments(cfg):
    """What timm's `create_model` is given beside TIMM_NAME."""
    vision = cfg["vision_cfg"]
    return {"img_size": vision["image_size"], "patch_size": vision["patch_size"], "embed_dim": vision["width"],
            "depth": vision["layers"], "num_heads": vision["width"] // vision["head_width"],
            "mlp_ratio": (mlp_width(cfg) + 0.5) / vision["width"]}


def siglip_config(cfg):
    """The `config.json` of transformers' SiglipModel."""
    vision, text = cfg["vision_cfg"], cfg["text_cfg"]
    return {
        "architectures": ["SiglipModel"], "model_type": "siglip",
        "vision_config": {
            "model_type": "siglip_vision_model", "hidden_size": vision["width"],
            "intermediate_size": mlp_width(cfg), "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision["head_width"],
            "image_size": vision["image_size"], "patch_size": vision["patch_size"]},
        "text_config": {
            "model_type": "siglip_text_model", "vocab_size": text["vocab_size"], "hidden_size": text["width"],
            "intermediate_size": round(text["width"] * text["mlp_ratio"]),
            "num_hidden_layers": text["layers"], "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"], "projection_size": cfg["embed_dim"],
            "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 1},
    }


def _siglip_block(prefix, name, ours):
    """(ours, theirs) of one block; queries, keys and values are apart in theirs."""
    pairs = []
    for theirs, mine in (("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"),
                         ("mlp.fc2", "mlp.c_proj"), ("self_attn.out_proj", "attn.out_proj")):
        pairs += [(f"{ours}.{mine}.{kind}", [f"{prefix}{name}.{theirs}.{kind}"]) for kind in ("weight", "bias")]
    for kind in ("weight", "bias"):
        pairs.append((f"{ours}.attn.in_proj_{kind}",
                      [f"{prefix}{name}.self_attn.{part}_proj.{kind}" for part in "qkv"]))
    return pairs


def siglip_names(cfg):
    """Our name → names in transformers' SiglipModel; several are parts of ours, one after the other."""
    pairs = [("logit_scale", ["logit_scale"]), ("logit_bias", ["logit_bias"]),
             ("visual.positional_embedding", ["vision_model.embeddings.position_embedding.weight"]),
             ("positional_embedding", ["text_model.embeddings.position_embedding.weight"]),
             ("token_embedding.weight", ["text_model.embeddings.token_embedding.weight"]),
             ("visual.pool.probe", ["vision_model.head.probe"]),
             ("visual.pool.in_proj_weight", ["vision_model.head.attention.in_proj_weight"]),
             ("visual.pool.in_proj_bias", ["vision_model.head.attention.in_proj_bias"])]
    for ours, theirs in (("visual.conv1", "vision_model.embeddings.patch_embedding"),
                         ("visual.ln_post", "vision_model.post_layernorm"),
                         ("visual.pool.out_proj", "vision_model.head.attention.out_proj"),
                         ("visual.pool.ln", "vision_model.head.layernorm"),
                         ("visual.pool.mlp.c_fc", "vision_model.head.mlp.fc1"),
                         ("visual.pool.mlp.c_proj", "vision_model.head.mlp.fc2"),
                         ("ln_final", "text_model.final_layer_norm"), ("text_projection", "text_model.head")):
        pairs += [(f"{ours}.{kind}", [f"{theirs}.{kind}"]) for kind in ("weight", "bias")]
    for tower, ours, layers in (("vision_model", "visual.transformer", cfg["vision_cfg"]["layers"]),
                                ("text_model", "transformer", cfg["text_cfg"]["layers"])):
        for i in range(layers):
            pairs += _siglip_block(f"{tower}.encoder.layers.", i, f"{ours}.resblocks.{i}")
    return dict(pairs)


def eva_names(cfg):
    """Our name → names in open_clip's CustomTextCLIP with timm's EVA-02; several are parts of ours."""
    pairs = [("logit_scale", ["logit_scale"]), ("visual.class_embedding", ["visual.trunk.cls_token"]),
             ("visual.positional_embedding", ["visual.trunk.pos_embed"]),
             ("visual.proj", ["visual.trunk.head.weight"]), ("visual.proj_bias", ["visual.trunk.head.bias"])]
    both = [("visual.conv1", "visual.trunk.patch_embed.proj"), ("visual.ln_post", "visual.trunk.norm")]
    for i in range(cfg["vision_cfg"]["layers"]):
        ours, theirs = f"visual.transformer.resblocks.{i}", f"visual.trunk.blocks.{i}"
        pairs += [(f"{ours}.attn.in_proj_weight", [f"{theirs}.attn.{part}_proj.weight" for part in "qkv"]),
                  (f"{ours}.attn.q_bias", [f"{theirs}.attn.q_proj.bias"]),
                  (f"{ours}.attn.v_bias", [f"{theirs}.attn.v_proj.bias"])]
        pairs += [(f"{ours}.mlp.c_fc.{kind}", [f"{theirs}.mlp.fc1_{part}.{kind}" for part in "gx"])
                  for kind in ("weight", "bias")]
        both += [(f"{ours}.ln_1", f"{theirs}.norm1"), (f"{ours}.ln_2", f"{theirs}.norm2"),
                 (f"{ours}.attn.norm", f"{theirs}.attn.norm"), (f"{ours}.attn.out_proj", f"{theirs}.attn.proj"),
                 (f"{ours}.mlp.norm", f"{theirs}.mlp.norm"), (f"{ours}.mlp.c_proj", f"{theirs}.mlp.fc2")]
    pairs += [(f"{ours}.{kind}", [f"{theirs}.{kind}"]) for ours, theirs in both for kind in ("weight", "bias")]
    for name in ("positional_embedding", "text_projection", "token_embedding.weight", "ln_final.weight",
                 "ln_final.bias"):
        pairs.append((name, ["text." + name]))
    for i in range(cfg["text_cfg"]["layers"]):
        for part in ("attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight", "attn.out_proj.bias",
                     "ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight", "mlp.c_fc.bias",
                     "mlp.c_proj.weight", "mlp.c_proj.bias"):
            pairs.append((f"transformer.resblocks.{i}.{part}", [f"text.transformer.resblocks.{i}.{part}"]))
    return dict(pairs)


def library_model(cfg):
    """The library's own module for this configuration, freshly drawn."""
    if cfg["kind"] == "siglip":
        from transformers import SiglipConfig, SiglipModel
        found = siglip_config(cfg)
        return SiglipModel(SiglipConfig(**{k: found[k] for k in ("vision_config", "text_config")}))
    from open_clip.model import CLIP, CustomTextCLIP
    made = json.loads(json.dumps(cfg))
    made["text_cfg"].pop("hf_tokenizer_name", None)
    if made.pop("kind") == "clip":
        return CLIP(**made)
    import timm
    # open_clip makes the texts' side; the image tower is put in its place.
    model = CustomTextCLIP(**made)
    model.visual = torch.nn.Module()
    model.visual.trunk = timm.create_model(TIMM_NAME, num_classes=cfg["embed_dim"], **timm_arguments(cfg))
    return model


def ours(state, cfg):
    """A library's tensors under our names."""
    if cfg["kind"] == "clip":
        return dict(state)
    names = siglip_names(cfg) if cfg["kind"] == "siglip" else eva_names(cfg)
    out = {name: torch.cat([state[part] for part in parts]) if len(parts) > 1 else state[parts[0]]
           for name, parts in names.items()}
    if cfg["kind"] == "siglip":
        out["visual.pool.probe"] = out["visual.pool.probe"].reshape(-1)
        for name in ("logit_scale", "logit_bias"):
            out[name] = out[name].reshape(())
    else:
        out["visual.class_embedding"] = out["visual.class_embedding"].reshape(-1)
        out["visual.positional_embedding"] = out["visual.positional_embedding"][0]
        out["visual.proj"] = out["visual.proj"].T
    return out


def theirs(state, cfg):
    """Our tensors under a library's names."""
    if cfg["kind"] == "clip":
        return dict(state)
    state = dict(state)
    if cfg["kind"] == "siglip":
        names = siglip_names(cfg)
        state["visual.pool.probe"] = state["visual.pool.probe"].reshape(1, 1, -1)
        for name in ("logit_scale", "logit_bias"):
            state[name] = state[name].reshape(1)
    else:
        names = eva_names(cfg)
        state["visual.class_embedding"] = state["visual.class_embedding"].reshape(1, 1, -1)
        state["visual.positional_embedding"] = state["visual.positional_embedding"][None]
        state["visual.proj"] = state["visual.proj"].T
    return {part: piece for name, parts in names.items()
            for part, piece in zip(parts, state[name].chunk(len(parts)) if len(parts) > 1 else [state[name]])}


def initial_state(cfg, seed):
    """Fresh fp32 parameters under our names.

    The libraries' default position embedding is too weak for the model to learn where things are,
    so vision starts from 2-D sinusoids.
    """
    torch.manual_seed(seed)
    state = {k: v.detach().clone().float() for k, v in ours(library_model(cfg).state_dict(), cfg).items()}
    vision = cfg["vision_cfg"]
    table = sinusoids(vision["image_size"] // vision["patch_size"], vision["width"], 0.3)
    state["visual.positional_embedding"] = table[1:] if cfg["kind"] == "siglip" else table
    state["logit_scale"] = torch.tensor(math.log(35.0))
    if cfg["kind"] == "siglip":
        state["logit_bias"] = torch.tensor(-20.0)
    return state


def _save(path, state):
    from safetensors.torch import save_file
    tensors = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in state.items()}
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    os.close(fd)
    save_file(tensors, temporary, metadata={"format": "pt"})
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def export(directory, state, cfg, tokenizer):
    """Writes a model's directory: configuration, preprocessing, fp16 weights and the tokenizer's files."""
    os.makedirs(directory, exist_ok=True)
    tokenizer.save(directory)
    if cfg["kind"] == "siglip":
        settings, weights = TRANSFORMERS_FILES
        body = siglip_config(cfg)
        preprocessing = {"image_processor_type": "SiglipImageProcessor", "do_resize": True, "resample": 3,
                         "size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE}, "do_rescale": True,
                         "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": list(MEAN),
                         "image_std": list(STD)}
        write_text(os.path.join(directory, "preprocessor_config.json"),
                   json.dumps(preprocessing, indent=2) + "\n")
    else:
        settings, weights = OPEN_CLIP_FILES
        model_cfg = {k: v for k, v in cfg.items() if k != "kind"}
        if cfg["kind"] == "eva":
            model_cfg["custom_text"] = True
            model_cfg["vision_cfg"] = {
                "image_size": IMAGE_SIZE, "timm_model_name": TIMM_NAME, "timm_pool": "token", "timm_proj": None,
                "timm_model_kwargs": timm_arguments(cfg)}
        body = {"model_cfg": model_cfg,
                "preprocess_cfg": {"mean": list(MEAN), "std": list(STD), "interpolation": "bicubic",
                                   "resize_mode": "shortest"}}
    write_text(os.path.join(directory, settings), json.dumps(body, indent=2) + "\n")
    _save(os.path.join(directory, weights), theirs(state, cfg))


def _json(directory, name):
    with open(os.path.join(directory, name), encoding="utf-8") as f:
        return json.load(f)


def read_config(directory):
    """The configuration of an exported directory, as `world.model.config` makes it."""
    if os.path.exists(os.path.join(directory, TRANSFORMERS_FILES[0])):
        found = _json(directory, TRANSFORMERS_FILES[0])
        vision, text = found["vision_config"], found["text_config"]
        heads = vision["num_attention_heads"]
        return config(text["vocab_size"], vision["hidden_size"], vision["num_hidden_layers"],
                            text["hidden_size"], text["num_hidden_layers"], text["projection_size"],
                            vision["patch_size"], vision["hidden_size"] // heads, "siglip")
    cfg = _json(directory, OPEN_CLIP_FILES[0])["model_cfg"]
    sizes = cfg["vision_cfg"].get("timm_model_kwargs")
    if sizes is None:
        return {"kind": "clip", **cfg}
    text = cfg["text_cfg"]
    return config(text["vocab_size"], sizes["embed_dim"], sizes["depth"], text["width"], text["layers"],
                        cfg["embed_dim"], sizes["patch_size"], sizes["embed_dim"] // sizes["num_heads"], "eva")


def load(directory, device="cpu"):
    """Parameters (fp32 dict by our names, on `device`) and configuration of an exported directory."""
    from safetensors.torch import load_file
    cfg = read_config(directory)
    weights = (TRANSFORMERS_FILES if cfg["kind"] == "siglip" else OPEN_CLIP_FILES)[1]
    state = ours(load_file(os.path.join(directory, weights)), cfg)
    return {k: v.to(device, torch.float32) for k, v in state.items()}, cfg
