"""Players that speak RTSP at the real server on loopback: delivery, its limits, reports, and what else comes there."""

import json
import socket
import ssl
import struct
import time

import pytest

from flume.lab.machine.process import wait_until
from support.attacks.beside import Honest, attack, attacked_server
from support.clients.numbers import assert_consecutive
from support.clients.rtsp_client import RtspClient, sequences
from support.clients.wire_client import WireClient
from support.ports import free_port
from support.servers.running_server import running_server


@pytest.fixture(scope="module")
def server():
    with running_server() as running:
        yield running


# -- delivery ---------------------------------------------------------------------------------------------------


def test_over_udp_the_stream_begins_as_announced_and_nothing_follows_the_answers(server):
    with RtspClient(server.port) as client:
        setup = client.setup()
        assert f"server_port={server.port}" in setup.headers["transport"]
        assert client.receive(for_s=0.1) == [], "nothing comes before PLAY"
        received: list[int] = []
        for method in ("PAUSE", "PAUSE", "TEARDOWN"):
            first = client.play()
            datagrams = client.receive(for_s=10, at_least=60)
            assert client.ask(method).status == 200
            numbers = sequences(datagrams + client.the_rest())
            assert numbers[0] == first
            assert_consecutive(numbers)
            assert not set(received) & set(numbers), "it goes on from now"
            received += numbers
            assert client.receive(for_s=0.2) == []


def test_on_the_connection_too_and_its_answers_stand_behind_the_last_packet(server):
    with RtspClient(server.port) as client:
        client.setup_tcp()
        for method in ("PAUSE", "PAUSE", "TEARDOWN"):
            first = client.play()
            packets = client.receive_frames(60)
            assert client.ask(method).status == 200
            numbers = sequences(packets + client.frames)
            client.frames.clear()
            assert numbers[0] == first
            assert_consecutive(numbers)
            time.sleep(0.1)
            assert client.ask("OPTIONS").status == 200
            assert client.frames == [], "no packet between the answers"
        assert client.receive(for_s=0.05) == [], "and none over UDP"


def test_requests_while_it_plays_stand_between_whole_packets(server):
    with RtspClient(server.port) as client:
        client.setup_tcp()
        client.play()
        for _ in range(30):
            client.send(client.request("GET_PARAMETER"), b"$\1\0\x08" + bytes(8))
            response = client.response()
            assert response is not None
            assert response.status == 200
        assert_consecutive(sequences(client.receive_frames(len(client.frames) + 50)))


@pytest.mark.parametrize(("listen", "call"), [("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")])
def test_ipv6(listen: str, call: str):
    with running_server(host=listen) as server, RtspClient(server.port, host=call) as client:
        client.setup()
        first = client.play()
        numbers = sequences(client.receive(for_s=10, at_least=30))
        assert numbers[0] == first
        assert_consecutive(numbers)


def test_players_stand_in_the_live_group_of_our_own_clients(server):
    """A group is sent to in one system call a tick, whatever its members speak."""
    with RtspClient(server.port) as player, WireClient(server.port) as client:
        player.setup()
        player.play()
        client.connect()
        groups = server.server._fanout._delivery._groups

        def sizes() -> list[int]:
            return [len(group) for group in tuple(groups.values()) if len(group)]

        assert wait_until(lambda: sizes() == [2], timeout_s=10, interval_s=0.01), sizes()


# -- scripted imitations of players -----------------------------------------------------------------------------


def test_the_conversation_of_live555(monkeypatch: pytest.MonkeyPatch):
    """VLC with live555: all methods, aggregate addresses, receiver reports, a keep-alive, a pause."""
    monkeypatch.setattr("flume.server.fronts.sender_reports.INTERVAL_S", 0.2)
    agent = "User-Agent: LibVLC/3.0.23 (LIVE555 Streaming Media v2016.11.28)"
    with running_server() as server, RtspClient(server.port) as client:
        client.cseq = 1
        rtcp = port_above(client)
        options = client.ask("OPTIONS", agent)
        assert {"DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"} <= {
            *options.headers["public"].split(", ")
        }
        described = client.ask("DESCRIBE", agent, "Accept: application/sdp")
        assert described.headers["content-type"] == "application/sdp"
        base, lines = described.headers["content-base"], described.body.decode().split("\r\n")
        assert base.endswith("/")
        assert "m=video 0 RTP/AVP 33" in lines
        (length,) = (line.partition("npt=0-")[2] for line in lines if line.startswith("a=range:"))
        assert float(length) > 0, "it offers a pause only for a stream that ends"
        control = [line.partition(":")[2] for line in lines if line.startswith("a=control:")][-1]
        port = client.media.getsockname()[1]
        transport = f"Transport: RTP/AVP;unicast;client_port={port}-{port + 1}"
        setup = client.ask("SETUP", agent, transport, uri=base + control)
        assert setup.headers["session"].partition(";timeout=")[2].isdigit()
        ports = setup.headers["transport"].partition("server_port=")[2].partition(";")[0]
        media_port, rtcp_port = map(int, ports.split("-"))
        assert rtcp_port == media_port + 1
        client.media.sendto(b"\xce\xfa\xed\xfe", (client.server[0], media_port))
        rtcp.sendto(b"\xce\xfa\xed\xfe", (client.server[0], rtcp_port))
        played = client.ask("PLAY", agent, "Range: npt=0.000-", uri=base)
        assert played.headers["rtp-info"].startswith(f"url={base}{control};seq=")
        ssrc = sender_report(rtcp, client.receive(for_s=10, at_least=60))
        report = struct.pack("!BBHIIIIIII", 0x81, 201, 7, 99, ssrc, 1 << 24 | 3, 70, 5, 0, 0)
        rtcp.sendto(report, (client.server[0], rtcp_port))
        assert client.ask("GET_PARAMETER", agent, uri=base).status == 200
        assert client.ask("PAUSE", agent, uri=base).status == 200
        client.the_rest()
        assert client.receive(for_s=0.3) == []
        client.play()
        assert_consecutive(sequences(client.receive(for_s=10, at_least=30)))
        assert client.ask("TEARDOWN", agent, uri=base).status == 200
        client.the_rest()
        assert client.receive(for_s=0.2) == []
        rtcp.close()


def port_above(client: RtspClient) -> socket.socket:
    """Return a socket on the port above that of the media, which is even; the media's own is replaced if need be."""
    while True:
        port = client.media.getsockname()[1]
        above = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if port % 2 == 0:
                above.bind(("127.0.0.1", port + 1))
                above.settimeout(10)
                return above
        except OSError:
            pass
        above.close()
        client.media.close()
        client.media = client.new_media()


def sender_report(rtcp: socket.socket, media: list[bytes]) -> int:
    """Read one report, and check that it is of the stream of *media*; return its SSRC."""
    data = rtcp.recv(1500)
    head, kind, words, ssrc, ntp_s, _, rtp_time, datagrams, octets = struct.unpack_from("!BBHIIIIII", data)
    assert (head >> 6, kind, words) == (2, 200, 6)
    assert abs(ntp_s - 2_208_988_800 - time.time()) < 60
    assert data[28:30] == b"\x81\xca", "its name follows"
    newest_time, its_ssrc = struct.unpack_from("!II", media[-1], 4)
    assert ssrc == its_ssrc
    assert (rtp_time - newest_time + (1 << 31)) % (1 << 32) - (1 << 31) < 90_000 * 30
    assert octets == datagrams * (len(media[0]) - 12)
    return ssrc


def test_a_player_that_is_refused_udp_takes_tcp_on_the_same_connection(server):
    """GStreamer and live555 after a 461: the next transport of their list."""
    with RtspClient(server.port) as client:
        assert client.setup("RTP/AVP;multicast").status == 461
        assert client.setup("RTP/SAVP;unicast;client_port=9000-9001").status == 461
        client.setup_tcp()
        first = client.play()
        assert sequences(client.receive_frames(20))[0] == first


def test_a_server_without_udp_says_so_and_plays_on_the_connection():
    with running_server(rtsp_udp=False) as server, RtspClient(server.port) as client:
        refused = client.setup()
        assert refused.status == 461
        assert "RTP/AVP/TCP" in refused.headers["x-reason"]
        assert client.ask("PLAY").status == 455
        client.setup(f"{client.udp},RTP/AVP/TCP;unicast;interleaved=0-1")
        first = client.play()
        assert sequences(client.receive_frames(20))[0] == first
        assert client.receive(for_s=0.1) == []


def test_the_conversation_of_sat_ip(server):
    """Debian's VLC: SETUP and PLAY alone, from number 0 on, addresses in small letters."""
    with RtspClient(server.port) as client:
        client.cseq = -1
        client.setup()
        played = client.ask("PLAY", uri=f"{client.uri}stream=0")
        assert (played.status, played.cseq) == (200, 1)
        assert len(client.receive(for_s=10, at_least=20)) == 20


# -- the end ----------------------------------------------------------------------------------------------------


def test_a_pause_longer_than_every_timeout_ends_nothing(monkeypatch: pytest.MonkeyPatch):
    for name, value in (("KEEPALIVE_IDLE_S", 1), ("KEEPALIVE_INTERVAL_S", 1), ("KEEPALIVE_COUNT", 1)):
        monkeypatch.setattr(f"flume.server.fronts.rtsp.{name}", value)
    monkeypatch.setattr("flume.server.fronts.connection.USER_TIMEOUT_MS", 1000)
    with (
        running_server(idle_control_s=0.3, consent_timeout_s=0.5, token_interval_s=0.2) as server,
        RtspClient(server.port) as over_udp,
        RtspClient(server.port) as over_tcp,
    ):
        over_udp.setup()
        over_tcp.setup_tcp()
        for client in (over_udp, over_tcp):
            client.play()
            assert client.ask("PAUSE").status == 200
            client.the_rest()
            client.frames.clear()
        time.sleep(3.5)
        over_udp.play()
        assert_consecutive(sequences(over_udp.receive(for_s=10, at_least=20)))
        over_tcp.play()
        assert_consecutive(sequences(over_tcp.receive_frames(20)))


def test_a_connection_without_a_session_is_idle_and_is_closed():
    with running_server(idle_control_s=0.3) as server, RtspClient(server.port) as client:
        client.setup()
        client.wait_for_end(timeout_s=10)
        assert server.server.status().refused == {"idle": 1}


@pytest.mark.parametrize("paused", [False, True])
def test_a_closed_udp_port_ends_the_session_and_its_connection(server, paused: bool):
    with RtspClient(server.port) as client:
        client.setup()
        client.play()
        client.receive(for_s=10, at_least=5)
        if paused:
            client.ask("PAUSE")
        client.media.close()
        if paused:
            client.play()
        client.wait_for_end(timeout_s=10)


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
def test_the_stream_over_udp_ends_with_the_connection(server, reset: bool):
    with RtspClient(server.port) as client:
        client.setup()
        client.play()
        client.receive(for_s=10, at_least=5)
        media, client.media = client.media, client.new_media()
        client.close(reset=reset)
        client.media = media
        client.the_rest()
        assert client.receive(for_s=0.3) == []
        media.close()


def test_the_end_of_the_server_is_said_by_rtcp_and_by_the_end_of_the_connection():
    with running_server() as server, RtspClient(server.port) as client, RtspClient(server.port) as over_tcp:
        rtcp = port_above(client)
        port = client.media.getsockname()[1]
        client.setup(f"RTP/AVP;unicast;client_port={port}-{port + 1}")
        over_tcp.setup_tcp()
        for one in (client, over_tcp):
            one.play()
        client.receive(for_s=10, at_least=5)
        server.loop.call_soon_threadsafe(server.server.stop)
        client.wait_for_end(timeout_s=10)
        over_tcp.wait_for_end(timeout_s=10)
        bye = b"\x81\xcb\0\1"
        assert bye in rtcp.recv(1500)
        assert bye in over_tcp.rtcp[-1]
        rtcp.close()


# -- what else comes to the port --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10_000, 1 << 20])
def test_a_request_without_an_end_is_answered_before_the_connection_closes(server, size: int):
    with RtspClient(server.port) as client:
        client.send(b"OPTIONS " + b"x" * size)
        response = client.response()
        assert response is not None
        assert response.status == 413
        assert client.response() is None


def test_json_http_and_tls_have_their_own_answers_on_the_same_port(server):
    with RtspClient(server.port) as player:
        player.setup()
        player.play()
        with WireClient(server.port) as client:
            client.connect()
            client.receive(for_s=10, at_least=10)
            assert client.ask("interrupt")["state"] == "interrupted"
        with RtspClient(server.port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            response = client.response()
            assert response is not None
            assert response.status == 505
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw, pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(raw, server_hostname="a")
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(b"\x16\x03\x01\0\x05hello")
            assert json.loads(raw.makefile("rb").readline())["code"] == "no_tls"
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(b"hello\n")
            assert json.loads(raw.makefile("rb").readline())["code"] == "malformed"
        assert_consecutive(sequences(player.receive(for_s=0.3)))


def test_without_rtsp_a_player_is_told_so_in_json():
    with running_server(rtsp=False) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        assert json.loads(raw.makefile("rb").readline())["code"] == "malformed"


def test_players_and_other_clients_share_caps_and_counts():
    with (
        running_server(max_sessions_per_address=3) as server,
        RtspClient(server.port) as over_udp,
        RtspClient(server.port) as over_tcp,
        WireClient(server.port) as client,
    ):
        over_udp.setup()
        over_tcp.setup_tcp()
        for player in (over_udp, over_tcp):
            player.play()
        client.connect()
        status = client.ask("status")["server"]
        assert (status["sessions"], status["active"]) == (3, 3)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one_more:
            assert json.loads(one_more.makefile("rb").readline())["code"] == "busy", "whatever it would have spoken"
        over_tcp.ask("TEARDOWN")
        assert client.ask("status")["server"]["sessions"] == 2
        over_udp.close()
        over_tcp.close()
        with RtspClient(server.port) as player:
            player.setup()
            player.play()
            assert len(player.receive(for_s=10, at_least=5)) == 5


def test_a_flood_of_punches_keeps_no_token_away_and_moves_no_stream(record_property):
    port = free_port()
    with attacked_server(port) as process, Honest(port) as honest, RtspClient(port, source="127.1.0.1") as player:
        player.ask("OPTIONS")
        player.setup()
        with attack("rtsp_punches", port, for_s=6, count=8):
            player.punch()
            assert player.play() == sequences(player.receive(for_s=5, at_least=1))[0], "it is at an attacker's address"
            outcome = honest.watch(for_s=2.5)
    outcome.is_well(at_least=300)
    assert outcome.server["drops"]["dropped_at_port"] > 1000, "an attacker beside busy loops sent 6,000 in all"
    record_property("measured", f"{outcome.server['drops']['dropped_at_port']:,} dropped in the kernel")
    assert b"Traceback" not in process.said  # type: ignore[attr-defined]


def test_a_flood_at_the_port_of_rtcp_keeps_no_token_away():
    port = free_port(above=1)
    with attacked_server(port), Honest(port) as honest, RtspClient(port) as player:
        assert f"server_port={port}-{port + 1};" in player.setup().headers["transport"]
        with attack("junk", port + 1, for_s=4, count=1200):
            outcome = honest.watch(for_s=2.5)
    outcome.is_well(at_least=300)


def test_floods_and_half_open_players_cost_a_watching_client_nothing(record_property):
    port = free_port()
    with (
        attacked_server(port) as process,
        Honest(port) as honest,
        attack("rtsp_half_open", port, for_s=20, count=600),
        attack("rtsp_requests", port, for_s=2.5, count=40),
    ):
        outcome = honest.watch(for_s=2.5)
    assert len(outcome.datagrams) >= 300
    assert_consecutive(outcome.datagrams)
    assert outcome.failures == [], "newcomers join"
    assert outcome.joins_s
    record_property("measured", f"0 of {len(outcome.datagrams):,} datagrams lost")
    assert outcome.server["refused"]["commands"] > 0
    assert outcome.server["refused"]["gave_way"] > 0
    assert b"Traceback" not in process.said  # type: ignore[attr-defined]
