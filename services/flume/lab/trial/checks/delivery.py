"""Checks of what the server sent to one client, and of what it said about that. Pure."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from flume.lab.evidence.facts import MediaDatagram
from flume.lab.trial.case import Case
from flume.lab.trial.checks import players
from flume.lab.trial.checks.finding import Finding, errs, fails, passes, unsupported
from flume.lab.trial.checks.run import SILENCE_S
from flume.lab.trial.numbering import holes, passed_over, repeated
from flume.lab.trial.upstream import refused_s
from flume.lab.trial.windows import ActiveWindow, CommandOutcome


def promise(case: Case) -> Finding:
    """Not one datagram left the server for this client outside its active windows.

    FAIL: At least one did. The detail gives the reasons, and the first one's time and port.

    ERROR: Datagrams left on a session that began before the capture.

    Next: Look at the striped bars in the time line, then at that time in the server's capture.
    """
    flow = case.flow
    if flow.leaked:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(flow.reasons.items()))
        first = flow.leaked[0]
        ended = max((window.closed_s for window in flow.windows if window.closed_s < first.time_s), default=None)
        since = "" if ended is None else f", {1000 * (first.time_s - ended):.3f} ms after its last window ended"
        where = f"the first at {first.time_s - case.started_s:.6f} s to port {first.destination[1]}{since}"
        return fails(f"{len(flow.leaked)} datagrams left outside the active windows: {reasons}; {where}")
    if flow.unjudged:
        return errs(f"{flow.unjudged} datagrams left on a session that began before the capture: start taps first")
    return passes(f"0 of {len(flow.sent)} datagrams left outside {len(flow.windows)} active windows")


def commands(case: Case) -> Finding:
    """The planned commands reached the server, in their order, and each was granted.

    Where a firewall took its media, a client may change to TCP by itself. Where the scenario restarted the server, a
    client comes back by itself to what it did before, and those commands are left out. Of another player the RTSP
    requests are compared: SETUP and PLAY for connect, PAUSE for interrupt, PLAY for continue, TEARDOWN or the end of
    the connection for disconnect.

    FAIL: Other commands arrived; or one was refused or not answered; or the client did not come back after a restart
    that cut what it watched.

    UNSUPPORTED: Another player cannot do what the scenario asks of it, such as to pause the server.

    Next: Compare the report's commands with the scenario, then read the client's log. UNSUPPORTED: give that part of
    the scenario to a player that can, by ``player = "ffplay"``.
    """
    if not case.subject.is_flume:
        return players.commands(case)
    seen = [command for command in case.commands if command.command != "status"]
    names = tuple(command.command for command in seen)
    if case.subject.commands is None:
        return passes(f"not planned; seen: {len(names)}")
    on_the_wire = ", ".join(names) or "none"
    planned = tuple(name for name in case.subject.commands if name != "status")
    if restarts_s := case.expectations.restarts_s:
        seen, returns_s = without_returns(seen, restarts_s)
        names = tuple(command.command for command in seen)
        if (away_s := _did_not_return(case, returns_s)) is not None:
            after = f"{away_s - case.started_s:.1f} s"
            times = f"{len(restarts_s)} times, and the client came back {len(returns_s)} times"
            return fails(f"the server was restarted {times}: not after the restart at {after}")
    possible = {names, _without_change_to_tcp(seen)} if case.subject.counters.dropped_by_firewall else {names}
    if planned not in possible:
        return fails(f"planned {', '.join(planned) or 'none'}; on the wire: {on_the_wire}")
    refused = [f"{command.command}: {command.answer or 'no answer'}" for command in seen if command.answer != "ok"]
    return fails(f"not granted: {', '.join(refused)}") if refused else passes(on_the_wire)


def without_returns(
    seen: Sequence[CommandOutcome], restarts_s: Sequence[float]
) -> tuple[list[CommandOutcome], list[float]]:
    """Return the commands *seen* without those by which a client returns to what it did before the server restarted.

    They are the first of a new connection: connect, and interrupt where the client had paused. A client that had
    disconnected returns to nothing, and one whose last connection began after the restart has returned already. Also
    return the times at which it came back.
    """
    kept: list[CommandOutcome] = []
    returns_s: list[float] = []
    state, control, began_s = "closed", None, 0.0
    restoring = False
    for command in seen:
        if restoring and command.command == "interrupt" and state == "interrupted":
            restoring = False
            continue
        restoring = False
        if command.control != control:
            cut = control is not None and any(began_s < time_s <= command.time_s for time_s in restarts_s)
            control, began_s = command.control, command.time_s
            if cut and command.command == "connect" and state != "closed":
                returns_s.append(command.time_s)
                restoring = True
                continue
        kept.append(command)
        state = {"connect": "active", "continue": "active", "interrupt": "interrupted"}.get(command.command, "closed")
    return kept, returns_s


def _did_not_return(case: Case, returns_s: Sequence[float]) -> float | None:
    """Return the time of the first restart that cut a window of the client, and after which it did not come back.

    It may come back after a later restart, as long as that cut nothing.
    """
    restarts_s = sorted(case.expectations.restarts_s)
    ends_s = [window.closed_s for window in case.flow.windows if window.closed_by in {"closed", "connection"}]
    cutting = [
        from_s
        for from_s, before_s in pairwise([*restarts_s, math.inf])
        if any(from_s <= end_s < before_s for end_s in ends_s)
    ]
    for from_s, before_s in pairwise([*cutting, math.inf]):
        if not any(from_s <= time_s < before_s for time_s in returns_s):
            return from_s
    return None


def _without_change_to_tcp(seen: Sequence[CommandOutcome]) -> tuple[str, ...]:
    """Return the names of the commands *seen* without those by which a client goes over from UDP to TCP."""
    kept: list[str] = []
    on_udp = False
    for command in seen:
        if command.command == "connect" and command.over_tcp and on_udp:
            kept = kept[:-1] if kept[-1] == "disconnect" else kept
        else:
            kept.append(command.command)
        if command.command == "connect":
            on_udp = not command.over_tcp
    return tuple(kept)


def reception(case: Case) -> Finding:
    """An active client is sent datagrams, and they reach it.

    FAIL: Nothing was sent in a window of 2 s or more; or datagrams left, and none arrived.

    Next: Nothing sent: read the server's log. Nothing arrived: compare the captures, then read the firewall's counters.
    """
    for window, datagrams in zip(case.flow.windows, case.flow.allowed, strict=True):
        length_s = case.active_s(window)
        if length_s >= SILENCE_S and not datagrams:
            return fails(f"nothing was sent for {length_s:.1f} s of activity (opened by {window.opened_by})")
    sent = len(case.flow.active)
    if case.matching is not None and sent and not case.matching.arrived:
        return fails(f"{sent} datagrams left for it and none reached its interface")
    if case.balance is not None and sent and case.balance.received <= 0:
        return fails(f"{sent} datagrams left for it and its program received none")
    return passes(f"{sent} datagrams in {len(case.flow.windows)} active windows")


def silence(case: Case) -> Finding:
    """Zero datagrams count only where the tap has proved that it sees this host and the stream.

    ERROR: The client got none, and the tap saw no packet of its host, or no other client got any.

    UNSUPPORTED: The client got none, because it is another player that cannot do what the scenario asks.

    Next: Read the client's log: did it run? Keep another client active meanwhile.
    """
    if case.flow.sent:
        return passes("the tap saw this client's datagrams in its windows, so it would have seen others")
    if cannot := case.subject.claims.unsupported:
        return unsupported(f"it asked for nothing: {'; '.join(cannot)}")
    address = case.subject.address
    if address not in case.server.sources:
        return errs(f"not one packet from {address} at the server: was the host there at all?")
    others = [name for name in case.receivers if name != case.subject.name]
    if not others:
        return errs("no client received anything, so receiving nothing proves nothing")
    return passes(f"never active; the tap saw its packets, and {others[0]} received meanwhile")


def sequence(case: Case) -> Finding:
    """Within a window the server skips no RTP number, and within a session it repeats none.

    FAIL: A number was skipped or repeated. Three skips are allowed: while the client's host refuses datagrams, to a
    keyframe over slow TCP, and of as many as a relay had lost there.

    Next: Look for the number in the server's capture, and at the server's counters of drops.
    """
    skipped = 0
    for window, datagrams in zip(case.flow.windows, case.flow.allowed, strict=True):
        skipped += holes(datagrams, refused_s(window, case.server.refusals), case.lost_before)
    twice = repeated(case.flow)
    if skipped or twice:
        return fails(f"the server broke the numbering {skipped} times and sent {twice} datagrams twice")
    count = passed_over(case.flow, case.lost_before)
    over = f", but for {count} passed over on its slow connection" if count else ""
    lost = sum(case.lost_before.values())
    before = f", but for what {case.upstream.relay} had lost: {lost}" if case.upstream is not None and lost else ""
    return passes(f"numbered without a hole or a repetition in every window{over}{before}")


def acknowledged(case: Case) -> Finding:
    """The numbers in the server's replies are those on the wire.

    FAIL: A first number, last number or count differs from the captured datagrams of its window.

    Next: Compare both numbers in the detail with the server's capture around that reply.
    """
    wrong = [
        text
        for window, datagrams in zip(case.flow.windows, case.flow.allowed, strict=True)
        for text in _contradictions(window, datagrams)
    ]
    return fails("; ".join(wrong[:3])) if wrong else passes("replies and wire agree")


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
