"""The explorer's HTTP interface, asked as a page, a script and an attacker would.

Every JSON answer that any of these tests gets is held against openapi.json, which may not name less
than the answer has.
"""

import concurrent.futures
import contextlib
import http.client
import io
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

import jsonschema
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
SANITIZED = b"__asan_init" in Path(PROGRAM).read_bytes() if Path(PROGRAM).exists() else False
BIRDS = ROOT / "world/sets/birds"
TEXTS = ROOT / "world/texts"
CLASSES = ["--classes", TEXTS / "birds.txt", "--templates", TEXTS / "birds.templates.txt"]
API = "/api/v1"
JSON = {"Content-Type": "application/json"}


def closed(schema):
    """The schema, with objects that have no members but those it names."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(part) for key, part in schema.items()}
    if "properties" in schema and schema.get("type") in ("object", ["object", "null"]):
        made.setdefault("additionalProperties", False)
    return made


OPENAPI = json.loads((ROOT / "cliplens/server/openapi.json").read_text())
CLOSED = closed(OPENAPI["components"])
ROUTES = {path: re.compile(re.sub(r"\{\w+\}", "[^/]+", API + path)) for path in OPENAPI["paths"]}


def check(schema, value):
    jsonschema.Draft202012Validator({**closed(schema), "components": CLOSED}).validate(value)


def content_of(method, path, status):
    """What openapi.json says of an answer: {content type: {"schema"}}."""
    routes = [OPENAPI["paths"][name] for name, pattern in ROUTES.items()
              if pattern.fullmatch(path.split("?")[0])]
    responses = routes[0].get(method.lower(), {}).get("responses", {}) if routes else {}
    if str(status) in responses:
        return responses[str(status)]["content"]
    return OPENAPI["components"]["responses"]["Error"]["content"]


def members_of(schema, place):
    """Names of the members that a schema has; those of schemas that it refers to have their own."""
    for part in schema.get("anyOf", []):
        yield from members_of(part, place)
    if "items" in schema:
        yield from members_of(schema["items"], place)
    for name, member in schema.get("properties", {}).items():
        yield f"{place}.{name}"
        yield from members_of(member, f"{place}.{name}")


def written_of(schema, value, place):
    """Those that a value has."""
    if "$ref" in schema:
        place = schema["$ref"].split("/")[-1]
        yield place
        yield from written_of(OPENAPI["components"]["schemas"][place], value, place)
    for part in schema.get("anyOf", []):
        if value is not None:
            yield from written_of(part, value, place)
    if isinstance(value, list):
        for one in value:
            yield from written_of(schema.get("items", {}), one, place)
    if isinstance(value, dict):
        for name, member in value.items():
            yield f"{place}.{name}"
            yield from written_of(schema.get("properties", {}).get(name, {}), member,
                                  f"{place}.{name}")


def run(*arguments, check=True):
    result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, timeout=900)
    assert not check or result.returncode == 0, result.stderr.decode()
    return result


def cli(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


class Server:
    """A running explorer."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [PROGRAM, "serve", *map(str, arguments), "--port", "0", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read().decode()
        self.started = json.loads(line)
        self.port = self.started["port"]
        self.written = set()  # members of answers

    def ask(self, method, path, body=None, headers=None, timeout=120):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        kind = (answer.headers["Content-Type"] or "").split(";")[0]
        if kind == "application/json" and method != "HEAD" and path != "/openapi.json":
            schema = content_of(method, path, answer.status)[kind]["schema"]
            check(schema, json.loads(data))
            self.written.update(written_of(schema, json.loads(data), ""))
        return answer, data

    def get(self, path, status=200, headers=None):
        answer, body = self.ask("GET", API + path, headers=headers)
        assert answer.status == status, (answer.status, body[:300])
        return json.loads(body)

    def post(self, path, value, status=200):
        answer, body = self.ask("POST", API + path, json.dumps(value), JSON)
        assert answer.status == status, (answer.status, body[:300])
        return json.loads(body)

    def send(self, data, status=200):
        answer, body = self.ask("POST", API + "/pictures", data, {"Content-Type": "image/png"})
        assert answer.status == status, (answer.status, body[:300])
        return json.loads(body)

    def raw(self, data, timeout=30):
        """The first bytes that come back for these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            s.sendall(data)
            return s.recv(65536)

    def wait_until_ready(self):
        for _ in range(600):
            if all(source["preparing"] is None for source in self.get("/sources")["sources"]):
                return
            time.sleep(0.1)
        raise AssertionError("the texts are still being embedded")

    def memory(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024

    def stop(self, by=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            return self.process.wait(timeout=30)
        finally:
            self.process.kill()
            self.process.stdout.close()
            self.process.stderr.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer")
    for model in ("pictureworld", "pictureworld-birds"):
        run("decompose", model, "--images", BIRDS, "--out", folder / model)
    run("label", folder / "pictureworld-birds", "--properties", TEXTS / "properties.txt", "--out",
        folder / "labels.json")
    run("neurons", "collect", "pictureworld-birds", "--images", BIRDS, "--layers", "last-2", "--out",
        folder / "neurons")
    (folder / "phrases.txt").write_text((TEXTS / "phrases.txt").read_text() + "\n\n")
    return folder


@pytest.fixture(scope="module")
def server(place):
    s = Server(place / "pictureworld-birds", place / "neurons", place / "pictureworld",
               "pictureworld-birds",
               "--labels", place / "labels.json", "--texts", place / "phrases.txt",
               "--properties", TEXTS / "properties.txt", *CLASSES)
    s.wait_until_ready()
    yield s
    assert s.stop() == 0


@pytest.fixture(scope="module")
def picture(place):
    import tarfile
    with tarfile.open(next(BIRDS.glob("*.tar"))) as tar:
        name = next(n for n in sorted(tar.getnames()) if n.endswith(".png") and "mask" not in n)
        data = tar.extractfile(name).read()
    (place / "bird.png").write_bytes(data)
    return data


SOURCE = "/sources/s0"
TEXT = {"query": {"text": "a duck"}}


def bodies(server, picture):
    """A good request for every route that takes one."""
    sent = {"picture": server.send(picture)["picture"]}
    exif = Image.Exif()
    exif[274] = 6  # it is to be turned
    turned = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(turned, "PNG", exif=exif)
    oriented = {"picture": server.send(turned.getvalue())["picture"]}
    edit = {"components": ["L5.H3", "L4"], "mode": "mean"}
    heads = server.get(SOURCE + "/overview")["labels"]["heads"]
    labelled = next(head["label"] for head in heads if head["label"])
    return {
        "search": {"terms": [TEXT, {"query": {"item": 3}, "in": {"heads": "L5.H3"}, "unlike": True},
                             {"query": sent, "in": {"property": labelled}}], "count": 7},
        "edit": {"edit": edit, "attribute": "place_kind", "query": {"text": "a duck"},
                 "picture": sent, "texts": ["a duck", "a gull"]},
        "edit/file": {"edit": edit, "note": "a test"},
        "scores": {"picture": {"item": 5}, "texts": [], "edit": edit},
        "heatmap": {"picture": oriented, "texts": ["a duck", "the sea"], "against": {"text": "a cat"},
                    "in": {"heads": "last-2"}},
        "explain": {"picture": oriented, "text": "a duck", "against": "a gull", "through": "L4"},
        "fires": {"picture": oriented, "neurons": ["L4.N7", "L3.N0"]},
        "segment": {"picture": oriented, "text": None, "in": {"embedding": True}},
    }


# Not written here: what only a failed job, a text that is not embedded yet or pictures of other classes
# give.
RARE = {"Failure", "Failure.code", "Failure.message", "Error.error.job", "Edited.accuracy_problem"}
# Of models with an attention pool (test_towers.py).
RARE |= {f"{schema}.pool_mlp" for schema in ("Explanation.rest", "Through", "Rest", "Word")}
# Of models with registers.
RARE |= {f"{schema}.registers" for schema in ("Explanation.rest", "Through.strongest", "Rest", "Word")}


def test_every_route_answers_as_the_openapi_file_says(server, picture):
    _, body = server.ask("GET", "/openapi.json")
    assert json.loads(body) == OPENAPI
    good = bodies(server, picture)
    job = server.post(SOURCE + "/labels", {}, status=202)["job"]
    fill = {"{source}": "s0", "{head}": "L5.H3", "{neuron}": "L4.N7", "{item}": "7", "{job}": job,
            "{picture}": server.send(picture)["picture"]}
    for path, methods in OPENAPI["paths"].items():
        real = path
        for name, value in fill.items():
            real = real.replace(name, value)
        key = path.removeprefix("/sources/{source}/")
        for method, operation in methods.items():
            if method == "get":
                real += "?with=s0" if path.endswith("/match") else ""
                real += "?head=L5.H3" if path.endswith("/neurons") else ""
                answer, body = server.ask("GET", API + real)
                kind = answer.headers["Content-Type"].split(";")[0]
                assert kind in operation["responses"]["200"]["content"], (real, kind)
            elif key in good:
                check(operation["requestBody"]["content"]["application/json"]["schema"], good[key])
                server.post(real, good[key])
                if "image/png" in operation["responses"]["200"]["content"]:
                    answer, body = server.ask("POST", API + real + "?as=png",
                                              json.dumps(good[key]), JSON)
                    assert answer.headers["Content-Type"] == "image/png"
                    assert Image.open(io.BytesIO(body)).size[0] > 8
    for mode in ("mean", "scale"):
        edit = {**good["edit/file"], "edit": {"components": ["L4"], "mode": mode}}
        _, file = server.ask("POST", API + SOURCE + "/edit/file", json.dumps(edit), JSON)
        assert server.ask("POST", API + SOURCE + "/edit/open", file, JSON)[0].status == 200
    answer, body = server.ask("DELETE", API + f"/jobs/{job}")
    assert answer.status == 202, body
    server.get("/jobs/j999", status=404)
    # What it names is written, too.
    answers = {schema for schema in server.written if "." not in schema}
    requests = {name for name in OPENAPI["components"]["schemas"] if name.endswith("Request")}
    parts = {"Picture", "Query", "Place", "Against", "SearchTerm", "EditRequested", "EditFile"}
    assert answers | requests | parts | RARE >= set(OPENAPI["components"]["schemas"])
    named = {member for schema in answers
             for member in members_of(OPENAPI["components"]["schemas"][schema], schema)}
    assert named - server.written <= RARE


def test_numbers_are_those_of_the_command_line(server, place, picture):
    store, model = place / "pictureworld-birds", "pictureworld-birds"
    sent = {"picture": server.send(picture)["picture"]}
    span = cli("span", store, "--texts", TEXTS / "phrases.txt", "--heads", "L5.H3")["heads"][0]
    head = server.get(SOURCE + "/heads/L5.H3")
    assert [t["share"] for t in head["texts"]] == [t["share"] for t in span["texts"]]
    assert head["variance_share"] == span["variance_share"]
    label = {h["head"]: h for h in json.loads((place / "labels.json").read_text())["heads"]}
    assert head["label"] == label["L5.H3"]

    search = cli("search", store, "--text", "a duck", "--heads", "L5.H3")["results"]
    found = server.post(SOURCE + "/search", {"terms": [{**TEXT, "in": {"heads": "L5.H3"}}],
                                             "count": 10})
    assert found["results"] == search
    by_picture = cli("search", store, "--image", place / "bird.png")["results"]
    assert server.post(SOURCE + "/search",
                       {"terms": [{"query": sent}], "count": 10})["results"] == by_picture

    image = ["--image", place / "bird.png"]
    heatmap = cli("heatmap", model, *image, "--text", "a duck", "--against", "a cat")
    mine = server.post(SOURCE + "/heatmap", {"picture": sent, "texts": ["a duck"],
                                             "against": {"text": "a cat"}})
    assert mine["maps"] == heatmap["maps"] if "maps" in heatmap else mine["map"] == heatmap["map"]
    explain = cli("explain", model, *image, *CLASSES)
    mine = server.post(SOURCE + "/explain", {"picture": sent})
    assert mine["score"] == explain["score"] and mine["patch_word"] == explain["patch_word"]
    segment = cli("segment", model, *image, *CLASSES, "--out", place / "mask.png")
    mine = server.post(SOURCE + "/segment", {"picture": sent})
    assert mine["object_pixels"] == segment["object_pixels"] and mine["text"] == segment["text"]
    _, png = server.ask("POST", API + SOURCE + "/segment?as=png", json.dumps({"picture": sent}),
                        JSON)
    assert png == (place / "mask.png").read_bytes()

    run("edit", "make", store, "--heads", "L5.H3,L4", "--out", place / "edit.json")
    groups = cli("evaluate", "groups", store, *CLASSES, "--attribute", "place_kind", "--edit",
                 place / "edit.json", "--random", "0")
    edited = server.post(SOURCE + "/edit", {"edit": {"components": ["L5.H3", "L4"]},
                                            "attribute": "place_kind"})
    rows = {row["name"]: row for row in groups["rows"]}
    assert edited["groups"]["rows"] == [rows["base"], rows["edit"]]


def test_neurons_are_those_of_the_command_line(server, place, picture):
    store, pool = place / "neurons", place / "phrases.txt"
    words = cli("neurons", "words", store, "--texts", pool, "--count", 4)
    by_name = {n["neuron"]: n for n in words["neurons"]}
    ranked = sorted(words["neurons"], key=lambda n: -n["variance"])
    listed = server.get(SOURCE + "/neurons?count=30")
    assert listed["total"] == len(ranked)
    assert sum(layer["neurons"] for layer in listed["layers"]) == len(ranked)
    assert [n["neuron"] for n in listed["neurons"]] == [n["neuron"] for n in ranked[:30]]
    for n in listed["neurons"]:
        told = by_name[n["neuron"]]
        assert n["texts"] == told["texts"] and n["cosine"] == told["cosine"]
        assert n["share"] == pytest.approx(told["variance"] / words["embedding_variance"], rel=1e-12)
    rest = server.get(SOURCE + "/neurons?count=1000&from=30&layers=4")["neurons"]
    assert [n["neuron"] for n in rest] == [n["neuron"] for n in ranked
                                           if n["neuron"].startswith("L4.")][30:]
    # Those that feed a head: its part of each neuron.
    feed = server.get(SOURCE + "/neurons?head=L5.H3&count=1000")["neurons"]
    assert [abs(n["through"]) for n in feed] == sorted((abs(n["through"]) for n in feed),
                                                       reverse=True)
    for n in (feed[0], feed[7]):
        shown = cli("neurons", "show", store, n["neuron"], "--texts", pool, "--heads", 100)
        part = next(h["share"] for h in shown["heads"] if h["head"] == "L5.H3")
        assert n["through"] == pytest.approx(n["share"] * part, rel=1e-6)
        most = max(shown["heads"], key=lambda h: abs(h["share"]))
        assert n["strongest"] == {"head": most["head"], "share": most["share"]}
    assert all(n["neuron"].startswith("L3.")
               for n in server.get(SOURCE + "/neurons?head=L4.H0")["neurons"])
    # One of them, with its maps.
    name = ranked[0]["neuron"]
    shown = cli("neurons", "show", store, name, "--texts", pool, "--count", 12, "--heads", 12,
                "--pictures", 3, "--maps", place / "neuron.png")
    mine = server.get(SOURCE + f"/neurons/{name}?pictures=3")
    for key in ("texts", "heads", "variance", "cosine", "threshold", "top_explained"):
        assert mine[key] == shown[key]
    for hit, theirs in zip(mine["pictures"], shown["pictures"], strict=True):
        assert hit == {key: theirs[key] for key in ("item", "path", "norm", "along")}
        ref = {"neuron_picture": hit["item"]}
        fires = server.post(SOURCE + "/fires", {"picture": ref, "neurons": [name]})
        assert fires["image"] == hit["path"]
        assert fires["neurons"] == [{"neuron": name, "fires": theirs["fires"],
                                     "class_token": theirs["class_token"]}]
        _, small = server.ask("GET", API + SOURCE + f"/neuron-pictures/{hit['item']}?side=32")
        assert max(Image.open(io.BytesIO(small)).size) == 32
    # A score through the neurons of a layer, and what they are about.
    explain = cli("explain", "pictureworld-birds", "--image", place / "bird.png", "--text", "a duck",
                  "--through", "L4", "--top", 5)
    sent = {"picture": server.send(picture)["picture"]}
    split = server.post(SOURCE + "/explain", {"picture": sent, "text": "a duck", "through": "L4",
                                              "top": 5})["through"]
    told = [n.pop("words") for n in split["strongest"]]
    assert split == explain["through"]
    three = cli("neurons", "words", store, "--texts", pool, "--count", 3, "--neurons",
                split["strongest"][0]["neuron"])["neurons"][0]["texts"]
    assert told[0].startswith(f"{three[0]['text']} {three[0]['weight']:+.2f}")
    # Without words for a layer that the store has not.
    split = server.post(SOURCE + "/explain", {"picture": sent, "text": "a duck", "through": "1"})
    assert split["through"]["layer"] == 1 and "words" not in split["through"]["strongest"][0]


def test_neurons_that_are_not_there(server, place):
    def refused(path, status, *says, body=None):
        answer = server.post(path, body, status=status) if body else server.get(path, status=status)
        for part in says:
            assert part in answer["error"]["message"], answer

    refused("/sources/s1/neurons", 409, "cliplens neurons collect", "pictureworld")
    refused("/sources/s1/neurons/L4.N1", 409, "cliplens neurons collect")
    refused(SOURCE + "/neurons?layers=0", 400, "0")
    refused(SOURCE + "/neurons?layers=5", 400, "5")
    refused(SOURCE + "/neurons?head=L3.H0", 400, "L3.H0", "from 4 on")
    refused(SOURCE + "/neurons?head=L5", 400, "one head")
    refused(SOURCE + "/neurons?head=nonsense", 400, "nonsense")
    refused(SOURCE + "/neurons?count=0", 400, "count")
    refused(SOURCE + "/neurons/L4.N99999", 400, "99999")
    refused(SOURCE + "/neurons/L4", 400, "L4")
    refused(SOURCE + "/neurons/<b>", 400)
    refused(SOURCE + "/neuron-pictures/999999999", 404, "999999999")
    item = {"item": 1}
    refused(SOURCE + "/fires", 400, "at least one", body={"picture": item, "neurons": []})
    refused(SOURCE + "/fires", 400, body={"picture": item, "neurons": ["L4.N1"] * 17})
    refused(SOURCE + "/fires", 400, "L6", body={"picture": item, "neurons": ["L6.N1"]})
    refused(SOURCE + "/fires", 404, body={"picture": {"neuron_picture": 10 ** 9},
                                          "neurons": ["L4.N1"]})
    refused(SOURCE + "/explain", 400, "no attention comes after it",
            body={"picture": item, "text": "a duck", "through": "L5"})
    refused(SOURCE + "/explain", 400, "one layer",
            body={"picture": item, "text": "a duck", "through": "3-4"})


def test_stores_of_neurons_that_cannot_be_shown(place, tmp_path):
    def refused(*arguments):
        result = run("serve", *arguments, "--port", "0", check=False)
        assert result.returncode not in (0, 1, 127), result.stderr
        return result.stderr.decode()

    pool = tmp_path / "few.txt"
    pool.write_text("a duck\na gull\na wren\n")
    run("neurons", "collect", "pictureworld-birds", "--texts", pool, "--layers", "1", "--top", "2",
        "--out", tmp_path / "texts")
    assert "text tower" in refused(tmp_path / "texts")
    run("neurons", "collect", "pictureworld-birds", "--images", BIRDS, "--layers", "4", "--top", "5",
        "--shard", "0/2", "--out", tmp_path / "part")
    assert "merge" in refused(place / "pictureworld-birds", tmp_path / "part")
    assert "one store of neurons a model" in refused(place / "pictureworld-birds", place / "neurons",
                                                     place / "neurons")


def test_a_store_of_neurons_alone(place, tmp_path):
    import shutil
    shutil.copytree(BIRDS, tmp_path / "birds")
    run("neurons", "collect", "pictureworld-birds", "--images", tmp_path / "birds", "--layers", "4",
        "--stats-only", "--out", tmp_path / "neurons")
    shutil.rmtree(tmp_path / "birds")
    server = Server(tmp_path / "neurons", "--texts", place / "phrases.txt")
    try:
        server.wait_until_ready()
        source = server.get("/sources")["sources"][0]
        assert source["kind"] == "model" and source["neurons"]["pictures"] is False
        first = server.get(SOURCE + "/neurons?count=1")["neurons"][0]
        hit = server.get(SOURCE + f"/neurons/{first['neuron']}")["pictures"][0]
        message = server.get(SOURCE + f"/neuron-pictures/{hit['item']}", status=404)
        assert "not there any more" in message["error"]["message"]
        assert server.get(SOURCE + "/overview", status=409)
    finally:
        assert server.stop() == 0


def test_long_texts_are_cut_where_that_is_asked_for(server, place, picture):
    long = "a duck " * 30
    item = {"picture": {"item": 1}}
    bodies = {"explain": {**item, "text": long}, "heatmap": {**item, "texts": [long]},
              "scores": {**item, "texts": [long, "a duck"]}, "segment": {**item, "text": long},
              "search": {"terms": [{"query": {"text": long}, "in": {"heads": "all"}}]},
              "edit": {"edit": {"components": []}, "query": {"text": long}}}
    for path, body in bodies.items():
        for _ in range(2):  # a cut text that was kept does not answer the other question
            answer, text = server.ask("POST", f"{API}{SOURCE}/{path}",
                                      json.dumps({**body, "truncate": True}), JSON)
            assert answer.status == 200, (path, text)
            answer, text = server.ask("POST", f"{API}{SOURCE}/{path}", json.dumps(body), JSON)
            assert answer.status == 400, (path, text)
            assert "Cut long texts" in json.loads(text)["error"]["message"]


def test_an_edit_goes_to_a_file_and_back(server, place, picture):
    edit = {"components": ["L4", "L5.H3", "INPUT", "L2.MLP"], "mode": "scale", "scale": 0.25}
    answer, body = server.ask("POST", API + SOURCE + "/edit/file",
                              json.dumps({"edit": edit, "note": "why"}), JSON)
    assert "attachment" in answer.headers["Content-Disposition"]
    (place / "saved.json").write_bytes(body)
    shown = cli("edit", "show", place / "saved.json")
    assert shown["note"] == "why"
    answer, opened = server.ask("POST", API + SOURCE + "/edit/open", body, JSON)
    opened = json.loads(opened)["edit"]
    assert sorted(opened["components"]) == sorted(edit["components"])
    assert opened["mode"] == "scale" and opened["scale"] == 0.25
    # The scores that the page shows under it are those of the command line's embedding.
    sent = {"picture": server.send(picture)["picture"]}
    scores = server.post(SOURCE + "/scores", {"picture": sent, "texts": [], "edit": edit})["scores"]
    run("embed", "pictureworld-birds", "--images", place / "bird.png", "--edit",
        place / "saved.json", "--out", place / "row.npy")
    import numpy as np
    row = np.load(place / "row.npy")[0]
    classify = cli("classify", "pictureworld-birds", "--images", place / "bird.png", *CLASSES,
                   "--edit", place / "saved.json")
    best = max(scores, key=lambda s: s["edited"])["text"]
    assert json.dumps(best) in json.dumps(classify)
    assert abs(float(np.linalg.norm(row)) - 1) < 1e-5
    # An edit of nothing changes nothing.
    nothing = server.post(SOURCE + "/edit", {"edit": {"components": []}, "picture": sent,
                                             "query": {"text": "a duck"}})
    assert all(s["base"] == s["edited"] for s in nothing["scores"])
    assert [r["item"] for r in nothing["ranking"]["base"]] == \
        [r["item"] for r in nothing["ranking"]["edited"]]
    # A changed file, and one of another model.
    answer, refused = server.ask("POST", API + SOURCE + "/edit/open",
                                 body.replace(b"0.25", b"0.35"), JSON)
    assert answer.status == 422 and b"checksum" in refused
    answer, refused = server.ask("POST", API + "/sources/s1/edit/open", body, JSON)
    assert answer.status == 400 and b"pictureworld-birds" in refused


def test_a_job_streams_its_progress_and_can_be_cancelled(server):
    job = server.post("/sources/s1/labels", {}, status=202)["job"]
    assert server.post("/sources/s1/labels", {}, status=202)["job"] == job
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", API + f"/jobs/{job}/events")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.readline().startswith(b"event: ")
    server.ask("DELETE", API + f"/jobs/{job}")
    text = answer.read().decode()
    connection.close()
    events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", "event: progress\n" + text)
    assert events[-1][0] in ("cancelled", "done")
    assert json.loads(events[-1][1])["state"] == events[-1][0]
    server.get("/jobs/j999", status=404)
    # Labelling again goes to its end, and the overview has the labels then.
    job = server.post("/sources/s1/labels", {}, status=202)["job"]
    for _ in range(1200):
        if server.get(f"/jobs/{job}")["state"] != "running":
            break
        time.sleep(0.1)
    assert server.get(f"/jobs/{job}")["state"] == "done"
    overview = server.get("/sources/s1/overview")
    assert len(overview["labels"]["heads"]) == 36


@pytest.mark.parametrize("path, status", [
    ("/api/v1/", 404), ("/api/v2/sources", 404), ("/api/v1/sources/s9/overview", 404),
    ("/api/v1/sources/s0/heads/L99.H0", 400), ("/api/v1/sources/s0/heads/L1", 400),
    ("/api/v1/sources/s0/heads/%00%ff", 400), ("/api/v1/sources/s0/items/1200000/picture", 404),
    ("/api/v1/sources/s0/items/-1/picture", 404), ("/api/v1/sources/s0/items/1e3/picture", 404),
    ("/api/v1/sources/s0/items/3/picture?side=5", 400),
    ("/api/v1/sources/s0/items/3/picture?side=99999999999999999999", 400),
    ("/api/v1/sources/s0/items?count=100000", 400), ("/api/v1/sources/s0/items?from=-1", 400),
    ("/api/v1/sources/s0/match?with=s2", 409), ("/api/v1/sources/s0/match", 404),
    ("/api/v1/sources/s2/overview", 409), ("/api/v1/jobs/j0", 404), ("/api/v1/jobs/x", 404),
    ("/api/v1/pictures/0123", 404), ("/../../etc/passwd", 404), ("/%2e%2e/%2e%2e/etc/passwd", 404),
    ("/..%2f..%2fetc%2fpasswd", 404), ("/api/v1/sources/s0/items/..%2f..%2f/picture", 404),
    ("/api/v1/sources/s0/search", 405), ("//", 404), ("/app.js/", 404),
])
def test_bad_paths(server, path, status):
    answer, body = server.ask("GET", path)
    assert answer.status == status, body
    error = json.loads(body)["error"]
    assert error["message"] and "root:" not in error["message"]


@pytest.mark.parametrize("path, body, status", [
    ("search", {}, 400), ("search", [], 400), ("search", {"terms": []}, 400),
    ("search", {"terms": [{"query": {}}]}, 400), ("search", {"terms": [{"query": {"item": -1}}]}, 400),
    ("search", {"terms": [{"query": {"item": 10**9}}]}, 400),
    ("search", {"terms": [{"query": {"item": 1.5}}]}, 400),
    ("search", {"terms": [{"query": {"text": ""}}]}, 400),
    ("search", {"terms": [{"query": {"text": "x" * 5000}}]}, 400),
    ("search", {"terms": [TEXT] * 9}, 400), ("search", {"terms": [TEXT], "count": 10**6}, 400),
    ("search", {"terms": [TEXT], "measure": "no"}, 400),
    ("search", {"terms": [{**TEXT, "in": {"heads": "L5.H99"}}]}, 400),
    ("search", {"terms": [{**TEXT, "in": {"property": "no such"}}]}, 404),
    ("search", {"terms": [{"query": {"picture": "0" * 32}}]}, 404),
    ("scores", {"picture": {"item": 10**12}, "texts": ["x"]}, 404),
    ("scores", {"texts": ["x"]}, 400), ("scores", {"picture": 3}, 400),
    ("scores", {"picture": {"item": 1}, "texts": ["a"] * 65}, 400),
    ("scores", {"picture": {"item": 1}, "texts": [3]}, 400),
    ("scores", {"picture": {"item": 1}, "texts": ["\u0000"]}, 400),
    ("heatmap", {"picture": {"item": 1}, "texts": []}, 400),
    ("heatmap", {"picture": {"item": 1}, "texts": ["a"], "against": {}}, 400),
    ("explain", {"picture": {"item": 1}, "class": "no such"}, 404),
    ("explain", {"picture": {"item": 1}, "text": "word " * 200}, 400),
    ("edit", {"edit": {"components": ["L9.H9"]}}, 400), ("edit", {}, 400),
    ("edit", {"edit": {"components": ["L1"], "mode": "no"}}, 400),
    ("edit", {"edit": {"components": ["L1"], "mode": "scale", "scale": 1e300}}, 400),
    ("edit", {"edit": {"components": []}, "attribute": "no such"}, 404),
    ("edit/file", {"edit": {"components": []}}, 400),
])
def test_bad_bodies(server, path, body, status):
    answer, text = server.ask("POST", f"{API}{SOURCE}/{path}", json.dumps(body), JSON)
    assert answer.status == status, text
    assert json.loads(text)["error"]["message"]
    assert server.get("/sources")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100000, b'{"a":1,"a":2}',
                                  b"null", b"3", b"{}" * 2])
def test_bodies_that_are_no_json(server, body):
    answer, text = server.ask("POST", API + SOURCE + "/search", body, JSON)
    assert answer.status == 400, text


@pytest.mark.parametrize("data, status", [
    (b"", 422), (b"no picture", 501), (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, 422)])
def test_pictures_that_are_none(server, picture, data, status):
    server.send(data, status=status)
    server.send(picture[:len(picture) // 2], status=422)
    bomb = io.BytesIO()
    Image.new("1", (30000, 30000)).save(bomb, "PNG")
    before = server.memory()
    assert server.send(bomb.getvalue(), status=507)["error"]["code"] == "exhausted"
    assert server.memory() < before + (100 << 20)


def test_unfinished_uploads_share_a_budget(server):
    """Sixty-four of 32 MB, each without its last byte; -rP prints what they take."""
    before, uploads = server.memory(), []
    data = b"x" * ((32 << 20) - 1)
    for _ in range(64):
        uploads.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        with contextlib.suppress(OSError):  # the answer may be there before the whole body
            uploads[-1].sendall(f"POST {API}/pictures HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
                                f"Content-Length: {len(data) + 1}\r\n\r\n".encode() + data)
    taken = (server.memory() - before) >> 20
    print(f"unfinished uploads of 2 GB together: {taken} MB")
    answered = select.select(uploads, [], [], 0)[0]
    assert len(answered) > 50 and all(b" 503 " in upload.recv(64) for upload in answered)
    for upload in uploads:
        upload.close()
    assert SANITIZED or taken < 320  # the address sanitizer keeps what was freed
    assert server.get("/sources")


def test_pictures_are_served_scaled_and_kept(server, picture):
    path = API + SOURCE + "/items/7/picture"
    answer, whole = server.ask("GET", path)
    assert answer.status == 200 and answer.headers["Content-Type"] == "image/png"
    answer, small = server.ask("GET", path + "?side=32")
    assert max(Image.open(io.BytesIO(small)).size) == 32
    tag = answer.headers["ETag"]
    answer, nothing = server.ask("GET", path + "?side=32", headers={"If-None-Match": tag})
    assert answer.status == 304 and nothing == b""
    answer, _ = server.ask("HEAD", path)
    assert answer.status == 200


def test_other_sites_and_names_get_no_answer(server):
    port = server.port
    for headers in ({"Host": "evil.example"}, {"Host": f"evil.example:{port}"}, {"Host": ""},
                    {"Host": f"10.0.0.1:{port}"}, {"Origin": f"http://127.0.0.1:{port + 1}"},
                    {"Origin": "http://evil.example"}, {"Origin": "null"},
                    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        answer, body = server.ask("GET", API + "/sources", headers=headers)
        assert answer.status in (400, 403), (headers, body)
    for headers in ({"Host": f"localhost:{port}"}, {"Host": f"localhost:{port + 1}"}, {"Origin": f"http://127.0.0.1:{port}"},
                    {"Sec-Fetch-Site": "same-origin"}):
        assert server.get("/sources", headers=headers)
    # What a form of another page can send.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer, _ = server.ask("POST", API + SOURCE + "/search", json.dumps({"terms": [TEXT]}),
                               {"Content-Type": kind})
        assert answer.status == 415
    answer, _ = server.ask("OPTIONS", API + SOURCE + "/search",
                           headers={"Access-Control-Request-Method": "POST"})
    assert answer.status >= 400 and "Access-Control-Allow-Origin" not in answer.headers


def test_answers_are_sent_as_they_are(server):
    for path in ("/app.js", API + "/sources"):
        answer, body = server.ask("GET", path, headers={"Accept-Encoding": "gzip, deflate, br"})
        assert answer.headers["Content-Encoding"] is None
        assert answer.headers["Content-Length"] == str(len(body))


def test_answers_keep_browsers_strict(server):
    for path in ("/", API + "/sources", "/nothing"):
        answer, _ = server.ask("GET", path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def request_of(head, body=b""):
    return head.replace("\n", "\r\n").encode() + b"\r\n" + body


def test_requests_that_are_none(server):
    host = f"Host: 127.0.0.1:{server.port}\n"
    post = f"POST {API}{SOURCE}/search HTTP/1.1\n{host}Content-Type: application/json\n"
    for data, status in (
            (b"\0" * 100 + b"\r\n\r\n", b"400"), (b"GET\r\n\r\n", b"400"),
            (request_of(post), b"411"),
            (request_of(post + "Transfer-Encoding: chunked\n"), b"411"),
            (request_of(post + "Content-Length: 99999999999\n"), b"413"),
            (request_of(post + "Content-Length: -1\n"), b"400"),
            (request_of(post + "Content-Length: 2000000\n"), b"413"),
            (request_of(post + "Content-Length: 2\nContent-Encoding: gzip\n", b"{}"), b"415"),
            (request_of(f"PUT {API}/sources HTTP/1.1\n{host}Content-Length: 0\n"), b"405"),
            (request_of(f"GET /{'a' * 9000} HTTP/1.1\n{host}"), b"414")):
        assert server.raw(data).split(b" ")[1] == status, data[:80]
    # A client that sends all of a refused body before it reads gets the answer.
    answer, _ = server.ask("POST", API + SOURCE + "/search", b" " * (8 << 20), JSON)
    assert answer.status == 413
    # Endless heads end.
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        with pytest.raises(OSError):
            while True:
                s.sendall(b"X-A: " + b"a" * 4000 + b"\r\n")
                if s.recv(1, socket.MSG_DONTWAIT) == b"":
                    raise ConnectionResetError


def test_sixty_four_clients_at_once(server, picture):
    good = bodies(server, picture)
    asks = [("GET", "/sources", None), ("GET", SOURCE + "/overview", None),
            ("GET", SOURCE + "/heads/L4.H2", None)]
    asks += [("POST", f"{SOURCE}/{path}", json.dumps(body)) for path, body in good.items()]

    def one(i):
        method, path, body = asks[i % len(asks)]
        answer, text = server.ask(method, API + path, body, JSON if body else {})
        return answer.status

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(one, range(256)))
    assert set(statuses) == {200}


def test_slow_and_half_open_clients_do_not_hold_it(server):
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
    try:
        for s in idle[:150]:
            s.sendall(b"GET / HTTP/1.1\r\nHo")
        start = time.monotonic()
        assert server.get("/sources")
        assert time.monotonic() - start < 5
    finally:
        for s in idle:
            s.close()


def test_a_client_that_hangs_up(server, picture):
    good = json.dumps(bodies(server, picture)["edit"]).encode()
    head = (f"POST {API}{SOURCE}/edit HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(good)}\r\n\r\n").encode()
    for cut in (10, len(head), len(head) + 20, len(head) + len(good)):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", server.port)) as s:
                s.sendall((head + good)[:cut])
    job = server.post("/sources/s1/labels", {}, status=202)["job"]
    for _ in range(40):  # more than streams that may be open
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(f"GET {API}/jobs/{job}/events HTTP/1.1\r\n"
                      f"Host: 127.0.0.1:{server.port}\r\n\r\n".encode())
            s.recv(100)
    server.ask("DELETE", API + f"/jobs/{job}")
    deadline = time.monotonic() + 20
    while True:
        answer, _ = server.ask("GET", API + f"/jobs/{job}/events")
        if answer.status == 200:
            break
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_token_is_asked_for(place):
    secret = "0123456789abcdef-XYZ"
    s = Server(place / "pictureworld", "--token", secret, "--listen", "0.0.0.0")
    try:
        assert s.started["address"].endswith(f"/?token={secret}")
        answer, body = s.ask("GET", API + "/sources")
        assert answer.status == 401 and secret.encode() not in body
        answer, body = s.ask("GET", API + "/sources", headers={"Host": "evil.example"})
        assert answer.status == 403 and secret.encode() not in body
        assert s.ask("GET", "/?token=" + secret[:-1])[0].status == 401
        answer, _ = s.ask("GET", "/?token=" + secret)
        assert answer.status == 303
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert s.ask("GET", API + "/sources", headers={"Cookie": cookie.split(";")[0]})[0].status == 200
        s.get("/sources", headers={"Authorization": "Bearer " + secret})
        s.get("/sources", status=401, headers={"Authorization": "Bearer " + secret[:-1] + "a"})
    finally:
        assert s.stop() == 0


def test_it_ends_cleanly_while_it_works(place):
    for by in (signal.SIGINT, signal.SIGTERM):
        s = Server(place / "pictureworld", place / "pictureworld-birds", "--texts",
                   TEXTS / "phrases.txt", "--properties", TEXTS / "properties.txt")
        job = s.post("/sources/s0/labels", {}, status=202)["job"]
        reader = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
        reader.request("GET", API + f"/jobs/{job}/events")
        answer = reader.getresponse()
        done = threading.Thread(target=answer.read)
        done.start()
        start = time.monotonic()
        assert s.stop(by) == 0
        assert time.monotonic() - start < 20
        done.join(timeout=10)
        assert not done.is_alive()
        reader.close()


@pytest.mark.parametrize("arguments, status, words", [
    (["no-such-store"], 3, "no-such-store"),
    (["pictureworld", "--port", "1", "--listen", "203.0.113.1"], 5, "203.0.113.1"),
    (["pictureworld", "--token", "short"], 2, "16 to 256"),
    (["pictureworld", "--classes", "no-such-file"], 3, "no-such-file"),
])
def test_what_cannot_be_opened(arguments, status, words):
    result = run("serve", *arguments, check=False)
    assert result.returncode == status
    assert words in result.stderr.decode() and result.stderr.count(b"\n") == 1


def test_a_port_that_is_taken(server):
    result = run("serve", "pictureworld", "--port", server.port, check=False)
    assert result.returncode == 5 and b"--port" in result.stderr


def test_names_of_files_come_as_text(place, tmp_path, picture):
    name = '<img src=x onerror=alert(1)>"&.png'
    for i in range(4):
        (tmp_path / f"{i}{name}").write_bytes(picture)
    run("decompose", "pictureworld", "--images", tmp_path, "--out", place / "odd")
    s = Server(place / "odd", "--texts", TEXTS / "phrases.txt")
    try:
        answer, body = s.ask("GET", API + SOURCE + "/items")
        assert answer.headers["Content-Type"] == "application/json"
        assert json.loads(body)["items"][0]["path"] == "0" + name
        assert s.get(SOURCE + "/items?find=" + urllib.parse.quote("3<img"))["total"] == 1
    finally:
        assert s.stop() == 0
