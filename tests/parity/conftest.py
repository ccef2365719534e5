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

import numpy as np
import pytest
import torch

import layouts
import models
import odd_pictures
from harness import MEASURED, ODD, PICTURE_SEED, ROOT, SHIPPED, Measured, Program, unpack_world

PACKAGES = ("torch", "open_clip_torch", "transformers", "pillow", "torchvision", "ftfy", "numpy",
            "scikit-learn", "scipy")


def pytest_addoption(parser):
    parser.addoption("--cliplens", default=str(ROOT / "build/release/bin/cliplens"),
                     help="the program to test")
    parser.addoption("--write", type=pathlib.Path, metavar="FILE",
                     help="write what was measured as a page of Markdown: docs/parity.md")


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


def markdown() -> str:
    """What was measured, as docs/parity.md."""
    found = versions()
    lines = [
        "# Parity", "",
        "Written by `make parity`, which compares the program with the public references in an "
        "environment of its own:",
        ", ".join(f"{name} {version}" for name, version in found.items()) + ".", "",
        "Weights are random with the scales of trained ones; every run makes the same.", ""]
    if MEASURED.layouts:
        lines += [
            "## Layouts", "",
            "Largest difference of unit embeddings, images / texts, from the layout's own library "
            "(open_clip; transformers' CLIPModel;",
            "open_clip's loader of OpenAI's archives); 2e-5 is allowed, and a cosine of 0.99999. "
            "All layouts of a row have one fingerprint.",
            "Layers are cut to one or two where not said otherwise; all other sizes are the "
            "architecture's. A dash: the layout",
            "cannot hold this architecture, or was left out for a large one.", ""]
        titles = [layout.title for layout in layouts.LAYOUTS]
        lines += ["| architecture | " + " | ".join(titles) + " |",
                  "|---" * (len(titles) + 1) + "|"]
        for architecture, row in MEASURED.layouts.items():
            cells = [f"{row[t][0]:.0e} / {row[t][1]:.0e}" if t in row else "–" for t in titles]
            lines.append(f"| {architecture} | " + " | ".join(cells) + " |")
        lines.append("")
    if MEASURED.rows:
        lines += ["## Stages", "", "| what | measured | allowed |", "|---|---|---|"]
        for row in MEASURED.rows:
            value = (f"{row['measured']:.9f}" if row.get("is_limit") == "at least" else
                     f"{row['measured']:.3g}" if row["measured"] < 1 else f"{row['measured']:g}")
            limit = f"{row['is_limit']} {row['limit']:g}" if "limit" in row else ""
            lines.append(f"| {row['what']} | {value} | {limit} |")
        lines.append("")
    return "\n".join(lines)


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    target = config.getoption("--write")
    if target is not None and exitstatus == 0:
        target.write_text(markdown())
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
