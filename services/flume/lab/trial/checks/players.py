"""Checks of clients that are other people's players. Pure.

A player speaks RTSP, whose methods the judge knows by the commands that they stand for: SETUP is *connect*, PLAY
*continue*, PAUSE *interrupt*, TEARDOWN *disconnect*.
"""

import math
from collections.abc import Iterable, Sequence

from flume.lab.trial.case import Case
from flume.lab.trial.checks.finding import Finding, fails, passes, unsupported
from flume.lab.trial.checks.run import SILENCE_S
from flume.lab.trial.windows import CommandOutcome

JOIN_S = SILENCE_S + 6.0
"""A window of this length shows a frame with every player. GStreamer fills its buffers for 2 s, ffplay may examine the
stream for 5 s, and on a busy host both take longer."""

_REQUESTS = {"connect": ("connect", "continue")}
"""Command of the scenario → requests of a player, where it is not the one of the same name."""


def requests(planned: Iterable[str]) -> tuple[str, ...]:
    """Return the requests by which a player carries out the *planned* commands.

    >>> requests(["connect", "interrupt", "disconnect"])
    ('connect', 'continue', 'interrupt', 'disconnect')
    """
    return tuple(request for command in planned for request in _REQUESTS.get(command, (command,)))


def without_pauses(names: Sequence[str]) -> tuple[str, ...]:
    """Return the requests *names* of a player whose pause asks the server for nothing.

    >>> without_pauses(["connect", "continue", "interrupt", "continue", "interrupt", "disconnect"])
    ('connect', 'continue', 'disconnect')
    """
    kept: list[str] = []
    is_paused = False
    for name in names:
        if name == "continue" and is_paused:
            is_paused = False
        elif name == "interrupt":
            is_paused = True
        else:
            is_paused = is_paused and name != "disconnect"
            kept.append(name)
    return tuple(kept)


def without_farewells(seen: Sequence[CommandOutcome]) -> tuple[CommandOutcome, ...]:
    """Return *seen* without each PAUSE that a player sends just before TEARDOWN, as GStreamer does."""
    following = [*(one.command for one in seen[1:]), ""][: len(seen)]
    return tuple(
        one for one, after in zip(seen, following, strict=True) if (one.command, after) != ("interrupt", "disconnect")
    )


def commands(case: Case) -> Finding:
    """Return what the check *commands* finds for another player: its requests are those of its steps, all granted."""
    seen = [command for command in case.commands if command.command != "status"]
    steps = case.subject.commands or ()
    wanted = _without_stops(requests(steps))
    # The pause just before a stop may be a step, or a player's farewell.
    possible = {_without_stops(one.command for one in some) for some in (seen, without_farewells(seen))}
    names = tuple(one.command for one in seen)
    refused = [f"{one.command}: {one.answer}" for one in seen if one.answer not in {"ok", None}]
    unanswered = [one.command for one in seen if one.answer is None and one.command != "disconnect"]
    if unanswered:
        return fails(f"not answered: {', '.join(unanswered)}")
    if steps[-1:] == ("disconnect",) and any(math.isinf(window.closed_s) for window in case.flow.windows):
        return fails("its session did not end with its last step")
    if (cannot := case.subject.claims.unsupported) and not refused:
        return unsupported(f"{case.subject.program} cannot do: {'; '.join(cannot)}")
    if wanted not in possible and not case.subject.counters.dropped_by_firewall:
        if not refused and without_pauses(wanted) in possible:
            pauses = sum(step == "interrupt" for step in steps)
            halts = f"{case.subject.program} halts its display at a pause"
            return unsupported(f"{halts}, and asks the server for nothing (pauses: {pauses})")
        return fails(f"steps {', '.join(steps) or 'none'}; on the wire: {', '.join(names) or 'none'}")
    return fails(f"not granted: {', '.join(refused)}") if refused else passes(", ".join(names) or "none")


def _without_stops(names: Iterable[str]) -> tuple[str, ...]:
    """Return *names* without disconnect: ffplay closes its connection and sends no TEARDOWN."""
    return tuple(name for name in names if name != "disconnect")


def frames(case: Case) -> Finding | None:
    """Return what the check *frames* finds for another player: it displays the stream.

    How many frames is not compared: at each stop a player throws away what it has read ahead.
    """
    longest_s = max((case.active_s(window) for window in case.flow.windows), default=0.0)
    claims = case.subject.claims
    if claims.join_ms is None:
        return fails(f"displayed nothing in {longest_s:.1f} s of activity") if longest_s >= JOIN_S else None
    count = (
        "it does not say how many frames" if claims.frames_displayed is None else f"{claims.frames_displayed} frames"
    )
    return passes(f"displays the stream since {claims.join_ms:.0f} ms after play; {count}")
