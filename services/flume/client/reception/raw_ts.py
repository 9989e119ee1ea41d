"""Time and loss of raw MPEG-TS, whose datagrams have no RTP header. Pure."""

from flume.media import mpegts


class RawTsClock:
    """Takes the time from the PCRs; give it every datagram.

    A PCR comes at least every 100 ms (ISO/IEC 13818-1, 2.7.2), so the time advances in steps of up to that.
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
    """Compares the number of datagrams that the server sent with the number that arrived.

    The reply that ends a window travels over TCP and may overtake the window's last datagrams. So the sums over all
    windows are compared. While a window is open, the loss is what it was when that window began.
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
        """The server will not say how many it sent: take the number that arrived, so that no loss is invented."""
        if self._open:
            self._announced = self._arrived + self._lost_before
            self._open = False

    def add(self) -> None:
        """One more datagram arrived."""
        self._arrived += 1

    @property
    def lost(self) -> int:
        """How many datagrams never arrived, so far."""
        return self._lost_before if self._open else max(0, self._announced - self._arrived)
