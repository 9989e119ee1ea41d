"""The hosts of these tests: they are machines in all that a lab over several machines asks of them.

What fails here is the support, or this machine's engine, and not the lab.
"""

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import docker.types
import pytest

from flume.errors import EngineError
from flume.lab.containers import images, topology
from flume.lab.containers.container import Container
from flume.lab.containers.engine import Engine
from flume.lab.machine.process import wait_until
from support.labs.containers import load_layout
from support.labs.nested import Host, join_swarm
from support.labs.wired import start_wired

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

LAB = f"test-{os.getpid()}-hosts"

RECEIVE = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.bind(("", 5004))
    print("ready", flush=True)
    data, sender = sock.recvfrom(2000)
    print(len(data), sender[0], flush=True)
"""

SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO: never in fragments
    sock.connect((sys.argv[1], 5004))
    try:
        sock.send(bytes(int(sys.argv[2]) + 1))
    except OSError as error:
        print(error.errno, flush=True)
    sock.send(bytes(int(sys.argv[2])))
    print(sock.getsockopt(socket.IPPROTO_IP, 14), flush=True)  # IP_MTU
"""
"""Sends one byte more than fits, then what fits."""


def test_each_is_a_machine_of_its_own_with_the_images(engine: Engine, hosts: list[Host]) -> None:
    names, identities, addresses = [], set(), set()
    for host in hosts:
        with host.connect() as inner:
            names.append(inner.info.name)
            identities.add(inner._api.info()["ID"])
            for target in (*images.TARGETS, images.WIRE):
                assert inner.images.find(images.tag_of(target)) == engine.images.find(images.tag_of(target))
        addresses.add(host.address)
    assert names == [host.name for host in hosts] == ["h1", "h2", "h3"]
    assert len(identities) == len(addresses) == 3


class Overlay(NamedTuple):
    """A network over all hosts, with a place for each server and client that the lab would have."""

    name: str
    subnet: str

    def start(self, engine: Engine, address: str, program: str, *arguments: str) -> Container:
        """Start *program* under Python in a container with *address*; return it."""
        api: Any = engine._api
        created = api.create_container(
            images.tag_of("server"),
            entrypoint=["python3", "-c"],
            command=[program, *arguments],
            labels={topology.LABEL_LAB: LAB},
            networking_config=api.create_networking_config(
                {self.name: api.create_endpoint_config(ipv4_address=address)}
            ),
            host_config=api.create_host_config(network_mode=self.name),
        )
        api.start(created)
        return Container(api, engine._errors, created["Id"], created["Id"])


@pytest.fixture
def overlay(hosts: list[Host]) -> Iterator[Overlay]:
    """The network. The swarm takes an address for each node out of *iprange*, so those below it are the test's."""
    underlay = f"{hosts[0].address}/24"
    subnet = next(topology.candidate_subnets(200, taken=(underlay,), start=os.getpid()))
    base = str(subnet).rpartition(".")[0]
    pool = docker.types.IPAMPool(subnet=str(subnet), gateway=f"{base}.1", iprange=f"{base}.224/27")
    with hosts[0].connect() as manager:
        name = f"{LAB}-{time.monotonic_ns()}"
        created = manager._api.create_network(
            name,
            driver="overlay",
            internal=True,
            attachable=True,
            labels={topology.LABEL_LAB: LAB},
            ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        )
        yield Overlay(name, str(subnet))
        for host in hosts:
            remove_containers(host)
        manager._api.remove_network(created["Id"])
    for host in hosts:
        with host.connect() as engine:
            # A worker hears of it later.
            assert wait_until(lambda: not engine._api.networks(names=[name]), timeout_s=60)


def remove_containers(host: Host) -> None:
    with host.connect() as engine:
        for one in engine._api.containers(all=True, filters={"label": [f"{topology.LABEL_LAB}={LAB}"]}):
            engine._api.remove_container(one["Id"], force=True)


def test_a_datagram_of_full_size_passes_between_hosts_in_one_piece(hosts: list[Host], overlay: Overlay) -> None:
    """Of the underlay's 1500 bytes VXLAN takes 50; IP and UDP have 28 of the rest."""
    base = overlay.subnet.rpartition(".")[0]
    with hosts[1].connect() as second, hosts[2].connect() as third:
        receiver = overlay.start(second, f"{base}.11", RECEIVE)
        assert wait_until(lambda: "ready" in receiver.logs(), timeout_s=60), receiver.logs()
        sender = overlay.start(third, f"{base}.2", SEND, f"{base}.11", "1422")
        assert sender.wait(timeout_s=60) == 0, sender.logs()
        assert sender.logs().split() == ["90", "1450"]  # EMSGSIZE, and the MTU of the path
        assert receiver.wait(timeout_s=60) == 0
        assert receiver.logs().split() == ["ready", "1422", f"{base}.2"]
        receiver.refresh()
        assert list(receiver._seen["NetworkSettings"]["Networks"]) == [overlay.name]  # and no way to the internet


def test_the_wire_and_the_probe_work_on_a_host(hosts: list[Host]) -> None:
    """User Mode Linux under seccomp, and the probe with the host's processes and network."""
    with hosts[2].connect() as third:
        try:
            wired = start_wired(third, load_layout(), LAB, clients=1)
            wired.send(rate=1000, seconds=0.05)
            assert wait_until(lambda: wired.received() == [50], timeout_s=30), wired.received()
        finally:
            third.remove_lab(LAB)


def test_a_host_that_was_switched_off_is_back_in_the_swarm_with_its_containers(hosts: list[Host]) -> None:
    second = hosts[1]
    with second.connect() as engine:
        created = engine._api.create_container(
            images.tag_of("probe"), command=["sleep", "infinity"], labels={topology.LABEL_LAB: LAB}
        )
        engine._api.start(created)
    try:
        second.kill()
        with pytest.raises(EngineError):
            second.connect(timeout_s=2)
        second.start()
        join_swarm(hosts)  # waits until it is ready
        with second.connect() as engine:
            state = engine._api.inspect_container(created)["State"]
            assert (state["Status"], state["ExitCode"]) == ("exited", 255)
            engine._api.start(created)
    finally:
        remove_containers(second)


def test_a_host_without_its_cable_cannot_be_reached_and_runs_on(hosts: list[Host]) -> None:
    third = hosts[2]
    third.cut()
    try:
        with pytest.raises(EngineError):
            third.connect(timeout_s=2)
        assert third.run("docker", "version", "--format", "{{.Server.Version}}")
    finally:
        third.mend()
    join_swarm(hosts)


def test_a_host_keeps_the_mtu_of_its_interface(hosts: list[Host]) -> None:
    third = hosts[2]
    try:
        third.set_mtu(1400)
        third.kill()
        third.start()
        assert third.run("cat", "/sys/class/net/eth0/mtu").strip() == "1400"
    finally:
        third.set_mtu(1500)
    join_swarm(hosts)


def test_a_host_leaves_the_swarm_and_joins_again(hosts: list[Host]) -> None:
    hosts[1].leave_swarm()
    with hosts[1].connect() as engine:
        assert engine._api.info()["Swarm"]["LocalNodeState"] == "inactive"
    join_swarm(hosts)
    with hosts[1].connect() as engine:
        assert engine._api.info()["Swarm"]["LocalNodeState"] == "active"
