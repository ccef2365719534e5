"""`cliplens neurons`: every verb against the store's tensors by plain NumPy, and what is refused.

    CLIPLENS_PROGRAM=build/release/bin/cliplens python -m pytest tests/python/test_neurons.py
"""

import csv
import ctypes
import ctypes.util
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.segmentation import metrics
from test_text_rows import without_text_tower

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("CLIPLENS_PROGRAM", ROOT / "build/release/bin/cliplens")).resolve()
PICTURES, TOP, LAYERS, LAST = 24, 6, (3, 4), 5
NAMES = "a picture of {}\n"
KINDS = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "|u1"}


def run(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], text=True, capture_output=True,
                          timeout=300, env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)), **options)


def good(*arguments):
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def answer(*arguments):
    return json.loads(good(*arguments, "--json"))


def says_one_line(result, status, *words):
    assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
    assert result.stdout == ""
    assert result.stderr.startswith("cliplens: ") and result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def tensors(path):
    """{name: array} of a safetensors file."""
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data, KINDS[e["dtype"]], offset=begin + e["data_offsets"][0],
                                count=int(np.prod(e["shape"]))).reshape(e["shape"])
            for name, e in header.items()}


def write_tensors(path, arrays):
    """Into a file that has them; its header stays as it is where no shape changes."""
    whole = path.read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8:begin]), b""
    for name, array in arrays.items():
        header[name] |= {"shape": list(array.shape),
                         "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    if header != json.loads(whole[8:begin]):
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        whole, begin = len(text).to_bytes(8, "little") + text, 8 + len(text)
    path.write_bytes(whole[:begin] + data)


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh128(data):
    library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    library.XXH3_128bits.restype = Hash128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    digest = library.XXH3_128bits(data, len(data))
    return f"{digest.high:016x}{digest.low:016x}"


def forged(store, change, out):
    """A copy in which `change` of each tensor (file, name, array) stands, with right checksums."""
    shutil.copytree(store, out)
    for path in out.glob("*.safetensors"):
        arrays = {name: change(path.name.split("-")[0].split(".")[0], name, array.copy())
                  for name, array in tensors(path).items()}
        write_tensors(path, arrays)
    manifest = json.loads((out / "manifest.json").read_text())
    for part in (manifest["statistics"], manifest["basis"], *manifest["shards"]):
        part["checksum"] = xxh128((out / part["file"]).read_bytes())
    manifest["checksum"] = "0" * 32
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (out / "manifest.json").write_text(text.replace("0" * 32, xxh128(text.encode())))
    return out


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


class Stored:
    """A store of neurons as NumPy reads it."""

    def __init__(self, path):
        self.path = path
        self.manifest = json.loads((path / "manifest.json").read_text())
        self.basis, self.stats = tensors(path / "basis.safetensors"), tensors(
            path / "stats.safetensors")
        self.shards = [tensors(path / s["file"]) for s in self.manifest["shards"]]
        self.heads = self.manifest["model"]["config"]["vision"]["heads"]
        self.embedding = np.concatenate([s["embedding"] for s in self.shards]).astype(float)
        self.paths = [json.loads(line)["path"] for s in self.manifest["shards"]
                      for line in (path / s["items"]).read_text().splitlines()]
        self.labels = [p.split("/")[0] for p in self.paths]

    def channels(self, layer):
        return [(later, h) for later in range(layer + 1, LAST + 1) for h in range(self.heads)]

    def directions(self, layer):
        """D [F, J, E]"""
        out = []
        for later, h in self.channels(layer):
            values = self.basis[f"values.L{layer}.L{later}"].astype(float)
            writes = self.basis[f"writes.L{later}"].astype(float)
            width = values.shape[1] // self.heads
            part = slice(h * width, (h + 1) * width)
            out.append(values[:, part] @ writes[part])
        return np.stack(out, 1)

    def alpha(self, layer):
        """[F, B, J]"""
        return np.concatenate([s[f"alpha.L{layer}"] for s in self.shards], 1).astype(float)

    def constants(self, layer):
        """κ [B, E]"""
        shared = np.concatenate([s[f"shared.L{layer}"] for s in self.shards]).astype(float)
        return shared @ self.basis[f"shared.L{layer}"].astype(float)

    def effects(self, layer):
        """φ̃ [F, B, E]"""
        phi = self.alpha(layer) @ self.directions(layer) + self.constants(layer)
        return phi - phi.mean(1, keepdims=True)

    def stat(self, name, layer):
        return self.stats[f"{name}.L{layer}"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """photos/LABEL/NAME.png, a store of neurons and one of heads of them, pools and classes."""
    folder = tmp_path_factory.mktemp("neurons")
    with tarfile.open(ROOT / "world/sets/single/single-000.tar") as shard:
        names = [m.name for m in shard if m.name.endswith(".png") and ".mask." not in m.name]
        for name in names[:PICTURES]:
            said = json.loads(shard.extractfile(name.removesuffix(".png") + ".json").read())
            (folder / "photos" / said["label"]).mkdir(parents=True, exist_ok=True)
            (folder / "photos" / said["label"] / name).write_bytes(shard.extractfile(name).read())
    (folder / "templates.txt").write_text(NAMES)
    good(*collect(folder, folder / "store"))
    good("decompose", "pictureworld", "--images", folder / "photos", "--out", folder / "heads")
    return folder


def collect(place, out, *more, images="photos", top=TOP):
    return ("neurons", "collect", "pictureworld", "--images", place / images, "--out", out,
            "--layers", "{}-{}".format(*LAYERS), "--top", top, "--shard-images", 5, *more)


@pytest.fixture(scope="module")
def stored(place):
    return Stored(place / "store")


POOL = ROOT / "world/texts/phrases.txt"
TEXTS = [line.split("\t")[0] for line in POOL.read_text().splitlines() if line.strip()]
CLASSES = ROOT / "world/texts/objects.txt"


def embedded(place, texts):
    (place / "lines.txt").write_text("".join(text + "\n" for text in texts))
    (place / "rows.npy").unlink(missing_ok=True)
    (place / "rows.npy.rows.jsonl").unlink(missing_ok=True)
    (place / "rows.rows.jsonl").unlink(missing_ok=True)
    good("embed", "pictureworld", "--texts", place / "lines.txt", "--out", place / "rows.npy")
    return np.load(place / "rows.npy").astype(float)


@pytest.fixture(scope="module")
def atoms(place):
    """The pool's texts about their mean, by --normalize."""
    rows = embedded(place, TEXTS)
    rows -= rows.mean(0)
    return {"unit": unit(rows), "reference": rows / np.linalg.norm(rows, axis=0)}


@pytest.fixture(scope="module")
def words(place):
    return answer("neurons", "words", place / "store", "--texts", POOL, "--count", 4)


# What is in a store.

def test_tensors_are_as_documented(place, stored):
    page = (ROOT / "docs/neurons.md").read_text().split("## The store\n")[1].split("\n## ")[0]
    vision = stored.manifest["model"]["config"]["vision"]
    sizes = {"F": vision["mlp_width"], "H·K": vision["heads"] * vision["head_width"],
             "H·Q·K": vision["heads"] * vision["head_width"],  # Q is 1 without an attention pool
             "E": stored.manifest["model"]["config"]["embed_width"], "k": TOP, "1": 1,
             "B": stored.manifest["shards"][0]["images"]}
    documented, file = {}, ""
    for cells in re.findall(r"^\| (.*) \|$", page.replace("\\|", ""), re.MULTILINE):
        first, names, shape, meaning = (cell.strip() for cell in cells.split("|"))
        file = first.strip("`") or file
        if not shape.startswith("[") or "`items`" in names:
            continue
        kind = re.search(r"\b(F64|I64)\b", meaning)
        for name in re.findall(r"`([^`]+)`", names):
            for layer in LAYERS if "L9" in name else ["all"]:
                own = (LAST - layer if layer != "all" else 0) * vision["heads"]
                widths = [{"J": own, "2J+2Q+1": 2 * own + 3, **sizes}[s.strip()]
                          for s in shape.strip("[]").split(",")]
                pairs = [r for r in range(LAYERS[0] + 1, LAST + 1) if layer == "all" or r > layer]
                for later in pairs if "L10" in name else [0]:
                    made = name.replace("L10", f"L{later}").replace("L9", f"L{layer}")
                    documented[file, made] = (kind[1] if kind else "F32", widths)
    real = {}
    for file, number in (("basis.safetensors", ""), ("stats.safetensors", ""),
                         ("shard-NNNNN.safetensors", "00000")):
        data = (place / "store" / file.replace("NNNNN", number)).read_bytes()
        header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
        header.pop("__metadata__", None)
        real |= {(file, name): (e["dtype"], e["shape"]) for name, e in header.items()}
    assert documented == real
    assert stored.manifest["format"] == "cliplens.neurons/1"
    assert stored.manifest["neurons"] == {"first_layer": 3, "end_layer": 5, "top": TOP}


def test_statistics_only(place, stored, tmp_path):
    store = tmp_path / "x"
    good(*collect(place, store, "--stats-only"))
    good("verify", store, "--model", "pictureworld")
    assert sorted(files_of(store)) == ["basis.safetensors", "manifest.json", "stats.safetensors"]
    only = tensors(store / "stats.safetensors")
    names = [json.loads(line)["path"] for line in bytes(only.pop("items")).decode().splitlines()]
    assert sorted(only) == sorted(stored.stats)
    for layer in LAYERS:
        top = only[f"top_pictures.L{layer}"]
        same = np.array(names)[top] == np.array(stored.paths)[stored.stat("top_pictures", layer)]
        assert same.mean() > 0.99
        for what in ("variance", "explained_top", "explained_all", "channel_share", "top_norm",
                     "mean_alpha"):
            np.testing.assert_allclose(only[f"{what}.L{layer}"], stored.stat(what, layer),
                                       rtol=1e-3, atol=1e-5)
        agree = (only[f"direction_top.L{layer}"] * stored.stat("direction_top", layer)).sum(1)
        assert (agree > 1 - 1e-4).mean() > 0.99
    words = ("--texts", POOL, "--count", 2, "--neurons", "L4.N1,L4.N132")
    few, all_of_them = (answer("neurons", "words", s, *words) for s in (store, place / "store"))
    for a, b in zip(few["neurons"], all_of_them["neurons"]):
        assert [t["text"] for t in a["texts"]] == [t["text"] for t in b["texts"]]
    shown = [answer("neurons", "show", s, "L4.N132", "--texts", POOL, "--maps", tmp_path / png)
             for s, png in ((store, "a.png"), (place / "store", "b.png"))]
    paths = [[p["path"] for p in s["pictures"]] for s in shown]
    assert paths[0] == paths[1]
    part = run(*collect(place, tmp_path / "y", "--stats-only", "--shard", "0/2"))
    says_one_line(part, 2, "parts")
    with_directions = answer(*of_classes(place, ("neurons", "ablate"), "--directions", store))
    for a, b in zip(with_directions["layers"],
                    answer(*of_classes(place, ("neurons", "ablate")))["layers"]):
        assert a["rows"][1]["score"] == pytest.approx(b["rows"][1]["score"], abs=1e-5)


@pytest.mark.parametrize("verb, more", [("ablate", ()), ("reconstruct", ("--texts", POOL))])
def test_accuracy_needs_the_effects_on_each_picture(place, tmp_path, verb, more):
    good(*collect(place, tmp_path / "x", "--stats-only"))
    result = run(*of_classes(place, ("neurons", verb), *more, store=tmp_path / "x"))
    says_one_line(result, 5, "statistics only")


def test_statistics_only_cannot_be_merged(place, tmp_path):
    (tmp_path / "one").mkdir()
    for i, picture in enumerate(sorted((place / "photos").rglob("*.png"))[:8]):
        with Image.open(picture) as image:
            image.rotate(90).save(tmp_path / f"one/{i}.png")
    good(*collect(place, tmp_path / "a", "--stats-only"))
    good(*collect(tmp_path, tmp_path / "b", "--stats-only", images="one"))
    result = run("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    says_one_line(result, 5, "statistics only")


@pytest.mark.parametrize("layer", LAYERS)
def test_directions_and_figures_are_those_of_the_effects(stored, layer):
    effects, d = stored.effects(layer), stored.directions(layer)
    norms = np.linalg.norm(effects, axis=2)
    centred = stored.alpha(layer) - stored.alpha(layer).mean(1, keepdims=True)
    variance = (norms ** 2).mean(1)
    np.testing.assert_allclose(stored.stat("variance", layer), variance, rtol=1e-5)
    shares = np.einsum("nbj,nje,nbe->nj", centred, d, effects, optimize=True)
    shares /= len(stored.paths) * variance[:, None]
    np.testing.assert_allclose(stored.stat("channel_share", layer), shares, atol=1e-5)
    top = np.argsort(-norms, axis=1, kind="stable")[:, :TOP]
    np.testing.assert_allclose(stored.stat("top_norm", layer), np.take_along_axis(norms, top, 1),
                               rtol=1e-5)
    assert (stored.stat("top_pictures", layer) == top).mean() > 0.999  # ties by rounding
    for n in range(0, len(effects), 7):
        rows = effects[n, top[n]]
        for name, these in (("top", rows), ("all", effects[n])):
            values, v = np.linalg.svd(these)[1:]
            got = stored.stat("direction_" + name, layer)[n].astype(float)
            assert abs(np.linalg.norm(got) - 1) < 1e-5
            if values[0] > 1.01 * values[1]:
                assert abs(got @ v[0]) > 1 - 1e-4, (layer, n, name)
            explained = stored.stat("explained_" + name, layer)[n]
            assert abs(explained - values[0] ** 2 / (values ** 2).sum()) < 1e-5
            along = (rows @ got > 0).sum()
            assert along > TOP / 2 or (along == TOP / 2 and got[np.abs(got).argmax()] < 0)
        np.testing.assert_allclose(stored.stat("top_along", layer)[n],
                                   rows @ stored.stat("direction_top", layer)[n], atol=1e-7)


def test_threads_change_no_byte(place, tmp_path):
    for threads in (1, 3):
        good(*collect(place, tmp_path / str(threads), "--threads", threads))
        assert files_of(tmp_path / str(threads)) == files_of(place / "store")


@pytest.fixture(scope="module")
def of_texts(place):
    """A store of the text tower's neurons."""
    good("neurons", "collect", "pictureworld", "--texts", POOL, "--out", place / "texts",
         "--layers", "0-1", "--top", TOP)
    return place / "texts"


def test_the_text_tower(place, of_texts, atoms):
    good("verify", of_texts, "--model", "pictureworld")
    basis, stats = tensors(of_texts / "basis.safetensors"), tensors(of_texts / "stats.safetensors")
    parts = [tensors(path) for path in sorted(of_texts.glob("shard-*"))]
    rows = np.concatenate([part["embedding"] for part in parts]).astype(float)
    np.testing.assert_allclose(rows, embedded(place, TEXTS), atol=1e-6)
    manifest = json.loads((of_texts / "manifest.json").read_text())
    assert manifest["neurons"] == {"first_layer": 0, "end_layer": 2, "top": TOP, "tower": "text"}
    # Neuron 5 of layer 1, whose channels are the heads of layer 2.
    values, writes = basis["values.L1.L2"][5].astype(float), basis["writes.L2"].astype(float)
    heads = manifest["model"]["config"]["text"]["heads"]
    d = np.stack([v @ w for v, w in zip(np.split(values, heads), np.split(writes, heads))])
    phi = np.concatenate([part["alpha.L1"][5] for part in parts]).astype(float) @ d
    phi += np.concatenate([part["shared.L1"] for part in parts]) @ basis["shared.L1"].astype(float)
    phi -= phi.mean(0)
    norms = np.linalg.norm(phi, axis=1)
    shown = answer("neurons", "show", of_texts, "L1.N5", "--texts", POOL, "--count", 3,
                   "--pictures", 3)
    assert [p["item"] for p in shown["pictures"]] == np.argsort(-norms)[:3].tolist()
    assert [p["path"].split(": ", 1)[1] for p in shown["pictures"]] == [
        TEXTS[i] for i in np.argsort(-norms)[:3]]
    assert shown["variance"] == pytest.approx((norms ** 2).mean(), rel=1e-5)
    assert_same_words(shown["texts"], atoms["unit"], stats["direction_top.L1"][5].astype(float), 3)


def test_what_needs_pictures_refuses_the_text_tower(place, of_texts, tmp_path):
    picture = next((place / "photos").rglob("*.png"))
    for line in (("show", of_texts, "L1.N5", "--texts", POOL, "--maps", tmp_path / "x.png"),
                 ("discover", of_texts, "--image", picture, "--texts", POOL),
                 of_classes(place, ("ablate",), store=of_texts),
                 of_classes(place, ("reconstruct",), "--texts", POOL, store=of_texts)):
        says_one_line(run("neurons", *line), 7, str(of_texts), "text tower")


def test_directions_of_the_text_tower_are_refused(place, of_texts, tmp_path):
    good("neurons", "collect", "pictureworld", "--images", place / "photos", "--out",
         tmp_path / "early", "--layers", "0-1")
    result = run(*of_classes(place, ("neurons", "ablate"), "--directions", of_texts,
                             store=tmp_path / "early"))
    assert result.returncode != 0 and str(of_texts) in result.stderr


# Words.

def pursuit(atoms, target, count):
    """Orthogonal matching pursuit as it is defined: texts and weights."""
    chosen, rest, weights = [], target, []
    for _ in range(count):
        chosen.append(int(np.abs(atoms @ rest).argmax()))
        weights = np.linalg.lstsq(atoms[chosen].T, target, rcond=None)[0]
        rest = target - weights @ atoms[chosen]
    return chosen, weights


def as_pairs(texts):
    return {t["index"]: t["weight"] for t in texts}


def assert_same_words(texts, atoms, direction, count):
    chosen, weights = pursuit(atoms, direction, count)
    got = as_pairs(texts)
    assert sorted(got) == sorted(chosen)
    np.testing.assert_allclose([got[k] for k in chosen], weights, atol=1e-4 * np.abs(weights).max())
    sizes = [abs(t["weight"]) for t in texts]
    assert sizes == sorted(sizes, reverse=True)
    return weights @ atoms[chosen]


def test_words_are_those_of_a_plain_pursuit(stored, atoms, words):
    assert [n["neuron"] for n in words["neurons"]] == [
        f"L{layer}.N{n}" for layer in LAYERS for n in range(384)]
    assert words["embedding_variance"] == pytest.approx(
        ((stored.embedding - stored.embedding.mean(0)) ** 2).sum(1).mean())
    for neuron in words["neurons"][::5]:
        layer, n = map(int, re.findall(r"\d+", neuron["neuron"]))
        direction = stored.stat("direction_top", layer)[n].astype(float)
        total = assert_same_words(neuron["texts"], atoms["unit"], direction, 4)
        assert neuron["cosine"] == pytest.approx(unit(total) @ direction, abs=1e-5)
        assert neuron["end"] == "count"
        assert all(t["text"] == TEXTS[t["index"]] for t in neuron["texts"])
        for name, of in (("variance", "variance"), ("top_explained", "explained_top"),
                         ("all_explained", "explained_all")):
            assert neuron[name] == stored.stat(of, layer)[n]
        assert neuron["threshold"] == stored.stat("top_norm", layer)[n, -1]


def test_words_by_coordinate_of_all_pictures_of_some_neurons(place, stored, atoms):
    some = answer("neurons", "words", place / "store", "--texts", POOL, "--count", 3, "--neurons",
                  "L4.N9, L3.N7,L4.N2", "--normalize", "reference", "--directions", "all")
    assert (some["normalize"], some["directions"]) == ("reference", "all")
    assert [n["neuron"] for n in some["neurons"]] == ["L3.N7", "L4.N2", "L4.N9"]
    for neuron, (layer, n) in zip(some["neurons"], ((3, 7), (4, 2), (4, 9))):
        assert_same_words(neuron["texts"], atoms["reference"],
                          stored.stat("direction_all", layer)[n].astype(float), 3)


def test_words_as_json_csv_and_arrays(place, stored, words, tmp_path):
    names = [tmp_path / n for n in ("w.json", "w.csv", "w.npz")]
    out = good("neurons", "words", place / "store", "--texts", POOL, "--count", 4, "--most", 3,
               "--out", names[0], "--csv", names[1], "--npz", names[2])
    assert len(re.findall(r"^L\d\.N\d+ ", out, re.MULTILINE)) == 3
    assert "3 of 768 neurons, those of largest variance" in out
    assert json.loads(names[0].read_text()) == words
    rows = list(csv.DictReader(names[1].read_text().splitlines()))
    flat = [(n, k + 1, t) for n in words["neurons"] for k, t in enumerate(n["texts"])]
    assert len(rows) == len(flat)
    for row, (neuron, rank, text) in zip(rows, flat):
        assert (row["neuron"], row["rank"], row["text"]) == (neuron["neuron"], str(rank),
                                                             text["text"])
        for name in ("variance", "top_explained", "all_explained", "threshold", "cosine"):
            assert float(row[name]) == pytest.approx(neuron[name], rel=1e-6)
        assert float(row["weight"]) == pytest.approx(text["weight"], rel=1e-6)
    arrays = np.load(names[2])
    assert arrays["format"].item() in (b"csr", "csr")
    assert arrays["shape"].tolist() == [len(words["neurons"]), len(TEXTS)]
    starts = arrays["indptr"]
    for i, neuron in enumerate(words["neurons"]):
        assert f"L{arrays['layer'][i]}.N{arrays['neuron'][i]}" == neuron["neuron"]
        part = slice(starts[i], starts[i + 1])
        assert (np.diff(arrays["indices"][part]) > 0).all()
        pairs = zip(arrays["indices"][part].tolist(), arrays["data"][part].tolist())
        assert dict(pairs) == as_pairs(neuron["texts"])
    assert arrays["variance"].tolist() == [n["variance"] for n in words["neurons"]]
    wanted = np.concatenate([stored.stat("direction_top", layer) for layer in LAYERS])
    assert np.array_equal(arrays["directions"], wanted)


def test_a_pool_with_doubled_lines_says_so(place, tmp_path):
    pool = tmp_path / "doubled.txt"
    pool.write_text("a duck\na crab\nin the snow\n" * 2)
    arguments = ("neurons", "words", place / "store", "--texts", pool, "--neurons", "L4.N1,L4.N2",
                 "--count", 5)
    assert "2 of 2 neurons have fewer than 5 texts" in good(*arguments)
    found = answer(*arguments)
    for neuron in found["neurons"]:  # three texts about their mean have two dimensions
        assert neuron["end"] == "no_text" and len({t["text"] for t in neuron["texts"]}) == 2


def test_lines_of_a_pool_that_end_in_blanks_or_a_tab(place, words, tmp_path):
    """Test 8 of the specification of neurons: each neuron has as many texts as were asked for, the
    largest weight first, and blanks at the end of a line are no part of its text."""
    pool = tmp_path / "pool.txt"
    pool.write_text("".join(text + end for text, end in zip(TEXTS, ("\t\n", " \n", "\n", " \t\n") *
                                                            len(TEXTS))))
    found = answer("neurons", "words", place / "store", "--texts", pool, "--count", 4)
    assert found["neurons"] == words["neurons"]
    assert all(len(n["texts"]) == 4 for n in found["neurons"])


def test_words_are_of_embeddings_in_fp32(place, stored, atoms, words):
    """The paper's code embeds the pool in fp16, whose weights are others."""
    rows = embedded(place, TEXTS)
    assert np.load(place / "rows.npy").dtype == np.float32
    halves = rows.astype(np.float16).astype(float)
    halves = unit(halves - halves.mean(0))
    errors = {"single": [], "half": []}
    for neuron in words["neurons"][:40]:
        layer, n = map(int, re.findall(r"\d+", neuron["neuron"]))
        direction = stored.stat("direction_top", layer)[n].astype(float)
        chosen = [t["index"] for t in neuron["texts"]]
        for name, pool in (("single", atoms["unit"]), ("half", halves)):
            weights = np.linalg.lstsq(pool[chosen].T, direction, rcond=None)[0]
            errors[name].append(np.abs(weights - [t["weight"] for t in neuron["texts"]]).max())
    assert max(errors["single"]) < 2e-6 < 5e-6 < min(errors["half"])


def test_classes_are_embedded_in_fp32(place, stored, classes):
    """As the pool: scores are those of fp32 rows, closer than fp16 could be."""
    report = answer(*of_classes(place, ("neurons", "ablate"), "--layers", "4"))
    base = report["layers"][0]["rows"][0]["score"]["value"]
    halves = classes[0].astype(np.float16).astype(float), classes[1]
    single, half = (measured(stored.embedding, stored, c)[1] for c in (classes, halves))
    assert abs(base - single) < 1e-8 < 3e-7 < abs(base - half)


def test_words_need_neither_classes_nor_the_pictures(place, tmp_path):
    shutil.copytree(place / "photos", tmp_path / "here")
    good(*collect(tmp_path, tmp_path / "store", images="here"))
    (tmp_path / "here").rename(tmp_path / "gone")
    more = ("--texts", POOL, "--count", 2)
    assert len(answer("neurons", "words", tmp_path / "store", *more)["neurons"]) == 768
    assert answer("neurons", "show", tmp_path / "store", "L4.N3", *more)["pictures"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_split_of_cifar_is_recorded(tmp_path, split):
    """The paper's code reads the test split of CIFAR and calls it train."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    random = np.random.default_rng(3)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        records = random.integers(0, 256, (4, 3073), np.uint8)
        records[:, 0] = (0, 1, 0, 1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("airplane\nautomobile\n")
    good("neurons", "collect", "pictureworld", "--images", folder, "--split", split, "--layers", "4",
         "--out", tmp_path / "store")
    store = Stored(tmp_path / "store")
    [data] = store.manifest["data"]
    assert (data["kind"], data["split"]) == ("cifar-10", split)
    wanted = "test_batch" if split == "test" else "data_batch_"
    assert len(store.paths) == (4 if split == "test" else 20)
    assert all(path.startswith(wanted) for path in store.paths)


# One neuron, one picture, two classes.

def test_show(place, stored, atoms, tmp_path):
    png = tmp_path / "fires.png"
    shown = answer("neurons", "show", place / "store", "L3.N20", "--texts", POOL, "--count", 3,
                   "--heads", 5, "--pictures", 4, "--maps", png)
    direction = stored.stat("direction_top", 3)[20].astype(float)
    assert_same_words(shown["texts"], atoms["unit"], direction, 3)
    shares, written = stored.stat("channel_share", 3)[20], stored.directions(3)[20]
    order = np.argsort(-np.abs(shares), kind="stable")[:5]
    assert [h["head"] for h in shown["heads"]] == [
        "L{}.H{}".format(*stored.channels(3)[j]) for j in order]
    assert [h["share"] for h in shown["heads"]] == shares[order].tolist()
    np.testing.assert_allclose([h["cosine"] for h in shown["heads"]],
                               (unit(written) @ direction)[order], atol=1e-6)
    for name, of in (("variance", "variance"), ("top_explained", "explained_top"),
                     ("all_explained", "explained_all")):
        assert shown[name] == stored.stat(of, 3)[20]
    assert [p["item"] for p in shown["pictures"]] == stored.stat("top_pictures", 3)[20, :4].tolist()
    for k, picture in enumerate(shown["pictures"]):
        assert picture["path"] == stored.paths[picture["item"]]
        assert picture["norm"] == stored.stat("top_norm", 3)[20, k]
        assert picture["along"] == stored.stat("top_along", 3)[20, k]
        assert np.array(picture["fires"]).shape == (8, 8) and isinstance(picture["class_token"],
                                                                         float)
    with Image.open(png) as image:
        assert image.width > 500 and image.height > 500
    out = good("neurons", "show", place / "store", "L3.N20", "--texts", POOL)
    assert "fires" not in answer("neurons", "show", place / "store", "L3.N20", "--texts",
                                 POOL)["pictures"][0]
    assert all(f"\n{h['head']} " in out for h in shown["heads"])


def test_maps_where_pictures_have_moved(place, tmp_path):
    shutil.copytree(place / "photos", tmp_path / "here")
    good(*collect(tmp_path, tmp_path / "store", images="here"))
    (tmp_path / "here").rename(tmp_path / "there")
    show = ("neurons", "show", tmp_path / "store", "L4.N3", "--texts", POOL, "--maps")
    says_one_line(run(*show, tmp_path / "a.png"), 3, str(tmp_path / "here"), "--images")
    assert not (tmp_path / "a.png").exists()
    says_one_line(run(*show, tmp_path / "a.png", "--images", tmp_path / "nowhere"), 3, "nowhere")
    moved = answer(*show, tmp_path / "b.png", "--images", tmp_path / "there")
    assert all("fires" in p for p in moved["pictures"])
    gone = moved["pictures"][1]["path"]
    (tmp_path / "there" / gone).unlink()
    again = ("--images", tmp_path / "there")
    assert f"1 of {TOP} pictures cannot be read any more" in good(*show, tmp_path / "c.png", *again)
    assert ["fires" in p for p in answer(*show, tmp_path / "d.png", *again)["pictures"]] == [
        p["path"] != gone for p in moved["pictures"]]


def test_maps_where_no_picture_is_the_stores(place, tmp_path):
    says_one_line(run("neurons", "show", place / "store", "L4.N3", "--texts", POOL, "--images",
                      ROOT / "world/sets/birds", "--maps", tmp_path / "a.png"), 3, "birds")


def test_the_report_shows_the_neurons_that_matter(place, stored, tmp_path):
    shutil.copytree(place / "photos", tmp_path / "here")
    good("decompose", "pictureworld", "--images", tmp_path / "here", "--out", tmp_path / "heads")
    good(*collect(tmp_path, tmp_path / "store", images="here"))
    page = tmp_path / "page.html"
    report = ("report", tmp_path / "heads", "--texts", POOL, "--neurons", tmp_path / "store",
              "--out", page)
    told = answer(*report)
    assert told["neurons"] == {"shown": 12, "images": PICTURES, "maps": 12 * TOP, "maps_missing": 0}
    html = page.read_text()
    cards = re.findall(r'<article class="head" id="(L\d+\.N\d+)"(.*?)</article>', html, re.S)
    want = [f"L{layer}.N{n}" for layer in LAYERS
            for n in np.argsort(-stored.stat("variance", layer), kind="stable")[:6]]
    assert [name for name, _ in cards] == want
    for name, card in cards:
        assert card.count("<img ") == TOP and len(re.findall(r'class="text"', card)) == 8
        shown = answer("neurons", "show", tmp_path / "store", name, "--texts", POOL, "--heads", 5)
        assert [re.escape(h["head"]) for h in shown["heads"]] == [
            re.escape(h) for h in re.findall(r'<a href="#(L\d+\.H\d+)">', card)]
        assert f"cosine of its texts</dt><dd>{shown['cosine']:.2f}</dd>" in card
    # A head says which neurons feed it; those with a card are linked.
    head = re.search(r'<article class="head" id="L5\.H4"(.*?)</article>', html, re.S)[1]
    fed = re.findall(r"L\d\.N\d+", head.partition("Fed by neurons")[2].partition("</p>")[0])
    through = {}
    for layer in LAYERS:
        at = [tuple(c) for c in stored.channels(layer)].index((5, 4))
        for n, share in enumerate(stored.stat("channel_share", layer)[:, at]):
            through[f"L{layer}.N{n}"] = share.astype(float) * stored.stat("variance", layer)[n]
    assert list(dict.fromkeys(fed)) == sorted(through, key=lambda n: -abs(through[n]))[:5]
    # Pictures that have moved.
    (tmp_path / "here").rename(tmp_path / "there")
    page.unlink()
    result = run(*report, "--images", tmp_path / "there")
    assert result.returncode == 0 and "--neuron-images" in result.stderr, result.stderr
    assert "are gone from" in page.read_text()
    page.unlink()
    moved = answer(*report, "--images", tmp_path / "there", "--neuron-images", tmp_path / "there")
    assert moved["neurons"] == told["neurons"]
    page.unlink()
    # Neurons of another model, of texts, of one part; a store of heads.
    other = list(collect(tmp_path, tmp_path / "other", images="there"))
    other[2] = "pictureworld-2"
    good(*other)
    for wrong, *says in ((tmp_path / "other", "pictureworld-2", "this model"),
                         (tmp_path / "heads", "heads"), (tmp_path / "none", "none")):
        result = run(*report[:4], "--neurons", wrong, "--out", page)
        assert result.returncode in (2, 3, 7), result
        for part in says:
            assert part in result.stderr, result.stderr
        assert not page.exists()


def test_discover(place, stored, words):
    item = stored.paths.index(sorted(stored.paths)[3])
    arguments = ("neurons", "discover", place / "store", "--image",
                 place / "photos" / stored.paths[item], "--texts", POOL, "--count", 4)
    found = answer(*arguments, "--neurons", 1000, "--concepts", 5)
    active, scores = {}, {}
    for layer in LAYERS:
        effects = stored.effects(layer)[:, item]
        thresholds = stored.stat("top_norm", layer)[:, -1].astype(float)
        for n in np.flatnonzero(np.linalg.norm(effects, axis=1) > thresholds * (1 + 1e-5)):
            active[f"L{layer}.N{n}"] = effects[n] @ stored.stat("direction_top", layer)[n]
    assert found["neurons"] == 768 and found["active"] == len(found["strongest"])
    assert len(active) > 20
    assert 0 <= found["active"] - len(active) < 20  # the k-th picture lies on the threshold
    got = {s["neuron"]: s for s in found["strongest"]}
    assert set(active) <= set(got)
    of = {n["neuron"]: n for n in words["neurons"]}
    for name, one in got.items():
        assert one["norm"] > one["threshold"] == of[name]["threshold"]
        assert one["along"] == pytest.approx(active.get(name, one["along"]), abs=1e-6)
        assert as_pairs(one["texts"]) == as_pairs(of[name]["texts"])
        for text, weight in as_pairs(one["texts"]).items():
            scores[text] = scores.get(text, 0) + weight * one["along"]
    sizes = [abs(s["along"]) for s in found["strongest"]]
    assert sizes == sorted(sizes, reverse=True)
    for side, sign in (("concepts", 1), ("against", -1)):
        wanted = sorted((s * sign for s in scores.values()), reverse=True)[:5]
        assert [c["score"] * sign for c in found[side]] == pytest.approx(wanted)
        assert all(scores[c["index"]] == pytest.approx(c["score"]) for c in found[side])
    assert f"{found['active']} of 768 neurons" in good(*arguments)


def test_cue_and_its_score(place, stored, words, atoms):
    cue = answer("neurons", "cue", place / "store", "a picture of a duck", "a picture of a crab",
                 "--texts", POOL, "--words", 4, "--neurons", 30, "--count", 10, "--score",
                 place / "photos")
    rows = embedded(place, ["a picture of a duck", "a picture of a crab", *TEXTS])
    delta = rows[0] - rows[1]
    amount = np.concatenate([stored.stat("direction_top", layer) for layer in LAYERS]) @ delta
    scores = np.zeros(len(TEXTS))
    for i in np.argsort(-np.abs(amount), kind="stable")[:30]:
        for text, weight in as_pairs(words["neurons"][i]["texts"]).items():
            scores[text] += weight * amount[i]
    like = unit(rows[2:] - rows[2:].mean(0)) @ unit(rows[0] - rows[2:].mean(0)) >= 0.6
    left = [i for i in np.argsort(-scores) if scores[i] > 0 and not like[i]][:10]
    assert [w["index"] for w in cue["words"]] == left
    assert [w["score"] for w in cue["words"]] == pytest.approx(scores[left].tolist())
    assert cue["left_out"] == (like & (scores > scores[left[-1]])).sum()
    assert TEXTS.index("a picture of a duck") not in left
    margins = dict(zip(stored.paths, stored.embedding @ delta))
    scored = cue["scored"]
    assert scored["images"] == PICTURES == len(scored["scores"])
    for picture in scored["scores"]:
        assert picture["score"] == pytest.approx(margins[picture["path"]], abs=1e-6)
    assert scored["towards"] == sum(m > 0 for m in margins.values())
    share = scored["share"]
    assert share["value"] == scored["towards"] / PICTURES
    assert 0 <= share["low"] <= share["value"] <= share["high"] <= 1


# Accuracy.

@pytest.fixture(scope="module")
def classes(place):
    """Rows of the classes, and the number of each picture's class."""
    lines = [line.split("\t") for line in CLASSES.read_text().splitlines()]
    rows = embedded(place, [NAMES.strip().format(line[0]) for line in lines])
    return rows, [line[-1] for line in lines]


def measured(rows, stored, classes):
    scores = rows @ classes[0].T
    right = [classes[1].index(label) for label in stored.labels]
    return ((scores.argmax(1) == right).mean(), scores[np.arange(len(right)), right].mean())


def assert_row(row, rows, stored, classes, name=None):
    accuracy, score = measured(rows, stored, classes)
    assert name is None or row["name"] == name
    assert row["accuracy"]["value"] == pytest.approx(accuracy)
    assert row["score"]["value"] == pytest.approx(score, abs=1e-6)


def of_classes(place, verb, *more, store=None):
    return (*verb, store or place / "store", "--classes", CLASSES, "--templates",
            place / "templates.txt", *more)


def significant_part(stored, layer, effects):
    """Σ φ̃_n of those above their threshold [B, E]; the k-th picture itself is not above it."""
    norms = np.linalg.norm(effects, axis=2).astype("f4")
    return (effects * (norms > stored.stat("top_norm", layer)[:, -1:])[..., None]).sum(0)


def test_the_last_of_the_top_pictures_is_not_above_its_own_effect(place, stored, classes):
    report = answer(*of_classes(place, ("neurons", "ablate")))
    for layer, part in zip(LAYERS, report["layers"]):
        taken = significant_part(stored, layer, stored.effects(layer))
        assert part["significant"]["value"] == pytest.approx((TOP - 1) / PICTURES)
        assert_row(part["rows"][2], stored.embedding - taken, stored, classes, "significant")


def test_ablate(place, stored, classes, tmp_path):
    report = answer(*of_classes(place, ("neurons", "ablate")), "--csv", tmp_path / "a.csv", "--svg",
                    tmp_path / "a.svg", "--out", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == report
    assert (tmp_path / "a.svg").read_text().count("<svg") == 1
    heads = answer("ablate", place / "heads", "--classes", CLASSES, "--templates",
                   place / "templates.txt")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert report["images"] == PICTURES and report["top"] == TOP
    for layer, part in zip(LAYERS, report["layers"]):
        effects, e = stored.effects(layer), stored.embedding
        total, significant = effects.sum(0), significant_part(stored, layer, effects)
        r = stored.stat("direction_top", layer).astype(float)
        along = np.einsum("nbe,ne,nf->bf", effects, r, r)
        rows = part["rows"]
        assert part["layer"] == layer
        assert rows[0]["accuracy"] == heads["rows"][0]["accuracy"]
        assert rows[0]["score"] == pytest.approx(heads["rows"][0]["score"], abs=1e-6)
        assert_row(rows[0], e, stored, classes, "base")
        assert_row(rows[1], e - total, stored, classes, "neurons")
        assert_row(rows[4], e - total + along, stored, classes, "direction")
        assert [row["name"] for row in rows[2:4]] == ["significant", "insignificant"]
        for row, taken in ((rows[2], significant), (rows[3], total - significant)):
            accuracy, score = measured(e - taken, stored, classes)
            assert row["score"]["value"] == pytest.approx(score, abs=1e-3)
            assert abs(row["accuracy"]["value"] - accuracy) < 1.5 / PICTURES
        # What both parts lose adds up.
        scores = [row["score"]["value"] for row in rows]
        assert scores[2] + scores[3] == pytest.approx(scores[0] + scores[1], abs=1e-9)
        assert (TOP - 1.01) / PICTURES < part["significant"]["value"] < (TOP + 0.01) / PICTURES
        for row, line in zip(rows, (x for x in lines if x["layer"] == str(layer))):
            assert line["row"] == row["name"]
            for name in ("accuracy", "score"):
                assert float(line[name]) == pytest.approx(row[name]["value"], rel=1e-6)
                assert float(line[name + "_low"]) == pytest.approx(row[name]["low"], rel=1e-6)


def test_ablate_with_the_directions_of_other_pictures(place, tmp_path):
    (tmp_path / "few").mkdir()
    for picture in sorted((place / "photos").rglob("*.png"))[:8]:
        shutil.copy(picture, tmp_path / "few")
    good("neurons", "collect", "pictureworld", "--images", tmp_path / "few", "--out",
         tmp_path / "other", "--layers", "4", "--top", 3)
    own = answer(*of_classes(place, ("neurons", "ablate"), "--layers", "4"))
    other = answer(*of_classes(place, ("neurons", "ablate"), "--layers", "L4", "--directions",
                               tmp_path / "other"))
    assert (other["top"], other["means"]) == (3, str(tmp_path / "other")) and "means" not in own
    assert other["layers"][0]["rows"][0] == own["layers"][0]["rows"][0]
    assert other["layers"][0]["rows"][1]["score"] != own["layers"][0]["rows"][1]["score"]
    assert other["layers"][0]["significant"] != own["layers"][0]["significant"]


def test_figures_of_accuracy(place, tmp_path):
    """A figure for each layer, a series for each pool, and lines."""
    svg, counts = tmp_path / "r.svg", (1, 2, 8)
    verb = of_classes(place, ("neurons", "reconstruct"), "--texts", POOL, "--texts",
                      place / "lines.txt", "--counts", "1,2,8")
    (place / "lines.txt").write_text("a duck\na crab\nin the snow\nat sunset\n")
    report = answer(*verb, "--svg", svg)
    drawn = svg.read_text()
    assert drawn.count("<svg") == 1 and drawn.count("<g ") == len(LAYERS)
    assert drawn.count("<circle") == len(LAYERS) * 2 * len(counts)
    for text in ("phrases.txt", "lines.txt", "effects replaced", "the direction itself", "as it is",
                 "texts a neuron", *counts):
        assert drawn.count(f">{text}<") >= len(LAYERS), text
    for layer in LAYERS:
        assert f"neurons of layer {layer} keep" in drawn
    # Heights of points and lines are those of the figures, on one axis.
    values = [r["accuracy"]["value"] for part in report["layers"] for pool in part["pools"]
              for r in pool["rows"]]
    heights = [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', drawn)]
    values += [part[name]["accuracy"]["value"] for part in report["layers"]
               for name in ("nothing", "direction", "base")]
    lines = re.findall(r'd="M64\.0 ([\d.]+)h560\.0" [^>]*dasharray', drawn)
    heights += [float(y) for y in lines]
    axis = {(float(y) - 4, float(v)) for y, v in re.findall(
        r'<text x="56\.0" y="([\d.]+)" text-anchor="end"[^>]*>([\d.]+)<', drawn)}
    slope, offset = np.polyfit(*zip(*axis), 1)
    np.testing.assert_allclose(slope * np.array(heights) + offset, 100 * np.array(values), atol=0.2)
    good(*of_classes(place, ("neurons", "ablate"), "--svg", tmp_path / "a.svg"))
    assert ">as it is<" in (tmp_path / "a.svg").read_text()


def test_more_pools_than_a_figure_has_are_refused_at_once(place, tmp_path):
    pools = [w for _ in range(5) for w in ("--texts", POOL)]
    says_one_line(run(*of_classes(place, ("neurons", "reconstruct"), *pools, "--svg",
                                  tmp_path / "r.svg")), 2, "--svg", "4 pools", "--texts")
    assert not (tmp_path / "r.svg").exists()


@pytest.mark.parametrize("line", [
    "neurons ablate store --classes classes.txt --svg", "neurons words store --texts texts.txt --npz",
    "neurons reconstruct store --classes classes.txt --svg",
    "neurons weights pictureworld --texts texts.txt --png"])
def test_a_file_without_a_name(refusing, line):
    says_one_line(run(*line.split(), "", cwd=refusing), 2, line.split()[-1], "no file is named")


def test_reconstruct(place, stored, classes, atoms):
    verb = of_classes(place, ("neurons", "reconstruct"), "--layers", "4", "--texts", POOL,
                      "--counts", "1,4")
    report, raw = answer(*verb), answer(*verb, "--raw")
    rows = answer(*of_classes(place, ("neurons", "ablate"), "--layers", "4"))["layers"][0]["rows"]
    part = report["layers"][0]
    assert [part[name] for name in ("base", "nothing", "direction")] == [rows[0], rows[1], rows[4]]
    assert (report["unit"], raw["unit"]) == (True, False)
    assert part["pools"][0]["pool"] == {"name": "phrases.txt", "texts": len(TEXTS)}
    effects = stored.effects(4)
    without = stored.embedding - effects.sum(0)
    r = stored.stat("direction_top", 4).astype(float)
    for i, count in enumerate((1, 4)):
        paths = [pursuit(atoms["unit"], one, count) for one in r]
        sums = np.stack([weights @ atoms["unit"][chosen] for chosen, weights in paths])
        for result, s in ((report, unit(sums)), (raw, sums)):
            row = result["layers"][0]["pools"][0]["rows"][i]
            assert row["count"] == count
            assert_row(row, without + np.einsum("nbe,ne,nf->bf", effects, s, s), stored, classes)


# Without pictures, and one score.

def test_weights(place, stored, atoms, tmp_path):
    report = answer("neurons", "weights", "pictureworld", "--texts", POOL, "--layers", "3-4",
                    "--pairs", 6, "--count", 3, "--feeders", 2, "--png", tmp_path / "w.png",
                    "--csv", tmp_path / "w.csv")
    with Image.open(tmp_path / "w.png") as image:
        # Above the cells each head has its number.
        ink = (np.asarray(image.convert("L"))[96:106] < 200).any(0)
    runs = np.flatnonzero(np.diff(ink.astype(int)) == 1)
    assert len(runs) == len({h["head"] for p in report["layers"] for h in p["heads"]})
    lines = list(csv.DictReader(io.StringIO((tmp_path / "w.csv").read_text())))
    assert len(lines) == 2 * 6 * 3
    for layer, part in zip(LAYERS, report["layers"]):
        d = stored.directions(layer)
        norms = np.linalg.norm(d, axis=2)
        heads = ["L{}.H{}".format(*c) for c in stored.channels(layer)]
        order = np.argsort(-norms, axis=None)[:6]
        for pair, flat in zip(part["pairs"], order):
            n, j = divmod(int(flat), len(heads))
            assert (pair["neuron"], pair["head"]) == (f"L{layer}.N{n}", heads[j])
            assert pair["norm"] == pytest.approx(norms[n, j], rel=1e-5)
            assert_same_words(pair["texts"], atoms["unit"], d[n, j] / norms[n, j], 3)
        assert part["neurons"] == 384 and [h["head"] for h in part["heads"]] == heads
        for j, head in enumerate(part["heads"]):
            assert head["strength"] == pytest.approx(np.sqrt((norms[:, j] ** 2).mean()), rel=1e-5)
            assert head["neurons"] == [f"L{layer}.N{n}" for n in np.argsort(-norms[:, j])[:2]]


def test_weights_of_the_text_tower(place, atoms, tmp_path):
    good("neurons", "collect", "pictureworld", "--texts", POOL, "--out", tmp_path / "spoken",
         "--layers", "1")
    report = answer("neurons", "weights", "pictureworld", "--tower", "text", "--texts", POOL,
                    "--layers", "1", "--pairs", 6, "--count", 3, "--feeders", 2)
    assert report["tower"] == "text"
    basis = tensors(tmp_path / "spoken/basis.safetensors")
    values, writes = basis["values.L1.L2"].astype(float), basis["writes.L2"].astype(float)
    width = 32
    d = np.stack([values[:, h:h + width] @ writes[h:h + width]
                  for h in range(0, values.shape[1], width)], 1)
    norms = np.linalg.norm(d, axis=2)
    [part] = report["layers"]
    assert part["neurons"] == len(values) and len(part["heads"]) == d.shape[1]
    for pair, flat in zip(part["pairs"], np.argsort(-norms, axis=None)[:6]):
        n, h = divmod(int(flat), d.shape[1])
        assert (pair["neuron"], pair["head"]) == (f"L1.N{n}", f"L2.H{h}")
        assert pair["norm"] == pytest.approx(norms[n, h], rel=1e-5)
        assert_same_words(pair["texts"], atoms["unit"], d[n, h] / norms[n, h], 3)
    out = good("neurons", "weights", "pictureworld", "--tower", "text", "--texts", POOL, "--layers",
               "1", "--png", tmp_path / "w.png")
    assert out.startswith("neurons of layer 1 of the text tower")
    says_one_line(run("neurons", "weights", "pictureworld", "--tower", "text", "--texts", POOL,
                      "--layers", "2"), 2, "layer 2 is the last")


@pytest.mark.parametrize("layer", LAYERS)
def test_explain_through(place, stored, layer):
    item, text = 7, "a picture of a duck"
    report = answer("explain", "pictureworld", "--image", place / "photos" / stored.paths[item],
                    "--text", text, "--through", f"L{layer}", "--top", 384)
    through = report["through"]
    parts = ("neurons", "constants", "later_heads", "other_heads", "mlps", "input")
    assert abs(sum(through[p] for p in parts) - report["score"]) < 1e-6
    assert abs(through["sum"] - report["score"]) < 1e-6
    contributions = {c["component"]: c["score"] for c in report["components"]}
    heads = {name: s for name, s in contributions.items() if ".H" in name}
    later = sum(s for name, s in heads.items() if int(name[1]) > layer)
    got = through["neurons"] + through["constants"] + through["later_heads"]
    assert got == pytest.approx(later, abs=1e-6)
    assert through["other_heads"] == pytest.approx(sum(heads.values()) - later, abs=1e-6)
    assert through["input"] == pytest.approx(contributions["INPUT"], abs=1e-6)
    # The same from the store of the picture.
    t = embedded(place, [text])[0]
    pairs = stored.alpha(layer)[:, item] * (stored.directions(layer) @ t)
    assert through["neurons"] == pytest.approx(pairs.sum(), abs=1e-6)
    assert through["constants"] == pytest.approx(384 * stored.constants(layer)[item] @ t, abs=1e-6)
    np.testing.assert_allclose([h["score"] for h in through["by_head"]], pairs.sum(0), atol=1e-6)
    assert len(through["strongest"]) == 384
    for one in through["strongest"]:
        n = int(one["neuron"].split("N")[1])
        np.testing.assert_allclose([h["score"] for h in one["heads"]], pairs[n], atol=1e-6)
        assert abs(one["class_token"] + sum(one["patches"]) - one["score"]) < 1e-6
        assert abs(sum(h["score"] for h in one["heads"]) - one["score"]) < 1e-6
    sizes = [abs(one["score"]) for one in through["strongest"]]
    assert sizes == sorted(sizes, reverse=True)


def test_explain_through_against_another_class(place, stored):
    report = answer("explain", "pictureworld", "--image", place / "photos" / stored.paths[0],
                    "--classes", CLASSES, "--templates", place / "templates.txt", "--through", "0")
    through = report["through"]
    assert report["against"] and len(through["by_head"]) == 5 * 6
    assert abs(through["sum"] - report["score"]) < 1e-6


def spoken_scores(folder, texts, image):
    """Of each text ⟨φ, image⟩ by neuron and head [F, J] of layer 0 of the text tower, without
    constants, from a store of neurons."""
    (folder / "spoken.txt").write_text("".join(text + "\n" for text in texts))
    good("neurons", "collect", "pictureworld", "--texts", folder / "spoken.txt", "--layers", "0",
         "--out", folder / "spoken")
    basis, shard = (tensors(folder / "spoken" / f"{name}.safetensors")
                    for name in ("basis", "shard-00000"))
    against = []
    for later in (1, 2):
        values = basis[f"values.L0.L{later}"].astype(float)
        written = basis[f"writes.L{later}"].astype(float) @ image
        against += [values[:, h:h + 32] @ written[h:h + 32] for h in range(0, len(written), 32)]
    return [shard["alpha.L0"][:, i] * np.stack(against, 1) for i in range(len(texts))]


@pytest.mark.parametrize("against", [(), ("--against", "a picture of a crab")])
def test_explain_through_the_text_tower(place, stored, tmp_path, against):
    item, text = 7, "a picture of a duck"
    of = ("explain", "pictureworld", "--image", place / "photos" / stored.paths[item], "--text",
          text, *against, "--through", "text:L0", "--top", 256)
    report = answer(*of)
    through = report["through"]
    assert (through["tower"], through["layer"]) == ("text", 0)
    parts = ("neurons", "constants", "later_heads", "other_heads", "mlps", "input")
    assert abs(sum(through[p] for p in parts) - report["score"]) < 1e-6
    assert abs(through["sum"] - report["score"]) < 1e-6
    # The text's MLPs and INPUT are those that are shown beside its words.
    for kind, part in (("mlps", "mlps"), ("input", "input")):
        shown = sum(w["score"] for w in report["words"] if w["kind"] == kind)
        assert through[part] == pytest.approx(shown, abs=1e-6)
    pairs = spoken_scores(tmp_path, [text, "a picture of a crab"], stored.embedding[item])
    pairs = pairs[0] - pairs[1] if against else pairs[0]
    assert through["neurons"] == pytest.approx(pairs.sum(), abs=1e-6)
    np.testing.assert_allclose([h["score"] for h in through["by_head"]], pairs.sum(0), atol=1e-6)
    assert len(through["strongest"]) == len(pairs) == 256
    words = [(w["text"], w["against"]) for w in report["words"] if w["kind"] == "word"]
    for one in through["strongest"]:
        n = int(one["neuron"].split("N")[1])
        np.testing.assert_allclose([h["score"] for h in one["heads"]], pairs[n], atol=1e-6)
        assert [(w["text"], w["against"]) for w in one["by_word"]] == words
        assert sum(w["score"] for w in one["by_word"]) == pytest.approx(one["score"], abs=1e-6)
        assert "patches" not in one and "class_token" not in one
    sizes = [abs(one["score"]) for one in through["strongest"]]
    assert sizes == sorted(sizes, reverse=True)
    out = good(*of)
    assert "through the neurons of layer 0 of the text tower" in out
    best = max(through["strongest"][0]["by_word"], key=lambda w: abs(w["score"]))
    assert f"{best['score']:.5f} at {'− ' * best['against']}'{best['text']}'" in out


@pytest.mark.parametrize("through, more", [("L4", 5), ("L4", 300), ("text:L1", 5)])
def test_the_sheet_shows_the_strongest_neurons(place, stored, tmp_path, through, more):
    """Below what it shows without them."""
    of = ("explain", "pictureworld", "--image", place / "photos" / stored.paths[7], "--text",
          "a picture of a duck", "--top", more)
    good(*of, "--out", tmp_path / "plain.png")
    good(*of, "--through", through, "--out", tmp_path / "through.png")
    plain, sheet = (np.asarray(Image.open(tmp_path / f"{n}.png").convert("RGB")).astype(int)
                    for n in ("plain", "through"))
    assert (sheet[:len(plain)] == plain).all() and sheet.shape[1] == plain.shape[1]
    added = sheet[len(plain):]
    assert 200 < len(added) < 900
    coloured = np.abs(added[..., 0] - added[..., 2]) > 40
    assert coloured[:-60].sum() > 100  # above the legend


def test_the_table_names_the_strongest_patches(place, stored):
    of = ("explain", "pictureworld", "--image", place / "photos" / stored.paths[7], "--text",
          "a picture of a duck", "--through", "L4", "--top", 5)
    out = good(*of)
    for one in answer(*of)["through"]["strongest"]:
        tokens = np.array([one["class_token"], *one["patches"]])
        wanted = [f"{tokens[i]:.5f} at " + ("the class token" if i == 0 else
                                            f"{(i - 1) // 8 + 1}, {(i - 1) % 8 + 1}")
                  for i in np.argsort(-np.abs(tokens), kind="stable")[:3]]
        [line] = re.findall(f"^{one['neuron']} .*", out, re.MULTILINE)
        assert line.rstrip().endswith("; ".join(wanted)), line


# Stores survive.

def files_of(store):
    return {path.name: path.read_bytes() for path in sorted(store.iterdir())}


def test_parts_merge_to_the_bytes_of_one_run(place, tmp_path):
    parts = [tmp_path / f"part-{i}" for i in range(3)]
    for i, part in enumerate(parts):
        good(*collect(place, part, "--shard", f"{i}/3"))
        says_one_line(run("neurons", "words", part, "--texts", POOL), 5, str(part), "merge")
        good("verify", part)
    good("merge", parts[2], parts[0], parts[1], "--out", tmp_path / "whole")
    assert files_of(tmp_path / "whole") == files_of(place / "store")
    says_one_line(run("merge", parts[0], parts[1], "--out", tmp_path / "x"), 2, "part")
    assert not (tmp_path / "x").exists()


def test_stores_of_different_sets_merge(place, tmp_path):
    for name, half in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        for picture in sorted((place / "photos").rglob("*.png"))[half::2]:
            shutil.copy(picture, tmp_path / name)
        good(*collect(tmp_path, tmp_path / f"{name}.store", images=name))
    good("merge", tmp_path / "a.store", tmp_path / "b.store", "--out", tmp_path / "whole")
    good("verify", tmp_path / "whole", "--model", "pictureworld")
    mixed, one = Stored(tmp_path / "whole"), Stored(place / "store")
    order = np.argsort([Path(p).name for p in mixed.paths])
    other = np.argsort([Path(p).name for p in one.paths])
    assert np.array_equal(mixed.embedding[order], one.embedding[other])
    np.testing.assert_allclose(mixed.stat("variance", 4), one.stat("variance", 4), rtol=1e-5)
    agree = np.abs((mixed.stat("direction_top", 4) * one.stat("direction_top", 4)).sum(1))
    assert (agree > 1 - 1e-4).mean() > 0.99


def test_verify_finds_a_flipped_byte(place, tmp_path):
    good("verify", place / "store", "--model", "pictureworld")
    says_one_line(run("verify", place / "store", "--model", "pictureworld-2"), 2, "fingerprint")
    shutil.copytree(place / "store", tmp_path / "store")
    chance = np.random.default_rng(5)
    for path in sorted((tmp_path / "store").iterdir()):
        whole = path.read_bytes()
        at = int(chance.integers(len(whole)))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << int(chance.integers(8))]) +
                         whole[at + 1:])
        result = run("verify", tmp_path / "store")
        assert result.returncode == 4 and path.name in result.stderr, (path.name, result.stderr)
        if not path.name.startswith(("items", "shard")):
            words = run("neurons", "words", tmp_path / "store", "--texts", POOL)
            says_one_line(words, 4, path.name)
        elif path.name.startswith("shard"):
            ablate = run(*of_classes(place, ("neurons", "ablate"), store=tmp_path / "store"))
            says_one_line(ablate, 4, path.name)
        path.write_bytes(whole)
    good("verify", tmp_path / "store")


def test_a_missing_shard(place, tmp_path):
    shutil.copytree(place / "store", tmp_path / "store")
    shard = tmp_path / "store/shard-00002.safetensors"
    shard.unlink()
    says_one_line(run("verify", tmp_path / "store"), 3, shard.name)
    says_one_line(run(*of_classes(place, ("neurons", "ablate"), store=tmp_path / "store")), 3,
                  shard.name)


def test_a_run_that_is_killed_goes_on(place, tmp_path):
    out = tmp_path / "out"
    kills = 0
    for pause in (0, 0.02, 0.05, 0.1):
        command = [PROGRAM, *map(str, collect(place, out, "--resume", "--threads", 1))]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))
        while process.poll() is None and not (tmp_path / "out.partial/progress.json").exists():
            time.sleep(0.002)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        if out.exists():
            break
    assert kills > 0
    if not out.exists():
        says_one_line(run(*collect(place, out)), 5, "out.partial", "--resume")
        assert answer(*collect(place, out, "--resume"))["images"] == PICTURES
    assert files_of(out) == files_of(place / "store")
    assert answer(*collect(place, out, "--resume"))["complete_already"]
    says_one_line(run(*collect(place, out, "--resume", top=7)), 2, "'neurons.top' is 7 and 6")
    says_one_line(run(*collect(place, out)), 5, "exists already")


def test_a_run_with_statistics_only_that_is_killed_begins_anew(place, tmp_path):
    out = tmp_path / "out"
    command = [PROGRAM, *map(str, collect(place, out, "--stats-only", "--threads", 1))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))
    while process.poll() is None and not (tmp_path / "out.partial/progress.json").exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and not out.exists()
    says_one_line(run(*collect(place, out, "--stats-only")), 5, "out.partial", "begin anew",
                  "--resume", "remove it")
    says_one_line(run(*collect(place, out, "--resume")), 2, "out.partial", "'stats_only'")
    done = answer(*collect(place, out, "--stats-only", "--resume"))
    assert (done["images"], done["resumed_shards"]) == (PICTURES, 0)
    good(*collect(place, tmp_path / "once", "--stats-only"))
    assert files_of(out) == files_of(tmp_path / "once")
    assert answer(*collect(place, out, "--stats-only", "--resume"))["complete_already"]


def test_stores_of_texts_merge_as_texts(place, tmp_path):
    for name, lines in (("a", "a duck\na crab\n"), ("b", "in the snow\nat sunset\n")):
        (tmp_path / f"{name}.txt").write_text(lines)
        good("neurons", "collect", "pictureworld", "--texts", tmp_path / f"{name}.txt", "--out",
             tmp_path / name, "--layers", "1", "--top", 2)
    said = good("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "both")
    assert said == f"2 stores with 4 texts merged into {tmp_path / 'both'}\n"
    good("verify", tmp_path / "both")


def test_many_texts_a_neuron_say_that_weights_get_large(place):
    words = ("neurons", "words", place / "store", "--texts", POOL, "--neurons", "L4.N1", "--count")
    assert "cancel each other" not in good(*words, 95)
    for count in (96, 128, 4096):
        assert f"\n{count} texts are nearly as many as an embedding has numbers, 128" in good(
            *words, count)


@pytest.mark.parametrize("line, help_of", [
    ("neurons words --bogus", "neurons words"), ("neurons words x --count 0", "neurons words"),
    ("neurons bogus", "neurons"), ("neurons", "neurons"),
    ("evaluate segmentation --bogus", "evaluate segmentation"), ("embed --bogus", "embed")])
def test_what_cannot_be_parsed_names_the_help_of_its_verb(line, help_of):
    says_one_line(run(*line.split()), 2, f"; see: cliplens {help_of} --help\n")
    assert good(*help_of.split(), "--help")


def test_resume_checks_all_of_a_finished_store(place, tmp_path):
    shutil.copytree(place / "store", tmp_path / "store")
    shard = tmp_path / "store/shard-00001.safetensors"
    data = shard.read_bytes()
    shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    says_one_line(run(*collect(place, tmp_path / "store", "--resume")), 4, shard.name)


def test_pictures_that_cannot_be_read(place, tmp_path):
    shutil.copytree(place / "photos", tmp_path / "photos")
    bad = sorted((tmp_path / "photos").rglob("*.png"))[6]
    bad.write_bytes(b"no picture")
    says_one_line(run(*collect(tmp_path, tmp_path / "a")), 7, bad.name, "--resume")
    report = answer(*collect(tmp_path, tmp_path / "b", "--on-error", "skip"))
    assert report["images"] == PICTURES - 1 and bad.name in report["skipped"][0]["path"]
    assert bad.name not in "".join(Stored(tmp_path / "b").paths)
    good("verify", tmp_path / "b", "--model", "pictureworld")


# Stores whose checksums are right and whose numbers are not: docs/security.md trusts no store.

def setting(file, name, at, value):
    def change(of, tensor, array):
        if (of, tensor) == (file, name):
            array[at] = value
        return array
    return change


def narrower(file, name, array):
    """Embeddings of half the width."""
    if array.shape[-1] == 128 and not name.startswith(("values", "mean_alpha")):
        return np.ascontiguousarray(array[..., :64])
    return array


def fewer_neurons(file, name, array):
    return array[:100].copy() if array.shape[0] == 384 else array


def more_neurons(file, name, array):
    return np.concatenate([array] * 3) if array.shape[0] == 384 else array


def test_a_forged_copy_without_a_change_is_whole(place, tmp_path):
    good("verify", forged(place / "store", lambda file, name, array: array, tmp_path / "x"))


@pytest.mark.parametrize("file, name, at, value, status", [
    ("stats", "direction_top.L4", (0, 0), np.nan, 4), ("stats", "variance.L4", 0, 2.0, 4),
    ("stats", "mean_alpha.L3", (0, 0), np.inf, 4), ("stats", "top_pictures.L4", (0, 0), -1, 4),
    ("shard", "alpha.L4", (0, 0, 0), np.nan, 4), ("shard", "embedding", (0, 0), np.inf, 4),
    ("basis", "values.L4.L5", (0, 0), np.nan, 4)])
def test_verify_finds_forged_numbers(place, tmp_path, file, name, at, value, status):
    store = forged(place / "store", setting(file, name, at, value), tmp_path / "x")
    result = run("verify", store)
    assert result.returncode == status and file in result.stderr, (result.returncode, result.stderr)


@pytest.mark.parametrize("change, line", [
    (setting("stats", "top_pictures.L4", (0, 0), 10**9), "neurons show x L4.N0 --texts POOL"),
    (setting("stats", "top_pictures.L4", (0, 0), -1), "neurons show x L4.N0 --texts POOL"),
    (setting("stats", "variance.L4", 0, np.nan), "neurons words x --texts POOL --count 1"),
    (narrower, "neurons ablate store --directions x --classes CLASSES --templates simple"),
    (fewer_neurons, "neurons ablate store --directions x --classes CLASSES --templates simple"),
    (fewer_neurons, "evaluate segmentation pictureworld --images ROOT/world/sets/single"
                    " --classes CLASSES --templates simple --method neurons --neurons x"),
    (more_neurons, "evaluate segmentation pictureworld --images ROOT/world/sets/single"
                   " --classes CLASSES --templates simple --method neurons --neurons x")],
    ids=["picture beyond the store", "picture -1", "no variance", "narrower", "fewer neurons",
         "fewer neurons than the model", "more neurons than the model"])
def test_forged_stores_are_refused(place, tmp_path, change, line):
    forged(place / "store", change, tmp_path / "x")
    (tmp_path / "store").symlink_to(place / "store")
    for name, path in (("POOL", POOL), ("CLASSES", CLASSES), ("ROOT", ROOT)):
        line = line.replace(name, str(path))
    result = run(*line.split(), cwd=tmp_path)
    assert result.returncode in (2, 4), (result.returncode, result.stderr)
    says_one_line(result, result.returncode, "x")


# What is refused.

REFUSED = {
    "the last layer": (2, "collect pictureworld --images photos --out x --layers 5",
                       ("layer 5 is the last", "0 to 4")),
    "a layer out of range": (2, "collect pictureworld --images photos --out x --layers 3-9",
                             ("no layer 9", "0 to 5")),
    "no layer": (2, "collect pictureworld --images photos --out x --layers two",
                 ("'two'", "8-10", "last-3")),
    "more pictures than the set has": (2, "collect pictureworld --images photos --out x --top 25",
                                       ("photos", "25", "24", "--top")),
    "no pictures": (3, "collect pictureworld --images none --out x", ("none",)),
    "one picture": (5, "collect pictureworld --images one --out x", ("one", "two at least")),
    "no store": (3, "words none --texts texts.txt", ("none", "cliplens neurons collect")),
    "a store of heads": (7, "words heads --texts texts.txt", ("heads", "cliplens neurons collect")),
    "a store of heads for directions": (
        7, "ablate store --classes classes.txt --directions heads",
        ("heads", "cliplens neurons collect")),
    "another model's directions": (2, "ablate store --classes classes.txt --directions birds",
                                   ("store", "birds", "same model")),
    "a layer that directions lack": (2, "ablate store --classes classes.txt --directions four",
                                     ("four", "no layer 3", "4 to 4")),
    "a layer that the store lacks": (2, "words store --texts texts.txt --neurons L2",
                                     ("store", "no layer 2", "3 to 4")),
    "a neuron that is not there": (2, "words store --texts texts.txt --neurons L4.N384",
                                   ("L4.N384", "N0 to N383")),
    "a number that is none": (2, "show store L4.Nx --texts texts.txt", ("L4.Nx", "L9.N2914")),
    "a layer instead of a neuron": (2, "show store L4 --texts texts.txt", ("'L4'", "L9.N2914")),
    "no pool": (3, "words store --texts none.txt", ("none.txt",)),
    "counts that fall": (
        2, "reconstruct store --classes classes.txt --counts 4,2 --texts texts.txt",
        ("ascend", "1,4,16")),
    "no picture to discover in": (3, "discover store --image none.png --texts texts.txt",
                                  ("none.png",)),
    "a layer that discover lacks": (2, "discover store --image a.png --texts texts.txt --layers 1",
                                    ("store", "no layer 1")),
    "a cue by neurons of texts": (7, "cue spoken duck crab --texts texts.txt",
                                  ("spoken", "text tower's neurons", "store of pictures")),
    "no pictures to score": (3, "cue store duck crab --texts texts.txt --score none", ("none",)),
    "weights of the last layer": (2, "weights pictureworld --layers last-1,5 --texts texts.txt",
                                  ("last-1,5",)),
}


@pytest.fixture(scope="module")
def refusing(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    for name in ("store", "heads", "photos"):
        (folder / name).symlink_to(place / name)
    (folder / "texts.txt").write_text("a duck\na crab\n")
    (folder / "classes.txt").write_text("a duck\tduck\na crab\tcrab\n")
    (folder / "one").mkdir()
    some = sorted((place / "photos").rglob("*.png"))
    shutil.copy(some[0], folder / "one")
    shutil.copy(some[0], folder / "a.png")
    for model, out, layers in (("pictureworld-birds", "birds", "3-4"),
                               ("pictureworld", "four", "4")):
        good("neurons", "collect", model, "--images", place / "photos", "--out", folder / out,
             "--layers", layers)
    good("neurons", "collect", "pictureworld", "--texts", folder / "texts.txt", "--out",
         folder / "spoken", "--layers", "1")
    labels = {p.parent.name for p in some}
    (folder / "classes.txt").write_text("".join(f"{label}\n" for label in sorted(labels)))
    return folder


@pytest.mark.parametrize("case", REFUSED)
def test_refused(refusing, case):
    status, line, words = REFUSED[case]
    says_one_line(run("neurons", *line.split(), cwd=refusing), status, *words)
    assert not (refusing / "x").exists() and not (refusing / "x.partial").exists()


@pytest.mark.parametrize("line, status", [
    ("span store --texts texts.txt", 7), ("ablate store --classes classes.txt", 7),
    ("label store --properties texts.txt", 7), ("search store --item 0", 7),
    ("export store --out x", 7), ("report store --texts texts.txt --out x", 7),
    ("match store store", 7), ("merge store heads --out x", 7), ("merge heads store --out x", 7),
    ("describe pictureworld --store store --texts texts.txt", 7)])
def test_verbs_of_other_stores_refuse_one_of_neurons(refusing, line, status):
    result = run(*line.split(), cwd=refusing)
    says_one_line(result, status, "store", "neurons")
    assert not (refusing / "x").exists()


SEGMENT_REFUSED = {
    "no store": (2, "--method neurons", ("--neurons",)),
    "no layers": (2, "--method neuron-effects", ("--layers", "--neurons")),
    "a store of heads": (7, "--method neurons --neurons heads",
                         ("heads", "cliplens neurons collect")),
    "another model's store": (2, "--method neurons --neurons birds", ("birds", "pictureworld")),
    "another model's layers": (2, "--method neuron-effects --neurons birds",
                               ("birds", "pictureworld")),
    "texts' neurons": (2, "--method neurons --neurons spoken", ("spoken", "of pictures")),
    "a layer that the store lacks": (2, "--method neurons --neurons store --layers 1",
                                     ("store", "no layer 1")),
    "the last layer": (2, "--method neuron-effects --layers 5", ("layer 5 is the last",)),
    "neurons without use": (2, "--neurons store", ("--method decomposition", "--neurons")),
    "layers without use": (2, "--method rollout --layers 3", ("--method rollout", "--layers")),
    "heads without use": (2, "--method neurons --neurons store --heads last-1",
                          ("--method neurons", "--heads")),
}


@pytest.mark.parametrize("verb", ["segment pictureworld --image a.png --text duck --out x.png",
                                  "evaluate segmentation pictureworld --images photos --classes "
                                  "classes.txt --templates simple"])
@pytest.mark.parametrize("case", SEGMENT_REFUSED)
def test_maps_that_cannot_be_made(refusing, case, verb):
    status, more, words = SEGMENT_REFUSED[case]
    says_one_line(run(*verb.split(), *more.split(), cwd=refusing), status, *words)
    assert not (refusing / "x.png").exists()


@pytest.mark.parametrize("layer", LAYERS)
def test_the_mask_by_neurons_effects_is_what_all_neurons_bring(place, stored, layer, tmp_path):
    of = ("pictureworld", "--image", place / "photos" / stored.paths[2], "--text",
          "a picture of a crab")
    said = answer("segment", *of, "--method", "neuron-effects", "--layers", layer, "--npy",
                  tmp_path / "map.npy", "--out", tmp_path / "mask.png")
    through = answer("explain", *of, "--through", f"L{layer}", "--top", 384)["through"]
    patches = np.sum([n["patches"] for n in through["strongest"]], 0).reshape(8, 8)
    expected = np.maximum(metrics.enlarged(patches, 80), 0)
    np.testing.assert_allclose(np.load(tmp_path / "map.npy"), expected / expected.max(), atol=1e-5)
    with Image.open(tmp_path / "mask.png") as mask:
        assert (np.asarray(mask) == 255).sum() == said["object_pixels"] > 0


@pytest.mark.parametrize("layer, words", [("L5", ("layer 5 is the last",)),
                                          ("17", ("no layer 17",)),
                                          ("text:L2", ("layer 2 is the last",)),
                                          ("text:5", ("no layer 5",)),
                                          ("text:0-1", ("0-1: one layer", "as L0")),
                                          ("words:1", ("'words:1'",)),
                                          ("3-4", ("3-4: one layer", "as L3"))])
def test_explain_through_no_layer(refusing, layer, words):
    says_one_line(run("explain", "pictureworld", "--image", "a.png", "--text", "duck", "--through",
                      layer, cwd=refusing), 2, *words)


def test_a_class_of_several_templates_has_no_pass(refusing):
    (refusing / "two.txt").write_text("a {}\nthe {}\n")
    classes = ("explain", "pictureworld", "--image", "a.png", "--classes", "classes.txt")
    says_one_line(run(*classes, "--templates", "two.txt", "--through", "text:L0", cwd=refusing), 2,
                  "--through text:L0", "mean of texts", "--text")
    says_one_line(run(*classes, "--templates", "simple", "--against", "mean", "--through",
                      "text:L0", cwd=refusing), 2, "--through text:L0", "mean")
    assert run(*classes, "--templates", "simple", "--through", "text:L0",
               cwd=refusing).returncode == 0


@pytest.mark.parametrize("line", [
    "explain image --image a.png --text duck --through text:L0", "neurons weights image --tower text",
    "explain image --image a.png --text duck --through text:L0 --text-rows rows.npy"])
def test_a_model_without_a_text_tower_has_no_neurons_of_it(refusing, tmp_path, line):
    without_text_tower(tmp_path / "image")
    (tmp_path / "rows.txt").write_text("duck\n")
    good("embed", "pictureworld", "--texts", tmp_path / "rows.txt", "--out", tmp_path / "rows.npy")
    for name in ("image", "rows.npy"):
        line = f"{line} ".replace(f" {name} ", f" {tmp_path}/{name} ")
    says_one_line(run(*line.split(), cwd=refusing), 7, "roberta-base", "not evaluated")


def test_a_head_instead_of_a_neuron(refusing):
    says_one_line(run("neurons", "words", "store", "--texts", "texts.txt", "--neurons", "L4.H3",
                      cwd=refusing), 2, "L4.H3", "L9.N2914")


def test_no_share_is_shown_as_nothing(place):
    out = good("neurons", "words", place / "store", "--texts", POOL, "--count", 1, "--most", 768)
    assert " 0.00 %" not in out
