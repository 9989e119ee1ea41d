"""The network over all hosts: in a subnet that none of them uses, and tried again where the Swarm has it."""

import ipaddress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flume.errors import EngineError
from flume.lab.containers import topology
from flume.lab.containers.engine import Engine, Network
from flume.lab.hosts import overlay
from support.labs.fake_site import FakeEngine, overlay_network

DESCRIPTION = topology.Network()


class Networks:
    """The networks of one engine; *unreal*: how many of them the Swarm gives no subnet."""

    def __init__(self, *taken: str, unreal: int = 0) -> None:
        self._taken = taken
        self._unreal = unreal
        self.existing: Network | None = None
        self.made: list[tuple[str, str, str]] = []
        self.refusals: list[str] = []

    def find(self, lab: str) -> Network | None:
        return self.existing

    def taken_subnets(self) -> tuple[str, ...]:
        return self._taken

    def create(
        self, name: str, lab: str, run: str, subnet: str, description: Any, *, driver: str, nodes: str
    ) -> Network:
        if self.refusals:
            raise EngineError(self.refusals.pop(0))
        assert driver == "overlay"
        self.made.append((name, subnet, nodes))
        return overlay_network(subnet)

    def is_real(self, network: Network) -> bool:
        return len(self.made) > self._unreal


def engine(networks: Networks) -> FakeEngine:
    found = FakeEngine("h1", manages=True)
    found.networks = cast("SimpleNamespace", networks)
    return found


def ensure(manager: FakeEngine, *others: FakeEngine, clients: int = 6, run: str = "run") -> Network:
    engines = [cast("Engine", one) for one in (manager, *others)]
    return overlay.ensure_network(engines[:1], engines, "x", run, description=DESCRIPTION, clients=clients)


@pytest.mark.parametrize("clients", [1, 200, 213, 214, 1000])
def test_the_swarms_own_addresses_are_above_those_of_the_last_client(clients: int) -> None:
    networks = Networks()
    ensure(engine(networks), clients=clients)
    ((name, subnet, nodes),) = networks.made
    last = topology.address(subnet, "client", clients)
    assert last is not None
    assert ipaddress.IPv4Address(last) < ipaddress.IPv4Network(nodes)[0]
    assert ipaddress.IPv4Network(nodes).subnet_of(ipaddress.IPv4Network(subnet))
    assert ipaddress.IPv4Network(nodes).num_addresses - 2 >= overlay.MAX_HOSTS
    assert name == "flumelab-x-network-run"


def test_a_subnet_that_any_host_uses_is_left_out() -> None:
    first = Networks()
    ensure(engine(first))
    wanted = first.made[0][1]
    second = Networks()
    ensure(engine(second), engine(Networks("10.0.0.0/8")), engine(Networks("fd00::/8", wanted)))
    assert not ipaddress.IPv4Network(second.made[0][1]).overlaps(ipaddress.IPv4Network(wanted))


def test_a_network_without_a_subnet_is_removed_and_the_next_subnet_tried() -> None:
    networks = Networks(unreal=2)
    manager = engine(networks)
    assert ensure(manager).subnet == networks.made[2][1]
    assert len({subnet for _, subnet, _ in networks.made}) == 3
    assert manager.calls == ["remove network"] * 2, "of this lab's own objects no other"


def test_where_every_subnet_is_in_use_that_is_said() -> None:
    manager = engine(Networks(str(topology.POOL)))
    with pytest.raises(EngineError, match=r"every subnet of 198\.18\.0\.0/15 is in use: remove labs"):
        ensure(manager)


def test_the_network_that_is_there_is_taken() -> None:
    networks = Networks()
    networks.existing = overlay_network("198.18.4.0/24")
    assert ensure(engine(networks)) is networks.existing
    assert not networks.made


def test_without_a_manager_among_the_hosts_there_is_no_network() -> None:
    worker = cast("Engine", FakeEngine("h2"))
    with pytest.raises(EngineError, match="none of the hosts manages the Swarm"):
        overlay.ensure_network([], [worker], "x", "run", description=DESCRIPTION, clients=1)


def test_a_name_that_is_just_being_removed_is_waited_for_and_another_error_is_not() -> None:
    networks = Networks()
    networks.refusals = ["network with name x already exists"] * 2
    ensure(engine(networks))
    assert len(networks.made) == 1
    networks.refusals = ["no space left on device"]
    with pytest.raises(EngineError, match="no space left"):
        ensure(engine(networks))
    assert not networks.refusals
