"""The session's state and its waits, without a server."""

import threading

import pytest

from flume.client.session.control_session import ControlSession
from flume.control import messages
from flume.control.session import State
from flume.errors import NetworkError
from flume.settings import ClientSettings


@pytest.fixture
def session() -> ControlSession:
    return ControlSession(
        ClientSettings(host="server"),
        on_message=lambda _message: None,
        on_lost=lambda _reason: None,
        on_packets=lambda _packets: None,
    )


def test_it_begins_closed_and_without_a_connection(session: ControlSession) -> None:
    assert (session.state, session.is_linked, session.link, session.server) == (State.CLOSED, False, None, "server")
    with pytest.raises(NetworkError, match="there is no connection to the server"):
        session.request(messages.Interrupt())
    session.close()


def test_entering_a_state_says_whether_it_is_new(session: ControlSession) -> None:
    assert session.enter(State.ACTIVE)
    assert not session.enter(State.ACTIVE)
    assert session.wait_until_state(State.ACTIVE, timeout_s=0)
    assert not session.wait_until_state(State.CLOSED, timeout_s=0)


def test_a_wait_ends_with_the_state_it_waits_for(session: ControlSession) -> None:
    thread = threading.Timer(0.02, session.enter, args=(State.ACTIVE,))
    thread.start()
    assert session.wait_until_state(State.ACTIVE, timeout_s=5)
    thread.join()


def test_a_wait_ends_with_the_client(session: ControlSession) -> None:
    thread = threading.Timer(0.02, session.begin_closing)
    thread.start()
    session.wait_until_state(State.ACTIVE, timeout_s=60)
    thread.join()
    assert session.is_closing
    assert not session.begin_closing(), "it had begun"
