"""Rates: a bucket of tokens, and one bucket for each address. Pure: the time comes in, in monotonic seconds."""

from typing import NamedTuple

ADDRESSES_KEPT = 1024
"""Addresses whose buckets are kept before those that are full again are forgotten."""


class Rate(NamedTuple):
    """At most *per_s* a second on average, and at most *burst* at once."""

    per_s: float
    burst: float


class Bucket:
    """One budget. It is kept as the time at which the bucket would be full again (GCRA, ITU-T I.371).

    >>> bucket = Bucket(Rate(10, 2))
    >>> bucket.take(0.0), bucket.take(0.0), bucket.take(0.0), bucket.take(0.1)
    (True, True, False, True)
    >>> bucket.reserve(0.1)  # nothing is left: in a tenth of a second
    0.1
    """

    __slots__ = ("_full_s", "_reach_s", "_step_s")

    def __init__(self, rate: Rate) -> None:
        """Begin full."""
        self._step_s = 1 / rate.per_s
        self._reach_s = rate.burst / rate.per_s
        self._full_s = float("-inf")

    def take(self, now_s: float, count: float = 1) -> bool:
        """Take *count*, and return whether they were there; nothing is taken if not."""
        full_s = max(self._full_s, now_s) + count * self._step_s
        if full_s - now_s > self._reach_s + 1e-9:
            return False
        self._full_s = full_s
        return True

    def reserve(self, now_s: float, count: float = 1) -> float:
        """Take *count* in any case; return how many seconds to wait until they are there, 0 for not at all."""
        self._full_s = max(self._full_s, now_s) + count * self._step_s
        return max(0.0, round(self._full_s - now_s - self._reach_s, 9))

    def give_back(self) -> None:
        """One that was taken or reserved was not used."""
        self._full_s -= self._step_s

    def available(self, now_s: float) -> float:
        """Return how much could be taken at *now_s*, 0 at least."""
        return max(0.0, (self._reach_s - max(0.0, self._full_s - now_s)) / self._step_s)

    def wait_s(self, now_s: float) -> float:
        """Return how many seconds from *now_s* on one could be taken, 0 for at once; nothing is taken."""
        return max(0.0, round(self._full_s + self._step_s - now_s - self._reach_s, 9))

    def is_full(self, now_s: float) -> bool:
        """Whether all that was taken has been filled up again."""
        return self._full_s <= now_s


class AddressBuckets:
    """One bucket for each address that takes something; an address costs memory only until its bucket is full again."""

    def __init__(self, rate: Rate) -> None:
        """Give every address a bucket of *rate*."""
        self._rate = rate
        self._buckets: dict[str, Bucket] = {}
        self._purge_at = ADDRESSES_KEPT

    def __len__(self) -> int:
        """Return how many addresses are kept."""
        return len(self._buckets)

    def of(self, address: str, now_s: float) -> Bucket:
        """Return the bucket of *address*. Ask again for each use: a full bucket may have been replaced."""
        bucket = self._buckets.get(address)
        if bucket is None:
            if len(self._buckets) >= self._purge_at:
                self._buckets = {name: kept for name, kept in self._buckets.items() if not kept.is_full(now_s)}
                self._purge_at = max(ADDRESSES_KEPT, 2 * len(self._buckets))
            bucket = self._buckets[address] = Bucket(self._rate)
        return bucket
