"""``decompose`` on a cluster: the driver, which hands out parts and adds up what comes back."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .._run import Progress, shown
from .._store import Store
from .._writer import SHARD_IMAGES
from ..errors import Error, Exhausted, InvalidArgument, LossWarning, Precondition, Unsupported, of_code
from ._lists import WORK, Listed, SetOptions
from ._places import Place
from ._untyped import cloudpickle, exceptions, ray
from ._work import (FAN, MANIFEST, Feeder, Job, Worker, add_sums, clean, find_killers, finish,
                    list_images, list_rows, sums_name, whole_parts)

# A worker that is lost takes its part with it; after so many times the part is looked at picture by picture.
LOSSES = 3
# Rounds of this before a part is given up, and workers in a row that end before they have begun.
ROUNDS, STARTS = 3, 10
PATIENCE = 60  # seconds without a worker before it is said
# Shards of a part, where there are enough of them: the sums of a part are as large as a shard.
SHARDS = 8
# Parts for each worker, so that none waits long for the last.
PARTS = 4
# Parts of an earlier run that one task looks at.
LOOKED_AT = 64
RUN = f"{WORK}/run.json"

_LOST = (exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.NodeDiedError,
         exceptions.OutOfMemoryError)


def connect() -> None:
    """Connects to the cluster that ``RAY_ADDRESS`` names, or else starts Ray on this machine alone, unless the
    program has done either."""
    if ray.is_initialized():
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False, logging_level="WARNING")
    else:
        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="WARNING",
                 _node_ip_address="127.0.0.1")


def answer(value: Any) -> Any:
    """What a task gave; its error is raised here."""
    if isinstance(value, dict) and "error" in value:
        code, message = value["error"]
        raise of_code(code)(message)
    return value


def remote(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A function as a task."""
    task: Callable[..., Any] = ray.remote(function).options(**{"num_cpus": 0, "max_retries": 3, **options}).remote
    return task


class _Pool:
    """Workers, between ``least`` and ``most``. One more is asked for while parts wait and none is on its way, so
    that a cluster that grows by itself does so."""

    def __init__(self, job: bytes, least: int, most: int, options: Mapping[str, Any]) -> None:
        self._make = ray.remote(Worker).options(max_restarts=0, **options).remote
        self._job, self._least, self._most = job, least, most
        self.gpus = options["num_gpus"]
        self.starting: dict[Any, Any] = {}  # what tells that it is there, to the worker
        self.idle: list[Any] = []
        self._busy: list[Any] = []
        self._lost = 0
        self._began = time.monotonic()

    def grow(self, waiting: int) -> None:
        count = len(self.idle) + len(self._busy) + len(self.starting)
        wanted = self._least - count if count < self._least else 0
        if not wanted and waiting and not self.idle and not self.starting and count < self._most:
            wanted = 1
        for _ in range(wanted):
            worker = self._make(self._job)
            self.starting[worker.identity.remote()] = worker

    def began(self, ref: Any) -> dict[str, Any] | None:
        """What the model of a new worker is; None where the worker was lost."""
        worker = self.starting.pop(ref)
        try:
            identity: dict[str, Any] = answer(ray.get(ref))
        except _LOST as error:
            self._lost += 1
            if self._lost >= STARTS:
                raise Exhausted(f"{self._lost} workers ended before their model was loaded; the last: {error}") from error
            return None
        self._lost = 0
        self._began = math.inf
        self.idle.append(worker)
        return identity

    def take(self) -> Any:
        self._busy.append(self.idle.pop())
        return self._busy[-1]

    def back(self, worker: Any, lost: bool) -> None:
        """A worker that is done, or was lost."""
        self._busy.remove(worker)
        if not lost:
            self.idle.append(worker)

    def tell(self) -> None:
        """Says once that no worker begins."""
        if time.monotonic() - self._began > PATIENCE:
            self._began = math.inf
            warnings.warn(f"no worker has begun for {PATIENCE} s: the cluster has no room for one, or is still growing; "
                          "cpus= and gpus= say what a worker needs", RuntimeWarning, stacklevel=4)

    def close(self) -> None:
        for worker in [*self.idle, *self._busy, *self.starting.values()]:
            ray.kill(worker)


class _Sums:
    """Which files of sums are there, as a tree whose leaves are parts."""

    def __init__(self, base: Place, parts: int) -> None:
        self._base, self._parts = base, parts
        self.there: set[tuple[int, int]] = set()
        for name in base.files(WORK):
            stem, _, ending = name.partition(".")
            fields = stem.split("-")
            if fields[0] == "sums" and ending == "safetensors" and len(fields) == 3:
                self.there.add((int(fields[1]), int(fields[2])))
        # A sum that was written when a driver ended stands for its parts.
        for level, number in sorted(self.there):
            if self._above(level + 1, number // FAN):
                self._base.delete(sums_name(level, number))
                self.there.discard((level, number))

    def _above(self, level: int, number: int) -> bool:
        while FAN ** (level - 1) < self._parts:
            if (level, number) in self.there:
                return True
            level, number = level + 1, number // FAN
        return False

    def has(self, number: int) -> bool:
        return self._above(0, number)

    def add(self, level: int, number: int) -> tuple[int, int, list[int]] | None:
        """Notes a file. Gives the sum of its level that can be made now."""
        self.there.add((level, number))
        first = number // FAN * FAN
        children = [n for n in range(first, first + FAN) if n * FAN ** level < self._parts]
        if len(children) < 2 or any((level, n) not in self.there for n in children):
            return None
        return level + 1, number // FAN, children

    def added(self, level: int, number: int, children: Sequence[int]) -> tuple[int, int, list[int]] | None:
        self.there -= {(level - 1, child) for child in children}
        return self.add(level, number)


@dataclasses.dataclass
class Decomposed:
    """A store that a cluster made: its place, its pictures, how many of them could not be read, the largest
    certificate, the seconds it took."""

    out: str
    images: int
    shards: int
    skipped: int
    certificate: float
    seconds: float
    complete_already: bool = False

    def open(self) -> Store:
        """The store, where it lies on this machine. Raises Unsupported for one at an address."""
        if "://" in self.out:
            raise Unsupported(f"{self.out}: is an address; copy the store with cliplens.ray.copy, or ask it by "
                              "cliplens.ray.search and label")
        return Store(self.out)


def _of_set(source: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the store, of a set's entry in a manifest."""
    return {f"data.{key}": value for key, value in source.items() if key not in ("images", "passed_over", "unread")}


def _what(job: Job, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is of: two runs with the same make the same store."""
    return {**identity, "store_dtype": job.store_dtype, "stats_only": job.stats_only, "slices": job.slices,
            **_of_set(json.loads(job.listed.source))}


def _of_manifest(manifest: Mapping[str, Any], slices: int | None) -> dict[str, Any]:
    return {"fingerprint": manifest["model"]["fingerprint"], "precision": manifest["precision"],
            "level": manifest.get("level", "blocks"), "store_dtype": manifest["store_dtype"],
            "stats_only": manifest["stats_only"], "slices": manifest["slices"] if slices is not None else None,
            **_of_set(manifest["data"][0])}


def _compare(wanted: Mapping[str, Any], found: Mapping[str, Any], place: str) -> None:
    for key in dict.fromkeys([*wanted, *found]):
        if wanted.get(key) != found.get(key):
            raise InvalidArgument(f"{place}: is of another run: '{key}' is {found.get(key)} there and {wanted.get(key)} "
                                  "is asked for; name another place, or remove it")


def decompose(model: Any, images: Any, out: str | os.PathLike[str], *, resume: bool = False, on_error: str = "stop",
              stats_only: bool = False, store_dtype: str = "fp32", slices: int | None = None,
              shard_images: int = SHARD_IMAGES, split: str = "", path_column: str = "", allow_absolute: bool = False,
              exif_orientation: bool = False, image: str = "image", names: str | None = None,
              label: str | None = None, attributes: Sequence[str] = (), name: str = "pictures",
              workers: int | tuple[int, int] | None = None, cpus: float = 1, gpus: float = 0,
              filesystem: Any = None, out_filesystem: Any = None, progress: Progress | bool | None = None,
              **model_options: Any) -> Decomposed:
    """``decompose`` on a Ray cluster. The store has the bytes of one machine's, whatever is lost on the way.

    model: a name or path as ``load`` takes it, there on every machine, with ``model_options`` (``precision``,
    ``arch``, ...); or a function without arguments that gives a ``Recorded``, a model in PyTorch. images: a folder,
    table, WebDataset shards or another set, as a path that every machine sees or an address (``s3://``, ``gs://``);
    or a ``ray.data.Dataset`` with the column ``image`` (bytes, paths or arrays uint8), whose columns ``names``,
    ``label`` and ``attributes`` say more of its pictures and whose store stands as ``memory:name``. out: a path that
    every machine sees, or an address. filesystem, out_filesystem: of ``pyarrow.fs``, for what needs settings.

    workers: how many, or the least and the most; by default as many as the cluster has room for. cpus, gpus: of each;
    the C++ pass has a thread for each CPU.

    resume: goes on with what an earlier call left there; on a finished store it says so. The other options are those of
    ``Model.decompose``. Raises the error of a picture that cannot be read, with its name, unless ``on_error`` is
    ``"skip"``; Precondition for a store that is there already; InvalidArgument where ``resume`` meets another run.
    """
    connect()
    if isinstance(model, (str, os.PathLike)) and os.path.exists(model):
        model = os.path.abspath(model)  # workers run elsewhere
    if on_error not in ("stop", "skip"):
        raise InvalidArgument(f"on_error: is {on_error!r}; stop or skip")
    if callable(model) and store_dtype != "fp32":
        raise InvalidArgument(f"store_dtype: {store_dtype}; factors of a model in PyTorch are stored as fp32")
    if shard_images < 1:
        raise InvalidArgument(f"shard_images: {shard_images}; one or more")
    final = Place(out, out_filesystem)
    base = final.beside(".partial") if final.is_local else final
    start = time.monotonic()
    whole = bool(final.kind(MANIFEST))
    if final.is_local and final.kind() and not (whole and resume):
        raise Precondition(f"{final.address}: exists already; name a new directory or remove this one")
    if not final.is_local and whole and not resume:
        raise Precondition(f"{final.address}: has a store already; name a new place or remove this one")
    if not resume and base.files(WORK):
        raise Precondition(f"{base.address}: left by a run that was cut off; go on with it by resume=True, or remove it")
    if final.is_local and base.kind() and not base.kind(WORK):
        raise Precondition(f"{base.address}: was not left by cliplens.ray; remove it, or name another directory")
    is_rows = not isinstance(images, (str, os.PathLike))
    options = SetOptions(split, path_column, allow_absolute, exif_orientation, on_error == "skip")
    # A finished store is compared with what is asked for, listed elsewhere.
    lists = final.beside(".resumed") if whole else base
    for folder in (lists, Place(lists.at(WORK), lists.filesystem)):
        folder.make()
    known = base.read_json(RUN)["parts"] if resume and base.kind(RUN) else None
    most = _most(workers, cpus, gpus, is_rows)

    def parts_of(shards: int) -> int:
        """As an earlier run had them."""
        return int(known or min(shards, max(most * PARTS, -(-shards // SHARDS))))

    columns = {"image": image, "names": names, "label": label, "attributes": list(attributes), "set": name}
    try:
        if is_rows:
            listed = answer(ray.get(remote(list_rows)(images, columns, lists, shard_images, parts_of)))
        else:
            place = Place(images, filesystem)
            listed = answer(ray.get(remote(list_images)(place, options, lists, shard_images, parts_of)))
        job = Job(model, model_options, None if is_rows else place, base, options, listed, stats_only, store_dtype,
                  slices, shard_images, listed.parts, on_error, max(1, int(cpus)))
        least = workers[0] if isinstance(workers, tuple) else workers or 1
        pool = _Pool(cloudpickle.dumps(job), min(least, job.parts), min(most, job.parts), {"num_cpus": cpus, "num_gpus": gpus})
        run = _Run(job, images if is_rows else None, image, pool)
        try:
            if whole:
                said = final.read_json(MANIFEST)
                _compare(_what(job, run.identity()), _of_manifest(said, slices), final.address)
                return Decomposed(final.address, said["images"], len(said["shards"]), len(said.get("skipped", [])),
                                  said["certificate"]["max"], time.monotonic() - start, True)
            with shown(progress) as told:
                said = run.all(told)
        except Error as error:
            made = len(_recorded(base))
            if not made or whole:
                raise
            raise type(error)(f"{error}; {made} of {job.parts} parts are done and stay in {base.address}: run again "
                              "with resume=True") from error
        finally:
            run.close()
    finally:
        if whole or not _recorded(base):  # nothing in it is of use to a later run
            lists.delete_folder("" if lists.is_local else WORK)
    clean(base)
    if final.is_local:
        os.rename(base.path, final.path)
    _warn(listed, said, run.losses)
    return Decomposed(final.address, said["images"], said["shards"], said["skipped"], said["certificate"],
                      time.monotonic() - start)


def _warn(listed: Listed, said: Mapping[str, Any], losses: collections.Counter[str]) -> None:
    lines = list(listed.notes)
    if count := said["skipped"]:
        lines.append(f"{count} of {listed.images} pictures could not be read and {'is' if count == 1 else 'are'} left "
                     f"out; the first: {said['first_skipped']}")
    if losses["incomplete"]:
        lines.append(f"{losses['incomplete']} pictures lack attributes that could not be read")
    if losses["oriented"]:
        lines.append(f"{losses['oriented']} pictures carry an EXIF orientation that was left alone, as in the reference; "
                     "exif_orientation=True turns them")
    for line in lines:
        warnings.warn(line, LossWarning, stacklevel=3)


def _most(workers: int | tuple[int, int] | None, cpus: float, gpus: float, is_rows: bool) -> int:
    """How many workers there may be."""
    resources = ray.cluster_resources()
    # Rows are read by a CPU beside those of the workers.
    free = resources.get("CPU", 1) - (1 if is_rows else 0)
    room = int(free // cpus) if cpus else int(free) or 1
    if gpus:
        room = min(room, int(resources.get("GPU", 0) // gpus))
    if workers is None:
        if room < 1:
            raise Exhausted(f"the cluster has {resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs, and one "
                            f"worker needs {cpus:g} and {gpus:g}{', beside a CPU that reads' if is_rows else ''}; say "
                            "cpus=, gpus=, or workers= for a cluster that grows")
        return room
    least, most = (workers, workers) if isinstance(workers, int) else workers
    if not 1 <= least <= most:
        raise InvalidArgument(f"workers: {workers}; a number from 1 on, or the least and the most")
    return most


class _Run:
    """One run: what is to do, what is under way."""

    def __init__(self, job: Job, dataset: Any, column: str, pool: _Pool) -> None:
        self._job, self._pool, self._dataset, self._column = job, pool, dataset, column
        self._packed = pool._job
        self._identity: dict[str, Any] | None = None
        self.losses: collections.Counter[str] = collections.Counter()

    def identity(self) -> dict[str, Any]:
        """What the model is, from the first worker."""
        while self._identity is None:
            self._pool.grow(1)
            ready, _ = ray.wait(list(self._pool.starting), num_returns=1, timeout=10)
            self._pool.tell()
            if ready:
                self._identity = self._pool.began(ready[0])
        return self._identity

    def close(self) -> None:
        self._pool.close()

    def _check(self) -> None:
        """Notes what the run is of, or compares it with what is noted."""
        base = self._job.base
        what = _what(self._job, self.identity())
        if base.kind(RUN):
            _compare(what, base.read_json(RUN)["run"], base.address)
        else:
            base.write(RUN, json.dumps({"parts": self._job.parts, "run": what}, indent=1).encode())

    def all(self, told: Progress | None) -> dict[str, Any]:
        """Does everything; returns what the manifest says."""
        job = self._job
        self._check()
        sums = _Sums(job.base, job.parts)
        done = [whole and sums.has(number) for number, whole in enumerate(self._whole())]
        waiting = collections.deque(self._waiting(done))
        flying: dict[Any, Any] = {}
        lost: collections.Counter[int] = collections.Counter()
        rounds: collections.Counter[int] = collections.Counter()
        images = sum(job.images_of(number) for number, is_done in enumerate(done) if is_done)

        def add(next_sum: tuple[int, int, list[int]] | None) -> None:
            if next_sum is not None:
                flying[remote(add_sums)(job.base, *next_sum)] = ("sum", next_sum)

        while waiting or flying:
            self._pool.grow(len(waiting))
            while waiting and self._pool.idle:
                number, rows = waiting.popleft()
                rows = rows() if callable(rows) else rows
                worker = self._pool.take()
                ref = worker.make.remote(number, not sums.has(number), rows)
                flying[ref] = ("part", number, rows, worker)
            ready, _ = ray.wait([*flying, *self._pool.starting], num_returns=1, timeout=10)
            for ref in ready:
                if ref in self._pool.starting:
                    self._pool.began(ref)
                    continue
                kind, *about = flying.pop(ref)
                if kind == "sum":
                    ray.get(ref)
                    add(sums.added(*about[0]))
                elif kind == "killers":
                    number, rows = about
                    answer(ray.get(ref))
                    rounds[number] += 1
                    if rounds[number] >= ROUNDS:
                        raise Exhausted(f"part {number}: its worker was lost {LOSSES * ROUNDS} times, and no picture "
                                        "alone is why; give workers more memory, or look at Ray's log")
                    waiting.appendleft((number, rows))
                else:
                    number, rows, worker = about
                    try:
                        said = answer(ray.get(ref))
                    except exceptions.RayTaskError as error:
                        # A disk or a bucket that failed is asked again.
                        lost[number] += 1
                        if not isinstance(error, OSError) or lost[number] >= LOSSES:
                            raise
                        self._pool.back(worker, lost=False)
                        waiting.appendleft((number, rows))
                        continue
                    except _LOST:
                        self._pool.back(worker, lost=True)
                        lost[number] += 1
                        if lost[number] % LOSSES == 0:
                            flying[remote(find_killers, num_gpus=self._pool.gpus)(self._packed, number, rows)] = ("killers", number, rows)
                        else:
                            waiting.appendleft((number, rows))
                        continue
                    self._pool.back(worker, lost=False)
                    images += job.images_of(number)
                    for key in ("oriented", "incomplete"):
                        found = said.get(key, 0)
                        self.losses[key] += found if isinstance(found, int) else len(found)
                    if not sums.has(number):
                        add(sums.add(0, number))
                    if told is not None:
                        told("decompose", images, job.listed.images)
        return dict(answer(ray.get(remote(finish)(job.base, job.parts, sorted(sums.there)))))

    def _whole(self) -> list[bool]:
        """Which parts are done and whole."""
        base = self._job.base
        recorded = _recorded(base)
        whole = [False] * self._job.parts
        refs = [remote(whole_parts)(base, recorded[i:i + LOOKED_AT]) for i in range(0, len(recorded), LOOKED_AT)]
        for ref in refs:
            for number in ray.get(ref):
                whole[number] = True
        return whole

    def _waiting(self, done: Sequence[bool]) -> Iterator[tuple[int, Any]]:
        left = [number for number in range(self._job.parts) if not done[number]]
        if self._dataset is None:
            return ((number, None) for number in left)
        feeder = ray.remote(Feeder).options(num_cpus=0).remote(
            self._dataset, self._column, [self._job.images_of(number) for number in range(self._job.parts)], done)
        return ((number, feeder.next.remote) for number in left)


def _recorded(base: Place) -> list[int]:
    """The parts whose records are there."""
    return sorted(int(name[5:-5]) for name in base.files(WORK) if name.startswith("part-") and name.endswith(".json"))
