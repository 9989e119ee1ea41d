"""The material of a comparison, from the captures of a run: the streams that left the server, and what reached whom.

The judge's own reading decides: which datagrams belong to a client's windows, and which of them reached its interface.
Their bytes lie in one file on the disk; memory holds a few numbers for each datagram.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from flume.errors import LabError
from flume.lab.evidence.capture import read_tap
from flume.lab.evidence.claims import parse_record_untrusted
from flume.lab.evidence.facts import Endpoint, MediaDatagram, PlayerRecord, TapFacts
from flume.lab.evidence.one_clock import shift_record
from flume.lab.evidence.store import Store
from flume.lab.pictures.frames import FrameReader, SentFrame
from flume.lab.pictures.order import Numbered, follows, in_order, in_time
from flume.lab.trial.fates import kept_from_player
from flume.lab.trial.flows import Flow, classify
from flume.lab.trial.matching import match
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import ClientReport, Report, TapReport
from flume.settings import DEFAULT_PORT
from flume.untrusted_json import decode_untrusted

SERVER_TAP = "server"


class Stream(NamedTuple):
    """What left the server under one RTP source, to any client, each datagram once."""

    identities: tuple[bytes, ...]
    """In the order of the stream; a datagram's *place* is its position here."""
    frames: tuple[SentFrame, ...]
    """Those that are known in full. No two have the same PTS."""
    pid: int | None
    """Of the video; None: the stream has none."""


class Session(NamedTuple):
    """What one client was sent of one stream, from a ``connect`` to the next one: what one decoder gets."""

    stream: int
    windows: tuple[tuple[MediaDatagram, ...], ...]
    """What left the server for it, by windows."""
    places: dict[bytes, int]
    """The stream's."""

    @property
    def sent_s(self) -> dict[int, float]:
        """When each place left for this client, in epoch seconds."""
        return {self.places[one.identity]: one.time_s for window in self.windows for one in window}

    def frames(self, stream: Stream) -> list[tuple[SentFrame, float]]:
        """Return the frames of *stream* that were sent in full, each with the time at which its first datagram left."""
        sent_s = self.sent_s
        return [(frame, sent_s[frame.places[0]]) for frame in stream.frames if all(p in sent_s for p in frame.places)]

    def played(self, arrived_s: dict[int, float], *, wait_s: float | None) -> list[bytes]:
        """Return what reached the player, in its order.

        *arrived_s* is the time of each departure that arrived, by its ``id``. A jitter buffer waits *wait_s* for a
        missing number; None: what came, came in time.
        """
        chosen: dict[bytes, float] = {}
        numbered = True
        for window in self.windows:
            came = sorted(
                (arrived_s[id(one)], self.places[one.identity], one) for one in window if id(one) in arrived_s
            )
            numbered = numbered and all(one.sequence is not None for _, _, one in came)
            keeps = [True] * len(came)
            if wait_s is not None and came and numbered and came[0][2].offset is None:
                first = min(self.places[one.identity] for one in window)
                keeps = in_time([(place, time_s) for time_s, place, _ in came], first=first, wait_s=wait_s)
            for (time_s, _, one), keep in zip(came, keeps, strict=True):
                if keep:
                    chosen.setdefault(one.identity, time_s)
        return sorted(chosen, key=self.places.__getitem__ if numbered else chosen.__getitem__)


class Material(NamedTuple):
    """What the server's capture holds."""

    streams: tuple[Stream, ...]
    flows: dict[str, Flow]
    """By client."""
    sessions: dict[str, tuple[Session, ...]]
    """By client."""


def read_server(run: Path, report: Report, store: Store) -> Material:
    """Return the material from the server's capture in the folder *run*; the bytes go into *store*.

    Raises :class:`~flume.errors.LabError` where the capture is missing, cannot be trusted or is not the report's.
    """
    facts = _read(run, _tap(report, SERVER_TAP), store)
    sessions = reconstruct(facts)
    flows = {client.name: classify(client.address, _towards(client, facts), sessions) for client in report.clients}
    numbered: dict[int | None, dict[bytes, Numbered]] = {}
    for one in facts.media:  # in the order of time; what no window allows is no part of a stream
        numbered.setdefault(one.ssrc, {})
    for flow in flows.values():
        for one in flow.active:
            if _is_stream(one):
                numbered[one.ssrc].setdefault(one.identity, Numbered(one.identity, one.sequence, one.timestamp))
    sources = [source for source, datagrams in numbered.items() if datagrams]
    streams = tuple(_stream(in_order(_by_time(numbered[source], facts)), store) for source in sources)
    index = {source: number for number, source in enumerate(sources)}
    places = [{identity: place for place, identity in enumerate(stream.identities)} for stream in streams]
    return Material(streams, flows, {name: tuple(_sessions(flow, index, places)) for name, flow in flows.items()})


class Arrivals(NamedTuple):
    """What reached one client."""

    times_s: dict[int, float]
    """When each departure that arrived did, by the departure's ``id``."""
    is_players: bool
    """True: these reached the player. False: the client's interface; the client has no record of what it gave up."""


def read_arrivals(run: Path, report: Report, client: ClientReport, flow: Flow) -> Arrivals:
    """Return what reached *client* of *flow*. Raises :class:`~flume.errors.LabError` as :func:`read_server` does."""
    tap = _tap(report, client.name)
    facts = _read(run, tap, None)
    matching = match(flow.sent, _towards(client, facts))
    times_s = {id(departure): arrival.time_s for departure, arrival in matching.arrived}
    record = read_record(run, client.name)
    if record is None:
        return Arrivals(times_s, is_players=False)
    kept = kept_from_player(matching, record if tap.clock is None else shift_record(record, tap.clock))
    return Arrivals({one: time_s for one, time_s in times_s.items() if one not in kept}, is_players=True)


def read_record(run: Path, name: str) -> PlayerRecord | None:
    """Return what the client *name* says of single datagrams, by its log; None where it says nothing of them.

    Raises :class:`~flume.errors.LabError` for a log that cannot be read.
    """
    for path in sorted((run / "logs").glob(f"*-{name}.log")):
        with path.open(errors="replace") as lines:
            events = [event for line in lines if (event := _event(line)).get("event") == "frames"]
        return parse_record_untrusted(events) if events else None
    return None


def _event(line: str) -> dict[str, Any]:
    try:
        return decode_untrusted(line, dict[str, Any])
    except msgspec.DecodeError:
        return {}


def _tap(report: Report, name: str) -> TapReport:
    for tap in report.taps:
        if tap.name == name:
            if tap.problem:
                raise LabError(f"the capture {name} cannot be trusted: {tap.problem}")
            return tap
    raise LabError(f"the report has no capture {name}")


def _read(run: Path, tap: TapReport, store: Store | None) -> TapFacts:
    path = run / "captures" / f"{tap.name}.pcap"
    if not path.is_file():
        raise LabError(f"{path} is not there: the pictures are compared from the captures of a run")
    facts = read_tap(path, name=tap.name, log_text="", port=DEFAULT_PORT, keep=store.keep if store else None)
    if facts.tap.packets != tap.packets:
        raise LabError(f"{path} holds {facts.tap.packets} packets, and its report was made from {tap.packets}")
    return facts


def _towards(client: ClientReport, facts: TapFacts) -> list[MediaDatagram]:
    return [one for one in facts.media if one.destination[0] == client.address]


def _is_stream(datagram: MediaDatagram) -> bool:
    """Whether *datagram* is a part of the stream; in RTP, those without a number are stuffing."""
    return datagram.ssrc is None or datagram.sequence is not None


def _by_time(datagrams: dict[bytes, Numbered], facts: TapFacts) -> Iterator[Numbered]:
    """Yield *datagrams* in the order in which they were first seen at the server."""
    left = dict(datagrams)
    for one in facts.media:
        if (found := left.pop(one.identity, None)) is not None:
            yield found


def _stream(ordered: Sequence[Numbered], store: Store) -> Stream:
    reader, frames = FrameReader(), list[SentFrame]()
    for place, one in enumerate(ordered):
        gap = place > 0 and not follows(one, ordered[place - 1])
        frames += reader.feed_untrusted(place, store.packets(one.identity), gap=gap)
    unique = {frame.pts: frame for frame in reversed(frames)}  # of two with one PTS, the first
    return Stream(tuple(one.identity for one in ordered), tuple(reversed(unique.values())), reader.pid)


def _sessions(flow: Flow, index: dict[int | None, int], places: list[dict[bytes, int]]) -> Iterator[Session]:
    """Yield the sessions of one client, one for each stream in each."""
    grouped: dict[tuple[Endpoint, int, int], list[tuple[MediaDatagram, ...]]] = {}
    connects: Counter[Endpoint] = Counter()
    for window, allowed in zip(flow.windows, flow.allowed, strict=True):
        connects[window.control] += window.opened_by == "connect"
        for source, stream in index.items():
            mine = tuple(one for one in allowed if one.ssrc == source and _is_stream(one))
            if mine:
                grouped.setdefault((window.control, connects[window.control], stream), []).append(mine)
    for (_, _, stream), windows in grouped.items():
        yield Session(stream, tuple(windows), places[stream])
