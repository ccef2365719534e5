"""What edits and groups refuse, in one line and with nothing written."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
BIRDS = ROOT / "world/sets/birds"
CLASSES = ["--classes", ROOT / "world/texts/birds.txt", "--templates",
           ROOT / "world/texts/birds.templates.txt"]
CUE = ["--cue", "something on the sea", "--cue", "something in the forest"]


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], text=True, capture_output=True,
                          timeout=600)


def refused(status, words, *arguments):
    result = run(*arguments)
    assert result.returncode == status, result.stderr
    assert words in result.stderr, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edits")
    for model in ("pictureworld", "pictureworld-birds"):
        assert run("decompose", model, "--images", BIRDS, "--out", folder / model).returncode == 0
    assert run("edit", "make", folder / "pictureworld-birds", "--heads", "L5.H3", "--out",
               folder / "edit.json").returncode == 0
    return folder


def test_an_edit_of_another_model(place):
    edit = place / "edit.json"
    fingerprint = json.loads(edit.read_text())["model"]["fingerprint"]
    for words in (["embed", "pictureworld", "--images", BIRDS, "--out", place / "x.npy"],
                  ["classify", "pictureworld", "--images", BIRDS, *CLASSES],
                  ["export", place / "pictureworld", "--out", place / "x"],
                  ["evaluate", "groups", place / "pictureworld", *CLASSES, "--attribute",
                   "place_kind"]):
        refused(2, fingerprint, *words, "--edit", edit)
    assert not (place / "x.npy").exists() and not (place / "x").exists()


def test_means_of_another_model(place):
    refused(2, "--means takes a store of the same model", "edit", "make",
            place / "pictureworld-birds", "--heads", "L5.H3", "--means", place / "pictureworld",
            "--out", place / "x.json")
    assert not (place / "x.json").exists()


def test_files_that_are_no_edit(place, tmp_path):
    text = (place / "edit.json").read_text()
    for name, content in (("cut", text[:-20]), ("changed", text.replace("L5.H3", "L5.H4")),
                          ("empty", ""), ("other", "{}"), ("bytes", "\x00\x01")):
        (tmp_path / name).write_text(content)
        refused(4, name, "edit", "show", tmp_path / name)
        refused(4, name, "embed", "pictureworld-birds", "--images", BIRDS, "--out",
                tmp_path / "x.npy", "--edit", tmp_path / name)
    refused(3, "none.json", "edit", "show", tmp_path / "none.json")
    refused(2, "directory", "edit", "show", tmp_path)
    assert not (tmp_path / "x.npy").exists()


def test_names_and_modes(place):
    store, out = place / "pictureworld-birds", place / "x.json"
    make = ["edit", "make", store, "--out", out]
    refused(2, "L9.H0", *make, "--heads", "L9.H0")
    refused(2, "--mode half", *make, "--heads", "L5", "--mode", "half")
    refused(2, "--mode scale=", *make, "--heads", "L5", "--mode", "scale=")
    refused(2, "scales by", *make, "--heads", "L5", "--mode", "scale=nan")
    refused(2, "needs no mean", *make, "--heads", "L5", "--mode", "scale=1", "--means", store)
    refused(2, "--labels", *make, "--property", "background")
    refused(2, "--edit is for pictures", "embed", "pictureworld-birds", "--texts", CLASSES[1],
            "--out", out, "--edit", place / "edit.json")
    refused(2, "--no-normalize", "embed", "pictureworld-birds", "--images", BIRDS, "--out", out,
            "--no-normalize")
    refused(5, "edit.json", "edit", "make", store, "--heads", "L5", "--out", place / "edit.json")
    assert not out.exists()


def test_the_page_says_how_far_the_model_leans_on_the_cue(place):
    """The sentence of `edit suggest` with the attribute as the cue, where an edit is shown."""
    store = place / "pictureworld-birds"
    told = run("edit", "suggest", store, *CLASSES, "--attribute", "place_kind", "--within-classes",
               "--json")
    sentence = json.loads(told.stdout)["statement"]
    assert "of how the class logits differ between pictures within each class" in sentence
    (place / "texts.txt").write_text("".join(f"a {c}\n" for c in "abcdefghijklmnop"))
    report = ["report", store, "--texts", place / "texts.txt", "--heads", "L5.H3", "--count", 2,
              "--pictures", 0, *CLASSES, "--attribute", "place_kind"]
    assert run(*report, "--edit", place / "edit.json", "--out", place / "e.html").returncode == 0
    assert f"with <bdi>place_kind</bdi> as the cue: {sentence}." in (place / "e.html").read_text()
    assert run(*report, "--out", place / "plain.html").returncode == 0
    assert "as the cue" not in (place / "plain.html").read_text()


def test_groups_that_are_not_there(place):
    groups = ["evaluate", "groups", place / "pictureworld-birds", *CLASSES]
    refused(3, "no picture has the attribute 'colour'; the first has label, object", *groups,
            "--attribute", "colour")
    refused(2, "no picture of the class 'a water bird' has 'eagle' as its object", *groups,
            "--attribute", "object")
    assert run(*groups, "--attribute", "object", "--skip-empty").returncode == 0


def test_cues_that_say_nothing(place):
    suggest = ["edit", "suggest", place / "pictureworld-birds", *CLASSES]
    refused(2, "1 different texts", *suggest, "--cue", "on the sea", "--cue", "on the sea")
    refused(3, "no picture has the attribute", *suggest, "--attribute", "colour")
    refused(2, "needs two", *suggest, "--attribute", "effect")  # the same for every bird
    # The model that was not biased: nothing is suggested, and nothing written.
    result = run("edit", "suggest", place / "pictureworld", *CLASSES, *CUE, "--out",
                 place / "x.json")
    assert result.returncode == 5 and "is not written" in result.stderr
    assert "no sure sign that the class logits follow the cue" in result.stdout
    assert not (place / "x.json").exists()
