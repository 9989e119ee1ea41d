"""What carries the media: UDP, unless it does not come through; then TCP, once, without a return. Pure.

Until a datagram has come the patience is short, later it is longer: a stream that worked may come back. Silence alone
proves nothing, because the source may have nothing to show. UDP is blocked where the server counts datagrams that do
not arrive.
"""

from typing import Literal

import msgspec

from flume.client.reception.statistics import SILENT_AFTER_S
from flume.control import messages
from flume.control.session import Signal, State
from flume.settings import ClientSettings, Transport

FIRST_DATAGRAM_S = 3.0
"""How long UDP has for its first datagram. At rest it comes within 0.1 s; a slow source needs 1.3 s to start again."""

NO_TCP = "no_tcp"
"""Code of the refusal by a server that is older than media over TCP."""

UDP_BLOCKED = (
    "no media come from {host} over UDP, so they are asked for over TCP from now on; 'flume doctor {host}' says what "
    "blocks UDP"
)

UDP_FAILURES = frozenset({Signal.CONSENT_EXPIRED, Signal.PORT_UNREACHABLE})
"""With these the server ends a session when datagrams do not pass, in the one or the other direction."""

Finding = Literal["wait", "ask", "blocked"]
"""``ask``: ask the server how many datagrams it has sent, and give the answer to :meth:`Fallback.take_count`."""


class Fallback:
    """The choice of one client. After a change it stays with TCP until :meth:`begin`."""

    def __init__(self, settings: ClientSettings) -> None:
        """Begin with what *settings* say; raw TS stays with UDP, since frames carry RTP (RFC 4571)."""
        self._settings = settings
        self.begin()

    def begin(self) -> None:
        """A person asks to connect: what was blocked before may be open now."""
        self.transport: Transport = "tcp" if self._settings.transport == "tcp" else "udp"
        self.has_failed = False
        """Whether the server ended a session because datagrams did not pass."""
        self._is_doubtful = False
        self._is_final = self._settings.transport != "auto" or self._settings.payload != "rtp"
        self._silence_s = 0.0
        self._forget()

    def _forget(self) -> None:
        self._sent: int | None = None
        self._is_owed = False
        """Whether the server has sent datagrams in this silence, as of the last count."""

    @property
    def may_change(self) -> bool:
        """Whether TCP is still to be tried."""
        return not self._is_final

    def change(self) -> None:
        """Change to TCP."""
        self.transport, self._is_final = "tcp", True

    def give_up(self) -> None:
        """The server carries no media over TCP: stay with UDP, unless the user chose TCP."""
        self._is_final = True
        if self._settings.transport != "tcp":
            self.transport = "udp"

    def request(self) -> messages.Connect:
        """Return what to ask the server for."""
        return messages.Connect(payload=self._settings.payload, transport=self.transport)

    def explain(self, reply: messages.Reply) -> messages.Reply:
        """Return *reply* to :meth:`request`; where a server did not understand that, with what it means."""
        if self.transport == "tcp" and isinstance(reply, messages.Refused) and reply.code == "invalid":
            port = self._settings.port
            message = f"this server is older and carries no media over TCP: update it, or let UDP port {port} through"
            return msgspec.structs.replace(reply, code=NO_TCP, message=message)
        return reply

    def connecting_patience_s(self, timeout_s: float) -> float:
        """Return how long a session over the present transport has to become active, *timeout_s* at most."""
        return min(timeout_s, FIRST_DATAGRAM_S) if self.may_change else timeout_s

    def note_end(self, code: str, *, has_flowed: bool) -> None:
        """The server ended the session for the reason *code*; *has_flowed*: datagrams came in it.

        A client that stood still for some seconds, or whose network did, loses one session in the same way. So where
        datagrams have come, UDP is tried once more before it is given up.
        """
        if self.may_change and code in UDP_FAILURES:
            self.has_failed = self._is_doubtful or not has_flowed
            self._is_doubtful = True

    def observe(self, state: State, silence_s: float, *, has_flowed: bool) -> Finding:
        """Take in that no datagram has come for *silence_s* in this session or window; call it from time to time.

        *has_flowed*: whether datagrams had come before in this session.
        """
        patience_s = SILENT_AFTER_S if has_flowed else FIRST_DATAGRAM_S
        if silence_s < self._silence_s:  # a datagram came since the last call, or a session or window began
            self._forget()
        self._silence_s = silence_s
        if not self.may_change or state not in {State.CONNECTING, State.ACTIVE} or silence_s < patience_s / 3:
            self._forget()
            return "wait"
        if state is State.CONNECTING:  # the token does not reach the server
            return "blocked" if silence_s >= patience_s else "wait"
        return "blocked" if self._is_owed and silence_s >= patience_s else "ask"

    def take_count(self, sent: int | None) -> None:
        """Take in that the server has sent *sent* datagrams in this session; ``None``: it did not answer.

        A count that grows during a silence shows that datagrams do not arrive. They count as missing from the next
        :meth:`observe` on: where the source has just gone on, the datagrams counted are still on their way.
        """
        if self._sent is None:
            self._sent = sent
        elif sent is not None and sent > self._sent:
            self._is_owed = True
