"""The files that one command writes appear together or not at all: whatever fails or kills the run
between them, the next run mends it.

    CLIPLENS_PROGRAM=build/release/bin/cliplens python -m pytest tests/python/test_output_files.py

tests/python/fail_at.c is put in front of the system's calls and makes one of them fail, or kills the
program in its place.
"""

import errno
import os
import shutil
import signal
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("CLIPLENS_PROGRAM", ROOT / "build/release/bin/cliplens")).resolve()
CALLS = "create,write,fsync,link,rename,unlink,opendir"


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    library = tmp_path_factory.mktemp("shim") / "fail_at.so"
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library,
                    ROOT / "tests/python/fail_at.c", "-ldl"], check=True)
    return library


def png(side, shade):
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content +
                struct.pack(">I", zlib.crc32(kind + content)))

    rows = b"".join(b"\0" + bytes((shade * x + 9 * y) % 256 for x in range(3 * side))
                    for y in range(side))
    return (b"\x89PNG\r\n\x1a\n" +
            chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    for label in ("sea", "wood"):
        (folder / "photos" / label).mkdir(parents=True)
        for i in range(6):
            (folder / "photos" / label / f"{i}.png").write_bytes(png(20, 3 * i + len(label)))
    (folder / "photos/metadata.csv").write_text("file_name,where\n" + "".join(
        f"{label}/{i}.png,{i % 2}\n" for label in ("sea", "wood") for i in range(6)))
    (folder / "classes.txt").write_text("sea\nwood\n")
    (folder / "properties.txt").write_text("red\tcolour\nblue\tcolour\na dog\tanimal\na cat\tanimal\n")
    result = run("decompose", "pictureworld", "--images", folder / "photos", "--out",
                 folder / "store", "--shard-images", 4)
    assert result.returncode == 0, result.stderr
    result = run("decompose", "pictureworld-2", "--images", folder / "photos", "--out",
                 folder / "other")
    assert result.returncode == 0, result.stderr
    for half in (0, 1):
        result = run("decompose", "pictureworld", "--images", folder / "photos", "--out",
                     folder / f"half-{half}", "--shard-images", 4, "--shard", f"{half}/2")
        assert result.returncode == 0, result.stderr
    return folder


def run(*arguments, **environment):
    return subprocess.run([PROGRAM, *map(str, arguments)], text=True, capture_output=True, timeout=120,
                          env=dict(os.environ, CLIPLENS_SHARE=str(ROOT),
                                   ASAN_OPTIONS="detect_leaks=0:verify_asan_link_order=0",
                                   **environment))


# Of each verb with several outputs: what it is called with and what it writes.
def command(verb, place, out):
    store, photo = place / "store", place / "photos/sea/1.png"
    classes = ("--classes", place / "classes.txt", "--templates", "simple")
    return {
        "label": (("label", store, "--properties", place / "properties.txt", "--out", out / "a.json",
                   "--csv", out / "a.csv"), ("a.json", "a.csv")),
        "export": (("export", store, "--format", "faiss", "--out", out / "ix.faiss"),
                   ("ix.faiss", "ix.faiss.json")),
        "search": (("search", store, "--item", 1, "--index", out / "ix.faiss"),
                   ("ix.faiss", "ix.faiss.json")),
        "ablate": (("ablate", store, *classes, "--out", out / "a.json", "--csv", out / "a.csv",
                    "--svg", out / "a.svg"), ("a.json", "a.csv", "a.svg")),
        "reconstruct": (("reconstruct", store, "--texts", place / "properties.txt", *classes,
                         "--counts", "1,2", "--out", out / "a.json", "--csv", out / "a.csv"),
                        ("a.json", "a.csv")),
        "compare": (("compare", store, place / "other", *classes, "--image", photo, "--text", "a dog",
                     "--out", out / "a.json", "--maps", out / "a.png"), ("a.json", "a.png")),
        "heatmap": (("heatmap", "pictureworld", "--image", photo, "--text", "a dog", "--out",
                     out / "a.png", "--npy", out / "a.npy"), ("a.png", "a.npy")),
        "segment": (("segment", "pictureworld", "--image", photo, "--text", "a dog", "--out",
                     out / "a.png", "--npy", out / "a.npy"), ("a.png", "a.npy")),
    }[verb]


VERBS = ("label", "export", "search", "ablate", "reconstruct", "compare", "heatmap", "segment")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def wanted(place, shim, tmp_path_factory):
    """Of each verb the files that an undisturbed run writes, and its calls that count."""
    found = {}
    for verb in VERBS:
        out = tmp_path_factory.mktemp(verb)
        arguments, names = command(verb, place, out)
        log = out.with_name(out.name + ".log")
        result = run(*arguments, LD_PRELOAD=str(shim), FAIL_CALLS=CALLS, FAIL_UNDER=str(out),
                     FAIL_LOG=str(log))
        assert result.returncode == 0, result.stderr
        files = contents(out)
        assert sorted(files) == sorted(names)
        # "fsync" is of a file, "syncdir" of the directory.
        found[verb] = files, [
            call if (call, path) != ("fsync", str(out)) else "syncdir"
            for call, path in (line.split(" ", 1) for line in log.read_text().splitlines())]
    return found


def shown(folder):
    return {name: content for name, content in contents(folder).items() if name[0] != "."}


def points(verb, calls):
    """Two verbs are stopped at every call; the others between their files."""
    if verb in ("label", "search"):
        return range(1, len(calls) + 1)
    links = [i + 1 for i, call in enumerate(calls) if call == "link"]
    assert len(links) > 1, calls
    return [links[0], links[1], calls.index("unlink") + 1]


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_that_is_killed_between_two_files(verb, place, shim, wanted, tmp_path):
    files, calls = wanted[verb]
    for at in points(verb, calls):
        out = tmp_path / str(at)
        out.mkdir()
        arguments, _ = command(verb, place, out)
        killed = run(*arguments, LD_PRELOAD=str(shim), FAIL_CALLS=CALLS, FAIL_UNDER=str(out),
                     FAIL_AT=str(at), FAIL_HOW="kill")
        assert killed.returncode == -signal.SIGKILL, (at, killed.stderr)
        again = run(*arguments)
        if at - 1 <= calls.index("unlink"):
            assert again.returncode == 0, (at, calls[at - 1], again.stderr)
            assert contents(out) == files, (at, calls[at - 1])
        else:  # all was there already, and nothing of it is touched
            assert again.returncode == (0 if verb == "search" else 5), again.stderr
            assert shown(out) == files, (at, calls[at - 1])


@pytest.mark.parametrize("verb", VERBS)
def test_a_disk_that_fails_between_two_files(verb, place, shim, wanted, tmp_path):
    files, calls = wanted[verb]
    for at in points(verb, calls):
        if calls[at - 1] in ("unlink", "opendir", "syncdir"):
            continue
        out = tmp_path / str(at)
        out.mkdir()
        arguments, _ = command(verb, place, out)
        failed = run(*arguments, LD_PRELOAD=str(shim), FAIL_CALLS=CALLS, FAIL_UNDER=str(out),
                     FAIL_AT=str(at), FAIL_HOW=str(errno.ENOSPC))
        assert failed.returncode == 6, (at, failed.stdout, failed.stderr)
        assert "free space" in failed.stderr and failed.stderr.count("\n") == 1, failed.stderr
        assert contents(out) == {}, (at, calls[at - 1])
        again = run(*arguments)
        assert again.returncode == 0 and contents(out) == files, again.stderr


# Of each other verb that writes: what it is called with, and how many of its calls fail in turn.
# CLIPLENS_EVERY_CALL=1 takes all of those that write many (four minutes).
def writer(verb, place, out):
    store, photo = place / "store", place / "photos/sea/1.png"
    classes = ("--classes", place / "classes.txt", "--templates", "simple")
    return {
        "embed": ("embed", "pictureworld", "--images", place / "photos", "--out", out / "a.npy"),
        "explain": ("explain", "pictureworld", "--image", photo, "--text", "a dog", "--out",
                    out / "a.png"),
        "report": ("report", store, "--texts", place / "properties.txt", "--out", out / "a.html"),
        "span": ("span", store, "--texts", place / "properties.txt", "--heads", "L5.H3", "--out",
                 out / "a.json"),
        "describe": ("describe", "pictureworld", "--store", store, "--texts", place / "properties.txt",
                     "--out", out / "a.json"),
        "weights": ("weights", "pictureworld", "--texts", place / "properties.txt", "--heads", "L5.H3",
                    "--out", out / "a.json", "--csv", out / "a.csv"),
        "edit make": ("edit", "make", store, "--heads", "L5.H3", "--out", out / "a.json"),
        "evaluate groups": ("evaluate", "groups", store, *classes, "--attribute", "where", "--random",
                            0, "--out", out / "a.json", "--csv", out / "a.csv"),
        "export": ("export", store, "--format", "npy", "--out", out / "a"),
        "merge": ("merge", place / "half-0", place / "half-1", "--out", out / "a"),
        "decompose": decompose(place, out / "a"),
    }[verb]


MANY = ("export", "merge", "decompose")
WRITERS = ("embed", "explain", "report", "span", "describe", "weights", "edit make",
           "evaluate groups", *MANY)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("verb", WRITERS)
def test_whichever_call_fails_all_is_there_or_nothing(verb, place, shim, tmp_path):
    def fail(at, out):
        out.mkdir()
        log = tmp_path / f"{out.name}.log"
        result = run(*writer(verb, place, out), LD_PRELOAD=str(shim), FAIL_CALLS=CALLS,
                     FAIL_UNDER=str(out), FAIL_LOG=str(log), FAIL_AT=str(at),
                     FAIL_HOW=str(errno.EIO))
        return result, log.read_text().splitlines()

    result, calls = fail(0, tmp_path / "wanted")
    assert result.returncode == 0, result.stderr
    wanted = tree(tmp_path / "wanted")
    assert wanted and not any(".partial" in name for name in wanted)
    step = 1 if verb not in MANY or os.environ.get("CLIPLENS_EVERY_CALL") else len(calls) // 6
    for at in range(1, len(calls) + 1, step):
        out = tmp_path / str(at)
        result, _ = fail(at, out)
        left = tree(out)
        if result.returncode == 0:  # a call that need not succeed
            assert left == wanted, (calls[at - 1], sorted(left))
            continue
        assert result.returncode in (5, 6), (calls[at - 1], result.returncode, result.stderr)
        assert result.stderr.count("\n") == 1, (calls[at - 1], result.stderr)
        if verb == "decompose":  # goes on where it was
            assert all(name.startswith("a.partial/") for name in left) or left == wanted, calls[at - 1]
            if left != wanted:
                again = run(*writer(verb, place, out), "--resume")
                assert again.returncode == 0 and tree(out) == wanted, (calls[at - 1], again.stderr)
        elif calls[at - 1].startswith("unlink"):  # what cannot be removed is named
            assert ".partial: cannot remove" in result.stderr
        else:
            assert left in ({}, wanted), (calls[at - 1], sorted(left), result.stderr)


def test_a_file_of_somebody_is_not_touched(place, tmp_path):
    arguments, _ = command("label", place, tmp_path)
    (tmp_path / "a.csv").write_text("mine")
    refused = run(*arguments)
    assert refused.returncode == 5 and "a.csv: exists already" in refused.stderr
    assert contents(tmp_path) == {"a.csv": b"mine"}


def test_an_index_without_what_says_what_it_holds(place, tmp_path):
    """As versions before left it: which file to remove is said, and that is all it takes."""
    arguments, _ = command("search", place, tmp_path)
    assert run(*arguments).returncode == 0
    (tmp_path / "ix.faiss.json").unlink()
    result = run(*arguments)
    assert result.returncode == 3 and "ix.faiss.json: is not there" in result.stderr
    assert "remove" in result.stderr
    (tmp_path / "ix.faiss").unlink()
    assert run(*arguments).returncode == 0


# --- stores ----------------------------------------------------------------------------------------


def decompose(place, out):
    return ("decompose", "pictureworld", "--images", place / "photos", "--out", out,
            "--shard-images", 4, "--threads", 1)


def test_no_record_of_progress_stays_in_a_store(place, shim, tmp_path):
    """A store is not done while its record cannot be taken away."""
    out = tmp_path / "out"
    result = run(*decompose(place, out), LD_PRELOAD=str(shim), FAIL_CALLS="remove,unlink",
                 FAIL_UNDER=f"{out}.partial/progress.json", FAIL_AT="1", FAIL_HOW=str(errno.EIO))
    assert result.returncode == 5 and "progress.json" in result.stderr, result.stderr
    assert "run again with --resume" in result.stderr and not out.exists()
    assert run(*decompose(place, out), "--resume").returncode == 0
    assert contents(out) == contents(place / "store")


def test_a_store_that_has_its_name_is_not_said_to_be_partial(place, shim, tmp_path):
    out = tmp_path / "out"
    under = {"LD_PRELOAD": str(shim), "FAIL_CALLS": "opendir,fsync", "FAIL_UNDER": str(tmp_path),
             "FAIL_LOG": str(tmp_path / "log")}
    assert run(*decompose(place, out), **under).returncode == 0
    calls = (tmp_path / "log").read_text().splitlines()
    assert calls[-1] == f"fsync {tmp_path}", calls[-3:]
    shutil.rmtree(out)
    result = run(*decompose(place, out), **under, FAIL_AT=str(len(calls)),
                 FAIL_HOW=str(errno.EIO))
    assert result.returncode == 5, result.stderr
    assert ".partial" not in result.stderr and "is whole" in result.stderr, result.stderr
    assert contents(out) == contents(place / "store")
    assert run("verify", out).returncode == 0


def test_no_empty_directory_stays_where_it_cannot_be_opened(place, shim, tmp_path):
    out = tmp_path / "out"
    result = run(*decompose(place, out), LD_PRELOAD=str(shim), FAIL_CALLS="opendir",
                 FAIL_UNDER=f"{out}.partial", FAIL_AT="1", FAIL_HOW=str(errno.EMFILE))
    assert result.returncode == 6 and "raise the limit" in result.stderr, result.stderr
    assert list(tmp_path.iterdir()) == []
    assert run(*decompose(place, out)).returncode == 0
