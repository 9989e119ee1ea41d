"""Compares what an item promised with what went out, and says what is missing. Pure.

Two parties count independently. The reader counts the frames that it read, and the packetizer the frames that it put
into datagrams. The container's own words are the promise. A file's header may be wrong, or an estimate, so only a clear
difference is named.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flume.media.account import TrackAccount
from flume.media.mpegts import PTS_HZ
from flume.reader.messages import Ended, Promise, Track

COUNTS = (
    "tracks_left_out",
    "programs_left_out",
    "rotations_left_out",
    "tracks_without_a_frame",
    "lost_frames",
    "missing_frames",
    "missing_seconds",
)
"""Names under which ``status`` counts what items promised and did not deliver."""

SHORT_S, SHORT_SHARE = 0.5, 0.02
"""A track is short if more than this is missing, both in seconds and as a share of its length: containers round, and
count silence at the ends."""


class Shortfall(NamedTuple):
    """Something that was promised and did not go out.

    *counter* is the name under which ``status`` counts it, *amount* how much, *text* the line for people.
    """

    counter: str
    amount: int
    text: str


def summary(promise: Promise) -> str:
    """Return *promise* in a few words.

    >>> summary(Promise(engine="ffmpeg", seconds=61.5, tracks=(Track(kind="video", codec="h264", frame_rate=25.0),)))
    'ffmpeg, 61.5 s, video h264'
    """
    length = (
        "live" if promise.live else f"{promise.seconds:.1f} s" if promise.seconds is not None else "of unknown length"
    )
    tracks = [
        describe(track) + (" → transcoded" if track.transcoded else "")
        for track in promise.tracks
        if not track.left_out
    ]
    return ", ".join([promise.engine, length, *tracks])


def describe(track: Track) -> str:
    """Return what people call *track*.

    >>> describe(Track(kind="audio", codec="ac3", language="eng"))
    'audio ac3 (eng)'
    """
    return f"{track.kind} {track.codec}" + (f" ({track.language})" if track.language else "")


def not_carried(promise: Promise) -> list[Shortfall]:
    """Return what is known beforehand not to go out: tracks that MPEG-TS cannot carry, and rotation."""
    shortfalls = [
        Shortfall("tracks_left_out", 1, f"{describe(track)} is not sent: {track.left_out}")
        for track in promise.tracks
        if track.left_out
    ]
    if len(promise.programs) > 1:
        others = [program for program in promise.programs if program.split()[0] != str(promise.program)]
        text = f"program {promise.program} of {len(promise.programs)} is sent; the others are {', '.join(others)}"
        shortfalls.append(Shortfall("programs_left_out", len(others), text))
    if promise.rotation:
        text = f"its picture is to be turned by {promise.rotation} degrees: MPEG-TS cannot say so, and players do not"
        shortfalls.append(Shortfall("rotations_left_out", 1, text))
    return shortfalls


def missing(promise: Promise, ended: Ended, sent: Mapping[int, TrackAccount]) -> list[Shortfall]:
    """Return what the item promised and did not deliver; *sent* is the packetizer's account by the reader's PIDs."""
    shortfalls = [
        Shortfall("tracks_left_out", 1, f"{describe(track)} is not sent: the item announces it in its middle")
        for track in ended.late_tracks
    ]
    for track in promise.tracks:
        if track.pid is None or track.left_out:
            continue
        account = sent.get(track.pid)
        if account is None or not account.frames:
            shortfalls.append(Shortfall("tracks_without_a_frame", 1, f"{describe(track)} has not a single frame"))
        else:
            shortfalls += _of_track(track, account, ended)
    return shortfalls


def _of_track(track: Track, account: TrackAccount, ended: Ended) -> list[Shortfall]:
    shortfalls = []
    pid = track.pid or 0
    read = ended.frames.get(pid, 0)
    # A PES holds one picture, but several frames of sound.
    if track.kind == "video" and account.frames < read:
        lost = read - account.frames
        shortfalls.append(Shortfall("lost_frames", lost, f"{lost} of {read} pictures were read and not sent"))
    shortfalls += _missing_frames(track, account.frames)
    last_s = ended.last_durations.get(pid, 0) / PTS_HZ
    if account.first_dts is None or account.last_dts is None:
        return shortfalls
    sent_s = (account.last_dts - account.first_dts) / PTS_HZ + last_s
    if track.seconds is not None and track.kind in {"video", "audio"}:
        short_s = track.seconds - sent_s
        if short_s > max(SHORT_S, SHORT_SHARE * track.seconds):
            text = f"{describe(track)} was to play {track.seconds:.1f} s and played {sent_s:.1f} s"
            shortfalls.append(Shortfall("missing_seconds", round(short_s), text))
    return shortfalls


def _missing_frames(track: Track, sent: int) -> list[Shortfall]:
    """Return how many pictures the container counts that did not come; not those that its edit list leaves out."""
    if track.kind != "video" or track.frames is None or track.seconds is None or not track.frame_rate:
        return []
    promised = min(track.frames, round(track.seconds * track.frame_rate))
    if sent >= promised:
        return []
    text = f"{describe(track)} has {promised} pictures, and {promised - sent} of them did not come"
    return [Shortfall("missing_frames", promised - sent, text)]
