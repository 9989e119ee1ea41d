"""What carries the media: UDP, unless it does not come through; then TCP, once, and no way back. Pure.

Until a datagram has come the patience is short, later it is longer: a stream that worked may come back. Silence alone
proves nothing, because the source may have nothing to show; that the server counts datagrams which do not arrive does.
"""

from collections.abc import Callable

import msgspec

from flume.control import messages as m
from flume.control.session import Signal, State
from flume.settings import ClientSettings, Transport

FIRST_DATAGRAM_S = 3.0
"""How long UDP has for its first datagram. At rest it comes within 0.1 s; a slow source needs 1.3 s to start again."""

SILENCE_S = 5.0
"""How long a stream may be silent that has flowed before."""

NO_TCP = "no_tcp"
"""Code of the refusal by a server that is older than media over TCP."""

UDP_BLOCKED = (
    "no media come from {host} over UDP, so they are asked for over TCP from now on; 'flume doctor {host}' says what "
    "stands in the way"
)

UDP_FAILURES = frozenset({Signal.CONSENT_EXPIRED, Signal.PORT_UNREACHABLE})
"""With these the server ends a session when it is the datagrams that do not pass, in the one or the other direction."""


class Fallback:
    """The choice of one client. After a change it stays with TCP until :meth:`begin`."""

    def __init__(self, settings: ClientSettings) -> None:
        """Begin with what *settings* say; bare transport packets stay with UDP, since frames carry RTP."""
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
        """Whether the server has sent something in this silence, as of the look before."""

    @property
    def may_change(self) -> bool:
        """Whether TCP is still to be tried."""
        return not self._is_final

    def change(self) -> None:
        """Go over to TCP."""
        self.transport, self._is_final = "tcp", True

    def give_up(self) -> None:
        """The server carries no media over TCP: stay with UDP, unless it was TCP that was chosen."""
        self._is_final = True
        if self._settings.transport != "tcp":
            self.transport = "udp"

    def request(self) -> m.Connect:
        """Return what to ask the server for."""
        return m.Connect(payload=self._settings.payload, transport=self.transport)

    def explain(self, reply: m.Reply) -> m.Reply:
        """Return *reply* to :meth:`request`; where a server did not understand, with what that means."""
        if self.transport == "tcp" and isinstance(reply, m.Refused) and reply.code == "invalid":
            port = self._settings.port
            message = f"this server is older and carries no media over TCP: update it, or let UDP port {port} through"
            return msgspec.structs.replace(reply, code=NO_TCP, message=message)
        return reply

    def connecting_patience_s(self, timeout_s: float) -> float:
        """Return how long a session over the present transport has to become active, *timeout_s* at most."""
        return min(timeout_s, FIRST_DATAGRAM_S) if self.may_change else timeout_s

    def note_end(self, code: str, *, has_flowed: bool) -> None:
        """The server ended the session, in which datagrams came or did not, for the reason *code*.

        A client that stood still for some seconds, or its whole network, ends like that, too, once: where datagrams
        have come, UDP is tried again before it is given up.
        """
        if self.may_change and code in UDP_FAILURES:
            self.has_failed = self._is_doubtful or not has_flowed
            self._is_doubtful = True

    def is_blocked(self, state: State, silence_s: float, *, has_flowed: bool, sent: Callable[[], int | None]) -> bool:
        """Return whether UDP does not come through; ask from time to time.

        *silence_s*: for how long nothing has come in this session or window; *has_flowed*: whether anything had come
        before in this session. *sent* asks the server how many datagrams it has sent; ``None``: it did not answer.
        """
        patience_s = SILENCE_S if has_flowed else FIRST_DATAGRAM_S
        if silence_s < self._silence_s:  # something came since the last look, or a session or window began
            self._forget()
        self._silence_s = silence_s
        if not self.may_change or state not in {State.CONNECTING, State.ACTIVE} or silence_s < patience_s / 3:
            self._forget()
            return False
        if state is State.CONNECTING:  # the token does not reach the server
            return silence_s >= patience_s
        if self._is_owed and silence_s >= patience_s:
            return True
        count = sent()
        if self._sent is None:
            self._sent = count
        elif count is not None and count > self._sent:
            # Not blocked at once: where the source has just gone on, what the server counts is still under way.
            self._is_owed = True
        return False
