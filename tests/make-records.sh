#!/usr/bin/env bash
# tests/make-records.sh BYOK DIRECTORY
#
# Makes records with the program BYOK and SoftHSM, to be kept for ever: later versions must verify, follow and
# recover them. One life of twelve data keys, one of each key spec (made, imported, again, shares dealt anew,
# recovered in another HSM, destroyed), one of material from a file, and an aborted ceremony. tests/records/VERSION
# holds what the byok of that version made.
#
# Needs softhsm2-util, openssl and jq. DIRECTORY must not exist; what is not to be kept lies in DIRECTORY.work.
# Exit codes: 0 made, 1 a ceremony ended otherwise than it should
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
export LC_ALL=C
umask 022
byok=$(realpath "$1") module=$("$(dirname "${BASH_SOURCE[0]}")/../softhsm-config/find-module.sh") into=$(realpath -m "$2")
work=$into.work
mkdir "$into"
rm -rf "$work"
mkdir -p "$work/tokens" "$work/inputs"
cd "$work"
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\n' "$work" >softhsm2.conf
export SOFTHSM2_CONF=$work/softhsm2.conf
(umask 077 && printf 271828 >pin)
for token in first second; do
    softhsm2-util --init-token --free --label "$token" --pin 271828 --so-pin 31415926 >/dev/null
done

# What a KMS gives out: one wrapping key for all of them.
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out kms.pem
openssl pkey -in kms.pem -pubout -outform DER -out kms.der
digest=$(openssl dgst -sha256 -r kms.der | cut -d' ' -f1)
token=$(openssl rand -base64 1200 | tr -d '\n')

specs=(SYMMETRIC_DEFAULT HMAC_224 HMAC_256 HMAC_384 HMAC_512 RSA_2048 RSA_3072 RSA_4096 ECC_NIST_P256 ECC_NIST_P384 ECC_NIST_P521 ECC_SECG_P256K1)

arn() { # N
    printf 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-%012d' "$1"
}

parameters() { # N
    jq -n --arg id "$(arn "$1")" --arg token "$token" --arg key "$(base64 -w0 kms.der)" --argjson to $(($(date +%s) + 80000)) \
        '{KeyId: $id, ImportToken: $token, PublicKey: $key, ParametersValidTo: $to}' >"inputs/$1.json"
}

top() { # TITLE KIND TOKEN RECORD PREVIOUS
    printf 'title = "%s"\nkind = "%s"\n' "$1" "$2"
    [ -z "${5-}" ] || printf 'previous = "%s"\nprevious_head = "%s"\n' "$5" "$(openssl dgst -sha256 -r "$5/transcript.jsonl" | cut -d' ' -f1)"
    printf '%s' "${more-}"
    printf '\n[machine]\nnetwork = "allowed"\n\n[hsm]\nmodule = "%s"\ntoken = "pkcs11:token=%s"\npin = "file:pin"\nenv = ["SOFTHSM2_CONF"]\n' "$module" "$3"
    printf '\n[record]\ndirectory = "%s"\n' "$4"
}

key() { # N [NOIMPORT]
    local spec=${specs[$1]} wrapping=RSAES_OAEP_SHA_1 in=hsm
    case $spec in RSA_* | ECC_*) wrapping=RSA_AES_KEY_WRAP_SHA_256 in=host ;; esac
    printf '\n[[key]]\nlabel = "%s"\nspec = "%s"\nkeep = "extractable"\n' "${spec,,}" "$spec"
    [ "$spec" != HMAC_224 ] || printf 'bits = 256\n' # SoftHSM does not wrap 28 bytes
    printf '%s' "${key_more-}"
    [ -z "${2-}" ] || return 0
    parameters "$1"
    printf '\n[[key.import]]\nname = "eu-west-1"\nkey_arn = "%s"\nparameters = "inputs/%s.json"\nwrapping = "%s"\nwrap_in = "%s"\nexpires = "never"\nwrapping_key_sha256 = "%s"\n' \
        "$(arn "$1")" "$1" "$wrapping" "$in" "$digest"
}

escrow() { # DIRECTORY
    printf '\n[escrow]\nthreshold = 2\ncustodians = ["Security", "Audit", "Treasury"]\ndeliver = "files:%s"\n' "$1"
}

run() { # PLAN EXIT
    local code=0
    "$byok" run "$1" --approve "$(openssl dgst -sha256 -r "$1" | cut -d' ' -f1)" >"$1.out" 2>"$1.err" || code=$?
    [ "$code" -eq "$2" ] || { cat "$1.out" "$1.err" >&2; printf '%s: exit %s\n' "$1" "$code" >&2; exit 1; }
}

all() { # [NOIMPORT]
    local n
    for n in "${!specs[@]}"; do key "$n" "${1-}"; done
}

{ top 'All specs, made' generate first all-made; all; escrow shares-all; } >made.toml
run made.toml 0

# What KMS answered: each import taken; a MAC and the public keys prove theirs.
for n in "${!specs[@]}"; do
    label=${specs[n]}; label=${label,,}
    jq -n --arg id "$(arn "$n")" --arg material "$(printf %s "$label" | openssl dgst -sha256 -r | cut -d' ' -f1)" \
        '{KeyId: $id, KeyMaterialId: $material}' >"answers.json"
    "$byok" receipt all-made answers.json >/dev/null
    case $label in
    rsa_* | ecc_*)
        jq -n --arg id "$(arn "$n")" --arg spec "${specs[n]}" --arg key "$(base64 -w0 "all-made/$label/public-key.der")" \
            '{KeyId: $id, KeySpec: $spec, PublicKey: $key}' >answers.json
        "$byok" receipt all-made answers.json >/dev/null ;;
    hmac_256)
        openssl pkeyutl -decrypt -inkey kms.pem -pkeyopt rsa_padding_mode:oaep -in "all-made/$label/eu-west-1/WrappedKeyMaterial.bin" -out material
        mac=$(printf %s 'byok-ceremony material fingerprint v1' | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(od -An -tx1 -v material | tr -d ' \n')" -binary | base64 -w0)
        rm material
        jq -n --arg id "$(arn "$n")" --arg mac "$mac" '{KeyId: $id, Mac: $mac, MacAlgorithm: "HMAC_SHA_256"}' >answers.json
        "$byok" receipt all-made answers.json >/dev/null ;;
    esac
done

{ top 'All specs, again' reimport first all-again all-made; all; } >again.toml
run again.toml 0

{ top 'All specs, shares dealt anew' reimport first all-dealt-anew all-again; all none; escrow shares-all-anew; } >anew.toml
run anew.toml 0

more='reuse_escrow = "the custodians keep their forms"
'
{ top 'All specs, in another HSM' recover second all-recovered all-made; all; printf '\n[recover]\nshares = "files:some"\n'; } >recovered.toml
more=
mkdir -m 700 some
cp shares-all/01* shares-all/03* some/
run recovered.toml 0

more='reason = "the service was closed"
'
{ top 'All specs, destroyed' destroy second all-destroyed all-recovered; all none; } >destroyed.toml
more=
run destroyed.toml 0

openssl rand -out brought.bin 32
chmod 600 brought.bin
key_more='source = "file:brought.bin"
reason = "the old system gave it out as a file"
'
sed 's/keep = "extractable"/keep = "sealed"/; s/label = "symmetric_default"/label = "brought"/' \
    < <(top 'From a file, sealed' generate first from-file; key 0; escrow shares-from-file) >file.toml
key_more=
run file.toml 0

# An answer that is for another KMS key: the ceremony ends before it makes anything.
{ top 'Aborted: parameters of another KMS key' generate first aborted-early; key 0; } | sed 's/label = "symmetric_default"/label = "never"/' >aborted.toml
parameters 1
cp inputs/1.json inputs/0.json
run aborted.toml 4

cp -r all-made all-again all-dealt-anew all-recovered all-destroyed from-file shares-all shares-all-anew shares-from-file "$into"/
for left in aborted-early*; do [ ! -e "$left" ] || cp -r "$left" "$into/aborted-early"; done
chmod -R u+w,go+rX "$into"
printf 'made in %s\n' "$into"
