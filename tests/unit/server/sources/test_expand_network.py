"""Playlists over HTTP become items, and name nothing of this host."""

import logging
from pathlib import Path

import pytest

from flume.errors import SourceError
from flume.server.sources.expand import expand, items_behind
from flume.server.sources.fetched import Fetched
from flume.server.sources.items import Item, UnplayableError
from support.media.named_sources import playlist, video, web

# --- playlists from the network ----------------------------------------------------------------------------------


def test_a_playlist_over_http_names_addresses_relative_to_itself() -> None:
    text = "#EXTM3U\n#EXTINF:1,One\nsub/a b.mp3\n/root.mp3\n//other/x.mp3\nhttps://third/y.mp3?a=1\n..\\up.mp3\nrtsp://cam/1\n"
    items = expand(["http://host/lists/list.m3u"], fetch=web(list_m3u=text))
    assert [item.location for item in items] == [
        "http://host/lists/sub/a%20b.mp3",
        "http://host/root.mp3",
        "http://other/x.mp3",
        "https://third/y.mp3?a=1",
        "http://host/up.mp3",
        "rtsp://cam/1",
    ]
    assert items[0].name == "One"


@pytest.mark.parametrize(
    "entry",
    [
        *(
            "file:///etc/passwd",
            "FILE:/etc/passwd",
            r"C:\film.mp4",
            r"\\server\film.mp4",
            "~/film.mp4",
            "v4l2:///dev/video0",
        ),
        *("screen://", "dshow://", "concat:/etc/passwd", "pipe:0", "fd://0", "smb://host/x", "data:,x", "vlc://quit"),
        *(
            "udp://@:1234",
            "udp://0.0.0.0:1234",
            "rtp://:5004",
            "srt://:9000",
            "srt://host:1?mode=listener",
            "rtmp://h/?listen=1",
        ),
        *("rt\tsp://cam/1", "ud\tp://@239.1.2.3:1234", "\x01rtsp://cam/1"),
        *("http://[::1", "http://host:99999/", "javascript:alert(1)", "tcp://host:1?listen"),
    ],
)
def test_a_playlist_over_http_names_nothing_of_this_host(entry: str) -> None:
    items = expand(["http://host/list.m3u"], fetch=web(list_m3u=f"a.mp3\n{entry}\n"))
    assert items[0].problem == ""
    assert items[1].problem != ""
    assert all(items[1].name)


def test_multicast_and_other_servers_are_fine() -> None:
    text = "udp://@239.1.2.3:1234\nrtp://224.0.0.5:5004\nsrt://host:9000\n"
    assert not any(item.problem for item in expand(["http://host/list.m3u"], fetch=web(list_m3u=text)))


def test_a_playlist_on_this_host_may_name_one_over_http_which_may_name_no_file(tmp_path: Path) -> None:
    source = playlist(tmp_path / "list.m3u", "http://host/radio.pls\nhttp://host/channel.m3u8\n")
    fetch = web(radio_pls=f"[playlist]\nFile1=http://host/live\nFile2=file://{tmp_path}/list.m3u\n")
    items = expand([source], fetch=fetch)
    assert [item.location for item in items if not item.problem] == ["http://host/live", "http://host/channel.m3u8"]
    assert len(items) == 3


def test_segments_over_http_are_one_item_and_so_is_an_address_that_fails() -> None:
    hls = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n"
    gone = UnplayableError("http://host/x.m3u8", "is gone")
    for page in (hls, gone):
        (item,) = expand(["http://host/x.m3u8"], fetch=web(x_m3u8=page))
        assert (item.location, item.live, item.problem) == ("http://host/x.m3u8", None, "")


def test_a_playlist_that_cannot_be_fetched_costs_its_item(tmp_path: Path) -> None:
    gone = UnplayableError("http://host/x.m3u", "cannot be fetched (HTTP status 404 Not Found): check the address")
    with pytest.raises(SourceError, match=r"http://host/x\.m3u cannot be fetched \(HTTP status 404"):
        expand(["http://host/x.m3u"], fetch=web(x_m3u=gone))
    items = expand(["http://host/x.m3u", str(video(tmp_path / "a.mp4"))], fetch=web(x_m3u=gone))
    assert [bool(item.problem) for item in items] == [True, False]


def test_an_address_is_asked_for_a_playlist_only_if_it_looks_like_one() -> None:
    def never(address: str, *, timeout_s: float) -> Fetched:
        raise AssertionError(address)

    addresses = ["http://host/live", "http://host/film.mp4?x=m3u", "http://host/", "rtsp://host/list.m3u"]
    assert [item.location for item in expand(addresses, fetch=never)] == addresses
    text = "#EXTM3U\nhttp://host/1.ts\n"
    items = expand(["http://host/get.php?type=m3u_plus&password=secret"], fetch=web(get_php=text))
    assert [item.location for item in items] == ["http://host/1.ts"]


def test_an_address_that_no_engine_reads_may_give_a_playlist() -> None:
    (item,) = expand(["http://radio/listen"])
    text = "#EXTM3U\nhttp://radio/stream\n"
    assert [found.location for found in items_behind(item, fetch=web(listen=text))] == ["http://radio/stream"]
    assert items_behind(item, fetch=web(listen="hello")) == ()
    assert items_behind(item, fetch=web(listen=UnplayableError("x", "is gone"))) == ()
    assert items_behind(Item("a", "/a", is_path=True)) == ()


def test_playlists_over_http_in_circles_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    items = expand(["http://host/a.m3u"], fetch=web(a_m3u="a.m3u\nb.m3u\nx.ts\n", b_m3u="a.m3u\nx.ts\n" * 30))
    assert sum(not item.problem for item in items) == 31
    many = "\n".join(f"http://host/{number}.m3u" for number in range(40))
    fetches: list[str] = []

    def fetch(address: str, *, timeout_s: float) -> Fetched:
        fetches.append(address)
        return Fetched(address, "", (many if address.endswith("/all.m3u") else "x.ts").encode())

    items = expand(["http://host/all.m3u"], fetch=fetch)
    assert len(fetches) == 16
    assert sum("is not fetched" in item.problem for item in items) == 25
