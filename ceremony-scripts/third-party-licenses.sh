#!/usr/bin/env bash
# third-party-licenses.sh
#
# Prints the licences of the Rust crates that byok is built from: a list, then
# each text once, from the sources that cargo has on this machine. Needs cargo,
# python3 and, for sources that cargo has not fetched yet, a network. Refuses a
# crate without a licence file by name.
#
# Example:  ceremony-scripts/third-party-licenses.sh > THIRD-PARTY-LICENSES.txt
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
if [ $# -ne 0 ]; then
    sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "${BASH_SOURCE[0]}"
    [ "$1" = --help ] && exit 0 || exit 2
fi
die() {
    printf 'third-party-licenses.sh: %s\n' "$1" >&2
    exit 2
}

# cargo tree knows what is built for this machine, cargo metadata where the sources lie.
platform=$(rustc -vV | sed -n 's/^host: //p')
built() {
    cargo tree --locked --edges normal --target "$platform" --prefix none --format '{p}' |
        sed 's/^\([^ ]*\) v\([^ ]*\).*/\1\t\2/' | sort -u
}
# name, version, licence, directory
sources() {
    cargo metadata --locked --format-version 1 --filter-platform "$platform" | python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["source"]:
        directory = os.path.dirname(package["manifest_path"])
        print(package["name"], package["version"], package["license"] or "see its text", directory, sep="\t")'
}

heads=$(mktemp -d)
trap 'rm -rf "$heads"' EXIT

# licence_files DIRECTORY: what a crate has of them; if it has none, the comment at the head of its source, if that is one.
licence_files() {
    local files head=$heads/${1##*/}
    if files=$(find "$1" -maxdepth 1 -type f -printf '%f\t%p\n' |
        grep -iE '^(licen[cs]e|copying|copyright|notice|unlicen[cs]e)' | sort | cut -f 2); then
        printf '%s\n' "$files"
        return
    fi
    sed -n '1,/^ *\*\/ *$/p' "$1/src/lib.rs" >"$head"
    if grep -q 'Permission is hereby granted' "$head"; then
        printf '%s\n' "$head"
    fi
}

built=$(built) || die 'cargo tree failed'
sources=$(sources | sort) || die 'cargo metadata failed'

list=
order=() # digests of the texts, as they first occur
declare -A number=() text=() used_by=()
while IFS=$'\t' read -r name version license directory; do
    grep -qxF "$name"$'\t'"$version" <<<"$built" || continue
    numbers=
    while IFS= read -r file; do
        digest=$(sha256sum <"$file")
        if [ -z "${number[$digest]:-}" ]; then
            order+=("$digest")
            number[$digest]=${#order[@]} text[$digest]=$file used_by[$digest]=
        fi
        used_by[$digest]+="${used_by[$digest]:+, }$name"
        numbers+="${numbers:+, }${number[$digest]}"
    done < <(licence_files "$directory")
    [ -n "$numbers" ] || die "the crate $name $version has no licence file in $directory"
    list+=$(printf '%-24s %-16s %s; texts %s' "$name" "$version" "$license" "$numbers")$'\n'
done <<<"$sources"
# byok itself is built, too, and is not in the list.
[ "$(grep -c . <<<"$list")" -eq $(($(grep -c . <<<"$built") - 1)) ] || die 'cargo tree and cargo metadata name other crates'

printf 'byok is built from these Rust crates. Each has the licence named after it; if two are joined by OR,\n'
printf 'you may choose either. The texts that come with them follow, each once.\n\n%s' "$list"
for digest in "${order[@]}"; do
    printf '\n======== text %d, of %s ========\n\n' "${number[$digest]}" "${used_by[$digest]}"
    cat "${text[$digest]}"
    printf '\n'
done
