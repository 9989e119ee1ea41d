"""`flume doctor` in network namespaces, against a real server, behind every kind of firewall."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import pytest

from flume.doctor.diagnosis import PATH_LEGS
from flume.doctor.examination import Examination
from flume.lab.machine.process import wait_until
from flume.server.sources.source import SourceEvent
from support.clients.numbers import assert_consecutive
from support.clients.wire_client import WireClient, sequences
from support.media.synthetic import SyntheticSource
from support.namespaces import SERVER_ADDRESS, WirePair
from support.servers.plain_server import PORT, served
from support.servers.program import ENVIRONMENT
from support.servers.running_server import RunningServer, running_server

pytestmark = pytest.mark.wire

MOST_S = 11.5
AT_ONCE = 6
"""Examinations that run side by side, each with a server of its own."""
SERVER_6, CLIENT_6 = "fd00:c612::2", "fd00:c612::10"


class Firewalls(NamedTuple):
    """Rules in the client's and in the server's namespace, and the findings that they lead to."""

    expected: dict[str, str]
    client: Sequence[str] = ()
    server: Sequence[str] = ()
    says: str = ""
    """A pattern that the findings must contain somewhere."""
    link: Sequence[str] = ()
    """Arguments of ``ip`` in the server's namespace."""


IN, OUT = "iptables -A INPUT", "iptables -A OUTPUT"
NONE_BLOCKED = {
    "tcp": "open",
    "control": "ok",
    "udp_out": "ok",
    "nat": "none",
    "udp_back": "ok",
    "path_mtu": "ok",
    "udp_state": "ok",
}
STATEFUL = (
    f"{IN} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
    f"{IN} -j DROP",
)
FORGETFUL = (
    "sysctl -q -w net.netfilter.nf_conntrack_udp_timeout=2 net.netfilter.nf_conntrack_udp_timeout_stream=2",
    *STATEFUL,
)
TRANSLATED = ("iptables -t nat -A POSTROUTING -p udp --dport 5004 -j MASQUERADE --to-ports 40000-40999 --random",)

FIREWALLS = {
    "nothing": Firewalls(NONE_BLOCKED),
    "everything_dropped": Firewalls(
        {"name": "ok", "host": "silent", "tcp": "dropped", "udp_out": "untested"},
        client=("iptables -P INPUT DROP", "iptables -P OUTPUT DROP"),
    ),
    "syn_dropped": Firewalls(
        {"host": "reachable", "tcp": "dropped"},
        server=(f"{IN} -p tcp --dport 5004 -j DROP",),
        says="iptables -I INPUT -p tcp --dport 5004 -j ACCEPT",
    ),
    "syn_reset": Firewalls(
        {"host": "reachable", "tcp": "rejected"},
        server=(f"{IN} -p tcp --dport 5004 -j REJECT --reject-with tcp-reset",),
        says="in use there",
    ),
    "syn_prohibited": Firewalls(
        {"host": "reachable", "tcp": "rejected"},
        server=(f"{IN} -p tcp --dport 5004 -j REJECT --reject-with icmp-admin-prohibited",),
        says=f"ICMP administratively prohibited from {SERVER_ADDRESS}.*on the server",
    ),
    "control_cut": Firewalls(
        {"tcp": "open", "control": "silent", "udp_out": "untested"},
        client=(f"{OUT} -p tcp --dport 5004 -m conntrack --ctstate ESTABLISHED -j DROP",),
        says="not even acknowledged",
    ),
    "token_dropped": Firewalls(
        {"control": "ok", "udp_out": "dropped", "udp_back": "untested"},
        server=(f"{IN} -p udp --dport 5004 -j DROP",),
        says="iptables -I INPUT -p udp --dport 5004 -j ACCEPT",
    ),
    "token_forbidden_here": Firewalls(
        {"control": "ok", "udp_out": "dropped"},
        client=(f"{OUT} -p udp --dport 5004 -j DROP",),
        says="this machine's own firewall",
    ),
    "token_rejected": Firewalls(
        {"control": "ok", "udp_out": "rejected"},
        server=(f"{IN} -p udp --dport 5004 -j REJECT",),
        says=f"ICMP port unreachable from {SERVER_ADDRESS}",
    ),
    "media_dropped": Firewalls(
        {"udp_out": "ok", "udp_back": "dropped", "path_mtu": "untested"},
        client=(f"{IN} -p udp --sport 5004 -j DROP",),
        says="answers of the server.*-I INPUT -p udp -s 198.18.0.2 --sport 5004",
    ),
    "media_rejected": Firewalls(
        {"udp_out": "ok", "udp_back": "rejected"},
        client=(f"{IN} -p udp --sport 5004 -j REJECT",),
        says="ICMP port unreachable",
    ),
    "media_prohibited": Firewalls(
        {"udp_out": "ok", "udp_back": "rejected"},
        client=(f"{IN} -p udp --sport 5004 -j REJECT --reject-with icmp-admin-prohibited",),
        says="send_ehostunreach",
    ),
    "server_forbids_media": Firewalls(
        {"udp_out": "ok", "udp_back": "dropped"},
        server=(f"{OUT} -p udp --sport 5004 -j DROP",),
        says="send_eperm",
    ),
    "long_dropped": Firewalls(
        {"udp_out": "ok", "udp_back": "ok", "path_mtu": "too_big", "udp_state": "untested"},
        client=(f"{IN} -p udp --sport 5004 -m length --length 1301:65535 -j DROP",),
        says="packets of 1280? bytes pass|packets of 1260 bytes pass",
    ),
    "fragmented": Firewalls(
        {"udp_back": "ok", "path_mtu": "fragmented", "udp_state": "ok"},
        link=("link", "set", "eth0", "mtu", "1280"),
        says="pieces of at most 12",
    ),
    "lossy": Firewalls(
        {"udp_back": "lossy", "path_mtu": "ok"},
        client=(
            f"{IN} -p udp --sport 5004 -m hashlimit --hashlimit-name doctor --hashlimit-above 60/sec"
            " --hashlimit-burst 10 -j DROP",
        ),
    ),
    "stateful": Firewalls(NONE_BLOCKED, client=STATEFUL),
    "forgetful": Firewalls(
        {"udp_back": "ok", "udp_state": "forgets"}, client=FORGETFUL, says="came back when the token was sent again"
    ),
    "translated": Firewalls({**NONE_BLOCKED, "nat": "translated"}, client=TRANSLATED),
    "translated_anew": Firewalls(
        {"nat": "translated", "udp_back": "ok", "udp_state": "forgets"},
        client=(*TRANSLATED, *FORGETFUL),
        says="the token comes from port",
    ),
}


def examined(command: Sequence[str], *, host: str, port: int = PORT) -> tuple[int, dict[str, dict], str]:
    """Run the doctor; return its exit status, its findings by leg, and all of its output."""
    arguments = (sys.executable, "-m", "flume.cli", "doctor", host, "--port", str(port), "--json")
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        # The first leg, an address, is known at once: from here on the examination counts, without Python's start.
        began_s = time.monotonic()
        said += process.stdout.read()
        took_s = time.monotonic() - began_s
    assert took_s < MOST_S, f"it took {took_s:.1f} s: {said}"
    return process.returncode, {finding["leg"]: finding for finding in map(json.loads, said.splitlines())}, said


def behind(firewalls: Firewalls) -> tuple[int, dict[str, dict], str, dict]:
    """Examine a server behind *firewalls*, then ask it for its status."""
    with WirePair(clients=1) as pair, served(pair):
        for name, rules in ((pair.client, firewalls.client), (pair.server, firewalls.server)):
            for rule in rules:
                subprocess.run(pair.inside(name, *rule.split()), check=True, capture_output=True, timeout=20)
        if firewalls.link:
            subprocess.run(("ip", "-n", pair.server, *firewalls.link), check=True, capture_output=True, timeout=20)
        outcome = examined(pair.inside(pair.client), host=SERVER_ADDRESS)
        for chain in ("INPUT", "OUTPUT"):
            subprocess.run(pair.inside(pair.server, "iptables", "-F", chain), check=True, timeout=20)
        ask = "import socket,sys; c=socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); "
        ask += """c.sendall(b'{"command":"status"}\\n'); print(c.makefile().readline())"""
        arguments = (sys.executable, "-c", ask, SERVER_ADDRESS, str(PORT))
        said = subprocess.run(pair.inside(pair.server, *arguments), capture_output=True, check=True, timeout=20)
        return *outcome, json.loads(said.stdout)


def doctor_here(host: str, port: int) -> tuple[int, dict[str, dict], str]:
    return examined((), host=host, port=port)


def found(findings: dict[str, dict], *legs: str) -> list[str]:
    return [findings[leg]["finding"] for leg in legs]


class Silent(SyntheticSource):
    """A live source that delivers nothing."""

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        if self._started:
            self._closed.wait(timeout_s)
            return None
        return super().read(timeout_s=timeout_s)


SOURCES = {
    "idle": (lambda: SyntheticSource(live=True), ["ok", "ok", "ok"], 0),
    "ends": (lambda: SyntheticSource(frames=30), ["ok", "ok", "untested"], 1),
    "silent": (lambda: Silent(live=True), ["ok", "ok", "untested"], 1),
}
"""Sources, what is found of ``udp_back``, ``path_mtu`` and ``udp_state``, and the exit status."""


def with_source(name: str) -> tuple[int, dict[str, dict], str]:
    with RunningServer(SOURCES[name][0]()) as server:
        return doctor_here("127.0.0.1", server.port)


def over_ipv6() -> list[tuple[int, dict[str, dict], str]]:
    """Examine a server that has only an IPv6 address: open, then behind a rule that rejects."""
    with WirePair(clients=1) as pair:
        for name, address in ((pair.server, SERVER_6), (pair.client, CLIENT_6)):
            add = ("ip", "-n", name, "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
            subprocess.run(add, check=True, capture_output=True, timeout=20)
        with served(pair, SERVER_6):
            well = examined(pair.inside(pair.client), host=SERVER_6)
            reject = "ip6tables -A INPUT -p tcp --dport 5004 -j REJECT --reject-with icmp6-adm-prohibited"
            subprocess.run(pair.inside(pair.server, *reject.split()), check=True, timeout=20)
            return [well, examined(pair.inside(pair.client), host=f"[{SERVER_6}]")]


@pytest.fixture(scope="module")
def examinations():
    """All long examinations, a few side by side: they wait much more than they compute."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun: dict[str, Future] = {"ipv6": pool.submit(over_ipv6)}
        begun |= {name: pool.submit(with_source, name) for name in SOURCES}
        yield begun | {name: pool.submit(behind, firewalls) for name, firewalls in FIREWALLS.items()}


@pytest.mark.parametrize("name", FIREWALLS)
def test_the_doctor_finds_what_blocks(examinations, name):
    firewalls = FIREWALLS[name]
    status, findings, said, server = examinations[name].result(timeout=120)
    seen = {leg: findings[leg]["finding"] for leg in firewalls.expected}
    assert seen == firewalls.expected, said
    well = {"ok", "open", "reachable", "none", "translated", "fragmented", "small"}
    assert status == (0 if {finding["finding"] for finding in findings.values()} <= well else 1)
    for finding in findings.values():
        needs_no_remedy = finding["finding"] in {"untested", "ok", "open", "reachable", "none", "translated"}
        assert needs_no_remedy == (finding["remedy"] is None), finding
        assert finding["cure"] == finding["remedy"], "the old key, for one release"
    assert re.search(firewalls.says, said), said
    # The server is as before the examination.
    assert server["server"]["sessions"] == server["server"]["active"] == 0


def test_ipv6_is_examined_alike(examinations):
    (status, findings, said), (rejected_status, rejected, rejected_said) = examinations["ipv6"].result(timeout=120)
    assert status == 0, said
    assert found(findings, *NONE_BLOCKED) == list(NONE_BLOCKED.values()), said
    assert rejected_status == 1
    assert found(rejected, "host", "tcp") == ["reachable", "rejected"], rejected_said
    assert f"administratively prohibited from {SERVER_6}" in rejected_said
    assert "ip6tables -I INPUT" in rejected["tcp"]["remedy"]


@pytest.mark.parametrize("name", SOURCES)
def test_the_source_may_be_idle_end_or_be_silent(examinations, name):
    status, findings, said = examinations[name].result(timeout=120)
    _, expected, expected_status = SOURCES[name]
    assert found(findings, "udp_back", "path_mtu", "udp_state") == expected, said
    assert status == expected_status, said


def test_a_server_of_both_families_is_examined_over_ipv4():
    with running_server(host="::") as server:
        legs = Examination("127.0.0.1", server.port).legs()
        seen = {}
        while "path_mtu" not in seen:
            finding = next(legs)
            seen[finding.leg] = finding
        legs.close()
        assert server.server._tokens.counts["echo_not_sent"] == 0
    assert [seen[leg].finding for leg in ("udp_out", "nat", "udp_back")] == ["ok", "none", "ok"]
    assert "packets of 1500 bytes pass" in seen["path_mtu"].detail, "echoes of every size came back"


def test_an_unknown_name_is_told():
    status, findings, said = doctor_here("no-such-host.invalid", 5004)
    assert status == 1
    assert found(findings, "name", "host", "tcp") == ["unknown", "untested", "untested"], said


class OtherProgram:
    """Accepts connections on loopback, sends *greeting* at once and *answer* to the first bytes that arrive."""

    def __init__(self, *, greeting: bytes = b"", answer: bytes | None = None, closes: bool = True) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._greeting, self._answer, self._closes = greeting, answer, closes
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "OtherProgram":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                peer.sendall(self._greeting)
                peer.recv(4096)
                peer.sendall(self._answer or b"")
                if not self._closes:
                    self._over.wait(20)


@pytest.mark.parametrize(
    ("program", "finding", "says"),
    [
        ({"answer": b"HTTP/1.1 400 Bad Request\r\nServer: any\r\n\r\n"}, "not_flume", "web server .*400 Bad Request"),
        ({"answer": bytes.fromhex("15030100020246")}, "not_flume", "speaks TLS"),
        ({"greeting": b"SSH-2.0-OpenSSH_9.2\r\n", "closes": False}, "not_flume", "SSH server"),
        ({}, "not_flume", "without a word"),
        ({"answer": b'{"hello":1}\n', "closes": False}, "not_flume", "does not speak flume control"),
        ({"closes": False}, "silent", "takes the question"),
    ],
    ids=["http", "tls", "ssh", "closes", "json", "mute"],
)
def test_a_port_that_is_not_flumes_is_told_precisely(program, finding, says):
    with OtherProgram(**program) as other:
        findings = {seen.leg: seen for seen in Examination("127.0.0.1", other.port).legs()}
    assert findings["control"].finding == finding
    assert re.search(says, findings["control"].detail)
    assert findings["udp_out"].finding == "untested"
    assert list(findings) == list(PATH_LEGS)


def test_a_full_server_says_so():
    with running_server(max_sessions=1) as server, WireClient(server.port) as client:
        client.connect()
        findings = {seen.leg: seen for seen in Examination("127.0.0.1", server.port).legs()}
    assert findings["control"].finding == "turned_away"
    assert "takes 1 sessions" in findings["control"].detail


def test_an_abandoned_examination_leaves_no_session():
    with running_server() as server:
        legs = Examination("127.0.0.1", server.port).legs()
        while next(legs).leg != "nat":
            pass
        assert server.server.table.session_count == 1
        legs.close()
        assert wait_until(lambda: server.server.table.session_count == 0, timeout_s=5, interval_s=0.01)


def test_a_name_is_looked_up_and_other_clients_lose_nothing_meanwhile():
    with running_server() as server, WireClient(server.port) as client:
        client.connect()
        with ThreadPoolExecutor(1) as pool:
            examination = pool.submit(lambda: list(Examination("localhost", server.port).legs()))
            numbers: list[int] = []
            while not examination.done():
                client.send_token()
                numbers += sequences(client.receive(for_s=0.5))
        assert_consecutive(numbers)
        findings = {finding.leg: finding for finding in examination.result()}
    assert {finding.weight for finding in findings.values()} <= {"well", "advice"}
    assert "127.0.0.1" in findings["name"].detail


def test_name_servers_that_do_not_answer_cost_no_more_than_their_share(monkeypatch):
    hang = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: hang.wait(20) and [])
    began_s = time.monotonic()
    findings = {finding.leg: finding for finding in Examination("server.example", 5004).legs()}
    took_s = time.monotonic() - began_s
    hang.set()
    assert took_s < 4
    assert findings["name"].finding == "unknown"
    assert "no name server answered" in findings["name"].detail
    assert "port 53" in str(findings["name"].remedy)
