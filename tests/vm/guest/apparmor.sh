# A boot with AppArmor, as Debian's kernel has it unless it is told otherwise.

loaded=/sys/kernel/security/apparmor/profiles
current=/proc/self/attr/current

# profile NAME RULE...: loads one that allows all but what the rules deny.
profile() {
  local name=$1
  shift
  { echo "profile $name flags=(attach_disconnected) { file, capability, network, signal, ptrace, mount, umount, change_profile,"
    printf '%s\n' "$@" "}"; } | apparmor_parser --replace --skip-cache
}

# default: the profile of containers that name none and share nothing, and its mode.
default() { sampan run --rm $image cat $current | grep '^sampan-default-[0-9a-f]* (enforce)$'; }

# under PROFILE: what a configuration's process says of it.
under() { echo "\"apparmorProfile\":\"$1\""; }

test_the_default_profile_confines_what_names_none() {
  has "$(sampan doctor)" "containers are confined by sampan-default"
  default=$(default)
  grep -q "^$default$" $loaded
  same "$default" "$(sampan run --rm $image cat $current)"
  same "unconfined" "$(sampan run --rm --security-opt apparmor=unconfined $image cat $current)"
  same "unconfined" "$(sampan run --rm --privileged $image cat $current)"
  same "$default" "$(sampan run --rm --privileged --security-opt apparmor=sampan-default $image cat $current)"
  same "$default" "$(sampan run --rm --security-opt no-new-privileges -u app $image cat $current)"
  # Another version's has another name.
  profile sampan-default
  same "$default" "$(sampan run --rm $image cat $current)"
}

test_the_default_profile_is_what_it_was_at_each_start() {
  SAMPAN_TEST_IMAGE=$image containers the_default_profile
}

test_it_denies_what_reaches_the_host() {
  try() { sampan run --rm --security-opt systempaths=unconfined --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE "$@" 2>&1; }
  denies() {
    said=$(try "$@" || true)
    has "$said" denied
    case $said in *written*) echo "$*: $said" && exit 1 ;; esac
  }
  # What is written there is what is there, or what the kernel takes.
  writing() {
    case $1 in
      pressure/*) echo "echo some 150000 2000000 >/proc/$1 && echo written" ;;
      *) echo "value=\$(cat /proc/$1) && echo \$value >/proc/$1 && echo written" ;;
    esac
  }
  write='cat /proc/sys/kernel/core_pattern >/tmp/kept; cat /tmp/kept >/proc/sys/kernel/core_pattern && echo written'
  for script in "$write" 'mount -t tmpfs tmpfs /home && echo written' \
    'echo 0 >/proc/sys/vm/drop_caches && echo written' 'echo h >/proc/sysrq-trigger && echo written' "$(writing pressure/cpu)"; do
    denies $image sh -c "$script"
  done
  for script in "$write" "$(writing pressure/cpu)"; do
    has "$(try --security-opt apparmor=unconfined $image sh -c "$script")" written
  done
  # What is the container's own with its network and its IPC is the host's with the host's.
  net=$(writing sys/net/ipv4/ip_forward) ipc=$(writing sys/kernel/shmmni)
  for script in "$net" "$ipc"; do
    has "$(try $image sh -c "$script")" written
    for shared in network ipc; do
      denies --$shared host $image sh -c "$script"
    done
  done
  has "$(try --network host --security-opt apparmor=unconfined $image sh -c "$net")" written
  sampan run -d --name owner --ipc shareable $image sleep 1000
  for shared in network ipc; do
    denies --$shared container:owner $image sh -c "$net; $ipc"
  done
  sampan rm -f owner
  has "$(try --pid host $image kill -0 1 || true)" denied
  # What is its own it may change.
  script='echo 100 >/proc/self/oom_score_adj && touch /file && chown app /file && sleep 1000 & kill $! && echo fine'
  same fine "$(try $image sh -c "$script")"
}

test_a_profile_of_ones_own_denies_a_file() {
  profile mine "deny /etc/group r,"
  same "mine (enforce)" "$(sampan run --rm --security-opt apparmor=mine $image cat $current)"
  has "$(fails 1 sampan run --rm --security-opt apparmor=mine $image cat /etc/group)" "Permission denied"
  sampan run -d --name held --security-opt apparmor=mine $image sleep 1000
  same "mine (enforce)" "$(cat /proc/$(field '{{.pid}}' held)/attr/current)"
  same "mine (enforce)" "$(sampan exec held cat $current)"
  same "mine (enforce)" "$(sampan exec --privileged -u app held cat $current)"
  has "$(fails 1 sampan exec held cat /etc/group)" "Permission denied"
  # With another engine's default, and by one that can't tell: it is the container's that counts.
  sampan stop -t 0 held
  sampan start held
  same "mine (enforce)" "$(sampan exec held cat $current)"
  sampan rm -f held
}

test_what_accompanies_the_command_is_confined_too() {
  profile mine
  sampan run -d --name both --init --security-opt apparmor=mine --health-cmd "cat $current" --health-interval 1s $image sleep 1000
  for process in 1 2; do same "mine (enforce)" "$(sampan exec both cat /proc/$process/attr/current)"; done
  eventually sh -c 'sampan inspect both | grep -q "mine (enforce)"'
  sampan stop -t 5 both
  same 143 "$(sampan wait both)"
  sampan rm -f both
  # Each run of one that is started anew.
  sampan run --name again --restart on-failure:1 --security-opt apparmor=mine $image sh -c "cat $current; exit 1" || true
  same 1 "$(sampan wait again)"
  eventually sh -c '[ "$(sampan logs again | grep -c "mine (enforce)")" = 2 ]'
  sampan rm -f again
}

test_a_profile_that_is_not_loaded_is_one_sentence_and_leaves_nothing() {
  # What was removed when the power went may be there again.
  before=$(sampan ps -aq)
  sampan pull $image
  said=$(fails 125 sampan run --name none --security-opt apparmor=nowhere $image true)
  has "$said" 'enter the AppArmor profile "nowhere": it is not loaded' "apparmor_parser --replace FILE"
  same 1 "$(echo "$said" | wc -l)"
  same "$before" "$(sampan ps -aq)$(left $groups)"
  has "$(fails 125 sampan run --rm --security-opt apparmor= $image true)" "names no profile"
}

test_a_profile_that_was_unloaded_meanwhile_is_named_by_each_who_wants_it() {
  why='enter the AppArmor profile "gone": it is not loaded; load it (apparmor_parser --replace FILE)'
  unload() { echo "profile gone {}" | apparmor_parser --remove; }
  for more in "" --init "--pid host" --tty; do
    profile gone
    sampan run -d --name c $more --security-opt apparmor=gone $image sleep 1000
    unload
    has "$(fails 1 sampan exec c true)" "run command in container c: $why"
    has "$(fails 1 sampan restart -t 0 c)" "start container c: $why"
    has "$(fails 1 sampan start c)" "start container c: $why"
    has "$(fails 125 sampan start -a c)" "start container c: $why"
    sampan rm c
  done
  # Nobody is there to be told: the record is.
  profile gone
  sampan run -d --name c --restart always --health-cmd true --health-interval 1s --security-opt apparmor=gone $image sh -c 'until [ -e /tmp/end ]; do sleep 0.1; done'
  unload
  eventually sh -c 'sampan inspect -f "{{.health}}" c | grep -q "it is not loaded"'
  touch /proc/$(field '{{.pid}}' c)/root/tmp/end
  same 128 "$(sampan wait c)"
  has "$(field '{{.exit}}' c)" 'start container again c: enter the AppArmor profile'
  sampan rm c
}

test_a_container_that_was_started_unconfined_stays_so() {
  default=$(default)
  hidden() { unshare -m sh -ec 'umount /sys/kernel/security; exec "$@"' sh "$@"; }
  has "$(hidden sampan doctor)" "containers that name no profile run unconfined" "mount -t securityfs"
  hidden sampan run -d --name bare $image sleep 1000
  same unconfined "$(sampan exec bare cat $current)"
  sampan rm -f bare
  sampan run -d --name confined $image sleep 1000
  same "$default" "$(hidden sampan exec confined cat $current)"
  sampan rm -f confined
  # Without the compiler, while the profile is not loaded.
  echo "profile ${default% *} {}" | apparmor_parser --remove
  without() { unshare -m sh -ec 'mount --bind /dev/null /usr/bin/apparmor_parser; exec "$@"' sh "$@"; }
  has "$(without sampan doctor)" "containers that name no profile run unconfined" "apt install apparmor"
  same unconfined "$(without sampan run --rm $image cat $current)"
  same "$default" "$(sampan run --rm $image cat $current)"
}

test_a_plain_user_may_name_one() {
  profile mine "deny /etc/group r,"
  same unconfined "$(alice sampan run --rm $image cat $current)"
  for rung in subids single-id; do
    same "mine (enforce)" "$(alice sampan --rung $rung run --rm --init --security-opt apparmor=mine $image cat $current)"
    has "$(fails 1 alice sampan --rung $rung run --rm --security-opt apparmor=mine $image cat /etc/group)" "Permission denied"
  done
  alice sampan run -d --name hers --security-opt apparmor=mine $image sleep 1000
  same "mine (enforce)" "$(alice sampan exec hers cat $current)"
  alice sampan rm -f hers
  has "$(fails 125 alice sampan run --rm --security-opt apparmor=nowhere $image true)" "it is not loaded"
  has "$(alice sampan doctor)" "loaded by root"
}

test_an_oci_container_without_a_mount_namespace() {
  profile mine "deny /secret/** r,"
  bundle
  process=$(under mine) args sleep 1000
  among_others
  has "$(fails 1 sampan oci create --bundle $bundle one)" "process.apparmorProfile" "a mount namespace of the container's own"
  bundle
  process=$(under unconfined) args sleep 1000
  among_others
  sampan oci run --detach --bundle $bundle one </dev/null >/dev/null 2>&1
  same unconfined "$(sampan oci exec one cat $current)"
  has "$(fails 255 sampan oci exec --apparmor mine one cat $current)" "process.apparmorProfile"
  # Who is confined by other means has no file of it.
  has "$(fails 255 sh -c "echo 'exec mine' >/proc/self/attr/exec; exec sampan oci exec one ls")" "can't be executed"
  sampan oci delete --force one
}

test_oci_bundles_and_what_is_executed_in_them() {
  profile mine "deny /secret/** r,"
  profile other
  has "$(sampan oci features)" '"apparmor"'
  bundle
  process=$(under mine) args cat $current /secret/file
  said=$(sampan oci run --bundle $bundle one 2>&1 || true)
  has "$said" "mine (enforce)" "Permission denied"
  bundle
  process=$(under mine) args sleep 1000
  sampan oci run --detach --bundle $bundle two </dev/null >/dev/null 2>&1
  same "mine (enforce)" "$(sampan oci exec two cat $current)"
  same "other (enforce)" "$(sampan oci exec --apparmor other two cat $current)"
  has "$(fails 1 sampan oci exec two cat /secret/file)" "Permission denied"
  has "$(fails 255 sampan oci exec --apparmor nowhere two cat $current)" "it is not loaded"
  printf '{"user":{"uid":0,"gid":0},"args":["cat","%s"],"cwd":"/","env":["PATH=/bin"]}' $current >/run/process
  same "mine (enforce)" "$(sampan oci exec --process /run/process two)"
  sampan oci delete --force two
  bundle
  process=$(under nowhere) args sleep 1000
  said=$(fails 1 sampan oci create --bundle $bundle three)
  has "$said" 'enter the AppArmor profile "nowhere": it is not loaded'
  same "[]" "$(sampan oci list --format json)"
  same "" "$(ls /run/sampan/oci)$(left $groups)"
}

# It may be the image's own program.
test_a_hook_in_the_container_is_confined_as_its_payload() {
  profile mine "deny /secret/file r,"
  bundle
  process=$(under mine) args cat $current
  hook='{"path":"/bin/sh","args":["sh","-c","read label </proc/self/attr/current; echo $label >/secret/hook; cat /secret/file 2>>/secret/hook \|\| true"]}'
  sed "s|\"root\"|\"hooks\":{\"startContainer\":[$hook,$hook]},\"root\"|; s|\"readonly\": *true|\"readonly\":false|" $bundle/config.json >$bundle/new
  mv $bundle/new $bundle/config.json
  same "mine (enforce)" "$(sampan oci run --bundle $bundle hooked)"
  has "$(cat $bundle/rootfs/secret/hook)" "mine (enforce)" "Permission denied"
}

# CVE-2019-16884, CVE-2025-52881: where the label is written to is nothing that the image has made.
test_an_image_does_not_take_the_label_for_itself() {
  profile mine "deny /secret/** r,"
  bundle
  process=$(under mine) args sh -c 'cat /secret/file; while :; do :; done'
  attr=$bundle/rootfs/proc/thread-self/attr
  mkdir -p $attr/apparmor $bundle/rootfs/proc/self
  cp -r $attr $bundle/rootfs/proc/self/
  for file in $(find $bundle/rootfs/proc -type d -name attr); do
    for name in exec current apparmor/exec apparmor/current; do echo untouched >$file/$name; done
  done
  # No /proc but the image's own.
  sed -i 's|{[^{}]*"destination": *"/proc"[^{}]*},||' $bundle/config.json
  sampan oci run --detach --bundle $bundle faked </dev/null >$bundle/said 2>&1
  same "mine (enforce)" "$(cat /proc/$(pid faked)/attr/current)"
  eventually grep -q "Permission denied" $bundle/said
  same "" "$(find $bundle/rootfs/proc -type f -exec grep -L untouched {} +)"
  sampan oci delete --force faked
  for link in self thread-self; do
    rm -rf $bundle/rootfs/proc
    mkdir $bundle/rootfs/proc
    ln -s ../secret $bundle/rootfs/proc/$link
    sampan oci run --detach --bundle $bundle $link </dev/null >$bundle/said 2>&1
    same "mine (enforce)" "$(cat /proc/$(pid $link)/attr/current)"
    same file "$(ls $bundle/rootfs/secret)"
    sampan oci delete --force $link
  done
  rm -rf $bundle/rootfs/proc
  ln -s /secret $bundle/rootfs/proc
  has "$(fails 1 sampan oci create --bundle $bundle linked)" "symbolic link"
  same file "$(ls $bundle/rootfs/secret)"
}

test_nothing_of_a_container_has_a_file_of_the_hosts_proc() {
  profile mine
  same "" "$(sampan run --rm --security-opt apparmor=mine $image sh -c 'for fd in /proc/self/fd/*; do readlink $fd; done' | grep attr)"
}
