"""What the benchmarks share: the machine, worker processes that take turns, the file of results."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
THREADS = len(os.sched_getaffinity(0))
PACKAGES = ("torch", "open_clip_torch", "openvino", "numpy", "pillow")


def cpu_info() -> tuple[str, set[str]]:
    """The processor's name and its flags."""
    name, flags = platform.processor() or "unknown", set()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        if key.strip() == "flags":
            flags = set(value.split())
            break
    return name, flags


def machine() -> dict:
    name, flags = cpu_info()
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16")
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return dict(processor=name, threads=THREADS, vectors=[f for f in wanted if f in flags],
                memory_gib=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
                system=platform.platform(), python=platform.python_version(), versions=versions,
                cliplens=(ROOT / "VERSION").read_text().strip())


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; elsewhere bf16 is no faster than fp32."""
    return bool(cpu_info()[1] & {"avx512_bf16", "amx_bf16"})


class Busy:
    """How much of the machine's time others took while a benchmark ran, as a share of all cores."""

    def __init__(self):
        self.start = time.perf_counter()
        self.all = self.busy_ticks()
        self.own = self.own_seconds()

    @staticmethod
    def busy_ticks() -> int:
        fields = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]
        user, nice, system, _idle, _wait, irq, soft, steal = map(int, fields[:8])
        return user + nice + system + irq + soft + steal

    @staticmethod
    def own_seconds() -> float:
        t = os.times()
        return t.user + t.system + t.children_user + t.children_system

    def share(self) -> float:
        """After the children were waited for: their time counts from then on."""
        elapsed = time.perf_counter() - self.start
        busy = (self.busy_ticks() - self.all) / TICKS
        return max(0.0, busy - (self.own_seconds() - self.own)) / (elapsed * os.cpu_count())


def leave_nothing_when_ended():
    """`kill` ends the driver as an error does: workers and temporary files go with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))


def die_with_parent():
    """In a child: a stopped worker would outlive a driver that was killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class WorkerError(RuntimeError):
    pass


class Worker:
    """A process that answers JSON lines. It is stopped by a signal whenever it is not asked, so that
    no thread of an idle system can spin while another system is timed."""

    def __init__(self, name: str, command: list):
        self.name = name
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)
        self.info = self.ask(op="info")

    def cpu_seconds(self) -> float:
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / TICKS

    def ask(self, **command) -> dict:
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with status {self.process.wait()} on {command}")
        os.kill(self.process.pid, signal.SIGSTOP)
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.name}: {answer['error']}")
        return answer

    def time(self, passes: int) -> tuple[float, float]:
        """Seconds a pass, and how many threads ran on average."""
        before = self.cpu_seconds()
        seconds = self.ask(op="time", passes=passes)["seconds"]
        return seconds / passes, (self.cpu_seconds() - before) / seconds

    def close(self):
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


def ratio(slower: list[float], faster: list[float]) -> tuple[float, float, float]:
    """Ratio of the medians of two lists of the same rounds, and the least and largest of one round."""
    each = [s / f for s, f in zip(slower, faster)]
    return statistics.median(slower) / statistics.median(faster), min(each), max(each)


def save(path: pathlib.Path, section: str, value: dict):
    """Puts a section into the file of results; the other sections stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text()) if path.exists() else {}
    results[section] = value | dict(machine=machine(), command=command_line(),
                                    date=time.strftime("%Y-%m-%d"))
    path.write_text(json.dumps(results, indent=1) + "\n")


def command_line() -> str:
    """The command as typed in the repository, without the folders of one machine."""
    words = [sys.argv[0], *sys.argv[1:]]
    return "python " + " ".join(w.replace(str(ROOT) + "/", "") for w in words)
