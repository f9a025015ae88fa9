#!/usr/bin/env bash
# make-bundle.sh [OPTION…]
#
# Makes one tar for the locked room: byok, alone and as a Debian package, and the
# list of what it is made of (SBOM); its scripts and pages; blank forms;
# SoftHSM's packages; the Python wheels for recovery without byok; and all
# licences. Prints its SHA-256 in hex and words: standard output is a page to
# print. Run it where byok is built, with a network, on the same Debian and
# processor as the room's machine, as root or any other user. Installs nothing.
#
#   --out DIR            where the tar goes; default target/bundle
#   --from DIR           take packages and wheels from an unpacked bundle, not
#                        from the network
#   --glibc VERSION      glibc of the room's machine; default 2.36, that of
#                        Debian 12
#   --allow-newer-glibc  bundle programs even if they need a newer one
#
# The same commit, Rust, packages and wheels give the same tar, byte for byte, on
# any machine with the same release of Debian; if cargo-auditable is installed,
# the tar differs (build-release.sh says why). Its files have the time of the
# last commit, or SOURCE_DATE_EPOCH if that is set.
#
# Example:  ceremony-scripts/make-bundle.sh --out /media/stick > paper.txt
#
# Exit codes: 0 done, 2 usage or something missing, 4 something is not what it
# claims to be
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
while IFS= read -r name; do unset "$name"; done < <(compgen -e | grep -E '^(GIT_.*|DPKG_DEB_.*|TAR_OPTIONS|GZIP|XZ_OPT|XZ_DEFAULTS|ZSTD_.*)$' || true) # no other clone, and no other bytes
umask 022
export LC_ALL=C
unset RUSTFLAGS CARGO_BUILD_TARGET # this machine's settings; the room has another machine

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
log=$target/bundle-build.log
out=$target/bundle from='' glibc=2.36 newer_glibc=no
pins=$root/docs/recovery-without-byok.md # pins the wheels, with hashes

say() { printf '%s\n' "$*" >&2; }

# stop CODE WHAT [HINT…]
stop() {
    local code=$1
    say "make-bundle.sh: error: $2"
    shift 2
    [ $# -eq 0 ] || printf 'make-bundle.sh: hint: %s\n' "$@" >&2
    exit "$code"
}

# Runs a command with its words in the log.
logged() {
    printf '+ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null
}

stop_with_log() {
    tail -n 20 "$log" >&2
    stop 2 "$1" "the whole log: $log"
}

usage() { sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "${BASH_SOURCE[0]}"; }

while [ $# -gt 0 ]; do
    case $1 in
    --help) usage && exit 0 ;;
    --allow-newer-glibc) newer_glibc=yes && shift && continue ;;
    --out | --from | --glibc) [ -n "${2:-}" ] || stop 2 "$1 needs a value" ;;
    *) usage >&2 && exit 2 ;;
    esac
    case $1 in
    --out) out=$2 ;;
    --from) from=$2 ;;
    --glibc) glibc=$2 ;;
    esac
    shift 2
done
[[ $glibc =~ ^[0-9]+\.[0-9]+$ ]] || stop 2 "--glibc is a version such as 2.36, not $glibc"
[ -e "$root/Cargo.toml" ] || stop 2 'make a bundle in a clone of byok, not in a bundle'
if [ -n "$from" ]; then
    from=$(cd "$from" 2>/dev/null && pwd) || stop 2 "--from: there is no such directory"
    if [ ! -d "$from/debs" ] || [ ! -d "$from/wheels" ]; then
        stop 2 "--from: $from has no debs/ and wheels/"
    fi
fi
for tool in cargo rustc python3 readelf dpkg-deb sha256sum awk tar; do
    command -v "$tool" >/dev/null || stop 2 "there is no $tool on this machine"
done
mkdir -p "$target" "$out"
target=$(cd "$target" && pwd) out=$(cd "$out" && pwd)
log=$target/bundle-build.log
: >"$log"
cd "$root"

epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null)} ||
    stop 2 'this clone has no history, so files would have no definite time' 'set SOURCE_DATE_EPOCH'
commit=$(git rev-parse HEAD 2>/dev/null) || commit='not known'
if [ -n "$(git status --porcelain 2>/dev/null)" ]; then
    commit="$commit, with changes that are not committed"
    say 'make-bundle.sh: warning: there are changes in this clone that are not committed; they are bundled'
fi
version=$(sed -n '/^version *=/{s/.*"\([^"]*\)".*/\1/p;q}' Cargo.toml)
name=byok-$version-$(uname -m)
[ ! -e "$out/$name.tar" ] || stop 2 "$out/$name.tar exists already; nothing is overwritten" 'move it away, or choose another --out'

stage=$(mktemp -d "$target/bundle-XXXXXX")
trap 'rm -rf "$stage"' EXIT
bundle=$stage/$name
mkdir "$bundle" "$stage/unpacked"

# ---- byok ----
CARGO_TARGET_DIR=$target logged ceremony-scripts/build-release.sh || stop_with_log 'byok could not be built'
install -D "$target/release/byok" "$bundle/bin/byok"
SOURCE_DATE_EPOCH=$epoch ceremony-scripts/sbom.sh "$bundle/bin/byok" >"$bundle/bin/byok.cdx.json" 2>>"$log" ||
    stop_with_log 'the list of what byok is made of could not be written'

# ---- the same as a Debian package, for a room where root may install ----
CARGO_TARGET_DIR=$target SOURCE_DATE_EPOCH=$epoch logged ceremony-scripts/make-deb.sh --out "$bundle" ||
    stop_with_log 'the Debian package could not be made'
package=$(cd "$bundle" && echo byok_*.deb)

# ---- scripts and pages ----
cp README.md CHANGELOG.md LICENSE LICENSE-APACHE LICENSE-MIT "$bundle"
cp -R docs examples softhsm-config ceremony-scripts "$bundle"
# What only a clone can use.
rm "$bundle"/ceremony-scripts/{make-bundle,make-deb,make-medium,build-release,newest-glibc,sbom,third-party-licenses}.sh
rm -r "$bundle/ceremony-scripts/medium"
cp src/ground/words/pgp.txt "$bundle/ceremony-scripts/pgp-words.txt"

# ---- blank forms ----
mkdir "$bundle/forms"
"$bundle/bin/byok" script --blank >"$bundle/forms/blank.html" 2>>"$log" ||
    stop_with_log 'byok script could not print the blank forms'
forms='forms/blank.html: print it in any browser'

# ---- SoftHSM: the packages of this Debian ----
# fetch_packages DIR: SoftHSM, and what its module needs beyond what every Debian has.
fetch_packages() {
    local names lists=$target/apt apt=(-q)
    command -v apt-get >/dev/null || stop 2 'SoftHSM comes as Debian packages, and there is no apt-get here' 'give --from'
    download() (cd "$1" && shift && logged apt-get "${apt[@]}" download "$@")
    if ! download "$1" softhsm2 softhsm2-common libsofthsm2; then
        # No list of packages on this machine, or an old one: a list of our own.
        mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
        apt=(-q -o "Dir::State::lists=$lists/lists" -o "Dir::Cache=$lists/cache")
        logged apt-get "${apt[@]}" update || return 1
        download "$1" softhsm2 softhsm2-common libsofthsm2 || return 1
    fi
    mapfile -t names < <(apt-cache "${apt[@]}" depends libsofthsm2 |
        sed -n 's/^ *Depends: \([a-z0-9][^ ]*\)$/\1/p' | grep -vxE 'libc6|libgcc-s1|libstdc\+\+6|softhsm2-common')
    [ ${#names[@]} -eq 0 ] || download "$1" "${names[@]}"
}
mkdir "$bundle/debs"
if [ -n "$from" ]; then
    cp "$from"/debs/*.deb "$bundle/debs"
else
    fetch_packages "$bundle/debs" || stop_with_log "SoftHSM's packages could not be fetched"
fi
mkdir -p "$bundle/licenses/debian" "$bundle/licenses/wheels"
for deb in "$bundle"/debs/*.deb; do
    dpkg-deb -x "$deb" "$stage/unpacked" || stop 4 "${deb##*/} is not a Debian package"
    its_name=$(dpkg-deb -f "$deb" Package)
    cp -L "$stage/unpacked/usr/share/doc/$its_name/copyright" "$bundle/licenses/debian/$its_name.txt" ||
        stop 4 "the package $its_name has no copyright file"
done

# ---- the wheels ----
mkdir "$bundle/wheels"
grep -x '[a-z-]*==[0-9.]* --hash=sha256:[0-9a-f]*' "$pins" >"$bundle/wheels/requirements.txt" ||
    stop 2 "$pins pins no wheels"
if [ -n "$from" ]; then
    cp "$from"/wheels/*.whl "$bundle/wheels"
else
    logged python3 -m pip download --no-input --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes -d "$bundle/wheels" -r "$bundle/wheels/requirements.txt" ||
        stop_with_log 'the wheels could not be fetched (python3 -m pip download; package python3-pip)'
fi
pinned=$(sed 's/.*:\([0-9a-f]*\)$/\1/' "$bundle/wheels/requirements.txt" | sort)
[ "$(sha256sum "$bundle"/wheels/*.whl | cut -c 1-64 | sort)" = "$pinned" ] ||
    stop 4 'the wheels are not those that docs/recovery-without-byok.md pins'
for wheel in "$bundle"/wheels/*.whl; do
    python3 -m zipfile -e "$wheel" "$stage/wheel"
    license=$(find "$stage/wheel" -path '*.dist-info/*' -iname 'LICENSE*' -type f)
    [ -n "$license" ] || stop 4 "${wheel##*/} has no licence file"
    cp "$license" "$bundle/licenses/wheels/$(basename "$wheel" .whl).txt"
    rm -r "$stage/wheel"
done

# ---- the licences of what is linked into byok ----
ceremony-scripts/third-party-licenses.sh >"$bundle/licenses/THIRD-PARTY-LICENSES.txt" 2>>"$log" ||
    stop_with_log 'the licences of the crates could not be gathered'
standard_library=$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html
[ -e "$standard_library" ] || standard_library=$(find /usr/share/doc/libstd-rust-*/copyright 2>/dev/null | tail -n 1) || true
if [ -n "$standard_library" ]; then
    cp "$standard_library" "$bundle/licenses/rust-standard-library.${standard_library##*[./]}"
else
    say "make-bundle.sh: warning: the licence of Rust's standard library is not on this machine, so not in the bundle"
fi

# ---- which machine the programs run on ----
newest=0
for file in "$bundle/bin/byok" "$stage"/unpacked/usr/bin/* "$stage"/unpacked/usr/lib/*/*.so* "$stage"/unpacked/usr/lib/*/softhsm/*.so; do
    [ -f "$file" ] || continue
    needs=$(ceremony-scripts/newest-glibc.sh "$file")
    [ -n "$needs" ] || continue
    newest=$(printf '%s\n' "$newest" "$needs" | sort -V | tail -n 1)
    if [ "$(printf '%s\n' "$needs" "$glibc" | sort -V | tail -n 1)" != "$glibc" ]; then
        what="${file##*/} needs GLIBC_$needs, and the room's machine has $glibc"
        [ "$newer_glibc" = yes ] || stop 2 "$what" 'build on the Debian that the room has' \
            'or name the glibc of the room with --glibc' 'or, for a machine that has it: --allow-newer-glibc'
        say "make-bundle.sh: warning: $what"
    fi
done

# ---- what to do in the room ----
cat >"$bundle/README-FIRST.txt" <<END
byok $version for the locked room. Commit $commit
Runs on $(uname -m) Linux with glibc $newest or newer (Debian 12 has 2.36).
As an ordinary user, in the directory of the tar; no network, compiler or Python needed:

 1  sha256sum $name.tar | cut -c 1-64 | fold -w 8 | cat -n
    Compare all 8 rows with the paper from whoever made the tar. If one differs: stop.
 2  tar -xf $name.tar && cd $name
 3  ceremony-scripts/setup-room.sh    checks every file; unpacks SoftHSM below target/
 4  . ./room.env                      in each new shell: byok and SoftHSM are found
 5  byok rehearse                     the whole life of a data key, on SoftHSM, for practice
 6  docs/first-ceremony.md            put its plan into a directory of its own
 7  byok check plan.toml              everything that can be known beforehand; mend what it reports
 8  byok run plan.toml                the ceremony, on your HSM
 9  docs/recovery-without-byok.md     with shares, but without byok: the wheels are here, but
    openssl 3 and python3 (3.10 or newer) must be on the machine; setup-room.sh says whether
10  licenses/, LICENSE                the licences of all this
11  bin/byok.cdx.json                 what byok is made of: CycloneDX, for whoever keeps such lists
12  apt-get install ./$package
    As root, instead of 3 to 5: byok for everybody on this machine, with man pages (man byok).

SoftHSM keeps its keys in files: it is for practice. softhsm-config/README.md makes a token.
Blank forms: $forms
END

# ---- one tar ----
find "$bundle" -type d -exec chmod 755 {} +
(cd "$bundle" && find . -type f ! -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum >"$stage/SHA256SUMS")
mv "$stage/SHA256SUMS" "$bundle"
tar --create --file "$stage/$name.tar" --format=gnu --sort=name --mtime="@$epoch" --owner=0 --group=0 \
    --numeric-owner --mode=u=rwX,go=rX -C "$stage" "$name"
mv -n "$stage/$name.tar" "$out"
(cd "$out" && sha256sum "$name.tar" >"$name.tar.sha256")

cat <<END
$name.tar, $(stat -c %s "$out/$name.tar") bytes. Needs glibc $newest or newer, and no root.
SHA-256 $(cut -c 1-64 "$out/$name.tar.sha256")

$(ceremony-scripts/digest-rows.sh "$out/$name.tar")

In the room, before anything else, compare all 8 rows:
  sha256sum $name.tar | cut -c 1-64 | fold -w 8 | cat -n
Then  tar -xf $name.tar  and read  $name/README-FIRST.txt
END
say "the tar is $out/$name.tar"
