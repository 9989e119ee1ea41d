"""Echoes for whoever examines the way of the media (``flume doctor``): what may be answered, and how often. Pure.

A request is the session's token, a question mark and padding; the answer is the same bytes. So datagrams of any size
can be sent along the very way that the media take, without media.
"""

from flume.settings import ECHO_BURST, ECHO_MARK, ECHOES_PER_S

MAX_ECHO_BYTES = 2048
"""A longer request is not answered: it was cut short in reading, and the answer would be other bytes."""

READ_BYTES = MAX_ECHO_BYTES + 1
"""To be read of a datagram that may be a request: one more shows that it was longer."""


def is_echo_request(data: bytes, *, token_bytes: int) -> bool:
    """Whether *data* has the form of a request: something as long as a token, then the mark."""
    return data[token_bytes : token_bytes + 1] == ECHO_MARK and len(data) <= MAX_ECHO_BYTES


class EchoAllowance:
    """A bucket that fills at :data:`ECHOES_PER_S` up to :data:`ECHO_BURST`; one a session."""

    __slots__ = ("_left", "_since_s")

    def __init__(self) -> None:
        """Begin full."""
        self._left = float(ECHO_BURST)
        self._since_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether one more echo may be sent at *now_s*, monotonic seconds; it is taken if so."""
        if self._since_s is not None:
            self._left = min(float(ECHO_BURST), self._left + (now_s - self._since_s) * ECHOES_PER_S)
        self._since_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
