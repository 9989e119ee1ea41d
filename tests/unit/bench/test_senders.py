"""The commands of the senders."""

from pathlib import Path

import pytest

from bench.clips import Clip
from bench.senders import Work, all_senders

WORK = Work(
    clip=Clip(Path("clip.ts"), 1_000_000.0, 0.0),
    clip_path=Path("clip.ts"),
    destinations=[("198.18.32.1", 6000), ("198.18.16.1", 6000)],
    listing=Path("list.txt"),
    tick_ms=10.0,
    batch=8,
)


@pytest.mark.parametrize("name", ["multiudpsink", "ffmpeg", "vlc"])
def test_every_destination_is_in_the_command_of_those_who_take_them_there(name: str) -> None:
    command = " ".join(all_senders("x86_64")[name].command(WORK))
    for address, port in WORK.destinations:
        assert command.count(f"{address}:{port}") == 1
    assert "clip.ts" in command


@pytest.mark.parametrize("name", ["naive", "naive-pinned", "asyncio"])
def test_our_own_senders_are_paced_by_the_clips_rate(name: str) -> None:
    command = all_senders("x86_64")[name].command(WORK)
    assert command[1] == "-m"
    assert command[3:7] == ["clip.ts", "list.txt", "1000000.0", "10.0"]


def test_only_those_who_ask_for_sessions_speak_rtp_beside_the_limit() -> None:
    senders = all_senders("x86_64").values()
    assert {each.name for each in senders if each.sessions} == {"flume", "flume+vlc", "flume-loop", "flume-rtsp"}
    assert {each.name for each in senders if each.rtp} == {"flume", "flume+vlc", "flume-loop", "flume-rtsp", "limit"}
