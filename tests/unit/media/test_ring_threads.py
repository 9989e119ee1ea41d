"""The ring is read by one thread while another fills it: :meth:`Ring.copy` always returns whole datagrams."""

import sys
import threading
from collections.abc import Iterator
from random import Random

import pytest

from flume.media import rtp
from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import DATAGRAM_BYTES, Ring

SLOTS = 64
DATAGRAMS = 60_000


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Make the interpreter switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def payload(index: int) -> bytes:
    return index.to_bytes(4, "big") * (PAYLOAD_BYTES // 4)


def indices(ring: Ring, copied: bytes) -> list[int]:
    """Return the number of each datagram; assert that its header and every word of its payload agree on it."""
    found = []
    for at in range(0, len(copied), DATAGRAM_BYTES):
        packet = rtp.parse_untrusted(copied[at : at + DATAGRAM_BYTES])
        index = int.from_bytes(packet.payload[:4], "big")
        assert bytes(packet.payload) == payload(index)
        assert packet.timestamp == index * 900
        sequence = ring.sequence(index)
        assert packet.sequence == sequence or index < ring.oldest_index(), "the number of a stored datagram"
        found.append(index)
    return found


@pytest.mark.parametrize(
    ("slots", "reach_s", "back"), [(SLOTS, 20.0, SLOTS), (1 << 20, 4.0, 2048)], ids=["memory is short", "time is over"]
)
def test_a_reader_in_another_thread_never_gets_half_a_datagram_or_a_later_one(
    slots: int, reach_s: float, back: int, eager_switches: None
):
    ring = Ring(ssrc=1, first_sequence=65_000, slots=slots, reach_s=reach_s)
    random = Random(20261123)

    def fill() -> None:
        for index in range(DATAGRAMS):
            ring.extend([Datagram(payload(index), index / 100, index % 50 == 0, passed_over=index % 3)])

    writer = threading.Thread(target=fill)
    writer.start()
    whole = overtaken = 0
    while writer.is_alive():
        edge = ring.next_index
        start = max(0, edge - random.randint(1, back))
        stop = min(edge, start + random.randint(1, 16))
        copied = ring.copy(start, stop) if stop > start else None
        if copied is None:
            overtaken += 1
            continue
        found = indices(ring, copied)
        assert found == list(range(start, start + len(found)))
        whole += 1
        join = ring.join_after(start)
        assert join is None or join > start
    writer.join()
    assert whole > 1000
    assert overtaken > 0, "no copy was ever overwritten: this proves nothing"


def test_the_slot_that_is_being_written_is_not_handed_out():
    ring = Ring(ssrc=1, first_sequence=0, slots=SLOTS)
    for index in range(SLOTS + 10):
        ring.extend([Datagram(payload(index), 0.0, False)])
    assert ring.oldest_index() == 12
    assert ring.copy(11, 12) is None, "number 75 may be being written into the slot of number 11"
    copied = ring.copy(12, 13)
    assert copied is not None
    assert int.from_bytes(copied[12:16], "big") == 12


def test_how_far_behind_an_index_is_in_seconds_across_the_wrap_of_timestamps():
    ring = Ring(ssrc=1, first_sequence=0, timestamp_offset=(1 << 32) - 45_000)
    for index in range(301):
        ring.extend([Datagram(payload(index), index / 100, index in {0, 200})])
    assert ring.behind_s(100) == pytest.approx(2.0)
    assert ring.behind_s(300) == 0.0
    assert (ring.join_after(100), ring.join_after(200), ring.join_after(250)) == (200, None, None)
