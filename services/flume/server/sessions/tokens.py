"""Tokens: which hosts may be sent to. Issue, forget, find, and which echo requests are granted. Pure.

A token is 32 hexadecimal characters, 96 random bits of its own among them. The server gives it to a client on the
control connection, and the client sends it back from its media socket: so it is at that address and wants
the stream.
"""

import secrets
from collections import Counter
from typing import Protocol

from flume.control.endpoint import Address
from flume.server.limits.buckets import AddressBuckets
from flume.server.sessions.echo import ECHO_RATE

TOKEN_BYTES, PREFIX_BYTES = 16, 8
TOKEN_CHARACTERS = 2 * TOKEN_BYTES
"""Length of a token on the wire."""


class PortProof(Protocol):
    """What a session knows of the ports that its token comes from."""

    @property
    def icmp_error(self) -> str | None:
        """The error that an ICMP message about the latest question was, as ``send_ehostunreach``; ``None`` without."""

    def has_proved(self, source: Address) -> bool:
        """Whether the port *source* has shown that it wants the stream."""

    def await_proof(self, source: Address) -> bool:
        """The port *source* is asked for its proof; return whether to tell the client that none is answered."""

    def note_proof(self, source: Address) -> None:
        """The port *source* has answered what it was asked."""


class TokenHolder(Protocol):
    """The session that a token was issued to."""

    peer: Address
    """The client's end of the control connection."""
    local_host: str | None
    """The address of this host that the control connection was made to."""
    leaving: bool

    @property
    def port_check(self) -> PortProof:
        """Knows which port has proved that it wants the stream."""

    def consent(self, source: Address) -> None:
        """The token came from *source*, a port of the client's host that has shown that it wants the stream."""

    def notice(self, code: str, message: str) -> None:
        """Tell the client something that changes no state."""


class Tokens:
    """The tokens of all sessions.

    >>> tokens = Tokens()
    >>> token = tokens.issue(session)  # doctest: +SKIP
    >>> tokens.find_untrusted(token.encode()) is session  # doctest: +SKIP
    True
    """

    def __init__(self) -> None:
        """Begin without tokens."""
        self._holders: dict[str, TokenHolder] = {}
        self._echoes = AddressBuckets(ECHO_RATE)
        self.prefix = secrets.token_hex(PREFIX_BYTES // 2)
        """How all tokens of this server begin: the kernel drops datagrams that do not (:mod:`.socket_filter`)."""
        self.counts: Counter[str] = Counter()
        """Datagrams that reached the media port and had no effect, by reason."""

    def issue(self, holder: TokenHolder) -> str:
        """Return a fresh token that identifies *holder*."""
        token = self.prefix + secrets.token_hex(TOKEN_BYTES - PREFIX_BYTES // 2)
        self._holders[token] = holder
        return token

    def forget(self, token: str) -> None:
        """Make *token* invalid; nothing happens if it is already."""
        self._holders.pop(token, None)

    def find_untrusted(self, data: bytes) -> TokenHolder | None:
        """Return the session whose token *data* is, ``None`` if it is no valid token. Raises nothing."""
        return self._holders.get(data.decode("ascii", "replace")) if len(data) == TOKEN_CHARACTERS else None

    def grant_echo_untrusted(self, data: bytes, source: Address, now_s: float) -> TokenHolder | None:
        """Return the session that the echo request *data* from *source* belongs to, and take one echo of its host's.

        ``None``, and counted, without a session of that host, or when the host's is used up at *now_s* (monotonic).
        Raises nothing.
        """
        holder = self.find_untrusted(data[:TOKEN_CHARACTERS])
        if holder is None or holder.peer[0] != source[0] or holder.leaving:
            self.counts["echo_without_session"] += 1
            return None
        if not self._echoes.of(source[0], now_s).take(now_s):
            self.counts["echo_over_rate"] += 1
            return None
        return holder
