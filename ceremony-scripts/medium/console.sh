#!/bin/bash
# console.sh: the one thing that people at byok's medium (make-medium.sh) see. It shows the medium's SHA-256, asks for
# keyboard and time, and then takes commands, one a line. Its own are below, each a function with the words of `help`. Any
# other line is run by bash as the user `officer`, who may write to /ceremony alone; so is byok, and with it the HSM's
# module. Only the commands here mount a stick, and each asks first.
set -uo pipefail
export PATH=/usr/lib/byok-medium:/usr/share/byok/ceremony-scripts:/usr/share/byok/softhsm-config:/usr/sbin:/usr/bin
export LANG=C.UTF-8 TERM=linux
shopt -s nullglob
umask 022
trap : INT # ends what runs, not the console
ceremony=/ceremony
carried=/run/byok-carried # a line for each transcript that was verified on a stick: its SHA-256

say() { printf '%s\n' "$@"; }
# yes QUESTION: whether somebody typed the word.
yes() {
    local answer
    read -rep "$1 (yes or no): " answer || return 1
    [ "$answer" = yes ]
}
# as_officer COMMAND…: without root's rights, and without a way back to them.
as_officer() {
    setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all -- \
        env -i HOME=$ceremony USER=officer PATH="$PATH" LANG=$LANG TERM=$TERM ${exported[@]+"${exported[@]}"} "$@"
}
exported=()

# ---- before the first command ----
about_the_medium() {
    printf '\033[2J\033[H'
    say "$(byok --version | cut -c 1-79)" '' 'This computer runs from a medium, and forgets everything at power-off.'
    until [ -e /run/byok-medium ]; do
        say "The medium cannot be read back: $(cat /run/byok-medium.disk)." 'Plug it in, once. Without it, nothing that this computer says counts.'
        read -rep 'Enter tries again: ' _
        read-back.sh
    done
    say "SHA-256 of the medium, read back just now from $(cat /run/byok-medium.disk):" ''
    cat /run/byok-medium.rows
    say '' 'Compare all 8 rows with the paper of whoever made the medium.' \
        'If a row differs, switch off. Type no secret into this computer.' ''
}
keyboard() {
    local name map
    while :; do
        read -rep 'Keyboard: de, fr, uk and so on, or Enter for us: ' name
        [ -n "$name" ] || return 0
        for map in /usr/share/keymaps/i386/*/*.kmap; do
            [ "${map##*/}" != "$name.kmap" ] || { loadkeys --quiet --unicode "$map" 2>/dev/null && return 0; }
        done
        say "There is no keyboard $name. These are there:"
        find /usr/share/keymaps/i386 -name '*.kmap' ! -name 'mac-*' -printf '%f\n' | sed 's/\.kmap$//' | sort -u | tr '\n' ' ' | fold -s -w 79
        say ''
    done
}
compared() {
    until yes 'Are all 8 rows as on the paper?'; do
        ! yes 'Switch off?' || off_now
    done
}
clock() {
    local answer
    while :; do
        say "This computer's clock says $(date -u '+%Y-%m-%d %H:%M:%S') UTC."
        read -rep 'Enter if that is right; otherwise date and time in UTC, YYYY-MM-DD HH:MM: ' answer || return 0
        [ -n "$answer" ] || return 0
        if [[ ! $answer =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}\ [0-9]{2}:[0-9]{2}(:[0-9]{2})?$ ]] || ! date -u -s "$answer" >/dev/null 2>&1; then
            say "That is not a time such as 2026-11-30 14:05."
        fi
    done
}

# ---- sticks ----
# partitions: name, device, kind and size in MiB of each file system that can be pulled out and is not on the medium.
partitions() {
    local node kind label size where
    for node in /sys/class/block/*; do
        where=$(realpath "$node") node=${node##*/}
        [[ $where = */usb*/* || $where = */mmc_host/* || $(cat "$where/removable" 2>/dev/null) = 1 ]] || continue
        kind=$(blkid -p -o value -s TYPE "/dev/$node" 2>/dev/null) || continue
        [ -n "$kind" ] || continue
        # A disk that is one file system may seem to have a partition too.
        [ ! -e "$where/partition" ] || [ -z "$(blkid -p -o value -s TYPE "/dev/$(basename "${where%/*}")" 2>/dev/null)" ] || continue
        [[ /dev/$node != "$(cut -d , -f 1 /run/byok-medium.disk)"* ]] || continue
        label=$(blkid -p -o value -s LABEL "/dev/$node" 2>/dev/null)
        [[ $label =~ ^[A-Za-z0-9_-]{1,32}$ ]] || label=$node # it becomes a path
        size=$(($(cat "/sys/class/block/$node/size") / 2048))
        printf '%s %s %s %s\n' "$label" "$node" "$kind" "$size"
    done
}
sticks() {
    local label node kind size open any=
    while read -r label node kind size; do
        any=yes open=
        ! mountpoint -q "/media/$label" || open="  open at /media/$label"
        printf '  %-16s %-10s %7d MiB  %s%s\n' "$label" "$node" "$size" "$kind" "$open"
    done < <(partitions)
    [ -n "$any" ] || say '  no stick is plugged in'
}
# stick NAME: sets $node, $kind and $place, or says why not.
stick() {
    local found size label
    found=$(partitions | awk -v name="${1:-}" '$1 == name || $2 == name')
    case $found in
    '') say "There is no stick ${1:-without a name}. These are there:" && sticks && return 1 ;;
    *$'\n'*) say "More than one stick has the name $1: pull one out, or give its second name:" && sticks && return 1 ;;
    esac
    read -r label node kind size <<<"$found"
    place=/media/$label
    told="$label ($node, $size MiB, $kind)"
}
# attach ro|rw: mounts the stick of $node at $place. What may be written to cannot hold a program.
attach() {
    local options=$1,nosuid,nodev
    [ "$1" = ro ] || options+=,noexec
    case $kind in
    vfat) options+=,utf8 ;;
    ext[34]) [ "$1" = rw ] || options+=,noload ;;
    exfat | ext2 | iso9660) ;;
    *) say "$told: this computer reads vfat, exfat, ext4 and iso9660 alone." && return 1 ;;
    esac
    mkdir -p "$place"
    mount -t "$kind" -o "$options" "/dev/$node" "$place"
}
detach() {
    sync
    umount "$place" && rmdir "$place" && blockdev --flushbufs "/dev/$node"
}
open() {
    local node kind place told
    stick "${1:-}" || return 0
    ! mountpoint -q "$place" || { say "It is open at $place already." && return 0; }
    yes "Open $told for reading?" && attach ro && say "It can be read at $place, and not written. A module may lie there." && ls -A "$place"
}
close() {
    local node kind place told
    stick "${1:-}" || return 0
    mountpoint -q "$place" || { say "$told is not open: it may be pulled." && return 0; }
    if detach; then say "$told may be pulled."; else say "$told is in use. It must not be pulled."; fi
}
# digests: of every file below here, in a definite order.
digests() { find . -type f -print0 | sort -z | xargs -0r sha256sum; }
carry() {
    local node kind place told from name odd wrong=
    stick "${1:-}" || return 0
    shift
    [ $# -gt 0 ] || { say 'Name what is carried out: carry STICK FILE…' && return 0; }
    for name in "$@"; do
        from=$(realpath -e -- "$name" 2>/dev/null) || { say "There is no $name." && return 0; }
        [[ $from/ = $ceremony/?* ]] || { say "$name is not below $ceremony." && return 0; }
        odd=$(find "$from" ! -type f ! -type d -print -quit)
        [ -z "$odd" ] || { say "$odd is neither a file nor a directory." && return 0; }
    done
    ! mountpoint -q "$place" || { say "$told is open for reading. First: close $1" && return 0; }
    yes "Write $* to $told?" || return 0
    attach rw || { say "$told cannot be written to." && return 0; }
    for name in "$@"; do
        from=$(realpath -e -- "$name") to=$place/${from##*/}
        if [ -e "$to" ]; then
            say "${from##*/} is on the stick already: nothing is overwritten." && wrong=yes
        elif ! cp -r --preserve=timestamps -- "$from" "$to"; then
            say "$name was not copied whole: remove what is there on another computer." && wrong=yes
        elif [[ $kind = ext* ]]; then
            chown -R 1000:1000 "$to"
        fi
        [ -z "$wrong" ] || break
    done
    detach || wrong=yes
    echo 3 >/proc/sys/vm/drop_caches
    [ -n "$wrong" ] || attach ro || wrong=yes
    if [ -n "$wrong" ]; then
        say "NOTHING WAS VERIFIED on $told."
        mountpoint -q "$place" || say 'It may be pulled.'
        return 0
    fi
    for name in "$@"; do
        from=$(realpath -e -- "$name") to=$place/${from##*/}
        if [ -f "$from" ] && cmp -s -- "$from" "$to"; then
            say "$name: read back from the stick, byte for byte as here."
        elif [ -d "$from" ] && [ "$(cd "$from" && digests)" = "$(cd "$to" && digests)" ]; then
            say "$name: $(find "$from" -type f | wc -l) files read back from the stick, each with the SHA-256 that it has here."
        else
            say "$name IS NOT ON THE STICK AS IT IS HERE. Use another stick." && continue
        fi
        find "$from" -name transcript.jsonl -exec sha256sum {} + | cut -c 1-64 >>$carried
    done
    if detach; then say "$told may be pulled."; else say "$told is in use. It must not be pulled."; fi
}

# ---- the rest ----
token() {
    local pin again label=${1:-practice}
    read -rsp "PIN of the new practice token $label (4 to 255 characters): " pin && echo
    read -rsp 'The same again: ' again && echo
    [ "$pin" = "$again" ] || { say 'These were two different PINs; nothing was made.' && return 0; }
    # shellcheck disable=SC2016 # the inner shell expands them
    as_officer bash -c 'umask 077 && cat >/dev/shm/pin && make-token.sh /ceremony/hsm "$1" /dev/shm/pin; code=$?; rm -f /dev/shm/pin; exit $code' bash "$label" <<<"$pin" || return 0
    export_it SOFTHSM2_CONF=$ceremony/hsm/softhsm2.conf
    say 'SoftHSM keeps its keys in the memory of this computer: it is for practice.'
}
export_it() {
    [[ ${1:-} =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] || { say 'export NAME=VALUE' && return 0; }
    exported+=("$1")
}
go() {
    local to
    to=$(realpath -e -- "${1:-$ceremony}" 2>/dev/null)
    [ -d "$to" ] || { say "There is no directory ${1:-}." && return 0; }
    [[ $to/ = $ceremony/* ]] || { say "Work is done in $ceremony alone." && return 0; }
    cd "$to" || return 0
}
show() {
    # shellcheck disable=SC2016 # the inner shell expands them
    as_officer bash -c 'case $1 in *.html) HOME=/tmp w3m -dump -cols 79 -T text/html "$1" ;; *) cat -- "$1" ;; esac | LESSSECURE=1 less' bash "${1:-}"
}
readers() {
    local found
    found=$(readers.sh)
    say "${found:-  no HSM and no card reader is plugged in}"
}
off() {
    local transcript
    find $ceremony -name transcript.jsonl -type f -not -path '*/target/*' -print0 2>/dev/null | while IFS= read -rd '' transcript; do
        grep -qsxF "$(sha256sum <"$transcript" | cut -c 1-64)" $carried || say "NOT CARRIED OUT, and lost: ${transcript%/transcript.jsonl}"
    done
    yes 'Switch off, and forget everything that is in this computer?' && off_now
}
off_now() {
    cd /
    printf '\033[2J\033[H'
    say 'The end, in this order:' '' '  1. Take the cards and the HSM away from this computer.' '  2. Pull every stick.' \
        '  3. Pull the medium.' '  4. Press Enter: memory is wiped, and the power goes off.' \
        '  5. Wait a minute before anybody leaves; then pull the power cable.' ''
    local _
    read -rsp '' _
    say 'Wiping.'
    local process
    for process in /proc/[0-9]*; do
        [ "$(stat -c %u "$process" 2>/dev/null)" != 1000 ] || kill -9 "${process##*/}" 2>/dev/null
    done
    for place in /media/*; do umount "$place" 2>/dev/null; done
    find $ceremony /tmp /dev/shm /run -xdev -type f -delete 2>/dev/null # the kernel clears each page that becomes free
    umount $ceremony /tmp /dev/shm 2>/dev/null
    echo o >/proc/sysrq-trigger
    sleep 60
    say 'The power does not go off by itself: press the button of the computer for ten seconds.'
    while :; do sleep 60; done
}
help() {
    say '  byok …                whatever byok does; byok --help, byok run --help' \
        '  sticks                which sticks are plugged in' \
        '  open STICK            for reading, at /media/STICK; a module may stay there' \
        '  close STICK           before it is pulled' \
        '  carry STICK FILE…     copies records, shares, receipts; reads them back' \
        '  readers               after an HSM or a card reader was plugged in' \
        '  show FILE             report, script or any text; q ends' \
        '  token [LABEL]         a token of SoftHSM, for practice' \
        '  export NAME=VALUE     for the HSM'\''s module; [hsm] env names it too' \
        '  cd DIRECTORY, clock, medium, help' \
        '  off                   the end of the ceremony' \
        'Any other line is a command of Linux, such as ls, cp or digest-rows.sh FILE.' \
        'The pages are in /usr/share/doc/byok/docs. All work is done in /ceremony.'
}

cd $ceremony || exit
about_the_medium
if [ ! -e /run/byok-begun ]; then
    keyboard
    compared
    clock
    : >/run/byok-begun
fi
help
while read -rep "officer:$PWD> " line; do
    history -s -- "$line"
    read -ra words <<<"$line"
    case ${words[0]-} in
    '') ;;
    sticks | readers | clock | help | off) "${words[0]}" ;;
    open | close | carry | token | show) "${words[@]}" ;;
    medium) about_the_medium ;;
    cd) go "${words[1]-}" ;;
    export) export_it "${line#*export }" ;;
    *) as_officer bash -c "$line" || say "(it ended with $?)" ;;
    esac
done
