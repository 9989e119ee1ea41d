"""A measurement of links compares times of one clock; one that was set meanwhile compares nothing."""

import pytest

from probe.commands import ProbeError
from probe.measuring import CLOCK_SET_NS, check_clock


@pytest.mark.parametrize("by_ns", [0, CLOCK_SET_NS, -CLOCK_SET_NS])
def test_a_clock_that_is_held_to_the_right_time_is_none_that_was_set(by_ns: int) -> None:
    check_clock(10**18, 10**18 + by_ns)


@pytest.mark.parametrize(("by_ns", "named"), [(7_200_000_000_000, r"\+7200\.0 s"), (-60_000_000, r"-0\.1 s")])
def test_a_clock_that_was_set_is_named(by_ns: int, named: str) -> None:
    with pytest.raises(ProbeError, match=rf"was set by {named} while links were measured: measure them again"):
        check_clock(10**18, 10**18 + by_ns)
