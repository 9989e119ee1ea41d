"""Messages that name figures of the server: the reply to ``connect``, and the end of a session in words."""

from flume.control.endpoint import Address
from flume.control.messages import (
    TOKEN_LATE,
    Closed,
    Connected,
    Disconnected,
    Interrupted,
    Notice,
    Refused,
    Reply,
    Status,
)
from flume.control.session import Command, Signal, State, allowed_commands
from flume.server.sessions.services import SessionServices
from flume.server.sessions.windows import DeliveryWindows
from flume.settings import PayloadKind, Transport

END_MESSAGES = {
    Signal.CONSENT_EXPIRED: "no datagram with the token came from {address} within {timeout_s:g} s: is UDP port {port} "
    "open from the client to the server, and does the client send the token as it is from its media socket?",
    Signal.PORT_UNREACHABLE: "the client's media port answered ICMP port unreachable: nothing listens there",
    Signal.SOURCE_ENDED: "the video is over: {detail}",
    Signal.SHUTDOWN: "the server is shutting down: {detail}",
}

UNPROVED = (
    "the token came from {address}, but within {timeout_s:g} s no answer to what the server sent there: is UDP open "
    "from the server to the client, and is the client as new as the server?"
)
"""Also ``consent_expired``. Clients that were written before ports had to prove anything do not answer."""


def connected(services: SessionServices, token: str | None, payload: PayloadKind, transport: Transport) -> Connected:
    """Return the reply to ``connect``; over TCP there is no *token*."""
    return Connected(
        state=State.CONNECTING,
        token=token or "",
        port=services.media_port.port,
        payload=payload,
        ssrc=services.ring.ssrc,
        token_interval_ms=round(services.settings.token_interval_s * 1000),
        consent_timeout_ms=round(services.settings.consent_timeout_s * 1000),
        transport=transport,
    )


def token_late(services: SessionServices, state: State) -> Notice:
    """Return the notice that asks the client for its token."""
    late_s = services.settings.consent_timeout_s / 2
    message = f"no datagram with the token has come for {late_s:g} s: send it again now, several times"
    return Notice(state=state, code=TOKEN_LATE, message=message)


def answer(
    services: SessionServices, command: Command, state: State, windows: DeliveryWindows, token: str | None
) -> Reply:
    """Return the reply to *command*, which has led to *state*."""
    match command:
        case Command.CONNECT:
            return connected(services, token, windows.payload, windows.transport)
        case Command.INTERRUPT:
            return Interrupted(state=state, **windows.end_window()._asdict())
        case Command.CONTINUE:
            raise AssertionError("its reply goes out when delivery starts")
        case Command.DISCONNECT:
            return Disconnected(state=state, **windows.end_window()._asdict())
        case Command.STATUS:
            return Status(state=state, session=windows.counters(), server=services.status())


def no_delivery(command: Command, *, closing: bool, leaving: bool) -> tuple[str, str] | None:
    """Return code and message where *command* would begin what may not begin any more; ``None`` where it may.

    >>> no_delivery(Command.CONTINUE, closing=True, leaving=False) is None
    True
    """
    if command is Command.CONNECT and closing:
        return "shutdown", "the server is shutting down and begins no session"
    if command is Command.CONTINUE and leaving:
        return "not_allowed_now", "the client has closed its side: no delivery begins"
    return None


def goodbye(code: str, message: str) -> Refused:
    """Return the last message to a connection that has no session."""
    allowed = tuple(allowed_commands(State.CLOSED))
    return Refused(state=State.CLOSED, command=None, code=code, message=message, allowed=allowed)


def closed(
    services: SessionServices, signal: Signal, peer: Address, *, detail: str, last_sequence: int | None
) -> Closed:
    """Return the event that tells the client at *peer* that *signal* has ended its session.

    *detail* is why the source or the server ended; with ``consent_expired``: what did not come, if tokens came.
    """
    template = UNPROVED if signal is Signal.CONSENT_EXPIRED and detail else END_MESSAGES[signal]
    message = template.format(
        address=peer[0],
        port=services.media_port.port,
        timeout_s=services.settings.consent_timeout_s,
        detail=detail,
    )
    return Closed(state=State.CLOSED, code=str(signal), message=message, last_sequence=last_sequence)
