"""From a datagram to units in playing order: one path for RTP, one for raw MPEG-TS. Pure.

RTP numbers its datagrams, so its path reorders them and knows which are missing. Raw transport packets carry no
numbers: they go on in the order of arrival, and loss is known from the server's count alone, when a window ends.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from flume.client.reception.jitter import ArrivalStatistics, InterarrivalJitter, JitterBuffer
from flume.client.reception.loss_record import LossRecord
from flume.client.reception.raw_ts import RawTsClock, RawTsCount
from flume.media import mpegts, rtp

_SYNC = bytes([mpegts.SYNC_BYTE])


class Unit(NamedTuple):
    """The transport packets of one datagram, with their time on the stream's clock (90 kHz, 32 bits)."""

    timestamp: int
    payload: memoryview


GivenUnit_co = TypeVar("GivenUnit_co", covariant=True)


class PayloadPath(Protocol[GivenUnit_co]):
    """Datagrams go in with :meth:`push_untrusted`, units come out with :meth:`take`. Times are monotonic seconds."""

    def begin_session(self, ssrc: int, now_s: float, /) -> None:
        """Accept the stream *ssrc* from now on; its numbers have nothing to do with those before."""

    def begin_window(self, first_sequence: int | None, now_s: float, /) -> None:
        """The server delivers from *first_sequence* on; ``None``: its datagrams carry no numbers."""

    def end_window(self, last_sequence: int | None, datagrams: int, now_s: float, /) -> None:
        """The window held *datagrams*, the last with *last_sequence*."""

    def abandon_window(self, now_s: float, /) -> None:
        """The session ended, and the server did not say with which datagram."""

    def push_untrusted(self, data: bytes, now_s: float, /) -> bool:
        """Take *data*, which arrived at *now_s*; ``False``: it does not belong to this stream. Never raises."""

    def take(self, now_s: float, /) -> Sequence[GivenUnit_co]:
        """Return the units that are complete, or have waited long enough, by *now_s*."""

    def deadline_s(self) -> float | None:
        """Return when :meth:`take` gives up waiting for a datagram; ``None``: nothing is held back."""

    def statistics(self) -> ArrivalStatistics:
        """Return the counters as they are now."""

    def jitter_ms(self) -> float:
        """Return the interarrival jitter; 0 where the path cannot know it."""


class RtpPath:
    """RTP carrying MPEG-TS (RFC 2250): reordered by sequence number, jitter measured by RFC 3550."""

    def __init__(self, *, reorder_ms: float, capacity: int, record: LossRecord | None = None) -> None:
        """Let a missing number wait *reorder_ms* at most, and hold back *capacity* datagrams at most.

        *record* takes each number that is given up or comes too late.
        """
        self._buffer: JitterBuffer[Unit] = JitterBuffer(reorder_ms=reorder_ms, capacity=capacity, record=record)
        self._jitter = InterarrivalJitter()
        self._ssrc: int | None = None

    def begin_session(self, ssrc: int, now_s: float) -> None:
        """Hand out what waits, and number anew."""
        self._buffer.reset(now_s)
        self._ssrc = ssrc

    def begin_window(self, first_sequence: int | None, now_s: float) -> None:
        """Expect *first_sequence* next; ``None``: the first datagram decides where the window begins."""
        self._jitter.begin_window()
        if first_sequence is not None:
            self._buffer.begin_window(first_sequence, now_s)

    def end_window(self, last_sequence: int | None, datagrams: int, now_s: float) -> None:
        """Numbers up to *last_sequence* that have not arrived are missing."""
        self._buffer.end_window(last_sequence if datagrams else None, now_s)

    def abandon_window(self, now_s: float) -> None:
        """Take the highest number seen for the last."""
        self._buffer.abandon_window(now_s)

    def push_untrusted(self, data: bytes, now_s: float) -> bool:
        """Take one RTP packet of this session's SSRC."""
        packet = rtp.packet_of_untrusted(self._ssrc, data)
        if packet is None:
            return False
        self._jitter.add(packet.timestamp, now_s)
        self._buffer.push(packet.sequence, Unit(packet.timestamp, packet.payload), now_s)
        return True

    def take(self, now_s: float) -> list[Unit]:
        """Return, in order of sequence numbers, what is complete or has waited for the reorder time."""
        return self._buffer.take(now_s)

    def deadline_s(self) -> float | None:
        """Return when the oldest missing number is given up."""
        return self._buffer.deadline_s()

    def statistics(self) -> ArrivalStatistics:
        """Return the jitter buffer's counters."""
        return self._buffer.statistics()

    def jitter_ms(self) -> float:
        """Return the interarrival jitter of RFC 3550."""
        return self._jitter.jitter_ms


class RawTsPath:
    """MPEG-TS without RTP: the order of arrival, the clock of the PCRs, and loss by the server's count."""

    def __init__(self) -> None:
        """Begin with no datagram."""
        self._clock = RawTsClock()
        self._count = RawTsCount()
        self._units: list[Unit] = []

    def begin_session(self, _ssrc: int, _now_s: float, /) -> None:
        """Change nothing: raw transport packets name no stream and carry no numbers."""

    def begin_window(self, _first_sequence: int | None, _now_s: float, /) -> None:
        """Count from here on."""
        self._count.begin_window()

    def end_window(self, _last_sequence: int | None, datagrams: int, _now_s: float, /) -> None:
        """Compare *datagrams* with the number that arrived."""
        self._count.end_window(datagrams)

    def abandon_window(self, _now_s: float, /) -> None:
        """Take what arrived for what was sent."""
        self._count.abandon_window()

    def push_untrusted(self, data: bytes, _now_s: float, /) -> bool:
        """Take one datagram that begins with a transport packet."""
        if data[:1] != _SYNC:
            return False
        self._count.add()
        self._units.append(Unit(self._clock.timestamp_untrusted(data), memoryview(data)))
        return True

    def take(self, _now_s: float, /) -> list[Unit]:
        """Return all that arrived since the last call."""
        units, self._units = self._units, []
        return units

    def deadline_s(self) -> float | None:
        """Return ``None``: nothing is ever held back."""
        return None

    def statistics(self) -> ArrivalStatistics:
        """Return loss and windows; nothing else can be known without sequence numbers."""
        return ArrivalStatistics(lost=self._count.lost, windows=self._count.windows)

    def jitter_ms(self) -> float:
        """Return 0: raw transport packets carry no timestamp to measure by."""
        return 0.0
