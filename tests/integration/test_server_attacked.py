"""The real server under attack: events that rarely coincide, and clients that change their address."""

import os
import signal
import socket
import struct
import time

import pytest

from support.clients.numbers import assert_consecutive
from support.clients.wire_client import WireClient, loses_nothing, sequences, the_rest
from support.servers.running_server import busy, running_server
from support.servers.serving import synthetic_server

TOKEN_INTERVAL_S = 0.2


@pytest.fixture
def server():
    with running_server(token_interval_s=TOKEN_INTERVAL_S, consent_timeout_s=1.5, keepalive_s=0.3) as running:
        yield running


# -- coincidences -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
def test_a_token_begins_nothing_for_a_client_that_has_gone(server, reset):
    received = 0
    for _ in range(15):
        with WireClient(server.port) as client:
            client.token = client.ask("connect")["token"]
            if reset:
                client.control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with busy(server):
                client.control.close()
                client.send_token()
            received += len(client.receive(for_s=0.05))
    assert received == 0


def test_a_token_of_the_last_session_does_not_count_for_the_next_at_the_same_time(server):
    with WireClient(server.port) as client:
        client.connect()
        for _ in range(8):
            with busy(server):
                client.send_raw(b'{"command":"disconnect"}\n{"command":"connect"}\n')
                client.send_token()
            ended, again = client.reply(), client.reply()
            assert (ended["state"], again["state"]) == ("closed", "connecting")
            the_rest(client)
            client.send_token()
            assert client.receive(for_s=0.05) == []
            client.token = again["token"]
            client.send_token()
            assert client.event("active")["first_sequence"] is not None


@pytest.mark.parametrize("command", ["interrupt", "disconnect"])
def test_the_reply_counts_what_arrived_when_the_end_of_the_server_comes_with_it(command):
    for _ in range(8):
        with running_server() as server, WireClient(server.port) as client:
            client.connect()
            seen = client.receive(for_s=0.05)
            client.send_raw(b'{"command":"%s"}\n' % command.encode())
            server.loop.call_soon_threadsafe(server.server.stop)
            lines = []
            while line := client.line():
                lines.append(line)
            seen += the_rest(client)
            assert [line["code"] for line in lines if line.get("event") == "closed"] == ["shutdown"]
            reported = [line["last_sequence"] for line in lines if line.get("last_sequence") is not None]
            assert reported == [sequences(seen)[-1]], "by the reply or by the event, the first of the two"
            server._thread.join(5)
            assert not server._thread.is_alive()


def test_numbers_of_a_window_are_reported_once(server):
    with WireClient(server.port) as client:
        client.connect()
        client.receive(for_s=0.1)
        assert client.ask("interrupt")["datagrams"] > 0
        assert client.ask("disconnect") == {
            "reply": "disconnect",
            "state": "closed",
            "last_sequence": None,
            "datagrams": 0,
        }
        client.connect()
        client.receive(for_s=0.1)
        client.ask("interrupt")
        closed = client.event("closed", timeout_s=4)
        assert (closed["code"], closed["last_sequence"]) == ("consent_expired", None)


def test_a_server_that_was_stopped_and_woken_does_not_blame_its_clients():
    with synthetic_server() as (process, port), WireClient(port) as client:
        client.connect()
        client.receive(for_s=0.2)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            for _ in range(10):
                client.send_token()
                time.sleep(0.2)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        client.receive(for_s=0.5)
        assert client.ask("status")["state"] == "active", "its tokens waited in the socket"
        assert not [event for event in client.events if event["event"] == "closed"]


# -- another port -----------------------------------------------------------------------------------------------


def test_the_stream_follows_the_token_to_another_port_without_a_hole_or_a_datagram_too_many(server):
    with WireClient(server.port) as client, WireClient(server.port) as other:
        other.connect()
        client.connect()
        time.sleep(TOKEN_INTERVAL_S)
        client.send_token()
        before = client.receive(for_s=0.2)
        old, client.media = client.media, client.new_media()
        client.send_token()
        after = client.receive(for_s=0.3)
        client.media, new = old, client.media
        before += the_rest(client)
        old.close()  # an ICMP error from the closed port then concerns earlier datagrams
        client.media = new
        client.send_token()
        after += client.receive(for_s=0.2)
        interrupted = client.ask("interrupt")
        after += the_rest(client)
        numbers = sequences(before + after)
        assert_consecutive(numbers)
        assert len(after) > 20
        assert (interrupted["last_sequence"], interrupted["datagrams"]) == (numbers[-1], len(numbers))
        notice = client.event("notice")
        assert notice["code"] == "media_moved"
        assert str(new.getsockname()[1]) in notice["message"]
        loses_nothing(other)


def test_while_interrupted_the_new_port_receives_nothing_until_continue(server):
    with WireClient(server.port) as client:
        client.connect()
        client.receive(for_s=TOKEN_INTERVAL_S)
        client.ask("interrupt")
        the_rest(client)
        old, client.media = client.media, client.new_media()
        client.send_token()
        assert client.event("notice")["code"] == "media_moved"
        assert client.receive(for_s=0.2) == []
        first = client.ask("continue")["first_sequence"]
        assert sequences(client.receive(for_s=0.2))[0] == first
        client.media, new = old, client.media
        assert client.receive(for_s=0.2) == []
        new.close()


def test_a_token_that_was_overtaken_on_its_path_moves_nothing_back(server):
    with WireClient(server.port) as client:
        client.connect()
        client.receive(for_s=TOKEN_INTERVAL_S)
        old, client.media = client.media, client.new_media()
        client.send_token()
        client.event("notice")
        old.sendto(client.token.encode(), client.server)
        client.receive(for_s=0.05)
        assert len(client.receive(for_s=0.2)) > 20
        assert client.ask("status")["server"]["drops"] == {}, "the old port is asked, and does not answer"
        old.close()


def test_two_ports_that_both_want_the_stream_do_not_move_it_to_and_fro():
    with running_server(token_interval_s=1.0, consent_timeout_s=4.0) as server, WireClient(server.port) as client:
        client.connect()
        client.receive(for_s=0.6)
        old, client.media = client.media, client.new_media()
        client.send_token()
        client.event("notice")
        the_stream, client.media = client.media, old
        client.receive(for_s=0.05)
        client.send_token()
        client.receive(for_s=0.05)
        client.media = the_stream
        assert len(client.receive(for_s=0.2)) > 20
        assert client.ask("status")["server"]["drops"] == {"token_from_other_port": 1}
        old.close()


def test_a_flood_of_tokens_from_two_ports_costs_other_clients_nothing(server):
    with WireClient(server.port) as other, WireClient(server.port) as client:
        other.connect()
        client.connect()
        second = client.new_media()
        seen = []
        for _ in range(100):
            for _ in range(30):
                client.send_token()
                second.sendto(client.token.encode(), client.server)
            other.send_token()
            seen += other.receive(for_s=0.01)
        assert_consecutive(sequences(seen))
        assert client.ask("status")["state"] == "active"
        assert len([event for event in client.events if event["event"] == "notice"]) <= 100 * 0.1 + 2
        second.close()
        loses_nothing(other)


def test_a_token_that_reached_a_socket_on_its_way_to_another_client_is_not_lost(server):
    """Between bind and connect, the kernel may give another client's token to a client's socket: both have one port."""
    with WireClient(server.port) as client, WireClient(server.port) as newcomer:
        client.connect()
        token = newcomer.token = newcomer.ask("connect")["token"]
        (session,) = (s for s in server.server.table._sessions if s.state == "active")
        source = ("127.0.0.1", newcomer.media.getsockname()[1])
        server.loop.call_soon_threadsafe(session._media.path._on_datagram, token.encode(), source)
        assert newcomer.event("active")["port"] == source[1]
        assert len(newcomer.receive(for_s=0.2)) > 20


# -- addresses --------------------------------------------------------------------------------------------------


def test_media_comes_from_the_address_that_the_client_called():
    with running_server(host="0.0.0.0") as server, WireClient(server.port, host="127.0.0.5") as client:
        client.media.connect(client.server)  # like a firewall on the path: no datagram from another address comes in
        client.token = client.ask("connect")["token"]
        client.media.send(client.token.encode())
        assert client.event("active")
        assert_consecutive(sequences(client.receive(for_s=0.3, at_least=20)))


@pytest.mark.parametrize(("listen", "call"), [("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")])
def test_ipv6_end_to_end(listen, call):
    with (
        running_server(host=listen, token_interval_s=TOKEN_INTERVAL_S) as server,
        WireClient(server.port, host=call) as client,
    ):
        active = client.connect()
        assert active["address"] == (call if ":" in call else f"::ffff:{call}")
        datagrams = client.receive(for_s=0.3)
        assert sequences(datagrams)[0] == active["first_sequence"]
        assert client.ask("interrupt")["datagrams"] == len(datagrams + client.receive(for_s=0.1))
        client.media.close()
        client.media = client.new_media()
        client.send_token()
        client.ask("continue")
        assert len(client.receive(for_s=0.5)) > 20
