"""Pictures of every kind that the decoders must read as Pillow does, made from a seed.

`pictures(seed)` yields (file name, bytes). Pillow writes what it can write; PNGs of the depths,
colour types and filters that it does not write come from `write_png`, and JPEG samplings that it
does not offer are made by rewriting a header (the scan keeps its number of blocks).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # PNG colour type -> samples a pixel
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2)]  # x, y, step in x, step in y


def content(rng: np.random.Generator, width: int, height: int, channels: int) -> np.ndarray:
    """[height, width, channels] uint8: waves, an edge, a flat patch and some noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    out = np.empty((height, width, channels), np.float64)
    for c in range(channels):
        fx, fy, phase = rng.uniform(0.01, 0.6, 3)
        out[..., c] = 127 + 90 * np.sin(fx * x + fy * y + 6 * phase) + rng.normal(0, 12, (height, width))
    out[height // 3:height // 2, width // 4:width // 2] = rng.integers(0, 256, channels)
    out[:, : width // 5] = np.where(rng.random((height, width // 5, 1)) < 0.5, 0, 255)
    return np.clip(out, 0, 255).astype(np.uint8)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def filtered(rows: np.ndarray, bpp: int, rng: np.random.Generator) -> bytes:
    """Scan lines [n, bytes] with a filter drawn for each."""
    out = bytearray()
    above = np.zeros(rows.shape[1], np.int64)
    for row in rows.astype(np.int64):
        kind = int(rng.integers(0, 5))
        left = np.concatenate([np.zeros(bpp, np.int64), row[:-bpp]]) if len(row) > bpp else np.zeros_like(row)
        corner = (np.concatenate([np.zeros(bpp, np.int64), above[:-bpp]]) if len(row) > bpp
                  else np.zeros_like(row))
        estimate = left + above - corner
        pa, pb, pc = abs(estimate - left), abs(estimate - above), abs(estimate - corner)
        paeth = np.where((pa <= pb) & (pa <= pc), left, np.where(pb <= pc, above, corner))
        guess = [np.zeros_like(row), left, above, (left + above) // 2, paeth][kind]
        out.append(kind)
        out += ((row - guess) & 255).astype(np.uint8).tobytes()
        above = row
    return bytes(out)


def packed(samples: np.ndarray, depth: int) -> np.ndarray:
    """[h, n] samples to [h, bytes] scan lines."""
    height, count = samples.shape
    if depth == 16:
        return np.ascontiguousarray(samples.astype(">u2")).view(np.uint8).reshape(height, -1)
    if depth == 8:
        return samples.astype(np.uint8)
    bits = ((samples[..., None] >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8)
    return np.packbits(bits.reshape(height, count * depth), axis=1)


def write_png(samples: np.ndarray, depth: int, color: int, rng: np.random.Generator, *,
              interlace: bool = False, palette: bytes | None = None, before: list = (),
              split: int | None = None) -> bytes:
    """A PNG of samples [h, w, channels]; `before` are chunks ahead of the pixels."""
    height, width, channels = samples.shape
    bpp = max(1, depth * channels // 8)
    if interlace:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
    else:
        passes = [samples]
    raw = b"".join(filtered(packed(p.reshape(p.shape[0], -1), depth), bpp, rng)
                   for p in passes if p.size)
    data = zlib.compress(raw, 6)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlace))
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    for kind, body in before:
        if kind != b"tRNS":
            out += chunk(kind, body)
    if palette is not None:
        out += chunk(b"PLTE", palette)
    for kind, body in before:
        if kind == b"tRNS":
            out += chunk(kind, body)
    step = split or len(data)
    for i in range(0, len(data), step):
        out += chunk(b"IDAT", data[i:i + step])
    return out + chunk(b"IEND", b"")


def random_png(rng: np.random.Generator, width: int, height: int, depth: int, color: int,
               **options) -> bytes:
    channels = CHANNELS[color]
    if depth == 16:
        high = content(rng, width, height, channels).astype(np.int64)
        low = rng.integers(0, 256, high.shape)
        samples = high * 256 + low if rng.random() < 0.7 else low  # some below 256
    else:
        samples = content(rng, width, height, channels).astype(np.int64) >> (8 - depth)
    if color == 3:
        entries = options.pop("entries", 1 << depth)
        samples %= entries
        options["palette"] = rng.integers(0, 256, 3 * entries, dtype=np.uint8).tobytes()
    return write_png(samples, depth, color, rng, **options)


def saved(image: Image.Image, format: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def image_of(rng: np.random.Generator, mode: str, width: int, height: int) -> Image.Image:
    array = content(rng, width, height, len(Image.new(mode, (1, 1)).getbands()))
    return Image.frombytes(mode, (width, height), array.tobytes())


def find_frame(jpeg: bytes) -> int:
    """Where the frame header's segment begins."""
    at = 2
    while True:
        marker, length = struct.unpack(">HH", jpeg[at:at + 4])
        if marker in (0xFFC0, 0xFFC1, 0xFFC2):
            return at
        at += 2 + length


def resampled(jpeg: bytes, factors: int, width: int, height: int) -> bytes:
    """The same scan under another sampling of the first plane and another size; the number of
    blocks in the scan must stay what it was."""
    at = find_frame(jpeg)
    out = bytearray(jpeg)
    out[at + 5:at + 9] = struct.pack(">HH", height, width)
    out[at + 11] = factors
    return bytes(out)


def as_ycck(jpeg: bytes) -> bytes:
    """A CMYK file that Pillow wrote, declared YCCK in Adobe's marker."""
    at = jpeg.index(b"Adobe")
    out = bytearray(jpeg)
    out[at + 11] = 2
    return bytes(out)


def jpegs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    sizes = [(1, 1), (3, 2), (8, 8), (17, 13), (63, 129), (224, 224), (500, 375), (333, 217)]
    for width, height in sizes:
        size = f"{width}x{height}"
        rgb = image_of(rng, "RGB", width, height)
        for sampling in ("4:4:4", "4:2:2", "4:2:0"):
            tag = sampling.replace(":", "")
            yield f"jpeg-{tag}-{size}.jpg", saved(rgb, "JPEG", quality=90, subsampling=sampling)
        yield f"jpeg-progressive-{size}.jpg", saved(rgb, "JPEG", progressive=True, quality=75)
        yield f"jpeg-grey-{size}.jpg", saved(image_of(rng, "L", width, height), "JPEG")
        cmyk = saved(image_of(rng, "CMYK", width, height), "JPEG", quality=92)
        yield f"jpeg-cmyk-{size}.jpg", cmyk
        yield f"jpeg-ycck-{size}.jpg", as_ycck(cmyk)
    rgb = image_of(rng, "RGB", 160, 96)
    base = saved(rgb, "JPEG", quality=85)
    yield "jpeg-optimised.jpg", saved(rgb, "JPEG", quality=85, optimize=True)
    yield "jpeg-progressive-422.jpg", saved(rgb, "JPEG", progressive=True, subsampling="4:2:2")
    yield "jpeg-progressive-grey.jpg", saved(rgb.convert("L"), "JPEG", progressive=True)
    yield "jpeg-progressive-cmyk.jpg", saved(rgb.convert("CMYK"), "JPEG", progressive=True)
    yield "jpeg-restart.jpg", saved(rgb, "JPEG", restart_marker_blocks=3)
    yield "jpeg-restart-rows.jpg", saved(rgb, "JPEG", restart_marker_rows=1)
    yield "jpeg-restart-progressive.jpg", saved(rgb, "JPEG", restart_marker_blocks=5, progressive=True)
    yield "jpeg-quality-1.jpg", saved(rgb, "JPEG", quality=1)
    yield "jpeg-quality-100.jpg", saved(rgb, "JPEG", quality=100, subsampling=0)
    yield "jpeg-rgb-planes.jpg", saved(rgb, "JPEG", keep_rgb=True)
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        yield f"jpeg-exif-{orientation}.jpg", saved(rgb, "JPEG", exif=exif)
    yield "jpeg-comment.jpg", saved(rgb, "JPEG", comment=b"a comment " * 100)
    yield "jpeg-profile.jpg", saved(rgb, "JPEG", icc_profile=bytes(rng.integers(0, 256, 100_000, dtype=np.uint8)))
    yield "jpeg-tail.jpg", base + bytes(rng.integers(0, 256, 1000, dtype=np.uint8))
    yield "jpeg-two.jpg", base + base
    yield "jpeg-no-end-marker.jpg", base[:-2]
    yield "jpeg-fill-bytes.jpg", base[:2] + b"\xff\xff\xff" + base[2:]
    # 4:2:2 (blocks of 16 x 8) read as 4:4:0 (8 x 16); 4:2:0 (16 x 16) as 4:1:1 (32 x 8).
    half = saved(rgb, "JPEG", subsampling="4:2:2", quality=90)
    yield "jpeg-440.jpg", resampled(half, 0x12, 80, 192)
    quarter = saved(rgb, "JPEG", subsampling="4:2:0", quality=90)
    yield "jpeg-411.jpg", resampled(quarter, 0x41, 320, 48)
    yield "jpeg-410-upright.jpg", resampled(quarter, 0x14, 80, 192)
    yield "jpeg-411-odd.jpg", resampled(quarter, 0x41, 319, 47)
    yield "jpeg-440-odd.jpg", resampled(half, 0x12, 79, 191)
    yield "jpeg-progressive-440.jpg", resampled(
        saved(rgb, "JPEG", subsampling="4:2:2", progressive=True), 0x12, 79, 191)
    # A scan cut short inside, with the end marker in place: libjpeg fills up and only warns.
    yield "jpeg-short-scan.jpg", base[:len(base) * 2 // 3] + b"\xff\xd9"
    for width, height in [(1, 700), (700, 1), (2, 900), (1200, 3)]:
        yield f"jpeg-thin-{width}x{height}.jpg", saved(image_of(rng, "RGB", width, height), "JPEG")
    yield "jpeg-cut-in-scan.jpg", base[:len(base) * 2 // 3]
    broken = bytearray(base)
    broken[len(base) // 2:len(base) // 2 + 40] = bytes(40)
    yield "jpeg-broken-scan.jpg", bytes(broken)


def pngs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    kinds = [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3), (4, 3),
             (8, 3), (8, 4), (16, 4), (8, 6), (16, 6)]
    for depth, color in kinds:
        for width, height in [(1, 1), (3, 2), (9, 33), (101, 67), (240, 240)]:
            for interlace in (False, True):
                name = f"png-{depth}-{color}-{width}x{height}{'-interlaced' if interlace else ''}.png"
                yield name, random_png(rng, width, height, depth, color, interlace=interlace,
                                       split=None if width < 100 else 777)
    for depth in (1, 2, 4, 8):
        short = random_png(rng, 70, 50, depth, 3, entries=(1 << depth) - (1 << depth) // 3,
                           before=[(b"tRNS", b"\x00\x80")])
        yield f"png-palette-{depth}-alphas.png", short
        yield f"png-palette-{depth}-one-clear.png", random_png(rng, 70, 50, depth, 3,
                                                              before=[(b"tRNS", b"\xff\x00")])
    for depth in (1, 2, 4, 8, 16):
        yield f"png-grey-{depth}-clear-color.png", random_png(rng, 60, 80, depth, 0,
                                                             before=[(b"tRNS", b"\x00\x01")])
    for depth in (8, 16):
        yield f"png-rgb-{depth}-clear-color.png", random_png(rng, 60, 80, depth, 2,
                                                            before=[(b"tRNS", b"\x00\x01" * 3)])
    extras = [(b"gAMA", struct.pack(">I", 45455)), (b"sBIT", b"\x05\x06\x05"),
              (b"pHYs", struct.pack(">IIB", 2835, 2835, 1)), (b"bKGD", b"\x00\xff" * 3),
              (b"tEXt", b"Title\0odd"), (b"zTXt", b"Long\0\0" + zlib.compress(b"x" * 500_000)),
              (b"iTXt", b"Key\0\0\0en\0Key\0text"), (b"iCCP", b"p\0\0" + zlib.compress(bytes(5000))),
              (b"abCd", b"private")]
    yield "png-extra-chunks.png", random_png(rng, 90, 40, 8, 2, before=extras)
    yield "png-many-parts.png", random_png(rng, 50, 60, 8, 2, split=1)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        if mode == "P":
            image = image_of(rng, "RGB", 150, 110).quantize(37)
        elif mode == "1":
            image = image_of(rng, "L", 150, 110).convert("1")
        elif mode == "I;16":
            image = Image.fromarray(rng.integers(0, 600, (110, 150)).astype(np.uint16))
        else:
            image = image_of(rng, mode, 150, 110)
        yield f"png-pillow-{mode.replace(';', '')}.png", saved(image, "PNG")
    for width, height in [(1, 5000), (5000, 1), (2, 3000), (3000, 7)]:
        for mode in ("L", "RGB", "RGBA"):
            yield f"png-thin-{mode}-{width}x{height}.png", saved(image_of(rng, mode, width, height), "PNG")
    frames = [image_of(rng, "RGB", 60, 50) for _ in range(3)]
    yield "png-animated.png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield "png-animated-default.png", saved(frames[0], "PNG", save_all=True, default_image=True,
                                            append_images=frames[1:])
    clear = image_of(rng, "RGBA", 200, 150)
    alpha = np.where(np.arange(200) % 3 == 0, 0, np.arange(200)).astype(np.uint8)
    clear.putalpha(Image.fromarray(np.tile(alpha, (150, 1))))
    yield "png-mostly-clear.png", saved(clear, "PNG")
    yield "png-two-alphas.png", saved(clear.convert("LA"), "PNG")
    # Transparent colours that do occur: black is clear, and with its low bytes every 16-bit 256.
    for depth, color, value in [(1, 0, b"\0\0"), (1, 0, b"\0\1"), (2, 0, b"\0\x55"), (4, 0, b"\0\0"),
                                (8, 0, b"\0\xff"), (16, 0, b"\xff\xff"), (16, 0, b"\1\0"),
                                (8, 2, b"\0\0" * 3), (8, 2, b"\1\xff" * 3), (16, 2, b"\0\xff" * 3)]:
        yield (f"png-clear-{depth}-{color}-{value.hex()}.png",
               random_png(rng, 64, 50, depth, color, before=[(b"tRNS", value)]))
    whole = saved(image_of(rng, "RGB", 120, 90), "PNG")
    yield "png-tail.png", whole + bytes(rng.integers(0, 256, 1000, dtype=np.uint8))
    yield "png-cut.png", whole[:len(whole) * 2 // 3]
    yield "png-cut-in-the-end.png", whole[:-8]


def webps(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for width, height in [(1, 1), (3, 2), (17, 13), (128, 95), (301, 224)]:
        size = f"{width}x{height}"
        rgb = image_of(rng, "RGB", width, height)
        rgba = image_of(rng, "RGBA", width, height)
        yield f"webp-lossy-{size}.webp", saved(rgb, "WEBP", quality=80)
        yield f"webp-low-{size}.webp", saved(rgb, "WEBP", quality=5)
        yield f"webp-lossless-{size}.webp", saved(rgb, "WEBP", lossless=True)
        yield f"webp-alpha-{size}.webp", saved(rgba, "WEBP", quality=80)
        yield f"webp-alpha-lossless-{size}.webp", saved(rgba, "WEBP", lossless=True, exact=True)
    rgb, rgba = image_of(rng, "RGB", 90, 70), image_of(rng, "RGBA", 90, 70)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "webp-exif.webp", saved(rgb, "WEBP", exif=exif)
    yield "webp-profile.webp", saved(rgba, "WEBP", icc_profile=bytes(3000))
    yield "webp-grey.webp", saved(rgb.convert("L"), "WEBP")
    yield "webp-palette.webp", saved(rgb.quantize(16), "WEBP", lossless=True)
    yield "webp-thin.webp", saved(image_of(rng, "RGB", 1, 900), "WEBP")
    yield "webp-best.webp", saved(rgb, "WEBP", quality=100, method=6)
    for name, frames in [("webp-animated", [rgb, image_of(rng, "RGB", 90, 70)]),
                         ("webp-animated-alpha", [rgba, image_of(rng, "RGBA", 90, 70)])]:
        yield f"{name}.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    whole = saved(rgb, "WEBP", quality=80)
    yield "webp-tail.webp", whole + bytes(rng.integers(0, 256, 1000, dtype=np.uint8))
    yield "webp-cut.webp", whole[:len(whole) * 2 // 3]


def pictures(seed: int) -> Iterator[tuple[str, bytes]]:
    for k, kind in enumerate((jpegs, pngs, webps)):
        yield from kind(np.random.default_rng([seed, k]))
