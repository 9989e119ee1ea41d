"""What each recipient is sent in a tick, and what happens when a send fails. Over real sockets on loopback."""

import errno
import socket
from typing import cast

import pytest

from flume.media.ring import DATAGRAM_BYTES
from flume.server.sending.delivery import ICMP_ERRORS, REFUSED_TRIES
from flume.settings import ServerSettings
from support.servers.fanout_harness import BUFFER_BYTES, RATE, FanoutHarness, ReceivingSocket, numbers, received


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
    assert recipient.drops == {}
    assert numbers(received(other)) == list(range(harness.ring.next_index))


class BesiegedSocket:
    """A socket for which forged ICMP messages come: before *count* sends of every *period*, the kernel reports one."""

    def __init__(self, inner: socket.socket, count: int, *, period: int = 20, number: int = errno.ECONNREFUSED) -> None:
        self._inner, self._number = inner, number
        self.count, self._period = count, period
        self.sends = 0

    def send(self, data) -> int:
        self.sends += 1
        if self.sends % self._period < self.count:
            raise OSError(self._number, "forged")
        return self._inner.send(data)

    def fileno(self) -> int:
        return self._inner.fileno()


@pytest.mark.parametrize("count", [1, 10, REFUSED_TRIES - 1])
def test_forged_icmp_messages_cost_no_datagram_and_are_reported_at_a_bounded_rate(loop_harness, count):
    harness = loop_harness
    recipient, receiver = harness.client()
    recipient.socket = BesiegedSocket(recipient.socket, count)
    harness.run(2.0)
    assert numbers(received(receiver)) == list(range(harness.ring.next_index))
    assert recipient.drops == {}
    assert 1 < len(harness.listener.refused) <= 2.0 * 2 + 1


@pytest.mark.parametrize("segmentation", [True, False])
@pytest.mark.parametrize("number", sorted(ICMP_ERRORS - {errno.ECONNREFUSED}), ids=errno.errorcode.get)
def test_nor_do_other_messages_than_port_unreachable(loop_harness, number, segmentation):
    harness = loop_harness
    recipient, receiver = harness.client(segmentation=segmentation)
    recipient.socket = BesiegedSocket(recipient.socket, 1 if number == errno.EMSGSIZE else 15, number=number)
    harness.run(1.0)
    assert numbers(received(receiver)) == list(range(harness.ring.next_index))
    assert (recipient.drops, harness.listener.refused) == ({}, [])


def test_a_port_that_refuses_everything_costs_one_attempt_a_batch_until_one_succeeds(loop_harness):
    harness = loop_harness
    recipient, receiver = harness.client(segmentation=False)
    besieged = recipient.socket = BesiegedSocket(recipient.socket, 20)
    _, other = harness.client()
    harness.run(0.5)
    assert besieged.sends == harness.ring.next_index + REFUSED_TRIES - 1
    assert recipient.drops == {"port_unreachable": harness.ring.next_index}
    assert numbers(received(other)) == list(range(harness.ring.next_index))
    before = harness.ring.next_index
    besieged.count = 0
    harness.run(0.5)
    besieged.count = REFUSED_TRIES - 1
    harness.run(0.5)
    assert numbers(received(receiver)) == list(range(before, harness.ring.next_index)), (
        "and then it has all attempts again"
    )


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
