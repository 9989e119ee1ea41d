"""What a soak counts as a leak, and as growth. (The soak itself takes minutes: ``make soak``.)"""

from random import Random
from typing import Any

import pytest

from soak.measures import slope
from soak.running import Soak
from soak.windows import WindowCheck


def check_of(*events: tuple[str, int | None]) -> WindowCheck:
    check = WindowCheck()
    for what, number in events:
        if what == "close":
            check.close(number)
        else:
            assert number is not None
            {"open": check.open, "take": check.take}[what](number)
    check.end()
    return check


def test_datagrams_of_the_window_are_none_that_leaked_early_late_or_over_the_wrap() -> None:
    early = (("take", 65_534), ("open", 65_534), ("take", 65_535), ("take", 1), ("close", 2), ("take", 0), ("take", 2))
    check = check_of(*early)
    assert (check.leaked, check.received) == (0, 5)


def test_a_window_longer_than_half_the_numbers_is_one_window() -> None:
    check = WindowCheck()
    check.open(100)
    for number in range(100, 200_000):
        check.take(number % 65_536)
    check.close(199_999 % 65_536)
    check.end()
    assert (check.leaked, check.received) == (0, 199_900)


@pytest.mark.parametrize(
    "events",
    [
        (("open", 10), ("take", 10), ("take", 13), ("close", 12)),
        (("open", 10), ("take", 10), ("close", 12), ("take", 13)),
        (("open", 10), ("take", 10), ("close", 12), ("take", 13), ("open", 20)),
        (("open", 10), ("take", 9), ("close", 12)),
        (("open", 10), ("close", None), ("take", 10)),
        (("take", 10),),
    ],
    ids=["before the reply", "after it", "before the next window", "before the first", "nothing sent", "no window"],
)
def test_a_single_datagram_outside_its_window_is_counted(events) -> None:
    assert check_of(*events).leaked == 1


def soak_with(memory: list[float], **others) -> Soak:
    times_s = [5.0 * index for index in range(len(memory))]
    flat = slope(times_s, [5.0] * len(memory))
    values: dict[str, Any] = {"seconds": times_s[-1], "clients": 100, "counts": {"datagrams": 1, "leaked": 0}}
    values |= {
        "memory_mib": slope(times_s, memory),
        "threads": flat,
        "descriptors": flat,
        "samples": [],
        "drift_ms": 3.0,
    } | others
    return Soak(**values)


def test_noise_is_no_growth_and_growth_in_noise_is_found() -> None:
    random = Random(1)
    noise = [70 + random.gauss(0, 1.0) for _ in range(120)]
    assert soak_with(noise).faults() == []
    growing = [value + 10 * index / 120 for index, value in enumerate(noise)]
    (fault,) = soak_with(growing).faults()
    assert fault.startswith("memory_mib grows by ")


def test_leaks_drift_and_silence_are_faults() -> None:
    assert soak_with([70.0] * 9, counts={"datagrams": 9, "leaked": 2}).faults() == ["2 datagrams leaked"]
    assert soak_with([70.0] * 9, drift_ms=-250.0).faults() == ["the stream is -250 ms off the wall clock"]
    assert soak_with([70.0] * 9, counts={}).faults() == ["no client received anything"]
