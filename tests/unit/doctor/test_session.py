"""The doctor's two sockets on loopback: what they keep of answers, refusals and errors."""

import socket
import time
from collections.abc import Iterator

import pytest

from flume.control import messages
from flume.control.session import State
from flume.doctor.session import ControlChannel, MediaProbe, Poller
from flume.doctor.sockets import Endpoint
from flume.settings import ECHO_MARK

MARK = "token-of-a-test"


@pytest.fixture
def control() -> Iterator[tuple[ControlChannel, socket.socket]]:
    """A channel and the server's end of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ControlChannel(ours), theirs


@pytest.fixture
def media() -> Iterator[tuple[MediaProbe, socket.socket]]:
    """A probe and the server's socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        probe = MediaProbe(Endpoint(socket.AF_INET, server.getsockname()), MARK, buffer_bytes=65_536)
        yield probe, server
        probe.close()


def soon() -> float:
    return time.monotonic() + 5


def test_a_message_is_kept_until_it_is_taken(control) -> None:
    """In the order of arrival, whichever is asked for first."""
    channel, server = control
    server.sendall(
        b'{"event":"notice","state":"active","code":"a","message":"first"}\n{"event":"notice","state":"active","code":"b","message":"second"}\n'
    )
    Poller(channel).poll(soon(), lambda: len(channel.received) == 2)
    assert channel.has(messages.Closed, messages.Notice)
    assert not channel.has(messages.Closed)
    assert channel.take(messages.Closed) is None
    assert [notice.message for notice in (channel.take(messages.Notice), channel.take(messages.Notice)) if notice] == [
        "first",
        "second",
    ]
    assert channel.take(messages.Notice) is None


def test_a_reply_is_returned_and_a_refusal_is_left_for_the_caller(control) -> None:
    """Both end the wait."""
    channel, server = control
    server.sendall(b'{"reply":"continue","state":"active","first_sequence":7}\n')
    reply = Poller(channel).request(messages.Continue(), messages.Continued, soon())
    assert reply == messages.Continued(state=State.ACTIVE, first_sequence=7)
    assert server.recv(4096) == b'{"command":"continue"}\n'


def test_other_bytes_and_the_end_are_kept_with_their_reason(control) -> None:
    """Then the peer cannot answer any more, and a request is not sent."""
    channel, server = control
    server.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    Poller(channel).poll(soon())
    assert channel.first_bytes == b"SSH-2.0-OpenSSH_9.2\r\n"
    assert channel.not_flume
    assert not channel.is_open
    channel.ask(messages.StatusQuery())
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(1)
    server.close()
    channel.read()
    assert channel.ended


def test_echoes_are_told_from_the_stream_and_from_other_datagrams(control, media) -> None:
    """By the token at their beginning; a datagram that is no RTP packet is not counted."""
    channel, _ = control
    probe, server = media
    probe.ask_echo(64)
    request, client = server.recvfrom(2048)
    assert request == (MARK.encode() + ECHO_MARK).ljust(64, b".")
    for data in (request, b"\x80\x21\x00\x07" + bytes(8 + 188), b"\x80\x21\x00\x0a" + bytes(8 + 188), b"noise"):
        server.sendto(data, client)
    server.sendto(b"\x80\x21\x00\x0a" + bytes(8 + 188), client)
    poller = Poller(channel)
    poller.media = probe
    poller.poll(time.monotonic() + 0.2)
    assert (probe.echoes_asked, probe.echoes_answered) == ({64}, {64})
    assert (probe.received, probe.bytes, probe.longest_gap) == (2, 2 * 200, 2)
    probe.begin()
    assert (probe.received, probe.bytes, probe.longest_gap) == (0, 0, 0)


def test_a_refusal_is_noted_with_its_icmp_message_when_sending_and_when_reading(media) -> None:
    """The kernel reports it at whichever call comes next."""
    probe, server = media
    server.close()
    probe.send_token()
    deadline_s = soon()
    while not probe.is_refused and time.monotonic() < deadline_s:
        probe.read()
    assert probe.refused is not None
    assert probe.refused.text == "ICMP port unreachable from 127.0.0.1"
    probe.is_refused, probe.refused = False, None
    while not probe.is_refused and time.monotonic() < deadline_s:
        probe.send_token()
    assert probe.refused is not None
    assert probe.refused.text.startswith("ICMP port unreachable")
    assert probe.send_error is None


def test_a_datagram_too_long_for_the_link_is_no_error_and_any_other_is_kept(media) -> None:
    """Too long: the missing echo shows it."""
    probe, _ = media
    probe.ask_echo(65_507 + 1)
    assert probe.send_error is None
    probe.close()
    probe.send_token()
    assert probe.send_error is not None
