"""Writes PCR, PTS and DTS anew, in place, so that all items lie on one timeline.

Where the timestamps belong is decided by :mod:`flume.media.timeline`; whether a PCR has to be estimated, because none
comes, by :mod:`flume.media.pcr_watch`. This module applies both to packets.
"""

from flume.media import mpegts
from flume.media.item_start import ItemStart
from flume.media.mpegts import PCR_HZ, TICKS_PER_PTS, PesStart
from flume.media.pcr_watch import PcrWatch
from flume.media.program import Route
from flume.media.timeline import Timeline

REPEATED_TICKS = PCR_HZ // 1000
"""A PCR within 1 ms of the last one says nothing new. libvlc repeats one, to 22 µs, while the next picture is far
(measured); to go by it would send at once whatever audio comes meanwhile."""


class Restamper:
    """The timestamps of one item after another. Call :meth:`begin_item`, :meth:`place`, then the rest for each packet.

    PCRs that go in and out are 27 MHz ticks; those that come out lie on the endless timeline and never go back.
    """

    def __init__(self) -> None:
        """Begin before the first item."""
        self.timeline = Timeline()
        self.pcr_watch = PcrWatch()
        self._last_pcr: int | None = None
        """As in the packet, in the present item."""

    def begin_item(self, *, trusted_clock: bool = False, live: bool = True) -> None:
        """What follows belongs to another clock; *trusted_clock*: the item's reader has repaired it."""
        self.timeline.begin_item(trusted_clock=trusted_clock, live=live)
        self._last_pcr = None
        self.pcr_watch.begin_item()

    def place(self, start: ItemStart, *, main: Route | None) -> None:
        """Give the item that begins with *start* its place; *main* paces it where it has no PCR."""
        if start.pcr is not None:
            self.timeline.anchor(start.pcr, start.firsts)
            return
        pcr = start.estimated_pcr()
        self.timeline.anchor(pcr, start.firsts)
        moved = self.timeline.restamp_pcr(pcr, is_estimated=True)
        self.pcr_watch.expect_none(0 if main is None else main.pid, moved)

    def restamp_pcr(self, packet: bytearray, route: Route, *, not_before: int | None) -> int | None:
        """Restamp the PCR of *packet*; return it if it is the program's, ``None`` if there is none.

        *not_before*: datagrams were sent with due times up to this PCR, so the timeline goes on from there.
        """
        pcr = mpegts.read_pcr(packet)
        if pcr is None:
            return None
        if not route.carries_pcr:  # no player reads it, but a value of another timeline must not stay in the stream
            mpegts.write_pcr(packet, self.timeline.move(pcr))
            return None
        is_repeated = self._last_pcr is not None and abs(pcr - self._last_pcr) <= REPEATED_TICKS
        if is_repeated and not_before is None:
            mpegts.write_pcr(packet, self.timeline.now)
            return None
        self._last_pcr = pcr
        if not_before is not None:
            self.timeline.advance_to(not_before)
        moved = self.timeline.restamp_pcr(pcr)
        self.pcr_watch.on_pcr(moved)
        mpegts.write_pcr(packet, moved)
        return moved

    def estimate_pcr(self, dts: int | None, route: Route, *, is_main: bool) -> int | None:
        """Return the PCR to write beside a PES because none came with the stream; ``None`` while they do come.

        *dts* is what :meth:`restamp_pes` returned for the PES.
        """
        if dts is None or not route.is_timed:
            return None
        pcr = self.pcr_watch.on_pes(route.pid, dts * TICKS_PER_PTS, is_main=is_main)
        return None if pcr is None else self.timeline.estimate(pcr)

    def restamp_pes(self, packet: bytearray, route: Route, pes: PesStart) -> int | None:
        """Restamp PTS and DTS of the PES that begins in *packet*; return the DTS on the timeline (90 kHz).

        ``None``: the PES has no timestamps, and there is nothing to do.
        """
        if pes.pts is None or pes.dts is None or pes.pts_offset is None:
            return None
        if route.is_timed:
            pts, dts = self.timeline.restamp_pes(route.pid, pes.pts, pes.dts)
        else:
            pts, dts = (self.timeline.move_timestamp(value) // TICKS_PER_PTS for value in (pes.pts, pes.dts))
        mpegts.write_timestamp(packet, pes.pts_offset, pts)
        if pes.dts_offset is not None:
            mpegts.write_timestamp(packet, pes.dts_offset, dts)
        return dts
