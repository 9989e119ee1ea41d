"""MPEG-TS and RTP: what a source sends to the server, and what the server sends to a client."""

from flume.client.reception.media_socket import MAX_PROOF_BYTES, MediaSocket
from flume.client.reception.payload_path import RawTsPath, RtpPath
from flume.errors import RemoteProtocolError
from flume.media import keyframes, mpegts, psi, rtp
from flume.media.datagrams import MAX_PENDING_DATAGRAMS
from flume.media.entries import EntryFinder
from flume.media.mpegts import PACKET_BYTES, SYNC_BYTE
from flume.media.packetizer import Packetizer
from flume.reader.ffmpeg.ts_sections import MAX_BYTES, SectionReader
from flume.server.relay.order import MOST_EARLY, MOST_HELD, MOST_PASSED_OVER, UpstreamOrder
from flume.server.relay.supply import RelaySupply
from fuzz.packets import packets_of
from fuzz.reading import Reading, pieces

DATAGRAM_PACKETS = 7
CAPACITY = 32
TOKEN = "0123456789abcdef" * 2


def rtp_packet(data: bytes) -> None:
    """A datagram that is RTP, or is refused; what is packed again reads the same."""
    try:
        packet = rtp.parse_untrusted(data)
    except RemoteProtocolError:
        return
    again = bytearray(rtp.HEADER_BYTES) + packet.payload
    rtp.pack_header_into(again, 0, sequence=packet.sequence, timestamp=packet.timestamp, ssrc=packet.ssrc)
    assert rtp.parse_untrusted(again) == packet


def framer(data: bytes) -> None:
    """Bytes that may be a transport stream, in any pieces: the same packets, and no more than two kept."""
    reading = Reading(data)
    size, stream = reading.byte(), reading.rest()
    at_once, in_pieces = mpegts.Framer(), mpegts.Framer()
    packets = []
    for piece in pieces(stream, size):
        packets += in_pieces.feed_untrusted(piece)
        assert len(in_pieces._buffer) <= 2 * PACKET_BYTES
    assert packets == at_once.feed_untrusted(stream)
    for packet in packets:
        assert len(packet) == PACKET_BYTES
        assert packet[0] == SYNC_BYTE


def tables(data: bytes) -> None:
    """Packets of tables and of PES, each read by everything that reads single packets."""
    assembler, reader, place = psi.SectionAssembler(), SectionReader(), 0
    for packet in packets_of(Reading(data)):
        start = mpegts.parse_pes_start_untrusted(packet)
        if start is not None:
            assert 0 < start.payload_offset <= PACKET_BYTES
            keyframes.could_begin_untrusted(packet, start.payload_offset, packet[10])
        for placed in reader.feed_untrusted(bytes(packet), place):
            assert sum(piece.size for piece in placed.pieces) == len(placed.data) <= MAX_BYTES
        place += PACKET_BYTES
        assert len(reader._data) < MAX_BYTES
        section = assembler.feed_untrusted(packet)
        assert len(assembler._data) <= psi.MAX_SECTION_BYTES
        if section is not None:
            _section(section)


def _section(section: bytes) -> None:
    assert len(section) <= psi.MAX_SECTION_BYTES
    assert 0 <= psi.program_number_untrusted(section) < 1 << 16
    psi.parse_pat_untrusted(section)
    program = psi.parse_pmt_untrusted(section)
    if program is not None:
        assert psi.parse_pmt_untrusted(psi.build_pmt(program, program_number=1, version=0)) == program


def packetizer(data: bytes) -> None:
    """A source, item after item, with skips: whole datagrams of whole packets come out, and few wait."""
    reading = Reading(data)
    made, sent = Packetizer(), []
    made.begin_item()
    options = reading.byte()
    raw = reading.block() if options & 1 else b""
    for number, packet in enumerate(packets_of(reading)):
        if packet[1] & 0x80 and packet[2] & 1:
            sent += _turn(made, packet[4])
        sent += made.feed_untrusted(bytes(packet) + (raw if number % 5 == 4 else b""))
        assert len(made._builder._pending) <= MAX_PENDING_DATAGRAMS + DATAGRAM_PACKETS
    sent += made.end_item({0x100: 3600})
    for datagram in sent:
        packets = [datagram.payload[at : at + PACKET_BYTES] for at in range(0, len(datagram.payload), PACKET_BYTES)]
        assert len(packets) == DATAGRAM_PACKETS
        assert all(len(packet) == PACKET_BYTES and packet[0] == SYNC_BYTE for packet in packets)
    assert made.statistics().datagrams >= len(sent)


def _turn(made: Packetizer, choice: int) -> list:  # type: ignore[type-arg]
    """Do with *made* what its caller may do between two packets."""
    if choice % 4 == 0:
        before = made.end_item()
        made.begin_item(trusted_clock=bool(choice & 4), live=bool(choice & 8), bit_rate=choice << 12 or None)
        return before
    if choice % 4 == 1:
        return made.skip()
    made.resume(at=("never", "keyframe", "any_frame")[choice // 4 % 3])
    return []


def relayed(data: bytes) -> None:
    """Datagrams of an upstream, windows, losses and rests, in any order: each goes on once, with the holes between."""
    reading = Reading(data)
    order, supply, now_s = UpstreamOrder(), RelaySupply(payload_bytes=PACKET_BYTES), 0.0
    order.begin_session(7, now_s)
    pushed = taken = 0
    while reading:
        choice, sequence = reading.byte(), reading.word()
        now_s += (choice >> 4) / 100
        if choice & 7 == 0:
            order.begin_window(sequence if choice & 8 else None, now_s)
        elif choice & 7 == 1:
            order.end_window(sequence, 1, now_s)
        elif choice & 7 == 2:
            order.begin_session(7 + (choice >> 3 & 1), now_s)
        elif choice & 15 == 3:
            order.rest()
            supply.rest()
        else:
            datagram = bytearray(rtp.HEADER_BYTES) + reading.block().ljust(PACKET_BYTES, b"\xff")[:PACKET_BYTES]
            rtp.pack_header_into(datagram, 0, sequence=sequence, timestamp=reading.word() << 16, ssrc=7)
            pushed += order.push_untrusted(bytes(datagram), now_s)
        units = order.take(now_s)
        assert all(0 <= unit.passed_over <= MOST_PASSED_OVER for unit in units)
        supply.push(units, now_s)
        taken += len(units)
        while supply.head_s() is not None:
            assert all(one.passed_over <= MOST_PASSED_OVER for one in supply.take())
        assert len(order._held) <= MOST_HELD + 1
        assert len(order._early) <= MOST_EARLY
        assert taken <= pushed
    statistics = order.statistics()
    assert min(statistics.lost, statistics.late, statistics.duplicates, statistics.unexpected) >= 0


def entries(data: bytes) -> None:
    """Datagrams of another server, in which places to join are looked for."""
    reading, finder = Reading(data), EntryFinder()
    packets = list(packets_of(reading))
    for at in range(0, len(packets), DATAGRAM_PACKETS):
        payload = b"".join(map(bytes, packets[at : at + DATAGRAM_PACKETS]))
        assert finder.look_untrusted(payload) == "none" or payload[:1] == b"\x47"
    finder.look_untrusted(data)


def reception(data: bytes) -> None:
    """Datagrams and announced windows that reach a client, in any order: few are held, each comes out once."""
    reading = Reading(data)
    path, raw, now_s = RtpPath(reorder_ms=60, capacity=CAPACITY), RawTsPath(), 0.0
    path.begin_session(7, now_s)
    media = MediaSocket(buffer_bytes=0)
    pushed = taken = 0
    while reading:
        choice, sequence = reading.byte(), reading.word()
        now_s += (choice >> 4) / 100
        if choice & 7 == 0:
            path.begin_window(sequence, now_s)
        elif choice & 7 == 1:
            path.end_window(sequence, choice & 8, now_s)
        elif choice & 7 == 2:
            path.abandon_window(now_s)
        else:
            block = reading.block()
            datagram = bytearray(rtp.HEADER_BYTES) + block
            rtp.pack_header_into(datagram, 0, sequence=sequence, timestamp=reading.word() << 16, ssrc=7)
            if choice & 7 == 3:
                datagram[0] = reading.byte()
            pushed += path.push_untrusted(bytes(datagram), now_s)
            raw.push_untrusted(bytes(datagram[rtp.HEADER_BYTES :]), now_s)
            is_sent_back = media.prove_untrusted(TOKEN.encode() + block, TOKEN)
            assert is_sent_back == (block[:1] == b"!" and len(TOKEN) + len(block) <= MAX_PROOF_BYTES)
        taken += len(path.take(now_s))
        assert sum(len(window.pending) for window in path._buffer._windows) <= CAPACITY
        assert taken <= pushed
    statistics = path.statistics()
    assert statistics.datagrams == pushed
    assert min(statistics.lost, statistics.late, statistics.duplicates, statistics.unexpected) >= 0
    raw.take(now_s)
