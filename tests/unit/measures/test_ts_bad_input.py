"""Bytes that are no transport stream, or a damaged one: nothing is raised, and memory is bounded."""

import struct
import sys
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from flume.measures.ts import StreamFigures, TransportStream, examine_untrusted
from flume.measures.ts.clock import MAX_WAITING
from flume.measures.ts.programs import MAX_PROGRAMS, MAX_WATCHED
from support.media.constant_rate import Multiplex, pmt, with_section
from support.media.ts_stream import section

CLEAN = b"".join(Multiplex().packets(300))


def check(figures: StreamFigures) -> None:
    assert len(figures.findings) <= 100 + 5 * len(figures.counts)
    numbers = [row.packet for row in figures.findings]
    assert numbers == sorted(numbers)
    assert all(0 <= number <= figures.packets for number in numbers)
    assert all(count >= 0 for count in figures.counts.values())
    assert sum(figures.counts.values()) >= len(figures.findings)


@given(st.binary(max_size=2000))
def test_any_bytes(data: bytes) -> None:
    check(examine_untrusted([data]))
    analysis = TransportStream()
    analysis.add_untrusted(data, 0.0)
    analysis.add_untrusted(data, 0.1)
    analysis.interrupt()
    analysis.add_untrusted(memoryview(data), 0.2)
    check(analysis.result())


@given(st.lists(st.binary(min_size=187, max_size=187), max_size=30), st.booleans())
def test_any_packets(contents: list[bytes], live: bool) -> None:
    analysis = TransportStream()
    for number, content in enumerate(contents):
        analysis.add_untrusted(b"\x47" + content, number / 100 if live else None)
    check(analysis.result())


@given(st.lists(st.tuples(st.integers(0, len(CLEAN) - 1), st.integers(0, 255)), max_size=40), st.booleans())
def test_any_changes_of_a_stream(changes: list[tuple[int, int]], live: bool) -> None:
    data = bytearray(CLEAN)
    for at, value in changes:
        data[at] = value
    analysis = TransportStream()
    for at in range(0, len(data), 1316):
        analysis.add_untrusted(bytes(data[at : at + 1316 - 1316 % 188]), at / 1e5 if live else None)
    check(analysis.result())


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_any_sections(bodies: list[bytes]) -> None:
    analysis = TransportStream()
    analysis.add_untrusted(CLEAN, None)
    for number, body in enumerate(bodies):
        for pid in (0, 0x1000):
            table = section(0 if pid == 0 else 2, 1, body[:160], version=number)
            head = bytes([0x47, 0x40 | pid >> 8, pid & 255, 0x10])
            analysis.add_untrusted(with_section(head, table), None)
    check(analysis.result())


def hostile() -> Iterator[bytes]:
    """Packets that ask for as much memory as they can: ever new programs, PIDs, clocks, unfinished sections."""
    for number in range(1500):
        pid = number * 5 % 8000 + 20
        places = ((number * 30 + row & 0xFFFF | 1, 0xE000 | pid + row & 0x1FFF) for row in range(30))
        rows = b"".join(struct.pack(">HH", *place) for place in places)
        yield with_section(b"\x47\x40\0" + bytes([0x10 | number & 15]), section(0, 1, rows))
        yield with_section(bytes([0x47, 0x40 | pid >> 8, pid & 255, 0x10]), pmt(*((2, pid + row) for row in range(30))))
        yield bytes([0x47, 0x40 | pid >> 8, pid & 255, 0x10, 0, 2, 0xBF, 0xFF]).ljust(188, b"x")
        yield bytes([0x47, 0x40 | pid >> 8, pid & 255, 0x30, 7, 0x10]) + number.to_bytes(6, "big") + bytes(176)


def size_of(value: object, seen: set[int]) -> int:
    if id(value) in seen:
        return 0
    seen.add(id(value))
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(size_of(part, seen) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "deque":
        return size + sum(size_of(part, seen) for part in value)  # type: ignore[attr-defined,misc]
    if hasattr(value, "__dict__"):
        return size + size_of(vars(value), seen)
    return size


def test_memory_is_bounded_whatever_the_packets_ask_for() -> None:
    analysis = TransportStream()
    for packet in hostile():
        analysis.add_untrusted(packet, None)
    check(analysis.result())
    assert len(analysis._programs._programs) <= MAX_PROGRAMS
    assert len(analysis._programs.referenced) <= MAX_WATCHED
    assert len(analysis._clock._waiting) <= MAX_WAITING
    before = size_of(analysis, set())
    for packet in hostile():
        analysis.add_untrusted(packet, None)
    assert before < 4_000_000
    assert size_of(analysis, set()) < 4_000_000
