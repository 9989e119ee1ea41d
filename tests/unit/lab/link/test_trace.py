"""Traces of both formats: what they say of a link, in windows of 100 ms; a mistake is refused with file and line."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import SettingsError
from flume.lab.link.trace import OPPORTUNITY_BYTES, WINDOW_MS, Span, Trace, mean, read_trace, windows


def csv(text: str, direction: str = "down") -> Trace:
    return read_trace(text, file="t.csv")[direction]


def mahimahi(*times_ms: int) -> Trace:
    return read_trace("".join(f"{at_ms}\n" for at_ms in times_ms), file="t.down")["down"]


def rates(spans: "list[Span] | tuple[Span, ...]") -> list[float]:
    return [span.figures["rate_kbit"] for span in spans]


# --- mahimahi --------------------------------------------------------------------------------------------------------


def test_an_opportunity_is_one_full_packet():
    """One packet a millisecond is 12 Mbit/s of IP, says mahimahi; netem counts the Ethernet header as well."""
    trace = mahimahi(*range(1, 1001))
    assert trace.length_s == 1
    assert set(rates(windows(trace, length_s=1))) <= {8 * 1514 * count / 100 for count in (99, 100, 101)}
    assert mean(trace.spans)["rate_kbit"] == pytest.approx(12_000 * 1514 / 1500)


def test_a_window_without_an_opportunity_has_rate_0():
    assert rates(mahimahi(10, 20, 350, 350, 400).spans) == [8 * 1514 * count / 100 for count in (2, 0, 0, 3)]


def test_one_line_is_a_link_of_constant_rate():
    assert rates(mahimahi(1).spans) == [8 * 1514]
    assert rates(mahimahi(30).spans) == pytest.approx([8 * 1514 * 3 / 100, 8 * 1514 / 20])


@given(st.lists(st.integers(0, 5000), min_size=1).map(sorted).filter(lambda times: times[-1] >= WINDOW_MS))
def test_windows_have_all_opportunities_of_a_trace(times_ms: list[int]):
    trace = mahimahi(*times_ms)
    assert trace.length_s == times_ms[-1] / 1000
    for spans in (trace.spans, windows(trace, length_s=trace.length_s)):
        passed = sum(span.figures["rate_kbit"] * 125 * (span.end_s - span.start_s) for span in spans)
        assert passed == pytest.approx(OPPORTUNITY_BYTES * len(times_ms), rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5\n\n7\n", r"t\.down: line 2='' .*whole number of milliseconds"),
        ("5\nsix\n", r"t\.down: line 2='six' .*\.csv"),
        ("5\n-6\n", r"t\.down: line 2='-6'"),
        ("5\n6.5\n", r"t\.down: line 2='6\.5'"),
        ("5\n²\n", r"t\.down: line 2='²'"),
        ("500\n400\n", r"t\.down: line 2=400 .*not before"),
        ("0\n0\n", r"t\.down: line 2=0 .*above 0"),
        ("", r"t\.down: line 1=''"),
        ("3600001\n", r"t\.down: its length=3600\.001 .*0\.1 to 1800 s"),
    ],
)
def test_a_mistake_in_a_mahimahi_trace_is_refused_with_its_line(text: str, message: str):
    with pytest.raises(SettingsError, match=message):
        read_trace(text, file="t.down")


# --- CSV -------------------------------------------------------------------------------------------------------------


def test_a_row_holds_until_the_next_and_the_last_as_long_as_the_one_before():
    trace = csv(
        "# measured on a train\ntime_s, rate_kbit, delay_ms\n0, 8000, 20\n0.5, 2000, 40\n# a tunnel\n2, 0, 40\n"
    )
    assert [(span.start_s, span.end_s, *span.figures.values(), span.line) for span in trace.spans] == [
        (0, 0.5, 8000, 20, 3),
        (0.5, 2, 2000, 40, 4),
        (2, 3.5, 0, 40, 6),
    ]
    assert mean(trace.spans) == pytest.approx({"rate_kbit": 2000, "delay_ms": (0.5 * 20 + 3 * 40) / 3.5})


def test_columns_without_a_prefix_are_of_both_directions():
    text = "time_s,down_rate_kbit,up_rate_kbit,delay_ms\n0,9000,800,20\n1,100,90,30\n"
    assert csv(text, "down").spans[0].figures == {"rate_kbit": 9000, "delay_ms": 20}
    assert csv(text, "up").spans[1].figures == {"rate_kbit": 90, "delay_ms": 30}


def test_a_direction_without_a_column_has_no_trace():
    assert list(read_trace("time_s,up_loss_pct\n0,1\n1,2\n", file="T.CSV")) == ["up"]


HEAD = "time_s,rate_kbit,loss_pct\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.csv: rows=0 .*at least two"),
        (HEAD + "0,1,2\n", r"t\.csv: rows=1 .*at least two"),
        ("rate_kbit,time_s\n0,1\n1,1\n", r"t\.csv: line 1='rate_kbit' .*begins with time_s"),
        ("time_s\n0\n1\n", r"t\.csv: line 1='time_s' .*one column more"),
        ("time_s,rate\n0,1\n1,1\n", r"t\.csv: line 1='rate' .*write rate_kbit"),
        ("time_s,down_delay_s\n0,1\n1,1\n", r"t\.csv: line 1='down_delay_s' .*write delay_ms"),
        ("time_s,jitter_ms\n0,1\n1,1\n", r"t\.csv: line 1='jitter_ms' .*rate_kbit, delay_ms, loss_pct"),
        ("time_s,loss_pct,loss_pct\n0,1,1\n1,1,1\n", r"t\.csv: line 1='loss_pct' .*once"),
        ("time_s,up_loss_pct,loss_pct\n0,1,1\n1,1,1\n", r"t\.csv: line 1='up_loss_pct' .*absent beside loss_pct"),
        (HEAD + "0,1\n1,1,1\n", r"t\.csv: line 2='0,1' .*3 values"),
        (HEAD + "0,1,1\n1,x,1\n", r"t\.csv: line 3: rate_kbit='x' .*0 to 1e\+07 kbit/s"),
        (HEAD + "0,1,1\n1,nan,1\n", r"t\.csv: line 3: rate_kbit='nan'"),
        (HEAD + "0,1,1\n1,1,101\n", r"t\.csv: line 3: loss_pct='101' .*0 to 100 percent"),
        (HEAD + "0,1,1\n1,-1,1\n", r"t\.csv: line 3: rate_kbit='-1'"),
        (HEAD + "0,1,1\n1,1,1\n1,1,1\n", r"t\.csv: line 4: time_s=1\.0 .*later than"),
        (HEAD + "5,1,1\n6,1,1\n", r"t\.csv: line 2: time_s=5\.0 .*0 in the first row"),
        (HEAD + "0,1,1\n0.01,1,1\n", r"t\.csv: its length=0\.02 "),
        (HEAD + "0,1,1\n900.1,1,1\n", r"t\.csv: its length=1800\.2 "),
    ],
)
def test_a_mistake_in_a_csv_trace_is_refused_with_its_line(text: str, message: str):
    with pytest.raises(SettingsError, match=message) as refused:
        read_trace(text, file="t.csv")
    assert "\n" not in str(refused.value)


# --- windows ---------------------------------------------------------------------------------------------------------


def test_a_window_has_the_means_of_its_rows():
    trace = csv("time_s,rate_kbit\n0,1000\n0.05,3000\n0.1,5000\n0.25,1000\n0.3,1000\n")
    assert rates(windows(trace, length_s=0.3)) == [2000, 5000, 3000]


def test_a_trace_begins_again_until_the_longer_one_ends():
    trace = csv("time_s,rate_kbit\n0,1000\n0.1,3000\n")
    assert rates(windows(trace, length_s=0.5)) == [1000, 3000, 1000, 3000, 1000]


def test_the_last_window_takes_up_what_is_not_a_whole_window():
    trace = csv("time_s,rate_kbit\n0,1000\n0.7,3000\n")
    assert [(span.start_s, span.end_s) for span in windows(trace, length_s=0.34)][-1] == (0.2, 0.34)
    assert [(span.start_s, span.end_s) for span in windows(trace, length_s=0.37)][-1] == (0.3, 0.37)


spans_s = st.lists(st.integers(1, 400).map(lambda each_ms: each_ms / 1000), min_size=2, max_size=12)


@given(spans_s.filter(lambda each: sum(each) >= 0.1), st.data())
def test_windows_follow_one_another_and_keep_the_mean(lengths_s: list[float], data: st.DataObject):
    starts_s = [math.fsum(lengths_s[:at]) for at in range(len(lengths_s) + 1)]
    values = data.draw(st.lists(st.integers(0, 10_000), min_size=len(starts_s), max_size=len(starts_s)))
    rows = "".join(f"{at_s!r},{value}\n" for at_s, value in zip(starts_s, values, strict=True))
    trace = csv("time_s,rate_kbit\n" + rows)
    found = windows(trace, length_s=trace.length_s)
    assert found[0].start_s == 0
    assert found[-1].end_s == trace.length_s
    assert all(one.end_s == two.start_s for one, two in itertools.pairwise(found))
    assert all(0.0499 <= span.end_s - span.start_s <= 0.1501 for span in found)
    assert mean(found)["rate_kbit"] == pytest.approx(mean(trace.spans)["rate_kbit"], abs=1e-3)
    assert all(1 <= span.line <= len(rows.splitlines()) + 1 for span in found)
