#!/usr/bin/env bash
# The rootless lane: the tests of containers, run by a real unprivileged user, on each rung that it can have.
#
# bash tests/rootless/run.sh IMAGE. As root; makes the user sampan-test with subordinate ids when it is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
user=sampan-test
id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
grep -q "^$user:" /etc/subuid || usermod --add-subuids 300000-365535 --add-subgids 300000-365535 "$user"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"

# The tests are built by whoever owns the tree, and run by the user from a copy: the tree need not be readable.
for name in containers exec control; do
  binary=$(cargo test --quiet -p sampan --test "$name" --no-run --message-format=json 2>/dev/null |
    sed -n "s/.*\"executable\":\"\([^\"]*$name-[^\"]*\)\".*/\1/p" | tail -1)
  install -m 755 "$binary" "$scratch/$name"
done

for rung in subids single-id; do
  for name in containers exec control; do
    echo "-- rung $rung: $name"
    runuser -u "$user" -- env -i HOME="$(getent passwd "$user" | cut -d: -f6)" PATH=/usr/bin:/bin:/usr/sbin:/sbin \
      SAMPAN_TEST_IMAGE="$1" SAMPAN_TEST_RUNG="$rung" "$scratch/$name" --test-threads=2
  done
done
# What runs still. A zombie whose parent is PID 1 has ended, and is PID 1's to reap, which some do late.
left=$(ps -u "$user" -o pid=,ppid=,stat=,args= | awk '!($2 == 1 && $3 ~ /^Z/)')
[ -z "$left" ] || { printf 'processes were left behind:\n%s\n' "$left" >&2; exit 1; }
