"""What a client reports by itself."""

from collections.abc import Iterable

import msgspec


class ClientEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened without a command. *event* is state, first_frame, notice or error."""

    event: str
    state: str
    """The session's state at the time."""
    message: str | None = None
    code: str | None = None
    command: str | None = None
    milliseconds: float | None = None
    """For ``first_frame``: the time since *command* (connect or continue) was sent."""


class ClientRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What became of single frames and datagrams, for the lab. Times are seconds since the epoch."""

    shown: tuple[tuple[float, int | None], ...] = ()
    """Of each new picture: when it was displayed, and the number in the test card's barcode, if it shows one."""
    given_up: tuple[tuple[float, int, int], ...] = ()
    """RTP numbers for which the jitter buffer waits no longer: since when, the first and the last of a run."""
    late: tuple[tuple[float, int], ...] = ()
    """RTP numbers that arrived after that: when, and the number."""


def client_record(
    shown: Iterable[tuple[float, int | None]],
    given_up: Iterable[tuple[float, int, int]],
    late: Iterable[tuple[float, int]],
    *,
    epoch_s: float,
) -> ClientRecord:
    """Return one record of entries whose times are monotonic; *epoch_s* is when that clock was at 0.

    >>> client_record([(7.0, 41)], [], [(7.5, 3)], epoch_s=1000.0)
    ClientRecord(shown=((1007.0, 41),), given_up=(), late=((1007.5, 3),))
    """
    return ClientRecord(
        shown=tuple((round(epoch_s + time_s, 6), number) for time_s, number in shown),
        given_up=tuple((round(epoch_s + time_s, 6), first, last) for time_s, first, last in given_up),
        late=tuple((round(epoch_s + time_s, 6), number) for time_s, number in late),
    )
