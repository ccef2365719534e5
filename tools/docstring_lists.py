"""Docstrings of the Python package as Markdown, for the site.

A paragraph of a docstring that begins with the name of a parameter and a colon describes parameters, in lines or in
sentences; here it becomes a list. `::` before a block of code becomes `:`, code behind it stands apart.
"""

import re

import griffe


def _sentences(text, names):
    """[(name, what is said of it)], None where the paragraph describes no parameters."""
    starts = list(re.finditer(rf"(?:(?<=^)|(?<=[.;] )|(?<=\n))(?:``)?({'|'.join(map(re.escape, names))})(?:``)?: +", text))
    if not starts or starts[0].start() != 0:
        return None
    ends = [s.start() for s in starts[1:]] + [len(text)]
    return [(s[1], " ".join(text[s.end():end].split())) for s, end in zip(starts, ends, strict=True)]


def markdown(text, names):
    parts = []
    for paragraph in re.split(r"\n\s*\n", text):
        indented = paragraph.startswith("    ")
        said = _sentences(paragraph.strip(), names) if names and not indented else None
        if said is not None:
            parts.append("\n".join(f"- `{name}`: {what}" for name, what in said))
        else:
            parts.append(re.sub(r"::$", ":", paragraph))
    return "\n\n".join(parts)


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
