"""Delivery on control connections that have room, or have none for a while, on a ring that the test fills."""

import asyncio

import pytest

from flume.control.framing import Demultiplexer, Frame, frame_header
from flume.media import rtp
from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import DATAGRAM_BYTES, Ring
from flume.server.sending.tcp_delivery import BEHIND_S, FRAMES_AT_ONCE, WRITES_AT_ONCE, TcpRecipient
from support.async_tests import run
from support.servers.unpaced import unpaced_delivery

RATE = 100
"""Datagrams a second, a keyframe each second."""


class Pipe:
    """A connection with room for *room* writes."""

    frame_header = frame_header(DATAGRAM_BYTES)
    peer_host = "192.0.2.1"

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.prepared = False
        self.written: list[bytes] = []

    @property
    def is_clear(self) -> bool:
        return self.room > 0

    def begin_media(self) -> None:
        self.prepared = True

    def write_media(self, frames: bytes) -> None:
        assert self.prepared
        assert self.room > 0, "written to a connection that is not clear"
        self.room -= 1
        self.written.append(frames)

    def numbers(self) -> list[int]:
        items = Demultiplexer().feed_untrusted(b"".join(self.written))
        return [rtp.parse_untrusted(item.packet).sequence for item in items if isinstance(item, Frame)]


class TcpHarness:
    def __init__(self, *, slots: int = 16_384) -> None:
        self.ring = Ring(ssrc=1, first_sequence=0, slots=slots)
        self.tcp = unpaced_delivery(self.ring)

    def fill(self, seconds: float, *, keyframes: bool = True) -> None:
        for _ in range(round(seconds * RATE)):
            index = self.ring.next_index
            random_access = keyframes and index % RATE == 0
            self.ring.extend([Datagram(bytes(PAYLOAD_BYTES), index / RATE, random_access)])
        self.tcp.pump_all()

    async def join(self, pipe: Pipe) -> TcpRecipient:
        recipient = TcpRecipient(pipe, start=self.ring.start_after(None))
        self.tcp.add(recipient)
        await let_run()
        return recipient


async def let_run() -> None:
    """Run all callbacks that are ready."""
    for _ in range(100):
        await asyncio.sleep(0)


@run
async def test_a_client_with_room_gets_everything_since_the_keyframe_once_and_in_order():
    harness, pipe = TcpHarness(), Pipe()
    harness.fill(3.5)
    recipient = await harness.join(pipe)
    assert pipe.numbers() == list(range(300, 350))
    harness.fill(0.1)
    harness.tcp.pump_all()
    assert pipe.numbers() == list(range(300, 360))
    assert (recipient.datagrams, recipient.last_index, harness.tcp.datagrams) == (60, 359, 60)
    assert recipient.drops == {}


@run
async def test_a_long_backlog_lets_the_loop_serve_other_clients_in_between():
    harness, pipe = TcpHarness(), Pipe()
    harness.fill(20, keyframes=False)
    recipient = TcpRecipient(pipe, start=0)
    harness.tcp.add(recipient)
    assert len(pipe.numbers()) == FRAMES_AT_ONCE * WRITES_AT_ONCE
    await let_run()
    assert pipe.numbers() == list(range(2000))


@run
async def test_a_slow_client_continues_at_the_latest_keyframe_and_the_datagrams_it_missed_are_counted():
    harness, slow, quick = TcpHarness(), Pipe(room=1), Pipe()
    harness.fill(0.2)
    one, other = await harness.join(slow), await harness.join(quick)
    for _ in range(50):
        harness.fill(0.1)
        harness.tcp.pump_all()
    slow.room = 1 << 30
    harness.tcp.pump(one)
    await let_run()
    assert slow.numbers() == [*range(FRAMES_AT_ONCE), *range(500, 520)]
    assert one.drops == {"tcp_behind": 500 - FRAMES_AT_ONCE}
    assert one.datagrams == FRAMES_AT_ONCE + 20
    assert quick.numbers() == list(range(520)), "which costs the other client nothing"
    assert other.drops == {}
    assert harness.tcp.drops == one.drops


@pytest.mark.parametrize("behind_s", [0.5, BEHIND_S - 0.1])
def test_a_short_interruption_is_made_up_for(behind_s):
    @run
    async def check():
        harness, pipe = TcpHarness(), Pipe(room=1)
        harness.fill(0.2)
        recipient = await harness.join(pipe)
        harness.fill(behind_s)
        pipe.room = 1 << 30
        harness.tcp.pump(recipient)
        await let_run()
        assert pipe.numbers() == list(range(harness.ring.next_index))
        assert recipient.drops == {}

    check()


@run
async def test_without_a_later_keyframe_the_client_continues_where_it_was():
    harness, pipe = TcpHarness(), Pipe(room=1)
    harness.fill(0.2)
    recipient = await harness.join(pipe)
    harness.fill(3, keyframes=False)
    pipe.room = 1 << 30
    harness.tcp.pump(recipient)
    await let_run()
    assert pipe.numbers() == list(range(320))


@run
async def test_the_first_frame_of_a_window_is_the_one_that_was_announced():
    harness, pipe = TcpHarness(), Pipe(room=0)
    harness.fill(0.2)
    recipient = await harness.join(pipe)
    harness.fill(5)
    pipe.room = 1
    harness.tcp.pump(recipient)
    assert pipe.numbers()[0] == 0


@run
async def test_datagrams_that_were_overwritten_unsent_are_counted():
    harness, pipe = TcpHarness(slots=256), Pipe(room=1)
    harness.fill(0.2)
    recipient = await harness.join(pipe)
    harness.fill(10)
    pipe.room = 1 << 30
    harness.tcp.pump(recipient)
    await let_run()
    assert recipient.drops == {"overwritten": 1000 - FRAMES_AT_ONCE}
    assert pipe.numbers() == [*range(FRAMES_AT_ONCE), *range(1000, 1020)]


@run
async def test_after_removal_not_one_frame():
    harness, pipe = TcpHarness(), Pipe()
    harness.fill(10)
    recipient = TcpRecipient(pipe, start=0)
    harness.tcp.add(recipient)
    before = len(pipe.written)
    harness.tcp.remove(recipient)
    harness.fill(1)
    harness.tcp.pump_all()
    harness.tcp.pump(recipient)
    await let_run()
    assert before > 0, "and the rest was scheduled, which must not be written either"
    assert len(pipe.written) == before
    assert harness.tcp.count == 0


@run
async def test_drain_waits_for_clients_that_read_and_not_long_for_one_that_does_not():
    harness, slow = TcpHarness(), Pipe(room=1)
    harness.fill(1.5)
    recipient = await harness.join(slow)
    assert recipient.cursor < harness.ring.next_index
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await harness.tcp.drain(0.1)
    assert 0.1 <= loop.time() - began_s < 1, "one that does not read is not waited for"

    def has_room() -> None:
        slow.room = 1 << 30
        harness.tcp.pump(recipient)

    loop.call_later(0.05, has_room)
    await harness.tcp.drain(5)
    assert slow.numbers() == list(range(100, 150))
    assert loop.time() - began_s < 2


@run
async def test_each_dialect_frames_the_packets_with_its_own_header():
    class Dollar(Pipe):
        """The frames of RTSP (RFC 2326, 10.12): a dollar sign, a channel, the length."""

        frame_header = b"$\0" + DATAGRAM_BYTES.to_bytes(2, "big")

    harness, plain, dollar = TcpHarness(), Pipe(), Dollar()
    harness.fill(0.05)
    await harness.join(plain)
    await harness.join(dollar)
    for _ in range(2):
        harness.fill(0.02)
        harness.tcp.pump_all()
    sent = b"".join(dollar.written)
    length = len(dollar.frame_header) + DATAGRAM_BYTES
    frames = [sent[at : at + length] for at in range(0, len(sent), length)]
    assert all(frame.startswith(dollar.frame_header) for frame in frames)
    assert [rtp.parse_untrusted(frame[4:]).sequence for frame in frames] == list(range(9)) == plain.numbers()


@run
async def test_frames_of_a_dialect_that_no_client_speaks_any_more_are_not_kept():
    harness = TcpHarness()
    harness.fill(0.05)
    pipes = [Pipe() for _ in range(3)]
    for channel, pipe in enumerate(pipes[1:]):
        pipe.frame_header = bytes([ord("$"), channel]) + DATAGRAM_BYTES.to_bytes(2, "big")
    recipients = [await harness.join(pipe) for pipe in pipes]
    assert {*harness.tcp._blocks} == {pipe.frame_header for pipe in pipes}
    for recipient in recipients[1:]:
        harness.tcp.remove(recipient)
    assert {*harness.tcp._blocks} == {Pipe.frame_header}
