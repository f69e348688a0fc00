#!/usr/bin/env bash
# Builds what is shipped and measures it: bash core/benches/run.sh [part...]; parts are runs exec many package pull.
#
# Installs what is missing by the ordinary clients; run it as root, on a quiet machine. See README.md beside this.
set -euo pipefail
cd "$(dirname "$0")/../.."
parts=${*:-runs exec many package pull}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PIP_ROOT_USER_ACTION=ignore

apt_need() {
  local missing=() package
  for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
}

apt_need gcc libc6-dev busybox-static docker-registry skopeo zstd podman crun python3-venv
echo "building (logs in $scratch until this ends)" >&2
bash packaging/command.sh "$scratch/command" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
export SAMPAN_BENCH_CLI=$scratch/command/sampan
cargo run --quiet --release -p xtask -- install --prefix "$scratch/c" >>"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
SAMPAN_BENCH_LIB=$(find "$scratch/c" -name 'libsampan.so.*' -type f | head -1)
export SAMPAN_BENCH_LIB
python3 -m venv "$scratch/py"
"$scratch/py/bin/pip" install --quiet maturin
(cd bindings-python && "$scratch/py/bin/maturin" build --quiet --release --out "$scratch/wheels")
SAMPAN_BENCH_WHEEL=$(echo "$scratch"/wheels/*.whl)
export SAMPAN_BENCH_WHEEL SAMPAN_BENCH_PYTHON=$scratch/py/bin/python
"$scratch/py/bin/pip" install --quiet "$SAMPAN_BENCH_WHEEL"
if command -v npm >/dev/null; then
  bash bindings-node/pack.sh "$scratch/npm" >>"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
  SAMPAN_BENCH_NPM=$(echo "$scratch"/npm/*.tgz)
  export SAMPAN_BENCH_NPM
fi
SAMPAN_BENCH_ONLY=$parts cargo bench --quiet -p sampan --bench containers
case " $parts " in *" pull "*) cargo bench --quiet -p sampan --bench pull ;; esac
