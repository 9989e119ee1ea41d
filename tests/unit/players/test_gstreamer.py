"""GStreamer's player, with a pipeline that only remembers: its bindings are Debian's, and are in the lab's image."""

import importlib
import sys
import threading
import time
import types
from typing import Any

import pytest


class Element:
    """Has properties, states and statistics, and remembers the order of what was asked of it."""

    def __init__(self, log: list[tuple[str, object]]) -> None:
        self.frames = 0
        self._log = log

    def set_property(self, name: str, value: object) -> None:
        self._log.append((name, value))

    def get_property(self, _name: str) -> Any:
        return types.SimpleNamespace(to_string=lambda: f"stats, rendered=(guint64){self.frames};")

    def connect(self, _signal: str, _call: object) -> None:
        pass

    def set_state(self, state: str) -> None:
        self._log.append(("state", state))


@pytest.fixture
def gstreamer(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[Element], list[tuple[str, object]]]:
    """The player while it plays, its elements in the order in which they were made, and their log."""
    log: list[tuple[str, object]] = []
    made: list[Element] = []

    def make(_kind: str) -> Element:
        made.append(Element(log))
        return made[-1]

    gst = types.SimpleNamespace(
        init=lambda _arguments: None,
        ElementFactory=types.SimpleNamespace(make=make),
        State=types.SimpleNamespace(PLAYING="PLAYING", PAUSED="PAUSED", NULL="NULL"),
    )
    gi, repository = types.ModuleType("gi"), types.ModuleType("gi.repository")
    vars(gi).update(require_version=lambda *_: None, repository=repository)
    vars(repository).update(Gst=gst)
    for name, module in (("gi", gi), ("gi.repository", repository)):
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules.pop("players.gstreamer", None)
    player = importlib.import_module("players.gstreamer").Gstreamer("rtsp://server:5004/", "udp")
    player.play()
    sys.modules.pop("players.gstreamer")  # the next import has bindings of its own
    log.clear()
    return player, made, log


def test_a_pause_waits_for_no_frame_that_does_not_come_any_more(gstreamer):
    player, (_pipeline, video, _audio), log = gstreamer
    video.frames = 1
    player.pause()
    assert log == [("async", False), ("async", False), ("state", "PAUSED")]
    player.resume()
    assert log[-1] == ("state", "PLAYING")


def test_a_pause_waits_for_the_first_frame(gstreamer):
    player, (_pipeline, video, _audio), log = gstreamer
    pausing = threading.Thread(target=player.pause)
    pausing.start()
    time.sleep(0.2)
    assert log == [], "without a frame PAUSED may be lost"
    video.frames = 1
    pausing.join(10)
    assert log[-1] == ("state", "PAUSED")
