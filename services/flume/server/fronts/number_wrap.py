"""Keeps a player alive that does not count beyond 65535: the SAT>IP module of VLC, which Debian's VLC uses for RTSP.

It takes a datagram whose number is below the one it expects for a late one and throws it away. When the datagram
numbered 65535 is lost, all that follow are below, and it shows nothing until the numbers have come round: 86 s at
8 Mbit/s. (``seq_nr < (uint16_t)(last_seq_nr + 1)`` in ``modules/access/satip.c`` of VLC 3.0.)

So a little after that number it is sent another datagram with it, and once more, and once more: of null packets, which
mean nothing in MPEG-TS (ISO/IEC 13818-1, 2.4.3.3), with RTP's marker. After it the module takes every number. Other
players have a jitter buffer, and drop it as late; they do not need it and do not get it.
"""

import asyncio
from collections.abc import Callable

from flume.media import rtp
from flume.media.mpegts import NULL_PACKET

POLL_S = 0.05
"""How long such a player may stand still, unless the datagram is lost again: a frame or two."""

TIMES = 4
"""With a loss of 10 % one wrap in 100,000 goes wrong."""

LAST_NUMBER = rtp.SEQUENCE_MODULUS - 1
_MARKER = 0x80


def reset_datagram(*, ssrc: int, timestamp: int, packets: int) -> bytes:
    """Return a datagram of *packets* null packets, numbered 65535."""
    version, kind = rtp.FIRST_BYTES
    return rtp.HEADER.pack(version, kind | _MARKER, LAST_NUMBER, timestamp, ssrc) + NULL_PACKET * packets


class NumberWrapGuard:
    """Runs on the event loop. One for all players, so that a hundred of them cost no more than one until a wrap."""

    def __init__(self, newest: Callable[[], tuple[int, int] | None], *, ssrc: int, packets: int) -> None:
        """Watch the *newest* number and timestamp of the stream."""
        self._newest = newest
        self._ssrc, self._packets = ssrc, packets
        self._players: dict[Callable[[bytes], None], None] = {}
        self._before = 0
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, send: Callable[[bytes], None]) -> None:
        """Let *send* have the datagrams from now on."""
        self._players[send] = None
        if self._timer is None:
            newest = self._newest()
            self._before = 0 if newest is None else newest[0]
            self._wait()

    def remove(self, send: Callable[[bytes], None]) -> None:
        """Give *send* nothing any more, if it was added."""
        self._players.pop(send, None)
        if not self._players and self._timer is not None:
            self._timer.cancel()
            self._timer, self._left = None, 0

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(POLL_S, self._look)

    def _look(self) -> None:
        self._wait()
        newest = self._newest()
        if newest is None:
            return
        number, timestamp = newest
        if number < self._before:
            self._left = TIMES
        self._before = number
        if self._left:
            self._left -= 1
            datagram = reset_datagram(ssrc=self._ssrc, timestamp=timestamp, packets=self._packets)
            for send in self._players:
                send(datagram)
