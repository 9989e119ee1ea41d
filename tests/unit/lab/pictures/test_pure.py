"""Order, lateness, frames and figures, without ffmpeg."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.lab.pictures.figures import Seen, figures, quality
from flume.lab.pictures.frames import FrameReader, SentFrame, pts_untrusted
from flume.lab.pictures.order import Numbered, follows, in_order, in_time
from flume.lab.pictures.scoring import Scores
from support.captures.pcap import VIDEO_PID, pat, pmt, ts


def pes(pts: int) -> bytes:
    """A transport packet in which a PES packet of video with *pts* begins."""
    stamp = [0x21 | pts >> 29 & 0x0E, pts >> 22 & 0xFF, 1 | pts >> 14 & 0xFE, pts >> 7 & 0xFF, 1 | pts << 1 & 0xFE]
    return ts(VIDEO_PID, bytes([0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5, *stamp]), unit_start=True)


@given(st.integers(0, 65535), st.integers(0, (1 << 32) - 1), st.integers(1, 8), st.randoms(use_true_random=False))
def test_the_order_survives_shuffling_and_both_wraps(sequence: int, stamp: int, batch: int, rng: random.Random) -> None:
    stream = [
        Numbered(str(n).encode(), (sequence + n) % 65536, (stamp + n // batch * 900) % (1 << 32)) for n in range(200)
    ]
    shuffled = rng.sample(stream, len(stream))
    assert in_order(shuffled) == stream
    assert all(follows(later, earlier) for earlier, later in pairwise(stream))


def test_a_pause_longer_than_the_numbers_keeps_the_order() -> None:
    before, after = Numbered(b"a", 100, 0), Numbered(b"b", 40, 90_000 * 600)
    assert in_order([after, before]) == [before, after]
    assert not follows(after, before)


def test_plain_transport_packets_keep_their_order() -> None:
    plain = [Numbered(b"b", None, None), Numbered(b"a", None, None)]
    assert in_order(plain) == plain
    assert follows(plain[1], plain[0])


@given(st.lists(st.floats(0, 5), min_size=1, max_size=50), st.integers(0, 3))
def test_a_jitter_buffer_that_waits_long_enough_takes_everything(times_s: list[float], first: int) -> None:
    arrivals = sorted(((place + first, time_s) for place, time_s in enumerate(times_s)), key=lambda pair: pair[1])
    assert all(in_time(arrivals, first=first, wait_s=5.1))


@pytest.mark.parametrize(("behind_s", "taken"), [(0.059, True), (0.061, False)])
def test_a_jitter_buffer_waits_its_time_from_the_first_that_waits(behind_s: float, taken: bool) -> None:
    arrivals = [(0, 0.0), (2, 0.01), (3, 0.05), (1, 0.01 + behind_s), (4, 0.2)]
    assert in_time(arrivals, first=0, wait_s=0.06) == [True, True, True, taken, True]


@given(st.integers(0, (1 << 33) - 1))
def test_a_pts_is_read_back(pts: int) -> None:
    assert pts_untrusted(pes(pts)) == pts


@given(st.binary(min_size=188, max_size=188), st.lists(st.binary(max_size=600)), st.booleans())
def test_any_bytes_are_read_without_an_error(packet: bytes, datagrams: list[bytes], gap: bool) -> None:
    pts_untrusted(packet)
    reader = FrameReader()
    list(reader.feed_untrusted(0, pat() + pmt() + packet, gap=gap))
    for place, datagram in enumerate(datagrams):
        list(reader.feed_untrusted(place + 1, datagram, gap=gap))


def test_a_frame_lies_where_its_packets_do_and_ends_where_the_next_begins() -> None:
    reader = FrameReader()
    assert list(reader.feed_untrusted(0, pat() + pmt() + pes(100), gap=False)) == []
    assert list(reader.feed_untrusted(1, ts(0x100), gap=False)) == []  # of another PID
    assert list(reader.feed_untrusted(2, ts(VIDEO_PID) + pes(200), gap=False)) == [SentFrame(100, (0, 2))]
    assert list(reader.feed_untrusted(3, ts(VIDEO_PID) + pes(300), gap=True)) == []  # what began in 2 is not known
    assert list(reader.feed_untrusted(4, pes(400), gap=False)) == [SentFrame(300, (3, 4))]
    assert reader.pid == VIDEO_PID


def test_what_is_not_decodable_is_part_of_no_mean() -> None:
    good, bad = Scores(100.0, 1.0, 100.0, 100.0), Scores(50.0, 0.5, 20.0, 10.0)
    found = figures(
        [
            Seen(0.0, good, is_identical=True, counters=(1, 1)),
            Seen(0.04, bad, counters=(2, 1)),
            Seen(0.08, None, counters=(3, None)),
        ]
    )
    assert (found.compared, found.identical, found.not_decodable) == (2, 1, 1)
    assert (found.counters_read, found.counters_differ) == (2, 1)
    assert found.vmaf is not None
    assert found.vmaf.mean == 75.0
    assert quality([], 2) is None
    assert quality([1.0, None], 2) is None
