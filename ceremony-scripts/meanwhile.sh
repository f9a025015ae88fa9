#!/usr/bin/env bash
# meanwhile.sh LOG COMMAND…
#
# Runs a command and appends its output to LOG. Every 15 seconds it prints how
# long the command has been running and its last line, so that nobody sits in
# front of a silent screen for minutes. The exit code is the command's.
#
# Example:  ceremony-scripts/meanwhile.sh build.log cargo build --release
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail

log=$1
shift
# not the command's: whoever reads this output must not wait for a last sleep
while sleep 15 >/dev/null 2>&1; do
    printf '          %d s: %s\n' "$SECONDS" "$(tail -n 1 "$log" | tr -c ' -~\n' ' ' | cut -c 1-60)"
done &
trap 'kill $! 2>/dev/null' EXIT
"$@" >>"$log" 2>&1 </dev/null
