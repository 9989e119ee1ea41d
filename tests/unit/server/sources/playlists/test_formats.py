"""Playlists as programs write them; and any bytes at all, which raise one error or none."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import SourceError
from flume.server.sources.expand import expand
from flume.server.sources.fetched import Fetched
from flume.server.sources.playlists import collecting, m3u, options, pls, values, xspf
from flume.server.sources.playlists.formats import format_of_content_type, parse_untrusted
from flume.server.sources.playlists.spellings import spellings
from flume.server.sources.playlists.text import decode_untrusted, legible, lines
from flume.server.sources.playlists.values import Entry

VLC_XSPF = """<?xml version="1.0" encoding="UTF-8"?>
<playlist xmlns="http://xspf.org/ns/0/" xmlns:vlc="http://www.videolan.org/vlc/playlist/ns/0/" version="1">
	<title>Playlist</title>
	<location>http://host/this/playlist</location>
	<trackList>
		<track>
			<location>file:///videos/%C3%9Cn%C3%AF%20clip.mp4</location>
			<title>A &amp; B</title><duration>8000</duration>
			<extension application="http://www.videolan.org/vlc/playlist/0">
				<vlc:id>0</vlc:id><vlc:option>start-time=10.5</vlc:option><vlc:option>sout=#std{}</vlc:option>
			</extension>
		</track>
		<track><location>b.mp4</location><location>alternative.mp4</location></track>
		<track><title>no location</title></track>
	</trackList>
	<extension application="http://www.videolan.org/vlc/playlist/0"><vlc:item tid="0"/></extension>
</playlist>"""


def locations(data: bytes | str, suffix: str = ".m3u") -> list[str]:
    data = data.encode() if isinstance(data, str) else data
    return [entry.location for entry in parse_untrusted(data, suffix=suffix).entries if not entry.may_be_comment]


# --- M3U -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_encodings(end: str, encoding: str) -> None:
    text = end.join(["#EXTM3U", "# a comment", "#EXTINF:10,Grüße", "sub/ä.mp4", "", "b.mp4"])
    playlist = parse_untrusted(text.encode(encoding))
    entries = [entry for entry in playlist.entries if not entry.may_be_comment]
    assert [(entry.title, entry.location) for entry in entries] == [("Grüße", "sub/ä.mp4"), ("", "b.mp4")]


@pytest.mark.parametrize(
    ("directive", "title"),
    [
        ("#EXTINF:123,Artist - Title", "Artist - Title"),
        ("#extinf:-1, one, two ", "one, two"),
        ('#EXTINF:-1 tvg-id="a" group-title="News, Sport",Channel "4", HD', 'Channel "4", HD'),
        ("#EXTINF:-1", ""),
        ("#EXTINF:", ""),
        ("#EXTINF:10,", ""),
    ],
)
def test_titles_of_m3u(directive: str, title: str) -> None:
    assert m3u.parse_untrusted(f"{directive}\na.mp4\nb.mp4").entries == (Entry("a.mp4", title), Entry("b.mp4"))


def test_options_belong_to_the_next_entry_wherever_they_come_from() -> None:
    text = "\n".join(
        [
            '#EXTINF:-1 tvg-name="x" http-user-agent="A" user-agent="B",One',
            "#EXTVLCOPT:http-referrer=http://x/",
            "#EXTGRP:News",
            "http://h/1",
            "#KODIPROP:inputstream.adaptive.stream_headers=User-Agent=C%2F1&Referer=http%3A%2F%2Fy&X-Other=1",
            "#KODIPROP:inputstream.adaptive.license_type=clearkey",
            "http://h/2",
            '#EXTHTTP:{"User-Agent":"D","Cookie":"a=b"}',
            "http://h/3|Referer=z&verifypeer=false",
            "#EXTHTTP:[[[[[",
            "http://h/a|b",
            "http://h/5",
            "film.ts|User-Agent=E",
            "a|b=c.mp4",
        ]
    )
    playlist = m3u.parse_untrusted(text)
    assert [(entry.location, entry.options) for entry in playlist.entries] == [
        ("http://h/1", ("http-user-agent=B", "http-referrer=http://x/")),
        ("http://h/2", ("http-user-agent=C/1", "http-referrer=http://y")),
        ("http://h/3", ("http-user-agent=D", "http-referrer=z")),
        ("http://h/a|b", ()),
        ("http://h/5", ()),
        ("film.ts", ("http-user-agent=E",)),
        ("a|b=c.mp4", ()),
    ]
    assert playlist.ignored == ("x-other", "inputstream.adaptive.license_type", "cookie", "verifypeer", "exthttp")


def test_segments_are_known_by_tags_that_only_they_have() -> None:
    assert m3u.parse_untrusted("#EXTM3U\n#EXT-X-TARGETDURATION:4\na.ts").is_hls
    assert m3u.parse_untrusted("#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=1\r\na.m3u8").is_hls
    channels = m3u.parse_untrusted(
        "#EXTM3U x-tvg-url=http://h\n#EXT-X-SESSION-DATA:1\n#EXTINF:1,A #EXT-X-TARGETDURATION\nb.ts"
    )
    assert [entry.location for entry in channels.entries] == ["b.ts"]


# --- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *(
            "sout",
            ":sout-file-append",
            "--sout",
            "demux-filter",
            "demuxdump-file",
            "dump",
            "logfile",
            "file-logging",
            "record",
        ),
        *("input-record-path", "extraintf", "rc-host", "http-port", "plugin-path", "config", "sub-file", "input-slave"),
        *("snapshot-path", "stream-filter", "demux", "access", "vod-server", "lua-intf", "pidfile", "rtsp-host"),
    ],
)
def test_no_option_writes_files_or_opens_ports(name: str) -> None:
    chosen = options.choose([(name, "/etc/x")])
    assert chosen.applied == ()
    assert name == "demux-filter" or chosen.refused == (name.lstrip(":-"),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("start-time", value) for value in ("-1", "nan", "inf", "1e9", "1:30", "", "9" * 20, "1 :sout=x", "\u0661")),
        *(("http-user-agent", value) for value in ("", "a\r\nX: y", "a\0", "x" * 1001, "caf\udce9", "a\x85b")),
    ],
)
def test_values_that_could_do_harm_do_not_apply(name: str, value: str) -> None:
    assert options.choose([(name, value)]) == options.Options(ignored=(name,))


def test_a_stop_before_the_start_does_not_apply() -> None:
    assert options.choose([("stop-time", "5"), ("start-time", "5.0")]).applied == ("start-time=5.0",)
    assert options.choose([("stop-time", "6"), ("start-time", "5")]).applied == ("stop-time=6", "start-time=5")


# --- PLS -----------------------------------------------------------------------------------------------------------


def test_pls_in_any_order_case_and_count() -> None:
    rows = ("[Playlist]", "NumberOfEntries=1", "file10=j", "TITLE2 = B", "File2= b.mp3", "FILE1=a.mp3", "File2=again")
    text = "\r\n".join([*rows, "Length1=-1", "Version=2"])
    entries = pls.parse_untrusted(text).entries
    assert [(entry.location, entry.title) for entry in entries] == [("a.mp3", ""), (" b.mp3", "B"), ("j", "")]


# --- XSPF ----------------------------------------------------------------------------------------------------------


def test_xspf_as_vlc_writes_it() -> None:
    playlist = parse_untrusted(VLC_XSPF.encode())
    assert playlist.entries == (
        Entry("file:///videos/%C3%9Cn%C3%AF%20clip.mp4", "A & B", ("start-time=10.5",), is_uri=True),
        Entry("b.mp4", "", is_uri=True),
    )
    assert playlist.refused == ("sout",)


def test_the_base_of_xspf_may_be_set_at_any_element() -> None:
    text = (
        "<playlist xml:base='http://host/lists/'><trackList xml:base='sub/'><track><location>a.mp4</location></track>"
        "<track xml:base='/root/'><location>b.mp4</location></track>"
        "<track><location xml:base='http://[bad'>c.mp4</location></track></trackList></playlist>"
    )
    assert locations(text)[:2] == ["http://host/lists/sub/a.mp4", "http://host/root/b.mp4"]
    assert locations("<playlist xml:base='media/'><track><location>a.mp4</location></track></playlist>") == [
        "media/a.mp4"
    ]


@pytest.mark.parametrize(
    "head", ['<?xml version="1.0" encoding="ISO-8859-1"?>', '<?xml version="1.0" encoding="windows-1252"?>', ""]
)
def test_xspf_in_latin_1_whatever_it_declares(head: str) -> None:
    body = f"{head}<playlist><track><location>caf%E9.mp4</location><title>Café</title></track></playlist>"
    assert parse_untrusted(body.encode("latin-1"), suffix=".xspf").entries[0].title == "Café"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<!DOCTYPE p [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><playlist>&b;</playlist>", "document type"),
        ("<!DOCTYPE p SYSTEM 'file:///etc/passwd'><playlist/>", "document type"),
        ("<playlist>&undeclared;</playlist>", "not well-formed"),
        ("<playlist><track><location>http://h/?a=1&b=2</location></track></playlist>", "not well-formed"),
        ("<playlist>" + "<a>" * 100_000, "elements in one another"),
        ("<?xml version='1.0' encoding='utf-7'?><playlist/>", "not well-formed|encoding"),
        ("<?xml version='1.0' encoding='shift-jis'?><playlist/>", "not well-formed|encoding"),
        ("", "not well-formed"),
    ],
)
def test_xml_that_could_do_harm_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        xspf.parse_untrusted(text.encode())


# --- any bytes -----------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *(
            b"#EXTM3U",
            b"#EXTINF:",
            b"#EXTVLCOPT:",
            b"#KODIPROP:",
            b"#EXTHTTP:",
            b"\n",
            b"\r\n",
            b"|User-Agent=",
            b"http://",
            b"%",
        ),
        *(
            b"[playlist]",
            b"File1=",
            b"Title1=",
            b"file:///",
            b"C:\\",
            b"~",
            b"\0",
            b"\xe9",
            b"..",
            b"/",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
        ),
        *(
            b"<playlist>",
            b"</playlist>",
            b"<track>",
            b"</track>",
            b"<location>",
            b"</location>",
            b"<location/>",
            b"xml:base='",
        ),
        *(
            b"<title>",
            b"</title>",
            b"<option>",
            b"</option>",
            b"<!DOCTYPE x>",
            b"&#xD7;",
            b"<![CDATA[",
            b"]]>",
            b"'>",
            b"<?xml ",
        ),
    ]
)
any_playlist = st.lists(PIECES | st.binary(max_size=12), max_size=30).map(b"".join)


def check_message(error: SourceError) -> None:
    assert "\n" not in str(error)
    assert str(error).encode()


@given(any_playlist, st.sampled_from([".m3u", ".pls", ".xspf"]))
def test_any_bytes_are_a_playlist_or_a_source_error(data: bytes, suffix: str) -> None:
    for content in (data, b"<playlist><track>" + data + b"</track></playlist>"):
        try:
            playlist = parse_untrusted(content, suffix=suffix)
        except SourceError as error:
            check_message(error)
            continue
        for entry in playlist.entries:
            found = spellings(entry)
            assert found.usual
            assert found.usual in found.paths
            assert not any("\0" in path for path in found.paths)
            assert all(os.fsencode(path) for path in found.paths)


@given(any_playlist, st.sampled_from([".m3u", ".pls", ".xspf"]))
def test_any_playlist_expands_or_is_a_source_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(data)

    def fetch(address: str, *, timeout_s: float) -> Fetched:
        return Fetched(address, "", data)

    for source in (str(path), f"http://host/any{suffix}"):
        try:
            items = expand([source], fetch=fetch)
        except SourceError as error:
            check_message(error)
            continue
        for item in items:
            assert item.name.encode() and item.shown.encode()  # noqa: PT018 - neither is empty, nor fails
            assert isinstance(item.location_bytes, bytes)
            assert not (source.startswith("http") and item.is_path and not item.problem)


@given(st.binary(max_size=60))
def test_text_loses_nothing(data: bytes) -> None:
    text = decode_untrusted(data)
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        assert text.encode(errors="surrogateescape") == data.removeprefix(b"\xef\xbb\xbf")
    assert legible(text).encode() is not None
    assert all("\n" not in line for line in lines(text))


@pytest.mark.parametrize(
    "data",
    [
        *(b"a" * 4_000_000, b"#EXTINF:" + b"a" * 4_000_000, b"#EXTINF:" + b'a="' * 1_000_000, b"<?" * 2_000_000),
        *(
            b"file1" + b" " * 4_000_000,
            b"[playlist]\nfile1" + b" " * 4_000_000,
            b"%41" * 1_000_000,
            b"C:\\" + b"a\\" * 2_000_000,
        ),
        *(b"http://h/?" + b"a" * 4_000_000, b"a/" * 2_000_000, b"\n" * 4_000_000, b"#EXTHTTP:" + b"[" * 4_000_000),
        *(
            b"<playlist><track><title>" + b"x" * 8_000_000 + b"</title></track></playlist>",
            b"<playlist" + b" a=''" * 1_000,
        ),
    ],
    ids=lambda data: repr(data[:24]),
)
def test_a_playlist_made_to_take_long_takes_seconds_at_most(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "list.m3u"
    path.write_bytes(data)
    try:
        items = expand([str(path)])
    except SourceError:
        return
    assert len(items) < 10


def test_entries_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MAX_ENTRIES", 10)
    monkeypatch.setattr(pls, "MAX_ENTRIES", 10)
    assert values.MAX_ENTRIES == 100_000
    assert len(locations("a\n" * 100)) == 11
    assert len(locations("".join(f"File{number}=a\n" for number in range(100)), ".pls")) == 11
    assert len(locations("<playlist>" + "<track><location>a</location></track>" * 100 + "</playlist>", ".xspf")) == 11


def test_content_types() -> None:
    assert format_of_content_type("Audio/X-MpegURL; charset=utf-8") == "m3u"
    assert format_of_content_type("audio/x-scpls") == "pls"
    assert format_of_content_type("application/xspf+xml") == "xspf"
    assert format_of_content_type("audio/mpeg") is None
    assert parse_untrusted(b"File1=a", content_type="audio/x-scpls", suffix="").entries[0].location == "a"
