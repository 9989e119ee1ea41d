"""Windows out of commands, replies and events as values: no JSON, no bytes, no capture file."""

import math

import pytest

from flume.lab.evidence.builder import TapFactsBuilder
from flume.lab.evidence.facts import (
    END_GRACE_S,
    Command,
    Consent,
    ControlEnd,
    ControlMessage,
    ControlStart,
    Event,
    MediaDatagram,
    Reply,
    Tap,
)
from flume.lab.trial.sessions import reconstruct
from flume.lab.trial.windows import CommandOutcome, PathSwitch, Sessions, Span, UnknownInterval
from flume.settings import CONSENT_TIMEOUT_S

CONTROL, MEDIA, OTHER_PORT = ("10.0.0.1", 40000), ("10.0.0.1", 50000), ("10.0.0.1", 50001)
TOKEN = b"00ff"
FIRST_S, LAST_S = 0.0, 100.0
CONNECTED = (Command(1.0, CONTROL, "connect"), Reply(1.1, CONTROL, "connect", state="connecting", token=TOKEN))
CONSENT = Consent(1.2, MEDIA, TOKEN)
TOKENS = tuple(Consent(1.2 + 2 * number, MEDIA, TOKEN) for number in range(50))


def sessions(
    *messages: ControlMessage,
    consents: tuple[Consent, ...] = (CONSENT,),
    media: tuple[MediaDatagram, ...] = (),
    ends: tuple[ControlEnd, ...] = (),
    starts: tuple[ControlStart, ...] = (ControlStart(0.5, CONTROL),),
) -> Sessions:
    """What is reconstructed from the facts of one server tap."""
    builder = TapFactsBuilder()
    builder.messages += messages
    builder.consents += consents
    builder.media += media
    builder.ends += ends
    builder.starts += starts
    return reconstruct(builder.build(Tap("server", "eth0", "none.pcap", 9, 0, 262144, FIRST_S, LAST_S, None)))


def datagram(time_s: float, destination: tuple[str, int]) -> MediaDatagram:
    return MediaDatagram(time_s, ("10.0.0.9", 5004), destination, b"", 1, 1, 1328, 0)


def test_a_window_opens_with_the_consent_and_closes_with_the_reply():
    found = sessions(
        *CONNECTED,
        Event(1.3, CONTROL, "active", first_sequence=7),
        Command(5.0, CONTROL, "interrupt"),
        Reply(5.1, CONTROL, "interrupt", last_sequence=9, datagrams=3),
    )
    (window,) = found.windows
    assert (window.control, window.media) == (CONTROL, MEDIA)
    assert (window.opened_s, window.opened_by) == (1.2, "connect")
    assert (window.closed_s, window.closed_by, window.limit_s) == (5.1, "interrupt", 5.1)
    assert (window.first_sequence, window.last_sequence, window.datagrams) == (7, 9, 3)
    assert found.commands == (
        CommandOutcome(1.0, CONTROL, "connect", "ok", 1.1),
        CommandOutcome(5.0, CONTROL, "interrupt", "ok", 5.1),
    )


def test_continue_opens_when_it_arrives_and_a_refused_one_opens_nothing():
    interrupted = (Command(5.0, CONTROL, "interrupt"), Reply(5.1, CONTROL, "interrupt"))
    continued = (Command(6.0, CONTROL, "continue"), Reply(6.1, CONTROL, "continue"))
    granted = sessions(*CONNECTED, *interrupted, *continued, consents=TOKENS)
    assert [(window.opened_s, window.opened_by) for window in granted.windows] == [(1.2, "connect"), (6.0, "continue")]
    assert granted.windows[1].closed_s == math.inf
    refusal = Reply(6.1, CONTROL, "continue", refusal="overloaded")
    refused = sessions(*CONNECTED, *interrupted, Command(6.0, CONTROL, "continue"), refusal)
    assert len(refused.windows) == 1
    assert refused.commands[-1].answer == "overloaded"


def test_a_grant_without_a_request_opens_nothing():
    assert sessions(CONNECTED[1]).windows == ()
    ended = (Command(5.0, CONTROL, "interrupt"), Reply(5.1, CONTROL, "interrupt"))
    assert len(sessions(*CONNECTED, *ended, Reply(6.0, CONTROL, "continue")).windows) == 1


@pytest.mark.parametrize(
    ("asks", "answers", "windows"),
    [(True, True, 1), (False, True, 0), (True, False, 0)],
    ids=["both", "not asked", "not granted"],
)
def test_over_tcp_a_window_has_positions_and_both_sides_must_name_it(asks: bool, answers: bool, windows: int):
    found = sessions(
        Command(1.0, CONTROL, "connect", over_tcp=asks),
        Reply(1.1, CONTROL, "connect", over_tcp=answers, offset=0),
        Event(1.1, CONTROL, "active", first_sequence=7, offset=80),
        Command(5.0, CONTROL, "disconnect"),
        Reply(5.1, CONTROL, "disconnect", offset=9000),
        consents=(),
    )
    assert [(w.media, w.opened_at, w.closed_at) for w in found.windows] == [(CONTROL, 80, 9000)] * windows


def test_over_tcp_only_the_first_active_opens_a_window():
    found = sessions(
        Command(1.0, CONTROL, "connect", over_tcp=True),
        Reply(1.1, CONTROL, "connect", over_tcp=True),
        Event(1.2, CONTROL, "active", offset=80),
        Command(2.0, CONTROL, "interrupt"),
        Reply(2.1, CONTROL, "interrupt", offset=200),
        Event(2.2, CONTROL, "active", offset=300),
        consents=(),
    )
    assert [window.closed_by for window in found.windows] == ["interrupt"]


def test_the_media_may_switch_to_a_port_from_which_the_token_came():
    media = (datagram(2.0, MEDIA), datagram(3.5, OTHER_PORT), datagram(4.0, OTHER_PORT))
    found = sessions(*CONNECTED, consents=(CONSENT, Consent(3.0, OTHER_PORT, TOKEN)), media=media)
    (window,) = found.windows
    assert window.switches == (PathSwitch(3.5, OTHER_PORT),)
    assert window.spans == (Span(MEDIA, 1.2, 3.5), Span(OTHER_PORT, 3.5, math.inf))
    without_token = sessions(*CONNECTED, media=media)
    assert without_token.windows[0].endpoints == (MEDIA,)


def test_a_token_of_another_host_or_another_token_opens_nothing():
    assert sessions(*CONNECTED, consents=(Consent(1.2, ("10.0.0.2", 50000), TOKEN),)).windows == ()
    assert sessions(*CONNECTED, consents=(Consent(1.2, MEDIA, b"00fe"),)).windows == ()


@pytest.mark.parametrize(("by_server", "limit_s"), [(False, 9.0 + END_GRACE_S), (True, 9.0)], ids=["client", "server"])
def test_the_end_of_the_connection_closes_and_only_the_clients_leaves_a_grace(by_server: bool, limit_s: float):
    (window,) = sessions(*CONNECTED, ends=(ControlEnd(9.0, CONTROL, by_server),)).windows
    assert (window.closed_by, window.limit_s) == ("connection", limit_s)


def test_a_connection_that_began_before_the_capture_is_unknown_until_the_server_names_a_state_without_a_session():
    asked = Command(10.0, CONTROL, "status")
    active = sessions(asked, Reply(10.1, CONTROL, "status", state="active"), starts=())
    assert active.unknown == (UnknownInterval(CONTROL[0], FIRST_S, LAST_S),)
    closed = sessions(asked, Reply(10.1, CONTROL, "status", state="closed"), starts=())
    assert closed.unknown == (UnknownInterval(CONTROL[0], FIRST_S, 10.1),)
    assert sessions(asked).unknown == ()


def test_an_event_without_a_name_shows_that_the_connection_was_there():
    assert len(sessions(Event(10.0, CONTROL, ""), starts=()).unknown) == 1


def test_a_reply_that_names_no_command_answers_what_is_no_request_or_the_oldest_command():
    pending = (Command(2.0, CONTROL, "status"), Command(2.1, CONTROL, "?"))
    refusals = (Reply(3.0, CONTROL, None, refusal="unreadable"), Reply(3.1, CONTROL, None, refusal="idle"))
    found = sessions(*pending, *refusals, Reply(3.2, CONTROL, None, refusal="goodbye"))
    assert [(one.command, one.answer) for one in found.commands] == [("status", "idle"), ("?", "unreadable")]


def test_sessions_of_one_host_are_its_windows_commands_and_unknown_intervals():
    found = sessions(*CONNECTED, Command(2.0, ("10.0.0.2", 40000), "status"))
    assert found.of(CONTROL[0]) == Sessions(found.windows, found.commands[:1], ())
    assert found.of("10.0.0.2") == Sessions((), found.commands[1:], found.unknown)
    assert found.of("10.0.0.3") == Sessions((), (), ())


@pytest.mark.parametrize(("late_s", "windows"), [(END_GRACE_S - 0.5, 1), (END_GRACE_S + 0.5, 0)])
def test_a_token_after_the_clients_end_opens_a_window_within_the_grace_only(late_s: float, windows: int):
    ends = (ControlEnd(2.0, CONTROL, by_server=False),)
    found = sessions(*CONNECTED, consents=(Consent(2.0 + late_s, MEDIA, TOKEN),), ends=ends)
    assert [window.limit_s for window in found.windows] == [2.0 + END_GRACE_S] * windows


def ends(found: Sessions) -> list[tuple[str, float, float]]:
    return [(window.closed_by, window.closed_s, round(window.limit_s, 6)) for window in found.windows]


EXPIRES_S = 1.2 + CONSENT_TIMEOUT_S
LIMIT_S = round(EXPIRES_S + END_GRACE_S, 6)


def test_a_window_ends_by_itself_when_no_token_has_come_for_the_timeout():
    assert ends(sessions(*CONNECTED)) == [("consent", EXPIRES_S, LIMIT_S)]
    assert ends(sessions(*CONNECTED, consents=TOKENS)) == [("nothing", math.inf, math.inf)]
    assert ends(sessions(*CONNECTED, consents=(*TOKENS[:3], Consent(7.0, MEDIA, b"00fe")))) == [
        ("consent", 5.2 + CONSENT_TIMEOUT_S, round(5.2 + CONSENT_TIMEOUT_S + END_GRACE_S, 6))
    ]


def test_the_timeout_is_the_one_that_the_server_names():
    named = CONNECTED[1]._replace(consent_timeout_s=20.0)
    assert ends(sessions(CONNECTED[0], named)) == [("consent", 21.2, 23.2)]


def test_what_the_server_says_in_time_ends_the_window():
    closed = Event(8.5, CONTROL, "closed", state="closed", last_sequence=9)
    assert ends(sessions(*CONNECTED, closed)) == [("closed", 8.5, 8.5)]


def test_a_token_renews_a_consent_that_the_server_has_not_found_expired_and_no_other():
    in_time = Consent(LIMIT_S - 0.1, MEDIA, TOKEN)
    assert ends(sessions(*CONNECTED, consents=(CONSENT, in_time))) == [
        ("consent", in_time.time_s + CONSENT_TIMEOUT_S, round(in_time.time_s + CONSENT_TIMEOUT_S + END_GRACE_S, 6))
    ]
    late = Consent(LIMIT_S + 0.1, MEDIA, TOKEN)
    assert ends(sessions(*CONNECTED, consents=(CONSENT, late))) == [("consent", EXPIRES_S, LIMIT_S)]


def test_a_first_token_that_comes_after_the_timeout_opens_nothing():
    assert len(sessions(*CONNECTED, consents=(Consent(1.1 + CONSENT_TIMEOUT_S, MEDIA, TOKEN),)).windows) == 1
    assert sessions(*CONNECTED, consents=(Consent(1.2 + CONSENT_TIMEOUT_S + END_GRACE_S, MEDIA, TOKEN),)).windows == ()


def test_consent_expires_while_the_session_is_interrupted_too():
    interrupted = (Command(5.0, CONTROL, "interrupt"), Reply(5.1, CONTROL, "interrupt"))
    late = (Command(20.0, CONTROL, "continue"), Reply(20.1, CONTROL, "continue"))
    assert len(sessions(*CONNECTED, *interrupted, *late).windows) == 1
    assert len(sessions(*CONNECTED, *interrupted, *late, consents=TOKENS).windows) == 2
    just = (Command(LIMIT_S - 0.5, CONTROL, "continue"), Reply(LIMIT_S - 0.4, CONTROL, "continue"))
    assert ends(sessions(*CONNECTED, *interrupted, *just))[1:] == [("consent", LIMIT_S - 0.5, LIMIT_S)]


def test_a_new_session_has_a_consent_of_its_own():
    again = (Command(30.0, CONTROL, "connect"), Reply(30.1, CONTROL, "connect", token=b"11ff"))
    found = sessions(*CONNECTED, *again, consents=(CONSENT, Consent(30.2, MEDIA, b"11ff")))
    assert ends(found) == [("consent", EXPIRES_S, LIMIT_S), ("consent", 37.2, 39.2)]


def test_over_tcp_the_connection_is_the_consent():
    asked = (Command(1.0, CONTROL, "connect", over_tcp=True), Reply(1.1, CONTROL, "connect", token=b"", over_tcp=True))
    found = sessions(*asked, Event(1.2, CONTROL, "active", offset=80), consents=())
    assert ends(found) == [("nothing", math.inf, math.inf)]


def elsewhere(first: int = 1) -> tuple[Consent, ...]:
    """The first token comes from one port, and all later ones come from another."""
    return (CONSENT, *(token._replace(client=OTHER_PORT) for token in TOKENS[first:]))


def test_a_port_from_which_no_token_comes_any_more_gets_nothing_more_while_another_one_consents():
    (window,) = sessions(*CONNECTED, consents=elsewhere(), media=(datagram(2.0, MEDIA),)).windows
    assert [(span.media, span.from_s, round(span.before_s, 6)) for span in window.spans] == [
        (MEDIA, 1.2, LIMIT_S),
        (OTHER_PORT, pytest.approx(LIMIT_S), math.inf),
    ]


def test_a_pause_of_the_stream_does_not_keep_the_media_from_moving():
    media = (datagram(2.0, MEDIA), datagram(40.0, OTHER_PORT))
    (window,) = sessions(*CONNECTED, consents=elsewhere(), media=media).windows
    assert window.endpoints == (MEDIA, OTHER_PORT)
    assert window.closed_s == math.inf


def test_the_media_may_not_go_back_to_a_port_whose_consent_has_expired():
    media = (datagram(2.0, MEDIA), datagram(6.0, OTHER_PORT), datagram(20.0, MEDIA))
    (window,) = sessions(*CONNECTED, consents=elsewhere(), media=media).windows
    assert window.endpoints == (MEDIA, OTHER_PORT)
    paused = (datagram(2.0, MEDIA), datagram(20.0, OTHER_PORT), datagram(21.0, MEDIA))
    (window,) = sessions(*CONNECTED, consents=elsewhere(), media=paused).windows
    assert window.endpoints == (MEDIA, OTHER_PORT)


SECOND = ("10.0.0.1", 40001)
PLAYERS = tuple(
    message
    for control, media in ((CONTROL, MEDIA), (SECOND, OTHER_PORT))
    for message in (
        Command(1.0, control, "connect"),
        Reply(1.1, control, "connect", media=media),
        Command(1.2, control, "continue"),
        Reply(1.3, control, "continue"),
    )
)
BOTH = (ControlStart(0.5, CONTROL), ControlStart(0.5, SECOND))


def test_two_players_of_one_host_punch_for_themselves():
    punches = (Consent(1.4, OTHER_PORT, b"\x80"), Consent(1.5, MEDIA, b"\x80"))
    media = (datagram(2.0, OTHER_PORT), datagram(2.1, MEDIA), datagram(2.2, OTHER_PORT), datagram(2.3, MEDIA))
    found = sessions(*PLAYERS, consents=punches, media=media, starts=BOTH)
    assert [(window.control, window.endpoints) for window in found.windows] == [
        (CONTROL, (MEDIA,)),
        (SECOND, (OTHER_PORT,)),
    ]


def test_a_port_that_another_player_of_the_host_named_is_no_way_round_its_pause():
    paused = (Command(3.0, SECOND, "interrupt"), Reply(3.1, SECOND, "interrupt"))
    punches = (Consent(3.2, OTHER_PORT, b"\x80"),)
    media = (datagram(2.0, OTHER_PORT), datagram(3.0, MEDIA), datagram(4.0, OTHER_PORT))
    found = sessions(*PLAYERS, *paused, consents=punches, media=media, starts=BOTH)
    assert [window.endpoints for window in found.windows] == [(MEDIA,), (OTHER_PORT,)]
    assert ends(found)[1][:2] == ("interrupt", 3.1)


def test_a_player_behind_nat_moves_to_the_port_that_its_punch_comes_from():
    behind = ("10.0.0.1", 61000)
    media = (datagram(2.0, MEDIA), datagram(2.5, behind))
    found = sessions(*PLAYERS[:4], consents=(Consent(2.4, behind, b"\x80"),), media=media, starts=BOTH[:1])
    assert [window.endpoints for window in found.windows] == [(MEDIA, behind)]
