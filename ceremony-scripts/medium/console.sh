#!/bin/bash
# console.sh: the one thing that people at byok's medium (make-medium.sh) see. It shows the medium's SHA-256, asks for
# keyboard and time, and then takes commands, one a line. Its own are below, each a function with the words of `help`. Any
# other line is run by bash as the user `officer`, who may write to /ceremony alone; so is byok, and with it the HSM's
# module. Only the commands here mount a stick, and each asks first.
#
# This script has root's rights, so what is typed is read by the kernel, letter by letter, and by no program that could
# run a part of it. What the officer runs never has this terminal, but one of its own (script), and nothing of it is left
# when the next command is typed.
set -uo pipefail
export PATH=/usr/lib/byok-medium:/usr/share/byok/ceremony-scripts:/usr/share/byok/softhsm-config:/usr/sbin:/usr/bin
export LANG=C.UTF-8 TERM=linux SHELL=/bin/bash
shopt -s nullglob
umask 022
asked=
trap 'printf "\n%s" "$asked"' INT # ends what runs, not the console; the line that was begun is gone
ceremony=/ceremony
seen=/run/byok-on-sticks # what lies on sticks: SHA-256 of a file, and the stick

say() { printf '%s\n' "$@" | fold -s -w 79; }
# printable: names from outside, which could hold anything; they end with a zero byte, and become a line each.
printable() { tr '\n' '?' | tr '\0' '\n' | tr -c '[:alnum:][:punct:] \n' '?'; }
name() { printf '%s' "$1" | printable; }
# settle: the terminal as it was, whatever was done to it (console_codes(4)): keys, modes, then colours, which a program can
# make the usual ones. What was typed too early is no answer to the next question.
settle() {
    stty sane iutf8 susp undef quit undef eof undef
    while read -rt 0; do read -rt 1; done
    printf '\0337\033>\033[?1;5;6;9;1000l\033[?7;8;25h\033[3;4;20l\033[r\0338\033[m\033[37;40m\033[8]\033[m\033[?0c\033(B\033)0\017\033%%G\033]R'
}
# ask QUESTION: sets $answer.
ask() {
    asked=$1
    printf '%s' "$1"
    IFS= read -r answer || { answer='' && sleep 1; }
    asked=
}
# yes QUESTION: whether somebody typed the word.
yes() {
    local answer
    settle
    ask "$1 (yes or no): "
    [ "$answer" = yes ]
}
# as_officer COMMAND…: without root's rights, without a way back to them, in a terminal that ends with it, and with so few
# processes that they can always be ended.
as_officer() {
    local ended=0 command waker
    # shellcheck disable=SC2016 # the inner shell expands it
    command=(setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all --
        env -i HOME="$ceremony" USER=officer PATH="$PATH" LANG="$LANG" TERM="$TERM" ${exported[@]+"${exported[@]}"} "$@")
    wake &
    waker=$!
    script --quiet --return --command "chown 1000:1000 \"\$(tty)\"; echo 500 >/proc/self/oom_score_adj; ulimit -u 1000; exec ${command[*]@Q}" /dev/null || ended=$?
    kill $waker
    wait $waker 2>/dev/null
    end_officers
    settle
    return $ended
}
# officers: the processes that are left of it.
officers() { find /proc -maxdepth 1 -name '[0-9]*' -uid 1000 -exec grep -q '^State:.[^ZX]' {}/status \; -print 2>/dev/null; }
# wake: what stops itself would stop script too, which may then miss its end.
wake() {
    local child none=0
    while sleep 1; do
        kill -CONT -- -$$
        if [ -n "$(officers)" ]; then none=0; else none=$((none + 1)); fi
        [ $none -lt 3 ] || for child in $(</proc/$$/task/$$/children); do [ "$child" = "$BASHPID" ] || kill "$child"; done
    done
}
# end_officers: whatever a command left behind.
end_officers() {
    for _ in {1..50}; do
        setpriv --reuid=1000 --regid=1000 --clear-groups env -i /bin/bash -c 'kill -9 -1' 2>/dev/null
        [ -n "$(officers)" ] || return 0
        sleep 0.1
    done
    say 'A PROGRAM CANNOT BE ENDED, and may do harm. Switch off; carry nothing.'
}
exported=()

# ---- before the first command ----
about_the_medium() {
    local answer
    printf '\033[2J\033[H'
    say "$(byok --version | cut -c 1-79)" '' 'This computer runs from a medium, and forgets everything at power-off.'
    until [ -e /run/byok-medium ]; do
        say "The medium cannot be read back: $(cat /run/byok-medium.disk)." 'Plug it in, and no other disk of that name. Without it, nothing here counts.'
        ask 'Enter tries again: '
        read-back.sh
    done
    say "SHA-256 of the medium, read back just now from $(cat /run/byok-medium.disk):" ''
    cat /run/byok-medium.rows
    say '' 'Compare all 8 rows with the paper of whoever made the medium.' \
        'If a row differs, switch off. Type no secret into this computer.' ''
}
keyboards() { find /usr/share/keymaps/i386 -name '*.kmap' ! -name 'mac-*' ! -name 'defkeymap*' -printf '%f\n' | sed 's/\.kmap$//' | sort -u; }
keyboard() {
    local answer map
    while :; do
        ask 'Keyboard: de, fr, uk and so on, or Enter if the keys are right: '
        [ -n "$answer" ] || return 0
        if [ "$answer" = list ]; then
            say "$(keyboards | tr '\n' ' ')"
        elif ! keyboards | grep -qxF -- "$answer"; then
            say "You typed: $(name "$answer"). That is no keyboard; list names them all."
        else
            for map in /usr/share/keymaps/i386/*/"$answer.kmap"; do loadkeys --quiet --unicode "$map" 2>/dev/null; done
            yes "The keyboard is $answer. Are y, e and s in their places?" || {
                loadkeys --quiet us 2>/dev/null
                say 'The keyboard is us again.'
            }
        fi
    done
}
compared() {
    until yes 'Are all 8 rows as on the paper?'; do
        ! yes 'Switch off?' || off_now
        about_the_medium
    done
}
clock() {
    local answer made
    made=$(stat -c %y /init)
    while :; do
        say "The clock says $(date -u '+%Y-%m-%d %H:%M:%S') UTC. Compare it with two watches."
        [[ ! $(date -u +%F) < ${made%% *} ]] || say "That is before this medium was made (${made%% *})."
        ask 'Enter if it is right; otherwise UTC, as YYYY-MM-DD HH:MM or HH:MM: '
        [ -n "$answer" ] || return 0
        if [[ ! $answer =~ ^([0-9]{4}-[0-9]{2}-[0-9]{2}\ )?[0-9]{2}:[0-9]{2}(:[0-9]{2})?$ ]] || ! date -u -s "$answer" >/dev/null 2>&1; then
            say "That is not a time such as 2026-11-30 14:05. Nothing was changed."
        fi
    done
}

# ---- sticks ----
# partitions: name, device, kind and size in MiB of each file system that can be pulled out and is not on the medium. Its
# name is its label, or, if that cannot be a name, the device's.
partitions() {
    local node kind label size where
    for node in /sys/class/block/*; do
        where=$(realpath "$node") node=${node##*/}
        case $where in
        */usb*/*) ;;
        */mmc_host/*) [ "$(cat "${where%/block/*}/type" 2>/dev/null)" = SD ] || continue ;; # not one that is soldered in
        *) [ "$(cat "$where/removable" 2>/dev/null)" = 1 ] || continue ;;
        esac
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
# opened NODE: where it is open, if it is.
opened() { awk -v disk="/dev/$1" '$1 == disk { print $2 }' /proc/mounts; }
sticks() {
    local label node kind size open any=
    while read -r label node kind size; do
        any=yes open=$(opened "$node")
        [ "$label" != "$node" ] || label="$node (named $(name "$(blkid -p -o value -s LABEL "/dev/$node" 2>/dev/null)"))"
        printf '  %-16s %-6s %7d MiB  %s%s\n' "$label" "$node" "$size" "$kind" "${open:+  open at $open}"
    done < <(partitions)
    [ -n "$any" ] || say '  no stick is plugged in'
}
# stick COMMAND NAME: sets $label, $node, $kind, $size, $place, $told and, if it is open, $open, or says why not.
stick() {
    local found
    found=$(partitions | awk -v name="${2:-}" 'BEGIN { name = tolower(name) } tolower($1) == name || $2 == name')
    case ${2:-}/$found in
    /*) say "Name the stick: $1 STICK. These are there:" && sticks && return 1 ;;
    */) say "There is no stick $(name "$2"). These are there:" && sticks && return 1 ;;
    *$'\n'*) say "More than one stick has the name $2: pull one out, or give its second name:" && sticks && return 1 ;;
    esac
    read -r label node kind size <<<"$found"
    place=$(opened "$node") open=$place
    [ -n "$place" ] || place=/media/$label
    ! mountpoint -q "$place" || [ -n "$open" ] || place=/media/$node # another one with that name is open
    told="$label ($node, $size MiB, $kind)"
}
# attach ro|rw: mounts the stick of $node at $place. What may be written to cannot hold a program; what is read does not
# change, not even what was left open when it was pulled.
attach() {
    local options=$1,nosuid,nodev
    [ "$1" = ro ] || options+=,noexec
    case $kind in
    vfat) options+=,utf8 ;;
    ext[234]) options+=,errors=remount-ro && { [ "$1" = rw ] || [ "$kind" = ext2 ] || options+=,noload; } ;;
    exfat | iso9660) ;;
    *) say "$told: this computer reads vfat, exfat, ext4 and iso9660 alone." && return 1 ;;
    esac
    mkdir -p "$place"
    blockdev "--set$1" "/dev/$node" && mount -t "$kind" -o "$options" "/dev/$node" "$place"
}
detach() {
    sync
    umount "$place" && rmdir "$place" && blockdev --flushbufs "/dev/$node"
}
# note_seen: which files are on the stick, for the last question; no larger ones, and no more, than people would carry.
note_seen() {
    local id
    id=$(blkid -p -o value -s UUID "/dev/$node" 2>/dev/null | tr -cd 'A-Za-z0-9-')
    find "$place" -xdev -type f "${small[@]}" -print0 2>/dev/null | head -zn 2000 | xargs -0r sha256sum |
        sed -n 's/^\\\{0,1\}\([0-9a-f]\{64\}\).*/\1/p' | while read -r digest; do printf '%s %s\n' "$digest" "$node-$id"; done >>$seen
}
small=(-size -4194304c)
open() {
    local label node kind size place told open
    stick open "${1:-}" || return 0
    [ -z "$open" ] || { say "It is open at $place already." && return 0; }
    yes "Open $told for reading?" || { say 'That was not yes: nothing was done.' && return 0; }
    attach ro || return 0
    say "It can be read at $place, and not written. A module may lie there."
    find "$place" -mindepth 1 -maxdepth 1 -printf '%f\0' | sort -z | printable
    note_seen
}
close() {
    local label node kind size place told open
    stick close "${1:-}" || return 0
    [ -n "$open" ] || { say "$told is not open: it may be pulled." && return 0; }
    pulled
}
pulled() {
    if detach; then say "$told may be pulled."; else say "$told is in use. It must not be pulled."; fi
}
# digests: of every file below here, in a definite order.
digests() { find . -type f -print0 | sort -z | xargs -0r sha256sum; }
# copy FROM…: to the stick; what is there already stays.
copy() {
    local from to
    for from in "$@"; do
        to=$place/${from##*/}
        if [ -e "$to" ] || [ -L "$to" ]; then
            say "$(name "${from##*/}") is on the stick already: nothing is overwritten." && continue
        elif ! cp -rT --preserve=timestamps -- "$from" "$to"; then
            rm -rf -- "$to" # it was not there before
            say "$(name "${from##*/}") could not be written." && return 1
        fi
        [[ $kind != ext* ]] || chown -R 1000:1000 "$to" || return 1
    done
}
carry() {
    local label node kind size place told open from=() name names=() found path odd here there wrong=
    stick carry "${1:-}" || return 0
    shift
    [ $# -gt 0 ] || { say "Name what is carried out: carry $label FILE…" && return 0; }
    for name in "$@"; do
        local IFS=''
        # shellcheck disable=SC2206 # a pattern becomes what it fits, and with this IFS nothing is split
        found=($name)
        unset IFS
        names+=("${found[@]:-$name}")
    done
    for name in "${names[@]}"; do
        path=$(realpath -e -- "$name" 2>/dev/null) || { say "There is no $(name "$name")." && return 0; }
        [[ $path/ = $ceremony/?* ]] || { say "$(name "$name") is not below $ceremony." && return 0; }
        odd=$(find "$path" ! -type f ! -type d -print -quit)
        [ -z "$odd" ] || { say "$(name "$odd") is neither a file nor a directory." && return 0; }
        from+=("$path")
    done
    [ -z "$open" ] || { say "$told is open for reading. First: close $label" && return 0; }
    yes "Write $(name "$*") to $told?" || { say 'That was not yes: nothing was done.' && return 0; }
    attach rw || { say "$told cannot be written to." && return 0; }
    copy "${from[@]}" || wrong=yes
    detach || wrong=yes
    echo 3 >/proc/sys/vm/drop_caches
    [ -n "$wrong" ] || attach ro || wrong=yes
    if [ -n "$wrong" ]; then
        say "NOTHING WAS VERIFIED on $told. Use another stick."
        mountpoint -q "$place" || say 'It may be pulled.'
        return 0
    fi
    for path in "${from[@]}"; do
        name=$place/${path##*/}
        odd=$(find "$name" ! -type f ! -type d -print -quit) # a link would lead back to what is here
        if [ -z "$odd" ] && [ -f "$path" ] && cmp -s -- "$path" "$name"; then
            say "$(name "${path##*/}"): read back from the stick, byte for byte as here."
        elif [ -z "$odd" ] && [ -d "$path" ] && here=$(cd "$path" && digests) && there=$(cd "$name" && digests) && [ "$here" = "$there" ]; then
            say "$(name "${path##*/}"): $(find "$path" -type f | wc -l) files read back from the stick, all as here."
        else
            say "$(name "${path##*/}") IS NOT ON THE STICK AS IT IS HERE. Use another stick."
        fi
    done
    note_seen
    pulled
}

# ---- the rest ----
# secret QUESTION: sets $answer, which is not shown.
secret() {
    stty -echo
    ask "$1"
    stty echo
    echo
}
token() {
    local answer pin file label=${1:-practice} ended=0
    settle
    secret "PIN of the new practice token $(name "$label") (4 to 255 characters): "
    pin=$answer
    secret 'The same again: '
    [ "$pin" = "$answer" ] || { say 'These were two different PINs; nothing was made.' && return 0; }
    file=$(mktemp /run/pin.XXXXXX) && printf '%s\n' "$pin" >"$file" && chown 1000:1000 "$file" || return 0
    as_officer make-token.sh $ceremony/hsm "$label" "$file" || ended=$?
    rm -f "$file"
    [ "$ended" -eq 0 ] || return 0
    export_it SOFTHSM2_CONF=$ceremony/hsm/softhsm2.conf
    say 'SoftHSM keeps its keys in the memory of this computer: it is for practice.'
}
export_it() {
    [[ ${1:-} =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] || { say 'export NAME=VALUE' && return 0; }
    exported+=("$1")
}
go() {
    local to
    [ $# -le 1 ] || { say 'cd takes one directory, and nothing behind it.' && return 0; }
    to=$(realpath -e -- "${1:-$ceremony}" 2>/dev/null)
    [ -d "$to" ] || { say "There is no directory $(name "${1:-}")." && return 0; }
    [[ $to/ = $ceremony/* ]] || { say "Work is done in $ceremony alone." && return 0; }
    cd "$to" || return 0
}
show() {
    local file=${1:-}
    [ ! -d "$file" ] || file=$file/transcript.html
    [ -n "$file" ] || { say 'show FILE: a report, a script, any text' && return 0; }
    # shellcheck disable=SC2016 # the inner shell expands them
    as_officer bash -c 'case $1 in *.html) HOME=/tmp w3m -dump -cols 79 -T text/html "$1" ;; *) cat -- "$1" ;; esac |
        LESSSECURE=1 LESSHISTFILE=- less -P "space shows more, q ends"' bash "$file"
}
readers() {
    local node told
    readers.sh
    while read -r node told <&3; do
        [[ $node =~ ^/dev/bus/usb/[0-9]{3}/[0-9]{3}$ ]] && yes "May the module use $told?" && chown 0:1000 "$node" && chmod 660 "$node"
    done 3< <(readers.sh others)
}
# lost: what would be; a link leads to something else, and large files are not compared.
lost() {
    local entry least
    touch $seen
    find "$ceremony" -mindepth 1 -maxdepth 1 -print0 | sort -z | while IFS= read -rd '' entry; do
        # shellcheck disable=SC2016 # awk expands them
        least=$(find "$entry" -type f "${small[@]}" -print0 | xargs -0r sha256sum | awk '
            FILENAME != "-" { if (!($0 in known)) sticks[$1]++; known[$0]; next }
            { n = sticks[substr($1, 1 + ($1 ~ /^\\/))] + 0; if (least == "" || n < least) least = n }
            END { print least == "" ? 2 : least }' $seen -)
        [ -z "$(find "$entry" ! -type d ! \( -type f "${small[@]}" \) -print -quit)" ] || least=0
        case $least in
        0) say "  ON NO STICK as it is here: $(name "${entry##*/}")" ;;
        1) say "  on one stick alone: $(name "${entry##*/}")" ;;
        esac
    done
}
off() {
    local told
    told=$(lost)
    [ -z "$told" ] || say "Of what is in $ceremony, this will be lost, or could be:" "$told"
    yes 'Switch off, and forget everything that is in this computer?' && off_now
    say 'That was not yes: nothing was done.'
}
off_now() {
    cd /
    printf '\033[2J\033[H'
    say 'The end, in this order:' '' '  1. Take the cards and the HSM away from this computer.' '  2. Pull every stick.' \
        '  3. Pull the medium.' '  4. Press Enter: memory is wiped, and the power goes off.' \
        '  5. Wait a minute before anybody leaves; then pull the power cable.' ''
    local answer place
    settle
    secret ''
    trap '' INT
    say 'Wiping.'
    end_officers
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
        '  show FILE             report, script or any text; nano FILE changes a text' \
        '  token [LABEL]         a token of SoftHSM, for practice' \
        '  export NAME=VALUE     for the HSM'\''s module; [hsm] env names it too' \
        '  cd DIRECTORY, clock, keyboard, medium, help' \
        '  off                   the end of the ceremony' \
        'Any other line is a command of Linux, such as ls, cp or digest-rows.sh FILE.' \
        'The pages are in /usr/share/doc/byok/docs. All work is done in /ceremony.'
}

cd $ceremony || exit
echo -1000 >/proc/self/oom_score_adj
end_officers # of a console before this one
settle
about_the_medium
if [ ! -e /run/byok-begun ]; then
    keyboard
    compared
    clock
    : >/run/byok-begun
fi
help
while ask "officer:$(name "$PWD")> "; do
    line=$answer
    while [[ $line = *\\ ]]; do ask '> ' && line=${line%\\}$answer; done # a command of a screen that goes on
    [[ $line != *[[:cntrl:]]* ]] || { say 'Arrows and other such keys do nothing here: type the line again.' && continue; }
    read -ra words <<<"$line"
    case ${words[0]-} in
    '') ;;
    sticks | readers | clock | keyboard | help | off) "${words[0]}" ;;
    open | close | carry | token | show) "${words[@]}" ;;
    medium) about_the_medium ;;
    cd) go "${words[@]:1}" ;;
    export) export_it "${line#*export }" ;;
    yes | no) say 'There is no question now.' ;;
    exit | logout | reboot | poweroff | shutdown) say 'off ends the ceremony.' ;;
    *) as_officer bash -c "$line" || say "(it ended with $?)" ;;
    esac
done
