#!/usr/bin/env bash
# The online half of an import into Azure Key Vault or Managed HSM, for the cloud operator. It needs bash 3.2 or newer, az,
# openssl, and common.sh beside it. It never sees a data key.
#
#     bash azure.sh --help

case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -u

usage() {
    cat <<'END'
usage: bash azure.sh VERB OBJECT [options]

  kek URL                   make the KEK: it can do nothing but import
  parameters URL --out FILE the KEK for the room, and its slip
  import FOLDER             run the import.sh in it        (importer)
  prove FOLDER --out FILE   what only the data key shows   (prover)
  status URL                what the vault tells
  delete URL                delete the KEK, or a key       (destroyer)
  purge URL                 what was deleted, for ever     (destroyer)

URL is that of a key or of the KEK: https://VAULT.vault.azure.net/keys/NAME
FOLDER is that of one import, as it lies there: LABEL/IMPORT or its copy

  --address URL    another way to that vault: only https://
  --ca-cert FILE   the certificates to trust instead of those that az brings
  --yes            do not ask (delete, purge)

Sign in first: az login. Of the environment only AZURE_CONFIG_DIR counts; every
other AZURE_* variable is ignored, and so are proxies and extensions of az.
`import` takes the options of import.sh: bash azure.sh import FOLDER --help

Exit codes: 0 done, 1 declined, refused or not reached, 2 usage, 4 not what it
should be.
END
}

case ${BASH_SOURCE[0]} in */*) here=${BASH_SOURCE[0]%/*} ;; *) here=. ;; esac
# shellcheck source=/dev/null
. "$here/common.sh" || exit 2

# the_key URL: its $name, and how az is told it, in $id, by --address if that was given. `import.sh` and byok know which
# domains there are.
the_key() {
    local host=${1#https://}
    host=${host%%/*}
    case $1 in
        *[!A-Za-z0-9.:/-]* | *..*) refuse 2 "that is no URL of a key: https://VAULT.vault.azure.net/keys/NAME" ;;
        "https://$host"/keys/*/*) refuse 2 "without a version: https://VAULT.vault.azure.net/keys/NAME" ;;
        https:///*) refuse 2 "that is no URL of a key: https://VAULT.vault.azure.net/keys/NAME" ;;
        "https://$host"/keys/?*) ;;
        *) refuse 2 "that is no URL of a key: https://VAULT.vault.azure.net/keys/NAME" ;;
    esac
    name=${1##*/keys/}
    server=${address:-https://$host}
    id=$server/keys/$name
}

# run ARGUMENT...: az, as import.sh runs it.
run() {
    (
        # shellcheck disable=SC2086 # names of variables, none or more
        unset ${!AZURE_*} ${!PYTHON*} ARM_CLOUD_METADATA_URL ADAL_PYTHON_SSL_NO_VERIFY
        unset HTTPS_PROXY HTTP_PROXY ALL_PROXY NO_PROXY https_proxy http_proxy all_proxy no_proxy
        unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR
        export AZURE_EXTENSION_DIR=$scratch/none AZURE_CORE_COLLECT_TELEMETRY=no AZURE_CORE_NO_COLOR=yes
        exec env ${config:+"AZURE_CONFIG_DIR=$config"} ${ca_cert:+"REQUESTS_CA_BUNDLE=$ca_cert"} \
            az "$@" --only-show-errors --output json
    )
}

kek() {
    ask keyvault key create --id "$id" --kty RSA-HSM --size 4096 --ops import >/dev/null ||
        refuse 1 "$name was not made"
    say "$name is the KEK. Use it for this ceremony alone, and delete it when every import under it is proved."
}

parameters() {
    answer keyvault key show --id "$id"
    ask keyvault key download --id "$id" -e PEM --file "$scratch/kek.pem" >/dev/null || refuse 1 "no public key of $name"
    openssl pkey -pubin -in "$scratch/kek.pem" -outform DER | keep_parameters || exit
    say "" "Into the room: that file."
}

# prove: of an AES key its answer to the challenge of the ceremony, of a pair its public half.
prove() {
    local challenge kid
    the_key "$(decided "$object" key)"
    challenge=$(decided "$object" challenge)
    case $(decided "$object" spec) in
        ECC_* | RSA_*) answer_to_file keyvault key show --id "$id" ;;
        *)
            [ -n "$challenge" ] || refuse 1 "the ceremony made no challenge: this key proves itself by old ciphertext only"
            kid=$(ask keyvault key show --id "$id" --query key.kid | LC_ALL=C tr -d '"\r\n')
            case $kid in "$(decided "$object" key)"/*) ;; *) refuse 1 "the vault does not tell the version of $name" ;; esac
            answer_to_file keyvault key decrypt --id "$id/${kid##*/}" --algorithm "$(decided "$object" decrypt)" --value "$challenge" \
                --iv "$(decided "$object" iv)" --tag "$(decided "$object" tag)" ;;
    esac
    say "To the security officer, with byok receipt RECORD: that file."
}

status() {
    ask keyvault key show --id "$id" --query '{kid: key.kid, kty: key.kty, ops: key.keyOps, enabled: attributes.enabled,
        expires: attributes.expires}' >"$scratch/answer" || refuse 1 "no answer about $name"
    shown <"$scratch/answer"
}

delete() {
    say "$name is deleted. As long as the vault keeps what was deleted, it can be recovered; a purge is for ever." \
        "What was encrypted under a data key is lost with it, unless the same is imported again; a KEK loses nothing."
    typed_name "$name"
    ask keyvault key delete --id "$id" >/dev/null || refuse 1 "$name was not deleted"
    say "$name is deleted."
}

purge() {
    say "$name is purged: nothing brings this key back but a ceremony."
    typed_name "$name"
    ask keyvault key purge --id "$server/deletedkeys/$name" >/dev/null || refuse 1 "$name was not purged"
    say "$name is purged."
}

config=${AZURE_CONFIG_DIR:-} scratch=''
case $config in '' | /*) ;; *) config=$PWD/$config ;; esac
verb=${1-} object=${2-}
case $verb in
    -h | --help) usage && exit 0 ;;
    kek | parameters | status | delete | purge | import | prove) ;;
    *) usage >&2 && exit 2 ;;
esac
[ -n "$object" ] || refuse 2 "$verb needs its object: --help"
shift 2
[ "$verb" != import ] || import "$object" ${1+"$@"}
options "--out --ca-cert --address --yes" ${1+"$@"}
case $address in http:*) refuse 2 "--address: only with TLS: the token would be read on the way" ;; esac
case $verb in
    prove) is_folder "$object" ;;
    *) the_key "$object" ;;
esac
needs az openssl
"$verb"
