"""Answers scrapes: the owner of the port that Prometheus asks, and of its threads.

A scrape comes in a thread of its own. The figures are taken on the event loop, which alone may look at sessions.
"""

import asyncio
import concurrent.futures
import contextlib
import socket
import socketserver
from collections.abc import Callable, Iterator, Sequence
from threading import BoundedSemaphore, Thread, Timer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from flume.control.endpoint import endpoint
from flume.control.messages import ServerStatus
from flume.errors import NetworkError
from flume.server.metrics.families import families
from flume.server.sessions.table import SessionFigures

Figures = tuple[ServerStatus, Sequence[SessionFigures]]

MOST_AT_ONCE = 8
"""Connections that are answered at the same time; the next one is closed. Each has a thread, and takes one of the
descriptors that clients need too. Prometheus opens one every few seconds."""

REQUEST_TIMEOUT_S = 10.0
"""After so long a connection is closed, whatever comes on it: as long as Prometheus waits by default."""

ANSWER_TIMEOUT_S = 5.0
"""For the event loop's answer. A loop so late has worse problems than a scrape that fails."""


class _ServerCollector(Collector):
    """Yields the metrics of one moment for each scrape."""

    def __init__(self, figures: Callable[[], Figures], loop: asyncio.AbstractEventLoop) -> None:
        self._figures = figures
        self._loop = loop

    def describe(self) -> list[Metric]:
        """Return nothing: the registry would ask for figures to learn the names, while the loop waits for it."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all families; raises :class:`TimeoutError` where the event loop does not answer."""

        async def take() -> Figures:
            return self._figures()

        future = asyncio.run_coroutine_threadsafe(take(), self._loop)
        try:
            yield from families(*future.result(ANSWER_TIMEOUT_S))
        except concurrent.futures.CancelledError:
            return  # the server ends


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT_S

    def log_message(self, *_: object) -> None:
        """Write nothing: scrapes are no events."""


class _HttpServer(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each connection, :data:`MOST_AT_ONCE` at most."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self._places = BoundedSemaphore(MOST_AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking the DNS for this host's name, as the library does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write nothing: a connection that ended in the midst is no event either."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or close the connection where all places are taken."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection; end it in time."""

        def end() -> None:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

        timer = Timer(REQUEST_TIMEOUT_S, end)
        timer.daemon = True
        timer.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            timer.cancel()
            self._places.release()


class Exporter:
    """The HTTP server for scrapes, from its making to :meth:`close`, in a thread of its own."""

    def __init__(self, figures: Callable[[], Figures], loop: asyncio.AbstractEventLoop, host: str, port: int) -> None:
        """Answer ``GET /metrics`` at *host* and *port* (0: a free one) by *figures*, which is called on *loop*.

        Raises :class:`NetworkError` when the port cannot be bound.
        """
        registry = CollectorRegistry()  # not the library's own: a program that embeds the server may use that
        registry.register(_ServerCollector(figures, loop))
        ProcessCollector(registry=registry)
        try:
            self._server = _HttpServer(host, port)
        except OSError as error:
            reason = error.strerror or error
            raise NetworkError(f"metrics cannot be served at {endpoint(host, port)}: {reason}") from error
        self._server.set_app(make_wsgi_app(registry))
        self.address: tuple[str, int] = self._server.server_address[:2]  # type: ignore[assignment]
        """Where it listens: host and port."""
        self._thread = Thread(target=self._server.serve_forever, name="flume-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; scrapes that are under way end with their connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
