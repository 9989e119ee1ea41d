"""What a client publishes about itself, and what older and newer programs can read of it."""

import json

import msgspec
import pytest

from flume.client.playback.player import PlayerStatistics
from flume.client.statistics import ClientStatistics, parse_published, to_published

STATISTICS = ClientStatistics(
    datagrams=9,
    unrelated=2,
    loss_runs={3: 1},
    time_s=1000.0,
    uptime_s=5.0,
    server="localhost:5004",
    state="active",
    desired="interrupted",
    linked=True,
    address="127.0.0.1",
    media_port=41234,
    commands=("connect",),
    reconnects=0,
    join_ms=None,
    resume_ms=None,
    first_datagram_ms=12.5,
    player=PlayerStatistics(kind="none"),
)


def test_what_is_published_can_be_read_back() -> None:
    assert parse_published(json.dumps(to_published(STATISTICS)).encode()) == STATISTICS


def test_the_former_keys_are_written_beside_the_new_ones() -> None:
    published = to_published(STATISTICS)
    assert (published["desired"], published["wished"]) == ("interrupted", "interrupted")
    assert (published["unrelated"], published["foreign"]) == (2, 2)


def test_a_file_with_the_former_keys_alone_is_read() -> None:
    published = to_published(STATISTICS)
    del published["desired"], published["unrelated"]
    assert parse_published(json.dumps(published).encode()) == STATISTICS


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"state":7}', b"\xff\xfe", b'{"state":' + 5000 * b"["])
def test_what_is_no_such_object_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        parse_published(data)
