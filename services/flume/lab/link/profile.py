"""A link model: what a link does to the datagrams of one client, as values that are checked when built. Pure.

A :class:`Profile` has two :class:`Direction` values, *down* (server to client) and *up*, and may have timed
:class:`Step` values. Every figure has its unit in its name. ``shaping`` turns it into ``tc`` commands, ``profile_file``
reads it from a file.
"""

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from flume.settings import check

Distribution = Literal["none", "uniform", "normal", "pareto", "paretonormal"]
"""Distribution of the delay about its mean; ``none`` if and only if ``jitter_ms`` is 0."""

FRAME_BYTES = 14 + 20 + 8 + 1328
"""Size that netem counts for one full media datagram: Ethernet, IPv4, UDP, and RTP with seven transport packets."""

UNLIMITED_LOAD_KBIT = 1_000_000
"""The load that a link without a rate must be able to hold in flight: an Ethernet of 1 Gbit/s."""

MIN_UNLIMITED_DATAGRAMS = 10_000
"""Smallest limit of a link without a rate, which has no queue of its own: the limit must never lose a datagram.
containerlab uses 10,000 for the same reason; netem's default of 1000 is less than a second at 11 Mbit/s."""

JITTER_EXTREME = 4.0
"""Largest deviation over the jitter: netem's distribution tables hold 16-bit values in units of 1/8192 of it."""

MAX_DELAY_MS = 60_000.0
MAX_JITTER_MS = 2_000.0
"""netem computes the deviation in 32-bit nanoseconds, which overflow at 2147 ms."""
MIN_RATE_KBIT, MAX_RATE_KBIT = 8.0, 10_000_000.0
MIN_TOKEN_KBIT = 0.1
"""For a token bucket: a full frame in two minutes. tc counts a bucket's time in 32 bits and prints no lower rate."""
MIN_QUEUE_BYTES, MAX_QUEUE_BYTES = 1514, 1 << 30
"""A queue shorter than one full Ethernet frame passes no frame of that size."""


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """The token bucket (``tc-tbf``) that sets the rate of a direction whose rate changes with time.

    netem cannot do it. It fixes the time at which a datagram leaves when the datagram enters, so a new rate does not
    act on datagrams that wait. Measured: after 0.6 s at 8 kbit/s a saturated link was stuck for a minute.
    """

    burst_bytes: int
    """Its size. It is full whenever its rate is set, because tc-tbf fills it then."""
    token_kbit: float
    """Rate at which it fills. With the burst at the beginning it makes ``rate_kbit`` over the length of the step."""


class Direction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One direction of a client's link. The defaults are a perfect link.

    Raises :class:`~flume.errors.SettingsError` with the name of a figure that is impossible.

    >>> Direction(delay_ms=20, loss_pct=2, loss_burst_datagrams=4).burst_end_pct
    25.0
    """

    delay_ms: float = 0.0
    """Mean one-way delay."""
    jitter_ms: float = 0.0
    """Spread of the delay: the standard deviation for ``normal``, half the width for ``uniform``, the scale of netem's
    table for ``pareto`` and ``paretonormal`` (standard deviations of 0.82 and 0.83 of it)."""
    distribution: Distribution = "none"
    jitter_reorders: bool | None = None
    """Whether a datagram may overtake another because of jitter. Required wherever there is jitter."""
    loss_pct: float = 0.0
    """Mean loss."""
    loss_burst_datagrams: float | None = None
    """Mean length of a loss burst; makes the loss Gilbert-Elliott. Without it each loss is independent."""
    duplicate_pct: float = 0.0
    corrupt_pct: float = 0.0
    """Datagrams with one flipped bit. The receiver's kernel finds nearly all by their checksum and drops them."""
    reorder_pct: float = 0.0
    """Datagrams that skip the delay, and so overtake delayed ones."""
    rate_kbit: float | None = None
    """Rate of the bottleneck in 1000 bit/s, Ethernet, IP and UDP headers included."""
    queue_bytes: int | None = None
    """Queue at the bottleneck in bytes; applied in full datagrams, because netem counts packets."""
    queue_ms: float | None = None
    """Queue at the bottleneck, as the time that the bottleneck takes to send it."""
    bucket: Bucket | None = None
    """What sets the rate, where it changes with time; ``pacing`` adds it. None: netem sets it."""

    def __post_init__(self) -> None:
        """Check each figure, and the figures that depend on one another."""
        check(0 <= self.delay_ms <= MAX_DELAY_MS, "delay_ms", self.delay_ms, f"0 to {MAX_DELAY_MS:g} ms")
        self._check_jitter()
        self._check_loss()
        for name in ("loss_pct", "duplicate_pct", "corrupt_pct", "reorder_pct"):
            check(0 <= getattr(self, name) <= 100, name, getattr(self, name), "0 to 100 percent")
        check(
            self.reorder_pct == 0 or self.delay_ms > 0,
            "reorder_pct",
            self.reorder_pct,
            "0 without delay_ms: netem reorders by letting datagrams skip the delay",
        )
        self._check_rate()

    def _check_jitter(self) -> None:
        check(
            0 <= self.jitter_ms <= MAX_JITTER_MS,
            "jitter_ms",
            self.jitter_ms,
            f"0 to {MAX_JITTER_MS:g} ms, as far as netem computes it",
        )
        check(
            self.jitter_ms <= self.delay_ms,
            "jitter_ms",
            self.jitter_ms,
            f"at most delay_ms ({self.delay_ms:g}): nothing arrives before it is sent",
        )
        jitter = self.jitter_ms > 0
        check(
            self.distribution in ("uniform", "normal", "pareto", "paretonormal") if jitter else True,
            "distribution",
            None if self.distribution == "none" else self.distribution,
            "uniform, normal, pareto or paretonormal where jitter_ms is above 0",
        )
        check(jitter or self.distribution == "none", "distribution", self.distribution, "none without jitter_ms")
        check(
            not jitter or self.jitter_reorders is not None,
            "jitter_reorders",
            self.jitter_reorders,
            "true or false: say whether datagrams may overtake one another because of jitter_ms",
        )
        check(
            jitter or self.jitter_reorders is None, "jitter_reorders", self.jitter_reorders, "absent without jitter_ms"
        )

    def _check_loss(self) -> None:
        burst = self.loss_burst_datagrams
        if burst is None:
            return
        check(0 < self.loss_pct < 100, "loss_burst_datagrams", burst, "absent unless loss_pct is between 0 and 100")
        check(1 <= burst <= 10_000, "loss_burst_datagrams", burst, "1 to 10000 datagrams")
        least = self.loss_pct / (100 - self.loss_pct)
        check(
            burst >= least,
            "loss_burst_datagrams",
            burst,
            f"at least {least:.3g} with a loss_pct of {self.loss_pct:g}: there is a datagram between two bursts",
        )

    def _check_rate(self) -> None:
        queues = [queue for queue in (self.queue_bytes, self.queue_ms) if queue is not None]
        if self.rate_kbit is None:
            name = "queue_ms" if self.queue_bytes is None else "queue_bytes"
            check(not queues, name, queues, "absent without rate_kbit: a link without a bottleneck has no queue")
            return
        least_kbit = MIN_RATE_KBIT if self.bucket is None else MIN_TOKEN_KBIT
        check(
            least_kbit <= self.rate_kbit <= MAX_RATE_KBIT,
            "rate_kbit",
            self.rate_kbit,
            f"{least_kbit:g} to {MAX_RATE_KBIT:g} kbit/s",
        )
        check(len(queues) == 1, "rate_kbit", self.rate_kbit, "given with exactly one of queue_bytes and queue_ms")
        check(
            self.jitter_reorders is not True,
            "jitter_reorders",
            self.jitter_reorders,
            "false with rate_kbit: datagrams leave a bottleneck in the order in which they reach it",
        )
        name = "queue_ms" if self.queue_bytes is None else "queue_bytes"
        check(
            MIN_QUEUE_BYTES <= self.queue_room_bytes <= MAX_QUEUE_BYTES,
            name,
            queues[0],
            f"room for {MIN_QUEUE_BYTES} to {MAX_QUEUE_BYTES} bytes",
        )

    @property
    def perfect(self) -> bool:
        """Whether this direction changes nothing and needs no netem."""
        return self == Direction()

    @property
    def in_order(self) -> bool:
        """Whether datagrams keep their order, apart from ``reorder_pct`` and duplicates."""
        return not self.jitter_reorders

    @property
    def delay_line(self) -> "Direction":
        """What is netem's task: all of it, or, in front of a token bucket, all but rate and queue."""
        if self.bucket is None:
            return self
        return msgspec.structs.replace(self, rate_kbit=None, queue_bytes=None, queue_ms=None, bucket=None)

    @property
    def queue_room_bytes(self) -> int:
        """The bottleneck's queue in bytes; 0 where there is no bottleneck."""
        if self.rate_kbit is None:
            return 0
        if self.queue_bytes is not None:
            return self.queue_bytes
        room = self.rate_kbit / 8 * (self.queue_ms or 0)
        # A nan or infinite figure is refused by the range check, which names its key; int() would raise here.
        return int(room) if math.isfinite(room) else -1

    @property
    def full_queue_ms(self) -> float | None:
        """Delay of a datagram that finds the last place in the queue, in milliseconds; None without a bottleneck.

        >>> Direction(delay_ms=5, rate_kbit=2000, queue_bytes=25 * FRAME_BYTES).full_queue_ms
        147.96
        """
        if self.rate_kbit is None:
            return None
        if self.bucket is not None:
            return self.delay_ms + 8 * self.queue_room_bytes / self.rate_kbit
        # netem counts what is in flight as well, and the rate sends one after the other.
        return max(self.delay_ms, 8 * self.limit_datagrams * FRAME_BYTES / self.rate_kbit)

    @property
    def limit_datagrams(self) -> int:
        """netem's ``limit`` in datagrams. It counts datagrams in flight as well as queued ones, so both must fit.

        A token bucket has a queue of its own; the delay line in front of it is a link without a rate.

        With a rate: the datagrams that the rate sends during the longest delay, and the queue. Without a rate: 1.5
        times the datagrams of 1 Gbit/s during the longest delay, at least :data:`MIN_UNLIMITED_DATAGRAMS`, so that the
        limit never loses one.
        """
        longest_ms = self.delay_ms + JITTER_EXTREME * self.jitter_ms
        if self.rate_kbit is None or self.bucket is not None:
            in_flight = UNLIMITED_LOAD_KBIT / 8 * longest_ms / FRAME_BYTES
            return max(MIN_UNLIMITED_DATAGRAMS, math.ceil(1.5 * in_flight))
        in_flight = self.rate_kbit / 8 * longest_ms / FRAME_BYTES
        # One more: a datagram leaves netem when its last bit has been sent.
        return math.ceil(in_flight) + math.ceil(self.queue_room_bytes / FRAME_BYTES) + 1

    @property
    def burst_end_pct(self) -> float:
        """Gilbert-Elliott's r in percent: the probability that a burst ends with the present datagram.

        Independent loss is the special case r = 1−L; then p = L.
        """
        if self.loss_burst_datagrams is None:
            return 100 - self.loss_pct
        return 100 / self.loss_burst_datagrams

    @property
    def burst_begin_pct(self) -> float:
        """Gilbert-Elliott's p = L·r/(1−L) in percent: the probability that a burst begins after this datagram."""
        return self.loss_pct * self.burst_end_pct / (100 - self.loss_pct) if self.loss_pct < 100 else 100.0


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The link from :attr:`at_s` seconds after the start of each period, until the next step."""

    at_s: float
    down: Direction
    up: Direction


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A named link: both directions, timed steps if it changes with time, and the source of each figure."""

    name: str
    description: str
    down: Direction
    up: Direction
    control_exempt: bool = True
    """Whether control TCP passes the link unshaped."""
    period_s: float | None = None
    """Length of a period, after which the steps begin again."""
    steps: tuple[Step, ...] = ()
    """Directions that replace :attr:`down` and :attr:`up`, in the order of time; complete, overrides applied."""
    sources: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Path of a figure (``down.delay_ms``, ``step.2.down.loss_pct``) → its source in words."""
    figures: tuple[str, ...] = ()
    """Paths of all figures that the file states, and of the traces that it names."""
    traces: tuple[str, ...] = ()
    """Names of the trace files from which the steps were made."""

    def __post_init__(self) -> None:
        """Check the sequence of steps."""
        if self.period_s is None:
            check(not self.steps, "step", len(self.steps), "absent without period_s")
            return
        check(bool(self.steps), "period_s", self.period_s, "absent without [[step]] tables")
        check(0.1 <= self.period_s <= 3600, "period_s", self.period_s, "0.1 to 3600 s")
        before = -1.0
        for number, step in enumerate(self.steps, 1):
            check(
                max(before, 0) <= step.at_s < self.period_s and step.at_s != before,
                f"step.{number}.at_s",
                step.at_s,
                "after the step before it and within period_s",
            )
            before = step.at_s

    @property
    def needs_netem(self) -> bool:
        """Whether it shapes anything, so that the kernel must have ``sch_netem``."""
        return any(not (step.down.perfect and step.up.perfect) for step in self.timeline())

    @property
    def unsourced(self) -> tuple[str, ...]:
        """Figures for which the file names no source."""
        return tuple(figure for figure in self.figures if figure not in self.sources)

    def changes(self, direction: str) -> tuple[tuple[float, Direction], ...]:
        """Return (seconds of the period, values) wherever *direction* changes; one alone where it never does.

        >>> still, slow = Direction(), Direction(delay_ms=40)
        >>> steps = (Step(at_s=1, down=slow, up=still), Step(at_s=2, down=slow, up=still))
        >>> profile = Profile(name="a", description="", down=still, up=still, period_s=3, steps=steps)
        >>> [at_s for at_s, _ in profile.changes("down")], len(profile.changes("up"))
        ([0.0, 1], 1)
        """
        found: list[tuple[float, Direction]] = []
        for step in self.timeline():
            values = getattr(step, direction)
            if not found or values != found[-1][1]:
                found.append((step.at_s, values))
        return tuple(found)

    def timeline(self) -> tuple[Step, ...]:
        """Return the steps of a period, the first at 0 s; one step alone for a link that never changes."""
        if self.steps and self.steps[0].at_s == 0:
            return self.steps
        return (Step(at_s=0.0, down=self.down, up=self.up), *self.steps)
