"""In which state a client was, and when: the bands of its time line. Pure."""

import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

from flume.lab.trial.verdict import ClientReport, CommandReport

ACTIVE: Final = "active"
INTERRUPTED: Final = "interrupted"
NOT_CONNECTED: Final = "not connected"


class Band(NamedTuple):
    """A state from *start_s* to *end_s*, both in seconds from the run's start."""

    start_s: float
    end_s: float
    state: str


def bands(client: ClientReport, duration_s: float) -> list[Band]:
    """Return the states of *client* from 0 to *duration_s*, without a gap, each as long as it lasts.

    Active is what the captured windows say. Between them, the last granted command decides; a window that no command
    ended was ended by the connection or by a token that did not come, and the session with it.
    """
    granted = sorted((c for c in client.commands if c.answer == "ok" and c.command != "status"), key=lambda c: c.time_s)
    windows = sorted(client.active_windows)
    marks = {0.0, duration_s, *(c.time_s for c in granted), *(end for window in windows for end in window)}
    times = sorted(min(max(0.0, mark), duration_s) for mark in marks)
    found: list[Band] = []
    for start_s, end_s in itertools.pairwise(times):
        if end_s > start_s:
            state = _state_at((start_s + end_s) / 2, granted, windows)
            if found and found[-1].state == state:
                found[-1] = found[-1]._replace(end_s=end_s)
            else:
                found.append(Band(start_s, end_s, state))
    return found


def state_between(found: Sequence[Band], start_s: float, end_s: float) -> str:
    """Return the state that fills most of *start_s* to *end_s*; the earlier one of two that fill as much.

    >>> state_between([Band(0, 1, "active"), Band(1, 9, "interrupted")], 0, 3)
    'interrupted'
    """
    shares: dict[str, float] = {}
    for band in found:
        overlap_s = min(band.end_s, end_s) - max(band.start_s, start_s)
        if overlap_s > 0:
            shares[band.state] = shares.get(band.state, 0.0) + overlap_s
    return max(shares, key=lambda state: shares[state], default=NOT_CONNECTED)


def _state_at(time_s: float, granted: Sequence[CommandReport], windows: Sequence[tuple[float, float]]) -> str:
    if any(opened_s <= time_s < closed_s for opened_s, closed_s in windows):
        return ACTIVE
    before = [command for command in granted if command.time_s <= time_s]
    if not before or before[-1].command == "disconnect":
        return NOT_CONNECTED
    if before[-1].command == "interrupt":
        return INTERRUPTED
    # connect and continue: until the client's token arrives, or a player's PLAY, nothing may be sent.
    ended = any(before[-1].time_s <= closed_s <= time_s for _, closed_s in windows)
    return NOT_CONNECTED if ended else INTERRUPTED
