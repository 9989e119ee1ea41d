"""A client on another host: its captures and its record by a clock that is ahead of the server's host, and drifts."""

from typing import Any, NamedTuple

from flume.lab.evidence.clock import HostClock, Offset
from flume.lab.evidence.facts import PlayerRecord, TapFacts
from support.captures.wire import START_S

HOST = "attic"


class OtherClock(NamedTuple):
    """At :data:`START_S` of the server's host it is *ahead_s* ahead, and gains *ppm* microseconds a second."""

    ahead_s: float = 0.0
    ppm: float = 0.0

    def shows(self, time_s: float) -> float:
        """What it shows when the server's host has *time_s*."""
        return time_s + self.ahead_s + (time_s - START_S) * self.ppm / 1e6

    def tap(self, facts: TapFacts) -> TapFacts:
        """The capture *facts* as this clock stamps it."""
        timed: dict[str, Any] = {
            name: tuple(one._replace(time_s=self.shows(one.time_s)) for one in value)
            for name, value in facts._asdict().items()
            if isinstance(value, tuple) and value and hasattr(value[0], "time_s")
        }
        tap = facts.tap._replace(first_s=self.shows(facts.tap.first_s), last_s=self.shows(facts.tap.last_s))
        return facts._replace(tap=tap, **timed)

    def record(self, record: PlayerRecord) -> PlayerRecord:
        """The *record* of a player as this clock stamps it."""
        return PlayerRecord(
            tuple(one._replace(time_s=self.shows(one.time_s)) for one in record.shown),
            tuple(one._replace(time_s=self.shows(one.time_s)) for one in record.given_up),
            tuple(one._replace(time_s=self.shows(one.time_s)) for one in record.late),
        )

    def offset(self, time_s: float, *, error_s: float = 0.0, bound_s: float = 0.0001) -> Offset:
        """What a measurement at *time_s* of the server's host finds; it is wrong by *error_s*."""
        return Offset(ahead_s=self.shows(time_s) - time_s + error_s, bound_s=bound_s, measured_s=time_s)

    def measured(self, seconds: float, *, error_s: float = 0.0, bound_s: float = 0.0001) -> HostClock:
        """The clock as the lab knows it of a run of *seconds*, measured with errors of *error_s* both ways."""
        before = self.offset(START_S - 1, error_s=error_s, bound_s=bound_s)
        after = self.offset(START_S + seconds + 1, error_s=-error_s, bound_s=bound_s)
        return HostClock(host=HOST, before=before, after=after)
