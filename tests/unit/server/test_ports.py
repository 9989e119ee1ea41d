"""The bound sockets of a server, on loopback."""

import contextlib
import errno
import socket

import pytest

from flume.errors import NetworkError
from flume.server import ports
from flume.server.ports import bind_beside, bind_both, bind_media, explain_bind_error, loopback_pair


def test_control_and_media_get_one_number():
    bound = bind_both("127.0.0.1", 0)
    with bound.control, bound.media:
        assert bound.control.getsockname() == bound.media.getsockname()
        socket.create_connection(bound.control.getsockname(), timeout=5).close()


def test_a_number_that_udp_does_not_have_free_is_passed_over(monkeypatch):
    refused: list[int] = []

    def bind_the_second(host: str, port: int) -> socket.socket:
        if not refused:
            refused.append(port)
            raise OSError(errno.EADDRINUSE, "in use")
        return bind_media(host, port)

    monkeypatch.setattr(ports, "bind_media", bind_the_second)
    bound = bind_both("127.0.0.1", 0)
    with bound.control, bound.media:
        assert bound.control.getsockname()[1] == bound.media.getsockname()[1]
    assert refused


@pytest.mark.parametrize(("kind", "name"), [(socket.SOCK_STREAM, "TCP"), (socket.SOCK_DGRAM, "UDP")])
def test_a_number_that_was_asked_for_and_is_taken_is_an_error_that_names_it(kind: socket.SocketKind, name: str):
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        port = other.getsockname()[1]
        with pytest.raises(NetworkError, match=f"cannot listen on {name} 127.0.0.1 port {port}: another program has"):
            bind_both("127.0.0.1", port)


def test_sockets_for_clients_share_the_port():
    with bind_media("127.0.0.1", 0) as listener, contextlib.ExitStack() as clients:
        for _ in range(3):
            client = clients.enter_context(bind_beside(listener, "127.0.0.1"))
            assert client.getsockname() == listener.getsockname()
            assert not client.getblocking()


OPTIONS = ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT))


def other_program(host: str, options: tuple[int, ...]) -> socket.socket:
    """A UDP socket as another program opens it, not bound yet."""
    other = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    for option in options:
        other.setsockopt(socket.SOL_SOCKET, option, 1)
    return other


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "127.0.0.2", "::"])
def test_no_other_program_gets_the_port(host: str, options: tuple[int, ...]):
    with bind_media("0.0.0.0", 0) as listener, contextlib.ExitStack() as clients:
        port = listener.getsockname()[1]
        for number in range(3):
            client = clients.enter_context(bind_beside(listener, "127.0.0.1"))
            client.connect(("127.0.0.1", 40_000 + number))
            with other_program(host, options) as other, pytest.raises(OSError, match="in use"):
                other.bind((host, port))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_server_does_not_start_where_another_program_has_the_port(host: str, options: tuple[int, ...]):
    both = bind_both("0.0.0.0", 0)
    port = both.media.getsockname()[1]  # TCP has it free too: tests beside this one hold thousands of its ports
    for each in both:
        each.close()
    with other_program(host, options) as other:
        other.bind((host, port))
        with pytest.raises(NetworkError, match=f"UDP 0.0.0.0 port {port}: another program has it .see: ss -anpu"):
            bind_both("0.0.0.0", port)


def test_the_port_is_closed_again_where_a_client_socket_cannot_be_bound():
    with bind_media("127.0.0.1", 0) as listener:
        with pytest.raises(OSError, match="Cannot assign"):
            bind_beside(listener, "192.0.2.1")
        with other_program("127.0.0.1", OPTIONS[1]) as other, pytest.raises(OSError, match="in use"):
            other.bind(listener.getsockname())


def test_an_error_without_a_known_fix_says_what_the_system_said():
    assert explain_bind_error("UDP", "::1", 7, OSError(errno.ENOBUFS, "no room")).endswith("port 7: no room")


def test_what_the_pair_sends_arrives():
    with loopback_pair() as (sender, receiver):
        sender.send(b"probe")
        assert receiver.recv(16) == b"probe"
