"""`label` and `evaluate labels` against numpy in E dimensions, from exported contributions."""

import json
import os
import shutil
import subprocess
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from bench.truth import calibrate  # noqa: E402

PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
PROPERTIES = ROOT / "world/texts/properties.txt"
FACTORS = ["object", "style", "background", "position", "size", "count", "effect"]

# As the program has them.
SOURCE = (ROOT / "cliplens/analysis/label_confidence.cc").read_text()
COEFFICIENTS = np.array([float(re.search(rf"\bk{name} = (-?[0-9.]+)", SOURCE)[1])
                         for name in ("Intercept", *calibrate.FEATURES)])


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
        first = head["guess"]
        assert head["label"] == (first if head["confidence"] >= 0.5 else None)
        assert first == max(head["properties"], key=lambda p: p["net"])["property"]
        for p in head["properties"]:
            assert p["share"]["value"] == pytest.approx(shares[p["property"]], abs=1e-6), head["head"]
            assert p["turned"] <= p["chance"] + 1e-12
            part = part_of_turned(embedding, texts[[q == p["property"] for q in properties]])
            assert p["shared"] >= 0
            assert p["net"] <= p["share"]["value"] - part * p["turned"] - p["shared"] + 1e-6
            over = head["rival"] if p["property"] == first else first
            assert p["beyond"] == pytest.approx(
                beyond(rows, answers[over], answers[p["property"]]), abs=1e-6), head["head"]
        others = [p for p in head["properties"] if p["property"] != first]
        assert head["rival"] == max(others, key=lambda p: p["beyond"])["property"]
        assert head["coverage"] == pytest.approx(shares[first], abs=1e-6)
        figures = head["figures"]
        own = texts[[q == first for q in properties]]
        assert figures["head_alignment"] == pytest.approx(alignment(rows, own), rel=1e-5)
        assert figures["text_alignment"] == pytest.approx(alignment(embedding, own), rel=1e-5)
        assert figures["net"] == max(p["net"] for p in head["properties"])
        assert figures["next_net"] == max(p["net"] for p in others)
        assert head["confidence"] == pytest.approx(
            float(calibrate.confidence(COEFFICIENTS, [{"figures": figures}])[0]), abs=1e-9)


def alignment(rows, texts):
    """E times the mean share of the variance of `rows` along the texts about their mean."""
    rows, texts = rows - rows.mean(0), texts - texts.mean(0)
    along = ((rows @ texts.T) ** 2).sum(0) / (texts ** 2).sum(1)
    return along.mean() / (rows ** 2).sum() * rows.shape[1]


def part_of_turned(embedding, texts):
    """The least part of the turned texts' share that may be taken off: with the peak of the texts
    beyond the smallest that turned texts can have, 0."""
    scores = (embedding - embedding.mean(0)) @ (texts - texts.mean(0)).T
    peak = (scores / scores.std(0)).max(1).mean()
    return np.exp(-6 * max(0, peak)) / max(1, alignment(embedding, texts)) ** 3


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


@pytest.mark.parametrize("left_out, names", [
    ((), 8), (("effect",), 7), (("effect", "size", "object", "category", "style"), 3)])
def test_confidence_is_calibrated_inside_what_it_was_fitted_on(made, tmp_path, left_out, names):
    lines = [line for line in PROPERTIES.read_text().splitlines()
             if line.split("\t")[1] not in left_out]
    table = tmp_path / "table.txt"
    table.write_text("\n".join(lines) + "\n")
    for pictures in (8, 10000):
        result = run("label", made[0], "--properties", table, "--heads", "L5.H0", "--most-images",
                     pictures)
        assert result["calibrated"] and result["uncalibrated_because"] == []
    few = run("label", made[0], "--properties", table, "--heads", "L5.H0", "--most-images", 7)
    assert not few["calibrated"] and few["uncalibrated_because"] == ["7 pictures of at least 8"]
    assert len(few["properties"]) == names


def test_a_table_about_other_things_is_not_called_calibrated(made, tmp_path):
    table = tmp_path / "table.txt"
    table.write_text("a red thing\tcolour\na blue thing\tcolour\na day\ttime\na night\ttime\n")
    result = run("label", made[0], "--properties", table, "--heads", "L5.H0")
    assert not result["calibrated"]
    assert "about other things" in result["uncalibrated_because"][0]
    many = tmp_path / "many.txt"  # 8 of the picture world's and 18 others
    many.write_text(PROPERTIES.read_text()
                    + "".join(f"text {i} {v}\tproperty {i}\n" for i in range(18) for v in "ab"))
    result = run("label", made[0], "--properties", many, "--heads", "L5.H0")
    assert result["uncalibrated_because"] == ["the table has 26 properties; it was fitted on 2 to 25"]


def test_few_pictures_are_not_sure_of_what_many_deny(made):
    """Labels on a few pictures against the true factors: the confidence is not above what holds."""
    truth = {head["head"]: head["first"] for head in run(
        "evaluate", "labels", made[0], "--properties", PROPERTIES, "--truth", ",".join(FACTORS),
        "--only", "object2=")["truth"]}
    stated, true = [], []
    for pictures in (8, 12, 25, 50, 100, 200):
        heads = run("label", made[0], "--properties", PROPERTIES, "--most-images",
                    pictures)["heads"]
        assert all(head["guess"] is not None for head in heads)
        for head in heads:
            assert (head["label"] is None) == (head["confidence"] < 0.5)
            if head["label"] is not None:
                stated.append(head["confidence"])
                true.append(head["label"] == truth[head["head"]])
    assert len(stated) > 80
    assert abs(np.mean(stated) - np.mean(true)) < 0.1


def test_a_model_of_random_weights_is_sure_of_nothing(made, tmp_path):
    """Every tensor's numbers of a shipped model in another order: the same sizes, no meaning."""
    model = tmp_path / "shuffled"
    shutil.copytree(ROOT / "models/pictureworld", model)
    path = model / "open_clip_model.safetensors"
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    draw = np.random.default_rng(5)
    for name, tensor in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        low, high = (start + at for at in tensor["data_offsets"])
        width = {"F16": 2, "BF16": 2, "F32": 4}[tensor["dtype"]]
        numbers = np.frombuffer(bytes(data[low:high]), f"V{width}")
        data[low:high] = draw.permutation(numbers).tobytes()
    path.write_bytes(data)
    run("decompose", model, "--images", ROOT / "world/sets/test", "--out", tmp_path / "store")
    for pictures in (12, 100, 1180):
        heads = run("label", tmp_path / "store", "--properties", PROPERTIES, "--most-images",
                    pictures)["heads"]
        assert sum(head["confidence"] >= 0.8 for head in heads) == 0


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
