"""Directories on any file system that pyarrow knows: this machine's, s3://, gs://."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import posixpath
import shutil
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import CorruptData, NotFound
from ._untyped import fs

# Requests at once to a store of objects, whose answers take their time.
REQUESTS = 16


class Place:
    """A directory, or a file. ``address`` is a path or what ``pyarrow.fs.FileSystem.from_uri`` takes; with
    ``filesystem`` it is a path of that."""

    def __init__(self, address: str | os.PathLike[str], filesystem: Any = None) -> None:
        self.address = os.fspath(address)
        if filesystem is not None:
            self.filesystem, path = filesystem, self.address
        elif "://" in self.address:
            self.filesystem, path = fs.FileSystem.from_uri(self.address)
        else:
            self.filesystem, path = fs.LocalFileSystem(), os.path.abspath(self.address)
        self.path = path.rstrip("/") or "/"
        self.is_local = isinstance(self.filesystem, fs.LocalFileSystem)
        if self.is_local:
            self.address = self.path

    def __repr__(self) -> str:
        return f"Place({self.address!r})"

    def at(self, name: str) -> str:
        """The path of a file in it, for its file system."""
        return posixpath.join(self.path, name)

    def beside(self, ending: str) -> Place:
        """The directory of the same name with an ending."""
        return Place(self.path + ending, self.filesystem)

    def parent(self) -> Place:
        """The directory that it is in."""
        return Place(posixpath.dirname(self.path), self.filesystem)

    def make(self) -> None:
        """Makes the directory and those above it."""
        self.filesystem.create_dir(self.path, recursive=True)

    def kind(self, name: str = "") -> str:
        """``"file"``, ``"directory"`` or ``""`` for what is not there."""
        info = self.filesystem.get_file_info(self.at(name) if name else self.path)
        return {fs.FileType.File: "file", fs.FileType.Directory: "directory"}.get(info.type, "")

    def files(self, folder: str = "", recursive: bool = False) -> dict[str, int]:
        """Names and sizes of the files in a folder, relative to it; none where it is not there."""
        path = self.at(folder) if folder else self.path
        found = self.filesystem.get_file_info(
            fs.FileSelector(path, allow_not_found=True, recursive=recursive))
        return {posixpath.relpath(info.path, path): info.size for info in found if info.is_file}

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises NotFound."""
        try:
            with self.filesystem.open_input_stream(self.at(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError as error:
            raise NotFound(f"{posixpath.join(self.address, name)}: is not there") from error

    def read_json(self, name: str) -> dict[str, Any]:
        """A file that is a JSON object. Raises NotFound and CorruptData."""
        try:
            value = json.loads(self.read(name))
            if isinstance(value, dict):
                return value
        except ValueError:
            pass
        raise CorruptData(f"{posixpath.join(self.address, name)}: is damaged; remove {self.address} and begin again")

    def read_piece(self, name: str, offset: int | None = None, size: int | None = None) -> bytes:
        """A file, or a piece of it."""
        if offset is None or size is None:
            return self.read(name)
        with self.filesystem.open_input_file(self.at(name)) as file:
            return bytes(file.read_at(size, offset))

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, whole or not at all."""
        if not self.is_local:  # an object appears when it is complete
            with self.filesystem.open_output_stream(self.at(name)) as stream:
                stream.write(content)
            return
        hidden = f"{self.at(name)}.{uuid.uuid4().hex}"
        try:
            with open(hidden, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(hidden, self.at(name))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(hidden)

    def put(self, name: str, file: str | os.PathLike[str]) -> None:
        """Moves a file of this machine here. One that lies on the same file system is renamed."""
        if self.is_local:
            hidden = f"{self.at(name)}.{uuid.uuid4().hex}"
            try:
                shutil.move(os.fspath(file), hidden)
                os.replace(hidden, self.at(name))
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(hidden)
            return
        with open(file, "rb") as source, self.filesystem.open_output_stream(self.at(name)) as stream:
            shutil.copyfileobj(source, stream, 1 << 22)
        os.unlink(file)

    def get(self, name: str, file: str | os.PathLike[str]) -> None:
        """Copies a file to this machine."""
        try:
            with self.filesystem.open_input_stream(self.at(name)) as stream, open(file, "wb") as to:
                shutil.copyfileobj(stream, to, 1 << 22)
        except FileNotFoundError as error:
            raise NotFound(f"{posixpath.join(self.address, name)}: is not there") from error

    def get_all(self, names: Iterable[tuple[str, pathlib.Path]]) -> None:
        """Copies files to this machine, several at once."""
        with ThreadPoolExecutor(REQUESTS) as pool:
            for _ in pool.map(lambda one: self.get(*one), names):
                pass

    def move(self, name: str, to: str) -> None:
        """Renames a file in it."""
        self.filesystem.move(self.at(name), self.at(to))

    def delete(self, name: str) -> None:
        """Removes a file, also one that is gone already."""
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_file(self.at(name))

    def delete_folder(self, name: str) -> None:
        """Removes a folder and what is in it."""
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_dir(self.at(name))


def copy(source: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Copies a store, or any folder, from or to an address: ``copy("s3://bucket/store", "store")``.

    Raises NotFound where nothing is at the source.
    """
    begin, end = Place(source), Place(out)
    if not begin.kind():
        raise NotFound(f"{begin.address}: is not there")
    end.make()
    fs.copy_files(begin.path, end.path, source_filesystem=begin.filesystem,
                          destination_filesystem=end.filesystem)
