"""Frames are sent, and links change, when their timetable says so."""

from hypothesis import given
from hypothesis import strategies as st

from probe import timing
from probe.timing import Phase, Timetable

PHASES = (Phase(0, 3, 500, 60), Phase(9000, 2, 0, 1514))


def test_each_frame_has_a_size_and_a_time() -> None:
    """In the order of the phases; a train of full frames is due all at once."""
    assert timing.frame_sizes(PHASES) == [60, 60, 60, 1514, 1514]
    assert timing.due_times_us(PHASES) == [0, 500, 1000, 9000, 9000]


def test_a_step_holds_until_the_next_one_and_before_the_first_the_last_one_holds() -> None:
    """The profile repeats."""
    table = Timetable([5.0, 15.0, 22.5], 30.0)
    assert [table.number_at(now_s) for now_s in (0, 4.9, 5, 14.9, 15, 22.5, 29, 35)] == [-1, -1, 0, 0, 1, 2, 2, 3]
    assert [table.begins_s(number) for number in (-1, 0, 2, 3)] == [-7.5, 5.0, 22.5, 35.0]


@given(
    st.lists(st.integers(0, 35_999), min_size=1, max_size=50, unique=True).map(sorted),
    st.floats(0, 2e9, allow_nan=False),
)
def test_the_step_that_holds_has_begun_and_the_next_one_has_not(tenths: list[int], now_s: float) -> None:
    """Within a microsecond: that is how exact the number of a second since 1970 is."""
    table = Timetable([each / 10 for each in tenths], 3600.0)
    number = table.number_at(now_s)
    assert table.begins_s(number) <= now_s + 1e-6
    assert table.begins_s(number + 1) > now_s - 1e-6


def test_the_commands_of_one_moment_are_one_step() -> None:
    """Each direction has moments of its own."""
    text = "down 0.0 qdisc a\ndown 0.0 qdisc b\nup 0.0 qdisc c\ndown 0.1 qdisc d\n"
    assert timing.parse_steps(text) == {
        "down": [(0.0, ["qdisc a", "qdisc b"]), (0.1, ["qdisc d"])],
        "up": [(0.0, ["qdisc c"])],
    }
    assert timing.parse_steps("") == {"down": [], "up": []}
