"""The explorer, in the notebook's frame or the browser."""

from __future__ import annotations

import html
import json
import os
import subprocess
import tempfile
import weakref
from typing import Any

from ._command import program
from ._run import Files, arguments
from .errors import Error, of_code

__all__ = ["Explorer", "serve"]


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Explorer:
    """A running explorer. It ends with ``close``, with the context, or with this object."""

    def __init__(self, process: subprocess.Popen[str], url: str, files: Files) -> None:
        self._process, self._files = process, files
        self.url = url
        self._finalizer = weakref.finalize(self, _end, process)

    def close(self) -> None:
        """Stops the server."""
        self._finalizer()
        self._files.__exit__()

    def __enter__(self) -> Explorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Explorer({self.url!r})"

    def _repr_html_(self) -> str:
        url = html.escape(self.url, quote=True)
        return (f'<iframe src="{url}" width="100%" height="800" style="border:0"></iframe>'
                f'<p><a href="{url}" target="_blank">{url}</a></p>')


def serve(*sources: Any, port: int = 0, **options: Any) -> Explorer:
    """Starts the explorer of stores and models (docs/explorer.md) on this machine, on a free port unless one is
    named.

    sources: stores, models, or their paths. options: those of the verb: ``labels``, ``texts``, ``properties``,
    ``classes``, ``templates``, ``label``, ``images``, ``model``. In a notebook the object shows the page; elsewhere
    open its ``url``. Raises what the program says, such as NotFound.
    """
    files = Files()
    named = [str(getattr(s, "directory", None) or getattr(s, "path", None) or os.fspath(s)) for s in sources]
    words = arguments("serve", [("SOURCE", named)], {"port": str(port), **options}, files)
    told = tempfile.TemporaryFile("w+")
    process = subprocess.Popen([str(program()), *words, "--json"], stdout=subprocess.PIPE, stderr=told,
                               text=True)
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        try:
            url = json.loads(text)["address"]
        except ValueError:
            continue
        return Explorer(process, url, files)
    process.wait()
    files.__exit__()
    told.seek(0)
    said = told.read().strip().removeprefix("cliplens: ")
    code, _, message = said.partition(": ")
    raise (of_code(code)(message) if message else Error(said or "the explorer ended without a word"))
