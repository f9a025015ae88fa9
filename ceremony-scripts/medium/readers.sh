#!/bin/bash
# readers.sh: gives the ceremony's user the HSMs and card readers that are plugged in now, names each, and starts the
# service for card readers (pcscd) anew, so that it sees them. Keyboards, disks and hubs stay root's.
set -euo pipefail
shopt -s nullglob

for device in /sys/bus/usb/devices/*/busnum; do
    device=${device%/busnum}
    classes=$(cat "$device"/*:*/bInterfaceClass 2>/dev/null) || continue
    if grep -qxE '08|09' <<<"$classes" || [ "$classes" = 03 ]; then continue; fi
    node=$(printf '/dev/bus/usb/%03d/%03d' "$(cat "$device/busnum")" "$(cat "$device/devnum")")
    if ! grep -qx 03 <<<"$classes"; then chown 0:1000 "$node" && chmod 660 "$node"; fi
    card=
    if grep -qx 0b <<<"$classes"; then card=', a card reader'; fi
    printf '  %s %s%s\n' "$(cat "$device/idVendor"):$(cat "$device/idProduct")" "$(cat "$device/product" 2>/dev/null)" "$card"
done | tr -cd ' -~\n'

if [ -e /run/pcscd/pcscd.pid ]; then
    kill "$(tr -d '\0' </run/pcscd/pcscd.pid)" 2>/dev/null || true
    sleep 1
fi
mkdir -p /run/pcscd
pcscd >/dev/null 2>&1 </dev/null || printf '  the service for card readers (pcscd) did not start\n'
