#!/bin/sh
# Checks the page's types against the server's openapi.json, holds web/dist against a fresh build, byte by
# byte, and runs the unit tests.
# Usage: web/check.sh      (needs Node 18 or later, npm and a package registry)
set -eu
cd "$(dirname "$0")"
npm ci --silent --no-audit --no-fund --ignore-scripts
npm run --silent check || { echo "web/check.sh: the types do not hold" >&2; exit 1; }
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
npx vite build --logLevel warn --outDir "$fresh" --emptyOutDir
if ! diff -rq "$fresh" dist; then
  echo "web/check.sh: web/dist is not what its sources give: run 'npm run build' in web/ and commit it" >&2
  exit 1
fi
node --test tests/unit.test.mjs
echo "web/dist is what its sources give"
