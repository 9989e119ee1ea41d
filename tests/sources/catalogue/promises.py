"""F13: what an item promises beside picture and sound: carried, or named."""

from sources.catalogue.clips import AAC, H264, film, picture, tone
from sources.entry import Entry, Part, entry
from support.media import surgery
from support.media.recipes import Step, ff, py, write

SRT = "".join(f"{n}\n00:00:0{n},000 --> 00:00:0{n},800\nline {n}\n\n" for n in range(4))
ASS = (
    "[Script Info]\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    "Dialogue: 0,0:00:00.50,0:00:01.50,Default,,0,0,0,,hello\n"
)
PLAIN = (Part(file="plain.mp4"),)


def f13(name: str, *steps: Step, **fields: object) -> Entry:
    return entry(f"f13-{name}", *steps, kind="F13", **fields)


ENTRIES = (
    f13(
        "dvb-subtitles",
        film("plain.ts", 4),
        py(surgery.add_private, "plain.ts", "film.ts", *surgery.DVB_SUBTITLES),
        play=("film.ts",),
        carried=("subtitle",),
        loops=2,
    ),
    f13(
        "teletext",
        film("plain.ts", 4),
        py(surgery.add_private, "plain.ts", "film.ts", *surgery.TELETEXT),
        play=("film.ts",),
        carried=("subtitle",),
    ),
    f13(
        "portrait",
        film("plain.mp4", 3),
        ff("-display_rotation 90 -i plain.mp4 -c copy film.mp4"),
        parts=PLAIN,
        left_out=(r"rotat|turn",),
    ),
    f13(
        "upside-down-mkv",
        film("plain.mp4", 3),
        ff("-display_rotation 180 -i plain.mp4 -c copy film.mov"),
        play=("film.mov",),
        parts=PLAIN,
        left_out=(r"rotat|turn",),
    ),
    f13(
        "mov-text",
        write("s.srt", SRT),
        film("plain.mp4", 4),
        ff("-i plain.mp4 -i s.srt -map 0 -map 1 -c copy -c:s mov_text film.mp4"),
        parts=PLAIN,
        left_out=("subtitle",),
    ),
    f13(
        "subrip-mkv",
        write("s.srt", SRT),
        film("plain.mp4", 4),
        ff("-i plain.mp4 -i s.srt -map 0 -map 1 -c copy -c:s srt film.mkv"),
        play=("film.mkv",),
        parts=PLAIN,
        left_out=("subtitle",),
        loops=2,
    ),
    f13(
        "ass-mkv",
        write("s.ass", ASS),
        film("plain.mp4", 3),
        ff("-i plain.mp4 -i s.ass -map 0 -map 1 -c copy -c:s ass film.mkv"),
        play=("film.mkv",),
        parts=PLAIN,
        left_out=("subtitle",),
    ),
    f13(
        "attached-font",
        write("font.ttf", b"\0\1\0\0" + bytes(5000)),
        film("plain.mp4", 3),
        ff("-i plain.mp4 -attach font.ttf -metadata:s:t mimetype=font/ttf -map 0 -c copy film.mkv"),
        play=("film.mkv",),
        parts=PLAIN,
    ),
    f13(
        "time-code",
        film("plain.mov", 3, codecs=f"{H264} {AAC} -timecode 10:00:00:00"),
        play=("plain.mov",),
        left_out=(r"data|time ?code",),
    ),
    f13(
        "second-picture",
        ff(
            f"{picture()} -f lavfi -t 3 -i smptebars=size=160x90:rate=25 {tone()} -map 0 -map 1 "
            f"-map 2 {H264} {AAC} film.mp4"
        ),
        videos=2,
    ),
    f13(
        "chapters",
        film("plain.mp4", 3),
        write("meta", ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1500\ntitle=one\n"),
        ff("-i plain.mp4 -i meta -map_metadata 1 -map_chapters 1 -c copy film.mp4"),
        parts=PLAIN,
    ),
    f13(
        "dvb-subtitles-mkv",
        film("plain.ts", 4),
        py(surgery.add_private, "plain.ts", "a.ts", *surgery.DVB_SUBTITLES),
        ff("-i a.ts -map 0 -c copy film.mkv"),
        play=("film.mkv",),
        carried=("subtitle",),
    ),
)
