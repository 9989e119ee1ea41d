"""Who goes next when all together want more than the server gives: networks in turn. Pure.

In one queue for all, a newcomer waits behind everything that a flood has sent before: 2000 lines a second, at a rate of
1000, make the next client wait a second longer each second. Here each network has a queue of its own, and the queues
are served in turn. So a client of another network waits for as many lines as there are networks that flood.
"""

from typing import Generic, TypeVar

from flume.server.limits.buckets import Bucket, Rate

Waiter = TypeVar("Waiter")


class Turns(Generic[Waiter]):
    """The queues of all networks.

    >>> turns = Turns(Rate(10, 1))
    >>> [turns.enter(network, waiter, 0.0) for network, waiter in [("a", 1), ("a", 2), ("a", 3), ("b", 4)]]
    [True, False, False, False]
    >>> turns.due(0.1), turns.due(0.2), turns.due(0.35)
    ([2], [4], [3])
    """

    def __init__(self, rate: Rate) -> None:
        """Let *rate* go in all."""
        self._bucket = Bucket(rate)
        self._queues: dict[str, dict[Waiter, None]] = {}
        """By network, the one whose turn it is first; none is empty."""
        self.is_planned = False
        """Whether :meth:`due` will be called. The caller, who has the clock, sets it."""

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(len(queue) for queue in self._queues.values())

    @property
    def has_waiters(self) -> bool:
        """Whether anything waits."""
        return bool(self._queues)

    def enter(self, network: str, waiter: Waiter, now_s: float) -> bool:
        """Return whether *waiter* of *network* may go at once; if not, it waits."""
        if not self._queues and self._bucket.take(now_s):
            return True
        self._queues.setdefault(network, {})[waiter] = None
        return False

    def leave(self, network: str, waiter: Waiter) -> None:
        """Wait for *waiter* no more; nothing happens if it has gone."""
        queue = self._queues.get(network, {})
        queue.pop(waiter, None)
        if network in self._queues and not queue:
            del self._queues[network]

    def due(self, now_s: float) -> list[Waiter]:
        """Return those that may go at *now_s* (monotonic); they wait no more."""
        gone = []
        while self._queues and self._bucket.take(now_s):
            network = next(iter(self._queues))
            queue = self._queues.pop(network)
            waiter = next(iter(queue))
            del queue[waiter]
            gone.append(waiter)
            if queue:
                self._queues[network] = queue  # behind the others
        return gone

    def wait_s(self, now_s: float) -> float:
        """Return how many seconds from *now_s* on the next one may go."""
        return self._bucket.wait_s(now_s)
