"""A control connection over TLS, for asyncio: the transport of a front, and the protocol of the TCP connection below.

asyncio has a transport for TLS as well. It reports none of the bytes that wait below it, so media over TCP would not
know when the kernel has taken them. It decrypts up to 256 KiB in one go, and ends a connection as soon as the client's
side ends. Here the front decides how much is read, as it does without TLS.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any

from flume.server.fronts.paced_input import READ_BYTES
from flume.tls import INTERNAL_ERROR, TlsPipe, alert

_log = logging.getLogger(__name__)

_received = memoryview(bytearray(READ_BYTES))
"""Where the event loop reads encrypted bytes to. One for all: it is copied from before anything else runs."""


class TlsTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """First a handshake; then the front's protocol reads and writes plain bytes."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        timeout_s: float,
        on_ready: Callable[["TlsTransport"], asyncio.BufferedProtocol],
        on_failed: Callable[["TlsTransport", str], None],
    ) -> None:
        """Shake hands by *context* within *timeout_s*; then *on_ready* returns the front's protocol.

        *on_failed* is called instead, once, with the reason: ``tls_handshake``, ``tls_timeout`` or ``gone``.
        """
        super().__init__()
        self._pipe = TlsPipe(context)
        self._on_ready, self._on_failed = on_ready, on_failed
        self._raw: asyncio.Transport | None = None
        self._front: asyncio.BufferedProtocol | None = None
        self._is_paused = self._has_failed = False
        self._peer_has_ended = self._front_knows_it = False
        self._deadline = asyncio.get_running_loop().call_later(timeout_s, self._fail, "tls_timeout")

    # -- the connection below ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client's first record."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self._raw = transport
        if self._has_failed:
            transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the size is ours to choose
        """Return where the next encrypted bytes go."""
        return _received

    def buffer_updated(self, nbytes: int) -> None:
        """Take *nbytes* that came."""
        if self._has_failed:
            return
        self._pipe.put(_received[:nbytes])
        self._read()

    def eof_received(self) -> bool:
        """Let the front answer what came before the client closed its side."""
        self._peer_has_ended = True
        self._read()
        return self._front is not None

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._deadline.cancel()
        if self._front is not None:
            self._front.connection_lost(exc)
        else:
            self._fail("gone")

    def pause_writing(self) -> None:
        """Pass it on."""
        if self._front is not None:
            self._front.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on: the kernel has taken all that was encrypted."""
        if self._front is not None:
            self._front.resume_writing()

    def _read(self) -> None:
        """Go on with the handshake, or give the front plain bytes for as long as it reads."""
        try:
            if self._front is None and not self._shake_hands():
                return
            self._give()
        except ssl.SSLError as error:
            _log.debug("TLS: %s", error)
            self._flush()  # the alert that says why
            if self._front is None:
                self._fail("tls_handshake")
            else:
                self.abort()

    def _shake_hands(self) -> bool:
        is_done = self._pipe.handshake()
        self._flush()
        if is_done:
            self._deadline.cancel()
            self._front = self._on_ready(self)
            self._front.connection_made(self)
        return is_done

    def _give(self) -> None:
        front = self._front
        while front is not None and not self._is_paused and not self.is_closing():
            count = self._pipe.read_into(memoryview(front.get_buffer(-1)))
            if not count:
                break
            front.buffer_updated(count)
        self._flush()
        has_ended = self._pipe.has_ended or self._peer_has_ended
        if front is not None and has_ended and not self._is_paused and not self._front_knows_it:
            self._front_knows_it = True
            front.eof_received()

    def _flush(self) -> None:
        if self._raw is not None and not self._raw.is_closing() and (data := self._pipe.take()):
            self._raw.write(data)

    # -- the end of a handshake ----------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        if self._has_failed or self._front is not None:
            return
        self._has_failed = True
        self._deadline.cancel()
        self._on_failed(self, reason)
        if self._raw is not None:
            self._raw.close()

    def refuse(self, description: int = INTERNAL_ERROR) -> None:
        """End the handshake with an alert: the connection has to give way."""
        if self._front is None and not self._has_failed:
            if self._raw is not None:
                self._raw.write(alert(description))
            self._fail("gone")

    # -- what the front uses -------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Encrypt *data*, and write it behind all that was written before."""
        if self.is_closing():
            return
        try:
            self._pipe.write(data)
        except ssl.SSLError as error:
            _log.debug("TLS: %s", error)
            self.abort()
            return
        self._flush()

    def pause_reading(self) -> None:
        """Decrypt nothing, and read nothing from the client."""
        self._is_paused = True
        if self._raw is not None:
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on with what has been read already, then with more."""
        self._is_paused = False
        if self._raw is not None:
            self._raw.resume_reading()
        asyncio.get_running_loop().call_soon(self._read)

    def close(self) -> None:
        """Close once the bytes that were written have gone."""
        if not self.is_closing():
            self._pipe.end()
            self._flush()
        if self._raw is not None:
            self._raw.close()

    def abort(self) -> None:
        """Close now."""
        if self._raw is not None:
            self._raw.abort()

    def is_closing(self) -> bool:
        """Whether nothing more is read or written."""
        return self._raw is None or self._raw.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection below."""
        return default if self._raw is None else self._raw.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Return how many encrypted bytes the kernel has not taken yet."""
        return 0 if self._raw is None else self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set them of the connection below."""
        if self._raw is not None:
            self._raw.set_write_buffer_limits(high, low)
