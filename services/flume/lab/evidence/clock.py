"""How far the clock of a host is ahead of that of the server's host, and how well that is known. Values only, pure.

Where there are relays, the reference is the host of the first server.

Server and clients of a lab may run on several hosts. Each capture is stamped by the clock of its own host. Before and
after a run the lab measures how far each of these clocks is ahead (:mod:`flume.lab.hosts.clocks`); between the two
measurements an offset is taken to change evenly.

>>> before = Offset(ahead_s=2.0, bound_s=0.0001, measured_s=1000.0)
>>> after = Offset(ahead_s=2.001, bound_s=0.0002, measured_s=1100.0)
>>> clock = HostClock(host="attic", before=before, after=after)
>>> round(clock.to_reference(1052.0005), 4), clock.bound_s, clock.problem
(1050.0, 0.0002, None)
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

STEP_S = 0.001
DRIFT_MOST = 200e-6
"""A clock may gain or lose so much, in seconds a second, between two measurements and :data:`STEP_S` besides. The
crystal of a computer is within 100 ppm of the right rate; what moves further was set."""


class Offset(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement of a host's clock beside the reference's: that of the server's host."""

    ahead_s: float
    """By how much the host's clock is ahead; below 0 where it is behind."""
    bound_s: float
    """The true value is within this: half the least round trip."""
    measured_s: float
    """When, in epoch seconds of the reference's clock."""


class Offsets(NamedTuple):
    """What one measurement of several hosts found, by their names."""

    measured: Mapping[str, Offset]
    reasons: Mapping[str, str]
    """Why the others have none, in one line each."""


class HostClock(msgspec.Struct, frozen=True, kw_only=True):
    """The clock of one host during a run."""

    host: str
    """As people call it."""
    before: Offset | None = None
    after: Offset | None = None
    """None: not measured before the run, or after it."""
    reason: str | None = None
    """Why an offset is missing, in one line."""
    seen: Offset | None = None
    """Where it was never measured: what the captures show. That places its times among the others, no more."""

    @property
    def bound_s(self) -> float | None:
        """How well the offset is known during the run; None where times of the two clocks cannot be compared.

        One measurement alone is not enough: it does not show whether the clock was set meanwhile.
        """
        if self.before is None or self.after is None:
            return None
        return max(self.before.bound_s, self.after.bound_s)

    @property
    def unknown(self) -> str | None:
        """Why times of the two clocks cannot be compared, in one line; None where they can."""
        if self.bound_s is not None:
            return None
        missing = "not"
        if self.before is not None or self.after is not None:
            missing = "not before the run, only after it," if self.before is None else "before the run and not after it"
        reason = f": {self.reason}" if self.reason else ""
        return f"the clock of host {self.host} was {missing} compared with that of the server's host{reason}"

    @property
    def problem(self) -> str | None:
        """Why no verdict may rest on its times, in one line: one of the two clocks was set during the run."""
        if self.before is None or self.after is None or not _was_set(self.before, self.after):
            return None
        moved_s = self.after.ahead_s - self.before.ahead_s
        return (
            f"the clock of host {self.host} moved by {1000 * moved_s:+.1f} ms against that of the server's host "
            "during the run: one of them was set"
        )

    @property
    def in_words(self) -> str:
        """By how much it is ahead, as far as it is known."""
        known = self.after or self.before or Offset(ahead_s=0.0, bound_s=0.0, measured_s=0.0)
        side = "ahead of" if known.ahead_s >= 0 else "behind"
        within = f", within {1000 * self.bound_s:.3f} ms" if self.bound_s is not None else ""
        return f"the clock of host {self.host} is {abs(known.ahead_s):.6f} s {side} that of the server's host{within}"

    def ahead_s(self, time_s: float) -> float:
        """Return by how much it is ahead when it shows *time_s*, epoch seconds.

        Before the first measurement, and after the last one, the offset is that of the measurement. Where a clock was
        set it is that before the run, as nothing says when that happened.
        """
        before, after = self.before, self.after
        if before is None or after is None:
            known = before or after or self.seen
            return 0.0 if known is None else known.ahead_s
        first_s, last_s = before.measured_s + before.ahead_s, after.measured_s + after.ahead_s
        if last_s <= first_s or _was_set(before, after):
            return before.ahead_s
        share = min(1.0, max(0.0, (time_s - first_s) / (last_s - first_s)))
        return before.ahead_s + share * (after.ahead_s - before.ahead_s)

    def to_reference(self, time_s: float) -> float:
        """Return what the reference's clock shows when this one shows *time_s*; both in epoch seconds."""
        return time_s - self.ahead_s(time_s)


class Clocks(NamedTuple):
    """Those of the two hosts whose times are compared; None: it is that of the first server's host.

    >>> attic = HostClock(host="attic")
    >>> Clocks().bound_s, Clocks(attic, attic).bound_s, Clocks(None, attic).bound_s
    (0.0, 0.0, None)
    """

    server: HostClock | None = None
    client: HostClock | None = None

    @property
    def _apart(self) -> list[HostClock]:
        """Return those that matter: none where both are one."""
        both = [one for one in self if one is not None]
        return [] if len(both) == 2 and both[0].host == both[1].host else both

    @property
    def bound_s(self) -> float | None:
        """How far times of the two may be apart; 0 on one clock, None where they cannot be compared."""
        bounds = [one.bound_s for one in self._apart]
        return None if None in bounds else sum((bound_s for bound_s in bounds if bound_s is not None), 0.0)

    @property
    def from_first_s(self) -> float | None:
        """The same of the client and the first server."""
        return Clocks(None, self.client).bound_s

    @property
    def most_apart_s(self) -> float:
        """The same, by what the captures show where they cannot be compared."""
        bounds = (one.seen.bound_s if one.seen is not None else one.bound_s for one in self._apart)
        return sum((bound_s for bound_s in bounds if bound_s is not None), 0.0)

    @property
    def unknown(self) -> str | None:
        """Why times of the two cannot be compared, in one line; None where they can."""
        return next((one.unknown for one in self._apart if one.unknown is not None), None)

    @property
    def problem(self) -> str | None:
        """Why no verdict may rest on their times, in one line; None where nothing set a clock."""
        return next((one.problem for one in self if one is not None and one.problem is not None), None)

    @property
    def in_words(self) -> list[str]:
        """By how much they are ahead; nothing where both are one."""
        return [one.in_words for one in self._apart]


def _was_set(before: Offset, after: Offset) -> bool:
    """Whether the offset moved by more than crystals and the two measurements explain."""
    passed_s = max(0.0, after.measured_s - before.measured_s)
    most_s = STEP_S + DRIFT_MOST * passed_s + before.bound_s + after.bound_s
    return abs(after.ahead_s - before.ahead_s) > most_s


def host_clocks(before: Offsets, after: Offsets) -> dict[str, HostClock]:
    """Return the clock of each host that *before* and *after* name.

    >>> nothing = Offsets({}, {"attic": "no answer"})
    >>> host_clocks(nothing, nothing)["attic"].unknown
    "the clock of host attic was not compared with that of the server's host: no answer"
    """
    reasons = {**before.reasons, **after.reasons}
    return {
        host: HostClock(
            host=host,
            before=before.measured.get(host),
            after=after.measured.get(host),
            reason=reasons.get(host),
        )
        for host in dict.fromkeys((*before.measured, *after.measured, *reasons))
    }
