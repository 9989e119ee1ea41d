"""How many frames were displayed, and when the first one after a command was. Pure."""

NEVER_S = float("inf")


class FrameCount:
    """Counts frames as they are displayed. All times are monotonic seconds."""

    def __init__(self, *, buffer_s: float) -> None:
        """Count for a player that shows a datagram *buffer_s* after it came, and no sooner."""
        self._buffer_s = buffer_s
        self._fresh_s = 0.0  # what is displayed before this instant was received before the last command
        self.frames = 0
        self.first_s: float | None = None
        """The first frame since :meth:`expect`."""
        self.last_s: float | None = None

    def add(self, frames: int, now_s: float) -> None:
        """*frames* more were displayed, the last one at *now_s*."""
        self.frames += frames
        self.last_s = now_s
        if self.first_s is None and now_s >= self._fresh_s:
            self.first_s = now_s

    def expect(self) -> None:
        """Forget the first frame: a command that leads to another one was given."""
        # Once it plays, libvlc shows nothing sooner than its buffer after it came; what it shows until then is the
        # rest of the window before. The very first picture it shows at once.
        self._fresh_s = NEVER_S if self.frames else 0.0
        self.first_s = None

    def received(self, now_s: float) -> None:
        """A datagram went to the player."""
        if self._fresh_s == NEVER_S:
            self._fresh_s = now_s + self._buffer_s
