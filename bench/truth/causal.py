"""What the model loses when the heads of a label are replaced by their mean."""

from __future__ import annotations

import numpy as np

from bench.truth.stores import FACTORS, singles

RANDOM_DRAWS = 20


def drops(bench, model, seed, labels):
    """{label: {"heads", "drop": {factor: accuracy lost}, "random": {factor: mean loss of as many
    random heads}}} on pictures with one kind of object; labels of the heads, layer by layer."""
    contributions, embedding, facts = bench.arrays(model, f"pictures-{seed}")
    single = singles(facts)
    facts = [fact for fact, keep in zip(facts, single) if keep]
    heads = contributions - contributions.mean(0)
    heads = heads.reshape(len(heads), -1, heads.shape[-1])[single]
    embedding = embedding[single]
    truth, classifiers = {}, {}
    for factor in FACTORS:
        names, classifiers[factor] = bench.classes(model, factor)
        truth[factor] = np.array([names.index(str(fact[factor])) for fact in facts])

    def accuracy(chosen):
        edited = embedding - heads[:, chosen].sum(1)
        return {f: float(((edited @ classifiers[f].T).argmax(1) == truth[f]).mean())
                for f in FACTORS}
    before = accuracy([])
    random = np.random.default_rng(seed)
    found = {}
    for label in FACTORS:
        chosen = [i for i, name in enumerate(labels) if name == label]
        if not chosen:
            continue
        after = accuracy(chosen)
        others = [accuracy(random.permutation(heads.shape[1])[:len(chosen)])
                  for _ in range(RANDOM_DRAWS)]
        found[label] = {"heads": len(chosen), "before": before,
                        "drop": {f: before[f] - after[f] for f in FACTORS},
                        "random": {f: before[f] - float(np.mean([o[f] for o in others]))
                                   for f in FACTORS}}
    return found
