"""One control connection as captured: TCP segments of both directions in, what they say out. Pure."""

from collections.abc import Sequence

from flume.capture.dissect import Segment
from flume.capture.reassembly import SegmentStream
from flume.lab.evidence.facts import ControlMessage, Endpoint
from flume.lab.evidence.json_lines import Frame, JsonLines
from flume.lab.evidence.rtsp import Rtsp, begins_untrusted

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
"""Flags of TCP (RFC 9293)."""


class ControlConnection:
    """Both directions of one connection between a client and the server's control port."""

    def __init__(self, client: Endpoint, *, initial: int | None = None) -> None:
        """Begin with the client's SYN, numbered *initial*; None: the capture began later."""
        self.initial = initial
        self._to_server, self._to_client = SegmentStream(), SegmentStream()
        self._client = client
        self._dialect: JsonLines | Rtsp | None = None
        """Known with the first byte of either side."""

    @property
    def is_rtsp(self) -> bool:
        """Whether the connection speaks RTSP, as far as it has said anything."""
        return isinstance(self._dialect, Rtsp)

    @property
    def missing_bytes(self) -> int:
        """Bytes that were acknowledged and are not in the capture."""
        return self._to_server.missing_bytes + self._to_client.missing_bytes

    def take_untrusted(self, time_s: float, segment: Segment, *, to_server: bool) -> Sequence[ControlMessage | Frame]:
        """Take one segment; return the messages and frames that it completes, in their order. Raises nothing."""
        mine, other = (self._to_server, self._to_client) if to_server else (self._to_client, self._to_server)
        sequence = segment.sequence
        if segment.flags & SYN:
            mine.begin(sequence)
            sequence += 1
        if segment.flags & ACK and not segment.flags & RST:
            other.acknowledge(segment.acknowledgement)
        data = mine.feed_untrusted(sequence % (1 << 32), segment.data)
        if segment.flags & FIN:
            mine.finish()
        if self._dialect is None:
            if not data:
                return ()
            self._dialect = (Rtsp if begins_untrusted(data) else JsonLines)(self._client)
        if to_server:
            return self._dialect.from_client_untrusted(time_s, data)
        return self._dialect.from_server_untrusted(time_s, data, has_begin=mine.has_begin)
