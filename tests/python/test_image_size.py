"""`--image-size`: pictures of another size than the model was trained on, and stores of them."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from program import ROOT, answer, run  # noqa: E402

MODEL = "pictureworld"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(12):
        Image.effect_noise((90 + i, 70), 20 + 10 * i).convert("RGB").save(folder / f"{i:02}.png")
    return folder


def test_a_store_reads_pictures_as_it_was_made(photos, tmp_path):
    store = tmp_path / "store"
    made = answer("decompose", MODEL, "--images", photos, "--image-size", 120,
                  "--out", store)
    assert made["certificate"]["max"] < 1e-5
    manifest = json.loads((store / "manifest.json").read_text())
    assert manifest["model"]["image_size"] == 120
    assert manifest["model"]["config"]["vision"]["tokens"] == 145
    own, other = answer("info", MODEL), answer("info", MODEL, "--image-size", 120)
    assert other["fingerprint"] == manifest["model"]["fingerprint"] != own["fingerprint"]
    assert other["config"]["vision"]["image_size"] == 120
    # Its model is loaded so again, and rows of a picture are those of the store.
    answer("verify", store)
    answer("verify", store, "--model", MODEL)
    assert len(answer("search", store, "--text", "a duck", "-k", 3)["results"]) == 3
    nearest = answer("search", store, "--item", 7, "-k", 1)["results"][0]
    report = tmp_path / "r.html"
    answer("report", store, "--texts", ROOT / "world/texts/phrases.txt", "--heads", "L5", "--count", 2,
           "--out", report)
    assert nearest["item"] != 7 and "image 120" in report.read_text()


def test_maps_have_the_patches_of_that_size(photos, tmp_path):
    picture = tmp_path / "a.png"
    Image.effect_noise((200, 160), 80).convert("RGB").save(picture)
    for size, grid in ((120, 12), (45, 4), (10, 1)):
        heat = answer("heatmap", MODEL, "--image-size", size, "--image", picture, "--text", "a duck")
        assert len(heat["map"]) == grid and len(heat["map"][0]) == grid
    neurons = tmp_path / "neurons"
    answer("neurons", "collect", MODEL, "--image-size", 40, "--layers", 4, "--images",
           photos, "--stats-only", "--out", neurons)
    found = answer("neurons", "discover", neurons, "--image", picture, "--texts",
                   ROOT / "world/texts/phrases.txt")
    assert found["neurons"] == 384


def test_its_own_size_and_sizes_that_cannot_be():
    own = answer("info", MODEL)
    assert answer("info", MODEL, "--image-size", 80)["fingerprint"] == own["fingerprint"]
    for size, says in ((9, "10 (a patch) to 4096"), (5000, "--image-size"), (-1, "--image-size")):
        result = run("info", MODEL, "--image-size", size)
        assert result.returncode == 2 and says in result.stderr, result
