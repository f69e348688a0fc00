#!/usr/bin/env bash
# Builds what is shipped and measures it: bash core/benches/run.sh [part...]; parts are runs exec many package pull.
#
# Installs what is missing by the ordinary clients; run it as root, on a quiet machine. What a variable of README.md
# names already is not built.
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
# quietly COMMAND...: what it says is of interest only when it fails.
quietly() { "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; exit 1; }; }

# wanted VARIABLE PART...: true when one of the parts is asked for, and what it measures is not given already.
wanted() {
  local variable=$1 part
  shift
  [ -z "${!variable:-}" ] || return 1
  for part in "$@"; do
    case " $parts " in *" $part "*) return 0 ;; esac
  done
  return 1
}

if wanted SAMPAN_BENCH_CLI runs exec package; then
  quietly bash packaging/command.sh "$scratch/command"
  export SAMPAN_BENCH_CLI=$scratch/command/sampan
fi
if wanted SAMPAN_BENCH_LIB runs package; then
  quietly cargo run --quiet --release -p xtask -- install --prefix "$scratch/c"
  SAMPAN_BENCH_LIB=$(find "$scratch/c" -name 'libsampan.so.*' -type f | head -1)
  export SAMPAN_BENCH_LIB
fi
if wanted SAMPAN_BENCH_WHEEL runs package; then
  quietly bash packaging/wheel.sh "$scratch/wheel"
  SAMPAN_BENCH_WHEEL=$(echo "$scratch"/wheel/*.whl)
  export SAMPAN_BENCH_WHEEL
fi
if wanted SAMPAN_BENCH_PYTHON runs package; then
  quietly python3 -m venv "$scratch/py"
  quietly "$scratch/py/bin/pip" install "$SAMPAN_BENCH_WHEEL"
  export SAMPAN_BENCH_PYTHON=$scratch/py/bin/python
fi
if wanted SAMPAN_BENCH_NPM package && command -v npm >/dev/null; then
  quietly bash bindings-node/pack.sh "$scratch/npm"
  SAMPAN_BENCH_NPM=$(echo "$scratch"/npm/*.tgz)
  export SAMPAN_BENCH_NPM
fi
case " $parts " in *" runs "* | *" exec "* | *" many "* | *" package "*)
  SAMPAN_BENCH_ONLY=$parts cargo bench --quiet -p sampan --bench containers ;;
esac
case " $parts " in *" pull "*) cargo bench --quiet -p sampan --bench pull ;; esac
