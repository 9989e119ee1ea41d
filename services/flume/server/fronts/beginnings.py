"""The first bytes of a connection: which dialect it speaks, whether it is encrypted, and what to say if it is not."""

import contextlib
import socket

from flume.control.codec import encode
from flume.control.messages import Event, Refused, Reply
from flume.control.rtsp.messages import MessageBuffer, Packet, Status, encode_response
from flume.server.sessions.replies import goodbye
from flume.tls import ACCESS_DENIED, HANDSHAKE_BYTE, INTERNAL_ERROR, alert

REQUEST_BYTES = 1024
"""How much is read of the first request of a player that is turned away. The longest seen has 180 bytes."""


def is_rtsp(first: bytes) -> bool:
    """Whether a connection that begins with *first* speaks RTSP: its methods are in capitals, and JSON has none."""
    return first[:1].isalpha() and first[:1].isupper()


def first_byte(accepted: socket.socket) -> bytes:
    """Return the first byte that has come, which stays where it is; empty if there is none yet.

    Raises :class:`OSError` where the client has closed or reset the connection before it said anything.
    """
    first = b""
    with contextlib.suppress(BlockingIOError):
        first = accepted.recv(1, socket.MSG_PEEK)
        if not first:
            raise ConnectionAbortedError
    return first


def wrong_beginning(first: bytes, *, has_tls: bool) -> Refused | None:
    """Return what to say to a client that speaks TLS to a server without, or none to a server with it.

    Without any byte in *first* the beginning is not wrong.
    """
    if has_tls and first not in {b"", HANDSHAKE_BYTE}:
        return goodbye("tls_required", "this server speaks TLS and nothing else: connect with --tls")
    if not has_tls and first == HANDSHAKE_BYTE:
        return goodbye("no_tls", "this server speaks no TLS: connect without --tls")
    return None


def farewell(accepted: socket.socket, message: Reply | Event, *, has_tls: bool) -> bytes:
    """Return the last bytes for *accepted*, which has no session: *message* in the client's dialect.

    Before a handshake it is an alert: a client that waits for a handshake understands nothing else.
    """
    begun = b""
    with contextlib.suppress(OSError):
        begun = accepted.recv(REQUEST_BYTES, socket.MSG_PEEK)
    if is_rtsp(begun):
        reason = getattr(message, "message", "")
        return encode_response(Status.UNAVAILABLE, _cseq(begun), {"Server": "flumelab", "X-Reason": reason})
    if not has_tls:
        return encode(message)
    return alert(ACCESS_DENIED if getattr(message, "code", "") == "address_denied" else INTERNAL_ERROR)


def _cseq(begun: bytes) -> int | None:
    """Return the number of the first request in *begun*, ``None`` if it is not whole."""
    requests = MessageBuffer()
    requests.append_untrusted(begun)
    item = requests.take_untrusted()
    return None if item is None or isinstance(item, Packet) else item.cseq
