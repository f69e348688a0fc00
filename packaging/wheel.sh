#!/usr/bin/env bash
# Builds the wheel as it is shipped, for glibc 2.28 or later (manylinux_2_28): bash packaging/wheel.sh DIR
#
# What is linked on this machine asks for this machine's glibc. zig (the package ziglang) brings the symbols of older
# ones to link with. A plain `maturin build` needs none of this and makes a wheel for machines like this one.
# Installs what is missing by the ordinary clients.
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
source packaging/lib.sh
compiler
need binutils command -v objdump
need python3 command -v python3
need python3-venv python3 -c 'import ensurepip'
cd bindings-python
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/py"
"$scratch/py/bin/pip" install --quiet --root-user-action ignore maturin ziglang
export SAMPAN_SHIM_LINKER=cc # it has no C library to be of an age
PATH=$scratch/py/bin:$PATH maturin build --quiet --release --zig --compatibility manylinux_2_28 --out "$scratch/wheels"
wheel=$(echo "$scratch"/wheels/*.whl)

# The name promises it; whether it holds is in the file.
python3 -m zipfile -e "$wheel" "$scratch/unpacked"
newest=$(objdump -T "$scratch"/unpacked/sampan/*.so | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
if [ "$(printf '%s\n' "$newest" GLIBC_2.28 | sort -V | tail -1)" != GLIBC_2.28 ]; then
  echo "$wheel asks for $newest" >&2
  exit 1
fi
mv "$wheel" "$out/"
echo "$out/$(basename "$wheel"): $newest at most"
