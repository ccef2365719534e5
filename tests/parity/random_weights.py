"""Random weights scaled like trained ones, and their names in transformers' CLIPModel.

Nothing here knows PyTorch or NumPy: callers hand over how arrays are drawn, turned and cut.
"""

from __future__ import annotations

import math


def draw(name: str, shape: tuple[int, ...], normal, uniform, outlier_step: int):
    """A tensor of open_clip's `name`, but for logit_scale. Gains and biases are not 1 and 0,
    attention has peaks, and every `outlier_step`-th channel of the first position stands out.

    normal(scale) draws normal numbers of `shape`, uniform() numbers between 0.3 and 1.8.
    """
    if "ln_" in name:
        return normal(0.3) if name.endswith(".bias") else uniform()
    if name.endswith("positional_embedding"):
        value = normal(0.15)
        value[0, ::outlier_step] += 3.0
        value[:, 5] += 4.0
        return value
    if name.endswith("class_embedding"):
        return normal(0.8)
    if name == "token_embedding.weight":
        return normal(0.5)
    if name.endswith("bias"):
        return normal(0.2)
    if name.endswith("in_proj_weight"):
        value = normal(shape[1] ** -0.5)
        value[: 2 * shape[1]] *= 1.6  # queries and keys
        return value
    if name.endswith("conv1.weight"):
        return normal(math.prod(shape[1:]) ** -0.5)
    if name.endswith("proj") or name.endswith("text_projection"):
        return normal(shape[0] ** -0.5)
    return normal(0.7 * shape[1] ** -0.5)


OUTER = {
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.": "vision_model.pre_layrnorm.",
    "visual.ln_post.": "vision_model.post_layernorm.",
    "visual.transformer.resblocks.": "vision_model.encoder.layers.",
    "transformer.resblocks.": "text_model.encoder.layers.",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.": "text_model.final_layer_norm.",
}
INNER = {".ln_1.": ".layer_norm1.", ".ln_2.": ".layer_norm2.", ".mlp.c_fc.": ".mlp.fc1.",
         ".mlp.c_proj.": ".mlp.fc2.", ".attn.out_proj.": ".self_attn.out_proj."}
PROJECTIONS = {"visual.proj": "visual_projection.weight",
               "text_projection": "text_projection.weight"}


def hugging_face_names(state: dict, transposed, thirds) -> dict:
    """The same weights under the names of transformers' CLIPModel.

    transposed(matrix) turns it, thirds(array) cuts it along its first axis.
    """
    out = {}
    for name, value in state.items():
        if name in PROJECTIONS:
            out[PROJECTIONS[name]] = transposed(value)
            continue
        for ours, theirs in OUTER.items():
            if name.startswith(ours):
                name = theirs + name.removeprefix(ours)
                break
        for ours, theirs in INNER.items():
            name = name.replace(ours, theirs)
        if ".attn.in_proj_" in name:
            for part, letter in zip(thirds(value), "qkv", strict=True):
                out[name.replace(".attn.in_proj_", f".self_attn.{letter}_proj.")] = part
        else:
            out[name] = value
    return out
