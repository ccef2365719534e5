"""Names of files, labels, properties and texts from other people's hands are text wherever they are shown."""

import csv
import html.parser
import io
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
EVIL = ["<img src=x onerror=alert(1)>", "\"><script>alert(2)</script>", "</script><script>alert(3)",
        "=HYPERLINK(\"http://evil.example\",\"open\")", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)",
        "' onmouseover='alert(4)", "{{7*7}}${7*7}", "a,\"b\"; c"]


def run(*arguments):
    result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, timeout=900)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


def as_name(text):
    return text.replace("/", "\u2215")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    rows = [["path", "label", "kind"]]
    with tarfile.open(next((ROOT / "world/sets/birds").glob("*.tar"))) as tar:
        members = [m for m in sorted(tar.getnames()) if m.endswith(".png") and "mask" not in m]
        for i, member in enumerate(members[:20]):
            name = as_name(EVIL[i % len(EVIL)])
            path = folder / "pictures" / name / f"{i}{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tar.extractfile(member).read())
            rows.append([f"pictures/{name}/{i}{name}.png", EVIL[i % len(EVIL)], EVIL[i // 10 + 3]])
    with (folder / "pictures.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "texts.txt").write_text("\n".join(EVIL) + "\n")
    (folder / "classes.txt").write_text("".join(f"{text}\t{text}\n" for text in EVIL))
    # Two texts for each property, as two are needed to tell pictures apart.
    (folder / "properties.txt").write_text(
        "".join(f"{text} {n}\t{text}\n" for text in EVIL for n in ("one", "two")))
    run("decompose", "pictureworld", "--images", folder / "pictures.csv", "--out", folder / "store")
    return folder


class Page(html.parser.HTMLParser):
    """The tags of a page, its text outside of scripts and styles, and its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.within = [], [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.within = tag if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self.within = None

    def handle_data(self, data):
        if self.within is None:
            self.text += data


def test_in_a_report(place):
    run("report", place / "store", "--texts", place / "texts.txt", "--properties",
        place / "properties.txt", "--classes", place / "classes.txt", "--truncate", "--out", place / "report.html")
    run("report", place / "store", "--texts", ROOT / "world/texts/phrases.txt", "--out",
        place / "plain.html")
    evil, plain = (Page((place / name).read_text()) for name in ("report.html", "plain.html"))
    assert evil.tags.count("script") == plain.tags.count("script")
    assert not [name for name, _ in evil.attributes if name.startswith("on")]
    assert not [value for name, value in evil.attributes
                if name in ("href", "src") and not re.match(r"#|data:(image/|,)", value or "")]
    shown = evil.text + " ".join(value or "" for _, value in evil.attributes)
    for text in EVIL:
        assert text in shown, text


def rows_of(path):
    text = path.read_bytes().decode()
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert len({len(row) for row in rows}) == 1
    return rows


def is_number(cell):
    return re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", cell) is not None


def test_in_tables_for_spreadsheets(place):
    run("label", place / "store", "--properties", place / "properties.txt", "--truncate",
        "--out", place / "labels.json", "--csv", place / "labels.csv")
    run("evaluate", "groups", place / "store", "--classes", place / "classes.txt", "--attribute",
        "kind", "--skip-empty", "--random", "0", "--heads", "L5.H3", "--truncate", "--csv", place / "groups.csv")
    run("ablate", place / "store", "--classes", place / "classes.txt", "--truncate", "--csv",
        place / "ablate.csv")
    cells = [cell for name in ("labels.csv", "groups.csv", "ablate.csv")
             for row in rows_of(place / name) for cell in row]
    for cell in cells:
        assert not cell or cell[0] not in "=+-@\t\r\n" or is_number(cell), cell
    assert any(is_number(cell) and cell.startswith("-") for cell in cells)
    for text in EVIL[3:7]:
        assert any("'" + text in cell for cell in cells), text


def test_in_answers_for_people(place):
    shown = run("classify", "pictureworld", "--images", place / "pictures.csv", "--classes",
                place / "classes.txt", "--truncate", "-k", "1")
    for text in EVIL:
        assert as_name(text) in shown
