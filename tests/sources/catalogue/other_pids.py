"""F5, F8: recordings that go on with other PIDs: the tracks go on as the ones that they were."""

from sources.catalogue.clips import AAC, H264, copy, film, picture, tone
from sources.catalogue.clocks import TWICE, f5
from sources.catalogue.identity import ONE, TWO, f8, programs
from sources.entry import Part
from support.media import surgery
from support.media.recipes import Step, ff, py, write

MOVED = ("pid_changes",)
OTHERS = {0x100: 0x200, 0x101: 0x201}
SWAPPED = {0x100: 0x101, 0x101: 0x100}
TWO_SOUNDS = f"{picture(2)} {tone(2)} {tone(2, hertz=880)} -map 0 -map 1 -map 2 {H264} {AAC}"
GERMAN, ENGLISH = "-metadata:s:a:{} language=deu", "-metadata:s:a:{} language=eng"


def then(pids: dict[int, int], numbers: dict[int, int] | None = None, *, first: str = "a.ts") -> tuple[Step, ...]:
    """Return steps: *first*, and the same again with other PIDs."""
    return (
        py(surgery.other_pids, first, "b.ts", pids, numbers or {}),
        py(surgery.join, "film.ts", first, "b.ts"),
    )


A = film("a.ts", 2)
FILM = {"play": ("film.ts",), "parts": TWICE, "counted": MOVED}
BOTH = programs("one:st=0:st=1", "two:st=2:st=3")

ENTRIES = (
    f5("other-pids-after-the-jump", A, *then(OTHERS), **FILM),
    f5("other-pids-over-loops", film("a.ts", 1.5), *then(OTHERS), **FILM, loops=2),
    f5("other-pids-twice", A, py(surgery.other_pids, "a.ts", "b.ts", OTHERS),
       py(surgery.other_pids, "a.ts", "c.ts", {0x100: 0x201, 0x101: 0x300}),
       py(surgery.join, "film.ts", "a.ts", "b.ts", "c.ts", "a.ts"), play=("film.ts",), parts=TWICE * 2, counted=MOVED),
    f5("picture-and-sound-swap-their-pids", A, *then(SWAPPED), **FILM),
    f5("other-program-and-table", A,
       *then({0x100: 0x1000, 0x101: 0x1FFE, 0x1000: 0x100}, {1: 700}), **FILM),
    f5("other-program-with-the-same-pids", A, *then({}, {1: 2}), play=("film.ts",), parts=TWICE),
    f5("other-pids-in-m2ts", A, *then(SWAPPED), py(surgery.arrival_times, "film.ts", "film.m2ts"),
       play=("film.m2ts",), parts=TWICE, counted=MOVED),
    f5("other-pids-in-204-bytes", A, *then({0x100: 0x101, 0x101: 0x102}), py(surgery.longer_packets, "film.ts",
       "long.ts"), play=("long.ts",), parts=TWICE, counted=MOVED),
    f5("other-pids-behind-20-mib", A, *then(OTHERS), py(surgery.stuffed, "a.ts", "long.ts", 60),
       py(surgery.join, "film.ts", "long.ts", "b.ts"), **FILM),
    f5("other-pids-behind-a-cut-packet", A, py(surgery.other_pids, "a.ts", "b.ts", OTHERS),
       py(surgery.truncate, "a.ts", "cut.ts", 0.999), py(surgery.join, "film.ts", "cut.ts", "b.ts"), play=("film.ts",),
       parts=(Part(file="cut.ts"), Part(file="a.ts")), counted=MOVED),
    f5("other-pids-of-mpeg2", film("a.ts", 2, codecs="-c:v mpeg2video -b:v 600k -g 12 -bf 2 -c:a ac3"),
       *then(SWAPPED), **FILM),
    f5("other-pids-of-hevc-and-opus", film("a.ts", 2, codecs="-c:v libx265 -preset ultrafast -x265-params "
       "log-level=none:keyint=25 -c:a libopus"), *then(OTHERS), **FILM),
    f5("other-pids-of-two-languages", ff(f"{TWO_SOUNDS} {GERMAN.format(0)} {ENGLISH.format(1)} a.ts"),
       *then({0x100: 0x102, 0x101: 0x100, 0x102: 0x101}), **FILM, languages=("deu", "eng")),
    f5("languages-in-another-order", ff(f"{TWO_SOUNDS} {GERMAN.format(0)} {ENGLISH.format(1)} a.ts"),
       ff("-i a.ts -map 0:0 -map 0:2 -map 0:1 -c copy -streamid 0:257 -streamid 1:256 -streamid 2:258 b.ts"),
       py(surgery.join, "film.ts", "a.ts", "b.ts"), **FILM, languages=("deu", "eng")),
    f5("a-sound-less-on-other-pids", ff(f"{TWO_SOUNDS} {GERMAN.format(0)} {ENGLISH.format(1)} a.ts"),
       ff("-i a.ts -map 0:0 -map 0:1 -c copy c.ts"), py(surgery.other_pids, "c.ts", "b.ts", SWAPPED),
       py(surgery.join, "film.ts", "a.ts", "b.ts"), play=("film.ts",),
       parts=(Part(file="a.ts"), Part(file="c.ts")), counted=MOVED),
    f5("a-sound-more-on-other-pids", ff(f"{TWO_SOUNDS} {GERMAN.format(0)} {ENGLISH.format(1)} c.ts"),
       ff("-i c.ts -map 0:0 -map 0:1 -c copy a.ts"),
       py(surgery.other_pids, "c.ts", "b.ts", {0x100: 0x102, 0x101: 0x103, 0x102: 0x101}),
       py(surgery.join, "film.ts", "a.ts", "b.ts"), play=("film.ts",),
       parts=(Part(file="a.ts"), Part(file="c.ts", audio=("0:a:0",))), counted=MOVED,
       left_out=(r"audio aac \(eng\) is not sent",)),
    f5("another-codec-from-the-middle-on", A, film("c.ts", 2, codecs="-c:v mpeg2video -b:v 600k -g 12 -c:a aac"),
       py(surgery.join, "film.ts", "a.ts", "c.ts"), play=("film.ts",),
       parts=(Part(file="a.ts"), Part(file="c.ts", video=None)), left_out=("video mpeg.* is not sent",)),
    f5("another-codec-behind-20-mib", A, film("c.ts", 2, codecs="-c:v mpeg2video -b:v 600k -g 12 -c:a aac"),
       py(surgery.stuffed, "a.ts", "long.ts", 60), py(surgery.join, "film.ts", "long.ts", "c.ts"),
       play=("film.ts",), parts=(Part(file="a.ts"), Part(file="c.ts", video=None)),
       left_out=("video mpeg.* is not sent",)),
    f5("other-pids-from-the-middle-on", ff(f"{picture(2)} {H264} a.ts"), ff(f"{picture(3)} {H264} b.mp4"),
       copy("b.mp4", "c.ts", "-c copy -output_ts_offset 2"), py(surgery.other_pids, "c.ts", "b.ts", OTHERS),
       py(surgery.join, "film.ts", "a.ts", "b.ts"), ff("-ss 1 -i b.mp4 -c copy cut.mp4"),
       write("list.m3u", "#EXTM3U\n#EXTVLCOPT:start-time=3.9\nfilm.ts\n"), play=("list.m3u",),
       parts=(Part(file="cut.mp4"),)),
    f5("a-part-of-a-transport-stream", film("whole.mp4", 4), copy("whole.mp4", "film.ts"),
       write("list.m3u", "#EXTM3U\n#EXTVLCOPT:start-time=2.5\nfilm.ts\n"), ff("-ss 2 -i whole.mp4 -c copy cut.mp4"),
       play=("list.m3u",), parts=(Part(file="cut.mp4", offset=False),)),
    f8("both-programs-change-their-pids", ONE, TWO, BOTH,
       py(surgery.other_pids, "film.ts", "b.ts", {0x100: 0x300, 0x101: 0x100, 0x102: 0x101, 0x103: 0x301}),
       py(surgery.join, "joined.ts", "film.ts", "b.ts"), play=("joined.ts",),
       parts=(Part(file="one.mp4"), Part(file="one.mp4")), counted=MOVED, audio_ms=25.0),
    f8("programs-swap-their-pids", ONE, TWO, BOTH,
       py(surgery.other_pids, "film.ts", "b.ts", {0x100: 0x102, 0x101: 0x103, 0x102: 0x100, 0x103: 0x101}),
       py(surgery.join, "joined.ts", "film.ts", "b.ts"), play=("joined.ts",), options=("--program", "2"),
       parts=(Part(file="two.mp4"), Part(file="two.mp4")), counted=MOVED, audio_ms=25.0),
    f8("programs-swap-their-tables", ONE, TWO, BOTH,
       py(surgery.other_pids, "film.ts", "b.ts", {0x1000: 0x1001, 0x1001: 0x1000, 0x100: 0x1100}),
       py(surgery.join, "joined.ts", "film.ts", "b.ts"), play=("joined.ts",), options=("--program", "two"),
       parts=(Part(file="two.mp4"), Part(file="two.mp4")), audio_ms=25.0),
)  # fmt: skip
