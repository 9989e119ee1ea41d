"""Puts a PCR where FFmpeg's multiplexer writes none: it writes them with one track only, and that track may pause.

Without it a clip whose picture stands still for ten seconds has no clock meanwhile, although its sound goes on; and
sound that begins before the picture is late before it is sent.
"""

from flume.media import mpegts
from flume.media.mpegts import PACKET_BYTES, PTS_MODULUS, TICKS_PER_PTS, PesStart
from flume.media.timeline import unwrap

TABLE_PACKETS = 8
"""PAT, PMT and SDT stand before a PES; so many packets of them at most."""


MOST_LEAD = 45_000
"""Sound that begins more than 0.5 s after the picture is not sent earlier for that (90 kHz)."""


class PcrFiller:
    """Bytes of a transport stream in, the same bytes and PCRs out. One PES begins in a piece, or none.

    Example::

        filler = PcrFiller(pid=0x100, lead=18_000, step=7200)
        stream += filler.fill(piece)
    """

    def __init__(self, *, pid: int, lead: int, step: int) -> None:
        """The multiplexer writes PCRs on *pid*, *lead* before the DTS; none may be *step* after the last (90 kHz)."""
        self._pid, self._lead, self._step = pid, lead, step
        self._last: int | None = None
        self._counter = 15
        self._firsts: dict[int, int] = {}
        """The first DTS of each PID."""

    def fill(self, piece: bytes) -> bytes:
        """Return *piece*, after a PCR if one is due. Pieces are whole packets."""
        found = self._find_pes(piece)
        if found is None:
            return piece
        pid, pes = found
        if pid == self._pid:
            self._counter = piece[-PACKET_BYTES + 3] & 0x0F
        due = None if pes.dts is None else pes.dts - self._lead_of(pid, pes.dts)
        if due is None or (self._last is not None and unwrap(due - self._last, 0, PTS_MODULUS) <= self._step):
            return piece
        self._last = due
        if pid == self._pid:
            return piece
        return bytes(mpegts.pcr_packet(self._pid, due % PTS_MODULUS * TICKS_PER_PTS, self._counter)) + piece

    def _lead_of(self, pid: int, dts: int) -> int:
        """Return how long before *dts* a PES of *pid* leaves: the same for all tracks at the item's beginning.

        Where pictures are reordered, the first is decoded before the sound begins. With less lead, the sound's last PCR
        would lie behind the first one of the next item, which would have to wait.
        """
        first = self._firsts.setdefault(pid, dts)
        if self._pid not in self._firsts:
            return self._lead
        return self._lead + min(max(0, unwrap(first - self._firsts[self._pid], 0, PTS_MODULUS)), MOST_LEAD)

    @staticmethod
    def _find_pes(piece: bytes) -> tuple[int, PesStart] | None:
        for at in range(0, min(len(piece), TABLE_PACKETS * PACKET_BYTES), PACKET_BYTES):
            packet = piece[at : at + PACKET_BYTES]
            pes = mpegts.parse_pes_start_untrusted(packet) if len(packet) == PACKET_BYTES else None
            if pes is not None:
                return mpegts.pid_of(packet), pes
        return None
