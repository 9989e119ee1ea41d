"""The real server over real sockets on loopback, with a synthetic source."""

import json
import socket
import time

import pytest

from flume.errors import NetworkError, SourceError
from flume.settings import ServerSettings
from support.clients.numbers import assert_consecutive
from support.clients.wire_client import WireClient, sequences
from support.media.synthetic import SyntheticSource
from support.servers.running_server import RunningServer, running_server


@pytest.fixture
def server():
    with running_server(token_interval_s=0.2, consent_timeout_s=1.0, keepalive_s=0.3, idle_control_s=1.0) as running:
        yield running


def other_client_loses_nothing(client: WireClient) -> None:
    client.send_token()
    numbers = sequences(client.receive(for_s=0.3))
    assert len(numbers) > 20
    assert_consecutive(numbers)


def test_the_four_commands_end_to_end(server):
    with WireClient(server.port) as client:
        active = client.connect()
        first = client.receive(for_s=0.5)
        assert sequences(first)[0] == active["first_sequence"]
        assert first[0][12] == 0x47
        assert first[0][13:15] == b"\x40\x00", "the first packet is the PAT"
        interrupted = client.ask("interrupt")
        numbers = sequences(first + client.receive(for_s=0.1))
        assert_consecutive(numbers)
        assert interrupted == {
            "reply": "interrupt",
            "state": "interrupted",
            "last_sequence": numbers[-1],
            "datagrams": len(numbers),
        }
        assert client.receive(for_s=0.3) == []
        client.send_token()
        continued = client.ask("continue")
        again = sequences(client.receive(for_s=0.5))
        assert again[0] == continued["first_sequence"] == (numbers[-1] + 1) % 65536, "the file waited for the client"
        assert_consecutive(again)
        disconnected = client.ask("disconnect")
        assert disconnected["state"] == "closed"
        again += sequences(client.receive(for_s=0.3))
        assert_consecutive(again)
        assert disconnected["last_sequence"] == again[-1]
        assert client.receive(for_s=0.2) == []
        assert client.connect()["state"] == "active", "the same connection can connect again"


def test_nothing_before_consent_and_the_session_ends_when_the_token_never_comes(server):
    with WireClient(server.port) as client:
        assert client.ask("connect")["state"] == "connecting"
        closed = client.event("closed", timeout_s=3)
        assert closed["code"] == "consent_expired"
        assert f"UDP port {server.port}" in closed["message"]
        assert client.receive(for_s=0.1) == []
        assert client.connect()["state"] == "active"


def test_a_client_that_does_not_answer_is_told_what_is_missing_and_can_have_the_stream_over_tcp(server):
    """Clients were written before ports had to prove anything."""
    with WireClient(server.port) as client:
        client.proves = False
        client.token = client.ask("connect")["token"]
        for _ in range(6):
            client.send_token()
            assert all(client.is_proof_request(data) for data in client.receive(for_s=0.02))
        notice = client.event("notice")
        assert (notice["code"], notice["state"]) == ("proof_missing", "connecting")
        closed = client.event("closed")
        assert closed["code"] == "consent_expired"
        for message in (notice["message"], closed["message"]):
            assert "the token came from 127.0.0.1" in message
            assert "is the client as new as the server?" in message
        assert client.ask("connect", transport="tcp")["state"] == "connecting"
        assert client.event("active")["state"] == "active"


def test_the_stream_stops_when_the_token_stops_coming(server):
    with WireClient(server.port) as client:
        client.connect()
        assert client.event("closed", timeout_s=3)["code"] == "consent_expired"
        client.receive(for_s=0.05)
        assert client.receive(for_s=0.3) == []


def test_a_token_from_another_address_starts_nothing_and_is_reported(server):
    with WireClient(server.port) as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.bind(("127.0.0.9", 0))
        token = client.ask("connect")["token"]
        for _ in range(50):
            thief.sendto(token.encode(), client.server)
        notice = client.event("notice")
        assert notice["code"] == "token_from_other_address"
        assert "127.0.0.9" in notice["message"]
        thief.settimeout(0.3)
        with pytest.raises(TimeoutError):
            thief.recv(2000)
        assert not client.events, "one notice a second, not one a datagram"
        client.token = token
        client.send_token()
        assert client.event("active")["address"] == "127.0.0.1"


@pytest.mark.parametrize("token", [b"", b"x", b"0" * 32, b"\xff" * 32, b"0" * 2000])
def test_datagrams_that_are_no_token_are_counted_and_change_nothing(server, token):
    with WireClient(server.port) as client:
        client.ask("connect")
        client.media.sendto(token, client.server)
        time.sleep(0.05)
        status = client.ask("status")
        assert status["state"] == "connecting"
        drops = status["server"]["drops"]
        assert drops.get("dropped_at_port", 0) + drops.get("unknown_token", 0) == 1


@pytest.mark.parametrize(
    ("sent", "code", "names"),
    [
        (b"interrupt\n", "malformed", "JSON object"),
        (b'{"command":"stop"}\n', "unknown_command", "connect, interrupt, continue"),
        (b'{"command":"connect","version":"one"}\n', "invalid", "version"),
        (b'{"command":"continue"}\n', "not_allowed_now", "send connect or status"),
        (b'{"command":"' + b"x" * 9000 + b'"}\n', "oversized", "4096"),
        (b'{"comm', "incomplete_line", "6 bytes"),
    ],
)
def test_bad_input_is_answered_by_name_and_costs_other_clients_nothing(server, sent, code, names):
    with WireClient(server.port) as good, WireClient(server.port) as bad:
        good.connect()
        bad.send_raw(sent)
        other_client_loses_nothing(good)
        error = bad.reply()  # for an unfinished line only after idle_control_s
        assert (error["reply"], error["code"]) == ("error", code)
        assert names in error["message"]
        assert error["allowed"] == ["connect", "status"]


def test_two_commands_in_one_packet_are_answered_in_order(server):
    with WireClient(server.port) as client:
        client.connect()
        client.send_raw(b'{"command":"interrupt"}\n{"command":"continue"}\n{"command":"status"}\n')
        assert [client.reply()["reply"] for _ in range(3)] == ["interrupt", "continue", "status"]


def test_a_command_may_come_a_byte_at_a_time(server):
    with WireClient(server.port) as client:
        for byte in b'{"command":"status"}\n':
            client.send_raw(bytes([byte]))
            time.sleep(0.001)
        assert client.reply()["reply"] == "status"


def test_a_flood_of_junk_is_cut_off_and_a_flood_of_commands_is_answered(server):
    with WireClient(server.port) as good, WireClient(server.port) as junk, WireClient(server.port) as busy:
        good.connect()
        junk.send_raw(b"\0junk\n" * 1000)
        replies = [junk.reply() for _ in range(17)]
        assert replies[-1]["code"] == "too_many_errors"
        busy.send_raw(b'{"command":"status"}\n' * 200)
        assert {busy.reply()["reply"] for _ in range(200)} == {"status"}, "though not at once"
        other_client_loses_nothing(good)


def test_a_client_that_does_not_read_its_replies_is_cut_off_and_no_other_client_waits(server):
    with WireClient(server.port) as good, WireClient(server.port) as deaf:
        good.connect()
        deaf.control.settimeout(0.2)
        with pytest.raises(OSError):  # noqa: PT011 - reset or full buffer: both end it
            deaf.send_raw(b'{"command":"status"}\n' * 400_000)
        other_client_loses_nothing(good)


def test_a_vanished_control_connection_stops_its_stream(server):
    with WireClient(server.port) as good, WireClient(server.port) as gone:
        good.connect()
        gone.connect()
        gone.control.close()
        time.sleep(0.1)
        gone.receive(for_s=0.05)
        assert gone.receive(for_s=0.2) == []
        other_client_loses_nothing(good)
        assert good.ask("status")["server"]["active"] == 1


def test_a_closed_media_port_ends_that_session_with_its_reason(server):
    with WireClient(server.port) as good, WireClient(server.port) as closed:
        good.connect()
        closed.connect()
        closed.media.close()
        assert closed.event("closed")["code"] == "port_unreachable"
        other_client_loses_nothing(good)


def test_silence_on_control_is_kept_alive_with_a_session_and_ended_without(server):
    with WireClient(server.port) as client, WireClient(server.port) as idle:
        client.connect()
        assert client.event("alive")["state"] == "active"
        assert idle.reply(timeout_s=3)["code"] == "idle"
        assert idle.line() == {}


def test_sessions_are_capped_in_total_and_per_address():
    with (
        running_server(max_sessions=3, max_sessions_per_address=2) as server,
        WireClient(server.port) as first,
        WireClient(server.port) as second,
        WireClient(server.port, source="127.0.0.3") as other,
    ):
        for client in (first, second, other):
            client.connect()
        with WireClient(server.port) as third, WireClient(server.port, source="127.0.0.4") as fourth:
            refused, full = third.line(), fourth.line()
        assert refused["code"] == "busy"
        assert "127.0.0.1 has 2 sessions" in refused["message"]
        assert "3 sessions" in full["message"]
        assert first.ask("status")["server"]["refused"] == {"address": 1, "sessions": 1}


def test_plain_ts_has_no_numbers(server):
    with WireClient(server.port) as client:
        assert client.connect(payload="ts")["first_sequence"] is None
        datagrams = client.receive(for_s=0.3)
        assert {len(datagram) for datagram in datagrams} == {1316}
        assert client.ask("interrupt")["last_sequence"] is None


def test_status_reports_the_session_and_the_server(server):
    with WireClient(server.port) as client:
        client.connect()
        seen = client.receive(for_s=0.3)
        client.ask("interrupt")
        seen += client.receive(for_s=0.1)
        status = client.ask("status")
        assert status["session"]["datagrams"] == len(seen)
        assert status["session"]["bytes"] == sum(map(len, seen))
        assert status["session"]["drops"] == {}
        assert status["server"]["sessions"] == 1
        assert status["server"]["active"] == 0
        assert status["server"]["ingest"] == "paused"
        assert status["server"]["source"] == "synthetic"


def test_without_active_clients_not_a_byte_is_read_and_no_cpu_time_is_used(server):
    with WireClient(server.port) as client:
        client.connect()
        client.receive(for_s=0.3)
        client.ask("interrupt")
        client.send_token()
        time.sleep(0.1)
        reads, cpu = server.source.reads, time.process_time()
        time.sleep(0.8)
        assert server.source.reads == reads
        assert time.process_time() - cpu < 0.05


def test_a_live_source_is_stopped_after_a_while_without_clients_and_started_once():
    source = SyntheticSource(live=True)
    with RunningServer(source) as server:
        assert source.reads == 0, "no client has asked yet"
        with WireClient(server.port) as client:
            client.connect()
            assert len(client.receive(for_s=1.0)) > 50
            client.ask("interrupt")
            client.ask("continue")
            assert (source.starts, source.stops) == (1, 0), "a short interruption is below the hysteresis"
            client.ask("interrupt")
            client.receive(for_s=2.5)
            assert (source.starts, source.stops) == (1, 1)
            client.send_token()
            first = client.ask("continue")["first_sequence"]
            datagrams = client.receive(for_s=1.0)
            assert sequences(datagrams)[0] == first
            assert datagrams[0][13:15] == b"\x40\x00", "the stream starts again with PAT and PMT"
            assert (source.starts, source.stops) == (2, 1)


def test_the_end_of_the_video_is_announced_and_ends_the_server():
    with RunningServer(SyntheticSource(frames=20)) as server, WireClient(server.port) as client:
        client.connect()
        closed = client.event("closed")
        assert closed["code"] == "source_ended"
        datagrams = client.receive(for_s=0.2)
        assert closed["last_sequence"] == sequences(datagrams)[-1]
        assert_consecutive(sequences(datagrams))
        server._thread.join(5)
        assert server.ended == "every item was played once"


def test_shutdown_is_announced_and_nothing_follows(server):
    with WireClient(server.port) as client, WireClient(server.port) as idle:
        client.connect()
        server.stop()
        closed = client.event("closed")
        assert closed["code"] == "shutdown"
        assert idle.line()["code"] == "shutdown"
        assert client.line() == {}
        datagrams = client.receive(for_s=0.2)
        assert not datagrams or sequences(datagrams)[-1] == closed["last_sequence"]


def test_a_port_in_use_is_one_clear_line(server):
    with pytest.raises(NetworkError, match=rf"TCP 127.0.0.1 port {server.port}: another program has it"):
        RunningServer(settings=ServerSettings(host="127.0.0.1", port=server.port)).__enter__()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(NetworkError, match=rf"UDP 127.0.0.1 port {port}: another program has it"):
            RunningServer(settings=ServerSettings(host="127.0.0.1", port=port)).__enter__()


def test_a_source_with_nothing_to_give_does_not_start():
    with pytest.raises(SourceError, match="played once"):
        RunningServer(SyntheticSource(frames=0)).__enter__()


def test_lines_are_json_that_a_person_can_read(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as control:
        control.sendall(b'{"command":"status"}\n')
        line = control.makefile("rb").readline()
        assert json.loads(line)["reply"] == "status"


def test_what_was_asked_before_a_half_close_is_answered(server):
    with WireClient(server.port) as client:
        client.send_raw(b'{"command":"status"}\n{"command":"status"}\n')
        client.control.shutdown(socket.SHUT_WR)
        assert [client.reply()["reply"] for _ in range(2)] == ["status", "status"]
        assert client.line() == {}


def test_a_half_closed_control_connection_ends_its_stream(server):
    with WireClient(server.port) as client:
        client.connect()
        client.control.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        client.receive(for_s=0.05)
        assert client.receive(for_s=0.2) == []
