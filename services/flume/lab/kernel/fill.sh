#!/bin/sh
# Runs in new namespaces: makes the file FOLDER/disk, mounts it, and runs a Docker engine that keeps its images on it and
# answers at SOCKET. It ends when FOLDER/stop appears; if it is killed instead, the mount ends with the namespace. It has
# a network namespace too, because an engine without a bridge removes docker0, even that of another engine.
# Arguments: FOLDER SIZE SOCKET
set -eu
folder=$1 size=$2 socket=$3
truncate -s "$size" "$folder/disk"
# No journal: a disk that was not filled completely is deleted, and so is each copy of it.
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -m 0 "$folder/disk"
mkdir -p "$folder/data" "$folder/run"
mount -o loop,noatime "$folder/disk" "$folder/data"
mount -t proc proc /proc
dockerd --data-root "$folder/data" --exec-root "$folder/run" --pidfile "$folder/pid" --host "unix://$socket" \
    --bridge none --iptables=false --ip-masq=false --ip-forward=false --containerd-namespace flumelab-fill &
engine=$!
# A file, not a signal: a signal from outside would have to find this process in its namespace.
until [ -e "$folder/stop" ] || ! kill -0 "$engine"; do sleep 0.1; done
kill "$engine"
wait "$engine"
umount "$folder/data"
