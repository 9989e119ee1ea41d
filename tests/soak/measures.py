"""What a soak measures of a server, and whether it grows. Pure but for :func:`sample`."""

import math
import os
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from bench.process import tree, usage

_Z_95 = 1.96
"""Half the width of an interval that holds 95 % of a normal distribution, in standard deviations."""


class Sample(NamedTuple):
    """One server and its processes at one time."""

    time_s: float
    memory_mib: float
    threads: float
    descriptors: float
    ahead_ms: float | None = None
    """How far the stream is ahead of the wall clock, by the latest datagram of a client; from any origin."""


class Slope(NamedTuple):
    """Growth an hour, by least squares, and half the width of its 95 % interval; *mean* is the level it grows from."""

    mean: float
    an_hour: float
    plus_minus: float

    def grows(self, hours: float, *, share: float = 0.05) -> bool:
        """Whether it surely grew by more than *share* of its mean in *hours*."""
        return (self.an_hour - self.plus_minus) * hours > share * self.mean


def sample(pid: int, time_s: float, *, ahead_ms: float | None = None) -> Sample:
    """Return what process *pid* and its descendants use; a process that has just ended counts as nothing."""
    used = usage(pid)
    descriptors = 0
    for member in tree(pid):
        try:
            descriptors += len(os.listdir(f"/proc/{member}/fd"))  # noqa: PTH208
        except OSError:
            continue
    return Sample(time_s, used.rss_bytes / 2**20, used.threads, descriptors, ahead_ms)


def drift_ms(samples: Sequence[Sample]) -> float:
    """Return by how much the stream got ahead of the wall clock from the first to the last tenth of *samples*.

    The medians are compared: a datagram that is read late on a busy host is no drift.

    >>> drift_ms([Sample(float(n), 0, 0, 0, 2.0 * n) for n in range(30)])
    54.0
    """
    known = [one.ahead_ms for one in samples if one.ahead_ms is not None]
    tenth = max(1, len(known) // 10)
    return median(known[-tenth:]) - median(known[:tenth]) if known else math.nan


def slope(times_s: Sequence[float], values: Sequence[float]) -> Slope:
    """Return the growth of *values* (at least three) over *times_s* in seconds.

    The residuals are taken for independent; neighbours that resemble each other make the interval too narrow, so a
    verdict also asks for a share of the mean.

    >>> slope([0, 3600, 7200], [10.0, 12.0, 14.0])
    Slope(mean=12.0, an_hour=2.0, plus_minus=0.0)
    """
    hours = [time_s / 3600 for time_s in times_s]
    middle, mean = sum(hours) / len(hours), sum(values) / len(values)
    spread = sum((hour - middle) ** 2 for hour in hours)
    steepness = sum((hour - middle) * (value - mean) for hour, value in zip(hours, values, strict=True)) / spread
    errors = [value - mean - steepness * (hour - middle) for hour, value in zip(hours, values, strict=True)]
    deviation = math.sqrt(sum(error * error for error in errors) / (len(values) - 2) / spread)
    return Slope(mean, steepness, _Z_95 * deviation)
