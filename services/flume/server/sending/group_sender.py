"""One payload to many connected sockets: in one system call by io_uring, or one after the other.

Both send each client's datagrams on that client's own socket. So one client's full buffer, closed port or missing
neighbour affects no other client. They differ in what a tick costs. Measured (200 to 1000 clients, 2 and 8 Mbit/s, one
run, against a C program with ``sendmmsg`` on one shared socket): io_uring 0.9 to 1.1 times its CPU time, a loop of
``send`` in Python 1.1 to 1.3 times. And a loop gives up the interpreter's lock at every send, io_uring once a tick.
"""

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from flume.server.ports import loopback_pair
from flume.server.sending.io_uring import MAX_ENTRIES, MIN_ENTRIES, Failure, SendRing
from flume.settings import SenderKind

PAYLOAD_BYTES = 65_536
"""Above the 65,507 bytes that one UDP send can carry."""

MAX_FAILED_SUBMISSIONS = 10
"""Ticks in a row that the ring may refuse for lack of memory before it is given up."""

_log = logging.getLogger(__name__)


def errno_name(number: int | None) -> str:
    """Return the name of the errno *number* as counters write it, such as ``eagain``."""
    return errno.errorcode.get(number or 0, "unknown").lower()


class GroupSender(Protocol):
    """Sends to its members, which are known by position. One thread uses it."""

    @property
    def kind(self) -> SenderKind:
        """How it sends at present."""

    @property
    def fallback_reason(self) -> str | None:
        """Why it does not send by io_uring although it is meant to, as an errno's name; ``None`` if it does."""

    def add(self, media: socket.socket) -> None:
        """Append a member: a connected, non-blocking socket."""

    def remove(self, position: int) -> None:
        """Remove the member at *position*; the last member gets its position."""

    def send(self, payload: memoryview | bytes) -> Sequence[Failure]:
        """Send *payload* to every member without waiting; return the positions that refused it, and why."""

    def close(self) -> None:
        """Release what the kernel holds."""


class SendLoop:
    """One ``send`` a member. A send that succeeds costs no allocation and no attribute look-up."""

    kind: SenderKind = "loop"
    fallback_reason: str | None = None

    def __init__(self) -> None:
        """Begin without members."""
        self._sends: list[Callable[[memoryview | bytes], int]] = []

    def add(self, media: socket.socket) -> None:
        """See :class:`GroupSender`."""
        self._sends.append(media.send)

    def remove(self, position: int) -> None:
        """See :class:`GroupSender`."""
        last = self._sends.pop()
        if position < len(self._sends):
            self._sends[position] = last

    def send(self, payload: memoryview | bytes) -> Sequence[Failure]:
        """See :class:`GroupSender`."""
        failures: list[Failure] = []
        for position, send in enumerate(self._sends):
            try:
                send(payload)
            except OSError as error:
                failures.append(Failure(position, error.errno or errno.EIO))
        return failures

    def close(self) -> None:
        """See :class:`GroupSender`."""


class UringSender:
    """All members in one system call; one after the other while the kernel gives no ring.

    A shortage of descriptors or memory passes: every member that is added is a new attempt to make a ring.
    """

    def __init__(self) -> None:
        """Begin without a ring; it is made for the first member."""
        self._ring: SendRing | None = None
        self._members: list[socket.socket] = []
        self._loop = SendLoop()
        self._failed_in_row = 0
        self.fallback_reason: str | None = None

    @property
    def kind(self) -> SenderKind:
        """See :class:`GroupSender`."""
        return "io_uring" if self._ring is not None or not self._members else "loop"

    def add(self, media: socket.socket) -> None:
        """See :class:`GroupSender`."""
        self._members.append(media)
        self._loop.add(media)
        position = len(self._members) - 1
        if self._ring is None or position >= self._ring.entries:
            self._renew()
        else:
            self._ring.prepare(position, media)

    def _renew(self) -> None:
        """Make a ring with room for twice the members; it replaces a smaller one, if there is one."""
        count = len(self._members)
        try:
            if count > MAX_ENTRIES:
                raise OSError(errno.E2BIG, f"{count} clients")
            larger = SendRing(PAYLOAD_BYTES, min(2 * count, MAX_ENTRIES))
        except OSError as error:
            self._give_up(error)
            return
        self.close()
        for position, member in enumerate(self._members):
            larger.prepare(position, member)
        self._ring, self.fallback_reason, self._failed_in_row = larger, None, 0

    def _give_up(self, error: OSError) -> None:
        if self.fallback_reason is None:
            _log.warning("no io_uring at present (%s): one system call a client and tick", error)
        self.fallback_reason = errno_name(error.errno)
        self.close()

    def remove(self, position: int) -> None:
        """See :class:`GroupSender`."""
        self._loop.remove(position)
        last = self._members.pop()
        if position < len(self._members):
            self._members[position] = last
            if self._ring is not None:
                self._ring.prepare(position, last)

    def send(self, payload: memoryview | bytes) -> Sequence[Failure]:
        """See :class:`GroupSender`."""
        if not self._members:
            return ()
        if self._ring is not None:
            try:
                failures = self._ring.submit(payload, len(self._members))
            except OSError as error:  # the kernel took none: no member gets it twice
                self._failed_in_row += 1
                if self._failed_in_row >= MAX_FAILED_SUBMISSIONS:
                    self._give_up(error)
            else:
                self._failed_in_row = 0
                return failures
        return self._loop.send(payload)

    def close(self) -> None:
        """See :class:`GroupSender`."""
        if self._ring is not None:
            self._ring.close()
        self._ring = None


class SenderChoice(NamedTuple):
    """What sends in this process; *reason* says why it is not io_uring."""

    kind: SenderKind
    make: Callable[[], GroupSender]
    reason: str = ""


def choose_sender(preferred: SenderKind | None) -> SenderChoice:
    """Return *preferred*, or with ``None`` io_uring where it works; where it does not, log that and return the loop."""
    if preferred == "loop":
        return SenderChoice("loop", SendLoop, "asked for")
    problem = probe_uring()
    if problem is None:
        return SenderChoice("io_uring", UringSender)
    level = logging.WARNING if preferred == "io_uring" else logging.INFO
    _log.log(level, "no io_uring here (%s): one system call a client and tick", problem)
    return SenderChoice("loop", SendLoop, problem)


def probe_uring() -> str | None:
    """Return why io_uring cannot be used here, ``None`` if it can: tried on loopback."""
    try:
        with loopback_pair() as (sender, receiver):
            ring = SendRing(PAYLOAD_BYTES, MIN_ENTRIES)
            try:
                ring.prepare(0, sender)
                failures = ring.submit(b"probe", 1)
            finally:
                ring.close()
            if failures:
                return f"a send failed: {errno_name(failures[0].number)}"
            return None if receiver.recv(16) == b"probe" else "other bytes arrived than were sent"
    except OSError as error:  # also where loopback is down
        return error.strerror or str(error)
