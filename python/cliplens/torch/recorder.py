"""Records factors from a model that runs in PyTorch."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import nn

from . import texts as text_towers
from .attention import HeadReader, Held, first_tensor, output_tensor
from .errors import RecorderError
from .families import Layout, layout_of, tower_of, unwrapped
from .readout import Arrays, Pass, PoolReadout, RowReadout, lengths, readout_of


@dataclasses.dataclass(frozen=True)
class Basis:
    """What makes contributions of factors; what a store's basis.safetensors holds.

    heads:          [L, H, K+3, E] float32, the matrices B of c = u^T B, computed in float64; None behind an attention
                    pool, where factors are contributions
    contributions:  (L, H, E, 1 with a POOL.MLP else 0) behind an attention pool; None otherwise
    """

    heads: torch.Tensor | None
    contributions: tuple[int, int, int, int] | None

    @property
    def constants(self) -> int:
        """Numbers of a factor behind the head's own: 3 for 1, μ and σ; 0 where it is the contribution."""
        return 3 if self.heads is not None else 0

    def cpu(self) -> Basis:
        return Basis(None if self.heads is None else self.heads.cpu(), self.contributions)

    def numpy(self) -> dict[str, np.ndarray[Any, Any]]:
        """The one tensor of a store's basis.safetensors by its name: `heads` float32, or `contributions` int32 [4]."""
        if self.heads is not None:
            return dict(heads=self.heads.cpu().numpy())
        return dict(contributions=np.array(self.contributions, np.int32))


@dataclasses.dataclass(frozen=True)
class Factors:
    """B pictures in factored form: the tensors of a store's shard, float32 on the model's device.

    head_z:     [L, H, B, K] what each head reads, summed over tokens; behind an attention pool each head's contribution
                [L, H, B, E], divided by n
    ln:         [B, 3] μ and σ of the pooled row, n the embedding's length; (0, 1, n) behind an attention pool
    mlp:        [L+1, B, E] contributions of INPUT and of the MLPs of layers 0 to L−1; with a pool that has an MLP
                [L+2, B, E], POOL.MLP last
    cls_attn:   [L, B, E] the class token's attention to itself (where rows are pooled, theirs to it), summed over heads
                and contained in the heads' contributions; zeros without a class token
    embedding:  [B, E] the unit embedding that the model gave
    """

    head_z: torch.Tensor
    ln: torch.Tensor
    mlp: torch.Tensor
    cls_attn: torch.Tensor
    embedding: torch.Tensor

    def __len__(self) -> int:
        """B"""
        return int(self.embedding.shape[0])

    def to(self, device: torch.device | str) -> Factors:
        return Factors(*(getattr(self, f.name).to(device) for f in dataclasses.fields(self)))

    def cpu(self) -> Factors:
        return self.to("cpu")

    def numpy(self) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays by the names that they have in a store's shard."""
        return {f.name: getattr(self, f.name).detach().cpu().numpy() for f in dataclasses.fields(self)}

    def contributions(self, basis: Basis) -> torch.Tensor:
        """What each head adds to the unit embedding [L, H, B, E]: u^T B with u = [z, 1, μ, σ]/(σ n)
        (arXiv 2310.05916, section 3; docs/decomposition.md)."""
        if basis.heads is None:
            return self.head_z
        return torch.stack([torch.matmul(self._u(layer), matrix) for layer, matrix in enumerate(basis.heads)])

    def _u(self, layer: int) -> torch.Tensor:
        """The factors u of a layer's heads [H, B, K+3]."""
        mean, sigma, n = self.ln.T[:, :, None]
        constants = torch.cat([torch.ones_like(mean), mean, sigma], 1)
        z = self.head_z[layer]
        return torch.cat([z, constants.expand(len(z), -1, -1)], 2).div(sigma * n)

    def total(self, basis: Basis) -> torch.Tensor:
        """The sum of all contributions [B, E], in float64 where the device has it."""
        wide = torch.float32 if self.embedding.device.type == "mps" else torch.float64
        sums = self.mlp.sum(0, dtype=wide)
        if basis.heads is None:
            return sums + self.head_z.sum((0, 1), dtype=wide)
        for layer, matrix in enumerate(basis.heads):  # a layer's matrices one below the other
            sums += self._u(layer).to(wide).transpose(0, 1).flatten(1) @ matrix.to(wide).flatten(0, 1)
        return sums


class Recorder:
    """Records the decomposition of image embeddings while a model runs ("Interpreting CLIP's Image Representation via
    Text-Based Decomposition", arXiv 2310.05916, section 3).

        rec = Recorder(model)
        with rec, torch.inference_mode():
            for pixels in batches:
                model.encode_image(pixels)
        block = rec.factors()          # of all batches, in their order
        rec.certificate()              # |sum of contributions − embedding| / |embedding| of each

    model:   open_clip's CLIP, CustomTextCLIP and CoCa; transformers' CLIPModel, CLIPVisionModelWithProjection,
             SiglipModel, Siglip2Model (pictures without padding), MetaClip2Model and their image towers; timm's
             VisionTransformer and Eva. On any device and in any type; factors are float32.
    layout:  a table of module names for another tower: the fields of `families.Layout`
    name:    what the model is called in `config`; else its class

    Hooks are there within `with` alone. The model's own pass is not changed: fused attention stays on, and what the
    heads' sums need of the pattern is computed beside it. Forward passes within one `with`, and of several, add up;
    `factors()` gives them all and forgets them. Each is B·(L·H·K + 2·L·E) numbers that stay on the device until then.
    An error ends the pass under way; passes that came to their embedding before it stay recorded.

    A compiled model, as anything compiled, runs uncompiled within `with` (torch.compiler.set_stance): a graph that was
    compiled without hooks would leave them out, and one compiled with them would keep them. In float32 on a GPU
    products are as exact as PyTorch is told (torch.set_float32_matmul_precision); the certificate shows it. `basis()`
    is of the weights as they are: take factors before weights change.

    Raises RecorderError, a ValueError that names the missing module and the next step, for a model whose blocks it
    does not know. Not for use by several threads at once.
    """

    def __init__(self, model: nn.Module, layout: Mapping[str, Any] | Layout | None = None, name: str | None = None):
        if not isinstance(unwrapped(model), nn.Module):
            raise RecorderError(f"Recorder: {type(model).__name__} is no torch.nn.Module; give the model itself")
        self.model: nn.Module = unwrapped(model)
        if layout is None:
            self.layout = layout_of(self.model)
        else:
            self.layout = layout if isinstance(layout, Layout) else Layout.of(layout)
        self.tower = tower_of(self.model, self.layout)
        self.name = name or type(self.model).__name__
        self._made: tuple[Any, RowReadout | PoolReadout] | None = None
        self._digest: tuple[Any, str] | None = None
        self._held = Held()
        self._readers = [HeadReader(block, layer, self._held, self.tower.needs_all_rows, self.layout.class_token)
                         for layer, block in enumerate(self.tower.blocks)]
        self._stack: contextlib.ExitStack | None = None
        self._recorded: list[Arrays] = []
        self._last: Factors | None = None
        self._parts: list[torch.Tensor] = []  # L+1 of the pass under way
        self._behind_rows: list[torch.Tensor] = []  # L
        self._start_pass()

    # What has been recorded.

    def factors(self) -> Factors:
        """The factors of all pictures since the last call, in the order of the passes, which are forgotten here.

        RecorderError if there is none.
        """
        self._last = self._joined()
        self._recorded.clear()
        return self._last

    def _joined(self) -> Factors:
        if not self._recorded:
            raise RecorderError("nothing is recorded: run the model's image tower within `with recorder:` first, up to "
                                f"its embedding ({self.layout.output or 'the output of the model'})")
        axis = dict(head_z=2, ln=0, mlp=1, cls_attn=1, embedding=0)
        with torch.no_grad():
            return Factors(**{part: torch.cat([getattr(block, part) for block in self._recorded], at)
                              for part, at in axis.items()})

    def certificate(self, factors: Factors | None = None) -> torch.Tensor:
        """|Σ c − e| / |e| of each picture [B], float64 (float32 on Apple's GPUs): how far the contributions are from
        adding up to the embedding that the model gave. Of `factors`, else of what is recorded and not yet taken, else
        of what `factors()` gave last. About 1e-6 in float32; in half precision it shows the model's own rounding."""
        if factors is None:
            factors = self._joined() if self._recorded or self._last is None else self._last
        with torch.no_grad():
            total = factors.total(self.basis())
            embedding = factors.embedding.to(total.dtype)
            return (lengths(total - embedding) / lengths(embedding))[:, 0]

    # What does not depend on pictures.

    @property
    def _readout(self) -> RowReadout | PoolReadout:
        """The matrices, made anew where the weights have changed or moved."""
        state = _state_of(self.tower.weights())
        if self._made is None or self._made[0] != state:
            # Not as tensors of inference mode, which would stay unusable elsewhere.
            with torch.inference_mode(False), torch.no_grad(), _full_precision(self.device):
                self._made = state, readout_of(self.tower)
        return self._made[1]

    def basis(self) -> Basis:
        """The heads' matrices B, computed in float64 and kept while the weights stay as they are; see `Basis`."""
        readout = self._readout
        if isinstance(readout, RowReadout):
            return Basis(readout.heads, None)
        return Basis(None, (len(self.tower.blocks), self.tower.heads, readout.embed_width, int(readout.has_mlp)))

    @property
    def device(self) -> torch.device:
        """Of the tower's weights."""
        return self.tower.final_norm.weight.device

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits: BLAKE2b of 16 bytes over names, shapes and values of the model's state dict. Values as
        float32, so that the same weights in another type that holds them have the same; integers as int64."""
        weights = list(self.model.state_dict().values())
        if self._digest is not None and self._digest[0] == _state_of(weights):
            return self._digest[1]
        digest = hashlib.blake2b(digest_size=16)
        state = {key.replace("_orig_mod.", ""): value for key, value in self.model.state_dict().items()}
        for key in sorted(state):
            value = state[key].detach()
            value = value.to("cpu", torch.float32 if value.is_floating_point() else torch.int64).contiguous()
            digest.update(f"{key}\0{tuple(value.shape)}\0".encode())
            digest.update(value.numpy().reshape(-1).view(np.uint8).data)
        self._digest = _state_of(weights), digest.hexdigest()
        return self._digest[1]

    @property
    def config(self) -> dict[str, Any]:
        """The tower in plain numbers, strings and booleans: what a store's manifest says of a model.

        layers L, heads H, head_width K, width D, embed_width E, factor_values (the last axis of head_z) and
        factor_constants; image_size and patch in pixels of a side, None where the model does not say; prefix_tokens,
        class_token; pool ("token", "average", "normed average", "attention"), pool_heads, pool_mlp; family, name,
        fingerprint.
        """
        readout, tower, layout = self._readout, self.tower, self.layout
        pool = readout if isinstance(readout, PoolReadout) else None
        return dict(
            name=self.name, family=layout.family, layers=len(tower.blocks), heads=tower.heads,
            head_width=tower.blocks[0].head_width, width=tower.width, embed_width=readout.embed_width,
            factor_values=readout.values, factor_constants=readout.constants, image_size=layout.image_size,
            patch=layout.patch, prefix_tokens=layout.prefix_tokens, class_token=layout.class_token, pool=layout.pool,
            pool_heads=pool.weights.heads if pool else None, pool_mlp=bool(pool and pool.has_mlp),
            fingerprint=self.fingerprint)

    def embed_texts(self, texts: Sequence[str], tokenizer: Callable[..., Any] | None = None,
                    batch: int = 64) -> torch.Tensor:
        """Unit rows [M, E], float32 on the model's device, of the model's own text tower.

        tokenizer: of open_clip (`open_clip.get_tokenizer(name)`), or any callable of a list of texts that gives ids
                   [M, T]; of transformers, for its models and for open_clip's. open_clip's CLIP tokenizer without one,
                   if the model has its vocabulary.
        RecorderError for a model without a text tower, or without a tokenizer where one is needed.
        """
        return text_towers.embed(self.model, texts, tokenizer, batch, self.device)

    # Within `with`.

    def __enter__(self) -> Recorder:
        if self._stack is not None:
            raise RecorderError("this recorder is recording already; leave its `with` first, or make a second Recorder")
        with contextlib.ExitStack() as stack:
            stack.enter_context(_uncompiled())
            for handle in self._hooks():
                stack.callback(handle.remove)
            self._start_pass()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        stack, self._stack = self._stack, None
        self._start_pass()
        if stack is not None:
            stack.close()

    def _start_pass(self) -> None:
        self._parts.clear()
        self._behind_rows.clear()
        self._final: torch.Tensor | None = None
        self._pool_out: torch.Tensor | None = None
        self._pool_mlp: torch.Tensor | None = None
        self._tokens = 0
        for reader in self._readers:
            reader.clear()

    def _kept(self, rows: torch.Tensor, name: str, layer: int = 0) -> torch.Tensor:
        """Of rows [B, N, D], or [B, D] already, what is needed: all, or row 0 in float32."""
        if self.tower.needs_all_rows:
            return self._held.rows(rows, name, layer)
        return self._held.keep(rows[:, 0] if rows.dim() == 3 else rows, name, layer, torch.float32)

    def _hooks(self) -> Iterator[Any]:
        """Registers all hooks; those of one pass run in the order of the model's modules."""
        tower = self.tower

        def before(module: nn.Module, see: Callable[[torch.Tensor, dict[str, Any]], None]) -> Any:
            # `see` gets the first tensor, and all inputs by keyword or by their place, "0", "1", ...
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                x = first_tensor(args, kwargs)
                with torch.no_grad(), _full_precision(x.device):
                    see(x, {str(place): value for place, value in enumerate(args)} | kwargs)
            return module.register_forward_pre_hook(hook, with_kwargs=True)

        def after(module: nn.Module, see: Callable[[torch.Tensor], None]) -> Any:
            def hook(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
                x = output_tensor(output)
                with torch.no_grad(), _full_precision(x.device):
                    see(x)
            return module.register_forward_hook(hook)

        def begin(x: torch.Tensor, _: dict[str, Any]) -> None:
            self._start_pass()
            if x.dim() != 3:
                where = self.layout.input or self.layout.blocks + ".0"
                raise RecorderError(f"{where} reads {tuple(x.shape)}; rows [B, N, D] are needed")
            self._tokens = x.shape[1]
            self._parts.append(self._kept(x, "input"))

        yield before(tower.input, begin)
        for layer, (block, reader) in enumerate(zip(tower.blocks, self._readers)):
            yield before(block.attention, partial(_see_input, reader))
            if block.query_norm is not None and block.key_norm is not None:
                yield after(block.query_norm, reader.see_query)
                yield after(block.key_norm, reader.see_key)
            if block.head_norm is not None:
                yield before(block.head_norm, _alone(reader.see_head_norm))
            if not block.is_fused:
                yield before(block.out, _alone(reader.see_out))
            if block.behind_norm is not None:
                yield before(block.behind_norm, _alone(partial(self._see_rows, self._behind_rows, "behind", layer)))
            yield after(block.mlp, partial(self._see_rows, self._parts, "mlp", layer))
        yield before(tower.final_norm, _alone(self._see_final))
        if tower.pool is not None:
            yield before(tower.pool, _check_mask)
        self._reading = readout = self._readout
        if isinstance(readout, PoolReadout) and readout.has_mlp and readout.weights.mlp is not None:
            yield after(readout.weights.mlp, self._see_pool_mlp)
        if tower.pool_behind_norm is not None:
            yield before(tower.pool_behind_norm, _alone(self._see_pool_out))
        yield after(tower.output, self._end_pass)

    def _see_rows(self, rows: list[torch.Tensor], name: str, layer: int, x: torch.Tensor) -> None:
        rows.append(self._kept(x, name, layer))

    def _see_final(self, x: torch.Tensor) -> None:
        # All rows stay as they are: they are the last of the pass.
        self._final = x if self.tower.needs_all_rows else self._kept(x, "final")

    def _see_pool_mlp(self, x: torch.Tensor) -> None:
        self._pool_mlp = x[:, 0] if x.dim() == 3 else x

    def _see_pool_out(self, x: torch.Tensor) -> None:
        self._pool_out = (x[:, 0] if x.dim() == 3 else x).float()

    def _end_pass(self, embedding: torch.Tensor) -> None:
        heads = [reader.heads() for reader in self._readers]
        seen = [h for h in heads if h is not None]
        layers = len(self.tower.blocks)
        if len(self._parts) != layers + 1 or len(seen) != layers or self._final is None:
            raise RecorderError(
                f"{self.name}: hooks saw {len(seen)} of {layers} attentions, {len(self._parts)} of {layers + 1} rows "
                f"of INPUT and MLPs and {'the' if self._final is not None else 'no'} final LayerNorm; the pass goes "
                f"round modules of the layout ({self.layout.family}): name those that it goes through in layout=")
        if embedding.dim() != 2 or embedding.shape[1] != self._reading.embed_width:
            raise RecorderError(f"{self.layout.output or 'the model'} gave {tuple(embedding.shape)} where the "
                                f"projection gives embeddings [B, {self._reading.embed_width}]; name what gives the "
                                "embedding in layout={'output': ...}")
        self._recorded.append(self._reading.arrays(Pass(
            parts=self._parts, heads=seen, final=self._final, embedding=embedding, tokens=self._tokens,
            behind=self._behind_rows, pool_out=self._pool_out, pool_mlp=self._pool_mlp)))
        self._start_pass()


def _state_of(weights: Iterable[torch.Tensor]) -> tuple[Any, ...]:
    """What changes when a weight changes or moves."""
    return tuple((w.data_ptr(), None if w.is_inference() else w._version, w.dtype, w.device) for w in weights)


def _see_input(reader: HeadReader, x: torch.Tensor, given: dict[str, Any]) -> None:
    reader.see_input(x, given.get("rope"))


def _alone(see: Callable[[torch.Tensor], None]) -> Callable[[torch.Tensor, dict[str, Any]], None]:
    """A reader of a module's first input alone."""
    return lambda x, _: see(x)


def _check_mask(_: torch.Tensor, given: dict[str, Any]) -> None:
    """Of an attention pool: rows that are left out would need weights of their own."""
    mask = given.get("attention_mask", given.get("1"))
    if not isinstance(mask, torch.Tensor):
        return
    if not bool((mask == 0).all() if mask.is_floating_point() else mask.bool().all()):
        raise RecorderError("pictures are padded (pixel_attention_mask has zeros); record those that fill all patches")


@contextlib.contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Without autocast, which would turn our float32 products into halves."""
    if not torch.is_autocast_enabled(device.type):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield


@contextlib.contextmanager
def _uncompiled() -> Iterator[None]:
    """Compiled models run as they were written."""
    stance = getattr(torch.compiler, "set_stance", None)
    if stance is None:  # before PyTorch 2.6
        yield
        return
    with stance("force_eager"):
        yield
