# PID 1 of the guest: makes the machine ready, runs the tests of this boot, and pulls the plug.
# /tests/NAME.sh has the tests as functions test_…; each runs in a shell of its own, so that its first failure ends it.
export PATH=/usr/bin:/bin:/sbin HOME=/root LANG=C
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs run /run
ln -sf /proc/self/fd /dev/fd
ip link set lo up
boot=$(sed -n 's/.*sampan.tests=\([a-z]*\).*/\1/p' /proc/cmdline)
only=$(sed -n 's/.*sampan.only=\([^ ]*\).*/\1/p' /proc/cmdline)
. /tests/lib.sh
[ "$boot" != selinux ] || policy
machine
run_tests
# No unmount, no word to the file system: as when the power fails. What a test wants kept, it has synced.
echo b >/proc/sysrq-trigger
sleep 1000
