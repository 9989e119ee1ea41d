"""The kernel's counters as text in, datagrams of one client's media out. Pure."""

import re

from flume.errors import EvidenceError

_MEDIA_RULE = re.compile(
    r'^\[(\d+):\d+\] -A .*--comment "flumelab (?:blocked|also) media(?: [a-z -]+)?"(?: .*)? -j (?:DROP|REJECT)\b',
    re.MULTILINE,
)
"""A rule of a firewall scenario that drops media. Other rules may drop tokens or control segments."""


def socket_drops(proc_net_udp: str, port: int) -> int:
    """Return how many datagrams the kernel dropped because the socket on local *port* had no room for them.

    *proc_net_udp* is the text of ``/proc/net/udp``. Its last column counts the drops of each socket (Linux,
    Documentation/networking/proc_net_tcp.rst and net/ipv4/udp.c). The counters of ``/proc/net/snmp`` are no
    alternative: they include libvlc's socket on loopback. Raises :class:`EvidenceError` when no socket has that port.
    """
    drops = [
        int(fields[-1])
        for line in proc_net_udp.splitlines()[1:]
        if len(fields := line.split()) >= 13 and int(fields[1].rpartition(":")[2], 16) == port
    ]
    if not drops:
        raise EvidenceError(f"no UDP socket has port {port} any more: its counter of dropped datagrams is gone")
    return sum(drops)


def backlog_drops(before: str, after: str) -> int:
    """Return how many packets a kernel dropped between two texts of its ``/proc/net/softnet_stat``.

    Each line has one CPU's counts, in hexadecimal digits of 32 bits; the second is that of packets for which its queue
    had no room (``net.core.netdev_max_backlog``; Linux, net/core/net-procfs.c). A CPU that was not there before began
    with 0. Raises :class:`EvidenceError` for another text.

    >>> backlog_drops("00000010 00000001 00000000\\n", "00000080 0000000b 00000000\\n")
    10
    """
    earlier, later = _backlog_counts(before), _backlog_counts(after)
    return sum((count - earlier.get(cpu, 0)) % (1 << 32) for cpu, count in later.items())


_CPU_COLUMN = 12
"""Kernels since 5.10 name the CPU there; lines of CPUs that are off are missing."""


def _backlog_counts(text: str) -> dict[int, int]:
    """Return CPU → packets dropped."""
    rows = [line.split() for line in text.splitlines()]
    try:
        return {
            int(row[_CPU_COLUMN], 16) if len(row) > _CPU_COLUMN else n: int(row[1], 16) for n, row in enumerate(rows)
        }
    except (IndexError, ValueError) as error:
        raise EvidenceError(f"/proc/net/softnet_stat has an unknown form: {text[:80]!r}") from error


_DAMAGED = {"Udp": ("InCsumErrors",), "Ip": ("InHdrErrors", "InAddrErrors")}


def damaged(proc_net_snmp: str) -> int:
    """Return how many packets the kernel dropped because a bit of them had changed.

    *proc_net_snmp* is the text of ``/proc/net/snmp`` (counters of RFC 1213). A changed bit shows in the checksum of UDP
    or IP; or it changed the destination address, so that the packet is for another host.
    """
    tables = _snmp(proc_net_snmp)
    return sum(int(tables.get(table, {}).get(key, 0)) for table, keys in _DAMAGED.items() for key in keys)


def receive_buffer_errors(proc_net_snmp: str) -> int:
    """Return how many datagrams the kernel dropped at all UDP sockets of a host, because one had no room.

    *proc_net_snmp* is the text of ``/proc/net/snmp``. It keeps the count of sockets that are closed.
    """
    return int(_snmp(proc_net_snmp).get("Udp", {}).get("RcvbufErrors", 0))


def _snmp(proc_net_snmp: str) -> dict[str, dict[str, str]]:
    """Return the tables of ``/proc/net/snmp``: a line of names and one of values each."""
    lines = [line.partition(": ")[::2] for line in proc_net_snmp.splitlines()]
    return {
        name: dict(zip(keys.split(), values.split(), strict=True))
        for (name, keys), (_, values) in zip(lines[::2], lines[1::2], strict=True)
    }


def firewall_drops(iptables_save: str) -> int:
    """Return how many datagrams of the stream the rules of firewall scenarios dropped.

    *iptables_save* is the output of ``iptables-save -c``. Only rules whose comment says media count: other rules may
    drop tokens or control segments, which no tap counts as sent. Removed rules count with their last line, see
    :class:`flume.lab.containers.probe.Counters`.
    """
    return sum(int(packets) for packets in _MEDIA_RULE.findall(iptables_save))
