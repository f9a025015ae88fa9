#!/usr/bin/env bash
# tests/reproducible.sh [--plain]
#
# Builds byok twice with ceremony-scripts/build-release.sh, as two machines would: in two directories, with
# two homes of cargo, one of them with a blank in its path and with other flags in the environment. The
# programs must be the same, byte for byte. Each build starts from nothing, which takes minutes:
# `tests/run.sh` does not run it. Everything lies in target/reproducible; at the end only the program stays.
#
# Without a network: the crates come from the cargo home of this machine. --plain: as build-release.sh.
#
# Exit codes: 0 the same, 1 they differ, 2 usage
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
options=()
case "$*" in
'') ;;
--plain) options=(--plain) ;;
*) sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 2 ;;
esac
work=${CARGO_TARGET_DIR:-$root/target}/reproducible
rm -rf "$work"
mkdir -p "$work/one" "$work/another place/two"
work=$(cd "$work" && pwd)
trap 'rm -rf "$work"/*/' EXIT
cargo_home=${CARGO_HOME:-$HOME/.cargo}
cd "$root"
cargo fetch --quiet --locked

# clone DIRECTORY: what git tracks or would track, as it is now.
clone() {
    git ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do
            [ ! -e "$file" ] || printf '%s\0' "$file"
        done | tar --create --null --files-from - | tar --extract --directory "$1"
}
# home DIRECTORY: a cargo home with the same crates and its own path.
home() {
    mkdir -p "$1"
    ln -s "$cargo_home/registry" "$1/registry"
    [ ! -e "$cargo_home/config.toml" ] || cp "$cargo_home/config.toml" "$1"
}
clone "$work/one"
clone "$work/another place/two"
home "$work/home"
home "$work/another place/another home"

printf 'building in %s\n' "$work/one"
CARGO_HOME=$work/home CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=$work/one/target \
    "$work/one/ceremony-scripts/build-release.sh" ${options[@]+"${options[@]}"}
printf 'building in %s\n' "$work/another place/two"
CARGO_HOME="$work/another place/another home" CARGO_NET_OFFLINE=true CARGO_TARGET_DIR="$work/another place/built" \
    RUSTFLAGS='-C debuginfo=1' CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    "$work/another place/two/ceremony-scripts/build-release.sh" ${options[@]+"${options[@]}"}

first=$work/one/target/release/byok
second="$work/another place/built/release/byok"
if ! cmp "$first" "$second"; then
    printf 'FAILED: two builds gave two programs\n' >&2
    exit 1
fi
# Neither copy is a clone, though both lie in one.
case $("$first" --version) in
*', commit not known') ;;
*)
    printf 'FAILED: byok names a commit that it was not built from\n' >&2
    exit 1
    ;;
esac
for private in "$work" "$cargo_home" "$root"; do
    if grep -qaF -- "$private" "$first"; then
        printf 'FAILED: the program names a path of this machine: %s\n' "$private" >&2
        exit 1
    fi
done
cp "$first" "$work/byok"
printf 'the same twice: %s, %s\n' "$(sha256sum "$first" | cut -c 1-64)" "$(rustc --version)"
