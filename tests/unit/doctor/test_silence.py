"""What the doctor notes of a stream that should come back after a silence, with a session that follows a script."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from flume.control import messages
from flume.control.session import State
from flume.doctor.observations import StateSeen
from flume.doctor.silence import SILENCE_S, SilenceTest

CLOSED = messages.Closed(state=State.CLOSED, code="shutdown", message="the server ends")
MOVED = messages.Notice(state=State.ACTIVE, code="media_moved", message="the token comes from port 4711 now")
BEFORE = 600


class ScriptedSession:
    """Poller, control channel and media probe in one; each poll performs the next act of the script."""

    def __init__(self, *acts: Callable[["ScriptedSession"], None], sent: int) -> None:
        self.control = self
        self.log: list[str] = []
        self.received = 0
        self.token_sent_s = time.monotonic()
        self._acts = list(acts)
        self._sent = sent
        self.messages: list[Any] = []

    def poll(self, _until_s: float, _done: Callable[[], bool]) -> None:
        self.log.append("poll")
        if self._acts:
            self._acts.pop(0)(self)

    def request(self, request: messages.Request, _kind: type, _until_s: float) -> Any:
        self.log.append(type(request).__name__)
        is_status = isinstance(request, messages.StatusQuery)
        return SimpleNamespace(session=SimpleNamespace(datagrams=BEFORE + self._sent)) if is_status else None

    def begin(self) -> None:
        self.received = 0

    def send_token(self) -> None:
        self.log.append("token")

    def has(self, kind: type) -> bool:
        return any(isinstance(message, kind) for message in self.messages)

    def take(self, kind: type) -> Any:
        found = next((message for message in self.messages if isinstance(message, kind)), None)
        if found is not None:
            self.messages.remove(found)
        return found


def happen(*said: Any, datagrams: int = 0) -> Callable[[ScriptedSession], None]:
    """Return an act in which *datagrams* arrive and the server sends the messages *said*."""

    def act(session: ScriptedSession) -> None:
        session.received += datagrams
        session.messages += said

    return act


nothing = happen()


def silence(session: Any) -> SilenceTest:
    return SilenceTest(session, session, already_sent=BEFORE, deadline_s=time.monotonic() + 60)


def seen(*acts: Callable[[ScriptedSession], None], sent: int = 100) -> tuple[StateSeen, list[str]]:
    """Return what is noted when *acts* happen in the polls, the silence being the first."""
    session = ScriptedSession(*acts, sent=sent)
    return silence(session).run(4.0), session.log


def test_a_stream_that_comes_back_by_itself_needs_no_token() -> None:
    """And the server is not asked how much it sent."""
    state, log = seen(nothing, happen(datagrams=7))
    assert (state.sent, state.before_token, state.after_token, state.closed) == (7, 7, 0, None)
    assert log == ["poll", "Continue", "poll"]


def test_what_came_before_the_silence_does_not_count() -> None:
    """Datagrams that arrive in the silence belong to the stream before."""
    state, _ = seen(happen(datagrams=3), happen(datagrams=7))
    assert state.before_token == 7


def test_a_stream_that_comes_back_with_the_token_was_forgotten() -> None:
    """The server's notice of the new port is kept."""
    state, log = seen(nothing, nothing, happen(MOVED, datagrams=5))
    assert (state.sent, state.before_token, state.after_token, state.moved) == (100, 0, 5, MOVED.message)
    assert log == ["poll", "Continue", "poll", "StatusQuery", "token", "poll"]


def test_a_notice_that_is_read_after_the_first_datagrams_is_waited_for() -> None:
    """It comes over TCP."""
    state, log = seen(nothing, nothing, happen(datagrams=5), happen(MOVED))
    assert (state.after_token, state.moved) == (5, MOVED.message)
    assert log == ["poll", "Continue", "poll", "StatusQuery", "token", "poll", "poll"]


def test_a_source_that_begins_anew_gets_a_second_wait() -> None:
    """A live source has sent nothing yet when the first wait ends."""
    state, log = seen(nothing, nothing, happen(datagrams=2), sent=0)
    assert (state.sent, state.before_token) == (2, 2)
    assert log == ["poll", "Continue", "poll", "StatusQuery", "poll"]


def test_a_server_that_sends_nothing_is_not_asked_by_token() -> None:
    """Then nothing could come back."""
    state, log = seen(sent=0)
    assert (state.sent, state.before_token, state.after_token) == (0, 0, 0)
    assert "token" not in log


def test_a_session_that_ends_meanwhile_is_noted() -> None:
    """Without another token."""
    state, log = seen(happen(CLOSED))
    assert state.closed == "shutdown"
    assert "token" not in log


@pytest.mark.parametrize(
    ("consent_s", "left_s", "longest_s"),
    [(60.0, 60.0, SILENCE_S), (2.5, 60.0, 2.0), (60.0, 4.0, 1.5), (60.0, 1.0, -1.5)],
    ids=["its own length", "consent", "time", "no time"],
)
def test_the_silence_ends_before_consent_and_before_the_examination(
    consent_s: float, left_s: float, longest_s: float
) -> None:
    """A fifth of consent and two and a half seconds are kept for the steps after it."""
    session: Any = ScriptedSession(sent=0)
    test = SilenceTest(session, session, already_sent=0, deadline_s=time.monotonic() + left_s)
    assert test.longest_s(consent_s) == pytest.approx(longest_s, abs=0.2)
