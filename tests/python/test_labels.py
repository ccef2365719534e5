"""`label` and `evaluate labels` against numpy in E dimensions, from exported contributions."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
PROPERTIES = ROOT / "world/texts/properties.txt"
FACTORS = ["object", "style", "background", "position", "size", "count", "effect"]


def run(*words):
    done = subprocess.run([PROGRAM, *map(str, words), "--json", "--quiet"], text=True,
                          capture_output=True, env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store, its contributions [B, L, H, E] and embeddings, what is known of the pictures, and
    the embeddings of the property table's texts with their properties."""
    folder = tmp_path_factory.mktemp("labels")
    store = folder / "store"
    run("decompose", "pictureworld", "--images", ROOT / "world/sets/test", "--out", store)
    run("export", store, "--out", folder / "arrays")
    lines = [line.split("\t") for line in PROPERTIES.read_text().splitlines()]
    (folder / "texts.txt").write_text("".join(text + "\n" for text, _ in lines))
    run("embed", "pictureworld", "--texts", folder / "texts.txt", "--out", folder / "texts.npy")
    facts = [json.loads(line)["attributes"]
             for line in (folder / "arrays/items.jsonl").read_text().splitlines()]
    arrays = {name: np.load(folder / f"arrays/{name}.npy").astype(np.float64)
              for name in ("attn", "embedding")}
    return (store, arrays["attn"], arrays["embedding"], facts,
            np.load(folder / "texts.npy").astype(np.float64), [name for _, name in lines])


def means(rows, groups):
    """The mean of each row's group [B, E]."""
    out = np.zeros_like(rows)
    for group in np.unique(groups):
        out[groups == group] = rows[groups == group].mean(0)
    return out


def share(rows, groups):
    """Between-group share of the variance, corrected for the number of groups."""
    count, number = len(rows), len(np.unique(groups))
    total = ((rows - rows.mean(0)) ** 2).sum()
    within = ((rows - means(rows, groups)) ** 2).sum()
    return 1 - within / (count - number) / (total / (count - 1))


def beyond(rows, first, groups):
    """What `groups` explain of the part that `first` leaves, as a share of the whole."""
    rest = rows - means(rows, first)
    return (share(rest, groups) * (rest ** 2).sum() / ((rows - rows.mean(0)) ** 2).sum())


def test_shares_of_own_answers_are_those_in_e_dimensions(made):
    store, attn, embedding, _, texts, properties = made
    names = list(dict.fromkeys(properties))
    # Two scores of a picture within the rounding of fp32 may change places; there are none here.
    answers = {}
    for name in names:
        scores = embedding @ texts[[p == name for p in properties]].T
        top = np.sort(scores, axis=1)
        assert (top[:, -1] - top[:, -2] > 1e-6).all()
        answers[name] = scores.argmax(1)
    heads = run("label", store, "--properties", PROPERTIES)["heads"]
    assert len(heads) == attn.shape[1] * attn.shape[2]
    assert sum(head["label"] is not None for head in heads) >= 12
    for head in heads:
        layer, number = (int(part[1:]) for part in head["head"].split("."))
        rows = attn[:, layer, number]
        assert [p["property"] for p in head["properties"]] == names
        shares = {name: share(rows, answers[name]) for name in names}
        first = max(names, key=shares.get)
        assert head["label"] in (first, None)
        for p in head["properties"]:
            assert p["share"]["value"] == pytest.approx(shares[p["property"]], abs=1e-6), head["head"]
            over = head["rival"] if p["property"] == first else first
            assert p["beyond"] == pytest.approx(
                beyond(rows, answers[over], answers[p["property"]]), abs=1e-6), head["head"]
        others = [p for p in head["properties"] if p["property"] != first]
        assert head["rival"] == max(others, key=lambda p: p["beyond"])["property"]
        if head["label"]:
            assert head["coverage"] == pytest.approx(shares[first], abs=1e-6)
            label = next(p for p in head["properties"] if p["property"] == first)
            explained = label["share"]["value"]
            assert explained > label["chance"] and label["share"]["low"] > 0
            rival = next(p for p in head["properties"] if p["property"] == head["rival"])
            margin = min(3, np.log(explained / max(rival["beyond"], 1e-3)))
            logit = (1.73 + 0.62 * margin + 1.81 * np.log(explained)
                     + 4.64 * head["stability"])
            assert head["confidence"] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-9)


def test_truth_is_that_in_e_dimensions(made):
    store, attn, _, facts, _, _ = made
    single = np.array([fact["object2"] is None for fact in facts])
    result = run("evaluate", "labels", store, "--properties", PROPERTIES, "--truth",
                 ",".join(FACTORS), "--only", "object2=")
    assert result["images"] == single.sum()
    assert len(result["truth"]) == attn.shape[1] * attn.shape[2]
    right = variance = 0
    for head in result["truth"]:
        layer, number = (int(part[1:]) for part in head["head"].split("."))
        rows = attn[single, layer, number]
        shares = {f: share(rows, np.array([str(fact[f]) for fact, s in zip(facts, single) if s]))
                  for f in FACTORS}
        order = sorted(FACTORS, key=lambda f: -shares[f])
        assert (head["first"], head["second"]) == tuple(order[:2])
        assert head["clear"] == (shares[order[0]] >= 2 * shares[order[1]])
        assert head["variance"] == pytest.approx(rows.var(0).sum(), rel=1e-5)
        for s in head["shares"]:
            own = s["share"]
            assert own["value"] == pytest.approx(shares[s["factor"]], abs=1e-6)
            assert own["low"] < own["value"] < own["high"]
        variance += head["variance"]
        right += head["variance"] * (head["label"] == head["first"])
    assert result["fidelity"] == pytest.approx(right / variance, abs=1e-9)
    assert result["fidelity"] > 0.95 and result["clear_right"] == result["clear"]


def test_labels_are_the_same_to_the_byte_for_any_threads(made):
    store = made[0]
    printed = {subprocess.run([PROGRAM, "label", store, "--properties", PROPERTIES, "--threads",
                               threads, "--json", "--quiet"], capture_output=True, check=True,
                              env=dict(os.environ, CLIPLENS_SHARE=str(ROOT))).stdout
               for threads in ("1", "2", "3")}
    assert len(printed) == 1


@pytest.mark.parametrize("words, message", [
    (["--truth", "mood"], "'mood'"),
    (["--truth", "caption"], "has no such property"),
    (["--truth", "object", "--only", "object2"], "ATTRIBUTE=VALUE"),
    (["--truth", "object", "--only", "style=oil"], "no picture"),
])
def test_faults_of_evaluate_are_named(made, words, message):
    done = subprocess.run([PROGRAM, "evaluate", "labels", made[0], "--properties", PROPERTIES,
                           *words], text=True, capture_output=True,
                          env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))
    assert done.returncode != 0
    assert message in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("change", [None, "name", "weights"])
def test_a_shipped_model_is_known_wherever_it_lies(tmp_path, change):
    source = "pictureworld-roles" if change == "weights" else "pictureworld"
    model = tmp_path / ("mine" if change == "name" else "pictureworld")
    shutil.copytree(ROOT / "models" / source, model)
    run("decompose", model, "--images", ROOT / "world/sets/single", "--out", tmp_path / "store")
    result = run("label", tmp_path / "store", "--properties", PROPERTIES, "--heads", "L5")
    few = "150 pictures of at least 300"  # sets/single
    assert not result["calibrated"] and few in result["uncalibrated_because"]
    assert ("it was not fitted on this model" in result["uncalibrated_because"]) == (
        change is not None)


@pytest.mark.parametrize("left_out, whole", [((), True), (("effect",), True),
                                             (("effect", "size"), False), (("value",), False)])
def test_confidence_is_calibrated_inside_what_it_was_fitted_on(made, tmp_path, left_out, whole):
    lines = PROPERTIES.read_text().splitlines()
    if left_out == ("value",):
        lines = lines[1:]
    else:
        lines = [line for line in lines if line.split("\t")[1] not in left_out]
    table = tmp_path / "table.txt"
    table.write_text("\n".join(lines) + "\n")
    result = run("label", made[0], "--properties", table, "--heads", "L5.H0")
    assert result["calibrated"] == whole
    assert result["uncalibrated_because"] == (
        [] if whole else ["it was not fitted on this property table"])
    few = run("label", made[0], "--properties", table, "--heads", "L5.H0", "--most-images", 100)
    assert any(" pictures of at least 300" in why for why in few["uncalibrated_because"])


def test_two_models_stand_side_by_side(made, tmp_path):
    asked = ["--properties", PROPERTIES, "--heads", "L5"]
    run("decompose", "pictureworld-2", "--images", ROOT / "world/sets/single", "--out",
        tmp_path / "second")
    alone = run("label", tmp_path / "second", *asked)
    both = run("label", made[0], "--beside", tmp_path / "second", *asked)
    beside = both.pop("beside")
    assert beside == {key: alone[key] for key in ("model", "images", "calibrated", "uncalibrated_because",
                                                "scores")}
    assert beside["model"]["name"] == "pictureworld-2"
    assert both == run("label", made[0], *asked)
    shown = subprocess.run([PROGRAM, "label", made[0], "--beside", tmp_path / "second", *asked],
                           capture_output=True, text=True,
                           env=dict(os.environ, CLIPLENS_SHARE=str(ROOT))).stdout
    rows = {line[:30].strip(): line[30:].split() for line in shown.splitlines()}
    assert rows["entanglement by heads"] == [
        f"{scores['entanglement_by_heads']:.3f}" for scores in (both["scores"], alone["scores"])]
    wrong = subprocess.run([PROGRAM, "label", made[0], "--beside", tmp_path / "second",
                            "--beside-model", "pictureworld", *asked, "--json"],
                           capture_output=True, text=True,
                           env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))
    assert wrong.returncode == 2 and "fingerprint" in wrong.stderr and wrong.stdout == ""


def test_a_program_without_its_files_says_how_to_name_them(made, tmp_path):
    shutil.copy(PROGRAM, tmp_path / "cliplens")
    for verb in ("label", "serve"):
        done = subprocess.run([tmp_path / "cliplens", verb, made[0]], capture_output=True, text=True,
                              env={k: v for k, v in os.environ.items() if k != "CLIPLENS_SHARE"})
        assert done.returncode != 0
        assert "not found beside the program" in done.stderr and "CLIPLENS_SHARE" in done.stderr
