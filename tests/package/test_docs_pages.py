"""The pages of the documentation site do what they say.

Every ```python block of the tutorial, the cookbook and the pages on Python is run, those of one page in order in one
namespace; a ```text block behind one is what it prints, with `...` for what changes. Every ```sh block is run by a shell
in another copy of the same folder. A block whose first line is `# not run` needs a network or does not end; the site leaves
that line out. The folder has what the pages take for granted: photos/, texts.txt, classes.txt, templates.txt, properties.txt, birds/ with groups.csv.

    python -m pytest tests/package/test_docs_pages.py
    python tests/package/test_docs_pages.py --update [PAGE ...]      rewrites what the blocks print
"""

import contextlib
import importlib.util
import io
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import textwrap

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *filter(pathlib.Path.is_file, (DOCS / f"{name}.md" for name in (
    "index", "tutorial", "concepts", "faq", "python", "recorder", "cluster"))), *sorted((DOCS / "cookbook").glob("*.md"))]
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.py"))
# What a page needs beside NumPy, pandas, Pillow and PyArrow.
NEEDS = {"recorder.md": ["open_clip", "cliplens.torch"], "cookbook/training_loop.md": ["open_clip", "cliplens.torch"],
         "notebooks/recorder.py": ["open_clip", "cliplens.torch"], "cookbook/hugging_face.md": ["datasets"],
         "cookbook/figure.md": ["matplotlib"], "cluster.md": ["ray"], "cookbook/cluster.md": ["ray"], "notebooks/figure.py": ["matplotlib"]}
FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\w+)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?|-?\d+e[-+]?\d+")
OBJECTS = ("duck", "penguin", "horse", "sunflower", "cactus", "pizza", "bicycle", "guitar", "violin", "cake", "bed", "rainbow")


class Block:
    def __init__(self, found, text):
        self.kind, self.indent = found["kind"], found["indent"]
        self.text = textwrap.dedent(found["text"])
        self.line = text.count("\n", 0, found.start("text")) + 1
        self.span = found.span("text")
        self.runs = not self.text.startswith("# not run")


def blocks_of(text):
    return [Block(found, text) for found in FENCE.finditer(text)]


def name_of(page):
    return str(page.relative_to(DOCS if DOCS in page.parents else ROOT))


def share():
    import cliplens

    return cliplens.shipped("world")


def members(set_name):
    """Key, picture and attributes of a shipped set's pictures."""
    for shard in sorted((share() / "sets" / set_name).glob("*.tar")):
        with tarfile.open(shard) as opened:
            for member in opened:
                if member.name.endswith(".json"):
                    key = member.name.removesuffix(".json")
                    yield (key, opened.extractfile(key + ".png").read(),
                           json.loads(opened.extractfile(member).read()))


def make_workplace_of_readme(folder):
    """As tests/python/test_docs.py has it for the page's console blocks."""
    (folder / "photos").mkdir(parents=True)
    (folder / "world").symlink_to(share())
    for key, picture, _ in list(members("single"))[:12]:
        (folder / f"photos/{key}.png").write_bytes(picture)
    (folder / "texts.txt").write_text("a picture of a duck\na pencil sketch\na black and white picture\nin the snow\n")


def make_workplace(folder, page=None):
    if page == ROOT / "README.md":
        make_workplace_of_readme(folder)
        return
    folder.mkdir(exist_ok=True)
    texts = share() / "texts"
    for key, picture, about in members("test"):
        if about["label"] in OBJECTS:
            place = folder / "photos" / about["label"]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{key}.png").write_bytes(picture)
    rows = ["path,label,place"]
    (folder / "birds").mkdir()
    for key, picture, about in members("birds"):
        (folder / "birds" / f"{key}.png").write_bytes(picture)
        rows.append(f"birds/{key}.png,{about['label']},{about['place_kind']}")
    (folder / "groups.csv").write_text("\n".join(rows) + "\n")
    (folder / "texts.txt").write_text((texts / "phrases.txt").read_text())
    (folder / "properties.txt").write_text((texts / "properties.txt").read_text())
    (folder / "templates.txt").write_text((texts / "objects.templates.txt").read_text())
    classes = [line for line in (texts / "objects.txt").read_text().splitlines() if line.split("\t")[1] in OBJECTS]
    (folder / "classes.txt").write_text("\n".join(classes) + "\n")
    (folder / "birds.txt").write_text((texts / "birds.txt").read_text())
    (folder / "birds.templates.txt").write_text((texts / "birds.templates.txt").read_text())


def missing(page):
    """What the page needs and is not installed."""
    with contextlib.suppress(ImportError):
        for name in NEEDS.get(name_of(page), []):
            if importlib.util.find_spec(name) is None:
                return name
        return None
    return name


@pytest.fixture
def workplace(tmp_path, monkeypatch, request):
    make_workplace(tmp_path / "work", request.node.callspec.params.get("page"))
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "work"


def executed(block, page, names):
    """What a Python block prints."""
    out = io.StringIO()
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    with contextlib.redirect_stdout(out):
        exec(code, names)  # noqa: S102
    return out.getvalue()


def same_number(shown, got):
    """Rounded figures may differ in their last digit; errors (2.5e-07) by a factor of three."""
    if "e-" in shown:
        return float(got) / 3 <= float(shown) <= float(got) * 3
    digits = len(shown.partition(".")[2])
    return abs(float(shown) - float(got)) < 1.5 * 10.0**-digits


def same_line(shown, got):
    parts = [NUMBER.split(line) for line in (shown, got)]
    numbers = [NUMBER.findall(line) for line in (shown, got)]
    if "..." in shown:
        pattern = ".*".join(re.escape(part) for part in shown.split("..."))
        return re.fullmatch(pattern, got) is not None
    return len(numbers[0]) == len(numbers[1]) and [re.sub(" +", " ", p) for p in parts[0]] == \
        [re.sub(" +", " ", p) for p in parts[1]] and all(map(same_number, *numbers))


def same(shown, got):
    lines = [[line.rstrip() for line in text.strip().splitlines()] for text in (shown, got)]
    shown, got = lines
    while shown:
        if shown[0] == "...":
            rest = shown[1:]
            return any(same("\n".join(rest), "\n".join(got[i:])) for i in range(len(got) + 1))
        if not got or not same_line(shown.pop(0), got.pop(0)):
            return False
    return not got


def test_what_counts_as_the_same():
    assert same("a 0.12\nb", "a 0.13\nb") and not same("a 0.12", "a 0.14") and not same("a", "b")
    assert same("a\n...\nz", "a\nb\nc\nz") and same("in ... s", "in 0.3 s") and not same("a\n...\nz", "a\nb")
    assert same("1e-07", "2e-07") and not same("1e-07", "4e-07")


def run_python(page, answer):
    """Runs the Python blocks of a page; answer(text block, what was printed) is told of each that shows output."""
    names = {"__name__": "__main__"}
    printed = None
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.kind == "python" and block.runs:
            printed = executed(block, page, names)
        elif block.kind == "text" and printed is not None:
            answer(block, printed)
            printed = None
        else:
            printed = None


def shown_as_printed(page):
    def compare(block, printed):
        assert same(block.text, printed), f"{page.name}:{block.line} shows\n{block.text}\nbut there came\n{printed}"

    return compare


def with_python(page):
    return any(b.kind == "python" for b in blocks_of(page.read_text(encoding="utf-8")))


def with_shell(page):
    return any(b.kind == "sh" and b.runs for b in blocks_of(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", [p for p in PAGES if with_python(p)], ids=name_of)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_python_of_a_page(page, workplace):
    if what := missing(page):
        pytest.skip(f"{what} is not installed")
    run_python(page, shown_as_printed(page))
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_a_notebook_runs_as_a_program(notebook, workplace):
    if what := missing(notebook):
        pytest.skip(f"{what} is not installed")
    done = subprocess.run([sys.executable, notebook], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [p for p in PAGES if with_shell(p)], ids=name_of)
def test_shell_of_a_page(page, workplace, monkeypatch):
    monkeypatch.setenv("PATH", str(pathlib.Path(sys.executable).parent), prepend=os.pathsep)
    script = "\n".join(b.text for b in blocks_of(page.read_text(encoding="utf-8")) if b.kind == "sh" and b.runs)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def options_of_verbs():
    """{verb: its options} of the program."""
    from cliplens import _core

    return {verb["name"]: {"--help", "--json", "--quiet"} | {name for option in verb["options"] for name in option["names"]}
            for verb in json.loads(_core.verb_table())}


def commands_of(text):
    """The command lines of `cliplens` in a shell block, words apart."""
    text = text.replace("\\\n", " ")
    for line in text.splitlines():
        if "cliplens " in line and not line.lstrip().startswith("#"):
            for piece in re.split(r"\||&&|;|\bdone\b|\bdo\b|&", line):
                words = shlex.split(piece.strip(), comments=True)
                if "cliplens" in words:
                    yield words[words.index("cliplens") + 1:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page):
    known = options_of_verbs()
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.kind not in ("sh", "console"):
            continue
        for words in commands_of(block.text.replace("$ ", "").replace("\n> ", " ")):
            verb = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
            if verb.startswith("-"):
                continue
            assert verb in known, f"{page.name}:{block.line}: no verb {verb}"
            for word in words:
                option = word.partition("=")[0]
                if re.match(r"--?[a-z]", option) and option not in known[verb]:
                    raise AssertionError(f"{page.name}:{block.line}: cliplens {verb} has no {option}")


# Not in the table of docs/python.md: a tour for the shell, and what an edit's file says by itself.
WITHOUT_CALL = {"demo", "edit show"}
CALL = re.compile(r"\b(cl|model|store|neurons)\.([a-z_]\w*)")


def test_the_table_of_calls_is_complete():
    rows = [line.split("|")[1] for line in (DOCS / "python.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    verbs = set(re.findall(r"`([^`]+)`", " ".join(rows)))
    groups = {verb for verb in options_of_verbs() if verb.startswith("neurons ") and verb.split()[1] in
              {"ablate", "cue", "discover", "reconstruct", "show"}}  # "neurons words, show, ..."
    assert not set(options_of_verbs()) - verbs - groups - WITHOUT_CALL


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_calls_exist(page):
    import cliplens as cl

    owners = {"cl": cl, "model": cl.Model, "store": cl.Store, "neurons": cl.NeuronStore}
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page.read_text(encoding="utf-8"))
    named = {call for span in spans for call in CALL.findall(span)} - {("model", "eval")}  # PyTorch's
    assert not [call for call in named if not hasattr(owners[call[0]], call[1])]


def update(pages):
    """Rewrites the text blocks as their pages' code prints them."""
    os.environ["MPLBACKEND"] = "Agg"
    for page in pages:
        with tempfile.TemporaryDirectory() as folder:
            make_workplace(pathlib.Path(folder) / "work", page)
            os.chdir(pathlib.Path(folder) / "work")
            answers = []
            run_python(page, lambda block, printed: answers.append((block, printed)))  # noqa: B023
            os.chdir("/")
        text = page.read_text(encoding="utf-8")
        for block, printed in reversed(answers):
            if not same(block.text, printed):
                lines = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines()) + "\n"
                text = text[:block.span[0]] + textwrap.indent(lines, block.indent) + text[block.span[1]:]
        page.write_text(text, encoding="utf-8")
        print(name_of(page))


if __name__ == "__main__":
    named = [pathlib.Path(name).resolve() for name in sys.argv[2:]]
    update(named or [p for p in PAGES if with_python(p) and not missing(p)])
