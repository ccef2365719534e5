"""Sets of pictures as lists, one for each part: what workers need to know of them."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import posixpath
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .. import _core
from .._pictures import encoded
from ..errors import Error, Internal, NotFound
from ._places import REQUESTS, Place

WORK = "work"  # the folder of what is kept until the store is complete
BLOCK = 512  # of a tar archive
KEPT = 1 << 20  # bytes of a member that may say something of a picture
TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".mat")
SIGNATURE = 64  # bytes by which a picture is known that has no ending


@dataclasses.dataclass
class SetOptions:
    """How a set of pictures is opened; as the options of ``decompose``."""

    split: str = ""
    path_column: str = ""
    allow_absolute: bool = False
    exif_orientation: bool = False
    skip_errors: bool = False


@dataclasses.dataclass
class Listed:
    """What is known of a set once it is listed: its entry in a manifest, its number of pictures, what is to be
    said of it, and whether workers must open it themselves, since its pictures are not files."""

    source: str
    images: int
    parts: int
    notes: list[str]
    opened: bool


# Of the number of shards, the number of parts.
PartsOf = Callable[[int], int]


def part_begin(images: int, shard_images: int, parts: int, number: int) -> int:
    """The first picture of a part of a set, as ``--shard`` splits it: whole shards."""
    shards = -(-images // shard_images)
    return min(images, number * shards // parts * shard_images)


def list_name(number: int) -> str:
    return f"{WORK}/list-{number:05d}.jsonl"


def open_set(images: str, options: SetOptions) -> _core.Pictures:
    """A set on this machine."""
    return _core.Pictures(encoded(images), options.split, options.path_column, options.allow_absolute,
                          options.exif_orientation, options.skip_errors)


def list_set(images: Place, options: SetOptions, base: Place, shard_images: int, parts_of: PartsOf) -> Listed:
    """Lists a set into ``base``. One at an address is listed by its names and tables; its pictures stay there."""
    if images.is_local:
        return write_lists(open_set(images.path, options), base, shard_images, parts_of, "", "")
    with tempfile.TemporaryDirectory(prefix="cliplens-") as folder:
        root = pathlib.Path(folder) / (posixpath.basename(images.path) or "set")
        try:
            outline(images, root)
            front = root if root.is_dir() else root.parent
            return write_lists(open_set(str(root), options), base, shard_images, parts_of, images.address, str(front))
        except Error as error:
            # What the outline lacks or has wrong is so at the address.
            raise type(error)(str(error).replace(str(root), images.address)) from error


def write_lists(pictures: _core.Pictures, base: Place, shard_images: int, parts_of: PartsOf, address: str,
                front: str) -> Listed:
    """Writes the list of each part of a set. It was listed at ``front`` if it lies at an address."""
    count = len(pictures)
    parts = parts_of(-(-count // shard_images))

    def write(number: int) -> bool:
        begin, end = (part_begin(count, shard_images, parts, n) for n in (number, number + 1))
        base.write(list_name(number), pictures.lines(begin, end, encoded(front)))
        return pictures.are_files(begin, end)

    with ThreadPoolExecutor(1 if base.is_local else REQUESTS) as pool:
        opened = not all(list(pool.map(write, range(parts))))
    if opened and address:
        raise NotFound(f"{address}: its pictures are not files, and such a set is read on this machine alone; copy it "
                       "first (python -m cliplens.ray copy)")
    return Listed(pictures.describe(shard_images, encoded(address)), count, parts, pictures.notes, opened)


def outline(place: Place, root: pathlib.Path) -> None:
    """The names of what lies at an address as empty files, with tables and the headers of archives as they are."""
    kind = place.kind()
    if not kind:
        raise NotFound(f"{place.address}: is not there; name a picture, a folder of pictures, .tar shards or a table of "
                       "pictures")
    if kind == "file":
        _outline_file(place.parent(), posixpath.basename(place.path), root, whole=True)
        return
    root.mkdir()
    files = place.files(recursive=True)
    with ThreadPoolExecutor(REQUESTS) as pool:
        for _ in pool.map(lambda name: _outline_file(place, name, root / name, whole="/" not in name), files):
            pass


def _outline_file(place: Place, name: str, to: pathlib.Path, whole: bool) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    base = posixpath.basename(name)
    ending = posixpath.splitext(base)[1].lower()
    if ending == ".tar":
        outline_tar(place, name, to)
    elif (ending in (*TABLES, ".txt") and whole) or base.startswith("metadata."):
        place.get(name, to)
    elif not ending:
        with place.filesystem.open_input_stream(place.at(name)) as stream:
            to.write_bytes(stream.read(SIGNATURE))
    else:
        to.touch()


class _Ahead:
    """Reads a file at an address in large pieces."""

    PIECE = 4 << 20

    def __init__(self, file: Any, size: int) -> None:
        self._file, self.size = file, size
        self._begin, self._bytes = 0, b""

    def read(self, offset: int, count: int) -> bytes:
        count = max(0, min(count, self.size - offset))
        if not self._begin <= offset <= offset + count <= self._begin + len(self._bytes):
            self._begin = offset
            self._bytes = bytes(self._file.read_at(max(count, min(self.PIECE, self.size - offset)), offset))
        return self._bytes[offset - self._begin:offset - self._begin + count]


def _number(field: bytes) -> int:
    """A number of a tar header: octal text, or binary with the highest bit set. Raises ValueError."""
    if field and field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.split(b"\0", 1)[0].strip()
    return int(text, 8) if text else 0


def _pax_size(content: bytes) -> int | None:
    """What an extended header says of the size of the member behind it."""
    size = None
    while content:
        length, _, rest = content.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(content):
            break
        key, _, value = rest[:int(length) - len(length) - 1].partition(b"=")
        if key == b"size":
            size = int(value)
        content = content[int(length):]
    return size


def outline_tar(place: Place, name: str, to: pathlib.Path) -> None:
    """An archive with holes for its pictures: headers, texts and the beginnings of members are as they are. From a
    damaged header on it is copied whole, so that what is wrong can be said."""
    with place.filesystem.open_input_file(place.at(name)) as file, open(to, "wb") as out:
        source = _Ahead(file, file.size())
        out.truncate(source.size)

        def keep(offset: int, count: int) -> bytes:
            content = source.read(offset, count)
            out.seek(offset)
            out.write(content)
            return content

        offset, extended = 0, None
        while offset < source.size:
            header = keep(offset, BLOCK)
            if not header.strip(b"\0"):
                offset += BLOCK
                continue
            try:
                size = _number(header[124:136])
                if len(header) < BLOCK or _number(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * 32:
                    raise ValueError
                if header[156:157] in (b"x", b"g", b"L", b"K"):
                    content = keep(offset + BLOCK, size)
                    if header[156:157] == b"x":
                        extended = _pax_size(content)
                else:
                    size, extended = size if extended is None else extended, None
                    keep(offset + BLOCK, size if size <= KEPT and _says_something(header) else min(size, SIGNATURE))
            except ValueError:
                while offset < source.size:
                    offset += len(keep(offset, source.PIECE))
                return
            offset += BLOCK + -(-size // BLOCK) * BLOCK


def _says_something(header: bytes) -> bool:
    """Whether a member by this header may be a text about a picture; long names are cut in it."""
    name = header[:100].rstrip(b"\0").lower()
    return len(name) >= 99 or name.endswith((b".json", b".cls", b".txt"))


class Reader:
    """Reads the pictures of a part at an address, some of them ahead."""

    AHEAD = 128

    def __init__(self, place: Place, begin: int, lines: bytes) -> None:
        self._place = place
        self._begin = begin
        self._pictures = [json.loads(line) for line in lines.splitlines()]
        self._pool = ThreadPoolExecutor(REQUESTS)
        self._coming = {i: self._pool.submit(self._read, i) for i in range(min(self.AHEAD, len(self._pictures)))}

    def __call__(self, index: int) -> bytes:
        i = index - self._begin
        ahead = i + self.AHEAD
        if ahead < len(self._pictures) and ahead not in self._coming:
            self._coming[ahead] = self._pool.submit(self._read, ahead)
        coming = self._coming.pop(i, None)
        return coming.result() if coming is not None else self._read(i)

    def _read(self, i: int) -> bytes:
        picture = self._pictures[i]
        try:
            return self._place.read_piece(os.fsdecode(_core.raw_name(picture["below"])), picture.get("offset"), picture.get("size"))
        except Error:
            raise
        except Exception as error:
            raise Internal(f"{picture['path']}: cannot be read: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def rows_of(dataset: Any, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a ``ray.data.Dataset`` in its order."""
    dataset.context.execution_options.preserve_order = True
    return iter(dataset.select_columns(columns).iter_rows())
