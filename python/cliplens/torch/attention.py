"""What the heads of one block put into the rows that are pooled, from what hooks see of the block.

Fused attention never makes the pattern, so what is needed of it is computed here from the attention's input x
[B, N, D]. For one row that costs little. With q the row's query, its logits are the products of x with the H vectors
W_K^h q^h of D numbers, so no keys are made: H/D of the work that keys would be. The same way z^h = W_V^h Σ_i α_i x_i.

Where all rows are pooled, the heads' outputs of all rows are what `out` reads. nn.MultiheadAttention hides them, so
for it they are computed again, by scaled_dot_product_attention.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import torch
import torch.nn.functional as F

from .families import Block


@dataclasses.dataclass
class Heads:
    """Of one block, float32 where they are of one row. K numbers a head, one more with a LayerNorm behind."""

    z: torch.Tensor  # [B, H, K] of row 0; or [B, N, H·K] of all rows, in the model's type
    # With a class token: what row 0 takes from itself [B, H, K]; or, of all rows, row 0's value [B, H, K].
    own: torch.Tensor | None = None
    class_value: torch.Tensor | None = None
    class_weight: torch.Tensor | None = None  # the attention to row 0: [B, H] of row 0, or [B, H, N] of all rows


def moments(x: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and sqrt(variance + eps) over the last axis, which stays with length 1."""
    mean = x.mean(-1, keepdim=True)
    return mean, ((x - mean).square().mean(-1, keepdim=True) + eps).sqrt()


def by_head(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """[H·K, ...] as [H, K, ...] in float32."""
    return weight.float().reshape(heads, -1, *weight.shape[1:])


def row_projection(row: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, heads: int) -> torch.Tensor:
    """Rows [B, D] through a Linear, [B, H, K] in float32."""
    out = F.linear(row, weight.float(), None if bias is None else bias.float())
    return out.reshape(row.shape[0], heads, -1)


def turned(block: Block, rows: torch.Tensor, rope: Any) -> torch.Tensor:
    """Queries or keys [B, H, N, K] with their rotary positions, as timm's attention turns them."""
    if rope is None:
        return rows
    layers: Any = importlib.import_module("timm.layers")  # there, as the attention is timm's
    attention: Any = block.attention
    prefix = attention.num_prefix_tokens
    half = bool(getattr(attention, "rotate_half", False))
    return torch.cat([rows[:, :, :prefix], layers.apply_rot_embed_cat(rows[:, :, prefix:], rope, half=half)], dim=2)


def _halves(narrow: torch.Tensor, dtype: torch.dtype, axis: int) -> torch.Tensor:
    """float32 as a sum of two tensors of a shorter type, side by side: 2^-17 of each number is lost in bfloat16."""
    high = narrow.to(dtype)
    return torch.cat([high, (narrow - high.float()).to(dtype)], axis)


def half_product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor | None:
    """A product of halves with sums and result in float32, or None where PyTorch has none (before 2.8)."""
    try:
        return torch.bmm(left, right, out_dtype=torch.float32)
    except (TypeError, RuntimeError):
        return None


def wide_product(wide: torch.Tensor, narrow: torch.Tensor) -> torch.Tensor:
    """Rows [B, N, D] as the model has them times a few columns [B, D, H] in float32: [B, N, H] in float32.

    On a GPU rows in half precision are read as they are, since making them float32 would take longer than the product;
    the columns are halves in two parts, so that nothing of theirs is lost.
    """
    if wide.dtype != torch.float32 and wide.device.type == "cuda":
        product = half_product(wide, _halves(narrow, wide.dtype, 2))
        if product is not None:
            return product[..., :narrow.shape[2]] + product[..., narrow.shape[2]:]
    return torch.bmm(wide.float(), narrow)


def narrow_product(narrow: torch.Tensor, wide: torch.Tensor) -> torch.Tensor:
    """A few rows of weights [B, H, N] in float32 times rows [B, N, D]: [B, H, D] in float32, as `wide_product`."""
    if wide.dtype != torch.float32 and wide.device.type == "cuda":
        product = half_product(_halves(narrow, wide.dtype, 1), wide)
        if product is not None:
            return product[:, :narrow.shape[1]] + product[:, narrow.shape[1]:]
    return torch.bmm(narrow, wide.float())


class Held:
    """Memory for what a pass keeps, the same in every pass.

    What is held while a model runs would otherwise come from fresh pages each time, or break up the memory that the
    model's own tensors come from again and again; either costs the model more than these copies.
    """

    def __init__(self) -> None:
        self._slots: dict[tuple[str, int], torch.Tensor] = {}

    def keep(self, values: torch.Tensor, name: str, layer: int = 0, dtype: torch.dtype | None = None) -> torch.Tensor:
        """A copy of values, which holds until the next of this name and layer."""
        dtype = dtype or values.dtype
        held = self._slots.get((name, layer))
        if held is None or held.shape != values.shape or held.dtype != dtype or held.device != values.device:
            with torch.inference_mode(False):  # such memory could not be used again elsewhere
                held = torch.empty(values.shape, dtype=dtype, device=values.device)
            self._slots[name, layer] = held
        return held.copy_(values)

    def rows(self, rows: torch.Tensor, name: str, layer: int = 0) -> torch.Tensor:
        """All rows of a layer. A GPU's allocator keeps its pages, so there they stay where they are."""
        return self.keep(rows, name, layer) if rows.device.type == "cpu" else rows


class HeadReader:
    """Collects what one block shows during a pass, and makes `Heads` of it.

    Hooks call the methods in the order of the pass: `see_input`, then `see_query` and `see_key`, then
    `see_head_norm`, then `see_out`; `heads` ends it and forgets everything.
    """

    def __init__(self, block: Block, layer: int, held: Held, all_rows: bool, class_token: bool):
        self.block = block
        self.layer = layer
        self.held = held
        self.all_rows = all_rows
        self.class_token = class_token
        self.clear()

    def clear(self) -> None:
        self._input: torch.Tensor | None = None
        self._rope: Any = None
        self._query: torch.Tensor | None = None
        self._key: torch.Tensor | None = None
        self._norm: tuple[torch.Tensor, torch.Tensor] | None = None  # of the LayerNorm over the heads
        self._heads: Heads | None = None

    @property
    def has_turned_keys(self) -> bool:
        """Queries and keys are more than Linear in the rows, so they are taken from hooks."""
        return self.block.key_norm is not None

    def see_input(self, x: torch.Tensor, rope: Any = None) -> None:
        self.clear()
        self._input, self._rope = x, rope
        if self.block.is_fused:
            self._end(self._rows_again(x) if self.all_rows else self._class_row(x))

    def see_query(self, q: torch.Tensor) -> None:
        self._query = q

    def see_key(self, k: torch.Tensor) -> None:
        self._key = k

    def see_head_norm(self, x: torch.Tensor) -> None:
        assert self.block.head_norm is not None
        self._norm = moments(x[:, 0].float(), self.block.head_norm.eps)

    def see_out(self, z: torch.Tensor) -> None:
        """`z` [B, N, H·K]: what the Linear behind the heads reads."""
        if self.all_rows:
            heads = Heads(self.held.rows(z, "z", self.layer))
            if self.class_token:
                heads.class_weight, heads.class_value = self._taken_from_class()
        else:
            heads = Heads(z[:, 0].float().reshape(z.shape[0], self.block.heads, -1))
            if self.class_token:
                heads.class_weight = self._own_weight_of_row()
                heads.own = heads.class_weight[..., None] * self._class_value()
        self._end(heads)

    def _end(self, heads: Heads) -> None:
        """Keeps the heads alone: the rows that they were made of must not be held until the pass ends."""
        self.clear()
        if not self.all_rows:
            for part, value in vars(heads).items():
                if value is not None:
                    setattr(heads, part, self.held.keep(value, part, self.layer))
        self._heads = heads

    def heads(self) -> Heads | None:
        heads = self._heads
        self.clear()
        return heads

    def _row_logits(self, x: torch.Tensor) -> torch.Tensor:
        """Of row 0 [B, N, H] before the softmax, but for a constant of each head."""
        p = self.block.projections()
        heads = self.block.heads
        query = row_projection(x[:, 0].float(), p.query, p.query_bias, heads) * self.block.attention_scale
        pulled = torch.matmul(query.transpose(0, 1), by_head(p.key, heads))  # [H, B, D]
        return wide_product(x, pulled.permute(1, 2, 0))

    def _class_row(self, x: torch.Tensor) -> Heads:
        p = self.block.projections()
        heads = self.block.heads
        pattern = self._row_logits(x).softmax(1)  # [B, N, H]
        read = narrow_product(pattern.transpose(1, 2), x)  # [B, H, D]
        value = by_head(p.value, heads)
        z = torch.matmul(read.transpose(0, 1), value.transpose(1, 2)).transpose(0, 1)
        if p.value_bias is not None:
            z = z + by_head(p.value_bias, heads)
        own = None
        if self.class_token:
            own = pattern[:, 0, :, None] * row_projection(x[:, 0].float(), p.value, p.value_bias, heads)
        return Heads(z, own, class_weight=pattern[:, 0])

    def _own_weight_of_row(self) -> torch.Tensor:
        """[B, H]"""
        assert self._input is not None
        if not self.has_turned_keys:
            return self._row_logits(self._input).softmax(1)[:, 0]
        assert self._query is not None and self._key is not None
        key = turned(self.block, self._key, self._rope)
        query = self._query[:, :, :1] if self._prefix_is_not_turned() else turned(
            self.block, self._query, self._rope)[:, :, :1]
        query = query.float().transpose(2, 3) * self.block.attention_scale
        logits = wide_product(key.flatten(0, 1), query.flatten(0, 1))  # [B·H, N, 1]
        return logits.softmax(1)[:, 0, 0].reshape(query.shape[:2])

    def _prefix_is_not_turned(self) -> bool:
        return self._rope is None or getattr(self.block.attention, "num_prefix_tokens", 0) > 0

    def _class_value(self) -> torch.Tensor:
        """The class token's value [B, H, K], behind the LayerNorm over the heads if there is one: attention sums to
        1, so what that does to the pooled row it does to each value."""
        assert self._input is not None
        p = self.block.projections()
        value = row_projection(self._input[:, 0].float(), p.value, p.value_bias, self.block.heads)
        norm = self.block.head_norm
        if norm is None:
            return value
        assert self._norm is not None
        mean, sigma = self._norm
        flat = (value.flatten(1) - mean) / sigma * norm.weight.float()
        if norm.bias is not None:
            flat = flat + norm.bias.float()
        return flat.reshape(value.shape)

    def _queries_and_keys(self) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, H, N, K] of all rows."""
        assert self._input is not None
        if self.has_turned_keys:
            assert self._query is not None and self._key is not None
            return turned(self.block, self._query, self._rope), turned(self.block, self._key, self._rope)
        p = self.block.projections()
        x = self._input
        query, key = (F.linear(x, w.to(x.dtype), None if b is None else b.to(x.dtype))
                      .reshape(*x.shape[:2], self.block.heads, -1).transpose(1, 2)
                      for w, b in ((p.query, p.query_bias), (p.key, p.key_bias)))
        return query, key

    def _taken_from_class(self, pair: tuple[torch.Tensor, torch.Tensor] | None = None,
                          ) -> tuple[torch.Tensor, torch.Tensor]:
        """What each row's attention gives to row 0 [B, H, N], and that row's value [B, H, K].

        Attention whose values are 1 in row 0 and 0 elsewhere, so that the pattern is never made."""
        query, key = self._queries_and_keys() if pair is None else pair
        values = key.new_zeros(1, 1, *key.shape[2:])
        values[..., 0, 0] = 1
        out = F.scaled_dot_product_attention(query.to(key.dtype), key, values.expand(key.shape),
                                             scale=self.block.attention_scale)
        return out[..., 0].float(), self._class_value()

    def _rows_again(self, x: torch.Tensor) -> Heads:
        p = self.block.projections()
        query, key = self._queries_and_keys()
        value = F.linear(x, p.value.to(x.dtype), None if p.value_bias is None else p.value_bias.to(x.dtype))
        value = value.reshape(*x.shape[:2], self.block.heads, -1).transpose(1, 2)
        out = F.scaled_dot_product_attention(query, key, value, scale=self.block.attention_scale)
        heads = Heads(out.transpose(1, 2).flatten(2))
        if self.class_token:
            heads.class_weight, heads.class_value = self._taken_from_class((query, key))
        return heads


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """A module's input, however it was given."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor):
            return value.detach()
    raise TypeError("no tensor among the arguments")


def output_tensor(output: Any) -> torch.Tensor:
    """A module's output: a tensor, the first of a tuple, or what transformers names an embedding."""
    for name in ("image_embeds", "pooler_output"):
        value = getattr(output, name, None)
        if isinstance(value, torch.Tensor):
            return value.detach()
    if isinstance(output, (tuple, list)):
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise TypeError(f"the output is a {type(output).__name__}, not a tensor")
    return output.detach()
