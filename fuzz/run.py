"""Runs the fuzz targets and sums up: python3 fuzz/run.py BUILD [--seconds 60] [TARGET ...]

BUILD is a build directory made with CLIPLENS_FUZZ. Each target starts from its seeds and from what
earlier runs kept in BUILD/corpus. Exit status 1 if there is a finding; the input that shows it lies
in BUILD/findings then.
"""

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Seeds that lie elsewhere.
MORE_SEEDS = {"image": [ROOT / "tests/data/pixels"], "parquet": [ROOT / "tests/data/parquet"]}
# An allocation above the first, a process above the second (the sanitizers' own memory included)
# and an input that takes longer than the third are findings.
MALLOC_MB, PROCESS_MB, INPUT_SECONDS = 256, 2048, 30
MAX_BYTES = 16384


def targets_of(build):
    return sorted(p.name.removeprefix("fuzz_") for p in (build / "bin").glob("fuzz_*"))


def starved(binary, text, environment):
    """Whether a run ended on an input that seemed to hang only because other processes had the
    processors: alone it takes little time of its own. libFuzzer looks at the clock."""
    found = re.search(r"Test unit written to (\S+-timeout-\S+)", text)
    if not found:
        return False
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status = subprocess.run([binary, found[1]], env=environment, capture_output=True).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if status != 0 or took > INPUT_SECONDS / 3:
        return False
    os.unlink(found[1])
    return True


def run(build, target, seconds, scratch, log):
    corpus = build / "corpus" / target
    findings = build / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    binary = build / "bin" / f"fuzz_{target}"
    command = [
        binary, corpus, ROOT / "fuzz/corpus" / target, *MORE_SEEDS.get(target, []),
        f"-timeout={INPUT_SECONDS}", f"-malloc_limit_mb={MALLOC_MB}",
        f"-rss_limit_mb={PROCESS_MB}", f"-max_len={MAX_BYTES}",
        f"-artifact_prefix={findings}/{target}-", "-print_final_stats=1"]
    environment = dict(os.environ, TMPDIR=str(scratch), OMP_NUM_THREADS="1")
    start = time.monotonic()
    executions, good = 0, True
    with open(log, "w") as out:
        while (left := seconds - (time.monotonic() - start)) >= 1:
            begin = out.tell()
            status = subprocess.run([*command, f"-max_total_time={int(left)}"], stdout=out,
                                    stderr=subprocess.STDOUT, env=environment).returncode
            out.seek(0, os.SEEK_END)
            text = log.read_bytes()[begin:].decode(errors="replace")
            count = re.search(r"number_of_executed_units: (\d+)", text)
            executions += int(count[1]) if count else 0
            if status != 0 and not starved(binary, text, environment):
                good = False
                break
    states = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", text)
    edges, features, kept = states[-1] if states else ("-", "-", "-")
    print(f"{target:12} {executions:>12} executions {time.monotonic() - start:7.0f} s"
          f" {edges:>6} edges {features:>7} features {kept:>6} inputs"
          f"  {'' if good else f'FINDING, see {log}'}", flush=True)
    return good


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
