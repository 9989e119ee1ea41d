"""Gives every packet of a track both its timestamps, where its container left some out.

Matroska stores no DTS, and libavformat computes none for the first packets. Files of a bare elementary stream, such as
``.h264``, store no timestamps at all: their pictures follow at the frame rate, and the order in which they are shown is
read out of the bitstream (FFmpeg's filter ``dts2pts``).
"""

import contextlib
import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import av
from av.bitstream import BitStreamFilterContext

from flume.reader.ffmpeg.item_clock import HZ, TIME_BASE

MAX_KEPT = 600
"""Most packets that are kept for the order of the last pictures."""

MAX_HELD = 64
"""Most packets without a DTS that wait for the first one that has one: more than any codec reorders."""

REORDERED = frozenset({"h264", "hevc"})
"""Codecs whose order of showing ``dts2pts`` can read."""

DEFAULT_RATE = Fraction(25)
AUDIO_RATE = Fraction(48_000, 1024)
"""Frames a second of pictures and of sound whose container and codec say nothing."""


class Stamped(NamedTuple):
    """A packet and its timestamps, as in the item, ticks of 90 kHz; *duration* is 0 where the item does not say."""

    packet: Any
    dts: int
    pts: int
    duration: int


class Stamper:
    """The packets of one track, in the order in which they come."""

    def __init__(self, stream: Any, codec: str, *, untimed: bool) -> None:
        """Read the packets of *stream*, which is of *codec*; *untimed*: its format stores no timestamps at all."""
        self._stream, self._codec, self._is_untimed = stream, codec, untimed
        self._held: list[Any] = []
        self._next: int | None = None
        self._untimed = 0
        self._since_keyframe: list[Any] = []
        self._ordering: BitStreamFilterContext | None = None

    def take(self, packet: Any) -> Iterator[Stamped]:
        """Take the next packet; yield those whose timestamps are known now."""
        if self._is_untimed and packet.dts is None and packet.pts is None:
            yield from self._order(packet)
        elif packet.dts is None and self._next is None:
            self._held.append(packet)
            if len(self._held) > MAX_HELD:
                yield from self._release(None)
        else:
            if self._held:
                yield from self._release(_ticks(packet, packet.dts))
            yield self._stamp(packet, _ticks(packet, packet.dts))

    def flush(self) -> Iterator[Stamped]:
        """Yield what was held back, at the end of the track."""
        yield from self._release(None)
        if self._ordering is not None:
            rest = self._ordering.filter(None)
            for packet in rest:
                self._note(packet)
            self._repair_end()
            yield from (_as_stamped(packet, packet.duration or 0) for packet in rest)

    def _release(self, first: int | None) -> Iterator[Stamped]:
        """The packets that were held come before the DTS *first*, a frame apart."""
        held, self._held = self._held, []
        for number, packet in enumerate(held):
            dts = first - (len(held) - number) * self._step(packet) if first is not None else None
            yield self._stamp(packet, dts)

    def _stamp(self, packet: Any, dts: int | None) -> Stamped:
        pts = _ticks(packet, packet.pts)
        if dts is None:  # damage in the middle: the track goes on
            dts = self._next if self._next is not None else pts or 0
        self._next = dts + self._step(packet)
        return Stamped(packet, dts, dts if pts is None else pts, _ticks(packet, packet.duration) or 0)

    def _step(self, packet: Any) -> int:
        rate = getattr(self._stream, "average_rate", None) or (
            AUDIO_RATE if self._stream.type == "audio" else DEFAULT_RATE
        )
        return _ticks(packet, packet.duration) or round(HZ / rate)

    def _order(self, packet: Any) -> Iterator[Stamped]:
        if self._codec in REORDERED and self._ordering is None:
            self._ordering = BitStreamFilterContext("dts2pts", self._stream)
        duration = self._step(packet)
        packet.time_base = TIME_BASE
        packet.dts, packet.duration = self._untimed_dts(duration), duration
        if self._ordering is None:
            yield _as_stamped(packet, duration)
        else:
            for each in self._ordering.filter(packet):
                self._note(each)
                yield _as_stamped(each, duration)

    def _note(self, packet: Any) -> None:
        """Keep the packets since the last keyframe, for :meth:`_repair_end`."""
        if packet.is_keyframe or len(self._since_keyframe) == MAX_KEPT:
            self._since_keyframe.clear()
        self._since_keyframe.append(packet)

    def _repair_end(self) -> None:
        """Give the last pictures the times that ``dts2pts`` cannot know, by decoding what follows the last keyframe."""
        packets = self._since_keyframe
        decoder: Any = av.CodecContext.create(self._codec, "r")
        decoder.extradata = self._stream.codec_context.extradata
        shown: list[int] = []
        with contextlib.suppress(av.error.FFmpegError):
            for number, packet in enumerate(packets):
                copy = av.Packet(bytes(packet))
                copy.pts = copy.dts = number
                shown += [frame.pts for frame in decoder.decode(copy)]
            shown += [frame.pts for frame in decoder.decode(None)]
        if len(shown) != len(packets):  # damaged, or an open group: leave it as it is
            return
        for before, number in itertools.pairwise(shown):
            packets[number].pts = packets[before].pts + packets[number].duration

    def _untimed_dts(self, duration: int) -> int:
        self._untimed += 1
        return (self._untimed - 1) * duration


def _as_stamped(packet: Any, duration: int) -> Stamped:
    """Return *packet*, whose timestamps are ticks already."""
    return Stamped(packet, packet.dts, packet.dts if packet.pts is None else packet.pts, duration)


def _ticks(packet: Any, value: int | None) -> int | None:
    return None if value is None else round(value * packet.time_base * HZ)
