"""When a client's control connection is ended because the network has changed."""

import pytest

from flume.client.session import network_watch
from flume.client.session.network_watch import LOOKS, SILENCE_S, NetworkWatch
from support.clients.scripted_session import ScriptedLink

GONE = "this host no longer has the address 127.0.0.1"


@pytest.fixture
def link() -> ScriptedLink:
    return ScriptedLink()


@pytest.mark.parametrize("silence_s", [0.0, 60.0])
def test_a_host_that_has_its_address_and_its_way_is_left_alone(link, silence_s: float):
    watch = NetworkWatch()
    assert not any(watch.has_changed(link, silence_s) for _ in range(3 * LOOKS))
    assert link.lost == []


def test_an_address_that_is_missing_twice_ends_the_connection(monkeypatch, link):
    watch = NetworkWatch()
    monkeypatch.setattr(network_watch, "has_address", lambda _host: False)
    assert [watch.has_changed(link, 0.0) for _ in range(LOOKS)] == [False] * (LOOKS - 1) + [True]
    assert link.lost == [GONE]


def test_an_address_that_comes_back_at_once_is_kept(monkeypatch, link):
    watch = NetworkWatch()
    for answer in (False, True) * LOOKS:
        monkeypatch.setattr(network_watch, "has_address", lambda _host, answer=answer: answer)
        assert not watch.has_changed(link, 0.0)


def test_in_a_silence_one_look_is_enough(monkeypatch, link):
    monkeypatch.setattr(network_watch, "has_address", lambda _host: False)
    assert NetworkWatch().has_changed(link, SILENCE_S + 0.1)
    assert link.lost == [GONE]


def test_another_way_ends_the_connection_in_a_silence_only(monkeypatch, link):
    watch = NetworkWatch()
    monkeypatch.setattr(network_watch, "source_towards", lambda _server: "192.0.2.9")
    assert not watch.has_changed(link, SILENCE_S)
    assert watch.has_changed(link, SILENCE_S + 0.1)
    assert link.lost == ["this host reaches the server from 192.0.2.9 now, no longer from 127.0.0.1"]


@pytest.mark.parametrize(("slept_s", "is_lost"), [(0.0, False), (6.9, False), (7.1, True), (36_000.0, True)])
def test_a_host_that_slept_longer_than_its_consent_holds_connects_again(link, slept_s: float, is_lost: bool):
    times = iter((100.0, 100.0, 100.0 + slept_s, 100.0 + slept_s))
    watch = NetworkWatch(asleep_s=lambda: next(times))
    assert [watch.has_changed(link, 0.0) for _ in range(3)] == [False, is_lost, False], "each sleep counts once"
    said = f"this host slept for {slept_s:.0f} s, in which the server got no token"
    assert link.lost == ([said] if is_lost else [])


def test_a_sleep_before_the_connection_was_made_is_none_of_it(link):
    times = iter((0.0, 3600.0, 3600.0))
    watch = NetworkWatch(asleep_s=lambda: next(times))
    assert not watch.has_changed(None, 0.0)
    assert not watch.has_changed(link, 0.0)


def test_this_host_has_not_slept_during_this_test():
    assert network_watch.asleep_s() == pytest.approx(network_watch.asleep_s(), abs=0.1)
    assert network_watch.asleep_s() >= -0.1


def test_without_a_route_or_a_connection_nothing_is_ended(monkeypatch, link):
    monkeypatch.setattr(network_watch, "source_towards", lambda _server: None)
    assert not NetworkWatch().has_changed(link, 60.0)
    assert not NetworkWatch().has_changed(None, 60.0)
