"""Pictures of every format that is read beside JPEG, PNG and WebP, of many kinds, by Pillow and by
hand."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

SIZES = [(1, 1), (17, 13), (64, 48), (5, 40)]


def smooth(rng: np.random.Generator, width: int, height: int, channels: int) -> np.ndarray:
    """A picture that lossy formats keep closely, with a little noise."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 100 * np.sin((c + 1) * x / 9 + y / 7 + c) for c in range(channels)]
    noisy = np.stack(planes, -1) + rng.normal(0, 6, (height, width, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def image(rng: np.random.Generator, mode: str, width: int, height: int) -> Image.Image:
    if mode == "1":
        return Image.fromarray(smooth(rng, width, height, 1)[..., 0] > 127)
    if mode == "P":
        colors = smooth(rng, width, height, 3)
        return Image.fromarray(colors, "RGB").quantize(37)
    if mode.startswith("I;16"):
        values = smooth(rng, width, height, 1)[..., 0].astype(np.uint16) * 257 // 3
        return Image.fromarray(values.astype("<u2"))
    if mode == "I":
        return Image.fromarray(smooth(rng, width, height, 1)[..., 0].astype(np.int32) * 3 - 200)
    if mode == "F":
        return Image.fromarray(smooth(rng, width, height, 1)[..., 0].astype(np.float32) * 1.7 - 80)
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3, "LAB": 3, "RGBX": 4}[mode]
    data = smooth(rng, width, height, channels)
    return Image.frombytes(mode, (width, height), data.tobytes())


def saved(picture: Image.Image, form: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def bmp(header_size: int, width: int, height: int, bits: int, rows: bytes, *, palette: bytes = b"", compression=0,
        colors=0, masks=(), top_down=False, offset: int | None = None) -> bytes:
    """A BMP of any header."""
    if header_size == 12:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        header = struct.pack("<IIiHHIIiiII", header_size, width, -height if top_down else height, 1, bits,
                             compression, len(rows), 2835, 2835, colors, 0)
    mask_bytes = b"".join(struct.pack("<I", m) for m in masks)
    if header_size > 40:
        header = (header + mask_bytes).ljust(header_size, b"\0")
    else:
        header += mask_bytes
    begin = 14 + len(header) + len(palette) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", begin + len(rows), 0, 0, begin) + header + palette + rows


def packed_rows(samples: np.ndarray, bits: int) -> bytes:
    """Rows of samples of `bits`, each padded to four bytes."""
    rows = []
    for row in samples:
        text = "".join(f"{int(v):0{bits}b}" for v in row)
        text += "0" * (-len(text) % 32)
        rows.append(bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8)))
    return b"".join(rows)


def padded(rows: np.ndarray) -> bytes:
    return b"".join(bytes(r) + bytes(-len(bytes(r)) % 4) for r in rows)


def bmps(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        for width, height in SIZES:
            yield f"{mode}-{width}x{height}.bmp", saved(image(rng, mode, width, height), "BMP")
    colors = bytes(rng.integers(0, 256, 4 * 256, dtype=np.uint8))
    for header in (12, 40, 52, 56, 64, 108, 124):
        entry = 3 if header == 12 else 4
        for bits in (1, 4, 8):
            samples = rng.integers(0, 1 << bits, (9, 21))
            yield (f"header-{header}-{bits}-bits.bmp",
                   bmp(header, 21, 9, bits, packed_rows(samples, bits), palette=colors[:entry << bits]))
        rows = padded(rng.integers(0, 256, (9, 21 * 3), dtype=np.uint8))
        yield f"header-{header}-24-bits.bmp", bmp(header, 21, 9, 24, rows)
    rows16 = padded(rng.integers(0, 256, (9, 21 * 2), dtype=np.uint8))
    rows32 = rng.integers(0, 256, (9, 21 * 4), dtype=np.uint8).tobytes()
    yield "16-bits.bmp", bmp(40, 21, 9, 16, rows16)
    yield "32-bits.bmp", bmp(40, 21, 9, 32, rows32)
    yield "565.bmp", bmp(40, 21, 9, 16, rows16, compression=3, masks=(0xF800, 0x7E0, 0x1F))
    yield "555-fields.bmp", bmp(108, 21, 9, 16, rows16, compression=3, masks=(0x7C00, 0x3E0, 0x1F, 0))
    for number, masks in enumerate([(0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0),
                                    (0xFF000000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
                                    (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
                                    (0xFF000000, 0xFF00, 0xFF, 0xFF0000), (0, 0, 0, 0)]):
        yield f"32-fields-{number}.bmp", bmp(124, 21, 9, 32, rows32, compression=3, masks=masks)
    samples = rng.integers(0, 4, (9, 21))
    yield "few-colours.bmp", bmp(40, 21, 9, 8, padded(samples.astype(np.uint8)), palette=colors[:16], colors=4)
    yield ("top-down.bmp",
           bmp(40, 21, 9, 8, padded(samples.astype(np.uint8)), palette=colors[:16], colors=4, top_down=True))
    # Runs: encoded, absolute with and without padding, ends of rows, a step, the end.
    runs8 = (b"\x05\x01\x00\x03\x02\x03\x01\x00\x02\x02\x00\x00" + b"\x0a\x03\x00\x00" + b"\x03\x02\x00\x02\x02\x01" +
             b"\x05\x01\x00\x00" + b"\x0a\x00\x00\x00" * 5 + b"\x00\x01")
    yield "runs-8.bmp", bmp(40, 10, 9, 8, runs8, palette=colors[:16], colors=4, compression=1)
    runs4 = b"\x07\x12\x00\x03\x31\x20\x00\x00" + b"\x0a\x30\x00\x00" * 7 + b"\x00\x05\x12\x31\x20\x00\x05\x13\x00\x01"
    yield "runs-4.bmp", bmp(40, 10, 9, 4, runs4, palette=colors[:16], colors=4, compression=2)


def gif(width: int, height: int, frames: bytes, palette: bytes = b"", background: int = 0) -> bytes:
    flags = 0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0
    return b"GIF89a" + struct.pack("<HHBBB", width, height, flags, background, 0) + palette + frames + b";"


def gif_frame(left: int, top: int, pixels: np.ndarray, *, palette: bytes = b"", clear: int | None = None,
              interlaced: bool = False) -> bytes:
    """A frame whose codes are never joined, so each clears the table in time."""
    out = b""
    if clear is not None:
        out += b"!\xf9\x04" + struct.pack("<BHB", 1, 0, clear) + b"\0"
    height, width = pixels.shape
    flags = (0x40 if interlaced else 0) | (0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0)
    out += b"," + struct.pack("<HHHHB", left, top, width, height, flags) + palette
    rows = range(height)
    if interlaced:
        rows = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4), *range(1, height, 2)]
    bits, count = 0, 0
    for number, value in enumerate(np.concatenate([pixels[r] for r in rows])):
        if number % 200 == 0:
            bits |= 256 << count
            count += 9
        bits |= int(value) << count
        count += 9
    bits |= 257 << count
    data = bits.to_bytes((count + 9 + 7) // 8, "little")
    blocks = b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255))
    return out + b"\x08" + blocks + b"\0"


def gifs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        for width, height in SIZES:
            yield f"{mode}-{width}x{height}.gif", saved(image(rng, mode, width, height), "GIF")
    palette = bytes(rng.integers(0, 256, 3 * 256, dtype=np.uint8))
    ramp = bytes(v for i in range(256) for v in (i, i, i))
    pixels = rng.integers(0, 256, (21, 30))
    for name, colors in (("palette", palette), ("ramp", ramp), ("none", b"")):
        yield f"global-{name}.gif", gif(30, 21, gif_frame(0, 0, pixels), colors)
        # A ramp in place of a palette is read by Pillow with both, now one, now the other.
        outer = b"" if name == "ramp" else palette
        yield f"local-{name}.gif", gif(30, 21, gif_frame(0, 0, pixels, palette=colors), outer)
        yield f"clear-{name}.gif", gif(30, 21, gif_frame(0, 0, pixels, clear=7), colors)
        yield f"part-{name}.gif", gif(40, 40, gif_frame(4, 9, pixels), colors, background=3)
        yield f"part-clear-{name}.gif", gif(40, 40, gif_frame(4, 9, pixels, clear=200), colors)
        yield f"beyond-{name}.gif", gif(20, 10, gif_frame(4, 9, pixels), colors)
    yield "interlaced.gif", gif(30, 21, gif_frame(0, 0, pixels, interlaced=True), palette)
    yield "interlaced-low.gif", gif(30, 3, gif_frame(0, 0, pixels[:3], interlaced=True), palette)
    yield "small-palette.gif", gif(30, 21, gif_frame(0, 0, pixels % 8), palette[:12])
    yield "two-frames.gif", gif(30, 21, gif_frame(0, 0, pixels) + gif_frame(3, 3, pixels[:9, :9]), palette)
    yield "no-end.gif", gif(30, 21, gif_frame(0, 0, pixels), palette)[:-2]


def tiff(width: int, height: int, data: list[bytes], tags: dict[int, tuple[str, list[int]]], big: bool = False) -> bytes:
    """A TIFF of any tags; `data` are its strips or tiles."""
    order = ">" if big else "<"
    entries: dict[int, tuple[str, list[int]]] = {256: ("H", [width]), 257: ("H", [height]), 259: ("H", [1])} | tags
    place = 273 if 322 not in tags else 324
    entries[place] = ("I", [0] * len(data))
    entries[place + (6 if place == 273 else 1)] = ("I", [len(d) for d in data])
    if place == 273:
        entries.setdefault(278, ("H", [height]))
    types = {"B": 1, "H": 3, "I": 4}
    head = 8 + 2 + 12 * len(entries) + 4
    extra = sum(-(-len(v) * struct.calcsize(t) // 4) * 4 for t, v in entries.values() if len(v) * struct.calcsize(t) > 4)
    offsets, at = [], head + extra
    for piece in data:
        offsets.append(at)
        at += len(piece)
    entries[place] = ("I", offsets)
    directory, outside, at = struct.pack(order + "H", len(entries)), b"", head
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(order + kind * len(values), *values)
        directory += struct.pack(order + "HHI", tag, types[kind], len(values))
        if len(packed) <= 4:
            directory += packed.ljust(4, b"\0")
        else:
            directory += struct.pack(order + "I", at + len(outside))
            outside += packed.ljust(-(-len(packed) // 4) * 4, b"\0")
    return ((b"MM\0*" if big else b"II*\0") + struct.pack(order + "I", 8) + directory + struct.pack("I", 0) + outside +
            b"".join(data))


def tiffs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "I;16", "I", "F", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB"):
        for width, height in SIZES:
            yield f"{mode}-{width}x{height}.tif", saved(image(rng, mode, width, height), "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"):
        for mode in ("1", "L", "LA", "P", "I;16", "I", "F", "RGB", "RGBA", "CMYK"):
            yield (f"{compression}-{mode}.tif",
                   saved(image(rng, mode, 64, 48), "TIFF", compression=compression))
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield f"{compression}.tif", saved(image(rng, "1", 64, 48), "TIFF", compression=compression)
    for mode in ("L", "RGB", "CMYK", "YCbCr", "LAB"):
        yield f"jpeg-{mode}.tif", saved(image(rng, mode, 64, 48), "TIFF", compression="jpeg", quality=80)
    yield "ycbcr-lzw.tif", saved(image(rng, "YCbCr", 64, 48), "TIFF", compression="tiff_lzw")
    yield "strips.tif", saved(image(rng, "RGB", 64, 48), "TIFF", compression="tiff_lzw", tiffinfo={278: 7})
    yield "big.tif", saved(image(rng, "RGB", 64, 48), "TIFF", big_tiff=True)
    for orientation in range(1, 9):
        yield f"orientation-{orientation}.tif", saved(image(rng, "RGB", 17, 13), "TIFF", tiffinfo={274: orientation})
    for big in (False, True):
        name = "mm" if big else "ii"
        order = ">" if big else "<"
        for bits in (1, 2, 4, 8):
            rows = [bytes(rng.integers(0, 256, (21 * bits + 7) // 8, dtype=np.uint8)) for _ in range(9)]
            for photometric in (0, 1):
                for fill in (1, 2):
                    if (bits, photometric, fill) == (8, 0, 2):
                        continue  # not read by Pillow
                    yield (f"{name}-gray-{bits}-{photometric}-{fill}.tif",
                           tiff(21, 9, [b"".join(rows)], {258: ("H", [bits]), 262: ("H", [photometric]),
                                                         266: ("H", [fill])}, big))
            palette = [int(v) for v in rng.integers(0, 65536, 3 << bits)]
            yield (f"{name}-palette-{bits}.tif",
                   tiff(21, 9, [b"".join(rows)], {258: ("H", [bits]), 262: ("H", [3]), 320: ("H", palette)}, big))
        for kind, format_, bits in (("u2", 1, 16), ("i2", 2, 16), ("i4", 2, 32), ("f4", 3, 32)):
            values = (rng.normal(120, 200, (9, 21))).clip(0 if kind == "u2" else -3000, 3000).astype(order + kind)
            yield (f"{name}-gray-{kind}.tif",
                   tiff(21, 9, [values.tobytes()], {258: ("H", [bits]), 262: ("H", [1]), 339: ("H", [format_])}, big))
        for samples, extra in ((3, []), (4, []), (4, [0]), (4, [1]), (4, [2]), (5, [0, 0]), (5, [2, 0])):
            for bits in (8, 16):
                if bits == 16 and samples == 5:
                    continue
                data = rng.integers(0, 256, (9, 21, samples, bits // 8), dtype=np.uint8)
                tags = {258: ("H", [bits] * samples), 262: ("H", [2]), 277: ("H", [samples])}
                if extra:
                    tags[338] = ("H", extra)
                label = f"{name}-rgb-{samples}-{'-'.join(map(str, extra)) or 'none'}-{bits}"
                yield f"{label}.tif", tiff(21, 9, [data.tobytes()], tags, big)
                if not extra or extra == [2]:
                    planes = [data[:, :, c].tobytes() for c in range(samples)]
                    if bits == 8:
                        yield f"{label}-planes.tif", tiff(21, 9, planes, tags | {284: ("H", [2])}, big)
                    packed = [zlib.compress(p) for p in planes]
                    yield (f"{label}-packed-planes.tif",
                           tiff(21, 9, packed, tags | {284: ("H", [2]), 259: ("H", [8])}, big))
        data = rng.integers(0, 256, (9, 21, 4, 2), dtype=np.uint8)
        yield (f"{name}-cmyk-16.tif",
               tiff(21, 9, [data.tobytes()], {258: ("H", [16] * 4), 262: ("H", [5]), 277: ("H", [4])}, big))
    for channels, photometric in ((1, 1), (3, 2)):
        data = rng.integers(0, 256, (40, 50, channels), dtype=np.uint8)
        whole = np.zeros((48, 64, channels), np.uint8)
        whole[:40, :50] = data
        tiles = [whole[y:y + 16, x:x + 32].tobytes() for y in range(0, 48, 16) for x in range(0, 64, 32)]
        tags = {258: ("H", [8] * channels), 262: ("H", [photometric]), 277: ("H", [channels]), 322: ("H", [32]),
                323: ("H", [16])}
        yield f"tiles-{channels}.tif", tiff(50, 40, tiles, tags)
        yield (f"packed-tiles-{channels}.tif",
               tiff(50, 40, [zlib.compress(t) for t in tiles], tags | {259: ("H", [8])}))


def avifs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for mode in ("L", "RGB", "RGBA"):
        for width, height in SIZES:
            yield f"{mode}-{width}x{height}.avif", saved(image(rng, mode, width, height), "AVIF", quality=70)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:0:0"):
        for span in ("full", "limited"):
            for mode in ("RGB", "RGBA"):
                yield (f"{subsampling.replace(':', '')}-{span}-{mode}.avif",
                       saved(image(rng, mode, 63, 41), "AVIF", subsampling=subsampling, range=span, quality=60))
    yield "lossless.avif", saved(image(rng, "RGB", 63, 41), "AVIF", quality=100)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"orientation-{orientation}.avif", saved(image(rng, "RGB", 20, 30), "AVIF", exif=exif)
    frames = [image(rng, "RGB", 20, 30) for _ in range(3)]
    yield "animated.avif", saved(frames[0], "AVIF", save_all=True, append_images=frames[1:])


def jpeg2000s(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for mode in ("L", "LA", "RGB", "RGBA", "I;16", "CMYK"):
        for width, height in SIZES:
            for bare in (False, True):
                if mode == "CMYK" and bare:
                    continue
                ending = "j2k" if bare else "jp2"
                yield (f"{mode}-{width}x{height}.{ending}",
                       saved(image(rng, mode, width, height), "JPEG2000", no_jp2=bare))
    for mode in ("L", "RGB", "RGBA"):
        yield (f"lossy-{mode}.jp2",
               saved(image(rng, mode, 64, 48), "JPEG2000", irreversible=True, quality_layers=[20]))
    yield "tiles.jp2", saved(image(rng, "RGB", 64, 48), "JPEG2000", tile_size=(20, 20))
    yield "offset.jp2", saved(image(rng, "RGB", 64, 48), "JPEG2000", offset=(5, 3), tile_size=(40, 40))
    yield "ycc.jp2", saved(image(rng, "YCbCr", 64, 48), "JPEG2000")


def heics(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Needs pillow-heif. Their colours are kept at every pixel: where they are not, two versions of libheif differ by
    one level."""
    import pillow_heif

    def saved_heic(picture: Image.Image, **options) -> bytes:
        out = io.BytesIO()
        pillow_heif.from_pillow(picture).save(out, chroma=444, **options)
        return out.getvalue()

    for mode in ("L", "LA", "RGB", "RGBA"):
        for width, height in SIZES[1:3]:
            for quality in (60, -1):
                yield f"{mode}-{width}x{height}-{quality}.heic", saved_heic(image(rng, mode, width, height), quality=quality)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield (f"orientation-{orientation}.heic",
               saved_heic(image(rng, "RGB", 64, 48), quality=-1, exif=exif.tobytes()))


def format_pictures(seed: int) -> Iterator[tuple[str, bytes]]:
    """Names and files. The same for the same seed and version of Pillow."""
    rng = np.random.default_rng(seed)
    for kinds in (bmps, gifs, tiffs, avifs, jpeg2000s):
        yield from kinds(rng)
