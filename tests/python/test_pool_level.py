"""Every verb at the level of the pool (--level pool), on the shipped model with an attention pool."""

import json
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from program import ROOT, answer, run, says_one_line  # noqa: E402

MODEL = ROOT / "models/pictureworld-siglip"
OTHER = ROOT / "models/pictureworld"
TEXTS = ROOT / "world/texts"
PHRASES = TEXTS / "phrases.txt"
CLASSES = ["--classes", TEXTS / "styles.txt", "--templates", TEXTS / "styles.templates.txt"]
PICTURES = 40
HEADS = json.loads((MODEL / "config.json").read_text())["vision_config"]["num_attention_heads"]
NAMES = [f"POOL.H{p}" for p in range(HEADS)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    with tarfile.open(ROOT / "world/sets/test/test-000.tar") as shard:
        names = [name.removesuffix(".json") for name in shard.getnames() if name.endswith(".json")]
        with tarfile.open(folder / "set.tar", "w") as out:
            for name in names[:PICTURES]:
                for ending in (".png", ".json"):
                    out.addfile(shard.getmember(name + ending), shard.extractfile(name + ending))
        (folder / "one.png").write_bytes(shard.extractfile(names[3] + ".png").read())
    said = answer("decompose", MODEL, "--images", folder / "set.tar", "--level", "pool", "--out", folder / "store")
    answer("decompose", MODEL, "--images", folder / "set.tar", "--out", folder / "blocks")
    return SimpleNamespace(folder=folder, set=folder / "set.tar", one=folder / "one.png", store=folder / "store",
                           blocks=folder / "blocks", decomposed=said)


def arrays_of(store, folder, *arguments):
    answer("export", store, "--out", folder, *arguments)
    return {path.stem: np.load(path).astype(np.float64) for path in folder.glob("*.npy")}


def test_the_sum_is_the_embedding(made, tmp_path):
    assert made.decomposed["certificate"]["max"] < 1e-6
    assert made.decomposed["level"] == "pool"
    assert json.loads((made.store / "manifest.json").read_text())["level"] == "pool"
    assert "level" not in json.loads((made.blocks / "manifest.json").read_text())
    assert answer("verify", made.store, "--model", MODEL)["whole"]
    assert answer("verify", made.store)["whole"]
    arrays = arrays_of(made.store, tmp_path / "arrays")
    assert arrays["attn"].shape[:3] == (PICTURES, 1, HEADS) and arrays["mlp"].shape[:2] == (PICTURES, 1)
    total = arrays["attn"].sum((1, 2)) + arrays["mlp"].sum(1)
    assert np.abs(total - arrays["embedding"]).max() < 1e-6
    answer("embed", MODEL, "--images", made.set, "--out", tmp_path / "rows.npy")
    rows = np.load(tmp_path / "rows.npy")
    assert np.abs(rows - arrays["embedding"]).max() < 1e-6
    # The MLP behind the pool is the same component at both levels.
    of_blocks = arrays_of(made.blocks, tmp_path / "blocks")
    assert np.abs(of_blocks["mlp"][:, -1] - arrays["mlp"][:, 0]).max() < 1e-6
    shares = {one["component"]: one["share"] for one in answer(
        "report", made.store, "--texts", PHRASES, "--count", 2, "--out", tmp_path / "r.html")["components"]}
    assert list(shares) == [*NAMES, "POOL.MLP"]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    page = (tmp_path / "r.html").read_text()
    assert "attention heads of the pool and POOL.MLP (the MLP behind the pool, " in page and 'id="POOL.H0"' in page
    assert ">INPUT<" not in page and ">L0<" not in page


def test_parts_merge_to_the_bytes_of_one_run(made, tmp_path):
    decompose = ["decompose", MODEL, "--images", made.set, "--level", "pool", "--shard-images", 16, "--out"]
    for part in (0, 1):
        answer(*decompose, tmp_path / f"part{part}", "--shard", f"{part}/2")
    answer(*decompose, tmp_path / "whole")
    answer("merge", tmp_path / "part0", tmp_path / "part1", "--out", tmp_path / "merged")
    for name in ("shard-00001.safetensors", "stats.safetensors", "basis.safetensors"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert answer(*decompose, tmp_path / "whole", "--resume")["complete_already"]
    # Statistics alone have what TextSpan needs, as those of a class token's heads.
    answer(*decompose, tmp_path / "stats", "--stats-only")
    few = answer("span", tmp_path / "stats", "--texts", PHRASES, "--count", 3)
    assert [one["head"] for one in few["heads"]] == NAMES


def test_heads_by_name(made):
    said = answer("span", made.store, "--texts", PHRASES, "--heads", "POOL.H1,POOL.H0", "--count", 3)
    assert [one["head"] for one in said["heads"]] == NAMES[:2]
    assert answer("span", made.store, "--texts", PHRASES, "--heads", "POOL", "--count", 1)["heads"][-1]["head"] == NAMES[-1]
    for name in ("L0.H0", "L5", "INPUT", f"POOL.H{HEADS}"):
        says_one_line(run("span", made.store, "--texts", PHRASES, "--heads", name), 2, f"heads '{name}'", "POOL.H0")
    says_one_line(run("span", made.blocks, "--texts", PHRASES, "--heads", "POOL.H0"), 2, "heads 'POOL.H0'",
                  "--level pool", "L0-L")


def test_labels_and_what_reads_them(made, tmp_path):
    labels = tmp_path / "labels.json"
    said = answer("label", made.store, "--out", labels)
    assert [one["head"] for one in said["heads"]] == NAMES
    named = {one["head"]: one["label"] for one in said["heads"] if one["label"]}
    explained = answer("explain", MODEL, "--level", "pool", "--image", made.one, "--text", "a duck", "--labels", labels)
    assert {one["component"]: one["label"] for one in explained["components"] if "label" in one} == named
    says_one_line(run("explain", MODEL, "--image", made.one, "--text", "a duck", "--labels", labels), 2,
                  "heads 'POOL.H", "--level pool")
    answer("report", made.store, "--texts", PHRASES, "--properties", TEXTS / "properties.txt", "--out", tmp_path / "r.html")
    assert '<th scope="row">POOL</th>' in (tmp_path / "r.html").read_text()


def test_ablation_and_reconstruction(made):
    said = answer("ablate", made.store, *CLASSES, "--label", "style")
    rows = {row["name"]: row["accuracy"] for row in said["rows"]}
    assert list(rows) == ["base", "pool_mlp"]
    assert [one["component"] for one in said["components"]] == [*NAMES, "POOL.MLP"]
    assert len(said["cumulative"]) == 2
    again = answer("reconstruct", made.store, "--texts", PHRASES, *CLASSES, "--label", "style", "--counts", "1,3",
                   "--layers", 1)
    assert again["heads"] == HEADS and [row["count"] for row in again["pools"][0]["rows"]] == [1, 3]


def test_groups_and_comparison(made):
    said = answer("evaluate", "groups", made.store, *CLASSES, "--label", "style", "--attribute", "size", "--skip-empty",
                  "--heads", "POOL.H0,POOL.MLP")
    names = [row["name"] for row in said["rows"]]
    assert names[:2] == ["base", "edit"] and not any(name.startswith("recipe") for name in names)
    same = answer("compare", made.store, made.store)
    assert [one["component"] for one in same["components"]] == [*NAMES, "POOL.MLP"]


def test_search_and_match(made, tmp_path):
    said = answer("search", made.store, "--image", made.one, "--heads", "POOL.H0,POOL.H1", "-k", 3)
    assert len(said["results"]) == 3
    answer("export", made.store, "--format", "faiss", "--heads", "POOL.H2", "--out", tmp_path / "index")
    assert len(answer("search", made.store, "--text", "a duck", "--heads", "POOL.H2", "-k", 3)["results"]) == 3
    pairs = answer("match", made.store, made.store)
    assert json.dumps(pairs).count("POOL.H0") >= 2


def test_edits_of_passes_and_of_stores(made, tmp_path):
    edit = tmp_path / "edit.json"
    answer("edit", "make", made.store, "--heads", "POOL.H0,POOL.MLP", "--out", edit)
    assert json.loads(edit.read_text())["model"]["level"] == "pool"
    answer("embed", MODEL, "--level", "pool", "--images", made.set, "--edit", edit, "--out", tmp_path / "rows.npy")
    stored = arrays_of(made.store, tmp_path / "edited", "--edit", edit)
    assert np.abs(np.load(tmp_path / "rows.npy") - stored["embedding"]).max() < 1e-5
    plain = arrays_of(made.store, tmp_path / "plain")
    c, mlp = plain["attn"][:, 0, 0], plain["mlp"][:, 0]
    wanted = plain["embedding"] - (c - c.mean(0)) - (mlp - mlp.mean(0))
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert np.abs(wanted - stored["embedding"]).max() < 1e-5
    said = answer("classify", MODEL, "--level", "pool", "--images", made.set, *CLASSES, "--label", "style",
                  "--edit", edit)
    assert said["labelled"] == PICTURES
    says_one_line(run("classify", MODEL, "--images", made.set, *CLASSES, "--edit", edit), 2, "--level pool")
    says_one_line(run("export", made.blocks, "--out", tmp_path / "no", "--edit", edit), 2, "level")
    said = answer("edit", "suggest", made.store, *CLASSES, "--label", "style", "--attribute", "place")
    assert {one["head"] for one in said["heads"]} == set(NAMES)


def test_tokens_add_up(made, tmp_path):
    asked = [MODEL, "--level", "pool", "--image", made.one]
    said = answer("heatmap", *asked, "--text", "a duck", "--npy", tmp_path / "map.npy")
    one = said["maps"][0] if "maps" in said else said
    rest = one["rest"]
    assert set(rest) == {"pool_mlp", "other_heads"} and rest["other_heads"] == 0
    assert np.load(tmp_path / "map.npy").sum() + rest["pool_mlp"] == pytest.approx(one["score"], abs=1e-6)
    # A map of each head; together they are that of all.
    each = []
    for head in NAMES:
        answer("heatmap", *asked, "--text", "a duck", "--heads", head, "--npy", tmp_path / f"{head}.npy")
        each.append(np.load(tmp_path / f"{head}.npy"))
    assert np.abs(sum(each) - np.load(tmp_path / "map.npy")).max() < 1e-6
    said = answer("explain", *asked, "--text", "a picture of a duck", "--out", tmp_path / "why.png")
    assert sorted(one["component"] for one in said["components"]) == sorted([*NAMES, "POOL.MLP"])
    assert sum(one["score"] for one in said["components"]) == pytest.approx(said["score"], abs=1e-6)
    assert said["sum"] == pytest.approx(said["score"], abs=1e-6)
    assert set(said["rest"]) == {"pool_mlp"}
    answer("segment", *asked, "--text", "a duck", "--out", tmp_path / "mask.png")
    answer("describe", MODEL, "--level", "pool", "--images", made.one, "--texts", PHRASES, "--components", "POOL.H0")


def test_what_is_refused(made, tmp_path):
    says_one_line(run("decompose", OTHER, "--images", made.set, "--level", "pool", "--out", tmp_path / "s"), 7,
                  "no attention pool", "--level pool")
    says_one_line(run("merge", made.store, made.blocks, "--out", tmp_path / "m"), 2, "levels differ")
    says_one_line(run("match", made.store, made.blocks), 2, "--level")
    says_one_line(run("compare", made.store, made.blocks), 2, "--level")
    says_one_line(run("decompose", MODEL, "--images", made.set, "--out", made.store, "--resume"), 2, "'level'")
    says_one_line(run("explain", MODEL, "--level", "pool", "--image", made.one, "--text", "a duck", "--through", "L2"),
                  7, "--level pool")
    says_one_line(run("segment", MODEL, "--level", "pool", "--image", made.one, "--text", "a duck", "--method",
                      "rollout", "--out", tmp_path / "m.png"), 7, "--level pool")
    says_one_line(run("serve", made.store, "--port", 0), 7, "explorer", "cliplens report")
    says_one_line(run("decompose", MODEL, "--images", made.set, "--level", "heads", "--out", tmp_path / "s"), 2, "level")
