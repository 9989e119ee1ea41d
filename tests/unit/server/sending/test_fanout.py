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


class Bench:
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
def bench(request):
    """With either way of sending; real sockets only."""
    bench = Bench(make_sender=request.param)
    yield bench
    bench.close()


@pytest.fixture
def loop_bench():
    """For sockets that are none."""
    bench = Bench()
    yield bench
    bench.close()


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


def test_everything_due_arrives_once_in_order_at_the_streams_own_pace(bench):
    _, receiver = bench.client()
    bench.run(1.0)
    seen = numbers(received(receiver))
    assert seen == list(range(len(seen)))
    assert len(seen) == pytest.approx(RATE, abs=RATE * bench.settings.tick_ms / 1000 + 1)


def test_a_joining_client_gets_the_keyframe_first_and_catches_up_without_a_hole(bench):
    bench.client()
    bench.run(1.8)
    _, receiver = bench.client()
    bench.run(0.1)
    early = numbers(received(receiver))
    assert early[0] == RATE, "the keyframe at 1 s"
    assert len(early) < 0.1 * RATE * (bench.settings.catch_up_factor + 1) + 5, "paced, not at once"
    bench.run(0.6)
    seen = early + numbers(received(receiver))
    assert seen == list(range(int(RATE), bench.ring.next_index)), "up to the live edge, nothing twice"


def test_bare_ts_and_single_datagrams_carry_the_same_payload(bench):
    _, with_rtp = bench.client()
    _, bare = bench.client(payload="ts")
    _, single = bench.client(segmentation=False)
    bench.run(0.5)
    payloads = [bytes(rtp.parse_untrusted(datagram).payload) for datagram in received(with_rtp)]
    assert payloads
    assert received(bare) == payloads
    assert [bytes(rtp.parse_untrusted(datagram).payload) for datagram in received(single)] == payloads


def test_after_the_next_look_at_the_roster_nothing_more_is_sent(bench):
    recipient, receiver = bench.client()
    _, other = bench.client()
    bench.run(0.5)
    bench.current.remove(recipient)
    before = len(received(receiver))
    bench.run(0.5)
    assert before > 0
    assert received(receiver) == []
    assert numbers(received(other)) == list(range(bench.ring.next_index))


def test_a_client_whose_buffer_is_full_loses_its_own_datagrams_only(bench):
    stuck, _ = bench.client()
    stuck.socket.close()
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    bench.sockets += [near, far]
    near.setblocking(False)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stuck.socket = near
    _, receiver = bench.client()
    bench.run(1.0)
    assert stuck.drops["send_buffer_full"] > 100
    assert numbers(received(receiver)) == list(range(bench.ring.next_index))


def test_a_closed_port_is_told_once_and_costs_the_others_nothing(bench):
    recipient, receiver = bench.client()
    receiver.close()
    _, other = bench.client()
    bench.run(0.5)
    assert bench.listener.refused == [recipient]
    assert recipient.drops["port_unreachable"] > 0
    assert numbers(received(other)) == list(range(bench.ring.next_index))


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
def test_refused_segmentation_falls_back_for_that_client_and_loses_nothing(loop_bench, number):
    bench = loop_bench
    recipient, receiver = bench.client()
    recipient.socket = RefusingSocket(recipient.socket, number)
    other, _ = bench.client()
    bench.run(0.5)
    assert numbers(received(receiver)) == list(range(bench.ring.next_index))
    assert not recipient.segmentation
    assert other.segmentation
    reason = f"segmentation_{errno.errorcode[number].lower()}"
    assert recipient.fallbacks == {reason: 1}
    assert bench.fanout.statistics().fallbacks == {reason: 1}
    assert bench.fanout.statistics().drops == {}


def test_segmentation_refused_for_a_single_datagram_loses_nothing_either():
    bench = Bench(settings=ServerSettings(batch_datagrams=1))
    recipient, receiver = bench.client()

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
    bench.run(0.3)
    assert numbers(received(receiver)) == list(range(bench.ring.next_index))
    bench.close()


def test_other_errors_are_counted_by_name(loop_bench):
    bench = loop_bench
    recipient, _ = bench.client(segmentation=False)

    class Unreachable:
        def send(self, data) -> int:
            raise OSError(errno.EHOSTUNREACH, "no route")

    recipient.socket = Unreachable()
    bench.run(0.2)
    assert recipient.drops["send_ehostunreach"] == bench.ring.next_index
    assert recipient.datagrams == 0


def test_what_was_overwritten_before_it_was_sent_is_counted():
    bench = Bench(slots=64)
    bench.client()
    bench.run(1.0)
    late, receiver = bench.client(start=0)
    bench.run(0.5)
    assert late.drops["overwritten"] > 0
    seen = numbers(received(receiver))
    assert seen == sorted(set(seen))
    bench.close()


def test_who_lacks_nothing_goes_with_the_others_and_is_counted_with_them(bench):
    first, receiver = bench.client()
    bench.run(0.5)
    second, _ = bench.client()
    bench.run(0.5)
    groups = bench.fanout._delivery._groups
    assert [len(group) for group in groups.values()] == [2]
    seen = numbers(received(receiver))
    assert first.datagrams == len(seen) == bench.ring.next_index
    assert second.datagrams == bench.ring.next_index, "from the keyframe on, which is the first datagram"
    assert first.last_index == second.last_index == bench.ring.next_index - 1
    assert first.batches < first.datagrams / 2
    bench.current.remove(first)
    bench.run(0.2)
    assert first.datagrams == len(seen), "what the others get afterwards does not count for it"
    assert bench.fanout.statistics().datagrams == first.datagrams + second.datagrams


def test_who_failed_is_on_its_own_until_it_has_proved_itself(loop_bench):
    bench = loop_bench
    moody, receiver = bench.client()
    _, other = bench.client()

    class Moody(RefusingSocket):
        full = False

        def send(self, data) -> int:
            if self.full:
                raise BlockingIOError(errno.EAGAIN, "full")
            return self._inner.send(data)

    moody.socket = inner = Moody(moody.socket, 0)
    bench.run(0.2)
    inner.full = True
    bench.run(0.2)
    inner.full = False
    (group,) = bench.fanout._delivery._groups.values()
    assert len(group) == 1
    bench.run(0.3)
    assert len(group) == 1
    bench.run(0.4)
    assert len(group) == 2
    lost = moody.drops["send_buffer_full"]
    assert lost == pytest.approx(0.2 * RATE, abs=10)
    assert len(received(receiver)) == moody.datagrams == bench.ring.next_index - lost
    assert numbers(received(other)) == list(range(bench.ring.next_index))


def test_a_crowd_that_joins_is_paced_and_those_who_watch_lose_nothing(bench):
    bench.fanout._delivery._clock = lambda: 0.0  # no tick is ever used up: only the pacing is looked at
    _, watching = bench.client()
    bench.run(1.9)
    crowd = [bench.client() for _ in range(40)]
    counts = []
    for _ in range(20):
        before = bench.fanout.statistics().datagrams
        bench.tick()
        bench.now_s += bench.settings.tick_ms / 1000
        counts.append(bench.fanout.statistics().datagrams - before)
    steady = RATE * bench.settings.tick_ms / 1000 * (len(crowd) + 1)
    assert max(counts) <= 2.6 * steady, "twice, and what rounding adds to each"
    bench.run(1.5)
    for recipient, receiver in crowd:
        assert numbers(received(receiver)) == list(range(int(RATE), bench.ring.next_index))
        assert not recipient.drops
    assert numbers(received(watching)) == list(range(bench.ring.next_index))


def test_those_who_are_behind_wait_when_the_tick_is_used_up_and_take_turns():
    bench = Bench()
    clock = iter(range(1_000_000))
    bench.fanout._delivery._clock = lambda: next(clock) * 1.0  # each look at it is a second later
    bench.run(0.5)
    late = [bench.client()[0] for _ in range(3)]
    turns = []
    for _ in range(6):
        before = [recipient.datagrams for recipient in late]
        bench.tick()
        turns.append([recipient.datagrams > sent for recipient, sent in zip(late, before, strict=True)])
    assert all(sum(turn) == 1 for turn in turns), "the live edge is never kept waiting by more than one"
    assert all(sum(served) == 2 for served in zip(*turns, strict=True))
    bench.close()


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
def test_however_many_have_to_wait_they_catch_up_in_the_end(clients):
    bench = Bench(seconds=40)
    clock = iter(range(1_000_000))
    bench.fanout._delivery._clock = lambda: next(clock) * 1.0  # one at a tick, and never a second one
    bench.client()
    bench.run(0.9)
    late = [bench.client() for _ in range(clients)]
    bench.run(8.0)
    (group,) = bench.fanout._delivery._groups.values()
    assert len(group) == clients + 1
    for recipient, receiver in late:
        assert not recipient.drops
        assert numbers(received(receiver)) == list(range(bench.ring.next_index))
    bench.close()


def test_more_than_the_memory_holds_at_once_is_counted_and_nothing_comes_twice(bench):
    small = Bench(make_sender=bench.fanout._delivery._make_sender, slots=64)
    recipient, receiver = small.client()
    small.run(0.2)
    small.now_s += 0.2  # 80 datagrams come due at once
    small.run(0.3)
    seen = numbers(received(receiver))
    assert seen == sorted(set(seen))
    assert recipient.drops["overwritten"] == small.ring.next_index - len(seen) > 10
    assert recipient.datagrams == len(seen)
    small.close()


def test_one_refusal_of_a_batch_is_not_believed(loop_bench):
    bench = loop_bench
    recipient, receiver = bench.client()

    class Once(RefusingSocket):
        told = False

        def send(self, data) -> int:
            if not self.told:
                self.told = True
                raise OSError(errno.EMSGSIZE, "ICMP told of another datagram")
            return self._inner.send(data)

    recipient.socket = Once(recipient.socket, 0)
    bench.run(0.5)
    assert recipient.segmentation
    assert not recipient.fallbacks
    assert numbers(received(receiver)) == list(range(bench.ring.next_index))


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


def test_the_thread_says_that_it_is_over_and_why(bench, caplog):
    fanout, current, listener = threaded(Supply(1.0))
    fanout.start()
    fanout.stop()
    assert listener.errors == [None]
    fanout, current, listener = threaded(Supply(1.0))
    fanout._supply.take = None  # type: ignore[method-assign, assignment]
    fanout.start()
    bench.client()
    current.add(bench.current.roster.recipients[0])
    fanout.wake()
    assert listener.over.wait(5)
    assert isinstance(listener.errors[0], TypeError)
    assert "the sender failed" in caplog.text


@pytest.mark.parametrize("failed", [False, True])
def test_a_failed_source_is_told_although_nobody_receives_and_an_ended_one_waits(failed):
    supply = Supply(1.0)
    supply.ended, supply.failed = "why", failed
    fanout, current, listener = threaded(supply)
    for _ in range(2):
        fanout.wake()  # or it would rest for ever
        fanout._rest(current.roster)
    assert listener.ended == (["why"] if failed else [])
