#!/bin/bash
# readers.sh          names the card readers that are plugged in, gives them to the ceremony's user, and starts the service
#                     for card readers (pcscd) anew, so that it sees them
# readers.sh others   node and name of each device of a kind that only its vendor knows (class ff), as some HSMs are: whoever
#                     sits here says which of them the module may use
#
# Keyboards, disks, hubs, cameras, radios and whatever says that it is a network stay root's.
set -euo pipefail
shopt -s nullglob

for device in /sys/bus/usb/devices/*/busnum; do
    device=${device%/busnum}
    classes=$(sort -u "$device"/*:*/bInterfaceClass 2>/dev/null) || continue
    node=$(printf '/dev/bus/usb/%03d/%03d' "$(cat "$device/busnum")" "$(cat "$device/devnum")")
    told="$(cat "$device/idVendor"):$(cat "$device/idProduct") $(tr -cd ' -~' 2>/dev/null <"$device/product" || true)"
    case ${1:-}/$classes in
    others/ff) printf '%s %s\n' "$node" "$told" ;;
    /0b | /0b$'\n'ff)
        chown 0:1000 "$node" && chmod 660 "$node"
        printf '  %s, a card reader\n' "$told"
        ;;
    /*0b*) printf '  %s, a card reader\n' "$told" ;; # a keyboard too: the service alone sees it
    esac
done
[ -z "${1:-}" ] || exit 0

if [ -e /run/pcscd/pcscd.pid ]; then
    kill "$(tr -d '\0' </run/pcscd/pcscd.pid)" 2>/dev/null || true
    sleep 1
fi
mkdir -p /run/pcscd
setsid pcscd >/dev/null 2>&1 </dev/null || printf '  the service for card readers (pcscd) did not start\n' # not ended by Ctrl-C
