"""Pairs what left the server with what reached a client's tap. Pure.

A datagram is recognised at another tap by the digest of its payload, never by its position.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple

from flume.lab.evidence.facts import Endpoint, MediaDatagram


class Matching(NamedTuple):
    """Which of the datagrams that left the server appeared at the tap of the client."""

    arrived: tuple[tuple[MediaDatagram, MediaDatagram], ...]
    """Pairs of departure and arrival."""
    missing: tuple[MediaDatagram, ...]
    """Departures without an arrival."""
    duplicates: int
    """Further arrivals of a departure that has arrived before."""
    unmatched: tuple[MediaDatagram, ...]
    """Arrivals without a departure: the server's tap did not see them leave, or a bit of them changed on the way."""


def match(sent: Iterable[MediaDatagram], arrivals: Iterable[MediaDatagram]) -> Matching:
    """Pair departures with arrivals by destination and identity, first with first."""
    waiting: dict[tuple[Endpoint, bytes], deque[MediaDatagram]] = defaultdict(deque)
    for datagram in sent:
        waiting[datagram.destination, datagram.identity].append(datagram)
    pairs: list[tuple[MediaDatagram, MediaDatagram]] = []
    unmatched: list[MediaDatagram] = []
    duplicates = 0
    for arrival in arrivals:
        queue = waiting.get((arrival.destination, arrival.identity))
        if queue:
            pairs.append((queue.popleft(), arrival))
        elif queue is None:
            unmatched.append(arrival)
        else:
            duplicates += 1
    missing = sorted((d for queue in waiting.values() for d in queue), key=lambda datagram: datagram.time_s)
    return Matching(tuple(pairs), tuple(missing), duplicates, tuple(unmatched))
