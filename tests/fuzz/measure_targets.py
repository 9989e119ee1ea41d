"""Measures of streams: what a file, a capture or a live stream gives to them."""

from flume.lab.evidence.datagrams import packets_untrusted
from flume.lab.pictures.frames import PTS_MODULUS, FrameReader
from flume.lab.report.embedded import Album
from flume.measures.ts import StreamFigures, TransportStream, examine_untrusted
from flume.measures.ts.tables import MAX_SECTION_BYTES
from fuzz.packets import packets_of
from fuzz.reading import Reading, pieces
from support.paths import ROOT

CARDS = ROOT / "docs"
"""A folder of files, of which none is a picture that a page may embed."""


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


def sent_frames(data: bytes) -> None:
    """Datagrams of a capture, from which the frames are read whose pictures are compared."""
    reading, reader = Reading(data), FrameReader()
    for number, packet in enumerate(packets_of(reading)):
        gap = bool(packet[1] & 0x80 and packet[2] & 1)
        for frame in reader.feed_untrusted(number, packets_untrusted(bytes(packet)), gap=gap):
            assert 0 <= frame.pts < PTS_MODULUS
            assert list(frame.places) == sorted(set(frame.places))
            assert frame.places[-1] <= number


def picture_name(data: bytes) -> None:
    """The name of a picture in a report, which may be anything: no file outside the report's folder is shown."""
    name = data.decode("utf-8", "surrogateescape")
    picture = Album(CARDS).picture_untrusted(name)
    assert (picture.uri is None) != (picture.problem is None)
    if picture.uri is not None:
        assert (CARDS / name).resolve().is_relative_to(CARDS)


def _check(figures: StreamFigures) -> None:
    assert len(figures.findings) <= 100 + 5 * len(figures.counts)
    assert sum(figures.counts.values()) >= len(figures.findings)
    assert sum(row.packets for row in figures.pids) <= figures.packets
    assert all(0 <= finding.packet <= figures.packets for finding in figures.findings)
