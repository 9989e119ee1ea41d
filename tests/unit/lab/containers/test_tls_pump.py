"""An attachment over TLS: written and read by several threads, with its input ended alone."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import BinaryIO

import pytest
import trustme

from flume.lab.containers.tls_pump import plain_end

LINES = 300
EARLY = b"HTTP/1.1 101 UPGRADED\r\n\r\nearly\n"


class Peer:
    """The engine's end: it answers each line with "got LINE", and keeps what came."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        self.came = b""
        self._listener = listener
        self._context = context
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        # OSError: the other end closed it while answers were on their way.
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(connection, server_side=True) as tls,
            tls.makefile("rb") as lines,
        ):
            tls.sendall(EARLY)
            for line in lines:
                self.came += line
                tls.sendall(b"got " + line)


@pytest.fixture
def ends() -> Iterator[tuple[Peer, socket.socket, BinaryIO]]:
    """The engine's end of a connection, and ours after the header of the answer was read, with what came beside it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = Peer(listener, server)
        raw = socket.create_connection(listener.getsockname())
        tls = client.wrap_socket(raw, server_hostname="127.0.0.1")
        tls.settimeout(30)
        answer = tls.makefile("rb")
        assert answer.readline() == b"HTTP/1.1 101 UPGRADED\r\n"
        assert answer.readline() == b"\r\n"
        near, reader = plain_end(tls, answer)
        with near, reader:
            near.settimeout(30)
            yield peer, near, reader
        peer.thread.join(30)
        assert not peer.thread.is_alive()


def test_lines_pass_in_both_directions_at_once(ends):
    _, near, reader = ends
    assert reader.readline() == b"early\n", "it came together with the header"

    def write() -> None:
        for number in range(LINES):
            near.sendall(b"a%d\n" % number)

    writer = threading.Thread(target=write)
    writer.start()
    assert [reader.readline() for _ in range(LINES)] == [b"got a%d\n" % number for number in range(LINES)]
    writer.join()


def test_what_was_written_before_the_input_is_ended_arrives(ends):
    peer, near, _ = ends
    near.sendall(b"last\n")
    near.shutdown(socket.SHUT_WR)
    peer.thread.join(30)
    assert peer.came == b"last\n"
