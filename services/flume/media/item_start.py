"""Holds the first packets of an item until its place on the timeline is known.

An item is placed by its first PCR and, where another item came before, by the first timestamps of its audio and video
streams: the stream that needs the latest start decides (:mod:`flume.media.timeline`). Packets before that cannot be
restamped yet, so they wait here, within the limits below.
"""

from flume.media import mpegts
from flume.media.mpegts import PCR_HZ, PTS_MODULUS, TICKS_PER_PTS, PesStart
from flume.media.pcr_watch import DTS_LEAD_TICKS
from flume.media.program import ProgramMap, Route
from flume.media.timeline import FirstTimestamps, unwrap

MAX_HELD_PACKETS = 8192
"""Most packets of a new item that wait for its first PCR and timestamps, 1.5 MB."""

SETTLE_TICKS = PCR_HZ // 2
"""An item whose tables may still grow is held for 0.5 s, so that a table of its first moments is not taken for its own
(:attr:`~flume.media.program.ProgramMap.may_grow`)."""

MAX_HELD_TICKS = PCR_HZ
"""Longest span of a new item that waits for its first PCR, or for the first timestamp of each of its streams: 1 s."""

MAX_AUDIO_HELD_TICKS = 3 * PCR_HZ
"""The same while only audio arrives: libvlc begins live sources with one second of audio, and the PCR comes with the
first video frame (measured)."""


class ItemStart:
    """The packets held so far. Call :meth:`hold` with each; when it returns ``True``, place the item and pass them on.

    Example::

        if start.hold(packet, route):
            pcr = start.estimated_pcr() if start.pcr is None else start.pcr
            timeline.anchor(pcr, start.firsts)
    """

    def __init__(self, program: ProgramMap, *, follows_an_item: bool, settles: bool = False) -> None:
        """Hold nothing yet. *program* names the item's streams; *follows_an_item*: its start depends on another.

        *settles*: its first tables may be incomplete.
        """
        self._program, self._follows_an_item, self._settles = program, follows_an_item, settles
        self._span = 0
        """The longest span of DTS of one stream that is held, 27 MHz."""
        self.packets: list[tuple[bytearray, Route]] = []
        """In the order in which they came."""
        self.pcr: int | None = None
        """The first PCR, 27 MHz as in the packet; ``None`` before there was one."""
        self.firsts: dict[int, FirstTimestamps] = {}
        """The first timestamps of each audio and video stream, by outgoing PID."""

    def hold(self, packet: bytearray, route: Route) -> bool:
        """Keep *packet* of *route*; return whether the item can be placed now, or has to be."""
        self.packets.append((packet, route))
        pcr = mpegts.read_pcr(packet) if route.carries_pcr else None
        if self.pcr is None:
            self.pcr = pcr
        pes = mpegts.parse_pes_start_untrusted(packet) if route.is_timed else None
        if pes is not None and pes.pts is not None and pes.dts is not None:
            first = self.firsts.setdefault(route.pid, FirstTimestamps(pes.dts, pes.pts))
            self._span = max(self._span, unwrap(pes.dts - first.dts, 0, PTS_MODULUS) * TICKS_PER_PTS)
        is_enough = self._lacks_pcr(route, pes) if self.pcr is None else self._knows_its_start(pcr)
        return is_enough or len(self.packets) >= MAX_HELD_PACKETS

    def _lacks_pcr(self, route: Route, pes: PesStart | None) -> bool:
        """Whether so much has come without a PCR that there will be none."""
        first = self.firsts.get(route.pid)
        if pes is None or pes.dts is None or first is None:
            return False
        limit = MAX_HELD_TICKS if route is self._program.main else MAX_AUDIO_HELD_TICKS
        return unwrap(pes.dts - first.dts, 0, PTS_MODULUS) * TICKS_PER_PTS >= limit

    def _knows_its_start(self, pcr: int | None) -> bool:
        """Whether all first timestamps are known, or *pcr*, of the packet just held, is too late to wait longer."""
        if self._settles and self._program.may_grow and self._span < SETTLE_TICKS:
            return False
        if not self._follows_an_item:
            return True
        if all(route.pid in self.firsts for route in self._program.routes if route.is_timed):
            return True
        return pcr is not None and self.pcr is not None and not 0 <= pcr - self.pcr < MAX_HELD_TICKS

    def estimated_pcr(self) -> int:
        """Return the PCR, 27 MHz, at which an item without any begins: a little before its earliest DTS."""
        earliest = min((first.dts for first in self.firsts.values()), default=0)
        return earliest * TICKS_PER_PTS - DTS_LEAD_TICKS
