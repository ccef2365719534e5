#!/usr/bin/env bash
# The recorder on a CUDA GPU, in at most eight minutes: bench/gpu/recorder.py with its results in $OUT (or build/).
#   bench/gpu/recorder.sh                          on the GPU
#   bench/gpu/recorder.sh --device cpu --small     to try the script without one
# PYTHON names the interpreter; it needs torch and transformers, and takes open_clip_torch where it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
out="${OUT:-build}"
mkdir -p "$out"
timeout 480 "${PYTHON:-python3}" bench/gpu/recorder.py --out "$out" "$@" 2>&1 | tee "$out/recorder-gpu.txt"
