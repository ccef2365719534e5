"""Models: every kind of picture gives the numbers of the command line, to the bit."""

import io

import numpy as np
import PIL.Image
import pytest

from conftest import png


@pytest.fixture(scope="module")
def rows(told, folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("rows") / "rows.npy"
    told("embed", "pictureworld", "--images", folder, "--out", out)
    return np.load(out)


@pytest.fixture(scope="module")
def sorted_arrays(arrays):
    """In the order of the folder."""
    return arrays[0::2] + arrays[1::2]


class Tensor:
    """An array as PyTorch lays it out, [3, h, w]."""

    def __init__(self, array):
        self.array = array.transpose(2, 0, 1)

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


KINDS = {
    "arrays": lambda a: a,
    "PIL images": PIL.Image.fromarray,
    "bytes of files": png,
    "tensors of PyTorch's order": Tensor,
    "undecoded rows of a data set": lambda a: {"bytes": png(a), "path": None},
}


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_the_command_lines(model, rows, sorted_arrays, kind):
    assert np.array_equal(model.embed_images([KINDS[kind](a) for a in sorted_arrays]), rows)


def test_a_folder_and_paths(model, rows, folder):
    assert np.array_equal(model.embed_images(folder), rows)
    paths = sorted(folder.rglob("*.png"))
    assert np.array_equal(model.embed_images(paths), rows)
    assert np.array_equal(model.embed_images(paths[3]), rows[3:4])


def test_a_batch_is_an_array_of_pictures(model, arrays):
    batch = np.stack([a[:50, :60] for a in arrays])
    assert np.array_equal(model.embed_images(batch), model.embed_images(list(batch)))
    assert model.embed_images(batch[0]).shape == (1, model.embed_width)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "CMYK"])
def test_modes_of_pil_are_read_as_from_a_file(model, arrays, tmp_path, mode):
    image = PIL.Image.fromarray(arrays[0])
    image = PIL.Image.new("I;16", (40, 30), 300) if mode == "I;16" else image.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    assert np.array_equal(model.embed_images(image), model.embed_images(path))


def test_texts_ids_and_pixels(model, told, texts, tmp_path, folder, arrays):
    lines = (texts / "pool.txt").read_text().splitlines()
    told("embed", "pictureworld", "--texts", texts / "pool.txt", "--out", tmp_path / "t.npy")
    assert np.array_equal(model.embed_texts(lines), np.load(tmp_path / "t.npy"))
    import json

    ids = json.loads(told("tokenize", "pictureworld", "--texts", texts / "pool.txt", "--json"))["texts"]
    got = model.token_ids(lines)
    assert got.dtype == np.int32 and got.shape[0] == len(lines)
    for row, text in zip(got, ids, strict=True):
        assert list(row[:len(text["ids"])]) == text["ids"]
    picture = folder / "even" / "00.png"
    told("preprocess", "pictureworld", "--image", picture, "--out", tmp_path / "p.npy")
    assert np.array_equal(model.pixels(arrays[0]), np.load(tmp_path / "p.npy"))


def test_precision_size_and_level(cl, arrays):
    small = cl.load("pictureworld", image_size=64, pictures_alone=True)
    assert small.image_size == 64 and small.pixels(arrays[0]).shape == (3, 64, 64)
    with pytest.raises(cl.Precondition, match="pictures alone"):
        small.embed_texts("a duck")
    pool = cl.load("pictureworld-siglip", level="pool")
    assert pool.level == "pool" and pool.components[0] == "POOL.H0"
    made = pool.decompose(arrays[:3])
    assert np.abs(sum(made.contributions(c).astype(float) for c in made.components) - made.embeddings()).max() < 1e-5


def test_what_cannot_be_read_is_told_by_name(cl, model, arrays, tmp_path):
    class Raises:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            if i == 2:
                raise RuntimeError("the disk is gone")
            return arrays[i]

    with pytest.raises(cl.InvalidArgument, match="000002.*RuntimeError.*the disk is gone"):
        model.embed_images(Raises())
    with pytest.raises(cl.InvalidArgument, match="float64"):
        model.embed_images(arrays[0].astype(float))
    with pytest.raises(cl.InvalidArgument, match=r"\(5,\)"):
        model.embed_images([np.zeros(5, np.uint8)])
    with pytest.raises(cl.InvalidArgument, match="no picture"):
        model.embed_images([])
    with pytest.raises(cl.InvalidArgument, match="int"):
        model.embed_images([7])
    with pytest.raises(cl.Error, match="000001"):
        model.embed_images([png(arrays[0]), png(arrays[0])[:200]])
    with pytest.raises(FileNotFoundError, match="no-such-picture.png"):
        model.embed_images(tmp_path / "no-such-picture.png")
    with pytest.raises(cl.NotFound, match="no-such-model"):
        cl.load("no-such-model")
    with pytest.raises(ValueError, match="fp64"):
        cl.load("pictureworld", precision="fp64")


def test_every_code_has_its_class(cl):
    for kind, also in ((cl.InvalidArgument, ValueError), (cl.NotFound, FileNotFoundError),
                       (cl.CorruptData, ValueError), (cl.Precondition, RuntimeError), (cl.Exhausted, OSError),
                       (cl.Unsupported, NotImplementedError), (cl.Internal, RuntimeError)):
        assert issubclass(kind, cl.Error) and issubclass(kind, also)
        assert cl.errors.of_code(kind.code) is kind


def test_a_picture_shows_itself(model, arrays):
    image = PIL.Image.fromarray(arrays[0])
    shown = model.heatmap(image, ["a duck", "a car"])
    assert shown.grid.shape == (2, 8, 8) and shown.grid.dtype == np.float32
    assert PIL.Image.open(io.BytesIO(shown._repr_png_())).size[0] > 200
    assert model.explain(image, "a duck")._repr_png_()[:4] == b"\x89PNG"
    cut = model.segment(image, "a duck")
    assert cut.mask.shape == arrays[0].shape[:2] == cut.map.shape and cut.mask.dtype == bool
