"""Sums of a few texts against scikit-learn's path of the positive lasso, SciPy's non-negative least
squares and scikit-learn's orthogonal matching pursuit, on the same embeddings in fp64."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.linear_model import lars_path, orthogonal_mp

from harness import ROOT, SHIPPED

PHRASES = ROOT / "world" / "texts" / "phrases.txt"
WEIGHTS = 1e-10


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def atoms(cliplens, tmp_path_factory) -> np.ndarray:
    """The pool's texts about their mean, unit rows [M, E]."""
    folder = tmp_path_factory.mktemp("sparse_words")
    texts = [line.split("\t")[0] for line in PHRASES.read_text().splitlines() if line.strip()]
    (folder / "texts.txt").write_text("\n".join(texts) + "\n")
    cliplens("embed", SHIPPED, "--texts", folder / "texts.txt", "--out", folder / "texts.npy")
    rows = np.load(folder / "texts.npy").astype(np.float64)
    return unit(rows - rows.mean(0))


@pytest.mark.parametrize("count", [1, 4, 10, 25])
def test_the_path_is_that_of_scikit_learn(count, cliplens, measured, stores, exports, atoms):
    """Support and penalty of the lasso, weights of the fit on it, for twenty pictures."""
    store = stores(SHIPPED, "world")[0]
    rows = exports(SHIPPED, "world")["embedding"].astype(np.float64)
    mean = rows.mean(0)
    worst_weight = worst_penalty = 0.0
    for item in range(20):
        found = cliplens.json("describe", SHIPPED, "--store", store, "--item", item, "--texts",
                              PHRASES, "--count", count)
        x = unit(rows[item] - mean)
        alphas, _, path = lars_path(atoms.T, x, method="lasso", positive=True, alpha_min=0)
        # The first step on which more texts than wanted are in use; one may leave at its end.
        used = path > 1e-12
        over = np.flatnonzero((used[:, :-1] | used[:, 1:]).sum(0) > count)
        at = over[0] if len(over) else len(alphas) - 1
        support = np.flatnonzero(path[:, at] > 1e-12)
        weights, _ = nnls(atoms[support].T, x)
        expected = {int(j): w for j, w in zip(support, weights) if w > 0}
        got = {t["index"]: t["weight"] for t in found["texts"]}
        assert got.keys() == expected.keys(), item
        worst_weight = max(worst_weight, *(abs(got[j] - expected[j]) for j in got))
        # scikit-learn divides its penalty by the number of samples, which is E here.
        worst_penalty = max(worst_penalty, abs(found["penalty"] - alphas[at] * atoms.shape[1]))
    measured.at_most(f"describe, {count} texts: weights, from lars_path and nnls", worst_weight,
                     WEIGHTS)
    measured.at_most(f"describe, {count} texts: penalty, from lars_path", worst_penalty, WEIGHTS)


def test_no_sum_of_as_many_texts_is_much_nearer(cliplens, measured, stores, exports, atoms):
    """The cosine reached, beside orthogonal matching pursuit, whose weights may be negative."""
    store = stores(SHIPPED, "world")[0]
    rows = exports(SHIPPED, "world")["embedding"].astype(np.float64)
    mean = rows.mean(0)
    ours, theirs = [], []
    for item in range(20):
        found = cliplens.json("describe", SHIPPED, "--store", store, "--item", item, "--texts",
                              PHRASES, "--count", 10)
        x = unit(rows[item] - mean)
        ours.append(found["cosine"])
        weights = orthogonal_mp(atoms.T, x, n_nonzero_coefs=10)
        theirs.append(unit(weights @ atoms) @ x)
    measured.note("describe, 10 texts: mean cosine", float(np.mean(ours)))
    measured.note("scikit-learn's pursuit with weights of any sign, 10 texts: mean cosine",
                  float(np.mean(theirs)))
    measured.at_least("describe, 10 texts: mean cosine, over that of the pursuit",
                      float(np.mean(ours) / np.mean(theirs)), 0.85)
