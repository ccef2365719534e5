"""Hooks of mkdocs.yml: pages of the site that are not in docs/, and links that lead out of it.

Pages in docs/ are read on a code host too, so their links name files as they lie in the repository. Here a link to one of
READMES leads to its page of the site; a link to another file outside of docs/ becomes its text.
"""

import posixpath
import re
from pathlib import Path

import jupytext
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
# Files of the repository that are pages of the site.
READMES = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md", "cliplens/README.md": "reference/source.md",
           "examples/README.md": "reference/examples.md", "world/README.md": "reference/world.md",
           "models/README.md": "reference/shipped_models.md", "texts/README.md": "reference/texts.md",
           "web/README.md": "reference/web.md"}
# Sources that the reference of the Python package is made of.
MODULES = {"_model.py": "models", "_verbs.py": "models", "_store.py": "stores", "_writer.py": "stores",
           "_tables.py": "results", "_views.py": "results", "_pictures.py": "pictures", "datasets.py": "pictures",
           "errors.py": "rest", "_explorer.py": "rest", "torch/recorder.py": "torch", "torch/families.py": "torch",
           "ray/_decompose.py": "ray", "ray/_answers.py": "ray", "ray/_work.py": "ray", "ray/_places.py": "ray"}
PLACES = READMES | {f"python/cliplens/{module}": f"reference/python/{page}.md" for module, page in MODULES.items()}
REFERENCE = {
    "models": ("Models", ["load", "Model"]),
    "stores": ("Stores", ["Store", "NeuronStore", "Item", "StoreWriter", "merge"]),
    "results": ("Results", ["Result", "Table", "HeatMap", "Explanation", "Segmentation"]),
    "pictures": ("Pictures", ["Pictures", "datasets.huggingface", "datasets.torch_dataset", "datasets.frame",
                              "datasets.arrays"]),
    "rest": ("Fetching, the explorer, errors", ["pull", "serve", "Explorer", "Error", "InvalidArgument", "NotFound",
                                                "CorruptData", "Precondition", "Exhausted", "Unsupported", "Internal",
                                                "LossWarning"]),
    "torch": ("cliplens.torch", ["torch.Recorder", "torch.Factors", "torch.Basis", "torch.Layout",
                                 "torch.RecorderError"]),
    "ray": ("cliplens.ray", ["ray.decompose", "ray.Decomposed", "ray.Recorded", "ray.search", "ray.label", "ray.evaluate",
                             "ray.copy"]),
}
CPP = """# C++ types and functions

Doxygen makes [pages of every folder, header and type](cpp/index.html) from the comments of the headers. [The
library](../library.md) says how to build a program on them.
"""
LINK = re.compile(r"(?P<mark>!?)\[(?P<text>(?:[^][]|\[[^][]*\])*)\]\((?P<target>[^)\s]+)\)")
NOT_RUN = re.compile(r"^( *```.*\n) *# not run\n", re.MULTILINE)
PRINTED = re.compile(r"^( *)```text$", re.MULTILINE)
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def _sources():
    """{page of the site: its file in the repository} of what is not at its place in docs/."""
    return {page: source for source, page in READMES.items()}


def _notebook(path):
    """A notebook as a page: its cells, with the line that says where it is."""
    page = jupytext.writes(jupytext.read(path), fmt="md")
    page = re.sub(r"\A---\n.*?\n---\n+", "", page, flags=re.DOTALL)
    title, _, rest = page.partition("\n")
    return (f"{title}\n\n*A notebook kept as text, `docs/notebooks/{path.name}`: "
            f"`jupytext --to ipynb {path.name}` makes the notebook, `python {path.name}` runs it.*\n{rest}")


def on_files(files, config):
    for page, source in _sources().items():
        content = (ROOT / source).read_text(encoding="utf-8")
        if source == "README.md":  # whose title is that of the site
            content = content.replace("# cliplens", "# On the command line", 1)
        files.append(File.generated(config, page, content=content))
    for path in sorted((ROOT / "docs/notebooks").glob("*.py")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=_notebook(path)))
    for name, (title, members) in REFERENCE.items():
        content = f"# {title}\n\n" + "\n\n".join(f"::: cliplens.{member}" for member in members) + "\n"
        files.append(File.generated(config, f"reference/python/{name}.md", content=content))
    files.append(File.generated(config, "reference/cpp.md", content=CPP))
    html = ROOT / "build/docs/html"
    for path in sorted(p for p in html.rglob("*") if p.is_file()):
        name = f"reference/cpp/{path.relative_to(html).as_posix()}"
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def _led(match, source, page, paths):
    """A link of a file of the repository as a link of a page of the site."""
    target, _, anchor = match["target"].partition("#")
    if not target or re.match(r"[a-z]+:", target):
        return match[0]
    place = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    where = PLACES.get(place) or (place.removeprefix("docs/") if place.startswith("docs/") else None)
    if place.startswith("docs/notebooks/") and place.endswith(".py"):
        where = where.removesuffix(".py") + ".md"
    if where is None:  # a page of the site alone, or a file that it does not have
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if beside in paths:
            return match[0]
        return match["text"]
    to = posixpath.relpath(where, posixpath.dirname(page) or ".")
    return f"{match['mark']}[{match['text']}]({to}{'#' + anchor if anchor else ''})"


def on_page_markdown(markdown, page, config, files):
    name = page.file.src_uri
    source = _sources().get(name, f"docs/{name}")
    if name.startswith("reference/") and name not in _sources():
        return markdown
    paths = {file.src_uri for file in files}
    # Code is left as it is, but for what is said to the tests.
    parts = FENCE.split(markdown)
    return "".join(PRINTED.sub(r"\1``` { .text .printed }", NOT_RUN.sub(r"\1", part)) if i % 2 else LINK.sub(lambda m: _led(m, source, name, paths), part)
                   for i, part in enumerate(parts))


def _with_own_shim(output, folder):
    """What the search needs on pages that are files is taken from the site itself (docs/site/iframe-worker.js)."""
    return output.replace("https://unpkg.com/iframe-worker/shim", posixpath.relpath("site/iframe-worker.js", folder or "."))


def on_post_page(output, page, config):
    return _with_own_shim(output, posixpath.dirname(page.url))


def on_post_template(output_content, template_name, config):
    return _with_own_shim(output_content, "")
