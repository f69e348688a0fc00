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

# It may be the image's own program.
test_a_hook_in_the_container_has_its_label() {
  bundle
  process=$(label u:r:box_t:s0) args cat $current
  hook='{"path":"/bin/sh","args":["sh","-c","cat /proc/self/attr/current >/secret/hook"]}'
  sed "s|\"root\"|\"hooks\":{\"startContainer\":[$hook]},\"root\"|; s|\"readonly\": *true|\"readonly\":false|" $bundle/config.json >$bundle/new
  mv $bundle/new $bundle/config.json
  same u:r:box_t:s0 "$(sampan oci run --bundle $bundle hooked | one_line)"
  same u:r:box_t:s0 "$(cat $bundle/rootfs/secret/hook | one_line)"
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

# categories LABEL: those of one of a container.
categories() { echo "$1" | sed -n 's/^u:[a-z_]*:[a-z_]*:s0:\(c[0-9]*,c[0-9]*\)$/\1/p'; }

test_containers_have_categories_of_their_own() {
  has "$(sampan doctor)" "containers are u:r:box_t:s0 with categories of their own"
  sampan run -d --name one $image sleep 1000
  own=$(sampan exec one cat $current | one_line)
  same "u:r:box_t:s0:$(categories "$own")" "$own"
  for place in / /dev /dev/shm /etc/hosts; do
    has "$(grep " $place " /proc/$(field '{{.pid}}' one)/mounts)" "context=\"u:object_r:box_file_t:s0:$(categories "$own")\""
  done
  other=$(sampan run --rm $image cat $current | one_line)
  [ -n "$(categories "$other")" ] && [ "$other" != "$own" ]
  # The same for all of its life, also where files are touched from outside.
  sampan stop -t 0 one
  echo text >/run/text
  sampan cp /run/text one:/text
  sampan start one
  same "$own" "$(sampan exec one cat $current | one_line)"
  same text "$(sampan exec one cat /text)"
  same "$own" "$(sampan run --rm --pid container:one $image cat $current | one_line)"
  sampan rm -f one
  same fine "$(sampan run --rm --security-opt no-new-privileges -u app $image echo fine)"
  # An exec alone gives a label: the first process of --init is not the command's.
  own=$(sampan run --rm --init $image cat $current | one_line)
  same "u:r:box_t:s0:$(categories "$own")" "$own"
}

test_labels_in_dockers_words() {
  shown() { sampan run --rm "$@" $image cat $current | one_line; }
  # What was removed when the power went may be there again.
  before=$(sampan ps -aq)
  same u:r:kernel_t:s0-s0:c0.c1023 "$(shown --security-opt label=disable)"
  same u:r:kernel_t:s0-s0:c0.c1023 "$(shown --privileged)"
  same u:r:kernel_t:s0-s0:c0.c1023 "$(shown --pid host)"
  same u:r:box_t:s0:c5,c6 "$(shown --privileged --security-opt label=level:s0:c5,c6)"
  own=$(shown --security-opt label=type:other_t)
  same "u:r:other_t:s0:$(categories "$own")" "$own"
  has "$(fails 125 sampan run --rm --security-opt label=type:nowhere_t $image true)" "the policy of this machine has no such label"
  has "$(fails 125 sampan run --rm --security-opt label=color:red $image true)" "label=color:red"
  same "$before" "$(sampan ps -aq)"
}

test_binds_are_labelled_where_that_is_asked_for() {
  rm -rf /run/shared /run/elsewhere
  mkdir -p /run/shared/below
  echo mine >/run/shared/below/file
  echo kept >/run/elsewhere
  ln -s /run/elsewhere /run/shared/link
  level="--security-opt label=level:s0:c1,c2" other="--security-opt label=level:s0:c3,c4"
  try() { sampan run --rm "$@" cat /shared/below/file; }
  same mine "$(try $level -v /run/shared:/shared:Z $image)"
  same mine "$(try $level -v /run/shared:/shared $image)"
  has "$(fails 1 try $other -v /run/shared:/shared $image)" "Permission denied"
  same mine "$(try $other -v /run/shared:/shared:z $image)"
  same mine "$(try $level -v /run/shared:/shared:ro $image)"
  # What the system needs stays as it is, and so does what a link leads to.
  has "$(fails 125 try -v /etc:/shared:z $image)" "programs of the host need the labels that it has"
  rm -rf /run/held
  mkdir /run/held
  ln -s /run/elsewhere /run/held/link
  sampan run --rm $level -v /run/held:/held:Z $image true
  same kept "$(sampan run --rm $other -v /run/elsewhere:/elsewhere $image cat /elsewhere)"
}

test_volumes_are_shared_unless_it_is_said_that_they_are_not() {
  sampan run --rm -v data:/data $image sh -c 'mkdir /data/below; echo mine >/data/below/file'
  same mine "$(sampan run --rm -v data:/data $image cat /data/below/file)"
  same mine "$(sampan run --rm --security-opt label=level:s0:c1,c2 -v data:/data:Z $image cat /data/below/file)"
  has "$(fails 1 sampan run --rm --security-opt label=level:s0:c3,c4 -v data:/data $image cat /data/below/file)" "Permission denied"
}

test_without_labels_for_containers_they_have_none() {
  contexts=/etc/selinux/tests/contexts/lxc_contexts
  cp $contexts /run/contexts
  rm $contexts
  has "$(sampan doctor)" "containers have the label of whoever starts them" "install the package container-selinux"
  same u:r:kernel_t:s0-s0:c0.c1023 "$(sampan run --rm $image cat $current | one_line)"
  has "$(fails 125 sampan run --rm --security-opt label=type:box_t $image true)" "the policy of this machine has none"
  # Nor where the policy would not let them be started.
  sed 's/box_t/never_t/' /run/contexts >$contexts
  has "$(sampan doctor)" "the policy does not let u:r:kernel_t:s0-s0:c0.c1023 give it"
  same u:r:kernel_t:s0-s0:c0.c1023 "$(sampan run --rm $image cat $current | one_line)"
  cp /run/contexts $contexts
}

test_a_plain_user_s_have_them_too() {
  for rung in subids single-id; do
    own=$(alice sampan --rung $rung run --rm -v data:/data $image cat $current | one_line)
    same "u:r:box_t:s0:$(categories "$own")" "$own"
  done
  alice sampan run -d --name hers $image sleep 1000
  own=$(alice sampan exec hers cat $current | one_line)
  same "u:r:box_t:s0:$(categories "$own")" "$own"
  alice sampan rm -f hers
}
