"""TextSpan from statistics against the procedure of its authors on every picture, in fp64."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from safetensors.numpy import load_file

from harness import ROOT, SHIPPED
from reference import text_span

WORLD_TEXTS = ROOT / "world" / "texts"
SHARES = 1e-6


def lines(name: str) -> list[str]:
    found = [line.split("\t")[0] for line in (WORLD_TEXTS / name).read_text().splitlines()]
    return [line for line in found if line.strip()]


def generated_pool(count: int, seed: int) -> list[str]:
    """Phrases of the picture world's nouns, places, styles and templates, no two alike."""
    rng = random.Random(seed)
    objects = lines("objects.txt")
    places, styles = lines("backgrounds.txt"), lines("styles.txt")
    words = sorted({word for phrase in lines("phrases.txt") for word in re.findall(r"\w+", phrase)})
    forms = [
        lambda: f"{rng.choice(objects)} and {rng.choice(objects)}",
        lambda: f"{rng.choice(objects)} in {rng.choice(places)}",
        lambda: f"{rng.choice(styles)} of {rng.choice(objects)}",
        lambda: f"{rng.choice(objects)}, {rng.choice(styles)}, {rng.choice(places)}",
        lambda: " ".join(rng.sample(words, rng.randrange(1, 5))),
    ]
    pool: dict[str, None] = {}
    while len(pool) < count:
        pool[rng.choice(forms)()] = None
    return list(pool)


@pytest.fixture(scope="session")
def pools(folder):
    made = dict(phrases=WORLD_TEXTS / "phrases.txt", generated=folder / "generated.txt")
    made["generated"].write_text("\n".join(generated_pool(1500, 5)) + "\n")
    return made


def contributions(store) -> np.ndarray:
    """[L, H, B, E] in fp64 from a store's factors: exports are rounded, and the smallest
    directions of a head lie below that rounding."""
    shard = {key: value.astype(np.float64)
             for key, value in load_file(next(store.glob("shard-*.safetensors"))).items()}
    basis = load_file(store / "basis.safetensors")["heads"].astype(np.float64)  # [L, H, K+3, E]
    mean, sigma, norm = (v[None, None, :, None] for v in shard["ln"].T)
    z = shard["head_z"]
    ones = np.ones_like(z[..., :1])
    factors = np.concatenate([z, ones, mean * ones, sigma * ones], -1) / (sigma * norm)
    return factors @ basis


def compare(cliplens, measured, folder, what, store, model, pool, count, most=None) -> dict:
    """`count` texts a head by both, in at most `most` directions."""
    out = folder / f"texts-{model.name}-{pool.stem}.npy"
    if not out.exists():
        lines = pool.read_text(encoding="utf-8").splitlines()
        alone = folder / f"{pool.stem}-alone.txt"  # without their properties
        alone.write_text("".join(line.split("\t")[0] + "\n" for line in lines if line),
                         encoding="utf-8")
        cliplens("embed", model, "--texts", alone, "--truncate", "--out", out)
    texts = np.load(out).astype(np.float64)
    options = ["--count", count, *(["--rank", most] if most else [])]
    result = cliplens.json("span", store, "--texts", pool, "--heads", "all", "--truncate", *options)
    rows = contributions(store)
    layers, heads = rows.shape[:2]
    assert [head["head"] for head in result["heads"]] == [
        f"L{layer}.H{head}" for layer in range(layers) for head in range(heads)]
    different, compared, share, margin = [], 0, 0.0, np.inf
    for head in result["heads"]:
        layer, h = map(int, re.fullmatch(r"L(\d+)\.H(\d+)", head["head"]).groups())
        got = [text["index"] for text in head["texts"]]
        assert got, head["head"]
        wanted = text_span(rows[layer, h], texts, len(got), most)
        assert head["rank"] == wanted.rank, head["head"]
        assert len(got) <= min(count, wanted.rank), head["head"]
        compared += len(got)
        margin = min(margin, *wanted.margins)
        if got != wanted.texts:
            at = next(i for i, (a, b) in enumerate(zip(got, wanted.texts)) if a != b)
            different.append(f"{head['head']}: place {at} of {len(got)} is {got[at]}, not "
                             f"{wanted.texts[at]} (lead {wanted.margins[at]:.1e}, "
                             f"share {wanted.shares[at]:.1e})")
            continue
        shares = np.array([text["share"] for text in head["texts"]])
        share = max(share, np.abs(shares - wanted.shares).max())
        cumulative = np.array([text["cumulative"] for text in head["texts"]])
        assert np.abs(np.cumsum(shares) - cumulative).max() < 1e-12
    print("\n".join(different))
    measured.note(f"TextSpan, {what}: texts compared", compared)
    measured.note(f"TextSpan, {what}: smallest lead of a choice", margin)
    measured.at_most(f"TextSpan, {what}: heads with other texts or another order", len(different), 0)
    measured.at_most(f"TextSpan, {what}: largest difference of a share", share, SHARES)
    return result


@pytest.mark.parametrize("pool", ["phrases", "generated"])
@pytest.mark.parametrize("model", [SHIPPED, "plain", "odd"])
def test_twenty_texts(cliplens, measured, folder, model_folders, stores, pools, model, pool):
    result = compare(cliplens, measured, folder, f"{model}, {pool}, 20 texts",
                     stores(model, "world")[0], model_folders[model], pools[pool], 20)
    width = load_file(stores(model, "world")[0] / "basis.safetensors")["heads"].shape[2]
    assert all(0 < head["rank"] <= width for head in result["heads"])
    assert all(len(head["texts"]) == 20 for head in result["heads"])


@pytest.mark.parametrize("model", [SHIPPED, "plain", "odd"])
def test_sixty_texts_or_all_directions(cliplens, measured, folder, model_folders, stores, pools,
                                       model):
    """Until the head's directions are used up, which the program notices by itself."""
    result = compare(cliplens, measured, folder, f"{model}, generated, 60 texts",
                     stores(model, "world")[0], model_folders[model], pools["generated"], 60)
    for head in result["heads"]:
        if len(head["texts"]) < min(60, head["rank"] - 1):
            assert head["texts"][-1]["cumulative"] > 1 - 1e-8


def test_fewer_directions(cliplens, measured, folder, model_folders, stores, pools):
    """Only the five strongest directions of each head count for the texts."""
    result = compare(cliplens, measured, folder, f"{SHIPPED}, generated, rank 5",
                     stores(SHIPPED, "world")[0], model_folders[SHIPPED], pools["generated"], 4,
                     most=5)
    assert {head["rank"] for head in result["heads"]} == {5}


def test_a_rank_above_the_numerical_one(cliplens, model_folders, stores, pools):
    """The authors' default of 80 directions is more than K + 3; it is the same as all."""
    arguments = ("span", stores(SHIPPED, "world")[0], "--texts", pools["phrases"], "--count", 20)
    assert cliplens.json(*arguments, "--rank", 80)["heads"] == cliplens.json(*arguments)["heads"]
