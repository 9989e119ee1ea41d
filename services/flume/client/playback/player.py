"""What the client needs of a player, and the one that plays nothing."""

import logging
import os
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from flume.client.playback import display
from flume.client.playback.loopback import Payload
from flume.errors import PlayerError

PlayerKind = Literal["auto", "window", "headless", "none"]

_log = logging.getLogger(__name__)


class PlayerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What was displayed since the player began."""

    kind: str
    """window, headless or none."""
    frames_displayed: int = 0
    """Headless: changes of the displayed picture. Window: libvlc's own count, up to a quarter of a second late."""
    first_frame_s: float | None = None
    """When the first frame since the last :meth:`Player.expect_frame` was displayed, monotonic seconds. Window: when
    the first call of :meth:`Player.statistics` found it, so ask often."""
    last_frame_s: float | None = None
    last_frame_number: int | None = None
    """The number burnt into the test card, if the last picture carries one."""
    width: int = 0
    """As libvlc announces it: H.264 whose height is no multiple of 16 may read up to 15 lines more (1088 for 1080)."""
    height: int = 0
    datagrams_refused: int = 0
    """Written while libvlc did not listen."""
    restarts: int = 0
    """libvlc ended by itself and was started again."""


class Player(Protocol):
    """Shows MPEG-TS. :meth:`write` comes from the receiver's thread and never waits long."""

    @property
    def settle_s(self) -> float:
        """No new frame counted for this long means that everything written has been displayed."""

    def start(self) -> None:
        """Open; raises :class:`~flume.errors.PlayerError` when playing is not possible here."""

    def write(self, payloads: Sequence[Payload]) -> None:
        """Take the transport packets of some datagrams, each of *payloads* those of one, in order."""

    def expect_frame(self) -> None:
        """A command that leads to a picture was given: note when the next one is displayed."""

    def statistics(self) -> PlayerStatistics:
        """Return the counters as they are now."""

    def close(self) -> None:
        """Stop and release everything; a second call does nothing."""


class NullPlayer:
    """Counts nothing and shows nothing: for measuring the network alone."""

    settle_s = 0.0

    def start(self) -> None:
        """Do nothing."""

    def write(self, payloads: Sequence[Payload]) -> None:
        """Drop *payloads*."""

    def expect_frame(self) -> None:
        """Do nothing."""

    def statistics(self) -> PlayerStatistics:
        """Return zeros."""
        return PlayerStatistics(kind="none")

    def close(self) -> None:
        """Do nothing."""


def open_player(
    kind: PlayerKind, *, network_caching_ms: int, decoder_threads: int | None = None, title: str = "flume"
) -> Player:
    """Return a player of *kind*; ``auto`` is a window where one can be opened.

    libvlc is imported only here, so that ``none`` works without it. Raises :class:`~flume.errors.PlayerError`.
    """
    if kind == "none":
        return NullPlayer()
    from flume.client.playback.libvlc import VlcPlayer, plugin_folder  # noqa: PLC0415 - see the docstring

    obstacle = display.window_obstacle(os.environ, plugin_folder()) if kind != "headless" else None
    if obstacle is not None and kind == "window":
        raise PlayerError(f"no window can be opened: {obstacle}; or watch with --player headless or none")
    if obstacle is not None and display.has_display(os.environ):
        _log.warning("no window can be opened, so pictures are decoded but not shown: %s", obstacle)
    windowed = kind != "headless" and obstacle is None
    return VlcPlayer(
        windowed=windowed, network_caching_ms=network_caching_ms, decoder_threads=decoder_threads, title=title
    )
