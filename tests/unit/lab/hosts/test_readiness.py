"""What a preflight's facts mean: the cases of a Swarm with the lines to type, MTU, paths, and the table."""

import re

import pytest

from flume.lab.containers.engine_values import EngineInfo, Swarm, info_of
from flume.lab.hosts.host_facts import HostFacts, Path, Underlay, underlay_untrusted
from flume.lab.hosts.readiness import Readiness, judge, refusal
from flume.lab.hosts.swarm import swarm_state
from support.labs.fake_docker import INFO

GOOD = Path(answered=True, full=(True, True), batch=(True, True), damaged=0, checksum_errors=0, mtu=1450)


def swarm(node: str, *, manager: str = "m1", cluster: str = "c1", state: str = "active", error: str = "") -> Swarm:
    is_manager = node == manager
    return Swarm(
        cluster=cluster if is_manager else "",
        node=node,
        address=f"198.18.0.{node[-1]}",
        managers=(manager,),
        is_manager=is_manager,
        is_active=state == "active",
        state=state,
        error=error,
    )


def info(place: Swarm | None = None, **more: object) -> EngineInfo:
    values = {name: getattr(info_of(INFO, ""), name) for name in EngineInfo.__struct_fields__}
    return EngineInfo(**{**values, "swarm": place, **more})


def host(name: str, place: Swarm | None = None, **more: object) -> HostFacts:
    facts = HostFacts(name, info(place), underlay=Underlay("eth0", 1500))
    return facts._replace(**more)  # type: ignore[arg-type]


def good(*more: HostFacts) -> list[HostFacts]:
    return [host("a", swarm("m1")), host("b", swarm("w2"), path=GOOD), *more]


def verdict(*facts: HostFacts) -> Readiness:
    found = judge(facts, server="a")
    assert all("\n" not in problem for problem in found.problems)
    return found


# The Swarm


def test_hosts_of_one_swarm_are_ready() -> None:
    found = verdict(*good())
    assert (found.problems, found.to_type, found.mtu) == ((), (), 1500)
    assert refusal(found, file="hosts.toml") == ""


def test_one_host_needs_no_swarm() -> None:
    assert verdict(host("a")).problems == ()


def test_where_there_is_no_swarm_all_lines_are_given() -> None:
    found = verdict(host("a", address="198.18.0.7"), host("b"), host("c"))
    assert found.problems == ("none of the hosts is in a Swarm: type the lines below",)
    assert found.to_type == (
        ("a", "docker swarm init --advertise-addr 198.18.0.7"),
        ("a", "docker swarm join-token --quiet worker"),
        ("b", "docker swarm join --token TOKEN 198.18.0.7:2377"),
        ("c", "docker swarm join --token TOKEN 198.18.0.7:2377"),
    )
    line = refusal(found, file="hosts.toml")
    assert "on a: docker swarm init" in line
    assert "nothing was started; flume lab hosts hosts.toml shows all" in line


def test_an_address_that_is_not_known_is_asked_for() -> None:
    found = verdict(host("a"), host("b"))
    assert "with the ADDRESS by which the other hosts reach a" in found.problems[0]
    assert found.to_type[-1].command.endswith(" ADDRESS:2377")


def test_a_host_outside_joins_the_managers_swarm() -> None:
    found = verdict(*good(host("c", address="fd00::3")))
    assert "in no Swarm, so the lab's network does not reach them: c" in found.problems[0]
    assert found.to_type[0].host == "a"
    assert found.to_type[-1] == ("c", "docker swarm join --token TOKEN 198.18.0.1:2377")


def test_hosts_of_two_swarms() -> None:
    found = verdict(*good(host("c", swarm("m9", manager="m9", cluster="c9"))))
    assert "the hosts are in different Swarms (a, b and c)" in found.problems[0]
    assert [str(one.command).split(" --token")[0] for one in found.to_type] == [
        "docker swarm leave --force",
        "docker swarm join-token --quiet worker",
        "docker swarm join",
    ]


def test_workers_of_one_swarm_are_known_by_their_manager() -> None:
    problems, _ = swarm_state([host("a", swarm("w1")), host("b", swarm("w2"))])
    assert problems == [
        "none of the hosts manages the Swarm of a, b, so no network over them can be made: add a manager to the hosts "
        "file, or type on a manager: docker node promote w1"
    ]


def test_managers_join_what_workers_know_in_part() -> None:
    places = [swarm("w1", manager="m1"), swarm("w2", manager="m2")]
    both = Swarm(cluster="c", node="m1", address="", managers=("m1", "m2"), is_manager=True, is_active=True)
    assert swarm_state([host("a", places[0]), host("b", places[1]), host("c", both)]) == ([], [])


@pytest.mark.parametrize(
    ("state", "cure"),
    [("locked", "docker swarm unlock"), ("pending", "does TCP 2377 reach it"), ("error", "see docker info there")],
)
def test_a_host_that_takes_no_part(state: str, cure: str) -> None:
    found = verdict(*good(host("c", swarm("w3", state=state, error="it says why"))))
    assert f"host c: its place in the Swarm is {state} (it says why): " in found.problems[0]
    assert cure in found.problems[0]


def test_what_docker_info_says_of_a_swarm() -> None:
    seen = {"LocalNodeState": "locked", "NodeID": "", "Error": "Swarm is\nencrypted", "SystemTime": "x"}
    found = info_of({**INFO, "Swarm": seen, "SystemTime": "2026-01-02T03:04:05.678901+05:30"}, "")
    assert found.swarm is not None
    assert (found.swarm.state, found.swarm.error, found.utc_offset) == ("locked", "Swarm is encrypted", "+05:30")
    assert info_of(INFO, "").utc_offset == ""


# Networks and paths


@pytest.mark.parametrize(("mtu", "is_refused"), [(1405, True), (1406, False), (9000, False)])
def test_the_mtu_between_the_hosts(mtu: int, is_refused: bool) -> None:
    found = verdict(*good(host("c", swarm("w3"), path=GOOD, underlay=Underlay("wg0", mtu))))
    assert found.mtu == min(mtu, 1500)
    assert bool(found.problems) == is_refused
    if is_refused:
        assert "host c: the MTU of wg0, by which it reaches the others, is 1405" in found.problems[0]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (GOOD._replace(answered=False), r"carries nothing between a \(198.18.0.1\) and c \(198.18.0.3\): let UDP 4789"),
        (GOOD._replace(damaged=2), "datagrams arrive damaged .*: 2 with other content, 0 with a wrong checksum"),
        (GOOD._replace(checksum_errors=3), "3 with a wrong checksum"),
        (
            GOOD._replace(full=(False, False)),
            r"packets of 1450 bytes do not pass .*\(198.18.0.3\), though .* 1500",
        ),
        (GOOD._replace(full=(True, False)), "on the way back"),
        (GOOD._replace(batch=(False, True)), "batches of datagrams do not pass .* on the way there"),
    ],
)
def test_a_path_that_fails(path: Path, said: str) -> None:
    (problem,) = verdict(*good(host("c", swarm("w3"), path=path))).problems
    assert re.search(said, problem)


def test_another_processor_is_refused() -> None:
    other = host("b", swarm("w2"))._replace(info=info(swarm("w2"), architecture="aarch64"))
    assert "host b is aarch64, and the server's host a is x86_64" in verdict(host("a", swarm("m1")), other).problems[0]


def test_time_zones_and_versions_are_said_and_are_no_problem() -> None:
    there = info(swarm("w2"), utc_offset="+09:00", version="28.1")
    found = verdict(
        host("a", swarm("m1"))._replace(info=info(swarm("m1"), utc_offset="Z")),
        host("b", swarm("w2"), path=GOOD, netem="none")._replace(info=there),
    )
    assert found.problems == ()
    assert "(a UTC, b UTC+09:00)" in found.notes[0]
    assert "The engines differ: a 99, b 28.1" in found.notes[1]
    assert "On b no link can be shaped" in found.notes[2]


def test_the_table() -> None:
    first, second = verdict(
        host("a", swarm("m1"), images={"flumelab/probe": True}, netem="kernel"),
        host("b", swarm("w2"), path=GOOD, images={"flumelab/probe": False}, clock="+1.2 ms ± 0.1 ms"),
    ).rows
    assert (first.host, first.swarm) == ("a (server)", "manager of c1")
    assert (first.images, first.clock) == ("all there", "reference")
    assert (second.host, second.swarm, second.path) == ("b", "worker", "1450 bytes and batches")
    assert (second.images, second.clock) == ("copied: flumelab/probe", "+1.2 ms ± 0.1 ms")


def test_the_smallest_mtu_of_interface_or_route() -> None:
    links = '[{"ifname":"lo","mtu":65536},{"ifname":"eth0","mtu":1500},{"ifname":"wg0","mtu":1420}]'
    routes = ['[{"dst":"a","dev":"eth0"}]', '[{"dst":"b","dev":"wg0","metrics":[{}]}]']
    assert underlay_untrusted("\n".join([links, *routes])) == ("wg0", 1420)
    assert underlay_untrusted(links + '\n[{"dev":"eth0","mtu":"lock 1300"}]') == ("eth0", 1300)
    assert underlay_untrusted("") is None
    assert underlay_untrusted("[[[\n{}\n[3]") is None
