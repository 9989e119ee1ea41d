"""What worked before, and must go on working."""

from sources import feeding
from sources.catalogue.clips import AAC, H264, copy, film, picture, tone
from sources.entry import Entry, Late, Part, entry
from support.media import surgery
from support.media.recipes import Step, ff, py, write

X265 = "-c:v libx265 -preset ultrafast -b:v 200k -x265-params log-level=none:pools=1:frame-threads=1"


def works(name: str, *steps: Step, **fields: object) -> Entry:
    return entry(name, *steps, kind="works", **fields)


ODD_NAMES = (
    *("a film.mp4", "b'quote.mp4", 'c"double.mp4', "d%20percent.mp4", "e#hash.mp4", "f?question.mp4", "g&and;.mp4"),
    *("h日本語.mp4", "i\\back.mp4", "j:colon.mp4", "k$HOME.mp4", "l[1].mp4", "m{x,y}.mp4", "n*.mp4", "-o.mp4"),
    *("p\nline.mp4", "qu\u0308.mp4"),
)

ENTRIES = (
    works("film", film(), pictures=75, loops=2),
    works(
        "hevc-open-gop",
        ff(f"{picture()} {tone()} {X265}:open-gop=1:keyint=25:bframes=3 {AAC} film.ts"),
        play=("film.ts",),
        late=Late(at_s=1.5),
    ),
    works(
        "h264-open-gop",
        ff(f"{picture()} {tone()} {H264} -bf 2 -x264-params open-gop=1:keyint=12 {AAC} film.ts"),
        play=("film.ts",),
        late=Late(at_s=1.5),
    ),
    works(
        "wrap-of-the-clock",
        film(),
        copy("film.mp4", "film.ts", "-c copy -output_ts_offset 95441.9"),
        play=("film.ts",),
        parts=(Part(file="film.mp4"),),
    ),
    works("packets-of-192", film(), copy("film.mp4", "film.m2ts", "-c copy -mpegts_m2ts_mode 1"), play=("film.m2ts",)),
    works(
        "packets-of-204",
        film("film.ts"),
        py(surgery.longer_packets, "film.ts", "longer.ts"),
        play=("longer.ts",),
        parts=(Part(file="film.ts"),),
    ),
    works("aac-latm", film(), copy("film.mp4", "film.ts", "-c copy -mpegts_flags latm"), play=("film.ts",)),
    works(
        "mpeg2-interlaced",
        film("film.ts", codecs="-c:v mpeg2video -flags +ildct+ilme -b:v 600k -g 12 -bf 2 -c:a mp2 -b:a 128k"),
        play=("film.ts",),
    ),
    works(
        "h264-interlaced",
        ff(f"{picture(size='160x96')} {tone()} {H264} -flags +ildct+ilme -x264-params tff=1 {AAC} film.mp4"),
    ),
    works("23.976", ff(f"{picture(rate='24000/1001')} {tone()} {H264} {AAC} film.mp4")),
    works("59.94", ff(f"{picture(rate='60000/1001')} {tone()} {H264} {AAC} film.mp4")),
    works("h264-10-bit", film("film.mkv", codecs=f"{H264} -pix_fmt yuv420p10le {AAC}"), play=("film.mkv",)),
    works("h264-4:4:4", film(codecs=f"{H264} -pix_fmt yuv444p {AAC}")),
    works("odd-size", ff(f"{picture(size='161x93')} {tone()} {H264} -pix_fmt yuv444p {AAC} film.mp4")),
    works(
        "mpeg4-avi", film("film.avi", codecs="-c:v mpeg4 -b:v 400k -g 25 -c:a libmp3lame -b:a 96k"), play=("film.avi",)
    ),
    works(
        "mpeg4-avi-b-pictures",
        film("film.avi", codecs="-c:v mpeg4 -b:v 400k -g 25 -bf 2 -c:a libmp3lame"),
        play=("film.avi",),
        parts=(Part(file="film.avi", rate=25, offset=False),),
    ),
    works(
        "edit-list",
        film("whole.mp4", 4),
        ff("-ss 1.4 -i whole.mp4 -c copy film.mp4"),
        parts=(Part(file="film.mp4", options=("-ignore_editlist", "1"), offset=False),),
    ),
    works("offset-over-loops", ff(f"{picture(2)} -itsoffset 0.3 {tone(2)} {H264} {AAC} film.mp4"), loops=3),
    works("offset-of-picture", ff(f"-itsoffset 0.5 {picture(2)} {tone(2)} {H264} {AAC} film.mp4"), loops=2),
    works(
        "cover-art-of-a-film",
        film("plain.mp4"),
        ff(f"{picture(0.04)} -frames:v 1 cover.png"),
        ff("-i plain.mp4 -i cover.png -map 0 -map 1 -c copy -disposition:v:1 attached_pic film.mp4"),
    ),
    works(
        "cover-art-of-a-song",
        ff(f"{picture(0.04)} -frames:v 1 cover.jpg"),
        ff(f"{tone()} -c:a libmp3lame a.mp3"),
        ff("-i a.mp3 -i cover.jpg -map 0 -map 1 -c copy -id3v2_version 3 -disposition:v attached_pic film.mp3"),
        play=("film.mp3",),
        parts=(Part(file="a.mp3", video=None),),
    ),
    works(
        "odd-names",
        film("short.mp4", 0.6),
        py(surgery.copies, "short.mp4", "folder", *ODD_NAMES),
        play=("folder",),
        parts=(Part(file="short.mp4"),) * len(ODD_NAMES),
    ),
    works(
        "odd-name-named",
        film("short.mp4", 1),
        py(surgery.copies, "short.mp4", ".", "-%41#?é\n.mp4"),
        play=("-%41#?é\n.mp4",),
        parts=(Part(file="short.mp4"),),
    ),
    works(
        "growing",
        film("film.ts", 4, codecs="-c:v mpeg2video -b:v 3M -minrate 3M -maxrate 3M -bufsize 1M -c:a mp2"),
        play=("film.ts",),
        serving=feeding.growing("film.ts"),
    ),
    works("http", film(), serving=feeding.over_http("film.mp4")),
    works(
        "http-without-ranges", film(more="-movflags +faststart"), serving=feeding.over_http("film.mp4", ranges=False)
    ),
    works("http-without-ranges-index-last", film(), serving=feeding.over_http("film.mp4", ranges=False)),
    works(
        "http-without-ranges-mov",
        film("film.mov"),
        serving=feeding.over_http("film.mov", ranges=False, redirects=2),
        parts=(Part(file="film.mov"),),
    ),
    works(
        "http-without-ranges-or-suffix",
        film("a.mp4"),
        py(surgery.copies, "a.mp4", "shop", "film"),
        serving=feeding.over_http("shop/film", ranges=False),
        parts=(Part(file="a.mp4"),),
    ),
    works("http-1.0", film(), serving=feeding.over_http("film.mp4", protocol="HTTP/1.0")),
    works("http-redirects", film(), serving=feeding.over_http("film.mp4", redirects=3)),
    works(
        "hls",
        film(seconds=4),
        ff("-i film.mp4 -c copy -hls_time 1 -hls_list_size 0 list.m3u8"),
        serving=feeding.over_http("list.m3u8"),
        parts=(Part(file="film.mp4", offset=False),),
    ),
    works(
        "hls-files",
        film(seconds=4),
        ff("-i film.mp4 -c copy -hls_time 1 -hls_list_size 0 list.m3u8"),
        play=("list.m3u8",),
        parts=(Part(file="film.mp4", offset=False),),
    ),
    works(
        "hls-fmp4",
        film(seconds=4),
        ff("-i film.mp4 -c copy -hls_time 1 -hls_list_size 0 -hls_segment_type fmp4 list.m3u8"),
        serving=feeding.over_http("list.m3u8"),
        parts=(Part(file="film.mp4", offset=False),),
    ),
    works(
        "h264-with-opus",
        film("film.mkv", codecs=f"{H264} -c:a libopus -b:a 64k"),
        play=("film.mkv",),
        transcoded="audio",
        loops=2,
    ),
    works(
        "vp9-with-opus",
        film("film.webm", 2, codecs="-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 200k -c:a libopus -b:a 64k"),
        play=("film.webm",),
        transcoded="video audio",
    ),
    works(
        "m3u-bom-crlf-comments",
        film("a.mp4", 1),
        film("'b c.mp4'", 1),
        write("list.m3u", "\ufeff#EXTM3U\r\n# a comment\r\n#EXTINF:1,A\r\na.mp4\r\n\r\n  b c.mp4  \r\n"),
        play=("list.m3u",),
        parts=(Part(file="a.mp4"), Part(file="b c.mp4")),
    ),
    works(
        "m3u-circle",
        film("a.mp4", 1),
        write("one.m3u", "a.mp4\ntwo.m3u\n"),
        write("two.m3u", "one.m3u\n"),
        play=("one.m3u", "a.mp4"),
        parts=(Part(file="a.mp4"), Part(file="a.mp4")),
        left_out=("contain",),
        exit_status=1,
    ),
    works(
        "mpeg1-system",
        film("film.mpg", codecs="-c:v mpeg1video -b:v 600k -g 12 -bf 2 -c:a mp2 -b:a 128k"),
        play=("film.mpg",),
    ),
    works("flv", film("film.flv"), play=("film.flv",)),
    works("fragmented-mp4", film(more="-movflags frag_keyframe+empty_moov+default_base_moof")),
    works(
        "mkv-b-pictures",
        film("film.mkv", codecs=f"{H264} -bf 3 -x264-params b-pyramid=normal {AAC}"),
        play=("film.mkv",),
        loops=2,
    ),
    works("http-faststart", film(more="-movflags +faststart"), serving=feeding.over_http("film.mp4")),
    works("http-ts", film("film.ts"), serving=feeding.over_http("film.ts"), parts=(Part(file="film.ts"),)),
    works(
        "raw-hevc",
        ff(f"{picture()} {X265}:keyint=25 film.hevc"),
        play=("film.hevc",),
        parts=(Part(file="film.hevc", rate=25),),
    ),
    works(
        "mxf",
        film("film.mxf", codecs="-c:v mpeg2video -b:v 1M -g 12 -c:a pcm_s16le -ar 48000"),
        play=("film.mxf",),
        transcoded="audio",
    ),
    works(
        "song-m4a",
        ff(f"{tone()} {AAC} film.m4a"),
        play=("film.m4a",),
        loops=2,
        parts=(Part(file="film.m4a", video=None),),
    ),
    works(
        "song-mp3",
        ff(f"{tone()} -c:a libmp3lame film.mp3"),
        play=("film.mp3",),
        parts=(Part(file="film.mp3", video=None),),
    ),
    works("44100-hertz", ff(f"{picture()} {tone(rate=44100)} {H264} {AAC} film.mp4"), loops=2),
)
