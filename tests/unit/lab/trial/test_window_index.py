"""Which window a datagram belongs to: by endpoint and transport, by time, and over TCP by position."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.lab.evidence.facts import Endpoint, MediaDatagram
from flume.lab.trial.window_index import WindowIndex
from flume.lab.trial.windows import ActiveWindow, PathSwitch

CONTROL, MEDIA, OTHER = ("h", 40000), ("h", 50000), ("h", 50001)


def window(
    opened_s: float,
    closed_s: float,
    *,
    media: Endpoint = MEDIA,
    grace_s: float = 0.0,
    at: tuple[int, int] | None = None,
) -> ActiveWindow:
    """An active window; over TCP *at* the positions of the messages that open and close it."""
    opened_at, closed_at = (None, None) if at is None else at
    return ActiveWindow(
        CONTROL,
        media,
        opened_s,
        closed_s,
        grace_s,
        "connect",
        "interrupt",
        opened_at=opened_at,
        closed_at=closed_at,
    )


def datagram(time_s: float, to: Endpoint = MEDIA, offset: int | None = None) -> MediaDatagram:
    return MediaDatagram(time_s, ("s", 5004), to, b"", 1, 1, 1328, 0, offset)


@pytest.mark.parametrize(
    ("time_s", "position"),
    [(0.9, None), (1.0, 0), (2.0, 0), (2.1, None), (3.0, 1), (4.5, 1), (4.6, None), (math.inf, None)],
)
def test_over_udp_the_time_decides_both_ends_included(time_s: float, position: int | None):
    index = WindowIndex([window(1.0, 2.0), window(3.0, 4.0, grace_s=0.5)])
    assert index.find(datagram(time_s)) == position


@pytest.mark.parametrize(("time_s", "latest"), [(0.5, None), (1.5, 0), (2.5, 0), (9.0, 1)])
def test_the_latest_window_is_named_after_its_end_too(time_s: float, latest: int | None):
    assert WindowIndex([window(1.0, 2.0), window(3.0, 4.0)]).latest(datagram(time_s)) == latest


def test_another_port_is_another_path():
    index = WindowIndex([window(1.0, 2.0)])
    assert index.find(datagram(1.5, OTHER)) is None
    assert index.latest(datagram(1.5, OTHER)) is None


def test_a_window_over_tcp_does_not_excuse_datagrams_nor_the_other_way_round():
    over_tcp = WindowIndex([window(1.0, 2.0, media=CONTROL, at=(0, 900))])
    assert over_tcp.find(datagram(1.5, CONTROL, offset=100)) == 0
    assert over_tcp.find(datagram(1.5, CONTROL)) is None
    assert WindowIndex([window(1.0, 2.0)]).find(datagram(1.5, offset=100)) is None


def test_after_a_switch_only_the_new_endpoint_is_allowed():
    index = WindowIndex([window(1.0, 4.0)._replace(switches=(PathSwitch(2.0, OTHER), PathSwitch(3.0, MEDIA)))])
    allowed = [
        (time_s, to) for time_s in (1.5, 2.5, 3.5) for to in (MEDIA, OTHER) if index.find(datagram(time_s, to)) == 0
    ]
    assert allowed == [(1.5, MEDIA), (2.5, OTHER), (3.5, MEDIA)]
    assert index.find(datagram(2.0, MEDIA)) is None, "the datagram that switches is the first of the new endpoint"


@pytest.mark.parametrize(("offset", "position"), [(50, None), (150, 0), (250, None), (350, 1), (450, None)], ids=str)
def test_within_one_segment_the_position_decides(offset: int, position: int | None):
    windows = [window(1.0, 1.0, media=CONTROL, at=(100, 200)), window(1.0, 1.0, media=CONTROL, at=(300, 400))]
    assert WindowIndex(windows).find(datagram(1.0, CONTROL, offset)) == position


def test_a_frame_between_two_windows_of_one_segment_follows_the_first():
    windows = [window(1.0, 1.0, media=CONTROL, at=(100, 200)), window(1.0, 1.0, media=CONTROL, at=(300, 400))]
    assert WindowIndex(windows).latest(datagram(1.0, CONTROL, 250)) == 0


def test_without_windows_nothing_is_found():
    assert WindowIndex([]).find(datagram(1.0)) is None


GRID = st.integers(0, 12)
ENDPOINTS = st.sampled_from([MEDIA, OTHER])


@st.composite
def disjoint_windows(draw: st.DrawFn) -> list[ActiveWindow]:
    """Windows of one host over UDP, one after the other, each with some switches."""
    edges = sorted(draw(st.sets(GRID, min_size=2)))
    found = []
    for opened_s, closed_s in zip(edges[::2], edges[1::2], strict=False):
        times = draw(st.sets(st.integers(opened_s, closed_s), max_size=2)) - {opened_s}
        switches = tuple(PathSwitch(float(time_s), draw(ENDPOINTS)) for time_s in sorted(times))
        found.append(window(opened_s, closed_s, media=draw(ENDPOINTS))._replace(switches=switches))
    return found


@given(disjoint_windows(), st.integers(0, 48).map(lambda quarter: quarter / 4), ENDPOINTS)
def test_it_finds_what_a_look_at_every_window_finds(windows: list[ActiveWindow], time_s: float, to: Endpoint):
    allowing = [
        position
        for position, one in enumerate(windows)
        for span in one.spans
        if span.media == to and span.from_s <= time_s < span.before_s and time_s <= one.closed_s
    ]
    assert WindowIndex(windows).find(datagram(time_s, to)) == (allowing[0] if allowing else None)
