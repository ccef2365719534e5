"""Runs the fuzz targets and sums up: python3 fuzz/run.py BUILD [--seconds 60] [TARGET ...]

BUILD is a build directory made with CLIPLENS_FUZZ. Each target starts from its seeds and from what
earlier runs kept in BUILD/corpus. Exit status 1 if there is a finding; the input that shows it lies
in BUILD/findings then.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Seeds that lie elsewhere.
MORE_SEEDS = {"image": [ROOT / "tests/data/pixels"]}
# An allocation above the first, a process above the second (the sanitizers' own memory included)
# and an input that takes longer than the third are findings.
MALLOC_MB, PROCESS_MB, INPUT_SECONDS = 256, 2048, 30
MAX_BYTES = 16384


def targets_of(build):
    return sorted(p.name.removeprefix("fuzz_") for p in (build / "bin").glob("fuzz_*"))


def run(build, target, seconds, scratch, log):
    corpus = build / "corpus" / target
    findings = build / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    command = [
        build / "bin" / f"fuzz_{target}", corpus, ROOT / "fuzz/corpus" / target,
        *MORE_SEEDS.get(target, []), f"-max_total_time={seconds}", f"-timeout={INPUT_SECONDS}",
        f"-malloc_limit_mb={MALLOC_MB}", f"-rss_limit_mb={PROCESS_MB}", f"-max_len={MAX_BYTES}",
        f"-artifact_prefix={findings}/{target}-", "-print_final_stats=1"]
    dictionary = ROOT / "fuzz/dictionaries" / f"{target}.txt"
    if dictionary.exists():
        command.append(f"-dict={dictionary}")
    environment = dict(os.environ, TMPDIR=str(scratch), OMP_NUM_THREADS="1")
    start = time.monotonic()
    with open(log, "w") as out:
        status = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT,
                                env=environment).returncode
    took = time.monotonic() - start
    text = log.read_text(errors="replace")
    executions = re.search(r"number_of_executed_units: (\d+)", text)
    states = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", text)
    edges, features, kept = states[-1] if states else ("-", "-", "-")
    print(f"{target:12} {executions[1] if executions else '-':>12} executions {took:7.0f} s"
          f" {edges:>6} edges {features:>7} features {kept:>6} inputs"
          f"  {'' if status == 0 else f'FINDING, see {log}'}", flush=True)
    return status == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_intermixed_args()
    build = options.build.resolve()
    targets = options.targets or targets_of(build)
    if not targets:
        sys.exit(f"{build}: no fuzz targets; build the target `fuzzers` with CLIPLENS_FUZZ")
    (build / "logs").mkdir(exist_ok=True)
    shared = Path("/dev/shm")
    scratch = Path(tempfile.mkdtemp(prefix="cliplens-fuzz-",
                                    dir=shared if os.access(shared, os.W_OK) else None))
    try:
        good = [run(build, target, options.seconds, scratch, build / "logs" / f"{target}.log")
                for target in targets]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
