"""A run on paper: a video that left a server for one client, as two captures and a report.

The test says which datagrams did not reach the client, or came late.
"""

import struct
from collections.abc import Collection, Mapping
from pathlib import Path

from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.facts import Evidence, Subject
from flume.lab.trial.judge import judge
from flume.lab.trial.verdict import Report, RunFacts
from support.captures.pcap import CLIENT, PORT, SERVER, Pcap, line

DATAGRAM_BYTES = 7 * 188
FIRST_SEQUENCE = 65_400
"""So that the numbers wrap."""
SSRC = 7


def datagrams(video: bytes) -> list[bytes]:
    """The RTP packets that carry *video*, which is MPEG-TS."""
    pieces = [video[at : at + DATAGRAM_BYTES] for at in range(0, len(video), DATAGRAM_BYTES)]
    return [
        struct.pack("!BBHII", 0x80, 33, (FIRST_SEQUENCE + place) % 65536, 45 * place, SSRC) + piece
        for place, piece in enumerate(pieces)
    ]


class PaperRun:
    """Write the captures of a run into *folder* with :meth:`write`, and get its report."""

    def __init__(self, folder: Path, video: bytes, *, over_tcp: bool = False) -> None:
        self.folder = folder
        self.datagrams = datagrams(video)
        self._over_tcp = over_tcp
        (folder / "captures").mkdir(parents=True)
        self.server, self.client = (Pcap(folder / "captures" / f"{name}.pcap") for name in ("server", "client-1"))

    def write(
        self, *, lost: Collection[int] = (), late_s: Mapping[int, float] | None = None, subject: Subject | None = None
    ) -> Report:
        late = late_s or {}
        for tap in (self.server, self.client):
            transport = {"transport": "tcp"} if self._over_tcp else {"token": "00ff"}
            asked = {"command": "connect", **({"transport": "tcp"} if self._over_tcp else {})}
            tap.handshake().segment(CLIENT, SERVER, line(asked), flags="PA")
            tap.reply({"reply": "connect", "state": "connecting", **transport})
            if not self._over_tcp:
                tap.token(b"00ff")
            tap.reply({"event": "active", "state": "active", "first_sequence": FIRST_SEQUENCE})
        begun_s = self.server.now_s
        self._stream(self.server, {place: begun_s + place * 0.002 for place in range(len(self.datagrams))})
        came_s = {
            place: begun_s + place * 0.002 + 0.0005 + late.get(place, 0.0)
            for place in range(len(self.datagrams))
            if place not in lost
        }
        self._stream(self.client, came_s)
        for tap in (self.server, self.client):
            tap.now_s = begun_s + len(self.datagrams) * 0.002 + 1
            tap.request("disconnect").reply({"reply": "disconnect", "state": "idle"})
        return self._report(begun_s, subject or Subject(name="client-1", address=CLIENT, tap="client-1"))

    def _stream(self, tap: Pcap, times_s: Mapping[int, float]) -> None:
        for place in sorted(times_s, key=times_s.__getitem__):
            tap.now_s = times_s[place]
            data = self.datagrams[place]
            if self._over_tcp:
                tap.segment(SERVER, CLIENT, struct.pack("!H", len(data)) + data)
            else:
                tap.media(data)

    def _report(self, begun_s: float, subject: Subject) -> Report:
        taps = tuple(
            read_tap(tap.path, name=tap.path.stem, log_text=tap.log(), port=PORT) for tap in (self.server, self.client)
        )
        return judge(Evidence(begun_s, "server", taps, (subject,)), RunFacts(run="paper"))
