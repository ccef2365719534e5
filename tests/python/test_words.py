"""Sums of a few texts, computed again in NumPy: `describe` from embeddings and contributions that
the program exports, `weights` from the weights in the shipped model's file."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from test_analysis_twins import make_wide_heads, read_safetensors  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
MODEL = "pictureworld"
PHRASES = ROOT / "world/texts/phrases.txt"
BIRDS = ROOT / "world/sets/birds"


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], text=True, capture_output=True,
                          timeout=600)


def cliplens(*arguments):
    result = run(*arguments, "--json")
    assert result.returncode == 0, f"{arguments}\n{result.stderr}"
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("words")
    cliplens("decompose", MODEL, "--images", BIRDS, "--out", out / "store")
    cliplens("decompose", MODEL, "--images", BIRDS, "--out", out / "stats", "--stats-only")
    cliplens("export", out / "store", "--out", out / "arrays")
    return out


@pytest.fixture(scope="module")
def arrays(folder):
    names = ("attn", "mlp", "embedding")
    found = {n: np.load(folder / f"arrays/{n}.npy").astype(np.float64) for n in names}
    rows = (folder / "arrays/items.jsonl").read_text().splitlines()
    return found | {"items": [json.loads(row) for row in rows]}


def texts_of(pool, folder, model=MODEL):
    lines = [line.split("\t")[0].strip() for line in pool.read_text().splitlines() if line.strip()]
    (folder / "lines.txt").write_text("".join(line + "\n" for line in lines))
    if not (folder / "texts.npy").exists():
        cliplens("embed", model, "--texts", folder / "lines.txt", "--out", folder / "texts.npy")
    return lines, np.load(folder / "texts.npy").astype(np.float64)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def centred(texts, without_mean=False):
    mean = texts.mean(0)
    atoms = texts - mean
    if without_mean:
        m = unit(mean)
        atoms -= np.outer(atoms @ m, m)
    return unit(atoms)


def quadratic(gram, products):
    """The w >= 0 of least w^T G w / 2 - b^T w: texts that gain join, those below 0 leave."""
    weights = np.zeros(len(products))
    while True:
        gain = products - gram @ weights
        gain[weights > 0] = 0
        if gain.max() < 1e-12:
            return weights
        used = weights > 0
        used[gain.argmax()] = True
        while True:
            target = np.zeros_like(weights)
            target[used] = np.linalg.solve(gram[np.ix_(used, used)], products[used])
            if target[used].min() > 0:
                weights = target
                break
            below = used & (target <= 0)
            step = (weights[below] / (weights[below] - target[below])).min()
            weights += step * (target - weights)
            used &= weights > 1e-15
            weights[~used] = 0


def check_lasso(result, atoms, direction, count):
    """The texts are those of the positive lasso at the penalty, fitted without it."""
    gram, along = atoms @ atoms.T, atoms @ direction
    penalty = result["penalty"]
    lasso = quadratic(gram, along - penalty)
    support = np.flatnonzero(lasso > 1e-6)
    assert abs(len(support) - count) <= 1 or penalty == 0  # one joins just there
    index = [t["index"] for t in result["texts"]]
    weights = np.array([t["weight"] for t in result["texts"]])
    assert list(weights) == sorted(weights, reverse=True) and (weights > 0).all()
    fitted = np.zeros(len(atoms))
    fitted[support] = quadratic(gram[np.ix_(support, support)], along[support])
    assert set(index) <= set(support) and np.abs(fitted[index] - weights).max() < 1e-4
    assert np.delete(fitted, index).max() < 1e-4
    # As much as count allows: one more text joins at the penalty.
    rest = along - gram @ lasso
    assert penalty == 0 or np.sum(rest > penalty - 1e-5) == count + 1
    total = weights @ atoms[index]
    assert abs(unit(total) @ direction - result["cosine"]) < 1e-6
    assert np.allclose([t["cosine"] for t in result["texts"]], along[index], atol=1e-6)


@pytest.mark.parametrize("count", [1, 5, 20])
def test_a_picture_about_the_mean_of_a_store(count, folder, arrays):
    _, texts = texts_of(PHRASES, folder)
    result = cliplens("describe", MODEL, "--store", folder / "store", "--item", 3, "--texts",
                      PHRASES, "--count", count)
    e = arrays["embedding"]
    x = e[3] - e.mean(0)
    assert result["centring"] == "means" and result["means"]["images"] == 200
    assert abs(result["length"] - np.linalg.norm(x)) < 1e-6
    check_lasso(result, centred(texts), unit(x), count)


def test_pictures_and_their_store_are_described_alike(folder):
    words = ["--texts", PHRASES, "--count", 6]
    stored = cliplens("describe", MODEL, "--store", folder / "store", *words)
    read = cliplens("describe", MODEL, "--images", BIRDS, *words)
    assert stored["centring"] == read["centring"] == "none"
    assert [t["index"] for t in stored["texts"]] == [t["index"] for t in read["texts"]]
    assert abs(stored["cosine"] - read["cosine"]) < 1e-5
    part = ["--only", "place_kind=water", "--head", "L5.H4,L5.MLP", "--means", folder / "store"]
    stored = cliplens("describe", MODEL, "--store", folder / "store", *part, *words)
    read = cliplens("describe", MODEL, "--images", BIRDS, *part, *words)
    assert stored["of"]["images"] == read["of"]["images"] == 100
    assert np.allclose([t["weight"] for t in stored["texts"]],
                       [t["weight"] for t in read["texts"]], atol=1e-4)


def test_without_a_mean_the_texts_own_is_projected_out(folder, arrays):
    _, texts = texts_of(PHRASES, folder)
    result = cliplens("describe", MODEL, "--store", folder / "store", "--texts", PHRASES, "--count",
                      4)
    x, m = arrays["embedding"].mean(0), unit(texts.mean(0))
    check_lasso(result, centred(texts, without_mean=True), unit(x - x @ m * m), 4)


@pytest.mark.parametrize("name", ["L5.H4", "L5", "L3.MLP", "INPUT", "L4.H0,L5.H1"])
def test_a_component_of_the_difference_of_two_classes(name, folder, arrays):
    _, texts = texts_of(PHRASES, folder)
    result = cliplens("describe", MODEL, "--store", folder / "store", "--only", "place_kind=water",
                      "--minus-only", "place_kind=land", "--components", name, "--texts", PHRASES)
    assert result["centring"] == "difference"
    part = {"L5.H4": lambda a, m: a[:, 5, 4], "L5": lambda a, m: a[:, 5].sum(1),
            "L3.MLP": lambda a, m: m[:, 4], "INPUT": lambda a, m: m[:, 0],
            "L4.H0,L5.H1": lambda a, m: a[:, 4, 0] + a[:, 5, 1]}[name]
    rows = part(arrays["attn"], arrays["mlp"])
    water = np.array([i["attributes"]["place_kind"] == "water" for i in arrays["items"]])
    check_lasso(result, centred(texts), unit(rows[water].mean(0) - rows[~water].mean(0)), 10)


def test_what_is_known_is_named(folder):
    """Birds on water less birds on land: the texts are about water."""
    result = cliplens("describe", MODEL, "--images", BIRDS, "--only", "place_kind=water",
                      "--minus-only", "place_kind=land", "--texts",
                      ROOT / "world/texts/backgrounds.txt", "--count", 1)
    assert result["texts"][0]["text"] == "the sea"


def head_matrix(tensors, layer, head, width, k):
    """C diag(γ_1) W_V W_h C diag(γ) P [D, E]."""
    block = f"visual.transformer.resblocks.{layer}"
    rows = slice(head * k, (head + 1) * k)
    centre = np.eye(width) - 1 / width
    read = centre * tensors[f"{block}.ln_1.weight"] @ (
        tensors[f"{block}.attn.in_proj_weight"][2 * width:][rows].T)
    write = tensors[f"{block}.attn.out_proj.weight"][:, rows].T @ centre
    return read, write * tensors["visual.ln_post.weight"] @ tensors["visual.proj"]


def nnls(chosen, v):
    """Non-negative least squares by trying every support of a few texts."""
    best, weights = np.inf, None
    for support in range(1, 2 ** len(chosen)):
        used = [i for i in range(len(chosen)) if support >> i & 1]
        w = np.linalg.lstsq(chosen[used].T, v, rcond=None)[0]
        error = np.linalg.norm(v - w @ chosen[used])
        if (w >= 0).all() and error < best - 1e-12:
            best, weights = error, np.zeros(len(chosen))
            weights[used] = w
    return weights


def pursuit(atoms, v, count, coherence):
    picked, weights, rest = [], np.zeros(0), v
    for _ in range(count):
        along = atoms @ rest
        score = along + (coherence * atoms @ atoms[picked].mean(0) if picked else 0)
        score[along <= 1e-9] = -np.inf
        score[picked] = -np.inf
        if not np.isfinite(score.max()):
            break
        picked.append(int(score.argmax()))
        weights = nnls(atoms[picked], v)
        rest = v - weights @ atoms[picked]
    return {j: w for j, w in zip(picked, weights) if w > 0}, weights @ atoms[picked]


@pytest.mark.parametrize("model", [MODEL, "wide"])
def test_heads_from_their_weights(model, tmp_path):
    path = ROOT / "models" / MODEL
    layers, heads, k = 6, 6, 32
    if model == "wide":
        path, layers, heads, k = make_wide_heads(tmp_path / "wide"), 4, 2, 80
    width = heads * k
    tensors = {name: values.astype(np.float64) for name, values
               in read_safetensors(path / "open_clip_model.safetensors").items()}
    _, texts = texts_of(PHRASES, tmp_path, path)
    atoms = centred(texts)
    result = cliplens("weights", path, "--texts", PHRASES, "--directions", 2, "--count", 3,
                      "--csv", tmp_path / "words.csv")
    assert [h["head"] for h in result["heads"]] == [f"L{i}.H{j}" for i in range(layers)
                                                    for j in range(heads)]
    same = []
    for found in result["heads"]:
        layer, head = (int(part[1:]) for part in found["head"].split("."))
        read, write = head_matrix(tensors, layer, head, width, k)
        u, s, vt = np.linalg.svd(read @ write, full_matrices=False)
        assert np.allclose(found["values"], s[:k], atol=1e-6 * s[0])
        shares = s[:k] ** 2 / (s[:k] ** 2).sum()
        assert abs(found["effective_rank"] - np.exp(-shares @ np.log(shares + 1e-300))) < 1e-4
        for n, direction in enumerate(found["directions"]):
            sign = np.sign(vt[n][np.abs(vt[n]).argmax()])
            shown = u[:, n] * tensors["visual.ln_post.weight"] @ tensors["visual.proj"]
            for side, v in (("writes", sign * vt[n]), ("reads", sign * unit(shown))):
                for name, signed in (("plus", v), ("minus", -v)):
                    words, total = pursuit(atoms, signed, 3, 0.3)
                    got = direction[side][name]
                    # Two texts that score alike in fp32 weights may change places.
                    same.append([t["index"] for t in got["texts"]]
                                == sorted(words, key=lambda j: -words[j]))
                    if same[-1]:
                        assert np.allclose([t["weight"] for t in got["texts"]],
                                           sorted(words.values(), reverse=True), atol=1e-3)
                        assert abs(got["cosine"] - unit(total) @ signed) < 1e-3
    assert np.mean(same) > 0.99
    rows = list(csv.DictReader((tmp_path / "words.csv").open()))
    assert len(rows) == sum(len(d[side][sign]["texts"]) for h in result["heads"]
                            for d in h["directions"] for side in ("writes", "reads")
                            for sign in ("plus", "minus"))


def test_threads_change_no_byte(folder):
    for command in (["weights", MODEL, "--texts", PHRASES],
                    ["describe", MODEL, "--images", BIRDS, "--head", "L5.H1", "--texts", PHRASES]):
        one, many = (run(*command, "--json", "--threads", n) for n in (1, 3))
        assert one.returncode == 0 and one.stdout == many.stdout


def test_what_cannot_be_described_is_refused(folder, tmp_path):
    one = tmp_path / "one.txt"
    one.write_text("a duck\n")
    twice = tmp_path / "twice.txt"
    twice.write_text("a duck\n\na duck\n")
    store, words = ["--store", folder / "store"], ["--texts", PHRASES]
    for status, message, arguments in (
            (2, "--store", [*words]),
            (2, "--item", ["--images", BIRDS, "--item", 3, *words]),
            (2, "--count", [*store, "--count", 0, *words]),
            (2, "1 text with one embedding", [*store, "--texts", one]),
            (2, "2 texts with one embedding", [*store, "--texts", twice]),
            (2, "ATTRIBUTE=VALUE", [*store, "--only", "water", *words]),
            (2, "cancel", [*store, "--minus", BIRDS, "--means", folder / "store", *words]),
            (2, "L9.H0", [*store, "--head", "L9.H0", *words]),
            (2, "fingerprint", [*store, *words]),
            (3, "place=moon", [*store, "--only", "place=moon", *words]),
            (3, "item 200", [*store, "--item", 200, *words]),
            (3, "nothing", ["--store", tmp_path / "nothing", *words]),
            (5, "statistics only", ["--store", folder / "stats", "--item", 3, *words]),
            (5, "statistics only", ["--store", folder / "stats", "--only", "object=x", *words]),
            (5, "no direction", [*store, "--means", folder / "store", *words]),
            (5, "no direction", [*store, "--minus", folder / "store", *words])):
        model = "pictureworld-2" if message == "fingerprint" else MODEL
        result = run("describe", model, *arguments)
        assert result.returncode == status, (arguments, result.stderr)
        assert message in result.stderr and result.stderr.count("\n") == 1, result.stderr
    for status, message, arguments in (
            (2, "L6", ["--heads", "L6", *words]),
            (2, "--directions", ["--directions", 0, *words]),
            (2, "coherence nan", ["--coherence", "nan", *words]),
            (2, "--coherence", ["--coherence", -1, *words]),
            (2, "1 text with one embedding", ["--texts", one])):
        result = run("weights", MODEL, *arguments)
        assert result.returncode == status, (arguments, result.stderr)
        assert message in result.stderr, result.stderr


def test_the_pool_is_the_shipped_one_unless_another_is_named(folder):
    described = cliplens("describe", MODEL, "--store", folder / "store", "--item", 7)
    weighed = cliplens("weights", MODEL, "--heads", "L5.H4", "--directions", 1)
    assert described["pool"] == weighed["pool"] == {"name": "general.txt", "texts": 4090}


def test_doubled_texts_and_blank_lines(folder, tmp_path):
    lines = PHRASES.read_text().splitlines()
    double = tmp_path / "double.txt"
    double.write_text("\n".join(lines + [""] + lines) + "\n")
    arguments = ["describe", MODEL, "--store", folder / "store", "--item", 7, "--count", 12]
    result = run(*arguments, "--texts", double, "--json")
    assert "1 blank line" in result.stderr
    once, twice = cliplens(*arguments, "--texts", PHRASES), json.loads(result.stdout)
    assert [t["index"] for t in once["texts"]] == [t["index"] for t in twice["texts"]]


def test_more_texts_than_help_and_none_that_does(folder, tmp_path):
    """The path ends at the solution without a penalty."""
    pool = tmp_path / "few.txt"
    pool.write_text("a duck\na swan\nin the snow\n")
    arguments = ["describe", MODEL, "--store", folder / "store", "--texts", pool, "--count", 1000]
    found = cliplens(*arguments, "--item", 0)
    assert found["penalty"] == 0 and 0 < len(found["texts"]) <= 3
    empty = [r for r in (cliplens(*arguments, "--item", i) for i in range(30)) if not r["texts"]]
    for result in empty:
        assert result["cosine"] == 0
