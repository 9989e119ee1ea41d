"""Datagrams to a player on this host, a batch in one system call.

Sending a datagram over the loopback interface costs as much as everything else that the receiver does with it. With UDP
segmentation (Linux 4.18) the kernel takes a whole batch and cuts it at the receiving socket, which still reads single
datagrams.
"""

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from itertools import groupby

from flume.linux import UDP_SEGMENT

MAX_SEGMENTS = 64
"""The kernel's own limit before Linux 6.9; 128 since then."""

MAX_BATCH_BYTES = 65_507
"""What a UDP datagram over IPv4 may carry: a batch is one datagram until it is cut."""

_UNABLE = frozenset({errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP})
"""Errors of a kernel or an interface that cannot cut a batch."""

Payload = bytes | memoryview


class LoopbackSender:
    """A connected socket that never waits. Use it from one thread at a time."""

    def __init__(self, port: int) -> None:
        """Send to UDP *port* of 127.0.0.1; raises ``OSError``."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.connect(("127.0.0.1", port))
        # An older kernel would ignore the control message and send one long datagram, but it refuses the option.
        self.in_batches = False
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
            self.in_batches = True

    def send(self, payloads: Sequence[Payload]) -> int:
        """Send each of *payloads* as a datagram, in order; return how many were refused.

        The kernel refuses a datagram when no socket listens (ECONNREFUSED) or the queue is full (EAGAIN).
        """
        return sum(self._send_batch(batch) for batch in batches(payloads))

    def _send_batch(self, batch: Sequence[Payload]) -> int:
        if self.in_batches and len(batch) > 1:
            size = struct.pack("=H", len(batch[0]))
            try:
                self._socket.sendmsg(batch, [(socket.IPPROTO_UDP, UDP_SEGMENT, size)])
            except OSError as error:
                if error.errno not in _UNABLE:
                    return len(batch)
                self.in_batches = False
            else:
                return 0
        return sum(not self._send_one(payload) for payload in batch)

    def _send_one(self, payload: Payload) -> bool:
        try:
            self._socket.send(payload)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def batches(payloads: Sequence[Payload]) -> Iterator[Sequence[Payload]]:
    """Divide *payloads* into batches that the kernel takes at once: of one length each, within both limits.

    >>> [len(batch) for batch in batches([bytes(1316)] * 60 + [bytes(188)])]
    [49, 11, 1]
    """
    for length, run in groupby(payloads, len):
        same = list(run)
        step = max(1, min(MAX_SEGMENTS, MAX_BATCH_BYTES // max(1, length)))
        yield from (same[start : start + step] for start in range(0, len(same), step))
