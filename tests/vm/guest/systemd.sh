# On a machine whose first process is systemd, with its buses, and a manager of alice's own. The tests run in a unit of
# the system's: alice's processes are not in her session, and may not enter it by themselves.

# bundle DIR USER PATH ANNOTATIONS: a bundle of busybox that sleeps, with limits.
bundle() {
  mkdir -p "$1/rootfs/bin"
  [ -e "$1/rootfs/bin/busybox" ] || cp /bin/busybox "$1/rootfs/bin/"
  local maps='' user=''
  if [ "$2" = alice ]; then
    user=',{"type":"user"}'
    maps='"uidMappings":[{"containerID":0,"hostID":1000,"size":1}],"gidMappings":[{"containerID":0,"hostID":1000,"size":1}],'
  fi
  cat >"$1/config.json" <<JSON
{"ociVersion":"1.2.0","root":{"path":"rootfs"},"annotations":{${4:-}},
 "process":{"user":{"uid":0,"gid":0},"cwd":"/","args":["/bin/busybox","sleep","1000"],"env":["PATH=/bin"]},
 "mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs"}],
 "linux":{"cgroupsPath":"$3",$maps
  "namespaces":[{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"cgroup"}$user],
  "resources":{"memory":{"limit":67108864,"swap":67108864},"pids":{"limit":20},"cpu":{"quota":25000,"period":50000,"shares":512}}}}
JSON
  [ "$2" = root ] || chown -R "$2:" "$1"
}

# show MANAGER UNIT PROPERTY
show() {
  case $1 in
    system) systemctl show --value -p "$3" "$2" ;;
    user) alice systemctl --user show --value -p "$3" "$2" ;;
  esac
}

# limited MANAGER UNIT DIR: both say what was asked for.
limited() {
  same "67108864 20 500ms 50ms 59" "$(echo $(for name in MemoryMax TasksMax CPUQuotaPerSecUSec CPUQuotaPeriodUSec CPUWeight; do
    show "$1" "$2" $name; done))"
  same "67108864 0 20 25000 50000 59" "$(cd "$3" && echo $(cat memory.max memory.swap.max pids.max cpu.max cpu.weight))"
  same "yes active" "$(echo $(show "$1" "$2" Delegate; show "$1" "$2" ActiveState))"
}

# oci USER WORDS...: the runtime, as root or alice.
oci() {
  local who=$1
  shift
  case $who in
    root) sampan oci "$@" ;;
    alice) alice sampan oci "$@" ;;
  esac
}

# gone MANAGER UNIT DIR
gone() { [ ! -e "$3" ] && [ "$(show "$1" "$2" LoadState)" = not-found ]; }

# through WHO MANAGER SLICE UNIT DIR: the life of a container in its scope.
through() {
  local who=$1 manager=$2 unit=$4 dir=$5
  oci "$who" --systemd-cgroup create --bundle "$bundle" one </dev/null >/run/out 2>&1 || { cat /run/out; return 1; }
  limited "$manager" "$unit" "$dir"
  same "$3" "$(show "$manager" "$unit" Slice)"
  same "$(oci "$who" state one | sed -n 's/ *"pid": \([0-9]*\),/\1/p')" "$(cat "$dir/cgroup.procs")"
  oci "$who" start one
  same inside "$(oci "$who" exec one /bin/busybox echo inside)"
  same "0::/" "$(oci "$who" exec one /bin/busybox cat /proc/self/cgroup)"
  oci "$who" update --memory 32m --memory-swap 32m --pids-limit 30 --cpu-quota 50000 one
  same "33554432 30 1s" "$(echo $(for name in MemoryMax TasksMax CPUQuotaPerSecUSec; do show "$manager" "$unit" $name; done))"
  same "33554432 30 50000 50000" "$(cd "$dir" && echo $(cat memory.max pids.max cpu.max))"
  oci "$who" pause one
  oci "$who" resume one
  has "$(fails 1 oci "$who" update --pids-limit 5 --cpu-quota 1 one)" cpu.max
  same "30 30" "$(show "$manager" "$unit" TasksMax) $(cat "$dir/pids.max")"
  # What systemd writes again says the same.
  case $manager in system) systemctl daemon-reload ;; user) alice systemctl --user daemon-reload ;; esac
  same "33554432 30 50000 50000" "$(cd "$dir" && echo $(cat memory.max pids.max cpu.max))"
  oci "$who" delete --force one
  eventually gone "$manager" "$unit" "$dir"
}

test_a_container_of_roots_is_a_scope() {
  bundle=/run/bundle
  bundle $bundle root "sampan-test.slice:boat:one" '"org.systemd.property.TimeoutStopUSec":"uint64 7000000"'
  through root system sampan-test.slice boat-one.scope $groups/sampan.slice/sampan-test.slice/boat-one.scope
}

test_an_annotation_is_a_property() {
  bundle=/run/bundle
  bundle $bundle root "" '"org.systemd.property.TimeoutStopUSec":"uint64 7000000","org.systemd.property.Description":"'"'a boat'"'"'
  oci root --systemd-cgroup create --bundle $bundle two </dev/null >/run/out 2>&1
  same "7s a boat" "$(show system sampan-two.scope TimeoutStopUSec) $(show system sampan-two.scope Description)"
  oci root delete --force two
  bundle $bundle root "" '"org.systemd.property.NoSuch":"true"'
  has "$(fails 1 oci root --systemd-cgroup create --bundle $bundle two </dev/null)" "start scope sampan-two.scope" NoSuch
  eventually gone system sampan-two.scope $groups/system.slice/sampan-two.scope
}

test_a_scope_that_is_anothers_stays() {
  bundle=/run/bundle
  bundle $bundle root ":boat:other"
  systemd-run --quiet --scope --unit boat-other sleep 1000 </dev/null >/dev/null 2>&1 &
  eventually test -e $groups/system.slice/boat-other.scope/cgroup.procs
  eventually test -n "$(cat $groups/system.slice/boat-other.scope/cgroup.procs)"
  has "$(fails 1 oci root --systemd-cgroup create --bundle $bundle one </dev/null)" "holds processes already"
  same active "$(show system boat-other.scope ActiveState)"
  systemctl stop boat-other.scope
}

test_a_container_of_a_plain_users_is_a_scope() {
  bundle=/home/alice/bundle
  bundle $bundle alice "sampan-test.slice:boat:one"
  through alice user sampan-test.slice boat-one.scope $own/sampan.slice/sampan-test.slice/boat-one.scope
}

test_what_fails_leaves_no_scope() {
  bundle=/home/alice/bundle
  bundle $bundle alice ":boat:bad"
  sed -i 's|/bin/busybox","sleep|/nonexistent","sleep|' $bundle/config.json
  has "$(fails 1 oci alice --systemd-cgroup run --bundle $bundle bad </dev/null)" nonexistent
  eventually gone user boat-bad.scope $own/user.slice/boat-bad.scope
}

test_without_a_manager_it_is_told() {
  has "$(fails 1 bob sampan oci --systemd-cgroup run --bundle /run/bundle bad </dev/null)" "connect to systemd" "enable-linger"
}

# limits COMMAND...: the files of a container that it runs with limits.
limits() {
  echo $("$@" run --rm -m 64m --memory-swap 64m --pids-limit 32 --cpus 0.5 $image \
    sh -c 'cd /sys/fs/cgroup && cat memory.max memory.swap.max pids.max cpu.max; cat /proc/self/cgroup')
}

test_a_plain_user_has_limits_by_her_manager() {
  has "$(fails 125 alice sampan run --rm -m 64m $image true)" "no writable cgroup"
  same "67108864 0 32 50000 100000 0::/" "$(limits alice sampan --cgroup-manager systemd)"
  eventually test -z "$(ls -d $own/user.slice/sampan-* 2>/dev/null)"
}

# alice_copies: her store, as it is while a container runs from it, but for what overlayfs has closed.
alice_copies() { alice cp -a /home/alice/.local/share/sampan /home/alice/copy 2>/dev/null || test -d /home/alice/copy/containers; }

test_a_copy_of_the_store_leaves_the_scope_alone() {
  local id scope copied="alice sampan --root /home/alice/copy --cgroup-manager systemd"
  id=$(alice sampan --cgroup-manager systemd create --name web $image sleep 1000)
  scope=$own/user.slice/sampan-$id.scope
  # Copied before it runs, and while it does.
  alice_copies
  alice sampan --cgroup-manager systemd start web
  for moment in before while; do
    has "$(fails 1 $copied start web)" "same id"
    same active "$(show user sampan-$id.scope ActiveState)"
    $copied rm -f web
    $copied system prune -f
    same inside "$(alice sampan exec web echo inside)"
    alice rm -rf /home/alice/copy
    alice_copies
  done
  alice sampan restart -t 0 web
  alice sampan rm -f web
  eventually gone user sampan-$id.scope $scope
  # Nobody is in the scope any more: the copy is a container like others.
  $copied start web
  same active "$(show user sampan-$id.scope ActiveState)"
  $copied rm -f web
  eventually gone user sampan-$id.scope $scope
  alice rm -rf /home/alice/copy
}

test_a_plain_users_container_lives_in_its_scope() {
  id=$(alice sampan --cgroup-manager systemd run -d --name web -m 64m $image sleep 1000)
  scope=$own/user.slice/sampan-$id.scope
  same "active sampan container web" "$(echo $(show user sampan-$id.scope ActiveState; show user sampan-$id.scope Description))"
  same 67108864 "$(cat $scope/sampan/$id/memory.max)"
  same inside "$(alice sampan exec web echo inside)"
  alice sampan --cgroup-manager systemd update -m 32m --memory-swap 32m --pids-limit 9 web
  same "33554432 9" "$(cd $scope/sampan/$id && echo $(cat memory.max pids.max))"
  has "$(alice sampan stats --no-stream web)" "32"
  alice sampan pause web
  alice sampan unpause web
  alice sampan restart -t 0 web
  same 33554432 "$(cat $scope/sampan/$id/memory.max)"
  alice sampan rm -f web
  eventually gone user sampan-$id.scope $scope
}

test_a_scope_goes_with_a_killed_shim() {
  id=$(alice sampan --cgroup-manager systemd run -d --name lost $image sleep 1000)
  scope=$own/user.slice/sampan-$id.scope
  kill -9 $(cat $scope/shim/cgroup.procs)
  eventually gone user sampan-$id.scope $scope
  alice sampan --cgroup-manager systemd start lost
  same 1 "$(cat $scope/sampan/$id/cgroup.procs | wc -l)"
  alice sampan rm -f lost
  eventually gone user sampan-$id.scope $scope
}

test_roots_containers_are_scopes_when_asked_for() {
  same "67108864 0 32 50000 100000 0::/" "$(limits sampan --cgroup-manager systemd)"
  sampan --cgroup-manager systemd run -d --name mine --cgroup-parent boat-deck.slice $image sleep 1000
  id=$(field '{{.id}}' mine)
  same boat-deck.slice "$(show system sampan-$id.scope Slice)"
  has "$(fails 125 sampan --cgroup-manager systemd run --rm --cgroup-parent /boat $image true)" "not the name of a slice"
  sampan rm -f mine
  eventually gone system sampan-$id.scope $groups/boat.slice/boat-deck.slice/sampan-$id.scope
}
