"""The session: a table of (state, input) → (state, effects). The whole protocol is on this page.

How it works. A server has one :class:`Session` for each control connection. It holds a state and nothing else: no
socket, no clock, no token. The shell around it (:mod:`flume.server.sessions`) observes the world and feeds it *inputs*.
An input is a *command* that the client sent or a *signal* that the shell observed. The session answers with *effects*,
and the shell carries them out in their order::

    session.feed(Command.INTERRUPT)  # active → interrupted
    (Effect.STOP,)                   # leave the roster, wait until no datagram can follow; then the reply goes out

The order of the effects is the promise. STOP comes before RELEASE, so no socket is closed under a running stream. The
reply to a command goes out after its effects; only START sends it by itself, because a client must know the first
sequence number before the first datagram leaves.

What is illegal. Every pair of state and input has a row. A command that is not possible raises
:class:`~flume.errors.IllegalCommandError` and changes nothing: that is the client's fault, and the error lists what is
possible. A signal is a fact, and a fact is never illegal: where it means nothing its row has no effects.

What is not here. Time: the shell turns a clock into CONSENT_EXPIRED. Addresses: the shell turns a token from a new port
into CONSENT_MOVED. Dialects: a command is the same in JSON and in RTSP. So this module can be read, and tested row by
row, without any of them.

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
    """The state of a session."""

    CLOSED = "closed"
    CONNECTING = "connecting"
    ACTIVE = "active"
    INTERRUPTED = "interrupted"


class Command(enum.StrEnum):
    """What a client may ask."""

    CONNECT = "connect"
    INTERRUPT = "interrupt"
    CONTINUE = "continue"
    DISCONNECT = "disconnect"
    STATUS = "status"


class Signal(enum.StrEnum):
    """What the shell observed."""

    CONSENT = "consent"
    """The session's token arrived from its media socket, at the TCP peer's address."""
    CONSENT_MOVED = "consent_moved"
    """The token arrived from another port of that address: a NAT changed the port, or the client its socket."""
    CONSENT_EXPIRED = "consent_expired"
    """The token did not come in time, or stopped coming."""
    PORT_UNREACHABLE = "port_unreachable"
    """ICMP port unreachable came for the media port, and no proof that the port wants the stream after it."""
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
    """Close the media socket and use one that is connected to the port that the token comes from now."""
    START = "start"
    """Tell the client the first sequence number, then enter the roster: datagrams flow."""
    STOP = "stop"
    """Leave the roster and wait until the last datagram has left: after this, not one datagram."""
    RELEASE = "release"
    """Forget the token and close the media socket."""
    SAY_CLOSED = "say_closed"
    """Send the client a ``closed`` event that names the signal."""


class Transition(NamedTuple):
    """One row's right-hand side."""

    state: State
    effects: tuple[Effect, ...] = ()


Input = Command | Signal

_CLOSED, _CONNECTING, _ACTIVE, _INTERRUPTED = State
_END = (Effect.RELEASE, Effect.SAY_CLOSED)
_STOP_AND_END = (Effect.STOP, *_END)

TABLE: Mapping[tuple[State, Input], Transition | None] = {
    # None: an illegal command.
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
    (_CLOSED, Signal.SOURCE_ENDED): Transition(_CLOSED, (Effect.SAY_CLOSED,)),
    (_CLOSED, Signal.SHUTDOWN): Transition(_CLOSED, (Effect.SAY_CLOSED,)),
    (_CONNECTING, Command.CONNECT): None,
    (_CONNECTING, Command.INTERRUPT): None,
    (_CONNECTING, Command.CONTINUE): None,
    (_CONNECTING, Command.DISCONNECT): Transition(_CLOSED, (Effect.RELEASE,)),
    (_CONNECTING, Command.STATUS): Transition(_CONNECTING),
    (_CONNECTING, Signal.CONSENT): Transition(_ACTIVE, (Effect.REFRESH, Effect.START)),
    (_CONNECTING, Signal.CONSENT_MOVED): Transition(_ACTIVE, (Effect.MOVE, Effect.REFRESH, Effect.START)),
    (_CONNECTING, Signal.CONSENT_EXPIRED): Transition(_CLOSED, _END),
    (_CONNECTING, Signal.PORT_UNREACHABLE): Transition(_CLOSED, _END),
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
    """One client's state. Feed it inputs, carry out the effects it returns.

    >>> session = Session()
    >>> session.feed(Command.CONNECT), session.state
    ((<Effect.ISSUE_TOKEN: 'issue_token'>,), <State.CONNECTING: 'connecting'>)
    """

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
