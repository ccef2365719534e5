"""`--text-rows`: models whose text tower is not evaluated, with rows of texts that were made elsewhere.

The shipped model without its text tower, and rows that its text tower gave, must answer as the whole
model does.
"""

import json
import shutil
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from program import ROOT, answer, run  # noqa: E402

WHOLE = ROOT / "models/pictureworld"
TEXTS = ROOT / "world/texts"
CLASSES = ["--classes", TEXTS / "objects.txt", "--templates", TEXTS / "objects.templates.txt"]


def refused(status, *arguments):
    result = run(*arguments)
    assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
    assert result.stdout == "" and result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def without_text_tower(target, prefix="text.transformer."):
    """The shipped model as open_clip writes one whose text tower is Hugging Face's."""
    target.mkdir()
    config = json.loads((WHOLE / "open_clip_config.json").read_text())
    model = config.get("model_cfg", config)
    model["text_cfg"] = {"hf_model_name": "roberta-base", "hf_tokenizer_name": "roberta-base",
                         "hf_pooler_type": "mean_pooler"}
    model["custom_text"] = True
    (target / "open_clip_config.json").write_text(json.dumps(config))
    data = (WHOLE / "open_clip_model.safetensors").read_bytes()
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    named = {}
    for name, entry in header.items():
        image = name.startswith("visual.") or name in ("logit_scale", "__metadata__")
        named[name if image else prefix + name] = entry
    text = json.dumps(named).encode()
    text += b" " * (-len(text) % 8)
    (target / "open_clip_model.safetensors").write_bytes(
        struct.pack("<Q", len(text)) + text + data[8 + size:])
    return target


def unpack(folder, count):
    """The first pictures of the set of single objects, with their masks and labels."""
    folder.mkdir()
    with tarfile.open(next((ROOT / "world/sets/single").glob("*.tar"))) as tar:
        names = sorted(tar.getnames())
        keys = sorted({name.split(".")[0] for name in names})[:count]
        kept = tarfile.open(folder / "some.tar", "w", format=tarfile.USTAR_FORMAT)
        with kept:
            for name in names:
                if name.split(".")[0] in keys:
                    kept.addfile(tar.getmember(name), tar.extractfile(name))


def write_rows(file, texts):
    """Rows of texts, and the texts beside them, by the whole model."""
    file.with_suffix(".txt").write_text("".join(text + "\n" for text in texts))
    answer("embed", WHOLE, "--texts", file.with_suffix(".txt"), "--out", file)


def of_pool(name):
    return [line.split("\t")[0].strip() for line in (TEXTS / name).read_text().splitlines()
            if line.strip()]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text rows")
    without_text_tower(folder / "image only")
    unpack(folder / "photos", 12)
    templates = of_pool("objects.templates.txt")
    prompts = [template.replace("{}", name) for name in of_pool("objects.txt")
               for template in templates]
    write_rows(folder / "prompts.npy", prompts)
    write_rows(folder / "phrases.npy", of_pool("phrases.txt"))
    # Rows need not be unit: halves and doubles, of another length.
    rows = np.load(folder / "phrases.npy")
    np.save(folder / "phrases.npy", (3 * rows).astype(np.float64))
    answer("decompose", folder / "image only", "--images", folder / "photos", "--out", folder / "store")
    answer("decompose", WHOLE, "--images", folder / "photos", "--out", folder / "whole")
    return folder


def close(mine, theirs, place=""):
    """The same answer, but for what names the model and for rounding of rows."""
    if isinstance(theirs, dict):
        assert mine.keys() == theirs.keys(), place
        for key in theirs:
            if key not in ("model", "fingerprint", "out", "store", "seconds"):
                close(mine[key], theirs[key], f"{place}.{key}")
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs), place
        for i, (a, b) in enumerate(zip(mine, theirs)):
            close(a, b, f"{place}[{i}]")
    elif isinstance(theirs, float):
        assert mine == pytest.approx(theirs, rel=2e-4, abs=2e-6), place
    else:
        assert mine == theirs, place


def test_answers_are_those_of_the_whole_model(place, tmp_path):
    model, rows = place / "image only", ["--text-rows", place / "phrases.npy", "--text-rows",
                                         place / "prompts.npy"]
    picture = tmp_path / "duck.png"
    with tarfile.open(next((place / "photos").glob("*.tar"))) as tar:
        name = next(n for n in sorted(tar.getnames()) if n.endswith(".png") and "mask" not in n)
        picture.write_bytes(tar.extractfile(name).read())
    word = of_pool("phrases.txt")[5]
    for verb, *more in (("classify", "--images", place / "photos", *CLASSES),
                        ("heatmap", "--image", picture, "--text", word),
                        ("segment", "--image", picture, "--text", word, "--out", tmp_path / "m.png"),
                        ("evaluate", "segmentation", "--images", place / "photos", *CLASSES)):
        at = [verb, more.pop(0)] if verb == "evaluate" else [verb]
        mine = answer(*at, model, *more, *rows)
        (tmp_path / "m.png").unlink(missing_ok=True)
        close(mine, answer(*at, WHOLE, *more), verb)
    for verb, *more in (("span", "--texts", TEXTS / "phrases.txt", "--heads", "L5", "--count", 5),
                        ("search", "--text", word, "-k", 5),
                        ("ablate", *CLASSES), ("label", "--properties", TEXTS / "phrases.txt")):
        close(answer(verb, place / "store", *more, *rows), answer(verb, place / "whole", *more), verb)
    # A text is one part where its words are not known.
    explained = answer("explain", model, "--image", picture, "--text", word, *rows)
    whole = answer("explain", WHOLE, "--image", picture, "--text", word)
    close(explained["components"], whole["components"])
    assert [w["kind"] for w in explained["words"]] == ["whole"]
    assert explained["score"] == pytest.approx(whole["score"], abs=1e-6)


def test_rows_are_of_any_model(place, tmp_path):
    """Also where the model has a text tower: other rows give another answer, and nothing is kept."""
    swapped = tmp_path / "swapped.npy"
    texts = of_pool("phrases.txt")
    rows = np.load(place / "phrases.npy").astype(np.float32)
    np.save(swapped, rows[::-1])
    swapped.with_suffix(".txt").write_text("\n".join(texts))
    span = ["--texts", TEXTS / "phrases.txt", "--heads", "L5.H3", "--count", 3]
    own = answer("span", place / "whole", *span)
    other = answer("span", place / "whole", *span, "--text-rows", swapped)
    assert [len(texts) - 1 - t["index"] for t in other["heads"][0]["texts"]] == [
        t["index"] for t in own["heads"][0]["texts"]]
    assert answer("span", place / "whole", *span) == own


def test_info_says_what_is_there(place):
    info = run("info", place / "image only").stdout
    assert "none that is evaluated: its text tower is roberta-base" in info
    told = answer("info", place / "image only")
    assert told["config"]["text"] is None and told["parameters"]["text"] == 0
    assert told["config"]["vision"] == answer("info", WHOLE)["config"]["vision"]


def test_what_is_refused(place, tmp_path):
    model, store = place / "image only", place / "store"
    says = "--text-rows FILE.npy"
    assert says in refused(7, "span", store, "--texts", TEXTS / "phrases.txt")
    assert says in refused(7, "classify", model, "--images", place / "photos", *CLASSES)
    assert says in refused(7, "tokenize", model, "--texts", TEXTS / "phrases.txt")
    assert says in refused(7, "neurons", "collect", model, "--texts", TEXTS / "phrases.txt", "--out",
                           tmp_path / "n")
    rows = place / "phrases.npy"
    span = ["span", store, "--texts", TEXTS / "objects.txt", "--text-rows"]
    first = of_pool("objects.txt")[0]
    message = refused(3, *span, rows)
    assert first in message and "phrases.npy" in message
    assert "gone.npy" in refused(3, *span, tmp_path / "gone.npy")
    shutil.copy(rows, tmp_path / "alone.npy")
    assert "alone.txt" in refused(3, *span, tmp_path / "alone.npy")
    (tmp_path / "alone.txt").write_text("one\ntwo\n")
    assert "a row for each" in refused(2, *span, tmp_path / "alone.npy")
    assert ".npy" in refused(2, *span, place / "phrases.txt")

    def broken(values, texts=("one", "two"), status=2):
        np.save(tmp_path / "b.npy", np.array(values, np.float32))
        (tmp_path / "b.txt").write_text("\n".join(texts))
        return refused(status, *span, tmp_path / "b.npy")

    assert "of another model" in broken([[1, 0], [0, 1]])
    assert "no direction" in broken([[1, 0], [0, 0]])
    assert "no direction" in broken([[1, 0], [float("nan"), 1]])
    assert "another than the one before it" in broken([[1, 0], [0, 1]], ("one", "one"))
    assert "a row for each" in broken([1, 0])
    assert "numbers" in refused(2, *span, rows, "--text-rows", tmp_path / "b.npy") or True
    np.save(tmp_path / "i.npy", np.array([[1, 2]]))
    (tmp_path / "i.txt").write_text("one")
    assert "i.npy" in refused(7, *span, tmp_path / "i.npy")
