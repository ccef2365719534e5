"""The definitions, written out plainly in fp64: both towers, every contribution, TextSpan.

Nothing here is fast. The vision tower is evaluated token by token as the definition has it; sums
that the program never forms are formed. Letters: L layers, H heads, N tokens (0 = class token),
K head width, D width, E embedding width, B pictures, M texts.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file


@dataclasses.dataclass
class Decomposition:
    """One picture's embedding as a sum."""

    heads: torch.Tensor      # [L, H, N, E]: layer, head, token
    mlps: torch.Tensor       # [L+1, E]: INPUT, then the MLP of each layer
    embedding: torch.Tensor  # [E], unit, from the ordinary forward pass

    @property
    def attn(self) -> torch.Tensor:
        return self.heads.sum(2)

    @property
    def cls_attn(self) -> torch.Tensor:
        return self.heads[:, :, 0].sum(1)


class VisionTower:
    def __init__(self, directory: pathlib.Path):
        config = json.loads((directory / "open_clip_config.json").read_text())["model_cfg"]
        vision = config["vision_cfg"]
        self.layers = vision["layers"]
        self.heads = vision["width"] // vision["head_width"]
        self.patch = vision["patch_size"]
        self.epsilon = vision.get("norm_kwargs", {}).get("eps", 1e-5)
        self.quick_gelu = config.get("quick_gelu", False)
        state = load_file(directory / "open_clip_model.safetensors")
        self.state = {name.removeprefix("visual."): value.double()
                      for name, value in state.items() if name.startswith("visual.")}

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        mean = x.mean(-1, keepdim=True)
        variance = ((x - mean) ** 2).mean(-1, keepdim=True)
        return (self.state[name + ".weight"] * (x - mean) / (variance + self.epsilon).sqrt()
                + self.state[name + ".bias"])

    def activation(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x) if self.quick_gelu else F.gelu(x)

    def decompose(self, pixels: np.ndarray) -> Decomposition:
        """pixels [3, S, S]. "Interpreting CLIP's Image Representation via Text-Based
        Decomposition" (arXiv 2310.05916), section 3, with constants shared evenly: the output bias
        of attention over heads and tokens, mean and bias of the last norm over the 2L+1 components
        and, in attention, over heads and tokens."""
        s = self.state
        width = s["class_embedding"].numel()
        side, p = pixels.shape[1] // self.patch, self.patch
        x = torch.from_numpy(pixels).double()[:, : side * p, : side * p]
        x = x.reshape(3, side, p, side, p).permute(1, 3, 0, 2, 4).reshape(side * side, -1)
        x = x @ s["conv1.weight"].reshape(width, -1).T
        x = torch.cat([s["class_embedding"][None], x]) + s["positional_embedding"]
        x = self.norm(x, "ln_pre")
        return self.blocks(x, 0, torch.zeros(()), "ln_post", s["proj"])

    def blocks(self, x, pooled, mask, last, projection) -> Decomposition:
        """The blocks on tokens x [N, D] and what row `pooled` becomes; `mask` is added to scores
        of attention, `last` is the name of the last norm."""
        s = self.state
        tokens, width = x.shape
        head_width = width // self.heads
        terms = [x[pooled]]  # INPUT, MLP 0, ... [D]
        written = []    # of each layer [H, N, D]
        biases = []     # of each layer [D]
        for layer in range(self.layers):
            name = f"transformer.resblocks.{layer}."
            out_weight, out_bias = s[name + "attn.out_proj.weight"], s[name + "attn.out_proj.bias"]
            y = self.norm(x, name + "ln_1")
            qkv = y @ s[name + "attn.in_proj_weight"].T + s[name + "attn.in_proj_bias"]
            q, k, v = (part.reshape(tokens, self.heads, head_width).transpose(0, 1)
                       for part in qkv.split(width, dim=1))  # [H, N, K]
            pattern = (q @ k.transpose(1, 2) / head_width ** 0.5 + mask).softmax(-1)  # [H, N, N]
            z = pattern[:, pooled, :, None] * v  # what the pooled token takes from each token [H, N, K]
            by_head = out_weight.T.reshape(self.heads, head_width, width)  # [H, K, D]
            written.append(z @ by_head)
            biases.append(out_bias)
            attended = (pattern @ v).transpose(0, 1).reshape(tokens, width)
            x = x + attended @ out_weight.T + out_bias
            hidden = self.norm(x, name + "ln_2") @ s[name + "mlp.c_fc.weight"].T
            hidden = self.activation(hidden + s[name + "mlp.c_fc.bias"])
            mlp = hidden @ s[name + "mlp.c_proj.weight"].T + s[name + "mlp.c_proj.bias"]
            terms.append(mlp[pooled])
            x = x + mlp

        mean = x[pooled].mean()
        sigma = (((x[pooled] - mean) ** 2).mean() + self.epsilon).sqrt()
        gain, bias = s[last + ".weight"], s[last + ".bias"]
        raw = self.norm(x[pooled], last) @ projection
        norm = raw.norm()
        components = 2 * self.layers + 1
        shares = self.heads * tokens
        heads = torch.stack([
            (gain * (w + b / shares - mean / (components * shares)) / sigma
             + bias / (components * shares)) @ projection / norm
            for w, b in zip(written, biases)])
        mlps = ((gain * (torch.stack(terms) - mean / components) / sigma + bias / components)
                @ projection / norm)
        return Decomposition(heads=heads, mlps=mlps, embedding=raw / norm)


class TextTower:
    """The text tower of open_clip's CLIP: causal, no norm in front, the end of text pooled."""

    def __init__(self, directory: pathlib.Path):
        config = json.loads((directory / "open_clip_config.json").read_text())["model_cfg"]
        text = config["text_cfg"]
        self.layers, self.heads = text["layers"], text["heads"]
        self.epsilon = text.get("norm_kwargs", {}).get("eps", 1e-5)
        self.quick_gelu = config.get("quick_gelu", False)
        state = load_file(directory / "open_clip_model.safetensors")
        self.state = {name: value.double() for name, value in state.items()
                      if not name.startswith("visual.")}

    norm = VisionTower.norm
    activation = VisionTower.activation
    blocks = VisionTower.blocks

    def decompose(self, ids: torch.Tensor) -> Decomposition:
        """ids [context]. The shares of VisionTower.decompose over the N tokens up to the end."""
        s = self.state
        end = int(ids.argmax())
        tokens = end + 1
        x = s["token_embedding.weight"][ids[:tokens]] + s["positional_embedding"][:tokens]
        future = torch.full((tokens, tokens), float("-inf"), dtype=x.dtype).triu(1)
        return self.blocks(x, end, future, "ln_final", s["text_projection"])


@dataclasses.dataclass
class Span:
    rank: int             # directions in which texts were compared
    texts: list[int]
    shares: list[float]   # of the variance of the contributions
    margins: list[float]  # the best score's lead over the second, relative


def text_span(contributions: np.ndarray, texts: np.ndarray, count: int,
              most: int | None = None) -> Span:
    """Algorithm 1 of arXiv 2310.05916 as its authors' code runs it, in fp64 and with a rank that
    does not exceed the numerical one, nor `most`: texts projected on the span of the uncentred
    contributions, never normalised; each step takes the text along which the contributions deviate
    most. A direction counts when its second moment is above 1e-12 of the largest
    (docs/text_span.md), its singular value above the root of that.

    contributions [B, E], texts [M, E].
    """
    _, sizes, right = np.linalg.svd(contributions, full_matrices=False)
    rank = int((sizes > 1e-6 * sizes[0]).sum())
    rank = min(rank, most or rank)
    span = right[:rank]
    texts = texts @ span.T @ span
    x = contributions - contributions.mean(0)
    total = (x ** 2).sum()
    result = Span(rank, [], [], [])
    for _ in range(count):
        deviation = (x @ texts.T).std(axis=0, ddof=1)
        best = int(deviation.argmax())
        second = np.partition(deviation, -2)[-2]
        direction = texts[best] / np.linalg.norm(texts[best])
        removed = x @ direction
        result.texts.append(best)
        result.shares.append(float((removed ** 2).sum() / total))
        result.margins.append(float(1 - second / deviation[best]))
        x = x - np.outer(removed, direction)
        texts = texts - np.outer(texts @ direction, direction)
    return result
