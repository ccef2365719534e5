"""The committed tables of text cleaning are what their generator writes, and CLIP's vocabulary is
taken whole or not at all."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "cliplens/model/text"
GENERATOR = ROOT / "tools/generate_text_tables.py"
FETCH = ROOT / "tools/fetch_clip_vocabulary.py"


def run(script, *arguments):
    return subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True,
                          text=True)


def test_the_generator_reproduces_the_tables():
    versions = run(GENERATOR, "--versions")
    assert versions.returncode == 0, versions.stderr
    for line in versions.stdout.splitlines():
        name, text = line.split("\t")
        if f"// From {text}.\n" not in (TABLES / name).read_text():
            pytest.skip(f"{name} comes from other versions than {text}")
    result = run(GENERATOR, "--check")
    assert result.returncode == 0, result.stderr


@pytest.fixture
def published():
    return Path(importlib.util.find_spec("open_clip").origin).parent / "bpe_simple_vocab_16e6.txt.gz"


def test_the_merges_that_clip_uses_are_written(published, tmp_path):
    result = run(FETCH, "--from", published, "--out", tmp_path / "a/merges.txt",
                 "--cc", tmp_path / "merges.cc")
    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "a/merges.txt").read_text().split("\n")
    assert lines[0] == "#version: 0.2"
    assert lines[1] == "i n"
    assert lines[-2] == "jeky ll</w>"
    assert lines[-1] == ""
    assert len(lines) == 1 + 48894 + 1
    assert '"i n\\n"' in (tmp_path / "merges.cc").read_text()


def test_another_vocabulary_is_refused(tmp_path):
    other = tmp_path / "other.txt.gz"
    other.write_bytes(b"something else")
    result = run(FETCH, "--from", other, "--out", tmp_path / "merges.txt")
    assert result.returncode == 1
    assert "SHA-256" in result.stderr
    assert not (tmp_path / "merges.txt").exists()


def test_a_missing_file_is_named(tmp_path):
    result = run(FETCH, "--from", tmp_path / "none.whl", "--out", tmp_path / "merges.txt")
    assert result.returncode == 1
    assert "none.whl" in result.stderr
