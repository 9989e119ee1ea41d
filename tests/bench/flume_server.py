"""The whole server as a program, with an MPEG-TS file in place of libvlc's output.

``python -m bench.flume_server FILE HOST PORT TICK_MS BATCH MAX_SESSIONS SENDER``; ends at SIGTERM.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import cast

from flume.server.app import Server
from flume.server.sources.source import ItemEnded, ItemStarted, SourceEnded, SourceEvent, TsBytes
from flume.settings import SenderKind, ServerSettings

PIECE_BYTES = 64 << 10
"""The most that a pipe from libvlc holds."""

CONSENT_TIMEOUT_S = 60.0
"""Longer than a measurement: dead clients must remain clients until its end."""


class FileSource:
    """Reads a file again and again; each round is an item of its own. A :class:`.source.Source`."""

    live = False

    def __init__(self, path: Path) -> None:
        """Open *path*."""
        self._path = path
        self._file = path.open("rb")
        self._playing = False
        self._closed = False

    @property
    def name(self) -> str:
        """See :class:`~flume.server.sources.source.Source`."""
        return self._path.name

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        """See :class:`~flume.server.sources.source.Source`; a file is always ready, so it never waits."""
        if self._closed:
            return SourceEnded("closed")
        if not self._playing:
            self._playing = True
            self._file.seek(0)
            return ItemStarted(self.name)
        data = self._file.read(PIECE_BYTES)
        if data:
            return TsBytes(data)
        self._playing = False
        return ItemEnded(self.name)

    def stop(self) -> None:
        """See :class:`~flume.server.sources.source.Source`."""
        self._playing = False

    def close(self) -> None:
        """See :class:`~flume.server.sources.source.Source`; the file itself is closed when the process ends."""
        self._closed = True


async def serve(source: FileSource, settings: ServerSettings) -> None:
    """Serve until SIGTERM."""
    server = Server(source, settings)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    try:
        if await server.start():
            await server.run()
    finally:
        await server.close()


def main(arguments: list[str]) -> None:
    """Read the command line and serve."""
    clip_path, host, port, tick_ms, batch, sessions, sender = arguments
    settings = ServerSettings(
        host=host,
        port=int(port),
        tick_ms=float(tick_ms),
        batch_datagrams=int(batch),
        sender=cast("SenderKind", sender),
        consent_timeout_s=CONSENT_TIMEOUT_S,
        max_sessions=int(sessions),
        max_sessions_per_address=int(sessions),
    )
    asyncio.run(serve(FileSource(Path(clip_path)), settings))


if __name__ == "__main__":
    main(sys.argv[1:])
