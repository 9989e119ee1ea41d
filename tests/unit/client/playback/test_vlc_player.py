"""The player over the lives of its process, which here has no libvlc: it plays, fails, hangs, grows."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from flume.client.playback import vlc_player, vlc_process
from flume.client.playback.vlc_player import VlcPlayer
from flume.errors import PlayerError
from support.clients.players import wait_until
from support.processes import has_ended

PAYLOADS = [bytes(1316)] * 3

Begin = Callable[[str], VlcPlayer]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Return a player whose process does what FAKE_PLAYER says.

    It is replaced for what the test is about alone: where a busy host gave it no CPU, it would be replaced as one that
    hangs before it has grown.
    """
    monkeypatch.setattr(vlc_process, "PROGRAM", "support.children.fake_player")
    monkeypatch.setattr(vlc_process, "START_TIMEOUT_S", 60.0)
    monkeypatch.setattr(vlc_process, "ANSWER_TIMEOUT_S", 60.0)
    players = []

    def begin(mode: str) -> VlcPlayer:
        monkeypatch.setenv("FAKE_PLAYER", mode)
        players.append(VlcPlayer(windowed=False, network_caching_ms=300))
        return players[-1]

    yield begin
    for player in players:
        player.close()
        player.close()
        player.poll()
        assert player._process is None, "a player that was closed stays closed"


def pid_of(player: VlcPlayer) -> int:
    assert player._process is not None
    return player._process.pid


def test_recorded_pictures_are_handed_out_once(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    player = begin("plays")
    player._play = msgspec.structs.replace(player._play, record=True)
    player.start()
    seen: list[int | None] = []

    def has_shown(count: int) -> bool:
        player.poll()
        seen.extend(number for _, number in player.take_shown())
        return len(seen) >= count

    wait_until("it has displayed three pictures", lambda: has_shown(3))
    assert seen == list(range(1, len(seen) + 1)), "each report's pictures once, in their order"


def test_without_a_record_nothing_is_handed_out(begin: Begin) -> None:
    player = begin("plays")
    player.start()
    wait_until("it has displayed a picture", lambda: frames_after_polls(player) > 0)
    assert player.take_shown() == []


def frames_after_polls(player: VlcPlayer) -> int:
    player.poll()
    return player.statistics().frames_displayed


def has_restarted(player: VlcPlayer, restarts: int) -> Callable[[], bool]:
    return lambda: player.statistics().restarts == restarts


def poll_until(what: str, player: VlcPlayer, condition: Callable[[], object]) -> None:
    def polled() -> object:
        player.poll()
        return condition()

    wait_until(what, polled, timeout_s=60)


def test_what_it_displayed_is_counted_over_all_its_lives(begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    player = begin("plays")
    player.start()
    poll_until("frames", player, lambda: player.statistics().frames_displayed >= 3)
    before, first = player.statistics(), pid_of(player)
    os.kill(first, signal.SIGKILL)
    poll_until("it was started again", player, lambda: player.statistics().restarts)
    assert player.statistics().frames_displayed >= before.frames_displayed
    assert player.statistics().last_frame_s == before.last_frame_s
    assert pid_of(player) != first
    poll_until("it counts on", player, lambda: player.statistics().frames_displayed >= before.frames_displayed + 3)
    assert player.statistics().restarts == 1
    assert [record.getMessage() for record in caplog.records] == [
        "libvlc was ended by SIGKILL (signal 9): starting it again; the picture returns with the next keyframe"
    ]


def test_datagrams_while_it_starts_again_are_refused_and_nothing_waits(begin: Begin) -> None:
    """The receiver has 0.77 s of room at 50 Mbit/s."""
    player = begin("plays")
    player.write(PAYLOADS)
    assert player.statistics().datagrams_refused == 3, "it was not started yet"
    player.start()
    player.write(PAYLOADS)
    assert player.statistics().datagrams_refused == 3
    with player._polling:  # as it is held while the process is started or ended
        player._end()
        writer = threading.Thread(target=player.write, args=(PAYLOADS,), daemon=True)
        writer.start()
        writer.join(5)
        assert not writer.is_alive()
    assert player.statistics().datagrams_refused == 6


def test_only_a_poll_starts_it_again_and_the_pauses_grow(begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    player = begin("plays")
    player.start()
    began_s = time.monotonic()
    for restarts in (1, 2, 3):
        os.kill(pid_of(player), signal.SIGSEGV)
        time.sleep(0.05)
        assert player.statistics().restarts == restarts - 1
        poll_until("it was started again", player, has_restarted(player, restarts))
    assert time.monotonic() - began_s > 0 + 1 + 2
    lines = [record.getMessage() for record in caplog.records]
    assert ["again;" in lines[0], "again in 1 s;" in lines[1], "again in 2 s;" in lines[2]] == [True] * 3


def test_after_a_steady_life_it_is_started_again_at_once(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vlc_player, "STEADY_S", 0.0)
    player = begin("plays")
    player.start()
    began_s = time.monotonic()
    for restarts in (1, 2, 3, 4):
        os.kill(pid_of(player), signal.SIGSEGV)
        poll_until("it was started again", player, has_restarted(player, restarts))
    assert time.monotonic() - began_s < 3


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("fails", "^libvlc has no plug-ins: install them$"),
        ("silent", "^libvlc did not start within 0.5 s$"),
        ("babbles", "^libvlc sent a message that cannot be read$"),
    ],
)
def test_a_start_that_fails_is_an_error_and_leaves_no_process(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, mode: str, reason: str
) -> None:
    if mode == "silent":
        monkeypatch.setattr(vlc_process, "START_TIMEOUT_S", 0.5)
    player = begin(mode)
    with pytest.raises(PlayerError, match=reason):
        player.start()
    assert player._process is None


def test_no_process_is_an_error(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with pytest.raises(PlayerError, match=r"^libvlc got no process of its own: No such file or directory$"):
        begin("plays").start()


@pytest.mark.parametrize("mode", ["hangs", "frozen"])
def test_one_that_does_not_answer_is_replaced(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    monkeypatch.setattr(vlc_process, "ANSWER_TIMEOUT_S", 0.4)
    player = begin(mode)
    player.start()
    first = pid_of(player)
    began_s, longest_s = time.monotonic(), 0.0
    while not player.statistics().restarts:
        before_s = time.monotonic()
        player.poll()
        longest_s = max(longest_s, time.monotonic() - before_s)
        assert time.monotonic() - began_s < 5
        time.sleep(0.02)
    assert longest_s < 0.3, "a poll does not wait for it"
    assert has_ended(first)
    assert "libvlc did not answer for 0.4 s: starting it again" in caplog.text


def test_one_that_was_stopped_with_the_client_is_not_at_fault(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vlc_process, "ANSWER_TIMEOUT_S", 20.0)
    player = begin("plays")
    player.start()
    poll_until("frames", player, lambda: player.statistics().frames_displayed)
    os.kill(pid_of(player), signal.SIGSTOP)
    time.sleep(vlc_process.REPORT_INTERVAL_S)
    player.poll()
    assert player._process is not None
    player._process._looked_s -= 60  # no poll for a minute: the client did not run either
    os.kill(pid_of(player), signal.SIGCONT)
    poll_until("it answers", player, lambda: frames_after_polls(player) > 1)
    assert player.statistics().restarts == 0


def test_one_that_grows_is_replaced(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    player = begin("grows")
    player.start()
    monkeypatch.setattr(vlc_process, "MEMORY_NEAR_BYTES", 150 << 20)  # only now: growing while it starts is a failure
    monkeypatch.setattr(vlc_process, "MEMORY_INTERVAL_S", 0.1)
    poll_until("it was started again", player, lambda: player.statistics().restarts)
    assert "libvlc has grown to 0.2 GiB of memory: starting it again" in caplog.text


def test_the_first_frame_is_that_after_the_latest_command(begin: Begin) -> None:
    player = begin("plays")
    player.expect_frame()
    player.start()
    poll_until("a first frame", player, lambda: player.statistics().first_frame_s)
    first_s = player.statistics().first_frame_s
    os.kill(pid_of(player), signal.SIGKILL)
    poll_until("it was started again", player, lambda: player.statistics().restarts and player._sender)
    before = player.statistics().frames_displayed
    poll_until("it counts on", player, lambda: player.statistics().frames_displayed > before)
    assert player.statistics().first_frame_s == first_s, "that of a new life is not what the command led to"
    player.expect_frame()
    assert player.statistics().first_frame_s is None
    poll_until("a first frame", player, lambda: player.statistics().first_frame_s)


def test_its_time_of_the_first_datagram_is_told_once_after_each_command(begin: Begin) -> None:
    sent: list[object] = []
    player = begin("plays")
    player.start()
    process = player._process
    assert process is not None
    process.send = sent.append  # type: ignore[method-assign, assignment]
    for _ in range(2):
        player.expect_frame()
        player.write(PAYLOADS)
        player.write(PAYLOADS)
    assert [type(command).__name__ for command in sent] == ["Expect", "Received"] * 2


def test_many_starts_leave_nothing(begin: Begin) -> None:
    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208

    before = held()
    for number in range(20):
        player = begin("plays")
        player.start()
        pid = pid_of(player)
        if number % 2:
            os.kill(pid, signal.SIGSTOP)
        player.close()
        assert has_ended(pid)
    assert held() == before


def test_what_is_written_comes_to_its_port(begin: Begin) -> None:
    player = begin("plays")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        media.bind(("127.0.0.1", 0))
        media.settimeout(5)
        player.start()
        assert player._sender is not None
        player._sender._socket.connect(media.getsockname())
        player.write(PAYLOADS)
        assert [len(media.recv(65536)) for _ in PAYLOADS] == [1316] * 3


def test_without_audio_it_says_so_on_request(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("flume.client.playback.display.has_audio", lambda _environment: False)
    player = VlcPlayer(windowed=True, network_caching_ms=300)
    assert "no audio device here" in caplog.text
    assert "--no-audio" in player._play.instance_options
