# What the scripts of this folder share; each reads it first, and needs it beside itself. Of itself it does nothing.
# shellcheck shell=bash disable=SC2034 # not every script asks for every option

scratch='' out='' yes=no address='' ca_cert='' start=$PWD

# folded: at a terminal no line is longer than 79 columns. What is copied stays one command, and no word is cut.
folded() {
    if [ ! -t 1 ]; then
        cat
        return
    fi
    LC_ALL=C awk '
        # put TEXT, whose lines may end from column FROM on, with END and, further down, behind HANG.
        function put(text, hang, end, from,    at, c, quoted, last) {
            while (length(text) > 79) {
                last = quoted = 0
                for (at = from; at <= length(text) && !(last && at > 80 - length(end)); at++) {
                    c = substr(text, at, 1)
                    if (end != "" && c == "\\" && quoted != 1) at++
                    else if (end != "" && c == "\047") quoted = quoted ? 0 : substr(text, at - 1, 1) == "$" ? 2 : 1
                    else if (c == " " && !quoted) last = at
                }
                if (!last) break
                print substr(text, 1, last - 1) end
                text = hang substr(text, last + 1)
                from = length(hang) + 1
            }
            print text
        }
        length($0) <= 79 { print; next }
        {
            if (match($0, /bash [a-z]+\.sh /)) command = RSTART
            else if (match($0, /: mv /)) command = RSTART + 2
            else if (match($0, /^([a-z]*\.sh: )?  \(?(aws|az|bao|gcloud|oci|vault) /)) command = RLENGTH
            else command = 0
        }
        command > 40 {
            put(substr($0, 1, command - 2), "", "", 1)
            $0 = "  " substr($0, command)
            command = 3
        }
        command { put($0, "  ", " \\", command); next }
        /^  \| / { put($0, "  | ", "", 5); next }
        match($0, /^  [^ ]+( [^ ]+)*  +/) {
            column = RLENGTH
            if (index(substr($0, column + 1) " ", " ") > 80 - column) { # its first word needs a line of its own
                name = substr($0, 1, column)
                sub(/ +$/, "", name)
                print name
                $0 = "    " substr($0, column + 1)
                column = 4
            }
            put($0, sprintf("%" column "s", ""), "", column + 1)
            next
        }
        { put($0, /^  / ? "    " : "", "", match($0, /[^ ]/)) }'
}

say() { printf '%s\n' "$@" | folded; }

refuse() { # CODE LINE...
    local code=$1
    shift
    printf "${0##*/}: %s\n" "$@" | folded >&2
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
        'http://[::1]' | 'http://[::1]'[:/]*) ;;
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
    case $(shown <"$scratch/errors") in
        *"HTTP response to HTTPS client"* | *WRONG_VERSION_NUMBER*)
            say "What answers there speaks without TLS: it is the wrong address, or the wrong port. Another way, such as a tunnel to this very computer, is named by --address." >&2 ;;
    esac
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

# sum: SHA-256 of stdin in hex.
sum() { (sha256sum 2>/dev/null || shasum -a 256) | cut -c 1-64; }

# keep_parameters: the file of --out, with its slip; the DER of its wrapping key is on stdin. Nothing is written unless the
# slip could be made. SHA256SUMS follows the parameter files beside it.
keep_parameters() {
    local key folder=. name=${out##*/}
    case $out in */*) folder=${out%/*} ;; esac
    case $name in '' | *[!A-Za-z0-9._-]* | -* | SHA256SUMS) refuse 2 "--out: name the file with letters, digits, - . and _" ;; esac
    key=$(sum)
    case ${#key}:$key in
        64:"$empty_sha256") refuse 1 "there is no wrapping key" ;;
        64:*) ;;
        *) refuse 2 "neither sha256sum nor shasum is here" ;;
    esac
    check_sums
    keep_answer
    { LC_ALL=C awk -v name="$name" 'substr($0, 67) != name' "$scratch/before" && printf '%s  %s\n' "$(sum <"$out")" "$name"; } |
        LC_ALL=C sort -k 2 >"$scratch/sums"
    cat "$scratch/sums" >"$folder/SHA256SUMS" || refuse 2 "$folder/SHA256SUMS cannot be written"
    print_slip "$key"
}
empty_sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

# check_sums: what SHA256SUMS names is still what it was; its lines in $scratch/before.
check_sums() {
    local digest file
    : >"$scratch/before"
    [ -e "$folder/SHA256SUMS" ] || return 0
    if [ ! -f "$folder/SHA256SUMS" ] || [ -L "$folder/SHA256SUMS" ]; then
        refuse 2 "$folder/SHA256SUMS is not a regular file"
    fi
    cat "$folder/SHA256SUMS" >"$scratch/before"
    while read -r digest file || [ -n "$digest" ]; do
        case ${#digest}:$file in
            64: | 64:-* | 64:*[!A-Za-z0-9._-]*) not_ours ;;
            64:*) ;;
            *) not_ours ;;
        esac
        [ -f "$folder/$file" ] || continue
        [ "$(sum <"$folder/$file")" = "$digest" ] || refuse 4 "$folder/$file changed since $folder/SHA256SUMS was written" \
            "fetch it again into another folder, and find out who changed it"
    done <"$scratch/before"
}

# not_ours: what another program wrote there, such as a name after an asterisk, would be passed over.
not_ours() {
    refuse 4 "$folder/SHA256SUMS has a line that this script did not write" \
        "fetch them into another folder, and find out who wrote it"
}

# print_slip DIGEST: of the wrapping key, then of all parameter files, in rows as the room asks for them.
print_slip() {
    say "SLIP of the import parameters                     $(date -u '+%Y-%m-%d %H:%M UTC')" "" \
        "Two people compare each row with the screen of the computer that fetched" \
        "the parameters. Then this paper goes into the room in the pocket of somebody" \
        "who does not carry the files. There byok asks for some of its rows, or the" \
        "plan has the digest of the wrapping key." "" "WRAPPING KEY in $name"
    digest_rows "$1"
    say "" "In the plan, as wrapping_key_sha256:" "  \"$1\"" "" "ALL PARAMETER FILES (SHA-256 of SHA256SUMS):"
    LC_ALL=C sed 's/^.\{66\}/  /' "$scratch/sums"
    digest_rows "$(sum <"$scratch/sums")"
    say "" "" "Downloaded by, and where   ________________________________________________" \
        "" "" "Compared by, date, time    ________________________________________________"
}

# digest_rows DIGEST: 8 rows of 8 digits.
digest_rows() {
    printf '%s\n' "$1" | fold -w 4 | LC_ALL=C awk '{ if (NR % 2) row = $0; else printf "  row %d   %s %s\n", NR / 2, row, $0 }'
}

# pem_in FILE MEMBER: the public key that an answer in JSON has there.
pem_in() { printf '%b' "$(LC_ALL=C sed -n 's/.*"'"$2"'": *"\([^"]*\)".*/\1/p' "$1")"; }

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
