# What the scripts of this folder share; each reads it first, and needs it beside itself. Of itself it does nothing.
# shellcheck shell=bash disable=SC2034 # not every script asks for every option

scratch='' out='' yes=no start=$PWD

say() { printf '%s\n' "$@"; }

refuse() { # CODE LINE...
    local code=$1
    shift
    printf "${0##*/}: %s\n" "$@" >&2
    exit "$code"
}

# shown: text from outside, for a screen: nothing in it moves the cursor.
shown() { LC_ALL=C tr -c '\n -~' '?'; }

# options KNOWN OPTION...: what stands behind a verb and its object, in $out, $ca_cert, $address and $yes.
options() {
    local known=$1
    shift
    while [ $# -gt 0 ]; do
        case " $known " in
            *" $1 "*) ;;
            *) refuse 2 "'$(printf '%s' "$1" | shown)' is no option here; there are $known" ;;
        esac
        [ "$1" = --yes ] || [ -n "${2-}" ] || refuse 2 "$1 needs a value"
        case $1 in
            --yes) yes=yes ;;
            --out) out=$2 ;;
            --ca-cert) ca_cert=$2 ;;
            --address) is_way "$2" && address=${2%/} ;;
        esac
        [ "$1" = --yes ] || shift
        shift
    done
    case $ca_cert in '' | /*) ;; *) ca_cert=$start/$ca_cert ;; esac
}

# is_way URL: another way to a KMS: by TLS, or to this very computer, such as to a tunnel. One that is refused is not shown.
is_way() {
    local place=${1#*://}
    case ${place%/} in '' | *[!A-Za-z0-9.:\[\]-]*) refuse 2 "--address: scheme, host and port alone" ;; esac
    case $1 in
        https://*) ;;
        http://localhost | http://localhost[:/]* | http://127.0.0.1 | http://127.0.0.1[:/]*) ;;
        *) refuse 2 "--address: https://, or http:// to this very computer" ;;
    esac
}

# needs COMMAND...: before anything is asked.
needs() {
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null 2>&1 || refuse 2 "the command $command is not installed, or not in PATH"
    done
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/byok-online.XXXXXX") || refuse 2 "no temporary folder can be made"
    trap 'rm -rf "$scratch"' EXIT
}

# ask ARGUMENT...: the KMS, by `run` of the script; what it says against it is shown.
ask() {
    run "$@" 2>"$scratch/errors" </dev/null && return 0
    shown <"$scratch/errors" | LC_ALL=C sed 's/^/  | /' >&2
    return 1
}

# answer ARGUMENT...: what the file of --out is to be, in $scratch/answer.
answer() {
    [ -n "$out" ] || refuse 2 "--out FILE: where the answer is to be"
    [ ! -e "$out" ] || refuse 2 "$out is there already, and nothing is overwritten: move it away"
    ask "$@" >"$scratch/answer" || refuse 1 "no answer; $out was not written"
}

# keep_answer: in the file of --out; none is ever overwritten.
keep_answer() { (set -C && cat "$scratch/answer" >"$out") || refuse 2 "$out cannot be written"; }

# answer_to_file ARGUMENT...: both.
answer_to_file() { answer "$@" && keep_answer; }

# keep_with_slip: the file of --out is written only when its slip, in $scratch/slip, could be made.
keep_with_slip() {
    keep_answer
    cat "$scratch/slip"
}

# pem_in FILE MEMBER: the public key that an answer in JSON has there.
pem_in() { printf '%b' "$(LC_ALL=C sed -n 's/.*"'"$2"'": *"\([^"]*\)".*/\1/p' "$1")"; }

# slip: the digest of the wrapping key, whose DER is on stdin, as the room asks for it.
slip() {
    local digest
    digest=$( (sha256sum 2>/dev/null || shasum -a 256) | cut -c 1-64)
    case ${#digest}:$digest in
        64:"$empty_sha256") refuse 1 "there is no wrapping key" ;;
        64:*) ;;
        *) refuse 2 "neither sha256sum nor shasum is here" ;;
    esac
    say "" "SLIP. SHA-256 of the wrapping key. A second person copies the rows by hand, signs, and takes the slip to" \
        "the room, apart from the file:" ""
    printf '%s\n' "$digest" | fold -w 8 | cat -n
    say "" "In the plan: wrapping_key_sha256 = \"$digest\""
}
empty_sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

# import FOLDER [OPTION...]: the ceremony's own script decides everything.
import() {
    local folder=$1
    shift
    is_folder "$folder"
    exec "${BASH:-bash}" "$folder/import.sh" ${1+"$@"}
}

# decided FOLDER NAME: what the ceremony decided, from the import.sh there.
decided() { LC_ALL=C sed -n "s/^$2='\{0,1\}\([^' ]*\)'\{0,1\}\( #.*\)\{0,1\}\$/\1/p" "$1/import.sh" | head -n 1; }

# is_folder FOLDER: of one import.
is_folder() {
    [ -f "$1/import.sh" ] || refuse 2 "$1/import.sh is not there: name the folder of one import of a record"
}

# typed_name NAME: whether somebody typed it: nobody ends a key by one wrong line.
typed_name() {
    local typed=
    [ "$yes" = no ] || return 0
    printf 'Type the name, %s, to go on: ' "$1"
    IFS= read -r typed || typed=
    [ "$typed" = "$1" ] || refuse 1 "declined: nothing was changed"
}
