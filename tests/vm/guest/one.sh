# sh -e one.sh BOOT TEST: one test.
set -u
. /tests/lib.sh
. "/tests/$1.sh"
set -x
"$2"
