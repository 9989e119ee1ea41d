"""A source that plays into memory, for the tests of the source and its reader."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from flume.media.datagrams import Datagram
from flume.media.packetizer import Packetizer
from flume.server.sources.expand import expand
from flume.server.sources.item_source import IngestChoice, ItemSource, SourceOptions
from flume.server.sources.source import ItemEnded, ItemFailed, ItemStarted, SourceEnded, SourceEvent, TsBytes
from support.media.ts_stream import Check

DEADLINE_S = 30.0


class Recording:
    """Reads a source as the ingest does: keeps its events, and feeds its bytes to a packetizer."""

    def __init__(self, source: ItemSource) -> None:
        self.source = source
        self.packetizer = Packetizer()
        self.events: list[SourceEvent] = []
        self.datagrams: list[Datagram] = []
        self.bytes = 0

    def step(self) -> SourceEvent | None:
        event = self.source.read(timeout_s=0.5)
        if isinstance(event, TsBytes):
            self.bytes += len(event.data)
            self.datagrams += self.packetizer.feed_untrusted(event.data)
        elif event is not None:
            self.events.append(event)
            if isinstance(event, ItemStarted):
                self.packetizer.begin_item(trusted_clock=event.promise is not None and event.promise.engine == "ffmpeg")
            elif isinstance(event, ItemEnded):
                self.datagrams += self.packetizer.end_item(event.ended.last_durations if event.ended else None)
        return event

    def until(self, *, items: int | None = None, least_bytes: int = 0) -> "Recording":
        """Read until the source ends, or *items* have ended, or *least_bytes* have come."""
        deadline_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline_s:
            event = self.step()
            if isinstance(event, SourceEnded):
                return self
            if items is not None and sum(isinstance(seen, ItemEnded) for seen in self.events) >= items:
                return self
            if least_bytes and self.bytes >= least_bytes:
                return self
        raise AssertionError(f"nothing more within {DEADLINE_S} s: {self.events}, {self.bytes} bytes")

    def save(self, path: Path) -> Path:
        path.write_bytes(b"".join(datagram.payload for datagram in self.datagrams))
        return path

    def failures(self) -> list[ItemFailed]:
        return [event for event in self.events if isinstance(event, ItemFailed)]


@contextlib.contextmanager
def playing(
    *sources: object, loop: bool = False, transcode: str | None = None, ingest: IngestChoice = "vlc"
) -> Iterator[Recording]:
    options = SourceOptions(loop=loop, ingest=ingest, transcode=transcode)
    source = ItemSource(expand([str(each) for each in sources]), options)
    try:
        yield Recording(source)
    finally:
        source.close()


def check_seamless(recording: Recording) -> Check:
    check = Check(b"".join(datagram.payload for datagram in recording.datagrams))
    pcrs = [pcr for _, pcr in check.pcrs]
    due = [datagram.due_s for datagram in recording.datagrams]
    assert check.continuity_errors == 0
    assert pcrs == sorted(pcrs)
    assert due == sorted(due)
    assert max(after - before for before, after in itertools.pairwise(pcrs)) < 27_000_000
    return check


def threads(prefix: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)]
