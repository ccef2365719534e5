"""Every figure that the program computes from factors, computed again from whole contributions.

`export` writes each contribution as a vector of the embedding's E numbers. Here the definitions are
applied to those vectors in fp64, word for word, and compared with what `ablate`, `reconstruct`,
`span`, `report`, `match`, `heatmap` and `explain` say, on the shipped model (K = 32) and on an image tower of random weights with
heads of 80 beside the same texts.
"""

import json
import os
import re
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))
import snapshot  # noqa: E402

PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
SHIPPED = ROOT / "models/pictureworld"
TEXTS = ROOT / "world/texts"
WEIGHTS = "open_clip_model.safetensors"
TYPES = {"F16": np.float16, "F32": np.float32}
SCORES = 1e-6
SHARES = 1e-5  # exports are rounded to fp32


def cliplens(*arguments):
    result = subprocess.run([PROGRAM, *map(str, arguments), "--json"], text=True,
                            capture_output=True, timeout=600)
    assert result.returncode == 0, f"{arguments}\n{result.stderr}"
    return json.loads(result.stdout)


# A model whose heads are 80 wide.

def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = np.frombuffer(data[8 + length + begin:8 + length + end], TYPES[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"]).astype(np.float32)
    return tensors


def make_wide_heads(folder):
    """The shipped model's texts beside a random image tower of 4 layers x 2 heads of 80."""
    layers, width, mlp, patch, side = 4, 160, 240, 16, 80
    random = np.random.default_rng(4)
    tensors = {name: values for name, values in read_safetensors(SHIPPED / WEIGHTS).items()
               if not name.startswith("visual.")}

    def matrix(*shape):
        return random.standard_normal(shape) * 1.2 / np.sqrt(np.prod(shape[1:]))

    def vector(n, mean=0.0):
        return mean + 0.3 * random.standard_normal(n)

    visual = {"class_embedding": vector(width), "conv1.weight": matrix(width, 3, patch, patch),
              "positional_embedding": matrix((side // patch) ** 2 + 1, width),
              "proj": matrix(width, tensors["text_projection"].shape[1])}
    for name in ("ln_pre", "ln_post", *(f"transformer.resblocks.{layer}.ln_{i}"
                                        for layer in range(layers) for i in (1, 2))):
        visual |= {f"{name}.weight": vector(width, 1.0), f"{name}.bias": vector(width)}
    for layer in range(layers):
        block = f"transformer.resblocks.{layer}"
        for name, rows, columns in (("attn.out_proj", width, width), ("mlp.c_fc", mlp, width),
                                    ("mlp.c_proj", width, mlp)):
            visual |= {f"{block}.{name}.weight": matrix(rows, columns),
                       f"{block}.{name}.bias": vector(rows)}
        visual |= {f"{block}.attn.in_proj_weight": matrix(3 * width, width),
                   f"{block}.attn.in_proj_bias": vector(3 * width)}
    tensors |= {f"visual.{name}": values for name, values in visual.items()}
    folder.mkdir()
    for path in SHIPPED.iterdir():
        if path.suffix in (".json", ".txt"):
            (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((SHIPPED / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"] = {"image_size": side, "layers": layers, "width": width,
                                         "head_width": 80, "patch_size": patch,
                                         "mlp_ratio": mlp / width}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    snapshot.write_safetensors(folder / WEIGHTS, tensors, "F32")
    return folder


# Contributions, classes and labels.

def lines(path):
    """[(text, what stands behind the tab, or the text)]"""
    parts = [line.split("\t") for line in path.read_text().splitlines() if line.strip()]
    return [(part[0].strip(), part[-1].strip()) for part in parts]


def make_store(model, images, store):
    cliplens("decompose", model, "--images", images, "--out", store)
    return store


class Case:
    """A store, its contributions in fp64, and zero-shot classes."""

    def __init__(self, folder, name, model, images, classes, templates, label):
        self.folder, self.model = folder, model
        self.store = folder / f"{name}-store"
        make_store(model, images, self.store)
        self.attn, self.mlp, self.cls, self.embedding, self.items = self.contributions(self.store)
        self.asked = ["--classes", classes, "--templates", templates]
        self.asked += ["--label", label] if label else []
        names, self.class_labels = zip(*lines(classes))
        forms = [form for form, _ in lines(templates)]
        texts = folder / f"{name}-prompts.txt"
        texts.write_text("".join(f"{form.replace('{}', c)}\n" for c in names for form in forms))
        rows = self.embed(texts).reshape(len(names), len(forms), -1).mean(1)
        self.classifier = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        values = [item["attributes"].get(label) if label else item.get("label")
                  for item in self.items]
        self.labels = np.array([self.class_labels.index(v) if v in self.class_labels else -1
                                for v in values])

    def contributions(self, store):
        arrays = Path(f"{store}-arrays")
        cliplens("export", store, "--format", "npy", "--out", arrays)
        items = [json.loads(line) for line in (arrays / "items.jsonl").read_text().splitlines()]
        return *(np.load(arrays / f"{name}.npy").astype(np.float64)
                 for name in ("attn", "mlp", "cls_attn", "embedding")), items

    def embed(self, texts):
        out = texts.with_suffix(".npy") if texts.is_relative_to(self.folder) else (
            self.folder / f"{self.model.name}-{texts.stem}.npy")
        if not out.exists():
            lines = texts.read_text(encoding="utf-8").splitlines()
            alone = self.folder / f"{texts.stem}-alone.txt"  # without their properties
            alone.write_text("".join(line.split("\t")[0] + "\n" for line in lines), encoding="utf-8")
            cliplens("embed", self.model, "--texts", alone, "--out", out)
        return np.load(out).astype(np.float64)

    def measure(self, representations):
        """(accuracy, mean score of the right class) over the pictures with a label."""
        held = self.labels >= 0
        representations = np.broadcast_to(representations, self.embedding.shape)
        scores = representations[held] @ self.classifier.T
        right = self.labels[held]
        return ((scores.argmax(1) == right).mean(), scores[np.arange(len(right)), right].mean())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("twins")


@pytest.fixture(scope="module")
def shipped(folder):
    pictures = folder / "half"
    pictures.mkdir()
    (pictures / "test-000.tar").symlink_to(ROOT / "world/sets/test/test-000.tar")
    return Case(folder, "shipped", SHIPPED, pictures, TEXTS / "objects.txt",
                TEXTS / "objects.templates.txt", None)


@pytest.fixture(scope="module")
def wide(folder):
    return Case(folder, "wide", make_wide_heads(folder / "wide"), ROOT / "world/sets/birds",
                TEXTS / "birds.txt", TEXTS / "birds.templates.txt", None)


@pytest.fixture(params=["shipped", "wide"])
def case(request):
    return request.getfixturevalue(request.param)


def test_the_sets_are_as_meant(shipped, wide):
    assert shipped.attn.shape[1:] == (6, 6, 128) and wide.attn.shape[1:] == (4, 2, 128)
    assert cliplens("info", wide.model)["heads"][0]["rank"] == 83
    for case in (shipped, wide):
        assert (case.labels >= 0).sum() >= 150
        whole = case.attn.sum((1, 2)) + case.mlp.sum(1)
        assert np.abs(whole - case.embedding).max() < 1e-5


# Ablation.

def twin_of_ablation(case, means):
    """What `ablate` says; `means` are (attn, mlp, cls_attn) of the set whose means stand in."""
    attn, mlp, cls = case.attn, case.mlp, case.cls
    mean_attn, mean_mlp, mean_cls = (array.mean(0) for array in means)
    whole = attn.sum((1, 2)) + mlp.sum(1)
    no_mlps = attn.sum((1, 2)) + mean_mlp.sum(0)
    cls_change = mean_cls.sum(0) - cls.sum(1)
    rows = {"base": whole, "mlps": no_mlps, "cls_attn": whole + cls_change,
            "mlps+cls_attn": no_mlps + cls_change}
    layers, heads = attn.shape[1:3]

    def attention(replaced):
        return sum(mean_attn[layer].sum(0) if layer in replaced else attn[:, layer].sum(1)
                   for layer in range(layers))

    result = {"rows": {name: case.measure(row) for name, row in rows.items()}}
    result["cumulative"] = [case.measure(attention(range(k)) + mlp.sum(1))
                            for k in range(layers + 1)]
    result["last_only"] = [case.measure(attention(range(layers - k)) + mean_mlp.sum(0))
                           for k in range(layers + 1)]
    base = case.measure(whole)
    result["components"] = {}
    names = [(f"L{layer}.H{head}", attn[:, layer, head], mean_attn[layer, head])
             for layer in range(layers) for head in range(heads)]
    names += [("INPUT" if i == 0 else f"L{i - 1}.MLP", mlp[:, i], mean_mlp[i])
              for i in range(layers + 1)]
    for name, own, mean in names:
        accuracy, score = case.measure(whole - own + mean)
        result["components"][name] = (base[0] - accuracy, base[1] - score)
    return result


def assert_same_ablation(got, twin):
    assert [row["name"] for row in got["rows"]] == list(twin["rows"])
    for row in got["rows"]:
        accuracy, score = twin["rows"][row["name"]]
        assert row["accuracy"]["value"] == pytest.approx(accuracy, abs=1e-12), row["name"]
        assert row["score"]["value"] == pytest.approx(score, abs=SCORES), row["name"]
    for curve in ("cumulative", "last_only"):
        assert [e["value"] for e in got[curve]] == pytest.approx(
            [accuracy for accuracy, _ in twin[curve]], abs=1e-12)
    assert [c["component"] for c in got["components"]] == list(twin["components"])
    for component in got["components"]:
        accuracy, score = twin["components"][component["component"]]
        assert component["accuracy_lost"]["value"] == pytest.approx(accuracy, abs=1e-12), component
        assert component["score_lost"]["value"] == pytest.approx(score, abs=SCORES), component


def test_ablation(case):
    got = cliplens("ablate", case.store, *case.asked)
    assert got["images"] == (case.labels >= 0).sum()
    assert_same_ablation(got, twin_of_ablation(case, (case.attn, case.mlp, case.cls)))
    for row in got["rows"]:
        accuracy = row["accuracy"]
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]


def test_ablation_with_means_of_other_pictures(case, folder):
    other = Path(f"{case.store}-other")
    cliplens("decompose", case.model, "--images", ROOT / "world/sets/single", "--out", other)
    got = cliplens("ablate", case.store, *case.asked, "--means", other)
    twin = twin_of_ablation(case, case.contributions(other)[:3])
    assert_same_ablation(got, twin)
    own = twin_of_ablation(case, (case.attn, case.mlp, case.cls))
    assert abs(twin["rows"]["mlps"][1] - own["rows"]["mlps"][1]) > 1e-3


# TextSpan and reconstruction by the paper's procedure on every picture.

def text_span(rows, texts, rank, count):
    """Algorithm 1 of arXiv 2310.05916: [(text, share, rows with the first texts alone)]."""
    right = np.linalg.svd(rows, full_matrices=False)[2][:rank]
    texts = texts @ right.T @ right
    kept = np.broadcast_to(rows.mean(0), rows.shape)
    rest = rows - kept
    total, steps = (rest ** 2).sum(), []
    for _ in range(count):
        best = int((rest @ texts.T).std(0, ddof=1).argmax())
        t = texts[best] / np.linalg.norm(texts[best])
        part = np.outer(rest @ t, t)
        kept, rest = kept + part, rest - part
        texts = texts - np.outer(texts @ t, t)
        steps.append((best, (part ** 2).sum() / total, kept))
    return steps


# The smallest directions of a head lie near the rounding of an export, so fewer are compared.
RANK = {"shipped": 24, "wide": 60}


def test_shares_of_texts_and_heads(case, request):
    name = request.node.callspec.params["case"]
    pool = TEXTS / "phrases.txt"
    texts = case.embed(pool)
    got = cliplens("span", case.store, "--texts", pool, "--heads", "last-2", "--count", 8,
                   "--rank", RANK[name])
    centred = case.embedding - case.embedding.mean(0)
    layers, heads = case.attn.shape[1:3]
    assert [head["head"] for head in got["heads"]] == [
        f"L{layer}.H{h}" for layer in (layers - 2, layers - 1) for h in range(heads)]
    for head in got["heads"]:
        layer, h = map(int, re.fullmatch(r"L(\d+)\.H(\d+)", head["head"]).groups())
        rows = case.attn[:, layer, h]
        own = rows - rows.mean(0)
        assert head["rank"] == RANK[name]
        assert head["variance"] == pytest.approx((own ** 2).sum() / len(rows), rel=SHARES)
        assert head["variance_share"] == pytest.approx(
            (own * centred).sum() / (centred ** 2).sum(), abs=SHARES)
        steps = text_span(rows, texts, RANK[name], 8)
        assert [text["index"] for text in head["texts"]] == [step[0] for step in steps]
        assert [text["share"] for text in head["texts"]] == pytest.approx(
            [step[1] for step in steps], abs=SHARES)


def test_shares_of_all_components(case, folder):
    page = Path(f"{case.store}.html")
    got = cliplens("report", case.store, "--texts", TEXTS / "styles.txt", "--out", page)
    layers, heads = case.attn.shape[1:3]
    arrays = {f"L{layer}.H{head}": case.attn[:, layer, head]
              for layer in range(layers) for head in range(heads)}
    arrays |= {"INPUT" if i == 0 else f"L{i - 1}.MLP": case.mlp[:, i] for i in range(layers + 1)}
    centred = case.embedding - case.embedding.mean(0)
    assert [c["component"] for c in got["components"]] == list(arrays)
    for component in got["components"]:
        own = arrays[component["component"]]
        own = own - own.mean(0)
        assert component["share"] == pytest.approx(
            (own * centred).sum() / (centred ** 2).sum(), abs=SHARES)
        assert component["variance"] == pytest.approx((own ** 2).sum() / len(own), rel=SHARES)


def test_reconstruction(case, request):
    rank = RANK[request.node.callspec.params["case"]]
    pool, counts, last = TEXTS / "phrases.txt", [3, 12], 2
    got = cliplens("reconstruct", case.store, "--texts", pool, *case.asked, "--layers", last,
                   "--counts", "3,12", "--rank", rank)
    texts = case.embed(pool)
    layers, heads = case.attn.shape[1:3]
    early = case.attn[:, :layers - last].mean(0).sum((0, 1))
    mlps = case.mlp.sum(1)
    spans = [(case.attn[:, layer, head], text_span(case.attn[:, layer, head], texts, rank, 12))
             for layer in range(layers - last, layers) for head in range(heads)]
    assert got["heads"] == len(spans) == last * heads

    def assert_row(row, attention):
        assert row["accuracy"]["value"] == pytest.approx(
            case.measure(early + attention + mlps)[0])
        assert row["accuracy_alone"]["value"] == pytest.approx(
            case.measure(early + attention + mlps.mean(0))[0])

    assert_row(got["nothing"], sum(rows.mean(0) for rows, _ in spans))
    assert_row(got["whole"], sum(rows for rows, _ in spans))
    (result,) = got["pools"]
    assert [row["count"] for row in result["rows"]] == counts
    for row in result["rows"]:
        n = row["count"]
        assert_row(row, sum(steps[n - 1][2] for _, steps in spans))
        assert row["distinct_texts"] == len({step[0] for _, steps in spans for step in steps[:n]})
        variance = sum(((rows - rows.mean(0)) ** 2).sum() for rows, _ in spans)
        kept = sum(((steps[n - 1][2] - rows.mean(0)) ** 2).sum() for rows, steps in spans)
        assert row["explained"] == pytest.approx(kept / variance, abs=SHARES)
    accuracies = [row["accuracy"]["value"]
                  for row in (got["nothing"], *result["rows"], got["whole"])]
    if case.model == SHIPPED:
        assert accuracies == sorted(accuracies) and accuracies[0] < accuracies[-1] - 0.5


# Search.

def search_vectors(case, heads, definition, measure, text=None):
    """Vectors of the pictures, and of a text, in a search space by its definition in E numbers."""
    parts = [case.attn[:, layer, head] for layer, head in heads] or [case.embedding]
    if definition == "score-of-sum" or not heads:
        parts = [sum(parts)]
    rows = np.concatenate(parts, 1)
    query = None
    if text is not None:
        query = np.tile(text, len(parts))
        if heads and definition == "sum-of-scores":  # the text's part in each head's span
            spans = [np.linalg.svd(part, full_matrices=False) for part in parts]
            spans = [v[s > s[0] * 1e-5] for _, s, v in spans]
            query = np.concatenate([v.T @ (v @ text) for v in spans])
    if measure != "raw":
        rows = rows - rows.mean(0)
    if measure == "cosine":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        query = None if query is None else query / np.linalg.norm(query)
    return rows, query


@pytest.mark.parametrize("measure", ["cosine", "dot", "raw"])
@pytest.mark.parametrize("heads, definition", [
    ("L3.H1", "sum-of-scores"), ("last-2", "sum-of-scores"), ("last-2", "score-of-sum"),
    ("embedding", "sum-of-scores")])
def test_search_equals_its_twin(case, heads, definition, measure):
    layers, number = case.attn.shape[1:3]
    chosen = {"L3.H1": [(3, 1)], "embedding": [],
              "last-2": [(layer, head) for layer in (layers - 2, layers - 1)
                         for head in range(number)]}[heads]
    asked = ["--heads", heads, "--definition", definition, "--measure", measure, "-k", 25]
    texts = case.folder / "duck.txt"
    texts.write_text("a duck\n")
    text = case.embed(texts)[0]
    rows, query = search_vectors(case, chosen, definition, measure, text)
    for given, scores in ((["--item", 7], rows @ rows[7]), (["--text", "a duck"], rows @ query)):
        result = cliplens("search", case.store, *given, *asked)
        found = [r["item"] for r in result["results"]]
        if given[0] == "--item":
            scores[7] = -np.inf
        best = np.sort(scores)[::-1][:25]
        assert np.abs(np.array([r["score"] for r in result["results"]]) - best).max() < 2e-6
        assert np.abs(scores[found] - best).max() < 2e-6
        assert [case.items[i]["path"] for i in found] == [r["path"] for r in result["results"]]
        assert [r["rank"] for r in result["results"]] == list(range(1, 26))


def test_cross_terms_and_means_change_what_is_found(shipped):
    def found(*asked):
        return [r["item"] for r in cliplens("search", shipped.store, "--item", 7, "--heads",
                                            "last-2", *asked)["results"]]

    assert found() != found("--definition", "sum-of-scores")
    assert found("--measure", "dot") != found("--raw")
    assert found("--raw") == found("--measure", "raw")


@pytest.mark.parametrize("definition", ["score-of-sum", "sum-of-scores"])
def test_a_property_is_its_heads_in_what_its_texts_differ_in(shipped, tmp_path, definition):
    labels = cliplens("label", shipped.store, "--properties",
                      ROOT / "world/texts/properties.txt", "--out", tmp_path / "labels.json")
    heads = {p["property"]: p["heads"] for p in labels["properties"]}["background"]
    assert len(heads) > sum("background" in (h["label"], h["second"]) for h in labels["heads"])
    lines = [line.split("\t") for line in
             (ROOT / "world/texts/properties.txt").read_text().splitlines()]
    texts = [text for text, name in lines if name == "background"]
    assert {p["property"]: p["texts"] for p in labels["properties"]}["background"] == texts
    (tmp_path / "background.txt").write_text("".join(text + "\n" for text in texts))
    embedded = shipped.embed(tmp_path / "background.txt")
    _, sizes, span = np.linalg.svd(embedded - embedded.mean(0), full_matrices=False)
    span = span[sizes > 1e-3 * sizes[0]]
    parts = [np.sqrt(h["share"]) * shipped.attn[:, int(h["head"][1]), int(h["head"][4])] @ span.T
             for h in heads]
    rows = sum(parts) if definition == "score-of-sum" else np.concatenate(parts, 1)
    rows = rows - rows.mean(0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asked = ["search", shipped.store, "--item", 7, "--property", "background", "--labels",
             tmp_path / "labels.json", "--definition", definition]
    result = cliplens(*asked)
    scores = rows @ rows[7]
    scores[7] = -np.inf
    assert [r["item"] for r in result["results"]] == list(np.argsort(-scores, kind="stable")[:10])
    assert np.abs(np.array([r["score"] for r in result["results"]])
                  - np.sort(scores)[::-1][:10]).max() < 2e-6
    shares = {h["head"]: h["share"] for h in heads}
    (term,) = result["terms"]
    assert term["weights"] == pytest.approx([shares[h] ** .5 for h in term["heads"]], rel=1e-12)
    assert term["directions"] == len(span)
    for _ in range(2):  # an index knows weights and directions
        answer = cliplens(*asked, "--index", tmp_path / "background.faiss")
        assert [r["item"] for r in answer["results"]] == [r["item"] for r in result["results"]]
        assert answer["terms"] == result["terms"]


def test_likes_and_unlikes_add_up(shipped):
    heads = {"L5.H3": [(5, 3)], "L4-L5": [(l, h) for l in (4, 5) for h in range(6)]}
    one, _ = search_vectors(shipped, heads["L5.H3"], "sum-of-scores", "cosine")
    two, _ = search_vectors(shipped, heads["L4-L5"], "sum-of-scores", "cosine")
    result = cliplens("search", shipped.store, "--like", "7", "--in", "L5.H3", "--unlike", "11",
                      "--in", "L4-L5", "--definition", "sum-of-scores")
    scores = one @ one[7] - two @ two[11]
    scores[[7, 11]] = -np.inf
    assert [r["item"] for r in result["results"]] == list(np.argsort(-scores, kind="stable")[:10])
    assert [t["in"] for t in result["terms"]] == ["L5.H3", "L4-L5"]
    assert [t["unlike"] for t in result["terms"]] == [False, True]


def test_a_picture_of_the_store_finds_itself(shipped, tmp_path):
    pictures = tmp_path / "half.tar"
    pictures.symlink_to(ROOT / "world/sets/test/test-000.tar")
    with tarfile.open(pictures) as archive:
        member = shipped.items[7]["path"].split("/")[-1]
        (tmp_path / "seven.png").write_bytes(archive.extractfile(member).read())
    for heads in ("L5.H3", "embedding"):
        result = cliplens("search", shipped.store, "--image", tmp_path / "seven.png", "--heads",
                          heads, "-k", 1)["results"][0]
        assert result["item"] == 7 and abs(result["score"] - 1) < 1e-5


# Matched heads.

def debiased_cka(x, y):
    def centred(x):  # Szekely and Rizzo's U-centring
        gram = x @ x.T
        np.fill_diagonal(gram, 0)
        n, sums = len(x), gram.sum(0)
        gram += sums.sum() / ((n - 1) * (n - 2)) - (sums[:, None] + sums) / (n - 2)
        np.fill_diagonal(gram, 0)
        return gram / np.linalg.norm(gram)
    return (centred(x) * centred(y)).sum()


def test_match_equals_its_twin(shipped, wide, folder):
    other = make_store(wide.model, folder / "half", folder / "wide-on-half")
    attn, *_, items = wide.contributions(other)
    places = {item["path"]: i for i, item in enumerate(items)}
    number = {item["path"]: i for i, item in enumerate(shipped.items)}
    common = sorted(set(number) & set(places))
    assert len(common) > 300
    for most in (100, 100_000):
        got = cliplens("match", shipped.store, other, "--most-images", most)
        used = common[::-(-len(common) // most)]
        assert (got["common"], got["images"]) == (len(common), len(used))
        a = shipped.attn[[number[path] for path in used]].reshape(len(used), 36, -1)
        b = attn[[places[path] for path in used]].reshape(len(used), 8, -1)
        twin = np.array([[debiased_cka(a[:, i], b[:, j]) for j in range(8)] for i in range(36)])
        similarity = np.array(got["similarity"])
        assert np.abs(similarity - twin).max() < SCORES
        left, pairs = similarity.copy(), []
        for _ in range(8):
            i, j = np.unravel_index(left.argmax(), left.shape)
            pairs.append((got["heads_a"][i], got["heads_b"][j], similarity[i, j]))
            left[i], left[:, j] = -1, -1
        assert [(m["a"], m["b"], m["similarity"]["value"]) for m in got["matches"]] == pairs
    shares = {c["component"]: c["share"]
              for c in cliplens("report", other, "--texts", TEXTS / "objects.txt", "--out",
                                folder / "wide-on-half.html")["components"]}
    for match in got["matches"]:
        assert match["share_b"] == pytest.approx(shares[match["b"]], abs=1e-12)


def test_an_index_answers_as_the_store_does(shipped, wide, tmp_path):
    asked = ["search", shipped.store, "--item", 7, "--heads", "last-2"]
    index = ["--index", tmp_path / "last.faiss"]
    store = cliplens(*asked)["results"]
    for _ in range(2):  # made, then read
        answer = cliplens(*asked, *index)["results"]
        assert [r["item"] for r in answer] == [r["item"] for r in store]
        assert max(abs(a["score"] - b["score"]) for a, b in zip(answer, store)) < 1e-6
    assert cliplens(*asked[:4], *index)["terms"][0]["heads"][0] == "L4.H0"  # the index knows
    exported = cliplens("export", shipped.store, "--format", "faiss", "--heads", "last-2", "--out",
                        tmp_path / "again.faiss")
    assert exported["images"] == len(shipped.items)
    assert (tmp_path / "again.faiss").read_bytes() == (tmp_path / "last.faiss").read_bytes()

    def refused(words, *arguments, status=4):
        result = subprocess.run([PROGRAM, *map(str, arguments)], text=True, capture_output=True)
        assert (result.returncode, result.stdout) == (status, ""), result.stderr
        assert words in result.stderr and result.stderr.count("\n") == 1

    refused("another store", "search", wide.store, "--item", 1, *index, status=2)
    refused("other heads", "search", shipped.store, "--item", 1, "--heads", "L0", *index, status=2)
    refused("one query", *asked, "--like", "3", *index, status=2)
    whole = (tmp_path / "last.faiss").read_bytes()
    for broken, words in ((whole[:-1], "bytes"), (whole[:4] + b"\xff\xff\xff\x7f" + whole[8:], "no FAISS"),
                          (whole[:-1] + bytes([whole[-1] ^ 1]), "checksum"), (b"", "bytes")):
        (tmp_path / "last.faiss").write_bytes(broken)
        refused(words, *asked, *index)
    (tmp_path / "last.faiss.json").unlink()
    refused("last.faiss.json", *asked, *index, status=3)


# One score taken apart.

def test_scores_of_components_and_of_class_tokens(case, folder):
    """Heat maps and explanations of a picture, by heads and MLPs, from the exported vectors. (By
    patch and word: tests/parity.)"""
    texts = folder / f"{case.model.name}-scored.txt"
    texts.write_text("a picture of a duck\nin the snow\n")
    duck, snow = case.embed(texts)
    place = folder / f"{case.model.name}-pictures"
    place.mkdir()
    with tarfile.open(next(iter(sorted((ROOT / "world/sets/single").glob("*.tar"))))) as shard:
        names = [m.name for m in shard if m.name.endswith(".png") and ".mask." not in m.name][:2]
        for name in names:
            (place / name).write_bytes(shard.extractfile(name).read())
    attn, mlp, cls, embedding, items = case.contributions(
        make_store(case.model, place, Path(f"{place}-store")))
    layers, heads = attn.shape[1:3]
    assert len(items) == len(names) == 2
    for i, item in enumerate(items):
        picture = ["--image", place / item["path"]]
        got = cliplens("explain", case.model, *picture, "--text", "a picture of a duck",
                       "--against", "in the snow")
        direction = duck - snow
        wanted = {f"L{l}.H{h}": attn[i, l, h] @ direction
                  for l in range(layers) for h in range(heads)}
        wanted |= {"INPUT" if k == 0 else f"L{k - 1}.MLP": mlp[i, k] @ direction
                   for k in range(layers + 1)}
        assert {c["component"]: c["score"] for c in got["components"]} == pytest.approx(
            wanted, abs=SCORES)
        assert got["class_to_class"] == pytest.approx(cls[i] @ direction, abs=SCORES)
        assert got["score"] == pytest.approx(embedding[i] @ direction, abs=SCORES)
        assert got["sum"] == pytest.approx(got["score"], abs=1e-5)
        for named, chosen in (("all", slice(None)), ("last-2", slice(layers - 2, None))):
            got = cliplens("heatmap", case.model, *picture, "--text", "a picture of a duck",
                           "--heads", named)
            class_token = cls[i, chosen].sum(0) @ duck
            assert got["rest"]["class_token"] == pytest.approx(class_token, abs=SCORES)
            assert np.sum(got["map"]) + class_token == pytest.approx(
                attn[i, chosen].sum((0, 1)) @ duck, abs=SCORES)
            assert got["rest"]["input"] == pytest.approx(mlp[i, 0] @ duck, abs=SCORES)
            assert got["rest"]["mlps"] == pytest.approx(mlp[i, 1:].sum(0) @ duck, abs=SCORES)
            assert np.sum(got["map"]) + sum(got["rest"].values()) == pytest.approx(
                got["score"], abs=1e-5)
