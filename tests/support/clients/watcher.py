"""A client that keeps what it reports, and its settings, for the tests of the client."""

import msgspec

from flume.client.app import Client
from flume.client.events import ClientEvent
from flume.control import messages
from flume.control.session import State
from flume.settings import ClientSettings
from support.clients.players import FakePlayer


def settings(port: int, **changes: object) -> ClientSettings:
    values = {"host": "127.0.0.1", "port": port, "connect_timeout_s": 2.0, "reconnect_max_s": 0.5, **changes}
    return msgspec.convert(values, ClientSettings)


class Watcher:
    def __init__(self, port: int, **changes: object) -> None:
        self.player = FakePlayer()
        self.events: list[ClientEvent] = []
        self.client = Client(settings(port, **changes), self.player, on_event=self.events.append)

    def __enter__(self) -> "Watcher":
        self.client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def connect(self) -> None:
        assert isinstance(self.client.connect(), messages.Connected)
        assert self.client.wait_until_state(State.ACTIVE, timeout_s=5)

    def messages(self) -> str:
        return " | ".join(event.message or "" for event in self.events)
