#!/usr/bin/env python3
"""Makes one source of the code examples that open the headers, so that a test compiles them.

    tools/header_examples.py OUT.cc        writes the source
    tools/header_examples.py --without     lists the headers of main folders that have no example

Each example becomes the body of a function after `tests/header_examples/context.h`, which declares
what examples take for granted (a model, a store, texts, Print). Errors of the compiler name the
header's own line.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from header_comments import FOLDERS, blocks, head_comment, headers

ROOT = Path(__file__).resolve().parent.parent
CONTEXTS = ROOT / "tests/header_examples"
WIDTH = 100


def examples(path):
    """(line number, lines) for each code example at the head of a header."""
    for kind, first, lines in blocks(head_comment(path.read_text(encoding="utf-8"))):
        if kind == "code":
            yield first + 1, lines


def source(paths):
    """The text of a source with all examples, and the complaints about them."""
    includes, bodies, complaints = [], [], []
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        if name.endswith("-inl.h"):
            continue
        includes.append(f'#include "{name}"')
        for line, lines in examples(path):
            complaints += [f"{name}:{line + i}: longer than {WIDTH} columns"
                           for i, text in enumerate(lines) if len(text) + 5 > WIDTH]
            space = "cliplens::server" if name.startswith("cliplens/server/") else "cliplens"
            function = name.removesuffix(".h").replace("/", "_").replace("-", "_")
            context = CONTEXTS / (function.removeprefix("cliplens_") + ".inc")
            declared = context.read_text(encoding="utf-8") if context.is_file() else ""
            bodies.append(f"namespace {space}::example_{function}_{line} {{\n{declared}"
                          f'void Example() {{\n#line {line} "{name}"\n' + "\n".join(lines) +
                          "\n}\n}\n")
    text = "\n".join(includes) + '\n#include "tests/header_examples/context.h"\n\n' + "\n".join(bodies)
    return text, complaints


def main(arguments):
    paths = headers(ROOT, FOLDERS)
    if arguments == ["--without"]:
        for path in paths:
            if not any(examples(path)):
                print(path.relative_to(ROOT))
        return 0
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    text, complaints = source(paths)
    for complaint in complaints:
        print(complaint)
    if complaints:
        return 1
    Path(arguments[0]).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
