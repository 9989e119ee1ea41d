"""What clients send to the media port: tokens, and requests for an echo. Everything else is counted and dropped."""

import logging
import time

from flume.control.endpoint import Address
from flume.server.access.networks import NetworkRules
from flume.server.sending.media_port import MediaPort
from flume.server.sessions.echo import READ_BYTES, is_echo_request
from flume.server.sessions.tokens import TOKEN_CHARACTERS, Tokens
from flume.sockaddr import address_of

DATAGRAMS_AT_ONCE = 64
"""Read in one callback before the event loop does other work."""

_ALL_NETWORKS = NetworkRules()

_log = logging.getLogger(__name__)


class Arrivals:
    """Passes datagrams on to the sessions that they are for. Runs on the event loop."""

    def __init__(self, media_port: MediaPort, tokens: Tokens, networks: NetworkRules = _ALL_NETWORKS) -> None:
        """Read new clients' datagrams from *media_port*, if *networks* admit them; find their sessions by *tokens*."""
        self._networks = networks
        self._media_port = media_port
        self._tokens = tokens

    def on_listener_readable(self) -> None:
        """Read what the unconnected media socket has; called by the event loop."""
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, source = self._media_port.listener.recvfrom(READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("media port: %s", error)
                return
            self.on_datagram_untrusted(data, address_of(source))

    def on_datagram_untrusted(self, data: bytes, source: Address) -> None:
        """Take a datagram that came to the media port, on whichever socket. Raises nothing."""
        if not self._networks.admits(source[0]):
            self._tokens.counts["address_denied"] += 1
            return
        if is_echo_request(data, token_bytes=TOKEN_CHARACTERS):
            self._echo_untrusted(data, source)
            return
        session = self._tokens.find_untrusted(data)
        if session is None:
            self._tokens.counts["unknown_token"] += 1
        elif session.peer[0] != source[0]:
            self._tokens.counts["token_from_other_address"] += 1
            session.notice(
                "token_from_other_address",
                f"the token came from {source[0]}, but this control connection from {session.peer[0]}: "
                "send it from the host that receives",
            )
        else:
            session.consent(source)

    def _echo_untrusted(self, data: bytes, source: Address) -> None:
        """Send *data* back to *source* if its token belongs to a session of that host, and at a bounded rate.

        The answer has the bytes of the request, so that a request is never amplified. It goes only to the host that
        holds the token, so that no host is sent what another one asked for. It is neither consent nor media, and
        changes no state.
        """
        session = self._tokens.grant_echo_untrusted(data, source, time.monotonic())
        if session is not None and not self._media_port.send_back(data, source, session.local_host):
            self._tokens.counts["echo_not_sent"] += 1
