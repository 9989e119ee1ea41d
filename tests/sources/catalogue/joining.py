"""F7: clients that join where no parameter sets follow."""

from sources.catalogue.clips import AAC, H264, copy, picture, tone
from sources.catalogue.works import X265
from sources.entry import Entry, Late, Part, entry
from support.media import surgery
from support.media.recipes import Step, ff, py

LATE = Late(at_s=3.0)


def f7(name: str, *steps: Step, late: Late = LATE, **fields: object) -> Entry:
    return entry(f"f7-{name}", *steps, kind="F7", late=late, **fields)


REFRESH = "-c:v libx264 -preset veryfast -threads 1 -b:v 200k -x264-params intra-refresh=1:keyint=25"

ENTRIES = (
    f7("intra-refresh", ff(f"{picture(7)} {REFRESH} film.mp4")),
    f7("intra-refresh-ts", ff(f"{picture(7)} {tone(7)} {REFRESH} {AAC} film.ts"), play=("film.ts",)),
    f7(
        "h264-sets-only-once",
        ff(f"{picture(6)} {H264} -bf 0 a.h264"),
        py(surgery.first_units_only, "a.h264", "film.h264", (7, 8)),
        play=("film.h264",),
        parts=(Part(file="a.h264", rate=25),),
    ),
    f7(
        "h264-sets-only-once-in-ts",
        ff(f"{picture(6)} {H264} -bf 0 a.h264"),
        py(surgery.first_units_only, "a.h264", "b.h264", (7, 8)),
        ff("-fflags +genpts -r 25 -i b.h264 -c copy film.ts"),
        play=("film.ts",),
    ),
    f7(
        "hevc-sets-only-once",
        ff(f"{picture(6)} {X265}:keyint=25:bframes=0 -f hevc a.hevc"),
        py(surgery.first_units_only, "a.hevc", "b.hevc", (32, 33, 34), 1),
        ff("-fflags +genpts -r 25 -i b.hevc -c copy film.ts"),
        play=("film.ts",),
    ),
    f7("hevc-mp4", ff(f"{picture(6)} {X265}:keyint=25 -tag:v hvc1 film.mp4")),
    f7("hevc-mkv", ff(f"{picture(6)} {tone(6)} {X265}:keyint=25 {AAC} film.mkv"), play=("film.mkv",)),
    f7("mpeg4-vol-only-in-extradata", ff(f"{picture(6)} -c:v mpeg4 -b:v 400k -g 25 -flags +global_header film.mp4")),
    f7(
        "mpeg4-vol-only-in-extradata-mkv",
        ff(f"{picture(6)} {tone(6)} -c:v mpeg4 -b:v 400k -g 25 -bf 2 -flags +global_header {AAC} film.mkv"),
        play=("film.mkv",),
    ),
    f7(
        "mpeg2-sequence-header-only-once",
        ff(f"{picture(6)} -c:v mpeg2video -b:v 600k -g 12 -f mpeg2video a.m2v"),
        py(surgery.first_sequence_header_only, "a.m2v", "film.m2v"),
        play=("film.m2v",),
        parts=(Part(file="a.m2v", rate=25),),
    ),
    f7(
        "one-keyframe",
        ff(
            f"{picture(7)} {tone(7)} -c:v libx264 -preset veryfast -threads 1 -g 1000 "
            f"-x264-params scenecut=0 -b:v 200k {AAC} film.mp4"
        ),
    ),
    f7(
        "one-keyframe-beyond-the-ring",
        ff(f"{picture(8)} -c:v libx264 -preset veryfast -threads 1 -g 1000 -x264-params scenecut=0 -b:v 200k film.mp4"),
        options=("--ring-seconds", "2"),
        late=Late(at_s=4.5, notice="keyframe|no picture"),
    ),
    f7(
        "sets-change-in-the-middle",
        ff(f"{picture(3)} {H264} a.mp4"),
        ff(f"{picture(3)} -c:v libx264 -preset veryfast -threads 1 -g 25 -profile:v baseline -bf 0 -b:v 300k b.mp4"),
        copy("a.mp4", "a.ts"),
        copy("b.mp4", "b.ts"),
        py(surgery.join, "film.ts", "a.ts", "b.ts"),
        play=("film.ts",),
        parts=(Part(file="a.ts"), Part(file="b.ts")),
        late=Late(at_s=4.2),
    ),
)
