"""From the frames of a calibration to measured figures with their uncertainty, and to deviations. Pure.

A figure is compared with what the model of netem predicts for the same frames. It deviates if neither chance (one
comparison in 100,000) nor late timers explain the difference.
"""

import math
from collections.abc import Sequence
from statistics import median

import msgspec

from flume.errors import EvidenceError
from flume.lab.link.model import Arrival, Draw, Sent, simulate
from flume.lab.link.profile import Direction

Z_SHOWN = 3.2905
"""Two-sided 99.9 %: for the intervals that are shown."""
Z_JUDGED = 4.4172
"""Two-sided 99.999 %: for deviations. With 99.9 % one calibration of all profiles in twenty would fail by chance."""
REPETITIONS = 16
"""Number of simulations. Chance explains a percentile within their range, widened by half of it on each side."""


class Interval(msgspec.Struct, frozen=True):
    """A measured figure, and the interval that contains its true value with 99.9 % confidence."""

    value: float
    low: float
    high: float


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """One-way delays in milliseconds."""

    p5: float
    p50: float
    p95: float


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """The frames sent over one direction of a link and the arrivals, timed by one clock."""

    sent: Sequence[Sent]
    arrivals: Sequence[Arrival]
    """In the order of arrival."""
    corrupted: int = 0
    """Number of frames in which the receiver found damage; they are not among the arrivals."""
    train_from: int | None = None
    """Number of the first frame of the train, sent as fast as possible: it measures the rate, not the delay."""

    def __post_init__(self) -> None:
        """Check that frames were sent, and that every arrival is one of them. Raises :class:`EvidenceError`."""
        if not self.sent:
            raise EvidenceError("measuring a link: not one frame was sent over it")
        strange = [number for number, _ in self.arrivals if not 0 <= number < len(self.sent)]
        if strange:
            raise EvidenceError(f"measuring a link: frame {strange[0]} arrived and was never sent")


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The measured figures of one direction."""

    sent: int
    received: int
    """Frames that arrived intact, duplicates not counted."""
    delay_ms: Percentiles | None
    """None where no frame arrived."""
    loss_pct: Interval
    burst_datagrams: Interval | None
    """Mean length of a run of lost frames; None without loss."""
    rate_kbit: float | None
    """None without a train, or where fewer than two of its frames arrived."""
    reordered_pct: float
    """Share of the frames received that arrived after a frame sent later (RFC 4737)."""
    duplicate_pct: float
    """Share of the frames sent that arrived a second time."""
    corrupted_pct: float


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """A figure out of tolerance.

    >>> print(Deviation(figure="loss_pct", measured=9, low=1, high=3))
    loss_pct is 9 and should be 1 to 3
    """

    figure: str
    measured: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it in words."""
        expected = f"{self.low:.4g}" if self.low == self.high else f"{self.low:.4g} to {self.high:.4g}"
        return f"{self.figure} is {self.measured:.4g} and should be {expected}"


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """The error that timers, a wire and a busy CPU may add.

    Measured through a wire on two CPUs, against the model's prediction, at a load average of
    2:       0.1 to 0.4 ms late at the median, 1.5 ms at the 95th percentile; rates within 1 %, with jitter 15 %;
    5 to 6:  up to 2.5 and 6 ms;
    8:       up to 6 and 24 ms.
    A measurement that is outside is repeated: chance does not repeat itself, and what is wrong stays wrong.
    """

    early_ms: float = 0.5
    late_ms: float = 5.0
    """For the 5th and the 50th percentile."""
    late_p95_ms: float = 20.0
    rate_pct: float = 15.0
    reordered_pct: float = 1.0


def wilson(hits: float, trials: float, z: float) -> tuple[float, float]:
    """Return Wilson's interval for the proportion *hits* / *trials*: unlike the normal one, it is valid near 0 and 1.

    >>> low, high = wilson(0, 100, 1.96)
    >>> low, round(high, 3)
    (0.0, 0.037)
    """
    if trials <= 0:
        return 0.0, 1.0
    share, weight = hits / trials, z * z / trials
    middle = (share + weight / 2) / (1 + weight)
    reach = z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials)) / (1 + weight)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def measure(samples: Samples) -> Measured:
    """Return the figures of *samples*."""
    total = len(samples.sent)
    arrived = {number for number, _ in samples.arrivals}
    # The number in a damaged frame is unknown: the frame is among the missing ones, so it is subtracted from them.
    missing = [number not in arrived for number in range(total)]
    lost = max(0, sum(missing) - samples.corrupted)
    bursts = sum(gone and not before for gone, before in zip(missing, [False, *missing], strict=False))
    return Measured(
        sent=total,
        received=len(arrived),
        delay_ms=_delays(samples),
        loss_pct=_loss(lost, total, _memory(sum(missing) / total, bursts / max(1, sum(missing)))),
        burst_datagrams=_burst(sum(missing), bursts),
        rate_kbit=_rate_kbit(samples),
        reordered_pct=_reordered_pct(samples.arrivals),
        duplicate_pct=100 * (len(samples.arrivals) - len(arrived)) / total,
        corrupted_pct=100 * samples.corrupted / total,
    )


def _memory(loss: float, end: float) -> float:
    """Return the trials of a chain that weigh as one independent trial: (1+ρ)/(1−ρ), with its correlation ρ = 1−p−r."""
    if not 0 < loss < 1:
        return 1.0
    rho = min(0.99, max(0.0, 1 - end - loss * end / (1 - loss)))
    return (1 + rho) / (1 - rho)


def _loss(lost: int, total: int, memory: float) -> Interval:
    low, high = wilson(lost / memory, total / memory, Z_SHOWN)
    return Interval(100 * lost / total, 100 * low, 100 * high)


def _burst(lost: int, bursts: int) -> Interval | None:
    """Each lost frame ends its burst with probability r: r is a proportion of the lost frames, and 1/r the length."""
    if not lost:
        return None
    low, high = wilson(bursts, lost, Z_SHOWN)
    return Interval(lost / bursts, 1 / high, 1 / low)


def _delays(samples: Samples) -> Percentiles | None:
    end = len(samples.sent) if samples.train_from is None else samples.train_from
    delays = sorted(1000 * (at_s - samples.sent[number].at_s) for number, at_s in samples.arrivals if number < end)
    if not delays:
        return None
    p5, p50, p95 = (delays[min(len(delays) - 1, int(share * len(delays)))] for share in (0.05, 0.5, 0.95))
    return Percentiles(p5=p5, p50=p50, p95=p95)


def _rate_kbit(samples: Samples) -> float | None:
    if samples.train_from is None:
        return None
    train = [(at_s, number) for number, at_s in samples.arrivals if number >= samples.train_from]
    # Jitter makes gaps in the train, each in front of a frame that is later than all before it; behind it frames follow
    # at the rate. A late timer releases several frames at once. So the rate is the median over all eighths of the
    # train. A frame arrives with its last bit: the bits of the first frame do not belong to the interval.
    reach = min(len(train) - 1, max(2, len(train) // 8))
    rates = []
    for (began_s, _), *rest in (train[start : start + reach + 1] for start in range(len(train) - reach)):
        if rest and rest[-1][0] > began_s:
            bits = 8 * sum(samples.sent[number].frame_bytes for _, number in rest)
            rates.append(bits / (rest[-1][0] - began_s) / 1000)
    return median(rates) if rates else None


def _reordered_pct(arrivals: Sequence[Arrival]) -> float:
    late, newest, seen = 0, -1, set()
    for number, _ in arrivals:
        if number in seen:
            continue
        seen.add(number)
        late += number < newest
        newest = max(newest, number)
    return 100 * late / len(seen) if seen else 0.0


def deviations(
    direction: Direction, samples: Samples, draw: Draw, *, tolerance: Tolerance | None = None
) -> list[Deviation]:
    """Return the figures of *samples* that differ from a link like *direction* by more than chance and *tolerance*.

    *draw* returns random numbers for the simulations of the model.
    """
    tolerance = tolerance or Tolerance()
    measured = measure(samples)
    predicted = [
        measure(msgspec.structs.replace(samples, arrivals=simulate(direction, samples.sent, draw), corrupted=0))
        for _ in range(REPETITIONS)
    ]
    found = [
        *_missing(direction, samples),
        *_bursts(direction, measured),
        *_duplicates(direction, measured),
        *_delay_deviations(measured, predicted, tolerance),
        *_order(direction, measured, predicted, tolerance),
    ]
    rates = [one.rate_kbit for one in predicted if one.rate_kbit is not None]
    if direction.rate_kbit is not None and measured.rate_kbit is not None and rates:
        slack = tolerance.rate_pct / 100
        low, high = _spread(rates)
        found.append(_outside("rate_kbit", measured.rate_kbit, low * (1 - slack), high * (1 + slack)))
    return [deviation for deviation in found if deviation is not None]


def stream_explains(direction: Direction, deviation: Deviation) -> bool:
    """Whether a stream on the same link explains *deviation*.

    The stream's datagrams are between our frames, which changes bursts and order. At a bottleneck our frames wait
    behind them, or find the queue full.
    """
    if deviation.figure in {"burst_datagrams", "reordered_pct"}:
        return True
    return direction.rate_kbit is not None and deviation.measured > deviation.high


def _outside(figure: str, measured: float, low: float, high: float) -> Deviation | None:
    return None if low <= measured <= high else Deviation(figure=figure, measured=measured, low=low, high=high)


def _spread(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return low - (high - low) / 2, high + (high - low) / 2


def _range_of_share(share: float, trials: float) -> tuple[float, float]:
    """Return the range of a measured *share* in that many *trials*; a share of 0 or 1 has no range.

    The normal approximation, with Cornish and Fisher's term of the third moment for few events, and half an event.
    """
    if share in (0.0, 1.0) or trials <= 0:
        return share, share
    reach = Z_JUDGED * math.sqrt(share * (1 - share) / trials) + (Z_JUDGED**2 + 2) / (6 * trials)
    return max(0.0, share - reach), min(1.0, share + reach)


def _missing(direction: Direction, samples: Samples) -> list[Deviation | None]:
    """Lost and damaged frames together: a frame damaged in its Ethernet or IP header is dropped uncounted."""
    loss = direction.loss_pct / 100 * (1 - direction.duplicate_pct / 100)
    share = 1 - (1 - loss) * (1 - direction.corrupt_pct / 100)
    total = len(samples.sent)
    gone = total - len({number for number, _ in samples.arrivals})
    memory = _memory(direction.loss_pct / 100, direction.burst_end_pct / 100)
    low, high = _range_of_share(share, total / memory)
    return [_outside("loss_pct", 100 * gone / total, 100 * low, 100 * high)]


def _bursts(direction: Direction, measured: Measured) -> list[Deviation | None]:
    """Runs of lost frames: as long as the profile says; independent losses without a burst length."""
    if measured.burst_datagrams is None or not 0 < direction.loss_pct < 100:
        return []
    lost = measured.sent - measured.received
    low, high = _range_of_share(direction.burst_end_pct / 100, lost)
    return [_outside("burst_datagrams", measured.burst_datagrams.value, 1 / high, 1 / low if low else math.inf)]


def _duplicates(direction: Direction, measured: Measured) -> list[Deviation | None]:
    intact = (1 - direction.loss_pct / 100) * (1 - direction.corrupt_pct / 100)
    share = direction.duplicate_pct / 100 * intact * intact
    low, high = _range_of_share(share, measured.sent)
    return [_outside("duplicate_pct", measured.duplicate_pct, 100 * low, 100 * high)]


def _delay_deviations(
    measured: Measured, predicted: Sequence[Measured], tolerance: Tolerance
) -> list[Deviation | None]:
    seen = measured.delay_ms
    wanted = [one.delay_ms for one in predicted if one.delay_ms is not None]
    if seen is None or not wanted:
        return []
    found = []
    for name, late_ms in (("p5", tolerance.late_ms), ("p50", tolerance.late_ms), ("p95", tolerance.late_p95_ms)):
        low, high = _spread([getattr(one, name) for one in wanted])
        found.append(_outside(f"delay_ms {name}", getattr(seen, name), low - tolerance.early_ms, high + late_ms))
    return found


def _order(
    direction: Direction, measured: Measured, predicted: Sequence[Measured], tolerance: Tolerance
) -> list[Deviation | None]:
    low, high = _spread([one.reordered_pct for one in predicted])
    if not direction.in_order or direction.reorder_pct:
        # Of two frames close together, a timer that is late for the first is late for the second too.
        low, high = max(0.0, low - tolerance.reordered_pct), high + tolerance.reordered_pct
    return [_outside("reordered_pct", measured.reordered_pct, low, high)]
