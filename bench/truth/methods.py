"""Other ways to label heads, held beside the model's own answers."""

from __future__ import annotations

import numpy as np

from bench.truth.stores import PHRASES, pool

TEXTS = 5  # of TextSpan, or of a direction of a head's weights and sign, that vote
DIRECTIONS = 1000  # all of them


def text_span(contributions, texts, count):
    """TextSpan of one head in fp64: [(text, share of the head's variance)].

    contributions [B, E]; texts [M, E]. Texts are projected onto the span of the contributions up to
    their numerical rank.
    """
    x = contributions
    _, values, directions = np.linalg.svd(x, full_matrices=False)
    directions = directions[values > 1e-6 * values[0]]  # squared: 1e-12 of the second moment
    x = (x - x.mean(0)) @ directions.T
    return _pick(x, texts @ directions.T, count)


def reference_text_span(contributions, texts, count):
    """The paper's procedure as its code runs it: float32, rank 80 whatever the numerical rank
    ("Interpreting CLIP's Image Representation via Text-Based Decomposition", arXiv 2310.05916)."""
    x = contributions.astype(np.float32)
    directions = np.linalg.svd(x, full_matrices=False)[2][:80]
    return _pick(x - x.mean(0), texts.astype(np.float32) @ directions.T @ directions, count)


def _pick(x, texts, count):
    x, texts = x.copy(), texts.copy()
    total = (x ** 2).sum()
    picked = []
    for _ in range(count):
        along = ((x @ texts.T) ** 2).sum(0)
        j = int(along.argmax())
        t = texts[j] / np.linalg.norm(texts[j])
        picked.append((j, float(((x @ t) ** 2).sum() / total)))
        x -= np.outer(x @ t, t)
        texts -= np.outer(texts @ t, t)
    return picked


def _factor(name):
    """The category of an object counts as the object."""
    return "object" if name == "category" else name


def _votes(picked, properties):
    """Labels by the first text, by the vote of five, and by the vote weighted by share; ties go to
    the property that comes first in the list."""
    names = [_factor(properties[j]) for j, _ in picked]
    by_number = {n: names.count(n) for n in names}
    by_share = {n: sum(s for m, (_, s) in zip(names, picked) if m == n) for n in names}
    return {"first text": names[0], "vote of five": max(by_number, key=by_number.get),
            "vote weighted by share": max(by_share, key=by_share.get)}


# How TextSpan is run: with the texts as they are, without their mean, as the paper's code does.
TEXTS_OF = {"plain": "plain texts", "centred": "centred texts", "rank 80": "rank 80"}


def text_labels(bench, model, seed):
    """{(method, how): labels of the heads, layer by layer} for each way in TEXTS_OF."""
    lines, properties = pool(PHRASES)
    contributions = bench.arrays(model, f"pictures-{seed}")[0]
    embedded = bench.texts(model, lines, "phrases")
    spans = bench.run("span", bench.store(model, f"pictures-{seed}"), "--texts", PHRASES, "--count",
                      TEXTS)["heads"]
    labels = {}
    for number, span in enumerate(spans):
        layer, head = divmod(number, contributions.shape[2])
        x = contributions[:, layer, head]
        runs = {"plain": [(t["index"], t["share"]) for t in span["texts"]],
                "centred": text_span(x, embedded - embedded.mean(0), TEXTS),
                "rank 80": reference_text_span(x, embedded, TEXTS)}
        own = [j for j, _ in text_span(x, embedded, TEXTS)]
        if own != [j for j, _ in runs["plain"]]:
            raise SystemExit(f"{model} {span['head']}: cliplens span and numpy pick other texts")
        for texts, picked in runs.items():
            for method, label in _votes(picked, properties).items():
                labels.setdefault((method, TEXTS_OF[texts]), []).append(label)
    return labels


def weight_labels(bench, model):
    """The same by `cliplens weights`, without a picture: what a head writes, by the texts of both
    signs of its first direction, and of all directions weighted by the squares of their values.
    Each text has its weight as its vote."""
    labels = {}
    for head in bench.run("weights", model, "--texts", PHRASES, "--count", TEXTS, "--directions",
                          DIRECTIONS)["heads"]:
        first, every = {}, {}
        for direction in head["directions"]:
            texts = [t for sign in direction["writes"].values() for t in sign["texts"]]
            total = sum(t["weight"] for t in texts)
            for text in texts:
                factor, vote = _factor(text["property"]), text["weight"] / total
                if direction is head["directions"][0]:
                    first[factor] = first.get(factor, 0) + vote
                every[factor] = every.get(factor, 0) + vote * direction["share"]
        for method, votes in (("vote of the first direction", first),
                              ("vote of all directions by σ²", every)):
            labels.setdefault((method, "weights alone"), []).append(
                max(votes, key=votes.get) if votes else None)
    return labels
