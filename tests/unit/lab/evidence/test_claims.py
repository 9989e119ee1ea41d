"""The statistics that a client reports, as the lab reads them."""

import pytest

from flume.errors import EvidenceError
from flume.lab.evidence.claims import parse_record_untrusted, parse_statistics_untrusted
from flume.lab.evidence.facts import GivenUp, PlayerRecord, Shown, TooLate


def test_the_claims_are_taken_from_the_statistics_and_the_rest_is_left():
    reported = parse_statistics_untrusted(
        {
            "event": "statistics",
            "state": "active",
            "media_port": 41234,
            "join_ms": 812.5,
            "datagrams": 900,
            "duplicates": 2,
            "lost": 1,
            "new_field": {},
            "player": {"kind": "headless", "frames_displayed": 250},
        }
    )
    claims = reported.claims()
    assert (claims.datagrams, claims.duplicates, claims.frames_displayed) == (900, 2, 250)
    assert (claims.join_ms, claims.player, reported.media_port) == (812.5, "headless", 41234)


def test_what_is_not_said_is_not_claimed():
    reported = parse_statistics_untrusted({"state": "closed", "media_port": None})
    assert (reported.media_port, reported.join_ms, reported.claims().frames_displayed) == (None, None, None)


def test_another_player_claims_what_it_counts_and_what_it_cannot_do():
    said = {"state": "active", "player": {"kind": "vlc", "frames_displayed": 3}, "unsupported": ["play: UDP alone"]}
    claims = parse_statistics_untrusted(said).claims()
    assert (claims.datagrams, claims.frames_displayed, claims.unsupported) == (None, 3, ("play: UDP alone",))


@pytest.mark.parametrize(
    "event",
    [{}, {"state": 1}, {"state": "active", "datagrams": "many"}, {"state": "x", "player": []}, {"sta\ud800te": "x"}],
)
def test_wrong_types_are_an_error_of_the_evidence(event):
    with pytest.raises(EvidenceError, match="statistics"):
        parse_statistics_untrusted(event)


def test_the_events_of_a_record_become_one():
    first = {"event": "frames", "time_s": 8.0, "shown": [[7.0, 41], [7.04, None]], "given_up": [[7.1, 65535, 1]]}
    second = {"event": "frames", "late": [[7.2, 0]]}
    assert parse_record_untrusted([first, second]) == PlayerRecord(
        (Shown(7.0, 41), Shown(7.04, None)), (GivenUp(7.1, 65535, 1),), (TooLate(7.2, 0),)
    )
    assert parse_record_untrusted([]) == PlayerRecord()


@pytest.mark.parametrize(
    "event",
    [
        {"shown": 3},
        {"shown": [["now", 41]]},
        {"late": [[7.0]]},
        {"late": [[7.0, 65536]]},
        {"shown": [[7.0, -1]]},
        {"given_up": [[7.0, 1, "2"]]},
    ],
)
def test_a_record_that_is_none_is_evidence_that_cannot_be_used(event):
    with pytest.raises(EvidenceError, match="a client's record of its frames cannot be used"):
        parse_record_untrusted([event])


def test_entries_without_end_are_cut(monkeypatch):
    monkeypatch.setattr("flume.lab.evidence.claims.MOST_ENTRIES", 3)
    event = {"given_up": [[7.0, 0, 65535]] * 2, "late": [[7.0, 1]] * 2}
    found = parse_record_untrusted([event] * 3)
    assert (len(found.given_up), len(found.late)) == (3, 3)
