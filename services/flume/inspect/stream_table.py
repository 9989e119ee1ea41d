"""Sorts datagrams to streams and measures each. Pure; memory is bounded, whatever arrives."""

from collections import Counter
from typing import NamedTuple

from flume.capture.dissect import Endpoint
from flume.capture.rtp import MPEG_TS, RtpPacket, rtp_untrusted, unbatched_untrusted
from flume.inspect.arrival_meter import TS_BYTES, ArrivalMeter
from flume.inspect.rtp_meter import Place, RtpMeter
from flume.inspect.values import Stream
from flume.measures.ts.stream import TransportStream
from flume.measures.ts.values import Thresholds

MOST_STREAMS = 200
"""Further streams are counted, and not measured: each costs some 200 KB."""
_BEYOND = f"of streams beyond {MOST_STREAMS}"
_MOST_CANDIDATES = 256
_PROOFS = 3
"""So many packets with one SSRC and rising numbers make RTP of what could be anything: RFC 3550, A.1 asks for two."""
_SYNC = 0x47
_MOST_STEP = 16
_BATCH_BYTES = 1500
"""A longer packet did not come from a wire with the usual MTU: it may be a batch."""


class Datagram(NamedTuple):
    """One UDP datagram as it arrived."""

    number: int
    """Of its frame in the capture, counted from 1; live: of the datagram."""
    time_s: float
    source: Endpoint
    destination: Endpoint
    data: bytes


class _Flow(NamedTuple):
    """The two ends of a stream, and its SSRC; None: raw TS."""

    source: Endpoint
    destination: Endpoint
    ssrc: int | None


class _Measured:
    """One stream."""

    def __init__(self, flow: _Flow, first: Datagram, payload_type: int | None, limits: Thresholds) -> None:
        self.flow, self.first_packet, self.payload_type = flow, first.number, payload_type
        self._arrival = ArrivalMeter()
        self._rtp = None if payload_type is None else RtpMeter(payload_type)
        self._ts = TransportStream(limits) if payload_type in {None, MPEG_TS} else None
        self._stray: tuple[Datagram, RtpPacket] | None = None

    def add(self, datagram: Datagram, packet: RtpPacket | None) -> None:
        """Take a datagram of this stream; *packet* is the RTP in it."""
        if self._rtp is None or packet is None:
            self._measure(datagram, datagram.data, Place())
            return
        place = self._rtp.add(datagram.number, datagram.time_s, packet)
        if place.follows_stray and self._stray is not None:
            self._measure(self._stray[0], self._stray[1].payload, Place())
        self._stray = (datagram, packet) if place.is_stray else None
        if not place.is_stray:
            self._measure(datagram, packet.payload, place)

    def _measure(self, datagram: Datagram, media: bytes, place: Place) -> None:
        media_bytes = 0 if place.is_duplicate or self._ts is None else len(media)
        self._arrival.add(
            datagram.time_s, len(datagram.data), media_bytes=media_bytes, is_late=place.is_late, lost=place.lost
        )
        if self._ts is not None and not place.is_duplicate:  # a receiver of RTP drops a duplicate
            self._ts.add_untrusted(media, datagram.time_s)

    def result(self, number: int, since_s: float) -> Stream:
        source, destination, ssrc = self.flow
        return Stream(
            number=number,
            transport="udp" if self._rtp is None else "rtp",
            source=_text(source),
            destination=_text(destination),
            ssrc=None if ssrc is None else f"{ssrc:08x}",
            payload_type=self.payload_type,
            first_packet=self.first_packet,
            arrival=self._arrival.figures(numbered=self._rtp is not None),
            rtp=None if self._rtp is None else self._rtp.figures(since_s),
            ts=None if self._ts is None else self._ts.result(),
        )


class StreamTable:
    """All streams of one source.

    Example::

        table = StreamTable()
        table.add_untrusted(Datagram(1, 0.0, ("198.18.0.2", 5004), ("198.18.0.11", 50000), payload))
        streams = table.streams()
    """

    def __init__(self, limits: Thresholds | None = None) -> None:
        """Examine transport streams by *limits*; None: those of TR 101 290."""
        self._limits = limits or Thresholds()
        self._streams: dict[_Flow, _Measured] = {}
        self._raw: dict[tuple[Endpoint, Endpoint], _Measured] = {}
        self._candidates: dict[_Flow, list[tuple[Datagram, RtpPacket]]] = {}
        self._since_s: float | None = None
        self.others: Counter[str] = Counter()
        """Datagrams that belong to no stream, by what they are."""

    def add_untrusted(self, datagram: Datagram) -> None:
        """Take the next datagram in the order of arrival. Raises nothing."""
        if self._since_s is None:
            self._since_s = datagram.time_s
        raw = self._raw.get((datagram.source, datagram.destination))
        data = datagram.data
        if raw is not None and not (data[:1] != b"\x47" and _is_rtp_of_ts(data)):
            raw.add(datagram, None)
            return
        if data[:1] == b"\x47" and len(data) % TS_BYTES == 0:
            self._take_raw(datagram)
            return
        packet = rtp_untrusted(data)
        if packet is None:
            self.others["other UDP"] += 1
        elif packet.payload_type == MPEG_TS and len(data) >= _BATCH_BYTES:
            for each in unbatched_untrusted(data):
                self._take_rtp(datagram._replace(data=each), rtp_untrusted(each))
        else:
            self._take_rtp(datagram, packet)

    def _take_raw(self, datagram: Datagram) -> None:
        flow = _Flow(datagram.source, datagram.destination, None)
        stream = self._new(flow, datagram, None, 1)
        if stream is not None:
            self._raw[datagram.source, datagram.destination] = stream
            stream.add(datagram, None)

    def _take_rtp(self, datagram: Datagram, packet: RtpPacket | None) -> None:
        if packet is None:  # a piece of a batch that is too short for a header
            self.others["other UDP"] += 1
            return
        flow = _Flow(datagram.source, datagram.destination, packet.ssrc)
        stream = self._streams.get(flow)
        if stream is not None:
            stream.add(datagram, packet)
        elif packet.payload_type == MPEG_TS and packet.payload[:1] == b"\x47":
            self._begin_rtp(flow, [(datagram, packet)])
        else:
            self._weigh(flow, datagram, packet)

    def _begin_rtp(self, flow: _Flow, packets: list[tuple[Datagram, RtpPacket]]) -> None:
        stream = self._new(flow, packets[0][0], packets[0][1].payload_type, len(packets))
        for datagram, packet in packets if stream is not None else ():
            stream.add(datagram, packet)  # type: ignore[union-attr]  # None has no packets here

    def _weigh(self, flow: _Flow, datagram: Datagram, packet: RtpPacket) -> None:
        """Hold back what may be RTP, or anything, until its numbers rise."""
        held = self._candidates.get(flow)
        if held is None or not 0 < (packet.sequence - held[-1][1].sequence) % (1 << 16) <= _MOST_STEP:
            self.others["other UDP"] += len(held or ())
            held = self._candidates[flow] = []
            if len(self._candidates) > _MOST_CANDIDATES:
                oldest = next(iter(self._candidates))
                self.others["other UDP"] += len(self._candidates.pop(oldest))
        held.append((datagram, packet))
        if len(held) >= _PROOFS:
            del self._candidates[flow]
            self._begin_rtp(flow, held)

    def _new(self, flow: _Flow, first: Datagram, payload_type: int | None, datagrams: int) -> _Measured | None:
        if len(self._streams) >= MOST_STREAMS:
            self.others[_BEYOND] += datagrams
            return None
        stream = self._streams[flow] = _Measured(flow, first, payload_type, self._limits)
        return stream

    def streams(self) -> list[Stream]:
        """Return the figures of all streams up to now, in the order in which they began."""
        since_s = self._since_s or 0.0
        return [each.result(number, since_s) for number, each in enumerate(self._streams.values(), 1)]

    def problems(self) -> list[str]:
        """Return why the answer is not whole."""
        beyond = self.others[_BEYOND]
        return [f"{beyond} datagrams {_BEYOND} were not measured"] if beyond else []

    def all_others(self) -> dict[str, int]:
        """Return :attr:`others` with the datagrams of which it is not known yet whether they are RTP."""
        held = sum(map(len, self._candidates.values()))
        return dict(self.others + Counter({"other UDP": held}))


def _is_rtp_of_ts(data: bytes) -> bool:
    """Whether *data* can be nothing but RTP with MPEG-TS: the datagram before it was then no part of it."""
    packet = rtp_untrusted(data)
    return packet is not None and packet.payload_type == MPEG_TS and packet.payload[:1] == b"\x47"


def _text(endpoint: Endpoint) -> str:
    """Return *endpoint* as people write it.

    >>> _text(("fd00::1", 5004))
    '[fd00::1]:5004'
    """
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
