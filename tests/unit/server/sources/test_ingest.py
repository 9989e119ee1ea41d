"""The ingest: its lead when both threads use it at once, and its counts."""

import itertools
import threading
from collections import deque

from flume.media.datagrams import Datagram
from flume.server.sources.ingest import LIVE_LEAD_S, OWN_COUNTS, SHOWN_STATISTICS, Ingest
from flume.server.sources.source import ItemFailed, ItemStarted, SourceEnded, TsBytes
from support.media.camera import SyntheticCamera
from support.media.synthetic import SyntheticSource
from support.media.ts_stream import Check
from support.paths import ROOT


def filled(source: SyntheticSource) -> Ingest:
    ingest = Ingest(source)
    while (ingest.lead_s()) < 0.5:
        ingest._read_once()
    return ingest


def test_a_live_source_may_be_stopped_while_the_sender_takes():
    ingest = filled(SyntheticSource(live=True))

    class Contested(deque):
        """A queue whose source is stopped between two accesses of the sender."""

        def __getitem__(self, index):
            if not ingest.epoch:
                ingest._stop_live()
            return super().__getitem__(index)

    ingest._lead._queue = Contested(ingest._lead._queue)
    assert ingest.take(1000.0)
    assert ingest.head_s() is None
    assert ingest.lead_s() == 0.0


def test_a_source_that_failed_is_distinguished_from_one_that_ended():
    for failed in (False, True):
        ingest = Ingest(SyntheticSource())
        ingest._handle(SourceEnded("because", failed))
        assert (ingest.ended, ingest.failed, ingest.state) == ("because", failed, "ended")


def of(datagrams: list[Datagram]) -> Ingest:
    ingest = Ingest(SyntheticSource())
    ingest._extend(datagrams)
    return ingest


def test_new_tables_after_a_stop_are_announced_again():
    ingest = of([Datagram(bytes(1), 0.0, random_access=False, new_tables=True)])
    assert ingest.take(1.0) == []
    ingest._live_running = True
    ingest._stop_live()
    ingest._extend([Datagram(bytes(1), 0.0, random_access=False, new_tables=True)])
    before = ingest.epoch
    assert ingest.take(1.0) == []
    assert ingest.epoch != before


def test_packets_are_left_out_while_a_live_source_is_too_far_ahead():
    ingest = Ingest(SyntheticSource(live=True))
    for _ in range(25 * 10):
        ingest._read_once()
    assert LIVE_LEAD_S <= ingest.lead_s() < LIVE_LEAD_S + 0.2
    counts = ingest.source_counts()
    assert counts["overruns"] == 1
    assert counts["overrun_packets"] > 100
    ingest.take(ingest._lead._queue[-1].due_s - 0.9)
    for _ in range(60):
        ingest._read_once()
    assert ingest.lead_s() > 2
    due = [datagram.due_s for datagram in ingest.take(1000.0)]
    assert max(after - before for before, after in itertools.pairwise(due)) < 0.1


def test_an_item_that_breaks_off_is_ended_like_any_other():
    ingest = Ingest(SyntheticSource())
    camera = SyntheticCamera()
    whole, cut = camera.frames(30), camera.frame()[:-188]  # the audio PES has two packets
    for event in (ItemStarted("file"), TsBytes(whole + cut), ItemFailed("file", "broke off")):
        ingest._handle(event)
    assert ingest._packetizer.statistics().cut_pes == 1
    check = Check(b"".join(datagram.payload for datagram in ingest.take(1000.0)))
    assert (len(check.pes[0x100]), len(check.pes[0x110])) == (31, 30)
    assert ingest.source_counts() == {"failed_items": 1}


def test_every_count_of_the_source_is_documented():
    text = (ROOT / "docs" / "counters.md").read_text()
    for name in (*SHOWN_STATISTICS, *OWN_COUNTS, "stalls"):
        assert f"`{name}`" in text


def test_counts_may_be_read_while_the_ingest_thread_feeds():
    ingest = Ingest(SyntheticSource())
    camera = SyntheticCamera(frame_bytes=400)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            ingest._handle(ItemStarted("camera"))
            for number in range(1500):
                camera.builder.audio = (202, 200, 201)[number % 3]
                camera.builder.version, camera.tables_due = number % 32, True
                ingest._handle(TsBytes(camera.frame()))
                ingest.take(1e9)
        except BaseException as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    asked, seen = 0, 0
    while reader.is_alive():
        changes = ingest.source_counts().get("table_changes", 0)
        assert changes >= seen
        asked, seen = asked + 1, changes
    reader.join()
    assert not errors
    assert asked > 100
    assert ingest.source_counts()["table_changes"] == 1499


class SlowlyOpening:
    """A source that is known to be live some time before it gives its first event, as when its first packet is late."""

    name = "channel"
    live = False

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def read(self, *, timeout_s: float) -> None:
        self.live = True

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        """Nothing to close."""


def test_a_live_source_is_stopped_without_a_client_even_before_its_first_event():
    source = SlowlyOpening()
    ingest = Ingest(source)
    ingest.start(lambda: None)
    try:
        assert source.stopped.wait(5), "it stays open, and what it sends meanwhile is old when a client comes"
    finally:
        ingest.close()
