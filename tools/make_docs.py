#!/usr/bin/env python3
"""Makes the API pages: `make docs`.

    tools/make_docs.py OUT [--doxygen PROGRAM]

The headers have plain comments. Copies of them in OUT/input have the same comments as Doxygen reads
them: a comment that stands directly before a declaration or behind it describes it, the head comment
describes the file, code examples and formulas are set as such, and nothing else in a comment is
taken for a command. Each folder is a group, described by its section of cliplens/README.md. Doxygen
then reads OUT/input with docs/Doxyfile; any warning is an error. The pages are OUT/html.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from header_comments import LIBRARY, blocks, head_comment, headers

ROOT = Path(__file__).resolve().parent.parent
SPECIAL = re.compile(r'[\\@<>&#%"$]')
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b[^()]*$")


def escaped(text):
    """Text in which Doxygen finds no commands, HTML or links by `#` and `::`."""
    return SPECIAL.sub(lambda match: "\\" + match[0], text).replace("::", "\\::")


def prose(lines):
    """Lines of text, with `code` set as such, also over the end of a line."""
    parts = "\n".join(lines).split("`")
    if len(parts) % 2 == 0:
        return escaped("\n".join(lines)).split("\n")
    return "".join(f"<tt>{escaped(part)}</tt>" if i % 2 else escaped(part)
                   for i, part in enumerate(parts)).split("\n")


def documentation(lines, indent=""):
    """A comment's lines, without `//`, as a comment for Doxygen."""
    result = []
    end = 0
    for kind, first, block in blocks(lines):
        result += [""] if first > end else []
        end = first + len(block)
        if kind == "text":
            result += prose(block)
        else:
            result += ["@code{.cpp}" if kind == "code" else "@code{.unparsed}", *block, "@endcode"]
    return [f"{indent}/// {line}".rstrip() for line in result]


def without_strings(line):
    """A line with the contents of its strings and characters, and its comment, taken out."""
    line = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])\'', '""', line)
    code, _, _ = line.partition("//")
    return code


class Scopes:
    """Whether a line stands where declarations do, or inside a function."""

    def __init__(self):
        self.stack, self.before = [], ""

    def declares(self):
        return all(self.stack)

    def read(self, line):
        for piece in re.split(r"([{};])", without_strings(line)):
            if piece == "{":
                self.stack.append(bool(SCOPE.search(self.before)))
            elif piece == "}" and self.stack:
                self.stack.pop()
            if piece in ("{", "}", ";"):
                self.before = ""
            else:
                self.before += piece + " "


def converted(text, group):
    """A header's text with comments for Doxygen."""
    lines = text.splitlines()
    head = head_comment(text)
    result = ["/// @file", *([f"/// @ingroup {group}"] if group else []), *documentation(head), ""]
    scopes = Scopes()
    number, trailing = len(head), None
    opened = False
    while number < len(lines):
        line = lines[number]
        stripped = line.strip()
        if stripped.startswith("//"):
            indent = line[: len(line) - len(line.lstrip())]
            if trailing is not None and len(indent) == trailing:
                result.append(f"{indent}///< " + prose([stripped[2:].strip()])[0])
                number += 1
                continue
            block = []
            while number < len(lines) and lines[number].strip().startswith("//"):
                block.append(lines[number].strip()[2:].rstrip())
                number += 1
            following = lines[number].strip() if number < len(lines) else ""
            attached = following and not following.startswith(("}", "#", "public:", "private:"))
            if attached and scopes.declares() and not block[0].lstrip().startswith("NOLINT"):
                result += documentation(block, indent)
            trailing = None
            continue
        trailing = None
        code, mark, comment = line.partition("  // ")
        if mark and '"' not in comment and "NOLINT" not in comment and scopes.declares() and \
                not code.strip().startswith(("}", "#")):
            trailing = len(code) + 2
            line = f"{code}  ///< " + prose([comment])[0]
        if opened and stripped.startswith("}  // namespace cliplens"):
            result.append("/// @}")
        scopes.read(lines[number])
        result.append(line)
        if not opened and stripped.startswith("namespace cliplens"):
            result.append(f"/// @addtogroup {group}\n/// @{{")
            opened = True
        number += 1
    return "\n".join(result) + "\n"


def html(text):
    """A line of the README's Markdown as HTML."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return prose([text])[0]


def groups(readme):
    """The pages of the folders, and the first page, from cliplens/README.md."""
    sections = re.split(r"^## ", readme, flags=re.MULTILINE)
    pages = ["/// @mainpage The library\n" + "\n".join(
        documentation([" " + line if line and not line.startswith(" ") else line
                       for line in re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1",
                                          sections[0]).splitlines()[1:]]))]
    folders = [folder for folder in LIBRARY if (ROOT / "cliplens" / folder).is_dir()]
    pages[0] += "\n///\n" + "\n".join(f"/// - @ref {folder}" for folder in folders)
    described = {re.split(r"\W", section)[0]: section for section in sections[1:]}
    for folder in folders:
        title, *lines = described.get(folder, folder).splitlines()
        body = []
        for line in lines:
            if not line.startswith("|"):
                body += ["</table>"] if body and body[-1].endswith("</tr>") else []
                body.append(html(line))
            elif not line.startswith("|---"):
                cells = "".join(f"<td>{html(cell.strip())}</td>" for cell in line.strip("|").split("|"))
                body += ["<table>"] if not (body and body[-1].endswith("</tr>")) else []
                body.append(f"<tr>{cells}</tr>")
        body += ["</table>"] if body and body[-1].endswith("</tr>") else []
        pages.append("\n".join([f"/// @defgroup {folder} {html(title)}",
                                *(f"/// {line}".rstrip() for line in body)]))
    return "\n\n".join(pages) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--doxygen", default="doxygen")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    for part in ("input", "html"):
        shutil.rmtree(out / part, ignore_errors=True)
    for path in headers(ROOT):
        name = path.relative_to(ROOT)
        if name.name.endswith("-inl.h"):
            continue
        target = out / "input" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        group = name.parts[1] if len(name.parts) > 2 else ""
        target.write_text(converted(path.read_text(encoding="utf-8"), group), encoding="utf-8")
    readme = (ROOT / "cliplens/README.md").read_text(encoding="utf-8")
    (out / "input/groups.dox").write_text(groups(readme), encoding="utf-8")

    version = (ROOT / "VERSION").read_text().strip()
    settings = (ROOT / "docs/Doxyfile").read_text() + (
        f"\nPROJECT_NUMBER = {version}\nINPUT = {out}/input\nSTRIP_FROM_PATH = {out}/input\n"
        f"STRIP_FROM_INC_PATH = {out}/input\nOUTPUT_DIRECTORY = {out}\n")
    done = subprocess.run([arguments.doxygen, "-"], input=settings, text=True, cwd=ROOT, check=False)
    if done.returncode == 0:
        print(f"{out}/html/index.html")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
