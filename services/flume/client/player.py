"""What the client needs of a player, and the one that plays nothing."""

import os
from typing import Literal, Protocol

import msgspec

from flume.errors import SettingsError

PlayerKind = Literal["auto", "window", "headless", "none"]


class PlayerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What was displayed since the player began."""

    kind: str
    """window, headless or none."""
    frames_displayed: int = 0
    """Headless: changes of the displayed picture. Window: libvlc's own count, which lags a second."""
    first_frame_s: float | None = None
    """When the first frame since the last :meth:`Player.expect_frame` was displayed, monotonic seconds."""
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
    """Shows MPEG-TS. :meth:`write` comes from the receiver's thread and never waits."""

    def start(self) -> None:
        """Open; raises :class:`~flume.errors.PlayerError` when playing is not possible here."""

    def write(self, payload: bytes | memoryview) -> None:
        """Take the transport packets of one datagram."""

    def expect_frame(self) -> None:
        """A command that leads to a picture was given: note when the next one is displayed."""

    def statistics(self) -> PlayerStatistics:
        """Return the counters as they are now."""

    def close(self) -> None:
        """Stop and release everything; a second call does nothing."""


class NullPlayer:
    """Counts nothing and shows nothing: for measuring the network alone."""

    def start(self) -> None:
        """Do nothing."""

    def write(self, payload: bytes | memoryview) -> None:
        """Drop *payload*."""

    def expect_frame(self) -> None:
        """Do nothing."""

    def statistics(self) -> PlayerStatistics:
        """Return zeros."""
        return PlayerStatistics(kind="none")

    def close(self) -> None:
        """Do nothing."""


def has_display(environment: "os._Environ[str] | dict[str, str]") -> bool:
    """Say whether windows can be opened."""
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def open_player(kind: PlayerKind, *, network_caching_ms: int, decoder_threads: int | None = None) -> Player:
    """Return a player of *kind*; ``auto`` is a window where there is a display.

    libvlc is imported only here, so that ``none`` works without it. Raises :class:`~flume.errors.PlayerError`.
    """
    if kind == "none":
        return NullPlayer()
    windowed = has_display(os.environ) if kind == "auto" else kind == "window"
    if kind == "window" and not has_display(os.environ):
        raise SettingsError("player", kind, "headless or none here: neither DISPLAY nor WAYLAND_DISPLAY is set")
    from flume.client.player_vlc import VlcPlayer  # noqa: PLC0415 - see the docstring

    return VlcPlayer(windowed=windowed, network_caching_ms=network_caching_ms, decoder_threads=decoder_threads)
