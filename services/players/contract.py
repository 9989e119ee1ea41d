"""The driver's contract: commands in, events out, one a line; and what a player did as numbers. Pure.

Commands are ``play``, ``pause``, ``resume`` and ``stop``. An event is a JSON object with the key ``event``:

=============== ====================================================================================================
``ready``       the player that is steered: ``player``, ``version``
``command``     a command was carried out: ``command``
``unsupported`` the player cannot carry the command out: ``command``, ``reason``
``error``       a command is unknown or not possible now, or the player said so: ``message``
``first_frame`` the player displays: ``join_ms`` since ``play``, ``time_s`` in epoch seconds
``end``         the player ended its stream by itself: ``reason``
``statistics``  once a second and after each command, see :meth:`Account.statistics`
``ended``       the driver ends
=============== ====================================================================================================
"""

import json
from typing import NamedTuple

COMMANDS = ("play", "pause", "resume", "stop")

STATES = {
    ("closed", "play"): "active",
    ("active", "pause"): "interrupted",
    ("interrupted", "resume"): "active",
    ("active", "stop"): "closed",
    ("interrupted", "stop"): "closed",
}
"""Which command is possible in which state, and the state after it. The states' names are those of flume's sessions."""

_LONGEST_UNSUPPORTED = 20
"""Steps that statistics list: enough for a scenario, and bounded."""


class Seen(NamedTuple):
    """What a player shows at one moment of the present stream. None: it does not say."""

    frames: int | None = None
    """Displayed so far; a player may begin at 0 again, for example after a pause."""
    position_s: float | None = None
    """Time of the stream that is displayed."""
    displays: bool = False
    """Whether it has displayed a frame."""
    ended: str | None = None
    """Why the player has ended the stream by itself."""


class UnsupportedStep(Exception):  # noqa: N818 - the player is what it is
    """The player cannot do this. The text says why."""


def event(kind: str, **fields: object) -> str:
    """Return an event as a line.

    >>> event("error", message="no")
    '{"event": "error", "message": "no"}'
    """
    return json.dumps({"event": kind, **fields})


class Account:
    """The state that commands lead to, and the counts of one player over all its streams.

    >>> account = Account("mpv", "udp")
    >>> account.refusal("pause")
    'pause is not possible while closed: play'
    >>> account.done("play", time_s=10.0)
    >>> account.see(Seen(frames=3, displays=True), time_s=10.5), account.join_ms
    (True, 500.0)
    """

    def __init__(self, player: str, transport: str) -> None:
        """Begin without a stream."""
        self.state = "closed"
        self.join_ms: float | None = None
        self._player = player
        self._transport = transport
        self._played_s = 0.0
        self._displays = False
        self._frames_before = 0
        self._frames: int | None = None
        self._position_s: float | None = None
        self._unsupported: list[str] = []

    def refusal(self, command: str) -> str | None:
        """Return why *command* is not possible now; None if it is."""
        if command not in COMMANDS:
            return f"{command[:40]!r} is none of {', '.join(COMMANDS)}"
        if (self.state, command) in STATES:
            return None
        possible = [name for state, name in STATES if state == self.state]
        return f"{command} is not possible while {self.state}: {', '.join(possible)}"

    def done(self, command: str, *, time_s: float) -> None:
        """Follow a command that the player has taken, at *time_s* of any clock."""
        if command == "play":
            self._played_s, self._displays = time_s, False
        self.state = STATES[self.state, command]

    def cannot(self, command: str, reason: str) -> None:
        """Keep what the player cannot do. The state is that of before."""
        if len(self._unsupported) < _LONGEST_UNSUPPORTED:
            self._unsupported.append(f"{command}: {reason}")

    def ended(self) -> None:
        """Follow the end of a stream that no command asked for."""
        self.state = "closed"

    def see(self, seen: Seen, *, time_s: float) -> bool:
        """Take what the player shows; return whether this is the first frame since ``play``."""
        if seen.frames is not None:
            if self._frames is not None and seen.frames < self._frames:
                self._frames_before += self._frames
            self._frames = seen.frames
        self._position_s = seen.position_s
        if self._displays or not seen.displays or self.state == "closed":
            return False
        self._displays = True
        if self.join_ms is None:
            self.join_ms = round(1000 * (time_s - self._played_s), 1)
        return True

    def statistics(self, *, time_s: float) -> str:
        """Return the statistics as an event at *time_s*, in epoch seconds. ``join_ms``: of the first ``play``."""
        frames = None if self._frames is None else self._frames_before + self._frames
        player = {"kind": self._player, "frames_displayed": frames, "position_s": self._position_s}
        return event(
            "statistics",
            time_s=round(time_s, 3),
            state=self.state,
            transport=self._transport,
            join_ms=self.join_ms,
            player=player,
            unsupported=self._unsupported,
        )
