"""Fills the measures of all cases: what the network did to each client's video. Pure."""

from collections.abc import Sequence

from flume.lab.evidence.facts import TapFacts
from flume.lab.trial.attribution import frame_account, keeps_record
from flume.lab.trial.card_numbers import Places, Seen, card_numbers
from flume.lab.trial.case import Case
from flume.lab.trial.fates import fates
from flume.lab.trial.frames import frames_sent
from flume.lab.trial.measures import Measures
from flume.lab.trial.playback_figures import playback_figures
from flume.lab.trial.series import series
from flume.lab.trial.stream_figures import Packets, stream_figures
from flume.lab.trial.wire_figures import wire_figures


def measured(cases: Sequence[Case], server: TapFacts, end_s: float, packets: Packets | None = None) -> tuple[Case, ...]:
    """Return *cases* with their measures, and with the account of their frames.

    *server* is what the server's tap saw, *end_s* the end of the time lines, epoch seconds; *packets* has the bytes of
    the datagrams there. All cases are taken together, because the numbers of the test card that one player displayed
    explain those of another.
    """
    places = Places(server.media if any(map(keeps_record, cases)) else ())
    sent = [frames_sent(case.flow) for case in cases]
    placed = [[places.of(frame) for frame in frames] for frames in sent]
    records = [case.subject.claims.record if keeps_record(case) else None for case in cases]
    shown = [() if record is None else record.shown for record in records]
    numbers = card_numbers([Seen(*one) for one in zip(sent, placed, shown, strict=True)])
    found = []
    for case, frames, at in zip(cases, sent, placed, strict=True):
        by_datagram = fates(case)
        account = frame_account(case, frames, at, numbers, by_datagram)
        measures = Measures(
            wire=wire_figures(case),
            stream=stream_figures(case, packets),
            playback=playback_figures(case, account),
            attribution=account.attribution,
            series=series(case, by_datagram, end_s),
        )
        found.append(case._replace(account=account, measures=measures))
    return tuple(found)
