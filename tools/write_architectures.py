"""Which of open_clip's architectures are read, as docs/models.md lists them.

    build/parity-env/bin/python tools/write_architectures.py

rewrites the list in docs/models.md from what the program says of each name (build/release/bin/architecture_table)
and from open_clip's own names. tests/parity/test_architectures.py fails where the page says something else.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import subprocess

import open_clip
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/models.md"
BLOCK = re.compile(r"(<!-- architectures -->\n).*?(<!-- /architectures -->)", re.DOTALL)
# The first that a name fits.
FAMILIES = [("SigLIP 2", "SigLIP2"), ("SigLIP", "SigLIP"), ("CLIPA", "CLIPA"), ("MetaCLIP 2", "worldwide"),
            ("MobileCLIP", "^MobileCLIP"), ("ViTamin", "^ViTamin"), ("PE-Core", "^PE-Core"), ("CoCa", "^coca_"),
            ("EVA", "^EVA"), ("CLIP", "")]


def preprocessing(name: str) -> dict:
    """Of the weights that open_clip publishes under the name, if they agree."""
    keys = ("mean", "std", "interpolation", "resize_mode")
    found = [{key: cfg[key] for key in keys}
             for cfg in (get_pretrained_cfg(name, tag) for tag in list_pretrained_tags_by_model(name))]
    return found[0] if found and all(cfg == found[0] for cfg in found) else {}


def answers(program: pathlib.Path, names=None, **asked) -> dict[str, dict]:
    """What the program says of names, of all of open_clip's if none are given."""
    rows = [dict(name=name, config=dict(model_cfg=open_clip.get_model_config(name),
                                        preprocess_cfg=preprocessing(name)), **asked)
            for name in names or open_clip.list_models()]
    run = subprocess.run([program], input="".join(json.dumps(row) + "\n" for row in rows), text=True,
                         capture_output=True, check=True)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    return dict(zip((row["name"] for row in rows), lines, strict=True))


def family(name: str) -> str:
    return next(title for title, pattern in FAMILIES if re.search(pattern, name))


def grouped(names, title_of) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(title_of(name), []).append(name)
    return sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))


def reason(name: str, answer: dict) -> str:
    return answer["by_name"].removeprefix(f"--arch {name}: ")


def page(found: dict[str, dict]) -> str:
    here = [name for name, answer in found.items() if answer["texts"] == "here"]
    rows = [name for name, answer in found.items() if answer["texts"] == "rows"]
    refused = [name for name, answer in found.items() if answer["texts"] is None]

    def lines(groups):
        return [f"| {title} | {' '.join(f'`{name}`' for name in names)} |" for title, names in groups]

    count = f"Of open_clip {open_clip.__version__}'s {len(found)} architectures"
    return "\n".join([
        f"{count} {len(here)} are read with both towers:", "",
        "| family | names |", "|---|---|", *lines(grouped(here, family)), "",
        f"{len(rows)} have a text tower of Hugging Face's, and texts are rows made elsewhere (`--text-rows`):", "",
        "| family of the image tower | names |", "|---|---|",
        *lines(grouped(rows, lambda name: "SigLIP" if name.endswith("-siglip") else family(name))), "",
        f"{len(refused)} are refused:", "",
        "| because | names |", "|---|---|",
        *lines(grouped(refused, lambda name: reason(name, found[name])))]) + "\n"


def updated(text: str, found: dict[str, dict]) -> str:
    assert BLOCK.search(text), f"{PAGE}: no '<!-- architectures -->'"
    return BLOCK.sub(lambda match: match[1] + "\n" + page(found) + "\n" + match[2], text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/architecture_table")
    arguments = parser.parse_args()
    PAGE.write_text(updated(PAGE.read_text(), answers(arguments.program)))


if __name__ == "__main__":
    main()
