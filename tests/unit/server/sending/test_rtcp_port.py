"""The UDP port of RTCP: what comes reaches the connection of its player, and what cannot leave is lost."""

import logging
import select
import socket
from collections.abc import Iterator

import pytest

from flume.server.sending.rtcp_port import DATAGRAMS_AT_ONCE, RtcpPort, open_rtcp


@pytest.fixture
def port() -> Iterator[RtcpPort]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    made = RtcpPort("127.0.0.1", number)
    yield made
    made.close()


@pytest.fixture
def player() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(10)
        yield made


def come(port: RtcpPort) -> None:
    assert select.select([port.socket], [], [], 10)[0]
    port.on_readable()


def test_a_report_reaches_its_player_s_connection_and_no_other(port: RtcpPort, player: socket.socket):
    mine, other = list[bytes](), list[bytes]()
    port.listen(player.getsockname(), mine.append)
    port.listen(("127.0.0.1", 9), other.append)
    player.sendto(b"report", ("127.0.0.1", port.port))
    come(port)
    assert (mine, other) == ([b"report"], [])
    port.forget(player.getsockname(), mine.append)
    player.sendto(b"late", ("127.0.0.1", port.port))
    come(port)
    assert mine == [b"report"]


def test_a_connection_that_ends_does_not_deafen_the_next_one_of_the_same_port(port: RtcpPort, player: socket.socket):
    first, second = list[bytes](), list[bytes]()
    take_first, take_second = first.append, second.append
    port.listen(player.getsockname(), take_first)
    port.listen(player.getsockname(), take_second)
    port.forget(player.getsockname(), take_first)
    player.sendto(b"report", ("127.0.0.1", port.port))
    come(port)
    assert (first, second) == ([], [b"report"])


RTCP = b"\x80\xc9\0\1" + bytes(4)


def test_behind_a_nat_the_port_is_found_by_what_comes_from_it(port: RtcpPort, player: socket.socket):
    found = list[tuple[str, int]]()
    port.seek("127.0.0.1", found.append)
    for data in (b"", b"\x80\x21" + bytes(1400), RTCP[:7]):
        player.sendto(data, ("127.0.0.1", port.port))
    come(port)
    assert found == [], "it is no RTCP"
    player.sendto(RTCP, ("127.0.0.1", port.port))
    come(port)
    assert found == [player.getsockname()]
    port.seek_no_more("127.0.0.1", found.append)
    player.sendto(RTCP, ("127.0.0.1", port.port))
    come(port)
    assert len(found) == 1


@pytest.mark.parametrize("beside", ["another one seeks", "it is a known player's", "it is sought elsewhere"])
def test_no_port_is_found_that_may_be_another_player_s(port: RtcpPort, player: socket.socket, beside: str):
    found, other = list[object](), list[object]()
    port.seek("127.0.0.2" if beside == "it is sought elsewhere" else "127.0.0.1", found.append)
    if beside == "another one seeks":
        port.seek("127.0.0.1", other.append)
    elif beside == "it is a known player's":
        port.listen(player.getsockname(), other.append)
    player.sendto(RTCP, ("127.0.0.1", port.port))
    come(port)
    assert (found, other) == ([], [RTCP] if beside == "it is a known player's" else [])


def test_a_flood_is_read_in_parts(port: RtcpPort, player: socket.socket):
    taken = list[bytes]()
    port.listen(player.getsockname(), taken.append)
    for _ in range(DATAGRAMS_AT_ONCE + 3):
        player.sendto(b"x", ("127.0.0.1", port.port))
    come(port)
    assert len(taken) == DATAGRAMS_AT_ONCE
    come(port)
    assert len(taken) == DATAGRAMS_AT_ONCE + 3


def test_what_is_sent_arrives_and_a_closed_port_does_no_harm(port: RtcpPort, player: socket.socket):
    port.send(b"to nobody", ("127.0.0.1", 9))
    port.send(b"not an address", ("::1", 9))
    port.on_readable()
    port.send(b"report", player.getsockname())
    assert player.recvfrom(100) == (b"report", ("127.0.0.1", port.port))


def test_the_port_above_the_media_s_is_taken_or_it_is_said(port: RtcpPort, caplog: pytest.LogCaptureFixture):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        media = taken.getsockname()[1] - 1
        with caplog.at_level(logging.WARNING):
            assert open_rtcp("127.0.0.1", media) is None
    assert f"port {media + 1} is not free" in caplog.text
    opened = open_rtcp("127.0.0.1", media)
    assert opened is not None
    assert opened.port == media + 1
    opened.close()
    assert open_rtcp("127.0.0.1", 65_535) is None
