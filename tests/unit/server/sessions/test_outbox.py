"""What is said to one client: notices at a bounded rate, keep-alives after a silence."""

import time

from flume.control.messages import Alive, Event, Notice, Reply
from flume.control.session import State
from flume.server.sessions.outbox import Outbox


def outbox() -> tuple[Outbox, list[Reply | Event]]:
    said: list[Reply | Event] = []
    return Outbox(said.append), said


def test_notices_are_at_most_one_a_second():
    box, said = outbox()
    for number in range(50):
        box.notice(State.ACTIVE, "code", str(number))
    assert said == [Notice(state=State.ACTIVE, code="code", message="0")]
    box._noticed_s -= 1.0
    box.notice(State.ACTIVE, "code", "later")
    assert len(said) == 2


def test_a_keep_alive_comes_after_a_silence_and_only_with_a_session():
    box, said = outbox()
    now_s = time.monotonic()
    box.keep_alive(State.ACTIVE, now_s, 5.0)
    box.keep_alive(State.CLOSED, now_s + 60, 5.0)
    assert said == []
    box.keep_alive(State.ACTIVE, now_s + 60, 5.0)
    assert said == [Alive(state=State.ACTIVE)]


def test_anything_that_is_said_ends_the_silence():
    box, _ = outbox()
    box._said_s -= 30
    assert box.quiet_s >= 30
    box.tell(Alive(state=State.ACTIVE))
    assert box.quiet_s < 10
