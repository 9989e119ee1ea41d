"""The filter in the kernel, on loopback."""

import socket
from collections.abc import Iterator

import pytest

from flume.server.ports import bind_media
from flume.server.sending import socket_filter
from flume.server.sending.media_port import MediaPort

PREFIX = b"0a1b2c3d"


@pytest.fixture(params=["127.0.0.1", "::1"])
def ends(request) -> Iterator[tuple[socket.socket, socket.socket]]:
    with bind_media(request.param, 0) as receiving, socket.socket(receiving.family, socket.SOCK_DGRAM) as sending:
        sending.connect(receiving.getsockname()[:2])
        yield receiving, sending


def received(receiving: socket.socket) -> list[bytes]:
    datagrams = []
    while True:
        try:
            datagrams.append(receiving.recv(4096))
        except BlockingIOError:
            return datagrams


def test_only_what_begins_like_a_token_arrives(ends):
    receiving, sending = ends
    assert socket_filter.attach(receiving, PREFIX)
    good = [PREFIX, PREFIX + b"f" * 24, PREFIX + b"f" * 24 + b"?" + bytes(1400)]
    bad = [b"", b"0", PREFIX[:7], PREFIX[::-1], b"0a1b2c3e", b"1" + PREFIX[1:] + b"f" * 24, bytes(60_000)]
    for data in (*bad, *good, *bad):
        sending.send(data)
    assert received(receiving) == good


def test_what_is_dropped_is_counted_and_takes_no_room():
    port = MediaPort("127.0.0.1", bind_media("127.0.0.1", 0))
    port.accept_only(PREFIX)
    try:
        assert port.counts == {}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            sending.connect(("127.0.0.1", port.port))
            for _ in range(3000):
                sending.send(bytes(1400))
            sending.send(PREFIX + b"f" * 24)
        assert received(port.listener) == [PREFIX + b"f" * 24], "the queue would not have held 3000"
        assert port.counts == {"dropped_at_port": 3000}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.1", 0))
            with port.open_for(client.getsockname()) as media:
                for data in (b"junk", PREFIX, b""):
                    client.sendto(data, ("127.0.0.1", port.port))
                assert received(media) == [PREFIX], "the sockets of clients have the filter too"
    finally:
        port.close()


def test_a_kernel_without_filters_is_no_fault(ends, monkeypatch):
    monkeypatch.setattr(socket_filter, "SO_ATTACH_FILTER", 9999)
    receiving, sending = ends
    assert not socket_filter.attach(receiving, PREFIX)
    sending.send(b"x")
    assert received(receiving) == [b"x"]
