"""What a driver takes and says: states, counts over several streams, and steps that a player cannot do."""

import itertools
import json

import pytest

from players.contract import COMMANDS, STATES, Account, Seen, event

NEXT = {
    ("closed", "play"): "active",
    ("active", "pause"): "interrupted",
    ("active", "stop"): "closed",
    ("interrupted", "resume"): "active",
    ("interrupted", "stop"): "closed",
}


def account_in(state: str) -> Account:
    account = Account("vlc", "udp")
    for command in {"closed": (), "active": ("play",), "interrupted": ("play", "pause")}[state]:
        account.done(command, time_s=1.0)
    return account


@pytest.mark.parametrize(
    ("state", "command"), list(itertools.product(("closed", "active", "interrupted"), ("play", *COMMANDS)))
)
def test_each_state_takes_its_commands_and_refuses_the_others(state: str, command: str):
    account = account_in(state)
    if (state, command) in NEXT:
        assert account.refusal(command) is None
        account.done(command, time_s=2.0)
        assert account.state == NEXT[state, command] == STATES[state, command]
    else:
        refusal = account.refusal(command) or ""
        assert refusal.startswith(f"{command} is not possible while {state}: ")
        assert set(refusal.partition(": ")[2].split(", ")) == {name for known, name in NEXT if known == state}
        assert account.state == state


def test_what_is_no_command_is_refused_with_those_there_are():
    assert account_in("active").refusal("interrupt") == "'interrupt' is none of play, pause, resume, stop"


def statistics(account: Account) -> dict:
    made: dict = json.loads(account.statistics(time_s=7.1234))
    return made


def test_frames_are_counted_over_streams_and_where_a_player_begins_again():
    account = account_in("active")
    for frames in (5, 40, 3, 10, 0, 2):
        account.see(Seen(frames=frames, displays=True), time_s=2.0)
    assert statistics(account)["player"]["frames_displayed"] == 40 + 10 + 2


def test_a_player_that_does_not_count_claims_no_frames():
    account = account_in("active")
    assert account.see(Seen(position_s=4.5, displays=True), time_s=2.0)
    player = statistics(account)["player"]
    assert (player["frames_displayed"], player["position_s"], player["kind"]) == (None, 4.5, "vlc")


def test_each_stream_has_a_first_frame_and_the_join_is_that_of_the_first():
    account = account_in("active")
    assert not account.see(Seen(frames=0), time_s=1.2)
    assert account.see(Seen(frames=1, displays=True), time_s=1.5)
    assert not account.see(Seen(frames=2, displays=True), time_s=1.6)
    account.done("stop", time_s=2.0)
    assert not account.see(Seen(frames=2, displays=True), time_s=2.1), "a closed player joins nothing"
    account.done("play", time_s=3.0)
    assert account.see(Seen(frames=3, displays=True), time_s=6.0)
    assert account.join_ms == 500.0


def test_a_step_that_is_not_possible_is_listed_and_leaves_the_state():
    account = account_in("closed")
    account.cannot("play", "no TCP")
    assert (account.state, statistics(account)["unsupported"]) == ("closed", ["play: no TCP"])
    for _ in range(1000):
        account.cannot("pause", "no")
    assert len(statistics(account)["unsupported"]) == 20


def test_statistics_are_what_the_lab_reads():
    account = account_in("active")
    assert statistics(account) == {
        "event": "statistics",
        "time_s": 7.123,
        "state": "active",
        "transport": "udp",
        "join_ms": None,
        "player": {"kind": "vlc", "frames_displayed": None, "position_s": None},
        "unsupported": [],
    }
    account.ended()
    assert account.state == "closed"


def test_an_event_is_one_line():
    assert json.loads(event("error", message="a\nb")) == {"event": "error", "message": "a\nb"}
    assert "\n" not in event("error", message="a\nb")
