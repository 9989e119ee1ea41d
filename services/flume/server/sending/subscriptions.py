"""Recipients are added and removed here. The stop promise: after ``remove`` no datagram to that recipient follows.

Over UDP three things must have happened before a command may be acknowledged:

1. The roster without the recipient is published (:class:`.roster.CurrentRoster`).
2. The grace period is over: the sender thread has adopted that roster or a newer one, at most one tick later.
3. The interface queue is empty: this host holds no datagram of the recipient's socket any more. On a slow interface
   with a queue for each flow the reply would otherwise arrive first.

Over TCP media and replies share one connection, so the order of the bytes is enough: the recipient is removed at once.

All of it runs on the event loop. The sender thread's reports come through :mod:`flume.server.loop_bridge`.
"""

import asyncio
import math
import socket
import sys
import time
from collections.abc import Callable
from typing import Protocol

from flume.media.datagrams import PACKETS_PER_DATAGRAM
from flume.server.sending.media_port import queued_bytes, wire_size
from flume.server.sending.roster import CurrentRoster, Recipient
from flume.server.sending.tcp_delivery import TcpDelivery, TcpRecipient

DRAIN_TIMEOUT_S = 2.5
"""How long a reply waits for datagrams that this host still holds: longer than 1 MiB takes at 4 Mbit/s. Datagrams for a
host that was switched off are kept about 3 s, and only that host's session waits for them."""

DRAIN_POLL_S = 0.002

AnyRecipient = Recipient | TcpRecipient


class RecipientOwner(Protocol):
    """The session that a recipient belongs to."""

    def on_refused(self, media: socket.socket) -> None:
        """The client's host answered ICMP port unreachable to a datagram sent on *media*."""


class Subscriptions:
    """Adds and removes recipients. A session acknowledges an interrupt like this::

    await subscriptions.remove(recipient)
    send(Interrupted(state=State.INTERRUPTED, last_sequence=last, datagrams=recipient.datagrams))
    """

    def __init__(
        self,
        current: CurrentRoster,
        tcp: TcpDelivery,
        *,
        wake_sender: Callable[[], None],
        on_active_change: Callable[[int], None],
        queued: Callable[[socket.socket], int] = queued_bytes,
    ) -> None:
        """Publish rosters in *current*, serve clients over TCP by *tcp*.

        *wake_sender* makes the sender thread adopt a new roster at once. *on_active_change* is called with the number
        of clients that receive, after each change. *queued* returns the bytes of a socket that have not left the host.
        """
        self._current = current
        self._tcp = tcp
        self._wake_sender = wake_sender
        self._on_active_change = on_active_change
        self._queued = queued
        self._owners: dict[Recipient, RecipientOwner] = {}
        self._ends_s = math.inf
        self._epoch_done = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def active_count(self) -> int:
        """How many clients receive now."""
        return len(self._current.roster.recipients) + self._tcp.count

    def add(self, recipient: AnyRecipient, *, owner: RecipientOwner) -> None:
        """Send datagrams to *recipient* from the next tick on, frames from now on."""
        if isinstance(recipient, TcpRecipient):
            self._tcp.add(recipient)
            self._current.set_tcp_count(self._tcp.count)
        else:
            self._owners[recipient] = owner
            self._current.add(recipient)
        self._on_active_change(self.active_count)
        self._wake_sender()

    async def remove(self, recipient: AnyRecipient) -> None:
        """Stop sending to *recipient*.

        UDP: returns when its last datagram has left this host, :data:`DRAIN_TIMEOUT_S` after the grace period at the
        latest. TCP: returns at once, and the next line written is behind its last frame.
        """
        if isinstance(recipient, TcpRecipient):
            self._tcp.remove(recipient)
            self._current.set_tcp_count(self._tcp.count)
            self._wake_sender()
            self._on_active_change(self.active_count)
            return
        self._owners.pop(recipient, None)
        roster = self._current.remove(recipient)
        self._wake_sender()
        await self.wait_for_readers(roster.epoch)
        self._on_active_change(self.active_count)
        await self._drain(recipient.socket)

    async def wait_for_readers(self, epoch: int) -> None:
        """Wait until the sender thread uses no roster older than *epoch*: at most one tick."""
        if self._epoch_done >= epoch:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((epoch, waiter))
        await waiter

    async def _drain(self, media: socket.socket) -> None:
        until_s = time.monotonic() + DRAIN_TIMEOUT_S
        while self._queued(media) and time.monotonic() < min(until_s, self._ends_s):
            await asyncio.sleep(DRAIN_POLL_S)

    def end_by(self, at_s: float) -> None:
        """The server ends: after *at_s* (monotonic) wait for no datagram that this host still holds."""
        self._ends_s = at_s

    def pump(self, recipient: AnyRecipient | None) -> None:
        """Write frames to *recipient*, whose connection has room again; nothing over UDP, and nothing after removal."""
        if isinstance(recipient, TcpRecipient):
            self._tcp.pump(recipient)

    def on_readers_done(self, epoch: int) -> None:
        """The sender thread uses no roster older than *epoch*: end the waits for it."""
        self._epoch_done = max(epoch, self._epoch_done)
        ready = [waiter for wanted, waiter in self._waiters if wanted <= epoch]
        self._waiters = [entry for entry in self._waiters if entry[0] > epoch]
        for waiter in ready:
            if not waiter.done():
                waiter.set_result(None)

    def on_sender_ended(self) -> None:
        """The sender thread has ended, in order or not: nothing is sent any more, so every wait is over."""
        self.on_readers_done(sys.maxsize)

    def on_refused(self, recipient: Recipient) -> None:
        """The sender thread saw ICMP port unreachable for *recipient*: tell its owner."""
        owner = self._owners.get(recipient)
        if owner is not None:
            owner.on_refused(recipient.socket)


def wire_bytes(recipient: AnyRecipient, packets: int = PACKETS_PER_DATAGRAM) -> int:
    """Return the bytes that *recipient* was sent in datagrams of *packets*: above UDP, or inside the frames."""
    return recipient.datagrams * wire_size(recipient.payload, packets)
