"""Several engines as one: what belongs where is started there, and all is found and removed everywhere."""

from typing import Any

import pytest

from flume.errors import EngineError, LabError
from flume.lab.containers.engine import Engine, Start
from flume.lab.hosts import site as sites
from flume.lab.hosts.site import Site
from support.labs.fake_site import SWARM_NETWORK, FakeEngine, fake_site

LAYOUT: Any = None


def fail(*kinds: str, reason: str = "it is hung") -> Any:
    def check(what: str) -> None:
        if what in kinds:
            raise EngineError(reason)

    return check


def three() -> list[FakeEngine]:
    """Return the engines of one Swarm, each with a part of a lab."""
    swarm = {SWARM_NETWORK}
    engines = [FakeEngine(name, manages=name == "h1", swarm=swarm) for name in ("h1", "h2", "h3")]
    for one in engines:
        one.objects = [("container", f"client-{one.host[1]}"), ("network", SWARM_NETWORK), ("volume", "captures")]
    return engines


def test_containers_are_started_on_the_host_that_each_names_and_returned_in_order() -> None:
    engines = three()
    starts = [Start(service="client", role="client", index=n, host=f"h{host}") for n, host in ((1, 3), (2, 1), (3, 3))]
    started: list[Any] = [*fake_site(*engines).start("x", "run", LAYOUT, starts)]
    assert started == ["client-1 on h3", "client-2 on h1", "client-3 on h3"]
    assert [one.calls for one in engines] == [["start 1"], ["start 0"], ["start 2"]]


def test_a_container_for_a_host_that_is_not_there_is_refused_before_anything_is_started() -> None:
    engines = three()
    with pytest.raises(LabError, match=r"no host 'h4' is in this lab: there are h1, h2, h3"):
        fake_site(*engines).start("x", "run", LAYOUT, [Start(service="probe", role="probe", host="h4")])
    assert not any(one.calls for one in engines)


def test_a_start_that_fails_on_one_host_is_raised_when_the_others_have_started() -> None:
    engines = three()
    engines[1].fails = fail("start")
    starts = [Start(service="probe", role="probe", host=one.host) for one in engines]
    with pytest.raises(EngineError, match="it is hung"):
        fake_site(*engines).start("x", "run", LAYOUT, starts)
    assert all(one.calls == ["start 1"] for one in engines)


def test_a_client_that_is_not_dealt_runs_beside_the_server() -> None:
    site = fake_site(*three(), dealt={1: "h2"})
    assert [site.host_of("client", number) for number in (1, 2)] == ["h2", "h1"]
    assert site.host_of("server", None) == site.host_of("probe", 1) == "h1"


def test_what_is_found_on_all_hosts_is_sorted_by_role_and_number() -> None:
    first, second = FakeEngine("h1"), FakeEngine("h2")
    first.containers = [
        {"role": "client", "index": 10, "name": "c", "host": "h1"},
        {"role": "probe", "index": None, "name": "p", "host": "h1"},
    ]
    second.containers = [
        {"role": "client", "index": 2, "name": "c", "host": "h2"},
        {"role": "probe", "index": None, "name": "p", "host": "h2"},
    ]
    found = fake_site(second, first).find(lab="x")
    assert [(one.role, one.index, one.host) for one in found] == [
        *(("client", 2, "h2"), ("client", 10, "h1")),
        *(("probe", None, "h1"), ("probe", None, "h2")),
    ]
    assert [one.role for one in fake_site(first).find(role="probe")] == ["probe"]


def test_names_have_their_host_where_there_are_several() -> None:
    engines = three()
    assert fake_site(engines[0]).names("x")[0] == "container client-1"
    assert fake_site(*engines).names("x")[:2] == ["container client-1 on h1", f"network {SWARM_NETWORK} on h1"]


def test_one_host_that_answers_of_two_is_not_a_lab_of_one() -> None:
    assert fake_site(FakeEngine("h1")).is_single
    assert not fake_site(FakeEngine("h1"), missing={"h2": "it is off"}).is_single


# Removing


def test_networks_of_labs_of_one_engine_go_too_where_the_hosts_are_in_no_swarm() -> None:
    engines = [FakeEngine(name) for name in ("h1", "h2")]
    engines[1].objects = [("container", "client-1"), ("network", "flumelab-y-network-run")]
    removed = fake_site(*engines).remove_lab(None)
    assert removed == ["container client-1 on h2", "network flumelab-y-network-run on h2"]


def test_a_network_goes_after_the_containers_of_all_hosts_and_by_its_manager_first() -> None:
    engines = three()
    order: list[str] = []
    for one in engines:
        one.fails = lambda what, host=one.host: order.append(f"{what} {host}")  # type: ignore[misc]
    removed = fake_site(*engines).remove_lab("x")
    assert set(removed) >= {"container client-3 on h3", f"network {SWARM_NETWORK} on h2", "volume captures on h3"}
    assert not any(one.objects for one in engines)
    first_network = order.index("network h1")
    assert {f"container {one.host}" for one in engines} == set(order[:first_network])
    assert not any(what.startswith("volume") for what in order[: order.index("network h3")])


def test_what_cannot_be_removed_is_named_with_its_host_and_the_rest_is_removed() -> None:
    engines = three()
    engines[1].fails = fail("container", "volume")
    with pytest.raises(EngineError) as caught:
        fake_site(*engines).remove_lab("x")
    assert str(caught.value) == "h2: it is hung", "each reason once"
    assert [kind for kind, _ in engines[1].objects] == ["container", "volume"]
    assert not engines[0].objects
    assert not engines[2].objects


def test_a_manager_that_still_counts_a_container_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = three()
    refusals = iter([True, True, False])

    def late(what: str) -> None:
        if what == "network" and next(refusals, False):
            raise EngineError(f"network {SWARM_NETWORK} is in use by task qn6")

    engines[0].fails = late
    fake_site(*engines).remove_lab("x")
    assert not any(one.objects for one in engines)
    assert engines[0].calls.count("remove network") >= 3


def test_with_a_host_away_that_keeps_the_network_the_rest_goes_and_that_is_no_error(monkeypatch) -> None:
    monkeypatch.setattr(sites, "_AWAY_S", 0.0)
    engines = three()
    engines[0].fails = fail("network", reason="network n is in use by task qn6")
    fake_site(*engines).remove_lab("x", without=["h3"])
    assert [one.objects for one in engines[:2]] == [[("network", SWARM_NETWORK)]] * 2
    assert "remove network" not in engines[1].calls, "a worker would wait for its manager in vain"
    assert engines[2].calls == []
    engines[0].fails = fail("network")
    with pytest.raises(EngineError, match="h1: it is hung"):
        fake_site(*engines[:2], missing={"h3": "off"}).remove_lab("x")


def test_without_a_manager_workers_keep_the_network_and_are_not_waited_for() -> None:
    engines = three()
    site = fake_site(*engines[1:], missing={"h1": "it is off"})
    assert "volume captures on h2" in site.remove_lab("x")
    assert all(one.objects == [("network", SWARM_NETWORK)] for one in engines[1:])


# On connections of its own


def reconnect(monkeypatch: pytest.MonkeyPatch, *silent: str) -> None:
    """Let engines be connected to anew, but those that are *silent*."""

    def connect(endpoint: Any, *, timeout_s: float, host: str) -> Any:
        if host in silent:
            raise EngineError(f"{host} does not answer")
        return FakeEngine(host)

    monkeypatch.setattr(Engine, "connect", connect)


def test_again_leaves_out_what_was_lost_and_what_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    reconnect(monkeypatch, "h1")
    site: Site = fake_site(*three(), dealt={1: "h2"}).again(without={"h3": "its cable is out"})
    assert [host.name for host in site.hosts] == ["h2"]
    assert site.missing == {"h3": "its cable is out", "h1": "h1 does not answer"}
    assert (site.server.name, site.is_single, site.host_of("client", 1)) == ("h2", False, "h2")


@pytest.mark.parametrize("count", [1, 3])
def test_again_raises_where_no_host_answers(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    reconnect(monkeypatch, "h1", "h2", "h3")
    with pytest.raises(EngineError, match="h1 does not answer"):
        fake_site(*three()[:count]).again()


def test_closing_closes_engines_and_then_what_carries_them() -> None:
    engines = three()
    order: list[str] = []

    class Tunnel:
        def close(self) -> None:
            order.append(f"after {sum(one.closed for one in engines)}")

    with Site(fake_site(*engines).hosts, server="h1", tunnels=[Tunnel()]):
        pass
    assert order == ["after 3"]
