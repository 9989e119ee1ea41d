"""The examination of the path between this machine and a server, leg by leg.

It makes the observations that :mod:`flume.doctor.diagnosis` judges::

    for finding in Examination("192.0.2.7", 5004).legs():
        print(finding.leg, finding.finding)

It ends within :data:`BUDGET_S`, whatever is blocked: each step has a time limit, and no step begins after the end of
all. It ends its session, so the server is left as it was found.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Generator, Iterator

from flume.client.reception.media_socket import ask_for_buffer, granted_bytes
from flume.client.reception.receive_buffer import ReceiveBuffer
from flume.client.session.control_link import PLAIN, AccessChoice, login_request
from flume.control import messages
from flume.control.endpoint import without_brackets
from flume.doctor import diagnosis, observations
from flume.doctor.approach import Approach
from flume.doctor.banner import describe_untrusted
from flume.doctor.legs import complete
from flume.doctor.media import MediaExamination
from flume.doctor.remedies import PathEnds
from flume.doctor.session import ControlChannel, ControlConnection, Poller
from flume.doctor.sockets import unacknowledged_bytes
from flume.errors import NetworkError
from flume.settings import ClientSettings

BUDGET_S = 11.0
"""A person waits that long; Python needs half a second to start."""
CONTROL_S = 2.5

_BY_CODE = {"tls_required": "tls_required", "no_users": "login_required"} | dict.fromkeys(
    ("login_required", "login_failed", "login_limited", "login_busy"), "login_required"
)
"""What a refusal of ``status`` means, by its code."""


class Examination:
    """One examination; :meth:`legs` may be called once."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        access: AccessChoice = PLAIN,
        on_leg: Callable[[str], None] = lambda _leg: None,
    ) -> None:
        """Examine the path to TCP *port* of *host*, reached by *access*.

        *on_leg* is called with each leg before its examination.
        """
        self._access = access
        self._host, self._port, self._on_leg = without_brackets(host), port, on_leg
        self._deadline_s = 0.0
        self._cleanup = contextlib.ExitStack()
        self._path = PathEnds(self._host, port, "this machine")
        self._media: MediaExamination | None = None

    def legs(self) -> Generator[diagnosis.Finding, None, None]:
        """Yield one finding for each leg of the path, each when it is known.

        Closing the generator ends the session and closes all sockets.
        """
        self._deadline_s = time.monotonic() + BUDGET_S
        with self._cleanup:
            yield from complete(self._examine(), diagnosis.PATH_LEGS, {"receive_buffer": self._buffer})

    def _until(self, seconds: float) -> float:
        return min(time.monotonic() + seconds, self._deadline_s)

    def _examine(self) -> Iterator[diagnosis.Finding]:
        approach = Approach(self._path, self._cleanup, deadline_s=self._deadline_s, on_leg=self._on_leg)
        yield from approach.legs()
        self._path, attempt = approach.path, approach.attempt
        if attempt is None or not attempt.is_open:
            return
        self._on_leg("control")
        try:
            channel = ControlChannel(self._secure(attempt.socket))
        except NetworkError as error:
            yield diagnosis.control(observations.ControlSeen("tls_failed", str(error), 0.0), self._path)
            return
        poller = Poller(channel)
        control = self._ask_status(poller)
        yield diagnosis.control(control, self._path)
        if control.outcome == "answered":
            self._media = MediaExamination(poller, attempt.endpoint, self._path, deadline_s=self._deadline_s)
            yield from self._media.legs(self._cleanup, self._on_leg)

    # -- control -----------------------------------------------------------------------------------------------

    def _secure(self, connection: socket.socket) -> ControlConnection:
        """Return *connection*, with TLS if that was asked for; raises :class:`NetworkError`."""
        if not self._access.tls:
            return connection
        from flume.client.session.secure_socket import SecureSocket  # noqa: PLC0415 - OpenSSL is not needed otherwise

        timeout_s = max(0.1, self._until(CONTROL_S) - time.monotonic())
        secured = SecureSocket.open(connection, self._host, ca=self._access.ca, timeout_s=timeout_s)
        secured.settimeout(0)
        return secured

    def _ask_status(self, poller: Poller) -> observations.ControlSeen:
        began_s = time.monotonic()
        if self._access.credentials is not None:
            poller.request(login_request(self._access.credentials), messages.LoggedIn, self._until(CONTROL_S))
        status = poller.request(messages.StatusQuery(), messages.Status, self._until(CONTROL_S))
        took_s = time.monotonic() - began_s
        channel = poller.control
        if status is not None:
            server = status.server
            return observations.ControlSeen("answered", f"it streams {server.source}, {server.active} receive", took_s)
        for refusal in (channel.take(messages.Closed), channel.take(messages.Refused)):
            if isinstance(refusal, messages.Refused) and refusal.code in _BY_CODE:
                text = f"the server says: {refusal.message}"
                return observations.ControlSeen(_BY_CODE[refusal.code], text, took_s)
            if refusal is not None:
                return observations.ControlSeen("turned_away", refusal.message, took_s)
        if channel.first_bytes or channel.ended:
            return observations.ControlSeen(
                "not_flume", describe_untrusted(channel.first_bytes, port=self._port), took_s
            )
        return observations.ControlSeen("silent", "", took_s, unacknowledged_bytes(channel.socket))

    # -- this side ---------------------------------------------------------------------------------------------

    def _buffer(self) -> diagnosis.Finding:
        self._on_leg("receive_buffer")
        if self._media is not None and self._media.buffer is not None:
            return diagnosis.receive_buffer(self._media.buffer)
        return own_buffer()


def own_buffer() -> diagnosis.Finding:
    """Examine the receive buffer of a socket that receives nothing."""
    asked = ClientSettings(host="localhost").receive_buffer_bytes
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        ask_for_buffer(media, asked)
        granted = granted_bytes(media)
    return diagnosis.receive_buffer(ReceiveBuffer(asked, granted, 0))
