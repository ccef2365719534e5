"""How far figures of few pictures are from those of many: docs/pictures.md.

    python -m bench.pictures --program build/release/bin/cliplens           measures
    python -m bench.pictures --program build/release/bin/cliplens --update  and writes docs/pictures.md

Random parts of the picture world's test set (1,180 pictures; birds: 200) are decomposed and asked as
a user would; what the program says of n pictures is compared with what all of them give. All that it
makes lies in build/pictures. About three minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import tarfile

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: more threads wait

import numpy as np  # noqa: E402

from bench.truth import figures
from bench.truth.report import table
from bench.truth.stores import PHRASES, PROPERTIES, ROOT, TEXTS, Bench

PAGE = ROOT / "docs" / "pictures.md"
FIGURES = ROOT / "docs" / "pictures"
MARKS = ("<!-- {}: python -m bench.pictures --update -->\n", "<!-- end of {} -->\n")
MODELS = ("pictureworld", "pictureworld-2")
NUMBERS = (8, 16, 27, 50, 100, 200, 400, 800)
BIRDS = (25, 50, 100, 150)
TEXTS_OF_SPAN = 5
NEURON_LAYER = 4  # of pictureworld, with one layer after it
NEIGHBOURS = 5
SMALL = 100  # figures that are cheap on fewer pictures have more draws


def draws(n):
    return 6 if n <= SMALL else 4 if n <= 2 * SMALL else 2


def members(folder):
    """[(name, files)] of the pictures of a set of tar files."""
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.split(".")[0]
                found.setdefault(name, []).append((member.name, archive.extractfile(member).read()))
    return list(found.items())


def write_set(path, pictures):
    path.mkdir(parents=True)
    with tarfile.open(path / "pictures.tar", "w") as archive:
        for _, files in pictures:
            for name, data in files:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def random_model(source, target, seed):
    """The model's files with weights as a training begins: matrices of deviation 0.02."""
    shutil.copytree(source, target)
    path = next(target.glob("*.safetensors"))
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    tensors = json.loads(data[8:8 + length])
    values = bytearray(data[8 + length:])
    random = np.random.default_rng(seed)
    for name, tensor in tensors.items():
        if name in ("__metadata__", "logit_scale"):
            continue
        begin, end = tensor["data_offsets"]
        shape = tensor["shape"]
        drawn = 0.02 * random.standard_normal(shape) if len(shape) > 1 else np.full(
            shape, float(name.endswith("weight")))
        dtype = {"F32": "<f4", "F16": "<f2"}[tensor["dtype"]]
        values[begin:end] = drawn.astype(dtype).tobytes()
    path.write_bytes(data[:8 + length] + bytes(values))


# All pictures, once for each model.

class Whole:
    def __init__(self, bench, model):
        attn, _, self.facts = bench.arrays(model, "all")
        self.items = [json.loads(line)["path"].split("/")[-1].split(".")[0] for line in
                      (bench.folder / f"{model}-all-arrays" / "items.jsonl").read_text().splitlines()]
        self.rows = attn.reshape(len(attn), -1, attn.shape[-1])  # [B, heads, E]
        phrases = [line.split("\t")[0] for line in PHRASES.read_text().splitlines()]
        texts = bench.texts(model, phrases, "phrases")
        answer = bench.run("span", bench.store(model, "all"), "--texts", PHRASES, "--count",
                           TEXTS_OF_SPAN)
        self.variance = [max(0, head["variance_share"]) for head in answer["heads"]]
        self.chosen = [{text["index"] for text in head["texts"]} for head in answer["heads"]]
        # In coordinates of each head's span: contributions [B, r] and texts [M, r].
        self.heads = []
        for h in range(self.rows.shape[1]):
            sizes, span = np.linalg.eigh(self.rows[:, h].T @ self.rows[:, h])
            span = span[:, sizes > 1e-11 * sizes[-1]].T
            self.heads.append((self.rows[:, h] @ span.T, texts @ span.T))

    def explained(self, h, index):
        """The share of the head's variance that these texts' directions explain, in turn."""
        rows, texts = self.heads[h]
        directions, _ = np.linalg.qr(texts[index].T)
        rows = rows - rows.mean(0)
        return ((rows @ directions)**2).sum() / (rows**2).sum()


def spans(bench, model, name, whole):
    """What the sum of shares said, the held-out one, the share of all pictures, and texts in common
    with those of all; means over the heads."""
    answer = bench.run("span", bench.store(model, name), "--texts", PHRASES, "--count",
                       TEXTS_OF_SPAN)
    found = []
    for h, head in enumerate(answer["heads"]):
        index = [text["index"] for text in head["texts"]]
        last = head["texts"][-1]
        found.append((last["cumulative"], last.get("held_out", np.nan), whole.explained(h, index),
                      len(set(index) & whole.chosen[h]) / TEXTS_OF_SPAN))
    return np.average(found, axis=0, weights=whole.variance)


# Matched heads.

def plain_cka(a, b, chosen):
    """Of all heads of two models, on the chosen pictures."""
    sides = []
    for whole in (a, b):
        heads = [rows[chosen] - rows[chosen].mean(0) for rows, _ in whole.heads]
        sides.append([rows / np.sqrt(np.linalg.norm(rows.T @ rows)) for rows in heads])
    ends = [np.cumsum([0] + [rows.shape[1] for rows in side])[:-1] for side in sides]
    product = (np.hstack(sides[0]).T @ np.hstack(sides[1]))**2
    return np.add.reduceat(np.add.reduceat(product, ends[0], 0), ends[1], 1)


def one_to_one(similarity):
    left, values = similarity.copy(), []
    for _ in range(min(left.shape)):
        i, j = np.unravel_index(left.argmax(), left.shape)
        values.append(left[i, j])
        left[i], left[:, j] = -2, -2
    return np.array(values)


def matches(bench, models, name, chosen, whole, match):
    answer = bench.run("match", *(bench.store(model, name) for model in models),
                       "--most-images", 100_000)
    values = np.array([m["similarity"]["value"] for m in answer["matches"]])
    found = {"best": values[0], "median": float(np.median(values)), "chance": answer["chance"],
             "above": answer["above_chance"]}
    truth = np.array(match["similarity"])
    place_a = {head: i for i, head in enumerate(answer["heads_a"])}
    place_b = {head: i for i, head in enumerate(answer["heads_b"])}
    bounds = [(m["similarity"], truth[place_a[m["a"]], place_b[m["b"]]]) for m in answer["matches"]]
    found["held"] = np.mean([s["low"] <= t <= s["high"] for s, t in bounds])
    partners = {m["a"]: m["b"] for m in match["matches"][:10]}
    found["same"] = np.mean([m["b"] == partners[m["a"]] for m in answer["matches"]
                             if m["a"] in partners])
    found["plain"] = float(np.median(one_to_one(plain_cka(*whole, chosen))))
    return found


def colour_shares(bench, pictures):
    """How much of the heads' variance the pictures' mean colour explains: {model: least, median and
    largest of the heads}."""
    from PIL import Image
    write_set(bench.folder / "all", pictures)
    colours = np.array([np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)
                        .reshape(-1, 3).mean(0) / 255
                        for _, files in pictures for name, data in files if name.endswith(".png") and name.count(".") == 1])
    colours = np.c_[colours, np.ones(len(colours))]
    found = {}
    for seed in (1, 2):
        random_model(ROOT / "models" / "pictureworld", bench.folder / f"random-{seed}", seed)
    for model in (*MODELS, "random-1", "random-2"):
        place = bench.folder / model if model.startswith("random") else model
        bench.run("decompose", place, "--images", bench.folder / "all", "--out",
                  bench.folder / f"{model}-all")
        rows = bench.arrays(model, "all")[0]
        rows = rows.reshape(len(rows), -1)
        rows -= rows.mean(0)
        rest = rows - colours @ np.linalg.lstsq(colours, rows, rcond=None)[0]
        heads = [(part**2).reshape(len(part), 36, -1).sum((0, 2)) for part in (rest, rows)]
        found[model] = np.percentile(1 - heads[0] / heads[1], (0, 50, 100))
    return found


# Accuracy, neighbours, edits.

def accuracy(bench, model, name):
    answer = bench.run("ablate", bench.store(model, name), "--classes", TEXTS / "objects.txt",
                       "--templates", TEXTS / "objects.templates.txt")
    losses = {c["component"]: c["accuracy_lost"] for c in answer["components"]}
    return answer["rows"][0]["accuracy"], answer["cumulative"][5], losses


def neighbours(rows, count):
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = rows @ rows.T
    np.fill_diagonal(scores, -2)  # a picture is no neighbour of itself
    return [set(row) for row in np.argsort(-scores, axis=1)[:, :count]], scores


def searches(rows, chosen, values):
    """Of the pictures `chosen`: neighbours in common with those about the mean of all, how far the
    scores are off, and how often a neighbour has the value."""
    some = rows[chosen]
    own, scores = neighbours(some - some.mean(0), NEIGHBOURS)
    ideal, truth = neighbours(some - rows.mean(0), NEIGHBOURS)
    same = np.mean([len(a & b) / NEIGHBOURS for a, b in zip(own, ideal)])
    off = np.abs(scores - truth)[~np.eye(len(some), dtype=bool)].mean()
    values = values[chosen]
    agree = np.mean([np.mean([values[j] == values[i] for j in near])
                     for i, near in enumerate(own)])
    return same, off, agree


def suggested(bench, name):
    answer = bench.run("edit", "suggest", bench.store("pictureworld-birds", name), "--classes",
                       TEXTS / "birds.txt", "--templates", TEXTS / "birds.templates.txt",
                       "--cue-file", bench.folder / "places.txt")
    return answer["lean"], [head["head"] for head in answer["heads"] if head["chosen"]]


# Neurons.

def safetensors(path):
    """{name: array} of numbers in fp32 and fp64."""
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    kinds = {"F32": "<f4", "F64": "<f8"}
    return {name: np.frombuffer(data, kinds[e["dtype"]], int(np.prod(e["shape"])),
                                begin + e["data_offsets"][0]).reshape(e["shape"]).astype(float)
            for name, e in json.loads(data[8:begin]).items() if e.get("dtype") in kinds}


def neuron_words(bench, name):
    """The store of neurons of some pictures, and what `words` says of it."""
    path = bench.folder / f"neurons-{name}"
    made = bench.run("neurons", "collect", MODELS[0], "--images", bench.folder / name, "--layers",
                     NEURON_LAYER, "--out", path)
    said = bench.run("neurons", "words", path, "--texts", PHRASES, "--count", TEXTS_OF_SPAN)
    return path, made["top"], said["neurons"]


class WholeNeurons:
    def __init__(self, bench):
        path, _, said = neuron_words(bench, "all")
        heads = json.loads((path / "manifest.json").read_text())["model"]["config"]["vision"]["heads"]
        basis = safetensors(path / "basis.safetensors")
        shards = [safetensors(shard) for shard in sorted(path.glob("shard-*.safetensors"))]
        layer = f"L{NEURON_LAYER}"
        values, writes = basis[f"values.{layer}.L{NEURON_LAYER + 1}"], basis[f"writes.L{NEURON_LAYER + 1}"]
        alpha = np.concatenate([shard[f"alpha.{layer}"] for shard in shards], 1)  # [F, B, J]
        alpha -= alpha.mean(1, keepdims=True)
        shared = np.concatenate([shard[f"shared.{layer}"] for shard in shards])
        constants = (shared - shared.mean(0)) @ basis[f"shared.{layer}"]  # [B, E]
        directions = np.stack([v @ w for v, w in zip(np.split(values, heads, 1),
                                                     np.split(writes, heads, 0))], 1)  # [F, J, E]
        self.effects = alpha @ directions + constants  # [F, B, E]
        self.variance = (self.effects**2).sum(2).mean(1)
        self.top = safetensors(path / "stats.safetensors")[f"direction_top.{layer}"]
        self.texts = [{text["index"] for text in neuron["texts"]} for neuron in said]

    def compare(self, found):
        """Of what a part of the pictures says: how many pictures a direction is made of, its cosine
        with that of all, the share of the effects on all pictures along it, texts in common; means
        over the neurons, weighted by their variance."""
        path, top, said = found
        directions = safetensors(path / "stats.safetensors")[f"direction_top.L{NEURON_LAYER}"]
        cosine = np.abs((directions * self.top).sum(1))
        along = ((self.effects @ directions[:, :, None])[..., 0]**2).mean(1) / self.variance
        common = [len(texts & {text["index"] for text in neuron["texts"]})
                  for texts, neuron in zip(self.texts, said)]
        return top, *(np.average(v, weights=self.variance) for v in (cosine, along, common))


def measure_neurons(bench, sets):
    whole = WholeNeurons(bench)
    found = {}
    for name, chosen in sets.items():
        if name != "all":
            found.setdefault(len(chosen), []).append(whole.compare(neuron_words(bench, name)))
    all_of_them = bench.folder / "neurons-all"
    top = json.loads((all_of_them / "manifest.json").read_text())["neurons"]["top"]
    said = [{"texts": [{"index": i} for i in texts]} for texts in whole.texts]
    found[len(sets["all"])] = [whole.compare((all_of_them, top, said))]
    return found


def random_sets(pictures, random):
    """Numbers of pictures by name of a set."""
    sets = {"all": np.arange(len(pictures))}
    for n in NUMBERS:
        for draw in range(draws(n)):
            sets[f"{n}-{draw}"] = np.sort(random.permutation(len(pictures))[:n])
    return sets


def measure(bench):
    random = np.random.default_rng(1)
    pictures = members(ROOT / "world" / "sets" / "test")
    birds = members(ROOT / "world" / "sets" / "birds")
    (bench.folder / "places.txt").write_text(
        "on the sea\twater\non a lake\twater\nunder water\twater\n"
        "on the grass\tland\nin the forest\tland\nin the desert\tland\n")
    for seed in (1, 2):
        random_model(ROOT / "models" / "pictureworld", bench.folder / f"random-{seed}", seed)
    sets = random_sets(pictures, random)
    for name, chosen in sets.items():
        write_set(bench.folder / name, [pictures[i] for i in chosen])
    bird_sets = {"birds-all": np.arange(len(birds))}
    for n in BIRDS:
        for draw in range(6):
            bird_sets[f"birds-{n}-{draw}"] = np.sort(random.permutation(len(birds))[:n])
    for name, chosen in bird_sets.items():
        write_set(bench.folder / name, [birds[i] for i in chosen])

    results = {"span": {}, "match": {}, "random": {}, "ablate": {}, "search": {}, "edit": {},
               "neurons": measure_neurons(bench, sets)}
    whole = {model: Whole(bench, model) for model in MODELS}
    for one in whole.values():
        if one.items != [name for name, _ in pictures]:
            raise SystemExit("the store has the pictures in another order")
    match = bench.run("match", *(bench.store(model, "all") for model in MODELS), "--most-images",
                      100_000)
    labels = bench.folder / "labels.json"
    model = MODELS[0]
    answer = bench.run("label", bench.store(model, "all"), "--properties", PROPERTIES, "--out",
                       labels)
    lines = [line.split("\t") for line in PROPERTIES.read_text().splitlines()]
    texts = bench.texts(model, [text for text, _ in lines], "properties")
    heads = [head["head"] for head in answer["heads"]]
    for property_ in answer["properties"]:
        if property_["property"] != "background":
            continue
        along = texts[[name == "background" for _, name in lines]]
        _, sizes, along = np.linalg.svd(along - along.mean(0), full_matrices=False)
        along = along[sizes > 1e-3 * sizes[0]]
        places = sum(np.sqrt(h["share"]) * whole[model].rows[:, heads.index(h["head"])] @ along.T
                     for h in property_["heads"])
    backgrounds = np.unique([str(fact["background"]) for fact in whole[model].facts],
                            return_inverse=True)[1]
    results["search"][len(pictures)] = [searches(places, sets["all"], backgrounds)]
    base = accuracy(bench, model, "all")
    results["whole"] = {"accuracy": base[0], "cumulative": base[1]}

    for name, chosen in sets.items():
        n = len(chosen)
        for m in MODELS:
            results["span"].setdefault((m, n), []).append(spans(bench, m, name, whole[m]))
        results["match"].setdefault(n, []).append(
            matches(bench, MODELS, name, chosen, [whole[m] for m in MODELS], match))
        if name in ("8-0", "27-0", "100-0", "400-0", "all"):
            of_random = []
            for seed in (1, 2):
                of_random.append(bench.folder / f"random-{seed}-{name}")
                bench.run("decompose", bench.folder / f"random-{seed}", "--images",
                          bench.folder / name, "--out", of_random[-1])
            answer = bench.run("match", *of_random, "--most-images", 100_000)
            results["random"][n] = (answer["matches"][0]["similarity"]["value"],
                                    float(np.median([m["similarity"]["value"]
                                                     for m in answer["matches"]])),
                                    answer["chance"], float(np.median(answer["directions_a"])))
        if name != "all":
            said = accuracy(bench, model, name)
            results["ablate"].setdefault(n, []).append(
                (said[0], said[1], [(said[2][c], base[2][c]) for c in base[2]]))
            results["search"].setdefault(n, []).append(searches(places, chosen, backgrounds))
    results["suggested"] = suggested(bench, "birds-all")
    for name, chosen in bird_sets.items():
        if name != "birds-all":
            results["edit"].setdefault(len(chosen), []).append(suggested(bench, name))
    results["edit"][len(birds)] = [results["suggested"]]
    return results


# The page.

def mean(values):
    return f"{np.mean(list(values)):.2f}"


def percent(values):
    return f"{100 * np.mean(list(values)):.0f} %"


def held(bounds, truth):
    return percent(b["low"] <= t <= b["high"] for b, t in zip(bounds, truth))


def neuron_table(results):
    rows = []
    for n, some in sorted(results.items()):
        top, cosine, along, common = np.mean(some, 0)
        rows.append([n, f"{top:.0f}", f"{cosine:.2f}", f"{100 * along:.0f} %",
                     f"{common:.1f} of {TEXTS_OF_SPAN}"])
    return table(["pictures", "of largest effect, a direction is made of", "its cosine with all's",
                  "effects on all 1,180 along it", "texts in common with all's"], rows)


def sections(results):
    """{heading: (table, figure)}"""
    found = {}
    numbers = sorted(results["match"])
    last = numbers[-1]

    rows, lines = [], []
    for model in MODELS:
        means = {n: np.mean(results["span"][model, n], 0) for n in numbers}
        for n in numbers:
            said, out, true, common = means[n]
            rows.append([f"`{model}`", n, *("" if np.isnan(v) else f"{100 * v:.0f} %"
                                            for v in (said, out, true)),
                         f"{common * TEXTS_OF_SPAN:.1f} of {TEXTS_OF_SPAN}"])
        for name, at, colour in (("said", 0, "effect"), ("held out", 1, "object"),
                                 ("of all pictures", 2, "background")):
            lines.append((model, name, colour, [(n, means[n][at]) for n in numbers
                                                if np.isfinite(means[n][at])]))
    found["span"] = (table(["model", "pictures", "sum of five texts", "held out",
                            "what they explain of all 1,180", "texts in common with all's"], rows),
                     figures.curves(lines, "pictures", "share of the heads' variance"))

    found["neurons"] = (neuron_table(results["neurons"]), None)

    rows, lines = [], []
    for n in numbers:
        some = results["match"][n]
        rows.append([n, *(mean(s[key] for s in some) for key in
                          ("plain", "median", "chance")),
                     f"{np.mean([s['above'] for s in some]):.0f} of 36",
                     "" if n == last else percent(s["held"] for s in some),
                     f"{10 * np.mean([s['same'] for s in some]):.0f} of 10",
                     *([f"{v:.2f}" for v in results["random"][n][:3]] if n in results["random"]
                       else ["", "", ""])])
    for name, key, colour in (("plain CKA, median match", "plain", "effect"),
                              ("debiased, median match", "median", "object"),
                              ("chance", "chance", None)):
        lines.append(("pictureworld and pictureworld-2", name, colour,
                      [(n, np.mean([s[key] for s in results["match"][n]])) for n in numbers]))
    lines += [("models of random weights", name, colour,
               [(n, value[at]) for n, value in sorted(results["random"].items())])
              for name, at, colour in (("debiased, median match", 1, "object"), ("chance", 2, None))]
    found["match"] = (table(["pictures", "median match, plain CKA", "debiased", "chance",
                             "matches above chance", "bounds that hold the figure of all",
                             "of the ten best matches of all, the same",
                             "random weights: best match", "median match", "chance"], rows),
                      figures.curves(lines, "pictures", "similarity"))

    rows = []
    for n in numbers[:-1]:
        some = results["ablate"][n]
        widths = [100 * (s[0]["high"] - s[0]["low"]) / 2 for s in some]
        pairs = [pair for s in some for pair in s[2]]
        rows.append([n, f"± {np.mean(widths):.1f}",
                     held([s[0] for s in some], [results["whole"]["accuracy"]["value"]] * len(some)),
                     held([s[1] for s in some],
                          [results["whole"]["cumulative"]["value"]] * len(some)),
                     held([a for a, _ in pairs], [b["value"] for _, b in pairs]),
                     percent(a["low"] == a["high"] for a, _ in pairs)])
    found["ablate"] = (table(["pictures", "bounds of the accuracy, points",
                              "they hold the accuracy of all", "... with five layers replaced",
                              "... the loss of a component", "components whose bounds have no width"],
                             rows), None)

    rows = []
    for n in sorted(results["search"]):
        same, off, agree = np.mean(results["search"][n], 0)
        rows.append([n, f"{NEIGHBOURS * same:.1f} of {NEIGHBOURS}", f"{off:.3f}", f"{agree:.2f}"])
    found["search"] = (table(["pictures", "neighbours as by the mean of all", "scores differ by",
                              "neighbours with the same background"], rows), None)

    rows = []
    for n in sorted(results["edit"]):
        some = results["edit"][n]
        right = [len(set(heads) & set(results["suggested"][1])) for _, heads in some]
        rows.append([n, len(some), f"± {np.mean([100 * (e['high'] - e['low']) / 2 for e, _ in some]):.0f}",
                     percent(e["low"] > 0 for e, _ in some),
                     f"{np.mean([len(heads) for _, heads in some]):.1f}", f"{np.mean(right):.1f}",
                     percent(not heads for _, heads in some)])
    found["edit suggest"] = (table(["pictures", "draws", "bounds of the cue's share, points",
                                    "sure that logits follow the cue", "heads suggested",
                                    "of them suggested on all 200", "no head suggested"], rows), None)
    return found


def update(found):
    text = PAGE.read_text()
    FIGURES.mkdir(exist_ok=True)
    for name, (rows, figure) in found.items():
        begin, end = (mark.format(name) for mark in MARKS)
        before, rest = text.split(begin)
        text = before + begin + "\n" + rows + "\n"
        if figure is not None:
            file = f"{name.replace(' ', '-')}.svg"
            (FIGURES / file).write_text(figure)
            text += f"![{name}: figures by the number of pictures](pictures/{file})\n\n"
        text += end + rest.split(end)[1]
    PAGE.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/cliplens")
    parser.add_argument("--update", action="store_true", help="write the tables of docs/pictures.md")
    parser.add_argument("--colour", action="store_true",
                        help="only how much of the heads' variance is the pictures' mean colour")
    args = parser.parse_args()
    folder = ROOT / "build" / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if args.colour:
        pictures = members(ROOT / "world" / "sets" / "test")
        for model, shares in colour_shares(Bench(args.program, folder, workers=2), pictures).items():
            print(model, "mean colour explains", " to ".join(f"{share:.2f}" for share in shares[::2]),
                  f"of a head's variance, median {shares[1]:.2f}")
        return
    found = sections(measure(Bench(args.program, folder, workers=2)))
    for name, (rows, _) in found.items():
        print(f"{name}\n\n{rows}")
    if args.update:
        update(found)


if __name__ == "__main__":
    main()
