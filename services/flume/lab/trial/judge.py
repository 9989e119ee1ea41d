"""The judge: evidence in, report out. Nothing here opens a file, and nothing here is the code under test.

Facts (captures) decide. Claims (what programs say) are compared with facts and never replace them. Where a fact is
missing the verdict is ERROR, not PASS: absence of datagrams counts only beside proof that the tap could see them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from flume.lab.evidence.facts import Command, Evidence, Expectations, MediaDatagram, Subject, TapFacts
from flume.lab.trial.flows import Flow, classify
from flume.lab.trial.matching import Matching, match
from flume.lab.trial.numbering import frames_begun, holes, passed_over, repeated
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.verdict import (
    BIN_S,
    Balance,
    Check,
    ClientReport,
    CommandReport,
    Report,
    RunFacts,
    TapReport,
    Timeline,
    Verdict,
    worst,
)
from flume.lab.trial.windows import ActiveWindow, CommandOutcome, Sessions

CLOCK_TOLERANCE_S = 0.001
"""A datagram may seem to arrive this much before it left: two taps of one kernel stamp with one clock, to the
microsecond, so more means that the clock was set during the run."""
SILENCE_S = 2.0
"""An active window of this length without one datagram is a failure; a stopped ingest needs up to 1.3 s to start."""

_PASS, _FAIL, _ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR


class _Case(NamedTuple):
    """One client with everything that is known about it."""

    subject: Subject
    flow: Flow
    tap: TapFacts | None
    matching: Matching | None
    commands: tuple[CommandOutcome, ...]
    balance: Balance | None


def judge(evidence: Evidence, run: RunFacts, extra_checks: Sequence[Check] = ()) -> Report:
    """Return the report on *evidence*; *extra_checks* are the runner's own findings and count like ours.

    Raises :class:`~flume.errors.EvidenceError` when a tap is named that is not there.
    """
    server = evidence.facts(evidence.server_tap)
    sessions = reconstruct(server)
    cases = [_case(subject, evidence, server, sessions) for subject in evidence.subjects]
    checks = [*extra_checks, *_check_taps(evidence), *_check_run(evidence, server, cases)]
    for case in cases:
        checks += _check_client(case, cases, server, evidence)
    end_s = max(server.tap.last_s, evidence.started_s)
    clients = [_client_report(case, checks, evidence.started_s, end_s) for case in cases]
    return Report(
        verdict=worst(check.verdict for check in checks),
        run=run.run,
        started=datetime.fromtimestamp(evidence.started_s, UTC).isoformat(timespec="milliseconds"),
        duration_s=round(end_s - evidence.started_s, 3),
        engine=run.engine,
        scenario=run.scenario,
        clients=clients,
        balance=sum((client.balance for client in clients), Balance()),
        checks=checks,
        timings=run.timings,
        taps=[_tap_report(facts) for facts in evidence.taps],
        network=run.network,
    )


def _case(subject: Subject, evidence: Evidence, server: TapFacts, sessions: Sessions) -> _Case:
    sent = [datagram for datagram in server.media if datagram.destination[0] == subject.address]
    flow = classify(subject.address, sent, sessions)
    tap = None if subject.tap is None else evidence.facts(subject.tap)
    arrivals = [] if tap is None else [d for d in tap.media if d.destination[0] == subject.address]
    matching = None if tap is None else match(flow.sent, arrivals)
    commands = tuple(command for command in sessions.commands if command.control[0] == subject.address)
    return _Case(subject, flow, tap, matching, commands, _balance(subject, flow, matching))


def _balance(subject: Subject, flow: Flow, matching: Matching | None) -> Balance | None:
    """Return the account of one client, or None when nothing says what it received."""
    counters, claims = subject.counters, subject.claims
    beyond_tap = counters.dropped_by_firewall + counters.dropped_by_receiver
    on_link = counters.lost_on_link + counters.damaged_on_link
    if claims.datagrams is not None:
        received = claims.datagrams - claims.duplicates
    elif matching is not None:  # The tap stands before the firewall and the socket of the client.
        received = len(matching.arrived) - beyond_tap
    else:
        return None
    return Balance(
        sent=len(flow.sent),
        received=received,
        lost_on_link=counters.lost_on_link,
        damaged_on_link=counters.damaged_on_link,
        dropped_by_firewall=counters.dropped_by_firewall,
        dropped_by_receiver=counters.dropped_by_receiver,
        unexplained=len(flow.sent) - received - on_link - beyond_tap,
    )


# --- the run ---------------------------------------------------------------------------------------------------------


def _check_taps(evidence: Evidence) -> Iterator[Check]:
    for facts in evidence.taps:
        tap = facts.tap
        detail = tap.problem or f"{tap.packets} packets, none dropped, file whole, closed cleanly"
        yield Check(name="capture", verdict=_ERROR if tap.problem else _PASS, subject=tap.name, detail=detail)


def _check_run(evidence: Evidence, server: TapFacts, cases: Sequence[_Case]) -> Iterator[Check]:
    addresses = [subject.address for subject in evidence.subjects]
    if not addresses or len(set(addresses)) != len(addresses):
        detail = f"one address a client is needed to tell them apart; given: {', '.join(addresses) or 'no clients'}"
        yield Check(name="subjects", verdict=_ERROR, subject="run", detail=detail)
    strangers = sorted({d.destination[0] for d in server.media} - set(addresses))
    detail = f"datagrams left for {', '.join(strangers)}, which no client has" if strangers else "none"
    yield Check(name="strangers", verdict=_FAIL if strangers else _PASS, subject="run", detail=detail)
    windows = sum(len(case.flow.windows) for case in cases)
    silent = any(_length_s(window, server) >= SILENCE_S for case in cases for window in case.flow.windows)
    # Long activity without a datagram is the product's failure and told by "reception"; less than that tells nothing.
    enough = windows > 0 and (silent or bool(server.media))
    seen = f"{len(server.media)} datagrams and {windows} active windows at the server's interface"
    yield Check(name="evidence", verdict=_PASS if enough else _ERROR, subject="run", detail=seen)


def _length_s(window: ActiveWindow, server: TapFacts) -> float:
    return min(window.closed_s, server.tap.last_s) - window.opened_s


# --- one client ------------------------------------------------------------------------------------------------------


def _check_client(case: _Case, cases: Sequence[_Case], server: TapFacts, evidence: Evidence) -> Iterator[Check]:
    expectations, started_s = evidence.expectations, evidence.started_s
    findings: Iterable[tuple[str, Verdict, str]] = (
        ("promise", *_promise(case, started_s)),
        ("commands", *_commands(case)),
        ("reception", *_reception(case, server)),
        ("silence", *_silence(case, cases, server)),
        ("sequence", *_sequence(case, server)),
        ("acknowledged", *_acknowledged(case)),
        ("clock", *_clock(case)),
        ("balance", *_balanced(case)),
        ("loss", *_loss(case, expectations)),
        *_watching(case, expectations),
    )
    for name, verdict, detail in findings:
        yield Check(name=name, verdict=verdict, subject=case.subject.name, detail=detail)


def _promise(case: _Case, started_s: float) -> tuple[Verdict, str]:
    """Not one datagram outside the windows."""
    flow = case.flow
    if flow.leaked:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(flow.reasons.items()))
        first = flow.leaked[0]
        ended = max((window.closed_s for window in flow.windows if window.closed_s < first.time_s), default=None)
        since = "" if ended is None else f", {1000 * (first.time_s - ended):.3f} ms after its last window ended"
        where = f"the first at {first.time_s - started_s:.6f} s to port {first.destination[1]}{since}"
        return _FAIL, f"{len(flow.leaked)} datagrams left outside the active windows: {reasons}; {where}"
    if flow.unjudged:
        return _ERROR, f"{flow.unjudged} datagrams left on a session that began before the capture: start taps first"
    return _PASS, f"0 of {len(flow.sent)} datagrams left outside {len(flow.windows)} active windows"


def _commands(case: _Case) -> tuple[Verdict, str]:
    """What was planned is what reached the server, and each command was granted."""
    seen = [command for command in case.commands if command.command != "status"]
    names = tuple(command.command for command in seen)
    told = ", ".join(names) or "none"
    if case.subject.commands is None:
        return _PASS, f"not planned; seen: {len(names)}"
    planned = tuple(name for name in case.subject.commands if name != "status")
    if names != planned:
        return _FAIL, f"planned {', '.join(planned) or 'none'}; on the wire: {told}"
    refused = [f"{command.command}: {command.answer or 'no answer'}" for command in seen if command.answer != "ok"]
    return (_FAIL, f"not granted: {', '.join(refused)}") if refused else (_PASS, told)


def _reception(case: _Case, server: TapFacts) -> tuple[Verdict, str]:
    """An active client is sent something, and it arrives."""
    for window, datagrams in zip(case.flow.windows, case.flow.allowed, strict=True):
        length_s = _length_s(window, server)
        if length_s >= SILENCE_S and not datagrams:
            return _FAIL, f"nothing was sent for {length_s:.1f} s of activity (opened by {window.opened_by})"
    sent = len(case.flow.active)
    if case.matching is not None and sent and not case.matching.arrived:
        return _FAIL, f"{sent} datagrams left for it and none reached its interface"
    if case.balance is not None and sent and case.balance.received <= 0:
        return _FAIL, f"{sent} datagrams left for it and its program received none"
    return _PASS, f"{sent} datagrams in {len(case.flow.windows)} active windows"


def _silence(case: _Case, cases: Sequence[_Case], server: TapFacts) -> tuple[Verdict, str]:
    """Zero datagrams mean something only where the tap has proved that it sees this host and the stream."""
    if case.flow.sent:
        return _PASS, "the tap saw this client's datagrams in its windows, so it would have seen others"
    if case.subject.address not in server.sources:
        return _ERROR, f"not one packet from {case.subject.address} at the server: was the host there at all?"
    others = [other.subject.name for other in cases if other is not case and other.flow.active]
    if not others:
        return _ERROR, "no client received anything, so receiving nothing proves nothing"
    return _PASS, f"never active; the tap saw its packets, and {others[0]} received meanwhile"


def _sequence(case: _Case, server: TapFacts) -> tuple[Verdict, str]:
    """Within a window the server skips no number while the client listens, and it never repeats one."""
    skipped = 0
    for window, datagrams in zip(case.flow.windows, case.flow.allowed, strict=True):
        refused = (r.time_s for r in server.refusals if r.media in window.endpoints and r.time_s >= window.opened_s)
        skipped += holes(datagrams, min(refused, default=math.inf))
    twice = repeated(case.flow)
    if skipped or twice:
        return _FAIL, f"the server broke the numbering {skipped} times and sent {twice} datagrams twice"
    over = f", but for {count} passed over on its slow connection" if (count := passed_over(case.flow)) else ""
    return _PASS, f"numbered without a hole or a repetition in every window{over}"


def _acknowledged(case: _Case) -> tuple[Verdict, str]:
    """The numbers in the server's replies are those on the wire."""
    wrong = [
        text
        for window, datagrams in zip(case.flow.windows, case.flow.allowed, strict=True)
        for text in _contradictions(window, datagrams)
    ]
    return (_FAIL, "; ".join(wrong[:3])) if wrong else (_PASS, "replies and wire agree")


def _contradictions(window: ActiveWindow, datagrams: Sequence[MediaDatagram]) -> Iterator[str]:
    if window.datagrams is not None and window.datagrams != len(datagrams):
        yield f"the reply to {window.closed_by} counts {window.datagrams} datagrams, the wire has {len(datagrams)}"
    if not datagrams or datagrams[0].sequence is None:
        return
    first, last = datagrams[0].sequence, datagrams[-1].sequence
    if window.first_sequence not in {None, first}:
        yield f"{window.opened_by} announced number {window.first_sequence}, the first one sent was {first}"
    if window.last_sequence not in {None, last}:
        yield f"the reply to {window.closed_by} says last number {window.last_sequence}, the wire says {last}"


def _clock(case: _Case) -> tuple[Verdict, str]:
    """Nothing arrives before it left, and nothing arrives that never left."""
    if case.matching is None:
        return _PASS, "one tap, one clock"
    if case.matching.unmatched > case.subject.counters.damaged_on_link:
        return _ERROR, f"{case.matching.unmatched} datagrams reached the client that the server's tap did not see leave"
    delays = [arrival.time_s - departure.time_s for departure, arrival in case.matching.arrived]
    if delays and min(delays) < -CLOCK_TOLERANCE_S:
        return _ERROR, f"a datagram arrived {-min(delays) * 1000:.1f} ms before it left: the taps' clocks disagree"
    return _PASS, f"longest way {max(delays) * 1000:.1f} ms" if delays else "nothing to compare"


def _balanced(case: _Case) -> tuple[Verdict, str]:
    """Every datagram is accounted for."""
    name = case.subject.name
    if case.balance is None:
        return _ERROR, f"neither a capture at {name} nor its own statistics say what it received"
    if any(math.isinf(window.closed_s) for window in case.flow.windows):
        return _ERROR, f"{name} was still active when the capture ended: interrupt it before stopping the taps"
    if case.balance.unexplained:
        b = case.balance
        where = "" if case.matching is None else f"; {len(case.matching.arrived)} of them reached its interface"
        return _FAIL, f"{b.unexplained} of {b.sent} datagrams are unexplained (received {b.received}{where})"
    # A damaged datagram is at the client's tap, but unlike any that left.
    seen = 0 if case.matching is None else len(case.matching.missing) - case.matching.unmatched
    if case.matching is not None and seen != (counted := case.balance.lost_on_link):
        return _ERROR, f"{seen} datagrams are missing between the taps, the link's counter says {counted}"
    return _PASS, f"{case.balance.sent} sent, 0 unexplained"


def _loss(case: _Case, expectations: Expectations) -> tuple[Verdict, str]:
    """What the network under study takes is its business; what is lost beyond that is the product's."""
    lost, _ = _lost(case)
    b = case.balance or Balance()
    by_link = b.lost_on_link + b.damaged_on_link if expectations.link_loses else 0
    by_network = by_link + b.dropped_by_firewall
    pct = 100 * max(0, lost - by_network) / max(1, len(case.flow.sent))
    of_those = f", {by_network} of them by link and firewall; beyond these" if by_network else ","
    detail = f"{lost} datagrams{of_those} {pct:.3f} % (allowed: {expectations.loss_max_pct:g} %)"
    return (_FAIL if pct > expectations.loss_max_pct else _PASS), detail


def _lost(case: _Case) -> tuple[int, float]:
    lost = passed_over(case.flow) + (max(0, b.sent - b.received) if (b := case.balance) is not None else 0)
    return lost, 100 * lost / max(1, len(case.flow.sent))


def _watching(case: _Case, expectations: Expectations) -> Iterator[tuple[str, Verdict, str]]:
    """What the viewer saw. This rests on the client's claim: only the player knows what it displayed."""
    claims = case.subject.claims
    least = expectations.frames_min_pct
    if least is not None and case.flow.windows and case.subject.watches:
        (due, cut), shown = frames_begun(case.flow), claims.frames_displayed
        if shown is None:
            yield "frames", _ERROR, "the client does not say how many frames it displayed"
        elif due == 0:
            yield "frames", _ERROR, "no video frame was found in what was sent: is there a video in it?"
        elif shown > (begun := sum(datagram.video_frames_started for datagram in case.flow.sent)):
            yield "frames", _ERROR, f"claims {shown} frames displayed where {begun} were ever sent: its count is wrong"
        else:
            verdict = _FAIL if 100 * shown / due < least else _PASS
            extra = f" and up to {cut} that a window's end cut" if shown > due else ""
            pct = min(100.0, 100 * shown / due)
            yield "frames", verdict, f"{shown} displayed of {due} due{extra}, {pct:.1f} % (least {least:g} %)"
    if expectations.join_max_ms is not None and case.flow.windows and case.subject.watches:
        late = claims.join_ms is None or claims.join_ms > expectations.join_max_ms
        seen = "no frame was displayed" if claims.join_ms is None else f"{claims.join_ms:.0f} ms"
        yield "join", _FAIL if late else _PASS, f"{seen} (allowed: {expectations.join_max_ms:g} ms)"


# --- the report ------------------------------------------------------------------------------------------------------


def _client_report(case: _Case, checks: Iterable[Check], started_s: float, end_s: float) -> ClientReport:
    subject, flow = case.subject, case.flow
    lost, pct = _lost(case)
    frames = frames_begun(flow)
    active = {id(datagram) for datagram in flow.active}
    arrived = None if case.matching is None else sum(id(departure) in active for departure, _ in case.matching.arrived)
    windows = [(w.opened_s - started_s, min(w.closed_s, end_s) - started_s) for w in flow.windows]
    return ClientReport(
        name=subject.name,
        address=subject.address,
        verdict=worst(check.verdict for check in checks if check.subject in {subject.name, subject.tap}),
        commands=[_command_report(command, started_s) for command in case.commands],
        active_windows=[(round(opened_s, 4), round(closed_s, 4)) for opened_s, closed_s in windows],
        datagrams_active=len(active) if arrived is None else arrived,
        datagrams_leaked=len(flow.leaked),
        leak_reasons=flow.reasons,
        datagrams_lost=lost,
        loss_pct=round(pct, 4),
        join_ms=subject.claims.join_ms,
        first_datagram_ms=_first_datagram_ms(case),
        frames_due=frames.due,
        frames_cut=frames.cut,
        frames_displayed=subject.claims.frames_displayed,
        player=subject.claims.player,
        balance=case.balance or Balance(sent=len(flow.sent)),
        timeline=Timeline(
            bin_s=BIN_S,
            sent=_bins(flow.sent, started_s, end_s),
            leaked=_bins(flow.leaked, started_s, end_s),
        ),
    )


def _first_datagram_ms(case: _Case) -> float | None:
    connects = [command.time_s for command in case.commands if command.command == "connect" and command.answer == "ok"]
    if case.tap is not None and case.matching is not None:
        first = min((arrival.time_s for _, arrival in case.matching.arrived), default=None)
        mine = [m for m in case.tap.messages if isinstance(m, Command) and m.client[0] == case.subject.address]
        connects = [command.time_s for command in mine if command.name == "connect"] or connects
    else:
        first = min((datagram.time_s for datagram in case.flow.active), default=None)
    return None if first is None or not connects else round(1000 * (first - connects[0]), 2)


def _command_report(command: CommandOutcome, started_s: float) -> CommandReport:
    answered_s = command.answered_s
    return CommandReport(
        time_s=round(command.time_s - started_s, 4),
        command=command.command,
        answer=command.answer,
        answer_ms=None if answered_s is None else round(1000 * (answered_s - command.time_s), 2),
    )


def _bins(datagrams: Iterable[MediaDatagram], started_s: float, end_s: float) -> list[int]:
    bins = [0] * (int((end_s - started_s) / BIN_S) + 1)
    for datagram in datagrams:
        position = int((datagram.time_s - started_s) / BIN_S)
        if 0 <= position < len(bins):
            bins[position] += 1
    return bins


def _tap_report(facts: TapFacts) -> TapReport:
    tap = facts.tap
    return TapReport(
        name=tap.name,
        interface=tap.interface,
        path=tap.path,
        packets=tap.packets,
        dropped_by_kernel=tap.dropped_by_kernel,
        batches=facts.batches,
        duration_s=round(max(0.0, tap.last_s - tap.first_s), 3),
        problem=tap.problem,
    )
