#!/usr/bin/env bash
# as-root.sh DEBIAN COMMAND…
#
# In the Debian that bare-debian.sh made, or a copy: the command as root, with this machine's network and its way to
# the packages.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail

cp /etc/resolv.conf "$1/etc/resolv.conf"
cp -a /etc/apt/apt.conf.d/. "$1/etc/apt/apt.conf.d"
# shellcheck disable=SC2016 # the inner shell expands them
exec unshare --mount --pid --fork bash -euo pipefail -c '
    debian=$1
    shift
    mount -t proc proc "$debian/proc"
    mount --rbind /dev "$debian/dev"
    exec chroot "$debian" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
' bash "$@" </dev/null
