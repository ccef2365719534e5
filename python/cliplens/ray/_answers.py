"""Questions to stores that many machines see, answered where their shards lie."""

from __future__ import annotations

import json
import os
import pathlib
import posixpath
import tempfile
from collections.abc import Mapping
from typing import Any

from .._store import Store
from .._tables import Result
from ..errors import Error, InvalidArgument, NotFound, Precondition
from ._decompose import answer, connect, remote
from ._places import Place
from ._untyped import ray
from ._work import BASIS, MANIFEST, STATISTICS, _failed

# Parts of a store for each CPU of the cluster, so that a slow one does not hold up the rest.
PARTS = 2


def _shards(place: Place) -> list[Mapping[str, Any]]:
    if not place.kind(MANIFEST):
        raise NotFound(f"{place.address}: there is no store")
    return list(place.read_json(MANIFEST)["shards"])


def _local(place: Place, folder: str, shards: set[int] | None) -> Store:
    """The store on this machine: where it lies, or a copy of what is needed of it. Without shards: of all of it."""
    if place.is_local:
        return Store(place.path)
    out = pathlib.Path(folder) / "store"
    out.mkdir()
    names = [MANIFEST, BASIS, STATISTICS]
    for number, shard in enumerate(_shards(place)):
        # Which pictures a shard has is known everywhere; what they are, where it is read.
        if shards is None or number in shards:
            names += [shard["file"], shard["items"]]
    place.get_all((name, out / name) for name in names)
    return Store(str(out))


def _shard_of(shards: list[Mapping[str, Any]], item: int) -> int:
    for number, shard in enumerate(shards):
        if item < shard["images"]:
            return number
        item -= shard["images"]
    raise InvalidArgument(f"item {item}: the store has no such picture")


def _ask(place: Place, verb: str, options: Mapping[str, Any], shards: set[int] | None) -> dict[str, Any]:
    """A verb on a store, on the machine that this runs on. Files of the driver's machine are sent with it."""
    try:
        with tempfile.TemporaryDirectory(prefix="cliplens-") as folder:
            names: dict[str, str] = {}

            def written(value: Any) -> Any:
                if isinstance(value, list):
                    return [written(v) for v in value]
                if not isinstance(value, _Sent):
                    return value
                path = value.write(folder)
                names[path] = value.path
                return path

            given = {name: written(value) for name, value in options.items()}
            result = getattr(_local(place, folder, shards), verb)(**given, progress=False)
            text = result.to_json()
            for path, name in names.items():
                text = text.replace(json.dumps(path)[1:-1], json.dumps(name)[1:-1])
            return {"json": text}
    except Error as error:
        return _failed(error)


class _Sent:
    """A file of the driver's machine, for another one."""

    def __init__(self, path: str) -> None:
        self.path, self._content = path, pathlib.Path(path).read_bytes()

    def write(self, folder: str) -> str:
        path = pathlib.Path(tempfile.mkdtemp(dir=folder)) / posixpath.basename(self.path)
        path.write_bytes(self._content)
        return str(path)


def _sent(value: Any) -> Any:
    """A file as its content; anything else as it is."""
    if isinstance(value, (list, tuple)):
        return [_sent(v) for v in value]
    if isinstance(value, (str, os.PathLike)) and os.path.isfile(value):
        return _Sent(os.fspath(value))
    return value


def search(store: str | os.PathLike[str], *, count: int = 10, filesystem: Any = None, **options: Any) -> Result:
    """``Store.search`` on a cluster: each machine searches some of the shards, and the best of all are the answer, which
    is that of one machine.

    store: a path that every machine sees, or an address; of one at an address machines copy the shards that they search.
    filesystem: of ``pyarrow.fs``, for an address that needs settings. options: those of ``Store.search`` but ``index``.
    Raises NotFound where there is no store, Precondition for statistics only, and as ``Store.search``.
    """
    connect()
    place = Place(store, filesystem)
    shards = _shards(place)
    if not shards:
        raise Precondition(f"{place.address}: has statistics only, and no pictures to search")
    parts = min(len(shards), max(1, int(ray.cluster_resources().get("CPU", 1)) * PARTS))
    items = {_shard_of(shards, item) for item in _items(options)}
    given = {name: _sent(value) for name, value in options.items()}
    ask = remote(_ask, num_cpus=1)
    refs = [ask(place, "search", {"threads": 1, **given, "count": count, "shard": f"{part}/{parts}"},
                items | set(range(part * len(shards) // parts, (part + 1) * len(shards) // parts)))
            for part in range(parts)]
    found = [json.loads(answer(ray.get(ref))["json"]) for ref in refs]
    whole = found[0]
    best = sorted((r for one in found for r in one["results"]), key=lambda r: (-r["score"], r["item"]))[:count]
    whole["results"] = [{**result, "rank": rank} for rank, result in enumerate(best, 1)]
    return Result(whole, json.dumps(whole))


def _items(options: Mapping[str, Any]) -> list[int]:
    """The items of the store that are queries."""
    out = []
    for name in ("item", "like", "unlike"):
        value = options.get(name)
        for query in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(query, int) or (isinstance(query, str) and query.isdigit() and not os.path.exists(query)):
                out.append(int(query))
    return out


def label(store: str | os.PathLike[str], *, cpus: float = 1, filesystem: Any = None, **options: Any) -> Result:
    """``Store.label`` on a machine of the cluster: it reads the rows of the pictures that labels are made of, and the
    statistics of all. Of a store at an address it makes a copy first.

    store, filesystem: as in ``search``. cpus: of the machine that it uses. options: those of ``Store.label``.
    """
    return _one(store, "label", cpus, filesystem, options)


def evaluate(store: str | os.PathLike[str], *, cpus: float = 1, filesystem: Any = None, **options: Any) -> Result:
    """``Store.evaluate_labels`` on a machine of the cluster, as ``label``.

    store, filesystem: as in ``search``. cpus: of the machine that it uses. options: those of ``Store.evaluate_labels``.
    """
    return _one(store, "evaluate_labels", cpus, filesystem, options)


def _one(store: str | os.PathLike[str], verb: str, cpus: float, filesystem: Any, options: Mapping[str, Any]) -> Result:
    connect()
    place = Place(store, filesystem)
    _shards(place)
    ask = remote(_ask, num_cpus=cpus)
    text = answer(ray.get(ask(place, verb, {"threads": max(1, int(cpus)),
                                                **{name: _sent(value) for name, value in options.items()}}, None)))["json"]
    return Result(json.loads(text), text, text)
