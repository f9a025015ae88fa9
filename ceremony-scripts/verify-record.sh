#!/usr/bin/env bash
# shellcheck disable=SC2015,SC2016 # what follows `||` ends the script; the programs of jq have variables of their own
# verify-record.sh [--head HEX] [--signers FILE] RECORD
#
# Verifies the record of a key ceremony without byok: its transcript, its files,
# its signatures, and what vouches for them, by the rules of `byok verify`
# (docs/transcript-format.md). It does not judge receipts and earlier records:
# `byok verify` does. It neither runs nor changes anything in the record.
#
#   --head HEX      the head digest from paper: 24 to 64 hex digits beginning
#                   with row 1, spaces allowed
#   --signers FILE  the keys that may sign, in the allowed_signers format of
#                   ssh-keygen; times in UTC, with Z
#
# The verdict is the first line of the output, and the last:
#   authentic                      the head, or a signature by one of the
#                                  signers, vouches for the record
#   consistent, not authenticated  the record holds together, but anyone could
#                                  have made one that does
#   broken: WHAT [RULE]            the first thing that does not hold, and the
#                                  name of the rule
#   not the record of that head: WHAT [HEAD]
#                                  it holds together; --head gives another head
#   not by a listed signer: WHAT [LISTED]
#                                  it holds together; nobody whom --signers
#                                  lists signed it
# Keys inside the record itself never vouch for it.
#
# Needs bash 4, jq 1.6, ssh-keygen (OpenSSH 8.9), and sha256sum, base64, find,
# grep -P, iconv and cmp as in every Debian. Exit codes: 0 authentic or
# consistent, 2 usage or something missing, 4 broken, 5 the machine.

# The caller's environment decides nothing.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
set +Cfx +o posix
for name in $(compgen -e); do [[ $name =~ ^(PATH|LD_LIBRARY_PATH|TMPDIR|TERM)$ ]] || unset "$name"; done
export LC_ALL=C

# Anything larger than a ceremony's record can be is refused. byok has the same numbers; lengths are in bytes.
longest_transcript=33554432 longest_line=4194304 longest_file=67108864
longest_public_key=65536 longest_signature=65536 longest_list=1048576
largest_record=1073741824 longest_path=1024 most_entries=65536
most_keys=4096 most_lines=131072 most_signatures=64

told='' against=broken anchor='' signers='' record='' names=() keys=() purposes=() afters=() befores=() signatures=() checked=()

# ---- what is said -------------------------------------------------------------------------------

# Text from outside: it must neither control the terminal nor look like a line of this script.
quoted() {
    local text=${1:0:1000}
    text=${text//[^ -~]/?}
    while [[ $text = *'  '* ]]; do text=${text//  / }; done
    [ ${#text} -le 300 ] || text=${text:0:300}...
    printf '%s' "$text"
}

# say MARK TEXT [MORE]: one line. On a terminal it is folded, and what is folded never begins where a line begins.
say() {
    local columns=9999
    [ ! -t 1 ] || { columns=$(stty size <&3 2>/dev/null | cut -d ' ' -f 2); } 3<&1 || true
    [ ! -t 1 ] || [[ $columns =~ ^[2-7][0-9]$ ]] || columns=80 # no line is wider than usual
    printf '%s\n' "$(quoted "$2")${3:-}" | fold -s -w $((columns - 11)) | sed "1s/^/$1/; 2,\$s/^/          /"
}

# stop EXIT TEXT
stop() {
    printf 'verify-record.sh: %s\n' "$(quoted "$2")" >&2
    told=yes && exit "$1"
}

# If a program failed or could not write, its output says nothing about the record. (TMPDIR can name another disk.)
failed() { rm -rf -- "$work" && stop 5 'a program failed, or the disk for temporary files is full: nothing is judged'; }

# Whether there is room on the disk and every program starts: only then does a program's failure mean something.
tools='sha256sum base64 jq find sort grep iconv cmp comm diff xargs od mktemp tac fold sed head tail tr cut wc'
works() {
    echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIUzEy69YzhHhNMG/95Lq9Ck/X3qrR9H178OJLGoBB6W' >"$work/room" && ssh-keygen -l -f "$work/room" &&
        head -c 65536 /dev/zero >"$work/room" && for tool in $tools; do $tool --version || return 1; done
}

# broken RULE WHAT
broken() {
    works >"$work/errors" 2>&1 || failed
    told=yes && say "$against: " "$2" " [$1]"
    case $1/$2 in
    MORE/*.DS_Store:* | MORE/._* | MORE/*/._* | MORE/*[Tt]humbs.db:* | MORE/*desktop.ini:* | */'System Volume'*)
        say 'hint      ' 'a file manager or system left that: remove it from a copy, and verify the copy' ;;
    HEAD/*) say 'hint      ' 'mistyped? Compare it with the paper again, row by row. Otherwise the paper is for another record, or this one was changed' ;;
    LINE/*) ! head -n 1 transcript.jsonl | grep -aq $'\r$' ||
        say 'hint      ' 'its lines end with CR LF: it was copied as text. Copy the record again, byte for byte' ;;
    esac
    echo "verdict   $against"
    exit 4
}

# ---- what was given -----------------------------------------------------------------------------

once() { [ -z "$1" ] && [ -n "$2" ] || stop 2 '--head and --signers are given once, with a value'; }
read_arguments() {
    local word options=
    while [ $# -gt 0 ]; do
        word=$1 && shift
        case $options$word in
        --head=* | --signers=*) set -- "${word%%=*}" "${word#*=}" "$@" ;;
        --help | -h) sed -n '3,/^$/s/^# \{0,1\}//p' "$0" && exit 0 ;;
        --head) once "$anchor" "${1:-}" && read_anchor "$1" && shift ;;
        --signers) once "$signers" "${1:-}" && signers=$1 && shift ;;
        --previous*) stop 2 '--previous: this script judges one record; byok verify also judges those before it' ;;
        --) options=no ;;
        -*) stop 2 "$word is not an option; see --help" ;;
        *) [ -z "$record" ] && record=$word || stop 2 'one record at a time' ;;
        esac
    done
    [ -n "$record" ] || stop 2 'which record? verify-record.sh [--head HEX] [--signers FILE] RECORD'
    [[ $record = /* ]] || record=./$record
    # A record that has lost parts is judged later.
    [ -e "$record/transcript.jsonl" ] || [ -e "$record/SHA256SUMS" ] || [ -e "$record/plan.toml" ] ||
        stop 2 "$record: is not a record: a record is the whole directory in which transcript.jsonl lies"
    [ -z "$signers" ] || read_signers "$signers"
}

read_anchor() {
    # Spaces of all kinds (Unicode, White_Space), such as a copy from a document brings along.
    anchor=$(printf '%s' "${1//[[:space:]]/}" |
        sed -E 's/\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80//g')
    anchor=${anchor,,}
    [[ $anchor =~ ^[0-9a-f]{24,64}$ ]] ||
        stop 2 '--head: a head digest is 64 hex digits, or at least the 24 of its first three rows; no words; with spaces, in quotes'
}

# ---- the list of signers ------------------------------------------------------------------------

hex() { od -An -v -tx1 | tr -d ' \n'; }
unhex() { printf '%b' "$(printf '%s' "$1" | sed 's/../\\x&/g')"; }
is_base64() { [ -n "$1" ] && [ "$(printf '%s' "$1" | base64 -d 2>/dev/null | base64 -w 0)" = "$1" ]; }
is_utf8() { iconv -f UTF-8 -t UTF-16LE <"$1" >/dev/null 2>&1; }
size_of() { wc -c <"$1"; }

# A type and the base64 of a key of that type, as in an OpenSSH public key.
is_key() {
    local length
    [[ $1 =~ ^[!-~]+$ ]] && is_base64 "$2" || return 1
    printf -v length '%08x' ${#1}
    [[ $(printf '%s' "$2" | base64 -d | hex) = "$length$(printf '%s' "$1" | hex)"* ]]
}

# Who may sign: each line has names, a key, purposes, and a time from and a time to. A line is:
# NAMES [OPTION="…",…] TYPE BASE64 [COMMENT]
read_signers() {
    local line at number=0 name word='(([^"[:space:]]|"[^"]*")+)' space='[[:space:]]+' one='^("[^"]*"|[^"]*)$'
    [ -f "$1" ] && [ -r "$1" ] && [ "$(size_of "$1")" -le $longest_list ] && is_utf8 "$1" &&
        [ "$(tr -d '\000' <"$1" | wc -c)" = "$(size_of "$1")" ] || stop 2 "--signers $1: cannot be read"
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1)) && at="--signers: line $number"
        line=${line#"${line%%[![:space:]]*}"}
        [[ -n $line && $line != '#'* ]] || continue
        [[ $line =~ ^$word$space$word$space$word($space$word)?($space.*)?$ ]] || stop 2 "$at: no public key"
        set -- "${BASH_REMATCH[1]}" "${BASH_REMATCH[3]}" "${BASH_REMATCH[5]}" "${BASH_REMATCH[8]}"
        name=${1//\"/}
        [[ $1 =~ $one && -n $name && ,$name != *,!* ]] || stop 2 "$at: no principals, or principals of a form that byok does not accept"
        if is_key "$2" "$3"; then
            keys+=("$2 $3") purposes+=('*') afters+=('') befores+=('')
        else
            read_options "$at" "$2"
            is_key "$3" "$4" || stop 2 "$at: no public key"
            keys+=("$3 $4")
        fi
        names+=("$name")
    done <"$1"
    [ ${#keys[@]} -gt 0 ] || stop 2 "--signers $1: it lists nobody"
}

read_options() {
    local rest=$2, name value option='^([A-Za-z-]+)="([^"\]+)",'
    local -A given=()
    while [ -n "$rest" ]; do
        [[ $rest =~ $option ]] || stop 2 "$1: neither a public key nor a known option"
        name=${BASH_REMATCH[1],,} value=${BASH_REMATCH[2]} rest=${rest:${#BASH_REMATCH[0]}}
        [[ $name =~ ^(namespaces|valid-(after|before))$ && -z ${given[$name]:-} ]] ||
            stop 2 "$1: an unknown option, or one given twice: $name"
        [ "$name" = namespaces ] || value=$(time_of "$value") || stop 2 "$1: not a UTC time such as 20261122Z"
        given[$name]=$value
    done
    purposes+=("${given[namespaces]:-*}") afters+=("${given[valid-after]:-}") befores+=("${given[valid-before]:-}")
}

# 20261122Z, 202611221142Z or 20261122114203Z, as a transcript writes it.
time_of() {
    local t=${1%Z}000000
    [[ $1 =~ ^[0-9]{8}([0-9]{4}([0-9]{2})?)?Z$ ]] || return 1
    jq -er --arg t "${t:0:4}-${t:4:2}-${t:6:2}T${t:8:2}:${t:10:2}:${t:12:2}Z" -n "$is_time"'$t | select(is_time)'
}

# Patterns with *, ? and a leading !, as ssh takes them; a purpose has small letters and - alone.
fits_list() {
    local pattern fits=1
    # shellcheck disable=SC2053 # they are patterns
    while IFS= read -r -d , pattern; do
        [[ ${pattern#!} =~ ^[a-z*?-]*$ && $2 = ${pattern#!} ]] || continue
        [[ $pattern != !* ]] || return 1
        fits=0
    done <<<"$1,"
    return $fits
}

# ---- rule 1: the files --------------------------------------------------------------------------

# Characters that cannot be seen, or that move those beside them, in UTF-8.
unseen='[\x01-\x1f\x7f]|\xc2[\x80-\x9f\xad]|\xd8\x9c|\xe1\xa0\x8e|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]'
unseen=$unseen'|\xef\xbb\xbf|\xef\xbf[\xb9-\xbb]|\xf3\xa0[\x80\x81]'

# Sorts a directory, with everything below it, before the entries that follow it by name.
by_name() { tr '/' '\001' | sort -z | tr '\001' '/'; }

# Makes $work/files: the SHA-256 of each file by its path; and by `/` and the path of a public key (DER) that of the
# same in PEM.
list_files() {
    local entry name kind size total=0 pem
    [ -e transcript.jsonl ] || [ -L transcript.jsonl ] || broken MISSING 'transcript.jsonl: missing'
    [ -f transcript.jsonl ] && [ ! -L transcript.jsonl ] || broken ENTRY 'transcript.jsonl: not a regular file'
    { find . -mindepth 1 -maxdepth $((longest_path / 2 + 1)) -printf '%P/%y/%s\0' 2>"$work/errors" || [[ $? =~ ^(1|141)$ ]]; } |
        head -z -n $((most_entries + 1)) >"$work/found"
    [ "$(tr -cd '\000' <"$work/found" | wc -c)" -le $most_entries ] || broken LIMIT "the record: more than $most_entries files"
    [ ! -s "$work/errors" ] || broken READ "$(sed -n '1s/^find: //p' "$work/errors")"
    grep -qazP "(?s)^.{$((longest_path + 1)),}/./[0-9]+\$" "$work/found" &&
        broken LIMIT "the record: a path in it is longer than $longest_path bytes" || [ $? = 1 ] || failed
    by_name <"$work/found" >"$work/entries"
    name=$(grep -azPm 1 -- "$unseen" "$work/found" | tr -d '\000') || [ $? = 1 ] || failed
    [ -z "$name" ] || broken NAME "${name%/*/*}: not a readable name"
    is_utf8 "$work/entries" || broken NAME 'a name in it: not readable (UTF-8)'
    : >"$work/names"
    while IFS= read -r -d '' entry; do
        name=${entry%/*/*} kind=${entry#"${entry%/*/*}/"} size=${entry##*/} # f/1234
        [[ $kind != d/* ]] || continue
        [[ $kind = f/* ]] || broken ENTRY "$name: neither a regular file nor a directory"
        [ "$size" -le $longest_file ] || broken LIMIT "$name: longer than byok reads"
        total=$((total + size))
        [ $total -le $largest_record ] || broken LIMIT "$name: with this file the record is larger than byok reads"
        printf './%s\0' "$name" >>"$work/names"
        [[ $name = */public-key.der && $size -le $longest_public_key ]] || continue
        pem=$({ echo '-----BEGIN PUBLIC KEY-----' && base64 -w 64 "./$name" && echo '-----END PUBLIC KEY-----'; } | sha256sum)
        printf '%s  .//%s\n' "${pem%% *}" "$name" >>"$work/sums"
    done <"$work/entries"
    xargs -0 -r sha256sum -z -- <"$work/names" 2>"$work/errors" | tr '\000' '\n' >>"$work/sums" ||
        broken READ "$(sed -n '1s/^sha256sum: \(\.\/\)\{0,1\}//p' "$work/errors")"
    jq -Rn 'reduce inputs as $line ({}; .[$line[68:]] = $line[:64])' "$work/sums" >"$work/files"
    find . -mindepth 1 -type d -empty -printf '%P/\0' | by_name | tr '\000' '\n' >"$work/folders"
}

# ---- rule 2: the lines --------------------------------------------------------------------------

# A line that byok writes: no blanks, texts without escapes except of " and \, integers of at most 15 digits. It is
# checked before jq reads it, because versions of jq differ in what they accept as a number.
plain='^(?:"(?:(?!'$unseen')[^"\\]|\\["\\])*+"|[][{}:,]|true|false|null|(?:-?+[1-9][0-9]{0,14}+|0)(?=[],}]))++$'

# Makes $work/lines, the lines up to the first that is not such JSON, and $work/digests, the SHA-256 of each without
# its line feed. What jq prints is compact and has each key once, so a line that jq prints again byte for byte has one
# meaning. `rest` is the rule that the next line breaks. NUL, which a shell cannot hold, becomes another forbidden
# byte.
read_lines() {
    local line count=0 first
    rest=LINE
    [ "$(size_of transcript.jsonl)" -le $longest_transcript ] || broken LIMIT 'transcript.jsonl: longer than byok reads'
    tr '\000' '\001' <transcript.jsonl | head -n "$(wc -l <transcript.jsonl)" >"$work/all"
    [ "$(wc -l <"$work/all")" -le $most_lines ] || broken LIMIT "transcript.jsonl: more than $most_lines lines"
    while IFS= read -r line && [ ${#line} -le $longest_line ]; do count=$((count + 1)); done <"$work/all"
    [ $count = "$(wc -l <"$work/all")" ] || rest=LIMIT
    head -n "$count" "$work/all" >"$work/short"
    first=$(grep -naPvm 1 -- "$plain" "$work/short" || [ $? = 1 ]) || stop 5 'grep -P failed'
    if [ -n "$first" ]; then count=$((${first%%:*} - 1)) rest=LINE; fi
    head -n "$count" "$work/short" >"$work/lines"
    jq -c . "$work/lines" >"$work/printed" 2>/dev/null || [ $? -lt 126 ] || failed
    first=$(diff -a "$work/lines" "$work/printed" | sed -n '1s/[^0-9].*//p') || [ $? = 1 ] || failed
    if [ -n "$first" ]; then head -n $((first - 1)) "$work/short" >"$work/lines" && count=$((first - 1)) rest=LINE; fi
    mkdir "$work/line" && count=0 && while IFS= read -r line; do count=$((count + 1)) && printf '%s' "$line" >"$work/line/$count"; done <"$work/lines"
    (cd "$work/line" && seq "$count" | xargs -r sha256sum) | sed 's/^\([0-9a-f]*\).*/"\1"/' >"$work/digests"
}

# ---- rules 2 to 6 -------------------------------------------------------------------------------

# A time in UTC, to the second, that exists.
is_time='def is_time:
    test("\\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\\z") and . <= "9999-12-30T22:00:00Z" and (
        (.[0:4] | tonumber) as $year | (.[5:7] | tonumber) as $month | (.[8:10] | tonumber) as $day
        | (if $month == 2 and ($year % 4 == 0 and $year % 100 != 0 or $year % 400 == 0) then 29
            else [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][$month] // 0 end) as $days
        | $day >= 1 and $day <= $days and .[11:13] < "24" and .[14:16] < "60" and .[17:19] < "60"); '

# Prints the first rule that does not hold and what breaks it, or an empty line; then facts, one on each line; then
# what SHA256SUMS must list.
rules='
def text($name): if type == "object" then .[$name] | if type == "string" then . else "" end else "" end;
def depth: if type == "object" or type == "array" then 1 + ([.[] | depth] | max // 0) else 0 end;
def against($rule; $line; $why): "\($rule) transcript.jsonl: line \($line): \($why)";

def of_line($n):
    if depth > 127 then against("LINE"; $n; "it is nested too deep")
    elif type != "object" or .seq != $n then against("SEQ"; $n; "seq is not \($n): a line was dropped, added or moved")
    elif text("at") | is_time | not then against("AT"; $n; "at is not a time such as 2026-11-22T11:42:03Z")
    elif .event | type != "string" then against("EVENT"; $n; "it has no event")
    else null end;

# The line after it shows which of the two lines was changed.
def broken_link($i):
    ($i + 1) as $n | $lines[$n] as $next
    | (if ($next | of_line($n + 1)) == null and ($next | text("prev")) != $digests[$i] then $n else $i end) as $bad
    | if $i == 0 then against("PREV"; 1; "prev is not 64 zeros")
      else against("PREV"; $bad; "it was changed, or line \($bad + 1) was: that line has the digest of other bytes") end;

def is_end: . == "sealed" or . == "aborted";
def line_fault:
    range($lines | length) as $i | $lines[$i] | .event as $event
    | of_line($i + 1) //
      if text("prev") != (if $i == 0 then "0" * 64 else $digests[$i - 1] end) then broken_link($i)
      elif $i > 0 and .at < $lines[$i - 1].at then against("ORDER"; $i + 1; "its time is before the line above")
      elif ($i == 0) != ($event == "ceremony-opened")
      then against("OPENING"; $i + 1; "\"\($event)\" is in the wrong place")
      else empty end;
def end_fault:
    ($lines | length) as $n | $lines[-1].event as $last
    | if $n < $whole then against($rest; $n + 1; "it is not compact JSON as byok writes it, or too long")
      elif $cut then against("END"; $n + 1; "it does not end with a line feed")
      elif $n == 0 then "END transcript.jsonl: the transcript is empty"
      elif $last | is_end | not
      then against("END"; $n; "the transcript ends with \"\($last)\", neither sealed nor aborted")
      else $lines[:-1][] | select(.event | is_end) | against("END"; .seq; "\"\(.event)\" is before the end") end;

def events($name): $lines[] | select(.event == $name);
def data_keys: $lines[] | select(.event == "key-generated" or .event == "key-found" or .event == "key-recovered");
def aborted: $lines[-1].event == "aborted";

def opening_fault:
    if ($lines[0] | text("format")) != "byok-transcript-v1"
    then against("FORMAT"; 1; "its format is \"\($lines[0] | text("format"))\", not byok-transcript-v1")
    else (events("machine-checked") | select(.medium_sha256 != null and (text("medium_sha256") | test("\\A[0-9a-f]{64}\\z") | not))
          | against("MEDIUM"; .seq; "medium_sha256 is not 64 lower-case hex digits")),
        if [[data_keys], [events("key-wrapped")], [events("escrow-dealt").labels[]?] | length] | max > $most_keys
        then "LIMIT transcript.jsonl: more data keys or imports than \($most_keys)" else empty end end;

def sealed_fault:
    $lines[-1] as $last
    | if $last.event == "sealed" and ($last.outcome != "done" or $last.exceptions != ([events("exception")] | length))
      then against("SEALED"; $last.seq; "it does not fit the lines above it")
      else reduce data_keys as $key ({}; ($key | text("label")) as $called
            | if .known[$called] then .twice = (.twice // $key) else .known[$called] = true end)
        | .twice | values | against("KEY-TWICE"; .seq; "the data key \"\(.label)\" is there twice") end;

def plan_fault:
    ($lines[0] | text("plan_sha256")) as $named
    | (events("plan-approved") | select(text("plan_sha256") != $named)
        | against("PLAN"; .seq; "the plan approved here is not the one in line 1")),
      (if $present["plan.toml"] == $named or aborted and $present["plan.toml"] == null then empty
       elif $present["plan.toml"] == null then "PLAN plan.toml: missing"
       else "PLAN plan.toml: not the plan that was approved" end);

# {fault, files}: the files for which the transcript vouches.
def outputs:
    (reduce (if aborted then $lines[-1].removed | arrays[] | strings else empty end) as $path ({}; .[$path] = true)) as $removed
    | reduce events("output-written") as $line ({files: {}};
        ($line | text("path")) as $path
        | if .fault then .
          elif $path == "" or any($path | split("/")[]; . == "" or . == "." or . == "..")
          then .fault = against("PATH"; $line.seq; "\"\($path)\" is not a path within a record")
          elif $removed[$path] then .
          elif .files | has($path) then .fault = against("OUTPUT-TWICE"; $line.seq; "\($path) was written twice")
          else .files[$path] = ($line | text("sha256")) end);

def files_fault($files):
    ($files | keys[]) as $path
    | if $present[$path] == null then "MISSING \($path): missing, although the transcript names it"
      elif $present[$path] != $files[$path] then "BYTES \($path): its bytes are not those that the transcript names"
      else empty end;

def wrapped_fault($files):
    (reduce data_keys as $key ({}; .[$key | text("label")] = true)) as $made
    | events("key-wrapped")
    | if $files[text("path")] != text("sha256")
      then against("WRAPPED"; .seq; "\(text("path")) was not written as it was wrapped")
      elif $made[text("label")] | not
      then against("WRAPPED"; .seq; "no data key \"\(text("label"))\" was made or brought back")
      else empty end;

# The public key of each key pair: the record that made the pair must have it.
def pair_fault($files):
    data_keys | select(text("spec") | startswith("ECC_") or startswith("RSA_") or . == "ED25519")
    | "\(text("label"))/public-key.der" as $der | "\(text("label"))/public-key.pem" as $pem
    | first((($der, $pem) | select(in($files) | not)), null) as $missing
    | if $missing != null and .event == "key-generated" and (aborted | not)
      then against("PUBLIC-KEY"; .seq; "\($missing), the public key, was not written")
      elif $files[$der] != null and $files[$der] != text("fingerprint")
      then "PUBLIC-KEY \($der): its digest is not the fingerprint in line \(.seq) of the transcript"
      elif $missing != null then empty
      elif $present["/" + $der] == null then "LIMIT \($der): longer than byok reads"
      elif $files[$der] == $empty then "PUBLIC-KEY \($der): it is empty"
      elif $present["/" + $der] != $files[$pem] then "PUBLIC-KEY \($pem): it is not \($der) in PEM"
      else empty end;

def more_fault($files):
    ($present | keys[] | select(in($files) or test("^(transcript[.]jsonl|SHA256SUMS|receipts[.]jsonl)$|^(/|signatures/|receipts/)")
        or (split("/")[-1] | startswith("import-result") and endswith(".json")) | not)
    | "MORE \(.): the transcript does not name this file"),
    ($folders | split("\n")[:-1][] | select(aborted or . == "receipts/" or . == "signatures/" | not)
    | "EMPTY \(.): an empty directory that byok did not make");

first(line_fault, end_fault, "") as $fault
| if $fault != "" then $fault else
    outputs as {fault: $fault, files: $files}
    | first(opening_fault, sealed_fault, plan_fault, ($fault | strings), files_fault($files),
        (if aborted then empty else wrapped_fault($files) end), pair_fault($files), more_fault($files), ""),
      aborted, $lines[0].rehearsal == true, ($lines[0] | text("title"), text("previous_head")),
      ([events("transcript-signer").seq] | join(" ")), ([events("transcript-signer")][0] | text("public_key"), text("fingerprint")),
      $lines[-1].at, ([events("machine-checked").medium_sha256 // empty][0] // ""), ($files + {"transcript.jsonl": $present["transcript.jsonl"]} | to_entries[] | "\(.value)  \(.key)")
  end'

judge_lines() {
    local cut=false facts
    [ ! -s transcript.jsonl ] || [ "$(tail -c 1 transcript.jsonl | hex)" = 0a ] || cut=true
    jq -nr --slurpfile lines "$work/lines" --slurpfile digests "$work/digests" --slurpfile files "$work/files" \
        --argjson whole "$(wc -l <"$work/all")" --argjson cut $cut --arg rest $rest --argjson most_keys $most_keys \
        --rawfile folders "$work/folders" --arg empty "$(printf '' | sha256sum | cut -d ' ' -f 1)" \
        "$is_time"' $files[0] as $present |'"$rules" >"$work/facts"
    mapfile -t -n 10 facts <"$work/facts"
    [ -z "${facts[0]}" ] || broken "${facts[0]%% *}" "${facts[0]#* }"
    aborted=${facts[1]} rehearsal=${facts[2]} title=${facts[3]} previous_head=${facts[4]}
    signer_lines=${facts[5]} signer_key=${facts[6]} signer_fingerprint=${facts[7]} ended=${facts[8]} medium=${facts[9]}
}

# ---- rule 7 -------------------------------------------------------------------------------------

# SHA256SUMS lists exactly these files, in any order.
check_sums() {
    local file=SHA256SUMS line
    [ -f $file ] || broken SUMS "$file: missing"
    [ "$(size_of $file)" -le $longest_transcript ] || broken LIMIT "$file: longer than byok reads"
    tail -n +11 "$work/facts" | sort >"$work/expected"
    tr '\000' '\001' <$file | sort >"$work/said"
    line=$(comm -3 "$work/expected" "$work/said" | head -n 1) || true
    cmp -s "$work/expected" "$work/said" || broken SUMS "$file: not once, or not as the transcript says: ${line:1}"
    [ "$(tail -c 1 $file | hex)" = 0a ] || broken SUMS "$file: its last line is incomplete"
}

# ---- rule 9: signatures -------------------------------------------------------------------------

# The HSM's key, from the one line that names it. It vouches for nothing: whoever makes a record anew also makes a key.
check_signer() {
    local line lines && read -r -a lines <<<"$signer_lines"
    [ ${#lines[@]} != 0 ] || [ -f signatures/hsm.sig ] || return 0
    [ ${#lines[@]} != 0 ] || broken SIGNER 'signatures/hsm.sig: the transcript names no signer'
    [ ${#lines[@]} = 1 ] || broken SIGNER "transcript.jsonl: line ${lines[1]}: a second transcript signer"
    line="transcript.jsonl: line ${lines[0]}"
    printf '%s\n' "$signer_key" >"$work/signer"
    [[ $signer_key =~ ^ecdsa-sha2-nistp256\ [A-Za-z0-9+/]+=*$ ]] && ssh-keygen -l -f "$work/signer" >"$work/shown" 2>&1 ||
        broken SIGNER "$line: public_key is not an OpenSSH public key on P-256"
    [ "$(cut -d ' ' -f 2 "$work/shown")" = "$signer_fingerprint" ] || broken SIGNER "$line: fingerprint is not that of public_key"
    [ -f signatures/hsm.sig ] || [ "$aborted" = true ] ||
        broken SIGNER "signatures/hsm.sig: missing, although line ${lines[0]} of the transcript names the signer"
}

# The strings in these bytes, each after its length (RFC 4251), go to `strings`, all in hex.
take_strings() {
    local bytes=$1 at=0 length
    strings=()
    while length=${bytes:at:8} && [ ${#length} = 8 ]; do
        strings+=("${bytes:at+8:2*16#$length}") && at=$((at + 8 + 2 * 16#$length))
    done
    [ $at = ${#bytes} ]
}

# The parts of a signature (OpenSSH, PROTOCOL.sshsig): the type of its key, the key, its purpose, the signature.
take_apart() {
    local text bytes begin='-----BEGIN SSH SIGNATURE-----' end='-----END SSH SIGNATURE-----'
    [ "$(size_of "$1")" -le $longest_signature ] || broken LIMIT "$1: longer than byok reads"
    text=$(tr '\000' '\001' <"$1")
    bytes=${text#"$begin"$'\n'} && bytes=${bytes%%$'\n'"$end"*} && bytes=${bytes//[$' \t\n\f\r']/}
    # "SSHSIG", version 1; key, purpose, reserved, hash, signature.
    [[ $text = "$begin"$'\n'*$'\n'"$end"* ]] && is_utf8 "$1" && is_base64 "$bytes" &&
        bytes=$(printf '%s' "$bytes" | base64 -d | hex) && [[ $bytes = 53534853494700000001* ]] &&
        take_strings "${bytes:20}" && [ ${#strings[@]} = 5 ] && [[ ${strings[3]} =~ ^736861(323536|353132)$ ]] ||
        broken SIGNATURE-FORM "$1: not an SSH signature, or not of a known form"
    key=${strings[0]} signed_for=${strings[1]} value=${strings[4]}
    take_strings "$key" || true
    [[ ${strings[0]:-} =~ ^(2[1-9a-f]|[3-6][0-9a-f]|7[0-9a-e])+$ ]] || broken SIGNATURE-FORM "$1: not an SSH signature of a known form"
    type=$(unhex "${strings[0]}")
}

# What ssh-keygen does not judge: of an Ed25519 signature that S is below the order of the group, and that neither
# its point nor the key is of small order; of an RSA key that its exponent is 2 to 33 bits long.
order=1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed
small='^(0[01]0{60}[08]0|e[cde]f{60}[7f]f|26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc[08]5'
small=$small'|c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03[7f]a)$'
is_strict() {
    local of_key signed
    take_strings "$key" && of_key=${strings[1]:-} && take_strings "$value" && signed=${strings[1]:-} || return 1
    case $type in
    ssh-ed25519) [[ ! $of_key =~ $small && ! ${signed:0:64} =~ $small &&
        $(printf '%s' "${signed:64}" | fold -w 2 | tac | tr -d '\n') < $order ]] ;;
    ssh-rsa) [[ $of_key =~ ^0*(1[0-9a-f]{7}[13579bdf]|[1-9a-f][0-9a-f]{0,6}[13579bdf]|[3579bdf])$ ]] ;;
    esac
}

# Every file below signatures/, in the order of names. `checked` are those by keys of types that byok knows too;
# another one may be good or not, and vouches for nothing.
check_signatures() {
    local file public
    [ "$rehearsal" = false ] && purpose=byok-ceremony || purpose=byok-rehearsal
    check_signer
    [ -d signatures ] || return 0
    [ "$(find signatures -type f | wc -l)" -le $most_signatures ] || broken LIMIT "signatures/: more than $most_signatures signatures"
    while IFS= read -r -d '' file; do
        [[ $file =~ ^signatures/[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.sig$ ]] ||
            broken SIGNATURE-NAME "$file: not a signature's name, such as signatures/auditor.sig"
        take_apart "$file"
        public="$type $(unhex "$key" | base64 -w 0)"
        [ "$file" != signatures/hsm.sig ] || [ "$public" = "$signer_key" ] ||
            broken SIGNER "$file: by a key that the transcript does not name"
        [ "$(unhex "$signed_for" | hex)" = "$(printf '%s' "$purpose" | hex)" ] ||
            broken PURPOSE "$file: not signed for the purpose $purpose"
        case $type in
        ecdsa-sha2-nistp256 | ssh-ed25519 | ssh-rsa)
            is_strict && ssh-keygen -Y check-novalidate -n "$purpose" -s "$file" <transcript.jsonl >/dev/null 2>&1 ||
                broken SIGNATURE "$file: not a signature of transcript.jsonl by the key in it"
            signatures+=("$file") checked+=("$public $file") ;;
        *) signatures+=("$file ($type: not checked)") ;;
        esac
    done < <(find signatures -type f -print0 | sort -z)
}

# ---- rule 10: what vouches for it ---------------------------------------------------------------

check_head() {
    local row rows=
    [ "${head#"$anchor"}" = "$head" ] || return 0
    for row in {0..7}; do [[ ${head:8*row:8} = "${anchor:8*row:8}"* ]] || rows+=" $((row + 1))"; done
    against='not the record of that head' && broken HEAD "transcript.jsonl: its head is $head, not the one given: $anchor; rows that differ:$rows"
}

# Whether one who is listed signed. The list comes from outside the record. Times are compared with that of the
# transcript's last line, so that a record outlives its keys.
check_signers() {
    local one at
    for one in ${checked[@]+"${checked[@]}"}; do
        for ((at = 0; at < ${#keys[@]}; at++)); do
            [ "${one% *}" = "${keys[at]}" ] && fits_list "${purposes[at]}" "$purpose" || continue
            [[ (-z ${afters[at]} || ! $ended < ${afters[at]}) && (-z ${befores[at]} || ! $ended > ${befores[at]}) ]] || continue
            said_by="${names[at]} (${one##* })"
            return
        done
    done
    against='not by a listed signer' && broken LISTED 'signatures/: no listed key signed this record'
}

# ---- the verdict --------------------------------------------------------------------------------

say_verdict() {
    local verdict=authentic file row && told=yes
    [ -n "$anchor$signers" ] || verdict='consistent, not authenticated' && echo "$verdict"
    [ -z "$anchor" ] || echo 'The transcript is the one whose head digest was given.'
    [ -z "$signers" ] || say 'signed by ' "$said_by, whom --signers lists"
    [ -n "$anchor$signers" ] || echo 'NOTHING FROM OUTSIDE VOUCHES FOR THIS RECORD: anyone could have made one that
fits together. Type rows 1 to 3 from the paper: --head '\''ROW1 ROW2 ROW3'\'''
    [ "$rehearsal" = false ] || echo 'REHEARSAL: this record is practice; nothing in it is real.'
    [ "$aborted" = false ] || echo 'ABORTED: this ceremony did not come to its end; there is nothing to import.'
    say 'title     ' "$title"
    [ -z "$medium" ] || say 'medium    ' "$medium"
    for file in ${signatures[@]+"${signatures[@]}"}; do say 'signed    ' "$file"; done
    [ ! -e receipts.jsonl ] && [ ! -e receipts ] || say 'receipts  ' 'not judged here: byok verify judges them'
    [ -z "$previous_head" ] || say 'previous  ' "$previous_head: not judged here: byok verify follows to that record"
    echo "head      $head"
    for row in 0 1 2 3 4 5 6 7; do echo "   row $((row + 1))  ${head:row * 8:4} ${head:row * 8 + 4:4}"; done
    echo "verdict   $verdict"
}

for tool in $tools ssh-keygen; do
    command -v "$tool" >/dev/null || stop 2 "there is no $tool on this machine"
done
work=$(mktemp -d) && work=$(cd -- "$work" && pwd -P) || stop 5 'no temporary directory can be made'
trap 'case $?/$told in 0/* | 141/* | */yes) ;; *) failed ;; esac; rm -rf -- "$work"' EXIT # 141: nobody reads on
trap 'told=yes; exit 1' HUP INT TERM
export HOME=$work # jq would load a .jq from there
read_arguments "$@"
cd -- "$record" || broken READ 'it cannot be read'
list_files
read_lines
judge_lines
check_sums
check_signatures
head=$(sha256sum <transcript.jsonl | cut -d ' ' -f 1)
[ -z "$anchor" ] || check_head
[ -z "$signers" ] || check_signers
say_verdict
