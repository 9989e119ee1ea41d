"""Reports of the threads arrive on the event loop, in their order, and are dropped outside its life."""

import asyncio
import threading
from collections.abc import Callable

from flume.media.ring import Ring
from flume.server.ending import Ending
from flume.server.loop_bridge import LoopBridge
from flume.server.sending.doorbell import Doorbell
from flume.server.sending.join_pacing import JoinPacing
from flume.server.sending.roster import CurrentRoster, Recipient
from flume.server.sending.subscriptions import Subscriptions
from flume.server.sending.tcp_delivery import TcpDelivery
from flume.server.sending.tcp_pacing import TcpPacing


class Noted(TcpDelivery):
    """Notes when it is pumped, and on which thread."""

    def __init__(self) -> None:
        ring = Ring(ssrc=1, first_sequence=0)
        super().__init__(ring, TcpPacing(ring, JoinPacing(factor=4.0, tick_s=0.01)))
        self.pumped: list[threading.Thread] = []

    def pump_all(self) -> None:
        self.pumped.append(threading.current_thread())


class BridgeHarness:
    def __init__(self) -> None:
        self.tcp = Noted()
        self.ending = Ending()
        self.doorbell = Doorbell()
        self.subscriptions = Subscriptions(
            CurrentRoster(), self.tcp, wake_sender=self.doorbell.ring, on_active_change=lambda _active: None
        )
        self.bridge = LoopBridge(self.subscriptions, self.tcp, self.ending, self.doorbell)

    async def from_a_thread(self, *reports: Callable[[], None]) -> None:
        """Make *reports* from one other thread, and let the loop carry them out."""

        def report_all() -> None:
            for report in reports:
                report()

        await asyncio.to_thread(report_all)
        for _ in range(5):
            await asyncio.sleep(0)


def test_the_end_of_a_grace_period_ends_the_wait_for_it():
    async def main() -> None:
        harness = BridgeHarness()
        harness.bridge.open()
        waiting = asyncio.get_running_loop().create_task(harness.subscriptions.wait_for_readers(3))
        await harness.from_a_thread(lambda: harness.bridge.on_readers_done(2))
        assert not waiting.done()
        await harness.from_a_thread(lambda: harness.bridge.on_readers_done(3))
        await asyncio.wait_for(waiting, 5)

    asyncio.run(main())


def test_many_appends_before_the_loop_looks_are_one_round_of_writing():
    async def main() -> None:
        harness = BridgeHarness()
        harness.bridge.open()
        # From the loop's own thread, so that it cannot look in between.
        for _ in range(5):
            harness.bridge.on_appended()
        await harness.from_a_thread()
        assert harness.tcp.pumped == [threading.current_thread()]
        await harness.from_a_thread(harness.bridge.on_appended)
        assert len(harness.tcp.pumped) == 2, "and the next append is one more"

    asyncio.run(main())


def test_a_refusal_reaches_the_owner_of_the_recipient():
    class Owner:
        refused: object = None

        def on_refused(self, media: object) -> None:
            self.refused = media

    async def main() -> None:
        harness, owner = BridgeHarness(), Owner()
        harness.bridge.open()
        recipient = Recipient("socket", payload="rtp", start=0, segmentation=False)  # type: ignore[arg-type]
        harness.subscriptions.add(recipient, owner=owner)
        await harness.from_a_thread(lambda: harness.bridge.on_refused(recipient))
        assert owner.refused == "socket"

    asyncio.run(main())


def test_the_end_of_the_source_is_the_end_of_the_server():
    async def main() -> None:
        harness = BridgeHarness()
        harness.bridge.open()
        await harness.from_a_thread(lambda: harness.bridge.on_source_ended("all was played"))
        await asyncio.wait_for(harness.ending.wait(), 5)
        assert (harness.ending.source_ended, harness.ending.failed) == ("all was played", None)

    asyncio.run(main())


def test_a_sender_that_fails_releases_every_wait_and_is_a_fault_of_the_server():
    async def main() -> None:
        harness = BridgeHarness()
        harness.bridge.open()
        waiting = asyncio.get_running_loop().create_task(harness.subscriptions.wait_for_readers(10**9))
        await harness.from_a_thread(lambda: harness.bridge.on_sender_ended(ZeroDivisionError("on purpose")))
        await asyncio.wait_for(waiting, 5)
        assert harness.ending.is_asked
        assert harness.ending.failed == "sending failed: ZeroDivisionError('on purpose')"

    asyncio.run(main())


def test_a_sender_that_was_asked_to_end_is_no_fault():
    async def main() -> None:
        harness = BridgeHarness()
        harness.bridge.open()
        await harness.from_a_thread(lambda: harness.bridge.on_sender_ended(None))
        await asyncio.wait_for(harness.subscriptions.wait_for_readers(10**9), 5)
        assert not harness.ending.is_asked

    asyncio.run(main())


def test_data_wake_the_sender_thread_and_the_start_of_the_server():
    async def main() -> None:
        harness = BridgeHarness()
        harness.bridge.open()
        await harness.from_a_thread(harness.bridge.on_data)
        assert harness.doorbell.wait(0)
        assert harness.bridge.first_data.is_set()

    asyncio.run(main())


def test_reports_before_the_loop_and_after_its_end_are_dropped():
    harness = BridgeHarness()
    harness.bridge.on_source_ended("too early")

    async def main() -> None:
        harness.bridge.open()

    asyncio.run(main())
    harness.bridge.on_source_ended("too late")
    harness.bridge.on_appended()
    assert not harness.ending.is_asked
    assert harness.tcp.pumped == []
