"""The port that a NAT gives to a player which names its own: seen from datagrams without a token.

A player says on its connection which port it listens at. Behind a NAT that changes ports, datagrams to that one are
lost. So players send a datagram from their port, shortly before they ask to play: a *punch*. It opens the NAT, and its
source is the port outside. Nothing in it says whose it is, and any host can forge its source. So it counts little:

- It must come from the address of the player's connection, which TCP has proved.
- A datagram from the port that was named, or that is in use, decides at once: the stream goes there.
- Another port is taken only if it is the only one, and only one session of that address may have sent it. Otherwise
  the stream goes to the port that was named.
- A session takes one between its SETUP and :data:`LATE_S` after PLAY, and when it plays again after a pause.

The kernel lets no such datagram in but from addresses of sessions that look for one (:mod:`..sending.socket_filter`).
"""

import asyncio
import contextlib
import enum
import time
from collections import Counter
from collections.abc import Callable, Collection

from flume.control.endpoint import Address
from flume.server.limits.buckets import AddressBuckets, Rate
from flume.server.sending.socket_filter import MOST_HOSTS

RECENT_S = 1.0
"""A punch comes so shortly before PLAY at most. FFmpeg, live555 and GStreamer send theirs just before it."""

AWAIT_S = 0.1
"""The first PLAY waits so long for a punch: GStreamer sends it beside PLAY, and what went to a port that the NAT does
not know would be lost, with the keyframe that the stream begins with."""

SETTLE_S = 0.2
"""How long a second port is waited for, before the only one counts: PLAY may have overtaken the player's own punch."""

LATE_S = 2.0
"""A punch may come so long after PLAY, if none came before."""

LOWEST_PORT = 1024
"""No NAT gives a port below to a port above (RFC 4787, section 4.2.2), and services of a host listen there."""

MOST_PORTS = 8
"""Ports of one address that are kept; two are too many to choose from."""

PUNCHES_PER_ADDRESS = Rate(20, 100)
"""Players send one to five. What exceeds the rate is a flood, and the kernel drops it for :data:`BARRED_S`."""

BARRED_S = 10.0

CLOSE_S = 1.0
"""An address that no session looks at any more is let in so much longer: the filter is not changed for each session."""


class _Phase(enum.Enum):
    """What a session makes of punches."""

    NAMED = enum.auto()
    """Its port is named, and it has not played."""
    CHOOSING = enum.auto()
    """It is about to play."""
    LATE = enum.auto()
    """It plays, and no punch has come."""
    SETTLED = enum.auto()
    """It plays, and looks at none."""
    PAUSED = enum.auto()


_CONTENDING = frozenset({_Phase.NAMED, _Phase.CHOOSING, _Phase.LATE})
"""A punch of unknown origin may be that of a session in these. One that is paused punches when it plays again."""


class Punch:
    """The port of one session's media, as its punches show it. :class:`Punches` makes it. Runs on the event loop."""

    def __init__(
        self, host: "_Host", port: int, move: Callable[[int], None] | None, dropped: Callable[[], int]
    ) -> None:
        """Begin with the *port* that was named; see :meth:`Punches.expect`."""
        self._host = host
        self._named = self.port = port
        self._move = move
        self._dropped = dropped
        self._dropped_before = 0
        self._has_come = False
        self.is_used = False
        """Whether the media go there, or would but for a pause."""
        self._has_news = asyncio.Event()
        self._phase = _Phase.SETTLED if move is None else _Phase.NAMED
        self._from_s = time.monotonic()
        """Punches before this are not its own, or too old."""
        self._settle: asyncio.TimerHandle | None = None
        self._late: asyncio.TimerHandle | None = None

    @property
    def is_moved(self) -> bool:
        """Whether the stream goes to another port than the one that was named."""
        return self.port != self._named

    @property
    def is_taken(self) -> bool:
        """Whether the media of another session already go to this address and :attr:`port`.

        The port has shown no proof, so that many sessions could flood a service that listens there.
        """
        return any(other is not self and other.is_used and other.port == self.port for other in self._host.punches)

    @property
    def looks(self) -> bool:
        """Whether punches are of use."""
        return self._phase is not _Phase.SETTLED

    @property
    def contends(self) -> bool:
        """Whether a punch of unknown origin may be its own."""
        return self._phase in _CONTENDING and not self.is_heard

    @property
    def is_heard(self) -> bool:
        """Whether a datagram came from :attr:`port` since it was named, or since the session paused."""
        return self._has_come or self._dropped() > self._dropped_before

    def hear(self) -> None:
        """A datagram came from :attr:`port`."""
        self._has_come = True
        self._has_news.set()

    async def choose(self) -> int | None:
        """The session is about to play: return the port for its media; ``None`` where that is :attr:`is_taken`.

        It takes :data:`SETTLE_S` where that may be another port than the present one, and :data:`AWAIT_S` at first
        where no punch has come.
        """
        if self._move is not None:
            await self._find()
        if self.is_taken:
            return None
        self.is_used = True
        return self.port

    async def _find(self) -> None:
        """Look for the port that a NAT has given."""
        is_first = self._phase is _Phase.NAMED
        self._enter(_Phase.CHOOSING)
        self._from_s = max(self._from_s, time.monotonic() - RECENT_S)
        self._host.drain()
        if is_first and not self.is_heard and not self._host.ports_since(self._from_s):
            self._has_news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_news.wait(), AWAIT_S)
        if self._host.ports_since(self._from_s) and not self.is_heard:
            await asyncio.sleep(SETTLE_S)
        if self._phase is _Phase.CHOOSING:  # it may have ended meanwhile
            is_settled = self._take_found() or self.is_heard
            self._enter(_Phase.SETTLED if is_settled else _Phase.LATE)

    def pause(self) -> None:
        """The session pauses: it may come from another port when it plays again."""
        if self._move is not None:
            self._has_come, self._dropped_before, self._from_s = False, self._dropped(), time.monotonic()
            self._enter(_Phase.PAUSED)

    def consider(self) -> None:
        """A punch of unknown origin came: wait whether it stays the only one, if this session plays without one."""
        self._has_news.set()
        if self._phase is _Phase.LATE and self._settle is None:
            self._settle = asyncio.get_running_loop().call_later(SETTLE_S, self._move_late)

    def close(self) -> None:
        """The session is over."""
        self._enter(_Phase.SETTLED)
        self._host.forget(self)

    def _enter(self, phase: _Phase) -> None:
        for timer in (self._settle, self._late):
            if timer is not None:
                timer.cancel()
        self._settle = self._late = None
        self._phase = phase
        if phase is _Phase.LATE:
            self._late = asyncio.get_running_loop().call_later(LATE_S, self._enter, _Phase.SETTLED)
        self._host.update()

    def _move_late(self) -> None:
        self._settle = None
        if self._take_found() and self._move is not None:
            self._enter(_Phase.SETTLED)
            self._move(self.port)

    def _take_found(self) -> bool:
        """Use the only port that a punch came from, if it can be no other session's; return whether there is one."""
        ports = self._host.ports_since(self._from_s)
        if not ports or self.is_heard:
            return False
        if len(ports) > 1 or self._host.contenders() > 1 or self._host.barred_until_s > self._from_s:
            self._host.note_unclear()
            return False
        (self.port,) = ports
        self._host.take(self.port)
        return True


class _Host:
    """One address, the sessions from there, and the ports from which punches of unknown origin came."""

    def __init__(self, registry: "Punches", name: str) -> None:
        self._registry, self._name = registry, name
        self.punches: list[Punch] = []
        self._ports_s: dict[int, float] = {}
        self.barred_until_s = float("-inf")
        """Until then, and :data:`BARRED_S` before, the player's own punch may not have come in."""

    @property
    def looks(self) -> bool:
        return any(punch.looks for punch in self.punches)

    def contenders(self) -> int:
        return sum(punch.contends for punch in self.punches)

    def come_from(self, port: int, now_s: float) -> None:
        """A punch came from *port*."""
        mine = [punch for punch in self.punches if punch.port == port]
        for punch in mine:
            punch.hear()
        if mine or port < LOWEST_PORT:
            return
        self._ports_s.pop(port, None)
        if len(self._ports_s) >= MOST_PORTS:
            del self._ports_s[next(iter(self._ports_s))]  # the oldest: the player's own must not be kept out
        self._ports_s[port] = now_s
        for punch in self.punches:
            punch.consider()

    def ports_since(self, from_s: float) -> list[int]:
        """Return the ports from which punches of unknown origin have come since *from_s*."""
        return [port for port, time_s in self._ports_s.items() if time_s >= from_s]

    def take(self, port: int) -> None:
        self._ports_s.pop(port, None)

    def drain(self) -> None:
        self._registry.drain()

    def note_unclear(self) -> None:
        self._registry.counts["punch_unclear"] += 1

    def update(self) -> None:
        if self.punches:  # a session may end twice
            self._registry.update(self._name)

    def forget(self, punch: Punch) -> None:
        if punch in self.punches:
            self.punches.remove(punch)
        self._registry.forget_if_empty(self._name)


class Punches:
    """The punches of all sessions. Runs on the event loop."""

    def __init__(
        self,
        accept_also_from: Callable[[Collection[str]], None],
        counts: Counter[str],
        *,
        drain: Callable[[], None] = lambda: None,
    ) -> None:
        """Say to *accept_also_from* from which addresses punches are of use, and count in *counts* what is not used.

        *drain* reads what has already come to the port.
        """
        self._accept_also_from = accept_also_from
        self.counts = counts
        self.drain = drain
        self._hosts: dict[str, _Host] = {}
        self._looking: dict[str, _Host] = {}
        """Those with a session that looks for a punch; the newest at the end."""
        self._buckets = AddressBuckets(PUNCHES_PER_ADDRESS)
        self._accepted: tuple[str, ...] = ()
        self._closing: asyncio.TimerHandle | None = None

    def expect(self, source: Address, move: Callable[[int], None] | None, dropped: Callable[[], int]) -> Punch:
        """Return what follows the punches of a session whose player names the port *source*.

        *move* is called with another port of that address where one is found while the session plays; ``None``: the
        media go to no other port. *dropped* returns how many datagrams the filter of the session's own media socket
        has dropped, 0 without one: all of them came from the present port.
        """
        name, port = source
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(self, name)
        punch = Punch(host, port, move, dropped)
        host.punches.append(punch)
        self.update(name)
        return punch

    def take_untrusted(self, source: Address) -> bool:
        """Take a datagram without a token from *source*; return whether a session of that address looks for one.

        Raises nothing.
        """
        host = self._hosts.get(source[0])
        if host is None or not host.looks:
            return False
        now_s = time.monotonic()
        if not self._buckets.of(source[0], now_s).take(now_s):
            host.barred_until_s = now_s + BARRED_S
            self._apply()
        else:
            host.come_from(source[1], now_s)
        return True

    def forget_if_empty(self, name: str) -> None:
        """Forget the address *name*, if no session is there any more."""
        host = self._hosts.get(name)
        if host is not None and not host.punches:
            del self._hosts[name]

    def update(self, name: str) -> None:
        """What sessions of the address *name* look for has changed: let it in now, or no more a little later."""
        host, was_looking = self._hosts[name], name in self._looking
        if not host.looks:
            self._looking.pop(name, None)
        elif not was_looking:
            self._looking[name] = host
        if host.looks and name not in self._accepted:
            self._apply()
        elif was_looking and not host.looks and self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(CLOSE_S, self._apply)

    def _wanted(self) -> tuple[str, ...]:
        """Return the newest addresses, as many as the filter takes."""
        now_s = time.monotonic()
        newest = tuple(self._looking.items())[-MOST_HOSTS:]
        return tuple(name for name, host in newest if host.barred_until_s <= now_s)

    def _apply(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        wanted = self._wanted()
        if wanted != self._accepted:
            self._accepted = wanted
            self._accept_also_from(wanted)
