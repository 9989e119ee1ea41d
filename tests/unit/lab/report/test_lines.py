"""The states, columns, rows and figures that a page is made from."""

import itertools

import msgspec
import pytest

from flume.lab.report.columns import chart_data, columns_for, join
from flume.lab.report.figures import groups
from flume.lab.report.intervals import MOST_ROWS, intervals, step_s
from flume.lab.report.page import html
from flume.lab.report.states import ACTIVE, INTERRUPTED, NOT_CONNECTED, Band, bands
from flume.lab.trial.measures import Measures, WireFigures
from flume.lab.trial.verdict import CommandReport
from support.pages.sample import a_client, a_report, clients, streamed


def command(time_s: float, name: str, answer: str | None = "ok") -> CommandReport:
    return CommandReport(time_s=time_s, command=name, answer=answer, answer_ms=1.0)


@pytest.mark.parametrize(
    ("commands", "windows", "found"),
    [
        ([], [], [Band(0, 60, NOT_CONNECTED)]),
        (
            [command(1, "connect"), command(9, "interrupt"), command(20, "continue"), command(30, "disconnect")],
            [(2, 10), (20, 31)],
            [
                Band(0, 1, NOT_CONNECTED),
                Band(1, 2, INTERRUPTED),
                Band(2, 10, ACTIVE),
                Band(10, 20, INTERRUPTED),
                Band(20, 31, ACTIVE),
                Band(31, 60, NOT_CONNECTED),
            ],
        ),
        # No command ended the window: the connection did, or the consent ran out.
        ([command(0, "connect")], [(0, 40)], [Band(0, 40, ACTIVE), Band(40, 60, NOT_CONNECTED)]),
        # Refused and unanswered commands change nothing, nor does status.
        (
            [
                command(0, "connect"),
                command(5, "interrupt", "not_now"),
                command(6, "disconnect", None),
                command(7, "status"),
            ],
            [(0, 60)],
            [Band(0, 60, ACTIVE)],
        ),
        # A player connects by SETUP and is active from PLAY on.
        (
            [command(1, "connect"), command(2, "continue"), command(50, "disconnect")],
            [(2, 50)],
            [Band(0, 1, NOT_CONNECTED), Band(1, 2, INTERRUPTED), Band(2, 50, ACTIVE), Band(50, 60, NOT_CONNECTED)],
        ),
        # A window may end behind the run, and a command stand before it.
        ([command(-1, "connect")], [(0, 99)], [Band(0, 60, ACTIVE)]),
    ],
)
def test_the_bands_are_the_windows_and_between_them_what_the_commands_say(commands, windows, found):
    assert bands(a_client(1, commands=commands, active_windows=windows), 60) == found


def test_columns_keep_sums_peaks_and_gaps():
    assert join([1, None, 3, None, None, 7], 2, sum) == [1, 3, 7]
    assert join([1, 5, 2, 2], 2, max) == [5, 2]
    assert join([None, None], 2, min) == [None]
    assert columns_for(1) * 9 <= 400_000


def test_the_chart_of_a_client_without_measures_has_what_left_the_server():
    data = chart_data(a_client(1), 60.0, 300)
    assert list(data["charts"]) == ["sent"]
    assert data["charts"]["sent"] == {"bin": 0.2, "lines": {"sent": [60] * 300}}
    assert data["freezes"] == []


def test_leaks_and_pictures_are_drawn_only_where_there_are_some():
    clean, *_, leaked = clients()
    assert "leaked" in chart_data(leaked, 60.0, 600)["charts"]["sent"]["lines"]
    assert "leaked" not in chart_data(clean, 60.0, 600)["charts"]["sent"]["lines"]
    assert "vmaf" in chart_data(clean, 60.0, 600)["charts"]
    assert "vmaf" not in chart_data(leaked, 60.0, 600)["charts"]


@pytest.mark.parametrize("duration_s", [0.05, 1.0, 13.8, 20.0, 60.0, 61.0, 3600.0, 86400.0, 1e7])
def test_the_rows_are_few_and_cover_the_run(duration_s: float):
    rows = intervals(a_client(1), duration_s)
    assert 1 <= len(rows) <= MOST_ROWS
    assert rows[0].start_s == 0
    assert rows[-1].end_s == pytest.approx(duration_s)
    assert all(row.end_s == later.start_s for row, later in itertools.pairwise(rows))
    assert sum(row.sent for row in rows) == 18000, "the bins behind the end are in the last row"
    assert step_s(duration_s) > 0


def test_a_row_has_the_state_the_sums_and_the_worst_of_its_interval():
    lossy = clients()[2]
    rows = intervals(lossy, 60.0)
    row = next(row for row in rows if row.start_s == 30)
    series = lossy.measures.series
    assert series is not None
    assert (row.state, row.sent, row.leaked) == ("active", 1500, 0)
    assert row.lost_link == sum(series.lost_link[300:350])
    assert row.delay_ms == max(value for value in series.delay_ms[300:350] if value is not None)
    assert row.vmaf == min(value for value in series.vmaf[300:350] if value is not None)
    assert row.frozen_s == pytest.approx(1.2)
    assert intervals(a_client(1), 60.0)[0].lost_link is None


def test_figures_that_were_not_measured_are_no_zeros():
    assert [group.rows for group in groups(Measures())] == [[]] * 5
    wire = WireFigures(expected=100, received=97, lost=3, duplicates=0, reordered=1, loss_runs={3: 1}, longest_run=3)
    [rows, *_] = [group.rows for group in groups(Measures(wire=wire))]
    assert dict(rows) == {
        "received / expected": "97 / 100 datagrams",
        "lost": "3 datagrams (3.00 %)",
        "longest loss in a row": "3 datagrams",
        "duplicates, reordered": "0, 1",
    }


def test_the_bound_of_two_clocks_stands_beside_the_delay():
    measures = streamed(1, [(0.4, 60.0)]).measures
    assert measures.wire is not None
    apart = msgspec.structs.replace(measures, wire=msgspec.structs.replace(measures.wire, clock_bound_ms=0.4))

    def delay(of: Measures) -> str:
        return next(row.value for row in groups(of)[0].rows if row.name.startswith("delay:"))

    assert delay(measures) == "21.5 / 23.1 / 31.2 ms"
    assert delay(apart) == "21.5 / 23.1 / 31.2 ms (clocks within 0.4 ms)"


def test_the_places_of_missing_frames_are_those_that_lost_some():
    lossy = clients()[2].measures
    [_, missing, *_] = groups(lossy)
    assert [(row.name, row.value) for row in missing.rows] == [("missing in all", "45 frames"), ("link", "45 frames")]
    assert lossy.attribution is not None
    counted = msgspec.structs.replace(lossy.attribution, by="counts", unclear=3)
    [_, missing, *_] = groups(msgspec.structs.replace(lossy, attribution=counted))
    assert [row.value for row in missing.rows[2:]] == ["by counts only", "3 pictures"]


def test_the_reason_why_a_part_was_not_measured_stands_in_its_place():
    reasons = {"pictures": "the client counts datagrams", "wire": "the clocks of the captures differ"}
    wire, _, _, pictures, stream = groups(Measures(not_measured=reasons))
    assert (wire.reason, pictures.reason, stream.reason) == (reasons["wire"], reasons["pictures"], None)
    text = html(a_report([a_client(1, measures=Measures(not_measured=reasons))]))
    assert "not measured: the client counts datagrams" in text
