"""What an item promises, from what libvlc announces of it. Pure."""

import re
from collections.abc import Collection, Sequence

from flume.reader.libvlc.table import ItemTable
from flume.reader.libvlc.track import VlcTrack
from flume.reader.messages import Track, TrackKind

VIDEO_CHAIN = "vcodec=h264,venc=x264{preset=veryfast,tune=zerolatency,keyint=50,profile=main},vb=4000"
AUDIO_CHAIN = "acodec=mp4a,ab=128,channels=2,samplerate=48000"
"""Codecs that MPEG-TS cannot carry are transcoded to these, which every player decodes.

libvlc throws away what an encoder still holds at the end. Without ``zerolatency`` x264 holds up to a second, and of a
clip of 0.6 s nothing came out; with it 12 of 15 pictures do.
"""

_TURNING = "vfilter=transform{type="

_CHAINS = {"video": ("vcodec", VIDEO_CHAIN), "audio": ("acodec", AUDIO_CHAIN)}
_KINDS: dict[str, TrackKind] = {"video": "video", "audio": "audio", "text": "subtitles"}


def chain_for(
    tracks: Sequence[VlcTrack], rejected: Collection[str], chain: str | None, *, turn: bool = False
) -> str | None:
    """Return the transcode chain that carries the *rejected* codecs too; ``None`` if *chain* is all that can be done.

    A code that no track has is one of any track: demultiplexers and multiplexers name some codecs differently. *turn*:
    also transcode a picture that has to be turned; one that is transcoded anyway is turned in any case.

    >>> chain_for([VlcTrack("audio", "flac", 0)], {"flac"}, None) == AUDIO_CHAIN
    True
    >>> chain_for([VlcTrack("audio", "flac", 0)], {"flac"}, "acodec=mp3")
    """
    by_code = {track.codec: track.kind for track in tracks}
    kinds = {by_code[code] for code in rejected if code in by_code}
    if any(code not in by_code for code in rejected):
        kinds |= set(by_code.values())
    rotation = rotation_of(tracks)
    if turn and rotation:
        kinds.add("video")
    missing = [own for kind, (key, own) in _CHAINS.items() if kind in kinds and not _has(chain, key)]
    if VIDEO_CHAIN in missing and rotation:
        missing.append(f"{_TURNING}{rotation}}}")
    return ",".join([*([chain] if chain else []), *missing]) if missing else None


def rotation_of(tracks: Sequence[VlcTrack], chain: str | None = None) -> int:
    """Return by how many degrees clockwise a player is to turn what comes out of *chain*."""
    if chain is not None and _TURNING in chain:
        return 0
    return next((track.rotation for track in tracks if track.kind == "video"), 0)


def expected_tracks(tracks: Sequence[VlcTrack], chain: str | None) -> int:
    """Return how many tracks libvlc will write, if each that it announces has frames."""
    return sum(track.kind in _CHAINS and not _is_left_out(chain, track.kind) for track in tracks)


def promised_tracks(
    tracks: Sequence[VlcTrack], table: ItemTable, chain: str | None, seconds: float | None
) -> tuple[Track, ...]:
    """Return the tracks of the promise: which of them are carried, and on which PID where that is sure.

    libvlc knows the length of the item only, *seconds*. It is taken for that of the video, or of the audio where there
    is no video: if a track ends early, libvlc writes nothing of the others from there on, and so the loss shows.
    """
    pids = {kind: table.pids(kind) for kind in ("video", "audio")}
    timed = "video" if any(track.kind == "video" for track in tracks) else "audio"
    return tuple(
        _promised(track, tracks, pids.get(track.kind, ()), chain, seconds if track.kind == timed else None)
        for track in tracks
    )


def _promised(
    track: VlcTrack, tracks: Sequence[VlcTrack], pids: Sequence[int], chain: str | None, seconds: float | None
) -> Track:
    left_out, pid = _why_left_out(track, pids, chain), None
    if not left_out:
        of_kind = [other for other in tracks if other.kind == track.kind]
        pid = track.number if track.number in pids else pids[0] if len(of_kind) == len(pids) == 1 else None
    return Track(
        kind=_KINDS.get(track.kind, "data"),
        codec=track.codec.strip(),
        language=track.language,
        number=track.number,
        pid=pid,
        seconds=seconds,
        frame_rate=track.frame_rate,
        transcoded=not left_out and _has(chain, _CHAINS[track.kind][0]),
        left_out=left_out,
    )


def _why_left_out(track: VlcTrack, pids: Sequence[int], chain: str | None) -> str:
    if track.kind == "text":
        return "libvlc's multiplexer cannot carry these subtitles"
    if track.kind not in _CHAINS:
        return "MPEG-TS cannot carry it"
    if _is_left_out(chain, track.kind):
        return "the transcode chain leaves it out"
    # With one track of a kind, an empty table of that kind is sure; with several, which one is missing is not known.
    return "" if pids else "libvlc has given no data of it so far"


def _has(chain: str | None, key: str) -> bool:
    return chain is not None and re.search(rf"(^|,)\s*{key}=", chain) is not None


def _is_left_out(chain: str | None, kind: str) -> bool:
    return chain is not None and re.search(rf"(^|,)\s*{_CHAINS[kind][0]}=none\b", chain) is not None
