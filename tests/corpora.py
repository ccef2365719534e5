"""Holds the program against material that others wrote, for whoever has it, and prints one table:
pictures against Pillow, texts against open_clip's tokenizer, open_clip's configurations.

    python tests/corpora.py --program build/release/bin/cliplens \\
        [--decoder build/release/bin/picture_pixels --pictures FOLDER...] [--texts FILE...] \\
        [--configurations]

--pictures takes folders of any files: libjpeg-turbo's test pictures, libwebp's, ImageMagick's;
tests/compare_pictures.py compares them, and fetches Pillow's and PngSuite by itself. --texts takes
files of one text a line: captions, word lists, source code, texts in any language; a line that is
blank, or no UTF-8, is passed over and counted. --configurations takes those of the open_clip that is
installed; each is read, or refused by a line that says what is not evaluated. Needs open_clip for
texts and configurations (tools/requirements-parity.txt), Pillow for pictures. Exits with 1 if
anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODEL = ROOT / "models/pictureworld"
CONTEXT = 24
TEXTS_A_RUN = 20_000
UNSUPPORTED = 7


def run(program: str, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                          env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))


# --- texts ---


def usable_lines(path: pathlib.Path) -> tuple[list[str], int]:
    """The lines that are texts, and how many are not."""
    lines, left_out = [], 0
    for line in path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            left_out += 1
            continue
        if text.strip() and "\0" not in text:
            lines.append(text)
        elif text:
            left_out += 1
    return lines, left_out


def compare_texts(program: str, files: list[pathlib.Path]) -> list[tuple[str, str]]:
    sys.path.insert(0, str(ROOT / "tests/parity"))
    import tokenizer_parity

    with tempfile.TemporaryDirectory() as folder:
        reference = tokenizer_parity.reference(MODEL / "merges.txt", folder)
        tokenizer_parity.respell(reference, ("<|startoftext|>", "<|endoftext|>"))
        compared = different = left_out = 0
        first = ""
        for path in files:
            lines, passed_over = usable_lines(path)
            left_out += passed_over
            for begin in range(0, len(lines), TEXTS_A_RUN):
                part = lines[begin:begin + TEXTS_A_RUN]
                texts = pathlib.Path(folder) / "texts.txt"
                texts.write_text("\n".join(part) + "\n", encoding="utf-8")
                result = run(program, "tokenize", MODEL, "--texts", texts, "--truncate")
                rows = [json.loads(row) for row in result.stdout.splitlines()]
                if result.returncode != 0 or len(rows) != len(part):
                    raise SystemExit(f"{path}: {len(rows)} rows of {len(part)} texts: {result.stderr}")
                for text, ids in zip(part, rows):
                    wanted = tokenizer_parity.unpadded_ids(reference, text, CONTEXT)
                    compared += 1
                    if ids != wanted:
                        different += 1
                        first = first or f"{path}: {text[:80]!r}"
    table = [("texts compared", str(compared)), ("texts whose ids differ", str(different)),
             ("lines that are no texts", str(left_out))]
    return table + ([("the first that differs", first)] if first else [])


# --- configurations ---


def configurations() -> Iterator[tuple[str, dict]]:
    import open_clip

    folder = pathlib.Path(open_clip.__file__).parent / "model_configs"
    for path in sorted(folder.glob("*.json")):
        yield path.stem, json.loads(path.read_text())


def small_picture() -> bytes:
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content +
                struct.pack(">I", zlib.crc32(kind + content)))

    rows = b"".join(b"\0" + bytes((5 * x + 11 * y) % 256 for x in range(3 * 40)) for y in range(30))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 30, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def is_plain(config: dict) -> bool:
    """Whether a configuration says nothing of another kind of tower: then it may be read."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    return (not config.get("custom_text") and isinstance(vision.get("layers"), int)
            and not any(key.startswith(("timm", "hf_model")) for key in {**vision, **text}))


def compare_configurations(program: str) -> list[tuple[str, str]]:
    read, refused, wrong = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        picture = place / "picture.png"
        picture.write_bytes(small_picture())
        for name, config in configurations():
            model = place / name
            model.mkdir()
            (model / "open_clip_config.json").write_text(
                json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
            (model / "open_clip_model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
            out = model / "pixels.npy"
            result = run(program, "preprocess", model, "--image", picture, "--out", out, "--json")
            one_line = result.stderr.startswith("cliplens: ") and result.stderr.count("\n") == 1
            if result.returncode == 0:
                side = config["vision_cfg"].get("image_size", 224)
                side = side if isinstance(side, int) else side[0]
                right = json.loads(result.stdout)["shape"] == [3, side, side] and is_plain(config)
                (read if right else wrong).append(name)
            elif result.returncode == UNSUPPORTED and one_line:
                refused.append(name)
            else:
                wrong.append(f"{name} ({result.stderr.strip()})")
    table = [("configurations of open_clip", str(len(read) + len(refused) + len(wrong))),
             ("read", str(len(read))), ("refused by what is not evaluated", str(len(refused))),
             ("read wrongly, or refused without a reason", str(len(wrong)))]
    return table + [("", name) for name in wrong]


# --- pictures ---


def compare_pictures(decoder: str, folders: list[pathlib.Path]) -> int:
    """Prints a table of its own."""
    return subprocess.run([sys.executable, ROOT / "tests/compare_pictures.py", "--decoder", decoder,
                           *map(str, folders)]).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--decoder")
    parser.add_argument("--pictures", nargs="+", type=pathlib.Path, default=[])
    parser.add_argument("--texts", nargs="+", type=pathlib.Path, default=[])
    parser.add_argument("--configurations", action="store_true")
    options = parser.parse_args()
    if options.pictures and not options.decoder:
        parser.error("--pictures needs --decoder")
    table: list[tuple[str, str]] = []
    if options.texts:
        table += compare_texts(options.program, options.texts)
    if options.configurations:
        table += compare_configurations(options.program)
    for what, value in table:
        print(f"{what:44} {value}")
    status = compare_pictures(options.decoder, options.pictures) if options.pictures else 0
    faults = {"texts whose ids differ", "read wrongly, or refused without a reason"}
    return int(status != 0 or any(what in faults and value != "0" for what, value in table))


if __name__ == "__main__":
    sys.exit(main())
