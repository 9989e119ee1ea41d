"""Players behind a NAT that changes ports: a punch moves the stream to the port outside, and nothing else does.

The NAT gives every flow over UDP a random port, and drops what comes to the ports that players name. The judge reads
the capture at the server's interface: the address of a subject is the one that it has outside.
"""

import contextlib
import shutil
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Subject
from flume.lab.trial.verdict import Report
from flume.server.sessions.punches import RECENT_S
from integration.test_promise import PORT, failed, judged
from support.clients.numbers import assert_complete
from support.clients.players import wait_until
from support.clients.rtsp_client import RtspClient, sequences
from support.namespaces import SERVER_ADDRESS, Tcpdump, WirePair
from support.nat import FORGOTTEN_S, OUTSIDE_PORTS, Nat
from support.paths import ROOT
from support.servers.inside import ServerInside

pytestmark = pytest.mark.wire

URI = f"rtsp://{SERVER_ADDRESS}:{PORT}/"
PUNCHES = {"ffmpeg": [b"\x80" + bytes(11)], "live555": [b"\xce\xfa\xed\xfe"] * 2, "gstreamer": [b"\x5a" * 200] * 5}
Ports = Counter[tuple[str, int]]
"""How many datagrams of media went to each address and port."""


@pytest.fixture
def net() -> Iterator[tuple[WirePair, Callable[..., Nat]]]:
    """A server's namespace, and what makes a NAT with hosts behind it."""
    with WirePair(clients=2) as pair, contextlib.ExitStack() as stack:
        yield pair, lambda **fields: stack.enter_context(Nat(pair, **fields))


def verdict(pair: WirePair, tap: Tcpdump, began_s: float, *addresses: str) -> tuple[Report, Ports]:
    """Judge what *tap* saw; each of *addresses* is a subject."""
    subjects = tuple(Subject(name=address, address=address) for address in addresses)
    report = judged(pair, {"server": tap}, subjects, began_s)
    facts = read_tap(tap.path, name="server", log_text=tap.log, port=PORT)
    return report, Counter(datagram.destination for datagram in facts.media)


def is_outside(ports: Ports, address: str) -> bool:
    """Whether all media to *address* went to ports that the NAT had given, and some did."""
    chosen = [port for host, port in ports if host == address]
    return bool(chosen) and all(port in OUTSIDE_PORTS for port in chosen)


@contextlib.contextmanager
def player(nat: Nat, number: int) -> Iterator[RtspClient]:
    """A scripted player on host *number*."""
    control, media = nat.sockets(number)
    with RtspClient(PORT, host=SERVER_ADDRESS, connection=control, media=media) as client:
        client.ask("OPTIONS")  # what begins with SETUP sends no punches
        yield client


def punch(client: RtspClient, *datagrams: bytes) -> None:
    for datagram in datagrams:
        client.media.sendto(datagram, client.server)


# -- other people's players -------------------------------------------------------------------------------------


def ffmpeg(_path: Path) -> tuple[str, ...]:
    options = ("-nostdin", "-v", "error", "-rtsp_transport", "udp", "-analyzeduration", "1000000")
    return (imageio_ffmpeg.get_ffmpeg_exe(), *options, "-i", URI, "-frames:v", "40", "-f", "null", "-")


def gstreamer(path: Path) -> tuple[str, ...]:
    source = f"rtspsrc location={URI} protocols=udp latency=100"
    words = f"{source} ! rtpmp2tdepay ! identity eos-after=150 ! filesink location={path}".split()
    return (str(shutil.which("gst-launch-1.0")), "-q", *words)


@pytest.mark.parametrize(
    "command",
    [
        ffmpeg,
        pytest.param(
            gstreamer,
            marks=pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed"),
        ),
    ],
)
def test_players_play_through_a_nat_that_changes_their_ports(net, card: Path, tmp_path: Path, command, record_property):
    pair, behind = net
    nat, began_s = behind(hosts=1, shared=True), time.time()
    with flume_serve(pair, card), Tcpdump(pair, pair.server, tmp_path / "server.pcap") as tap:
        done = subprocess.run(
            nat.command(0, command(tmp_path / "played.ts")), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    report, ports = verdict(pair, tap, began_s, nat.outside(0))
    assert failed(report, but=frozenset({"balance", "loss"})) == []
    (client,) = report.clients
    assert client.datagrams_leaked == 0
    outside = sum(count for (_, port), count in ports.items() if port in OUTSIDE_PORTS)
    assert outside > 100
    assert len(ports) <= 2, "GStreamer's punch may come after PLAY: until then the stream goes to the port it named"
    record_property("measured", f"{command.__name__}: 0 of {client.datagrams_active:,} datagrams outside its window")


@contextlib.contextmanager
def flume_serve(pair: WirePair, source: Path) -> Iterator[None]:
    """``flume serve`` in the server's namespace."""
    command = (sys.executable, "-m", "flume.cli", "serve", "--json", "--host", SERVER_ADDRESS, "--port", str(PORT))
    process = subprocess.Popen(
        pair.inside(pair.server, *command, str(source)),
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT / "services"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    try:
        assert process.stdout is not None
        assert b"listening" in process.stdout.readline()
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


# -- scripted players -------------------------------------------------------------------------------------------


def test_a_punch_moves_the_stream_also_after_pauses_in_which_the_nat_forgot_its_port(net, tmp_path: Path):
    pair, behind = net
    nat, began_s = behind(hosts=1, shared=True), time.time()
    with (
        ServerInside(pair, port=PORT),
        Tcpdump(pair, pair.server, tmp_path / "server.pcap") as tap,
        player(nat, 0) as client,
    ):
        client.setup()
        for number, datagrams in enumerate(PUNCHES.values()):
            if number:
                assert client.receive(for_s=1.5 * FORGOTTEN_S) == []
            punch(client, *datagrams)
            first = client.play()
            received = client.receive(for_s=10, at_least=50)
            assert client.ask("PAUSE").status == 200
            assert assert_complete(sequences(received + client.the_rest())) == first, "from the first datagram on"
    report, ports = verdict(pair, tap, began_s, nat.outside(0))
    assert failed(report, but=frozenset({"balance", "loss"})) == []
    assert [one.datagrams_leaked for one in report.clients] == [0]
    assert is_outside(ports, nat.outside(0))
    assert len(ports) > 1, "the NAT chose another port"


def test_without_a_punch_the_stream_goes_to_the_named_port_alone_and_a_late_one_moves_it(
    net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("flume.server.sessions.punches.LATE_S", 5.0)  # the test may be slow
    pair, behind = net
    nat, began_s = behind(hosts=1, shared=True), time.time()
    with ServerInside(pair, port=PORT) as server, Tcpdump(pair, pair.server, tmp_path / "server.pcap") as tap:
        with player(nat, 0) as client:
            named = client.media.getsockname()[1]
            client.setup()
            client.play()
            wait_until("it sends", lambda: server.server.status().datagrams > 20)
            assert client.receive(for_s=0.2) == [], "the NAT lets nothing in"
            punch(client, *PUNCHES["ffmpeg"])
            assert len(client.receive(for_s=10, at_least=50)) == 50
        monkeypatch.setattr("flume.server.sessions.punches.LATE_S", 0.1)
        with player(nat, 0) as client:
            client.setup()
            client.play()
            assert client.receive(for_s=0.5) == []
            punch(client, *PUNCHES["ffmpeg"] * 3)
            assert client.receive(for_s=0.7) == [], "far too late"
            second = client.media.getsockname()[1]
    report, ports = verdict(pair, tap, began_s, nat.outside(0))
    assert failed(report, but=frozenset({"balance", "loss"})) == []
    assert [one.datagrams_leaked for one in report.clients] == [0]
    outside = [port for _, port in ports if port in OUTSIDE_PORTS]
    assert {port for _, port in ports} == {named, second, *outside}
    assert len(outside) == 1


def test_two_behind_one_address_do_not_get_each_other_s_stream(net, tmp_path: Path):
    pair, behind = net
    nat, began_s = behind(hosts=3, shared=True), time.time()
    with (
        ServerInside(pair, port=PORT) as server,
        Tcpdump(pair, pair.server, tmp_path / "server.pcap") as tap,
        player(nat, 0) as first,
        player(nat, 1) as second,
        player(nat, 2) as third,
    ):
        for client in (first, second):  # at the same time: no punch says whose it is
            client.setup()
            punch(client, *PUNCHES["ffmpeg"])
        for client in (first, second):
            client.play()
        assert server.server.status().drops["punch_unclear"] > 0
        for client in (first, second):
            assert client.receive(for_s=0.3) == []
            assert client.ask("TEARDOWN").status == 200
        time.sleep(RECENT_S)  # until those punches do not count any more
        for client in (first, second, third):  # one after the other: each gets its own
            client.setup()
            punch(client, *PUNCHES["ffmpeg"])
            assert client.play() in sequences(client.receive(for_s=10, at_least=60))
        for client in (first, second, third):
            assert len(client.receive(for_s=10, at_least=20)) == 20
            assert client.ask("TEARDOWN").status == 200
    report, ports = verdict(pair, tap, began_s, nat.outside(0))
    assert failed(report, but=frozenset({"balance", "loss"})) == []
    assert [one.datagrams_leaked for one in report.clients] == [0]
    assert sum(port in OUTSIDE_PORTS for _, port in ports) == 3


def test_a_neighbour_that_sends_punches_all_the_time_gets_no_stream(net, tmp_path: Path):
    pair, behind = net
    nat, began_s = behind(hosts=2, shared=True), time.time()
    with ServerInside(pair, port=PORT) as server, Tcpdump(pair, pair.server, tmp_path / "server.pcap") as tap:
        unused, neighbour = nat.sockets(1)
        with player(nat, 0) as client, unused, neighbour:
            client.setup()
            for _ in range(3):
                neighbour.sendto(PUNCHES["ffmpeg"][0], client.server)
                punch(client, *PUNCHES["ffmpeg"])
            client.play()
            wait_until("it sends", lambda: server.server.status().datagrams > 20)
            with pytest.raises(BlockingIOError):
                neighbour.recv(1)
    report, ports = verdict(pair, tap, began_s, nat.outside(0))
    assert failed(report, but=frozenset({"balance", "loss"})) == []
    assert not any(port in OUTSIDE_PORTS for _, port in ports), "none can be told from the other"


def test_reports_go_to_where_the_player_s_come_from_or_nowhere(net, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("flume.server.fronts.sender_reports.INTERVAL_S", 0.1)
    pair, behind = net
    nat = behind(hosts=1, shared=True)
    with ServerInside(pair, port=PORT) as server, player(nat, 0) as client:
        unused, rtcp = nat.sockets(0)
        with unused, rtcp:
            rtcp.settimeout(10)
            client.setup(f"{client.udp}-{rtcp.getsockname()[1]}")
            punch(client, *PUNCHES["ffmpeg"])
            client.play()
            (media,) = client.receive(for_s=10, at_least=1)
            ssrc = int.from_bytes(media[8:12], "big")
            report = struct.pack("!BBHIIIIIII", 0x81, 201, 7, 99, ssrc, 1 << 24 | 3, 70, 5, 0, 0)
            rtcp.sendto(report, (SERVER_ADDRESS, PORT + 1))
            assert rtcp.recv(1500)[1] == 200, "a sender report comes back through the NAT"
            (claim,) = server.server.status().receivers.values()
            assert claim.lost == 3
