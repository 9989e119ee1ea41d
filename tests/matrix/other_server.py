"""A server that none of us wrote, judged as ours is: GStreamer's rtsp-server, in a namespace of its own. Needs root.

Its programs are those of this machine, not of the lab's image: ``gir1.2-gst-rtsp-server-1.0``, ``python3-gi`` and
``gstreamer1.0-plugins-bad`` of Debian.
"""

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Evidence, Expectations, Subject
from flume.lab.trial.judge import judge
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import Report, RunFacts
from flume.lab.trial.windows import Sessions
from support.clients.random_player import player
from support.clients.rtsp_client import RtspClient
from support.namespaces import SERVER_ADDRESS, Tcpdump, WirePair, client_address
from support.paths import ROOT
from support.servers.program import running

PORT = 5004
PYTHON = "/usr/bin/python3"
"""Debian's own, for which Debian's bindings of GStreamer are."""
SERVER = ROOT / "tests" / "support" / "servers" / "gstreamer_rtsp.py"
BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
VERSION = "from gi.repository import Gst; print(Gst.version_string())"

PLAYERS, PAUSES = 4, 10


def is_here() -> bool:
    """Whether this machine has GStreamer's rtsp-server."""
    return not subprocess.run((PYTHON, "-c", BINDINGS), check=False, capture_output=True).returncode


def _pause_and_play(client: RtspClient) -> None:
    """Pause :data:`PAUSES` times, and read meanwhile what comes."""
    port = client.media.getsockname()[1]
    assert client.setup(f"RTP/AVP;unicast;client_port={port}-{port + 1}").status == 200
    assert client.ask("PLAY").status == 200
    for _ in range(PAUSES):
        client.receive(for_s=0.5)
        assert client.ask("PAUSE").status == 200
        client.receive(for_s=0.3)
        assert client.ask("PLAY").status == 200


def _leave(client: RtspClient, number: int) -> None:
    """Leave by TEARDOWN, or for odd numbers by the end of the connection; keep the port for a while."""
    client.receive(for_s=0.5)
    if number % 2:
        client.connection.close()
    else:
        assert client.ask("TEARDOWN").status == 200
    client.receive(for_s=4.0)


def _play(pair: WirePair, number: int) -> None:
    with player(pair, number, PORT) as client:
        _pause_and_play(client)
        _leave(client, number)


def _judged(path: Path) -> tuple[Report, Sessions]:
    began_s = time.time()
    with (
        WirePair(clients=PLAYERS) as pair,
        running(pair.inside(pair.server, PYTHON, str(SERVER), SERVER_ADDRESS, str(PORT))),
        Tcpdump(pair, pair.server, path) as tap,
    ):
        threads = [threading.Thread(target=_play, args=(pair, number)) for number in range(PLAYERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    facts = read_tap(path, name="server", log_text=tap.log, port=PORT)
    subjects = tuple(Subject(name=f"client-{n}", address=client_address(n)) for n in range(PLAYERS))
    evidence = Evidence(began_s, "server", (facts,), subjects, Expectations(frames_min_pct=None))
    return judge(evidence, RunFacts(run="other server")), reconstruct(facts)


def run(folder: Path) -> Mapping[str, Any]:
    """Let players pause and leave; return what the judge found, which is also in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    report, sessions = _judged(folder / "server.pcap")
    reasons: Counter[str] = Counter()
    for client in report.clients:
        reasons.update(client.leak_reasons)
    return {
        "server": subprocess.run((PYTHON, "-c", VERSION), check=True, capture_output=True, text=True).stdout.strip(),
        "players": PLAYERS,
        "pauses": sum(window.closed_by == "interrupt" for window in sessions.windows),
        "teardowns": sum(window.closed_by == "disconnect" for window in sessions.windows),
        "hang_ups": sum(window.closed_by == "connection" for window in sessions.windows),
        "datagrams": sum(client.datagrams_active + client.datagrams_leaked for client in report.clients),
        "leaked": dict(reasons),
    }
