#!/bin/sh
# Packs the file system of the wire's kernel into the file $2: init and agent from the folder $1, busybox, ip, tc, modules.
# Below the folder $3, dpkg's record and the copyright files of the Debian packages that it and the kernel are from.
set -eu
folder=$1 packed=$2 record=$3
cd "$(mktemp -d)"
mkdir -p bin sbin proc sys tmp box dev modules
install "$folder/init" "$folder/agent" .
install /bin/busybox bin/busybox
for applet in sh mount insmod mkfifo poweroff; do ln -s busybox "bin/$applet"; done
install /sbin/tc /bin/ip sbin/
# Debian's tc and ip with the libraries that they load, each under its own path.
for program in /sbin/tc /bin/ip; do ldd "$program" | grep -o '/[^ ]*'; done | sort -u | xargs cp --parents -L -t .
# tc's tables of distributions, and netem's own default as one: `tc … change` keeps the last table, and cannot name "none".
tables=$(dirname "$(dpkg -L iproute2 | grep '/normal\.dist$')")
cp --parents -r "$tables" .
seq -8190 4 8190 >".$tables/uniform.dist"
for module in sch_netem sch_tbf sch_prio sch_ingress cls_matchall cls_flower act_mirred; do
    find /usr/lib/uml/modules -name "$module.ko" -exec cp {} modules/ \;
    test -e "modules/$module.ko"
done
mknod dev/console c 5 1
mknod dev/null c 1 3
find . | cpio --quiet --create --format=newc >"$packed"

mkdir -p "$record/var/lib/dpkg"
{
    echo user-mode-linux busybox-static iproute2 | tr ' ' '\n'
    for program in /sbin/tc /bin/ip; do ldd "$program" | grep -o '/[^ ]*'; done | sort -u | while read -r library; do
        dpkg-query --search "*/${library##*/}" | cut -d: -f1 # found by its name: dpkg's path may lack the /usr of ldd's
    done
} | sort -u | while read -r package; do
    dpkg-query --status "$package" && echo
    mkdir -p "$record/usr/share/doc/$package"
    cp "/usr/share/doc/$package/copyright" "$record/usr/share/doc/$package/"
done >"$record/var/lib/dpkg/status"
