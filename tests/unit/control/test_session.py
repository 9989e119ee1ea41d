"""The session table, row by row."""

import itertools

import pytest

from flume.control.session import TABLE, Command, Effect, Session, Signal, State, allowed_commands
from flume.errors import IllegalCommandError

INPUTS = (*Command, *Signal)

# The inputs that lead to each state, from the beginning.
PATHS = {
    State.CLOSED: (),
    State.CONNECTING: (Command.CONNECT,),
    State.ACTIVE: (Command.CONNECT, Signal.CONSENT),
    State.INTERRUPTED: (Command.CONNECT, Signal.CONSENT, Command.INTERRUPT),
}

# What each row must do, written down a second time and in another form: (next state, effects), or "illegal".
S, ILLEGAL, C = State, "illegal", Effect
EXPECTED = {
    S.CLOSED: {
        "connect": (S.CONNECTING, [C.ISSUE_TOKEN]),
        "interrupt": ILLEGAL,
        "continue": ILLEGAL,
        "disconnect": ILLEGAL,
        "status": (S.CLOSED, []),
        "consent": (S.CLOSED, []),
        "consent_moved": (S.CLOSED, []),
        "consent_expired": (S.CLOSED, []),
        "port_unreachable": (S.CLOSED, []),
        "peer_gone": (S.CLOSED, []),
        "source_ended": (S.CLOSED, [C.SAY_CLOSED]),
        "shutdown": (S.CLOSED, [C.SAY_CLOSED]),
    },
    S.CONNECTING: {
        "connect": ILLEGAL,
        "interrupt": ILLEGAL,
        "continue": ILLEGAL,
        "disconnect": (S.CLOSED, [C.RELEASE]),
        "status": (S.CONNECTING, []),
        "consent": (S.ACTIVE, [C.REFRESH, C.START]),
        "consent_moved": (S.ACTIVE, [C.MOVE, C.REFRESH, C.START]),
        "consent_expired": (S.CLOSED, [C.RELEASE, C.SAY_CLOSED]),
        "port_unreachable": (S.CLOSED, [C.RELEASE, C.SAY_CLOSED]),
        "peer_gone": (S.CLOSED, [C.RELEASE]),
        "source_ended": (S.CLOSED, [C.RELEASE, C.SAY_CLOSED]),
        "shutdown": (S.CLOSED, [C.RELEASE, C.SAY_CLOSED]),
    },
    S.ACTIVE: {
        "connect": ILLEGAL,
        "interrupt": (S.INTERRUPTED, [C.STOP]),
        "continue": ILLEGAL,
        "disconnect": (S.CLOSED, [C.STOP, C.RELEASE]),
        "status": (S.ACTIVE, []),
        "consent": (S.ACTIVE, [C.REFRESH]),
        "consent_moved": (S.ACTIVE, [C.STOP, C.MOVE, C.REFRESH, C.START]),
        "consent_expired": (S.CLOSED, [C.STOP, C.RELEASE, C.SAY_CLOSED]),
        "port_unreachable": (S.CLOSED, [C.STOP, C.RELEASE, C.SAY_CLOSED]),
        "peer_gone": (S.CLOSED, [C.STOP, C.RELEASE]),
        "source_ended": (S.CLOSED, [C.STOP, C.RELEASE, C.SAY_CLOSED]),
        "shutdown": (S.CLOSED, [C.STOP, C.RELEASE, C.SAY_CLOSED]),
    },
    S.INTERRUPTED: {
        "connect": ILLEGAL,
        "interrupt": ILLEGAL,
        "continue": (S.ACTIVE, [C.START]),
        "disconnect": (S.CLOSED, [C.RELEASE]),
        "status": (S.INTERRUPTED, []),
        "consent": (S.INTERRUPTED, [C.REFRESH]),
        "consent_moved": (S.INTERRUPTED, [C.MOVE, C.REFRESH]),
        "consent_expired": (S.CLOSED, [C.RELEASE, C.SAY_CLOSED]),
        "port_unreachable": (S.CLOSED, [C.RELEASE, C.SAY_CLOSED]),
        "peer_gone": (S.CLOSED, [C.RELEASE]),
        "source_ended": (S.CLOSED, [C.RELEASE, C.SAY_CLOSED]),
        "shutdown": (S.CLOSED, [C.RELEASE, C.SAY_CLOSED]),
    },
}


def session_in(state: State) -> Session:
    session = Session()
    for step in PATHS[state]:
        session.feed(step)
    assert session.state is state
    return session


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, INPUTS)), ids=str)
def test_row(state, event):
    session = session_in(state)
    expected = EXPECTED[state][str(event)]
    if expected == ILLEGAL:
        with pytest.raises(IllegalCommandError) as caught:
            session.feed(event)
        assert session.state is state
        assert caught.value.allowed == allowed_commands(state)
        assert str(caught.value).startswith(f"'{event}' is not possible while the session is {state}: send ")
    else:
        effects = session.feed(event)
        assert (session.state, list(effects)) == expected


def test_every_pair_is_defined_and_signals_are_never_illegal():
    assert set(TABLE) == set(itertools.product(State, INPUTS))
    assert all(TABLE[state, signal] is not None for state, signal in itertools.product(State, Signal))


def test_a_socket_is_never_exchanged_under_a_running_stream():
    moved = TABLE[State.ACTIVE, Signal.CONSENT_MOVED]
    assert moved is not None
    effects = moved.effects
    assert effects.index(Effect.STOP) < effects.index(Effect.MOVE) < effects.index(Effect.START)


def test_leaving_active_always_stops_and_closing_always_releases():
    for (state, event), transition in TABLE.items():
        if transition is None or transition.state is state:
            continue
        if state is State.ACTIVE:
            assert transition.effects[0] is Effect.STOP, (state, event)
        if transition.state is State.CLOSED:
            assert Effect.RELEASE in transition.effects, (state, event)
        assert (transition.state is State.ACTIVE) == (Effect.START in transition.effects), (state, event)
