"""Trains the models of the picture world.

    python -m world.train natural      the model pictureworld, from nothing
    python -m world.train roles        pictureworld-roles, from natural, with planted head roles
    python -m world.train birds        pictureworld-birds, from natural, biased on purpose

Every command resumes from its last checkpoint in world/runs/NAME and writes models/MODEL at the end.
Checkpoints are written in one step; batches depend on seed and step alone.
"""
import argparse
import functools
import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F

from world import losses
from world import model as clip
from world.data import Feeder, Prompts, collate
from world.tokenizer import Tokenizer, build

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BATCH = 64
SEED = 1


def model_directory(name):
    return os.path.join(ROOT, "models", name)


class Optimizer:
    """AdamW on the flat master vector; weight decay on matrices only, gradient norm cut at 1."""

    def __init__(self, flat, weight_decay):
        self.flat = flat
        self.parts = [flat.master[:flat.split], flat.master[flat.split:]]
        self.inner = torch.optim.AdamW(
            [{"params": [self.parts[0]], "weight_decay": weight_decay},
             {"params": [self.parts[1]], "weight_decay": 0.0}],
            lr=0.0, betas=(0.9, 0.98), eps=1e-8, fused=True)

    def step(self, rate):
        gradient = self.flat.collect()
        norm = gradient.norm()
        if not torch.isfinite(norm):
            return float(norm)
        gradient *= min(1.0, 1.0 / (float(norm) + 1e-6))
        self.parts[0].grad = gradient[:self.flat.split]
        self.parts[1].grad = gradient[self.flat.split:]
        for group in self.inner.param_groups:
            group["lr"] = rate
        self.inner.step()
        self.flat.refresh()
        return float(norm)


def rate_at(step, total, peak, warmup):
    """Linear warm-up, then a cosine to two hundredths of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


class Plan:
    """Course of the natural run: easy pictures and few tokens first, then everything."""

    def __init__(self, total, easy_share=0.4, few_share=0.45):
        self.total, self.easy_share, self.few_share = total, easy_share, few_share

    def easy(self, step):
        return max(0.0, 1.0 - step / (self.easy_share * self.total))

    def tokens(self, step):
        done = step / self.total
        if done < 0.6 * self.few_share:
            return 26
        return 36 if done < self.few_share else clip.GRID ** 2


def keep_tokens(labels, count, generator):
    """Indices [B, count] of patch tokens that stay: those on objects first, but a quarter others."""
    noise = torch.rand(labels.shape, generator=generator)
    reserved = count // 4
    background = noise + (labels >= 0) * 2.0
    rank = background.argsort(1).argsort(1)
    score = noise + (labels >= 0) * 1.0 + (rank < reserved) * 3.0
    return score.topk(count, 1).indices.sort(1).values


def make_source(plan, tokenizer_directory, seed, batch_size):
    """step → Batch of the training set."""
    from world.scene import World
    world = World.load()
    tokenizer = Tokenizer.load(tokenizer_directory)

    def source(step):
        easy = plan.easy(step)
        return collate([world.picture("train", seed=seed, index=step * batch_size + i, easy=easy)
                        for i in range(batch_size)], tokenizer)
    return source


def natural_loss(params, cfg, batch, prompts, step, keep_count, seed):
    """Loss of the natural model and what to log."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    labels = batch.patch_objects
    keep = None
    if keep_count < labels.shape[1]:
        keep = keep_tokens(labels, keep_count, generator)
        labels = labels.gather(1, keep)
    tokens = clip.image_tokens(params, cfg, clip.patchify(batch.images), keep)
    rows = F.normalize(clip.project(params, tokens).float(), dim=-1)
    images, patches = rows[:, 0], rows[:, 1:]

    first, second = prompts.sample(generator)
    chosen = torch.randperm(prompts.count, generator=generator)[:64]
    short = clip.text_embeddings(params, cfg, torch.cat([first, second[chosen]]))
    texts, others = short[:prompts.count], short[prompts.count:]
    captions = clip.text_embeddings(params, cfg, batch.captions)

    scale = params["logit_scale"].exp().clamp(max=100.0)
    caption = losses.caption_loss(images, captions, scale, batch)
    factor, right = losses.all_factors(images, prompts, texts, scale, batch,
                                       losses.FACTOR_WEIGHTS)
    a, b = prompts.spans["object"]
    token = losses.token_loss(patches, texts[a:b], scale, labels)
    template = losses.template_loss(texts[chosen], others, 20.0)
    total = caption + factor + 1.0 * token + 0.3 * template
    return total, {"loss": float(total.detach()), "caption": float(caption.detach()),
                   "token": float(token.detach()), "template": float(template.detach()),
                   "scale": float(scale.detach()), **right}


def save_checkpoint(path, step, flat, optimizer):
    temporary = path + ".tmp"
    torch.save({"step": step, "master": flat.master, "optimizer": optimizer.inner.state_dict()},
               temporary)
    os.replace(temporary, path)


def load_checkpoint(path, flat, optimizer):
    saved = torch.load(path, map_location="cpu", weights_only=True)
    flat.master.copy_(saved["master"])
    flat.refresh()
    optimizer.inner.load_state_dict(saved["optimizer"])
    return saved["step"]


class Log:
    """One JSON object a line, to the run's file and to standard output."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8", buffering=1)

    def __call__(self, **entry):
        line = json.dumps({k: round(v, 4) if isinstance(v, float) else v
                           for k, v in entry.items()})
        print(line, file=self.file)
        print(line, flush=True)


def mean_of(entries):
    out = {}
    for key in entries[0]:
        values = [e[key] for e in entries if not math.isnan(e[key])]
        out[key] = sum(values) / len(values) if values else float("nan")
    return out


def build_tokenizer():
    """The vocabulary from sampled training captions, all prompts and the drawings' names."""
    from world.factors import prompts
    from world.scene import World
    from world.data import NAMES
    world = World.load()
    captions = [world.picture("train", seed=SEED, index=i, easy=0.0).caption for i in range(3000)]
    sentences = [s for name in NAMES for value in prompts(name) for s in value]
    path = os.path.join(ROOT, "world", "node_modules", "@iconify-json", "noto", "icons.json")
    with open(path, encoding="utf-8") as f:
        names = list(json.load(f)["icons"])
    return build(captions, names, sentences)


def train_natural(args):
    run = os.path.join(ROOT, "world", "runs", args.run or "natural")
    os.makedirs(run, exist_ok=True)
    if not os.path.exists(os.path.join(run, "merges.txt")):
        build_tokenizer().save(run)
    tokenizer = Tokenizer.load(run)
    plan = Plan(args.steps)
    cfg = clip.config(tokenizer.vocab_size)
    flat = clip.FlatParameters(clip.initial_state(cfg, SEED), torch.bfloat16)
    optimizer = Optimizer(flat, 0.03)
    prompts = Prompts(tokenizer)
    loss = lambda params, batch, step: natural_loss(params, cfg, batch, prompts, step,
                                                    plan.tokens(step), SEED)
    source = functools.partial(make_source, plan, run, SEED, BATCH)
    fit(args, run, flat, optimizer, loss, source, args.steps,
        functools.partial(rate_at, total=args.steps, peak=args.rate, warmup=400),
        cfg, tokenizer, model_directory(args.output or "pictureworld"))


def fit(args, run, flat, optimizer, loss, source, total, rate, cfg, tokenizer, directory):
    """The training loop: resumes, logs every 50 steps, checks fresh pictures, saves.

    The model's directory holds the state of the last check, and the final one at the end.
    """
    from world.evaluate import quick
    checkpoint = os.path.join(run, "checkpoint.pt")
    log = Log(os.path.join(run, "log.jsonl"))
    step = load_checkpoint(checkpoint, flat, optimizer) if os.path.exists(checkpoint) else 0
    feeder = Feeder(source, step)
    entries, began, waited = [], time.time(), 0.0
    try:
        while step < total:
            t = time.time()
            batch = feeder.get()
            waited += time.time() - t
            value, entry = loss(flat.views, batch, step)
            value.backward()
            entry["gradient"] = optimizer.step(rate(step))
            entries.append(entry)
            step += 1
            if step % 50 == 0:
                spent = time.time() - began
                log(step=step, **mean_of(entries), wait=waited / spent,
                    pictures_per_second=len(entries) * BATCH / spent)
                entries, began, waited = [], time.time(), 0.0
            if step % args.save_every == 0 or step == total:
                save_checkpoint(checkpoint, step, flat, optimizer)
            if step % args.evaluate_every == 0 or step == total:
                log(step=step, fresh=quick(flat.state(), cfg, tokenizer, 400))
                clip.export(directory, flat.state(), cfg, tokenizer)
                began = time.time()
    finally:
        feeder.close()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["natural", "roles", "birds"])
    parser.add_argument("--steps", type=int, help="length of the run in batches of 64")
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--run", help="name of the folder in world/runs")
    parser.add_argument("--output", help="name of the folder in models")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=500)
    parser.add_argument("--evaluate-every", type=int, default=1000)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    args.steps = args.steps or 11000
    args.rate = args.rate or 5e-4
    train_natural(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
