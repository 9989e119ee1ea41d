"""Steps from traces, and the token buckets that make a rate which changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import SettingsError
from flume.lab.link.pacing import FRAME_BYTES_MAX, TracedLink, paced, traced
from flume.lab.link.profile import FRAME_BYTES, Direction, Profile, Step
from flume.lab.link.trace import Trace, read_trace

REST = Direction(delay_ms=20, rate_kbit=5000, queue_bytes=60_000)


def steps_of(text: str, *, down: Direction = REST, up: Direction = REST, name: str = "t.csv") -> Profile:
    """Return the link whose downward direction follows the trace *text*."""
    traces: dict[str, Trace] = {"down": read_trace(text, file=name)["down"]}
    return profile_of(traced(down, up, traces))


def profile_of(link: TracedLink) -> Profile:
    return Profile(name="p", description="", **link._asdict())


def test_equal_windows_are_one_step():
    link = steps_of("time_s,rate_kbit\n0,8000\n0.4,8000\n1,2000\n1.5,2000\n")
    assert [(step.at_s, step.down.rate_kbit) for step in link.steps] == [(0, 8000), (1, 2000)]
    assert link.period_s == 2
    assert {step.up for step in link.steps} == {REST}


def test_a_step_has_what_the_trace_lacks_from_the_link_at_rest():
    link = steps_of("time_s,rate_kbit\n0,8000\n1,2000\n")
    assert {(step.down.delay_ms, step.down.queue_room_bytes) for step in link.steps} == {(20, 60_000)}


def test_the_queue_is_as_large_at_a_low_rate():
    """It is memory: 100 ms at rest, and longer where the rate is lower."""
    rest = Direction(rate_kbit=8000, queue_ms=100)
    assert {step.down.queue_room_bytes for step in steps_of("time_s,rate_kbit\n0,8000\n1,500\n", down=rest).steps} == {
        100_000
    }


def test_each_direction_changes_at_its_own_moments_and_the_shorter_trace_begins_again():
    traces = {
        "down": read_trace("time_s,rate_kbit\n0,8000\n1,2000\n", file="d.csv")["down"],
        "up": read_trace("time_s,rate_kbit\n0,800\n0.3,400\n", file="u.csv")["up"],
    }
    profile = profile_of(traced(REST, REST, traces))
    assert [at_s for at_s, _ in profile.changes("down")] == [0, 1]
    assert [at_s for at_s, _ in profile.changes("up")] == [0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8]


def test_an_outage_is_one_step_in_which_one_frame_passes():
    link = steps_of("time_s,rate_kbit\n0,8000\n0.1,0\n0.2,20\n0.3,0\n0.6,8000\n0.7,8000\n")
    first, outage, last = link.steps
    assert (outage.at_s, last.at_s) == (0.1, 0.6)
    assert first.down.rate_kbit == last.down.rate_kbit == 8000
    assert outage.down.rate_kbit == pytest.approx(8 * 1514 / 0.5 / 1000)
    assert outage.down.bucket is not None
    assert outage.down.bucket.burst_bytes == 1514


def test_a_long_outage_has_the_lowest_rate_that_tc_can_show():
    link = steps_of("time_s,rate_kbit\n0,8000\n900,0\n")
    (_, outage) = link.steps
    assert outage.down.rate_kbit == 0.1
    assert outage.down.bucket is not None
    assert outage.down.bucket.token_kbit == 0.1


def test_a_window_without_loss_has_no_bursts():
    rest = Direction(loss_pct=5, loss_burst_datagrams=3)
    link = steps_of("time_s,loss_pct\n0,0\n1,10\n2,100\n", down=rest)
    assert [step.down.loss_burst_datagrams for step in link.steps] == [None, 3, None]


def test_a_figure_that_does_not_fit_the_others_is_refused_with_the_line_of_the_trace():
    rest = Direction(delay_ms=20, jitter_ms=10, distribution="normal", jitter_reorders=False)
    with pytest.raises(SettingsError, match=r"^t\.csv: line 3: jitter_ms=10 .*at most delay_ms \(5\)"):
        steps_of("time_s,delay_ms\n0,35\n1,5\n", down=rest)


# --- buckets ---------------------------------------------------------------------------------------------------------


def test_only_a_rate_that_changes_has_buckets():
    link = steps_of("time_s,delay_ms\n0,20\n1,90\n")
    assert [step.down.bucket for step in link.steps] == [None, None]
    assert link.down.bucket is None
    link = steps_of("time_s,rate_kbit\n0,8000\n1,2000\n")
    assert all(step.down.bucket for step in link.steps)
    assert link.down.bucket is not None
    assert link.down.bucket.token_kbit == 5000, "at rest the rate holds for long"
    assert link.up.bucket is None


def test_steps_of_ones_own_that_change_the_rate_have_buckets_too():
    slow, fast = (Direction(rate_kbit=rate, queue_bytes=60_000) for rate in (1000, 9000))
    link = paced(
        Profile(name="p", description="", down=slow, up=slow, period_s=4, steps=(Step(at_s=3, down=fast, up=slow),))
    )
    assert [(step.at_s, step.down.bucket is not None) for step in link.steps] == [(0, True), (3, True)]
    unlimited = Step(at_s=3, down=Direction(), up=slow)
    mixed = Profile(name="p", description="", down=slow, up=slow, period_s=4, steps=(unlimited,))
    assert paced(mixed) == mixed, "no bucket is as large as a link without a rate"


@given(
    st.lists(st.integers(0, 100_000), min_size=2, max_size=30).filter(lambda kbits: max(kbits) > 1000),
    st.integers(1, 20),
    st.integers(1514, 1 << 20),
)
def test_bucket_and_rate_together_pass_what_the_trace_says(kbits: list[int], tenths: int, queue_bytes: int):
    """A bucket is full when it is set: its burst is part of what the step lets pass."""
    rows = "".join(f"{at * tenths / 10},{kbit}\n" for at, kbit in enumerate(kbits))
    rest = Direction(rate_kbit=5000, queue_bytes=queue_bytes)
    link = steps_of("time_s,rate_kbit\n" + rows, down=rest)
    changes = link.changes("down")
    assert link.period_s is not None
    ends_s = [*(at_s for at_s, _ in changes[1:]), link.period_s]
    for (at_s, values), end_s in zip(changes, ends_s, strict=True):
        length_s = end_s - at_s
        if values.bucket is None:
            assert len({value.rate_kbit for _, value in changes}) == 1
            continue
        passed = values.bucket.burst_bytes + values.bucket.token_kbit * 125 * length_s
        wanted = (values.rate_kbit or 0) * 125 * length_s
        assert wanted <= passed <= wanted + max(FRAME_BYTES_MAX, 12.5 * length_s)
        if wanted > 3 * FRAME_BYTES_MAX:
            assert passed == pytest.approx(wanted + FRAME_BYTES / 2, abs=1)
        assert FRAME_BYTES_MAX <= values.bucket.burst_bytes <= max(FRAME_BYTES_MAX, values.queue_room_bytes)
