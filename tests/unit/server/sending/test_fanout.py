"""The sender: the pace of the stream, joining, the roster, the thread. Over real sockets on loopback."""

import threading

import pytest

from flume.media import rtp
from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import Ring
from flume.server.sending.fanout import DatagramSupply, Fanout
from flume.server.sending.media_port import probe_segmentation
from flume.server.sending.roster import CurrentRoster
from flume.server.sources.lead import Lead
from flume.settings import ServerSettings
from support.servers.fanout_harness import (
    RATE,
    ArrivingSupply,
    FanoutHarness,
    Listener,
    Supply,
    numbers,
    received,
)


def test_this_kernel_segments():
    assert probe_segmentation()


def test_everything_due_arrives_once_in_order_at_the_pace_of_the_stream(harness):
    _, receiver = harness.client()
    harness.run(1.0)
    seen = numbers(received(receiver))
    assert seen == list(range(len(seen)))
    assert len(seen) == pytest.approx(RATE, abs=RATE * harness.settings.tick_ms / 1000 + 1)


def test_a_joining_client_gets_the_keyframe_first_and_catches_up_without_a_hole(harness):
    harness.client()
    harness.run(1.8)
    _, receiver = harness.client()
    harness.run(0.1)
    early = numbers(received(receiver))
    assert early[0] == RATE, "the keyframe at 1 s"
    assert len(early) < 0.1 * RATE * (harness.settings.catch_up_factor + 1) + 5, "paced, not at once"
    harness.run(0.6)
    seen = early + numbers(received(receiver))
    assert seen == list(range(int(RATE), harness.ring.next_index)), "up to the live edge, nothing twice"


def test_raw_ts_and_single_datagrams_carry_the_same_payload(harness):
    _, with_rtp = harness.client()
    _, raw = harness.client(payload="ts")
    _, single = harness.client(segmentation=False)
    harness.run(0.5)
    payloads = [bytes(rtp.parse_untrusted(datagram).payload) for datagram in received(with_rtp)]
    assert payloads
    assert received(raw) == payloads
    assert [bytes(rtp.parse_untrusted(datagram).payload) for datagram in received(single)] == payloads


def test_once_the_sender_has_adopted_a_roster_nothing_is_sent_to_a_recipient_that_is_not_on_it(harness):
    recipient, receiver = harness.client()
    _, other = harness.client()
    harness.run(0.5)
    harness.current.remove(recipient)
    before = len(received(receiver))
    harness.run(0.5)
    assert before > 0
    assert received(receiver) == []
    assert numbers(received(other)) == list(range(harness.ring.next_index))


class EndListener(Listener):
    def __init__(self) -> None:
        super().__init__()
        self.ended: list[str] = []
        self.errors: list[Exception | None] = []
        self.over = threading.Event()

    def on_source_ended(self, reason: str) -> None:
        self.ended.append(reason)

    def on_sender_ended(self, error: Exception | None) -> None:
        self.errors.append(error)
        self.over.set()


def threaded(supply: DatagramSupply) -> tuple[Fanout, CurrentRoster, EndListener]:
    current, listener = CurrentRoster(), EndListener()
    ring = Ring(ssrc=1, first_sequence=0)
    return Fanout(ring, current, supply, listener, settings=ServerSettings()), current, listener


def test_the_thread_reports_its_end_and_the_reason(harness, caplog):
    fanout, current, listener = threaded(Supply(1.0))
    fanout.start()
    fanout.stop()
    assert listener.errors == [None]
    fanout, current, listener = threaded(Supply(1.0))
    fanout._supply.take = None  # type: ignore[method-assign, assignment]
    fanout.start()
    harness.client()
    current.add(harness.current.roster.recipients[0])
    fanout.wake()
    assert listener.over.wait(5)
    assert isinstance(listener.errors[0], TypeError)
    assert "the sender failed" in caplog.text


@pytest.mark.parametrize("failed", [False, True])
def test_the_end_of_a_failed_source_is_reported_without_clients_and_that_of_a_file_waits_for_one(failed):
    supply = Supply(1.0)
    supply.ended, supply.failed = "why", failed
    fanout, current, listener = threaded(supply)
    for _ in range(2):
        fanout.wake()  # or it would wait without end
        fanout._rest(current.roster)
    assert listener.ended == (["why"] if failed else [])


def rest(harness: FanoutHarness) -> None:
    harness.fanout.wake()  # or it would wait without end
    harness.fanout._rest(harness.current.roster)


@pytest.fixture
def arriving():
    harness = FanoutHarness(supply=ArrivingSupply(10.0))
    yield harness
    harness.close()


def arrive(harness: FanoutHarness, seconds: float) -> None:
    """Let that much of the stream come, and be sent, or kept where no client receives."""
    supply = harness.fanout._supply
    assert isinstance(supply, ArrivingSupply)
    for _ in range(round(seconds * 100)):
        supply.arrived_s += 0.01
        if harness.current.roster.recipients:
            harness.tick()
        else:
            rest(harness)


def test_what_comes_unpaced_while_no_client_receives_is_no_burst_for_the_one_that_returns(arriving):
    recipient, _ = arriving.client()
    arrive(arriving, 1.1)
    arriving.current.remove(recipient)
    arrive(arriving, 1.8)
    _, receiver = arriving.client()
    arrive(arriving, 0.1)
    early = numbers(received(receiver))
    assert early[0] == 2 * RATE, "the keyframe at 2 s, which came meanwhile"
    assert len(early) < 0.1 * RATE * (arriving.settings.catch_up_factor + 1) + 5, "paced, not at once"
    arrive(arriving, 0.6)
    assert early + numbers(received(receiver)) == list(range(int(2 * RATE), arriving.ring.next_index))


class UnpacedLead(Lead):
    """A supply that stops before new tables, as those of a relay and of live sources do."""

    is_paced = False
    prebuffer_s = 0.0
    ended: str | None = None
    failed = False

    def lead_s(self) -> float:
        return self.seconds()


def test_no_client_joins_before_the_new_tables_that_came_while_none_received():
    lead = UnpacedLead()
    fanout, current, _ = threaded(lead)
    payload = bytes(PAYLOAD_BYTES)
    lead.extend(
        Datagram(payload, index / RATE, random_access=index % 10 == 0, new_tables=index % 10 == 5)
        for index in range(38)
    )
    fanout.wake()
    fanout._rest(current.roster)
    assert fanout._ring.next_index == 38, "however often the tables change"
    assert fanout._ring.start_after(None) == 38, "the keyframe at 30 is of an epoch that has ended"


def test_an_epoch_that_ends_while_clients_wait_is_no_place_to_join(arriving):
    arriving.client()
    arrive(arriving, 0.5)
    assert arriving.ring.start_after(None) == 0
    arriving.fanout._supply.epoch += 1
    rest(arriving)
    assert arriving.ring.start_after(None) == arriving.ring.next_index
