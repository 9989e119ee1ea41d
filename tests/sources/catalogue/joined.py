"""F5, F1, F7: recordings joined in other containers, clocks of other shapes, tracks with holes, late joins."""

from sources.catalogue.clips import AAC, H264, copy, film, picture, tone
from sources.catalogue.clocks import f5
from sources.catalogue.joining import f7
from sources.catalogue.tracks import f1
from sources.catalogue.works import X265
from sources.entry import Late, Part
from support.media import surgery
from support.media.recipes import ff, py

ENTRIES = (
    f5("ogg-chained", ff(f"{tone(2)} -c:a libvorbis a.ogg"), py(surgery.join, "film.ogg", "a.ogg", "a.ogg"),
       play=("film.ogg",), parts=(Part(file="a.ogg", video=None), Part(file="a.ogg", video=None)),
       transcoded="audio"),
    f5("adts-joined", ff(f"{tone(2)} {AAC} a.aac"), py(surgery.join, "film.aac", "a.aac", "a.aac"),
       play=("film.aac",), parts=(Part(file="a.aac", video=None), Part(file="a.aac", video=None))),
    f5("bare-h264-joined", ff(f"{picture(2)} {H264} -bf 0 a.h264"), py(surgery.join, "film.h264", "a.h264", "a.h264"),
       play=("film.h264",), parts=(Part(file="a.h264", rate=25), Part(file="a.h264", rate=25))),
    f5("no-pcr-at-all", film("whole.ts", 3), py(surgery.without_pcr, "whole.ts", "film.ts", 1 << 30),
       play=("film.ts",)),
    f5("far-from-zero", film("film.mkv", 3, more="-output_ts_offset 90000"), play=("film.mkv",)),
    f5("before-zero", film("whole.mkv", 3), ff("-ss 1.3 -i whole.mkv -c copy -copyts -output_ts_offset -3 film.nut"),
       play=("film.nut",)),
    f5("tracks-of-two-epochs", film("whole.ts", 3),
       py(surgery.shift_clock, "whole.ts", "film.ts", 40000, (0.0, 1.0), 0x101),
       play=("film.ts",), parts=(Part(file="whole.ts", offset=False),)),
    f5("ten-pieces", film("a.ts", 0.6), py(surgery.join, "film.ts", *["a.ts"] * 10), play=("film.ts",),
       parts=(Part(file="a.ts"),) * 10),
    f5("cut-in-the-middle-of-a-picture", film("a.ts", 2), film("c.ts", 2),
       py(surgery.part, "c.ts", "b.ts", 0.0, 1.0), py(surgery.join, "film.ts", "b.ts", "a.ts"), play=("film.ts",),
       parts=(Part(file="b.ts"), Part(file="a.ts"))),
    f5("back-and-forth", film("whole.ts", 4), py(surgery.shift_clock, "whole.ts", "b.ts", -0.8, (0.3, 0.5)),
       py(surgery.shift_clock, "b.ts", "film.ts", 2.0, (0.6, 0.8)), play=("film.ts",),
       parts=(Part(file="whole.ts", times=False),)),
    f5("hevc-twice", ff(f"{picture(2)} {tone(2)} {X265}:keyint=25 {AAC} a.ts"),
       py(surgery.join, "film.ts", "a.ts", "a.ts"), play=("film.ts",), parts=(Part(file="a.ts"), Part(file="a.ts"))),
    f5("m2ts-twice", film("a.mp4", 2), copy("a.mp4", "a.m2ts", "-c copy -mpegts_m2ts_mode 1"),
       py(surgery.join, "film.m2ts", "a.m2ts", "a.m2ts"), play=("film.m2ts",),
       parts=(Part(file="a.mp4"), Part(file="a.mp4"))),
    f1("hole-in-the-picture-of-a-ts", film("whole.ts", 5),
       py(surgery.without_pid, "whole.ts", "film.ts", 0x100, (0.35, 0.6)),
       play=("film.ts",), parts=(Part(file="film.ts"),)),
    f1("one-frame-of-sound", ff(f"{picture(3)} {tone(0.02)} {H264} {AAC} film.mp4")),
    f1("sound-in-the-middle-only", ff(f"{picture(6)} -itsoffset 2 {tone(1.5)} {H264} {AAC} film.mkv"),
       play=("film.mkv",)),
    f1("three-tracks-of-three-lengths",
       ff(f"{picture(4)} {tone(2)} -itsoffset 1 {tone(1, hertz=880)} -map 0 -map 1 -map 2 {H264} {AAC} film.mp4")),
    f1("sound-much-longer-over-loops", ff(f"{picture(0.6)} {tone(3)} {H264} {AAC} film.mp4"), loops=2),
    f1("picture-ends-early-ts", ff(f"{picture(1)} {tone(4)} {H264} {AAC} film.ts"), play=("film.ts",)),
    f1("transcoded-picture-ends-early",
       ff(f"{picture(1)} {tone(4)} -c:v libvpx -deadline realtime -cpu-used 8 {AAC} film.mkv"), play=("film.mkv",),
       transcoded="video"),
    f7("hevc-intra-refresh",
       ff(f"{picture(7)} {X265}:intra-refresh=1:keyint=25:repeat-headers=0 film.mp4")),
    f7("hevc-hev1-mp4", ff(f"{picture(6)} {X265}:keyint=25 -tag:v hev1 film.mp4")),
    f7("open-gop-without-idr",
       ff(f"{picture(6)} {H264} -x264-params open-gop=1:keyint=25:keyint-min=25 -bf 2 film.mp4")),
    f7("mpeg4-in-ts", ff(f"{picture(6)} {tone(6)} -c:v mpeg4 -b:v 400k -g 25 -c:a mp2 film.ts"), play=("film.ts",)),
    f7("mpeg2-in-mkv-with-extradata",
       ff(f"{picture(6)} -c:v mpeg2video -b:v 600k -g 25 -flags +global_header film.mkv"), play=("film.mkv",)),
    f7("flv", film("film.flv", 6), play=("film.flv",)),
    f7("transcoded", ff(f"{picture(6)} -c:v libvpx -deadline realtime -cpu-used 8 -b:v 300k film.webm"),
       play=("film.webm",), transcoded="video"),
    f7("sound-alone", ff(f"{tone(6)} {AAC} film.m4a"), play=("film.m4a",),
       parts=(Part(file="film.m4a", video=None),), late=Late(at_s=3.0, notice="")),
)  # fmt: skip
