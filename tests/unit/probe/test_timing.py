"""Frames are sent, and links change, when their timetable says so."""

import pytest

from probe import timing
from probe.timing import Phase

PHASES = (Phase(0, 3, 500, 60), Phase(9000, 2, 0, 1514))


def test_each_frame_has_a_size_and_a_time() -> None:
    """In the order of the phases; a train of full frames is due all at once."""
    assert timing.frame_sizes(PHASES) == [60, 60, 60, 1514, 1514]
    assert timing.due_times_us(PHASES) == [0, 500, 1000, 9000, 9000]


@pytest.mark.parametrize(
    ("phase_s", "step", "pause_s"),
    [(0.0, 0, 15.0), (14.9, 0, 0.1), (15.0, 1, 7.5), (22.5, 2, 7.5), (29.0, 2, 1.0)],
)
def test_a_step_holds_until_the_next_one(phase_s: float, step: int, pause_s: float) -> None:
    """After the last step the period begins anew."""
    starts_s = [0.0, 15.0, 22.5]
    assert timing.current_step(starts_s, phase_s) == step
    assert timing.pause_s(starts_s, 30.0, phase_s, elapsed_s=0.0) == pytest.approx(pause_s)


def test_before_the_first_step_the_last_one_holds() -> None:
    """The profile repeats."""
    assert timing.current_step([5.0, 10.0], 1.0) == 1
    assert timing.pause_s([5.0, 10.0], 20.0, 1.0, elapsed_s=0.0) == 4.0


def test_the_time_that_setting_took_is_taken_off_and_never_makes_a_pause_negative() -> None:
    """A slow tc does not shift the steps after it."""
    assert timing.pause_s([0.0, 15.0], 30.0, 10.0, elapsed_s=2.0) == 3.0
    assert timing.pause_s([0.0, 15.0], 30.0, 10.0, elapsed_s=7.0) == 0.0
