#!/usr/bin/env bash
# Prints the path of SoftHSM's PKCS#11 module, libsofthsm2.so, or says how to get it.
# Nothing is installed and nothing is changed.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ -n "${BYOK_SOFTHSM_MODULE:-}" ]; then
    # Somebody chose: a choice that does not exist is an error, not a reason to look on.
    if [ -f "$BYOK_SOFTHSM_MODULE" ]; then
        printf '%s\n' "$BYOK_SOFTHSM_MODULE"
        exit 0
    fi
    printf 'find-module.sh: BYOK_SOFTHSM_MODULE=%s: there is no such file\n' "$BYOK_SOFTHSM_MODULE" >&2
    exit 1
fi

shopt -s nullglob # a pattern that matches nothing is no candidate
candidates=(
    /usr/lib/softhsm/libsofthsm2.so              # Debian, Ubuntu, Arch
    /usr/lib/*-linux-*/softhsm/libsofthsm2.so    # multiarch
    /usr/lib/*-linux-*/pkcs11/libsofthsm2.so
    /usr/lib64/pkcs11/libsofthsm2.so             # Fedora, RHEL
    /usr/lib64/softhsm/libsofthsm2.so            # openSUSE
    /usr/lib/pkcs11/libsofthsm2.so               # Arch
    /usr/local/lib/softhsm/libsofthsm2.so        # built from source
    /opt/homebrew/lib/softhsm/libsofthsm2.so     # Homebrew on Apple silicon …
    /opt/homebrew/opt/softhsm/lib/softhsm/libsofthsm2.so
    /usr/local/opt/softhsm/lib/softhsm/libsofthsm2.so # … and on Intel
    "$root"/target/softhsm/usr/lib/softhsm/libsofthsm2.so # unpacked by rehearse.sh
    "$root"/target/softhsm/usr/lib/*/softhsm/libsofthsm2.so
)
for candidate in "${candidates[@]}"; do
    if [ -f "$candidate" ]; then
        printf '%s\n' "$candidate"
        exit 0
    fi
done
echo 'find-module.sh: libsofthsm2.so is not installed: apt-get install -y --no-install-recommends softhsm2 (or set BYOK_SOFTHSM_MODULE)' >&2
exit 1
