"""Decodes pictures of a range one by one, telling each before. Run as a program by ``find_killers``."""

from __future__ import annotations

import contextlib
import pathlib
import pickle
import sys

from ..errors import Error
from ._work import Job, Worker


def main() -> None:
    """``python -m cliplens.ray._probe JOB FIRST``."""
    job, number, rows = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
    worker = Worker(job)
    work: Job = pickle.loads(job)
    for index in range(int(sys.argv[2]), work.images_of(number)):
        print(index, flush=True)
        # A picture that cannot be read ends no process.
        with contextlib.suppress(Error, OSError, ValueError):
            worker.decode(number, index, rows)


if __name__ == "__main__":
    main()
