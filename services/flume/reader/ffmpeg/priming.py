"""The frames with which a sound encoder begins, and which no player is to play: they lie before the sound begins.

An AAC encoder writes 1024 samples or more before the first one of the sound; containers say how many to leave out, and
MPEG-TS cannot. Played, they would make every round of a repeated film longer by as much: 1.3 s in ten minutes of a film
of 10 s. So they are sent, because the decoder needs them, with the time at which the sound begins.
"""

from typing import Any

from flume.reader.ffmpeg.item_clock import HZ

STEP = 9
"""They lie 0.1 ms apart."""

MAX_FRAMES = 16
"""More frames are no priming: 2112 samples of AAC are three, 80 ms of Opus four."""


class Priming:
    """One audio track; gives each packet its place.

    Example::

        dts = priming.place(packet, dts)  # ticks of 90 kHz
    """

    def __init__(self, sample_rate: int) -> None:
        """The track has *sample_rate* samples a second."""
        self._rate = sample_rate
        self._begins: int | None = None
        self._frames = self._last = 0

    def place(self, packet: Any, dts: int) -> int:
        """Return the time of *packet*, which is at *dts* and has its duration in ticks, too."""
        self._frames += 1
        if self._frames == 1 and packet.has_sidedata("skip_samples"):
            skipped = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
            ticks = round(skipped * HZ / self._rate)
            frames = -(-ticks // max(packet.duration or 1, 1))
            if frames <= MAX_FRAMES:
                self._begins, self._last = dts + ticks, frames
        if self._begins is None or self._frames > self._last or dts >= self._begins:
            return dts
        return max(dts, self._begins - STEP * (self._last + 1 - self._frames))
