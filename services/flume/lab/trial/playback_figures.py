"""The figures of playback: what the viewer saw, by the player's own record of each picture. Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from flume.lab.trial.attribution import keeps_record
from flume.lab.trial.case import Case
from flume.lab.trial.frame_account import FrameAccount
from flume.lab.trial.frames import Frame
from flume.lab.trial.measures import Freeze, PlaybackFigures
from flume.lab.trial.wire_figures import rounded_spread
from flume.measures.delay import spread
from flume.measures.freezes import freezes
from flume.measures.jitter import CLOCK_HZ, timestamp_step

USUAL_FRAME_S = 0.04
"""Where too few frames were sent to tell: 25 a second."""


LONGEST_START_S = 1.0
"""A player shows the first picture of a session at once, and the second one when its buffer is full. A longer time
between the two is a freeze."""

HELD_S = 0.5
"""A frame that is displayed this long after the last one of its window was due has waited in the decoder, for the first
frame behind a pause."""


class _Interval(NamedTuple):
    """A time in which frames were due on the screen."""

    shown_s: Sequence[float]
    until_s: float


def playback_figures(case: Case, account: FrameAccount) -> PlaybackFigures | None:
    """Return the figures of *case*; None where the player keeps no record of its pictures."""
    record = case.subject.claims.record
    if not keeps_record(case) or record is None or account.attribution is None:
        return None
    frame_s = _frame_s(account.frames)
    intervals = list(_by_number(case, account) if account.placing is not None else _by_time(case))
    found = [
        Freeze(start_s=round(one.start_s - case.started_s, 4), duration_s=round(one.duration_s, 4))
        for interval in intervals
        for one in freezes(interval.shown_s, frame_s=frame_s, until_s=interval.until_s)
    ]
    watched_s = sum(interval.until_s - interval.shown_s[0] for interval in intervals if interval.shown_s)
    frozen_s = sum(one.duration_s for one in found)
    return PlaybackFigures(
        join_ms=case.subject.claims.join_ms,
        resume_ms=[] if case.clocks.bound_s is None else list(_resume_ms(case, account)),
        frames_due=account.due,
        frames_shown=account.shown_due,
        frames_late=None if account.placing is None else _late(account, frame_s),
        freezes=found,
        frozen_pct=round(100 * frozen_s / watched_s, 3) if watched_s > 0 else 0.0,
        glass_to_glass_ms=None
        if case.clocks.from_first_s is None
        else rounded_spread(spread(_delays_ms(case, account))),
    )


def _frame_s(frames: Sequence[Frame]) -> float:
    """Return how long a frame lasts by the stream's own clock."""
    stamps = (frame.datagrams[0].timestamp for frame in frames)
    steps = [timestamp_step(b, a) / CLOCK_HZ for a, b in pairwise(one for one in stamps if one is not None)]
    return median(steps) if steps and median(steps) > 0 else USUAL_FRAME_S


class _Window(NamedTuple):
    """The frames of one window that were sent whole, by their positions."""

    whole: list[int]
    displayed: list[int]
    until_s: float
    """When the last of them was due on the screen."""


def _windows(account: FrameAccount) -> Iterator[_Window]:
    """Yield the windows in which a frame was sent whole."""
    shown_s, frames = {} if account.placing is None else account.placing.shown_s, account.frames
    usual_s = median(time_s - frames[at].begun_s for at, time_s in shown_s.items()) if shown_s else 0.0
    windows: dict[int, list[int]] = {}
    for position, frame in enumerate(frames):
        if frame.is_whole:
            windows.setdefault(frame.window, []).append(position)
    for whole in windows.values():
        displayed = [at for at in whole if at in shown_s]
        lags_s = [shown_s[at] - frames[at].begun_s for at in displayed]
        yield _Window(whole, displayed, frames[whole[-1]].begun_s + (median(lags_s) if lags_s else usual_s))


def _by_number(case: Case, account: FrameAccount) -> Iterator[_Interval]:
    """Yield when pictures were due, window by window: from the first one to that of the last frame that was sent whole.

    A window without a picture counts where one was displayed before: that picture stood still. A frame that waited in
    the decoder for the next window is no end of a freeze: in a pause nothing is due.
    """
    if account.placing is None or not account.placing.shown_s:
        return
    shown_s, frames = account.placing.shown_s, account.frames
    for window in _windows(account):
        times_s = [shown_s[at] for at in window.displayed if shown_s[at] <= window.until_s]
        first = frames[window.whole[0]]
        if times_s:
            if case.flow.windows[first.window].opened_by == "connect":
                times_s = _without_start(times_s)
            yield _Interval(times_s, window.until_s)
        elif min(shown_s.values()) < first.begun_s:
            usual_s = window.until_s - frames[window.whole[-1]].begun_s
            yield _Interval([first.begun_s + usual_s], window.until_s)


def _delays_ms(case: Case, account: FrameAccount) -> Iterator[float]:
    """Yield for each frame how long after its first datagram it was displayed; not where a pause lay between.

    Behind a relay that datagram is the one that left the first server.
    """
    origin = {} if case.upstream is None else case.upstream.origin
    shown_s = {} if account.placing is None else account.placing.shown_s
    for window in _windows(account):
        for at in window.displayed:
            if shown_s[at] <= window.until_s + HELD_S:
                first = account.frames[at].datagrams[0]
                yield 1000 * (shown_s[at] - origin.get(id(first), first).time_s)


def _without_start(times_s: list[float]) -> list[float]:
    """Return the pictures of a session from the second one on, unless it came late."""
    return times_s[1:] if len(times_s) > 1 and times_s[1] - times_s[0] <= LONGEST_START_S else times_s


def _by_time(case: Case) -> Iterator[_Interval]:
    """Yield when pictures were due, as far as times alone show: from the first picture of a window to its end."""
    record = case.subject.claims.record
    for window in case.flow.windows:
        closed_s = min(window.closed_s, case.server.tap.last_s)
        shown_s = [one.time_s for one in record.shown if window.opened_s <= one.time_s <= closed_s] if record else []
        if window.opened_by == "connect":
            shown_s = _without_start(shown_s)
        if shown_s:
            yield _Interval(shown_s, closed_s)


def _late(account: FrameAccount, frame_s: float) -> int:
    """Count the frames that came more than one frame's duration behind the schedule of their window.

    The schedule is the median of what lies between the stream's clock and the screen.
    """
    shown_s = {} if account.placing is None else account.placing.shown_s
    late = 0
    for window in _windows(account):
        lags_s, passed, last = [], 0, None
        for at in window.displayed:
            stamp = account.frames[at].datagrams[0].timestamp
            if stamp is None:
                continue
            passed += 0 if last is None else timestamp_step(stamp, last)
            last = stamp
            lags_s.append(shown_s[at] - passed / CLOCK_HZ)
        late += sum(lag_s > median(lags_s) + frame_s for lag_s in lags_s)
    return late


def _resume_ms(case: Case, account: FrameAccount) -> Iterator[float]:
    """Yield the time from each ``continue`` that was granted to the first picture of the window that it opened."""
    if account.placing is None:
        return
    first_s = {account.frames[one.displayed[0]].window: one.displayed[0] for one in _windows(account) if one.displayed}
    for number, window in enumerate(case.flow.windows):
        if window.opened_by == "continue" and number in first_s:
            yield round(1000 * (account.placing.shown_s[first_s[number]] - window.opened_s), 2)
