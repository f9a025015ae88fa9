#!/usr/bin/env bash
# benches/due.sh [COUNT]
#
# How long `byok due` takes to look through COUNT records (1000): copies of the kept ones of tests/records, each verified by
# itself. Needs byok as built for release. Prints the seconds.
#
# Example:  benches/due.sh
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
byok=${BYOK_TEST_BIN:-$root/target/release/byok}
many=${1:-1000}
fleet=$(mktemp -d)
trap 'rm -rf "$fleet"' EXIT

kept=()
for record in "$root"/tests/records/*/*/; do
    [ ! -e "$record/transcript.jsonl" ] || kept+=("$record")
done
for ((made = 0; made < many; made++)); do
    cp -r "${kept[made % ${#kept[@]}]}" "$fleet/$made"
done
TIMEFORMAT="$many records: %R s"
time "$byok" due "$fleet" >/dev/null || [ $? -eq 1 ]
