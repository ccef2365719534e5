"""Results that are also pictures: they show themselves in a notebook."""

from __future__ import annotations

import io
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ._tables import Result

__all__ = ["Explanation", "HeatMap", "Segmentation"]


class _Pictured(Result):
    def __init__(self, result: Result, png: bytes, values: npt.NDArray[np.float32] | None = None) -> None:
        super().__init__(result.to_dict(), result.to_json())
        self._png = png
        self._values = np.zeros((0, 0), np.float32) if values is None else values

    @property
    def png(self) -> bytes:
        """The picture that the verb writes with ``--out``."""
        return self._png

    def _repr_png_(self) -> bytes:
        return self._png

    def _repr_html_(self) -> str | None:  # type: ignore[override]
        return None  # the picture says it


class HeatMap(_Pictured):
    """Maps of texts over a picture's patches."""

    @property
    def grid(self) -> npt.NDArray[np.float32]:
        """What each patch brings to each text's score, [texts, g, g]."""
        return self._values

    def plot(self, ax: Any = None) -> Any:
        """The picture on matplotlib's axes; needs matplotlib and Pillow."""
        import matplotlib.pyplot  # type: ignore[import-not-found, unused-ignore]
        import PIL.Image

        axes = ax if ax is not None else matplotlib.pyplot.subplots()[1]
        axes.imshow(PIL.Image.open(io.BytesIO(self._png)))
        axes.set_axis_off()
        return axes


class Explanation(_Pictured):
    """One score split over components, patches and words."""


class Segmentation(_Pictured):
    """What of a picture is an object."""

    @property
    def map(self) -> npt.NDArray[np.float32]:
        """[h, w] from 0 to 1, 0 beside what the model saw."""
        return self._values

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """[h, w]; needs Pillow."""
        import PIL.Image

        return np.asarray(PIL.Image.open(io.BytesIO(self._png)).convert("L")) > 127


Drawn = TypeVar("Drawn", HeatMap, Explanation, Segmentation)
