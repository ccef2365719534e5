"""`compare`, computed again in NumPy from exported contributions, and what it says where there is
little or nothing to compare."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "tests")]
import snapshot  # noqa: E402
from test_analysis_twins import read_safetensors  # noqa: E402

PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
BIRDS = ROOT / "world/sets/birds"
CLASSES = ("--classes", ROOT / "world/texts/birds.txt", "--templates",
           ROOT / "world/texts/birds.templates.txt")
PROPERTIES = ROOT / "world/texts/properties.txt"


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], text=True, capture_output=True,
                          timeout=600, env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))


def cliplens(*arguments):
    result = run(*arguments, "--json")
    assert result.returncode == 0, f"{arguments}\n{result.stderr}"
    return json.loads(result.stdout)


def refused(*arguments):
    result = run(*arguments)
    assert result.returncode != 0 and result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def store_of(model, images, out, *more):
    cliplens("decompose", model, "--images", images, "--out", out, *more)
    return out


def changed_model(folder, change):
    """pictureworld with the tensors that `change` makes of it."""
    shutil.copytree(ROOT / "models/pictureworld", folder)
    file = folder / "open_clip_model.safetensors"
    tensors = {name: np.array(value, np.float32) for name, value in read_safetensors(file).items()}
    change(tensors)
    file.unlink()
    snapshot.write_safetensors(file, tensors, "F32")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("compare")
    store_of("pictureworld", BIRDS, out / "a")
    store_of("pictureworld-birds", BIRDS, out / "b")
    for name in "ab":
        cliplens("export", out / name, "--out", out / f"{name}-arrays")
    (out / "photos").mkdir()
    with tarfile.open(ROOT / "world/sets/single/single-000.tar") as shard:
        pictures = [m for m in shard if m.name.endswith(".png") and ".mask." not in m.name]
        for picture in pictures[:8]:
            (out / "photos" / picture.name).write_bytes(shard.extractfile(picture).read())
    return out


@pytest.fixture(scope="module")
def answer(folder):
    return cliplens("compare", folder / "a", folder / "b", *CLASSES, "--properties", PROPERTIES,
                    "--flips", 1000)


def arrays_of(folder, name):
    place = folder / f"{name}-arrays"
    found = {n: np.load(place / f"{n}.npy").astype(np.float64) for n in ("attn", "mlp", "embedding")}
    heads = found["attn"].reshape(len(found["attn"]), -1, found["attn"].shape[-1])
    items = [json.loads(row) for row in (place / "items.jsonl").read_text().splitlines()]
    return np.concatenate([heads, found["mlp"]], 1), found["embedding"], items


def hsic(x, y):
    k, m = x @ x.T, y @ y.T
    n = len(k)
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    return (np.sum(k * m) + k.sum() * m.sum() / ((n - 1) * (n - 2)) -
            2 / (n - 2) * k.sum(0) @ m.sum(0))


def cka(x, y):
    return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


def share(c, e):
    c, e = c - c.mean(0), e - e.mean(0)
    return np.sum(c * e) / np.sum(e * e)


def test_heads_equal_their_twins(folder, answer):
    parts_a, e_a, items = arrays_of(folder, "a")
    parts_b, e_b, others = arrays_of(folder, "b")
    assert [i["path"] for i in items] == [i["path"] for i in others]
    assert (answer["common"], answer["images"], answer["blocks"]) == (200, 200, 100)
    assert not answer["from_statistics"] and not answer["same_model"] and answer["missing"] == []
    assert answer["similarity"]["value"] == pytest.approx(cka(e_a, e_b), abs=1e-5)
    for i, component in enumerate(answer["components"]):
        x, y = parts_a[:, i], parts_b[:, i]
        values = share(x, e_a), share(y, e_b)
        assert component["share_a"]["value"] == pytest.approx(values[0], abs=1e-5)
        assert component["share_b"]["value"] == pytest.approx(values[1], abs=1e-5)
        assert component["share_change"]["value"] == pytest.approx(values[1] - values[0], abs=2e-5)
        assert component["share_change"]["low"] < component["share_change"]["high"]
        if i < 36:
            assert component["similarity"]["value"] == pytest.approx(cka(x, y), abs=1e-4)
        else:
            assert component["similarity"] is None
    by_name = {c["component"]: c for c in answer["components"]}
    likeness = [by_name[h]["similarity"]["value"] for h in answer["heads"]]
    assert len(likeness) == 36 and likeness == sorted(likeness)
    by_share = cliplens("compare", folder / "a", folder / "b", "--sort", "share")["heads"]
    changes = [abs(by_name[h]["share_change"]["value"]) for h in by_share]
    assert changes == sorted(changes, reverse=True)


def test_answers_equal_their_twins(folder, answer):
    parts_a, e_a, items = arrays_of(folder, "a")
    parts_b, e_b, _ = arrays_of(folder, "b")
    names = [line.split("\t") for line in CLASSES[1].read_text().splitlines() if line.strip()]
    templates = [t for t in CLASSES[3].read_text().splitlines() if t.strip()]
    rows = []
    lines = folder / "filled.txt"
    lines.write_text("".join(t.replace("{}", n[0]) + "\n" for n in names for t in templates))
    for model in ("pictureworld", "pictureworld-birds"):
        cliplens("embed", model, "--texts", lines, "--out", folder / f"{model}.npy")
        w = np.load(folder / f"{model}.npy").astype(np.float64)
        w = w.reshape(len(names), len(templates), -1).mean(1)
        rows.append(w / np.linalg.norm(w, axis=1, keepdims=True))
    before, after = (e_a @ rows[0].T).argmax(1), (e_b @ rows[1].T).argmax(1)
    flipped = {items[i]["path"]: i for i in np.flatnonzero(before != after)}
    flips = answer["flips"]
    assert flips["count"] == len(flipped) > 5 and flips["images"] == 200
    assert {f["path"] for f in flips["listed"]} == set(flipped)
    changes = [f["change"] for f in flips["listed"]]
    assert changes == sorted(changes, reverse=True)
    lost = []
    for flip in flips["listed"]:
        i = flipped[flip["path"]]
        assert flip["item_a"] == flip["item_b"] == i
        assert [flip["before"], flip["after"]] == [names[before[i]][0], names[after[i]][0]]
        d_a, d_b = (w[after[i]] - w[before[i]] for w in rows)
        assert flip["margin_a"] == pytest.approx(e_a[i] @ d_a, abs=1e-5)
        assert flip["margin_b"] == pytest.approx(e_b[i] @ d_b, abs=1e-5)
        assert flip["margin_a"] < 0 < flip["margin_b"]
        parts = [c["change"] for c in flip["components"]]
        assert parts == sorted(parts, reverse=True) and len(parts) == 43
        assert sum(parts) == pytest.approx(flip["change"], abs=1e-5)
        by_name = {c["component"]: c for c in flip["components"]}
        assert by_name["L5.H4"]["a"] == pytest.approx(parts_a[i, 34] @ d_a, abs=1e-5)
        assert by_name["INPUT"]["b"] == pytest.approx(parts_b[i, 36] @ d_b, abs=1e-5)
        if flip["label"] == flip["before"]:
            lost.append(by_name["L5.H4"]["change"])
    accuracy = answer["accuracy"]
    counts = [accuracy[k] for k in ("both", "lost", "gained", "neither")]
    assert sum(counts) == accuracy["labelled"] == 200 and counts[1] == len(lost)
    difference = accuracy["difference"]
    assert difference["value"] == pytest.approx((counts[2] - counts[1]) / 200)
    assert difference["low"] < difference["value"] < difference["high"]
    mean = next(m for m in flips["means"] if m["component"] == "L5.H4")
    assert mean["lost"] is None if len(lost) < 2 else mean["lost"]["value"] == pytest.approx(
        np.mean(lost), abs=1e-9)


def test_labels_are_those_of_label(folder, answer, tmp_path):
    files = []
    for name in "ab":
        files.append(tmp_path / f"{name}.json")
        cliplens("label", folder / name, "--properties", PROPERTIES, "--out", files[-1])
    heads = [{h["head"]: h for h in json.loads(file.read_text())["heads"]} for file in files]
    for head in answer["labels"]["heads"]:
        for side, of in zip("ab", heads):
            assert head[f"label_{side}"] == of[head["head"]]["label"]
            assert head[f"confidence_{side}"] == of[head["head"]]["confidence"]
    changed = sum(h["label_a"] != h["label_b"] for h in answer["labels"]["heads"])
    assert (answer["labels"]["compared"], answer["labels"]["changed"]) == (36, changed)
    by_file = cliplens("compare", folder / "a", folder / "b", "--labels", files[0], "--labels2",
                       files[1])
    assert by_file["labels"]["heads"] == answer["labels"]["heads"]
    assert "accuracy" not in by_file and "flips" not in by_file
    assert "b.json" in refused("compare", folder / "a", folder / "b", "--labels", files[1],
                               "--labels2", files[1])


def test_a_store_and_itself_do_not_differ(folder):
    same = cliplens("compare", folder / "a", folder / "a", *CLASSES)
    zero, one = (dict(value=v, low=v, high=v) for v in (0, 1))
    assert same["same_model"] and same["similarity"] == one
    assert all(c["share_change"] == zero for c in same["components"])
    assert all(c["similarity"] == one for c in same["components"][:36])
    assert same["flips"]["count"] == 0 and same["flips"]["listed"] == []
    assert same["accuracy"]["difference"]["value"] == 0 and same["accuracy"]["p"] == 1
    assert "(the same model)" in run("compare", folder / "a", folder / "a").stdout
    refusal = refused("compare", folder / "a", folder / "a", *CLASSES, "--maps", folder / "no.png")
    assert "no picture has another answer" in refusal and not (folder / "no.png").exists()


def test_one_head_that_was_scaled_is_found(folder, tmp_path):
    """L5.H3's values are doubled: it tells the same apart and counts for more; all others keep."""
    def change(tensors):
        values = slice(2 * 192 + 3 * 32, 2 * 192 + 4 * 32)
        for name in ("in_proj_weight", "in_proj_bias"):
            tensors[f"visual.transformer.resblocks.5.attn.{name}"][values] *= 2

    other = store_of(changed_model(tmp_path / "scaled", change), BIRDS, tmp_path / "store")
    result = cliplens("compare", folder / "a", other, "--sort", "share")
    by_name = {c["component"]: c for c in result["components"]}
    assert result["heads"][0] == "L5.H3"
    assert by_name["L5.H3"]["share_change"]["low"] > 0.01
    assert by_name["L5.H3"]["similarity"]["value"] > 0.97
    assert by_name["L5.H2"]["similarity"]["value"] > 0.97


def test_stores_of_other_pictures_are_compared_on_what_they_share(folder, tmp_path):
    some = tmp_path / "some"
    shutil.copytree(folder / "photos", some)
    for name in sorted(p.name for p in some.iterdir())[:2]:
        (some / name).unlink()
    shutil.copy(next(some.iterdir()), some / "extra.png")
    a = store_of("pictureworld", folder / "photos", tmp_path / "a")
    b = store_of("pictureworld-birds", some, tmp_path / "b")
    result = cliplens("compare", a, b)
    assert (result["common"], result["a"]["images"], result["b"]["images"]) == (6, 8, 7)
    assert "6 pictures that both stores have of 8 and 7" in run("compare", a, b).stdout
    assert "no picture of the same path" in refused("compare", a, folder / "b")


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_few_pictures_have_few_figures(folder, tmp_path, count):
    (tmp_path / "few").mkdir()
    for path in sorted((folder / "photos").iterdir())[:count]:
        shutil.copy(path, tmp_path / "few")
    a = store_of("pictureworld", tmp_path / "few", tmp_path / "a")
    b = store_of("pictureworld-birds", tmp_path / "few", tmp_path / "b")
    result = cliplens("compare", a, b, *CLASSES)
    assert result["images"] == count
    head = result["components"][0]
    assert (head["share_change"] is not None) == (count >= 3)
    assert (head["similarity"] is not None) == (count >= 5)
    assert result["accuracy"]["difference"] is None  # the folder has no labels
    assert result["flips"]["images"] == count
    assert any("no picture has a label" in m for m in result["missing"])
    plain = run("compare", a, b, *CLASSES).stdout
    assert ("unknown" in plain) == (count < 5) and "not shown: accuracy" in plain


def test_statistics_alone_give_shares(folder, tmp_path):
    bare = store_of("pictureworld-birds", BIRDS, tmp_path / "bare", "--stats-only")
    result = cliplens("compare", folder / "a", bare, *CLASSES, "--properties", PROPERTIES)
    whole = cliplens("compare", folder / "a", folder / "b")
    assert result["from_statistics"] and result["blocks"] == 8
    for one, other in zip(result["components"], whole["components"]):
        assert one["similarity"] is None
        assert one["share_change"]["value"] == pytest.approx(other["share_change"]["value"],
                                                             abs=1e-6)
    missing = "\n".join(result["missing"])
    for what in ("likeness (CKA)", "accuracy and flips", "labels by a property table"):
        assert what in missing
    assert missing.count("without --stats-only") == 3 and str(bare) in missing
    other = store_of("pictureworld", folder / "photos", tmp_path / "other", "--stats-only")
    assert "not of the same set" in refused("compare", other, bare)


def test_models_of_another_shape_are_refused(folder, tmp_path):
    snapshot.write_open_clip(tmp_path / "gelu", snapshot.RANDOM_MODELS["gelu"])
    other = store_of(tmp_path / "gelu", folder / "photos", tmp_path / "store")
    message = refused("compare", folder / "a", other)
    assert "6 layers of 6 heads" in message and "3 of 3" in message and "match" in message


def test_a_label_that_differs_says_that_pictures_do(tmp_path, folder):
    stores = []
    for side, model in zip("ab", ("pictureworld", "pictureworld-birds")):
        rows = [f"../photos/{p.name},{'duck' if side == 'a' else 'swan'}"
                for p in sorted((folder / "photos").iterdir())]
        (tmp_path / f"{side}.csv").write_text("\n".join(["path,label", *rows]) + "\n")
        shutil.copytree(folder / "photos", tmp_path / "photos", dirs_exist_ok=True)
        table = tmp_path / f"{side}.csv"
        table.write_text(table.read_text().replace("../", ""))
        stores.append(store_of(model, table, tmp_path / side))
    (tmp_path / "classes.txt").write_text("duck\nswan\n")
    message = refused("compare", *stores, "--classes", tmp_path / "classes.txt")
    assert "the label duck" in message and "not of the same pictures" in message


def test_maps_stand_side_by_side(folder, tmp_path):
    image = sorted((folder / "photos").iterdir())[0]
    result = cliplens("compare", folder / "a", folder / "b", "--image", image, "--text", "a duck",
                      "--text", "on stones", "--maps", tmp_path / "maps.png")
    assert (tmp_path / "maps.png").read_bytes()[:4] == b"\x89PNG"
    for side, model in zip("ab", ("pictureworld", "pictureworld-birds")):
        maps = cliplens("heatmap", model, "--image", image, "--text", "a duck", "--text",
                        "on stones")["maps"]
        assert [m["text"] for m in result["maps"]] == ["a duck", "on stones"]
        for pair, one in zip(result["maps"], maps):
            assert pair[f"score_{side}"] == one["score"] and pair[f"map_{side}"] == one["map"]
    flips = cliplens("compare", folder / "a", folder / "b", *CLASSES, "--flips", 2, "--maps",
                     tmp_path / "flips.png")
    for flip, pair in zip(flips["flips"]["listed"], flips["maps"]):
        assert (pair["path"], pair["text"], pair["against"]) == (flip["path"], flip["after"],
                                                                 flip["before"])
        assert pair["score_a"] == pytest.approx(flip["margin_a"], abs=1e-5)
        assert pair["score_b"] == pytest.approx(flip["margin_b"], abs=1e-5)
    assert "--classes" in refused("compare", folder / "a", folder / "b", "--maps", tmp_path / "x")
    assert "nowhere" in refused("compare", folder / "a", folder / "b", "--image", image, "--text",
                                "a duck")


def test_maps_of_pictures_that_have_moved(tmp_path):
    shutil.copytree(BIRDS, tmp_path / "here")
    stores = [store_of(model, tmp_path / "here", tmp_path / name)
              for name, model in (("a", "pictureworld"), ("b", "pictureworld-birds"))]
    (tmp_path / "here").rename(tmp_path / "there")
    asked = ["compare", *stores, *CLASSES, "--flips", 2, "--maps", tmp_path / "maps.png"]
    assert "--images" in refused(*asked) and not (tmp_path / "maps.png").exists()
    result = cliplens(*asked, "--images", tmp_path / "there")
    assert len(result["maps"]) == 2 and result["missing"] == []


def test_the_csv_says_of_components_what_the_json_does(folder, tmp_path):
    answer = cliplens("compare", folder / "a", folder / "b", *CLASSES, "--properties", PROPERTIES,
                      "--csv", tmp_path / "all.csv")
    lines = list(csv.DictReader((tmp_path / "all.csv").open(newline="")))
    means = {m["component"]: m for m in answer["flips"]["means"]}
    labels = {h["head"]: h for h in answer["labels"]["heads"]}
    assert [line["component"] for line in lines] == [c["component"] for c in answer["components"]]
    assert means and len(labels) == 36 and any(m["lost"] for m in means.values())
    for line, component in zip(lines, answer["components"]):
        of = {**component, **means[line["component"]], **labels.get(line["component"], {})}
        for name in ("similarity", "share_a", "share_b", "share_change", "lost", "gained"):
            for part in ("value", "low", "high"):
                told = line[name if part == "value" else f"{name}_{part}"]
                assert told == ("" if of[name] is None else f"{of[name][part]:.9g}")
        for side in "ab":
            assert line[f"label_{side}"] == (of.get(f"label_{side}") or "")
            confidence = of.get(f"confidence_{side}")
            assert line[f"confidence_{side}"] == ("" if confidence is None else f"{confidence:.9g}")
    # Without classes and properties, to a file that must not be there.
    short = ("compare", folder / "a", folder / "b", "--csv")
    cliplens(*short, tmp_path / "short.csv")
    (first, *_) = csv.DictReader((tmp_path / "short.csv").open(newline=""))
    assert first["similarity"] == lines[0]["similarity"]
    assert first["lost"] == first["label_a"] == first["confidence_b"] == ""
    assert "exists already" in refused(*short, tmp_path / "short.csv")


def test_the_report_compares_the_labels_of_all_heads(folder, tmp_path):
    """Also of those that the page itself does not label."""
    page = tmp_path / "report.html"
    cliplens("report", folder / "a", "--texts", ROOT / "world/texts/objects.txt", "--heads", "L5",
             "--properties", PROPERTIES, "--beside", folder / "b", "--out", page)
    section = page.read_text().split('<section id="beside"')[1].split("</section>")[0]
    labels = cliplens("compare", folder / "a", folder / "b", "--properties", PROPERTIES)["labels"]
    assert f"{labels['changed']} of 36 labels changed" in section
    of = {h["head"]: [h["label_a"] or "none", h["label_b"] or "none"] for h in labels["heads"]}
    heads = [(re.search(r"L\d\.H\d", row)[0], re.findall(r"<td>(.*?)</td>", row))
             for row in section.split("<tr>")[2:] if re.search(r"L\d\.H\d", row)]
    assert {name[:2] for name, _ in heads} > {"L5"}
    for name, cells in heads:
        assert [re.sub("<.*?>", "", cell) for cell in cells[-2:]] == of[name]


def test_the_report_has_the_comparison(folder, tmp_path):
    page = tmp_path / "report.html"
    cliplens("report", folder / "a", "--texts", ROOT / "world/texts/objects.txt", "--heads", "L5",
             *CLASSES, "--beside", folder / "b", "--out", page)
    html = page.read_text()
    section = html.split('<section id="beside"')[1].split("</section>")[0]
    assert '<a href="#beside">' in html and "another answer" in section
    assert re.search(r"Accuracy on 200.pictures", section) and "McNemar" in section
    assert section.count("<tr>") > 12


def test_files_and_arguments(folder, tmp_path):
    out = tmp_path / "compare.json"
    printed = cliplens("compare", folder / "a", folder / "b", "--out", out)
    assert json.loads(out.read_text()) == printed
    for threads in (1, 2):
        assert cliplens("compare", folder / "a", folder / "b", "--threads", threads) == printed
    for arguments, said in ((("--sort", "size"), "--sort"), (("--labels", out), "--labels2"),
                            (("--image", out), "--text"), (("--flips", -1), "--flips"),
                            (("--classes", tmp_path / "none.txt"), "none.txt")):
        assert said in refused("compare", folder / "a", folder / "b", *arguments)
    assert "no such store" in refused("compare", folder / "a", tmp_path / "nothing")
