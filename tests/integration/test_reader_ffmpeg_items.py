"""What the FFmpeg engine does around an item: it looks at a file a second time once, and fetches some files whole."""

import functools
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import av
import pytest

from flume.reader.engine import UnplayableError
from flume.reader.ffmpeg import second_look, whole_file
from flume.reader.ffmpeg.cutting import within
from flume.reader.ffmpeg.engine import FfmpegEngine
from flume.reader.ffmpeg.opening import OpenedItem, opened
from flume.reader.messages import Ended, Play, Promise
from sources.feeding import Handler
from support.media.recipes import ff, make
from support.servers.web import web_server

VIDEO = 0x100


class Sink:
    def __init__(self) -> None:
        self.promise = Promise(engine="ffmpeg")
        self.size = 0

    def open(self, promise: Promise) -> None:
        self.promise = promise

    def write(self, data: bytes) -> None:
        self.size += len(data)


def play(location: str, *, is_path: bool = True) -> tuple[Promise, Ended]:
    sink = Sink()
    item = Play(name="film", location=location.encode(), is_path=is_path, engine="ffmpeg")
    return sink.promise, FfmpegEngine().play(item, sink)


@pytest.fixture(scope="module")
def folder() -> Path:
    picture = "-f lavfi -t 2 -i testsrc2=size=160x90:rate=25"
    return make(
        "reader-items",
        (
            ff(f"{picture} -c:v libx264 -preset ultrafast film.mp4"),
            ff("-display_rotation -90 -i film.mp4 -c copy turned.mp4"),
        ),
    )


def test_a_file_is_looked_at_again_once_and_after_a_change(folder: Path, tmp_path: Path, monkeypatch) -> None:
    looks: list[str] = []

    def counted(item: Play) -> AbstractContextManager[OpenedItem]:
        looks.append(item.name)
        return opened(item)

    monkeypatch.setattr(second_look, "opened", counted)
    film = tmp_path / "film.mp4"
    shutil.copy(folder / "film.mp4", film)

    def rotation() -> int:
        sink = Sink()
        FfmpegEngine().play(Play(name="film", location=os.fsencode(film), is_path=True, engine="ffmpeg"), sink)
        return sink.promise.rotation

    assert [rotation() for _ in range(3)] == [0, 0, 0]
    assert len(looks) == 1
    shutil.copy(folder / "turned.mp4", film)
    assert [rotation() for _ in range(3)] == [90, 90, 90]
    assert len(looks) == 2


class NoParts(Handler):
    """A server that gives whole files only, slowly."""

    ranges = False
    pause_s = 0.0

    def _send(self, file: Path) -> None:
        data = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            for at in range(0, len(data), 10_000):
                self.wfile.write(data[at : at + 10_000])
                time.sleep(self.pause_s)
        except OSError:
            pass


@pytest.fixture
def slow_s() -> float:
    return 0.0


@pytest.fixture
def address(folder: Path, slow_s: float) -> Iterator[str]:
    kind = type("Kind", (NoParts,), {"pause_s": slow_s})
    with web_server(functools.partial(kind, directory=str(folder))) as address:
        yield f"{address}/film.mp4"


def descriptors() -> set[str]:
    return {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.exists()}


def test_a_file_whose_index_is_last_is_fetched_whole_and_nothing_of_it_stays(address: str) -> None:
    before = descriptors()
    assert play(address, is_path=False)[1].frames == {VIDEO: 50}
    assert not {each for each in descriptors() - before if "tmp" in each}


def test_one_that_is_too_large_is_named(address: str, monkeypatch) -> None:
    monkeypatch.setattr(whole_file, "MOST_BYTES", 20_000)
    with pytest.raises(UnplayableError, match=r"film has its index at its end.* more than .*faststart"):
        play(address, is_path=False)


@pytest.mark.parametrize("slow_s", [0.1])
def test_one_that_comes_too_slowly_is_named(address: str, monkeypatch) -> None:
    monkeypatch.setattr(whole_file, "MOST_S", 0.3)
    with pytest.raises(UnplayableError, match=r"film has its index at its end.* came within 0.3 s"):
        play(address, is_path=False)


@pytest.mark.parametrize("error", [av.error.InvalidDataError, av.error.BlockingIOError])
def test_damage_at_which_ffmpeg_asks_to_be_called_again_costs_no_picture(folder: Path, monkeypatch, error) -> None:
    errors = [error(0, "made by the test", "film")]

    def damaged(packets, container, excerpt):
        for packet in within(packets, container, excerpt):
            yield packet
            if errors:
                raise errors.pop()

    monkeypatch.setattr("flume.reader.ffmpeg.playing.within", damaged)
    _, ended = play(str(folder / "film.mp4"))
    assert ended.frames == {VIDEO: 50}
    assert ended.counts["damaged_reads"] == 1
