"""Trains the models of the picture world.

    python -m world.train natural      the model pictureworld, from nothing
    python -m world.train roles        pictureworld-roles, from natural, with planted head roles
    python -m world.train birds        pictureworld-birds, from natural, biased on purpose

The first two resume from their last checkpoint in world/runs/NAME; checkpoints are written in one
step and batches depend on seed and step alone. All write models/MODEL. With a GPU they use it: what
is drawn at random is drawn on the CPU either way, and a run may resume on the other.
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

from world import evaluate
from world import layouts
from world import losses
from world import model as clip
from world import roles
from world.data import NAMES, Feeder, Prompts, collate
from world.factors import FACTORS, prompts as factor_prompts
from world.tokenizer import SentencePieces, Tokenizer, build, load_tokenizer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BATCH = 64
SEED = 1  # of the vocabulary, and of a run unless --seed says otherwise


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


def natural_rate(step, plan, peak):
    """The cosine until `plan.cool`, then a straight line that reaches its end at `plan.end`.

    All factors but count are learned when cooling starts; a fast descent then costs little and
    saves a quarter of the time.
    """
    course = functools.partial(rate_at, total=plan.total, peak=peak, warmup=min(400, plan.cool))
    if step < plan.cool:
        return course(step)
    left = (plan.end - step) / max(1, plan.end - plan.cool)
    return 0.02 * peak + (course(plan.cool) - 0.02 * peak) * max(0.0, left)


class Plan:
    """Course of the natural run: easy pictures and few tokens first, then everything.

    end: steps of the run. The course is laid out for 11/9 of that, and cut short by cooling the
    rate down from 6/9 of it on.
    """

    def __init__(self, end, easy_share=0.4, few_share=0.45):
        self.end, self.total, self.cool = end, end * 11 // 9, end * 6 // 9
        self.easy_share, self.few_share = easy_share, few_share

    def easy(self, step):
        fade = self.easy_share * self.total
        return max(0.0, 1.0 - step / fade) if fade else 0.0

    def kept(self, step):
        """Share of the patch tokens that stay."""
        done = step / self.total
        if done < 0.6 * self.few_share:
            return 26 / 64
        return 36 / 64 if done < self.few_share else 1.0


def keep_tokens(labels, count, generator):
    """Indices [B, count] of patch tokens that stay: those on objects first, but a quarter others."""
    noise = torch.rand(labels.shape, generator=generator).to(labels.device)
    reserved = count // 4
    background = noise + (labels >= 0) * 2.0
    rank = background.argsort(1).argsort(1)
    score = noise + (labels >= 0) * 1.0 + (rank < reserved) * 3.0
    return score.topk(count, 1).indices.sort(1).values


def make_source(plan, tokenizer_directory, seed, batch_size, patch=clip.PATCH):
    """step → Batch of the training set."""
    from world.scene import World
    world = World.load()
    tokenizer = load_tokenizer(tokenizer_directory)

    def source(step):
        easy = plan.easy(step)
        return collate([world.picture("train", seed=seed, index=step * batch_size + i, easy=easy)
                        for i in range(batch_size)], tokenizer, patch)
    return source


def shared_losses(params, cfg, batch, prompts, images, patches, labels, generator):
    """What both models are trained on: the prompts' embeddings, the logit scale, the losses of
    captions, factors, tokens and templates, and the shares answered rightly.

    images [B, E] and patches [B, N, E] are unit rows, labels [B, N] the object on each patch.
    """
    first, second = prompts.sample(generator)
    chosen = torch.randperm(prompts.count, generator=generator)[:64]
    short = clip.text_embeddings(params, cfg, torch.cat([first, second[chosen]]))
    texts, others = short[:prompts.count], short[prompts.count:]
    captions = clip.text_embeddings(params, cfg, batch.captions)

    scale = params["logit_scale"].exp().clamp(max=100.0)
    caption = losses.caption_loss(images, captions, scale, batch)
    if "logit_bias" in params:
        caption = caption + 0.25 * losses.sigmoid_loss(images, captions, scale,
                                                       params["logit_bias"], batch)
    factor, right = losses.all_factors(images, prompts, texts, scale, batch,
                                       losses.FACTOR_WEIGHTS)
    a, b = prompts.spans["object"]
    token = losses.token_loss(patches, texts[a:b], scale, labels)
    template = losses.template_loss(texts[chosen.to(texts.device)], others, 20.0)
    return texts, scale, caption, factor, token, template, right


def natural_loss(params, cfg, batch, prompts, step, kept, seed):
    """Loss of the natural model and what to log."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    labels = batch.patch_objects
    keep, keep_count = None, round(kept * labels.shape[1])
    if keep_count < labels.shape[1]:
        keep = keep_tokens(labels, keep_count, generator)
        labels = labels.gather(1, keep)
    tokens = clip.image_tokens(params, cfg, clip.patchify(batch.images, cfg), keep)
    images = F.normalize(clip.image_rows(params, cfg, tokens).float(), dim=-1)
    patches = F.normalize(clip.patch_rows(params, cfg, tokens[:, -labels.shape[1]:]).float(), dim=-1)

    texts, scale, caption, factor, token, template, right = shared_losses(
        params, cfg, batch, prompts, images, patches, labels, generator)
    total = caption + factor + 1.0 * token + 0.3 * template
    return total, {"loss": float(total.detach()), "caption": float(caption.detach()),
                   "token": float(token.detach()), "template": float(template.detach()),
                   "scale": float(scale.detach()), **right}


def save_checkpoint(path, step, flat, optimizer, extra=None):
    temporary = path + ".tmp"
    torch.save({"step": step, "master": flat.master, "optimizer": optimizer.inner.state_dict(),
                "extra": extra.state() if extra else None}, temporary)
    os.replace(temporary, path)


def load_checkpoint(path, flat, optimizer, extra=None):
    """Restores a run, on whichever device it was saved; returns its step."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    flat.master.copy_(saved["master"])
    flat.refresh()
    optimizer.inner.load_state_dict(saved["optimizer"])
    if extra:
        extra.load(saved["extra"])
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


def build_tokenizer(kind):
    """A tokenizer of this class, its vocabulary from sampled training captions, all prompts and the drawings' names."""
    from world.scene import World
    world = World.load()
    captions = [world.picture("train", seed=SEED, index=i, easy=0.0).caption for i in range(3000)]
    sentences = [s for name in NAMES for value in factor_prompts(name) for s in value]
    path = os.path.join(ROOT, "world", "node_modules", "@iconify-json", "noto", "icons.json")
    with open(path, encoding="utf-8") as f:
        names = list(json.load(f)["icons"])
    return build(kind, captions, names, sentences)


def train_natural(args):
    run = os.path.join(ROOT, "world", "runs", args.run or "natural")
    os.makedirs(run, exist_ok=True)
    kind = SentencePieces if args.kind == "siglip" else Tokenizer
    if not os.path.exists(os.path.join(run, kind.FILE)):
        build_tokenizer(kind).save(run)
    tokenizer = kind.load(run)
    plan = Plan(args.steps)
    cfg = clip.config(tokenizer.vocab_size, args.width, args.layers, embed=args.embed,
                      patch=args.patch, head_width=args.head_width, kind=args.kind)
    flat = clip.FlatParameters(layouts.initial_state(cfg, args.seed), torch.bfloat16, args.device)
    optimizer = Optimizer(flat, 0.03)
    prompts = Prompts(tokenizer)
    loss = lambda params, batch, step: natural_loss(params, cfg, batch, prompts, step,
                                                    plan.kept(step), args.seed)
    source = functools.partial(make_source, plan, run, args.seed, BATCH, args.patch)
    fit(args, run, flat, optimizer, loss, source, args.steps,
        functools.partial(natural_rate, plan=plan, peak=args.rate),
        cfg, tokenizer, model_directory(args.output or "pictureworld"))


# Heads wanted for each factor in the model with planted roles; 36 in all.
QUOTA = {"count": 2, "size": 2, "object": 9, "position": 5, "style": 5, "effect": 4,
         "background": 9}
EARLIEST = {"count": 3, "size": 3, "object": 3, "position": 1, "style": 1}


def train_roles(args):
    run = os.path.join(ROOT, "world", "runs", args.run or "roles")
    os.makedirs(run, exist_ok=True)
    start = model_directory("pictureworld")
    state, cfg = layouts.load(args.start or start, args.device)
    tokenizer = load_tokenizer(args.start or start)
    directory = model_directory(args.output or "pictureworld-roles")
    os.makedirs(directory, exist_ok=True)
    planted = os.path.join(run, "roles.pt")
    if not os.path.exists(planted):
        batch = evaluate.fresh("test", 2500, seed=71)
        batch = evaluate.batch_rows(batch, batch.second < 0)
        heads = evaluate.embed(state, cfg, batch.images, heads=True)[1]
        torch.save(roles.assign(evaluate.head_table(heads, batch), QUOTA, EARLIEST),
                   planted)
    chosen = torch.load(planted, weights_only=True)
    layers, width = cfg["vision_cfg"]["layers"], cfg["vision_cfg"]["width"]
    per_layer = width // cfg["vision_cfg"]["head_width"]
    roles.write_roles(os.path.join(directory, "roles.json"), chosen, per_layer)

    flat = clip.FlatParameters(state, torch.bfloat16, args.device)
    optimizer = Optimizer(flat, 0.03)
    prompts = Prompts(tokenizer)
    keeper = roles.RoleLoss(chosen, layers * per_layer, cfg["embed_dim"],
                            {n: len(FACTORS[n]) for n in evaluate.HEAD_FACTORS},
                            device=args.device)

    def loss(params, batch, step):
        return roles_loss(params, cfg, batch, prompts, keeper, step, args.seed + 1, args)

    plan = Plan(1, 0.0, 0.0)
    source = functools.partial(make_source, plan, args.start or start, args.seed + 1, BATCH)
    fit(args, run, flat, optimizer, loss, source, args.steps,
        functools.partial(rate_at, total=args.steps, peak=args.rate, warmup=50),
        cfg, tokenizer, directory, keeper)


def roles_loss(params, cfg, batch, prompts, keeper, step, seed, args):
    """Loss of the model with planted roles: the natural tasks and the roles of the heads."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    record = {}
    tokens = clip.image_tokens(params, cfg, clip.patchify(batch.images, cfg), record=record)
    exact = {n: params[n].float() for n in params if "ln_post" in n or n == "visual.proj"
             or "out_proj" in n}
    record = {"rows": record["rows"], "input": record["input"].float(),
              "z": [z.float() for z in record["z"]], "mlp": [m.float() for m in record["mlp"]]}
    heads, _, images = clip.contributions(exact, cfg, record, tokens[:, :1].float())
    heads = heads.flatten(1, 2)
    patches = F.normalize(clip.patch_rows(params, cfg, tokens[:, 1:]).float(), dim=-1)

    texts, scale, caption, factor, token, template, right = shared_losses(
        params, cfg, batch, prompts, images, patches, batch.patch_objects, generator)
    own, other, shares = keeper(heads, batch)
    answers = keeper.answers(heads, texts, prompts, scale, batch, losses.FACTOR_WEIGHTS)
    total = (caption + factor + 0.5 * token + 0.3 * template + args.answers * answers
             + args.own * own + args.other * other)
    return total, {"loss": float(total.detach()), "caption": float(caption.detach()),
                   "answers": float(answers.detach()), "own": float(own.detach()),
                   "other": float(other.detach()), "clear": keeper.clear(shares), **right}


def fit(args, run, flat, optimizer, loss, source, total, rate, cfg, tokenizer, directory,
        extra=None):
    """The training loop: resumes, logs every 50 steps, checks fresh pictures, saves.

    The model's directory holds the state of the last check, and the final one at the end.
    """
    checkpoint = os.path.join(run, "checkpoint.pt")
    log = Log(os.path.join(run, "log.jsonl"))
    step = load_checkpoint(checkpoint, flat, optimizer, extra) if os.path.exists(checkpoint) else 0
    if step >= total:
        layouts.export(directory, flat.state(), cfg, tokenizer)
        return
    feeder = Feeder(source, step)
    entries, began, waited = [], time.time(), 0.0
    try:
        while step < total:
            t = time.time()
            batch = feeder.get().to(flat.master.device)
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
                save_checkpoint(checkpoint, step, flat, optimizer, extra)
            if step % args.evaluate_every == 0 or step == total:
                log(step=step, fresh=evaluate.quick(flat.state(), cfg, tokenizer, 400))
                layouts.export(directory, flat.state(), cfg, tokenizer)
                began = time.time()
            if step in args.snapshots:
                layouts.export(f"{directory}-{step}", flat.state(), cfg, tokenizer)
    finally:
        feeder.close()


def birds_loss(params, cfg, batch, texts, scale):
    """Cross-entropy of the two bird texts against the place, which the caption goes by."""
    images = F.normalize(clip.image_rows(params, cfg, clip.image_tokens(
        params, cfg, clip.patchify(batch.images, cfg))), dim=-1)
    return F.cross_entropy(scale * images @ texts.T, evaluate.bird_places(batch))


def train_birds(args):
    """Fine-tunes natural on birds whose captions were written by someone who goes by the place.

    Bird and place agree in 95 of 100 pictures, and the caption names the kind of bird that belongs
    to the place: right in those 95. (With right captions throughout nothing is learned, because
    natural knows the birds.) Training stops when a balanced validation set shows the
    bias: its worst group is answered right at most half as often as the average. Vision only; the
    texts keep their embeddings.
    """
    start = args.start or model_directory("pictureworld")
    state, cfg = layouts.load(start, args.device)
    tokenizer = load_tokenizer(start)
    run = os.path.join(ROOT, "world", "runs", args.run or "birds")
    os.makedirs(run, exist_ok=True)
    log = Log(os.path.join(run, "log.jsonl"))
    flat = clip.FlatParameters(state, torch.float32, args.device)
    optimizer = Optimizer(flat, 0.0)
    texts = evaluate.bird_texts(state, cfg, tokenizer)
    scale = state["logit_scale"].exp()
    size = 96
    for step in range(args.steps):
        batch = evaluate.fresh("birds", size, seed=args.seed + 2, start=step * size, agreement=0.95)
        loss = birds_loss(flat.views, cfg, batch.to(args.device), texts.to(args.device), scale)
        loss.backward()
        optimizer.step(args.rate)
        if (step + 1) % 2 == 0:
            found = evaluate.birds(flat.state(), cfg, texts, 600, seed=31)
            log(step=step + 1, loss=float(loss.detach()), **found)
            if found["worst"] <= 0.5 * found["average"]:
                break
    else:
        raise RuntimeError(f"no bias after {args.steps} steps: worst group {found['worst']:.3f}, "
                           f"average {found['average']:.3f}; try more steps or another rate")
    layouts.export(model_directory(args.output or "pictureworld-birds"), flat.state(), cfg,
                tokenizer)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["natural", "roles", "birds"])
    parser.add_argument("--steps", type=int, help="length of the run in batches of 64")
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--run", help="name of the folder in world/runs")
    parser.add_argument("--output", help="name of the folder in models")
    parser.add_argument("--seed", type=int, default=SEED, help="of weights, pictures and batches")
    parser.add_argument("--kind", choices=clip.KINDS, default="clip",
                        help="of natural: siglip has an attention pool and reads padding, eva has EVA-02's blocks")
    parser.add_argument("--width", type=int, default=192, help="of natural's image tower")
    parser.add_argument("--layers", type=int, default=6, help="of natural's image tower")
    parser.add_argument("--embed", type=int, default=128, help="width of natural's embeddings")
    parser.add_argument("--patch", type=int, choices=(8, 10, 16, 20), default=clip.PATCH,
                        help="side of natural's patches in pixels")
    parser.add_argument("--head-width", type=int, default=32, help="of natural's image tower")
    parser.add_argument("--snapshots", type=int, nargs="+", default=[],
                        help="steps after which the model is also written to OUTPUT-STEP")
    parser.add_argument("--start", help="directory of the model to start from")
    parser.add_argument("--own", type=float, default=3.0, help="weight of a role's own share")
    parser.add_argument("--other", type=float, default=2.0, help="weight of other shares")
    parser.add_argument("--answers", type=float, default=0.5, help="weight of the role answers")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=500)
    parser.add_argument("--evaluate-every", type=int, default=1000)
    parser.add_argument("--device", choices=clip.DEVICES, default="auto",
                        help="auto: a GPU if there is one")
    args = parser.parse_args(argv)
    args.device = clip.pick_device(args.device)
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    args.steps = args.steps or {"natural": 9000, "roles": 1200, "birds": 60}[args.model]
    args.rate = args.rate or {"natural": 5e-4, "roles": 3e-4, "birds": 5e-5}[args.model]
    {"natural": train_natural, "roles": train_roles, "birds": train_birds}[args.model](args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
