"""A track as libvlc, or a table of a transport stream, announces it."""

from typing import NamedTuple


class VlcTrack(NamedTuple):
    """One track as libvlc announces it, copied out of libvlc's memory."""

    kind: str
    """``video``, ``audio``, ``text`` or ``unknown``."""
    codec: str
    """Four characters, as libvlc's multiplexers name it: ``h264``, ``mp4a``, ``s16l``."""
    number: int
    """The identifier of the elementary stream: a PID in a transport stream that is opened so, else a running number."""
    language: str = ""
    frame_rate: float | None = None
    rotation: int = 0
    """By how many degrees clockwise a player is to turn the picture."""
