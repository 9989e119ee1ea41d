"""What the players print about themselves, as values. Pure."""

import json
import re
from typing import Any

from players.contract import Seen

_VLC_FRAMES = re.compile(r"frames displayed\s*:\s*(\d+)")
_FFPLAY_CLOCK = re.compile(r"^\s*(-?\d+\.\d+|nan) (?:A-V|M-V|M-A|   )")
_MPV_SHOWN = " end video-flip"


def vlc_seen(text: str) -> Seen | None:
    """Return what VLC's answer to ``stats`` says; None for other lines.

    >>> vlc_seen("| frames displayed :       82")
    Seen(frames=82, position_s=None, displays=True, ended=None)
    """
    found = _VLC_FRAMES.search(text)
    if found is None:
        return None
    frames = int(found[1])
    return Seen(frames=frames, displays=frames > 0)


def ffplay_position_s(text: str) -> float | None:
    """Return the time that ffplay's status line begins with; None before a frame is displayed, and for other lines.

    >>> ffplay_position_s("  67.16 A-V: -0.020 fd=   7 aq=   14KB"), ffplay_position_s("    nan    :  0.000 fd=   0")
    (67.16, None)
    """
    found = _FFPLAY_CLOCK.match(text)
    return None if found is None or found[1] == "nan" else float(found[1])


def ffplay_error(text: str) -> str | None:
    """Return the reason if *text* says that ffplay could not open *url*, such as a refusal of the server.

    >>> ffplay_error("rtsp://server:5004/: Server returned 404 Not Found")
    'Server returned 404 Not Found'
    """
    found = re.match(r"rtsp://\S+: (.+)", text)
    return None if found is None else found[1]


def mpv_displayed(line: str) -> bool:
    """Whether *line* of mpv's ``--dump-stats`` is the end of displaying a frame.

    >>> mpv_displayed("1755 end video-flip"), mpv_displayed("1755 start video-flip")
    (True, False)
    """
    return line.rstrip().endswith(_MPV_SHOWN)


def mpv_message(line: str) -> dict[str, Any]:
    """Return a message of mpv's JSON IPC; empty for anything else."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def gstreamer_rendered(statistics: str) -> int | None:
    """Return the frames that a sink has rendered, from its property ``stats``.

    >>> gstreamer_rendered("application/x-gst-base-sink-stats, dropped=(guint64)0, rendered=(guint64)34;")
    34
    """
    found = re.search(r"rendered=\(guint64\)(\d+)", statistics)
    return None if found is None else int(found[1])
