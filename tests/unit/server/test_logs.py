"""The log under a flood."""

import logging

from flume.server.logs import BURST, MOST_KINDS, WINDOW_S, FloodFilter


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("flume.server", logging.WARNING, __file__, 1, message, arguments, None)


def test_a_flood_of_one_kind_is_held_back_and_counted_and_hides_no_other():
    now_s = 100.0
    flood = FloodFilter(clock=lambda: now_s)
    passed = sum(flood.filter(record("%s is turned away", number)) for number in range(1000))
    assert passed == BURST
    assert flood.filter(record("something else"))
    now_s += WINDOW_S
    later = record("%s is turned away", "somebody")
    assert flood.filter(later)
    assert later.getMessage() == f"somebody is turned away (and {1000 - BURST} more like it before)"
    quiet = record("%s is turned away", "100% of them")
    assert flood.filter(quiet)
    assert quiet.getMessage() == "100% of them is turned away"


def test_a_flood_of_kinds_takes_bounded_memory():
    flood = FloodFilter()
    for number in range(10 * MOST_KINDS):
        assert flood.filter(record(f"kind {number}"))
    assert len(flood._kinds) <= MOST_KINDS
