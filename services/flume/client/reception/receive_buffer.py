"""The kernel's buffer of the media socket: how long it lasts, and what to say where it is too small. Pure.

``flume watch`` and ``flume doctor`` say the same, in the words of this module.
"""

from typing import NamedTuple

from flume.media.datagrams import PAYLOAD_BYTES
from flume.settings import MAX_RECEIVE_BUFFER_BYTES

KERNEL_BYTES = 2304
"""What the kernel counts for a datagram of the stream: 2 KiB of memory, and 256 bytes of book-keeping. Measured on a
virtual wire and on loopback: 2160. With a driver that gives each datagram a page of its own, the buffer lasts half as
long as stated here."""

RATE_MBIT = 50
"""The rate for which the buffer's time is stated: the highest that a client must take."""


class ReceiveBuffer(NamedTuple):
    """The receive buffer of one media socket, in bytes as SO_RCVBUF takes them; Linux reserves twice that."""

    asked: int
    granted: int
    dropped: int
    """Datagrams that found no room in it."""

    @property
    def is_small(self) -> bool:
        """Whether the kernel grants less than was asked for."""
        return self.granted < self.asked


def lasts_ms(granted_bytes: int, *, rate_mbit: float = RATE_MBIT) -> int:
    """Return for how long a buffer of *granted_bytes* takes a stream of *rate_mbit* while no program reads.

    >>> lasts_ms(4 << 20)
    766
    """
    datagrams = 2 * granted_bytes // KERNEL_BYTES
    return round(datagrams * PAYLOAD_BYTES * 8 / rate_mbit / 1000)


def shortage(buffer: ReceiveBuffer) -> str | None:
    """Return what is wrong with *buffer*, as a clause without a full stop; ``None`` for nothing."""
    held = f"{lasts_ms(buffer.granted)} ms of a stream of {RATE_MBIT} Mbit/s"
    if buffer.is_small:
        said = (
            f"the kernel grants the media socket {buffer.granted} bytes of the {buffer.asked} asked for: room for "
            f"{held} instead of {lasts_ms(buffer.asked)} ms"
        )
        if not buffer.dropped:
            return f"{said}; if this machine is busy for longer, it drops datagrams"
        return f"{said}; {buffer.dropped} datagrams had no room and were dropped here, not by the network"
    if buffer.dropped:
        return (
            f"the media socket's buffer of {buffer.granted} bytes, {held}, was full: {buffer.dropped} datagrams were "
            "dropped here, not by the network, because this machine was busy for longer"
        )
    return None


def remedy_of_shortage(buffer: ReceiveBuffer) -> str:
    """Return what enlarges *buffer*, as commands to copy."""
    if buffer.is_small:
        return _raise_limit(buffer.asked)
    return _ask_for_more(min(2 * buffer.asked, MAX_RECEIVE_BUFFER_BYTES))


def _raise_limit(wanted: int) -> str:
    """Where the kernel's limit is lower than what was asked for."""
    return (
        f"as root on this machine (for a container: on its host) 'sysctl -w net.core.rmem_max={wanted}', and to keep "
        f"it the line 'net.core.rmem_max={wanted}' in /etc/sysctl.d/60-flume.conf; then start 'flume watch' again"
    )


def _ask_for_more(wanted: int) -> str:
    """Where all that was asked for was granted, and was too little."""
    return (
        f"end other programs that keep this machine busy, or 'flume watch' with '--receive-buffer {wanted}', after "
        f"'sysctl -w net.core.rmem_max={wanted}' as root on this machine (for a container: on its host)"
    )
