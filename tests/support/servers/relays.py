"""Relays in this process: servers that take their stream from another one."""

import contextlib
from collections.abc import Callable, Iterator

from flume.control.messages import UpstreamStatus
from flume.server.relay.address import UpstreamAddress
from flume.server.relay.order import UpstreamOrder
from flume.server.relay.upstream import Upstream
from flume.settings import ClientSettings, ServerSettings
from support.clients.players import wait_until
from support.media.synthetic import SyntheticSource
from support.servers.running_server import RunningServer


class Relay(RunningServer):
    """A relay of the server at *upstream_port* of *upstream*, by default of the *host* that it listens at itself."""

    def __init__(
        self, upstream_port: int, *, host: str = "127.0.0.1", port: int = 0, upstream: str = "", **client: object
    ) -> None:
        settings = ServerSettings(host=host, port=port)
        above = upstream or host
        wishes = {"host": above, "port": upstream_port, "connect_timeout_s": 2.0, "reconnect_max_s": 0.5, **client}
        self.upstream = Upstream(
            UpstreamAddress(above, upstream_port),
            ClientSettings(**wishes),  # type: ignore[arg-type]
            packets=settings.datagram_packets,
        )
        self.states: list[UpstreamStatus] = []
        self.upstream.on_change = self.states.append
        super().__init__(self.upstream, settings)

    def says(self) -> UpstreamStatus:
        return self.upstream.upstream()

    def await_state(self, *states: str) -> UpstreamStatus:
        wait_until(f"the upstream is {' or '.join(states)}", lambda: self.says().state in states, timeout_s=30)
        return self.says()


class LossyOrder(UpstreamOrder):
    """Loses what *is_lost* says, by RTP number, before anything else sees it."""

    def __init__(self, is_lost: Callable[[int], bool]) -> None:
        super().__init__()
        self._is_lost = is_lost

    def push_untrusted(self, data: bytes, now_s: float) -> bool:
        return self._is_lost(int.from_bytes(data[2:4], "big")) or super().push_untrusted(data, now_s)


@contextlib.contextmanager
def origin_and_relay(**origin: object) -> Iterator[tuple[RunningServer, Relay]]:
    """Run an origin of a synthetic source, and a relay of it."""
    with RunningServer(SyntheticSource(**origin)) as server, Relay(server.port) as relay:  # type: ignore[arg-type]
        yield server, relay
