"""What runs on the machines of a cluster: listing, parts, sums, the end."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import pathlib
import pickle
import shutil
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import _core
from .._model import Model, load
from .._pictures import encoded, taken
from .._writer import add_factors, checked, factor_writer, joined, nothing
from ..errors import CorruptData, Error, Internal, InvalidArgument
from ._lists import WORK, Listed, PartsOf, Reader, SetOptions, list_name, list_set, open_set, part_begin, rows_of, write_lists
from ._places import Place
from ._untyped import cloudpickle

STATISTICS, BASIS, MANIFEST = "stats.safetensors", "basis.safetensors", "manifest.json"
# Files of sums that are added up to one; 16 of them, and 16 of those.
FAN = 16


def part_name(number: int) -> str:
    return f"{WORK}/part-{number:05d}.json"


def shard_names(number: int) -> tuple[str, str]:
    return f"shard-{number:05d}.safetensors", f"items-{number:05d}.jsonl"


def killers_name(number: int) -> str:
    return f"{WORK}/killers-{number:05d}.json"


def sums_name(level: int, number: int) -> str:
    return f"{WORK}/sums-{level}-{number:05d}.safetensors"


@dataclasses.dataclass
class Recorded:
    """A model as it runs in PyTorch, for ``decompose`` on a cluster; made by a function on each worker::

        def make():
            model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-16", "openai", device="cuda")
            recorder = cliplens.torch.Recorder(model)

            @torch.inference_mode()
            def encode(images):
                model.encode_image(torch.stack([preprocess(image) for image in images]).cuda())

            return cliplens.ray.Recorded(recorder, encode)

    recorder: has ``basis()``, ``config``, ``factors()`` and is a context (``cliplens.torch.Recorder``). encode: runs
    the model on a list of PIL images, while the recorder listens. batch: pictures at once. precision: of the
    products, for the store.
    """

    recorder: Any
    encode: Callable[[list[Any]], Any]
    batch: int = 64
    precision: str = "fp32"


@dataclasses.dataclass
class Job:
    """All that a worker must know."""

    model: Any  # a name or path, or a function that gives a Recorded
    model_options: Mapping[str, Any]
    images: Place | None  # none: rows are sent
    base: Place
    options: SetOptions
    listed: Listed
    stats_only: bool
    store_dtype: str
    slices: int | None
    shard_images: int
    parts: int
    on_error: str
    threads: int

    def begin_of(self, number: int) -> int:
        """The first picture of a part; of the number of parts, the number of pictures."""
        return part_begin(self.listed.images, self.shard_images, self.parts, number)

    def images_of(self, number: int) -> int:
        """The pictures of a part."""
        return self.begin_of(number + 1) - self.begin_of(number)


def _failed(error: Error) -> dict[str, Any]:
    return {"error": (error.code, str(error))}


class Worker:
    """Computes parts, one after the other. The driver calls its methods; an error of cliplens is an answer."""

    def __init__(self, job: bytes) -> None:
        self._job: Job = pickle.loads(job)
        self._model: Model | Recorded | None = None
        self._set: _core.Pictures | None = None

    def identity(self) -> dict[str, Any]:
        """What the model is; loads it."""
        try:
            model = self._loaded()
        except Error as error:
            return _failed(error)
        if isinstance(model, Recorded):
            return {"fingerprint": model.recorder.config["fingerprint"], "precision": model.precision, "level": "blocks"}
        return {"fingerprint": model.fingerprint, "precision": model.precision, "level": model.level}

    def _loaded(self) -> Model | Recorded:
        if self._model is None:
            job = self._job
            if not callable(job.model):
                self._model = load(job.model, **{"pictures_alone": True, **job.model_options})
            else:
                made = job.model()
                if not isinstance(made, Recorded):
                    raise InvalidArgument(f"model: the function gives a {type(made).__name__}; it is to give a "
                                          "cliplens.ray.Recorded")
                self._model = made
        return self._model

    def make(self, number: int, sums: bool, rows: Sequence[Any] | None = None) -> dict[str, Any]:
        """Makes a part: its shards, their items, its sums where they are wanted, and last its record."""
        job = self._job
        try:
            begin = job.begin_of(number)
            lines = job.base.read(list_name(number))
            with self._folder() as folder:
                out = pathlib.Path(folder) / "part"
                answer = self._compute(number, begin, lines, rows, out)
                self._keep(number, out, sums)
            return answer
        except Error as error:
            return _failed(error)

    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        """Where a part is made: on the file system that it stays on, if that is of this machine."""
        base = self._job.base
        return tempfile.TemporaryDirectory(prefix="part-", dir=base.at(WORK) if base.is_local else None)

    def _read(self, begin: int, lines: bytes, rows: Sequence[Any] | None) -> Any:
        """A function that gives a picture's bytes or samples; none where the list says where they lie."""
        job = self._job
        if rows is not None:
            names = [json.loads(line)["path"] for line in lines.splitlines()]
            return lambda i: taken(rows.__getitem__, i - begin, names[i - begin])
        if job.listed.opened:
            if self._set is None:
                assert job.images is not None
                self._set = open_set(job.images.path, job.options)
            return self._set.read
        assert job.images is not None
        if job.images.is_local:
            return None
        return Reader(job.images if job.images.kind() == "directory" else job.images.parent(), begin, lines)

    def _compute(self, number: int, begin: int, lines: bytes, rows: Sequence[Any] | None,
                 out: pathlib.Path) -> dict[str, Any]:
        job, model = self._job, self._loaded()
        read = self._read(begin, lines, rows)
        if job.base.kind(killers_name(number)):
            lines = _with_killers(lines, json.loads(job.base.read(killers_name(number))))
        pictures = _core.Pictures(f"memory:range-{uuid.uuid4().hex}", job.listed.source, begin, lines, read)
        try:
            if isinstance(model, Recorded):
                return self._record(model, number, begin, pictures, out)
            return self._decompose(model, number, pictures, out)
        finally:
            if isinstance(read, Reader):
                read.close()

    def _decompose(self, model: Model, number: int, pictures: _core.Pictures, out: pathlib.Path) -> dict[str, Any]:
        job = self._job
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the driver says it of the whole set
            try:
                result = model._run("decompose", [], {
                    "images": pictures.name, "out": out, "stats_only": job.stats_only, "store_dtype": job.store_dtype,
                    "slices": job.slices, "shard_images": job.shard_images, "on_error": job.on_error,
                    "exif_orientation": job.options.exif_orientation, "threads": job.threads,
                    "shard": f"{number}/{job.parts}" if job.parts > 1 else None}, False)
            except CorruptData:
                # None of its pictures can be read: an empty part, which is as good as any.
                if not out.is_dir():
                    raise
                return {}
        said = json.loads(result.to_json())
        return {key: said[key] for key in ("oriented", "incomplete") if said.get(key)}

    def _record(self, model: Recorded, number: int, begin: int, pictures: _core.Pictures,
                out: pathlib.Path) -> dict[str, Any]:
        job, count = self._job, self._job.images_of(number)
        info = {"precision": model.precision, "shard_images": job.shard_images, "stats_only": job.stats_only}
        if job.parts > 1:
            info["part"] = (number, job.parts)
        if job.slices is not None:
            info["slices"] = job.slices
        writer = factor_writer(str(out), model.recorder, pictures, info, job.threads)
        for first in range(begin, begin + count, job.shard_images):
            factors, skipped = self._record_shard(model, pictures, range(first, min(first + job.shard_images, begin + count)))
            add_factors(writer, factors, skipped)
        writer.finish()
        writer.close()
        return {}

    def _record_shard(self, model: Recorded, pictures: _core.Pictures, numbers: range) -> tuple[Any, list[tuple[int, str]]]:
        """The factors of one shard, and which of its pictures could not be read, and why."""
        blocks: list[Any] = []
        skipped: list[tuple[int, str]] = []
        batch: list[Any] = []

        def run() -> None:
            if batch:
                with model.recorder:
                    model.encode(list(batch))
                blocks.append(checked(model.recorder.factors()))
                batch.clear()

        for i in numbers:
            try:
                batch.append(self._decoded(pictures, i))
            except Error as error:
                if self._job.on_error != "skip":
                    raise
                skipped.append((i - numbers.start, str(error)))
            if len(batch) == model.batch:
                run()
        run()
        return joined(blocks) if blocks else nothing(model.recorder), skipped

    def _decoded(self, pictures: _core.Pictures, i: int) -> Any:
        """Picture i of a set as a PIL image."""
        import PIL.Image
        import PIL.ImageOps

        content = pictures.read(i)
        try:
            with PIL.Image.open(io.BytesIO(content)) as image:
                image.load()
                return PIL.ImageOps.exif_transpose(image) if self._job.options.exif_orientation else image.copy()
        except Exception as error:
            raise CorruptData(f"{pictures.path(i)}: cannot be decoded: {error}") from error

    def _keep(self, number: int, out: pathlib.Path, sums: bool) -> None:
        base = self._job.base
        if sums:
            base.put(sums_name(0, number), out / STATISTICS)
        if not base.kind(BASIS):
            base.put(BASIS, out / BASIS)
        for shard in json.loads((out / MANIFEST).read_bytes())["shards"]:
            for name, own in zip(shard_names(shard["range"]), (shard["file"], shard["items"]), strict=True):
                base.put(name, out / own)
        base.put(part_name(number), out / MANIFEST)

    def decode(self, number: int, index: int, rows: Sequence[Any] | None) -> None:
        """What ``make`` does with picture ``index`` of a part; of a model in PyTorch, its pass, too."""
        begin = self._job.begin_of(number)
        lines = self._job.base.read(list_name(number))
        pictures = _core.Pictures("", self._job.listed.source, begin, lines, self._read(begin, lines, rows))
        model = self._loaded()
        if isinstance(model, Recorded):
            with model.recorder:
                model.encode([self._decoded(pictures, begin + index)])
        else:
            model._core.preprocess(pictures, begin + index)


def _with_killers(lines: bytes, killers: Mapping[str, str]) -> bytes:
    """The list of a part that says of some pictures why they must not be read."""
    listed = lines.splitlines()
    for index, message in killers.items():
        listed[int(index)] = json.dumps({**json.loads(listed[int(index)]), "broken": message}).encode()
    return b"\n".join(listed) + b"\n"


def find_killers(job: bytes, number: int, rows: Sequence[Any] | None) -> dict[str, Any]:
    """Decodes the pictures of a part, one after the other, in a process of its own. Records those that end it."""
    try:
        return dict(_find_killers(job, number, rows))
    except Error as error:
        return _failed(error)


def _find_killers(job: bytes, number: int, rows: Sequence[Any] | None) -> dict[str, str]:
    work: Job = pickle.loads(job)
    count = work.images_of(number)
    lines = work.base.read(list_name(number)).splitlines()
    killers: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="cliplens-") as folder:
        file = pathlib.Path(folder) / "job"
        file.write_bytes(cloudpickle.dumps((job, number, rows)))
        first = 0
        while first < count:
            done = subprocess.run([sys.executable, "-m", "cliplens.ray._probe", str(file), str(first)],
                                  stdout=subprocess.PIPE, check=False)
            if done.returncode == 0:
                break
            reached = done.stdout.split()
            if not reached:
                raise Internal(f"part {number}: the process that looks for what ends its workers ended itself, with "
                               f"{done.returncode}")
            index = int(reached[-1])
            how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
            killers[str(index)] = (f"{json.loads(lines[index])['path']}: ends the process that decodes it ({how}); "
                                   "remove it, or leave it out with on_error=\"skip\"")
            first = index + 1
    if killers:
        work.base.write(killers_name(number), json.dumps(killers).encode())
    return killers


def whole_parts(base: Place, numbers: Sequence[int]) -> list[int]:
    """Those of these parts, which are recorded, whose files are what their record says."""
    return [number for number in numbers if _is_whole(base, number)]


def _is_whole(base: Place, number: int) -> bool:
    try:
        shards = json.loads(base.read(part_name(number)))["shards"]
    except (Error, ValueError, KeyError):
        return False
    for shard in shards:
        for name, checksum in zip(shard_names(shard["range"]), (shard["checksum"], shard["items_checksum"]), strict=True):
            # A store of objects checks what is in it.
            if not base.kind(name) or (base.is_local and _core.checksum(encoded(base.at(name))) != checksum):
                return False
    return True


def list_images(images: Place, options: SetOptions, base: Place, shard_images: int,
                parts_of: PartsOf) -> Listed | dict[str, Any]:
    try:
        return list_set(images, options, base, shard_images, parts_of)
    except Error as error:
        return _failed(error)


def list_rows(dataset: Any, columns: Mapping[str, Any], base: Place, shard_images: int, parts_of: PartsOf) -> Listed | dict[str, Any]:
    """Lists the rows of a ``ray.data.Dataset``. ``columns``: name, label, attributes, set."""
    name, label, attributes = columns["names"], columns["label"], list(columns["attributes"])
    names: list[str] = []
    labels: list[str | None] = []
    extra: list[str] = []
    wanted = [c for c in dict.fromkeys([name, label, *attributes]) if c]
    try:
        missing = [c for c in [columns["image"], *wanted] if c not in dataset.columns()]
        if missing:
            raise InvalidArgument(f"{missing[0]}: the data set has no such column; there are "
                                  f"{', '.join(dataset.columns())}")
        if wanted:
            for row in rows_of(dataset, wanted):
                names.append(str(row[name]) if name else f"{len(names):06d}")
                labels.append(None if not label or row[label] is None else str(row[label]))
                extra.append(json.dumps({a: _plain(row[a]) for a in attributes}) if attributes else "")
        else:
            names = [f"{i:06d}" for i in range(dataset.count())]
            labels, extra = [None] * len(names), [""] * len(names)
        if not names:
            raise InvalidArgument("the data set is empty")
        pictures = _core.Pictures("", encoded(f"memory:{columns['set']}"), [encoded(n) for n in names], labels, extra,
                                  [b""] * len(names), None)
        return write_lists(pictures, base, shard_images, parts_of, "", "")
    except Error as error:
        return _failed(error)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


class Feeder:
    """Gives the rows of a data set, part by part."""

    def __init__(self, dataset: Any, column: str, counts: Sequence[int], done: Sequence[bool]) -> None:
        self._rows = rows_of(dataset, [column])
        self._column, self._left = column, iter(zip(counts, done, strict=True))

    def next(self) -> list[Any]:
        """Pictures of the next part that is not done."""
        while True:
            count, is_done = next(self._left)
            rows = [row[self._column] for row in itertools.islice(self._rows, count)]
            if not is_done:
                return rows


def add_sums(base: Place, level: int, number: int, children: Sequence[int]) -> None:
    """Makes one file of sums of those of the level below, and removes them."""
    with tempfile.TemporaryDirectory(prefix="cliplens-") as folder:
        files = [pathlib.Path(folder) / str(child) for child in children]
        for child, file in zip(children, files, strict=True):
            base.get(sums_name(level - 1, child), file)
        out = pathlib.Path(folder) / "sum"
        _core.merge_statistics([encoded(file) for file in files], encoded(out))
        base.put(sums_name(level, number), out)
    for child in children:
        base.delete(sums_name(level - 1, child))


def finish(base: Place, parts: int, sums: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Writes the statistics and the manifest of all parts. Returns what the manifest says of the whole."""
    try:
        with tempfile.TemporaryDirectory(prefix="cliplens-") as text:
            folder = pathlib.Path(text)
            places = [folder / f"{number:05d}" for number in range(parts)]
            for place in places:
                place.mkdir()
            base.get_all((part_name(number), place / MANIFEST) for number, place in enumerate(places))
            files = [folder / f"sums-{level}-{number}" for level, number in sums]
            base.get_all((sums_name(*one), file) for one, file in zip(sums, files, strict=True))
            statistics = folder / STATISTICS
            _core.merge_statistics([encoded(file) for file in files], encoded(statistics))
            if parts == 1:
                manifest = (places[0] / MANIFEST).read_text(encoding="utf-8")
                order = [shard["range"] for shard in json.loads(manifest)["shards"]]
            else:
                manifest, order = _core.assemble_store([encoded(place) for place in places], encoded(statistics))
            # A range without pictures has no shard; those behind it move up.
            for number, of in enumerate(order):
                for name, now in zip(shard_names(number), shard_names(of), strict=True):
                    if number != of and base.kind(now):
                        base.move(now, name)
            base.put(STATISTICS, statistics)
            base.write(MANIFEST, manifest.encode())
        said = json.loads(manifest)
        skipped = said.get("skipped", [])
        return {"images": said["images"], "shards": len(said["shards"]), "certificate": said["certificate"]["max"],
                "skipped": len(skipped), "first_skipped": skipped[0]["message"] if skipped else ""}
    except Error as error:
        return _failed(error)


def clean(base: Place) -> None:
    """Removes what is not of the store."""
    if base.is_local:
        shutil.rmtree(base.at(WORK), ignore_errors=True)
    else:
        base.delete_folder(WORK)
