#!/usr/bin/env bash
# make-deb.sh [--out DIR]
#
# Makes a Debian package: byok as build-release.sh builds it, byte for byte; a
# man page for it and for each verb; completions for bash, zsh and fish; its
# documents, with the list of what it is made of (SBOM) and all licences; and the
# scripts, in /usr/share/byok. Prints the SHA-256 and the path of the package.
# Needs a clone, cargo, python3, readelf, dpkg-deb and gzip; installs nothing.
#
#   --out DIR  where the package goes; default target/deb
#
# The same commit and the same Rust give the same package, byte for byte, on the
# same release of Debian. Its files have the time of the last commit, or
# SOURCE_DATE_EPOCH if that is set. Its maintainer is nobody with an address,
# unless DEBFULLNAME and DEBEMAIL name one, as for Debian's own tools.
#
# Example:  ceremony-scripts/make-deb.sh &&
#           sudo apt-get install ./target/deb/byok_*.deb
#
# Exit codes: 0 done, 2 usage or something missing, 4 something is not what it
# claims to be
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
while IFS= read -r name; do unset "$name"; done < <(compgen -e | grep -E '^(GIT_.*|DPKG_DEB_.*|TAR_OPTIONS|GZIP|XZ_OPT|XZ_DEFAULTS|ZSTD_.*)$' || true) # no other clone, and no other bytes
umask 022
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
out=$target/deb

# stop CODE WHAT [HINT…]
stop() {
    local code=$1
    printf 'make-deb.sh: error: %s\n' "$2" >&2
    shift 2
    [ $# -eq 0 ] || printf 'make-deb.sh: hint: %s\n' "$@" >&2
    exit "$code"
}

case $#:${1:-} in
0:) ;;
2:--out) out=$2 ;;
*)
    sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "${BASH_SOURCE[0]}"
    [ "$*" = --help ] && exit 0 || exit 2
    ;;
esac
[ -e "$root/Cargo.toml" ] || stop 2 'make a package in a clone of byok, not in a bundle'
for tool in cargo python3 readelf dpkg-deb gzip; do
    command -v "$tool" >/dev/null || stop 2 "there is no $tool on this machine"
done
mkdir -p "$target" "$out"
target=$(cd "$target" && pwd) out=$(cd "$out" && pwd)
export CARGO_TARGET_DIR=$target
cd "$root"

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null)} ||
    stop 2 'this clone has no history, so files would have no definite time' 'set SOURCE_DATE_EPOCH'
export SOURCE_DATE_EPOCH
version=$(sed -n '/^version *=/{s/.*"\([^"]*\)".*/\1/p;q}' Cargo.toml)
maintainer="${DEBFULLNAME:-the byok authors} <${DEBEMAIL:-nobody@byok.invalid}>"
package=byok_$version-1_$(dpkg --print-architecture).deb
[ ! -e "$out/$package" ] || stop 2 "$out/$package exists already; nothing is overwritten" 'move it away, or choose another --out'

log=$target/deb-build.log
stage=$(mktemp -d "$target/deb-XXXXXX")
trap 'rm -rf "$stage"' EXIT
tree=$stage/tree
share=/usr/share/byok doc=/usr/share/doc/byok # where it has its scripts and its documents
mkdir -p "$tree/DEBIAN" "$tree$share" "$tree$doc"

# logged COMMAND…: its words go to the log, and are shown if it fails.
logged() {
    "$@" >>"$log" 2>&1 </dev/null || {
        tail -n 20 "$log" >&2
        stop 2 "$* failed" "the whole log: $log"
    }
}
: >"$log"

# ---- byok, man pages, completions ----
logged ceremony-scripts/build-release.sh
install -D "$target/release/byok" "$tree/usr/bin/byok"
logged cargo build --quiet --locked --example pages
mkdir "$stage/pages"
logged "$target/debug/examples/pages" "$stage/pages" "$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)" "$share/ceremony-scripts" "$doc"
mkdir -p "$tree/usr/share/man"
cp -R "$stage/pages/man1" "$tree/usr/share/man"
gzip -9n "$tree"/usr/share/man/man1/*
install -D -m 644 "$stage/pages/bash/byok.bash" "$tree/usr/share/bash-completion/completions/byok"
install -D -m 644 "$stage/pages/zsh/_byok" "$tree/usr/share/zsh/vendor-completions/_byok"
install -D -m 644 "$stage/pages/fish/byok.fish" "$tree/usr/share/fish/vendor_completions.d/byok.fish"

# ---- scripts and documents ----
cp -R ceremony-scripts softhsm-config "$tree$share"
# What only a clone or a bundle can use.
rm "$tree$share"/ceremony-scripts/{make-bundle,make-deb,make-medium,build-release,newest-glibc,sbom,third-party-licenses,setup-room,rehearse,meanwhile}.sh
rm -r "$tree$share/ceremony-scripts/medium"
cp src/ground/words/pgp.txt "$tree$share/ceremony-scripts/pgp-words.txt"
cp -R README.md SECURITY.md docs "$tree$doc"
# The pages name each other as in a clone, where all of them lie together.
ln -s "../../byok/ceremony-scripts" "../../byok/softhsm-config" "$tree$doc"
ln -s ../doc/byok/README.md ../doc/byok/docs "$tree$share"
ceremony-scripts/sbom.sh "$tree/usr/bin/byok" >"$tree$doc/byok.cdx.json" 2>>"$log" ||
    stop 2 'the list of what byok is made of could not be written' "the log: $log"
gzip -9n <CHANGELOG.md >"$tree$doc/changelog.gz"
gzip -9n >"$tree$doc/changelog.Debian.gz" <<END
byok ($version-1) unstable; urgency=medium

  * byok $version: see changelog.gz.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END

# ---- copyright ----
# indented: as the text of a field of Debian's.
indented() { sed 's/[[:space:]]*$//; s/^$/./; s/^/ /'; }
crates=$(ceremony-scripts/third-party-licenses.sh 2>>"$log") ||
    stop 2 'the licences of the crates could not be gathered' "the log: $log"
{
    printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: byok\n\n'
    printf 'Files: *\nCopyright: %s\nLicense: Apache-2.0 or Expat\n\n' "$(sed -n 's/^Copyright (c) //p' LICENSE-MIT)"
    printf 'Files: crates/*\nCopyright: the authors of each crate, as its licence names them\n'
    printf 'License: of-each-crate\nComment: Rust crates and standard library are linked into /usr/bin/byok.\n\n'
    printf 'License: Apache-2.0\n On Debian: /usr/share/common-licenses/Apache-2.0\n\n'
    printf 'License: Expat\n'
    sed '1,/^Copyright/d' LICENSE-MIT | sed '/./,$!d' | indented
    printf '\nLicense: of-each-crate\n'
    indented <<<"$crates"
} >"$tree$doc/copyright"

# ---- control ----
glibc=$(ceremony-scripts/newest-glibc.sh "$tree/usr/bin/byok")
depends=
while read -r library; do
    case $library in
    libc.so.6 | libm.so.6 | ld-linux*) needs="libc6 (>= $glibc)" ;;
    libgcc_s.so.1) needs=libgcc-s1 ;;
    *) stop 4 "byok needs $library, and make-deb.sh does not know the package that has it" ;;
    esac
    [[ ", $depends," = *", $needs,"* ]] || depends=${depends:+$depends, }$needs
done < <(readelf -d "$tree/usr/bin/byok" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort)
install -D -m 644 packaging/lintian-overrides "$tree/usr/share/lintian/overrides/byok"
find "$tree" -exec chmod u=rwX,go=rX {} + # a clone made under another umask has other modes
size=$(find "$tree/usr" -type f -printf '%s\n' -o -printf '1\n' | awk '{ kib += int(($1 + 1023) / 1024) } END { print kib }')
cat >"$tree/DEBIAN/control" <<END
Package: byok
Version: $version-1
Architecture: $(dpkg --print-architecture)
Maintainer: $maintainer
Installed-Size: $size
Depends: $depends
Suggests: softhsm2, jq, openssh-client, openssl, python3
Section: utils
Priority: optional
Description: offline key ceremonies with a PKCS#11 HSM, for import into a cloud KMS
 In a room without a network, officers make key material in an HSM, wrap it
 for import into a cloud KMS, split an escrow into SLIP-0039 shares, and keep
 a record that an auditor can check with stock tools.
 .
 softhsm2 is for rehearsals. The other suggestions are for scripts that do
 without byok: jq and openssh-client to verify a record, openssl and python3
 for recovery.
END
(cd "$tree" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
logged dpkg-deb --root-owner-group --threads-max=1 -Zxz --build "$tree" "$stage/$package"
mv -n "$stage/$package" "$out"
sha256sum "$out/$package"
