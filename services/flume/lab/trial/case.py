"""One client with everything that is known about it: what left for it, what reached it, what it claims. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flume.lab.evidence.clock import Clocks
from flume.lab.evidence.facts import Evidence, Expectations, MediaDatagram, OtherPacket, Subject, TapFacts
from flume.lab.trial.flows import Flow, classify
from flume.lab.trial.frame_account import FrameAccount
from flume.lab.trial.link_losses import lost_datagrams
from flume.lab.trial.matching import Matching, match
from flume.lab.trial.measures import Measures
from flume.lab.trial.numbering import NONE_LOST, Lost, passed_over
from flume.lab.trial.upstream import RelayStream, Upstream
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
    upstream: Upstream | None = None
    """Of a client behind a relay: what had been lost before the relay sent it. None: its server is the first of all."""
    viewers: tuple[ActiveWindow, ...] | None = None
    """Of a relay: the windows of its own clients. None: it is no relay, or nothing is known of these."""
    clocks: Clocks = Clocks()
    """Of the server's host and the client's."""

    def active_s(self, window: ActiveWindow) -> float:
        """Return the seconds for which *window* was open while the server's capture ran."""
        return active_s(window, self.server)

    @property
    def lost(self) -> int:
        """Datagrams of its windows that did not reach the client's program, for whatever reason on their way to it."""
        b = self.balance
        return passed_over(self.flow, self.lost_before) + (0 if b is None else max(0, b.sent - b.received))

    @property
    def lost_before(self) -> Lost:
        """Where in its stream datagrams had been lost before its server, a relay, sent it."""
        return NONE_LOST if self.upstream is None else self.upstream.before

    @property
    def whole_flow(self) -> Flow:
        """What left its server, with what its server, a relay, had lost at its place: frames are due by it."""
        return self.flow if self.upstream is None else self.upstream.flow

    @property
    def never_came(self) -> tuple[MediaDatagram, ...]:
        """Of :attr:`whole_flow`, the datagrams that did not reach its interface, as far as that is known."""
        missing = () if self.matching is None else self.matching.missing
        return missing if self.upstream is None else (*missing, *self.upstream.lost)


def active_s(window: ActiveWindow, server: TapFacts) -> float:
    """Return the seconds for which *window* was open while the capture *server* ran."""
    return min(window.closed_s, server.tap.last_s) - window.opened_s


def relay_stream(relay: Case) -> RelayStream:
    """Return the stream that *relay*, a client of one server, can pass on to clients of its own."""
    counters, late = relay.subject.counters, relay.subject.claims.late or 0
    came = None if relay.matching is None else {id(departure) for departure, _ in relay.matching.arrived}
    excused = counters.dropped_by_firewall + counters.dropped_by_receiver + late
    apart_s = relay.clocks.most_apart_s
    return RelayStream(
        relay.subject.name, relay.whole_flow, came, excused=excused, apart_s=apart_s, above=relay.upstream
    )


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
                clocks=Clocks(
                    evidence.clocks.get(evidence.server_tap), evidence.clocks.get(subject.tap or subject.name)
                ),
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
