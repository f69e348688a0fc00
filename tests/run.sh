#!/usr/bin/env bash
# Runs every lane of the gate, or those named: bash tests/run.sh [lane...]. Stops at the first red.
#
# Installs what is missing by the ordinary clients (apt, pip, npm, cargo); run it as root. Each lane asks for all that
# it needs, so that one alone runs on a bare machine. A lane that can't run here says SKIPPED and why, in the summary
# too; nothing is skipped in silence, and nothing hangs: what takes far too long is ended and red.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
export CARGO_TERM_COLOR=never PIP_ROOT_USER_ACTION=ignore
lanes=(fmt clippy deny unit gates aarch64 c python node package conformance rootless examples oci engines vm ubuntu)
[ $# -gt 0 ] && lanes=("$@")
summary=()
scratch=$(mktemp -d)
ours=
trap 'rm -rf "$scratch" ${ours:+"$ours"}' EXIT

say() { printf '\n== %s\n' "$*"; }
skip() { echo "SKIPPED $1: $2"; summary+=("SKIPPED $1: $2"); skipped=1; }

# limit MINUTES COMMAND...: ends it, with all that it started in its process group, after that time.
limit() {
  local minutes=$1 code=0
  shift
  timeout --kill-after=30 "${minutes}m" "$@" || code=$?
  [ $code -ne 124 ] || echo "ended after $minutes minutes: $*" >&2
  return $code
}

apt_update() { [ -n "${apt_updated:-}" ] || apt-get update -q -o Acquire::Retries=3 >/dev/null; apt_updated=1; }

apt_need() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  apt_update
  # Programs are wanted, and none of the services that come with them: this is how Debian is told not to start any.
  local policy=/usr/sbin/policy-rc.d
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && ours=$policy; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o Acquire::Retries=3 "${missing[@]}" >/dev/null
  rm -f ${ours:+"$ours"} && ours=
}

# What several lanes need. The libraries of C that the crates build want a compiler; the lanes ask the user's processes.
compiler() { apt_need gcc libc6-dev; }
# The whole workspace: Python's package asks an interpreter what it is built for.
workspace() {
  compiler
  apt_need python3
}
command_tools() { apt_need fish podman zsh; }
python_tools() {
  compiler
  apt_need python3 python3-venv
}
node_tools() {
  compiler
  command -v node >/dev/null && command -v npm >/dev/null || apt_need nodejs npm
}
vm_tools() {
  compiler
  apt_need qemu-system-x86 apparmor secilc busybox-static debootstrap docker-registry skopeo uidmap cpio e2fsprogs binutils zstd
}
user_tools() { apt_need procps uidmap; }

# The shim is no target that cargo knows.
lane_fmt() { cargo fmt --all --check && rustfmt --check --edition 2024 core/shim/main.rs; }

lane_clippy() {
  workspace
  cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings
  clippy_of_the_shim
}

# Nor one whose warnings cargo would show.
clippy_of_the_shim() {
  clippy-driver core/shim/main.rs --edition=2024 --crate-type=bin --crate-name=sampan_shim --cfg=shim \
    '--check-cfg=cfg(shim,test)' -Cpanic=abort --emit=metadata -o target/shim.rmeta -D warnings \
    -W clippy::all -W clippy::undocumented_unsafe_blocks
}

lane_deny() {
  compiler
  command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny
  cargo deny --log-level error check bans licenses sources
}

lane_unit() {
  workspace
  command_tools
  apt_need apparmor busybox-static docker-registry e2fsprogs iproute2 libseccomp2 openssl procps skopeo uidmap zstd
  if command -v cargo-nextest >/dev/null; then
    limit 60 cargo nextest run --workspace --all-features --no-fail-fast --status-level fail
  else
    limit 60 cargo test --workspace --all-features --no-fail-fast
  fi
}

lane_gates() {
  compiler
  apt_need g++ binutils
  cargo run --quiet -p xtask -- generate --check
  cargo run --quiet -p xtask -- floors
  cargo run --quiet -p xtask -- abi
  cargo run --quiet -p xtask -- parity
}

# The other processor: all compiles for it, the shim too; what makes no container runs under an emulator of programs.
# Filters are held against libseccomp by the lane unit, for both.
lane_aarch64() {
  [ "$(uname -m)" = x86_64 ] || { skip aarch64 "this machine's own processor is not x86_64"; return 0; }
  command -v rustup >/dev/null || { skip aarch64 "there is no rustup here to fetch the compiler's library for it"; return 0; }
  local target=aarch64-unknown-linux-gnu why
  rustup target list --installed | grep -qx $target || why=$(rustup target add $target 2>&1) ||
    { skip aarch64 "rustup can't fetch $target: $(tail -1 <<<"$why")"; return 0; }
  apt_need gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
  limit 30 cargo check --quiet --target $target -p sampan -p sampan-cli --all-features --tests
  limit 30 cargo test --quiet --target $target -p sampan --lib --all-features -- \
    error:: id:: plan:: reference:: seccomp:: spec:: wire:: registry::platform --skip against_libseccomp
  # Its entry, and its system calls, up to where it misses its request.
  local shim code=0
  shim=$(ls -t "$(realpath "${CARGO_TARGET_DIR:-target}")/$target"/debug/build/sampan-*/out/sampan-shim | head -1)
  qemu-aarch64-static "$shim" </dev/null || code=$?
  [ $code = 1 ] || { echo "the shim for $target ended with $code" >&2; return 1; }
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
  compiler
  apt_need binutils g++ libc6-dbg make pkg-config valgrind
  registry
  limit 30 bash tests/c/run.sh "$registry/busybox:latest"
}

# wheel, tarball: build the package once, as it is shipped, and set $wheel or $tarball.
wheel() {
  [ -n "${wheel:-}" ] && return
  python_tools
  bash packaging/wheel.sh "$scratch/wheels"
  wheel=$(echo "$scratch"/wheels/*.whl)
}

tarball() {
  [ -n "${tarball:-}" ] && return
  node_tools
  bash bindings-node/pack.sh "$scratch/node"
  tarball=$(echo "$scratch"/node/*.tgz)
}

lane_python() {
  registry
  wheel
  python3 -m venv "$scratch/py"
  "$scratch/py/bin/pip" install --quiet mypy pytest ipykernel typing_extensions "$wheel"
  # From elsewhere, so that the installed package is tested and not the sources.
  (cd "$scratch" && SAMPAN_TEST_IMAGE="$registry/busybox:latest" limit 15 "$scratch/py/bin/pytest" -q "$top/bindings-python/tests")
  # What a user's checker sees of it: the package itself, and programs that use it.
  (cd bindings-python && for what in "-p sampan" "$top/examples/python/quickstart.py" tests/typed.py; do
    "$scratch/py/bin/mypy" --no-error-summary --cache-dir "$scratch/mypy" $what
  done)
}

lane_node() {
  registry
  tarball
  (cd "$scratch/node" && npm install --silent --no-audit --no-fund "$tarball")
  cp -r bindings-node/tests "$scratch/node/tests"
  (cd "$scratch/node" && SAMPAN_TEST_IMAGE="$registry/busybox:latest" limit 15 node --test tests/*.test.mjs)
  # What a user's compiler sees of it.
  (cd "$scratch/node" && node "$top/bindings-node/node_modules/typescript/bin/tsc" --noEmit --strict --target es2022 \
    --lib es2023,esnext.disposable --module node16 --types node --typeRoots "$top/bindings-node/node_modules/@types" tests/types.mts)
}

lane_package() {
  apt_need binutils mold
  registry
  wheel
  tarball
  local code=0
  limit 30 bash packaging/command.sh "$scratch/command" || code=$?
  [ $code != 77 ] || { skip package "the compiler's library for a static command can't be had here"; return 0; }
  [ $code = 0 ] || return $code
  cargo run --quiet -p xtask -- install --prefix "$scratch/prefix" >/dev/null
  limit 10 bash tests/package/run.sh "$registry/busybox:latest" "$scratch/command/sampan" "$wheel" \
    "$tarball" "$scratch/prefix"
}

lane_conformance() {
  python_tools
  node_tools
  user_tools
  registry
  limit 60 bash tests/conformance/run.sh "$registry/busybox:latest"
}

lane_rootless() {
  user_tools
  apt_need python3
  command_tools
  compiler
  registry
  limit 60 bash tests/rootless/run.sh "$registry/busybox:latest"
  limit 10 bash tests/rootless/owners.sh
  wheel
  limit 15 bash tests/rootless/bindings.sh "$registry/busybox:latest" python "$wheel"
  tarball
  limit 15 bash tests/rootless/bindings.sh "$registry/busybox:latest" node "$tarball"
}

# runtime: builds the command and gives it the name by which it is an OCI runtime.
runtime() {
  compiler
  cargo build --quiet -p sampan-cli
  ln -sf "$(realpath "${CARGO_TARGET_DIR:-target}")/debug/sampan" "$scratch/sampan-oci"
}

lane_oci() {
  [ -d "${SAMPAN_RUNTIME_TOOLS:-}" ] || {
    skip oci "set SAMPAN_RUNTIME_TOOLS to a built checkout of opencontainers/runtime-tools (docs/oci.md, Conformance)"
    return 0
  }
  runtime
  limit 30 bash tests/oci/run.sh "$SAMPAN_RUNTIME_TOOLS" "$scratch/sampan-oci"
}

lane_engines() {
  apt_need busybox-static docker.io containerd runc
  runtime
  local code=0
  limit 10 bash tests/oci/engines.sh "$scratch/sampan-oci" | tee "$scratch/engines.log" || code=${PIPESTATUS[0]}
  local why
  why=$(sed -n 's/^SKIPPED //p' "$scratch/engines.log")
  [ -z "$why" ] || skip engines "$why"
  [ "$code" = 0 ] || [ "$code" = 77 ]
}

lane_examples() {
  python_tools
  node_tools
  user_tools
  apt_need busybox-static debootstrap docker-registry make pkg-config skopeo zstd
  limit 60 bash tests/examples/run.sh
}

lane_vm() {
  [ "$(uname -m)" = x86_64 ] || { skip vm "its machine is an x86_64 one, and emulated from elsewhere it takes too long"; return; }
  vm_tools
  apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || apt_update
  limit 60 bash tests/vm/run.sh
}

# Ubuntu's kernel alone keeps user namespaces for programs with a profile.
lane_ubuntu() {
  [ "$(uname -m)" = x86_64 ] || { skip ubuntu "its machine is an x86_64 one, and emulated from elsewhere it takes too long"; return; }
  [ -d "${SAMPAN_UBUNTU_PACKAGES:-}" ] || {
    skip ubuntu "set SAMPAN_UBUNTU_PACKAGES to a directory with Ubuntu 24.04's packages linux-image-*-generic, linux-modules-*-generic, apparmor and libc6"
    return 0
  }
  vm_tools
  limit 20 bash tests/vm/run.sh
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
