#!/usr/bin/env bash
# in-the-room.sh bare | stocked
#
# What people do with the bundle in the locked room, called by tests/bundle.sh in a bare Debian 12, as
# an ordinary user, where the tar and the paper lie in the home directory. `stocked` goes on from what
# `bare` left, on a machine that has openssl and python3 as well.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
umask 077
cd "$HOME"

tar=$(echo byok-*.tar)
bundle=$HOME/${tar%.tar}
ceremony=$HOME/ceremony
arn=arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

fail() {
    printf 'FAILED: %s\n' "$1" >&2
    [ ! -s said ] || tail -n 20 said >&2
    exit 1
}
held() { printf 'held: %s\n' "$1"; }
has() { command -v "$1" >/dev/null; }

# ends CODE COMMAND…: what it says goes to ./said.
ends() {
    local want=$1 ended=0
    shift
    "$@" >"$HOME/said" 2>&1 || ended=$?
    [ "$ended" -eq "$want" ] || fail "$* ended with $ended, not $want"
}
says() { grep -qF -- "$1" "$HOME/said" || fail "it does not say: $1"; }

is_a_locked_room() {
    [ "$(id -u)" -ne 0 ] || fail 'this is root'
    [ "$(ls /sys/class/net)" = lo ] || fail 'there is a network interface'
    local tool
    for tool in "$@"; do
        ! has "$tool" || fail "there is $tool"
    done
}

unpack() {
    sha256sum --quiet -c "$tar.sha256" || fail 'the tar is not the one of the paper'
    tar -xf "$tar"
    "$bundle/ceremony-scripts/digest-rows.sh" "$tar" >rows
    [ "$(cat rows)" = "$(grep '^  row [1-8] ' paper.txt)" ] || fail 'the rows on the paper are of another file'
    sha256sum "$tar" | cut -c 1-64 | fold -w 8 | cat -n >stock-rows # as the page has it typed
    [ "$(awk '{ print $2 }' stock-rows)" = "$(awk '{ print $3 $4 }' rows)" ] || fail 'stock tools show other rows'
    [ "$(sha256sum "$tar" | cut -c 1-64)" = "$(sed -n 's/^SHA-256 //p' paper.txt)" ] || fail 'the paper has another SHA-256'
}

rehearsed() {
    [ "$(grep -cE ' (proved|opened)$' said)" -eq 4 ] || fail 'not all of the rehearsal was proved'
    says ' refused'
}

# A ceremony with what a room has: a token made here, and parameters that somebody brought.
write_plan() {
    mkdir -p "$ceremony/inputs"
    cd "$ceremony"
    cp "$bundle"/target/rehearsal/*/inputs/generate-*.json inputs/eu-west-1.json
    printf 'practice-in-the-room\n' >pin
    "$bundle/softhsm-config/make-token.sh" hsm ceremony pin >hsm.toml 2>"$HOME/said" || fail 'no token was made'
    {
        printf 'title = "In the locked room"\nkind = "generate"\n\n[hsm]\n'
        cat hsm.toml
        printf 'pin = "file:pin"\nenv = ["SOFTHSM2_CONF"]\n\n[machine]\nnetwork = "forbidden"\n\n'
        printf '[[key]]\nlabel = "payments-2026"\nspec = "SYMMETRIC_DEFAULT"\nkeep = "extractable"\n\n'
        printf '[[key.import]]\nname = "eu-west-1"\nkey_arn = "%s"\nparameters = "inputs/eu-west-1.json"\n' "$arn"
        printf 'wrapping = "RSAES_OAEP_SHA_1"\nwrap_in = "hsm"\nexpires = "never"\nwrapping_key_sha256 = "%s"\n\n' "$(wrapping_key)"
        printf '[escrow]\nthreshold = 2\ncustodians = ["Security", "Audit", "Board"]\ndeliver = "files:shares"\n\n'
        printf '[record]\ndirectory = "record"\n'
    } >plan.toml
}
wrapping_key() {
    sed -n 's/.*"PublicKey": "\(.*\)".*/\1/p' inputs/eu-west-1.json | base64 -d | sha256sum | cut -c 1-64
}

hold_the_ceremony() {
    export SOFTHSM2_CONF=$ceremony/hsm/softhsm2.conf
    ends 0 byok check --hsm plan.toml
    ends 0 byok run plan.toml --approve "$(sha256sum <plan.toml | cut -c 1-64)"
    ends 0 byok verify --head "$(sha256sum <record/transcript.jsonl | cut -c 1-64)" record
    says 'authentic'
    "$bundle/ceremony-scripts/digest-rows.sh" record/transcript.jsonl | while read -r row; do
        says "$row" # as byok prints them
    done
    ends 0 byok share check --record record --share shares/02-Audit.txt
    says 'Audit'
}

bare() {
    is_a_locked_room cc gcc clang ld cargo rustc python3 openssl softhsm2-util
    held 'the room has no network, compiler, openssl and python3'
    unpack
    held 'the tar is the one of the paper'
    cd "$bundle"
    ends 0 ceremony-scripts/setup-room.sh
    says 'unpacked in target/softhsm'
    says 'it lacks openssl 3 and python3'
    # shellcheck source=/dev/null # written by setup-room.sh
    . ./room.env
    ends 0 byok rehearse --module "$BYOK_SOFTHSM_MODULE"
    cd "$HOME"
    rehearsed
    for record in "$bundle"/target/rehearsal/*/record*; do ends 0 byok verify "$record"; done
    held 'byok rehearses a whole life, and its records verify'
    write_plan
    hold_the_ceremony
    held 'a token is made, a plan checked, a ceremony held and verified, its network forbidden'
    cd "$bundle"
    ends 2 ceremony-scripts/recover-without-byok.sh "$ceremony/inputs/eu-west-1.json" RSAES_OAEP_SHA_1
    says 'there is no openssl on this machine'
    printf x >>docs/checks.md
    ends 4 ceremony-scripts/setup-room.sh
    says 'docs/checks.md: FAILED'
    tar -xf "$HOME/$tar" -C "$HOME" "${tar%.tar}/docs/checks.md"
    local planted
    for planted in debs/more.deb Cargo.toml .hidden bin/more/byok more/byok; do
        mkdir -p "$(dirname "$planted")"
        : >"$planted"
        ends 4 ceremony-scripts/setup-room.sh
        says ': SHA256SUMS does not list it'
        rm "$planted"
        rmdir -p "$(dirname "$planted")" 2>/dev/null || true
    done
    mkdir empty
    ends 4 ceremony-scripts/setup-room.sh
    says 'empty: SHA256SUMS does not list it'
    rmdir empty
    printf 'untouched\n' >"$HOME/elsewhere"
    ln -sf "$HOME/elsewhere" room.env
    ends 4 ceremony-scripts/setup-room.sh
    says 'room.env is a symbolic link'
    [ "$(cat "$HOME/elsewhere")" = untouched ] || fail 'it wrote through a symbolic link'
    rm room.env
    ends 0 ceremony-scripts/setup-room.sh
    held 'recovery says what it lacks; a changed file, one more anywhere and a link are found'
}

# What custodians type, one question a line.
recover() {
    cd "$bundle"
    local kcv share
    kcv=$(sed -n 's/.*"event":"key-generated".*"kcv":"\([0-9A-F]*\)".*/\1/p' "$ceremony/record/transcript.jsonl")
    {
        printf 'Yes\n%s\n' "$(cd "$ceremony" && wrapping_key | cut -c 1-24)"
        printf 'payments-2026\n' # the package comes before the shares
        for share in 01-Security 03-Board; do tail -n 1 "$ceremony/shares/$share.txt"; done
        printf '%s\n' "$kcv"
    } >"$HOME/typed"
    ended=0
    ceremony-scripts/recover-without-byok.sh "$ceremony/inputs/eu-west-1.json" RSAES_OAEP_SHA_1 \
        "$ceremony/record/escrow-package.json" <"$HOME/typed" >"$HOME/said" 2>&1 || ended=$?
    [ "$ended" -eq 0 ] || fail "recover-without-byok.sh ended with $ended"
    says "KCV          $kcv"
    [ "$(wc -c <WrappedKeyMaterial.bin)" -eq 512 ] || fail 'what was wrapped has the wrong length'
}

# As on a machine that is no Debian.
without_dpkg_deb() {
    if [ ! -d "$HOME/tools" ]; then
        mkdir "$HOME/tools"
        ln -s /usr/bin/* "$HOME/tools"
        rm "$HOME/tools/dpkg-deb"
    fi
    env PATH="$HOME/tools" "$@"
}

stocked() {
    is_a_locked_room cc gcc clang cargo rustc softhsm2-util
    cd "$bundle"
    ends 0 ceremony-scripts/setup-room.sh
    says 'recovery  without byok is possible'
    recover
    held 'with openssl and python3, shares and package give the data key back without byok'
    ends 0 without_dpkg_deb ceremony-scripts/rehearse.sh
    says 'unpacked in target/softhsm'
    cd "$HOME"
    rehearsed
    held 'rehearse.sh of the bundle just runs, and without dpkg-deb'
    ends 0 "$bundle/ceremony-scripts/rehearse.sh" --samples "$HOME/samples"
    says 'no PDF: there is no Chromium here'
    grep -q PRACTICE "$HOME/samples/script.html" || fail 'the sample of the script is not marked'
    held 'the paper of a rehearsal is made in the bundle too'
}

"$1"
