#!/usr/bin/env bash
# What is shipped: its size, what it asks of a system, and that it runs a container there.
#
# bash tests/package/run.sh IMAGE COMMAND WHEEL TARBALL PREFIX
# The command by packaging/command.sh, the wheel by packaging/wheel.sh, Node's package by bindings-node/pack.sh, and a
# prefix by `xtask install`.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=$1 command=$2 wheel=$3 tarball=$4 prefix=$5
version=$(cargo metadata --quiet --no-deps --format-version 1 |
  python3 -c 'import json, sys; print(next(p["version"] for p in json.load(sys.stdin)["packages"] if p["name"] == "sampan"))')
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1

fail() { echo "package: $*" >&2; exit 1; }

# at_most KILOBYTES FILE: of a thousand bytes each.
at_most() {
  local size
  size=$(stat -L -c %s "$2")
  echo "$(basename "$2"): $((size / 1000)) kB of $1"
  [ "$size" -le $(($1 * 1000)) ] || fail "$2 is larger than $1 kB"
}

sizes() {
  at_most 5000 "$prefix/lib/libsampan.so"
  at_most 3000 "$wheel"
  at_most 3000 "$tarball"
  at_most 9000 "$command"
}

# No program loads it and no library is loaded for it, so that it runs on any distribution.
command_is_static() {
  ! readelf --wide --program-headers "$command" | grep -E 'INTERP|DYNAMIC' || fail "$command is not static"
  [ "$("$command" --version)" = "sampan $version" ] || fail "$command is of another version: $("$command" --version)"
}

# It asks nothing of the file system that it is started in: a root of an empty directory but for itself will do.
command_runs() {
  mkdir "$scratch/bare"
  install -m 755 "$command" "$scratch/bare/sampan"
  chroot "$scratch/bare" /sampan --help >/dev/null || fail "$command does not start in an empty root"
  local said
  said=$("$command" --root "$scratch/store" run --rm --quiet --network none "$image" echo hello)
  [ "$said" = hello ] || fail "$command: the container wrote \"$said\""
  "$command" --root "$scratch/store" rmi "$image" >/dev/null
}

# build_script FLAG SETTING...: what the command's build script asks of the compiler, with a flag of the compiler.
build_script() {
  local flag=$1 target
  shift
  target=$(uname -m)-unknown-linux-musl
  env CARGO_CFG_TARGET_ENV=musl CARGO_CFG_TARGET_OS=linux CARGO_CFG_TARGET_ARCH="$(uname -m)" PROFILE=release \
    OUT_DIR="$scratch" RUSTC=rustc TARGET="$target" CARGO_ENCODED_RUSTFLAGS="$flag" "$@" "$scratch/build-script"
}

# A start has its functions together in the file, where the linker can have it so.
order_of_functions() {
  readelf -SW "$command" | grep -qF .text.first || fail "$command has its functions in no order"
  CARGO_MANIFEST_DIR=$PWD/cli rustc --edition 2024 -o "$scratch/build-script" cli/build.rs
  local ordered='cargo::rustc-link-arg-bins=-T'
  build_script '' env | grep -qF "$ordered" || fail "the usual linker is given no order"
  ! build_script '' SAMPAN_ORDER=0 | grep -F "$ordered" || fail "SAMPAN_ORDER=0 leaves the order in"
  ! build_script '' CARGO_CFG_TARGET_ENV=gnu | grep -F "$ordered" || fail "a command that is loaded is given an order"
  # This one knows no scripts.
  ! build_script -Clink-arg=-fuse-ld=mold env | grep -F "$ordered" || fail "mold is given an order, which it refuses"
}

wheel_s_name() {
  case $(basename "$wheel") in
    "sampan-$version-cp39-abi3-manylinux_2_28_$(uname -m).whl") ;;
    *) fail "$wheel has another name than that of a wheel for every CPython from 3.9 on glibc 2.28" ;;
  esac
}

# pythons: each version of Python from 3.9 that is here, oldest first: VERSION PROGRAM.
pythons() {
  local program
  for program in "${PYENV_ROOT:-${HOME:-/root}/.pyenv}"/versions/*/bin/python3 /usr/bin/python3 /usr/local/bin/python3; do
    [ -x "$program" ] && "$program" -c 'import ensurepip, sys
if sys.version_info >= (3, 9) and sys.implementation.name == "cpython": print("%d.%d" % sys.version_info[:2], sys.executable)' 2>/dev/null || true
  done | sort -V -u -k 1,1
}

# wheel_runs PYTHON: in an environment that has nothing else.
wheel_runs() {
  local environment
  environment=$(mktemp -d "$scratch/py.XXXXXX")
  "$1" -m venv "$environment"
  "$environment/bin/pip" install --quiet --no-index "$wheel"
  (cd "$scratch" && "$environment/bin/python" - "$image" "$version" "$environment/store") <<'PY'
import platform, sys
import sampan

image, version, root = sys.argv[1:]
assert sampan.__version__ == version, sampan.__version__
with sampan.Engine(root, run_dir=root + ".run") as engine:
    output = engine.run(image, ["echo", "hello"], network="none", progress=False)
    assert output.stdout == "hello\n", output
    engine.images.get(image).remove()
print(f"CPython {platform.python_version()} runs a container")
PY
}

wheel_runs_everywhere() {
  local found
  mapfile -t found < <(pythons)
  [ ${#found[@]} -gt 0 ] || fail "there is no CPython from 3.9 here with ensurepip (apt: python3-venv)"
  # The oldest and the newest: what changed between them shows in one of the two.
  wheel_runs "${found[0]#* }"
  [ ${#found[@]} -eq 1 ] || wheel_runs "${found[-1]#* }"
}

# Node's package holds what it needs, and nothing of how it was built.
tarball_s_files() {
  local files
  files=$(tar -tzf "$tarball")
  grep -qx "package/sampan.linux-.*-gnu.node" <<<"$files" || fail "$tarball has no addon"
  ! grep -vE '^package/(dist/.*\.(js|d\.ts|map)|.*\.(mjs|cjs|mts|cts|node)|package\.json|README\.md)$' <<<"$files" ||
    fail "$tarball holds what is not part of the package"
}

sizes
command_is_static
command_runs
order_of_functions
wheel_s_name
wheel_runs_everywhere
tarball_s_files
