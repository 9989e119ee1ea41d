"""Answers scrapes: the only importer of prometheus_client's HTTP server, and the owner of its port.

A scrape comes in a thread of that server's. The figures is taken on the event loop, which alone may look at sessions.
"""

import asyncio
import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from flume.control.endpoint import endpoint
from flume.control.messages import ServerStatus
from flume.errors import NetworkError
from flume.server.metrics.families import families
from flume.server.sessions.table import SessionFigures

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

Figures = tuple[ServerStatus, Sequence[SessionFigures]]

REQUEST_TIMEOUT_S = 10.0
"""A connection on which nothing comes for so long is closed: each has a thread."""

ANSWER_TIMEOUT_S = 5.0
"""For the event loop's answer. Prometheus gives up after 10 s by default; a loop so late has worse problems."""


class _ServerCollector(Collector):
    """Yields the metrics of one figures for each scrape."""

    def __init__(self, figures: Callable[[], Figures], loop: asyncio.AbstractEventLoop) -> None:
        self._figures = figures
        self._loop = loop

    def describe(self) -> list[Metric]:
        """Return nothing: the registry would take a figures to learn the names, before there is a loop's turn."""
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


class Exporter:
    """The HTTP server for scrapes, from :meth:`start` to :meth:`close`, in a thread of its own."""

    def __init__(self, server: "WSGIServer", thread: Thread) -> None:
        """See :meth:`start`."""
        self._server, self._thread = server, thread
        self.address: tuple[str, int] = server.server_address[:2]  # type: ignore[assignment]
        """Where it listens: host and port."""

    @classmethod
    def start(cls, figures: Callable[[], Figures], loop: asyncio.AbstractEventLoop, host: str, port: int) -> "Exporter":
        """Answer ``GET /metrics`` at *host* and *port* (0: a free one) by *figures*, which is called on *loop*.

        Raises :class:`NetworkError` when the port cannot be bound.
        """
        registry = CollectorRegistry()  # not the library's own: a program that embeds the server may use that
        registry.register(_ServerCollector(figures, loop))
        ProcessCollector(registry=registry)
        try:
            server, thread = start_http_server(port, addr=host, registry=registry)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise NetworkError(f"metrics cannot be served at {endpoint(host, port)}: {reason}") from error
        handler: Any = server.RequestHandlerClass
        server.RequestHandlerClass = type("Handler", (handler,), {"timeout": REQUEST_TIMEOUT_S})
        return cls(server, thread)

    def close(self) -> None:
        """Listen no more; scrapes that are under way end with their connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
