"""How a client gets back to its desired state, without a network and without waiting."""

from collections.abc import Iterator

import pytest

from flume.client.session.fallback import NO_TCP
from flume.control import messages
from flume.control.session import Command, State
from flume.errors import NetworkError
from support.clients.scripted_session import CONNECTED, DISCONNECTED, INTERRUPTED, RecoverySetup, refused, status


@pytest.fixture
def setup() -> Iterator[RecoverySetup]:
    with RecoverySetup() as setup:
        yield setup


def closed(code: str) -> messages.Closed:
    return messages.Closed(state=State.CLOSED, code=code, message="over", last_sequence=None)


def test_a_client_that_was_asked_nothing_needs_nothing(setup: RecoverySetup) -> None:
    recovery = setup.recovery
    assert (recovery.desired, recovery.is_needed, recovery.will_retry, recovery.outlook) == ("closed", False, False, "")
    assert recovery.recover()
    assert setup.asked == []


@pytest.mark.parametrize(
    ("desired", "state", "is_needed"),
    [
        ("active", State.CLOSED, True),
        ("active", State.CONNECTING, False),
        ("active", State.ACTIVE, False),
        ("active", State.INTERRUPTED, False),
        ("interrupted", State.CLOSED, True),
        ("interrupted", State.CONNECTING, False),
        ("interrupted", State.ACTIVE, True),
        ("interrupted", State.INTERRUPTED, False),
        ("closed", State.CLOSED, False),
        ("closed", State.CONNECTING, False),
        ("closed", State.ACTIVE, False),
        ("closed", State.INTERRUPTED, False),
    ],
)
def test_it_is_needed_where_a_step_helps(setup: RecoverySetup, desired, state: State, is_needed: bool) -> None:
    setup.recovery.desire(desired)
    setup.session.enter(state)
    assert setup.recovery.is_needed is is_needed


def test_asking_changes_nothing(setup: RecoverySetup) -> None:
    """No predicate acts: a client that will retry is as little over after the questions as before."""
    setup.recovery.desire("active")
    for _ in range(3):
        assert (setup.recovery.is_needed, setup.recovery.will_retry, setup.recovery.is_over) == (True, True, False)
        assert setup.recovery.outlook == "; trying to connect again"
    assert setup.asked == []


def test_a_lost_session_is_begun_again(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.windows.sessions = 2  # the windows count the new one when the reply comes in
    setup.session.answers = [CONNECTED]
    assert setup.recovery.recover()
    assert (setup.asked, setup.session.state, setup.recovery.reconnects) == (["connect"], State.ACTIVE, 1)
    assert not setup.recovery.is_needed


def test_the_first_session_is_no_reconnection(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.windows.sessions = 1
    setup.session.answers = [CONNECTED]
    assert setup.recovery.recover()
    assert setup.recovery.reconnects == 0


def test_an_interrupted_session_takes_two_steps(setup: RecoverySetup) -> None:
    setup.recovery.desire("interrupted")
    setup.session.answers = [CONNECTED, INTERRUPTED]
    assert setup.recovery.recover()
    assert setup.recovery.is_needed
    assert setup.recovery.recover()
    assert (setup.asked, setup.session.state) == (["connect", "interrupt"], State.INTERRUPTED)
    assert not setup.recovery.is_needed


def test_a_step_that_fails_is_not_reported_but_remembered(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.session.answers = [NetworkError("no server here")]
    assert not setup.recovery.recover()
    assert (setup.events, setup.reporter.last_error) == ([], "no server here")
    assert setup.recovery.is_needed


def test_a_refusal_is_reported(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.session.answers = [refused("full")]
    assert not setup.recovery.recover()
    assert (setup.codes, setup.reporter.last_error) == (["full"], "refused: full")


def test_a_session_without_consent_makes_the_next_step_wait_longer(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.session.becomes_active = False
    setup.session.answers = [CONNECTED]
    assert not setup.recovery.recover()
    assert setup.session.state is State.CONNECTING


def test_after_the_end_of_the_video_there_is_nothing_to_recover(setup: RecoverySetup) -> None:
    recovery = setup.recovery
    recovery.desire("active")
    recovery.note_closed(closed("source_ended"))
    assert (recovery.is_over, recovery.was_played_out, recovery.is_needed, recovery.outlook) == (True, True, False, "")
    recovery.desire("active")
    assert (recovery.is_over, recovery.was_played_out, recovery.is_needed) == (False, False, True), "a new command"


def test_another_end_is_recovered_from(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.recovery.note_closed(closed("shutdown"))
    assert (setup.recovery.is_over, setup.recovery.is_needed) == (False, True)


@pytest.mark.parametrize("desired", ["active", "closed"])
def test_without_reconnect_a_failure_is_the_end_of_a_session_that_was_desired(desired) -> None:
    with RecoverySetup(reconnect=False) as setup:
        setup.recovery.desire(desired)
        setup.recovery.note_failure()
        assert setup.recovery.is_over is (desired == "active")
        assert not setup.recovery.is_needed
        setup.recovery.desire("closed")
        assert not setup.recovery.is_over


def observe_until_blocked(setup: RecoverySetup) -> bool:
    """Three seconds of silence at the beginning of a session, with a server that counts what it sends."""
    setup.session.enter(State.ACTIVE)
    setup.session.answers = [status(100), status(200), *setup.session.answers]
    return any(setup.recovery.check_udp(State.ACTIVE, silence_s) for silence_s in (1.5, 2.5, 3.5))


def test_blocked_udp_is_given_up_for_tcp_and_said(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.session.answers = [DISCONNECTED, CONNECTED]
    assert observe_until_blocked(setup)
    assert setup.asked == ["status", "status", "disconnect", "connect"]
    connect = setup.session.asked[-1]
    assert isinstance(connect, messages.Connect)
    assert (connect.transport, setup.recovery.transport, setup.codes) == ("tcp", "tcp", ["udp_blocked"])
    assert "no media come from server over UDP" in str(setup.events[0].message)


def test_the_time_to_the_first_datagram_counts_from_the_first_connect(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.session.answers = [CONNECTED]
    setup.recovery.connect(asked_s=12.5)
    setup.session.answers = [DISCONNECTED, CONNECTED]
    assert observe_until_blocked(setup)
    assert setup.windows.asked_s(Command.CONNECT) == 12.5


@pytest.mark.parametrize("desired", ["interrupted", "closed"])
def test_nothing_is_begun_that_no_command_asked_for(setup: RecoverySetup, desired) -> None:
    """A command may come between the finding and the change."""
    setup.recovery.desire(desired)
    assert observe_until_blocked(setup)
    assert (setup.asked, setup.recovery.transport, setup.events) == (["status", "status"], "udp", [])


def test_a_failure_on_the_way_to_tcp_leaves_the_rest_to_the_next_step(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.session.answers = [DISCONNECTED, NetworkError("gone")]
    assert observe_until_blocked(setup)
    assert (setup.reporter.last_error, setup.recovery.is_needed) == ("gone", True)
    setup.session.answers = [CONNECTED]
    assert setup.recovery.recover()
    assert setup.session.asked[-1] == messages.Connect(transport="tcp")


def test_a_server_without_tcp_brings_udp_back(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.session.answers = [DISCONNECTED, refused("invalid")]
    assert observe_until_blocked(setup)
    assert setup.codes == ["udp_blocked", NO_TCP]
    assert setup.recovery.transport == "udp"


def test_a_session_that_ended_without_consent_is_followed_by_one_over_tcp(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.recovery.note_closed(closed("consent_expired"))
    setup.session.answers = [CONNECTED]
    assert setup.recovery.recover()
    assert setup.session.asked == [messages.Connect(transport="tcp")]
    assert setup.codes == ["udp_blocked"]


def test_a_server_that_does_not_answer_proves_nothing(setup: RecoverySetup) -> None:
    setup.recovery.desire("active")
    setup.session.enter(State.ACTIVE)
    setup.session.answers = [NetworkError("silent")] * 3
    assert not any(setup.recovery.check_udp(State.ACTIVE, silence_s) for silence_s in (1.5, 2.5, 3.5))
    assert setup.reporter.last_error is None


def test_from_another_address_udp_is_tried_again(setup: RecoverySetup) -> None:
    """What a network blocks says nothing about the next one."""
    setup.recovery.desire("active")
    setup.session.answers = [CONNECTED, DISCONNECTED, CONNECTED]
    setup.recovery.connect()
    setup.recovery.note_closed(closed("consent_expired"))
    setup.session.enter(State.CLOSED)
    setup.session.answers = [CONNECTED]
    assert setup.recovery.recover()
    carried = [setup.recovery.transport]
    setup.session.enter(State.CLOSED)
    setup.session.scripted.local_host = "192.0.2.77"
    setup.session.answers = [CONNECTED]
    assert setup.recovery.recover()
    assert [*carried, setup.recovery.transport] == ["tcp", "udp"]
