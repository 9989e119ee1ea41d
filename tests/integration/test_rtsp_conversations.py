"""Whole conversations as players have them, and all that they may not send, beside clients that lose nothing."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.lab.evidence.facts import Subject
from integration.test_promise import PORT, failed, judged
from support.clients.bad_rtsp import BAD, GOOD, LAST, NOT_RTSP, TRANSPORTS
from support.clients.numbers import assert_complete, assert_consecutive
from support.clients.players import wait_until
from support.clients.random_player import player
from support.clients.rtsp_client import RtspClient, sequences
from support.clients.rtsp_reading import packet
from support.clients.wire_client import WireClient
from support.namespaces import Tcpdump, WirePair, client_address
from support.servers.inside import ServerInside
from support.servers.running_server import running_server

LIVE555 = "User-Agent: LibVLC/3.0.23 (LIVE555 Streaming Media v2016.11.28)"
GSTREAMER = "User-Agent: GStreamer/1.22.0"
DUMMY = b"\xce\xfa\xed\xfe"
INTERLEAVED = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"


def report(media: bytes) -> bytes:
    """A receiver report about the stream of *media*: of 256, 1 lost lately, and 3 in all."""
    return struct.pack("!BBHI", 0x81, 201, 7, 99) + media[8:12] + struct.pack("!IIIII", 1 << 24 | 3, 70, 5, 0, 0)


# -- judged from a capture --------------------------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[WirePair]:
    with WirePair(clients=1) as made:
        yield made


def live555(client: RtspClient, server: ServerInside) -> None:
    """VLC with live555: all methods, aggregate addresses; where UDP is refused by 461, TCP on the same connection."""
    client.cseq = 1
    assert "GET_PARAMETER" in client.ask("OPTIONS", LIVE555).headers["public"]
    described = client.ask("DESCRIBE", LIVE555, "Accept: application/sdp")
    base = described.headers["content-base"]
    control = described.body.decode().partition("a=control:stream")[2].split()[0]
    track = f"{base}stream{control}"
    port = client.media.getsockname()[1]
    transport = f"Transport: RTP/AVP;unicast;client_port={port}-{port + 1}"
    over_tcp = client.ask("SETUP", LIVE555, transport, uri=track).status == 461
    if over_tcp:
        assert client.ask("SETUP", LIVE555, INTERLEAVED, uri=track).status == 200
    else:
        for _ in range(2):
            client.media.sendto(DUMMY, client.server)
    for begin in (("Range: npt=0.000-",), ("Range: npt=3.000-",)):
        played = client.ask("PLAY", LIVE555, *begin, uri=base)
        assert f"url={track};seq=" in played.headers["rtp-info"]
        media = client.receive_frames(60) if over_tcp else client.receive(for_s=10, at_least=60)
        if over_tcp:
            client.send(packet(1, report(media[0])))
            wait_until("its report is read", lambda: server.server.status().receivers)
        assert client.ask("GET_PARAMETER", LIVE555, uri=base).status == 200
        assert client.ask("PAUSE", LIVE555, uri=base).status == 200
        media += client.frames if over_tcp else client.the_rest()
        client.frames.clear()
        assert_complete(sequences(media))
        time.sleep(0.2)
    assert client.ask("TEARDOWN", LIVE555, uri=base).status == 200
    assert client.frames == []


def gstreamer(client: RtspClient, server: ServerInside) -> None:
    """rtspsrc: after 461 multicast and then TCP; a keep-alive without a body; PAUSE before TEARDOWN."""
    assert client.ask("OPTIONS", GSTREAMER).status == 200
    base = client.ask("DESCRIBE", GSTREAMER, "Accept: application/sdp").headers["content-base"]
    port = client.media.getsockname()[1]
    wanted = (f"RTP/AVP;unicast;client_port={port}-{port + 1}", "RTP/AVP;multicast", "RTP/AVP/TCP;interleaved=0-1")
    answers = []
    for transport in wanted:
        answers.append(client.ask("SETUP", GSTREAMER, f"Transport: {transport}", uri=f"{base}stream=0").status)
        if answers[-1] == 200:
            break
    over_tcp = server.settings.rtsp_udp is False
    assert answers == ([461, 461, 200] if over_tcp else [200])
    assert client.ask("PLAY", GSTREAMER, "Range: npt=0-", uri=base).status == 200
    for _ in range(5 if not over_tcp else 0):
        client.media.sendto(bytes(range(200)), client.server)
    media = client.receive_frames(60) if over_tcp else client.receive(for_s=10, at_least=60)
    assert client.ask("GET_PARAMETER", GSTREAMER, uri=base).status == 200
    assert client.ask("PAUSE", GSTREAMER, uri=base).status == 200
    assert_complete(sequences(media + (client.frames if over_tcp else client.the_rest())))
    client.frames.clear()
    assert client.ask("TEARDOWN", GSTREAMER, uri=base).status == 200


@pytest.mark.wire
@pytest.mark.parametrize("udp", [True, False], ids=["udp", "461"])
@pytest.mark.parametrize("talk", [live555, gstreamer])
def test_a_conversation_passes_the_judge(pair: WirePair, tmp_path: Path, talk, udp: bool, record_property):
    began_s = time.time()
    with (
        ServerInside(pair, port=PORT, rtsp_udp=udp) as server,
        Tcpdump(pair, pair.server, tmp_path / "server.pcap") as tap,
        player(pair, 0, PORT) as client,
    ):
        talk(client, server)
        assert udp or client.receive(for_s=0.1) == [], "nothing came over UDP"
    found = judged(pair, {"server": tap}, (Subject(name="client-0", address=client_address(0)),), began_s)
    assert failed(found, but=frozenset({"balance", "loss"})) == []
    (judged_client,) = found.clients
    assert judged_client.datagrams_leaked == 0
    assert judged_client.datagrams_active >= 60
    record_property("measured", f"0 of {judged_client.datagrams_active} datagrams outside")


# -- bad requests beside others ---------------------------------------------------------------------------------


def test_no_bad_request_costs_other_clients_a_datagram():
    """Each has its own status at the real server too, while one client watches by each dialect and transport."""
    with (
        running_server() as server,
        RtspClient(server.port) as over_udp,
        RtspClient(server.port) as over_tcp,
        WireClient(server.port) as client,
    ):
        over_udp.setup()
        over_tcp.setup_tcp()
        begins = [over_udp.play(), over_tcp.play()]
        client.connect()
        for data, status, cseq in BAD.values():
            with RtspClient(server.port, source="127.0.0.3") as bad:
                bad.send(GOOD + data + GOOD)  # the first byte of a connection decides its dialect
                answers = [bad.response() for _ in range(3)]
                expected = 455 if status == 457 else status  # nothing is set up
                assert [(one.status, one.cseq) for one in answers if one] == [(200, 77), (expected, cseq), (200, 77)]
        for data in LAST.values():
            with RtspClient(server.port, source="127.0.0.4") as bad:
                bad.send(data + GOOD)
                answer = bad.response()
                assert answer is not None
                assert answer.status == 413
                assert bad.response() is None
        for data, status, cseq in NOT_RTSP.values():
            with RtspClient(server.port, source="127.0.0.4") as bad:
                bad.send(GOOD + data + GOOD)
                answers = [bad.response() for _ in range(3)]
                assert [one and (one.status, one.cseq) for one in answers] == [(200, 77), (status, cseq), None]
        with RtspClient(server.port, source="127.0.0.5") as bad:
            for transport in TRANSPORTS.values():
                assert bad.ask("SETUP", f"Transport: {transport}").status == 461
        client.send_token()
        assert over_tcp.ask("OPTIONS").status == 200  # behind all packets of that time
        by_udp = sequences(over_udp.receive(for_s=0.5))
        numbers = [by_udp, sequences(over_tcp.receive_frames(len(over_tcp.frames) + 60))]
        for begin, received in zip(begins, numbers, strict=True):
            assert received[0] == begin
            assert_consecutive(received)
            assert len(received) >= 60
        assert_consecutive(sequences(client.receive(for_s=0.5)))
        status = client.ask("status")["server"]
        assert (status["sessions"], status["active"]) == (3, 3)
