"""The shipped text pools are what texts/README.md says of them."""

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ROOT / "texts"
WORDNET = Path("/usr/share/wordnet")


def lines(name):
    content = (TEXTS / name).read_bytes()
    assert content.endswith(b"\n") and b"\r" not in content
    return content.decode("utf-8").split("\n")[:-1]


def pairs(name):
    """[(text, property)] of a pool in which every line has one."""
    out = [tuple(line.split("\t")) for line in lines(name)]
    assert all(len(pair) == 2 for pair in out)
    return out


def by_property(name):
    out = defaultdict(list)
    for text, prop in pairs(name):
        out[prop].append(text)
    return out


def test_counts_are_those_of_the_readme():
    table = re.findall(r"^\| `(\w+\.txt)` \| ([\d,]+) \|", (TEXTS / "README.md").read_text(), re.M)
    assert {name: int(count.replace(",", "")) for name, count in table} == {
        path.name: len(lines(path.name)) for path in TEXTS.glob("*.txt")}
    readme = (TEXTS / "README.md").read_text()
    assert f"its property; {len(by_property('general.txt'))} properties" in readme
    assert f"for each of {len(by_property('properties.txt'))} properties" in readme
    assert len(lines("general.txt")) >= 3000
    assert len(lines("common_words.txt")) == len(lines("general.txt"))


@pytest.mark.parametrize("name", ["general.txt", "properties.txt"])
def test_a_text_stands_once_and_reads_well(name):
    texts = [text for text, _ in pairs(name)]
    assert [text for text, n in Counter(text.lower() for text in texts).items() if n > 1] == []
    for text in texts:
        assert text == " ".join(text.split()), text
        assert not re.search(r"[*{}|]", text), text
        assert len(text.split()) <= 40, text  # 77 tokens hold them
        assert not re.search(r"\ba [aeio]\w*", re.sub(r"\ba (one|eu)", "", text)), text
        assert not re.search(r"\ban (?!hour|heir|honest|X-ray|L-|MRI)[^aeiouAEIOU]", text), text
        assert not re.search(r"\b(a|an|the) (a|an|the) ", text), text


def test_order_is_by_property_and_text():
    for name in ("general.txt", "properties.txt"):
        assert pairs(name) == sorted(pairs(name), key=lambda pair: (pair[1], pair[0]))


def test_common_words_are_single_words_that_stand_once():
    words = lines("common_words.txt")
    assert len(set(words)) == len(words)
    assert all(re.fullmatch("[a-z]+", word) for word in words)
    assert {"man", "see", "good"} <= set(words[:200])


def test_a_property_has_answers_in_one_wording():
    table = by_property("properties.txt")
    assert set(table) <= set(by_property("general.txt"))
    for prop, texts in table.items():
        assert 4 <= len(texts) <= 150, prop
        # What all of them open with; only the picture's own words may differ ("a", "an", none).
        opening = os.path.commonprefix(texts)
        assert len(opening.split()) >= 2, (prop, opening)


def test_the_script_writes_these_files():
    if not (WORDNET / "data.noun").is_file():
        pytest.skip("WordNet is not installed (Debian package wordnet-base)")
    subprocess.run([sys.executable, ROOT / "tools/make_texts.py", "--check"], check=True)


def test_the_script_says_what_it_misses(tmp_path):
    run = subprocess.run([sys.executable, ROOT / "tools/make_texts.py", "--wordnet", tmp_path],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "wordnet-base" in run.stderr and str(tmp_path) in run.stderr
