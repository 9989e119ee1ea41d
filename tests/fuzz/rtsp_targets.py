"""RTSP: what players send on their connection and to the port of RTCP, and how the judge reads both directions."""

from types import SimpleNamespace

from flume.control.endpoint import Address
from flume.control.rtsp import headers
from flume.control.rtsp.messages import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    Fault,
    Item,
    MessageBuffer,
    Packet,
    Request,
    Response,
)
from flume.control.rtsp.responses import (
    MAX_MEDIA,
    MAX_RESPONSE_BODY_BYTES,
    MAX_URI,
    ResponseBuffer,
    encode_request,
    read_description_untrusted,
    server_transport_untrusted,
)
from flume.control.rtsp.rtcp import receiver_reports_untrusted
from flume.doctor.rtsp.arrivals import Arrivals, announced_first_untrusted
from flume.doctor.rtsp.examination import _other_program_untrusted
from flume.doctor.rtsp.observations import asks_for_basic_untrusted, shown
from flume.lab.evidence.facts import Command, Reply
from flume.lab.evidence.json_lines import Frame
from flume.lab.evidence.rtsp import Rtsp, begins_untrusted
from flume.server.fronts.sender_reports import ReportClock, SenderReports
from flume.server.sending.rtcp_port import READ_BYTES, RtcpPort
from flume.server.sessions.reception import Reception
from flume.sockaddr import sockaddr_of
from fuzz.reading import Reading, pieces

HOST = "198.18.0.2"
PLAYER = (HOST, 9001)
SSRC = 7
BASE = "rtsp://198.18.0.2/"
SEEKING = "198.18.0.3"
"""A host whose player's port of RTCP is not known."""
LONGEST = max(MAX_HEAD_BYTES + MAX_BODY_BYTES, 65_539)


def _items(buffer: MessageBuffer | ResponseBuffer, data: bytes, size: int) -> list[Item | Response]:
    items: list[Item | Response] = []
    for piece in pieces(data, size):
        buffer.append_untrusted(piece)
        while (item := buffer.take_untrusted()) is not None:
            items.append(item)
        assert buffer.pending_bytes <= LONGEST + MAX_RESPONSE_BODY_BYTES
    return items


def rtsp_request(data: bytes) -> None:
    """A server reads what a player sends: the same requests in any pieces, and media to no other host or low port."""
    reading = Reading(data)
    size, stream = reading.byte(), reading.rest()
    items = _items(MessageBuffer(), stream, len(stream))
    assert items == _items(MessageBuffer(), stream, size)
    assert not any(isinstance(item, Fault) and item.is_last for item in items[:-1])
    for item in items:
        if isinstance(item, Request):
            _read_headers(item)


def rtsp_response(data: bytes) -> None:
    """The doctor reads what any server sends: the same in any pieces, and little of it."""
    reading = Reading(data)
    size, stream = reading.byte(), reading.rest()
    items = _items(ResponseBuffer(), stream, len(stream))
    assert items == _items(ResponseBuffer(), stream, size)
    arrivals = Arrivals()
    for item in items:
        if isinstance(item, Packet):
            arrivals.take_untrusted(item.data, at_s=1.0)
            arrivals.take_report_untrusted(item.data, at_s=2.0)
        elif isinstance(item, Response):
            _read_response(item, arrivals)
    assert arrivals.lost >= arrivals.longest_gap >= 0
    assert arrivals.count <= sum(isinstance(item, Packet) for item in items)
    other = _other_program_untrusted(stream, 0.1, port=5004)
    assert other.outcome in {"not_rtsp", "turned_away"}


def _read_response(response: Response, arrivals: Arrivals) -> None:
    values = response.headers
    assert 0 <= response.status <= 999
    transport = server_transport_untrusted(values.get("transport", ""))
    for port in (transport.port, transport.rtcp_port):
        assert port is None or 0 < port < 65_536
    assert transport.channel is None or 0 <= transport.channel < 256
    media = read_description_untrusted(response.body, BASE)
    assert len(media) <= MAX_MEDIA
    for each in media:
        assert len(each.uri) <= MAX_URI
        request = encode_request("SETUP", each.uri, 1, {})
        assert _items(MessageBuffer(), request, len(request)) == [Request("SETUP", each.uri, 1, {"cseq": "1"})]
    arrivals.first_announced = announced_first_untrusted(values.get("rtp-info", ""))
    asks_for_basic_untrusted(values.get("www-authenticate", ""))
    assert shown(response.reason).isprintable()


def _read_headers(request: Request) -> None:
    values = request.headers
    assert request.uri.isprintable()
    chosen = headers.choose_transport_untrusted(
        values.get("transport", ""), udp=len(request.body) % 2 == 0, own_addresses=(HOST,)
    )
    if isinstance(chosen, headers.UdpTransport):
        assert headers.LOWEST_PORT <= chosen.port < 65_536
        assert chosen.rtcp_port is None or headers.LOWEST_PORT <= chosen.rtcp_port < 65_536
    elif isinstance(chosen, headers.TcpTransport):
        assert chosen.channel != chosen.rtcp_channel
        assert max(chosen.channel, chosen.rtcp_channel) < 256
    if not isinstance(chosen, headers.TransportRefusal):
        written = headers.transport_header(chosen, port=5004, rtcp_port=5005, ssrc=SSRC)
        assert headers.choose_transport_untrusted(written, udp=True, own_addresses=()) == chosen
    credentials = headers.credentials_untrusted(values.get("authorization"))
    assert credentials is None or ":" not in credentials[0]
    headers.is_playable_range(values.get("range"))
    assert "\n" not in (headers.session_id(values.get("session")) or "")


class _Datagrams:
    """A socket on which datagrams wait."""

    def __init__(self) -> None:
        """Begin with none."""
        self.waiting: list[tuple[bytes, tuple[str, int]]] = []

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        """Return the next one."""
        if not self.waiting:
            raise BlockingIOError
        data, source = self.waiting.pop(0)
        return data[:size], source


def rtcp(data: bytes) -> None:
    """Anyone sends datagrams to the port of RTCP: only a player's own change what is known of it."""
    reading, waiting = Reading(data), _Datagrams()
    port = RtcpPort.__new__(RtcpPort)
    port.socket, port.port, port._listeners, port._seekers = waiting, 5005, {}, {}  # type: ignore[assignment]
    session = SimpleNamespace(peer=PLAYER, reception=Reception())
    reports = SenderReports(
        session,  # type: ignore[arg-type]
        port,
        lambda _data: None,
        ssrc=SSRC,
        newest=lambda: None,
        clock=ReportClock(),
    )
    port.listen(PLAYER, reports.take_untrusted)
    found = list[Address]()
    port.seek(SEEKING, found.append)
    while reading:
        choice = reading.byte()
        source = PLAYER if choice & 1 else (SEEKING if choice & 8 else "203.0.113.9", 9001)
        count, block = choice >> 3, reading.block()
        if choice & 2:  # a report block of this stream
            block = bytes([0x81, 201, 0, 7]) + bytes(4) + SSRC.to_bytes(4, "big") + block.ljust(20, b"\0")[:20]
        if choice & 4:
            block += reading.take(count)
        before = session.reception.claim
        waiting.waiting.append((block, sockaddr_of(source)))
        port.on_readable()
        assert not waiting.waiting
        if source is not PLAYER:
            assert session.reception.claim is before
        assert all(address == (SEEKING, 9001) for address in found)
    for report in receiver_reports_untrusted(data[:READ_BYTES]):
        assert 0 <= report.fraction_lost < 1
        assert -(1 << 23) <= report.lost < 1 << 23


def rtsp_evidence(data: bytes) -> None:
    """The judge reads both directions: nothing of the server's is lost, and little is kept."""
    reading = Reading(data)
    choice, client = reading.byte(), ("198.18.0.11", 40_000)
    dialect, last_offset = Rtsp(client), -1
    while reading:
        way, block = reading.byte(), reading.block()
        begins_untrusted(block)
        if way & 1:
            block = b"RTSP/1.0 200 OK\r\nCSeq: %d\r\n" % (way >> 2 & 3) + block
        elif way & 2:
            block = b"$\0" + len(block).to_bytes(2, "big") + block
        if way & 0x80:
            commands = dialect.from_client_untrusted(0.0, block)
            assert all(isinstance(command, Command) for command in commands)
            continue
        for item in dialect.from_server_untrusted(0.0, block, has_begin=bool(choice & 1)):
            assert item.offset is not None
            assert item.offset > last_offset
            last_offset = item.offset
            if isinstance(item, Reply) and item.media is not None:
                assert item.media[0] == client[0]
            if isinstance(item, Frame):
                assert choice & 1
    assert len(dialect._from_client._rest) <= 2 * LONGEST
    assert len(dialect._from_server._rest) <= 2 * LONGEST
