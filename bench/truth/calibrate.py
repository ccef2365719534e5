"""Fits the coefficients of the confidence in cliplens/analysis/head_labels.cc.

    python -m bench.truth.calibrate --program build/release/bin/cliplens

On pictures of its own: seeds that `make truth` does not evaluate, 1,500 pictures and 300 of each,
four models, the full property table and seven tables with one property left out. Labels from the
full table and 1,500 pictures weigh as much as all the others together. A logistic function, by
Newton's method, with a penalty on the squares of the coefficients.
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.truth.cases import FEATURES, calibration_error, cases
from bench.truth.stores import ROOT, Bench

MODELS = ("pictureworld", "pictureworld-2", "pictureworld-roles", "pictureworld-birds")
SEEDS = (31, 32)
MANY, FEW = 1500, 300
PENALTY = 1e-3  # of squared coefficients of features with unit spread


def fit(rows):
    """Intercept and coefficients of FEATURES."""
    x = np.array([[row[f] for f in FEATURES] for row in rows])
    right = np.array([row["right"] for row in rows], float)
    main = np.array([row["left_out"] is None and row["pictures"].startswith("pictures")
                     for row in rows])
    weights = np.where(main, 0.5 / max(1, main.sum()), 0.5 / max(1, (~main).sum()))
    middle, spread = x.mean(0), x.std(0)
    z = np.column_stack([np.ones(len(x)), (x - middle) / spread])
    penalty = PENALTY * np.eye(z.shape[1])
    penalty[0, 0] = 0
    found = np.zeros(z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-z @ found))
        slope = z.T @ (weights * (p - right)) + penalty @ found
        curve = (z * (weights * p * (1 - p))[:, None]).T @ z + penalty
        found -= np.linalg.solve(curve, slope)
    coefficients = found[1:] / spread
    return np.array([found[0] - coefficients @ middle, *coefficients])


def confidence(coefficients, rows):
    x = np.array([[row[f] for f in FEATURES] for row in rows])
    return 1 / (1 + np.exp(-(coefficients[0] + x @ coefficients[1:])))


def collect(bench):
    sets = {f"pictures-{seed}": (seed, MANY) for seed in SEEDS}
    sets |= {f"few-{seed}": (seed + 100, FEW) for seed in SEEDS}
    bench.draw(sets)
    rows = []
    for model in MODELS:
        for seed in SEEDS:
            rows += cases(bench, model, f"pictures-{seed}")
            rows += cases(bench, model, f"few-{seed}", truth_from=f"pictures-{seed}")
    return [row for row in rows if row["right"] is not None]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/cliplens")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    folder = ROOT / "build" / "truth"
    folder.mkdir(parents=True, exist_ok=True)
    rows = collect(Bench(args.program, folder, args.workers))
    coefficients = fit(rows)
    print(f"{len(rows)} labels")
    for name, value in zip(("intercept", *FEATURES), coefficients):
        print(f"{name:12} {value:8.3f}")
    for title, keep in (("full tables", lambda r: r["left_out"] is None),
                        ("one property left out", lambda r: r["left_out"] is not None),
                        (f"full, {MANY} pictures",
                         lambda r: r["left_out"] is None and r["pictures"].startswith("pictures")),
                        (f"full, {FEW} pictures",
                         lambda r: r["left_out"] is None and r["pictures"].startswith("few")),
                        ("head's own property left out", lambda r: r["left_out"] == r["first"])):
        some = [row for row in rows if keep(row)]
        p = confidence(coefficients, some)
        right = [row["right"] for row in some]
        print(f"{title}: {len(some)} labels, right {np.mean(right):.3f}, confidence "
              f"{p.mean():.3f}, expected calibration error {calibration_error(p, right):.3f}")


if __name__ == "__main__":
    main()
