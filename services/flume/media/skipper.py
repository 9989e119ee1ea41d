"""Leaves out packets from one place in the stream to a later one at which a decoder can begin again.

A live source that sends faster than its clock fills the server's lead. The packetizer then leaves out whole groups of
pictures, so that a viewer sees a cut and no pause. This module decides where the stream may continue.
"""

from typing import Literal

from flume.media import keyframes, mpegts
from flume.media.program import Route

Resumption = Literal["never", "keyframe", "any_frame"]
"""Where the stream may continue: nowhere yet, at a keyframe of the main stream, or at any audio or video PES."""


class Skipper:
    """Whether packets are left out at present, and up to where.

    Example::

        skipper.begin()
        skipper.resume(at="keyframe")
        if skipper.ends_at_untrusted(packet, route, main=program.main):
            skipper.end()
    """

    def __init__(self) -> None:
        """Leave nothing out."""
        self.packets = 0
        """Left out so far, over all items. The packetizer counts."""
        self.is_skipping = False
        self._resume_at: Resumption = "never"

    def begin(self) -> None:
        """Leave out what follows, until :meth:`resume` names a place and a packet is there."""
        self.is_skipping, self._resume_at = True, "never"

    def resume(self, *, at: Resumption) -> None:
        """Let the stream continue *at* the next such place."""
        self._resume_at = at

    def end(self) -> None:
        """Leave nothing out any more."""
        self.is_skipping = False

    def ends_at_untrusted(self, packet: bytearray, route: Route, *, main: Route | None) -> bool:
        """Whether the stream may continue with *packet* of *route*; *main* is the program's main stream.

        Never raises, and changes nothing.
        """
        if self._resume_at == "never" or not packet[1] & 0x40:
            return False
        if route is not main and not (self._resume_at == "any_frame" and route.is_timed):
            return False
        pes = mpegts.parse_pes_start_untrusted(packet)
        if pes is None:
            return False
        return self._resume_at == "any_frame" or keyframes.could_begin_untrusted(
            packet, pes.payload_offset, route.stream_type
        )
