# sh -e one.sh BOOT TEST: one test.
set -u
boot=$1
. /tests/lib.sh
. "/tests/$1.sh"
set -x
"$2"
