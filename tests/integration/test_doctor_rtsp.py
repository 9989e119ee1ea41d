"""`flume doctor rtsp://…` in network namespaces against the real server behind firewalls, and at a server not ours."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import pytest

from flume.doctor.diagnosis import RTSP_LEGS
from flume.doctor.rtsp.address import stream_address
from flume.doctor.rtsp.examination import RtspExamination
from support.clients.wire_client import WireClient
from support.namespaces import SERVER_ADDRESS, WirePair
from support.nat import Nat
from support.paths import ROOT
from support.ports import free_port
from support.servers.plain_server import PORT, served
from support.servers.program import ENVIRONMENT, running
from support.servers.running_server import running_server

pytestmark = pytest.mark.wire

IN, OUT = "iptables -A INPUT", "iptables -A OUTPUT"
WELL = {
    **dict.fromkeys(("name", "rtsp", "describe", "setup_udp", "play", "media_udp", "rtcp", "media_tcp"), "ok"),
    "host": "reachable",
    "tcp": "open",
    "teardown": "ok",
}


class Firewalls(NamedTuple):
    """Rules in the client's and in the server's namespace, and options of the server."""

    expected: Sequence[tuple[str, str]] = ()
    """Legs and their findings, where not all is well."""
    client: Sequence[str] = ()
    server: Sequence[str] = ()
    options: Sequence[str] = ()
    says: str = ""
    """A pattern that the findings must contain somewhere."""


FIREWALLS = {
    "nothing": Firewalls(says="datagrams came in .* the first after"),
    "udp_dropped_here": Firewalls(
        (("media_udp", "dropped"),),
        client=(f"{IN} -p udp -j DROP",),
        says=f"the stream comes on the connection.*-s {SERVER_ADDRESS} --sport {PORT} --dport 9000:9509 -j ACCEPT",
    ),
    "udp_forbidden_at_the_server": Firewalls(
        (("media_udp", "dropped"),), server=(f"{OUT} -p udp --sport {PORT} -j DROP",)
    ),
    "udp_rejected_here": Firewalls((("media_udp", "ended"),), client=(f"{IN} -p udp -j REJECT",), says="rejects"),
    "state_kept_here": Firewalls(
        (("media_udp", "after_punch"),),
        client=(f"{IN} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", f"{IN} -j DROP"),
        says="a NAT, or a firewall's state",
    ),
    "no_udp_at_the_server": Firewalls(
        (
            ("setup_udp", "tcp_only"),
            ("media_udp", "off"),
        ),
        options=("--set", "rtsp_udp=false"),
        says="461",
    ),
}


def examined(command: Sequence[str], address: str) -> tuple[int, dict[str, dict], str]:
    """Run the doctor; return its exit status, its findings by leg, and all of its output."""
    arguments = (sys.executable, "-m", "flume.cli", "doctor", address, "--json")
    done = subprocess.run(
        (*command, *arguments), capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False
    )
    said = done.stdout + done.stderr
    return done.returncode, {finding["leg"]: finding for finding in map(json.loads, said.splitlines())}, said


def behind(firewalls: Firewalls) -> tuple[int, dict[str, dict], str, dict]:
    """Examine a server behind *firewalls*, then ask it for its status."""
    with WirePair(clients=1) as pair, served(pair, options=firewalls.options):
        for name, rules in ((pair.client, firewalls.client), (pair.server, firewalls.server)):
            for rule in rules:
                subprocess.run(pair.inside(name, *rule.split()), check=True, capture_output=True, timeout=20)
        outcome = examined(pair.inside(pair.client), f"rtsp://{SERVER_ADDRESS}:{PORT}/")
        ask = "import socket,sys; c=socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); "
        ask += """c.sendall(b'{"command":"status"}\\n'); print(c.makefile().readline())"""
        arguments = (sys.executable, "-c", ask, SERVER_ADDRESS, str(PORT))
        said = subprocess.run(pair.inside(pair.server, *arguments), capture_output=True, check=True, timeout=20)
        return *outcome, json.loads(said.stdout)


SYSTEM_PYTHON = "/usr/bin/python3"
"""Debian's own, for which Debian's bindings of GStreamer are."""
GSTREAMERS = ROOT / "tests" / "support" / "servers" / "gstreamer_rtsp.py"


def has_gstreamers_server() -> bool:
    program = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        return not subprocess.run(
            (SYSTEM_PYTHON, "-c", program), capture_output=True, timeout=60, check=False
        ).returncode
    except OSError:
        return False


def at_gstreamers() -> tuple[tuple, tuple] | None:
    """Examine GStreamer's rtsp-server at a path that it has, and at one that it has not; ``None`` if it is not here."""
    if not has_gstreamers_server():
        return None
    port = next(port for port in iter(free_port, None) if port % 2 == 0)  # it sends from no odd one, and answers 461
    with running((SYSTEM_PYTHON, str(GSTREAMERS), "127.0.0.1", str(port))):
        return examined((), f"rtsp://127.0.0.1:{port}/"), examined((), f"rtsp://127.0.0.1:{port}/other")


def behind_a_nat() -> tuple[int, dict[str, dict], str]:
    """Examine a server from a host whose ports have other numbers outside."""
    with WirePair(clients=1) as pair, served(pair), Nat(pair, hosts=1, shared=True) as nat:
        return examined(pair.inside(nat.hosts[0]), f"rtsp://{SERVER_ADDRESS}:{PORT}/")


@pytest.fixture(scope="module")
def examinations():
    """All examinations side by side: they wait much more than they compute."""
    with ThreadPoolExecutor(2 + len(FIREWALLS)) as pool:
        begun: dict[str, Future] = {"gstreamer": pool.submit(at_gstreamers), "nat": pool.submit(behind_a_nat)}
        yield begun | {name: pool.submit(behind, firewalls) for name, firewalls in FIREWALLS.items()}


@pytest.mark.parametrize("name", FIREWALLS)
def test_the_doctor_finds_what_keeps_players_out(examinations: dict[str, Future], name: str):
    firewalls = FIREWALLS[name]
    status, findings, said, server = examinations[name].result(timeout=180)
    expected = WELL | dict(firewalls.expected)
    assert {leg: findings[leg]["finding"] for leg in expected} == expected, said
    assert sorted(findings) == sorted(RTSP_LEGS)
    blocked = [leg for leg, seen in findings.items() if RTSP_LEGS[leg].get(seen["finding"]) == "blocked"]
    assert status == (1 if blocked else 0)
    assert all(findings[leg]["remedy"] for leg in blocked)
    assert re.search(firewalls.says, said), said
    # The server is as before the examination.
    assert server["server"]["sessions"] == server["server"]["active"] == 0


def test_a_nat_that_gives_other_ports_is_seen(examinations: dict[str, Future]):
    status, findings, said = examinations["nat"].result(timeout=180)
    assert findings["media_udp"]["finding"] == "after_punch", said
    assert status == 0, said


def test_a_server_without_rtsp_says_so():
    with running_server(rtsp=False) as server:
        address = stream_address(f"rtsp://127.0.0.1:{server.port}/")
        found = {finding.leg: finding for finding in RtspExamination(address).legs()}
    assert found["rtsp"].finding == "not_rtsp"
    assert "without RTSP (--no-rtsp)" in found["rtsp"].detail


def test_a_full_server_says_so():
    with running_server(max_sessions=1) as server, WireClient(server.port) as client:
        client.connect()
        found = {each.leg: each for each in RtspExamination(stream_address(f"rtsp://127.0.0.1:{server.port}")).legs()}
    assert found["rtsp"].finding == "turned_away"
    assert "takes 1 sessions" in found["rtsp"].detail


def test_a_server_that_is_not_ours_is_examined_alike(examinations: dict[str, Future]):
    """GStreamer's rtsp-server, in Debian gir1.2-gst-rtsp-server-1.0."""
    outcome = examinations["gstreamer"].result(timeout=180)
    if outcome is None:
        pytest.skip("GStreamer's rtsp-server is not installed here")
    (status, findings, said), (other_status, other, other_said) = outcome
    assert {leg: findings[leg]["finding"] for leg in WELL} == WELL, said
    assert status == 0, said
    assert "video MP2T" in findings["describe"]["detail"]
    assert (other_status, other["describe"]["finding"]) == (1, "not_found"), other_said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("rtsp://ann:geheim@127.0.0.1/",), "give --user and --secret-file"),
        (("rtsp://127.0.0.1/", "--port", "5004"), "in the address"),
        (("rtsp://127.0.0.1/", "--tls"), "is not encrypted"),
        (("http://127.0.0.1/",), "rtsp://HOST:PORT/"),
        (("rtsp://127.0.0.1:0x1/",), "rtsp://HOST:PORT/"),
        (("rtsp://",), "rtsp://HOST:PORT/"),
    ],
)
def test_an_address_that_is_none_and_options_that_make_no_sense(arguments: tuple[str, ...], says: str):
    command = (sys.executable, "-m", "flume.cli", "doctor", *arguments)
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "geheim" not in done.stderr
