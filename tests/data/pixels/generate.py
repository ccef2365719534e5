"""Writes the pictures of this folder and expected.json, what Pillow, torchvision, open_clip and
transformers make of them, for tests that run without Python.

    python tests/data/pixels/generate.py

Needs pillow 13, numpy, torch, torchvision, open_clip_torch and transformers. All sums are CRC-32: of the pixels in
Pillow's mode (bilevel and palette one byte a pixel, I;16 little-endian), of the pixels as RGB, and
of the float32 tensor of each setting.
"""

from __future__ import annotations

import io
import json
import pathlib
import sys
import warnings
import zlib

import numpy as np
from open_clip.transform import image_transform
from PIL import Image
from transformers import CLIPImageProcessorPil

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "parity"))
from odd_pictures import pictures  # noqa: E402

SEED = 7
NAMES = [
    "jpeg-444-17x13.jpg", "jpeg-422-17x13.jpg", "jpeg-420-63x129.jpg", "jpeg-progressive-63x129.jpg",
    "jpeg-grey-17x13.jpg", "jpeg-cmyk-17x13.jpg", "jpeg-ycck-63x129.jpg", "jpeg-420-1x1.jpg",
    "jpeg-restart.jpg", "jpeg-rgb-planes.jpg", "jpeg-exif-6.jpg", "jpeg-440-odd.jpg",
    "jpeg-411-odd.jpg", "jpeg-short-scan.jpg", "jpeg-thin-2x900.jpg",
    *(f"png-{depth}-{color}-9x33{suffix}.png"
      for depth, color in [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3),
                           (4, 3), (8, 3), (8, 4), (16, 4), (8, 6), (16, 6)]
      for suffix in ("", "-interlaced")),
    "png-palette-4-alphas.png", "png-palette-8-one-clear.png", "png-grey-16-clear-color.png",
    "png-clear-1-0-0000.png", "png-clear-16-0-0100.png", "png-clear-8-2-000000000000.png",
    "png-extra-chunks.png", "png-animated.png", "png-thin-L-1x5000.png", "png-thin-RGB-3000x7.png",
    "webp-lossy-17x13.webp", "webp-lossless-17x13.webp", "webp-alpha-17x13.webp",
    "webp-alpha-lossless-17x13.webp", "webp-lossy-1x1.webp", "webp-animated-alpha.webp",
]
SETTINGS = {
    "32-shortest": dict(size=32, interpolation="bicubic", resize_mode="shortest"),
    "24-bilinear": dict(size=24, interpolation="bilinear", resize_mode="shortest"),
    "20-squash": dict(size=20, interpolation="bicubic", resize_mode="squash"),
    "28-longest": dict(size=28, interpolation="bicubic", resize_mode="longest", fill_color=127),
}
# preprocessor_config.json
HUGGING_FACE = {
    "plain": dict(feature_extractor_type="CLIPFeatureExtractor", size=32, crop_size=32),
    "cut": dict(size={"shortest_edge": 40}, crop_size={"height": 27, "width": 27}, resample=2,
                image_mean=[0.5, 0.5, 0.5], image_std=[0.25, 0.5, 1], rescale_factor=0.00784313725490196),
    "framed": dict(size=20, crop_size=33, do_rescale=False, do_normalize=False),
    "squash": dict(size={"height": 24, "width": 24}, do_center_crop=False),
    "cut-alone": dict(do_resize=False, crop_size=30),
}


def crc(array) -> int:
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def main() -> None:
    warnings.filterwarnings("ignore")
    for old in HERE.iterdir():
        if old.suffix in (".jpg", ".png", ".webp"):
            old.unlink()
    made = dict(pictures(SEED))
    processors = {name: CLIPImageProcessorPil.from_dict(dict(setting))
                  for name, setting in HUGGING_FACE.items()}
    expected = []
    for name in NAMES:
        data = made[name]
        (HERE / name).write_bytes(data)
        image = Image.open(io.BytesIO(data))
        image.load()
        own = image.convert("L") if image.mode == "1" else image
        entry = dict(file=name, mode=image.mode, width=image.width, height=image.height,
                     pixels=crc(np.asarray(own)), rgb=crc(image.convert("RGB")), tensors={})
        for setting, arguments in SETTINGS.items():
            arguments = dict(arguments)
            transform = image_transform(arguments.pop("size"), is_train=False, **arguments)
            try:
                entry["tensors"][setting] = crc(transform(Image.open(io.BytesIO(data))).numpy())
            except ValueError:  # a side that rounds to 0
                entry["tensors"][setting] = None
        entry["hugging_face"] = {
            name: crc(processor(Image.open(io.BytesIO(data)), return_tensors="np")["pixel_values"][0]
                      .astype(np.float32))
            for name, processor in processors.items()}
        expected.append(entry)
    # A resize along one axis at a time is the order of Pillow 12.
    tall = Image.open(io.BytesIO(made["jpeg-420-63x129.jpg"])).convert("RGB")
    orders = dict(pillow13=crc(tall.resize((40, 40), Image.Resampling.BICUBIC)),
                  pillow12=crc(tall.resize((40, 129), Image.Resampling.BICUBIC).resize(
                      (40, 40), Image.Resampling.BICUBIC)))
    lines = ",\n".join(json.dumps(entry) for entry in expected)
    (HERE / "expected.json").write_text(
        f'{{"orders": {json.dumps(orders)},\n"hugging_face": {json.dumps(HUGGING_FACE)},\n"pictures": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
