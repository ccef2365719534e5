#!/bin/sh
# Installs the Debian packages that a target of the Makefile needs and that are missing, naming them
# first. Usage: tools/setup.sh build|python|test|web|docs|fuzz
set -eu

build="build-essential cmake ninja-build pkg-config libdnnl-dev ocl-icd-opencl-dev libhwy-dev libeigen3-dev
libjpeg62-turbo-dev libpng-dev libwebp-dev libtiff-dev libavif-dev libheif-dev
libopenjp2-7-dev libgif-dev liblcms2-dev libzip-dev zlib1g-dev libsnappy-dev libzstd-dev libhdf5-dev
libxxhash-dev nlohmann-json3-dev libcli11-dev libfmt-dev
libutf8proc-dev libcurl4-openssl-dev libssl-dev libfaiss-dev libfreetype-dev fonts-dejavu-core libboost-dev
python3-pip"
python="$build python3-dev"
test="$python libgtest-dev clang-format ccache python3-venv nodejs npm ca-certificates"
web="$build nodejs npm ca-certificates chromium"
docs="doxygen python3-venv"
fuzz="$build clang-14 libclang-rt-14-dev libomp-14-dev llvm-14"

case "${1:-}" in
  build) packages=$build ;;
  python) packages=$python ;;
  test) packages=$test ;;
  web) packages=$web ;;
  docs) packages=$docs ;;
  fuzz) packages=$fuzz ;;
  *) echo "usage: tools/setup.sh build|python|test|web|docs|fuzz" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "This is no Debian system: install by hand what these packages hold:" >&2
  echo "$packages" >&2
  exit 0
fi

installed() {
  dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

missing=""
for package in $packages; do
  # A command that is there already, from wherever, is as good as its package.
  case $package in
    nodejs) command -v node >/dev/null 2>&1 && continue ;;
    npm) command -v npm >/dev/null 2>&1 && continue ;;
    cmake | clang-format) command -v "$package" >/dev/null 2>&1 && continue ;;
    ninja-build) command -v ninja >/dev/null 2>&1 && continue ;;
    python3-pip) python3 -m pip --version >/dev/null 2>&1 && continue ;;
    python3-dev)
      python3 -c 'import os, sysconfig; open(os.path.join(sysconfig.get_path("include"), "Python.h"))' \
        2>/dev/null && continue ;;
    python3-venv) python3 -c 'import ensurepip' >/dev/null 2>&1 && continue ;;
  esac
  installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "Debian packages to install:$missing"
if [ "$(id -u)" -eq 0 ]; then
  as_root=""
elif command -v sudo >/dev/null 2>&1; then
  as_root="sudo"
else
  echo "Neither root nor sudo here. Ask an administrator to run:" >&2
  echo "  apt-get install -y --no-install-recommends$missing" >&2
  exit 1
fi
$as_root apt-get update -qq
# shellcheck disable=SC2086  # a list of names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
