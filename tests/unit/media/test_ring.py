"""The ring: numbering, joining, wrapping."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.media import rtp
from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import DATAGRAM_BYTES, Ring, slots_of, strip_headers

SSRC = 0xF1AE


def payload(index: int) -> bytes:
    return index.to_bytes(4, "big") * (PAYLOAD_BYTES // 4)


def filled(count: int, *, keyframes: set[int], slots: int = 64, first_sequence: int = 65_530) -> Ring:
    ring = Ring(ssrc=SSRC, first_sequence=first_sequence, slots=slots)
    for index in range(count):
        ring.extend([Datagram(payload(index), index / 100, index in keyframes)])
    return ring


def split(run: memoryview) -> list[rtp.RtpPacket]:
    return [rtp.parse_untrusted(run[at : at + DATAGRAM_BYTES]) for at in range(0, len(run), DATAGRAM_BYTES)]


def test_datagrams_are_numbered_across_the_16_bit_wrap_and_stamped_at_90_khz():
    packets = split(filled(10, keyframes={0}).run(0, 10))
    assert [packet.sequence for packet in packets] == [65530, 65531, 65532, 65533, 65534, 65535, 0, 1, 2, 3]
    assert [packet.timestamp for packet in packets] == [900 * index for index in range(10)]
    assert {packet.ssrc for packet in packets} == {SSRC}
    assert [bytes(packet.payload) for packet in packets] == [payload(index) for index in range(10)]


def test_a_newcomer_begins_at_the_latest_keyframe():
    assert filled(30, keyframes={0, 12, 24}).start_after(None) == 24


def test_an_interrupted_client_continues_within_the_group_of_pictures_and_later_at_the_keyframe():
    ring = filled(30, keyframes={0, 12, 24})
    assert ring.start_after(26) == 27
    assert ring.start_after(29) == 30
    assert ring.start_after(23) == 24
    assert ring.start_after(13) == 24


def test_without_a_keyframe_in_reach_a_newcomer_begins_at_the_live_edge():
    assert Ring(ssrc=1, first_sequence=0).start_after(None) == 0
    assert filled(30, keyframes=set()).start_after(None) == 30
    assert filled(100, keyframes={0}, slots=64).start_after(None) == 100
    forgotten = filled(30, keyframes={24})
    forgotten.forget()
    assert forgotten.start_after(None) == 30


def test_how_long_no_keyframe_came_is_known_where_a_client_would_wait_for_one():
    assert filled(400, keyframes=set(), slots=1024).without_keyframe_s(None) == pytest.approx(3.99)
    assert filled(1000, keyframes={0}, slots=512).without_keyframe_s(None) == pytest.approx(4.47), "as far as stored"
    assert filled(400, keyframes=set(), slots=1024).without_keyframe_s(150) == pytest.approx(3.99)
    reaching = Ring(ssrc=SSRC, first_sequence=0, slots=1024, reach_s=3.0)
    for index in range(400):
        reaching.extend([Datagram(payload(index), index / 100, random_access=index == 0)])
    assert reaching.without_keyframe_s(None) == pytest.approx(3.0)


def test_no_client_waits_for_a_keyframe_that_is_at_hand_or_goes_on_or_begins_with_the_stream():
    assert Ring(ssrc=SSRC, first_sequence=0).without_keyframe_s(None) is None
    assert filled(400, keyframes={0, 350}, slots=1024).without_keyframe_s(None) is None
    assert filled(400, keyframes=set(), slots=1024).without_keyframe_s(399) is None
    assert filled(150, keyframes=set(), slots=1024).without_keyframe_s(None) is None
    stopped = filled(400, keyframes={0}, slots=1024)
    stopped.forget()
    assert stopped.without_keyframe_s(None) is None
    stopped.extend([Datagram(payload(400), 4.0, random_access=False)])
    assert stopped.without_keyframe_s(None) is None, "a stream that has just begun"


def test_no_client_begins_further_in_the_past_than_the_reach():
    ring = Ring(ssrc=SSRC, first_sequence=0, slots=256, reach_s=1.0)
    for index in range(102):
        ring.extend([Datagram(payload(index), index / 100, index == 0)])
        assert ring.start_after(None) == (0 if index <= 100 else index + 1)
    assert slots_of(21) * DATAGRAM_BYTES <= 21 << 20


@given(count=st.integers(1, 300), last=st.none() | st.integers(0, 299), every=st.integers(1, 50))
def test_no_index_is_sent_twice_and_a_client_begins_at_a_stored_one(count, last, every):
    ring = filled(count, keyframes=set(range(0, count, every)))
    last = None if last is None else min(last, count - 1)
    start = ring.start_after(last)
    assert last is None or start > last
    assert ring.oldest_index() <= start <= ring.next_index


@given(count=st.integers(1, 200), start=st.integers(0, 199), length=st.integers(1, 64))
def test_runs_put_together_give_every_datagram_once(count, start, length):
    ring = filled(count, keyframes={0})
    start = max(ring.oldest_index(), min(start, count - 1))
    stop = min(count, start + length)
    at, seen = start, []
    while at < stop:
        run = ring.run(at, stop)
        seen += [bytes(packet.payload) for packet in split(run)]
        assert strip_headers(run) == b"".join(seen[-(len(run) // DATAGRAM_BYTES) :])
        at += len(run) // DATAGRAM_BYTES
    assert seen == [payload(index) for index in range(start, stop)]


def test_a_run_cannot_be_written_to_and_a_short_datagram_is_refused():
    ring = filled(3, keyframes={0})
    assert ring.run(0, 3).readonly
    with pytest.raises(ValueError, match="1316"):
        ring.extend([Datagram(b"short", 0.0, False)])
