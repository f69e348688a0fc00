# What the scripts of this folder share. Sourced.

# need PACKAGE CHECK...: installs a package of Debian's unless the check says that what it brings is there.
need() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 && return
  command -v apt-get >/dev/null || { echo "$package (Debian's name for it) is missing: install it" >&2; return 1; }
  [ -n "${apt_updated:-}" ] || apt-get update -q -o Acquire::Retries=3 >/dev/null
  apt_updated=1
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o Acquire::Retries=3 "$package" >/dev/null
}

# compiler: what the crates with a part in C ask for, and the shim.
compiler() {
  need gcc command -v cc
  need libc6-dev test -e /usr/include/stdlib.h
}

# target_directory: where cargo puts what it builds: CARGO_TARGET_DIR or a configuration may have moved it.
target_directory() {
  cargo metadata --quiet --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}
