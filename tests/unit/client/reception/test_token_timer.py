"""When the token is due, with a clock of the test's own."""

from hypothesis import given
from hypothesis import strategies as st

from flume.client.reception.token_timer import HURRIED_TOKEN_S, HURRY_S, NEVER_S, QUIET_TOKEN_S, TokenTimer

INTERVAL_S = 2.0


def begun(*, sent_s: float = 100.0) -> TokenTimer:
    timer = TokenTimer()
    timer.begin_session(INTERVAL_S)
    timer.note_sent(sent_s)
    return timer


def test_without_a_session_none_is_due() -> None:
    assert TokenTimer().deadline_s(None) == NEVER_S


def test_the_first_one_is_due_at_once() -> None:
    timer = TokenTimer()
    timer.begin_session(INTERVAL_S)
    assert timer.deadline_s(None) == 0.0


def test_before_the_first_window_it_repeats_soon() -> None:
    timer = begun(sent_s=100.0)
    assert timer.deadline_s(None) == 100.0 + HURRIED_TOKEN_S
    timer.note_sent(100.5)
    assert timer.deadline_s(None) == 100.5 + HURRIED_TOKEN_S


def test_while_datagrams_flow_it_repeats_at_the_interval() -> None:
    timer = begun(sent_s=100.0)
    timer.begin_window(100.1)
    for now_s in (100.2, 101.0, 101.9):
        assert timer.deadline_s(now_s) == min(100.0 + INTERVAL_S, now_s + QUIET_TOKEN_S)
    assert timer.deadline_s(101.9) == 102.0


def test_an_open_window_that_is_silent_repeats_it_each_half_second() -> None:
    timer = begun(sent_s=100.0)
    timer.begin_window(100.1)
    assert timer.deadline_s(None) == 100.1 + QUIET_TOKEN_S, "silent since the window began"
    timer.note_sent(100.6)
    assert timer.deadline_s(None) == 100.6 + QUIET_TOKEN_S, "silent since the last token"
    assert timer.deadline_s(100.8) == 100.8 + QUIET_TOKEN_S, "silent since the last datagram"


def test_while_interrupted_it_repeats_at_the_interval() -> None:
    timer = begun(sent_s=100.0)
    timer.begin_window(100.1)
    timer.end_window()
    assert timer.deadline_s(100.2) == 100.0 + INTERVAL_S


def test_after_the_session_none_is_due() -> None:
    timer = begun()
    timer.begin_window(100.1)
    timer.end_session()
    assert timer.deadline_s(100.2) == NEVER_S
    timer.begin_session(INTERVAL_S)
    assert timer.deadline_s(100.2) == 0.0, "a session after it sends one at once"


@given(st.lists(st.sampled_from(["session", "window", "end", "over", "sent"])), st.none() | st.floats(0, 1000))
def test_in_no_order_of_events_is_it_later_than_the_interval(events: list[str], last_datagram_s: float | None) -> None:
    timer, now_s, sent_s, is_running = TokenTimer(), 1000.0, 0.0, False
    for event in events:
        now_s += 0.25
        match event:
            case "session":
                timer.begin_session(INTERVAL_S)
                is_running = True
            case "window":
                timer.begin_window(now_s)
            case "end":
                timer.end_window()
            case "over":
                timer.end_session()
                is_running = False
            case "sent" if is_running:
                timer.note_sent(now_s)
                sent_s = now_s
        if is_running:
            assert timer.deadline_s(last_datagram_s) <= sent_s + INTERVAL_S


def test_when_the_server_asks_for_it_it_is_sent_at_once_and_often_for_a_while() -> None:
    timer = begun(sent_s=100.0)
    timer.begin_window(100.1)
    timer.hurry(101.0)
    sent_s: list[float] = []
    while len(sent_s) < 20:
        now_s = max(101.0, timer.deadline_s(timer._sent_s))
        timer.note_sent(now_s)
        sent_s.append(now_s)
    hurried = [now_s for now_s in sent_s if now_s <= 101.0 + HURRY_S]
    assert hurried == [101.0 + HURRIED_TOKEN_S * index for index in range(13)]
    assert timer.deadline_s(float("inf")) == sent_s[-1] + INTERVAL_S, "and then at the interval again"


def test_a_session_that_has_ended_hurries_no_token() -> None:
    timer = begun()
    timer.end_session()
    timer.hurry(101.0)
    assert timer.deadline_s(None) == NEVER_S


def test_a_new_session_does_not_hurry() -> None:
    timer = begun()
    timer.hurry(101.0)
    timer.begin_session(INTERVAL_S)
    timer.note_sent(101.1)
    timer.begin_window(101.2)
    assert timer.deadline_s(float("inf")) == 101.1 + INTERVAL_S
