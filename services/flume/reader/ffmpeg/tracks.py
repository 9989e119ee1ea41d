"""The tracks of an opened item: which are carried and how, on which PID, and what the item promises."""

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, NamedTuple

from av.container import InputContainer
from av.stream import Disposition, Stream

from flume.media.program import STREAMS_PER_KIND, StreamKind
from flume.reader.engine import UnplayableError
from flume.reader.ffmpeg.carrying import Decision, decide
from flume.reader.ffmpeg.programs import TELETEXT, ProgramTracks
from flume.reader.messages import Promise, Track, TrackKind

FIRST_PIDS: dict[TrackKind, int] = {
    "video": StreamKind.VIDEO,
    "audio": StreamKind.AUDIO,
    "subtitles": StreamKind.OTHER,
}
KINDS: dict[str, TrackKind] = {"video": "video", "audio": "audio", "subtitle": "subtitles"}

_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


class CarriedTrack(NamedTuple):
    """A track that goes out on *pid*."""

    stream: Any
    kind: TrackKind
    codec: str
    pid: int
    decision: Decision


class ChosenTracks(NamedTuple):
    """The carried tracks in the order of their PIDs, and all tracks as the promise names them."""

    carried: tuple[CarriedTrack, ...]
    described: tuple[Track, ...]


def choose_tracks(
    container: InputContainer, program: ProgramTracks | None, name: str, *, anew: bool = False
) -> ChosenTracks:
    """Decide about each track. With a *program*, only its tracks play. *anew*: encode all pictures.

    A track is known by what it is: tracks of a kind are ordered by their PID or their number in the item, so the same
    item, and another of the same shape, get the same outgoing PIDs. Raises :class:`UnplayableError` if none is left.
    """
    carried: list[CarriedTrack] = []
    described: list[Track] = []
    counts = dict.fromkeys(FIRST_PIDS, 0)
    for stream in sorted(_of_program(container, program), key=_order):
        kind = KINDS.get(stream.type, "data")
        codec = codec_of(stream, program)
        decision = _decide(stream, codec, is_poster=_is_poster(stream, container))
        if anew and kind == "video" and decision.carriage == "copy":
            decision = Decision("transcode")
        if decision.carriage != "leave_out" and counts[kind] == STREAMS_PER_KIND:
            decision = Decision("leave_out", f"more than {STREAMS_PER_KIND} tracks of a kind")
        pid = None
        if decision.carriage != "leave_out":
            pid = FIRST_PIDS[kind] + counts[kind]
            counts[kind] += 1
            carried.append(CarriedTrack(stream, kind, codec, pid, decision))
        described.append(_describe(stream, kind, codec, pid, decision))
    if not any(track.kind in {"video", "audio"} for track in carried):
        reasons = "; ".join(dict.fromkeys(track.left_out for track in described)) or "it has no tracks"
        raise UnplayableError(f"{name} has no video or audio that can be sent: {reasons}", unreadable=not described)
    return ChosenTracks(tuple(carried), tuple(described))


def _of_program(container: InputContainer, program: ProgramTracks | None) -> Iterable[Any]:
    streams = [stream for stream in container.streams if stream is not None]
    if program is not None and program.pids:
        return [stream for stream in streams if stream.id in program.pids]
    # Of an HLS list with several variants of one film, the best one plays.
    rates = [int(stream.metadata.get("variant_bitrate", 0)) for stream in streams]
    return [stream for stream, rate in zip(streams, rates, strict=True) if rate in {0, max(rates)}]


def _order(stream: Stream) -> tuple[int, int]:
    return stream.id, stream.index


def codec_of(stream: Any, program: ProgramTracks | None) -> str:
    """Return FFmpeg's name of the codec of *stream*; empty if it knows none."""
    if program is not None and stream.id in program.teletext:
        return TELETEXT
    codec = getattr(getattr(stream, "codec_context", None), "codec", None)
    return codec.canonical_name if codec is not None else ""


def _is_poster(stream: Any, container: InputContainer) -> bool:
    """Whether *stream* is the picture that stands for the animation of an AVIF file."""
    is_animation = container.metadata.get("major_brand") == "avis" and len(container.streams) > 1
    return is_animation and stream.frames == 1 and not stream.duration


def _decide(stream: Any, codec: str, *, is_poster: bool) -> Decision:
    is_cover = is_poster or bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))
    context: Any = getattr(stream, "codec_context", None)
    if stream.type in {"video", "audio"} and context is None:
        return Decision("leave_out", "its codec is unknown")
    if stream.type == "audio" and not context.sample_rate:
        return Decision("leave_out", "its sound has no sample rate: no frame of it was found")
    if stream.type == "video" and not (context.width and context.height):
        return Decision("leave_out", "its picture has no size: no frame of it was found")
    return decide(stream.type, codec, is_cover=is_cover)


def _describe(stream: Any, kind: TrackKind, codec: str, pid: int | None, decision: Decision) -> Track:
    rate = getattr(stream, "average_rate", None) if kind == "video" else None
    return Track(
        kind=kind,
        codec=codec or "unknown",
        language=language_of(stream),
        number=stream.id or stream.index,
        pid=pid,
        seconds=seconds_of(stream),
        frames=stream.frames or None,
        frame_rate=float(rate) if rate else None,
        transcoded=decision.carriage == "transcode",
        left_out=decision.reason,
    )


def language_of(stream: Any) -> str:
    """Return the language of *stream*; empty where the item says nothing, and for ``und``, which says as much."""
    return "" if stream.language in {None, "und"} else str(stream.language)


def seconds_of(stream: Any) -> float | None:
    """Return how long *stream* plays, by the container's own words; ``None`` where it says nothing."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    match = _CLOCK.match(stream.metadata.get("DURATION", ""))  # Matroska
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def aspect_of(stream: Any) -> Fraction | None:
    """Return the shape of a pixel of *stream* where the container says another one than the bitstream."""
    if stream.type != "video":
        return None
    told, coded = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
    return Fraction(told) if told and told != (coded or 1) else None


def promise_of(
    container: InputContainer,
    chosen: ChosenTracks,
    *,
    live: bool,
    program: ProgramTracks | None,
    programs: tuple[ProgramTracks, ...],
    rotation: int,
    picture_s: float | None,
) -> Promise:
    """Return what the item promises; *picture_s*: how long a file of pictures plays that does not say so itself."""
    lengths = [track.seconds for track in chosen.described if track.seconds and not track.left_out]
    if picture_s is not None:
        lengths = [picture_s]
    seconds = max(lengths) if lengths else None if container.duration is None else container.duration / 1e6
    return Promise(
        engine="ffmpeg",
        live=live,
        seconds=None if live else seconds,
        bit_rate=container.bit_rate or None,
        program=program.number if program is not None else None,
        programs=tuple(each.label for each in programs),
        rotation=rotation,
        tracks=chosen.described,
    )
