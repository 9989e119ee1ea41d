"""A model of netem: what it does to frames sent at given times. Calibration compares measurements with it. Pure.

Jitter that keeps the order is biased: a frame leaves at ``max(its own time, the time of the frame before it)``. So the
mean delay exceeds the configured one, and the more, the closer the frames follow one another. No formula gives the
percentiles for arbitrary send times. Therefore netem's own rule is run over the actual send times (``netem_enqueue`` in
net/sched/sch_netem.c of Linux 6.1).
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

from flume.lab.link.profile import JITTER_EXTREME, Bucket, Direction, Distribution
from flume.lab.link.shaping import effective_rate_kbit

Draw = Callable[[], float]
"""Returns independent random numbers, uniform in [0, 1): ``random.Random(seed).random``."""

_TABLE_SIZE = 4096


class Sent(NamedTuple):
    """One frame sent over the link. Its number is its position in the sequence."""

    at_s: float
    frame_bytes: int
    """Ethernet, IP and UDP headers included, as netem counts."""


class Arrival(NamedTuple):
    """One frame that came out of the link, intact."""

    number: int
    at_s: float


class Passed(NamedTuple):
    """A frame on its way through the link, at the end of one of its parts."""

    at_s: float
    order: int
    """Frames of the same time keep this order."""
    number: int
    intact: bool


@lru_cache(maxsize=8)
def jitter_table(distribution: Distribution) -> tuple[float, ...]:
    """Return netem's table: values in units of ``jitter_ms``, equally likely, ascending.

    ``pareto`` and ``paretonormal`` are made as in iproute2's netem/pareto.c and paretonormal.c. ``pareto``: shape 3,
    moved to mean 0 and scaled by 4/3. ``paretonormal``: a quarter of the normal value and three quarters of the pareto
    value. ``uniform`` is a table of our own.
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
    """Yield for each frame, one after another, whether it is lost."""
    begin, end = direction.burst_begin_pct / 100, direction.burst_end_pct / 100
    if direction.loss_burst_datagrams is None:
        loss = direction.loss_pct / 100
        while True:
            yield draw() < loss
    # The chain starts in its stationary state, so that the first frame is lost with the mean probability too.
    bad = draw() < direction.loss_pct / 100
    while True:
        yield bad
        bad = draw() >= end if bad else draw() < begin


def simulate(direction: Direction, sent: Sequence[Sent], draw: Draw) -> list[Arrival]:
    """Return the frames of *sent* that arrive over a link like *direction*, in the order of arrival.

    >>> (arrival,) = simulate(Direction(delay_ms=20), [Sent(at_s=1.0, frame_bytes=60)], lambda: 0.5)
    >>> arrival.number, round(arrival.at_s, 3)
    (0, 1.02)
    """
    passed = sorted(_delay(direction.delay_line, sent, draw))
    if direction.bucket is not None:
        passed = _through_bucket(direction, direction.bucket, sent, passed)
    return [Arrival(number, at_s) for at_s, _, number, intact in passed if intact]


def _delay(direction: Direction, sent: Sequence[Sent], draw: Draw) -> list[Passed]:
    """Return the frames that netem lets through."""
    table = jitter_table(direction.distribution)
    jitter_s, delay_s = direction.jitter_ms / 1000, direction.delay_ms / 1000
    rate_bytes = effective_rate_kbit(direction) * 125
    lost = lose(direction, draw)
    limit = direction.limit_datagrams
    queue: list[float] = []
    last_s = float("-inf")
    passed: list[Passed] = []
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
            passed.append(Passed(leaves_s, next(order), number, intact))
    return passed


def _through_bucket(
    direction: Direction, bucket: Bucket, sent: Sequence[Sent], frames: Iterable[Passed]
) -> list[Passed]:
    """Return those of *frames* that find room in the queue of a token bucket, and when they leave.

    *frames* are in the order of time. The bucket is full at first (net/sched/sch_tbf.c of Linux 6.1).
    """
    rate_bytes, burst, room = bucket.token_kbit * 125, bucket.burst_bytes, direction.queue_room_bytes
    tokens, counted_s, last_s = float(burst), -math.inf, -math.inf
    waiting: deque[tuple[float, int]] = deque()
    left = []
    for frame in frames:
        while waiting and waiting[0][0] <= frame.at_s:
            room += waiting.popleft()[1]
        size = sent[frame.number].frame_bytes
        if size > room:
            continue
        begins_s = max(frame.at_s, last_s)
        tokens = min(burst, tokens + rate_bytes * (begins_s - counted_s))
        last_s = counted_s = begins_s + max(0.0, size - tokens) / rate_bytes
        tokens = max(0.0, tokens - size)
        room -= size
        waiting.append((last_s, size))
        left.append(frame._replace(at_s=last_s))
    return left
