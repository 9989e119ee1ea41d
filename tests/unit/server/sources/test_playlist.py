"""Sources that people name become items, or an error that names the source and what to do."""

import os
from pathlib import Path

import pytest

from flume.errors import SourceError
from flume.server.sources.playlist import MAX_PLAYLIST_DEPTH, Item, expand, problem_of


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
        ("http://host/film.mp4", False),
        ("https://host/film.mp4", False),
        ("smb://host/film.mp4", False),
        ("rtsp://camera/stream", True),
        ("rtp://@239.1.2.3:5004", True),
        ("udp://@:1234", True),
        ("srt://host:9000", True),
        ("v4l2:///dev/video0", True),
    ],
)
def test_addresses_are_files_or_live(address: str, live: bool) -> None:
    assert expand([address]) == (Item(address, address, is_path=False, live=live),)


def test_a_password_in_an_address_is_not_in_its_name() -> None:
    item = expand(["rtsp://user:secret@camera:554/1"])[0]
    assert item.name == "rtsp://camera:554/1"
    assert item.location == "rtsp://user:secret@camera:554/1"


def test_a_character_device_is_a_camera() -> None:
    assert expand(["/dev/null"]) == (Item("v4l2:///dev/null", "v4l2:///dev/null", is_path=False, live=True),)


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
    with pytest.raises(SourceError, match=f"{MAX_PLAYLIST_DEPTH} playlists deep"):
        expand([str(tmp_path / "loop.m3u")])


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
        ("pipe", "neither a file nor a folder"),
        ("empty.mp4/x", "cannot be examined"),
    ):
        with pytest.raises(SourceError, match=reason) as error:
            expand([str(tmp_path / name)])
        assert name in str(error.value)
        assert "\n" not in str(error.value)


def test_no_source_at_all_is_refused() -> None:
    with pytest.raises(SourceError, match="no source given"):
        expand([])


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video(tmp_path / "secret.mp4")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    assert problem_of(expand_unchecked(path)) == "may not be read by this user: change its permissions"


def expand_unchecked(path: Path) -> Item:
    return Item(path.name, str(path), is_path=True, live=False)
