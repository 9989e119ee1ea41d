"""The clocks of three machines, compared by their probes: here they are one clock, and the bounds say how surely."""

import os
from collections.abc import Callable, Iterator

import pytest

from flume.lab.containers.engine import Start
from flume.lab.containers.probe import Probe
from flume.lab.hosts.clocks import measure_offsets
from support.labs.containers import load_layout
from support.labs.nested import Host

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

LAB = f"test-{os.getpid()}-clocks"
Places = dict[str, tuple[Probe, str]]


@pytest.fixture
def places(hosts: list[Host]) -> Iterator[Places]:
    """The probe of each host, and the host's address."""
    engines = [host.connect() for host in hosts]
    try:
        found: Places = {}
        for host, engine in zip(hosts, engines, strict=True):
            [container] = engine.start(LAB, "run-1", load_layout(), [Start(service="probe", role="probe")])
            found[host.name] = Probe(container), host.address
        yield found
    finally:
        for engine in engines:
            engine.remove_lab(LAB)
            engine.close()


def test_three_hosts_with_one_clock_are_not_apart(
    places: Places, record_property: Callable[[str, object], None]
) -> None:
    found = measure_offsets(places["h1"], {name: places[name] for name in ("h2", "h3")})
    assert not found.reasons
    for name in ("h2", "h3"):
        one = found.measured[name]
        assert abs(one.ahead_s) <= one.bound_s
        record_property(f"{name}: ahead, µs", round(1e6 * one.ahead_s, 2))
        record_property(f"{name}: bound, µs", round(1e6 * one.bound_s, 2))


def test_a_firewall_between_two_hosts_is_the_reason_and_the_third_has_its_offset(
    hosts: list[Host], places: Places
) -> None:
    block = ["INPUT", "-s", hosts[0].address, "-p", "udp", "!", "--sport", "4789", "-j", "DROP"]
    hosts[1].run("iptables", "-I", *block)
    try:
        found = measure_offsets(places["h1"], {name: places[name] for name in ("h2", "h3")})
    finally:
        hosts[1].run("iptables", "-D", *block)
    assert set(found.measured) == {"h3"}
    said = f"no answer by UDP from the server's host {hosts[0].address} to {hosts[1].address}: a firewall between"
    assert found.reasons["h2"].startswith(said)
