"""Which engine an item is given to, by its scheme, and which one may try it after the other."""

import pytest

from flume.reader.messages import Failed, Play
from flume.server.sources.item_source import ItemSource, SourceOptions
from flume.server.sources.items import Item


class Readers:
    """Takes the place of the reader's process: it can play nothing, and says so of each item."""

    restarts = 0
    pid = 1

    def __init__(self) -> None:
        self.played: list[Play] = []

    def play(self, item: Play) -> None:
        self.played.append(item)

    def receive(self, *, timeout_s: float, wake: int | None = None) -> Failed:
        assert self.played, "nothing was given to it"
        return Failed(reason="is of no known kind", unreadable=True)

    def close(self) -> None:
        pass


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Readers:
    made = Readers()
    monkeypatch.setattr("flume.server.sources.item_source.ReaderProcess", lambda: made)
    monkeypatch.setattr("flume.server.sources.item_source.items_behind", lambda _: ())
    return made


def engines(readers: Readers, location: str, options: SourceOptions = SourceOptions()) -> list[str]:  # noqa: B008 - a value
    """Return the engines that get the address *location*, one after the other, until it has failed."""
    source = ItemSource([Item("x", location, is_path=False)], options)
    assert source.read(timeout_s=5) is not None
    source.close()
    return [item.engine for item in readers.played]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://host/a", ["ffmpeg"]),
        ("HTTPS://host/a", ["ffmpeg"]),
        ("rtsp://camera/1", ["ffmpeg", "vlc"]),
        ("v4l2:///dev/video0", ["vlc"]),
        ("DVB-T://frequency=1", ["vlc"]),
        ("v4l\t2:///dev/video0", ["ffmpeg", "vlc"]),  # no scheme: neither a device nor of the web
    ],
)
def test_the_scheme_decides_who_reads_an_address(readers: Readers, location: str, expected: list[str]) -> None:
    assert engines(readers, location) == expected


def test_an_engine_that_is_asked_for_is_the_only_one(readers: Readers) -> None:
    assert engines(readers, "http://host/a", SourceOptions(ingest="vlc")) == ["vlc"]


@pytest.mark.parametrize(
    ("item", "scheme", "is_web"),
    [
        (Item("x", "HTTP://host/a", is_path=False), "http", True),
        (Item("x", "https://host/a", is_path=False), "https", True),
        (Item("x", "rtsp://host/a", is_path=False), "rtsp", False),
        (Item("x", "http://host/a", is_path=True), "", False),
        (Item("x", "/videos/film.mp4", is_path=True), "", False),
    ],
)
def test_the_scheme_of_an_item(item: Item, scheme: str, is_web: bool) -> None:
    assert (item.scheme, item.is_web) == (scheme, is_web)
