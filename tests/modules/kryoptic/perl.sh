#!/usr/bin/env bash
# perl for the Configure of OpenSSL (OPENSSL_SRC_PERL): without what kryoptic never asks of it, and compiled with -O1.
# What takes time in it is assembler anyway.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail

exec perl "$@" no-apps no-docs no-makedepend no-quic no-tls no-dtls no-cms no-cmp no-ct no-ts no-ocsp no-srp no-psk \
    no-srtp no-http no-dgram no-rfc3779 no-engine no-gost no-aria no-bf no-blake2 no-cast no-mdc2 no-md4 no-rc2 \
    no-rc4 no-rmd160 no-whirlpool no-scrypt no-argon2 no-siv no-sm2 no-sm3 no-sm4 no-dsa no-ec2m no-ml-dsa no-ml-kem \
    no-slh-dsa -O1
