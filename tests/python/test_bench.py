"""bench/: what its figures rest on: the count of work, the turns of the workers, the page."""

import json
import re
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import common  # noqa: E402
import report  # noqa: E402
import towers  # noqa: E402

# Spins on a thread of its own, as an idle pool of threads may.
SPINNER = """
import json, sys, threading
def spin():
    while True: pass
threading.Thread(target=spin, daemon=True).start()
for line in sys.stdin:
    answer = dict(error='no') if json.loads(line)['op'] == 'fail' else dict(seconds=2.0)
    print(json.dumps(answer), flush=True)
"""
B16 = towers.Tower(layers=12, width=768, hidden=3072, tokens=197, embed=512, patch_inputs=768)
BASE_TEXT = towers.Tower(layers=12, width=512, hidden=2048, tokens=77, embed=512)


def test_work_of_a_known_model():
    # 17.6 billion multiply-adds, as published for ViT-B/16 at 224.
    assert B16.flops() == pytest.approx(2 * 17.6e9, rel=0.01)
    # All but keys and values of the last block's 196 other rows: 5/6 of its weights' work.
    saved = 2 * 196 * 10 * 768 * 768 + 4 * 196 * 197 * 768
    assert B16.flops() - B16.flops(pooled_only=True) == saved
    assert BASE_TEXT.flops(10, pooled_only=True) < BASE_TEXT.flops() * 10 / 77


def test_ratio_is_of_medians_and_spread_is_of_rounds():
    assert common.ratio([2, 4, 9], [1, 2, 3]) == (2, 2, 3)


def test_a_worker_that_is_not_asked_takes_no_time():
    worker = common.Worker("spinner", [sys.executable, "-c", SPINNER])
    try:
        seconds, _ = worker.time(4)
        assert seconds == 0.5
        before = worker.cpu_seconds()
        time.sleep(0.3)
        assert worker.cpu_seconds() - before <= 0.02
        with pytest.raises(common.WorkerError, match="spinner: no"):
            worker.ask(op="fail")
    finally:
        worker.close()


def results(others):
    seconds = dict(cliplens=[1.0, 1.1, 0.9], torch=[2.0, 2.2, 1.9], openvino=[1.0, 1.0, 1.0])
    cell = dict(model="B/16", batch=16, threads=2, precision="fp32", seconds=seconds)
    about = dict(machine=common.machine(), command="python bench/towers.py", date="2020-01-02",
                 others=others)
    return dict(towers=about | dict(left_out=[], matmul=[], cells=[
        cell | dict(task="image", flops_per_second=5e11, matmul_flops_per_second=1e12),
        cell | dict(task="text", tokens=160, tokens_padded=16 * 77)]))


def test_the_page_is_filled_and_keeps_its_words(tmp_path, monkeypatch, capsys):
    file, page = tmp_path / "bench.json", tmp_path / "speed.md"
    file.write_text(json.dumps(results(others=0.01)))
    page.write_text(f"before\n{report.BEGIN}old\n{report.END}after\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["report.py", str(file), "--update"])
    report.main()
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    row = "| B/16 fp32 | 16 | 2 | 16.0 | 8.00 | 16.0 | 2.00 (2.00–2.11) | 1.00 (0.91–1.11) |"
    assert f"{row} 500 | 50 % |" in text
    assert f"{row} 10.0 | 0.26 | 0.13 | – | – |" in text
    assert "rehearsal" not in text
    file.write_text(json.dumps(results(others=0.3)))
    monkeypatch.setattr(sys, "argv", ["report.py", str(file)])
    report.main()
    assert "busy machine" in capsys.readouterr().out


def every_section():
    """Results in which no case is left out, of bench.json's form."""
    about = dict(machine=common.machine(), command="python bench/x.py", date="2020-01-02", others=0)
    both = dict(wall=[1.0], cpu=[1.0])
    small = dict(count=1, parts=16, difference=0, ratio=1.0)
    sizes = [[10, 2**20]]
    return dict(
        towers=results(others=0)["towers"] | dict(cells=results(others=0)["towers"]["cells"] + [
            dict(model="B/16", batch=8, threads=2, precision="fp32", task="decompose",
                 seconds=dict(image=[1.0], decompose=[1.0]))]),
        siglip=results(others=0)["towers"] | dict(cells=results(others=0)["towers"]["cells"] + [
            dict(model="SigLIP-B/16", batch=8, threads=2, precision="fp32", task=task,
                 seconds={"image": [1.0], task: [1.0]}) for task in ("decompose", "maps")]),
        reference=about | dict(
            model="B/16", batch=1, threads=2, difference=0.0,
            seconds={task: [1.0] for task in ("paper", "contributions", "decompose",
                                              "decompose, batch 16", "decompose, batch 16, bf16")}),
        decompose=about | dict(
            cases=[dict(case=case, verb=verb, images=1, rate={"embed": 1.0, verb: 1.0}, ratios=both)
                   for case, verb in (("small", "decompose"), ("compute", "decompose"),
                                      ("decode", "decompose"), ("segmentation", "segmentation"),
                                      ("segmentation-b16", "segmentation"),
                                      ("edit, six heads", "embed --edit"),
                                      ("edit, recipe", "embed --edit"))],
            memory=[dict(kind=kind, images=1, peak=1, disk=1)
                    for kind in ("statistics only", "full store")]),
        analysis=about | dict(cases={
            "text-span": dict(heads=1, texts=1, count=1, images=1, seconds=1.0, of_one=1.0, same=1,
                              reference_seconds=1.0),
            "labels": dict(heads=1, images=1, texts=1, properties=1, seconds=1.0),
            "search": dict(images=1, query=1.0, read=1.0, write=1.0, bytes=1, cosine=1.0, raw=1.0),
            "heat-maps": {"B/16": dict(texts=1, maps=1.0, plain=1.0, ratio=1.0)},
            "pursuit": dict(targets=1, width=1, texts=1, count=1, seconds=1.0, cpu=1.0, plain_cpu=1.0,
                            reference_seconds=1.0),
            "statistics": dict(small, peaks=sizes, disk=sizes)}))


def tables_of(text):
    """{section and heading row: names of its rows}, numbers as 0."""
    tables, section, heading = {}, "", None
    for line in text.splitlines():
        if line.startswith("### "):
            section = line
        if not line.startswith("|"):
            heading = None
        elif heading is None:
            heading = f"{section}: {line}"
            tables[heading] = []
        elif not line.startswith("|---"):
            tables[heading].append(re.sub(r"\d[\d,.]*", "0", line.split(" | ")[0]))
    return tables


def test_the_shipped_page_is_what_the_scripts_write():
    page = report.PAGE.read_text()
    assert page.count(report.BEGIN) == page.count(report.END) == 1
    before, rest = page.split(report.BEGIN)
    figures, after = rest.split(report.END)
    assert "\n|" not in before + after, "a table that no script writes"
    sections = every_section()
    written = {}
    for name in ("towers", "siglip", "reference", "decompose", "analysis"):
        written |= tables_of(getattr(report, name)(sections[name]))
    shown = tables_of(figures)
    assert len(shown) == 10
    models = {"| B/0 fp0", "| B/0 bf0", "| L/0 fp0", "| L/0 bf0", "| B/0", "| L/0", "| SigLIP-B/0",
              "| SigLIP-B/0 fp0", "| SigLIP-so0m/0-0", "| SigLIP-so0m/0-0 fp0"}
    for heading, rows in shown.items():
        assert heading in written, heading
        names = models if heading.split(": ")[1].startswith("| model") else set(written[heading])
        assert rows and set(rows) <= names, set(rows) - names
    for script in re.findall(r"python (bench/\w+\.py)", page):
        assert (ROOT / script).is_file(), script
    assert len(re.findall(r"^`python bench/", figures, re.MULTILINE)) == figures.count("\n### ")
