"""The sender, tick by tick, over real sockets on loopback and a supply that the test fills."""

import contextlib
import errno
import socket
import threading
from collections.abc import Callable
from typing import cast

import pytest

from flume.linux import SO_RCVBUFFORCE
from flume.media import rtp
from flume.media.datagrams import PAYLOAD_BYTES, Datagram
from flume.media.ring import DATAGRAM_BYTES, DEFAULT_SLOTS, Ring
from flume.server.sending.fanout import Fanout
from flume.server.sending.group_sender import GroupSender, SendLoop, UringSender
from flume.server.sending.media_port import enable_segmentation, probe_segmentation
from flume.server.sending.roster import CurrentRoster, Recipient
from flume.settings import ServerSettings

RATE = 400.0  # datagrams a second: 4 Mbit/s


class Supply:
    """Datagrams at a constant rate, a keyframe a second, numbered in their first bytes."""

    def __init__(self, seconds: float) -> None:
        self.epoch = 0
        self.ended: str | None = None
        self.failed = False
        self._queue = [
            Datagram(index.to_bytes(4, "big") + bytes(PAYLOAD_BYTES - 4), index / RATE, index % RATE == 0)
            for index in range(int(seconds * RATE))
        ]

    def take(self, until_s: float) -> list[Datagram]:
        taken = [datagram for datagram in self._queue if datagram.due_s <= until_s]
        self._queue = self._queue[len(taken) :]
        return taken

    def head_s(self) -> float | None:
        return self._queue[0].due_s if self._queue else None

    def lead_s(self) -> float:
        return self._queue[-1].due_s - self._queue[0].due_s if self._queue else 0.0


class Listener:
    def __init__(self) -> None:
        self.epochs_done: list[int] = []
        self.refused: list[Recipient] = []

    def on_readers_done(self, epoch: int) -> None:
        self.epochs_done.append(epoch)

    def on_refused(self, recipient: Recipient) -> None:
        self.refused.append(recipient)

    def on_appended(self) -> None:
        raise AssertionError("nothing receives over TCP here")

    def on_source_ended(self, reason: str) -> None:
        raise AssertionError(reason)

    def on_sender_ended(self, error: Exception | None) -> None:
        raise AssertionError(error)


BUFFER_BYTES = 8 << 20


class ReceivingSocket(socket.socket):
    """A client's socket, read after each tick, because its buffer holds less than a test sends.

    8 MiB need CAP_NET_ADMIN; without it the kernel gives what ``net.core.rmem_max`` allows.
    """

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams: list[bytes] = []
        try:
            self.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        except PermissionError:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.bind(("127.0.0.1", 0))
        self.setblocking(False)

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.fileno() >= 0:
                self.datagrams.append(self.recv(65536))


class FanoutHarness:
    """A fan-out that the test ticks by hand, and clients that are sockets."""

    def __init__(
        self,
        *,
        seconds: float = 5.0,
        make_sender: Callable[[], GroupSender] = SendLoop,
        slots: int = DEFAULT_SLOTS,
        settings: ServerSettings | None = None,
    ) -> None:
        self.ring = Ring(ssrc=1, first_sequence=0, slots=slots)
        self.current = CurrentRoster()
        self.listener = Listener()
        self.settings = settings or ServerSettings()
        self.fanout = Fanout(
            self.ring,
            self.current,
            Supply(seconds),
            self.listener,
            settings=self.settings,
            make_sender=make_sender,
        )
        self.now_s = 1000.0
        self.sockets: list[socket.socket] = []

    def client(self, *, payload="rtp", segmentation=True, start=None) -> tuple[Recipient, ReceivingSocket]:
        receiver = ReceivingSocket()
        media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        media.setblocking(False)
        media.connect(receiver.getsockname())
        self.sockets += [receiver, media]
        if segmentation:
            assert enable_segmentation(media, payload)
        begin = self.ring.start_after(None) if start is None else start
        recipient = Recipient(media, payload=payload, start=begin, segmentation=segmentation)
        self.current.add(recipient)
        return recipient, receiver

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 1000 / self.settings.tick_ms)):
            self.tick()
            self.now_s += self.settings.tick_ms / 1000

    def tick(self) -> None:
        self.fanout.tick(self.current.roster, self.now_s)
        for item in self.sockets:
            if isinstance(item, ReceivingSocket):
                item.drain()

    def close(self) -> None:
        self.fanout._delivery.close()
        for item in self.sockets:
            item.close()


@pytest.fixture(params=[SendLoop, UringSender], ids=["loop", "io_uring"])
def harness(request):
    """With either sender; real sockets only."""
    harness = FanoutHarness(make_sender=request.param)
    yield harness
    harness.close()


@pytest.fixture
def loop_harness():
    """For sockets that are none."""
    harness = FanoutHarness()
    yield harness
    harness.close()


def received(receiver: ReceivingSocket) -> list[bytes]:
    """Return what came since the last call."""
    receiver.drain()
    datagrams, receiver.datagrams = receiver.datagrams, []
    return datagrams


def numbers(datagrams: list[bytes]) -> list[int]:
    assert all(len(datagram) == DATAGRAM_BYTES for datagram in datagrams)
    return [int.from_bytes(rtp.parse_untrusted(datagram).payload[:4], "big") for datagram in datagrams]


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


def test_a_client_whose_buffer_is_full_loses_its_own_datagrams_only(harness):
    stuck, _ = harness.client()
    stuck.socket.close()
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    harness.sockets += [near, far]
    near.setblocking(False)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stuck.socket = near
    _, receiver = harness.client()
    harness.run(1.0)
    assert stuck.drops["send_buffer_full"] > 100
    assert numbers(received(receiver)) == list(range(harness.ring.next_index))


def test_a_closed_port_is_reported_once_and_costs_other_clients_nothing(harness):
    recipient, receiver = harness.client()
    receiver.close()
    _, other = harness.client()
    harness.run(0.5)
    assert harness.listener.refused == [recipient]
    assert recipient.drops["port_unreachable"] > 0
    assert numbers(received(other)) == list(range(harness.ring.next_index))


class RefusingSocket:
    """A socket whose device cannot segment: one error for any batch of more than one datagram."""

    def __init__(self, inner: socket.socket, number: int) -> None:
        self._inner = inner
        self._number = number

    def send(self, data) -> int:
        if len(data) > DATAGRAM_BYTES:
            raise OSError(self._number, "refused")
        return self._inner.send(data)

    def setsockopt(self, *arguments) -> None:
        self._inner.setsockopt(*arguments)


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.EMSGSIZE])
def test_refused_segmentation_falls_back_for_that_client_and_loses_nothing(loop_harness, number):
    harness = loop_harness
    recipient, receiver = harness.client()
    recipient.socket = RefusingSocket(recipient.socket, number)
    other, _ = harness.client()
    harness.run(0.5)
    assert numbers(received(receiver)) == list(range(harness.ring.next_index))
    assert not recipient.segmentation
    assert other.segmentation
    reason = f"segmentation_{errno.errorcode[number].lower()}"
    assert recipient.fallbacks == {reason: 1}
    assert harness.fanout.statistics().fallbacks == {reason: 1}
    assert harness.fanout.statistics().drops == {}


def test_segmentation_refused_for_a_single_datagram_loses_nothing_either():
    harness = FanoutHarness(settings=ServerSettings(batch_datagrams=1))
    recipient, receiver = harness.client()

    class SmallMtu(RefusingSocket):
        segmenting = True

        def send(self, data) -> int:
            if self.segmenting:
                raise OSError(errno.EINVAL, "the option alone is too much for this MTU")
            return self._inner.send(data)

        def setsockopt(self, *arguments) -> None:
            self.segmenting = bool(arguments[-1])
            super().setsockopt(*arguments)

    recipient.socket = cast("socket.socket", SmallMtu(recipient.socket, errno.EINVAL))
    harness.run(0.3)
    assert numbers(received(receiver)) == list(range(harness.ring.next_index))
    harness.close()


def test_other_errors_are_counted_by_name(loop_harness):
    harness = loop_harness
    recipient, _ = harness.client(segmentation=False)

    class Unreachable:
        def send(self, data) -> int:
            raise OSError(errno.EHOSTUNREACH, "no route")

    recipient.socket = Unreachable()
    harness.run(0.2)
    assert recipient.drops["send_ehostunreach"] == harness.ring.next_index
    assert recipient.datagrams == 0


def test_datagrams_that_were_overwritten_unsent_are_counted():
    harness = FanoutHarness(slots=64)
    harness.client()
    harness.run(1.0)
    late, receiver = harness.client(start=0)
    harness.run(0.5)
    assert late.drops["overwritten"] > 0
    seen = numbers(received(receiver))
    assert seen == sorted(set(seen))
    harness.close()


def test_a_recipient_that_has_caught_up_joins_the_group_and_is_counted_with_it(harness):
    first, receiver = harness.client()
    harness.run(0.5)
    second, _ = harness.client()
    harness.run(0.5)
    groups = harness.fanout._delivery._groups
    assert [len(group) for group in groups.values()] == [2]
    seen = numbers(received(receiver))
    assert first.datagrams == len(seen) == harness.ring.next_index
    assert second.datagrams == harness.ring.next_index, "from the keyframe on, which is the first datagram"
    assert first.last_index == second.last_index == harness.ring.next_index - 1
    assert first.batches < first.datagrams / 2
    harness.current.remove(first)
    harness.run(0.2)
    assert first.datagrams == len(seen), "what the group is sent afterwards does not count for it"
    assert harness.fanout.statistics().datagrams == first.datagrams + second.datagrams


def test_a_recipient_whose_send_failed_stays_outside_the_group_for_its_probation(loop_harness):
    harness = loop_harness
    failing, receiver = harness.client()
    _, other = harness.client()

    class Failing(RefusingSocket):
        full = False

        def send(self, data) -> int:
            if self.full:
                raise BlockingIOError(errno.EAGAIN, "full")
            return self._inner.send(data)

    failing.socket = inner = Failing(failing.socket, 0)
    harness.run(0.2)
    inner.full = True
    harness.run(0.2)
    inner.full = False
    (group,) = harness.fanout._delivery._groups.values()
    assert len(group) == 1
    harness.run(0.3)
    assert len(group) == 1
    harness.run(0.4)
    assert len(group) == 2
    lost = failing.drops["send_buffer_full"]
    assert lost == pytest.approx(0.2 * RATE, abs=10)
    assert len(received(receiver)) == failing.datagrams == harness.ring.next_index - lost
    assert numbers(received(other)) == list(range(harness.ring.next_index))


def test_a_crowd_that_joins_is_paced_and_a_client_that_watches_loses_nothing(harness):
    harness.fanout._delivery._clock = lambda: 0.0  # no tick is ever used up: only the pacing limits
    _, watching = harness.client()
    harness.run(1.9)
    crowd = [harness.client() for _ in range(40)]
    counts = []
    for _ in range(20):
        before = harness.fanout.statistics().datagrams
        harness.tick()
        harness.now_s += harness.settings.tick_ms / 1000
        counts.append(harness.fanout.statistics().datagrams - before)
    steady = RATE * harness.settings.tick_ms / 1000 * (len(crowd) + 1)
    assert max(counts) <= 2.6 * steady, "twice, and what rounding adds for each client"
    harness.run(1.5)
    for recipient, receiver in crowd:
        assert numbers(received(receiver)) == list(range(int(RATE), harness.ring.next_index))
        assert not recipient.drops
    assert numbers(received(watching)) == list(range(harness.ring.next_index))


def test_lagging_recipients_wait_when_the_tick_is_used_up_and_are_served_in_rotation():
    harness = FanoutHarness()
    clock = iter(range(1_000_000))
    harness.fanout._delivery._clock = lambda: next(clock) * 1.0  # each reading is a second later
    harness.run(0.5)
    late = [harness.client()[0] for _ in range(3)]
    ticks = []
    for _ in range(6):
        before = [recipient.datagrams for recipient in late]
        harness.tick()
        ticks.append([recipient.datagrams > sent for recipient, sent in zip(late, before, strict=True)])
    assert all(sum(served) == 1 for served in ticks), "the live edge is never kept waiting by more than one"
    assert all(sum(served) == 2 for served in zip(*ticks, strict=True))
    harness.close()


def buffer_bytes() -> int:
    with ReceivingSocket() as receiver:
        return receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


@pytest.mark.parametrize(
    "clients",
    [
        6,
        pytest.param(
            40,
            marks=pytest.mark.skipif(
                buffer_bytes() < BUFFER_BYTES,
                reason="one client gets 370 datagrams in a tick: more than net.core.rmem_max allows a buffer to hold",
            ),
        ),
    ],
)
def test_however_many_recipients_lag_all_catch_up_in_the_end(clients):
    harness = FanoutHarness(seconds=40)
    clock = iter(range(1_000_000))
    harness.fanout._delivery._clock = lambda: next(clock) * 1.0  # one recipient a tick, never a second one
    harness.client()
    harness.run(0.9)
    late = [harness.client() for _ in range(clients)]
    harness.run(8.0)
    (group,) = harness.fanout._delivery._groups.values()
    assert len(group) == clients + 1
    for recipient, receiver in late:
        assert not recipient.drops
        assert numbers(received(receiver)) == list(range(harness.ring.next_index))
    harness.close()


def test_more_datagrams_at_once_than_the_ring_holds_are_counted_and_none_comes_twice(harness):
    small = FanoutHarness(make_sender=harness.fanout._delivery._make_sender, slots=64)
    recipient, receiver = small.client()
    small.run(0.2)
    small.now_s += 0.2  # 80 datagrams come due at once
    small.run(0.3)
    seen = numbers(received(receiver))
    assert seen == sorted(set(seen))
    assert recipient.drops["overwritten"] == small.ring.next_index - len(seen) > 10
    assert recipient.datagrams == len(seen)
    small.close()


def test_one_refusal_of_a_batch_is_not_believed(loop_harness):
    harness = loop_harness
    recipient, receiver = harness.client()

    class Once(RefusingSocket):
        refused = False

        def send(self, data) -> int:
            if not self.refused:
                self.refused = True
                raise OSError(errno.EMSGSIZE, "ICMP about another datagram")
            return self._inner.send(data)

    recipient.socket = Once(recipient.socket, 0)
    harness.run(0.5)
    assert recipient.segmentation
    assert not recipient.fallbacks
    assert numbers(received(receiver)) == list(range(harness.ring.next_index))


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


def threaded(supply: Supply) -> tuple[Fanout, CurrentRoster, EndListener]:
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
