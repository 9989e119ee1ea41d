"""Sorts the packets of one capture into facts. Pure."""

import contextlib
import math
from hashlib import blake2b

from flume.capture import dissect
from flume.capture.dissect import Segment, transport_untrusted
from flume.capture.fragments import Assembly, Fragment, Reassembler
from flume.errors import CaptureError
from flume.lab.evidence.builder import TapFactsBuilder
from flume.lab.evidence.connection import ACK, FIN, RST, SYN, ControlConnection
from flume.lab.evidence.datagrams import DatagramDecoder, Keep, datagram_bytes
from flume.lab.evidence.echoes import Echoes
from flume.lab.evidence.facts import (
    END_GRACE_S,
    PLAYER_SILENCE_S,
    Consent,
    ControlEnd,
    ControlStart,
    Endpoint,
    Headless,
    MediaDatagram,
    OtherPacket,
    Refusal,
    Tap,
    TapFacts,
)
from flume.lab.evidence.json_lines import Frame

_IDENTITY_BYTES = 16


class Collector:
    """Takes packets one by one; gives the facts at the end."""

    def __init__(self, port: int, keep: Keep | None = None) -> None:
        """Expect a server whose control and media port is *port*. *keep* gets the bytes of each datagram."""
        self._port = port
        self._facts = TapFactsBuilder()
        self._decoder = DatagramDecoder(keep)
        self._echoes = Echoes()
        self._reassembler = Reassembler()
        self._connections: dict[Endpoint, ControlConnection] = {}
        self._ended: set[Endpoint] = set()
        self._heard_s: dict[Endpoint, float] = {}
        """When the last segment came from each client."""
        self._missing_bytes = 0
        """Of connections whose client port was used again."""

    def add_untrusted(self, time_s: float, packet: Segment | Fragment) -> None:
        """Take one packet. Raises nothing."""
        if isinstance(packet, Fragment):
            self._fragment(time_s, packet)
        else:
            self._segment(time_s, packet)

    def build(self, tap: Tap) -> TapFacts:
        """Return everything that *tap* saw, which is complete now."""
        for assembly in self._reassembler.incomplete():
            self._give_up(assembly)
        for client in self._connections:
            self._end_silent(client, tap.last_s)
        return self._facts.build(tap)

    @property
    def missing_bytes(self) -> int:
        """Control bytes that were acknowledged and are not in the capture."""
        return self._missing_bytes + sum(connection.missing_bytes for connection in self._connections.values())

    def _fragment(self, time_s: float, fragment: Fragment) -> None:
        self._facts.sources.add(fragment.source)
        self._other(time_s, fragment)
        whole = self._reassembler.take_untrusted(time_s, fragment)
        segment = None if whole is None else _segment_of(whole)
        if segment is not None:
            self._segment(time_s, segment, is_fragmented=True)

    def _other(self, time_s: float, packet: Segment | Fragment) -> None:
        """Note a packet that is no datagram of the stream as a whole."""
        if isinstance(packet, Fragment):
            source, destination = packet.source, packet.destination
        else:
            source, destination = packet.source[0], packet.destination[0]
        identity = blake2b(packet.data, digest_size=_IDENTITY_BYTES)
        identity.update(repr(packet._replace(data=b"")).encode())
        is_tcp = packet.protocol == dissect.TCP
        self._facts.others.append(OtherPacket(time_s, source, destination, identity.digest(), is_tcp))

    def _give_up(self, assembly: Assembly) -> None:
        """Note what has passed of a datagram that never became whole."""
        segment = _segment_of(assembly)
        if segment is None:
            self._facts.headless.append(Headless(assembly.last_s, assembly.source, assembly.destination))
        elif segment.protocol == dissect.UDP and (segment.source[1] == self._port or datagram_bytes(segment.data)):
            datagram = self._decoder.decode_untrusted(assembly.last_s, segment, segment.data)
            self._facts.incomplete.append(datagram._replace(is_fragmented=True, is_whole=False))

    def _segment(self, time_s: float, segment: Segment, *, is_fragmented: bool = False) -> None:
        self._facts.sources.add(segment.source[0])
        from_server, to_server = segment.source[1] == self._port, segment.destination[1] == self._port
        if segment.protocol != dissect.UDP and not is_fragmented:
            self._other(time_s, segment)
        if segment.protocol == dissect.TCP:
            if from_server or to_server:
                self._control(time_s, segment, to_server=to_server)
        elif segment.protocol == dissect.ICMP:
            ports = dissect.refused_untrusted(segment.data)
            if ports is not None and ports[0] == self._port:
                self._facts.refusals.append(Refusal(time_s, (segment.source[0], ports[1])))
        else:
            unit = datagram_bytes(segment.data)
            if self._is_media(time_s, segment, unit, from_server=from_server, to_server=to_server):
                media = self._media(time_s, segment, unit)
                self._facts.media += [one._replace(is_fragmented=True) for one in media] if is_fragmented else media
            elif not is_fragmented:
                self._other(time_s, segment)

    def _is_media(self, time_s: float, segment: Segment, unit: int, *, from_server: bool, to_server: bool) -> bool:
        """Whether a packet of UDP is media, on any ports: a datagram like those of the stream is, wherever it goes.

        Takes what else it may be: an echo, or the token.
        """
        data = segment.data
        if to_server and self._echoes.take_request_untrusted(segment.source, data):
            return False
        if from_server and self._echoes.take_answer_untrusted(time_s, segment.destination, data):
            return False
        if from_server and self._echoes.take_proof_request_untrusted(time_s, segment.destination, data):
            return False
        if to_server and not (from_server and unit):
            self._echoes.take_token_untrusted(segment.source, data)
            self._facts.consents.append(Consent(time_s, segment.source, data))
            return False
        return from_server or unit > 0

    def _media(self, time_s: float, segment: Segment, unit: int) -> list[MediaDatagram]:
        """Return the datagrams in one packet; *unit* is the length of one, 0 where it is not known."""
        data = segment.data
        if not unit or len(data) <= unit:
            return [self._decoder.decode_untrusted(time_s, segment, data)]
        self._facts.batches += 1
        pieces = (data[start : start + unit] for start in range(0, len(data), unit))
        return [self._decoder.decode_untrusted(time_s, segment, piece) for piece in pieces]

    def _control(self, time_s: float, segment: Segment, *, to_server: bool) -> None:
        client = segment.source if to_server else segment.destination
        self._end_silent(client, time_s)
        if to_server:
            self._heard_s[client] = time_s
        connection = self._connections.get(client)
        if connection is None:
            connection = self._connections[client] = ControlConnection(client)
        if to_server and segment.flags & (SYN | ACK) == SYN and connection.initial != segment.sequence:
            self._missing_bytes += connection.missing_bytes
            connection = self._connections[client] = ControlConnection(client, initial=segment.sequence)
            self._ended.discard(client)
            self._facts.starts.append(ControlStart(time_s, client))
        for item in connection.take_untrusted(time_s, segment, to_server=to_server):
            if isinstance(item, Frame):
                datagram = self._decoder.decode_untrusted(time_s, segment, item.data, offset=item.offset)
                self._facts.media.append(datagram)
            else:
                self._facts.messages.append(item)
                self._echoes.follow(item)
        if segment.flags & (FIN | RST):
            self._end(ControlEnd(time_s, client, by_server=not to_server))

    def _end_silent(self, client: Endpoint, now_s: float) -> None:
        """Note the end of a player's connection from whose host nothing has come for so long that it counts as gone."""
        connection, end_s = self._connections.get(client), self._heard_s.get(client, math.inf) + PLAYER_SILENCE_S
        if connection is not None and connection.is_rtsp and now_s > end_s + END_GRACE_S:
            self._end(ControlEnd(end_s, client, by_server=False))

    def _end(self, end: ControlEnd) -> None:
        """Note the end of a connection, unless it has ended already."""
        if end.client not in self._ended:
            self._ended.add(end.client)
            self._facts.ends.append(end)
            self._echoes.end(end.client, end.time_s + (0.0 if end.by_server else END_GRACE_S))


def _segment_of(assembly: Assembly) -> Segment | None:
    """Return the transport layer of *assembly*, as far as it is there; None without its header."""
    with contextlib.suppress(CaptureError):
        return transport_untrusted(assembly.protocol, assembly.source, assembly.destination, assembly.beginning)
    return None
