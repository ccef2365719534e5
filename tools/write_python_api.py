#!/usr/bin/env python3
"""Writes what the Python package says of its module: a call for every verb of the command line, with its
options (_verbs.py), and the module's types (_core.pyi).

    python tools/write_python_api.py [--check]      needs the package and nanobind, `make package`

The verbs and options are those that the program itself declares, so no option can be missing. With
--check nothing is written; the exit status says whether the files are as they would be.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import keyword
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

PLACE = pathlib.Path(__file__).resolve().parent.parent / "python" / "cliplens"

HEAD = '''"""The verbs of the command line as calls. Written by tools/write_python_api.py."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._run import IMAGES, KEPT, LINES, REPEATED, WITH_LEVEL, WITH_MODEL, Progress
from ._tables import Result
from ._views import Drawn, Explanation, HeatMap, Segmentation

if TYPE_CHECKING:
    from ._store import NeuronStore, Store

Path = str | os.PathLike[str]
Value = str | os.PathLike[str] | Sequence[str]
Lines = str | os.PathLike[str] | Sequence[str] | Mapping[str, str]

'''

MODEL_CALLS = '''    def _drawn(self, verb: str, kind: type[Drawn], options: dict[str, Any],
               progress: Progress | bool | None) -> Drawn:
        raise NotImplementedError

    def _decompose(self, options: dict[str, Any], name: str | None,
                   progress: Progress | bool | None) -> Store:
        raise NotImplementedError

    def _neurons_collect(self, options: dict[str, Any], name: str | None,
                         progress: Progress | bool | None) -> NeuronStore:
        raise NotImplementedError

'''

# Verbs that stay in the shell: they make folders of pages, or run until they are stopped.
LEFT = {"serve", "demo"}
# What the calls have by themselves: the model and how it was loaded.
OF_MODEL = {"arch", "weights", "image-size", "resize-backend", "text-rows", "pull", "precision", "level"}
LINES = {"texts", "classes", "templates", "properties", "cue-file"}
IMAGES = {"image", "images", "minus"}
TITLES = {"model": "model", "store": "store", "neurons": "store of neurons"}
FILES = {"labels", "labels2", "edit", "span"}
# Their file is kept with the result, which other calls take in its place.
KEPT = {"label", "span", "edit make"}
# Verbs that draw: the class of their result, which has what they would write to files.
DRAWN = {"heatmap": "HeatMap", "explain": "Explanation", "segment": "Segmentation"}
# Verbs that make stores: the class that opens it. Without `out` it is a temporary one.
STORES = {"decompose": "Store", "neurons collect": "NeuronStore"}


def python_name(option):
    name = option.lstrip("-").replace("-", "_")
    return name + "_" if keyword.iskeyword(name) else name


def long_name(option):
    return next((n for n in option["names"] if n.startswith("--")), option["names"][0])


def base_type(option):
    name = long_name(option).lstrip("-")
    if option["flag"]:
        return "bool"
    if name in IMAGES or name == "IMAGE":
        return "Any"
    if name in LINES:
        return "Lines"
    if name in FILES:
        return "Path | Result"
    kind = option["type"]
    if kind.startswith("INT") or kind.startswith("UINT"):
        return "int"
    if kind.startswith("FLOAT"):
        return "float"
    return "Value"


def parameter(option):
    kind = base_type(option)
    if option["many"] and not option["positional"]:
        kind = "Value" if option["required"] else "Value | None"
        return f"{python_name(long_name(option))}: {kind}" + ("" if option["required"] else " = None")
    if option["flag"]:
        return f"{python_name(long_name(option))}: bool = False"
    if option["required"]:
        return f"{python_name(long_name(option))}: {kind}"
    return f"{python_name(long_name(option))}: {kind} | None = None"


def described(option, name, indent):
    text = option["help"].replace("\\", "\\\\").rstrip(".")
    # What the command line says of files that other verbs write is said of their results.
    text = re.sub(r"File that 'cliplens (\w+)[^']*' wrote", r"What ``\1`` gave, or its file", text)
    text = re.sub(r"--([a-z][a-z0-9-]*)", lambda m: f"``{python_name(m[1])}``", text)
    default = option["default"]
    if default and not option["flag"] and not option["required"]:
        text += f" (default {default})"
    return textwrap.indent(textwrap.fill(f"{name}: {text}.", 92 - len(indent), subsequent_indent="    "),
                           indent + "    ")


def wrapped(head, parts, tail, indent):
    """`head`, then the parts with commas between, broken at commas alone, in lines under `head`."""
    under = " " * len(head)
    lines, line = [], head
    for i, part in enumerate(parts):
        piece = part + (", " if i + 1 < len(parts) else tail)
        if len(indent + line + piece.rstrip()) > 100 and line.strip() != head.strip():
            lines.append((indent + line).rstrip())
            line = under
        line += piece
    return lines + [(indent + line).rstrip()]


def call(verb, owner):
    positionals = [o for o in verb["options"] if o["positional"]]
    options = [dict(o) for o in verb["options"] if not o["positional"]]
    if owner:
        left = OF_MODEL | ({"model"} if owner != "model" else set())
        options = [o for o in options if long_name(o).lstrip("-") not in left]
    kind = DRAWN.get(verb["name"]) or STORES.get(verb["name"])
    for option in options:
        option["required"] &= not (verb["name"] in KEPT | STORES.keys() and long_name(option) == "--out")
    if verb["name"] in DRAWN:
        options = [o for o in options if long_name(o) not in ("--out", "--npy")]
    own = positionals[1:] if owner else positionals
    name = verb["name"].removeprefix("neurons " if owner == "neurons" else "").replace(" ", "_")
    required = [o for o in options if o["required"]]
    rest = [o for o in options if not o["required"]]
    first = [(python_name(o["names"][0].lower()), "Sequence[Any]" if o["many"] else "Any", o) for o in own]
    parameters = (["self"] if owner else []) + [f"{n}: {kind}" for n, kind, _ in first]
    # What a call is mostly given stands without its name.
    plain = [o for o in rest if long_name(o) == ("--text" if verb["name"] in DRAWN else "--out")
             and verb["name"] in DRAWN | STORES]
    required, rest = required + plain, [o for o in rest if o not in plain]
    parameters += [parameter(o) for o in required] + ["*"] + [parameter(o) for o in rest]
    if verb["name"] in STORES:
        parameters.append("name: str | None = None")
    parameters.append("progress: Progress | bool | None = None")
    indent = "    " if owner else ""
    body = wrapped(f"def {name}(", parameters, f") -> {kind or 'Result'}:", indent)
    body.append(f'{indent}    """{verb["help"].rstrip(".")}.')
    body += ["", f"{indent}    The verb ``cliplens {verb['name']}``; its fields are in docs/json.md.", ""]
    for n, _, option in first:
        body.append(described(option, n, indent))
    body += [described(o, python_name(long_name(o)), indent) for o in required + rest]
    if verb["name"] in STORES:
        body.append(described({"help": "Of pictures in memory, which stand as memory:NAME in the store",
                               "default": "pictures", "flag": False, "required": False}, "name", indent))
    body.append(f'{indent}    """')
    given = ", ".join(f'("{o["names"][0]}", {n})' for n, _, o in first)
    values = [f'"{python_name(long_name(o))}": {python_name(long_name(o))}' for o in required + rest]
    target = "self._run" if owner else "_run"
    call_of = f'return {target}("{verb["name"]}", [{given}], {{'
    end = "}, progress)"
    if verb["name"] in DRAWN:
        call_of = f'return self._drawn("{verb["name"]}", {kind}, {{'
    if verb["name"] in STORES:
        call_of, end = f'return self._{name}({{', "}, name, progress)"
    body += wrapped(call_of, values, end, indent + "    ")
    return "\n".join(body)


def owner_of(verb):
    positionals = [o for o in verb["options"] if o["positional"]]
    first = positionals[0]["names"][0] if positionals else ""
    if first == "MODEL":
        return "model"
    if first in ("STORE", "NSTORE") and not verb["name"].startswith("neurons"):
        return "store"
    if first == "NSTORE" or (first == "STORE" and verb["name"].startswith("neurons")):
        return "neurons"
    return ""


def written(verbs):
    verbs = [v for v in verbs if v["name"].split()[0] not in LEFT]
    parts = [HEAD]
    repeated = {v["name"]: tuple(python_name(long_name(o)) for o in v["options"]
                                 if o["many"] and not o["positional"]) for v in verbs}
    parts.append("REPEATED.update({\n" + "".join(
        f"    {k!r}: {v!r},\n".replace("'", '"') for k, v in repeated.items() if v) + "})\n\n\n")
    def having(option):
        return [v["name"] for v in verbs if any(option in o["names"] for o in v["options"])]

    tables = {"LINES": sorted(map(python_name, LINES)), "IMAGES": sorted(IMAGES), "KEPT": sorted(KEPT),
              "WITH_LEVEL": having("--level"), "WITH_MODEL": having("--model")}
    for table, names in tables.items():
        quoted = [json.dumps(n) for n in names]
        parts[-1] = parts[-1].rstrip() + "\n" + "\n".join(wrapped(f"{table}.update([", quoted, "])", ""))
    parts.append("\n\n\n")
    for owner, title in (("model", "ModelVerbs"), ("store", "StoreVerbs"), ("neurons", "NeuronVerbs")):
        parts.append(f'class {title}:\n    """Verbs of a {TITLES[owner]}, as methods."""\n\n')
        parts.append("    def _run(self, verb: str, positionals: list[tuple[str, Any]], options: dict[str, Any],\n"
                     "             progress: Progress | bool | None) -> Result:\n"
                     "        raise NotImplementedError\n\n")
        if owner == "model":
            parts.append(MODEL_CALLS)
        parts.append("\n\n".join(call(v, owner) for v in verbs if owner_of(v) == owner))
        parts.append("\n\n\n")
    parts.append("def _run(verb: str, positionals: list[tuple[str, Any]], options: dict[str, Any],\n"
                 "         progress: Progress | bool | None) -> Result:\n"
                 "    from ._run import run\n\n"
                 "    return run(verb, positionals, options, progress=progress)\n\n\n")
    parts.append("\n\n\n".join(call(v, "") for v in verbs if owner_of(v) == ""))
    return "".join(parts).rstrip() + "\n"


def module_file():
    folder = pathlib.Path(importlib.util.find_spec("cliplens").origin).parent
    return next(folder.glob("_core*.so"))


def program_table():
    """The module's table, without the package, which may lack the file that is to be written."""
    loader = importlib.machinery.ExtensionFileLoader("_core", str(module_file()))
    spec = importlib.util.spec_from_loader("_core", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module.verb_table()


def stub():
    """The module's types. It is had by the name that its classes have, without the package's own code."""
    with tempfile.TemporaryDirectory() as folder:
        package = pathlib.Path(folder) / "cliplens"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "_core.abi3.so").symlink_to(module_file())
        libraries = module_file().parent.parent / "cliplens.libs"  # of a wheel that carries them
        if libraries.is_dir():
            (pathlib.Path(folder) / "cliplens.libs").symlink_to(libraries)
        out = pathlib.Path(folder) / "_core.pyi"
        subprocess.run([sys.executable, "-m", "nanobind.stubgen", "-q", "-i", folder, "-m", "cliplens._core", "-o",
                        out], check=True, cwd=folder, env={**os.environ, "PYTHONPATH": folder})
        return out.read_text()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    files = {"_verbs.py": written(json.loads(program_table())), "_core.pyi": stub()}
    stale = [name for name, text in files.items()
             if not (PLACE / name).is_file() or (PLACE / name).read_text() != text]
    if check:
        for name in stale:
            print(f"{name}: is not what the program gives; run tools/write_python_api.py")
        return 1 if stale else 0
    for name in stale:
        (PLACE / name).write_text(files[name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
