"""The committed cases of matching pursuit, which tests/analysis/matching_pursuit_test.cc runs, are
what scikit-learn of this environment gives, on the rows that the program embeds."""

from __future__ import annotations

import json

import numpy as np

import write_pursuit_cases as script

WEIGHTS = 1e-10
EMBEDDINGS = 2e-6


def test_the_committed_paths_are_those_of_scikit_learn(measured):
    rows = {name: np.load(script.FOLDER / f"{name}.npy") for name in ("model", "random")}
    committed = json.loads((script.FOLDER / "cases.json").read_text())
    expected = script.cases(rows)
    assert len(committed) == len(expected)
    worst = 0.0
    for ours, theirs in zip(committed, expected):
        for key in ("texts", "rows", "scale", "count"):
            assert ours[key] == theirs[key]
        assert np.allclose(ours["targets"], theirs["targets"], rtol=0, atol=1e-15)
        for a, b in zip(ours["paths"], theirs["paths"], strict=True):
            assert a["texts"] == b["texts"]
            for key in ("weights", "short"):
                worst = max(worst, np.abs(np.subtract(a[key], b[key])).max())
    measured.at_most("matching pursuit, cases of the test: weights, from orthogonal_mp_gram", worst,
                     WEIGHTS)


def test_the_papers_factor_changes_the_size_of_the_weights_alone():
    """The paper's code multiplies the prepared texts by 100."""
    rows = np.load(script.FOLDER / "model.npy")
    atoms = script.prepared(rows, "reference")
    targets = script.targets_of(rows, atoms)[:5]
    plain = script.paths_of(atoms, targets, 32)
    scaled = script.paths_of(100 * atoms, targets, 32)
    for a, b in zip(plain, scaled, strict=True):
        assert a["texts"] == b["texts"]
        assert np.allclose(np.array(a["weights"]), 100 * np.array(b["weights"]), rtol=1e-9)


def test_the_rows_are_those_of_the_shipped_model(cliplens, measured):
    rows = np.load(script.FOLDER / "model.npy")
    worst = np.abs(script.model_rows(str(cliplens.path)) - rows).max()
    measured.at_most("matching pursuit, cases of the test: embeddings", worst, EMBEDDINGS)
