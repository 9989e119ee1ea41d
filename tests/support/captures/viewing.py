"""A viewer on paper: what the player of one client recorded of the frames of a :class:`~support.captures.wire.Wire`."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from flume.lab.evidence.clock import HostClock
from flume.lab.evidence.facts import Backlog, Evidence, Expectations, GivenUp, PlayerRecord, Shown, TapFacts, TooLate
from flume.lab.trial.judge import judge
from flume.lab.trial.measures import Measures
from flume.lab.trial.verdict import Report
from support.captures.judging import RUN
from support.captures.wire import START_S, Wire, host

LAG_S = 0.5
"""From the first datagram of a frame to the frame on the screen."""


def number_of(sequence: int, loop: int = 1 << 16) -> int:
    """The test card's number of the frame that begins in a datagram."""
    return sequence // 2 % loop


def record(
    wire: Wire,
    client: int,
    *,
    hide: Collection[int] = (),
    unclear: Collection[int] = (),
    given_up: Collection[tuple[int, int]] = (),
    late: Collection[int] = (),
    loop: int = 1 << 16,
    lag_s: Callable[[int], float] = lambda _sequence: LAG_S,
) -> PlayerRecord:
    """What a player displays that got everything.

    *hide*, *unclear*: RTP numbers of datagrams whose frames it does not display, or displays without a readable number.
    *given_up*, *late*: RTP numbers for the record of the receiver.
    """
    mine = [one for one in wire.media if one.destination[0] == host(client)]
    shown = [
        Shown(one.time_s + lag_s(sequence), None if sequence in unclear else number_of(sequence, loop))
        for one in mine
        if one.video_frames_started and (sequence := one.sequence or 0) not in hide
    ]
    time_s = {one.sequence: one.time_s for one in mine}
    return PlayerRecord(
        tuple(sorted(shown)),
        tuple(GivenUp(time_s[last] + 0.08, first, last) for first, last in given_up),
        tuple(TooLate(time_s[sequence] + 0.09, sequence) for sequence in late),
    )


def watched(
    wire: Wire,
    seen: Mapping[int, PlayerRecord | None],
    *,
    taps: Mapping[int, TapFacts] | None = None,
    backlog: Backlog | None = None,
    claims: Mapping[str, Any] | None = None,
    packets: Callable[[bytes], bytes] | None = None,
    clocks: Mapping[str, HostClock] | None = None,
    **fields: Any,
) -> Report:
    """Judge *wire* with the records *seen* of its clients. *claims* and *fields* replace those of each subject.

    *packets* has the bytes of datagrams by their identity, *clocks* those of the taps on other hosts.
    """
    subjects, facts = [], [wire.server()]
    for client, kept in seen.items():
        tap = (taps or {}).get(client) or wire.client(client)
        shown = len(kept.shown) if kept is not None else wire.subject(client).claims.frames_displayed
        said = {"record": kept, "frames_displayed": shown, "datagrams": None, **(claims or {})}
        subject = wire.subject(client, tap=tap.tap.name, **fields)
        subjects.append(msgspec.structs.replace(subject, claims=msgspec.structs.replace(subject.claims, **said)))
        facts.append(tap)
    limits = Expectations(frames_min_pct=50.0, loss_max_pct=100.0)
    evidence = Evidence(START_S, "server", tuple(facts), tuple(subjects), limits, backlog, clocks or {})
    return judge(evidence, RUN, (), packets)


def measures(report: Report, client: int = 1) -> Measures:
    """Return the measures of *client*."""
    return next(one.measures for one in report.clients if one.name == f"client-{client}")
