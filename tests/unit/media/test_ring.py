"""The ring: numbering, joining, wrapping."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.media import rtp
from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import DATAGRAM_BYTES, DEFAULT_SLOTS, Ring, slots_of, strip_headers

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
    packets = split(filled(10, keyframes={0}, slots=256).run(0, 10))
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


def fill_at(ring: Ring, rate: int, seconds: float, *, begin_s: float = 0.0, group_s: float = 1000.0) -> None:
    """Append datagrams; after each *group_s* seconds of them comes a keyframe."""
    group = round(rate * group_s)
    for number in range(round(rate * seconds)):
        ring.extend([Datagram(payload(number), begin_s + number / rate, number % group == group - 1)])


def memory_of(ring: Ring) -> int:
    return sum(block.nbytes for block in ring._blocks.values())


@pytest.mark.parametrize(
    ("rate", "group_s", "kept_s", "most_mib"),
    [(10, 0.1, 10, 3), (400, 1, 10, 8), (400, 15, 20, 15), (400, 1000, 20, 15), (2000, 1000, 20, 21)],
    ids=["a radio station", "the test card", "long groups", "no keyframe", "more than there is memory for"],
)
def test_the_memory_follows_the_stream(rate: int, group_s: float, kept_s: float, most_mib: int):
    ring = Ring(ssrc=SSRC, first_sequence=0, reach_s=20.0)
    fill_at(ring, rate, 120, group_s=group_s)
    assert memory_of(ring) <= most_mib << 20
    full = ring.next_index - DEFAULT_SLOTS + DEFAULT_SLOTS // 8
    assert ring.holds(max(full, ring.next_index - round(kept_s * rate)))


@pytest.mark.parametrize("group_s", [0.5, 4, 9, 15, 19])
def test_a_client_that_catches_up_at_twice_the_rate_finds_all_that_it_lacks(group_s: float):
    rate = 100
    ring = Ring(ssrc=SSRC, first_sequence=0, slots=1 << 16, reach_s=20.0)
    groups_s = 5 * group_s
    fill_at(ring, rate, groups_s, group_s=group_s)
    before = round(group_s * rate) - 1  # a moment before the next keyframe
    fill_at(ring, rate, before / rate, begin_s=groups_s)
    cursor = ring.start_after(None)
    assert ring.next_index - cursor >= before
    for number in range(round(20 * rate)):
        ring.extend([Datagram(payload(number), groups_s + (before + number) / rate, number % (before + 1) == 0)])
        assert ring.oldest_index() <= cursor
        cursor = min(cursor + 2, ring.next_index)
    assert cursor == ring.next_index


def test_memory_is_given_back_when_the_rate_falls_and_taken_again_when_it_rises():
    ring = Ring(ssrc=SSRC, first_sequence=0, reach_s=2.0)
    fill_at(ring, 6000, 3)
    large = memory_of(ring)
    fill_at(ring, 100, 30, begin_s=3)
    assert memory_of(ring) < large / 5
    fill_at(ring, 6000, 3, begin_s=33)
    assert memory_of(ring) == large
    assert ring.holds(ring.next_index - 12_000)


@given(rates=st.lists(st.sampled_from([5, 50, 200, 1000, 4000]), min_size=1, max_size=8))
def test_what_is_in_reach_is_stored_at_any_rate_while_there_is_memory(rates: list[int]):
    ring, slots = Ring(ssrc=SSRC, first_sequence=0, slots=4096, reach_s=0.5), 4096
    due = []
    for number, rate in enumerate(rates):
        for place in range(rate // 4):
            due.append(number / 4 + place / rate)
            ring.extend([Datagram(payload(len(due) - 1), due[-1], random_access=False)])
            oldest = ring.oldest_index()
            assert oldest == 0 or due[-1] - due[oldest - 1] > 0.5 or len(due) - oldest > slots - slots // 8
    assert bytes(ring.run(len(due) - 1, len(due))[12:]) == payload(len(due) - 1)


def test_what_is_stored_no_longer_is_infinitely_far_behind_and_no_client_begins_there():
    ring = filled(200, keyframes={0}, slots=64)
    assert ring.behind_s(0) == float("inf")
    assert ring.join_after(-1) is None
    assert ring.copy(0, 4) is None
    with pytest.raises(KeyError):
        ring.run(0, 4)


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


@pytest.mark.parametrize("packets", [1, 6, 7])
def test_datagrams_of_another_size_lie_side_by_side(packets: int):
    size = 188 * packets
    ring = Ring(ssrc=7, first_sequence=65_530, slots=64, packets_per_datagram=packets)
    ring.extend(Datagram(bytes([index]) * size, index / 100, index == 0) for index in range(40))
    run = ring.run(0, 4)
    assert len(run) == 4 * ring.datagram_bytes == 4 * (12 + size)
    assert strip_headers(run, ring.datagram_bytes) == b"".join(bytes([index]) * size for index in range(4))
    seen = [rtp.parse_untrusted(ring.run(index, index + 1)) for index in range(40)]
    assert [packet.sequence for packet in seen] == [(65_530 + index) % 65_536 for index in range(40)]
    assert all(bytes(packet.payload) == bytes([index]) * size for index, packet in enumerate(seen))
    assert ring.behind_s(0) == pytest.approx(0.39)
    with pytest.raises(ValueError, match=f"carries {size} bytes, not {size + 188}"):
        ring.extend([Datagram(bytes(size + 188), 1.0, False)])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=300))
def test_every_stored_datagram_has_the_number_in_its_header_and_holes_of_the_past_are_forgotten(holes: list[int]):
    ring = Ring(ssrc=SSRC, first_sequence=65_000, slots=64)
    sequence = 65_000
    for index, passed_over in enumerate(holes):
        ring.extend([Datagram(payload(index), index / 100, False, passed_over=passed_over)])
        sequence += passed_over
        assert ring.sequence(index) == (sequence + index) % 65_536
    oldest = ring.oldest_index()
    for index in range(oldest, len(holes)):
        assert [one.sequence for one in split(ring.run(index, index + 1))] == [ring.sequence(index)]
    indices, starts = ring._starts
    assert len(indices) == len(starts) <= 1 + sum(bool(each) for each in holes[oldest:])


def test_a_hole_before_each_datagram_costs_no_look_at_those_before() -> None:
    ring = Ring(ssrc=SSRC, first_sequence=0, slots=1 << 14)
    kept = ring._starts
    for index in range(1000):
        ring.extend([Datagram(b"\0" * PAYLOAD_BYTES, index / 1000, False, passed_over=1)])
    assert ring._starts is kept, "what is known of earlier holes was copied"
