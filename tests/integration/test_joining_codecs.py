"""At every random access point of a real film, a decoder that knows nothing before it shows pictures."""

from pathlib import Path

import pytest

from flume.media.packetizer import Packetizer
from support.media.clips import ffmpeg, video_input

SECONDS = 12
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-g", "50")
FILMS = {
    "H.264 with intra refresh": (*X264, "-x264-params", "intra-refresh=1"),
    "H.264 of open groups": (*X264, "-x264-params", "open-gop=1"),
    "H.265 of open groups": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=50:log-level=none"),
    "MPEG-2": ("-c:v", "mpeg2video", "-g", "50"),
    "MPEG-4": ("-c:v", "mpeg4", "-g", "50"),
}


def hashes(stream: Path) -> list[bytes]:
    """Decode *stream* and return a checksum of each picture."""
    text = ffmpeg("-v", "quiet", "-flags", "output_corrupt", "-i", stream, "-map", "0:v", "-f", "framemd5", "-")
    return [line.split(b",")[-1].strip() for line in text.splitlines() if not line.startswith(b"#")]


@pytest.mark.parametrize("name", FILMS)
def test_pictures_are_shown_from_every_join_point(name: str, tmp_path: Path) -> None:
    first, film = tmp_path / "film.mp4", tmp_path / "film.ts"
    if name.startswith("H"):  # by way of MP4, which keeps the parameter sets outside the stream
        ffmpeg(*video_input(seconds=SECONDS), *FILMS[name], first)
        ffmpeg("-i", first, "-c", "copy", film)
    else:
        ffmpeg(*video_input(seconds=SECONDS), *FILMS[name], film)
    packetizer = Packetizer()
    packetizer.begin_item(trusted_clock=True)
    datagrams = packetizer.feed_untrusted(film.read_bytes()) + packetizer.end_item()
    sent = tmp_path / "sent.ts"
    sent.write_bytes(b"".join(datagram.payload for datagram in datagrams))
    original = hashes(film)
    assert hashes(sent) == original, "what is inserted changes no picture"
    joins = [number for number, datagram in enumerate(datagrams) if datagram.random_access]
    assert len(joins) >= 5
    for join in joins[1::2]:
        sent.write_bytes(b"".join(datagram.payload for datagram in datagrams[join:]))
        left = (SECONDS - datagrams[join].due_s) * 25
        shown = hashes(sent)
        assert len(shown) >= left - 5
        if "refresh" not in name:
            assert shown[-10:] == original[-10:]
