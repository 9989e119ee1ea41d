"""F10: one bad item. F11: playlists as other programs write them."""

from sources import feeding
from sources.catalogue.clips import film
from sources.entry import Entry, Part, entry
from support.media import surgery
from support.media.recipes import Step, py, write

A, B = film("a.mp4", 1), film("b.mp4", 1.2)
BOTH = (Part(file="a.mp4"), Part(file="b.mp4"))
ONLY_B = (Part(file="b.mp4"),)
TEXT = write("folder/a-text.mp4", "I am not a video\n" * 500)


def f10(name: str, *steps: Step, **fields: object) -> Entry:
    return entry(f"f10-{name}", *steps, kind="F10", **fields)


def f11(name: str, *steps: Step, **fields: object) -> Entry:
    return entry(f"f11-{name}", *steps, kind="F11", **fields)


def folder(*names: str) -> Step:
    return py(surgery.copies, "b.mp4", "folder", *names)


PLS = "[playlist]\nNumberOfEntries=2\nFile1=a.mp4\nTitle1=A\nLength1=1\nFile2=sub/%C3%9Cn.mp4\nVersion=2\n"
XSPF = """<?xml version="1.0" encoding="UTF-8"?>
<playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList>
<track><location>a.mp4</location><title>A &amp; B</title></track>
<track><location>sub/%C3%9Cn.mp4</location></track>
</trackList></playlist>
"""
SUB = py(surgery.copies, "b.mp4", "sub", "Ün.mp4", "Ünïc clip.mp4")

ENTRIES = (
    f10(
        "name-that-is-not-utf-8",
        B,
        folder("b.mp4"),
        py(surgery.copies, "b.mp4", "folder", "x.mp4"),
        py(surgery.rename, "folder/x.mp4", b"folder/caf\351.mp4"),
        play=("folder",),
        parts=ONLY_B * 2,
    ),
    f10(
        "name-that-is-not-utf-8-named",
        B,
        py(surgery.copies, "b.mp4", ".", "x.mp4"),
        py(surgery.rename, "x.mp4", b"caf\351.mp4"),
        play=(b"caf\351.mp4", "b.mp4"),
        parts=ONLY_B * 2,
    ),
    f10(
        "text-among-films",
        B,
        folder("b.mp4"),
        TEXT,
        play=("folder",),
        parts=ONLY_B,
        counted=("failed_items",),
        left_out=("a-text.mp4",),
        exit_status=1,
    ),
    f10(
        "empty-file-among-films",
        B,
        folder("b.mp4"),
        write("folder/a.mp4", ""),
        play=("folder",),
        parts=ONLY_B,
        left_out=("empty",),
        exit_status=1,
    ),
    f10(
        "link-to-nowhere",
        B,
        folder("b.mp4"),
        py(surgery.link, "folder/a.mp4", "nowhere.mp4"),
        play=("folder",),
        exit_status=1,
        left_out=("a.mp4",),
        parts=ONLY_B,
    ),
    f10("longest-name", B, folder("x" * 251 + ".mp4", "y.mp4"), play=("folder",), parts=ONLY_B * 2),
    f10(
        "truncated-film",
        film("whole.mp4", 3),
        py(surgery.truncate, "whole.mp4", "a.mp4", 0.6),
        B,
        play=("a.mp4", "b.mp4"),
        parts=ONLY_B,
        left_out=("a.mp4",),
        counted=("failed_items",),
        exit_status=1,
    ),
    f10(
        "damaged-header",
        film("whole.ts", 2),
        py(surgery.damage, "whole.ts", "a.ts", 0.0, 0.1),
        B,
        play=("b.mp4", "b.mp4"),
        parts=ONLY_B * 2,
    ),
    f11(
        "percent-encoded",
        B,
        SUB,
        write("list.m3u8", "sub/%C3%9Cn%C3%AFc%20clip.mp4\n"),
        play=("list.m3u8",),
        parts=ONLY_B,
    ),
    f11(
        "option-of-vlc",
        A,
        B,
        write("list.m3u", "#EXTM3U\n#EXTVLCOPT:http-user-agent=Mozilla\na.mp4\n#EXTVLCOPT:video-filter=x\nb.mp4\n"),
        play=("list.m3u",),
        parts=BOTH,
        left_out=("video-filter",),
    ),
    f11(
        "option-that-writes",
        A,
        B,
        write("list.m3u", "#EXTM3U\n#EXTVLCOPT:sout=#file{dst=written.ts}\na.mp4\nb.mp4\n"),
        play=("list.m3u",),
        parts=BOTH,
        left_out=("sout",),
    ),
    f11("latin-1", B, SUB, write("list.m3u", "sub/Ün.mp4\n".encode("latin-1")), play=("list.m3u",), parts=ONLY_B),
    f11("utf-16", B, SUB, write("list.m3u", "sub/Ün.mp4\n".encode("utf-16")), play=("list.m3u",), parts=ONLY_B),
    f11("pls", A, B, SUB, write("list.pls", PLS), play=("list.pls",), parts=BOTH),
    f11(
        "pls-out-of-order",
        A,
        B,
        write("list.pls", "[Playlist]\r\nfile2=b.mp4\r\nFILE1=a.mp4\r\n"),
        play=("list.pls",),
        parts=BOTH,
    ),
    f11("xspf", A, B, SUB, write("list.xspf", XSPF), play=("list.xspf",), parts=BOTH),
    f11(
        "m3u8-over-http",
        A,
        B,
        SUB,
        write("lists/list.m3u8", "../a.mp4\n../sub/%C3%9Cn.mp4\n"),
        serving=feeding.over_http("lists/list.m3u8"),
        parts=BOTH,
    ),
    f11("pls-over-http", A, B, SUB, write("list.pls", PLS), serving=feeding.over_http("list.pls"), parts=BOTH),
    f11(
        "file-address",
        A,
        B,
        SUB,
        write("list.m3u", ""),
        serving=feeding.list_of_addresses("a.mp4", "sub/Ün.mp4"),
        parts=BOTH,
    ),
    f11(
        "name-with-a-percent",
        B,
        py(surgery.copies, "b.mp4", ".", "100%25 sure.mp4"),
        write("list.m3u", "100%25 sure.mp4\n"),
        play=("list.m3u",),
        parts=ONLY_B,
    ),
    f11(
        "one-entry-is-missing",
        A,
        B,
        write("list.m3u", "a.mp4\ngone.mp4\nb.mp4\n"),
        play=("list.m3u",),
        parts=BOTH,
        left_out=("gone.mp4",),
        counted=("failed_items",),
        exit_status=1,
    ),
    f11("upper-case-suffix", A, B, write("LIST.M3U", "a.mp4\nb.mp4\n"), play=("LIST.M3U",), parts=BOTH),
)
