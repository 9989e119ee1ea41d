"""When a datagram is due: the stream's own time, mapped to the monotonic clock. Pure."""

STALL_S = 0.25
"""A source this late is not caught up with in a burst. The clock moves instead, and the stall is counted."""


class SendClock:
    """Maps the monotonic clock to stream time; pauses while no client receives.

    >>> clock = SendClock()
    >>> clock.position(100.0, 7.0, ready=True)  # the first datagram has stream time 7.0 and is due now
    7.0
    >>> clock.position(100.5, 7.4, ready=True)  # half a second later all up to 7.5 is due
    7.5
    """

    def __init__(self) -> None:
        """Begin without an anchor."""
        self._offset_s: float | None = None
        self.stalls = 0
        """How often the source was more than :data:`STALL_S` late."""

    def pause(self) -> None:
        """Forget the anchor: the next datagram will be due when it is asked for."""
        self._offset_s = None

    def position(self, now_s: float, head_s: float | None, *, ready: bool) -> float | None:
        """Return the stream time up to which datagrams are due at *now_s*; ``None`` while there is nothing to send.

        *now_s* is monotonic, *head_s* the stream time of the next datagram, ``None`` without one; both in seconds.
        Without an anchor the clock starts at *head_s* once *ready*. A head more than :data:`STALL_S` in the past means
        that the source delivered nothing for so long: the clock starts again at *head_s*.
        """
        if head_s is None:
            return None
        if self._offset_s is not None and now_s + self._offset_s - head_s > STALL_S:
            self.stalls += 1
            self._offset_s = None
        if self._offset_s is None:
            if not ready:
                return None
            self._offset_s = head_s - now_s
        return now_s + self._offset_s
