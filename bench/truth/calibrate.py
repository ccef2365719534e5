"""Fits the coefficients of the confidence in cliplens/analysis/label_confidence.cc.

    python -m bench.truth.models build/truth/models
    python -m bench.truth.calibrate --program build/release/bin/cliplens --models build/truth/models

On the shipped models, small trained ones, some after a few steps of their training, and models of
random weights; sets of 8 to 10,000 pictures; property tables of 2 to 25 properties, of which many
lack the property of a head. A logistic function by Newton's method, with a penalty on the squares of
the coefficients; every model weighs the same. Models of KEPT are not in the fit: the figures are
theirs.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from bench.truth.collect import cases, sets
from bench.truth.models import RANDOM, SNAPSHOTS
from bench.truth.stores import ROOT, Bench

SHIPPED = ("pictureworld", "pictureworld-2", "pictureworld-roles", "pictureworld-birds")
FIT = (*SHIPPED, "m1", "m3", "m1-60", "m1-300", "m1-1000", "m3-60", "m3-300", "m3-1000", "r1", "r3")
KEPT = ("m2", "m4", "m5", "m6", "m2-300", "m2-1000", "m4-300", "m4-1000", "r2", "r4")
PENALTY = 1e-3  # of squared coefficients of features with unit spread
FEW, MANY = 8, 1500  # pictures
ABSENT = "table without the head's own property"  # where every label is wrong
SCARCE = 6  # properties

FEATURES = ("Share", "Significance", "Head", "Peak", "PeakTexts", "Table", "Properties",
            "FewProperties", "ScarceShare", "ScarceHead", "ScarcePeak", "FewOnce", "FewTwice",
            "FewShare", "FewStability", "FewHead", "FewPeak", "FewTable")


def features(figures):
    """As ConfidenceOf in label_confidence.cc has them, [cases, len(FEATURES)]."""
    f = {key: np.array([case[key] for case in figures]) for key in figures[0]}
    few = np.clip(np.log(MANY / np.maximum(f["images"], 1)) / np.log(MANY / FEW), 0, 1)
    share = np.log(np.maximum(f["net"], 1e-3))
    significance = np.clip(np.log(np.maximum(f["share"], 1e-3) / np.maximum(f["error"], 1e-4)), -2, 6)
    head = np.clip(np.log(f["head_alignment"] + 0.05), -1, 2)
    texts = np.clip(np.log(f["text_alignment"] + 0.05), 0, 1.5)
    peak = np.clip(f["text_peak"], 0, 0.5)
    table = np.clip(f["table_alignment"], 0, 1.5)
    scarce = np.log(np.maximum(1, SCARCE / f["properties"]))
    return np.column_stack([
        share, significance, head, peak, peak * texts, table, np.log(f["properties"]), scarce,
        scarce * share, scarce * head, scarce * peak, few, few * few, few * share,
        few * f["stability"], few * head, few * peak, few * table])


def fit(x, right, weights):
    """Intercept and coefficients."""
    middle, spread = x.mean(0), x.std(0)
    z = np.column_stack([np.ones(len(x)), (x - middle) / spread])
    weights = weights / weights.sum()
    penalty = 2 * PENALTY * np.eye(z.shape[1])
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
    x = features([row["figures"] for row in rows])
    return 1 / (1 + np.exp(-(coefficients[0] + x @ coefficients[1:])))


def part_of(model):
    """How many of the sets of pictures are left out: models that are not trained to the end count
    for less."""
    return 3 if model in RANDOM or model.split("-")[-1] in map(str, SNAPSHOTS) else 1


def kind_of(model):
    return ("random" if model in RANDOM else
            "half trained" if part_of(model) > 1 else "trained")


def cell(rows, p, keep):
    """(labels, stated, true) of the labels for which `keep` holds."""
    chosen = np.array([keep(row) for row in rows]) & (p >= 0.5)
    right = np.array([row["right"] for row in rows])
    if not chosen.any():
        return 0, None, None
    return int(chosen.sum()), float(p[chosen].mean()), float(right[chosen].mean())


def cells(rows, p):
    """{cell: (labels, stated, true)} over which the confidence is to hold."""
    found = {"all": cell(rows, p, lambda row: True)}
    for images in sorted({row["images"] for row in rows}):
        found[f"{images} pictures"] = cell(rows, p, lambda row: row["images"] == images)
    for low, high in ((2, 4), (5, 8), (9, 16), (17, 25)):
        found[f"{low} to {high} properties"] = cell(
            rows, p, lambda row: low <= row["properties"] <= high)
    found["full table"] = cell(rows, p, lambda row: row["table"] == "full")
    found["table that lacks some property"] = cell(
        rows, p, lambda row: row["table"] not in ("full", "more"))
    found[ABSENT] = cell(rows, p, lambda row: not row["present"])
    for kind in ("trained", "half trained", "random"):
        found[kind] = cell(rows, p, lambda row: kind_of(row["model"]) == kind)
    for model in dict.fromkeys(row["model"] for row in rows):
        found[model] = cell(rows, p, lambda row: row["model"] == model)
    return found


def fidelity(rows, model):
    """Of the best guesses on 1,500 pictures and more with the full table: (by variance, clear heads
    right, clear heads)."""
    some = [row for row in rows
            if row["model"] == model and row["table"] == "full" and row["images"] >= 1500]
    variance = sum(row["variance"] for row in some)
    clear = [row["right"] for row in some if row["clear"]]
    return (sum(row["variance"] for row in some if row["right"]) / variance, sum(clear), len(clear))


def by_pictures(rows, p):
    """Lines of a table: what comes of n pictures, full table, trained models."""
    lines = []
    for images in sorted({row["images"] for row in rows}):
        chosen = [(row, q) for row, q in zip(rows, p) if row["images"] == images
                  and row["table"] == "full" and kind_of(row["model"]) == "trained"]
        right = np.array([row["right"] for row, _ in chosen], float)
        stated = np.array([q for _, q in chosen])
        label, sure = stated >= 0.5, stated >= 0.8
        lines.append(f"| {images} | {right.mean():.2f} | {label.mean():.2f} | "
                     f"{stated[label].mean():.2f} | {right[label].mean():.2f} | {sure.mean():.2f} | "
                     f"{right[sure].mean():.2f} |")
    return lines


def collect(bench, models):
    bench.draw(sets())
    return [row for model in models
            for row in cases(bench, model, sum(map(ord, model)), part_of(model))]


def open_bench(description, out):
    """The bench that the command line asks for, and the file to write."""
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/cliplens")
    parser.add_argument("--models", default="build/truth/models")
    parser.add_argument("--folder", default="build/truth/calibration")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", default=out)
    args = parser.parse_args()
    folder = ROOT / args.folder
    folder.mkdir(parents=True, exist_ok=True)
    return Bench(args.program, folder, args.workers, args.models), ROOT / args.out


def main():
    bench, out = open_bench(__doc__, "docs/truth/calibration.json")
    rows, kept = collect(bench, FIT), collect(bench, KEPT)
    number = {model: sum(row["model"] == model for row in rows) for model in FIT}
    coefficients = fit(features([row["figures"] for row in rows]),
                       np.array([row["right"] for row in rows], float),
                       np.array([1 / number[row["model"]] for row in rows]))
    print(f"{len(rows)} guesses of {len(FIT)} models in the fit")
    for name, value in zip(("Intercept", *FEATURES), coefficients):
        print(f"k{name} = {value:.3f}")
    coefficients = coefficients.round(3)
    p = confidence(coefficients, kept)
    found = cells(kept, p)
    print(f"\n{len(kept)} guesses of {len(KEPT)} models kept out of it\n"
          f"{'labels':36} {'number':>7} {'stated':>7} {'true':>7}")
    for name, (number, stated, true) in found.items():
        if number:
            print(f"{name:36} {number:7} {stated:7.3f} {true:7.3f}")
    for title, some in (("in the fit", rows), ("kept out", kept)):
        print(f"\ntrained models {title}, full table: pictures, guesses right, with a label, stated,"
              " right of the labels, sure (.8), right of the sure")
        print("\n".join(by_pictures(some, confidence(coefficients, some))))
    sure = np.mean([q >= 0.8 for row, q in zip(kept, p) if kind_of(row["model"]) == "random"])
    print(f"guesses of random weights with a confidence of .8 or more: {sure:.4f}")
    faithful = {model: fidelity(kept, model) for model in KEPT if kind_of(model) == "trained"}
    for model, (share, right, clear) in faithful.items():
        print(f"{model}: best guesses right {share:.3f} by variance, {right} of {clear} clear heads")
    result = {"coefficients": dict(zip(("Intercept", *FEATURES), coefficients)), "cells": found,
              "random_sure": sure, "fidelity": faithful, "fit": FIT, "kept": KEPT}
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
