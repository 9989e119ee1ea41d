"""F8, F9, F11, F13: tracks that come and go, sounds of several kinds, more playlists, more that cannot be carried."""

from sources.catalogue.clips import AAC, H264, film, picture, tone
from sources.catalogue.identity import ONE, TWO, f8, programs
from sources.catalogue.playlists import BOTH, ONLY_B, SUB, A, B, f10, f11
from sources.catalogue.promises import PLAIN, f13
from sources.catalogue.slow_pictures import STILL, f3
from sources.catalogue.transcoded import f9
from sources.entry import Part
from support.media import surgery
from support.media.recipes import ff, py, write

PICTURES = ("bmp", "webp", "tiff", "gif")
XSPF_OF_VLC = """<?xml version="1.0" encoding="UTF-8"?>
<playlist xmlns="http://xspf.org/ns/0/" xmlns:vlc="http://www.videolan.org/vlc/playlist/ns/0/" version="1">
<title>Playlist</title><trackList><track><location>a.mp4</location><duration>1000</duration>
<extension application="http://www.videolan.org/vlc/playlist/0"><vlc:id>0</vlc:id>
<vlc:option>sout=#file{dst=written.ts}</vlc:option></extension></track>
<track><location>b.mp4</location></track></trackList></playlist>
"""

ENTRIES = (
    f8("radio-program-first", ONE, TWO,
       programs("two:st=2", "one:st=0:st=1", inputs="-i one.mp4 -i two.mp4 -map 0 -map 1:a"),
       parts=(Part(file="two.mp4", video=None),), options=("--program", "1")),
    f8("default-sound-is-the-second",
       ff(f"{picture()} {tone()} {tone(hertz=880)} -map 0 -map 1 -map 2 {H264} {AAC} -metadata:s:a:0 language=deu "
          "-metadata:s:a:1 language=eng -disposition:a:0 0 -disposition:a:1 default film.mkv"), play=("film.mkv",),
       languages=("deu", "eng"), loops=2),
    f8("ac3-in-two-languages",
       ff(f"{picture()} {tone()} {tone(hertz=880)} -map 0 -map 1 -map 2 {H264} -c:a ac3 -metadata:s:a:0 language=ita "
          "-metadata:s:a:1 language=spa film.ts"), languages=("ita", "spa"), loops=2),
    f9("one-copied-one-transcoded",
       ff(f"{picture(2)} {tone(2)} {tone(2, hertz=880)} -map 0 -map 1 -map 2 {H264} -c:a:0 pcm_s16le "
          "-c:a:1 aac film.mov"),
       play=("film.mov",), transcoded="audio"),
    f9("mp4-with-alac", film("film.mp4", 2, codecs=f"{H264} -c:a alac"), transcoded="audio"),
    f9("mkv-with-opus-5.1", film("film.mkv", 2, codecs=f"{H264} -c:a libopus -ac 6"), play=("film.mkv",),
       transcoded="audio"),
    *(f3(f"picture-{kind}", ff(f"{picture(0.04)} -frames:v 1 film.{kind}"), play=(f"film.{kind}",),
         options=("--picture-seconds", "2"), parts=(Part(file=f"film.{kind}", still_s=2),), transcoded="video")
      for kind in PICTURES),
    f3("still-avif", ff(f"{picture(0.04)} -frames:v 1 -c:v libaom-av1 -cpu-used 8 -still-picture 1 film.avif"),
       play=("film.avif",), options=("--picture-seconds", "2"), parts=(Part(file="film.avif", still_s=2),),
       transcoded="video", left_out=(r"film.avif \(ffmpeg, 2.0 s",)),
    f3("moving-avif", ff(f"{picture(2, rate='10')} -c:v libaom-av1 -cpu-used 8 film.avif"),
       ff(f"{picture(2, rate='10')} {H264} same.mp4"), play=("film.avif",), parts=(Part(file="same.mp4"),),
       transcoded="video", left_out=(r"film.avif \(ffmpeg, 2.0 s",)),
    f3("moving-gif", ff(f"{picture(2, rate='10')} film.gif"), play=("film.gif",), options=("--picture-seconds", "5"),
       transcoded="video", left_out=(r"film.gif \(ffmpeg, 2.0 s",)),
    f3("moving-png", ff(f"{picture(2, rate='10')} -f apng film.png"), play=("film.png",), options=("--picture-seconds",
       "5"), transcoded="video", left_out=(r"film.png \(ffmpeg, 2.0 s",)),
    f3("picture-of-odd-size", ff(f"{picture(0.04, size='641x357')} -frames:v 1 film.jpg"), play=("film.jpg",),
       options=("--picture-seconds", "2"), parts=(Part(file="film.jpg", still_s=2),), transcoded="video"),
    f3("picture-with-alpha", ff(f"{picture(0.04)} -vf format=rgba -frames:v 1 film.png"), play=("film.png",) * 3,
       options=("--picture-seconds", "1"), parts=(Part(file="film.png", still_s=1),) * 3, transcoded="video"),
    f3("slides-of-hevc", ff(f"{picture(9, rate='1/3')} {tone(9)} -c:v libx265 -preset ultrafast -x265-params "
                            f"log-level=none {AAC} film.mp4"), pictures=3),
    f3("slides-of-vp9", ff(f"{picture(9, rate='1/3')} {tone(9)} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 {AAC} "
                           "film.mkv"), play=("film.mkv",), transcoded="video"),
    f3("slides-in-avi", ff(f"{picture(6, rate='1/2')} {tone(6)} -c:v mpeg4 -c:a libmp3lame film.avi"),
       play=("film.avi",)),
    f3("slides-of-ts-without-sound", ff(f"{picture(10, rate='1/5')} {H264} {STILL} film.ts"), play=("film.ts",)),
    f3("one-picture-and-long-sound", ff(f"{picture(0.04)} {tone(5)} {H264} {AAC} film.mp4")),
    f10("folder-in-a-playlist", A, B, py(surgery.copies, "b.mp4", "folder", "b.mp4"),
        write("list.m3u", "a.mp4\nfolder\n"), play=("list.m3u",), parts=BOTH),
    f10("archive-among-films", B, py(surgery.copies, "b.mp4", "folder", "b.mp4"),
        write("folder/a.mp4", b"PK\x03\x04" + bytes(range(256)) * 40), play=("folder",), parts=ONLY_B,
        left_out=("a.mp4",), exit_status=1),
    f11("nested", A, B, SUB, write("inner.pls", "[playlist]\nFile1=sub/%C3%9Cn.mp4\n"),
        write("list.m3u", "a.mp4\ninner.pls\n"), play=("list.m3u",), parts=BOTH),
    f11("backslashes", A, B, SUB, write("list.m3u", "a.mp4\r\nsub\\Ün.mp4\r\n"), play=("list.m3u",), parts=BOTH),
    f11("xspf-of-vlc-that-writes", A, B, write("list.xspf", XSPF_OF_VLC), play=("list.xspf",), parts=BOTH,
        left_out=("sout",)),
    f11("start-and-stop-time", film("a.mp4", 4), B,
        write("list.m3u", "#EXTM3U\n#EXTVLCOPT:start-time=1\n#EXTVLCOPT:stop-time=3\na.mp4\nb.mp4\n"),
        ff("-ss 1 -i a.mp4 -t 2 -c copy cut.mp4"), play=("list.m3u",),
        parts=(Part(file="cut.mp4", offset=False), Part(file="b.mp4"))),
    f11("without-a-final-newline-and-with-tabs", A, B, write("list.m3u", "\ta.mp4\t\n\n\n   \nb.mp4"),
        play=("list.m3u",), parts=BOTH),
    f13("aspect-in-the-container-alone", film("plain.mp4", 3), ff("-i plain.mp4 -c copy -aspect 4:3 film.mkv"),
        play=("film.mkv",)),
    f13("two-subtitles", write("s.srt", "1\n00:00:00,500 --> 00:00:01,500\nhello\n\n"), film("plain.mp4", 3),
        ff("-i plain.mp4 -i s.srt -i s.srt -map 0 -map 1 -map 2 -c copy -c:s srt -metadata:s:s:0 language=deu "
           "-metadata:s:s:1 language=fra film.mkv"), play=("film.mkv",), left_out=("deu", "fra")),
    f13("rotated-over-loops", film("plain.mp4", 2), ff("-display_rotation -90 -i plain.mp4 -c copy film.mp4"),
        parts=PLAIN, left_out=(r"rotat|turn",), loops=2),
)  # fmt: skip
