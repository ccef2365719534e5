#!/usr/bin/env python3
"""Checks that includes under cliplens/ follow the layout.

Data flows down the list FOLDERS and includes point up only: a file may include headers of its own
folder and of the folders before it. Each external library is named in one folder only, so that it
can be replaced there (table EXTERNAL).

    tools/check_includes.py [ROOT]      ROOT is the repository, by default the one this file is in

Prints one line for each include that breaks a rule and exits with 1 if there is any.
"""

import re
import sys
from pathlib import Path

FOLDERS = ["base", "io", "dataset", "model", "decompose", "neurons", "analysis", "app", "report", "server", "cli",
           "python"]

# Prefix of an external header -> the folder under cliplens/ that may include it.
EXTERNAL = {
    "Eigen/": "base",
    "nlohmann/": "io",
    "png.h": "io",
    "jpeglib.h": "io",
    "jerror.h": "io",
    "turbojpeg.h": "io",
    "webp/": "io",
    "tiffio.h": "io",
    "avif/": "io",
    "libheif/": "io",
    "openjpeg.h": "io",
    "gif_lib.h": "io",
    "lcms2.h": "io",
    "xxhash.h": "io",
    "zip.h": "io",
    "zlib.h": "io",
    "snappy.h": "io",
    "zstd.h": "io",
    "hdf5.h": "io",
    "utf8proc.h": "io",
    "curl/": "io",
    "openssl/": "io",
    "sentencepiece_processor.h": "model",
    "hwy/": "model/nn",
    "oneapi/": "model/nn",
    "dnnl": "model/nn",
    "omp.h": "model/nn",
    "faiss/": "io",
    "ft2build.h": "report",
    "boost/": "server",
    "CLI/": "cli",
    "nanobind/": "python",
}
EVERYWHERE = ("fmt/",)

# POSIX, the compiler and C's own headers belong to no library.
SYSTEM = re.compile(
    r"(sys/\w+|unistd|fcntl|sched|dirent|dlfcn|pthread|signal|termios|poll|netdb|netinet/\w+|"
    r"arpa/inet|execinfo|malloc|std\w+|string|errno|linux/magic|math|limits|float|assert|time|\w*intrin|cpuid)\.h")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(<[^>\n]+>|"[^"\n]+")', re.MULTILINE)
SUFFIXES = {".h", ".cc", ".in"}


def folder_rank(path):
    """Place in FOLDERS of "cliplens/FOLDER/..." given as its parts after cliplens/, or None."""
    if tuple(path) == ("cliplens.h",):  # the umbrella, over all of the library
        return FOLDERS.index("report")
    return FOLDERS.index(path[0]) if len(path) > 1 and path[0] in FOLDERS else None


def check_file(root, path):
    """Yields (line number, message) for each include of `path` that breaks a rule."""
    parts = path.relative_to(root / "cliplens").parts
    rank = folder_rank(parts)
    if rank is None:
        yield 1, f"is in none of the folders {', '.join(FOLDERS)}; move it or add its folder to FOLDERS"
        return
    text = path.read_text(encoding="utf-8")
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start(1)) + 1
        quoted, name = match[1][0] == '"', match[1][1:-1]
        if name.startswith("cliplens/"):
            other = folder_rank(name.split("/")[1:])
            if other is None:
                yield line, f'"{name}" is in no folder of the layout; check its path'
            elif other > rank:
                yield line, (f'"{name}" points down from {FOLDERS[rank]} to {FOLDERS[other]}; '
                             f"move what is needed up to {FOLDERS[rank]} or before")
            continue
        if name.startswith(EVERYWHERE):
            continue
        home = next((folder for prefix, folder in EXTERNAL.items() if name.startswith(prefix)), None)
        if home is not None:
            if not "/".join(parts[:-1] + ("",)).startswith(home + "/"):
                yield line, (f"<{name}> is included from cliplens/{'/'.join(parts[:-1])}, its library "
                             f"belongs to cliplens/{home} alone; call what is there")
        elif quoted:
            yield line, f'"{name}" is no path from the root; write "cliplens/..."'
        elif not SYSTEM.fullmatch(name) and re.search(r"[./]", name):
            yield line, (f"<{name}> is of a library that the table EXTERNAL does not know; "
                         "add it with its one folder")


def check_tree(root):
    """All broken rules under `root`/cliplens, as lines of text."""
    root = Path(root)
    files = sorted(p for p in (root / "cliplens").rglob("*") if p.suffix in SUFFIXES and p.is_file())
    if not files:
        return [f"{root}/cliplens: no .h, .cc or .in files; name the repository"]
    return [f"{path.relative_to(root).as_posix()}:{line}: {message}"
            for path in files for line, message in check_file(root, path)]


def main(arguments):
    root = arguments[0] if arguments else Path(__file__).resolve().parent.parent
    problems = check_tree(root)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
