#!/usr/bin/env bash
# The VM lane: Sampan on a kernel of another distribution, where cgroup v2 is all there is, over a reboot, with AppArmor or
# SELinux, and under systemd.
#
# bash tests/vm/run.sh [PATTERN]: all tests, or those whose names match. Boots Debian's cloud kernel under QEMU without KVM, so it needs no privilege beyond that
# of making files with owners (root). SAMPAN_VM_KEEP=1 keeps the disk and the consoles.
#
# The guest (tests/vm/guest/) runs its tests and names each on its second serial port; this script counts them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/sampan-tests/vm
# Seconds for one boot with its tests; under an emulated CPU with another job beside it.
patience=${SAMPAN_VM_TIMEOUT:-900}

only=${1:-}
# Ubuntu's packages: then one boot with its kernel and its AppArmor, in the place of all others.
ubuntu=${SAMPAN_UBUNTU_PACKAGES:-}
boots_wanted=(first second apparmor selinux systemd)
[ -z "$ubuntu" ] || boots_wanted=(ubuntu)
scratch=$(mktemp -d)
keep() { [ -n "${SAMPAN_VM_KEEP:-}" ] && echo "kept: $scratch" || rm -rf "$scratch"; }
trap keep EXIT

# kernel: its package, unpacked once; sets $kernel and $modules.
kernel() {
  local package new
  if [ -n "$ubuntu" ]; then
    for package in "$ubuntu"/*.deb; do dpkg-deb -x "$package" "$scratch/packages"; done
    kernel=$(echo "$scratch"/packages/boot/vmlinuz-*)
    modules=$(echo "$scratch"/packages/lib/modules/*)
    return
  fi
  package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -1)
  [ -n "$package" ] || { echo "apt knows no linux-image-cloud-amd64: apt-get update" >&2; exit 1; }
  if [ ! -d "$cache/$package" ]; then
    new=$(mkdir -p "$cache" && mktemp -d "$cache/new.XXXXXX")
    (cd "$new" && apt-get download -q "$package" >/dev/null 2>&1 && dpkg-deb -x ./*.deb tree && rm ./*.deb)
    mv -T "$new/tree" "$cache/$package" 2>/dev/null || true # another run was first
    rm -rf "$new"
  fi
  kernel=$(echo "$cache/$package"/boot/vmlinuz-*)
  modules=$(echo "$cache/$package"/lib/modules/*)
}

# initramfs: just enough to mount the disk; pivot_root, which containers need, can't leave an initramfs.
initramfs() {
  local tree=$scratch/initramfs name
  mkdir -p "$tree"/{bin,dev,disk,modules}
  cp "$(command -v busybox)" "$tree/bin/busybox"
  ln -s busybox "$tree/bin/sh"
  for name in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk overlay; do
    find "$modules" -name "$name.ko" -exec cp {} "$tree/modules/" \;
    find "$modules" -name "$name.ko.zst" -exec zstd -q -d {} -o "$tree/modules/$name.ko" \;
  done
  install -m 755 "$here/guest/init" "$tree/init"
  (cd "$tree" && find . | cpio --quiet -o -H newc) >"$scratch/initramfs.cpio"
}

# binaries TREE: what is tested, with the libraries that it needs.
binaries() {
  local test name
  cargo build --quiet -p sampan-cli -p sampan-conformance
  test=$(cargo test --quiet -p sampan --test containers --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*containers-[^"]*\)".*/\1/p' | tail -1)
  strip -o "$1/usr/bin/containers" "$test"
  strip -o "$1/usr/bin/sampan" "${CARGO_TARGET_DIR:-target}/debug/sampan"
  strip -o "$1/usr/bin/conformance" "${CARGO_TARGET_DIR:-target}/debug/sampan-conformance"
  rustc --edition 2024 -O -C strip=symbols -o "$1/usr/bin/as" "$here/as.rs"
  cp "$(command -v docker-registry)" "$1/usr/bin/"
  cp -p "$(command -v newuidmap)" "$(command -v newgidmap)" "$(PATH=$PATH:/sbin:/usr/sbin command -v apparmor_parser)" "$1/usr/bin/"
  for name in "$1"/usr/bin/*; do ldd "$name" | grep -o '/[^ ]*'; done | sort -u |
    while read -r name; do mkdir -p "$1/$(dirname "$name")" && cp -L "$name" "$1/$name"; done
}

# of_ubuntu TREE: its parser of profiles, the C library that this needs, and what its profiles include.
of_ubuntu() {
  local from=$scratch/packages
  cp -L "$from"/usr/lib/x86_64-linux-gnu/*.so* "$1/lib/x86_64-linux-gnu/"
  cp -L "$from/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$1/lib64/"
  cp "$from/sbin/apparmor_parser" "$1/usr/bin/"
  cp -r "$from/etc/apparmor" "$1/etc/"
  mkdir -p "$1/etc/apparmor.d"
  cp -r "$from"/etc/apparmor.d/{abi,abstractions,tunables,unprivileged_userns} "$1/etc/apparmor.d/"
}

# disk: a root file system with busybox's commands, the binaries, two users and a registry's data.
disk() {
  local tree=$scratch/root name
  mkdir -p "$tree"/{bin,dev,etc,proc,root,run,sbin,sys,tests,tmp,usr/bin,var/lib,home/alice,home/bob}
  chmod 755 "$scratch" "$tree"
  chmod 1777 "$tree/tmp"
  cp "$(command -v busybox)" "$tree/bin/busybox"
  for name in $(busybox --list); do [ "$name" = busybox ] || ln -s busybox "$tree/bin/$name"; done
  printf 'root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n' >"$tree/etc/passwd"
  printf 'root:x:0:\ntty:x:5:\nalice:x:1000:\nbob:x:1001:\n' >"$tree/etc/group"
  printf 'alice:100000:65536\n' | tee "$tree/etc/subuid" >"$tree/etc/subgid"
  printf '0123456789abcdef0123456789abcdef\n' >"$tree/etc/machine-id"
  printf '127.0.0.1 localhost\n' >"$tree/etc/hosts"
  : >"$tree/etc/resolv.conf"
  chown -R 1000:1000 "$tree/home/alice"
  chown -R 1001:1001 "$tree/home/bob"
  binaries "$tree"
  [ -z "$ubuntu" ] || of_ubuntu "$tree"
  cp -r "$here"/guest/*.sh tests/conformance/cases core/api.json "$tree/tests/"
  bash "$here/policy.sh" >"$scratch/policy.cil"
  secilc -o "$tree/tests/policy" -f /dev/null "$scratch/policy.cil"
  # Its standard input ends at once, and with it the registry.
  bash tests/lib/images.sh serve "$scratch/registry" busybox </dev/null >/dev/null
  cp -r "$scratch/registry/data" "$tree/registry"
  mke2fs -q -F -t ext4 -O ^metadata_csum_seed -d "$tree" "$scratch/disk" 1500M
}

# systemd_tree: Debian with systemd and its buses, made once; sets $systemd.
systemd_tree() {
  local suite new
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  systemd=$cache/systemd-$suite
  [ ! -d "$systemd" ] || return 0
  new=$(mkdir -p "$cache" && mktemp -d "$cache/new.XXXXXX")
  debootstrap --variant=minbase --include=busybox-static,dbus,dbus-user-session,libpam-systemd,procps,systemd-sysv,uidmap \
    "$suite" "$new/tree" "$(. tests/lib/images.sh && debian_mirror "$suite")" >"$new/log" 2>&1 || { tail -20 "$new/log" >&2; exit 1; }
  rm -rf "$new"/tree/var/cache/apt/archives/*.deb "$new"/tree/var/lib/apt/lists/*_* "$new"/tree/usr/share/{doc,locale,man}
  printf '\n' >"$new/tree/etc/fstab"
  chroot "$new/tree" useradd -m -u 1000 -s /bin/sh alice
  chroot "$new/tree" useradd -m -u 1001 -s /bin/sh bob
  chmod 755 "$new/tree"
  mv -T "$new/tree" "$systemd" 2>/dev/null || true # another run was first
  rm -rf "$new"
}

# systemd_disk: that tree with what is tested, what of its libraries it has not, and a unit that runs the tests.
systemd_disk() {
  local tree=$scratch/systemd.tree units name
  systemd_tree
  cp -a "$systemd" "$tree"
  for name in sampan as docker-registry; do
    cp "$scratch/root/usr/bin/$name" "$tree/usr/bin/"
    ldd "$scratch/root/usr/bin/$name" | grep -o '/[^ ]*' || true
  done | sort -u | while read -r name; do
    [ -e "$tree/$name" ] || { mkdir -p "$tree/$(dirname "$name")" && cp -L "$name" "$tree/$name"; }
  done
  mkdir "$tree/tests"
  cp "$here"/guest/*.sh "$tree/tests/"
  cp -r "$scratch/registry/data" "$tree/registry"
  units=$tree/etc/systemd/system
  printf '%s\n' '[Unit]' 'Requires=basic.target' 'After=basic.target dbus.socket systemd-logind.service' 'Wants=systemd-logind.service' \
    '[Service]' 'ExecStart=/bin/sh /tests/boot-systemd.sh' >"$units/sampan-tests.service"
  printf '%s\n' '[Unit]' 'Requires=sampan-tests.service' 'AllowIsolate=yes' >"$units/sampan-tests.target"
  ln -sf sampan-tests.target "$units/default.target"
  mke2fs -q -F -t ext4 -O ^metadata_csum_seed -d "$tree" "$scratch/systemd.disk" 1500M
  rm -rf "$tree" # it is large
}

# security NAME: which of the kernel's modules confines what runs in that boot.
security() { if [ "$1" = selinux ]; then echo selinux; else echo apparmor; fi; }

# boot NAME: one boot of its disk with its tests; its report goes to standard output and $scratch/NAME.
# An emulated timer may be late on a busy machine, which the kernel must not take for a broken one (no_timer_check).
boot() {
  local disk=disk
  [ "$1" != systemd ] || { disk=systemd.disk && systemd_disk; }
  timeout "$patience" qemu-system-x86_64 -accel tcg -cpu max -m 1536 -smp 2 -nodefaults -display none -no-reboot \
    -kernel "$kernel" -initrd "$scratch/initramfs.cpio" -drive "file=$scratch/$disk,format=raw,if=virtio,cache=unsafe" \
    -serial "file:$scratch/$1.console" -serial "file:$scratch/$1" \
    -append "console=ttyS0 quiet loglevel=1 panic=-1 no_timer_check security=$(security "$1") sampan.tests=$1 sampan.only=$only" </dev/null || true
  cat "$scratch/$1"
  grep -q '^end of tests$' "$scratch/$1" && return
  echo "FAIL $1: the boot did not come to its end; its console:" | tee -a "$scratch/$1"
  tail -40 "$scratch/$1.console"
}

count() { cat "${boots[@]/#/$scratch/}" | grep -c "^$1 " || true; }

# tests NAME: those of a boot that are wanted.
tests() { sed -n 's/^\(test_[a-z0-9_]*\)().*/\1/p' "$here/guest/$1.sh" | grep -E "$only" || true; }

kernel
initramfs
disk
boots=() expected=0
for name in "${boots_wanted[@]}"; do
  wanted=$(tests "$name" | wc -l)
  [ "$wanted" -gt 0 ] || continue
  boots+=("$name") expected=$((expected + wanted))
  boot "$name"
done
passed=$(count ok) failed=$(count FAIL)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq "$expected" ] || { echo "of $expected tests" >&2; exit 1; }
