"""The probe container: captures, reads counters and sets link options in the namespaces of all other containers.

Each method runs one command in the probe for all namespaces at once, because a command costs 50 ms and more::

    probe.start_taps([Tap("server", server.pid), Tap("client-1", client.pid)], packet_filter="udp port 5004")
    ends = probe.stop_taps(["client-1", "server"])
"""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from flume.errors import EngineError
from flume.lab.containers.container import Container

CAPTURES = "/captures"
"""A volume, not a tmpfs: the engine cannot copy files out of a tmpfs, and a capture may be large."""

TAP_TIMEOUT_S = 30
"""Time limit for taps to listen, and to finish their files."""

SNAPSHOT_BYTES = 2048
"""Above Ethernet's 1514. Small, because the kernel divides the capture buffer into slots of this size."""

BUFFER_KIB = 16 << 10
"""Of one tap: 8192 slots, enough for 4 s without CPU at 25 Mbit/s. At the server the streams of all clients pass."""

CLOCK_SET_MS = 500
"""A clock that was set by more is named. A step of less hides in what windows allow, and reading both clocks of a busy
host may take as long as that."""

_FULL_BYTES = 1 << 20
"""Free space below which a disk counts as full: tcpdump writes in blocks, so a few KiB may remain."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}")
_COUNTS = re.compile(r"^(\d+) packets? (captured|received by filter|dropped by kernel)", re.MULTILINE)

_SECTION = "=== flumelab "
_COUNTERS = f"""iptables-nft -S >/dev/null 2>&1 && nft=iptables-nft-save || nft=:
for subject; do
    nsenter --target "$subject" --net -- sh -c '
        show() {{ while IFS= read -r line; do printf "%s\\n" "$line"; done < "$1"; }}
        for kind in snmp udp dev; do echo "{_SECTION}$1 $kind"; show "/proc/net/$kind"; done
        echo "{_SECTION}$1 qdisc"; tc -s -j qdisc show
        echo "{_SECTION}$1 iptables"; $2 -c 2>/dev/null
        ! read -r _ < /proc/net/ip_tables_names 2>/dev/null || iptables-legacy-save -c 2>/dev/null
        [ ! -e "/run/firewall/$1.gone" ] || show "/run/firewall/$1.gone"' sh "$subject" "$nft"
done"""
"""It starts few processes, because it runs in the namespace of every client."""
_BACKLOG = f"""echo '{_SECTION}backlog before'; cat /run/taps/softnet_stat
echo '{_SECTION}backlog after'; cat /proc/net/softnet_stat
echo '{_SECTION}backlog limit'; cat /proc/sys/net/core/netdev_max_backlog 2>/dev/null || echo 0"""
"""The counts are of the whole kernel, whatever the namespace; the limit can be read in the first namespace only."""


class Tap(msgspec.Struct, frozen=True):
    """One capture to take: in the network namespace of process *pid*, on *interface*."""

    name: str
    pid: int
    interface: str = "eth0"
    buffer_kib: int = BUFFER_KIB
    """Of the kernel, for packets that tcpdump has not read yet."""

    def __post_init__(self) -> None:
        """Refuse a name that is no plain file name, and a process that cannot be one."""
        if not _NAME.fullmatch(self.name) or self.pid <= 0:
            raise EngineError(f"tap {self.name!r} of process {self.pid}: a plain name and a running process are needed")


class TapEnd(msgspec.Struct, frozen=True):
    """How a capture ended. *problem* is the reason not to trust it; ``None``: it is complete."""

    name: str
    log: str
    """The output of tcpdump."""
    captured: int
    dropped_by_kernel: int
    problem: str | None
    disk_full: bool = False
    """Whether the problem is a full disk."""


class Counters(msgspec.Struct, frozen=True):
    """Raw counters of one network namespace, as the kernel prints them."""

    snmp: str
    udp: str
    dev: str
    qdisc: str
    iptables: str
    """Of both kinds of iptables, and the last counts of the rules that ``firewall`` has removed."""


class Backlog(msgspec.Struct, frozen=True):
    """The queues in which the engine's kernel keeps packets that pass from one interface to another, one for each CPU.

    *before* and *after* are the texts of ``/proc/net/softnet_stat`` when the taps were started, and now.
    """

    before: str
    after: str
    limit: int
    """``net.core.netdev_max_backlog``: how many packets one queue holds; 0: not known."""


class Probe:
    """Wraps the lab's probe container."""

    def __init__(self, container: Container) -> None:
        """Use a running *container* of the probe image."""
        self.container = container

    def start_taps(self, taps: Sequence[Tap], *, packet_filter: str = "", snapshot_bytes: int = SNAPSHOT_BYTES) -> None:
        """Start all *taps* and return when every one listens. Raises :class:`EngineError` with tcpdump's reason.

        A frame longer than *snapshot_bytes* is truncated; its record in the file keeps its length.
        """
        arguments = [part for tap in taps for part in (tap.name, str(tap.pid), tap.interface, str(tap.buffer_kib))]
        self.container.run_checked(
            ["tap", "start", CAPTURES, str(TAP_TIMEOUT_S), str(snapshot_bytes), packet_filter, *arguments]
        )

    def stop_taps(self, names: Sequence[str]) -> list[TapEnd]:
        """Let every tap finish its file, the last of *names* after all others; return how each ended.

        A tap that died is no exception: :attr:`TapEnd.problem` names the reason.
        """
        stopped = sections(self.container.run_checked(["tap", "stop", CAPTURES, str(TAP_TIMEOUT_S), *names]))
        return [
            tap_end(
                name,
                log,
                state=state,
                in_file=int(packets),
                free_bytes=int(free),
                set_ms=clock_set_ms(*map(int, clocks)),
            )
            for (name, rest), log in stopped.items()
            for state, packets, free, *clocks in (rest.split(),)
        ]

    def fetch(self, directory: Path) -> list[Path]:
        """Copy all captures, ``NAME.pcap``, to *directory* in one request."""
        return self.container.fetch(f"{CAPTURES}/.", directory)

    def clear(self) -> None:
        """Remove the captures taken so far."""
        self.container.run_checked(["sh", "-c", 'rm -f "$0"/*', CAPTURES])

    def free_bytes(self) -> int:
        """Return the free space for captures in bytes."""
        output = self.container.run_checked(["df", "--output=avail", "--block-size=1", CAPTURES])
        return int(output.split()[-1])

    def switch_segmentation_off(self, pid: int, *, interface: str = "eth0") -> None:
        """Make the interface of *pid*'s namespace carry single datagrams, as a network card without offload does.

        Otherwise netem and captures see a segmentation batch as one packet, of TCP (which may carry media) as well as
        of UDP. ``tso``, ``gso``: the kernel segments TCP before the packets leave the interface.
        """
        self.enter(pid, ["ethtool", "-K", interface, "tx-udp-segmentation", "off", "tso", "off", "gso", "off"])

    def counters(self, pids: Sequence[int]) -> dict[int, Counters]:
        """Return the counters of each namespace, all read in one call."""
        found = sections(self.container.run_checked(["sh", "-c", _COUNTERS, "sh", *map(str, pids)]))
        return {
            pid: Counters(**{name: found[str(pid), name] for name in Counters.__struct_fields__})
            for pid in dict.fromkeys(pids)
        }

    def backlog(self) -> Backlog:
        """Return the kernel's counts of its queues since the taps were started."""
        found = sections(self.container.run_checked(["sh", "-c", _BACKLOG]))
        before, after, limit = (found["backlog", kind] for kind in Backlog.__struct_fields__)
        return Backlog(before, after, int(limit))

    def enter(self, pid: int, arguments: Sequence[str]) -> str:
        """Run a command of the probe in the network namespace of *pid*; return its output."""
        return self.container.run_checked(["nsenter", "--target", str(pid), "--net", "--", *arguments])


def sections(text: str) -> dict[tuple[str, str], str]:
    r"""Return the parts of *text* by subject and kind, which are in the line before each part.

    >>> sections("=== flumelab 7 udp\nsl  local_address\n")
    {('7', 'udp'): 'sl  local_address\n'}
    """
    parts = {}
    for part in text.split(_SECTION)[1:]:
        head, _, body = part.partition("\n")
        subject, _, kind = head.partition(" ")
        parts[subject, kind] = body
    return parts


def clock_set_ms(wall: int, boot: int, later_wall: int, later_boot: int) -> int:
    """Return by how much the wall clock was set between two readings of it and of one that is never set, in ms.

    A clock that is only held to the right time runs up to 0.05 % fast or slow meanwhile, as the kernel allows.

    >>> clock_set_ms(1_000_000, 5_000, 4_610_000, 15_000)
    3600000
    """
    return (later_wall - wall) - (later_boot - boot)


def tap_end(name: str, log: str, *, state: str, in_file: int, free_bytes: int, set_ms: int = 0) -> TapEnd:
    """Judge a tap by its *state* when it was stopped, the *log* of tcpdump and the packets *in_file* (-1: unreadable).

    *state* is ``ok``, ``died`` (before it was stopped) or ``behind`` (packets it had seen were still unread).
    *free_bytes* is the free space of the disk: the likeliest reason for a file that lacks packets. *set_ms* is by how
    much the clock was set that stamps packets.
    """
    counts = {kind: int(number) for number, kind in _COUNTS.findall(log)}
    dropped = counts.get("dropped by kernel")
    captured = counts.get("captured")
    words = [line.strip() for line in log.splitlines() if line.strip() and not _COUNTS.match(line.strip())]
    last = words[-1] if words else "tcpdump printed nothing"
    problem, disk_full = None, False
    if state == "died":
        problem = f"tcpdump ended before it was stopped: {last}"
    elif dropped is None or captured is None:
        problem = f"tcpdump did not say how many packets it captured and dropped: {last}"
    elif in_file != captured:
        disk_full = free_bytes < _FULL_BYTES
        seen = f"holds {in_file} packets" if in_file >= 0 else "is cut off"
        why = "is the disk full" if disk_full else "was it written to by another"
        problem = f"{name}.pcap {seen} of {captured} captured ({why}? {free_bytes} bytes are left for captures)"
    elif state == "behind":
        problem = f"tcpdump had not read all that it saw within {TAP_TIMEOUT_S} s: use a less busy machine"
    elif dropped:
        problem = f"the kernel dropped {dropped} packets that tcpdump should have seen: use a less busy machine"
    elif abs(set_ms) > CLOCK_SET_MS:
        problem = f"the clock of the engine's host was set by {set_ms / 1000:+.1f} s: let nothing set it during a run"
    return TapEnd(name, log, captured or 0, dropped or 0, problem, disk_full)
