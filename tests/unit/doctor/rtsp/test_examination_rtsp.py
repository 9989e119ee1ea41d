"""`flume doctor rtsp://…` at a server that fails in one leg, or says no in one: the finding, its words, its remedy."""

import re
import socket
from typing import Any

import pytest

from flume.client.session.control_link import AccessChoice, Credentials
from flume.control.codec import encode
from flume.control.messages import Refused
from flume.control.session import State
from flume.doctor.diagnosis import RTSP_LEGS, Finding, is_well
from flume.doctor.rtsp import player
from flume.doctor.rtsp.address import stream_address
from flume.doctor.rtsp.examination import RtspExamination
from flume.doctor.rtsp.vlc_modules import VlcModules
from flume.secret import Secret
from support.servers.scripted_rtsp import ScriptedRtsp

UNTESTED = "untested"
DEBIANS = VlcModules(("/usr/lib/vlc/plugins",), has_sat_ip=True, has_library=True)
ALL_WELL = {
    **dict.fromkeys(("name", "rtsp", "describe", "setup_udp", "play", "media_udp", "rtcp", "media_tcp"), "ok"),
    "host": "reachable",
    "tcp": "open",
    "teardown": "ok",
    "vlc_rtsp": "sat_ip",
}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait briefly for what a test knows will not come; what comes has the usual time."""
    for name in ("WINDOW_S", "SHORT_WINDOW_S", "DRAIN_S", "AFTER_S"):
        monkeypatch.setattr(player, name, 0.05)


def wait_briefly(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Let a player wait briefly for the answer to *method*, perhaps with the transport that it asks for."""
    method, _, transport = method.partition(" over ")
    request = player.Player.request

    def hasty(self: player.Player, name: str, *arguments: Any, **options: Any) -> Any:
        if name == method and transport in options.get("Transport", ""):
            options["within_s"] = 0.4
        return request(self, name, *arguments, **options)

    monkeypatch.setattr(player.Player, "request", hasty)


def examined(server: ScriptedRtsp, **options: Any) -> dict[str, Finding]:
    """Return the findings by leg; each leg has one."""
    address = stream_address(f"rtsp://127.0.0.1:{server.port}/path")
    found = list(RtspExamination(address, modules=lambda: DEBIANS, **options).legs())
    assert sorted(finding.leg for finding in found) == sorted(RTSP_LEGS)
    return {finding.leg: finding for finding in found}


def test_all_is_well_at_a_server_that_is_not_ours():
    with ScriptedRtsp() as server:
        found = examined(server)
        assert {leg: finding.finding for leg, finding in found.items()} == ALL_WELL
        assert list(found) == list(RTSP_LEGS)
        assert is_well(list(found.values()))
        assert server.methods == ["OPTIONS", "DESCRIBE", *SESSION, "OPTIONS", *SESSION]
        assert server.connections == 2
        setup = next(request for request in server.requests if request.method == "SETUP")
        assert setup.uri == f"rtsp://127.0.0.1:{server.port}/path/picture", "the video, not the sound before it"
        assert {request.headers.get("session") for request in server.requests if request.method == "PLAY"} == {"5f"}
    assert "audio payload type 0, video MP2T/90000" in found["describe"].detail
    assert re.search(r"\d+ datagrams came in .* the first after \d+ ms", found["media_udp"].detail)
    assert "reports of the sender came over UDP" in found["rtcp"].detail.replace("report of", "reports of")


SESSION = ["SETUP", "PLAY", "TEARDOWN"]
AFTER = ("setup_udp", "play", "media_udp", "rtcp", "media_tcp", "teardown")
"""Legs that need a description."""


@pytest.mark.parametrize(
    ("leg", "answer", "finding", "says"),
    [
        ("rtsp", (None, {}), "silent", "no answer within"),
        ("describe", (None, {}), "silent", "no answer within"),
        ("describe", ("401 Unauthorized", {"WWW-Authenticate": 'Basic realm="a"'}), "login_required", r"--user NAME"),
        ("describe", ("401 Unauthorized", {"WWW-Authenticate": 'Digest realm="a"'}), "login_required", r"Basic alone"),
        ("describe", ("404 Not Found", {}), "not_found", "give the path"),
        ("describe", ("302 Moved", {"Location": "rtsp://b/"}), "refused", "Location: rtsp://b/"),
        ("describe", ("503 Service Unavailable", {"X-Reason": "no source"}), "refused", r"503 .*\(no source\).*log"),
    ],
)
def test_a_leg_before_the_media_that_fails(monkeypatch: pytest.MonkeyPatch, leg, answer, finding, says):
    method = {"rtsp": "OPTIONS", "describe": "DESCRIBE"}[leg]
    status, headers = answer
    if status is None:
        wait_briefly(monkeypatch, method)
    with ScriptedRtsp({method: status}, headers=headers) as server:
        found = examined(server)
        assert "SETUP" not in server.methods
    assert found[leg].finding == finding
    assert re.search(says, f"{found[leg].detail} {found[leg].remedy}")
    assert {found[each].finding for each in AFTER} == {UNTESTED}
    assert not is_well(list(found.values()))


@pytest.mark.parametrize(
    ("sdp", "says"),
    [
        (b"<html>hello</html>", "no SDP.*<html>"),
        (b"v=0\r\ns=-\r\nt=0 0\r\n", "names no stream"),
        (b"v=0\r\nm=video 0 UDP 33\r\n", "names no stream"),
        (b"", "without a description"),
    ],
)
def test_a_description_without_a_stream(sdp: bytes, says: str):
    with ScriptedRtsp(sdp=sdp) as server:
        found = examined(server)
    assert found["describe"].finding == "no_stream"
    assert re.search(says, found["describe"].detail)


def said(code: str, message: str) -> bytes:
    return encode(Refused(state=State.CLOSED, command=None, code=code, message=message))


@pytest.mark.parametrize(
    ("greeting", "finding", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not_rtsp", "a web server .*400 Bad Request"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not_rtsp", "an SSH server"),
        (bytes.fromhex("15030100020246"), "not_rtsp", "speaks TLS, which RTSP does not"),
        (b'{"hello":1}\n', "not_rtsp", "does not speak RTSP"),
        (said("malformed", "no JSON"), "not_rtsp", "without RTSP .--no-rtsp"),
        (said("tls_required", "TLS"), "not_rtsp", "with TLS, beside which it has no RTSP"),
        (said("busy", "this server takes 1 sessions"), "turned_away", "takes 1 sessions"),
    ],
    ids=["http", "ssh", "tls", "json", "flume_without_rtsp", "flume_with_tls", "flume_is_full"],
)
def test_what_answers_is_something_else(greeting: bytes, finding: str, says: str):
    with ScriptedRtsp({"OPTIONS": None}, greeting=greeting) as server:
        found = examined(server)
    assert found["rtsp"].finding == finding
    assert re.search(says, found["rtsp"].detail)
    assert {found[each].finding for each in ("describe", *AFTER)} == {UNTESTED}


def test_a_server_that_turns_players_away_in_their_own_words():
    with ScriptedRtsp({"OPTIONS": "503 Service Unavailable"}, headers={"X-Reason": "it is full"}) as server:
        found = examined(server)
    assert found["rtsp"].finding == "turned_away"
    assert "503 Service Unavailable (it is full)" in found["rtsp"].detail
    assert {found[each].finding for each in ("describe", *AFTER)} == {UNTESTED}


def test_a_closed_port():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    found = {finding.leg: finding for finding in RtspExamination(stream_address(f"rtsp://127.0.0.1:{port}")).legs()}
    assert found["tcp"].finding == "rejected"
    assert "its RTSP server" in str(found["tcp"].remedy)
    assert found["rtsp"].finding == UNTESTED
    assert found["vlc_rtsp"].finding in RTSP_LEGS["vlc_rtsp"], "this machine is examined all the same"


def test_credentials_are_sent_to_a_server_that_asks_for_them_and_named_where_they_are_wrong():
    access = AccessChoice(credentials=Credentials("ann", Secret("wrong")))
    asked = {"WWW-Authenticate": 'Digest realm="a", Basic realm="a"'}
    with ScriptedRtsp({"DESCRIBE": "401 Unauthorized"}, headers=asked) as server:
        found = examined(server, access=access)
        sent = [request.headers.get("authorization") for request in server.requests]
        assert sent == [None, None, "Basic YW5uOndyb25n"]
    assert found["describe"].finding == "login_required"
    assert "others than those given" in found["describe"].detail


def test_a_server_without_media_over_udp_is_well_and_debians_vlc_cannot_play_it():
    with ScriptedRtsp({"SETUP": "461 Unsupported Transport"}) as server:
        found = examined(server)
    expected = {**ALL_WELL, "setup_udp": "tcp_only", "media_udp": "off"}
    assert {leg: finding.finding for leg, finding in found.items()} == expected
    assert "-rtsp_transport tcp" in str(found["setup_udp"].remedy)
    assert "came on the connection" in found["rtcp"].detail
    assert "cannot play this stream" in found["vlc_rtsp"].detail
    assert is_well(list(found.values()))


@pytest.mark.parametrize(
    ("method", "answer", "leg", "finding"),
    [
        ("SETUP", "500 Internal Server Error", "setup_udp", "refused"),
        ("SETUP", None, "setup_udp", "silent"),
        ("PLAY", "457 Invalid Range", "play", "refused"),
        ("PLAY", None, "play", "silent"),
        ("SETUP over TCP", "461 Unsupported Transport", "media_tcp", "refused"),
        ("SETUP over TCP", None, "media_tcp", "silent"),
    ],
)
def test_setup_and_play_that_are_refused_or_not_answered(monkeypatch: pytest.MonkeyPatch, method, answer, leg, finding):
    if answer is None:
        wait_briefly(monkeypatch, method)
    with ScriptedRtsp({method: answer}) as server:
        found = examined(server)
        assert server.methods.count("TEARDOWN") >= 1, "the session that there was is ended"
    assert found[leg].finding == finding
    assert found[leg].remedy
    if method == "SETUP":
        assert found["media_tcp"].finding == "ok", "the other leg is examined all the same"
        assert found["media_udp"].finding == UNTESTED


def test_nothing_comes_over_udp_while_the_stream_comes_on_the_connection(monkeypatch: pytest.MonkeyPatch):
    for name in ("FIRST_S", "FIRST_PUNCHED_S"):
        monkeypatch.setattr(player, name, 0.3)
    with ScriptedRtsp(over_udp="nothing") as server:
        found = examined(server)
    assert found["media_udp"].finding == "dropped"
    assert "while the stream comes on the connection" in found["media_udp"].detail
    assert "--dport 9000:9509 -j ACCEPT" in str(found["media_udp"].remedy)
    assert "until then play on the connection" in str(found["media_udp"].remedy)
    assert found["media_tcp"].finding == "ok"
    assert "on the connection" in found["rtcp"].detail
    assert "as long as no media come over UDP" in found["vlc_rtsp"].detail


def test_nothing_comes_at_all(monkeypatch: pytest.MonkeyPatch):
    for name in ("FIRST_S", "FIRST_PUNCHED_S", "FIRST_TCP_S"):
        monkeypatch.setattr(player, name, 0.3)
    with ScriptedRtsp(over_udp="nothing", over_tcp=False) as server:
        found = examined(server)
    assert found["media_udp"].finding == found["media_tcp"].finding == "no_source"
    assert "the source sends nothing" in found["media_udp"].detail
    assert found["rtcp"].finding == UNTESTED
    assert found["teardown"].finding == "ok"


def test_a_firewall_that_keeps_state_lets_the_stream_in_after_a_datagram(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(player, "FIRST_S", 0.2)
    with ScriptedRtsp(over_udp="punch") as server:
        found = examined(server)
        assert server.methods.count("SETUP") == server.methods.count("TEARDOWN") == 3
    assert found["media_udp"].finding == "after_punch"
    assert "Debian's VLC" in str(found["media_udp"].remedy)


def test_datagrams_from_another_port_than_announced_are_told():
    with ScriptedRtsp(over_udp="moved") as server:
        found = examined(server)
    assert found["media_udp"].finding == "ok"
    assert "instead of the announced" in found["media_udp"].detail


def test_datagrams_are_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(player, "WINDOW_S", 1.0)
    with ScriptedRtsp(skip=2) as server:
        found = examined(server)
    assert found["media_udp"].finding == "lossy"
    assert re.search(r"[345]\d\.\d % are missing, up to 1 in a row", found["media_udp"].detail)


def test_a_server_that_hangs_up_while_it_plays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(player, "WINDOW_S", 20.0)
    with ScriptedRtsp(hangs_up=True) as server:
        found = examined(server)
    assert found["media_udp"].finding == "ended"
    assert "closed the connection while it played after" in found["media_udp"].detail


def test_no_reports(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(player, "REPORT_S", 0.4)
    with ScriptedRtsp(reports=False) as server:
        found = examined(server)
    assert found["rtcp"].finding == "none"
    assert "players play without them" in str(found["rtcp"].remedy)
    assert is_well(list(found.values()))


@pytest.mark.parametrize(
    ("options", "finding", "says"),
    [
        ({"answers": {"TEARDOWN": "454 Session Not Found"}}, "refused", "454 Session Not Found"),
        ({"answers": {"TEARDOWN": None}}, "silent", "no answer"),
        ({"goes_on": True}, "streams_on", "came after the answer"),
    ],
)
def test_an_end_that_is_none(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], finding: str, says: str):
    monkeypatch.setattr(player, "GOODBYE_S", 0.3 if finding == "silent" else 2.0)
    monkeypatch.setattr(player, "AFTER_S", 1.0 if finding == "streams_on" else 0.05)
    with ScriptedRtsp(**options) as server:
        found = examined(server)
    assert found["teardown"].finding == finding
    assert says in found["teardown"].detail
    assert is_well(list(found.values())), "it is the server's business"


def test_an_examination_that_is_abandoned_ends_its_session():
    with ScriptedRtsp() as server:
        legs = RtspExamination(stream_address(f"rtsp://127.0.0.1:{server.port}/"), modules=lambda: DEBIANS).legs()
        while next(legs).leg != "media_udp":
            pass
        legs.close()
        assert server.methods.count("SETUP") == server.methods.count("TEARDOWN") == 1


def test_an_interruption_in_the_midst_of_a_session_ends_it(monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(player.Player, "watch_udp", interrupted)
    with ScriptedRtsp() as server:
        legs = RtspExamination(stream_address(f"rtsp://127.0.0.1:{server.port}/"), modules=lambda: DEBIANS).legs()
        with pytest.raises(KeyboardInterrupt):
            list(legs)
        assert server.methods[-2:] == ["PLAY", "TEARDOWN"]
