"""What the report says about one client. Pure."""

from collections.abc import Iterable

from flume.lab.evidence.facts import Command, MediaDatagram
from flume.lab.trial.case import Case
from flume.lab.trial.numbering import frames_begun
from flume.lab.trial.verdict import BIN_S, SERVER, Balance, Check, ClientReport, CommandReport, Timeline, worst
from flume.lab.trial.windows import CommandOutcome


def client_report(case: Case, checks: Iterable[Check], end_s: float, server: str = SERVER) -> ClientReport:
    """Return the report on *case*. Its verdict is the worst of those *checks* that are about the client or its tap.

    *end_s*, in epoch seconds, is where the time lines end; *server* is the name of its server.
    """
    subject, flow, started_s = case.subject, case.flow, case.started_s
    frames = frames_begun(case.whole_flow, case.never_came)
    active = {id(datagram) for datagram in flow.active}
    arrived = None if case.matching is None else sum(id(departure) in active for departure, _ in case.matching.arrived)
    windows = [(w.opened_s - started_s, min(w.closed_s, end_s) - started_s) for w in flow.windows]
    return ClientReport(
        name=subject.name,
        address=subject.address,
        server=server,
        verdict=worst(check.verdict for check in checks if check.subject in {subject.name, subject.tap}),
        commands=[_command_report(command, started_s) for command in case.commands],
        active_windows=[(round(opened_s, 4), round(closed_s, 4)) for opened_s, closed_s in windows],
        datagrams_active=len(active) if arrived is None else arrived,
        datagrams_leaked=len(flow.leaked),
        leak_reasons=flow.reasons,
        datagrams_lost=case.lost,
        datagrams_lost_upstream=0 if case.upstream is None else len(case.upstream.lost),
        loss_pct=round(100 * case.lost / max(1, len(flow.sent)), 4),
        join_ms=subject.claims.join_ms,
        first_datagram_ms=_first_datagram_ms(case),
        frames_due=frames.due,
        frames_cut=frames.cut,
        frames_displayed=subject.claims.frames_displayed,
        player=subject.claims.player,
        program=subject.program,
        balance=case.balance or Balance(sent=len(flow.sent)),
        timeline=Timeline(
            bin_s=BIN_S,
            sent=_bins(flow.sent, started_s, end_s),
            leaked=_bins(flow.leaked, started_s, end_s),
        ),
        measures=case.measures,
    )


def _first_datagram_ms(case: Case) -> float | None:
    """Return the time from ``connect`` to the first datagram: at the client's tap, or else at the server's."""
    connects = [command.time_s for command in case.commands if command.command == "connect" and command.answer == "ok"]
    if case.tap is not None and case.matching is not None:
        first = min((arrival.time_s for _, arrival in case.matching.arrived), default=None)
        address = case.subject.address
        mine = [one for one in case.tap.messages if isinstance(one, Command) and one.client[0] == address]
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
    """Count *datagrams* per :data:`BIN_S` from *started_s* to *end_s*."""
    bins = [0] * (int((end_s - started_s) / BIN_S) + 1)
    for datagram in datagrams:
        position = int((datagram.time_s - started_s) / BIN_S)
        if 0 <= position < len(bins):
            bins[position] += 1
    return bins
