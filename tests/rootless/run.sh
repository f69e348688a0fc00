#!/usr/bin/env bash
# The rootless lane: the tests of containers and of the command, run by a real unprivileged user, on each rung that
# it can have.
#
# bash tests/rootless/run.sh IMAGE. As root; makes the user sampan-test when it is missing (tests/lib/user.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/lib/user.sh
make_user

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"

# The tests are built by whoever owns the tree, and run by the user from a copy: the tree need not be readable.
# test_binary PACKAGE TEST
test_binary() {
  cargo test --quiet -p "$1" --test "$2" --no-run --message-format=json 2>/dev/null |
    sed -n "s/.*\"executable\":\"\([^\"]*\/$2-[^\"]*\)\".*/\1/p" | tail -1
}
tests=(attach attacks containers copy events exec control health restart security sharing userns)
for name in "${tests[@]}"; do install -m 755 "$(test_binary sampan "$name")" "$scratch/$name"; done
install -m 755 "$(test_binary sampan-cli command)" "$scratch/command"
install -m 755 "${CARGO_TARGET_DIR:-target}/debug/sampan" "$scratch/sampan"

for rung in subids single-id; do
  for name in "${tests[@]}" command; do
    echo "-- $name, rung $rung"
    as_user "$(getent passwd "$user" | cut -d: -f6)" SAMPAN_TEST_IMAGE="$1" SAMPAN_TEST_RUNG="$rung" \
      SAMPAN_TEST_COMMAND="$scratch/sampan" timeout 900 "$scratch/$name" --test-threads=2
  done
done
nothing_runs
