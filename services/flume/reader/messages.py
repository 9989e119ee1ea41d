"""What the server and its reader process say to each other: commands, events, and what an item promises.

The server sends a :class:`Play`. The reader answers :class:`Opened`, then frames of MPEG-TS, then :class:`Ended`; or
:class:`Failed` at any point. To stop an item the server ends the process: nothing has to be cleaned up in it.
"""

from typing import Literal

import msgspec

EngineName = Literal["ffmpeg", "vlc"]
"""What reads an item."""

TrackKind = Literal["video", "audio", "subtitles", "data"]


class Track(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One elementary stream of an item, as its container announces it."""

    kind: TrackKind
    codec: str
    """FFmpeg's name, such as ``h264``; of libvlc its four-character code."""
    language: str = ""
    """ISO 639-2, such as ``eng``; empty where the item says nothing."""
    number: int = 0
    """What the container calls it: a PID in a transport stream, else the number of the stream."""
    pid: int | None = None
    """Its PID in the MPEG-TS that the reader writes; ``None``: it is not carried, or not known beforehand."""
    seconds: float | None = None
    """How long it plays, as the container announces it; ``None`` where that says nothing."""
    frames: int | None = None
    """How many frames it has, where the container knows."""
    frame_rate: float | None = None
    """Pictures a second, on the average."""
    transcoded: bool = False
    """Whether its frames are encoded anew, because MPEG-TS or its players cannot carry *codec*."""
    left_out: str = ""
    """Why it is not carried, for people; empty: it is."""


class Promise(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an item promises before it plays."""

    engine: EngineName
    live: bool = False
    """Whether it continues while it is not read: it has no end and no size."""
    seconds: float | None = None
    """Its length: that of its longest track, or as the container announces it."""
    bit_rate: int | None = None
    """Its mean data rate, bit/s."""
    program: int | None = None
    """The number of the program that plays, of a transport stream with several."""
    programs: tuple[str, ...] = ()
    """All its programs, each as "1 (title)"."""
    rotation: int = 0
    """By how many degrees clockwise a player is to turn the picture: phones record portrait video so."""
    tracks: tuple[Track, ...] = ()


class Play(msgspec.Struct, frozen=True, kw_only=True, tag="play", omit_defaults=True):
    """Play one item."""

    name: str
    location: bytes
    """A path as the file system has it, or an address in UTF-8."""
    is_path: bool
    engine: EngineName
    live: bool | None = None
    """Whether the item is live, if that is known or was told; ``None``: ask the item."""
    transcode: str | None = None
    """A transcode chain of libvlc; only for the engine ``vlc``."""
    program: str | None = None
    """The number or the name of the program to play; ``None``: the first."""
    still_s: float = 10.0
    """How long a still picture plays."""
    turn: bool = False
    """Whether to encode anew a picture that a player is to turn."""
    options: tuple[str, ...] = ()
    """Options of a playlist that are safe and apply, as ``name=value``."""


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """The item plays; its MPEG-TS follows."""

    promise: Promise


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended", omit_defaults=True):
    """The item has played to its end, and all its bytes were sent."""

    last_durations: dict[int, int] = {}
    """How long the last frame of each PID lasts, in ticks of 90 kHz."""
    frames: dict[int, int] = {}
    """How many frames of each PID were sent: pictures, or audio frames."""
    counts: dict[str, int] = {}
    """What was found and repaired, such as ``clock_jumps``."""
    late_tracks: tuple[Track, ...] = ()
    """Tracks that the item announced in its middle, and that were not sent."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed", omit_defaults=True):
    """The item cannot be played, or broke off after :class:`Opened`."""

    reason: str
    """What was seen and what to try, one line for people."""
    unreadable: bool = False
    """Whether the engine does not know this kind of item: the other engine may."""
    missing: bool = False
    """Whether the engine's library is not installed."""


Event = Opened | Ended | Failed

_encoder = msgspec.json.Encoder()
_command_decoder = msgspec.json.Decoder(Play)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(message: Play | Event) -> bytes:
    """Return *message* as JSON.

    >>> encode(Failed(reason="gone"))
    b'{"type":"failed","reason":"gone"}'
    """
    return _encoder.encode(message)


def decode_command(data: bytes) -> Play:
    """Return the command in *data*; raises :class:`msgspec.DecodeError`."""
    return _command_decoder.decode(data)


def decode_event_untrusted(data: bytes) -> Event:
    """Return the event in *data*, which a damaged process may have written; raises :class:`msgspec.DecodeError`."""
    try:
        return _event_decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:  # of text that is not UTF-8, and of deep nesting
        raise msgspec.DecodeError(str(error)) from error
