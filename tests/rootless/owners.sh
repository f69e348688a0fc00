#!/usr/bin/env bash
# A plain user's layers have the owners that the image says.
#
# bash tests/rootless/owners.sh. As root; makes a user of its own, and removes it. Wants
# target/debug/sampan.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/lib/user.sh
source tests/lib/images.sh
user=sampan-ids

scratch=$(mktemp -d)
chmod 755 "$scratch"
end() {
  [ -z "${REGISTRY_PID:-}" ] || kill "$REGISTRY_PID" 2>/dev/null || true
  nothing_runs || true
  userdel --remove "$user" 2>/dev/null || true
  rm -rf "$scratch"
}
trap end EXIT
fail() { echo "$*" >&2; exit 1; }
expect() { [ "$2" = "$3" ] || fail "$1: $2, and not $3"; }

first=700000-765535
useradd --create-home --shell /bin/bash "$user"
sed -i "/^$user:/d" /etc/subuid /etc/subgid
usermod --add-subuids $first --add-subgids $first "$user"
install -m 755 "${CARGO_TARGET_DIR:-target}/debug/sampan" "$scratch/sampan"
home=$(getent passwd "$user" | cut -d: -f6) store=$(getent passwd "$user" | cut -d: -f6)/.local/share/sampan
sampan() { as_user "$home" "$scratch/sampan" --rung subids "$@"; }

# An image with directories that are closed to who unpacks it, and more owners than are given at once.
image() {
  local tree=$scratch/tree n
  make_busybox_image "$(images_cache)/busybox"
  mkdir -p "$tree"/{bin,closed/deep,locked,ours,dev,proc,sys,etc,tmp}
  install -m 755 "$(command -v busybox)" "$tree/bin/busybox"
  for n in sh id find stat wc touch cat sleep chown; do ln -s busybox "$tree/bin/$n"; done
  (cd "$tree/closed/deep" && seq -f "$(printf 'a-long-name-%.0s' 1 2 3 4 5)%g" 9000 | xargs touch)
  touch "$tree/locked/f" "$tree/ours/f" "$tree/closed/able"
  chown -R 100:101 "$tree/closed"
  chown 7:8 "$tree/locked/f"
  # `cap_net_raw+ep`, after the owner, which takes it.
  python3 -c 'import os, sys; os.setxattr(sys.argv[1], "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))' "$tree/closed/able"
  chmod 700 "$tree/closed"
  chmod 0 "$tree/locked"
  tar -C "$tree" --numeric-owner --xattrs '--xattrs-include=security.capability' -cf "$scratch/tree.tar" .
  oci_layout "$scratch/layout" "$scratch/tree.tar" '["sh"]'
}

image
serve_registry "$scratch/registry"
push_image "$scratch/layout" "$REGISTRY/owners:1"
name=$REGISTRY/owners:1
owners='find /closed ! -user 100 -o ! -group 101 | wc -l; find /closed | wc -l; stat -c %u:%g /locked/f /ours/f /closed/able'
right=$(printf '0\n9003\n7:8\n0:0\n100:101')

echo "-- owners below what is closed"
expect "the owners" "$(sampan run --rm "$name" sh -c "$owners")" "$right"
getcap_of() { python3 -c 'import os, sys; print(len(os.getxattr(sys.argv[1], "security.capability")))' "$1/fs/closed/able"; }
expect "a capability below a closed directory" "$(getcap_of "$store"/layers/*/*)" 24
