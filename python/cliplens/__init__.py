"""cliplens: why CLIP answers as it does.

An image embedding is an exact sum of contributions of heads, MLPs and the input, in the space of texts
(Gandelsman, Efros, Steinhardt, ICLR 2024, arXiv 2310.05916)::

    import cliplens as cl
    model = cl.load("pictureworld")
    store = model.decompose("photos/", "store")
    store.span("general", heads="last-4").to_pandas()
    model.heatmap("cat.png", ["a cat", "a dog"])
"""

from __future__ import annotations

import os as _os
import pathlib as _pathlib

_share = _pathlib.Path(__file__).parent / "share" / "cliplens"
if _share.is_dir():
    _os.environ.setdefault("CLIPLENS_SHARE", str(_share))

from . import datasets, errors  # noqa: E402
from ._core import version as _version  # noqa: E402
from ._explorer import Explorer, serve  # noqa: E402
from ._model import Model, load  # noqa: E402
from ._pictures import Pictures  # noqa: E402
from ._store import Item, NeuronStore, Store  # noqa: E402
from ._tables import Result, Table  # noqa: E402
from ._verbs import edit_show, merge, pull  # noqa: E402
from ._views import Explanation, HeatMap, Segmentation  # noqa: E402
from ._writer import StoreWriter  # noqa: E402
from .errors import (CorruptData, Error, Exhausted, Internal, InvalidArgument, LossWarning,  # noqa: E402
                     NotFound, Precondition, Unsupported)

__version__ = _version()


def shipped(path: str) -> _pathlib.Path:
    """The path of something that ships with the package: ``"models/pictureworld"``, ``"world/sets/test"``,
    ``"world/texts/objects.txt"``, ``"texts/general.txt"``.

    Raises NotFound where there is no such thing.
    """
    found = _pathlib.Path(_os.environ.get("CLIPLENS_SHARE", _share)) / path
    if not found.exists():
        raise NotFound(f"{path}: does not ship with cliplens {__version__}; there are models, texts, world/sets "
                       "and world/texts")
    return found


__all__ = ["CorruptData", "Error", "Exhausted", "Explanation", "Explorer", "HeatMap", "Internal",
           "InvalidArgument", "Item", "LossWarning", "Model", "NeuronStore", "NotFound", "Pictures",
           "Precondition", "Result", "Segmentation", "Store", "StoreWriter", "Table", "Unsupported",
           "__version__", "datasets", "edit_show", "errors", "load", "merge", "pull", "serve", "shipped"]
