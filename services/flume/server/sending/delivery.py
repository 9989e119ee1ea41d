"""What each recipient is sent in a tick: those at the live edge in groups, the others one by one.

The sender thread owns all of it. A new recipient is served by itself. It is sent at a paced rate what it lacks, and
joins the group of recipients that take the same bytes once it has caught up. A send that fails takes a recipient out of
its group again. So a dead client costs one system call a tick, and the other clients nothing.
"""

import errno
import logging
import time
from collections import Counter
from collections.abc import Callable

from flume.media.ring import Ring, strip_headers
from flume.server.sending.group_sender import GroupSender, SendLoop, errno_name
from flume.server.sending.join_pacing import JoinPacing, join_pacing
from flume.server.sending.live_group import LiveGroup
from flume.server.sending.media_port import disable_segmentation
from flume.server.sending.roster import Recipient, Roster
from flume.settings import PayloadKind, SenderKind, ServerSettings

SEGMENTATION_ERRORS = frozenset({errno.EINVAL, errno.EMSGSIZE, errno.EIO})
"""What kernels and devices answer to a batch they cannot cut: too many, over the MTU, no checksum offload."""

MAX_SEGMENTATION_REFUSALS = 2
"""Refusals in a row after which segmentation is given up for a client. One is not believed: an ICMP message about
another datagram of the same ports (the doctor's echoes) shows as EMSGSIZE once."""

ICMP_ERRORS = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EPROTO,
        errno.EACCES,
        errno.EMSGSIZE,
    }
)
"""What Linux makes of ICMP and ICMPv6 messages: port, host, network, protocol unreachable, prohibited, bad header, too
big. Such a message is about an earlier datagram, any host can forge one, and the kernel reports it once *instead of*
sending. So the batch is sent again."""

REFUSED_TRIES = 16
"""Attempts to send one batch while such errors come. When all have failed, each batch has one attempt until one
succeeds: without a route, for example, the kernel itself gives these errors."""

REFUSED_REPORT_TICKS = 50
"""How often ICMP port unreachable is reported for one client: twice a second at the usual tick."""

PROBATION_BATCHES = 50
"""Half a second of success before a client whose send failed joins a group again."""

MAX_AT_ONCE = 1024
"""Datagrams for one client in one tick, however many ticks it was not served."""

SINGLES_SHARE = 0.8
"""Share of a tick after which recipients outside groups wait for the next one: they must not delay the live edge."""

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
        pacing: JoinPacing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send from *ring*; *on_refused* is called for ICMP port unreachable, at a bounded rate."""
        self.ring = ring
        self._batch = settings.batch_datagrams
        self._budget_s = SINGLES_SHARE * settings.tick_ms / 1000
        self._pacing = pacing or join_pacing(settings)
        self._on_refused = on_refused
        self._make_sender = make_sender
        self._clock = clock
        self._recipients: frozenset[Recipient] = frozenset()
        self._groups: dict[tuple[PayloadKind, bool], LiveGroup] = {}
        self._singles: list[Recipient] = []
        """Recipients outside groups: behind the live edge, or on probation."""
        self._raw_ts: tuple[int, int, bytes] = (0, 0, b"")
        self._tick = 0
        self.datagrams = 0
        """Sent since the start, to all clients, past ones included."""
        self.drops: Counter[str] = Counter()
        self.fallbacks: Counter[str] = Counter()
        """Why clients get single datagrams instead of batches."""

    # -- the roster ----------------------------------------------------------------------------------------

    def adopt(self, roster: Roster) -> None:
        """Serve the recipients of *roster* and no others; when this returns, no send to another one is under way."""
        wanted = frozenset(roster.recipients)
        for recipient in self._recipients - wanted:
            if not any(group.remove(recipient) for group in self._groups.values()):
                self._singles.remove(recipient)
        new = [recipient for recipient in roster.recipients if recipient not in self._recipients]
        for recipient in new:
            recipient.served_tick = self._tick
        self._singles += new
        self._recipients = wanted

    def is_any_behind(self) -> bool:
        """Whether a recipient lacks datagrams that the ring holds."""
        edge = self.ring.next_index
        return any(recipient.cursor < edge for recipient in self._singles)

    def sender_kind(self) -> SenderKind | None:
        """Return how groups are sent to at present, ``None`` without groups; from any thread."""
        kinds = {group.sender.kind for group in tuple(self._groups.values())}
        return None if not kinds else "loop" if "loop" in kinds else "io_uring"

    def all_fallbacks(self) -> dict[str, int]:
        """Return :attr:`fallbacks`, and why groups are not sent to in one system call; from any thread."""
        reasons = [group.sender.fallback_reason for group in tuple(self._groups.values())]
        return {**self.fallbacks, **Counter(f"io_uring_{reason}" for reason in reasons if reason)}

    def close(self) -> None:
        """Release what the groups' senders hold."""
        for group in self._groups.values():
            group.close()

    # -- a tick --------------------------------------------------------------------------------------------

    def serve(self, due: int) -> None:
        """Send every recipient what it lacks; the last *due* datagrams of the ring are new."""
        edge = self.ring.next_index
        began_s = self._clock()
        self._tick += 1
        self._pacing.observe(due)
        self._join_groups(edge - due)
        for group in self._groups.values():
            self._serve_group(group, edge - due, edge)
        if self._singles:
            self._serve_singles(edge, due, until_s=began_s + self._budget_s)

    def _join_groups(self, before: int) -> None:
        """Move recipients that have caught up to index *before* into their live group."""
        ready = [one for one in self._singles if one.cursor == before and not one.probation]
        for recipient in ready:
            self._singles.remove(recipient)
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
            # More came due at once than the ring holds: each recipient goes on alone, and counts what it misses.
            for recipient in group.members:
                self._leave_group(group, recipient, start)
        limit = self._batch if group.segmentation else 1
        while group and start < stop:
            data, count = self._batch_at(start, min(stop, start + limit), group.payload)
            failed = group.send(data, count=count, last_index=start + count - 1)
            self.datagrams += count * len(group)
            for recipient, number in failed:
                self._leave_group(group, recipient, start)
                self._on_failure(recipient, number, count)
            start += count

    def _leave_group(self, group: LiveGroup, recipient: Recipient, cursor: int) -> None:
        """Serve *recipient* alone from now on, from *cursor*."""
        group.remove(recipient)
        recipient.cursor = cursor
        recipient.served_tick = self._tick - 1
        self._singles.append(recipient)

    def _serve_singles(self, edge: int, due: int, *, until_s: float) -> None:
        waiting = [recipient for recipient in self._singles if recipient.cursor < edge]
        catching_up = sum(edge - recipient.cursor > due for recipient in waiting)
        quota = self._pacing.quota(due, behind=catching_up, clients=len(self._recipients))
        for served, recipient in enumerate(waiting, 1):
            ticks, recipient.served_tick = self._tick - recipient.served_tick, self._tick
            lacks, most = edge - recipient.cursor, min(quota * ticks, max(quota, MAX_AT_ONCE))
            self._serve_one(recipient, edge if lacks <= due else recipient.cursor + min(lacks, most))
            if self._clock() >= until_s:
                # The next tick begins with the recipients that were not served in this one, and makes up for it.
                self._singles.sort(key=set(waiting[:served]).__contains__)
                break

    def _serve_one(self, recipient: Recipient, stop: int) -> None:
        """Send *recipient* the datagrams from its cursor up to *stop*, in batches."""
        oldest = self.ring.oldest_index()
        if recipient.cursor < oldest:
            # At the next keyframe, if there is one: datagrams before it could not be decoded.
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
                recipient.segmentation_refusals = 0
                recipient.probation = max(0, recipient.probation - 1)
                self.datagrams += count

    def _batch_at(self, start: int, stop: int, payload: PayloadKind) -> tuple[memoryview | bytes, int]:
        """Return the datagrams from *start* to *stop*, or to where the ring's memory wraps, and how many they are."""
        run = self.ring.run(start, stop)
        count = len(run) // self.ring.datagram_bytes
        if payload == "rtp":
            return run, count
        if self._raw_ts[:2] != (start, count):
            self._raw_ts = (start, count, strip_headers(run, self.ring.datagram_bytes))
        return self._raw_ts[2], count

    # -- failures ------------------------------------------------------------------------------------------

    def _on_failure(self, recipient: Recipient, number: int, count: int) -> None:
        """A batch of *count* was not sent: count it as dropped.

        After a refusal of segmentation nothing is dropped: the batch is tried again, then sent as single datagrams.
        After an error that an ICMP message can cause it is tried again too.
        """
        if recipient.segmentation and number in SEGMENTATION_ERRORS:
            recipient.segmentation_refusals += 1
            if recipient.segmentation_refusals >= MAX_SEGMENTATION_REFUSALS:
                self._fall_back(recipient, number)
            return
        recipient.probation = PROBATION_BATCHES
        if number == errno.ECONNREFUSED:
            self._report_refused(recipient)
        if number in ICMP_ERRORS and self._may_try_again(recipient, count):
            return
        recipient.cursor += count
        match number:
            case errno.EAGAIN:
                # A live stream cannot wait: datagrams that find no room in the client's own buffer are dropped.
                self._drop(recipient, "send_buffer_full", count)
            case errno.ECONNREFUSED:
                self._drop(recipient, "port_unreachable", count)
            case _:
                self._drop(recipient, f"send_{errno_name(number)}", count)

    def _may_try_again(self, recipient: Recipient, count: int) -> bool:
        """Count one more failure of the batch of *count* at the cursor; return whether it has attempts left."""
        if recipient.refused_cursor != recipient.cursor:  # another batch has succeeded since
            recipient.refused_in_row = 0
        recipient.refused_in_row += 1
        may = recipient.refused_in_row < REFUSED_TRIES
        recipient.refused_cursor = recipient.cursor if may else recipient.cursor + count
        return may

    def _report_refused(self, recipient: Recipient) -> None:
        if self._tick - recipient.refused_tick >= REFUSED_REPORT_TICKS:
            recipient.refused_tick = self._tick
            self._on_refused(recipient)

    def _fall_back(self, recipient: Recipient, number: int) -> None:
        reason = f"segmentation_{errno_name(number)}"
        # Logged once a reason: a device that refuses one client's batch refuses those of all clients at the same time.
        level = logging.DEBUG if self.fallbacks[reason] else logging.WARNING
        _log.log(level, "segmentation refused (%s): single datagrams from now on for the clients concerned", reason)
        disable_segmentation(recipient.socket)
        recipient.segmentation = False
        recipient.fallbacks[reason] += 1
        self.fallbacks[reason] += 1

    def _drop(self, recipient: Recipient, reason: str, count: int) -> None:
        recipient.drops[reason] += count
        self.drops[reason] += count
