"""The documents say what the program does: their examples run, their tables of fields are complete.

Every ```console block of README.md and docs/*.md is run: `$ ` starts a command, `> ` goes on with
it, the lines below are what it prints, blank ones at the end left out; where there are none, only
the exit status is checked. The blocks of one page share a directory with the shipped models/ and
world/, and with photos/, photos.csv, texts.txt and classes.txt in it. A line `...` stands for any
lines, `...` in a line for any characters. All else is compared as it stands, with two exceptions,
which processors make by adding in another order. A decimal number of three digits or more may differ
by one in the last of them. An error (`3.2e-07`) may be three times as large or as small; two that are
below 6e-8, the rounding of a cosine to fp32, count as the same.

    CLIPLENS_PROGRAM=build/release/bin/cliplens python -m pytest tests/python/test_docs.py
    ... python tests/python/test_docs.py --update      rewrites what the examples print
"""

import atexit
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from test_towers import write_registers, write_siglip

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TEXTS = "a picture of a duck\tobject\na pencil sketch\tstyle\na black and white picture\teffect\nin the snow\tplace\n"
PLACES = "on the sea\twater\non a lake\twater\non the grass\tland\nin the forest\tland\n"
CLASSES = "a duck\tduck\na swan\tswan\na penguin\n"

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROUNDING = 2**-24
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def commands_of(block):
    """[(command, lines it prints)] of a block."""
    commands = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif line.startswith("> ") and not commands[-1][1]:
            commands[-1] = (commands[-1][0] + "\n" + line[2:], [])
        else:
            commands[-1][1].append(line)
    return commands


def make_workplace(folder):
    for name in ("models", "world"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "texts.txt").write_text(TEXTS)
    (folder / "gaps.txt").write_text(TEXTS.replace("\n", "\n\n"))
    (folder / "classes.txt").write_text(CLASSES)
    (folder / "places.txt").write_text(PLACES)
    (folder / "photos").mkdir()
    with tarfile.open(ROOT / "world/sets/single/single-000.tar") as shard:
        pictures = [m for m in shard if m.name.endswith(".png") and ".mask." not in m.name]
        for picture in pictures[:12]:
            (folder / "photos" / picture.name).write_bytes(shard.extractfile(picture).read())
    shutil.copytree(folder / "photos", folder / "faulty")
    rows = [f"photos/{name},{i % 2},{'test' if i < 4 else 'train'}"
            for i, name in enumerate(picture_names(folder))]
    make_masked(folder)
    (folder / "photos.csv").write_text("\n".join(["path,odd,split", *rows]) + "\n")
    (folder / "faulty" / picture_names(folder)[1]).write_bytes(b"no picture")
    carry_orientation(folder / "faulty" / picture_names(folder)[0])
    make_ragged(folder)
    repository = folder / "hub/models--org--model"
    shutil.copytree(ROOT / "models/pictureworld", repository / "snapshots" / ("a" * 40))
    (folder / "bin").mkdir()
    (folder / "bin/cliplens").symlink_to(Path(PROGRAM).resolve())


def carry_orientation(path):
    """The picture says by EXIF that it is to be turned."""
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(path) as picture:
        picture.save(path, exif=exif)


def make_masked(folder):
    """masked.csv: pictures with masks and labels, and one that cannot be read."""
    (folder / "masks").mkdir()
    rows = []
    with tarfile.open(ROOT / "world/sets/single/single-000.tar") as shard:
        for name in picture_names(folder)[:4]:
            key = name.removesuffix(".png")
            mask = shard.extractfile(key + ".mask.png").read()
            (folder / "masks" / f"{key}.png").write_bytes(mask)
            label = json.loads(shard.extractfile(key + ".json").read())["label"]
            place = "faulty" if not rows else "photos"
            rows.append(f"{place}/{name},masks/{key}.png,{label},test")
    rows.append("faulty/" + picture_names(folder)[1] + ",,,test")
    (folder / "masked.csv").write_text("\n".join(["path,mask,label,split", *rows]) + "\n")


def make_ragged(folder):
    """ragged/: a shard with a caption that is not UTF-8 and a stray member, one that is cut off."""
    (folder / "ragged").mkdir()
    with tarfile.open(ROOT / "world/sets/single/single-000.tar") as shard:
        members = shard.getmembers()[:12]
        for number in range(2):
            with tarfile.open(folder / f"ragged/{number}.tar", "w") as out:
                for member in members:
                    out.addfile(member, shard.extractfile(member))
                if number == 1:
                    continue
                key = next(m.name for m in members if m.name.endswith(".mask.png")).split(".")[0]
                for name, content in ((key + ".txt", b"caf\xe9"), (key + ".bin", b"")):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    out.addfile(member, io.BytesIO(content))
    os.truncate(folder / "ragged/1.tar", (folder / "ragged/1.tar").stat().st_size - 10_300)


def picture_names(folder):
    return sorted(path.name for path in (folder / "photos").iterdir())


def run(command, folder):
    environment = dict(os.environ, CLIPLENS_SHARE=str(ROOT), HF_HUB_CACHE=str(folder / "hub"),
                       HF_HUB_OFFLINE="1",
                       PATH=f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environment, text=True,
                          capture_output=True, timeout=600)


DECOMPOSE = re.compile(r"cliplens decompose (\S+ --images world/\S+) --out (\S+)")
stores = {}  # what DECOMPOSE matched first: (the store, its name, what was printed)


def printed(command, folder):
    """Lines of the command's output. Several pages open with the same store: it is made once."""
    made = DECOMPOSE.fullmatch(command)
    if made and made[1] in stores:
        store, name, out = stores[made[1]]
        shutil.copytree(store, folder / made[2])
        return out.replace(f"into {name}\n", f"into {made[2]}\n").rstrip().splitlines()
    result = run(command, folder)
    assert result.returncode == 0, f"{command}\n{result.stderr}"
    if made:
        kept = Path(tempfile.mkdtemp(prefix="cliplens-docs-"))
        atexit.register(shutil.rmtree, kept)
        shutil.copytree(folder / made[2], kept, dirs_exist_ok=True)
        stores[made[1]] = (kept, made[2], result.stdout)
    return result.stdout.rstrip().splitlines()


def same_number(shown, got):
    if "e" in shown and "e" in got:
        a, b = abs(float(shown)), abs(float(got))
        return a / 3 <= b <= 3 * a or max(a, b) <= ROUNDING
    whole, point, decimals = shown.partition(".")
    digits = (whole + decimals).lstrip("-0")
    if not point or len(digits) < 3 or len(got.partition(".")[2]) != len(decimals):
        return shown == got
    return abs(int(got.replace(".", "")) - int(shown.replace(".", ""))) <= 1


def same_line(shown, got):
    if "..." in shown:
        return re.fullmatch(".*".join(map(re.escape, shown.split("..."))), got) is not None
    # Widths of columns follow the numbers in them.
    words = [re.sub(r"[\s─]+", " ", NUMBER.sub("0", line)) for line in (shown, got)]
    numbers = [NUMBER.findall(line) for line in (shown, got)]
    return words[0] == words[1] and all(itertools.starmap(same_number, zip(*numbers)))


def same_output(shown, got):
    if not shown:
        return not got
    if shown[0] == "...":
        return any(same_output(shown[1:], got[i:]) for i in range(len(got) + 1))
    return bool(got) and same_line(shown[0], got[0]) and same_output(shown[1:], got[1:])


def test_what_counts_as_the_same():
    for shown, got in (("0.2744", "0.2745"), ("5.12 %", "5.11 %"), ("-0.0807", "-0.0808"),
                       ("3.2e-07 at most", "9.5e-07 at most"), ("is 3.2e-07", "is 1.1e-07"),
                       ("5.3e-09", "3.6e-08"),
                       ("a  0.501", "a     0.501"), ("12 in ... into a", "12 in 0.3 s into a")):
        assert same_output([shown], [got]), (shown, got)
    for shown, got in (("0.2744", "0.2746"), ("0.3 %", "0.4 %"), ("12 pictures", "13 pictures"),
                       ("0.2744", "-0.2744"), ("0.50", "0.501"), ("0.0012", "0.0013"), ("1.0", "1"),
                       ("3.2e-07", "9.7e-07"), ("3.2e-07", "1.0e-07"), ("3.2e-07", "0.0"),
                       ("5.3e-09", "6.1e-08"),
                       ("rank 12", "rank  13"), ("12 in ... into a", "13 in 0.3 s into a"),
                       ("one", "two"), ("one", "one two")):
        assert not same_output([shown], [got]), (shown, got)
    assert not same_output(["one"], []) and not same_output(["one"], ["one", "two"])


@pytest.mark.parametrize("page", [p for p in PAGES if BLOCK.search(p.read_text())],
                         ids=lambda p: p.name)
def test_examples_run_as_shown(page, tmp_path):
    make_workplace(tmp_path)
    for block in BLOCK.findall(page.read_text()):
        for command, shown in commands_of(block):
            got = printed(command, tmp_path)
            assert not shown or same_output(shown, got), (
                f"{page.name}: {command}\nshown:\n" + "\n".join(shown) + "\nprinted:\n" +
                "\n".join(got[:60]))


def test_links_between_documents_lead_somewhere():
    pages = [p for p in subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, text=True,
                                       capture_output=True, check=True).stdout.split()]
    broken = []
    for page in pages:
        text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" not in target and not (ROOT / page).parent.joinpath(target).exists():
                broken.append(f"{page}: {target}")
    assert not broken, broken


# docs/json.md against what the verbs write.

def is_estimate(value):
    return isinstance(value, dict) and list(value) == ["value", "low", "high"]


def kind_of(value):
    if is_estimate(value):
        return "estimate"
    if isinstance(value, bool):
        return "true or false"
    for kind, name in ((int, "integer"), (float, "number"), (str, "text")):
        if isinstance(value, kind):
            return name
    raise TypeError(f"no kind for {value!r}")


def kind_of_list(value):
    kinds = {kind_of_list(v) if isinstance(v, list) else kind_of(v) for v in value}
    for whole, kind in (("integer", "number"), ("list of integer", "list of number")):
        if kinds == {whole, kind}:
            kinds = {kind}
    return "list of " + "".join(sorted(kinds))


def fields_of(value, path=""):
    """{path: kind} of every value; members of lists of objects as `list[].member`."""
    if isinstance(value, dict) and not is_estimate(value):
        fields = {}
        for key, member in value.items():
            fields.update(fields_of(member, f"{path}.{key}" if path else key))
        return fields
    if value is None or value == []:  # the kind is that of another member's value
        return {}
    if isinstance(value, list):
        if isinstance(value[0], dict) and not is_estimate(value[0]):
            fields = {}
            for member in value:
                fields.update(fields_of(member, f"{path}[]"))
            return fields
        return {path: kind_of_list(value)}
    return {path: kind_of(value)}


def rows_of(page):
    """{heading: {field: (kind, meaning)}} of the page's tables that open with `field | type`."""
    tables = {}
    for part in re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| `([^`|]+)` \| ([^|]+) \|(.*)\|$", part, flags=re.MULTILINE)
        if "| field | type |" in part:
            tables[part.splitlines()[0].strip("` ")] = {
                field: (kind.strip(), meaning) for field, kind, meaning in rows}
    return tables


def tables_of(page):
    """The same without meanings: {heading: {field: kind}}."""
    return {heading: {field: kind for field, (kind, _) in rows.items()}
            for heading, rows in rows_of(page).items()}


RUNS = [
    "info pictureworld",
    "info siglip --resize-backend torchvision",
    "pull hf:org/model",  # from a cache, offline
    "tokenize pictureworld --texts texts.txt",
    "preprocess pictureworld --image faulty/single-000000.png --out x.npy",
    "embed pictureworld --images photos --out photos.npy",
    "embed pictureworld --texts texts.txt --out texts.npy",
    "classify pictureworld --images photos --classes classes.txt --templates simple -k 2",
    "classify pictureworld --images world/sets/birds --classes world/texts/birds.txt -k 1"
    " --templates world/texts/birds.templates.txt",
    "decompose pictureworld --images photos --out store",
    "decompose pictureworld --images world/sets/birds --out other",
    "merge store other --out whole",
    "decompose pictureworld --images faulty --out half --shard 0/2 --shard-images 2 --on-error skip"
    " --weights . --image-size 80",
    "decompose pictureworld --images photos.csv --split test --out split --path-column path"
    " --allow-absolute --exif-orientation",
    "decompose pictureworld --images ragged --out ragged.store --on-error skip",
    "embed pictureworld --images ragged --out ragged.npy --on-error skip",
    "classify pictureworld --images ragged --classes classes.txt --templates simple -k 1"
    " --on-error skip",
    "evaluate segmentation pictureworld --images ragged"
    " --classes world/texts/objects.txt --templates simple --on-error skip",
    "embed pictureworld --images faulty --out faulty.npy --on-error skip",
    "classify pictureworld --images faulty --classes classes.txt --templates simple -k 1"
    " --on-error skip",
    "verify whole",
    "embed pictureworld --texts texts.txt --out ragged.store/texts.npy",
    "verify ragged.store",
    "verify nothing",
    "span store --texts gaps.txt --count 2",
    "span other --texts classes.txt --count 2",
    "ablate other --classes world/texts/birds.txt --templates world/texts/birds.templates.txt"
    " --means store",
    "reconstruct other --texts gaps.txt --classes world/texts/birds.txt --templates simple"
    " --counts 1,2 --random 1",
    "label other --properties world/texts/properties.txt --heads L4-L5 --beside store"
    " --most-images 7",
    "evaluate labels other --properties world/texts/properties.txt --heads L4-L5 --most-images 7"
    " --truth object,background,style --only size=huge",
    "decompose pictureworld-birds --images world/sets/birds --out birds",
    "decompose pictureworld-birds --images photos/single-000000.png --out few",
    "decompose pictureworld-birds --images photos --out birds.stats --stats-only",
    "edit suggest birds --classes world/texts/birds.txt --templates"
    " world/texts/birds.templates.txt --cue-file places.txt --out cue.json",
    "edit make birds --heads L5.H3,L5.MLP --out mean.json",
    "edit make birds --heads INPUT --mode scale=0.5 --out scale.json",
    "evaluate groups birds --classes world/texts/birds.txt --templates"
    " world/texts/birds.templates.txt --attribute place_kind --edit cue.json --means few",
    "evaluate groups birds --classes world/texts/birds.txt --templates"
    " world/texts/birds.templates.txt --attribute object --skip-empty --weights-from birds",
    "embed pictureworld-birds --images photos --out edited.npy --edit cue.json",
    "classify pictureworld-birds --images photos --classes classes.txt --templates simple -k 1"
    " --edit cue.json",
    "export birds --out edited --edit cue.json",
    "segment pictureworld --image faulty/single-000000.png --text 'a duck' --out duck.png",
    "evaluate segmentation pictureworld --images masked.csv --split test"
    " --classes world/texts/objects.txt --templates simple --on-error skip",
    "label whole --properties world/texts/properties.txt --heads last-2 --out labels.json",
    "heatmap pictureworld --image faulty/single-000000.png --text duck --text swan --against snow",
    "explain pictureworld --image faulty/single-000000.png --text duck --labels labels.json",
    "explain pictureworld --image photos/single-000000.png --classes classes.txt --through L4",
    "explain pictureworld --image photos/single-000000.png --text 'a duck' --through text:L1",
    "decompose siglip --images photos --out siglip.store --resize-backend torchvision",
    "span siglip.store --texts gaps.txt --count 2 --heads L2",
    "decompose siglip --images photos --level pool --out pool.store",
    "heatmap siglip --level pool --image photos/single-000000.png --text duck",
    "heatmap siglip --image photos/single-000000.png --text duck",
    "explain siglip --image photos/single-000000.png --text duck --through L1",
    "heatmap registers --image photos/single-000000.png --text duck",
    "explain registers --image photos/single-000000.png --text duck --through L1",
    "search whole --text dots --heads L4-L5 -k 3 --index L4-L5.faiss",
    "search whole --item 3 -k 3",
    "search whole --item 3 --property object --labels labels.json -k 3",
    "match whole store --labels labels.json --labels2 labels.json",
    "compare other birds --classes world/texts/birds.txt --templates world/texts/birds.templates.txt"
    " --properties world/texts/properties.txt --maps flips.png",
    "compare birds other --classes world/texts/birds.txt --templates world/texts/birds.templates.txt",
    "compare store birds.stats --image photos/single-000000.png --text duck --classes classes.txt",
    "describe pictureworld --images ragged --on-error skip --texts gaps.txt --minus faulty",
    "describe pictureworld --store whole --item 3 --head L5.H3 --texts texts.txt",
    "describe pictureworld --store other --only place_kind=water --minus-only place_kind=land"
    " --texts texts.txt",
    "describe pictureworld --images faulty --on-error skip --texts classes.txt --minus ragged",
    "weights pictureworld --texts gaps.txt --heads L5 --directions 2",
    "weights pictureworld --texts classes.txt --heads L5.H0",
    "neurons collect pictureworld --images world/sets/birds --layers last-2 --out neurons",
    "neurons collect pictureworld --images faulty --on-error skip --layers 4 --out few-neurons",
    "neurons collect pictureworld --images ragged --on-error skip --layers 4 --out ragged.neurons",
    "neurons words neurons --texts gaps.txt --count 2",
    "neurons show neurons L4.N5 --texts gaps.txt --maps fires.png",
    "report whole --texts texts.txt --neurons few-neurons --out report.html",
    "neurons ablate neurons --classes world/texts/birds.txt --templates simple --layers 4"
    " --directions few-neurons",
    "neurons reconstruct neurons --classes world/texts/birds.txt --templates simple --layers 4"
    " --directions few-neurons --texts gaps.txt --counts 1,2",
    "neurons discover neurons --image photos/single-000000.png --texts gaps.txt --count 2",
    "neurons cue neurons 'a duck' 'a swan' --texts gaps.txt --words 2 --score faulty"
    " --on-error skip",
    "neurons cue neurons 'a duck' 'a swan' --texts texts.txt --words 2 --score ragged"
    " --on-error skip",
    "neurons collect pictureworld --texts gaps.txt --out text-neurons --layers 0",
    "neurons weights pictureworld --texts gaps.txt --layers 4 --count 2",
    "verify neurons",
    "export store --out arrays",
    "export store --format faiss --heads L5.H3 --out L5.H3.faiss",
    "demo --out demo",
]
FAILURES = {"verify nothing": 3}  # there is no such store


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("json")
    make_workplace(folder)
    (folder / "siglip").mkdir()
    write_siglip(folder / "siglip")  # with a POOL.MLP, and without a class token
    (folder / "registers").mkdir()
    write_registers(folder / "registers")
    return folder


@pytest.fixture(scope="module")
def written(workplace):
    """{format: {field: kind}} of the runs above."""
    formats = {}
    for line in RUNS:
        result = run(f"cliplens {line} --json", workplace)
        assert result.returncode == FAILURES.get(line, 0), f"{line}\n{result.stderr}"
        value = json.loads(result.stdout)
        assert next(iter(value)) == "format", line
        fields = formats.setdefault(value["format"], {})
        for field, kind in fields_of(value).items():
            # A number that happens to be whole is written without a point.
            if {kind, fields.get(field, kind)} == {"integer", "number"}:
                kind = "number"
            fields[field] = kind
    return formats


def assert_same_fields(documented, real):
    missing = {field: kind for field, kind in real.items() if field not in documented}
    assert not missing, f"not documented: {missing}"
    stale = [field for field in documented if field not in real]
    assert not stale, f"documented, but never written: {stale}"
    wrong = {field: (documented[field], kind) for field, kind in real.items()
             if documented[field] != kind and (documented[field], kind) != ("number", "integer")}
    assert not wrong, f"(documented, written): {wrong}"


def test_every_json_field_is_documented(written):
    documented = tables_of(ROOT / "docs/json.md")
    assert sorted(documented) == sorted(written)
    for name, fields in written.items():
        assert_same_fields(documented[name], fields)


# docs/json.md against openapi.json, where verbs and routes of the explorer answer the same.

SCHEMAS = json.loads((ROOT / "cliplens/server/openapi.json").read_text())["components"]["schemas"]
KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false"}
# Schema of a part: the results that it is a part of, the parts' fields.
PARTS = {"Component": ("cliplens.report/1", ["components[]"]),
         "Head": ("cliplens.span/1", ["", "heads[]"]),
         "HeadLabel": ("cliplens.label/3", ["heads[]"]),
         "LabelScores": ("cliplens.label/3", ["scores"]),
         "GroupRow": ("cliplens.groups/2", ["rows[]"])}
# What only the route has, and what only the verb.
ROUTE_ONLY = {"Component": r"layer|head", "Head": r"format|label.*|texts\[\]\.(highest|lowest).*",
              "Explanation": r"through\.strongest\[\]\.words", "OpenedEdit": r"edit\..*|other_means"}
VERB_ONLY = {"Search": r"index", "Explanation": r"through\.strongest\[\]\.by_word.*",
             "Neuron": r"pictures\[\]\.(fires|class_token)",
             "Head": r"format|pool_mlp_share|heads\[\]\.texts\[\]\.held_out",
             "GroupRow": r"rows\[\]\.weighted"}


def fields_of_schema(schema, path="", absent=False, null=False):
    """{path: (kind, may be absent, may be null, names that it may be)} of every value."""
    if schema.get("$ref") == "#/components/schemas/Estimate":
        return {path: ("estimate", absent, null, [])}
    if "$ref" in schema:
        return fields_of_schema(SCHEMAS[schema["$ref"].split("/")[-1]], path, absent, null)
    if "anyOf" in schema:
        return fields_of_schema(schema["anyOf"][0], path, absent, True)
    if "properties" in schema:
        fields = {}
        for key, member in schema["properties"].items():
            fields |= fields_of_schema(member, f"{path}.{key}" if path else key,
                                       absent or key not in schema.get("required", []))
        return fields
    if schema.get("type") == "array":
        items = schema.get("items") or schema["prefixItems"][0]
        fields = fields_of_schema(items, path + "[]", absent)
        if list(fields) == [path + "[]"]:
            return {path: ("list of " + fields[path + "[]"][0], absent, null, [])}
        return fields
    names = schema.get("enum", [schema["const"]] if "const" in schema else [])
    kinds = schema.get("type", "string")
    return {path: (KINDS[kinds if isinstance(kinds, str) else kinds[0]], absent,
                   null or "null" in kinds, names)}


def shared_answers():
    """[schema, heading of docs/json.md, what the schema's fields begin with there]."""
    shared = [(name, *part) for name, part in PARTS.items()]
    for name, schema in SCHEMAS.items():
        written = schema.get("properties", {}).get("format", {}).get("const")
        if written in tables_of(ROOT / "docs/json.md"):
            shared.append((name, written, [""]))
    return shared


@pytest.mark.parametrize("name, heading, begins", shared_answers(), ids=lambda x: str(x))
def test_json_md_and_openapi_describe_the_same_fields(name, heading, begins):
    documented = {}
    for field, row in rows_of(ROOT / "docs/json.md")[heading].items():
        begin = next((b for b in reversed(begins) if not b or field.startswith(b + ".")), None)
        if begin is not None and not re.fullmatch(VERB_ONLY.get(name, "-"), field):
            documented[field.removeprefix(begin).removeprefix(".")] = row
    described = {field: row for field, row in fields_of_schema(SCHEMAS[name]).items()
                 if not re.fullmatch(ROUTE_ONLY.get(name, "-"), field)}
    assert sorted(described) == sorted(documented)
    for field, (kind, absent, null, names) in described.items():
        assert documented[field][0] == kind, field
        # What is absent as a whole is said once.
        siblings = [meaning for other, (_, meaning) in documented.items()
                    if other == field or "." in field and other.startswith(field.split(".")[0])]
        assert not absent or any("absent" in meaning for meaning in siblings), field
        assert absent or "absent" not in documented[field][1], field
        assert null == ("null" in documented[field][1]), field
        assert all(f"`{one}`" in documented[field][1] for one in names), (field, names)


def test_every_field_of_the_manifest_is_documented(written, workplace):
    documented = tables_of(ROOT / "docs/store.md")["manifest.json"]
    real = {}
    for store in ("whole", "half", "split", "ragged.store", "siglip.store", "pool.store"):
        real |= fields_of(json.loads((workplace / store / "manifest.json").read_text()))
    # The model's configuration is described once, with `info`.
    real = {field: kind for field, kind in real.items() if not field.startswith("model.config.")}
    assert_same_fields({k: v for k, v in documented.items() if k != "model.config"}, real)


def tensors_of(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def test_tensors_of_a_store_are_as_documented(written, workplace):
    info = json.loads((workplace / "whole/manifest.json").read_text())
    vision = info["model"]["config"]["vision"]
    layers, heads, width = vision["layers"], vision["heads"], vision["head_width"]
    sizes = {"L": layers, "H": heads, "K": width, "K+3": width + 3, "L+1": layers + 1, "3": 3,
             "E": info["model"]["config"]["embed_width"], "S": info["slices"],
             "B": info["shards"][0]["images"], "LH+L+1": layers * heads + layers + 1, "1": 1,
             "2": 2}
    for axis in ("K+3", "E"):
        sizes[f"T({axis})"] = sizes[axis] * (sizes[axis] + 1) // 2
    text = (ROOT / "docs/store.md").read_text()
    for file, stored in (("shard-00000.safetensors", "shard-NNNNN.safetensors"),
                         ("stats.safetensors",) * 2, ("basis.safetensors",) * 2):
        part = text.split(f"## {stored}\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| `(\w+)` \| (\w+)[^|]*\| \[([^]]+)\] \|", part, flags=re.MULTILINE)
        documented = {name: (dtype, [sizes[axis.strip()] for axis in shape.split(",")])
                      for name, dtype, shape in rows}
        real = {name: (entry["dtype"], entry["shape"])
                for name, entry in tensors_of(workplace / "whole" / file).items()}
        assert documented == real, file


def rewritten(shown, got):
    """What a command prints now, with the `...` of what was shown."""
    if not shown:
        return []
    if "..." in shown:
        head = shown.index("...")
        tail = len(shown) - head - 1
        return (rewritten(shown[:head], got[:head]) + ["..."] +
                (rewritten(shown[-tail:], got[-tail:]) if tail else []))
    return [old if "..." in old and same_line(old, new) else new
            for old, new in zip(shown + [""] * len(got), got)]


def test_the_python_that_reads_a_store_runs(written, workplace):
    programs = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/store.md").read_text(),
                          re.MULTILINE | re.DOTALL)
    means = subprocess.run([sys.executable, "-c", programs[1]], cwd=workplace, text=True,
                           capture_output=True)
    assert (means.stdout, means.stderr) == ("(6, 6, 35)\n", "")
    program = programs[0]
    result = subprocess.run([sys.executable, "-c", program], cwd=workplace, text=True,
                            capture_output=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout and all(float(line) < 1e-6 for line in result.stdout.splitlines())


def update(page):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        make_workplace(folder)

        def block(match):
            lines = []
            for command, shown in commands_of(match[1]):
                lines += ["$ " + command.replace("\n", "\n> "),
                          *rewritten(shown, printed(command, folder))]
            return "```console\n" + "\n".join(lines) + "\n```"

        page.write_text(BLOCK.sub(block, page.read_text()))


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit(__doc__)
    for document in PAGES:
        if BLOCK.search(document.read_text()):
            update(document)
