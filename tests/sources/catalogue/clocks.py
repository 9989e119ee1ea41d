"""F5: recordings whose clock does not run on."""

from sources.catalogue.clips import AAC, H264, copy, film, picture, tone
from sources.entry import Entry, Part, entry
from support.media import surgery
from support.media.recipes import Step, ff, py

MPEG2 = "-c:v mpeg2video -b:v 600k -g 12 -bf 2 -c:a mp2 -b:a 128k"
TWICE = (Part(file="a.ts"), Part(file="a.ts"))


def f5(name: str, *steps: Step, **fields: object) -> Entry:
    # Tracks of a recording do not end together. Where one is joined to another, a frame of audio has to give way.
    fields.setdefault("audio_ms", 25.0)
    return entry(f"f5-{name}", *steps, kind="F5", **fields)


def halves(jump_s: float, pid: int | None = None) -> tuple[Step, ...]:
    """Return steps: a film in two halves, the second of which (of *pid*) is *jump_s* elsewhere."""
    return (
        film("whole.ts", 4),
        py(surgery.shift_clock, "whole.ts", "film.ts", jump_s, (0.5, 1.0), pid),
    )


# The jump is mended so that the stream continues: all pictures and frames come, at times that only go forward.
WHOLE = (Part(file="whole.ts", times=False),)

ENTRIES = (
    f5("twice", film("a.ts", 2.5), py(surgery.join, "film.ts", "a.ts", "a.ts"), play=("film.ts",), parts=TWICE),
    f5(
        "three-recordings",
        film("a.ts", 1.5),
        film("b.ts", 2),
        py(surgery.join, "film.ts", "a.ts", "b.ts", "a.ts"),
        play=("film.ts",),
        parts=(Part(file="a.ts"), Part(file="b.ts"), Part(file="a.ts")),
    ),
    f5(
        "twice-over-loops",
        film("a.ts", 1.5),
        py(surgery.join, "film.ts", "a.ts", "a.ts"),
        play=("film.ts",),
        parts=TWICE,
        loops=2,
    ),
    f5(
        "program-stream-twice",
        film("a.mpg", 2, codecs=MPEG2),
        py(surgery.join, "film.mpg", "a.mpg", "a.mpg"),
        play=("film.mpg",),
        parts=(Part(file="a.mpg"), Part(file="a.mpg")),
    ),
    f5(
        "mpeg2-ts-twice",
        film("a.ts", 2, codecs=MPEG2),
        py(surgery.join, "film.ts", "a.ts", "a.ts"),
        play=("film.ts",),
        parts=TWICE,
    ),
    f5("an-hour-forward", *halves(3600), play=("film.ts",), parts=WHOLE),
    f5(
        "an-hour-back",
        film("first.ts", 4, more="-output_ts_offset 7200"),
        py(surgery.shift_clock, "first.ts", "film.ts", -3600, (0.5, 1.0)),
        play=("film.ts",),
        parts=(Part(file="first.ts", times=False),),
    ),
    f5("half-a-second-back", *halves(-0.5), play=("film.ts",), parts=WHOLE),
    f5("ten-seconds-forward", *halves(10), play=("film.ts",), parts=WHOLE),
    f5("only-the-sound-jumps", *halves(3600, 0x101), play=("film.ts",), parts=WHOLE),
    f5("only-the-sound-goes-back", *halves(-3, 0x101), play=("film.ts",), parts=WHOLE),
    f5("only-the-picture-jumps", *halves(3600, 0x100), play=("film.ts",), parts=WHOLE),
    f5(
        "a-stray-stretch",
        film("whole.ts", 4),
        py(surgery.shift_clock, "whole.ts", "film.ts", 5000, (0.4, 0.45)),
        play=("film.ts",),
        parts=WHOLE,
    ),
    f5(
        "wrap-and-twice",
        film("plain.mp4", 2),
        copy("plain.mp4", "a.ts", "-c copy -output_ts_offset 95442.6"),
        py(surgery.join, "film.ts", "a.ts", "a.ts"),
        play=("film.ts",),
        parts=(Part(file="plain.mp4"), Part(file="plain.mp4")),
    ),
    f5(
        "sound-alone-twice",
        ff(f"{tone(2)} {AAC} a.ts"),
        py(surgery.join, "film.ts", "a.ts", "a.ts"),
        play=("film.ts",),
        parts=(Part(file="a.ts", video=None), Part(file="a.ts", video=None)),
    ),
    f5(
        "picture-alone-twice",
        ff(f"{picture(2)} {H264} a.ts"),
        py(surgery.join, "film.ts", "a.ts", "a.ts"),
        play=("film.ts",),
        parts=TWICE,
    ),
    f5(
        "mp3-twice",
        ff(f"{tone(2)} -c:a libmp3lame -write_xing 0 -id3v2_version 0 a.mp3"),
        py(surgery.join, "film.mp3", "a.mp3", "a.mp3"),
        play=("film.mp3",),
        parts=(Part(file="a.mp3", video=None), Part(file="a.mp3", video=None)),
    ),
)
