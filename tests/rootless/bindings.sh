#!/usr/bin/env bash
# The tests of a binding, run by a real unprivileged user on the package as it is installed.
#
# bash tests/rootless/bindings.sh IMAGE python WHEEL
# bash tests/rootless/bindings.sh IMAGE node TARBALL
# As root; makes the user sampan-test when it is missing (tests/lib/user.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/lib/user.sh
image=$1 language=$2 package=$3
make_user

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
# A home of its own: the user's real one stays as it is. The tests lie where no source of the package does.
install -d -o "$user" "$scratch/home" "$scratch/home/tmp"

python() {
  # Debian's own: another may lie where the user can't read.
  /usr/bin/python3 -m venv "$scratch/venv"
  "$scratch/venv/bin/pip" install --quiet pytest ipykernel "$package"
  cp -r bindings-python/tests "$scratch/tests"
  (cd "$scratch" && as_user "$scratch/home" SAMPAN_TEST_IMAGE="$image" TMPDIR="$scratch/home/tmp" \
    "$scratch/venv/bin/pytest" -q -p no:cacheprovider tests)
}

node() {
  mkdir "$scratch/node"
  (cd "$scratch/node" && npm install --silent --no-audit --no-fund "$package")
  cp -r bindings-node/tests "$scratch/node/tests"
  (cd "$scratch/node" && as_user "$scratch/home" SAMPAN_TEST_IMAGE="$image" TMPDIR="$scratch/home/tmp" node --test tests/*.test.mjs)
}

"$language"
nothing_runs
