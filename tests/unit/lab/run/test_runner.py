"""Small parts of the runner; whole runs are tested on real labs."""

import time
from types import SimpleNamespace
from typing import cast

import pytest

from flume.lab.hosts.site import Site, closing_unless_interrupted
from flume.lab.run.fleet import Fleet
from flume.lab.run.runner import _Run
from flume.lab.run.scenario import Event, TimedEvent, Timetable


class Closable:
    closed = closed_tunnels = 0

    def close(self) -> None:
        self.closed += 1

    def close_tunnels(self) -> None:
        self.closed_tunnels += 1

    def as_site(self) -> Site:
        return cast("Site", self)


def test_the_site_is_closed_after_a_run_and_after_a_failure():
    site = Closable()
    with closing_unless_interrupted(site.as_site()):
        pass
    with pytest.raises(ValueError, match="failed"), closing_unless_interrupted(site.as_site()):
        raise ValueError("failed")
    assert site.closed == 2


def test_an_interrupt_leaves_the_site_alone_because_its_locks_may_be_held():
    site = Closable()
    with pytest.raises(KeyboardInterrupt), closing_unless_interrupted(site.as_site()):
        raise KeyboardInterrupt
    assert (site.closed, site.closed_tunnels) == (0, 1)


def test_an_event_after_the_end_of_every_part_happens_all_the_same():
    """Such as a restart at 90 % of a scenario whose parts take 80 % of it."""
    happened: list[Event] = []
    restart = Event(at="0.3", server="restart")
    played = Timetable((), 0.05, (TimedEvent(0.3, restart),))
    stub = SimpleNamespace(
        _timetable=played, _happen=lambda event, _fleet: happened.append(event), _remaining=lambda fleet: fleet
    )
    fleet = SimpleNamespace(clients=(), check_running=lambda: None)
    deadline_s = time.monotonic() + 60
    for _ in _Run._play(cast("_Run", stub), cast("Fleet", fleet)):
        assert time.monotonic() < deadline_s, "the scenario has no end"
    assert happened == [restart]


def test_the_time_of_each_restart_is_kept_for_the_judge():
    clocks = SimpleNamespace(now_s=time.time)
    stub, restarted = SimpleNamespace(_restarts_s=[], _clocks=clocks), []
    fleet = SimpleNamespace(restart_server=lambda: restarted.append(time.time()))
    before_s = time.time()
    _Run._happen(cast("_Run", stub), Event(at="1", server="restart"), cast("Fleet", fleet))
    assert before_s <= stub._restarts_s[0] <= restarted[0], "before it begins: no window that it cuts ends earlier"
