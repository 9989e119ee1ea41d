"""TLS without a socket: bytes of the network in, plain bytes out, and the reverse. Used by server, client and doctor.

A program owns its socket and moves bytes between it and a :class:`TlsPipe`. So the server's event loop reads as much as
it wants to, and one thread of the client may read while another one writes::

    pipe.put(received)
    if pipe.handshake():
        data = pipe.read()
    connection.send(pipe.take())
"""

import contextlib
import ssl
from typing import cast

RECORD_BYTES = 16 << 10
"""Longest plain text of a record (RFC 8446, section 5.1)."""

HANDSHAKE_BYTE = b"\x16"
"""First byte of a client's first record (RFC 8446, section 5.1). No line of flume control begins with it."""

ACCESS_DENIED, INTERNAL_ERROR = 49, 80
"""Descriptions of alerts (RFC 8446, section 6)."""


def alert(description: int) -> bytes:
    """Return the record of a fatal alert, for a client whose handshake is refused.

    >>> alert(ACCESS_DENIED)
    b'\\x15\\x03\\x03\\x00\\x02\\x021'
    """
    return b"\x15\x03\x03\x00\x02\x02" + bytes([description])


class TlsPipe:
    """One end of one connection. Not safe for several threads at once."""

    def __init__(self, context: ssl.SSLContext, *, server_name: str | None = None) -> None:
        """Be the client's end if there is a *server_name* to verify, else the server's.

        Raises :class:`ValueError` for a name that cannot be one.
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        is_server = server_name is None
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=is_server, server_hostname=server_name)
        self.is_ready = False
        """Whether the handshake is done."""
        self.has_ended = False
        """Whether the peer has said that it sends no more."""

    def put(self, data: bytes | memoryview) -> None:
        """Take *data*, which came from the network."""
        self._incoming.write(data)

    def take(self) -> bytes:
        """Return what has to be sent over the network now."""
        return self._outgoing.read()

    def handshake(self) -> bool:
        """Go on with the handshake; return whether it is done. Raises :class:`ssl.SSLError`."""
        if not self.is_ready:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            self.is_ready = True
        return True

    def read_into(self, space: memoryview) -> int:
        """Write plain bytes to *space*; return how many, 0 for none at present. Raises :class:`ssl.SSLError`."""
        try:
            count = cast("int", self._tls.read(len(space), space))
        except ssl.SSLWantReadError:
            return 0
        except ssl.SSLZeroReturnError:
            count = 0
        self.has_ended = not count
        return count

    def read(self) -> bytes:
        """Return all plain bytes that are there. Raises :class:`ssl.SSLError`."""
        parts = bytearray()
        space = memoryview(bytearray(RECORD_BYTES))
        while count := self.read_into(space):
            parts += space[:count]
        return bytes(parts)

    def write(self, data: bytes) -> None:
        """Encrypt *data* for :meth:`take`. Raises :class:`ssl.SSLError`."""
        if data:
            self._tls.write(data)

    def end(self) -> None:
        """Say, with :meth:`take`, that no more comes."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()


_ISSUER_UNKNOWN = frozenset({2, 18, 19, 20, 21})
_NOT_YET, _EXPIRED = 9, 10
_WRONG_NAME = frozenset({62, 63, 64})
"""openssl/x509_vfy.h: X509_V_ERR_…"""

_ALERTS = {
    "TLSV1_ALERT_ACCESS_DENIED": "it does not serve this address",
    "TLSV1_ALERT_INTERNAL_ERROR": "it has no room for another client now: try later",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no version of TLS that is spoken here (1.2 and 1.3)",
}
_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)


def explain(error: Exception) -> str:
    """Return one clause about a server with which a handshake failed, for people: why, and what to do.

    >>> explain(TimeoutError())
    'it did not answer the TLS handshake in time: does it speak TLS?'
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error)
    if isinstance(error, TimeoutError):
        return "it did not answer the TLS handshake in time: does it speak TLS?"
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return "it closed the connection during the TLS handshake: does it speak TLS?"
    reason = getattr(error, "reason", None) or ""
    if reason in _NO_TLS:
        return "it speaks no TLS: leave --tls away, or give the port that does"
    return _ALERTS.get(reason) or f"the TLS handshake failed ({reason or error})"


def _explain_certificate(error: ssl.SSLCertVerificationError) -> str:
    code, text = error.verify_code, error.verify_message
    if code == _EXPIRED:
        return "its certificate has expired: renew it on the server, or set this machine's clock"
    if code == _NOT_YET:
        return "its certificate is not valid yet: set this machine's clock, or the server's"
    if code in _ISSUER_UNKNOWN:
        return "its certificate comes from an issuer that is not known here: give the issuer's with --ca FILE"
    if code in _WRONG_NAME:
        return f"its certificate is for another name ({text.rstrip('.')}): give the server's name as HOST"
    return f"its certificate cannot be verified ({text})"
