"""Parity with the public reference: open_clip, transformers, Pillow, and the definitions in fp64.

    python -m pytest tests/parity --cliplens=build/release/bin/cliplens

Every comparison states what was measured and what is allowed; the table stands at the end of the
run and in build/parity.json.
"""

from __future__ import annotations

import importlib.metadata
import json
import pathlib
import platform
import subprocess
import tarfile

import numpy as np
import pytest
import torch

import models
import odd_pictures

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "open_clip_torch", "transformers", "pillow", "torchvision", "ftfy", "numpy")
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


def pytest_addoption(parser):
    parser.addoption("--cliplens", default=str(ROOT / "build/release/bin/cliplens"),
                     help="the program to test")


class Program:
    """The program as a user runs it."""

    def __init__(self, path: str):
        self.path = path

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


MEASURED = Measured()


@pytest.fixture(scope="session")
def measured() -> Measured:
    return MEASURED


@pytest.fixture(scope="session")
def cliplens(request) -> Program:
    path = request.config.getoption("--cliplens")
    if not pathlib.Path(path).is_file():
        pytest.fail(f"{path}: no such program; build it first or give --cliplens=PATH")
    return Program(path)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("parity")


@pytest.fixture(scope="session")
def model_folders(folder) -> dict[str, pathlib.Path]:
    """The random models and the shipped one."""
    torch.manual_seed(0)
    return models.write_models(folder / "models") | {SHIPPED: ROOT / "models" / SHIPPED}


@pytest.fixture(scope="session")
def all_pictures(folder) -> pathlib.Path:
    out = folder / "all_pictures"
    out.mkdir()
    for name, data in odd_pictures.pictures(PICTURE_SEED):
        (out / name).write_bytes(data)
    return out


@pytest.fixture(scope="session")
def odd_folder(folder, all_pictures) -> pathlib.Path:
    """Sixteen pictures of different kinds."""
    out = folder / "odd"
    out.mkdir()
    for name in ODD:
        (out / name).write_bytes((all_pictures / name).read_bytes())
    return out


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


@pytest.fixture(scope="session")
def world_folder(folder) -> pathlib.Path:
    return unpack_world(folder / "world", 300)


@pytest.fixture(scope="session")
def stores(cliplens, folder, model_folders, odd_folder, world_folder):
    """Stores by model and pictures, each made once: (directory, what decompose printed)."""
    made = {}

    def store(model: str, pictures: str, *options: str) -> tuple[pathlib.Path, dict]:
        key = (model, pictures, *options)
        if key not in made:
            out = folder / ("store-" + "-".join(key).replace("--", ""))
            images = dict(odd=odd_folder, world=world_folder)[pictures]
            made[key] = out, cliplens.json("decompose", model_folders[model], "--images", images,
                                           "--out", out, *options)
        return made[key]

    return store


@pytest.fixture(scope="session")
def exports(cliplens, folder, stores):
    """The arrays that `export` writes of a store."""
    made = {}

    def export(*key: str) -> dict[str, np.ndarray]:
        if key not in made:
            out = folder / ("export-" + "-".join(key).replace("--", ""))
            cliplens("export", stores(*key)[0], "--format", "npy", "--out", out)
            made[key] = {name: np.load(out / f"{name}.npy")
                         for name in ("attn", "mlp", "cls_attn", "embedding")}
        return made[key]

    return export


def versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return found | {"python": platform.python_version()}


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    if not MEASURED.rows:
        return
    out = ROOT / "build" / "parity.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(dict(versions=versions(), measured=MEASURED.rows), indent=1) + "\n")
    write = terminalreporter.write_line
    terminalreporter.section("parity")
    write(", ".join(f"{name} {version}" for name, version in versions().items()))
    width = max(len(row["what"]) for row in MEASURED.rows)
    for row in MEASURED.rows:
        limit = f"{row['is_limit']} {row['limit']:g}" if "limit" in row else ""
        value = f"{row['measured']:.9f}" if row.get("is_limit") == "at least" else (
            f"{row['measured']:.3g}" if row["measured"] < 1 else f"{row['measured']:g}")
        write(f"{row['what']:<{width}}  {value:>11}  {limit}".rstrip())
    write(f"written to {out.relative_to(ROOT)}")
