#!/usr/bin/env python3
"""What the recorder costs: a model's forward pass beside the same pass within cliplens.torch.Recorder and factors(), in
one process on this machine's CPU.

    python bench/recorder.py [--models B/16 L/14 SigLIP-B/16] [--batch 8] [--rounds 5]
        [--threads 1] [--json build/recorder.json]

Weights are random: the time does not depend on them. The two take turns, round by round, the first of a round
changing, so that a change of the machine's speed meets both. A ratio is plain/recorded: 1 costs nothing, the aim is
0.95. It is the median over rounds of the ratio within a round, by the clock and by processor time; the second is less
disturbed by other work on the machine.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import open_clip
import torch
import transformers

from cliplens.torch import Recorder

CERTIFICATE = 1e-5


def hugging_face(kind: type, config: Any) -> tuple[torch.nn.Module, int]:
    return kind(config), config.vision_config.image_size


def clip_config(width: int, layers: int, patch: int, embed: int) -> Any:
    tower = dict(hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64,
                 intermediate_size=4 * width)
    text = dict(hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=64)
    return transformers.CLIPConfig(projection_dim=embed, text_config=text,
                                   vision_config=tower | dict(patch_size=patch, image_size=224))


def of_open_clip(name: str) -> Callable[[], tuple[torch.nn.Module, int]]:
    def make() -> tuple[torch.nn.Module, int]:
        model = open_clip.create_model(name, load_weights=False)
        size = model.visual.image_size
        return model, size[0] if isinstance(size, tuple) else size
    return make


# Whole models by their public names; towers of the same sizes from transformers.
MODELS: dict[str, Callable[[], tuple[torch.nn.Module, int]]] = {
    "B/32": of_open_clip("ViT-B-32"),
    "B/16": of_open_clip("ViT-B-16"),
    "L/14": of_open_clip("ViT-L-14"),
    "SigLIP-B/16": of_open_clip("ViT-B-16-SigLIP"),
    "EVA02-B/16": of_open_clip("EVA02-B-16"),
    "PE-Core-T/16-384": of_open_clip("PE-Core-T-16-384"),
    "PE-Core-B/16": of_open_clip("PE-Core-B-16"),
    "CoCa-B/32": of_open_clip("coca_ViT-B-32"),
    "transformers B/16": lambda: hugging_face(transformers.CLIPModel, clip_config(768, 12, 16, 512)),
    "transformers L/14": lambda: hugging_face(transformers.CLIPModel, clip_config(1024, 24, 14, 768)),
}


def embed(model: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    call: Any = model
    if hasattr(model, "encode_image"):
        return call.encode_image(pixels)  # type: ignore[no-any-return]
    return call.get_image_features(pixel_values=pixels).pooler_output  # type: ignore[no-any-return]


def measure(model: torch.nn.Module, pixels: torch.Tensor, rounds: int) -> dict[str, float]:
    recorder = Recorder(model)

    def plain() -> None:
        with torch.inference_mode():
            embed(model, pixels)

    def recorded() -> None:
        with recorder, torch.inference_mode():
            embed(model, pixels)
        recorder.factors()

    plain()
    recorded()
    certificate = float(recorder.certificate().max())
    times: dict[Callable[[], None], list[tuple[float, float]]] = {plain: [], recorded: []}
    for i in range(rounds):
        for run in (plain, recorded) if i % 2 == 0 else (recorded, plain):
            start, busy = time.perf_counter(), time.process_time()
            run()
            times[run].append((time.perf_counter() - start, time.process_time() - busy))
    ratios = [statistics.median(a[k] / b[k] for a, b in zip(times[plain], times[recorded])) for k in (0, 1)]
    seconds = [statistics.median(t for t, _ in times[run]) for run in (plain, recorded)]
    return dict(plain=seconds[0], recorded=seconds[1], clock=ratios[0], processor=ratios[1], certificate=certificate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["B/16", "L/14", "SigLIP-B/16"], choices=MODELS, metavar="MODEL")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {options.threads} threads, batches of {options.batch}, "
          f"{options.rounds} rounds\n")
    print("| model | plain, s | recorded, s | ratio, clock | ratio, processor | certificate |")
    print("|---|---|---|---|---|---|")
    rows = {}
    for name in options.models:
        model, size = MODELS[name]()
        found = rows[name] = measure(model.eval(), torch.randn(options.batch, 3, size, size), options.rounds)
        print(f"| {name} | {found['plain']:.3f} | {found['recorded']:.3f} | {found['clock']:.3f} | "
              f"{found['processor']:.3f} | {found['certificate']:.1e} |", flush=True)
        if found["certificate"] > CERTIFICATE:
            sys.exit(f"{name}: the contributions do not add up to the embedding")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(dict(batch=options.batch, rounds=options.rounds, threads=options.threads,
                                                torch=torch.__version__, models=rows), indent=1) + "\n")


if __name__ == "__main__":
    main()
