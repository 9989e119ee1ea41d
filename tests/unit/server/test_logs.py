"""The log under a flood."""

import asyncio
import errno
import logging

from flume.server.logs import BURST, MAX_KINDS, SHORTAGE_LOG_S, WINDOW_S, FloodFilter, LoopErrorLog


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("flume.server", logging.WARNING, __file__, 1, message, arguments, None)


def test_a_flood_of_one_kind_is_held_back_and_counted_and_hides_no_other():
    now_s = 100.0
    flood = FloodFilter(clock=lambda: now_s)
    passed = sum(flood.filter(record("%s is turned away", number)) for number in range(1000))
    assert passed == BURST
    assert flood.filter(record("something else"))
    now_s += WINDOW_S
    later = record("%s is turned away", "198.18.0.3")
    assert flood.filter(later)
    assert later.getMessage() == f"198.18.0.3 is turned away (and {1000 - BURST} more like it before)"
    quiet = record("%s is turned away", "100% of them")
    assert flood.filter(quiet)
    assert quiet.getMessage() == "100% of them is turned away"


def test_a_flood_of_kinds_takes_bounded_memory():
    flood = FloodFilter()
    for number in range(10 * MAX_KINDS):
        assert flood.filter(record(f"kind {number}"))
    assert len(flood._kinds) <= MAX_KINDS


def test_a_lack_of_descriptors_is_one_line_a_minute_and_other_errors_are_logged_in_full(caplog):
    now_s = 100.0
    handler = LoopErrorLog(clock=lambda: now_s)
    loop = asyncio.new_event_loop()
    try:
        for _ in range(50):
            handler(loop, {"message": "accept", "exception": OSError(errno.EMFILE, "Too many open files")})
        assert caplog.text.count("no new connection can be accepted: Too many open files") == 1
        now_s += SHORTAGE_LOG_S
        handler(loop, {"message": "accept", "exception": OSError(errno.EMFILE, "Too many open files")})
        assert caplog.text.count("no new connection can be accepted") == 2
        handler(loop, {"message": "a callback", "exception": ZeroDivisionError("on purpose")})
        assert "ZeroDivisionError: on purpose" in caplog.text
    finally:
        loop.close()
