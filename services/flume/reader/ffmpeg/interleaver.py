"""Brings the packets of all tracks into the order of their DTS, without waiting for a track that has ended.

A multiplexer that waits until every track has something queued stops when one of them ends, and queues the others
without bound. Here a track is waited for only while the others are at most :attr:`Interleaver.patience` ahead, and
while what waits is at most :data:`MAX_BYTES`.
"""

from collections import deque
from typing import Generic, NamedTuple, TypeVar

FILE_PATIENCE = 10 * 90_000
"""How far apart the tracks of a file may lie, 10 s: files with separate blocks for each track exist."""

LIVE_PATIENCE = 45_000
"""The same for a live source, 0.5 s: it is also the delay when a track ends."""

SUBTITLES_DELAY = 90_000
"""How much later than picture and sound subtitles come in a recording: up to 1 s."""

SHORT_PAUSE = 9_000
"""Tracks of a film that end within 0.1 s of each other end together."""

MAX_BYTES = 32 << 20
"""Most bytes that wait: 4 s at 60 Mbit/s."""

P = TypeVar("P")


class _Waiting(NamedTuple, Generic[P]):
    dts: int
    size: int
    packet: P


class Ready(NamedTuple, Generic[P]):
    """A packet whose turn has come. *pauses*: its track has nothing behind it, and is waited for no longer."""

    packet: P
    pauses: bool = False


class Interleaver(Generic[P]):
    """Packets in, by track; packets out, by DTS. Ticks of 90 kHz.

    >>> interleaver = Interleaver((0, 1), patience=900, audio=(1,))
    >>> interleaver.push(0, 0, 10, "a"), interleaver.push(0, 500, 10, "b"), interleaver.push(1, 100, 10, "c")
    ([], [], [Ready(packet='a', pauses=False)])
    >>> interleaver.push(0, 1500, 10, "d")  # track 1 is waited for no longer
    [Ready(packet='c', pauses=True), Ready(packet='b', pauses=False), Ready(packet='d', pauses=False)]
    """

    def __init__(self, tracks: tuple[int, ...], *, patience: int, audio: tuple[int, ...] = (), delay: int = 0) -> None:
        """Wait for each of *tracks*; packets of others, such as subtitles, are put between them when they come.

        A packet of the *audio* tracks waits until another one follows it, or the track pauses: then it says so. Every
        packet waits until one comes that is *delay* later: subtitles may come so much after what they belong to.
        """
        self.patience, self._delay = patience, delay
        self._queues: dict[int, deque[_Waiting[P]]] = {number: deque() for number in tracks}
        self._awaited = {number: 2 if number in audio else 1 for number in tracks}
        """How many packets of each track are awaited."""
        self._silent: set[int] = set()
        self._bytes = 0
        self._newest = -(1 << 62)

    def push(self, track: int, dts: int, size: int, packet: P) -> list[Ready[P]]:
        """Take a packet; return those whose turn has come."""
        self._queues.setdefault(track, deque()).append(_Waiting(dts, size, packet))
        self._bytes += size
        self._newest = max(self._newest, dts)
        self._silent.discard(track)
        return self._ready()

    def _ready(self) -> list[Ready[P]]:
        ready: list[Ready[P]] = []
        while True:
            heads = [(queue[0].dts, number) for number, queue in self._queues.items() if queue]
            if not heads:
                return ready
            dts, number = min(heads)
            short = {each for each, least in self._awaited.items() if len(self._queues[each]) < least} - self._silent
            if self._newest - dts < self._delay and self._bytes <= MAX_BYTES:
                return ready
            if number in short or any(not self._queues[each] for each in short):
                if self._newest - dts <= self.patience and self._bytes <= MAX_BYTES:
                    return ready
                self._silent |= short
            ready.append(Ready(self._pop(number), number in self._silent and not self._queues[number]))

    def _pop(self, number: int) -> P:
        waiting = self._queues[number].popleft()
        self._bytes -= waiting.size
        return waiting.packet

    def flush(self) -> list[Ready[P]]:
        """Return all that waits, in order."""
        rest = sorted((each.dts, number) for number, queue in self._queues.items() for each in queue)
        return [Ready(self._pop(number), self._pauses(number, dts)) for dts, number in rest]

    def _pauses(self, number: int, dts: int) -> bool:
        """Whether the packet of track *number* with *dts*, just popped, is its last, and the others go on."""
        return not self._queues[number] and self._newest - dts > SHORT_PAUSE
