"""Whether the labels of heads are true: the benchmark on the picture world.

    python -m bench.truth --program build/release/bin/cliplens           measures
    python -m bench.truth --program build/release/bin/cliplens --update  and writes docs/truth.md

Draws fresh pictures, makes stores of them, asks the program, and compares with what is known. All
that it makes lies in build/truth; --keep works with the pictures and stores that are there.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
import time

from bench.truth import causal, interventions, methods, report
from bench.truth.cases import cases
from bench.truth.stores import ROOT, Bench

JUDGED = ("pictureworld", "pictureworld-2")            # all sections
# Truth, fidelity of own answers, confidence.
FURTHER = ("pictureworld-roles", "pictureworld-birds", "pictureworld-siglip")
SEEDS = (21, 22, 23)
PICTURES = 1500
CHANGED = 500  # pictures of the first seed whose counterparts are drawn


def measure(bench, also):
    bench.draw({f"pictures-{seed}": (seed, PICTURES) for seed in SEEDS}, SEEDS[0], CHANGED)
    results = {"pictures": PICTURES, "changed": CHANGED, "seeds": SEEDS, "runs": [], "cases": [],
               "total_effects": {}}
    for model in JUDGED + FURTHER + also:
        for seed in SEEDS:
            results["cases"] += cases(bench, model, f"pictures-{seed}")
            run = {"model": model, "seed": seed, "judged": model in JUDGED,
                   "evaluation": bench.evaluate(model, f"pictures-{seed}")}
            if model in JUDGED:
                found = (methods.text_labels(bench, model, seed)
                         | methods.weight_labels(bench, model))
                run["methods"] = [[*key, labels] for key, labels in found.items()]
                run["causal"] = causal.drops(
                    bench, model, seed, [h["label"] for h in run["evaluation"]["truth"]])
            results["runs"].append(run)
        if model in JUDGED:
            effects = interventions.total_effects(bench, model, SEEDS[0], CHANGED)
            results["total_effects"][model] = {
                factor: [part.reshape(-1).tolist() for part in effect]
                for factor, effect in effects.items()}
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/cliplens")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw pictures")
    parser.add_argument("--models", type=pathlib.Path,
                        help="a folder of trained models that are not shipped; they are measured as well")
    parser.add_argument("--keep", action="store_true", help="keep pictures and stores of a run")
    parser.add_argument("--update", action="store_true", help="write docs/truth.md and its figures")
    args = parser.parse_args()
    folder = ROOT / "build" / "truth"
    if not args.keep:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    also = tuple(sorted(path.name for path in args.models.iterdir())) if args.models else ()
    results = measure(Bench(args.program, folder, args.workers, args.models), also)
    results["seconds"] = time.perf_counter() - start
    (folder / "results.json").write_text(json.dumps(results) + "\n")
    page = report.page(results)
    print(page)
    if args.update:
        report.update(page, report.figures(results))


if __name__ == "__main__":
    main()
