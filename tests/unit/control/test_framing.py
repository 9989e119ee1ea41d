"""Frames between lines: they survive any cutting, and what is neither is still called what it is."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.capture.reassembly import SegmentStream
from flume.control.framing import MAX_FRAME_BYTES, Demultiplexer, Frame, Item, frame_header
from flume.errors import RemoteProtocolError
from flume.lab.evidence.json_lines import UnitSplitter
from flume.settings import MAX_LINE_BYTES

LINES = st.builds(lambda text: b'{"x":"' + text.encode().replace(b"\n", b" ") + b'"}', st.text(max_size=60))
FRAMES = st.binary(min_size=1, max_size=MAX_FRAME_BYTES).map(Frame)


def on_the_wire(items: list[Item]) -> bytes:
    parts: list[bytes] = []
    for item in items:
        assert not isinstance(item, RemoteProtocolError)
        parts.append(frame_header(len(item.packet)) + item.packet if isinstance(item, Frame) else item + b"\n")
    return b"".join(parts)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(LINES | FRAMES, max_size=12), st.lists(st.integers(0, 1 << 16), max_size=40))
def test_lines_and_frames_come_out_as_they_went_in_however_they_were_cut(items: list[Item], places: list[int]):
    stream = Demultiplexer()
    assert [item for piece in cut(on_the_wire(items), places) for item in stream.feed_untrusted(piece)] == items


@given(st.lists(LINES | FRAMES, max_size=12), st.lists(st.integers(0, 1 << 16), max_size=40), st.randoms())
def test_the_judge_reads_the_same_from_segments_in_any_order(items: list[Item], places: list[int], random):
    data = on_the_wire(items)
    segments, at = [], 1000
    for piece in cut(data, places):
        segments.append((at, piece))
        at += len(piece)
    random.shuffle(segments)
    stream, splitter = SegmentStream(), UnitSplitter()
    stream.begin(999)
    pieces = [stream.feed_untrusted(sequence, piece) for sequence, piece in segments]
    assert stream.has_begin
    units = [unit for piece in pieces for unit in splitter.feed_untrusted(piece, has_begin=True)]
    assert [Frame(unit.data) if unit.is_frame else unit.data.rstrip(b"\n") for unit in units] == items
    offsets = [unit.offset for unit in units]
    assert offsets == sorted(set(offsets))
    assert stream.missing_bytes == 0


@given(st.lists(st.binary(max_size=5000), max_size=8))
def test_any_bytes_raise_nothing_and_no_memory_grows(pieces: list[bytes]):
    stream = Demultiplexer()
    for piece in pieces:
        for item in stream.feed_untrusted(piece):
            assert isinstance(item, bytes | Frame | RemoteProtocolError)
            assert not isinstance(item, bytes) or len(item) < MAX_LINE_BYTES
    assert len(stream._frame) <= MAX_FRAME_BYTES + 2
    assert stream._lines.pending_bytes < MAX_LINE_BYTES


@pytest.mark.parametrize("other", [b"HTTP/1.1 400 Bad Request", b"SSH-2.0-OpenSSH_9.2", b"\x15\x03\x01\x00\x02\x02\n"])
def test_what_else_speaks_on_the_port_is_a_line(other: bytes):
    assert Demultiplexer().feed_untrusted(other.rstrip(b"\n") + b"\n") == [other.rstrip(b"\n")]


def test_empty_frames_and_blank_lines_mean_nothing():
    assert Demultiplexer().feed_untrusted(b"\0\0\n\r\n\0\1a\0\0{}\n") == [Frame(b"a"), b"{}"]


@pytest.mark.parametrize("length", [0, MAX_FRAME_BYTES + 1])
def test_what_no_frame_can_carry_is_refused(length: int):
    with pytest.raises(ValueError, match="a frame carries 1 to"):
        frame_header(length)
