"""What people see: standard streams that are closed, full or gone, narrow terminals, names that a
terminal would obey.

    CLIPLENS_PROGRAM=build/release/bin/cliplens python -m pytest tests/python/test_terminal.py
"""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import tarfile
import termios
from pathlib import Path

import numpy
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("CLIPLENS_PROGRAM", ROOT / "build/release/bin/cliplens")).resolve()
ENVIRONMENT = dict(os.environ, CLIPLENS_SHARE=str(ROOT))
# Turns what follows round, ends a line, hides.
MARKS = "\u202e\u2028\u200b\u2066\x9b"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pictures, one of them broken, so that something is said on standard error."""
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "photos").mkdir()
    with tarfile.open(ROOT / "world/sets/single/single-000.tar") as shard:
        members = [m for m in shard if m.name.endswith(".png") and ".mask." not in m.name]
        for member in members[:6]:
            (folder / "photos" / Path(member.name).name).write_bytes(shard.extractfile(member).read())
    (folder / "photos/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (folder / "classes.txt").write_text("a duck\na cup\n")
    return folder


def shell(place, line, **options):
    """A line of bash in which P is the program."""
    return subprocess.run(["bash", "-c", line], cwd=place, text=True, capture_output=True, timeout=120,
                          env=dict(ENVIRONMENT, P=str(PROGRAM)), **options)


SKIP = "--on-error skip"
CLASSIFY = f'"$P" classify pictureworld --images photos --classes classes.txt {SKIP}'


@pytest.mark.parametrize("error", ["2>/dev/full", "2>&-", "2> >(exec true)", "2>/dev/null"])
def test_what_cannot_be_said_changes_no_status(error, place, tmp_path):
    out = tmp_path / "store"
    assert shell(place, f'"$P" info nosuch {error}').returncode == 3
    assert shell(place, f'"$P" fly {error}').returncode == 2
    done = shell(place, f'sleep 0.1; "$P" decompose pictureworld --images photos --out {out} {SKIP} '
                        f'{error}')
    assert done.returncode == 0 and "6 pictures decomposed" in done.stdout
    assert shell(place, f'"$P" verify {out} {error}').returncode == 0
    (out / "stats.safetensors").write_bytes(b"")
    assert shell(place, f'"$P" verify {out} {error}').returncode == 4


def test_a_message_does_not_get_into_a_file_that_takes_the_place_of_standard_error(place, tmp_path):
    """With the number of a closed stream a file would be given what is meant for the stream."""
    out = tmp_path / "x.npy"
    for closed in ("2>&-", "0<&- 2>&-", "0<&- 1>&- 2>&-"):
        done = shell(place, f'"$P" embed pictureworld --images photos --out {out} {SKIP} {closed}')
        assert done.returncode == (6 if "1>" in closed else 0)
        assert numpy.load(out).shape == (6, 128)
        assert out.stat().st_size == 128 + 6 * 128 * 4
        out.unlink()
        (tmp_path / "x.rows.jsonl").unlink()


def test_a_reader_that_goes_ends_the_program_in_silence(place):
    for line in (CLASSIFY, f"{CLASSIFY} --json", '"$P" --help', '"$P" info pictureworld'):
        # The reader is gone before the first byte.
        result = shell(place, f"(sleep 0.3; {line}; echo $? >&3) 3>&2 2>errors | true")
        said = (place / "errors").read_text()
        assert result.stderr.split() == [str(128 + signal.SIGPIPE)], (line, result.stderr, said)
        assert all("could not be read" in line for line in said.splitlines()), said
    read = shell(place, f"{CLASSIFY} 2>/dev/null | head -1")
    assert read.stdout.startswith("picture ") and read.stderr == ""


def test_bad_news_stays_bad_news_when_nobody_reads_it(place, tmp_path):
    out = tmp_path / "store"
    good = f'"$P" decompose pictureworld --images photos --out {out} {SKIP} --quiet'
    assert shell(place, good).returncode == 0
    (out / "basis.safetensors").write_bytes(b"")
    result = shell(place, f'("$P" verify --json {out}; echo $? >&2) | true')
    assert result.stderr.strip() == "4"


@pytest.mark.parametrize("line", ["--help", "--version", "embed --help", "evaluate groups --help",
                                  "info pictureworld"])
def test_a_full_standard_output_is_an_error(line, place):
    for stream in (">/dev/full", ">&-"):
        result = shell(place, f'"$P" {line} {stream}')
        assert result.returncode == 6, (line, stream)
        assert result.stderr.count("\n") == 1 and "standard output cannot be written" in result.stderr


def screen(place, columns, *arguments):
    """The lines that a terminal of so many columns is sent, at each return of the carriage too."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(place)
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execve(PROGRAM, ["cliplens", *arguments], ENVIRONMENT)
    sent = b""
    while True:
        try:
            got = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not got:
            break
        sent += got
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, sent
    return re.split("[\r\n]+", sent.decode())


@pytest.mark.parametrize("columns", [1, 8, 20, 31, 47, 80, 200])
def test_progress_keeps_to_one_line(columns, place, tmp_path):
    lines = screen(place, columns, "decompose", "pictureworld", "--images", "photos", "--out",
                   str(tmp_path / "store"), "--on-error", "skip")
    told = ("decomposed", "skipped", "certificate")  # when all is done
    progress = [line for line in lines if "decompose"[:columns - 1] in line
                and not any(word in line for word in told)]
    if columns > 1:
        assert progress
    for line in progress:
        assert len(line) < columns, line
    if columns >= 20:
        assert any("7/7" in line for line in progress)
    assert any("█" in line for line in progress) == (columns > 25)


def test_names_do_not_command_a_terminal(place, tmp_path):
    """Nowhere, whatever tells of the picture: tables, lines, errors, JSON."""
    photos = tmp_path / f"photos{MARKS}"
    photos.mkdir()
    whole = next(p for p in sorted((place / "photos").iterdir()) if p.name != "broken.png")
    (photos / f"gnp{MARKS}.exe.png").write_bytes(whole.read_bytes())
    (tmp_path / "classes.txt").write_text(f"a duck{MARKS}\na cup\n")
    broken = tmp_path / f"broken{MARKS}.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    images = ("--images", photos)
    classes = ("--classes", tmp_path / "classes.txt", "--templates", "simple", "--truncate")
    runs = [
        ("decompose", "pictureworld", *images, "--out", tmp_path / f"store{MARKS}"),
        ("classify", "pictureworld", *images, *classes),
        ("classify", "pictureworld", *images, *classes, "--json"),
        ("search", tmp_path / f"store{MARKS}", "--item", "0"),
        ("embed", "pictureworld", *images, "--out", tmp_path / f"x{MARKS}.npy", "--json"),
        ("info", f"none{MARKS}"),
        ("preprocess", "pictureworld", "--image", broken, "--out", tmp_path / "x.npy"),
        ("verify", tmp_path / f"store{MARKS}"),
        ("span", tmp_path / f"store{MARKS}", "--texts", tmp_path / "classes.txt",
         "--truncate"),
        ("heatmap", "pictureworld", "--image", photos / f"gnp{MARKS}.exe.png", "--text", f"a{MARKS} b",
         "--npy", tmp_path / "h.npy"),
    ]
    for arguments in runs:
        result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                                env=ENVIRONMENT, timeout=120)
        assert result.returncode in (0, 2, 3, 4, 5), result.stderr
        for mark in MARKS:
            assert mark not in result.stdout + result.stderr, (arguments, repr(mark))
        if "--json" in arguments:
            assert f"gnp{MARKS}.exe.png" in json.dumps(json.loads(result.stdout), ensure_ascii=False)
