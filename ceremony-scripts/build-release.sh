#!/usr/bin/env bash
# build-release.sh
#
# Builds byok as for a bundle, so that the same commit and the same Rust give the
# same bytes on every machine: in any directory, for any user, whatever flags
# that user has set. The program knows its commit, if this is a clone, and
# whether tracked files were changed since: byok --version. Prints the SHA-256
# and the path of the program. CARGO_TARGET_DIR says where to build; default
# target.
#
#   --plain  without cargo-auditable, even if it is installed
#
# With cargo-auditable (cargo install --locked cargo-auditable) the program
# carries the list of its crates in a section of its own, .dep-v0. Then the bytes
# differ, but again they are the same on every machine.
#
# Example:  ceremony-scripts/build-release.sh
#
# Exit codes: 0 done, 2 usage or something missing, otherwise cargo's
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
while IFS= read -r name; do unset "$name"; done < <(compgen -e | grep -E '^(GIT_.*|DPKG_DEB_.*|TAR_OPTIONS|GZIP|XZ_OPT|XZ_DEFAULTS|ZSTD_.*)$' || true) # no other clone, and no other bytes
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
plain=no
case "$*" in
'') ;;
--plain) plain=yes ;;
*)
    sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "${BASH_SOURCE[0]}"
    [ "$*" = --help ] && exit 0 || exit 2
    ;;
esac
[ -e "$root/Cargo.toml" ] || {
    printf 'build-release.sh: build byok in a clone, not in a bundle\n' >&2
    exit 2
}
cd "$root"

# This machine's settings: the room has another machine.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
unset CARGO_INCREMENTAL CARGO_BUILD_INCREMENTAL
while IFS= read -r name; do unset "$name"; done < <(compgen -e | grep -E '^CARGO_(PROFILE|TARGET_.*_)' || true)

target=${CARGO_TARGET_DIR:-$root/target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
export CARGO_TARGET_DIR=$target

# Messages of a panic name the file they come from. These paths are another machine's, so they are written
# as if everybody had them in the same place.
host=$(rustc -vV | sed -n 's/^host: //p')
rust_commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
metadata=$(cargo metadata --locked --format-version 1 --filter-platform "$host")
separator=$'\x1f' # CARGO_ENCODED_RUSTFLAGS: a path may hold a blank
flags="--remap-path-prefix=$root=/byok"
flags+="$separator--remap-path-prefix=$target=/byok/target"
while IFS= read -r registry; do
    flags+="$separator--remap-path-prefix=$registry=/crates"
done < <(grep -o '"manifest_path":"[^"]*/registry/src/[^/"]*' <<<"$metadata" | sed 's/^"manifest_path":"//' | sort -u)
flags+="$separator--remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$rust_commit"
export CARGO_ENCODED_RUSTFLAGS=$flags

# What byok --version says. A directory without git of its own, such as an unpacked tar, has no commit, whatever clone it
# lies in.
unset BYOK_COMMIT
if [ -e .git ] && commit=$(git rev-parse HEAD 2>/dev/null) &&
    changed=$(git status --porcelain --untracked-files=no && git status --porcelain -- src .cargo build.rs && git ls-files -v src | grep '^[a-z]' || true); then
    export BYOK_COMMIT=$commit${changed:+, with changes that are not committed}
fi

if [ "$plain" = no ] && cargo auditable --version >/dev/null 2>&1; then
    cargo auditable build --release --locked
else
    cargo build --release --locked
fi
sha256sum "$target/release/byok"
