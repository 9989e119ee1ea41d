"""Messages that name figures of the server: the reply to ``connect``, and the end of a session in words."""

from flume.control.endpoint import Address
from flume.control.messages import TOKEN_LATE, Closed, Connected, Notice, Refused
from flume.control.session import Signal, State, allowed_commands
from flume.server.sessions.services import SessionServices
from flume.settings import PayloadKind, Transport

END_MESSAGES = {
    Signal.CONSENT_EXPIRED: "no datagram with the token came from {address} within {timeout_s:g} s: is UDP port {port} "
    "open from the client to the server, and does the client send the token as it is from its media socket?",
    Signal.PORT_UNREACHABLE: "the client's media port answered ICMP port unreachable: nothing listens there",
    Signal.SOURCE_ENDED: "the video is over: {detail}",
    Signal.SHUTDOWN: "the server is shutting down: {detail}",
}


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


def goodbye(code: str, message: str) -> Refused:
    """Return the last message to a connection that has no session."""
    allowed = tuple(allowed_commands(State.CLOSED))
    return Refused(state=State.CLOSED, command=None, code=code, message=message, allowed=allowed)


def closed(
    services: SessionServices, signal: Signal, peer: Address, *, detail: str, last_sequence: int | None
) -> Closed:
    """Return the event that tells the client at *peer* that *signal* has ended its session."""
    message = END_MESSAGES[signal].format(
        address=peer[0],
        port=services.media_port.port,
        timeout_s=services.settings.consent_timeout_s,
        detail=detail,
    )
    return Closed(state=State.CLOSED, code=str(signal), message=message, last_sequence=last_sequence)
