"""The session: a table of (state, input) → (state, effects). The whole protocol is on this page.

Inputs are the *commands* a client sends and the *signals* that the shell observes. Every pair is defined.
A command that is not possible raises :class:`~flume.errors.IllegalCommandError` and changes nothing; a signal that
means nothing in a state has an empty row. Nothing here assumes JSON, so that RTSP can stand on the same table.

============  =======================  =====================================================
state         media                    entered by
============  =======================  =====================================================
closed        none                     the beginning; disconnect; any end
connecting    none, path not proved    connect
active        datagrams flow           consent (the token from the media socket); continue
interrupted   none, path kept open     interrupt
============  =======================  =====================================================
"""

import enum
from collections.abc import Mapping
from typing import NamedTuple

from flume.errors import IllegalCommandError


class State(enum.StrEnum):
    """Where a session stands."""

    CLOSED = "closed"
    CONNECTING = "connecting"
    ACTIVE = "active"
    INTERRUPTED = "interrupted"


class Command(enum.StrEnum):
    """What a client may ask for."""

    CONNECT = "connect"
    INTERRUPT = "interrupt"
    CONTINUE = "continue"
    DISCONNECT = "disconnect"
    STATUS = "status"


class Signal(enum.StrEnum):
    """What the shell saw happen."""

    CONSENT = "consent"
    """The session's token arrived from its media socket, at the TCP peer's address."""
    CONSENT_MOVED = "consent_moved"
    """The token arrived from another port of that address: a NAT gave it a new one, or the client a new socket."""
    CONSENT_EXPIRED = "consent_expired"
    """The token did not come, or stopped coming."""
    PORT_UNREACHABLE = "port_unreachable"
    """The client's host answered a datagram with ICMP port unreachable."""
    PEER_GONE = "peer_gone"
    """The control connection ended."""
    SOURCE_ENDED = "source_ended"
    """The video is over and is not repeated."""
    SHUTDOWN = "shutdown"
    """The server is stopping."""


class Effect(enum.StrEnum):
    """What the shell must do, in the order given."""

    ISSUE_TOKEN = "issue_token"  # noqa: S105 - not a secret
    """Make a token and start the consent timer."""
    REFRESH = "refresh"
    """Restart the consent timer."""
    MOVE = "move"
    """Close the media socket and send from one that is connected to where the token comes from now."""
    START = "start"
    """Enter the roster: datagrams flow."""
    STOP = "stop"
    """Leave the roster and wait until the sender has let go: after this, not one datagram."""
    RELEASE = "release"
    """Forget the token and close the media socket."""
    TELL = "tell"
    """Send the client a ``closed`` event that names the signal."""


class Transition(NamedTuple):
    """One row's right-hand side."""

    state: State
    effects: tuple[Effect, ...] = ()


Input = Command | Signal

_CLOSED, _CONNECTING, _ACTIVE, _INTERRUPTED = State
_END = (Effect.RELEASE, Effect.TELL)
_STOP_AND_END = (Effect.STOP, *_END)

TABLE: Mapping[tuple[State, Input], Transition | None] = {
    # None: an illegal command. A signal always has a row: it is a fact, and facts are never illegal.
    (_CLOSED, Command.CONNECT): Transition(_CONNECTING, (Effect.ISSUE_TOKEN,)),
    (_CLOSED, Command.INTERRUPT): None,
    (_CLOSED, Command.CONTINUE): None,
    (_CLOSED, Command.DISCONNECT): None,
    (_CLOSED, Command.STATUS): Transition(_CLOSED),
    (_CLOSED, Signal.CONSENT): Transition(_CLOSED),
    (_CLOSED, Signal.CONSENT_MOVED): Transition(_CLOSED),
    (_CLOSED, Signal.CONSENT_EXPIRED): Transition(_CLOSED),
    (_CLOSED, Signal.PORT_UNREACHABLE): Transition(_CLOSED),
    (_CLOSED, Signal.PEER_GONE): Transition(_CLOSED),
    (_CLOSED, Signal.SOURCE_ENDED): Transition(_CLOSED, (Effect.TELL,)),
    (_CLOSED, Signal.SHUTDOWN): Transition(_CLOSED, (Effect.TELL,)),
    (_CONNECTING, Command.CONNECT): None,
    (_CONNECTING, Command.INTERRUPT): None,
    (_CONNECTING, Command.CONTINUE): None,
    (_CONNECTING, Command.DISCONNECT): Transition(_CLOSED, (Effect.RELEASE,)),
    (_CONNECTING, Command.STATUS): Transition(_CONNECTING),
    (_CONNECTING, Signal.CONSENT): Transition(_ACTIVE, (Effect.REFRESH, Effect.START)),
    (_CONNECTING, Signal.CONSENT_MOVED): Transition(_ACTIVE, (Effect.MOVE, Effect.REFRESH, Effect.START)),
    (_CONNECTING, Signal.CONSENT_EXPIRED): Transition(_CLOSED, _END),
    (_CONNECTING, Signal.PORT_UNREACHABLE): Transition(_CONNECTING),
    (_CONNECTING, Signal.PEER_GONE): Transition(_CLOSED, (Effect.RELEASE,)),
    (_CONNECTING, Signal.SOURCE_ENDED): Transition(_CLOSED, _END),
    (_CONNECTING, Signal.SHUTDOWN): Transition(_CLOSED, _END),
    (_ACTIVE, Command.CONNECT): None,
    (_ACTIVE, Command.INTERRUPT): Transition(_INTERRUPTED, (Effect.STOP,)),
    (_ACTIVE, Command.CONTINUE): None,
    (_ACTIVE, Command.DISCONNECT): Transition(_CLOSED, (Effect.STOP, Effect.RELEASE)),
    (_ACTIVE, Command.STATUS): Transition(_ACTIVE),
    (_ACTIVE, Signal.CONSENT): Transition(_ACTIVE, (Effect.REFRESH,)),
    (_ACTIVE, Signal.CONSENT_MOVED): Transition(_ACTIVE, (Effect.STOP, Effect.MOVE, Effect.REFRESH, Effect.START)),
    (_ACTIVE, Signal.CONSENT_EXPIRED): Transition(_CLOSED, _STOP_AND_END),
    (_ACTIVE, Signal.PORT_UNREACHABLE): Transition(_CLOSED, _STOP_AND_END),
    (_ACTIVE, Signal.PEER_GONE): Transition(_CLOSED, (Effect.STOP, Effect.RELEASE)),
    (_ACTIVE, Signal.SOURCE_ENDED): Transition(_CLOSED, _STOP_AND_END),
    (_ACTIVE, Signal.SHUTDOWN): Transition(_CLOSED, _STOP_AND_END),
    (_INTERRUPTED, Command.CONNECT): None,
    (_INTERRUPTED, Command.INTERRUPT): None,
    (_INTERRUPTED, Command.CONTINUE): Transition(_ACTIVE, (Effect.START,)),
    (_INTERRUPTED, Command.DISCONNECT): Transition(_CLOSED, (Effect.RELEASE,)),
    (_INTERRUPTED, Command.STATUS): Transition(_INTERRUPTED),
    (_INTERRUPTED, Signal.CONSENT): Transition(_INTERRUPTED, (Effect.REFRESH,)),
    (_INTERRUPTED, Signal.CONSENT_MOVED): Transition(_INTERRUPTED, (Effect.MOVE, Effect.REFRESH)),
    (_INTERRUPTED, Signal.CONSENT_EXPIRED): Transition(_CLOSED, _END),
    (_INTERRUPTED, Signal.PORT_UNREACHABLE): Transition(_CLOSED, _END),
    (_INTERRUPTED, Signal.PEER_GONE): Transition(_CLOSED, (Effect.RELEASE,)),
    (_INTERRUPTED, Signal.SOURCE_ENDED): Transition(_CLOSED, _END),
    (_INTERRUPTED, Signal.SHUTDOWN): Transition(_CLOSED, _END),
}


def allowed_commands(state: State) -> tuple[Command, ...]:
    """Return the commands that are possible in *state*, in the order of :class:`Command`."""
    return tuple(command for command in Command if TABLE[state, command] is not None)


class Session:
    """One client's state. Feed it inputs, carry out the effects it returns."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        """Begin closed."""
        self._state = State.CLOSED

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    def feed(self, event: Input) -> tuple[Effect, ...]:
        """Move along the row of (state, *event*) and return its effects.

        Raises :class:`IllegalCommandError`, with the state unchanged, for a command that has no row.
        """
        transition = TABLE[self._state, event]
        if transition is None:
            raise IllegalCommandError(event, self._state, allowed_commands(self._state))
        self._state = transition.state
        return transition.effects
