"""Compares `cliplens preprocess` with open_clip's image transform and with transformers'
CLIPImageProcessorPil and, by --resize-backend torchvision, CLIPImageProcessor, each for models of its own
kind: every float must be equal.

    python tests/parity/pixels.py [--cliplens build/release/bin/cliplens]

Makes about 300 pictures of odd kinds (odd_pictures.py) and small model directories, one for each
setting below; runs the verb once for each picture and setting. Needs pillow, numpy, torch,
torchvision, open_clip_torch and transformers. Exits with 1 on a difference.
"""

from __future__ import annotations

import argparse
import collections
import io
import pathlib
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable

import numpy as np
import open_clip
import PIL
import torch
import torchvision
import transformers
from open_clip.transform import image_transform
from PIL import Image
from transformers import CLIPImageProcessor, CLIPImageProcessorPil

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from hugging_face import write_clip_model  # noqa: E402
from models import write_model as write_random_model  # noqa: E402
from odd_pictures import pictures  # noqa: E402

OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
SETTINGS = {
    "80-shortest": dict(size=80, interpolation="bicubic", resize_mode="shortest"),
    "224-shortest": dict(size=224, interpolation="bicubic", resize_mode="shortest"),
    "336-shortest": dict(size=336, interpolation="bicubic", resize_mode="shortest"),
    "56-bilinear": dict(size=56, interpolation="bilinear", resize_mode="shortest", mean=HALF, std=HALF),
    "224-squash": dict(size=224, interpolation="bicubic", resize_mode="squash", mean=HALF, std=HALF),
    "240-squash-bilinear": dict(size=240, interpolation="bilinear", resize_mode="squash"),
    "80-longest": dict(size=80, interpolation="bicubic", resize_mode="longest"),
    "224-longest-fill": dict(size=224, interpolation="bilinear", resize_mode="longest", fill_color=127),
}
# preprocessor_config.json of Hugging Face directories.
HUGGING_FACE = {
    "hf-224": dict(feature_extractor_type="CLIPFeatureExtractor", size=224, crop_size=224, resample=3,
                   do_resize=True, do_center_crop=True, do_normalize=True, image_mean=OPENAI_MEAN,
                   image_std=OPENAI_STD),
    "hf-79-of-96-bilinear": dict(size={"shortest_edge": 96}, crop_size={"height": 79, "width": 79},
                                 resample=2, image_mean=HALF, image_std=0.5, rescale_factor=1 / 127.5),
    "hf-56-framed-to-64": dict(size=56, crop_size=64, do_rescale=False, do_normalize=False),
    "hf-squash": dict(size={"height": 48, "width": 48}, do_center_crop=False),
    "hf-no-resize": dict(do_resize=False, crop_size=64),
}
# The reference makes the whole resized picture before it crops; above this it would take gigabytes.
MOST_PIXELS = 60_000_000


def write_model(folder: pathlib.Path, setting: dict) -> None:
    preprocess = dict(mean=OPENAI_MEAN, std=OPENAI_STD, fill_color=0, mode="RGB") | setting
    model = dict(embed_dim=8,
                 vision_cfg=dict(image_size=setting["size"], patch_size=8, head_width=8, layers=1,
                                 width=8),
                 text_cfg=dict(context_length=8, vocab_size=520, width=8, heads=1, layers=1))
    write_random_model(folder, seed=0, dtype=torch.float32, vocabulary=None, model_cfg=model,
                       preprocess_cfg=preprocess)


def resized_pixels(width: int, height: int, side: int, shortest: bool) -> float:
    return side ** 2 * (max(width, height) / min(width, height) if shortest else 1)


class OpenClip:
    """A model directory of open_clip and its transform."""

    def __init__(self, folder: pathlib.Path, setting: dict):
        arguments = dict(setting)
        self.side = arguments.pop("size")
        self.shortest = setting["resize_mode"] == "shortest"
        self.transform = image_transform(self.side, is_train=False, **arguments)
        if not folder.exists():
            write_model(folder, setting)

    def __call__(self, image: Image.Image) -> np.ndarray:
        return self.transform(image).numpy()


class HuggingFace:
    """A model directory of transformers and its image processor, by one of its two backends."""

    def __init__(self, folder: pathlib.Path, setting: dict, processor=CLIPImageProcessorPil):
        size = setting.get("size", 224)
        self.side = size if isinstance(size, int) else max(size.values())
        self.shortest = isinstance(size, int) or "shortest_edge" in size
        crop = setting.get("crop_size", self.side)
        crop = crop if isinstance(crop, int) else crop["height"]
        if not folder.exists():
            write_clip_model(folder, 520, 8, 519, image_size=crop, **setting)
        self.processor = processor.from_pretrained(folder)

    def __call__(self, image: Image.Image) -> np.ndarray:
        return self.processor(image, return_tensors="np")["pixel_values"][0].astype(np.float32)


def by_program(path: str) -> Callable[..., tuple[int, str]]:
    """Runs the program: its exit status, and what it said of an error."""
    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run([path, *arguments], capture_output=True, text=True)
        return done.returncode, done.stderr.strip()
    return run


def by_package(*arguments: str) -> tuple[int, str]:
    """The same by the installed package, which runs the program's code and starts no process."""
    from cliplens import Error, _core

    try:
        _core.run([argument.encode() for argument in arguments])
    except Error as error:
        return 1, f"{error.code}: {error}"
    return 0, ""


def compare(run: Callable[..., tuple[int, str]], folder: pathlib.Path, seed: int, only: str = "",
            settings: dict | None = None) -> tuple[collections.Counter, collections.Counter]:
    """Every picture under every setting, in `folder`; prints what differs. Returns how many came
    out how, and of those that are equal how many of each format."""
    counts: collections.Counter[str] = collections.Counter()
    kinds: collections.Counter[str] = collections.Counter()
    references = {}
    for name, setting in (settings or SETTINGS | HUGGING_FACE).items():
        directory = folder / f"model-{name}"
        kind = HuggingFace if name in HUGGING_FACE else OpenClip
        references[name] = kind(directory, setting), directory, []
        if kind is HuggingFace:
            references[name + "-torchvision"] = (kind(directory, setting, CLIPImageProcessor), directory,
                                                 ["--resize-backend", "torchvision"])
    for file_name, data in pictures(seed):
        picture = folder / file_name
        picture.write_bytes(data)
        try:
            size = Image.open(io.BytesIO(data)).size
        except OSError:  # cut off in its header; both must refuse it
            size = (1, 1)
        for name, (reference, directory, options) in references.items():
            label = f"{file_name} at {name}"
            if only not in label:
                continue
            if resized_pixels(*size, reference.side, reference.shortest) > MOST_PIXELS:
                counts["left out (reference would need gigabytes)"] += 1
                continue
            out = folder / "x.npy"
            out.unlink(missing_ok=True)
            status, said = run("preprocess", str(directory), *options, "--image", str(picture), "--out", str(out))
            try:
                wanted = reference(Image.open(io.BytesIO(data)))
            except OSError as error:  # Pillow calls the file cut off or broken
                if status != 0:
                    counts["refused by both"] += 1
                else:
                    counts["FAILED"] += 1
                    print(f"{label}: read, but Pillow: {error}")
                continue
            except ValueError as error:  # a side that rounds to 0
                if status == 0:
                    counts["refused by the reference alone"] += 1
                else:
                    counts["FAILED"] += 1
                    print(f"{label}: {said}; reference: {error}")
                continue
            if status != 0:
                counts["FAILED"] += 1
                print(f"{label}: exit {status}: {said}")
                continue
            got = np.load(out)
            if got.dtype == np.float32 and got.shape == wanted.shape and np.array_equal(got, wanted):
                counts["equal"] += 1
                kinds[file_name.split("-")[0]] += 1
            else:
                counts["DIFFERENT"] += 1
                where = "" if got.shape != wanted.shape else (
                    f", {np.count_nonzero(got != wanted)} of {got.size} floats, largest difference "
                    f"{np.abs(got - wanted).max():.4g}")
                print(f"{label}: {got.shape} {got.dtype} against {wanted.shape}{where}")
        counts["pictures"] += 1
    return counts, kinds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cliplens", help="the program, in place of the installed package")
    parser.add_argument("--seed", type=int, default=20240)
    parser.add_argument("--only", default="", help="part of a picture's or a setting's name")
    parser.add_argument("--keep", help="folder to keep the pictures and models in")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")

    print(f"Pillow {PIL.__version__}, torchvision {torchvision.__version__}, "
          f"open_clip {open_clip.__version__}, transformers {transformers.__version__}, seed {options.seed}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(options.keep or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        counts, kinds = compare(by_program(options.cliplens) if options.cliplens else by_package, folder, options.seed, options.only)
    print(dict(counts), "equal by format:", dict(kinds))
    return 1 if counts["DIFFERENT"] or counts["FAILED"] or not counts["equal"] else 0


if __name__ == "__main__":
    sys.exit(main())
