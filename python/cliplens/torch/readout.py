"""From what the components added to the rows to what a store holds: factors, or contributions.

With γ, β of the final LayerNorm, P the projection [D, E], x the pooled row and n the embedding's length,

    e = P^T(γ ⊙ (x − μ)/σ + β)/n

and x is the sum of what INPUT, the heads and the MLPs added, so e is a sum as well ("Interpreting CLIP's Image
Representation via Text-Based Decomposition", arXiv 2310.05916, section 3). The constants μ and β are shared evenly
over the J = 2L+1 terms INPUT, attentions and MLPs; an attention's share, and its bias b_O, evenly over its H heads and
the N tokens. A head's contribution is u^T B with u = [z, 1, μ, σ]/(σ n) of K+3 numbers.

Behind an attention pool a head's contribution has no short form, and the factor is the contribution itself.

Matrices are computed in float64 and kept in float32. Q pool heads, C the pool's width, B pictures.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from .attention import Heads, moments, narrow_product
from .errors import RecorderError
from .families import ATTENTION, NORMED_AVERAGE, Tower, find, projections_of


@dataclasses.dataclass
class Pass:
    """What one forward pass showed: rows [B, D] of row 0, or all rows [B, N, D] where all are pooled."""

    parts: list[torch.Tensor]  # L+1: the input to block 0, then what each MLP added
    heads: list[Heads]  # L
    final: torch.Tensor  # what the final LayerNorm reads
    embedding: torch.Tensor  # [B, E] as the model gives it
    tokens: int
    behind: list[torch.Tensor]  # L: [B, D] what the LayerNorm behind each attention reads, or none
    pool_out: torch.Tensor | None = None  # [B, C] what the LayerNorm behind the pool reads
    pool_mlp: torch.Tensor | None = None  # [B, D] what the pool's MLP adds


@dataclasses.dataclass
class Arrays:
    """The tensors of a store's shard, float32: see Factors."""

    head_z: torch.Tensor
    ln: torch.Tensor
    mlp: torch.Tensor
    cls_attn: torch.Tensor
    embedding: torch.Tensor


def exact_device(device: torch.device) -> torch.device:
    """Where float64 is computed: Apple's GPUs have none."""
    return torch.device("cpu") if device.type in ("mps", "meta") else device


def exact(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to(exact_device(tensor.device)).to(torch.float64)


def vector(tensor: torch.Tensor | None, like: torch.Tensor, size: int) -> torch.Tensor:
    """A bias in float64, zeros if there is none."""
    return like.new_zeros(size) if tensor is None else exact(tensor)


def projected(tower: Tower, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """P [width, E] and its bias [E] in float64, of all projections one after the other."""
    like = exact(tower.final_norm.weight)
    matrix = torch.eye(width, dtype=torch.float64, device=like.device)
    bias = like.new_zeros(width)
    for part in tower.projection:
        if isinstance(part, torch.Tensor):
            weight, own = exact(part), None
        else:
            weight, own = exact(part.weight).T, getattr(part, "bias", None)  # type: ignore[arg-type]
        if weight.shape[0] != matrix.shape[1]:
            raise RecorderError(f"the projection reads {weight.shape[0]} numbers where {matrix.shape[1]} come; name "
                                "the right one: layout={'projection': [...]}")
        matrix = matrix @ weight
        bias = bias @ weight + vector(own, like, weight.shape[1])
    return matrix, bias


def out_matrices(tower: Tower, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """W_O [H·K, D] of a layer, and b_O [D], in float64. LayerScale stands in both. Of a LayerNorm behind the attention
    each head has one column more, of 1/σ_a: b_O stands there, and the LayerNorm's bias in the place of b_O."""
    block = tower.blocks[layer]
    weight = exact(block.out.weight).T  # [H·K, D]
    bias = vector(block.out.bias, weight, weight.shape[1])
    if block.scale is not None:
        weight, bias = weight * exact(block.scale), bias * exact(block.scale)
    norm = block.behind_norm
    if norm is None:
        return weight, bias
    gain = exact(norm.weight)
    weight = (weight - weight.mean(1, keepdim=True)) * gain
    own = (bias - bias.mean()) * gain / block.heads
    by_head = weight.reshape(block.heads, -1, weight.shape[1])
    weight = torch.cat([by_head, own.expand(block.heads, 1, -1)], 1).reshape(-1, weight.shape[1])
    return weight, vector(norm.bias, weight, weight.shape[1])


def lengths(rows: torch.Tensor) -> torch.Tensor:
    """Of rows [B, E], [B, 1]."""
    return rows.square().sum(-1, keepdim=True).sqrt()


def taken_from_class(seen: Pass) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Of each layer, what all rows' attention gives to row 0 [B, H, N], and that row's value [B, H, K]."""
    return [(heads.class_weight, heads.class_value) for heads in seen.heads
            if heads.class_weight is not None and heads.class_value is not None]


class RowReadout:
    """Where a row is pooled: the class token's, or a mean of rows."""

    constants = 3

    def __init__(self, tower: Tower):
        self.tower = tower
        gain, width = exact(tower.final_norm.weight), tower.width
        projection, bias = projected(tower, width)
        scaled = gain[:, None] * projection
        p_gain = scaled.sum(0)
        p_bias = vector(tower.final_norm.bias, gain, width) @ projection + bias
        self.embed_width = int(projection.shape[1])
        layers, heads = len(tower.blocks), tower.heads
        self.terms = 2 * layers + 1
        device = tower.final_norm.weight.device
        matrices = []
        for layer in range(layers):
            weight, out_bias = out_matrices(tower, layer)
            through = (weight @ scaled).reshape(heads, -1, self.embed_width)
            rest = torch.stack([out_bias @ scaled / heads, -p_gain / (self.terms * heads),
                                p_bias / (self.terms * heads)])
            matrices.append(torch.cat([through, rest.expand(heads, -1, -1)], 1).to(torch.float32))
        self.heads = torch.stack(matrices).to(device)  # [L, H, K+3, E]
        self.scaled = scaled.to(torch.float32).to(device)  # [D, E]
        self.p_gain = p_gain.to(torch.float32).to(device)
        self.p_bias = p_bias.to(torch.float32).to(device)

    @property
    def values(self) -> int:
        """Numbers of a head's own in a factor."""
        return int(self.heads.shape[2]) - self.constants

    def arrays(self, seen: Pass) -> Arrays:
        tower, layers = self.tower, len(self.tower.blocks)
        embedding = seen.embedding.float()
        n = lengths(embedding)
        if tower.needs_all_rows:
            row, sigma, parts, z, own = self._means(seen)
            mean, spread = moments(row, tower.final_norm.eps)
            sigma = spread if sigma is None else sigma
        else:
            mean, sigma = moments(seen.final, tower.final_norm.eps)
            parts = torch.stack(seen.parts)
            z = torch.stack([heads.z for heads in seen.heads])
            owns = [heads.own for heads in seen.heads if heads.own is not None]
            own = torch.stack(owns) if owns else None
            if seen.behind:
                z, own = self._behind(seen, z, own)
        factor = 1 / (sigma * n)  # [B, 1]
        mlp = torch.matmul(parts, self.scaled)
        mlp = (mlp - mean / self.terms * self.p_gain) * factor + self.p_bias / (self.terms * n)
        if own is None:
            cls_attn = mlp.new_zeros(layers, *embedding.shape)
        else:
            shared = torch.cat([torch.ones_like(mean), mean, sigma], 1) / seen.tokens
            u = torch.cat([own, shared[None, :, None].expand(*own.shape[:3], 3)], 3)
            cls_attn = torch.matmul(u.flatten(2), self.heads.flatten(1, 2)) * factor
        return Arrays(z.transpose(1, 2).contiguous(), torch.cat([mean, sigma, n], 1), mlp, cls_attn, embedding / n)

    def _behind(self, seen: Pass, z: torch.Tensor, own: torch.Tensor | None,
                ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[L, B, H, K] to K+1 numbers [z/σ_a, 1/σ_a]; the same of the class token's own, weighted by its attention."""
        sigmas = torch.stack([moments(row, block.behind_norm.eps)[1]  # type: ignore[union-attr]
                              for row, block in zip(seen.behind, self.tower.blocks)])[..., None]  # [L, B, 1, 1]
        one = torch.ones_like(z[..., :1])
        with_weight = [heads.class_weight for heads in seen.heads if heads.class_weight is not None]
        if own is not None:
            own = torch.cat([own, torch.stack(with_weight)[..., None]], -1) / sigmas
        return torch.cat([z, one], -1) / sigmas, own

    def _means(self, seen: Pass) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor, torch.Tensor,
                                          torch.Tensor | None]:
        """The pooled row, σ if it is not that of the row, and what is pooled of each component."""
        tower, prefix = self.tower, self.tower.layout.prefix_tokens
        final, patches = seen.final.float(), seen.tokens - prefix
        weights = final.new_zeros(final.shape[0], seen.tokens)
        weights[:, prefix:] = 1 / patches
        sigma = None
        if tower.layout.pool == NORMED_AVERAGE:
            weights[:, prefix:] = 1 / moments(final, tower.final_norm.eps)[1][:, prefix:, 0]
            total = weights.sum(1, keepdim=True)
            sigma = patches / total
            weights = weights / total

        def pooled(rows: torch.Tensor) -> torch.Tensor:
            return narrow_product(weights[:, None], rows)[:, 0]

        # The LayerNorm behind a mean reads the pooled row.
        row = pooled(final) if final.dim() == 3 else final
        z = torch.stack([pooled(heads.z).reshape(len(row), tower.heads, -1) for heads in seen.heads])
        own = None
        if tower.layout.class_token:
            own = torch.stack([torch.einsum("bn,bhn->bh", weights, weight)[..., None] * value
                               for weight, value in taken_from_class(seen)])
        return row, sigma, torch.stack([pooled(part) for part in seen.parts]), z, own


@dataclasses.dataclass
class PoolWeights:
    """An attention pool's weights in float64, whichever library's it is."""

    heads: int  # Q
    probe: torch.Tensor  # [C'] the learned row
    query: tuple[torch.Tensor, torch.Tensor]  # weight [C, C'] and bias [C]
    key: torch.Tensor  # [C, D]; a key's bias changes no softmax
    value: tuple[torch.Tensor, torch.Tensor]  # [C, D], [C]
    out: tuple[torch.Tensor, torch.Tensor]  # [C, C], [C]
    norm: nn.LayerNorm | None  # in front of the pool's MLP
    mlp: nn.Module | None


def pool_weights(pool: nn.Module) -> PoolWeights:
    """Of transformers' SigLIP, timm's AttentionPoolLatent or open_clip's AttentionalPooler."""
    attention = find(pool, "attention", find(pool, "attn"))
    if isinstance(attention, nn.MultiheadAttention):
        p = projections_of(attention, ())
        width = attention.embed_dim
        like = exact(p.query)
        if attention.bias_k is not None or attention.add_zero_attn:
            raise RecorderError("the pool's nn.MultiheadAttention has bias_k or add_zero_attn; not known")
        probe = exact(find(pool, "probe", find(pool, "query"))).reshape(-1, width)[0]
        if find(pool, "ln_q") is not None:
            norm = find(pool, "ln_q")
            probe = nn.functional.layer_norm(probe, (width,), exact(norm.weight),
                                             vector(norm.bias, like, width), norm.eps)
        return PoolWeights(attention.num_heads, probe, (like, vector(p.query_bias, like, width)), exact(p.key),
                           (exact(p.value), vector(p.value_bias, like, width)),
                           (exact(attention.out_proj.weight), vector(attention.out_proj.bias, like, width)),
                           find(pool, "layernorm"), find(pool, "mlp"))
    if find(pool, "latent") is not None and isinstance(find(pool, "kv"), nn.Linear):
        for name in ("q_norm", "k_norm"):
            if not isinstance(find(pool, name), nn.Identity):
                raise RecorderError(f"the pool's {name} is a {type(find(pool, name)).__name__}; not known")
        if find(pool, "pos_embed") is not None or find(pool, "pool") != "token":
            raise RecorderError("the pool has positions of its own, or does not pool its first row; not known")
        latent = exact(find(pool, "latent"))
        key, value = exact(find(pool, "kv").weight).chunk(2)
        width = key.shape[0]
        kv_bias = vector(find(pool, "kv").bias, key, 2 * width)
        query, out = find(pool, "q"), find(pool, "proj")
        if isinstance(query, nn.Identity):
            asked = (torch.eye(width, dtype=torch.float64, device=key.device), key.new_zeros(width))
        else:
            asked = (exact(query.weight), vector(query.bias, key, width))
        if not isinstance(out, nn.Linear):
            raise RecorderError("the pool's proj is no Linear; not known")
        return PoolWeights(int(find(pool, "num_heads")), latent[0, 0], asked, key, (value, kv_bias[width:]),
                           (exact(out.weight), vector(out.bias, key, out.weight.shape[0])),
                           find(pool, "norm"), find(pool, "mlp"))
    raise RecorderError(f"the pool is a {type(pool).__name__}; known are those of SigLIP in transformers, timm's "
                        "AttentionPoolLatent and open_clip's AttentionalPooler")


class PoolReadout:
    """Behind an attention pool (SigLIP, arXiv 2303.15343; CoCa; PE-Core). With w^p_q = a^p_q/σ_q, where a is the pool's
    attention, what adds r_q to the rows adds Σ_p (ρ^p ⊙ γ) W_V^p W_O^p with ρ^p = Σ_q w^p_q r_q. The pool's MLP is a
    component of its own. A LayerNorm behind the pool divides w by its σ_o, and centres and scales W_O."""

    constants = 0

    def __init__(self, tower: Tower):
        assert tower.pool is not None
        self.tower = tower
        self.weights = w = pool_weights(tower.pool)
        self.has_mlp = w.mlp is not None and not isinstance(w.mlp, nn.Identity)
        device = tower.final_norm.weight.device
        gain = exact(tower.final_norm.weight)
        layers, heads, width = len(tower.blocks), tower.heads, tower.width
        self.terms = 2 * layers + 1
        out, out_bias = w.out[0].T, w.out[1]  # [C, C]
        size = out.shape[0]
        projection, projection_bias = projected(tower, out.shape[1])
        self.embed_width = int(projection.shape[1])
        constant = projection_bias
        behind = tower.pool_behind_norm
        if behind is not None:
            behind_gain = exact(behind.weight)
            out = (out - out.mean(1, keepdim=True)) * behind_gain
            out_bias = (out_bias - out_bias.mean()) * behind_gain
            constant = constant + vector(behind.bias, gain, out.shape[1]) @ projection
        out = out @ projection  # [C, E]
        beta = vector(tower.final_norm.bias, gain, width)
        fixed = (w.value[0] @ beta + w.value[1]) @ out + out_bias @ projection
        query = (w.query[0] @ w.probe + w.query[1]).reshape(w.heads, -1) * (size // w.heads) ** -0.5
        pulled = torch.einsum("pk,pkd->pd", query, w.key.reshape(w.heads, -1, width))
        value = (w.value[0] * gain).reshape(w.heads, -1, width)  # [Q, C/Q, D]
        through, biases = [], []
        for layer in range(layers):
            weight, bias = out_matrices(tower, layer)
            through.append((weight @ value.reshape(size, width).T).to(torch.float32)
                           .reshape(heads, -1, w.heads, size // w.heads).permute(0, 2, 1, 3))
            biases.append((value.reshape(size, width) @ bias).reshape(w.heads, -1))

        def kept(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(torch.float32).to(device).contiguous()

        self.query = kept(pulled.T)  # [D, Q]: logits of rows behind γ and β, but for a constant
        self.gain, self.beta = kept(gain), kept(beta)
        self.through = kept(torch.stack(through))  # [L, H, Q, K, C/Q]
        self.out_bias = kept(torch.stack(biases))  # [L, Q, C/Q]
        self.value = kept(value.transpose(1, 2))  # [Q, D, C/Q]
        self.ones = kept(value.sum(2))  # [Q, C/Q]: of a row of ones
        self.out = kept(out)  # [C, E]
        self.fixed, self.constant = kept(fixed), kept(constant)
        self.projection = kept(projection)

    @property
    def values(self) -> int:
        return self.embed_width

    def arrays(self, seen: Pass) -> Arrays:
        tower, layers, heads = self.tower, len(self.tower.blocks), self.tower.heads
        embedding = seen.embedding.float()
        n = lengths(embedding)
        rows = seen.final.float()
        mean, sigma = moments(rows, tower.final_norm.eps)
        normed = (rows - mean) / sigma * self.gain + self.beta
        weights = torch.matmul(normed, self.query).softmax(1) / sigma  # [B, N, Q]
        scale = None
        if seen.pool_out is not None:
            assert tower.pool_behind_norm is not None
            scale = 1 / moments(seen.pool_out, tower.pool_behind_norm.eps)[1]  # [B, 1]
            weights = weights * scale[:, None]
        weights = weights.transpose(1, 2).contiguous()  # [B, Q, N]
        weight = weights.sum(2)  # [B, Q]
        weighted_mean = torch.matmul(weights, mean)  # [B, Q, 1]
        fixed = self.fixed if scale is None else scale * self.fixed
        shared = self.constant + fixed - (weighted_mean * self.ones).flatten(1) @ self.out
        shared = shared / self.terms  # [B, E]

        z = torch.stack([narrow_product(weights, h.z) for h in seen.heads])  # [L, B, Q, H·K]
        head_z = self._heads(z.reshape(*z.shape[:3], heads, -1), weight, shared, n, 1.0)
        rho = torch.stack([narrow_product(weights, part) for part in seen.parts])  # [L+1, B, Q, D]
        y = torch.matmul(rho.transpose(1, 2), self.value)  # [L+1, Q, B, C/Q]
        mlp = (torch.matmul(y.transpose(1, 2).flatten(2), self.out) + shared) / n
        if self.has_mlp:
            assert seen.pool_mlp is not None
            mlp = torch.cat([mlp, (seen.pool_mlp.float() @ self.projection / n)[None]])
        cls_attn = mlp.new_zeros(layers, *embedding.shape)
        if tower.layout.class_token:
            own = torch.stack([torch.matmul(weight_of_class, weights.transpose(1, 2))[..., None] * value[:, :, None]
                               for weight_of_class, value in taken_from_class(seen)])  # [L, B, H, Q, K]
            cls_attn = self._heads(own.transpose(2, 3), weight, shared, n, 1 / seen.tokens).sum(1)
        ln = torch.cat([torch.zeros_like(n), torch.ones_like(n), n], 1)
        return Arrays(head_z, ln, mlp, cls_attn, embedding / n)

    def _heads(self, z: torch.Tensor, weight: torch.Tensor, shared: torch.Tensor, n: torch.Tensor,
               share: float) -> torch.Tensor:
        """Sums z [L, B, Q, H, K] to contributions [L, H, B, E], with a share of a layer's constants."""
        of_each = share / self.tower.heads
        y = torch.matmul(z.permute(0, 3, 2, 1, 4), self.through)  # [L, H, Q, B, C/Q]
        bias = of_each * weight.T[None, :, :, None] * self.out_bias[:, :, None]  # [L, Q, B, C/Q]
        y = (y + bias[:, None]).transpose(2, 3).flatten(3)  # [L, H, B, C]
        return (torch.matmul(y, self.out) + of_each * shared) / n


def readout_of(tower: Tower) -> RowReadout | PoolReadout:
    return PoolReadout(tower) if tower.layout.pool == ATTENTION else RowReadout(tower)
