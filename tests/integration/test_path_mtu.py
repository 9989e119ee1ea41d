"""A router between server and client whose link to the client is narrow: with its ICMP, and without."""

import contextlib
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from flume.client.app import Client
from flume.client.playback.player import NullPlayer
from flume.control.session import Command
from flume.doctor.diagnosis import Finding
from flume.doctor.examination import Examination
from flume.lab.machine.process import wait_until
from flume.settings import ClientSettings
from support.namespaces import WirePair
from support.servers.plain_server import PORT, served

pytestmark = pytest.mark.wire

SERVERS = {4: "198.18.0.2", 6: "fd00:c612::2"}
SILENT = (
    "iptables -A OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP",
    "ip6tables -A OUTPUT -p icmpv6 --icmpv6-type packet-too-big -j DROP",
)


class NarrowPair(WirePair):
    """Server, router and client; the router's link to the client carries 1280 bytes. The ends do not know that."""

    def __init__(self, *, silent: bool, segmentation: bool = True) -> None:
        super().__init__(clients=1, segmentation=segmentation)
        self.router = f"{self._stem}-r"
        self._silent = silent

    def _make(self) -> None:
        for name in (self.server, self.router, self.client):
            self.run("ip", "netns", "add", name)
            self.run("ip", "-n", name, "link", "set", "lo", "up")
        for end, near, number in ((self.server, "eth0", 0), (self.client, "eth1", 1)):
            link = ("eth0", "netns", end, "type", "veth", "peer", "name", near, "netns", self.router)
            self.run("ip", "link", "add", *link)
            net, net6 = f"198.18.{number}.", f"fd00:c612:0:{number}::" if number else "fd00:c612::"
            for name, device, host in ((end, "eth0", 2), (self.router, near, 1)):
                for address in (f"{net}{host}/24", f"{net6}{host}/64"):
                    self.run("ip", "-n", name, "addr", "add", address, "dev", device, "nodad")
                self.run("ip", "-n", name, "link", "set", device, "up")
            for gateway in (f"{net}1", f"{net6}1"):
                self.run("ip", "-n", end, "route", "add", "default", "via", gateway)
        forwarding = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.run(*self.inside(self.router, "sysctl", "-q", "-w", *forwarding))
        self.run("ip", "-n", self.router, "link", "set", "eth1", "mtu", "1280")
        for rule in SILENT if self._silent else ():
            self.run(*self.inside(self.router, *rule.split()))

    @staticmethod
    def run(*arguments: str) -> None:
        subprocess.run(arguments, check=True, capture_output=True, timeout=20)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        subprocess.run(("ip", "netns", "del", self.router), check=False, capture_output=True, timeout=20)


@contextlib.contextmanager
def serving(version: int, *, silent: bool, options: Sequence[str] = ()) -> Iterator[NarrowPair]:
    with NarrowPair(silent=silent) as pair, served(pair, "::", options=options):
        assert wait_until(lambda: reaches(pair, SERVERS[version]), timeout_s=20)
        yield pair


def reaches(pair: NarrowPair, address: str) -> bool:
    ping = pair.inside(pair.client, "ping", "-c1", "-W1", address)
    return subprocess.run(ping, check=False, capture_output=True, timeout=20).returncode == 0


def carried_by(pair: NarrowPair, version: int) -> str | None:
    """What brings the stream to a client that may choose; nothing of it may be lost."""
    with pair.as_client(), Client(ClientSettings(host=SERVERS[version], port=PORT), NullPlayer()) as client:
        client.send(Command.CONNECT)
        assert wait_until(lambda: client.statistics().datagrams > 100, timeout_s=25), client.statistics()
        return client.statistics().transport


FEW = ("--bitrate", "300")
SINGLE = ("--set", "segmentation=false")
SIX = ("--set", "datagram_packets=6")


@pytest.mark.parametrize(
    ("version", "silent", "options", "transport"),
    [
        (4, True, (*SINGLE, *FEW), "udp"),
        (6, False, (), "udp"),
        (6, True, (), "tcp"),
        (6, True, SIX, "udp"),
    ],
)
def test_a_stream_passes_a_narrow_link(version: int, silent: bool, options: Sequence[str], transport: str):
    with serving(version, silent=silent, options=options) as pair:
        assert carried_by(pair, version) == transport


def examined(pair: NarrowPair, version: int) -> dict[str, Finding]:
    """The findings up to the size; those after it take some seconds more."""
    found: dict[str, Finding] = {}
    with pair.as_client(), contextlib.closing(Examination(SERVERS[version], PORT).legs()) as legs:
        for finding in legs:
            found[finding.leg] = finding
            if finding.leg == "path_mtu":
                break
    return found


@pytest.mark.parametrize(
    ("version", "options", "finding", "says"),
    [
        (4, FEW, "fragmented", "--datagram-packets 6"),
        (6, FEW, "too_big", "--datagram-packets 6"),
    ],
)
def test_the_doctor_names_the_size_at_any_rate(version: int, options: Sequence[str], finding: str, says: str):
    with serving(version, silent=True, options=options) as pair:
        found = examined(pair, version)
    assert found["path_mtu"].finding == finding, found
    assert says in f"{found['path_mtu'].detail} {found['path_mtu'].remedy}"
    assert found["udp_back"].weight == "well"


def forge(pair: WirePair, address: str, port: int) -> None:
    """Say to the server, as any host could, that its datagrams to *address* and *port* are longer than 552 bytes."""
    ends = (socket.inet_aton(SERVERS[4]), socket.inet_aton(address))
    quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1356, 1, 0x4000, 64, 17, 0, *ends)
    quoted += struct.pack("!HHHH", PORT, port, 1336, 0)
    message = struct.pack("!BBHHH", 3, 4, 0, 0, 552) + quoted
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    message = message[:2] + struct.pack("!H", checksum) + message[4:]
    with pair.as_client(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        for _ in range(20):
            raw.sendto(message, (SERVERS[4], 0))


def counter(pair: WirePair, name: str, key: str) -> int:
    """Return a counter of ``/proc/net/snmp`` in namespace *name*."""
    text = subprocess.run(pair.inside(name, "cat", "/proc/net/snmp"), check=True, capture_output=True, text=True).stdout
    heads, values = (line.split() for line in text.splitlines() if line.startswith(f"{key.split('.', maxsplit=1)[0]}:"))
    return int(values[heads.index(key.split(".")[1])])


@pytest.mark.parametrize("options", [SINGLE, ()])
def test_forged_icmp_costs_no_datagram(options: Sequence[str]):
    with (
        WirePair(clients=1) as pair,
        served(pair, options=options),
        pair.as_client(),
        Client(ClientSettings(host=SERVERS[4], port=PORT, transport="udp"), NullPlayer()) as client,
    ):
        client.send(Command.CONNECT)
        assert wait_until(lambda: client.statistics().datagrams > 100, timeout_s=25), client.statistics()
        seen = client.statistics()
        forge(pair, str(seen.address), seen.media_port or 0)
        assert wait_until(lambda: counter(pair, pair.server, "Icmp.InDestUnreachs") >= 20, timeout_s=10)
        more = client.statistics().datagrams + 200
        assert wait_until(lambda: client.statistics().datagrams > more, timeout_s=25), client.statistics()
        assert client.statistics().lost == 0
