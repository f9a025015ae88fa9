#!/usr/bin/env bash
# tests/bundle.sh            all of it
# tests/bundle.sh --could    only whether it could run here: 0, or 77 with the reason
#
# The bundle of ceremony-scripts/make-bundle.sh, made and then used in a bare Debian 12: a chroot
# without network, compiler, openssl and python3, by an ordinary user. What is done there stands in
# tests/bundle/in-the-room.sh. Then the same room with openssl and python3: recovery without byok.
#
# Needs root, debootstrap and the Debian mirror of apt's sources. Everything lies in
# target/bundle-test; both Debians stay there for the next time. Exit codes: 0 it holds,
# 1 it does not, 77 skipped, and it says why.
#
# Example:  tests/bundle.sh
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
umask 022
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=${CARGO_TARGET_DIR:-$root/target}/bundle-test
stock=(openssl python3 binutils xz-utils) # of the second room

fail() {
    printf 'FAILED: %s\n' "$1" >&2
    exit 1
}
held() { printf 'held: %s\n' "$1"; }

[ "${1:-}" != --could ] || exec "$root/tests/bundle/bare-debian.sh" --could
mkdir -p "$work"
work=$(cd "$work" && pwd)

# ---- two Debians ----
bare=$work/bare stocked=$work/stocked
"$root/tests/bundle/bare-debian.sh" "$bare"
if [ "$(cat "$work/stocked.packages" 2>/dev/null)" != "${stock[*]}" ]; then
    rm -rf "$stocked"
    cp -a "$bare" "$stocked"
    "$root/tests/bundle/as-root.sh" "$stocked" sh -c \
        'apt-get -q update && apt-get -q install -y --no-install-recommends "$@"' sh "${stock[@]}" \
        >"$work/stocked.log" 2>&1 || {
        tail -n 5 "$work/stocked.log"
        fail "${stock[*]} could not be installed"
    }
    printf '%s\n' "${stock[*]}" >"$work/stocked.packages"
fi

# ---- the bundle, twice ----
make_bundle() {
    SOURCE_DATE_EPOCH=1767225600 "$root/ceremony-scripts/make-bundle.sh" "$@" 2>"$work/make-bundle.log"
}
# refused CODE WORDS OPTION…: make-bundle.sh ends with the code and says the words.
refused() {
    local code=$1 words=$2 ended=0
    shift 2
    make_bundle "$@" >/dev/null || ended=$?
    [ "$ended" -eq "$code" ] || fail "make-bundle.sh $* ended with $ended, not $code"
    grep -qF -- "$words" "$work/make-bundle.log" || fail "make-bundle.sh $* does not say: $words"
}

rm -rf "$work/first" "$work/second" "$work/unpacked"
make_bundle --out "$work/first" >"$work/paper.txt" || {
    cat "$work/make-bundle.log"
    fail 'no bundle was made'
}
tar=$(cd "$work/first" && ls ./*.tar)
tar=${tar#./} name=${tar%.tar}
mkdir "$work/unpacked"
tar -xf "$work/first/$tar" -C "$work/unpacked"
unpacked=$work/unpacked/$name

(umask 077 && export TAR_OPTIONS=--exclude=LICENSE && make_bundle --out "$work/second" --from "$unpacked" --glibc 2.17 --allow-newer-glibc >/dev/null)
cmp "$work/first/$tar" "$work/second/$tar" || fail 'two runs gave two tars'
grep -q 'warning: byok needs GLIBC_' "$work/make-bundle.log" || fail 'a newer glibc is not warned of'
held 'the same inputs give the same tar'

refused 2 'exists already' --out "$work/first"
refused 2 "byok needs GLIBC_" --out "$work/third" --from "$unpacked" --glibc 2.17
cp -R "$unpacked" "$work/unpacked/changed"
printf x >>"$(ls "$work"/unpacked/changed/wheels/click-*.whl)"
refused 4 'the wheels are not those' --out "$work/third" --from "$work/unpacked/changed"
[ -z "$(ls "$work/third")" ] || fail 'a refused bundle left something'
held 'a second tar of the name, a newer glibc and another wheel are refused'

package=$(sed -n 's,.* apt-get install \./,,p' "$unpacked/README-FIRST.txt")
dpkg-deb --fsys-tarfile "$unpacked/$package" | tar -xO ./usr/bin/byok | cmp - "$unpacked/bin/byok" ||
    fail 'the package in the bundle has another program'
held 'the bundle has the Debian package that its first page names, with the same program'

listed=$(sed 's/^[0-9a-f]\{64\}  //' "$unpacked/SHA256SUMS")
there=$(cd "$unpacked" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort)
[ "$listed" = "$there" ] || fail 'SHA256SUMS does not list every file'
while read -r crate; do
    grep -q "^$crate " "$unpacked/licenses/THIRD-PARTY-LICENSES.txt" || fail "the licence of $crate is missing"
done < <(sed -n '/^\[dependencies\]/,/^\[/s/^\([a-z0-9_-]*\) = .*/\1/p' "$root/Cargo.toml")
held 'every file is listed, and every dependency of byok has its licence there'

# The SBOM is of this very program. Where cargo-auditable wrote a list into it, all that is linked stands there,
# and nothing that is not in Cargo.lock. (It also names what only other features or the tests would bring.)
sbom=$unpacked/bin/byok.cdx.json
[ "$(jq -r '.metadata.component.hashes[0].content' "$sbom")" = "$(sha256sum "$unpacked/bin/byok" | cut -c 1-64)" ] ||
    fail 'the SBOM is of another program'
if readelf -S --wide "$unpacked/bin/byok" | grep -q ' \.dep-v0 '; then
    objcopy --dump-section .dep-v0="$work/dep-v0" "$unpacked/bin/byok" /dev/null
    python3 -c 'import sys, zlib; sys.stdout.buffer.write(zlib.decompress(open(sys.argv[1], "rb").read()))' \
        "$work/dep-v0" | jq -r '.packages[] | "\(.name) \(.version)"' | sort >"$work/inside"
    jq -r '.components[] | select(.scope == "required" and .name != "rust-std") | "\(.name) \(.version)"' "$sbom" |
        sort >"$work/beside"
    sed -n '/^name = /{s/.*"\(.*\)"/\1/;N;s/\nversion = "\(.*\)"/ \1/;p}' "$root/Cargo.lock" | sort >"$work/locked"
    [ -s "$work/beside" ] || fail 'the SBOM names no crate'
    [ -z "$(comm -23 "$work/beside" "$work/inside")" ] || fail 'the program does not name all of its crates'
    [ -z "$(comm -23 "$work/inside" "$work/locked")" ] || fail 'the program names a crate that Cargo.lock does not have'
    held 'the SBOM is of this program, and the program itself names its crates as Cargo.lock has them'
else
    held 'the SBOM is of this program (built without cargo-auditable: it names no crates itself)'
fi

if python3 -m pip --version >/dev/null 2>&1; then
    python3 -m pip install -q --root-user-action ignore --disable-pip-version-check --no-index --no-deps --require-hashes --target "$work/unpacked/pip" \
        --find-links "$unpacked/wheels" -r "$unpacked/wheels/requirements.txt" || fail 'pip does not take the wheels'
    held 'pip takes the wheels, without the network'
fi

# ---- in the room ----
# in_room DEBIAN SCENE
in_room() {
    "$root/tests/bundle/as-officer.sh" "$1" "$work/home" bash /home/officer/in-the-room.sh "$2" || fail "the room: $2"
}

rm -rf "${work:?}/home"
mkdir "$work/home"
cp "$work/first/$tar" "$work/first/$tar.sha256" "$work/paper.txt" "$root/tests/bundle/in-the-room.sh" "$work/home"
chown -R 1000:1000 "$work/home"
in_room "$bare" bare
in_room "$stocked" stocked
