"""What the judge reads: captured frames, the control connections in them, and what clients report."""

import contextlib
import json
import struct
from collections.abc import Iterator

import msgspec

from flume.capture.dissect import LINK_HEADER, Dissector
from flume.capture.fragments import Fragment, Reassembler
from flume.capture.reassembly import SegmentStream
from flume.client.statistics import parse_published
from flume.errors import CaptureError, EvidenceError
from flume.lab.evidence.claims import parse_record_untrusted, parse_statistics_untrusted
from flume.lab.evidence.collector import Collector
from flume.lab.evidence.facts import Tap
from flume.lab.evidence.json_lines import LineSplitter, UnitSplitter, answer_untrusted, command_untrusted
from flume.settings import MAX_LINE_BYTES
from fuzz.reading import Reading, pieces

PORT = 5004
SERVER, CLIENT = bytes([198, 18, 0, 2]), bytes([198, 18, 0, 11])
TOKEN = b"0123456789abcdef" * 2
LINKS = tuple(LINK_HEADER)
TAP = Tap("server", "eth0", "server.pcap", 0, 0, snaplen=0, first_s=0.0, last_s=0.0, problem=None)


def capture(data: bytes) -> None:
    """A capture of any link type: frames as they are, or with the headers of the stream; facts come out."""
    reading = Reading(data)
    link = LINKS[reading.byte() % len(LINKS)]
    dissector, collector = Dissector(link), Collector(PORT)
    time_s = 0.0
    while reading:
        choice = reading.byte()
        frame = reading.block() if choice & 1 else _frame(reading, link, choice)
        time_s += (choice >> 6) * 10.0
        try:
            packet = dissector.packet_untrusted(frame)
        except CaptureError:
            continue
        if packet is not None:
            collector.add_untrusted(time_s, packet)
    assert collector.missing_bytes >= 0
    assert collector.build(TAP).tap == TAP


def _frame(reading: Reading, link: int, choice: int) -> bytes:
    """Return a frame between the server and a client: UDP, TCP, ICMP, or a fragment of UDP."""
    to_server, kind = bool(choice & 2), choice >> 2 & 3
    ports = (40_000 + (choice >> 4 & 3), PORT) if to_server else (PORT, 40_000 + (choice >> 4 & 3))
    place = 0
    if kind == 1:
        numbers = reading.byte(), reading.byte(), reading.byte()
        body = struct.pack("!HHIIBBHHH", *ports, 1000 + numbers[0], 1000 + numbers[1], 0x50, numbers[2], 0, 0, 0)
    elif kind == 2:
        body = b"\x03\x03" + bytes(6)
    elif kind == 3:
        place, body = reading.word(), b""
    else:
        body = struct.pack("!HHHH", *ports, 0, 0)
    if choice & 0x80:
        body += TOKEN
    body += reading.block()
    ends = (CLIENT, SERVER) if to_server else (SERVER, CLIENT)
    protocol = (17, 6, 1, 17)[kind]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 7, place, 64, protocol, 0, *ends)
    before = {1: bytes(12) + b"\x08\0", 113: bytes(14) + b"\x08\0", 276: b"\x08\0" + bytes(18)}.get(link, b"")
    return before + header + body


def json_lines(data: bytes) -> None:
    """The judge's own reading of the control connection: the same in any pieces, of both directions."""
    reading = Reading(data)
    choice, stream = reading.byte(), reading.rest()
    client, size = ("a", 1), choice >> 1
    lines, in_pieces = LineSplitter(), LineSplitter()
    some = [line for piece in pieces(stream, size) for line in in_pieces.feed_untrusted(piece)]
    assert len(in_pieces._partial) <= 4 * MAX_LINE_BYTES
    assert some == lines.feed_untrusted(stream)
    for line in some:
        command_untrusted(0.0, client, line)
    units = UnitSplitter()
    for piece in pieces(stream, size):
        for unit in units.feed_untrusted(piece, has_begin=bool(choice & 1)):
            _answer(unit.data)
        assert len(units._rest) <= 65_537 + 4 * MAX_LINE_BYTES


def _answer(line: bytes) -> None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return
    if isinstance(message, dict):
        assert answer_untrusted(0.0, ("a", 1), message, 0).client == ("a", 1)


def segments(data: bytes) -> None:
    """TCP segments of one stream, repeated and in any order: what comes out is the stream's beginning."""
    reading = Reading(data)
    whole = bytes(range(256)) * 4
    first = 0xFFFF_FF00 + reading.byte()
    stream, taken = SegmentStream(), bytearray()
    stream.begin(first)
    while reading:
        start = reading.word() % len(whole)
        piece = whole[start : start + reading.byte()]
        taken += stream.feed_untrusted((first + 1 + start) % (1 << 32), piece)
        assert whole.startswith(taken)
        if reading.byte() & 1:
            stream.acknowledge((first + 1 + start) % (1 << 32))
        assert stream.missing_bytes >= 0


def fragments(data: bytes) -> None:
    """IP fragments of one packet, in any order and with others between: whole only if it is that packet."""
    reading = Reading(data)
    whole = bytes(range(256)) * 2 + b"end"
    reassembler, time_s = Reassembler(), 0.0
    for fragment, delay_s in _fragments(reading, whole):
        time_s += delay_s
        done = reassembler.take_untrusted(time_s, fragment)
        if done is not None and fragment.identification == 0:
            assert done.is_whole
            assert done.beginning == whole[: len(done.beginning)]
    assert all(not assembly.is_whole for assembly in reassembler.incomplete())


def _fragments(reading: Reading, whole: bytes) -> Iterator[tuple[Fragment, float]]:
    while reading:
        choice, start, size = reading.byte(), reading.byte() * 8, reading.byte()
        number = choice & 3
        content = whole[start : start + size] if number == 0 else reading.take(size)
        is_last = start + size >= len(whole) if number == 0 else bool(choice & 4)
        yield Fragment(17, "a", "b", number, start, is_last, content), (choice >> 4) * 1.0


def statistics(data: bytes) -> None:
    """A client's own statistics, any bytes in its file, and any JSON object in its output."""
    with contextlib.suppress(msgspec.DecodeError):
        assert parse_published(data).datagrams is not None
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(values, dict):
        return
    try:
        reported = parse_statistics_untrusted(values)
    except EvidenceError:
        return
    assert isinstance(reported.claims().datagrams, int | None)
    with contextlib.suppress(EvidenceError):
        assert len(parse_record_untrusted([values])) == 3
