"""Clients and a server that die, sleep or vanish without a word: what is sent for how long, and what others see.

All of it happens at once to clients of one server, and to a second server with clients of its own: each case takes as
long as the timeouts that it is about. They are shortened here to a few seconds; FLUME_FAULTS=full takes the real ones.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from flume.client.session.control_link import SILENCE_S
from flume.lab.machine.process import wait_until
from flume.server.fronts.connection import USER_TIMEOUT_MS
from flume.settings import CONSENT_TIMEOUT_S, TOKEN_INTERVAL_S
from support.captures.traffic import Seen, read_traffic
from support.clients.stream_client import StreamClient
from support.clients.watch_programs import WatchProgram, watch_programs
from support.clients.wire_client import WireClient
from support.clients.witness import Witnesses
from support.namespaces import SERVER_ADDRESS, Tcpdump, WirePair, client_address
from support.servers.plain_server import PORT, plain_server
from support.servers.program import ENVIRONMENT

pytestmark = pytest.mark.wire


class Figures(NamedTuple):
    """The timeouts in force."""

    token_interval_s: float
    consent_timeout_s: float
    unread_s: float
    """After so long a connection over which nothing is acknowledged, or nothing is read, ends."""
    silence_s: float
    """After so long a client gives a silent server up."""


FIGURES = (
    Figures(TOKEN_INTERVAL_S, CONSENT_TIMEOUT_S, USER_TIMEOUT_MS / 1000, SILENCE_S)
    if os.environ.get("FLUME_FAULTS") == "full"
    else Figures(0.5, 2.5, 3.0, 3.0)
)
STOPPED_S = max(FIGURES) + 2.5
"""Longer than every timeout of both sides, and than :data:`LATE_S` beside it."""
BACK_WITHIN_S = 10.0
"""By when a client that was woken receives again. It waits at most so long between two attempts."""
LATE_S = 2.0
"""What a busy machine may add to a bound."""
SILENT_UDP, SILENT_TCP, WITNESS = 1, 2, 3
"""Numbers of clients; the programs all have number 0."""


BESIDE_A_SLEEPING_SERVER = (
    "server asleep, client over UDP",
    "server asleep, client over TCP",
    "server and client asleep, over UDP",
    "server and client asleep, over TCP",
)


class Day(NamedTuple):
    """What came of it."""

    began_s: float
    """When all of it happened: epoch seconds, as in the capture."""
    sent: list[Seen]
    ports: dict[str, int]
    """Media port of each program over UDP."""
    back_s: dict[str, float]
    """How long after its end each program that was stopped, or whose server was, received again."""
    said: dict[str, list[dict]]
    """What it reported in that time."""
    witnesses: Witnesses
    sessions: int
    """How many sessions the server had in the end, without that which asked."""

    def last_s(self, protocol: str, address: str, port: int | None = None) -> float:
        """How long after the beginning the last packet went to *address*; 0 where none did."""
        times = [
            one.time_s - self.began_s
            for one in self.sent
            if (one.protocol, one.destination[0]) == (protocol, address) and port in {None, one.destination[1]}
        ]
        assert times, f"nothing ever went to {address}"
        return max(0.0, times[-1])


OPTIONS = (
    "--bitrate", "500",
    "--set", f"token_interval_s={FIGURES.token_interval_s}",
    "--set", f"consent_timeout_s={FIGURES.consent_timeout_s}",
    "--set", f"keepalive_s={FIGURES.silence_s / 3}",
    "--unread", str(FIGURES.unread_s),
)  # fmt: skip


def drop_what_it_sends(pair: WirePair, number: int) -> None:
    """Let client *number* vanish: its host sends nothing any more, no answer to any packet included."""
    rule = f"iptables -A OUTPUT -s {client_address(number)} -j DROP"
    subprocess.run(pair.inside(pair.client, *rule.split()), check=True, timeout=20)


@contextlib.contextmanager
def sleeping_server(results: dict[str, float], said: dict[str, list[dict]]) -> Iterator[threading.Thread]:
    """A server whose host sleeps for :data:`STOPPED_S`. Of its clients, two are awake and two sleep as long."""
    with (
        WirePair(clients=1) as pair,
        plain_server(pair, options=OPTIONS) as server,
        watch_programs(pair, *2 * ((), ("--transport", "tcp")), patience_s=FIGURES.silence_s) as programs,
    ):
        names = dict(zip(BESIDE_A_SLEEPING_SERVER, programs, strict=True))

        def sleep() -> None:
            asleep = [server.pid, *(one.process.pid for one in programs[2:])]
            for pid in asleep:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(STOPPED_S)
            for pid in asleep:
                os.kill(pid, signal.SIGCONT)
            woken_s = time.monotonic()
            for name, program in names.items():
                results[name] = program.wait_until_flowing(since_s=woken_s)[0] - woken_s
                said[name] = [event for at_s, event in program.events if at_s > woken_s - STOPPED_S]

        thread = threading.Thread(target=sleep)
        yield thread
        thread.join(60)
        os.kill(server.pid, signal.SIGCONT)


def silent_clients(pair: WirePair, stack: contextlib.ExitStack) -> None:
    """Connect the two clients that will vanish; nothing reads what they receive."""
    with pair.as_client():
        udp = stack.enter_context(WireClient(PORT, host=SERVER_ADDRESS, source=client_address(SILENT_UDP)))
        connection = stack.enter_context(contextlib.closing(_bound(client_address(SILENT_TCP))))
        tcp = StreamClient(PORT, host=SERVER_ADDRESS, connection=connection)
    udp.connect()
    tcp.send("connect", transport="tcp")
    tcp.read()


def _bound(address: str) -> socket.socket:
    connection = socket.socket()
    connection.bind((address, 0))
    return connection


def sessions(pair: WirePair) -> int:
    with pair.as_client():
        asking = WireClient(PORT, host=SERVER_ADDRESS, source=client_address(WITNESS))
    with asking:
        return asking.ask("status")["server"]["active"]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    path: Path = tmp_path_factory.mktemp("day") / "server.pcap"
    back_s: dict[str, float] = {}
    said: dict[str, list[dict]] = {}
    witnesses = None
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(sleeping_server(back_s, said))
        pair = stack.enter_context(WirePair(clients=4))
        stack.enter_context(plain_server(pair, options=OPTIONS))
        with Tcpdump(pair, pair.server, path), contextlib.ExitStack() as clients:
            witnesses = Witnesses(pair, source=client_address(WITNESS), token_interval_s=FIGURES.token_interval_s)
            clients.enter_context(witnesses)
            options = ((), (), ("--transport", "tcp"))
            killed, udp, tcp = clients.enter_context(watch_programs(pair, *options, patience_s=FIGURES.silence_s))
            silent_clients(pair, clients)
            ports = {
                name: one.wait_until_flowing()[1]["media_port"] for name, one in (("killed", killed), ("stopped", udp))
            }
            began_s = time.time()
            other.start()
            drop_what_it_sends(pair, SILENT_UDP)
            drop_what_it_sends(pair, SILENT_TCP)
            killed.signal(signal.SIGKILL)
            stop_and_wake({"client over UDP": udp, "client over TCP": tcp}, back_s, said)
            assert wait_until(lambda: sessions(pair) == 4, timeout_s=20), "two witnesses and two programs"
            left = sessions(pair)
            other.join(60)
    return Day(began_s, read_traffic(path), ports, back_s, said, witnesses, left)


def stop_and_wake(programs: dict[str, WatchProgram], back_s: dict[str, float], said: dict[str, list[dict]]) -> None:
    for program in programs.values():
        program.signal(signal.SIGSTOP)
    time.sleep(STOPPED_S)
    for program in programs.values():
        program.signal(signal.SIGCONT)
    woken_s = time.monotonic()
    for name, program in programs.items():
        back_s[name] = program.wait_until_flowing(since_s=woken_s)[0] - woken_s
        said[name] = [event for at_s, event in program.events if at_s > woken_s]


def test_a_client_that_vanishes_without_a_word_receives_nothing_after_its_consent_has_expired(day, record_property):
    last_s = day.last_s("udp", client_address(SILENT_UDP))
    assert FIGURES.consent_timeout_s - FIGURES.token_interval_s - LATE_S < last_s < FIGURES.consent_timeout_s + LATE_S
    record_property("measured", f"last datagram after {last_s:.1f} s of {FIGURES.consent_timeout_s:g} s")


def test_over_tcp_nothing_is_sent_to_it_after_the_user_timeout(day, record_property):
    last_s = day.last_s("tcp", client_address(SILENT_TCP))
    assert last_s < FIGURES.unread_s + LATE_S
    record_property("measured", f"last segment after {last_s:.1f} s of {FIGURES.unread_s:g} s")


def test_a_client_that_is_killed_receives_nothing_after_a_moment(day, record_property):
    """Its host answers: the port is closed, and the control connection."""
    last_s = day.last_s("udp", client_address(0), day.ports["killed"])
    assert last_s < LATE_S
    record_property("measured", f"last datagram after {last_s * 1000:.0f} ms")


def test_a_client_that_is_stopped_receives_nothing_after_its_consent_has_expired(day, record_property):
    """Until it is woken. It then has a port of its own as before, or a new one."""
    port, quiet_s = day.ports["stopped"], FIGURES.consent_timeout_s + LATE_S
    times = [one.time_s - day.began_s for one in day.sent if one.destination == (client_address(0), port)]
    asleep = [at_s for at_s in times if at_s < STOPPED_S - 0.1]
    assert quiet_s < STOPPED_S - 0.5, "or nothing would be shown"
    assert asleep[-1] < quiet_s
    record_property("measured", f"last datagram after {asleep[-1]:.1f} s of {FIGURES.consent_timeout_s:g} s")


@pytest.mark.parametrize("name", ["client over UDP", "client over TCP", *BESIDE_A_SLEEPING_SERVER])
def test_what_slept_longer_than_every_timeout_streams_again_by_itself(day, record_property, name):
    assert day.back_s[name] < BACK_WITHIN_S + LATE_S
    assert {event.get("code") for event in day.said[name]} <= {
        None, "link_lost", "consent_expired", "no_datagrams", "token_late"
    }, json.dumps(day.said[name])  # fmt: skip
    record_property("measured", f"{name}: at most {day.back_s[name]:.1f} s after {STOPPED_S:g} s of sleep")


def test_whatever_happens_to_them_the_other_clients_lose_nothing(day, record_property):
    assert day.sessions == 4, "nothing is kept for those that have gone"
    record_property("measured", day.witnesses.lost_nothing(at_least=int(40 * STOPPED_S)))


def test_clients_of_a_server_that_was_killed_stream_again_once_it_is_back(record_property):
    with WirePair(clients=1) as pair, contextlib.ExitStack() as stack:
        command = (sys.executable, "-m", "support.servers.plain_server", SERVER_ADDRESS, str(PORT), *OPTIONS)
        first = subprocess.Popen(pair.inside(pair.server, *command), stdout=subprocess.PIPE, env=ENVIRONMENT)
        stack.enter_context(first)
        stack.callback(first.kill)
        assert first.stdout is not None
        assert first.stdout.readline() == b"ready\n"
        udp, tcp = stack.enter_context(watch_programs(pair, (), ("--transport", "tcp")))
        first.kill()
        for program in (udp, tcp):
            program.wait_for("the loss", lambda event: event.get("code") == "link_lost")
        with plain_server(pair, options=OPTIONS):
            back_s = time.monotonic()
            took_s = [one.wait_until_flowing(since_s=back_s)[0] - back_s for one in (udp, tcp)]
    assert max(took_s) < BACK_WITHIN_S + LATE_S
    record_property("measured", f"at most {took_s[0]:.1f} s after it listens over UDP, {took_s[1]:.1f} s over TCP")
