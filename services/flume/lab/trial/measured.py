"""Fills the measures of all cases: what the network did to each client's video. Pure."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from flume.lab.evidence.clock import Clocks
from flume.lab.evidence.facts import MediaDatagram, TapFacts
from flume.lab.trial.attribution import frame_account, keeps_record
from flume.lab.trial.card_numbers import Place, Places, Seen, card_numbers
from flume.lab.trial.case import Case
from flume.lab.trial.fates import Cause, fates
from flume.lab.trial.frames import Frame, frames_sent
from flume.lab.trial.measures import Measures
from flume.lab.trial.playback_figures import playback_figures
from flume.lab.trial.series import series
from flume.lab.trial.stream_figures import Packets, stream_figures
from flume.lab.trial.wire_figures import wire_figures


class FramePlaces(Protocol):
    """Knows where in the stream a frame is."""

    def of(self, frame: Frame) -> Place | None:
        """Return the place of *frame*; None where it is not known."""
        ...


class RelayedPlaces:
    """The places that frames of a relay's stream have in that of the first server: the relay may lack some between."""

    def __init__(self, first: FramePlaces, cases: Sequence[Case]) -> None:
        """*first* knows the places in the stream of the first server; *cases* are of the relay's clients."""
        self._first = first
        self._origin: Mapping[int, MediaDatagram] = {
            at: one for case in cases if case.upstream is not None for at, one in case.upstream.origin.items()
        }

    def of(self, frame: Frame) -> Place | None:
        """Return the place of *frame*; None where the first server did not send it."""
        origin = self._origin.get(id(frame.datagrams[0]))
        return None if origin is None else self._first.of(frame._replace(datagrams=(origin,)))


def places_of(cases: Sequence[Case], server: TapFacts) -> Places:
    """Return the places of all frames that left *server*; none where no player of *cases* names its pictures."""
    return Places(server.media if any(map(keeps_record, cases)) else ())


def measured(
    cases: Sequence[Case], places: FramePlaces, end_s: float, packets: Packets | None = None
) -> tuple[Case, ...]:
    """Return *cases* with their measures, and with the account of their frames.

    *places* knows those of the frames in the stream, *end_s* is the end of the time lines, epoch seconds; *packets* has
    the bytes of the datagrams at the server. All cases are taken together, because the numbers of the test card that
    one player displayed explain those of another.
    """
    sent = [frames_sent(case.whole_flow) for case in cases]
    placed = [[places.of(frame) for frame in frames] for frames in sent]
    records = [case.subject.claims.record if keeps_record(case) else None for case in cases]
    shown = [() if record is None else record.shown for record in records]
    numbers = card_numbers([Seen(*one) for one in zip(sent, placed, shown, strict=True)])
    found = []
    for case, frames, at in zip(cases, sent, placed, strict=True):
        by_datagram: dict[int, Cause] = fates(case)
        if case.upstream is not None:
            by_datagram |= dict.fromkeys(map(id, case.upstream.lost), "upstream")
        account = frame_account(case, frames, at, numbers, by_datagram)
        measures = Measures(
            wire=wire_figures(case),
            stream=stream_figures(case, packets),
            playback=playback_figures(case, account),
            attribution=account.attribution,
            series=series(case, by_datagram, end_s),
        )
        measures = msgspec.structs.replace(measures, not_measured=_not_measured(case, measures))
        found.append(case._replace(account=account, measures=measures))
    return tuple(found)


def _not_measured(case: Case, measures: Measures) -> dict[str, str]:
    """Return why parts of *measures* lack what is between the clock of a server and the client's."""
    hop, whole = case.clocks.unknown, Clocks(None, case.clocks.client).unknown
    reasons: dict[str, str] = {}
    if measures.wire is not None and (hop is not None or (whole is not None and case.upstream is not None)):
        reasons["wire"] = f"{'delay' if hop else 'delay from the first server on'}: {hop or whole}"
    if measures.playback is not None and (whole or hop):
        reasons["playback"] = f"delays from server to screen: {whole or hop}"
    return reasons
