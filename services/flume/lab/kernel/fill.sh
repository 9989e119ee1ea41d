#!/bin/sh
# Runs in namespaces of its own: makes the file FOLDER/disk, mounts it, and runs a Docker engine that keeps its images
# on it and answers at SOCKET. It ends when FOLDER/stop appears; whatever else ends it, the mount goes with the
# namespace. A namespace of the network too: an engine that is told to have no bridge removes docker0, whose ever it is.
# Arguments: FOLDER SIZE SOCKET
set -eu
folder=$1 size=$2 socket=$3
truncate -s "$size" "$folder/disk"
# No journal: a disk that was not filled to the end is thrown away, and so is each copy of it.
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -m 0 "$folder/disk"
mkdir -p "$folder/data" "$folder/run"
mount -o loop,noatime "$folder/disk" "$folder/data"
mount -t proc proc /proc
dockerd --data-root "$folder/data" --exec-root "$folder/run" --pidfile "$folder/pid" --host "unix://$socket" \
    --bridge none --iptables=false --ip-masq=false --ip-forward=false --containerd-namespace flumelab-fill &
engine=$!
# A signal from outside would have to find this process in its namespace: a file is simpler.
until [ -e "$folder/stop" ] || ! kill -0 "$engine"; do sleep 0.1; done
kill "$engine"
wait "$engine"
umount "$folder/data"
