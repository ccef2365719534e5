"""Pictures of data sets, for ``Model.decompose`` and ``Model.embed_images``.

Nothing is read before it is needed, and nothing of these libraries is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ._pictures import Pictures
from .errors import InvalidArgument

__all__ = ["arrays", "frame", "huggingface", "torch_dataset"]


class _Column(Sequence[Any]):
    def __init__(self, count: int, take: Callable[[int], Any]) -> None:
        self._count, self._take = count, take

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._take(index)

    def __iter__(self) -> Iterator[Any]:
        return (self._take(i) for i in range(self._count))


def huggingface(dataset: Any, image: str = "image", *, label: str | None = None,
                attributes: Sequence[str] = (), names: str | Sequence[str] | None = None,
                name: str | None = None) -> Pictures:
    """An image column of a ``datasets.Dataset``, read row by row.

    label: the column of labels, whose class names are used where it has them. attributes: further columns.
    names: the column of the pictures' names, or the names. Raises InvalidArgument for a column that is not there.
    """
    columns = list(dataset.column_names)
    for column in [image, *([label] if label else []), *attributes, *([names] if isinstance(names, str) else [])]:
        if column not in columns:
            raise InvalidArgument(f"{column}: the data set has no such column; there are {', '.join(columns)}")
    labels: list[str | None] | None = None
    if label is not None:
        feature = dataset.features[label]
        classes = getattr(feature, "names", None)
        labels = [classes[v] if classes is not None and v is not None and v >= 0 else (None if v is None else str(v))
                  for v in dataset[label]]
    extra = [dict(zip(attributes, row, strict=True)) for row in zip(*(dataset[a] for a in attributes), strict=True)] \
        if attributes else None
    listed = [str(v) for v in dataset[names]] if isinstance(names, str) else names
    return Pictures(_Column(len(dataset), lambda i: dataset[i][image]), names=listed, labels=labels,
                    attributes=extra, name=name)


def torch_dataset(dataset: Any, *, classes: Sequence[str] | None = None, name: str | None = None) -> Pictures:
    """A ``torch.utils.data.Dataset`` of pictures, or of (picture, label) pairs.

    Pictures are PIL images or uint8 tensors [3, h, w]; a data set that normalises them must be made without
    that transform. Labels are read by going once through the data set when there are pairs; classes (default:
    ``dataset.classes``) turn their numbers into names.
    """
    count = len(dataset)
    if count == 0:
        raise InvalidArgument("the data set is empty")
    first = dataset[0]
    if not isinstance(first, tuple):
        return Pictures(_Column(count, lambda i: dataset[i]), name=name)
    names = classes if classes is not None else getattr(dataset, "classes", None)
    targets = getattr(dataset, "targets", None)
    numbers = list(targets) if targets is not None else [dataset[i][1] for i in range(count)]
    labels = [str(names[int(v)]) if names is not None else str(v) for v in numbers]
    return Pictures(_Column(count, lambda i: dataset[i][0]), labels=labels, name=name)


def frame(frame: Any, path: str = "path", *, label: str | None = None, attributes: Sequence[str] | None = None,
          root: str = "", name: str | None = None) -> Pictures:
    """A pandas or polars frame with a column of paths, relative to ``root``.

    attributes: further columns; by default all others. Raises InvalidArgument for a column that is not there.
    """
    import os

    columns = [str(c) for c in frame.columns]
    wanted = [c for c in columns if c not in (path, label)] if attributes is None else list(attributes)
    for column in [path, *([label] if label else []), *wanted]:
        if column not in columns:
            raise InvalidArgument(f"{column}: the frame has no such column; there are {', '.join(columns)}")

    def values(column: str) -> list[Any]:
        return [v.item() if hasattr(v, "item") else v for v in frame[column].to_list()] \
            if hasattr(frame[column], "to_list") else list(frame[column])

    taken = {column: values(column) for column in wanted}
    rows = [{column: taken[column][i] for column in wanted} for i in range(len(frame))]
    names = [str(v) for v in values(path)]
    return Pictures([os.path.join(root, n) for n in names], names=names,
                    labels=[None if v is None else str(v) for v in values(label)] if label else None,
                    attributes=rows, name=name)


def arrays(images: Sequence[Any], *, names: Sequence[str] | None = None,
           labels: Sequence[str | None] | None = None,
           attributes: Sequence[Mapping[str, Any]] | None = None, name: str | None = None) -> Pictures:
    """A list of arrays uint8 [h, w, 3], or an array [n, h, w, 3]."""
    return Pictures(images, names=names, labels=labels, attributes=attributes, name=name)
