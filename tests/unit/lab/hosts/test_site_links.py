"""The links of clients on several hosts: each host is asked for its own clients, and the answers become one."""

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flume.errors import SettingsError
from flume.lab.hosts.links import SiteLinks, site_links
from flume.lab.link.links import Lapsed, LinkLosses, Links
from flume.lab.link.profile import Direction, Profile
from support.labs.fake_site import overlay_network

LAN = Profile(name="lan", description="", down=Direction(delay_ms=20), up=Direction())
GEO = Profile(name="geo", description="", down=Direction(delay_ms=300), up=Direction())


class HostLinks:
    """The links of the clients of one host."""

    def __init__(self, *clients: int) -> None:
        self.clients = clients
        self.calls: list[tuple[str, Any]] = []

    def set_each(self, profiles: Mapping[int, Profile], *, steps: bool) -> None:
        self.calls.append(("set", {number: one.name for number, one in profiles.items()}))

    def check(self, clients: Collection[int]) -> None:
        self.calls.append(("check", list(clients)))

    def calibrate(self, clients: Collection[int], *, effort: Any) -> list[Any]:
        self.calls.append(("calibrate", list(clients)))
        return [SimpleNamespace(client=one, direction=way) for one in clients for way in ("up", "down")]

    def losses(self) -> dict[int, LinkLosses]:
        return {one: LinkLosses(one * 10, 0.0, takes_control=False, longest_s=0.0) for one in self.clients}

    def present(self) -> dict[int, str]:
        return dict.fromkeys(self.clients, "lan")

    def lapsed(self) -> Lapsed:
        return Lapsed({self.clients[0]: LAN}, list(self.clients[1:]))


@pytest.fixture
def parts() -> dict[str, HostLinks]:
    """Three hosts, the last without a client."""
    return {"h1": HostLinks(1, 3), "h2": HostLinks(2, 4), "h3": HostLinks()}


@pytest.fixture
def links(parts: dict[str, HostLinks]) -> SiteLinks:
    return SiteLinks(cast("Mapping[str, Links]", parts))


def calls(parts: dict[str, HostLinks]) -> dict[str, list[tuple[str, Any]]]:
    return {host: part.calls for host, part in parts.items() if part.calls}


def test_each_host_sets_the_links_of_its_own_clients(links: SiteLinks, parts: dict[str, HostLinks]) -> None:
    links.set_each({3: LAN, 2: GEO, 4: LAN})
    assert calls(parts) == {"h1": [("set", {3: "lan"})], "h2": [("set", {2: "geo", 4: "lan"})]}


def test_only_hosts_with_clients_in_question_are_asked(links: SiteLinks, parts: dict[str, HostLinks]) -> None:
    links.check([1])
    assert calls(parts) == {"h1": [("check", [1])]}
    links.check()
    assert calls(parts) == {"h1": [("check", [1]), ("check", [1, 3])], "h2": [("check", [2, 4])]}


def test_a_client_that_there_is_not_is_refused_before_any_host_is_asked(links: SiteLinks, parts: Any) -> None:
    with pytest.raises(SettingsError, match=r"client=5 is not possible: one of 1, 2, 3, 4"):
        links.set(LAN, [1, 5])
    assert calls(parts) == {}


def test_the_answers_of_all_hosts_become_one(links: SiteLinks) -> None:
    assert links.clients == (1, 2, 3, 4)
    assert links.lost() == {1: 10, 2: 20, 3: 30, 4: 40}
    assert links.present() == dict.fromkeys((1, 2, 3, 4), "lan")
    assert links.lapsed().profiles == {1: LAN, 2: LAN}
    assert sorted(links.lapsed().unknown) == [3, 4]
    reports = links.calibrate([1, 2, 4])
    assert [(one.client, one.direction) for one in reports] == [(n, way) for n in (1, 2, 4) for way in ("down", "up")]


def test_a_process_number_is_meant_on_its_own_host_and_a_stopped_client_has_no_link() -> None:
    def container(index: int | None, host: str, pid: int) -> Any:
        return SimpleNamespace(index=index, host=host, pid=pid)

    probes: Any = {"h1": SimpleNamespace(), "h2": SimpleNamespace()}
    clients = [container(1, "h1", 100), container(2, "h2", 100), container(3, "h2", 0)]
    found = site_links(probes, clients, [container(1, "h2", 100)], overlay_network("198.18.4.0/24"))
    assert found.clients == (1, 2)
    assert {host: one.clients for host, one in found.hosts.items()} == {"h1": (1,), "h2": (2,)}
