"""Models: pictures and texts to unit vectors, and everything that is asked of one model."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from . import _core
from ._pictures import as_pictures, encoded
from ._run import WITH_LEVEL, Files, Progress, check_process, run, shown
from ._store import NeuronStore, Store
from ._tables import Result
from ._verbs import ModelVerbs
from ._views import Drawn
from .errors import InvalidArgument

__all__ = ["Model", "load"]

FloatArray = npt.NDArray[np.float32]


Made = TypeVar("Made", Store, NeuronStore)


class Model(ModelVerbs):
    """A loaded model. Made by ``load``; its calls run the verbs of the command line on it, so that numbers are
    the same to the bit. Several threads may use it at once.

    Source: Gandelsman, Efros, Steinhardt, ICLR 2024 (arXiv 2310.05916).
    """

    def __init__(self, core: _core.Model) -> None:
        self._core = core

    def __repr__(self) -> str:
        return (f"Model({self.name!r}, {self.layers} layers of {self.heads} heads, {self.embed_width} numbers, "
                f"{self.precision})")

    @property
    def _handle(self) -> str:
        return self._core.handle

    @property
    def name(self) -> str:
        """Its name, for people."""
        return self._core.name

    @property
    def path(self) -> str:
        """The directory or file that was loaded."""
        return self._core.path

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits over sizes, activation and weights. Stores keep it."""
        return self._core.fingerprint

    @property
    def precision(self) -> str:
        """Of the products: ``"fp32"`` or ``"bf16"``."""
        return self._core.precision

    @property
    def level(self) -> str:
        """Whose heads the embedding is a sum of: ``"blocks"`` or ``"pool"``."""
        return self._core.level

    @property
    def embed_width(self) -> int:
        """E, the numbers of an embedding."""
        return self._core.embed_width

    @property
    def image_size(self) -> int:
        """S, the side of the square that the model reads, in pixels."""
        return self._core.image_size

    @property
    def layers(self) -> int:
        """L, the layers of the image tower."""
        return self._core.layers

    @property
    def heads(self) -> int:
        """H, the heads of a layer."""
        return self._core.heads

    @property
    def components(self) -> list[str]:
        """Names of the terms of the sum: heads layer by layer, INPUT, MLPs, and POOL.MLP where there is one."""
        return self._core.components

    @property
    def logit_scale(self) -> float:
        """What a cosine is multiplied by."""
        return self._core.logit_scale

    @property
    def logit_bias(self) -> float | None:
        """What is added then; None for models that choose among texts by a softmax."""
        return self._core.logit_bias

    def embed_images(self, images: Any, *, edit: str | os.PathLike[str] | Result | None = None,
                     threads: int = 0, progress: Progress | bool | None = None) -> FloatArray:
        """Unit rows [n, E], float32.

        images: a path (picture, folder, table, shards), the bytes of a file, a PIL image, an array uint8
        [h, w, 3] or [n, h, w, 3], or a sequence of those. With ``edit`` rows are those of the edited model.
        Raises the error of a picture that cannot be read, with its name.
        """
        check_process()
        if edit is not None or isinstance(images, (str, os.PathLike)) and not os.path.isfile(images):
            with Files() as files:
                out = files.path("rows.npy")
                self._run("embed", [], {"images": images, "edit": edit, "threads": threads, "out": out}, progress,
                          files)
                rows: FloatArray = np.load(out)
                return rows
        pictures = as_pictures(images)._open()
        with shown(progress) as told:
            return self._core.embed_pictures(pictures, threads, told)

    def embed_texts(self, texts: str | Sequence[str], *, truncate: bool = False, threads: int = 0,
                    progress: Progress | bool | None = None) -> FloatArray:
        """Unit rows [M, E], float32, of texts as they are (a single one is a list of one).

        Raises InvalidArgument for a text longer than the context, unless it is to be cut.
        """
        check_process()
        with shown(progress) as told:
            return self._core.embed_texts(_listed(texts), truncate, threads, told)

    def token_ids(self, texts: str | Sequence[str], *, truncate: bool = False) -> npt.NDArray[np.int32]:
        """Ids [M, context], int32, as the model's tokenizer gives them, with padding."""
        check_process()
        return np.asarray(self._core.token_ids(_listed(texts), truncate), dtype=np.int32)

    def pixels(self, image: Any) -> FloatArray:
        """What the model reads of a picture: float32 [3, S, S]."""
        check_process()
        return self._core.preprocess(as_pictures(image)._open(), 0)

    def _decompose(self, options: dict[str, Any], name: str | None,
                   progress: Progress | bool | None) -> Store:
        return self._made("decompose", Store, options, name, progress)

    def _neurons_collect(self, options: dict[str, Any], name: str | None,
                         progress: Progress | bool | None) -> NeuronStore:
        return self._made("neurons collect", NeuronStore, options, name, progress)

    def _made(self, verb: str, kind: type[Made], options: dict[str, Any], name: str | None,
              progress: Progress | bool | None) -> Made:
        """The store that a verb makes. It keeps what it is of: its temporary folder, pictures in memory."""
        folder = pictures = None
        out, images = options["out"], options["images"]
        if out is None:
            folder = tempfile.TemporaryDirectory(prefix="cliplens-")
            out = os.path.join(folder.name, "store")
        if images is not None and not isinstance(images, (str, os.PathLike)):
            given = as_pictures(images)
            if name is not None:
                given.name = name
            pictures = given._open()
            images = pictures.name
        result = self._run(verb, [], {**options, "images": images, "out": out}, progress)
        return kind(out, model=self, result=result, folder=folder, pictures=pictures)

    def _drawn(self, verb: str, kind: type[Drawn], options: dict[str, Any],
               progress: Progress | bool | None) -> Drawn:
        with Files() as files:
            png, npy = files.path("drawn.png"), files.path("values.npy")
            wanted = {**options, "out": png} if verb == "explain" else {**options, "out": png, "npy": npy}
            result = self._run(verb, [], wanted, progress, files)
            values = np.load(npy) if os.path.exists(npy) else None
            return kind(result, pathlib.Path(png).read_bytes(), values)

    def _run(self, verb: str, positionals: list[tuple[str, Any]], options: dict[str, Any],
             progress: Progress | bool | None, files: Files | None = None) -> Result:
        if self.level != "blocks" and verb in WITH_LEVEL:
            options = {"level": self.level, **options}
        # The files of one call hold the handles of models and pictures until it ends.
        return run(verb, [("MODEL", self), *positionals], options, progress=progress, files=files)


def _listed(texts: str | Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        return [texts]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidArgument("texts: a text or a sequence of texts is wanted")
    return list(texts)


def load(model: str | os.PathLike[str], *, arch: str = "", weights: str = "", precision: str = "fp32",
         level: str = "blocks", image_size: int = 0, resize_backend: str = "pillow",
         text_rows: Sequence[str | os.PathLike[str]] = (), pull: bool = False,
         pictures_alone: bool = False) -> Model:
    """Loads a model: a directory, a checkpoint file, ``hf:ORG/NAME``, open_clip's ``ARCH/TAG`` such as
    ``"ViT-B-32/openai"``, or the name of a shipped one such as ``"pictureworld"``.

    arch: of a checkpoint file without a configuration. weights: of a checkpoint with several models.
    precision: ``fp32``, ``bf16`` or ``auto``. level: ``blocks``, or ``pool`` for the heads of SigLIP's pool.
    image_size: pixels of a side other than the model's own. resize_backend: ``pillow`` or ``torchvision``.
    text_rows: ``.npy`` files of rows of texts that were made elsewhere. pull: fetch it if it is not here.
    pictures_alone: without the text tower, in less memory.

    Raises NotFound, which says what to do, Unsupported for what is not evaluated, CorruptData for damaged files.
    """
    check_process()
    fetch: Callable[[str], None] | None = None
    if pull:
        def fetch(name: str) -> None:
            run("pull", [("NAME", name)], {})
    return Model(_core.Model(encoded(model), arch, weights, precision, level, image_size, resize_backend,
                             [os.fspath(f) for f in text_rows], pictures_alone, fetch))
