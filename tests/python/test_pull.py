"""`cliplens pull` and --pull, against a hub on this machine (hub_server.py); never against the net.

    CLIPLENS_PROGRAM=build/release/bin/cliplens python -m pytest tests/python/test_pull.py
"""

import hashlib
import http.server
import json
import os
import resource
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hub_server import SIGNATURE, Hub, Server, git_hash  # noqa: E402
from program import PROGRAM, ROOT, says_one_line as says  # noqa: E402

SHIPPED = ROOT / "models/pictureworld"
FILES = {path.name: path.read_bytes() for path in SHIPPED.iterdir()}
WANTED = ["merges.txt", "open_clip_config.json", "open_clip_model.safetensors",
          "tokenizer_config.json", "vocab.json"]
WEIGHTS = "open_clip_model.safetensors"
SHA256 = hashlib.sha256(FILES[WEIGHTS]).hexdigest()
OPENAI = "timm/vit_base_patch32_clip_224.openai"
# Of transformers; its weights are not read by `pull`.
HUGGING_FACE = {
    "config.json": json.dumps({
        "model_type": "clip", "projection_dim": 48, "vision_config": {
            "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2,
            "num_hidden_layers": 3, "image_size": 48, "patch_size": 8},
        "text_config": {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2,
                        "num_hidden_layers": 2}}).encode(),
    "preprocessor_config.json": b'{"size": {"shortest_edge": 48}, "crop_size": 48}',
}


@pytest.fixture
def hub():
    with Hub() as server:
        server.add("org/model", dict(FILES))
        yield server


class Place:
    """A home of its own, and the program in it."""

    def __init__(self, folder, hub):
        self.folder, self.home = folder, folder / "hf"
        self.cache = self.home / "hub"
        kept = {k: v for k, v in os.environ.items()
                if not k.startswith(("HF_", "HUGGING", "TRANSFORMERS")) and "_proxy" not in k.lower()}
        self.environment = kept | {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(self.home), "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / ".cache"),  # no rows of texts of others
            "HF_HUB_DOWNLOAD_TIMEOUT": "2", "CLIPLENS_SHARE": str(ROOT)}

    def command(self, *arguments):
        return [PROGRAM, *map(str, arguments)]

    def run(self, *arguments, env=(), **options):
        return subprocess.run(self.command(*arguments), text=True, capture_output=True, timeout=120,
                              env=self.environment | dict(env), cwd=self.folder, **options)

    def start(self, *arguments, env=()):
        return subprocess.Popen(self.command(*arguments), text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=self.environment | dict(env),
                                cwd=self.folder)

    def pull(self, *arguments, **options):
        result = self.run("pull", *arguments, "--json", **options)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def repository(self, name="org/model"):
        return self.cache / ("models--" + name.replace("/", "--"))

    def blob(self, name):
        return self.repository() / "blobs" / name


@pytest.fixture
def place(tmp_path, hub):
    return Place(tmp_path, hub)


def fetched(result):
    return sorted(file["name"] for file in result["files"] if file["fetched"])


def of_weights(hub, method="GET"):
    """Requests for the bytes of the weights."""
    return [r for r in hub.asked("storage:") if WEIGHTS in r[1] and r[0] == method]


def assert_whole(place, files=None, name="org/model"):
    """The cache is laid out as huggingface_hub lays it out, and holds these files."""
    files = files or {file: FILES[file] for file in WANTED}
    repository = place.repository(name)
    commit = (repository / "refs/main").read_text()
    snapshot = repository / "snapshots" / commit
    assert sorted(path.name for path in snapshot.iterdir()) == sorted(files)
    for file, data in files.items():
        large = len(data) >= 10_000 or file.endswith((".safetensors", ".bin"))
        blob = hashlib.sha256(data).hexdigest() if large else git_hash(data)
        assert os.readlink(snapshot / file) == f"../../blobs/{blob}", file
        assert (snapshot / file).read_bytes() == data, file
        assert not (repository / "blobs" / blob).is_symlink()
    assert len(list((repository / "blobs").iterdir())) == len(set(files.values()))


def test_tokenizers_of_every_kind_come_with_a_model(place, hub):
    """Each file that a tokenizer is read from (docs/tokenizer.md) is fetched, and nothing beside them."""
    kinds = {name: name.encode() for name in ("spiece.model", "sentencepiece.bpe.model", "vocab.txt",
                                              "tokenizer.json")}
    hub.add("org/kinds", dict(FILES) | kinds | {"training_args.bin": b"no weights"})
    place.pull("hf:org/kinds")
    assert_whole(place, {file: FILES[file] for file in WANTED} | kinds, "org/kinds")


def test_a_model_is_fetched_once_and_found(place, hub):
    says(place.run("info", "hf:org/model"), 3, "get it: cliplens pull hf:org/model\n")
    result = place.pull("hf:org/model")
    assert result["format"] == "cliplens.pull/1"
    assert result["name"] == "hf:org/model" and result["revision"] == "main"
    assert fetched(result) == WANTED
    assert {f["name"]: f["bytes"] for f in result["files"]} == {n: len(FILES[n]) for n in WANTED}
    assert Path(result["path"]) == place.repository() / "snapshots" / result["commit"]
    assert_whole(place)
    assert (place.cache / f".locks/models--org--model/{SHA256}.lock").exists()
    info = json.loads(place.run("info", "hf:org/model", "--json").stdout)
    assert info["name"] == "org/model"
    assert info["fingerprint"] == json.loads(
        place.run("info", "pictureworld", "--json").stdout)["fingerprint"]
    # Once more: one question, whether main is still this commit.
    before = len(hub.asked())
    again = place.pull("hf:org/model")
    assert fetched(again) == [] and again["commit"] == result["commit"]
    assert len(hub.asked()) == before + 1
    text = place.run("pull", "hf:org/model").stdout
    assert text == (f"hf:org/model: 5 files of 5.2 MB, 0 of 0.0 MB fetched now\n{result['path']}\n")


def test_a_new_commit_brings_what_changed(place, hub):
    first = place.pull("hf:org/model")
    changed = dict(FILES, **{"tokenizer_config.json": FILES["tokenizer_config.json"] + b"\n"})
    hub.add("org/model", changed)
    second = place.pull("hf:org/model")
    assert second["commit"] != first["commit"]
    assert len(of_weights(hub)) == 1
    assert (place.repository() / "refs/main").read_text() == second["commit"]
    assert (Path(first["path"]) / "tokenizer_config.json").read_bytes() == FILES["tokenizer_config.json"]
    assert (Path(second["path"]) / "tokenizer_config.json").read_bytes() == changed[
        "tokenizer_config.json"]


def test_open_clips_names(place, hub):
    hub.add(OPENAI, dict(FILES))
    says(place.run("info", "ViT-B-32/openai"), 3, "get it: cliplens pull ViT-B-32/openai\n")
    result = place.pull("ViT-B-32/openai")
    assert result["name"] == "ViT-B-32/openai" and result["repository"] == OPENAI
    assert_whole(place, name=OPENAI)
    for name in ("ViT-B-32/openai", "ViT-B/32/openai", "ViT-B-32-quickgelu/openai", f"hf:{OPENAI}"):
        assert place.run("info", name).returncode == 0, name
    says(place.run("pull", "ViT-B-32/opanai"), 3, "no weights of this tag", "openai, laion400m_e31")
    says(place.run("info", "ViT-B-32/opanai"), 3, "no weights of this tag")
    says(place.run("pull", "ViT-B-32"), 2, "ViT-B-32/TAG", "openai")
    # A path of that name is nearer.
    shutil.copytree(SHIPPED, place.folder / "ViT-B-16/openai")
    assert place.run("info", "ViT-B-16/openai").returncode == 0


def test_what_open_clip_fetched_from_its_other_address(place):
    """In ~/.cache/clip; a bare state dictionary here, so that the architecture is of another size."""
    (place.folder / ".cache/clip").mkdir(parents=True)
    shutil.copy(SHIPPED / WEIGHTS, place.folder / ".cache/clip/ViT-B-32.pt")
    says(place.run("info", "ViT-B-32/openai"), 4, ".cache/clip/ViT-B-32.pt")


def test_models_that_are_not_evaluated_are_refused_before_their_weights(place, hub):
    config = json.loads(FILES["open_clip_config.json"])
    config["model_cfg"]["vision_cfg"]["layers"] = [3, 4, 6, 3]
    resnet = dict(FILES, **{"open_clip_config.json": json.dumps(config).encode()})
    hub.add("timm/resnet50_clip.openai", resnet)
    hub.add("org/llm", {"config.json": b'{"model_type": "llama"}', "model.safetensors": bytes(50)})
    says(place.run("info", "RN50/openai"), 3, "cliplens pull RN50/openai")
    says(place.run("pull", "RN50/openai"), 7, "ResNet", "cliplens pull RN50/openai --any")
    assert of_weights(hub) == []
    says(place.run("pull", "hf:org/llm"), 7, "llama", "cliplens pull hf:org/llm --any")
    assert [r for r in hub.asked("model.safetensors")] == []
    assert fetched(place.pull("RN50/openai", "--any")) == WANTED
    assert fetched(place.pull("hf:org/llm", "--any")) == ["config.json", "model.safetensors"]


def test_repositories_without_a_model(place, hub):
    hub.add("org/texts", {"README.md": b"hello"})
    hub.add("org/half", {"open_clip_config.json": FILES["open_clip_config.json"]})
    hub.add("org/lora", {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"})
    says(place.run("pull", "hf:org/texts"), 7, "no open_clip_config.json and no config.json")
    says(place.run("pull", "hf:org/half"), 7, "open_clip_config.json is there, but none of")
    says(place.run("pull", "hf:org/lora"), 7, "adapter alone")
    assert not place.cache.exists()


def test_transformers_models_shards_and_pytorch_files(place, hub):
    safe = dict(HUGGING_FACE, **{"model.safetensors": bytes(20_000), "pytorch_model.bin": b"no",
                                 "flax_model.msgpack": b"no", "vocab.json": b"{}"})
    hub.add("org/safe", safe)
    del (kept := dict(safe))["pytorch_model.bin"], kept["flax_model.msgpack"]
    place.pull("hf:org/safe")
    assert_whole(place, kept, "org/safe")
    pickled = dict(HUGGING_FACE, **{"pytorch_model.bin": b"pickle"})
    hub.add("org/bin", pickled)
    place.pull("hf:org/bin")
    assert_whole(place, pickled, "org/bin")
    parts = {f"model-0000{i}-of-00002.safetensors": bytes([i]) * 5_000 for i in (1, 2)}
    index = {"weight_map": {f"tensor{i}": name for i, name in enumerate(parts)}}
    sharded = dict(HUGGING_FACE, **parts,
                   **{"model.safetensors.index.json": json.dumps(index).encode()})
    hub.add("org/parts", sharded)
    place.pull("hf:org/parts")
    assert_whole(place, sharded, "org/parts")
    # A part that went missing makes it no model that is there.
    (place.repository("org/parts") / "snapshots").joinpath(
        hub.repositories["org/parts"].commit, next(iter(parts))).unlink()
    says(place.run("info", "hf:org/parts"), 3, "lacks", "cliplens pull hf:org/parts")
    assert fetched(place.pull("hf:org/parts")) == [next(iter(parts))]


def test_an_adapter_beside_its_model_comes_along(place, hub):
    files = dict(HUGGING_FACE, **{"model.safetensors": bytes(300), "adapter_config.json": b"{}",
                                  "adapter_model.safetensors": bytes(200)})
    hub.add("org/adapted", files)
    place.pull("hf:org/adapted")
    assert_whole(place, files, "org/adapted")


# Revisions.


def test_revisions(place, hub):
    repository = hub.repositories["org/model"]
    repository.revisions |= {"v1": repository.commit, "refs/pr/1": repository.commit}
    says(place.run("info", "hf:org/model@v1"), 3, "get it: cliplens pull hf:org/model@v1\n")
    result = place.pull("hf:org/model", "--revision", "v1")
    assert result["name"] == "hf:org/model@v1" and result["commit"] == repository.commit
    refs = place.repository() / "refs"
    assert (refs / "v1").read_text() == repository.commit and not (refs / "main").exists()
    assert place.run("info", "hf:org/model@v1").returncode == 0
    assert fetched(place.pull("hf:org/model@refs/pr/1")) == []
    assert (refs / "refs/pr/1").read_text() == repository.commit
    place.pull(f"hf:org/model@{repository.commit}")
    assert sorted(p.name for p in refs.iterdir()) == ["refs", "v1"]
    assert place.run("info", f"hf:org/model@{repository.commit}").returncode == 0
    says(place.run("pull", "hf:org/model@v2"), 3, "no revision 'v2'")
    says(place.run("pull", "hf:org/model@v1", "--revision", "v2"), 2, "--revision")
    for revision in ("../x", "a//b", "-x", "/x", "x/", ".x", "a b", "x" * 300):
        says(place.run("pull", f"hf:org/model@{revision}"), 2, "revision")


# Tokens.


def test_the_token_is_for_the_hub_alone(place, hub):
    hub.repositories["org/model"].token = "hf_good"
    says(place.run("pull", "hf:org/model"), 5, "private", "HF_TOKEN", str(place.home / "token"))
    says(place.run("pull", "hf:org/model", env={"HF_TOKEN": "hf_bad"}), 5, "private", "token")
    place.pull("hf:org/model", env={"HF_TOKEN": "hf_good"})
    assert_whole(place)
    of_hub = [r for r in hub.asked("hub:")[2:]]
    assert of_hub and all(r[2]["Authorization"] == "Bearer hf_good" for r in of_hub)
    assert of_weights(hub) and not any("Authorization" in r[2] for r in hub.asked("storage:"))
    assert all(r[1].endswith(SIGNATURE) for r in hub.asked("storage:"))


def test_where_a_token_is_looked_for(place, hub):
    hub.repositories["org/model"].token = "hf_good"
    place.home.mkdir()
    (place.home / "token").write_text("hf_good\n")
    other = place.folder / "other"
    other.write_text("hf_bad")
    says(place.run("pull", "hf:org/model", env={"HF_TOKEN_PATH": str(other)}), 5, "private")
    says(place.run("pull", "hf:org/model", env={"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}), 5, "private")
    place.pull("hf:org/model")
    for token in ("a b", "a\nX-Evil: 1", "h\xe9"):
        says(place.run("pull", "hf:org/model", env={"HF_TOKEN": token}), 2, "HF_TOKEN", "no token")
    assert not any("X-Evil" in r[2] for r in hub.asked())


def test_gated_and_missing(place, hub):
    hub.add("org/gated", dict(FILES), token="hf_good", gated=True)
    says(place.run("pull", "hf:org/gated"), 5, "gated", f"{hub.url}/org/gated", "HF_TOKEN")
    says(place.run("pull", "hf:org/gated", env={"HF_TOKEN": "hf_other"}), 5, "gated", "403")
    says(place.run("pull", "hf:org/none"), 5, "no such repository", "401")
    says(place.run("pull", "hf:org/none", env={"HF_TOKEN": "hf_x"}), 3, "no such model", "404")
    assert not place.cache.exists()


# What goes wrong on the way.


def test_a_cut_connection_goes_on_where_it_was(place, hub):
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", cut=2_000_000)
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", cut=1_500_000)
    place.pull("hf:org/model")
    assert_whole(place)
    assert [r[2].get("Range") for r in of_weights(hub)] == [None, "bytes=2000000-", "bytes=3500000-"]


def test_a_server_without_ranges_begins_anew(place, hub):
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", cut=2_000_000)
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", plain=True)
    place.pull("hf:org/model")
    assert_whole(place)


def test_a_run_that_was_killed_goes_on(place, hub):
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", stall=60)
    process = place.start("pull", "hf:org/model", env={"HF_HUB_DOWNLOAD_TIMEOUT": "60"})
    part = place.blob(f"{SHA256}.incomplete")
    half = len(FILES[WEIGHTS]) // 2
    end = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size == half):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Nothing is there yet by name.
    assert not (place.repository() / "snapshots").exists()
    assert not (place.repository() / "refs").exists()
    says(place.run("info", "hf:org/model"), 3, "cliplens pull hf:org/model")
    place.pull("hf:org/model")
    assert_whole(place)
    assert of_weights(hub)[-1][2]["Range"] == f"bytes={half}-"


def test_a_connection_that_stands_still(place, hub):
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", stall=100)
    start = time.monotonic()
    place.pull("hf:org/model")
    assert 2 <= time.monotonic() - start < 30
    assert_whole(place)


def test_a_wrong_checksum(place, hub):
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", wrong=True)
    says(place.run("pull", "hf:org/model"), 4, WEIGHTS, SHA256, "run again")
    assert not place.blob(SHA256).exists() and not place.blob(f"{SHA256}.incomplete").exists()
    assert not (place.repository() / "snapshots").exists()
    hub.fault("GET hub:/org/model/resolve", wrong=True)
    other = Place(place.folder / "other", hub)
    other.folder.mkdir()
    says(other.run("pull", "hf:org/model"), 4, "open_clip_config.json", "run again")
    place.pull("hf:org/model")
    assert_whole(place)


def test_what_was_left_and_is_broken_is_fetched_anew(place, hub):
    place.blob("x").parent.mkdir(parents=True)
    place.blob(f"{SHA256}.incomplete").write_bytes(bytes(1_000_000))
    place.pull("hf:org/model")
    assert_whole(place)
    assert [r[2].get("Range") for r in of_weights(hub)] == ["bytes=1000000-", None]
    for left in (len(FILES[WEIGHTS]), len(FILES[WEIGHTS]) + 10):
        shutil.rmtree(place.cache)
        place.blob("x").parent.mkdir(parents=True)
        place.blob(f"{SHA256}.incomplete").write_bytes(bytes(left))
        place.pull("hf:org/model")
        assert_whole(place)


def test_another_version_of_the_file_is_not_added_to_a_part(place, hub):
    """If-Range names the version of the part, so the server sends the whole of another."""
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", cut=2_000_000, changed={"ETag": '"one"'})
    place.pull("hf:org/model")
    assert of_weights(hub)[1][2]["If-Range"] == '"one"'


def test_too_many_requests(place, hub):
    hub.fault("GET hub:/api", status=429, headers={"Retry-After": "2"})
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", status=503, headers={"Retry-After": "1"})
    start = time.monotonic()
    place.pull("hf:org/model")
    assert time.monotonic() - start >= 3
    assert_whole(place)
    hub.fault("GET hub:/api", status=429, headers={"Retry-After": "3600"})
    start = time.monotonic()
    says(place.run("pull", "hf:org/model"), 6, "429, Retry-After 3600", "run again later")
    assert time.monotonic() - start < 5
    hub.fault("GET hub:/api", times=99, status=502)
    before = len(hub.asked("/api/"))
    says(place.run("pull", "hf:org/model"), 5, "502", "run again later")
    assert len(hub.asked("/api/")) == before + 5


def test_a_hub_that_cannot_be_reached(place):
    says(place.run("pull", "hf:org/model", env={"HF_ENDPOINT": "http://127.0.0.1:9"}), 5,
         "http://127.0.0.1:9/api/models/org/model", "no answer", "check the network")
    says(place.run("pull", "hf:org/model", env={"HF_ENDPOINT": "https://none.invalid/"}), 5,
         "https://none.invalid/api", "no answer")


def test_a_full_disk(place, hub):
    disk = place.folder / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk],
                           capture_output=True)
    if mount.returncode != 0:
        pytest.skip("no file system can be made here: " + mount.stderr.decode().strip())
    place.environment["HF_HOME"], place.home, place.cache = str(disk), disk, disk / "hub"
    try:
        says(place.run("pull", "hf:org/model"), 6, "5192754 bytes are wanted", "HF_HOME")
        assert of_weights(hub) == []
        # The hub does not say how large it is.
        hub.fault(f"HEAD hub:/org/model/resolve/{hub.repositories['org/model'].commit}/{WEIGHTS}",
                  changed={"X-Linked-Size": None})
        says(place.run("pull", "hf:org/model"), 6, "No space left", "free space")
        assert not (place.repository() / "snapshots").exists()
        assert place.blob(f"{SHA256}.incomplete").stat().st_size > 2_000_000
        bigger = subprocess.run(["mount", "-o", "remount,size=20m", disk], capture_output=True)
        assert bigger.returncode == 0, bigger.stderr
        place.pull("hf:org/model")
        assert_whole(place)
        assert "Range" in of_weights(hub)[-1][2]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_full_while_it_is_written(place, hub):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    says(place.run("pull", "hf:org/model", preexec_fn=limit), 6, "File too large", "free space")
    assert place.blob(f"{SHA256}.incomplete").stat().st_size == 2_000_000
    place.pull("hf:org/model")
    assert_whole(place)
    assert of_weights(hub)[-1][2]["Range"] == "bytes=2000000-"


def test_two_at_once(place, hub):
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", stall=1)
    processes = [place.start("pull", "hf:org/model", "--json") for _ in range(3)]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    assert_whole(place)
    # The cut one went on; nobody fetched it again.
    assert len(of_weights(hub)) == 2


def test_a_run_that_waits_for_another_says_so(place, hub):
    """One line, of the first file that it waits for; the one that fetches says nothing."""
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", stall=3)
    first = place.start("pull", "hf:org/model", env={"HF_HUB_DOWNLOAD_TIMEOUT": "60"})
    part = place.blob(f"{SHA256}.incomplete")
    end = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 0):
        assert first.poll() is None and time.monotonic() < end, first.communicate()
        time.sleep(0.01)
    texts = place.folder / "texts.txt"
    texts.write_text("red\n")
    others = [place.start("pull", "hf:org/model", "--json"),
              place.start("tokenize", "hf:org/model", "--texts", texts, "--pull")]
    for other in others:
        out, err = other.communicate(timeout=120)
        assert other.returncode == 0, err
        assert err == f"cliplens: hf:org/model: {WEIGHTS}: another run is fetching it; waiting for that\n"
    assert first.communicate(timeout=120)[1] == "" and first.returncode == 0
    assert_whole(place)
    assert place.run("pull", "hf:org/model").stderr == ""


def test_a_cache_that_may_not_be_written(place, hub):
    place.home.write_text("no folder")
    says(place.run("pull", "hf:org/model"), 3, str(place.home), "cannot make this directory")


def test_a_cache_that_is_whole_need_not_be_written(place, hub):
    first = place.pull("hf:org/model")
    disk = place.folder / "read-only"
    disk.mkdir()
    mount = subprocess.run(["mount", "--bind", place.home, disk], capture_output=True)
    if mount.returncode != 0:
        pytest.skip("no file system can be made here: " + mount.stderr.decode().strip())
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
        again = place.pull("hf:org/model", env={"HF_HOME": str(disk)})
        assert fetched(again) == [] and again["commit"] == first["commit"]
        shutil.rmtree(place.cache / "models--org--model/snapshots")
        says(place.run("pull", "hf:org/model", env={"HF_HOME": str(disk)}), 5, "Read-only", str(disk))
    finally:
        subprocess.run(["umount", disk], check=True)


# Offline.


def test_offline(place, hub):
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        says(place.run("pull", "hf:org/model", env={variable: "1"}), 5, variable, "unset it")
        says(place.run("info", "hf:org/model", "--pull", env={variable: "1"}), 5, variable)
    assert hub.asked() == []
    first = place.pull("hf:org/model")
    before = len(hub.asked())
    offline = place.pull("hf:org/model", env={"HF_HUB_OFFLINE": "YES"})
    assert fetched(offline) == []
    assert {k: v for k, v in offline.items() if k != "files"} == {
        k: v for k, v in first.items() if k != "files"}
    assert sorted(f["name"] for f in offline["files"]) == WANTED
    assert place.run("info", "hf:org/model", env={"HF_HUB_OFFLINE": "1"}).returncode == 0
    assert len(hub.asked()) == before


# Other addresses, and TLS.


class Web:
    """Any host by HTTPS: a proxy that is asked for a tunnel and then is the host itself."""

    def __init__(self, folder, files):
        self.files, self.asked = files, []
        names = "subjectAltName=DNS:openaipublic.azureedge.net,DNS:dl.fbaipublicfiles.com"
        self.certificate, key = folder / "certificate.pem", folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=web", "-addext", names, "-keyout", key, "-out",
                        self.certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        web = self

        class Tunnel(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_CONNECT(self):
                self.host = self.path.split(":")[0]
                self.send_response(200)
                self.end_headers()
                self.connection = context.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = (self.connection.makefile(mode) for mode in ("rb", "wb"))

            def do_HEAD(self):
                web.asked.append((self.command, self.host + self.path, dict(self.headers)))
                data = web.files.get(self.host + self.path)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data or b"")
                self.wfile.flush()

            do_GET = do_HEAD

        self.server = Server(("127.0.0.1", 0), Tunnel)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def web(place):
    site = Web(place.folder, {})
    place.environment |= {"https_proxy": site.url, "SSL_CERT_FILE": str(site.certificate)}
    yield site
    site.server.shutdown()
    site.server.server_close()


def test_the_original_address(place, web):
    name = "ViT-B-32/metaclip_400m"
    web.files["dl.fbaipublicfiles.com/MMPT/metaclip/b32_400m.pt"] = FILES[WEIGHTS]
    result = place.pull(name, "--original", env={"HF_TOKEN": "hf_secret"})
    file = place.folder / ".cache/clip/b32_400m.pt"
    assert result["path"] == str(file) and fetched(result) == ["b32_400m.pt"]
    assert file.read_bytes() == FILES[WEIGHTS]
    assert len(web.asked) == 2 and not any("Authorization" in r[2] for r in web.asked)
    assert fetched(place.pull(name, "--original")) == []
    assert fetched(place.pull(name, "--original", env={"HF_HUB_OFFLINE": "1"})) == []
    assert len(web.asked) == 2
    # It is found by its name, as one of the architecture, which these weights are not.
    says(place.run("info", name), 4, "b32_400m.pt")
    says(place.run("pull", "ViT-B-16/metaclip_400m", "--original"), 3, "404", "--original")
    says(place.run("pull", "ViT-B-16/dfn2b", "--original"), 2, "--original")
    says(place.run("pull", "hf:org/model", "--original"), 2, "--original")


def test_the_original_address_gives_other_bytes(place, web):
    digest = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
    web.files[f"openaipublic.azureedge.net/clip/models/{digest}/ViT-B-32.pt"] = FILES[WEIGHTS]
    says(place.run("pull", "ViT-B-32/openai", "--original"), 4, SHA256, digest, "run again")
    assert [p.name for p in (place.folder / ".cache/clip").iterdir()] == ["ViT-B-32.pt.lock"]


def test_a_certificate_that_nobody_vouches_for(place, web):
    del place.environment["SSL_CERT_FILE"]
    says(place.run("pull", "ViT-B-32/openai", "--original"), 5, "certificate", "SSL_CERT_FILE")
    says(place.run("pull", "ViT-B-32/openai", "--original", env={"SSL_CERT_FILE": "/none"}), 5,
         "certificate", "SSL_CERT_FILE")
    assert web.asked == []


# --pull of other verbs.


def test_verbs_pull_when_asked(place, hub):
    hub.add(OPENAI, dict(FILES))
    (place.folder / "texts.txt").write_text("red\n")
    says(place.run("tokenize", "hf:org/model", "--texts", "texts.txt"), 3, "cliplens pull hf:org/model")
    assert hub.asked() == []
    result = place.run("tokenize", "hf:org/model", "--texts", "texts.txt", "--pull")
    assert result.returncode == 0 and result.stderr == ""
    assert_whole(place)
    # What is there is not asked for.
    before = len(hub.asked())
    assert place.run("info", "hf:org/model", "--pull").returncode == 0
    assert place.run("info", "pictureworld", "--pull").returncode == 0
    assert len(hub.asked()) == before
    assert place.run("info", "ViT-B-32/openai", "--pull", "--quiet").returncode == 0
    says(place.run("info", "hf:org/none", "--pull"), 5, "no such repository")


def test_a_store_whose_model_is_gone_from_the_cache(place, hub):
    commit = place.pull("hf:org/model")["commit"]
    photo = ROOT / "world/sets/single"
    done = place.run("decompose", "hf:org/model", "--images", photo, "--out", "store")
    assert done.returncode == 0, done.stderr
    (place.folder / "texts.txt").write_text("red\na duck\n")
    shutil.rmtree(place.cache)
    span = ("span", "store", "--texts", "texts.txt", "--count", "1", "--heads", "L5.H0")
    says(place.run(*span), 3, f"cliplens pull hf:org/model@{commit}", "--model")
    assert place.run(*span, "--pull").returncode == 0


def test_the_second_model_of_a_verb_is_pulled_too(place, hub):
    """`compare STORE2` and --beside: the error names the one command, and --pull does it."""
    other = {path.name: path.read_bytes() for path in (ROOT / "models/pictureworld-2").iterdir()}
    hub.add("org/other", other)
    photo = ROOT / "world/sets/single"
    for name in ("model", "other"):
        done = place.run("decompose", f"hf:org/{name}", "--pull", "--images", photo, "--out", name)
        assert done.returncode == 0, done.stderr
    commit = hub.repositories["org/other"].commit
    (place.folder / "texts.txt").write_text("red\na duck\n")
    (place.folder / "properties.txt").write_text("red\tcolour\nblue\tcolour\na duck\tobject\na cat\tobject\n")
    verbs = {
        "--model2": ("compare", "model", "other", "--classes", ROOT / "world/texts/objects.txt"),
        "--beside-model": ("report", "model", "--texts", "texts.txt", "--beside", "other", "--out", "r.html",
                           "--properties", "properties.txt", "--count", "1", "--heads", "L5.H0"),
        " --beside-model": ("label", "model", "--properties", "properties.txt", "--beside", "other"),
    }
    for option, verb in verbs.items():
        shutil.rmtree(place.repository("org/other"))
        says(place.run(*verb), 3, f"get it: cliplens pull hf:org/other@{commit}, or", f"with {option.strip()}\n")
        done = place.run(*verb, "--pull")
        assert done.returncode == 0 and done.stderr == "", done.stderr
    # Named where it moved to. (Rows of texts that are kept need no model.)
    shutil.rmtree(place.repository("org/other"))
    shutil.rmtree(place.folder / ".cache/cliplens")
    named = (*verbs["--model2"], "--model2", "hf:org/other")
    says(place.run(*named), 3, "get it: cliplens pull hf:org/other\n")
    assert place.run(*named, "--pull").returncode == 0


def test_verify_pulls_its_model(place, hub):
    photo = ROOT / "world/sets/single"
    assert place.run("decompose", "hf:org/model", "--pull", "--images", photo, "--out", "store").returncode == 0
    shutil.rmtree(place.cache)
    verify = ("verify", "store", "--model", "hf:org/model")
    says(place.run(*verify), 3, "get it: cliplens pull hf:org/model\n")
    done = place.run(*verify, "--pull")
    assert done.returncode == 0 and "as it should be" in done.stdout, done.stderr
    asked = len(hub.asked())
    assert place.run("verify", "store").returncode == 0 and len(hub.asked()) == asked


def test_serve_pulls_before_it_listens(place, hub):
    """The model of a store, and one that is named for stores."""
    photo = ROOT / "world/sets/single"
    assert place.run("decompose", "hf:org/model", "--pull", "--images", photo, "--out", "store").returncode == 0
    for named in ([], ["--model", "hf:org/model"]):
        shutil.rmtree(place.cache)
        server = place.start("serve", "store", *named, "--pull", "--port", "0", "--json")
        try:
            assert server.stdout.readline(), server.stderr.read()
            assert list((place.repository() / "snapshots").glob(f"*/{WEIGHTS}"))
        finally:
            server.terminate()
            server.communicate(timeout=60)


# Hostile answers.


def test_names_that_no_repository_has(place, hub):
    for name in ("hf:", "hf:org", "hf:../x", "hf:org/a/b", "hf:/etc/passwd", "hf:org/a--b",
                 "hf:org/a b", "hf:org/a?x=1", "hf:org/%2e%2e", "hf:org/a\nb", "https://x/y",
                 "laion/CLIP", "", "pictureworld", "x" * 5_000):
        says(place.run("pull", name), 2)
    says(place.run("pull", "laion/CLIP-ViT-B-32"), 2, "did you mean hf:laion/CLIP-ViT-B-32?")
    assert hub.asked() == []


def test_the_home_in_a_variable(place):
    place.pull("hf:org/model", env={"HF_HOME": "~/other"})
    assert (place.folder / "other/hub/models--org--model").is_dir()


def test_listings_that_lie(place, hub):
    repository = hub.repositories["org/model"]
    repository.files["../../evil"] = b"x"
    repository.files["/etc/evil"] = b"x"
    repository.files["sub/vocab.json"] = b"x"
    place.pull("hf:org/model")
    assert_whole(place)
    assert not [r for r in hub.asked() if "evil" in r[1] or "sub" in r[1]]
    for name in ("../../evil.safetensors", "sub/part.safetensors", ".hidden", "missing.safetensors",
                 "a\nb"):
        index = json.dumps({"weight_map": {"a": name}}).encode()
        hub.add("org/parts", dict(HUGGING_FACE, **{"model.safetensors.index.json": index,
                                                   "sub/part.safetensors": b"x"}))
        says(place.run("pull", "hf:org/parts"), 4, "is")
        assert not (place.repository("org/parts") / "snapshots").exists()


@pytest.mark.parametrize("body, words", [
    (b"<html>", "line 1, column 1: syntax error"), (b"{}", '"sha" is missing'), (b'{"sha": "../../../x", "siblings": []}', "no commit"),
    (b'{"sha": "' + b"a" * 40 + b'"}', '"siblings" is missing'),
    (b'{"sha": "' + b"a" * 40 + b'", "siblings": [1]}', "rfilename"),
    (b"[" * 100_000, "nested"), (b" " * 40_000_000, "more than"),
])
def test_listings_that_are_none(place, hub, body, words):
    hub.repositories["org/model"].files = {}
    hub.add("org/lie", {"body": body})
    hub.fault("GET hub:/api", to=f"{hub.storage}/org/lie/body?{SIGNATURE}")
    result = place.run("pull", "hf:org/model")
    says(result, 6 if words == "more than" else 4, words)
    assert not place.cache.exists()


@pytest.mark.parametrize("changed, status, words", [
    ({"X-Linked-ETag": '"../../../evil"'}, 4, "ETag"), ({"X-Linked-ETag": '""', "ETag": None}, 4, "ETag"),
    ({"X-Linked-ETag": '".hidden"'}, 4, "ETag"), ({"X-Repo-Commit": "b" * 40}, 4, "commit"),
    ({"X-Linked-Size": str(1 << 62)}, 6, "at most"), ({"X-Linked-Size": "17"}, 4, "17"),
    ({"X-Filler": "x" * 400_000}, 5, ""),
])
def test_headers_that_lie(place, hub, changed, status, words):
    hub.fault(f"HEAD hub:/org/model/resolve/{hub.repositories['org/model'].commit}/{WEIGHTS}",
              times=99, changed=changed)
    says(place.run("pull", "hf:org/model"), status, words)
    assert not (place.repository() / "snapshots").exists()
    assert not list(place.folder.glob("**/evil*"))


@pytest.mark.parametrize("fault, words", [
    ({"changed": {"Content-Length": "99999999"}}, "99999999"),
    ({"changed": {"Content-Length": None}, "cut": 100}, "ended after 500 of 5192754"),
])
def test_bodies_of_another_size(place, hub, fault, words):
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", times=99, **fault)
    says(place.run("pull", "hf:org/model"), 4 if "cut" not in fault else 5, words)
    assert not (place.repository() / "snapshots").exists()


def test_another_part_than_was_asked_for(place, hub):
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", cut=1_000)
    hub.fault(f"GET storage:/org/model/{WEIGHTS}", changed={"Content-Range": "bytes 5-9/10"})
    says(place.run("pull", "hf:org/model"), 4, "bytes 5-9/10", "from 1000 on")


def test_redirects_that_lead_astray(place, hub):
    for to, words in ((f"{hub.url}/api/models/org/model/revision/main", "leads on and on"),
                      ("file:///etc/passwd", "only http and https"), ("http://", "no address"),
                      ("gopher://127.0.0.1/", "only http and https")):
        with_faults, hub.faults = hub.faults, []
        hub.fault("GET hub:/api", times=99, to=to)
        result = place.run("pull", "hf:org/model")
        assert result.returncode in (2, 4) and words in result.stderr, result.stderr
        hub.faults = with_faults
    assert not place.cache.exists()
    # Within the hub, as of a repository that was renamed, the token goes along.
    hub.repositories["org/model"].token = "hf_good"
    hub.fault("GET hub:/api/models/org/old", to="/api/models/org/model/revision/main")
    commit = hub.repositories["org/model"].commit
    for _ in range(10):
        hub.fault("HEAD hub:/org/old/", to=f"/org/model/resolve/{commit}/merges.txt")
    result = place.run("pull", "hf:org/old", env={"HF_TOKEN": "hf_good"})
    assert all(r[2].get("Authorization") for r in hub.asked("hub:/api/models/org/")[-2:]), result.stderr


def test_settings_that_make_no_sense(place, hub):
    for name, value in (("HF_ENDPOINT", "file:///tmp"), ("HF_ENDPOINT", "huggingface.co"),
                        ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"), ("HF_HUB_ETAG_TIMEOUT", "-1")):
        says(place.run("pull", "hf:org/model", env={name: value}), 2, name)
    says(place.run("pull", "hf:org/model", env={"HF_ENDPOINT": "http://u:secret@127.0.0.1:9"}), 5,
         "http://127.0.0.1:9/api")
