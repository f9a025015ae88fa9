#!/usr/bin/env bash
# setup-room.sh
#
# In the locked room, in the directory of an unpacked bundle: checks every file
# against SHA256SUMS, and refuses any file that is not listed there; unpacks
# SoftHSM below target/softhsm if this machine has none; and makes room.env,
# which puts byok on the path. Needs no root, network or compiler, and touches
# nothing outside that directory. You may run it again. Keep your own files
# elsewhere.
#
# Example:  ceremony-scripts/setup-room.sh && . ./room.env && byok rehearse
#
# Exit codes: 0 done, 2 usage or something missing, 4 a file is not what
# SHA256SUMS says, or not listed
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
softhsm=$root/target/softhsm

# stop CODE WHAT [HINT…]
stop() {
    local code=$1
    printf 'setup-room.sh: error: %s\n' "$2" >&2
    shift 2
    [ $# -eq 0 ] || printf 'setup-room.sh: hint: %s\n' "$@" >&2
    exit "$code"
}

if [ $# -ne 0 ]; then
    sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "${BASH_SOURCE[0]}"
    [ "$1" = --help ] && exit 0 || exit 2
fi
cd "$root"
if [ ! -e SHA256SUMS ] || [ ! -e bin/byok ]; then
    stop 2 "$root is not an unpacked bundle" \
        'make-bundle.sh makes one; in a clone, use ceremony-scripts/rehearse.sh'
fi
case $root in
*:*) stop 2 "a directory with a colon in its name cannot stand in PATH: $root" 'unpack the bundle elsewhere' ;;
esac

# ---- every file ----
if ! said=$(sha256sum --quiet --strict -c SHA256SUMS 2>&1); then
    printf '%s\n' "$said" >&2
    stop 4 'the bundle is not as it was made' 'unpack it again, and compare the SHA-256 of the tar with the paper'
fi
# What nobody listed could be a package that is unpacked, or a program that is run. People's own files (plans,
# records) lie elsewhere; what these scripts themselves leave here is a file or directory, and never a link.
left_here=(room.env target WrappedKeyMaterial.bin ImportToken.bin)
for name in SHA256SUMS "${left_here[@]}"; do
    [ ! -L "$name" ] || stop 4 "$name is a symbolic link, which neither the bundle nor its scripts make" 'unpack the bundle again'
done
prune=(-path ./SHA256SUMS)
for name in "${left_here[@]}"; do prune+=(-o -path "./$name"); done
# d PATH, f PATH: each directory and file that a bundle holds
brought() {
    sed 's/^[0-9a-f]\{64\} [ *]//' SHA256SUMS |
        awk -F / '{ path = $1; for (i = 2; i <= NF; i++) { print "d " path; path = path "/" $i } print "f " path }'
}
unlisted=$(find . -mindepth 1 \( "${prune[@]}" \) -prune -o -type d -printf 'd %P\0' -o -printf 'f %P\0' |
    grep -zvxF -f <(brought) | tr '\n\0' '?\n' || true)
if [ -n "$unlisted" ]; then
    unlisted=${unlisted%%$'\n'*}
    printf '%s: SHA256SUMS does not list it\n' "$(printf '%s' "${unlisted#??}" | tr -c ' -~' '?')" >&2
    stop 4 'there are files that the bundle did not bring' 'unpack it again, and keep your own files outside this directory'
fi
printf 'bundle    %d files, each as SHA256SUMS says\n' "$(grep -c . SHA256SUMS)"

# ---- byok ----
version=$(bin/byok --version 2>&1) ||
    stop 2 "bin/byok does not run here: $version" 'README-FIRST.txt says which machine the bundle is for'
printf 'byok      %s runs here\n' "$version"

# ---- SoftHSM ----
unpack() {
    if command -v dpkg-deb >/dev/null; then
        dpkg-deb -x "$1" "$softhsm" || stop 2 "$1 cannot be unpacked"
        return
    fi
    command -v ar >/dev/null || stop 2 'there is neither dpkg-deb nor ar to unpack SoftHSM' \
        'without SoftHSM: use the HSM that you have; byok is in bin/'
    local data how
    data=$(ar t "$1" | grep '^data\.tar')
    case $data in
    *.xz) how=--xz ;;
    *.zst) how=--zstd ;;
    *.gz) how=--gzip ;;
    *) how=--no-auto-compress ;;
    esac
    ar p "$1" "$data" | tar --extract "$how" -C "$softhsm" || stop 2 "$1 cannot be unpacked"
}
# A shell that has read room.env names what this script itself unpacked: that is no answer of this machine's.
case ${BYOK_SOFTHSM_MODULE:-} in
"$softhsm"/*) unset BYOK_SOFTHSM_MODULE ;;
esac
unresolved() { ldd "$1" 2>/dev/null | grep 'not found' >/dev/null; } # not -q: ldd must be let speak to its end

if module=$(softhsm-config/find-module.sh 2>/dev/null) && [ "${module#"$softhsm"/}" = "$module" ]; then
    printf 'SoftHSM   found on this machine: %s\n' "$module"
else
    [ -z "${BYOK_SOFTHSM_MODULE:-}" ] || stop 2 "BYOK_SOFTHSM_MODULE=$BYOK_SOFTHSM_MODULE: there is no such file"
    rm -rf "$softhsm"
    mkdir -p "$softhsm"
    for deb in debs/*softhsm2*.deb; do unpack "$deb"; done
    module=$(softhsm-config/find-module.sh) || stop 2 'the packages in debs/ hold no SoftHSM'
    printf 'SoftHSM   unpacked in target/softhsm\n'
fi
libraries=
if unresolved "$module" && [ "${module#"$softhsm"/}" != "$module" ]; then
    # The cryptographic library is not on this machine either.
    for deb in debs/*.deb; do unpack "$deb"; done
    for dir in "$softhsm"/usr/lib "$softhsm"/usr/lib/*-linux-*; do
        [ ! -d "$dir" ] || libraries=$libraries${libraries:+:}$dir
    done
fi
if LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} unresolved "$module"; then
    ldd "$module" >&2 || true
    stop 2 'libraries that SoftHSM needs are not on this machine, nor in the bundle' \
        'README-FIRST.txt says which machine the bundle is for'
fi

# ---- what people read into their shell ----
# Made anew: nothing is written into what somebody laid in its place meanwhile.
rm -f room.env
set -o noclobber
# shellcheck disable=SC2016 # their shell expands what is named there
{
    printf '# Written by setup-room.sh; to be read by:  . ./room.env\n'
    printf 'export PATH=%q:"$PATH"\n' "$root/bin"
    printf 'export BYOK_SOFTHSM_MODULE=%q\n' "$module"
    # The loader reads this when byok starts.
    [ -z "$libraries" ] || printf 'export LD_LIBRARY_PATH=%q"${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\n' "$libraries"
} >room.env
set +o noclobber

# ---- recovery without byok needs more than a bare Debian has ----
missing=
command -v openssl >/dev/null || missing='openssl 3'
# -I: no module from this directory, where people's own files may lie
python3 -I -c 'import sys, hashlib, inspect, zipfile; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    missing=$missing${missing:+ and }'python3 (3.10 or newer)'
if [ -n "$missing" ]; then
    printf 'recovery  without byok is not possible on this machine: it lacks %s\n' "$missing"
else
    printf 'recovery  without byok is possible on this machine: openssl, python3, wheels/\n'
fi
printf 'next      . ./room.env && byok rehearse\n'
