#!/usr/bin/env python3
"""Writes the cases of tests/analysis/matching_pursuit_test.cc with the texts and weights of
scikit-learn's orthogonal matching pursuit.

    python tests/parity/write_pursuit_cases.py --cliplens build/release/bin/cliplens

  tests/data/pursuit/model.npy    rows of the shipped model for 200 texts, fp32 [200, 128]
  tests/data/pursuit/random.npy   random rows about a common part, fp32 [120, 32]
  tests/data/pursuit/cases.json   [{"texts": "model", "rows": how many of them, "scale": "unit" or
                                  "reference", "count", "targets": [[number]], "paths": for each
                                  target {"texts": [index], "weights": [number], "short": the
                                  weights of half as many texts}}]

The targets are random unit vectors, a difference of two texts, and a sum of three prepared texts,
which ends its path early. The pools of 20 texts have 19
dimensions, so all of their paths end early.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import tempfile
import warnings

import numpy as np
from sklearn.decomposition import SparseCoder
from sklearn.linear_model import orthogonal_mp_gram

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "data" / "pursuit"
PHRASES = ROOT / "world" / "texts" / "phrases.txt"
# (texts, how many, scales, count). In the reference's scale the texts still sum to zero, so the last
# two of a pool of 20 would tie.
POOLS = (("model", 200, ("unit", "reference"), 48), ("model", 20, ("unit",), 20),
         ("random", 120, ("unit", "reference"), 24), ("random", 20, ("unit",), 20))


def model_rows(program: str) -> np.ndarray:
    """Rows of the shipped model for every n-th text of the pool."""
    texts = [line.split("\t")[0] for line in PHRASES.read_text().splitlines() if line.strip()]
    texts = texts[::len(texts) // 200][:200]
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch)
        (path / "texts.txt").write_text("\n".join(texts) + "\n")
        subprocess.run([program, "embed", "pictureworld", "--texts", path / "texts.txt", "--out",
                        path / "rows.npy"], check=True, stdout=subprocess.DEVNULL)
        return np.load(path / "rows.npy")


def random_rows() -> np.ndarray:
    rng = np.random.default_rng(1)
    rows = 0.5 + rng.normal(size=(120, 32)) / (1 + np.arange(32) % 5)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def prepared(rows: np.ndarray, scale: str) -> np.ndarray:
    """Texts as TextScale describes them, fp64."""
    rows = rows.astype(np.float64)
    rows = rows - rows.mean(0)
    return rows / np.linalg.norm(rows, axis=1 if scale == "unit" else 0, keepdims=True)


def targets_of(rows: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    targets = np.random.default_rng(2).normal(size=(6, atoms.shape[1]))
    targets[4] = rows[3].astype(np.float64) - rows[11]
    targets[5] = 3 * atoms[7] - 2 * atoms[2] + atoms[19]
    return targets / np.linalg.norm(targets, axis=1, keepdims=True)


def paths_of(atoms: np.ndarray, targets: np.ndarray, count: int) -> list[dict]:
    """Of each target the texts in the order in which scikit-learn chooses them, with their weights."""
    gram, products = atoms @ atoms.T, atoms @ targets.T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that a path ends early
        # Not by return_path, which fails where a path ends early.
        steps = [orthogonal_mp_gram(gram, products, n_nonzero_coefs=n).T
                 for n in range(1, count + 1)]
        coded = SparseCoder(atoms, transform_algorithm="omp", transform_n_nonzero_coefs=count,
                            transform_alpha=1.0).transform(targets)
    assert np.allclose(coded, steps[-1], rtol=0, atol=1e-9)
    out = []
    for k in range(len(targets)):
        order = []
        for step in steps:
            order += [int(j) for j in np.flatnonzero(step[k]) if j not in order]
        half = max(1, len(order) // 2)
        out.append(dict(texts=order, weights=steps[-1][k][order].tolist(),
                        short=steps[half - 1][k][order[:half]].tolist()))
    return out


def cases(rows: dict[str, np.ndarray]) -> list[dict]:
    out = []
    for name, number, scales, count in POOLS:
        for scale in scales:
            texts = rows[name][:number]
            atoms = prepared(texts, scale)
            targets = targets_of(texts, atoms)
            out.append(dict(texts=name, rows=number, scale=scale, count=count,
                            targets=targets.tolist(), paths=paths_of(atoms, targets, count)))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cliplens", default=str(ROOT / "build/release/bin/cliplens"))
    options = parser.parse_args()
    rows = dict(model=model_rows(options.cliplens), random=random_rows())
    FOLDER.mkdir(exist_ok=True)
    for name, array in rows.items():
        np.save(FOLDER / f"{name}.npy", array)
    (FOLDER / "cases.json").write_text(json.dumps(cases(rows)) + "\n")


if __name__ == "__main__":
    main()
