"""Stores of factors that were made elsewhere, such as by ``cliplens.torch.Recorder``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from ._pictures import encoded
from ._run import check_process
from ._store import Item, Store, float32
from .errors import InvalidArgument, Precondition

__all__ = ["StoreWriter"]

# Pictures in a shard, as without --shard-images.
SHARD_IMAGES = 1024

_FIELDS = ("head_z", "ln", "mlp", "cls_attn", "embedding")
# The axis of the pictures in each.
_AXIS = {"head_z": 2, "ln": 0, "mlp": 1, "cls_attn": 1, "embedding": 0}


def _model_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says of a model (docs/store.md, ``model.config``), of what a recorder says."""
    sizes = ("layers", "heads", "width", "head_width", "image_size", "class_token")
    vision = {name: config[name] for name in sizes if config.get(name) is not None}
    if config.get("patch") is not None:
        vision["patch_size"] = config["patch"]
    return {"embed_width": config["embed_width"],
            "vision": {**vision, "pooling": str(config.get("pool", "token")).replace(" ", "_")}}


def factor_writer(directory: str, recorder: Any, pictures: _core.Pictures, info: Mapping[str, Any],
                  threads: int) -> _core.FactorWriter:
    """Writes the factors that a recorder gives. ``info`` has ``precision`` and ``shard_images``, and may have
    ``part`` (i, n) and ``stats_only``."""
    config = dict(recorder.config)
    basis = recorder.basis()
    heads = getattr(basis, "heads", basis)
    described = {**info, "name": config["name"], "path": str(config.get("path", "")),
                 "fingerprint": config["fingerprint"],
                 "config": config.get("model_config") or _model_config(config)}
    sizes = (config["layers"], config["heads"], config["embed_width"], bool(config.get("pool_mlp", False)))
    return _core.FactorWriter(encoded(directory), None if heads is None else float32(heads), sizes,
                              json.dumps(described), pictures, threads)


def add_factors(writer: _core.FactorWriter, factors: Mapping[str, npt.NDArray[np.float32]],
                skipped: Sequence[tuple[int, str]]) -> None:
    """Adds the next shard: factors of its pictures but for those that could not be read, and why."""
    writer.add(factors["head_z"], factors["ln"], factors["mlp"], factors["cls_attn"], factors["embedding"], skipped)


def joined(blocks: Sequence[Mapping[str, npt.NDArray[np.float32]]]) -> dict[str, npt.NDArray[np.float32]]:
    """The factors of several runs of pictures as those of one."""
    return {name: np.concatenate([block[name] for block in blocks], axis=_AXIS[name]) for name in _FIELDS}


def nothing(recorder: Any) -> dict[str, npt.NDArray[np.float32]]:
    """The factors of no picture."""
    config, basis = recorder.config, recorder.basis()
    layers, heads, width = config["layers"], config["heads"], config["embed_width"]
    values = width if basis is None else getattr(basis, "heads", basis).shape[2] - 3
    parts = layers + (2 if config.get("pool_mlp") else 1)
    return {"head_z": np.zeros((layers, heads, 0, values), np.float32), "ln": np.zeros((0, 3), np.float32),
            "mlp": np.zeros((parts, 0, width), np.float32), "cls_attn": np.zeros((layers, 0, width), np.float32),
            "embedding": np.zeros((0, width), np.float32)}


def checked(factors: Any) -> dict[str, npt.NDArray[np.float32]]:
    """Factors as arrays by name, all of the same pictures."""
    take = factors.__getitem__ if isinstance(factors, Mapping) else lambda name: getattr(factors, name)
    block = {name: float32(take(name)) for name in _FIELDS}
    images = block["embedding"].shape[0]
    for name, array in block.items():
        if array.ndim <= _AXIS[name] or array.shape[_AXIS[name]] != images:
            raise InvalidArgument(f"{name}: has the shape {array.shape}, which is not of {images} pictures")
    return block


class StoreWriter:
    """Writes a store picture by picture, in the order of ``items``::

        with cl.StoreWriter("store", recorder, items) as writer:
            for pixels in loader:
                with recorder, torch.inference_mode():
                    model.encode_image(pixels)
                writer.add(recorder.factors())

    recorder: has ``basis()`` and ``config`` (``cliplens.torch.Recorder``). items: all pictures, as paths or as
    ``Item``. root: the folder of the pictures; without it they are pictures in memory. texts: a function of a list
    of texts that gives unit rows [M, E], for the store that ``finish`` opens (default: ``recorder.embed_texts``).
    precision: of the products that made the factors. The store's bytes depend on the factors and on these
    arguments alone. It appears when the context ends; after an exception nothing is left.
    """

    def __init__(self, directory: str | os.PathLike[str], recorder: Any, items: Sequence[str | Item], *,
                 root: str | os.PathLike[str] | None = None, texts: Callable[[list[str]], Any] | None = None,
                 precision: str = "fp32", threads: int = 0) -> None:
        check_process()
        self._directory = os.fspath(directory)
        self._texts = texts if texts is not None else getattr(recorder, "embed_texts", None)
        listed = [item if isinstance(item, Item) else Item(os.fspath(item)) for item in items]
        place = encoded("memory:pictures" if root is None else os.fspath(root))
        pictures = _core.Pictures("", place, [encoded(item.path) for item in listed], [item.label for item in listed],
                                  [json.dumps(dict(item.attributes)) if item.attributes else "" for item in listed],
                                  [b""] * len(listed), None)
        self._writer: _core.FactorWriter | None = factor_writer(
            self._directory, recorder, pictures, {"precision": precision, "shard_images": SHARD_IMAGES}, threads)
        self._kept: list[dict[str, npt.NDArray[np.float32]]] = []
        self._images = 0

    def add(self, factors: Any) -> None:
        """Adds the factors of the next pictures: an object or a mapping with ``head_z`` [L, H, B, K], ``ln``
        [B, 3] (μ, σ, n), ``mlp`` [L+1, B, E], ``cls_attn`` [L, B, E] and ``embedding`` [B, E].

        Raises InvalidArgument for other shapes, numbers that are not finite, or more pictures than items.
        """
        check_process()
        block = checked(factors)
        self._kept.append(block)
        self._images += block["embedding"].shape[0]
        self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            raise Precondition(f"{self._directory}: this store is complete")
        while 0 < (wanted := self._writer.next_images) <= self._images:
            whole = joined(self._kept)
            cut = {name: np.split(array, [wanted], axis=_AXIS[name]) for name, array in whole.items()}
            add_factors(self._writer, {name: np.ascontiguousarray(cut[name][0]) for name in _FIELDS}, [])
            self._images -= wanted
            self._kept = [{name: cut[name][1] for name in _FIELDS}] if self._images else []
        if self._images and self._writer.next_images == 0:
            raise InvalidArgument(f"{self._directory}: {self._images} more pictures than items")

    def finish(self) -> Store:
        """Completes the store and opens it. Raises Precondition where pictures are missing."""
        self._end()
        return Store(self._directory, texts=self._texts)

    def _end(self, drop: bool = False) -> None:
        if self._writer is None:
            return
        if drop:
            self._writer.drop()
        else:
            self._writer.finish()
        self._writer.close()
        self._writer = None

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._end(drop=kind is not None)
