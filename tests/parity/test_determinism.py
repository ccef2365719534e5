"""A picture's numbers do not depend on threads, neighbours or order."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from safetensors.numpy import load_file

from harness import SHIPPED

THREADS = (1, 2, 3)


def files(directory: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.mark.parametrize("name", [SHIPPED, "odd"])
def test_threads_change_no_byte_of_embeddings(cliplens, model_folders, odd_folder, tmp_path, name):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"a photo of {i} cats and {i * i} dogs\n" for i in range(50)))
    for source in (("--images", odd_folder), ("--texts", texts, "--truncate")):
        rows = []
        for threads in THREADS:
            out = tmp_path / f"{source[0]}-{threads}.npy"
            cliplens("embed", model_folders[name], *source, "--out", out, "--threads", threads)
            rows.append(out.read_bytes())
        assert rows.count(rows[0]) == len(THREADS), source


@pytest.mark.parametrize("name", [SHIPPED, "odd"])
def test_threads_change_no_byte_of_a_store(cliplens, model_folders, odd_folder, tmp_path, name):
    stores = []
    for threads in THREADS:
        out = tmp_path / f"store-{threads}"
        cliplens("decompose", model_folders[name], "--images", odd_folder, "--out", out, "--threads",
                 threads)
        stores.append(files(out))
    for other in stores[1:]:
        assert other.keys() == stores[0].keys()
        for file in other:
            assert other[file] == stores[0][file], file


def test_threads_change_no_byte_of_a_span(cliplens, stores, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"{i} cats and {i * i} dogs\n" for i in range(200)))
    printed = {cliplens("span", stores(SHIPPED, "world")[0], "--texts", texts, "--json",
                        "--truncate", "--threads", threads) for threads in THREADS}
    assert len(printed) == 1


@pytest.mark.parametrize("name", [SHIPPED, "odd"])
def test_neighbours_change_no_byte(cliplens, model_folders, odd_folder, stores, tmp_path, name):
    """Alone, among others and in another order: the same rows."""
    together = tmp_path / "together.npy"
    items = cliplens.json("embed", model_folders[name], "--images", odd_folder, "--out",
                          together)["items"]
    rows = np.load(together)
    shard = load_file(next(stores(name, "odd")[0].glob("shard-*.safetensors")))
    for i, item in list(enumerate(items))[::3]:
        alone = tmp_path / f"{i}.npy"
        cliplens("embed", model_folders[name], "--images", odd_folder / item, "--out", alone)
        assert np.load(alone).tobytes() == rows[i].tobytes(), item
        store = tmp_path / f"store-{i}"
        cliplens("decompose", model_folders[name], "--images", odd_folder / item, "--out", store)
        single = load_file(next(store.glob("shard-*.safetensors")))
        assert single["head_z"].tobytes() == shard["head_z"][:, :, i].tobytes(), item
        assert single["mlp"].tobytes() == shard["mlp"][:, i].tobytes(), item
        assert single["cls_attn"].tobytes() == shard["cls_attn"][:, i].tobytes(), item
        assert single["ln"].tobytes() == shard["ln"][i].tobytes(), item
    reversed_folder = tmp_path / "reversed"
    reversed_folder.mkdir()
    for i, item in enumerate(reversed(items)):
        (reversed_folder / f"{i:02}{pathlib.Path(item).suffix}").write_bytes(
            (odd_folder / item).read_bytes())
    out = tmp_path / "reversed.npy"
    cliplens("embed", model_folders[name], "--images", reversed_folder, "--out", out)
    assert np.load(out)[::-1].tobytes() == rows.tobytes()
