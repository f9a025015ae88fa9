#!/usr/bin/env bash
# Runs a command beside an opencryptoki of its own: daemon, token and configuration as Debian's package has them,
# nothing of them on this machine. The token "ceremony" has the PIN that $PIN says, four to eight characters.
#
#   PIN=8471-oct unshare --mount --ipc --pid --fork tests/opencryptoki.sh byok doctor …
#
# The module is /usr/lib/x86_64-linux-gnu/pkcs11/libopencryptoki.so. Its daemon, pkcsslotd, must run first, and looks
# for its files in fixed places; so these are covered in a mount namespace. Exit 77: that cannot be done here.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail

cannot() {
    printf 'opencryptoki: %s\n' "$1" >&2
    exit 77
}

PATH=$PATH:/usr/sbin
command -v pkcsslotd pkcsconf >/dev/null || cannot 'the package opencryptoki is not installed'
mount --make-rprivate / || cannot 'this is no mount namespace'

state=/var/lib/opencryptoki
mount -t tmpfs tmpfs /dev/shm # shared memory by name: what its processes tell each other
mount -t tmpfs tmpfs /run
mkdir -p /run/lock/opencryptoki/swtok
mount -t tmpfs tmpfs "$state"
mkdir -p "$state/swtok/TOK_OBJ"
# in a user namespace that group does not exist; its root needs none
chgrp -R pkcs11 "$state" /run/lock/opencryptoki 2>/dev/null || true
chmod -R 770 "$state" /run/lock/opencryptoki
mount -t tmpfs tmpfs /etc/opencryptoki
printf 'version opencryptoki-3.1\nslot 0\n{\nstdll = libpkcs11_sw.so\n}\n' >/etc/opencryptoki/opencryptoki.conf

{
    pkcsslotd || cannot 'pkcsslotd does not start'
    for _ in $(seq 50); do
        pkcsconf -t >/dev/null 2>&1 && break
        sleep 0.1
    done
    officer=8765-oct
    printf '87654321\nceremony\n' | pkcsconf -I -c 0
    printf '87654321\n%s\n%s\n' "$officer" "$officer" | pkcsconf -P -c 0
    printf '%s\n%s\n%s\n' "$officer" "$PIN" "$PIN" | pkcsconf -u -c 0
} >/dev/null 2>&1 || cannot 'no token can be made'
unset PIN
"$@"
