"""What a server sends, already cut into datagrams: by the ingest from a source, or by a relay from another server."""

import secrets
import threading
from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

from flume.control.messages import UpstreamStatus
from flume.media.datagrams import Datagram

FeedState = Literal["starting", "running", "stalled", "paused", "stopped", "ended"]


def new_identity() -> str:
    """Return a random name for one run of a server, of 16 characters.

    >>> len(new_identity())
    16
    """
    return secrets.token_hex(8)


@runtime_checkable
class Feed(Protocol):
    """For the sender thread: what :class:`~flume.server.sending.fanout.DatagramSupply` needs. The rest: for control.

    :mod:`flume.server.sources.ingest` and :mod:`flume.server.relay.upstream` are the two.
    """

    identity: str
    """What a relay knows itself by: see :func:`new_identity`."""
    first: threading.Event
    """Set once a datagram is ready or nothing more will come; a server of a file waits for it."""
    ended: str | None
    """Why nothing more comes; ``None`` while it continues."""
    failed: bool
    """Whether it ended because of an error."""
    failures: dict[str, str]
    """Why parts of it could not be sent, by name."""

    on_change: Callable[[UpstreamStatus], None]
    """Called from any thread when the state of a relay's upstream has changed."""

    @property
    def name(self) -> str:
        """What people call it, for ``status`` and logs. Contains no password."""

    @property
    def live(self) -> bool:
        """Whether it continues while it is not read."""

    @property
    def state(self) -> FeedState:
        """What it does, for ``status``."""

    @property
    def is_paced(self) -> bool:
        """Whether datagrams are to be sent when they are due. ``False``: at once."""

    @property
    def prebuffer_s(self) -> float:
        """How many seconds of stream are to be at hand before sending begins."""

    @property
    def epoch(self) -> int:
        """Another value makes earlier datagrams invalid as join points."""

    def start(self, on_data: Callable[[], None], on_broken: Callable[[str], None], /) -> None:
        """Begin. *on_data* is called when there is something to send, *on_broken* with why a part broke off."""

    def want(self, wanted: bool, /) -> None:  # noqa: FBT001 - a state, not an option
        """Set whether any client receives."""

    def take(self, until_s: float, /) -> list[Datagram]:
        """Return, in order, the datagrams due up to stream time *until_s*. Never waits."""

    def head_s(self) -> float | None:
        """Return the stream time of the next datagram, ``None`` while there is none."""

    def lead_s(self) -> float:
        """Return how many seconds of stream are ready."""

    def source_counts(self) -> dict[str, int]:
        """Return the faults of what it is made from, as counts by name."""

    def upstream(self) -> UpstreamStatus | None:
        """Return what a relay says of the server above; ``None`` for a source of videos."""

    def close(self) -> None:
        """Stop for good."""
