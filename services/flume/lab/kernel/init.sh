#!/bin/sh
# The first program inside the lab kernel: mounts, modules, the address, then containerd and Docker's engine.
# lab_address=ADDRESS/PREFIX is set on the kernel's command line.
set -u
PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
export PATH HOME
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=755 docker /etc/docker
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t ext4 -o noatime,nobarrier /dev/ubda /var/lib/docker

mkdir -p /run/modules/lib/modules /run/bin
release=$(uname -r)
ln -s "/usr/lib/uml/modules/$release" "/run/modules/lib/modules/$release"
# The kernel calls this program for modules that are not in the list below.
printf '#!/bin/sh\nexec /sbin/modprobe --dirname /run/modules "$@"\n' > /run/bin/modprobe
chmod 755 /run/bin/modprobe
echo /run/bin/modprobe > /proc/sys/kernel/modprobe
# Debian's kernel has no nf_tables for IPv4.
for name in iptables ip6tables; do
    for action in '' -save -restore; do
        ln -s "/usr/sbin/$name-legacy$action" "/run/bin/$name$action"
    done
done
modprobe -a overlay bridge veth br_netfilter nf_conntrack nf_conntrack_netlink nf_nat ip_tables ip6_tables \
    iptable_filter iptable_nat iptable_mangle iptable_raw ip6table_filter ipt_REJECT xt_addrtype xt_comment \
    xt_connmark xt_conntrack xt_CT xt_hashlimit xt_length xt_limit xt_mark xt_MASQUERADE xt_multiport xt_nat \
    xt_REDIRECT xt_state xt_statistic xt_string xt_TCPMSS xt_tcpudp xt_u32 \
    sch_netem sch_prio sch_tbf sch_htb sch_ingress cls_u32 cls_matchall cls_fw act_mirred ifb dummy

hostname flumelab-kernel
ip link set lo up
ip address add "$lab_address" dev vec0
# No default route: programs in here reach only the host's end of the link, and are reached only from there.
ip link set vec0 up
echo 1 > /proc/sys/net/ipv4/ip_forward
# What a client asks for (4 MiB), and cannot set from its container. With one CPU clients wait longer than the default
# buffer lasts.
echo 4194304 > /proc/sys/net/core/rmem_max

# With the default limits of 2 to 5 s containerd takes a container that only waits for the one CPU for dead.
cat > /run/containerd.toml << 'END'
version = 2
root = "/var/lib/docker/containerd-root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "/run/containerd/containerd.sock"
[timeouts]
  "io.containerd.timeout.shim.cleanup" = "60s"
  "io.containerd.timeout.shim.load" = "60s"
  "io.containerd.timeout.shim.shutdown" = "60s"
  "io.containerd.timeout.task.state" = "60s"
END
containerd --config /run/containerd.toml --log-level warn &

runtime=
# crun is written in C. runc starts itself several times for each container, which takes a second here.
if command -v crun > /dev/null; then
    runtime='--add-runtime crun=/usr/bin/crun --default-runtime crun'
fi
# shellcheck disable=SC2086 - two options or none
exec dockerd --host "tcp://${lab_address%/*}:2375" --tls=false --data-root /var/lib/docker --exec-root /run/docker \
    --containerd /run/containerd/containerd.sock --bridge none --userland-proxy=false --log-level warn $runtime
