"""Every verb has its call, and its JSON is the command line's."""

import inspect
import json
import pathlib
import subprocess
import sys

import pytest

from conftest import ROOT

STORE = {
    "verify": {},
    "span": {"texts": "pool.txt", "count": 3, "heads": "last-2"},
    "label": {"properties": "properties.txt"},
    "ablate": {"classes": "classes.txt", "templates": "simple"},
    "reconstruct": {"classes": "classes.txt", "templates": "simple", "texts": ["pool.txt"]},
    "search": {"text": "a red duck", "heads": "L5.H1,L5.H2", "count": 4},
    "edit make": {"heads": "L5.H1,L2.MLP", "mode": "scale=0.5"},
}
MODEL = {
    "info": {},
    "tokenize": {"texts": "pool.txt"},
    "classify": {"images": "FOLDER", "classes": "classes.txt", "templates": "simple"},
    "describe": {"image": "PICTURE", "texts": "pool.txt", "count": 3},
    "weights": {"texts": "pool.txt", "heads": "L5.H1", "count": 2},
}


def filled(value, folder, texts):
    if isinstance(value, list):
        return [filled(v, folder, texts) for v in value]
    if value == "FOLDER":
        return folder
    if value == "PICTURE":
        return folder / "even" / "00.png"
    return texts / value if isinstance(value, str) and value.endswith(".txt") else value


def words(options):
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            yield f"--{name.replace('_', '-')}={one}"


@pytest.mark.parametrize("verb", STORE)
def test_verbs_of_stores(cl, told, store, folder, texts, tmp_path, verb):
    options = {k: filled(v, folder, texts) for k, v in STORE[verb].items()}
    got = getattr(store, verb.replace(" ", "_"))(**options)
    if verb == "edit make":
        options["out"] = tmp_path / "edit.json"
    said = told(*verb.split(), store.directory, *words(options), "--json")
    if "out" in options:  # the JSON of a verb that must write a file names it
        assert {**got.to_dict(), "file": None} == {**json.loads(said), "file": None}
    else:
        assert got.to_json() + "\n" == said


def test_a_cue_is_found_and_removed(cl):
    share = cl.shipped("world/sets").parent
    birds = cl.load("pictureworld-birds")
    store = birds.decompose(share / "sets/birds", on_error="stop")
    classes, templates = share / "texts/birds.txt", share / "texts/birds.templates.txt"
    places = {"on the sea": "water", "on a lake": "water", "in the forest": "land", "in the desert": "land"}
    found = store.edit_suggest(classes, templates=templates, cue_file=places)
    assert found.heads
    groups = store.evaluate_groups(classes, "place_kind", templates=templates, edit=found, random=0).rows
    assert groups[1]["worst"]["value"] > groups[0]["worst"]["value"] + 0.1
    none = store.edit_suggest(classes, templates="simple", cue=["a picture on land", "a picture on water"])
    with pytest.raises(cl.Precondition, match="no head carries"):
        birds.embed_images(share / "sets/birds", edit=none)


@pytest.mark.parametrize("verb", MODEL)
def test_verbs_of_models(told, model, folder, texts, verb):
    options = {k: filled(v, folder, texts) for k, v in MODEL[verb].items()}
    got = getattr(model, verb.replace(" ", "_"))(**options)
    assert got.to_json() + "\n" == told(*verb.split(), "pictureworld", *words(options), "--json")


@pytest.mark.parametrize("verb, options", [("heatmap", {"text": ["a duck", "a car"]}),
                                           ("explain", {"text": "a red duck"}),
                                           ("segment", {"text": "a duck"})])
def test_verbs_that_draw(told, model, folder, tmp_path, verb, options):
    picture = folder / "odd" / "01.png"
    got = getattr(model, verb)(picture, **options)
    out = tmp_path / "out.png"
    said = told(verb, "pictureworld", f"--image={picture}", *words(options), f"--out={out}", "--json")
    assert got.png == out.read_bytes()
    if verb != "segment":  # whose JSON names the file
        assert got.to_json() + "\n" == said


def test_two_stores(told, model, store, folder, tmp_path):
    second = model.decompose(folder, tmp_path / "second")
    for verb in ("compare", "match"):
        got = getattr(store, verb)(second.directory)
        assert got.to_json() + "\n" == told(verb, store.directory, second.directory, "--json")


def test_neurons(told, model, folder, texts, tmp_path):
    store = model.neurons_collect(images=folder, out=tmp_path / "neurons", layers="last-2")
    said = told("neurons", "words", store.directory, f"--texts={texts / 'pool.txt'}", "--count=3", "--json")
    got = store.words(texts=texts / "pool.txt", count=3)
    assert got.to_json() + "\n" == said
    assert store.show(got.neurons[0]["neuron"], texts=texts / "pool.txt").texts
    kept = model.neurons_collect(images=folder, layers="last-1")
    assert (kept.directory / "manifest.json").is_file()


def test_lists_results_and_pictures_stand_for_files(cl, model, store, texts, arrays, folder):
    pool = (texts / "pool.txt").read_text().splitlines()
    assert store.span(pool, heads="L5.H1", count=3).heads[0]["texts"][0]["text"] in pool
    table = dict(line.split("\t") for line in (texts / "properties.txt").read_text().splitlines())
    labels = store.label(properties=table)
    assert labels == store.label(properties=texts / "properties.txt")
    named = model.explain(arrays[0], "a duck", labels=labels)
    assert named.to_dict()["components"]
    edit = store.edit_make(heads="L5.H1,L5.H2")
    assert cl.edit_show(edit).components[0].component == "L5.H1"
    edited = model.embed_images(folder, edit=edit)
    assert abs(edited - model.embed_images(folder)).max() > 1e-4
    found = store.search(image=arrays[3], count=1)
    assert found.results[0].path == "odd/03.png"


def test_tables(store, texts):
    span = store.span(texts / "pool.txt", count=2, heads="last-1")
    rows = span.table()
    assert len(rows) == 2 * len(span.heads)
    assert rows[0].head == span.heads[0].head and rows[0]["texts.text"] == span.heads[0].texts[0].text
    assert list(rows.to_pandas()["head"]) == [r.head for r in rows]
    assert rows.to_arrow().column("head").to_pylist() == [r.head for r in rows]
    import pyarrow

    assert pyarrow.table(rows).num_rows == len(rows)
    assert "<table>" in span._repr_html_() and "&lt;" not in rows[:1]._repr_html_()
    with pytest.raises(AttributeError, match="heads"):
        span.no_such_field  # noqa: B018
    with pytest.raises(ValueError, match="no-such"):
        span.table("no-such")


def test_warnings_are_said(cl, model, texts, tmp_path, arrays):
    (tmp_path / "pool.txt").write_text("a duck\n\na car\n")
    with pytest.warns(cl.LossWarning, match="1 blank line"):
        model.decompose(arrays[:4]).span(tmp_path / "pool.txt", count=1)


def test_calls_and_types_are_those_of_the_program():
    done = subprocess.run([sys.executable, ROOT / "tools/write_python_api.py", "--check"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_is_documented(cl):
    missing, shapeless = [], []

    def check(name, thing):
        doc = inspect.getdoc(thing) or ""
        if not doc:
            missing.append(name)
        returns = str(getattr(getattr(thing, "fget", thing), "__annotations__", {}).get("return", ""))
        if ("FloatArray" in returns or "NDArray" in returns) and "[" not in doc:
            shapeless.append(name)

    for name in cl.__all__:
        thing = getattr(cl, name)
        if name == "__version__":
            continue
        check(name, thing)
        members = vars(thing).items() if inspect.isclass(thing) or inspect.ismodule(thing) else ()
        for member, value in members:
            if member.startswith("_") or not (callable(value) or isinstance(value, property)):
                continue
            if inspect.ismodule(thing) and member not in thing.__all__:
                continue
            check(f"{name}.{member}", value)
    assert not missing and not shapeless, (missing, shapeless)


def test_types(tmp_path):
    # Away from the sources, so that what is installed is checked as a user's code sees it.
    example = tmp_path / "example.py"
    example.write_text('''
import numpy as np
import numpy.typing as npt
import cliplens as cl

model: cl.Model = cl.load("pictureworld")
rows: npt.NDArray[np.float32] = model.embed_images(["a.png", b"", np.zeros((4, 4, 3), np.uint8)])
store: cl.Store = model.decompose("photos/", "store", on_error="skip")
span: cl.Result = store.span("general", heads="last-4", count=20)
shown: cl.HeatMap = model.heatmap("a.png", ["a cat", "a dog"])
grid: npt.NDArray[np.float32] = shown.grid
head: npt.NDArray[np.float32] = store.contributions("L3.H1")
items: list[cl.Item] = store.items
labels = store.label(properties={"a red thing": "colour"})
store.search(image="a.png", property="colour", labels=labels)
''')
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", example],
                          capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    package = pathlib.Path(__import__("cliplens").__file__).parent
    # cliplens.torch needs PyTorch's types.
    modules = [f"{place}.{path.stem}" for place, folder in (("cliplens", package), ("cliplens.ray", package / "ray"))
               for path in folder.glob("*.py") if not path.stem.startswith("__")]
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir",
                           tmp_path / "cache", *(word for m in modules for word in ("-m", m))],
                          capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
