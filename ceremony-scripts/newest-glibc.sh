#!/usr/bin/env bash
# newest-glibc.sh FILE
#
# Prints the newest version of glibc that a program or library asks for, such as
# 2.34, or nothing if it asks for none. Needs readelf.
#
# Example:  ceremony-scripts/newest-glibc.sh target/release/byok
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail

if [ $# -ne 1 ] || [ "$1" = --help ]; then
    sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "$0"
    [ "${1:-}" = --help ] && exit 0 || exit 2
fi
{ readelf -V "$1" 2>/dev/null || true; } | sed -n 's/.*GLIBC_\([0-9][0-9.]*\).*/\1/p' | sort -Vu | tail -n 1
