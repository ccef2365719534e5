"""bench/: what its figures rest on: the count of work, the turns of the workers, the page."""

import json
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


def test_the_shipped_page_can_be_filled():
    page = report.PAGE.read_text()
    assert page.count(report.BEGIN) == page.count(report.END) == 1
