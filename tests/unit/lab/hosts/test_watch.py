"""Watching hosts: twice silent is lost, for good; once silent is not; one host alone is not watched."""

from typing import Any

import pytest

from flume.errors import EngineError
from flume.lab.containers.engine import Engine
from flume.lab.hosts import watch as watches
from flume.lab.hosts.watch import HostWatch
from flume.lab.machine.process import wait_until
from support.labs.fake_site import FakeEngine, fake_site


class Hosts:
    """Three hosts; those in ``silent`` do not answer."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.site = fake_site(*(FakeEngine(name) for name in ("h1", "h2", "h3")))

    def connect(self, endpoint: Any, *, timeout_s: float, host: str) -> Any:
        self.asked.append(host)
        if host in self.silent:
            raise EngineError(f"the engine of {host} does not answer")
        return FakeEngine(host)

    def watch(self) -> HostWatch:
        return HostWatch(self.site, say=self.said.append)


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    found = Hosts()
    monkeypatch.setattr(Engine, "connect", found.connect)
    monkeypatch.setattr(watches, "INTERVAL_S", 0.01)
    return found


def test_a_host_that_is_silent_once_is_not_lost(hosts: Hosts) -> None:
    watch = hosts.watch()
    for _ in range(3):
        hosts.silent = {"h2"}
        watch._ask_all()
        hosts.silent = set()
        watch._ask_all()
    assert watch.lost == {}
    assert hosts.said == []


def test_a_host_that_is_silent_twice_in_a_row_is_lost_and_never_back(hosts: Hosts) -> None:
    watch = hosts.watch()
    hosts.silent = {"h2"}
    watch._ask_all()
    watch._ask_all()
    assert watch.lost == {"h2": "the engine of h2 does not answer"}
    hosts.silent = set()
    hosts.asked.clear()
    watch._ask_all()
    assert list(watch.lost) == ["h2"], "what happened on it meanwhile is not known"
    assert "h2" not in hosts.asked
    assert hosts.said == ["Host h2 is lost: the engine of h2 does not answer."]


def test_looking_now_asks_twice_where_need_be_and_says_whether_one_was_lost(hosts: Hosts) -> None:
    watch = hosts.watch()
    assert not watch.look()
    assert len(hosts.asked) == 3
    hosts.silent = {"h3"}
    assert watch.look()
    assert list(watch.lost) == ["h3"]
    assert not watch.look(), "it was lost before"


def test_a_slow_answer_counts_as_none(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library asks several things in turn, each with a time of its own."""
    monkeypatch.setattr(watches, "ANSWER_S", 0.0)
    watch = hosts.watch()
    assert watch.look()
    assert all("s to answer" in reason for reason in watch.lost.values())


def test_it_watches_in_the_body_and_not_after_it(hosts: Hosts) -> None:
    with hosts.watch() as watch:
        assert wait_until(lambda: len(hosts.asked) > 6, timeout_s=30, interval_s=0.01)
        hosts.silent = {"h1", "h2"}
        assert wait_until(lambda: set(watch.lost) == {"h1", "h2"}, timeout_s=30, interval_s=0.01)
    watch._thread.join(30)
    assert not watch._thread.is_alive()
    hosts.silent = {"h3"}
    assert not watch.look(), "a question that was under way changes nothing any more"


def test_one_host_alone_is_not_watched(hosts: Hosts) -> None:
    hosts.silent = {"h1"}
    with HostWatch(fake_site(FakeEngine("h1")), say=hosts.said.append) as watch:
        assert not watch.look()
    assert (hosts.asked, watch.lost, hosts.said) == ([], {}, [])
