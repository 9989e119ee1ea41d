"""Small parts of the runner; whole runs are tested on real labs."""

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flume.errors import LabError
from flume.lab.containers.engine import Network
from flume.lab.hosts.site import Site, closing_unless_interrupted
from flume.lab.hosts.watch import HostLostError
from flume.lab.run import collect
from flume.lab.run.event_log import EventLog
from flume.lab.run.fleet import Client, Fleet, Member
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


# Hosts that are lost


class Watch:
    """What the watch of the hosts knows: *known* now, and *soon* after the next look, its own or another's."""

    def __init__(self, known: Mapping[str, str], soon: Mapping[str, str] | None = None) -> None:
        self.lost = known
        self.soon = known if soon is None else soon

    def look(self) -> bool:
        self.lost = self.soon
        return False


class Io:
    """An attachment that has ended or not."""

    def __init__(self, *, ended: bool) -> None:
        self.ended = ended


def member(host: str, *, ended: bool = False) -> Member:
    container: Any = SimpleNamespace(host=host, io=Io(ended=ended), state=lambda: SimpleNamespace(exit_code=137))
    return Member(container, EventLog(f"a container on {host}"))


def fleet_over(*, ended: str = "") -> Fleet:
    """Return a server on h1, a client and a probe on each of three hosts; those on the host *ended* have ended."""
    hosts = ("h1", "h2", "h3")
    clients = tuple(Client(number, member(host, ended=host == ended)) for number, host in enumerate(hosts, 1))
    probes = tuple(member(host, ended=host == ended) for host in hosts)
    return Fleet(Network("n", "1", "198.18.0.0/24", "198.18.0.1"), member("h1"), clients, probes)


def remaining(fleet: Fleet, watch: Watch) -> Fleet:
    run = SimpleNamespace(_hosts=watch)
    run._remaining = lambda one: _Run._remaining(cast("_Run", run), one)
    return cast("Fleet", run._remaining(fleet))


def test_what_remains_is_on_hosts_that_were_not_lost():
    left = remaining(fleet_over(ended="h3"), Watch({"h3": "off"}))
    assert [client.number for client in left.clients] == [1, 2]
    assert [one.container.host for one in left.probe_members] == ["h1", "h2"]


@pytest.mark.parametrize("known", [{}, {"h2": "off"}])
def test_a_container_that_ended_with_its_host_is_lost_with_it(known):
    """Whether this look finds it, or the watch has found it since."""
    left = remaining(fleet_over(ended="h3"), Watch(known, known | {"h3": "off"}))
    assert [client.number for client in left.clients] == [1] if known else [1, 2]


def test_a_container_that_ended_on_a_host_that_is_there_is_an_error():
    with pytest.raises(LabError, match="a container on h3 ended during the run"):
        remaining(fleet_over(ended="h3"), Watch({"h2": "off"}))


@pytest.mark.parametrize("watch", [Watch({"h1": "its engine is silent"}), Watch({}, {"h1": "its engine is silent"})])
def test_without_the_servers_host_there_is_no_run(watch):
    said = "^host h1, which ran the server, was lost during the run: its engine is silent$"
    with pytest.raises(HostLostError, match=said):
        remaining(fleet_over(ended="h1"), watch)


def test_each_client_of_a_lost_host_has_its_error():
    found = collect.checks_of_lost(fleet_over(), {"h2": "its engine is silent"})
    assert [(one.name, one.subject, one.verdict) for one in found] == [("host", "client-2", "ERROR")]
    assert found[0].detail == "its host h2 was lost during the run: its engine is silent"
    assert collect.checks_of_lost(fleet_over(), {}) == []
