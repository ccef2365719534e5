"""Ways to choose the best guess of a head, held beside one another.

    python -m bench.truth.rankers --models build/truth/models

After bench.truth.calibrate, whose pictures and stores it uses: the full property table, all trained
models, sets of each size.
"""

from __future__ import annotations

import json

import numpy as np

from bench.truth.calibrate import FIT, KEPT, kind_of, open_bench
from bench.truth.collect import sets, truth_of
from bench.truth.stores import PROPERTIES

RANKERS = {
    "share": lambda p: p["share"]["value"],
    "share − turned texts' mean": lambda p: p["share"]["value"] - p["turned"],
    "share − turned texts' largest": lambda p: p["share"]["value"] - p["chance"],
    "lower bound of the share": lambda p: p["share"]["low"],
    "net share before overlaps": lambda p: p["net"] + p["shared"],
    "net share": lambda p: p["net"],
}


def measure(bench, models):
    """{ranker: {pictures: {model: fidelity by variance}}}, means over the sets of a size."""
    found = {name: {} for name in RANKERS}
    for model in models:
        truth = truth_of(bench, model)
        variance = sum(head["variance"] for head in truth.values())
        for pictures in sorted({size for _, size in sets().values()}):
            names = [name for name, (_, size) in sets().items() if size == pictures]
            for ranker in RANKERS:
                found[ranker].setdefault(pictures, {})[model] = 0.0
            for name in names:
                for head in bench.run("label", bench.store(model, name), "--properties",
                                      PROPERTIES)["heads"]:
                    true = truth[head["head"]]
                    for ranker, score in RANKERS.items():
                        guess = max(head["properties"], key=score)["property"]
                        if guess == true["first"]:
                            found[ranker][pictures][model] += (
                                true["variance"] / variance / len(names))
    return found


def main():
    bench, out = open_bench(__doc__, "docs/truth/rankers.json")
    trained = [model for model in (*FIT, *KEPT) if kind_of(model) == "trained"]
    found = measure(bench, trained)
    out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    for ranker, by_size in found.items():
        print(ranker, *(f"{size}: {np.mean(list(by_model.values())):.3f}"
                        f" ({min(by_model.values()):.3f})" for size, by_model in by_size.items()))


if __name__ == "__main__":
    main()
