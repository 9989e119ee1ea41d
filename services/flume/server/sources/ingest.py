"""The thread that reads the source, cuts its MPEG-TS into datagrams, and keeps a short, bounded lead over the sender.

A file source has back-pressure: while the sender takes no datagrams, the lead stays full, this thread stops reading,
the pipe from libvlc fills, and libvlc waits. So a file pauses at no cost and continues with the next frame.

A live source does not wait: what is not read is lost inside or before libvlc, uncounted. So it is always read while
clients receive, and stopped while none do. Its lead grows too long if its clock is faster than ours, or if it hands
over data that it held back. Then packets are left out up to a keyframe, and counted; viewers see a cut and no pause.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

from flume.control.messages import UpstreamStatus
from flume.media.datagrams import Datagram
from flume.media.packetizer import Packetizer
from flume.reader.messages import Promise
from flume.server.sources import promise as promises
from flume.server.sources.feed import FeedState, new_identity
from flume.server.sources.lead import Lead
from flume.server.sources.promise import Shortfall
from flume.server.sources.source import ItemEnded, ItemFailed, ItemStarted, Source, SourceEnded, SourceEvent, TsBytes

LEAD_S = 1.0
"""How far reading may be ahead of sending: enough for a slow disk, and little to throw away."""

REFILL_S = 0.1
"""How much of the lead is sent before reading resumes. Reading at every tick would make the two threads contend for the
GIL a hundred times a second: at 8 Mbit/s that cost more than the reading (measured)."""

LEAD_DATAGRAMS = 16_384
"""The same bound in memory (21 MiB), for streams whose PCR does not advance."""

LIVE_LEAD_S = 5.0
"""How far a live source may be ahead before packets are left out. Two delays are normal and must not cost packets:
libvlc hands over 2 s at once when it begins (measured), and without recipients the sender pauses for up to 2 s."""

LIVE_PREBUFFER_S = 0.3
"""libvlc delivers live streams in bursts of 250 ms: sending begins when more than one burst is at hand."""

ANY_FRAME_LEAD_S = 0.3
"""While packets are left out and no keyframe comes: with less lead than this the stream resumes at any frame."""

OVERRUN_PAUSE_S = 0.005
"""Pause between two reads while packets are left out, so that a fast source leaves the CPU to the sender."""

READ_TIMEOUT_S = 0.5

STALL_S = 0.5
"""A source has stalled if it gave nothing for this long and the lead is empty."""

SHOWN_STATISTICS = (
    "resyncs",
    "skipped_bytes",
    "damaged_packets",
    "duplicate_packets",
    "continuity_gaps",
    "unreferenced_packets",
    "damaged_tables",
    "table_changes",
    "pcr_jumps",
    "timestamp_jumps",
    "pcr_gaps",
    "stray_timestamps",
    "unclocked_datagrams",
    "rate_limited_datagrams",
    "overrun_packets",
)
"""The counters of :class:`~flume.media.statistics.PacketizerStatistics` that ``status`` reports: faults of the source.
``cut_pes`` is not among them: libvlc cuts off the last audio PES of most files."""

OWN_COUNTS = (
    "overruns",
    "failed_items",
    "reader_restarts",
    "clock_jumps",
    "damaged_reads",
    "pid_changes",
    *promises.COUNTS,
)
"""The counters of the ingest itself, of its reader, and of what items promised, that ``status`` reports."""

_log = logging.getLogger(__name__)


class Ingest:
    """Fills a :class:`~.lead.Lead` from a :class:`~.source.Source`, in a thread of its own.

    :meth:`take`, :meth:`head_s` and :meth:`lead_s` are for the sender thread. The rest is for the control side.
    """

    is_paced = True

    def __init__(self, source: Source, *, packetizer: Packetizer | None = None) -> None:
        """Prepare to read *source*; :meth:`start` begins."""
        self._source = source
        self._packetizer = packetizer or Packetizer()
        self._lead = Lead()
        self._space = threading.Event()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self.identity = new_identity()
        self.on_change: Callable[[UpstreamStatus], None] = lambda _status: None
        self.first = threading.Event()
        """Set once a datagram is ready or the source has ended; the server waits for it before it accepts clients."""
        self.ended: str | None = None
        """Why the source ended; ``None`` while it continues."""
        self.failed = False
        """Whether it ended because of an error."""
        self.failures: dict[str, str] = {}
        """Why items could not be played, by name; the last reason of each."""
        self.counts: Counter[str] = Counter()
        self._promise: Promise | None = None
        self._said: set[tuple[str, str]] = set()
        self._live_running = False
        self._last_event_s = time.monotonic()
        self._on_data: Callable[[], None] = lambda: None
        self._on_broken: Callable[[str], None] = lambda _: None
        self._in_item = False
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)

    @property
    def source(self) -> Source:
        """The source that is read."""
        return self._source

    @property
    def name(self) -> str:
        """See :class:`~.feed.Feed`."""
        return self._source.name

    @property
    def live(self) -> bool:
        """See :class:`~.feed.Feed`."""
        return self._source.live

    @property
    def state(self) -> FeedState:
        """What the thread is doing, for ``status``."""
        if self.ended is not None:
            return "ended"
        if self._source.live and not self._live_running:
            return "stopped"
        if not self.first.is_set():
            return "starting"
        if not self._wanted.is_set():
            return "paused"
        return "stalled" if not self._lead and time.monotonic() - self._last_event_s > STALL_S else "running"

    def source_counts(self) -> dict[str, int]:
        """Return the faults of the source that occurred, as counts by name.

        From any thread, without a lock: see :meth:`~flume.media.packetizer.Packetizer.statistics`.
        """
        statistics = self._packetizer.statistics()
        counts = {name: getattr(statistics, name) for name in SHOWN_STATISTICS}
        counts |= {name: self.counts[name] for name in OWN_COUNTS}
        return {name: count for name, count in counts.items() if count}

    def upstream(self) -> UpstreamStatus | None:
        """See :class:`~.feed.Feed`."""
        return None

    def start(self, on_data: Callable[[], None], on_broken: Callable[[str], None] = lambda _: None) -> None:
        """Start the thread. It calls *on_data* when an empty lead fills, and when the source ends.

        It calls *on_broken* with the reason when an item breaks off of which something was sent.
        """
        self._on_data, self._on_broken = on_data, on_broken
        self._thread.start()

    def want(self, wanted: bool) -> None:  # noqa: FBT001 - a state, not an option
        """Set whether any client receives. It starts and stops a live source; a file source pauses by itself."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()
        self._space.set()

    @property
    def prebuffer_s(self) -> float:
        """How many seconds of stream are to be at hand before sending begins."""
        return LIVE_PREBUFFER_S if self._source.live else 0.0

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
                    self._announce()
                    self._wanted.wait()
                elif not self._source.live and self._is_full():
                    self._space.wait()
                    self._space.clear()
                else:
                    self._read_once()
        except Exception as error:  # without a report, clients would wait for ever
            _log.exception("reading %s failed", self._source.name)
            self._end(f"reading {self._source.name} failed: {error or type(error).__name__}", failed=True)

    def _announce(self) -> None:
        """Let the server begin, since a live source gives nothing before a client receives; and let the sender learn of
        the new epoch now, so that a client that joins next begins after it."""
        self.first.set()
        self._on_data()

    def _is_full(self) -> bool:
        return self.lead_s() >= LEAD_S or len(self._lead) >= LEAD_DATAGRAMS

    def _stop_live(self) -> None:
        if not self._live_running:
            return
        self._source.stop()
        self._packetizer.end_item()
        self._lead.clear()
        self._live_running = False
        _log.info("%s is stopped: no client receives", self._source.name)

    def _read_once(self) -> None:
        self._live_running = True  # from here on the source has an item open, also before it gives the first event
        event = self._source.read(timeout_s=READ_TIMEOUT_S)
        if event is not None and not self._closing.is_set():
            self._last_event_s = time.monotonic()
            self._handle(event)
            if self._source.live:
                self._keep_up()

    def _keep_up(self) -> None:
        """Leave packets out while a live source is too far ahead."""
        packetizer, lead_s = self._packetizer, self.lead_s()
        if packetizer.is_skipping:
            if lead_s < LEAD_S:
                packetizer.resume(at="any_frame" if lead_s < ANY_FRAME_LEAD_S else "keyframe")
            self._closing.wait(OVERRUN_PAUSE_S)
        elif lead_s > LIVE_LEAD_S or len(self._lead) >= LEAD_DATAGRAMS:
            self.counts["overruns"] += 1
            _log.warning("%s sends faster than its clock: packets are left out up to a keyframe", self._source.name)
            self._extend(packetizer.skip())

    def _handle(self, event: SourceEvent) -> None:
        match event:
            case TsBytes(data):
                self._extend(self._packetizer.feed_untrusted(data))
            case ItemStarted() as started:
                self._begin_item(started)
            case ItemEnded() as ended:
                self._end_item(ended)
            case ItemFailed() as failed:
                self._fail_item(failed)
            case SourceEnded(reason, failed):
                self._end(reason, failed=failed)

    def _begin_item(self, started: ItemStarted) -> None:
        promise = self._promise = started.promise
        self._in_item = True
        self.counts.update(started.counts)
        _log.info("reading %s%s", started.name, "" if promise is None else f" ({promises.summary(promise)})")
        if promise is None:
            self._packetizer.begin_item(live=self._source.live)
            return
        rate = None if promise.live else promise.bit_rate
        self._packetizer.begin_item(trusted_clock=promise.engine == "ffmpeg", live=promise.live, bit_rate=rate)
        self._report(started.name, promises.not_carried(promise))

    def _end_item(self, ended: ItemEnded) -> None:
        self.counts["items"] += 1
        promise, self._promise, self._in_item = self._promise, None, False
        counted = ended.ended
        self._extend(self._packetizer.end_item(counted.last_durations if counted is not None else None))
        if counted is not None:
            self.counts.update(counted.counts)
            if promise is not None:
                self._report(ended.name, promises.missing(promise, counted, self._packetizer.item_account()))

    def _fail_item(self, failed: ItemFailed) -> None:
        self.counts.update(failed.counts)
        _log.error("%s is skipped: %s", failed.name, failed.reason)
        self.counts["failed_items"] += 1
        self.failures[failed.name] = failed.reason
        if self._in_item:
            self._on_broken(f"{failed.name}: {failed.reason}; the next item follows")
        self._promise, self._in_item = None, False
        self._extend(self._packetizer.end_item())

    def _report(self, name: str, shortfalls: list[Shortfall]) -> None:
        for shortfall in shortfalls:
            self.counts[shortfall.counter] += shortfall.amount
            # A film that is repeated would say the same again each time.
            said = (name, shortfall.text)
            _log.log(logging.DEBUG if said in self._said else logging.WARNING, "%s: %s", *said)
            self._said.add(said)

    def _extend(self, datagrams: list[Datagram]) -> None:
        if not datagrams:
            return
        was_empty = not self._lead
        self._lead.extend(datagrams)
        self.first.set()
        if was_empty:
            self._on_data()

    def _end(self, reason: str, *, failed: bool) -> None:
        self.failed = failed  # before `ended`: a thread that sees the end must also see this
        self.ended = reason
        self.first.set()
        self._on_data()
