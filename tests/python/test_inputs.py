"""What people bring: nothing of it vanishes without a word, and all of it comes back by its name."""

import csv
import io
import json
import os
import pty
import subprocess
import tarfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
MODEL = "pictureworld"
INVALID, MISSING, CORRUPT, UNSUPPORTED = 2, 3, 4, 7


def run(*arguments, status=0, cwd=None, **how):
    result = subprocess.run([PROGRAM, *arguments], capture_output=True, cwd=cwd, timeout=300,
                            env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)), **how)
    assert result.returncode == status, result.stderr.decode(errors="replace")
    return result


def answer(*arguments, **how):
    return json.loads(run(*arguments, "--json", **how).stdout)


def lines(result):
    return result.stderr.decode().splitlines()


def picture(number=0, format="PNG"):
    pixels = np.random.default_rng(number).integers(0, 256, (24, 30, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def write(folder, files):
    """{name: content}; names may be bytes."""
    os.makedirs(folder, exist_ok=True)
    for name, content in files.items():
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


def shard(path, members, end=True):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    if not end:
        size = sum(512 + (len(c) + 511) // 512 * 512 for c in members.values())
        os.truncate(path, size)


def items(store):
    return [json.loads(line) for file in sorted(Path(store).glob("items-*.jsonl"))
            for line in file.read_text().splitlines()]


def manifest(store):
    return json.loads((Path(store) / "manifest.json").read_text())


# --- names ----------------------------------------------------------------------------------------


NAMES = {b"\xd1/\xb7\xe8\xa1.png": "\\xd1/\\xb7\\xe8\\xa1.png", b"\xd2/a.png": "\\xd2/a.png",
         b"plain/x\xff.png": "plain/x\\xff.png", b"plain/x\xfe.png": "plain/x\\xfe.png",
         b"plain/\\xff.png": "plain/\\x5cxff.png", "grün/ä.png".encode(): "grün/ä.png"}


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A folder of pictures whose names are not all UTF-8, in a folder of such a name, and its store."""
    folder = os.fsencode(tmp_path_factory.mktemp("names")) + b"/set\xe9"
    write(folder, {name: picture(i) for i, name in enumerate(NAMES)})
    store = os.path.join(os.path.dirname(folder), b"store")
    run("decompose", MODEL, "--images", folder, "--out", store, "--quiet")
    return folder, Path(os.fsdecode(store))


def test_names_that_are_not_utf8_come_back(named):
    folder, store = named
    stored = items(store)
    assert sorted(item["path"] for item in stored) == sorted(NAMES.values())
    assert {item["label"] for item in stored} == {"\\xd1", "\\xd2", "plain", "grün"}
    assert run("verify", store).stderr == b""
    again = answer("decompose", MODEL, "--images", folder, "--out", store, "--resume")
    assert again["complete_already"]


def test_pictures_with_such_names_are_shown(named, tmp_path):
    folder, store = named
    (tmp_path / "t.txt").write_text("a duck\na cup\n")
    report = answer("report", store, "--texts", tmp_path / "t.txt", "--out", tmp_path / "r.html",
                    "--pictures", "3")
    assert report["pictures_missing"] == 0 and report["pictures"] > 0
    found = answer("search", store, "--item", "0", "--heads", "all", "-k", "6")
    names = [items(store)[0]["path"], *(r["path"] for r in found["results"])]
    assert sorted(names) == sorted(NAMES.values())
    one = os.path.join(folder, b"\xd1/\xb7\xe8\xa1.png")
    result = answer("embed", MODEL, "--images", one, "--out", tmp_path / "one.npy")
    assert result["items"] == ["\\xb7\\xe8\\xa1.png"]


def test_the_explorer_shows_pictures_with_such_names(named):
    _, store = named
    process = subprocess.Popen([PROGRAM, "serve", store, "--port", "0", "--json"],
                               env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)),
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        port = json.loads(process.stdout.readline())["port"]
        items_of = f"http://127.0.0.1:{port}/api/v1/sources/s0/items"
        with urllib.request.urlopen(items_of) as answer:
            listed = json.load(answer)["items"]
        assert sorted(item["path"] for item in listed) == sorted(NAMES.values())
        for item in listed:
            with urllib.request.urlopen(f"{items_of}/{item['item']}/picture") as answer:
                assert answer.headers["Content-Type"].startswith("image/")
    finally:
        process.terminate()
        process.wait()


def test_such_names_in_shards(tmp_path):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", encoding="latin-1",
                      format=tarfile.GNU_FORMAT) as tar:
        for name in ("\xe4.png", "\xf6.png"):
            member = tarfile.TarInfo(name)
            member.size = len(picture())
            tar.addfile(member, io.BytesIO(picture()))
    write(tmp_path, {b"s\xe9.tar": content.getvalue()})
    run("decompose", MODEL, "--images", os.fsencode(tmp_path) + b"/s\xe9.tar", "--out",
        tmp_path / "st")
    assert [i["path"] for i in items(tmp_path / "st")] == [
        "s\\xe9.tar/\\xe4.png", "s\\xe9.tar/\\xf6.png"]
    assert run("verify", tmp_path / "st").stderr == b""


# --- what is not read -------------------------------------------------------------------------------


def test_what_is_passed_over_is_counted(tmp_path):
    write(tmp_path / "in", {"a.png": picture(), "b.JPE": picture(1, "JPEG"),
                            "bare": picture(2, "JPEG"), "notes": b"text", "c.psd": b"8BPS",
                            "deep/d.psd": b"8BPS", "e.docx": b"PK", ".f.png": picture()})
    result = run("decompose", MODEL, "--images", tmp_path / "in", "--out", tmp_path / "st", "--json")
    assert lines(result) == ["cliplens: 5 other files were passed over: .psd 2, .docx 1, hidden "
                             "picture 1, no ending 1"]
    counts = [{"kind": kind, "files": files} for kind, files in (
        (".docx", 1), (".psd", 2), ("hidden picture", 1), ("no ending", 1))]
    assert json.loads(result.stdout)["passed_over"] == counts
    assert manifest(tmp_path / "st")["data"][0]["passed_over"] == counts
    for verb in (("embed", "--out", tmp_path / "x.npy"), ("classify", "--classes", tmp_path / "c")):
        (tmp_path / "c").write_text("duck\n")
        done = answer(verb[0], MODEL, "--images", tmp_path / "in", *verb[1:])
        assert done["passed_over"] == counts
    # A file that comes later is no other run.
    write(tmp_path / "in", {"late.txt": b""})
    assert answer("decompose", MODEL, "--images", tmp_path / "in", "--out", tmp_path / "st",
                  "--resume")["complete_already"]


def test_a_shard_that_is_cut_off(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for s in range(3):
        shard(folder / f"p{s}.tar", {f"{s}-{i}.png": picture(10 * s + i) for i in range(4)})
    os.truncate(folder / "p1.tar", 6000)
    whole = ["--images", folder, "--out", tmp_path / "st"]
    assert b"p1.tar" in run("decompose", MODEL, *whole, status=CORRUPT).stderr
    result = run("decompose", MODEL, *whole, "--on-error", "skip", "--json")
    data = json.loads(result.stdout)
    assert 8 < data["images"] < 12
    assert [u["path"] for u in data["unread"]] == ["p1.tar"]
    assert "cut off" in lines(result)[0] and "pictures before that place are read" in lines(result)[0]
    assert manifest(tmp_path / "st")["data"][0]["unread"] == data["unread"]
    (tmp_path / "t.txt").write_text("a duck\n")
    assert answer("report", tmp_path / "st", "--texts", tmp_path / "t.txt", "--out",
                  tmp_path / "r.html")["pictures_missing"] == 0


def test_attributes_that_cannot_be_read_cost_no_picture(tmp_path):
    shard(tmp_path / "a.tar", {
        "0.png": picture(), "0.json": b'{"score": Infinity, "label": "x"}',
        "1.png": picture(1), "1.txt": b"\xe9t\xe9", "2.png": picture(2), "2.json": b"{", "9.cls": b"1"})
    arguments = ("decompose", MODEL, "--images", tmp_path / "a.tar", "--out", tmp_path / "st")
    run(*arguments, status=CORRUPT)
    result = run(*arguments, "--on-error", "skip", "--json")
    data = json.loads(result.stdout)
    assert data["images"] == 3 and "skipped" not in data
    assert [p["path"] for p in data["incomplete"]] == ["a.tar/1.png", "a.tar/2.png"]
    assert data["passed_over"] == [{"kind": ".cls", "files": 1}]
    assert "2 of 3 pictures lack attributes" in lines(result)[-1]
    stored = items(tmp_path / "st")
    assert stored[0]["attributes"] == {"score": None, "label": "x"}
    assert "UTF-8" in stored[1]["problem"] and "problem" not in stored[0]
    assert run("verify", tmp_path / "st").stderr == b""
    embedded = answer("embed", MODEL, "--images", tmp_path / "a.tar", "--out", tmp_path / "x.npy",
                      "--on-error", "skip")
    assert [p["path"] for p in embedded["incomplete"]] == ["a.tar/1.png", "a.tar/2.png"]


def test_several_pictures_of_one_key(tmp_path):
    shard(tmp_path / "a.tar", {"k.front.png": picture(), "k.back.png": picture(1), "k.cls": b"7",
                               "2024.01.02.jpeg": picture(2, "JPEG")})
    result = run("embed", MODEL, "--images", tmp_path / "a.tar", "--out", tmp_path / "x.npy", "--json")
    assert json.loads(result.stdout)["items"] == [
        "a.tar/k.front.png", "a.tar/k.back.png", "a.tar/2024.01.02.jpeg"]
    assert lines(result) == ['cliplens: 1 key with several pictures, "k" first: each of them is a '
                             'picture of the set']


@pytest.mark.parametrize("name", ["x.tgz", "x.tar.gz", "x.tar.xz"])
def test_packed_shards_are_refused_by_name(name, tmp_path):
    mode = "w:" + ("xz" if name.endswith("xz") else "gz")
    with tarfile.open(tmp_path / name, mode) as tar:
        member = tarfile.TarInfo("a.png")
        tar.addfile(member, io.BytesIO())
    for place in (tmp_path, tmp_path / name):
        err = run("embed", MODEL, "--images", place, "--out", tmp_path / "x.npy",
                  status=UNSUPPORTED).stderr.decode()
        assert "packed shard" in err and name in err and "CIFAR" not in err


# --- lines of texts -----------------------------------------------------------------------------------


def test_one_rule_for_lines(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(b"a duck\tbird\n\n# no comment\r\n a cup\rthe last\n")
    embed = run("embed", MODEL, "--texts", path, "--out", tmp_path / "t.npy", "--json")
    tokens = run("tokenize", MODEL, "--texts", path, "--json")
    for result in (embed, tokens):
        assert lines(result) == [f"cliplens: {path}: 1 blank line was left out"]
    data = json.loads(embed.stdout)
    texts = ["a duck\tbird", "# no comment", " a cup", "the last"]
    assert data["items"] == texts and data["lines"] == [1, 3, 4, 5]
    assert [(t["text"], t["line"]) for t in json.loads(tokens.stdout)["texts"]] == list(
        zip(texts, data["lines"]))
    rows = [json.loads(line) for line in (tmp_path / "t.rows.jsonl").read_text().splitlines()]
    assert rows == [{"row": r, "text": texts[r], "line": data["lines"][r]} for r in range(4)]
    assert np.load(tmp_path / "t.npy").shape[0] == 4
    # The whole line is the text.
    (tmp_path / "u.txt").write_text("a duck bird\n")
    run("embed", MODEL, "--texts", tmp_path / "u.txt", "--out", tmp_path / "u.npy")
    assert np.array_equal(np.load(tmp_path / "t.npy")[0], np.load(tmp_path / "u.npy")[0])
    # A shipped pool has its properties behind a tab.
    pool = answer("embed", MODEL, "--texts", "properties", "--out", tmp_path / "p.npy")
    assert not any("\t" in text for text in pool["items"])


BIRDS = ROOT / "world/sets/birds"
# Each verb with every option that names a file of texts, and how many it reads.
TEXT_FILES = {
    "tokenize pictureworld --texts {texts}": 1,
    "describe pictureworld --image pictures/1.png --texts {texts}": 1,
    "weights pictureworld --texts {texts} --heads L5.H3 --directions 1": 1,
    "compare store store --classes {classes} --templates {templates} --properties {properties}": 3,
    "embed pictureworld --texts {texts} --out x.npy": 1,
    "span store --texts {texts} --heads L5.H3": 1,
    "reconstruct store --texts {texts} --texts {cues} --classes {classes} --templates {templates} --counts 1": 4,
    "ablate store --classes {classes} --templates {templates} --components 0": 2,
    "label store --properties {properties} --texts {texts} --heads L5.H3 --beside store": 2,
    "evaluate labels store --properties {properties} --texts {texts} --heads L5.H3 --truth object": 2,
    "evaluate groups store --classes {classes} --templates {templates} --attribute place_kind --random 0 "
    "--weights-from store": 2,
    "edit suggest store --classes {classes} --templates {templates} --cue-file {cues}": 3,
    "classify pictureworld --images pictures/1.png --classes {classes} --templates {templates}": 2,
    "segment pictureworld --image pictures/1.png --classes {classes} --templates {templates} --out m.png": 2,
    "evaluate segmentation pictureworld --images pictures --classes {classes} --templates {templates}": 2,
    "heatmap pictureworld --image pictures/1.png --text duck --against-classes {classes} --templates {templates}": 2,
    "explain pictureworld --image pictures/1.png --classes {classes} --templates {templates}": 2,
    "report store --texts {texts} --properties {properties} --classes {classes} --templates {templates} --heads L5.H3 "
    "--out x.html": 4,
}


@pytest.fixture(scope="module")
def gaps(tmp_path_factory):
    """Files of texts with two blank lines each, a picture with a mask, a store."""
    folder = tmp_path_factory.mktemp("gaps")
    texts = {"texts": "a duck\na dog\nsnow\n", "cues": "on the sea\twater\nin the forest\tland\n",
             "classes": (ROOT / "world/texts/birds.txt").read_text(), "templates": "a {}\na photo of a {}\n",
             "properties": (ROOT / "world/texts/properties.txt").read_text()}
    files = {}
    for name, text in texts.items():
        files[name] = f"{name}.txt"
        (folder / files[name]).write_text("\n" + text + " \t\n")
    write(folder / "pictures", {"1.png": picture()})
    Image.new("L", (30, 24), 255).save(folder / "pictures/1.mask.png")
    run("decompose", MODEL, "--images", BIRDS, "--out", folder / "store")
    return folder, files


def left_out(path):
    return f"cliplens: {path}: 2 blank lines were left out"


@pytest.mark.parametrize("command", TEXT_FILES)
def test_blank_lines_are_left_out_with_a_word(gaps, command):
    folder, files = gaps
    words = command.format(**files).split()
    result = run(*words, "--json", cwd=folder)
    read = [word for word in words if word in files.values()]
    assert len(read) == TEXT_FILES[command]
    assert sorted(lines(result)) == sorted(map(left_out, read))
    data = json.loads(result.stdout)
    for pool in [data.get("pool")] if "pool" in data else [one["pool"] for one in data.get("pools", [])]:
        assert pool["blank"] == 2


def test_where_work_fails_its_error_stands_alone(gaps):
    folder, files = gaps
    result = run("span", "store", "--texts", files["texts"], "--model", "nowhere", status=MISSING, cwd=folder)
    assert len(lines(result)) == 1 and "not-found" in lines(result)[0]


def test_serve_says_which_blank_lines_it_left_out(gaps):
    folder, files = gaps
    names = ["texts", "properties", "classes", "templates"]
    arguments = [word for name in names for word in (f"--{name}", files[name])]
    with subprocess.Popen([PROGRAM, "serve", "store", "store", "--port", "0", *arguments], cwd=folder,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=dict(os.environ, CLIPLENS_SHARE=str(ROOT))) as server:
        server.stdout.readline()
        server.terminate()
        said = server.stderr.read().splitlines()
    assert sorted(said) == sorted(left_out(files[name]) for name in names)


def test_the_class_file_is_read_once(gaps):
    folder, files = gaps
    command = ["evaluate", "groups", "store", "--attribute", "place_kind", "--random", "0", "--weights-from", "store",
               "--templates", files["templates"], "--classes"]
    from_file = answer(*command, files["classes"], cwd=folder)
    from_pipe = answer(*command, "-", cwd=folder, input=(folder / files["classes"]).read_bytes())
    assert from_pipe["rows"] == from_file["rows"] and from_pipe["weights"] == from_file["weights"]


def test_rows_of_pictures_stand_beside_the_array(tmp_path):
    write(tmp_path / "in", {"a.png": picture(), "b.png": b"broken", "c.png": picture(1)})
    run("embed", MODEL, "--images", tmp_path / "in", "--out", tmp_path / "x.npy", "--on-error", "skip")
    rows = [json.loads(line) for line in (tmp_path / "x.rows.jsonl").read_text().splitlines()]
    assert rows == [{"row": 0, "path": "a.png"}, {"row": 1, "path": "c.png"}]


@pytest.mark.parametrize(("content", "words"), [
    (b"a\nb\xfcro\n", "line 2: byte 2 is not UTF-8 (0xfc, as Latin-1"),
    ("a duck\n".encode("utf-16"), "line 1: begins with the mark of UTF-16"),
    ("a duck\n".encode("utf-16-le"), "line 1: has a zero byte, as UTF-16 has"),
    (b"a\n\n\0\n", "line 3: has a zero byte")])
def test_other_encodings_are_refused_by_name(content, words, tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(content)
    table = tmp_path / "t.csv"
    table.write_bytes(content)
    for arguments in (("embed", MODEL, "--texts", path, "--out", tmp_path / "x.npy"),
                      ("tokenize", MODEL, "--texts", path),
                      ("classify", MODEL, "--images", ROOT / "world/sets/single", "--classes", path),
                      ("embed", MODEL, "--images", table, "--out", tmp_path / "x.npy")):
        err = run(*arguments, status=CORRUPT).stderr.decode()
        assert words in err and (str(path) in err or str(table) in err), err


def test_classes_of_an_old_spreadsheet(tmp_path):
    (tmp_path / "c.txt").write_bytes(b"a duck\ra cup\ra crab")
    write(tmp_path / "in", {"a.png": picture()})
    assert answer("classify", MODEL, "--images", tmp_path / "in", "--classes",
                  tmp_path / "c.txt")["classes"] == ["a duck", "a cup", "a crab"]


# --- files that are none ---------------------------------------------------------------------------


def test_standard_input(tmp_path):
    assert len(answer("tokenize", MODEL, "--texts", "-", input=b"a duck\na cup\n")["texts"]) == 2
    assert answer("heatmap", MODEL, "--image", "-", "--text", "a duck", "--out", tmp_path / "m.png",
                  input=picture())["format"].startswith("cliplens.heatmap")
    found = answer("classify", MODEL, "--images", ROOT / "world/sets/single", "--classes", "-",
                   "--templates", "simple", input=b"a duck\na cup\n")
    assert found["classes"] == ["a duck", "a cup"]
    err = run("classify", MODEL, "--images", ROOT / "world/sets/single", "--classes", "-",
              "--templates", "-", status=INVALID, input=b"a duck\n").stderr
    assert b"standard input can be read once" in err


def test_pipes_of_the_shell_are_read(tmp_path):
    result = subprocess.run(["bash", "-c", f"'{PROGRAM}' tokenize {MODEL} --texts <(echo a duck)"],
                            capture_output=True, env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))
    assert result.returncode == 0 and result.stdout.count(b"\n") == 1, result.stderr


def test_what_is_no_file_is_refused_at_once(tmp_path):
    (tmp_path / "t.txt").write_text("a duck\n")
    fifo, folder = tmp_path / "pipe.png", tmp_path / "folder.png"
    os.mkfifo(fifo)
    folder.mkdir()
    main, terminal = pty.openpty()
    odd = [fifo, folder, os.ttyname(terminal), "/proc/kmsg"]
    begin = time.monotonic()
    for path in odd:
        for arguments in (("tokenize", MODEL, "--texts", path),
                          ("heatmap", MODEL, "--image", path, "--text", "x", "--out", tmp_path / "m"),
                          ("decompose", path, "--images", path, "--out", tmp_path / "s"),
                          ("classify", MODEL, "--images", ROOT / "world/sets/single", "--classes",
                           path)):
            result = subprocess.run([PROGRAM, *arguments], capture_output=True, timeout=20,
                                    stdin=subprocess.DEVNULL,
                                    env=dict(os.environ, CLIPLENS_SHARE=str(ROOT)))
            assert result.returncode in (INVALID, MISSING, CORRUPT, UNSUPPORTED), (
                arguments, result.stderr)
    assert time.monotonic() - begin < 60
    os.close(main)
    os.close(terminal)


# --- tables -----------------------------------------------------------------------------------------


def test_tables_as_people_write_them(tmp_path):
    write(tmp_path, {"img/a.png": picture(), "img/b.png": picture(1),
                     "semi.csv": b"filepath ; label\nimg/a.png; cat\n./img/b.png ;dog\n;\n",
                     "tabs.csv": b"img\tlabel\nimg/a.png\tcat\nimg/b.png\tdog\n",
                     "old.csv": b"image_path,label\rimg/a.png,cat\rimg/b.png,dog\r",
                     "rows.jsonl": b'{"image": "img/a.png", "label": "cat"}\n'
                                   b'{"image": "img/b.png", "label": "dog", "n": NaN}\n'})
    for table in ("semi.csv", "tabs.csv", "old.csv", "rows.jsonl"):
        store = tmp_path / ("st-" + table)
        result = run("decompose", MODEL, "--images", tmp_path / table, "--out", store)
        assert [(i["path"], i["label"]) for i in items(store)] == [
            ("img/a.png", "cat"), ("img/b.png", "dog")]
        if table == "semi.csv":
            assert "1 row without any cell was left out" in lines(result)[0]


def test_captions_of_one_picture_are_kept(tmp_path):
    write(tmp_path, {"a.png": picture(), "c.csv": b"image,caption\na.png,one\n./a.png,two\n",
                     "two.csv": b"image,label\na.png,cat\n.//a.png,dog\n"})
    result = run("decompose", MODEL, "--images", tmp_path / "c.csv", "--out", tmp_path / "st")
    assert [i["attributes"] for i in items(tmp_path / "st")] == [{"caption": ["one", "two"]}]
    assert "1 of 2 rows name a picture again" in lines(result)[0]
    err = run("embed", MODEL, "--images", tmp_path / "two.csv", "--out", tmp_path / "x.npy",
              status=CORRUPT).stderr.decode()
    assert "rows 1 and 2 both name the picture" in err and "'cat' and 'dog'" in err


def test_paths_that_lead_elsewhere(tmp_path):
    write(tmp_path, {"img/a.png": picture(), "lists/l.csv": b"where,file\n../img/a.png,x\n" +
                     os.fsencode(tmp_path) + b"/img/../img/a.png,y\n"})
    table = tmp_path / "lists/l.csv"
    how = ("--images", table, "--path-column", "where", "--out", tmp_path / "st")
    assert b"--allow-absolute" in run("decompose", MODEL, *how, status=CORRUPT).stderr
    run("decompose", MODEL, *how, "--allow-absolute")
    data = manifest(tmp_path / "st")["data"][0]
    assert data["path_column"] == "where" and data["allow_absolute"] is True
    (tmp_path / "t.txt").write_text("a duck\n")
    assert answer("report", tmp_path / "st", "--texts", tmp_path / "t.txt", "--out",
                  tmp_path / "r.html")["pictures_missing"] == 0


def test_image_folders_of_hugging_face(tmp_path):
    write(tmp_path / "in", {
        "train/cat/1.png": picture(), "train/dog/2.png": picture(1), "test/cat/3.png": picture(2),
        "train/metadata.jsonl": b'{"file_name": "cat/1.png", "text": "a cat"}\n'})
    result = run("decompose", MODEL, "--images", tmp_path / "in", "--out", tmp_path / "st")
    stored = {i["path"]: i for i in items(tmp_path / "st")}
    assert stored["train/cat/1.png"]["label"] == "cat"
    assert stored["train/cat/1.png"]["attributes"] == {
        "split": "train", "file_name": "cat/1.png", "text": "a cat"} or (
            stored["train/cat/1.png"]["attributes"] == {"split": "train", "text": "a cat"})
    assert stored["test/cat/3.png"]["attributes"] == {"split": "test"}
    assert "2 of 3 pictures have no row in train/metadata.jsonl" in lines(result)[0]
    assert answer("embed", MODEL, "--images", tmp_path / "in", "--split", "test", "--out",
                  tmp_path / "x.npy")["items"] == ["test/cat/3.png"]


# What tests/data/parquet/metadata.parquet holds.
ROWS = [{"file_name": "a.png", "label": "cat", "split": "test", "caption": "one", "n": 1, "score": 0.5,
         "box": [1, 2], "good": True},
        {"file_name": "b.png", "label": "dog", "split": "train", "caption": "two", "n": None,
         "score": 1.0, "box": [], "good": None},
        {"file_name": "./a.png", "label": "cat", "split": "test", "caption": "three", "n": 1,
         "score": 0.5, "box": [1, 2], "good": True}]


def test_parquet_tells_what_json_lines_and_csv_tell(tmp_path):
    pictures = {"a.png": picture(), "b.png": picture(1)}
    text = io.StringIO()
    table = csv.DictWriter(text, ROWS[0])
    table.writeheader()
    for row in ROWS:
        table.writerow({k: v if v is None or isinstance(v, str) else
                        json.dumps(v, separators=(",", ":")) for k, v in row.items()})
    parquet = ROOT / "tests/data/parquet"
    content = {"jsonl": "\n".join(json.dumps(row) for row in ROWS).encode(),
               "csv": text.getvalue().encode(), "parquet": (parquet / "metadata.parquet").read_bytes()}
    told, listed, split = [], [], []
    for kind, table in content.items():
        write(tmp_path / kind, pictures | {f"metadata.{kind}": table})
        for images, answers, how in ((tmp_path / kind, told, ()),
                                     (tmp_path / kind / f"metadata.{kind}", listed, ()),
                                     (tmp_path / kind / f"metadata.{kind}", split, ("--split", "test"))):
            store = tmp_path / f"st-{kind}-{len(answers)}-{images.name}-{len(how)}"
            result = run("decompose", MODEL, "--images", images, *how, "--out", store)
            assert "name a picture again" in result.stderr.decode()
            answers.append(items(store))
    for answers in (told, listed, split):
        assert answers[0] == answers[1] == answers[2]
    assert [i["label"] for i in listed[0]] == ["cat", "dog"] and len(split[0]) == 1
    assert told[2][0]["attributes"]["caption"] == ["one", "three"]
    assert told[2][0]["attributes"]["box"] == "[1,2]" and "n" not in told[2][1]["attributes"]


def test_what_a_parquet_table_has_no_text_for_is_named(tmp_path):
    files = ROOT / "tests/data/parquet"
    write(tmp_path, {"a.png": picture(), "t.parquet": (files / "left-out.parquet").read_bytes(),
                     "b.parquet": (files / "brotli.parquet").read_bytes()})
    err = run("embed", MODEL, "--images", tmp_path / "t.parquet", "--out", tmp_path / "x.npy",
              status=INVALID).stderr.decode()
    assert "the columns are: text" in err and "left out: 'image' (a struct)" in err
    result = run("decompose", MODEL, "--images", tmp_path / "t.parquet", "--path-column", "text",
                 "--on-error", "skip", "--out", tmp_path / "st")
    assert "left out: 'image' (a struct), 'raw' (bytes)" in result.stderr.decode()
    err = run("embed", MODEL, "--images", tmp_path / "b.parquet", "--out", tmp_path / "y.npy",
              status=UNSUPPORTED).stderr.decode()
    assert "packed by Brotli" in err and "python3 -c" in err and "read_parquet" in err


def test_labels_in_another_normal_form(tmp_path):
    write(tmp_path / "in", {"Bu\u0308ro/1.png": picture(), "caf\u00e9/2.png": picture(1)})
    (tmp_path / "c.txt").write_text("B\u00fcro\ncafe\u0301\n")
    result = answer("classify", MODEL, "--images", tmp_path / "in", "--classes", tmp_path / "c.txt")
    assert result["labelled"] == 2 and result["labels_not_among_classes"] == 0


# --- stores -----------------------------------------------------------------------------------------


def test_pictures_that_have_moved(tmp_path):
    write(tmp_path / "in", {f"{i}.png": picture(i) for i in range(3)})
    run("decompose", MODEL, "--images", tmp_path / "in", "--out", tmp_path / "st")
    (tmp_path / "in").rename(tmp_path / "elsewhere")
    (tmp_path / "t.txt").write_text("a duck\na cup\n")
    how = ("report", tmp_path / "st", "--texts", tmp_path / "t.txt", "--json", "--out")
    result = run(*how, tmp_path / "r.html")
    data = json.loads(result.stdout)
    assert data["pictures"] == 0 and data["pictures_missing"] == 3
    assert "3 of the 3 pictures" in lines(result)[0] and "--images" in lines(result)[0]
    again = run(*how, tmp_path / "s.html", "--images", tmp_path / "elsewhere")
    assert json.loads(again.stdout)["pictures_missing"] == 0 and lines(again) == []


def test_verify_names_stray_files(tmp_path):
    write(tmp_path / "in", {"a.png": picture()})
    run("decompose", MODEL, "--images", tmp_path / "in", "--out", tmp_path / "st")
    write(tmp_path / "st", {"notes.txt": b"mine", "sub/x": b""})
    result = run("verify", tmp_path / "st", "--json")
    assert json.loads(result.stdout)["strays"] == ["notes.txt", "sub"]
    err = lines(run("verify", tmp_path / "st"))
    assert len(err) == 2 and "'notes.txt' is no file of a store" in err[0]


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    store = tmp_path_factory.mktemp("birds") / "st"
    run("decompose", MODEL, "--images", ROOT / "world/sets/birds", "--out", store)
    return store


def test_groups_weighted_by_another_set(birds, tmp_path):
    how = ("evaluate", "groups", birds, "--classes", ROOT / "world/texts/birds.txt", "--templates",
           ROOT / "world/texts/birds.templates.txt", "--attribute", "place_kind")
    plain = answer(*how)
    assert "weights" not in plain and "weighted" not in plain["rows"][0]
    own = answer(*how, "--weights-from", birds)
    assert own["weights"]["images"] == own["images"]
    for row in own["rows"]:
        assert row["weighted"]["value"] == pytest.approx(row["average"]["value"], abs=1e-12)
    # A training set in which one group is rare, as a table.
    counts = {}
    rows = ["path,label,place_kind"]
    for n, group in enumerate(own["rows"][0]["groups"]):
        label = next(i["label"] for i in items(birds)
                     if i["attributes"]["place_kind"] == group["attribute"] and
                     group["class"].endswith(i["label"].removeprefix("a ")))
        counts[group["class"], group["attribute"]] = (n + 1) ** 2
        rows += [f"{n}-{i}.png,{label},{group['attribute']}" for i in range((n + 1) ** 2)]
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    result = answer(*how, "--weights-from", tmp_path / "train.csv")
    assert result["weights"]["images"] == sum(counts.values())
    for row in result["rows"]:
        wanted = sum(counts[g["class"], g["attribute"]] * g["accuracy"]["value"]
                     for g in row["groups"]) / sum(counts.values())
        assert row["weighted"]["value"] == pytest.approx(wanted, abs=1e-12)
        assert row["weighted"]["low"] <= wanted <= row["weighted"]["high"]
    assert b"weighted" in run(*how, "--weights-from", tmp_path / "train.csv").stdout


def test_groups_say_how_many_labels_match_no_class(birds, tmp_path):
    first = (ROOT / "world/texts/birds.txt").read_text().splitlines()[0]
    (tmp_path / "one.txt").write_text(first + "\n")
    result = run("evaluate", "groups", birds, "--classes", tmp_path / "one.txt", "--attribute",
                 "place_kind", "--skip-empty")
    assert b"pictures have a label that is no class of one.txt and are not counted" in result.stdout


# --- bounds -----------------------------------------------------------------------------------------


def test_skipping_very_many_pictures_takes_time_for_each_once(tmp_path):
    def seconds(count):
        folder = tmp_path / f"n{count}"
        folder.mkdir()
        header = tarfile.TarInfo
        with open(folder / "s.tar", "wb") as file:
            for i in range(count):
                file.write(header(f"{i:07d}.png").tobuf())
            member = tarfile.TarInfo("whole.png")
            member.size = len(picture())
            file.write(member.tobuf() + picture() + bytes(-len(picture()) % 512 + 1024))
        begin = time.monotonic()
        result = answer("decompose", MODEL, "--images", folder / "s.tar", "--out", folder / "st",
                        "--on-error", "skip")
        assert result["images"] == 1 and len(result["skipped"]) == count
        return time.monotonic() - begin

    few, many = seconds(5_000), seconds(40_000)
    assert many < 8 * max(few, 0.5) + 4, (few, many)
