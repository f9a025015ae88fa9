#!/usr/bin/env bash
# tests/mutants.sh [ROOM…] [-- OPTION…]
#
# Changes the code of the rooms that everything rests on, one place at a time, and runs that room's own unit
# tests: whoever takes such a change for byok must be told by a test that fails. The rooms are
#   chain       src/evidence/transcript/chain.rs
#   attributes  src/hsm/attributes.rs
#   shares      src/crypto/escrow/{policy,quorum,slip39}*
#   wrapping    src/crypto/wrapping*
#   kms         src/plan/kms.rs, and its files for every KMS but AWS KMS
# Without ROOM all five. What follows `--` goes to cargo-mutants, such as `--list` or `--re 'fn name'`.
#
# Each room is built as a crate of its own (tests/mutants/ROOM.rs is its lib.rs), of the very files in src/:
# it compiles in seconds where byok takes minutes, and no other test of the house can come to its help.
# Everything lies in target/mutants; ROOM/mutants.out there says what became of each change. The last line
# for each room is `mutants: ROOM: N tried, N caught, N do not compile, N ran out of time, N survived`.
#
# Needs cargo install --locked cargo-mutants, and for shares BYOK_TEST_SLIP39_VECTORS (as tests/run.sh). Takes
# the better part of an hour on two cores: `tests/run.sh` does not run it.
# Exit codes: 0 none survived, 1 some did, 2 usage or something missing
#
# Example:  tests/mutants.sh chain
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
rooms=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    [ -e "tests/mutants/$1.rs" ] || {
        sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "${BASH_SOURCE[0]}"
        [ "$1" = --help ] && exit 0 || exit 2
    }
    rooms+=("$1")
    shift
done
[ $# -eq 0 ] || shift
[ ${#rooms[@]} -gt 0 ] || rooms=(chain attributes shares wrapping kms)
for tool in cargo-mutants jq; do
    command -v "$tool" >/dev/null || {
        printf 'tests/mutants.sh: there is no %s (cargo install --locked cargo-mutants; package jq)\n' "$tool" >&2
        exit 2
    }
done
work=${CARGO_TARGET_DIR:-$root/target}/mutants
mkdir -p "$work"
work=$(cd "$work" && pwd)
export CARGO_TARGET_DIR=$work/target CARGO_INCREMENTAL=1
unset RUSTFLAGS

# files ROOM: what is changed.
files() {
    case $1 in
    shares) printf '%s\n' src/crypto/escrow/{policy,quorum,slip39}.rs 'src/crypto/escrow/slip39/*.rs' ;;
    chain) printf '%s\n' src/evidence/transcript/chain.rs ;;
    attributes) printf '%s\n' src/hsm/attributes.rs ;;
    wrapping) printf '%s\n' src/crypto/wrapping.rs 'src/crypto/wrapping/**/*.rs' ;;
    kms) printf '%s\n' src/plan/kms.rs src/plan/kms/{answer,azure,file,google,name,oci,transit}.rs ;;
    esac
}

# house ROOM: the crate of a room, in $work/ROOM.
house() {
    local house=$work/$1
    mkdir -p "$house/docs" "$house/tests"
    rm -rf "$house/src" "$house/tests/inputs"
    cp -R src "$house"
    cp docs/check-values.md "$house/docs" # tests read these
    cp -R tests/inputs "$house/tests"
    rm -f "$house/src/main.rs"
    {
        printf '#![allow(dead_code, missing_docs, unused_imports)]\n'
        cat "tests/mutants/$1.rs"
    } >"$house/src/lib.rs"
    # byok's own manifest under another name, without what else is built from it. Big integers and curves are
    # slow as written, as is what derives keys, and debug information takes its time to be made.
    sed "s/^name = \"byok\"$/name = \"byok-$1\"/" Cargo.lock >"$house/Cargo.lock"
    awk -v name="byok-$1" '
        /^\[\[(bin|bench|example)\]\]/ { skip = 1; next }
        /^\[/ { skip = 0; package = $0 == "[package]" }
        package && /^name = / { print "name = \"" name "\""; next }
        !skip
        END {
            printf "\n[profile.dev.package.%s]\nopt-level = 1\ndebug = false\n", name
            printf "\n[profile.dev.package.\"*\"]\nopt-level = 2\n"
        }
    ' Cargo.toml >"$house/Cargo.toml"
}

# What is not tried, and why.
except=(
    # what only a developer reads; that it tells no secret is a test of its own
    --exclude-re '<impl fmt::Debug for '
    # bits are put where zeros stand: there OR and XOR are the same
    --exclude-re 'words.rs.* replace \| with \^ in (Words::(set_)?bits|appended)$'
    # so it is with the flags of open(2); NOCTTY and CLOEXEC show only in a terminal and in a process that is started
    --exclude-re 'kms/file.rs.* replace \| with [\^&] in (open|read_at)$'
)

survived=0
for room in "${rooms[@]}"; do
    house "$room"
    only=() tests=()
    [ "$room" != kms ] || tests=(-- plan::kms::) # what lies below it has rooms of its own
    while IFS= read -r file; do only+=(--file "$file"); done < <(files "$room")
    status=0
    (cd "$work/$room" && cargo mutants --in-place --no-shuffle --no-config --timeout 120 "${except[@]}" \
        --output "$work/$room" "${only[@]}" "$@" -- --lib --locked ${tests[@]+"${tests[@]}"}) || status=$?
    outcomes=$work/$room/mutants.out/outcomes.json
    case $status in
    0 | 2 | 3) ;;
    *) exit "$status" ;;
    esac
    case " $* " in *' --list '*) continue ;; esac
    jq -r --arg room "$room" '"mutants: \($room): \(.total_mutants) tried, \(.caught) caught, \(.unviable) do not compile, \(.timeout) ran out of time, \(.missed) survived"' "$outcomes"
    [ "$(jq .missed "$outcomes")" -eq 0 ] || survived=1
done
exit "$survived"
