"""A distribution of delays by a few of its points. Pure."""

import math
from collections.abc import Iterable

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """A distribution; the unit is that of the values."""

    count: int
    least: float
    median: float
    p95: float
    p99: float
    most: float


def percentile(ordered: list[float], pct: float) -> float:
    """Return the smallest value of *ordered*, rising, that at least *pct* per cent do not exceed (nearest rank).

    Nothing is interpolated: the result is one of the values. Raises :class:`ValueError` without a value.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([1.0, 2.0, 3.0, 4.0], 95)
    (2.0, 4.0)
    """
    if not ordered:
        raise ValueError("there is no percentile of no values")
    rank = math.ceil(pct / 100 * len(ordered))
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def spread(values: Iterable[float]) -> Spread | None:
    """Return the spread of *values*; None without one.

    >>> spread(float(value) for value in range(1, 101))
    Spread(count=100, least=1.0, median=50.0, p95=95.0, p99=99.0, most=100.0)
    """
    ordered = sorted(values)
    if not ordered:
        return None
    median, p95, p99 = (percentile(ordered, pct) for pct in (50, 95, 99))
    return Spread(len(ordered), ordered[0], median, p95, p99, ordered[-1])
