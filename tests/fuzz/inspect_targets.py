"""What ``flume inspect`` is given: datagrams of any kind between any ends, in any order."""

import struct

from flume.inspect.stream_table import Datagram, StreamTable
from fuzz.reading import Reading

TS = b"\x47\x01\x00\x10" + bytes(184)
SERVER, CLIENT = ("198.18.0.2", 5004), "198.18.0.11"


def inspected(data: bytes) -> None:
    """Datagrams of RTP, of raw TS, batches of both, and anything: each is in one stream or counted as another."""
    reading = Reading(data)
    table, time_s, given = StreamTable(), 0.0, 0
    while reading:
        choice = reading.byte()
        time_s += (choice >> 5) * 0.01
        destination = CLIENT, choice >> 3 & 3
        table.add_untrusted(Datagram(given + 1, time_s, SERVER, destination, _datagram(reading, choice & 7)))
        given += 1
    streams = table.streams()
    measured = sum(each.arrival.datagrams for each in streams if each.arrival is not None)
    strays = sum(each.rtp.strays for each in streams if each.rtp is not None)
    assert measured + strays + sum(table.all_others().values()) >= given
    for stream in streams:
        if stream.rtp is not None:
            assert 0 <= stream.rtp.lost == stream.rtp.expected - stream.rtp.received


def _datagram(reading: Reading, kind: int) -> bytes:
    """Return a datagram: anything; raw TS; RTP with TS, one or a batch; other RTP, with or without an extension."""
    if kind == 0:
        return reading.block()
    if kind == 1:
        return TS * (reading.byte() % 8) + reading.block()
    first, payload_type = (0x80, 33) if kind < 5 else (0x80 | reading.byte() & 0x3F, 96)
    header = struct.pack("!BBHII", first, payload_type, reading.word(), reading.word(), reading.byte() & 1)
    body = TS * 7 if kind < 5 else reading.block()
    return (header + body) * (1 + (kind == 4)) + (reading.block() if kind == 3 else b"")
