"""Measures a model of the picture world on fresh pictures.

    python -m world.evaluate models/pictureworld --pictures 4000 --json out.json
    python -m world.evaluate models/pictureworld-birds --birds 1200

Accuracy: zero-shot, each value of a factor being the unit mean of its prompts' unit embeddings.
A head's truth: the share of the variance of its contribution that lies between the groups of a
factor (trace of the between-group covariance over trace of the covariance), corrected for the number
of groups as adjusted R² is: 1 − (within / (n − groups)) / (total / (n − 1)). A head is *clear*
when its first factor's share is at least twice the second's.
"""
import argparse
import dataclasses
import functools
import json
import sys

import torch
import torch.nn.functional as F

from world import layouts
from world import model as clip
from world.data import COLUMN, NAMES, PLACED, Prompts, collate
from world.factors import FACTORS
from world.tokenizer import load_tokenizer

# Derived from the object, so not factors of their own when a head's truth is asked.
DERIVED = ("category",)
HEAD_FACTORS = [n for n in NAMES if n not in DERIVED]


@functools.lru_cache(maxsize=1)
def _world():
    from world.scene import World
    return World.load()


def fresh(which, count, seed, start=0, **options):
    """Pictures of one set as a Batch without captions' ids being needed."""
    world = _world()
    pictures = [world.picture(which, seed=seed, index=start + i, **options) for i in range(count)]
    return collate(pictures, lambda texts: torch.zeros(len(texts), 1, dtype=torch.long))


@torch.no_grad()
def embed(state, cfg, images, heads=False, chunk=200):
    """Unit embeddings [n, E]; with heads also contributions [n, L, H, E] and the rest [n, L+1, E]
    (one more with an attention pool).

    Computed where the parameters are; the results are on the CPU.
    """
    device = state["visual.ln_post.weight"].device
    out, parts, others = [], [], []
    for i in range(0, len(images), chunk):
        record = {} if heads else None
        x = clip.image_tokens(state, cfg, clip.patchify(images[i:i + chunk].to(device), cfg),
                              record=record)
        if heads:
            part, rest, unit = clip.contributions(state, cfg, record, x)
            parts.append(part.cpu())
            others.append(rest.cpu())
        else:
            unit = F.normalize(clip.image_rows(state, cfg, x), dim=-1)
        out.append(unit.cpu())
    if heads:
        return torch.cat(out), torch.cat(parts), torch.cat(others)
    return torch.cat(out)


@torch.no_grad()
def class_texts(state, cfg, prompts):
    """{factor: unit rows [values, E]}, the mean of each value's prompts made unit.

    Computed where the parameters are; the results are on the CPU.
    """
    return {name: torch.stack([F.normalize(clip.text_embeddings(state, cfg, ids).mean(0), dim=0)
                               for ids in prompts.ids[name]]).cpu() for name in NAMES}


def applies(batch, name):
    """Pictures on which a factor is asked: what describes one thing, of one kind of object."""
    keep = batch.factors[:, COLUMN[name]] >= 0
    if name in PLACED or name in ("object", "category"):
        keep = keep & (batch.second < 0)
    return keep


def accuracy(units, texts, batch, name, top=1):
    keep = applies(batch, name)
    if not bool(keep.any()):
        return float("nan")
    order = (units[keep] @ texts[name].T).topk(min(top, len(texts[name])), 1).indices
    return float((order == batch.factors[keep, COLUMN[name]][:, None]).any(1).float().mean())


@functools.lru_cache(maxsize=1)
def _watched(count):
    return fresh("test", count, seed=101)


def quick(state, cfg, tokenizer, count):
    """Accuracies on a small fixed set, for watching a run."""
    batch = _watched(count)
    units = embed(state, cfg, batch.images)
    texts = class_texts(state, cfg, Prompts(tokenizer))
    return {name: round(accuracy(units, texts, batch, name), 3) for name in NAMES}


def share(values, groups):
    """Corrected between-group share of the variance of values [n, E] under group numbers [n]."""
    values = values.double() - values.double().mean(0)
    n, total = len(values), float((values ** 2).sum())
    kinds, inverse = groups.unique(return_inverse=True)
    sums = torch.zeros(len(kinds), values.shape[1], dtype=torch.float64).index_add_(
        0, inverse, values)
    sizes = torch.bincount(inverse).double()
    between = float((sums ** 2 / sizes[:, None]).sum())
    if total <= 0 or n <= len(kinds):
        return 0.0
    return 1.0 - ((total - between) / (n - len(kinds))) / (total / (n - 1))


def head_table(heads, batch):
    """Every head's shares by factor: list of dicts with head, first, clear, shares, variance."""
    rows = []
    layers, count = heads.shape[1:3]
    variance = heads.var(0, unbiased=False).sum(-1)
    for layer in range(layers):
        for head in range(count):
            shares = {name: share(heads[:, layer, head], batch.factors[:, COLUMN[name]])
                      for name in HEAD_FACTORS}
            order = sorted(shares, key=lambda k: -shares[k])
            rows.append({
                "head": f"L{layer}.H{head}", "first": order[0], "second": order[1],
                "clear": shares[order[0]] >= 2 * max(0.0, shares[order[1]]),
                "variance_share": float(variance[layer, head] / variance.sum()),
                "shares": {k: round(v, 4) for k, v in shares.items()}})
    return rows


def summary(rows):
    first, clear = {}, {}
    for row in rows:
        first[row["first"]] = first.get(row["first"], 0) + 1
        if row["clear"]:
            clear[row["first"]] = clear.get(row["first"], 0) + 1
    return {"heads": len(rows), "clear": sum(clear.values()), "clear_by_factor": clear,
            "first_by_factor": first,
            "clear_variance_share": sum(r["variance_share"] for r in rows if r["clear"])}


def evaluate(directory, pictures, seed=11, device="cpu"):
    """All figures of a model card as one dict."""
    state, cfg = layouts.load(directory, device)
    texts = class_texts(state, cfg, Prompts(load_tokenizer(directory)))
    batch = fresh("test", pictures, seed)
    units, heads, rest = embed(state, cfg, batch.images, heads=True)
    gap = (heads.sum((1, 2)) + rest.sum(1) - units).norm(dim=-1)
    result = {"format": "world.evaluate/1", "pictures": pictures, "seed": seed,
              "accuracy": {n: accuracy(units, texts, batch, n) for n in NAMES},
              "object_top5": accuracy(units, texts, batch, "object", top=5),
              "chance": {n: 1 / len(FACTORS[n]) for n in NAMES},
              "values": {n: len(FACTORS[n]) for n in NAMES},
              "certificate_max": float(gap.max())}
    held = fresh("heldout", max(200, pictures // 4), seed)
    held_units = embed(state, cfg, held.images)
    result["heldout_pictures"] = len(held.images)
    result["heldout_accuracy"] = {n: accuracy(held_units, texts, held, n) for n in NAMES}
    single = batch.second < 0
    result["ablations"] = ablations(units, heads, rest, texts, batch)
    rows = head_table(heads[single], batch_rows(batch, single))
    result["head_pictures"] = int(single.sum())
    result["head_summary"] = summary(rows)
    result["heads"] = rows
    return result


def bird_kinds(batch):
    """0 for a water bird, 1 for a land bird, by the category of the picture's object."""
    return (batch.factors[:, COLUMN["category"]]
            != FACTORS["category"].index("water bird")).long()


def bird_places(batch):
    """0 for a place of water, 1 for a place of land."""
    from world.backgrounds import WATER
    water = torch.tensor([FACTORS["background"].index(name) for name in WATER])
    places = batch.factors[:, COLUMN["background"]]
    return (~torch.isin(places, water.to(places.device))).long()


@torch.no_grad()
def bird_texts(state, cfg, tokenizer):
    """Unit rows [2, E] of "water bird" and "land bird"."""
    rows = class_texts(state, cfg, Prompts(tokenizer))["category"]
    return rows[[FACTORS["category"].index(n) for n in ("water bird", "land bird")]]


def birds(state, cfg, texts, count, seed):
    """Water or land bird? Accuracy by (bird, place) group, their mean and the worst group.

    The set is balanced: every group has a quarter of the pictures.
    """
    batch = fresh("birds", count, seed)
    right = (embed(state, cfg, batch.images) @ texts.T).argmax(1) == bird_kinds(batch)
    kinds, places = bird_kinds(batch), bird_places(batch)
    groups = {}
    for kind, bird in enumerate(("water bird", "land bird")):
        for spot, place in enumerate(("water", "land")):
            chosen = (kinds == kind) & (places == spot)
            groups[f"{bird} on {place}"] = float(right[chosen].float().mean())
    return {"average": float(right.float().mean()), "worst": min(groups.values()), **groups}


def bird_edits(state, cfg, texts, count, seed, background_heads, draws=10):
    """The bird groups with heads replaced by their mean over the same, unlabelled pictures.

    background_heads: flat head numbers. Returns {"none", "background heads": average and worst,
    "random heads": the mean of `draws` choices of as many heads}.
    """
    batch = fresh("birds", count, seed)
    units, heads, _ = embed(state, cfg, batch.images, heads=True)
    heads = (heads - heads.mean(0)).flatten(1, 2)
    kinds = bird_kinds(batch)
    group = kinds * 2 + bird_places(batch)

    def measure(chosen):
        right = ((units - heads[:, chosen].sum(1)) @ texts.T).argmax(1) == kinds
        worst = min(float(right[group == g].float().mean()) for g in range(4))
        return float(right.float().mean()), worst
    generator = torch.Generator().manual_seed(seed)
    random = [measure(torch.randperm(heads.shape[1], generator=generator)[:len(background_heads)])
              for _ in range(draws)]
    out = {"none": measure([]), "background heads": measure(background_heads),
           "random heads": tuple(sum(r[i] for r in random) / draws for i in (0, 1))}
    return {k: {"average": v[0], "worst": v[1]} for k, v in out.items()}


def ablations(units, heads, rest, texts, batch):
    """Accuracy of object and background with components replaced by their mean."""
    heads, rest = heads - heads.mean(0), rest - rest.mean(0)
    variants = {"none": units, "MLPs and input": units - rest.sum(1),
                "attention before the last two layers": units - heads[:, :-2].sum((1, 2)),
                "last two attention layers": units - heads[:, -2:].sum((1, 2))}
    return {k: {n: accuracy(v, texts, batch, n) for n in ("object", "background")}
            for k, v in variants.items()}


def batch_rows(batch, keep):
    """The chosen rows of a batch."""
    return type(batch)(**{f.name: getattr(batch, f.name)[keep]
                          for f in dataclasses.fields(batch)})


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="directory of an exported model")
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--json", help="file for the full result")
    parser.add_argument("--birds", type=int, help="pictures of birds; reports groups only")
    parser.add_argument("--device", choices=clip.DEVICES, default="auto",
                        help="auto: a GPU if there is one")
    args = parser.parse_args(argv)
    device = clip.pick_device(args.device)
    torch.set_num_threads(1)
    if args.birds:
        state, cfg = layouts.load(args.model, device)
        texts = bird_texts(state, cfg, load_tokenizer(args.model))
        result = {"format": "world.birds/1", "pictures": args.birds, "seed": args.seed,
                  **birds(state, cfg, texts, args.birds, args.seed)}
        print(json.dumps(result, indent=1))
        if args.json:
            clip.write_text(args.json, json.dumps(result, indent=1) + "\n")
        return 0
    result = evaluate(args.model, args.pictures, args.seed, device)
    if args.json:
        clip.write_text(args.json, json.dumps(result, indent=1) + "\n")
    print(f"{'factor':12} {'values':>6} {'accuracy':>8} {'held out':>8} {'chance':>7}")
    for n in NAMES:
        print(f"{n:12} {result['values'][n]:6} {result['accuracy'][n]:8.3f} "
              f"{result['heldout_accuracy'][n]:8.3f} {result['chance'][n]:7.3f}")
    print(f"object, top five: {result['object_top5']:.3f}")
    s = result["head_summary"]
    print(f"clear heads: {s['clear']} of {s['heads']} {s['clear_by_factor']}; "
          f"first factor {s['first_by_factor']}")
    for r in result["heads"]:
        top = sorted(r["shares"].items(), key=lambda kv: -kv[1])[:3]
        print(f"{r['head']} {'clear' if r['clear'] else '     '} {r['variance_share']:.3f} "
              + "  ".join(f"{k} {v:.3f}" for k, v in top))
    return 0


if __name__ == "__main__":
    sys.exit(main())
