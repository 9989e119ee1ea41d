"""Decodes a file with ffmpeg into what can be compared: a checksum and a time a picture, a time a packet."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av

from support.media import ffmpeg

RECEIVED = ("-f", "mpegts", "-analyzeduration", "100000000", "-probesize", "100000000")
"""ffmpeg sees all of a recording before it decides what a track is: of slides, the next picture is seconds away."""


class Picture(NamedTuple):
    """A decoded picture: its time of presentation, and the MD5 of its samples."""

    time_s: float
    checksum: str


class Sample(NamedTuple):
    """A packet as the demultiplexer gives it: of audio, one frame."""

    time_s: float
    duration_s: float


@dataclasses.dataclass(frozen=True)
class Track:
    """An elementary stream: its *kind* (video, audio, subtitle, data), FFmpeg's name of its *codec*, its packets."""

    kind: str
    codec: str
    samples: tuple[Sample, ...]

    @property
    def begins_s(self) -> float:
        return min(sample.time_s for sample in self.samples)

    @property
    def ends_s(self) -> float:
        return max(sample.time_s + sample.duration_s for sample in self.samples)

    @property
    def lasts_s(self) -> float:
        """How long it is heard: the sum of its packets, so that a hole does not count."""
        known = sum(sample.duration_s for sample in self.samples)
        return known or (self.ends_s - self.begins_s) * len(self.samples) / max(1, len(self.samples) - 1)


@dataclasses.dataclass(frozen=True)
class Decoded:
    """What a file contains. *pictures* are those of its first video track, in the order of presentation."""

    pictures: tuple[Picture, ...]
    tracks: tuple[Track, ...]

    def of(self, kind: str) -> tuple[Track, ...]:
        """Return its tracks of *kind* that have packets."""
        return tuple(track for track in self.tracks if track.kind == kind and track.samples)


def decode(path: Path, *, options: Sequence[str] = (), maps: Sequence[str] = (), decode_audio: bool = False) -> Decoded:
    """Decode *path*. *options* stand before the input; *maps* name its streams (``0:a:1``), all by default.

    *decode_audio*: the samples of audio tracks are decoded frames, whose times include a decoder's delay.

    A picture that stands for the whole of an audio file is no video track.
    """
    chosen = maps or ("0:V?", "0:a?", "0:s?", "0:d?")
    tracks = _tracks(
        _framemd5(
            path,
            options,
            *(part for each in chosen for part in ("-map", each)),
            "-c",
            "copy",
            *(("-c:a", "pcm_s16le") if decode_audio else ()),
        )
    )
    video = next((each for each in chosen if ":V" in each), None)
    pictures: list[Picture] = []
    if video and any(track.kind == "video" and track.samples for track in tracks):
        first = video.rstrip("?") if video.rstrip("?")[-1].isdigit() else "0:V:0"
        # Timestamps of the container, and no picture repeated or dropped for the sake of a constant rate.
        untouched = ("-fps_mode", "passthrough", "-enc_time_base", "demux")
        lines = _framemd5(path, options, "-map", first, *untouched)
        base = _time_bases(lines)
        rows = [line.split(",") for line in lines if not line.startswith("#")]
        pictures = [Picture(int(row[2]) * base[0], row[5].strip()) for row in rows]
    return Decoded(tuple(pictures), tracks)


def decode_ts(path: Path) -> Decoded:
    """Decode a transport stream of ours. Packets have the times that they were sent with.

    The program ffmpeg moves times of packets that do not go forward, as at a seam; its libraries do not.
    """
    decoded = decode(path, options=RECEIVED)
    tracks: dict[int, Track] = {}
    with av.open(str(path), format=RECEIVED[1], options=dict(zip(*[iter(RECEIVED[2:])] * 2, strict=True))) as file:
        samples: dict[int, list[Sample]] = {stream.index: [] for stream in file.streams}
        for packet in file.demux():
            if packet.size and packet.time_base:
                pts = packet.pts if packet.pts is not None else packet.dts
                base = float(packet.time_base)
                samples[packet.stream_index].append(Sample((pts or 0) * base, (packet.duration or 0) * base))
        for stream in file.streams:
            codec = stream.codec_context.name if stream.codec_context else ""
            tracks[stream.index] = Track(stream.type, codec, tuple(samples[stream.index]))
    kinds = ("video", "audio", "subtitle")
    order = sorted(tracks, key=lambda index: kinds.index(kind) if (kind := tracks[index].kind) in kinds else len(kinds))
    return Decoded(_sent(decoded.pictures, tracks), tuple(tracks[index] for index in order))


def _sent(pictures: tuple[Picture, ...], tracks: Mapping[int, Track]) -> tuple[Picture, ...]:
    """Return *pictures* with the times of their packets: a decoder whose delay changes gives times of its own."""
    video = next((track for track in tracks.values() if track.kind == "video" and track.samples), None)
    if video is None or len(video.samples) != len(pictures):
        return pictures
    times = sorted(sample.time_s for sample in video.samples)
    return tuple(picture._replace(time_s=time_s) for picture, time_s in zip(pictures, times, strict=True))


def _framemd5(path: Path, options: Sequence[str], *arguments: str) -> list[str]:
    # With several threads, what stands for a missing picture depends on how far another thread has come.
    shared = ("-v", "fatal", "-copyts", "-threads", "1")
    # What ffmpeg cannot decode is missing from its output, and is found by comparing.
    done = ffmpeg.call(*shared, *options, "-i", path, *arguments, "-f", "framemd5", "-")
    return done.stdout.decode().splitlines()


def _time_bases(lines: Sequence[str]) -> dict[int, float]:
    bases = {}
    for line in lines:
        if line.startswith("#tb "):
            number, _, fraction = line[4:].partition(": ")
            over, _, under = fraction.partition("/")
            bases[int(number)] = int(over) / int(under)
    return bases


def _tracks(lines: Sequence[str]) -> tuple[Track, ...]:
    """Read the packets of all streams from framemd5's *lines*: stream, DTS, PTS, duration, size, MD5."""
    headers: dict[str, dict[int, str]] = {"#media_type": {}, "#codec_id": {}}
    samples: dict[int, list[Sample]] = {}
    bases = _time_bases(lines)
    for line in lines:
        word = line.split(" ", 1)[0]
        if word in headers:
            number, _, value = line[len(word) + 1 :].partition(": ")
            headers[word][int(number)] = value
        elif line and line[0].isdigit():
            stream, dts, pts, duration = (int(part) for part in line.split(",")[:4])
            time_s = (pts if pts > -(1 << 62) else dts) * bases[stream]
            samples.setdefault(stream, []).append(Sample(time_s, duration * bases[stream]))
    return tuple(
        Track(kind, headers["#codec_id"].get(number, ""), tuple(samples.get(number, ())))
        for number, kind in sorted(headers["#media_type"].items())
    )
