"""The command ``cliplens``: the program that the package carries, as it is."""

from __future__ import annotations

import os
import pathlib
import sys


def program() -> pathlib.Path:
    """Path of the command-line program inside the package."""
    return pathlib.Path(__file__).parent / "bin" / "cliplens"


def main() -> None:
    """Becomes the program, with the arguments of this process."""
    path = str(program())
    os.execv(path, [path, *sys.argv[1:]])
