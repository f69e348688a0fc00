#!/usr/bin/env bash
# The validation programs of opencontainers/runtime-tools with this runtime, held against `expected`.
#
#   bash tests/oci/run.sh SUITE RUNTIME [PROGRAM...]
#
# SUITE is a checkout of it that was built as its own README says; nothing of it is kept here. Run it as root. With
# OCI_LOGS=DIR what the programs say is kept there.
set -euo pipefail

mounted=()
# hierarchies DIR: in this mount namespace alone, those of v1 controllers that the kernel has and nobody has mounted.
hierarchies() {
  local dir name view=$1
  mount -t tmpfs none "$view"
  for dir in /sys/fs/cgroup/*/; do
    name=$(basename "$dir")
    mkdir "$view/$name"
    mount --bind "$dir" "$view/$name"
  done
  for name in hugetlb net_cls,net_prio; do
    [ ! -e "$view/$name" ] || continue
    mkdir "$view/$name"
    if mount -t cgroup -o "$name" none "$view/$name"; then mounted+=("$name"); else rmdir "$view/$name"; fi
  done
  for name in net_cls net_prio; do
    [ -e "$view/$name" ] || [ ! -d "$view/net_cls,net_prio" ] || ln -s net_cls,net_prio "$view/$name"
  done
  mount --rbind "$view" /sys/fs/cgroup
}

if [ -z "${OCI_INSIDE:-}" ]; then
  OCI_INSIDE=$(mktemp -d)
  export OCI_INSIDE
  unused=$(awk '$2 == 0 { print $1 }' /proc/cgroups)
  # The kernel takes the hierarchies apart a little after they are unmounted.
  gone() {
    rmdir "$OCI_INSIDE"
    timeout 30 bash -c 'until awk -v names=" $(echo $0) " "\$2 != 0 && index(names, \" \" \$1 \" \") { exit 1 }" /proc/cgroups
      do sleep 0.1; done' "$unused" || true
  }
  trap gone EXIT
  unshare --mount bash "$0" "$@"
  exit
fi
# Of v2 there is but one.
if [ -d /sys/fs/cgroup/memory ]; then hierarchies "$OCI_INSIDE"; fi

suite=$(realpath "$1") runtime=$(realpath -s "$2")
shift 2
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
# The programs leave cgroups. A hierarchy that is unmounted while the kernel still takes one of them apart stays, mounted
# nowhere, in the way of who reads /proc/PID/cgroup.
cleanup() {
  rm -rf "$scratch"
  find /sys/fs/cgroup/*/testdir /sys/fs/cgroup/*/cgrouptest -depth -type d -exec rmdir {} + 2>/dev/null || true
  local name
  for name in ${mounted[@]+"${mounted[@]}"}; do
    timeout 30 bash -c 'until awk -v name="$0" "\$1 == name { exit \$3 > 1 }" /proc/cgroups; do sleep 0.1; done' "${name%,*}" || true
  done
}
trap cleanup EXIT
# Containers in a user namespace have to get to their bundles.
chmod 755 "$scratch"

# result LOG CODE: `pass`, or `silent` for one that has ended well and said nothing in TAP, or `fail OK NOT`, with how
# many of its lines are ok and how many are not. Lines that are skipped don't count. Some programs tell of what is wrong
# by an error that belongs to no line; and one that plans another number of lines than there are was cut short.
result() {
  awk -v code="$2" '
    /^ *(not )?ok/ { lines++ }
    /^ *(not )?ok.*# *(SKIP|TODO)/ { next }
    /^ *ok/ { good++; belongs = 1; next }
    /^ *not ok/ { bad++; belongs = 1; next }
    /^1\.\.[0-9]+$/ { planned += substr($0, 4); plan = 1; next }
    /^ *"error": "./ && !belongs { stray++ }
    /^ *\.\.\.$/ { belongs = 0 }
    END {
      if (code != 0 || bad + stray > 0 || (plan ? planned != lines : lines > 0)) print "fail", good + 0, bad + 0
      else print (good > 0 ? "pass" : "silent")
    }' "$1"
}

cd "$suite"
[ -x runtimetest ] || { echo "$suite is not built: runtimetest is missing" >&2; exit 1; }
programs=("$@")
[ $# -gt 0 ] || for program in validation/*/*.t; do programs+=("$(basename "$program" .t)"); done
wrong=0 passed=0
logs=${OCI_LOGS:-$scratch}
for program in "${programs[@]}"; do
  code=0
  RUNTIME=$runtime TMPDIR=$scratch timeout 180 "validation/$program/$program.t" >"$logs/$program.log" 2>&1 </dev/null || code=$?
  got=$(result "$logs/$program.log" "$code")
  wanted=$(awk -v program="$program" '$1 == program { $1 = ""; print substr($0, 2) }' "$here/expected")
  case $got in fail*) ;; *) passed=$((passed + 1)) ;; esac
  if [ "$wanted" != either ] && [ "$got" != "${wanted:-pass}" ]; then
    wrong=$((wrong + 1))
    echo "$program: $got, where ${wanted:-pass} is expected"
    case $got in fail*) grep -vE '^\s*ok' "$logs/$program.log" | cut -c1-300 | head -20 || true ;; esac
  fi
done
echo "$passed of ${#programs[@]} programs pass"
[ "$wrong" = 0 ]
