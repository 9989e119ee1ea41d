"""The frames of one client, what was displayed of them, and the causes of the others. Values only."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flume.lab.trial.frames import Frame
from flume.lab.trial.measures import Attribution
from flume.lab.trial.placing import Placing


class FrameAccount(NamedTuple):
    """Made by :mod:`flume.lab.trial.attribution`."""

    frames: Sequence[Frame]
    placing: Placing | None
    """None: the pictures cannot be told apart, and frames are only counted."""
    hit: Mapping[int, str]
    """Position of a frame to the cause of its first datagram that did not reach the player."""
    attribution: Attribution | None
    """None: nothing says how many frames were displayed."""

    @property
    def due(self) -> int:
        """Frames that were sent whole."""
        return sum(frame.is_whole for frame in self.frames)

    @property
    def shown_due(self) -> int:
        """Of those, displayed, each once."""
        return self.due - (0 if self.attribution is None else self.attribution.missing)

    @property
    def shown_cut(self) -> int:
        """Frames that were displayed although a window's end cut them."""
        shown = () if self.placing is None else self.placing.shown_s
        return sum(not self.frames[at].is_whole for at in shown)
