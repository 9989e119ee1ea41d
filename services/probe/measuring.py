"""Measures links: sends frames of its own over them and notes when each one left and arrived.

Both ends are packet sockets of this one process, so there is one clock, and neither firewalls nor connection tracking
nor ARP are in the path.
"""

import base64
import errno
import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from probe import links
from probe.commands import ProbeError, entered, section
from probe.emulators import Shaping
from probe.frames import make_frame, recognise
from probe.shaping import read_back
from probe.stepping import PYTHON
from probe.timing import Phase, due_times_us, frame_sizes

SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23
SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 32, 33, 35
ETH_P_ALL, ETH_P_IP = 3, 0x0800
"""linux/if_packet.h, asm-generic/socket.h, linux/if_ether.h; the module socket does not name them."""
TIMESPEC = struct.Struct("=qq")

RECEIVE_BUFFER_BYTES = 32 << 20
"""Of each receiver, 32,000 small frames: nothing is lost while this program is busy with sending."""
SEND_BUFFER_BYTES = 8 << 20
LATE_NS = 5_000_000
"""A frame that is later than this moves the whole timetable."""
CLOCK_SET_NS = 50_000_000
"""A clock that is only held to the right time gains at most 0.05 % (adjtimex(2)), 5 ms in the 10 s of a measurement."""
LEAD_NS = 20_000_000
"""Before the first frame."""


class LinkTap:
    """Receives all frames that arrive on an interface, with the kernel's own time of arrival."""

    def __init__(self, sock: socket.socket, interface: str) -> None:
        """Bind the packet socket *sock* to *interface*, which is in the socket's own namespace."""
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
        sock.bind((interface, ETH_P_ALL))
        self._socket = sock

    def take(self) -> Iterator[tuple[int, bytes]]:
        """Yield (nanoseconds since 1970, frame) for all frames that have arrived."""
        receive, unpack = self._socket.recvmsg, TIMESPEC.unpack
        try:
            while True:
                frame, ((_, _, stamp),), _, _ = receive(2048, 64)
                seconds, nanoseconds = unpack(stamp)
                yield seconds * 1_000_000_000 + nanoseconds, frame
        except BlockingIOError:
            return

    def take_dropped(self) -> int:
        """Return how many frames found no room since the last call; the kernel's counter begins again."""
        statistics = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        return int(struct.unpack("=II", statistics)[1])


class SocketPair(NamedTuple):
    """Packet sockets of one namespace, one for each purpose."""

    sender: socket.socket
    receiver: socket.socket


def _open_pair() -> SocketPair:
    return SocketPair(*(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(2)))


def _open_pairs(pids: Sequence[int]) -> list[SocketPair]:
    """Return a pair of sockets in the namespace of each process; opened side by side, by a process in each."""
    waiting = []
    for pid in pids:
        ours, theirs = socket.socketpair()
        command = [*entered(pid), *PYTHON, sys.argv[0], "open", str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        waiting.append((pid, ours, process))
    pairs = []
    for pid, ours, process in waiting:
        with ours:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 2)
        if process.wait() or len(descriptors) != 2:
            raise ProbeError(f"no packet socket in the namespace of process {pid}")
        pairs.append(SocketPair(*(socket.socket(fileno=descriptor) for descriptor in descriptors)))
    return pairs


def open_for_parent(descriptor: int) -> None:
    """Open a pair of sockets in this namespace and pass them over the Unix socket *descriptor*."""
    pair = _open_pair()
    with socket.socket(fileno=descriptor) as parent:
        socket.send_fds(parent, [b"x"], [one.fileno() for one in pair])


class MeasuredDirection:
    """One direction of one link while it is measured: ``down`` to the client, ``up`` from it."""

    def __init__(
        self,
        number: int,
        direction: str,
        *,
        sender: socket.socket,
        interface: str,
        tap: LinkTap,
        mark: int,
        sizes: Sequence[int],
    ) -> None:
        """Send frames of *sizes* from *sender* on *interface*; *tap* is at the other end of the link."""
        self.number, self.direction = number, direction
        self._tap, self._mark = tap, mark
        to_client = direction == "down"
        self._frames = [make_frame(mark, at, size, to_client=to_client) for at, size in enumerate(sizes)]
        self._sent_ns = array("q", bytes(8 * len(sizes)))
        self._arrived, self._arrived_ns, self._damaged = array("i"), array("q"), array("b")
        # What the sending socket receives is not read. tc's filters see the protocol that it is bound to.
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES)
        sender.bind((interface, ETH_P_IP))
        self._send_frame = sender.send

    def send(self, at: int) -> None:
        """Send frame *at* and note when."""
        self._sent_ns[at] = time.time_ns()
        try:
            self._send_frame(self._frames[at])
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # netem had no room for it: lost, and netem counts it too
                raise

    def collect(self) -> None:
        """Note which frames have arrived, when, and whether intact."""
        frames, mark = self._frames, self._mark
        for time_ns, frame in self._tap.take():
            found = recognise(frame, frames, mark)
            if found is not None:
                number, intact = found
                self._arrived.append(number)
                self._arrived_ns.append(time_ns)
                self._damaged.append(not intact)

    def lost(self) -> int:
        """Return how many frames were sent and have not arrived."""
        return sum(map(bool, self._sent_ns)) - len(set(self._arrived))

    def write_samples(self) -> None:
        """Write the answer: frames that found no room at the tap, then four arrays, deflated and in base64.

        The arrays are times of sending (64 bits a frame), numbers of the frames that arrived (32), their times of
        arrival (64), and whether they were damaged (8).
        """
        arrays = (self._sent_ns, self._arrived, self._arrived_ns, self._damaged)
        packed = [base64.b64encode(zlib.compress(values.tobytes(), 1)).decode() for values in arrays]
        section(f"{self.number}.{self.direction}", "samples", "\n".join([str(self._tap.take_dropped()), *packed]))


def measure(spec: Mapping[str, Any]) -> None:
    """Measure both directions of all links of *spec* side by side and write the samples.

    *spec* is ``{"drain_us": ..., "links": [{"number": ..., "pid": ..., "down": phases, "up": phases}, ...]}``; a phase
    has the fields of :class:`Phase`.
    """
    directions: list[MeasuredDirection] = []
    timetable: list[tuple[int, int, int]] = []
    interfaces = {link.number: link.interface for link in links.existing_links()}
    mark = int.from_bytes(os.urandom(2), "big") | 1
    inside = _open_pairs([link["pid"] for link in spec["links"]])
    for link, client in zip(spec["links"], inside, strict=True):
        number = link["number"]
        ends = {"down": (_open_pair(), interfaces[number]), "up": (client, "eth0")}
        for direction, opposite in (("down", "up"), ("up", "down")):
            phases = [Phase(*fields) for fields in link[direction]]
            (near, near_interface), (far, far_interface) = ends[direction], ends[opposite]
            mark = (mark + 2) & 0xFFFF
            timetable += [(due_us, len(directions), at) for at, due_us in enumerate(due_times_us(phases))]
            directions.append(
                MeasuredDirection(
                    number,
                    direction,
                    sender=near.sender,
                    interface=near_interface,
                    tap=LinkTap(far.receiver, far_interface),
                    mark=mark,
                    sizes=frame_sizes(phases),
                )
            )
    timetable.sort()
    before_ns = _wall_ahead_ns()
    try:
        _play(directions, timetable)
    finally:
        _drain(directions, spec["drain_us"])
        _note_own_losses(directions)
    check_clock(before_ns, _wall_ahead_ns())
    for one in directions:
        one.write_samples()
    measured = {one.number for one in directions}
    read_back([Shaping(link) for link in links.existing_links() if link.number in measured])


def _wall_ahead_ns() -> int:
    """Return by how much the clock that stamps frames is ahead of the monotonic one.

    Of several readings the fastest counts: a busy CPU may be taken away between the two clocks.
    """
    readings = []
    for _ in range(9):
        before_ns, wall_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after_ns - before_ns, wall_ns - before_ns))
    return min(readings)[1]


def check_clock(before_ns: int, after_ns: int) -> None:
    """Raise :class:`ProbeError` where the clock that stamps frames was set between two of its leads."""
    if abs(after_ns - before_ns) > CLOCK_SET_NS:
        by_s = (after_ns - before_ns) / 1e9
        raise ProbeError(
            f"the clock of this host was set by {by_s:+.1f} s while links were measured: measure them again"
        )


def _play(directions: Sequence[MeasuredDirection], timetable: Sequence[tuple[int, int, int]]) -> None:
    """Send each frame of *timetable* (due in microseconds, direction, frame) and collect arrivals meanwhile."""
    began_ns = time.monotonic_ns() + LEAD_NS
    for due_us, direction, at in timetable:
        due_ns = began_ns + due_us * 1000
        while (left_ns := due_ns - time.monotonic_ns()) > 0:
            if left_ns > 2_000_000:
                for one in directions:
                    one.collect()
                left_ns = due_ns - time.monotonic_ns()
            if left_ns > 0:
                time.sleep(left_ns / 1e9)
        late_ns = time.monotonic_ns() - due_ns
        if late_ns > LATE_NS:
            began_ns += late_ns  # frames that a busy CPU held up must not leave as a burst that fills a queue
        directions[direction].send(at)


def _drain(directions: Sequence[MeasuredDirection], drain_us: int) -> None:
    """Collect frames that are still on their way."""
    end_ns = time.monotonic_ns() + drain_us * 1000
    while time.monotonic_ns() < end_ns:
        for one in directions:
            one.collect()
        time.sleep(0.02)
    for one in directions:
        one.collect()


def _note_own_losses(directions: Sequence[MeasuredDirection]) -> None:
    """Add the losses of this measurement to those of earlier ones, as netem counts both these and the stream's."""
    for one in directions:
        down, up = map(int, (links.read(one.number, "own") or "0 0").split())
        if one.direction == "down":
            down += one.lost()
        else:
            up += one.lost()
        links.write(one.number, "own", f"{down} {up}")
