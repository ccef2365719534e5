#!/bin/sh
# What a user of the wheel meets: an empty environment elsewhere, without compiler or build tree.
#
#   tools/check_wheel.sh WHEEL BUILD_DIRECTORY      BUILD_DIRECTORY is out of the way meanwhile
set -eu
wheel=$(realpath "$1")
build=$(realpath "$2")
place=$(mktemp -d)
mv "$build" "$build.away"
trap 'mv "$build.away" "$build"; rm -rf "$place"' EXIT
cd "$place"
python3 -m venv environment
environment/bin/pip install -q --disable-pip-version-check "$wheel"
environment/bin/pip list --disable-pip-version-check --format=freeze | grep -v -e '^pip=' -e '^setuptools='
environment/bin/cliplens demo --out demo >/dev/null
test -s demo/report.html
XDG_CACHE_HOME="$place/cache" environment/bin/python - <<'EOF'
import numpy as np

import cliplens as cl

model = cl.load("pictureworld")
pictures = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
assert model.embed_images(pictures).shape == (6, model.embed_width)
assert model.embed_texts(["a duck"]).shape == (1, model.embed_width)
store = model.decompose(pictures, "store")
assert store.certificate < 1e-5 and store.verify().whole
assert store.contributions("L5.H1").shape == (6, model.embed_width)
assert len(store.span("general", heads="last-1", count=2).table()) == 12
assert store.label().heads and store.search(text="a duck", count=2).results
assert model.heatmap(pictures[0], "a duck").grid.shape == (1, 8, 8)
assert model.explain(pictures[0], "a duck").png and model.classify(pictures, ["duck", "car"]).results
with cl.serve(store) as explorer:
    print("calls done, explorer at", explorer.url)
EOF
