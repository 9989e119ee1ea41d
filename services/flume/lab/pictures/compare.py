"""Compares what reached each client of a finished run with what was sent, frame by frame."""

import os
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from flume.errors import LabError
from flume.lab import ffmpeg
from flume.lab.evidence.store import Store
from flume.lab.pictures.figures import PICTURES, Seen, figures, with_vmaf
from flume.lab.pictures.material import Arrivals, Session, read_arrivals, read_server
from flume.lab.pictures.sent import Bench, SentStream
from flume.lab.pictures.shown import Watched, Worst, watch
from flume.lab.pictures.stills import write_still
from flume.lab.trial.measures import PictureFigures
from flume.lab.trial.verdict import REPORT_VERSION, SERVER, ClientReport, Report

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and what goes on."""

_SERVER_SHARE = 0.1
"""Of the time: the server's capture and its stream. The rest is the clients'."""
_REORDER_MS = 60.0
"""How long a client of our own waits for a missing datagram, where the run does not say otherwise."""


def compare(run: Path, report: Report, progress: Progress | None = None) -> Report:
    """Return *report* with the pictures of each client measured, from the captures in the folder *run*.

    Two JPEG files for each client with a damaged frame are written into *run*: its worst frame as sent and as shown.
    Where something cannot be measured, ``measures.not_measured`` says why. The same run gives the same figures. Raises
    :class:`~flume.errors.LabError` where no client can be measured: no captures, a report of another version, no
    ffmpeg. An interrupt ends ffmpeg, and *run* is as before::

        report = compare(Path("artifacts/latest"), read_report(Path("artifacts/latest/report.json")))
        report.clients[0].measures.pictures.vmaf.mean
    """
    if report.version != REPORT_VERSION:
        raise LabError(f"the report has version {report.version}, and this flume reads {REPORT_VERSION}: run it again")
    run = run.resolve()  # ffmpeg works in a folder of its own
    tell = progress or (lambda _share, _text: None)
    tell(0.0, "the server's capture")
    try:
        with tempfile.TemporaryDirectory(prefix=".pictures-", dir=run) as folder:
            bench = Bench(Path(folder), ffmpeg.filters(), os.cpu_count() or 1)
            with Store(bench.folder / "datagrams") as store:
                comparison = _Comparison(run, report, bench, store)
                clients = [
                    comparison.client(client, _part(tell, number, report))
                    for number, client in enumerate(report.clients)
                ]
            comparison.put_stills()
    except OSError as error:
        raise LabError(f"the pictures of {run} cannot be compared: {error}") from error
    tell(1.0, "done")
    return msgspec.structs.replace(report, clients=clients)


def _part(tell: Progress, number: int, report: Report) -> Callable[[float], None]:
    """Return what takes the share of client *number* that is done."""
    width = (1 - _SERVER_SHARE) / len(report.clients)
    return lambda share: tell(_SERVER_SHARE + width * (number + share), report.clients[number].name)


class _Comparison:
    """One run."""

    def __init__(self, run: Path, report: Report, bench: Bench, store: Store) -> None:
        self._run, self._report, self._bench, self._store = run, report, bench, store
        self._started_s = datetime.fromisoformat(report.started).timestamp()
        self._material = read_server(run, report, store)
        self._sent: dict[int, SentStream] = {}
        self._stills: list[Path] = []
        self._without_stills = ""
        """Why the client that is measured has no pictures of its worst frame."""

    def client(self, client: ClientReport, tell: Callable[[float], None]) -> ClientReport:
        """Return *client* with its pictures measured, or with the reason why they are not."""
        tell(0.0)
        measures = client.measures
        self._without_stills = ""
        reasons = {key: text for key, text in measures.not_measured.items() if key != PICTURES}
        try:
            pictures, seen = self._pictures(client, tell)
            series = None if measures.series is None else with_vmaf(measures.series, seen)
            measures = msgspec.structs.replace(measures, pictures=pictures, series=series)
            if "libvmaf" not in self._bench.have:
                reasons[PICTURES] = "this ffmpeg has no libvmaf, so there is no VMAF"
            if self._without_stills:
                reasons[PICTURES] = "; ".join(filter(None, (reasons.get(PICTURES), self._without_stills)))
        except LabError as error:
            measures = msgspec.structs.replace(measures, pictures=None)
            reasons[PICTURES] = str(error)
        return msgspec.structs.replace(client, measures=msgspec.structs.replace(measures, not_measured=reasons))

    def put_stills(self) -> None:
        """Put the pictures of the worst frames into the run's folder, all at the end."""
        for still in self._stills:
            still.replace(self._run / still.name)

    def _pictures(self, client: ClientReport, tell: Callable[[float], None]) -> tuple[PictureFigures, list[Seen]]:
        if client.server != SERVER:
            raise LabError(f"it is behind {client.server}: pictures are compared for clients of the first server alone")
        sessions = self._material.sessions[client.name]
        if not sessions:
            raise LabError("the server sent it nothing")
        arrived = self._arrived(client)
        wait_s = None if arrived.is_players else _wait_s(client, self._report)
        seen: list[Seen] = []
        worst: Worst | None = None
        for number, session in enumerate(sessions):
            received = self._bench.folder / f"{client.name}-{number}.ts"
            self._store.write(session.played(arrived.times_s, wait_s=wait_s), received)

            def progress(share: float, number: int = number) -> None:
                tell((number + share) / len(sessions))

            watched = self._watch(session, received, progress)
            seen += watched.seen
            if watched.worst is not None and (worst is None or watched.worst.badness < worst.badness):
                worst = watched.worst
        if not seen:
            raise LabError("no frame was sent to it in full that can be decoded from what was sent")
        found = figures(seen)
        if worst is not None:
            found = self._with_stills(found, worst, client.name)
        for number in range(len(sessions)):
            (self._bench.folder / f"{client.name}-{number}.ts").unlink()
        return found, seen

    def _watch(self, session: Session, received: Path, tell: Callable[[float], None]) -> Watched:
        if session.stream not in self._sent:
            stream = self._material.streams[session.stream]
            path = self._bench.folder / f"sent-{session.stream}.ts"
            self._sent[session.stream] = SentStream(stream, self._store.write(stream.identities, path), self._bench)
        sent = self._sent[session.stream]
        due = {sent.since(frame.pts): at_s - self._started_s for frame, at_s in session.frames(sent.stream)}
        return watch(sent, due, received, self._bench, tell)

    def _arrived(self, client: ClientReport) -> Arrivals:
        """Return what reached the player; it fails where that is not known."""
        arrived = read_arrivals(self._run, self._report, client, self._material.flows[client.name])
        account = client.balance
        behind = account.dropped_by_firewall + account.dropped_by_receiver
        if arrived.is_players or not behind:
            return arrived
        if account.received <= 0:
            return Arrivals({}, is_players=True)
        raise LabError(
            f"{behind} datagrams were dropped behind its interface, and the captures do not say which: "
            "what reached its player is not known"
        )

    def _with_stills(self, found: PictureFigures, worst: Worst, name: str) -> PictureFigures:
        """Return *found* with its worst frame; with its time alone where its pictures cannot be written."""
        found = msgspec.structs.replace(found, worst_s=round(worst.sent_s, 3))
        sent, shown = (self._bench.folder / f"{name}-worst-{kind}.jpg" for kind in ("sent", "shown"))
        try:
            write_still(worst.sent, worst.pid, worst.pts, sent)
            write_still(worst.shown, worst.pid, worst.pts, shown)
        except LabError as error:
            self._without_stills = f"no picture of its worst frame: {error}"
            return found
        self._stills += sent, shown
        return msgspec.structs.replace(found, worst_sent=sent.name, worst_shown=shown.name)


def _wait_s(client: ClientReport, report: Report) -> float | None:
    """Return how long the client's jitter buffer waits; None where that is not known: another player."""
    if client.program != "flume":
        return None
    asked = report.scenario.get("reorder_ms")
    return (asked if isinstance(asked, int | float) else _REORDER_MS) / 1000
