"""The filter in the kernel, on loopback."""

import socket
from collections.abc import Iterator

import pytest

from flume.server.ports import bind_media
from flume.server.sending import socket_filter
from flume.server.sending.media_port import MediaPort
from flume.server.sending.socket_filter import LONGEST_FROM_HOSTS, MOST_HOSTS

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


def test_short_datagrams_of_some_hosts_arrive_as_well(ends):
    receiving, sending = ends
    mine = sending.getsockname()[0]
    short = [b"", b"\xce\xfa\xed\xfe", b"\x80" + bytes(11), bytes(200), bytes(LONGEST_FROM_HOSTS)]
    others = [f"192.0.2.{number}" for number in range(9)] + [f"2001:db8::{number}" for number in range(9)]
    all_but_one = "127.0.0.0" if "." in mine else "::3"
    for hosts, is_let_in in (
        ([mine], True),
        ([f"::ffff:{mine}" if "." in mine else f"{mine}%lo"], True),
        ([*others, mine], True),
        ([mine, *others], True),
        ([mine, *(f"192.0.2.{number}" for number in range(MOST_HOSTS - 1))], True),
        ([mine, *(f"192.0.2.{number}" for number in range(MOST_HOSTS))], False),
        ([*others, all_but_one], False),
        ((), False),
    ):
        assert socket_filter.attach(receiving, PREFIX, hosts)
        for data in (*short, bytes(LONGEST_FROM_HOSTS + 1), PREFIX + bytes(1400)):
            sending.send(data)
        assert received(receiving) == (short if is_let_in else []) + [PREFIX + bytes(1400)]


def test_one_program_knows_addresses_of_both_kinds():
    with bind_media("::", 0) as receiving:
        port = receiving.getsockname()[1]
        assert socket_filter.attach(receiving, PREFIX, ["192.0.2.1", "::1", "::ffff:127.0.0.1"])
        for source, target in (("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.1"), ("::1", "::1")):
            family = socket.AF_INET6 if ":" in source else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sending:
                sending.bind((source, 0))
                sending.sendto(source.encode(), (target, port))
        assert received(receiving) == [b"127.0.0.1", b"::1"]


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
            port.accept_also_from(["127.0.0.1"])
            client.sendto(b"punch", ("127.0.0.1", port.port))
            assert received(port.listener) == [b"punch"]
            port.accept_also_from([])
            client.sendto(b"late", ("127.0.0.1", port.port))
            assert received(port.listener) == []
    finally:
        port.close()


def test_a_kernel_without_filters_is_no_fault(ends, monkeypatch):
    monkeypatch.setattr(socket_filter, "SO_ATTACH_FILTER", 9999)
    receiving, sending = ends
    assert not socket_filter.attach(receiving, PREFIX)
    sending.send(b"x")
    assert received(receiving) == [b"x"]
