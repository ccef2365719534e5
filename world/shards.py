"""Writes sets of pictures as WebDataset shards: `key.png`, `key.json`, `key.mask.png` in a `.tar`.

The bytes depend only on the pictures (and on Pillow's PNG compressor): members are sorted, their
time and owner are 0.
"""

import hashlib
import io
import json
import tarfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from PIL import Image

SETS_FOLDER = Path(__file__).resolve().parent / "sets"
SEED = 1
# file -> (set, first index, number of pictures)
SHARDS = {
    "test/test-000.tar": ("test", 0, 590),
    "test/test-001.tar": ("test", 590, 590),
    "heldout/heldout-000.tar": ("heldout", 0, 118),
    "birds/birds-000.tar": ("birds", 0, 200),
    "single/single-000.tar": ("single", 0, 150),
}


def png(pixels):
    """The smaller of the plain and the palette file; both decode to the same pixels."""
    image = Image.fromarray(pixels)
    candidates = [image]
    if image.mode == "RGB" and image.getcolors(256) is not None:
        candidates.append(image.convert("P", palette=Image.Palette.ADAPTIVE, colors=256))
    files = []
    for candidate in candidates:
        out = io.BytesIO()
        candidate.save(out, "PNG", optimize=True)
        if candidate.mode != "P" or candidate.convert("RGB").tobytes() == image.tobytes():
            files.append(out.getvalue())
    return min(files, key=len)


def label_of(set_name, factors):
    """What a picture of the set is to be classified as."""
    return factors["bird_kind"] if set_name == "birds" else factors["object"]


def members(world, set_name, seed, index, key):
    """[(file name, bytes)] of one picture."""
    picture = world.picture(set_name, seed, index)
    return picture_members(picture, label_of(set_name, picture.factors), key)


def picture_members(picture, label, key, **more):
    """[(file name, bytes)] of a drawn picture, with more facts beside its own."""
    facts = {"label": label, **picture.factors, **more, "caption": picture.caption}
    text = json.dumps(facts, separators=(",", ":"), ensure_ascii=False)
    return [(f"{key}.json", text.encode()), (f"{key}.mask.png", png(picture.mask)),
            (f"{key}.png", png(picture.image))]


def shard_bytes(world, set_name, seed, first, count):
    """One shard's tar file."""
    return tar_bytes(member for index in range(first, first + count)
                     for member in members(world, set_name, seed, index,
                                           f"{set_name}-{index:06d}"))


def tar_bytes(files):
    """A tar file of (file name, bytes), without times and owners."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uid, info.gid, info.mode = len(content), 0, 0, 0, 0o644
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _shard(name):
    from world.scene import World
    set_name, first, count = SHARDS[name]
    return name, shard_bytes(World.load(), set_name, SEED, first, count)


def build(workers=2, folder=SETS_FOLDER):
    """Writes every shard and SHA256SUMS into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        found = dict(pool.map(_shard, SHARDS))
    for name, content in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sums = [f"{hashlib.sha256(found[name]).hexdigest()}  {name}\n" for name in sorted(found)]
    (folder / "SHA256SUMS").write_text("".join(sums))
