# The first boot: cgroup v2 as root and as plain users, an older kernel's file systems, hosts of other kinds.

# Of the tests of containers those that depend on the kernel; each pulls its image anew, which takes seconds here.
kernels="limits_are_the_cgroups out_of_memory a_killed_shim sees_only_itself device_made_inside mounts_of a_read_only_root"

test_rust_tests_as_root() {
  SAMPAN_TEST_IMAGE=$image in_group $groups/guest containers --test-threads=2 $kernels
}

test_rust_tests_as_a_plain_user_with_subordinate_ids() {
  rung=subids alice containers --test-threads=2 $kernels
}

test_rust_tests_as_a_plain_user_with_one_id() {
  rung=single-id bob containers --test-threads=2 $kernels
}

# Those of the conformance suite that no host with cgroups of version 1 can run are among them.
test_conformance_of_options() {
  # Where ids can be mapped: in memory Linux can since 6.3.
  mkdir /root/conformance
  printf 'sampan:2000000:655360\n' | tee -a /etc/subuid >>/etc/subgid
  SAMPAN_TEST_IMAGE=$image SAMPAN_TEST_API=/tests/api.json conformance /tests/cases /root/conformance options/ >/run/cases.log ||
    { grep -v "^ok\|^skipped" /run/cases.log; exit 1; }
  for id in $(awk '$1 == "case" { id = $2 } /^needs cgroup v2$/ { print id }' /tests/cases/options.cases); do
    grep -qx "ok $id" /run/cases.log || { echo "$id was not run"; exit 1; }
  done
  sed -i '/^sampan:2000000:/d' /etc/subuid /etc/subgid
  rm -r /root/conformance
  same "" "$(left $groups)"
}

test_limits_are_in_the_files_of_the_cgroup() {
  same "67108864 67108864 33554432 32 50000 100000 100 1" "$(sampan run --rm -m 64m --memory-reservation 32m --pids-limit 32 --cpus 0.5 \
    --cpu-shares 1024 --cpuset-cpus 1 $image sh -c 'cd /sys/fs/cgroup &&
    echo $(cat memory.max memory.swap.max memory.low pids.max cpu.max cpu.weight cpuset.cpus)')"
  same "" "$(left $groups)"
}

test_the_speed_of_a_disk_is_in_the_file_of_the_cgroup() {
  number=$(cat /sys/block/vda/dev)
  id=$(sampan run -d --name disk --device-read-bps /dev/vda:50mb --device-write-bps /dev/vda:2mb --device-read-iops /dev/vda:1000 \
    --device-write-iops /dev/vda:200 $image sleep 1000)
  same "$number rbps=52428800 wbps=2097152 riops=1000 wiops=200" "$(cat $groups/sampan/$id/io.max)"
  # After an update and another start they are the same.
  same disk "$(sampan update --cpu-quota 40000 --cpu-period 20000 --cpuset-mems 0 disk)"
  sampan restart -t 0 disk
  same "$number rbps=52428800 wbps=2097152 riops=1000 wiops=200" "$(cat $groups/sampan/$id/io.max)"
  same "40000 20000 0" "$(cd $groups/sampan/$id && echo $(cat cpu.max cpuset.mems))"
  same "max 100000" "$(sampan update --cpu-quota -1 --cpu-period 0 disk >/dev/null && cat $groups/sampan/$id/cpu.max)"
  sampan rm -f disk
  same "" "$(left $groups)"
}

test_ids_of_its_own() {
  printf 'sampan:2000000:65536\n' | tee -a /etc/subuid >>/etc/subgid
  same "67108864 0 65536" "$(echo $(sampan run --rm --userns auto -m 64m $image sh -c 'cat /sys/fs/cgroup/memory.max;
    tr -s " " <"/proc/self/uid_map" | cut -d" " -f2,4'))"
  sed -i '/^sampan:2000000:/d' /etc/subuid /etc/subgid
  same "" "$(left $groups)"
}

# Both are the host's root's to give, in a user namespace too.
test_scores_and_limits_beyond_the_hosts_with_ids_of_its_own() {
  printf 'sampan:2000000:65536\n' | tee -a /etc/subuid >>/etc/subgid
  ulimit -n 512
  look='cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn'
  for userns in host auto; do
    id=$(sampan run -d --userns $userns --oom-score-adj -500 --ulimit nofile=600:700 $image sh -c "$look; exec sleep 1000")
    same "-500 600 700" "$(echo $(sampan logs $id))"
    same "-500 600 700" "$(echo $(sampan exec $id sh -c "$look"))"
    same "-500" "$(cat /proc/$(field '{{.pid}}' $id)/oom_score_adj)"
    # A restart is by the same shim, which has kept its own.
    same "0 512" "$(cd /proc/$(field '{{.shim_pid}}' $id) && echo $(cat oom_score_adj; sed -n 's/^Max open files *\([0-9]*\) .*/\1/p' limits))"
    sampan rm -f $id
  done
  sed -i '/^sampan:2000000:/d' /etc/subuid /etc/subgid
  same "" "$(left $groups)"
}

# beyond_in_users NAMESPACE MAPS: a bundle in that one, or a new one with these maps, with the score and the limits that are beyond the host's.
beyond_in_users() {
  bundle
  chmod 755 $bundle
  chmod 777 $bundle/rootfs
  process='"oomScoreAdj":-500' linux=$2 args sh -c "$look; exec sleep 1000"
  sed -i "s|\"namespaces\": *\[|\"namespaces\":[{\"type\":\"user\"$1},|; s|\"hard\": *1024|\"hard\":700|; s|\"soft\": *1024|\"soft\":600|" $bundle/config.json
}

test_scores_and_limits_beyond_the_hosts_of_oci_containers() {
  ulimit -n 512
  look='cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn'
  ids='{"containerID":0,"hostID":100000,"size":65536}'
  beyond_in_users "" "\"uidMappings\":[$ids],\"gidMappings\":[$ids]"
  # A hook outside is whoever made it, and no more.
  hook="cat /proc/self/oom_score_adj >/run/hook; ulimit -n >>/run/hook"
  sed -i "s|^{|{\"hooks\":{\"createRuntime\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\",\"$hook\"]}]},|" $bundle/config.json
  sampan oci run --detach --bundle $bundle one </dev/null >/run/one 2>&1
  same "0 512" "$(echo $(cat /run/hook))"
  beyond_in_users ",\"path\":\"/proc/$(pid one)/ns/user\"" '"cgroupsPath":"/two"'
  sampan oci run --detach --bundle $bundle two </dev/null >/run/two 2>&1
  for name in one two; do
    eventually sh -c "[ \$(wc -l </run/$name) -ge 3 ]"
    same "-500 600 700" "$(echo $(cat /run/$name))"
    same "-500" "$(cat /proc/$(pid $name)/oom_score_adj)"
    same "-500 600 700" "$(echo $(sampan oci exec $name sh -c "$look"))"
    sampan oci delete --force $name
  done
  same "" "$(ls /run/sampan/oci)$(left $groups)"
}

test_a_disk_that_is_none_or_a_part_is_told() {
  has "$(fails 125 sampan run --rm --device-read-bps /dev/null:1mb $image true)" "/dev/null" "no block device"
  has "$(fails 125 sampan run --rm --device-read-bps /dev/none:1mb $image true)" "/dev/none"
  mknod /run/part b "$(cut -d: -f1 /sys/block/vda/dev)" 15
  has "$(fails 125 sampan run --rm --device-read-bps /run/part:1mb $image true)" "is gone, or is a part of a disk"
  rm /run/part
  same "" "$(sampan ps -aq)$(left $groups)"
}

test_weights_of_disks_are_kept_or_told() {
  weight=$(sampan run --rm --best-effort --blkio-weight 500 $image sh -c 'cd /sys/fs/cgroup; cat io.bfq.weight io.weight 2>/dev/null | head -n 1')
  case "$weight" in
    "default 500" | 500 | "default 4950") same "$weight" "$(sampan run --rm --blkio-weight 500 $image sh -c \
      'cd /sys/fs/cgroup; cat io.bfq.weight io.weight 2>/dev/null | head -n 1')" ;;
    "") has "$(fails 125 sampan run --rm --blkio-weight 500 $image true)" "this kernel does not have it" ;;
    *) same "a weight" "$weight" ;;
  esac
  same "" "$(left $groups)"
}

test_what_version_two_has_no_setting_for_is_refused_or_told() {
  all="--memory-swappiness 7 --oom-kill-disable --cpu-rt-runtime 1000"
  has "$(fails 125 sampan run --rm $all $image true)" "memory_swappiness, oom_kill_disable, cpu_rt_runtime" "no such setting"
  sampan run -d --name loose --best-effort $all $image sleep 1000 >/dev/null
  same '["memory_swappiness","oom_kill_disable","cpu_rt_runtime"]' \
    "$(sampan inspect loose | tr -d ' \n' | sed 's/.*"unenforced":\(\[[^]]*\]\).*/\1/')"
  sampan rm -f loose
  has "$(fails 125 bob sampan run --rm --device-read-bps /dev/vda:1mb $image true)" device_read_bps best_effort
  same "" "$(left $groups)"
}

test_what_is_written_to_a_disk_is_counted() {
  mkdir /var/io
  sampan run -d --name io -v /var/io:/io $image sh -c 'dd if=/dev/zero of=/io/f bs=64k count=16 conv=fsync; echo done; sleep 1000'
  eventually sh -c 'sampan logs io 2>/dev/null | grep -q done'
  id=$(sampan ps -q --no-trunc)
  eventually sh -c "grep -q 'wbytes=[1-9]' $groups/sampan/$id/io.stat"
  has "$(sampan stats --no-stream --format '{{.BlockIO}}' io)" "1.05MB"
  sampan rm -f io
  rm -r /var/io
}

test_swap_is_limited_as_in_docker() {
  swap() { sampan run --rm "$@" $image cat /sys/fs/cgroup/memory.swap.max; }
  same 67108864 "$(swap -m 64m)"
  same 0 "$(swap -m 64m --memory-swap 64m)"
  same max "$(swap -m 64m --memory-swap -1)"
  same 33554432 "$(swap -m 64m --memory-swap 96m)"
  has "$(fails 125 sampan run --rm --memory-swap 96m $image true)" memory_swap
}

test_too_much_memory_is_a_kill() {
  sampan run --name hog -m 16m --memory-swap 16m $image sh -c 'head -c 64m /dev/zero | tail -c 64m' || true
  has "$(sampan inspect hog)" '"oom_killed": true' '"oom_kills": 1'
  sampan rm hog
  # The first process itself: Docker's exit code for it.
  has "$(fails 137 sampan run --name hog -m 16m --memory-swap 16m $image tail -c 64m /dev/zero)" \
    "container hog was killed for memory: its limit is 16 MiB" "raise it (--memory)"
  has "$(sampan inspect hog)" '"oom_killed": true' '"code": 137'
  same true "$(field '{{.State.OOMKilled}}' hog)"
  same "oom die" "$(echo $(sampan events --since 0 --until 0s -f container=hog -f event=oom -f event=die --format '{{.Action}}' | tail -2))"
  sampan rm hog
  same "" "$(left $groups)"
}

test_too_many_processes_are_refused() {
  has "$(sampan run --rm --pids-limit 5 $image sh -c 'for n in 1 2 3 4 5 6 7 8; do sleep 100 & done; wait' 2>&1 || true)" "can't fork"
}

test_too_much_cpu_is_throttled() {
  throttled='while ! grep -q "^nr_throttled [1-9]" /sys/fs/cgroup/cpu.stat; do :; done; echo throttled'
  same throttled "$(sampan run --rm --cpus 0.1 $image sh -c "$throttled")"
}

test_a_container_is_where_its_cgroup_is_and_sees_itself_as_root() {
  id=$(sampan run -d --name placed $image sh -c 'cat /proc/self/cgroup; sleep 1000')
  pid=$(field '{{.pid}}' placed)
  same "0::/sampan/$id" "$(cat /proc/$pid/cgroup)"
  eventually sh -c 'sampan logs placed | grep -q .'
  same "0::/" "$(sampan logs placed)"
  shim=$(field '{{.shim_pid}}' placed)
  same "$(cat /proc/self/cgroup)" "$(cat /proc/$shim/cgroup)"
  sampan rm -f placed
  same "" "$(left $groups)"
}

test_cgroups_go_with_exit_removal_and_a_killed_shim() {
  sampan run -d --name one $image sh -c 'exit 3' >/dev/null
  same 3 "$(sampan wait one)"
  same "" "$(left $groups)"
  sampan rm one
  sampan run -d --name two $image sleep 1000 >/dev/null
  sampan stop -t 0 two
  same "" "$(left $groups)"
  sampan start two
  same 1 "$(left $groups | wc -l)"
  kill -9 "$(field '{{.shim_pid}}' two)"
  same 137 "$(sampan wait two)"
  same dead "$(field '{{.status}}' two)"
  sampan start two
  same running "$(field '{{.status}}' two)"
  same 1 "$(left $groups | wc -l)"
  kill -9 "$(field '{{.shim_pid}}' two)"
  sampan wait two
  sampan rm two
  same "" "$(left $groups)"
}

test_what_a_container_nests_below_its_cgroup_goes_too() {
  sampan run -d --name nest $image sleep 1000 >/dev/null
  dir=$(left $groups)
  mkdir -p "$dir/inner/deeper"
  sampan rm -f nest
  same "" "$(left $groups)"
}

# No process may be where controllers are handed down from, that of another run neither.
test_controllers_that_a_container_hands_down_are_in_no_later_run_s_way() {
  script='cd /sys/fs/cgroup; mkdir -p below; for pid in $(cat cgroup.procs); do echo $pid >below/cgroup.procs; done 2>/dev/null
    echo +pids >cgroup.subtree_control && echo handed down; exit 3'
  sampan run -d --name hands --privileged --pids-limit 100 --restart on-failure:1 $image sh -c "$script" >/dev/null
  eventually sh -c '[ "$(sampan inspect --format "{{.State.Status}} {{.RestartCount}}" hands)" = "exited 1" ]'
  same "handed down handed down" "$(echo $(sampan logs hands))"
  same 3 "$(sampan wait hands)"
  sampan rm hands
  same "" "$(left $groups)"
}

test_a_parent_is_named() {
  id=$(sampan run -d --name below --cgroup-parent batch -m 64m $image sleep 1000)
  same 67108864 "$(cat $groups/batch/$id/memory.max)"
  sampan rm -f below
  [ ! -e "$groups/batch/$id" ]
}

test_an_update_may_need_a_controller_that_nobody_needed_before() {
  id=$(sampan run -d --name later --cgroup-parent later $image sleep 1000)
  [ ! -e "$groups/later/$id/cpuset.cpus" ]
  same later "$(sampan update --cpuset-cpus 0 later)"
  same 0 "$(cat $groups/later/$id/cpuset.cpus)"
  sampan rm -f later
  rmdir $groups/later
  id=$(alice sampan run -d --name later $image sleep 1000)
  same later "$(alice sampan update --cpuset-cpus 0 later)"
  same 0 "$(cat $delegated/sampan/$id/cpuset.cpus)"
  alice sampan rm -f later
}

test_a_plain_user_with_a_delegated_subtree_has_limits() {
  id=$(alice sampan run -d --name mine -m 64m --pids-limit 32 --cpus 0.5 $image sleep 1000)
  same "67108864 67108864 32 50000 100000" "$(cd $delegated/sampan/$id && echo $(cat memory.max memory.swap.max pids.max cpu.max))"
  same "0::/user/alice/sampan/$id" "$(cat /proc/$(alice sampan inspect --format '{{.pid}}' mine)/cgroup)"
  alice sampan rm -f mine
  has "$(fails 137 alice sampan run --name hog -m 16m --memory-swap 16m $image tail -c 64m /dev/zero)" \
    "container hog was killed for memory: its limit is 16 MiB"
  has "$(alice sampan inspect hog)" '"oom_killed": true'
  alice sampan rm hog
  alice sampan --rung single-id run --rm -m 64m $image cat /sys/fs/cgroup/memory.max >/run/single
  same 67108864 "$(cat /run/single)"
  same "" "$(left $delegated)"
}

# Its init is born in a second user namespace, by a process that goes to its cgroup before.
test_a_plain_user_who_may_mount_has_limits_and_what_is_read_only_stays_so() {
  told() { alice sampan logs mounts | grep -q self; }
  mkdir -m 777 /home/alice/closed
  attack='cat /sys/fs/cgroup/memory.max; mount -o remount,bind,rw /closed; touch /closed/f; mount -t tmpfs none /tmp && echo itself; exec sleep 1000'
  for userns in host keep-id; do
    id=$(alice sampan run -d --name mounts --userns $userns -u 0 -m 64m --cap-add SYS_ADMIN --security-opt seccomp=unconfined \
      -v /home/alice/closed:/closed:ro $image sh -c "exec 2>/dev/null; $attack")
    eventually told
    same "67108864 itself" "$(echo $(alice sampan logs mounts))"
    same "0::/user/alice/sampan/$id" "$(cat /proc/$(alice sampan inspect --format '{{.pid}}' mounts)/cgroup)"
    same 1 "$(alice sampan exec mounts sh -c 'mount -o remount,bind,rw /closed 2>/dev/null || echo $?' | grep -c .)"
    alice sampan rm -f mounts
  done
  same "" "$(ls /home/alice/closed)$(left $delegated)"
  rmdir /home/alice/closed
}

test_a_plain_user_without_one_is_told() {
  has "$(fails 125 bob sampan run --rm -m 64m --pids-limit 9 $image true)" "memory, pids_limit" best_effort
  id=$(bob sampan run -d --name loose --best-effort -m 64m --pids-limit 9 $image sleep 1000)
  same '["memory","pids_limit"]' "$(bob sampan inspect loose | tr -d ' \n' | sed 's/.*"unenforced":\(\[[^]]*\]\).*/\1/')"
  same "0::/guest" "$(cat /proc/$(bob sampan inspect --format '{{.pid}}' loose)/cgroup)"
  bob sampan rm -f loose
  same hello "$(bob sampan run --rm $image echo hello)"
}

test_setup_gives_a_plain_user_limits_and_takes_them_back() {
  fails 125 bob sampan run --rm -m 64m $image true
  cp /etc/subuid /etc/subgid /run
  said=$(sampan setup --user bob)
  same "$said" "$(sampan setup --user bob)"
  place=$groups/sampan-users/1001
  set_up() { in_group $place/session as_user bob "$@"; }
  same "67108864 67108864 32" "$(set_up sampan run --rm -m 64m --pids-limit 32 $image sh -c 'cd /sys/fs/cgroup && echo $(cat memory.max memory.swap.max pids.max)')"
  has "$(fails 137 set_up sampan run --name hog -m 16m --memory-swap 16m $image tail -c 64m /dev/zero)" "its limit is 16 MiB"
  set_up sampan rm hog
  same 1000 "$(set_up sampan run --rm -u app $image id -u)"
  has "$(set_up sampan doctor)" "v2: " memory subids
  # A process of the user's own is not to be put anywhere else, nor its limit changed.
  fails 1 set_up sh -c "echo max >$place/memory.max"
  fails 1 set_up sh -c "echo 0 >$groups/guest/cgroup.procs"
  set_up sampan run -d --name stays -m 64m $image sleep 1000
  has "$(fails 1 sampan setup --remove)" "can't       cgroup $place: remove cgroup $place/" "processes run in it"
  same running "$(set_up sampan inspect --format '{{.status}}' stays)"
  set_up sampan rm -f stays
  sampan setup --remove
  same "" "$(ls -d $place /etc/sampan 2>/dev/null)"
  cmp /run/subuid /etc/subuid
  cmp /run/subgid /etc/subgid
  has "$(fails 125 bob sampan run --rm -m 64m $image true)" memory best_effort
}

test_each_rung_runs() {
  same 0 "$(sampan run --rm $image id -u)"
  same 0 "$(alice sampan --rung subids run --rm $image id -u)"
  same 1000 "$(alice sampan --rung subids run --rm -u app $image id -u)"
  same 0 "$(bob sampan --rung single-id run --rm $image id -u)"
  has "$(fails 125 bob sampan --rung subids run --rm $image true)" /etc/subuid
}

test_doctor_tells_what_there_is() {
  has "$(sampan doctor)" "v2: " memory pids
  has "$(alice sampan doctor)" "v2: " memory subids
  has "$(bob sampan doctor || true)" "none is writable" single-id
}

# In a cgroup of its own that is the root of what it sees, as in Docker: every process there sits in the very
# cgroup that would have to hand controllers down.
enclosed() {
  local dir=$1
  shift
  mkdir -p "$dir"
  in_group "$dir" as cgroupns -- unshare -m sh -ec 'umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"' sh "$@"
}

test_in_a_crowded_cgroup_containers_start_and_limits_are_told() {
  same hello "$(enclosed $groups/crowd sampan run --rm $image echo hello)"
  said=$(fails 125 enclosed $groups/crowd sampan run --rm -m 64m $image true)
  has "$said" "processes are in /sys/fs/cgroup itself" memory
  same hello "$(enclosed $groups/crowd sampan run --rm --best-effort -m 64m $image echo hello)"
  has "$(enclosed $groups/crowd sampan doctor)" "processes are in /sys/fs/cgroup itself"
  same "" "$(left $groups/crowd)"
}

test_its_processes_once_moved_to_a_leaf_limits_work() {
  cure='mkdir -p leaf; while read -r pid; do echo $pid >leaf/cgroup.procs; done <cgroup.procs'
  same 67108864 "$(enclosed $groups/nested sh -ec "cd /sys/fs/cgroup; $cure; cd /; exec \"\$@\"" sh \
    sampan run --rm -m 64m $image cat /sys/fs/cgroup/memory.max)"
}

test_a_user_in_the_very_cgroup_that_is_delegated() {
  mkdir -p $groups/user/crowd
  chown -R alice:alice $groups/user/crowd
  crowd() { in_group $groups/user/crowd as_user alice sampan "$@"; }
  same hello "$(crowd run --rm $image echo hello)"
  has "$(fails 125 crowd run --rm -m 64m $image true)" "processes are in $groups/user/crowd itself"
  same "" "$(left $groups/user/crowd)"
}

test_a_read_only_cgroup_tree_is_as_none() {
  alone() { unshare -m sh -ec 'mount -o remount,bind,ro /sys/fs/cgroup; exec "$@"' sh "$@"; }
  same hello "$(alone sampan run --rm $image echo hello)"
  has "$(fails 125 alone sampan run --rm -m 64m $image true)" memory
}

test_a_store_on_tmpfs() {
  store=/dev/shm/store
  same hello "$(sampan --root $store run --rm $image echo hello)"
  rm -rf $store
  # This kernel keeps no user.* attributes there, which a plain user's overlay marks a replaced directory with.
  same hello "$(alice sampan --root $store run --rm $image echo hello)"
  has "$(alice sampan --root $store doctor)" tmpfs 6.6
  alice rm -rf $store
}

test_a_directory_replaced_by_a_plain_user_hides_what_was_there() {
  script='ls /home; rm -r /home; mkdir /home; echo "then: $(ls /home)"'
  for rung in subids single-id; do
    has "$(alice sampan --rung $rung run --rm $image sh -c "$script")" app "then: "
  done
}

test_a_host_that_is_pid_1() {
  first() { unshare -f -p --mount-proc "$@"; }
  same hello "$(first sampan run --rm $image echo hello)"
  fails 7 first sampan run --rm $image sh -c 'exit 7'
  has "$(first sampan doctor)" "PID 1"
}

test_a_host_that_is_a_subreaper() {
  same hello "$(as subreaper -- sampan run --rm $image echo hello)"
  fails 7 as subreaper -- sampan run --rm $image sh -c 'exit 7'
  has "$(as subreaper -- sampan doctor)" subreaper
}

# Its mounts are in none at last, which is this kernel's to keep together.
test_an_oci_container_without_a_mount_namespace() {
  bundle
  args sh -c 'echo kept >/dev/shm/note; cat /dev/shm/note; exec sleep 1000'
  among_others
  before=$(cat /proc/self/mounts)
  sampan oci run --detach --bundle $bundle one </dev/null >/run/said 2>&1
  eventually grep -q kept /run/said
  same "$(readlink /proc/self/ns/mnt)" "$(readlink /proc/$(pid one)/ns/mnt)"
  same "kept" "$(sampan oci exec one cat /dev/shm/note)"
  same "bin dev proc secret sys" "$(sampan oci exec one sh -c 'cd ../..; echo *')"
  same "$before" "$(cat /proc/self/mounts)"
  sampan oci delete --force one
  same "$before" "$(cat /proc/self/mounts)"
  same "" "$(ls /run/sampan/oci)$(left $groups)"
}

# Numbers of x86_64. Threads need clone3 as well, and fall back when it is not there, but not when it is refused.
test_without_clone3() {
  script='echo $(cat /sys/fs/cgroup/pids.max) hello'
  same "32 hello" "$(as without=435 -- sampan run --rm -m 64m --pids-limit 32 $image sh -c "$script")"
  same "" "$(left $groups)"
}

test_without_pidfd_send_signal() {
  same hello "$(as without=424 -- sampan run --rm $image echo hello)"
}

test_what_cannot_be_replaced_is_told_and_leaves_nothing() {
  # close_range, openat2, fsopen, mount_setattr: what lacks one of them lacks the youngest of them too.
  for number in 436 437 430 442; do
    has "$(fails 125 as without=$number -- sampan run --rm $image true)" "function not implemented"
  done
  same "" "$(sampan ps -aq)$(left $groups)"
}

# The last one: what the second boot finds.
test_containers_for_the_next_boot() {
  sampan run -d --name kept -m 64m $image sh -c 'echo up; sleep 1000'
  sampan run -d --name ended $image sh -c 'exit 4'
  sampan wait ended
  alice sampan run -d --name hers $image sleep 1000
  alice sampan ps
  sync
  # Nothing of this one need have reached the disk when the power goes.
  sampan run -d --name fresh $image sleep 1000
}
