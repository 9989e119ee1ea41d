"""A client whose own address changes under a stream, and hosts that have link-local addresses only."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from flume.client.app import Client
from flume.client.events import ClientEvent
from flume.client.playback.player import NullPlayer
from flume.control.session import Command, State
from flume.doctor.diagnosis import Finding
from flume.doctor.examination import Examination
from flume.errors import NetworkError
from flume.lab.machine.process import wait_until
from flume.settings import ClientSettings, TransportChoice
from support.namespaces import SERVER_ADDRESS, WirePair, client_address
from support.servers import certificates
from support.servers.plain_server import PORT, served

pytestmark = pytest.mark.wire

OLD, NEW = client_address(0), "198.18.0.77"
SERVER_6, OLD_6, NEW_6 = "fd00:c612::2", "fd00:c612::10", "fd00:c612::77"
LINK_LOCAL = "fe80::5004%eth0"


def ip(pair: WirePair, name: str, *lines: str) -> None:
    """Carry out *lines*, arguments of ``ip``, in namespace *name*."""
    for line in lines:
        subprocess.run(("ip", "-n", name, *line.split()), check=True, capture_output=True, timeout=20)


@pytest.fixture
def pair() -> Iterator[WirePair]:
    with WirePair(clients=1) as pair:
        ip(pair, pair.server, f"addr add {SERVER_6}/64 dev eth0 nodad", "addr add fe80::5004/64 dev eth0 nodad")
        ip(pair, pair.client, f"addr add {OLD_6}/64 dev eth0 nodad", "addr add fe80::10/64 dev eth0 nodad")
        yield pair


class Watching(NamedTuple):
    """A client in the client's namespace, and what it reported."""

    client: Client
    events: list[ClientEvent]

    def flows_from(self, address: str) -> bool:
        """Whether datagrams come over UDP to *address*."""
        now = self.client.statistics()
        age_s = now.last_datagram_age_s
        return (now.address, now.transport, now.state) == (address, "udp", "active") and (age_s or 9) < 0.2

    def wait_until_flowing(self, address: str) -> None:
        has_come = wait_until(lambda: self.flows_from(address), timeout_s=25)
        assert has_come, f"{self.client.statistics()} {self.events}"

    @property
    def messages(self) -> str:
        return "\n".join(str(event.message) for event in self.events if event.message)


@contextlib.contextmanager
def watching(pair: WirePair, host: str, *, transport: TransportChoice = "auto") -> Iterator[Watching]:
    events: list[ClientEvent] = []
    settings = ClientSettings(host=host, port=PORT, transport=transport)
    with pair.as_client(), Client(settings, NullPlayer(), on_event=events.append) as client:
        client.send(Command.CONNECT)
        assert client.wait_until_state(State.ACTIVE, timeout_s=20)
        yield Watching(client, events)


class Change(NamedTuple):
    """What happens to the client's network, and what the client says."""

    server: str
    old: str
    new: str
    commands: Sequence[str]
    says: str
    rules: Sequence[str] = ()


CHANGES = {
    "another_address": Change(
        SERVER_ADDRESS,
        OLD,
        NEW,
        (f"addr del {OLD}/15 dev eth0", f"addr add {NEW}/15 dev eth0"),
        f"this host no longer has the address {OLD}",
    ),
    "another_ipv6_address": Change(
        SERVER_6,
        OLD_6,
        NEW_6,
        (f"addr add {NEW_6}/64 dev eth0 nodad", f"addr del {OLD_6}/64 dev eth0"),
        f"this host no longer has the address {OLD_6}",
    ),
    "another_way": Change(
        SERVER_ADDRESS,
        OLD,
        NEW,
        (f"addr add {NEW}/15 dev eth0", f"route add {SERVER_ADDRESS}/32 dev eth0 src {NEW}"),
        f"this host reaches the server from {NEW} now, no longer from {OLD}",
        (f"iptables -A INPUT -s {OLD} -j DROP", f"iptables -A OUTPUT -d {OLD} -j DROP"),
    ),
}


@pytest.mark.parametrize(
    ("name", "transport"),
    [
        ("another_address", "udp"),
        ("another_ipv6_address", "auto"),
        ("another_way", "auto"),
    ],
)
def test_a_client_with_another_address_streams_again_over_udp(pair: WirePair, name: str, transport: TransportChoice):
    change = CHANGES[name]
    host = "::" if ":" in change.server else SERVER_ADDRESS
    with served(pair, host), watching(pair, change.server, transport=transport) as seen:
        seen.wait_until_flowing(change.old)
        for rule in change.rules:
            subprocess.run(pair.inside(pair.server, *rule.split()), check=True, timeout=20)
        ip(pair, pair.client, *change.commands)
        seen.wait_until_flowing(change.new)
        assert change.says in seen.messages
        assert "udp_blocked" not in {event.code for event in seen.events}


def test_an_interface_that_was_gone_for_a_while(pair: WirePair):
    """As ``docker network disconnect`` and ``connect``: for some seconds there is no address and no route at all."""
    with served(pair), watching(pair, SERVER_ADDRESS) as seen:
        seen.wait_until_flowing(OLD)
        ip(pair, pair.client, "addr flush dev eth0", "link set eth0 down")
        assert wait_until(lambda: not seen.client.statistics().linked, timeout_s=20)
        ip(pair, pair.client, "link set eth0 up", f"addr add {NEW}/15 dev eth0")
        seen.wait_until_flowing(NEW)
        assert f"this host no longer has the address {OLD}" in seen.messages


def test_an_old_address_that_goes_on_working_is_kept(pair: WirePair):
    """As with IPv6 privacy addresses: new connections begin at the new one, the stream stays."""
    with served(pair, "::"), watching(pair, SERVER_6) as seen:
        seen.wait_until_flowing(OLD_6)
        ip(pair, pair.client, f"addr add {NEW_6}/64 dev eth0 nodad")
        ip(pair, pair.client, f"addr change {OLD_6}/64 dev eth0 nodad preferred_lft 0")
        before = seen.client.statistics().datagrams
        assert wait_until(lambda: seen.client.statistics().datagrams > before + 400, timeout_s=25)
        assert seen.flows_from(OLD_6)
        assert seen.client.statistics().reconnects == 0


@pytest.mark.parametrize(("listening", "given"), [("::", LINK_LOCAL), (LINK_LOCAL, "[fe80::5004%25eth0]")])
def test_a_stream_between_link_local_addresses(pair: WirePair, listening: str, given: str):
    with served(pair, listening), watching(pair, given, transport="udp") as seen:
        seen.wait_until_flowing("fe80::10%eth0")
        assert seen.client.statistics().server == f"[{LINK_LOCAL}]:{PORT}"


@pytest.mark.parametrize(("given", "transport"), [(LINK_LOCAL, "udp"), ("[fe80::5004%25eth0]", "tcp")])
def test_tls_between_link_local_addresses_verifies_the_address_without_its_interface(
    pair: WirePair, tmp_path: Path, given: str, transport: TransportChoice
):
    files = certificates.write(tmp_path, "fe80::5004")
    options = ("--set", f'tls_certificate="{files.certificate}"')
    settings = ClientSettings(host=given, port=PORT, transport=transport, tls=True, ca=files.ca)
    with served(pair, "::", options=options), pair.as_client(), Client(settings, NullPlayer()) as client:
        client.send(Command.CONNECT)
        assert client.wait_until_state(State.ACTIVE, timeout_s=20)
        assert wait_until(lambda: client.statistics().datagrams > 100, timeout_s=25)


def test_tls_to_a_link_local_address_that_the_certificate_does_not_name_is_one_line(pair: WirePair, tmp_path: Path):
    files = certificates.write(tmp_path, "fe80::1")
    options = ("--set", f'tls_certificate="{files.certificate}"')
    settings = ClientSettings(host=LINK_LOCAL, port=PORT, tls=True, ca=files.ca, reconnect=False)
    with (
        served(pair, "::", options=options),
        pair.as_client(),
        Client(settings, NullPlayer()) as client,
        pytest.raises(NetworkError, match="its certificate is for another name") as raised,
    ):
        client.connect()
    assert str(raised.value).startswith("no TLS with fe80::5004%eth0: ")
    assert "\n" not in str(raised.value)


def test_the_doctor_examines_a_link_local_address(pair: WirePair):
    findings: dict[str, Finding] = {}
    examination = Examination(LINK_LOCAL, PORT)
    with served(pair, "::"), pair.as_client(), contextlib.closing(examination.legs()) as legs:
        for finding in legs:
            findings[finding.leg] = finding
            if finding.leg == "path_mtu":  # the legs after it take some seconds more
                break
    assert "udp_back" in findings
    blocked = [str(finding) for finding in findings.values() if finding.weight not in {"well", "advice"}]
    assert blocked == []
    assert findings["name"].detail == f"{LINK_LOCAL} is an address"
    assert "fe80::5004%eth0 is there" in findings["host"].detail


def test_a_link_local_address_without_its_interface_is_told(pair: WirePair):
    settings = ClientSettings(host="fe80::5004", reconnect=False)
    needed = pytest.raises(NetworkError, match="a link-local address needs its interface, as in fe80::5004%eth0")
    with pair.as_client(), Client(settings, NullPlayer()) as client, needed:
        client.connect()
