"""The loop of ``flume watch``: what it shows, whichever thread finds it."""

import threading

from flume.client.app import Client
from flume.client.terminal.watching import Watching
from flume.control import messages as m
from flume.control.session import Command, State
from flume.settings import ClientSettings
from support.clients.players import FakePlayer


class Heard:
    """A view that keeps the names of what it is shown."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str):
        return lambda *args, **_kwargs: self.names.append(str(args[0].event) if name == "event" else name)


def test_a_picture_that_a_command_finds_first_stops_nothing(monkeypatch) -> None:
    """The statistics after a command look for the awaited picture, and report it: to the same view."""
    heard, player = Heard(), FakePlayer()
    watching = Watching(heard)
    client = Client(ClientSettings(host="localhost"), player, on_event=watching.on_event)

    def shown_meanwhile(_command: Command) -> m.Reply:
        client._first_frames.expect(Command.CONTINUE, 0.0)
        player.write([b"a picture"])
        return m.Interrupted(state=State.INTERRUPTED, last_sequence=1, datagrams=1)

    player.start()
    monkeypatch.setattr(client, "send", shown_meanwhile)
    monkeypatch.setattr(watching, "_client", client)
    thread = threading.Thread(target=watching.run_command, args=(Command.INTERRUPT,), daemon=True)
    thread.start()
    thread.join(5)
    try:
        assert not thread.is_alive(), "the client waits for itself"
        assert heard.names == ["command", "first_frame", "statistics"]
    finally:
        client.close()
