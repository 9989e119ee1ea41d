"""The PCRs of a stream: interval, jumps, accuracy (indicators 2.3a, 2.3b and 2.4), and the stream's clock. Pure."""

from collections import deque

from flume.measures.ts.accuracy import PCR_HZ, PcrLine, signed_ticks
from flume.measures.ts.clock import RECENT, StreamClock
from flume.measures.ts.findings import FindingLog, finding
from flume.measures.ts.values import PcrFigures, StreamFinding, Thresholds

REFERENCE_SILENT_S = 1.0
"""After so long by another PID's PCRs, the PID that drove the clock is taken to be gone."""
MAX_PIDS = 256
"""With PCRs: a program has one."""


class _PcrPid:
    """The PCRs of one PID."""

    def __init__(self, pid: int, limits: Thresholds) -> None:
        self.pid = pid
        self.count = 0
        self.line = PcrLine(limits.pcr_accuracy_ns)
        self.last: tuple[int, int] | None = None
        self.last_arrival_s: float | None = None
        self.last_s: float | None = None
        self.losses = 0
        self.longest = 0
        self.since_reference_s = 0.0
        self._recent: deque[tuple[int, int]] = deque(maxlen=RECENT)
        self._path_s = 0.0
        self._least_s = self._most_s = 0.0
        self.compared = 0

    def elapsed_s(self, packet: int, arrival_s: float | None) -> float | None:
        """Return how long ago the last PCR was, by its arrival and by the packets since; None if neither is known.

        Packets count at the lowest recent rate, and the longer of both times is taken: a burst shortens one, a
        loss the other.
        """
        times_s = []
        if arrival_s is not None and self.last_arrival_s is not None:
            times_s.append(arrival_s - self.last_arrival_s)
        if self._recent and self.last is not None:
            times_s.append(max(t / n for n, t in self._recent) * (packet - self.last[0]) / PCR_HZ)
        return max(times_s, default=None)

    def step(self, packets: int, ticks: int, arrival_s: float | None) -> None:
        """The clock went on by *ticks* within *packets*."""
        if packets > 0 and ticks > 0:
            self._recent.append((packets, ticks))
        self.longest = max(self.longest, ticks)
        if arrival_s is not None and self.last_arrival_s is not None:
            self._path_s += arrival_s - self.last_arrival_s - ticks / PCR_HZ
            self._least_s, self._most_s = min(self._least_s, self._path_s), max(self._most_s, self._path_s)
            self.compared += 1

    def figures(self) -> PcrFigures:
        return PcrFigures(
            pid=self.pid,
            count=self.count,
            longest_ms=self.longest * 1000 / PCR_HZ if self.longest else None,
            worst_ns=self.line.worst_ns if self.line.constant else None,
            arrival_spread_ms=(self._most_s - self._least_s) * 1000 if self.compared else None,
        )


class PcrWatch:
    """Takes every PCR of the stream."""

    def __init__(self, log: FindingLog, clock: StreamClock, limits: Thresholds) -> None:
        """Drive *clock* by the first PID that has PCRs."""
        self._log, self._clock, self._limits = log, clock, limits
        self._pids: dict[int, _PcrPid] = {}
        self._reference: int | None = None
        self._due: dict[int, float] = {}
        self.losses = 0
        """Raised by the caller whenever packets are missing."""
        self.compared = 0
        """Pairs of PCRs that were compared."""

    def interrupt(self) -> None:
        """The stream stops here: the next PCR of each PID is compared with nothing."""
        for row in self._pids.values():
            row.last = row.last_arrival_s = row.last_s = None
        self._due.clear()

    def add(self, pid: int, packet: int, pcr: int, *, flagged: bool) -> bool:
        """Take a PCR; *flagged*: a discontinuity_indicator came with or before it. Return whether it set the clock."""
        row = self._pids.get(pid)
        if row is None:
            if len(self._pids) >= MAX_PIDS:
                return False
            row = self._pids[pid] = _PcrPid(pid, self._limits)
        row.count += 1
        arrival_s = self._clock.arrival_s
        step_s = None if flagged or row.last is None else self._compare(row, packet, pcr, row.last)
        if step_s is not None and row.last is not None:
            row.step(packet - row.last[0], round(step_s * PCR_HZ), arrival_s)
        self._place(row, packet, pcr, jumped=step_s is None)
        row.last, row.last_arrival_s, row.losses = (packet, pcr), arrival_s, self.losses
        is_reference = self._drive(row, packet, step_s)
        row.last_s = self._clock.certain_s
        return is_reference

    def _compare(self, row: _PcrPid, packet: int, pcr: int, last: tuple[int, int]) -> float | None:
        """Check the PCR beside the one before; return the time between both, or None: the clock jumped."""
        self.compared += 1
        limits = self._limits
        step_s = signed_ticks(pcr, last[1]) / PCR_HZ
        elapsed_s = row.elapsed_s(packet, self._clock.arrival_s)
        # In a file of varying rate, packets tell the time badly.
        doubt = 2 if row.line.constant or self._clock.arrival_s is not None else 8
        if step_s < 0 or (step_s > limits.pcr_jump_s and elapsed_s is not None and elapsed_s < step_s / doubt):
            took = "" if elapsed_s is None else f", although about {elapsed_s * 1000:.0f} ms passed"
            detail = f"the PCR went by {step_s * 1000:+.3f} ms from packet {last[0]} on{took}, and no flag says so"
            self._log.add("2.3b", packet, row.pid, detail)
            return None
        if step_s > limits.pcr_interval_s:
            allowed = f"at most {limits.pcr_interval_s * 1000:g} ms are allowed"
            detail = f"{step_s * 1000:.3f} ms after the PCR of packet {last[0]}; {allowed}"
            self._log.add("2.3a", packet, row.pid, detail)
        return step_s

    def _place(self, row: _PcrPid, packet: int, pcr: int, *, jumped: bool) -> None:
        if jumped or row.losses != self.losses:
            row.line.skip_to(packet, pcr)
            return
        wrong = row.line.add(packet, pcr)
        if wrong is not None:
            at, off_ns = wrong
            allowed = f"{self._limits.pcr_accuracy_ns:g} are allowed"
            detail = f"{off_ns:+.0f} ns beside its place at a constant rate; {allowed}"
            self._log.add_at("2.4", at, self._clock.time_s(at), row.pid, detail)

    def _drive(self, row: _PcrPid, packet: int, step_s: float | None) -> bool:
        if self._reference is None:
            self._reference = row.pid
        elif self._reference != row.pid:
            row.since_reference_s += step_s or 0.0
            if row.since_reference_s < REFERENCE_SILENT_S:
                return False
            self._reference, step_s = row.pid, None
        for other in self._pids.values():
            other.since_reference_s = 0.0
        self._clock.reference(packet, step_s)
        return True

    def has(self, pid: int) -> bool:
        """Return whether *pid* has had a PCR."""
        return pid in self._pids

    def due(self, pid: int, packet: int) -> None:
        """A PMT in *packet*, the newest one, names *pid* as that of its PCR."""
        if pid in self._pids or pid in self._due:
            return

        def settle(time_s: float | None, certain: bool) -> None:  # noqa: FBT001, ARG001 - see Action
            if time_s is not None and len(self._due) < MAX_PIDS:
                self._due[pid] = time_s

        self._clock.when(packet, settle)

    def overdue(self, packet: int, named: frozenset[int]) -> list[StreamFinding]:
        """Return which PIDs of *named* have had no PCR for ten times the limit up to *packet*.

        Ten times: here the time is that of arrivals, and a path that delays is no error of the stream. A PCR that comes
        is measured exactly, by its own value.
        """
        now_s, findings = self._clock.certain_s, []
        for pid in sorted(named):
            row = self._pids.get(pid)
            since_s = self._due.get(pid) if row is None else row.last_s
            if now_s is not None and since_s is not None and now_s - since_s > 10 * self._limits.pcr_interval_s:
                detail = f"no PCR for {now_s - since_s:.3f} s"
                findings.append(finding("2.3a", packet, now_s, pid, detail))
        return findings

    def figures(self) -> list[PcrFigures]:
        """Return what is known of each PID."""
        return [row.figures() for row in self._pids.values()]

    def constant(self) -> bool | None:
        """Return whether the rate is constant, by the PID with the most PCRs."""
        rows = sorted(self._pids.values(), key=lambda row: -row.count)
        return rows[0].line.constant if rows else None
