"""Figures of few pictures say so; those of many do not."""

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ["CLIPLENS_PROGRAM"]).resolve()
TEXTS = ROOT / "world" / "texts"
LINE = "only {} pictures: "
BIRDS = ("--classes", TEXTS / "birds.txt", "--templates", TEXTS / "birds.templates.txt", "--attribute",
         "place_kind")
OBJECTS = ("--classes", TEXTS / "objects.txt", "--templates", TEXTS / "objects.templates.txt")


def run(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments), "--quiet"], text=True, capture_output=True,
                          cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def part_of(folder, pictures, target):
    """A set of the first pictures of a set of tar files."""
    target.mkdir()
    names = set()
    with tarfile.open(target / "part.tar", "w") as to:
        for path in sorted(folder.glob("*.tar")):
            with tarfile.open(path) as archive:
                for member in archive:
                    names.add(member.name.split(".")[0])
                    if len(names) > pictures:
                        return
                    to.addfile(member, io.BytesIO(archive.extractfile(member).read()))


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """{(model, pictures): store} of the shipped set, and of the birds."""
    folder = tmp_path_factory.mktemp("few")
    made = {}
    for model, name, numbers in (("pictureworld", "test", (27, 400, 800)),
                                 ("pictureworld-2", "test", (27,)),
                                 ("pictureworld-birds", "birds", (40, 160))):
        for pictures in numbers:
            images = folder / f"{name}-{pictures}"
            if not images.exists():
                part_of(ROOT / "world" / "sets" / name, pictures, images)
            made[model, pictures] = folder / f"{model}-{pictures}"
            run("decompose", model, "--images", images, "--out", made[model, pictures])
    return made


@pytest.mark.parametrize("model, few, many, enough, words", [
    ("pictureworld", 27, 400, 105, ("span", "--texts", TEXTS / "phrases.txt", "--count", 5)),
    ("pictureworld", 27, 800, 800, ("ablate", *OBJECTS)),
    ("pictureworld", 27, 400, 50, ("search", "--item", 3, "--heads", "L5.H4")),
    ("pictureworld-birds", 40, 160, 100, ("suggest", *BIRDS))], ids=lambda x: str(x)[:12])
def test_a_line_says_how_many_pictures_would_do(stores, model, few, many, enough, words):
    def asked(pictures):
        verb = ("edit", "suggest") if words[0] == "suggest" else words[:1]
        return run(*verb, stores[model, pictures], *words[1:])

    def lines(pictures):
        return [line for line in asked(pictures).splitlines() if line.startswith("only ")]
    said = lines(few)
    assert len(said) == 1 and said[0].startswith(LINE.format(few)), said
    assert f"; {enough} or more would do (docs/pictures.md)" in said[0]
    assert lines(many) == []


def test_raw_scores_need_no_mean(stores):
    assert "only " not in run("search", stores["pictureworld", 27], "--item", 3, "--measure", "raw")


def test_held_out_shares_are_lower_and_only_of_few_pictures(stores):
    def last(pictures):
        answer = json.loads(run("span", stores["pictureworld", pictures], "--texts",
                                TEXTS / "phrases.txt", "--count", 5, "--json"))
        return [head["texts"][-1] for head in answer["heads"]]
    few = last(27)
    assert sum(t["cumulative"] - t["held_out"] for t in few) / len(few) > 0.03
    assert all(0 < t["held_out"] < 1 for t in few)
    assert not any("held_out" in t for t in last(400))


def test_matches_of_few_pictures_have_wide_bounds_and_a_chance(stores):
    two = stores["pictureworld", 27], stores["pictureworld-2", 27]
    answer = json.loads(run("match", *two, "--json"))
    assert answer["images"] == 27 and 0.2 < answer["chance"] < 0.6
    similar = [m["similarity"] for m in answer["matches"]]
    assert answer["above_chance"] == sum(s["value"] > answer["chance"] for s in similar) < 12
    assert all(s["low"] < s["value"] < s["high"] for s in similar)
    text = run("match", *two)
    assert f"{answer['above_chance']} of 36 matches are above; compare on more" in text
