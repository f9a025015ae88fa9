#!/usr/bin/env bash
# The online half of an import into the transit engine of OpenBao or HashiCorp Vault, for the cloud operator. It needs
# bash 3.2 or newer, bao or vault, openssl, and common.sh beside it. It never sees a data key.
#
#     bash transit.sh --help

case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -u

usage() {
    cat <<'END'
usage: bash transit.sh VERB OBJECT [options]

  mount URL                 switch the engine on           (administrator)
  parameters URL --out FILE the wrapping key for the room, and its slip
  import FOLDER             run the import.sh in it        (importer)
  prove FOLDER --out FILE   what only the data key shows   (prover)
  status URL                what the engine tells          (watcher)
  delete URL                delete the key for ever        (destroyer)

URL is the key's, as in the plan: https://HOST:PORT/v1/MOUNT/keys/NAME
FOLDER is that of one import, as it lies there: LABEL/IMPORT or its copy

  --vault          use vault instead of bao, in front of the verb
  --address URL    another way to that server, such as to a tunnel
  --ca-cert FILE   the certificate to trust instead of this computer's own
  --yes            do not ask (delete)

Sign in first: bao login, or the token in BAO_TOKEN (vault: VAULT_TOKEN). Every
other BAO_* and VAULT_* variable is ignored, and so are proxies. `import` takes
the options of import.sh: bash transit.sh import FOLDER --help

Exit codes: 0 done, 1 declined, refused or not reached, 2 usage, 4 not what it
should be.
END
}

case ${BASH_SOURCE[0]} in */*) here=${BASH_SOURCE[0]%/*} ;; *) here=. ;; esac
# shellcheck source=/dev/null
. "$here/common.sh" || exit 2

# the_key URL: its parts, in $server, $mount and $name.
the_key() {
    local path
    case $1 in
        *[!A-Za-z0-9._:/\[\]-]* | *..*) refuse 2 "that is no URL of a key: https://HOST:PORT/v1/MOUNT/keys/NAME" ;;
        https://*/v1/?*/keys/?*) ;;
        http://localhost[:/]*/v1/?*/keys/?* | http://127.0.0.1[:/]*/v1/?*/keys/?* | 'http://[::1]'[:/]*/v1/?*/keys/?*) ;;
        *) refuse 2 "that is no URL of a key: https://HOST:PORT/v1/MOUNT/keys/NAME" ;;
    esac
    server=${1%%/v1/*} path=${1#*/v1/}
    mount=${path%/keys/*} name=${path##*/keys/}
    case ${server#*://} in '' | */*) refuse 2 "that is no URL of a key: https://HOST:PORT/v1/MOUNT/keys/NAME" ;; esac
    case $name in */*) refuse 2 "the name of a key has no /" ;; esac
}

# run ARGUMENT...: the command, for this server alone, as import.sh runs it.
run() {
    (
        # shellcheck disable=SC2086 # names of variables, none or more
        unset ${!BAO_*} ${!VAULT_*}
        unset HTTPS_PROXY HTTP_PROXY ALL_PROXY NO_PROXY https_proxy http_proxy all_proxy no_proxy
        unset SSL_CERT_FILE SSL_CERT_DIR GODEBUG
        export "${prefix}_ADDR=${address:-$server}"
        [ -z "$token" ] || export "${prefix}_TOKEN=$token"
        [ -z "$ca_cert" ] || export "${prefix}_CACERT=$ca_cert"
        exec "$command" "$@"
    )
}

mount() {
    ask secrets enable -path="$mount" transit || refuse 1 "the engine was not switched on at $mount"
}

parameters() {
    answer read -format=json "$mount/wrapping_key"
    pem_in "$scratch/answer" public_key | openssl pkey -pubin -outform DER | keep_parameters || exit
    say "" "Into the room: that file. It names no key: the plan does, and the URL is compared there letter by letter."
}

# prove: of an AES key its answer to the challenge of the ceremony, of an HMAC key its HMAC, of a pair its public half.
prove() {
    local challenge text version
    the_key "$(decided "$object" key)"
    challenge=$(decided "$object" challenge) text=$(decided "$object" fingerprint_text)
    case $(decided "$object" spec) in
        HMAC_*) answer_to_file write -format=json "$mount/hmac/$name/sha2-$(decided "$object" spec | sed 's/^HMAC_//')" "input=$text" ;;
        ECC_* | ED25519 | RSA_*) answer_to_file read -format=json "$mount/keys/$name" ;;
        *)
            [ -n "$challenge" ] || refuse 1 "the ceremony made no challenge: this key proves itself by old ciphertext only"
            version=$(ask read -field=latest_version "$mount/keys/$name") || version=1
            answer_to_file write -format=json "$mount/decrypt/$name" "ciphertext=vault:v$version:$challenge" ;;
    esac
    say "To the security officer, with byok receipt RECORD: that file."
}

status() {
    local field told
    for field in type imported_key latest_version exportable allow_plaintext_backup deletion_allowed; do
        told=$(ask read -field="$field" "$mount/keys/$name") || refuse 1 "no answer about $name"
        printf '  %-24s %s\n' "$field" "$(printf '%s' "$told" | shown)"
    done
}

delete() {
    say "$name and all its versions are deleted for ever; what was encrypted under it is lost, unless the same data key is imported again: a reimport in the room."
    typed_name "$name"
    ask write "$mount/keys/$name/config" deletion_allowed=true >/dev/null || refuse 1 "$name was not deleted"
    ask delete "$mount/keys/$name" >/dev/null || refuse 1 "$name was not deleted, but may be: deletion_allowed is true"
    say "$name is deleted."
}

command=bao prefix=BAO token=${BAO_TOKEN:-} scratch=''
[ "${1-}" != --vault ] || { shift && command=vault prefix=VAULT token=${VAULT_TOKEN:-}; }
verb=${1-} object=${2-}
case $verb in
    -h | --help) usage && exit 0 ;;
    mount | parameters | status | delete | import | prove) ;;
    *) usage >&2 && exit 2 ;;
esac
[ -n "$object" ] || refuse 2 "$verb needs its object: --help"
shift 2
[ "$verb" != import ] || import "$object" ${1+"$@"}
options "--out --ca-cert --address --yes" ${1+"$@"}
case $verb in
    prove) is_folder "$object" ;;
    *) the_key "$object" ;;
esac
needs "$command" openssl
"$verb"
