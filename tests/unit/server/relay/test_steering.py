"""The state that a relay reports of its upstream, and the loops that it finds."""

import msgspec
import pytest

from flume.control.messages import ServerStatus, UpstreamStatus
from flume.control.session import State
from flume.server.relay.steering import MOST_HOPS, MOST_IDENTITY_CHARACTERS, Seen, loop, path_through, state_of
from flume.settings import MAX_LINE_BYTES


def status(identity: str, *path: str) -> ServerStatus:
    above = UpstreamStatus(address="flume://x:5004", state="receiving", state_s=1.0, path=path) if path else None
    return ServerStatus(
        uptime_s=1,
        source="",
        ingest="running",
        sessions=0,
        active=0,
        datagrams=0,
        segmentation=True,
        identity=identity,
        upstream=above,
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Seen(is_wanted=False, session=State.ACTIVE, silent_s=0.0), "asleep"),
        (Seen(is_wanted=False, session=State.CLOSED, silent_s=None, has_failed=True), "asleep"),
        (Seen(is_wanted=True, session=State.CLOSED, silent_s=None), "connecting"),
        (Seen(is_wanted=True, session=State.CONNECTING, silent_s=None), "connecting"),
        (Seen(is_wanted=True, session=State.CONNECTING, silent_s=9.0, has_failed=True), "lost"),
        (Seen(is_wanted=True, session=State.ACTIVE, silent_s=0.1, has_failed=True), "receiving"),
        (Seen(is_wanted=True, session=State.ACTIVE, silent_s=7.0), "silent"),
        (Seen(is_wanted=True, session=State.ACTIVE, silent_s=None), "silent"),
        (Seen(is_wanted=True, session=State.CLOSED, silent_s=None, refusal="no"), "refused"),
        (Seen(is_wanted=True, session=State.CLOSED, silent_s=None, ended="over"), "ended"),
    ],
)
def test_the_state_is_what_a_person_would_call_it(seen: Seen, expected: str) -> None:
    assert state_of(seen, active_s=8.0) == expected


def test_a_session_that_has_only_begun_is_not_silent() -> None:
    assert state_of(Seen(is_wanted=True, session=State.ACTIVE, silent_s=600.0), active_s=0.2) == "receiving"


def test_a_loop_is_found_at_any_distance_and_a_tree_is_none() -> None:
    assert "itself" in (loop("me", status("me")) or "")
    assert "over 1 servers" in (loop("me", status("other", "me")) or "")
    assert loop("me", status("other", "origin")) is None
    assert loop("me", status("")) is None, "an older server has no identity"


def test_more_relays_in_a_row_than_are_allowed_are_refused() -> None:
    names = [f"{number}" for number in range(MOST_HOPS)]
    assert loop("me", status("near", *names[:-1])) is None
    assert "in a row" in (loop("me", status("near", *names)) or "")


def test_the_path_names_the_nearest_first() -> None:
    assert path_through(status("near", "far")) == ("near", "far")
    assert path_through(status("")) == ()


@pytest.mark.parametrize("hostile", ["a" * (MOST_IDENTITY_CHARACTERS + 1), "a\nb", "caf\u00e9", "\x1b[2J", ""])
def test_what_is_no_identity_is_left_out_of_the_path(hostile: str) -> None:
    longest = "a" * MOST_IDENTITY_CHARACTERS
    assert path_through(status(hostile, hostile, longest, hostile)) == (longest,)


def test_the_longest_path_fits_in_a_line_of_status() -> None:
    path = path_through(status(*['"' * MOST_IDENTITY_CHARACTERS] * 60))
    assert len(msgspec.json.encode(path)) < MAX_LINE_BYTES // 3
