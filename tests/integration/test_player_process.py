"""libvlc in its own process: what its crash, its hang and the end of the client cost, and what is left."""

import contextlib
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.client.app import Client
from flume.client.playback import libvlc, vlc_process
from flume.client.playback.vlc_player import VlcPlayer
from flume.control.session import State
from flume.errors import PlayerError
from flume.lab import testcard
from flume.server.sources.expand import expand
from flume.server.sources.item_source import ItemSource, SourceOptions
from flume.settings import ClientSettings
from support.clients.players import wait_until
from support.clients.terminal import watch_command, watch_environment
from support.processes import children_of, has_ended, name_of, state_of
from support.servers.fake_server import FakeServer
from support.servers.running_server import RunningServer

pytestmark = pytest.mark.vlc


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("card") / "card.ts"
    testcard.generate(path, duration_s=12, width=640, height=360, bitrate_kbit=1500)
    with RunningServer(ItemSource(expand([str(path)]), SourceOptions(loop=True))) as server:
        yield server.port


def pid_of(player: VlcPlayer) -> int:
    assert player._process is not None
    return player._process.pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_a_fault_costs_the_picture_for_a_moment_and_nothing_of_the_session(
    port: int, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "flume.client")
    player = VlcPlayer(windowed=False, network_caching_ms=300)
    with Client(ClientSettings(host="127.0.0.1", port=port), player) as client:
        client.connect()
        wait_until("frames", lambda: client.statistics().player.frames_displayed > 10)
        pid = pid_of(player)
        assert name_of(pid) == "flume-player"
        os.kill(pid, number)
        began_s = time.monotonic()
        wait_until("it was started again", lambda: client.statistics().player.restarts == 1)
        before = client.statistics().player.frames_displayed
        wait_until("it shows frames", lambda: client.statistics().player.frames_displayed > before + 10)
        # 1.7 s until a process that does not answer is given up, 0.4 s to start, 2 s from keyframe to keyframe.
        assert time.monotonic() - began_s < 7
        seen = client.statistics()
        assert (seen.state, seen.reconnects, seen.lost, seen.dropped_by_receiver) == (State.ACTIVE, 0, 0, 0)
        assert seen.player.last_frame_number is not None
        assert has_ended(pid)
    (line,) = [record.getMessage() for record in caplog.records if "libvlc" in record.getMessage()]
    assert line.endswith(": starting it again; the picture returns with the next keyframe")


def test_memory_that_is_refused_to_it_ends_at_worst_its_process(port: int) -> None:
    player = VlcPlayer(windowed=False, network_caching_ms=300)
    with Client(ClientSettings(host="127.0.0.1", port=port), player) as client:
        client.connect()
        wait_until("frames", lambda: client.statistics().player.frames_displayed > 10)
        pid = pid_of(player)
        assert resource.prlimit(pid, resource.RLIMIT_DATA)[0] == vlc_process.MEMORY_BYTES
        held = vlc_process.private_bytes(pid)
        assert held < vlc_process.MEMORY_BYTES / 8
        resource.prlimit(pid, resource.RLIMIT_DATA, (held, vlc_process.MEMORY_BYTES))
        time.sleep(1)
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (vlc_process.MEMORY_BYTES,) * 2)
        before = client.statistics().player.frames_displayed
        wait_until("it shows frames", lambda: client.statistics().player.frames_displayed > before + 10)
        assert client.statistics().state == State.ACTIVE


def test_many_starts_each_with_its_first_frame_leave_nothing() -> None:
    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir()))

    before = held()
    for _ in range(10):
        player = VlcPlayer(windowed=False, network_caching_ms=300)
        player.start()
        pid = pid_of(player)
        player.close()
        assert has_ended(pid)
    assert held() == before


def fake_libraries(folder: Path, *names: str) -> None:
    """Copy libvlc's libraries of these *names* to *folder*, where no plug-ins are beside them."""
    libvlc.load()
    maps = Path("/proc/self/maps").read_text().split()
    for name in names:
        shutil.copy(next(path for path in maps if f"/{name}" in path), folder / name)


@pytest.mark.parametrize("names", [("libvlc.so.5", "libvlccore.so.9"), ()], ids=["no plug-ins", "no library"])
def test_a_start_that_fails_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    (tmp_path / "libvlc.so.5").write_bytes(b"no library")
    fake_libraries(tmp_path, *names)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    expected = "libvlc is installed but does not start" if names else r"libvlc cannot be loaded \(.*libvlc.so.5: .*\)"
    with pytest.raises(PlayerError, match=rf"^{expected}.*apt-get install .*libvlc5"):
        VlcPlayer(windowed=False, network_caching_ms=300).start()


@contextlib.contextmanager
def watching(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = watch_command(*arguments, "--json", "--player", "headless")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=watch_environment()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def player_of(process: "subprocess.Popen[str]") -> int:
    wait_until("it has a player", lambda: [pid for pid in children_of(process.pid) if name_of(pid) == "flume-player"])
    (pid,) = children_of(process.pid)
    return pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("is_stopped", [False, True], ids=["plays", "hangs"])
def test_a_signal_ends_both_processes_within_two_seconds(port: int, number: signal.Signals, is_stopped: bool) -> None:
    with watching("127.0.0.1", "--port", str(port)) as process:
        player = player_of(process)
        assert process.stdout is not None
        wait_until("a picture", lambda: "first_frame" in process.stdout.readline())  # type: ignore[union-attr]
        if is_stopped:
            os.kill(player, signal.SIGSTOP)
        began_s = time.monotonic()
        for pid in (player, process.pid):  # as a terminal does
            os.kill(pid, number)
        process.wait(10)
        assert time.monotonic() - began_s < 2
        assert has_ended(player)
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_signal_ends_it_while_libvlc_starts() -> None:
    with watching("127.0.0.1", "--port", "9") as process:
        player = player_of(process)
        os.kill(player, signal.SIGSTOP)
        began_s = time.monotonic()
        process.terminate()
        process.wait(10)
        assert time.monotonic() - began_s < 2
        assert has_ended(player)


@pytest.mark.parametrize("is_connected", [False, True])
def test_a_signal_ends_it_while_the_server_says_nothing(is_connected: bool) -> None:
    with FakeServer(silent=not is_connected) as server, watching("127.0.0.1", "--port", str(server.port)) as process:
        player = player_of(process)
        wait_until("the session", lambda: server.tokens if is_connected else server.commands)
        server._silent = True
        began_s = time.monotonic()
        process.terminate()
        process.wait(10)
        assert time.monotonic() - began_s < 2
        assert has_ended(player)


@pytest.mark.parametrize("is_stopped", [False, True], ids=["plays", "hangs"])
def test_a_client_that_is_killed_leaves_no_process(port: int, is_stopped: bool) -> None:
    with watching("127.0.0.1", "--port", str(port)) as process:
        player = player_of(process)
        if is_stopped:
            os.kill(player, signal.SIGSTOP)
            wait_until("it is stopped", lambda: state_of(player) == "T")
        process.kill()
        wait_until("no process is left", lambda: has_ended(player), timeout_s=2)


def test_the_players_process_imports_little() -> None:
    program = "import sys, flume.client.playback.process; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=watch_environment()
    )
    heavy = {"asyncio", "click", "msgspec", "pathlib", "rich", "subprocess", "typing", "vlc"}
    assert not heavy & set(done.stdout.split())
