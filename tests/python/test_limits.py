"""Whatever the system limits, a run ends well or in one clear line, and the explorer lives.

    CLIPLENS_PROGRAM=build/release/bin/cliplens python -m pytest tests/python/test_limits.py
"""

import http.client
import json
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from test_output_files import png

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
# The sanitizers take memory and threads of their own.
SANITIZED = b"__asan_init" in Path(PROGRAM).read_bytes() if Path(PROGRAM).exists() else False
# A user whose processes are these alone: the superuser's are not limited.
USER = 50_000 + os.getpid() % 10_000 if os.geteuid() == 0 else None
API = "/api/v1"


def settings(limits, user):
    def set_limits():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for limit, value in limits.items():
            resource.setrlimit(limit, (value, value))
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
    return {"preexec_fn": set_limits, "text": True,
            "env": dict(os.environ, CLIPLENS_SHARE=str(ROOT), XDG_CACHE_HOME="/nowhere")}


def limited(limits, *arguments, user=None):
    """Status and message under limits of the system; -6 and -11 are crashes."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, timeout=120,
                          **settings(limits, user))
    return done.returncode, done.stderr


def is_clear(status, err):
    """Whether a run did its work, or said in one line what was exhausted."""
    if status == 127 and "shared libraries" in err:
        return True  # the program itself was not loaded
    return status == 0 or (status == 6 and err.startswith("cliplens: exhausted: ") and
                           err.count("\n") == 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    (folder / "photos").mkdir()
    for i in range(6):
        (folder / "photos" / f"{i}.png").write_bytes(png(20, 3 * i + 2))
    (folder / "pool.txt").write_text("a dog\na cat\n")
    (folder / "properties.txt").write_text("red\tcolour\nblue\tcolour\na dog\tanimal\na cat\tanimal\n")
    status, err = limited({}, "decompose", "pictureworld", "--images", folder / "photos", "--out",
                          folder / "store", "--shard-images", 3)
    assert status == 0, err
    return folder


def verbs(place, out):
    """Of each kind of work one command; outputs go to `out`."""
    store, photo = place / "store", place / "photos/1.png"
    return {
        "embed": ("embed", "pictureworld", "--images", place / "photos", "--out", out / "e.npy"),
        "decompose": ("decompose", "pictureworld", "--images", place / "photos", "--out", out / "d"),
        "label": ("label", store, "--properties", place / "properties.txt", "--out", out / "l.json"),
        "search": ("search", store, "--text", "a dog"),
        "index": ("search", store, "--item", 1, "--index", out / "i.faiss"),
        "heatmap": ("heatmap", "pictureworld", "--image", photo, "--text", "a dog", "--out",
                    out / "h.png"),
        "report": ("report", store, "--texts", place / "pool.txt", "--images",
                   place / "photos", "--out", out / "r.html"),
    }


@pytest.fixture
def another_user(place):
    """A user with a folder to write to, who may read the store."""
    if USER is None:
        pytest.skip("another user can be made by the superuser alone")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(place, Path(folder) / "place")
        (Path(folder) / "out").mkdir()
        for readable in (folder, Path(folder) / "place"):
            os.chmod(readable, 0o755)
        os.chown(Path(folder) / "out", USER, USER)
        try:
            reachable = limited({}, "info", "pictureworld", user=USER)[0] == 0
        except PermissionError:
            reachable = False
        if not reachable:
            pytest.skip("another user cannot start the program here")
        yield Path(folder)


@pytest.mark.skipif(SANITIZED, reason="sanitizers have threads of their own")
@pytest.mark.parametrize("processes", [1, 2])
def test_without_more_threads_those_that_there_are_do_the_work(processes, another_user):
    for verb, arguments in verbs(another_user / "place", another_user / "out").items():
        status, err = limited({resource.RLIMIT_NPROC: processes}, *arguments, "--threads", 3,
                              user=USER)
        assert (status, err) == (0, ""), verb


@pytest.mark.skipif(SANITIZED, reason="sanitizers take memory of their own")
@pytest.mark.parametrize("limit, values", [
    (resource.RLIMIT_NOFILE, (4, 6)), (resource.RLIMIT_FSIZE, (0, 4096)),
    (resource.RLIMIT_STACK, (64 << 10, 512 << 10)), (resource.RLIMIT_AS, (150 << 20,)),
])
def test_every_limit_ends_in_a_clear_line(limit, values, place, tmp_path):
    for value in values:
        out = tmp_path / str(value)
        out.mkdir()
        for verb, arguments in verbs(place, out).items():
            status, err = limited({limit: value}, *arguments, "--threads", 3)
            assert is_clear(status, err), (verb, value, status, err)
            assert limit != resource.RLIMIT_STACK or "stack is limited" in err


# What docs/security.md says that the shipped models need, in MB: by limit and threads.
ENOUGH = {(resource.RLIMIT_AS, 1): 256, (resource.RLIMIT_AS, 3): 400, (resource.RLIMIT_AS, 8): 800,
          (resource.RLIMIT_DATA, 1): 100, (resource.RLIMIT_DATA, 3): 128, (resource.RLIMIT_DATA, 8): 192}


@pytest.mark.skipif(SANITIZED, reason="sanitizers take memory of their own")
@pytest.mark.parametrize("limit, threads", ENOUGH)
def test_what_the_shipped_models_need_is_enough(limit, threads, place, tmp_path):
    for verb, arguments in verbs(place, tmp_path).items():
        assert limited({limit: ENOUGH[limit, threads] << 20}, *arguments, "--threads", threads) == (0, ""), verb


class Server:
    """The explorer under limits; `port` is None where it did not start."""

    def __init__(self, place, limits, user=None):
        self.process = subprocess.Popen(
            [PROGRAM, "serve", place / "store", "--texts", place / "pool.txt", "--properties",
             place / "properties.txt", "--images", place / "photos", "--port", "0", "--json", "--threads", "3"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings(limits, user))
        line = self.process.stdout.readline()
        self.port = json.loads(line)["port"] if line else None

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, API + path, body,
                               {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (http.client.RemoteDisconnected, ConnectionResetError):
            return None, ""  # no memory is left even for an answer
        finally:
            connection.close()

    def end(self):
        self.process.terminate()
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err


REQUESTS = [
    ("GET", "/sources", None), ("GET", "/sources/s0/overview", None),
    ("GET", "/sources/s0/items/1/picture?side=64", None),
    ("POST", "/sources/s0/search", {"terms": [{"query": {"text": "a dog"}}], "count": 3}),
    ("POST", "/sources/s0/search", {"terms": [{"query": {"item": 1}}], "count": 3}),
    ("POST", "/sources/s0/heatmap", {"picture": {"item": 1}, "texts": ["a dog"]}),
    ("POST", "/sources/s0/explain", {"picture": {"item": 2}, "text": "a dog"}),
    ("POST", "/sources/s0/labels", {}),
]


def serve(place, limits, user=None):
    """Asks a limited server for everything. Returns whether it started."""
    server = Server(place, limits, user)
    if server.port is None:
        assert is_clear(*server.end())
        return False
    try:
        for method, path, body in REQUESTS:
            status, text = server.ask(method, path, body if body is None else json.dumps(body))
            assert status in (200, 202, 503, 507, None), (limits, path, status, text)
            if status in (503, 507) and text:
                assert json.loads(text)["error"]["code"] in ("exhausted", "not-ready"), text
        assert server.process.poll() is None
    finally:
        status, err = server.end()
    assert (status, err) == (0, ""), limits
    return True


@pytest.mark.skipif(SANITIZED, reason="sanitizers have threads of their own")
def test_the_explorer_with_few_threads(another_user):
    started = [serve(another_user / "place", {resource.RLIMIT_NPROC: n}, USER) for n in (1, 3, 4, 5)]
    assert not started[0] and started[-1]


def test_a_shard_that_is_cut_off_is_an_error_of_the_request(place, tmp_path):
    """No byte of a store is mapped: one that is cut off while it is read ends no server."""
    shutil.copytree(place / "store", tmp_path / "store")
    for name in ("photos", "pool.txt", "properties.txt"):
        (tmp_path / name).symlink_to(place / name)
    search = json.dumps({"terms": [{"query": {"item": 1}}], "count": 3})
    server = Server(tmp_path, {})
    try:
        assert server.ask("POST", "/sources/s0/search", search)[0] == 200
        shard = sorted((tmp_path / "store").glob("shard-*.safetensors"))[0]
        whole = shard.read_bytes()
        for size in (len(whole) - 1, len(whole) // 2, 100, 0):
            os.truncate(shard, size)
            body = {"edit": {"components": ["L4", f"L5.H{size % 6}"]}, "query": {"item": 1}}
            for path, asked in (("search", search), ("edit", json.dumps(body)), ("labels", "{}")):
                status, text = server.ask("POST", f"/sources/s0/{path}", asked)
                assert status in (200, 202, 422), (size, path, status, text)
            assert server.ask("GET", "/sources")[0] == 200
        heads = {"terms": [{"query": {"item": 1}, "in": {"heads": "L3.H1"}}], "count": 3}
        status, text = server.ask("POST", "/sources/s0/search", json.dumps(heads))
        assert status == 422 and "shard-00000" in text, (status, text)
        shard.write_bytes(whole)
        assert server.ask("POST", "/sources/s0/search", json.dumps(heads))[0] == 200
    finally:
        assert server.end() == (0, "")


@pytest.mark.skipif(SANITIZED, reason="sanitizers take memory of their own")
@pytest.mark.parametrize("limit, values", [
    (resource.RLIMIT_NOFILE, (5, 7, 8, 9, 32)),
    (resource.RLIMIT_AS, (150 << 20, 511 << 20, 512 << 20, 1 << 30)),
    (resource.RLIMIT_FSIZE, (0,)),
])
def test_the_explorer_lives_under_limits(limit, values, place):
    started = [serve(place, {limit: value}) for value in values]
    assert started[-1]
