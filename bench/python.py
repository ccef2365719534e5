#!/usr/bin/env python3
"""What the Python package costs and promises, on this machine:

    build/package-env/bin/python bench/python.py [--model pictureworld] [--pictures 2000]

- two Python threads that embed at once, beside one (each with one thread of the library);
- embed_images of an array beside `cliplens embed` of the same pictures as files, by processor time;
- what embed_images of an array allocates: its result, and beside it;
- how long after Ctrl-C a decompose of many pictures has ended.
"""

from __future__ import annotations

import argparse
import io
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import tracemalloc

import numpy as np

import cliplens as cl
from cliplens._command import program

LONG = """
import sys, numpy as np, cliplens as cl
class Many:
    def __len__(self): return 200_000
    def __getitem__(self, i):
        if i == 300: print("going", flush=True)
        return np.full((64, 64, 3), i % 256, np.uint8)
cl.load(sys.argv[1], pictures_alone=True).decompose(Many(), sys.argv[2], shard_images=100)
"""


def pictures(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def threads_ratio(model: cl.Model, batch: np.ndarray, rounds: int) -> float:
    """Pictures a second of two threads over those of one, the median over rounds in turn."""
    half = len(batch) // 2

    def embed(part: np.ndarray) -> None:
        model.embed_images(part, threads=1)

    def one() -> float:
        start = time.perf_counter()
        embed(batch)
        return time.perf_counter() - start

    def two() -> float:
        both = [threading.Thread(target=embed, args=(part,)) for part in (batch[:half], batch[half:])]
        start = time.perf_counter()
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        return time.perf_counter() - start

    one(), two()
    ratios = []
    for turn in range(rounds):
        times = {f.__name__: f() for f in ((one, two) if turn % 2 == 0 else (two, one))}
        ratios.append(times["one"] / times["two"])
    return statistics.median(ratios)


def beside_the_program(name: str, model: cl.Model, batch: np.ndarray, rounds: int) -> float:
    """Processor time of `cliplens embed` on a tar of the pictures over that of embed_images on the array."""
    import PIL.Image

    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "p.tar"
        with tarfile.open(path, "w") as tar:
            for i, picture in enumerate(batch):
                out = io.BytesIO()
                PIL.Image.fromarray(picture).save(out, "PNG", compress_level=1)
                entry = tarfile.TarInfo(f"{i:06d}.png")
                entry.size = out.tell()
                out.seek(0)
                tar.addfile(entry, out)
        for turn in range(rounds):
            out = f"{folder}/r{turn}.npy"
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([program(), "embed", name, "--images", path, "--out", out], check=True,
                           stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            outside = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            start = time.process_time()
            rows = model.embed_images(batch)
            ratios.append(outside / (time.process_time() - start))
        assert np.array_equal(rows, np.load(out))
    return statistics.median(ratios)


def allocated(model: cl.Model, batch: np.ndarray) -> tuple[int, int]:
    """Bytes of the result, and the most that was allocated for Python beside it."""
    tracemalloc.start()
    rows = model.embed_images(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return rows.nbytes, max(peak - rows.nbytes, 0)


def interrupted(name: str, tries: int) -> float:
    """Seconds from Ctrl-C to the end of the process, the longest."""
    longest = 0.0
    for _ in range(tries):
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.Popen([sys.executable, "-c", LONG, name, os.path.join(folder, "store")],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            assert process.stdout is not None and process.stdout.readline() == "going\n"
            time.sleep(0.2)
            start = time.perf_counter()
            process.send_signal(signal.SIGINT)
            process.wait(120)
            longest = max(longest, time.perf_counter() - start)
    return longest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pictureworld")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    model = cl.load(arguments.model, pictures_alone=True)
    batch = pictures(arguments.pictures, model.image_size)
    print(f"{model.name}, {len(batch)} pictures of {model.image_size} pixels")
    print(f"two threads beside one: {threads_ratio(model, batch, arguments.rounds):.2f} x")
    print(f"`cliplens embed` beside embed_images, processor time: "
          f"{beside_the_program(arguments.model, model, batch, arguments.rounds):.2f} x")
    result, more = allocated(model, batch)
    print(f"allocated: {result} bytes of result, {more} beside it ({batch.nbytes} bytes of pictures)")
    print(f"Ctrl-C ends a decompose after {interrupted(arguments.model, 3):.2f} s at most, of 3")


if __name__ == "__main__":
    main()
