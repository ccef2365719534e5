#!/usr/bin/env python3
"""Throughput and peak memory of the program's `decompose`, `evaluate segmentation` and `embed --edit`
beside its `embed`: whole processes.

    python bench/decompose.py --program build/release/bin/cliplens [--quick] [--runs 5]
        [--cases small compute decode segmentation edit memory] [--json build/bench.json]

small    the shipped model on the shipped pictures (80 x 80, PNG in shards)
compute  ViT-B/32 with random weights on 1,180 of the same pictures: the model takes the time
decode   the shipped model on JPEGs of 3000 x 2000: reading takes the time
segmentation  `evaluate segmentation` of the shipped model, and of a ViT-B/16 with random weights, on
         pictures with masks
edit     `embed --edit` of a ViT-B/16 with random weights: six heads by their means, and the paper's
         recipe (all heads but those of four layers, all MLPs, INPUT)
memory   peak memory from about 1,000 to about 50,000 pictures, with statistics only and with the
         full store

embed and the other verb run in alternating pairs, so that a change of the machine's speed meets both; the
ratio is given by wall time, pair by pair, and by processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

# No NumPy and nothing larger here: the peak memory of a child counts that of the process that
# started it.
from common import ROOT, THREADS, Busy, leave_nothing_when_ended, save

SHARDS = sorted((ROOT / "world" / "sets" / "test").glob("*.tar"))
MODEL = ROOT / "models" / "pictureworld"
TEXTS = ROOT / "world" / "texts"
CLASSES = ("--classes", TEXTS / "objects.txt", "--templates", TEXTS / "objects.templates.txt")
EDITS = {"six heads": "L11.H0,L11.H1,L11.H2,L10.H0,L10.H1,L10.H2",
         "recipe": "L0-L7,L10.H0,L11.H0,mlps,INPUT"}
CASES = ("small", "compute", "decode", "segmentation", "edit", "memory")
SIZES = (1_000, 10_000, 50_000)


def run(command) -> dict:
    """Wall and processor seconds, peak resident bytes and the JSON on standard output."""
    command = [str(word) for word in command]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {process.returncode}")
    return dict(wall=time.perf_counter() - start, cpu=usage.ru_utime + usage.ru_stime,
                peak=usage.ru_maxrss * 1024, result=json.loads(out))


def inputs(*words):
    subprocess.run([sys.executable, ROOT / "bench" / "inputs.py", *map(str, words)], check=True)


def shards(folder: pathlib.Path, pictures: int) -> pathlib.Path:
    """A WebDataset of at least so many pictures: links to the shipped shards, taken in turn."""
    folder.mkdir()
    in_a_shard = []
    for shard in SHARDS:
        with tarfile.open(shard) as tar:
            in_a_shard.append(sum(name.endswith(".png") and ".mask." not in name
                                  for name in tar.getnames()))
    count = i = 0
    while count < pictures:
        (folder / f"{i:05d}.tar").symlink_to(SHARDS[i % len(SHARDS)])
        count += in_a_shard[i % len(SHARDS)]
        i += 1
    return folder


def jpegs(folder: pathlib.Path, count: int) -> pathlib.Path:
    """A few different JPEGs, each linked until there are `count`."""
    different = 8
    inputs("jpegs", folder / "different", different)
    (folder / "all").mkdir()
    for i in range(count):
        (folder / "all" / f"{i}.jpg").symlink_to(folder / "different" / f"{i % different}.jpg")
    return folder / "all"


class Program:
    def __init__(self, path: pathlib.Path, folder: pathlib.Path):
        self.path = path
        self.folder = folder

    def embed(self, model, pictures, *options) -> dict:
        out = self.folder / "e.npy"
        measured = run([self.path, "embed", model, "--images", pictures, "--out", out, "--json",
                        *options])
        out.unlink()
        out.with_suffix(".rows.jsonl").unlink()
        return measured

    def decompose(self, model, pictures, *options) -> dict:
        out = self.folder / "store"
        measured = run([self.path, "decompose", model, "--images", pictures, "--out", out, "--json",
                        *options])
        measured["disk"] = sum(f.stat().st_size for f in out.iterdir())
        shutil.rmtree(out)
        return measured

    def segmentation(self, model, pictures) -> dict:
        return run([self.path, "evaluate", "segmentation", model, "--images", pictures, *CLASSES,
                    "--json"])

    def edit(self, model, pictures, components) -> pathlib.Path:
        """An edit of these components, by the means of these pictures."""
        store, out = self.folder / "means", self.folder / "edit.json"
        run([self.path, "decompose", model, "--images", pictures, "--out", store, "--stats-only",
             "--json"])
        run([self.path, "edit", "make", store, "--heads", components, "--out", out, "--json"])
        shutil.rmtree(store)
        return out


def pairs(program: Program, name: str, model, pictures, runs: int, verb="decompose",
          other=None) -> dict:
    """`verb` names the other verb; `other` runs it, `decompose` if none is given."""
    verbs = {"embed": program.embed, verb: other or program.decompose}
    images = len(verbs["embed"](model, pictures)["result"]["items"])  # warms the page cache
    measured = {each: dict(wall=[], cpu=[]) for each in verbs}
    for turn in range(runs):
        for each in sorted(verbs, reverse=turn % 2 == 0):
            one = verbs[each](model, pictures)
            measured[each]["wall"].append(one["wall"])
            measured[each]["cpu"].append(one["cpu"])
    rate = {each: images / statistics.median(m["wall"]) for each, m in measured.items()}
    ratios = {kind: [e / d for e, d in zip(measured["embed"][kind], measured[verb][kind])]
              for kind in ("wall", "cpu")}
    print(f"{name}: {images} pictures, embed {rate['embed']:.1f}/s, {verb} "
          f"{rate[verb]:.1f}/s; {verb} / embed by wall time "
          f"{statistics.median(ratios['wall']):.3f} ({min(ratios['wall']):.3f} to "
          f"{max(ratios['wall']):.3f}), by processor time {statistics.median(ratios['cpu']):.3f}",
          flush=True)
    return dict(case=name, verb=verb, images=images, measured=measured, rate=rate, ratios=ratios)


def memory(program: Program, folder: pathlib.Path, sizes) -> list[dict]:
    rows = []
    for kind, options in (("statistics only", ["--stats-only"]), ("full store", [])):
        for size in sizes:
            pictures = shards(folder / f"{kind[:4]}-{size}", size)
            one = program.decompose(MODEL, pictures, *options)
            rows.append(dict(kind=kind, images=one["result"]["images"], peak=one["peak"],
                             disk=one["disk"], wall=one["wall"],
                             certificate=one["result"]["certificate"]["max"]))
            print(f"{rows[-1]['images']:6d} pictures, {kind:15}  peak {one['peak'] / 2**20:6.1f} "
                  f"MiB, on disk {one['disk'] / 2**20:7.1f} MiB, {one['wall']:.1f} s, certificate "
                  f"{rows[-1]['certificate']:.1e}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path,
                        default=ROOT / "build/release/bin/cliplens")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--runs", type=int, default=5, help="pairs of each case")
    parser.add_argument("--quick", action="store_true", help="one pair and few pictures")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench.json")
    options = parser.parse_args()
    runs = 1 if options.quick else options.runs
    scale = 10 if options.quick else 1
    leave_nothing_when_ended()
    busy = Busy()
    cases, peaks = [], []
    print(f"{THREADS} threads, whole processes", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        program = Program(options.program, folder)
        if "small" in options.cases:
            pictures = shards(folder / "small", 3_000 // scale)
            cases.append(pairs(program, "small", MODEL, pictures, runs))
        if "compute" in options.cases:
            inputs("model", "B/32", folder / "model")
            pictures = shards(folder / "compute", 1_000 // scale)
            cases.append(pairs(program, "compute", folder / "model", pictures, min(runs, 3)))
            shutil.rmtree(folder / "model")
        if "decode" in options.cases:
            pictures = jpegs(folder / "decode", 160 // scale)
            cases.append(pairs(program, "decode", MODEL, pictures, runs))
            shutil.rmtree(folder / "decode")
        if "segmentation" in options.cases:
            pictures = shards(folder / "masked", 1_000 // scale)
            cases.append(pairs(program, "segmentation", MODEL, pictures, runs, "segmentation",
                               program.segmentation))
        for case in {"segmentation", "edit"} & set(options.cases):
            model, few = folder / "b16", ROOT / "world" / "sets" / "single"
            if not model.exists():
                inputs("model", "B/16", model)
            if case == "segmentation":
                cases.append(pairs(program, "segmentation-b16", model, few, min(runs, 3),
                                   "segmentation", program.segmentation))
                continue
            for name, components in EDITS.items():
                edit = program.edit(model, few, components)
                cases.append(pairs(
                    program, f"edit, {name}", model, few, min(runs, 3), "embed --edit",
                    lambda *words, edit=edit: program.embed(*words, "--edit", edit)))
                edit.unlink()
        if "memory" in options.cases:
            peaks = memory(program, folder, [size // scale for size in SIZES])
    save(options.json, "decompose",
         dict(cases=cases, memory=peaks, quick=options.quick, others=busy.share()))


if __name__ == "__main__":
    main()
