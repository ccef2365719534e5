"""Docstrings of the Python package as Markdown, for the site.

A paragraph of a docstring that begins with the name of a parameter and a colon describes parameters, in lines or in
sentences; here it becomes a list. `::` before a block of code becomes `:`, code behind it stands apart.
"""

import re

import griffe


# Sentences behind the last parameter that are about the whole call.
BEHIND = re.compile(r" (?=(?:Raises|May be used|In a notebook) )")


def _joined(text):
    """Lines as one, also where a word was cut at its hyphen."""
    return " ".join(re.sub(r"(?<=\w-)\n\s*(?=\w)", "", text).split())


def _described(text, names):
    """[(name, what is said of it)] and what stands behind; None where the paragraph describes no parameters."""
    name = rf"(?:``)?({'|'.join(map(re.escape, names))})(?:``)?: +"
    lines = text.split("\n")
    # Generated docstrings have a line for each, and further lines of it are set in.
    by_line = len(lines) > 1 and all(re.match(name, line) or line.startswith("    ") for line in lines)
    starts = list(re.finditer(rf"^{name}" if by_line else rf"(?:^|(?<=[.] )|(?<=[.]\n)){name}", text, re.MULTILINE))
    if not starts or starts[0].start() != 0:
        return None
    ends = [s.start() for s in starts[1:]] + [len(text)]
    said = [(s[1], _joined(text[s.end():end])) for s, end in zip(starts, ends, strict=True)]
    last, behind = (*BEHIND.split(said[-1][1], maxsplit=1), "")[:2]
    return [*said[:-1], (said[-1][0], last)], behind


def markdown(text, names):
    parts = []
    for paragraph in re.split(r"\n\s*\n", text):
        described = None
        if names and not paragraph.startswith("    "):
            described = _described(paragraph.strip(), names)
        if described is not None:
            parts.append("\n".join(f"- `{name}`: {what}" for name, what in described[0]))
            parts += [described[1]] if described[1] else []
        else:
            parts.append(re.sub(r"::$", ":", paragraph))
    # Pages of the reference lie two folders below those of docs/.
    return re.sub(r"(?:``)?docs/(\w+)\.md(?:``)?", r"[docs/\1.md](../../\1.html)", "\n\n".join(parts))


class DocstringLists(griffe.Extension):
    def on_function(self, *, func, **_):
        if func.docstring:
            names = sorted((p.name.lstrip("*") for p in func.parameters if p.name != "self"), key=len, reverse=True)
            func.docstring.value = markdown(func.docstring.value, names)

    def on_class(self, *, cls, **_):
        if cls.docstring:
            init = cls.members.get("__init__")
            names = [p.name for p in init.parameters if p.name != "self"] if init and init.is_function else []
            names += [name for name, member in cls.members.items() if member.is_attribute]
            cls.docstring.value = markdown(cls.docstring.value, sorted(names, key=len, reverse=True))
