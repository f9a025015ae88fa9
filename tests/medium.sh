#!/usr/bin/env bash
# tests/medium.sh            all of it
# tests/medium.sh --could    only whether it could run here: 0, or 77 with the reason
#
# The medium of ceremony-scripts/make-medium.sh: made twice, looked into, changed in one file, and started in QEMU by
# BIOS and by UEFI. There people rehearse, hold a ceremony without people, and carry its record out, which is then
# verified here. What they do stands in tests/medium/room.py.
#
# Needs QEMU, OVMF, mtools, xorriso, cpio, zstd and diffoscope, and, for packages that were not fetched yet, the Debian mirror
# of apt's sources. Everything lies in target/medium-test. Exit codes: 0 it holds, 1 it does not, 77 skipped, and it
# says why.
#
# Example:  tests/medium.sh
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
umask 022
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
work=$target/medium-test
make=$root/ceremony-scripts/make-medium.sh
arn=arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab

fail() {
    printf 'FAILED: %s\n' "$1" >&2
    exit 1
}
held() { printf 'held: %s\n' "$1"; }
skip() {
    printf 'skipped: %s\n' "$1"
    exit 77
}

for tool in qemu-system-x86_64 mcopy xorriso cpio zstd diffoscope python3 openssl jq cc; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
done
[ -f /usr/share/OVMF/OVMF_CODE_4M.ms.fd ] || skip 'there is no OVMF'
[ "${1:-}" != --could ] || exit 0
mkdir -p "$work"
work=$(cd "$work" && pwd)

# ---- the medium, twice ----
rm -rf "$work"/{first,second,third,byok,tree,stick,clone}
begun=$SECONDS
"$make" --out "$work/first" >"$work/paper.txt" || fail 'no medium was made'
printf 'measured: %d s to make the medium\n' $((SECONDS - begun))
image=$(cd "$work/first" && echo ./*.iso)
image=${image#./}
ordinary=(unshare --user --map-user=1000 --map-group=1000) # whoever runs this, without root's rights
"${ordinary[@]}" true 2>/dev/null || ordinary=()
mkdir -p "$work/home"
printf -- '-publisher another\n' >"$work/home/.xorrisorc"
(
    umask 077
    export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
    export TZ=Asia/Tokyo HOME=$work/home TAR_OPTIONS=--exclude=console.sh DPKG_DEB_COMPRESSOR_TYPE=none
    ${ordinary[@]+"${ordinary[@]}"} "$make" --out "$work/second" >/dev/null
) || fail 'no second medium was made'
cmp "$work/first/$image" "$work/second/$image" || fail 'two runs gave two media'
digest=$(sha256sum <"$work/first/$image" | cut -c 1-64)
[ "$(sed -n 's/^SHA-256 //p' "$work/paper.txt")" = "$digest" ] || fail 'the paper has another SHA-256'
[ "$(grep '^  row [1-8] ' "$work/paper.txt" | awk '{ printf "%s%s", $3, $4 }')" = "$digest" ] || fail 'the paper has other rows'
printf 'measured: %d bytes\n' "$(stat -c %s "$work/first/$image")"
held 'the same inputs give the same medium, and its paper has its SHA-256'
! "$make" --out "$work/first" >/dev/null 2>"$work/said" || fail 'a medium was overwritten'
git -c advice.detachedHead=false -c init.defaultBranch=main clone --quiet --shared "$root" "$work/clone"
sed -i '/^tool cpio /s/[0-9a-f]$/-/' "$work/clone/ceremony-scripts/medium/packages.lock"
ended=0
CARGO_TARGET_DIR=$work/clone/target "$work/clone/ceremony-scripts/make-medium.sh" --packages "$target/medium-packages" \
    >/dev/null 2>"$work/said" || ended=$?
[ "$ended" -eq 4 ] || fail "a package with another digest ends with $ended, not 4"
grep -q 'the package cpio that was fetched is not the one of packages.lock' "$work/said" || fail 'the package is not named'
held 'nothing is overwritten, and no package with another digest is taken'

# shellcheck disable=SC2016 # the inner shell expands them
widest=$(bash -c 'say() { printf "%s\n" "$@"; }; eval "$(sed -n "/^help()/,/^}/p" "$1")"; help' bash "$root/ceremony-scripts/medium/console.sh" | LC_ALL=C.UTF-8 wc -L)
if [ "$widest" -lt 40 ] || [ "$widest" -gt 79 ]; then fail "the help of the console has $widest columns"; fi

# ---- what is on it ----
# look_into IMAGE DIR: its files in DIR/byok, the system in DIR/tree.
look_into() {
    mkdir -p "$2/tree"
    xorriso -osirrox on -indev "$1" -extract /byok "$2/byok" 2>/dev/null
    chmod -R u+w "$2/byok"
    (cd "$2/tree" && zstd -dcq "$2/byok/initrd" | cpio -i --quiet --no-absolute-filenames)
}
look_into "$work/first/$image" "$work"
tree=$work/tree
net=$(find "$tree" -name '*.ko' | grep -E '/(net|bluetooth|wireless|infiniband)/' || true)
[ -z "$net" ] || fail "there are modules for a network: $net"
! grep -E '/drivers/net/' "$tree"/usr/lib/modules/*/modules.builtin || fail 'the kernel has a driver of a network built in'
[ "$(find "$tree" -name '*.ko' | wc -l)" -gt 100 ] || fail 'is the search right?'
rights=$(find "$tree" -perm /6000 -o -type f -perm /022)
[ -z "$rights" ] || fail "these give rights away: $rights"
for program in ssh su login sulogin agetty dhclient ip ifconfig wpa_supplicant systemd; do
    [ -z "$(find "$tree"/usr/{bin,sbin} -name "$program")" ] || fail "there is $program"
done
dpkg-deb --fsys-tarfile "$(ls "$target"/medium-packages/libsofthsm2_*.deb)" | tar -xO ./usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so |
    cmp - "$tree/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so" || fail 'SoftHSM is not the one of the package'
[ "$("$tree/usr/bin/byok" --version)" = "$("$target/release/byok" --version)" ] || fail 'byok is another'
held 'no module for a network, no login and no file that gives rights away is on it'

# ---- what people bring ----
rm -rf "$work/plans"
mkdir -p "$work/plans/inputs"
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out "$work/kms.pem"
public=$(openssl pkey -in "$work/kms.pem" -pubout -outform DER | base64 -w 0)
printf '{"KeyId": "%s", "ImportToken": "%s", "PublicKey": "%s", "ParametersValidTo": %d.5}\n' "$arn" \
    "$(head -c 3072 /dev/urandom | base64 -w 0)" "$public" $(($(date +%s) + 80000)) >"$work/plans/inputs/eu-west-1.json"
printf 'practice-in-the-room\n' >"$work/plans/pin"
cp "$tree/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so" "$work/plans/libvendor.so"
cc -o "$work/plans/hostile" "$root/tests/medium/hostile.c"
cat >"$work/plans/plan.toml" <<END
title = "Medium test"
kind = "generate"

[hsm]
module = "/media/PLANS/libvendor.so"
token = "pkcs11:token=ceremony"
pin = "file:pin"
env = ["SOFTHSM2_CONF"]

[machine]
network = "forbidden"

[[key]]
label = "payments-2026"
spec = "SYMMETRIC_DEFAULT"
keep = "extractable"

[[key.import]]
name = "eu-west-1"
key_arn = "$arn"
parameters = "inputs/eu-west-1.json"
wrapping = "RSAES_OAEP_SHA_1"
wrap_in = "hsm"
expires = "never"
wrapping_key_sha256 = "$(base64 -d <<<"$public" | sha256sum | cut -c 1-64)"

[escrow]
threshold = 2
custodians = ["Security", "Audit", "Board"]
deliver = "files:shares"

[record]
directory = "record"
END
cp "$work/plans/plan.toml" "$work"
cp "$tree/usr/share/consolefonts/Uni2-Terminus16.psf" "$work/font.psf"
# stick NAME: a FAT file system with this label, on a partition.
stick() {
    local image=$work/${1,,}.img
    rm -f "$image"
    truncate -s 64M "$image"
    printf '\0\0\0\0\14\0\0\0\0\10\0\0\0\370\1\0' | dd of="$image" bs=1 seek=446 conv=notrunc status=none # from sector 2048 on
    printf '\125\252' | dd of="$image" bs=1 seek=510 conv=notrunc status=none
    mformat -i "$image@@1M" -T 129024 -h 16 -s 63 -v "$1" ::
}
stick PLANS
mcopy -i "$work/plans.img@@1M" -s "$work"/plans/* ::
rm -f "$work/records.img"
truncate -s 32M "$work/records.img"
mformat -i "$work/records.img" -v RECORDS :: # without a partition

# What its names and its date say is a part of no program: sed would run a file's path as a command.
rm -rf "$work"/hostile{,.iso}
mkdir -p "$work/hostile/x;touch /run"
printf x >"$work/hostile/x;touch /run/owned"
xorriso -as mkisofs -quiet -R -V HOSTILE -o "$work/hostile.iso" "$work/hostile" 2>/dev/null
for at in 813 830; do # of the volume descriptor: blkid makes a UUID of it
    printf '&/e#111111111111\0' | dd of="$work/hostile.iso" bs=1 seek=$((16 * 2048 + at)) conv=notrunc status=none
done

# ---- in the room ----
room() { python3 "$root/tests/medium/room.py" "$1" "${2:-$work/first/$image}" "$work" "$digest" || fail "the room: $1"; }
room room

mkdir "$work/stick"
mcopy -i "$work/records.img" -s ::record ::shares "$work/stick"
record=$work/stick/record
head=$(sha256sum <"$record/transcript.jsonl" | cut -c 1-64)
"$target/release/byok" verify --head "$head" "$record" >"$work/said" || fail 'the record that was carried out does not verify'
grep -qx "medium    $digest" "$work/said" || fail 'byok verify does not say from which medium the record is'
"$root/ceremony-scripts/verify-record.sh" --head "$head" "$record" >"$work/said" || fail 'the script does not take the record'
grep -qx "medium    $digest" "$work/said" || fail 'verify-record.sh does not say from which medium the record is'
event() { jq -r "select(.event == \"$1\") | $2" "$record/transcript.jsonl"; }
[ "$(event machine-checked '"\(.medium_sha256) \(.live_system) \(.interfaces_up | length) \(.swap | length)"')" = "$digest true 0 0" ] ||
    fail 'the transcript says something else about the computer'
[ "$(event hsm-opened '"\(.module) \(.module_sha256)"')" = "/media/PLANS/libvendor.so $(sha256sum <"$work/plans/libvendor.so" | cut -c 1-64)" ] ||
    fail 'the transcript names another module'
openssl pkeyutl -decrypt -inkey "$work/kms.pem" -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 \
    -in "$record/payments-2026/eu-west-1/WrappedKeyMaterial.bin" | xxd -p -c 64 >"$work/key" || fail 'the KMS does not open what was wrapped'
kcv=$(head -c 16 /dev/zero | openssl enc -aes-256-ecb -nopad -K "$(cat "$work/key")" | xxd -p | cut -c 1-6)
[ "${kcv^^}" = "$(event key-generated .kcv)" ] || fail 'the KMS holds another key'
"$target/release/byok" share check --record "$record" --share "$work/stick/shares/02-Audit.txt" >"$work/said" || fail 'a share that was carried out is not one'
held 'record and shares verify outside, and the KMS opens what was wrapped'

sed 's|linux /byok/vmlinuz|linux /byok/another|' "$work/first/$image" >"$work/other.iso" # the same name, and it would not start
cmp -s "$work/first/$image" "$work/other.iso" && fail 'both are the same'
room uefi

# ---- another byte, and another file ----
cp "$work/first/$image" "$work/changed.iso"
at=$(grep -abo 'What byok.s medium is made of' "$work/changed.iso" | tail -n 1 | cut -d : -f 1)
printf w | dd of="$work/changed.iso" bs=1 seek="$at" conv=notrunc status=none
cp "$work/byok/vmlinuz" "$work/byok/initrd" "$work"
room changed "$work/changed.iso"

more=$root/docs/one-more-file.txt # git does not know it, so byok says nothing of it
trap 'rm -f "$more"' EXIT
printf 'a change in one file\n' >"$more"
"$make" --out "$work/third" >/dev/null || fail 'no third medium was made'
rm "$more"
look_into "$work/third/$image" "$work/third"
diffoscope --exclude-directory-metadata=yes --json "$work/said" "$tree" "$work/third/tree" && fail 'diffoscope sees no change'
told=$(jq -r '[.. | .unified_diff? // empty | split("\n")[] | select(test("^[+-][^+-]"))] | join(" ")' "$work/said")
[ "$told" = "+${more##*/}" ] || fail "diffoscope sees more than one file change: $told"
held 'after a change in one file diffoscope sees that file, and no other'
