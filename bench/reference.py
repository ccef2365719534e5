#!/usr/bin/env python3
"""The decomposition as the paper forms it beside ours: ViT-B/16, all heads and tokens, one run.

    python bench/reference.py --worker build/release/bin/cliplens_bench [--batch 1] [--rounds 3]
        [--model B/16] [--threads 2] [--json build/bench.json]

"Interpreting CLIP's Image Representation via Text-Based Decomposition" (arXiv 2310.05916): each block
writes what every query takes from every key through every head, [B, N, N, H, D], from which the
class token's row is kept and projected. Written here in PyTorch from the definition. A picture of
B/16 takes 1.4 GB a block that way, so it is timed at a batch that memory allows. Ours is timed at the
same batch with the contributions written out in the same size, [B, L, H, N, E], which are compared
number by number, and with the factors that `decompose` stores, which hold as much; and these again as
`decompose` works, 16 pictures at a time, in fp32 and, where the processor has it, in bf16.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import tempfile

import numpy as np

from common import (ROOT, THREADS, Busy, Worker, has_bf16, leave_nothing_when_ended, ratio,
                    save)

MOST_DIFFERENCE = 1e-5
AS_PUBLISHED = "paper"


def serve():
    import torch
    import torch.nn.functional as F

    import systems

    class Published(systems.System):
        def info(self):
            return dict(precisions=["fp32"])

        def forget(self):
            self.model = None

        def load(self, directory, precision):
            self.model = systems.load_clip(directory)

        def setups(self, task, inputs, precision, threads):
            torch.set_num_threads(threads)

            def run():
                with torch.inference_mode():
                    self.heads, self.mlps, rows = decompose(self.model.visual, inputs)
                return rows.numpy()

            return {"per head and token": run}

        def write(self, out):
            files = super().write(out)["files"]
            for name, value in (("contributions", self.heads), ("mlp", self.mlps)):
                files[name] = f"{out}.{name}.npy"
                np.save(files[name], value.numpy())
            return dict(files=files)

    def decompose(visual, pixels):
        """pixels [B, 3, S, S] → heads [B, L, N, H, E], INPUT and MLPs [B, L+1, E], rows [B, E]."""
        x = visual.conv1(pixels).flatten(2).transpose(1, 2)
        first = visual.class_embedding.expand(len(x), 1, -1)
        x = visual.ln_pre(torch.cat([first, x], 1) + visual.positional_embedding)
        batch, tokens, width = x.shape
        blocks = visual.transformer.resblocks
        heads = blocks[0].attn.num_heads
        terms, written = [x[:, 0]], []
        for block in blocks:
            attention = block.attn
            qkv = F.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
            q, k, v = (part.reshape(batch, tokens, heads, -1).transpose(1, 2)
                       for part in qkv.chunk(3, -1))
            pattern = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
            taken = torch.einsum("bhnm,bhmk->bnmhk", pattern, v)
            weight = attention.out_proj.weight.reshape(width, heads, -1)
            by_head = torch.einsum("bnmhk,dhk->bnmhd", taken, weight)  # [B, N, N, H, D]
            bias = attention.out_proj.bias
            written.append(by_head[:, 0] + bias / (tokens * heads))
            x = x + by_head.sum((2, 3)) + bias
            del taken, by_head
            mlp = block.mlp(block.ln_2(x))
            terms.append(mlp[:, 0])
            x = x + mlp
        last = x[:, 0]
        mean = last.mean(-1)
        sigma = (last.var(-1, unbiased=False) + visual.ln_post.eps).sqrt()
        rows = visual.ln_post(last) @ visual.proj
        norm = rows.norm(dim=-1)
        components = 2 * len(blocks) + 1

        def share(parts, count):
            """Each part through the last norm and the projection; constants divided by count."""
            shape = (batch,) + (1,) * (parts.dim() - 1)
            scaled = (parts - mean.reshape(shape) / count) / sigma.reshape(shape)
            scaled = visual.ln_post.weight * scaled + visual.ln_post.bias / count
            return scaled @ visual.proj / norm.reshape(shape)

        return (share(torch.stack(written, 1), components * heads * tokens),
                share(torch.stack(terms, 1), components), rows)

    systems.answer_commands(Published())


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", type=pathlib.Path,
                        default=ROOT / "build/release/bin/cliplens_bench")
    parser.add_argument("--model", choices=("B/32", "B/16", "L/14"), default="B/16")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench.json")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve()

    import inputs
    leave_nothing_when_ended()
    busy = Busy()
    # Seconds a picture: the paper's way, ours at its batch, ours as it works.
    own = max(16, options.batch)
    runs = {"contributions": ("contributions", "fp32", options.batch),
            "decompose": ("decompose", "fp32", options.batch),
            f"decompose, batch {own}": ("decompose", "fp32", own)}
    if has_bf16():
        runs[f"decompose, batch {own}, bf16"] = ("decompose", "bf16", own)
    seconds = {name: [] for name in (AS_PUBLISHED, *runs)}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        config = inputs.model_config(options.model)
        model = inputs.write_model(folder / "model", config)
        side = config["vision_cfg"]["image_size"]
        pixels = inputs.write_pixels(folder / "pixels.npy", own, side)
        ours = Worker("cliplens", [options.worker])
        theirs = Worker(AS_PUBLISHED, [sys.executable, ROOT / "bench/reference.py", "--serve"])
        command = dict(op="prepare", model=str(model), threads=options.threads, pixels=str(pixels))
        theirs.ask(**command, precision="fp32", batch=options.batch, task="image")
        files = {}
        for _ in range(options.rounds):
            seconds[AS_PUBLISHED].append(theirs.time(1)[0] / options.batch)
            for name, (task, precision, batch) in runs.items():
                ours.ask(**command, precision=precision, batch=batch, task=task)
                ours.time(1)  # warms
                seconds[name].append(ours.time(3)[0] / batch)
                if task == "contributions" and task not in files:
                    files[task] = ours.ask(op="write", out=str(folder / "ours"))["files"]
        files[AS_PUBLISHED] = theirs.ask(op="write", out=str(folder / "paper"))["files"]
        ours.close()
        theirs.close()
        read = {name: {k: np.load(v) for k, v in f.items()} for name, f in files.items()}
        mine, published = read["contributions"], read[AS_PUBLISHED]
        heads = np.abs(mine["contributions"].transpose(0, 1, 3, 2, 4)
                       - published["contributions"]).max()
        mlps = np.abs(mine["mlp"].transpose(1, 0, 2) - published["mlp"]).max()
        if not max(heads, mlps) <= MOST_DIFFERENCE:
            sys.exit(f"the contributions differ by {heads:.1e} (heads), {mlps:.1e} (MLPs)")
        if not np.abs(published["contributions"]).max() > 100 * MOST_DIFFERENCE:
            sys.exit("the contributions are too small to compare")
    print(f"{options.model}, batch {options.batch}, {options.threads} threads; contributions differ "
          f"by {max(heads, mlps):.1e} at most")
    for task in seconds:
        middle, least, most = ratio(seconds[AS_PUBLISHED], seconds[task])
        print(f"{task:26} {1 / statistics.median(seconds[task]):8.3f} pictures/s   "
              f"{middle:.1f} x the paper's way ({least:.1f} to {most:.1f})")
    save(options.json, "reference",
         dict(model=options.model, batch=options.batch, threads=options.threads, seconds=seconds,
              difference=float(max(heads, mlps)), others=busy.share()))


if __name__ == "__main__":
    main()
