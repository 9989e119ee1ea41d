"""The media of one session: its token, the path that follows the token's port, the check of that port, its windows.

What is done here is decided by :mod:`flume.control.session` and ordered by :class:`.client_session.ClientSession`.
"""

import contextlib
import socket
import time
from collections.abc import Callable

from flume.control.endpoint import Address
from flume.control.session import Signal
from flume.errors import NetworkError
from flume.server.sending.tcp_delivery import FrameSink
from flume.server.sessions.consent import Consent
from flume.server.sessions.media_path import MediaPath
from flume.server.sessions.port_check import PortCheck, PortReports, Refusals
from flume.server.sessions.reception import Reception
from flume.server.sessions.services import SessionServices
from flume.server.sessions.tokens import TokenHolder
from flume.server.sessions.windows import DeliveryWindows
from flume.socket_memory import dropped_by_kernel


class MediaSide:
    """Runs on the event loop."""

    def __init__(
        self,
        services: SessionServices,
        peer: Address,
        local_host: str | None,
        sink: FrameSink | None,
        *,
        has_tokens: bool,
        on_closed: Callable[[socket.socket], None],
        on_no_route: Callable[[NetworkError], None],
    ) -> None:
        """Deliver to the host of *peer*, from *local_host*, or over TCP to *sink*.

        *on_closed* is called when the client's port is believed closed, *on_no_route* when there is no socket for a
        new port. *has_tokens*: see :class:`.client_session.ClientSession`.
        """
        self._services = services
        self._peer_host, self._local_host = peer[0], local_host
        self._has_tokens = has_tokens
        self._on_closed, self._on_no_route = on_closed, on_no_route
        self.token: str | None = None
        self.path = MediaPath(
            services.media_port,
            on_datagram=services.arrivals.on_datagram_untrusted,
            on_refused=self.on_refused,
            packets_per_datagram=services.settings.datagram_packets,
        )
        segmentation, counts = services.segmentation, services.tokens.counts
        self.consent = Consent(
            self.path,
            settings=services.settings,
            segmentation=segmentation,
            counts=counts,
            has_tokens=has_tokens,
        )
        self.windows = DeliveryWindows(services.ring, services.subscriptions, self.path, sink)
        self.check = PortCheck(self.consent, local_host, PortReports(self._ask_port, on_closed, on_no_route))
        self.reception = Reception()
        self._refusals = Refusals()

    # -- consent -------------------------------------------------------------------------------------------

    def begin(self, holder: TokenHolder) -> None:
        """A session of *holder* begins: make its token, if there is one, and start the clock of its consent."""
        if self._is_timed:
            self.token = self._services.tokens.issue(holder)
        self.windows.begin_session()
        self.refresh()

    def refresh(self) -> None:
        """Start the clock of consent anew."""
        if self._is_timed:
            self.consent.refresh()

    @property
    def _is_timed(self) -> bool:
        # Over TCP, and without tokens, the connection itself shows when the client is gone.
        return self._has_tokens and self.windows.transport == "udp"

    def follow(self, *, is_over: bool) -> Signal | None:
        """Prepare the path for the port that the token came from; return what that means, ``None`` for nothing.

        *is_over*: the session has ended, or its client is about to leave.
        """
        if is_over or (self._has_tokens and self.token is None):
            self.consent.drop_arrival()
            return None  # a late token of an ended session
        try:
            return self.consent.follow(self._local_host, self.windows.payload)
        except NetworkError as error:
            self._on_no_route(error)
            return None

    def move(self) -> tuple[Address | None, Address | None]:
        """Use the path that :meth:`follow` has prepared; return the address before and now."""
        before = self.path.address
        self.consent.move(self.windows.payload)
        return before, self.path.address

    def release(self) -> None:
        """Forget the token and close the path; the sender thread must not use its socket any more."""
        if self.token is not None:
            self._services.tokens.forget(self.token)
            self.token = None
        self.consent.end()
        self._refusals = Refusals()

    # -- the port ------------------------------------------------------------------------------------------

    def on_refused(self, media: socket.socket) -> None:
        """ICMP port unreachable came for *media*. Any host can forge it: the port is asked again for its proof.

        Without a token a player that reports its reception is believed instead, and else three messages.
        """
        now_s = time.monotonic()
        if self.token is not None:
            self._services.arrivals.note_refused(self._peer_host)
            self.check.begin(media)
        elif not self._has_tokens and not self.reception.is_recent(now_s) and self._refusals.note(now_s):
            self._on_closed(media)

    def _ask_port(self) -> None:  # without an address only tokens are answered by questions, two for each
        if self.path.address is not None and self.token is not None:
            self._services.arrivals.request_proof(self.token.encode(), self.path.address, self._local_host)

    def dropped(self) -> int:
        """Return how many datagrams from the client's media port the kernel has dropped."""
        return 0 if self.path.socket is None else dropped_by_kernel(self.path.socket)

    def send_aside(self, data: bytes) -> None:
        """Send *data* to the client's media port beside the stream."""
        if self.path.socket is not None:
            with contextlib.suppress(OSError):  # the sender thread reports what is wrong with this socket
                self.path.socket.send(data)
