#!/usr/bin/env bash
# tests/packages.sh
#
# What `tests/run.sh` installs, installed: in a bare Debian 12, and in one that has a library of almost the name
# of one that is needed (llvm-14-dev brings libclang-cpp, bindgen wants libclang). Both must end with everything
# there. Takes some minutes and the Debian mirror: `tests/run.sh` does not run it. Everything lies in
# target/bundle-test. Exit codes: 0 it holds, 1 it does not, 77 skipped, and it says why.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
umask 022
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=${CARGO_TARGET_DIR:-$root/target}/bundle-test
mkdir -p "$work"
work=$(cd "$work" && pwd)
"$root/tests/bundle/bare-debian.sh" "$work/bare"
trap 'rm -rf "$work/packages"' EXIT

in_debian() { "$root/tests/bundle/as-root.sh" "$work/packages" "$@"; }

for first in '' llvm-14-dev; do
    rm -rf "$work/packages"
    cp -a "$work/bare" "$work/packages"
    mkdir "$work/packages/byok"
    (cd "$root" && git ls-files -z tests/run.sh softhsm-config ceremony-scripts Cargo.toml |
        tar --null -T - -cf -) | tar -xf - -C "$work/packages/byok"
    printf '== in a bare Debian 12%s\n' "${first:+ with $first}"
    if [ -n "$first" ]; then
        in_debian sh -c "apt-get -q update && apt-get -q install -y --no-install-recommends $first" \
            >"$work/packages.log" 2>&1 || {
            tail -n 5 "$work/packages.log"
            exit 1
        }
    fi
    in_debian bash /byok/tests/run.sh packages || {
        printf 'FAILED: not all that is needed is there\n'
        exit 1
    }
    # What the tests start by name is there too, whatever the list of packages says.
    grep -rhoE 'Command::new\("[a-z0-9_-]+"\)' "$root"/tests --include='*.rs' | cut -d '"' -f 2 | sort -u >"$work/programs"
    while read -r program; do
        in_debian sh -c "command -v $program >/dev/null" || {
            printf 'FAILED: the tests start %s, which is not there\n' "$program"
            exit 1
        }
    done <"$work/programs"
done
printf 'held: everything is there in both\n'
