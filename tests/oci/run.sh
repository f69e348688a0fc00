#!/usr/bin/env bash
# The validation programs of opencontainers/runtime-tools with this runtime, held against `expected`.
#
#   bash tests/oci/run.sh SUITE RUNTIME [PROGRAM...]
#
# SUITE is a checkout of it that was built as its own README says; nothing of it is kept here. Run it as root.
set -euo pipefail
suite=$(realpath "$1") runtime=$(realpath -s "$2")
shift 2
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Containers in a user namespace have to get to their bundles.
chmod 755 "$scratch"

# verdict LOG CODE: `pass` when it ends well and all that it says in TAP is ok. Some say nothing then.
verdict() {
  if [ "$2" != 0 ] || grep -E '^\s*not ok' "$1" | grep -vE '# (TODO|SKIP)' >/dev/null; then
    echo fail
  else
    echo pass
  fi
}

cd "$suite"
[ -x runtimetest ] || { echo "$suite is not built: runtimetest is missing" >&2; exit 1; }
programs=("$@")
[ $# -gt 0 ] || for program in validation/*/*.t; do programs+=("$(basename "$program" .t)"); done
wrong=0 passed=0
logs=${OCI_LOGS:-$scratch}
for program in "${programs[@]}"; do
  code=0
  RUNTIME=$runtime TMPDIR=$scratch timeout 180 "validation/$program/$program.t" >"$logs/$program.log" 2>&1 </dev/null || code=$?
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
