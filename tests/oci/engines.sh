#!/usr/bin/env bash
# Docker and containerd with this runtime: they run, enter, pause, limit and remove containers.
#
#   bash tests/oci/engines.sh RUNTIME
#
# Starts daemons of its own, with their state below a scratch directory and without networks. Run it as root; one whose
# daemon can't run here is skipped, with the code 77 when it is both.
set -euo pipefail
runtime=$(realpath -s "$1")
scratch=$(mktemp -d) daemon= ran=0

finish() {
  # Containers of a test that failed half-way; each daemon's shims would stay with theirs.
  timeout 10 /usr/bin/docker -H "unix://$scratch/docker.sock" rm -f one >/dev/null 2>&1 || true
  timeout 10 ctr --address "$scratch/containerd.sock" tasks rm -f one >/dev/null 2>&1 || true
  [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null; } || true
  grep -F " $scratch" /proc/self/mountinfo | cut -d' ' -f5 | sort -r | xargs -r umount -l 2>/dev/null || true
  # The parents of their cgroups, where nobody else has one.
  rmdir /sys/fs/cgroup/{,*/}{docker,default} 2>/dev/null || true
  rm -rf "$scratch"
}
trap finish EXIT

# want CODE TEXT COMMAND...: how it ends, and what its output is, or contains between stars.
want() {
  local code=0 output wanted=$1 text=$2
  shift 2
  output=$(timeout 60 "$@" 2>&1) || code=$?
  # shellcheck disable=SC2053 # a pattern
  [ "$code" = "$wanted" ] && [[ $output == $text ]] || { printf '%s\nended with %s: %s\n' "$*" "$code" "$output" >&2; exit 1; }
}

# up LOG TEXT: true once the daemon has logged this, false when it has ended.
up() {
  timeout 60 grep -qm1 -F "$2" <(exec tail -n +1 -F --pid="$daemon" "$1" 2>/dev/null) && return
  ! kill -0 "$daemon" 2>/dev/null || { echo "the daemon runs, but never logged: $2" >&2; exit 1; }
  return 1
}

# down: ends the daemon.
down() {
  kill "$daemon" && wait "$daemon" || true
  daemon=
}

mkdir -p "$scratch/root/bin"
cp /bin/busybox "$scratch/root/bin/"
for applet in sh sleep echo test tty; do ln -s busybox "$scratch/root/bin/$applet"; done

docker_lane() {
  local client=(/usr/bin/docker -H "unix://$scratch/docker.sock")
  dockerd --data-root "$scratch/data" --exec-root "$scratch/exec" -H "unix://$scratch/docker.sock" -p "$scratch/pid" \
    --storage-driver vfs --bridge none --iptables=false --ip-forward=false \
    --add-runtime "sampan=$runtime" --default-runtime sampan >"$scratch/docker.log" 2>&1 &
  daemon=$!
  up "$scratch/docker.log" "API listen on" || { echo "SKIPPED docker: its daemon does not run here: $(tail -1 "$scratch/docker.log")"; daemon=; return; }
  tar -C "$scratch/root" -c . | "${client[@]}" import - box >/dev/null
  want 5 hello "${client[@]}" run --rm --network none box sh -c 'echo hello; exit 5'
  want 127 '*executable file not found*' "${client[@]}" run --rm --network none box nosuchcommand
  want 0 '*' "${client[@]}" run -d --network none --name one --memory 64m box sleep 1000
  want 4 inside "${client[@]}" exec one sh -c 'echo inside; exit 4'
  want 0 one "${client[@]}" pause one
  want 0 paused "${client[@]}" inspect -f '{{.State.Status}}' one
  want 0 one "${client[@]}" unpause one
  want 0 one* "${client[@]}" update --memory 128m --memory-swap -1 one
  want 0 '*/ 128MiB' "${client[@]}" stats --no-stream --format '{{.MemUsage}}' one
  want 0 '*sleep' "${client[@]}" top one -o pid,comm
  want 0 'a terminal*' "${client[@]}" run --rm -t --network none box sh -c 'test -t 1 && echo a terminal'
  want 0 one "${client[@]}" rm -f one
  want 0 '' "${client[@]}" ps -a -q
  down
  ran=$((ran + 1))
  echo "docker: ran, entered, paused, limited and removed containers"
}

containerd_lane() {
  local socket=$scratch/containerd.sock
  printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s"\n' \
    "$scratch/croot" "$scratch/cstate" "$socket" >"$scratch/containerd.toml"
  containerd --config "$scratch/containerd.toml" >"$scratch/containerd.log" 2>&1 &
  daemon=$!
  local client=(ctr --address "$socket")
  up "$scratch/containerd.log" "containerd successfully booted" || { echo "SKIPPED containerd: it does not run here: $(tail -1 "$scratch/containerd.log")"; daemon=; return; }
  local run=("${client[@]}" run --runc-binary "$runtime" --rootfs)
  want 5 hello "${run[@]}" --rm "$scratch/root" first sh -c 'echo hello; exit 5'
  want 0 '' "${run[@]}" -d "$scratch/root" one sleep 1000
  want 4 inside "${client[@]}" tasks exec --exec-id inside one sh -c 'echo inside; exit 4'
  want 0 '' "${client[@]}" tasks pause one
  want 0 '*PAUSED*' "${client[@]}" tasks ls
  want 0 '' "${client[@]}" tasks resume one
  want 0 '*RUNNING*' "${client[@]}" tasks ls
  want 0 '*' "${client[@]}" tasks rm -f one
  want 0 '' "${client[@]}" containers rm one
  want 0 '' "${client[@]}" containers ls -q
  down
  ran=$((ran + 1))
  echo "containerd: ran, entered, paused and removed containers"
}

if command -v dockerd >/dev/null; then docker_lane; else echo "SKIPPED docker: not installed"; fi
if command -v containerd >/dev/null; then containerd_lane; else echo "SKIPPED containerd: not installed"; fi
[ "$ran" -gt 0 ] || exit 77
