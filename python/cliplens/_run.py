"""Runs verbs: arguments and options to the command line's own code, its JSON to results."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import _core
from ._pictures import as_pictures, encoded
from ._tables import Result
from .errors import InvalidArgument, LossWarning, Precondition

Progress = Callable[[str, int, int], None]

_process = os.getpid()


def check_process() -> None:
    """Raises in a process that was forked: the threads of its parent are not in it."""
    if os.getpid() != _process:
        raise Precondition("this process was forked from one that had loaded cliplens, whose threads it lacks; "
                           "start it by 'spawn' (multiprocessing.get_context('spawn')), or import cliplens in it "
                           "alone")


class _Bar:
    """A bar of tqdm for each stage."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make, self._stage = make, ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._bar is None or stage != self._stage:
            self.close()
            self._stage, self._bar = stage, self._make(total=total, desc=stage or None, leave=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


@contextlib.contextmanager
def shown(progress: Progress | bool | None) -> Iterator[Progress | None]:
    """The function that is told of progress: the one given; by default a bar where tqdm is installed and
    somebody looks, a terminal or a notebook."""
    if callable(progress):
        yield progress
        return
    if progress is False or (progress is None and not (_in_notebook() or sys.stderr.isatty())):
        yield None
        return
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        yield None
        return
    bar = _Bar(tqdm)
    try:
        yield bar
    finally:
        bar.close()


class Files:
    """Values of options as files: lists of lines, results and pictures in memory; they go when this ends."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._kept: list[Any] = []

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def path(self, name: str) -> str:
        """A path that nothing has."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cliplens-")
        folder = pathlib.Path(self._folder.name) / str(len(self._kept))
        folder.mkdir()
        self._kept.append(None)
        return str(folder / name)

    def _write(self, name: str, text: str) -> str:
        path = self.path(name)
        pathlib.Path(path).write_text(text, encoding="utf-8")
        return path

    def value(self, option: str, value: Any) -> str:
        if isinstance(value, Result):
            return self._write(f"{option}.json", value.as_file())
        if hasattr(value, "_handle"):
            return str(value._handle)
        if option in IMAGES and not isinstance(value, (str, os.PathLike)):
            opened = as_pictures(value)._open()
            self._kept.append(opened)
            return str(opened.name)
        if option in LINES and isinstance(value, Mapping):
            return self._write(f"{option}.txt", "".join(f"{_line(k)}\t{_line(v)}\n" for k, v in value.items()))
        if option in LINES and isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            return self._write(f"{option}.txt", "".join(f"{_line(v)}\n" for v in value))
        if isinstance(value, (list, tuple)):
            return ",".join(str(v) for v in value)
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        return os.fsdecode(value) if isinstance(value, bytes) else str(value)


def _line(value: Any) -> str:
    text = str(value)
    if "\n" in text or "\r" in text:
        raise InvalidArgument(f"{text!r}: a text with a line break; there is one text a line")
    return text


def arguments(verb: str, positionals: Sequence[tuple[str, Any]], options: Mapping[str, Any],
              files: Files) -> list[str]:
    """The command line of a call. Options that are None or False are left out."""
    words = verb.split()
    for name, value in positionals:
        many = value if isinstance(value, (list, tuple)) else [value]
        for one in many:
            text = files.value(name, one)
            words.append(f"./{text}" if text.startswith("-") else text)
    for name, value in options.items():
        if value is None or value is False:
            continue
        option = "--" + name.rstrip("_").replace("_", "-")
        if value is True:
            words.append(option)
        elif name in REPEATED.get(verb, ()) and isinstance(value, (list, tuple)):
            words += [f"{option}={files.value(name, v)}" for v in value]
        else:
            words.append(f"{option}={files.value(name, value)}")
    return words


# What is to be known of verbs and options; _verbs.py fills it in. Options that may be given several times, by verb;
# options whose file may be given as the lines in it; options of pictures.
REPEATED: dict[str, tuple[str, ...]] = {}
LINES: set[str] = set()
IMAGES: set[str] = set()
# Verbs whose file other verbs read: it is kept with the result. An edit that is suggested is written when it is
# used, since there may be none.
KEPT: set[str] = set()
WRITTEN_LATER = {"edit suggest"}
# Verbs that have --level and --model.
WITH_LEVEL: set[str] = set()
WITH_MODEL: set[str] = set()


def _written(verb: str, positionals: Sequence[tuple[str, Any]], options: Mapping[str, Any]) -> str:
    """The file that a verb writes."""
    with Files() as files:
        out = files.path("kept.json")
        run(verb, positionals, {**options, "out": out}, progress=False)
        return pathlib.Path(out).read_text(encoding="utf-8")


def run(verb: str, positionals: Sequence[tuple[str, Any]], options: Mapping[str, Any], *,
        progress: Progress | bool | None = None, files: Files | None = None) -> Result:
    """Runs a verb with ``--json`` and gives its JSON. Warnings are ``LossWarning``; problems that a verb finds
    (``verify``) are in its result."""
    check_process()
    with contextlib.nullcontext(files) if files is not None else Files() as held, shown(progress) as told:
        kept = None
        if verb in KEPT and options.get("out") is None:
            kept = held.path("kept.json")
            options = {**options, "out": kept}
        words = arguments(verb, positionals, options, held)
        text, problems = _core.run([encoded(word) for word in [*words, "--json"]], told)
        file: str | Callable[[], str] | None = None
        if kept is not None:
            file = pathlib.Path(kept).read_text(encoding="utf-8")
        elif verb in WRITTEN_LATER:
            def file() -> str:
                return _written(verb, positionals, options)
    for problem in problems:
        warnings.warn(problem, LossWarning, stacklevel=4)
    return Result(json.loads(text) if text.strip() else {}, text.rstrip("\n"), file)
