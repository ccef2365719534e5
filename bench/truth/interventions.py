"""How far a head's contribution moves when one factor of a picture changes and all else stays.

The share of a head's variance that lies between a factor's values is its first-order effect. Half
the mean squared move under a new draw of the factor, as a share of the variance, is its total
effect: what it brings alone and together with other factors (Jansen's estimator; "Variance based
sensitivity analysis of model output", Saltelli and others, 2010). For independent factors it is at
least the first-order effect, and the difference is interaction.
"""

from __future__ import annotations

import numpy as np

from bench.truth.stores import FACTORS, singles

DRAWS = 1000


def total_effects(bench, model, seed, pictures):
    """{factor: (value, low, high)} [L, H]: the total effects, with 95 % bounds of the bootstrap."""
    base, _, facts = bench.arrays(model, f"pictures-{seed}")
    moved, _, changed = bench.arrays(model, f"changed-{seed}")
    single = singles(facts)
    variance = base[single].var(0).sum(-1)
    counted = np.flatnonzero(single[:pictures])
    place = {int(b): i for i, b in enumerate(counted)}
    squares = {f: np.zeros((len(counted), *variance.shape)) for f in FACTORS}
    for fact, contribution in zip(changed, moved):
        b = int(fact["base"])
        squares[fact["changed"]][place[b]] = (float(fact["odds"])
                                              * ((contribution - base[b]) ** 2).sum(-1) / 2)
    weights = np.random.default_rng(1).multinomial(
        len(counted), np.full(len(counted), 1 / len(counted)), DRAWS) / len(counted)
    effects = {}
    for factor, square in squares.items():
        draws = np.tensordot(weights, square, 1) / variance
        low, high = np.percentile(draws, [2.5, 97.5], axis=0)
        effects[factor] = (square.mean(0) / variance, low, high)
    return effects
