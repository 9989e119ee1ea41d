"""The kernel's buffer of the media socket: how long it lasts, what is said when it is too small. Pure.

``flume watch`` and the doctor say the same, in the words of this file.
"""

from typing import NamedTuple

from flume.media.datagrams import PAYLOAD_BYTES
from flume.settings import MAX_RECEIVE_BUFFER_BYTES

KERNEL_BYTES = 2304
"""What the kernel counts for a datagram of the stream: 2 KiB of memory, and 256 bytes about it. Measured on a virtual
wire and on loopback: 2160. A driver that gives each datagram a page of its own halves the time told here."""

RATE_MBIT = 50
"""The rate at which the buffer's time is told: the highest that a client is promised to take."""


class ReceiveBuffer(NamedTuple):
    """Of one media socket, bytes, as a program asks for it: Linux reserves the double, for its book-keeping."""

    asked: int
    granted: int
    dropped: int
    """Datagrams for which it had no room."""

    @property
    def is_small(self) -> bool:
        """Whether the kernel grants less than was asked for."""
        return self.granted < self.asked


def lasts_ms(granted_bytes: int, *, rate_mbit: float = RATE_MBIT) -> int:
    """Return for how long a stream of *rate_mbit* finds room while nobody reads."""
    datagrams = 2 * granted_bytes // KERNEL_BYTES
    return round(datagrams * PAYLOAD_BYTES * 8 / rate_mbit / 1000)


def shortage(buffer: ReceiveBuffer) -> str | None:
    """Return what is wrong with *buffer*, as a clause; ``None``: nothing."""
    held = f"{lasts_ms(buffer.granted)} ms of a stream of {RATE_MBIT} Mbit/s"
    if buffer.is_small:
        said = (
            f"the kernel grants the media socket {buffer.granted} bytes of the {buffer.asked} asked for: room for "
            f"{held} instead of {lasts_ms(buffer.asked)} ms"
        )
        if not buffer.dropped:
            return f"{said}; if this machine is busy for longer, it drops datagrams"
        return f"{said}; {buffer.dropped} datagrams found none and were dropped here, not by the network"
    if buffer.dropped:
        return (
            f"the media socket's buffer of {buffer.granted} bytes, {held}, was full: {buffer.dropped} datagrams were "
            "dropped here, not by the network, because this machine was busy for longer"
        )
    return None


def cure_of_shortage(buffer: ReceiveBuffer) -> str:
    """Return what enlarges *buffer*, as commands to copy."""
    if buffer.is_small:
        return receive_buffer(buffer.asked)
    return larger_receive_buffer(min(2 * buffer.asked, MAX_RECEIVE_BUFFER_BYTES))


def receive_buffer(wanted: int) -> str:
    """The kernel's limit is lower than what was asked for."""
    return (
        f"as root on this machine (for a container: on its host) 'sysctl -w net.core.rmem_max={wanted}', and for ever "
        f"the line 'net.core.rmem_max={wanted}' in /etc/sysctl.d/60-flume.conf; then start 'flume watch' anew"
    )


def larger_receive_buffer(wanted: int) -> str:
    """What was asked for was granted, and did not suffice."""
    return (
        f"end other programs that keep this machine busy, or 'flume watch' with '--receive-buffer {wanted}', after "
        f"'sysctl -w net.core.rmem_max={wanted}' as root on this machine (for a container: on its host)"
    )
