"""The statistics that a client reports, as the lab reads them."""

import pytest

from flume.errors import EvidenceError
from flume.lab.evidence.claims import parse_statistics_untrusted


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
