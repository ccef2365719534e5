"""Hostile input through the program: each is refused in one line, soon, and before memory is taken.

docs/security.md lists the same inputs for users.
"""

import atexit
import ctypes
import ctypes.util
import functools
import gzip
import io
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from fuzz import make_corpus as forge  # noqa: E402
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
MODEL = ROOT / "models/pictureworld"
# The sanitizers take memory of their own, and time.
SANITIZED = b"__asan_init" in Path(PROGRAM).read_bytes() if Path(PROGRAM).exists() else False
INVALID, MISSING, CORRUPT, PRECONDITION, EXHAUSTED, UNSUPPORTED = 2, 3, 4, 5, 6, 7
REFUSED = range(INVALID, UNSUPPORTED + 1)
SECONDS = 240 if SANITIZED else 60


class Result:
    def __init__(self, status, out, err, peak):
        self.status, self.out, self.err, self.peak = status, out, err, peak


# A process remembers the memory of the one that it was forked from, and this one is large, so a
# small one starts the program. An alarm outlives exec and ends what hangs.
STARTER = """
import json, os, signal, sys
for line in sys.stdin:
    order = json.loads(line)
    pid = os.fork()
    if pid == 0:
        try:
            for name, number in (("out", 1), ("err", 2)):
                os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            if order["user"] is not None:
                os.setgroups([])
                os.setgid(order["user"])
                os.setuid(order["user"])
            signal.alarm(order["seconds"])
            arguments = [a.encode("latin-1") for a in order["arguments"]]
            os.execve(arguments[0], arguments, order["environment"])
        finally:
            os._exit(127)
    _, status, usage = os.wait4(pid, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss]), flush=True)
"""


@functools.cache
def starter():
    folder = tempfile.mkdtemp(prefix="cliplens-hostile-")
    process = subprocess.Popen([sys.executable, "-ISc", STARTER], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)

    def stop():
        process.stdin.close()
        process.wait()
        shutil.rmtree(folder)

    atexit.register(stop)
    return process, Path(folder)


def run(*arguments, seconds=SECONDS, user=None):
    """Runs the program; peak is its largest resident memory in MB."""
    process, folder = starter()
    order = {"arguments": [os.fsencode(a).decode("latin-1") for a in (PROGRAM, *arguments)],
             "out": str(folder / "out"), "err": str(folder / "err"), "seconds": seconds,
             "user": user, "environment": dict(os.environ, CLIPLENS_SHARE=str(ROOT),
                                               ASAN_OPTIONS="detect_leaks=0")}
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    status, peak = json.loads(process.stdout.readline())
    if status == -signal.SIGALRM:
        pytest.fail(f"still running after {seconds} s: {arguments}")
    return Result(status, (folder / "out").read_bytes(), (folder / "err").read_bytes(), peak / 1024)


def refused(*arguments, status=REFUSED, words="", peak=100, **how):
    """The program refuses: this exit status, these words, one printable line, memory in MB."""
    result = run(*arguments, **how)
    err = result.err.decode()
    wanted = status if isinstance(status, (tuple, range)) else (status,)
    assert result.status in wanted, f"exit status {result.status}: {err}"
    assert err.startswith("cliplens: ") and err.endswith("\n") and err.count("\n") == 1, repr(err)
    assert all(c.isprintable() for c in err[:-1]), repr(err)
    assert len(err) < 9_000
    assert words in err, err
    assert result.out == b""
    if not SANITIZED:
        assert result.peak < peak, f"{result.peak:.0f} MB: {err}"
    return err


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh128(text):
    library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    library.XXH3_128bits.restype = Hash128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    digest = library.XXH3_128bits(text, len(text))
    return f"{digest.high:016x}{digest.low:016x}"


# --- pictures -----------------------------------------------------------------------------------


def chunk(kind, content):
    return (struct.pack(">I", len(content)) + kind + content +
            struct.pack(">I", zlib.crc32(kind + content)))


def png(width, height, depth, color, data, before=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return (b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def zeros(megabytes):
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()


def jpeg(side):
    return (b"\xff\xd8\xff\xc0\0\x0b\x08" + struct.pack(">HH", side, side) + b"\1\1\x11\0" +
            b"\xff\xda\0\x08\1\1\0\0\x3f\0\0\0")


def webp_lossless(width, height):
    bits = 0x2F | (width - 1) << 8 | (height - 1) << 22
    body = struct.pack("<Q", bits)[:5] + bytes(13)
    return b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBPVP8L" + struct.pack("<I", 18) + body


def webp_extended(width, height):
    body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + body


def webp_flat(width, height):
    """A lossless WebP of one colour: no code has more than one symbol, so no pixel takes a bit."""
    bits, count = (width - 1) | (height - 1) << 14, 28 + 1 + 3 + 3
    for _ in range(5):
        bits |= 0b0001 << count  # one symbol of one bit, 0
        count += 4
    body = b"\x2f" + bits.to_bytes(11, "little")
    body += bytes(len(body) % 2)
    return (b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBPVP8L" + struct.pack("<I", len(body)) + body)


def tiff(side):
    entries = [(256, 3, 1, side), (257, 3, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
               (277, 3, 1, 1), (278, 3, 1, side), (279, 4, 1, 16)]
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) +
            bytes(4))


def jpeg2000(side):
    size = struct.pack(">HHIIIIIIIIH", 41, 0, side, side, 0, 0, side, side, 0, 0, 1) + b"\7\1\1"
    style = b"\xff\x52" + struct.pack(">HBBHBBBBBB", 12, 0, 0, 1, 0, 0, 4, 4, 0, 1)
    return b"\xff\x4f\xff\x51" + size + style + b"\xff\x5c\0\4\x40\x40" + b"\xff\x90\0\x0a" + struct.pack(">HIBB", 0, 0, 0, 1) + b"\xff\x93"


PICTURES = {
    # 60,000 x 60,000 in 200 KB.
    "bomb.png": (png(60_000, 60_000, 1, 0, zeros(200)), EXHAUSTED, "claims 60000 x 60000 pixels"),
    # Below the limit of pixels, but more than deflate can pack into the file.
    "claim.png": (png(13_000, 13_000, 8, 2, b"x\x9c"), CORRUPT, "cannot hold them"),
    "bomb.jpg": (jpeg(65_500), EXHAUSTED, "claims 65500 x 65500 pixels"),
    "claim.jpg": (jpeg(13_000), CORRUPT, "cannot hold them"),
    "bomb.webp": (webp_lossless(16_384, 16_384), EXHAUSTED, "claims 16384 x 16384 pixels"),
    "canvas.webp": (webp_extended(1 << 24, 1 << 7), EXHAUSTED, "pixels"),
    "empty.png": (b"", CORRUPT, "is empty"),
    # What cannot be brought to the model's size is not decoded.
    "long.png": (png(1, 178_956_970, 1, 0, zeros(342)), EXHAUSTED, "its longer side would become"),
    "claim.bmp": (b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 13_000, 13_000, 1, 24, 0, 0, 0, 0, 0, 0),
                  CORRUPT, "cannot hold them"),
    "bomb.bmp": (b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 8, 1, 0, 0, 0, 0, 0),
                 EXHAUSTED, "claims 60000 x 60000 pixels"),
    "claim.gif": (b"GIF89a" + struct.pack("<HHBBB", 13_000, 13_000, 0, 0, 0) + b"," +
                  struct.pack("<HHHHB", 0, 0, 13_000, 13_000, 0) + b"\x08\1\0\0;", CORRUPT, "cannot hold them"),
    "bomb.gif": (b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b";", EXHAUSTED,
                 "claims 60000 x 60000 pixels"),
    "claim.tif": (tiff(13_000), CORRUPT, "cannot hold them"),
    "bomb.tif": (tiff(60_000), EXHAUSTED, "claims 60000 x 60000 pixels"),
    "bomb.j2k": (jpeg2000(60_000), EXHAUSTED, "claims 60000 x 60000 pixels"),
    "cut.j2k": (jpeg2000(8), CORRUPT, "JPEG 2000"),
    "cut.avif": (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", CORRUPT, "AVIF"),
    "cut.heic": (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", CORRUPT, "HEIC"),
    "cut.bmp": (b"BM\0\0", CORRUPT, "cut off"),
    "cut.gif": (b"GIF89a\1", CORRUPT, "cut off"),
    "page.jpg": (b"<!DOCTYPE html>\n<title>404</title>", UNSUPPORTED, "web page"),
    "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", UNSUPPORTED, "git lfs pull"),
    "cut.png": (png(8, 8, 8, 2, zeros(1))[:40], CORRUPT, "cut off"),
    "text.png": (b"<svg onload=alert(1)>", UNSUPPORTED, "SVG"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_lies(name, tmp_path):
    content, status, words = PICTURES[name]
    (tmp_path / name).write_bytes(content)
    refused("preprocess", MODEL, "--image", tmp_path / name, "--out", tmp_path / "x.npy",
            status=status, words=words, peak=30)
    assert not (tmp_path / "x.npy").exists()


def test_pixels_with_a_wrong_checksum_are_read(tmp_path):
    whole = png(2, 2, 8, 2, zlib.compress(b"\0abcdef" * 2))
    at = whole.index(b"IEND") - 8
    wrong = whole[:at] + bytes(b ^ 0xFF for b in whole[at:at + 4]) + whole[at + 4:]
    for name, content in (("whole", whole), ("wrong", wrong)):
        (tmp_path / f"{name}.png").write_bytes(content)
        result = run("preprocess", MODEL, "--image", tmp_path / f"{name}.png", "--out", tmp_path / f"{name}.npy")
        assert result.status == 0, result.err
    assert (tmp_path / "whole.npy").read_bytes() == (tmp_path / "wrong.npy").read_bytes()


@pytest.mark.skipif(SANITIZED, reason="the sanitizers take memory of their own")
def test_large_pictures_are_decoded_one_after_the_other(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(4):
        (pictures / f"{number}.webp").write_bytes(webp_flat(16_000, 11_000))
        assert (pictures / f"{number}.webp").stat().st_size <= 38
    result = run("embed", MODEL, "--images", pictures, "--out", tmp_path / "x.npy", "--threads", "4")
    assert result.status == 0, result.err
    assert result.peak < 1500


# What a picture takes at most, its pixels and what its decoder holds beside them, in bytes a pixel:
# the table of docs/security.md. [bound, mode, format, options of Pillow]
TAKES = {
    "JPEG, grey": (1, "L", "JPEG", {}),
    "JPEG, colour": (3, "RGB", "JPEG", {"subsampling": 0}),
    "JPEG, CMYK": (4, "CMYK", "JPEG", {"subsampling": 0}),
    "progressive JPEG, grey": (3, "L", "JPEG", {"progressive": True}),
    "progressive JPEG, colour": (9, "RGB", "JPEG", {"progressive": True, "subsampling": 0}),
    "progressive JPEG, CMYK": (12, "CMYK", "JPEG", {"progressive": True, "subsampling": 0}),
    "PNG, palette": (1, "P", "PNG", {}),
    "PNG, colour": (3, "RGB", "PNG", {}),
    "PNG, with alpha": (4, "RGBA", "PNG", {}),
    "WebP, lossy": (3, "RGB", "WEBP", {"method": 0}),
    "WebP, lossless": (7, "RGB", "WEBP", {"method": 0, "lossless": True}),
    "WebP, lossless with alpha": (8, "RGBA", "WEBP", {"method": 0, "lossless": True}),
    "WebP, animated with alpha": (16, "RGBA", "WEBP", {"method": 0, "lossless": True, "save_all": True}),
    "BMP, grey": (1, "L", "BMP", {}),
    "BMP, with alpha": (4, "RGBA", "BMP", {}),
    "GIF": (1, "P", "GIF", {}),
    "TIFF, colour": (3, "RGB", "TIFF", {"compression": "tiff_deflate"}),
    "TIFF, with alpha, in one strip": (12, "RGBA", "TIFF", {"compression": "tiff_deflate", "strip_size": 1 << 30}),
    "AVIF of 8 bits": (12, "RGBA", "AVIF", {"speed": 10, "subsampling": "4:4:4"}),
    "JPEG 2000, grey": (12, "L", "JPEG2000", {}),
    "JPEG 2000, colour": (28, "RGB", "JPEG2000", {}),
    "JPEG 2000, with alpha": (36, "RGBA", "JPEG2000", {}),
    "HEIC of 8 bits": (20, "RGB", "HEIF", {"chroma": 444, "quality": 90}),
}


def filled(mode, form, options, size, noisy):
    """A picture of one colour, or of noise: decoders hold much beside one or the other."""
    (width, height), bands = size, len(Image.new(mode, (1, 1)).getbands())
    rng = np.random.default_rng(1)
    pictures = [Image.frombytes(mode, size, rng.bytes(width * height * bands)) if noisy else
                Image.new(mode, size, color) for color in ("black", "white")]
    data = io.BytesIO()
    if form == "HEIF":
        pillow_heif.from_pillow(pictures[0]).save(data, **options)
    else:
        more = {"append_images": pictures[1:]} if options.get("save_all") else {}
        pictures[0].save(data, form, **options, **more)
    return data.getvalue()


@pytest.mark.skipif(SANITIZED, reason="the sanitizers take memory of their own")
@pytest.mark.parametrize("kind", TAKES)
def test_what_a_picture_takes(kind, tmp_path):
    """-rP prints what is measured: without the file's own bytes and what a picture of 64 pixels takes."""
    bound, mode, form, options = TAKES[kind]

    def peak(data):
        (tmp_path / "x").write_bytes(data)
        (tmp_path / "x.npy").unlink(missing_ok=True)
        result = run("preprocess", MODEL, "--image", tmp_path / "x", "--out", tmp_path / "x.npy")
        assert result.status == 0, result.err
        return result.peak * (1 << 20) - len(data)

    least = peak(filled(mode, form, options, (8, 8), True))
    # The encoder of HEIC takes a minute for noise.
    sizes = ({"one colour": (2000, 1500)} if form == "HEIF" else
             {"one colour": (4000, 3000), "noise": (2000, 1500)})
    taken = [(peak(filled(mode, form, options, (width, height), fill == "noise")) - least) / (width * height)
             for fill, (width, height) in sizes.items()]
    print(f"{kind}:", ", ".join(f"{t:.1f} bytes a pixel of {fill}" for t, fill in zip(taken, sizes)))
    assert max(taken) < bound + 0.5


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_text_that_unfolds_is_not_unfolded(kind, tmp_path):
    packed = zeros(300)
    head = {b"zTXt": b"t\0\0", b"iCCP": b"p\0\0", b"iTXt": b"t\0\1\0\0\0"}[kind]
    picture = png(1, 1, 8, 2, zlib.compress(b"\0abc"), before=chunk(kind, head + packed))
    (tmp_path / "x.png").write_bytes(picture)
    result = run("preprocess", MODEL, "--image", tmp_path / "x.png", "--out", tmp_path / "x.npy")
    assert result.status == 0, result.err
    assert SANITIZED or result.peak < 30


def test_pictures_that_are_no_files(tmp_path):
    out = ("--out", tmp_path / "x.npy")
    refused("preprocess", MODEL, "--image", "/dev/zero", *out, status=INVALID, words="is a device")
    refused("preprocess", MODEL, "--image", tmp_path, *out, status=INVALID, words="is a directory")
    refused("preprocess", MODEL, "--image", tmp_path / "none.png", *out, status=MISSING)
    (tmp_path / "loop.png").symlink_to("loop.png")
    refused("preprocess", MODEL, "--image", tmp_path / "loop.png", *out, status=INVALID)
    folder = tmp_path / "pictures"
    folder.mkdir()
    refused("embed", MODEL, "--images", folder, *out, status=MISSING, words="no pictures")
    # What is no file in a folder of pictures is passed over, so it is never waited for.
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "folder.png").mkdir()
    (folder / "up").symlink_to("..")
    refused("embed", MODEL, "--images", folder, *out, status=MISSING, words="no pictures")
    refused("embed", MODEL, "--images", "https://example.com/cat.png", *out, status=UNSUPPORTED,
            words="is an address, and the program reads and writes local files; download it first")


# --- tar shards ---------------------------------------------------------------------------------


def tar_header(size, kind=b"0"):
    header = bytearray(tarfile.TarInfo("0.png").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = size
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


TARS = {
    "8 GB": (tar_header(b"77777777777\0") + bytes(1024), CORRUPT),
    "2^62 bytes": (tar_header(b"\x80\0\0\0\x40" + bytes(7)) + bytes(1024), CORRUPT),
    "sparse": (tar_header(b"00000000000\0", b"S") + bytes(1024), UNSUPPORTED),
    "gzip": (b"\x1f\x8b\x08" + bytes(600), UNSUPPORTED),
    "empty": (b"", CORRUPT),
    "no members": (bytes(1024), MISSING),
    "cut": (tar_header(b"00000001000\0") + bytes(100), CORRUPT),
}


@pytest.mark.parametrize("name", TARS)
def test_a_shard_that_lies(name, tmp_path):
    content, status = TARS[name]
    (tmp_path / "x.tar").write_bytes(content)
    refused("embed", MODEL, "--images", tmp_path / "x.tar", "--out", tmp_path / "x.npy",
            status=status)


def test_a_packed_archive_that_unfolds(tmp_path):
    """A gzip file of 2 MB that unpacks to 2 GB: it stops at 192 MB."""
    packed = gzip.compress(bytes(1 << 24), 9)
    (tmp_path / "cifar.tar.gz").write_bytes(packed * 128)
    refused("embed", MODEL, "--images", tmp_path / "cifar.tar.gz", "--out", tmp_path / "x.npy",
            status=EXHAUSTED, words="unpacks to more than 201326592 bytes", peak=300)
    (tmp_path / "cifar.tar.gz").write_bytes(packed[:-9])
    refused("embed", MODEL, "--images", tmp_path / "cifar.tar.gz", "--out", tmp_path / "x.npy",
            status=CORRUPT, words="cut off")


def test_a_sparse_archive_of_a_terabyte(tmp_path):
    """Headers alone decide: 60,000 members of 16 MB, all of them holes, and a hole behind the end."""
    path = tmp_path / "x.tar"
    member = tarfile.TarInfo("0.bin")
    member.size = 1 << 24
    header = member.tobuf()
    picture = tarfile.TarInfo("0.png").tobuf()
    with open(path, "wb") as file:
        file.write(picture)
        for _ in range(60_000):
            file.write(header)
            file.seek(member.size, os.SEEK_CUR)
        file.write(bytes(1024))
    refused("embed", MODEL, "--images", path, "--out", tmp_path / "x.npy", status=CORRUPT,
            words="0.png: the file is empty")
    os.truncate(path, 1 << 40)
    refused("embed", MODEL, "--images", path, "--out", tmp_path / "x.npy", status=CORRUPT,
            words="more after the end marker")


def test_a_table_of_one_cell(tmp_path):
    path = tmp_path / "x.csv"
    embed = ("embed", MODEL, "--images", path, "--out", tmp_path / "x.npy")
    for content in (b'path,a\n0.png,"' + b"x" * (120 << 20) + b'"\n',
                    b"path,a\n0.png," + b"x" * (120 << 20), b"path,a\n0.png," * (120 << 13)):
        path.write_bytes(content)
        refused(*embed, status=(EXHAUSTED, CORRUPT), peak=400)
    path.write_bytes(b"")
    os.truncate(path, (128 << 20) + 1)
    refused(*embed, status=EXHAUSTED, words="at most 134217728 are read")
    path.write_bytes(b"path,a\n" + b"0.png,1\n" * (15 << 20))
    refused(*embed, status=MISSING, words="0.png: cannot open", peak=600)


def test_a_member_with_dots_in_its_name_is_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("../../escape.png")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    refused("embed", MODEL, "--images", tmp_path / "x.tar", "--out", tmp_path / "x.npy")


# --- models -------------------------------------------------------------------------------------

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture
def model(tmp_path):
    """A copy of a shipped model that a test may spoil."""
    copy = tmp_path / "model"
    copy.mkdir()
    for path in MODEL.iterdir():
        shutil.copyfile(path, copy / path.name)
    return copy


def use(model, **how):
    """A verb that reads configuration, weights and vocabulary."""
    texts = model.parent / "texts.txt"
    texts.write_text("a duck\n")
    return refused("tokenize", model, "--texts", texts, **how)


def replace(path, content):
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)


NO_FILES = {
    "missing": lambda path: None,
    "empty": b"",
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nothing"),
    "zeros": bytes(4096),
    "not UTF-8": b'{"\xff\xfe": 1}',
    "wrong kind": b"[1, 2, 3]\n",
}


# Without vocab.json, merges.txt alone is a vocabulary.
@pytest.mark.parametrize(("name", "what"), [
    (name, what) for name in (CONFIG, WEIGHTS, "vocab.json", "merges.txt") for what in NO_FILES
    if (name, what) not in (("vocab.json", "missing"), ("vocab.json", "dangling"))])
def test_a_file_of_a_model_that_is_none(name, what, model):
    replace(model / name, NO_FILES[what])
    err = use(model)
    assert str(model) in err


def test_a_header_of_safetensors_that_lies(model):
    for size in (1 << 60, (1 << 64) - 1, 1 << 40):
        replace(model / WEIGHTS, struct.pack("<Q", size) + b"{}")
        use(model, status=CORRUPT, words=f"claims {size} bytes")
    replace(model / WEIGHTS, struct.pack("<Q", 2_000_000) + b"[" * 1_000_000 + b"]" * 1_000_000)
    use(model, status=CORRUPT)
    nested = b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    replace(model / WEIGHTS, struct.pack("<Q", len(nested)) + nested)
    use(model, status=CORRUPT, words="nested deeper")


def test_a_header_of_safetensors_with_a_million_tensors(model):
    def header(count, value):
        members = ",".join(f'"{i:06}":{value}' for i in range(count))
        text = ("{" + members + "}").encode()
        replace(model / WEIGHTS, struct.pack("<Q", len(text)) + text)

    entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header(1_000_000, entry)
    use(model, status=EXHAUSTED, words="at most 33554432 are read")
    header(500_000, entry)
    use(model, status=EXHAUSTED, words="more than 1048576 values", peak=250)
    header(1_100_000, "[[]]")
    use(model, status=EXHAUSTED, words="more than 1048576 values", peak=250)
    # The most that is parsed.
    header(140_000, entry)
    use(model, status=UNSUPPORTED, words="no CLIP model", peak=250)


def test_json_without_end(model):
    replace(model / CONFIG, b"[" * 500_000 + b"]" * 500_000)
    use(model, status=CORRUPT, words="nested deeper", peak=60)
    replace(model / CONFIG, b'{"embed_dim": ' + b"1" * 1_000_000 + b"}")
    use(model)
    replace(model / CONFIG, b" " * (2 << 20))
    use(model, status=EXHAUSTED, words="at most")
    shutil.copyfile(MODEL / CONFIG, model / CONFIG)
    replace(model / "vocab.json", b"[" * 1_000_000 + b"]" * 1_000_000)
    use(model, status=CORRUPT, words="nested deeper")


def test_a_merges_file_of_one_line(model):
    replace(model / "merges.txt", b"a" * (40 << 20))
    use(model, status=EXHAUSTED, words="merges.txt: has")
    replace(model / "merges.txt", b"a" * (20 << 20))
    err = use(model, status=CORRUPT, words="must be two tokens", peak=150)
    assert len(err) < 1_000
    replace(model / "merges.txt", b"a b " * (1 << 20))
    use(model, status=CORRUPT, words="must be two tokens")


VALUES = [None, True, -1, 0, 1.5, 1e300, 1 << 62, 1 << 64, "x", "\x1b[31m\n", "y" * 200_000, [],
          [1, 2], [[]], {}, {"a": {}}]


def leaves(value, path=()):
    """The paths of all members and elements of a JSON value."""
    if path:
        yield path
    steps = value.items() if isinstance(value, dict) else (
        enumerate(value[:2]) if isinstance(value, list) else ())
    for step, inner in steps:
        yield from leaves(inner, (*path, step))


def changed(value, path, new):
    copy = json.loads(json.dumps(value))
    at = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = new
    return copy


def each_wrong_value(file, verb, out):
    """Runs `verb` with each value of VALUES in place of each member of a JSON file."""
    original = json.loads(file.read_text())
    tried = 0
    for n, path in enumerate(leaves(original)):
        # Under the sanitizers every third, each member still with some.
        for value in VALUES[n % 3::3] if SANITIZED else VALUES:
            file.write_text(json.dumps(changed(original, path, value)))
            result = run(*verb, "--out", out)
            shutil.rmtree(out, ignore_errors=True)
            out.unlink(missing_ok=True)
            err = result.err.decode()
            where = f"{path} = {str(value)[:40]}: {result.status} {err}"
            # A value may be allowed; a crash, silence or a broken line is not.
            assert result.status in (0, *REFUSED), where
            assert (result.status == 0) == (err == ""), where
            assert all(c.isprintable() for c in err.rstrip("\n")) and err.count("\n") < 2, where
            assert len(err) < 9_000, where
            assert SANITIZED or result.peak < 150, where
            tried += 1
    assert tried > 20
    file.write_text(json.dumps(original))


def test_wrong_types_in_a_configuration(model):
    picture = model.parent / "x.png"
    picture.write_bytes(png(1, 1, 8, 2, zlib.compress(b"\0abc")))
    each_wrong_value(model / CONFIG, ("preprocess", model, "--image", picture),
                     model.parent / "x.npy")


@pytest.mark.parametrize("name", ["vocab.json", "tokenizer_config.json"])
def test_wrong_types_in_a_vocabulary(name, model):
    texts = model.parent / "texts.txt"
    texts.write_text("a duck\n")
    original = json.loads((model / name).read_text())
    for value in VALUES:
        for spoilt in (value, {**original, "bos_token": value}, {**original, "a</w>": value}):
            (model / name).write_text(json.dumps(spoilt))
            result = run("tokenize", model, "--texts", texts)
            assert result.status in (0, *REFUSED), result.err
            assert result.err.count(b"\n") == (0 if result.status == 0 else 1), result.err


# A name never leads to a network or out of the folder of shipped models.
@pytest.mark.parametrize("name", ["https://example.com/model", "../models/none", "pictureworld/..",
                                  "", ".", "no-such-model", "hf:none/none",
                                  "hf:../..", "hf:", "hf:a/../../b", "\x1b[2Jx", "a\nb", "x" * 5000])
def test_names_of_models(name, tmp_path):
    err = refused("info", name)
    assert "\x1b" not in err


# --- tokenizers of other kinds --------------------------------------------------------------------

TOKENIZERS = ROOT / "tests/data/tokenizers"
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 798330\n"
WEB_PAGE = b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>\n"


def speaking(kind, folder):
    """A model whose texts are read by the tokenizer of tests/data/tokenizers/KIND."""
    shutil.rmtree(folder, ignore_errors=True)
    if kind == "siglip":
        shutil.copytree(ROOT / "models/pictureworld-siglip", folder)
        return folder
    shutil.copytree(TOKENIZERS / kind, folder)
    config = json.loads((MODEL / CONFIG).read_text())
    config["model_cfg"]["text_cfg"]["pool_type"] = "last"
    (folder / CONFIG).write_text(json.dumps(config))
    (folder / WEIGHTS).symlink_to(MODEL / WEIGHTS)
    return folder


@pytest.fixture(scope="module")
def tongues(tmp_path_factory):
    """A function that gives such a model, made once a kind. Who spoils a file of it restores it."""
    folder = tmp_path_factory.mktemp("tongues")
    (folder / "texts.txt").write_text("a duck\nA Cat on the sea\n")
    return functools.cache(lambda kind: speaking(kind, folder / kind))


def with_file(model, name, content, check):
    """Calls check(run on this model) with other content in a file, which is restored."""
    path = model / name
    before = path.read_bytes() if path.exists() else None
    if before is not None:
        path.unlink()
    try:
        content = content(before) if getattr(content, "of_content", False) else content
        path.write_bytes(content) if isinstance(content, bytes) else content(path)
        check()
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)


def told(model, name, content, status, words="", where=None):
    """tokenize refuses, says this of the file, and what to do next."""
    def check():
        err = refused("tokenize", model, "--texts", model.parent / "texts.txt", status=status,
                      words=words, peak=150)
        assert (str(model / name) if where is None else where) in err, err
        assert "; " in err and "internal" not in err, err

    with_file(model, name, content, check)


# What lies in the place of any file of a tokenizer.
NO_TOKENIZERS = {
    "pipe": (os.mkfifo, INVALID, "is a pipe"),
    "folder": (lambda path: path.mkdir(), INVALID, "is a directory"),
    "device": (lambda path: path.symlink_to("/dev/zero"), INVALID, "is a device"),
    "loop": (lambda path: path.symlink_to(path.name), INVALID, "symbolic links"),
    "empty": (b"", CORRUPT, ""),
    "zeros": (bytes(4096), CORRUPT, ""),
    "not UTF-8": (b'{"\xff\xfe\xff": 1}\n', CORRUPT, ""),
    "pointer": (LFS_POINTER, CORRUPT, "is a Git LFS pointer, not the file; run `git lfs pull`"),
    "page": (WEB_PAGE, CORRUPT, "is a web page (HTML), not the file; fetch the file"),
    "text": (b"no tokenizer at all\n" * 9, CORRUPT, ""),
    "list": (b"[1, 2, 3]\n", CORRUPT, ""),
    "nested": (b"[" * 100_000, CORRUPT, ""),
    "nested objects": (b'{"a":' * 5000 + b"1" + b"}" * 5000, CORRUPT, ""),
    "endless": (lambda path: (path.touch(), os.truncate(path, 140 << 20)), EXHAUSTED, "at most"),
}


@pytest.mark.parametrize(("kind", "name"), [
    ("siglip", "spiece.model"), ("siglip", "tokenizer_config.json"), ("xlm", "sentencepiece.bpe.model"),
    ("bert", "vocab.txt"), ("siglip2", "tokenizer.json"), ("steps", "tokenizer.json")])
def test_a_file_of_a_tokenizer_that_is_none(kind, name, tongues):
    model = tongues(kind)
    assert run("tokenize", model, "--texts", model.parent / "texts.txt").status == 0
    # Under the sanitizers every third, of each file others.
    some = slice(len(kind) % 3, None, 3) if SANITIZED else slice(None)
    for content, status, words in list(NO_TOKENIZERS.values())[some]:
        told(model, name, content, status, words)


@pytest.mark.parametrize(("kind", "name", "words"), [
    ("siglip", "spiece.model", "spiece.model is missing"),
    ("xlm", "sentencepiece.bpe.model", "no tokenizer.json and no sentencepiece.bpe.model"),
    ("t5", "spiece.model", "no tokenizer.json and no spiece.model"),
    ("bert", "vocab.txt", "no tokenizer.json and no vocab.txt"),
    ("siglip2", "tokenizer.json", "tokenizer.json is missing")])
def test_a_file_of_a_tokenizer_that_is_missing(kind, name, words, tongues):
    told(tongues(kind), name, lambda path: None, MISSING, words, where=str(tongues(kind)))
    told(tongues(kind), name, lambda path: path.symlink_to("nothing"), MISSING, words,
         where=str(tongues(kind)))


def piece(text, score=0.0, kind=1):
    return forge.proto(1, forge.proto(1, text) + b"\x15" + struct.pack("<f", score) + b"\x18" +
                       bytes([kind]))


def test_sentencepiece_models_that_lie(tongues):
    whole = (TOKENIZERS / "siglip/spiece.model").read_bytes()
    for kind, name in (("siglip", "spiece.model"), ("xlm", "sentencepiece.bpe.model")):
        model = tongues(kind)
        for content, words in (
                (b"\x0a" + b"\xff" * 8 + b"\x7f", "more bytes are wanted, it has 0"),
                (b"\x0a\xff\xff\xff\xff\x07abc", "2147483647 more bytes are wanted, it has 3"),
                (b"\xff" * 64, "more than 64 bits"), (b"\x0a\0" * 200_000, "it was cut off"),
                (piece(b"<unk>", kind=2) + piece(b"a", float("nan")) * 9 + forge.proto(2, b""),
                 "a score that is no number"),
                (piece(b"\xff\xff") + forge.proto(2, b""), "is not UTF-8"),
                (piece(b"a", kind=9) + forge.proto(2, b""), "the unknown kind 9"),
                (piece(b"<unk>", kind=2) + piece(b"a") * 9, "ends behind piece 9")):
            told(model, name, content, CORRUPT, words)
        # Wherever it ends: a file without the settings behind its pieces was cut off.
        for size in range(len(whole) // 60, len(whole) * 9 // 10, len(whole) // 5):
            told(model, name, whole[:size], CORRUPT, "fetch the file again")


def changed_json(path, value):
    def change(content):
        return json.dumps(changed(json.loads(content), path, value)).encode()

    change.of_content = True
    return change


def with_member(**members):
    def change(content):
        return json.dumps({**json.loads(content), **members}).encode()

    change.of_content = True
    return change


# What is not there, not a number, or beyond all vocabularies. The bound of the weights' rows is
# told of the model's directory, since any of the tokenizer's files may have brought the id.
WRONG_IDS = [-1, 1 << 24, 1 << 40, 1 << 70, "x", None, [], 1.5]


@pytest.mark.parametrize(("kind", "path", "value", "status", "words"), [
    *[("siglip2", ("model", "vocab", "a"), value, CORRUPT, "it must be a whole number") for value in WRONG_IDS],
    *[("bert-saved", ("model", "vocab", "a"), value, CORRUPT, "an id from 0 to") for value in WRONG_IDS],
    *[("steps", ("added_tokens", 0, "id"), value, CORRUPT, "id") for value in WRONG_IDS],
    *[("bert-saved", ("added_tokens", 0, "id"), value, CORRUPT, "id") for value in WRONG_IDS[:3]],
    ("siglip2", ("model", "vocab", "zzz"), 5, CORRUPT, "have the same id, 5"),
    ("siglip2", ("model", "vocab"), 7, CORRUPT, "an object of tokens and ids"),
    ("steps", ("model", "vocab"), {}, CORRUPT, "a list of pieces and scores"),
    ("bert-saved", ("model", "vocab"), [], CORRUPT, "an object of tokens and ids"),
    ("siglip2", ("model",), 7, CORRUPT, '"model" must be an object'),
    ("steps", ("model",), None, CORRUPT, '"model" must be an object'),
    ("steps", ("model", "type"), "WordLevel", UNSUPPORTED, "only Unigram, BPE and WordPiece"),
    ("steps", ("added_tokens",), 7, CORRUPT, "'added_tokens' must be an array"),
    ("siglip2", ("added_tokens",), [7], CORRUPT, "7 is no token"),
    ("steps", ("normalizer",), 7, CORRUPT, "of type number"),
    ("steps", ("post_processor",), [], CORRUPT, "of type array")])
def test_a_tokenizer_json_that_lies(kind, path, value, status, words, tongues):
    told(tongues(kind), "tokenizer.json", changed_json(path, value), status, words)


def test_ids_beyond_the_weights(tongues):
    for kind, path in (("siglip2", ("model", "vocab", "zzz")), ("bert-saved", ("model", "vocab", "zzz"))):
        model = tongues(kind)
        told(model, "tokenizer.json", changed_json(path, 99_999), CORRUPT,
             "have 100000 ids, the weights rows for 2304; take both from the same model",
             where=str(model))
    many = {str(5000 + i): {"content": f"<new {i}>"} for i in range(3000)}
    model = tongues("siglip")
    told(model, "tokenizer_config.json", with_member(added_tokens_decoder=many), CORRUPT,
         "ids, the weights rows for 1087", where=str(model))


def test_a_vocab_txt_that_lies(tongues):
    model = tongues("bert")
    for content, words in ((b"[PAD]\n[CLS]\n[SEP]\n[MASK]\na\n", 'the unknown token "[UNK]"'),
                           (b"\n\n\n", 'the unknown token "[UNK]"'),
                           (b"[UNK]\n[CLS]\n[SEP]\na\0b\n", "line 4: has a zero byte"),
                           (b"[UNK]\n[CLS]\n\xff\xff\n", "line 3"),
                           (b"a" * (20 << 20), 'the unknown token "[UNK]"')):
        told(model, "vocab.txt", content, CORRUPT, words)
    lines = b"".join(b"x%d\n" % i for i in range(3000))
    told(model, "vocab.txt", b"[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\n" + lines, CORRUPT, "take both from the same",
         where=str(model))


@pytest.mark.parametrize(("kind", "members", "status", "words"), [
    ("bert", {"tokenizer_class": "EvilTokenizer"}, UNSUPPORTED, "EvilTokenizer"),
    ("bert", {"tokenizer_class": 7}, CORRUPT, '"tokenizer_class" must be a string'),
    ("bert", {"unk_token": "<none>"}, CORRUPT, "'unk_token' in"),
    ("bert", {"unk_token": None}, CORRUPT, "no token is named as 'unk_token'"),
    ("xlm", {"unk_token": None}, CORRUPT, "no token is named as 'unk_token'"),
    ("xlm", {"eos_token": ""}, CORRUPT, "no token is named as 'eos_token'"),
    ("xlm", {"bos_token": 7}, CORRUPT, "7 is no token"),
    ("siglip", {"pad_token": None}, CORRUPT, "no token is named as 'pad_token'"),
    ("siglip", {"do_lower_case": 7}, CORRUPT, "true or false was expected"),
    ("siglip", {"model_max_length": -1}, CORRUPT, "a number of tokens from 2 on"),
    ("siglip", {"added_tokens_decoder": 7}, CORRUPT, "must be an object"),
    ("siglip", {"added_tokens_decoder": {"x": {"content": "<a>"}}}, CORRUPT, "'x', which is no id"),
    ("siglip", {"added_tokens_decoder": {"-5": {"content": "<a>"}}}, CORRUPT, "'-5', which is no id"),
    ("siglip", {"added_tokens_decoder": {"99999999": {"content": "<a>"}}}, CORRUPT, "which is no id")])
def test_settings_of_a_tokenizer_that_lie(kind, members, status, words, tongues):
    told(tongues(kind), "tokenizer_config.json", with_member(**members), status, words)


@pytest.mark.parametrize(("name", "content", "words"), [
    ("special_tokens_map.json", b"[]", "an object was expected"),
    ("special_tokens_map.json", b'{"unk_token": 7}', "7 is no token"),
    ("special_tokens_map.json", WEB_PAGE, "is a web page"), ("added_tokens.json", LFS_POINTER, "git lfs pull"),
    ("added_tokens.json", b'{"<a>": -1}', "a whole number from 0 to"),
    ("added_tokens.json", b'{"<a>": 99999999999}', "a whole number from 0 to"),
    ("added_tokens.json", b'{"<a>": "x"}', "a whole number from 0 to")])
def test_older_files_of_a_tokenizer_that_lie(name, content, words, tongues):
    told(tongues("xlm"), name, content, CORRUPT, words)


def test_other_verbs_meet_such_a_tokenizer(tongues, tmp_path):
    model = tongues("siglip")
    picture = tmp_path / "x.png"
    picture.write_bytes(png(1, 1, 8, 2, zlib.compress(b"\0abc")))
    texts = model.parent / "texts.txt"

    def check():
        words = {"status": CORRUPT, "words": "spiece.model: is a Git LFS pointer"}
        refused("embed", model, "--texts", texts, "--out", tmp_path / "x.npy", **words)
        refused("classify", model, "--images", picture, "--classes", texts, **words)
        refused("heatmap", model, "--image", picture, "--text", "a duck", "--out", tmp_path / "m.png", **words)
        assert not (tmp_path / "x.npy").exists() and not (tmp_path / "m.png").exists()
        # Pictures need no tokenizer.
        assert run("embed", model, "--images", picture, "--out", tmp_path / "y.npy").status == 0

    with_file(model, "spiece.model", LFS_POINTER, check)


# --- PyTorch files ------------------------------------------------------------------------------


def pytorch(tmp_path, content, **how):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    return refused("info", path, "--arch", "ViT-B-32", **how)


def checkpoint(members, **files):
    return forge.archive({"a/data.pkl": forge.program(members), **files})


@pytest.mark.parametrize("module", ["os system", "posix system", "builtins eval", "nt system",
                                    "subprocess Popen", "torch.hub load", "torch.load load"])
def test_a_pickle_that_calls_is_refused_and_nothing_happens(module, tmp_path):
    mark = tmp_path / "was-here"
    call = forge.name(module) + b"(" + forge.text(f"touch {mark}") + b"tR"
    for content in (checkpoint(call), checkpoint(forge.dictionary({"a": call})),
                    forge.program(call)):
        pytorch(tmp_path, content, status=(CORRUPT, UNSUPPORTED))
    pytorch(tmp_path, checkpoint(call), words="nothing was run")
    assert not mark.exists()


def raw_zeros(megabytes):
    return zeros(megabytes)[2:-4], megabytes << 20


def test_zip_archives_that_unfold(tmp_path):
    pytorch(tmp_path, forge.archive({"a/data.pkl": raw_zeros(400)}), status=EXHAUSTED)
    # What the pickle says of sizes is held against the architecture before anything is unpacked.
    tensor = forge.tensor("FloatStorage", "0", 100 << 20, 0, [10240, 10240], [10240, 1])
    pytorch(tmp_path, checkpoint(forge.dictionary({"logit_scale": tensor, "visual.proj": tensor}),
                                 **{"a/data/0": raw_zeros(400)}))
    # A size that deflate could not reach.
    pytorch(tmp_path, forge.archive({"a/data.pkl": (b"\3\0", 1 << 30)}), status=CORRUPT)


def test_pickles_without_end(tmp_path):
    level = forge.dictionary({"weight": forge.STATE["weight"]})
    # Each level holds the one below it twice.
    laugh = level + b"q\0"
    for _ in range(60):
        laugh = b"}(" + forge.text("a") + laugh + forge.text("b") + b"h\0uq\0"
    storages = {f"a/data/{key}": content for key, content in forge.STORAGES.items()}
    pytorch(tmp_path, checkpoint(laugh, **storages), status=EXHAUSTED)
    pytorch(tmp_path, checkpoint(b"(" * 1_000_000), status=EXHAUSTED)
    pytorch(tmp_path, checkpoint(b"]" * 4_500_000), status=EXHAUSTED)
    pytorch(tmp_path, checkpoint(b"X\xff\xff\xff\xff"))
    pytorch(tmp_path, checkpoint(b"\x8e" + b"\xff" * 8))
    pytorch(tmp_path, checkpoint(b"}r\xff\xff\xff\xff"))
    pytorch(tmp_path, b"\x80\x02\x8b\xff\xff\xff\x7f")


def test_tensors_that_lie(tmp_path):
    for shape, steps, offset in (([200, 200], [200, 1], 0), ([6], [1 << 30], 0), ([6], [1], 1),
                                 ([1 << 30, 1 << 30, 1 << 30], [1, 1, 1], 0), ([2], [0], 6)):
        tensor = forge.tensor("FloatStorage", "0", 6, offset, shape, steps)
        pytorch(tmp_path, checkpoint(forge.dictionary({"a": tensor}), **{"a/data/0": forge.F4}))
    # One value that stands for 2^40.
    tensor = forge.tensor("FloatStorage", "0", 6, 0, [1 << 20, 1 << 20], [0, 0])
    pytorch(tmp_path, checkpoint(forge.dictionary({"a": tensor}), **{"a/data/0": forge.F4}))


@pytest.mark.parametrize("what", NO_FILES)
def test_a_checkpoint_that_is_none(what, tmp_path):
    path = tmp_path / "x.pt"
    path.touch()
    replace(path, NO_FILES[what])
    refused("info", path, "--arch", "ViT-B-32")


def test_an_index_names_files_beside_it_only(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(forge.HUGGING_FACE))
    for name in ("../secret.safetensors", "/etc/passwd", "a/../../b", "", ".", "x\0y"):
        (tmp_path / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": {"logit_scale": name}}))
        refused("info", tmp_path)


# --- tables, MATLAB files, edits ------------------------------------------------------------------


@pytest.mark.parametrize("content", [
    b"path,label\na.png\n", b'path,label\na.png,"duck\n', b"path,label\na.png,\xff\n",
    b"path\n../a.png\n", b"path\n/etc/passwd\n", b"path," + b"a," * 5000 + b"\n",
    b'path\n"' + b"a" * (8 << 20)])
def test_a_table_that_is_none(content, tmp_path):
    (tmp_path / "table.csv").write_bytes(content)
    refused("embed", MODEL, "--images", tmp_path / "table.csv", "--out", tmp_path / "x.npy",
            status=(CORRUPT, EXHAUSTED))


ROWS = 1 << 24
WORD = forge.parquet_page(2, forge.parquet_texts(b"x" * (1 << 20)), 1)
NOTHING = forge.parquet_page(2, forge.parquet_texts(b""), 1)
ZSTD_BOMB = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", 1 << 30) + b"\x02\0\x10a" * 8192 + b"\x03\0\x10a"


def runs(count):
    """As many times the first value of a dictionary."""
    return forge.parquet_page(0, b"\0" + forge.varint(2 * count), count, 8)


def list_of_nulls():
    repetition, definition = b"\x02\0" + forge.varint(2 * (ROWS - 1)) + b"\1", forge.varint(2 * ROWS) + b"\2"
    levels = b"".join(struct.pack("<I", len(part)) + part for part in (repetition, definition))
    return forge.parquet(forge.parquet_page(0, levels, ROWS), ROWS, rows=1, element=forge.PARQUET_LIST)


@pytest.mark.parametrize("content,status,words,peak", [
    (lambda: forge.parquet(WORD + runs(1 << 20), 1 << 20), EXHAUSTED, "more than 134217728", 400),
    (lambda: forge.parquet(NOTHING + runs(ROWS), ROWS), MISSING, "lists no pictures", 300),
    (lambda: forge.parquet(NOTHING + runs(1 << 26), 1 << 26), EXHAUSTED, "33554432 cells", 100),
    (list_of_nulls, EXHAUSTED, "a cell has 1048", 100),
    (lambda: forge.parquet(forge.parquet_page(0, b"", 1, size=1 << 40), 1), EXHAUSTED, "67108864", 100),
    (lambda: forge.parquet(forge.parquet_page(0, b"\x80\x80\x80\x20", 1, size=60 << 20), 1, codec=1),
     CORRUPT, "Snappy claims", 100),
    (lambda: forge.parquet(forge.parquet_page(0, ZSTD_BOMB, 1, size=60 << 20), 1, codec=6), CORRUPT,
     "does not unpack", 150),
    (lambda: forge.parquet(forge.parquet_page(0, zlib.compress(bytes(300 << 20)), 1, size=60 << 20), 1,
                           codec=2), EXHAUSTED, "unpacks to more than", 250),
    (lambda: b"PAR1" + struct.pack("<I", 0xFFFFFFFF) + b"PAR1", CORRUPT, "a footer of 4294967295", 100),
    (lambda: forge.parquet(forge.parquet_page(0, b"", 0), 0, rows=0, groups=1 << 18), MISSING, "lists no pictures", 150),
    (lambda: forge.parquet(runs(5), 5, groups=9), CORRUPT, "value 0 of a dictionary of 0", 100)])
def test_a_parquet_table_that_lies(content, status, words, peak, tmp_path):
    (tmp_path / "t.parquet").write_bytes(content())
    refused("embed", MODEL, "--images", tmp_path / "t.parquet", "--out", tmp_path / "x.npy",
            status=status, words=words, peak=peak)


def matlab_element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matlab_array(kind, shape, content):
    return matlab_element(14, matlab_element(6, struct.pack("<II", kind, 0)) + matlab_element(
        5, struct.pack(f"<{len(shape)}I", *shape)) + matlab_element(1, b"synsets") + content)


def matlab_packed(content):
    packed = zlib.compress(content)
    return struct.pack("<II", 15, len(packed)) + packed


def matlab_cells(count):
    return matlab_array(1, (count, 1), matlab_element(14, b"") * count)


@pytest.mark.parametrize("content,status,peak", [
    (lambda: matlab_packed(bytes(64 << 20)), EXHAUSTED, 100),
    (lambda: matlab_array(6, (1 << 30, 1 << 30), b""), CORRUPT, 100),
    (lambda: struct.pack("<II", 14, 1 << 31), CORRUPT, 100),
    (lambda: matlab_packed(matlab_array(6, (9 << 20, 1), matlab_element(2, bytes(9 << 20)))) * 9,
     EXHAUSTED, 250),
    (lambda: matlab_packed(matlab_cells(2 * 10**6)), CORRUPT, 500)])
def test_a_devkit_that_lies(content, status, peak, tmp_path):
    (tmp_path / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n")
    (tmp_path / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
    (tmp_path / "meta.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\1IM" + content())
    refused("embed", MODEL, "--images", tmp_path, "--out", tmp_path / "x.npy", status=status,
            words="meta.mat", peak=peak)


def test_a_mat_file_that_is_no_hdf5(tmp_path):
    file = tmp_path / "gtsegs.mat"
    for content in (b"", b"MATLAB 7.3 MAT-file", b"MATLAB 5.0".ljust(124) + b"\0\1IM",
                    b"\x89HDF\r\n\x1a\n" + b"\xff" * 4096):
        file.write_bytes(content)
        refused("embed", MODEL, "--images", file, "--out", tmp_path / "x.npy", words="gtsegs.mat")


def test_an_edit_that_is_none(tmp_path):
    edit = tmp_path / "edit.json"
    edit.write_text("[" * 1_000_000)
    refused("edit", "show", edit, status=CORRUPT)
    edit.write_text('{"components": [' + "1," * (8 << 20) + "1]}")
    refused("edit", "show", edit, status=CORRUPT, words="checksum")
    os.truncate(edit, 33 << 20)
    refused("edit", "show", edit, status=EXHAUSTED)


@pytest.mark.skipif(SANITIZED, reason="the sanitizers take memory of their own")
def test_an_edit_with_its_checksum_is_parsed_whole(tmp_path):
    """As many lists as JSON may hold values; -rP prints what they take."""
    begin, end = b'{"components": [[]', b'], "checksum": "' + b"0" * 32 + b'"\n}\n'
    text = begin + b",[]" * 8_380_000 + end
    (tmp_path / "edit.json").write_bytes(text.replace(b"0" * 32, xxh128(text).encode()))
    result = run("edit", "show", tmp_path / "edit.json")
    print(f"an edit of 8,380,000 lists: {result.peak:.0f} MB, {result.err.decode()}")
    assert result.status in REFUSED and result.err.count(b"\n") == 1 and result.peak < 1024


# --- texts --------------------------------------------------------------------------------------


def test_texts_that_are_none(tmp_path):
    out = ("--out", tmp_path / "x.npy")
    texts = tmp_path / "texts.txt"
    for content, status in ((b"", INVALID), (b"\n \n\t\n", INVALID), (b"a\xff\n", CORRUPT),
                            (b"\0", 0)):
        texts.write_bytes(content)
        if status:
            refused("embed", MODEL, "--texts", texts, *out, status=status)
    refused("embed", MODEL, "--texts", tmp_path, *out, status=INVALID, words="is a directory")
    refused("embed", MODEL, "--texts", "/dev/zero", *out, status=INVALID, words="is a device")
    refused("embed", MODEL, "--texts", "/dev/null", *out, status=INVALID, words="is a device")
    refused("embed", MODEL, "--texts", tmp_path / "none", *out, status=MISSING)


def test_a_text_of_megabytes(tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("a" * (8 << 20))
    refused("tokenize", MODEL, "--texts", texts, peak=250)


# --- stores -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    pictures = folder / "pictures"
    pictures.mkdir()
    for i in range(3):
        row = bytes([0]) + bytes((40 * i + j) % 256 for j in range(24))
        (pictures / f"{i}.png").write_bytes(png(8, 8, 8, 2, zlib.compress(row * 8)))
    result = run("decompose", MODEL, "--images", pictures, "--out", folder / "store")
    assert result.status == 0, result.err
    return folder / "store"


@pytest.fixture
def spoilt(store, tmp_path):
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    return copy


def test_a_changed_manifest(spoilt):
    """Its own checksum finds any change; what lies behind it is for the fuzz target `store`."""
    text = (spoilt / "manifest.json").read_text()
    manifest = json.loads(text)
    # Under the sanitizers every fourth: it is one checksum.
    for path in list(leaves(manifest))[::4 if SANITIZED else 1]:
        spoilt_text = json.dumps(changed(manifest, path, 7), indent=2) + "\n"
        (spoilt / "manifest.json").write_text(spoilt_text)
        refused("verify", spoilt)
        refused("export", spoilt, "--format", "npy", "--out", spoilt / "x")
    for value in VALUES:
        (spoilt / "manifest.json").write_text(json.dumps(value))
        refused("export", spoilt, "--format", "npy", "--out", spoilt / "x")


@pytest.mark.parametrize("what", NO_FILES)
def test_a_file_of_a_store_that_is_none(what, store, tmp_path):
    for name in sorted(p.name for p in store.iterdir()):
        copy = tmp_path / name / "store"
        shutil.copytree(store, copy)
        replace(copy / name, NO_FILES[what])
        refused("export", copy, "--format", "npy", "--out", tmp_path / "arrays")


def test_a_manifest_without_end(spoilt):
    replace(spoilt / "manifest.json", b"[" * 1_000_000 + b"]" * 1_000_000)
    refused("export", spoilt, "--format", "npy", "--out", spoilt / "x", status=CORRUPT,
            words="nested deeper")


# --- names and permissions ----------------------------------------------------------------------


def test_names_are_printed_escaped(tmp_path):
    evil = "a\n\x1b[31m\x07\u009b\udcff"
    folder = tmp_path / evil
    folder.mkdir()
    (folder / (evil + ".png")).write_bytes(b"no picture")
    out = tmp_path / "x.npy"
    err = refused("embed", MODEL, "--images", folder, "--out", out)
    assert "\\x0a\\x1b[31m\\x07" in err
    refused("embed", MODEL, "--images", folder / "none", "--out", out, status=MISSING)
    refused("info", folder)
    refused("export", folder, "--format", "npy", "--out", out)
    refused("embed", MODEL, "--texts", folder, "--out", out)
    refused("embed", MODEL, "--images", folder, "--out", folder)
    refused(evil)
    refused("embed", MODEL, "--" + evil, "x")
    # What goes well is printed escaped too, and so is what was passed over.
    (folder / "good.png").write_bytes(png(1, 1, 8, 2, zlib.compress(b"\0abc")))
    result = run("embed", MODEL, "--images", folder, "--out", out, "--on-error", "skip")
    assert b"skipped" in result.err and b"\x1b" not in result.err, result.err
    (tmp_path / "good.png").write_bytes(png(1, 1, 8, 2, zlib.compress(b"\0abc")))
    result = run("preprocess", MODEL, "--image", tmp_path / "good.png", "--out", folder / "x.npy")
    assert result.status == 0, result.err
    assert b"\x1b" not in result.out and b"\x07" not in result.out


def test_without_permission(model):
    nobody = 65534 if os.getuid() == 0 else None
    if nobody is not None:
        if run("--version", user=nobody).status != 0:
            pytest.skip("nobody may not run the program where it lies")
    work = Path(tempfile.mkdtemp(prefix="cliplens-hostile-"))
    try:
        work.chmod(0o755)
        copy = work / "model"
        shutil.copytree(model, copy)
        texts = work / "texts.txt"
        texts.write_text("a duck\n")
        for name in (CONFIG, WEIGHTS, "vocab.json", "merges.txt", "tokenizer_config.json"):
            before = stat.S_IMODE((copy / name).stat().st_mode)
            (copy / name).chmod(0)
            refused("tokenize", copy, "--texts", texts, status=PRECONDITION, words=name, user=nobody)
            (copy / name).chmod(before)
        texts.chmod(0)
        refused("tokenize", copy, "--texts", texts, status=PRECONDITION, user=nobody)
        copy.chmod(0)
        refused("tokenize", copy, "--texts", texts, user=nobody)
    finally:
        (work / "model").chmod(0o755)
        shutil.rmtree(work)


def test_places_that_cannot_be_written(tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("a duck\n")
    for out in ("/dev/full", "/dev/null", tmp_path, tmp_path / "none/x.npy", "/proc/x.npy",
                texts / "x", ""):
        refused("embed", MODEL, "--texts", texts, "--out", out)
    # As of a script whose variable is empty.
    refused("label", tmp_path, "--csv", "", words="--csv: no file is named")
    refused("report", tmp_path, "--texts", texts, "--out", "", words="--out: no file is named")
