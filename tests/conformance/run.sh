#!/usr/bin/env bash
# Runs the conformance cases through every driver, as root and as a plain user on each rung, and compares what they ran.
#
# bash tests/conformance/run.sh IMAGE [FILTER]. As root; makes the user sampan-test with subordinate ids when it is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=$1 filter=${2:-}
drivers=(rust)
user=sampan-test
id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
grep -q "^$user:" /etc/subuid || usermod --add-subuids 300000-365535 --add-subgids 300000-365535 "$user"

# The user need not be able to read the tree: all that is run is copied out of it.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
cp -r tests/conformance/cases core/api.json "$scratch"

build_rust() {
  cargo build --quiet -p sampan-conformance
  cp "${CARGO_TARGET_DIR:-target}/debug/sampan-conformance" "$scratch/rust"
}

command_rust() { command=("$scratch/rust"); }

# run USER RUNG: every driver, and the comparison of what each ran.
run() {
  local as=$1 rung=$2 driver work command bad=0
  for driver in "${drivers[@]}"; do
    "command_$driver"
    work=$(mktemp -d "$scratch/work.XXXXXX")
    chown "$as" "$work"
    runuser -u "$as" -- env -i HOME="$(getent passwd "$as" | cut -d: -f6)" PATH="$PATH" LANG=C.UTF-8 \
      SAMPAN_TEST_IMAGE="$image" SAMPAN_TEST_API="$scratch/api.json" ${rung:+SAMPAN_TEST_RUNG="$rung"} \
      timeout 600 "${command[@]}" "$scratch/cases" "$work" "$filter" >"$scratch/log.$driver" 2>&1 || bad=1
    grep -vE '^(ok|skipped) ' "$scratch/log.$driver" | sed "s/^/$driver: /"
    grep -oE '^(ok|skipped|FAILED) [^:]*' "$scratch/log.$driver" | sed 's/^FAILED/ok/' | sort >"$scratch/ids.$driver"
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
# A zombie whose parent is PID 1 has ended, and is PID 1's to reap, which some do late.
left=$(ps -u "$user" -o pid=,ppid=,stat=,args= | awk '!($2 == 1 && $3 ~ /^Z/)')
[ -z "$left" ] || { printf 'processes were left behind:\n%s\n' "$left" >&2; failed=1; }
exit $failed
