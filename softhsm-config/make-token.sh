#!/usr/bin/env bash
# make-token.sh DIR LABEL PINFILE
#
# Makes a separate SoftHSM token: DIR (0700) with softhsm2.conf and tokens/, and in it a token
# LABEL whose user PIN is the first line of PINFILE. The SO PIN is drawn at random and goes
# into DIR/so-pin (0600); you need it only to set a forgotten user PIN again.
# A DIR made by this script may get a second token, under another label.
#
# No PIN is ever an argument of a command, where every user of the machine could read it in
# `ps`, nor in the environment. softhsm2-util takes PINs as arguments or from a terminal and
# refuses a pipe, so it gets a terminal: that of `script` (util-linux; part of every Debian).
# The PINs go to it through a pipe from printf, which is built into bash, so not a process.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail

die() {
    printf 'make-token.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

[ $# -eq 3 ] || die 'usage: make-token.sh DIR LABEL PINFILE' 2
dir=$1 label=$2 pinfile=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The label goes into a PKCS#11 URI and through a shell: the same letters as byok's labels.
[[ $label =~ ^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$ ]] ||
    die "the label '$label' is not 1 to 32 of A-Z a-z 0-9 _ -, the first a letter or digit" 2
[ -r "$pinfile" ] || die "cannot read the PIN file $pinfile" 2
pin=
IFS= read -r pin <"$pinfile" || [ -n "$pin" ] || die "the PIN file $pinfile is empty" 2
pin=${pin%$'\r'}
# Control characters would mean something to the terminal.
[[ $pin =~ ^[[:print:]]{4,255}$ ]] || die "the PIN in $pinfile is not 4 to 255 printable characters" 2

command -v script >/dev/null || die 'script is not installed: apt-get install -y bsdutils (Fedora: util-linux-script)'
module=$("$here/find-module.sh")
unpacked=${module%/usr/lib/*}
if [ -x "$unpacked/usr/bin/softhsm2-util" ]; then
    util=$unpacked/usr/bin/softhsm2-util # next to the module: they are of one version
else
    util=$(command -v softhsm2-util) || die 'softhsm2-util is not installed: apt-get install -y --no-install-recommends softhsm2'
fi

case $PWD/$dir in
*[\#]* | *[[:cntrl:]]*) die "SoftHSM's configuration cannot hold the path $dir" 2 ;;
esac
umask 077
if [ -e "$dir" ] && [ ! -f "$dir/softhsm2.conf" ] && [ -n "$(ls -A "$dir")" ]; then
    die "$dir exists, is not empty and was not made by this script: choose another directory"
fi
mkdir -p "$dir/tokens"
chmod 700 "$dir" "$dir/tokens"
dir=$(cd "$dir" && pwd)
if [ ! -e "$dir/softhsm2.conf" ]; then
    while IFS= read -r line; do
        printf '%s\n' "${line//@TOKENDIR@/"$dir/tokens"}"
    done <"$here/softhsm2.conf.in" >"$dir/softhsm2.conf"
fi
export SOFTHSM2_CONF=$dir/softhsm2.conf

# The serial of the token with the label, from softhsm2-util's list of slots.
serial() {
    "$util" --module "$module" --show-slots 2>/dev/null | awk -v want="$label" '
        $1 == "Serial" { serial = $3 }
        $1 == "Label:" && $2 == want { print serial }'
}
[ -z "$(serial)" ] || die "$dir already has a token '$label'; nothing was changed"

[ -e "$dir/so-pin" ] || (od -An -N 16 -tx1 /dev/urandom | tr -d ' \n' && echo) >"$dir/so-pin"
IFS= read -r so_pin <"$dir/so-pin"

# softhsm2-util asks for each PIN twice. What it shows (stars) is of no use to anyone.
export UTIL=$util MODULE=$module LABEL=$label
# shellcheck disable=SC2016 # the inner shell expands them, so that no path needs quoting twice
run='"$UTIL" --module "$MODULE" --init-token --free --label "$LABEL"'
if ! printf '%s\n' "$so_pin" "$so_pin" "$pin" "$pin" |
    SHELL=/bin/sh script --quiet --return --echo never --command "$run" /dev/null >/dev/null 2>&1; then
    die "softhsm2-util could not make the token '$label' in $dir"
fi
serial=$(serial)
[ -n "$serial" ] || die "softhsm2-util reported success, but there is no token '$label' in $dir"

# For the plan.
printf 'module = "%s"\n' "$module"
printf 'token  = "pkcs11:token=%s;serial=%s"\n' "$label" "$serial"
printf 'SOFTHSM2_CONF=%s\n' "$SOFTHSM2_CONF" >&2
