"""The two sides of a relay, which is a client of one server and a server itself: one capture has both. Pure.

A fact belongs to the relay as a client where the relay's own address is the client's end: it commands, its host is sent
the datagrams, it refuses. All else that passed its interface, the relay did as a server. Ports tell nothing: both
servers may have the same one.
"""

from flume.lab.evidence.facts import TapFacts


def as_server(facts: TapFacts, address: str) -> TapFacts:
    """Return of *facts*, the capture at a relay's own interface, what the relay with this *address* did as a server.

    What it did as a client needs no such choice: the judge takes that by the client's address.

    >>> from flume.lab.evidence.facts import MediaDatagram, Tap
    >>> origin, relay, client = ("198.18.0.2", 5004), ("198.18.0.3", 5004), ("198.18.0.11", 50000)
    >>> received = MediaDatagram(1.0, origin, ("198.18.0.3", 50000), b"1", 7, 1, 1328, 0)
    >>> sent = MediaDatagram(1.1, relay, client, b"2", 9, 2, 1328, 0)
    >>> tap = Tap("relay-h2", "eth0", "relay-h2.pcap", 2, 0, 262144, 1.0, 1.1, None)
    >>> as_server(TapFacts(tap, (received, sent)), "198.18.0.3").media == (sent,)
    True
    """
    return facts._replace(
        media=tuple(one for one in facts.media if one.destination[0] != address),
        starts=tuple(one for one in facts.starts if one.client[0] != address),
        messages=tuple(one for one in facts.messages if one.client[0] != address),
        ends=tuple(one for one in facts.ends if one.client[0] != address),
        consents=tuple(one for one in facts.consents if one.client[0] != address),
        refusals=tuple(one for one in facts.refusals if one.media[0] != address),
        others=tuple(one for one in facts.others if one.destination != address),
        incomplete=tuple(one for one in facts.incomplete if one.destination[0] != address),
        headless=tuple(one for one in facts.headless if one.destination != address),
    )
