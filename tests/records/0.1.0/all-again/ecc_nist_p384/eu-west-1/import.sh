#!/usr/bin/env bash
# Imports one wrapped data key into one AWS KMS key. Everything it needs lies in this folder:
# WrappedKeyMaterial.bin, ImportToken.bin and this script. What it sends is useless to anybody but
# that one KMS key. It runs with bash 3.2 or newer and the AWS CLI, version 1 or 2, and nothing else.
#
#     bash import.sh [arguments for aws, such as --profile NAME]

if [ -z "${BASH_VERSION:-}" ]; then
    echo "import.sh: run it with bash: bash import.sh" >&2
    exit 2
fi
set -u

# What the ceremony decided. Nothing given on the command line can change it.
title='All specs, again'
ceremony='b4dee55b0636dab70a32ff86ecd38115'
rehearsal=no
label='ecc_nist_p384'
import='eu-west-1'
key_arn='arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-000000000009'
region='eu-west-1'
account='111122223333'
wrapping_algorithm='RSA_AES_KEY_WRAP_SHA_256'
wrapped_sha256='b95c575acdf6957ec21f65ca240b2268bec9a4024c1be17b7a0dcfd8d274d7c2'
token_sha256='6413963b9dfc2a9df3e19d703c41c5d3a52c4ab317ba8c7c31d2d543af9d565c'
deadline='1796023555' # seconds since 1970, as `date +%s` tells
deadline_text='2026-11-30 07:25:55 UTC'
expires='' # empty: never
expires_text='never'
earliest_text=''
import_type='' # empty: KMS decides
newer=no # yes: it needs options that older AWS CLIs do not know
multi_region='' # PRIMARY or REPLICA, what the plan takes the KMS key for; empty: not told
rotates='' # the KMS key to rotate afterwards; empty: none

year=31536000 # KMS takes an expiry at most 365 days ahead
interrupted=130 # the exit code of aws, and of this script, after Ctrl-C

usage() {
    cat <<END
usage: bash import.sh [arguments for aws]

Imports the data key $label into $key_arn.
Every argument goes to the AWS CLI, for example:

  --profile NAME        the credentials to use
  --endpoint-url URL    another endpoint of KMS

The Region, the KMS key, the two files and the expiry are set by the ceremony; later arguments win in
the AWS CLI, and these come last.

Exit codes: 0 imported, 1 AWS refused or could not be reached, 2 usage, a missing file or program, or
a rehearsal, 4 something is not what it should be: a file, a deadline, the expiry, the account,
130 interrupted.

It may be run again at any time: KMS accepts the same material again, and a run that fails changes
nothing. (What goes in as NEW_KEY_MATERIAL is accepted once; after that this script sends nothing.)
Each run leaves an import-result file, and none is ever overwritten.
END
}

say() { printf '%s\n' "$@"; }

# refuse CODE LINE...: nothing has been sent to AWS.
refuse() {
    local code=$1
    shift
    printf 'import.sh: %s\n' "$@" >&2
    echo "import.sh: nothing was imported" >&2
    exit "$code"
}

told_material() {
    case $import_type in
        NEW_KEY_MATERIAL) printf 'new to the KMS key (NEW_KEY_MATERIAL)' ;;
        EXISTING_KEY_MATERIAL) printf 'what the KMS key knows already (EXISTING_KEY_MATERIAL)' ;;
        *) printf 'what the KMS key holds or, if it never held any, its first' ;;
    esac
    [ -z "$multi_region" ] || printf ', into the multi-Region %s' "$multi_region"
}

introduce() {
    say "$title" \
        "  data key    $label, import $import" \
        "  KMS key     $key_arn" \
        "  wrapping    $wrapping_algorithm" \
        "  material    $(told_material)" \
        "  import by   $deadline_text" \
        "  expires     $expires_text" \
        "  ceremony    $ceremony" ""
}

# Arguments that make aws end well without importing anything, or that put its whole conversation into
# the result file. The AWS CLI takes shortened options, hence the patterns.
check_arguments() {
    local argument
    for argument in ${1+"$@"}; do
        case $argument in
            help | --v | --ve* | --g* | --cli-i* | --d*)
                refuse 2 "'$argument' is not taken here: it is for aws alone, not for an import" ;;
        esac
    done
}

# What of the arguments goes into the result file: which options were given, and the values of the two
# that say where it went. What stands before @ in a URL is a password: it is left out.
told_arguments() {
    local argument told='' wanted=no at=@
    for argument in ${1+"$@"}; do
        case $argument in
            *://*@*) argument=${argument%%://*}://${argument##*"$at"} ;;
        esac
        case $argument in
            --profile | --endpoint-url) told="$told $argument" wanted=yes ;;
            --profile=* | --endpoint-url=*) told="$told $argument" wanted=no ;;
            -*) told="$told ${argument%%=*}" wanted=no ;;
            *)
                [ "$wanted" = no ] || told="$told $argument"
                wanted=no ;;
        esac
    done
    printf '%s' "${told# }"
}

sha256_of() {
    local line
    if command -v sha256sum >/dev/null 2>&1; then
        line=$(sha256sum <"$1")
    elif command -v shasum >/dev/null 2>&1; then
        line=$(shasum -a 256 <"$1")
    elif command -v openssl >/dev/null 2>&1; then
        line=$(openssl dgst -sha256 <"$1")
    else
        refuse 2 "no program here can compute SHA-256" "install one of sha256sum, shasum, openssl"
    fi
    line=${line##*= } # openssl writes the digest last, the others first
    printf '%s\n' "${line%% *}"
}

# check_file NAME SHA256
check_file() {
    local found
    [ -r "$1" ] || refuse 2 "$1 is missing or cannot be read" \
        "it belongs beside import.sh: carry the whole folder again"
    found=$(sha256_of "$1") || exit $?
    [ "$found" = "$2" ] || refuse 4 "$1 is not the file that the ceremony wrote" \
        "expected SHA-256 $2" "found    SHA-256 $found" "carry the folder again from the record"
}

check_times() {
    local now
    now=$(date +%s)
    if [ "$now" -gt "$deadline" ]; then
        refuse 4 "the import token was valid until $deadline_text: that is past" \
            "download new import parameters and ask the security officer for a reimport in the room" \
            "no custodians are needed, and nothing needs deleting first"
    fi
    [ -n "$expires" ] || return 0
    if [ "$expires" -le "$now" ]; then
        refuse 4 "the material would expire on $expires_text: that is past" \
            "ask the security officer for a reimport in the room with a later expiry"
    fi
    if [ $((expires - now)) -gt "$year" ]; then
        refuse 4 "the material expires on $expires_text: KMS takes at most 365 days from the import" \
            "this script can run from $earliest_text on, and until $deadline_text" \
            "if that is too late, ask the security officer for a reimport with an earlier expiry"
    fi
}

check_aws() {
    command -v aws >/dev/null 2>&1 || refuse 2 "the AWS CLI (aws) is not installed, or not in PATH" \
        "install it (docs.aws.amazon.com/cli) and run this script again before $deadline_text"
    cli=$(aws --version 2>&1 | head -n 1)
}

# What an older AWS CLI does not know is found out without sending anything: it shows what it could send.
check_options() {
    local skeleton
    [ "$newer" = yes ] || return 0
    skeleton=$(aws kms import-key-material --region "$region" --generate-cli-skeleton 2>/dev/null)
    case $skeleton in
        *'"ImportType"'* | *"ImportType:"*) ;;
        *EncryptedKeyMaterial*)
            refuse 2 "this AWS CLI is too old: it does not know --import-type and what belongs to it" "  $cli" \
                "install one of July 2025 or later, or carry this folder to AWS CloudShell" \
                "then run this script again before $deadline_text: nothing is needed from the room" ;;
    esac
}

# imported_before: whether a run left a result that says imported, here or where it could be written.
imported_before() {
    local file
    for file in import-result*.json "$start"/import-result*.json; do
        [ -r "$file" ] || continue
        case $(cat "$file") in
            *'"ceremony": "'"$ceremony"'"'*'"label": "'"$label"'"'*'"import": "'"$import"'"'*'"KeyId": "'*"${key_arn##*/}"'"'*'"exit": 0,'*)
                found_result=$file
                return 0 ;;
        esac
    done
    return 1
}

# KMS takes material as new once: a second time is an error that looks like wrong material.
check_first_time() {
    [ "$import_type" = NEW_KEY_MATERIAL ] || return 0
    imported_before || return 0
    say "Imported already, says $found_result. KMS takes material as new only once: nothing is sent again."
    say_next
    exit 0
}

# json_field NAME: the value of the first string field of this name in the JSON on stdin.
json_field() {
    LC_ALL=C tr -d '\000\n' |
        LC_ALL=C sed -n 's/^[^{]*{\(.*\)$/,\1/; s/.*[{,][[:space:]]*"'"$1"'"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p'
}

check_account() {
    local caller found
    if ! caller=$(aws sts get-caller-identity ${1+"$@"} --region "$region" --output json --query '@' 2>"$scratch/sts"); then
        say "Could not ask AWS which account these credentials belong to:"
        LC_ALL=C sed 's/^/  | /' "$scratch/sts"
        say "Going on: KMS itself refuses an import from any account but $account." ""
        return 0
    fi
    found=$(printf '%s' "$caller" | json_field Account)
    if [ -z "$found" ]; then
        say "AWS did not say which account these credentials belong to. Going on: KMS itself" \
            "refuses an import from any account but $account." ""
        return 0
    fi
    [ "$found" = "$account" ] || refuse 4 "these credentials belong to account $found" \
        "the KMS key belongs to account $account" "choose other credentials, for example with --profile NAME"
    say "This changes a KMS key in account $account, as" "  $(printf '%s' "$caller" | json_field Arn)" ""
}

# The ARN does not tell which Region of a multi-Region key is the primary; KMS does.
check_multi_region() {
    local told found primary
    [ -n "$multi_region" ] || return 0
    if ! told=$(aws kms describe-key ${1+"$@"} --region "$region" --key-id "$key_arn" --output json --query '@' \
        2>"$scratch/describe"); then
        say "Could not ask KMS whether this KMS key is the multi-Region $multi_region:"
        LC_ALL=C sed 's/^/  | /' "$scratch/describe"
        say "Going on: KMS itself refuses new material in a replica." ""
        return 0
    fi
    found=$(printf '%s' "$told" | json_field MultiRegionKeyType)
    case $found in
        "$multi_region" | '') return 0 ;;
    esac
    primary=$(printf '%s' "$told" | LC_ALL=C tr -d '\000\n' |
        LC_ALL=C sed -n 's/.*"PrimaryKey"[^{]*\({[^}]*}\).*/\1/p' | json_field Arn)
    refuse 4 "this KMS key is the multi-Region $found; the plan took it for the $multi_region" \
        "the primary is ${primary:-told by describe-key}" \
        "KMS takes new material in the primary Region only, and compares what the replicas get with it" \
        "ask the security officer for a reimport in the room, with new import parameters for every Region" \
        "and import_type = \"NEW_KEY_MATERIAL\" at the primary; nothing needs deleting first"
}

# json TEXT: a JSON string, or null for no text. Control characters are left out, and what is not
# UTF-8 is replaced: the result must stay readable whatever aws printed.
json() {
    local text=$1
    if [ -z "$text" ]; then
        printf null
        return 0
    fi
    if ! printf '%s' "$text" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1; then
        text=$(printf '%s' "$text" | LC_ALL=C tr '\200-\377' '[?*]')
    fi
    printf '"'
    printf '%s\n' "$text" |
        LC_ALL=C tr '\t' ' ' |
        LC_ALL=C tr -d '\000-\010\013-\037\177' |
        LC_ALL=C sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' |
        LC_ALL=C awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }'
    printf '"'
}

result_json() {
    local at
    at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    printf '{\n  "format": "byok-import-result-v1",\n'
    printf '  "ceremony": %s,\n' "$(json "$ceremony")"
    printf '  "label": %s,\n' "$(json "$label")"
    printf '  "import": %s,\n' "$(json "$import")"
    printf '  "key_arn": %s,\n' "$(json "$key_arn")"
    printf '  "KeyId": %s,\n' "$(json "$key_id")"
    printf '  "KeyMaterialId": %s,\n' "$(json "$material_id")"
    printf '  "exit": %s,\n' "$status"
    printf '  "error": %s,\n' "$(json "$errors")"
    printf '  "at": "%s",\n' "$at"
    printf '  "arguments": %s,\n' "$(json "$arguments")"
    printf '  "cli": %s\n}\n' "$(json "$cli")"
}

# keep_result FOLDER TEXT: writes the first free import-result file there and sets `result`.
keep_result() {
    local number=1 name=import-result.json
    while [ "$number" -lt 1000 ]; do
        # noclobber: the file is created by us or not at all
        if (set -C && printf '%s\n' "$2" >"$1/$name") 2>/dev/null; then
            result=$1/$name
            return 0
        fi
        [ -s "$1/$name" ] || return 1 # not there, or empty: a read-only or a full disk
        number=$((number + 1))
        name=import-result-$number.json
    done
    return 1
}

write_result() {
    local text
    text=$(result_json)
    if keep_result "$folder" "$text"; then
        say "The answer is in $result"
    elif keep_result "$start" "$text"; then
        say "The answer is in $result (the folder of this script cannot be written to)"
    else
        result='import-result.json'
        say "No file could be written. Save these lines as import-result.json:" "" "$text" ""
    fi
}

# advise: which of the known failures this is, and whose move it is.
advise() {
    if [ "$status" -eq "$interrupted" ]; then
        say "It was interrupted. Run this script again before $deadline_text: that is safe even if this" \
            "import went through unseen."
        return 0
    fi
    case $errors in
        *"(ExpiredImportTokenException)"* | *"(InvalidImportTokenException)"*)
            say "KMS does not take this import token any more: expired, used up, or replaced by a newer set." \
                "Download new import parameters and ask the security officer for a reimport in the room." \
                "No custodians are needed, and nothing needs deleting first." ;;
        *"(InvalidCiphertextException)"*)
            say "KMS could not unwrap the file: the wrapping algorithm or the set of import parameters was mixed up." \
                "The file was wrapped with $wrapping_algorithm. Download new import parameters for exactly the" \
                "algorithm that the next plan names and ask the security officer for a reimport in the room." \
                "No custodians are needed, and nothing needs deleting first." ;;
        *"(IncorrectKeyMaterialException)"*)
            [ "$import_type" != NEW_KEY_MATERIAL ] || say \
                "KMS says so as well of new material that it has already: perhaps an earlier run went through" \
                "unseen. Whether it is among the materials of the KMS key shows" \
                "  aws kms list-key-rotations --include-key-material ALL_KEY_MATERIAL --region $region --key-id $key_arn"
            [ "$multi_region" != REPLICA ] || say \
                "KMS says so as well where the primary does not have this material yet: import it there first."
            say "STOP. KMS says that this is not the material that the KMS key was made with, or not of its kind." \
                "Call the security officer. Delete nothing, and schedule nothing for deletion." ;;
        *"(KMSInvalidStateException)"*)
            say "The KMS key is not in a state that takes an import. See its KeyState, and ask its administrator:" \
                "  aws kms describe-key --region $region --key-id $key_arn" ;;
        *"(AccessDeniedException)"* | *"(AccessDenied)"*)
            say "These credentials may not do it. They need the action kms:ImportKeyMaterial on" \
                "  $key_arn" \
                "A condition on kms:ExpirationModel or kms:ValidTo may stand in the way as well." \
                "Ask the account's administrator, then run this script again before $deadline_text." ;;
        *"(NotFoundException)"* | *"(InvalidArnException)"*)
            say "KMS knows no such KMS key. Deleted, another account, or an endpoint of another Region?" \
                "  $key_arn" "Show this to the security officer if it should exist." ;;
        *"(UnsupportedOperationException)"*)
            say "This KMS key does not take imported material: its Origin must be EXTERNAL." \
                "  aws kms describe-key --region $region --key-id $key_arn" "Show this to the security officer." ;;
        *"Unknown options:"*--import-type* | *"Unknown options:"*--key-material-*)
            say "This AWS CLI is too old: it does not know the options of this import (--import-type and the like)." \
                "Update it and run this script again before $deadline_text." "  $cli" ;;
        *"Unknown options:"* | *"the following arguments are required"* | *"expected one argument"*)
            say "aws does not understand its arguments. Look at what you added:" "  bash import.sh --help" ;;
        *"(ExpiredToken"* | *"(UnrecognizedClientException)"* | *"(InvalidClientTokenId)"* | *Signature*"Exception)"* | \
            *"(RequestExpired)"* | *redentials* | *"config profile"* | *"SSO"* | *"Token has expired"*)
            say "AWS does not accept your credentials, or finds none. Sign in again, check the clock of this" \
                "computer, and run this script again before $deadline_text." ;;
        *onnect* | *[Tt]imeout* | *"timed out"* | *"SSL"* | *"proxy"* | *"resolve"* | *"(Throttling"* | \
            *"(KMSInternalException)"* | *"(ServiceUnavailable"* | *"(InternalFailure)"*)
            say "KMS could not be reached, or did not answer in time. Run this script again before $deadline_text." \
                "That is safe even if this import went through unseen." ;;
        *)
            say "This is none of the failures that this script knows. Show the answer to the security officer." \
                "It is safe to run this script again before $deadline_text." ;;
    esac
}

report_failure() {
    say "" "NOT IMPORTED: aws ended with exit code $status."
    [ -z "$errors" ] || printf '%s\n' "$errors" | LC_ALL=C sed 's/^/  | /'
    say ""
    advise
    case $errors in
        *"An error occurred ("*) say "KMS refused, so this run changed nothing." ;;
    esac
    say ""
    write_result
}

# say_next: what makes KMS use new material.
say_next() {
    [ -n "$rotates" ] || return 0
    say "" "Where the KMS key held other material before, this one waits (PENDING_ROTATION) and nothing is" \
        "encrypted with it until the KMS key is rotated."
    [ -z "$multi_region" ] || say "Every replica Region must have it before that, each by its own import."
    say "Next:" "  bash online.sh rotate --key $rotates --now" \
        "or: aws kms rotate-key-on-demand --region $(arn_region "$rotates") --key-id $rotates" \
        "The old material stays needed: the KMS key is Enabled only while all its materials are imported."
}

arn_region() {
    local rest=${1#arn:*:kms:}
    printf '%s' "${rest%%:*}"
}

report_success() {
    say "" "IMPORTED into $key_arn"
    if [ -n "$material_id" ]; then
        say "  KeyMaterialId $material_id"
    elif [ -z "$key_id" ]; then
        say "  This AWS CLI is too old to show what KMS answered; a newer one shows the KeyMaterialId with" \
            "  aws kms describe-key --region $region --key-id $key_arn"
    fi
    [ -z "$errors" ] || printf '%s\n' "$errors" | LC_ALL=C sed 's/^/  | /'
    say ""
    write_result
    say "Bring that file back to the security officer, who adds it to the record:" \
        "  byok receipt RECORD ${result##*/}"
    say_next
}

run_import() {
    local answer
    set -- kms import-key-material ${1+"$@"} --region "$region" --key-id "$key_arn" \
        --encrypted-key-material fileb://WrappedKeyMaterial.bin --import-token fileb://ImportToken.bin \
        --expiration-model KEY_MATERIAL_DOES_NOT_EXPIRE --output json --query '@'
    say "In $folder, this runs:"
    printf '  aws'
    printf ' %q' "$@"
    say ""
    trap : INT TERM # an interrupted aws must leave its result too
    answer=$(aws "$@" 2>"$scratch/errors")
    status=$?
    errors=$(LC_ALL=C tr -d '\000' <"$scratch/errors")
    key_id=$(printf '%s' "$answer" | json_field KeyId)
    material_id=$(printf '%s' "$answer" | json_field KeyMaterialId)
}

main() {
    case ${1-} in
        -h | --help)
            usage
            exit 0 ;;
    esac
    introduce
    [ "$rehearsal" = no ] || refuse 2 "REHEARSAL: practice material, nothing is imported"
    check_arguments ${1+"$@"}
    arguments=$(told_arguments ${1+"$@"})
    check_file WrappedKeyMaterial.bin "$wrapped_sha256"
    check_file ImportToken.bin "$token_sha256"
    check_first_time
    check_times
    check_aws
    check_options
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/byok-import.XXXXXX") || refuse 2 "no temporary folder can be made"
    trap 'rm -rf "$scratch"' EXIT
    check_account ${1+"$@"}
    check_multi_region ${1+"$@"}
    run_import ${1+"$@"}
    if [ "$status" -ne 0 ]; then
        report_failure
        [ "$status" -ne "$interrupted" ] || exit "$interrupted"
        exit 1
    fi
    case $key_id in
        "$key_arn" | "${key_arn##*/}" | '') report_success ;; # empty: an old AWS CLI, which shows nothing
        *)
            say "" "STOP. KMS answered for another KMS key: $key_id" "Call the security officer. Delete nothing."
            write_result
            exit 4 ;;
    esac
}

# The AWS CLI must neither page nor ask: this script is read line by line by a person.
export AWS_PAGER='' AWS_CLI_AUTO_PROMPT=off
start=$PWD
case $0 in
    */*) CDPATH='' cd -- "${0%/*}" || exit 2 ;;
esac
folder=$PWD
main ${1+"$@"}
