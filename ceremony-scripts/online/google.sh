#!/usr/bin/env bash
# The online half of an import into Google Cloud KMS, for the cloud operator. It needs bash 3.2 or newer, gcloud, openssl, and
# common.sh beside it. It never sees a data key.
#
#     bash google.sh --help

case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -u

usage() {
    cat <<'END'
usage: bash google.sh VERB OBJECT [options]

  job JOB                   make the import job, for 72 hours
  job-sha1 JOB              the same for an HSM that wraps with SHA-1 alone
  parameters JOB --out FILE the job for the room, and its slip
  import FOLDER             run the import.sh in it        (importer)
  prove FOLDER              the same script: what is there is asked, not sent
                            again; if nothing is there yet, it imports. For an
                            AES key it needs curl too              (prover)
  status KEY                every version of the key
  destroy VERSION           destroy a version's material   (destroyer)

JOB      projects/PROJECT/locations/LOCATION/keyRings/RING/importJobs/JOB
KEY      projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY
VERSION  KEY/cryptoKeyVersions/NUMBER
FOLDER   that of one import, as it lies there: LABEL/IMPORT or its copy

  --address URL    another way to Google, such as to a tunnel
  --ca-cert FILE   the certificates to trust instead of those of gcloud
  --yes            do not ask (destroy)

Sign in first: gcloud auth login. Of the environment only CLOUDSDK_CONFIG,
CLOUDSDK_ACTIVE_CONFIG_NAME, CLOUDSDK_CORE_ACCOUNT,
CLOUDSDK_AUTH_ACCESS_TOKEN_FILE and CLOUDSDK_PYTHON count; every other
CLOUDSDK_* variable is ignored, and so are proxies. `import` and `prove` take
the options of import.sh, which makes no key, but says the command:
bash google.sh import FOLDER --help

Exit codes: 0 done, 1 declined, refused or not reached, 2 usage, 4 not what it
should be.
END
}

case ${BASH_SOURCE[0]} in */*) here=${BASH_SOURCE[0]%/*} ;; *) here=. ;; esac
# shellcheck source=/dev/null
. "$here/common.sh" || exit 2

# in_ring NAME KIND: the parts of a resource name, in $ring (as options of gcloud), $kind/$name and $version.
in_ring() {
    local project location key_ring rest
    case $1 in *[!A-Za-z0-9._:/-]* | *//*) refuse 2 "that is no resource name: google.sh --help" ;; esac
    IFS=/ read -r _ project _ location _ key_ring kind name rest version <<END
$1
END
    case ${name:+$kind${rest:+/$rest}}:$1 in
        "$2:projects/$project/locations/$location/keyRings/$key_ring/$kind/$name${rest:+/$rest/$version}") ;;
        *) refuse 2 "that is no resource name of $2: google.sh --help" ;;
    esac
    ring="--project=$project --location=$location --keyring=$key_ring"
}

# run ARGUMENT...: gcloud, as import.sh runs it.
run() {
    (
        # shellcheck disable=SC2086 # names of variables, none or more
        unset ${!CLOUDSDK_*} ${!PYTHON*}
        unset HTTPS_PROXY HTTP_PROXY ALL_PROXY NO_PROXY https_proxy http_proxy all_proxy no_proxy
        unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR
        export CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS=${address:-https://cloudkms.googleapis.com}/
        export CLOUDSDK_CORE_UNIVERSE_DOMAIN=googleapis.com CLOUDSDK_AUTH_DISABLE_SSL_VALIDATION=false
        export CLOUDSDK_CORE_DISABLE_PROMPTS=1 CLOUDSDK_CORE_DISABLE_COLOR=1
        # shellcheck disable=SC2086 # an option a word
        exec env ${config:+"CLOUDSDK_CONFIG=$config"} ${active:+"CLOUDSDK_ACTIVE_CONFIG_NAME=$active"} \
            ${account:+"CLOUDSDK_CORE_ACCOUNT=$account"} ${token_file:+"CLOUDSDK_AUTH_ACCESS_TOKEN_FILE=$token_file"} \
            ${interpreter:+"CLOUDSDK_PYTHON=$interpreter"} ${ca_cert:+"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE=$ca_cert"} \
            gcloud "$@" $ring --format=json
    )
}

job() {
    ask kms import-jobs create "$name" --import-method "rsa-oaep-4096-${1-sha256}-aes-256" --protection-level hsm >/dev/null ||
        refuse 1 "the import job was not made"
    say "The import job $name lives 72 hours. Its key takes a moment: until it is ACTIVE, nobody gets the parameters."
}

parameters() {
    local state
    answer kms import-jobs describe "$name"
    state=$(LC_ALL=C sed -n 's/.*"state": *"\([^"]*\)".*/\1/p' "$scratch/answer" | head -n 1 | shown)
    case $state in
        ACTIVE) ;;
        EXPIRED) refuse 1 "the job is EXPIRED: make another one" ;;
        *) refuse 1 "the job is not ACTIVE yet ($state): run this again" ;;
    esac
    pem_in "$scratch/answer" pem | openssl pkey -pubin -outform DER | keep_parameters || exit
    say "" "Into the room: that file, before its expireTime."
}

status() {
    ask kms keys versions list --key "$name" >"$scratch/answer" || refuse 1 "no answer about $name"
    LC_ALL=C grep -E '"(name|state|algorithm|importJob|importTime|destroyTime)"' "$scratch/answer" | shown
}

destroy() {
    say "$object:" "its material is destroyed; what was encrypted under it is lost, unless the same data key is imported into this version again, after it is DESTROYED: a reimport in the room."
    typed_name "$name/cryptoKeyVersions/$version"
    ask kms keys versions destroy "$version" --key "$name" >/dev/null || refuse 1 "version $version was not destroyed"
    say "Version $version of $name is DESTROY_SCHEDULED. It takes material back when status says DESTROYED, not before."
}

config=${CLOUDSDK_CONFIG:-} active=${CLOUDSDK_ACTIVE_CONFIG_NAME:-} account=${CLOUDSDK_CORE_ACCOUNT:-}
token_file=${CLOUDSDK_AUTH_ACCESS_TOKEN_FILE:-} interpreter=${CLOUDSDK_PYTHON:-}
ring='' version='' scratch=''
case $config in '' | /*) ;; *) config=$PWD/$config ;; esac
case $token_file in '' | /*) ;; *) token_file=$PWD/$token_file ;; esac
verb=${1-} object=${2-}
case $verb in
    -h | --help) usage && exit 0 ;;
    job | job-sha1 | parameters | status | destroy | import | prove) ;;
    *) usage >&2 && exit 2 ;;
esac
[ -n "$object" ] || refuse 2 "$verb needs its object: --help"
shift 2
case $verb in import | prove) import "$object" ${1+"$@"} ;; esac
options "--out --ca-cert --address --yes" ${1+"$@"}
case $verb in
    status) in_ring "$object" cryptoKeys ;;
    destroy) in_ring "$object" cryptoKeys/cryptoKeyVersions ;;
    *) in_ring "$object" importJobs ;;
esac
needs gcloud openssl
case $verb in
    job-sha1) job sha1 ;;
    *) "$verb" ;;
esac
