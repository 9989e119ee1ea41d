"""A source of your own: serves the MPEG-TS that any program writes to its standard output.

    .venv/bin/python examples/own_source.py 5004
    .venv/bin/python examples/own_source.py 5004 ffmpeg -re -i talk.mp4 -c copy -f mpegts -

Without a command it serves ffmpeg's test picture, generated in real time. The module flume.server.sources.source says
what a server expects of a source.
"""

import asyncio
import os
import select
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from flume.errors import FlumeError
from flume.server.app import Server
from flume.server.sources.source import ItemEnded, ItemStarted, SourceEnded, SourceEvent, TsBytes
from flume.settings import ServerSettings

TEST_PICTURE = (
    *("ffmpeg", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=640x360:rate=25"),
    *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-f", "mpegts", "-"),
)
"""With a keyframe each second (-g 25), where clients can join."""


class ProgramSource:
    """Implements ``Source``. It is live: the server stops it while there are no clients, and starts it again."""

    live = True

    def __init__(self, command: Sequence[str]) -> None:
        """Serve the standard output of *command*, which starts with the first read."""
        self.name = command[0]
        self._command = command
        self._lock = threading.Lock()  # close() may be called from another thread than read() and stop()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        """Return the next event, or ``None`` when there is none within *timeout_s*."""
        with self._lock:
            if self._closed:
                return None
            if self._output is None:
                return self._start()
            output = self._output
        ready, _, _ = select.select([output], [], [], timeout_s)
        if not ready:
            return None
        data = os.read(output.fileno(), 65536)
        return TsBytes(data) if data else self._end()

    def _start(self) -> SourceEvent:
        try:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        except OSError as error:
            return SourceEnded(f"cannot start {self.name}: {error.strerror}", failed=True)
        self._output = self._process.stdout
        return ItemStarted(self.name)

    def _end(self) -> SourceEvent:
        """The program has closed its output: an item ends, and the next read starts the program again."""
        status = self._process.wait() if self._process is not None else 0
        self.stop()
        if status:
            return SourceEnded(f"{self.name} ended with status {status}", failed=True)
        return ItemEnded(self.name)

    def stop(self) -> None:
        """End the program."""
        with self._lock:
            process, self._process = self._process, None
            output, self._output = self._output, None
        if process is not None and output is not None:
            process.kill()
            process.wait()
            output.close()

    def close(self) -> None:
        """End the program for good: its output ends, and with it a read that waits."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()


async def serve(source: ProgramSource, port: int) -> None:
    """Serve *source* until Ctrl-C; port 0 lets the kernel choose one."""
    server = Server(source, ServerSettings(port=port))
    try:
        await server.start()
        print(f"listening on port {server.port}: control over TCP, media over UDP", flush=True)
        print(await server.run())
    finally:
        await server.close()


if __name__ == "__main__":
    source = ProgramSource(sys.argv[2:] or TEST_PICTURE)
    try:
        asyncio.run(serve(source, int(sys.argv[1])))
    except KeyboardInterrupt:
        print("interrupted")
    except FlumeError as error:
        sys.exit(f"{error}")
    finally:
        source.close()
        source.stop()
