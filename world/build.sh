#!/bin/sh
# Builds the picture world: installs the drawings, renders them, writes texts, sets and their sums.
# PYTHON names the interpreter (numpy and Pillow are needed).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root/world"
npm ci --no-audit --no-fund --silent
cd "$root"
"${PYTHON:-python3}" -m world build "$@"
(cd world/sets && sha256sum --check --quiet SHA256SUMS)
