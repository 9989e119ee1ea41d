"""A control connection over TLS: what :class:`.control_link.ControlLink` and the doctor use in the place of a socket.

One thread reads and others write. OpenSSL permits one call at a time, so a lock is held around each call of it, and
never while bytes are waited for.
"""

import contextlib
import socket
import ssl
import threading
import time

from flume.control.endpoint import without_brackets
from flume.errors import NetworkError, SettingsError
from flume.tls import TlsPipe, explain

READ_BYTES = 65_536


def client_context(ca: str | None) -> ssl.SSLContext:
    """Return what verifies a server by the system's issuers, or by those in the PEM file *ca* alone.

    Raises :class:`SettingsError` for a file that cannot be read or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise SettingsError("ca", ca, "a PEM file with at least one certificate") from error
    except OSError as error:
        raise SettingsError("ca", ca, f"a file that can be read ({error.strerror})") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class SecureSocket:
    """A TCP connection that speaks TLS. Make it with :meth:`open`."""

    def __init__(self, connection: socket.socket, pipe: TlsPipe) -> None:
        """Own *connection*, on which the handshake of *pipe* is done."""
        self._connection, self._pipe = connection, pipe
        self._lock = threading.Lock()
        self.settimeout, self.shutdown, self.close = connection.settimeout, connection.shutdown, connection.close
        self.getpeername, self.getsockname = connection.getpeername, connection.getsockname
        self.fileno, self.setsockopt = connection.fileno, connection.setsockopt

    @classmethod
    def open(cls, connection: socket.socket, host: str, *, ca: str | None, timeout_s: float) -> "SecureSocket":
        """Shake hands on *connection* with the server of the name *host*.

        The timeout of *connection* is another one afterwards. Raises :class:`NetworkError` with one line that says why
        not, and leaves closing *connection* to the caller.
        """
        until_s = time.monotonic() + timeout_s
        try:
            context = client_context(ca)
        except SettingsError as error:
            raise NetworkError(f"no TLS with {host}: {error}") from error
        name = without_brackets(host).partition("%")[0]
        try:
            pipe = TlsPipe(context, server_name=name)
            while not pipe.handshake():
                _exchange(connection, pipe, until_s)
            connection.sendall(pipe.take())
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; ValueError: no name to verify
            with contextlib.suppress(OSError):
                connection.sendall(pipe.take())  # the alert that says why
            raise NetworkError(f"no TLS with {host}: {explain(error)}") from error
        return cls(connection, pipe)

    @property
    def family(self) -> socket.AddressFamily:
        """The address family in use."""
        return self._connection.family

    def sendall(self, data: bytes) -> None:
        """Send *data*; raises :class:`OSError`."""
        with self._lock:
            self._pipe.write(data)
            self._connection.sendall(self._pipe.take())

    def send(self, data: bytes) -> int:
        """Send *data*, all of it; raises :class:`OSError`."""
        self.sendall(data)
        return len(data)

    def recv(self, _most: int = READ_BYTES) -> bytes:
        """Return all that has come, ``b""`` at the end; raises :class:`OSError` as the connection does."""
        while True:
            received = self._connection.recv(READ_BYTES)
            with self._lock:
                self._pipe.put(received)
                data = self._pipe.read()
                if answer := self._pipe.take():
                    self._connection.sendall(answer)
            if data or not received or self._pipe.has_ended:
                return data


def _exchange(connection: socket.socket, pipe: TlsPipe, until_s: float) -> None:
    """Send what the handshake has to send, and take what comes; raises :class:`OSError`."""
    if data := pipe.take():
        connection.sendall(data)
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    connection.settimeout(left_s)
    received = connection.recv(READ_BYTES)
    if not received:
        raise ConnectionAbortedError
    pipe.put(received)
