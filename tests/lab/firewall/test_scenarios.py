"""Every firewall scenario on a running lab.

Each test shows what the scenario blocks and what it leaves open, that it concerns no other client, that its counters
prove both, that `flume doctor` names it, and that `open` restores everything.
"""

import contextlib
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from flume.lab.firewall.rules import SERVER_WIDE
from flume.lab.firewall.scenario import find, find_all
from flume.lab.machine.process import wait_until
from support.labs.firewalls import Event, Firewalled, Viewer
from support.paths import FIREWALLS

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

WELL = {"ok", "open", "reachable", "none", "untested"}


@pytest.fixture
def client(firewalled: Firewalled) -> Iterator[Viewer]:
    """Client 1, which receives before a scenario and again after its removal; the scenario leaves nothing behind.

    The streams of clients 2 and 3 go on in the same session, without a loss.
    """
    viewer, *others = firewalled.clients.values()
    firewalled.touched.clear()
    moment_s = time.time()
    before = {one.number: one.watch_again(after_s=moment_s) for one in (viewer, *others)}
    marks = {one.number: one.now for one in others}
    yield viewer
    firewalled.firewalls.remove()
    moment_s = time.time()
    for one in (viewer, *others):
        if one.number in firewalled.touched:
            one.watch_again(after_s=moment_s)
        else:
            check_unaware(before[one.number], one.receive(after_s=moment_s))
            assert not one.said("error", since=marks[one.number])
    assert firewalled.firewalls.applied() == {}
    assert firewalled.traces() == []


def check_unaware(first: Event, last: Event) -> None:
    """The same session, and not one datagram lost."""
    for key in ("lost", "reconnects", "dropped_by_receiver"):
        assert last[key] == first[key], key
    seconds = last["time_s"] - first["time_s"]
    assert last["datagrams"] - first["datagrams"] > 250 * (seconds - 1), "4 Mbit/s are 380 a second"


@contextlib.contextmanager
def scenario(firewalled: Firewalled, name: str, *, patient: int = 1) -> Iterator[int]:
    """Apply *name* to client *patient*; its doctor examines meanwhile; at the end doctor and counters must agree.

    Yields the mark of client 1 after which its events are new.
    """
    since = firewalled.clients[1].now
    firewalled.apply(name, patient)
    assert firewalled.firewalls.applied()[patient] == name
    with ThreadPoolExecutor(1) as pool:
        examined = pool.submit(firewalled.clients[patient].doctor)
        yield since
        check_findings(name, examined)
    proof = firewalled.proof(patient)
    assert proof.acted, proof
    assert proof.stayed_open, proof


def check_findings(name: str, examined: "Future[dict[str, str]]") -> None:
    """Check that the legs that the scenario names are blocked, and that no other is."""
    found = examined.result(timeout=30)
    expected = find(FIREWALLS, name).doctor
    # The size of the receive buffer depends on this machine, not on the scenario.
    blocked = {leg: finding for leg, finding in found.items() if finding not in WELL and leg != "receive_buffer"}
    well_by_name = {leg: finding for leg, finding in expected.items() if finding in WELL}
    assert blocked | well_by_name == expected, found
    assert {leg: found[leg] for leg in expected} == expected


def check_picture_goes_on(first: Event, last: Event) -> None:
    """Datagrams come, and the player displays what is in them."""
    seconds = last["time_s"] - first["time_s"]
    assert last["datagrams"] - first["datagrams"] > 1000
    assert last["player"]["frames_displayed"] - first["player"]["frames_displayed"] > 0.8 * 25 * (seconds - 1)


def stands_still(viewer: Viewer) -> Event:
    """Return statistics that count the same datagrams as the ones before: the stream has stopped."""
    before = viewer.statistics()
    return viewer.wait(
        "stand still",
        "statistics",
        lambda e: e["datagrams"] == before["datagrams"] and e["time_s"] > before["time_s"] + 0.5,
        since=viewer.now,
        timeout_s=4,
    )


def test_the_catalogue_has_a_test_for_every_scenario():
    tested = set(re.findall(r'scenario\(firewalled, "([a-z-]+)"[,)]', Path(__file__).read_text()))
    assert {one.name for one in find_all(FIREWALLS)} <= tested


def test_control_dropped(firewalled, client):
    with scenario(firewalled, "control-dropped") as since:
        first = client.statistics()
        client.send("interrupt")
        client.wait("miss an answer", "error", lambda e: "did not answer interrupt" in e["message"], since=since)
        last = client.statistics()
        check_picture_goes_on(first, last)
        assert last["lost"] == first["lost"]
        client.wait("give the session up", "statistics", lambda e: e["state"] == "closed", since=since)


def test_control_rejected(firewalled, client):
    with scenario(firewalled, "control-rejected") as since:
        client.send("status")
        client.wait("lose control", "error", lambda e: "reset" in e["message"], since=since)
        client.send("connect")
        refused = client.wait("be refused", "command", lambda e: e["command"] == "connect", since=since)
        assert "refused" in refused["error"]


def test_media_dropped(firewalled, client):
    with scenario(firewalled, "media-dropped") as since:
        assert stands_still(client)["state"] == "active"
        assert client.do("status")["state"] == "active", "control works"
        told = client.wait("tell", "notice", lambda e: e["code"] == "no_datagrams", since=since)
        assert "firewall let UDP" in told["message"]
    reconnects = client.statistics()["reconnects"]
    firewalled.firewalls.remove([1])
    assert client.receive()["reconnects"] == reconnects, "the same session goes on"


def test_media_rejected(firewalled, client):
    with scenario(firewalled, "media-rejected") as since:
        ended = client.wait("be given up", "error", lambda e: e.get("code") == "port_unreachable", since=since)
        assert "ICMP port unreachable" in ended["message"]
        assert stands_still(client)["datagrams"] > 0


def lost_in_the_middle(firewalled: Firewalled, viewer: Viewer, name: str) -> tuple[int, int]:
    """Apply *name* in mid-stream; return how many datagrams the client misses and how many the rules dropped."""
    before = viewer.statistics()
    firewalled.apply(name, 1)
    seen = viewer.receive(timeout_s=5)
    assert seen["reconnects"] == before["reconnects"], "the same session goes on"
    lost = viewer.settled()["lost"] - before["lost"]
    proof = firewalled.proof(1)
    viewer.do("continue")
    viewer.receive()
    return lost, proof.packets("blocked media") + proof.packets("also media")


def begin_anew(viewer: Viewer) -> None:
    """End the session, begin another one, and check that it loses no datagram."""
    assert viewer.do("disconnect")["reply"] == "disconnect"
    lost = viewer.statistics()["lost"]
    assert viewer.do("connect")["reply"] == "connect"
    viewer.receive()
    assert viewer.settled()["lost"] == lost
    viewer.do("continue")


def test_stateful_works(firewalled, client):
    with scenario(firewalled, "stateful", patient=2):
        lost, taken = lost_in_the_middle(firewalled, client, "stateful")
        assert 0 < lost == taken < 1500, "it opens at the first token after half a second of silence"
        begin_anew(client)


def test_stateful_expiring_recovers(firewalled, client):
    before = client.statistics()
    firewalled.apply("stateful-expiring", 1)
    with scenario(firewalled, "stateful-expiring", patient=2):
        assert client.receive()["lost"] == before["lost"], "its own datagrams keep it open"
        assert client.settled()["lost"] == before["lost"]
        assert wait_until(lambda: firewalled.forgets_the_flow_of(client), timeout_s=5, interval_s=0.05)
        client.do("continue")
        assert client.receive(timeout_s=4)["reconnects"] == before["reconnects"], "the same session goes on"
        lost = client.settled()["lost"] - before["lost"]
        assert 0 < lost == firewalled.proof(1).packets("blocked media") < 1000
        client.do("continue")


def new_port(viewer: Viewer, since: int) -> int:
    moved = viewer.wait("be followed", "notice", lambda e: e["code"] == "media_moved", since=since)
    found = re.search(r"from port (\d+) now", moved["message"])
    assert found is not None, moved
    return int(found[1])


def test_nat_works(firewalled, client):
    with scenario(firewalled, "nat", patient=2) as since:
        lost, taken = lost_in_the_middle(firewalled, client, "nat")
        assert 0 < lost == taken < 1500
        assert 41000 <= new_port(client, since) < 42000
        begin_anew(client)


def test_nat_rebind_is_followed(firewalled, client):
    ports = []
    with scenario(firewalled, "nat-rebind", patient=2):
        for _ in range(2):
            since = client.now
            lost, taken = lost_in_the_middle(firewalled, client, "nat-rebind")
            assert 0 < lost == taken < 1500
            ports.append(new_port(client, since))
        assert all(42000 <= port < 52000 for port in ports)
        assert ports[0] != ports[1]


def test_control_cut(firewalled, client):
    with scenario(firewalled, "control-cut") as since:
        first = client.statistics()
        client.send("status")
        client.wait("miss an answer", "error", lambda e: "did not answer status" in e["message"], since=since)
        assert not [e for e in client.said("error", since=since) if "reset" in e["message"]], "no RST"
        check_picture_goes_on(first, client.statistics())


def test_wrong_port(firewalled, client):
    with scenario(firewalled, "wrong-port") as since:
        ended = client.wait(
            "be given up", "error", lambda e: e.get("code") == "consent_expired", since=since, timeout_s=10
        )
        assert "is UDP port 5004 open from the client to the server" in ended["message"]
        client.wait("try again", "statistics", lambda e: e["state"] == "connecting", since=since, timeout_s=5)
        assert client.do("status")["state"] == "connecting", "control works"


def test_rate_limited(firewalled, client):
    first = client.statistics()
    firewalled.apply("rate-limited", 1)
    with scenario(firewalled, "rate-limited", patient=2):
        between = [client.statistics() for _ in range(3)]
        rate = (between[2]["datagrams"] - between[0]["datagrams"]) / (between[2]["time_s"] - between[0]["time_s"])
        assert 80 < rate < 120
        assert client.do("status")["state"] == "active", "control works"
        lost = client.settled()["lost"] - first["lost"]
        assert lost == firewalled.proof(1).packets("blocked media") > 300
        client.do("continue")


def test_fragments_dropped(firewalled, client):
    made = fragments_made(firewalled)
    with scenario(firewalled, "fragments-dropped"):
        assert stands_still(client)["state"] == "active"
        assert client.do("status")["state"] == "active", "control works"
    assert fragments_made(firewalled) > made + 200, "the server's host cuts them"


def fragments_made(firewalled: Firewalled) -> int:
    """Return the fragments that the server's host has made (FragCreates of RFC 1213)."""
    snmp = firewalled.firewalls.probe.counters([firewalled.server.pid])[firewalled.server.pid].snmp
    names, values = (line.split() for line in snmp.splitlines() if line.startswith("Ip:"))
    return int(values[names.index("FragCreates")])


def test_one_client_isolated(firewalled, client):
    with scenario(firewalled, "one-client-isolated") as since:
        stands_still(client)
        client.send("status")
        client.wait("miss an answer", "error", lambda e: "did not answer status" in e["message"], since=since)


def test_at_the_server_it_concerns_every_client(firewalled):
    viewers = list(firewalled.clients.values())
    reconnects = [viewer.watch_again()["reconnects"] for viewer in viewers]
    firewalled.apply("media-dropped", SERVER_WIDE)
    for viewer in viewers:
        assert stands_still(viewer)["state"] == "active"
    proof = firewalled.proof(SERVER_WIDE)
    assert proof.acted, proof
    firewalled.firewalls.remove()
    assert [viewer.receive()["reconnects"] for viewer in viewers] == reconnects
    assert firewalled.traces() == []


def test_two_clients_have_two_firewalls_and_one_goes_alone(firewalled):
    firewalled.apply("media-dropped", 1)
    firewalled.apply("control-dropped", 2)
    assert firewalled.firewalls.applied() == {1: "media-dropped", 2: "control-dropped"}
    firewalled.firewalls.remove([1])
    assert firewalled.firewalls.applied() == {2: "control-dropped"}
    firewalled.clients[1].watch_again()
    firewalled.apply("stateful", 2)
    assert firewalled.firewalls.applied() == {2: "stateful"}
    firewalled.firewalls.remove()
    assert firewalled.traces() == []
