"""The thread between the source and the sender: reads TS, cuts datagrams, keeps a short, bounded lead.

When nobody takes datagrams the lead stays full, the thread stops reading, the pipe to libvlc fills, and libvlc
stops: a film pauses at no cost and goes on with the next frame. A live source is stopped instead.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Literal

from flume.media.packetizer import Datagram, Packetizer
from flume.server.source import ItemEnded, ItemFailed, ItemStarted, Source, SourceEnded, SourceEvent, TsBytes

LEAD_S = 1.0
"""How far reading may run ahead of sending: enough for a slow disk, little to throw away."""

LEAD_DATAGRAMS = 16_384
"""The same bound in memory (21 MiB), for streams whose clock does not advance."""

READ_TIMEOUT_S = 0.5

IngestState = Literal["starting", "running", "paused", "stopped", "ended"]

_log = logging.getLogger(__name__)


class Ingest:
    """Feeds a queue from a :class:`Source`. :meth:`take` belongs to the sender thread, the rest to control."""

    def __init__(self, source: Source, *, packetizer: Packetizer | None = None) -> None:
        """Read *source*; nothing starts before :meth:`start`."""
        self._source = source
        self._packetizer = packetizer or Packetizer()
        self._queue: deque[Datagram] = deque()
        self._space = threading.Event()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self.first = threading.Event()
        """Set once a datagram is ready or the source has ended: the server's start waits for it."""
        self.ended: str | None = None
        """Why the source ended; ``None`` while it goes on."""
        self.failed = False
        """Whether it ended because it could not go on."""
        self.failures: dict[str, str] = {}
        """Items that could not be played, with the reason; the last of each name."""
        self.restarts = 0
        """How often a live source was stopped: what was sent before then cannot be joined."""
        self.counts: Counter[str] = Counter()
        self._live_running = False
        self._on_data: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)

    @property
    def source(self) -> Source:
        """What is read."""
        return self._source

    @property
    def state(self) -> IngestState:
        """What the thread is doing, for ``status``."""
        if self.ended is not None:
            return "ended"
        if self._source.live and not self._live_running:
            return "stopped"
        if not self.first.is_set():
            return "starting"
        return "running" if self._wanted.is_set() else "paused"

    def start(self, on_data: Callable[[], None]) -> None:
        """Begin; *on_data* is called from the ingest thread when an empty queue fills or the source ends."""
        self._on_data = on_data
        self._thread.start()

    def want(self, wanted: bool) -> None:  # noqa: FBT001 - a state, not an option
        """Say whether anybody receives. A live source is started and stopped by it; a film needs no telling."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()
        self._space.set()

    def take(self, until_s: float) -> list[Datagram]:
        """Return, in order, the datagrams due up to stream time *until_s*. Never waits."""
        queue = self._queue
        taken: list[Datagram] = []
        while queue and queue[0].due_s <= until_s:
            taken.append(queue.popleft())
        if taken:
            self._space.set()
        return taken

    def head_s(self) -> float | None:
        """Return the stream time of the next datagram, ``None`` while there is none."""
        try:
            return self._queue[0].due_s
        except IndexError:
            return None

    def lead_s(self) -> float:
        """Return how many seconds of stream are ready."""
        queue = self._queue
        try:
            return queue[-1].due_s - queue[0].due_s
        except IndexError:
            return 0.0

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Stop the thread and close the source."""
        self._closing.set()
        self._space.set()
        self._wanted.set()
        self._source.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._closing.is_set() and self.ended is None:
                if self._source.live and not self._wanted.is_set():
                    self._stop_live()
                    self._wanted.wait()
                elif self._is_full():
                    self._space.wait()
                    self._space.clear()
                else:
                    self._read_once()
        except Exception as error:  # the thread must not end in silence: clients would wait for ever
            _log.exception("reading %s failed", self._source.name)
            self._end(f"reading {self._source.name} failed: {error or type(error).__name__}", failed=True)

    def _is_full(self) -> bool:
        return self.lead_s() >= LEAD_S or len(self._queue) >= LEAD_DATAGRAMS

    def _stop_live(self) -> None:
        if not self._live_running:
            return
        self._source.stop()
        self._packetizer.end_item()
        self._queue = deque()  # the sender may be taking from the old one at this moment
        self._live_running = False
        self.restarts += 1
        _log.info("nobody receives: %s is stopped", self._source.name)

    def _read_once(self) -> None:
        event = self._source.read(timeout_s=READ_TIMEOUT_S)
        if event is not None and not self._closing.is_set():
            self._live_running = True
            self._handle(event)

    def _handle(self, event: SourceEvent) -> None:
        match event:
            case TsBytes(data):
                self._extend(self._packetizer.feed_untrusted(data))
            case ItemStarted(name):
                _log.info("reading %s", name)
                self._packetizer.begin_item()
            case ItemEnded():
                self.counts["items"] += 1
                self._extend(self._packetizer.end_item())
            case ItemFailed(name, reason):
                _log.error("%s is left out: %s", name, reason)
                self.counts["failed_items"] += 1
                self.failures[name] = reason
            case SourceEnded(reason, failed):
                self._end(reason, failed=failed)

    def _extend(self, datagrams: list[Datagram]) -> None:
        if not datagrams:
            return
        was_empty = not self._queue
        self._queue.extend(datagrams)
        self.first.set()
        if was_empty:
            self._on_data()

    def _end(self, reason: str, *, failed: bool) -> None:
        self.failed = failed  # first: whoever sees the end must see this
        self.ended = reason
        self.first.set()
        self._on_data()
