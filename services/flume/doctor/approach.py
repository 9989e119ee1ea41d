"""The first legs of the path to any server: its name, its machine, and TCP to its port."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from flume.doctor import diagnosis, observations
from flume.doctor.remedies import PathEnds
from flume.doctor.sockets import (
    ConnectAttempt,
    Endpoint,
    Ping,
    await_attempts,
    plain_address,
    resolve,
    try_udp_port,
)

NAME_S, TCP_S = 2.5, 3.3
"""A SYN is repeated after 1 and 3 s; a neighbour that does not answer is given up after 3."""
PATIENCE_S = 0.4
"""A SYN unanswered for this long makes the doctor try other ports and ping."""
MOST_ENDPOINTS = 4
"""Addresses of one name that are tried, side by side."""
QUIET_PORTS = (9, 1)
"""discard and tcpmux: a host without these services refuses the connection, which shows that it is on."""


class Approach:
    """One way to a server; :meth:`legs` may be called once."""

    def __init__(
        self,
        path: PathEnds,
        cleanup: contextlib.ExitStack,
        *,
        deadline_s: float,
        on_leg: Callable[[str], None] = lambda _leg: None,
    ) -> None:
        """Go to the server of *path*, whose name may be one, until *deadline_s* (monotonic).

        *cleanup* closes the connection later. *on_leg* is called with each leg before its examination.
        """
        self.path = path
        """With addresses instead of names, once they are known."""
        self.attempt: ConnectAttempt | None = None
        """The attempt to connect, once there was one; it may have failed."""
        self._cleanup, self._deadline_s, self._on_leg = cleanup, deadline_s, on_leg

    def legs(self) -> Iterator[diagnosis.Finding]:
        """Yield the findings of name, host and tcp, each when it is known; that of the name alone if it is unknown."""
        self._on_leg("name")
        name, endpoints = resolve(self.path.server, self.path.port, timeout_s=NAME_S)
        yield diagnosis.name(name)
        if not endpoints:
            return
        self._on_leg("tcp")
        attempt, other = self._connect(endpoints)
        tcp = attempt.give_up()
        here = plain_address(attempt.socket.getsockname()[0])
        self.path = self.path._replace(
            server=tcp.address,
            here=here if here not in {"0.0.0.0", "::"} else "this machine",
            zone=attempt.endpoint.zone,
        )
        self.attempt = attempt
        host = diagnosis.host(tcp, other, self.path)
        yield host
        yield diagnosis.tcp(tcp, other, self.path, alive=host.finding == "reachable")

    def _until(self, seconds: float) -> float:
        return min(time.monotonic() + seconds, self._deadline_s)

    def _connect(self, endpoints: list[Endpoint]) -> tuple[ConnectAttempt, observations.HostSeen]:
        """Connect to all *endpoints* at once; return the most telling attempt, and what else the host answers."""
        until_s = self._until(TCP_S)
        attempts = [self._attempt(endpoint) for endpoint in endpoints[:MOST_ENDPOINTS]]

        def opened() -> bool:
            return any(attempt.is_open for attempt in attempts)

        def concluded() -> bool:
            return opened() or all(attempt.seen is not None for attempt in attempts)

        await_attempts(attempts, self._until(PATIENCE_S), concluded)
        seen = observations.HostSeen((), None)
        if not concluded():
            self._on_leg("host")
            others = [self._attempt(attempts[0].endpoint.at(port)) for port in QUIET_PORTS]
            with contextlib.closing(Ping(attempts[0].endpoint)) as ping:
                await_attempts([*attempts, *others], until_s, concluded)
                seen = observations.HostSeen(tuple(other.give_up() for other in others), ping.read_answer())
        best = _most_telling(attempts)
        tcp = best.give_up()
        if tcp.outcome == "refused" and tcp.icmp is None:
            mine, other = (try_udp_port(best.endpoint.at(port), timeout_s=PATIENCE_S) for port in (self.path.port, 9))
            seen = seen._replace(udp_port_refused=mine, other_udp_refused=other)
        return best, seen

    def _attempt(self, endpoint: Endpoint) -> ConnectAttempt:
        return self._cleanup.enter_context(contextlib.closing(ConnectAttempt(endpoint)))


def _most_telling(attempts: Sequence[ConnectAttempt]) -> ConnectAttempt:
    """Return the first attempt that is open, else the first that was answered, if only by a refusal, else the first."""
    answered = [attempt for attempt in attempts if attempt.seen is not None]
    return next((attempt for attempt in answered if attempt.is_open), next(iter(answered), attempts[0]))
