#!/usr/bin/env bash
# Builds the command as it is shipped, one static program for any distribution: bash packaging/command.sh DIR
#
# musl, at a fixed address: `--version` takes a third of the time of a dynamic build, since there is nothing to load and
# nothing to relocate. Installs what is missing by the ordinary clients.
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
target=$(uname -m)-unknown-linux-musl
source packaging/lib.sh
compiler
need musl-tools command -v musl-gcc
[ -d "$(rustc --print target-libdir --target "$target")" ] || rustup target add "$target" ||
  { echo "the compiler's library for $target is missing: install it (rustup target add $target)" >&2; exit 77; }
export "CC_${target//-/_}=musl-gcc" RUSTFLAGS="-C relocation-model=static"
cargo build --quiet --release --target "$target" -p sampan-cli
install -m 755 "$(target_directory)/$target/release/sampan" "$out/sampan"
ls -l "$out/sampan"
