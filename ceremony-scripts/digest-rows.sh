#!/usr/bin/env bash
# digest-rows.sh FILE
#
# Prints the SHA-256 of FILE as byok shows digests: 8 numbered rows of 8 hex
# digits and 4 words of the PGP word list, for two people to read aloud and
# compare. Needs sha256sum and awk.
#
# Example:  ceremony-scripts/digest-rows.sh plan.toml
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail

if [ $# -ne 1 ] || [ "$1" = --help ]; then
    sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "$0"
    [ "${1:-}" = --help ] && exit 0 || exit 2
fi
if [ ! -r "$1" ] || [ -d "$1" ]; then
    printf 'digest-rows.sh: %s is not a file that can be read\n' "$1" >&2
    exit 2
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
words=$here/pgp-words.txt # in a bundle
[ -e "$words" ] || words=$here/../src/ground/words/pgp.txt

digest=$(sha256sum <"$1")
awk -v digest="${digest%% *}" '
    # One line per byte value: the word for even positions, the word for odd ones.
    { even[NR - 1] = $1; odd[NR - 1] = $2 }
    function nibble(at) { return index("0123456789abcdef", substr(digest, at, 1)) - 1 }
    function byte(at) { return nibble(2 * at + 1) * 16 + nibble(2 * at + 2) }
    function pair(at) { return even[byte(at)] " " odd[byte(at + 1)] }
    END {
        if (NR != 256) exit 1
        for (row = 0; row < 8; row++) {
            at = row * 4
            printf "  row %d   %s %s   %-22s %s\n", row + 1, substr(digest, at * 2 + 1, 4),
                substr(digest, at * 2 + 5, 4), pair(at), pair(at + 2)
        }
    }' "$words"
