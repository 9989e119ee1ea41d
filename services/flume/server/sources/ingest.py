"""The thread between the source and the sender: reads TS, cuts datagrams, keeps a short, bounded lead.

When nobody takes datagrams the lead stays full, the thread stops reading, the pipe to libvlc fills, and libvlc
stops: a film pauses at no cost and goes on with the next frame. A live source is stopped instead.

A live source does not wait: what is not read is lost somewhere on its way, uncounted. So it is always read, and when
its lead grows too long, because its clock is faster than ours or because it hands over what it held back, everything is
left out up to a keyframe, counted, and those who receive see a cut and no silence.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

from flume.media.datagrams import Datagram
from flume.media.packetizer import Packetizer
from flume.server.sources.lead import Lead
from flume.server.sources.source import ItemEnded, ItemFailed, ItemStarted, Source, SourceEnded, SourceEvent, TsBytes

LEAD_S = 1.0
"""How far reading may run ahead of sending: enough for a slow disk, little to throw away."""

REFILL_S = 0.1
"""How much of the lead is used up before reading goes on. Reading at every tick would have the two threads meet at the
interpreter's lock a hundred times a second: at 8 Mbit/s that cost more than the reading (measured)."""

LEAD_DATAGRAMS = 16_384
"""The same bound in memory (21 MiB), for streams whose clock does not advance."""

LIVE_LEAD_S = 5.0
"""How far a live source may run ahead before something is left out. libvlc hands over 2 s at once when it begins
(measured), and the sender stands still for up to 2 s when nobody receives: no reason to lose anything."""

PICTURE_LEAD_S = 0.3
"""While something is left out: below this any picture has to do, for no keyframe has come in time."""

OVERRUN_PAUSE_S = 0.005
"""Between two reads while something is left out: no source, however fast, takes the processor from the sender."""

READ_TIMEOUT_S = 0.5

STALL_S = 0.5
"""A source that was read for so long without giving anything, while all it gave is gone, has stalled."""

SHOWN_STATISTICS = (
    "resyncs",
    "skipped_bytes",
    "damaged_packets",
    "duplicate_packets",
    "continuity_gaps",
    "foreign_packets",
    "damaged_tables",
    "table_changes",
    "pcr_jumps",
    "pcr_gaps",
    "stray_timestamps",
    "unclocked_datagrams",
    "overrun_packets",
)
"""What ``status`` tells of :class:`~flume.media.packetizer.PacketizerStatistics`: whatever is not as it should be.
Sound that is cut off at the end of a film is not among it: libvlc does that to most of them."""

OWN_COUNTS = ("overruns", "failed_items")
"""What it tells of the ingest itself."""

IngestState = Literal["starting", "running", "stalled", "paused", "stopped", "ended"]

_log = logging.getLogger(__name__)


class Ingest:
    """Feeds a queue from a :class:`Source`. :meth:`take` belongs to the sender thread, the rest to control."""

    def __init__(self, source: Source, *, packetizer: Packetizer | None = None) -> None:
        """Read *source*; nothing starts before :meth:`start`."""
        self._source = source
        self._packetizer = packetizer or Packetizer()
        self._lead = Lead()
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
        self.counts: Counter[str] = Counter()
        self._live_running = False
        self._heard_s = time.monotonic()
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
        if not self._wanted.is_set():
            return "paused"
        return "stalled" if not self._lead and time.monotonic() - self._heard_s > STALL_S else "running"

    def source_counts(self) -> dict[str, int]:
        """Return what was not as it should be with the source, by name, without those that never happened.

        From any thread, and without a lock: see :meth:`~flume.media.packetizer.Packetizer.statistics`.
        """
        statistics = self._packetizer.statistics()
        counts = {name: getattr(statistics, name) for name in SHOWN_STATISTICS}
        counts |= {name: self.counts[name] for name in OWN_COUNTS}
        return {name: count for name, count in counts.items() if count}

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

    @property
    def epoch(self) -> int:
        """Another value makes earlier datagrams invalid as join points; see :class:`~.lead.Lead`."""
        return self._lead.epoch

    def take(self, until_s: float) -> list[Datagram]:
        """Return, in order, the datagrams due up to stream time *until_s*. Never waits."""
        taken = self._lead.take(until_s)
        if taken and self._lead.seconds() < LEAD_S - REFILL_S:
            self._space.set()
        return taken

    def head_s(self) -> float | None:
        """Return the stream time of the next datagram, ``None`` while there is none."""
        return self._lead.head_s()

    def lead_s(self) -> float:
        """Return how many seconds of stream are ready."""
        return self._lead.seconds()

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
                elif not self._source.live and self._is_full():
                    self._space.wait()
                    self._space.clear()
                else:
                    self._read_once()
        except Exception as error:  # the thread must not end in silence: clients would wait for ever
            _log.exception("reading %s failed", self._source.name)
            self._end(f"reading {self._source.name} failed: {error or type(error).__name__}", failed=True)

    def _is_full(self) -> bool:
        return self.lead_s() >= LEAD_S or len(self._lead) >= LEAD_DATAGRAMS

    def _stop_live(self) -> None:
        if not self._live_running:
            return
        self._source.stop()
        self._packetizer.end_item()
        self._lead.clear()
        self._live_running = False
        _log.info("nobody receives: %s is stopped", self._source.name)

    def _read_once(self) -> None:
        event = self._source.read(timeout_s=READ_TIMEOUT_S)
        if event is not None and not self._closing.is_set():
            self._live_running = True
            self._heard_s = time.monotonic()
            self._handle(event)
            if self._source.live:
                self._keep_up()

    def _keep_up(self) -> None:
        """Leave something out when a live source is too far ahead, and go on once it is not."""
        packetizer, lead_s = self._packetizer, self.lead_s()
        if packetizer.is_skipping:
            if lead_s < LEAD_S:
                packetizer.resume(at="any_frame" if lead_s < PICTURE_LEAD_S else "keyframe")
            self._closing.wait(OVERRUN_PAUSE_S)
        elif lead_s > LIVE_LEAD_S or len(self._lead) >= LEAD_DATAGRAMS:
            self.counts["overruns"] += 1
            _log.warning("%s comes faster than it can be sent: something is left out", self._source.name)
            self._extend(packetizer.skip())

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
                self._extend(self._packetizer.end_item())
            case SourceEnded(reason, failed):
                self._end(reason, failed=failed)

    def _extend(self, datagrams: list[Datagram]) -> None:
        if not datagrams:
            return
        was_empty = not self._lead
        self._lead.extend(datagrams)
        self.first.set()
        if was_empty:
            self._on_data()

    def _end(self, reason: str, *, failed: bool) -> None:
        self.failed = failed  # first: whoever sees the end must see this
        self.ended = reason
        self.first.set()
        self._on_data()
