"""A store survives: whatever stops a run, --resume gives the same bytes or one line says why not.

    CLIPLENS_PROGRAM=build/release/bin/cliplens python -m pytest tests/python/test_store_survival.py

CLIPLENS_LONG_TESTS=1 kills the program 200 times for each kind of store instead of 10.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from program import PROGRAM, ROOT, run, says_one_line  # noqa: E402

LONG = os.environ.get("CLIPLENS_LONG_TESTS", "") not in ("", "0")
KILLS = 200 if LONG else 10
PICTURES = 60
KINDS = {"store": (), "halves": ("--store-dtype", "fp16"), "statistics": ("--stats-only",)}


def good(*arguments, **options):
    result = run(*arguments, **options)
    assert result.returncode == 0, result.stderr
    return result


def files_of(store):
    return {path.name: path.read_bytes() for path in sorted(store.iterdir())}


def assert_same(store, wanted):
    got = files_of(store)
    assert sorted(got) == sorted(wanted)
    different = [name for name in wanted if got[name] != wanted[name]]
    assert not different


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of pictures, one of which is broken in `broken`, and an undisturbed store of each
    kind."""
    folder = tmp_path_factory.mktemp("survival")
    (folder / "photos").mkdir()
    with tarfile.open(ROOT / "world/sets/single/single-000.tar") as shard:
        members = [m for m in shard if m.name.endswith(".png") and ".mask." not in m.name]
        for member in members[:PICTURES]:
            (folder / "photos" / Path(member.name).name).write_bytes(
                shard.extractfile(member).read())
    (folder / "texts.txt").write_text("a duck\na pencil sketch\nin the snow\nred\n")
    for kind in KINDS:
        good(*decompose(folder, folder / kind, kind))
    return folder


def decompose(place, out, kind="store", *more):
    return ("decompose", "pictureworld", "--images", place / "photos", "--out", out,
            "--shard-images", 4, "--threads", 2, *KINDS[kind], *more)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_moment(place, tmp_path, kind):
    """Each store is killed again and again until a run gets to its end; then its bytes count."""
    wanted = files_of(place / kind)
    chance = random.Random(kind)
    start = time.monotonic()
    good(*decompose(place, tmp_path / "whole", kind))
    seconds = time.monotonic() - start
    out = tmp_path / "out"
    kills = finished = 0
    while kills < KILLS or out.with_name("out.partial").exists():
        process = subprocess.Popen(
            [PROGRAM, *map(str, decompose(place, out, kind, "--resume"))],
            env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        if kills < KILLS:
            time.sleep(chance.uniform(0, 1.1) * seconds)
            process.send_signal(signal.SIGKILL)
        errors = process.communicate()[1]
        kills += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL), errors
        if out.exists():
            assert_same(out, wanted)
            finished += 1
            shutil.rmtree(out)
    assert finished >= 1


def size_limit(limit):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_full_at_each_write(place, tmp_path, kind):
    """No file may grow beyond the size of one of the store's files, less one byte."""
    wanted = files_of(place / kind)
    limits = sorted({0, 500, *(len(data) - 1 for data in wanted.values())})
    if not LONG:
        limits = limits[:3] + limits[3:][::-3]
    for limit in limits:
        out = tmp_path / f"out{limit}"
        result = run(*decompose(place, out, kind), preexec_fn=size_limit(limit))
        says_one_line(result, 6, "File too large", "free space or write elsewhere")
        assert not out.exists()
        partial = tmp_path / f"out{limit}.partial"
        assert partial.exists() == ("--resume" in result.stderr), result.stderr
        good(*decompose(place, out, kind, "--resume"))
        assert_same(out, wanted)


def test_a_small_disk(place, tmp_path):
    """A file system that is full, at many sizes, where the system lets us make one."""
    wanted = files_of(place / "store")
    total = sum(len(data) for data in wanted.values())
    disk = tmp_path / "disk"
    disk.mkdir()
    steps = 12 if LONG else 4
    for step in range(1, steps + 1):
        size = total * step // (steps + 1)
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk],
                               capture_output=True)
        if mount.returncode != 0:
            pytest.skip("no file system can be made here: " + mount.stderr.decode().strip())
        try:
            says_one_line(run(*decompose(place, disk / "out")), 6, "No space left")
            assert not (disk / "out").exists()
            bigger = subprocess.run(["mount", "-o", f"remount,size={3 * total}", disk],
                                    capture_output=True)
            assert bigger.returncode == 0, bigger.stderr
            good(*decompose(place, disk / "out", "store", "--resume"))
            assert_same(disk / "out", wanted)
        finally:
            subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_in_each_file(place, tmp_path, kind):
    """verify names the file; every reading verb refuses it or does not depend on it."""
    store = tmp_path / "store"
    other = tmp_path / "other"
    (tmp_path / "more").mkdir()
    shutil.copy(next((place / "photos").iterdir()), tmp_path / "more/another.png")
    good("decompose", "pictureworld", "--images", tmp_path / "more", "--out", other,
         *KINDS[kind])
    verbs = {
        "span": lambda out: ("span", store, "--texts", place / "texts.txt", "--count", 2, "--out",
                             out),
        "merge": lambda out: ("merge", store, other, "--out", out),
    }
    if kind == "store":
        verbs["export"] = lambda out: ("export", store, "--out", out)
        verbs["report"] = lambda out: ("report", store, "--texts", place / "texts.txt", "--out",
                                       out, "--heads", "L5")
    shutil.copytree(place / kind, store)

    def contents(path):
        return files_of(path) if path.is_dir() else path.read_bytes()

    right = {}
    for verb, command in verbs.items():
        good(*command(tmp_path / verb))
        right[verb] = contents(tmp_path / verb)
    names = sorted(files_of(store))
    chance = random.Random(1)
    if not LONG:
        numbered = [name for name in names if "-0" in name]
        names = [name for name in names if name not in numbered] + chance.sample(
            numbered, min(4, len(numbered)))
    for name in names:
        whole = (store / name).read_bytes()
        at = chance.randrange(len(whole))
        (store / name).write_bytes(
            whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1:])
        says_one_line(run("verify", store), 4, name)
        for verb, command in verbs.items():
            out = tmp_path / "changed"
            result = run(*command(out))
            if result.returncode == 0:
                assert contents(out) == right[verb], (verb, name)
                shutil.rmtree(out) if out.is_dir() else out.unlink()
            else:
                says_one_line(result, 4, name)
                assert not out.exists()
        (store / name).write_bytes(whole)
    good("verify", store)


def test_a_shard_that_is_cut_or_missing(place, tmp_path):
    shutil.copytree(place / "store", tmp_path / "store")
    shard = tmp_path / "store/shard-00003.safetensors"
    whole = shard.read_bytes()
    for length in (0, 7, len(whole) // 2, len(whole) - 1):
        shard.write_bytes(whole[:length])
        says_one_line(run("verify", tmp_path / "store"), 4, shard.name)
        says_one_line(run("export", tmp_path / "store", "--out", tmp_path / "x"), 4, shard.name)
        assert not (tmp_path / "x").exists()
    shard.unlink()
    says_one_line(run("verify", tmp_path / "store"), 3, shard.name)
    says_one_line(run("export", tmp_path / "store", "--out", tmp_path / "x"), 3, shard.name)
    says_one_line(run(*decompose(place, tmp_path / "store", "store", "--resume")), 3, shard.name)


def test_two_writers_at_once(place, tmp_path):
    out = tmp_path / "out"
    first = subprocess.Popen(
        [PROGRAM, *map(str, decompose(place, out))],
        env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)), stdout=subprocess.DEVNULL)
    while not (tmp_path / "out.partial/progress.json").exists():
        time.sleep(0.002)
    first.send_signal(signal.SIGSTOP)
    for more in ((), ("--resume",)):
        says_one_line(run(*decompose(place, out, "store", *more)), 5,
                      "another run is writing it now")
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    assert_same(out, files_of(place / "store"))


def test_a_store_of_another_model_or_another_format(place, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(place / "store", store)
    good("verify", store, "--model", "pictureworld")
    says_one_line(run("verify", store, "--model", "pictureworld-birds"), 2, "fingerprint")
    says_one_line(
        run("decompose", "pictureworld-birds", *decompose(place, store, "store", "--resume")[2:]),
        2, "'model.name' is")
    manifest = json.loads((store / "manifest.json").read_text())
    del manifest["checksum"]
    manifest["format"], manifest["version"] = "cliplens.store/1", 1
    (store / "manifest.json").write_text(json.dumps(manifest, indent=2))
    for verb in (("verify", store), ("span", store, "--texts", place / "texts.txt"),
                 ("merge", store, place / "store", "--out", tmp_path / "x")):
        says_one_line(run(*verb), 7, "cliplens.store/1 version 1", "make it again")


def test_a_directory_that_may_not_be_written(place):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(place / "photos", Path(folder) / "photos")
        os.chmod(folder, 0o555)

        def as_nobody():
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)

        try:
            reachable = run("--version", preexec_fn=as_nobody).returncode == 0
        except PermissionError:
            reachable = False
        if not reachable or run("info", "pictureworld", preexec_fn=as_nobody).returncode != 0:
            pytest.skip("another user cannot start the program here")
        says_one_line(
            run("decompose", "pictureworld", "--images", Path(folder) / "photos", "--out",
                Path(folder) / "out", preexec_fn=as_nobody),
            5, "Permission denied", "check the permissions")
        os.chmod(folder, 0o755)


def test_a_picture_that_vanished(place, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(place / "photos", photos)
    broken = sorted(photos.iterdir())[33]
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    arguments = decompose(tmp_path, tmp_path / "out")
    says_one_line(run(*arguments), 4, broken.name, "stay in", "run again with --resume")
    gone = sorted(photos.iterdir())[40]
    gone.rename(tmp_path / gone.name)
    says_one_line(run(*arguments, "--resume"), 2, f"'data[0].set_images' is {PICTURES - 1} and "
                  f"{PICTURES}", "remove it")
    (tmp_path / gone.name).rename(gone)
    # What was done before it was known that a picture is broken counts.
    skipped = json.loads(good(*arguments, "--resume", "--on-error", "skip", "--json").stdout)
    assert skipped["images"] == PICTURES - 1 and skipped["resumed_shards"] > 0
    assert [s["path"] for s in skipped["skipped"]] == [broken.name]
    again = decompose(tmp_path, tmp_path / "again", "store", "--on-error", "skip")
    result = good(*again)
    assert f"1 of {PICTURES} pictures could not be read" in result.stderr
    assert_same(tmp_path / "again", files_of(tmp_path / "out"))
    good("verify", tmp_path / "again", "--model", "pictureworld")


def test_shards_in_any_order_make_the_whole(place, tmp_path):
    for kind in KINDS:
        parts = []
        for i in (2, 0, 3, 1):
            parts.append(tmp_path / f"{kind}-{i}")
            good(*decompose(place, parts[-1], kind, "--shard", f"{i}/4"))
        says_one_line(run("merge", *parts[1:], "--out", tmp_path / "x"), 2, "part 2 of 4",
                      "is missing")
        good("merge", *parts, "--out", tmp_path / kind)
        assert_same(tmp_path / kind, files_of(place / kind))
    for nonsense in ("4/4", "1", "/", "-1/2", "1/0", "a/b", "1/2/3", "0/16"):
        says_one_line(run(*decompose(place, tmp_path / "x", "store", f"--shard={nonsense}")), 2)


def test_the_size_of_shards_changes_no_statistics(place, tmp_path):
    wanted = (place / "store/stats.safetensors").read_bytes()
    for size in (1, 7, PICTURES - 1, 1000):
        out = tmp_path / str(size)
        good("decompose", "pictureworld", "--images", place / "photos", "--out", out,
             "--shard-images", size)
        assert (out / "stats.safetensors").read_bytes() == wanted, size
