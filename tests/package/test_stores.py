"""Stores: the bytes of the command line's, arrays without copies, interruptions, processes."""

import filecmp
import gc
import mmap
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from conftest import draw


def test_a_folder_gives_the_command_lines_bytes(told, store, folder, tmp_path):
    told("decompose", "pictureworld", "--images", folder, "--out", tmp_path / "store")
    names = sorted(p.name for p in store.directory.iterdir())
    same, different, odd = filecmp.cmpfiles(store.directory, tmp_path / "store", names, shallow=False)
    assert sorted(same) == names and not different and not odd


def test_arrays_are_the_command_lines(told, store, tmp_path):
    told("export", store.directory, "--out", tmp_path / "arrays")
    heads = np.load(tmp_path / "arrays/attn.npy")
    mlps = np.load(tmp_path / "arrays/mlp.npy")
    assert np.array_equal(store.embeddings(), np.load(tmp_path / "arrays/embedding.npy"))
    assert np.abs(store.contributions("L3.H2") - heads[:, 3, 2]).max() < 1e-7
    assert np.abs(store.contributions("L4") - heads[:, 4].sum(1)).max() < 1e-6
    assert np.array_equal(store.contributions("INPUT"), mlps[:, 0])
    assert np.array_equal(store.contributions("L2.MLP"), mlps[:, 3])
    assert np.abs(store.contributions("L3.H2, L2.MLP") - heads[:, 3, 2] - mlps[:, 3]).max() < 1e-6
    total = sum(store.contributions(c).astype(float) for c in store.components)
    assert np.abs(total - store.embeddings()).max() < 1e-6 and store.certificate < 1e-5
    assert [i.label for i in store.items] == ["even"] * 12 + ["odd"] * 12 and len(store) == 24


def test_factors_are_mapped(store):
    shard, = store.shards()
    basis = store.basis()
    head = (5, 1)
    u = np.concatenate([shard["head_z"][head], np.ones((24, 1)), shard["ln"][:, :2]], 1) \
        / (shard["ln"][:, 1:2] * shard["ln"][:, 2:3])
    assert np.abs(u @ basis[head] - store.contributions("L5.H1")).max() < 1e-6
    owner = shard["head_z"]
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert isinstance(owner.obj if isinstance(owner, memoryview) else owner, mmap.mmap)
    assert not shard["head_z"].flags.writeable


def test_embedding_arrays_allocates_its_result_alone(model):
    batch = np.stack([draw(i, 96, 96) for i in range(256)])
    model.embed_images(batch[:8])
    gc.collect()
    tracemalloc.start()
    rows = model.embed_images(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows.nbytes == 256 * model.embed_width * 4
    assert peak < 200_000, peak  # the pictures are 7 MB; names and results of calls take a little


def test_names_attributes_and_data_sets(cl, model, arrays, tmp_path):
    made = model.decompose(cl.Pictures(arrays, names=[f"p{i}" for i in range(24)], labels=["a", None] * 12,
                                       attributes=[{"n": i} for i in range(24)], name="mine"))
    assert made.items[2] == cl.Item("p2", "a", {"n": 2}) and made.items[1].label is None
    assert made.span(["a duck", "a car"], count=1).data[0].root == "memory:mine"
    made.close()

    import pandas

    frame = pandas.DataFrame({"path": ["x/0.png", "x/1.png"], "kind": ["p", "q"], "n": [1, 2]})
    from conftest import png

    (tmp_path / "x").mkdir()
    for i in range(2):
        (tmp_path / f"x/{i}.png").write_bytes(png(arrays[i]))
    made = model.decompose(cl.datasets.frame(frame, label="kind", root=str(tmp_path)))
    assert made.items == [cl.Item("x/0.png", "p", {"n": 1}), cl.Item("x/1.png", "q", {"n": 2})]
    assert np.array_equal(made.embeddings(), model.embed_images(arrays[:2]))

    class Torchlike:
        classes = ["cat", "dog"]

        def __len__(self):
            return 4

        def __getitem__(self, i):
            return arrays[i].transpose(2, 0, 1), i % 2

    made = model.decompose(cl.datasets.torch_dataset(Torchlike()))
    assert [i.label for i in made.items] == ["cat", "dog", "cat", "dog"]
    assert np.array_equal(made.embeddings(), model.embed_images(arrays[:4]))
    with pytest.raises(cl.InvalidArgument, match="no-such.*path, kind, n"):
        cl.datasets.frame(frame, "no-such")


def test_hugging_face_datasets(cl, model, arrays):
    datasets = pytest.importorskip("datasets")
    import PIL.Image

    made = datasets.Dataset.from_dict(
        {"image": [PIL.Image.fromarray(a) for a in arrays[:5]], "label": [0, 1, 0, 1, 0], "n": [5, 6, 7, 8, 9]},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"]),
                                    "n": datasets.Value("int64")}))
    store = model.decompose(cl.datasets.huggingface(made, label="label", attributes=["n"]))
    assert store.items[1] == cl.Item("000001", "dog", {"n": 6})
    assert np.array_equal(store.embeddings(), model.embed_images(arrays[:5]))
    assert np.array_equal(model.embed_images(made["image"]), store.embeddings())
    named = cl.datasets.huggingface(made, names="n")
    assert [i.path for i in model.decompose(named).items] == ["5", "6", "7", "8", "9"]
    mixed = [PIL.Image.fromarray(arrays[0]), PIL.Image.fromarray(arrays[1]).convert("P"),
             PIL.Image.fromarray(arrays[2]).convert("L")]
    column = datasets.Dataset.from_dict({"image": mixed}, features=datasets.Features({"image": datasets.Image()}))
    assert np.array_equal(model.embed_images(column["image"]), model.embed_images(mixed))


def test_a_closed_store_says_so(cl, model, arrays):
    with model.decompose(arrays[:2]) as store:
        place = store.directory
        assert place.is_dir()
    assert not place.exists()
    with pytest.raises(cl.Precondition, match="closed"):
        store.embeddings()
    with pytest.raises(cl.Precondition, match="closed"):
        store.span(["a duck"])


def test_skipped_pictures_are_listed(cl, model, arrays):
    bad = [arrays[0], b"no picture", arrays[1]]
    with pytest.raises(cl.Error, match="000001"):
        model.decompose(bad)
    with pytest.warns(cl.LossWarning, match="1 of 3"):
        store = model.decompose(bad, on_error="skip")
    assert [i.path for i in store.items] == ["000000", "000002"]
    assert store.result.skipped[0].path == "000001"


class Recorded:
    """What a recorder of factors gives, of a store."""

    def __init__(self, store, model):
        info = model.info().to_dict()
        self._basis = store.basis()
        self.config = {"name": model.name, "fingerprint": model.fingerprint, "layers": model.layers,
                       "heads": model.heads, "embed_width": model.embed_width, "model_config": info["config"]}

    def basis(self):
        return self._basis


def test_factors_from_elsewhere_become_the_same_store(cl, model, store, folder, tmp_path):
    shard, = store.shards()
    with cl.StoreWriter(tmp_path / "copy", Recorded(store, model), store.items, root=folder) as writer:
        for first in range(0, 24, 7):
            part = slice(first, first + 7)
            writer.add({"head_z": shard["head_z"][:, :, part], "ln": shard["ln"][part], "mlp": shard["mlp"][:, part],
                        "cls_attn": shard["cls_attn"][:, part], "embedding": shard["embedding"][part]})
    for name in ("shard-00000.safetensors", "stats.safetensors", "basis.safetensors"):
        assert (tmp_path / "copy" / name).read_bytes() == (store.directory / name).read_bytes(), name
    copy = cl.Store(tmp_path / "copy", model=model)
    assert copy.items == store.items and copy.verify().whole
    assert copy.span(["a duck", "a car"], count=1).heads == store.span(["a duck", "a car"], count=1).heads


def test_stores_of_one_recorder_share_its_texts(cl, model, store, folder, tmp_path):
    shard, = store.shards()
    recorder = Recorded(store, model)
    recorder.config["fingerprint"] = "5" * 32
    rows = model.embed_texts(["a duck", "a car"])
    both = []
    for name in ("first", "second"):
        writer = cl.StoreWriter(tmp_path / name, recorder, store.items, root=folder, texts=lambda texts: rows)
        writer.add(shard)
        both.append(writer.finish())
    want = store.span(["a duck", "a car"], heads="L5.H1", count=1).heads
    assert all(s.span(["a duck", "a car"], heads="L5.H1", count=1).heads == want for s in both)
    both[0].close()
    other = ["a tree", "a cup"]  # not in the cache yet
    assert both[1].span(other, heads="L5.H1", count=1).heads[0].texts[0].text in other
    both[1].close()
    with pytest.raises(cl.NotFound):
        cl.Store(tmp_path / "first").span(["a house"], count=1)


def test_a_closed_store_of_neurons_says_so(cl, model, arrays):
    with model.neurons_collect(images=arrays[:8], layers="last-1") as store:
        place = store.directory
        assert place.is_dir()
    assert not place.exists()
    with pytest.raises(cl.Precondition, match="closed"):
        store.words(texts=["a duck"])


def test_factors_that_are_wrong_leave_nothing(cl, model, store, tmp_path):
    shard, = store.shards()
    block = {k: np.array(v) for k, v in shard.items()}
    with pytest.raises(cl.InvalidArgument, match="finite"), \
            cl.StoreWriter(tmp_path / "a", Recorded(store, model), store.items) as writer:
        block["mlp"][2, 3, 1] = np.nan
        writer.add(block)
    with pytest.raises(cl.InvalidArgument, match="head_z"), \
            cl.StoreWriter(tmp_path / "b", Recorded(store, model), store.items) as writer:
        writer.add({**shard, "head_z": shard["head_z"][:3]})
    with pytest.raises(cl.Precondition, match="0 of 24"), \
            cl.StoreWriter(tmp_path / "c", Recorded(store, model), store.items):
        pass
    with pytest.raises(cl.InvalidArgument, match="more pictures"), \
            cl.StoreWriter(tmp_path / "d", Recorded(store, model), store.items[:20]) as writer:
        writer.add(shard)
    assert not list(tmp_path.iterdir())


LONG = """
import sys, numpy as np, cliplens as cl
class Many:
    def __len__(self): return 200_000
    def __getitem__(self, i):
        if i == 3000: print("going", flush=True)
        return np.full((64, 64, 3), i % 256, np.uint8)
model = cl.load("pictureworld", pictures_alone=True)
model.decompose(Many(), sys.argv[1], shard_images=500)
"""


def test_ctrl_c_ends_it_and_it_goes_on(cl, tmp_path):
    out = tmp_path / "store"
    process = subprocess.Popen([sys.executable, "-c", LONG, out], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    assert process.stdout.readline() == "going\n"
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - begin < 5  # one second on an idle machine
    assert "KeyboardInterrupt" in said and process.returncode != 0
    left = pathlib.Path(f"{out}.partial")
    assert len(list(left.glob("shard-*.safetensors"))) >= 5
    resumed = subprocess.run([sys.executable, "-c", LONG.replace("200_000", "6_000").replace(
        "shard_images=500", "shard_images=500, resume=True"), out], capture_output=True, text=True, check=False)
    assert "set" in resumed.stderr and "InvalidArgument" in resumed.stderr  # another set of pictures


def test_an_interrupted_decompose_resumes_to_the_same_bytes(cl, model, arrays, tmp_path):
    class Pictures:
        fail = True

        def __len__(self):
            return 240

        def __getitem__(self, i):
            if i == 150 and self.fail:
                raise RuntimeError("not yet")
            return arrays[i % 24]

    pictures = Pictures()
    with pytest.raises(cl.Error, match="not yet"):
        model.decompose(pictures, tmp_path / "a", shard_images=50)
    pictures.fail = False
    resumed = model.decompose(pictures, tmp_path / "a", shard_images=50, resume=True)
    assert resumed.result.resumed_shards == 3
    resumed.close()  # its pictures have their name in the manifest
    whole = model.decompose(pictures, tmp_path / "b", shard_images=50)
    names = sorted(p.name for p in whole.directory.iterdir())
    assert filecmp.cmpfiles(whole.directory, resumed.directory, names, shallow=False)[0] == names


def test_progress_is_told(model, arrays):
    told = []
    model.decompose([arrays[i % 24] for i in range(2000)], progress=lambda *a: told.append(a))
    assert told and all(t[0] for t in told) and told[-1][1] <= told[-1][2]

    def stop(*_):
        raise StopIteration("enough")

    with pytest.raises(StopIteration, match="enough"):
        model.decompose([arrays[i % 24] for i in range(4000)], progress=stop)


def test_threads_share_a_model(model, arrays):
    want = model.embed_images(arrays)
    got = [None] * 4

    def work(i):
        got[i] = model.embed_images(arrays, threads=1)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(np.array_equal(g, want) for g in got)


def in_child(model, arrays, queue):
    try:
        model.embed_images(arrays)
        queue.put("embedded")
    except Exception as error:  # noqa: BLE001
        queue.put(f"{type(error).__name__}: {error}")


def test_a_fork_says_what_it_lacks(model, arrays):
    model.embed_images(arrays)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(model, arrays, queue))
    child.start()
    assert "Precondition: this process was forked" in queue.get(timeout=60)
    child.join()


def test_the_explorer_answers_and_ends(cl, store):
    import urllib.request

    with cl.serve(store) as explorer:
        assert b"<html" in urllib.request.urlopen(explorer.url).read()
        assert "iframe" in explorer._repr_html_()
        process = explorer._process
    assert process.poll() is not None
    with pytest.raises(cl.NotFound, match="no-such-store"):
        cl.serve("no-such-store")


def test_what_ships_has_a_path(cl, model):
    assert (cl.shipped("models/pictureworld") / "card.json").parent.is_dir()
    assert len(model.embed_images(cl.shipped("world/sets/single"))) > 0
    with pytest.raises(cl.NotFound, match="no-such"):
        cl.shipped("no-such")


def test_the_command_is_the_program(cl):
    command = pathlib.Path(sys.executable).with_name("cliplens")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"cliplens {cl.__version__}\n"
    assert os.access(cl._command.program(), os.X_OK)
