"""One client with everything that is known about it: what left for it, what reached it, what it claims. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flume.lab.evidence.facts import Evidence, Expectations, MediaDatagram, OtherPacket, Subject, TapFacts
from flume.lab.trial.flows import Flow, classify
from flume.lab.trial.frame_account import FrameAccount
from flume.lab.trial.link_losses import lost_datagrams
from flume.lab.trial.matching import Matching, match
from flume.lab.trial.measures import Measures
from flume.lab.trial.numbering import passed_over
from flume.lab.trial.verdict import Balance
from flume.lab.trial.windows import ActiveWindow, CommandOutcome, Sessions


class Case(NamedTuple):
    """One client, and what of the rest its checks need."""

    subject: Subject
    flow: Flow
    tap: TapFacts | None
    """The capture at the client's own interface; None where there is none."""
    matching: Matching | None
    """Departures paired with the arrivals at *tap*; None without it."""
    commands: tuple[CommandOutcome, ...]
    balance: Balance | None
    """The account of its datagrams; None where nothing says what it received."""
    server: TapFacts
    expectations: Expectations
    started_s: float
    """Epoch seconds of the run's start."""
    receivers: tuple[str, ...]
    """Names of the clients that were sent datagrams in their windows, this one included."""
    account: FrameAccount | None = None
    """Of its frames; :mod:`flume.lab.trial.measured` makes it of all cases together."""
    measures: Measures = Measures()

    def active_s(self, window: ActiveWindow) -> float:
        """Return the seconds for which *window* was open while the server's capture ran."""
        return active_s(window, self.server)

    @property
    def lost(self) -> int:
        """Datagrams of its windows that did not reach the client's program, for whatever reason."""
        b = self.balance
        return passed_over(self.flow) + (0 if b is None else max(0, b.sent - b.received))


def active_s(window: ActiveWindow, server: TapFacts) -> float:
    """Return the seconds for which *window* was open while the capture *server* ran."""
    return min(window.closed_s, server.tap.last_s) - window.opened_s


def cases_of(evidence: Evidence, server: TapFacts, sessions: Sessions) -> tuple[Case, ...]:
    """Return a case for each subject. Raises :class:`~flume.errors.EvidenceError` when its tap is not there."""
    flows = [
        classify(subject.address, _towards(subject.address, server.media), sessions) for subject in evidence.subjects
    ]
    pairs = list(zip(evidence.subjects, flows, strict=True))
    receivers = tuple(subject.name for subject, flow in pairs if flow.active)
    cases = []
    for subject, flow in pairs:
        tap = None if subject.tap is None else evidence.facts(subject.tap)
        matching = None if tap is None else match(flow.sent, _towards(subject.address, tap.media))
        lost = subject.counters.lost_on_link
        if tap is not None and matching is not None:
            left, came = (_others_towards(subject.address, facts) for facts in (server, tap))
            lost = lost_datagrams(subject.counters, left, came, matching)
        cases.append(
            Case(
                subject=subject,
                flow=flow,
                tap=tap,
                matching=matching,
                commands=sessions.of(subject.address).commands,
                balance=_balance(subject, flow, matching, lost_on_link=lost),
                server=server,
                expectations=evidence.expectations,
                started_s=evidence.started_s,
                receivers=receivers,
            )
        )
    return tuple(cases)


def _towards(address: str, media: Iterable[MediaDatagram]) -> Sequence[MediaDatagram]:
    return [datagram for datagram in media if datagram.destination[0] == address]


def _others_towards(address: str, facts: TapFacts) -> Sequence[OtherPacket]:
    return [packet for packet in facts.others if packet.destination == address]


def _balance(subject: Subject, flow: Flow, matching: Matching | None, *, lost_on_link: int) -> Balance | None:
    """Return the account of one client, or None when nothing says what it received."""
    counters, claims = subject.counters, subject.claims
    beyond_tap = counters.dropped_by_firewall + counters.dropped_by_receiver
    on_link = lost_on_link + counters.damaged_on_link
    if claims.datagrams is not None:
        received = claims.datagrams - claims.duplicates
    elif matching is not None:  # The tap is before the firewall and the socket of the client.
        received = len(matching.arrived) - beyond_tap
    else:
        return None
    return Balance(
        sent=len(flow.sent),
        received=received,
        lost_on_link=lost_on_link,
        damaged_on_link=counters.damaged_on_link,
        dropped_by_firewall=counters.dropped_by_firewall,
        dropped_by_receiver=counters.dropped_by_receiver,
        unexplained=len(flow.sent) - received - on_link - beyond_tap,
    )
