"""The installed Python package. Run with the Python of an environment that has it:

    python -m pytest tests/package
"""

import io
import os
import pathlib
import subprocess

import numpy as np
import PIL.Image
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache of texts of these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PYTHONSAFEPATH", "1")
        yield


@pytest.fixture(scope="session")
def cl():
    import cliplens

    assert ROOT / "python" not in pathlib.Path(cliplens.__file__).parents, "the sources, not what is installed"
    return cliplens


@pytest.fixture(scope="session")
def model(cl):
    return cl.load("pictureworld")


def draw(seed, height=80, width=90):
    """A picture with shapes in it, uint8 [h, w, 3]."""
    random = np.random.default_rng(seed)
    picture = np.full((height, width, 3), random.integers(0, 256, 3), np.uint8)
    for _ in range(6):
        y, x = random.integers(0, height), random.integers(0, width)
        picture[y:y + random.integers(5, 40), x:x + random.integers(5, 40)] = random.integers(0, 256, 3)
    return picture


def png(array):
    out = io.BytesIO()
    PIL.Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def arrays():
    return [draw(i, 60 + 7 * i % 40, 70 + 5 * i % 30) for i in range(24)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory, arrays):
    """The pictures as files, in two folders of labels."""
    out = tmp_path_factory.mktemp("pictures")
    for i, array in enumerate(arrays):
        place = out / ("even" if i % 2 == 0 else "odd")
        place.mkdir(exist_ok=True)
        (place / f"{i:02d}.png").write_bytes(png(array))
    return out


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    out = tmp_path_factory.mktemp("texts")
    (out / "pool.txt").write_text("".join(f"a {c} {t}\n" for c in ("red", "blue", "green", "grey")
                                          for t in ("duck", "car", "tree", "house", "cup")))
    (out / "classes.txt").write_text("duck\teven\ncar\todd\n")
    (out / "properties.txt").write_text("".join(
        f"a {c} thing\tcolour\n" for c in ("red", "blue", "green", "grey", "black", "white"))
        + "".join(f"a picture of a {t}\tobject\n" for t in ("duck", "car", "tree", "house", "cup", "boat")))
    return out


@pytest.fixture(scope="session")
def store(model, folder, tmp_path_factory):
    return model.decompose(folder, tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="session")
def told(cl):
    """What the command line says: told("span", store, ...) is the text on standard output."""
    from cliplens._command import program

    def run(*arguments):
        done = subprocess.run([program(), *map(str, arguments)], capture_output=True, text=True, check=False,
                              env={**os.environ})
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
