#!/bin/sh
# The wheel of the Python package, with all libraries inside: tools/make_wheel.sh PYTHON OUT [pip options]
#
# PYTHON is of an environment with tools/requirements-package.txt. The wheel in OUT runs on any Linux whose C
# library is as new as this machine's, which its name says, with Python 3.10 and later.
set -eu
python=$1
out=$2
shift 2
cd "$(dirname "$0")/.."
rm -rf "$out"
mkdir -p "$out"
raw=$(mktemp -d)
trap 'rm -rf "$raw"' EXIT
# The compiler by the name that CMake gives it elsewhere, so that ccache knows its work.
CXX="${CXX:-c++}" "$python" -m pip wheel -q . --disable-pip-version-check --no-deps --no-build-isolation -w "$raw" "$@"
PATH="$(dirname "$python"):$PATH" "$python" -m auditwheel -v repair --strip -w "$out" "$raw"/*.whl >"$raw/log" 2>&1 ||
  { cat "$raw/log"; exit 1; }
for wheel in "$out"/*.whl; do
  "$python" -m abi3audit --strict "$wheel" >"$raw/log" 2>&1 || { cat "$raw/log"; exit 1; }
  echo "$(basename "$wheel"): $(du -h "$wheel" | cut -f1)"
done
