"""How many frames were displayed, and when the first one after a command was displayed. Pure."""

NEVER_S = float("inf")


class FrameCount:
    """Counts frames as they are displayed. All times are monotonic seconds.

    >>> count = FrameCount(buffer_s=0.3)
    >>> count.add(1, 10.0)
    >>> count.expect()
    >>> count.received(20.0)
    >>> count.add(1, 20.1), count.first_s  # still of the delivery window before
    (None, None)
    >>> count.add(1, 20.3), count.first_s
    (None, 20.3)
    """

    def __init__(self, *, buffer_s: float) -> None:
        """Count for a player that displays a frame *buffer_s* after its datagrams arrived, and no sooner."""
        self._buffer_s = buffer_s
        self._fresh_s = 0.0  # a frame displayed earlier was received before the last command
        self.frames = 0
        self.first_s: float | None = None
        """When the first frame since :meth:`expect` was displayed."""
        self.last_s: float | None = None

    def add(self, frames: int, now_s: float) -> None:
        """*frames* more were displayed, the last one at *now_s*."""
        self.frames += frames
        self.last_s = now_s
        if self.first_s is None and now_s >= self._fresh_s:
            self.first_s = now_s

    def expect(self) -> None:
        """Forget the first frame: a command that leads to another one was granted."""
        # libvlc displays a frame one buffer length after its datagrams arrived. Frames displayed before that belong to
        # the delivery window before. Only the very first frame has no delay.
        self._fresh_s = NEVER_S if self.frames else 0.0
        self.first_s = None

    def received(self, now_s: float) -> None:
        """A datagram went to the player at *now_s*."""
        if self._fresh_s == NEVER_S:
            self._fresh_s = now_s + self._buffer_s
