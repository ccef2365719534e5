"""cliplens.ray: the store of a cluster has the bytes of one process, whatever is lost on the way."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
import warnings

import numpy as np
import PIL.Image
import pytest
from conftest import ROOT, draw, png

# Ray takes the address of this machine for its own, not the one that others see. It is read when Ray is imported.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"  # no token of this machine's user is read or written
ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

ADDRESS = "127.0.0.1"
PICTURES, SHARD = 12_000, 250


def small_model(source, out):
    """The model `source` with one block and four patches."""
    shutil.copytree(source, out)
    config = json.loads((out / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"] |= {"layers": 1, "image_size": 20}
    (out / "open_clip_config.json").write_text(json.dumps(config))
    data = (out / "open_clip_model.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    tensors = json.loads(data[8:8 + size])
    header, body = {}, b""
    for name, tensor in tensors.items():
        if name == "__metadata__" or (name.startswith("visual.transformer.resblocks.") and ".resblocks.0." not in name):
            continue
        begin, end = (8 + size + at for at in tensor["data_offsets"])
        content = data[begin:end]
        if name == "visual.positional_embedding":
            tensor["shape"] = [5, tensor["shape"][1]]
            content = content[:2 * 5 * tensor["shape"][1]]
        header[name] = {**tensor, "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    text = json.dumps(header).encode()
    (out / "open_clip_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    return out


@pytest.fixture(scope="module")
def small(cl, tmp_path_factory):
    return small_model(cl.shipped("models/pictureworld"), tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="module")
def environment():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
                            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}.items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        yield patch


@pytest.fixture(scope="module")
def server(environment):
    """An S3 server on this machine; its address is in the environment of the cluster."""
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(ip_address=ADDRESS, port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(scope="module")
def cluster(environment, server):
    """Three nodes on this machine."""
    node = {"node_ip_address": ADDRESS, "num_cpus": 1, "object_store_memory": 100 << 20}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    for _ in range(2):
        made.add_node(**node)
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


def test_the_cluster_file_starts_a_cluster(cl, environment, folder, tmp_path):
    """The commands of the recipe's file, two machines being this one; before the cluster of the other tests, since
    `ray stop` ends all."""
    yaml = pytest.importorskip("yaml")
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((ROOT / "docs/cookbook/cluster.yaml").read_text())
    validate_config(prepare_config(json.loads(json.dumps(config))))
    # Several nodes of one machine, which Ray's own address for it is not to be asked for.
    started = tmp_path / "ray"
    started.write_text(f"""#!{sys.executable}
import sys
import ray._private.services as services
services.resolve_ip_for_localhost = lambda host: host
services.node_ip_address_from_perspective = lambda address=None: "{ADDRESS}"
from ray.scripts.scripts import main
sys.exit(main())
""")
    started.chmod(0o755)

    def run(command, **more):
        for own, here in (("=6379", "=6399"), (":6379", ":6399"), ("$RAY_HEAD_IP", ADDRESS),
                          (" --autoscaling-config=~/ray_bootstrap_config.yaml", "")):
            command = command.replace(own, here)
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False,
                              env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}",
                                   "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1", **more})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        small = f" --node-ip-address={ADDRESS} --num-cpus=1 --object-store-memory=100000000"
        for command in config["head_start_ray_commands"] + config["worker_start_ray_commands"][1:]:
            run(command if command == "ray stop" else command + small)
        said = run(f"{sys.executable} -m cliplens.ray decompose pictureworld --images {folder} --out {tmp_path}/store "
                   "--shard-images 5", RAY_ADDRESS=f"{ADDRESS}:6399", RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0")
        assert "24 pictures decomposed in" in said
    finally:
        run("ray stop --force --grace-period 1")
    cl.load("pictureworld").decompose(folder, tmp_path / "one", shard_images=5)
    assert files_of(tmp_path / "store") == files_of(tmp_path / "one")


def files_of(store):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(pathlib.Path(store).iterdir())}


def tar_of(path, pictures):
    with tarfile.open(path, "w") as tar:
        for name, content in pictures:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, __import__("io").BytesIO(content))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """12,000 pictures in shards; two cannot be decoded, and none of one range can."""
    folder = tmp_path_factory.mktemp("many")
    random = np.random.default_rng(5)
    base = [png(draw(seed, 24, 28)) for seed in range(40)]
    pixels = random.integers(0, 256, (PICTURES, 4), dtype=np.uint8)
    for tar in range(12):
        members = []
        for i in range(tar * 1000, tar * 1000 + 1000):
            content = base[i % len(base)]
            if i in (17, 7_321) or SHARD * 20 <= i < SHARD * 21:
                content = content[:40] + bytes(pixels[i])
            members += [(f"{i:06d}.png", content), (f"{i:06d}.cls", str(i % 7).encode())]
        tar_of(folder / f"part-{tar:02d}.tar", members)
    return folder


@pytest.fixture(scope="module")
def one(cl, small, many, tmp_path_factory):
    """The store of one process."""
    model = cl.load(small)
    out = tmp_path_factory.mktemp("one") / "store"
    with pytest.warns(cl.LossWarning):
        model.decompose(many, out, on_error="skip", shard_images=SHARD)
    return out


def workers():
    """Processes of the cluster's workers."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes().startswith(b"ray::Worker"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def recorded(out):
    return len(list(pathlib.Path(f"{out}.partial").glob("work/part-*.json")))


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_workers_that_are_killed_and_a_node_that_goes_change_no_byte(cl, cluster, small, many, one, tmp_path):
    import cliplens.ray

    out = tmp_path / "store"
    gone = cluster.add_node(node_ip_address=ADDRESS, num_cpus=1, object_store_memory=100 << 20)
    killed = []

    def disturb():
        for after in (2, 5, 8):
            wait_until(lambda after=after: recorded(out) >= after and workers())
            victim = workers()[0]
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)
        wait_until(lambda: recorded(out) >= 11)
        cluster.remove_node(gone, allow_graceful=False)

    thread = threading.Thread(target=disturb)
    thread.start()
    told = []
    with pytest.warns(cl.LossWarning, match="252 of 12000 pictures could not be read"):
        made = cliplens.ray.decompose(str(small), many, out, on_error="skip", shard_images=SHARD,
                                      progress=lambda stage, done, total: told.append((stage, done, total)))
    thread.join()
    assert len(killed) == 3
    assert files_of(out) == files_of(one)
    assert (made.images, made.skipped, made.shards) == (PICTURES - 252, 252, PICTURES // SHARD - 1)
    assert told[-1] == ("decompose", PICTURES, PICTURES)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert len(made.open().items) == made.images
    assert not pathlib.Path(f"{out}.partial").exists()


DRIVER = """
import sys, warnings, cliplens.ray
warnings.simplefilter("ignore")
cliplens.ray.decompose(sys.argv[1], sys.argv[2], sys.argv[3], on_error="skip", shard_images=int(sys.argv[4]), resume=True)
"""


def test_a_driver_that_is_killed_and_started_again(cl, cluster, small, many, one, tmp_path):
    import cliplens.ray

    out = tmp_path / "store"
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(small), str(many), str(out), str(SHARD)],
                              env={**os.environ, "RAY_ADDRESS": cluster.address})
    wait_until(lambda: recorded(out) >= 6 or driver.poll() is not None)
    assert driver.poll() is None, "the driver ended before it was killed"
    driver.kill()
    driver.wait()
    wait_until(lambda: not workers())
    done = recorded(out)
    # A shard that was damaged meanwhile is made again.
    shard = sorted(pathlib.Path(f"{out}.partial").glob("shard-*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(cl.Precondition, match="resume=True"):
        cliplens.ray.decompose(str(small), many, out, on_error="skip", shard_images=SHARD)
    with pytest.raises(cl.InvalidArgument, match="'stats_only' is False there and True is asked for"):
        cliplens.ray.decompose(str(small), many, out, on_error="skip", shard_images=SHARD, stats_only=True, resume=True)
    told = []
    with pytest.warns(cl.LossWarning):
        cliplens.ray.decompose(str(small), many, out, on_error="skip", shard_images=SHARD, resume=True,
                               progress=lambda _, images, __: told.append(images))
    assert files_of(out) == files_of(one)
    assert told[0] > (done - 2) * SHARD  # what was done is not done again
    again = cliplens.ray.decompose(str(small), many, out, on_error="skip", shard_images=SHARD, resume=True)
    assert again.complete_already
    with pytest.raises(cl.Precondition, match="exists already"):
        cliplens.ray.decompose(str(small), many, out)
    with pytest.raises(cl.InvalidArgument, match="store_dtype"):
        cliplens.ray.decompose(str(small), many, out, on_error="skip", shard_images=SHARD, resume=True,
                               store_dtype="fp16")


def test_statistics_only(cl, cluster, small, many, tmp_path):
    import cliplens.ray

    with pytest.warns(cl.LossWarning):
        cl.load(small).decompose(many, tmp_path / "one", on_error="skip", shard_images=SHARD, stats_only=True, slices=5)
        cliplens.ray.decompose(str(small), many, tmp_path / "ray", on_error="skip", shard_images=SHARD, stats_only=True,
                               slices=5, workers=(1, 2))
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")


@pytest.mark.parametrize("options", [{}, {"store_dtype": "fp16"}, {"shard_images": 5}])
def test_a_folder_and_its_labels(cl, cluster, model, folder, tmp_path, options):
    import cliplens.ray

    model.decompose(folder, tmp_path / "one", **options)
    cliplens.ray.decompose("pictureworld", folder, tmp_path / "ray", **options)
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")


def test_odd_folders(cl, cluster, small, tmp_path):
    import cliplens.ray

    names, splits, told = (tmp_path / name for name in ("names", "splits", "told"))
    for folder in (names, told, *(splits / split / label for split in ("train", "val") for label in "xy")):
        folder.mkdir(parents=True)
        for i in range(5):
            (folder / f"{i}.png").write_bytes(png(draw(i)))
    (names / os.fsdecode(b"na\xffme.png")).write_bytes(png(draw(7)))
    (names / "a\\x41b.png").write_bytes(png(draw(8)))
    PIL.Image.fromarray(draw(9)).save(names / "turned.jpg", exif=exif_of(6))
    rows = [{"file_name": f"{i}.png", "third": i / 3, "deep": {"a": [1, 1e22, None]}} for i in range(5)]
    (told / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (told / "1.mask.png").write_bytes(png(draw(3)))
    (told / ".hidden.png").write_bytes(png(draw(3)))
    (told / "no_ending").write_bytes(png(draw(4)))
    (told / "notes.txt").write_text("x")
    model = cl.load(small)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.LossWarning)
        for i, (images, options) in enumerate([(names, {}), (names, {"exif_orientation": True}), (splits, {"split": "val"}),
                                               (told, {"on_error": "skip"}), (names / "turned.jpg", {})]):
            model.decompose(images, tmp_path / f"one-{i}", shard_images=2, **options)
            cliplens.ray.decompose(str(small), images, tmp_path / f"ray-{i}", shard_images=2, **options)
            assert files_of(tmp_path / f"ray-{i}") == files_of(tmp_path / f"one-{i}"), (images, options)


def exif_of(orientation):
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    return exif


def test_a_table_and_a_set_that_is_no_files(cl, cluster, model, folder, tmp_path):
    import cliplens.ray

    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.png"))
    (folder / "list.csv").write_text("path,label,size\n" + "".join(f"{n},{i % 3},{i}\n" for i, n in enumerate(names)))
    cifar = tmp_path / "cifar-10-batches-bin"
    cifar.mkdir()
    rows = np.random.default_rng(1).integers(0, 256, (20, 3073), dtype=np.uint8)
    rows[:, 0] %= 10
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        (cifar / name).write_bytes(rows.tobytes())
    (cifar / "batches.meta.txt").write_text("\n".join(f"class{i}" for i in range(10)) + "\n")
    for i, images in enumerate((folder / "list.csv", cifar)):
        model.decompose(images, tmp_path / f"one-{i}", shard_images=7)
        cliplens.ray.decompose("pictureworld", images, tmp_path / f"ray-{i}", shard_images=7)
        assert files_of(tmp_path / f"ray-{i}") == files_of(tmp_path / f"one-{i}")
    (folder / "list.csv").unlink()


def test_an_error_names_the_picture_and_what_to_do(cl, cluster, small, tmp_path):
    import cliplens.ray

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(9):
        (folder / f"{i}.png").write_bytes(png(draw(i)) if i != 7 else b"\x89PNG\r\n\x1a\n nothing")
    with pytest.raises(cl.CorruptData, match=r"7\.png.*run again with resume=True"):
        cliplens.ray.decompose(str(small), folder, tmp_path / "store", shard_images=2, workers=1)
    with pytest.warns(cl.LossWarning, match=r"1 of 9 pictures could not be read and is left out; the first: 7\.png"):
        made = cliplens.ray.decompose(str(small), folder, tmp_path / "store", shard_images=2, on_error="skip", resume=True)
    assert made.skipped == 1
    with pytest.raises(cl.NotFound, match="no-such-model"):
        cliplens.ray.decompose("no-such-model", folder, tmp_path / "none")
    with pytest.raises(cl.NotFound, match="nowhere"):
        cliplens.ray.decompose(str(small), tmp_path / "nowhere", tmp_path / "none")
    assert not list(tmp_path.glob("none*"))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    with pytest.raises(cl.CorruptData, match=r"none of 1 pictures can be read"):
        cliplens.ray.decompose(str(small), tmp_path / "bad", tmp_path / "none", on_error="skip")


class Counting:
    """Stands for a recorder: factors that are the pictures' mean colours."""

    config = {"name": "counting", "fingerprint": "0" * 32, "layers": 1, "heads": 1, "embed_width": 3, "image_size": 8}

    def basis(self):
        return np.concatenate([np.eye(3), np.zeros((3, 3))]).astype(np.float32).reshape(1, 1, 6, 3)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def encode(self, images):
        colours = np.array([np.asarray(image.convert("RGB"), np.float32).mean((0, 1)) + 1 for image in images])
        if (colours.max(1) < 3).any():  # the picture that ends its decoder
            os.kill(os.getpid(), signal.SIGKILL)
        self.colours = colours / np.linalg.norm(colours, axis=1, keepdims=True)

    def factors(self):
        b = len(self.colours)
        zeros = np.zeros((1, b, 3), np.float32)
        return {"head_z": self.colours[None, None], "ln": np.tile(np.float32([0, 1, 1]), (b, 1)),
                "mlp": np.zeros((2, b, 3), np.float32), "cls_attn": zeros, "embedding": self.colours}


def make_counting():
    import cliplens.ray

    recorder = Counting()
    return cliplens.ray.Recorded(recorder, recorder.encode, batch=2)


@pytest.fixture
def by_value():
    """The classes here are sent as they are: workers do not have this file."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_factors_of_a_recorder(cl, cluster, by_value, arrays, folder, tmp_path):
    import cliplens.ray

    cliplens.ray.decompose(make_counting, folder, tmp_path / "ray", shard_images=10)
    store = cl.Store(tmp_path / "ray")
    expected = [arrays[int(item.path[-6:-4])].reshape(-1, 3).mean(0) + 1 for item in store.items]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(store.embeddings(), expected, atol=1e-6)
    assert store.verify().whole


def test_a_picture_that_ends_its_process(cl, cluster, by_value, tmp_path):
    import cliplens.ray

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(8):
        (folder / f"{i}.png").write_bytes(png(np.zeros((8, 8, 3), np.uint8) if i == 5 else draw(i)))
    with pytest.raises(cl.CorruptData, match=r"5\.png: ends the process that decodes it \(signal 9\)"):
        cliplens.ray.decompose(make_counting, folder, tmp_path / "store", shard_images=4, workers=1)
    with pytest.warns(cl.LossWarning, match=r"1 of 8 pictures"):
        cliplens.ray.decompose(make_counting, folder, tmp_path / "store", shard_images=4, on_error="skip", resume=True)
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert [s["path"] for s in manifest["skipped"]] == ["5.png"]
    assert manifest["images"] == 7


def test_a_disk_that_fails_is_asked_again(cl, cluster, by_value, folder, tmp_path):
    import cliplens.ray

    def maker(failures):
        class Failing(Counting):
            def encode(self, images):
                with open(tmp_path / f"asked-{failures}", "a+") as file:
                    file.write("x")
                    if file.tell() <= failures:
                        raise OSError("the disk is away")
                super().encode(images)

        recorder = Failing()
        return lambda: cliplens.ray.Recorded(recorder, recorder.encode, batch=100)

    made = cliplens.ray.decompose(maker(2), folder, tmp_path / "store", workers=1)
    assert made.images == 24
    with pytest.raises(OSError, match="the disk is away"):
        cliplens.ray.decompose(maker(9), folder, tmp_path / "none", workers=1)
    with pytest.raises(cl.InvalidArgument, match="stored as fp32"):
        cliplens.ray.decompose(maker(0), folder, tmp_path / "none", store_dtype="fp16")


def test_a_ray_dataset(cl, cluster, model, arrays, tmp_path):
    import cliplens.ray

    rows = [{"image": png(a), "name": f"p/{i:03d}.png", "kind": f"k{i % 3}", "size": i} for i, a in enumerate(arrays)]
    dataset = ray.data.from_items(rows, override_num_blocks=5)
    cliplens.ray.decompose("pictureworld", dataset, tmp_path / "ray", names="name", label="kind", attributes=["size"],
                           name="mine", shard_images=7)
    pictures = cl.Pictures([r["image"] for r in rows], names=[r["name"] for r in rows], labels=[r["kind"] for r in rows],
                           attributes=[{"size": r["size"]} for r in rows], name="mine")
    one = model.decompose(pictures, tmp_path / "one", shard_images=7)
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")
    del one
    with pytest.raises(cl.InvalidArgument, match="picture: the data set has no such column; there are image, name"):
        cliplens.ray.decompose("pictureworld", dataset, tmp_path / "none", image="picture")


def upload(folder, bucket, prefix, server):
    import pyarrow.fs

    remote, path = pyarrow.fs.FileSystem.from_uri(f"s3://{bucket}/{prefix}")
    pyarrow.fs.copy_files(str(folder), path, destination_filesystem=remote)


@pytest.fixture(scope="module")
def bucket(server):
    import boto3

    boto3.client("s3", endpoint_url=server).create_bucket(Bucket="pictures")
    return "pictures"


def in_place(store, address, out, of):
    """The files of the store at an address, with the set's address in the manifest as the path of its copy here."""
    import cliplens.ray

    cliplens.ray.copy(address, out)
    names = {path.name for path in out.iterdir()}
    assert names == {path.name for path in pathlib.Path(store).iterdir()}
    manifests = [json.loads((pathlib.Path(p) / "manifest.json").read_text()) for p in (store, out)]
    assert manifests[1]["data"][0]["root"] == of
    for manifest in manifests:
        del manifest["checksum"], manifest["data"][0]["root"]
    assert manifests[0] == manifests[1]
    return {n: h for n, h in files_of(out).items() if n != "manifest.json"}


def test_pictures_and_stores_at_an_address(cl, cluster, server, bucket, small, folder, tmp_path):
    import cliplens.ray

    model = cl.load(small)
    shards = tmp_path / "shards"
    shards.mkdir()
    names = sorted(folder.rglob("*.png"))
    long = "a-name-longer-than-the-hundred-bytes-of-a-header-" * 3
    tar_of(shards / "0.tar", [(f"{long}/{p.stem}{e}", c) for p in names[:10]
                              for e, c in ((".png", p.read_bytes()), (".json", json.dumps({"at": p.stem}).encode()))])
    tar_of(shards / "1.tar", [(f"{p.stem}", p.read_bytes()) for p in names[10:]])
    photos = tmp_path / "photos"
    shutil.copytree(folder, photos)
    (photos / "even" / "00.png").rename(photos / "even" / "a\\x 1b.png")  # no byte that is not UTF-8, though it looks so
    table = tmp_path / "table"
    shutil.copytree(folder, table)
    (table / "list.jsonl").write_text("".join(json.dumps({"path": str(p.relative_to(folder)), "n": i}) + "\n"
                                              for i, p in enumerate(names)))
    for kind, images, place in (("folder", photos, "photos"), ("shards", shards, "shards"),
                                ("table", table, "table/list.jsonl")):
        upload(images, bucket, place.split("/")[0], server)
        local = images / "list.jsonl" if kind == "table" else images
        one = model.decompose(local, tmp_path / f"one-{kind}", shard_images=9)
        address = f"s3://{bucket}/stores/{kind}"
        made = cliplens.ray.decompose(str(small), f"s3://{bucket}/{place}", address, shard_images=9)
        assert (made.out, made.images) == (address, 24)
        found = in_place(tmp_path / f"one-{kind}", address, tmp_path / f"copy-{kind}", f"s3://{bucket}/{place}")
        assert found == {n: h for n, h in files_of(tmp_path / f"one-{kind}").items() if n != "manifest.json"}
        # The same question there and here.
        here, there = one.search(item=3, count=5), cliplens.ray.search(address, item=3, count=5)
        assert there.to_dict()["results"] == here.to_dict()["results"]
        with pytest.raises(cl.Unsupported, match="is an address"):
            made.open()
        with pytest.raises(cl.Precondition, match="has a store already"):
            cliplens.ray.decompose(str(small), f"s3://{bucket}/{place}", address, shard_images=9)
        assert cliplens.ray.decompose(str(small), f"s3://{bucket}/{place}", address, shard_images=9,
                                      resume=True).complete_already
    with pytest.raises(cl.NotFound, match=f"s3://{bucket}/nowhere: is not there"):
        cliplens.ray.decompose(str(small), f"s3://{bucket}/nowhere", tmp_path / "none")


def test_a_damaged_archive_at_an_address(cl, cluster, server, bucket, small, tmp_path):
    import cliplens.ray

    shards = tmp_path / "shards"
    shards.mkdir()
    tar_of(shards / "0.tar", [(f"{i}.png", png(draw(i))) for i in range(5)])
    content = bytearray((shards / "0.tar").read_bytes())
    third = content.index(b"3.png")
    content[third:third + 300] = b"!" * 300
    (shards / "0.tar").write_bytes(content)
    upload(shards, bucket, "damaged", server)
    with pytest.raises(cl.CorruptData, match=f"s3://{bucket}/damaged/0.tar"):
        cliplens.ray.decompose(str(small), f"s3://{bucket}/damaged", tmp_path / "none")


def test_answers_are_those_of_one_machine(cl, cluster, model, store, texts, folder, tmp_path):
    import cliplens.ray

    wide = model.decompose(folder, tmp_path / "wide", shard_images=5)
    picture = str(folder / "odd" / "03.png")
    for query in ({"text": "a red duck"}, {"image": picture}, {"item": 7, "heads": "L5.H0,L5.H1"},
                  {"like": [picture, "text:a house"], "unlike": 4}):
        here, there = wide.search(**query, count=6), cliplens.ray.search(tmp_path / "wide", count=6, **query)
        assert there.to_dict() == here.to_dict()
    properties = str(texts / "properties.txt")
    assert cliplens.ray.label(tmp_path / "wide", properties=properties).to_json() == \
        wide.label(properties=properties).to_json()
    with pytest.raises(cl.NotFound, match="there is no store"):
        cliplens.ray.label(tmp_path / "nowhere")
    with pytest.raises(cl.InvalidArgument, match="no such picture"):
        cliplens.ray.search(tmp_path / "wide", item=99)


def test_from_a_shell(cl, cluster, folder, tmp_path):
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}

    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "cliplens.ray", *map(str, arguments)], capture_output=True, text=True,
                              env=environment, check=False)

    done = run("decompose", "pictureworld", "--images", folder, "--out", tmp_path / "store", "--workers", "1-2")
    assert done.returncode == 0, done.stderr
    assert "24 pictures decomposed in" in done.stdout
    found = run("search", tmp_path / "store", "--text", "a red duck", "--count", 3)
    assert len(json.loads(found.stdout)["results"]) == 3, found.stderr
    wrong = run("decompose", "pictureworld", "--images", folder, "--out", tmp_path / "store")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: precondition: ")


def test_nothing_listens_elsewhere(cluster):
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening.append((fields[1].split(":")[0], fields[9]))
    own = set()
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if b"ray" not in (entry / "cmdline").read_bytes():
                    continue
                own |= {os.readlink(f)[8:-1] for f in (entry / "fd").iterdir() if os.readlink(f).startswith("socket:")}
            except OSError:
                continue
    here = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
    assert {address for address, inode in listening if inode in own} <= here


def test_without_ray_the_import_says_so():
    code = "import sys; sys.modules['ray'] = None\nimport cliplens.ray"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: cliplens.ray needs Ray and Arrow: pip install 'cliplens[ray]'" in done.stderr


def test_the_command_line_says_what_to_copy(cl, store, folder):
    from cliplens._command import program

    for arguments in (["search", "s3://b/store", "--item", "1"],
                      ["decompose", "pictureworld", "--images", "s3://b/photos", "--out", "x"],
                      ["decompose", "pictureworld", "--images", str(folder), "--out", "gs://b/store"],
                      ["info", "s3://b/model"]):
        done = subprocess.run([program(), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "is an address" in done.stderr
        assert "python -m cliplens.ray copy" in done.stderr


def test_public_names_are_documented():
    import inspect

    import cliplens.ray

    for name in cliplens.ray.__all__:
        thing = getattr(cliplens.ray, name)
        assert len(inspect.getdoc(thing) or "") > 80, name
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            assert member.startswith("_") or not inspect.isfunction(value) or inspect.getdoc(value), f"{name}.{member}"
