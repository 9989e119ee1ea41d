"""Sources that people name become items, or an error that names the source and what to do."""

import os
import stat
import tempfile
import time
from pathlib import Path

import pytest

from flume.errors import SourceError
from flume.server.sources.expand import expand
from flume.server.sources.items import Item, problem_of
from support.media.named_sources import names, playlist, video


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
