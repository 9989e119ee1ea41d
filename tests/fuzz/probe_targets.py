"""What a program of the probe reads from the network of a host."""

from fuzz.reading import Reading
from probe.exchanges import LAYOUT, answer, answered_untrusted, number_asked_untrusted, question

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
