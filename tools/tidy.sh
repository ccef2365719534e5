#!/bin/sh
# clang-tidy over the library and the program: tools/tidy.sh BUILD_DIRECTORY JOBS
#
# BUILD_DIRECTORY was configured with CMAKE_UNITY_BUILD: headers are read, and the checks run over
# them, once for eight sources. To the analyzer those are headers of a source that has nothing else.
# With its usual budget of states it takes five times as long, mostly in what CLI11 and JSON make.
set -eu
cd "$(dirname "$0")/.."
build=$(cd "$1" && pwd)
python3 - "$build" "$PWD" <<'EOF' |
import json, sys
build, root = sys.argv[1:]
for entry in json.load(open(f"{build}/compile_commands.json")):
    if entry["file"].startswith((f"{build}/cliplens/", f"{root}/cliplens/")):
        print(entry["file"])
EOF
  # The build's commands are GCC's; warnings that clang does not know are passed over.
  xargs -P "$2" -n 1 clang-tidy --quiet -p "$build" --header-filter="^$PWD/cliplens/" \
    --checks=-bugprone-suspicious-include --extra-arg=-Wno-unknown-warning-option \
    --extra-arg=-Xclang --extra-arg=-analyzer-opt-analyze-headers \
    --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=20000
