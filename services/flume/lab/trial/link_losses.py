"""Turns the link's count of lost packets into datagrams of the stream. Pure.

The kernel counts every packet that a link drops. Some are fragments of a datagram. Others are no media at all, such as
segments of a control connection, which TCP sends again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from flume.lab.evidence.facts import Counters, OtherPacket
from flume.lab.trial.matching import Matching


def lost_datagrams(
    counters: Counters, left: Sequence[OtherPacket], came: Iterable[OtherPacket], matching: Matching
) -> int:
    """Return how many datagrams of the stream a link lost that dropped as many packets as *counters* say.

    *left* and *came* are the other packets towards the client, at the server's tap and at its own. Those of them that
    are missing are not counted. Instead, each datagram in fragments is that did not become whole at the client; among
    these is one whose fragments all came, and too far apart for the client's host.

    >>> from flume.lab.evidence.facts import MediaDatagram
    >>> ends = ("198.18.0.2", 5004), ("198.18.0.11", 50000)
    >>> datagram = MediaDatagram(1.0, *ends, b"whole", 1, 7, 1328, 0, is_fragmented=True)
    >>> left = [OtherPacket(1.0, ends[0][0], ends[1][0], fragment) for fragment in (b"first", b"last")]
    >>> lost_datagrams(Counters(lost_on_link=2), left, [], Matching((), (datagram,), 0, ()))
    1
    """
    until_s = counters.control_until_s
    senders, known = {packet.source for packet in left}, {packet.identity for packet in left}
    sent = Counter(one.identity for one in left if not one.is_tcp or (until_s is not None and one.time_s <= until_s))
    arrived = Counter(one.identity for one in came if one.source in senders and not (one.is_tcp and until_s is None))
    # A damaged packet is at the client's tap, but unlike any that left.
    damaged = sum(count for identity, count in arrived.items() if identity not in known)
    lost_others = sum((sent - arrived).values()) - damaged
    torn = sum(datagram.is_fragmented and datagram.is_whole for datagram in matching.missing)
    torn -= sum(datagram.is_fragmented for datagram in matching.unmatched)
    # Others may be missing for another cause: a capture that ended early, or a full queue of the engine's host.
    return max(0, counters.lost_on_link - lost_others + torn)
