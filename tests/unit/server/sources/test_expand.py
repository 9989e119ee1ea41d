"""Sources that people name become items, or an error that names the source and what to do."""

import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flume.errors import SourceError
from flume.server.sources import expand as expanding
from flume.server.sources.expand import MAX_PLAYLIST_DEPTH, expand, items_behind
from flume.server.sources.fetching import Fetched
from flume.server.sources.items import Item, UnplayableError, problem_of


def video(path: Path) -> Path:
    path.write_bytes(b"not looked into here")
    return path


def names(*sources: object) -> list[str]:
    return [item.name for item in expand([str(source) for source in sources])]


def test_a_file_is_one_item_whatever_its_suffix(tmp_path: Path) -> None:
    path = video(tmp_path / "film.bin")
    assert expand([str(path)]) == (Item("film.bin", str(path), is_path=True, live=False),)


def test_sources_keep_their_order(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4"):
        video(tmp_path / name)
    assert names(tmp_path / "b.mp4", "http://host/c.mp4", tmp_path / "a.mp4") == ["b.mp4", "http://host/c.mp4", "a.mp4"]


def test_a_folder_gives_its_videos_in_natural_order(tmp_path: Path) -> None:
    for name in ("part10.mp4", "part2.MP4", "Part1.mkv", "notes.txt"):
        video(tmp_path / name)
    (tmp_path / "folder.mp4").mkdir()
    assert names(tmp_path) == ["Part1.mkv", "part2.MP4", "part10.mp4"]


def test_a_relative_path_and_a_file_address_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video(tmp_path / "a b.mp4")
    monkeypatch.chdir(tmp_path)
    wanted = (Item("a b.mp4", str(tmp_path / "a b.mp4"), is_path=True, live=False),)
    assert expand(["a b.mp4"]) == wanted
    assert expand([f"file://{tmp_path}/a%20b.mp4"]) == wanted


def test_a_name_with_a_colon_is_no_address(tmp_path: Path) -> None:
    path = video(tmp_path / "12:30.mp4")
    assert expand([str(path)])[0].is_path


@pytest.mark.parametrize(
    ("address", "live"),
    [
        ("http://host/film.mp4", None),
        ("https://host/film.mp4", None),
        ("ftp://host/film.mp4", None),
        ("smb://host/film.mp4", None),
        ("screen://", True),
        ("rtsp://camera/stream", True),
        ("rtp://@239.1.2.3:5004", True),
        ("udp://@:1234", True),
        ("srt://host:9000", True),
        ("v4l2:///dev/video0", True),
    ],
)
def test_addresses_are_live_or_have_to_be_asked(address: str, live: bool | None) -> None:
    assert expand([address]) == (Item(address, address, is_path=False, live=live),)


def test_a_password_in_an_address_is_not_in_its_name() -> None:
    item = expand(["rtsp://user:secret@camera:554/1"])[0]
    assert item.name == "rtsp://camera:554/1"
    assert item.location == "rtsp://user:secret@camera:554/1"


def as_device(monkeypatch: pytest.MonkeyPatch, path: Path, *, major: int) -> None:
    """Make *path* a character device for :meth:`Path.stat`: only root can make a real one."""
    real = Path.stat

    class Device:
        st_mode, st_rdev, st_size = stat.S_IFCHR | 0o660, os.makedev(major, 0), 0

    monkeypatch.setattr(Path, "stat", lambda self, **kw: Device() if self == path else real(self, **kw))


def test_a_device_of_video4linux_is_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video(tmp_path / "video0")
    as_device(monkeypatch, path, major=81)
    assert expand([str(path)]) == (Item(f"v4l2://{path}", f"v4l2://{path}", is_path=False, live=True),)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/random", "/dev/tty"])
def test_any_other_device_is_refused(path: str) -> None:
    with pytest.raises(SourceError, match=f"^{path} is a device that gives no video: name a camera"):
        expand([path])


def test_a_playlist_names_files_beside_it_and_addresses(tmp_path: Path) -> None:
    (tmp_path / "list.m3u").write_bytes(
        "\ufeff#EXTM3U\r\n#EXTINF:10,A title\r\nsub/ä.mp4\r\n\r\nhttp://host/b.mp4\r\nmissing.mp4\r\n".encode()
    )
    items = expand([str(tmp_path / "list.m3u")])
    assert [item.location for item in items] == [
        str(tmp_path / "sub" / "ä.mp4"),
        "http://host/b.mp4",
        str(tmp_path / "missing.mp4"),
    ]
    assert problem_of(items[2]) == "does not exist: check the path"


def test_a_playlist_of_segments_is_one_stream(tmp_path: Path) -> None:
    (tmp_path / "hls.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n")
    assert names(tmp_path / "hls.m3u8") == ["hls.m3u8"]


def test_a_playlist_that_contains_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.m3u").write_text("loop.m3u\n")
    with pytest.raises(SourceError, match=r"loop\.m3u contains itself: remove it"):
        expand([str(tmp_path / "loop.m3u")])


def test_a_circle_of_playlists_costs_its_own_entry(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "one.m3u").write_text("two.m3u\na.mp4\n" * 20)
    (tmp_path / "two.m3u").write_text("one.m3u\na.mp4\n")
    items = expand([str(tmp_path / "one.m3u")])
    assert len(items) == 60
    assert {item.problem for item in items if item.problem} == {"contains itself: remove it from its own entries"}
    assert [item.name for item in items if not item.problem] == ["a.mp4"] * 40


def test_playlists_in_playlists_have_a_limit(tmp_path: Path) -> None:
    for level in range(MAX_PLAYLIST_DEPTH + 1):
        (tmp_path / f"{level}.m3u").write_text(f"{level + 1}.m3u\n")
    with pytest.raises(SourceError, match=f"{MAX_PLAYLIST_DEPTH} playlists deep"):
        expand([str(tmp_path / "0.m3u")])


def test_a_playlist_may_be_any_bytes(tmp_path: Path) -> None:
    (tmp_path / "odd.m3u").write_bytes(b"\xff\xfe\x00x\n\x80\x81.mp4\n")
    assert len(expand([str(tmp_path / "odd.m3u")])) == 1


def test_what_cannot_be_played_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "empty.m3u").touch()
    (tmp_path / "comments.m3u").write_text("#EXTM3U\n")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (
        ("missing.mp4", "does not exist: check the path"),
        ("empty.mp4", r"is empty \(0 bytes\)"),
        ("empty.m3u", r"is empty \(0 bytes\)"),
        ("comments.m3u", "has no entries"),
        ("folder", "contains no video"),
        ("pipe", "is a named pipe, neither a file nor a folder"),
        ("empty.mp4/x", "cannot be examined"),
    ):
        with pytest.raises(SourceError, match=reason) as error:
            expand([str(tmp_path / name)])
        assert name in str(error.value)
        assert "\n" not in str(error.value)


def test_no_source_at_all_is_refused() -> None:
    with pytest.raises(SourceError, match="no source given"):
        expand([])


def test_an_empty_name_is_no_source() -> None:
    for source in ("", "  ", "file://"):
        with pytest.raises(SourceError, match=r"name a video file|names no file"):
            expand([source])


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video(tmp_path / "secret.mp4")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    assert problem_of(expand_unchecked(path)) == "may not be read by this user: change its permissions"


def expand_unchecked(path: Path) -> Item:
    return Item(path.name, str(path), is_path=True, live=False)


# --- one bad source or entry costs that item ---------------------------------------------------------------------


def test_a_bad_source_among_good_ones_costs_that_item(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    film = video(tmp_path / "film.mp4")
    os.mkfifo(tmp_path / "pipe")
    sources = [tmp_path / "missing.mp4", "/dev/zero", tmp_path / "pipe", film, tmp_path / "none.m3u", "http://[::1"]
    items = expand([str(source) for source in sources])
    assert [item.name for item in items] == ["missing.mp4", "zero", "pipe", "film.mp4", "none.m3u", "http://[::1"]
    assert [bool(problem_of(item)) for item in items] == [True, True, True, False, True, True]
    assert len(caplog.messages) == 5
    assert f"{tmp_path}/missing.mp4 does not exist: check the path" in caplog.messages


def test_when_all_sources_are_bad_each_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.mp4 does not exist.*; /dev/zero is a device"):
        expand([str(tmp_path / "missing.mp4"), "/dev/zero"])


ODD_NAMES = (
    *("line\nend.mp4", "quo\"te'.mp4", "🎬 👩‍👩‍👧.mp4", "-film.mp4", "trailing .mp4", "100%.mp4", "100%25.mp4"),
    *("#1 hit.mp4", "what?.mp4", "12:30.mp4", "a:b.mp4", "back\\slash.mp4", "~home.mp4", "tab\t.mp4", "bell\a.mp4"),
    *("caf\udce9.mp4", "\udcff\udcfe.mp4", "ü" * 125 + ".mp4", " lead.mp4", "\x85\u2028.mp4", "a|b=c.mp4", "*[x]?.mp4"),
)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_items_by_themselves_in_folders_and_in_playlists(name: str, tmp_path: Path) -> None:
    path = video(tmp_path / name)
    (tmp_path / "list.m3u").write_bytes(
        os.fsencode(f"#EXTM3U\n{name}\n" if "\n" not in name else "#\n./line%0Aend.mp4\n")
    )
    for source in (path, tmp_path, tmp_path / "list.m3u"):
        (item,) = expand([str(source)])
        assert item.location_bytes == os.fsencode(path)
        assert problem_of(item) is None
        assert item.name.encode(), "no surrogates"
        assert not set(item.name + item.shown) & set("\n\t\a\x85\u2028")


@pytest.mark.parametrize("name", ["film.mp4 ", " film.mp4", "film .mp4"])
def test_blanks_around_a_name_belong_to_it_if_such_a_file_exists(name: str, tmp_path: Path) -> None:
    (tmp_path / "list.m3u").write_text(f"{name}\n")
    plain = video(tmp_path / name.strip())
    assert expand([str(tmp_path / "list.m3u")])[0].location == str(plain)
    literal = video(tmp_path / name)
    assert expand([str(tmp_path / "list.m3u")])[0].location == str(literal)


def test_links_that_lead_nowhere_or_in_circles_cost_their_item(tmp_path: Path) -> None:
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "gone" / "film.mp4")
    (tmp_path / "circle.mp4").symlink_to(tmp_path / "other.mp4")
    (tmp_path / "other.mp4").symlink_to(tmp_path / "circle.mp4")
    video(tmp_path / "film.mp4")
    problems = {item.name: problem_of(item) for item in expand([str(tmp_path)])}
    assert problems["film.mp4"] is None
    assert "is a link to" in (problems["dangling.mp4"] or "")
    assert "cannot be examined (Too many levels of symbolic links)" in (problems["circle.mp4"] or "")
    with pytest.raises(SourceError, match="symbolic links"):
        expand([str(tmp_path / "circle.mp4")])


def test_a_name_longer_than_any_file_system_allows_is_refused() -> None:
    for source in ("x" * 300, "x/" * 5000):
        with pytest.raises(SourceError, match="cannot be examined") as error:
            expand([source])
        assert len(str(error.value)) < 500


def test_a_folder_that_may_not_be_entered_costs_its_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked" / "film.mp4"
    real = Path.stat

    def refuse(self: Path, **options: bool) -> os.stat_result:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return real(self, **options)

    monkeypatch.setattr(Path, "stat", refuse)  # root may enter everything
    with pytest.raises(SourceError, match=r"cannot be examined \(Permission denied\)"):
        expand([str(path)])


def test_ten_thousand_files_take_less_than_two_seconds() -> None:
    memory = Path("/dev/shm")  # noqa: S108 - on a disk it takes ten seconds to make them
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        for number in range(10_000):
            (Path(name) / f"clip{number}.mp4").touch()
        begun_s = time.process_time()
        items = expand([name])
        assert time.process_time() - begun_s < 2
    assert [items[0].name, items[-1].name, len(items)] == ["clip0.mp4", "clip9999.mp4", 10_000]


# --- playlists on this host --------------------------------------------------------------------------------------


def playlist(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_percent_encoded_entries_are_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = video(tmp_path / "sub" / "Ünï clip.mp4")
    source = playlist(
        tmp_path / "list.m3u8", f"sub/%C3%9Cn%C3%AF%20clip.mp4\nfile://{tmp_path}/sub/%C3%9Cn%C3%AF%20clip.mp4\n"
    )
    assert [item.location for item in expand([source])] == [str(path)] * 2


def test_a_file_with_a_percent_sign_in_its_name_wins(tmp_path: Path) -> None:
    source = playlist(tmp_path / "list.m3u", "100%25.mp4\n")
    video(tmp_path / "100%.mp4")
    assert names(source) == ["100%.mp4"]
    video(tmp_path / "100%25.mp4")
    assert names(source) == ["100%25.mp4"]


@pytest.mark.parametrize(
    "entry",
    [
        *(r"sub\Übung 1.mp4", r"C:\Users\me\sub\Übung 1.mp4", "c:/Videos/sub/Übung 1.mp4"),
        *("./sub/../sub/Übung 1.mp4", "sub/U\u0308bung 1.mp4", "  sub/Übung 1.mp4  ", "file:sub/Übung 1.mp4"),
        *("file:///C:/Videos/sub/%C3%9Cbung%201.mp4", "sub/%DCbung%201.mp4", r"sub\%C3%9Cbung%201.mp4"),
        *("FILE://localhost{0}/sub/Übung 1.mp4", "file:{0}/sub/Übung%201.mp4"),
    ],
)
def test_spellings_of_other_programs_and_systems_find_the_file(entry: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = video(tmp_path / "sub" / "Übung 1.mp4")
    source = playlist(tmp_path / "list.M3U", entry.format(tmp_path) + "\r\n")
    assert [Path(item.location).resolve() for item in expand([source])] == [path]


def test_latin_1_means_a_file_in_utf_8_and_a_name_in_latin_1_means_itself(tmp_path: Path) -> None:
    source = playlist(tmp_path / "list.m3u", "#EXTINF:1,Grüße\ncaf\xe9.mp4\n".encode("latin-1"))
    utf_8 = video(tmp_path / "café.mp4")
    assert [(item.name, item.location) for item in expand([source])] == [("Grüße", str(utf_8))]
    latin_1 = video(tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    assert [item.location for item in expand([source])] == [str(latin_1)]


def test_home_and_absolute_paths_and_folders_in_a_playlist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "folder").mkdir()
    for name in ("home.mp4", "folder/b.mp4", "folder/a.mp4"):
        video(tmp_path / name)
    source = playlist(tmp_path / "list.m3u", f"~/home.mp4\n{tmp_path}/home.mp4\nfolder\n~nosuchuser/x.mp4\n")
    assert names(source) == ["home.mp4", "home.mp4", "a.mp4", "b.mp4", "x.mp4"]


def test_a_commented_entry_is_none_and_a_file_that_begins_like_one_is(tmp_path: Path) -> None:
    for name in ("film.mp4", "#1.mp4"):
        video(tmp_path / name)
    assert names(playlist(tmp_path / "list.m3u", "#film.mp4\n#1.mp4\n# film.mp4\n")) == ["#1.mp4"]


def test_titles_are_names_and_have_no_passwords(tmp_path: Path) -> None:
    text = '#EXTINF:-1 tvg-name="a,b",News, at 8\nhttp://u:p@host/a.ts\n#EXTINF:3,http://u:p@host/b\nhttp://u:p@host/b.ts\n'
    items = expand([playlist(tmp_path / "list.m3u", text)])
    assert [item.name for item in items] == ["News, at 8", "http://host/b"]
    assert items[0].location == "http://u:p@host/a.ts"


def test_safe_options_apply_and_the_others_are_named_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = (
        "#EXTVLCOPT:http-user-agent=TV 1.0\n#EXTVLCOPT:network-caching=300\n#EXTVLCOPT::start-time=1.5\nhttp://host/a.ts\n"
        "#EXTVLCOPT:sout=#file{dst=/tmp/x}\n#EXTVLCOPT:network-caching=300\nhttp://host/b.ts|User-Agent=Me&Referer=http%3A%2F%2Fx&Cookie=a\n"
        "http://host/c.ts\n"
    )
    items = expand([playlist(tmp_path / "list.m3u", text)])
    assert [item.options for item in items] == [
        ("http-user-agent=TV 1.0", "start-time=1.5"),
        ("http-user-agent=Me", "http-referrer=http://x"),
        (),
    ]
    assert [item.location for item in items][1] == "http://host/b.ts"
    assert caplog.messages == [
        f"the playlist {tmp_path}/list.m3u has options that have no effect here (network-caching, cookie), "
        "and options that are refused (sout), because a playlist may not write files, open ports or load programs"
    ]


def test_a_playlist_is_known_by_its_content_where_its_name_says_nothing(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    for name, text in (
        ("channels", "#EXTM3U\na.mp4\n"),
        ("list.txt", "[playlist]\nFile1=a.mp4\n"),
        ("wrong.m3u", "[Playlist]\nfile1=a.mp4\n"),
        ("wrong.pls", "<?xml version='1.0'?><playlist><track><location>a.mp4</location></track></playlist>"),
    ):
        assert names(playlist(tmp_path / name, text)) == ["a.mp4"], name
    assert names(playlist(tmp_path / "notes.txt", "no playlist\n")) == ["notes.txt"]


def test_what_is_no_playlist_that_is_read_is_said(tmp_path: Path) -> None:
    for name, text, reason in (
        ("list.asx", "<asx/>", "save it as .m3u"),
        ("page.m3u", "<!DOCTYPE html><html>", "is a web page and no playlist"),
        ("bad.xspf", "<playlist><track></playlist>", r"is not well-formed XML \(line 1: mismatched tag\)"),
        ("laughs.xspf", "<!DOCTYPE x [<!ENTITY a 'ha'>]><playlist>&a;</playlist>", "has a document type"),
        ("none.xspf", "<playlist/>", "has no entries"),
        ("none.pls", "[playlist]\nNumberOfEntries=3\n", "has no entries"),
    ):
        with pytest.raises(SourceError, match=reason):
            expand([playlist(tmp_path / name, text)])


def test_a_command_to_vlc_is_no_item(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    items = expand([playlist(tmp_path / "list.m3u", "a.mp4\nvlc://quit\n")])
    assert [item.problem for item in items] == ["", "is a command to VLC and no video: remove it"]


def test_items_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(expanding, "MAX_ITEMS", 50)
    (tmp_path / "inner.m3u").write_text("http://host/a.ts\n" * 20)
    source = playlist(tmp_path / "outer.m3u", "inner.m3u\n" * 20)
    assert len(expand([source, source])) == 50
    assert caplog.messages == ["the sources have more than 50 items: the rest is left out"]


# --- playlists from the network ----------------------------------------------------------------------------------


def web(**pages: str | bytes | UnplayableError) -> Callable[..., Fetched]:
    """Return a fetch that knows *pages*, by the last part of their address with a dot for the underline."""

    def fetch(address: str, *, timeout_s: float) -> Fetched:
        assert 0 < timeout_s < 60
        page = pages[address.rpartition("/")[2].partition("?")[0].replace(".", "_")]
        if isinstance(page, UnplayableError):
            raise page
        return Fetched(address, "text/plain", page.encode() if isinstance(page, str) else page)

    return fetch


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


# --- pictures and sound ------------------------------------------------------------------------------------------


def test_a_folder_plays_its_films_else_its_sound_else_its_pictures(tmp_path: Path) -> None:
    for name in ("2.JPG", "10.png", "1.heic", "._1.jpg", ".hidden.mp4"):
        video(tmp_path / name)
    items = expand([str(tmp_path)])
    assert [item.name for item in items] == ["1.heic", "2.JPG", "10.png"]
    assert all(item.is_picture for item in items)
    for name in ("song.mp3", "song.FLAC"):
        video(tmp_path / name)
    assert names(tmp_path) == ["song.FLAC", "song.mp3"]
    video(tmp_path / "film.webm")
    assert names(tmp_path) == ["film.webm"]


def test_a_picture_that_is_named_is_an_item(tmp_path: Path) -> None:
    for name in ("a.jpg", "film.mp4"):
        video(tmp_path / name)
    source = playlist(tmp_path / "list.m3u", "a.jpg\nfilm.mp4\nhttp://host/b.PNG?size=1\n")
    assert [item.is_picture for item in expand([source])] == [True, False, True]
    assert [item.is_picture for item in expand([str(tmp_path / "a.jpg")])] == [True]
