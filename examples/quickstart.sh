#!/usr/bin/env bash
# Installs what is missing, builds the command, serves a busybox image from a loopback registry, pulls and runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
for package in busybox-static docker-registry skopeo zstd; do
  dpkg -s "$package" >/dev/null 2>&1 || { apt-get update -q >/dev/null; apt-get install -y -q --no-install-recommends "$package" >/dev/null; }
done
cargo build --quiet --release -p sampan-cli
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
coproc REGISTRY { exec bash tests/lib/images.sh serve "$scratch/registry" busybox; }
read -r registry <&"${REGISTRY[0]}"
sampan() { echo "\$ sampan $*"; target/release/sampan --root "$scratch/store" "$@"; }
sampan doctor
sampan pull "$registry/busybox"
sampan run --rm "$registry/busybox" echo "hello from a container"
sampan run --detach --name clock "$registry/busybox" sh -c 'while :; do date; sleep 1; done'
sampan ps
sampan stop --time 1 clock
sampan logs clock
sampan rm clock
