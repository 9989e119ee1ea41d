"""What players print: lines of VLC 3.0.23, ffplay 5.1, mpv 0.35 and GStreamer 1.22, and lines that look like them."""

import pytest

from players import readings
from players.contract import Seen


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("| frames displayed :      104", Seen(frames=104, displays=True)),
        ("| frames displayed :        0", Seen(frames=0, displays=False)),
        ("| frames lost      :        8", None),
        ("status change: ( play state: 3 )", None),
        ("", None),
    ],
)
def test_vlc(line: str, seen: Seen | None):
    assert readings.vlc_seen(line) == seen


@pytest.mark.parametrize(
    ("line", "position_s"),
    [
        ("  67.16 A-V: -0.020 fd=   7 aq=   14KB vq=  385KB sq=    0B f=0/0   ", 67.16),
        ("  67.16 M-V:  0.000 fd=   7 aq=    0KB vq=  385KB sq=    0B f=0/0   ", 67.16),
        ("    nan    :  0.000 fd=   0 aq=    0KB vq=    0KB sq=    0B f=0/0   ", None),
        ("    nan A-V:    nan fd=   0 aq=   11KB vq=  339KB sq=    0B f=0/0   ", None),
        ("  Duration: 24:00:00.00, start: 67.200000, bitrate: N/A", None),
        ("67.2 frames", None),
        ("", None),
    ],
)
def test_ffplay_names_a_time_as_soon_as_it_displays(line: str, position_s: float | None):
    assert readings.ffplay_position_s(line) == position_s


def test_ffplay_says_why_it_cannot_open_a_stream():
    assert readings.ffplay_error("rtsp://server:5004/: Connection refused") == "Connection refused"
    assert readings.ffplay_error("Input #0, rtsp, from 'rtsp://server:5004/':") is None


@pytest.mark.parametrize(
    ("line", "is_frame"),
    [
        ("40211 end video-flip\n", True),
        ("40211 start video-flip\n", False),
        ("40211 end video-draw\n", False),
        ("40211 value 0.04 video-flip-x\n", False),
        ("", False),
    ],
)
def test_mpv_counts_what_it_flips_to_the_screen(line: str, is_frame: bool):
    assert readings.mpv_displayed(line) is is_frame


def test_mpv_messages_are_objects_and_anything_else_is_none():
    assert readings.mpv_message('{"event":"end-file","reason":"eof"}')["reason"] == "eof"
    for line in ("", "[1]", "null", "{", "12"):
        assert readings.mpv_message(line) == {}


def test_gstreamer_counts_what_its_sink_has_rendered():
    text = "application/x-gst-base-sink-stats, average-rate=(double)-1, dropped=(guint64)2, rendered=(guint64)76;"
    assert readings.gstreamer_rendered(text) == 76
    assert readings.gstreamer_rendered("application/x-gst-base-sink-stats;") is None
