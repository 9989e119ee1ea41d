"""Servers of RTSP that are dishonest or odd: what they say opens no window, keeps none open, and hides no datagram."""

import math

import pytest

from flume.lab.evidence.facts import END_GRACE_S, Command, Reply
from flume.lab.evidence.json_lines import answer_untrusted
from support.captures.rtsp_wire import HOST, TCP, Player, RtspCapture, packet, request, response, udp

PAUSE, TEARDOWN = request("PAUSE", 3), request("TEARDOWN", 3)
MEDIA = packet(b"\x80\x21" + bytes(1326))


def playing(transport: str = udp(9000)) -> tuple[RtspCapture, Player]:
    """A player that has asked for the media from 2.0 s on."""
    capture = RtspCapture()
    player = capture.player()
    player.set_up(1.0, transport)
    player.play(2.0)
    return capture, player


# -- answers that cannot be attributed

UNCLEAR = {
    "no number": (response("200 OK", None), "no_cseq"),
    "number of another request": (response("200 OK", 2), "no_cseq"),
    "number of no request": (response("200 OK", 77), "no_cseq"),
    "no status": (response("ok", 3), "status:ok"),
    "nothing behind the version": (b"RTSP/1.0\r\nCSeq: 3\r\n\r\n", "status:"),
    "a status of four digits": (response("2000 OK", 3), "status:2000"),
}


@pytest.mark.parametrize("asked", [PAUSE, TEARDOWN], ids=["pause", "teardown"])
@pytest.mark.parametrize(("answered", "answer"), UNCLEAR.values(), ids=UNCLEAR)
def test_an_answer_that_cannot_be_read_ends_the_window_and_grants_nothing(asked: bytes, answered: bytes, answer: str):
    capture, player = playing()
    player.turn(3.0, asked, answered)
    capture.stream(9000, 2.1, 3.0)
    capture.stream(9000, 3.1, 50.0)
    (window,) = capture.windows()
    name = "interrupt" if asked is PAUSE else "disconnect"
    assert (window.closed_s, window.closed_by) == (3.05, name)
    assert capture.leaks() == (938, {f"while_{name}ed"})
    assert capture.answers()[-1] == (name, answer)


@pytest.mark.parametrize("answered", [response("200 OK", None), response("200 OK", 1), response("okay", 2)])
def test_an_answer_that_cannot_be_read_opens_no_window(answered: bytes):
    capture = RtspCapture()
    player = capture.player()
    player.set_up(1.0, udp(9000))
    player.turn(2.0, request("PLAY", 2), answered)
    capture.stream(9000, 2.1, 3.1)
    assert capture.leaks() == (20, {"before_consent"})


def test_a_refusal_keeps_the_window_open():
    capture, player = playing()
    player.turn(3.0, PAUSE, response("455 Method Not Valid in This State", 3))
    capture.stream(9000, 2.1, 50.0)
    assert capture.leaks() == (0, set())
    assert capture.answers()[-1] == ("interrupt", "455")


@pytest.mark.parametrize("interim", [response("100 Continue", 3), response("199 Wait", None)])
def test_a_provisional_response_is_no_answer(interim: bytes):
    capture, player = playing()
    player.turn(3.0, PAUSE, interim)
    capture.stream(9000, 2.1, 4.0)
    player.say(4.0, response("200 OK", 3))
    capture.stream(9000, 4.1, 5.1)
    assert capture.leaks() == (20, {"while_interrupted"})
    assert capture.answers()[-1] == ("interrupt", "ok")


def test_a_provisional_response_before_the_grant_of_play_costs_an_honest_server_nothing():
    capture = RtspCapture()
    player = capture.player()
    player.set_up(1.0, udp(9000))
    player.turn(2.0, request("PLAY", 2), response("100 Continue", 2) + response("200 OK", 2))
    capture.stream(9000, 2.1, 3.1)
    assert capture.leaks() == (0, set())
    assert capture.answers() == [("connect", "ok"), ("continue", "ok")]


def test_requests_of_the_same_number_are_answered_in_their_order():
    capture = RtspCapture()
    player = capture.player()
    for time_s, method in ((1.0, "SETUP"), (2.0, "PLAY"), (3.0, "PAUSE")):
        player.ask(time_s, request(method, 7, f"Transport: {udp(9000)}"))
    for time_s in (3.1, 3.2, 3.3):
        player.say(time_s, response("200 OK", 7))
    assert [(window.opened_s, window.closed_s) for window in capture.windows()] == [(2.0, 3.3)]
    assert {answer for _, answer in capture.answers()} == {"ok"}


def test_a_keep_alive_is_a_request_and_answered():
    capture, player = playing()
    player.turn(3.0, request("GET_PARAMETER", 3), response("200 OK", 3))
    assert capture.answers()[-1] == ("status", "ok")


def test_in_the_control_lines_too_nothing_but_a_grant_is_ok():
    capture, _ = playing()
    assert answer_untrusted(1.0, (HOST, 1), {"reply": "error", "code": "ok"}, 0) == Reply(
        1.0, (HOST, 1), None, "code:ok"
    )
    capture.messages += [Command(3.0, (HOST, 40_000), "interrupt"), Reply(3.1, (HOST, 40_000), None)]
    assert capture.windows()[0].closed_s == 3.1
    assert capture.answers()[-1] == ("interrupt", "no_command")


# -- two connections of one host


def test_each_player_of_a_host_has_the_window_of_its_own_port():
    capture = RtspCapture()
    watching, leaving = capture.player(40_000), capture.player(40_001)
    watching.set_up(1.0, udp(9000))
    leaving.set_up(1.1, udp(9100))
    watching.play(1.2)
    capture.punch(1.9, 9100)
    leaving.play(2.0)
    capture.stream(9000, 1.3, 6.0)
    capture.stream(9100, 2.06, 3.01)
    leaving.turn(3.0, PAUSE, response("200 OK", 3))
    assert capture.leaks() == (0, set())
    assert [window.switches for window in capture.windows()] == [(), ()]
    capture.stream(9100, 3.06, 4.06)
    assert capture.leaks() == (20, {"while_interrupted"})


def test_the_port_that_one_player_was_moved_to_is_no_longer_unknown():
    capture = RtspCapture()
    watching, leaving = capture.player(40_000), capture.player(40_001)
    leaving.set_up(1.0, udp(9000))
    capture.punch(1.9, 61_000)
    leaving.play(2.0)
    capture.stream(61_000, 2.06, 3.01)
    watching.set_up(2.1, udp(9100))
    watching.play(2.2)
    capture.stream(9100, 2.26, 6.0)
    leaving.turn(3.0, PAUSE, response("200 OK", 3))
    capture.punch(3.01, 61_000)
    assert capture.leaks() == (0, set())
    capture.stream(61_000, 3.06, 4.06)
    assert capture.leaks() == (20, {"while_interrupted"})


def test_a_player_goes_back_to_the_port_that_it_named():
    capture, player = playing()
    capture.punch(1.9, 61_000)
    capture.stream(61_000, 2.06, 3.0)
    player.turn(3.0, PAUSE, response("200 OK", 3))
    capture.punch(3.9, 9000)
    player.play(4.0, cseq=4)
    capture.stream(9000, 4.06, 5.0)
    assert capture.leaks() == (0, set())


def test_a_player_that_connects_again_at_once_may_have_the_port_of_before():
    """The NAT still has it."""
    capture, player = playing()
    capture.punch(1.9, 61_000)
    capture.stream(61_000, 2.06, 3.0)
    player.end(3.0)
    again = capture.player(40_001, begin_s=3.1)
    again.set_up(3.2, udp(9000))
    capture.punch(3.3, 61_000)
    again.play(3.4)
    capture.stream(61_000, 3.46, 8.0)
    assert capture.leaks() == (0, set())


def test_a_token_is_that_of_its_own_session_beside_a_player():
    capture, _ = playing()
    own = (HOST, 41_000)
    capture.player(own[1])
    capture.messages += [Command(2.5, own, "connect"), Reply(2.6, own, "connect", token=b"00ff")]
    capture.punch(2.7, 50_000, b"00ff")
    capture.stream(9000, 2.1, 4.0)
    capture.stream(50_000, 2.71, 3.01)
    capture.messages += [Command(3.0, own, "interrupt"), Reply(3.05, own, "interrupt")]
    assert [(window.control[1], window.media[1], window.switches) for window in capture.windows()] == [
        (40_000, 9000, ()),
        (41_000, 50_000, ()),
    ]
    assert capture.leaks() == (0, set())
    capture.punch(3.1, 50_000, b"something else")
    capture.stream(50_000, 3.11, 4.11)
    assert capture.leaks() == (20, {"while_interrupted"})


def test_a_session_that_the_server_ended_takes_no_port_of_its_host():
    capture, player = playing()
    player.end(3.0, by_server=True)
    later = capture.player(40_001, begin_s=3.1)
    later.set_up(3.2, udp(9000))
    capture.punch(3.3, 61_000)
    later.play(3.4)
    capture.stream(61_000, 3.5, 4.5)
    assert capture.leaks() == (0, set())


# -- media beside the server's own messages


def test_a_word_of_the_server_opens_no_window():
    capture = RtspCapture()
    player = capture.player()
    player.set_up(1.0, TCP)
    player.say(2.0, b"ACTIVE * RTSP/1.0\r\n\r\n" + MEDIA)
    assert capture.windows() == ()
    assert capture.leaks() == (1, {"before_consent"})


@pytest.mark.parametrize("name", ["CLOSED", "closed", "ACTIVE"])
def test_a_word_of_the_server_ends_no_window_that_the_player_still_has(name: str):
    capture, player = playing(TCP)
    player.say(3.0, f"{name} * RTSP/1.0\r\n\r\n".encode() + MEDIA)
    assert capture.windows()[0].closed_s == math.inf


HIDDEN = {
    "a long body": response("200 OK", None, "Content-Length: 60000") + b"x" * 60_000,
    "a body that never ends": response("200 OK", None, "Content-Length: 60000") + b"x" * 900,
    "a body of packets": response("200 OK", None, "Content-Length: 60000") + MEDIA * 3,
    "a short body of no answer": response("200 OK", None, "Content-Length: 4000") + b"x" * 4000,
    "the body of a request": b"ANNOUNCE * RTSP/1.0\r\nContent-Length: 1328\r\n\r\n" + b"x" * 1328,
    "the body of a provisional response": response("100 Continue", None, "Content-Length: 1328") + b"x" * 1328,
    "text without an end": b"A" * 1328,
    "text that is no message": b"GO ahead\r\n\r\n",
    "a packet of RTCP that is too long": packet(b"\x80\xc8" + bytes(1326), 1),
    "a line that is no object": b"{" + b"x" * 1328 + b"\n",
}


@pytest.mark.parametrize("data", HIDDEN.values(), ids=HIDDEN)
def test_what_the_server_says_by_itself_hides_no_media(data: bytes):
    capture, player = playing(TCP)
    player.turn(3.0, PAUSE, response("200 OK", 3))
    player.say(3.5, data)
    count, reasons = capture.leaks()
    assert count >= 1
    assert reasons == {"while_interrupted"}


@pytest.mark.parametrize("length", [60_000, 5000])
def test_the_body_of_an_answer_hides_no_media_and_the_answer_counts(length: int):
    capture, player = playing(TCP)
    player.turn(3.0, PAUSE, response("200 OK", 3, f"Content-Length: {length}") + b"x" * 5000)
    assert capture.windows()[0].closed_s == 3.05
    assert capture.leaks() == (1, {"after_interrupt"})
    assert capture.answers()[-1] == ("interrupt", "ok")


def test_a_description_and_reports_are_no_media():
    capture, player = playing(TCP)
    described = response("200 OK", 3, "Content-Length: 400") + b"v=0\r\n" + b"a" * 395
    player.turn(3.0, request("DESCRIBE", 3), described)
    player.say(3.1, packet(b"\x80\xc8" + bytes(58), 1))
    assert capture.media == []
    assert capture.answers()[-1] == ("status", "ok")


@pytest.mark.parametrize("line", [b'{"reply":"error","code":"busy"}\n', b'{"event":"closed","state":"closed"}\n'])
def test_a_line_of_json_that_turns_a_player_away_is_no_media(line: bytes):
    capture = RtspCapture()
    player = capture.player()
    player.ask(1.0, request("OPTIONS", 1))
    player.say(1.05, line[:9])
    player.say(1.06, line[9:])
    player.end(1.1, by_server=True)
    assert capture.leaks() == (0, set())


# -- transports

BOTH = f"{udp(9000)},{TCP}"


@pytest.mark.parametrize("offered", [BOTH, f"{TCP}, {udp(9000)}", f"RTP/AVP;multicast,{BOTH}"])
def test_of_a_list_with_both_transports_the_server_takes_either(offered: str):
    for taken in (udp(9000), TCP):
        capture = RtspCapture()
        player = capture.player()
        asked = request("SETUP", 1, f"Transport: {offered}")
        player.turn(1.0, asked, response("200 OK", 1, f"Transport: {taken}"))
        player.play(2.0)
        if taken == TCP:
            player.say(2.5, MEDIA)
        else:
            capture.stream(9000, 2.1, 3.1)
        assert capture.leaks() == (0, set()), taken
        assert len(capture.flow().active) == (1 if taken == TCP else 20)


@pytest.mark.parametrize(("offered", "taken"), [(TCP, udp(9000)), (udp(9000), TCP)])
def test_a_transport_that_was_not_offered_opens_no_window(offered: str, taken: str):
    capture = RtspCapture()
    player = capture.player()
    player.turn(1.0, request("SETUP", 1, f"Transport: {offered}"), response("200 OK", 1, f"Transport: {taken}"))
    player.play(2.0)
    player.say(2.5, MEDIA)
    capture.stream(9000, 2.1, 3.1)
    assert capture.leaks()[0] >= 20
    assert capture.windows() == () or taken == TCP


@pytest.mark.parametrize("answered", [udp(9500), "RTP/AVP;unicast;client_port=9500", "RTP/AVP;unicast"])
def test_the_port_is_the_one_that_the_client_names(answered: str):
    capture = RtspCapture()
    player = capture.player()
    asked = request("SETUP", 1, f"Transport: {udp(9000)}")
    player.turn(1.0, asked, response("200 OK", 1, f"Transport: {answered}"))
    player.play(2.0)
    capture.stream(9500, 2.1, 3.1)
    assert capture.windows()[0].media == (HOST, 9000)
    assert capture.leaks() == (20, {"wrong_address"})


def test_of_several_ports_that_the_client_names_the_server_takes_one():
    capture = RtspCapture()
    player = capture.player()
    asked = request("SETUP", 1, f'Transport: {udp(9000)},RTP/AVP/UDP;unicast;client_port = "9200"')
    player.turn(1.0, asked, response("200 OK", 1, f"Transport: {udp(9200)}"))
    player.play(2.0)
    assert capture.windows()[0].media == (HOST, 9200)


# -- the end of the connection


@pytest.mark.parametrize("transport", [udp(9000), TCP], ids=["udp", "tcp"])
def test_a_grant_behind_the_end_of_the_client_opens_a_window_that_ends(transport: str):
    capture = RtspCapture()
    player = capture.player()
    player.set_up(1.0, transport)
    player.ask(2.0, request("PLAY", 2))
    player.end(2.01)
    player.say(2.05, response("200 OK", 2))
    if transport == TCP:
        player.say(400.0, MEDIA)
    else:
        capture.stream(9000, 2.1, 400.0, every_s=1.0)
    (window,) = capture.windows()
    assert (window.closed_by, round(window.limit_s, 6)) == ("connection", round(2.01 + END_GRACE_S, 6))
    assert capture.leaks() == (1 if transport == TCP else 396, {"after_connection_end"})


def test_a_grant_long_behind_the_end_of_the_client_opens_nothing():
    capture = RtspCapture()
    player = capture.player()
    player.set_up(1.0, udp(9000))
    player.ask(2.0, request("PLAY", 2))
    player.end(2.01)
    player.say(9.0, response("200 OK", 2))
    capture.stream(9000, 9.1, 10.1)
    assert capture.windows() == ()
    assert capture.leaks()[0] == 20


def test_in_the_control_lines_too_a_window_behind_the_end_of_the_client_ends():
    capture = RtspCapture()
    capture.player().end(2.5)
    client = (HOST, 40_000)
    capture.messages += [
        Command(2.0, client, "connect", over_tcp=True),
        Reply(2.6, client, "connect", over_tcp=True),
        answer_untrusted(2.7, client, {"event": "active"}, 80),
    ]
    (window,) = capture.windows()
    assert (window.closed_by, window.limit_s) == ("connection", 2.5 + END_GRACE_S)
