"""What each message of the server does to the receiver."""

import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flume.client.playback.player import NullPlayer
from flume.client.reception.receiver import StreamSession
from flume.client.session.first_frame import FirstFrames
from flume.client.session.windows import WindowTracker
from flume.control import messages
from flume.control.session import Command, State
from support.clients.scripted_session import CONNECTED, DISCONNECTED

LINK = cast("Any", SimpleNamespace(peer=("192.0.2.1", 5004), family=socket.AF_INET, local_host="192.0.2.9"))
ACTIVE = messages.Active(state=State.ACTIVE, address="192.0.2.9", port=4000, first_sequence=7)
CONTINUED = messages.Continued(state=State.ACTIVE, first_sequence=20)
INTERRUPTED = messages.Interrupted(state=State.INTERRUPTED, last_sequence=9, datagrams=3)


def closed(last_sequence: int | None) -> messages.Closed:
    return messages.Closed(state=State.CLOSED, code="shutdown", message="over", last_sequence=last_sequence)


class RecordingReceiver:
    """Keeps the names and arguments of what it is asked to do."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.first_datagram_s: float | None = None
        self.last_datagram_s: float | None = None

    def __getattr__(self, name: str):
        return lambda *arguments: self.calls.append((name, *arguments))


@pytest.fixture
def receiver() -> RecordingReceiver:
    return RecordingReceiver()


@pytest.fixture
def windows(receiver: RecordingReceiver) -> WindowTracker:
    return WindowTracker(cast("Any", receiver), FirstFrames(NullPlayer()))


def take(windows: WindowTracker, receiver: RecordingReceiver, *received: messages.Reply | messages.Event) -> list:
    """Return what the messages did after those of the session's beginning."""
    windows.take(CONNECTED, LINK)
    receiver.calls.clear()
    for message in received:
        windows.take(message, LINK)
    return receiver.calls


def test_a_granted_session_has_the_address_of_the_connection_and_the_port_of_the_reply(windows, receiver) -> None:
    windows.take(CONNECTED, LINK)
    [(name, session)] = receiver.calls
    assert name == "begin_session"
    assert session == StreamSession(
        ("192.0.2.1", 5004), socket.AF_INET, CONNECTED.token, 2.0, "rtp", 1, "udp", "192.0.2.9"
    )
    assert windows.sessions == 1


def test_windows_begin_and_end_with_the_numbers_of_the_messages(windows, receiver) -> None:
    assert take(windows, receiver, ACTIVE, INTERRUPTED, CONTINUED) == [
        ("begin_window", 7),
        ("end_window", 9, 3),
        ("begin_window", 20),
    ]


def test_the_reply_to_disconnect_ends_a_window_that_is_open_and_no_other(windows, receiver) -> None:
    open_one = [("begin_window", 7), ("end_window", None, 0), ("end_session",)]
    assert take(windows, receiver, ACTIVE, DISCONNECTED) == open_one
    calls = take(windows, receiver, ACTIVE, INTERRUPTED, DISCONNECTED)
    assert calls == [("begin_window", 7), ("end_window", 9, 3), ("end_session",)]


def test_a_session_that_the_server_ends_with_a_number_ends_its_window_there(windows, receiver) -> None:
    assert take(windows, receiver, ACTIVE, closed(9)) == [("begin_window", 7), ("end_session",), ("end_window", 9, 1)]


def test_a_session_that_ends_without_a_number_abandons_its_window(windows, receiver) -> None:
    assert take(windows, receiver, ACTIVE, closed(None)) == [("begin_window", 7), ("end_session",), ("abandon_window",)]
    receiver.calls.clear()
    windows.lose()
    assert receiver.calls == [("end_session",)], "the window is closed already"


def test_silence_is_counted_from_the_latest_of_datagram_window_and_session(windows, receiver, monkeypatch) -> None:
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr("flume.client.session.windows.time", SimpleNamespace(monotonic=lambda: clock.now_s))
    windows.note_asked(Command.CONNECT, 99.5)
    windows.take(CONNECTED, LINK)
    assert windows.silence_s(103.0) == 3.0
    assert not windows.has_flowed
    clock.now_s = 101.0
    windows.take(ACTIVE, LINK)
    assert windows.silence_s(103.0) == 2.0
    receiver.first_datagram_s = receiver.last_datagram_s = 102.5
    assert (windows.silence_s(103.0), windows.has_flowed, windows.first_datagram_ms()) == (0.5, True, 3000.0)


def test_the_token_is_repeated_when_the_server_asks_for_it(windows, receiver) -> None:
    notice = messages.Notice(state=State.ACTIVE, code=messages.TOKEN_LATE, message="send it again")
    assert take(windows, receiver, notice) == [("repeat_token",)]
    assert take(windows, receiver, messages.Notice(state=State.ACTIVE, code="no_route", message="no")) == []
