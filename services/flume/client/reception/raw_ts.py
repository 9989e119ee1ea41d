"""What can be known of bare MPEG-TS, which has no RTP header: its time, and how much of it was lost. Pure."""

from flume.media import mpegts


class RawTsClock:
    """Takes the time from the clock references (PCR). They come at least every 100 ms (ISO/IEC 13818-1): its grain.

    Feed it with every datagram.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self._timestamp = 0

    def timestamp_untrusted(self, payload: bytes) -> int:
        """Return the 90 kHz time of *payload*, 32 bits as in RTP."""
        for start in range(0, len(payload) - mpegts.PACKET_BYTES + 1, mpegts.PACKET_BYTES):
            if payload[start + 3] & 0x20:  # an adaptation field, which one packet in fifteen has: saves the call
                pcr = mpegts.read_pcr(payload, start)
                if pcr is not None:
                    self._timestamp = pcr // mpegts.TICKS_PER_PTS & 0xFFFF_FFFF
                    break
        return self._timestamp


class RawTsCount:
    """Compares what the server says that it sent with what came.

    The reply that ends a window travels over TCP and may overtake its last datagrams. So sums over all windows are
    compared, and while a window is open the loss is what it was when it began.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self._announced = self._arrived = self._lost_before = 0
        self._open = False
        self.windows = 0

    def begin_window(self) -> None:
        """Delivery begins."""
        self._lost_before = self.lost
        self._open = True
        self.windows += 1

    def end_window(self, datagrams: int) -> None:
        """The server sent *datagrams* in this window."""
        self._announced += datagrams
        self._open = False

    def abandon_window(self) -> None:
        """Nobody will say how many were sent: no loss is made up."""
        if self._open:
            self._announced = self._arrived + self._lost_before
            self._open = False

    def add(self) -> None:
        """One more came."""
        self._arrived += 1

    @property
    def lost(self) -> int:
        """How many never came, so far."""
        return self._lost_before if self._open else max(0, self._announced - self._arrived)
