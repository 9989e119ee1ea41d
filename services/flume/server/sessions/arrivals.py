"""What clients send to the media port: tokens, proofs, echo requests, punches. The rest is counted and dropped."""

import asyncio
import logging
import time
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.server.access.networks import NetworkRules
from flume.server.sending.media_port import MediaPort
from flume.server.sessions.echo import READ_BYTES, is_echo_request
from flume.server.sessions.proofs import REQUEST_AGAIN_S, Proofs, explain_missing, is_proof
from flume.server.sessions.punches import Punches
from flume.server.sessions.tokens import TOKEN_CHARACTERS, TokenHolder, Tokens
from flume.sockaddr import address_of

DATAGRAMS_AT_ONCE = 64
"""Read in one callback before the event loop does other work."""

REFUSED_RECENTLY_S = 10.0
"""For so long ICMP port unreachable about one port of a host explains why another one does not answer. Linux sends one
such message a second to each other host (icmp_ratelimit, icmp(7)), however many of its ports are asked."""

ADDRESSES_KEPT = 1024
"""Hosts of such messages that are kept before those of long ago are forgotten."""

_ALL_NETWORKS = NetworkRules()

_log = logging.getLogger(__name__)


class Arrivals:
    """Passes datagrams on to the sessions that they are for. Runs on the event loop."""

    def __init__(
        self,
        media_port: MediaPort,
        tokens: Tokens,
        networks: NetworkRules = _ALL_NETWORKS,
        *,
        call_later: Callable[..., object] | None = None,
    ) -> None:
        """Read new clients' datagrams from *media_port*, if *networks* admit them; find their sessions by *tokens*.

        *call_later* is that of the event loop, if nothing else is given.
        """
        self._networks = networks
        self._call_later = call_later
        self._media_port = media_port
        self._tokens = tokens
        self._proofs = Proofs()
        self._refused_s: dict[str, float] = {}
        """When ICMP port unreachable last came, by the address that it was about."""
        self.punches = Punches(media_port.accept_also_from, tokens.counts, drain=self.on_listener_readable)
        media_port.accept_only(tokens.prefix.encode())

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
        is_answer = is_proof(data, token_bytes=TOKEN_CHARACTERS)
        session = self._tokens.find_untrusted(data[:TOKEN_CHARACTERS] if is_answer else data)
        if session is None:
            if not self.punches.take_untrusted(source):
                self._tokens.counts["unknown_token"] += 1
        elif session.peer[0] != source[0]:
            self._tokens.counts["token_from_other_address"] += 1
            session.notice(
                "token_from_other_address",
                f"the token came from {source[0]}, but this control connection from {session.peer[0]}: "
                "send it from the host that receives",
            )
        elif is_answer:
            self._take_proof_untrusted(session, data, source)
        elif session.port_check.has_proved(source):
            session.consent(source)
        else:
            self._ask_for_proof(session, data, source)

    def _take_proof_untrusted(self, session: TokenHolder, data: bytes, source: Address) -> None:
        if self._proofs.is_proof_untrusted(data, source, now_s=time.monotonic()):
            session.port_check.note_proof(source)
            session.consent(source)
        else:
            self._tokens.counts["proof_of_other_port"] += 1

    def _ask_for_proof(self, session: TokenHolder, token: bytes, source: Address) -> None:
        """Answer *token* from the unknown port *source* by a request for proof, and once more a little later."""
        if session.leaving or not self._proofs.may_ask(source[0], time.monotonic()):
            self._tokens.counts["proof_not_asked"] += 1
            return
        are_missing = session.port_check.await_proof(source)
        error = self.request_proof(token, source, session.local_host)
        later = self._call_later or asyncio.get_running_loop().call_later
        later(REQUEST_AGAIN_S, self._ask_again, session, token, source)
        if are_missing:
            reason = error or session.port_check.icmp_error or self._refused_recently(source[0])
            session.notice("proof_missing", explain_missing(source, reason))

    def note_refused(self, address: str) -> None:
        """ICMP port unreachable came for a port of *address*."""
        now_s = time.monotonic()
        if len(self._refused_s) >= ADDRESSES_KEPT:
            recent = (one for one in self._refused_s.items() if now_s - one[1] < REFUSED_RECENTLY_S)
            self._refused_s = dict(recent)
        self._refused_s[address] = now_s

    def _refused_recently(self, address: str) -> str | None:
        since_s = time.monotonic() - self._refused_s.get(address, float("-inf"))
        return "send_econnrefused" if since_s < REFUSED_RECENTLY_S else None

    def _ask_again(self, session: TokenHolder, token: bytes, source: Address) -> None:
        is_alive = self._tokens.find_untrusted(token) is session and not session.leaving
        if is_alive and not session.port_check.has_proved(source):
            self.request_proof(token, source, session.local_host)

    def request_proof(self, token: bytes, source: Address, local_host: str | None) -> str | None:
        """Ask the port *source* whether it wants the stream; return why the question did not leave, ``None``: it did.

        For each token from a port that has not proved that, at most twice.
        """
        request = self._proofs.request(token, source, now_s=time.monotonic())
        error = self._media_port.send_back(request, source, local_host)
        if error is not None:
            self._tokens.counts["proof_not_sent"] += 1
        return error

    def _echo_untrusted(self, data: bytes, source: Address) -> None:
        """Send *data* back to *source* if its token belongs to a session of that host, and at a bounded rate.

        The answer has the bytes of the request, so that a request is never amplified. It goes only to the host that
        holds the token, so that no host is sent what another one asked for. It is neither consent nor media, and
        changes no state.
        """
        session = self._tokens.grant_echo_untrusted(data, source, time.monotonic())
        if session is not None and self._media_port.send_back(data, source, session.local_host):
            self._tokens.counts["echo_not_sent"] += 1
