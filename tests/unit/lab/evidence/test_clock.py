"""The clock of a host beside that of the server's host: what it shows, how well that is known, and when it was set."""

import pytest

from flume.lab.evidence.clock import DRIFT_MOST, STEP_S, HostClock, Offset, Offsets, host_clocks

BEGAN_S = 1_700_000_000.0


def offset(ahead_s: float, at_s: float = BEGAN_S, bound_s: float = 0.0) -> Offset:
    return Offset(ahead_s=ahead_s, bound_s=bound_s, measured_s=at_s)


def moved(by_s: float, seconds: float, bound_s: float = 0.0) -> HostClock:
    """A clock that was 2 s ahead, and after *seconds* by *by_s* more."""
    return HostClock(
        host="attic", before=offset(2.0, bound_s=bound_s), after=offset(2.0 + by_s, BEGAN_S + seconds, bound_s)
    )


@pytest.mark.parametrize("passed_s", [0.0, 1.0, 50.0, 100.0])
@pytest.mark.parametrize("by_s", [0.0, 0.006, -0.006])
def test_between_two_measurements_the_offset_changes_evenly(passed_s: float, by_s: float) -> None:
    shown_s = BEGAN_S + passed_s + 2.0 + by_s * passed_s / 100
    assert moved(by_s, 100).to_reference(shown_s) == pytest.approx(BEGAN_S + passed_s, abs=1e-6)


def test_outside_of_them_it_is_that_of_the_measurement() -> None:
    clock = moved(0.006, 100)
    assert clock.ahead_s(BEGAN_S - 1000) == 2.0
    assert clock.ahead_s(BEGAN_S + 1000) == 2.006


@pytest.mark.parametrize(("by_s", "seconds"), [(-3600.0, 100), (3600.0, 100), (3600.0, -3500)])
def test_the_order_of_times_is_kept_whatever_was_set(by_s: float, seconds: float) -> None:
    clock = moved(by_s, seconds)
    assert clock.problem is not None
    times_s = [clock.to_reference(BEGAN_S + step / 10) for step in range(-50, 50)]
    assert times_s == sorted(times_s)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bound_s", [0.0, 0.02])
@pytest.mark.parametrize("seconds", [0.0, 20.0, 3600.0])
def test_a_clock_was_set_when_it_moved_by_more_than_crystals_and_measurements_explain(
    seconds: float, bound_s: float, sign: int
) -> None:
    most_s = STEP_S + DRIFT_MOST * seconds + 2 * bound_s
    assert moved(sign * (most_s - 1e-6), seconds, bound_s).problem is None
    problem = moved(sign * (most_s + 1e-5), seconds, bound_s).problem
    assert problem is not None
    assert "the clock of host attic moved by " in problem
    assert "\n" not in problem


def test_the_reference_that_was_set_back_by_an_hour_is_a_problem_too() -> None:
    """Its own measurement of the time that passed is then wrong as well."""
    clock = HostClock(host="attic", before=offset(2.0), after=offset(3602.0, BEGAN_S - 3580))
    assert clock.problem is not None


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True), (False, False)])
def test_a_clock_that_was_not_measured_twice_compares_nothing(before: bool, after: bool) -> None:
    known = offset(2.0)
    clock = HostClock(
        host="attic", before=known if before else None, after=known if after else None, reason="no answer"
    )
    assert (clock.bound_s, clock.problem) == (None, None)
    assert clock.unknown is not None
    assert clock.unknown.startswith("the clock of host attic was ")
    assert clock.unknown.endswith(": no answer")
    assert clock.ahead_s(BEGAN_S) == (2.0 if before or after else 0.0)


def test_the_wider_bound_of_two_measurements_holds() -> None:
    clock = HostClock(host="attic", before=offset(0, bound_s=0.001), after=offset(0, BEGAN_S + 1, 0.003))
    assert (clock.bound_s, clock.unknown) == (0.003, None)


def test_each_host_of_two_measurements_has_a_clock() -> None:
    before = Offsets({"attic": offset(1.0), "cellar": offset(2.0)}, {"shed": "no answer"})
    after = Offsets({"attic": offset(1.0, BEGAN_S + 9)}, {"cellar": "gone", "shed": "no way"})
    clocks = host_clocks(before, after)
    assert set(clocks) == {"attic", "cellar", "shed"}
    assert {name: clock.bound_s for name, clock in clocks.items()} == {"attic": 0.0, "cellar": None, "shed": None}
    assert {name: clock.reason for name, clock in clocks.items()} == {"attic": None, "cellar": "gone", "shed": "no way"}
