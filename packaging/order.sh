#!/usr/bin/env bash
# Writes cli/order.ld anew, the order of the command's functions in its file: bash packaging/order.sh WORD...
#
# WORD... is what follows `sampan` in a usual command line, such as: --root STORE run --rm --network none IMAGE true
# Builds the command with its symbols, goes through it step by step, and notes the functions in the order of their first
# use. Names go in without the compiler's hashes, so that the list outlives changes: what is not there any more is
# passed over, and what is new is behind the others.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
CARGO_PROFILE_RELEASE_STRIP=none bash "$here/command.sh" "$scratch" >/dev/null
cc -O2 -o "$scratch/order" "$here/order.c"
"$scratch/order" "$scratch/used" "$scratch/sampan" "$@"
nm -S --numeric-sort "$scratch/sampan" | awk '$3 ~ /^[tTwW]$/' >"$scratch/symbols"

# Functions of one name that are many, of which few are used, come last: they would move the others apart.
awk '
function number(hex,   i, n) { n = 0; for (i = 1; i <= length(hex); i++) n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1; return n }
FNR == NR {
  at[++count] = number($1); size[count] = number($2)
  sub(/17h[0-9a-f]+E(\.llvm\.[0-9]+)?$/, "17h*", $4); name[count] = $4; all[$4] += size[count]
  next
}
{
  here = number($1); low = 1; high = count
  while (low < high) { middle = int((low + high + 1) / 2); if (at[middle] <= here) low = middle; else high = middle - 1 }
  if (here >= at[low] + size[low] || seen[low]++) next
  if (!(name[low] in used)) order[++names] = name[low]
  used[name[low]] += size[low]
}
END {
  print "/* Written by packaging/order.sh: what a run executes lies together, which saves page faults. */"
  print "SECTIONS\n{\n  .text.first :\n  {"
  for (last = 0; last < 2; last++)
    for (i = 1; i <= names; i++)
      if ((all[order[i]] > 3 * used[order[i]] + 200) == last) print "    *(.text." order[i] ")"
  print "  }\n}\nINSERT BEFORE .text;"
}' "$scratch/symbols" "$scratch/used" >"$here/../cli/order.ld"
