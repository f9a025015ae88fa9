#!/usr/bin/env bash
# bare-debian.sh DIR      a bare Debian 12 in DIR, with an ordinary user `officer`; made once, then kept
# bare-debian.sh --could  only whether it could be made here: 0, or 77 with the reason
#
# Needs root, debootstrap and the Debian mirror of apt's sources. Exit codes: 0 it is there, 1 it could not be
# made, 77 not on this machine, and it says why.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
umask 022
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin

skip() {
    printf 'skipped: %s\n' "$1"
    exit 77
}

[ "$(id -u)" -eq 0 ] || skip 'only root can make a chroot'
command -v debootstrap >/dev/null || skip 'there is no debootstrap'
command -v apt-get >/dev/null || skip 'there is no apt-get, which knows the mirror'
unshare --mount --net --pid --ipc --fork true 2>/dev/null || skip 'namespaces are not allowed here'
# shellcheck disable=SC2016 # apt expands it
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
    'Component: main' | sed -n 1p)
[ -n "$mirror" ] || skip "apt's sources name no Debian mirror, or apt has no lists"
python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=30).read(1)' \
    "$mirror/dists/bookworm/Release" 2>/dev/null || skip 'the Debian mirror cannot be reached'
[ "$1" != --could ] || exit 0

bare=$1
exec 9>"$bare.lock"
flock 9 # the tests that want it run beside each other
[ ! -d "$bare" ] || exit 0
rm -rf "$bare.making"
debootstrap --variant=minbase bookworm "$bare.making" "$mirror" >"$bare.log" 2>&1 || {
    tail -n 5 "$bare.log"
    printf 'FAILED: debootstrap could not make a Debian 12\n' >&2
    exit 1
}
chroot "$bare.making" useradd --create-home --uid 1000 officer
rm -f "$bare.making"/var/cache/apt/archives/*.deb
mv "$bare.making" "$bare"
