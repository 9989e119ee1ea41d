"""The datagrams of ``path-probe``, and what has come of them. Pure: bytes in, values out."""

import struct
from typing import NamedTuple

ASK, ANSWER, FULL, FULL_BACK, BATCH, BATCH_BACK = range(6)
"""Kinds: a question and its answer; a datagram as large as can be, there and back; those of a batch, there and back."""

BATCH_DATAGRAMS = 8
BATCH_BYTES = 1328
"""Of one datagram of a batch: the stream's, in batches as the server sends them."""

TOKEN_BYTES = 16

_HEADER = struct.Struct(f">4s{TOKEN_BYTES}sBHH")
"""A mark, the token of this examination, the kind, the number of the attempt, the number in its batch."""
_MARK = b"flpp"
_ANSWER = struct.Struct(">BBII")
_PATTERN = bytes(range(251)) * 300
"""251 is a prime: a datagram that is put together of the wrong parts does not fit it. Longer than any datagram."""


class Datagram(NamedTuple):
    """One datagram that came."""

    kind: int
    attempt: int
    number: int
    """In its batch."""
    is_intact: bool
    """Whether every byte is the one that was sent."""


class Answer(NamedTuple):
    """What the other end says has come there."""

    full: bool
    """The full-size datagram of this attempt."""
    batch: bool
    """Every datagram of this attempt's batch."""
    damaged: int
    """Datagrams of ours with wrong bytes."""
    checksum_errors: int
    """Datagrams that its kernel dropped for their checksum."""


class Arrivals:
    """What has come from one peer, by attempt."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.full: set[int] = set()
        self.damaged = 0
        self._batches: dict[int, set[int]] = {}

    def take(self, one: Datagram) -> bool:
        """Count one datagram; return whether it was the last one that was missing of its batch."""
        if not one.is_intact:
            self.damaged += 1
        elif one.kind in (FULL, FULL_BACK):
            self.full.add(one.attempt)
        elif one.kind in (BATCH, BATCH_BACK):
            seen = self._batches.setdefault(one.attempt, set())
            was_whole = len(seen) == BATCH_DATAGRAMS
            seen.add(one.number)
            return not was_whole and len(seen) == BATCH_DATAGRAMS
        return False

    def has_batch(self, attempt: int) -> bool:
        """Return whether every datagram of the batch of *attempt* has come."""
        return len(self._batches.get(attempt, ())) == BATCH_DATAGRAMS


def packed(token: bytes, kind: int, attempt: int, number: int, size: int) -> bytes:
    """Return a datagram with *size* bytes of payload, each of which the receiver can check.

    >>> opened_untrusted(packed(bytes(16), FULL, 3, 0, 100), bytes(16))
    Datagram(kind=2, attempt=3, number=0, is_intact=True)
    """
    return _HEADER.pack(_MARK, token, kind, attempt, number) + _filling(attempt, number, size - _HEADER.size)


def batch(token: bytes, kind: int, attempt: int) -> bytes:
    """Return the datagrams of a batch, one after another, as the kernel is given them to cut."""
    return b"".join(packed(token, kind, attempt, number, BATCH_BYTES) for number in range(BATCH_DATAGRAMS))


def _filling(attempt: int, number: int, count: int) -> bytes:
    start = (attempt * 31 + number * 7) % 251
    return _PATTERN[start : start + max(0, count)]


def opened_untrusted(data: bytes, token: bytes) -> Datagram | None:
    """Return the datagram in *data*; None: it is none of this examination."""
    if len(data) < _HEADER.size:
        return None
    mark, theirs, kind, attempt, number = _HEADER.unpack_from(data)
    if mark != _MARK or theirs != token or kind > BATCH_BACK or number >= BATCH_DATAGRAMS:
        return None
    checked = kind not in (ASK, ANSWER)
    is_intact = not checked or data[_HEADER.size :] == _filling(attempt, number, len(data) - _HEADER.size)
    return Datagram(kind, attempt, number, is_intact)


def answer(token: bytes, attempt: int, seen: Arrivals, checksum_errors: int) -> bytes:
    """Return the answer to the question of *attempt*."""
    errors = min(checksum_errors, 0xFFFFFFFF)
    body = _ANSWER.pack(attempt in seen.full, seen.has_batch(attempt), seen.damaged, errors)
    return _HEADER.pack(_MARK, token, ANSWER, attempt, 0) + body


def answered_untrusted(data: bytes) -> Answer | None:
    """Return what an answer says; None where it is cut off.

    >>> answered_untrusted(answer(bytes(16), 1, Arrivals(), 7))
    Answer(full=False, batch=False, damaged=0, checksum_errors=7)
    """
    if len(data) < _HEADER.size + _ANSWER.size:
        return None
    full, whole, damaged, errors = _ANSWER.unpack_from(data, _HEADER.size)
    return Answer(bool(full), bool(whole), damaged, errors)


def checksum_errors_in(snmp: str) -> int:
    """Return how many UDP datagrams the kernel dropped for their checksum, by the text of ``/proc/net/snmp``.

    >>> checksum_errors_in("Udp: InDatagrams InCsumErrors\\nUdp: 7 2\\n")
    2
    """
    rows = [line.split() for line in snmp.splitlines() if line.startswith("Udp:")]
    return int(dict(zip(*rows[:2], strict=True)).get("InCsumErrors", 0)) if len(rows) > 1 else 0
