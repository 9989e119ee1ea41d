"""F2: every track must be transcoded. F9: a table that grows while one track is transcoded, over loops."""

from sources.catalogue.clips import AAC, H264, film, picture, tone
from sources.entry import Entry, Part, entry
from support.media.recipes import Step, ff

VP9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k"


def f2(name: str, arguments: str, target: str, transcoded: str = "video audio", **fields: object) -> Entry:
    """Return an entry of two seconds in *target*; sound alone where there is no video in *transcoded*."""
    pictures = picture(2) if "video" in transcoded else ""
    sound = tone(2) if "audio" in transcoded else ""
    if "video" not in transcoded:
        fields.setdefault("parts", (Part(file=target, video=None),))
    step = ff(f"{pictures} {sound} {arguments} {target}")
    return entry(f"f2-{name}", step, kind="F2", play=(target,), transcoded=transcoded, **fields)


def f9(name: str, *steps: Step, **fields: object) -> Entry:
    return entry(f"f9-{name}", *steps, kind="F9", loops=3, **fields)


ENTRIES = (
    f2("vp9", VP9, "film.webm", "video", loops=2),
    f2("vp8-vorbis", "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 300k -c:a libvorbis", "film.webm"),
    f2("theora-vorbis", "-c:v libtheora -q:v 5 -c:a libvorbis", "film.ogv"),
    f2("prores-pcm", "-c:v prores -c:a pcm_s16le", "film.mov"),
    f2("wav", "-c:a pcm_s16le", "film.wav", "audio"),
    f2("wav-loops", "-c:a pcm_s16le", "film.wav", "audio", loops=2),
    f2("flac", "-c:a flac", "film.flac", "audio"),
    f2("ogg", "-c:a libvorbis", "film.ogg", "audio"),
    f2("opus", "-c:a libopus", "film.opus", "audio"),
    f2("mjpeg-pcm-avi", "-c:v mjpeg -q:v 5 -c:a pcm_s16le", "film.avi"),
    f2("ffv1-flac-mkv", "-c:v ffv1 -c:a flac", "film.mkv"),
    f2("wmv", "-c:v wmv2 -b:v 400k -c:a wmav2", "film.wmv"),
    f2("alac-m4a", "-c:a alac", "film.m4a", "audio"),
    f2("h263-3gp", "-vf scale=176:144 -c:v h263 -b:v 300k -c:a aac -ar 16000", "film.3gp", "video"),
    f2("dnxhd-mov", "-vf scale=256:144 -c:v dnxhd -profile:v dnxhr_lb -c:a pcm_s16le", "film.mov"),
    f2("av1-mp4", "-c:v libsvtav1 -preset 12 -b:v 200k -c:a aac", "film.mp4", "video"),
    f2("flv1-adpcm", "-c:v flv -b:v 400k -c:a adpcm_swf -ar 44100", "film.flv"),
    f2("gif", "-r 10", "film.gif", "video"),
    f2("y4m", "-pix_fmt yuv420p", "film.y4m", "video"),
    f2("rgb-avi", "-c:v rawvideo -pix_fmt bgr24 -c:a pcm_s16le", "film.avi"),
    f2("vp9-alpha", f"-vf format=yuva420p {VP9} -auto-alt-ref 0", "film.webm", "video"),
    f9("pcm-mov", film("film.mov", 2, codecs=f"{H264} -c:a pcm_s16le"), play=("film.mov",), transcoded="audio"),
    f9("flac-mkv", film("film.mkv", 2, codecs=f"{H264} -c:a flac"), play=("film.mkv",), transcoded="audio"),
    f9("vorbis-mkv", film("film.mkv", 2, codecs=f"{H264} -c:a libvorbis"), play=("film.mkv",), transcoded="audio"),
    f9(
        "adpcm-avi",
        film("film.avi", 2, codecs="-c:v mpeg4 -b:v 400k -c:a adpcm_ms"),
        play=("film.avi",),
        transcoded="audio",
    ),
    f9("vp9-with-aac", film("film.mkv", 2, codecs=f"{VP9} {AAC}"), play=("film.mkv",), transcoded="video"),
    f9(
        "two-sounds-one-transcoded",
        ff(f"{picture(2)} {tone(2)} {tone(2, hertz=880)} -map 0 -map 1 -map 2 {H264} -c:a:0 flac -c:a:1 flac film.mkv"),
        play=("film.mkv",),
        transcoded="audio",
    ),
    f9(
        "pcm-24-bit-surround",
        film("film.mov", 2, codecs=f"{H264} -c:a pcm_s24le -ac 6"),
        play=("film.mov",),
        transcoded="audio",
    ),
)
