"""Both senders of one payload to many sockets keep the same contract; then what only io_uring has."""

import contextlib
import ctypes
import errno
import socket
from collections.abc import Iterator

import pytest

from flume.server.ports import loopback_pair
from flume.server.sending import group_sender, io_uring, media_port
from flume.server.sending.group_sender import SendLoop, UringSender, choose_sender, probe_uring
from flume.server.sending.io_uring import SendRing


class Pairs:
    """Connected sender sockets and the sockets that receive from them."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def pair(self) -> tuple[socket.socket, socket.socket]:
        media, receiver = self._stack.enter_context(loopback_pair())
        receiver.setblocking(False)
        return media, receiver

    def full(self) -> socket.socket:
        """A socket whose buffer is full: its other end is never read."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._stack.enter_context(near)
        self._stack.enter_context(far)
        near.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                near.send(bytes(1024))
        return near


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    with contextlib.ExitStack() as stack:
        yield Pairs(stack)


def received(receiver: socket.socket) -> list[bytes]:
    datagrams = []
    with contextlib.suppress(BlockingIOError):
        while True:
            datagrams.append(receiver.recv(65536))
    return datagrams


@pytest.fixture(params=[SendLoop, UringSender])
def sender(request):
    made = request.param()
    yield made
    made.close()


def test_every_member_gets_every_payload_in_order_once(sender, pairs):
    receivers = []
    for _ in range(150):  # past two doublings of the ring
        media, receiver = pairs.pair()
        sender.add(media)
        receivers.append(receiver)
    payloads = [bytes([number]) * (1 + 40 * number) for number in range(30)]  # the queues wrap many times
    for payload in payloads:
        assert list(sender.send(payload)) == []
    assert all(received(receiver) == payloads for receiver in receivers)


def test_a_member_that_was_removed_is_sent_nothing(sender, pairs):
    media, receivers = zip(*(pairs.pair() for _ in range(5)), strict=True)
    for one in media:
        sender.add(one)
    sender.send(b"all")
    sender.remove(1)  # the last takes its place
    sender.remove(3)  # the last
    sender.send(memoryview(b"some"))
    assert [len(received(receiver)) for receiver in receivers] == [2, 1, 2, 1, 2]


def test_a_member_whose_send_fails_is_returned_with_the_reason_and_the_others_get_the_payload(sender, pairs):
    gone, receiver = pairs.pair()
    receiver.close()
    media, receivers = zip(*(pairs.pair() for _ in range(3)), strict=True)
    for one in (media[0], pairs.full(), media[1], gone, media[2]):
        sender.add(one)
    first = sender.send(b"1")
    assert set(first) <= {(1, errno.EAGAIN), (3, errno.ECONNREFUSED)}
    second = sender.send(b"22")
    assert set(second) <= {(1, errno.EAGAIN), (3, errno.ECONNREFUSED)}
    assert {(1, errno.EAGAIN)} == set(first) & set(second), (
        "a full buffer is full each time, and the send does not wait for it"
    )
    assert (3, errno.ECONNREFUSED) in {*first, *second}, (
        "ICMP reports the closed port, at the second send at the latest"
    )
    assert all(received(receiver) == [b"1", b"22"] for receiver in receivers)


def test_a_payload_too_long_for_a_datagram_is_refused_by_all(sender, pairs):
    media, receiver = pairs.pair()
    sender.add(media)
    assert list(sender.send(bytes(65_520))) == [(0, errno.EMSGSIZE)]
    assert received(receiver) == []


def test_without_members_nothing_happens(sender):
    assert list(sender.send(b"x")) == []


def test_a_change_of_members_with_the_same_payload_length_reaches_the_new_ones(pairs):
    sender = UringSender()
    (first, at_first), (second, at_second) = pairs.pair(), pairs.pair()
    sender.add(first)
    sender.send(b"abc")
    sender.add(second)
    sender.send(b"def")
    sender.close()
    assert received(at_first) == [b"abc", b"def"]
    assert received(at_second) == [b"def"]


def test_this_kernel_has_io_uring_and_it_is_chosen():
    assert probe_uring() is None
    assert choose_sender(None).make is UringSender
    assert choose_sender("loop").make is SendLoop


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_without_io_uring_a_loop_serves_and_says_why(monkeypatch, number, caplog):
    def refuse(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(io_uring, "_syscall", refuse)
    choice = choose_sender("io_uring")
    assert choice.make is SendLoop
    assert choice.kind == "loop"
    assert "io_uring_setup" in choice.reason or choice.reason
    assert "one system call a client" in caplog.text


def test_a_shortage_is_logged_and_passes(monkeypatch, pairs, caplog):
    sender = UringSender()
    real = io_uring._syscall

    def refuse(*_: object) -> int:
        ctypes.set_errno(errno.EMFILE)
        return -1

    monkeypatch.setattr(io_uring, "_syscall", refuse)
    (first, at_first), (second, at_second) = pairs.pair(), pairs.pair()
    sender.add(first)
    assert (sender.kind, sender.fallback_reason) == ("loop", "emfile")
    sender.send(b"1")
    monkeypatch.setattr(io_uring, "_syscall", real)
    sender.add(second)
    assert (sender.kind, sender.fallback_reason) == ("io_uring", None)
    sender.send(b"2")
    sender.close()
    assert received(at_first) == [b"1", b"2"]
    assert received(at_second) == [b"2"]
    assert "Too many open files" in caplog.text


def test_loopback_that_is_down_is_no_reason_not_to_start(monkeypatch):
    class NoNetwork(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", NoNetwork)
    assert choose_sender(None).kind == "loop"
    assert media_port.probe_segmentation() is False


def test_completions_that_never_come_are_failures_and_no_send_is_repeated(monkeypatch, pairs):
    ring = SendRing(1024)
    media, receivers = zip(*(pairs.pair() for _ in range(3)), strict=True)
    for slot, one in enumerate(media):
        ring.prepare(slot, one)
    real = io_uring._syscall

    def lose_one(number: int, descriptor: int, submit: int, complete: int, *rest: object) -> int:
        if complete:
            ctypes.set_errno(errno.EBADR)
            return -1
        done = real(number, descriptor, submit, complete, *rest)
        ring._completed_tail[0] -= 1  # as if the last send had not completed yet
        return done

    monkeypatch.setattr(io_uring, "_syscall", lose_one)
    assert ring.submit(b"a", 3) == [(2, errno.EBADR)]
    assert [received(receiver) for receiver in receivers] == [[b"a"]] * 3
    ring.close()


def test_a_ring_that_stops_working_is_replaced_by_a_loop_and_no_member_misses_a_batch(monkeypatch, pairs, caplog):
    sender = UringSender()
    media, receivers = zip(*(pairs.pair() for _ in range(3)), strict=True)
    for one in media:
        sender.add(one)
    sender.send(b"1")
    real = io_uring._syscall

    def refuse(number: int, *arguments: object) -> int:
        if number != io_uring.SYS_ENTER:
            return real(number, *arguments)
        ctypes.set_errno(errno.EBADR)
        return -1

    monkeypatch.setattr(io_uring, "_syscall", refuse)
    for _ in range(group_sender.MAX_FAILED_SUBMISSIONS):
        assert sender.kind == "io_uring"
        sender.send(b"2")
    assert (sender.kind, sender.fallback_reason) == ("loop", "ebadr")
    monkeypatch.setattr(io_uring, "_syscall", real)
    sender.send(b"3")
    late, at_late = pairs.pair()
    sender.add(late)
    sender.remove(0)
    sender.send(b"4")
    begin = [b"1", *[b"2"] * group_sender.MAX_FAILED_SUBMISSIONS, b"3"]
    assert [received(receiver) for receiver in receivers] == [begin, *[[*begin, b"4"]] * 2]
    assert received(at_late) == [b"4"]
    assert caplog.text.count("no io_uring at present") == 1
    assert sender.kind == "io_uring", "a member that is added is a new attempt"


def test_a_ring_that_cannot_grow_is_replaced_by_a_loop(monkeypatch, pairs):
    sender = UringSender()
    receivers = []
    for _ in range(io_uring.MIN_ENTRIES):
        media, receiver = pairs.pair()
        sender.add(media)
        receivers.append(receiver)
    monkeypatch.setattr(group_sender, "MAX_ENTRIES", 64)
    media, receiver = pairs.pair()
    sender.add(media)
    sender.send(b"x")
    assert all(received(one) == [b"x"] for one in [*receivers, receiver])


def test_the_sends_that_the_kernel_took_are_not_repeated_when_it_refuses_the_rest(monkeypatch, pairs):
    ring = SendRing(1024)
    media, receivers = zip(*(pairs.pair() for _ in range(4)), strict=True)
    for slot, one in enumerate(media):
        ring.prepare(slot, one)
    real = io_uring._syscall

    def half(number: int, descriptor: int, submit: int, *rest: object) -> int:
        return real(number, descriptor, submit // 2, *rest)

    monkeypatch.setattr(io_uring, "_syscall", half)
    assert ring.submit(b"a", 4) == [(2, errno.ENOBUFS), (3, errno.ENOBUFS)]
    monkeypatch.setattr(io_uring, "_syscall", real)
    assert ring.submit(b"b", 4) == []
    ring.close()
    assert [received(receiver) for receiver in receivers] == [[b"a", b"b"], [b"a", b"b"], [b"b"], [b"b"]]
