#!/usr/bin/env bash
# rehearse.sh [PLAN]
# rehearse.sh --samples DIRECTORY
#
# From a fresh clone to a rehearsed ceremony: finds or fetches whatever is
# missing, builds byok if it is not there, and runs `byok rehearse`. No HSM, no
# cloud account. As root it installs missing packages with apt-get. As any other
# user it unpacks SoftHSM below target/ and touches nothing outside the clone.
# The output of apt-get and cargo goes to target/rehearse-build.log.
#
# --samples rehearses, and leaves paper in a new DIRECTORY, to hold and to show:
# the script of examples/generate.toml, and the slip and the report of the
# rehearsal, each marked as practice; as PDF too if there is a Chromium.
#
# In an unpacked bundle (make-bundle.sh) it fetches and builds nothing:
# setup-room.sh finds everything.
#
# Example:  ceremony-scripts/rehearse.sh
#           ceremony-scripts/rehearse.sh --samples target/samples
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
umask 022

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
log=$root/target/rehearse-build.log

# tell WHAT TEXT: in lines of at most 79 columns, below each other as those of `byok rehearse`; a path stays whole.
tell() {
    printf '%s\n' "$2" | awk -v what="$1" '{
        line = sprintf("%-9s", what) " " $1
        for (i = 2; i <= NF; i++) {
            if (length(line " " $i) > 79) {
                print line
                line = sprintf("%9s", "")
            }
            line = line " " $i
        }
        print line
    }'
}

die() {
    tell rehearse.sh: "$1" >&2
    exit 2
}

# Runs a command with its words in the log; one that takes long is told of.
logged() {
    printf '+ %s\n' "$*" >>"$log"
    "$root/ceremony-scripts/meanwhile.sh" "$log" "$@"
}
doing() { tell 'set up' "$1"; }

die_with_log() {
    tail -n 20 "$log" >&2
    die "$1 (the whole log: $log)"
}

# rehearse [PLAN]: with $byok and $module. The rehearsal lies in target/ of the clone wherever this
# was called from; a plan is named from there.
rehearse() {
    local argument arguments=()
    if [ "${1-}" = --samples ]; then
        samples "${2-}"
        exit
    fi
    for argument in "$@"; do
        if [ -e "$argument" ]; then
            argument=$(cd "$(dirname "$argument")" && pwd)/$(basename "$argument")
        fi
        arguments+=("$argument")
    done
    cd "$root"
    exec "$byok" rehearse --module "$module" ${arguments[@]+"${arguments[@]}"}
}

# samples DIRECTORY
samples() {
    local out=$1 made inputs
    [ -n "$out" ] || die '--samples needs a new directory'
    [ ! -e "$out" ] || die "$out exists already, and nothing is overwritten: give another directory, or remove it"
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    cd "$root"
    "$byok" rehearse --module "$module" --directory "$out/rehearsal"
    made=$(echo "$out"/rehearsal/*)
    inputs=$made/for-the-slip # without those of the reimport and the recovery
    mkdir "$inputs"
    cp "$made"/inputs/generate-* "$inputs"
    {
        echo 'PRACTICE: the slip of a rehearsal. It is worth nothing.'
        echo
        ceremony-scripts/online.sh slip --out "$inputs"
    } >"$out/slip.txt"
    "$byok" script --practice --out "$out/script.html" examples/generate.toml
    cp "$made/record/transcript.html" "$out/report.html"
    tell samples "$out/script.html: for the room, with a form for each share"
    tell samples "$out/slip.txt: of the online side"
    tell samples "$out/report.html: in the record, for the auditor"
    pdf "$out" script report
}

# pdf DIRECTORY NAME…: prints each NAME.html there on A4, if a Chromium is here.
pdf() {
    local out=$1 name page browser alone=()
    shift
    browser=$(command -v chromium chromium-browser google-chrome | head -n 1) || browser=
    if [ -z "$browser" ]; then
        tell samples 'no PDF: there is no Chromium here; print the pages from any browser'
        return
    fi
    ! is_root || alone=(--no-sandbox) # as root it does not start otherwise
    for name in "$@"; do
        page=$out/rehearsal/browser/$name.html
        mkdir -p "$out/rehearsal/browser"
        sed '1,/<\/style>/s|</style>|@page { size: A4 }</style>|' "$out/$name.html" >"$page"
        "$browser" --headless ${alone[@]+"${alone[@]}"} --disable-gpu --no-pdf-header-footer \
            --user-data-dir="$out/rehearsal/browser" --print-to-pdf="$out/$name.pdf" "file://$page" \
            >>"$out/rehearsal/browser.log" 2>&1 || die "$browser could not print $out/$name.html: see $out/rehearsal/browser.log"
        tell samples "$out/$name.pdf"
    done
    rm -rf "$out/rehearsal/browser" "$out/rehearsal/browser.log"
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# As root, on a Debian: installs packages; a list of packages that is old or absent is fetched.
apt_install() {
    command -v apt-get >/dev/null || return 1
    logged env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" && return
    logged apt-get update || return 1
    logged env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

echo 'byok rehearsal: about 5 minutes the first time, since byok is built.'
echo 'No HSM, no AWS account, no root.'

# ---- unpacked from a bundle: everything is there ----
if [ -x "$root/bin/byok" ] && [ ! -e "$root/Cargo.toml" ]; then
    "$root/ceremony-scripts/setup-room.sh" || exit
    # shellcheck source=/dev/null # written by setup-room.sh
    . "$root/room.env"
    byok=$root/bin/byok module=$BYOK_SOFTHSM_MODULE
    rehearse "$@"
fi

# ---- cargo, and the Rust that Cargo.toml asks for ----
if ! command -v cargo >/dev/null && [ -x "${HOME:-}/.cargo/bin/cargo" ]; then
    PATH=$HOME/.cargo/bin:$PATH # rustup's place, before the next login
fi
want=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$root/Cargo.toml")
command -v cargo >/dev/null || die "cargo is not installed: byok needs Rust $want or newer, https://rustup.rs"
version=$(cd "$root" && cargo --version 2>/dev/null) || version=
have=$(printf '%s\n' "$version" | sed -n 's/^cargo \([0-9][0-9.]*\).*/\1/p')
[ -n "$have" ] || die "cargo does not run here: byok needs Rust $want or newer, https://rustup.rs"
[ "$(printf '%s\n' "$want" "$have" | sort -V | head -n 1)" = "$want" ] ||
    die "cargo is $have, byok needs Rust $want or newer: rustup update stable"

mkdir -p "$root/target"
: >"$log"

# ---- a C compiler: cargo links with it ----
have_cc() { command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null; }
if ! have_cc && is_root; then
    doing 'apt-get installs gcc and libc6-dev'
    apt_install gcc libc6-dev || die_with_log 'the C compiler could not be installed: apt-get install -y gcc libc6-dev'
fi
have_cc || die 'there is no C compiler: ask for the packages gcc and libc6-dev (on macOS: xcode-select --install)'

# ---- SoftHSM ----
# As an ordinary user: the packages of this Debian, unpacked below target/softhsm.
unpack_softhsm() {
    local dest=$root/target/softhsm debs=$root/target/softhsm/debs
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    mkdir -p "$debs/lists/partial" "$debs/cache/archives/partial"
    fetch() {
        rm -f "$debs"/*.deb
        (cd "$debs" && logged apt-get "${apt[@]}" download "$@") || return 1
        local deb
        for deb in "$debs"/*.deb; do logged dpkg-deb -x "$deb" "$dest" || return 1; done
    }
    local packages=(softhsm2 libsofthsm2 softhsm2-common)
    local apt=(-q)
    if ! fetch "${packages[@]}"; then
        # No list of packages on this machine, or an old one: a list of our own.
        apt=(-q -o "Dir::State::lists=$debs/lists" -o "Dir::Cache=$debs/cache")
        logged apt-get "${apt[@]}" update || return 1
        fetch "${packages[@]}" || return 1
    fi
    local module
    module=$("$root/softhsm-config/find-module.sh") || return 1
    if unresolved "$module"; then
        # A cryptographic library (libbotan, libssl) is not on this machine either.
        mapfile -t packages < <(apt-cache "${apt[@]}" depends libsofthsm2 |
            sed -n 's/^ *Depends: \([a-z0-9][^ ]*\)$/\1/p' | grep -vxE 'libc6|softhsm2-common')
        fetch "${packages[@]}" || return 1
    fi
}
unresolved() { ldd "$1" 2>/dev/null | grep 'not found' >/dev/null; } # not -q: ldd must be let speak to its end

# An unpacked SoftHSM finds the libraries unpacked with it. The loader reads this when byok
# starts: it holds although byok cleans its environment.
unpacked_libraries() {
    local dir path=
    for dir in "$root"/target/softhsm/usr/lib "$root"/target/softhsm/usr/lib/*-linux-*; do
        [ ! -d "$dir" ] || path=$path${path:+:}$dir
    done
    printf '%s' "$path"
}

softhsm='SoftHSM found'
if ! module=$("$root/softhsm-config/find-module.sh" 2>>"$log"); then
    [ -z "${BYOK_SOFTHSM_MODULE:-}" ] || die "BYOK_SOFTHSM_MODULE=$BYOK_SOFTHSM_MODULE: there is no such file"
    if is_root; then
        doing 'apt-get installs softhsm2'
        apt_install softhsm2 ||
            die_with_log 'SoftHSM could not be installed: apt-get install -y --no-install-recommends softhsm2'
        softhsm='SoftHSM installed'
    else
        doing 'SoftHSM is fetched and unpacked below target/'
        unpack_softhsm ||
            die_with_log 'SoftHSM could not be fetched: ask for the package softhsm2, or set BYOK_SOFTHSM_MODULE'
    fi
    module=$("$root/softhsm-config/find-module.sh") || die_with_log 'SoftHSM is installed, but its module was not found'
fi
case $module in
"$root"/target/softhsm/*)
    softhsm='SoftHSM unpacked in target/'
    libraries=$(unpacked_libraries)
    export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    if unresolved "$module"; then
        ldd "$module" >>"$log" 2>&1 || true
        die_with_log 'SoftHSM was unpacked, but libraries that it needs are missing'
    fi
    ;;
esac

# ---- byok ----
# A program that is there was perhaps agreed on by its digest: it is used as it is, and never built over. Is the
# source newer, the practice has a build of its own.
byok=$root/target/release/byok
how='byok found in target/release'
newer() { [ -n "$(cd "$root" && find Cargo.toml Cargo.lock src -newer "$byok" -print -quit)" ]; }
if [ ! -x "$byok" ]; then
    how='byok built'
    build=("$root/ceremony-scripts/build-release.sh")
elif newer; then
    how='byok built in target/rehearsal-build: the source is newer than target/release'
    build=(env "CARGO_TARGET_DIR=$root/target/rehearsal-build" "$root/ceremony-scripts/build-release.sh")
    byok=$root/target/rehearsal-build/release/byok
fi
if [ -n "${build[*]-}" ]; then
    doing 'byok is built: about 3 minutes the first time'
    logged "${build[@]}" || die_with_log 'byok could not be built'
fi

tell 'set up' "cargo ok, C compiler ok, $softhsm"
tell '' "$how"

rehearse "$@"
