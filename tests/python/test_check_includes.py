"""tools/check_includes.py: the tree passes, planted faults do not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(root):
    return subprocess.run([sys.executable, ROOT / "tools/check_includes.py", root],
                          capture_output=True, text=True)


def write(root, path, *includes):
    file = root / "cliplens" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("// A file.\n" + "".join(f"#include {name}\n" for name in includes))


def test_the_tree_passes():
    result = run(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_includes_that_point_up_pass(tmp_path):
    write(tmp_path, "base/array.h", "<vector>", "<sys/stat.h>", "<Eigen/Dense>", "<fmt/format.h>")
    write(tmp_path, "model/nn/ops.cc", '"cliplens/model/nn/ops.h"', '"cliplens/io/npy.h"',
          "<oneapi/dnnl/dnnl.hpp>", "<hwy/highway.h>", "<immintrin.h>")
    write(tmp_path, "cli/main.cc", '"cliplens/base/error.h"', '"cliplens/report/table.h"',
          "<CLI/CLI.hpp>", "<fmt/format.h>")
    result = run(tmp_path)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("path, include, words", [
    ("io/npy.cc", '"cliplens/model/config.h"', "points down from io to model"),
    ("base/error.h", "<cliplens/io/file.h>", "points down from base to io"),
    ("report/table.cc", '"cliplens/server/routes.h"', "points down from report to server"),
    ("app/heads.h", '"cliplens/report/table.h"', "points down from app to report"),
    ("analysis/span.h", '"cliplens/app/heads.h"', "points down from analysis to app"),
    ("dataset/set.h", "<nlohmann/json.hpp>", "belongs to cliplens/io alone"),
    ("analysis/span.cc", "<Eigen/Dense>", "belongs to cliplens/base alone"),
    ("model/tower.cc", "<oneapi/dnnl/dnnl.hpp>", "belongs to cliplens/model/nn alone"),
    ("model/nnx/tower.cc", "<hwy/highway.h>", "belongs to cliplens/model/nn alone"),
    ("report/cli.cc", "<CLI/CLI.hpp>", "belongs to cliplens/cli alone"),
    ("io/list.cc", "<folly/list.h>", "does not know"),
    ("io/npy.cc", '"npy.h"', "no path from the root"),
    ("io/npy.cc", '"cliplens/misc/x.h"', "in no folder of the layout"),
    ("misc/x.cc", "<vector>", "is in none of the folders"),
    ("cliplens.h", '"cliplens/server/http.h"', "points down from report to server"),
    ("analysis/x.h", '"cliplens/cliplens.h"', "points down from analysis to report"),
])
def test_a_planted_fault_is_named(tmp_path, path, include, words):
    write(tmp_path, "base/array.h", "<vector>")
    write(tmp_path, path, "<string>", f"  {include}")
    result = run(tmp_path)
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 1
    assert result.stdout.startswith(f"cliplens/{path}:")
    assert words in result.stdout


def test_an_empty_tree_fails(tmp_path):
    assert run(tmp_path).returncode == 1
