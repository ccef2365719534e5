"""Edits, groups and cues, computed again from whole contributions in the embedding's E numbers.

On the same models as test_analysis_twins.py: the shipped one (K = 32) and random heads of 80.
"""

import ctypes
import ctypes.util

import numpy as np
import pytest

from test_analysis_twins import ROOT, TEXTS, Case, SHIPPED, cliplens, make_wide_heads

ROWS = 1e-6
FIGURES = 2e-5  # exports are rounded to fp32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("edit-twins")


@pytest.fixture(scope="module", params=["shipped", "wide"])
def case(request, folder):
    model = SHIPPED if request.param == "shipped" else make_wide_heads(folder / "wide")
    case = Case(folder, request.param, model, ROOT / "world/sets/birds", TEXTS / "birds.txt",
                TEXTS / "birds.templates.txt", None)
    case.images = ROOT / "world/sets/birds"
    case.places = np.array([item["attributes"]["place_kind"] for item in case.items])
    return case


def component(case, name):
    """Contributions [B, E] of what an edit names."""
    if name == "INPUT":
        return case.mlp[:, 0]
    layer, _, rest = name[1:].partition(".")
    if rest == "MLP":
        return case.mlp[:, int(layer) + 1]
    if not rest:
        return case.attn[:, int(layer)].sum(1)
    return case.attn[:, int(layer), int(rest[1:])]


def ablated(case, names):
    change = sum(component(case, name).mean(0) - component(case, name) for name in names)
    return case.embedding + change


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


PARTS = ["INPUT", "L0", "L1.MLP", "L2.H1", "L3.H0", "L3.H1"]


def make(case, name, *options):
    out = case.folder / f"{case.store.name}-{name}.json"
    if not out.exists():
        cliplens("edit", "make", case.store, *options, "--out", out)
    return out


def test_edited_embeddings_are_the_ablated_rows(case, tmp_path):
    edit = make(case, "mean", "--heads", ",".join(PARTS))
    expected = ablated(case, PARTS)
    for options, rows in ((["--no-normalize"], expected), ([], unit(expected))):
        out = tmp_path / f"{len(options)}.npy"
        cliplens("embed", case.model, "--images", case.images, "--edit", edit, "--out", out,
                 *options)
        assert np.abs(np.load(out) - rows).max() < ROWS
    assert np.abs(expected - case.embedding).max() > 1e-2

    scale = make(case, "scale", "--heads", ",".join(PARTS), "--mode", "scale=-0.5")
    cliplens("embed", case.model, "--images", case.images, "--edit", scale, "--out",
             tmp_path / "scaled.npy", "--no-normalize")
    scaled = case.embedding - 1.5 * sum(component(case, name) for name in PARTS)
    assert np.abs(np.load(tmp_path / "scaled.npy") - scaled).max() < 2 * ROWS


def test_exported_arrays_are_edited(case, tmp_path):
    edit = make(case, "mean", "--heads", ",".join(PARTS))
    cliplens("export", case.store, "--edit", edit, "--out", tmp_path / "arrays")
    attn, mlp, embedding = (np.load(tmp_path / "arrays" / f"{name}.npy").astype(np.float64)
                            for name in ("attn", "mlp", "embedding"))
    expected = ablated(case, PARTS)
    assert np.abs(embedding - unit(expected)).max() < ROWS
    assert np.abs(attn.sum((1, 2)) + mlp.sum(1) - expected).max() < 1e-5
    assert np.abs(attn[:, 3, 1] - case.attn[:, 3, 1].mean(0)).max() < ROWS
    assert np.abs(attn[:, 1] - case.attn[:, 1]).max() == 0


def test_groups(case):
    edit = make(case, "heads", "--heads", "L2.H1,L3.H0")
    got = cliplens("evaluate", "groups", case.store, *case.asked, "--attribute", "place_kind",
                   "--edit", edit)
    layers = case.attn.shape[1]
    early = [f"L{layer}" for layer in range(max(0, layers - 4))]
    rest = ["INPUT", *(f"L{layer}.MLP" for layer in range(layers)), *early]
    recipe = rest + [name for name in ("L2.H1", "L3.H0") if name.split(".")[0] not in early]
    rows = {"base": case.embedding, "edit": ablated(case, ["L2.H1", "L3.H0"]),
            "recipe": ablated(case, recipe), "recipe-rest": ablated(case, rest)}
    by_name = {row["name"]: row for row in got["rows"]}
    assert [n for n in by_name if not n.startswith("random-")] == list(rows)
    assert [n for n in by_name if n.startswith("random-")] == [f"random-{i}" for i in range(1, 6)]
    names = got["classes"]["classes"]
    assert names == 2 and got["images"] == len(case.items)
    for name, representation in rows.items():
        right = (representation @ case.classifier.T).argmax(1) == case.labels
        accuracy = [right[(case.labels == c) & (case.places == place)].mean()
                    for c in (0, 1) for place in sorted(set(case.places))]
        assert [g["accuracy"]["value"] for g in by_name[name]["groups"]] == pytest.approx(accuracy)
        assert by_name[name]["worst"]["value"] == pytest.approx(min(accuracy))
        assert by_name[name]["average"]["value"] == pytest.approx(right.mean())
    draws = [row["worst"]["value"] for name, row in by_name.items() if name.startswith("random-")]
    assert got["random"]["worst"]["best"] == max(draws)
    assert got["random"]["worst"]["mean"] == pytest.approx(np.mean(draws))
    assert got["random"]["worst"]["deviation"] == pytest.approx(np.std(draws, ddof=1))
    assert got["edit"]["distance"] < 1e-5


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def held_out(paths):
    """Which pictures the program holds out: by XXH3-128 of their path."""
    library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    library.XXH3_128bits.restype = Hash128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    texts = [f"held out: {path}".encode() for path in paths]
    digests = [f"{library.XXH3_128bits(t, len(t)).high:016x}" for t in texts]
    return np.array([int(digest[:15], 16) % 2 == 1 for digest in digests])


def twin_of_cue(case, groups, classes):
    """{figure: value} by the definitions of docs/edits.md."""
    held = held_out([item["path"] for item in case.items])
    centred = case.classifier - case.classifier.mean(0)
    logits = case.embedding @ centred.T
    cells = classes * (groups.max() + 1) + groups
    first, last = ~held, held & np.isin(cells, cells[~held])
    tau = np.stack([logits[first & (cells == cell)].mean(0) if (first & (cells == cell)).any()
                    else np.zeros(len(centred)) for cell in cells])

    def about(values, half):
        """Less the mean of each class in this half."""
        out = values.copy()
        for c in np.unique(classes[half]):
            which = half & (classes == c)
            out[which] -= values[which].mean(0)
        return out[half]

    def share(sums, part):
        """0 where the cue of one half says nothing of the other."""
        total = sum(sums.values())
        return sums[part] / total if total > 0 else 0

    parts = {f"L{layer}.H{head}": case.attn[:, layer, head] @ centred.T
             for layer in range(case.attn.shape[1]) for head in range(case.attn.shape[2])}
    heads = list(parts)
    parts |= {f"mlp{i}": case.mlp[:, i] @ centred.T for i in range(case.mlp.shape[1])}
    figures = {}
    for name, half in (("first", first), ("last", last)):
        t, s = about(tau, half), about(logits, half)
        cue = {part: (values[half] * t).sum() for part, values in parts.items()}
        rest = {part: (values[half] * (s - t)).sum() for part, values in parts.items()}
        figures[name] = {part: (share(cue, part), share(rest, part)) for part in heads}
        figures[f"{name} lean"] = 1 - ((s - t) ** 2).sum() / (s ** 2).sum()
    return figures, last.sum()


@pytest.mark.parametrize("within", [False, True])
def test_cues(case, within):
    kinds = sorted(set(case.places))
    groups = np.array([kinds.index(place) for place in case.places])
    classes = case.labels if within else np.zeros(len(groups), int)
    got = cliplens("edit", "suggest", case.store, *case.asked, "--attribute", "place_kind",
                   *(["--within-classes"] if within else []))
    twin, held = twin_of_cue(case, groups, classes)
    assert got["held_out"] == held
    assert got["lean"]["value"] == pytest.approx(twin["last lean"], abs=FIGURES)
    assert len(got["heads"]) == case.attn.shape[1] * case.attn.shape[2]
    for head in got["heads"]:
        cue, rest = twin["first"][head["head"]]
        # A share is a quotient of sums; where the cue explains little the divisor is small.
        assert head["surplus_first"] == pytest.approx(cue - max(rest, 0), rel=1e-5, abs=FIGURES)
        cue, rest = twin["last"][head["head"]]
        assert head["cue"]["value"] == pytest.approx(cue, rel=1e-5, abs=FIGURES)
        assert head["rest"]["value"] == pytest.approx(rest, rel=1e-5, abs=FIGURES)
    ranks = [head["surplus_first"] for head in got["heads"]]
    assert ranks == sorted(ranks, reverse=True)
    sure = [head["surplus"]["low"] > 0 for head in got["heads"]]
    assert [head["chosen"] for head in got["heads"]] == [all(sure[:i + 1])
                                                         for i in range(len(sure))]


def test_own_answers_need_no_attribute(case, folder):
    """Texts as the cue give the groups of the attribute that repeats their answers."""
    cue = ["something on the sea", "something in the forest"]
    source = folder / "cue.txt"
    source.write_text("".join(f"{text}\n" for text in cue))
    answers = (case.embedding @ case.embed(source).T).argmax(1)
    got = cliplens("edit", "suggest", case.store, *case.asked, "--cue", cue[0], "--cue", cue[1])
    assert [g["images"] for g in got["groups"]] == [int((answers == g).sum()) for g in (0, 1)]
    twin, _ = twin_of_cue(case, answers, np.zeros(len(answers), int))
    assert got["lean"]["value"] == pytest.approx(twin["last lean"], abs=FIGURES)
