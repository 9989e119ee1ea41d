"""Who gets what in a tick: those at the live edge together, everybody else by themselves.

The sender thread owns all of it. A client begins by itself, is given what it lacks at a paced rate, and joins the
group of those who take the same bytes once it lacks nothing. A send that fails takes a client out of its group again:
a dead one costs a system call a tick and nobody else anything.
"""

import errno
import logging
import time
from collections import Counter
from collections.abc import Callable

from flume.media.ring import DATAGRAM_BYTES, Ring, strip_headers
from flume.server.sending.group_sender import GroupSender, SendLoop, name_of
from flume.server.sending.join_pacing import JoinPacing
from flume.server.sending.live_group import LiveGroup
from flume.server.sending.media_port import disable_segmentation
from flume.server.sending.roster import Recipient, Roster
from flume.settings import PayloadKind, SenderKind, ServerSettings

SEGMENTATION_REFUSALS = frozenset({errno.EINVAL, errno.EMSGSIZE, errno.EIO})
"""What kernels and devices answer to a batch they cannot cut: too many, over the MTU, no checksum offload."""

PROBATION_BATCHES = 50
"""Half a second of success before a client that failed goes with the others again."""

DOUBTS = 2
"""Refusals of segmentation in a row before it is given up for a client: an ICMP message about another datagram of the
same ports (the doctor's echoes) shows as EMSGSIZE once."""

MOST_AT_ONCE = 1024
"""Datagrams for one client in one tick, however long it had to wait for its turn."""

OTHERS_SHARE = 0.8
"""Of a tick, after which those who are behind have to wait for the next: the live edge must not be late for them."""

_log = logging.getLogger(__name__)


class Delivery:
    """Sends from the ring to the recipients of a roster."""

    def __init__(
        self,
        ring: Ring,
        *,
        settings: ServerSettings,
        on_refused: Callable[[Recipient], None],
        make_sender: Callable[[], GroupSender] = SendLoop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send from *ring*; *on_refused* hears of ICMP port unreachable, once a recipient."""
        self.ring = ring
        self._batch = settings.batch_datagrams
        self._budget_s = OTHERS_SHARE * settings.tick_ms / 1000
        self._pacing = JoinPacing(factor=settings.catch_up_factor, tick_s=settings.tick_ms / 1000)
        self._on_refused = on_refused
        self._make_sender = make_sender
        self._clock = clock
        self._known: frozenset[Recipient] = frozenset()
        self._groups: dict[tuple[PayloadKind, bool], LiveGroup] = {}
        self._others: list[Recipient] = []
        self._bare: tuple[int, int, bytes] = (0, 0, b"")
        self._tick = 0
        self.datagrams = 0
        """Sent, to all clients that ever were."""
        self.drops: Counter[str] = Counter()
        self.fallbacks: Counter[str] = Counter()
        """Why clients get single datagrams in the place of batches."""

    # -- the roster ----------------------------------------------------------------------------------------

    def adopt(self, roster: Roster) -> None:
        """Serve the recipients of *roster* from now on and nobody else; no send to others is under way after this."""
        wanted = frozenset(roster.recipients)
        for recipient in self._known - wanted:
            if not any(group.remove(recipient) for group in self._groups.values()):
                self._others.remove(recipient)
        new = [recipient for recipient in roster.recipients if recipient not in self._known]
        for recipient in new:
            recipient.turn = self._tick
        self._others += new
        self._known = wanted

    def is_anybody_behind(self) -> bool:
        """Whether somebody lacks what the ring holds."""
        edge = self.ring.next_index
        return any(recipient.cursor < edge for recipient in self._others)

    def sender_kind(self) -> SenderKind | None:
        """Return how groups are sent to at present, ``None`` while there are none; from any thread."""
        kinds = {group.sender.kind for group in tuple(self._groups.values())}
        return None if not kinds else "loop" if "loop" in kinds else "io_uring"

    def all_fallbacks(self) -> dict[str, int]:
        """Return :attr:`fallbacks`, and why groups are not sent to in one system call; from any thread."""
        troubles = [group.sender.trouble for group in tuple(self._groups.values())]
        return {**self.fallbacks, **Counter(f"io_uring_{trouble}" for trouble in troubles if trouble)}

    def close(self) -> None:
        """Send no more."""
        for group in self._groups.values():
            group.close()

    # -- a tick --------------------------------------------------------------------------------------------

    def serve(self, due: int) -> None:
        """Send everybody what they lack; the last *due* datagrams of the ring are new."""
        edge = self.ring.next_index
        began_s = self._clock()
        self._tick += 1
        self._pacing.observe(due)
        self._gather(edge - due)
        for group in self._groups.values():
            self._serve_group(group, edge - due, edge)
        if self._others:
            self._serve_others(edge, due, until_s=began_s + self._budget_s)

    def _gather(self, before: int) -> None:
        """Let those who lack nothing before index *before* go with the others."""
        ready = [one for one in self._others if one.cursor == before and not one.probation]
        for recipient in ready:
            self._others.remove(recipient)
            self._group_of(recipient).add(recipient)

    def _group_of(self, recipient: Recipient) -> LiveGroup:
        key = (recipient.payload, recipient.segmentation)
        group = self._groups.get(key)
        if group is None:
            group = LiveGroup(recipient.payload, self._make_sender(), segmentation=recipient.segmentation)
            self._groups[key] = group
        return group

    def _serve_group(self, group: LiveGroup, start: int, stop: int) -> None:
        if start < self.ring.oldest_index():
            # More came due at once than the memory holds: each for itself, so that what is missing is counted.
            for recipient in group.members:
                self._part(group, recipient, start)
        limit = self._batch if group.segmentation else 1
        while group and start < stop:
            data, count = self._batch_at(start, min(stop, start + limit), group.payload)
            failed = group.send(data, count=count, last_index=start + count - 1)
            self.datagrams += count * len(group)
            for recipient, number in failed:
                self._part(group, recipient, start)
                self._on_failure(recipient, number, count)
            start += count

    def _part(self, group: LiveGroup, recipient: Recipient, cursor: int) -> None:
        """Let *recipient* go on by itself, from *cursor*."""
        group.remove(recipient)
        recipient.cursor = cursor
        recipient.turn = self._tick - 1
        self._others.append(recipient)

    def _serve_others(self, edge: int, due: int, *, until_s: float) -> None:
        waiting = [recipient for recipient in self._others if recipient.cursor < edge]
        catching_up = sum(edge - recipient.cursor > due for recipient in waiting)
        quota = self._pacing.quota(due, behind=catching_up, clients=len(self._known))
        for served, recipient in enumerate(waiting, 1):
            turns, recipient.turn = self._tick - recipient.turn, self._tick
            lacks, most = edge - recipient.cursor, min(quota * turns, max(quota, MOST_AT_ONCE))
            self._serve_one(recipient, edge if lacks <= due else recipient.cursor + min(lacks, most))
            if self._clock() >= until_s:
                # Next time those come first who had to wait, and get what they missed.
                self._others.sort(key=set(waiting[:served]).__contains__)
                break

    def _serve_one(self, recipient: Recipient, stop: int) -> None:
        """Send *recipient* the datagrams from its cursor up to *stop*, in batches."""
        oldest = self.ring.oldest_index()
        if recipient.cursor < oldest:
            # At the next keyframe, if there is one: what comes before could not be decoded.
            target = self.ring.join_after(oldest) or oldest
            self._drop(recipient, "overwritten", target - recipient.cursor)
            recipient.cursor = target
        while recipient.cursor < stop:
            start = recipient.cursor
            limit = self._batch if recipient.segmentation else 1
            data, count = self._batch_at(start, min(stop, start + limit), recipient.payload)
            try:
                recipient.socket.send(data)
            except OSError as error:
                self._on_failure(recipient, error.errno or errno.EIO, count)
            else:
                recipient.cursor += count
                recipient.count(count, start + count - 1)
                recipient.doubts = 0
                recipient.probation = max(0, recipient.probation - 1)
                self.datagrams += count

    def _batch_at(self, start: int, stop: int, payload: PayloadKind) -> tuple[memoryview | bytes, int]:
        """Return the datagrams from *start* on, to *stop* or the end of the memory, and how many they are."""
        run = self.ring.run(start, stop)
        count = len(run) // DATAGRAM_BYTES
        if payload == "rtp":
            return run, count
        if self._bare[:2] != (start, count):
            self._bare = (start, count, strip_headers(run))
        return self._bare[2], count

    # -- what goes wrong -----------------------------------------------------------------------------------

    def _on_failure(self, recipient: Recipient, number: int, count: int) -> None:
        """A batch of *count* did not leave: pass over it, or try again, then singly, and pass over nothing."""
        if recipient.segmentation and number in SEGMENTATION_REFUSALS:
            recipient.doubts += 1
            if recipient.doubts >= DOUBTS:
                self._fall_back(recipient, number)
            return
        recipient.probation = PROBATION_BATCHES
        recipient.cursor += count
        match number:
            case errno.EAGAIN:
                # A stream cannot wait: what finds no room in this client's own buffer is gone.
                self._drop(recipient, "send_buffer_full", count)
            case errno.ECONNREFUSED:
                self._drop(recipient, "port_unreachable", count)
                if not recipient.refused:
                    recipient.refused = True
                    self._on_refused(recipient)
            case _:
                self._drop(recipient, f"send_{name_of(number)}", count)

    def _fall_back(self, recipient: Recipient, number: int) -> None:
        reason = f"segmentation_{name_of(number)}"
        # Said once a reason: where a device refuses, it refuses all clients at the same moment.
        level = logging.DEBUG if self.fallbacks[reason] else logging.WARNING
        _log.log(level, "segmentation refused (%s): single datagrams from now on for whom it concerns", reason)
        disable_segmentation(recipient.socket)
        recipient.segmentation = False
        recipient.fallbacks[reason] += 1
        self.fallbacks[reason] += 1

    def _drop(self, recipient: Recipient, reason: str, count: int) -> None:
        recipient.drops[reason] += count
        self.drops[reason] += count
