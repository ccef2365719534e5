#!/usr/bin/env python3
"""Throughput and peak memory of `decompose` beside `embed`, on the shipped model and pictures.

Usage: bench/decompose.py PROGRAM [RUNS]

The test set is taken once (1,180 pictures) and three times (3,540); embed and decompose run in turn,
so that a change of the machine's speed meets both. Prints medians, the ratio pair by pair, and the
peak resident memory of one run of each kind.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARDS = sorted((ROOT / "world" / "sets" / "test").glob("*.tar"))
MODEL = ROOT / "models" / "pictureworld"


def run(command):
    """Seconds, peak resident bytes and standard output of one run."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024, json.loads(out)


def main():
    program = sys.argv[1]
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, copies in (("once", 1), ("thrice", 3)):
            (folder / name).mkdir()
            for copy in range(copies):
                for shard in SHARDS:
                    shutil.copy(shard, folder / name / f"{copy}-{shard.name}")

        def decompose(pictures, *options):
            seconds, peak, result = run([program, "decompose", MODEL, "--images", pictures, "--out",
                                         folder / "store", "--json", *options])
            size = sum(f.stat().st_size for f in (folder / "store").iterdir())
            shutil.rmtree(folder / "store")
            return seconds, peak, result, size

        def embed(pictures):
            out = folder / "e.npy"
            seconds, peak, result = run([program, "embed", MODEL, "--images", pictures, "--out", out,
                                         "--json"])
            out.unlink()
            return seconds, peak, result

        thrice = folder / "thrice"
        decompose(thrice)  # warms the page cache
        pairs = []
        for _ in range(runs):
            pairs.append((embed(thrice)[0], decompose(thrice)[0]))
        images = decompose(thrice)[2]["images"]
        ratios = [e / d for e, d in pairs]
        print(f"processor     {cpu_name()}, {len(os.sched_getaffinity(0))} cores")
        print(f"pictures      {images}, whole process, median of {runs} runs in turn")
        print(f"embed         {images / statistics.median(e for e, _ in pairs):.0f} pictures/s")
        print(f"decompose     {images / statistics.median(d for _, d in pairs):.0f} pictures/s")
        print(f"speed of decompose / embed   {statistics.median(ratios):.3f} "
              f"({min(ratios):.3f} to {max(ratios):.3f})")
        for name in ("once", "thrice"):
            for options in ((), ("--stats-only",)):
                _, peak, result, size = decompose(folder / name, *options)
                kind = "statistics only" if options else "store"
                print(f"{result['images']:5d} pictures, {kind:15}  peak {peak / 2**20:6.1f} MiB, "
                      f"on disk {size / 2**20:6.1f} MiB, "
                      f"certificate {result['certificate']['max']:.1e}")


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


if __name__ == "__main__":
    main()
