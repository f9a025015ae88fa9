#!/usr/bin/env bash
# tests/deb.sh            all of it
# tests/deb.sh --could    only whether it could run here: 0, or 77 with the reason
#
# The package of ceremony-scripts/make-deb.sh: made twice, judged by lintian and dpkg-shlibdeps, installed in a bare
# Debian 12 and in one with man-db, shells and SoftHSM, used there by an ordinary user, and removed. What is done there
# stands in tests/bundle/with-the-package.sh.
#
# Needs root, debootstrap and the Debian mirror of apt's sources. Everything lies in target/bundle-test; both Debians
# stay there for the next time. Exit codes: 0 it holds, 1 it does not, 77 skipped, and it says why.
#
# Example:  tests/deb.sh
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
umask 022
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
work=$target/bundle-test
stock=(man-db bash-completion zsh fish lintian dpkg-dev softhsm2 jq openssh-client)

fail() {
    printf 'FAILED: %s\n' "$1" >&2
    exit 1
}
held() { printf 'held: %s\n' "$1"; }

[ "${1:-}" != --could ] || exec "$root/tests/bundle/bare-debian.sh" --could
mkdir -p "$work"
work=$(cd "$work" && pwd)
as_root() { "$root/tests/bundle/as-root.sh" "$@"; }

# ---- the package, twice ----
rm -rf "$work"/deb-{first,second,home}
"$root/ceremony-scripts/make-deb.sh" --out "$work/deb-first" >/dev/null || fail 'no package was made'
deb=$(cd "$work/deb-first" && ls ./*.deb)
deb=${deb#./}
(umask 077 && TZ=Asia/Tokyo TAR_OPTIONS=--exclude=copyright DPKG_DEB_COMPRESSOR_TYPE=none "$root/ceremony-scripts/make-deb.sh" --out "$work/deb-second" >/dev/null) || fail 'no second package was made'
cmp "$work/deb-first/$deb" "$work/deb-second/$deb" || fail 'two runs gave two packages'
! "$root/ceremony-scripts/make-deb.sh" --out "$work/deb-second" >/dev/null 2>&1 || fail 'a package was overwritten'
dpkg-deb --fsys-tarfile "$work/deb-first/$deb" | tar -xO ./usr/bin/byok | cmp - "$target/release/byok" ||
    fail 'the package has another program than the one that was built'
commit=$(git -C "$root" rev-parse HEAD) || commit='not known'
[[ $("$target/release/byok" --version) = *", commit $commit"* ]] || fail 'byok names another commit'
held 'the same inputs give the same package, with the program that was built'

# ---- two Debians ----
"$root/tests/bundle/bare-debian.sh" "$work/bare"
bare=$work/deb-bare stocked=$work/deb-stocked
if [ "$(cat "$stocked.packages" 2>/dev/null)" != "${stock[*]}" ]; then
    rm -rf "$stocked"
    cp -a "$work/bare" "$stocked"
    as_root "$stocked" sh -c 'apt-get -q update && apt-get -q install -y --no-install-recommends "$@"' sh "${stock[@]}" \
        >"$stocked.log" 2>&1 || {
        tail -n 5 "$stocked.log"
        fail "${stock[*]} could not be installed"
    }
    printf '%s\n' "${stock[*]}" >"$stocked.packages"
fi
rm -rf "$bare"
cp -a "$work/bare" "$bare"

# ---- lintian, and Debian's own judgement of what the program needs ----
cp "$work/deb-first/$deb" "$stocked/root"
as_root "$stocked" lintian --fail-on error,warning --allow-root "/root/$deb" || fail 'lintian complains'
held 'lintian has nothing to say but what the overrides name'
# shellcheck disable=SC2016 # the inner shell expands them
needs=$(as_root "$stocked" sh -c 'cd /tmp && rm -rf shlibdeps && mkdir -p shlibdeps/debian && cd shlibdeps &&
    printf "Source: byok\n\nPackage: byok\nArchitecture: any\n" >debian/control && dpkg-deb -x "/root/$1" debian/byok &&
    dpkg-shlibdeps -O debian/byok/usr/bin/byok' sh "$deb") || fail 'dpkg-shlibdeps'
needs=${needs#shlibs:Depends=}
has=$(dpkg-deb -f "$work/deb-first/$deb" Depends)
names() { tr -d ' ' <<<"$1" | tr , '\n' | sed 's/(.*//' | sort; }
[ "$(names "$needs")" = "$(names "$has")" ] || fail "the package depends on $has, dpkg-shlibdeps finds $needs"
held "it depends on what dpkg-shlibdeps finds: $needs"

# ---- installed, used by an ordinary user, removed ----
for debian in bare stocked; do
    home=$work/deb-home
    rm -rf "$home"
    mkdir "$home"
    "$target/release/byok" --version >"$home/version"
    cp "$root/tests/bundle/with-the-package.sh" "$home"
    chown -R 1000:1000 "$home"
    cp "$work/deb-first/$deb" "${!debian}/root"
    as_root "${!debian}" apt-get -q install -y --no-install-recommends "/root/$deb" >"$work/deb-install.log" 2>&1 || {
        tail -n 5 "$work/deb-install.log"
        fail "$debian: the package could not be installed"
    }
    "$root/tests/bundle/as-officer.sh" "${!debian}" "$home" bash /home/officer/with-the-package.sh "$debian" || fail "$debian"
    as_root "${!debian}" apt-get -q purge -y byok >"$work/deb-install.log" 2>&1 || fail "$debian: the package could not be removed"
    rm "${!debian}/root/$deb"
    left=$(find "${!debian}" -xdev -iname '*byok*' ! -path '*/var/cache/*' ! -path '*/tmp/*' | head -n 3)
    [ -z "$left" ] || fail "$debian: the package left $left"
done
held 'it is installed with apt-get, and removed without a trace'
