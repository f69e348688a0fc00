#!/usr/bin/env bash
# Runs the conformance cases through every driver, as root and as a plain user on each rung, and compares what they ran.
#
# bash tests/conformance/run.sh IMAGE [FILTER]. As root; makes the user sampan-test with subordinate ids, and ids for containers, when they are missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=$1 filter=${2:-}
drivers=(rust c python node)
target=${CARGO_TARGET_DIR:-$PWD/target}
source tests/lib/user.sh
make_user
make_ids

# The user need not be able to read the tree: all that is run is copied out of it.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
cp -r tests/conformance/cases core/api.json "$scratch"

build_rust() {
  cargo build --quiet -p sampan-conformance
  cp "$target/debug/sampan-conformance" "$scratch/rust"
}

build_c() {
  cargo rustc --quiet -p sampan --features capi --crate-type cdylib
  cp "$target/debug/libsampan.so" "$scratch"
  gcc -std=c99 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror -g -Iinclude tests/conformance/c/*.c -o "$scratch/c" \
    "$scratch/libsampan.so" -Wl,-rpath,"$scratch" -lpthread
}

build_python() {
  # The system's own: another may lie where the user can't read it.
  /usr/bin/python3 -m venv "$scratch/py"
  "$scratch/py/bin/pip" install --quiet maturin
  (cd bindings-python && "$scratch/py/bin/maturin" build --quiet --out "$scratch/wheels" >/dev/null 2>&1)
  "$scratch/py/bin/pip" install --quiet "$scratch"/wheels/*.whl
  cp -r tests/conformance/python "$scratch/python"
}

# The package's files where Node looks for them; that it can be packed and installed is a test of its own.
build_node() {
  local package=$scratch/node/node_modules/sampan
  [ -e bindings-node/node_modules/typescript ] ||
    (cd bindings-node && npm install --silent --no-audit --no-fund --no-package-lock)
  node bindings-node/scripts/build.mjs --debug
  mkdir -p "$package"
  cp -r bindings-node/{dist,index.mjs,native.cjs,package.json} bindings-node/*.node "$package"
  cp tests/conformance/node/*.mjs "$scratch/node"
}

command_rust() { command=("$scratch/rust"); }
command_c() { command=("$scratch/c"); }
command_python() { command=("$scratch/py/bin/python" "$scratch/python/driver.py"); }
command_node() { command=(node "$scratch/node/driver.mjs"); }

# run USER RUNG: every driver, and the comparison of what each ran.
run() {
  local as=$1 rung=$2 driver work command bad=0
  for driver in "${drivers[@]}"; do
    "command_$driver"
    work=$(mktemp -d "$scratch/work.XXXXXX")
    chown "$as:" "$work"
    runuser -u "$as" -- env -i HOME="$(getent passwd "$as" | cut -d: -f6)" PATH="$PATH" LANG=C.UTF-8 \
      SAMPAN_TEST_IMAGE="$image" SAMPAN_TEST_API="$scratch/api.json" ${rung:+SAMPAN_TEST_RUNG="$rung"} \
      timeout 600 "${command[@]}" "$scratch/cases" "$work" "$filter" >"$scratch/log.$driver" 2>&1 || bad=1
    grep -vE '^(ok|skipped) ' "$scratch/log.$driver" | sed "s/^/$driver: /"
    grep -oE '^(ok|skipped|FAILED) [^:]*' "$scratch/log.$driver" | sed 's/^FAILED/ok/' | sort >"$scratch/ids.$driver"
    cat "$scratch/ids.$driver" >>"$scratch/ran"
    cmp -s "$scratch/ids.rust" "$scratch/ids.$driver" ||
      { echo "$driver did not run the cases that rust ran:"; diff "$scratch/ids.rust" "$scratch/ids.$driver" || bad=1; }
    [ -s "$scratch/ids.$driver" ] || { echo "$driver: no case was run"; bad=1; }
    rm -rf "$work"
  done
  return $bad
}

for driver in "${drivers[@]}"; do "build_$driver"; done
failed=0
echo "-- root" && run root "" || failed=1
for rung in subids single-id; do
  echo "-- $user, rung $rung" && run "$user" "$rung" || failed=1
done
nothing_runs || failed=1
# A case that needs what no rung here has was run nowhere, and would rot unseen.
sed -n 's/^ok //p' "$scratch/ran" | sort -u >"$scratch/ran.ok"
sed -n 's/^skipped //p' "$scratch/ran" | sort -u | comm -23 - "$scratch/ran.ok" >"$scratch/never"
# But for those that need another version of cgroups than this host's: version 2's are run by the lane vm.
awk '$1 == "case" { id = $2 } $1 == "needs" && $2 == "cgroup" { print id }' "$scratch"/cases/*.cases | sort -u >"$scratch/of_cgroups"
comm -12 "$scratch/never" "$scratch/of_cgroups" | sed 's/^/not run, its cgroups are not of this host: /'
never=$(comm -23 "$scratch/never" "$scratch/of_cgroups")
[ -z "$never" ] || { printf 'skipped on every rung:\n%s\n' "$never" >&2; failed=1; }
exit $failed
