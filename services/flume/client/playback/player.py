"""What the client needs of a player, and the player that plays nothing."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from flume.client.playback.loopback import Payload


class PlayerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What the player has displayed since it began."""

    kind: str
    """window, headless or none."""
    frames_displayed: int = 0
    """Headless: changes of the displayed picture. Window: libvlc's own count, up to a quarter of a second late. The
    player's process reports either five times a second."""
    first_frame_s: float | None = None
    """When the first frame since the last :meth:`Player.expect_frame` was displayed, monotonic seconds. Window: when
    :meth:`Player.poll` found it, so poll often."""
    last_frame_s: float | None = None
    """When the latest frame was displayed, monotonic seconds."""
    last_frame_number: int | None = None
    """The number in the test card's barcode, if the last frame shows one."""
    width: int = 0
    """As libvlc announces it. H.264 whose height is no multiple of 16 may have up to 15 lines more (1088 for 1080)."""
    height: int = 0
    datagrams_refused: int = 0
    """Datagrams written while libvlc did not listen, or did not keep up."""
    restarts: int = 0
    """How often libvlc had crashed, hung, grown too large or ended by itself, and was started again."""


class Player(Protocol):
    """Shows MPEG-TS; the receiver's thread calls :meth:`write`, which never waits long.

    A player of your own needs only these methods::

        class FilePlayer(NullPlayer):
            def __init__(self, file: BinaryIO) -> None:
                self._file = file

            def write(self, payloads: Sequence[Payload]) -> None:
                self._file.writelines(payloads)
    """

    @property
    def drained_after_s(self) -> float:
        """No new frame counted for this long means that everything written has been displayed."""

    def start(self) -> None:
        """Open; raises :class:`~flume.errors.PlayerError` when playing is not possible here."""

    def write(self, payloads: Sequence[Payload]) -> None:
        """Take the transport packets of some datagrams, in order: each of *payloads* holds those of one datagram."""

    def expect_frame(self) -> None:
        """A command that leads to a new frame was granted: note when that frame is displayed."""

    def poll(self) -> None:
        """Look after the player: take over what it has displayed, and start it again where it has failed.

        Call it often, from one thread: each :data:`~flume.client.session.player_monitor.POLL_INTERVAL_S`. It never
        waits long.
        """

    def statistics(self) -> PlayerStatistics:
        """Return the counters as of the last :meth:`poll`."""

    def take_shown(self) -> list[tuple[float, int | None]]:
        """Return the pictures displayed since the last call; nothing where the player keeps no record of them.

        Of each: when, monotonic seconds, and the number in the test card's barcode, if it shows one.
        """

    def close(self) -> None:
        """Stop and release everything; a second call does nothing."""


class NullPlayer:
    """Counts nothing and shows nothing: to measure the network alone."""

    drained_after_s = 0.0

    def start(self) -> None:
        """Do nothing."""

    def write(self, payloads: Sequence[Payload]) -> None:
        """Drop *payloads*."""

    def expect_frame(self) -> None:
        """Do nothing."""

    def poll(self) -> None:
        """Do nothing."""

    def statistics(self) -> PlayerStatistics:
        """Return zeros."""
        return PlayerStatistics(kind="none")

    def take_shown(self) -> list[tuple[float, int | None]]:
        """Return nothing."""
        return []

    def close(self) -> None:
        """Do nothing."""
