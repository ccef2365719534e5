#!/bin/sh
# clang-tidy over the project's own sources: tools/tidy.sh BUILD_DIRECTORY JOBS
set -eu
cd "$(dirname "$0")/.."
# The build's commands are GCC's; warnings that clang does not know are passed over.
git ls-files 'cliplens/*.cc' |
  xargs -P "$2" -n 4 clang-tidy --quiet -p "$1" --extra-arg=-Wno-unknown-warning-option
