"""Exceptions: one tree, with one class for each code that the command line prints."""

from __future__ import annotations

__all__ = ["Error", "InvalidArgument", "NotFound", "CorruptData", "Precondition", "Exhausted",
           "Unsupported", "Internal", "LossWarning", "of_code"]


class Error(Exception):
    """What every exception of cliplens is. The message names the file and a next step."""

    code = "internal"


class InvalidArgument(Error, ValueError):
    """What was asked for makes no sense."""

    code = "invalid-argument"


class NotFound(Error, FileNotFoundError):
    """A file, a name or a head that is not there."""

    code = "not-found"


class CorruptData(Error, ValueError):
    """A file whose bytes contradict themselves or their format."""

    code = "corrupt-data"


class Precondition(Error, RuntimeError):
    """The call is right, the state is not: an output that exists, too few pictures, a closed store."""

    code = "precondition"


class Exhausted(Error, OSError):
    """Memory, disk or a stated limit."""

    code = "exhausted"


class Unsupported(Error, NotImplementedError):
    """Well-formed, but outside what this version handles."""

    code = "unsupported"


class Internal(Error, RuntimeError):
    """A defect of cliplens."""

    code = "internal"


class LossWarning(UserWarning):
    """Something was left out: pictures that were skipped, files that were passed over, blank lines."""


_BY_CODE: dict[str, type[Error]] = {
    kind.code: kind
    for kind in (InvalidArgument, NotFound, CorruptData, Precondition, Exhausted, Unsupported, Internal)
}


def of_code(code: str) -> type[Error]:
    """The class of a code as the command line prints it, such as ``"not-found"``."""
    return _BY_CODE.get(code, Internal)
