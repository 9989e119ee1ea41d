"""F8: several programs, several sounds: which plays, and PIDs that stay."""

from sources import feeding
from sources.catalogue.clips import AAC, H264, film, picture, tone
from sources.entry import Entry, Part, entry
from support.media import surgery
from support.media.recipes import Step, ff, py

ONE = film("one.mp4", 3)
TWO = ff(f"-f lavfi -t 3 -i smptebars=size=160x90:rate=25 {tone(3, hertz=880)} {H264} {AAC} two.mp4")
THREE = ff(f"-f lavfi -t 3 -i mandelbrot=size=160x90:rate=25 {tone(3, hertz=220)} {H264} {AAC} three.mp4")
FIRST = (Part(file="one.mp4"),)
SECOND = (Part(file="two.mp4"),)


def f8(name: str, *steps: Step, **fields: object) -> Entry:
    fields.setdefault("play", ("film.ts",))
    return entry(f"f8-{name}", *steps, kind="F8", **fields)


def programs(*orders: str, inputs: str = "-i one.mp4 -i two.mp4 -map 0 -map 1") -> Step:
    rows = " ".join(f"-program title={order}" for order in orders)
    return ff(f"{inputs} -c copy {rows} film.ts")


TWO_PROGRAMS = programs("one:st=0:st=1", "two:st=2:st=3")
LANGUAGES = "-metadata:s:a:0 language=eng -metadata:s:a:1 language=fra"

ENTRIES = (
    f8("two-programs", ONE, TWO, TWO_PROGRAMS, parts=FIRST, loops=2, left_out=("two",)),
    f8("two-programs-second-by-number", ONE, TWO, TWO_PROGRAMS, parts=SECOND, options=("--program", "2")),
    f8("two-programs-second-by-name", ONE, TWO, TWO_PROGRAMS, parts=SECOND, options=("--program", "two"), loops=2),
    f8(
        "two-programs-over-http",
        ONE,
        TWO,
        TWO_PROGRAMS,
        serving=feeding.over_http("film.ts"),
        parts=FIRST,
        loops=2,
        left_out=("two",),
    ),
    f8(
        "two-programs-over-http-by-name",
        ONE,
        TWO,
        TWO_PROGRAMS,
        serving=feeding.over_http("film.ts", ranges=False),
        parts=SECOND,
        options=("--program", "two"),
    ),
    f8(
        "programs-with-other-numbers-over-http",
        ONE,
        TWO,
        programs("one:program_num=700:st=2:st=3", "two:program_num=5:st=0:st=1"),
        serving=feeding.over_http("film.ts", ranges=False),
        parts=SECOND,
    ),
    f8(
        "three-programs",
        ONE,
        TWO,
        THREE,
        programs(
            "one:st=0:st=1",
            "two:st=2:st=3",
            "three:st=4:st=5",
            inputs="-i one.mp4 -i two.mp4 -i three.mp4 -map 0 -map 1 -map 2",
        ),
        parts=FIRST,
        loops=2,
    ),
    f8("same-codecs-in-another-order", ONE, TWO, programs("one:st=3:st=2", "two:st=1:st=0"), parts=SECOND, loops=2),
    f8(
        "programs-with-other-numbers",
        ONE,
        TWO,
        programs("one:program_num=700:st=0:st=1", "two:program_num=5:st=2:st=3"),
        parts=FIRST,
        loops=2,
    ),
    f8(
        "table-of-the-first-comes-late",
        ONE,
        TWO,
        programs("one:st=0:st=1", "two:st=2:st=3"),
        py(surgery.late_table, "film.ts", "late.ts", 0x1000, 0.1),
        play=("late.ts",),
        parts=(Part(file="late.ts", video="0:p:1:V:0", audio=("0:p:1:a:0",)),),
    ),
    f8(
        "a-program-without-a-table",
        ONE,
        ff("-i one.mp4 -c copy one.ts"),
        py(surgery.empty_program, "one.ts", "film.ts"),
        parts=FIRST,
    ),
    f8(
        "radio-and-television",
        ONE,
        TWO,
        programs("one:st=0:st=1", "two:st=2", inputs="-i one.mp4 -i two.mp4 -map 0 -map 1:a"),
        parts=FIRST,
        loops=2,
    ),
    f8(
        "two-languages",
        ff(f"{picture()} {tone()} {tone(hertz=880)} -map 0 -map 1 -map 2 {H264} {AAC} {LANGUAGES} film.mkv"),
        play=("film.mkv",),
        languages=("eng", "fra"),
        loops=2,
    ),
    f8(
        "two-languages-ts",
        ff(f"{picture()} {tone()} {tone(hertz=880)} -map 0 -map 1 -map 2 {H264} {AAC} {LANGUAGES} film.ts"),
        languages=("eng", "fra"),
        loops=2,
    ),
    f8(
        "three-sounds-of-one-language",
        ff(
            f"{picture()} {tone()} {tone(hertz=880)} {tone(hertz=220)} -map 0 -map 1 -map 2 -map 3 {H264} {AAC} "
            "-metadata:s:a language=eng film.mp4"
        ),
        play=("film.mp4",),
        languages=("eng",) * 3,
        loops=2,
    ),
    f8(
        "sound-before-picture",
        ff(f"{picture()} {tone()} -map 1 -map 0 {H264} {AAC} film.mp4"),
        play=("film.mp4",),
        loops=2,
    ),
    f8(
        "sounds-of-other-codecs",
        ff(
            f"{picture()} {tone()} {tone(hertz=880)} -map 0 -map 1 -map 2 {H264} -c:a:0 ac3 -c:a:1 aac {LANGUAGES} "
            "film.mkv"
        ),
        play=("film.mkv",),
        languages=("eng", "fra"),
        loops=2,
    ),
)
