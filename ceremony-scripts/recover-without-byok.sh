#!/usr/bin/env bash
# recover-without-byok.sh PARAMETERS WRAPPING [PACKAGE]
#
# Brings a data key back from a quorum of shares and the escrow package, without
# byok and without an HSM, and wraps it for KMS: docs/recovery-without-byok.md,
# steps 3 to 8.
#
#   PARAMETERS  the answer of `aws kms get-parameters-for-import --output json`;
#               for another KMS its wrapping key in PEM
#   WRAPPING    RSAES_OAEP_SHA_256 or _SHA_1, or for a private key
#               RSA_AES_KEY_WRAP_SHA_256 or _SHA_1: the algorithm that the
#               parameters were downloaded for, or that the other KMS takes
#   PACKAGE     escrow-package.json; without it you type the printed rows
#
# Needs bash 4, openssl 3, python3 (3.10 or newer) and, in ./wheels, the wheels
# of shamir-mnemonic and click with the SHA-256 given below. Leaves
# ./WrappedKeyMaterial.bin and, for AWS KMS, ./ImportToken.bin.
#
# DANGER: escrow key and data key are in clear on this machine, and
# `openssl enc -K` and `openssl mac` show them in ps while they run. Use an
# offline machine that nobody else uses; power it off afterwards. Words and
# digits that you type go to programs by pipe, never as arguments.
#
# Exit codes: 0 done, 1 declined or interrupted, 2 usage or something missing, 4
# something is not what it claims to be, 5 the machine.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
shopt -s extglob
umask 077
ulimit -c 0
export LC_ALL=C
unset HISTFILE
# Isolated: python takes no module from this directory, where the parameters are, or from the environment.
python=(python3 -I -B)

wheels_sha256='8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37  click-8.5.1-py3-none-any.whl
188c6b5bd00d5e756e12e2b186c3cb7c98ff7ff44df608d4c1d2077f6b6e730f  shamir_mnemonic-0.3.0-py3-none-any.whl'

room=
at_end='the input ended'
needed=
# shown TEXT: as it goes to a terminal: nothing in it moves the cursor or begins a line.
shown() { printf '%s' "${1//[^ -~]/?}"; }
# say LINE…: nothing that a file or a person put into it does either.
say() {
    local line
    for line in "$@"; do printf '%s\n' "$(shown "$line")" >&2; done
}

# stop CODE WHAT [HINT…]
stop() {
    local code=$1
    say "recover-without-byok.sh: error: $2"
    shift 2
    [ $# -eq 0 ] || say "${@/#/recover-without-byok.sh: hint: }"
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
# Nothing fails without a word.
set -E
trap 'say "recover-without-byok.sh: error: the command in line $LINENO failed"' ERR

# ask VARIABLE QUESTION: one line; the end of the input ends everything.
ask() {
    local typed=
    printf '%s' "$2" >&2
    read -r typed || stop 1 "$at_end"
    printf -v "$1" '%s' "$typed"
}

# Paper is copied by hand: a digit that is mistyped is asked for again.
tries=3

# hex_digits TEXT: in lower case, without what stands between digits and without the names of rows.
hex_digits() {
    local text=${1,,}
    local digits=${text//row*([[:space:]])[1-8]+([[:space:]])/}
    printf '%s' "${digits//[[:space:].:-]/}"
}

# differs VALUE TYPED: the rows of 8 digits in which they differ.
differs() {
    local at rows=
    for ((at = 0; at < ${#2}; at += 8)); do
        local row=${2:at:8}
        [ "${1:at:${#row}}" = "$row" ] || rows+="${rows:+, }$((at / 8 + 1))"
    done
    case $rows in
    *,*) printf 'Rows %s do not agree.' "$rows" ;;
    *) printf 'Row %s does not agree.' "$rows" ;;
    esac
}

# as_on_paper VALUE LEAST SHORT QUESTION: whether at least LEAST of its digits, or all of SHORT, were typed.
as_on_paper() {
    local copied left=$tries
    while [ "$left" -gt 0 ]; do
        ask copied "$4"
        copied=$(hex_digits "$copied")
        if [[ $copied = *[!0-9a-f]* ]]; then
            say 'Hex digits only, 0 to 9 and a to f, no words. Nothing was compared.'
            continue
        elif [ -n "$3" ] && [ ${#copied} -eq ${#3} ]; then
            [ "$copied" != "$3" ] || return 0
            say 'These digits do not agree.'
        elif [ ${#copied} -lt "$2" ]; then
            say "That was ${#copied} digits; $2 are needed, from row 1 on. Nothing was compared."
            continue
        elif [ "${1#"$copied"}" != "$1" ]; then
            return 0
        else
            say "$(differs "$1" "$copied")"
        fi
        left=$((left - 1))
        [ "$left" -eq 0 ] || say 'Look at the paper once more, and type it again.'
    done
    return 1
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
RSAES_OAEP_SHA_256 | RSA_AES_KEY_WRAP_SHA_256) hash=sha256 ;;
RSAES_OAEP_SHA_1 | RSA_AES_KEY_WRAP_SHA_1) hash=sha1 ;;
*) stop 2 "WRAPPING is RSAES_OAEP_SHA_256 or _1, RSA_AES_KEY_WRAP_SHA_256 or _1, not $wrapping" ;;
esac
for tool in openssl python3 base64 od sha256sum shred find mktemp cmp; do
    command -v "$tool" >/dev/null || stop 2 "there is no $tool on this machine"
done
"${python[@]}" -c 'import sys, hashlib, inspect, zipfile; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    stop 2 'python3 on this machine is older than 3.10, or incomplete' 'on Debian the package python3, not python3-minimal'
for file in "$parameters" ${package:+"$package"}; do
    { [ -f "$file" ] && [ -r "$file" ]; } || stop 2 "$file cannot be read"
done
[ ! -e WrappedKeyMaterial.bin ] || stop 2 './WrappedKeyMaterial.bin is there already; nothing is overwritten' 'move it away first'
if ! said=$(cd wheels 2>/dev/null && printf '%s\n' "$wheels_sha256" | sha256sum -c 2>&1); then
    while read -r line; do say "$line"; done <<<"${said:-there is no directory ./wheels}"
    stop 2 'the two wheels in ./wheels are not those that this script needs' \
        'step 1 of docs/recovery-without-byok.md downloads them; the SHA-256 decides'
fi

# ---- the machine ----
[ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] || stop 5 '/dev/shm is not in memory (tmpfs) on this machine'
say 'The data key will be in clear on this machine. This was found:'
if ! interfaces=$(cd /sys/class/net 2>/dev/null && grep -lx -e up -e unknown -- */operstate 2>/dev/null | grep -v '^lo/' | cut -d / -f 1 | tr '\n' ' '); then
    interfaces=
fi
say " network interfaces up: ${interfaces:-none}"
say " swap in use: $(sed 1d /proc/swaps 2>/dev/null | grep -c . || true) area(s)"
say " other users with programs here: $(find /proc -maxdepth 1 -name '[0-9]*' -printf '%u\n' 2>/dev/null | sort -u | grep -vxF "$(id -un)" | tr '\n' ' ' || true)"
say 'It must be offline, without swap, and used by nobody else. Power it off afterwards.'
say 'While openssl enc or mac runs, every program on this machine can read its key in ps.'
answer=
while [ -z "$answer" ]; do ask answer 'Type Yes if you accept that, anything else to stop: '; done
[ "$answer" = Yes ] || stop 1 'declined; nothing was made'

room=$(mktemp -d "/dev/shm/recovery.$$.XXXXXX")
export TMPDIR=$room # bash may keep here-strings in a file

for wheel in wheels/click-8.5.1-py3-none-any.whl wheels/shamir_mnemonic-0.3.0-py3-none-any.whl; do
    cp "$wheel" "$room"
done
(cd "$room" && printf '%s\n' "$wheels_sha256" | sha256sum -c --status) || stop 4 'the wheels changed while they were copied'
for wheel in "$room"/*.whl; do
    "${python[@]}" -m zipfile -e "$wheel" "$room/lib"
done

# ---- the wrapping key ----
# Strictly: what a decoder only warns of would be sent to KMS when the material is in clear already.
decode='
import base64, json, re, sys

def once(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a member stands in it twice")
    return dict(pairs)

try:
    with open(sys.argv[1], "rb") as file:
        answer = json.loads(file.read(1 << 20), object_pairs_hook=once)
    for name, kept in ("PublicKey", "wrapping-key.der"), ("ImportToken", "ImportToken.bin"):
        given = answer.get(name) if isinstance(answer, dict) else None
        text = re.sub(r"\s", "", given) if isinstance(given, str) else ""
        try:
            decoded = base64.b64decode(text, validate=True)
        except ValueError:
            decoded = b""
        if not decoded or base64.b64encode(decoded).decode() != text:
            raise ValueError(name + " in it is not whole base64")
        with open(sys.argv[2] + "/" + kept, "xb") as file:
            file.write(decoded)
except (OSError, ValueError, RecursionError) as why:
    sys.exit("recover-without-byok.sh: error: " + ascii(str(why))[1:-1])
'
aws=yes
case $(head -c 27 "$parameters" | tr -d '\0') in
'-----BEGIN PUBLIC KEY-----'*)
    aws=no # another KMS: there is no token
    openssl pkey -pubin -in "$parameters" -outform DER -out "$room/wrapping-key.der" 2>/dev/null ||
        stop 2 "$parameters is not a whole public key in PEM" 'fetch it again: step 2 of docs/recovery-without-byok.md'
    ;;
*)
    "${python[@]}" -c "$decode" "$parameters" "$room" ||
        stop 2 "$parameters is not a whole answer of get-parameters-for-import, as JSON" 'download it again: step 2 of docs/recovery-without-byok.md'
    ;;
esac
# Step 2 of the page makes the same file; another one would be of other parameters.
if [ "$aws" = yes ] && [ -e ImportToken.bin ] && ! cmp -s "$room/ImportToken.bin" ImportToken.bin; then
    stop 2 "./ImportToken.bin is another import token than that of $parameters; nothing is overwritten" 'move it away first'
fi
modulus=$(openssl pkey -pubin -inform DER -in "$room/wrapping-key.der" -noout -text 2>/dev/null |
    sed -n 's/.*Public-Key: (\([0-9]*\) bit).*/\1/p') || modulus=
case $modulus in
2048 | 3072 | 4096) ;;
*) stop 4 'PublicKey is not an RSA key of 2048, 3072 or 4096 bits' ;;
esac
digest=$(sha256sum <"$room/wrapping-key.der")
digest=${digest%% *}
# What was read is shown after the comparison: people copy from paper, never from the screen.
say '' 'Whoever exchanged the wrapping key in transit would get the data key.' \
    'Take the paper with its SHA-256.'
as_on_paper "$digest" 24 '' 'Its first three rows from the paper (24 digits): ' ||
    stop 4 'that is not the wrapping key on the paper' 'find out whether the file or the paper is wrong'
say "They agree. All rows of the wrapping key (RSA, $modulus bits); compare the others too:"
fold -w 8 <<<"$digest" | cat -n >&2

# ---- the package ----
specs='SYMMETRIC_DEFAULT|AES_(128|192|256)|HMAC_(224|256|384|512)|ECC_(NIST_P256|NIST_P384|NIST_P521|SECG_P256K1)|ED25519|RSA_(2048|3072|4096)'
bits=
if [ -n "$package" ]; then
    grep -qF '"format":"byok-escrow-package-v1"' "$package" || stop 4 "$package is not an escrow package of a kind that this script knows"
    tr '{' '\n' <"$package" >"$room/keys"
    say '' 'Data keys in this package:'
    sed -n 's/^"label":"\([^"]*\)","spec":"\([^"]*\)".*/ \1  \2/p' "$room/keys" | tr -c '\n -~' '?' >&2
    label=
    until [[ $label =~ ^[A-Za-z0-9_-]+$ ]] && grep -F "\"label\":\"$label\"" "$room/keys" >"$room/key"; do
        [ -z "$label" ] || say 'The package holds no data key with that label. Type one of those above.'
        ask label 'Label of the data key: '
    done
    [ "$(wc -l <"$room/key")" -eq 1 ] || stop 4 "$package holds more than one data key with the label $label" 'byok never writes such a package: bring another copy'
    said() { sed -n 's/.*"'"$1"'":"\{0,1\}\([^",}]*\).*/\1/p' "$room/key"; }
    spec=$(said spec) bits=$(said bits) package_wrapping=$(said wrapping)
    said wrapped | base64 -d >"$room/wrapped.bin" || stop 4 'the package does not hold it as base64'
else
    spec=
    until [[ $spec =~ ^($specs)$ ]]; do
        [ -z "$spec" ] || say "$spec is no spec that this script knows. As on the page, such as HMAC_256, 256 bits."
        ask spec 'Spec of the data key, as on the page (Enter: SYMMETRIC_DEFAULT): '
        spec=${spec:-SYMMETRIC_DEFAULT}
        bits=${spec//[^0-9]/ } # HMAC_256, 264 bits
        bits=${bits%"${bits##*[0-9]}"}
        bits=${bits##* }
        spec=${spec%%[, ]*}
        [[ $spec = HMAC_* ]] || bits=
    done
    package_wrapping=
    say 'The rows of the package, from paper: 16 hex digits and the 4 of the check, in one line.'
    say 'An empty line after the last row.'
    # row_of DIGITS: the number of the row that such digits and check are, by the check.
    row_of() {
        local check at
        for at in "$number" {1..9}; do
            check=$(printf 'row %s %s' "$at" "${1:0:16}" | sha256sum)
            [ "${check:0:4}" != "${1:16}" ] || break
            at=
        done
        printf '%s' "$at"
    }
    number=1
    : >"$room/rows.hex"
    while :; do
        ask row "Row $number: "
        [ -n "$row" ] || break
        row=${row,,}
        own=
        if [[ $row =~ ^row[[:space:]]*([0-9]+)[[:space:]]+(.*)$ ]]; then # its name was typed as well
            own=${BASH_REMATCH[1]##+(0)} row=${BASH_REMATCH[2]}
        fi
        row=${row//check/}
        row=${row//[[:space:]]/}
        if [ "${own:-$number}" != "$number" ]; then
            say "That is row $own; row $number is asked for."
            continue
        elif [[ ! $row =~ ^[0-9a-f]{20}$ ]]; then
            say "Row $number has 16 hex digits and then 4 of its check. Type the row again."
            continue
        fi
        is=$(row_of "$row")
        if [ -z "$is" ]; then
            say "The check of row $number does not fit its digits. Type the row again."
            continue
        elif [ "$is" != "$number" ]; then
            say "That is row $is; row $number is asked for."
            continue
        fi
        printf '%s' "${row:0:16}" >>"$room/rows.hex"
        number=$((number + 1))
    done
    "${python[@]}" -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' <"$room/rows.hex" >"$room/wrapped.bin"
fi
# What this spec is wrapped with, and how long a secret is.
padded=AES-KWP
case $spec in
SYMMETRIC_DEFAULT)
    padded=AES-KW
    lengths='16 32' fits=RSAES_OAEP
    ;;
HMAC_224 | HMAC_256 | HMAC_384 | HMAC_512)
    [ -n "$bits" ] || stop 4 'nothing says how long this HMAC key is'
    [[ $bits =~ ^[1-9][0-9]{2,3}$ ]] || stop 4 "an HMAC key has no such length: $bits bits"
    [ $((bits % 64)) -ne 0 ] || padded=AES-KW
    lengths=$((bits / 8)) fits=RSAES_OAEP
    ;;
ECC_NIST_P256 | ECC_NIST_P384 | ECC_NIST_P521 | ECC_SECG_P256K1) lengths='' fits='RSAES_OAEP RSA_AES_KEY_WRAP' ;;
RSA_2048 | RSA_3072 | RSA_4096) lengths='' fits=RSA_AES_KEY_WRAP ;;
AES_128 | AES_192 | AES_256)
    padded=AES-KW
    lengths=$((${spec#AES_} / 8)) fits=RSAES_OAEP
    ;;
ED25519) lengths='' fits=RSAES_OAEP ;;
*) stop 4 "$spec is no spec that this script knows" ;;
esac
case $aws/$spec in
yes/AES_* | yes/ED25519)
    stop 2 "AWS KMS does not import $spec" 'give the wrapping key of the other KMS, in PEM: step 2 of docs/recovery-without-byok.md'
    ;;
no/RSA_*) ;;
no/*) fits='RSAES_OAEP RSA_AES_KEY_WRAP' ;; # which of them that KMS takes: docs/targets.md
esac
[ "${package_wrapping:-$padded}" = "$padded" ] || stop 4 "the package says $package_wrapping; a key of $spec is wrapped with $padded"
case " $fits " in
*" ${wrapping%_SHA_*} "*) ;;
*) stop 2 "KMS accepts $spec under ${fits// / or } only, not $wrapping" 'download other parameters: step 2 of docs/recovery-without-byok.md' ;;
esac
if [ "$wrapping" != "${wrapping#RSAES}" ] && [ "$spec" = ECC_NIST_P521 ] && [ "$modulus" = 2048 ]; then
    stop 2 'ECC_NIST_P521 is longer than RSA_2048 can encrypt' 'download parameters with RSA_4096: step 2 of docs/recovery-without-byok.md'
fi
size=$(wc -c <"$room/wrapped.bin")
case " $lengths " in
'  ') [ "$size" -ge 48 ] && [ "$size" -le 5120 ] && [ $((size % 8)) -eq 0 ] ;;
*" $((size - 8)) "*) ;;
*) [ "$padded" = AES-KWP ] && [ "$size" -eq $(((lengths + 7) / 8 * 8 + 8)) ] ;;
esac || stop 4 "the wrapped bytes do not have the length of such a data key: $size bytes"

# ---- the escrow key ----
# shamir-mnemonic checks every share as it comes; its answer is judged by its words, because it
# ends with 0 even when shares are missing.
shamir() {
    "${python[@]}" -c 'import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("shamir_mnemonic.cli", run_name="__main__", alter_sys=True)' "$room/lib" recover 2>&1
}
# Whether byok could have dealt a share whose checksum holds: one share alone is never enough, and the iteration exponent
# is 0. Exponent 15 would take 328 million iterations, and one share decides it for all.
could_be_dealt() {
    "${python[@]}" -c 'import sys
sys.path.insert(0, sys.argv[1])
from shamir_mnemonic.share import Share
try:
    s = Share.from_mnemonic(sys.stdin.read())
except Exception:
    sys.exit(0)
as_dealt = s.extendable and s.iteration_exponent == 0 and s.group_index < s.group_count
sys.exit(not (as_dealt and (s.member_threshold > 1 or s.group_threshold > 1)))' "$room/lib" 2>/dev/null
}
# How every word of the list is found: by its first four letters, in which all differ.
declare -A listed
while read -r word; do
    listed[${word:0:4}]=$word
done <"$room/lib/shamir_mnemonic/wordlist.txt"
# whole_word TYPED: into WORD, the word of the list that was typed, whole or its first four letters or more.
whole_word() {
    [[ $1 =~ ^[a-z]{4,}$ ]] || return 1
    word=${listed[${1:0:4}]-}
    [[ $word = "$1"* ]]
}
# ask_words QUESTION: into the array GIVEN, in lower case; fails where nothing was typed.
ask_words() {
    local line
    ask line "$1"
    read -ra given <<<"${line,,}"
    [ "${given[*]}" != stop ] || stop 4 "$at_end" 'nothing is lost: bring the custodians who are missing'
    [ ${#given[@]} -gt 0 ]
}
# type_share: into the array WORDS, 33 words of the list; fails where the share is to be typed again.
type_share() {
    local at question="Share $((${#shares[@]} + 1)): "
    words=()
    while [ ${#words[@]} -lt 33 ]; do
        ask_words "$question" || return 1
        words+=("${given[@]}")
        question="${#words[@]} of 33 words. The rest (Enter: this share again from word 1): "
    done
    if [ ${#words[@]} -gt 33 ]; then
        ask answer "That was ${#words[@]} words, not 33. Enter to type the share again: "
        return 1
    fi
    for at in {0..32}; do
        until whole_word "${words[at]}"; do
            word=${words[at]:0:20}
            say "Word $((at + 1)), ${word//[^a-z0-9]/?}, is not in the list. Look at the form."
            ask_words "Word $((at + 1)) alone (Enter: this share again from word 1): " || return 1
            words[at]=${given[*]}
        done
        words[at]=$word
    done
}
shares=()
escrow_key=
while [ -z "$escrow_key" ]; do
    wipe
    say '' "Good so far: ${#shares[@]} share(s)${needed:+ of $needed}. One custodian at the screen, everyone else turns away."
    [ -z "${by_group-}" ] || while IFS= read -r line; do say "$line"; done <<<"$by_group"
    say 'All 33 words, in one line or in several; four letters of a word are enough. stop ends it.'
    at_end="the shares are not enough: ${#shares[@]} good${needed:+, $needed needed}"
    type_share || continue
    share=${words[*]}
    if ! printf '%s\n' "$share" | could_be_dealt; then
        ask answer 'Not taken: byok never dealt such a share. Enter for the same or another custodian: '
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
            'at least one was not dealt with the others: begin again, replacing one custodian at a time' ;;
    *'not part of the current set'*) why='it belongs to another set than those before' ;;
    *'already entered'*) why='it was typed before' ;;
    *"don't match"*) why='it contradicts a share of its group that was taken before' ;;
    *ERROR*) why='a word is wrong, or words are exchanged' ;;
    *) why= ;;
    esac
    if [ -n "$why" ]; then
        ask answer "Not taken: $why. Enter for the same or another custodian: "
        continue
    fi
    shares+=("$share")
    case $said in
    *' groups needed:'*) # how far each group is; the words after it are those with which its forms begin
        by_group=$(awk '{ sub(/^[^A-Za-z0-9]*/, "") }
            / groups needed:$/ { told = $2 " of " $4 " groups are complete:\n" }
            / from group / {
                forms = $0
                sub(/.* from group /, "", forms)
                is = "none yet"
                if ($2 == "of") is = $1 + 0 < $3 + 0 ? $1 " of " $3 " shares" : "complete"
                told = told "  forms that begin " forms ": " is "\n"
            }
            END { printf "%s", told }' <<<"$said") ;;
    *) needed=$(sed -n 's/.* of \([0-9]*\) shares needed.*/\1/p' <<<"$said" | tail -n 1) ;;
    esac
done
wipe
unset shares share words word given said
at_end='the input ended'
escrow_key=${escrow_key%%[!0-9a-f]*}
[ ${#escrow_key} -eq 64 ] || stop 4 'these shares belong to a secret that is not an escrow key'
say 'The quorum is complete.'

# ---- the data key ----
case $padded in
AES-KW) cipher=id-aes256-wrap iv=A6A6A6A6A6A6A6A6 ;;
*) cipher=id-aes256-wrap-pad iv=A65959A6 ;;
esac
openssl enc -d "-$cipher" -K "$escrow_key" -iv "$iv" -in "$room/wrapped.bin" -out "$room/opened.bin" 2>/dev/null ||
    stop 4 'these shares do not open this package' 'compare the ceremony ids on the share forms and the package'
unset escrow_key
hex() { od -An -v -tx1 "$@" | tr -d ' \n'; }
size=$(wc -c <"$room/opened.bin")
# Some HSMs append zero bytes to a private key: the PKCS#8 ends where its DER says.
if [ -z "$lengths" ]; then
    head=$(head -c 4 "$room/opened.bin" | hex)
    case $head in
    3081*) whole=$((3 + 0x${head:4:2})) ;;
    3082*) whole=$((4 + 0x${head:4:4})) ;;
    30[0-7]*) whole=$((2 + 0x${head:2:2})) ;;
    *) whole=0 ;;
    esac
    if [ "$whole" -le 4 ] || [ "$whole" -gt "$size" ]; then
        stop 4 'the key in the package is not a PKCS#8 private key'
    fi
    [ -z "$(tail -c +$((whole + 1)) "$room/opened.bin" | tr -d '\0' | hex)" ] || stop 4 'the bytes after the PKCS#8 are not all zero'
    size=$whole
fi
case " $lengths " in
'  ' | *" $size "*) ;;
*) stop 4 "the package holds $size bytes; $spec${bits:+ of $bits bits} has $lengths" ;;
esac
head -c "$size" "$room/opened.bin" >"$room/data-key.bin"

text='byok-ceremony material fingerprint v1'
kcv=
case $spec in
SYMMETRIC_DEFAULT | AES_*)
    key=$(hex "$room/data-key.bin")
    encrypt() { openssl enc -e "-aes-$((${#key} * 4))-ecb" -nopad -K "$key" | hex; }
    kcv=$(head -c 16 /dev/zero | encrypt)
    kcv=${kcv:0:6}
    kcv=${kcv^^}
    fingerprint=$(printf %s "$text" | openssl dgst -sha256 -binary | encrypt)
    unset key
    ;;
HMAC_*)
    fingerprint=$(printf %s "$text" |
        openssl mac -binary -digest "SHA2-${spec#HMAC_}" -macopt "hexkey:$(hex "$room/data-key.bin")" HMAC | hex)
    ;;
*)
    openssl pkey -inform DER -in "$room/data-key.bin" -check -noout >/dev/null 2>&1 || stop 4 'the private key in the package is not consistent'
    fingerprint=$(openssl pkey -inform DER -in "$room/data-key.bin" -pubout -outform DER | sha256sum)
    fingerprint=${fingerprint%% *}
    ;;
esac
say '' "$spec, $size bytes"
if [ -n "$package" ]; then
    grep -qF "${kcv:+\"kcv\":\"$kcv\",}\"fingerprint\":\"$fingerprint\"" "$room/key" ||
        stop 4 'this is not the data key that the package names'
fi
as_on_paper "$fingerprint" 8 "${kcv,,}" "${kcv:+KCV (6 digits) or }fingerprint (8 digits or more), from paper or transcript: " ||
    stop 4 "that is another data key: the ${kcv:+KCV or }fingerprint differs"
say 'They agree.' ${kcv:+"KCV          $kcv"} "fingerprint  $fingerprint"

# ---- wrapped for KMS ----
oaep() {
    openssl pkeyutl -encrypt -pubin -keyform DER -inkey "$room/wrapping-key.der" -in "$1" \
        -pkeyopt rsa_padding_mode:oaep -pkeyopt "rsa_oaep_md:$hash" -pkeyopt "rsa_mgf1_md:$hash"
}
length=$((modulus / 8))
case $wrapping in
RSAES_*) oaep "$room/data-key.bin" >"$room/WrappedKeyMaterial.bin" ;;
*) # an AES key of its own, under OAEP; behind it the data key under that
    openssl rand -out "$room/ephemeral.bin" 32
    oaep "$room/ephemeral.bin" >"$room/WrappedKeyMaterial.bin"
    openssl enc -e -id-aes256-wrap-pad -K "$(hex "$room/ephemeral.bin")" -iv A65959A6 \
        -in "$room/data-key.bin" >>"$room/WrappedKeyMaterial.bin"
    length=$((length + (size + 7) / 8 * 8 + 8))
    ;;
esac
[ "$(wc -c <"$room/WrappedKeyMaterial.bin")" -eq "$length" ] || stop 4 'the wrapped file has the wrong length'
[ "$aws" = no ] || [ -e ImportToken.bin ] || cp "$room/ImportToken.bin" .
cp "$room/WrappedKeyMaterial.bin" .
sync
[ "$aws" = no ] || wrapping="$wrapping, with ./ImportToken.bin"
say '' "Wrapped: ./WrappedKeyMaterial.bin, $length bytes, $wrapping." \
    'Online, before the parameters expire: step 9 of docs/recovery-without-byok.md.' \
    'The escrow key was in clear: deal new shares under a new escrow key, destroy the old ones.'
