"""What calibration sends over a link, and when: enough to judge each figure, and no more than the lab bears. Pure.

A lab kernel has one processor and passes about 2,400 frames a second between Python programs, both ends and netem
included (measured on User Mode Linux 6.1). All links are measured side by side, so they share that.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from flume.lab.link.profile import FRAME_BYTES, JITTER_EXTREME, Direction

TOTAL_FRAMES_PER_S = 2000.0
SMALL_BYTES = 60
"""Ethernet's shortest frame: a slow link carries many, so that a sample is large and its queue stays empty."""
RATE_SHARE = 0.4
"""Of a link's rate that small frames may take: a queue that builds up would be measured as delay."""
LIMIT_SHARE = 0.5
FRAMES_PER_S_MAX = 600.0

FRAMES_STEADY, FRAMES_JITTER, FRAMES_LOSS, FRAMES_BURST = 300, 800, 1200, 3000
"""Small frames for a link with nothing random, with jitter, with random loss, and with loss in bursts: 2 % loss in
bursts of two then shows 30 bursts."""
DURATION_MIN_S = 2.0

TRAIN_S = 0.4
TRAIN_MIN, TRAIN_MAX = 12, 150
TRAIN_LEAD_US = 100_000
"""A train of full frames, sent as fast as possible, arrives at the rate of the link."""
SETTLE_US = 400_000
"""After the last frame is due, for a lab kernel that is behind."""


class Effort(NamedTuple):
    """How much is sent for a measurement."""

    share: float = 1.0
    """Of the frames that each figure would like; never fewer than :data:`FRAMES_MIN`."""
    frames_per_s: float = TOTAL_FRAMES_PER_S
    """Over all links together."""
    trains: bool = True
    """Whether links with a rate get a train of full frames, which fills their queue."""


FRAMES_MIN = 300
THOROUGH = Effort()
BRIEF = Effort(share=0.2)
"""Before each run: a figure that is badly wrong shows, and nobody waits for half a minute."""
BESIDE_A_STREAM = Effort(share=0.2, frames_per_s=500, trains=False)
"""So that the stream loses nothing to a full queue or a busy processor."""


class Phase(NamedTuple):
    """*frames* frames of *frame_bytes*, one each *step_us*, from *start_us* on."""

    start_us: int
    frames: int
    step_us: int
    frame_bytes: int


class Plan(NamedTuple):
    """One direction's traffic: small frames, then, where there is a rate, a train of full ones."""

    small: Phase
    train: Phase | None

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What is sent, in the order of the frames' numbers."""
        return (self.small,) if self.train is None else (self.small, self.train)

    @property
    def end_us(self) -> int:
        """When the last frame leaves."""
        return max(phase.start_us + phase.frames * phase.step_us for phase in self.phases)


def longest_us(direction: Direction) -> int:
    """Return how long a frame may be under way, the time in the queue apart."""
    return round(1000 * (direction.delay_ms + JITTER_EXTREME * direction.jitter_ms))


def plans(directions: Mapping[str, Direction], effort: Effort = THOROUGH) -> dict[str, Plan]:
    """Return the traffic for each of the directions that are to be measured at the same time."""
    wanted = {
        name: max(FRAMES_MIN, round(effort.share * _frames_wanted(direction))) for name, direction in directions.items()
    }
    duration_s = max(
        DURATION_MIN_S,
        sum(wanted.values()) / effort.frames_per_s,
        *(wanted[name] / _frames_per_s_max(direction) for name, direction in directions.items()),
    )
    return {
        name: _plan(direction, wanted[name], duration_s, train=effort.trains) for name, direction in directions.items()
    }


def drain_us(directions: Mapping[str, Direction], planned: Mapping[str, Plan]) -> int:
    """Return how long after the last frame left the last one has arrived for certain."""
    end_us = max(plan.end_us for plan in planned.values())
    arrived = (
        planned[name].end_us + longest_us(one) + _train_us(one, planned[name]) for name, one in directions.items()
    )
    return max(0, max(arrived) - end_us) + SETTLE_US


def _frames_wanted(direction: Direction) -> int:
    random = (direction.loss_pct, direction.duplicate_pct, direction.corrupt_pct, direction.reorder_pct)
    if direction.loss_burst_datagrams is not None:
        return FRAMES_BURST
    if any(random):
        return FRAMES_LOSS
    return FRAMES_JITTER if direction.jitter_ms else FRAMES_STEADY


def _frames_per_s_max(direction: Direction) -> float:
    # netem's limit counts frames, and is meant for full ones: small ones must not fill it while they are under way.
    in_flight_s = max(1e-3, longest_us(direction) / 1e6)
    most = min(FRAMES_PER_S_MAX, LIMIT_SHARE * direction.limit_datagrams / in_flight_s)
    if direction.rate_kbit is None:
        return most
    return min(most, RATE_SHARE * direction.rate_kbit * 1000 / 8 / SMALL_BYTES)


def _plan(direction: Direction, wanted: int, duration_s: float, *, train: bool) -> Plan:
    step_us = math.ceil(1e6 * duration_s / wanted)
    small = Phase(0, wanted, step_us, SMALL_BYTES)
    if direction.rate_kbit is None or not train:
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
