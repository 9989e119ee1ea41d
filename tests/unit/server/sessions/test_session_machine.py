"""Random commands, tokens and time against a session, and a model that knows only the table of states and the clock."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from flume.control.endpoint import Address
from flume.control.messages import (
    Closed,
    Connect,
    Connected,
    Continue,
    Continued,
    Disconnect,
    Disconnected,
    Interrupt,
    Interrupted,
    Refused,
    Reply,
    Status,
    StatusQuery,
)
from flume.server.sessions import arrivals, consent, media_path, outbox, port_check
from support.servers.session_harness import SessionHarness, let_run

HOST, STRANGER = "127.0.0.1", "127.0.0.9"
PORTS = (40_001, 40_002, 40_003)
LEGAL: dict[tuple[str, Any], tuple[str, Any]] = {
    ("closed", Connect): ("connecting", Connected),
    ("connecting", Disconnect): ("closed", Disconnected),
    ("active", Interrupt): ("interrupted", Interrupted),
    ("active", Disconnect): ("closed", Disconnected),
    ("interrupted", Continue): ("active", Continued),
    ("interrupted", Disconnect): ("closed", Disconnected),
} | {(state, StatusQuery): (state, Status) for state in ("closed", "connecting", "active", "interrupted")}
"""The commands that are possible: written out again here, so that a wrong row of the product's table is found."""


VISITED = ("connecting", "active", "interrupted", "expired", "moved", "kept", "unproved", "replayed")
"""What the random runs must have met often, or they show nothing. Kept: a token from another port, too soon to move."""


class SessionMachine(RuleBasedStateMachine):
    """One client, from its connection to its end."""

    visited: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        """Begin closed."""
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now_s = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.now_s)
        self.patch = pytest.MonkeyPatch()
        for module in (arrivals, consent, media_path, outbox, port_check):
            self.patch.setattr(module, "time", clock)
        self.harness = SessionHarness()
        self.patch.setattr(self.harness.arrivals, "_call_later", lambda *_: None)  # no port is asked a second time
        self.questions: list[tuple[bytes, Address]] = []
        """What ports were asked to send back."""
        self.patch.setattr(self.harness.media_port, "send_back", lambda data, to, _: self.questions.append((data, to)))
        self.session = self.harness.table.open((HOST, 40_000), self.harness.send)
        self.state, self.token, self.old_tokens = "closed", b"", [b"0" * 32]
        self.port: int | None = None
        self.moved_s = self.expires_s = 0.0
        self.datagrams = 0

    def teardown(self) -> None:
        """Close what was opened."""
        self.run(self.harness.table.drop(self.session))
        assert self.harness.subscriptions.active_count == 0
        self.harness.media_port.close()
        self.loop.close()
        self.patch.undo()

    def run(self, what: Coroutine[object, object, None]) -> None:
        async def settle() -> None:
            await what
            await let_run()

        self.loop.run_until_complete(asyncio.wait_for(settle(), 60))

    # -- the client ------------------------------------------------------------------------------------------

    @rule(request=st.sampled_from((Connect(), Interrupt(), Continue(), Disconnect(), StatusQuery())))
    def command(self, request: Connect | Interrupt | Continue | Disconnect | StatusQuery) -> None:
        said = len(self.harness.said)
        self.run(self.session.command(request))
        (reply,) = (message for message in self.harness.said[said:] if isinstance(message, Reply))
        legal = LEGAL.get((self.state, type(request)))
        if legal is None:
            assert isinstance(reply, Refused)
            assert reply.code == "not_allowed_now"
            assert set(reply.allowed) == {kind.command for state, kind in LEGAL if state == self.state}
            return
        was, (self.state, kind) = self.state, legal
        assert type(reply) is kind
        if isinstance(reply, Connected):
            assert reply.token
            self.token, self.port, self.datagrams = reply.token.encode(), None, 0
            self.expires_s = self.now_s + self.harness.settings.consent_timeout_s
        elif isinstance(reply, Interrupted | Disconnected) and was == "active":
            assert reply.datagrams == self.datagrams
        if isinstance(reply, Continued):
            self.datagrams = 0
        if self.state == "closed":
            self.end()

    @precondition(lambda self: self.state == "closed")
    @rule(port=st.sampled_from(PORTS))
    def connect_and_consent(self, port: int) -> None:
        """Random commands alone are closed most of the time."""
        self.command(Connect())
        self.send_token(port)

    def end(self) -> None:
        """Forget the session, as its end does."""
        self.old_tokens.append(self.token)
        self.state, self.port, self.datagrams = "closed", None, 0

    @precondition(lambda self: self.state != "closed")
    @rule(port=st.sampled_from(PORTS), after_s=st.sampled_from((0.0, 1.0, 2.0)))
    def send_token(self, port: int, after_s: float = 0.0) -> None:
        self.let_time_pass(after_s)
        if self.state == "closed":
            return
        asked = len(self.questions)
        self.arrive(self.token, HOST, port)
        if port != self.port:
            ((question, address),) = self.questions[asked:]
            assert address == (HOST, port)
            self.arrive(question, HOST, port)
        assert len(self.questions) == asked + (port != self.port)
        is_new = self.port is not None and port != self.port
        if is_new and self.now_s - self.moved_s < self.harness.settings.token_interval_s / 2:
            self.visited["kept"] += 1
            return  # a datagram that was overtaken on its path
        self.visited["moved"] += is_new
        if port != self.port:
            self.port, self.moved_s = port, self.now_s
        if self.state == "connecting":
            self.state = "active"
        self.expires_s = self.now_s + self.harness.settings.consent_timeout_s

    @precondition(lambda self: self.state != "closed")
    @rule(port=st.sampled_from(PORTS))
    def send_token_and_no_answer(self, port: int) -> None:
        """Somebody has named a port that is not theirs, or the path back is blocked."""
        self.arrive(self.token, HOST, port)
        if port == self.port:
            self.expires_s = self.now_s + self.harness.settings.consent_timeout_s
        else:
            self.visited["unproved"] += 1

    @precondition(lambda self: self.questions)
    @rule(data=st.data(), port=st.sampled_from(PORTS))
    def replay_an_answer(self, data: st.DataObject, port: int) -> None:
        """An answer of another port, of another session, or too old, is no consent."""
        answer, (_, asked_port) = data.draw(st.sampled_from(self.questions))
        if port != asked_port or not answer.startswith(self.token):
            self.visited["replayed"] += 1
            self.arrive(answer, HOST, port)

    @rule(port=st.sampled_from(PORTS))
    def send_token_from_another_host(self, port: int) -> None:
        """A host that has read along."""
        self.arrive(self.token, STRANGER, port)

    @rule(data=st.data(), port=st.sampled_from(PORTS))
    def send_what_is_no_token(self, data: st.DataObject, port: int) -> None:
        """A token of a session that has ended, or a cut one, is no consent."""
        wrong = [*self.old_tokens, self.token[:31], self.token + b"0"]
        self.arrive(data.draw(st.sampled_from(wrong)), HOST, port)

    def arrive(self, token: bytes, host: str, port: int) -> None:
        async def on_loop() -> None:
            self.harness.arrivals.on_datagram_untrusted(token, (host, port))

        self.run(on_loop())

    # -- the server ------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.1, 1.0, 2.0, 4.0, 7.0)))
    def let_time_pass(self, seconds: float) -> None:
        self.now_s += seconds
        said = len(self.harness.said)

        async def on_loop() -> None:
            self.session.on_time(self.now_s)

        self.run(on_loop())
        closed = [message for message in self.harness.said[said:] if isinstance(message, Closed)]
        has_expired = self.state != "closed" and self.now_s >= self.expires_s
        assert len(closed) == has_expired
        if has_expired:
            self.visited["expired"] += 1
            self.end()

    @rule(count=st.integers(1, 5))
    def deliver(self, count: int) -> None:
        self.harness.deliver(count)
        if self.state == "active":
            self.datagrams += count

    # -- what always holds -----------------------------------------------------------------------------------

    @invariant()
    def the_session_is_where_the_model_is(self) -> None:
        self.visited[self.state] += 1
        assert self.session.state == self.state
        assert (self.harness.tokens.find_untrusted(self.token) is self.session) == (self.state != "closed")
        recipients = self.harness.current.roster.recipients
        assert len(recipients) == (self.state == "active"), "datagrams flow while it is active, and only then"
        for recipient in recipients:
            assert recipient.socket.getpeername() == (HOST, self.port)


def test_a_session_follows_the_model_whatever_comes_in_whatever_order() -> None:
    SessionMachine.visited.clear()
    few = settings(max_examples=120, stateful_step_count=40, deadline=None, derandomize=True, database=None)
    run_state_machine_as_test(SessionMachine, settings=few)
    assert min(SessionMachine.visited[name] for name in VISITED) >= 10, SessionMachine.visited
