"""The player's process obeys the commands that the client sends, and answers with events that the client knows."""

import json
from pathlib import Path

import msgspec
import pytest

from flume.client.playback import process
from flume.client.playback import process_messages as messages
from flume.client.playback.frame_count import FrameCount
from flume.client.playback.vlc_options import headless_options, window_options
from flume.errors import PlayerError
from flume.reader import messages as reader_messages

PLAY = messages.Play(windowed=False, instance_options=("--quiet",), media_options=(":x=1",), buffer_s=0.3, expected=7)


class FakePlayback:
    """libvlc's place: it plays at a port, and has displayed what the test says."""

    port = 4711
    has_ended = False
    number: int | None = 12
    size = 1280, 720

    def __init__(self, **options: object) -> None:
        self.options = options
        self.count = FrameCount(buffer_s=0.3)
        self.counts_taken = 0
        self.shown: list[tuple[float, int | None]] = []

    def take_shown(self) -> list[tuple[float, int | None]]:
        shown, self.shown = self.shown, []
        return shown

    def take_count(self) -> None:
        self.counts_taken += 1


class Fixture:
    """A program in the place of a process, spoken with as the client does."""

    def __init__(self) -> None:
        self.program = process.Program()

    def say(self, command: messages.Command) -> messages.Event | None:
        answer = self.program.answer(messages.encode(command))
        return None if answer is None else messages.decode_event_untrusted(answer)

    @property
    def playback(self) -> FakePlayback:
        playback = self.program._playback
        assert isinstance(playback, FakePlayback)
        return playback


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> Fixture:
    monkeypatch.setattr(process, "Playback", FakePlayback)
    return Fixture()


def test_it_plays_and_reports_what_was_displayed(spoken: Fixture) -> None:
    assert spoken.say(PLAY) == messages.Listening(4711)
    assert spoken.playback.options == {
        "windowed": False,
        "instance_options": ["--quiet"],
        "media_options": [":x=1"],
        "buffer_s": 0.3,
        "record": False,
    }
    assert spoken.say(messages.Ask()) == messages.Report(expected=7, number=12, width=1280, height=720)
    spoken.playback.count.add(1, 10.0)
    seen = spoken.say(messages.Ask())
    assert seen == messages.Report(frames=1, last_s=10.0, expected=7, first_s=10.0, number=12, width=1280, height=720)


def test_recorded_pictures_are_reported_once(spoken: Fixture) -> None:
    spoken.say(msgspec.structs.replace(PLAY, record=True))
    assert spoken.playback.options["record"] is True
    spoken.playback.shown = [(10.0, 41), (10.04, None)]
    reports = [spoken.say(messages.Ask()) for _ in range(2)]
    assert [report.shown for report in reports if isinstance(report, messages.Report)] == [
        ((10.0, 41), (10.04, None)),
        (),
    ]


def test_the_first_frame_after_a_command_is_that_of_datagrams_received_after_it(spoken: Fixture) -> None:
    spoken.say(PLAY)
    count = spoken.playback.count
    count.add(1, 10.0)
    assert spoken.say(messages.Expect(8)) is None
    assert spoken.playback.counts_taken == 1, "what a window displayed before does not count"
    assert spoken.say(messages.Received(20.0)) is None
    count.add(1, 20.1)
    seen = spoken.say(messages.Ask())
    assert isinstance(seen, messages.Report)
    assert (seen.expected, seen.first_s) == (8, None)
    count.add(1, 20.3)
    seen = spoken.say(messages.Ask())
    assert isinstance(seen, messages.Report)
    assert (seen.frames, seen.first_s) == (3, 20.3)


def test_a_stream_that_libvlc_ended_is_a_failure(spoken: Fixture) -> None:
    spoken.say(PLAY)
    spoken.playback.has_ended = True
    assert spoken.say(messages.Ask()) == messages.Failed("libvlc ended the stream by itself")


def test_a_start_that_fails_says_why(spoken: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_options: object) -> None:
        raise PlayerError("no plug-ins")

    monkeypatch.setattr(process, "Playback", fail)
    assert spoken.say(PLAY) == messages.Failed("no plug-ins")
    assert spoken.say(messages.Ask()) == messages.Failed("libvlc was given the command ask before it played")


def test_it_says_why_no_window_can_be_opened(spoken: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "load", lambda: None)
    monkeypatch.setattr("flume.client.playback.display.plugin_folder", lambda: Path("/nonexistent"))
    monkeypatch.setattr("flume.client.playback.display.window_obstacle", lambda _environment, folder: f"no {folder}")
    assert spoken.say(messages.Examine()) == messages.Examined("no /nonexistent")


NO_TEXT, NESTED = b'{"type":"failed","reason":"\xff"}', b'{"type":"failed","other":' + 5000 * b"["


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"type":"report","frames":"x"}', b'{"type":"play"}', b"\xff", NO_TEXT, NESTED]
)
def test_what_is_no_event_is_refused(data: bytes) -> None:
    """The events of the player process and of the reader process are refused alike."""
    for decode in (messages.decode_event_untrusted, reader_messages.decode_event_untrusted):
        with pytest.raises(msgspec.DecodeError):
            decode(data)


def test_commands_are_what_they_are_called() -> None:
    assert json.loads(messages.encode(messages.Expect(3))) == {"type": "expect", "number": 3}
    assert json.loads(messages.encode(messages.Ask())) == {"type": "ask"}


def test_options_without_a_window() -> None:
    instance, media = headless_options(network_caching_ms=250, decoder_threads=None)
    assert {"--no-audio", "--no-stats", "--no-drop-late-frames"} <= set(instance)
    assert media[-2:] == (":network-caching=250", ":avcodec-threads=1")
    assert headless_options(network_caching_ms=250, decoder_threads=0).media[-1] == ":avcodec-threads=0"


def test_options_in_a_window() -> None:
    has_all = window_options(
        title="flume a - b", network_caching_ms=300, decoder_threads=None, has_audio=True, has_graphics_card=True
    )
    assert has_all.instance[-1] == "--video-title=flume a - b"
    assert not {"--no-audio", "--no-stats", "--vout=xcb_x11"} & set(has_all.instance)
    assert has_all.media[-1] == ":avcodec-threads=0"
    has_none = window_options(
        title="t", network_caching_ms=300, decoder_threads=2, has_audio=False, has_graphics_card=False
    )
    assert has_none.instance[-2:] == ("--no-audio", "--vout=xcb_x11")
    assert has_none.media[-2:] == (":avcodec-threads=2", ":avcodec-hw=none")
