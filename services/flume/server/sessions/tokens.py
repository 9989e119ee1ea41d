"""Tokens: which hosts may be sent to. Issue, forget, find, and which echo requests are granted. Pure.

A token is 128 random bits as hexadecimal text. The server gives it to a client on the control connection, and the
client sends it back from its media socket: that shows that the client receives at that address and wants the stream.
"""

import secrets
from collections import Counter
from typing import Protocol

from flume.control.endpoint import Address
from flume.server.sessions.echo import EchoAllowance

TOKEN_BYTES = 16
TOKEN_CHARACTERS = 2 * TOKEN_BYTES
"""Length of a token on the wire."""


class TokenHolder(Protocol):
    """The session that a token was issued to."""

    peer: Address
    """The client's end of the control connection."""
    local_host: str | None
    """The address of this host that the control connection was made to."""
    leaving: bool
    echoes: EchoAllowance

    def consent(self, source: Address) -> None:
        """The token came from *source*, a port of the client's host."""

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
        self.counts: Counter[str] = Counter()
        """Datagrams that reached the media port and had no effect, by reason."""

    def issue(self, holder: TokenHolder) -> str:
        """Return a fresh token that identifies *holder*."""
        token = secrets.token_hex(TOKEN_BYTES)
        self._holders[token] = holder
        return token

    def forget(self, token: str) -> None:
        """Make *token* invalid; nothing happens if it is already."""
        self._holders.pop(token, None)

    def find_untrusted(self, data: bytes) -> TokenHolder | None:
        """Return the session whose token *data* is, ``None`` if it is no valid token. Raises nothing."""
        return self._holders.get(data.decode("ascii", "replace")) if len(data) == TOKEN_CHARACTERS else None

    def grant_echo_untrusted(self, data: bytes, source: Address, now_s: float) -> TokenHolder | None:
        """Return the session that the echo request *data* from *source* belongs to, and take one echo of its allowance.

        ``None``, and counted, without a session of that host, or when its allowance is used up at *now_s* (monotonic).
        Raises nothing.
        """
        holder = self.find_untrusted(data[:TOKEN_CHARACTERS])
        if holder is None or holder.peer[0] != source[0] or holder.leaving:
            self.counts["echo_without_session"] += 1
            return None
        if not holder.echoes.take(now_s):
            self.counts["echo_over_rate"] += 1
            return None
        return holder
