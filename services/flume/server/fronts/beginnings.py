"""The first byte of a connection: whether it is encrypted, and what to say if it is not."""

import contextlib
import socket

from flume.control.codec import encode
from flume.control.messages import Event, Refused, Reply
from flume.server.sessions.replies import goodbye
from flume.tls import ACCESS_DENIED, HANDSHAKE_BYTE, INTERNAL_ERROR, alert


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


def farewell(message: Reply | Event, *, has_tls: bool) -> bytes:
    """Return the last bytes for a connection that has no session: *message*, or before a handshake an alert.

    A client that waits for a handshake understands nothing else.
    """
    if not has_tls:
        return encode(message)
    return alert(ACCESS_DENIED if getattr(message, "code", "") == "address_denied" else INTERNAL_ERROR)
