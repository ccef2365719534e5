"""What every parity test uses: the program, the table of measurements, the pictures."""

from __future__ import annotations

import json
import pathlib
import subprocess
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = "pictureworld"
PICTURE_SEED = 20240
# One of each kind that a decoder or the preprocessing treats differently.
ODD = (
    "jpeg-420-333x217.jpg", "jpeg-444-1x1.jpg", "jpeg-progressive-500x375.jpg",
    "jpeg-grey-63x129.jpg", "jpeg-cmyk-224x224.jpg", "jpeg-exif-6.jpg", "jpeg-thin-2x900.jpg",
    "jpeg-440-odd.jpg", "png-16-2-101x67.png", "png-4-3-240x240-interlaced.png",
    "png-8-6-101x67.png", "png-1-0-9x33.png", "png-mostly-clear.png", "png-thin-RGB-3000x7.png",
    "webp-lossy-301x224.webp", "webp-alpha-128x95.webp",
)


class Program:
    """The program as a user runs it."""

    def __init__(self, path: str):
        self.path = path

    def run(self, *arguments) -> subprocess.CompletedProcess:
        """Whatever its exit status."""
        return subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True)

    def __call__(self, *arguments) -> str:
        command = [self.path, *map(str, arguments)]
        run = subprocess.run(command, capture_output=True, timeout=600)
        assert run.returncode == 0, f"{' '.join(command)}: {run.stderr.decode(errors='replace')}"
        return run.stdout.decode()

    def json(self, *arguments) -> dict:
        return json.loads(self(*arguments, "--json"))


class Measured:
    """What was measured, beside what is allowed."""

    def __init__(self):
        self.rows: list[dict] = []
        self.layouts: dict[str, dict[str, tuple[float, float]]] = {}

    def at_most(self, what: str, value: float, limit: float) -> None:
        self.rows.append(dict(what=what, measured=float(value), limit=limit, is_limit="at most"))
        print(f"{what}: {value:.3g} (at most {limit:g})")
        assert value <= limit, f"{what}: {value:.3g} is more than {limit:g}"

    def at_least(self, what: str, value: float, limit: float) -> None:
        self.rows.append(dict(what=what, measured=float(value), limit=limit, is_limit="at least"))
        print(f"{what}: {value:.9g} (at least {limit:g})")
        assert value >= limit, f"{what}: {value:.9g} is less than {limit:g}"

    def note(self, what: str, value: float) -> None:
        """A figure that has no limit of its own."""
        self.rows.append(dict(what=what, measured=float(value)))
        print(f"{what}: {value:.3g}")

    def layout(self, architecture: str, layout: str, images: float, texts: float) -> None:
        """Largest differences of embeddings from the library of the layout."""
        self.layouts.setdefault(architecture, {})[layout] = (float(images), float(texts))
        print(f"{architecture}, {layout}: images {images:.2g}, texts {texts:.2g}")


MEASURED = Measured()


def unpack_world(out: pathlib.Path, count: int) -> pathlib.Path:
    """The first pictures of the picture world's test set."""
    out.mkdir()
    with tarfile.open(ROOT / "world/sets/test/test-000.tar") as tar:
        for member in tar:
            if member.name.endswith(".png") and ".mask." not in member.name:
                (out / member.name).write_bytes(tar.extractfile(member).read())
                if len(list(out.iterdir())) == count:
                    return out
    raise AssertionError(f"fewer than {count} pictures in the test set")
