"""Clients that do nothing but watch: whatever happens beside them, their streams may have no hole."""

import threading
from typing import Self

from flume.settings import TOKEN_INTERVAL_S
from support.clients.numbers import assert_consecutive
from support.clients.stream_client import StreamClient
from support.clients.wire_client import WireClient, sequences
from support.namespaces import SERVER_ADDRESS, WirePair
from support.servers.plain_server import PORT


class Witnesses:
    """One client over UDP and one over TCP, from the beginning of the ``with`` block to its end."""

    def __init__(
        self,
        pair: WirePair,
        *,
        source: str,
        address: str = SERVER_ADDRESS,
        port: int = PORT,
        token_interval_s: float = TOKEN_INTERVAL_S,
    ) -> None:
        """Watch what the server at *address* sends, from the address *source* in the client's namespace of *pair*."""
        self._pair, self._source, self._server = pair, source, (address, port)
        self._token_interval_s = token_interval_s
        self._stop = threading.Event()
        self.over_udp: list[int] = []
        self.over_tcp: list[int] = []

    def __enter__(self) -> Self:
        host, port = self._server
        with self._pair.as_client():
            self._udp = WireClient(port, host=host, source=self._source)
            self._tcp = StreamClient(port, host=host)
        self._udp.connect()
        self._tcp.send("connect", transport="tcp")
        self._threads = [threading.Thread(target=one) for one in (self._watch_udp, self._watch_tcp)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        self._udp.close()
        self._tcp.connection.close()

    def _watch_udp(self) -> None:
        while not self._stop.is_set():
            self._udp.send_token()
            self.over_udp += sequences(self._udp.receive(for_s=self._token_interval_s))

    def _watch_tcp(self) -> None:
        while not self._stop.is_set():
            self._tcp.read()
        self.over_tcp = [item for item in self._tcp.items if isinstance(item, int)]

    def lost_nothing(self, *, at_least: int) -> str:
        """Fail if one of them has a hole; return what was measured. Call it after the block."""
        for numbers in (self.over_udp, self.over_tcp):
            assert len(numbers) >= at_least
            assert_consecutive(numbers)
        return f"beside it 0 of {len(self.over_udp) + len(self.over_tcp):,} datagrams lost"
