#!/usr/bin/env bash
# Everything once, from nothing: installs what is missing, builds, serves a busybox and a Debian image from a registry
# on loopback, then pulls and runs them by the command, from C, from Python (a notebook that is executed) and from Node.
#
#   bash examples/quickstart.sh [--user NAME] [--profile NAME] [--save-notebook]
#
# As root, which installs and builds. With --user NAME all that the examples do is done as that plain user.
# --profile builds by another profile of Cargo's than `quick`, such as `release` or `dev`.
# --save-notebook puts the executed notebook, with what it has shown, in the place of the one in the tree.
# What it made lies in one temporary directory and goes with it; only the cached images stay (tests/lib/images.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
export CARGO_TERM_COLOR=never PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
profile=quick
user=
save_notebook=
while [ $# -gt 0 ]; do
  case $1 in
    --user) user=${2:?--user wants a name}; shift 2 ;;
    --user=*) user=${1#--user=}; shift ;;
    --profile) profile=${2:?--profile wants a name}; shift 2 ;;
    --save-notebook) save_notebook=1; shift ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "quickstart: $1 is not known; see --help" >&2; exit 2 ;;
  esac
done
[ -z "$user" ] || id "$user" >/dev/null || exit 2

scratch=$(mktemp -d)
chmod 755 "$scratch"
step=start

# remove_containers: what a failed step has left running, in each of the stores.
remove_containers() {
  local store ids
  [ -x "$scratch/bin/sampan" ] || return 0
  for store in command c python node; do
    [ -d "$scratch/home/$store" ] || continue
    ids=$(as_user sampan --root "$scratch/home/$store" ps --all --quiet) || continue
    # shellcheck disable=SC2086 # several ids
    [ -z "$ids" ] || as_user sampan --root "$scratch/home/$store" rm --force --volumes $ids >/dev/null || :
  done
}

clean() {
  local code=$?
  remove_containers
  # The registry ends with its standard input.
  if [ -n "${REGISTRY_PID:-}" ]; then
    kill "$REGISTRY_PID" 2>/dev/null || :
    wait "$REGISTRY_PID" 2>/dev/null || :
  fi
  cd /
  rm -rf "$scratch"
  [ "$code" = 0 ] || echo "quickstart: FAILED at: $step" >&2
}
trap clean EXIT

begin() { step=$*; printf '\n== %s\n' "$*"; }

# As the user, in a home of its own, so that nothing is left in the real one.
as_user() {
  local environment=(env -i LANG=C.UTF-8 PATH="$scratch/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    HOME="$scratch/home" XDG_RUNTIME_DIR="$scratch/home/run" LD_LIBRARY_PATH="$scratch/prefix/lib")
  if [ -n "$user" ]; then runuser -u "$user" -- "${environment[@]}" "$@"; else "${environment[@]}" "$@"; fi
}

apt_need() {
  local missing=() package
  for package in "$@"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  [ ${#missing[@]} -eq 0 ] && return
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
}

begin "install what is missing"
command -v cargo >/dev/null || { echo "cargo is missing: see https://rustup.rs" >&2; exit 1; }
apt_need busybox-static docker-registry skopeo zstd debootstrap uidmap gcc make pkg-config libc6-dev python3-venv
command -v node >/dev/null && command -v npm >/dev/null || apt_need nodejs npm
python=python3
# One that the user may run too.
as_user "$(command -v python3)" -c '' 2>/dev/null && python=$(command -v python3) || python=/usr/bin/python3
"$python" -m venv "$scratch/python"
"$scratch/python/bin/pip" install --quiet maturin nbclient ipykernel

begin "build the command, the C library, the wheel and the Node package"
cargo build --quiet --profile "$profile" -p sampan-cli
built=${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}
install -D "$built/sampan" "$scratch/bin/sampan"
cargo run --quiet -p xtask -- install --prefix "$scratch/prefix" --profile "$profile"
PKG_CONFIG_PATH=$scratch/prefix/lib/pkgconfig make --silent -C examples/c OUT="$scratch/bin" "$scratch/bin/quickstart"
(cd bindings-python && "$scratch/python/bin/maturin" build --quiet --profile "$profile" --out "$scratch/wheels")
"$scratch/python/bin/pip" install --quiet "$scratch"/wheels/*.whl
bash bindings-node/pack.sh "$scratch/node" --profile="$profile"
(cd "$scratch/node" && npm install --silent --no-audit --no-fund ./*.tgz)
cp examples/node/quickstart.mjs "$scratch/node/"
cp examples/python/quickstart.ipynb examples/python/execute.py "$scratch/"
install -d -m 700 ${user:+-o "$user"} "$scratch/home" "$scratch/home/run"

begin "serve a busybox and a Debian image from a registry on loopback"
coproc REGISTRY { exec bash tests/lib/images.sh serve "$scratch/registry" busybox debian; }
read -r registry <&"${REGISTRY[0]}" || { echo "the registry did not start" >&2; exit 1; }
echo "$registry/busybox and $registry/debian"

# Each has a store of its own, so that each pulls for itself.
sampan() {
  echo "\$ sampan $*"
  as_user sampan --root "$scratch/home/command" "$@"
}

begin "the command${user:+, as $user}"
sampan doctor
for image in busybox debian; do
  sampan pull "$registry/$image"
  sampan run --rm "$registry/$image" sh -c '[ -e /etc/os-release ] && . /etc/os-release; echo "hello from ${PRETTY_NAME:-busybox}, as $(id -un)"'
done
sampan images
sampan run --detach --name clock "$registry/busybox" sh -c 'trap "echo bye; exit 0" TERM; echo tick; while :; do sleep 0.1; done'
sampan ps
sampan stop --time 10 clock
sampan logs clock
sampan rm clock

for image in busybox debian; do
  begin "C: examples/c/quickstart.c, with $image"
  as_user quickstart "$registry/$image" "$scratch/home/c"
done

begin "Python: examples/python/quickstart.ipynb, executed"
for image in busybox debian; do
  as_user SAMPAN_IMAGE="$registry/$image" SAMPAN_ROOT="$scratch/home/python" \
    "$scratch/python/bin/python" "$scratch/execute.py" "$scratch/quickstart.ipynb" "$scratch/home/$image.ipynb"
done
[ -z "$save_notebook" ] || cp --no-preserve=all "$scratch/home/busybox.ipynb" "$top/examples/python/quickstart.ipynb"

for image in busybox debian; do
  begin "Node: examples/node/quickstart.mjs, with $image"
  as_user SAMPAN_ROOT="$scratch/home/node" node "$scratch/node/quickstart.mjs" "$registry/$image"
done

begin "nothing is left"
for store in command c python node; do
  left=$(as_user sampan --root "$scratch/home/$store" ps --all --quiet)
  [ -z "$left" ] || { echo "containers are left in $store: $left" >&2; exit 1; }
done
grep -q "$scratch" /proc/mounts && { echo "mounts are left" >&2; exit 1; }
echo "no container, no mount; the registry and the temporary directory go now"
