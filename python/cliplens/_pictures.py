"""Pictures in memory: paths, bytes, PIL images, arrays, columns of data sets."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _core
from .errors import Error, InvalidArgument, Precondition

__all__ = ["Pictures", "as_pictures"]

# Modes of PIL whose samples are those of an array; others go through a file's bytes.
_ARRAY_MODES = ("L", "LA", "RGB", "RGBA")


def encoded(text: str | os.PathLike[str]) -> bytes:
    """Names of files that are not UTF-8 as their bytes."""
    return os.fspath(text).encode("utf-8", "surrogateescape")


def _is_pil(value: Any) -> bool:
    return hasattr(value, "mode") and hasattr(value, "getbands") and hasattr(value, "save")


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "__dlpack__") or hasattr(value, "__array__")


def _to_array(value: Any, name: str) -> np.ndarray:
    """uint8 [h, w] or [h, w, c], contiguous. An array of PyTorch's order [c, h, w] is turned."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    array = np.asarray(value)
    if array.dtype != np.uint8:
        raise InvalidArgument(f"{name}: is {array.dtype}; a picture is uint8, 0 to 255")
    if array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4) and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim not in (2, 3) or array.size == 0 or (array.ndim == 3 and array.shape[2] > 4):
        raise InvalidArgument(f"{name}: has the shape {array.shape}; a picture is [h, w] or [h, w, 1 to 4]")
    return np.ascontiguousarray(array)


def _pil_bytes(image: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "TIFF" if image.mode in ("CMYK", "YCbCr", "LAB", "F", "I") else "PNG")
    return out.getvalue()


def _pil_is_array(image: Any) -> bool:
    return image.mode in _ARRAY_MODES and "transparency" not in image.info


def _read(value: Any, name: str) -> Any:
    """Bytes of a file, or an array."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Mapping) and value.get("bytes") is not None:  # a column that is not decoded
        return bytes(value["bytes"])
    if isinstance(value, Mapping) and value.get("path"):
        value = value["path"]
    if _is_path(value):
        with open(os.fspath(value), "rb") as file:
            return file.read()
    if _is_pil(value):
        return _to_array(value, name) if _pil_is_array(value) else _pil_bytes(value)
    if _is_array(value):
        return _to_array(value, name)
    raise InvalidArgument(f"{name}: is a {type(value).__name__}; a picture is a path, the bytes of a file, "
                          "a PIL image or an array uint8 [h, w, 3]")


def taken(read: Callable[[int], Any], i: int, name: str) -> Any:
    """Picture i as bytes of a file or an array; whatever goes wrong names it."""
    try:
        return _read(read(i), name)
    except Error:
        raise
    except Exception as error:
        raise InvalidArgument(f"{name}: cannot be read: {type(error).__name__}: {error}") from error


class Pictures:
    """A list of pictures with names, labels and attributes, for ``decompose``, ``embed_images`` and others.

    ``images``: a sequence of paths, bytes, PIL images or arrays uint8 [h, w, 3], or an array
    [n, h, w, 3]. Elements of another sequence than a list (a column of a data set) are taken one by one, when
    they are read.

    ``names`` (default: the paths, or 000000 and on), ``labels`` and ``attributes`` (dictionaries) have an
    entry for each picture. ``name`` (default: pictures) stands for the set in stores: their root is
    ``memory:name``.
    """

    def __init__(self, images: Sequence[Any], *, names: Sequence[str] | None = None,
                 labels: Sequence[str | None] | None = None,
                 attributes: Sequence[Mapping[str, Any]] | None = None, name: str | None = None) -> None:
        count = len(images)
        if count == 0:
            raise InvalidArgument("no picture was given")
        self._images = images
        self._read: Callable[[int], Any] = images.__getitem__
        eager = isinstance(images, (list, tuple))
        self.names = list(names) if names is not None else [
            _name_of(images[i] if eager else None, i) for i in range(count)]
        self.labels = list(labels) if labels is not None else [None] * count
        extras = list(attributes) if attributes is not None else []
        for what, entries in (("names", self.names), ("labels", self.labels), ("attributes", extras)):
            if len(entries) != count and not (what == "attributes" and attributes is None):
                raise InvalidArgument(f"{what}: {len(entries)} for {count} pictures")
        self._attributes = [json.dumps(dict(a)) for a in extras] if extras else [""] * count
        self._files = [os.fspath(v) if _is_path(v) else "" for v in images] if eager else [""] * count
        self.name = name

    def __len__(self) -> int:
        return len(self.names)

    def _open(self) -> _core.Pictures:
        """The set as verbs see it, under its name as long as the result lives."""
        if self.name is not None:
            return self._named(self.name)
        for number in itertools.count(1):
            with contextlib.suppress(Precondition):  # another set of this name is in use
                return self._named("pictures" if number == 1 else f"pictures-{number}")
        raise AssertionError

    def _named(self, name: str) -> _core.Pictures:
        return _core.Pictures(f"memory:{name}", f"memory:{name}".encode(), names=[encoded(n) for n in self.names],
                              labels=[None if v is None else str(v) for v in self.labels],
                              attributes=self._attributes, files=[encoded(os.fsdecode(f)) for f in self._files],
                              read=self._take)

    def _take(self, i: int) -> Any:
        return taken(self._read, i, self.names[i])


def _name_of(value: Any, i: int) -> str:
    if _is_path(value):
        return os.fsdecode(value)
    filename = getattr(value, "filename", None)
    return str(filename) if filename else f"{i:06d}"


def as_pictures(images: Any) -> Pictures:
    """One picture or many, as ``Pictures``. One array [h, w, 3] is a picture, [n, h, w, 3] are n."""
    if isinstance(images, Pictures):
        return images
    if _is_path(images) or isinstance(images, (bytes, bytearray, memoryview)) or _is_pil(images):
        return Pictures([images])
    if _is_array(images) and not isinstance(images, (list, tuple)):
        dimensions = len(getattr(images, "shape", ()))
        if dimensions in (2, 3):
            return Pictures([images])
        if dimensions == 4:
            return Pictures(images)
    if not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
        raise InvalidArgument(f"{type(images).__name__}: is no picture and no sequence of pictures")
    return Pictures(images)
