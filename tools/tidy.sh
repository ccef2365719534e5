#!/bin/sh
# clang-tidy over the library and the program: tools/tidy.sh BUILD_DIRECTORY JOBS [CLANG_TIDY]
#
# BUILD_DIRECTORY was configured with CMAKE_UNITY_BUILD: headers are read, and the checks run over
# them, once for many sources. The analyzer takes sources that another includes for headers, and
# passes over them, unless the path of that other has "UnifiedSource" in it: so BUILD_DIRECTORY has
# it in its name. With the analyzer's usual budget of states it would take nearly three times as long.
set -eu
cd "$(dirname "$0")/.."
build=$(cd "$1" && pwd)
case $build in
  *UnifiedSource*) ;;
  *) echo "$build: its name has no UnifiedSource (see $0)" >&2; exit 2 ;;
esac
# The program's sources, which take longest, come last there.
python3 - "$build" "$PWD" <<'EOF' |
import json, sys
build, root = sys.argv[1:]
for entry in reversed(json.load(open(f"{build}/compile_commands.json"))):
    if entry["file"].startswith((f"{build}/cliplens/", f"{root}/cliplens/")):
        print(entry["file"])
EOF
  # The build's commands are GCC's; warnings that clang does not know are passed over. omp.h is GCC's.
  xargs -P "$2" -n 1 "${3:-clang-tidy}" --quiet -p "$build" --header-filter="^$PWD/cliplens/" \
    --extra-arg=-Wno-unknown-warning-option \
    --extra-arg=-idirafter"$(g++ -print-file-name=include)" \
    --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=20000
