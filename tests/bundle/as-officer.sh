#!/usr/bin/env bash
# as-officer.sh DEBIAN HOME COMMAND…
#
# In the Debian that bare-debian.sh made, or a copy: the command as the ordinary user `officer` with HOME, and with
# interfaces, processes and mounts of its own. There is no network.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail

# shellcheck disable=SC2016 # the inner shell expands them
exec unshare --mount --net --pid --ipc --fork bash -euo pipefail -c '
    debian=$1 home=$2
    shift 2
    mount -t proc proc "$debian/proc"
    mount -t sysfs -o ro sysfs "$debian/sys"
    mount -t tmpfs tmpfs "$debian/dev/shm"
    mount -t tmpfs tmpfs "$debian/tmp"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$debian/dev/pts"
    mount --bind "$debian/dev/pts/ptmx" "$debian/dev/ptmx"
    mount --bind "$home" "$debian/home/officer"
    chmod 1777 "$debian/tmp" "$debian/dev/shm"
    cd "$debian"
    exec chroot --userspec=officer:officer --groups= "$debian" env -i HOME=/home/officer USER=officer \
        PATH=/usr/local/bin:/usr/bin:/bin TERM=dumb LC_ALL=C "$@"
' bash "$@" </dev/null
