# A boot with Ubuntu's kernel and AppArmor as it has them: a program without a profile of its own has no capabilities in the
# user namespaces that it makes.

loaded=/sys/kernel/security/apparmor/profiles
refusal="AppArmor gives user namespaces only to programs that have a profile for it"

# as_ubuntu: what its start of the machine does.
as_ubuntu() {
  echo 1 >/proc/sys/kernel/apparmor_restrict_unprivileged_userns
  apparmor_parser -r /etc/apparmor.d/unprivileged_userns
}

test_setup_gives_the_command_user_namespaces_and_takes_them_back() {
  as_ubuntu
  for rung in single-id subids; do
    has "$(fails 125 alice sampan --rung $rung run --rm $image true)" "$refusal" "sampan setup"
  done
  has "$(fails 1 alice sampan doctor)" "containers can't run" "$refusal"
  same hello "$(sampan run --rm $image echo hello)"
  said=$(sampan setup)
  same "$said" "$(sampan setup)"
  grep -q "^sampan.usr.bin.sampan (unconfined)$" $loaded
  for rung in single-id subids; do
    same hello "$(alice sampan --rung $rung run --rm $image echo hello)"
  done
  has "$(alice sampan doctor)" "containers can run"
  alice sampan run -d --name labelled $image sleep 1000
  same "sampan.usr.bin.sampan (unconfined)" "$(cat /proc/$(alice sampan inspect --format '{{.pid}}' labelled)/attr/current)"
  alice sampan rm -f labelled
  sampan setup --remove
  same "" "$(grep usr.bin.sampan $loaded)$(ls /etc/apparmor.d | grep sampan)"
  has "$(fails 125 alice sampan run --rm $image true)" "$refusal"
}

# Killed between the file and the kernel's hearing of it, as far as anybody can see.
test_a_profile_that_is_not_loaded_is_loaded() {
  as_ubuntu
  sampan setup
  apparmor_parser -R /etc/apparmor.d/sampan.usr.bin.sampan
  fails 125 alice sampan run --rm $image true
  has "$(sampan setup --dry-run)" "to do       AppArmor profile for /usr/bin/sampan"
  sampan setup
  same hello "$(alice sampan run --rm $image echo hello)"
  sampan setup --remove
}

test_a_program_elsewhere_has_no_profile() {
  as_ubuntu
  cp /usr/bin/sampan /home/alice/sampan
  has "$(fails 1 /home/alice/sampan setup)" "can't       AppArmor profile for /home/alice/sampan: /home/alice can be written by others than root"
  sampan setup
  has "$(fails 125 alice /home/alice/sampan run --rm $image true)" "$refusal"
  sampan setup --remove
}
