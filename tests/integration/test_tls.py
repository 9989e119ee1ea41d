"""TLS on the control connection: who understands whom, and the one line for each case where they do not."""

import contextlib
import itertools
import socket
import threading
import time
from pathlib import Path

import pytest
import trustme

from flume.client.health import check_server
from flume.client.session.control_link import PLAIN, AccessChoice
from flume.control import messages
from flume.doctor.examination import Examination
from flume.errors import NetworkError
from flume.settings import ServerSettings
from support.clients.numbers import assert_consecutive
from support.clients.players import wait_until
from support.clients.rtsp_client import RtspClient
from support.clients.stream_client import StreamClient
from support.clients.watcher import Watcher
from support.clients.wire_client import WireClient, sequences
from support.media.synthetic import SyntheticSource
from support.servers import certificates
from support.servers.running_server import RunningServer, running_server


@pytest.fixture
def files(tmp_path: Path) -> certificates.Files:
    return certificates.write(tmp_path)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_client_verifies_the_server_and_receives_the_stream(files, transport):
    with (
        running_server(tls_certificate=files.certificate) as server,
        Watcher(server.port, tls=True, ca=files.ca, transport=transport) as watcher,
    ):
        watcher.connect()
        wait_until("the stream comes", lambda: watcher.client.statistics().datagrams > 200)
        reply = watcher.client.interrupt()
        assert isinstance(reply, messages.Interrupted)
        seen = watcher.client.statistics()
        assert (seen.lost, seen.unexpected, seen.datagrams) == (0, 0, reply.datagrams)
        status = watcher.client.status()
        assert isinstance(status, messages.Status)
        assert (status.session.transport, status.server.refused) == (transport, {})


def failure(port: int, host: str = "127.0.0.1", **changes: object) -> str:
    with Watcher(port, host=host, reconnect=False, **changes) as watcher:
        with pytest.raises(NetworkError) as raised:
            watcher.client.connect()
        return str(raised.value)


@pytest.mark.parametrize("case", ["expired", "unknown issuer", "wrong name", "wrong address"])
def test_a_certificate_that_cannot_be_verified_is_refused_with_the_reason(tmp_path, case):
    names = {"wrong name": ["server.example"], "wrong address": ["localhost"]}.get(case, [])
    files = certificates.write(tmp_path, *names, expired=case == "expired")
    host = "localhost" if case == "wrong name" else "127.0.0.1"
    ca = files.ca
    if case == "unknown issuer":
        ca = str(tmp_path / "another.pem")
        trustme.CA().cert_pem.write_to_path(ca)
    with running_server(tls_certificate=files.certificate) as server:
        said = failure(server.port, host, tls=True, ca=ca)
        wait_until("it is counted", lambda: server.server.status().refused == {"tls_handshake": 1})
        wait_until("its place is free", lambda: len(server.server.table._admission) == 0)
    expected = {
        "expired": "its certificate has expired",
        "unknown issuer": "an issuer that is not known here: give the issuer's with --ca FILE",
        "wrong name": "its certificate is for another name",
        "wrong address": "its certificate is for another name",
    }
    assert said.startswith(f"no TLS with {host}: ")
    assert expected[case] in said
    assert "\n" not in said


def test_the_issuers_of_the_system_are_believed_by_default_and_ours_is_none_of_them(files):
    with running_server(tls_certificate=files.certificate) as server:
        assert "an issuer that is not known here" in failure(server.port, tls=True)


def test_a_server_without_tls_says_so_to_a_client_with_it():
    with running_server() as server:
        assert "it speaks no TLS: leave --tls away" in failure(server.port, tls=True)
        assert server.server.status().refused == {"no_tls": 1}


def test_a_server_with_tls_says_so_to_a_client_without_it(files):
    with running_server(tls_certificate=files.certificate) as server:
        with Watcher(server.port, reconnect=False) as watcher:
            reply = watcher.client.connect()
        assert isinstance(reply, messages.Refused)
        assert (reply.code, reply.message) == (
            "tls_required",
            "this server speaks TLS and nothing else: connect with --tls",
        )
        assert server.server.status().refused == {"tls_required": 1}


def test_a_server_with_tls_says_so_to_a_player_in_its_own_words(files):
    with running_server(tls_certificate=files.certificate) as server, RtspClient(server.port) as player:
        response = player.ask("OPTIONS")
        assert (response.status, response.cseq) == (503, 1)
        assert response.headers["x-reason"] == "this server speaks TLS and nothing else: connect with --tls"
        assert player.response() is None, "the connection ends"
        assert server.server.status().refused == {"tls_required": 1}


@pytest.mark.parametrize(
    ("answer", "says"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks no TLS"), (b"", "it closed the connection")],
)
def test_another_program_on_the_port_is_named_as_such(answer, says):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        said = failure(listening.getsockname()[1], tls=True)
        thread.join()
    assert says in said


def test_a_program_that_says_nothing_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = failure(silent.getsockname()[1], tls=True, connect_timeout_s=0.3)
    assert "did not answer the TLS handshake in time" in said


def test_a_denied_address_and_a_full_server_are_told_so_by_an_alert(files):
    with running_server(tls_certificate=files.certificate, deny=("127.0.0.1",)) as server:
        assert "it does not serve this address" in failure(server.port, tls=True, ca=files.ca)
    with (
        running_server(tls_certificate=files.certificate, max_sessions=1) as server,
        WireClient(server.port, tls=files.client) as first,
    ):
        first.connect()
        assert "it has no room for another client now" in failure(server.port, tls=True, ca=files.ca)


# -- handshakes that do not end -----------------------------------------------------------------------------------


def test_a_handshake_that_does_not_end_is_ended_and_counted(files):
    with running_server(tls_certificate=files.certificate, tls_handshake_s=0.3) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as half_open:
            half_open.sendall(b"\x16\x03\x01")
            assert half_open.recv(100) == b""
        assert server.server.status().refused == {"tls_timeout": 1}
        assert len(server.server.table._admission) == 0


def test_handshakes_that_do_not_end_give_way_to_clients_that_want_something(files):
    with running_server(tls_certificate=files.certificate, max_half_open=8) as server:
        begun = []
        for _ in range(20):
            begun.append(socket.create_connection(("127.0.0.1", server.port), 10, ("127.0.0.2", 0)))
            begun[-1].sendall(b"\x16\x03\x01")
        with WireClient(server.port, tls=files.client) as client:
            client.connect()
            refused = client.ask("status")["server"]["refused"]
        assert refused["gave_way"] >= 12
        with contextlib.suppress(ConnectionResetError):  # it had to leave before its bytes were read
            assert begun[0].recv(100)[:1] in {b"\x15", b""}, "an alert says so"
        for connection in begun:
            connection.close()
        wait_until("no handshake is left", lambda: not server.server._listener._handshakes)


def test_handshakes_of_one_address_are_bounded(files, monkeypatch):
    monkeypatch.setattr("flume.server.fronts.listening.HANDSHAKES_PER_S", 0.001)
    with running_server(tls_certificate=files.certificate, max_sessions_per_address=3) as server:
        for _ in range(3):
            WireClient(server.port, tls=files.client).close()
        said = failure(server.port, tls=True, ca=files.ca)
        assert "it has no room" in said
        with WireClient(server.port, tls=files.client, source="127.0.0.2") as other:
            other.connect()
            assert other.ask("status")["server"]["refused"] == {"too_many_handshakes": 1}


@pytest.mark.parametrize("beginning", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\x05hello"])
def test_a_server_ends_while_handshakes_are_under_way(files, beginning):
    with running_server(tls_certificate=files.certificate) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as begun:
            begun.sendall(beginning)
            wait_until("it has a place", lambda: len(server.server.table._admission) == 1 or beginning[-1:] == b"o")
            began_s = time.monotonic()
            server.stop()
            assert time.monotonic() - began_s < 8
        assert server.ended == "asked to stop"


# -- as without TLS -----------------------------------------------------------------------------------------------


def test_commands_that_come_before_the_client_closes_its_side_are_answered(files):
    with running_server(tls_certificate=files.certificate) as server, WireClient(server.port, tls=files.client) as one:
        one.send_raw(b'{"command":"status"}\n' * 3)
        socket.socket.shutdown(one.control, socket.SHUT_WR)  # that of the TCP connection
        assert [one.line()["reply"] for _ in range(3)] == ["status"] * 3
        assert one.line() == {}


def test_a_long_line_and_a_flood_are_bounded_as_without_tls(files):
    with running_server(tls_certificate=files.certificate) as server, WireClient(server.port, tls=files.client) as one:
        one.send_raw(b"x" * 100_000 + b"\n" + b'{"command":"status"}\n' * 150)
        assert one.reply()["code"] == "oversized"
        for _ in range(150):
            assert one.reply(timeout_s=20)["reply"] == "status"
        refused = server.server.status().refused
        assert refused["oversized"] == 1
        assert refused["commands"] > 0


def test_no_frame_follows_the_reply_and_none_is_missing(files):
    with running_server(tls_certificate=files.certificate) as server:
        connection = files.client.wrap_socket(socket.socket(), server_hostname="127.0.0.1")
        with StreamClient(server.port, connection=connection) as client:
            for _ in range(3):
                client.connect()
                client.read_packets(50)
                before = len(client.packets())
                client.send("interrupt")
                reply = client.until(lambda message: message.get("reply") == "interrupt")
                assert client.packets()[-1] == reply["last_sequence"]
                assert isinstance(client.items[-1], dict), "the reply is the last thing that comes"
                window = client.packets()[-reply["datagrams"] :]
                assert len(client.packets()) >= before
                assert_consecutive(window)
                client.ask("disconnect")


def test_a_client_that_does_not_read_costs_other_clients_nothing(files):
    connection = files.client.wrap_socket(socket.socket(), server_hostname="127.0.0.1")
    with (
        RunningServer(
            SyntheticSource(bitrate_kbit=8000),
            ServerSettings(host="127.0.0.1", port=0, tls_certificate=files.certificate),
        ) as server,
        StreamClient(server.port, connection=connection, receive_buffer_bytes=8192) as slow,
        WireClient(server.port, tls=files.client) as quick,
    ):
        slow.connect()
        quick.connect()
        received: list[bytes] = []
        while not server.server._tcp.drops["tcp_behind"]:  # the slow client reads little meanwhile
            quick.send_token()
            received += quick.receive(for_s=0.2)
            slow.read(2048)
        assert_consecutive(sequences(received))
        (recipient,) = server.server._tcp._recipients
        assert recipient.sink._transport.get_write_buffer_size() < 64 << 10  # type: ignore[attr-defined]


def test_random_bytes_in_the_place_of_records_end_their_connection_alone(files):
    with (
        running_server(tls_certificate=files.certificate) as server,
        WireClient(server.port, tls=files.client) as other,
    ):
        other.connect()
        with WireClient(server.port, tls=files.client) as broken:
            raw = socket.socket(fileno=broken.control.detach())
            raw.settimeout(10)
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(range(32)))
            while raw.recv(4096):
                pass  # an alert
            raw.close()
        assert other.ask("interrupt")["reply"] == "interrupt"


# -- renewal, health check, doctor ----------------------------------------------------------------------------------


def test_a_renewed_certificate_is_used_for_the_next_connection(files, tmp_path, monkeypatch):
    monkeypatch.setattr("flume.server.access.certificates.CHECK_S", 0.0)
    with (
        running_server(tls_certificate=files.certificate) as server,
        WireClient(server.port, tls=files.client) as before,
    ):
        first = before.control.getpeercert(binary_form=True)  # type: ignore[attr-defined]
        Path(files.certificate).write_text("half a file")
        with WireClient(server.port, tls=files.client) as meanwhile:
            assert meanwhile.control.getpeercert(binary_form=True) == first  # type: ignore[attr-defined]
        certificates.write(tmp_path)
        with WireClient(server.port, tls=files.client) as after:
            assert after.control.getpeercert(binary_form=True) != first  # type: ignore[attr-defined]
        assert before.ask("status")["reply"] == "status"


def test_the_health_check_speaks_tls(files):
    with running_server(tls_certificate=files.certificate) as server:
        assert check_server("127.0.0.1", server.port, timeout_s=5, access=AccessChoice(tls=True, ca=files.ca))[0]
        is_healthy, line = check_server("127.0.0.1", server.port, timeout_s=5)
        assert not is_healthy
        assert "this server speaks TLS and nothing else" in line


def control_finding(port: int, access: AccessChoice) -> tuple[str, str]:
    legs = Examination("127.0.0.1", port, access=access).legs()
    finding = next(leg for leg in legs if leg.leg == "control")
    legs.close()
    return finding.finding, f"{finding.detail} {finding.remedy}"


def test_the_doctor_says_what_it_sees_at_a_server_with_tls(files):
    with running_server(tls_certificate=files.certificate) as server:
        finding, says = control_finding(server.port, PLAIN)
        assert finding == "tls_required"
        assert "give --tls" in says
        finding, says = control_finding(server.port, AccessChoice(tls=True))
        assert finding == "tls_failed"
        assert "not known here: give the issuer's with --ca FILE" in says
        legs = Examination("127.0.0.1", server.port, access=AccessChoice(tls=True, ca=files.ca)).legs()
        weights = {leg.leg: leg.weight for leg in itertools.takewhile(lambda leg: leg.leg != "nat", legs)}
        legs.close()
        assert weights["udp_out"] == "well"
        assert set(weights.values()) == {"well"}
    with running_server() as server:
        finding, says = control_finding(server.port, AccessChoice(tls=True, ca=files.ca))
        assert finding == "tls_failed"
        assert "it speaks no TLS: leave --tls away" in says
