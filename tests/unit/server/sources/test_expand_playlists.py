"""Playlists on this host become items: spellings, titles, options, circles and limits."""

import os
from pathlib import Path

import pytest

from flume.errors import SourceError
from flume.server.sources import expand as expanding
from flume.server.sources.expand import MAX_PLAYLIST_DEPTH, expand
from flume.server.sources.items import problem_of
from support.media.named_sources import names, playlist, video


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


# --- playlists on this host --------------------------------------------------------------------------------------


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
