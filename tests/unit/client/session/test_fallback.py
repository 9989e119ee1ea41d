"""When a client gives up UDP, and that it never comes back by itself."""

import pytest

from flume.client.reception.statistics import SILENT_AFTER_S
from flume.client.session.fallback import FIRST_DATAGRAM_S, NO_TCP, Fallback
from flume.control import messages
from flume.control.codec import encode
from flume.control.session import State
from flume.errors import SettingsError
from flume.settings import ClientSettings


def fallback(**settings: object) -> Fallback:
    return Fallback(ClientSettings(host="h", **settings))  # type: ignore[arg-type]


def is_blocked(subject: Fallback, state: State, silence_s: float, *, has_flowed: bool, sent: int | None) -> bool:
    """Observe once, and answer if the server's count is asked for; return whether UDP is blocked."""
    finding = subject.observe(state, silence_s, has_flowed=has_flowed)
    if finding == "ask":
        subject.take_count(sent)
    return finding == "blocked"


class Rounds:
    """Observes once a second, as the supervisor does, with a server that has sent *per_s* datagrams a second."""

    def __init__(self, subject: Fallback, *, per_s: int | None) -> None:
        self.subject, self.per_s = subject, per_s
        self.asked = 0

    def until_blocked(self, state: State, *, has_flowed: bool, limit_s: int = 60) -> int | None:
        for second in range(limit_s):
            match self.subject.observe(state, second, has_flowed=has_flowed):
                case "blocked":
                    return second
                case "ask":
                    self.asked += 1
                    self.subject.take_count(None if self.per_s is None else 1000 + second * self.per_s)
        return None


def test_a_token_that_does_not_arrive_is_waited_for_three_seconds():
    assert Rounds(fallback(), per_s=0).until_blocked(State.CONNECTING, has_flowed=False) == FIRST_DATAGRAM_S


@pytest.mark.parametrize(("has_flowed", "patience_s"), [(False, FIRST_DATAGRAM_S), (True, SILENT_AFTER_S)])
def test_datagrams_that_leave_and_do_not_arrive_are_waited_for(has_flowed: bool, patience_s: float):
    assert Rounds(fallback(), per_s=100).until_blocked(State.ACTIVE, has_flowed=has_flowed) == patience_s


@pytest.mark.parametrize("per_s", [0, None], ids=["the source pauses", "the server does not answer"])
def test_silence_alone_proves_nothing(per_s: int | None):
    assert Rounds(fallback(), per_s=per_s).until_blocked(State.ACTIVE, has_flowed=True) is None


def test_a_source_that_goes_on_while_the_server_is_asked_is_not_taken_for_a_blocked_path():
    """Over a long path the answer overtakes no datagram, but it comes after the silence was measured."""
    subject = fallback()
    observed = [(second, 1000) for second in range(1, 9)] + [(9, 1010), (0.7, 1100), (0.1, 1200)]
    seen = [is_blocked(subject, State.ACTIVE, silence_s, has_flowed=True, sent=count) for silence_s, count in observed]
    assert not any(seen)


def test_what_was_owed_in_one_silence_is_not_owed_in_the_next():
    subject = fallback()
    observed = [(2.0, 10), (3.0, 20), (2.5, 30), (3.5, 30), (4.5, 30), (5.5, 30), (6.5, 30)]
    assert not any(
        is_blocked(subject, State.ACTIVE, silence_s, has_flowed=True, sent=count) for silence_s, count in observed
    )


@pytest.mark.parametrize("state", [State.CLOSED, State.INTERRUPTED])
def test_in_a_state_without_media_nothing_is_asked(state: State):
    rounds = Rounds(fallback(), per_s=100)
    assert rounds.until_blocked(state, has_flowed=True) is None
    assert rounds.asked == 0


@pytest.mark.parametrize("settings", [{"transport": "udp"}, {"transport": "tcp"}, {"payload": "ts"}])
def test_what_was_chosen_stays(settings: dict):
    subject = fallback(**settings)
    assert Rounds(subject, per_s=100).until_blocked(State.ACTIVE, has_flowed=False) is None
    assert subject.transport == settings.get("transport", "udp")


def test_it_changes_once_and_only_a_person_changes_it_back():
    subject = fallback()
    assert subject.transport == "udp"
    subject.change()
    assert (subject.transport, subject.may_change) == ("tcp", False)
    assert Rounds(subject, per_s=100).until_blocked(State.ACTIVE, has_flowed=True) is None
    subject.note_end("consent_expired", has_flowed=False)
    assert not subject.has_failed
    subject.begin()
    assert (subject.transport, subject.may_change) == ("udp", True)


@pytest.mark.parametrize("code", ["consent_expired", "port_unreachable"])
def test_the_server_may_notice_first(code: str):
    subject = fallback()
    subject.note_end("shutdown", has_flowed=False)
    assert not subject.has_failed
    subject.note_end(code, has_flowed=False)
    assert subject.has_failed


def test_a_client_that_stood_still_for_a_while_does_not_blame_udp_at_once():
    """Suspended for longer than consent lasts, it finds its session ended; the same path works again."""
    subject = fallback()
    subject.note_end("consent_expired", has_flowed=True)
    assert not subject.has_failed
    subject.note_end("consent_expired", has_flowed=True)
    assert subject.has_failed, "a path that lets only the beginning of each session through is blocked"


def test_udp_is_not_named_so_that_an_older_server_understands():
    assert encode(fallback().request()) == b'{"command":"connect","version":1,"payload":"rtp"}\n'
    assert b'"transport":"tcp"' in encode(fallback(transport="tcp").request())


def test_an_older_server_is_explained_and_not_asked_again():
    refused = messages.Refused(state=State.CLOSED, command=None, code="invalid", message="unknown field `transport`")
    assert fallback().explain(refused) is refused, "over UDP it means something else"
    subject = fallback()
    subject.change()
    reply = subject.explain(refused)
    assert isinstance(reply, messages.Refused)
    assert (reply.code, reply.message[:20]) == (NO_TCP, "this server is older")
    subject.give_up()
    assert (subject.transport, subject.may_change) == ("udp", False)
    chosen = fallback(transport="tcp")
    chosen.give_up()
    assert chosen.transport == "tcp"


def test_raw_ts_does_not_go_over_tcp():
    with pytest.raises(SettingsError, match="RFC 4571"):
        ClientSettings(host="h", transport="tcp", payload="ts")
