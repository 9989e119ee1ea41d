"""A real server in this process, on a thread of its own."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Self

from flume.server.app import Server
from flume.server.sources.feed import Feed
from flume.server.sources.source import Source
from flume.settings import ServerSettings
from support.media.synthetic import SyntheticSource


class RunningServer:
    """Starts with the ``with`` block, ends in order with it."""

    def __init__(
        self,
        source: Source | Feed | None = None,
        settings: ServerSettings | None = None,
    ) -> None:
        self.source = source or SyntheticSource()
        self.settings = settings or ServerSettings(host="127.0.0.1", port=0)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self.ended: str | None = None
        self._thread = threading.Thread(target=self._run, name="server-under-test")

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.source.close()

    @property
    def port(self) -> int:
        return self.server.port

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self.loop.call_soon_threadsafe(self.server.stop)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the server did not end"

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._error = error
            self._ready.set()

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.server = Server(self.source, self.settings)
        try:
            await self.server.start()
        except BaseException:
            await self.server.close()
            raise
        self._ready.set()
        self.ended = await self.server.run()


@contextlib.contextmanager
def running_server(**settings: object) -> Iterator[RunningServer]:
    """Run a server of a synthetic source with *settings* on a free port of loopback."""
    values = {"host": "127.0.0.1", "port": 0, **settings}
    with RunningServer(settings=ServerSettings(**values)) as server:  # type: ignore[arg-type]
        yield server


@contextlib.contextmanager
def busy(server: RunningServer, *, for_s: float = 0.05) -> Iterator[None]:
    """Keep the server's event loop busy for *for_s*: it then reads all that the block has sent at once."""
    began = threading.Event()

    def work() -> None:
        began.set()
        time.sleep(for_s)

    server.loop.call_soon_threadsafe(work)
    assert began.wait(5)
    yield
    time.sleep(for_s)
