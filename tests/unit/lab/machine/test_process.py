"""Waiting for a condition."""

from flume.lab.machine.process import wait_until


def test_waiting_ends_in_time() -> None:
    """A condition that stays false costs the time limit and no more."""
    assert wait_until(lambda: True, timeout_s=0)
    assert not wait_until(lambda: False, timeout_s=0.05, interval_s=0.01)
