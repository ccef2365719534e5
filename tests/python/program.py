"""The program as a user runs it: what tests of the command line begin with.

    CLIPLENS_PROGRAM: the program (default: that of the release build)
"""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("CLIPLENS_PROGRAM", ROOT / "build/release/bin/cliplens")).resolve()


def run(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], text=True, capture_output=True, timeout=300,
                          env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)), **options)


def answer(*arguments):
    """What --json prints."""
    result = run(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def says_one_line(result, status, *words):
    """An error of one line that says these words."""
    assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
    assert result.stderr.startswith("cliplens: ") and result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
