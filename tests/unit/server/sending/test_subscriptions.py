"""The stop promise by itself: what has to happen before ``remove`` returns. Sender thread and kernel are the test's."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import DATAGRAM_BYTES, Ring
from flume.server.sending import subscriptions as module
from flume.server.sending.roster import CurrentRoster, Recipient
from flume.server.sending.subscriptions import Subscriptions, wire_bytes
from flume.server.sending.tcp_delivery import TcpRecipient
from support.servers.unpaced import unpaced_delivery


class Owner:
    """A session that notes refusals."""

    def __init__(self) -> None:
        self.refused: list[socket.socket] = []

    def on_refused(self, media: socket.socket) -> None:
        self.refused.append(media)


class Sink:
    """A connection that always has room."""

    is_clear = True
    peer_host = "127.0.0.1"
    frame_header = b"$\0\0\0"

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def begin_media(self) -> None:
        """Nothing to prepare."""

    def write_media(self, frames: bytes) -> None:
        self.written.append(frames)


class Harness:
    """Subscriptions whose sender thread and interface queue the test plays."""

    def __init__(self) -> None:
        self.current = CurrentRoster()
        self.ring = Ring(ssrc=1, first_sequence=0)
        self.tcp = unpaced_delivery(self.ring)
        self.wakes = 0
        self.active: list[int] = []
        self.queued_bytes = 0
        self.subscriptions = Subscriptions(
            self.current,
            self.tcp,
            wake_sender=self.wake,
            on_active_change=self.active.append,
            queued=lambda _media: self.queued_bytes,
        )
        self.owner = Owner()
        self._media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def wake(self) -> None:
        self.wakes += 1

    def add(self) -> Recipient:
        recipient = Recipient(self._media, payload="rtp", start=0, segmentation=False)
        self.subscriptions.add(recipient, owner=self.owner)
        return recipient

    def begin_removal(self, recipient: Recipient) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self.subscriptions.remove(recipient))

    def sender_adopts_the_roster(self) -> None:
        self.subscriptions.on_readers_done(self.current.roster.epoch)

    def close(self) -> None:
        self._media.close()


def with_harness(test: Callable[[Harness], Awaitable[None]]) -> Callable[[], None]:
    """Run an async test on a harness of its own."""

    def wrapper() -> None:
        harness = Harness()
        try:
            asyncio.run(test(harness))  # type: ignore[arg-type]
        finally:
            harness.close()

    wrapper.__name__ = test.__name__
    return wrapper


async def let_run() -> None:
    """Run all that is ready."""
    for _ in range(20):
        await asyncio.sleep(0)


@with_harness
async def test_an_added_recipient_is_in_the_roster_at_once_and_the_sender_is_woken(harness: Harness):
    recipient = harness.add()
    assert harness.current.roster.recipients == (recipient,)
    assert (harness.wakes, harness.active) == (1, [1])


@with_harness
async def test_remove_takes_the_recipient_off_the_roster_at_once_and_wakes_the_sender(harness: Harness):
    recipient = harness.add()
    removal = harness.begin_removal(recipient)
    await let_run()
    assert harness.current.roster.recipients == ()
    assert harness.wakes == 2
    harness.sender_adopts_the_roster()
    await removal
    assert harness.active == [1, 0]


@with_harness
async def test_remove_does_not_return_before_the_grace_period_ends(harness: Harness):
    recipient = harness.add()
    before = harness.current.roster.epoch
    removal = harness.begin_removal(recipient)
    await let_run()
    harness.subscriptions.on_readers_done(before)  # the sender adopts the roster that still has the recipient
    await let_run()
    assert not removal.done()
    assert harness.active == [1], "the client counts as active until then"
    harness.sender_adopts_the_roster()
    await asyncio.wait_for(removal, 5)


@with_harness
async def test_a_newer_roster_ends_the_grace_period_as_well(harness: Harness):
    first, second = harness.add(), harness.add()
    removals = [harness.begin_removal(first), harness.begin_removal(second)]
    await let_run()
    harness.sender_adopts_the_roster()  # the one roster without both
    await asyncio.wait_for(asyncio.gather(*removals), 5)


@with_harness
async def test_each_removal_waits_for_its_own_roster(harness: Harness):
    first, second = harness.add(), harness.add()
    early = harness.begin_removal(first)
    await let_run()
    epoch = harness.current.roster.epoch
    late = harness.begin_removal(second)
    await let_run()
    harness.subscriptions.on_readers_done(epoch)
    await asyncio.wait_for(early, 5)
    assert not late.done()
    harness.sender_adopts_the_roster()
    await asyncio.wait_for(late, 5)


@with_harness
async def test_remove_does_not_return_before_the_interface_queue_is_empty(harness: Harness):
    recipient = harness.add()
    harness.queued_bytes = 1
    removal = harness.begin_removal(recipient)
    await let_run()
    harness.sender_adopts_the_roster()
    await asyncio.sleep(10 * module.DRAIN_POLL_S)
    assert not removal.done()
    harness.queued_bytes = 0
    await asyncio.wait_for(removal, 5)


def test_a_queue_that_never_empties_is_not_waited_for_longer_than_the_timeout(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DRAIN_TIMEOUT_S", 0.05)

    @with_harness
    async def check(harness: Harness):
        loop = asyncio.get_running_loop()
        recipient = harness.add()
        harness.queued_bytes = 1
        removal = harness.begin_removal(recipient)
        await let_run()
        began_s = loop.time()
        harness.sender_adopts_the_roster()
        await asyncio.wait_for(removal, 5)
        assert 0.05 <= loop.time() - began_s < 1

    check()


@with_harness
async def test_a_server_that_ends_waits_for_no_queue_that_does_not_empty_also_where_it_waits_already(harness: Harness):
    loop = asyncio.get_running_loop()
    first, second = harness.add(), harness.add()
    harness.queued_bytes = 1
    began_s = loop.time()
    waiting = harness.begin_removal(first)
    await let_run()
    harness.sender_adopts_the_roster()
    harness.subscriptions.end_by(began_s + 0.05)
    removal = harness.begin_removal(second)
    await let_run()
    harness.sender_adopts_the_roster()
    await asyncio.wait_for(asyncio.gather(waiting, removal), module.DRAIN_TIMEOUT_S)
    assert loop.time() - began_s >= 0.05


@with_harness
async def test_a_sender_that_has_ended_releases_all_waits_and_is_not_waited_for_again(harness: Harness):
    recipients = [harness.add() for _ in range(3)]
    removals = [harness.begin_removal(recipient) for recipient in recipients[:2]]
    await let_run()
    assert not any(removal.done() for removal in removals)
    harness.subscriptions.on_sender_ended()
    await asyncio.wait_for(asyncio.gather(*removals), 5)
    await asyncio.wait_for(harness.subscriptions.remove(recipients[2]), 5)


@with_harness
async def test_a_wait_that_was_cancelled_does_not_disturb_another_one(harness: Harness):
    first, second = harness.add(), harness.add()
    cancelled, removal = harness.begin_removal(first), harness.begin_removal(second)
    await let_run()
    cancelled.cancel()
    await let_run()
    harness.sender_adopts_the_roster()
    await asyncio.wait_for(removal, 5)
    assert cancelled.cancelled()


@with_harness
async def test_over_tcp_remove_is_done_without_the_sender_and_no_frame_follows(harness: Harness):
    sink = Sink()
    recipient = TcpRecipient(sink, start=0)
    harness.subscriptions.add(recipient, owner=harness.owner)
    assert (harness.current.roster.tcp_count, harness.active) == (1, [1])
    harness.ring.extend([Datagram(bytes(PAYLOAD_BYTES), 0.0, True)])
    harness.tcp.pump_all()
    assert len(sink.written) == 1
    removal = harness.subscriptions.remove(recipient)
    with pytest.raises(StopIteration):
        removal.send(None)  # it returns without waiting for anything
    assert (harness.current.roster.tcp_count, harness.active) == (0, [1, 0])
    harness.ring.extend([Datagram(bytes(PAYLOAD_BYTES), 0.1, True)])
    harness.subscriptions.pump(recipient)
    harness.tcp.pump_all()
    await let_run()
    assert len(sink.written) == 1
    assert wire_bytes(recipient) == DATAGRAM_BYTES


@with_harness
async def test_a_refusal_reaches_the_owner_while_the_recipient_is_subscribed_and_not_after(harness: Harness):
    recipient = harness.add()
    harness.subscriptions.on_refused(recipient)
    assert harness.owner.refused == [recipient.socket]
    removal = harness.begin_removal(recipient)
    await let_run()
    harness.subscriptions.on_refused(recipient)
    assert harness.owner.refused == [recipient.socket]
    harness.sender_adopts_the_roster()
    await removal
