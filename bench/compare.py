#!/usr/bin/env python3
"""Two builds of the program in turn: what a change costs.

    python bench/compare.py OLD NEW [--model FOLDER] [--images FOLDER] [--runs 7] [--cases span ...]

OLD makes a store; then every case runs as OLD, NEW, OLD, NEW, … after one run of each that does not
count. Printed are NEW / OLD by processor time and by wall time: the median of the pairs, the least
and the largest. Ends in an error if a median by processor time is above 1.02.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import statistics
import sys
import tempfile

from common import ROOT, Busy, leave_nothing_when_ended
from decompose import CLASSES, MODEL, TEXTS, run

MOST = 1.02


def cases(model, images, folder, store) -> dict[str, list]:
    """{name: words behind the program's name}; what stands in `folder` is removed after each run."""
    out, pool = folder / "out", TEXTS / "phrases.txt"
    return {
        "embed": ["embed", model, "--images", images, "--out", out],
        "texts": ["embed", model, "--texts", pool, "--out", out],
        "decompose": ["decompose", model, "--images", images, "--out", out],
        "segmentation": ["evaluate", "segmentation", model, "--images", images, *CLASSES],
        "span": ["span", store, "--texts", pool, "--heads", "all", "--count", 60],
        "label": ["label", store, "--properties", TEXTS / "properties.txt"],
        "ablate": ["ablate", store, *CLASSES],
        "search": ["search", store, "--item", 3, "--heads", "all"],
        "export": ["export", store, "--out", out],
    }


def compare(old, new, words, folder, runs) -> tuple[list[float], list[float]]:
    measured = {old: [], new: []}
    for _ in range(runs + 1):
        for program in (old, new):
            folder.mkdir()
            measured[program].append(run([program, *words, "--json"]))
            shutil.rmtree(folder)
    return tuple([n[kind] / o[kind] for o, n in list(zip(measured[old], measured[new]))[1:]]
                 for kind in ("cpu", "wall"))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, default=MODEL)
    parser.add_argument("--images", type=pathlib.Path, default=ROOT / "world/sets/test")
    parser.add_argument("--runs", type=int, default=7, help="pairs of each case")
    parser.add_argument("--cases", nargs="+", help="default: all")
    options = parser.parse_args()
    leave_nothing_when_ended()
    os.environ.setdefault("CLIPLENS_SHARE", str(ROOT))
    busy, slower = Busy(), []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        run([options.old, "decompose", options.model, "--images", options.images, "--out",
             folder / "store", "--json"])
        every = cases(options.model, options.images, folder / "written", folder / "store")
        for name in options.cases or every:
            both = compare(options.old, options.new, every[name], folder / "written",
                           options.runs)
            cpu, wall = (f"{statistics.median(r):.3f} ({min(r):.3f} to {max(r):.3f})" for r in both)
            print(f"{name:12}  processor time {cpu}   wall time {wall}", flush=True)
            if statistics.median(both[0]) > MOST:
                slower.append(name)
    print(f"other programs took {100 * busy.share():.0f} % of the machine")
    if slower:
        sys.exit(f"more than {MOST} of the processor time: {', '.join(slower)}")


if __name__ == "__main__":
    main()
