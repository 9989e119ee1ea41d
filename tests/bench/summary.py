"""Computes rows, ratios and verdicts from single measurements. Pure."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from bench import plan
from bench.analysis import Spread, memory_per_client, percentile, spread
from bench.answers import Answers
from bench.idle import Idle
from bench.plan import FLUME, LIMIT, NAIVE, PEER
from bench.steering import Steering
from bench.values import Cell, Measured, Outcome

FULL_SHARE = 0.99
"""A share from here on counts as 100 %, if the samples also saw no gap. The window cuts off up to a tick's datagrams at
either end, and the wire's counter is read some milliseconds before or after the edge."""

LEAST_DELIVERED = 0.97
"""Of the clip's rate, while clients come and go: flume leaves out null packets, up to 2 % of the clip."""

NOISY_CORES = 0.25
"""With more other load than this, a measurement counts as noisy."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """All repeats of one cell."""

    cell: Cell
    repeats: int
    failures: list[str] = []
    cpu_us_per_datagram: Spread | None = None
    cores: Spread | None = None
    share: Spread | None = None
    worst_client_share: Spread | None = None
    lateness_p99_ms: Spread | None = None
    lateness_max_ms: Spread | None = None
    silence_ms: Spread | None = None
    continuity_errors: int = 0
    sequence_gaps: int = 0
    """RTP sequence numbers missing at the samples; the highest count of all repeats."""
    memory_mib_per_client: float | None = None
    noisy: int = 0
    """Repeats with more other load than :data:`NOISY_CORES`."""


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the "done when" table."""

    what: str
    bound: str
    seen: str
    met: bool | None
    """``None``: not measured."""

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return "not measured" if self.met is None else "met" if self.met else "not met"


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All measurements of a run so far."""

    measured: list[Measured] = []
    steering: list[Steering] = []
    idle: list[Idle] = []
    answers: list[Answers] = []

    def good(self, cell: Cell) -> list[Outcome]:
        """Return the outcomes of *cell* that are neither failed nor invalid."""
        return [
            each.outcome
            for each in self.measured
            if each.cell == cell and each.outcome.failure is None and each.outcome.invalid is None
        ]

    def alone_per_s(self, cell: Cell) -> float | None:
        """Return how many datagrams a second the sender of *cell* delivers to one client alone."""
        found = spread([outcome.per_client_per_s for outcome in self._alone(cell)])
        return found.median if found else None

    def _alone(self, cell: Cell) -> list[Outcome]:
        return [
            each.outcome
            for each in self.measured
            if each.why == "alone"
            and (each.cell.sender, each.cell.rate_mbit) == (cell.sender, cell.rate_mbit)
            and each.outcome.failure is None
        ]

    def row(self, cell: Cell) -> Row:
        """Return the row of *cell*, computed from all of its repeats."""
        outcomes, alone = self.good(cell), self.alone_per_s(cell)
        every = [each.outcome for each in self.measured if each.cell == cell]
        late = [outcome.lateness for outcome in outcomes if outcome.lateness is not None]
        rss_one = spread([outcome.rss_mib for outcome in self._alone(cell)])
        rss = spread([outcome.rss_mib for outcome in outcomes])
        memory = memory_per_client(rss_one.median, rss.median, cell.clients) if rss_one and rss else None
        return Row(
            cell=cell,
            repeats=len(outcomes),
            failures=[text for outcome in every if (text := outcome.failure or outcome.invalid)],
            cpu_us_per_datagram=spread([each.cpu_us_per_datagram for each in outcomes if each.cpu_us_per_datagram]),
            cores=spread([outcome.cores for outcome in outcomes]),
            share=spread([outcome.per_client_per_s / alone for outcome in outcomes]) if alone else None,
            worst_client_share=spread([outcome.worst_client_per_s / alone for outcome in outcomes]) if alone else None,
            lateness_p99_ms=spread([each.p99_ms for each in late]),
            lateness_max_ms=spread([each.max_ms for each in late]),
            silence_ms=spread([outcome.silence_ms for outcome in outcomes]),
            continuity_errors=max((outcome.continuity_errors for outcome in outcomes), default=0),
            sequence_gaps=max((outcome.sequence_gaps for outcome in outcomes), default=0),
            memory_mib_per_client=memory,
            noisy=sum(outcome.other_load_cores > NOISY_CORES for outcome in outcomes),
        )

    def rows(self) -> list[Row]:
        """Return a row for each cell, in the order of the first measurements."""
        return [self.row(cell) for cell in dict.fromkeys(each.cell for each in self.measured)]

    def ratio(self, cell: Cell, peer: str) -> Spread | None:
        """Return the CPU time per delivered datagram of *cell*'s sender ÷ that of *peer*, taken within each repeat."""
        other = msgspec.structs.replace(cell, sender=peer)
        mine, theirs = (
            {
                each.repeat: each.outcome.cpu_us_per_datagram
                for each in self.measured
                if each.cell == wanted and each.outcome.failure is None and each.outcome.cpu_us_per_datagram
            }
            for wanted in (cell, other)
        )
        return spread([mine[repeat] / theirs[repeat] for repeat in mine if repeat in theirs])


def criteria(results: Results, options: plan.Options) -> list[Criterion]:
    """Return the lines of the "done when" table for the parts that *options* name."""
    found: list[Criterion] = []
    if options.wants("cost"):
        found += _cost(results, options)
    if options.wants("large"):
        found += _large(results, options)
    if options.wants("dead"):
        found += _dead(results, options)
    if options.wants("steering"):
        found += [line for clients in plan.STEERED for line in _steering(results, clients)]
    if options.wants("idle"):
        found += _idle(results)
    if options.wants("sessions"):
        found += _answers(results)
    if options.wants("rtsp"):
        found += _players(results)
    return found


def _find(results: Results, part: str, **wanted: object) -> Cell | None:
    for each in results.measured:
        if each.why == part and all(getattr(each.cell, key) == value for key, value in wanted.items()):
            return each.cell
    return None


def text_of(values: Spread | None, form: Callable[[float], str]) -> str:
    """Format the median of *values*, and their range if there are several, with *form*."""
    if values is None:
        return "–"
    if values.count == 1:
        return form(values.median)
    return f"{form(values.median)} ({form(values.low)}–{form(values.high)})"


_COST_BOUNDS = {"sockets": {PEER: 0.40, NAIVE: 0.25, LIMIT: 1.4}, "wire": {PEER: 0.22, NAIVE: 0.12, LIMIT: 1.4}}


def _cost(results: Results, options: plan.Options) -> Iterable[Criterion]:
    for path, bounds in _COST_BOUNDS.items():
        cell = _find(results, "cost", sender=FLUME, path=path)
        for peer, bound in bounds.items():
            ratio = results.ratio(cell, peer) if cell else None
            yield Criterion(
                what=f"{plan.COST_CLIENTS} clients, {plan.COST_RATE} Mbit/s, {path}: CPU a datagram, flume ÷ {peer}",
                bound=f"≤ {bound:.2f}",
                seen=text_of(ratio, "{:.3f}".format),
                met=None if ratio is None else ratio.median <= bound,
            )


def _large(results: Results, options: plan.Options) -> Iterable[Criterion]:
    for clients, rate, _ in plan.LARGE:
        cell = _find(results, "large", sender=FLUME, clients=clients)
        what = f"{clients} clients, {rate} Mbit/s, wire, offload off"
        row = results.row(cell) if cell else None
        tick = f", tick {cell.tick_ms:g} ms" if cell else ""
        yield _share_criterion(f"{what}{tick}: share delivered", row)
        yield _at_most(f"{what}: cores", row.cores if row else None, 0.5, "{:.2f}".format)
        yield _below(f"{what}: lateness, 99th percentile", row.lateness_p99_ms if row else None, 20.0)


def _share_criterion(what: str, row: Row | None) -> Criterion:
    share = row.worst_client_share if row else None
    met = (
        None
        if row is None or share is None
        else share.median >= FULL_SHARE and not (row.continuity_errors or row.sequence_gaps)
    )
    seen = text_of(share, "{:.1%}".format) + (f", {row.sequence_gaps} missing at the samples" if row else "")
    return Criterion(what=what, bound="100 %, no gap", seen=seen, met=met)


def _at_most(what: str, values: Spread | None, bound: float, form: Callable[[float], str]) -> Criterion:
    met = None if values is None else values.median <= bound
    return Criterion(what=what, bound=f"≤ {form(bound)}", seen=text_of(values, form), met=met)


def _below(what: str, values: Spread | None, bound_ms: float) -> Criterion:
    met = None if values is None else values.median < bound_ms
    return Criterion(what=what, bound=f"< {bound_ms:g} ms", seen=text_of(values, "{:.1f} ms".format), met=met)


def _dead(results: Results, options: plan.Options) -> Iterable[Criterion]:
    dead = max(plan.DEAD)
    what = f"{plan.DEAD_LIVE} clients beside {dead} dead"
    cell = _find(results, "dead", sender=FLUME, dead=dead)
    row = results.row(cell) if cell else None
    yield _share_criterion(f"{what}: share delivered", row)
    beside = _find(results, "dead", sender=PEER, dead=dead)
    other = results.row(beside) if beside else None
    silence = _at_most(f"{what}: longest silence", row.silence_ms if row else None, 50.0, "{:.0f} ms".format)
    if other is not None:
        theirs = f"{text_of(other.silence_ms, '{:.0f} ms'.format)}, delivered {text_of(other.share, '{:.0%}'.format)}"
        silence = msgspec.structs.replace(silence, seen=f"{silence.seen}; {PEER}: {theirs}")
    yield silence


def _steering(results: Results, clients: int) -> Iterable[Criterion]:
    seen = next((each for each in results.steering if each.clients == clients), None)
    what = f"steering, {clients} clients"
    if seen is None or not seen.acknowledged or not seen.joined:
        yield Criterion(what=what, bound="–", seen=(seen and seen.failure) or "–", met=None)
        return
    after = sum(each.datagrams_after_reply for each in seen.acknowledged)
    yield Criterion(what=f"{what}: datagrams after the acknowledgement", bound="0", seen=str(after), met=after == 0)
    replies = sorted(each.reply_ms for each in seen.acknowledged)
    bound_ms = 2 * seen.tick_ms
    p50, p99 = percentile(replies, 50), percentile(replies, 99)
    yield Criterion(
        what=f"{what}: time to the acknowledgement, median and 99th percentile of {len(replies)}",
        bound=f"≤ {bound_ms:g} ms",
        seen=f"{p50:.1f} and {p99:.1f} ms",
        met=p99 <= bound_ms,
    )
    pictures = sorted(each.first_picture_ms for each in seen.joined)
    whole = all(each.begins_with_keyframe for each in seen.joined)
    median = percentile(pictures, 50)
    yield Criterion(
        what=f"{what}: continue to the first decodable picture, median of {len(pictures)}",
        bound="< 100 ms",
        seen=f"{median:.0f} ms (most {pictures[-1]:.0f}){'' if whole else ', not all keyframes'}",
        met=median < 100 and whole,
    )
    broken = sum(each.continuity_errors for each in seen.joined)
    yield Criterion(what=f"{what}: continuity errors after continue", bound="0", seen=str(broken), met=broken == 0)


def _idle(results: Results) -> Iterable[Criterion]:
    for each in results.idle:
        if each.failure is None:
            yield Criterion(
                what=f"{each.clients} clients interrupted: datagrams",
                bound="0",
                seen=f"{each.datagrams}, at {each.core_percent:.2f} % of a core",
                met=each.datagrams == 0,
            )


def _answers(results: Results) -> Iterable[Criterion]:
    for each in results.answers:
        what = f"{each.clients} sessions, {each.active} active at {each.rate_mbit} Mbit/s"
        if each.failure is not None:
            yield Criterion(what=what, bound="–", seen=each.failure, met=None)
            continue
        for command, times in each.replies_ms.items():
            if times:
                p50, p99 = percentile(times, 50), percentile(times, 99)
                yield Criterion(
                    what=f"{what}: reply to {command}, median, 99th percentile and slowest of {len(times)}",
                    bound=f"≤ {plan.ANSWER_MS:g} ms",
                    seen=f"{p50:.1f}, {p99:.1f} and {times[-1]:.1f} ms",
                    met=p99 <= plan.ANSWER_MS,
                )
        noise = f"; other load {each.other_load_cores:.2f} cores" if each.other_load_cores > NOISY_CORES else ""
        yield Criterion(
            what=f"{what}: delivered meanwhile, of the stream's rate",
            bound="≥ 97 %",
            seen=f"{each.delivered_share:.1%}, with {each.cores:.2f} cores and {each.memory_mib:.0f} MiB{noise}",
            met=each.delivered_share >= LEAST_DELIVERED,
        )


def _players(results: Results) -> Iterable[Criterion]:
    """Compare the costs of clients of our own and of players, which took turns."""
    mine, theirs = (
        spread([each.outcome.cpu_us_per_datagram for each in results.measured if _is_good(each, "rtsp", sender)])
        for sender in (FLUME, plan.PLAYERS)
    )
    ratio = theirs.median / mine.median if mine and theirs else None
    seen = "–" if ratio is None else f"{ratio:.3f}: "
    seen += f"{text_of(theirs, '{:.3f}'.format)} and {text_of(mine, '{:.3f}'.format)} µs"
    yield Criterion(
        what=f"{plan.COST_CLIENTS} RTSP players ÷ as many clients of our own, {plan.COST_RATE} Mbit/s, wire: "
        "medians of the CPU a datagram",
        bound=f"≤ {plan.RTSP_RATIO:.2f}",
        seen=seen,
        met=None if ratio is None else ratio <= plan.RTSP_RATIO,
    )


def _is_good(each: Measured, part: str, sender: str) -> bool:
    outcome = each.outcome
    is_whole = outcome.failure is None and outcome.invalid is None and outcome.cpu_us_per_datagram > 0
    return (each.why, each.cell.sender) == (part, sender) and is_whole


def noise(rows: Sequence[Row]) -> tuple[int, int]:
    """Return the number of noisy measurements, and of all measurements."""
    return sum(row.noisy for row in rows), sum(row.repeats for row in rows)
