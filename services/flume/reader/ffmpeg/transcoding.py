"""Encodes anew what MPEG-TS or its players cannot carry: pictures as H.264, sound as AAC."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from av.audio.resampler import AudioResampler
from av.container import OutputContainer

from flume.reader.ffmpeg.item_clock import HZ, TIME_BASE
from flume.reader.ffmpeg.rotation import Turner

VIDEO_OPTIONS = {"preset": "veryfast", "profile": "high", "crf": "21", "maxrate": "6M", "bufsize": "6M"}
"""Good for every player; one core for 720p. The bound is that of the buffer, not a mean: a slide takes little."""

KEYFRAME_S = 2
"""Clients join at keyframes."""

DEFAULT_RATE = Fraction(25)
MOST_RATE = Fraction(120)
"""Files of screens and animations announce 1000 pictures a second, which only sets how often keyframes come."""

SLOW_RATE = 10
"""Below so many pictures a second none is reordered: it would have to leave long before it is shown."""

STILL_RATE = 5
"""Pictures a second of a still: players that just joined have it within 0.2 s."""

AUDIO_BITS = {1: 64_000, 2: 128_000}
AUDIO_RATES = (48_000, 44_100)
AUDIO_GAP_S = 0.1
"""Sound that goes on this much later or earlier than it should is put where its timestamp says."""


class Encoded(NamedTuple):
    """An encoded packet with its timestamps and duration, ticks of 90 kHz."""

    packet: Any
    dts: int
    pts: int
    duration: int


def _encoded(packets: list[Any], duration: int) -> Iterator[Encoded]:
    for packet in packets:
        scale = packet.time_base * HZ
        length = round((packet.duration or 0) * scale) or duration
        yield Encoded(packet, round(packet.dts * scale), round(packet.pts * scale), length)


class VideoTranscoder:
    """One video track: packets with placed timestamps in, H.264 out."""

    def __init__(self, stream: Any, *, still_s: float | None, rotation: int) -> None:
        """*still_s*: how long the track's picture is shown if it has only one; ``None``: as long as it says.

        The pictures are turned clockwise by *rotation* degrees.
        """
        self._decoder = stream.codec_context
        self._decoder.thread_type = "AUTO"
        self._rate = min(stream.average_rate or DEFAULT_RATE, MOST_RATE)
        self._still_s = still_s
        self._still: Any = None
        self._turner = Turner(rotation) if rotation else None
        self._lies = rotation in {90, 270}
        self._output: Any = None
        self.frames = 0

    def add_to(self, container: OutputContainer) -> Any:
        """Add the outgoing stream and return it."""
        gop = max(1, round(KEYFRAME_S * self._rate))
        options = VIDEO_OPTIONS | {"g": str(gop)}
        if self._still_s or self._rate < SLOW_RATE:
            options["bf"] = "0"
        output: Any = container.add_stream("libx264", rate=self._rate, options=options)
        # H.264 in 4:2:0 has even sides.
        sides = [max(2, side // 2 * 2) for side in (self._decoder.width, self._decoder.height)]
        output.width, output.height = reversed(sides) if self._lies else sides
        output.pix_fmt = "yuv420p"
        output.codec_context.time_base = TIME_BASE
        if self._decoder.sample_aspect_ratio:
            output.codec_context.sample_aspect_ratio = self._decoder.sample_aspect_ratio
        self._output = output
        return output

    def take(self, packet: Any) -> Iterator[Encoded]:
        """Decode *packet*, and encode the pictures that came out; ``None`` at the end of the track."""
        for frame in self._decoder.decode(packet):
            self.frames += 1
            if frame.pts is None:
                continue
            frame.pict_type = 0  # the encoder decides
            yield from self._encode(frame)
        if packet is None:
            if self.frames == 1 and self._still_s and self._still is not None:
                yield from self._repeat(self._still_s)
            yield from _encoded(self._output.encode(None), 0)

    def _encode(self, frame: Any) -> Iterator[Encoded]:
        frame.time_base = frame.time_base or TIME_BASE  # none at the end of a track
        if self._turner is not None:
            frame = self._turner.turn(frame)
        made = frame.reformat(self._output.width, self._output.height, "yuv420p")
        made.pts, made.time_base = frame.pts, frame.time_base
        self._still = made if self.frames == 1 else None
        yield from _encoded(self._output.encode(made), round(HZ / self._rate))

    def _repeat(self, seconds: float) -> Iterator[Encoded]:
        picture, step = self._still, Fraction(1, STILL_RATE)
        first = picture.pts * picture.time_base
        for number in range(1, max(1, round(seconds * STILL_RATE))):
            picture.pts, picture.time_base = round((first + number * step) * HZ), TIME_BASE
            yield from _encoded(self._output.encode(picture), HZ // STILL_RATE)


class AudioTranscoder:
    """One audio track: packets with placed timestamps in, AAC out."""

    def __init__(self, stream: Any) -> None:
        """Decode *stream*."""
        self._decoder = stream.codec_context
        self._channels = 1 if self._decoder.layout.nb_channels == 1 else 2
        self._layout = "mono" if self._channels == 1 else "stereo"
        rate = self._decoder.sample_rate
        self._rate = rate if rate in AUDIO_RATES else AUDIO_RATES[0]
        self._output: Any = None
        self._resampler: AudioResampler | None = None
        self._next_s: Fraction | None = None

    def add_to(self, container: OutputContainer) -> Any:
        """Add the outgoing stream and return it."""
        output: Any = container.add_stream("aac", rate=self._rate, layout=self._layout)
        output.codec_context.bit_rate = AUDIO_BITS[self._channels]
        self._output = output
        return output

    def take(self, packet: Any) -> Iterator[Encoded]:
        """Decode *packet*, and encode the sound that came out; ``None`` at the end of the track."""
        for frame in self._decoder.decode(packet):
            yield from self._feed(frame)
        if packet is None:
            if self._resampler is not None:
                yield from self._encode(self._resampler.resample(None))
            yield from _encoded(self._output.encode(None), 0)

    def _feed(self, frame: Any) -> Iterator[Encoded]:
        begins_s = self._next_s if frame.pts is None else frame.pts * (frame.time_base or TIME_BASE)
        if self._next_s is not None and begins_s is not None and abs(begins_s - self._next_s) <= AUDIO_GAP_S:
            begins_s = self._next_s  # the container's times are rounded; the samples are not
        elif self._resampler is not None:
            yield from self._encode(self._resampler.resample(None))
            self._resampler = None
        if self._resampler is None:
            self._resampler = AudioResampler("fltp", self._layout, self._rate, frame_size=1024)
        begins_s = begins_s or Fraction(0)
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = round(begins_s * frame.sample_rate)
        self._next_s = begins_s + Fraction(frame.samples, frame.sample_rate)
        yield from self._encode(self._resampler.resample(frame))

    def _encode(self, frames: list[Any]) -> Iterator[Encoded]:
        for frame in frames:
            yield from _encoded(self._output.encode(frame), 1024 * HZ // self._rate)


Transcoder = VideoTranscoder | AudioTranscoder


def make_transcoder(stream: Any, *, still_s: float | None = None, rotation: int = 0) -> Transcoder:
    """Return what encodes the audio or video *stream* anew."""
    if stream.type == "audio":
        return AudioTranscoder(stream)
    return VideoTranscoder(stream, still_s=still_s, rotation=rotation)
