"""The loop of ``flume watch``: what it shows, whichever thread finds it."""

import threading
import time
from collections.abc import Iterator

import pytest

from flume.client.app import Client
from flume.client.events import ClientRecord
from flume.client.terminal.watching import Watching
from flume.control import messages
from flume.control.session import Command, State
from flume.settings import ClientSettings
from support.clients.players import FakePlayer, wait_until

INTERRUPTED = messages.Interrupted(state=State.INTERRUPTED, last_sequence=1, datagrams=1)


class RecordingView:
    """A view that keeps the names of what it is shown."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str):
        return lambda *args, **_kwargs: self.names.append(str(args[0].event) if name == "event" else name)


@pytest.fixture
def player() -> FakePlayer:
    return FakePlayer()


@pytest.fixture
def watching() -> Watching:
    return Watching(RecordingView())


@pytest.fixture
def client(player: FakePlayer, watching: Watching) -> Iterator[Client]:
    with Client(ClientSettings(host="localhost"), player, on_event=watching.on_event) as client:
        yield client


def run_interrupt(watching: Watching) -> None:
    """Run the command in a thread of its own, so that a deadlock fails the test instead of stopping it."""
    thread = threading.Thread(target=watching.run_command, args=(Command.INTERRUPT,), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive(), "the client waits for itself"


def test_a_picture_that_a_command_finds_first_stops_nothing(monkeypatch, client, player, watching) -> None:
    """The awaited picture appears while the command is carried out, and is reported to the same view."""

    def shown_meanwhile(_command: Command) -> messages.Reply:
        client._first_frames.expect(Command.CONTINUE, 0.0)
        player.write([b"a picture"])
        wait_until("the monitor reports it", lambda: "first_frame" in watching._view.names)
        return INTERRUPTED

    monkeypatch.setattr(client, "send", shown_meanwhile)
    monkeypatch.setattr(watching, "_client", client)
    run_interrupt(watching)
    assert watching._view.names == ["first_frame", "command", "statistics"]


def test_a_picture_that_is_reported_while_a_reply_is_shown_stops_nothing(monkeypatch, client, player, watching) -> None:
    """The monitor's report waits for the view; the command goes on to the statistics, which wait for no report."""
    reporting = threading.Event()

    def on_event(event) -> None:
        reporting.set()
        watching.on_event(event)

    def show_reply(*_: object) -> None:
        client._first_frames.expect(Command.CONTINUE, 0.0)
        player.write([b"a picture"])
        assert reporting.wait(5), "the monitor is in on_event, and waits for the view"
        watching._view.names.append("command")

    monkeypatch.setattr(client, "send", lambda _command: INTERRUPTED)
    monkeypatch.setattr(client._reporter, "_on_event", on_event)
    monkeypatch.setattr(watching, "_client", client)
    watching._view.command = show_reply
    run_interrupt(watching)
    wait_until("it was reported", lambda: "first_frame" in watching._view.names)
    assert sorted(watching._view.names) == ["command", "first_frame", "statistics"]
    assert watching._view.names[0] == "command"


def test_statistics_report_nothing(player: FakePlayer) -> None:
    events: list[object] = []
    client = Client(ClientSettings(host="localhost"), player, on_event=events.append)
    player.start()
    client._first_frames.expect(Command.CONNECT, 0.0)
    player.write([b"a picture"])
    assert client.statistics().join_ms is None
    assert events == []
    client.close()
    assert client.statistics().join_ms is None, "a monitor that was never started has polled nothing"


def test_the_record_is_taken_before_each_statistics(player: FakePlayer, monkeypatch) -> None:
    records: list[ClientRecord] = []
    watching = Watching(RecordingView(), on_record=records.append)
    now_s = time.monotonic()
    monkeypatch.setattr(player, "take_shown", lambda: [(now_s, 41)])
    with Client(ClientSettings(host="localhost"), player, on_event=watching.on_event) as client:
        watching._client = client
        run_interrupt(watching)
    (record,) = records
    ((time_s, number),) = record.shown
    assert number == 41
    assert abs(time_s - time.time()) < 60, "epoch seconds, as in captures"
