"""Findings as they are made, bounded in number; intervals that must not become too long. Pure."""

from collections import Counter

from flume.measures.ts.clock import StreamClock
from flume.measures.ts.values import INDICATORS, StreamFinding

KEPT = 100
KEPT_OF_EACH = 5
"""Of each indicator so many are kept even if others already fill the list."""

ROUNDING_S = 1e-6


class _Entry:
    """A finding whose time may not be known yet."""

    def __init__(self, indicator: str, packet: int, pid: int | None, detail: str) -> None:
        self.indicator, self.packet, self.pid, self.detail = indicator, packet, pid, detail
        self.time_s: float | None = None

    def settle(self, time_s: float | None, certain: bool) -> None:  # noqa: FBT001, ARG002 - see Action
        self.time_s = time_s


def finding(indicator: str, packet: int, time_s: float | None, pid: int | None, detail: str) -> StreamFinding:
    """Return the finding with the name of its *indicator*."""
    name = INDICATORS[indicator]
    return StreamFinding(indicator=indicator, name=name, time_s=time_s, packet=packet, pid=pid, detail=detail)


class FindingLog:
    """Counts all findings, and keeps the first ones."""

    def __init__(self, clock: StreamClock) -> None:
        """Take the times of findings from *clock*."""
        self.clock = clock
        self.counts: Counter[str] = Counter()
        self._kept: list[_Entry] = []

    def add(self, indicator: str, packet: int, pid: int | None, detail: str) -> None:
        """Note an error in *packet*, the newest one."""
        entry = self._keep(indicator, packet, pid, detail)
        if entry is not None:
            self.clock.when(packet, entry.settle)

    def add_at(self, indicator: str, packet: int, time_s: float | None, pid: int | None, detail: str) -> None:
        """Note an error in *packet*, whose time is known."""
        entry = self._keep(indicator, packet, pid, detail)
        if entry is not None:
            entry.time_s = time_s

    def _keep(self, indicator: str, packet: int, pid: int | None, detail: str) -> _Entry | None:
        self.counts[indicator] += 1
        if len(self._kept) >= KEPT and self.counts[indicator] > KEPT_OF_EACH:
            return None
        entry = _Entry(indicator, packet, pid, detail)
        self._kept.append(entry)
        return entry

    def kept(self) -> list[StreamFinding]:
        """Return the findings by packet; one whose time waits for a PCR has an extrapolated one."""
        return [
            finding(
                entry.indicator,
                entry.packet,
                self.clock.time_s(entry.packet) if entry.time_s is None else entry.time_s,
                entry.pid,
                entry.detail,
            )
            for entry in sorted(self._kept, key=lambda entry: (entry.packet, entry.indicator))
        ]


class Interval:
    """Watches that something comes again and again, each time within a limit."""

    def __init__(self, log: FindingLog, indicator: str, pid: int, *, limit_s: float, what: str) -> None:
        """Watch *what* on *pid*, such as ``a section of the PAT``."""
        self._log, self._clock = log, log.clock
        self._indicator, self._limit_s, self._pid, self._what = indicator, limit_s, pid, what
        self._last: int | None = None
        self._last_s: float | None = None
        self._came = False
        self._lives = 0

    def start(self, packet: int) -> None:
        """It is due from *packet* on, although it did not come there."""
        self._note(packet, came=False)

    def seen(self, packet: int) -> None:
        """It came in *packet*."""
        self._note(packet, came=True)

    def forget(self) -> None:
        """It is not due any more."""
        self._last = self._last_s = None
        self._lives += 1

    def _note(self, packet: int, *, came: bool) -> None:
        life = self._lives

        def settle(time_s: float | None, certain: bool) -> None:  # noqa: FBT001 - see Action
            if life != self._lives:
                return
            if certain and came and time_s is not None:
                self._check(packet, time_s)
            self._last, self._last_s, self._came = packet, time_s, came

        self._clock.when(packet, settle)

    def _check(self, packet: int, time_s: float) -> None:
        if self._last_s is not None and time_s - self._last_s > self._limit_s + ROUNDING_S:
            since = f"came {time_s - self._last_s:.3f} s after {self._origin()}"
            self._log.add_at(self._indicator, packet, time_s, self._pid, f"{self._what} {since}; {self._allowed()}")

    def _origin(self) -> str:
        return f"the one in packet {self._last}" if self._came else f"packet {self._last}"

    def _allowed(self) -> str:
        return f"at most {self._limit_s:g} s are allowed"

    def overdue(self, packet: int) -> StreamFinding | None:
        """Return the finding that it did not come up to *packet*, the newest one; None while it is within its limit."""
        now_s = self._clock.certain_s
        if now_s is None or self._last_s is None or now_s - self._last_s <= self._limit_s + ROUNDING_S:
            return None
        since = f"did not come for {now_s - self._last_s:.3f} s after {self._origin()}"
        detail = f"{self._what} {since}; {self._allowed()}"
        return finding(self._indicator, packet, now_s, self._pid, detail)
