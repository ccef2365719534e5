"""Compares decoded pictures with Pillow: every pixel in the picture's own mode, in RGB, and laid on
white.

    python tests/compare_pictures.py --decoder build/release/bin/picture_pixels FOLDER...
    python tests/compare_pictures.py --decoder build/release/bin/picture_pixels --of-pillow --of-pngsuite

Prints a table of how many pictures of each kind are read and equal to Pillow, how many differ, and
how many only one of the two reads; then the names of those that differ. Any file that Pillow opens
counts as a picture, whatever its name. With --of-pillow the pictures are those of Pillow's own tests,
from its source package, which pip downloads (47 MB); with --of-pngsuite they are PngSuite's, from
Debian's source package of libpng, which apt downloads (11 MB with the list of packages). Needs Pillow; for
HEIC pillow-heif. Exits with 1 if a picture differs.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
import PIL
from PIL import Image

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pillow_heif = None

# What happens to a picture, in the order of the table's columns.
EQUAL, DIFFERENT, OURS_ALONE, PILLOW_ALONE, REFUSED = (
    "equal", "differ", "only cliplens reads", "only Pillow reads", "refused by both")
OUTCOMES = [EQUAL, DIFFERENT, OURS_ALONE, PILLOW_ALONE, REFUSED]

# Modes of ours and of Pillow that say the same in other words: an indexed TIFF with alpha, a grey HEIC.
SAME_IN_RGB = [("RGBA", "PA"), ("RGB", "L")]


@dataclasses.dataclass
class Decoded:
    """What a program makes of a picture; `error` if it refuses it."""

    mode: str = ""
    size: tuple[int, int] = (0, 0)
    pixels: bytes = b""
    rgb: bytes = b""
    on_white: bytes = b""
    orientation: int = 1
    error: str = ""


def decode(decoder: str, paths: Iterable[pathlib.Path], arguments: Iterable[str] = ()) -> Iterator[Decoded]:
    """The pictures as cliplens decodes them."""
    paths = list(paths)
    for number, path in enumerate(paths):
        if b"\n" in os.fsencode(path):
            raise ValueError(f"picture {number}: its name holds a line end")
    with subprocess.Popen([decoder, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for path in paths:
            process.stdin.write(os.fsencode(path) + b"\n")
            process.stdin.flush()
            head = process.stdout.readline()
            if not head:
                raise RuntimeError(f"{path}: the decoder ended with status {process.wait()}")
            if head.startswith(b"refused "):
                yield Decoded(error=head[8:].decode().strip())
                continue
            mode, width, height, orientation, size = head.split()
            data = process.stdout.read(int(size))
            count = int(width) * int(height)
            own = len(data) - 6 * count
            yield Decoded(mode.decode(), (int(width), int(height)), data[:own], data[own:own + 3 * count],
                          data[own + 3 * count:], int(orientation))
        process.stdin.close()


def decode_with_pillow(path: pathlib.Path) -> Decoded:
    """The picture as Pillow opens it, converts it, and lays it on white as transformers 5 does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                image.load()
                return from_pillow(image)
    except Exception as error:  # noqa: BLE001: Pillow's plugins raise whatever comes to them
        return Decoded(error=f"{type(error).__name__}: {error}")


def from_pillow(image: Image.Image) -> Decoded:
    mode = {"I;16B": "I;16", "I;16L": "I;16"}.get(image.mode, image.mode)
    if mode == "1":
        pixels = (np.asarray(image) * np.uint8(255)).tobytes()
    else:
        array = np.asarray(image)
        if mode == "LAB":
            array = array ^ np.array([0, 128, 128], np.uint8)  # signed here, offset within
        pixels = array.astype(array.dtype.newbyteorder("=")).tobytes()
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    white.alpha_composite(rgba)
    return Decoded(mode, image.size, pixels, image.convert("RGB").tobytes(), white.convert("RGB").tobytes(),
                   image.getexif().get(0x0112, 1))


def difference(ours: Decoded, pillow: Decoded) -> str:
    """In what the two differ; empty if they are equal."""
    if ours.size != pillow.size:
        return f"size {ours.size} instead of {pillow.size}"
    names = ("pixels", "rgb", "on_white")
    if (ours.mode, pillow.mode) in SAME_IN_RGB:
        names = names[1:]
    elif ours.mode != pillow.mode:
        return f"mode {ours.mode} instead of {pillow.mode}"
    for name in names:
        mine, theirs = getattr(ours, name), getattr(pillow, name)
        if mine != theirs:
            if len(mine) != len(theirs):
                return f"{name}: {len(mine)} bytes instead of {len(theirs)}"
            off = np.abs(np.frombuffer(mine, np.uint8).astype(int) - np.frombuffer(theirs, np.uint8))
            return f"{name}: {np.count_nonzero(off)} of {len(off)} bytes, by at most {off.max()}"
    return ""


def outcome(ours: Decoded, pillow: Decoded) -> tuple[str, str]:
    """One of OUTCOMES, and why."""
    if ours.error:
        return (REFUSED, "") if pillow.error else (PILLOW_ALONE, ours.error)
    if pillow.error:
        return OURS_ALONE, pillow.error
    why = difference(ours, pillow)
    return (DIFFERENT, why) if why else (EQUAL, "")


def files_below(roots: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    found = []
    for root in roots:
        found += sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
    return found


def pillows_own_pictures(folder: pathlib.Path) -> pathlib.Path:
    """The pictures of Pillow's tests, of the version that is installed."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "pillow", "-d", folder,
                    f"pillow=={PIL.__version__}"], check=True)
    (package,) = folder.glob("*.tar.gz")
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("*/Tests/images"))


def pngsuites_pictures(folder: pathlib.Path) -> pathlib.Path:
    """PngSuite as Debian's libpng has it."""
    sources, lists = folder / "sources.list", folder / "lists"
    (lists / "partial").mkdir(parents=True)
    sources.write_text("deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
                       "http://deb.debian.org/debian bookworm main\n")
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-",
           "-o", f"Dir::State::lists={lists}", "-o", "APT::Sandbox::User=root"]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "source", "--download-only", "libpng1.6"], check=True, cwd=folder)
    (package,) = folder.glob("libpng1.6_*.orig.tar.*")
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("*/contrib/pngsuite"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decoder", required=True, help="the test program picture_pixels")
    parser.add_argument("--list", action="append", choices=OUTCOMES, help="name these files (default: differ)")
    parser.add_argument("--of-pillow", action="store_true", help="the pictures of Pillow's own tests")
    parser.add_argument("--of-pngsuite", action="store_true", help="PngSuite")
    parser.add_argument("paths", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.of_pillow:
            arguments.paths.append(pillows_own_pictures(pathlib.Path(folder)))
        if arguments.of_pngsuite:
            arguments.paths.append(pngsuites_pictures(pathlib.Path(folder)))
        if not arguments.paths:
            parser.error("name folders, or give --of-pillow or --of-pngsuite")
        return compare(arguments)


def compare(arguments: argparse.Namespace) -> int:
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    listed = []
    paths = files_below(arguments.paths)
    for path, ours in zip(paths, decode(arguments.decoder, paths)):
        what, why = outcome(ours, decode_with_pillow(path))
        counts[path.suffix.lower() or "(none)"][what] += 1
        if what in (arguments.list or [DIFFERENT]):
            listed.append(f"{what}: {path}: {why}")
    print(f"{'ending':12}" + "".join(f"{name:>21}" for name in OUTCOMES))
    for ending, row in [*sorted(counts.items()), ("all", sum(counts.values(), collections.Counter()))]:
        print(f"{ending:12}" + "".join(f"{row[name]:>21}" for name in OUTCOMES))
    print("\n".join(listed))
    return 1 if any(row[DIFFERENT] for row in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
