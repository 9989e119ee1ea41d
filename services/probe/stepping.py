"""Follows the steps of profiles that change with time: one process for all links of a lab (``link-probe steps``).

The files ``all.*`` of the probe's memory connect it with ``link-probe apply``: ``plan`` lists the links to follow,
``follower`` names the process, ``timing`` has what it has counted. Both sides change anything only while they hold the
lock. So no step follows a new setting, and no link is forgotten by a process that is about to end.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from probe import emulators, links
from probe.commands import Command, ProbeError
from probe.emulators import Shaping
from probe.links import Link
from probe.timing import Timetable, parse_steps

PYTHON = (sys.executable, "-IS")

WAKE = signal.SIGURG
"""Tells the follower that the plan has changed. It does no harm to a process that does not wait for it yet."""

PAUSE_MIN_S = 0.002
"""Between two rounds: ``apply`` gets the lock."""


class Planned(NamedTuple):
    """One line of the plan."""

    number: int
    profile: str
    """The key of its steps in the memory."""
    since_ns: int
    """When it was planned: a link that was set again begins anew."""


class Counts(NamedTuple):
    """How the steps of one link were made, in both directions."""

    due: int = 0
    late: int = 0
    """Of those: made when the next one was due already, or left out for that reason."""
    latest_ms: int = 0
    """Time between the moment of a step and the end of tc's work, at worst."""


# --- apply's side ----------------------------------------------------------------------------------------------------


def forget(numbers: Iterable[int]) -> None:
    """Make no more steps of these links."""
    gone = set(numbers)
    _write_plan([planned for planned in _read_plan() if planned.number not in gone])


def follow_from_now_on(profiles: Mapping[int, str]) -> None:
    """Make the steps of each link's profile (number → key); start the process that does it, or tell it."""
    if not profiles:
        return
    now_ns = time.time_ns()
    _write_plan([*_read_plan(), *(Planned(number, key, now_ns) for number, key in profiles.items())])
    if follower := _follower():
        os.kill(follower, WAKE)
        return
    process = subprocess.Popen(
        [*PYTHON, sys.argv[0], "steps"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    links.write("all", "follower", str(process.pid))


def report(number: int) -> str:
    """Return whether the steps of a link are made as planned (1 or 0), and its :class:`Counts`."""
    planned = any(one.number == number for one in _read_plan())
    rows = {line.split()[0]: line.split()[1:] for line in links.read("all", "timing").splitlines()}
    counts = rows.get(str(number)) or map(str, Counts())
    return " ".join([str(int(not planned or bool(_follower()))), *counts])


def _follower() -> int:
    """Return the process that follows steps; 0 where none runs."""
    pid = links.read("all", "follower")
    try:
        with open(f"/proc/{pid or 0}/cmdline") as file:
            return int(pid) if "link-probe\0steps" in file.read() else 0
    except OSError:
        return 0


def _read_plan() -> list[Planned]:
    rows = (line.split() for line in links.read("all", "plan").splitlines())
    return [Planned(int(number), key, int(since_ns)) for number, key, since_ns in rows]


def _write_plan(plan: Iterable[Planned]) -> None:
    links.write("all", "plan", "".join(" ".join(map(str, planned)) + "\n" for planned in plan))


# --- the follower ----------------------------------------------------------------------------------------------------


class _Track:
    """The steps of one direction of a link."""

    def __init__(self, period_s: float, steps: Sequence[tuple[float, Sequence[str]]]) -> None:
        self._timetable = Timetable([at_s for at_s, _ in steps], period_s)
        self._commands = [commands for _, commands in steps]
        self._last: int | None = None
        self._skipped = 0

    def due(self, now_s: float) -> Sequence[Command]:
        """Return the commands of the step that holds now, unless they were returned before."""
        number = self._timetable.number_at(now_s)
        if number == self._last:
            return ()
        self._skipped = 0 if self._last is None else number - self._last - 1
        self._last = number
        return [command.split() for command in self._commands[number % len(self._commands)]]

    def counted(self, counts: Counts, done_s: float) -> Counts:
        """Return *counts* with the step that was due last; its commands took effect at *done_s*."""
        number = self._last or 0
        late = self._skipped + (done_s >= self._timetable.begins_s(number + 1))
        behind_ms = round(1000 * (done_s - self._timetable.begins_s(number)))
        return Counts(counts.due + self._skipped + 1, counts.late + late, max(counts.latest_ms, behind_ms))

    def next_s(self) -> float:
        """Return when the next step is due."""
        return self._timetable.begins_s((self._last or 0) + 1)


class _Followed:
    """A link whose steps are made."""

    def __init__(self, link: Link, period_s: float, text: str) -> None:
        self.link = link
        self.counts = Counts()
        self._tracks = {name: _Track(period_s, steps) for name, steps in parse_steps(text).items() if steps}
        self._first = True
        self._due: list[_Track] = []

    def due(self, now_s: float) -> Shaping:
        """Return the commands that are due; none in a direction that stays as it is."""
        commands = {name: track.due(now_s) for name, track in self._tracks.items()}
        self._due = [track for name, track in self._tracks.items() if commands[name]]
        return Shaping(self.link, commands.get("down", ()), commands.get("up", ()))

    def note_done(self, done_s: float) -> None:
        """Count the steps that were due. The first ones began before the link was followed."""
        if not self._first:
            for track in self._due:
                self.counts = track.counted(self.counts, done_s)
        self._first = False

    def next_s(self) -> float:
        """Return when a step is due."""
        return min(track.next_s() for track in self._tracks.values())


def follow() -> None:
    """Change links at the moments of their profiles' steps until no link is left in the plan.

    The wall clock counts, as it does for satellites: all links of a profile change at the same moments, by one request
    for each kernel. But it is read once: when it is set while links are followed, no step is skipped or made twice.
    """
    since_1970_s = time.time() - time.monotonic()
    signal.pthread_sigmask(signal.SIG_BLOCK, [WAKE])
    followed: dict[Planned, _Followed] = {}
    while True:
        with links.locked():
            followed = _as_planned(followed)
            if not followed:
                _write_plan([])
                os.unlink(links.path("all", "follower"))
                return
            _make_steps(list(followed.values()), since_1970_s)
            rows = ((planned.number, *one.counts) for planned, one in followed.items())
            links.write("all", "timing", "".join(" ".join(map(str, row)) + "\n" for row in rows))
        due_s = min(one.next_s() for one in followed.values())
        signal.sigtimedwait([WAKE], max(PAUSE_MIN_S, due_s - since_1970_s - time.monotonic()))


def _as_planned(followed: Mapping[Planned, _Followed]) -> dict[Planned, _Followed]:
    """Return what the plan says, without links that are gone."""
    found = {planned: followed.get(planned) or _followed(planned) for planned in _read_plan()}
    return {planned: one for planned, one in found.items() if one and one.link.exists}


def _followed(planned: Planned) -> _Followed | None:
    link = links.remembered(planned.number)
    if link is None:
        return None
    period, _, text = links.read(planned.profile, "steps").partition("\n")
    return _Followed(link, float(period), text)


def _make_steps(followed: Sequence[_Followed], since_1970_s: float) -> None:
    now_s = since_1970_s + time.monotonic()
    due = [shaping for one in followed if (shaping := one.due(now_s)).down or shaping.up]
    try:
        emulators.change(due)
    except ProbeError:
        if all(one.link.exists for one in followed):
            raise
        return  # a link went away; the next round is without it
    done_s = since_1970_s + time.monotonic()
    for one in followed:
        one.note_done(done_s)
