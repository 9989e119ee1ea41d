"""F2, F6: more formats of picture and sound that MPEG-TS does not carry, or that few people use."""

from sources.catalogue.clips import AAC, H264, film, picture, tone
from sources.catalogue.transcoded import VP9, f2
from sources.entry import Entry, Part, entry
from support.media.recipes import Step, ff


def sound(name: str, codec: str, target: str, transcoded: str = "audio", **fields: object) -> Entry:
    """Return an entry of a file of sound alone."""
    step = ff(f"{tone(2)} {codec} {target}")
    parts = (Part(file=target, video=None),)
    return entry(f"f2-{name}", step, kind="F2", play=(target,), transcoded=transcoded, parts=parts, **fields)


def f6(name: str, *steps: Step, **fields: object) -> Entry:
    return entry(f"f6-{name}", *steps, kind="F6", **fields)


ENTRIES = (
    sound("aiff", "-c:a pcm_s16be", "a.aiff"),
    sound("au-mulaw", "-c:a pcm_mulaw -ar 8000", "a.au"),
    sound("caf-alac", "-c:a alac", "a.caf"),
    sound("wav-96-kilohertz-24-bit", "-c:a pcm_s24le -ar 96000", "a.wav"),
    sound("wav-8-bit-8-kilohertz", "-c:a pcm_u8 -ar 8000", "a.wav"),
    sound("wav-5.1", "-c:a pcm_s16le -ac 6", "a.wav"),
    sound("mka-flac", "-c:a flac", "a.mka"),
    sound("speex-rate-opus", "-c:a libopus -ar 16000 -b:a 16k", "a.webm"),
    sound("wma", "-c:a wmav2", "a.wma"),
    sound("aac-adts", "-c:a aac", "a.aac", ""),
    sound("ac3-bare", "-c:a ac3", "a.ac3", ""),
    sound("mp2-bare", "-c:a mp2", "a.mp2", ""),
    f2("vp9-odd-size", f"-vf scale=161:93 {VP9}", "film.webm", "video"),
    f2("vp9-4:4:4", f"-pix_fmt yuv444p {VP9}", "film.webm", "video"),
    f2("vp9-10-bit", f"-pix_fmt yuv420p10le {VP9}", "film.webm", "video"),
    f2("vp9-in-mp4", f"{VP9} -c:a libopus", "film.mp4"),
    f2("prores-4444-alpha", "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le -c:a pcm_s24le", "film.mov"),
    f2("cineform", "-c:v cfhd -c:a pcm_s16le", "film.mov"),
    f2("jpeg2000", "-c:v jpeg2000 -c:a pcm_s16le", "film.mov"),
    f2("motion-png", "-c:v png -c:a pcm_s16le", "film.mov"),
    f2("msmpeg4-avi", "-c:v msmpeg4 -b:v 400k -c:a pcm_s16le", "film.avi"),
    f2("huffyuv", "-c:v ffvhuff -c:a pcm_s16le", "film.avi"),
    f2("bare-mjpeg", "-c:v mjpeg -q:v 5", "film.mjpeg", "video"),
    f2("animated-png", "-r 10 -c:v apng -plays 1", "film.apng", "video"),
    f2("wmv-asf-1", "-c:v wmv1 -b:v 400k -c:a wmav1", "film.asf"),
    f2("vp9-12.5-fps", f"-r 25/2 {VP9}", "film.webm", "video"),
    f2("vp9-59.94-fps", f"-r 60000/1001 {VP9}", "film.webm", "video"),
    f2("nut-rawvideo", "-c:v rawvideo -pix_fmt yuv422p -c:a pcm_f32le", "film.nut"),
    entry(
        "f2-mjpeg-with-mp3",
        ff(f"{picture(2)} {tone(2)} -c:v mjpeg -q:v 5 -c:a libmp3lame film.avi"),
        kind="F2",
        play=("film.avi",),
        transcoded="video",
        loops=2,
    ),
    entry(
        "f2-varying-rate-of-vp9",
        ff(
            f"{picture(4)} {tone(4)} -vf \"select='not(between(t,1,2.5))'\" -fps_mode passthrough {VP9} -c:a libopus "
            "film.webm"
        ),
        kind="F2",
        play=("film.webm",),
        transcoded="video audio",
    ),
    f6(
        "one-picture-of-webm",
        ff(f"{picture(0.04)} {VP9} clip.webm"),
        film(seconds=1.5, codecs=H264),
        play=("film.mp4", "clip.webm"),
        parts=(Part(file="film.mp4"), Part(file="clip.webm")),
        transcoded="video",
        loops=2,
    ),
    f6(
        "one-picture-of-a-bare-stream",
        ff(f"{picture(0.04)} {H264} clip.h264"),
        film(seconds=1.5, codecs=H264),
        play=("film.mp4", "clip.h264"),
        parts=(Part(file="film.mp4"), Part(file="clip.h264", rate=25)),
        loops=2,
    ),
    f6(
        "three-pictures-with-b-frames",
        ff(f"{picture(0.12)} {H264} -bf 2 clip.mp4"),
        film(seconds=1.5, codecs=H264),
        play=("film.mp4", "clip.mp4"),
        parts=(Part(file="film.mp4"), Part(file="clip.mp4")),
        loops=2,
    ),
    f6(
        "a-beep-of-wav",
        ff(f"{tone(0.05)} -c:a pcm_s16le beep.wav"),
        ff(f"{tone(1.5)} {AAC} film.m4a"),
        play=("film.m4a", "beep.wav"),
        parts=(Part(file="film.m4a", video=None), Part(file="beep.wav", video=None)),
        transcoded="audio",
        loops=2,
    ),
    f6("many-short-ones", ff(f"{picture(0.2)} {tone(0.2)} {H264} {AAC} clip.mp4"), play=("clip.mp4",), loops=15),
)
