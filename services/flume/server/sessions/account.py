"""What one client was sent: in the present delivery window, and in all windows of its control connection."""

from collections import Counter
from typing import NamedTuple

import msgspec

from flume.control.messages import ClientCounters
from flume.media.ring import Ring
from flume.server.sending.roster import Recipient
from flume.server.sending.subscriptions import AnyRecipient, wire_bytes
from flume.settings import Transport


class WindowEnd(NamedTuple):
    """What is reported of a window that has ended."""

    last_sequence: int | None
    """RTP sequence number of the last datagram; ``None`` without one, or for raw TS."""
    datagrams: int


class WindowStart(NamedTuple):
    """The first datagram of a window that begins; both are ``None`` for raw TS, which has no RTP header."""

    first_sequence: int | None
    first_timestamp: int | None
    """RTP timestamp; ``None`` also if the datagram has not come yet."""


class DeliveryAccount:
    """Counts delivery windows. A window is one recipient, or several in a row if the client moved meanwhile."""

    def __init__(self, ring: Ring) -> None:
        """Begin without a window; sequence numbers are those of *ring*."""
        self._ring = ring
        self._past = ClientCounters()
        self._window = WindowEnd(None, 0)
        self.last_index: int | None = None
        """Ring index of the last datagram of this session: the next window continues after it."""

    def begin_session(self) -> None:
        """Let the next window begin at a keyframe, whatever was sent before."""
        self.last_index = None

    def begin_window(self) -> None:
        """Count a new window from here."""
        self._window = WindowEnd(None, 0)

    def add(self, recipient: AnyRecipient) -> None:
        """Add what *recipient*, which is subscribed no more, was sent."""
        last_sequence = self._window.last_sequence
        if recipient.last_index is not None:
            self.last_index = recipient.last_index
            last_sequence = self._sequence(recipient, recipient.last_index)
        self._window = WindowEnd(last_sequence, self._window.datagrams + recipient.datagrams)
        self._past = self.counters(self._past.transport, recipient)

    def end_window(self) -> WindowEnd:
        """Return what the present window was sent; it is reported once, after that there is ``None`` and 0."""
        window, self._window = self._window, WindowEnd(None, 0)
        return window

    def first(self, recipient: AnyRecipient) -> WindowStart:
        """Return the datagram that *recipient*, to which nothing was sent yet, begins with."""
        is_rtp = recipient.payload == "rtp"
        timestamp = self._ring.timestamp(recipient.cursor) if is_rtp else None
        return WindowStart(self._sequence(recipient, recipient.cursor), timestamp)

    def counters(self, transport: Transport, present: AnyRecipient | None) -> ClientCounters:
        """Return the totals of past windows and of the *present* recipient."""
        past = msgspec.structs.replace(self._past, transport=transport)
        if present is None:
            return past
        fallbacks = dict(present.fallbacks) if isinstance(present, Recipient) else {}
        return ClientCounters(
            transport=transport,
            datagrams=past.datagrams + present.datagrams,
            bytes=past.bytes + wire_bytes(present, self._ring.packets_per_datagram),
            batches=past.batches + present.batches,
            # Copied first, in one step: the sender thread may be counting.
            drops=dict(Counter(past.drops) + Counter(dict(present.drops))),
            fallbacks=dict(Counter(past.fallbacks) + Counter(fallbacks)),
        )

    def _sequence(self, recipient: AnyRecipient, index: int) -> int | None:
        return self._ring.sequence(index) if recipient.payload == "rtp" else None
