"""Words that recipes are made of: small clips as arguments of ffmpeg."""

from support.media.recipes import Ffmpeg, ff

H264 = "-c:v libx264 -preset veryfast -threads 1 -g 25 -b:v 200k"
AAC = "-c:a aac -b:a 64k"


def picture(seconds: float = 3, *, rate: str = "25", size: str = "160x90") -> str:
    """Pictures that are all different."""
    return f"-f lavfi -t {seconds} -i testsrc2=size={size}:rate={rate}"


def tone(seconds: float = 3, *, hertz: int = 440, rate: int = 48000) -> str:
    return f"-f lavfi -t {seconds} -i sine=frequency={hertz}:sample_rate={rate}"


def film(target: str = "film.mp4", seconds: float = 3, *, more: str = "", codecs: str = f"{H264} {AAC}") -> Ffmpeg:
    """Return a step that makes a film with sound."""
    return ff(f"{picture(seconds)} {tone(seconds)} {codecs} {more} {target}")


def copy(source: str, target: str, more: str = "-c copy") -> Ffmpeg:
    """Return a step that writes *source* into another container."""
    return ff(f"-i {source} -map 0 {more} {target}")
