"""What netem does to frames sent at given times, computed: the prediction that calibration compares with. Pure.

Jitter that keeps the order is biased: a frame leaves at ``max(its own time, the time of the frame before it)``, so the
mean delay exceeds the configured one, the more so the closer the frames follow one another. No formula gives the
percentiles for arbitrary send times; netem's own rule, run over those very times, does (``netem_enqueue`` in
net/sched/sch_netem.c of Linux 6.1).
"""

import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

from flume.lab.link.profile import JITTER_EXTREME, Direction, Distribution
from flume.lab.link.shaping import effective_rate_kbit

Draw = Callable[[], float]
"""A source of independent numbers, uniform in [0, 1): ``random.Random(seed).random``."""

_TABLE_SIZE = 4096


class Sent(NamedTuple):
    """One frame handed to the link; its number is its place in the sequence."""

    at_s: float
    frame_bytes: int
    """Ethernet, IP and UDP headers included, as netem counts."""


class Arrival(NamedTuple):
    """One frame that came out of the link, intact."""

    number: int
    at_s: float


@lru_cache(maxsize=8)
def jitter_table(distribution: Distribution) -> tuple[float, ...]:
    """Return netem's table: values in units of ``jitter_ms``, equally likely, ascending.

    ``pareto`` and ``paretonormal`` as iproute2's netem/pareto.c and paretonormal.c make them: shape 3, moved to mean 0
    and scaled by 4/3; a quarter of the normal value and three quarters of that. ``uniform`` is our own table.
    """
    quantiles = [(index + 0.5) / _TABLE_SIZE for index in range(_TABLE_SIZE)]
    normal = NormalDist()
    match distribution:
        case "none":
            return (0.0,)
        case "uniform":
            return tuple(2 * quantile - 1 for quantile in quantiles)
        case "normal":
            return tuple(normal.inv_cdf(quantile) for quantile in quantiles)
        case "pareto":
            return tuple(_pareto(quantile) for quantile in quantiles)
        case "paretonormal":
            return tuple(0.25 * normal.inv_cdf(quantile) + 0.75 * _pareto(quantile) for quantile in quantiles)


def _pareto(quantile: float) -> float:
    return min(JITTER_EXTREME, (math.pow(1 - quantile, -1 / 3) - 1.5) * 4 / 3)


def lose(direction: Direction, draw: Draw) -> Iterator[bool]:
    """Yield for each frame in turn whether it is lost."""
    begin, end = direction.burst_begin_pct / 100, direction.burst_end_pct / 100
    if direction.loss_burst_datagrams is None:
        loss = direction.loss_pct / 100
        while True:
            yield draw() < loss
    # A chain that has run for long, so that the first frame is as likely lost as any.
    bad = draw() < direction.loss_pct / 100
    while True:
        yield bad
        bad = draw() >= end if bad else draw() < begin


def simulate(direction: Direction, sent: Sequence[Sent], draw: Draw) -> list[Arrival]:
    """Return what arrives of *sent*, in the order of arrival, after a link that is *direction*."""
    table = jitter_table(direction.distribution)
    jitter_s, delay_s = direction.jitter_ms / 1000, direction.delay_ms / 1000
    rate_bytes = effective_rate_kbit(direction) * 125
    lost = lose(direction, draw)
    limit = direction.limit_datagrams
    queue: list[float] = []
    last_s = float("-inf")
    arrivals: list[tuple[float, int, int]] = []
    order = itertools.count()
    for number, (now_s, frame_bytes) in enumerate(sent):
        copies = 1 + (direction.duplicate_pct > 0 and draw() < direction.duplicate_pct / 100) - next(lost)
        if copies == 2 and next(lost):
            copies = 1
        for _ in range(copies):
            while queue and queue[0] <= now_s:
                heapq.heappop(queue)
            if len(queue) >= limit:
                continue
            intact = not direction.corrupt_pct or draw() >= direction.corrupt_pct / 100
            if direction.reorder_pct and draw() < direction.reorder_pct / 100:
                leaves_s = now_s
            else:
                leaves_s = now_s + delay_s + jitter_s * table[int(draw() * len(table))]
                if rate_bytes:
                    leaves_s = last_s = max(leaves_s, last_s) + frame_bytes / rate_bytes
                leaves_s = max(leaves_s, now_s)
            heapq.heappush(queue, leaves_s)
            if intact:
                arrivals.append((leaves_s, next(order), number))
    return [Arrival(number, at_s) for at_s, _, number in sorted(arrivals)]
