#!/usr/bin/env python3
"""Both towers of ViT-B/32, B/16 and L/14, and the image towers of two SigLIPs: this library beside
PyTorch and OpenVINO, in one run.

    python bench/towers.py --worker build/release/bin/cliplens_bench [--seconds 900] [--quick]
        [--models B/32 B/16 L/14] [--tasks image text decompose maps] [--batches 1 16 64]
        [--threads 1 2] [--precisions fp32 bf16] [--json build/bench.json]

Weights are random, scaled like trained ones (tests/parity/models.py); inputs are the same for all.
In each cell the systems take turns, round by round, so that a change of the machine's speed meets
all; a system that is not asked is stopped by a signal. The answers are compared, and a system that
runs on more threads than it was given ends the run.

Where not all cells fit into --seconds, the dearest are left out, and named.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

from common import (ROOT, THREADS, Busy, Worker, WorkerError, has_bf16, leave_nothing_when_ended,
                    ratio, save)
from inputs import (ARCHITECTURES, has_texts, model_config, real_texts, real_tokens, write_model,
                    write_pixels)

# Unit rows of two systems: the least cosine that is allowed. In bf16 each system rounds at other
# places, and all are held to fp32.
LEAST_COSINE = {"fp32": 0.99999, "bf16": 0.999}
MOST_THREADS = 1.05  # of those given: the clock of /proc ticks at 10 ms
SYSTEMS = ("cliplens", "torch", "openvino")
# For the plan alone; the matrix product's rate is measured first.
REACHED = {"fp32": 0.8, "bf16": 0.6}
BF16_GAIN = 1.6
PREPARE_SECONDS = {"B/32": 3, "B/16": 3, "L/14": 9, "SigLIP-B/16": 3, "SigLIP-so400m/14-384": 15}
LONG_PASS = 1.0
# Layers, width, width of the MLP, tokens, side of a patch.
TIMM_SIZES = {"vit_base_patch16_siglip_224": (12, 768, 3072, 196, 16),
              "vit_so400m_patch14_siglip_384": (27, 1152, 4304, 729, 14)}
BESIDE_IMAGE = ("decompose", "maps")


@dataclasses.dataclass(frozen=True)
class Tower:
    layers: int
    width: int
    hidden: int
    tokens: int
    embed: int
    patch_inputs: int = 0  # [3·P·P]; 0 in the text tower
    pool: bool = False  # an attention pool reads the rows of all tokens

    def flops(self, tokens: int | None = None, pooled_only: bool = False) -> float:
        """Matrix products of one item. With `pooled_only` those that the embedding needs: the last
        block, after its keys and values, for the pooled row alone."""
        n, d, f = tokens or self.tokens, self.width, self.hidden
        block = 2 * n * (4 * d * d + 2 * d * f) + 4 * n * n * d
        last = 2 * n * 2 * d * d + 2 * (2 * d * d + 2 * d * f) + 4 * n * d if pooled_only else block
        patches = 2 * (n - 1) * self.patch_inputs * d
        if self.pool:
            last = block + 2 * n * 2 * d * d + 2 * (2 * d * d + 2 * d * f) + 4 * n * d
        return (self.layers - 1) * block + last + patches + 2 * d * self.embed

    def products(self) -> list[list[int]]:
        d, f = self.width, self.hidden
        return [[d, 3 * d], [d, d], [d, f], [f, d]]


@dataclasses.dataclass(frozen=True)
class Cell:
    model: str
    # image, text, or beside the image pass: decompose, the pass with the factors, and maps, the pass
    # with a text's score split over heads and tokens
    task: str
    batch: int
    threads: int
    precision: str


def towers_of(config: dict) -> dict[str, Tower]:
    vision, text, embed = config["vision_cfg"], config["text_cfg"], config["embed_dim"]
    if "timm_model_name" in vision:
        sizes = TIMM_SIZES[vision["timm_model_name"]]
        image = Tower(*sizes[:4], embed, 3 * sizes[4] ** 2, pool=True)
    else:
        grid = vision["image_size"] // vision["patch_size"]
        image = Tower(vision["layers"], vision["width"], 4 * vision["width"], grid * grid + 1, embed,
                      3 * vision["patch_size"] ** 2)
    return dict(image=image, decompose=image, maps=image,
                text=Tower(text["layers"], text["width"], 4 * text["width"],
                           text["context_length"], embed))


def cosines(a: np.ndarray, b: np.ndarray) -> float:
    """The least cosine of two systems' rows for one item."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)).min())


class Run:
    def __init__(self, options, folder: pathlib.Path):
        self.options = options
        self.folder = folder
        self.configs = {name: model_config(name) for name in options.models}
        self.towers = {name: towers_of(config) for name, config in self.configs.items()}
        self.texts = real_texts(max(options.batches))
        self.tokens = real_tokens(self.texts)
        self.workers = {"cliplens": Worker("cliplens", [options.worker])}
        for name in SYSTEMS[1:]:
            if name in options.systems:
                self.workers[name] = Worker(
                    name, [sys.executable, ROOT / "bench" / "systems.py", name])
        self.precisions = self.workers["cliplens"].info["precisions"]
        self.rates: dict[tuple, float] = {}
        self.cells: list[dict] = []
        self.left_out: list[dict] = []

    def close(self):
        for worker in self.workers.values():
            worker.close()

    def flops(self, cell: Cell, padded: bool) -> float:
        """Of a pass: as the other systems run it, or what the embeddings need."""
        tower = self.towers[cell.model][cell.task]
        if cell.task != "text":
            return cell.batch * tower.flops(pooled_only=not padded)
        if padded:
            return cell.batch * tower.flops()
        return sum(tower.flops(n, pooled_only=True) for n in self.tokens[:cell.batch])

    def measure_rates(self):
        """The matrix product's rate for each tower, precision and number of threads."""
        for name, threads, precision in itertools.product(
                self.options.models, self.options.threads, self.options.precisions):
            if precision not in self.precisions:
                continue
            tower = self.towers[name]["image"]
            key = (tower.width, threads, precision)
            if key not in self.rates:
                rows = [tower.tokens, 4 * tower.tokens]
                self.rates[key] = self.workers["cliplens"].ask(
                    op="matmul", precision=precision, threads=threads, rows=rows,
                    layers=tower.products())["flops_per_second"]
                print(f"matrix products, width {tower.width}, {threads} threads, {precision}: "
                      f"{self.rates[key] / 1e9:.0f} GFLOP/s", flush=True)

    def expected_rate(self, cell: Cell) -> float:
        width = self.towers[cell.model]["image"].width
        rate = self.rates.get((width, cell.threads, cell.precision))
        rate = rate or BF16_GAIN * self.rates[(width, cell.threads, "fp32")]
        return REACHED[cell.precision] * rate

    def rounds(self, seconds: float) -> int:
        """Of passes that take so long: at least three, and enough for about 4 s of each system."""
        if self.options.quick:
            return 2
        return max(3, min(11, math.ceil(4 / seconds)))

    def turn(self, one: float) -> tuple[int, int, int]:
        """For passes of `one` second: rounds, untimed and timed passes of each. A turn is long enough
        for the clock; before a short one the caches are the others', so it is warmed."""
        timed = max(1, math.ceil(0.15 / one))
        return self.rounds(one * timed), int(one < 0.5), timed

    def expected_seconds(self, cell: Cell) -> float:
        one = self.flops(cell, padded=True) / self.expected_rate(cell)
        rounds, untimed, timed = self.turn(one)
        if cell.task in BESIDE_IMAGE:
            return one * (1 + 2 * rounds * (untimed + timed))
        trials = 2 if one > LONG_PASS else 6  # two set-ups, warmed and tried twice where it is short
        passes = rounds * (untimed + timed)
        others = len(self.workers) - 1
        return PREPARE_SECONDS[cell.model] + one * (1 + passes + others * (passes + trials))

    def plan(self) -> list[Cell]:
        o = self.options
        every = [Cell(*c) for c in itertools.product(o.models, ("image", "text"), o.batches,
                                                     o.threads, o.precisions) if c[1] in o.tasks]
        # Models may share a text tower: B/32 and B/16 do.
        texts = {self.towers[m]["text"]: m for m in reversed(o.models)}
        every = [c for c in every if c.task != "text" or (
            has_texts(c.model) and texts[self.towers[c.model]["text"]] == c.model)]
        every += [Cell(m, task, min(4 * max(o.threads), max(o.batches)), max(o.threads), "fp32")
                  for m in o.models for task in BESIDE_IMAGE if task in o.tasks]
        # What a reader looks at first comes in first; the rest as far as the time goes.
        threads = max(o.threads)

        def rank(cell: Cell) -> tuple:
            headline = cell.threads == threads and cell.batch <= 16 and cell.precision == "fp32"
            return not headline, self.expected_seconds(cell)

        left = o.seconds
        chosen = set()
        for cell in sorted(every, key=rank):
            cost = self.expected_seconds(cell)
            if cost <= left:
                left -= cost
                chosen.add(cell)
            else:
                self.left_out.append(dataclasses.asdict(cell) | dict(seconds=cost))
        return [cell for cell in every if cell in chosen]

    def prepare(self, name: str, model: pathlib.Path, cell: Cell, task: str) -> dict:
        inputs = (dict(texts=self.texts[:cell.batch]) if task == "text"
                  else dict(pixels=str(self.pixels), batch=cell.batch))
        return self.workers[name].ask(op="prepare", model=str(model), precision=cell.precision,
                                      task=task, threads=cell.threads, **inputs)

    def rows(self, name: str) -> np.ndarray:
        return np.load(self.workers[name].ask(
            op="write", out=str(self.folder / name))["files"]["rows"])

    def timed(self, name: str, cell: Cell, passes: int) -> float:
        """One system's turn. Fails if it took more threads than it was given, or if others ran."""
        idle = {n: w.cpu_seconds() for n, w in self.workers.items() if n != name}
        seconds, used = self.workers[name].time(passes)
        if seconds * passes > 0.5 and used > MOST_THREADS * cell.threads:
            sys.exit(f"{name} ran on {used:.2f} threads where {cell.threads} were given ({cell})")
        for other, before in idle.items():
            if self.workers[other].cpu_seconds() - before > 0.02:
                sys.exit(f"{other} took time while {name} was timed ({cell})")
        return seconds

    def run_cell(self, cell: Cell, model: pathlib.Path, reference: dict):
        setups, first = {}, {}
        for name in self.workers:
            try:
                answer = self.prepare(name, model, cell, cell.task)
                setups[name] = answer.get("setup")
                first[name] = (min(answer["trials"].values()) if "trials" in answer
                               else self.timed(name, cell, 1))
            except WorkerError:
                if name != "cliplens" or cell.precision in self.precisions:
                    raise
        rounds, untimed, passes = self.turn(max(first.values()))
        seconds = {name: [] for name in setups}
        for _ in range(rounds):
            for name in setups:
                if untimed:
                    self.timed(name, cell, untimed)
                seconds[name].append(self.timed(name, cell, passes))
        rows = {name: self.rows(name) for name in setups}
        key = (cell.task, cell.batch)
        if key not in reference:
            reference[key] = rows["cliplens"] if "cliplens" in rows else rows["torch"]
        agreement = {name: cosines(r, reference[key]) for name, r in rows.items()}
        for name, cosine in agreement.items():
            if not cosine >= LEAST_COSINE[cell.precision]:
                sys.exit(f"{name} gives other rows: cosine {cosine:.6f} ({cell})")
        result = dataclasses.asdict(cell) | dict(
            seconds=seconds, setups=setups, cosines=agreement, passes=passes,
            flops_needed=self.flops(cell, padded=False), flops_padded=self.flops(cell, padded=True))
        if cell.task == "text":
            tower = self.towers[cell.model]["text"]
            result |= dict(tokens=sum(self.tokens[:cell.batch]),
                           tokens_padded=cell.batch * tower.tokens)
        rate = self.rates.get((self.towers[cell.model]["image"].width, cell.threads,
                               cell.precision))
        if "cliplens" in seconds and rate:
            reached = result["flops_needed"] / statistics.median(seconds["cliplens"])
            result |= dict(flops_per_second=reached, matmul_flops_per_second=rate)
        self.cells.append(result)
        print(self.line(result), flush=True)

    def run_beside_image(self, cell: Cell, model: pathlib.Path):
        """The image pass and the task, of one worker, in alternating pairs."""
        seconds = {"image": [], cell.task: []}
        rows = {}
        self.prepare("cliplens", model, cell, "image")
        rounds, untimed, passes = self.turn(self.timed("cliplens", cell, 1))
        for turn in range(rounds):
            for task in sorted(seconds, reverse=turn % 2 == 0):
                self.prepare("cliplens", model, cell, task)
                if untimed:
                    self.timed("cliplens", cell, untimed)
                seconds[task].append(self.timed("cliplens", cell, passes))
                rows.setdefault(task, self.rows("cliplens"))
        if not np.array_equal(rows["image"], rows[cell.task]):
            sys.exit(f"{cell.task} gives other embeddings than embed ({cell})")
        self.cells.append(dataclasses.asdict(cell) | dict(seconds=seconds))
        middle, least, most = ratio(seconds[cell.task], seconds["image"])
        print(f"{cell.model} {cell.task} / embed, batch {cell.batch}, {cell.threads} threads: "
              f"{middle:.3f} ({least:.3f} to {most:.3f})", flush=True)

    @staticmethod
    def line(result: dict) -> str:
        seconds = result["seconds"]
        words = [f"{result['model']} {result['task']:5} {result['precision']} "
                 f"batch {result['batch']:2} threads {result['threads']}:"]
        words += [f"{name} {result['batch'] / statistics.median(s):.2f}/s"
                  for name, s in seconds.items()]
        for name in seconds:
            if name != "cliplens" and "cliplens" in seconds:
                middle, least, most = ratio(seconds[name], seconds["cliplens"])
                words.append(f"x{name} {middle:.2f} ({least:.2f}-{most:.2f})")
        return "  ".join(words)

    def run(self):
        self.measure_rates()
        cells = self.plan()
        for name in self.options.models:
            mine = [cell for cell in cells if cell.model == name]
            if not mine:
                continue
            model = write_model(self.folder / name.replace("/", ""), self.configs[name])
            side = self.configs[name]["vision_cfg"]["image_size"]
            self.pixels = write_pixels(self.folder / "pixels.npy", max(self.options.batches), side)
            # By precision and tower, so that each system loads and converts a model once.
            mine.sort(key=lambda c: (self.options.precisions.index(c.precision), c.task))
            reference = {}
            for cell in mine:
                if cell.task in BESIDE_IMAGE:
                    self.run_beside_image(cell, model)
                else:
                    self.run_cell(cell, model, reference)
            for file in model.iterdir():
                file.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", type=pathlib.Path,
                        default=ROOT / "build/release/bin/cliplens_bench")
    parser.add_argument("--models", nargs="+", choices=ARCHITECTURES, default=["B/32", "B/16", "L/14"])
    parser.add_argument("--section", default="towers", help="of the file of results")
    parser.add_argument("--tasks", nargs="+", choices=("image", "text", *BESIDE_IMAGE),
                        default=["image", "text", *BESIDE_IMAGE])
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS[1:], default=list(SYSTEMS[1:]),
                        help="what to compare with")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, THREADS}))
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"),
                        default=["fp32", "bf16"] if has_bf16() else ["fp32"])
    parser.add_argument("--seconds", type=float, default=900, help="time for all cells together")
    parser.add_argument("--quick", action="store_true", help="two rounds: a rehearsal, no figures")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench.json")
    options = parser.parse_args()
    if "fp32" not in options.precisions:
        parser.error("--precisions: fp32 is what bf16 is compared with")

    leave_nothing_when_ended()
    busy = Busy()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(options, pathlib.Path(folder))
        try:
            run.run()
        finally:
            run.close()
    others = busy.share()
    for cell in run.left_out:
        print(f"left out, about {cell['seconds']:.0f} s: {cell['model']} {cell['task']} "
              f"{cell['precision']} batch {cell['batch']} threads {cell['threads']}")
    print(f"{len(run.cells)} cells in {time.perf_counter() - start:.0f} s; other programs took "
          f"{100 * others:.0f} % of the machine")
    save(options.json, options.section,
         dict(cells=run.cells, left_out=run.left_out, quick=options.quick, others=others,
              matmul=[dict(width=w, threads=t, precision=p, flops_per_second=r)
                      for (w, t, p), r in run.rates.items()]))


if __name__ == "__main__":
    main()
