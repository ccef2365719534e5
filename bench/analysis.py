#!/usr/bin/env python3
"""Times TextSpan, labels, search, heat maps and statistics, on generated factors of the size of real
models and on models of random weights.

    python bench/analysis.py --worker build/release/bin/cliplens_bench_analysis
        [--cases text-span labels search heat-maps pursuit statistics] [--quick] [--json build/bench.json]

text-span    all 384 heads of an L/14, 3,498 texts, 60 each, from moments of 50,000 pictures; beside
             it the first 10 texts of one head by the procedure of the paper's code, in fp64 and with
             the rank that the head has, which must be the same
labels       all 384 heads of an L/14 on 10,000 pictures, 30,000 texts in 25 properties
search       the ten most alike of 1,000,000 pictures under one head of 64, in the store and by an index
heat-maps    20 texts on one picture, a B/16 and an L/14 of random weights, beside the plain forward
             pass of the same picture
pursuit      matching pursuit of 128 of 30,000 texts for 3,072 directions of 512 numbers, by turns with
             the plain products of as many operations; four paths by the definition, in fp64, which must
             have the same texts
statistics   1,000,000 pictures in one pass and in 16 parts that are merged: memory, disk, difference
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from common import ROOT, THREADS, Busy, leave_nothing_when_ended, save

CASES = ("text-span", "labels", "search", "heat-maps", "pursuit", "statistics")
MOST_OF_A_PASS = 1.1  # what heat maps may take


def run(worker, case, *words):
    done = subprocess.run([worker, case, *map(str, words)], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def reference(x, texts, count):
    """TextSpan as the code of arXiv 2310.05916 forms it, in fp64, in the directions whose second moment
    is above 1e-12 of the largest: their number and the texts. x [B, E], texts [M, E]."""
    x, texts = x.astype(np.float64), texts.astype(np.float64)
    _, sizes, v = np.linalg.svd(x, full_matrices=False)
    v = v[sizes > 1e-6 * sizes[0]]
    rank = len(v)
    texts = texts @ v.T @ v
    x = x - x.mean(0)
    chosen = []
    for _ in range(count):
        best = int(np.argmax((x @ texts.T).std(0)))
        chosen.append(best)
        t = texts[best] / np.linalg.norm(texts[best])
        x = x - np.outer(x @ t, t)
        texts = texts - np.outer(texts @ t, t)
    return rank, chosen


def text_span(worker, folder, quick):
    images, texts, count = (5_000, 500, 10) if quick else (50_000, 3_498, 60)
    first = 10  # texts of the reference
    ours = run(worker, "text-span", images, texts, count, THREADS, folder)
    x = np.load(pathlib.Path(folder) / "contributions.npy")
    pool = np.load(pathlib.Path(folder) / "texts.npy")
    start = time.perf_counter()
    rank, chosen = reference(x, pool, first)
    ours["reference_seconds"] = time.perf_counter() - start
    ours["same"] = sum(a == b for a, b in zip(chosen, ours["chosen"]))
    print(f"TextSpan: {ours['heads']} heads, {texts} texts, {count} each, {images} pictures: "
          f"{ours['seconds']:.1f} s on {THREADS} threads; one head {ours['of_one']:.3f} s for "
          f"{count} texts, the paper's procedure {ours['reference_seconds']:.1f} s for {first}, of "
          f"which {ours['same']} are the same", flush=True)
    if ours["same"] != first or ours["rank"] != rank:
        sys.exit(f"the reference has rank {rank} and the texts {chosen}, not {ours['rank']} and "
                 f"{ours['chosen']}")
    return ours


def labels(worker, folder, quick):
    images, texts = (1_000, 500) if quick else (10_000, 30_000)
    result = run(worker, "labels", images, texts, 25, THREADS, folder)
    print(f"labels: {result['heads']} heads, {images} pictures, {texts} texts in 25 properties: "
          f"{result['seconds']:.1f} s on {THREADS} threads, peak {result['peak'] / 2**20:.0f} MiB",
          flush=True)
    return result


def search(worker, folder, quick):
    images = 20_000 if quick else 1_000_000
    result = run(worker, "search", images, THREADS, folder)
    print(f"search: {images} pictures under one head: {result['query']:.3f} s a query of the index, "
          f"{result['read']:.2f} s to read it, {result['write']:.1f} s to make it; in the store "
          f"{result['cosine']:.2f} s by cosine, {result['raw']:.2f} s raw; {THREADS} threads, peak "
          f"{result['peak'] / 2**20:.0f} MiB", flush=True)
    return result


def heat_maps(worker, folder, quick):
    import inputs
    texts, rounds = 20, 3 if quick else 30
    results = {}
    for name in ("B/32",) if quick else ("B/16", "L/14"):
        model = inputs.write_model(pathlib.Path(folder) / name.replace("/", "-"),
                                   inputs.model_config(name))
        result = run(worker, "heat-maps", model, texts, rounds, THREADS)
        print(f"heat maps: {texts} texts on one picture, {name}: {1e3 * result['maps']:.1f} ms, the "
              f"plain pass {1e3 * result['plain']:.1f} ms, {result['ratio']:.3f} of it (median of "
              f"{rounds} pairs); the texts' part {1e3 * result['of_the_texts']:.1f} ms; sums within "
              f"{result['difference']:.1e} of the scores, {THREADS} threads", flush=True)
        if result["difference"] > 1e-5 or (result["ratio"] > MOST_OF_A_PASS and not quick):
            sys.exit(1)
        results[name] = result
    return results


def plain_pursuit(atoms, target, count):
    """Orthogonal matching pursuit by its definition, in fp64: texts and weights."""
    chosen, rest = [], target
    for _ in range(count):
        chosen.append(int(np.argmax(np.abs(atoms @ rest))))
        weights = np.linalg.lstsq(atoms[chosen].T, target, rcond=None)[0]
        rest = target - weights @ atoms[chosen]
    return chosen, weights


def pursuit(worker, folder, quick):
    texts, targets, width, count = (2_000, 64, 128, 16) if quick else (30_000, 3_072, 512, 128)
    result = run(worker, "pursuit", texts, targets, width, count, THREADS, folder)
    rows = np.load(pathlib.Path(folder) / "texts.npy").astype(np.float64)
    directions = np.load(pathlib.Path(folder) / "targets.npy").astype(np.float64)
    rows -= rows.mean(0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    chosen = np.reshape(result.pop("chosen"), (len(directions), count))
    weights = np.reshape(result.pop("weights"), (len(directions), count))
    start = time.perf_counter()
    paths = [plain_pursuit(rows, direction, count) for direction in directions]
    result["reference_seconds"] = (time.perf_counter() - start) / len(paths)
    result["same"] = sum(list(ours) == theirs for ours, (theirs, _) in zip(chosen, paths))
    result["difference"] = max(np.abs(w - of).max() for w, (_, of) in zip(weights, paths))
    print(f"pursuit: {targets} directions of {width} numbers, {texts} texts, {count} each: "
          f"{result['seconds']:.1f} s on {THREADS} threads ({result['cpu']:.1f} s of processors), the "
          f"plain products {result['plain']:.1f} s ({result['plain_cpu']:.1f} s), "
          f"{result['cpu'] / result['plain_cpu']:.3f} of their processor time; peak "
          f"{result['peak'] / 2**20:.0f} MiB; one path by the definition (fp64, NumPy) "
          f"{result['reference_seconds']:.2f} s; {result['same']} of {len(paths)} have the same texts, "
          f"weights within {result['difference']:.1e}", flush=True)
    if result["same"] != len(paths) or result["difference"] > 1e-9:
        sys.exit(1)
    return result


def statistics(worker, folder, quick):
    images = 20_000 if quick else 1_000_000
    result = run(worker, "statistics", images, 16, THREADS, folder)
    for (done, peak), (_, disk) in zip(result["peaks"], result["disk"]):
        print(f"statistics: {done} pictures, peak {peak / 2**20:.1f} MiB, on disk "
              f"{disk / 2**20:.1f} MiB")
    same = not result["difference"]
    print("statistics: 16 parts merged are "
          + ("the same to the bit as one pass" if same else f"other: {result['difference']}"),
          flush=True)
    if not same:
        sys.exit(1)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", type=pathlib.Path,
                        default=ROOT / "build/release/bin/cliplens_bench_analysis")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--quick", action="store_true", help="small sizes: a rehearsal, no figures")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench.json")
    options = parser.parse_args()
    leave_nothing_when_ended()
    busy = Busy()
    functions = {"text-span": text_span, "labels": labels, "search": search, "heat-maps": heat_maps,
                 "pursuit": pursuit, "statistics": statistics}
    results = {}
    for case in options.cases:
        with tempfile.TemporaryDirectory() as folder:
            results[case] = functions[case](options.worker, folder, options.quick)
    save(options.json, "analysis", dict(cases=results, quick=options.quick, others=busy.share()))


if __name__ == "__main__":
    main()
