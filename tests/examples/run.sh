#!/usr/bin/env bash
# The lane of the examples: the quickstart as root and as a plain user. It has to end well, to print what each language
# did, in order, and to leave nothing.
#
# bash tests/examples/run.sh [PROFILE]
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/lib/user.sh
make_user
profile=${1:-quick}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# expect FILE: lines that match these, in this order, with anything between them.
expect() {
  local pattern line at=0
  while IFS= read -r pattern; do
    # No pipe: the end of what fills it, by SIGPIPE once the line is found, would count as a failure.
    line=$(grep -n -m 1 -E -- "$pattern" <(tail -n "+$((at + 1))" "$1")) ||
      { echo "after line $at no line matches: $pattern" >&2; return 1; }
    at=$((at + ${line%%:*}))
  done
}

# wanted RUNG: what is printed.
wanted() {
  cat <<LINES
^== the command
^containers can run; rung \`$1\`
^127\.0\.0\.1:[0-9]+/busybox:latest
^hello from busybox, as root
^127\.0\.0\.1:[0-9]+/debian:latest
^hello from Debian GNU/Linux .*, as root
^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE
^[0-9a-f]{12} +127\.0\.0\.1:[0-9]+/busybox +"sh .* Up .* clock
^tick
^bye
^== C: .* busybox
^pulled 127\.0\.0\.1:[0-9]+/busybox: sha256:
^it wrote: hello from sampan
^it ended with 3
^it was ended by signal 9
^== C: .* debian
^it wrote: hello from sampan
^== Python
hello from [0-9a-f]{12}
^\['0', '1', '2', '3', '4', '5', '6', '7'\]
^hello notebook
^command_not_found
hello from [0-9a-f]{12}
^== Node: .* busybox
^run: exit code 0, it wrote "hello from [0-9a-f]{12}
^  log: line 3
^stopped: exit code 137
command_not_found
^== Node: .* debian
^run: exit code 0, it wrote "hello from [0-9a-f]{12}
^no container, no mount
LINES
}

# tour NAME RUNG ARGUMENT...
tour() {
  local who=$1 rung=$2
  shift 2
  echo "-- as $who"
  mkdir "$scratch/tmp-$who"
  chmod 755 "$scratch" "$scratch/tmp-$who"
  TMPDIR="$scratch/tmp-$who" bash examples/quickstart.sh --profile "$profile" "$@" >"$scratch/$who" 2>&1 || { cat "$scratch/$who" >&2; return 1; }
  # Not empty: something was left.
  rmdir "$scratch/tmp-$who"
  wanted "$rung" | expect "$scratch/$who" || { cat "$scratch/$who" >&2; return 1; }
}

tour root root
tour "$user" subids --user "$user"
nothing_runs
