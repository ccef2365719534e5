"""Builds the sprites and backgrounds of the picture world from the installed drawings.

Writes world/assets/sprites.npz (premultiplied RGBA, one array per size) and backgrounds.npy.
"""

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from world.backgrounds import BACKGROUNDS, VARIANTS, draw_background
from world.objects import DRAWING, OBJECTS

ROOT = Path(__file__).resolve().parent
ASSETS = ROOT / "assets"
SIDES = {"tiny": 20, "small": 30, "large": 40, "huge": 60}
SCALE = 4  # sprites are styled at four times their size and then averaged down

# style -> the icon set whose art it shows. Two sets, five styles: the object in a held-out (object,
# style) pair is still seen in training as the same art in another style.
STYLE_ART = {
    "cartoon": "noto",
    "neon": "noto",
    "flat": "fluent-emoji-flat",
    "sketch": "fluent-emoji-flat",
    "stamp": "fluent-emoji-flat",
}

OUTLINE = (28, 22, 30)
PAPER, PENCIL = (250, 246, 236), (52, 50, 60)
NIGHT = (20, 12, 34)
INK, CREAM = (190, 24, 60), (255, 232, 208)


class BuildError(RuntimeError):
    """The world cannot be built; the message says what to do."""


def render_drawings():
    """Renders every drawing in use and returns {icon set: folder of PNG files}."""
    folders = {}
    names = [DRAWING[name] for name in OBJECTS]
    for art in sorted(set(STYLE_ART.values())):
        source = ROOT / "node_modules" / "@iconify-json" / art / "icons.json"
        if not source.exists():
            raise BuildError(f"{source.relative_to(ROOT.parent)} is missing: run `make world`, "
                             "which installs the drawings with `npm ci`")
        folder = ASSETS / "drawings" / art
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "current").unlink(missing_ok=True)
        tries = {}
        while any(not (folder / f"{name}.png").exists() for name in names):
            run = subprocess.run(
                ["node", str(ROOT / "render.mjs"), str(source), str(folder), *names],
                cwd=ROOT, capture_output=True, text=True, check=False)
            if run.returncode == 0:
                break
            current = folder / "current"
            name = current.read_text() if current.exists() else ""
            tries[name] = tries.get(name, 0) + 1
            if not name or tries[name] == 3:
                raise BuildError(f"the renderer failed on {art}/{name or '?'}: "
                                 f"{run.stderr.strip()[-400:]}")
        folders[art] = folder
    return folders


def fit(image, side, margin):
    """The drawing without its empty rim, centred in a square of `side` with `margin` left free."""
    image = image.crop(image.getchannel("A").point(lambda a: 255 if a > 24 else 0).getbbox())
    room = side - 2 * margin
    factor = room / max(image.size)
    size = [max(1, round(n * factor)) for n in image.size]
    premultiplied = image.convert("RGBa").resize(size, Image.LANCZOS).convert("RGBA")
    out = Image.new("RGBA", (side, side))
    out.paste(premultiplied, ((side - size[0]) // 2, (side - size[1]) // 2))
    return out


def dilate(mask, pixels):
    """`mask` (L image) grown by `pixels` on every side."""
    while pixels > 0:
        step = min(pixels, 3)
        mask = mask.filter(ImageFilter.MaxFilter(2 * step + 1))
        pixels -= step
    return mask


def edges(image, width, threshold=0.16):
    """Edges of a drawing, 0..1: where colour changes inside it and along its outline."""
    rgba = np.asarray(image.convert("RGBa"), dtype=np.float32) / 255
    strength = np.zeros(rgba.shape[:2], np.float32)
    for axis in (0, 1):
        step = np.abs(np.roll(rgba, -1, axis) - np.roll(rgba, 1, axis)).max(axis=2)
        strength = np.maximum(strength, step)
    line = Image.fromarray(np.where(strength > threshold, 255, 0).astype(np.uint8))
    return np.asarray(dilate(line, width), dtype=np.float32) / 255


def blend(line, colour, base):
    return base + line[..., None] * (np.asarray(colour, np.float32) - base)


def apply_style(style, drawing, side):
    """One sprite, premultiplied RGBA uint8 [side, side, 4]."""
    big = side * SCALE
    line = max(2, round(big * 0.022))  # half a line's width
    if style == "cartoon":
        rim = 2 * line
        art = fit(drawing, big, rim)
        rgba = np.asarray(art, dtype=np.float32)
        alpha = rgba[..., 3:] / 255
        outer = np.asarray(dilate(art.getchannel("A"), rim), dtype=np.float32)
        colour = rgba[..., :3] * alpha + np.asarray(OUTLINE, np.float32) * (1 - alpha)
        cover = outer
    else:
        rim = 0 if style == "flat" else line
        art = fit(drawing, big, rim)
        rgba = np.asarray(art, dtype=np.float32)
        cover = rgba[..., 3] if rim == 0 else np.asarray(
            dilate(art.getchannel("A"), rim), dtype=np.float32)
        colour = rgba[..., :3]
        if style == "sketch":
            paper = np.broadcast_to(np.asarray(PAPER, np.float32), colour.shape)
            colour = blend(edges(art, line - 1), PENCIL, paper)
        elif style == "neon":
            # The light takes the drawing's own colour near the edge, as bright as it goes.
            near = np.asarray(art.convert("RGBa").filter(ImageFilter.GaussianBlur(2 * line)),
                              dtype=np.float32)[..., :3]
            low, high = near.min(2, keepdims=True), near.max(2, keepdims=True)
            vivid = (near - 0.75 * low) / np.maximum(high - 0.75 * low, 1) * 255
            strokes = edges(art, line - 1, 0.3)
            night = np.broadcast_to(np.asarray(NIGHT, np.float32), colour.shape)
            colour = night + strokes[..., None] * (vivid - night)
        elif style == "stamp":
            light = colour @ np.asarray([0.299, 0.587, 0.114], np.float32)
            inside = rgba[..., 3] > 128
            level = otsu(light[inside])
            paint = np.where(inside & (light > level), 1.0, 0.0).astype(np.float32)
            ink = np.broadcast_to(np.asarray(INK, np.float32), colour.shape)
            colour = blend(paint, CREAM, ink)
    out = np.empty((big, big, 4), np.float32)
    out[..., 3] = cover
    out[..., :3] = colour * (cover[..., None] / 255)
    out = out.reshape(side, SCALE, side, SCALE, 4).mean((1, 3))
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def otsu(values):
    """The level that splits `values` (0..255) into two classes of least inner variance."""
    counts = np.bincount(np.clip(values, 0, 255).astype(np.int64), minlength=256).astype(np.float64)
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (total[-1] * below / below[-1] - total) ** 2 / (below * above)
    return int(np.argmax(np.nan_to_num(between, nan=0.0, posinf=0.0)))


def source_digest():
    """Digest of everything the assets depend on besides the installed packages' pixels."""
    digest = hashlib.sha256()
    for name in ("assets.py", "backgrounds.py", "objects.py", "render.mjs", "package-lock.json"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def is_current():
    stamp = ASSETS / "stamp.json"
    return stamp.exists() and json.loads(stamp.read_text()).get("source") == source_digest()


def build():
    """Renders drawings, styles them at every size and draws the backgrounds."""
    folders = render_drawings()
    arrays = {}
    drawings = {art: {name: Image.open(folder / f"{DRAWING[name]}.png").convert("RGBA")
                      for name in OBJECTS} for art, folder in folders.items()}
    for size, side in SIDES.items():
        arrays[size] = np.stack([
            np.stack([apply_style(style, drawings[art][name], side) for name in OBJECTS])
            for style, art in STYLE_ART.items()])
    np.savez(ASSETS / "sprites.npz", **arrays)
    tiles = np.stack([np.stack([draw_background(name, variant) for variant in range(VARIANTS)])
                      for name in BACKGROUNDS])
    np.save(ASSETS / "backgrounds.npy", tiles)
    (ASSETS / "stamp.json").write_text(json.dumps({"source": source_digest()}) + "\n")
