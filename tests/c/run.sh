#!/usr/bin/env bash
# The C lane: installs the library, builds every C program with it, shared and static, and runs them.
#
# bash tests/c/run.sh IMAGE [install options of xtask, such as --debug]
#
# Three times: as a user would build them; with the compiler's address and leak sanitizers, which see what the library
# allocates too; and, what starts no container, under valgrind, which can't follow the clone that starts one.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
examples=(quickstart threads logs errors)
tests=(boundary host)
warnings=(-std=c11 -Wall -Wextra -Wpedantic -Werror -D_GNU_SOURCE)

# install NAME [options]: what follows is built with it.
install_library() {
  prefix=$scratch/$1
  shift
  cargo run --quiet -p xtask -- install --prefix "$prefix" "$@"
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
}

# build DIR [FLAG...]: all programs; with STATIC=1 in the environment, with the archive.
build() {
  local out=$1 libs program
  shift
  mkdir -p "$out"
  make --silent -C examples/c OUT="$out" CFLAGS="-g -O1 $*"
  libs=$(pkg-config --libs ${STATIC:+--static} sampan)
  [ -z "${STATIC:-}" ] || libs=${libs/-lsampan/-l:libsampan.a}
  for program in "${tests[@]}"; do
    # shellcheck disable=SC2046,SC2086 # several words each
    cc "${warnings[@]}" -g -O1 "$@" $(pkg-config --cflags sampan) "tests/c/$program.c" -o "$out/$program" $libs -pthread
  done
}

# run_in DIR PROGRAM...: each with one fresh store for all; what they print is shown when one fails.
run_in() {
  local dir=$1 program
  shift
  for program in "$@"; do
    timeout 300 "${under[@]}" "$dir/$program" "$image" "$scratch/store" >"$scratch/out" 2>&1 ||
      { echo "$dir/$program failed with $?:" >&2; cat "$scratch/out" >&2; exit 1; }
  done
  clean
}
under=()

# clean: nothing of the store is mounted, open or in use by any process, and it holds no container.
clean() {
  local left
  left=$(grep -ls "$scratch/store" /proc/[0-9]*/mountinfo || true)
  [ -z "$left" ] || { echo "mounts of the store were left in: $left" >&2; exit 1; }
  left=$(find /proc/[0-9]*/fd -lname "$scratch/store*" 2>/dev/null || true)
  [ -z "$left" ] || { echo "files of the store are still open: $left" >&2; exit 1; }
  left=$(ls "$scratch/store/containers" "$scratch/store/names" "$scratch/store/tmp" | grep -v ':$' || true)
  [ -z "$left" ] || { echo "the store still holds: $left" >&2; exit 1; }
  rm -rf "$scratch/store"
}

# Every function of the header is called by some program here.
uncalled=
for function in $(sed -n 's/.*\b\(sampan_[a-z_]*\)(.*/\1/p' include/sampan.h | sort -u); do
  grep -q "$function(" tests/c/*.[ch] examples/c/*.c || uncalled+=" $function"
done
[ -z "$uncalled" ] || { echo "no C program calls$uncalled" >&2; exit 1; }

# uses_built DIR: the programs there load the library that was just installed, and not one of the machine's.
uses_built() {
  local program loaded
  for program in "${examples[@]}" "${tests[@]}"; do
    loaded=$(LD_LIBRARY_PATH=$prefix/lib ldd "$1/$program" | sed -n 's/.*libsampan[^ ]* => \([^ ]*\).*/\1/p')
    [ "$(dirname "${loaded:-.}")" = "$prefix/lib" ] || { echo "$1/$program loads ${loaded:-no libsampan}" >&2; exit 1; }
  done
}

# is_static DIR: the programs there need no such library, and have it in them.
is_static() {
  # Each grep reads to the end: one that left early would end the other with SIGPIPE, which counts here.
  local program
  for program in "${examples[@]}" "${tests[@]}"; do
    ! readelf --wide --dynamic "$1/$program" | grep 'NEEDED.*libsampan' >/dev/null &&
      nm "$1/$program" | grep ' T sampan_engine_open$' >/dev/null || { echo "$1/$program was not linked with the archive" >&2; exit 1; }
  done
}

install_library released "$@"
build "$scratch/shared"
uses_built "$scratch/shared"
LD_LIBRARY_PATH=$prefix/lib run_in "$scratch/shared" "${examples[@]}" "${tests[@]}"
STATIC=1 build "$scratch/static"
is_static "$scratch/static"
run_in "$scratch/static" "${examples[@]}" "${tests[@]}"
build "$scratch/sanitized" -fsanitize=address,undefined
uses_built "$scratch/sanitized"
LD_LIBRARY_PATH=$prefix/lib run_in "$scratch/sanitized" "${examples[@]}" "${tests[@]}"

# With symbols, for valgrind's stacks and for the one suppression.
install_library debug --debug
build "$scratch/valgrind"
uses_built "$scratch/valgrind"
under=(valgrind --quiet --leak-check=full --error-exitcode=99 --suppressions=tests/c/valgrind.supp)
LD_LIBRARY_PATH=$prefix/lib run_in "$scratch/valgrind" boundary
echo "C: ${#examples[@]} examples and ${#tests[@]} tests, shared, static and sanitized; boundary under valgrind"
