# The unprivileged user of the tests, $user, and ids that tests need. Sourced, as root.
user=sampan-test

# make_user: makes it, with subordinate ids, when it is missing.
make_user() {
  id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
  grep -q "^$user:" /etc/subuid || usermod --add-subuids 300000-365535 --add-subgids 300000-365535 "$user"
}

# make_ids: sets subordinate ids aside for containers that have some of their own, when there are none.
make_ids() {
  local file
  for file in /etc/subuid /etc/subgid; do
    flock "$file" sh -c "grep -q '^sampan:' $file || echo sampan:1000000000:6553600 >>$file"
  done
}

# as_user HOME [NAME=VALUE...] COMMAND...: with nothing of root's environment.
as_user() {
  local home=$1
  shift
  runuser -u "$user" -- env -i LANG=C.UTF-8 HOME="$home" PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "$@"
}

# nothing_runs: fails when the user has a process that does not end within ten seconds. A zombie whose parent is PID 1 has ended, and is PID 1's to reap,
# which some do late.
nothing_runs() {
  local left deadline=$((SECONDS + 10))
  while left=$(ps -u "$user" -o pid=,ppid=,stat=,args= | awk '!($2 == 1 && $3 ~ /^Z/)') && [ -n "$left" ]; do
    [ $SECONDS -lt $deadline ] || break
  done
  [ -z "$left" ] || { printf 'processes were left behind:\n%s\n' "$left" >&2; return 1; }
}
