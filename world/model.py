"""The small CLIPs of the picture world: configuration and a fast training forward pass.

Three kinds: "clip", open_clip's `CLIP`; "siglip", a tower without a class token whose rows an attention pool
with an MLP reads, and a text tower that reads its padding; "eva", EVA-02's blocks in the image tower (rotary
positions, a LayerNorm over the heads' outputs, SwiGLU). The parameters go by open_clip's names for `CLIP`, with
a few more where a kind has more; `layouts.py` writes them under the libraries' names. The forward pass here is
our own because training on a CPU needs what the libraries do not offer: bf16 weights beside fp32
masters, patch tokens left out, texts trimmed to the longest of a batch, and what every attention
head adds to the image embedding ("contribution"; "Interpreting CLIP's Image Representation via
Text-Based Decomposition", arXiv 2310.05916, section 3).

Shapes: B pictures, T tokens (0 = class token, where there is one), N patches, L layers, H heads, D width,
E embedding width.
"""
import dataclasses
import functools
import math
import os

import numpy as np
import torch
import torch.nn.functional as F

IMAGE_SIZE = 80
PATCH = 10  # of the shipped models
CONTEXT = 24
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
DEVICES = ("auto", "cpu", "cuda")  # values of --device


def pick_device(name):
    """The device that `--device` names; "auto" is a GPU if there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


KINDS = ("clip", "siglip", "eva")


def config(vocab_size, width=192, layers=6, text_width=128, text_layers=3, embed=128, patch=PATCH,
           head_width=32, kind="clip"):
    """The `model_cfg` of open_clip for a model of the picture world, and its kind."""
    if kind == "siglip":
        embed = width  # its pool writes rows of the tower's width
    return {
        "kind": kind,
        "embed_dim": embed,
        "vision_cfg": {"image_size": IMAGE_SIZE, "layers": layers, "width": width,
                       "head_width": head_width, "patch_size": patch, "mlp_ratio": 2.0},
        "text_cfg": {"context_length": CONTEXT, "vocab_size": vocab_size, "width": text_width,
                     "heads": text_width // 32, "layers": text_layers, "mlp_ratio": 2.0,
                     "hf_tokenizer_name": "local"},
    }


class FlatParameters:
    """All parameters in one fp32 vector (the master) with a shadow in the compute type.

    Matrices come first, so weight decay applies to a prefix. `views` maps names to leaf tensors
    of the shadow; `collect` gathers their gradients into the master's. All live on `device`.
    """

    def __init__(self, state, dtype, device="cpu"):
        names = sorted(state, key=lambda n: (state[n].ndim < 2 or "positional" in n, n))
        self.names = names
        self.shapes = {n: tuple(state[n].shape) for n in names}
        sizes = [state[n].numel() for n in names]
        self.split = sum(s for n, s in zip(names, sizes)
                         if not (state[n].ndim < 2 or "positional" in n))
        self.offsets = dict(zip(names, np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist()))
        self.sizes = dict(zip(names, sizes))
        self.master = torch.cat([state[n].reshape(-1).float() for n in names]).to(device)
        self.dtype = dtype
        self.shadow = self.master.to(dtype) if dtype != torch.float32 else self.master
        self.views = {}
        for n in names:
            source = self.master if n.startswith("logit_") else self.shadow
            o = self.offsets[n]
            self.views[n] = source[o:o + self.sizes[n]].view(self.shapes[n]).requires_grad_()

    def refresh(self):
        """Copies the master into the shadow after an optimizer step."""
        if self.shadow is not self.master:
            self.shadow.copy_(self.master)

    def collect(self):
        """Gradients of all parameters as one fp32 vector; clears the leaves."""
        out = torch.zeros_like(self.master)
        for n in self.names:
            g = self.views[n].grad
            if g is not None:
                o = self.offsets[n]
                out[o:o + self.sizes[n]].copy_(g.reshape(-1))
                self.views[n].grad = None
        return out

    def state(self):
        return {n: self.master[self.offsets[n]:self.offsets[n] + self.sizes[n]]
                .view(self.shapes[n]).clone() for n in self.names}


def patchify(images, cfg):
    """uint8 [B, S, S, 3] → normalised patches [B, grid², 3·P·P] in conv1's channel order."""
    b, side = images.shape[:2]
    size = cfg["vision_cfg"]["patch_size"]
    grid = side // size
    x = images.view(b, grid, size, grid, size, 3).permute(0, 1, 3, 5, 2, 4)
    x = x.reshape(b, grid * grid, 3, size * size).float()
    mean, std = (torch.tensor(v).view(1, 1, 3, 1).to(x.device) * 255 for v in (MEAN, STD))
    return ((x - mean) / std).reshape(b, grid * grid, 3 * size * size)


def _norm(x, p, name, epsilon):
    return F.layer_norm(x, (x.shape[-1],), p[name + ".weight"], p[name + ".bias"], epsilon)


@functools.lru_cache(maxsize=4)
def _rotary(grid, head_width):
    """Sines and cosines [2, N, K] by which EVA-02 turns the queries and keys of patches; as timm makes them
    for towers that were trained on a grid of 16."""
    bands = 1.0 / 10000 ** (torch.arange(head_width // 4, dtype=torch.float64) / (head_width // 4))
    place = torch.arange(grid, dtype=torch.float64) / grid * 16
    angle = place[:, None] * bands
    rows = angle[:, None].expand(grid, grid, -1)
    columns = angle[None].expand(grid, grid, -1)
    angle = torch.cat([rows, columns], -1).reshape(grid * grid, -1).repeat_interleave(2, -1)
    return torch.stack([angle.sin(), angle.cos()])


def _turn(x, rotary):
    """x [B, H, T, K] with all tokens but the first turned by rotary [2, 1 or B, 1, T − 1, K]."""
    rest = x[:, :, 1:]
    crossed = torch.stack([-rest[..., 1::2], rest[..., ::2]], -1).flatten(-2)
    return torch.cat([x[:, :, :1], rest * rotary[1] + crossed * rotary[0]], 2)


@dataclasses.dataclass
class Blocks:
    """A stack of transformer blocks. eva: EVA-02's."""
    prefix: str
    layers: int
    heads: int
    epsilon: float = 1e-5
    approximate: str = "none"  # of the GELU
    eva: bool = False

    def attend(self, x, p, name, mask, rotary):
        """Self-attention before the output matrix. Returns z [B, T, H, K]."""
        b, t, d = x.shape
        if self.eva:  # keys have no bias
            bias = p[name + ".q_bias"], torch.zeros_like(p[name + ".q_bias"]), p[name + ".v_bias"]
            bias = torch.cat(bias)
        else:
            bias = p[name + ".in_proj_bias"]
        qkv = F.linear(x, p[name + ".in_proj_weight"], bias)
        q, key, v = qkv.view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if rotary is not None:
            q, key = _turn(q, rotary), _turn(key, rotary)
        scores = (q * q.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        if mask is not None:
            scores = scores + mask
        z = (scores.softmax(-1) @ v).transpose(1, 2)
        if self.eva:
            z = _norm(z.flatten(2), p, name + ".norm", self.epsilon).view(z.shape)
        return z

    def mlp(self, x, p, name):
        h = F.linear(x, p[name + ".c_fc.weight"], p[name + ".c_fc.bias"])
        if self.eva:
            gate, h = h.chunk(2, -1)
            h = _norm(F.silu(gate) * h, p, name + ".norm", self.epsilon)
        else:
            h = F.gelu(h, approximate=self.approximate)
        return F.linear(h, p[name + ".c_proj.weight"], p[name + ".c_proj.bias"])

    def __call__(self, x, p, mask=None, rotary=None, record=None):
        """Rows [B, T, D] after the last block. record["z"] and record["mlp"] receive what heads give to the
        output matrix [B, T, H, K] and what MLPs write [B, T, D], layer by layer; with record["rows"] = 1 of
        the first token alone."""
        for layer in range(self.layers):
            name = f"{self.prefix}.{layer}"
            z = self.attend(_norm(x, p, name + ".ln_1", self.epsilon), p, name + ".attn", mask, rotary)
            if record is not None:
                record["z"].append(z[:, :record["rows"]])
            x = x + F.linear(z.flatten(2), p[name + ".attn.out_proj.weight"],
                             p[name + ".attn.out_proj.bias"])
            out = self.mlp(_norm(x, p, name + ".ln_2", self.epsilon), p, name + ".mlp")
            if record is not None:
                record["mlp"].append(out[:, :record["rows"]])
            x = x + out
        return x


def _epsilon(cfg):
    return 1e-5 if cfg["kind"] == "clip" else 1e-6


def image_blocks(cfg):
    vision, kind = cfg["vision_cfg"], cfg["kind"]
    return Blocks("visual.transformer.resblocks", vision["layers"],
                  vision["width"] // vision["head_width"], _epsilon(cfg),
                  "tanh" if kind == "siglip" else "none", kind == "eva")


def image_tokens(p, cfg, patches, keep=None, record=None):
    """Residual stream of the vision tower after its last block [B, T, D].

    patches: normalised [B, N, 3·P·P]; keep: indices [B, k] of the patch tokens that stay.
    record: a dict that receives "input" [B, T, D], "z" (L × [B, T, H, K]) and "mlp" (L × [B, T, D]) of
    the rows that the embedding reads (the class row, or all), from which `contributions` rebuilds it.
    """
    kind, vision = cfg["kind"], cfg["vision_cfg"]
    width = vision["width"]
    position = p["visual.positional_embedding"]
    place = position if kind == "siglip" else position[1:]
    rotary = None
    if kind == "eva":
        rotary = _rotary(math.isqrt(patches.shape[1]), vision["head_width"]).to(position)
    if keep is not None:
        patches = patches.gather(1, keep[..., None].expand(-1, -1, patches.shape[-1]))
        place = place[keep]
        rotary = rotary[:, keep] if rotary is not None else None
    weight = p["visual.conv1.weight"]
    x = F.linear(patches.to(weight.dtype), weight.view(width, -1), p.get("visual.conv1.bias")) + place
    if kind != "siglip":
        first = (p["visual.class_embedding"] + position[0]).expand(x.shape[0], 1, width)
        x = torch.cat([first, x], 1)
    if kind == "clip":
        x = _norm(x, p, "visual.ln_pre", 1e-5)
    if record is not None:
        record.update(rows=None if kind == "siglip" else 1, z=[], mlp=[])
        record["input"] = x[:, :record["rows"]]
    if rotary is not None:
        rotary = rotary[:, None] if rotary.dim() == 3 else rotary
        rotary = rotary[:, :, None]
    return image_blocks(cfg)(x, p, rotary=rotary, record=record)


def _pool_values(p, cfg, x):
    """What each row gives to the pool's output matrix if the pool reads it alone [..., D]."""
    d = x.shape[-1]
    return F.linear(_norm(x, p, "visual.ln_post", _epsilon(cfg)), p["visual.pool.in_proj_weight"][2 * d:],
                    p["visual.pool.in_proj_bias"][2 * d:])


def pool_weights(p, cfg, x):
    """The weights that the heads of the attention pool give to the rows x [B, T, D]: [B, H, T]."""
    vision = cfg["vision_cfg"]
    d, k = vision["width"], vision["head_width"]
    weight, bias = p["visual.pool.in_proj_weight"], p["visual.pool.in_proj_bias"]
    rows = _norm(x, p, "visual.ln_post", _epsilon(cfg))
    q = F.linear(p["visual.pool.probe"], weight[:d], bias[:d]).view(-1, k) * k ** -0.5
    key = F.linear(rows, weight[d:2 * d], bias[d:2 * d]).unflatten(-1, (-1, k))
    return torch.einsum("hk,bthk->bht", q, key).softmax(-1)


def pool_mlp(p, cfg, row):
    """What the MLP behind the attention pool adds to the pooled row [B, D]."""
    blocks = image_blocks(cfg)
    return blocks.mlp(_norm(row, p, "visual.pool.ln", blocks.epsilon), p, "visual.pool.mlp")


def pooled_row(p, cfg, x):
    """The row that the attention pool makes of rows x [B, T, D], before its MLP: [B, D]."""
    values = _pool_values(p, cfg, x).unflatten(-1, (-1, cfg["vision_cfg"]["head_width"]))
    z = torch.einsum("bht,bthk->bhk", pool_weights(p, cfg, x), values)
    return F.linear(z.flatten(1), p["visual.pool.out_proj.weight"], p["visual.pool.out_proj.bias"])


def patch_rows(p, cfg, x):
    """What each of the rows x [..., D] is in the joint space [..., E], not normalised: ln_post and the
    projection; behind an attention pool what the pool writes when it reads this row alone."""
    if cfg["kind"] == "siglip":
        return F.linear(_pool_values(p, cfg, x), p["visual.pool.out_proj.weight"],
                        p["visual.pool.out_proj.bias"])
    rows = _norm(x, p, "visual.ln_post", _epsilon(cfg)) @ p["visual.proj"]
    return rows + p["visual.proj_bias"] if cfg["kind"] == "eva" else rows


def image_rows(p, cfg, x):
    """Image embeddings [B, E], not normalised, of the tower's last rows x [B, T, D]."""
    if cfg["kind"] == "siglip":
        row = pooled_row(p, cfg, x)
        return row + pool_mlp(p, cfg, row)
    return patch_rows(p, cfg, x[:, 0])


def contributions(p, cfg, record, x):
    """The image embedding as an exact sum over components (arXiv 2310.05916, section 3.1).

    x: last residual stream [B, T, D]. Returns (heads [B, L, H, E], rest [B, L+1, E], unit
    embedding [B, E]); rest is the input embedding and then the MLPs, and last what the attention pool's MLP
    adds where there is one. Constants are shared evenly:
    the output bias over the heads of its layer, ln_post's mean, its bias and those behind it over the 2L+1
    components and then over heads. heads.sum((1, 2)) + rest.sum(1) equals the unit embedding.
    """
    layers = cfg["vision_cfg"]["layers"]
    count = 2 * layers + 1
    rows = x[:, :record["rows"]]
    mean = rows.mean(-1)
    sigma = (rows.var(-1, unbiased=False) + _epsilon(cfg)).sqrt()
    gain, bias = p["visual.ln_post.weight"], p["visual.ln_post.bias"]
    if cfg["kind"] == "siglip":
        d = rows.shape[-1]
        weights = pool_weights(p, cfg, x) / sigma[:, None]  # [B, Q, T]
        value = p["visual.pool.in_proj_weight"][2 * d:].view(weights.shape[1], -1, d)
        out = p["visual.pool.out_proj.weight"].view(d, weights.shape[1], -1)
        read = torch.einsum("qkd,eqk->qde", value * gain, out)  # [Q, D, E]
        constant = (F.linear(bias, p["visual.pool.in_proj_weight"][2 * d:], p["visual.pool.in_proj_bias"][2 * d:])
                    @ p["visual.pool.out_proj.weight"].T + p["visual.pool.out_proj.bias"])
        row = pooled_row(p, cfg, x)
        after = [pool_mlp(p, cfg, row)]
        embedding = row + after[0]
    else:
        weights = 1 / sigma[:, None]
        read = (gain[:, None] * p["visual.proj"])[None]
        constant = bias @ p["visual.proj"] + p.get("visual.proj_bias", 0)
        after = []
        embedding = image_rows(p, cfg, x)
    norm = embedding.norm(dim=-1)
    shift = torch.einsum("bqt,bt,qde->be", weights, mean, read)  # of ln_post's mean
    share = (constant - shift) / count

    heads = []
    for layer in range(layers):
        z = record["z"][layer]
        h = z.shape[2]
        name = f"visual.transformer.resblocks.{layer}.attn.out_proj"
        out = p[name + ".weight"].view(-1, h, z.shape[3])
        write = torch.einsum("bqt,bthk,dhk->bhqd", weights, z, out)
        write = write + torch.einsum("bqt,d->bqd", weights, p[name + ".bias"])[:, None] / h
        heads.append(torch.einsum("bhqd,qde->bhe", write, read) + share[:, None] / h)
    rest = [torch.einsum("bqt,btd,qde->be", weights, part, read) + share
            for part in [record["input"]] + record["mlp"]]
    return (torch.stack(heads, 1) / norm[:, None, None, None],
            torch.stack(rest + after, 1) / norm[:, None, None], embedding / norm[:, None])


def text_embeddings(p, cfg, ids):
    """Unit text embeddings [M, E] in fp32, on the parameters' device.

    ids: [M, context], cut here to the longest text unless padding is read, on any device: prompts stay on the
    CPU, where they are drawn.
    """
    text = cfg["text_cfg"]
    weight = p["token_embedding.weight"]
    name = "transformer.resblocks"
    if cfg["kind"] == "siglip":
        x = F.embedding(ids.to(weight.device), weight) + p["positional_embedding"]
        x = Blocks(name, text["layers"], text["heads"], 1e-6, "tanh")(x, p)[:, -1]
        x = F.linear(_norm(x, p, "ln_final", 1e-6), p["text_projection.weight"], p["text_projection.bias"])
        return F.normalize(x.float(), dim=-1)
    end = ids.argmax(-1)
    length = int(end.max()) + 1
    ids, end = ids[:, :length].to(weight.device), end.to(weight.device)
    x = F.embedding(ids, weight) + p["positional_embedding"][:length]
    mask = torch.full((length, length), float("-inf"), dtype=x.dtype, device=x.device).triu_(1)
    x = Blocks(name, text["layers"], text["heads"])(x, p, mask=mask)
    x = x[torch.arange(len(x), device=x.device), end]
    return F.normalize((_norm(x, p, "ln_final", 1e-5) @ p["text_projection"]).float(), dim=-1)


def write_text(path, text):
    """Writes a file in one step, so a reader never sees half of it."""
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(temporary, path)
