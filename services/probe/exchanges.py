"""Questions and answers by which one host learns how far the clock of another is ahead. Pure: values in, values out.

As in NTP (RFC 5905, section 8) four times belong to an exchange: the question leaves at *asked*, reaches the other host
at *heard*, the answer leaves there at *answered*, and is back at *back*. The outer two are of the asking host's clock,
the inner two of the other's.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

COOKIE_BYTES = 16
LAYOUT = struct.Struct(f"!4s{COOKIE_BYTES}sBxxxIqq")
"""Mark, cookie, kind, number of the exchange, *heard* and *answered*. A question has zeros in the place of these two,
so an answer is exactly as long as its question, and nothing can be amplified."""
_MARK = b"FLCK"
_QUESTION, _ANSWER = 1, 2

MOST_A_SECOND = 10_000
"""Answers: those of 25 hosts that ask at the same time."""


class Exchange(NamedTuple):
    """The four times of an exchange, in nanoseconds since 1970."""

    asked: int
    heard: int
    answered: int
    back: int

    @property
    def round_trip(self) -> int:
        """The time on the way, there and back; below 0 when a clock was set meanwhile."""
        return (self.back - self.asked) - (self.answered - self.heard)

    @property
    def offset(self) -> int:
        """By how much the other clock is ahead, where both ways took equally long; within half the round trip."""
        return ((self.heard - self.asked) + (self.answered - self.back)) // 2


def question(cookie: bytes, number: int) -> bytes:
    """Return the datagram that asks for the time; *cookie* has 16 bytes, *number* 32 bits.

    >>> len(question(bytes(16), 7)), number_asked_untrusted(question(bytes(16), 7), bytes(16))
    (44, 7)
    """
    return LAYOUT.pack(_MARK, cookie, _QUESTION, number, 0, 0)


def number_asked_untrusted(datagram: bytes, cookie: bytes) -> int | None:
    """Return the number of the question in *datagram*; None where it is none with this *cookie*. Raises nothing."""
    if len(datagram) != LAYOUT.size:
        return None
    number: int = LAYOUT.unpack(datagram)[3]
    return number if datagram == question(cookie, number) else None


def answer(cookie: bytes, number: int, heard: int, answered: int) -> bytes:
    """Return the datagram that answers question *number*, with both times in nanoseconds since 1970."""
    return LAYOUT.pack(_MARK, cookie, _ANSWER, number, heard, answered)


def answered_untrusted(datagram: bytes, cookie: bytes) -> tuple[int, int, int] | None:
    """Return number, *heard* and *answered* of an answer; None where it is none with this *cookie*. Raises nothing.

    >>> answered_untrusted(answer(bytes(16), 7, 1000, 1010), bytes(16))
    (7, 1000, 1010)
    """
    if len(datagram) != LAYOUT.size:
        return None
    _, _, _, number, heard, sent = LAYOUT.unpack(datagram)
    return (number, heard, sent) if datagram == answer(cookie, number, heard, sent) else None


def best(exchanges: Iterable[Exchange]) -> Exchange | None:
    """Return the exchange with the least round trip; None without one.

    The others waited somewhere, on one way more than on the other: a mean would carry that. One during which a clock
    was set backward has a round trip below 0 and does not count.

    >>> best([Exchange(0, 900, 910, 20), Exchange(100, 960, 970, 130)])
    Exchange(asked=0, heard=900, answered=910, back=20)
    """
    return min((one for one in exchanges if one.round_trip >= 0), key=lambda one: one.round_trip, default=None)


def summary(best_one: Exchange | None, answers: int) -> str:
    """Return one line of JSON: the best exchange, or null, and the number of answers. The image's Python has no json.

    >>> summary(Exchange(0, 900, 910, 20), 3)
    '{"offset_ns": 895, "round_trip_ns": 10, "asked_ns": 0, "answers": 3}'
    """
    if best_one is None:
        values: tuple[object, ...] = ("null", "null", "null", answers)
    else:
        values = (best_one.offset, best_one.round_trip, best_one.asked, answers)
    names = ("offset_ns", "round_trip_ns", "asked_ns", "answers")
    return "{" + ", ".join(f'"{name}": {value}' for name, value in zip(names, values, strict=True)) + "}"


class AnswerLimit:
    """Allows :data:`MOST_A_SECOND` answers in each second."""

    def __init__(self) -> None:
        """Begin with none given."""
        self._second, self._given = -1, 0

    def allows(self, now_ns: int) -> bool:
        """Return whether one more may be sent at *now_ns*, by a clock that is never set; count it.

        >>> limit = AnswerLimit()
        >>> sum(limit.allows(5) for _ in range(20_000)), limit.allows(1_000_000_000)
        (10000, True)
        """
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second, self._given = second, 0
        self._given += 1
        return self._given <= MOST_A_SECOND
