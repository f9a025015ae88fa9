#!/usr/bin/env bash
# shellcheck disable=SC2016 # the programs of jq have variables of their own
# verify-record.sh [--head HEX] [--signers FILE] [--previous DIR]… RECORD
#
# Verifies the record of a key ceremony without byok, by the rules of `byok verify`: they stand in
# docs/transcript-format.md and docs/receipts.md. Nothing in the record is run or changed.
#
#   --head HEX      the head digest from paper: 24 to 64 hex digits from row 1 on, spaces allowed
#   --signers FILE  the keys that may sign, in the allowed_signers format of ssh-keygen; times in UTC, with Z
#   --previous DIR  where a record that this one builds on may be: DIR or a directory in it
#
# The first line of the output is the verdict:
#   authentic                      the head, or a signature by one of the signers, vouches for it
#   consistent, not authenticated  it holds together, but anyone could have made it so
#   broken: WHAT                   the first thing that does not hold
# Keys that lie in the record itself never vouch for it.
#
# Needs bash 4, jq 1.6, ssh-keygen (OpenSSH 8.9), and sha256sum, base64, find, grep -P, iconv and cmp
# as every Debian has them. Exit codes: 0 authentic or consistent, 2 usage or something missing,
# 4 broken, 5 the machine.
set -euo pipefail
case $- in *p*) ;; *) exec "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
umask 077
export LC_ALL=C
unset CDPATH GREP_OPTIONS JQ_COLORS

zeros=$(printf '%064d' 0)
work=
about= # which record is meant, where it is not the one that was asked about
count=0

usage() {
    printf 'verify-record.sh: %s\n' "$1" >&2
    printf 'verify-record.sh: hint: %s\n' 'verify-record.sh [--head HEX] [--signers FILE] [--previous DIR]… RECORD' >&2
    exit 2
}

# Text from a record must not steer the terminal.
shown() { printf '%s' "${1//[^ -~]/?}"; }

broken() {
    printf 'broken: %s\n' "$(shown "$about$1")"
    exit 4
}

machine() {
    printf 'verify-record.sh: %s\n' "$1" >&2
    exit 5
}

clean() { [ -z "$work" ] || rm -rf -- "$work"; }
trap clean EXIT
trap 'exit 1' HUP INT TERM

# A path that no tool takes for an option.
plain_path() {
    case $1 in
    /*) printf '%s' "$1" ;;
    *) printf './%s' "$1" ;;
    esac
}

digest_of() {
    local sum
    sum=$(sha256sum <"$1") || machine "$1 cannot be read"
    printf '%s' "${sum%% *}"
}

size_of() { wc -c <"$1"; }

ends_with_line_feed() { [ "$(tail -c 1 -- "$1" | od -An -tx1)" = ' 0a' ]; }

# ---- what was given ---------------------------------------------------------------------------

anchor='' signers='' record='' given=()

read_arguments() {
    local word options=yes
    while [ $# -gt 0 ]; do
        word=$1
        shift
        case $options$word in
        yes--head=* | yes--signers=* | yes--previous=*) set -- "${word#*=}" "$@" && word=${word%%=*} ;;
        esac
        case $options$word in
        yes--head | yes--signers | yes--previous) [ -n "${1:-}" ] || usage "$word needs a value" ;;
        esac
        case $options$word in
        yes--help | yes-h) sed -n '3,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;;
        yes--head) [ -z "$anchor" ] || usage '--head is given twice' && read_anchor "$1" && shift ;;
        yes--signers) [ -z "$signers" ] || usage '--signers is given twice' && signers=$1 && shift ;;
        yes--previous) given+=("$(plain_path "$1")") && shift ;;
        yes--) options=no ;;
        yes-*) usage "$(shown "$word") is no option" ;;
        *) [ -z "$record" ] || usage 'one record at a time' && record=$(plain_path "$word") ;;
        esac
    done
    [ -n "$record" ] || usage 'which record?'
    looks_like_a_record "$record"
    [ -z "$signers" ] || read_signers "$(plain_path "$signers")"
    local place
    for place in ${given[@]+"${given[@]}"}; do
        [ -d "$place" ] || usage "--previous $(shown "$place"): there is no such directory"
    done
}

# People give a part of a record, or the directory above it; what has lost parts of its own is judged later.
looks_like_a_record() {
    local shown above inner
    shown=$(shown "$1")
    for inner in transcript.jsonl SHA256SUMS plan.toml; do
        [ ! -d "$1" ] || [ ! -f "$1/$inner" ] || return 0
    done
    [ -e "$1" ] || usage "$shown: there is no such record; a record is a directory"
    above=$(cd -- "$(dirname -- "$1")" && pwd)
    [ ! -d "$1" ] || above=$(cd -- "$1/.." && pwd)
    while [ "$above" != / ]; do
        [ ! -f "$above/transcript.jsonl" ] ||
            usage "$shown: is a part of a record, which is verified as a whole: $(shown "$above")"
        above=$(dirname -- "$above")
    done
    [ -d "$1" ] || usage "$shown: is a file, and a record is a directory"
    for inner in "$1"/*/transcript.jsonl; do
        [ ! -f "$inner" ] || usage "$shown: holds records, and is none itself: $(shown "${inner%/transcript.jsonl}")"
    done
}

read_anchor() {
    # Spaces of all kinds (Unicode, White_Space), such as a copy from a document brings along.
    anchor=$(printf '%s' "${1//[[:space:]]/}" |
        sed -E 's/\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80//g')
    anchor=${anchor,,}
    [[ $anchor =~ ^[0-9a-f]{24,64}$ ]] ||
        usage '--head: a head digest is 64 hex digits, or at least its first three rows (24 digits); this script knows no words'
}

# ---- the list of signers ------------------------------------------------------------------------

# Who may sign: the line's names, its key, for which purposes, and between which times.
names=() keys=() purposes=() afters=() befores=()

hex() { od -An -v -tx1 | tr -d ' \n'; }

# A type and the base64 of a key of that type, as they stand in an OpenSSH public key.
is_key() {
    local length type
    [ -n "$2" ] && [[ $1 =~ ^[!-~]+$ ]] || return 1
    [ "$(printf '%s' "$2" | base64 -d 2>/dev/null | base64 -w 0)" = "$2" ] || return 1
    printf -v length '%08x' ${#1}
    type=$length$(printf '%s' "$1" | hex)
    [[ $(printf '%s' "$2" | base64 -d | hex) = "$type"* ]]
}

# A line is: NAMES [OPTION="…",…] TYPE BASE64 [COMMENT]
read_signers() {
    local line number=0 word='(([^"[:space:]]|"[^"]*")+)' space='[[:space:]]+' shown name one='^("[^"]*"|[^"]*)$'
    shown="--signers $(shown "$1")"
    if [ ! -f "$1" ] || [ ! -r "$1" ] || [ "$(size_of "$1")" -gt 1048576 ] || ! is_utf8 "$1" ||
        [ "$(tr -cd '\000' <"$1" | wc -c)" -gt 0 ]; then
        usage "$shown: cannot be read"
    fi
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        line=${line#"${line%%[![:space:]]*}"}
        case $line in '' | '#'*) continue ;; esac
        [[ $line =~ ^$word$space$word$space$word($space$word)?($space.*)?$ ]] || usage "$shown: line $number: no public key"
        set -- "${BASH_REMATCH[1]}" "${BASH_REMATCH[3]}" "${BASH_REMATCH[5]}" "${BASH_REMATCH[8]}"
        [[ $1 =~ $one ]] || usage "$shown: line $number: quotation marks within the principals"
        name=${1//\"/}
        [ -n "$name" ] || usage "$shown: line $number: no principal"
        [[ ,$name != *,!* ]] || usage "$shown: line $number: a principal that begins with !"
        if is_key "$2" "$3"; then
            keys+=("$2 $3") purposes+=('*') afters+=('') befores+=('')
        else
            read_options "$shown: line $number" "$2"
            is_key "$3" "$4" || usage "$shown: line $number: no public key"
            keys+=("$3 $4")
        fi
        names+=("$name")
    done <"$1"
    [ ${#keys[@]} -gt 0 ] || usage "$shown: it lists nobody"
}

read_options() {
    local rest=$2, purpose='*' after='' before='' name value seen='' option='^([A-Za-z-]+)="([^"\]*)",'
    while [ -n "$rest" ]; do
        [[ $rest =~ $option ]] || usage "$1: neither a public key nor a known option"
        name=${BASH_REMATCH[1],,} value=${BASH_REMATCH[2]} rest=${rest:${#BASH_REMATCH[0]}}
        [[ $seen != *" $name "* ]] || usage "$1: $name is given twice"
        seen="$seen $name "
        case $name in
        namespaces) purpose=${value:-$(usage "$1: namespaces is empty")} || exit 2 ;;
        valid-after) after=$(time_of "$value") || usage "$1: no time in UTC such as 20261122Z" ;;
        valid-before) before=$(time_of "$value") || usage "$1: no time in UTC such as 20261122Z" ;;
        *) usage "$1: neither a public key nor a known option" ;;
        esac
    done
    purposes+=("$purpose") afters+=("$after") befores+=("$before")
}

# 20261122Z, 202611221142Z or 20261122114203Z, as a transcript writes it.
time_of() {
    local t=${1%Z}000000
    [[ $1 =~ ^[0-9]{8}([0-9]{4}([0-9]{2})?)?Z$ ]] || return 1
    t=${t:0:4}-${t:4:2}-${t:6:2}T${t:8:2}:${t:10:2}:${t:12:2}Z
    jq -en --arg t "$t" "$common"' $t | is_time' >/dev/null && printf '%s' "$t"
}

# Patterns with *, ? and a leading !, as ssh takes them; a purpose has small letters and - alone.
fits_list() {
    local pattern fits=1
    # shellcheck disable=SC2053 # they are patterns
    while IFS= read -r -d , pattern; do
        [[ ${pattern#!} =~ ^[a-z*?-]*$ ]] || continue
        case $pattern in
        !*) [[ $2 != ${pattern#!} ]] || return 1 ;;
        *) [[ $2 != $pattern ]] || fits=0 ;;
        esac
    done <<<"$1,"
    return $fits
}

# ---- what all programs of jq below share -------------------------------------------------------

common='
def text($name): if type == "object" then .[$name] | if type == "string" then . else "" end else "" end;
def is_hex($digits): test("\\A[0-9a-f]*\\z") and length == $digits;

# Every text can be shown, and every number is an integer of at most 15 digits.
def is_shown: test("^(?>[^\\\\\u0080-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\udb40\udc00-\udb40\udc7f]|\\\\[\\\\\"])*$");
def is_plain: (tojson | is_shown)
    and all(.. | numbers; . == floor and . < 1e15 and . > -1e15 and tojson != "-0");
def depth: if type == "object" or type == "array" then 1 + ([.[] | depth] | max // 0) else 0 end;

def is_time:
    test("\\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\\z") and . <= "9999-12-30T22:00:00Z" and (
        (.[0:4] | tonumber) as $year | (.[5:7] | tonumber) as $month | (.[8:10] | tonumber) as $day
        | (if $month == 2 and ($year % 4 == 0 and $year % 100 != 0 or $year % 400 == 0) then 29
            else [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][$month] // 0 end) as $days
        | $day >= 1 and $day <= $days and .[11:13] < "24" and .[14:16] < "60" and .[17:19] < "60");
def is_member($list): . as $one | any($list[]; . == $one);
'

# ---- rule 1: the files ------------------------------------------------------------------------

# Every file of the record with its digest, as one JSON object in $here/present.
list_files() {
    local entry name escaped
    find . -mindepth 1 -printf '%y%P\0' >"$here/entries" 2>"$here/errors" ||
        broken "$(head -n 1 "$here/errors"): cannot be read"
    name=$(grep -azm 1 '[[:cntrl:]]' "$here/entries" | tr -d '\000') || true
    [ -z "$name" ] || broken "${name:1}: not a readable name"
    # A directory with all that is below it comes before what follows it by name.
    tr '/' '\001' <"$here/entries" | sort -z -k 1.2 | tr '\001' '/' >"$here/sorted"
    : >"$here/names"
    while IFS= read -r -d '' entry; do
        name=${entry:1}
        case $entry in
        d*) ;;
        f*) printf './%s\0' "$name" >>"$here/names" ;;
        *) broken "$name: neither a regular file nor a directory" ;;
        esac
    done <"$here/sorted"
    xargs -0 -r sha256sum -z -- <"$here/names" >"$here/sums" 2>"$here/errors" ||
        broken "$(sed -n '1s/^sha256sum: \(\.\/\)\{0,1\}//p' "$here/errors")"
    while IFS= read -r -d '' entry; do
        escaped=${entry:68}
        escaped=${escaped//\\/\\\\}
        printf '["%s","%s"]\n' "${escaped//\"/\\\"}" "${entry:0:64}"
    done <"$here/sums" >"$here/listed"
    jq -c . "$here/listed" 2>/dev/null | cmp -s - "$here/listed" || broken 'a name in it is not readable (UTF-8)'
    jq -nr "$common"'[inputs] as $all | first($all[][0] | select(tojson | is_shown | not)) // "",
        reduce $all[] as [$path, $sha256] ({}; .[$path] = $sha256)' "$here/listed" >"$here/shown"
    IFS= read -r name <"$here/shown"
    [ -z "$name" ] || broken "$name: not a readable name"
    tail -n +2 "$here/shown" >"$here/present"
    list_public_keys
}

# For each public key (DER) the digest of the same in PEM, as one JSON object in $here/pems.
list_public_keys() {
    local name escaped sum
    while IFS= read -r -d '' name; do
        case $name in
        */public-key.der) ;;
        *) continue ;;
        esac
        if [ ! -s "$name" ] || [ "$(size_of "$name")" -gt 65536 ]; then continue; fi
        sum=$({ echo '-----BEGIN PUBLIC KEY-----' && base64 -w 64 <"$name" && echo '-----END PUBLIC KEY-----'; } | sha256sum)
        escaped=${name#./}
        escaped=${escaped//\\/\\\\}
        printf '{"%s":"%s"}\n' "${escaped//\"/\\\"}" "${sum%% *}"
    done <"$here/names" | jq -cn 'reduce inputs as $one ({}; . + $one)' >"$here/pems"
}

# ---- lines of JSON ----------------------------------------------------------------------------

# compact FILE NAME: the whole lines of FILE up to the first that is not compact JSON go to
# $here/NAME.lines, the SHA-256 of each without its line feed to $here/NAME.digests.
#
# What jq prints is compact and holds each key once. So a line that jq prints again byte for byte is
# compact JSON with one meaning. (NUL, which no shell holds, becomes another forbidden byte.)
compact() {
    local all=$here/$2.all lines=$here/$2.lines number=0 said printed
    head -n "$(wc -l <"$1")" <"$1" | tr '\000' '\001' >"$all"
    jq -c . <"$all" >"$lines" 2>/dev/null || true
    if ! cmp -s "$all" "$lines"; then
        while IFS= read -r said <&3 && IFS= read -r printed <&4 && [ "$said" = "$printed" ]; do
            number=$((number + 1))
        done 3<"$all" 4<"$lines"
        head -n "$number" <"$all" >"$lines"
    fi
    mkdir "$here/$2.d"
    number=0
    while IFS= read -r said; do
        number=$((number + 1))
        printf '%s' "$said" >"$here/$2.d/$number"
    done <"$lines"
    (cd "$here/$2.d" && seq "$number" | xargs -r sha256sum) | sed 's/^\([0-9a-f]*\).*/"\1"/' >"$here/$2.digests"
}

# ---- rules 2 to 7 -----------------------------------------------------------------------------

# Prints what does not hold, or an empty line, then facts, a line each, then what SHA256SUMS lists.
rules='
def of_line($number):
    if depth > 127 then "recursion limit exceeded"
    elif is_plain | not then "it holds a character that cannot be shown, or a number that is no integer"
    elif type != "object" or .seq != $number then "seq is not \($number): a line was dropped, added or moved"
    elif text("at") | is_time | not then "at is not a time such as 2026-11-22T11:42:03Z"
    elif .event | type != "string" then "it has no event"
    else null end;

# The line after tells which of two lines was changed.
def broken_link($i):
    ($i + 1) as $number
    | $lines[$i + 1] as $next
    | if $i == 0 then "line 1: prev is not 64 zeros"
      elif $next == null or ($next | of_line($number + 1)) != null
      then "line \($i): its digest is not the prev of line \($number): one of the two was changed"
      elif ($next | text("prev")) == $digests[$i]
      then "line \($i): it was changed: its digest is not the prev of line \($number)"
      else "line \($number): it was changed: line \($number + 1) binds other bytes" end;

def is_end: . == "sealed" or . == "aborted";

def chain_fault:
    first(
        (range($lines | length) as $i
        | $lines[$i] as $line
        | ($line | of_line($i + 1)) as $fault
        | if $fault != null then "line \($i + 1): \($fault)"
          elif ($line | text("prev")) != (if $i == 0 then $zeros else $digests[$i - 1] end) then broken_link($i)
          elif $i > 0 and $line.at < $lines[$i - 1].at then "line \($i + 1): its time is before the line above"
          elif ($i == 0) != ($line.event == "ceremony-opened") then "line \($i + 1): \"\($line.event)\" stands in the wrong place"
          else empty end),
        (($lines | length) as $n
        | if $n < $whole then "line \($n + 1): it is not compact JSON"
          elif $cut then "line \($n + 1): it does not end with a line feed"
          elif $n == 0 then "the transcript is empty"
          elif $lines[-1].event | is_end | not then "line \($n): the transcript ends with \"\($lines[-1].event)\", neither sealed nor aborted"
          else range($n - 1) as $i | select($lines[$i].event | is_end)
            | "line \($i + 1): \"\($lines[$i].event)\" stands before the end" end),
        null)
    | if . == null then null else "transcript.jsonl: " + . end;

def events($name): $lines[] | select(.event == $name);
def data_keys: $lines[] | select(.event | is_member(["key-generated", "key-found", "key-recovered"]));
def aborted: $lines[-1].event == "aborted";

def end_fault:
    $lines[-1] as $last
    | if $last.event == "sealed" and ($last.outcome != "done" or $last.exceptions != ([events("exception")] | length))
      then "transcript.jsonl: line \($last.seq): it does not fit the lines above it"
      else first((reduce data_keys as $line ({known: [], twice: []};
                ($line | text("label")) as $called | .known as $known
                | if $called | is_member($known) then .twice += [$line] else .known += [$called] end)
            | .twice[] | "transcript.jsonl: line \(.seq): the data key \"\(text("label"))\" stands there twice"), null) end;

def format_fault:
    if ($lines[0] | text("format")) == "byok-transcript-v1" then null
    else "transcript.jsonl: line 1: its format is \"\($lines[0] | text("format"))\", not byok-transcript-v1" end;

def plan_fault:
    ($lines[0] | text("plan_sha256")) as $named
    | first((events("plan-approved") | select(text("plan_sha256") != $named)
            | "transcript.jsonl: line \(.seq): another plan was approved than opened"),
        (if $present["plan.toml"] == null then (if aborted then null else "plan.toml: missing" end)
         elif $present["plan.toml"] != $named then "plan.toml: not the plan that was approved"
         else null end));

def is_path: . != "" and all(split("/")[]; . != "" and . != "." and . != "..");

# {fault, files}: what the transcript vouches for.
def outputs:
    (if aborted and ($lines[-1].removed | type) == "array" then [$lines[-1].removed[] | strings] else [] end) as $removed
    | reduce events("output-written") as $line ({fault: null, files: {}};
        ($line | text("path")) as $path
        | if .fault != null then .
          elif $path | is_path | not then .fault = "transcript.jsonl: line \($line.seq): \"\($path)\" is no path within a record"
          elif $path | is_member($removed) then .
          elif .files | has($path) then .fault = "transcript.jsonl: line \($line.seq): \($path) was written twice"
          else .files[$path] = ($line | text("sha256")) end);

def files_fault($files):
    first(($files | keys[]) as $path
        | if $present[$path] == null then "\($path): missing, though the transcript names it"
          elif $present[$path] != $files[$path] then "\($path): its bytes are not those that the transcript names"
          else empty end) // null;

def wrapped_fault($files):
    if aborted then null else
        [data_keys | text("label")] as $made
        | first(events("key-wrapped")
            | if $files[text("path")] != text("sha256") then "transcript.jsonl: line \(.seq): \(text("path")) was not written as it was wrapped"
              elif text("label") | is_member($made) | not then "transcript.jsonl: line \(.seq): no data key \"\(text("label"))\" was made or brought back"
              else empty end) // null end;

# The public key of each key pair: where it was made it must be there.
def pair_fault($files):
    first(data_keys | select(text("spec") | startswith("ECC_") or startswith("RSA_"))
        | "\(text("label"))/public-key.der" as $der | "\(text("label"))/public-key.pem" as $pem
        | (first(($der, $pem) | select(in($files) | not)) // null) as $missing
        | if $missing != null and .event == "key-generated" and (aborted | not) then "transcript.jsonl: line \(.seq): \($missing), the public key, was not written"
          elif $files[$der] != null and $files[$der] != text("fingerprint")
          then "\($der): its digest is not the fingerprint that line \(.seq) of the transcript tells"
          elif $files[$der] == null or $files[$pem] == null then empty
          elif $pems[$der] == null then "\($der): it is empty, or longer than byok reads"
          elif $pems[$der] != $files[$pem] then "\($pem): it is not \($der) in PEM"
          else empty end) // null;

def stands_beside:
    is_member(["transcript.jsonl", "SHA256SUMS", "receipts.jsonl"]) or startswith("signatures/") or startswith("receipts/")
    or (split("/")[-1] | startswith("import-result") and endswith(".json"));

def more_fault($files):
    first($present | keys[]
        | if in($files) or stands_beside then empty
          else "\(.): the transcript does not name this file" end) // null;

def fact($name): $lines[0] | text($name);
def signer: first(events("transcript-signer")) // {};
chain_fault as $fault
| if $fault != null then $fault else
    outputs as {fault: $fault, files: $files}
    | (format_fault // end_fault // plan_fault // $fault // files_fault($files) // wrapped_fault($files)
        // pair_fault($files)
        // more_fault($files) // ""),
      aborted, $lines[0].rehearsal == true, fact("previous_head"), fact("previous_receipts_head"),
      ([events("transcript-signer").seq] | join(" ")), (signer | text("public_key"), text("fingerprint")), $lines[-1].at,
      ($files + {"transcript.jsonl": $head} | to_entries[] | "\(.value)  \(.key)")
  end
'

# The first lines of `rules`: what is known of the record at hand.
aborted='' rehearsal='' previous_head='' previous_receipts_head='' signer_lines='' signer_key='' signer_fingerprint='' ended=''

check_transcript() {
    local file=transcript.jsonl facts cut=false
    if [ ! -f $file ]; then
        [ -d $file ] && broken "$file: not a regular file"
        broken "$file: missing"
    fi
    [ "$(size_of $file)" -le 268435456 ] || broken "$file: longer than byok reads"
    [ ! -s $file ] || ends_with_line_feed $file || cut=true
    compact $file transcript
    head=$(digest_of $file)
    jq -nr --slurpfile lines "$here/transcript.lines" --slurpfile digests "$here/transcript.digests" \
        --slurpfile listed "$here/present" --slurpfile pem_sums "$here/pems" --arg zeros "$zeros" --arg head "$head" \
        --argjson whole "$(wc -l <$file)" --argjson cut $cut "$common"'
        $listed[0] as $present | $pem_sums[0] as $pems |'"$rules" \
        >"$here/facts" 2>"$here/errors" || machine "jq failed on $file: $(head -n 1 "$here/errors")"
    mapfile -t -n 9 facts <"$here/facts"
    [ -z "${facts[0]}" ] || broken "${facts[0]}"
    aborted=${facts[1]} rehearsal=${facts[2]} previous_head=${facts[3]} previous_receipts_head=${facts[4]}
    signer_lines=${facts[5]} signer_key=${facts[6]} signer_fingerprint=${facts[7]} ended=${facts[8]}
}

# A directory without files would go unnoticed by all that is said of files.
check_directories() {
    local name
    [ "$aborted" = false ] || return 0
    while IFS= read -r -d '' name; do
        case $name in
        receipts | signatures) ;;
        *) broken "$name/: an empty directory that byok did not make" ;;
        esac
    done < <(find . -mindepth 1 -type d -empty -printf '%P\0' | tr '/' '\001' | sort -z | tr '\001' '/')
}

# SHA256SUMS lists exactly these files, in any order.
check_sums() {
    local file=SHA256SUMS line
    [ -f $file ] || broken "$file: missing"
    tail -n +10 "$here/facts" | sort >"$here/expected"
    sort <$file >"$here/said"
    if ! cmp -s "$here/expected" "$here/said"; then
        line=$(comm -13 "$here/expected" "$here/said" | tr -d '\000' | head -n 1)
        [ -z "$line" ] || broken "$file: $line: the transcript does not say so, or it stands there twice"
        line=$(comm -23 "$here/expected" "$here/said" | head -n 1)
        broken "$file: ${line:66} is not listed"
    fi
    ends_with_line_feed $file || broken "$file: its last line is cut"
}

# ---- rule 8: receipts -------------------------------------------------------------------------

# One strict JSON text (RFC 8259), white space around it allowed, no half of a surrogate pair.
json='(?(DEFINE)
    (?<w> [\x20\t\n\r]*+ )
    (?<text> " (?: [^"\\\x00-\x1f]++ | \\ (?: ["\\/bfnrt] | u (?: [0-9a-ce-fA-CE-F][0-9a-fA-F]{3}
        | [dD][0-7][0-9a-fA-F]{2} | [dD][89abAB][0-9a-fA-F]{2} \\u[dD][c-fC-F][0-9a-fA-F]{2} ) ) )*+ " )
    (?<member> (?&text) (?&w) : (?&w) (?&value) (?&w) )
    (?<value> (?&text) | true | false | null
        | -?+ (?: 0 | [1-9][0-9]*+ ) (?: \.[0-9]++ )?+ (?: [eE][+-]?+[0-9]++ )?+
        | \{ (?&w) (?: (?&member) (?: , (?&w) (?&member) )*+ )?+ \}
        | \[ (?&w) (?: (?&value) (?&w) (?: , (?&w) (?&value) (?&w) )*+ )?+ \] ) )'
strict="(?x)\\A (?&w) (?&value) (?&w) \\z $json"
# The member "exit" of the outermost object, its letters escaped or not: an integer, as it stands in the text.
exit_code='(?x)\A (?&w) \{ (?&w) (?: (?&member) , (?&w) )*?
    " (?: e | \\u0065 ) (?: x | \\u0078 ) (?: i | \\u0069 ) (?: t | \\u0074 ) " (?&w)
    : (?&w) (?: 0 | [1-9][0-9]{0,14} ) (?&w) [,}] '$json

is_utf8() { iconv -f UTF-8 -t UTF-16LE <"$1" >/dev/null 2>&1; }
is_strict() { grep -azqP -- "${strict//$'\n'/ }" "$1" 2>/dev/null; }
has_exit_code() { grep -azqP -- "${exit_code//$'\n'/ }" "$1" 2>/dev/null; }

# Leaves, counted as they stand and counted once a key: a key that stands twice is seen.
no_key_twice() {
    [ "$(jq -n --stream 'reduce inputs as $e (0; if $e | length == 2 then . + 1 else . end)' <"$1" 2>/dev/null)" = \
        "$(jq -n 'reduce (inputs | tostream) as $e (0; if $e | length == 2 then . + 1 else . end)' <"$1" 2>/dev/null)" ]
}

# Text as UTF-8: UTF-8, or UTF-8 or UTF-16 with a byte-order mark. NUL becomes a byte that JSON forbids.
as_utf8() {
    local first=
    IFS= read -r -d '' -n 3 first <"$1" || true
    case $first in
    $'\xff\xfe'*) tail -c +3 -- "$1" | iconv -f UTF-16LE -t UTF-8 ;;
    $'\xfe\xff'*) tail -c +3 -- "$1" | iconv -f UTF-16BE -t UTF-8 ;;
    $'\xef\xbb\xbf'*) tail -c +4 -- "$1" ;;
    *) cat -- "$1" ;;
    esac 2>/dev/null | tr '\000' '\001'
}

# What the base64 in a member of an answer stands for, on the standard output; nothing where it is none.
decoded() {
    local told
    told=$(jq -r --arg name "$2" 'if type == "object" then .[$name] else null end
        | strings | select(test("\\A[A-Za-z0-9+/]*={0,2}\\z"))' "$1")
    if [ "$(printf '%s' "$told" | base64 -d 2>/dev/null | base64 -w 0)" = "$told" ]; then printf '%s' "$told" | base64 -d; fi
}

# The answers, one compact JSON a line: {"json":…,"exit":…,"mac":…,"public":…} or {}. exit: it has an exit code;
# mac: `Mac` in hex; public: the SHA-256 of `PublicKey`.
read_answers() {
    local number path text mac public
    : >"$here/answers"
    for ((number = 1; number <= $1; number++)); do
        printf -v path 'receipts/%03d.json' "$number"
        text=$here/answer
        if [ -f "$path" ] && [ "$(size_of "$path")" -le 16777216 ] && as_utf8 "$path" >"$text" &&
            is_utf8 "$text" && is_strict "$text" && no_key_twice "$text" && inner_hold "$text"; then
            code=false
            if has_exit_code "$text"; then code=true; fi
            mac=$(decoded "$text" Mac | hex)
            public=$(decoded "$text" PublicKey | hex)
            [ -z "$public" ] || public=$(decoded "$text" PublicKey | sha256sum)
            jq -c --argjson code $code --arg mac "$mac" --arg public "${public%% *}" "$common"'
                if depth > 127 or any(.. | numbers; isinfinite) then {}
                else {json: ., exit: $code, mac: $mac, public: $public} end' "$text"
        else
            echo '{}'
        fi >>"$here/answers"
    done
}

# LookupEvents answers with JSON in text: each must be strict too.
inner_hold() {
    local event text=$here/inner
    jq -c 'if type == "object" and (.Events | type) == "array" and (.Records | type) != "array"
        then .Events[] | objects | .CloudTrailEvent | strings else empty end' "$1" >"$here/events"
    while IFS= read -r event; do
        jq -j . <<<"$event" | tr '\000' '\001' >"$text"
        is_strict "$text" && no_key_twice "$text" &&
            jq -e "$common"'depth <= 127 and all(.. | numbers; isinfinite | not)' "$text" >/dev/null || return 1
    done <"$here/events"
}

# Prints what does not hold, or an empty line; then which materials are known.
receipts_rules='
def events($name): $lines[] | select(.event == $name);
def member($name): if type == "object" and (.[$name] | type) == "string" then .[$name] else null end;

def imports:
    [events("key-wrapped") | . as $wrapped
    | def same: text("label") == ($wrapped | text("label")) and text("import") == ($wrapped | text("import"));
      (first($lines[] | select((.event | is_member(["key-generated", "key-found", "key-recovered"]))
        and text("label") == ($wrapped | text("label")))) // {}) as $key
    | (first(events("import-parameters-read") | select(same)) // {}) as $parameters
    | (first(events("import-type") | select(same)) // {}) as $typed
    | {label: text("label"), import: text("import"), key_arn: text("key_arn"), wrapped_at: .at,
        spec: ($key | text("spec")), fingerprint: ($key | text("fingerprint")),
        # Events are told to the second.
        token_until: ($parameters | text("valid_to") | if test("^[0-9-]{10}T[0-9:]{8}([.][0-9]+)?Z$") then .[0:19] + "Z" else null end),
        existing: (if ($typed | text("import_type")) == "EXISTING_KEY_MATERIAL"
            then $typed | {key_material_id: member("key_material_id"), witness_of: member("witness_of")} else null end),
        rotates: ($typed | member("rotates"))}];

def names_key($arn): . == $arn or (startswith("arn:") | not) and . == ($arn | split("/") | .[-1]);
def rank: {"nothing": 0, "accepted by KMS": 1, "proved in KMS": 2}[.];

# What KMS took of an import, by these receipts: {id}.
def accepted($entry):
    .[] | (select(.answer == "ImportKeyMaterial"), .events[]?)
    | select(.label == $entry.label and .import == $entry.import and (.proves | rank) > 0)
    | {id: .key_material_id};

def described_after($entry):
    . as $receipts
    | first(range(1; length + 1) | select(. as $n | [$receipts[:$n] | accepted($entry)] != [])) as $from
    | first($receipts[$from:][] | select(.answer == "DescribeKey" and .key_arn == $entry.key_arn and .key_material_id != null))
    | .key_material_id;

def known($imports):
    . as $receipts
    | $imports[] | . as $entry
    # What is added to other material is not the current one until the KMS key is rotated.
    | (first($receipts | accepted($entry) | .id | values)
        // (if $entry.rotates == null then first($receipts | described_after($entry)) else empty end) // empty)
    | {fingerprint: $entry.fingerprint, key_arn: $entry.key_arn, key_material_id: .};

# ---- the answers, told apart by content; a fault is an error
def optional($name):
    if type != "object" or .[$name] == null then null
    elif .[$name] | type == "string" then .[$name] else error("`\($name)` is not a string") end;
def required($name): optional($name) | if . == null then error("has no `\($name)`") else . end;
def time_of($name): required($name) | if is_time then . else error("`\($name)` is no time") end;
def material_id($name):
    optional($name) | if . == null or is_hex(64) then . else error("`\($name)` is not 64 lower-case hex digits") end;

def key_arn:
    if test("^arn:aws(-[a-z]+)*:kms:[a-z]+(-[a-z]+)+-[0-9]+:[0-9]{12}:key/(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")
        and (split(":") | (.[1] == "aws-cn") == (.[3] | startswith("cn-")))
    then . else error("Arn is not a key ARN") end;

def refuse_aws_error:
    ([.Error, .error] | map(select(. != null)) | .[0]) as $inner
    | (if has("Error") then .Error elif has("error") then .error else . end) as $object
    | (has("Error") or has("error") or has("__type")) as $is
    | ($object | if type == "object" then (if has("Message") then .Message else .message end) else null end) as $message
    | if $is or ($message | type == "string") and (has("PublicKey") | not) then error("is an error message of AWS") else . end;

def described:
    refuse_aws_error | .KeyMetadata
    | if type == "object" then . else error("`KeyMetadata` is no object") end
    | (required("Arn") | key_arn) as $arn | ($arn | split("/")[-1]) as $id
    | optional("KeySpec") as $new | optional("CustomerMasterKeySpec") as $old
    | if optional("KeyId") | . != null and . != $id then error("contradicts itself") else . end
    | if .MultiRegion | . != null and . != ($id | startswith("mrk-")) then error("contradicts itself") else . end
    | if $new != null and $old != null and $new != $old then error("contradicts itself") else . end
    | optional("Description") as $_ | required("KeyUsage") as $_
    | {arn: $arn, spec: ($new // $old // error("has no `KeySpec`")), origin: required("Origin"),
        state: required("KeyState"), current: material_id("CurrentKeyMaterialId")};

def rotations:
    if .Rotations | type == "array" then . else error("`Rotations` is no list") end
    | [.Rotations[] | material_id("KeyMaterialId") as $id | select($id != null)
        | {key_id: required("KeyId"), id: $id, state: optional("KeyMaterialState")}]
    | if . == [] then error("lists no key material") else . end;

def trail_event:
    def part($name): if .[$name] | type == "object" then .[$name] else {} end;
    if type != "object" or .eventSource != "kms.amazonaws.com" then empty else
        part("requestParameters") as $request | part("responseElements") as $response
        | [(.resources | arrays | .[] | objects | .ARN | strings)] as $arns
        | [$response.keyId, $request.keyId | strings] as $ids
        | [($response | material_id("keyMaterialId")), (part("additionalEventData") | material_id("keyMaterialId")),
            ($request | material_id("keyMaterialId"))] as $materials
        | {name: required("eventName"), at: time_of("eventTime"), key_ids: (if $arns != [] then $arns else $ids[:1] end),
            id: ([$materials[] | values] | .[0]), type: ($request | optional("importType")), error: optional("errorCode")}
    end;

def trail:
    [if .Records | type == "array" then .Records[] | trail_event
     elif .Events | type == "array" then .Events[] | required("CloudTrailEvent") | fromjson | trail_event
     else trail_event end]
    | if . == [] then error("holds no event of KMS") else . end;

# ---- what an answer says of this record: `.` is the answer, $earlier the receipts before it
def into($imports): . as $id | [$imports[] | .key_arn as $arn | select($id | names_key($arn))];
def some_into($imports):
    . as $id | into($imports) | if . == [] then error("is of the KMS key \($id), which this record imports nothing into") else . end;
def of_key: {label: .[0].label} + (if length == 1 then {import: .[0].import} else {} end) + {key_arn: .[0].key_arn};

def known_id($imports; $earlier; $arn):
    [$imports[] | select(.key_arn == $arn)] as $into
    | if $into == [] then null else
        first(($into[] | .existing.key_material_id | values),
            ($earlier | known($imports) | select(.key_arn == $arn and .fingerprint == $into[0].fingerprint) | .key_material_id),
            null) end;
def same_material($imports; $earlier; $arn; $id):
    known_id($imports; $earlier; $arn) as $known
    | if $id != null and $known != null and $id != $known
      then error("tells of the key material \($id) in \($arn); this record has \($known)") else . end;

def proved_by($imports; $earlier; $entry; $id):
    $entry.existing as $existing
    | if $existing == null then "accepted by KMS"
      elif $id != null and $existing.key_material_id == $id then "proved in KMS"
      elif $existing.witness_of != null and
        (first($imports[] | select(.label == $entry.label and .import == $existing.witness_of)) // null | . as $other
        | $other != null and any($earlier | accepted($other); $entry.key_arn != $other.key_arn or $id != null and .id == $id))
      then "proved in KMS" else "accepted by KMS" end;

def accept($imports; $earlier; $entry; $id; $scripted):
    same_material($imports; $earlier; $entry.key_arn; $id)
    | ([$entry] | of_key) + (if $id != null then {key_material_id: $id} else {} end)
        + {proves: (if $scripted then proved_by($imports; $earlier; $entry; $id) else "accepted by KMS" end)};

def import_result($imports; $earlier; $code):
    required("ceremony") as $ceremony | required("label") as $called | required("import") as $name
    | required("key_arn") as $arn | optional("KeyId") as $answered | material_id("KeyMaterialId") as $id | time_of("at") as $at
    | optional("arguments") as $_
    | (if $code and (.exit | type == "number") then .exit else error("has no exit code") end) as $exit
    | if $ceremony == ($lines[0] | text("ceremony")) then . else error("is of the ceremony \($ceremony)") end
    | (first($imports[] | select(.label == $called and .import == $name)) // null) as $entry
    | if $entry == null then error("is of \($called)/\($name), which this record does not have")
      elif $entry.key_arn != $arn then error("names the KMS key \($arn)")
      elif $answered != null and ($answered | names_key($arn) | not) then error("KMS answered for another KMS key (\($answered))")
      else . end
    | (if $exit == 0 then accept($imports; $earlier; $entry; $id; true) else [$entry] | of_key end)
        + {exit: $exit, happened: $at};

def bare_import($imports; $earlier):
    required("KeyId") as $key | material_id("KeyMaterialId") as $id
    | ($key | some_into($imports))
    | if length == 1 then accept($imports; $earlier; .[0]; $id; false) else error("does not say which import it answers") end;

# The current material may be another: the script adds one to it, or KMS lists the known one among several.
def may_hold_more($imports; $earlier; $arn):
    known_id($imports; $earlier; $arn) as $known
    | any($imports[]; .key_arn == $arn and .rotates != null)
        or any($earlier[] | .materials[]?; .key_arn == $arn and .key_material_id == $known);

def describes($imports; $earlier):
    described as $it | ($it.arn | some_into($imports)) as $into
    | if $it.origin != "EXTERNAL" or $it.spec != $into[0].spec then error("describes another KMS key") else . end
    | if may_hold_more($imports; $earlier; $it.arn) then . else same_material($imports; $earlier; $it.arn; $it.current) end
    | ($into | of_key) + (if $it.current != null then {key_material_id: $it.current} else {} end) + {key_state: $it.state};

def lists($imports):
    reduce rotations[] as $one ({into: [], materials: []};
        .into = ($one.key_id | some_into($imports))
        | .materials += [{key_arn: .into[0].key_arn, key_material_id: $one.id}
            + (if $one.state != null then {state: $one.state} else {} end)])
    | (.into | of_key) + {materials: .materials};

def trail_fact($imports; $earlier; $event; $into):
    [$into[] | select(.wrapped_at <= $event.at and .token_until != null and $event.at <= .token_until)] as $could
    | (if $event.name == "ImportKeyMaterial" and $event.error == null and ($could | length) == 1 then $could[0] else null end) as $entry
    | if $entry != null then same_material($imports; $earlier; $entry.key_arn; $event.id) else . end
    | {event_name: $event.name, happened: $event.at, key_arn: $into[0].key_arn}
        + (if $entry != null then {label: $entry.label, import: $entry.import} else {} end)
        + (if $event.id != null then {key_material_id: $event.id} else {} end)
        + (if $event.error != null then {error: $event.error} else {} end)
        + {proves: (if $entry == null then "nothing"
            elif $event.type == "EXISTING_KEY_MATERIAL" then proved_by($imports; $earlier; $entry; $event.id)
            else "accepted by KMS" end)};

def tells($imports; $earlier):
    [trail[] as $event | $event.key_ids[] | into($imports) as $into | select($into != [])
        | trail_fact($imports; $earlier; $event; $into)] as $facts
    | if $facts == [] then error("no event in it is about a KMS key of this record") else . end
    | {events: $facts, proves: ($facts | max_by(.proves | rank) | .proves)};

# A KMS key that computes with the data key holds it.
def proves_hmac($imports; $mac):
    (required("KeyId") | some_into($imports)) as $into | $into[0] as $entry
    | if $entry.spec | startswith("HMAC_") | not then $into | of_key
      elif member("MacAlgorithm") != "HMAC_SHA_" + $entry.spec[5:] then error("MacAlgorithm does not fit \($entry.spec)")
      elif $mac == "" then error("has no MAC in base64")
      elif $mac != $entry.fingerprint then error("tells another MAC: the KMS key holds other material")
      else ($into | of_key) + {proves: "proved in KMS"} end;
def proves_pair($imports; $sha256):
    (required("KeyId") | some_into($imports)) as $into | $into[0] as $entry
    | if $entry.spec | startswith("ECC_") or startswith("RSA_") | not then $into | of_key
      elif member("KeySpec") != null and member("KeySpec") != $entry.spec then error("KeySpec is not \($entry.spec)")
      elif $sha256 == "" then error("has no public key in base64")
      elif $sha256 != $entry.fingerprint then error("tells another public key: the KMS key holds other material")
      else ($into | of_key) + {proves: "proved in KMS"} end;

def judged($imports; $earlier):
    if .json == null then error("is not JSON, or not text") else . end
    | .exit as $code | .mac as $mac | .public as $public | .json
    | if type != "object" then error("is no answer that is known here")
      elif .format == "byok-import-result-v1" then {answer: "ImportKeyMaterial"} + import_result($imports; $earlier; $code)
      elif has("KeyMetadata") then {answer: "DescribeKey"} + describes($imports; $earlier)
      elif has("Rotations") then {answer: "ListKeyRotations"} + lists($imports)
      elif has("Mac") then {answer: "GenerateMac"} + proves_hmac($imports; $mac)
      elif has("eventSource") or has("Records") or has("Events") then {answer: "CloudTrail"} + tells($imports; $earlier)
      elif has("ImportToken") then error("is import parameters, not a receipt")
      elif has("PublicKey") then {answer: "GetPublicKey"} + proves_pair($imports; $public)
      elif has("KeyMaterialId") then {answer: "ImportKeyMaterial"} + bare_import($imports; $earlier)
      else error("is no answer that is known here") end
    | .proves = (.proves // "nothing")
    | if is_plain then . else error("holds a character that cannot be shown") end;

# ---- the chain
def line_fault($i):
    . as $line | ($i + 1) as $number
    | "receipts/\(if $number < 1000 then "00\($number)"[-3:] else $number end).json" as $file
    | if depth > 127 then "recursion limit exceeded"
      elif is_plain | not then "it holds a character that cannot be shown, or a number that is no integer"
      elif type != "object" or .seq != $number then "seq is not \($number): a line was dropped, added or moved"
      elif $i == 0 and text("format") != "byok-receipts-v1" then "its format is \"\(text("format"))\", not byok-receipts-v1"
      elif text("prev") != (if $i == 0 then $head else $digests[$i - 1] end)
      then (if $i == 0 then "prev is not the head of the transcript" else "prev is not the digest of line \($i): one of the two was changed" end)
      elif text("at") | is_time | not then "at is not a time such as 2026-11-22T11:42:03Z"
      elif $i > 0 and .at < $receipts[$i - 1].at then "its time is before the line above"
      elif text("file") != $file then "its file is not \($file)"
      elif $present[$file] == null then "\($file) is missing"
      elif $present[$file] != text("sha256") then "\($file): its bytes are not those that were added"
      else null end;

# Members that only a later version knows, or only this one, are left alone.
def disagrees($line):
    first(to_entries[] | .key as $name
        | select(if $line | has($name) then ($line[$name] | tojson) != (.value | tojson) else $name | is_member(["answer", "proves"]) end)
        | $name) // null;

def fault($line; $i; $imports; $earlier):
    ($line | line_fault($i)) as $fault
    | if $fault != null then {fault: $fault} else
        (try {entry: ($answers[$i] | judged($imports; $earlier))} catch {fault: "\($line.file): \(.)"})
        | if .entry != null then (.entry | disagrees($line)) as $name
            | if $name != null then {fault: "\($name) is not what \($line.file) says"} else . end
          else . end
      end;

imports as $imports
| reduce range($receipts | length) as $i ({fault: null, entries: []};
    if .fault != null then . else
        fault($receipts[$i]; $i; $imports; .entries) as $judged
        | if $judged.fault != null then .fault = "line \($i + 1): \($judged.fault)" else .entries += [$judged.entry] end
    end)
| (if .fault != null then .fault
   elif ($receipts | length) < $whole then "line \(($receipts | length) + 1): it is not compact JSON"
   elif $cut then "line \($whole + 1): it is cut: it does not end with a line feed"
   else null end) as $fault
| (if $fault != null then "receipts.jsonl: " + $fault else "" end),
  ([$receipts[] | .file] as $named
    | first($present | keys[] | select(startswith("receipts/") and (is_member($named) | not))) // ""),
  (if $fault == null then .entries | known($imports) | tojson else empty end)
'

check_receipts() {
    local file=receipts.jsonl cut=false fault
    if [ -f $file ]; then
        [ "$(size_of $file)" -le 16777216 ] || broken "$file: longer than byok reads"
        [ ! -s $file ] || ends_with_line_feed $file || cut=true
        compact $file receipts
    else
        : >"$here/receipts.all"
        unnamed=
        [ ! -d receipts ] || unnamed=$(find receipts -type f | sort | head -n 1)
        return
    fi
    read_answers "$(wc -l <"$here/receipts.lines")"
    jq -nr --slurpfile lines "$here/transcript.lines" --slurpfile receipts "$here/receipts.lines" \
        --slurpfile digests "$here/receipts.digests" --slurpfile answers "$here/answers" \
        --slurpfile listed "$here/present" --arg head "$head" --argjson cut $cut \
        --argjson whole "$(wc -l <"$here/receipts.all")" "$common"' $listed[0] as $present |'"$receipts_rules" \
        >"$here/judged" 2>"$here/errors" || machine "jq failed on $file: $(head -n 1 "$here/errors")"
    { IFS= read -r fault && IFS= read -r unnamed; } <"$here/judged"
    [ -z "$fault" ] || broken "$fault"
    tail -n +3 "$here/judged" >>"$work/known"
}

# ---- rule 9: signatures -------------------------------------------------------------------------

# The key of the HSM, by the one line that names it. It vouches for nothing: whoever makes a record anew
# also makes a key.
check_signer() {
    local lines line
    read -r -a lines <<<"$signer_lines"
    case ${#lines[@]} in
    0)
        [ ! -f signatures/hsm.sig ] || broken 'signatures/hsm.sig: the transcript names nobody who signs'
        return
        ;;
    1) line="transcript.jsonl: line ${lines[0]}" ;;
    *) broken "transcript.jsonl: line ${lines[1]}: a second transcript signer" ;;
    esac
    printf '%s\n' "$signer_key" >"$here/signer.pub"
    [[ $signer_key =~ ^ecdsa-sha2-nistp256\ [A-Za-z0-9+/]+=*$ ]] || broken "$line: public_key is no OpenSSH public key on P-256"
    ssh-keygen -l -f "$here/signer.pub" >"$here/shown" 2>&1 ||
        broken "$line: public_key is no OpenSSH public key on P-256"
    [ "$(cut -d ' ' -f 2 "$here/shown")" = "$signer_fingerprint" ] || broken "$line: fingerprint is not that of public_key"
    printf 'signer %s\n' "$signer_key" >"$here/signer"
    [ -f signatures/hsm.sig ] || [ "$aborted" = true ] ||
        broken "signatures/hsm.sig: missing, though line ${lines[0]} of the transcript names who signs"
}

# The parts of a signature (OpenSSH, PROTOCOL.sshsig): its key's type goes to `type`.
take_apart() {
    local file=$1 text bytes at=20 length part parts=()
    local begin='-----BEGIN SSH SIGNATURE-----' end='-----END SSH SIGNATURE-----'
    [ "$(size_of "$file")" -le 65536 ] || broken "$file: longer than byok reads"
    is_utf8 "$file" || broken "$file: no SSH signature: not text"
    text=$(tr '\000' '\001' <"$file")
    case $text in
    "$begin"$'\n'*$'\n'"$end"*) text=${text#"$begin"} && text=${text%%$'\n'"$end"*} ;;
    *) broken "$file: no SSH signature: its first or last line is another one" ;;
    esac
    text=${text//[$' \t\n\f\r']/}
    [ "$(printf '%s' "$text" | base64 -d 2>/dev/null | base64 -w 0)" = "$text" ] || broken "$file: no SSH signature: not base64"
    bytes=$(printf '%s' "$text" | base64 -d | hex)
    while length=${bytes:at:8} && [ ${#length} -eq 8 ]; do
        part=${bytes:at+8:2*16#$length}
        [ ${#part} -eq $((2 * 16#$length)) ] || break
        parts+=("$part") at=$((at + 8 + ${#part}))
    done
    # "SSHSIG", version 1; key, purpose, reserved, hash, signature; the key begins with its type.
    [[ $bytes = 53534853494700000001* && $at -eq ${#bytes} && ${#parts[@]} -eq 5 && ${parts[3]} =~ ^736861(323536|353132)$ ]] ||
        broken "$file: no SSH signature of a known form"
    length=${parts[0]:0:8} part=
    [ ${#length} -lt 8 ] || part=${parts[0]:8:2*16#$length}
    [[ $part =~ ^(2[1-9a-f]|[3-6][0-9a-f]|7[0-9a-e])+$ && ${#part} -eq $((2 * 16#$length)) ]] ||
        broken "$file: no SSH signature of a known form"
    type=$(printf '%b' "$(printf '%s' "$part" | sed 's/../\\x&/g')")
    [ "${parts[1]}" = "$(printf '%s' "$purpose" | hex)" ] || broken "$file: signed for another purpose than $purpose"
}

holds() { ssh-keygen -Y "$1" -n "$purpose" -s "$file" "${@:2}" <transcript.jsonl >/dev/null 2>&1; }

# Every file below signatures/, in the order of names. `checked` are those by keys of types that byok knows
# too; another one may be good or not, and vouches for nothing.
check_signatures() {
    local file type
    signatures=() checked=()
    purpose=byok-ceremony
    [ "$rehearsal" = false ] || purpose=byok-rehearsal
    check_signer
    [ -d signatures ] || return 0
    while IFS= read -r -d '' file; do
        [[ $file =~ ^signatures/[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.sig$ ]] ||
            broken "$file: no name of a signature, such as signatures/auditor.sig"
        take_apart "$file"
        if [ "$file" = signatures/hsm.sig ]; then
            holds verify -f "$here/signer" -I signer || broken "$file: not by the key that the transcript names"
        fi
        case $type in
        ecdsa-sha2-nistp256 | ssh-ed25519 | ssh-rsa)
            holds check-novalidate || broken "$file: no signature of transcript.jsonl by the key in it"
            signatures+=("$file") checked+=("$file")
            ;;
        *) signatures+=("$file ($type: not checked)") ;;
        esac
    done < <(find signatures -type f -print0 | sort -z)
}

# Whether one who is listed signed. The list comes from outside the record. Times are compared with that of
# the transcript's last line, so that a record outlives its keys.
check_signers() {
    local file at
    for file in ${checked[@]+"${checked[@]}"}; do
        for ((at = 0; at < ${#keys[@]}; at++)); do
            fits_list "${purposes[at]}" "$purpose" || continue
            [ -z "${afters[at]}" ] || [[ ! $ended < ${afters[at]} ]] || continue
            [ -z "${befores[at]}" ] || [[ ! $ended > ${befores[at]} ]] || continue
            printf 'listed %s\n' "${keys[at]}" >"$here/one"
            if holds verify -f "$here/one" -I listed; then
                said_by="${names[at]} ($file)"
                return
            fi
        done
    done
    broken 'signatures/: no listed key signed this record'
}

# ---- a whole record ---------------------------------------------------------------------------

# verify_record DIRECTORY [HEAD [SIGNERS]]: what is known of it stands in the variables afterwards.
head='' purpose='' signatures=() checked=() said_by='' unnamed=''
verify_record() {
    count=$((count + 1))
    here=$work/$count
    mkdir "$here"
    pushd -- "$1" >/dev/null 2>&1 || broken 'it cannot be read'
    list_files
    check_transcript
    check_directories
    check_sums
    check_receipts
    check_signatures
    if [ -n "${2:-}" ] && [ "${head#"$2"}" = "$head" ]; then
        broken "transcript.jsonl: its head is $head, not the one given: $2"
    fi
    [ -z "$unnamed" ] || broken "$unnamed: no line of receipts.jsonl names this file"
    [ -z "${3:-}" ] || check_signers
    popd >/dev/null
}

# ---- the records before it --------------------------------------------------------------------

# A text of the plan: text_of SECTION NAME, of the form NAME = "…". Empty where there is none.
text_of() {
    local line section='' found="^[[:space:]]*$2[[:space:]]*=[[:space:]]*(\"([^\"\\\\]*)\"|'([^']*)')[[:space:]]*(#.*)?\$"
    [ -f "$3/plan.toml" ] || return 0
    while IFS= read -r line || [ -n "$line" ]; do
        if [[ $line =~ ^[[:space:]]*\[[[:space:]]*([^][]*[^][[:space:]])[[:space:]]*\] ]]; then
            section=${BASH_REMATCH[1]}
        elif [ "$section" = "$1" ] && [[ $line =~ $found ]]; then
            printf '%s' "${BASH_REMATCH[2]}${BASH_REMATCH[3]}"
            return
        fi
    done < <(tr -d '\000\r' <"$3/plan.toml")
}

# Where the plan of the record in $1 says that the previous one is, and the same name beside it.
at_plan='' beside=''
places_of() {
    local previous directory part up
    at_plan='' beside=''
    previous=$(text_of '' previous "$1")
    [ -n "$previous" ] || return 0
    up=$(cd -P -- "$1" && pwd)
    part=${previous%"${previous##*[!/]}"}
    case ${part##*/} in
    '' | . | ..) ;;
    *) beside=$up/../${part##*/} ;;
    esac
    case $previous in
    /*) at_plan=$previous && return ;;
    esac
    directory=$(text_of record directory "$1")
    case $directory in
    '' | /* | .. | ../* | */.. | */../*) return ;;
    esac
    while IFS= read -r -d / part; do
        case $part in
        '' | .) ;;
        *) up=$up/.. ;;
        esac
    done <<<"$directory/"
    at_plan=$up/$previous
}

has_head() { [ -f "$1/transcript.jsonl" ] && [ ! -L "$1/transcript.jsonl" ] && [ -r "$1/transcript.jsonl" ] &&
    [ "$(digest_of "$1/transcript.jsonl")" = "$2" ]; }

# find_record DIRECTORY HEAD: the record with this head that the one in DIRECTORY builds on.
found=''
find_record() {
    local place inner
    found=
    places_of "$1"
    for place in ${given[@]+"${given[@]}"}; do
        for inner in "$place" "$place"/* "$place"/.[!.]*; do
            if has_head "$inner" "$2"; then found=$inner && return; fi
        done
    done
    for place in "$at_plan" "$beside"; do
        if [ -n "$place" ] && has_head "$place" "$2"; then found=$place && return; fi
    done
    if [ -n "$at_plan" ] && [ -d "$at_plan" ]; then found=$at_plan; fi
}

# The later record may vouch for the first lines of this one's receipts.
check_vouched() {
    local number lines
    lines=$(wc -l <"$here/receipts.all")
    for ((number = 1; number <= lines; number++)); do
        if [ "$(head -n "$number" "$here/receipts.all" | sha256sum | cut -c 1-64)" = "$1" ]; then return; fi
    done
    broken 'receipts.jsonl: lines that a later record vouches for are gone or changed'
}

# What the later record, of the facts in $1, says that it compared its data keys with is what this one holds.
check_same_material() {
    local other
    other=$(jq -nr --slurpfile later "$1/transcript.lines" --slurpfile lines "$here/transcript.lines" '
        def key: [.label, .fingerprint] | map(if type == "string" then . else "" end);
        [$lines[] | select(.event == "key-generated" or .event == "key-found" or .event == "key-recovered") | key] as $known
        | first($later[] | select(.event == "same-material") | select(key as $same | all($known[]; . != $same))
            | "it holds no data key \(.label) of the fingerprint that line \(.seq) of the later record compares with") // ""') ||
        machine 'jq failed'
    [ -z "$other" ] || broken "$other"
}

previous=()
follow() {
    local place=$1 was=$rehearsal receipts used=("$1") other seen later
    while [[ ${previous_head,,} =~ ^[0-9a-f]{64}$ ]]; do
        find_record "$place" "${previous_head,,}"
        if [ -z "$found" ]; then
            previous+=("${previous_head,,}: not followed; it is not here (--previous DIR)")
            break
        fi
        place=$found receipts=${previous_receipts_head,,} later=$here
        about="the previous record $place: "
        verify_record "$place" "${previous_head,,}"
        [ "$aborted" = false ] || broken 'its ceremony was aborted: nothing can build on it'
        [ "$rehearsal" = "$was" ] || broken 'a rehearsal and a real ceremony never build on each other'
        [[ ! $receipts =~ ^[0-9a-f]{64}$ ]] || check_vouched "$receipts"
        check_same_material "$later"
        previous+=("$place: holds")
        used+=("$place")
    done
    # One that was given and led nowhere holds at least by itself: a changed transcript has another head.
    for place in ${given[@]+"${given[@]}"}; do
        seen=no
        for other in "${used[@]}"; do
            if [ "$place" -ef "$other" ]; then seen=yes; fi
        done
        if [ $seen = no ] && [ -e "$place/transcript.jsonl" ]; then
            about="the previous record $place: "
            cp "$work/known" "$work/known.kept"
            verify_record "$place"
            mv "$work/known.kept" "$work/known"
        fi
    done
    about=
    [ -s "$work/known" ] || return 0
    # KMS makes its id from KMS key and material.
    other=$(jq -nr '[inputs] | group_by([.key_arn, .fingerprint])[] | map(.key_material_id) | unique
        | select(length > 1) | join(" and ")' "$work/known")
    [ -z "$other" ] || broken "the receipts of these records tell two ids of one material: $other"
}

# ---- the verdict ------------------------------------------------------------------------------

say_verdict() {
    local line row
    if [ -n "$anchor$signers" ]; then
        echo authentic
        [ -z "$anchor" ] || echo 'The transcript is the one whose head digest was given.'
        [ -z "$signers" ] || echo "It was signed by $(shown "$said_by"), whom --signers lists."
    else
        echo 'consistent, not authenticated'
        echo 'NOTHING FROM OUTSIDE VOUCHES FOR THIS RECORD: anyone could have made one that fits together.'
        echo 'Compare the head below with the one on paper: verify-record.sh --head HEX RECORD'
    fi
    [ "${verdict[0]}" = false ] || echo 'REHEARSAL: this record is practice; nothing in it is real.'
    [ "${verdict[1]}" = false ] || echo 'ABORTED: this ceremony did not come to its end; there is nothing to import.'
    for line in ${verdict[@]+"${verdict[@]:3}"}; do
        echo "signed    $(shown "$line")"
    done
    for line in ${previous[@]+"${previous[@]}"}; do
        echo "previous  $(shown "$line")"
    done
    echo "head      ${verdict[2]}"
    for row in 0 1 2 3 4 5 6 7; do
        echo "   row $((row + 1))  ${verdict[2]:row * 8:4} ${verdict[2]:row * 8 + 4:4}"
    done
}

for tool in sha256sum base64 jq ssh-keygen find sort grep iconv cmp comm xargs od mktemp; do
    command -v $tool >/dev/null || usage "there is no $tool on this machine"
done
read_arguments "$@"
work=$(mktemp -d) || machine 'no temporary directory can be made'
: >"$work/known"
verify_record "$record" "$anchor" "$signers"
verdict=("$rehearsal" "$aborted" "$head" ${signatures[@]+"${signatures[@]}"})
follow "$record"
say_verdict
