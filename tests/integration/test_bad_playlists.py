"""Names, folders and playlists as people have them, under the real source: what plays, and what is said of the rest."""

import http.server
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.lab import testcard
from flume.server.sources.expand import expand
from flume.server.sources.item_source import ItemSource, SourceOptions
from flume.server.sources.source import ItemEnded, ItemFailed, ItemStarted, SourceEnded, SourceEvent, TsBytes
from support.media.clips import frame_numbers
from support.servers.running_server import RunningServer
from support.servers.web import web_server

FPS = 25

ODD_NAMES = (
    *(
        "line\nend.mp4",
        'quo"te.mp4',
        "🎬.mp4",
        "-film.mp4",
        "trailing.mp4 ",
        "100%.mp4",
        "%03d.mp4",
        "#1.mp4",
        "what?.mp4",
    ),
    *("12:30.mp4", "back\\slash.mp4", "caf\udce9.mp4", "ü" * 125 + ".mp4", "a|b=c.mp4", "[x]*.mp4", "concat:a.mp4"),
)


def events_of(*sources: object, options: SourceOptions = SourceOptions(loop=False)) -> list[SourceEvent]:  # noqa: B008
    """Play *sources* once; return the events but the bytes."""
    source = ItemSource(expand([str(each) for each in sources]), options)
    events: list[SourceEvent] = []
    deadline_s = time.monotonic() + 60
    try:
        while not events or not isinstance(events[-1], SourceEnded):
            assert time.monotonic() < deadline_s, events
            event = source.read(timeout_s=0.5)
            if isinstance(event, ItemStarted | ItemEnded | ItemFailed | SourceEnded):
                events.append(event)
    finally:
        source.close()
    return events


def played(events: list[SourceEvent]) -> list[str]:
    return [event.name for event in events if isinstance(event, ItemEnded)]


def failed(events: list[SourceEvent]) -> dict[str, str]:
    return {event.name: event.reason for event in events if isinstance(event, ItemFailed)}


def test_every_odd_name_plays_from_a_folder_and_from_a_playlist(card: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ODD_NAMES:
        os.link(card, folder / name) if card.stat().st_dev == folder.stat().st_dev else shutil.copy(card, folder / name)
    names = sorted(name for name in ODD_NAMES if name.endswith(".mp4"))  # a suffix with a blank is none
    events = events_of(folder)
    assert failed(events) == {}
    assert len(played(events)) == len(names)
    lines = [name for name in ODD_NAMES if "\n" not in name]
    (folder / "list.m3u").write_bytes(os.fsencode("\r\n".join(["#EXTM3U", *lines])))
    events = events_of(folder / "list.m3u")
    assert failed(events) == {}
    assert len(played(events)) == len(lines)


def test_what_is_bad_in_a_folder_or_playlist_costs_that_item(card: Path, tmp_path: Path) -> None:
    shutil.copy(card, tmp_path / "good.mp4")
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "dangling.mp4").symlink_to("nowhere")
    (tmp_path / "circle.mp4").symlink_to("circle.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "self.m3u").write_text("self.m3u\n")
    entries = ("text.mp4", "empty.mp4", "dangling.mp4", "circle.mp4", "pipe.mp4", "/dev/zero", "self.m3u", "good.mp4")
    (tmp_path / "list.m3u").write_text("\n".join(entries))
    events = events_of(tmp_path / "list.m3u")
    assert played(events) == ["good.mp4"]
    reasons = failed(events)
    assert len(reasons) == 7
    for name, reason in (
        ("text.mp4", "is not a video"),
        ("empty.mp4", "is empty (0 bytes)"),
        ("dangling.mp4", "is a link to nowhere"),
        ("circle.mp4", "cannot be examined"),
        ("pipe.mp4", "is a named pipe"),
        ("zero", "is a device that gives no video"),
        ("self.m3u", "contains itself"),
    ):
        assert reason in reasons[name]
    assert played(events_of(tmp_path)) == ["good.mp4"]


def test_the_server_lives_on_with_a_bad_source_and_counts_it(card: Path, tmp_path: Path) -> None:
    source = ItemSource(expand([str(tmp_path / "missing.mp4"), str(card)]), SourceOptions(loop=True))
    with RunningServer(source) as server:
        counts = server.server._ingest.source_counts()
        assert counts["failed_items"] == 1
        assert server.server._ingest.failures == {
            "missing.mp4": f"{tmp_path}/missing.mp4 does not exist: check the path"
        }


class Radio(http.server.BaseHTTPRequestHandler):
    """A station: a playlist under a name that says nothing, and a film for one user agent only."""

    film = b""

    def do_GET(self) -> None:
        match self.path:
            case "/listen":
                self._answer("audio/x-mpegurl", b"#EXTM3U\n#EXTINF:-1,Station\nfilm.ts|User-Agent=Tele%2F1\n")
            case "/circle":
                self._answer("audio/x-mpegurl", b"#EXTM3U\n/circle\n")
            case "/film.ts" if self.headers["User-Agent"] == "Tele/1":
                self._answer("video/mp2t", self.film)
            case _:
                self.send_error(403)

    def _answer(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def radio(card: Path) -> Iterator[str]:
    Radio.film = card.read_bytes()
    with web_server(Radio) as address:
        yield address


def test_an_address_that_turns_out_to_be_a_playlist_plays_with_its_options(radio: str) -> None:
    events = events_of(f"{radio}/listen")
    assert failed(events) == {}
    assert played(events) == ["Station"]


def test_a_playlist_under_such_an_address_that_names_itself_ends(radio: str) -> None:
    events = events_of(f"{radio}/circle")
    assert played(events) == []
    (reason,) = failed(events).values()
    assert "gives no video" in reason


def test_an_option_reaches_the_server_of_the_film(radio: str, tmp_path: Path) -> None:
    (tmp_path / "list.m3u").write_text(f"#EXTVLCOPT:http-user-agent=Tele/1\n{radio}/film.ts\n{radio}/film.ts\n")
    events = events_of(tmp_path / "list.m3u")
    assert len(played(events)) == 1
    assert len(failed(events)) == 1


@pytest.mark.parametrize("ingest", ["ffmpeg", "vlc"])
def test_a_part_of_a_film_plays_and_promises_no_more(ingest, tmp_path: Path) -> None:
    film = testcard.generate(tmp_path / "film.mp4", duration_s=8, width=320, height=180, bitrate_kbit=400)
    (tmp_path / "list.m3u").write_text(f"#EXTVLCOPT:start-time=4\n#EXTVLCOPT:stop-time=6\n{film.name}\n")
    source = ItemSource(expand([str(tmp_path / "list.m3u")]), SourceOptions(loop=False, ingest=ingest))
    recording = b""
    promised = None
    try:
        while not isinstance(event := source.read(timeout_s=0.5), SourceEnded):
            if isinstance(event, TsBytes):
                recording += event.data
            if isinstance(event, ItemStarted):
                promised = event.promise
    finally:
        source.close()
    (tmp_path / "out.ts").write_bytes(recording)
    numbers = [number for number in frame_numbers(tmp_path / "out.ts") if number is not None]
    assert promised is not None
    assert promised.seconds == pytest.approx(2, abs=0.1)
    lengths = [track.seconds for track in promised.tracks if track.seconds]
    assert lengths == pytest.approx([2] * len(lengths), abs=0.1)
    first, last = numbers[0], numbers[-1]
    assert 4 - FPS <= first <= 4 * FPS
    assert last == pytest.approx(6 * FPS, abs=6)
