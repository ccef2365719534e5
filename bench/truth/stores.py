"""What the truth benchmark works on: fresh pictures, stores of them, and what the program says."""

from __future__ import annotations

import json
import pathlib
import subprocess
from concurrent.futures import ProcessPoolExecutor

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = ROOT / "world" / "texts"
PROPERTIES = TEXTS / "properties.txt"
PHRASES = TEXTS / "phrases.txt"
FACTORS = ("object", "style", "background", "position", "size", "count", "effect")
# Class files of the factors, and the attribute that holds the truth.
CLASSES = {"object": "objects", "style": "styles", "background": "backgrounds",
           "position": "positions", "size": "sizes", "count": "counts", "effect": "effects"}
SHARD = 500  # pictures


def _shard(seed, first, count):
    from world import scene, shards
    return shards.shard_bytes(scene.World.load(), "test", seed, first, count)


def _counterparts(seed, first, count, factor):
    """A shard of the counterparts of these pictures under one factor."""
    from world import scene, shards
    world = scene.World.load()
    files = []
    for index in range(first, first + count):
        found = world.counterpart(seed, index, factor)
        if found is not None:
            picture, odds = found
            files += shards.picture_members(picture, picture.factors["object"],
                                            f"{factor}-{index:06d}", changed=factor,
                                            base=index, odds=odds)
    return shards.tar_bytes(files)


class Bench:
    """A folder of pictures and stores, and the program that makes and asks them."""

    def __init__(self, program, folder, workers, models=None):
        """`models`: a folder of models beside the shipped ones."""
        self.program = pathlib.Path(program).resolve()
        self.models = None if models is None else pathlib.Path(models).resolve()
        self.folder = pathlib.Path(folder).resolve()
        self.workers = workers

    def run(self, *words):
        """The program's JSON."""
        done = subprocess.run([self.program, *map(str, words), "--json", "--quiet"], cwd=ROOT,
                              text=True, capture_output=True)
        if done.returncode:
            raise SystemExit(f"cliplens {' '.join(map(str, words))}\n{done.stderr}")
        return json.loads(done.stdout)

    def draw(self, sets, changed_seed=None, changed=0):
        """Test sets, {folder: (seed, pictures)}; of one seed also the counterparts of its first
        pictures."""
        jobs = {}
        for name, (seed, pictures) in sets.items():
            for first in range(0, pictures, SHARD):
                jobs[self.folder / name / f"{first:06d}.tar"] = (
                    _shard, seed, first, min(SHARD, pictures - first))
        for factor in FACTORS if changed else ():
            jobs[self.folder / f"changed-{changed_seed}" / f"{factor}.tar"] = (
                _counterparts, changed_seed, 0, changed, factor)
        self.write({path: job for path, job in jobs.items() if not path.exists()})

    def write(self, jobs):
        """Files made by several processes, {path: (function, argument ...)}."""
        with ProcessPoolExecutor(self.workers) as pool:
            done = {path: pool.submit(*job) for path, job in jobs.items()}
            for path, future in done.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(future.result())

    def model(self, name):
        """What the program finds a model by."""
        return name if self.models is None or not (self.models / name).exists() else self.models / name

    def store(self, model, pictures):
        """The store of a folder of pictures."""
        path = self.folder / f"{model}-{pictures}"
        if not path.exists():
            self.run("decompose", self.model(model), "--images", self.folder / pictures, "--out", path)
        return path

    def arrays(self, model, pictures):
        """Contributions of the heads [B, L, H, E], embeddings [B, E] and what is known of the
        pictures [B]."""
        path = self.folder / f"{model}-{pictures}-arrays"
        if not path.exists():
            self.run("export", self.store(model, pictures), "--out", path)
        items = [json.loads(line) for line in (path / "items.jsonl").read_text().splitlines()]
        return (np.load(path / "attn.npy").astype(np.float64),
                np.load(path / "embedding.npy").astype(np.float64),
                [item["attributes"] for item in items])

    def texts(self, model, lines, name):
        """Unit embeddings [M, E] of texts."""
        source, target = self.folder / f"{name}.txt", self.folder / f"{model}-{name}.npy"
        if not target.exists():
            source.write_text("".join(line + "\n" for line in lines))
            self.run("embed", self.model(model), "--texts", source, "--out", target)
        return np.load(target).astype(np.float64)

    def classes(self, model, factor):
        """Values of a factor and their unit classifier rows [V, E]."""
        file = CLASSES[factor]
        names = [line.split("\t") for line in (TEXTS / f"{file}.txt").read_text().splitlines()]
        templates = (TEXTS / f"{file}.templates.txt").read_text().splitlines()
        rows = self.texts(model, [t.replace("{}", n[0]) for n in names for t in templates],
                          f"classes-{factor}")
        rows = rows.reshape(len(names), len(templates), -1).mean(1)
        return [n[-1] for n in names], rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def table(self, left_out):
        """The property table without one property."""
        if left_out is None:
            return PROPERTIES
        path = self.folder / f"properties-without-{left_out}.txt"
        lines = PROPERTIES.read_text().splitlines()
        path.write_text("".join(line + "\n" for line in lines
                                if line.split("\t")[1] != left_out))
        return path

    def evaluate(self, model, pictures, left_out=None):
        """`evaluate labels`; a property that the table lacks is left out of the truth too."""
        factors = [f for f in FACTORS if f != left_out]
        return self.run("evaluate", "labels", self.store(model, pictures), "--properties",
                        self.table(left_out), "--truth", ",".join(factors), "--only", "object2=")


def pool(path):
    """Texts of a pool and their properties."""
    rows = [line.split("\t") for line in path.read_text().splitlines() if line.strip()]
    return [r[0] for r in rows], [r[1] for r in rows]


def singles(facts):
    """Which pictures have one kind of object [B]; truth is measured on them."""
    return np.array([fact.get("object2") in (None, "") for fact in facts])
