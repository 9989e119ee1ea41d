"""Carries a plan out, cell by cell, and keeps the outcomes. After an interruption the outcomes so far are a result."""

import time
from collections.abc import Callable

import msgspec

from bench import plan
from bench.answers import Answers, measure_answers
from bench.idle import Idle, measure_idle
from bench.measure import measure
from bench.network import BenchNetwork
from bench.plan import Ladder, Options, Step
from bench.senders import Sender
from bench.steering import Steering, steer
from bench.summary import Results
from bench.values import Cell, Measured, Outcome, Skipped

STEERING_S, IDLE_S, ANSWERS_S = 22.0, 9.0, 40.0
"""About how long these take; used to estimate the remaining time."""

PROJECTED_FROM = 10
"""With fewer clients, the cost of one more client is unknown: the cost shared by all clients hides it."""

TRIES = 2
"""An invalid window, spoilt by the measurement itself, is measured once more."""


class Climb(msgspec.Struct, frozen=True, kw_only=True):
    """The highest rung of a sender on a ladder. *ended* is why it took no further one, ``None`` at the top."""

    sender: str
    ladder: Ladder
    highest: int
    ended: str | None


class Run:
    """One run. :meth:`execute` may be interrupted at any time; the lists hold the finished measurements."""

    def __init__(
        self, network: BenchNetwork, options: Options, senders: dict[str, Sender], say: Callable[[str], None]
    ) -> None:
        """Prepare to measure with *senders*, those of *options* that can run here. *say* prints a line a cell."""
        self._network = network
        self._options = options
        self._senders = senders
        self._say = say
        self._deadline_s = time.monotonic() + options.minutes * 60
        self._done = 0
        self.measured: list[Measured] = []
        self.skipped: list[Skipped] = []
        self.steering: list[Steering] = []
        self.idle: list[Idle] = []
        self.answers: list[Answers] = []
        self.climbs: list[Climb] = []
        self._alone, self._fixed = plan.alone_steps(options), plan.fixed_steps(options)
        self._ladders = plan.ladders(options)

    @property
    def results(self) -> Results:
        """The measurements up to now."""
        return Results(measured=self.measured, steering=self.steering, idle=self.idle, answers=self.answers)

    def execute(self) -> None:
        """Measure all of the plan, within the time limit of the options."""
        for step in [*self._alone, *self._fixed]:
            self._step(step)
        self._steer()
        self._ask()
        for ladder in self._ladders:
            self._climb(ladder)

    def _step(self, step: Step) -> Outcome | None:
        if time.monotonic() > self._deadline_s:
            self.skipped.append(Skipped(cell=step.cell, reason=f"out of time ({self._options.minutes:g} minutes)"))
            return None
        outcome = Outcome()
        for _ in range(TRIES):
            seconds = step.seconds or self._options.seconds
            outcome = measure(self._network, self._senders[step.cell.sender], step.cell, seconds=seconds)
            if outcome.invalid is None:
                break
        self.measured.append(Measured(cell=step.cell, outcome=outcome, why=step.part, repeat=step.repeat))
        self._progress(step.cell.describe(), self._describe(step.cell, outcome))
        return outcome

    def _describe(self, cell: Cell, outcome: Outcome) -> str:
        if outcome.failure is not None or outcome.invalid is not None:
            return f"{outcome.failure or outcome.invalid}"
        share = plan.share_of(outcome, self.results.alone_per_s(cell))
        late = f", p99 {outcome.lateness.p99_ms:.0f} ms late" if outcome.lateness else ""
        delivered = "" if share is None else f", delivered {share:.0%}"
        return f"{outcome.cpu_us_per_datagram:.2f} µs a datagram, {outcome.cores:.2f} cores{delivered}{late}"

    def _progress(self, what: str, seen: str) -> None:
        self._done += 1
        self._say(f"[{self._done} done, about {max(1, round(self._left_s() / 60))} min left] {what}: {seen}")

    def _left_s(self) -> float:
        """Return about how long the rest takes. About half of the ladders' rungs are tried."""
        done = len(self.measured) + len(self.skipped)
        fixed = max(0, len(self._alone) + len(self._fixed) - done)
        rungs = sum(len(ladder.rungs) for ladder in self._ladders) * len(plan.climbers(self._options)) // 2
        left_s = plan.estimate_s(fixed, self._options.seconds)
        left_s += plan.estimate_s(
            max(0, rungs - max(0, done - len(self._alone) - len(self._fixed))), self._options.seconds
        )
        if self._options.wants("steering"):
            left_s += STEERING_S * (len(plan.STEERED) - len(self.steering))
        if self._options.wants("sessions"):
            left_s += ANSWERS_S * (1 - len(self.answers))
        return min(left_s, max(0.0, self._deadline_s - time.monotonic()))

    def _steer(self) -> None:
        sender = self._senders.get(plan.FLUME)
        if sender is None:
            return
        if self._options.wants("idle"):
            cell = self._steered_cell(plan.IDLE_CLIENTS, wire=False)
            idle = measure_idle(self._network, sender, cell)
            self.idle.append(idle)
            seen = idle.failure or f"{idle.core_percent:.2f} % of a core, {idle.datagrams} datagrams"
            self._progress(f"flume, {cell.clients} clients interrupted", seen)
        if self._options.wants("steering"):
            for clients in plan.STEERED:
                steering = steer(self._network, sender, self._steered_cell(clients, wire=True))
                self.steering.append(steering)
                after = sum(each.datagrams_after_reply for each in steering.acknowledged)
                seen = f"{len(steering.acknowledged)} interruptions, {after} datagrams after the acknowledgement"
                self._progress(f"flume, {clients} clients, steering", steering.failure or seen)

    def _ask(self) -> None:
        sender = self._senders.get(plan.FLUME)
        if sender is None or not self._options.wants("sessions"):
            return
        cell = msgspec.structs.replace(self._steered_cell(plan.CONNECTED, wire=False), rate_mbit=plan.CONNECTED_RATE)
        answers = measure_answers(self._network, sender, cell, active=plan.CONNECTED_ACTIVE)
        self.answers.append(answers)
        seen = f"{sum(map(len, answers.replies_ms.values()))} commands, {answers.cores:.2f} cores"
        self._progress(f"flume, {cell.clients} sessions, {answers.active} active", answers.failure or seen)

    def _steered_cell(self, clients: int, *, wire: bool) -> Cell:
        options = self._options
        return Cell(
            sender=plan.FLUME,
            clients=clients,
            rate_mbit=plan.COST_RATE,
            path="wire" if wire else "sockets",
            offload=True,
            tick_ms=options.tick_ms or plan.TICK_MS,
            batch=options.batch,
        )

    def _climb(self, ladder: Ladder) -> None:
        """Measure each rung with all senders that have not left the ladder yet, one after another."""
        climbers = plan.climbers(self._options)
        highest = dict.fromkeys(climbers, 0)
        last: dict[str, tuple[int, Outcome]] = {}
        ended: dict[str, str] = {}
        for clients in ladder.rungs:
            for sender in [name for name in climbers if name not in ended]:
                reason = self._rung(ladder, sender, clients, last)
                if reason is None:
                    highest[sender] = clients
                else:
                    ended[sender] = f"{clients} clients: {reason}"
        for sender in climbers:
            climb = Climb(sender=sender, ladder=ladder, highest=highest[sender], ended=ended.get(sender))
            self.climbs.append(climb)

    def _rung(self, ladder: Ladder, sender: str, clients: int, last: dict[str, tuple[int, Outcome]]) -> str | None:
        """Measure one rung; return why *sender* leaves the ladder, ``None`` if it goes on.

        A cell that another part of the plan has measured is not measured again.
        """
        cell = plan.rung_cell(self._options, ladder, sender, clients)
        known = self.results.good(cell)
        if known:
            outcome: Outcome | None = known[0]
        else:
            before = last.get(sender)
            reason = None
            if before is not None and before[0] >= PROJECTED_FROM:
                reason = plan.too_much(before[1], before[0], clients)
            if reason is not None:
                self.skipped.append(Skipped(cell=cell, reason=reason))
                return f"not tried: {reason}"
            outcome = self._step(Step(cell=cell, part=ladder.part))
        if outcome is None:
            return "not tried: out of time"
        last[sender] = clients, outcome
        return plan.gives_up(outcome, self.results.alone_per_s(cell))
