"""Guesses for heads by many models, numbers of pictures and property tables, with the truth.

A case is a head, a model, a set of pictures and a table: {"model", "images", "table", "properties",
"present": the table has the head's property, "right", "clear", "variance", "figures"}. The truth is
measured on 10,000 pictures.
"""

from __future__ import annotations

import json
import random

from bench.truth.stores import FACTORS, PROPERTIES, ROOT

TRUTH = ("truth", 51, 10000)  # name, seed, pictures
SETS = {8: 8, 12: 8, 25: 6, 50: 4, 100: 4, 200: 3, 500: 2, 1500: 2}  # pictures: sets of them
# Properties of photographs that no factor of the picture world has to do with.
FOREIGN = ("action", "body part", "emotion", "event", "lighting", "material", "occupation",
           "pattern", "person", "season", "shape", "text", "texture")
WORDS = (4, 9, 20, 45, 110)  # properties of that many common words


def sets(part=1):
    """{name: (seed, pictures)}; of every size one in `part`."""
    found = {TRUTH[0]: TRUTH[1:]}
    for pictures, number in SETS.items():
        for i in range(-(-number // part)):
            found[f"n{pictures}-{i}"] = (6000 + 10 * pictures + i, pictures)
    return found


def lines_of(path):
    return [line.split("\t")[:2] for line in path.read_text().splitlines() if line.strip()]


def all_lines():
    """Texts and properties: of the picture world, and of what it does not have."""
    draw = random.Random(4)
    own = lines_of(PROPERTIES)
    other = [line for line in lines_of(ROOT / "texts" / "properties.txt") if line[1] in FOREIGN]
    words = [line.split("\t")[0]
             for line in (ROOT / "texts" / "common_words.txt").read_text().splitlines()]
    for number in WORDS:
        other += [[f"a picture of {word}", f"{number} words"] for word in draw.sample(words, number)]
    return own, other


def names_of(lines):
    return list(dict.fromkeys(name for _, name in lines))


def tables(seed):
    """{kind: names}: the full table, one property less, some of its properties, 17 more, some of
    both."""
    own, other = map(names_of, all_lines())
    draw = random.Random(seed)
    some = lambda names, low, high: draw.sample(names, draw.randint(low, min(high, len(names))))
    left_out = draw.choice(own)
    return {"full": own, "one less": [n for n in own if n != left_out],
            "some": some(own, 2, len(own) - 1), "some again": some(own, 2, len(own) - 1),
            "more": own + draw.sample(other, 17),
            "mixed": some(own, 1, len(own)) + some(other, 1, 17)}


def write_table(bench, names):
    own, other = all_lines()
    path = bench.folder / "table.txt"
    path.write_text("".join(f"{text}\t{name}\n" for text, name in own + other if name in names))
    return path


def truth_of(bench, model):
    found = bench.run("evaluate", "labels", bench.store(model, TRUTH[0]), "--properties", PROPERTIES,
                      "--truth", ",".join(FACTORS), "--only", "object2=")
    return {head["head"]: head for head in found["truth"]}


def cases(bench, model, seed, part=1):
    """All cases of a model, on sets(part)."""
    path = bench.folder / f"cases-{model}.jsonl"
    if path.exists():
        return [json.loads(line) for line in path.read_text().splitlines()]
    truth = truth_of(bench, model)
    found = []
    for name, (set_seed, pictures) in sets(part).items():
        for kind, names in tables(seed * 100000 + set_seed).items():
            heads = bench.run("label", bench.store(model, name), "--properties",
                              write_table(bench, names))["heads"]
            for head in heads:
                true = truth[head["head"]]
                if head["guess"] is None or true["first"] is None:
                    continue
                # The object by its category, where the table lacks objects: neither right nor wrong.
                if (true["first"], head["guess"]) == ("object", "category") and "object" not in names:
                    continue
                found.append({"model": model, "images": pictures, "set": name, "table": kind,
                              "head": head["head"], "properties": len(names),
                              "present": true["first"] in names,
                              "right": head["guess"] == true["first"], "clear": true["clear"],
                              "variance": true["variance"], "confidence": head["confidence"],
                              "figures": head["figures"]})
    path.write_text("".join(json.dumps(case) + "\n" for case in found))
    return found
