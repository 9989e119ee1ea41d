"""The dialect RTSP as the judge reads it: bytes become commands, replies and frames, and those windows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.capture.dissect import TCP, Segment
from flume.lab.evidence.builder import TapFactsBuilder
from flume.lab.evidence.connection import ACK, SYN, ControlConnection
from flume.lab.evidence.facts import Command, Consent, ControlEnd, ControlStart, Event, MediaDatagram, Reply, Tap
from flume.lab.evidence.json_lines import Frame
from flume.lab.evidence.rtsp import Rtsp
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.windows import ActiveWindow, PathSwitch

CLIENT, SERVER, MEDIA = ("198.18.0.11", 40000), ("198.18.0.2", 5004), ("198.18.0.11", 9000)
UDP, INTERLEAVED = "RTP/AVP;unicast;client_port=9000-9001", "RTP/AVP/TCP;unicast;interleaved=0-1"


def request(method: str, cseq: int, *headers: str) -> bytes:
    return "\r\n".join([f"{method} rtsp://198.18.0.2:5004/ RTSP/1.0", f"CSeq: {cseq}", *headers, "", ""]).encode()


def response(status: str, cseq: int, *headers: str) -> bytes:
    return "\r\n".join([f"RTSP/1.0 {status}", f"CSeq: {cseq}", *headers, "", ""]).encode()


def packet(data: bytes, channel: int = 0) -> bytes:
    return b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + data


def talk(*turns: tuple[float, bytes, bytes]) -> list[Command | Reply | Event | Frame]:
    """What each turn says: a time, what the client sends, what the server answers a tenth of a second later."""
    dialect, found = Rtsp(CLIENT), list[Command | Reply | Event | Frame]()
    for time_s, asked, answered in turns:
        found += dialect.from_client_untrusted(time_s, asked)
        found += dialect.from_server_untrusted(time_s + 0.1, answered, has_begin=True)
    return found


def windows(
    *turns: tuple[float, bytes, bytes],
    punches: tuple[Consent, ...] = (),
    media: tuple[MediaDatagram, ...] = (),
    ends: tuple[ControlEnd, ...] = (),
) -> tuple[ActiveWindow, ...]:
    builder = TapFactsBuilder()
    builder.starts.append(ControlStart(0.5, CLIENT))
    builder.messages += [item for item in talk(*turns) if not isinstance(item, Frame)]
    builder.consents += punches
    builder.media += media
    builder.ends += ends
    return reconstruct(builder.build(Tap("server", "eth0", "none.pcap", 9, 0, 262144, 0.0, 500.0, None))).windows


SETUP_UDP = (1.0, request("SETUP", 1, f"Transport: {UDP}"), response("200 OK", 1, f"Transport: {UDP}", "Session: 5f"))
SETUP_TCP = (1.0, request("SETUP", 1, f"Transport: {INTERLEAVED}"), response("200 OK", 1, f"Transport: {INTERLEAVED}"))
PLAY = (2.0, request("PLAY", 2), response("200 OK", 2, "RTP-Info: url=rtsp://a/stream=0;seq=77;rtptime=9"))
PAUSE = (3.0, request("PAUSE", 3), response("200 OK", 3))


def test_methods_are_the_session_s_commands_and_replies_belong_to_them_by_number():
    found = talk(
        (1.0, request("OPTIONS", 5) + request("PLAY", 6) + request("PAUSE", 7), b""),
        (2.0, b"", response("455 Method Not Valid in This State", 6) + response("200 OK", 5)),
    )
    assert [item.name for item in found if isinstance(item, Command)] == ["status", "continue", "interrupt"]
    assert [(item.command, item.refusal) for item in found if isinstance(item, Reply)] == [
        ("continue", "455"),
        ("status", None),
    ]


def test_a_window_lasts_from_the_request_to_play_to_the_reply_to_pause_for_the_port_of_setup():
    first, second = windows(SETUP_UDP, PLAY, PAUSE, (9.0, request("PLAY", 4), response("200 OK", 4)))
    assert (first.media, first.opened_s, first.closed_s, first.closed_by) == (MEDIA, 2.0, 3.1, "interrupt")
    assert first.first_sequence == 77
    assert (second.opened_s, second.closed_s) == (9.0, math.inf)


@pytest.mark.parametrize("setup", [SETUP_UDP, SETUP_TCP], ids=["udp", "tcp"])
def test_the_first_window_of_each_session_is_that_of_its_connect(setup: tuple[float, bytes, bytes]):
    """So the next session may get the datagrams since the last keyframe again."""
    again = [(time_s + 5.0, asked, answered) for time_s, asked, answered in (setup, PLAY)]
    teardown = (5.0, request("TEARDOWN", 5), response("200 OK", 5))
    play = (4.0, request("PLAY", 4), response("200 OK", 4))
    found = windows(setup, PLAY, PAUSE, play, teardown, *again)
    assert [(window.opened_by, window.closed_by) for window in found] == [
        ("connect", "interrupt"),
        ("continue", "disconnect"),
        ("connect", "nothing"),
    ]


def test_a_body_without_an_end_hides_no_media():
    found = Rtsp(CLIENT).from_server_untrusted(
        1.0, response("200 OK", 1, "Content-Length: 999999999") + packet(b"\x80\x21" + bytes(10)), has_begin=True
    )
    assert [type(item) for item in found] == [Frame]


def test_there_is_no_window_before_play_nor_by_a_play_that_was_refused():
    assert windows(SETUP_UDP) == ()
    assert windows(SETUP_UDP, (2.0, PLAY[1], response("454 Session Not Found", 2))) == ()
    assert windows((1.0, SETUP_UDP[1], response("461 Unsupported Transport", 1)), PLAY) == ()


def test_interleaved_a_window_lasts_between_positions_in_the_server_s_bytes():
    media, rtcp = packet(b"\x80\x21" + bytes(10)), packet(b"\x80\xc8" + bytes(10), 1)
    (play_s, asked, answered), (pause_s, pause, paused) = PLAY, PAUSE
    turns = (SETUP_TCP, (play_s, asked, answered + media + rtcp), (pause_s, pause, media + paused + media))
    found = talk(*turns)
    frames = [item for item in found if isinstance(item, Frame)]
    begin = len(SETUP_TCP[2])
    assert [frame.offset for frame in frames] == [
        begin + len(answered),
        begin + len(answered + media + rtcp),
        begin + len(answered + media + rtcp + media + paused),
    ]
    (window,) = windows(*turns)
    assert (window.media, window.opened_at, window.closed_at) == (
        CLIENT,
        begin,
        begin + len(answered + media + rtcp + media),
    )


def test_a_punch_from_another_port_of_the_host_moves_the_window_there():
    moved, other = ("198.18.0.11", 9100), ("198.18.0.12", 9100)
    datagrams = tuple(
        MediaDatagram(time_s, SERVER, to, b"", 1, 1, 1328, 0) for time_s, to in ((2.1, MEDIA), (2.5, moved))
    )
    punch = Consent(2.4, moved, b"\x80\0")
    (window,) = windows(SETUP_UDP, PLAY, punches=(punch,), media=datagrams)
    assert window.switches == (PathSwitch(2.5, moved),)
    (window,) = windows(SETUP_UDP, PLAY, punches=(punch._replace(client=other),), media=datagrams)
    assert window.switches == ()


def test_two_players_behind_one_address_have_a_window_each():
    """Each is moved by the punch before its PLAY, although a punch does not say whose it is."""
    first, second = CLIENT, (CLIENT[0], 40_001)
    outside = {first: (CLIENT[0], 61_000), second: (CLIENT[0], 62_000)}
    builder = TapFactsBuilder()
    for client, begin_s in ((first, 0.0), (second, 10.0)):
        dialect = Rtsp(client)
        builder.starts.append(ControlStart(begin_s + 0.5, client))
        for time_s, asked, answered in (SETUP_UDP, PLAY):
            builder.messages += dialect.from_client_untrusted(begin_s + time_s, asked)
            found = dialect.from_server_untrusted(begin_s + time_s + 0.1, answered, has_begin=True)
            builder.messages += [item for item in found if not isinstance(item, Frame)]
        builder.consents.append(Consent(begin_s + 1.9, outside[client], b"\x80\0"))
    for time_s, client in ((2.2, first), (12.2, second), (12.3, first), (12.4, second), (12.5, first)):
        builder.media.append(MediaDatagram(time_s, SERVER, outside[client], b"", 1, 1, 1328, 0))
    facts = builder.build(Tap("server", "eth0", "none.pcap", 9, 0, 262144, 0.0, 500.0, None))
    one, other = reconstruct(facts).windows
    assert one.switches == (PathSwitch(2.2, outside[first]),)
    assert other.switches == (PathSwitch(12.2, outside[second]),)


@pytest.mark.parametrize("by_server", [False, True])
def test_the_end_of_the_connection_ends_the_window(by_server: bool):
    (window,) = windows(SETUP_UDP, PLAY, ends=(ControlEnd(4.0, CLIENT, by_server),))
    assert (window.closed_s, window.closed_by) == (4.0, "connection")


def test_a_session_of_minutes_needs_no_token():
    (window,) = windows(SETUP_UDP, PLAY, (300.0, request("PAUSE", 3), response("200 OK", 3)))
    assert (window.opened_s, window.closed_s) == (2.0, 300.1)


def test_what_is_no_message_counts_as_media():
    found = Rtsp(CLIENT).from_server_untrusted(1.0, b"\x80\x21rtp without its frame", has_begin=True)
    assert found == [Frame(b"\x80\x21rtp without its frame", 0)]
    assert Rtsp(CLIENT).from_server_untrusted(1.0, b"\x80\x21", has_begin=False) == [Event(1.0, CLIENT, "")]


@pytest.mark.parametrize(
    ("first", "kind"), [(request("OPTIONS", 1), "status"), (b'{"command":"connect"}\n', "connect"), (b"\n", "?")]
)
def test_the_first_byte_tells_the_dialect(first: bytes, kind: str):
    connection = ControlConnection(CLIENT)
    connection.take_untrusted(1.0, Segment(TCP, CLIENT, SERVER, 9, 0, SYN, b""), to_server=True)
    (command,) = connection.take_untrusted(1.1, Segment(TCP, CLIENT, SERVER, 10, 0, ACK, first), to_server=True)
    assert isinstance(command, Command)
    assert command.name == kind


@given(st.lists(st.binary(max_size=80), max_size=20), st.booleans())
def test_any_bytes_raise_nothing(parts: list[bytes], has_begin: bool):
    dialect = Rtsp(CLIENT)
    for part in parts:
        dialect.from_client_untrusted(1.0, part)
        dialect.from_server_untrusted(1.0, part, has_begin=has_begin)


@pytest.mark.parametrize("method", ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "x-ping"])
def test_a_keep_alive_is_a_status_with_its_answer_whatever_its_method(method: str):
    builder = TapFactsBuilder()
    builder.starts.append(ControlStart(0.5, CLIENT))
    builder.messages += [
        item
        for item in talk(SETUP_UDP, PLAY, (60.0, request(method, 3), response("200 OK", 3)))
        if not isinstance(item, Frame)
    ]
    tap = Tap("server", "eth0", "none.pcap", 9, 0, 262144, 0.0, 500.0, None)
    found = reconstruct(builder.build(tap)).commands
    assert [(one.command, one.answer) for one in found] == [("connect", "ok"), ("continue", "ok"), ("status", "ok")]
