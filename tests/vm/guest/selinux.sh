# A boot with SELinux, by a policy of the tests' own (tests/vm/policy.sh), which is enforced.

current=/proc/self/attr/current

# label CONTEXT: what a configuration's process says of it.
label() { echo "\"selinuxLabel\":\"$1\""; }

# one_line: the label without the NUL at its end.
one_line() { tr -d '\0'; }

# secret: a file system of secret files, at /run/secret.
secret() {
  mkdir -p /run/secret
  grep -q /run/secret /proc/mounts || mount -t tmpfs -o context=u:r:secret_t:s0 tmpfs /run/secret
  echo treasure >/run/secret/file
}

# with_secret: bound into the bundle, at /secret.
with_secret() {
  secret
  sed -i 's|"mounts": *\[|"mounts":[{"destination":"/secret","type":"bind","source":"/run/secret","options":["bind"]},|' $bundle/config.json
}

test_the_policy_is_enforced() {
  same 1 "$(cat /sys/fs/selinux/enforce)"
  same u:r:kernel_t:s0-s0:c0.c1023 "$(cat $current | one_line)"
}

test_oci_bundles_and_what_is_executed_in_them() {
  bundle
  process=$(label u:r:box_t:s0:c1,c2) args sh -c "cat $current; cat /secret/file"
  with_secret
  said=$(sampan oci run --bundle $bundle one 2>&1 | one_line || true)
  has "$said" u:r:box_t:s0:c1,c2 "Permission denied"
  case $said in *treasure*) false ;; esac
  bundle
  process=$(label u:r:box_t:s0:c1,c2) args sleep 1000
  with_secret
  sampan oci run --detach --bundle $bundle two </dev/null >/dev/null 2>&1
  same u:r:box_t:s0:c1,c2 "$(cat /proc/$(pid two)/attr/current | one_line)"
  same u:r:box_t:s0:c1,c2 "$(sampan oci exec two cat $current | one_line)"
  has "$(fails 1 sampan oci exec two cat /secret/file)" "Permission denied"
  same u:r:other_t:s0 "$(sampan oci exec --process-label u:r:other_t:s0 two cat $current | one_line)"
  same treasure "$(sampan oci exec --process-label u:r:other_t:s0 two cat /secret/file)"
  sampan oci delete --force two
}

test_a_label_that_can_not_be_had_is_one_sentence_and_leaves_nothing() {
  bundle
  process=$(label u:r:nowhere_t:s0) args sleep 1000
  said=$(fails 1 sampan oci create --bundle $bundle three)
  has "$said" 'take on the SELinux label "u:r:nowhere_t:s0": the policy of this machine has no such label'
  same 1 "$(echo "$said" | wc -l)"
  # There is such a label, and nobody may have it.
  bundle
  process=$(label u:r:never_t:s0) args sleep 1000
  has "$(fails 1 sampan oci run --bundle $bundle three)" "can't be executed"
  same "[]" "$(sampan oci list --format json)"
  same "" "$(ls /run/sampan/oci)$(left $groups)"
}

test_what_is_mounted_for_a_container_has_its_label() {
  bundle
  linux='"mountLabel":"u:r:box_file_t:s0:c1,c2"' process=$(label u:r:box_t:s0:c1,c2) args sleep 1000
  sampan oci run --detach --bundle $bundle four </dev/null >$bundle/said 2>&1
  for place in /dev /dev/shm /dev/pts; do
    has "$(grep " $place " /proc/$(pid four)/mounts)" 'context="u:r:box_file_t:s0:c1,c2"'
  done
  for place in /proc /sys /sys/fs/cgroup; do
    case $(grep " $place " /proc/$(pid four)/mounts) in *context*) false ;; esac
  done
  # Those of other categories it does not read, nor is what it has read by those that have none.
  sampan oci exec four sh -c 'echo mine >/dev/shm/file'
  same mine "$(sampan oci exec four cat /dev/shm/file)"
  has "$(fails 1 sampan oci exec --process-label u:r:box_t:s0:c3,c4 four cat /dev/shm/file)" "Permission denied"
  sampan oci delete --force four
}

# Else who chose the hook would be held back by what the container may.
test_a_hook_of_the_container_does_not_have_its_label() {
  bundle
  process=$(label u:r:box_t:s0) args cat $current
  hook='{"path":"/bin/sh","args":["sh","-c","cat /proc/self/attr/current >/secret/hook"]}'
  sed "s|\"root\"|\"hooks\":{\"startContainer\":[$hook]},\"root\"|; s|\"readonly\": *true|\"readonly\":false|" $bundle/config.json >$bundle/new
  mv $bundle/new $bundle/config.json
  same u:r:box_t:s0 "$(sampan oci run --bundle $bundle hooked | one_line)"
  same u:r:kernel_t:s0-s0:c0.c1023 "$(cat $bundle/rootfs/secret/hook | one_line)"
}

# CVE-2019-16884, CVE-2025-52881: where the label is written to is nothing that the image has made.
test_an_image_does_not_take_the_label_for_itself() {
  bundle
  process=$(label u:r:box_t:s0) args sleep 1000
  for name in self thread-self; do
    mkdir -p $bundle/rootfs/proc/$name/attr
    for file in exec current keycreate; do echo untouched >$bundle/rootfs/proc/$name/attr/$file; done
  done
  sed -i 's|{[^{}]*"destination": *"/proc"[^{}]*},||' $bundle/config.json
  sampan oci run --detach --bundle $bundle faked </dev/null >/dev/null 2>&1
  same u:r:box_t:s0 "$(cat /proc/$(pid faked)/attr/current | one_line)"
  same "" "$(find $bundle/rootfs/proc -type f -exec grep -L untouched {} +)"
  sampan oci delete --force faked
}

test_there_is_no_apparmor_then() {
  bundle
  process='"apparmorProfile":"mine"' args sleep 1000
  has "$(fails 1 sampan oci create --bundle $bundle five)" "AppArmor is not enabled on this machine"
  has "$(fails 125 sampan run --rm --security-opt apparmor=mine $image true)" "AppArmor is not enabled on this machine"
  same hello "$(sampan run --rm --security-opt apparmor=unconfined $image echo hello)"
}
