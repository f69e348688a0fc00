#!/usr/bin/env bash
# Runs every lane of the gate, or those named: bash tests/run.sh [lane...]. Stops at the first red.
#
# Installs what is missing by the ordinary clients (apt, pip, npm, cargo); run it as root. A lane that can't
# run here says SKIPPED and why, in the summary too; nothing is skipped in silence.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
export CARGO_TERM_COLOR=never PIP_ROOT_USER_ACTION=ignore
lanes=(fmt clippy deny unit gates c python node conformance rootless examples vm)
[ $# -gt 0 ] && lanes=("$@")
summary=()
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { printf '\n== %s\n' "$*"; }
skip() { echo "SKIPPED $1: $2"; summary+=("SKIPPED $1: $2"); skipped=1; }

apt_need() {
  local missing=() package
  for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ -n "${apt_updated:-}" ] || { apt-get update -q >/dev/null; apt_updated=1; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
}

lane_fmt() { cargo fmt --all --check; }

lane_clippy() { cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings; }

lane_deny() {
  command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny
  cargo deny --log-level error check bans licenses sources
}

lane_unit() {
  apt_need busybox-static docker-registry libseccomp2 podman skopeo uidmap zstd zsh fish
  if command -v cargo-nextest >/dev/null; then
    cargo nextest run --workspace --all-features --no-fail-fast --status-level fail
  else
    cargo test --workspace --all-features
  fi
}

lane_gates() {
  apt_need gcc g++ libc6-dev binutils
  cargo run --quiet -p xtask -- generate --check
  cargo run --quiet -p xtask -- floors
  cargo run --quiet -p xtask -- abi
  cargo run --quiet -p xtask -- parity
}

# registry: sets $registry to a loopback registry with the busybox image, until the script ends.
registry() {
  [ -n "${registry:-}" ] && return
  apt_need busybox-static docker-registry skopeo zstd
  mkdir -p "$scratch/registry"
  coproc REGISTRY { exec bash tests/lib/images.sh serve "$scratch/registry" busybox; }
  read -r registry <&"${REGISTRY[0]}"
}

lane_c() {
  apt_need gcc g++ libc6-dev make pkg-config valgrind
  registry
  bash tests/c/run.sh "$registry/busybox:latest" | tee "$scratch/c.log"
  local uncalled
  uncalled=$(sed -n 's/^no C program calls //p' "$scratch/c.log")
  [ -z "$uncalled" ] || skip c "all ran; no C program calls $(echo $uncalled)"
}

# wheel, tarball: build the package once and set $wheel or $tarball.
wheel() {
  [ -n "${wheel:-}" ] && return
  python3 -m venv "$scratch/py"
  "$scratch/py/bin/pip" install --quiet maturin pytest
  (cd bindings-python && "$scratch/py/bin/maturin" build --quiet --release --out "$scratch/wheels")
  wheel=$(echo "$scratch"/wheels/*.whl)
}

tarball() {
  [ -n "${tarball:-}" ] && return
  bash bindings-node/pack.sh "$scratch/node"
  tarball=$(echo "$scratch"/node/*.tgz)
}

lane_python() {
  registry
  wheel
  "$scratch/py/bin/pip" install --quiet "$wheel"
  # From elsewhere, so that the installed package is tested and not the sources.
  (cd "$scratch" && SAMPAN_TEST_IMAGE="$registry/busybox:latest" "$scratch/py/bin/pytest" -q "$top/bindings-python/tests")
}

lane_node() {
  registry
  tarball
  (cd "$scratch/node" && npm install --silent --no-audit --no-fund "$tarball")
  cp -r bindings-node/tests "$scratch/node/tests"
  (cd "$scratch/node" && SAMPAN_TEST_IMAGE="$registry/busybox:latest" node --test tests/)
}

lane_conformance() {
  apt_need uidmap gcc libc6-dev python3-venv
  registry
  bash tests/conformance/run.sh "$registry/busybox:latest"
}

lane_rootless() {
  apt_need uidmap
  registry
  bash tests/rootless/run.sh "$registry/busybox:latest"
  wheel
  bash tests/rootless/bindings.sh "$registry/busybox:latest" python "$wheel"
  tarball
  bash tests/rootless/bindings.sh "$registry/busybox:latest" node "$tarball"
}

lane_examples() { bash tests/examples/run.sh; }

lane_vm() {
  [ "$(uname -m)" = x86_64 ] || { skip vm "its machine is an x86_64 one, and emulated from elsewhere it takes too long"; return; }
  apt_need qemu-system-x86 busybox-static docker-registry skopeo uidmap cpio e2fsprogs binutils zstd
  [ -n "${apt_updated:-}" ] || apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || apt-get update -q >/dev/null
  bash tests/vm/run.sh
}

for lane in "${lanes[@]}"; do
  say "$lane"
  began=$SECONDS
  skipped=
  "lane_$lane"
  # A lane that skipped all or a part has said so itself; it is not also called ok.
  [ -n "$skipped" ] || summary+=("ok $lane ($((SECONDS - began)) s)")
done

say summary
printf '%s\n' "${summary[@]}"
