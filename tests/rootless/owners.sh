#!/usr/bin/env bash
# A plain user's layers have the owners that the image says, and still have them when root gives him another range of ids.
#
# bash tests/rootless/owners.sh. As root; makes a user of its own, whose ranges it changes, and removes it. Wants
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

first=700000-765535 second=800000-865535
# ranges OLD NEW: takes one from the user and gives him the other.
ranges() { usermod --del-subuids "$1" --del-subgids "$1" --add-subuids "$2" --add-subgids "$2" "$user"; }
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
layer() { ls -d "$store/layers/subids-$(id -u $user)-$(id -g $user)-$1-$1"/*; }
getcap_of() { python3 -c 'import os, sys; print(len(os.getxattr(sys.argv[1], "security.capability")))' "$1/fs/closed/able"; }
expect "a capability below a closed directory" "$(getcap_of "$(layer 700000)")" 24

echo "-- another range"
sampan run --name old "$name" sh -c 'mkdir -p /tmp/d; touch /tmp/d/f; chown 5 /tmp/d/f /tmp/d' 2>/dev/null || true
ranges $first $second
# What it is unpacked from is here.
kill $REGISTRY_PID; wait $REGISTRY_PID 2>/dev/null || true; REGISTRY_PID=
expect "the owners by another range" "$(sampan run --rm "$name" sh -c "$owners")" "$right"
told=$(sampan start old 2>&1) && fail "a container of another range was started"
[[ $told == *"another range"*"give this user that range again"* ]] || fail "it says: $told"
told=$(sampan rm old 2>&1) && fail "files of others' ids were removed"
[[ $told == *"have root run rm -rf $store/tmp/"* ]] || fail "it says: $told"
expect "what is listed" "$(sampan ps -aq)" ""
# Somebody else's removal does not fail for it.
sampan tag "$name" other:1
sampan rmi other:1 >/dev/null
told=$(sampan gc 2>&1) && fail "gc does not tell of what it can't delete"
[[ $told == *"have root run rm -rf $store/tmp/"* ]] || fail "it says: $told"
rm -rf "$store"/tmp/*
sampan gc >/dev/null

echo "-- and back"
ranges $second $first
before=$(stat -c %i "$(layer 700000)")
expect "the owners by the first range" "$(sampan run --rm "$name" sh -c "$owners")" "$right"
expect "the layer" "$(stat -c %i "$(layer 700000)")" "$before"

echo "-- a store of an older version"
rm -rf "$(dirname "$(layer 800000)")"
mv "$(dirname "$(layer 700000)")" "$store/layers/subids"
inode() { stat -c %i "$store"/layers/subids/*; }
before=$(inode)
expect "the owners in an older store" "$(sampan run --rm "$name" sh -c "$owners")" "$right"
ranges $first $second
expect "the owners by another range than an older store's" "$(sampan run --rm "$name" sh -c "$owners")" "$right"
ranges $second $first
expect "the owners in an older store again" "$(sampan run --rm "$name" sh -c "$owners")" "$right"
expect "an older store's layer" "$(inode)" "$before"
