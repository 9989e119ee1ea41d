"""F3: more than a second between pictures. F6: very short clips. F7 is in joining."""

from sources.catalogue.clips import AAC, H264, film, picture, tone
from sources.entry import Entry, Part, entry
from support.media import surgery
from support.media.recipes import Step, ff, py

STILL = "-tune stillimage -x264-params keyint=250:scenecut=0"
UNCHANGED = "-vf \"select='not(between(t,1,5.9))'\" -fps_mode passthrough"


def f3(name: str, *steps: Step, **fields: object) -> Entry:
    return entry(f"f3-{name}", *steps, kind="F3", **fields)


def f6(name: str, *steps: Step, **fields: object) -> Entry:
    return entry(f"f6-{name}", *steps, kind="F6", **fields)


FILM_AND_CLIP = (Part(file="film.mp4"), Part(file="clip.mp4"))

ENTRIES = (
    f3("a-picture-in-two-seconds", ff(f"{picture(8, rate='1/2')} {tone(8)} {H264} {STILL} {AAC} film.mp4"), pictures=4),
    f3(
        "a-picture-in-ten-seconds",
        ff(f"{picture(20, rate='1/10')} {tone(20)} {H264} {STILL} {AAC} film.mp4"),
        pictures=2,
    ),
    f3("slides-without-sound", ff(f"{picture(9, rate='1/3')} {H264} {STILL} film.mp4"), pictures=3),
    f3("slides-in-a-ts", ff(f"{picture(8, rate='1/2')} {tone(8)} {H264} {STILL} {AAC} film.ts"), play=("film.ts",)),
    f3("screen-that-does-not-change", ff(f"{picture(8)} {H264} {UNCHANGED} film.mp4"), pictures=77),
    f3(
        "screen-that-does-not-change-mkv",
        ff(f"{picture(8)} {tone(8)} {H264} {UNCHANGED} {AAC} film.mkv"),
        play=("film.mkv",),
    ),
    f3("one-picture-a-second", ff(f"{picture(5, rate='1')} {tone(5)} {H264} {AAC} film.mp4"), loops=2),
    f3("rare-references", film("whole.ts", 6), py(surgery.without_pcr, "whole.ts", "film.ts", 80), play=("film.ts",)),
    f3(
        "slow-speech",
        ff(f"{tone(6, rate=8000)} -c:a aac -b:a 8k film.m4a"),
        play=("film.m4a",),
        parts=(Part(file="film.m4a", video=None),),
    ),
    f3("slides-over-loops", ff(f"{picture(4, rate='1/2')} {H264} {STILL} film.mp4"), loops=3),
    f3(
        "picture-jpg",
        ff(f"{picture(0.04)} -frames:v 1 film.jpg"),
        play=("film.jpg",),
        options=("--picture-seconds", "3"),
        parts=(Part(file="film.jpg", still_s=3),),
        transcoded="video",
    ),
    f3(
        "picture-png-between-films",
        ff(f"{picture(0.04)} -frames:v 1 b.png"),
        film("film.mp4", 2),
        play=("film.mp4", "b.png", "film.mp4"),
        options=("--picture-seconds", "2"),
        transcoded="video",
        parts=(Part(file="film.mp4"), Part(file="b.png", still_s=2), Part(file="film.mp4")),
    ),
    f6(
        "five-pictures",
        film(seconds=2, codecs=H264),
        ff(f"{picture(0.2)} {H264} clip.mp4"),
        play=("film.mp4", "clip.mp4"),
        parts=FILM_AND_CLIP,
        loops=2,
    ),
    f6("five-pictures-alone", ff(f"{picture(0.2)} {H264} film.mp4"), loops=12),
    f6(
        "one-picture",
        film(seconds=2, codecs=H264),
        ff(f"{picture(0.04)} {H264} clip.mp4"),
        play=("film.mp4", "clip.mp4"),
        parts=FILM_AND_CLIP,
        loops=2,
    ),
    f6(
        "two-pictures-with-sound",
        film(seconds=2),
        film("clip.mp4", 0.08),
        play=("film.mp4", "clip.mp4"),
        parts=FILM_AND_CLIP,
        loops=2,
    ),
    f6(
        "short-sound",
        ff(f"{tone(2)} {AAC} film.m4a"),
        ff(f"{tone(0.15)} {AAC} clip.m4a"),
        play=("film.m4a", "clip.m4a"),
        parts=(Part(file="film.m4a", video=None), Part(file="clip.m4a", video=None)),
        loops=2,
    ),
    f6(
        "short-ts",
        film("film.ts", 2),
        film("clip.ts", 0.3),
        play=("film.ts", "clip.ts"),
        parts=(Part(file="film.ts"), Part(file="clip.ts")),
        loops=2,
    ),
    f6(
        "short-transcoded",
        film("clip.mov", 0.2, codecs=f"{H264} -c:a pcm_s16le"),
        play=("clip.mov",),
        transcoded="audio",
        loops=8,
    ),
    f6("short-mpeg2", film("clip.mpg", 0.2, codecs="-c:v mpeg2video -c:a mp2"), play=("clip.mpg",), loops=8),
    f6(
        "one-picture-mkv-with-sound",
        ff(f"{picture(0.04)} {tone(1)} {H264} {AAC} film.mkv"),
        play=("film.mkv",),
        loops=3,
    ),
)
