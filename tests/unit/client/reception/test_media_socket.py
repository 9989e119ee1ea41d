"""The media socket on loopback: kept while the server is the same, and its drops counted beyond its end."""

import socket
from collections.abc import Iterator

import pytest

from flume.client.reception.media_socket import MediaSocket
from flume.errors import NetworkError

BUFFER_BYTES = 8192


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(2)
        yield listening


@pytest.fixture
def media(server: socket.socket) -> Iterator[MediaSocket]:
    opened = MediaSocket(buffer_bytes=BUFFER_BYTES)
    opened.open(server.getsockname(), socket.AF_INET)
    yield opened
    opened.close()


def test_before_it_is_opened_there_is_nothing() -> None:
    media = MediaSocket(buffer_bytes=BUFFER_BYTES)
    media.send(b"to no server")
    assert list(media.read_untrusted(most=10)) == []
    assert (media.is_open, media.fileno(), media.local_address(), media.buffer()) == (False, -1, None, None)
    assert (media.dropped(), media.kernel_buffer_bytes()) == (0, 0)


def test_what_waits_is_read_up_to_a_number(server: socket.socket, media: MediaSocket) -> None:
    media.send(b"token")
    token, client = server.recvfrom(100)
    assert (token, client) == (b"token", media.local_address())
    for number in range(5):
        server.sendto(bytes([number]), client)
    assert list(media.read_untrusted(most=3)) == [b"\0", b"\1", b"\2"]
    assert list(media.read_untrusted(most=3)) == [b"\3", b"\4"]


def test_the_socket_is_kept_for_the_same_server_alone(server: socket.socket, media: MediaSocket) -> None:
    before = media.local_address()
    media.open(server.getsockname(), socket.AF_INET)
    assert media.local_address() == before
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        media.open(other.getsockname(), socket.AF_INET)
        assert media.local_address() != before


def test_drops_are_counted_beyond_the_end_of_the_socket(server: socket.socket, media: MediaSocket) -> None:
    address = media.local_address()
    assert address is not None
    for _ in range(100):
        server.sendto(bytes(1000), address)
    dropped = media.dropped()
    assert 0 < dropped < 100
    buffer = media.buffer()
    assert buffer is not None
    assert (buffer.asked, buffer.dropped) == (BUFFER_BYTES, dropped)
    media.close()
    assert media.dropped() == dropped
    media.open(server.getsockname(), socket.AF_INET)
    assert media.dropped() == dropped


def test_a_closed_port_is_no_error_of_reading(server: socket.socket, media: MediaSocket) -> None:
    server.close()
    media.send(b"token")  # answered with ICMP port unreachable, which the next call reports
    assert list(media.read_untrusted(most=3)) == []


def test_an_address_that_cannot_be_reached_is_named() -> None:
    media = MediaSocket(buffer_bytes=BUFFER_BYTES)
    with pytest.raises(NetworkError, match=r"cannot open a media socket to 127\.0\.0\.1 port 5004"):
        media.open(("127.0.0.1", 5004), socket.AF_INET6)
    assert not media.is_open
