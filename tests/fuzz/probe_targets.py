"""What a program of the probe reads from the network of a host."""

from flume.lab.hosts.host_facts import underlay_untrusted
from fuzz.reading import Reading
from probe import path_packets
from probe.exchanges import LAYOUT, answer, answered_untrusted, number_asked_untrusted, question
from probe.path_packets import BATCH_DATAGRAMS, TOKEN_BYTES, Arrivals, opened_untrusted

COOKIE = b"0123456789abcdef"


def clock_datagram(data: bytes) -> None:
    """Datagrams at either end of ``clock-probe``: as they are, and with bytes of a true one replaced."""
    reading = Reading(data)
    choice, at = reading.byte(), reading.byte() % LAYOUT.size
    rest = reading.rest()
    true = answer(COOKIE, 7, 1, 2) if choice & 1 else question(COOKIE, 7)
    datagram = rest if choice & 2 else true[:at] + rest + true[at + len(rest) :]
    number, found = number_asked_untrusted(datagram, COOKIE), answered_untrusted(datagram, COOKIE)
    assert number is None or datagram == question(COOKIE, number)
    assert found is None or datagram == answer(COOKIE, *found)
    assert number is None or found is None


def path_datagram(data: bytes) -> None:
    """A datagram that came to ``path-probe``: a part of its examination or nothing, and what an answer says."""
    found = opened_untrusted(data, bytes(TOKEN_BYTES))
    arrivals = Arrivals()
    if found is not None:
        assert 0 <= found.number < BATCH_DATAGRAMS
        arrivals.take(found)
    path_packets.answered_untrusted(data)
    assert not arrivals.has_batch(found.attempt if found else 0)


def underlay(data: bytes) -> None:
    """What the programs of a host print of its interfaces and routes: the smallest MTU, or nothing."""
    found = underlay_untrusted(data.decode(errors="surrogateescape"))
    assert found is None or found.mtu > 0
