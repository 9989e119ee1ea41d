#!/bin/sh
# The first process of a fresh system: init.sh ROOT. It makes ROOT its own file system, waits on standard input until the
# network is there, and runs /fresh/steps. Its end ends all that it has started, the Docker engine included.
set -eu
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 run "$root/run"
mkdir -p "$root/run/lock" "$root/fresh/old"
cd "$root"
pivot_root . fresh/old
umount -l /fresh/old
hostname fresh
ip link set lo up 2>/dev/null || true
read -r _
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 sh /fresh/steps &
wait $!
