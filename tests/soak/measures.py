"""What a soak measures of a server, and whether it grows. Pure but for :func:`sample`."""

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import msgspec

from bench.process import tree, usage
from flume.server.sending.send_clock import STALL_S

_Z_95 = 1.96
"""Half the width of an interval that holds 95 % of a normal distribution, in standard deviations."""

_MOST_ALIKE = 0.99
"""The highest correlation of neighbours that is believed: with 1 the interval would have no end."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, tag="sample"):
    """One server with its processes, and its clients, at one time."""

    time_s: float
    """Since the slice began."""
    memory_mib: float
    """Resident, of all its processes: what they share counts in each."""
    threads: int
    descriptors: int
    ahead_ms: float | None = None
    """How far the stream is ahead of the monotonic clock, by the earliest datagram since the last sample; counted from
    any origin."""
    server_cpu_s: float = 0.0
    """CPU time that the server has used up to now, by the kernel's account."""
    clients_cpu_s: float = 0.0
    """The same of the process that all clients run in."""
    counts: dict[str, int] = {}
    stalls: int | None = None
    """How often the server says that its source was late, and that it moved the stream."""


class Slope(NamedTuple):
    """Growth an hour, by least squares, and half the width of its 95 % interval; *mean* is the level it grows from."""

    mean: float
    an_hour: float
    plus_minus: float

    def grows(self, hours: float, *, share: float = 0.05) -> bool:
        """Whether it surely grew by more than *share* of its mean in *hours*."""
        return (self.an_hour - self.plus_minus) * hours > share * self.mean

    def __str__(self) -> str:
        return f"mean {self.mean:.1f}, {self.growth}"

    @property
    def growth(self) -> str:
        """The growth and its interval, for people."""
        return f"{self.an_hour:+.2f} ± {self.plus_minus:.2f} an hour"


class Series(NamedTuple):
    """One quantity over the time of one slice."""

    times_s: Sequence[float]
    values: Sequence[float]


def sample(
    pid: int, time_s: float, *, ahead_ms: float | None, clients_cpu_s: float, counts: dict[str, int], stalls: int
) -> Sample:
    """Return what process *pid* and its descendants use; a process that has just ended counts as nothing."""
    used = usage(pid)
    descriptors = 0
    for member in tree(pid):
        try:
            descriptors += len(os.listdir(f"/proc/{member}/fd"))  # noqa: PTH208
        except OSError:
            continue
    return Sample(
        time_s=round(time_s, 3),
        memory_mib=round(used.rss_bytes / 2**20, 3),
        threads=used.threads,
        descriptors=descriptors,
        ahead_ms=None if ahead_ms is None else round(ahead_ms, 3),
        server_cpu_s=round(used.cross_check_s, 2),
        clients_cpu_s=round(clients_cpu_s, 2),
        counts=counts,
        stalls=stalls,
    )


def steps_ms(samples: Sequence[Sample]) -> list[float]:
    """Return by how much the stream fell behind the clock at once: what the server does when its source stalls.

    >>> blank = {"memory_mib": 0, "threads": 0, "descriptors": 0}
    >>> steps_ms([Sample(time_s=float(n), ahead_ms=ahead, **blank) for n, ahead in enumerate((0.0, 2.0, -300.0))])
    [-302.0]
    """
    known = [one.ahead_ms for one in samples if one.ahead_ms is not None]
    return [after - before for before, after in pairwise(known) if after - before < -STALL_S * 1000]


def without_steps(samples: Sequence[Sample]) -> list[Sample]:
    """Return *samples* as if the stream had made none of its :func:`steps_ms`."""
    found, moved_ms, before_ms = [], 0.0, None
    for one in samples:
        if one.ahead_ms is not None:
            if before_ms is not None and one.ahead_ms - before_ms < -STALL_S * 1000:
                moved_ms += one.ahead_ms - before_ms
            before_ms = one.ahead_ms
        found.append(one if one.ahead_ms is None else msgspec.structs.replace(one, ahead_ms=one.ahead_ms - moved_ms))
    return found


def drift_ms(samples: Sequence[Sample]) -> float:
    """Return by how much the stream got ahead of the clock from the first to the last tenth of *samples*.

    The medians are compared: a datagram that is read late on a busy host is no drift.

    >>> blank = {"memory_mib": 0, "threads": 0, "descriptors": 0}
    >>> drift_ms([Sample(time_s=float(n), ahead_ms=2.0 * n, **blank) for n in range(30)])
    54.0
    """
    known = [one.ahead_ms for one in samples if one.ahead_ms is not None]
    tenth = max(1, len(known) // 10)
    return median(known[-tenth:]) - median(known[:tenth]) if known else math.nan


def slope(slices: Sequence[Series]) -> Slope:
    """Return the growth of a quantity over *slices*, of at least three values in all; without them it is not known.

    Each slice is another server, so each has a level of its own, and all have one slope. Neighbours resemble each
    other, which would make the interval too narrow: it is widened by what an autoregressive process of order 1 with
    the correlation of neighbouring residuals needs.

    >>> slope([Series([0, 3600, 7200], [10.0, 12.0, 14.0])])
    Slope(mean=12.0, an_hour=2.0, plus_minus=0.0)
    >>> slope([Series([0, 3600], [10.0, 11.0]), Series([0, 3600], [50.0, 51.0])]).an_hour
    1.0
    """
    values = [value for one in slices for value in one.values]
    freedom = len(values) - len(slices) - 1
    if freedom < 1:
        return Slope(math.nan, math.nan, math.inf)
    centred = [(_centred([time_s / 3600 for time_s in one.times_s]), _centred(one.values)) for one in slices]
    spread = sum(hour * hour for hours, _ in centred for hour in hours)
    steepness = sum(h * v for hours, found in centred for h, v in zip(hours, found, strict=True)) / spread
    errors = [[v - steepness * h for h, v in zip(hours, found, strict=True)] for hours, found in centred]
    squares = sum(error * error for one in errors for error in one)
    products = sum(before * after for one in errors for before, after in pairwise(one))
    alike = min(max(products / squares, 0.0), _MOST_ALIKE) if squares else 0.0
    deviation = math.sqrt(squares / freedom / spread * (1 + alike) / (1 - alike))
    return Slope(sum(values) / len(values), steepness, _Z_95 * deviation)


def _centred(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [value - mean for value in values]
