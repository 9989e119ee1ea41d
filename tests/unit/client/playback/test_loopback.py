"""Batches to the player: the socket at the other end sees single datagrams, in order, whatever their lengths."""

import errno
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.client.playback.loopback import MAX_BATCH_BYTES, MAX_SEGMENTS, LoopbackSender, batches


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(2)
        yield listening


def mixed() -> list[bytes]:
    """A primer, more than a batch of full datagrams, a short one, and a full one again."""
    lengths = [376, *[1316] * 70, 188, 1316]
    return [number.to_bytes(2, "big").ljust(length, b"\x47") for number, length in enumerate(lengths)]


@given(st.lists(st.sampled_from([188, 376, 1316, 9000, 60_000]), max_size=200))
def test_batches_are_all_of_it_in_order_and_what_the_kernel_takes(lengths: list[int]) -> None:
    payloads = [bytes(length) for length in lengths]
    divided = list(batches(payloads))
    assert [payload for batch in divided for payload in batch] == payloads
    for batch in divided:
        assert len({len(payload) for payload in batch}) == 1
        assert len(batch) <= MAX_SEGMENTS
        assert sum(map(len, batch)) <= MAX_BATCH_BYTES


@pytest.mark.parametrize("in_batches", [True, False])
def test_the_listener_sees_single_datagrams(listener: socket.socket, in_batches: bool) -> None:
    sender = LoopbackSender(listener.getsockname()[1])
    assert sender.in_batches, "every kernel since 4.18 can"
    sender.in_batches = in_batches
    assert sender.send(mixed()) == 0
    assert [listener.recv(65_535) for _ in mixed()] == mixed()
    sender.close()


class Unable(socket.socket):
    """A kernel or interface that cannot cut a batch."""

    def sendmsg(self, *_: object) -> int:
        raise OSError(errno.EIO, "no checksum offload")


def test_where_batches_are_refused_it_goes_on_without(listener: socket.socket) -> None:
    sender = LoopbackSender(listener.getsockname()[1])
    sender._socket.close()
    sender._socket = Unable(socket.AF_INET, socket.SOCK_DGRAM)
    sender._socket.connect(listener.getsockname())
    assert sender.send(mixed()) == 0
    assert [listener.recv(65_535) for _ in mixed()] == mixed()
    assert not sender.in_batches
    sender.close()


def test_what_no_socket_takes_is_counted() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        sender = LoopbackSender(gone.getsockname()[1])
    assert sender.send([b"first"]) == 0, "ICMP has not come back yet"
    assert sender.send([bytes(1316)] * 20) == 20
    sender.close()
