#!/bin/sh
# Runs as process 1 of new namespaces: makes a root file system for the lab kernel, drops every privilege, and becomes
# the lab kernel. Arguments: FOLDER TAP_DEVICE GUEST PREFIX UID MEMORY_MIB DISK
#
# The kernel reads the host's files with the rights of its process. So the process is confined, not the programs inside:
# it has no capability, a user id that owns only the copy-on-write file, read-only mounts, and sees nothing of the host
# but its programs. Root inside can undo none of this.
set -eu
folder=$1 tap=$2 guest=$3 prefix=$4 user=$5 memory_mib=$6 disk=$7
here=${0%/*}
root=$folder/root
mkdir -p "$root"
mount -t tmpfs -o mode=755,size=16m lab "$root"
cd "$root"
mkdir -p usr etc/docker proc sys dev/net dev/shm tmp run mnt root opt lab disk state var/lib/docker var/log var/tmp old
ln -s ../run var/run
for name in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$name" ]; then
        cp -P "/$name" "$name"
    elif [ -d "/$name" ]; then
        mkdir "$name"
        mount --bind "/$name" "$name"
        mount -o remount,bind,ro,nosuid "$name"
    fi
done
mount --bind /usr usr
mount -o remount,bind,ro,nosuid usr
# Not all of /etc, which contains secrets: the programs inside need only these files.
for name in passwd group ld.so.cache ld.so.conf ld.so.conf.d alternatives nsswitch.conf protocols services; do
    if [ -e "/etc/$name" ]; then cp -a "/etc/$name" etc/; fi
done
touch disk/base
mount --bind "$disk" disk/base
mount -o remount,bind,ro disk/base
mount --bind "$folder/state" state
mount -t proc proc proc
mknod -m 666 dev/net/tun c 10 200
for name in null zero random urandom; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
# The kernel's memory is a sparse file here: a page takes room when it is first touched.
mount -t tmpfs -o "mode=1777,size=$((memory_mib + memory_mib / 4))m" memory dev/shm
mount -t tmpfs -o mode=1777,size=1m sockets tmp
install -m 755 "$here/init.sh" lab/init
mount -o remount,ro "$root"
pivot_root . old
cd /
umount -l old
# Not exec: as process 1 the kernel could not end itself when it panics. When either process ends, the namespace ends.
exec setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
    --pdeathsig SIGKILL env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp TMPDIR=/dev/shm \
    sh -c 'linux.uml "$@"; exit $?' sh umid=lab uml_dir=/tmp/ "mem=${memory_mib}M" ubd0=/state/cow,/disk/base \
    "vec0:transport=tap,ifname=$tap,depth=128" root=/dev/root rootfstype=hostfs rootflags=/ ro init=/lab/init \
    con=null con0=null,fd:1 "lab_address=$guest/$prefix"
