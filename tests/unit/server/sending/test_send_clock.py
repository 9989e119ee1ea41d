"""The clock that datagrams are sent by."""

import pytest

from flume.server.sending.send_clock import STALL_S, SendClock


def test_a_clock_that_was_paused_continues_with_the_next_datagram():
    clock = SendClock()
    assert clock.position(100.0, 7.0, ready=True) == 7.0
    assert clock.position(100.5, 7.4, ready=True) == 7.5
    clock.pause()
    assert clock.position(200.0, 7.52, ready=True) == pytest.approx(7.52)
    assert clock.stalls == 0


def test_a_source_that_stalled_is_not_made_up_for_in_a_burst():
    clock = SendClock()
    clock.position(100.0, 0.0, ready=True)
    assert clock.position(100.0 + STALL_S + 1.0, 0.5, ready=True) == 0.5
    assert clock.stalls == 1


def test_a_live_stream_begins_only_with_a_lead():
    clock = SendClock()
    assert clock.position(1.0, 0.0, ready=False) is None
    assert clock.position(1.2, 0.0, ready=True) == 0.0
    assert clock.position(1.3, None, ready=True) is None


def test_a_source_that_is_late_by_less_than_a_stall_is_made_up_for():
    clock = SendClock()
    clock.position(100.0, 0.0, ready=True)
    assert clock.position(100.0 + STALL_S, 0.0, ready=True) == STALL_S
    assert clock.stalls == 0
