"""What clients say of themselves, as the lab reads it."""

import pytest

from flume.errors import EvidenceError
from flume.lab.evidence.claims import said_untrusted


def test_the_claims_are_taken_from_the_statistics_and_the_rest_is_left():
    said = said_untrusted(
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
    claims = said.claims()
    assert (claims.datagrams, claims.duplicates, claims.frames_displayed) == (900, 2, 250)
    assert (claims.join_ms, claims.player, said.media_port) == (812.5, "headless", 41234)


def test_what_is_not_said_is_not_claimed():
    said = said_untrusted({"state": "closed", "media_port": None})
    assert (said.media_port, said.join_ms, said.claims().frames_displayed) == (None, None, None)


@pytest.mark.parametrize(
    "event", [{}, {"state": 1}, {"state": "active", "datagrams": "many"}, {"state": "x", "player": []}]
)
def test_wrong_types_are_an_error_of_the_evidence(event):
    with pytest.raises(EvidenceError, match="statistics"):
        said_untrusted(event)
