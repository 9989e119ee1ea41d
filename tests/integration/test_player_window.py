"""A real window: what is on the screen, and what is reported where none can be opened."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flume.client.app import Client
from flume.client.playback import display
from flume.client.playback.libvlc import load
from flume.client.playback.opening import open_player
from flume.client.playback.packages import INSTALL_WINDOW
from flume.client.playback.vlc_player import VlcPlayer
from flume.errors import PlayerError
from flume.lab import testcard
from flume.server.sources.expand import expand
from flume.server.sources.item_source import ItemSource, SourceOptions
from flume.settings import ClientSettings
from support.clients.players import wait_until
from support.clients.x_screen import XScreen
from support.paths import SERVICES
from support.servers.running_server import RunningServer

pytestmark = pytest.mark.vlc

FPS = 25


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("card") / "card.ts"
    testcard.generate(path, duration_s=12, width=640, height=360, bitrate_kbit=1500)
    with RunningServer(ItemSource(expand([str(path)]), SourceOptions(loop=True, ingest="vlc"))) as server:
        yield server.port


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[XScreen]:
    with XScreen(tmp_path) as screen:
        monkeypatch.setenv("DISPLAY", screen.display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        yield screen


def test_the_window_shows_the_stream_stands_still_when_interrupted_and_is_closed(port: int, screen: XScreen) -> None:
    player = open_player("auto", network_caching_ms=300, title="flume test")
    assert screen.is_empty
    with Client(ClientSettings(host="127.0.0.1", port=port), player) as client:
        client.connect()
        wait_until("it says that it shows frames", lambda: client.statistics().join_ms)
        wait_until("a frame is on the screen", lambda: screen.frame_number() is not None)
        first = screen.frame_number()
        threading.Event().wait(2)
        assert screen.frame_number() != first
        client.interrupt()
        assert client.wait_until_drained(timeout_s=5)
        paused = client.statistics()
        still = screen.frame_number()
        threading.Event().wait(1)
        assert screen.frame_number() == still
        assert client.statistics().player.frames_displayed == paused.player.frames_displayed
        client.continue_()
        wait_until("it goes on", lambda: screen.frame_number() not in {still, None})
        wait_until("it says so", lambda: client.statistics().resume_ms)
        client.disconnect()
        assert client.wait_until_drained(timeout_s=5)
        seen = client.statistics()
        assert seen.player.kind == "window"
        assert seen.player.frames_displayed > 1.5 * FPS
        assert (seen.player.width, seen.lost, seen.player.restarts) == (640, 0, 0)
        assert seen.join_ms is not None
        assert seen.join_ms < 3000
        assert seen.resume_ms is not None
        assert seen.resume_ms >= 250, "the rest of the window before is not the picture that was asked for"
    wait_until("the window is closed", lambda: screen.is_empty)


def test_a_player_that_was_killed_opens_its_window_again_and_counts_on_where_it_was(port: int, screen: XScreen) -> None:
    player = open_player("window", network_caching_ms=300)
    assert isinstance(player, VlcPlayer)
    with Client(ClientSettings(host="127.0.0.1", port=port), player) as client:
        client.connect()
        wait_until("frames", lambda: client.statistics().player.frames_displayed > 50)
        assert player._process is not None
        os.kill(player._process.pid, signal.SIGKILL)
        before = client.statistics().player.frames_displayed
        wait_until("counts on", lambda: client.statistics().player.frames_displayed > before + 10, timeout_s=5)
        assert client.statistics().player.restarts == 1
        assert screen.frame_number() is not None
    wait_until("the window is closed", lambda: screen.is_empty)


def test_without_an_x_server_it_is_headless_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    player = open_player("auto", network_caching_ms=300)
    player.start()
    assert player.statistics().kind == "headless"
    player.close()
    assert [record.getMessage() for record in caplog.records] == [
        "no window can be opened, so frames are decoded but not shown: no X server lets us in at DISPLAY=:4711: "
        "is it running, and does xauth or xhost allow this user?"
    ]
    with pytest.raises(PlayerError, match=r"no window can be opened: .*DISPLAY=:4711.*--player headless or none"):
        open_player("window", network_caching_ms=300)


def test_without_the_plug_in_it_says_what_to_install(screen: XScreen, tmp_path: Path) -> None:
    load()
    plugins = display.plugin_folder()
    assert plugins is not None
    assert display.window_obstacle(os.environ, plugins) is None
    found = display.window_obstacle(os.environ, tmp_path)
    assert found == "libvlc has no plug-in for windows: " + INSTALL_WINDOW


def test_nothing_but_our_own_lines_is_written(port: int, screen: XScreen, tmp_path: Path) -> None:
    # Without an audio device ALSA wrote thousands of lines over the status line.
    command = [sys.executable, "-m", "flume.cli", "watch", "127.0.0.1", "--port", str(port), "--duration", "3"]
    environment = {**os.environ, "PYTHONPATH": str(SERVICES)}
    environment["XDG_RUNTIME_DIR"] = str(tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=True)
    assert done.stderr == ""
    assert "first picture" in done.stdout


def test_why_no_window(tmp_path: Path) -> None:
    assert "neither DISPLAY nor WAYLAND_DISPLAY" in str(display.window_obstacle({}, None))
    wayland = {"WAYLAND_DISPLAY": "wayland-0", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert "no Wayland compositor answers at WAYLAND_DISPLAY=wayland-0" in str(display.window_obstacle(wayland, None))


def test_audio_and_graphics_are_where_linux_puts_them(tmp_path: Path) -> None:
    assert not display.has_audio({}, tmp_path)
    assert not display.has_graphics_card(tmp_path)
    assert display.has_audio({"PULSE_SERVER": "tcp:desk"}, tmp_path)
    (tmp_path / "snd").mkdir()
    (tmp_path / "snd" / "pcmC0D0c").touch()
    assert not display.has_audio({}, tmp_path), "a microphone only"
    (tmp_path / "snd" / "pcmC0D0p").touch()
    assert display.has_audio({}, tmp_path)
    (tmp_path / "dri").mkdir()
    (tmp_path / "dri" / "card0").touch()
    assert display.has_graphics_card(tmp_path)
    assert display.has_audio({"XDG_RUNTIME_DIR": str(tmp_path)}, tmp_path / "none") is False
    (tmp_path / "pipewire-0").touch()
    assert display.has_audio({"XDG_RUNTIME_DIR": str(tmp_path)}, tmp_path / "none")
