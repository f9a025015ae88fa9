#!/usr/bin/env bash
# The online half of a key ceremony, for the cloud operator: the KMS key, the import parameters and
# their slip, the import, the proof, the alarm, and the end. One file. It needs bash 3.2 or newer, the
# AWS CLI, version 1 or 2, and tools that macOS, Linux and AWS CloudShell have. It never sees a data key.
#
#     bash online.sh --help
#     bash online.sh VERB --help

case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
if [ -z "${BASH_VERSION:-}" ]; then
    echo "online.sh: run it with bash: bash online.sh --help" >&2
    exit 2
fi
set -u

tab=$'\t'
# The digest over all parameter files, with stock tools and in the folder of SHA256SUMS.
slip_command='sha256sum -c SHA256SUMS &&
      sha256sum < SHA256SUMS | cut -c 1-64 | fold -w 8 | cat -n'
# `byok` computes the fingerprint of HMAC material over this text; GenerateMac over it must give the same.
fingerprint_text='byok-ceremony material fingerprint v1'
year_days=365
newer_material='2.28, or 1.41 of the old line (July 2025)'
newer_rotation='2.16, or 1.33 of the old line (June 2024)'

usage() {
    cat <<'END'
usage: bash online.sh [GLOBAL] VERB [OPTIONS]

The online half of a key ceremony with AWS KMS. The verbs, in the order of a
data key's life:

  create             make a KMS key of Origin EXTERNAL, which waits for
                     imported material
  parameters         download the import parameters for one import, and show
                     the slip
  slip               show the slip again, which a second person writes down and
                     signs
  import             run the import.sh that came from the room
  prove              show what KMS holds; how much can be shown depends on the
                     key's spec
  replicate          make a replica of a multi-Region key in another Region
  rotate             list all materials of a KMS key; with --now, make the new
                     one current
  alias              point an alias to a KMS key (manual rotation)
  status             show every key of Origin EXTERNAL: aliases, state, days
                     left, materials
  alarm              alert somebody 30 days before the material expires, and
                     when it is deleted
  evidence           save what CloudTrail knows about the key, as a file for
                     `byok receipt`
  disable, enable    stop and resume every use of the key
  delete-material    delete the imported material: the key stops working at
                     once
  schedule-deletion  delete the KMS key for ever, after 7 to 30 days
  cancel-deletion    stop that, and enable the key again

Global options, before or after the verb:

  --profile NAME        the credentials to use
  --region REGION       if neither the AWS CLI's own setting nor the key's ARN
                        gives it
  --endpoint-url URL    another endpoint, for every call of the verb: https://
                        or http://, host and port. Endpoints in the environment
                        and the AWS configuration are ignored
  --dry-run             print the aws commands, shell-quoted, one in each line;
                        run none, write nothing. If an answer of KMS decides
                        what comes next, every case is printed, after a line
                        that begins with #

`bash online.sh VERB --help` gives the options of a verb, an example, the
permissions that it needs, and what it does not do.

No verb deletes material in order to import it again: a reimport replaces what
is there. No file is ever overwritten, except SHA256SUMS and slip.txt, which
follow the parameter files beside them.

Exit codes: 0 done, 1 declined, 2 usage or a file, 3 AWS refused, or the AWS
CLI is missing or too old, 4 something is not what it claims to be, 130
interrupted.
END
}

help_create() {
    cat <<'END'
usage: bash online.sh create --name NAME [--spec SPEC] [--usage USAGE]
           [--multi-region] [--description TEXT] [--tag KEY=VALUE]...
           [--alias NAME] [--policy FILE]

Makes a KMS key of Origin EXTERNAL without material, and writes
NAME.describe-key.json, which `byok plan` reads. Prints the key's ARN.

  --spec SPEC      SYMMETRIC_DEFAULT (the default), HMAC_224, HMAC_256,
                   HMAC_384, HMAC_512, ECC_NIST_P256, ECC_NIST_P384,
                   ECC_NIST_P521, ECC_SECG_P256K1, RSA_2048, RSA_3072,
                   RSA_4096. KMS imports into no other spec
  --usage USAGE    default ENCRYPT_DECRYPT for SYMMETRIC_DEFAULT,
                   GENERATE_VERIFY_MAC for HMAC, SIGN_VERIFY for ECC and RSA
  --multi-region   a multi-Region primary key; this cannot be changed later
  --tag KEY=VALUE  may be given again
  --alias NAME     an alias for it; "alias/" is put before NAME if it is
                   missing
  --policy FILE    the key policy; KMS's default allows the account everything.
                   Before sending it, this says which of an import's two
                   actions no statement allows, and which a Deny covers

Example:
  bash online.sh create --name eu-west-1 --region eu-west-1 \
      --description 'Payments 2026' --alias payments --policy key-policy.json

Needs: kms:CreateKey, kms:DescribeKey; with --tag kms:TagResource, with --alias
kms:CreateAlias.
Does not: import anything, or change an existing key.
END
}

help_parameters() {
    cat <<'END'
usage: bash online.sh parameters --name IMPORTNAME --key ARN|ID
           --algorithm ALGORITHM [--size RSA_4096] [--out inputs]

Downloads the import parameters for one import into inputs/IMPORTNAME.json:
KMS's answer, plus WrappingAlgorithm and WrappingKeySpec, which KMS does not
give and byok compares with the plan. Then it writes inputs/SHA256SUMS and
shows the slip for everything in inputs/.

Do this at most 24 hours before the import: after that KMS refuses the import
token. Do it again for each import and each reimport; do not use an older set
for the same key.

  --algorithm      RSAES_OAEP_SHA_256 or RSAES_OAEP_SHA_1 for SYMMETRIC_DEFAULT
                   and HMAC; RSA_AES_KEY_WRAP_SHA_256 or RSA_AES_KEY_WRAP_SHA_1
                   for RSA; any of them for ECC
  --size           RSA_2048, RSA_3072 or RSA_4096
  --out DIRECTORY  made if it is missing. Besides parameters it holds
                   SHA256SUMS and slip.txt

Example:
  bash online.sh parameters --name eu-west-1 \
      --algorithm RSAES_OAEP_SHA_256 --key \
    arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

Needs: kms:DescribeKey, kms:GetParametersForImport.
Does not: import anything, or overwrite an existing file.
END
}

help_slip() {
    cat <<'END'
usage: bash online.sh slip [--out inputs]

Shows the slip, and writes it to inputs/slip.txt: the digest of each wrapping
key, and one digest over all parameter files, 8 rows each. A second person, who
trusts neither the carrier nor the stick, writes it down or checks the print
against this screen, signs it, and takes it into the room. There byok asks for
some of its rows. Needs no network.

It accepts the same forms as byok in the room: parameter files as `parameters`
writes them, the console's .zip (this needs unzip), and a folder with public
key and import token as .bin or .b64. It leaves out DescribeKey answers beside
them, and refuses anything else there, symbolic links too. If a file changed
since SHA256SUMS was written, or its ParametersValidTo is past, it exits with
4.

Example:
  bash online.sh slip --out inputs

Needs: no permission.
Does not: replace the eyes of the second person.
END
}

help_import() {
    cat <<'END'
usage: bash online.sh import FOLDER [--yes]

Runs the import.sh that the ceremony wrote: in the folder of one import,
LABEL/IMPORT; or at the top of a record, to run all of them. It knows the key,
the Region and the expiry. Each run leaves an import-result file for
`byok receipt`. After a failure it says what failed and who must act.

  --yes   do not ask before each import

Example:
  bash online.sh import payments-2026/eu-west-1 --profile keys

Needs: kms:ImportKeyMaterial.
Does not: delete anything first. That is never needed: a reimport replaces what
is there.
END
}

help_prove() {
    cat <<'END'
usage: bash online.sh prove --key ARN [--fingerprint HEX]
           [--public-key FILE] [--out DIRECTORY]

Shows what KMS holds after an import, and keeps KMS's answers as files for
`byok receipt` (REGION-ID.describe-key.json and the like, in this folder or in
DIRECTORY).

  SYMMETRIC_DEFAULT  encrypts and decrypts. That shows that the key works, but
                     NOT which material it has: only a second import of the
                     same material, by another person, shows that
  HMAC               GenerateMac over byok's fingerprint text. If it equals
                     --fingerprint, from the report or the share form, KMS
                     holds the data key of the record
  ECC, RSA           GetPublicKey. If it equals --public-key, the record's file
                     (PEM or DER), or --fingerprint, KMS holds the data key of
                     the record

Example:
  bash online.sh prove --fingerprint 0f1e2d... --key ARN

Needs: kms:DescribeKey; kms:Encrypt and kms:Decrypt, kms:GenerateMac, or
kms:GetPublicKey.
Does not: change anything.
END
}

help_replicate() {
    cat <<'END'
usage: bash online.sh replicate --key ARN --to REGION [--policy FILE]
           [--description TEXT] [--name NAME]

Makes a replica of a multi-Region primary key of Origin EXTERNAL in another
Region, and prints its ARN. The replica has no material: download import
parameters for it, and have the same material wrapped for it. With --name,
writes NAME.describe-key.json for `byok plan`.

Example:
  bash online.sh replicate --name eu-west-2 --to eu-west-2 --key \
    arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab

Needs: kms:DescribeKey; kms:ReplicateKey in the primary's Region, kms:CreateKey
in the other.
Does not: carry material: each replica has its own import.
END
}

help_rotate() {
    cat <<'END'
usage: bash online.sh rotate --key ARN [--now] [--out FILE]

Lists every material of a symmetric KMS key with its state. Such a key is
Enabled only while ALL of them are imported: each needs its own record, and its
own reimport before it expires. With --out, keeps KMS's answer for
`byok receipt`.

  --now   after an import as NEW_KEY_MATERIAL: from now on the key encrypts
          with the new material, and still decrypts with the old ones. At most
          25 times in the life of a key; it cannot be undone

For a multi-Region key: import the new material into the primary and all
replicas, then rotate the primary. HMAC, ECC and RSA keys keep their first
material for ever: rotate those with a new KMS key and `alias`.

Example:
  bash online.sh rotate --now --key \
    arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

Needs: kms:DescribeKey, kms:ListKeyRotations; with --now kms:RotateKeyOnDemand.
Does not: make or import material. Automatic rotation does not exist for
imported material.
END
}

help_alias() {
    cat <<'END'
usage: bash online.sh alias --name alias/NAME --key ARN

Points an alias to this key: makes it, or moves it and says where it pointed
before. That is manual rotation: from now on, whatever uses the alias encrypts
with this key. Keep the old key: only it can decrypt what it encrypted.
"alias/" is put before NAME if it is missing.

Example:
  bash online.sh alias --name payments --key \
    arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

Needs: kms:DescribeKey, kms:ListAliases, kms:CreateAlias or kms:UpdateAlias (on
the alias, the old and the new key).
Does not: re-encrypt anything.
END
}

help_status() {
    cat <<'END'
usage: bash online.sh status [--regions REGION,REGION]

Shows every key of Origin EXTERNAL in these Regions: aliases, state, days left,
materials. If a key in use is PendingImport, that is an outage; it can also
come without warning after the loss of a whole Region. Reimport today.

Example:
  bash online.sh status --regions eu-west-1,eu-central-1

Needs: kms:ListKeys, kms:DescribeKey, kms:ListAliases, kms:ListKeyRotations.
Does not: change anything.
END
}

help_alarm() {
    cat <<'END'
usage: bash online.sh alarm --key ARN --topic SNS_ARN [--days 30]

Alerts somebody, through an SNS topic in the key's Region with a confirmed
subscription,
  - while fewer than --days (1 to 364) are left until the material expires: a
    CloudWatch alarm on AWS/KMS SecondsUntilKeyMaterialExpires, Minimum, 60 s,
    LessThanThreshold;
  - when it has expired or the key was deleted, and when somebody deletes the
    material, disables the key or schedules its deletion: two EventBridge
    rules. The second needs a CloudTrail trail in this Region.
Running it again sets the same alarm and rules again.

Example:
  bash online.sh alarm --topic arn:aws:sns:eu-west-1:111122223333:keys --key \
    arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

Needs: kms:DescribeKey, sns:ListSubscriptionsByTopic, sns:GetTopicAttributes,
cloudwatch:PutMetricAlarm, cloudwatch:DescribeAlarms, events:PutRule,
events:PutTargets.
Does not: make the topic, or change its policy.
END
}

help_evidence() {
    cat <<'END'
usage: bash online.sh evidence --key ARN [--out FILE] [--days 90]

Writes the CloudTrail events about this key's life (made, imported, deleted,
expired, disabled, rotated, aliases, policy; not each encryption) as JSON for
`byok receipt`. The event history keeps 90 days; older events are in your
trail's bucket. The default FILE is REGION-ID.cloudtrail.json. It names people
and addresses: keep it like the record.

Example:
  bash online.sh evidence --days 7 --key \
    arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

Needs: cloudtrail:LookupEvents.
Does not: prove which material it was. An event appears about 5 minutes after
it happened.
END
}

help_disable() {
    cat <<'END'
usage: bash online.sh disable --key ARN

Stops every use of the key until `enable`. The material stays, and its expiry
date does not move. Data keys that a service has in memory work until the
service next asks KMS.

Example:
  bash online.sh disable --key \
    arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

Needs: kms:DescribeKey, kms:DisableKey.
Does not: touch the material.
END
}

help_enable() {
    cat <<'END'
usage: bash online.sh enable --key ARN

Allows the key to be used again after `disable`.

Example:
  bash online.sh enable --key \
    arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

Needs: kms:DescribeKey, kms:EnableKey.
Does not: bring back material: a key in PendingImport needs an import.
END
}

help_delete_material() {
    cat <<'END'
usage: bash online.sh delete-material --key ARN [--material ID]

Deletes imported material from KMS, at once. Says what breaks, and goes on only
after you type the key's id. Only a reimport of the same material ends the
outage. This is never needed before a reimport, nor to change the expiry: just
reimport.

  --material ID   one of several materials (see `rotate`); the whole key still
                  stops

Example:
  bash online.sh delete-material --key \
    arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

Needs: kms:DescribeKey, kms:ListAliases, kms:DeleteImportedKeyMaterial.
Does not: delete the KMS key, or anything in the HSM or with the custodians.
END
}

help_schedule_deletion() {
    cat <<'END'
usage: bash online.sh schedule-deletion --key ARN [--days 30]

Ends a KMS key: it is unusable at once, and gone for ever after --days (7 to
30). Says what breaks and when, and goes on only after you type the key's id.
Until the end `cancel-deletion` brings it back. Disable it first, and wait long
enough for whoever still needs it to call.

Example:
  bash online.sh schedule-deletion --days 30 --key \
    arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

Needs: kms:DescribeKey, kms:ListAliases, kms:ScheduleKeyDeletion.
Does not: destroy the material in the HSM; a ceremony of kind `destroy` does
that, afterwards.
END
}

help_cancel_deletion() {
    cat <<'END'
usage: bash online.sh cancel-deletion --key ARN

Stops a scheduled deletion, and enables the key, which KMS leaves Disabled.

Example:
  bash online.sh cancel-deletion --key \
    arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

Needs: kms:DescribeKey, kms:CancelKeyDeletion, kms:EnableKey.
Does not: bring back material that has expired meanwhile.
END
}

# ---- speaking ----

say() { printf '%s\n' "$@" | folded; }
say_err() { say "$@" >&2; }

# refuse CODE LINE...: ends.
refuse() {
    local code=$1
    shift
    printf 'online.sh: %s\n' "$@" | clean | folded >&2
    exit "$code"
}

# quoted WORD: as a shell reads it back.
quoted() {
    case $1 in
        '' | *[!A-Za-z0-9_./:=,@%+-]*) printf "'%s'" "$(printf '%s' "$1" | LC_ALL=C sed "s/'/'\\\\''/g")" ;;
        *) printf '%s' "$1" ;;
    esac
}

command_line() {
    local word line=$1
    shift
    for word in ${1+"$@"}; do
        line="$line $(quoted "$word")"
    done
    printf '%s\n' "$line"
}

# again VERB ARGUMENT...: a command to type next, for the same profile and endpoint as this one; and for its Region, if
# no ARN says that.
again() {
    case " $* " in
        *" arn:"*) ;;
        *) [ -z "$region" ] || set -- "$@" --region "$region" ;;
    esac
    [ -z "$profile" ] || set -- "$@" --profile "$profile"
    [ -z "$endpoint" ] || set -- "$@" --endpoint-url "$endpoint"
    command_line bash online.sh "$@"
}

# planned TEXT: a remark in the output of --dry-run.
planned() {
    [ "$dry_run" = no ] || printf '# %s\n' "$@"
}

# ---- digests ----

sha256_of() { # FILE, or - for stdin
    local line
    if [ "$1" != - ]; then
        sha256_of - <"$1"
        return
    fi
    if command -v sha256sum >/dev/null 2>&1; then
        line=$(sha256sum)
    elif command -v shasum >/dev/null 2>&1; then
        line=$(shasum -a 256)
    elif command -v openssl >/dev/null 2>&1; then
        line=$(openssl dgst -sha256)
    else
        refuse 2 "no program here can compute SHA-256" "install one of sha256sum, shasum, openssl"
    fi
    line=${line##*= } # openssl writes the digest last, the others first
    printf '%s\n' "${line%% *}"
}

# digest_rows DIGEST: as byok shows it: 8 numbered rows of 8 hex digits and 4 words.
digest_rows() {
    pgp_words | LC_ALL=C awk -v digest="$1" '
        { even[NR - 1] = $1; odd[NR - 1] = $2 }
        function nibble(at) { return index("0123456789abcdef", substr(digest, at, 1)) - 1 }
        function byte(at) { return nibble(2 * at + 1) * 16 + nibble(2 * at + 2) }
        function pair(at) { return even[byte(at)] " " odd[byte(at + 1)] }
        END {
            for (row = 0; row < 8; row++) {
                at = row * 4
                printf "  row %d   %s %s   %-22s %s\n", row + 1, substr(digest, at * 2 + 1, 4),
                    substr(digest, at * 2 + 5, 4), pair(at), pair(at + 2)
            }
        }'
}

# hex_of_text: padded base64 on stdin, lower-case hex on stdout; fails on anything else. Its own,
# because the decoders of macOS and Linux take different options.
hex_of_text() {
    LC_ALL=C tr -d ' \t\r\n' | LC_ALL=C awk '
        { text = text $0 }
        END {
            letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            size = length(text)
            if (size == 0 || size % 4) exit 1
            pad = substr(text, size - 1) == "==" ? 2 : substr(text, size) == "=" ? 1 : 0
            for (at = 1; at <= size; at += 4) {
                value = 0
                for (i = at; i < at + 4; i++) {
                    digit = i > size - pad ? 0 : index(letters, substr(text, i, 1)) - 1
                    if (digit < 0) exit 1
                    value = value * 64 + digit
                }
                hex = hex sprintf("%06x", value)
            }
            if (pad && value % (pad == 1 ? 256 : 65536)) exit 1 # bits that mean nothing must be zero
            print substr(hex, 1, length(hex) - 2 * pad)
        }'
}

# hex_of_bytes: of any bytes on stdin. Slow, and needs no program.
hex_of_bytes() {
    local LC_ALL=C byte number
    while IFS= read -r -d '' -n 1 byte; do
        number=0
        [ -z "$byte" ] || printf -v number %d "'$byte"
        printf '%02x' $((number & 255))
    done
}

# bytes_of HEX: the bytes, on stdout.
bytes_of() { printf '%b' "$(printf '%s' "$1" | LC_ALL=C sed 's/../\\x&/g')"; }

# spki_size HEX: which RSA key this is by its exact DER form, exponent 65537; fails for anything else.
spki_size() {
    local key=$1 begins ends=0203010001 bytes=$((${#1} / 2)) size
    case $bytes in
        294) begins=30820122300d06092a864886f70d01010105000382010f003082010a0282010100 size=RSA_2048 ;;
        422) begins=308201a2300d06092a864886f70d01010105000382018f003082018a0282018100 size=RSA_3072 ;;
        550) begins=30820222300d06092a864886f70d01010105000382020f003082020a0282020100 size=RSA_4096 ;;
        *) return 1 ;;
    esac
    case $key in
        "$begins"[89a-f]*[13579bdf]"$ends") printf '%s\n' "$size" ;;
        *) return 1 ;;
    esac
}

# ---- time: date differs between systems, so the calendar is computed here ----

# epoch_of TEXT: seconds since 1970 of what the AWS CLI writes: a number, or ISO 8601 with an offset.
epoch_of() {
    local LC_ALL=C text=$1 epoch offset=0
    local form='^([12][0-9]{3}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|([+-])([01][0-9]|2[0-3]):?([0-5][0-9]))$'
    case $text in
        *[!0-9.]* | '' | .* | *.*.*) ;;
        *) text=${text%%.*}
            [ "${#text}" -le 12 ] || return 1
            printf '%s\n' $((10#$text))
            return 0 ;;
    esac
    [[ $text =~ $form ]] || return 1
    set -- "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[5]}" "${BASH_REMATCH[6]}" "${BASH_REMATCH[7]}"
    epoch=$(seconds_of "$1" "$2")
    # No 31st of February, no 25th hour.
    [ "$(utc_of "$epoch")" = "$1T${2}Z" ] || return 1
    [ -z "$3" ] || offset=$((10#$4 * 3600 + 10#$5 * 60))
    [ "$3" != - ] || offset=$((-offset))
    printf '%s\n' $((epoch - offset))
}

# seconds_of DAY CLOCK: since 1970, as if it were UTC.
seconds_of() {
    local year=$((10#${1%%-*})) month=${1#*-} minute=${2#*:} days
    month=$((10#${month%%-*})) minute=$((10#${minute%%:*}))
    # The year begins in March here, so that the leap day is its last.
    [ "$month" -gt 2 ] || year=$((year - 1))
    days=$(((153 * ((month + 9) % 12) + 2) / 5 + 10#${1##*-} - 1))
    days=$((days + year * 365 + year / 4 - year / 100 + year / 400 - 719468))
    printf '%s\n' $((days * 86400 + 10#${2%%:*} * 3600 + minute * 60 + 10#${2##*:}))
}

# utc_of EPOCH: 2026-11-23T09:41:00Z
utc_of() {
    local days=$(($1 / 86400 + 719468)) rest=$(($1 % 86400)) era of_era year of_year month day
    era=$((days / 146097)) of_era=$((days % 146097))
    year=$(((of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365))
    of_year=$((of_era - (365 * year + year / 4 - year / 100)))
    month=$(((5 * of_year + 2) / 153))
    day=$((of_year - (153 * month + 2) / 5 + 1))
    year=$((year + era * 400))
    month=$((month < 10 ? month + 3 : month - 9))
    [ "$month" -gt 2 ] || year=$((year + 1))
    printf '%04d-%02d-%02dT%02d:%02d:%02dZ\n' "$year" "$month" "$day" $((rest / 3600)) $((rest / 60 % 60)) \
        $((rest % 60))
}

# shown_time EPOCH: 2026-11-23 09:41 UTC
shown_time() { utc_of "$1" | LC_ALL=C sed 's/T\(..:..\):..Z/ \1 UTC/'; }

# ---- files ----

# publish TEMPORARY FINAL MODE: gives a finished file its name; whole or not at all, never over another.
publish() {
    chmod "$3" "$1" || return 1
    if ln "$1" "$2" 2>/dev/null; then
        rm -f "$1"
        return 0
    fi
    if [ ! -e "$2" ] && [ ! -L "$2" ]; then # a file system without hard links
        mv -n "$1" "$2" && [ ! -e "$1" ] && return 0
    fi
    rm -f "$1"
    return 1
}

# beside FILE CONTENT: a temporary file with this content, in the directory of FILE.
beside() {
    local folder=. temporary
    case $1 in
        /*/*) folder=${1%/*} ;;
        /*) folder=/ ;;
        */*) folder=./${1%/*} ;;
    esac
    temporary=$(mktemp "$folder/.online.XXXXXX") || refuse 2 "no file can be made in $folder"
    if ! cat "$2" >"$temporary"; then
        rm -f "$temporary"
        refuse 2 "$1 cannot be written: is the disk full?"
    fi
    printf '%s\n' "$temporary"
}

# keep CONTENT FINAL MODE: a new file.
keep() {
    local temporary
    temporary=$(beside "$2" "$1") || exit 2
    publish "$temporary" "$2" "$3" || refuse 2 "$2 cannot be written, or exists: no file is overwritten" 'give another name, or move that file away first'
}

# rewrite CONTENT FINAL: the two files that follow the parameter files.
rewrite() {
    local temporary
    temporary=$(beside "$2" "$1") || exit 2
    if chmod 644 "$temporary" && mv -f "$temporary" "$2"; then return 0; fi
    rm -f "$temporary"
    refuse 2 "$2 cannot be written"
}

# must_be_new FILE [HINT…]
must_be_new() {
    local file=$1
    if [ -e "$file" ] || [ -L "$file" ]; then
        shift
        [ $# -gt 0 ] || set -- 'give another name, or move that file away first'
        refuse 2 "$file exists, and no file is overwritten" "$@"
    fi
}

# free_name STEM [EXTENSION]: STEM.EXTENSION, or STEM-2.EXTENSION and so on.
free_name() {
    local number=2 name=$1${2:+.$2}
    while [ -e "$name" ] || [ -L "$name" ]; do
        name=$1-$number${2:+.$2}
        number=$((number + 1))
    done
    printf '%s\n' "$name"
}

# One line for each byte value: the word for even positions, the word for odd ones (PGP word list,
# P. Juola, P. Zimmermann, 1995).
pgp_words() {
    cat <<'END'
aardvark adroitness
absurd adviser
accrue aftermath
acme aggregate
adrift alkali
adult almighty
afflict amulet
ahead amusement
aimless antenna
Algol applicant
allow Apollo
alone armistice
ammo article
ancient asteroid
apple Atlantic
artist atmosphere
assume autopsy
Athens Babylon
atlas backwater
Aztec barbecue
baboon belowground
backfield bifocals
backward bodyguard
banjo bookseller
beaming borderline
bedlamp bottomless
beehive Bradbury
beeswax bravado
befriend Brazilian
Belfast breakaway
berserk Burlington
billiard businessman
bison butterfat
blackjack Camelot
blockade candidate
blowtorch cannonball
bluebird Capricorn
bombast caravan
bookshelf caretaker
brackish celebrate
breadline cellulose
breakup certify
brickyard chambermaid
briefcase Cherokee
Burbank Chicago
button clergyman
buzzard coherence
cement combustion
chairlift commando
chatter company
checkup component
chisel concurrent
choking confidence
chopper conformist
Christmas congregate
clamshell consensus
classic consulting
classroom corporate
cleanup corrosion
clockwork councilman
cobra crossover
commence crucifix
concert cumbersome
cowbell customer
crackdown Dakota
cranky decadence
crowfoot December
crucial decimal
crumpled designing
crusade detector
cubic detergent
dashboard determine
deadbolt dictator
deckhand dinosaur
dogsled direction
dragnet disable
drainage disbelief
dreadful disruptive
drifter distortion
dropper document
drumbeat embezzle
drunken enchanting
Dupont enrollment
dwelling enterprise
eating equation
edict equipment
egghead escapade
eightball Eskimo
endorse everyday
endow examine
enlist existence
erase exodus
escape fascinate
exceed filament
eyeglass finicky
eyetooth forever
facial fortitude
fallout frequency
flagpole gadgetry
flatfoot Galveston
flytrap getaway
fracture glossary
framework gossamer
freedom graduate
frighten gravity
gazelle guitarist
Geiger hamburger
glitter Hamilton
glucose handiwork
goggles hazardous
goldfish headwaters
gremlin hemisphere
guidance hesitate
hamlet hideaway
highchair holiness
hockey hurricane
indoors hydraulic
indulge impartial
inverse impetus
involve inception
island indigo
jawbone inertia
keyboard infancy
kickoff inferno
kiwi informant
klaxon insincere
locale insurgent
lockup integrate
merit intention
minnow inventive
miser Istanbul
Mohawk Jamaica
mural Jupiter
music leprosy
necklace letterhead
Neptune liberty
newborn maritime
nightbird matchmaker
Oakland maverick
obtuse Medusa
offload megaton
optic microscope
orca microwave
payday midsummer
peachy millionaire
pheasant miracle
physique misnomer
playhouse molasses
Pluto molecule
preclude Montana
prefer monument
preshrunk mosquito
printer narrative
prowler nebula
pupil newsletter
puppy Norwegian
python October
quadrant Ohio
quiver onlooker
quota opulent
ragtime Orlando
ratchet outfielder
rebirth Pacific
reform pandemic
regain Pandora
reindeer paperweight
rematch paragon
repay paragraph
retouch paramount
revenge passenger
reward pedigree
rhythm Pegasus
ribcage penetrate
ringbolt perceptive
robust performance
rocker pharmacy
ruffled phonetic
sailboat photograph
sawdust pioneer
scallion pocketful
scenic politeness
scorecard positive
Scotland potato
seabird processor
select provincial
sentence proximate
shadow puberty
shamrock publisher
showgirl pyramid
skullcap quantity
skydive racketeer
slingshot rebellion
slowdown recipe
snapline recover
snapshot repellent
snowcap replica
snowslide reproduce
solo resistor
southward responsive
soybean retraction
spaniel retrieval
spearhead retrospect
spellbind revenue
spheroid revival
spigot revolver
spindle sandalwood
spyglass sardonic
stagehand Saturday
stagnate savagery
stairway scavenger
standard sensation
stapler sociable
steamship souvenir
sterling specialist
stockman speculate
stopwatch stethoscope
stormy stupendous
sugar supportive
surmount surrender
suspense suspicious
sweatband sympathy
swelter tambourine
tactics telephone
talon therapist
tapeworm tobacco
tempest tolerance
tiger tomorrow
tissue torpedo
tonic tradition
topmost travesty
tracker trombonist
transit truncated
trauma typewriter
treadmill ultimate
Trojan undaunted
trouble underfoot
tumor unicorn
tunnel unify
tycoon universe
uncut unravel
unearth upcoming
unwind vacancy
uproot vagabond
upset vertigo
upshot Virginia
vapor visitor
village vocalist
virus voyager
Vulcan warranty
waffle Waterloo
wallet whimsical
watchword Wichita
wayside Wilmington
willow Wyoming
woodlark yesteryear
Zulu Yucatan
END
}

# ---- answers of AWS: the same text stands in every import.sh ----

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

# clean: the text on stdin, fit to be shown: without control characters except tabs and line feeds,
# without what turns the direction of text, and in UTF-8.
clean() {
    local text
    text=$(LC_ALL=C tr -d '\000-\010\013-\037\177')
    if ! printf '%s' "$text" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1; then
        text=$(printf '%s' "$text" | LC_ALL=C tr '\200-\377' '[?*]')
    fi
    printf '%s\n' "$text" | LC_ALL=C sed "$(printf \
        's/\302[\200-\237]//g; s/\330\234//g; s/\342\200[\216\217\252-\256]//g; s/\342\201[\246-\251]//g')"
}

# error_code TEXT: the name of the error that AWS gave, such as AccessDeniedException, in whatever
# cli_error_format it uses; nothing if the AWS CLI itself failed.
error_code() {
    local code
    code=$(printf '%s\n' "$1" | LC_ALL=C sed -n \
        -e 's/.*An error occurred (\([A-Za-z0-9.]*\)).*/\1/p' -e t \
        -e 's/^[[:space:]{,]*"\{0,1\}Code"\{0,1\}:[[:space:]]*"\{0,1\}\([A-Za-z0-9.]*\).*/\1/p' -e t \
        -e 's/.*[{,][[:space:]]*"Code":[[:space:]]*"\([A-Za-z0-9.]*\)".*/\1/p' | head -n 1)
    [ -n "$code" ] || code=$(printf '%s\n' "$1" | LC_ALL=C tr -c 'A-Za-z0-9.\n' '\n' |
        LC_ALL=C sed -n '/^[A-Z][A-Za-z0-9]*Exception$/p; /^AccessDenied$/p; /^InternalFailure$/p' | head -n 1)
    printf '%s' "$code"
}

# json_lines: the JSON on stdin, a line for each string, number or boolean in it: its path, such as /Statement/0/Effect, a
# tab, and the value, with ? or a blank for what is not plain. Fails for what is not JSON.
json_lines() {
    LC_ALL=C tr -d '\000' | LC_ALL=C awk '
        function bad() { out = ""; exit 1 }
        function skip(count) { text = substr(text, count + 1); sub(/^[ \t\r\n]+/, "", text) }
        function hex(digits,   at, code) {
            for (at = 1; at <= 4; at++) code = code * 16 + index("0123456789abcdef", tolower(substr(digits, at, 1))) - 1
            return code > 31 && code < 127 ? code : 63
        }
        function string(   raw, plain, c) {
            if (!match(text, /^"([^"\\]|\\.)*"/)) bad()
            raw = substr(text, 2, RLENGTH - 2)
            skip(RLENGTH)
            while (match(raw, /\\/)) {
                plain = plain substr(raw, 1, RSTART - 1)
                c = substr(raw, RSTART + 1, 1)
                raw = substr(raw, RSTART + 2)
                if (c == "u") {
                    c = sprintf("%c", hex(substr(raw, 1, 4)))
                    raw = substr(raw, 5)
                } else if (c ~ /[bfnrt]/) c = " "
                plain = plain c
            }
            plain = plain raw
            gsub(/[\001-\037]/, " ", plain)
            return plain
        }
        function value(path,   c, many, name) {
            c = substr(text, 1, 1)
            if (c == "\"") {
                out = out path "\t" string() "\n"
            } else if (match(text, /^[A-Za-z0-9.+-]+/)) {
                name = substr(text, 1, RLENGTH)
                if (name != "null") out = out path "\t" name "\n"
                skip(RLENGTH)
            } else {
                if (c != "{" && c != "[" || ++depth > 100) bad()
                for (skip(1); substr(text, 1, 1) != (c == "{" ? "}" : "]"); many++) {
                    if (many && substr(text, 1, 1) != ",") bad()
                    if (many) skip(1)
                    name = many + 0
                    if (c == "{") {
                        name = string()
                        if (substr(text, 1, 1) != ":") bad()
                        skip(1)
                        gsub("/", "?", name)
                    }
                    value(path "/" name)
                }
                skip(1)
                depth--
            }
        }
        { text = text $0 "\n" }
        END {
            skip(0)
            value("")
            if (text != "") bad()
            printf "%s", out
        }'
}

# json_at PATH: the value at exactly this place in the JSON on stdin.
json_at() { json_lines | LC_ALL=C sed -n "s|^$1"$'\t'"||p"; }

# was_imported EXIT KEY_ID KEY_ARN CLI: the one rule for when KMS took the material: aws succeeded, and the
# KMS key that answered is the one that was asked. The bare id of a multi-Region key is that of its replicas
# too. Only an AWS CLI that is older than this member shows no KeyId.
was_imported() {
    [ "$1" = 0 ] || return 1
    case $2 in
        '') shows_no_key "$4" ;;
        "$3") return 0 ;;
        mrk-*) return 1 ;;
        *) [ "$2" = "${3##*/}" ] ;;
    esac
}

# shows_no_key CLI: whether `aws --version` names one before 1.40.30 or 2.27.30 (5 June 2025).
shows_no_key() {
    local version=${1#aws-cli/} minor patch
    version=${version%% *}
    minor=${version#*.}
    patch=${minor#*.} minor=${minor%%.*}
    [ "aws-cli/${version%%.*}.$minor.$patch" = "${1%% *}" ] || return 1
    case $minor/$patch in /* | */ | *[!0-9/]*) return 1 ;; esac
    case ${version%%.*} in
        1) [ "$minor" -lt 40 ] || { [ "$minor" -eq 40 ] && [ "$patch" -lt 30 ]; } ;;
        2) [ "$minor" -lt 27 ] || { [ "$minor" -eq 27 ] && [ "$patch" -lt 30 ]; } ;;
        *) return 1 ;;
    esac
}

# member NAME: what an import-result on stdin says, as result_json of import.sh writes it, a member a line.
member() {
    LC_ALL=C tr -d '\000\r' |
        LC_ALL=C sed -n 's/^  "'"$1"'": "\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' | LC_ALL=C sed 's/^null$//' | head -n 1
}

# is_ours FILE: whether it is a regular file of the user who runs this, or of root. A link, or a file that somebody
# else put there, is named and ignored.
is_ours() {
    [ -e "$1" ] || [ -L "$1" ] || return 1
    # shellcheck disable=SC2012 # only the owner is read
    if [ -f "$1" ] && [ ! -L "$1" ] && { [ -O "$1" ] || [ "$(LC_ALL=C ls -dln "$1" | LC_ALL=C awk '{ print $3; exit }')" = 0 ]; }; then
        [ -r "$1" ]
        return
    fi
    printf 'Ignored, because it is a link or the file of somebody else: %s\n' "$1" | clean >&2
    return 1
}

# says_imported FILE: whether this import-result says that KMS took the material.
says_imported() {
    [ "$(member format <"$1")" = byok-import-result-v1 ] &&
        was_imported "$(member exit <"$1")" "$(member KeyId <"$1")" "$(member key_arn <"$1")" "$(member cli <"$1")"
}

# ---- AWS ----

# with_globals FUNCTION SERVICE OPERATION ARGUMENT...: calls it with the global options among them.
with_globals() {
    local then=$1 service=$2 operation=$3
    shift 3
    [ -z "$endpoint" ] || set -- --endpoint-url "$endpoint" "$@"
    [ -z "$profile" ] || set -- --profile "$profile" "$@"
    [ -z "$region" ] || set -- --region "$region" "$@"
    "$then" "$service" "$operation" "$@"
}

print_aws() { command_line aws "$@"; }
run_aws() { aws "$@" >"$scratch/out" 2>"$scratch/err" </dev/null; }

# try SERVICE OPERATION ARGUMENT...: what aws printed is in `answer`; false if it failed. With --dry-run
# the command is printed instead.
try() {
    answer=
    if [ "$dry_run" = yes ]; then
        with_globals print_aws "$@"
        return 0
    fi
    with_globals run_aws "$@"
    status=$?
    if [ "$status" -eq 130 ]; then exit 130; fi
    answer=$(clean <"$scratch/out")
    [ "$status" -eq 0 ]
}

# call PERMISSION SERVICE OPERATION ARGUMENT...: or ends and tells why.
call() {
    local permission=$1
    shift
    try "$@" && return 0
    explain "$permission"
    exit 3
}

failure() { clean <"$scratch/err"; }

# error_name: the name of the error that AWS gave, such as AccessDeniedException.
error_name() { error_code "$(failure)"; }

# explain PERMISSION: what the last failure means and what to do.
explain() {
    local said code
    said=$(failure)
    code=$(error_code "$said")
    say_err "online.sh: aws ended with exit code $status${code:+ ($code)}:"
    printf '%s\n' "$said" | LC_ALL=C sed '/^$/d; s/^/  | /' >&2
    case $code in
        AccessDenied* | UnauthorizedOperation | AuthorizationError*)
            say_err "These credentials may not do this. They lack the action" "  $1" \
                "${key:+on $key, }in their IAM policy or in the key policy; or a condition there is not met." \
                "Ask the account's administrator." ;;
        NotFoundException | InvalidArn* | NotFound)
            say_err "There is no such thing in this account and Region. Check the ARN, --region and --profile." ;;
        KMSInvalidStateException)
            say_err "The KMS key is not in a state that allows this. See its KeyState: $(again status)" ;;
        UnsupportedOperationException)
            say_err "KMS does not do this with a key of this kind." ;;
        LimitExceeded*)
            say_err "A quota of the account is used up, or this key was rotated as often as KMS allows." ;;
        MalformedPolicyDocument*)
            say_err "KMS does not accept the policy: it must be JSON, name principals that exist, and leave you the" \
                "right to change it again. Nothing was made." ;;
        ExpiredToken* | UnrecognizedClient* | InvalidClientTokenId | *Signature*Exception | SignatureDoesNotMatch | RequestExpired)
            sign_in ;;
        Throttling* | TooManyRequests*)
            say_err "AWS is being asked too often at the moment. Run it again." ;;
        InternalFailure | InternalError | Internal*Exception | KMSInternal* | ServiceUnavailable* | *TimeoutException)
            say_err "Something failed inside AWS: nobody here made a mistake. Wait a minute. Run it again." ;;
        *) explain_cli "$1" "$said" ;;
    esac
}

# explain_cli PERMISSION SAID: the AWS CLI itself failed: only its message says why.
explain_cli() {
    case $2 in
        *"Invalid choice"* | *"Unknown options"* | *"invalid choice"*)
            say_err "This AWS CLI is too old for $1: get at least $(newer_than "$2")." "  $(cli_version)" ;;
        *redentials* | *"config profile"* | *"SSO"* | *"Token has expired"*) sign_in ;;
        *"ou must specify a region"*)
            say_err "Say which Region: --region REGION, or the key's ARN." ;;
        *onnect* | *[Tt]imeout* | *"timed out"* | *SSL* | *proxy* | *resolve*)
            say_err "AWS could not be reached, or did not answer in time. Run it again." ;;
        *) say_err "AWS refused, for the reason above. The action was $1." ;;
    esac
}

sign_in() {
    say_err "AWS does not accept your credentials, or finds none. Sign in again, check the clock of this computer."
}

newer_than() {
    case $1 in
        *--include-key-material* | *--key-material-id* | *--import-type*) printf '%s' "$newer_material" ;;
        *) printf '%s' "$newer_rotation" ;;
    esac
}

cli_version() { aws --version 2>&1 </dev/null | head -n 1 | clean; }

check_aws() {
    [ "$dry_run" = no ] || return 0
    command -v aws >/dev/null 2>&1 || refuse 3 "the AWS CLI (aws) is not installed, or not in PATH" \
        "install it (docs.aws.amazon.com/cli), or use AWS CloudShell"
    refuse_other_answers
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/byok-online.XXXXXX") || refuse 2 "no temporary folder can be made"
    trap 'rm -rf "$scratch"' EXIT
    [ "$verb" = import ] || say_err "asks     $(told_endpoint), profile $(told_profile)"
}

told_endpoint() {
    if [ -n "$endpoint" ]; then
        printf '%s (given by --endpoint-url)' "$endpoint"
    else
        printf "AWS's own endpoints"
    fi
}

told_profile() {
    if [ -n "$profile" ]; then
        printf '%s' "$profile" | clean
    elif [ -n "${AWS_DEFAULT_PROFILE:-${AWS_PROFILE:-}}" ]; then
        printf '%s (from the environment)' "$(printf '%s' "${AWS_DEFAULT_PROFILE:-$AWS_PROFILE}" | clean)"
    else
        printf 'none given'
    fi
}

# ---- the key ----

# check_key: takes --key apart. An alias is refused: tomorrow it may point elsewhere.
check_key() {
    local arn_region account
    need key
    case $key in
        alias/* | *:alias/*)
            refuse 2 "--key $key is an alias" "give the key's ARN or id: an alias may point elsewhere tomorrow" \
                "the aliases and their keys: $(again status)" ;;
        arn:aws*:kms:*:*:key/*)
            arn_region=${key#arn:*:kms:} account=${arn_region#*:}
            arn_region=${arn_region%%:*} account=${account%%:*} key_id=${key##*/}
            case $account in *[!0-9]* | '') refuse 2 "--key $key is not the ARN of a KMS key" ;; esac
            [ -z "$region" ] || [ "$region" = "$arn_region" ] || refuse 2 \
                "--region $region is not the Region of --key $key"
            region=$arn_region ;;
        arn:*) refuse 2 "--key $key is not the ARN of a KMS key" ;;
        *) key_id=$key ;;
    esac
    case $key_id in
        '' | *[!0-9a-z-]*) refuse 2 "--key $key is neither the ARN nor the id of a KMS key" ;;
    esac
}

# None of the AWS CLI is nothing.
or_nothing() { [ "$1" = None ] || printf '%s' "$1"; }

description_query='KeyMetadata.[Arn,KeyId,KeySpec,KeyUsage,Origin,KeyState,ExpirationModel,ValidTo,MultiRegion,MultiRegionConfiguration.MultiRegionKeyType,CurrentKeyMaterialId,DeletionDate]'

# describe: what KMS says of the key. In a dry run nothing is known.
describe() {
    call kms:DescribeKey kms describe-key --key-id "$key" --output text --query \
        "$description_query"
    [ "$dry_run" = no ] || return 0
    read_description "$answer"
    case $key in
        arn:*) [ "$key_arn" = "$key" ] || refuse 4 "KMS answered for another key" "asked    $key" "answered $key_arn" ;;
        *) [ "${key_arn##*/}" = "$key" ] || refuse 4 "KMS answered for another key" "asked    $key" \
            "answered $key_arn" ;;
    esac
    if [ -z "$region" ]; then
        region=${key_arn#arn:*:kms:} region=${region%%:*}
    fi
}

read_description() {
    local answered_id=''
    printf '%s\n' "$1" >"$scratch/line" || refuse 2 "the disk is full"
    IFS=$tab read -r key_arn answered_id key_spec key_usage key_origin key_state key_model key_valid_to \
        key_multi key_kind key_material key_deletion <"$scratch/line"
    case $key_arn in
        arn:*:kms:*:key/"$answered_id") ;;
        *) refuse 4 "KMS's answer contradicts itself: Arn $key_arn, KeyId $answered_id" ;;
    esac
}

must_be_external() {
    [ "$dry_run" = no ] || return 0
    [ "$key_origin" = EXTERNAL ] || refuse 4 "the Origin of this key is $key_origin, not EXTERNAL: it never accepts imported material" \
        "$key_arn" "make another: $(again create --name NAME)"
}

# expect_state STATE...: after a change.
expect_state() {
    local state
    [ "$dry_run" = no ] || return 0
    for state in "$@"; do
        [ "$key_state" != "$state" ] || return 0
    done
    refuse 4 "KMS reported success, but the key's state is $key_state" "$key_arn"
}

# importable SPEC: or ends and tells why not.
importable() {
    case $1 in
        SYMMETRIC_DEFAULT | HMAC_224 | HMAC_256 | HMAC_384 | HMAC_512 | RSA_2048 | RSA_3072 | RSA_4096) ;;
        ECC_NIST_P256 | ECC_NIST_P384 | ECC_NIST_P521 | ECC_SECG_P256K1) ;;
        ML_DSA_*) refuse 2 "$1: KMS makes ML-DSA keys itself and does not accept imported material for them" ;;
        SM2) refuse 2 "$1: KMS has SM2 in the China Regions only, and byok does not make such keys" ;;
        ECC_NIST_EDWARDS25519) refuse 2 "$1: KMS does not accept imported material for Ed25519 keys" ;;
        *) refuse 2 "$1 is not a key spec that KMS imports material into" "see: bash online.sh create --help" ;;
    esac
}

# check_wrapping SPEC ALGORITHM SIZE: what KMS takes together; SPEC may be empty while it is not known.
check_wrapping() {
    case $2 in
        RSAES_OAEP_SHA_1 | RSAES_OAEP_SHA_256 | RSA_AES_KEY_WRAP_SHA_1 | RSA_AES_KEY_WRAP_SHA_256) ;;
        RSAES_PKCS1_V1_5) refuse 2 "--algorithm $2: KMS has refused it since October 2023" "use RSAES_OAEP_SHA_256" ;;
        SM2PKE) refuse 2 "--algorithm $2: KMS has it in the China Regions only, and byok does not" ;;
        *) refuse 2 "--algorithm $2 is not known" "see: bash online.sh parameters --help" ;;
    esac
    case $3 in
        RSA_2048 | RSA_3072 | RSA_4096) ;;
        *) refuse 2 "--size $3 is not known: RSA_2048, RSA_3072 or RSA_4096" ;;
    esac
    case $region/$2 in
        cn-*/RSA_AES_*) refuse 2 "--algorithm $2: KMS does not have it in the China Regions" ;;
    esac
    case $1/$2/$3 in
        SYMMETRIC_DEFAULT/RSA_AES_* | HMAC_*/RSA_AES_*)
            refuse 2 "$1 does not go with $2" \
                "KMS takes such a key wrapped directly: RSAES_OAEP_SHA_256 or RSAES_OAEP_SHA_1" ;;
        RSA_*/RSAES_OAEP_*)
            refuse 2 "$1 does not go with $2" \
                "an RSA private key is too long for OAEP: use RSA_AES_KEY_WRAP_SHA_256 or _SHA_1" ;;
        ECC_NIST_P521/RSAES_OAEP_*/RSA_2048)
            refuse 2 "$1 does not go with $2 under RSA_2048" \
                "the private key is too long for that: use RSA_3072 or RSA_4096, or RSA_AES_KEY_WRAP_SHA_256" ;;
    esac
}

# time_left EPOCH: "2026-11-23 09:41 UTC, 22 hours left"
time_left() {
    local left
    left=$(($1 - $(date +%s)))
    if [ "$left" -lt 0 ]; then
        printf '%s, PAST\n' "$(shown_time "$1")"
    elif [ "$left" -lt 172800 ]; then
        printf '%s, %d hours left\n' "$(shown_time "$1")" $((left / 3600))
    else
        printf '%s, %d days left\n' "$(shown_time "$1")" $((left / 86400))
    fi
}

# time_text TEXT: the same of what the AWS CLI wrote.
time_text() {
    local epoch
    if epoch=$(epoch_of "$1"); then time_left "$epoch"; else printf '%s\n' "$1"; fi
}

# end_text TEXT: the same of an end that KMS may leave out.
end_text() {
    case $1 in
        '' | None) printf 'at a time that KMS does not give\n' ;;
        *) time_text "$1" ;;
    esac
}

expiry_text() {
    # What was deleted or has expired may leave its ExpirationModel behind.
    [ "$key_state" != PendingImport ] || key_model=
    case $key_model in
        KEY_MATERIAL_DOES_NOT_EXPIRE) say "never expires" ;;
        KEY_MATERIAL_EXPIRES) say "expires $(end_text "$key_valid_to")" ;;
        *) case $key_state in
            PendingImport) say "NONE. If applications use this key, they are down: reimport today" ;;
            *) say "not given by KMS" ;;
        esac ;;
    esac
}

# aliases_of: the aliases of the key, one a line, in `aliases`.
find_aliases() {
    call kms:ListAliases kms list-aliases --output text --query "Aliases[?TargetKeyId=='$key_id'].[AliasName]"
    aliases=$answer
}

show_aliases() {
    [ "$dry_run" = no ] || return 0
    if [ -n "$aliases" ]; then
        printf '%s\n' "$aliases" | LC_ALL=C sed 's/^/  alias    /'
    else
        say "  alias    none"
    fi
}

# confirm: what destroys or breaks is typed.
confirm() {
    local typed=
    [ "$dry_run" = no ] || return 0
    while [ -z "$typed" ]; do # Enter alone decides nothing
        printf '\nType the id of the key (%s) to go on, anything else to stop: ' "$key_id"
        read -r typed || break
    done
    say ""
    [ "$typed" = "$key_id" ] || refuse 1 "declined: nothing was changed"
}

# who: which account and person this is, where AWS tells; another account than the key's is exit 4.
who() {
    local account caller
    try sts get-caller-identity --output text --query '[Account,Arn]' || return 0
    [ "$dry_run" = no ] || return 0
    account=${answer%%"$tab"*} caller=${answer#*"$tab"}
    [ -n "$account" ] || return 0
    case $key in
        arn:*:"$account":key/*) ;;
        arn:*) refuse 4 "these credentials belong to account $account, not to that of the key" "$key" \
            "choose others with --profile NAME" ;;
    esac
    say "account $account, as $caller"
}

# keep_told CONTENT FILE MODE: keeps an answer; where an endpoint was given, it says that this endpoint answered.
keep_told() {
    if [ -n "$endpoint" ]; then
        { printf '{"endpoint": "%s",' "$endpoint" && LC_ALL=C sed '1s/^[[:space:]]*{//' "$1"; } >"$scratch/told" ||
            refuse 2 "the disk is full"
        set -- "$scratch/told" "$2" "$3"
    fi
    keep "$@"
}

# keep_answer WHAT: what the last call printed, as a file for `byok receipt`.
keep_answer() {
    local file
    file=$(free_name "${out_folder:-.}/$region-$key_id.$1" json)
    file=${file#./}
    keep_told "$scratch/out" "$file" 600
    kept="$kept $(quoted "$file")"
    say "  kept     $file"
}

# ---- the verbs ----

verb_create() {
    local file arn
    takes name spec usage multi-region description tag alias policy
    need name
    check_name "$name"
    : "${spec:=SYMMETRIC_DEFAULT}"
    importable "$spec"
    : "${use:=$(usual_use "$spec")}"
    check_use "$spec" "$use"
    [ -z "$policy" ] || check_policy "$policy"
    [ -z "$alias" ] || normalise_alias "$alias"
    file=$name.describe-key.json
    must_be_new "$file"
    check_aws
    who
    set -- kms create-key --origin EXTERNAL --key-spec "$spec" --key-usage "$use"
    [ "$multi" = no ] || set -- "$@" --multi-region
    [ -z "$description" ] || set -- "$@" --description "$description"
    [ -z "$tags" ] || set -- "$@" --tags "[$tags]"
    [ -z "$policy" ] || set -- "$@" --policy "file://$policy"
    call "kms:CreateKey (and kms:TagResource for --tag)" "$@" --output text --query KeyMetadata.Arn
    arn=$answer
    if [ "$dry_run" = yes ]; then
        planned "KEY_ARN: the ARN that KMS answered"
        arn=KEY_ARN
    else
        say "$arn"
    fi
    key=$arn key_id=${arn##*/}
    if [ -n "$alias" ]; then
        try kms create-alias --alias-name "$alias" --target-key-id "$key_id" || {
            explain kms:CreateAlias
            say_err "The key exists, without the alias. Later: $(again alias --name "$alias" --key "$arn")"
            alias_failed=yes
        }
    fi
    describe
    if [ "$dry_run" = no ]; then
        [ "$key_origin/$key_state/$key_spec/$key_usage" = "EXTERNAL/PendingImport/$spec/$use" ] ||
            refuse 4 "KMS did not make the key that was asked for, but: $key_origin $key_state $key_spec $key_usage" "$arn"
    fi
    call kms:DescribeKey kms describe-key --key-id "$arn" --output json
    [ "$dry_run" = no ] || return 0
    keep_told "$scratch/out" "$file" 644
    say "" "made     $spec, $use, Origin EXTERNAL, waiting for material (PendingImport)" \
        "written  $file, for: byok plan $file ..."
    [ -z "$alias" ] || [ "$alias_failed" = yes ] || say "alias    $alias"
    [ "$multi" = no ] || say "Make replicas after the primary holds its material:" \
        "         $(again replicate --key "$arn" --to REGION)"
    say "next     $(again parameters --name "$name" --key "$arn" --algorithm ...)"
    [ "$alias_failed" = no ] || exit 3
}

usual_use() {
    case $1 in
        SYMMETRIC_DEFAULT) say ENCRYPT_DECRYPT ;;
        HMAC_*) say GENERATE_VERIFY_MAC ;;
        *) say SIGN_VERIFY ;;
    esac
}

check_use() {
    case $1/$2 in
        SYMMETRIC_DEFAULT/ENCRYPT_DECRYPT | HMAC_*/GENERATE_VERIFY_MAC | RSA_*/SIGN_VERIFY | RSA_*/ENCRYPT_DECRYPT) ;;
        ECC_*/SIGN_VERIFY | ECC_NIST_*/KEY_AGREEMENT) ;;
        *) refuse 2 "--usage $2 does not go with --spec $1" ;;
    esac
}

# check_policy FILE: warns of what would keep everybody from importing; KMS judges the rest.
check_policy() {
    local line
    { [ -f "$1" ] && [ -r "$1" ]; } || refuse 2 "$1: cannot be read"
    policy_says <"$1" | while IFS= read -r line; do
        say_err "online.sh: $1: $line; going on"
    done
}

# policy_says: of the policy on stdin, which actions of an import no statement allows, and which a Deny covers.
# Actions match as in IAM: * and ?, whatever the case; NotAction is everything else.
policy_says() {
    local lines
    lines=$(json_lines) || { say "it is not JSON" && return; }
    printf '%s\n' "$lines" | LC_ALL=C awk -F '\t' '
        {
            # /Statement/0/Action, or /Statement/Action where there is one only
            split(tolower($1), part, "/")
            listed = part[3] ~ /^[0-9]/
            if (part[2] == "statement") found(listed ? part[3] : 0, part[listed ? 4 : 3], $2)
        }
        function found(i, member, text) {
            if (i >= count) count = i + 1
            if (member == "effect") effect[i] = text
            if (member == "condition") conditional[i] = 1
            if (member == "action") actions[i, ++many[i]] = tolower(text)
            if (member == "notaction") others[i, ++rest[i]] = tolower(text)
        }
        function like(pattern, text,    c) {
            for (; pattern != ""; pattern = substr(pattern, 2)) {
                c = substr(pattern, 1, 1)
                if (c == "*") {
                    for (; text != ""; text = substr(text, 2)) if (like(substr(pattern, 2), text)) return 1
                    return like(substr(pattern, 2), "")
                }
                if (text == "" || c != "?" && c != substr(text, 1, 1)) return 0
                text = substr(text, 2)
            }
            return text == ""
        }
        function covers(statement, action,    i) {
            for (i = 1; i <= many[statement]; i++) if (like(actions[statement, i], action)) return 1
            for (i = 1; i <= rest[statement]; i++) if (like(others[statement, i], action)) return 0
            return rest[statement] > 0
        }
        function judge(action,    i, allowed, denied, always) {
            for (i = 0; i < count; i++) {
                if (!covers(i, tolower(action))) continue
                if (effect[i] == "Allow") allowed = 1
                if (effect[i] == "Deny") denied = 1
                if (effect[i] == "Deny" && !conditional[i]) always = 1
            }
            if (!allowed) print "no statement allows " action
            if (always) print "a Deny without a condition covers " action ": for those it names, it overrides every Allow"
            else if (denied) print "a Deny under a condition covers " action ": it overrides every Allow"
        }
        END {
            judge("kms:GetParametersForImport")
            judge("kms:ImportKeyMaterial")
        }'
}

check_name() {
    case $1 in
        [A-Za-z0-9]*) ;;
        *) refuse 2 "--name $1: it begins with a letter or a digit" ;;
    esac
    case $1 in
        *[!A-Za-z0-9_-]*) refuse 2 "--name $1: letters, digits, - and _ only" ;;
    esac
    [ "${#1}" -le 64 ] || refuse 2 "--name $1: at most 64 characters"
}

verb_parameters() {
    local file valid_to
    takes name key algorithm size out
    need name
    check_name "$name"
    check_key
    need algorithm
    : "${size:=RSA_4096}"
    check_wrapping '' "$algorithm" "$size"
    : "${out:=inputs}"
    file=$out/$name.json
    must_be_new "$file" \
        "KMS takes each set once. For a new one give the import another folder with --out," \
        "or move the whole old set away, parameter files, SHA256SUMS and slip.txt together:" \
        "  mv $(quoted "${out%/}") $(quoted "$(free_name "${out%/}-used")")"
    check_aws
    describe
    must_be_external
    if [ "$dry_run" = no ]; then
        importable "$key_spec"
        check_wrapping "$key_spec" "$algorithm" "$size"
        case $key_state in
            PendingImport | Enabled | Disabled) ;;
            *) refuse 4 "the key's state is $key_state: it does not accept material" "$key_arn" ;;
        esac
        mkdir -p "$out" || refuse 2 "$out cannot be made"
        check_sums
    fi
    call "kms:GetParametersForImport (its conditions: kms:WrappingAlgorithm, kms:WrappingKeySpec)" \
        kms get-parameters-for-import --key-id "$key" --wrapping-algorithm "$algorithm" --wrapping-key-spec "$size" \
        --output json --query \
            "{KeyId: KeyId, PublicKey: PublicKey, ImportToken: ImportToken, ParametersValidTo: ParametersValidTo, WrappingAlgorithm: '$algorithm', WrappingKeySpec: '$size'}"
    [ "$dry_run" = no ] || return 0
    judge_parameters
    keep "$scratch/out" "$file" 600
    say "written  $file" "key      $key_arn" "         $key_spec, $key_state" "wrapping $algorithm, $size" \
        "import   before $(time_left "$valid_to")" ""
    make_slip
}

# judge_parameters: what came back is what was asked.
judge_parameters() {
    local answered
    came_back=4
    read_members "$scratch/out" "what came back"
    answered=$(parameter KeyId)
    [ "${answered#string"$tab"}" = "$key_arn" ] || refuse 4 "KMS answered for another key" "asked    $key_arn" \
        "answered ${answered#*"$tab"}"
    judge_members "what came back"
    [ "$read_size" = "$size" ] || refuse 4 "the public key that came back is $read_size, not $size"
    valid_to=$read_ends
    [ -n "$valid_to" ] || refuse 4 "ParametersValidTo is not a time"
    [ "$valid_to" -gt "$(date +%s)" ] || refuse 4 "these parameters expired $(shown_time "$valid_to")" \
        "is the clock of this computer right?"
}

# ---- import parameters: what byok takes in the room is taken here, and nothing else. The tests hold the two together ----

# No file of import parameters comes near this.
longest_file=65536

# unfit CODE TEXT...: refuses a file with byok's exit code; what comes from KMS itself always with 4.
unfit() {
    local code=$1
    shift
    refuse "${came_back:-$code}" "$@"
}

# small_file FILE NAME: a regular file that can be read and is not long. Nothing is waited for, no link followed.
small_file() {
    [ ! -L "$1" ] || unfit 2 "$2 is a symbolic link: copy the file itself to this place"
    if [ ! -f "$1" ] || [ ! -r "$1" ]; then unfit 2 "$2 is not a file that can be read"; fi
    [ "$(wc -c <"$1" | tr -d ' ')" -le "$longest_file" ] || unfit 2 "$2 is larger than 64 KiB: is it the right file?"
}

# text_of FILE: as UTF-8 into scratch/text: from UTF-8, or from UTF-16 with its mark, which PowerShell writes. Fails for
# what is no text; a zero byte is none.
text_of() {
    local LC_ALL=C from=UTF-8
    case $(head -c 2 "$1" | LC_ALL=C tr '\000' x) in
        $'\xff\xfe') from=UTF-16LE ;;
        $'\xfe\xff') from=UTF-16BE ;;
    esac
    iconv -f "$from" -t UTF-8 <"$1" >"$scratch/utf8" 2>/dev/null || return 1
    LC_ALL=C sed $'1s/^\xef\xbb\xbf//' "$scratch/utf8" >"$scratch/text"
    [ "$(LC_ALL=C tr -d '\000' <"$scratch/text" | wc -c)" -eq "$(wc -c <"$scratch/text")" ]
}

# read_members FILE NAME: the JSON object in the file, read strictly: a line in scratch/members for each member of import
# parameters: its name, kind, and value, between tabs. In values a tab stands for white space that was escaped.
read_members() {
    small_file "$1" "$2"
    text_of "$1" || unfit 2 "$2 holds no import parameters: it is not text"
    LC_ALL=C awk '
        function bad(what) { print "!" what; exit 1 }
        function eat(count) { text = substr(text, count + 1) }
        function blanks() { sub(/^[ \t\r\n]+/, "", text) }
        function opened(c) {
            if (++depth > 127) bad("is too deep")
            open[depth] = c
            object[depth] = ++objects
            eat(1)
            state = c == "{" ? "first name" : "first value"
        }
        function closed() { depth--; eat(1); state = "after" }
        function told(kind, value) {
            if (depth == 1 && name in known) print name "\t" kind "\t" value
            state = "after"
        }
        function code_of(hex,   at, sum) {
            if (hex !~ /^[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]$/) bad("has a broken escape")
            for (at = 1; at <= 4; at++) sum = sum * 16 + index("0123456789abcdef", tolower(substr(hex, at, 1))) - 1
            return sum
        }
        # What is not ASCII counts in no member that is read here: \001 stands for it.
        function escaped(in_name,   c, code) {
            c = substr(text, 2, 1)
            eat(2)
            if (c == "\"" || c == "\\" || c == "/") return c
            if (c == "n" || c == "r" || c == "t") return "\t"
            if (c == "b" || c == "f") return "\001"
            if (c != "u") bad("has a broken escape")
            code = code_of(substr(text, 1, 4))
            eat(4)
            if (code >= 55296 && code < 56320 && substr(text, 1, 1) == "\\" && substr(text, 2, 1) == "u") {
                code = code_of(substr(text, 3, 4))
                eat(6)
                if (code < 56320 || code > 57343) bad("has a broken escape")
            } else if (code >= 55296 && code < 57344) bad("has a broken escape")
            if (code == 9 || code == 10 || code == 13) return "\t"
            if (code >= 32 && code < 128) return sprintf("%c", code)
            if (in_name) bad("has a name in escapes, which is not read here: download the parameters again")
            return "\001"
        }
        function string(in_name,   value, part) {
            eat(1)
            for (;;) {
                match(text, /^[^"\\]*/)
                part = substr(text, 1, RLENGTH)
                if (part ~ /[\001-\037]/) bad("has a control character in a string")
                value = value part
                eat(RLENGTH)
                if (text == "") bad("is cut short")
                if (substr(text, 1, 1) == "\"") break
                value = value escaped(in_name)
            }
            eat(1)
            return value
        }
        function number(   value) {
            value = substr(text, 1, RLENGTH) + 0
            if (value > 1.797e308 || value < -1.797e308) bad("has a number out of range")
            eat(RLENGTH)
            # what a time can be: to the year 9999
            return value > 253402207200 || value < -377705023201 ? "-" : sprintf("%.0f", int(value))
        }
        function member() {
            if (substr(text, 1, 1) != "\"") bad("is not JSON")
            name = string(1)
            if ((object[depth], name) in seen) bad("has " (name in known ? name : "a member") " twice: it could mean two things")
            seen[object[depth], name] = 1
            if (depth > 1 && name in parameter) inside = name
            blanks()
            if (substr(text, 1, 1) != ":") bad("is not JSON")
            eat(1)
            state = "value"
        }
        function value(c) {
            if (depth == 0 && c != "{") bad("holds no import parameters: it is no JSON object")
            if (c == "{" || c == "[") { told(c == "{" ? "object" : "array"); opened(c) }
            else if (c == "\"") told("string", string(0))
            else if (match(text, /^(true|false|null)/)) { part = substr(text, 1, RLENGTH); eat(RLENGTH); told(part) }
            else if (match(text, /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/)) told("number", number())
            else bad(text == "" ? "is cut short" : "is not JSON")
        }
        { text = text $0 "\n" }
        END {
            many = split("KeyId PublicKey ImportToken ParametersValidTo WrappingAlgorithm WrappingKeySpec", names, " ")
            for (at = 1; at <= many; at++) parameter[names[at]] = known[names[at]] = 1
            known["KeyMetadata"] = known["Error"] = known["error"] = known["__type"] = 1
            state = "value"
            for (;;) {
                blanks()
                c = substr(text, 1, 1)
                if (state == "after" && depth == 0) break
                else if (state == "after" && c == ",") { eat(1); state = open[depth] == "{" ? "name" : "value" }
                else if (state ~ /^(after|first)/ && c == (open[depth] == "{" ? "}" : "]")) closed()
                else if (state == "after") bad(text == "" ? "is cut short" : "is not JSON")
                else if (state ~ /name/) member()
                else value(c)
            }
            if (text != "") bad("is not JSON: there is more after the object")
            if (inside != "") print "inside\t" inside
        }' "$scratch/text" >"$scratch/members" ||
        unfit 2 "$2 $(LC_ALL=C sed -n 's/^!//p' "$scratch/members")" "download it with --output json; if it was changed since, find out by whom; nothing else may be beside it"
}

# parameter NAME: its kind and value, with a tab between; nothing where it is null or not there.
parameter() { LC_ALL=C sed -n "s/^$1$tab//p" "$scratch/members" | LC_ALL=C sed '/^null/d'; }

# string_parameter NAME FILE: into `value`; empty where it is not there, a blank where it is there and empty.
string_parameter() {
    value=$(parameter "$1")
    case $value in
        "string$tab"*) value=${value#*"$tab"} value=${value:- } ;;
        '') ;;
        *) unfit 2 "$2: its $1 is not a string" ;;
    esac
}

# judge_members NAME: what read_members read are import parameters; into read_arn, read_spki, read_size, read_algorithm, read_ends.
judge_members() {
    local token
    read_ends=
    [ -z "$(parameter Error; parameter error; parameter __type)" ] || unfit 2 "$1 is an error message of AWS"
    if [ -n "$(parameter inside)" ]; then
        unfit 2 "$1 has $(parameter inside) inside another member: it could mean two things" \
            "no KMS answer has that: find out who changed it, and download it again"
    fi
    string_parameter KeyId "$1"
    read_arn=$value
    is_key_arn "$read_arn" || unfit 2 "$1: its KeyId is not the ARN of a KMS key: ${read_arn:-it has none}" \
        "give --key the ARN, and download the parameters again"
    string_parameter PublicKey "$1"
    read_spki=$(hex_of_base64 "$value") || unfit 2 "$1: its PublicKey is not padded base64"
    string_parameter ImportToken "$1"
    token=$(hex_of_base64 "$value") || unfit 2 "$1: its ImportToken is not padded base64, or too long"
    judge_pair "$1" "$token"
    value=$(parameter ParametersValidTo)
    case $value in
        '') ;;
        "number$tab-"*[0-9]) read_ends=${value#*"$tab"} ;;
        "number$tab"* | "string$tab"*T* | "string$tab"*' '*) read_ends=$(epoch_of "${value#*"$tab"}") ||
            unfit 2 "$1: its ParametersValidTo is not a time: ${value#*"$tab"}" ;;
        *) unfit 2 "$1: its ParametersValidTo is not a time: ${value#*"$tab"}" ;;
    esac
    string_parameter WrappingAlgorithm "$1"
    read_algorithm=$value
    case $value in
        '' | RSAES_OAEP_SHA_1 | RSAES_OAEP_SHA_256 | RSA_AES_KEY_WRAP_SHA_1 | RSA_AES_KEY_WRAP_SHA_256) ;;
        *) unfit 2 "$1: its WrappingAlgorithm is $value, which KMS or byok does not accept" ;;
    esac
    string_parameter WrappingKeySpec "$1"
    case $value in
        '' | "$read_size") ;;
        *) unfit 4 "$1: its WrappingKeySpec says $value, but the public key is $read_size" "find out who changed it, and download it again" ;;
    esac
}

# is_key_arn TEXT: the ARN of one KMS key in its one spelling.
is_key_arn() {
    local LC_ALL=C hex='[0-9a-f]'
    local form="^arn:(aws(-[a-z]+)*):kms:([a-z]+(-[a-z]+)+-[0-9]+):[0-9]{12}:key/(mrk-$hex{32}|$hex{8}(-$hex{4}){3}-$hex{12})$"
    [[ $1 =~ $form ]] || return 1
    # A Region lies in one partition.
    case ${BASH_REMATCH[1]}/${BASH_REMATCH[3]} in
        aws-cn/cn-* | aws-us-gov/us-gov-* | aws-iso/us-iso-* | aws-iso-b/us-isob-* | aws-iso-e/eu-isoe-*) ;;
        aws-iso-f/us-isof-* | aws-eusc/eusc-*) ;;
        */cn-* | */us-gov-* | */us-iso-* | */us-isob-* | */eu-isoe-* | */us-isof-* | */eusc-*) return 1 ;;
        aws-cn/* | aws-us-gov/* | aws-iso/* | aws-iso-b/* | aws-iso-e/* | aws-iso-f/* | aws-eusc/*) return 1 ;;
    esac
}

# hex_of_base64 TEXT: standard, padded, in lines or not, in certutil's armour or not; never the word None.
hex_of_base64() {
    local text=$1
    text=${text#"${text%%[!"$tab" ]*}"}
    text=${text%"${text##*[!"$tab" ]}"}
    case $text in
        -----BEGIN\ CERTIFICATE-----*-----END\ CERTIFICATE-----)
            text=${text#-----BEGIN CERTIFICATE-----} text=${text%-----END CERTIFICATE-----} ;;
    esac
    case $text in None | null | undefined | NULL | none | Null) return 1 ;; esac
    text=$(printf '%s' "$text" | LC_ALL=C tr -d ' \t\r\n')
    [ "${#text}" -le 8192 ] && printf '%s\n' "$text" | hex_of_text
}

# hex_of_content FILE NAME: of a file that holds bytes as they are, or as base64: content decides.
hex_of_content() {
    local hex
    small_file "$1" "$2"
    if text_of "$1"; then
        if hex=$(hex_of_base64 "$(LC_ALL=C tr '\r\n' ' ' <"$scratch/text")"); then
            printf '%s\n' "$hex"
            return 0
        fi
        case $2 in *.b64) unfit 2 "$2 is not padded base64" ;; esac
    fi
    [ "$(wc -c <"$1" | tr -d ' ')" -le 6144 ] || unfit 2 "$2 has more than the 6144 bytes that KMS gives"
    hex_of_bytes <"$1"
}

# judge_pair NAME TOKEN: the public key read_spki, whose size goes into read_size, and the import token, both in hex.
judge_pair() {
    local what
    if spki_size "$2" >/dev/null; then
        unfit 2 "$1: the import token is a public key: key and token are swapped, or the same one is there twice"
    fi
    if ! read_size=$(spki_size "$read_spki"); then
        case $read_spki in
            30*300d06092a864886f70d0101010500038[12]*) is_der "$read_spki" && unfit 4 \
                "$1: its public key is not an RSA key with the exponent 65537, as KMS gives it" "find out where it comes from" ;;
        esac
        unfit 2 "$1: its public key is not an RSA key with the exponent 65537, as KMS gives it"
    fi
    case $2 in *"$read_spki"*) unfit 2 "$1: the import token holds the public key" ;; esac
    what=$(not_a_token "$2") && return 0
    unfit 2 "$1: the import token $what: that did not come from AWS" "download the parameters again, with --output json"
}

# is_der HEX: one SEQUENCE that fills the bytes.
is_der() {
    case $1 in
        3081??*) [ $((16#${1:4:2})) -eq $((${#1} / 2 - 3)) ] ;;
        3082????*) [ $((16#${1:4:4})) -eq $((${#1} / 2 - 4)) ] ;;
        *) return 1 ;;
    esac
}

# not_a_token HEX: says what it is, and fails, where AWS cannot have given it as an import token.
not_a_token() {
    if is_der "$1"; then say "is a key or a certificate"; return 1; fi
    if bytes_of "$1" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1; then
        say "is text: None, an error message, or base64 once more"
        return 1
    fi
    case $1 in
        504b0304* | 504b0506* | 504b0708*) say "is a zip"; return 1 ;;
        1f8b08* | 425a68* | fd377a585a00* | 28b52ffd* | 377abcaf271c* | feedfeed* | cececece*)
            say "is a compressed file or a key store"; return 1 ;;
    esac
    printf '%s\n' "$1" | LC_ALL=C awk '
        function is(what) { print what; exit 1 }
        {
            size = length($0) / 2
            for (at = 0; at < size; at++) {
                byte = substr($0, 2 * at + 1, 2)
                if (byte == "00") zeros++
                if (byte ~ /^(09|0a|0d|[2-6].|7[0-9a-e])$/) letters++
                else if (byte ~ /^([01].|7f|[89].)$/) controls++
                if (!(byte in seen)) different++
                seen[byte] = 1
            }
            if (zeros > int(size / 8)) is("is UTF-16 text, or mostly zero bytes")
            other = size >= 32 && controls <= int(size / 64) && letters >= int(size / 16)
            if (letters >= size - int(size / 8) || other) is("is text: None, an error message, or base64 once more")
            if (size < 32) is("has " size " bytes: no KMS gives so few")
            if (size > 6144) is("has " size " bytes: KMS gives at most 6144")
            if (different < 16) is("is the same few bytes over and over")
        }'
}

is_key_name() {
    case $1 in
        WrappingPublicKey.bin | WrappingPublicKey.b64 | PublicKey.bin | PublicKey.b64 | pkey.bin | pkey.b64 | wrappingKey_*) ;;
        *) return 1 ;;
    esac
}

is_token_name() {
    case $1 in
        ImportToken.bin | ImportToken.b64 | token.bin | token.b64 | importToken_*) ;;
        *) return 1 ;;
    esac
}

# pick KIND NAME: the one file of this kind among scratch/entries, into `picked`; the same in base64 beside it into `twin`.
pick() {
    local entry
    picked='' twin=''
    while IFS= read -r entry; do
        "is_$1_name" "$entry" || continue
        if [ -z "$picked" ]; then
            picked=$entry
        elif [ -z "$twin" ] && [ "$entry" = "${picked%.b64}.bin" ]; then
            twin=$picked picked=$entry
        else
            unfit 2 "$2 holds more than one ${1/token/import token}: keep one download there"
        fi
    done <"$scratch/entries"
    [ -n "$picked" ] || unfit 2 "$2 holds no ${1/token/import token}" \
        "public key and import token are called WrappingPublicKey.bin and ImportToken.bin, or as docs/console-forms.md of byok says"
}

# judge_entries NAME FOLDER: the pair among scratch/entries, which lie in FOLDER; into picked_key, picked_token, read_spki, read_size.
judge_entries() {
    local token key_twin token_twin hex
    pick key "$1"
    picked_key=$picked key_twin=$twin
    pick token "$1"
    picked_token=$picked token_twin=$twin
    case $picked_key/$picked_token in
        wrappingKey_*/importToken_*)
            hex=${picked_key#wrappingKey_} token=${picked_token#importToken_}
            [ "${hex%%_*}" = "${token%%_*}" ] || unfit 4 "$1: $picked_key and $picked_token belong to two KMS keys" ;;
    esac
    read_spki=$(hex_of_content "$2/$picked_key" "$1/$picked_key") || exit $?
    token=$(hex_of_content "$2/$picked_token" "$1/$picked_token") || exit $?
    if [ -z "$read_spki" ] || [ -z "$token" ]; then unfit 2 "$1 holds an empty file"; fi
    if [ -n "$key_twin" ]; then
        hex=$(hex_of_content "$2/$key_twin" "$1/$key_twin") || exit $?
        [ "$hex" = "$read_spki" ] || unfit 2 "$1: $picked_key and $key_twin hold different bytes"
    fi
    if [ -n "$token_twin" ]; then
        hex=$(hex_of_content "$2/$token_twin" "$1/$token_twin") || exit $?
        [ "$hex" = "$token" ] || unfit 2 "$1: $picked_token and $token_twin hold different bytes"
    fi
    judge_pair "$1" "$token"
}

# list_folder FOLDER NAME: what lies in it, into scratch/entries, sorted.
list_folder() {
    local LC_ALL=C path
    set -- "$1" "$2" "$1"/*
    [ $# -le 250 ] || unfit 2 "$2 holds more than key and token: give them a folder of their own"
    for path in "${@:3}"; do
        case ${path##*/} in *[[:cntrl:]]*) continue ;; esac
        printf '%s\n' "${path##*/}"
    done >"$scratch/entries"
}

# unpack_zip FILE NAME: its files into scratch/zip, their names into scratch/entries.
unpack_zip() {
    local LC_ALL=C entry count=0 refused="$2 is not a zip from the console"
    command -v unzip >/dev/null 2>&1 || unfit 2 "$2: there is no unzip here, so it cannot be checked" \
        "unpack it into a folder of its own, $out/${2%.zip}, and move the zip away; the plan then names the folder"
    small_file "$1" "$2"
    rm -rf "$scratch/zip"
    mkdir "$scratch/zip"
    UNZIP='' ZIPINFO='' unzip -Z "$1" >"$scratch/list" 2>/dev/null || unfit 2 "$refused"
    UNZIP='' ZIPINFO='' unzip -Z1 "$1" >"$scratch/paths" 2>/dev/null || unfit 2 "$refused"
    [ -z "$(LC_ALL=C sed -n '/^l/p' "$scratch/list")" ] || unfit 2 "$refused: it holds a symbolic link"
    while IFS= read -r entry; do
        count=$((count + 1))
        case /$entry in
            *[!A-Za-z0-9._/\ -]* | //* | */../* | */..) unfit 2 "$refused: it holds an unsafe name" ;;
        esac
        [ "$count" -le 16 ] || unfit 2 "$refused: it holds more than 16 files"
        case $entry in */) continue ;; esac
        [ ! -e "$scratch/zip/${entry##*/}" ] || unfit 2 "$refused: two files have one name"
        UNZIP='' unzip -P none -p "$1" "$entry" 2>/dev/null </dev/null | head -c $((longest_file + 1)) >"$scratch/zip/${entry##*/}"
        case ${PIPESTATUS[0]} in 0 | 141) ;; *) unfit 2 "$refused" ;; esac
        small_file "$scratch/zip/${entry##*/}" "$2/${entry##*/}"
        printf '%s\n' "${entry##*/}"
    done <"$scratch/paths" >"$scratch/unsorted"
    LC_ALL=C sort "$scratch/unsorted" >"$scratch/entries"
}

# check_sums: what SHA256SUMS names is still what it was.
check_sums() {
    local digest name found
    [ -f "$out/SHA256SUMS" ] || return 0
    while IFS=' ' read -r digest name; do
        [ -f "$out/$name" ] || continue
        found=$(sha256_of "$out/$name") || exit $?
        [ "$found" = "$digest" ] || refuse 4 "$out/$name changed since $out/SHA256SUMS was written" \
            "written then $digest" "found now    $found" \
                "download it again, under another name or into another folder, and find out who changed it"
    done <"$out/SHA256SUMS"
}

# make_slip: SHA256SUMS and slip.txt anew, and the slip on the screen.
make_slip() {
    local name digest
    check_sums
    came_back=
    : >"$scratch/names"
    judge_all >"$scratch/keys" || exit $?
    [ -s "$scratch/names" ] || refuse 2 "there are no import parameters in $out"
    LC_ALL=C sort "$scratch/names" >"$scratch/sorted"
    while IFS= read -r name; do
        digest=$(sha256_of "$out/$name") || exit $?
        printf '%s  %s\n' "$digest" "$name"
    done <"$scratch/sorted" >"$scratch/sums"
    digest=$(sha256_of "$scratch/sums") || exit $?
    print_slip "$digest" >"$scratch/slip"
    rewrite "$scratch/sums" "$out/SHA256SUMS"
    rewrite "$scratch/slip" "$out/slip.txt"
    cat "$out/slip.txt"
}

# judge_all: all parameter files below `out`: their names into scratch/names, their wrapping keys as the slip shows them to stdout.
judge_all() {
    local path name
    for path in "$out"/*; do
        name=${path##*/}
        case $name in
            '*' | SHA256SUMS | slip.txt) continue ;;
            *[!A-Za-z0-9._-]* | -*) refuse 2 "$path: give it a name of letters, digits, - . and _" ;;
        esac
        if { is_key_name "$name" || is_token_name "$name"; } && [ ! -d "$path" ]; then
            refuse 2 "$path: put public key and import token into a folder of their own in $out; the plan then names that folder"
        fi
        if [ -d "$path" ] && [ ! -L "$path" ]; then
            list_folder "$path" "$path"
            judge_entries "$path" "$path"
            printf '%s\n' "$name/$picked_key" "$name/$picked_token" >>"$scratch/names"
            slip_of_key "$name/$picked_key" "$read_size"
            continue
        fi
        small_file "$path" "$path"
        if [ "$(LC_ALL=C head -c 2 "$path" | LC_ALL=C tr '\000' x)" = PK ]; then
            unpack_zip "$path" "$path"
            judge_entries "$path" "$scratch/zip"
            slip_of_key "$name" "$read_size"
        else
            read_members "$path" "$path"
            if [ -z "$(parameter ImportToken)" ]; then
                [ -z "$(parameter KeyMetadata)" ] || continue # an answer of DescribeKey, for the plan
                refuse 2 "$path holds no import parameters, and $out may hold nothing else"
            fi
            judge_members "$path"
            [ -z "$read_ends" ] || [ "$read_ends" -gt "$(date +%s)" ] || refuse 4 \
                "$path expired on $(shown_time "$read_ends"): KMS does not take it any more, nor does byok" \
                "move it away, and download new parameters; or is the clock of this computer wrong?"
            slip_of_key "$name" "$read_size, ${read_algorithm:-algorithm not told}" "$read_arn"
        fi
        printf '%s\n' "$name" >>"$scratch/names"
    done
}

# slip_of_key NAME KIND [ARN]
slip_of_key() {
    say "" "WRAPPING KEY in $1: $2"
    if [ -n "${3-}" ]; then
        say "  $3"
        [ -z "$read_ends" ] || say "  import before $(shown_time "$read_ends")"
    fi
    digest_rows "$(bytes_of "$read_spki" | sha256_of -)"
}

# print_slip DIGEST
print_slip() {
    say "SLIP of the import parameters                     $(shown_time "$(date +%s)")" "" \
        "Two people compare each row with the screen of the computer that downloaded" \
        "the parameters. Then this paper goes into the room in the pocket of somebody" \
        "who does not carry the files. There byok asks for some of its rows."
    cat "$scratch/keys"
    say "" "ALL PARAMETER FILES (SHA-256 of SHA256SUMS):"
    LC_ALL=C sed 's/^/  /' "$scratch/sorted"
    digest_rows "$1"
    say "" "The same rows without this script (on macOS: shasum -a 256):" \
        "  (cd $(quoted "$out") && $slip_command)" \
        "" "" "Downloaded by, and where   ________________________________________________" \
        "" "" "Compared by, date, time    ________________________________________________"
}

verb_slip() {
    takes out
    : "${out:=inputs}"
    [ -d "$out" ] || refuse 2 "$out: no such folder"
    if [ "$dry_run" = yes ]; then
        planned "no aws command"
        return 0
    fi
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/byok-online.XXXXXX") || refuse 2 "no temporary folder can be made"
    trap 'rm -rf "$scratch"' EXIT
    make_slip
}

verb_import() {
    local script=$operand code earlier
    takes yes
    [ -n "$operand" ] || refuse 2 "which folder? bash online.sh import FOLDER" "the folder of one import, or a whole record"
    [ -z "$region" ] || refuse 2 "--region does not belong here: import.sh knows the Region"
    [ ! -d "$script" ] || script=$script/import.sh
    case $script in -*) script=./$script ;; esac
    [ -f "$script" ] || refuse 2 "$script is missing: carry the whole folder again"
    set --
    [ -z "$endpoint" ] || set -- --endpoint-url "$endpoint" ${1+"$@"}
    [ -z "$profile" ] || set -- --profile "$profile" ${1+"$@"}
    [ "$yes" = no ] || set -- --yes ${1+"$@"}
    if [ "$dry_run" = yes ]; then
        planned "it shows and runs aws kms import-key-material with what the ceremony decided"
        command_line bash "$script" ${1+"$@"}
        return 0
    fi
    check_aws
    bash "$script" ${1+"$@"} 2>&1 | tee "$scratch/said"
    code=${PIPESTATUS[0]}
    [ "$code" -ne 0 ] || return 0
    case $script in */*) ;; *) script=./$script ;; esac
    for earlier in "${script%/*}"/import-result*.json; do
        is_ours "$earlier" || continue
        says_imported "$earlier" || continue
        say "" "This folder WAS imported before: $earlier says so. KMS accepts an import token once;" \
            "look at the key first: $(again prove --key ARN)"
        break
    done
    whose_move
    case $code in
        1) exit 3 ;;
        2 | 4 | 130) exit "$code" ;;
        *) exit 3 ;;
    esac
}

# whose_move: the failures of an import, those that happened marked.
whose_move() {
    local said
    said=$(LC_ALL=C tr -d '\000' <"$scratch/said")
    say "" "Whose move is it? (>> marks what happened)"
    move "ExpiredImportToken, InvalidImportToken" "you, then the room" \
        "new parameters online, then a reimport in the room; no custodians" \
        "$said" "(ExpiredImportTokenException)" "(InvalidImportTokenException)" "import token was valid until"
    move "InvalidCiphertext" "you, then the room" \
        "algorithm or parameters mixed up: new parameters, a reimport in the room" "$said" "(InvalidCiphertextException)"
    move "IncorrectKeyMaterial" "security officer" \
        "STOP. This is not the key's material. Delete nothing, call now" "$said" "(IncorrectKeyMaterialException)"
    move "KMSInvalidState" "key administrator" \
        "$(again status); it may need enable or cancel-deletion" "$said" "(KMSInvalidStateException)"
    move "AccessDenied" "key administrator" \
        "kms:ImportKeyMaterial; conditions on ExpirationModel and ValidTo" "$said" "(AccessDenied"
    move "NotFound, UnsupportedOperation" "security officer" \
        "another account or Region, or a key whose Origin is not EXTERNAL" \
        "$said" "(NotFoundException)" "(UnsupportedOperationException)" "(InvalidArnException)"
    move "another KMS key answered, or no key" "security officer" \
        "STOP. Look at the endpoint. Delete nothing, call now" "$said" "STOP. KMS answered" "as far as anybody can tell"
    move "a changed file" "security officer" \
        "carry the folder again from the record" "$said" "is not the file that the ceremony wrote"
    move "InternalFailure, KMSInternal" "nobody: it is AWS's fault" \
        "wait a minute, run it again: that is safe" "$said" "failed inside AWS"
    move "credentials, network" "you" \
        "sign in, check clock and network, run it again: that is safe" \
        "$said" "does not accept your credentials" "could not be reached" "asked too often" "these credentials belong to"
    say "" "Nothing ever needs to be deleted first."
}

# move FAILURE WHO WHAT SAID SIGN...
move() {
    local failure=$1 person=$2 what=$3 said=$4 sign mark='  '
    shift 4
    for sign in "$@"; do
        case $said in *"$sign"*) mark='>>' ;; esac
    done
    printf '%s %-38s %s\n     %s\n' "$mark" "$failure" "$person" "$what"
}

verb_prove() {
    takes key fingerprint public-key out
    check_key
    if [ -n "$public_key" ]; then
        { [ -f "$public_key" ] && [ -r "$public_key" ]; } || refuse 2 "$public_key: not a file that can be read"
        spki_of_file "$public_key" >/dev/null || refuse 2 "$public_key: not a public key in PEM or DER" \
            "give the record's LABEL/public-key.pem or LABEL/public-key.der"
    fi
    case $fingerprint in
        *[!0-9a-fA-F]*) refuse 2 "--fingerprint: hex digits only" ;;
    esac
    case ${#fingerprint} in
        0 | 56 | 64 | 96 | 128) ;;
        *) refuse 2 "--fingerprint: ${#fingerprint} digits; a complete fingerprint has 64 (HMAC_224: 56, HMAC_384: 96, HMAC_512: 128)" \
            "take all of it from the report or a share form" ;;
    esac
    fingerprint=$(printf '%s' "$fingerprint" | tr 'ABCDEF' 'abcdef')
    out_folder=${out:-.}
    check_aws
    if [ "$dry_run" = yes ]; then
        describe
        call kms:DescribeKey kms describe-key --key-id "$key" --output json
        planned "for a key with the spec SYMMETRIC_DEFAULT:" && prove_symmetric
        planned "printf %s '$fingerprint_text' > online.sh-message" \
            "for the spec HMAC_256, and the other HMAC specs likewise:" && key_spec=HMAC_256 && prove_mac
        planned "for ECC and RSA:" && prove_public_key
        return 0
    fi
    mkdir -p "$out_folder" || refuse 2 "$out_folder cannot be made"
    describe
    must_be_external
    say "key      $key_arn" "  spec     $key_spec, $key_usage" "  state    $key_state" "  material $(expiry_text)"
    [ "$(or_nothing "$key_material")" = '' ] || say "  id       $key_material"
    call kms:DescribeKey kms describe-key --key-id "$key" --output json
    keep_answer describe-key
    [ "$key_state" = Enabled ] || refuse 4 "the key's state is $key_state: nothing can be proved" "$key_arn"
    case $key_spec in
        SYMMETRIC_DEFAULT) prove_symmetric ;;
        HMAC_*) prove_mac ;;
        *) prove_public_key ;;
    esac
    say "" "For the record:  byok receipt RECORD$kept"
}

prove_symmetric() {
    local plain=online.sh-round-trip back
    if [ -n "$fingerprint$public_key" ]; then
        refuse 2 "KMS does not reveal the fingerprint of a symmetric key: leave --fingerprint and --public-key out" \
            "a second import as EXISTING_KEY_MATERIAL proves the material (witness_of in the plan)"
    fi
    [ "$dry_run" = yes ] || printf '%s' "byok round trip $(date +%s) $$" >"$scratch/plain"
    [ "$dry_run" = yes ] || plain=$scratch/plain
    call kms:Encrypt kms encrypt --key-id "$key" --plaintext "fileb://$plain" \
        --encryption-context byok=round-trip --output text --query CiphertextBlob
    if [ "$dry_run" = no ]; then
        back=$(printf '%s' "$answer" | hex_of_text) || refuse 4 "the ciphertext is not base64"
        bytes_of "$back" >"$scratch/ciphertext"
        call kms:Decrypt kms decrypt --key-id "$key" --ciphertext-blob "fileb://$scratch/ciphertext" \
            --encryption-context byok=round-trip --output text --query Plaintext
        back=$(printf '%s' "$answer" | hex_of_text) || refuse 4 "the plaintext is not base64"
        [ "$(bytes_of "$back" | sha256_of -)" = "$(sha256_of "$scratch/plain")" ] || refuse 4 \
            "decryption did not give back what was encrypted" "$key_arn"
        say "" "ROUND TRIP: it encrypts, and decrypts what it encrypted." \
            "That does NOT show which material it is: any 32 bytes would do the same. A second import of the" \
            "same material by another person, as EXISTING_KEY_MATERIAL, shows it (witness_of in the plan)." \
            "If the last import was that second one, byok receipt says so from its import-result.json: proved in KMS."
    else
        call kms:Decrypt kms decrypt --key-id "$key" --ciphertext-blob fileb://online.sh-ciphertext \
            --encryption-context byok=round-trip --output text --query Plaintext
    fi
}

prove_mac() {
    local message=online.sh-message mac
    [ -z "$public_key" ] || refuse 2 "an HMAC key has no public key: compare with --fingerprint"
    if [ "$dry_run" = no ]; then
        message=$scratch/message
        printf '%s' "$fingerprint_text" >"$message"
    fi
    call kms:GenerateMac kms generate-mac --key-id "$key" --mac-algorithm "HMAC_SHA_${key_spec#HMAC_}" --message \
        "fileb://$message" --output json
    [ "$dry_run" = no ] || return 0
    answered_by_this_key
    mac=$(json_at /Mac <"$scratch/out" | hex_of_text) || refuse 4 "the Mac is not base64"
    keep_answer generate-mac
    say "" "fingerprint by KMS  $mac"
    if [ -z "$fingerprint" ]; then
        say "Compare it with the record's: the report, a share form, or --fingerprint HEX."
    elif [ "${#fingerprint}" -ne "${#mac}" ]; then
        refuse 2 "--fingerprint: ${#fingerprint} digits; for a key of $key_spec it has ${#mac}" "does it belong to another data key?"
    elif [ "$fingerprint" = "$mac" ]; then
        say "SAME: KMS holds the data key with this fingerprint."
    else
        refuse 4 "OTHER MATERIAL: the record says   $fingerprint" "STOP. Call the security officer. Delete nothing."
    fi
}

answered_by_this_key() {
    local answered
    answered=$(json_at /KeyId <"$scratch/out" | clean)
    case $answered in
        "$key_arn") ;;
        mrk-*) refuse 4 "KMS's answer names $answered and no Region" "asked    $key_arn" ;;
        "${key_arn##*/}") ;;
        *) refuse 4 "KMS answered for another key" "asked    $key_arn" "answered $answered" ;;
    esac
}

prove_public_key() {
    local spki digest wanted=
    call kms:GetPublicKey kms get-public-key --key-id "$key" --output json
    [ "$dry_run" = no ] || return 0
    answered_by_this_key
    spki=$(json_at /PublicKey <"$scratch/out" | hex_of_text) || refuse 4 "the public key is not base64"
    digest=$(bytes_of "$spki" | sha256_of -)
    keep_answer get-public-key
    say "" "fingerprint by KMS  $digest   (SHA-256 of its public key)"
    if [ -n "$public_key" ]; then
        wanted=$(spki_of_file "$public_key") || refuse 2 "$public_key: not a public key in PEM or DER"
        [ "$wanted" = "$digest" ] || refuse 4 "OTHER MATERIAL: the key in $public_key has   $wanted" \
            "STOP. Call the security officer. Delete nothing."
    fi
    if [ -n "$fingerprint" ]; then
        [ "$fingerprint" = "$digest" ] || refuse 4 "OTHER MATERIAL: the record says   $fingerprint" \
            "STOP. Call the security officer. Delete nothing."
        wanted=$fingerprint
    fi
    if [ -n "$wanted" ]; then
        say "SAME: KMS holds the data key with this public key."
    else
        say "Compare it with the record's: --public-key FILE or --fingerprint HEX."
    fi
}

# spki_of_file FILE: SHA-256 of the DER form.
spki_of_file() {
    local hex first size
    first=$(LC_ALL=C tr -d '\000' <"$1" | head -n 1)
    case $first in
        *'-----BEGIN PUBLIC KEY-----'*)
            hex=$(LC_ALL=C sed '/^-----/d' "$1" | hex_of_text) || return 1
            bytes_of "$hex" | sha256_of - ;;
        *-----BEGIN*) return 1 ;;
        *)
            # a SubjectPublicKeyInfo is one SEQUENCE: 88 bytes on P-256, 550 of RSA_4096
            [ "$(LC_ALL=C head -c 1 "$1")" = 0 ] || return 1 # 30, the tag of a SEQUENCE
            size=$(wc -c <"$1" | tr -d ' ')
            { [ "$size" -ge 80 ] && [ "$size" -le 1000 ]; } || return 1
            sha256_of "$1" ;;
    esac
}

verb_replicate() {
    local file='' replica
    takes key to policy description name
    check_key
    need to
    check_region "$to"
    [ -z "$policy" ] || check_policy "$policy"
    if [ -n "$name" ]; then
        check_name "$name"
        file=$name.describe-key.json
        must_be_new "$file"
    fi
    check_aws
    describe
    must_be_external
    if [ "$dry_run" = no ]; then
        [ "$key_multi" = True ] || refuse 4 "this is not a multi-Region key, and cannot become one" \
            "make another: $(again create --name NAME --multi-region)"
        [ "$key_kind" = PRIMARY ] || refuse 4 "this is a replica: make replicas from the primary key"
        [ "$to" != "$region" ] || refuse 2 "--to $to is the Region of the primary key itself"
    fi
    set -- kms replicate-key --key-id "$key" --replica-region "$to"
    [ -z "$policy" ] || set -- "$@" --policy "file://$policy"
    [ -z "$description" ] || set -- "$@" --description "$description"
    call "kms:ReplicateKey (and kms:CreateKey in $to)" "$@" --output text --query ReplicaKeyMetadata.Arn
    replica=$answer
    [ "$dry_run" = no ] || replica=REPLICA_ARN
    planned "REPLICA_ARN: the ARN that KMS answered; an endpoint of one Region does not serve the other"
    [ "$dry_run" = yes ] || say "$replica"
    region=$to key=$replica
    describe
    must_be_external
    [ -n "$file" ] || [ "$dry_run" = yes ] || {
        say "state    $key_state: the replica waits for the same material, with import parameters of its own"
        return 0
    }
    [ -n "$file" ] || return 0
    call kms:DescribeKey kms describe-key --key-id "$key" --output json
    [ "$dry_run" = no ] || return 0
    keep_told "$scratch/out" "$file" 644
    say "state    $key_state: the replica waits for the same material, with import parameters of its own" "written  $file"
}

check_region() {
    case $1 in
        [a-z]*-[a-z]*-[0-9]*) ;;
        *) refuse 2 "$1 is not a Region" ;;
    esac
    case $1 in *[!a-z0-9-]*) refuse 2 "$1 is not a Region" ;; esac
}

rotations_query='Rotations[].[KeyMaterialState,ImportState,KeyMaterialId,ExpirationModel,ValidTo,KeyMaterialDescription]'

list_rotations() {
    call kms:ListKeyRotations kms list-key-rotations --key-id "$key" --include-key-material ALL_KEY_MATERIAL \
        --output text --query "$rotations_query"
}

# show_rotations TEXT
show_rotations() {
    printf '%s\n' "$1" | while IFS=$tab read -r state import id model ends about; do
        [ -n "$state" ] || continue
        printf '  %-16s %-14s %s\n' "$state" "$import" "$id"
        case $model in
            KEY_MATERIAL_EXPIRES) printf '    expires %s\n' "$(end_text "$ends")" ;;
            KEY_MATERIAL_DOES_NOT_EXPIRE) printf '    never expires\n' ;;
        esac
        case $about in '' | None) ;; *) printf '    %s\n' "$about" ;; esac
    done
}

verb_rotate() {
    takes key now out
    check_key
    [ -z "$out" ] || must_be_new "$out"
    check_aws
    describe
    must_be_external
    if [ "$dry_run" = no ] && [ "$key_spec" != SYMMETRIC_DEFAULT ]; then
        refuse 4 "a $key_spec key keeps its first material for ever" \
            "make another KMS key, import into it, and move the alias: bash online.sh alias --help"
    fi
    list_rotations
    if [ "$dry_run" = no ]; then
        say "$key_arn" "  state $key_state; Enabled only while every material below is IMPORTED"
        show_rotations "$answer"
    fi
    if [ "$now" = yes ]; then
        if [ "$dry_run" = no ]; then
            case $answer in
                *"PENDING_ROTATION${tab}IMPORTED$tab"*) ;;
                *) refuse 4 "no material waits for a rotation (PENDING_ROTATION and IMPORTED)" \
                    "import new material first, as NEW_KEY_MATERIAL" ;;
            esac
            [ "$key_kind" != REPLICA ] || refuse 4 "this is a replica: rotate the primary key"
        fi
        call kms:RotateKeyOnDemand kms rotate-key-on-demand --key-id "$key" --output text --query KeyId
        planned "after a moment:"
        [ "$dry_run" = yes ] || sleep 2
        list_rotations
        if [ "$dry_run" = no ]; then
            say "" "asked KMS to rotate; it now lists"
            show_rotations "$answer"
            case $answer in
                *PENDING_ROTATION*) say "Not done yet; look again in a minute:" \
                    "  $(again rotate --key "$key_arn")" ;;
            esac
        fi
    fi
    [ -n "$out" ] || return 0
    # KMS lists a bare id, which is that of all replicas: who was asked is written beside it.
    call kms:ListKeyRotations kms list-key-rotations --key-id "$key" --include-key-material ALL_KEY_MATERIAL \
        --output json --query "{KeyId: '${key_arn:-$key}', Rotations: Rotations}"
    [ "$dry_run" = no ] || return 0
    keep_told "$scratch/out" "$out" 600
    say "" "For the record:  byok receipt RECORD $(quoted "$out")"
}

# normalise_alias NAME: sets `alias`.
normalise_alias() {
    alias=$1
    case $alias in
        alias/*) ;;
        arn:* | */alias/*) refuse 2 "--name $alias: the alias's name, not its ARN" ;;
        *) alias=alias/$alias ;;
    esac
    case $alias in
        alias/aws/*) refuse 2 "$alias: names below alias/aws/ are AWS's own" ;;
        alias/ | *[!A-Za-z0-9/_-]*) refuse 2 "$alias: letters, digits, / - and _ only" ;;
    esac
}

alias_target() {
    call kms:ListAliases kms list-aliases --output text --query "Aliases[?AliasName=='$alias'].[TargetKeyId]"
    target=$(or_nothing "$answer")
}

verb_alias() {
    local before
    takes name key
    need name
    normalise_alias "$name"
    check_key
    check_aws
    describe
    alias_target
    before=$target
    if [ "$dry_run" = yes ]; then
        planned "if there is no such alias:"
        call kms:CreateAlias kms create-alias --alias-name "$alias" --target-key-id "$key_id"
        planned "if it points elsewhere:"
        call kms:UpdateAlias kms update-alias --alias-name "$alias" --target-key-id "$key_id"
    elif [ -z "$before" ]; then
        call kms:CreateAlias kms create-alias --alias-name "$alias" --target-key-id "$key_id"
    elif [ "$before" = "$key_id" ]; then
        say "$alias already points to this key: nothing was changed"
        return 0
    else
        say "before   $alias -> $before" "         keep that key: only it can decrypt what it encrypted"
        call "kms:UpdateAlias (on the alias, the old and the new key)" kms update-alias --alias-name "$alias" \
            --target-key-id "$key_id"
    fi
    alias_target
    [ "$dry_run" = no ] || return 0
    [ "$target" = "$key_id" ] || refuse 4 "KMS reported success, but $alias points to ${target:-nothing}"
    say "now      $alias -> $key_id" "         $key_arn, $key_state"
    [ "$key_state" = Enabled ] || say "This key is not Enabled: until it is, everything that uses the alias fails."
}

verb_status() {
    local wanted all
    takes regions
    check_aws
    wanted=$(printf '%s' "${regions:-$region}" | tr ',' ' ')
    all=0
    if [ -z "$wanted" ]; then
        status_of_region || all=3
    fi
    for region in $wanted; do
        check_region "$region"
        status_of_region || all=3
    done
    [ "$all" -eq 0 ] || exit "$all"
}

status_of_region() {
    local ids names good=0 count=0
    if [ "$dry_run" = yes ]; then
        call kms:ListKeys kms list-keys --output text --query 'Keys[].[KeyArn]'
        call kms:ListAliases kms list-aliases --output text --query 'Aliases[?TargetKeyId].[TargetKeyId,AliasName]'
        planned "for each key:"
        key=KEY_ARN
        describe
        planned "for each of Origin EXTERNAL and the spec SYMMETRIC_DEFAULT:"
        list_rotations
        return 0
    fi
    key=
    call kms:ListKeys kms list-keys --output text --query 'Keys[].[KeyArn]'
    ids=$answer
    call kms:ListAliases kms list-aliases --output text --query 'Aliases[?TargetKeyId].[TargetKeyId,AliasName]'
    names=$answer
    say "${region:-the usual Region}:"
    for key in $ids; do
        case $key in None) continue ;; esac
        status_of_key "$names" || good=1
    done
    key=
    [ "$count" -gt 0 ] || say "  no key of Origin EXTERNAL"
    return "$good"
}

# status_of_key ALIASES
status_of_key() {
    local kind='' deletion='' said
    key_id=${key##*/}
    if ! try kms describe-key --key-id "$key" --output text --query \
        "$description_query"; then
        say "  $key" "    cannot be described: $(error_name) (kms:DescribeKey)"
        return 1
    fi
    read_description "$answer"
    [ "$key_origin" = EXTERNAL ] || return 0
    count=$((count + 1))
    case $key_kind in
        PRIMARY | REPLICA) kind=", multi-Region $key_kind" ;;
    esac
    [ "$(or_nothing "$key_deletion")" = '' ] || deletion=", deleted $(time_text "$key_deletion")"
    say "  $key_arn"
    printf '%s\n' "$1" | LC_ALL=C awk -F '\t' -v id="$key_id" '$1 == id { print "    alias     " $2 }'
    say "    spec      $key_spec, $key_usage$kind" \
        "    state     $key_state$deletion" \
        "    material  $(expiry_text)"
    [ "$key_spec" = SYMMETRIC_DEFAULT ] && [ "$key_state" != PendingDeletion ] || return 0
    if try kms list-key-rotations --key-id "$key" --include-key-material ALL_KEY_MATERIAL --output text --query \
        "$rotations_query"; then
        show_rotations "$answer" | LC_ALL=C sed 's/^/    /'
    else
        said=$(failure)
        case $said in
            *"nvalid choice"* | *"Unknown options"*)
                say "    materials not listed: this AWS CLI is too old: get at least $newer_material" ;;
            *) say "    materials not listed: $(error_name) (kms:ListKeyRotations)" ;;
        esac
    fi
}

verb_alarm() {
    local seconds name topic_region subscriptions policy
    takes key topic days
    check_key
    need topic
    case $topic in
        arn:aws*:sns:*:*:*) ;;
        *) refuse 2 "--topic $topic is not the ARN of an SNS topic" ;;
    esac
    : "${days:=30}"
    whole_number days 1 $((year_days - 1))
    seconds=$((days * 86400))
    check_aws
    describe
    must_be_external
    topic_region=${topic#arn:*:sns:} topic_region=${topic_region%%:*}
    [ -z "$region" ] || [ "$topic_region" = "$region" ] || refuse 2 \
        "the topic is in $topic_region, the key in $region: an alarm reaches only topics in its own Region"
    call sns:ListSubscriptionsByTopic sns list-subscriptions-by-topic --topic-arn "$topic" --output text \
        --query 'Subscriptions[].[SubscriptionArn,Protocol,Endpoint]'
    subscriptions=$answer
    call sns:GetTopicAttributes sns get-topic-attributes --topic-arn "$topic" --output text --query Attributes.Policy
    policy=$answer
    if [ "$dry_run" = no ]; then
        case $subscriptions in
            arn:*) ;;
            *$'\n'arn:*) ;;
            *) refuse 4 "nobody would be told: no subscription of the topic is confirmed" "$topic" \
                "subscribe somebody (aws sns subscribe), have them confirm it, then run this again" ;;
        esac
        say "heard by"
        printf '%s\n' "$subscriptions" | LC_ALL=C awk \
            -F '\t' '/^arn:/ { print "  " $2 " " $3 } !/^arn:/ { print "  " $2 " " $3 " (NOT confirmed: is not told)" }'
    fi
    name=byok-$key_id
    call cloudwatch:PutMetricAlarm cloudwatch put-metric-alarm --alarm-name "$name-expires" \
        --alarm-description "Imported key material of $key expires in less than $days days: reimport" \
        --namespace AWS/KMS --metric-name SecondsUntilKeyMaterialExpires --dimensions "Name=KeyId,Value=$key_id" \
        --statistic Minimum --period 60 --evaluation-periods 1 --threshold "$seconds" \
        --comparison-operator LessThanThreshold --treat-missing-data ignore --alarm-actions "$topic"
    call events:PutRule events put-rule --name "$name-gone" --state ENABLED \
        --description "Imported key material expired, or the KMS key was deleted" --event-pattern "$(gone_pattern)" \
        --output text --query RuleArn
    call events:PutTargets events put-targets --rule "$name-gone" --targets "Id=topic,Arn=$topic" --output text \
        --query FailedEntryCount
    targets_set
    call events:PutRule events put-rule --name "$name-touched" --state ENABLED \
        --description "Somebody deletes imported key material, disables the KMS key, or schedules its deletion" --event-pattern "$(touched_pattern)" \
        --output text --query RuleArn
    call events:PutTargets events put-targets --rule "$name-touched" --targets "Id=topic,Arn=$topic" --output text \
        --query FailedEntryCount
    targets_set
    call cloudwatch:DescribeAlarms cloudwatch describe-alarms --alarm-names "$name-expires" --output text \
        --query 'MetricAlarms[].[ComparisonOperator,Threshold,Statistic,Period,ActionsEnabled,StateValue]'
    [ "$dry_run" = no ] || return 0
    case $answer in
        "LessThanThreshold$tab$seconds"*"${tab}Minimum${tab}60${tab}True$tab"*) ;;
        *) refuse 4 "CloudWatch does not hold the alarm that was asked for, but: $answer" ;;
    esac
    say "alarm    $name-expires: below $days days ($seconds seconds); now ${answer##*"$tab"}" \
        "rules    $name-gone, $name-touched"
    case $key_model in
        KEY_MATERIAL_DOES_NOT_EXPIRE) say "The material of this key never expires: only the rules will fire." ;;
    esac
    case $policy in
        *events.amazonaws.com*) ;;
        *) say "" "WARNING: the topic's policy does not name events.amazonaws.com, so the rules cannot publish to it." \
            "Have its owner add to the policy (aws sns set-topic-attributes --attribute-name Policy):" \
            "  {\"Effect\": \"Allow\", \"Principal\": {\"Service\": \"events.amazonaws.com\"}, \"Action\": \"sns:Publish\", \"Resource\": \"$topic\"}" ;;
    esac
}

targets_set() {
    [ "$dry_run" = yes ] || [ "$answer" = 0 ] || refuse 4 "EventBridge did not accept the topic as a target of the rule"
}

gone_pattern() {
    printf '{"source":["aws.kms"],"detail-type":["KMS Imported Key Material Expiration","KMS CMK Deletion"],"resources":[{"suffix":"key/%s"}]}' "$key_id"
}

touched_pattern() {
    printf '{"source":["aws.kms"],"detail-type":["AWS API Call via CloudTrail"],"detail":{"eventSource":["kms.amazonaws.com"],"eventName":["DeleteImportedKeyMaterial","DisableKey","ScheduleKeyDeletion"],"requestParameters":{"keyId":[{"suffix":"%s"}]}}}' "$key_id"
}

# What happens to a key in its life; each encryption is not.
life='CreateKey ReplicateKey GetParametersForImport ImportKeyMaterial DeleteImportedKeyMaterial DeleteExpiredKeyMaterial RotateKeyOnDemand DisableKey EnableKey ScheduleKeyDeletion CancelKeyDeletion DeleteKey PutKeyPolicy CreateAlias UpdateAlias'

verb_evidence() {
    local event from found events='' count=0 size
    takes key out days
    check_key
    : "${days:=90}"
    whole_number days 1 90
    if [ -z "$out" ]; then
        out=$(free_name "${region:+$region-}$key_id.cloudtrail" json)
    fi
    must_be_new "$out"
    check_aws
    from=$(utc_of $(($(date +%s) - days * 86400)))
    [ "$dry_run" = yes ] || say "asking CloudTrail, event by event"
    for event in $life; do
        call cloudtrail:LookupEvents cloudtrail lookup-events --lookup-attributes "AttributeKey=EventName,AttributeValue=$event" \
            --start-time "$from" --output json --query "Events[?contains(CloudTrailEvent, '$key_id')]"
        [ "$dry_run" = no ] || continue
        found=${answer#\[} found=${found%\]}
        case $found in *'{'*) ;; *) continue ;; esac
        events=$events${events:+,}$found
        count=$(printf '%s\n' "$found" | LC_ALL=C sed -n '/"CloudTrailEvent":/p' | wc -l | tr -d ' ')
        printf '  %-28s %s\n' "$event" "$count"
    done
    [ "$dry_run" = no ] || return 0
    [ -n "$events" ] || refuse 4 "CloudTrail has no event of this key since $from, in ${region:-this Region}" "$key" \
        "an event appears about 5 minutes after it happened; the history keeps 90 days"
    printf '{"Events": [%s]}\n' "$events" >"$scratch/events" || refuse 2 "the disk is full"
    keep_told "$scratch/events" "$out" 600
    size=$(wc -c <"$out" | tr -d ' ')
    say "written  $out, since $from" "For the record:  byok receipt RECORD $(quoted "$out")"
    [ "$size" -le 1048576 ] || say "It is larger than the 1 MiB that byok accepts: choose fewer --days."
}

verb_disable() {
    takes key
    check_key
    check_aws
    describe
    call kms:DisableKey kms disable-key --key-id "$key"
    describe
    expect_state Disabled
    [ "$dry_run" = yes ] || say "$key_arn" "disabled. Its material stays: $(expiry_text)" \
        "undo:    $(again enable --key "$key_arn")"
}

verb_enable() {
    takes key
    check_key
    check_aws
    describe
    enable_it
}

enable_it() {
    call kms:EnableKey kms enable-key --key-id "$key"
    describe
    if [ "$dry_run" = no ] && [ "$key_state" = PendingImport ]; then
        say "$key_arn" "It has no material: it can be used only after an import."
        return 0
    fi
    expect_state Enabled
    [ "$dry_run" = yes ] || say "$key_arn" "enabled. Its material: $(expiry_text)"
}

verb_delete_material() {
    takes key material
    check_key
    case $material in
        *[!0-9a-f]*) refuse 2 "--material: 64 lower-case hex digits, as \`rotate\` lists them" ;;
        '') ;;
        *) [ "${#material}" -eq 64 ] || refuse 2 "--material: 64 lower-case hex digits, as \`rotate\` lists them" ;;
    esac
    check_aws
    who
    describe
    must_be_external
    find_aliases
    if [ "$dry_run" = no ]; then
        [ "$key_state" != PendingImport ] || [ -n "$material" ] || refuse 4 \
            "the key holds no material: its state is PendingImport" "$key_arn"
        say "" "DELETE IMPORTED MATERIAL${material:+ $material}" "  key      $key_arn" \
            "  spec     $key_spec, $key_usage" "  state    $key_state"
        show_aliases
        say "" "What breaks: at once, every encryption, decryption, signature or MAC with this key, or through an alias" \
            "above, fails. Data keys that a service has in memory work until it next asks KMS: an encrypted volume," \
            "for example, fails at its next attach." \
            "What mends it: a reimport of the SAME material, and nothing else. Is there a record, and was the" \
            "escrow proved? Nothing has to be deleted before a reimport, or to change an expiry."
        [ -z "$material" ] || say "If one of several materials is deleted, the whole key stops, unless nothing uses that material yet" \
            "(PENDING_ROTATION)."
        confirm
    fi
    set -- kms delete-imported-key-material --key-id "$key"
    [ -z "$material" ] || set -- "$@" --key-material-id "$material"
    call kms:DeleteImportedKeyMaterial "$@"
    describe
    if [ -z "$material" ]; then
        expect_state PendingImport
    else
        expect_state PendingImport Enabled Disabled
    fi
    [ "$dry_run" = no ] || return 0
    case $key_state in
        PendingImport) say "deleted. The key waits for a reimport of the same material (PendingImport)." ;;
        *) say "deleted. The key is $key_state: that material was not in use yet." ;;
    esac
}

verb_schedule_deletion() {
    local ends
    takes key days
    check_key
    : "${days:=30}"
    whole_number days 7 30
    check_aws
    who
    describe
    find_aliases
    if [ "$dry_run" = no ]; then
        say "" "SCHEDULE THE DELETION OF A KMS KEY" "  key      $key_arn" "  spec     $key_spec, $key_usage" \
            "  state    $key_state"
        show_aliases
        say "" "What breaks: at once the key can no longer be used. In $days days, about $(shown_time $(($(date +%s) + days * 86400)))," \
            "it is gone for ever, with everything that only it can decrypt: ciphertext is bound to this KMS key, so" \
            "neither the escrowed data key nor an import of it into another KMS key opens that." \
            "Until then: $(again cancel-deletion --key "$key_arn")"
        [ "$key_state" != Enabled ] || say \
            "It is Enabled, so it may be in use. Disable it first and wait:" \
            "  $(again disable --key "$key_arn")"
        confirm
    fi
    call kms:ScheduleKeyDeletion kms schedule-key-deletion --key-id "$key" --pending-window-in-days "$days" \
        --output text --query DeletionDate
    ends=$answer
    describe
    expect_state PendingDeletion PendingReplicaDeletion
    [ "$dry_run" = no ] || return 0
    case $ends in
        None | '') ends="$days days after its last replica is gone" ;;
        *) ends=$(time_text "$ends") ;;
    esac
    say "scheduled: deleted $ends" "until then: $(again cancel-deletion --key "$key_arn")"
}

verb_cancel_deletion() {
    takes key
    check_key
    check_aws
    describe
    call kms:CancelKeyDeletion kms cancel-key-deletion --key-id "$key" --output text --query KeyId
    planned "KMS leaves the key Disabled:"
    describe
    if [ "$dry_run" = no ] && [ "$key_state" = PendingImport ]; then
        say "$key_arn" "not deleted. It has no material: it can be used only after an import."
        return 0
    fi
    enable_it
}

# ---- the command line ----

# need OPTION: it must be given.
need() {
    local value
    case $1 in
        name) value=$name ;; key) value=$key ;; algorithm) value=$algorithm ;;
        to) value=$to ;; topic) value=$topic ;; *) value= ;;
    esac
    [ -n "$value" ] || refuse 2 "--$1 is missing" "see: bash online.sh $verb --help"
}

# takes OPTION...: what was given must be among these.
takes() {
    local option
    for option in $given; do
        case " ${*-} " in
            *" $option "*) ;;
            *) refuse 2 "$verb does not take --$option" "see: bash online.sh $verb --help" ;;
        esac
    done
    [ -z "$operand" ] || [ "$verb" = import ] || refuse 2 "$operand: what is that?" "see: bash online.sh $verb --help"
}

# whole_number OPTION LEAST MOST
whole_number() {
    case $days in
        '' | *[!0-9]* | ?????*) refuse 2 "--$1 $days: a whole number from $2 to $3" ;;
    esac
    days=$((10#$days))
    if [ "$days" -lt "$2" ] || [ "$days" -gt "$3" ]; then
        refuse 2 "--$1 $days: a whole number from $2 to $3"
    fi
}

# add_tag KEY=VALUE: to `tags`, as JSON.
add_tag() {
    case $1 in
        ?*=*) ;;
        *) refuse 2 "--tag $1: KEY=VALUE" ;;
    esac
    case $1 in
        *[\"\\]* | *[[:cntrl:]]*) refuse 2 "--tag $1: no quotes, backslashes or control characters" ;;
    esac
    tags="$tags${tags:+,}{\"TagKey\":\"${1%%=*}\",\"TagValue\":\"${1#*=}\"}"
}

# set_option NAME VALUE. The AWS CLI would put a file or a page in the place of a value that names one.
set_option() {
    local fault
    case $1=$2 in
        endpoint-url=*)
            fault=$(endpoint_fault "$2")
            [ -z "$fault" ] || refuse 2 "--$1: $fault" ;;
        *=file://* | *=fileb://* | *=http://* | *=https://*)
            refuse 2 "--$1: a value that begins with ${2%%//*}// is not accepted: nothing is read in its place" ;;
    esac
    case $2 in *[[:cntrl:]]*) refuse 2 "--$1: no control characters" ;; esac
    case $1 in
        profile) profile=$2 ;;
        region) region=$2 && check_region "$2" ;;
        endpoint-url) endpoint=$2 ;;
        name) name=$2 ;;
        spec) spec=$2 ;;
        usage) use=$2 ;;
        description) description=$2 ;;
        alias) alias=$2 ;;
        policy) policy=$2 ;;
        key) key=$2 ;;
        algorithm) algorithm=$2 ;;
        size) size=$2 ;;
        out) out=$2 ;;
        fingerprint) fingerprint=$2 ;;
        public-key) public_key=$2 ;;
        to) to=$2 ;;
        material) material=$2 ;;
        days) days=$2 ;;
        topic) topic=$2 ;;
        regions) regions=$2 ;;
        tag) add_tag "$2" ;;
    esac
}

# read_arguments ARGUMENT...: options may stand before and after the verb.
read_arguments() {
    local option value
    while [ $# -gt 0 ]; do
        option=$1
        shift
        case $option in
            -h | --help) wants_help=yes ;;
            --dry-run) dry_run=yes ;;
            --multi-region) multi=yes given="$given multi-region" ;;
            --now) now=yes given="$given now" ;;
            --yes) yes=yes given="$given yes" ;;
            --profile | --region | --endpoint-url | --name | --spec | --usage | --description | --tag | --alias | --policy | --key | \
                --algorithm | --size | --out | --fingerprint | --public-key | --to | --material | --days | --topic | --regions | \
                --profile=* | --region=* | --endpoint-url=* | --name=* | --spec=* | --usage=* | --description=* | --tag=* | --alias=* | \
                --policy=* | --key=* | --algorithm=* | --size=* | --out=* | --fingerprint=* | --public-key=* | --to=* | --material=* | \
                --days=* | --topic=* | --regions=*)
                option=${option#--}
                case $option in
                    *=*) value=${option#*=} option=${option%%=*} ;;
                    *)
                        [ $# -gt 0 ] || refuse 2 "--$option needs a value"
                        value=$1
                        case $value in
                            --[a-z]*) refuse 2 "--$option needs a value: $value after it is the next option" \
                                "is a variable empty? A value that begins so: --$option=$value" ;;
                        esac
                        shift ;;
                esac
                [ -n "$value" ] || refuse 2 "--$option is empty"
                case $option/" $given " in
                    tag/*) ;;
                    *" $option "*) refuse 2 "--$option is given twice" ;;
                esac
                set_option "$option" "$value"
                case $option in
                    profile | region | endpoint-url) ;;
                    *) given="$given $option" ;;
                esac ;;
            -*) refuse 2 "$option is not known" "see: bash online.sh --help" ;;
            *)
                if [ -z "$verb" ]; then
                    verb=$option
                elif [ -z "$operand" ]; then
                    operand=$option
                else
                    refuse 2 "$option: what is that?" "see: bash online.sh --help"
                fi ;;
        esac
    done
}

main() {
    read_arguments ${1+"$@"}
    case $verb in
        create | parameters | slip | import | prove | replicate | rotate | alias | status | alarm | evidence | disable | enable | \
            delete-material | schedule-deletion | cancel-deletion) ;;
        '' | help)
            [ "$wants_help$verb" = no ] || { usage && exit 0; }
            usage >&2
            exit 2 ;;
        *) refuse 2 "$verb is not a verb" "see: bash online.sh --help" ;;
    esac
    if [ "$wants_help" = yes ]; then
        "help_$(printf '%s' "$verb" | tr '-' '_')"
        exit 0
    fi
    "verb_$(printf '%s' "$verb" | tr '-' '_')"
}

# refuse_other_answers: an alias of the AWS CLI, a plugin or a service model in its folder answers instead of
# AWS, and no option turns them off.
refuse_other_answers() {
    local config=${AWS_CONFIG_FILE-~/.aws/config} model services='kms|sts|cloudtrail|cloudwatch|events|sns'
    case $config in '~'* | *'$'*) refuse 2 "AWS_CONFIG_FILE: give the whole path, without ~ and \$" ;; esac
    ! names ~/.aws/cli/alias "^($services)\$|^section:command($services)" || refuse 2 \
        "an alias there answers instead of AWS: $(printf '%s' ~/.aws/cli/alias | clean)" \
        "remove the aliases for ${services//|/, }; other aliases may stay"
    ! names "$config" '^section:plugins$' || refuse 2 \
        "a plugin may answer instead of AWS: $(printf '%s' "$config" | clean)" \
        "remove its section [plugins], or give a file without it: AWS_CONFIG_FILE=FILE"
    for model in ~/.aws/models/*; do
        [ -e "$model" ] || continue
        case $(printf '%s' "${model##*/}" | LC_ALL=C tr '[:upper:]' '[:lower:]') in
            kms | sts | cloudtrail | cloudwatch | events | sns | *.json*) refuse 2 \
                "this file decides where AWS is, or what it answers: $(printf '%s' "$model" | clean)" "move it away" ;;
        esac
    done
}

# endpoint_fault URL: what is wrong with it: it must be scheme, host and port. Programs differ in where the host of
# anything else ends, so the host that is shown could differ from the host that is asked.
endpoint_fault() {
    printf '%s\n' "$1" | LC_ALL=C awk '
        !/^https?:\/\/./ { print "give a URL that begins with https:// or http://"; exit }
        /@/ { print "give no user or password (the part before @)"; exit }
        /[?#]/ { print "give nothing after ? or #"; exit }
        { sub(/^https?:\/\//, ""); sub(/\/$/, "") }
        /\// { print "give no path after the host"; exit }
        !/^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?$/ { print "the host may have letters, digits, dots and hyphens, then perhaps a port" }'
}

# names FILE PATTERN: whether the name of an entry or, after section:, of a section matches; only its small letters
# and digits count, so that no spelling that the AWS CLI accepts is overlooked. (One K is not in ASCII.)
names() {
    [ -f "$1" ] && [ -r "$1" ] || return 1
    LC_ALL=C tr -d '\000' <"$1" | LC_ALL=C tr '\r' '\n' | LC_ALL=C awk -v pattern="$2" '
        /^[ \t]*[#;]/ { next }
        {
            gsub(/\342\204\252/, "k")
            name = tolower($0)
            section = name ~ /^[^a-z0-9=:]*\[/
            if (!section) sub(/[=:].*/, "", name)
            gsub(/[^a-z0-9]/, "", name)
            if ((section ? "section:" name : name) ~ pattern) found = 1
        }
        END { exit !found }'
}

# The AWS CLI neither pages nor asks, reports its errors in one form, and asks AWS itself: another endpoint
# is given on the command line or not at all. (An AWS CLI that does not know the last variable knows no
# configured endpoints either.)
# shellcheck disable=SC2086 # names of variables, none or more
unset AWS_ENDPOINT_URL ${!AWS_ENDPOINT_URL_*} AWS_DATA_PATH
export AWS_PAGER='' AWS_CLI_AUTO_PROMPT=off AWS_CLI_ERROR_FORMAT=legacy AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true
umask 077
verb='' operand='' given='' wants_help=no dry_run=no multi=no now=no yes=no alias_failed=no
profile='' region='' endpoint='' name='' spec='' use='' description='' alias='' policy='' key='' key_id=''
algorithm='' size='' out='' out_folder='' fingerprint='' public_key='' to='' material='' days='' topic='' regions='' tags=''
key_arn='' key_spec='' key_usage='' key_origin='' key_state='' key_model='' key_valid_to='' key_multi='' key_kind='' key_material='' key_deletion=''
answer='' status=0 came_back='' value='' picked='' twin='' picked_key='' picked_token='' read_arn='' read_spki='' read_size='' read_algorithm='' read_ends='' kept='' aliases='' target='' scratch=''
main ${1+"$@"}
