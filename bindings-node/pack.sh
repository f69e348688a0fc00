#!/usr/bin/env bash
# Builds the package and puts its tarball into a directory: bash bindings-node/pack.sh DIR [build.mjs options]
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")"
[ -e node_modules/typescript ] || npm install --silent --no-audit --no-fund --no-package-lock
node scripts/build.mjs "${@:---release}"
npm pack --silent --pack-destination "$out" >/dev/null
