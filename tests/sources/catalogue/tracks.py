"""F1: tracks of different lengths. F4: sound that libvlc's shaping lost pictures for."""

from sources.catalogue.clips import AAC, H264, copy, film, picture, tone
from sources.entry import Entry, Late, Part, entry
from support.media import surgery
from support.media.recipes import Step, ff, py, write

SOUND_HOLE = "-af \"aselect='not(between(t,1,3))'\""
PICTURE_HOLE = "-vf \"select='not(between(t,1,3))'\" -fps_mode passthrough"
SUBTITLES = "1\n00:00:00,200 --> 00:00:00,900\nonly here\n"


def f1(name: str, *steps: Step, **fields: object) -> Entry:
    return entry(f"f1-{name}", *steps, kind="F1", **fields)


def f4(name: str, *steps: Step, **fields: object) -> Entry:
    return entry(f"f4-{name}", *steps, kind="F4", **fields)


ENTRIES = (
    f1("sound-ends-early", ff(f"{picture(6)} {tone(1.2)} {H264} {AAC} film.mp4"), pictures=150),
    f1("picture-ends-early", ff(f"{picture(1.2)} {tone(5)} {H264} {AAC} film.mp4"), pictures=30),
    f1("sound-starts-late", ff(f"{picture(5)} -itsoffset 2.5 {tone(2.5)} {H264} {AAC} film.mp4"), pictures=125),
    f1(
        "picture-starts-late",
        ff(f"-itsoffset 2.5 {picture(2.5)} {tone(5)} {H264} {AAC} film.mkv"),
        play=("film.mkv",),
        pictures=63,
    ),
    f1("hole-in-the-sound", ff(f"{picture(5)} {tone(5)} {H264} {AAC} {SOUND_HOLE} film.mkv"), play=("film.mkv",)),
    f1("hole-in-the-picture", ff(f"{picture(5)} {tone(5)} {H264} {AAC} {PICTURE_HOLE} film.mkv"), play=("film.mkv",)),
    f1(
        "hole-in-the-sound-of-a-ts",
        film("whole.ts", 5),
        py(surgery.without_pid, "whole.ts", "film.ts", 0x101, (0.25, 0.65)),
        play=("film.ts",),
    ),
    f1(
        "second-sound-ends-early",
        ff(f"{picture(5)} {tone(5)} {tone(1, hertz=880)} -map 0 -map 1 -map 2 {H264} {AAC} film.mp4"),
    ),
    f1(
        "first-sound-ends-early",
        ff(f"{picture(5)} {tone(1)} {tone(5, hertz=880)} -map 0 -map 1 -map 2 {H264} {AAC} film.mkv"),
        play=("film.mkv",),
    ),
    f1(
        "sound-announced-and-never-there",
        film("whole.ts", 3),
        py(surgery.without_pid, "whole.ts", "film.ts", 0x101),
        play=("film.ts",),
        parts=(Part(file="film.ts", audio=()),),
    ),
    f1(
        "picture-announced-and-never-there",
        film("whole.ts", 3),
        py(surgery.without_pid, "whole.ts", "film.ts", 0x100),
        play=("film.ts",),
        parts=(Part(file="film.ts", video=None),),
    ),
    f1(
        "subtitles-end-early",
        write("s.srt", SUBTITLES),
        film("plain.mp4", 4),
        ff("-i plain.mp4 -i s.srt -map 0 -map 1 -c copy -c:s mov_text film.mp4"),
        left_out=("subtitle",),
    ),
    f1("sound-ends-early-over-loops", ff(f"{picture(3)} {tone(1)} {H264} {AAC} film.mp4"), loops=2),
    f1(
        "sound-ends-early-in-avi", ff(f"{picture(4)} {tone(1)} -c:v mpeg4 -c:a libmp3lame film.avi"), play=("film.avi",)
    ),
    f1(
        "transcoded-sound-ends-early",
        ff(f"{picture(4)} {tone(1)} {H264} -c:a pcm_s16le film.mov"),
        play=("film.mov",),
        transcoded="audio",
    ),
    f4("ac3-ts", film("film.ts", 4, codecs=f"{H264} -c:a ac3"), play=("film.ts",)),
    f4(
        "ac3-m2ts",
        film("a.mp4", 4, codecs=f"{H264} -c:a ac3"),
        copy("a.mp4", "film.m2ts", "-c copy -mpegts_m2ts_mode 1"),
        play=("film.m2ts",),
    ),
    f4("ac3-vob", film("film.vob", 4, codecs="-c:v mpeg2video -b:v 600k -g 12 -bf 2 -c:a ac3"), play=("film.vob",)),
    f4("eac3-ts", film("film.ts", 4, codecs=f"{H264} -c:a eac3"), play=("film.ts",)),
    f4("ac3-5.1-mkv", film("film.mkv", 4, codecs=f"{H264} -c:a ac3 -ac 6 -b:a 448k"), play=("film.mkv",)),
    f4("dts-ts", film("film.ts", 4, codecs=f"{H264} -c:a dca -strict -2 -ac 2"), play=("film.ts",)),
    f4("mp2-vob", film("film.vob", 4, codecs="-c:v mpeg2video -b:v 600k -g 12 -bf 2 -c:a mp2"), play=("film.vob",)),
    f4(
        "ac3-and-aac-ts",
        ff(f"{picture(4)} {tone(4)} {tone(4, hertz=880)} -map 0 -map 1 -map 2 {H264} -c:a:0 ac3 -c:a:1 aac film.ts"),
        play=("film.ts",),
        late=Late(at_s=1.5),
    ),
    f4(
        "lpcm-vob",
        film("film.vob", 3, codecs="-c:v mpeg2video -b:v 600k -g 12 -c:a pcm_s16be -ar 48000 -ac 2"),
        play=("film.vob",),
        transcoded="audio",
    ),
)
