"""Small models on which the confidence of labels is fitted and checked.

    python -m bench.truth.models build/truth/models    # a few minutes of a core for each

Trained models of other seeds, depths, widths, head widths, patches and embeddings than the shipped
ones, each also after a few steps of its training, and models of random weights.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import subprocess
import sys

from bench.truth.stores import ROOT

STEPS = 3000
SNAPSHOTS = (6, 60, 300, 1000)
# name: seed, width, layers, width of a head, of the embedding, side of a patch
TRAINED = {
    "m1": (901, 96, 4, 32, 64, 16), "m2": (902, 128, 6, 32, 96, 16),
    "m3": (903, 192, 4, 32, 128, 20), "m4": (904, 64, 8, 16, 64, 16),
    "m5": (905, 128, 5, 64, 96, 10), "m6": (906, 96, 3, 16, 128, 20),
    "m7": (907, 128, 6, 32, 64, 20), "m8": (908, 192, 6, 64, 128, 16),
}
RANDOM = {
    "r1": (71, 192, 6, 32, 128, 10), "r2": (72, 96, 4, 32, 64, 16),
    "r3": (73, 128, 8, 32, 96, 20), "r4": (74, 256, 3, 32, 128, 16),
}


def train(name, folder):
    """Trains a model and its snapshots into `folder`; goes on where it was stopped."""
    seed, width, layers, head, embed, patch = TRAINED[name]
    subprocess.run([sys.executable, "-m", "world.train", "natural", "--seed", str(seed), "--width",
                    str(width), "--layers", str(layers), "--head-width", str(head), "--embed",
                    str(embed), "--patch", str(patch), "--steps", str(STEPS), "--snapshots",
                    *map(str, SNAPSHOTS), "--evaluate-every", str(10 * STEPS), "--save-every",
                    "200", "--run", name, "--output", name], cwd=ROOT, check=True)
    for made in (name, *(f"{name}-{step}" for step in SNAPSHOTS)):
        shutil.move(ROOT / "models" / made, folder / made)


def untrained(name, folder):
    from world import layouts
    from world import model as clip
    from world.tokenizer import Tokenizer
    seed, width, layers, head, embed, patch = RANDOM[name]
    tokenizer = Tokenizer.load(ROOT / "models" / "pictureworld")
    config = clip.config(tokenizer.vocab_size, width, layers, embed=embed, patch=patch,
                         head_width=head)
    layouts.export(str(folder / name), layouts.initial_state(config, seed), config, tokenizer)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", nargs="+", choices=[*TRAINED, *RANDOM],
                        default=[*RANDOM, *TRAINED])
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        if (args.folder / name).exists():
            continue
        (train if name in TRAINED else untrained)(name, args.folder)


if __name__ == "__main__":
    main()
