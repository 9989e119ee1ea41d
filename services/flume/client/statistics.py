"""The counters of a client as a whole: frozen, and ready to become JSON."""

import time
from typing import Any

import msgspec

from flume.client.events import ClientRecord, client_record
from flume.client.playback.player import Player, PlayerStatistics
from flume.client.reception.receiver import Receiver
from flume.client.reception.statistics import ReceptionStatistics
from flume.untrusted_json import decode_untrusted

FORMER_KEYS = {"desired": "wished", "unrelated": "foreign"}
"""JSON keys of version 0.1 by their new names. For one release both are written; readers accept either."""


class ClientStatistics(ReceptionStatistics, frozen=True, kw_only=True):
    """A client as a whole. Flat, so that programs find every counter under its own name."""

    time_s: float
    """When this was taken, seconds since the epoch."""
    uptime_s: float
    server: str
    state: str
    desired: str
    """What the last command asked for: active, interrupted or closed."""
    linked: bool
    """Whether a control connection is open."""
    address: str | None
    """Local address of the media socket, ``None`` before the first session and over TCP; its port is *media_port*."""
    media_port: int | None
    commands: tuple[str, ...]
    """The last commands that the server carried out, oldest first."""
    reconnects: int
    join_ms: float | None
    """From the connect command to the first frame displayed after it, of the latest connect."""
    resume_ms: float | None
    """The same for the latest continue."""
    first_datagram_ms: float | None
    """From the latest connect command to the first datagram."""
    player: PlayerStatistics
    last_error: str | None = None


def take_record(receiver: Receiver, player: Player) -> ClientRecord:
    """Return what the two have recorded since the last call, in epoch seconds; nothing where no record is kept."""
    given_up, late = receiver.take_losses()
    return client_record(player.take_shown(), given_up, late, epoch_s=time.time() - time.monotonic())


def to_published(statistics: ClientStatistics) -> dict[str, Any]:
    """Return *statistics* as a dictionary of plain values, ready for JSON, with the former keys beside the new ones."""
    values: dict[str, Any] = msgspec.to_builtins(statistics, str_keys=True)
    return {**values, **{former: values[key] for key, former in FORMER_KEYS.items()}}


def parse_published(data: bytes) -> ClientStatistics:
    """Return the statistics in the JSON object *data*; raises :class:`msgspec.DecodeError`."""
    values = decode_untrusted(data, dict[str, Any])
    for key, former in FORMER_KEYS.items():
        if former in values:
            values.setdefault(key, values[former])
    return msgspec.convert(values, ClientStatistics, str_keys=True)
