"""Where the units of a receiver go: to the player, at the stream's speed, spliced where it was cut. Or elsewhere."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from flume.client.playback.loopback import Payload
from flume.client.playback.player import Player
from flume.client.reception.pacer import PlayoutPacer
from flume.client.reception.payload_path import Unit
from flume.client.reception.splicer import Splicer

TakenUnit_contra = TypeVar("TakenUnit_contra", contravariant=True)


class Output(Protocol[TakenUnit_contra]):
    """What takes the units of a receiver. :meth:`gather` and :meth:`write` are called without its lock."""

    def gather(self, wait: Callable[[], None], /) -> None:
        """Return when there may be something to read; *wait* returns when there is, or when the receiver has to act."""

    def forget(self) -> None:
        """Another stream begins: nothing of its clock is known."""

    def begin_window(self) -> None:
        """A delivery window begins."""

    def push(self, units: Sequence[TakenUnit_contra], now_s: float, /) -> None:
        """Take *units*, in their order, at *now_s* (monotonic)."""

    def deadline_s(self) -> float | None:
        """Return when :meth:`write` has something to do; ``None``: not before more units come."""

    def prepare(self, now_s: float, /) -> None:
        """Choose what :meth:`write` writes at *now_s*."""

    @property
    def is_empty(self) -> bool:
        """Whether all that was pushed has been chosen."""

    def write(self, *, is_last: bool) -> None:
        """Write what was chosen; *is_last*: the session is over, and nothing follows."""


class Playout:
    """The :class:`Output` to a player."""

    def __init__(self, player: Player, *, capacity: int) -> None:
        """Write to *player*; hold back *capacity* units at most."""
        self._player = player
        self._pacer: PlayoutPacer[Unit] = PlayoutPacer(capacity=capacity)
        self._splicer = Splicer()
        self._chosen: Sequence[Unit] = ()

    def gather(self, wait: Callable[[], None]) -> None:
        """Return with *wait*: the pacer's grain gathers what comes together."""
        wait()

    def forget(self) -> None:
        """See :class:`Output`."""
        self._splicer.forget()

    def begin_window(self) -> None:
        """See :class:`Output`."""
        self._pacer.begin_window()

    def push(self, units: Sequence[Unit], now_s: float) -> None:
        """See :class:`Output`."""
        for unit in units:
            self._pacer.push(unit.timestamp, unit, now_s)

    def deadline_s(self) -> float | None:
        """See :class:`Output`."""
        return self._pacer.deadline_s()

    def prepare(self, now_s: float) -> None:
        """See :class:`Output`."""
        self._chosen = self._pacer.take(now_s)

    @property
    def is_empty(self) -> bool:
        """See :class:`Output`."""
        return not len(self._pacer)

    def write(self, *, is_last: bool) -> None:
        """Write all that is due in one call, which costs the player a system call or two whatever the number."""
        payloads: list[Payload] = []
        for unit in self._chosen:
            primer = self._splicer.before(unit.timestamp, unit.payload, time.monotonic())
            payloads += (primer, unit.payload) if primer else (unit.payload,)
        if is_last and (ending := self._splicer.ending()):
            payloads.append(ending)
        if payloads:
            self._player.write(payloads)
