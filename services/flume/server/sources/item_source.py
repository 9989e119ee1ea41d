"""The items of a server, one after the other: their order, what reads each, and what happens when one fails."""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

from flume.errors import SourceError
from flume.reader.messages import EngineName, Failed, Opened, Play, Promise
from flume.server.sources.expand import items_behind
from flume.server.sources.items import Item, problem_of
from flume.server.sources.reader_process import ReaderProcess
from flume.server.sources.source import ItemEnded, ItemFailed, ItemStarted, SourceEnded, SourceEvent, TsBytes

RETRY_FIRST_S, RETRY_MAX_S = 1.0, 10.0
"""Pauses before items are tried again, once all of them have failed in a row: they double with each such round, up to
the second figure. A bad item among good ones costs no pause, because the next item may be good."""

VLC_SCHEMES = frozenset(
    {
        "v4l2",
        "screen",
        "dvb",
        "dvb-c",
        "dvb-s",
        "dvb-t",
        "dvd",
        "dvdsimple",
        "vcd",
        "cdda",
        "bluray",
        "alsa",
        "pulse",
        "jack",
    }
)
"""Devices, which libvlc opens and the FFmpeg of PyAV does not."""

IngestChoice = Literal["auto", "ffmpeg", "vlc"]
"""``auto``: FFmpeg, and libvlc for devices and for addresses that FFmpeg cannot open, but for those of the web."""


class SourceOptions(NamedTuple):
    """How items are played; see ``flume serve --help``."""

    loop: bool = True
    ingest: IngestChoice = "auto"
    transcode: str | None = None
    """A transcode chain of libvlc, such as ``vcodec=h264,vb=2000,scale=0.5``."""
    live: bool | None = None
    """Whether all items are live (``--live``) or films (``--film``); ``None``: ask each item."""
    program: str | None = None
    still_s: float = 10.0
    turn: bool = False


class ItemSource:
    """Plays *items* in a process of its own. A :class:`~.source.Source`.

    Raises :class:`~flume.errors.SourceError` if there are no items.

    Example::

        source = ItemSource(expand(["~/Videos"]), SourceOptions(loop=True))
    """

    def __init__(self, items: Sequence[Item], options: SourceOptions = SourceOptions()) -> None:  # noqa: B008 - a value
        """Prepare to play *items*; nothing is opened and no process runs before the first :meth:`read`."""
        if not items:
            raise SourceError("no items to play")
        if options.transcode and options.ingest == "ffmpeg":
            raise SourceError("--transcode takes options of libvlc: leave out --ingest ffmpeg")
        self._items, self._options = tuple(items), options
        self._asked: set[str] = set()
        """The addresses that were asked whether they give a playlist."""
        self.name = items[0].name if len(items) == 1 else f"{items[0].name} and {len(items) - 1} more"
        self._reader: ReaderProcess | None = None
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._closed = False
        self._position = 0
        self._events: deque[SourceEvent] = deque()
        self._engine: EngineName | None = None
        """What reads the present item; ``None`` between two items."""
        self._first_reason: str | None = None
        """Why the first of two engines did not play the present item."""
        self._promise: Promise | None = None
        self._started = False
        self._live = options.live if options.live is not None else self._item.live is True
        self._fruitless = self._failures_in_row = self._restarts = 0
        self._ever_played = False
        self._retry_s = 0.0

    @property
    def live(self) -> bool:
        """Whether the present item continues while it is not read; of the next one, as far as that is known."""
        return self._live

    @property
    def reader_pid(self) -> int | None:
        """The reader's process; ``None`` before the first :meth:`read`."""
        return None if self._reader is None else self._reader.pid

    # --- reading -----------------------------------------------------------------------------------------------

    def read(self, *, timeout_s: float) -> SourceEvent | None:
        """Return the next event; see :class:`~.source.Source`."""
        deadline_s = time.monotonic() + timeout_s
        with self._lock:
            while not self._closed:
                if self._events:
                    return self._events.popleft()
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return None
                if self._engine is None:
                    self._begin_next(left_s)
                elif self._reader is not None:
                    self._take(self._reader.receive(timeout_s=left_s, wake=self._wake))
        return None

    @property
    def _item(self) -> Item:
        return self._items[self._position % len(self._items)]

    def _begin_next(self, left_s: float) -> None:
        """Start the next item, or note why none can be started now."""
        keeps_trying = self._ever_played and any(not item.is_path for item in self._items)
        if self._fruitless >= len(self._items) and not keeps_trying:
            self._events.append(SourceEnded(f"no item can be played: {self.name}", failed=True))
            return
        if self._position >= len(self._items) and not self._options.loop:
            self._events.append(SourceEnded("everything was played, and nothing is repeated"))
            return
        pause_s = self._retry_s - time.monotonic()
        if pause_s > 0:
            wait = select.poll()
            wait.register(self._wake, select.POLLIN)
            wait.poll(min(pause_s, left_s) * 1000)
            return
        problem = problem_of(self._item)
        if problem is not None:
            self._fail(f"{self._item.shown} {problem}")
        else:
            self._first_reason = None
            self._play(self._choose_engine())

    def _choose_engine(self) -> EngineName:
        options, item = self._options, self._item
        if options.ingest != "auto":
            return options.ingest
        return "vlc" if options.transcode or item.scheme in VLC_SCHEMES else "ffmpeg"

    def _play(self, engine: EngineName) -> None:
        if self._reader is None:
            self._reader = ReaderProcess()
        item, options = self._item, self._options
        self._engine, self._promise, self._started = engine, None, False
        self._reader.play(
            Play(
                name=item.name,
                location=item.location_bytes,
                is_path=item.is_path,
                engine=engine,
                live=options.live if options.live is not None else item.live,
                transcode=options.transcode,
                program=options.program,
                still_s=options.still_s,
                turn=options.turn,
                options=item.options,
            )
        )

    def _take(self, event: object) -> None:
        match event:
            case None:
                pass
            case bytes() as data:
                if not self._started:
                    self._begin_item()
                self._events.append(TsBytes(data))
            case Opened(promise=promise):
                self._promise, self._live = promise, promise.live
            case Failed() as failed:
                self._end_in_failure(failed)
            case ended if self._started:
                self._engine = None
                self._events.append(ItemEnded(self._item.name, ended))  # type: ignore[arg-type]
                self._failures_in_row = 0
                self._position += 1
            case _:
                self._fail(f"{self._item.name} is a video without a single frame: did a copy or a recording fail?")

    def _begin_item(self) -> None:
        self._started = self._ever_played = True
        self._fruitless = 0
        self._events.append(ItemStarted(self._item.name, self._promise, self._new_restarts()))

    def _end_in_failure(self, failed: Failed) -> None:
        is_first = self._engine == "ffmpeg" and self._options.ingest == "auto" and not self._started
        if failed.unreadable and not self._started and self._expand_item():
            return
        # libvlc takes any file for something: a page of the web for sound. What FFmpeg calls no video, is none.
        may_be_known = not self._item.is_path and not self._item.is_web
        if is_first and (failed.missing or (failed.unreadable and may_be_known)):
            self._first_reason = failed.reason
            self._play("vlc")
            return
        # What FFmpeg said first is better than that libvlc does not know the item, either.
        self._fail(self._first_reason if self._first_reason is not None and failed.unreadable else failed.reason)

    def _new_restarts(self) -> dict[str, int]:
        """Return how often the reader was replaced since the last call, as counts."""
        new = 0 if self._reader is None else self._reader.restarts - self._restarts
        self._restarts += new
        return {"reader_restarts": new} if new else {}

    def _expand_item(self) -> bool:
        """Put the items of a playlist in the place of the present item, if its address gives one; return whether."""
        item = self._item
        if item.location in self._asked:
            return False
        self._asked.add(item.location)
        found = items_behind(item)
        if not found:
            return False
        at = self._position % len(self._items)
        self._items = (*self._items[:at], *found, *self._items[at + 1 :])
        self._position, self._engine = at, None
        return True

    def _fail(self, reason: str) -> None:
        self._engine = None
        restarts = self._new_restarts()
        self._events.append(ItemFailed(self._item.name, reason, restarts))
        # A crash does not prove that an item cannot be played, where others have been.
        self._fruitless += not self._started and not (restarts and self._ever_played)
        self._started = False
        self._failures_in_row += 1
        rounds, failures = divmod(self._failures_in_row, len(self._items))
        if not failures:
            self._retry_s = time.monotonic() + min(RETRY_FIRST_S * 2 ** min(rounds - 1, 8), RETRY_MAX_S)
        self._position += 1

    # --- ending ------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Close the input; the next :meth:`read` begins the present item again."""
        with self._lock:
            if self._reader is not None and self._engine is not None:
                self._reader.stop()
            self._engine, self._started = None, False
            self._events.clear()

    def close(self) -> None:
        """Stop for good, and end the reader's process; from any thread, any number of times."""
        if self._closed:
            return
        self._closed = True
        os.eventfd_write(self._wake, 1)
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            os.close(self._wake)
