"""What single neurons do, held against what is known of the pictures.

    python -m bench.truth.neurons --program build/release/bin/cliplens           measures
    python -m bench.truth.neurons --program build/release/bin/cliplens --update  and writes the table

Draws the pictures of `bench.truth`, collects the neurons of all layers, and asks of each neuron
which known factor its second-order effects carry, whether its words name that factor, and what the
model loses when the effects of the neurons of one factor are replaced by their means. All that it
makes lies in build/truth; what is there is used again. --update writes the section "Neurons" of
docs/truth.md and docs/truth/neurons.json.
"""

from __future__ import annotations

import argparse
import json
import struct

import numpy as np

from bench.truth.report import FOLDER, PAGE, table
from bench.truth.stores import FACTORS, PHRASES, ROOT, Bench, pool, singles

MODELS = ("pictureworld", "pictureworld-2")
SEEDS = (21, 22)
PICTURES = 1500
WORDS = 5           # that vote
PAIRS = 100_000     # all
RANDOM_DRAWS = 20
BEGIN, END = "<!-- neurons -->", "<!-- /neurons -->"


def tensors(path):
    """The fp32 and fp64 tensors of a safetensors file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    kinds = {"F32": np.float32, "F64": np.float64, "I64": np.int64}
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            found[name] = np.frombuffer(data[8 + size + begin:8 + size + end],
                                        kinds[entry["dtype"]]).reshape(entry["shape"])
    return found


class Neurons:
    """A store of neurons: effects less their mean, neuron by neuron."""

    def __init__(self, bench, model, pictures):
        path = bench.folder / f"{model}-{pictures}-neurons"
        if not path.exists():
            bench.run("neurons", "collect", bench.model(model), "--images", bench.folder / pictures,
                      "--layers", "all", "--out", path)
        self.path = path
        manifest = json.loads((path / "manifest.json").read_text())
        self.heads = manifest["model"]["config"]["vision"]["heads"]
        first, end = (manifest["neurons"][key] for key in ("first_layer", "end_layer"))
        self.layers = range(first, end)
        self.basis = tensors(path / "basis.safetensors")
        shards = [tensors(f) for f in sorted(path.glob("shard-*.safetensors"))]
        self.shards = {name: np.concatenate([s[name] for s in shards],
                                            axis=1 if name.startswith("alpha") else 0)
                       for name in shards[0]}
        self.facts = [json.loads(line)["attributes"] for f in sorted(path.glob("items-*.jsonl"))
                      for line in f.read_text().splitlines()]
        self.embedding = self.shards["embedding"].astype(np.float64)
        self.kappa = {}
        for layer in self.layers:
            shared = self.shards[f"shared.L{layer}"].astype(np.float64)
            self.kappa[layer] = (shared - shared.mean(0)) @ self.basis[f"shared.L{layer}"]
        self.names = [(layer, n) for layer in self.layers
                      for n in range(self.shards[f"alpha.L{layer}"].shape[0])]

    def directions(self, layer, neuron):
        """D [J, E]."""
        rows, later = [], layer + 1
        while f"values.L{layer}.L{later}" in self.basis:
            value = self.basis[f"values.L{layer}.L{later}"][neuron].astype(np.float64)
            write = self.basis[f"writes.L{later}"].astype(np.float64)
            rows.append(np.einsum("hk,hke->he", value.reshape(self.heads, -1),
                                  write.reshape(self.heads, -1, write.shape[1])))
            later += 1
        return np.concatenate(rows)

    def effects(self, layer, neuron):
        """[B, E] less the mean."""
        alpha = self.shards[f"alpha.L{layer}"][neuron].astype(np.float64)
        return (alpha - alpha.mean(0)) @ self.directions(layer, neuron) + self.kappa[layer]


def shares(x, groups):
    """The share of the variance of x [B, E] between groups, corrected for their number, for each
    list of group numbers."""
    x = x - x.mean(0)
    total = (x ** 2).sum()
    found = []
    for group in groups:
        count = np.bincount(group)
        used = count > 0
        sums = np.zeros((len(count), x.shape[1]))
        np.add.at(sums, group, x)
        between = (sums[used] ** 2 / count[used, None]).sum()
        left = (total - between) / (len(x) - used.sum())
        found.append(1 - left / (total / (len(x) - 1)) if total > 0 else 0.0)
    return np.array(found)


def clear(found):
    """As docs/truth.md says of heads: the first share is twice the second and a fifth at least."""
    order = np.sort(found)[::-1]
    return bool(order[0] >= 2 * max(order[1], 0) and order[0] >= 0.2)


def vote(texts, properties):
    """The factor with the largest sum of |weight|; None without texts."""
    votes = {}
    for text in texts[:WORDS]:
        name = properties[text["index"]]
        factor = "object" if name == "category" else name
        votes[factor] = votes.get(factor, 0) + abs(text["weight"])
    return max(votes, key=votes.get) if votes else None


def named(bench, model, neurons):
    """{way: factor that the words of each neuron name}."""
    properties = pool(PHRASES)[1]
    found = {}
    for way, kind in (("words, pictures of largest effect", "top"), ("words, all pictures", "all")):
        answer = bench.run("neurons", "words", neurons.path, "--texts", PHRASES, "--count", WORDS,
                           "--directions", kind)
        found[way] = [vote(n["texts"], properties) for n in answer["neurons"]]
    pairs = bench.run("neurons", "weights", bench.model(model), "--texts", PHRASES, "--layers", "all",
                      "--count", WORDS, "--pairs", PAIRS)
    strongest = {}
    for layer in pairs["layers"]:
        for pair in layer["pairs"]:  # the strongest first
            strongest.setdefault(pair["neuron"], vote(pair["texts"], properties))
    found["words of the strongest pair, weights alone"] = [
        strongest.get(f"L{layer}.N{n}") for layer, n in neurons.names]
    return found


def accuracy_of(bench, model, facts):
    """A function from embeddings to {factor: share of right answers}, and the answers as groups."""
    classifiers, truth = {}, {}
    for factor in FACTORS:
        names, classifiers[factor] = bench.classes(model, factor)
        truth[factor] = np.array([names.index(str(fact[factor])) for fact in facts])

    def accuracy(embedding):
        return {f: float(((embedding @ classifiers[f].T).argmax(1) == truth[f]).mean())
                for f in FACTORS}
    return accuracy, truth, classifiers


def measure(bench, model, seed):
    neurons = Neurons(bench, model, f"pictures-{seed}")
    single = singles(neurons.facts)
    facts = [fact for fact, keep in zip(neurons.facts, single) if keep]
    embedding = neurons.embedding[single]
    accuracy, truth, classifiers = accuracy_of(bench, model, facts)
    known = [truth[f] for f in FACTORS]
    own = [(neurons.embedding @ classifiers[f].T).argmax(1) for f in FACTORS]
    true, answered, variance, effects = [], [], [], {}
    for name in neurons.names:
        x = neurons.effects(*name)
        true.append(shares(x[single], known))
        answered.append(shares(x, own))
        variance.append((x ** 2).sum(1).mean())
    true, answered, variance = np.array(true), np.array(answered), np.array(variance)
    first = true.argmax(1)
    is_clear = np.array([clear(row) for row in true])
    ways = named(bench, model, neurons)
    ways["share by the model's own answers"] = [FACTORS[i] for i in answered.argmax(1)]
    right = {way: np.array([label == FACTORS[f] for label, f in zip(labels, first)])
             for way, labels in ways.items()}
    total = ((neurons.embedding - neurons.embedding.mean(0)) ** 2).sum(1).mean()
    before = accuracy(embedding)
    random = np.random.default_rng(seed)
    causal = {}
    for number, factor in enumerate(FACTORS):
        chosen = np.flatnonzero((first == number) & is_clear)
        if not len(chosen):
            continue

        def lost(picked):
            removed = sum(neurons.effects(*neurons.names[i])[single] for i in picked)
            after = accuracy(embedding - removed)
            return {f: before[f] - after[f] for f in FACTORS}
        draws = [lost(random.permutation(len(neurons.names))[:len(chosen)])
                 for _ in range(RANDOM_DRAWS)]
        causal[factor] = {"neurons": len(chosen), "before": before[factor], "lost": lost(chosen),
                          "random": float(np.mean([d[factor] for d in draws]))}
    heads = bench.evaluate(model, f"pictures-{seed}")["truth"]
    return {
        "model": model, "seed": seed, "pictures": int(single.sum()), "neurons": len(first),
        "variance": float(variance.sum() / total), "largest": float(variance.max() / total),
        "clear": float(is_clear.mean()),
        "clear_variance": float(variance[is_clear].sum() / variance.sum()),
        "first_share": float(np.average(true.max(1), weights=variance)),
        "heads_clear": float(np.mean([h["clear"] for h in heads])),
        "heads_clear_variance": float(sum(h["variance"] for h in heads if h["clear"])
                                      / sum(h["variance"] for h in heads)),
        "by_factor": {f: int((is_clear & (first == i)).sum()) for i, f in enumerate(FACTORS)},
        "right": {way: {"neurons": float(r.mean()),
                        "variance": float(np.average(r, weights=variance)),
                        "clear": float(r[is_clear].mean()) if is_clear.any() else None}
                  for way, r in right.items()},
        "causal": causal}


def section(results):
    rows = [[r["model"], r["seed"], r["neurons"], f"{100 * r['variance']:.1f} %",
             f"{100 * r['largest']:.2f} %", f"{100 * r['clear']:.0f} %",
             f"{100 * r['clear_variance']:.0f} %", f"{100 * r['heads_clear']:.0f} %",
             f"{100 * r['heads_clear_variance']:.0f} %",
             ", ".join(f"{n} {f}" for f, n in r["by_factor"].items() if n)] for r in results]
    text = table(["model", "seed", "neurons", "their variances, of the embeddings'", "the largest",
                  "clear neurons", "by variance", "clear heads", "by variance",
                  "clear neurons by first factor"], rows)
    ways = list(results[0]["right"])
    rows = [[way] + [f"{np.mean([r['right'][way][key] for r in results]):.2f} "
                     f"({min(r['right'][way][key] for r in results):.2f})"
                     for key in ("neurons", "variance", "clear")] for way in ways]
    text += "\nHow often a way to name a neuron names its first factor: the mean, and the least of " \
            "a model and seed.\n\n"
    text += table(["way", "of neurons", "by variance", "of clear neurons"], rows)
    rows = []
    for model in dict.fromkeys(r["model"] for r in results):
        for factor in FACTORS:
            found = [r["causal"][factor] for r in results
                     if r["model"] == model and factor in r["causal"]]
            if not found:
                continue
            lost = {f: np.mean([x["lost"][f] for x in found]) for f in FACTORS}
            other = max((f for f in FACTORS if f != factor), key=lost.get)
            rows.append([model, factor, f"{np.mean([x['neurons'] for x in found]):.0f}",
                         f"{np.mean([x['before'] for x in found]):.3f}", f"{lost[factor]:+.3f}",
                         f"{other} {lost[other]:+.3f}",
                         f"{np.mean([x['random'] for x in found]):+.3f}"])
    text += "\nWhat is lost when the effects of all clear neurons of a factor, of all layers, are " \
            "replaced by their means:\n\n"
    return text + table(["model", "clear neurons of", "neurons", "accuracy on it", "lost on it",
                         "most lost on another", "lost on it with as many random neurons"], rows)


def update(results):
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n" + section(results) + "\n" + END + after)
    (FOLDER / "neurons.json").write_text(json.dumps(results, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/cliplens")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw pictures")
    parser.add_argument("--update", action="store_true", help="write docs/truth.md and neurons.json")
    args = parser.parse_args()
    folder = ROOT / "build" / "truth"
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(args.program, folder, args.workers)
    bench.draw({f"pictures-{seed}": (seed, PICTURES) for seed in SEEDS})
    results = [measure(bench, model, seed) for model in MODELS for seed in SEEDS]
    print(section(results))
    if args.update:
        update(results)


if __name__ == "__main__":
    main()
