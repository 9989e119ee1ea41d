"""Which player to open: in a window, without one, or none at all."""

import logging
import os
from typing import Literal

from flume.client.playback import display
from flume.client.playback.player import NullPlayer, Player
from flume.client.playback.vlc_player import VlcPlayer
from flume.client.playback.vlc_process import examine_window
from flume.errors import PlayerError

PlayerKind = Literal["auto", "window", "headless", "none"]

_log = logging.getLogger(__name__)


def open_player(
    kind: PlayerKind,
    *,
    network_caching_ms: int,
    decoder_threads: int | None = None,
    title: str = "flume",
    record: bool = False,
) -> Player:
    """Return a player of *kind*, not started yet; ``auto`` is a window where one can be opened.

    *network_caching_ms* is libvlc's own buffer, *decoder_threads* the number of libvlc's decoder threads (``None``:
    one without a window, libvlc's choice in a window), *title* that of the window. *record*: without a window, keep the
    time of each picture.

    Raises :class:`~flume.errors.PlayerError` when *kind* is ``window`` and none can be opened, or without libvlc.
    """
    if kind == "none":
        return NullPlayer()
    obstacle = _window_obstacle() if kind != "headless" else None
    if obstacle is not None and kind == "window":
        raise PlayerError(f"no window can be opened: {obstacle}; or watch with --player headless or none")
    if obstacle is not None and display.has_display(os.environ):
        _log.warning("no window can be opened, so frames are decoded but not shown: %s", obstacle)
    windowed = kind != "headless" and obstacle is None
    return VlcPlayer(
        windowed=windowed,
        network_caching_ms=network_caching_ms,
        decoder_threads=decoder_threads,
        title=title,
        record=record,
    )


def _window_obstacle() -> str | None:
    # Without a display the answer is known: no process has to find it out.
    return examine_window() if display.has_display(os.environ) else display.NO_DISPLAY
