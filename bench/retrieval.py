"""Whether neighbours under the heads of a property share the property's value: `search` on the
picture world, where every value is known.

    python -m bench.retrieval --program build/release/bin/cliplens           measures
    python -m bench.retrieval --program build/release/bin/cliplens --update  and writes docs/search.md

Fresh pictures of three seeds; of every picture the ten most alike, under the heads of which `label`
says that a factor explains more than chance does, by their shares and along what the factor's texts
differ in, and without either, under those that it names the factor for, under all heads, all MLPs, the
whole embedding, and as many random heads.
Scores are computed from exported contributions by the definitions of docs/search.md (the tests hold
`search` to the same); one query of each case is asked of the program too. Factors without a clear
head are left out. All that it makes lies in build/retrieval.
"""

from __future__ import annotations

import argparse
import shutil

import numpy as np

from bench.truth.report import spread, table
from bench.truth.stores import FACTORS, PROPERTIES, ROOT, Bench, singles

PAGE = ROOT / "docs" / "search.md"
BEGIN, END = "<!-- figures: python -m bench.retrieval --update -->\n", "<!-- end of figures -->\n"
MODELS = ("pictureworld", "pictureworld-2")
SEEDS = (31, 32, 33)
PICTURES = 1500
NEIGHBOURS = 10
DRAWS = 5  # of random heads


def vectors(parts, measure):
    rows = np.concatenate(parts, 1)
    if measure == "raw":
        return rows
    rows = rows - rows.mean(0)
    return rows if measure == "dot" else rows / np.linalg.norm(rows, axis=1, keepdims=True)


def neighbours(rows):
    """[B, NEIGHBOURS], in any order."""
    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    return np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]


def agreement(rows, values):
    return float((values[neighbours(rows)] == values[:, None]).mean())


def span(texts):
    """Orthonormal rows of what texts differ in."""
    _, sizes, rows = np.linalg.svd(texts - texts.mean(0), full_matrices=False)
    return rows[sizes > 1e-3 * sizes[0]]


def parsed(name):
    """L5.H3 -> (5, 3)"""
    return tuple(int(part[1:]) for part in name.split("."))


def case(bench, model, seed):
    """[{factor, heads, clear, share of agreeing neighbours by each way}] on one set of pictures."""
    pictures = f"pictures-{seed}"
    attn, embedding, facts = bench.arrays(model, pictures)
    file = bench.folder / f"{model}-{seed}.labels.json"
    labels = bench.run("label", bench.store(model, pictures), "--properties", PROPERTIES, "--out",
                       file)
    named, shares = {}, {}
    for head in labels["heads"]:
        for property_ in (head["label"], head["second"]):
            named.setdefault(property_, []).append(parsed(head["head"]))
    for property_ in labels["properties"]:
        shares[property_["property"]] = {parsed(h["head"]): h["share"] for h in property_["heads"]}
    lines = [line.split("\t") for line in PROPERTIES.read_text().splitlines()]
    texts = bench.texts(model, [text for text, _ in lines], "properties")
    of_property = [name for _, name in lines]
    truth = bench.evaluate(model, pictures)["truth"]
    random = np.random.default_rng(seed)
    every = [(layer, head) for layer in range(attn.shape[1]) for head in range(attn.shape[2])]
    single = singles(facts)
    found = []
    for factor in FACTORS:
        clear = sum(head["clear"] and head["first"] == factor for head in truth)
        if not clear or not shares[factor]:
            continue
        keep = single if factor in ("object", "count", "size", "position") else single | True
        values = np.unique([str(fact[factor]) for fact in facts], return_inverse=True)[1][keep]

        def parts(heads):
            return [attn[keep][:, layer, head] for layer, head in heads]
        heads = shares[factor]
        along = span(texts[[p == factor for p in of_property]])
        weighted = [np.sqrt(share) * part for share, part in zip(heads.values(), parts(heads))]
        projected = [part @ along.T for part in weighted]
        every_head = attn[keep].sum((1, 2))
        counts = np.bincount(values) / len(values)
        found.append({
            "factor": factor, "clear": clear, "heads": len(heads),
            "chance": float((counts**2).sum()),
            **{measure: agreement(vectors([sum(projected)], measure), values)
               for measure in ("cosine", "dot", "raw")},
            "one by one": agreement(vectors(projected, "cosine"), values),
            "no directions": agreement(vectors([sum(weighted)], "cosine"), values),
            "no shares": agreement(vectors([sum(parts(heads)) @ along.T], "cosine"), values),
            "neither": agreement(vectors([sum(parts(heads))], "cosine"), values),
            "named": (agreement(vectors([sum(parts(named[factor]))], "cosine"), values)
                      if factor in named else np.nan),
            "embedding": agreement(vectors([embedding[keep]], "cosine"), values),
            "all heads": agreement(vectors([every_head], "cosine"), values),
            # What is left of the sum is written by the MLPs and INPUT.
            "MLPs": agreement(vectors([embedding[keep] - every_head], "cosine"), values),
            "embedding along": agreement(vectors([embedding[keep] @ along.T], "cosine"), values),
            "random": float(np.mean([agreement(vectors([sum(parts(
                [every[i] for i in random.permutation(len(every))[:len(heads)]]))], "cosine"),
                values) for _ in range(DRAWS)]))})
        answer = bench.run("search", bench.store(model, pictures), "--item", 0, "--property",
                           factor, "--labels", file, "-k", NEIGHBOURS)
        rows = vectors([sum(np.sqrt(share) * attn[:, layer, head] @ along.T
                            for (layer, head), share in heads.items())], "cosine")
        if {r["item"] for r in answer["results"]} != set(neighbours(rows)[0]):
            raise SystemExit(f"search finds others than its definition: {model} {factor}")
    return found


def page(results):
    rows = []
    for model in MODELS:
        of_model = [r for m, _, found in results for r in found if m == model]
        for factor in FACTORS:
            some = [r for r in of_model if r["factor"] == factor]
            if not some:
                continue
            rows.append([f"`{model}`", factor, spread((r["heads"] for r in some), 0),
                         *(spread(r[way] for r in some) for way in (
                             "cosine", "dot", "raw", "one by one", "no directions", "no shares",
                             "neither", "named", "embedding", "all heads", "MLPs", "random",
                             "embedding along")),
                         f"{np.mean([r['chance'] for r in some]):.2f}"])
    return table(["model", "factor", "heads", "**search: cosine**", "search: dot", "search: raw",
                  "search: sum of scores", "without directions", "without shares", "with neither",
                  "named heads", "whole embedding", "all heads", "MLPs and INPUT", "random heads",
                  "embedding along directions", "chance"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/cliplens")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw pictures")
    parser.add_argument("--update", action="store_true", help="write the table of docs/search.md")
    args = parser.parse_args()
    folder = ROOT / "build" / "retrieval"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bench = Bench(args.program, folder, args.workers)
    bench.draw({f"pictures-{seed}": (seed, PICTURES) for seed in SEEDS})
    results = [(model, seed, case(bench, model, seed)) for model in MODELS for seed in SEEDS]
    text = page(results)
    print(text)
    if args.update:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
