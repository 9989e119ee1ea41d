"""Echoes for ``flume doctor``, which examines the path of the media: what is answered, and how often. Pure.

A request is the session's token, a question mark and padding; the answer is the same bytes. So the doctor can send
datagrams of any size along the path of the media, without media.
"""

from flume.server.limits.buckets import Rate
from flume.settings import ECHO_BURST, ECHO_MARK, ECHOES_PER_S

MAX_ECHO_BYTES = 2048
"""A longer request is not answered: it was cut short in reading, and the answer would be other bytes."""

ECHO_RATE = Rate(ECHOES_PER_S, ECHO_BURST)
"""Of one address, whatever the number of its sessions."""

READ_BYTES = MAX_ECHO_BYTES + 1
"""Bytes to read of a datagram that may be a request: the one byte more shows that it was longer."""


def is_echo_request(data: bytes, *, token_bytes: int) -> bool:
    """Whether *data* has the form of a request: as many bytes as a token has, then the mark.

    >>> is_echo_request(b"0123" + b"?" + bytes(100), token_bytes=4)
    True
    """
    return data[token_bytes : token_bytes + 1] == ECHO_MARK and len(data) <= MAX_ECHO_BYTES
