#!/usr/bin/env bash
# make-medium.sh [OPTION…]
# make-medium.sh --update-lock
#
# Makes a bootable image (ISO, for a DVD or a stick, BIOS and UEFI): Linux, byok, its scripts and pages, SoftHSM for
# practice, and one console; in memory alone, without network drivers. docs/medium.md says what it is for. Prints its
# SHA-256 in hex and words: standard output is a page to print. Takes packages of Debian 12 by the digests in
# medium/packages.lock, as root or any other user, on x86_64; installs nothing.
#
#   --out DIR       where the image goes; default target/medium
#   --packages DIR  take packages that lie there; fetch only what does not
#   --update-lock   write medium/packages.lock anew, with the versions of today, and make nothing
#
# The same commit, Rust and lock give the same image, byte for byte. Its files have the time of the last commit, or
# SOURCE_DATE_EPOCH if that is set.
#
# Example:  ceremony-scripts/make-medium.sh --out /media/stick > paper.txt
#
# Exit codes: 0 done, 2 usage or something missing, 4 something is not what it claims to be
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
while IFS= read -r name; do unset "$name"; done < <(compgen -e | grep -E '^(GIT_.*|DPKG_DEB_.*|TAR_OPTIONS|GZIP|XZ_OPT|XZ_DEFAULTS|ZSTD_.*)$' || true) # no other clone, and no other bytes
umask 022
export LC_ALL=C TZ=UTC

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$root/ceremony-scripts/medium
lock=$here/packages.lock
target=${CARGO_TARGET_DIR:-$root/target}
out=$target/medium packages='' update=no

say() { printf '%s\n' "$*" >&2; }

# stop CODE WHAT [HINT…]
stop() {
    local code=$1
    say "make-medium.sh: error: $2"
    shift 2
    [ $# -eq 0 ] || printf 'make-medium.sh: hint: %s\n' "$@" >&2
    exit "$code"
}
usage() { sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "${BASH_SOURCE[0]}"; }

while [ $# -gt 0 ]; do
    case $1 in
    --help) usage && exit 0 ;;
    --update-lock) update=yes && shift && continue ;;
    --out | --packages) [ -n "${2:-}" ] || stop 2 "$1 needs a value" ;;
    *) usage >&2 && exit 2 ;;
    esac
    case $1 in
    --out) out=$2 ;;
    --packages) packages=$(cd "$2" 2>/dev/null && pwd) || stop 2 '--packages: there is no such directory' ;;
    esac
    shift 2
done
[ -e "$root/Cargo.toml" ] || stop 2 'make a medium in a clone of byok, not in a bundle'
[ "$(uname -sm)" = 'Linux x86_64' ] || stop 2 'a medium is made on x86_64 Linux'
for tool in dpkg-deb sha256sum awk tar gzip readelf; do
    command -v "$tool" >/dev/null || stop 2 "there is no $tool on this machine"
done
mkdir -p "$target" "$out"
target=$(cd "$target" && pwd) out=$(cd "$out" && pwd)
log=$target/medium-build.log
fetched=$target/medium-packages # kept for the next time; each is compared every time
mkdir -p "$fetched"
: >"$log"
stage=$(mktemp -d "$target/medium-XXXXXX")
trap 'rm -rf "$stage"' EXIT

# logged COMMAND…: its words go to the log, and are shown if it fails.
logged() {
    "$@" >>"$log" 2>&1 </dev/null || {
        tail -n 20 "$log" >&2
        stop 2 "$* failed" "the whole log: $log"
    }
}

# ---- packages ----
# download NAME=VERSION…
download() {
    local lists=$target/apt apt=(-q)
    command -v apt-get >/dev/null || stop 2 "there is no apt-get here to fetch $1" 'give --packages'
    (cd "$fetched" && apt-get "${apt[@]}" download "$@") >>"$log" 2>&1 </dev/null && return
    # No list of packages on this machine, or an old one: a list of our own.
    mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
    apt+=(-o "Dir::State::lists=$lists/lists" -o "Dir::Cache=$lists/cache")
    logged apt-get "${apt[@]}" update
    (cd "$fetched" && apt-get "${apt[@]}" download "$@") >>"$log" 2>&1 </dev/null
}
listed() { sed -n "s/^\($1\) /\1 /p" "$lock"; }

if [ "$update" = yes ]; then
    mapfile -t names < <(listed 'room\|tool\|both' | awk '{ print $2 }')
    rm -f "$fetched"/*.deb
    download "${names[@]}" || stop 2 'the packages of today could not be fetched' "the log: $log"
    for deb in "$fetched"/*.deb; do
        printf '%s %s %s\n' "$(dpkg-deb -f "$deb" Package)" "$(dpkg-deb -f "$deb" Version)" "$(sha256sum <"$deb" | cut -c 1-64)"
    done >"$stage/today"
    awk 'NR == FNR { today[$1] = $0; next } /^(room|tool|both) / { print $1, today[$2]; next } { print }' \
        "$stage/today" "$lock" >"$stage/lock"
    cat "$stage/lock" >"$lock"
    say "written: $lock"
    exit 0
fi

declare -A file=() # by digest
index() {
    local digest path
    while read -r digest path; do file[$digest]=$path; done < <(find "$@" -maxdepth 1 -name '*.deb' -exec sha256sum {} +)
}
index "$fetched" ${packages:+"$packages"}
missing=()
while read -r _ name version digest; do
    [ -n "$digest" ] || stop 2 "packages.lock has no digest of $name" 'ceremony-scripts/make-medium.sh --update-lock'
    [ -n "${file[$digest]-}" ] || missing+=("$name=$version")
done < <(listed 'room\|tool\|both')
if [ ${#missing[@]} -gt 0 ]; then
    download "${missing[@]}" || stop 2 "these could not be fetched, or not all: ${missing[*]}" \
        'a mirror keeps only the newest versions: https://snapshot.debian.org has the others, for --packages' "the log: $log"
    index "$fetched"
fi
while read -r _ name _ digest; do
    [ -n "${file[$digest]-}" ] || stop 4 "the package $name that was fetched is not the one of packages.lock"
done < <(listed 'room\|tool\|both')
# unpack ROLE DIR
unpack() {
    local digest
    mkdir -p "$2"/usr/{bin,sbin,lib,lib64}
    ln -s usr/bin usr/sbin usr/lib usr/lib64 "$2"
    while read -r _ _ _ digest; do
        dpkg-deb --fsys-tarfile "${file[$digest]}" | tar -x --keep-directory-symlink --no-same-owner -C "$2" ||
            stop 4 "${file[$digest]} is not a Debian package"
    done < <(listed "$1\|both")
}
unpack tool "$stage/tools"
libraries=$stage/tools/usr/lib/x86_64-linux-gnu
# tool PROGRAM…: one of the lock, with the libraries of the lock.
tool() {
    local name=$1 program=$stage/tools/usr/bin/$1
    [ "$name" != depmod ] || program=$stage/tools/usr/bin/kmod # which goes by its name
    shift
    "$libraries/ld-linux-x86-64.so.2" --argv0 "$name" --library-path "$libraries" "$program" "$@"
}

# ---- byok ----
cd "$root"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null)} ||
    stop 2 'this clone has no history, so files would have no definite time' 'set SOURCE_DATE_EPOCH'
export SOURCE_DATE_EPOCH
version=$(sed -n '/^version *=/{s/.*"\([^"]*\)".*/\1/p;q}' Cargo.toml)
image=byok-medium-$version-amd64.iso
[ ! -e "$out/$image" ] || stop 2 "$out/$image exists already; nothing is overwritten" 'move it away, or choose another --out'
CARGO_TARGET_DIR=$target logged ceremony-scripts/make-deb.sh --out "$stage/byok"

# ---- the system ----
tree=$stage/tree
unpack room "$tree"
dpkg-deb --fsys-tarfile "$stage"/byok/byok_*.deb | tar -x --keep-directory-symlink --no-same-owner -C "$tree"
mkdir "$stage/kernel"
mv "$tree/boot" "$tree/usr/lib/modules" "$stage/kernel"
kernel=$(basename "$stage"/kernel/modules/*)
mkdir -p "$stage/kernel/lib" "$tree/usr/lib/modules/$kernel"
mv "$stage/kernel/modules" "$stage/kernel/lib"
logged tool depmod -b "$stage/kernel" "$kernel"
(
    cd "$stage/kernel/lib/modules/$kernel/kernel"
    grep -v '^#' "$here/kernel-modules" | while read -r pattern; do
        compgen -G "$pattern" >/dev/null || stop 4 "the kernel has no module $pattern"
        # shellcheck disable=SC2086 # it is a pattern
        find $pattern -name '*.ko' -printf 'kernel/%p\n'
    done
) >"$stage/wanted"
(
    cd "$stage/kernel/lib/modules/$kernel"
    awk 'NR == FNR { wanted[$1 ":"]; next } $1 in wanted { sub(":", ""); gsub(" ", "\n"); print }' "$stage/wanted" modules.dep |
        sort -u >"$stage/kept"
    ! grep -E '(^|/)(net|bluetooth|wireless|infiniband|nfc|isdn|atm|firewire|thunderbolt|ieee802154)/' "$stage/kept" >&2 ||
        stop 4 'the modules above are for a network'
    xargs -a "$stage/kept" cp --parents -t "$tree/usr/lib/modules/$kernel"
    cp modules.builtin modules.builtin.modinfo modules.order "$tree/usr/lib/modules/$kernel"
)
logged tool depmod -b "$tree" "$kernel"

# What nobody needs there, and what would speak to a network or ask for a password.
(
    cd "$tree/usr"
    find share/doc -mindepth 2 ! -path 'share/doc/byok/*' ! -name copyright ! -type d -delete
    rm -r share/{man,locale,lintian,bug,bash-completion,zsh,fish,initramfs-tools} lib/x86_64-linux-gnu/gconv
    rm bin/{ssh,scp,sftp,slogin,ssh-add,ssh-agent,ssh-argv0,ssh-copy-id,ssh-keyscan,su} sbin/{runuser,sulogin,agetty}
    rm -r lib/{openssh,systemd,udev}
    find share/consolefonts -type f ! -name 'Uni2-Terminus16.psf.gz' -delete
    find share/{keymaps,consolefonts} -name '*.gz' -exec gzip -d {} +
)
rm -r "$tree"/etc/{cron.*,init.d,systemd,ssh,default} "$tree"/var/lib/dpkg 2>/dev/null || true
mkdir -p "$tree"/{proc,sys,dev,run,tmp,media,ceremony} "$tree/usr/lib/byok-medium"
install -m 755 "$here"/{init,read-back,readers,console}.sh "$tree/usr/lib/byok-medium"
ln -s usr/lib/byok-medium/init.sh "$tree/init"
ln -s bash "$tree/usr/bin/sh"
ln -s mawk "$tree/usr/bin/awk"
cp "$lock" "$tree/usr/share/doc/byok"
ln -sf /proc/self/mounts "$tree/etc/mtab"
printf 'root:x:0:0::/:/bin/false\nofficer:x:1000:1000::/ceremony:/bin/bash\n' >"$tree/etc/passwd"
printf 'root:x:0:\nofficer:x:1000:\n' >"$tree/etc/group"

# Every library that a program there needs is there.
find "$tree/usr" -type f ! -path '*/modules/*' -exec sh -c 'for file; do readelf -d "$file" 2>/dev/null; done' sh {} + |
    sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u | while read -r library; do
    [ -n "$(find "$tree/usr/lib" "$tree/usr/lib64" -name "$library" -print -quit)" ] || stop 4 "a program needs $library, which no package of packages.lock brings"
done

# ---- the image ----
find "$tree" ! -type l -exec chmod u=rwX,go=rX,ug-s {} + # no file gives its owner's rights to who runs it
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
disk=$stage/disk
mkdir -p "$disk"/{byok,boot/grub,.disk} "$stage/efi/EFI/BOOT" "$stage/efi/boot/grub"
cp "$stage/kernel/boot/vmlinuz-$kernel" "$disk/byok/vmlinuz"
(cd "$tree" && find . -print0 | sort -z | tool cpio --null --create --format=newc --reproducible --owner=+0:+0 --quiet) |
    tool zstd -19 -T0 --quiet >"$disk/byok/initrd"
name=$(cat "$disk/byok/vmlinuz" "$disk/byok/initrd" "$here"/{grub,efi}.cfg | sha256sum | cut -c 1-12 | tr a-f A-F)
sed "s/@NAME@/$name/" "$here/grub.cfg" >"$disk/boot/grub/grub.cfg"
cp "$lock" "$disk/packages.lock"

# UEFI: Debian's own boot programs, which Secure Boot knows. They read the menu of the disk that they themselves were read
# from, and of no other, whatever it is called.
grub=$stage/tools/usr/lib/grub
cp "$stage/tools/usr/lib/shim/shimx64.efi.signed" "$stage/efi/EFI/BOOT/BOOTX64.EFI"
cp "$grub/x86_64-efi-signed/gcdx64.efi.signed" "$stage/efi/EFI/BOOT/grubx64.efi"
cp "$here/efi.cfg" "$stage/efi/boot/grub/grub.cfg"
find "$stage/efi" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
truncate -s 8M "$disk/boot/efi.img"
logged tool mformat -i "$disk/boot/efi.img" -N "${name:0:8}" -v BYOK_EFI ::
logged tool mcopy -i "$disk/boot/efi.img" -s -m "$stage/efi/EFI" "$stage/efi/boot" ::

# BIOS: GRUB of the lock.
logged tool grub-mkimage -O i386-pc-eltorito -d "$grub/i386-pc" -p /boot/grub -o "$disk/boot/bios.img" \
    biosdisk iso9660 part_gpt part_msdos normal configfile linux test
find "$disk" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
logged tool xorriso -no_rc -as mkisofs -o "$stage/$image" -volid "BYOK_$name" -rational-rock -joliet -no-pad \
    -b boot/bios.img -no-emul-boot -boot-load-size 4 -boot-info-table --grub2-boot-info --grub2-mbr "$grub/i386-pc/boot_hybrid.img" \
    --efi-boot boot/efi.img -efi-boot-part --efi-boot-image --protective-msdos-label "$disk"

# The boot screen reads back as much as the volume descriptor says.
length=$(stat -c %s "$stage/$image")
[ $(($(od -An -t u4 --endian=little -j 32848 -N 4 "$stage/$image") * 2048)) -eq "$length" ] ||
    stop 4 'the image is longer than its volume descriptor says'
mv -n "$stage/$image" "$out"
(cd "$out" && sha256sum "$image" >"$image.sha256")

cat <<END
$image, $((length / 1048576)) MiB.
SHA-256 $(cut -c 1-64 "$out/$image.sha256")

$(ceremony-scripts/digest-rows.sh "$out/$image")

The first screen of the medium shows 8 rows: compare all of them with these. They are of the first
$length bytes of the medium, and any other computer shows them too, as root:
  head -c $length /dev/sdX | sha256sum | cut -c 1-64 | fold -w 8 | cat -n
END
say "the image is $out/$image"
