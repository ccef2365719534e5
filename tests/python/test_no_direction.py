"""What has no direction is no answer: embeddings of length 0, activations that overflow, edits that
leave nothing. Every verb refuses them in one line, as `decompose` does, and writes nothing.

    CLIPLENS_PROGRAM=build/release/bin/cliplens python -m pytest tests/python/test_no_direction.py
"""

import json
import os
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

import numpy
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
MODEL = ROOT / "models/pictureworld"
UNSUPPORTED = 7


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], text=True, capture_output=True, timeout=120,
                          env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))


def read_tensors(path):
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + size])
    header.pop("__metadata__", None)
    kinds = {"F16": numpy.float16, "F32": numpy.float32}
    return {name: numpy.frombuffer(content, kinds[entry["dtype"]],
                                   offset=8 + size + entry["data_offsets"][0],
                                   count=int(numpy.prod(entry["shape"], dtype=int)))
            .reshape(entry["shape"]).astype(numpy.float32) for name, entry in header.items()}


def write_tensors(path, tensors):
    header, at = {}, 0
    for name, value in tensors.items():
        header[name] = {"dtype": "F32", "shape": value.shape, "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    text = json.dumps(header).encode()
    path.unlink()
    path.write_bytes(struct.pack("<Q", len(text)) + text +
                     b"".join(value.tobytes() for value in tensors.values()))


def changed_model(folder, weights=None, config=None):
    """A copy of a shipped model with other weights or another configuration."""
    folder.mkdir()
    for path in MODEL.iterdir():
        shutil.copyfile(path, folder / path.name)
    if weights is not None:
        file = folder / "open_clip_model.safetensors"
        tensors = read_tensors(file)
        weights(tensors)
        write_tensors(file, tensors)
    if config is not None:
        file = folder / "open_clip_config.json"
        values = json.loads(file.read_text())
        config(values)
        file.write_text(json.dumps(values))
    return folder


def no_projection(tensors):
    tensors["text_projection"][:] = 0


def huge_words(tensors):
    tensors["token_embedding.weight"][:] = 3e38
    tensors["positional_embedding"][:] = 3e38


def no_picture_projection(tensors):
    tensors["visual.proj"][:] = 0


def absurd_mean(config):
    config["preprocess_cfg"]["mean"] = [1e38, -1e38, 1e38]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("direction")
    (folder / "photos").mkdir()
    with tarfile.open(ROOT / "world/sets/single/single-000.tar") as shard:
        members = [m for m in shard if m.name.endswith(".png") and ".mask." not in m.name]
        for i, member in enumerate(members[:12]):
            (folder / f"photos/{i}.png").write_bytes(shard.extractfile(member).read())
    (folder / "classes.txt").write_text("a duck\na cup\n")
    (folder / "properties.txt").write_text("red\tcolour\nblue\tcolour\na dog\tanimal\na cat\tanimal\n")
    changed_model(folder / "no-projection", no_projection)
    changed_model(folder / "huge-words", huge_words)
    changed_model(folder / "no-picture-projection", no_picture_projection)
    changed_model(folder / "absurd-mean", config=absurd_mean)
    for name in ("no-projection", "huge-words"):  # their pictures are as they were
        done = run("decompose", folder / name, "--images", folder / "photos", "--out",
                   folder / f"{name}.store")
        assert done.returncode == 0, done.stderr
    return folder


def refused(result, *words):
    assert result.returncode == UNSUPPORTED, (result.returncode, result.stdout, result.stderr)
    assert result.stdout == ""
    assert result.stderr.startswith("cliplens: unsupported: ") and result.stderr.count("\n") == 1
    for word in (*words, "no direction"):
        assert word in result.stderr, result.stderr


@pytest.mark.parametrize("name", ["no-projection", "huge-words"])
def test_texts_without_a_direction(name, place, tmp_path):
    model, store = place / name, place / f"{name}.store"
    photo = place / "photos/3.png"
    classes = ("--classes", place / "classes.txt", "--templates", "simple")
    refused(run("embed", model, "--texts", place / "classes.txt", "--out", tmp_path / "x.npy"),
            "text 1 ('a duck')")
    refused(run("classify", model, "--images", place / "photos", *classes), "a photo of a a duck")
    refused(run("search", store, "--text", "red ball"), "red ball")
    refused(run("explain", model, "--image", photo, "--text", "a dog", "--out", tmp_path / "x.png"),
            "a dog")
    refused(run("explain", model, "--image", photo, *classes))
    refused(run("heatmap", model, "--image", photo, "--text", "a dog", "--out", tmp_path / "x.png",
                "--npy", tmp_path / "x.npy"), "a dog")
    refused(run("segment", model, "--image", photo, "--text", "a dog", "--out", tmp_path / "x.png"),
            "a dog")
    refused(run("evaluate", "segmentation", model, "--images", ROOT / "world/sets/single", *classes))
    refused(run("label", store, "--properties", place / "properties.txt", "--out",
                tmp_path / "x.json", "--csv", tmp_path / "x.csv"), "red")
    refused(run("report", store, "--texts", place / "classes.txt", "--out", tmp_path / "x.html"),
            "a duck")
    refused(run("span", store, "--texts", place / "classes.txt"), "a duck")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["no-picture-projection", "absurd-mean"])
def test_pictures_without_a_direction(name, place, tmp_path):
    model = place / name
    photos = place / "photos"
    classes = ("--classes", place / "classes.txt", "--templates", "simple")
    for skip in ((), ("--on-error", "skip")):
        refused(run("decompose", model, "--images", photos, "--out", tmp_path / "store", *skip), ".png")
        refused(run("embed", model, "--images", photos, "--out", tmp_path / "x.npy", *skip), ".png")
        refused(run("classify", model, "--images", photos, *classes, *skip), ".png")
    refused(run("explain", model, "--image", photos / "3.png", "--text", "a dog"), "3.png")
    refused(run("heatmap", model, "--image", photos / "3.png", "--text", "a dog", "--out",
                tmp_path / "x.png"), "3.png")
    refused(run("segment", model, "--image", photos / "3.png", "--text", "a dog", "--out",
                tmp_path / "x.png"), "3.png")
    refused(run("evaluate", "segmentation", model, "--images", ROOT / "world/sets/single", *classes))
    assert list(tmp_path.iterdir()) == []


def test_an_edit_that_leaves_nothing(place, tmp_path):
    good = run("decompose", "pictureworld", "--images", place / "photos", "--out", tmp_path / "store")
    assert good.returncode == 0
    make = ("edit", "make", tmp_path / "store")
    for everything in ("all,mlps,INPUT", "INPUT,mlps,L0,L1,L2,L3,L4,L5"):
        result = run(*make, "--heads", everything, "--mode", "scale=0", "--out", tmp_path / "e.json")
        assert result.returncode == 2 and "no direction" in result.stderr, result.stderr
    assert not (tmp_path / "e.json").exists()
    # Nearly nothing: what is left of a row is rounding.
    assert run(*make, "--heads", "all,mlps,INPUT", "--mode", "scale=1e-12", "--out",
               tmp_path / "e.json").returncode == 0
    result = run("embed", "pictureworld", "--images", place / "photos", "--edit", tmp_path / "e.json",
                 "--out", tmp_path / "x.npy")
    assert result.returncode == 5 and "no direction" in result.stderr and ".png" in result.stderr
    assert not (tmp_path / "x.npy").exists()
    assert run("embed", "pictureworld", "--images", place / "photos", "--edit", tmp_path / "e.json",
               "--out", tmp_path / "x.npy", "--no-normalize").returncode == 0
    # A part of nothing is an edit as ever.
    assert run(*make, "--heads", "all,mlps", "--mode", "scale=0", "--out",
               tmp_path / "part.json").returncode == 0
    assert run("embed", "pictureworld", "--images", place / "photos", "--edit",
               tmp_path / "part.json", "--out", tmp_path / "y.npy").returncode == 0
