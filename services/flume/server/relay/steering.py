"""The state of a relay's upstream, from what its client reports. Pure: the time comes in."""

from typing import NamedTuple

from flume.client.reception.statistics import SILENT_AFTER_S
from flume.control.messages import ServerStatus, UpstreamState
from flume.control.session import State

MOST_HOPS = 16
"""Servers above a relay, at most: each adds its delay, and its name to every ``status``."""

MOST_IDENTITY_CHARACTERS = 32
"""Of another server's identity; a longer one is taken for none. This server's own has 16."""

RETRY_S = 30.0
"""How long a relay waits before it asks again an upstream that will not serve it, or may not."""


class Seen(NamedTuple):
    """What is known of the upstream at one time."""

    is_wanted: bool
    """Whether a client of the relay receives."""
    session: State
    silent_s: float | None
    """For how long nothing has come; ``None`` before the first datagram."""
    refusal: str | None = None
    """Why the upstream will not serve this relay, or may not."""
    has_failed: bool = False
    """Whether an attempt has failed, or a session was lost, since the upstream was last wanted."""
    ended: str | None = None


def state_of(seen: Seen, *, active_s: float) -> UpstreamState:
    """Return the state; *active_s*: for how long the session has been active.

    >>> state_of(Seen(is_wanted=True, session=State.ACTIVE, silent_s=0.01), active_s=60.0)
    'receiving'
    """
    if seen.ended is not None:
        return "ended"
    if not seen.is_wanted:
        return "asleep"
    if seen.refusal is not None:
        return "refused"
    if seen.session is State.ACTIVE:
        silent_s = active_s if seen.silent_s is None else min(seen.silent_s, active_s)
        return "silent" if silent_s > SILENT_AFTER_S else "receiving"
    return "lost" if seen.has_failed else "connecting"


def loop(identity: str, above: ServerStatus) -> str | None:
    """Return why the relay *identity* may not take its stream from the server that says *above*; ``None``: it may.

    >>> status = ServerStatus(uptime_s=2, source="", ingest="running", sessions=0, active=0, datagrams=7,
    ...     segmentation=True, identity="ab12")
    >>> loop("ab12", status)
    'it is this relay itself: name another server as its source'
    >>> loop("cd34", status) is None
    True
    """
    if above.identity == identity:
        return "it is this relay itself: name another server as its source"
    path = path_through(above)
    if identity in path:
        return f"it takes its stream from this relay, over {path.index(identity)} servers: end the loop at one of them"
    if len(path) > MOST_HOPS:
        return f"more than {MOST_HOPS} relays are in a row: take the stream from one that is nearer to its source"
    return None


def other_size(packets: int, *, ours: int) -> str:
    """Return what is wrong with an upstream whose datagrams carry *packets*, and not *ours*.

    >>> other_size(5, ours=7)
    "its datagrams carry 5 packets, and this relay's 7: start the relay with --datagram-packets 5"
    """
    return (
        f"its datagrams carry {packets} packets, and this relay's {ours}: start the relay with "
        f"--datagram-packets {packets}"
    )


def path_through(above: ServerStatus) -> tuple[str, ...]:
    """Return the identities of the servers above a relay of *above*, the nearest first.

    Older servers have none. One that is too long, or not of printable ASCII, is left out: a hostile server must not
    make this relay's own ``status`` too long to be read.
    """
    further = () if above.upstream is None else above.upstream.path
    return tuple(one for one in (above.identity, *further) if _is_identity(one))[: MOST_HOPS + 1]


def _is_identity(text: str) -> bool:
    return 0 < len(text) <= MOST_IDENTITY_CHARACTERS and text.isascii() and text.isprintable()
