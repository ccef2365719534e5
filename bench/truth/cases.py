"""Labels of every head under the full property table and under tables with one property left out.

A user's table is never complete. Without the property that a head is about every label is wrong,
and the confidence should say so.
"""

from __future__ import annotations

import numpy as np

from bench.truth.stores import FACTORS


def cases(bench, model, pictures):
    """One entry for each head and table: {"model", "pictures", "left_out", "head", "first",
    "first_offered", "clear", "variance", "label", "right", "confidence"}. right is None without a
    label; first_offered is the first among the factors that the table has. A head about the object
    that is called by its category where the table lacks objects is left out: the label is neither
    right nor wrong.
    """
    full = bench.evaluate(model, pictures)
    truth = {head["head"]: head for head in full["truth"]}
    found = []
    for left_out in (None, *FACTORS):
        result = full if left_out is None else bench.evaluate(model, pictures, left_out)
        for head in result["truth"]:
            true = truth[head["head"]]
            if left_out == "object" and (true["first"], head["label"]) == ("object", "category"):
                continue
            right = None if head["label"] is None else head["label"] == true["first"]
            offered = {s["factor"]: s["share"]["value"] for s in true["shares"] if s["factor"] != left_out}
            found.append({"model": model, "pictures": pictures, "left_out": left_out,
                          "head": head["head"], "first": true["first"],
                          "first_offered": max(offered, key=offered.get),
                          "clear": true["clear"],
                          "variance": true["variance"], "label": head["label"], "right": right,
                          "confidence": head["confidence"]})
    return found


def calibration_error(confidence, right, bins=10):
    """Expected calibration error over equal bins of the confidence, as the program computes it."""
    confidence, right = np.asarray(confidence), np.asarray(right, float)
    at = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(sum(abs(confidence[at == b].sum() - right[at == b].sum())
                     for b in range(bins)) / max(1, len(right)))


def reliability(confidence, right, bins=10):
    """[(heads, mean confidence, share right)] of the bins with heads."""
    confidence, right = np.asarray(confidence), np.asarray(right, float)
    at = np.minimum((confidence * bins).astype(int), bins - 1)
    return [(int((at == b).sum()), float(confidence[at == b].mean()), float(right[at == b].mean()))
            for b in range(bins) if (at == b).any()]
