#!/usr/bin/env bash
# Imports every wrapped data key of this record into its AWS KMS key, one after the other, by the
# import.sh beside it. A failure does not stop the others; a table at the end says how each ended.
#
#     bash import.sh [arguments for aws, such as --profile NAME]

if [ -z "${BASH_VERSION:-}" ]; then
    echo "import.sh: run it with bash: bash import.sh" >&2
    exit 2
fi
set -u

title='All specs, in another HSM'
ceremony='eee3f21dbb42678b80a1b9ae0f23a49f'
rehearsal=no
rotates='' # KMS keys to rotate when everything is imported

usage() {
    cat <<END
usage: bash import.sh [arguments for aws]

Runs every import.sh below this folder with these arguments, in the order of the plan, goes on after a
failure and ends with a table; replicas of a multi-Region key come after its primary, and wait for
another run if that one failed. Imports into several accounts need several credentials: run the
import.sh of each one alone, each with its own --profile.

Exit codes: 0 everything is imported, otherwise that of the first import that failed:
1 AWS refused or could not be reached, 2 usage, a missing file or program, or a rehearsal,
4 something is not what it should be: a file, a deadline, the expiry, the account, 130 interrupted.
END
}

code=0
table=

# run_one LABEL IMPORT [arguments for aws]
run_one() {
    local place=$1/$2 status=2
    shift 2
    printf '\n==== %s\n' "$place"
    if [ -f "$place/import.sh" ]; then
        bash "$place/import.sh" ${1+"$@"}
        status=$?
    else
        echo "import.sh: $place/import.sh is missing" >&2
    fi
    note "$place" "$status"
    [ "$status" -ne 130 ] || finish # Ctrl-C is meant for all of them
}

# run_after PRIMARY LABEL IMPORT [arguments for aws]: KMS knows what a replica gets only when the primary
# has it, by this run or by an earlier one that left its result.
run_after() {
    local primary=$1 file
    shift
    for file in "$1/$primary"/import-result*.json; do
        [ -r "$file" ] || continue
        case $(cat "$file") in
            *'"ceremony": "'"$ceremony"'"'*'"exit": 0,'*)
                run_one ${1+"$@"}
                return ;;
        esac
    done
    case $table in
        *"  $1/$primary: imported"$'\n'*) run_one ${1+"$@"} ;;
        *)
            printf '\n==== %s\nNot run: its primary, %s, has no such material yet.\n' "$1/$2" "$1/$primary"
            table=$table$(printf '  %s: NOT imported: the primary first, then run this again' "$1/$2")$'\n'
            [ "$code" -ne 0 ] || code=1 ;;
    esac
}

# note PLACE STATUS: one row of the table.
note() {
    local outcome
    case $2 in
        0) outcome='imported' ;;
        1) outcome='NOT imported: AWS refused or could not be reached' ;;
        2) outcome='NOT imported: usage, or something is missing' ;;
        4) outcome='NOT imported: something is not what it should be' ;;
        130) outcome='interrupted: those after it were not run' ;;
        *) outcome="NOT imported: ended with exit code $2" ;;
    esac
    table=$table$(printf '  %s: %s' "$1" "$outcome")$'\n'
    [ "$code" -ne 0 ] || code=$2
}

finish() {
    local arn rest
    printf '\n==== outcome\n%s' "$table"
    if [ "$code" -eq 0 ] && [ -n "$rotates" ]; then
        printf '\nNext, for KMS to encrypt with the new material:\n'
        for arn in $rotates; do
            rest=${arn#arn:*:kms:}
            printf '  bash online.sh rotate --key %s --now\n' "$arn"
            printf '  (aws kms rotate-key-on-demand --region %s --key-id %s)\n' "${rest%%:*}" "$arn"
        done
    fi
    exit "$code"
}

case ${1-} in
    -h | --help)
        usage
        exit 0 ;;
esac
printf '%s\n  ceremony    %s\n' "$title" "$ceremony"
if [ "$rehearsal" != no ]; then
    echo "import.sh: REHEARSAL: practice material, nothing is imported" >&2
    exit 2
fi
case $0 in
    */*) CDPATH='' cd -- "${0%/*}" || exit 2 ;;
esac

run_one 'symmetric_default' 'eu-west-1' ${1+"$@"}
run_one 'hmac_224' 'eu-west-1' ${1+"$@"}
run_one 'hmac_256' 'eu-west-1' ${1+"$@"}
run_one 'hmac_384' 'eu-west-1' ${1+"$@"}
run_one 'hmac_512' 'eu-west-1' ${1+"$@"}
run_one 'rsa_2048' 'eu-west-1' ${1+"$@"}
run_one 'rsa_3072' 'eu-west-1' ${1+"$@"}
run_one 'rsa_4096' 'eu-west-1' ${1+"$@"}
run_one 'ecc_nist_p256' 'eu-west-1' ${1+"$@"}
run_one 'ecc_nist_p384' 'eu-west-1' ${1+"$@"}
run_one 'ecc_nist_p521' 'eu-west-1' ${1+"$@"}
run_one 'ecc_secg_p256k1' 'eu-west-1' ${1+"$@"}

finish
