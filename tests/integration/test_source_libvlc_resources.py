"""The libvlc source over its life: what it frees, and what it never accumulates."""

import os
import re
import threading
import time
from pathlib import Path

import pytest

from flume.errors import SourceError
from flume.server.sources import vlc_log
from flume.server.sources.expand import expand
from flume.server.sources.items import Item
from flume.server.sources.libvlc import VlcSource
from support.media.playing import check_seamless, playing

pytestmark = pytest.mark.vlc


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def tasks() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_close_wakes_a_waiting_read_and_frees_everything(card: Path) -> None:
    VlcSource(expand([str(card)]), loop=True).close()  # libvlc keeps a few descriptors from its first start
    open_before, tasks_before = descriptors(), tasks()
    source = VlcSource((Item("silent", "udp://@127.0.0.1:9", is_path=False, live=True),), loop=True)
    seen: list[object] = []
    reader = threading.Thread(target=lambda: seen.append(source.read(timeout_s=20)))
    reader.start()
    threading.Event().wait(0.3)
    before_s = time.monotonic()
    source.close()
    reader.join(5)
    source.close()
    assert seen == [None]
    assert time.monotonic() - before_s < 3
    assert source.read(timeout_s=0.1) is None
    assert descriptors() <= open_before
    assert tasks() <= tasks_before


def test_many_items_leak_neither_threads_nor_descriptors(card: Path) -> None:
    with playing(card, loop=True) as recording:
        recording.until(items=3)
        open_before, tasks_before = descriptors(), tasks()
        recording.until(items=25)
        assert descriptors() <= open_before + 1
        assert tasks() <= tasks_before + 2
    check_seamless(recording)


def test_the_log_of_libvlc_stays_within_its_bounds(card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vlc_log, "LOG_BYTES", 4096)
    for number in range(6):
        (tmp_path / f"{number}.mp4").write_text("no video\n" * 50)
    with playing(tmp_path, card, loop=True) as recording:
        recording.until(items=12)
        assert os.fstat(recording.source._log._file).st_blocks * 512 <= 12_288
    assert all(re.search(r"\(libvlc: \w+ \w+: [^\0]+\)", failure.reason) for failure in recording.failures())


def test_no_items_at_all_are_refused() -> None:
    with pytest.raises(SourceError, match="no items"):
        VlcSource((), loop=True)
