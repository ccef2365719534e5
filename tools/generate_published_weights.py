#!/usr/bin/env python3
"""Writes open_clip's table of published weights as C++: cliplens/model/published_weights.inc.

    python tools/generate_published_weights.py --from open_clip_torch-3.3.0-py3-none-any.whl
    python tools/generate_published_weights.py --check

Without --from the installed package open_clip_torch is read. Of the package only the table
(open_clip/pretrained.py) is run, which needs neither PyTorch nor a network. --check compares with the
file that is there and exits with 1 where they differ.
"""

import argparse
import importlib
import importlib.util
import pathlib
import sys
import tempfile
import types
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "cliplens/model/published_weights.inc"
NEEDED = ("pretrained.py", "constants.py", "version.py")


def read_table(folder):
    """(version, {architecture: {tag: settings}}) of a package's folder."""
    package = types.ModuleType("open_clip")
    package.__path__ = [str(folder)]
    sys.modules["open_clip"] = package
    if importlib.util.find_spec("tqdm") is None:
        sys.modules["tqdm"] = types.SimpleNamespace(tqdm=None)
    pretrained = importlib.import_module("open_clip.pretrained")
    version = importlib.import_module("open_clip.version").__version__
    return version, pretrained._PRETRAINED


def installed():
    found = importlib.util.find_spec("open_clip")
    if found is None:
        sys.exit("generate_published_weights: open_clip_torch is not installed here; name its wheel "
                 "with --from")
    return pathlib.Path(found.origin).parent


def literal(text):
    if not text.isascii() or not text.isprintable() or '"' in text or "\\" in text:
        sys.exit(f"generate_published_weights: {text!r} cannot stand in the table")
    return f'"{text}"'


def source_of(version, table):
    lines = [f"// Written by tools/generate_published_weights.py from open_clip_torch {version}.",
             "// architecture, tag, repository, file, address, QuickGELU",
             "// clang-format off", "constexpr PublishedWeights kPublished[] = {"]
    for architecture, tags in table.items():
        for tag, settings in tags.items():
            repository, _, file = settings["hf_hub"].rpartition("/")
            texts = (architecture, tag, repository, file, settings["url"])
            gelu = "true" if settings.get("quick_gelu") else "false"
            lines.append("{" + ", ".join(literal(text) for text in texts) + f", {gelu}}},")
    return "\n".join([*lines, "};", "// clang-format on"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="wheel", type=pathlib.Path, help="a wheel of open_clip_torch")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        if options.wheel:
            with zipfile.ZipFile(options.wheel) as wheel:
                for name in NEEDED:
                    (folder / name).write_bytes(wheel.read(f"open_clip/{name}"))
        else:
            folder = installed()
        text = source_of(*read_table(folder))
    if options.check:
        if TABLE.read_text() != text:
            sys.exit(f"generate_published_weights: {TABLE} is of another table; write it anew")
        return
    TABLE.write_text(text)


if __name__ == "__main__":
    main()
