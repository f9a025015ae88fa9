#!/bin/bash
# init.sh: the first process of byok's medium (make-medium.sh). Everything lies in memory by now. It makes ready what a
# ceremony needs and nothing else, reads the medium back, and shows the console on the first screen for ever.
export PATH=/usr/sbin:/usr/bin LANG=C.UTF-8 TERM=linux
umask 022

mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid,mode=755 devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,noexec,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs /run
for place in /dev/shm /tmp; do mount -t tmpfs -o nosuid,nodev,mode=1777,size=20% tmpfs "$place"; done
mount -t tmpfs -o nosuid,nodev,mode=700,uid=1000,gid=1000,size=30% tmpfs /ceremony
ln -s /proc/self/fd /dev/fd
exec </dev/tty1 >/dev/tty1 2>&1
printf '\033[2J\033[HThis computer starts from a medium of byok. Nothing is read from its disks.\n'

# Nobody types a command to the kernel, and Ctrl-Alt-Del is a signal to this process.
echo 0 >/proc/sys/kernel/sysrq
echo 0 >/proc/sys/kernel/ctrl-alt-del
echo 1 >/proc/sys/kernel/printk
echo 2 >/proc/sys/kernel/yama/ptrace_scope
echo 0 >/proc/sys/user/max_user_namespaces

# The drivers of what is there, and those of what may be plugged in later. Then no other: the medium has no driver of a
# network, and the kernel takes none any more.
for _ in 1 2 3; do # a bus shows more once it has its driver
    find /sys/devices -name modalias -exec cat {} + 2>/dev/null | sort -u | xargs -r -d '\n' modprobe -abq
    sleep 1
done
modprobe -abq usb-storage uas usbhid hid-generic sd_mod sr_mod vfat exfat ext4 isofs nls_ascii nls_cp437 nls_iso8859-1 nls_utf8
echo 1 >/proc/sys/kernel/modules_disabled

IFS=, read -r wide _ </sys/class/graphics/fb0/virtual_size
double=()
[ "${wide:-0}" -lt 1280 ] || double=(-d) # letters that people can read
setfont "${double[@]}" /usr/share/consolefonts/Uni2-Terminus16.psf
/usr/lib/byok-medium/readers.sh >/dev/null
/usr/lib/byok-medium/read-back.sh

ulimit -l unlimited
ulimit -c 0
# Ctrl-Alt-Del ends whatever the officer runs, also what no other key can end.
trap 'setpriv --reuid=1000 --regid=1000 --clear-groups env -i /bin/bash -c "kill -9 -1"' INT
while :; do
    setsid --ctty --wait /usr/lib/byok-medium/console.sh </dev/tty1 >/dev/tty1 2>&1 &
    while kill -0 $! 2>/dev/null; do wait $!; done
done
