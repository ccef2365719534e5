"""Decoded pictures against Pillow, format by format; what arrives in the place of a picture; orientation; memory."""

from __future__ import annotations

import io
import json
import os
import pathlib
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from PIL import Image, ImageOps

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import compare_pictures  # noqa: E402
import format_pictures  # noqa: E402

PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
DECODER = str(pathlib.Path(PROGRAM).with_name("picture_pixels"))
SEED = 20261128


def written(folder: pathlib.Path, pictures) -> list[pathlib.Path]:
    paths = []
    for name, data in pictures:
        paths.append(folder / name)
        paths[-1].write_bytes(data)
    return paths


def differences(paths: list[pathlib.Path]) -> list[str]:
    found = []
    for path, ours in zip(paths, compare_pictures.decode(DECODER, paths)):
        what, why = compare_pictures.outcome(ours, compare_pictures.decode_with_pillow(path))
        if what != compare_pictures.EQUAL:
            found.append(f"{path.name}: {what}: {why}")
    return found


@pytest.mark.parametrize("kind, least", [("bmps", 60), ("gifs", 35), ("tiffs", 200), ("avifs", 35), ("jpeg2000s", 45)])
def test_every_pixel_equals_pillows(tmp_path, kind, least):
    pictures = getattr(format_pictures, kind)(np.random.default_rng(SEED))
    paths = written(tmp_path, pictures)
    assert len(paths) >= least
    assert differences(paths) == []


def test_every_pixel_of_heic_equals_pillow_heifs(tmp_path):
    paths = written(tmp_path, format_pictures.heics(np.random.default_rng(SEED)))
    assert len(paths) >= 20
    assert differences(paths) == []


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "I", "F", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_a_picture_is_resized_in_its_own_mode(tmp_path, mode):
    """As open_clip's transform does: resize, crop the middle, RGB, scale."""
    picture = format_pictures.image(np.random.default_rng(SEED), mode, 201, 120)
    picture.save(tmp_path / "x.tif")
    settings = json.loads((ROOT / "models/pictureworld/open_clip_config.json").read_text())
    side = settings["model_cfg"]["vision_cfg"]["image_size"]
    with Image.open(tmp_path / "x.tif") as image:
        width = side * 201 // 120
        left = round((width - side) / 2)
        resized = image.resize((width, side), Image.Resampling.BICUBIC).crop((left, 0, left + side, side))
        pixels = np.asarray(resized.convert("RGB"), np.float32) / np.float32(255)
    mean, std = (np.asarray(settings["preprocess_cfg"][name], np.float32) for name in ("mean", "std"))
    result = run("preprocess", "pictureworld", "--image", tmp_path / "x.tif", "--out", tmp_path / "x.npy")
    assert result.returncode == 0, result.stderr
    assert np.array_equal(np.load(tmp_path / "x.npy"), ((pixels - mean) / std).transpose(2, 0, 1))


def test_a_folder_is_counted(tmp_path):
    """The table that anyone can print for pictures of their own."""
    rng = np.random.default_rng(SEED)
    written(tmp_path, [("a.bmp", format_pictures.saved(format_pictures.image(rng, "RGB", 9, 9), "BMP")),
                       ("b.gif", format_pictures.saved(format_pictures.image(rng, "P", 9, 9), "GIF")),
                       ("c.txt", b"no picture")])
    result = subprocess.run([sys.executable, ROOT / "tests/compare_pictures.py", "--decoder", DECODER, tmp_path],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    last = [line for line in result.stdout.splitlines() if line.startswith("all")][0].split()
    assert last == ["all", "2", "0", "0", "0", "1"]


# --- EXIF orientation ---------------------------------------------------------------------------


def with_orientation(picture: Image.Image, form: str, orientation: int, big: bool = False) -> bytes:
    exif = Image.Exif()
    exif.endian = ">" if big else "<"
    exif[0x0112] = orientation
    options = {"quality": 90} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    return format_pictures.saved(picture, form, exif=exif, **options)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("big", [False, True])
def test_orientation_is_left_alone_or_applied(tmp_path, form, big):
    picture = format_pictures.image(np.random.default_rng(SEED), "RGB", 21, 13)
    paths = written(tmp_path, [(f"{n}.{form.lower()}", with_orientation(picture, form, n, big)) for n in range(1, 9)])
    for number, (path, ours) in enumerate(zip(paths, compare_pictures.decode(DECODER, paths)), 1):
        assert ours.orientation == number
        assert not compare_pictures.difference(ours, compare_pictures.decode_with_pillow(path))
    for path, ours in zip(paths, compare_pictures.decode(DECODER, paths, ["--exif-orientation"])):
        with Image.open(path) as image:
            upright = compare_pictures.from_pillow(ImageOps.exif_transpose(image))
        assert ours.orientation == 1
        assert not compare_pictures.difference(ours, upright)


def test_orientation_of_xmp(tmp_path):
    picture = format_pictures.image(np.random.default_rng(SEED), "RGB", 21, 13)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    paths = written(tmp_path, [("x.jpg", format_pictures.saved(picture, "JPEG", xmp=xmp)),
                               ("x.webp", format_pictures.saved(picture, "WEBP", xmp=xmp))])
    assert [ours.orientation for ours in compare_pictures.decode(DECODER, paths)] == [6, 6]


def run(*arguments, folder=None) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=folder,
                          env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))


@pytest.fixture(scope="module")
def oriented(tmp_path_factory):
    """Three pictures, two of which carry an orientation, and the same three upright."""
    folder = tmp_path_factory.mktemp("oriented")
    rng = np.random.default_rng(SEED)
    for name in ("as-they-are", "upright"):
        (folder / name).mkdir()
    for number, orientation in enumerate((1, 6, 2)):
        data = with_orientation(format_pictures.image(rng, "RGB", 120, 80), "JPEG", orientation)
        (folder / "as-they-are" / f"{number}.jpg").write_bytes(data)
        with Image.open(io.BytesIO(data)) as image:
            # The name stands in drawings.
            ImageOps.exif_transpose(image).save(folder / "upright" / f"{number}.jpg", "PNG")
    return folder


def embedded(pictures, out, *arguments) -> np.ndarray:
    result = run("embed", "pictureworld", "--images", pictures, "--out", out, *arguments)
    assert result.returncode == 0, result.stderr
    return np.load(out), result.stderr


def test_pictures_with_an_orientation_are_counted_and_turned(oriented, tmp_path):
    plain, said = embedded(oriented / "as-they-are", tmp_path / "plain.npy")
    assert said == ("cliplens: 2 pictures carry an EXIF orientation, which is left alone; "
                    "--exif-orientation turns them\n")
    turned, said = embedded(oriented / "as-they-are", tmp_path / "turned.npy", "--exif-orientation")
    assert said == ""
    upright, _ = embedded(oriented / "upright", tmp_path / "upright.npy")
    assert np.array_equal(turned, upright)
    assert np.array_equal(plain[0], upright[0]) and not np.allclose(plain[1:], upright[1:], atol=1e-3)


def test_a_store_keeps_how_its_pictures_were_turned(oriented, tmp_path):
    pictures = oriented / "as-they-are"
    for name, flags in (("plain", []), ("turned", ["--exif-orientation"])):
        result = run("decompose", "pictureworld", "--images", pictures, "--out", tmp_path / name, *flags)
        assert result.returncode == 0, result.stderr
        assert ("2 pictures carry an EXIF orientation" in result.stderr) == (not flags)
        data = json.loads((tmp_path / name / "manifest.json").read_text())["data"][0]
        assert data.get("exif_orientation", False) == bool(flags)
    # A query is turned as the store's pictures were, so each finds itself.
    for name in ("plain", "turned"):
        result = run("search", tmp_path / name, "--image", pictures / "1.jpg", "--heads", "embedding", "--raw", "-k", "1",
                     "--json")
        assert result.returncode == 0, result.stderr
        best = json.loads(result.stdout)["results"][0]
        assert best["path"] == "1.jpg" and best["score"] > 0.9999
    result = run("decompose", "pictureworld", "--images", pictures, "--out", tmp_path / "plain", "--resume",
                 "--exif-orientation")
    assert result.returncode == 2 and "exif_orientation" in result.stderr


VERBS_OF_SETS = {"embed": "--out x.npy", "decompose": "--out store", "classify": "--classes classes.txt",
                 "evaluate segmentation": "--classes classes.txt", "describe": ""}
VERBS_OF_ONE = {"preprocess": "--out x.npy", "heatmap": "--text duck", "explain": "--text duck",
                "segment": "--text duck --out mask.png"}


@pytest.mark.parametrize("verb", [*VERBS_OF_SETS, *VERBS_OF_ONE])
def test_json_has_the_number_of_pictures_with_an_orientation(oriented, tmp_path, verb):
    (tmp_path / "classes.txt").write_text("a duck\na dog\n")
    for name in "123":
        Image.new("L", (120, 80), 255).save(tmp_path / f"{name}.mask.png")
    for picture in (oriented / "as-they-are").iterdir():
        (tmp_path / picture.name).write_bytes(picture.read_bytes())
    pictures, count, more = (("--images .", 2, VERBS_OF_SETS[verb]) if verb in VERBS_OF_SETS else
                             ("--image 2.jpg", 1, VERBS_OF_ONE[verb]))
    command = [*verb.split(), "pictureworld", *pictures.split(), *more.split(), "--json"]
    result = run(*command, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "EXIF orientation" in result.stderr
    data = json.loads(result.stdout)
    assert data.get("of", data)["oriented"] == count
    if verb == "evaluate segmentation":  # masks are not turned
        return
    names = {"store": "turned", "x.npy": "turned.npy", "mask.png": "turned.png"}
    result = run(*(names.get(word, word) for word in command), "--exif-orientation", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "EXIF orientation" not in result.stderr and '"oriented"' not in result.stdout


@pytest.mark.parametrize("verb", ["preprocess", "heatmap", "explain", "segment"])
def test_verbs_of_one_picture_turn_it(oriented, tmp_path, verb):
    text = [] if verb == "preprocess" else ["--text", "a duck"]

    def out_of(folder, name, *flags):
        result = run(verb, "pictureworld", "--image", "1.jpg", *text, "--out", tmp_path / name, *flags,
                     folder=oriented / folder)
        assert result.returncode == 0, result.stderr
        return (tmp_path / name).read_bytes(), result.stderr

    turned, said = out_of("as-they-are", "turned", "--exif-orientation")
    assert said == ""
    assert turned == out_of("upright", "upright")[0]
    plain, said = out_of("as-they-are", "plain")
    assert "1 picture carries an EXIF orientation, which is left alone; --exif-orientation turns it" in said
    assert plain != turned


# --- the explorer -------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[False, True])
def explorer(request):
    """The address of an explorer, and whether it turns pictures that are sent."""
    flags = ["--exif-orientation"] if request.param else []
    with subprocess.Popen([PROGRAM, "serve", "pictureworld", "--port", "0", "--json", *flags],
                          stdout=subprocess.PIPE, text=True, env=dict(os.environ, CLIPLENS_SHARE=str(ROOT))) as process:
        text = ""
        while not text.rstrip().endswith("}"):
            text += process.stdout.readline()
        yield f"http://127.0.0.1:{json.loads(text)['port']}/api/v1", request.param
        process.terminate()


def test_pictures_that_are_sent_are_shown_as_the_model_sees_them(explorer):
    address, turned = explorer
    picture = format_pictures.image(np.random.default_rng(SEED), "RGB", 120, 80)
    for form, orientation in (("TIFF", 1), ("GIF", 1), ("AVIF", 6), ("JPEG", 6), ("PNG", 1)):
        data = (format_pictures.saved(picture, form) if orientation == 1 else
                with_orientation(picture, form, orientation))
        sent = urllib.request.Request(address + "/pictures", data, {"Content-Type": "image/x"})
        with urllib.request.urlopen(sent) as answer:
            told = json.load(answer)
        with Image.open(io.BytesIO(data)) as image:
            seen = (ImageOps.exif_transpose(image) if turned else image).convert("RGB")
            seen.load()
        assert (told["width"], told["height"]) == seen.size
        with urllib.request.urlopen(f"{address}/pictures/{told['picture']}") as answer:
            kind, shown = answer.headers["Content-Type"], answer.read()
        # A browser turns what carries an orientation; it shows the other formats as PNG only.
        whole = form in ("JPEG", "PNG") and (turned or orientation == 1)
        assert kind == (f"image/{form.lower()}" if whole else "image/png")
        with Image.open(io.BytesIO(shown)) as image:
            assert np.array_equal(np.asarray(ImageOps.exif_transpose(image).convert("RGB")), np.asarray(seen))
        with urllib.request.urlopen(f"{address}/pictures/{told['picture']}?side=64") as answer:
            with Image.open(io.BytesIO(answer.read())) as image:
                assert (image.width > image.height) == (seen.width > seen.height)
