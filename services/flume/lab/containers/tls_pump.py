"""Leads an attachment over TLS to a plain socket.

OpenSSL lets one thread at a time use a connection, and TLS cannot end one direction. An attachment is read by one
thread and written by others, and its input is ended alone. So one thread here owns the encrypted side, and passes bytes
on.
"""

import contextlib
import io
import selectors
import socket
import ssl
import threading
from typing import BinaryIO, cast

_BYTES = 1 << 16


def plain_end(tls: ssl.SSLSocket, reader: BinaryIO) -> tuple[socket.socket, BinaryIO]:
    """Return a socket and its reader that stand for *tls* and *reader*; both are taken over.

    When the input of the socket is ended, what was written is passed on and the connection is closed.
    """
    near, far = socket.socketpair()
    tls.settimeout(0)
    # What came together with the header of the answer. On a socket that does not block this reads no more.
    with contextlib.suppress(ssl.SSLWantReadError):
        if early := cast("io.BufferedReader", reader).peek():
            far.sendall(early)
    threading.Thread(target=_pump, args=(tls, reader, far), name="tls-pump", daemon=True).start()
    return near, near.makefile("rb")


def _pump(tls: ssl.SSLSocket, reader: BinaryIO, far: socket.socket) -> None:
    with tls, reader, far, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
        for one in (tls, far):
            selector.register(one, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if tls in ready and not _pass_on(tls, far):
                return
            if far in ready:
                data = far.recv(_BYTES)
                if not data:
                    return
                tls.settimeout(None)
                tls.sendall(data)
                tls.settimeout(0)


def _pass_on(tls: ssl.SSLSocket, far: socket.socket) -> bool:
    """Pass on what can be read without waiting; return whether more may come."""
    while True:
        try:
            data = tls.recv(_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        if not data:
            return False
        far.sendall(data)
