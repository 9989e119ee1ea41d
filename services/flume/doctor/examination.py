"""The examination of the way between this machine and a server, leg by leg: makes the observations that
:mod:`flume.doctor.diagnosis` judges. The server is left as it was found: the session is ended in order.

It ends within :data:`BUDGET_S` whatever is blocked: each step has its own time, and none begins without some left.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Generator, Iterator

from flume.client.reception.media_socket import ask_for_buffer, granted_bytes
from flume.client.reception.receive_buffer import ReceiveBuffer
from flume.control import messages as m
from flume.control.endpoint import without_brackets
from flume.doctor import diagnosis as d
from flume.doctor import observations as o
from flume.doctor.banner import describe_untrusted
from flume.doctor.media import MediaExamination
from flume.doctor.remedies import Ends
from flume.doctor.session import ControlTalk, Ears
from flume.doctor.sockets import (
    Knock,
    Ping,
    Place,
    await_knocks,
    plain,
    resolve,
    udp_refused,
    unacknowledged_bytes,
)
from flume.settings import ClientSettings

BUDGET_S = 11.0
"""A person waits that long; Python needs half a second to start."""
NAME_S, TCP_S, CONTROL_S = 2.5, 3.3, 2.5
"""A SYN is repeated after 1 and 3 s; a neighbour that does not answer is given up after 3."""
PATIENCE_S = 0.4
"""A SYN unanswered for this long makes the doctor look for other signs of life."""
MOST_PLACES = 4
"""Addresses of one name that are tried, all at once."""
QUIET_PORTS = (9, 1)
"""discard and tcpmux: a machine that is on refuses them."""


class Examination:
    """Call :meth:`legs` once; *on_leg* hears which leg is being examined."""

    def __init__(self, host: str, port: int, *, on_leg: Callable[[str], None] = lambda _leg: None) -> None:
        """Examine the way to TCP *port* of *host*."""
        self._host, self._port, self._on_leg = without_brackets(host), port, on_leg
        self._deadline_s = 0.0
        self._cleanup = contextlib.ExitStack()
        self._ends = Ends(self._host, port, "this machine")
        self._media: MediaExamination | None = None

    def legs(self) -> Generator[d.Finding, None, None]:
        """Examine; yield each finding when it is known, every leg once."""
        self._deadline_s = time.monotonic() + BUDGET_S
        said: set[str] = set()
        because = "this machine has no sockets for any of these addresses"
        with self._cleanup:
            for finding in self._examine():
                said.add(finding.leg)
                yield finding
                if finding.weight == "blocked":
                    because = f"it needs what is blocked: {d.LEG_NAMES[finding.leg]}"
                elif finding.weight == "untested":
                    because = finding.detail
            for leg in d.WAY:
                if leg not in said:
                    yield self._buffer() if leg == "receive_buffer" else d.untested(leg, because)

    def _until(self, seconds: float) -> float:
        return min(time.monotonic() + seconds, self._deadline_s)

    def _examine(self) -> Iterator[d.Finding]:
        self._on_leg("name")
        name, places = resolve(self._host, self._port, timeout_s=NAME_S)
        yield d.name(name)
        if not places:
            return
        self._on_leg("tcp")
        knock, other = self._knock(places)
        tcp = knock.give_up()
        here = plain(knock.socket.getsockname()[0])
        self._ends = Ends(tcp.address, self._port, here if here not in {"0.0.0.0", "::"} else "this machine")
        host = d.host(tcp, other, self._ends)
        yield host
        yield d.tcp(tcp, other, self._ends, alive=host.finding == "reachable")
        if tcp.outcome != "open":
            return
        talk = ControlTalk(knock.socket)
        ears = Ears(talk)
        self._on_leg("control")
        control = self._ask_status(ears)
        yield d.control(control, self._ends)
        if control.outcome == "answered":
            self._media = MediaExamination(ears, knock.place, self._ends, deadline_s=self._deadline_s)
            yield from self._media.legs(self._cleanup, self._on_leg)

    # -- TCP ---------------------------------------------------------------------------------------------------

    def _knock(self, places: list[Place]) -> tuple[Knock, o.HostSeen]:
        """Knock at all *places* at once; return the first that opens, else the first, and what else answers there."""
        until_s = self._until(TCP_S)
        knocks = [self._knock_at(place) for place in places[:MOST_PLACES]]

        def opened() -> bool:
            return any(knock.seen is not None and knock.seen.outcome == "open" for knock in knocks)

        def settled() -> bool:
            return opened() or all(knock.seen is not None for knock in knocks)

        await_knocks(knocks, self._until(PATIENCE_S), settled)
        seen = o.HostSeen((), None)
        if not opened() and any(knock.seen is None for knock in knocks):
            self._on_leg("host")
            others = [self._knock_at(knocks[0].place.at(port)) for port in QUIET_PORTS]
            with contextlib.closing(Ping(knocks[0].place)) as ping:
                await_knocks([*knocks, *others], until_s, settled)
                seen = o.HostSeen(tuple(other.give_up() for other in others), ping.answered())
        # One that answered, if only to refuse, tells more than one that was silent.
        answered = [knock for knock in knocks if knock.seen is not None]
        first = next((knock for knock in answered if knock.seen and knock.seen.outcome == "open"), None)
        first = first or next(iter(answered), knocks[0])
        tcp = first.give_up()
        if tcp.outcome == "refused" and tcp.icmp is None:
            mine, other = (udp_refused(first.place.at(port), timeout_s=PATIENCE_S) for port in (self._port, 9))
            seen = seen._replace(udp_port_refused=mine, other_udp_refused=other)
        return first, seen

    def _knock_at(self, place: Place) -> Knock:
        return self._cleanup.enter_context(contextlib.closing(Knock(place)))

    # -- control -----------------------------------------------------------------------------------------------

    def _ask_status(self, ears: Ears) -> o.ControlSeen:
        began_s = time.monotonic()
        status = ears.request(m.StatusQuery(), m.Status, self._until(CONTROL_S))
        took_s = time.monotonic() - began_s
        talk = ears.control
        if status is not None:
            server = status.server
            return o.ControlSeen("answered", f"it streams {server.source}, {server.active} receive", took_s)
        for refusal in (talk.take(m.Closed), talk.take(m.Refused)):
            if refusal is not None:
                return o.ControlSeen("turned_away", refusal.message, took_s)
        if talk.beginning or talk.ended:
            return o.ControlSeen("foreign", describe_untrusted(talk.beginning, port=self._port), took_s)
        return o.ControlSeen("silent", "", took_s, unacknowledged_bytes(talk.socket))

    # -- this side ---------------------------------------------------------------------------------------------

    def _buffer(self) -> d.Finding:
        self._on_leg("receive_buffer")
        if self._media is not None and self._media.buffer is not None:
            return d.receive_buffer(self._media.buffer)
        return own_buffer()


def own_buffer() -> d.Finding:
    """Examine the receive buffer of a socket that receives nothing."""
    asked = ClientSettings(host="localhost").receive_buffer_bytes
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        ask_for_buffer(media, asked)
        granted = granted_bytes(media)
    return d.receive_buffer(ReceiveBuffer(asked, granted, 0))
