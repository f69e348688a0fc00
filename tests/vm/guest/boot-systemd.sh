# Run by a unit of systemd's: the tests of this boot, then the plug.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LANG=C
boot=systemd
only=$(sed -n 's/.*sampan.only=\([^ ]*\).*/\1/p' /proc/cmdline)
. /tests/lib.sh
registry
loginctl enable-linger alice
# bob has a directory and no manager.
install -d -m 700 -o bob -g bob /run/user/1001
until [ -S /run/user/1000/bus ] && alice systemctl --user is-system-running --wait; do busybox usleep 50000; done >/dev/null 2>&1
run_tests
echo b >/proc/sysrq-trigger
sleep 1000
