"""The continuity counters of all PIDs (indicator 1.4; ISO/IEC 13818-1, 2.4.3.3). Pure.

The loop over all packets knows only :attr:`Continuity.expected`: the four bytes that an ordinary next packet of a PID
begins with. A packet that begins so needs no further look at its counter.
"""

from collections import deque

from flume.measures.ts.findings import FindingLog
from flume.measures.ts.tables import NULL_PID

PACKET_BYTES = 188
HISTORY_BYTES = 349 * PACKET_BYTES
"""How far back the packet is looked for that another one repeats."""
PIDS = 1 << 13


class Continuity:
    """Counters and packets of each PID."""

    def __init__(self, log: FindingLog) -> None:
        """Begin with no packet seen."""
        self._log = log
        self.expected = [-1] * PIDS
        """By PID: the header of the next packet, if it is an ordinary one and need not be looked at; -1: look at it."""
        self.counts = [0] * PIDS
        """By PID: packets so far."""
        self._held: dict[int, int] = {}
        """By PID that is always looked at: the counter of its last packet."""
        self._watched: set[int] = set()
        self._repeated: dict[int, int] = {}
        self._history: deque[bytes] = deque()
        self._history_bytes = 0

    def remember(self, data: bytes) -> None:
        """Keep the end of *data*, packets that were all fed, to compare repetitions with."""
        self._history.append(data[-HISTORY_BYTES:])
        self._history_bytes += len(self._history[-1])
        while self._history_bytes > HISTORY_BYTES:
            self._history_bytes -= len(self._history.popleft())

    def forget(self) -> None:
        """The stream was interrupted: the next packet of each PID may have any counter."""
        self.expected[:] = [-1] * PIDS
        self._held.clear()
        self._repeated.clear()
        self._history.clear()
        self._history_bytes = 0

    def watch(self, pid: int) -> None:
        """From now on every packet of *pid* is looked at."""
        last = self._last(pid)
        self._watched.add(pid)
        if last is not None:
            self._set(pid, last)

    def unwatch(self, pid: int) -> None:
        """Ordinary packets of *pid* need no look any more."""
        last = self._last(pid)
        self._watched.discard(pid)
        self._held.pop(pid, None)
        if last is not None:
            self._set(pid, last)

    def _last(self, pid: int) -> int | None:
        header = self.expected[pid]
        return self._held.get(pid) if header < 0 else header - 1 & 15

    def _set(self, pid: int, counter: int) -> None:
        if pid in self._watched:
            self._held[pid] = counter
            self.expected[pid] = -1
        else:
            self.expected[pid] = 0x47000010 | pid << 8 | counter + 1 & 15

    def glimpse(self, header: int, pid: int) -> None:
        """Take a damaged packet, whose header may be wrong, into account if it fits as the next one of its PID."""
        last = self._last(pid)
        if last is not None and header & 0x10 and header & 15 == last + 1 & 15:
            self.counts[pid] += 1
            self._set(pid, header & 15)

    def take(self, header: int, pid: int, packet: int, data: bytes, offset: int, *, flagged: bool) -> tuple[bool, bool]:
        """Take a packet at *offset* of *data*; *flagged*: it has a discontinuity_indicator.

        Return whether it is new, and no repetition, and whether it follows on the one before.
        """
        last, counter = self._last(pid), header & 15
        has_payload = bool(header & 0x10)
        self.counts[pid] += 1
        if pid == NULL_PID:
            return False, True
        if last is None or flagged:
            self._set(pid, counter)
            return True, last is None
        if not has_payload:
            if counter != last:
                self._log.add("1.4", packet, pid, f"counter {counter} instead of {last} in a packet without payload")
                self._set(pid, counter)
            return True, counter == last
        if counter == last + 1 & 15:
            self._set(pid, counter)
            return True, True
        if counter == last:
            return self._repetition(pid, packet, data, offset)
        lost = counter - last - 1 & 15
        detail = f"counter {counter} instead of {last + 1 & 15}: {lost} missing, or 16, 32 … more"
        self._log.add("1.4", packet, pid, detail)
        self._set(pid, counter)
        return True, False

    def _repetition(self, pid: int, packet: int, data: bytes, offset: int) -> tuple[bool, bool]:
        again = self._repeated.get(pid) == self.counts[pid] - 1
        self._repeated[pid] = self.counts[pid]
        before = self._before(pid, data, offset)
        same = before is None or _same(before, data[offset : offset + PACKET_BYTES])
        if not same:
            self._repeated.pop(pid)
            detail = "the counter of the packet before, and not its content: 15 packets are missing, or 31 …"
            self._log.add("1.4", packet, pid, detail)
            return True, False
        if again:
            self._log.add("1.4", packet, pid, "the packet comes a third time; twice is allowed")
        return False, True

    def _before(self, pid: int, data: bytes, offset: int) -> bytes | None:
        """Return the packet of *pid* before the one at *offset*; None if it is too far back."""
        blocks = [data[max(0, offset - HISTORY_BYTES) : offset], *reversed(self._history)]
        middle, low = pid >> 8, pid & 0xFF
        for block in blocks:
            for at in range(len(block) - PACKET_BYTES, -1, -PACKET_BYTES):
                if block[at + 2] == low and block[at + 1] & 0x1F == middle:
                    return block[at : at + PACKET_BYTES]
        return None


def _same(one: bytes, other: bytes) -> bool:
    """Return whether two packets are equal in all that must be: a repeated packet has a PCR of its own."""
    if one[3] & 0x20 and one[4] >= 7 and one[5] & 0x10:
        return one[:6] == other[:6] and one[12:] == other[12:]
    return one == other
