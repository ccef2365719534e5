"""Stores: pictures in factored form, and the analyses of them."""

from __future__ import annotations

import dataclasses
import json
import mmap
import os
import pathlib
import struct
import tempfile
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from . import _core
from ._pictures import encoded
from ._run import WITH_MODEL, Progress, check_process, run
from ._tables import Result
from ._verbs import NeuronVerbs, StoreVerbs
from .errors import CorruptData, Precondition

if TYPE_CHECKING:
    from ._model import Model

__all__ = ["Item", "NeuronStore", "Store"]

_TYPES = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I64": np.int64, "I32": np.int32}


@dataclasses.dataclass(frozen=True)
class Item:
    """A picture of a store: its path in its set, its label if it has one, and its attributes."""

    path: str
    label: str | None = None
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _mapped(path: str) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a safetensors file, mapped and not read."""
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        if length > os.path.getsize(path):
            raise CorruptData(f"{path}: its header is longer than the file; make the store again")
        header = json.loads(file.read(length))
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    tensors: dict[str, npt.NDArray[Any]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        kind = np.dtype(_TYPES[entry["dtype"]])
        tensors[name] = np.frombuffer(whole, kind, (end - begin) // kind.itemsize,
                                      8 + length + begin).reshape(entry["shape"])
    return tensors


def float32(value: Any) -> npt.NDArray[np.float32]:
    """An array or a tensor on any device as float32 in memory, contiguous."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().float()
    return np.ascontiguousarray(np.asarray(value), dtype=np.float32)


class _Texts:
    """The function that texts of one fingerprint's stores get their rows from. Stores of one model share it."""

    _of: ClassVar[weakref.WeakValueDictionary[str, _Texts]] = weakref.WeakValueDictionary()

    def __init__(self, fingerprint: str, embed: Callable[[list[str]], Any]) -> None:
        self._encoder = _core.Encoder(fingerprint, lambda texts, truncate: float32(embed(texts)))

    @classmethod
    def of(cls, fingerprint: str, embed: Callable[[list[str]], Any]) -> _Texts:
        found = cls._of.get(fingerprint)
        if found is None:
            found = cls._of[fingerprint] = cls(fingerprint, embed)
        return found


Kept = TypeVar("Kept", bound="_Directory")


class _Directory:
    """What stores of both kinds are: a directory, the model that made it, and what lives as long."""

    _positional: ClassVar[str]

    def __init__(self, directory: str | os.PathLike[str], *, model: Model | str | None = None,
                 result: Result | None = None,
                 folder: tempfile.TemporaryDirectory[str] | None = None,
                 pictures: _core.Pictures | None = None) -> None:
        check_process()
        self._directory = os.fspath(directory)
        self._model = model
        self._result = result
        self._folder = folder
        self._pictures = pictures
        self._open = True

    def _check(self) -> None:
        check_process()
        if not self._open:
            raise Precondition(f"{self._directory}: this store was closed; open it again")

    def __enter__(self: Kept) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of its files; a temporary store is removed."""
        self._open = False
        self._pictures = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def directory(self) -> pathlib.Path:
        """Where it lies."""
        return pathlib.Path(self._directory)

    @property
    def result(self) -> Result | None:
        """What the verb said that made the store, when this object made it."""
        return self._result

    def _run(self, verb: str, positionals: list[tuple[str, Any]], options: dict[str, Any],
             progress: Progress | bool | None) -> Result:
        self._check()
        if self._model is not None and verb in WITH_MODEL:
            options = {"model": self._model, **options}
        return run(verb, [(self._positional, self._directory), *positionals], options, progress=progress)


class Store(_Directory, StoreVerbs):
    """A store that ``Model.decompose`` or ``cliplens decompose`` made (``docs/store.md``).

    model: the model that made it, if it is loaded or has moved; otherwise verbs that need it load what the
    store names. texts: a function of a list of texts that gives unit rows [M, E], for stores of models that
    run elsewhere: ``recorder.embed_texts``. May be used as a context; a closed store raises Precondition.
    """

    _positional = "STORE"

    def __init__(self, directory: str | os.PathLike[str], *, model: Model | str | None = None,
                 result: Result | None = None,
                 folder: tempfile.TemporaryDirectory[str] | None = None,
                 pictures: _core.Pictures | None = None,
                 texts: Callable[[list[str]], Any] | None = None) -> None:
        super().__init__(directory, model=model, result=result, folder=folder, pictures=pictures)
        self._opened: _core.Store | None = _core.Store(encoded(self._directory))
        self._texts = None if texts is None else _Texts.of(self.fingerprint, texts)

    @property
    def _native(self) -> _core.Store:
        self._check()
        assert self._opened is not None
        return self._opened

    def close(self) -> None:
        """Lets go of its files; a temporary store is removed."""
        self._opened = None
        self._texts = None
        super().close()

    def __len__(self) -> int:
        return self._native.images

    def __repr__(self) -> str:
        return f"Store({self._directory!r}, {len(self)} pictures of {self.model_name})"

    def _repr_html_(self) -> str:
        import html

        core = self._native
        return (f"<p><b>{html.escape(self._directory)}</b>: {core.images} pictures, "
                f"{html.escape(core.model_name)}, {core.layers} layers of {core.heads} heads, "
                f"largest certificate {core.certificate:.1e}</p>")

    @property
    def model_name(self) -> str:
        """The name of the model that made it."""
        return self._native.model_name

    @property
    def fingerprint(self) -> str:
        """Of that model's weights."""
        return self._native.fingerprint

    @property
    def certificate(self) -> float:
        """How far contributions are, at most, from adding up to the embedding, as a part of its length."""
        return self._native.certificate

    @property
    def components(self) -> list[str]:
        """Names of the terms of the sum: heads layer by layer, INPUT, MLPs, and POOL.MLP where there is one."""
        return self._native.components

    @property
    def items(self) -> list[Item]:
        """Its pictures, in the order of rows."""
        return [Item(v["path"], v.get("label"), v["attributes"]) for v in json.loads(self._native.items())]

    def embeddings(self) -> npt.NDArray[np.float32]:
        """Unit embeddings [n, E] of the ordinary forward pass."""
        return self._native.embeddings()

    def contributions(self, component: str) -> npt.NDArray[np.float32]:
        """Contributions [n, E] to the unit embeddings: of a head (``"L11.H3"``), of all heads of a layer
        (``"L11"``), of ``"INPUT"``, an MLP (``"L3.MLP"``) or the sum of several (``"L10,L11.MLP"``).

        Raises InvalidArgument for a name that the model lacks, Precondition for a store of statistics only.
        """
        return self._native.contributions(component)

    def shards(self) -> list[dict[str, npt.NDArray[Any]]]:
        """The factors, one dictionary a shard of at most 1,024 pictures: ``head_z`` [L, H, B, K], ``ln`` [B, 3],
        ``mlp`` [L+1, B, E], ``cls_attn`` [L, B, E], ``embedding`` [B, E] (``docs/store.md``).

        Arrays are mapped, read-only: nothing is read before it is used. Checksums are ``verify``'s.
        """
        return [_mapped(os.path.join(self._directory, file)) for file in self._native.shards]

    def basis(self) -> npt.NDArray[np.float32] | None:
        """The heads' matrices B [L, H, K+3, E], mapped; None where factors are contributions (SigLIP)."""
        check_process()
        return _mapped(os.path.join(self._directory, "basis.safetensors")).get("heads")


class NeuronStore(_Directory, NeuronVerbs):
    """A store of neurons that ``Model.neurons_collect`` made (``docs/neurons.md``). May be used as a context; a
    closed store raises Precondition.
    """

    _positional = "NSTORE"

    def __repr__(self) -> str:
        return f"NeuronStore({self._directory!r})"
