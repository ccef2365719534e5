"""The small CLIP of the picture world: configuration, a fast training forward pass, export.

The parameters are exactly those of open_clip's `CLIP` class under its own names. The forward pass here is
our own because training on a CPU needs what the library does not offer: bf16 weights beside fp32
masters, patch tokens left out, texts trimmed to the longest of a batch, and what every attention
head adds to the image embedding ("contribution"; "Interpreting CLIP's Image Representation via
Text-Based Decomposition", arXiv 2310.05916, section 3).

Shapes: B pictures, T tokens (0 = class token), L layers, H heads, D width, E embedding width.
"""
import json
import math
import os
import tempfile

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


def config(vocab_size, width=192, layers=6, text_width=128, text_layers=3, embed=128, patch=PATCH,
           head_width=32):
    """The `model_cfg` of open_clip for a model of the picture world."""
    return {
        "embed_dim": embed,
        "vision_cfg": {"image_size": IMAGE_SIZE, "layers": layers, "width": width,
                       "head_width": head_width, "patch_size": patch, "mlp_ratio": 2.0},
        "text_cfg": {"context_length": CONTEXT, "vocab_size": vocab_size, "width": text_width,
                     "heads": text_width // 32, "layers": text_layers, "mlp_ratio": 2.0,
                     "hf_tokenizer_name": "local"},
    }


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


def initial_state(model_cfg, seed):
    """Fresh fp32 parameters as a dict under open_clip's names.

    The library's default position embedding is too weak for the model to learn where things are,
    so vision starts from 2-D sinusoids.
    """
    from open_clip.model import CLIP
    torch.manual_seed(seed)
    cfg = json.loads(json.dumps(model_cfg))
    cfg["text_cfg"].pop("hf_tokenizer_name", None)
    model = CLIP(**cfg)
    state = {k: v.detach().clone().float() for k, v in model.state_dict().items()}
    vision = cfg["vision_cfg"]
    state["visual.positional_embedding"] = sinusoids(
        vision["image_size"] // vision["patch_size"], vision["width"], 0.3)
    state["logit_scale"] = torch.tensor(math.log(35.0))
    return state


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
            source = self.master if n == "logit_scale" else self.shadow
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


def _norm(x, p, name):
    return F.layer_norm(x, (x.shape[-1],), p[name + ".weight"], p[name + ".bias"])


def _attend(x, p, name, heads, mask):
    """Self-attention before the output matrix. Returns z [B, T, H, K]."""
    b, t, d = x.shape
    k = d // heads
    qkv = F.linear(x, p[name + ".in_proj_weight"], p[name + ".in_proj_bias"])
    q, key, v = qkv.view(b, t, 3, heads, k).permute(2, 0, 3, 1, 4).unbind(0)
    scores = (q * k ** -0.5) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores + mask
    return (scores.softmax(-1) @ v).transpose(1, 2)


def _mlp(x, p, name):
    h = F.gelu(F.linear(x, p[name + ".c_fc.weight"], p[name + ".c_fc.bias"]))
    return F.linear(h, p[name + ".c_proj.weight"], p[name + ".c_proj.bias"])


def _blocks(x, p, prefix, layers, heads, mask, record=None):
    b, t, d = x.shape
    for layer in range(layers):
        name = f"{prefix}.{layer}"
        z = _attend(_norm(x, p, name + ".ln_1"), p, name + ".attn", heads, mask)
        if record is not None:
            record["z"].append(z[:, 0])
        x = x + F.linear(z.reshape(b, t, d), p[name + ".attn.out_proj.weight"],
                         p[name + ".attn.out_proj.bias"])
        out = _mlp(_norm(x, p, name + ".ln_2"), p, name + ".mlp")
        if record is not None:
            record["mlp"].append(out[:, 0])
        x = x + out
    return x


def image_tokens(p, cfg, patches, keep=None, record=None):
    """Residual stream of the vision tower after its last block [B, T, D].

    patches: normalised [B, N, 3·P·P]; keep: indices [B, k] of the patch tokens that stay.
    record: a dict that receives "input" [B, D], "z" (L × [B, H, K]) and "mlp" (L × [B, D]) of
    the class row, from which `contributions` rebuilds the embedding.
    """
    vision = cfg["vision_cfg"]
    width = vision["width"]
    position = p["visual.positional_embedding"]
    if keep is not None:
        patches = patches.gather(1, keep[..., None].expand(-1, -1, patches.shape[-1]))
        place = position[1:][keep]
    else:
        place = position[1:]
    weight = p["visual.conv1.weight"]
    x = F.linear(patches.to(weight.dtype), weight.view(width, -1)) + place
    first = (p["visual.class_embedding"] + position[0]).expand(x.shape[0], 1, width)
    x = _norm(torch.cat([first, x], 1), p, "visual.ln_pre")
    if record is not None:
        record.update(input=x[:, 0], z=[], mlp=[])
    return _blocks(x, p, "visual.transformer.resblocks", vision["layers"],
                   width // vision["head_width"], None, record)


def project(p, x):
    """ln_post and projection: residual rows [..., D] → embeddings [..., E], not normalised."""
    return _norm(x, p, "visual.ln_post") @ p["visual.proj"]


def contributions(p, cfg, record, x):
    """The image embedding as an exact sum over components (arXiv 2310.05916, section 3.1).

    x: last residual stream [B, T, D]. Returns (heads [B, L, H, E], rest [B, L+1, E], unit
    embedding [B, E]); rest is the input embedding and then the MLPs. Constants are shared evenly:
    the output bias over the heads of its layer, ln_post's mean and bias over the 2L+1 components
    and then over heads. heads.sum((1, 2)) + rest.sum(1) equals the unit embedding.
    """
    layers = cfg["vision_cfg"]["layers"]
    row = x[:, 0]
    gain, bias = p["visual.ln_post.weight"], p["visual.ln_post.bias"]
    proj = p["visual.proj"]
    mean = row.mean(-1, keepdim=True)
    sigma = (row.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    embedding = ((row - mean) / sigma * gain + bias) @ proj
    norm = embedding.norm(dim=-1, keepdim=True)
    count = 2 * layers + 1

    heads = []
    for layer in range(layers):
        z = record["z"][layer]
        b, h, k = z.shape
        name = f"visual.transformer.resblocks.{layer}.attn.out_proj"
        out = p[name + ".weight"].view(-1, h, k)
        write = torch.einsum("bhk,dhk->bhd", z, out) + p[name + ".bias"] / h
        heads.append(write - mean[:, None] / (count * h))
    heads = torch.stack(heads, 1)
    h = heads.shape[2]
    heads = (heads / sigma[:, None, None] * gain + bias / (count * h)) @ proj
    rest = torch.stack([record["input"]] + record["mlp"], 1) - mean[:, None] / count
    rest = (rest / sigma[:, None] * gain + bias / count) @ proj
    return (heads / norm[:, None, None], rest / norm[:, None], embedding / norm)


def text_embeddings(p, cfg, ids):
    """Unit text embeddings [M, E] in fp32, on the parameters' device.

    ids: [M, context], cut here to the longest text, on any device: prompts stay on the CPU, where
    they are drawn.
    """
    text = cfg["text_cfg"]
    end = ids.argmax(-1)
    length = int(end.max()) + 1
    weight = p["token_embedding.weight"]
    ids, end = ids[:, :length].to(weight.device), end.to(weight.device)
    x = F.embedding(ids, weight) + p["positional_embedding"][:length]
    mask = torch.full((length, length), float("-inf"), dtype=x.dtype, device=x.device).triu_(1)
    x = _blocks(x, p, "transformer.resblocks", text["layers"], text["heads"], mask)
    x = _norm(x[torch.arange(len(x), device=x.device), end], p, "ln_final") @ p["text_projection"]
    return F.normalize(x.float(), dim=-1)


def export(directory, state, model_cfg, tokenizer):
    """Writes an open_clip hub directory: config, fp16 weights and the tokenizer's files."""
    from safetensors.torch import save_file
    os.makedirs(directory, exist_ok=True)
    body = {"model_cfg": model_cfg,
            "preprocess_cfg": {"mean": list(MEAN), "std": list(STD), "interpolation": "bicubic",
                               "resize_mode": "shortest"}}
    write_text(os.path.join(directory, "open_clip_config.json"), json.dumps(body, indent=2) + "\n")
    tokenizer.save(directory)
    tensors = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in state.items()}
    path = os.path.join(directory, "open_clip_model.safetensors")
    fd, temporary = tempfile.mkstemp(dir=directory)
    os.close(fd)
    save_file(tensors, temporary, metadata={"format": "pt"})
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def load(directory, device="cpu"):
    """Parameters (fp32 dict, on `device`) and `model_cfg` of an exported directory."""
    from safetensors.torch import load_file
    with open(os.path.join(directory, "open_clip_config.json"), encoding="utf-8") as f:
        cfg = json.load(f)["model_cfg"]
    state = load_file(os.path.join(directory, "open_clip_model.safetensors"))
    return {k: v.to(device, torch.float32) for k, v in state.items()}, cfg


def write_text(path, text):
    """Writes a file in one step, so a reader never sees half of it."""
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(temporary, path)
