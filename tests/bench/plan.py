"""Which cells are measured, in which order, and when a sender leaves a ladder. Pure."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from bench.values import BATCH, RATES_MBIT, Cell, Outcome, PathKind

Part = Literal["alone", "cost", "large", "dead", "steering", "idle", "sessions", "rtsp", "ladder", "rates", "custom"]
PARTS: tuple[Part, ...] = ("cost", "large", "dead", "steering", "idle", "sessions", "rtsp", "ladder", "rates")

RUNGS = (1, 10, 100, 200, 400, 1000)
CUT_RUNGS = (1, 100, 400, 1000)
"""The rungs with offload off, where the kernel cuts batches in front of the card."""
RATES_RUNGS = (1, 100, 400, 1000)
"""The rungs at 2 and 25 Mbit/s: enough for the comparison at 100 clients and for the highest rung of each sender."""

COST_CLIENTS, COST_RATE = 200, 8
TICK_MS = 10.0
DEAD = (0, 2, 8, 40)
DEAD_LIVE = 20
STEERED = (20, 400)
IDLE_CLIENTS = 20
CONNECTED, CONNECTED_ACTIVE, CONNECTED_RATE = 1000, 400, 2
"""Sessions that are connected, those of them that receive, and the stream's rate in Mbit/s."""

RTSP_REPEATS, RTSP_SECONDS, RTSP_RATIO = 12, 5.0, 1.05
"""Pairs of windows with clients of our own and with players, their length, and the bound on the ratio of the medians of
their costs. In a window each player is sent one report (RTCP, every 5 s), and sends one."""

ANSWER_MS = 50.0
LARGE = ((400, 8, 15.0), (1000, 2, 17.0))
"""Clients, rate in Mbit/s, and flume's tick in ms. For so many clients flume's help advises a longer tick than the
usual one; these keep the lateness below 20 ms."""

ENOUGH_SHARE, ENOUGH_LATE_MS = 0.95, 1000.0
MOST_CORES = 1.9
MACHINE_CORES = 2
CELL_OVERHEAD_S = 3.0
"""Time of a cell beside its window: start, settling and end. It is used to estimate the remaining time."""

FLUME, LIMIT, NAIVE, PEER, PLAYERS = "flume", "limit", "naive", "multiudpsink", "flume-rtsp"
JUDGED = (FLUME, PEER, NAIVE, LIMIT)
"""The senders whose ratios the "done when" table judges. Their cells are repeated."""
BESIDE = ("flume-loop", "naive-pinned")
"""Variants that show where a cost comes from. A quick run measures each once, too."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command line, parsed."""

    plan: Literal["quick", "full"] = "full"
    parts: tuple[str, ...] = ()
    senders: tuple[str, ...]
    repeats: int = 3
    seconds: float = 3.0
    rates: tuple[int, ...] = ()
    clients: tuple[int, ...] = ()
    tick_ms: float | None = None
    batch: int = BATCH
    minutes: float = 25.0

    @property
    def custom(self) -> bool:
        """Whether the command line names clients or rates: then only those are measured."""
        return bool(self.clients or self.rates)

    def wants(self, part: str) -> bool:
        """Report whether *part* is in the plan."""
        if self.custom:
            return False
        if self.parts:
            return part in self.parts
        return self.plan == "full" or part not in {"ladder", "rates", "rtsp"}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A cell to measure, the part of the plan that it belongs to, and the number of the repeat."""

    cell: Cell
    part: Part
    repeat: int = 0
    seconds: float | None = None
    """Length of the window, where the options' is not meant."""


def _cell(
    options: Options, sender: str, clients: int, rate: int, path: PathKind, *, offload: bool, **more: object
) -> Cell:
    fields = {"tick_ms": options.tick_ms or TICK_MS, "batch": options.batch, **more}
    return Cell(sender=sender, clients=clients, rate_mbit=rate, path=path, offload=offload, **fields)  # type: ignore[arg-type]


def rates_used(options: Options) -> list[int]:
    """Return the bit rates for which the plan needs clips, in Mbit/s, ascending."""
    if options.custom:
        return list(options.rates or (COST_RATE,))
    at_cost_rate = ("cost", "large", "dead", "steering", "idle", "rtsp", "ladder")
    needed = {COST_RATE} if any(map(options.wants, at_cost_rate)) else set()
    if options.wants("large"):
        needed |= {rate for _, rate, _ in LARGE}
    if options.wants("sessions"):
        needed |= {CONNECTED_RATE}
    if options.wants("rates"):
        needed |= set(RATES_MBIT)
    return sorted(needed)


def alone_steps(options: Options) -> list[Step]:
    """Return the steps with a single client: they show how many datagrams each sender makes of a clip."""
    # Only flume and the limit are measured at 2 Mbit/s outside "rates".
    everywhere = options.custom or options.wants("rates")
    measured = {step.cell.sender for step in fixed_steps(options)}
    measured.update(climbers(options) if ladders(options) else ())
    return [
        Step(cell=_cell(options, sender, 1, rate, "sockets", offload=True), part="alone")
        for rate in rates_used(options)
        for sender in options.senders
        if sender in measured
        if everywhere or rate == COST_RATE or sender in {FLUME, LIMIT}
    ]


def fixed_steps(options: Options) -> list[Step]:
    """Return the steps that depend on no result, in order: in each repeat all senders take turns."""
    steps: list[Step] = []
    for repeat in range(options.repeats):
        if options.custom:
            steps += _custom(options, repeat)
        if options.wants("cost"):
            steps += _cost(options, repeat)
        if options.wants("large"):
            steps += _large(options, repeat)
        if options.wants("dead"):
            steps += _dead(options, repeat)
    if options.wants("rtsp"):
        for repeat in range(max(options.repeats, RTSP_REPEATS)):
            steps += _rtsp(options, repeat)
    return steps


def _rtsp(options: Options, repeat: int) -> Iterator[Step]:
    """Yield a pair of cells that differ in their clients alone; the first of a pair is each in turn.

    Their repeats are numbered behind those of the part "cost", which has one of the cells as well.
    """
    pair = [sender for sender in (FLUME, PLAYERS) if sender in options.senders]
    for sender in reversed(pair) if repeat % 2 else pair:
        cell = _cell(options, sender, COST_CLIENTS, COST_RATE, "wire", offload=True)
        yield Step(cell=cell, part="rtsp", repeat=options.repeats + repeat, seconds=RTSP_SECONDS)


def _custom(options: Options, repeat: int) -> Iterator[Step]:
    for rate in options.rates or (COST_RATE,):
        for clients in options.clients or (COST_CLIENTS,):
            for path in ("sockets", "wire"):
                for sender in options.senders:
                    cell = _cell(options, sender, clients, rate, path, offload=True)
                    yield Step(cell=cell, part="custom", repeat=repeat)


def _cost(options: Options, repeat: int) -> Iterator[Step]:
    for path in ("sockets", "wire"):
        for sender in options.senders:
            if sender == PLAYERS:
                continue
            if sender in JUDGED or (repeat == 0 and (options.plan == "full" or sender in BESIDE)):
                cell = _cell(options, sender, COST_CLIENTS, COST_RATE, path, offload=True)
                yield Step(cell=cell, part="cost", repeat=repeat)


def _large(options: Options, repeat: int) -> Iterator[Step]:
    for clients, rate, tick_ms in LARGE:
        for sender in options.senders:
            if sender == FLUME or (sender == LIMIT and repeat == 0):
                more = {"tick_ms": options.tick_ms or tick_ms or TICK_MS}
                cell = _cell(options, sender, clients, rate, "wire", offload=False, **more)
                yield Step(cell=cell, part="large", repeat=repeat)


def _dead(options: Options, repeat: int) -> Iterator[Step]:
    """Yield the cells with live and dead clients.

    Flume and the peer are measured with the most dead clients in every repeat; a full run measures all cells once.
    """
    for dead in DEAD:
        for sender in options.senders:
            judged = sender in {FLUME, PEER} and dead == max(DEAD)
            known = sender in {*JUDGED, "asyncio", "ffmpeg"}
            if judged or (repeat == 0 and known and options.plan == "full"):
                cell = _cell(options, sender, DEAD_LIVE, COST_RATE, "sockets", offload=True, dead=dead)
                yield Step(cell=cell, part="dead", repeat=repeat)


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """Cells with one clip and one network, and more clients from rung to rung."""

    part: Part
    rate_mbit: int
    path: PathKind
    offload: bool
    rungs: tuple[int, ...]

    @property
    def describe(self) -> str:
        """The ladder's name in tables."""
        return f"{self.rate_mbit} Mbit/s, {self.path}, offload {'on' if self.offload else 'off'}"


def ladders(options: Options) -> list[Ladder]:
    """Return the ladders of the plan."""
    wire = Ladder(part="ladder", rate_mbit=COST_RATE, path="wire", offload=True, rungs=RUNGS)
    others = [
        Ladder(part="rates", rate_mbit=rate, path="wire", offload=True, rungs=RATES_RUNGS)
        for rate in RATES_MBIT
        if rate != COST_RATE
    ]
    cut = Ladder(part="ladder", rate_mbit=COST_RATE, path="wire", offload=False, rungs=CUT_RUNGS)
    sockets = Ladder(part="ladder", rate_mbit=COST_RATE, path="sockets", offload=True, rungs=RUNGS)
    # The last ladders are the ones that a time limit may leave out.
    return [ladder for ladder in (wire, *others, cut, sockets) if options.wants(ladder.part)]


def climbers(options: Options) -> list[str]:
    """Return the senders that take the ladders: all but variants, and flume with other clients."""
    return [sender for sender in options.senders if sender not in {*BESIDE, PLAYERS}]


def rung_cell(options: Options, ladder: Ladder, sender: str, clients: int) -> Cell:
    """Return the cell of one rung. A single client is a sample and is reached in the same way on every network."""
    if clients == 1:
        return _cell(options, sender, 1, ladder.rate_mbit, "sockets", offload=True)
    return _cell(options, sender, clients, ladder.rate_mbit, ladder.path, offload=ladder.offload)


def gives_up(outcome: Outcome, alone_per_s: float | None) -> str | None:
    """Return why a sender with this *outcome* leaves the ladder; ``None`` if it goes on to the next rung."""
    if outcome.failure is not None:
        return outcome.failure
    share = share_of(outcome, alone_per_s)
    if share is not None and share < ENOUGH_SHARE:
        return f"delivered {share:.0%}"
    if outcome.lateness is not None and outcome.lateness.max_ms > ENOUGH_LATE_MS:
        return f"up to {outcome.lateness.max_ms / 1000:.1f} s late"
    return None


def share_of(outcome: Outcome, alone_per_s: float | None) -> float | None:
    """Return the delivered share: datagrams a client ÷ datagrams that the sender delivers to a single client alone.

    1.0 is all of them; ``None`` if *alone_per_s* is unknown or 0.
    """
    return outcome.per_client_per_s / alone_per_s if alone_per_s else None


def too_much(outcome: Outcome, clients: int, wanted: int) -> str | None:
    """Return why *wanted* clients are not tried after *clients* had this *outcome*; ``None`` if they are tried."""
    cores = outcome.cores * wanted / clients
    return f"would need about {cores:.1f} cores" if cores > MOST_CORES else None


def estimate_s(steps: Sequence[Step] | int, seconds: float) -> float:
    """Return about how long these steps, or so many steps, take."""
    number = steps if isinstance(steps, int) else len(steps)
    return number * (seconds + CELL_OVERHEAD_S)
