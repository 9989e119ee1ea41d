"""The frames that calibration sends over a link, and their times: enough to judge each figure. Pure.

All links are measured at the same time, by one program that sends and receives all frames.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from flume.lab.link.profile import FRAME_BYTES, JITTER_EXTREME, Direction

TOTAL_FRAMES_PER_S = 10_000.0
"""Of all links together, both directions. Sound up to twice as many, measured through a wire on two CPUs, with three
other busy programs too; from 25,000 on the sender is late."""
SMALL_BYTES = 60
"""Ethernet's shortest frame: a slow link carries many of them, so the sample is large and the queue stays empty."""
RATE_SHARE = 0.4
"""Share of a link's rate for small frames: a queue that builds up would be measured as delay."""
LIMIT_SHARE = 0.5
"""Share of netem's limit for small frames in flight: a full limit would be measured as loss."""
FRAMES_PER_S_MAX = 2000.0
"""Of one direction."""

FRAMES_STEADY, FRAMES_JITTER, FRAMES_LOSS, FRAMES_BURST = 300, 800, 1200, 3000
"""Number of small frames for a link with nothing random, with jitter, with random loss, and with loss in bursts. 3000
frames with 2 % loss in bursts of two have 30 bursts."""

TRAIN_S = 0.4
TRAIN_MIN, TRAIN_MAX = 12, 150
TRAIN_LEAD_US = 100_000
"""A train of full frames is sent as fast as possible, so it arrives at the rate of the link."""
RATE_MAX_KBIT = 200_000.0
"""A link with more gets no train: beyond this the program that sends is the bottleneck, not the link. Measured through
a wire on two CPUs: right within 1 % up to 200 Mbit/s with five links in both directions at a time, and up to 600 Mbit/s
with one link alone."""
LATE_US = 200_000
"""Time to wait after the last frame is due: a busy computer is late."""


class Effort(NamedTuple):
    """How many frames a measurement sends."""

    share: float = 1.0
    """Share of the frames that each figure needs; at least :data:`FRAMES_MIN` are sent."""
    frames_per_s: float = TOTAL_FRAMES_PER_S
    """Of all links together."""
    duration_s: float = 1.0
    """Shortest duration, so that what holds a CPU up for a moment concerns few frames."""
    trains: bool = True
    """Whether links with a rate get a train of full frames, which fills their queue."""

    def gentler(self) -> "Effort":
        """Return the same effort with a quarter of the frames a second, for a computer that was too busy for it."""
        return self._replace(frames_per_s=self.frames_per_s / 4)


FRAMES_MIN = 300
THOROUGH = Effort()
BRIEF = Effort(share=0.2, duration_s=0.5)
"""Before each run: finds a figure that is badly wrong, and delays the first picture by a second or two."""
BESIDE_A_STREAM = Effort(share=0.2, frames_per_s=2000, duration_s=2.0, trains=False)
"""While a stream runs: the stream loses no datagram to a full queue or a busy CPU."""


class Phase(NamedTuple):
    """*frames* frames of *frame_bytes*, the first at *start_us*, one every *step_us*."""

    start_us: int
    frames: int
    step_us: int
    frame_bytes: int


class Plan(NamedTuple):
    """The frames of one direction: small ones, then, if the link has a rate, a train of full ones."""

    small: Phase
    train: Phase | None

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases in the order of the frames' numbers."""
        return (self.small,) if self.train is None else (self.small, self.train)

    @property
    def end_us(self) -> int:
        """Time at which the last frame is sent."""
        return max(phase.start_us + phase.frames * phase.step_us for phase in self.phases)


def longest_us(direction: Direction) -> int:
    """Return the longest delay of a frame, without the time in a queue."""
    return round(1000 * (direction.delay_ms + JITTER_EXTREME * direction.jitter_ms))


def plans(directions: Mapping[str, Direction], effort: Effort = THOROUGH) -> dict[str, Plan]:
    """Return the frames for each of *directions*, which are measured at the same time.

    >>> plans({"down": Direction(delay_ms=20)})["down"].small.frames
    300
    """
    wanted = {
        name: max(FRAMES_MIN, round(effort.share * _frames_wanted(direction))) for name, direction in directions.items()
    }
    least_s = {name: wanted[name] / _frames_per_s_max(direction) for name, direction in directions.items()}
    # Each direction as fast as it can: frames further apart than the link's delay cannot show its order.
    common_s = effort.duration_s
    while sum(wanted[name] / max(common_s, least_s[name]) for name in directions) > effort.frames_per_s:
        common_s *= 1.02
    return {
        name: _plan(direction, wanted[name], max(common_s, least_s[name]), train=effort.trains)
        for name, direction in directions.items()
    }


def drain_us(directions: Mapping[str, Direction], planned: Mapping[str, Plan]) -> int:
    """Return the time from sending the last frame until the latest arrival of any frame, in microseconds."""
    end_us = max(plan.end_us for plan in planned.values())
    arrived = (
        planned[name].end_us + longest_us(one) + _train_us(one, planned[name]) for name, one in directions.items()
    )
    return max(0, max(arrived) - end_us) + LATE_US


def _frames_wanted(direction: Direction) -> int:
    random = (direction.loss_pct, direction.duplicate_pct, direction.corrupt_pct, direction.reorder_pct)
    if direction.loss_burst_datagrams is not None:
        return FRAMES_BURST
    if any(random):
        return FRAMES_LOSS
    return FRAMES_JITTER if direction.jitter_ms else FRAMES_STEADY


def _frames_per_s_max(direction: Direction) -> float:
    # netem's limit counts frames and is made for full ones: small frames in flight must not fill it.
    in_flight_s = max(1e-3, longest_us(direction) / 1e6)
    most = min(FRAMES_PER_S_MAX, LIMIT_SHARE * direction.limit_datagrams / in_flight_s)
    if direction.rate_kbit is None:
        return most
    return min(most, RATE_SHARE * direction.rate_kbit * 1000 / 8 / SMALL_BYTES)


def _plan(direction: Direction, wanted: int, duration_s: float, *, train: bool) -> Plan:
    step_us = math.ceil(1e6 * duration_s / wanted)
    small = Phase(0, wanted, step_us, SMALL_BYTES)
    if direction.rate_kbit is None or direction.rate_kbit > RATE_MAX_KBIT or not train:
        return Plan(small, None)
    frame_s = 8 * FRAME_BYTES / (1000 * direction.rate_kbit)
    room = direction.queue_room_bytes // FRAME_BYTES
    count = max(2, min(TRAIN_MAX, room, max(TRAIN_MIN, round(TRAIN_S / frame_s))))
    start_us = wanted * step_us + longest_us(direction) + TRAIN_LEAD_US
    return Plan(small, Phase(start_us, count, 0, FRAME_BYTES))


def _train_us(direction: Direction, plan: Plan) -> int:
    if plan.train is None or direction.rate_kbit is None:
        return 0
    return round(8000 * FRAME_BYTES * plan.train.frames / direction.rate_kbit)
