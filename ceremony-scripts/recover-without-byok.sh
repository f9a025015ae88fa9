#!/usr/bin/env bash
# recover-without-byok.sh PARAMETERS WRAPPING [PACKAGE]
#
# Brings a data key back from exactly M shares and the escrow package, without byok and without
# an HSM, and wraps it for KMS: docs/recovery-without-byok.md, steps 3 to 8.
#
#   PARAMETERS  the answer of `aws kms get-parameters-for-import --output json`
#   WRAPPING    RSAES_OAEP_SHA_256 or RSAES_OAEP_SHA_1, as the parameters were downloaded for
#   PACKAGE     escrow-package.json; without it the printed rows are typed
#
# Needs bash 4, openssl 3, python3 (3.10 or newer) and, in ./wheels, the wheels of shamir-mnemonic
# and click whose SHA-256 stand below. Leaves ./WrappedKeyMaterial.bin and ./ImportToken.bin.
#
# DANGER: escrow key and data key are in clear on this machine, and `openssl enc -K` shows them in
# ps while it runs. Only on an offline machine that nobody else uses; power it off afterwards.
# Words and digits that you type go to programs by pipe, never as arguments.
#
# Exit codes: 0 done, 1 declined or interrupted, 2 usage or something missing, 4 something is not
# what it claims to be, 5 the machine.
set -euo pipefail
umask 077
ulimit -c 0
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1
unset HISTFILE

wheels_sha256='8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37  click-8.5.1-py3-none-any.whl
188c6b5bd00d5e756e12e2b186c3cb7c98ff7ff44df608d4c1d2077f6b6e730f  shamir_mnemonic-0.3.0-py3-none-any.whl'

room=
at_end='the input ended'
needed=
say() { printf '%s\n' "$@" >&2; }

# stop CODE WHAT [HINT…]
stop() {
    local code=$1
    say "recover-without-byok.sh: error: $2"
    shift 2
    [ $# -eq 0 ] || printf 'recover-without-byok.sh: hint: %s\n' "$@" >&2
    exit "$code"
}

# Whatever happens: nothing secret stays.
clean() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$room" ]; then
        find "$room" -type f -exec shred -u {} + 2>/dev/null || true
        rm -rf "$room"
        say 'The private directory is gone. Power this machine off now.'
    fi
    exit "$code"
}
trap clean EXIT
trap 'exit 1' INT TERM HUP

# ask VARIABLE QUESTION: one line; the end of the input ends everything.
ask() {
    local typed=
    printf '%s' "$2" >&2
    read -r typed || stop 1 "$at_end"
    printf -v "$1" '%s' "$typed"
}

wipe() {
    [ ! -t 2 ] || printf '\033[H\033[2J\033[3J' >&2
}

# ---- what was given ----
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "$0" >&2
    exit 2
fi
parameters=$1 wrapping=$2 package=${3:-}
case $wrapping in
RSAES_OAEP_SHA_256) hash=sha256 ;;
RSAES_OAEP_SHA_1) hash=sha1 ;;
*) stop 2 "WRAPPING is RSAES_OAEP_SHA_256 or RSAES_OAEP_SHA_1, not $wrapping" ;;
esac
for tool in openssl python3 base64 od sha256sum shred find mktemp; do
    command -v "$tool" >/dev/null || stop 2 "there is no $tool on this machine"
done
python3 -c 'import sys, hashlib, inspect, zipfile; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    stop 2 'python3 on this machine is older than 3.10, or not complete' 'on Debian the package python3, not python3-minimal'
for file in "$parameters" ${package:+"$package"}; do
    [ -r "$file" ] || stop 2 "$file cannot be read"
done
for file in WrappedKeyMaterial.bin ImportToken.bin; do
    [ ! -e "$file" ] || stop 2 "./$file is there already; nothing is overwritten" 'move it away first'
done
if ! said=$(cd wheels 2>/dev/null && printf '%s\n' "$wheels_sha256" | sha256sum -c 2>&1); then
    say "${said:-there is no directory ./wheels}"
    stop 2 'the two wheels in ./wheels are not those that this script needs' \
        'step 1 of docs/recovery-without-byok.md downloads them; the SHA-256 decides'
fi

# ---- the machine ----
[ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] || stop 5 '/dev/shm is not in memory (tmpfs) on this machine'
say 'The data key will be in clear on this machine. What was seen of it:'
if ! interfaces=$(cd /sys/class/net 2>/dev/null && grep -lx -e up -e unknown -- */operstate 2>/dev/null | grep -v '^lo/' | cut -d / -f 1 | tr '\n' ' '); then
    interfaces=
fi
say " network interfaces up: ${interfaces:-none}"
say " swap in use: $(sed 1d /proc/swaps 2>/dev/null | grep -c . || true) area(s)"
say " others who run programs here: $(find /proc -maxdepth 1 -name '[0-9]*' -printf '%u\n' 2>/dev/null | sort -u | grep -vxF "$(id -un)" | tr '\n' ' ' || true)"
say 'It must be offline, without swap, used by nobody else, and powered off afterwards.'
say 'While openssl enc runs, its key can be read in ps by everything on this machine.'
ask answer 'Type Yes if you take that on yourselves: '
[ "$answer" = Yes ] || stop 1 'declined; nothing was made'

room=$(mktemp -d "/dev/shm/recovery.$$.XXXXXX")
export TMPDIR=$room # bash may keep here-strings in a file

for wheel in wheels/click-8.5.1-py3-none-any.whl wheels/shamir_mnemonic-0.3.0-py3-none-any.whl; do
    cp "$wheel" "$room"
done
(cd "$room" && printf '%s\n' "$wheels_sha256" | sha256sum -c --status) || stop 4 'the wheels changed while they were copied'
for wheel in "$room"/*.whl; do
    python3 -m zipfile -e "$wheel" "$room/lib"
done

# ---- the wrapping key ----
field() { sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' "$parameters" | base64 -d 2>/dev/null; }
field PublicKey >"$room/wrapping-key.der" || true
field ImportToken >"$room/ImportToken.bin" || true
if [ ! -s "$room/wrapping-key.der" ] || [ ! -s "$room/ImportToken.bin" ]; then
    stop 2 "$parameters is no answer of get-parameters-for-import with PublicKey and ImportToken, a line each"
fi
modulus=$(openssl pkey -pubin -inform DER -in "$room/wrapping-key.der" -noout -text 2>/dev/null |
    sed -n 's/.*Public-Key: (\([0-9]*\) bit).*/\1/p')
case $modulus in
2048 | 3072 | 4096) ;;
*) stop 4 'the wrapping key is no RSA key of 2048, 3072 or 4096 bits' ;;
esac
digest=$(sha256sum <"$room/wrapping-key.der")
digest=${digest%% *}
say '' "SHA-256 of the wrapping key (RSA, $modulus bits):"
fold -w 8 <<<"$digest" | cat -n >&2
say 'Whoever exchanged it on its way would get the data key: compare with the paper.'
ask answer 'Its first three rows from the paper (24 digits): '
answer=${answer//[^0-9A-Fa-f]/}
answer=${answer,,}
if [ ${#answer} -lt 24 ] || [ "${digest#"$answer"}" = "$digest" ]; then
    stop 4 'that is not the wrapping key of the paper' 'find out whether file or paper is the wrong one'
fi

# ---- the escrow key ----
# shamir-mnemonic checks every share as it comes; its answer is judged by its words, because it
# ends with 0 even when shares are missing.
shamir() { PYTHONPATH=$room/lib python3 -m shamir_mnemonic.cli recover 2>&1; }
shares=()
escrow_key=
while [ -z "$escrow_key" ]; do
    wipe
    say '' "Good so far: ${#shares[@]} share(s)${needed:+ of $needed}. One custodian at the screen, everyone else turns away."
    say 'All 33 words on one line, whole words; then Enter. stop ends it.'
    at_end="the shares are not enough: ${#shares[@]} good${needed:+, $needed needed}"
    ask share "Share $((${#shares[@]} + 1)): "
    [ "$share" != stop ] || stop 4 "$at_end" 'nothing is lost: bring the custodians who are missing'
    read -ra words <<<"${share,,}"
    share=${words[*]}
    if [ ${#words[@]} -ne 33 ]; then
        ask answer "That was ${#words[@]} words, not 33. Enter to type the share again: "
        continue
    fi
    said=$(printf '%s\n' ${shares[@]+"${shares[@]}"} "$share" | shamir) || true
    if [[ $said == *'Your master secret is: '* ]]; then
        escrow_key=${said##*Your master secret is: }
        break
    fi
    case $said in
    *'Recovery failed'*)
        stop 4 'the shares are of one set, but together they give no escrow key' \
            'at least one was not dealt with the others: begin again with another custodian in turn' ;;
    *'not part of the current set'*) why='it is of another set than those before' ;;
    *'already entered'*) why='it was typed before' ;;
    *'Invalid mnemonic word'*) why='a word in it is not in the list' ;;
    *ERROR*) why='a word is wrong, or words are exchanged' ;;
    *) why= ;;
    esac
    if [ -n "$why" ]; then
        ask answer "Not taken: $why. Enter for the same or another custodian: "
        continue
    fi
    shares+=("$share")
    needed=$(sed -n 's/.* of \([0-9]*\) shares needed.*/\1/p' <<<"$said" | tail -n 1)
done
wipe
unset shares share words said
at_end='the input ended'
escrow_key=${escrow_key%%[!0-9a-f]*}
[ ${#escrow_key} -eq 64 ] || stop 4 'these shares are of another secret than an escrow key'
say 'The quorum is complete.'

# ---- the package ----
if [ -n "$package" ]; then
    grep -qF '"format":"byok-escrow-package-v1"' "$package" || stop 4 "$package is no escrow package of a kind that this script knows"
    tr '{' '\n' <"$package" >"$room/keys"
    say 'Data keys in this package:'
    sed -n 's/^"label":"\([^"]*\)".*"kcv":"\([^"]*\)".*/ \1  KCV \2/p' "$room/keys" >&2
    label=
    ask label 'Label of the data key: '
    [[ $label =~ ^[A-Za-z0-9_-]+$ ]] || stop 2 'that is no label'
    grep -F "\"label\":\"$label\"" "$room/keys" >"$room/key" || stop 4 "the package holds no data key $label"
    sed -n 's/.*"wrapping":"AES-KW".*"wrapped":"\([^"]*\)".*/\1/p' "$room/key" | base64 -d >"$room/wrapped.bin"
else
    say 'The rows of the package, from paper: 16 hex digits and the 4 of the check, in one line.'
    say 'An empty line after the last row.'
    number=1
    : >"$room/rows.hex"
    while :; do
        ask row "Row $number: "
        [ -n "$row" ] || break
        row=${row,,}
        row=${row#row*[0-9]  } # the row's name, if it was typed as well
        row=${row//check/}
        row=${row//[[:space:]]/}
        if [[ ! $row =~ ^[0-9a-f]{20}$ ]]; then
            say 'A row has 16 hex digits and then 4 of its check. Type it again.'
            continue
        fi
        check=$(printf 'row %s %s' "$number" "${row:0:16}" | sha256sum)
        if [ "${check:0:4}" != "${row:16}" ]; then
            say "The check of row $number does not fit its digits. Type it again."
            continue
        fi
        printf '%s' "${row:0:16}" >>"$room/rows.hex"
        number=$((number + 1))
    done
    python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' <"$room/rows.hex" >"$room/wrapped.bin"
fi
case $(wc -c <"$room/wrapped.bin") in
24 | 40) ;;
*) stop 4 'what is wrapped has not the length of an AES data key' ;;
esac

# ---- the data key ----
openssl enc -d -id-aes256-wrap -K "$escrow_key" -iv A6A6A6A6A6A6A6A6 -in "$room/wrapped.bin" \
    -out "$room/data-key.bin" 2>/dev/null ||
    stop 4 'these shares do not open this package' 'compare the ceremony ids on the share forms and the package'
unset escrow_key
key=$(od -An -v -tx1 "$room/data-key.bin" | tr -d ' \n')
encrypt() { openssl enc -e "-aes-$((${#key} * 4))-ecb" -nopad -K "$key" | od -An -v -tx1 | tr -d ' \n'; }
kcv=$(head -c 16 /dev/zero | encrypt)
kcv=${kcv:0:6}
kcv=${kcv^^}
fingerprint=$(printf %s 'byok-ceremony material fingerprint v1' | openssl dgst -sha256 -binary | encrypt)
unset key
say '' "KCV          $kcv" "fingerprint  $fingerprint"
if [ -n "$package" ]; then
    grep -qF "\"kcv\":\"$kcv\",\"fingerprint\":\"$fingerprint\"" "$room/key" ||
        stop 4 'this is another data key than the package says'
fi
ask answer 'KCV (6 digits) or fingerprint (8 digits or more), from paper or transcript: '
answer=${answer//[^0-9A-Fa-f]/}
answer=${answer,,}
if [ ${#answer} -eq 6 ]; then
    [ "$answer" = "${kcv,,}" ] || stop 4 'that is another data key: the KCV differs'
else
    if [ ${#answer} -lt 8 ] || [ "${fingerprint#"$answer"}" = "$fingerprint" ]; then
        stop 4 'that is another data key: the fingerprint differs'
    fi
fi

# ---- wrapped for KMS ----
openssl pkeyutl -encrypt -pubin -keyform DER -inkey "$room/wrapping-key.der" -in "$room/data-key.bin" \
    -out "$room/WrappedKeyMaterial.bin" -pkeyopt rsa_padding_mode:oaep \
    -pkeyopt "rsa_oaep_md:$hash" -pkeyopt "rsa_mgf1_md:$hash"
[ "$(wc -c <"$room/WrappedKeyMaterial.bin")" -eq $((modulus / 8)) ] || stop 4 'what was wrapped has the wrong length'
cp "$room/WrappedKeyMaterial.bin" "$room/ImportToken.bin" .
sync
say '' "Wrapped: ./WrappedKeyMaterial.bin, $((modulus / 8)) bytes, $wrapping, with ./ImportToken.bin." \
    'Online, before the parameters expire: step 9 of docs/recovery-without-byok.md.' \
    'The escrow key was in clear: deal new shares under a new escrow key, destroy the old ones.'
