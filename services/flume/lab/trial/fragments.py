"""Turns the link's count of lost packets into datagrams, some of which travelled in IP fragments. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from flume.lab.evidence.facts import FragmentSeen
from flume.lab.trial.matching import Matching


def lost_datagrams(packets: int, left: Sequence[FragmentSeen], came: Iterable[FragmentSeen], matching: Matching) -> int:
    """Return how many datagrams a link lost that lost *packets*; a datagram in two fragments may be two of them.

    *left* and *came* are the fragments towards the client at the server's tap and at its own. The fragments that are
    missing between them are no longer counted; instead, each datagram in fragments that did not become whole at the
    client is. Among these is one whose fragments all came, and too far apart for the client's host.

    >>> from flume.lab.evidence.facts import MediaDatagram
    >>> ends = ("198.18.0.2", 5004), ("198.18.0.11", 50000)
    >>> datagram = MediaDatagram(1.0, *ends, b"whole", 1, 7, 1328, 0, is_fragmented=True)
    >>> left = [FragmentSeen(1.0, ends[0][0], ends[1][0], part) for part in (b"first", b"last")]
    >>> lost_datagrams(2, left, [], Matching((), (datagram,), 0, ()))
    1
    """
    senders = {fragment.source for fragment in left}
    sent = Counter(fragment.identity for fragment in left)
    arrived = Counter(fragment.identity for fragment in came if fragment.source in senders)
    # A damaged fragment is at the client's tap, but unlike any that left.
    damaged = sum(count for identity, count in arrived.items() if identity not in sent)
    lost_fragments = sum((sent - arrived).values()) - damaged
    torn = sum(datagram.is_fragmented and datagram.is_whole for datagram in matching.missing)
    torn -= sum(datagram.is_fragmented for datagram in matching.unmatched)
    return packets - lost_fragments + torn
