"""What the comments of the headers hold: text, code examples, formulas.

In a comment, lines that are indented by exactly three spaces after `//` and follow an empty line are
code; lines that are indented by more are a formula or a table, set as they stand. The formatter leaves
both alone (.clang-format).
"""

import re
from pathlib import Path

FOLDERS = ["base", "io", "dataset", "model", "decompose", "neurons", "analysis", "app", "report", "server"]
# Those of the library, which have API pages.
LIBRARY = ["base", "io", "dataset", "model", "decompose", "neurons", "analysis", "app", "report"]


def headers(root, folders=LIBRARY):
    """The library's headers below `root`/cliplens, in the order of the folders."""
    place = Path(root) / "cliplens"
    found = [place / "cliplens.h"]
    for folder in folders:
        found += sorted((place / folder).rglob("*.h"))
    return [path for path in found if path.is_file()]


def head_comment(text):
    """The lines of the comment that opens a header, without `//`."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("//"):
            break
        lines.append(line[2:].rstrip())
    return lines


def blocks(lines):
    """Splits a comment's lines, without `//`, into (kind, first line, lines).

    The kind is "code", "formula" or "text". Lines of code and formulas lose their indentation; blank
    lines inside a block stay, those between blocks belong to none.
    """
    found, pending = [], 0
    for number, line in enumerate(lines):
        if not line.strip():
            pending += 1
            continue
        indent = len(line) - len(line.lstrip())
        last = found[-1] if found else None
        if last and last[0] != "text" and indent >= 3:
            kind = last[0]
        elif last and last[0] == "text" and not pending and indent == 3:
            kind = "text"  # of an entry in a list
        else:
            kind = "code" if indent == 3 else "formula" if indent > 3 else "text"
        if last and last[0] == kind and (not pending or kind != "text"):
            last[2].extend([""] * pending + [line])
        else:
            found.append((kind, number, [line]))
        pending = 0
    return [(kind, first, [line[3:] for line in block] if kind == "code" else
             [re.sub("^ {1,4}", "", line) for line in block] if kind == "formula" else
             [re.sub("^ ", "", line) for line in block]) for kind, first, block in found]
