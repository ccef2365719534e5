#!/usr/bin/env python3
"""cliplens.torch.Recorder on a GPU: factors against the CPU's, what recording costs, pictures a second.

    python bench/gpu/recorder.py [--device cuda] [--seconds 420] [--out DIRECTORY] [--small] [--models NAME ...]

Needs torch and transformers; open_clip's models are measured too where open_clip is installed. Weights are random.
`--small` takes small models and few pictures, to try the script itself on a CPU. See README.md beside it.
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

import torch
import transformers

from cliplens.torch import Factors, Recorder
from cliplens.torch.attention import half_product

# Of fp32 with TF32 off; of bf16 the model itself rounds at 2^-9 in each block.
LIMITS = {"fp32": dict(certificate=1e-5, contributions=1e-4), "bf16": dict(certificate=0.03, contributions=0.05)}
AIM = 0.95
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SIZES = {"B/16": (12, 768, 16, 512), "L/14": (24, 1024, 14, 768), "SigLIP-B/16": (12, 768, 16, 768)}
SMALL = (2, 128, 16, 64)


def transformers_model(name: str, small: bool) -> tuple[torch.nn.Module, int]:
    layers, width, patch, embed = SMALL if small else SIZES[name]
    side = 64 if small else 224
    tower = dict(hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64,
                 intermediate_size=4 * width, patch_size=patch, image_size=side)
    if name.startswith("SigLIP"):
        return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**tower)), side
    config = transformers.CLIPVisionConfig(**tower, projection_dim=embed)
    return transformers.CLIPVisionModelWithProjection(config), side


def open_clip_model(name: str, small: bool) -> tuple[torch.nn.Module, int]:
    import open_clip
    layers, width, patch, embed = SMALL if small else SIZES[name]
    side = 64 if small else 224
    return open_clip.CLIP(
        embed_dim=embed, vision_cfg=dict(image_size=side, patch_size=patch, layers=layers, width=width),
        text_cfg=dict(context_length=8, vocab_size=64, width=64, heads=1, layers=1)), side


def models() -> dict[str, Callable[[bool], tuple[torch.nn.Module, int]]]:
    found: dict[str, Callable[[bool], tuple[torch.nn.Module, int]]] = {}
    for name in ("B/16", "L/14", "SigLIP-B/16"):
        found[f"transformers {name}"] = lambda small, name=name: transformers_model(name, small)  # type: ignore[misc]
    try:
        import open_clip  # noqa: F401
    except ImportError:
        return found
    for name in ("B/16", "L/14"):
        found[f"open_clip {name}"] = lambda small, name=name: open_clip_model(name, small)  # type: ignore[misc]
    return found


def make_trained_like(model: torch.nn.Module) -> None:
    """Fresh weights hide mistakes: attention is even, gains are 1, biases 0."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            normal = torch.randn(value.shape, generator=random)
            if "norm" in name or "ln_" in name:
                value.copy_(0.3 * normal + (0 if name.endswith("bias") else 1))
            elif value.dim() < 2:
                value.copy_(0.2 * normal)
            else:
                peaked = any(part in name for part in ("q_proj", "k_proj", "in_proj"))
                value.copy_(normal * value[0].numel() ** -0.5 * (1.5 if peaked else 0.8))


def embed(model: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    call: Any = model
    if hasattr(model, "encode_image"):
        return call.encode_image(pixels)  # type: ignore[no-any-return]
    out = call(pixel_values=pixels)
    return out.image_embeds if hasattr(out, "image_embeds") else out.pooler_output  # type: ignore[no-any-return]


def record(model: torch.nn.Module, pixels: torch.Tensor) -> tuple[Recorder, Factors]:
    recorder = Recorder(model)
    with recorder, torch.inference_mode():
        embed(model, pixels)
    return recorder, recorder.factors()


class Clock:
    def __init__(self, device: torch.device):
        self.device = device

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def of(self, run: Callable[[], None]) -> float:
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start


def speed(model: torch.nn.Module, pixels: torch.Tensor, device: torch.device, rounds: int) -> dict[str, float]:
    """Plain and recorded in turn, batch by batch."""
    recorder, clock = Recorder(model), Clock(device)

    def plain() -> None:
        with torch.inference_mode():
            embed(model, pixels)

    def recorded() -> None:
        with recorder, torch.inference_mode():
            embed(model, pixels)
        recorder.factors()

    for run in (plain, recorded, plain, recorded):
        run()
    times: dict[Callable[[], None], list[float]] = {plain: [], recorded: []}
    memory = {}
    for i in range(rounds):
        for run in (plain, recorded) if i % 2 == 0 else (recorded, plain):
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            times[run].append(clock.of(run))
            if device.type == "cuda":
                memory[run] = torch.cuda.max_memory_allocated() / 2**30
    ratio = statistics.median(a / b for a, b in zip(times[plain], times[recorded]))
    found = dict(ratio=ratio, plain=len(pixels) / statistics.median(times[plain]),
                 recorded=len(pixels) / statistics.median(times[recorded]))
    if memory:
        found |= dict(plain_gib=memory[plain], recorded_gib=memory[recorded])
    return found


def measure(make: Callable[[bool], tuple[torch.nn.Module, int]], options: argparse.Namespace,
            show: Callable[[str, dict[str, float]], None]) -> None:
    device = torch.device(options.device)
    model, side = make(options.small)
    make_trained_like(model.eval())
    random = torch.Generator().manual_seed(2)
    few = torch.randn(2 if options.small else 8, 3, side, side, generator=random)
    here, wanted = record(model, few)  # on the CPU, in fp32
    exact = wanted.contributions(here.basis())
    for name, dtype in TYPES.items():
        model.to(device, dtype)
        recorder, got = record(model, few.to(device, dtype))
        heads = got.contributions(recorder.basis()).cpu()
        found = dict(certificate=float(recorder.certificate().max()),
                     contributions=float((heads - exact).norm() / exact.norm()),
                     largest=float((heads - exact).abs().max()),
                     embedding=float((got.embedding.cpu() - wanted.embedding).abs().max()))
        pixels = torch.randn(4 if options.small else options.batch, 3, side, side, device=device, dtype=dtype)
        found |= speed(model, pixels, device, 3 if options.small else options.rounds)
        show(name, found)
        del recorder, got, heads, pixels
    model.to("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--models", nargs="+", choices=models(), metavar="NAME")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=420, help="no model is begun after so many")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build"))
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device; to try the script: --device cpu --small")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    start = time.monotonic()
    device = torch.cuda.get_device_name() if options.device == "cuda" else options.device
    print(f"{device}, torch {torch.__version__}, transformers {transformers.__version__}, batches of {options.batch}\n")
    ones = torch.ones(1, 8, 8, dtype=torch.bfloat16, device=options.device)
    print(f"products of halves with float32 results: {'no' if half_product(ones, ones) is None else 'yes'}\n")
    print("| model | type | ratio | plain, pictures/s | recorded, pictures/s | certificate | contributions, relative "
          "| largest difference | embedding | GiB, plain | GiB, recorded |")
    print("|---" * 11 + "|")
    rows: dict[str, dict[str, float]] = {}
    failures: list[str] = []
    for name, make in models().items():
        if options.models and name not in options.models:
            continue
        if time.monotonic() - start > options.seconds:
            print(f"left out for want of time: {name}")
            continue

        def show(kind: str, found: dict[str, float], name: str = name) -> None:
            rows[f"{name}, {kind}"] = found
            print(f"| {name} | {kind} | {found['ratio']:.3f} | {found['plain']:.0f} | {found['recorded']:.0f} | "
                  f"{found['certificate']:.1e} | {found['contributions']:.1e} | {found['largest']:.1e} | "
                  f"{found['embedding']:.1e} | {found.get('plain_gib', 0):.1f} | {found.get('recorded_gib', 0):.1f} |",
                  flush=True)
            failures.extend(f"{name}, {kind}: {what} {found[what]:.2g} is more than {limit:g}"
                            for what, limit in LIMITS[kind].items() if not found[what] <= limit)

        measure(make, options, show)
    slow = [name for name, found in rows.items() if found["ratio"] < AIM]
    print(f"\n{time.monotonic() - start:.0f} s; below the aim of {AIM}: {', '.join(slow) or 'none'}")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "recorder-gpu.json").write_text(json.dumps(dict(device=device, torch=torch.__version__,
                                                                   rows=rows), indent=1) + "\n")
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
