"""What a client reports about itself, read from its statistics event. Pure; claims, not facts.

The lab knows the container contract (compose/README.md) and not the client's code. So any client that keeps the
contract can be put on trial.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Annotated, Any

import msgspec

from flume.errors import EvidenceError
from flume.lab.evidence.facts import Claims, GivenUp, PlayerRecord, Shown, TooLate


class Playback(msgspec.Struct, frozen=True, kw_only=True):
    """What the player reports."""

    kind: str = "none"
    frames_displayed: int | None = None


class ReportedStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One statistics event. Fields that the lab does not use are left out."""

    state: str
    time_s: float = 0.0
    """Epoch seconds, by the clock of the client's host."""
    transport: str | None = None
    """What carries the media: udp or tcp."""
    media_port: int | None = None
    """Local port of the media socket, while there is one."""
    join_ms: float | None = None
    """From the command ``connect`` to the first displayed frame."""
    datagrams: int | None = None
    """Received from the media socket, duplicates included; None: it does not say, as other people's players do not."""
    bytes: int | None = None
    """Of the datagrams' payloads."""
    lost: int = 0
    late: int = 0
    """Came after the wait for them had ended: received, not played."""
    duplicates: int = 0
    jitter_ms: float = 0.0
    dropped_by_receiver: int = 0
    player: Playback = Playback()
    unsupported: tuple[str, ...] = ()
    """What another player was told and cannot do, each with the reason."""

    def claims(self) -> Claims:
        """Return what the judge compares with the captures."""
        return Claims(
            datagrams=self.datagrams,
            duplicates=self.duplicates,
            late=self.late,
            frames_displayed=self.player.frames_displayed,
            join_ms=self.join_ms,
            player=self.player.kind,
            unsupported=self.unsupported,
        )


def parse_statistics_untrusted(statistics: Mapping[str, Any]) -> ReportedStatistics:
    """Return the statistics event as a value. Raises :class:`EvidenceError` for what is none.

    >>> parse_statistics_untrusted({"state": "active", "datagrams": 900}).claims().datagrams
    900
    """
    try:
        return msgspec.convert(statistics, ReportedStatistics)
    except (msgspec.ValidationError, UnicodeError) as error:  # a key with half a surrogate pair cannot be encoded
        raise EvidenceError(f"a client's statistics cannot be used: {error}") from error


_Number = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
"""Of a datagram, or of a frame of the test card: either has 16 bits."""


MOST_ENTRIES = 1 << 18
"""Entries of numbers given up that are read of one client, and of numbers too late. Ours makes some 20 a second on a
link that loses 5 %. What comes after them is left out, and the datagrams have no cause."""


class ReportedFrames(msgspec.Struct, frozen=True, kw_only=True):
    """One event ``frames``."""

    shown: tuple[tuple[float, _Number | None], ...] = ()
    given_up: tuple[tuple[float, _Number, _Number], ...] = ()
    late: tuple[tuple[float, _Number], ...] = ()


def parse_record_untrusted(events: Iterable[Mapping[str, Any]]) -> PlayerRecord:
    """Return the *events* ``frames`` of one client as one value. Raises :class:`EvidenceError` for what is none.

    Of numbers given up, and of those too late, it has the first :data:`MOST_ENTRIES` entries each.

    >>> parse_record_untrusted([{"shown": [[7.0, 41]]}, {"shown": [[7.04, None]]}]).shown
    (Shown(time_s=7.0, number=41), Shown(time_s=7.04, number=None))
    """
    try:
        reported = [msgspec.convert(event, ReportedFrames) for event in events]
    except (msgspec.ValidationError, UnicodeError) as error:
        raise EvidenceError(f"a client's record of its frames cannot be used: {error}") from error
    return PlayerRecord(
        tuple(Shown(*one) for frames in reported for one in frames.shown),
        tuple(islice((GivenUp(*one) for frames in reported for one in frames.given_up), MOST_ENTRIES)),
        tuple(islice((TooLate(*one) for frames in reported for one in frames.late), MOST_ENTRIES)),
    )
