#!/usr/bin/env bash
# The online half of an import into OCI Vault, for the cloud operator. It needs bash 3.2 or newer, oci, openssl, and common.sh
# beside it. It never sees a data key.
#
#     bash oci.sh --help

case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -u

usage() {
    cat <<'END'
usage: bash oci.sh VERB OBJECT [options]

  parameters VAULT --out FILE  the wrapping key for the room, and its slip
  import FOLDER                run the import.sh in it     (importer)
  prove FOLDER                 the same script: what is there is asked, not
                               sent again; if nothing is there yet, it imports
  status VAULT/KEY_OCID        what the vault tells about a key

VAULT is https://NAME-management.kms.REGION.oraclecloud.com, as in the plan.
FOLDER is that of one import, as it lies there: LABEL/IMPORT or its copy

  --address URL    another way to that vault, such as to a tunnel
  --ca-cert FILE   the certificates to trust instead of those of oci

Sign in as oci does. Of the environment only OCI_CLI_CONFIG_FILE,
OCI_CLI_PROFILE and OCI_CLI_AUTH count; every other OCI_* variable is ignored,
and so are oci_cli_rc and proxies. `import` and `prove` take the options of
import.sh: bash oci.sh import FOLDER --help

Exit codes: 0 done, 1 declined, refused or not reached, 2 usage, 4 not what it
should be.
END
}

case ${BASH_SOURCE[0]} in */*) here=${BASH_SOURCE[0]%/*} ;; *) here=. ;; esac
# shellcheck source=/dev/null
. "$here/common.sh" || exit 2

# the_vault URL: a pattern's * takes a / too, so the host is looked at by itself.
the_vault() {
    local host=${1#https://}
    case $host in *[!a-z0-9.-]*) host='' ;; esac
    case $1/$host in
        https://*/?*-management.kms.?*.oraclecloud.com) vault=$1 ;;
        *) refuse 2 "that is no endpoint of a vault: https://VAULT-management.kms.REGION.oraclecloud.com" ;;
    esac
}

# run ARGUMENT...: oci, as import.sh runs it.
run() {
    (
        # shellcheck disable=SC2086 # names of variables, none or more
        unset ${!OCI_*} ${!PYTHON*}
        unset HTTPS_PROXY HTTP_PROXY ALL_PROXY NO_PROXY https_proxy http_proxy all_proxy no_proxy
        unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR
        exec env ${config:+"OCI_CLI_CONFIG_FILE=$config"} ${profile:+"OCI_CLI_PROFILE=$profile"} \
            ${auth:+"OCI_CLI_AUTH=$auth"} ${ca_cert:+"OCI_CLI_CERT_BUNDLE=$ca_cert"} \
            OCI_CLI_RC_FILE=/dev/null OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING=True \
            oci kms management "$@" --endpoint "${address:-$vault}" --output json
    )
}

parameters() {
    answer wrapping-key get
    pem_in "$scratch/answer" public-key | openssl pkey -pubin -outform DER | keep_parameters || exit
    say "" "Into the room: that file. It names neither compartment nor key: the plan does, and the endpoint is compared there letter by letter."
}

status() {
    ask key get --key-id "$key" >"$scratch/answer" || refuse 1 "no answer about $key"
    LC_ALL=C grep -E '"(display-name|lifecycle-state|protection-mode|algorithm|length|current-key-version)"' "$scratch/answer" | shown
}

config=${OCI_CLI_CONFIG_FILE:-} profile=${OCI_CLI_PROFILE:-} auth=${OCI_CLI_AUTH:-}
scratch='' vault=''
case $config in '' | /*) ;; *) config=$PWD/$config ;; esac
verb=${1-} object=${2-}
case $verb in
    -h | --help) usage && exit 0 ;;
    parameters | status | import | prove) ;;
    *) usage >&2 && exit 2 ;;
esac
[ -n "$object" ] || refuse 2 "$verb needs its object: --help"
shift 2
case $verb in import | prove) import "$object" ${1+"$@"} ;; esac
options "--out --ca-cert --address" ${1+"$@"}
case $verb in
    status)
        key=${object##*/}
        case $key in ocid1.key.*) ;; *) refuse 2 "the key by its OCID: VAULT/ocid1.key.…" ;; esac
        the_vault "${object%/*}" ;;
    *) the_vault "$object" ;;
esac
needs oci openssl
"$verb"
