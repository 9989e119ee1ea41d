"""How much of the past the clients of one address get faster than the stream comes. Pure.

A client that connects gets what was sent since the last keyframe. Two short lines buy a group of pictures, so a client
that connects and disconnects all the time would draw a multiple of the stream. What it gets of the past therefore
counts against a budget of its address, and what it gets at once also against one of all addresses. Budgets count
seconds of stream, so they mean the same at every rate. With an empty budget a client gets the stream as it comes.
"""

from flume.server.limits.buckets import AddressBuckets, Bucket, Rate

PER_ADDRESS = Rate(per_s=8, burst=64)
"""Seconds of stream for one address: 64 clients behind one NAT may begin one second back at the same time."""

AT_ONCE_IN_ALL = Rate(per_s=32, burst=256)
"""Seconds of stream that all addresses together get at once, without pacing."""


class CatchUpBudget:
    """The budgets of one server.

    >>> budget = CatchUpBudget()
    >>> budget.take("192.0.2.1", 1000, per_s=10, now_s=0.0)  # 64 seconds of a stream of 10 datagrams a second
    640
    >>> budget.take("192.0.2.1", 1000, per_s=10, now_s=0.5)  # 4 seconds more
    40
    """

    def __init__(self) -> None:
        """Begin with full budgets."""
        self._addresses = AddressBuckets(PER_ADDRESS)
        self._at_once = Bucket(AT_ONCE_IN_ALL)

    def take(self, payer: str, most: int, *, per_s: float, now_s: float) -> int:
        """Take up to *most* datagrams of a stream of *per_s* datagrams a second for *payer*; return how many.

        *payer* is what :func:`.admission.host_of` returns for the client's address.
        """
        return _take([self._addresses.of(payer, now_s)], most, per_s, now_s)

    def take_at_once(self, payer: str, most: int, *, per_s: float, now_s: float) -> int:
        """Do the same for datagrams that are sent without pacing."""
        return _take([self._addresses.of(payer, now_s), self._at_once], most, per_s, now_s)


def _take(buckets: list[Bucket], most: int, per_s: float, now_s: float) -> int:
    count = min(most, *(int(bucket.available(now_s) * per_s + 1e-6) for bucket in buckets))
    for bucket in buckets:
        bucket.reserve(now_s, count / per_s)
    return count
