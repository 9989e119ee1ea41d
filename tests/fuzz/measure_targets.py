"""Measures of streams: what a file, a capture or a live stream gives to them."""

from flume.measures.ts import StreamFigures, TransportStream, examine_untrusted
from flume.measures.ts.tables import MAX_SECTION_BYTES
from fuzz.packets import packets_of
from fuzz.reading import Reading, pieces


def stream_file(data: bytes) -> None:
    """A file that may be a transport stream, in any pieces: the same figures."""
    reading = Reading(data)
    size, stream = reading.byte(), reading.rest()
    figures = examine_untrusted([stream])
    again = examine_untrusted(pieces(stream, size))
    assert (again.packets, again.counts) == (figures.packets, figures.counts)
    _check(figures)


def stream_packets(data: bytes) -> None:
    """Packets that arrive in datagrams, with interruptions."""
    reading, analysis = Reading(data), TransportStream()
    options = reading.byte()
    for number, packet in enumerate(packets_of(reading)):
        if packet[1] & 0x80 and packet[2] & 2:
            analysis.interrupt()
        analysis.add_untrusted(packet, number * options / 1000 if options & 1 else None)
        for collector in analysis._programs.collectors.values():
            assert len(collector._data) < MAX_SECTION_BYTES
    _check(analysis.result())


def _check(figures: StreamFigures) -> None:
    assert len(figures.findings) <= 100 + 5 * len(figures.counts)
    assert sum(figures.counts.values()) >= len(figures.findings)
    assert sum(row.packets for row in figures.pids) <= figures.packets
    assert all(0 <= finding.packet <= figures.packets for finding in figures.findings)
