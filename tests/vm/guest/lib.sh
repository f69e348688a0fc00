# What the tests share.

registry=127.0.0.1:5000
image=$registry/busybox:latest
groups=/sys/fs/cgroup
# alice's session, delegated to her as systemd does it: the subtree is hers, her processes sit in a leaf of it.
delegated=$groups/user/alice

# Where systemd keeps what is alice's.
own=$groups/user.slice/user-1000.slice/user@1000.service

# run_tests: those of $boot whose names match $only, each in a shell of its own; what became of them goes to the report.
run_tests() {
  report=/dev/ttyS1
  stty -F $report -opost 2>/dev/null
  for name in $(sed -n 's/^\(test_[a-z0-9_]*\)().*/\1/p' "/tests/$boot.sh" | grep -E "$only"); do
    began=$(date +%s)
    timeout 300 sh -e /tests/one.sh "$boot" "$name" >/run/test.log 2>&1 </dev/null
    code=$?
    took=$(($(date +%s) - began))
    if [ $code -eq 0 ]; then
      echo "ok $boot: ${name#test_} ($took s)" >$report
    else
      { echo "FAIL $boot: ${name#test_} (code $code, $took s)"; tail -30 /run/test.log | sed 's/^/    /'; } >$report
    fi
  done
  echo "end of tests" >$report
}

# registry: serves the images.
registry() {
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: /registry}}\nhttp: {addr: "%s"}\n' \
    "$registry" >/run/registry.yml
  docker-registry serve /run/registry.yml >/run/registry.log 2>&1 </dev/null &
  until busybox wget -q -O /dev/null "http://$registry/v2/" 2>/dev/null; do busybox usleep 50000; done
}

# machine: once a boot.
machine() {
  registry
  for user in alice:1000 bob:1001; do
    mkdir -p "/run/user/${user#*:}"
    chown "${user#*:}:${user#*:}" "/run/user/${user#*:}"
    chmod 700 "/run/user/${user#*:}"
  done
  hand_down $groups
  mkdir -p $groups/user $groups/guest
  hand_down $groups/user
  mkdir -p $delegated
  hand_down $delegated
  mkdir -p $delegated/session
  chown -R alice:alice $delegated
}

# policy: SELinux's, as a whole, and enforced, with labels for containers.
policy() {
  mount -t selinuxfs selinuxfs /sys/fs/selinux
  dd if=/tests/policy of=/sys/fs/selinux/load bs=16M count=1 2>/dev/null
  echo 1 >/sys/fs/selinux/enforce
  mkdir -p /etc/selinux/tests/contexts
  echo SELINUXTYPE=tests >/etc/selinux/config
  printf 'process = "u:r:box_t:s0"\nfile = "u:object_r:box_file_t:s0"\n' >/etc/selinux/tests/contexts/lxc_contexts
}

hand_down() { sed 's/\([a-z_]*\)/+\1/g' "$1/cgroup.controllers" >"$1/cgroup.subtree_control"; }

# same WANTED GOT
same() { [ "$1" = "$2" ] || { echo "wanted: $1"; echo "got:    $2"; exit 1; }; }

# has TEXT PART...
has() {
  local text=$1 part
  shift
  for part in "$@"; do
    case $text in *"$part"*) ;; *) echo "there is no \"$part\" in: $text"; exit 1 ;; esac
  done
}

# fails CODE COMMAND...: prints what it says; with another code, to the test's own output, which is the report's.
fails() {
  local wanted=$1 code=0 said
  shift
  said=$("$@" 2>&1) || code=$?
  [ "$wanted" = "$code" ] || { echo "wanted code $wanted, got $code of: $*"; echo "$said"; exit 1; } >&2
  echo "$said"
}

# in_group DIR COMMAND...: in that cgroup.
in_group() {
  local dir=$1
  shift
  (echo 0 >"$dir/cgroup.procs" && "$@")
}

# as_user NAME COMMAND...
as_user() {
  local name=$1 id
  shift
  id=$(id -u "$name")
  env -i PATH=$PATH HOME="/home/$name" XDG_RUNTIME_DIR="/run/user/$id" SAMPAN_TEST_IMAGE="$image" SAMPAN_TEST_RUNG="${rung:-}" \
    as user="$id" -- "$@"
}

# alice in her delegated session; bob has neither subordinate ids nor a cgroup of his own.
alice() {
  case $boot in
    systemd) as_user alice "$@" ;;
    *) in_group $delegated/session as_user alice "$@" ;;
  esac
}
bob() {
  case $boot in
    systemd) as_user bob "$@" ;;
    *) in_group $groups/guest as_user bob "$@" ;;
  esac
}

# bundle: one in $bundle with the configuration to begin with, and a root of busybox.
bundle() {
  bundle=$(mktemp -d /run/bundle.XXXXXX)
  mkdir -p $bundle/rootfs/bin $bundle/rootfs/secret
  cp /bin/busybox $bundle/rootfs/bin/
  for name in sh cat sleep ls mkdir; do ln -s busybox $bundle/rootfs/bin/$name; done
  echo hidden >$bundle/rootfs/secret/file
  (cd $bundle && sampan oci spec)
}

# args WORD...: what its process executes, in the place of a shell at a terminal, with the members $process, and those of
# $linux for all of it.
args() {
  local words="" word
  for word in "$@"; do words="$words,\"$word\""; done
  tr -d '\n' <$bundle/config.json | sed "s|\"args\": *\[[^]]*\]|\"args\":[${words#,}]${process:+,$process}|; \
    s|\"terminal\": *true|\"terminal\":false|; s|\"linux\": *{|\"linux\":{${linux:+$linux,}|" >$bundle/new
  mv $bundle/new $bundle/config.json
}

# among_others: without a mount namespace of its own.
among_others() {
  sed 's/{ *"type": *"mount" *}, *//; s/, *{ *"type": *"mount" *}//' $bundle/config.json >$bundle/new
  mv $bundle/new $bundle/config.json
}

# pid ID: the number of the first process of an OCI container.
pid() { sampan oci state "$1" | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p'; }

# field FORMAT CONTAINER
field() { sampan inspect --format "$1" "$2"; }

# eventually COMMAND...: until it succeeds; the test's own timeout ends it otherwise.
eventually() { until "$@"; do busybox usleep 50000; done; }

# left DIR: the cgroups that containers left below it.
left() { find "$1/sampan" -mindepth 1 -type d 2>/dev/null || true; }
