"""The promise over TCP, proved on the wire: no frame follows the reply to ``interrupt`` or ``disconnect``.

The setup is that of the datagrams: the real server in a namespace of its own, tcpdump at both ends, and the judge.
"""

import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Claims, Evidence, Expectations, Subject
from flume.lab.trial.judge import judge
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import Report, RunFacts, Verdict
from integration.test_promise import PORT, failed, server
from support.clients.stream_client import StreamClient
from support.namespaces import SERVER_ADDRESS, Tcpdump, WirePair, client_address

pytestmark = pytest.mark.wire

CLIENTS = 6


def play(pair: WirePair, number: int, received: dict[int, int]) -> None:
    """Send commands: one after another through all states first, then in random bursts; leave after the last reply."""
    random = Random(20261123 + number)
    control, media = pair.sockets(number)
    media.close()
    control.setblocking(True)
    with StreamClient(PORT, host=SERVER_ADDRESS, connection=control) as client:
        client.connect()
        client.read_packets(50)
        for command in ("interrupt", "continue"):
            client.ask(command)
        client.read_packets(20)
        for _ in range(25):
            burst = random.choices(("interrupt", "continue", "disconnect", "connect"), weights=(4, 4, 1, 2), k=3)
            for command in burst[: random.randint(1, 3)]:
                client.send(command, **({"transport": "tcp"} if command == "connect" else {}))
            time.sleep(random.choice((0.0, 0.002, 0.05)))
        client.send("disconnect")
        client.send("goodbye")
        client.until(lambda message: message.get("code") == "unknown_command")
        received[number] = len(client.packets())


def judged(tmp_path: Path, kind: str) -> tuple[Report, Counter[str]]:
    received: dict[int, int] = {}
    began_s = time.time()
    with (
        WirePair(clients=CLIENTS) as pair,
        server(pair, kind),
        Tcpdump(pair, pair.server, tmp_path / "server.pcap") as near,
        Tcpdump(pair, pair.client, tmp_path / "clients.pcap") as far,
    ):
        threads = [threading.Thread(target=play, args=(pair, number, received)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(received) == list(range(CLIENTS))
    taps = {"server": near, "clients": far}
    facts = tuple(read_tap(tap.path, name=name, log_text=tap.log, port=PORT) for name, tap in taps.items())
    subjects = tuple(
        Subject(name=f"client-{n}", address=client_address(n), tap="clients", claims=Claims(datagrams=received[n]))
        for n in range(CLIENTS)
    )
    evidence = Evidence(began_s, "server", facts, subjects, Expectations(frames_min_pct=None))
    closed_by = Counter(window.closed_by for window in reconstruct(facts[0]).windows)
    return judge(evidence, RunFacts(run="promise over TCP")), closed_by


def test_no_frame_is_outside_its_window_and_every_one_arrives(tmp_path: Path):
    report, closed_by = judged(tmp_path, "honest")
    assert failed(report) == []
    assert report.verdict is Verdict.PASS
    assert report.balance.sent == report.balance.received > CLIENTS * 70
    assert closed_by["interrupt"] > 20
    assert closed_by["disconnect"] >= CLIENTS


def test_a_single_frame_behind_the_acknowledgement_is_noticed(tmp_path: Path):
    report, _ = judged(tmp_path, "one_frame_too_many")
    assert report.verdict is Verdict.FAIL
    assert all(client.datagrams_leaked > 0 for client in report.clients)
    # In a burst the client may have sent the next connect already: then the judge names the leak differently.
    assert any("after_interrupt" in client.leak_reasons for client in report.clients)
