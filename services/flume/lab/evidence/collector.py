"""Sorts the packets of one capture into facts. Pure."""

from flume.lab.evidence import dissect
from flume.lab.evidence.builder import TapFactsBuilder
from flume.lab.evidence.connection import ACK, FIN, RST, SYN, ControlConnection
from flume.lab.evidence.datagrams import DatagramDecoder, datagram_bytes
from flume.lab.evidence.dissect import Segment
from flume.lab.evidence.echoes import Echoes
from flume.lab.evidence.facts import (
    END_GRACE_S,
    Consent,
    ControlEnd,
    ControlStart,
    Endpoint,
    Refusal,
    Tap,
    TapFacts,
)
from flume.lab.evidence.json_lines import Frame


class Collector:
    """Takes packets one by one; gives the facts at the end."""

    def __init__(self, port: int) -> None:
        """Expect a server whose control and media port is *port*."""
        self._port = port
        self._facts = TapFactsBuilder()
        self._decoder = DatagramDecoder()
        self._echoes = Echoes()
        self._connections: dict[Endpoint, ControlConnection] = {}
        self._ended: set[Endpoint] = set()
        self._missing_bytes = 0
        """Of connections whose client port was used again."""

    def add_untrusted(self, time_s: float, segment: Segment) -> None:
        """Take one packet. Raises nothing."""
        self._facts.sources.add(segment.source[0])
        from_server, to_server = segment.source[1] == self._port, segment.destination[1] == self._port
        if segment.protocol == dissect.TCP:
            if from_server or to_server:
                self._control(time_s, segment, to_server=to_server)
        elif segment.protocol == dissect.ICMP:
            ports = dissect.refused_untrusted(segment.data)
            if ports is not None and ports[0] == self._port:
                self._facts.refusals.append(Refusal(time_s, (segment.source[0], ports[1])))
        else:
            self._datagram(time_s, segment, from_server=from_server, to_server=to_server)

    def build(self, tap: Tap) -> TapFacts:
        """Return everything that *tap* saw."""
        return self._facts.build(tap)

    @property
    def missing_bytes(self) -> int:
        """Control bytes that were acknowledged and are not in the capture."""
        return self._missing_bytes + sum(connection.missing_bytes for connection in self._connections.values())

    def _datagram(self, time_s: float, segment: Segment, *, from_server: bool, to_server: bool) -> None:
        """Take one packet of UDP, on any ports: a datagram like those of the stream is media wherever it goes."""
        data, unit = segment.data, datagram_bytes(segment.data)
        if to_server and self._echoes.take_request_untrusted(segment.source, data):
            return
        if from_server and self._echoes.take_answer_untrusted(time_s, segment.destination, data):
            return
        if to_server and not (from_server and unit):
            self._facts.consents.append(Consent(time_s, segment.source, data))
        elif from_server or unit:
            self._media(time_s, segment, unit)

    def _media(self, time_s: float, segment: Segment, unit: int) -> None:
        """Take one packet of media; *unit* is the length of a datagram in it, 0 where it is not known."""
        data = segment.data
        if not unit or len(data) <= unit:
            self._facts.media.append(self._decoder.decode_untrusted(time_s, segment, data))
            return
        self._facts.batches += 1
        for start in range(0, len(data), unit):
            self._facts.media.append(self._decoder.decode_untrusted(time_s, segment, data[start : start + unit]))

    def _control(self, time_s: float, segment: Segment, *, to_server: bool) -> None:
        client = segment.source if to_server else segment.destination
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
        if segment.flags & (FIN | RST) and client not in self._ended:
            self._ended.add(client)
            self._facts.ends.append(ControlEnd(time_s, client, by_server=not to_server))
            self._echoes.end(client, time_s + (END_GRACE_S if to_server else 0.0))
