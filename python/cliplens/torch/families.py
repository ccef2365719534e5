"""Where a tower keeps what the recorder reads: a table of module names for each family.

A `Layout` is such a table. `layout_of` makes the one of a known model; `Recorder(model, layout={...})` takes the
same fields for a tower of one's own:

    Recorder(model, layout=dict(blocks="encoder.blocks", attention="attn", qkv="qkv", out="proj", mlp="mlp",
                                final_norm="norm", projection=["head"], output="head"))

D is the tower's width, E the embedding's, H the heads of a layer, K the numbers of a head.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import nn

from .errors import RecorderError

TOKEN, AVERAGE, NORMED_AVERAGE, ATTENTION = "token", "average", "normed average", "attention"
POOLS = (TOKEN, AVERAGE, NORMED_AVERAGE, ATTENTION)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names of modules and parameters, with dots; those of a block are relative to the block.

    A tower is read as x_0 = INPUT, then for each block x += attention(x), x += mlp(x), then `pool`, `final_norm` and
    `projection`. What is added must be the output of a module: the attention's is `out`, times `attention_scale`.
    """

    blocks: str  # the list of blocks
    final_norm: str  # the LayerNorm in front of the projection, or in front of an attention pool
    input: str = ""  # the module whose first input is INPUT, if blocks are no modules that are called
    output: str = ""  # the module that gives the embedding [B, E]; "" is the model itself
    projection: tuple[str, ...] = ()  # Linear modules, or parameters [D, E], one after the other
    attention: str = "attn"  # in a block: reads rows [B, N, D]
    qkv: tuple[str, ...] = ()  # in the attention: one Linear or three; empty: nn.MultiheadAttention's own weights
    out: str = "out_proj"  # in the attention: the Linear that the heads' outputs go through
    attention_scale: str = ""  # in a block: a parameter [D] that the attention's output is multiplied with
    mlp: str = "mlp"  # in a block: the module whose output is added to the rows
    head_norm: str = ""  # in the attention: a LayerNorm over all heads' outputs
    behind_norm: str = ""  # in a block: a LayerNorm behind the attention
    query_norm: str = ""  # in the attention: modules that give queries and keys [B, H, N, K] before their
    key_norm: str = ""  # rotation; needed where they are more than Linear
    pool: str = TOKEN  # what becomes the embedding: row 0, a mean of rows, or an attention over rows
    pool_module: str = ""  # of an attention pool
    pool_behind_norm: str = ""  # a LayerNorm behind an attention pool
    prefix_tokens: int = 1  # rows in front of the patches
    class_token: bool = True  # whether row 0 is a class token
    family: str = "own layout"
    image_size: int | None = None  # pixels of a side
    patch: int | None = None  # pixels of a side

    def __post_init__(self) -> None:
        for field in ("projection", "qkv"):
            value = getattr(self, field)
            object.__setattr__(self, field, (value,) if isinstance(value, str) else tuple(value))
        if self.pool not in POOLS:
            raise RecorderError(f"layout: pool is {self.pool!r}; it is one of {', '.join(map(repr, POOLS))}")
        if self.pool == TOKEN and self.prefix_tokens < 1:
            raise RecorderError("layout: pool 'token' takes row 0, so there is at least one prefix token")
        if self.pool == ATTENTION and not self.pool_module:
            raise RecorderError("layout: an attention pool needs the name of its module in `pool_module`")

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Layout:
        """The layout of a user's table. RecorderError names a field that there is not, or that is missing."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(table) - set(fields))
        if unknown:
            raise RecorderError(f"layout: no field {', '.join(unknown)}; the fields are {', '.join(fields)}")
        missing = [name for name in ("blocks", "final_norm") if name not in table]
        if missing:
            raise RecorderError(f"layout: {' and '.join(missing)} missing; name the module of the model")
        return cls(**table)


def unwrapped(module: Any) -> Any:
    """What torch.compile wrapped."""
    while hasattr(module, "_orig_mod"):
        module = module._orig_mod
    return module


def find(root: nn.Module, name: str, default: Any = None) -> Any:
    """The module, parameter or attribute of a dotted name, or `default`."""
    at: Any = unwrapped(root)
    for part in name.split(".") if name else []:
        if part.isdigit() and not hasattr(at, part):
            return default
        at = getattr(at, part, None)
        if at is None:
            return default
        at = unwrapped(at)
    return at


def need(root: nn.Module, name: str, what: str, where: str = "") -> Any:
    """As `find`; RecorderError says what is missing."""
    found = find(root, name)
    if found is None:
        kind = type(root).__name__
        raise RecorderError(f"{kind}{where} has no {name}, {what}; say where it is: Recorder(model, layout={{...}})")
    return found


def side(value: Any) -> int | None:
    """The first of a pair, or a number."""
    if isinstance(value, (tuple, list)):
        value = value[0] if value else None
    return int(value) if isinstance(value, (int, float)) else None


def is_there(module: Any) -> bool:
    return module is not None and not isinstance(module, nn.Identity)


def _open_clip(model: nn.Module) -> Layout:
    """open_clip's own vision transformer, in CLIP, CustomTextCLIP and CoCa."""
    visual = find(model, "visual")
    blocks = find(visual, "transformer.resblocks")
    block = blocks[0]
    if not isinstance(find(block, "attn"), nn.MultiheadAttention):
        raise RecorderError(f"visual.transformer.resblocks.0 is a {type(block).__name__}, whose attention is "
                            f"{type(find(block, 'attn')).__name__}; only nn.MultiheadAttention is known here")
    if not getattr(find(model, "visual.transformer"), "batch_first", True):
        raise RecorderError("visual.transformer has rows first (batch_first=False); make the model with batch_first")
    common: dict[str, Any] = dict(
        blocks="visual.transformer.resblocks", output="visual", projection=("visual.proj",), out="out_proj",
        mlp="ls_2", attention_scale="ls_1.gamma" if is_there(find(block, "ls_1")) else "",
        family="open_clip", image_size=side(visual.image_size), patch=side(visual.patch_size))
    pool_type = getattr(visual, "pool_type", "tok")
    if visual.attn_pool is not None:
        if getattr(visual, "attn_pool_contrastive", None) is not None or pool_type != "tok":
            raise RecorderError(f"visual.attn_pool: two pools, or pool_type {pool_type!r}, are not known; "
                                "CoCa's one pool with pool_type 'tok' is")
        return Layout(**common, final_norm="visual.attn_pool.ln_k", pool=ATTENTION, pool_module="visual.attn_pool",
                      pool_behind_norm="visual.ln_post")
    if pool_type == "avg":
        pool = AVERAGE if visual.final_ln_after_pool else NORMED_AVERAGE
    elif pool_type == "tok":
        pool = TOKEN
    else:
        raise RecorderError(f"visual.pool_type is {pool_type!r}; 'tok' and 'avg' give an embedding")
    return Layout(**common, final_norm="visual.ln_post", pool=pool)


_TIMM_BLOCKS = ("Block", "EvaBlock", "EvaBlockPostNorm")


def _timm(model: nn.Module) -> Layout:
    """timm's VisionTransformer and Eva, alone or as an image tower of open_clip's (visual.trunk)."""
    at = "visual.trunk." if find(model, "visual.trunk") is not None else ""
    trunk = find(model, at.rstrip("."))
    block = find(trunk, "blocks")[0]
    kind = type(block).__name__
    if kind not in _TIMM_BLOCKS:
        raise RecorderError(f"{at}blocks.0 is a {kind}; known are {', '.join(_TIMM_BLOCKS)}. A block whose attention "
                            "and MLP are added one after the other can be described by layout=")
    attention = find(block, "attn")
    if attention is None:
        raise RecorderError(f"{at}blocks.0 has no attn, its attention; name it: layout={{'attention': ...}}")
    if getattr(attention, "gate", None) is not None:
        raise RecorderError(f"{at}blocks.0.attn.gate: a gate on the heads' outputs is not known")
    if getattr(attention, "num_kv_heads", None) not in (None, attention.num_heads):
        raise RecorderError(f"{at}blocks.0.attn has fewer heads of keys than of queries; not known")
    post_norm = kind == "EvaBlockPostNorm"
    pool_type = getattr(trunk, "global_pool", "token")
    pool_module = find(trunk, "attn_pool")
    fc_norm = is_there(find(trunk, "fc_norm"))
    if not fc_norm and not is_there(find(trunk, "norm")):
        raise RecorderError(f"{at}norm and {at}fc_norm: neither is a LayerNorm")
    prefix = int(getattr(trunk, "num_prefix_tokens", 0))
    if pool_module is not None:
        pool = ATTENTION
        if not getattr(trunk, "pool_include_prefix", True) and prefix and not _is_eva(trunk):
            raise RecorderError(f"{at}attn_pool leaves the prefix out (pool_include_prefix); not known")
    elif pool_type == "token":
        pool = TOKEN
    elif pool_type == "avg":
        if getattr(trunk, "pool_include_prefix", False):
            raise RecorderError(f"{at}pool_include_prefix: a mean with the prefix tokens is not known")
        pool = AVERAGE if fc_norm else NORMED_AVERAGE
    else:
        raise RecorderError(f"{at}global_pool is {pool_type!r}; 'token', 'avg' and 'map' give an embedding")
    if pool == ATTENTION and fc_norm:
        raise RecorderError(f"{at}fc_norm behind an attention pool is not known")
    head = find(model, "visual.head")
    if at and is_there(find(head, "mlp")):
        raise RecorderError("visual.head.mlp: an MLP is no linear projection of the embedding")
    projection = [name for name in (at + "head", "visual.head.proj" if at else "")
                  if name and isinstance(find(model, name), nn.Linear)]
    joint = find(attention, "qkv") is not None
    turned = is_there(find(attention, "q_norm")) or find(trunk, "rope") is not None
    scale = "ls1.gamma" if find(block, "ls1.gamma") is not None else "gamma_1" if find(
        block, "gamma_1") is not None else ""
    return Layout(
        blocks=at + "blocks", final_norm=at + ("fc_norm" if fc_norm else "norm"),
        output="visual" if at else "head", projection=tuple(projection), attention="attn",
        qkv=("qkv",) if joint else ("q_proj", "k_proj", "v_proj"), out="proj", attention_scale=scale,
        mlp="drop_path2", head_norm="norm" if is_there(find(attention, "norm")) else "",
        behind_norm="norm1" if post_norm else "", query_norm="q_norm" if turned else "",
        key_norm="k_norm" if turned else "", pool=pool, pool_module=at + "attn_pool" if pool == ATTENTION else "",
        prefix_tokens=prefix, class_token=find(trunk, "cls_token") is not None, family="timm",
        image_size=side(getattr(find(trunk, "patch_embed"), "img_size", None)),
        patch=side(getattr(find(trunk, "patch_embed"), "patch_size", None)))


def _is_eva(trunk: nn.Module) -> bool:
    return any(kind.__name__ == "Eva" for kind in type(trunk).__mro__)


def _transformers(model: nn.Module) -> Layout:
    """transformers' CLIP, MetaCLIP 2, SigLIP and SigLIP 2, with a text tower or without."""
    at = "vision_model." if find(model, "vision_model.encoder.layers") is not None else ""
    tower = find(model, at.rstrip("."))
    config = tower.config
    common: dict[str, Any] = dict(blocks=at + "encoder.layers", final_norm=at + "post_layernorm", attention="self_attn",
                  qkv=("q_proj", "k_proj", "v_proj"), out="out_proj", mlp="mlp", family="transformers",
                  image_size=side(getattr(config, "image_size", None)), patch=side(getattr(config, "patch_size", None)))
    if find(tower, "head") is not None:
        pixels = getattr(config, "image_size", None)
        if pixels is None and getattr(config, "num_patches", None):  # Siglip2's own configuration
            common["image_size"] = round(config.num_patches ** 0.5) * config.patch_size
        return Layout(**common, output=at + "head", pool=ATTENTION, pool_module=at + "head", prefix_tokens=0,
                      class_token=False)
    if find(model, "visual_projection") is None:
        raise RecorderError(f"{type(model).__name__} has no visual_projection, which gives the embedding; use the "
                            "class with a projection (CLIPModel, CLIPVisionModelWithProjection)")
    return Layout(**common, output="visual_projection", projection=("visual_projection",))


# What a family is known by, and its table.
_FAMILIES = (("visual.transformer.resblocks", _open_clip), ("visual.trunk.blocks", _timm),
             ("vision_model.encoder.layers", _transformers), ("encoder.layers", _transformers), ("blocks", _timm))


def layout_of(model: nn.Module) -> Layout:
    """The layout of a known model. RecorderError says what was looked for where there is none."""
    for name, make in _FAMILIES:
        if find(model, name) is not None:
            return make(model)
    tower = find(model, "visual.trunk", find(model, "visual", model))
    hint = ""
    if any(find(tower, name) is not None for name in ("layer1", "layer4", "stages")):
        hint = " (a network of convolutions has no heads to decompose)"
    names = ", ".join(name for name, _ in _FAMILIES)
    raise RecorderError(f"{type(model).__name__}: its image tower, a {type(tower).__name__}, has none of {names}{hint}"
                        "; if it has blocks of attention and MLP, name them: Recorder(model, layout={'blocks': ..., "
                        "'final_norm': ..., ...})")


@dataclasses.dataclass(frozen=True)
class Projections:
    """Weights [H·K, D] and biases [H·K] that make queries, keys and values of rows; views of the model's own."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    query_bias: torch.Tensor | None
    key_bias: torch.Tensor | None
    value_bias: torch.Tensor | None


def projections_of(attention: Any, names: tuple[str, ...]) -> Projections:
    """Of an attention whose Linear modules have these names (Layout.qkv)."""
    if not names:
        weights = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
        if attention.in_proj_weight is not None:
            weights = attention.in_proj_weight.chunk(3)
        bias = attention.in_proj_bias
        return Projections(*weights, *(bias.chunk(3) if bias is not None else (None,) * 3))
    if len(names) == 1:
        joint = find(attention, names[0])
        if joint.bias is not None:
            own = joint.bias.chunk(3)
        else:  # EVA has them apart
            own = [getattr(attention, f"{letter}_bias", None) for letter in "qkv"]
        return Projections(*joint.weight.chunk(3), *own)
    parts = [find(attention, name) for name in names]
    return Projections(*(part.weight for part in parts), *(part.bias for part in parts))


@dataclasses.dataclass(frozen=True)
class Block:
    """One layer of a tower, its modules found."""

    module: nn.Module
    attention: nn.Module
    qkv: tuple[str, ...]
    heads: int
    out: nn.Linear
    scale: torch.Tensor | None
    mlp: nn.Module
    head_norm: nn.LayerNorm | None
    behind_norm: nn.LayerNorm | None
    query_norm: nn.Module | None
    key_norm: nn.Module | None

    @property
    def is_fused(self) -> bool:
        """nn.MultiheadAttention, which calls neither `out` nor anything else that a hook sees."""
        return not self.qkv

    @property
    def head_width(self) -> int:
        return self.out.weight.shape[1] // self.heads

    @property
    def attention_scale(self) -> float:
        """What logits are multiplied with."""
        scale = getattr(self.attention, "scale", None)
        return float(scale) if isinstance(scale, (int, float)) else float(self.head_width ** -0.5)

    def projections(self) -> Projections:
        return projections_of(self.attention, self.qkv)


@dataclasses.dataclass(frozen=True)
class Tower:
    """A model's image tower, every module of its layout found."""

    layout: Layout
    blocks: tuple[Block, ...]
    input: nn.Module
    final_norm: nn.LayerNorm
    projection: tuple[nn.Module | torch.Tensor, ...]
    output: nn.Module
    pool: nn.Module | None
    pool_behind_norm: nn.LayerNorm | None

    def weights(self) -> Iterator[torch.Tensor]:
        """What the read-out's matrices are made of."""
        modules: list[Any] = [self.final_norm, self.pool, self.pool_behind_norm, *self.projection]
        for block in self.blocks:
            modules += [block.out, block.behind_norm, block.scale]
        for module in modules:
            if isinstance(module, torch.Tensor):
                yield module
            elif module is not None:
                yield from module.parameters()

    @property
    def heads(self) -> int:
        return self.blocks[0].heads

    @property
    def width(self) -> int:
        return int(self.blocks[0].out.weight.shape[0])

    @property
    def needs_all_rows(self) -> bool:
        return self.layout.pool != TOKEN


def _norm(root: nn.Module, name: str, what: str, where: str = "") -> nn.LayerNorm:
    norm = need(root, name, what, where)
    if getattr(norm, "weight", None) is None or getattr(norm, "eps", None) is None:
        raise RecorderError(f"{name}{where} is a {type(norm).__name__} without weight and eps; a LayerNorm is needed")
    if "rms" in type(norm).__name__.lower():
        raise RecorderError(f"{name}{where} is a {type(norm).__name__}; only LayerNorm is known")
    return cast(nn.LayerNorm, norm)


def _plain(module: Any, name: str) -> Any:
    """A module whose product is that of its weight: no adapter beside it, nothing packed."""
    weight = getattr(module, "weight", None)
    if hasattr(module, "base_layer") or hasattr(module, "parametrizations"):
        raise RecorderError(f"{name} is a {type(module).__name__} around another Linear; merge the adapter into the "
                            "weights first (merge_and_unload in PEFT)")
    if not isinstance(weight, torch.Tensor) or not weight.is_floating_point() or weight.dim() != 2:
        raise RecorderError(f"{name} is a {type(module).__name__} without a plain weight; quantized models are not "
                            "known, give the model in a floating-point type")
    return module


def _block(blocks: Any, index: int, layout: Layout) -> Block:
    block = unwrapped(blocks[index])
    where = f" ({layout.blocks}.{index})"
    attention = need(block, layout.attention, "the attention", where)
    at = f"{layout.blocks}.{index}.{layout.attention}"
    out = _plain(need(attention, layout.out, "the Linear behind the heads", f" ({at})"), f"{at}.{layout.out}")
    for name in layout.qkv:
        _plain(need(attention, name, "queries, keys and values", f" ({at})"), f"{at}.{name}")
    heads = getattr(attention, "num_heads", getattr(attention, "heads", None))
    if not isinstance(heads, int):
        raise RecorderError(f"{type(attention).__name__}{where} does not say its number of heads in num_heads")
    if not layout.qkv and not isinstance(attention, nn.MultiheadAttention):
        raise RecorderError(f"{layout.attention}{where} is a {type(attention).__name__}, not nn.MultiheadAttention; "
                            "name its Linear modules in layout={'qkv': ...}")
    found = Block(
        module=block, attention=attention, qkv=layout.qkv, heads=heads, out=out,
        scale=need(block, layout.attention_scale, "LayerScale", where) if layout.attention_scale else None,
        mlp=need(block, layout.mlp, "what is added after the attention", where),
        head_norm=_norm(attention, layout.head_norm, "the LayerNorm over the heads", where)
        if layout.head_norm else None,
        behind_norm=_norm(block, layout.behind_norm, "the LayerNorm behind the attention", where)
        if layout.behind_norm else None,
        query_norm=need(attention, layout.query_norm, "the queries", where) if layout.query_norm else None,
        key_norm=need(attention, layout.key_norm, "the keys", where) if layout.key_norm else None)
    p = found.projections()
    if p.key.shape[0] != p.query.shape[0] or p.value.shape[0] != p.query.shape[0]:
        raise RecorderError(f"{layout.attention}{where}: fewer heads of keys than of queries; not known")
    return found


def tower_of(model: nn.Module, layout: Layout) -> Tower:
    """Finds every module of a layout. RecorderError names the first that is missing."""
    blocks = need(model, layout.blocks, "the list of blocks")
    if len(blocks) == 0:
        raise RecorderError(f"{layout.blocks} is empty; a tower has at least one block")
    if layout.pool != TOKEN and (layout.head_norm or layout.behind_norm):
        raise RecorderError("a LayerNorm behind the heads is known for towers that pool the class token's row alone")
    projection = []
    for name in layout.projection:
        part = need(model, name, "the projection to the embedding")
        projection.append(part if isinstance(part, torch.Tensor) else _plain(part, name))
    return Tower(
        layout=layout, blocks=tuple(_block(blocks, i, layout) for i in range(len(blocks))),
        input=need(model, layout.input or layout.blocks + ".0", "what reads the input to block 0"),
        final_norm=_norm(model, layout.final_norm, "the final LayerNorm"), projection=tuple(projection),
        output=need(model, layout.output, "what gives the embedding"),
        pool=need(model, layout.pool_module, "the attention pool") if layout.pool == ATTENTION else None,
        pool_behind_norm=_norm(model, layout.pool_behind_norm, "the LayerNorm behind the pool")
        if layout.pool_behind_norm else None)
