"""How a client fares at present, from its log."""

import json
from collections.abc import Mapping

import pytest

from flume.lab.commands.present import Present, events_of, present


def statistics(time_s: float, **more: object) -> Mapping[str, object]:
    return {"event": "statistics", "state": "active", "time_s": time_s, "datagrams": 0, "bytes": 0, **more}


def frames(*shown_s: float) -> Mapping[str, object]:
    return {"event": "frames", "shown": [[time_s, None] for time_s in shown_s]}


def figures(events: list) -> Present:
    found = present(events)
    assert found is not None
    return found


def steady(from_s: float, to_s: float) -> list[float]:
    return [from_s + 0.04 * number for number in range(round((to_s - from_s) / 0.04) + 1)]


def test_lines_that_are_no_events_are_left_out():
    log = "\n".join([json.dumps({"event": "state"}), "not an event", "[1]", "", json.dumps(statistics(1))])
    assert [event["event"] for event in events_of(log)] == ["state", "statistics"]


@pytest.mark.parametrize("events", [[], [{"event": "state"}], [{"event": "statistics", "state": 7}]])
def test_a_client_without_statistics_has_no_figures(events):
    assert present(events) is None


def test_the_rate_is_that_between_the_two_latest_and_not_of_a_command_s_own_statistics():
    said = [statistics(1, bytes=0), statistics(2, bytes=250_000), statistics(2.01, bytes=251_000)]
    assert figures(said).rate_kbit == 2000
    assert figures([statistics(1), {**statistics(2), "bytes": None}]).rate_kbit is None
    assert figures([statistics(1)]).rate_kbit is None


def test_what_the_kernel_dropped_here_is_not_lost_before():
    said = figures([statistics(1, lost=9, dropped_by_receiver=4, late=2)])
    assert (said.lost_before, said.statistics.dropped_by_receiver, said.statistics.late) == (5, 4, 2)


def test_a_picture_that_stands_still_is_a_freeze_and_a_pause_is_none():
    before, after = steady(0, 2), steady(2.5, 4)
    said = [statistics(0), frames(*before), statistics(2), frames(*after), statistics(4)]
    (freeze,) = figures(said).freezes or ()
    assert freeze.duration_s == pytest.approx(0.5)
    paused = [frames(*before), statistics(2, state="interrupted"), frames(*after), statistics(4)]
    assert figures(paused).freezes == ()


def test_a_picture_that_stands_still_until_now_is_a_freeze_already():
    (freeze,) = figures([frames(*steady(0, 2)), statistics(5)]).freezes or ()
    assert freeze.duration_s == pytest.approx(3)


def test_a_client_without_a_record_of_its_frames_has_no_count_of_freezes():
    assert figures([statistics(1)]).freezes is None
    assert figures([statistics(1), frames()]).freezes == ()
