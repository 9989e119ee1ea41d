"""The reader by libvlc over its life: what it frees, and what it never accumulates."""

import os
import re
import threading
import time
from pathlib import Path
from typing import cast

import pytest

from flume.errors import SourceError
from flume.reader.engine import Sink, UnplayableError
from flume.reader.libvlc import log
from flume.reader.libvlc.engine import VlcEngine
from flume.reader.messages import Play
from flume.server.sources.expand import expand
from flume.server.sources.item_source import ItemSource, SourceOptions
from flume.server.sources.items import Item
from support.media.clips import ffmpeg, tone_input, video_input
from support.media.playing import check_seamless, playing
from support.media.reader_soak import Holding, soak
from support.ports import free_port

pytestmark = pytest.mark.vlc

STARTS = 60
"""So many starts of each kind in the suite. By hand, ``python -m support.media.reader_soak 500 PATH...``."""


def descriptors(pid: int | str = "self") -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def tasks(pid: int | str = "self") -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def test_close_wakes_a_waiting_read_and_frees_everything(card: Path) -> None:
    ItemSource(expand([str(card)]), SourceOptions(ingest="vlc")).close()
    open_before, tasks_before = descriptors(), tasks()
    items = (Item("silent", f"udp://@127.0.0.1:{free_port()}", is_path=False, live=True),)
    source = ItemSource(items, SourceOptions(loop=True, ingest="vlc"))
    seen: list[object] = []
    reader = threading.Thread(target=lambda: seen.append(source.read(timeout_s=20)))
    reader.start()
    threading.Event().wait(0.6)
    assert source.reader_pid is not None
    before_s = time.monotonic()
    source.close()
    reader.join(5)
    source.close()
    assert seen == [None]
    assert time.monotonic() - before_s < 3
    assert source.read(timeout_s=0.1) is None
    assert descriptors() <= open_before
    assert tasks() <= tasks_before
    assert not Path(f"/proc/{source.reader_pid}").exists()


def test_many_items_leak_neither_threads_nor_descriptors(card: Path) -> None:
    with playing(card, loop=True) as recording:
        recording.until(items=3)
        pid = recording.source.reader_pid
        assert pid is not None
        before = descriptors(), tasks(), descriptors(pid), tasks(pid)
        recording.until(items=25)
        assert recording.source.reader_pid == pid, "one process played them all"
        assert descriptors() <= before[0] + 1
        assert tasks() <= before[1] + 2
        assert descriptors(pid) <= before[2] + 4  # a pipe and what libvlc opens of the next item
        assert tasks(pid) <= before[3] + 8
    check_seamless(recording)


def test_the_log_of_libvlc_stays_within_its_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LOG_BYTES", 4096)
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    item = Play(name="text.mp4", location=os.fsencode(tmp_path / "text.mp4"), is_path=True, engine="vlc")
    engine = VlcEngine()
    for _ in range(30):
        with pytest.raises(UnplayableError) as raised:
            engine.play(item, cast("Sink", None))  # nothing comes that far
        assert os.fstat(engine._log._file).st_blocks * 512 <= 12_288
        assert re.search(r"\(libvlc: \w+ \w+: [^\0]+\)", str(raised.value))
    engine.close()


def test_no_items_at_all_are_refused() -> None:
    with pytest.raises(SourceError, match="no items"):
        ItemSource((), SourceOptions(ingest="vlc"))


def check_nothing_grows(before: Holding, after: Holding) -> None:
    print(before, after)
    assert after.starts == STARTS
    assert after.mebibytes <= before.mebibytes + 8
    assert after.threads <= max(before.threads, 4)  # those of the item that has just ended may still be ending
    assert after.descriptors <= before.descriptors


@pytest.fixture(scope="module")
def transcoded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Short films: of two every track has to be transcoded, and of one the picture."""
    folder = tmp_path_factory.mktemp("transcoded")
    picture, tone = video_input(seconds=0.6, size="160x90"), tone_input(seconds=0.6)
    fast = ("-deadline", "realtime", "-cpu-used", 8)
    ffmpeg(*picture, *tone, "-c:v", "libvpx-vp9", *fast, "-c:a", "libopus", folder / "a.webm")
    ffmpeg(*picture, "-c:v", "libvpx-vp9", *fast, folder / "b.webm")
    ffmpeg(*picture, *tone, "-c:v", "libvpx", *fast, "-c:a", "libvorbis", folder / "c.webm")
    return sorted(folder.iterdir())


def test_starts_of_items_that_transcode_neither_crash_nor_hang_nor_grow(transcoded: list[Path]) -> None:
    before, after = soak(STARTS, transcoded, timeout_s=120)
    check_nothing_grows(before, after)
    assert (after.played, after.failed) == (STARTS, 0)


def test_starts_of_items_that_fail_neither_crash_nor_hang_nor_grow(card: Path, tmp_path: Path) -> None:
    bad = {
        "text.mp4": b"no video\n" * 50,
        "noise.mp4": os.urandom(100_000),
        "empty.mp4": b"",
        "cut.mp4": card.read_bytes()[:600],
        "noise.ts": b"G" + os.urandom(187) * 500,
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    before, after = soak(STARTS, [*map(tmp_path.joinpath, bad), tmp_path / "missing.mp4"], timeout_s=120)
    check_nothing_grows(before, after)
    assert (after.played, after.failed) == (0, STARTS)
