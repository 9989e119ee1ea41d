"""The promise to players, proved on the wire: no datagram leaves after the answer to PAUSE or TEARDOWN.

The setup is that of the control lines: the real server in a namespace of its own, tcpdump, and the judge, which reads
RTSP in the capture. Five broken servers show that the judge would notice a broken promise.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Subject
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import Report
from integration.test_promise import PORT, caught, failed, judged, server
from support.clients.random_player import play_random_sequence, player
from support.clients.rtsp_client import RtspClient
from support.namespaces import Tcpdump, WirePair, client_address

pytestmark = pytest.mark.wire

Script = Callable[[WirePair], None]
Record = Callable[[str, object], None]


def side_by_side(clients: int, play: Callable[[int], None]) -> None:
    """Run *play* for each client in a thread of its own; raise what one of them raised."""
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            play(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if errors:
        raise errors[0]


def test_no_datagram_leaves_outside_its_window_in_240_random_sequences(tmp_path: Path, record_property: Record):
    clients, rounds, seed = 30, 8, 20261127

    def play(number: int) -> None:
        random = Random(seed + number)
        for _ in range(rounds):
            play_random_sequence(pair, number, PORT, random)

    began_s = time.time()
    with WirePair(clients=clients) as pair, server(pair):
        with Tcpdump(pair, pair.server, tmp_path / "server.pcap") as tap:
            side_by_side(clients, play)
        subjects = tuple(Subject(name=f"client-{n}", address=client_address(n)) for n in range(clients))
        report = judged(pair, {"server": tap}, subjects, began_s)
        sessions = reconstruct(read_tap(tap.path, name="server", log_text=tap.log, port=PORT))

    # Sockets that close in the middle of the stream lose datagrams on the path. So only the server is judged here.
    assert failed(report, but=frozenset({"balance", "loss"})) == []
    assert [client.datagrams_leaked for client in report.clients] == [0] * clients
    # All of the above would hold for a server that does nothing. This one was active:
    commands = Counter((command.command, command.answer) for command in sessions.commands)
    closed_by = Counter(window.closed_by for window in sessions.windows)
    assert len({command.control for command in sessions.commands}) >= 230  # the kernel may give a port twice
    assert commands["interrupt", "ok"] >= 80
    assert commands["continue", "ok"] >= 150
    assert commands["interrupt", "455"] >= 50
    assert closed_by["interrupt"] >= 80
    assert closed_by["disconnect"] >= 20
    assert closed_by["connection"] >= 20
    over_tcp = sum(window.opened_at is not None for window in sessions.windows)
    assert min(over_tcp, len(sessions.windows) - over_tcp) >= 50
    sent = sum(client.datagrams_active for client in report.clients)
    assert sent >= 5000
    record_property(
        "measured", f"0 of {sent:,} datagrams outside, in {len(sessions.windows)} windows, {over_tcp} over TCP"
    )


# -- broken servers ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def players(pair: WirePair, count: int) -> Iterator[list[RtspClient]]:
    """Connect that many players, and close them in any case: a capture ends when nothing comes any more."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(player(pair, number, PORT)) for number in range(count)]


def ask(client: RtspClient, *methods: str) -> None:
    """Send *methods* one after another; each must be granted."""
    for method in methods:
        response = client.setup() if method == "SETUP" else client.ask(method)
        assert response.status == 200, (method, response)


def watch_and_leave(pair: WirePair) -> None:
    """Client 0 plays all the time, 1 pauses and then leaves, 2 only asks, 3 plays late, and asks for 2's address."""
    with players(pair, 4) as (watching, leaving, asking, late):
        ask(watching, "SETUP", "PLAY")
        ask(leaving, "SETUP", "PLAY")
        ask(asking, "OPTIONS")
        if late.setup(f"{asking.udp};destination={client_address(2)}").status == 461:
            ask(late, "SETUP")
        time.sleep(0.5)
        ask(leaving, "PAUSE")
        ask(late, "PLAY")
        time.sleep(0.7)
        ask(leaving, "PLAY")
        time.sleep(0.3)
        ask(leaving, "TEARDOWN")
        ask(late, "TEARDOWN")
        time.sleep(0.5)
        ask(watching, "TEARDOWN")
        for client in (watching, leaving, late):
            client.the_rest()


def hang_up(pair: WirePair) -> None:
    """Client 0 plays all the time, 1 closes its connection and keeps its port."""
    with players(pair, 2) as (watching, leaving):
        ask(watching, "SETUP", "PLAY")
        ask(leaving, "SETUP", "PLAY")
        time.sleep(0.3)
        leaving.connection.close()
        for _ in range(30):
            time.sleep(0.1)
            ask(watching, "OPTIONS")
        ask(watching, "TEARDOWN")
        for client in (watching, leaving):
            client.the_rest()


def leaks_of(tmp_path: Path, kind: str, script: Script) -> Report:
    began_s = time.time()
    with WirePair(clients=4) as pair, server(pair, kind):
        with Tcpdump(pair, pair.server, tmp_path / f"{kind}.pcap") as tap:
            script(pair)
        subjects = tuple(Subject(name=f"client-{n}", address=client_address(n)) for n in range(4))
        return judged(pair, {"server": tap}, subjects, began_s)


@pytest.mark.parametrize("script", [watch_and_leave, hang_up])
def test_the_honest_server_passes_where_the_broken_ones_fail(tmp_path: Path, script: Script):
    report = leaks_of(tmp_path, "honest", script)
    # Clients 2 and 3 do not hang up: they are not there.
    assert failed(report, but=frozenset({"balance", "silence"} if script is hang_up else {"balance"})) == []
    assert [client.datagrams_leaked for client in report.clients] == [0] * 4
    assert min(client.datagrams_active for client in report.clients[:2]) > 20


@pytest.mark.parametrize(
    ("kind", "client", "reasons", "script"),
    [
        ("keeps_streaming", 1, {"while_interrupted"}, watch_and_leave),
        ("acknowledges_too_early", 1, {"after_interrupt", "after_disconnect"}, watch_and_leave),
        ("streams_to_destination", 2, {"never_connected"}, watch_and_leave),
        ("streams_before_play", 3, {"before_consent"}, watch_and_leave),
        ("forgets_to_end", 1, {"after_connection_end"}, hang_up),
    ],
)
def test_each_broken_server_is_caught_for_what_it_does(
    tmp_path: Path, kind: str, client: int, reasons: set[str], script: Script
):
    report = leaks_of(tmp_path, kind, script)
    caught(report, client, reasons)
    if kind not in {"acknowledges_too_early", "streams_before_play"}:  # which client 0 asks for too
        assert report.clients[0].datagrams_leaked == 0


def test_a_single_packet_behind_the_answer_is_noticed_on_the_connection(tmp_path: Path):
    def play(pair: WirePair) -> None:
        with players(pair, 1) as (client,):
            client.setup_tcp()
            ask(client, "PLAY")
            client.receive_frames(20)
            ask(client, "PAUSE")
            time.sleep(0.2)

    report = leaks_of(tmp_path, "one_frame_too_many", play)
    caught(report, 0, {"after_interrupt"})
    assert report.clients[0].leak_reasons == {"after_interrupt": 1}
