"""One running lab: a network, a server, clients and a probe, started together and steered from here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flume.control.session import Command, State
from flume.errors import LabError
from flume.lab.containers.engine import Container, Engine, Network, Output, Start
from flume.lab.containers.probe import Probe
from flume.lab.containers.topology import Topology
from flume.lab.evidence.claims import Said, said_untrusted
from flume.lab.machine.process import wait_until
from flume.lab.run.event_log import Feed

READY_TIMEOUT_S = 180.0
"""For a server that reads its video and clients that speak: 3 s here, 45 s in a lab kernel with one processor, twice
that where the machine itself is busy."""

QUIET_S = 0.9
"""Between two statistics of a client that count the same, before it is at rest: they come once a second and with
every command, and a buffer that still drains shows a picture more often than this."""

_KILLED_STATUS = 128 + 9


class Host(NamedTuple):
    """A container and what it says."""

    container: Container
    feed: Feed

    @property
    def address(self) -> str:
        """Its address on the lab's network."""
        return self.container.address

    def has_ended(self) -> bool:
        """Whether it has stopped running."""
        io = self.container.io
        return io is not None and io.ended

    def check_running(self) -> None:
        """Raise :class:`LabError` with its last words if it has ended."""
        if self.has_ended():
            status = self.container.state().exit_code
            how = f"status {status}" + (", killed" if status == _KILLED_STATUS else "")
            words = self.feed.last_words()
            raise LabError(f"{self.feed.name} ended during the run ({how}); its last words: {words}")

    def wait_until(self, what: str, kind: str, *, timeout_s: float = READY_TIMEOUT_S) -> Mapping[str, Any]:
        """Return the first event of *kind*, or raise :class:`LabError` that it did not *what*."""
        self.feed.wait_until(
            what, lambda feed: feed.latest(kind) is not None, timeout_s=timeout_s, ended=self.has_ended
        )
        return self.feed.latest(kind) or {}


class Client(NamedTuple):
    """A client host; *number* counts from 1."""

    number: int
    host: Host
    watches: bool = True
    """Whether it was given a player; otherwise it counts datagrams."""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"client-{self.number}"

    def send(self, command: Command) -> None:
        """Hand it *command*; does not wait."""
        io = self.host.container.io
        if io is None:
            raise LabError(f"{self.name} takes no commands: its standard input is not attached")
        io.write_line(str(command))

    @property
    def said(self) -> Said | None:
        """What it last said of itself; ``None`` before the first statistics."""
        event = self.host.feed.latest("statistics")
        return None if event is None else said_untrusted(event)

    @property
    def state(self) -> str:
        """The state of its session, as it says."""
        return State.CLOSED if self.said is None else self.said.state


class Fleet(NamedTuple):
    """Everything of one lab that runs."""

    network: Network
    server: Host
    clients: tuple[Client, ...]
    observer: Host
    """The probe's container."""

    @property
    def probe(self) -> Probe:
        """What the lab sees with."""
        return Probe(self.observer.container)

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The server, the clients, the observer."""
        return (self.server, *(client.host for client in self.clients), self.observer)

    @property
    def containers(self) -> tuple[Container, ...]:
        """The server's and the clients'."""
        return (self.server.container, *(client.host.container for client in self.clients))

    def wait_until_ready(self) -> None:
        """Return when server and clients have spoken; raises :class:`LabError` with the last words of who has not."""
        self.server.wait_until("listen", "listening")
        for client in self.clients:
            client.host.wait_until("say how it is", "statistics")

    def check_running(self) -> None:
        """Raise :class:`LabError` that names the first host that has ended."""
        for host in self.hosts:
            host.check_running()

    def close(self) -> None:
        """Let go of the containers; they run on."""
        for host in self.hosts:
            if host.container.io is not None:
                host.container.io.close()


def start_fleet(
    engine: Engine,
    layout: Topology,
    *,
    lab: str,
    run: str,
    clients: int,
    players: int,
    video: Path,
) -> Fleet:
    """Start everything side by side and return when the containers run; see :meth:`Fleet.wait_until_ready`.

    The first *players* of *clients* clients show the video.
    """
    blind = without_player(layout.service("client").command)
    network = engine.ensure_network(lab, run, description=layout.networks["lab"], clients=clients)
    server_feed, observer_feed = Feed("server"), Feed("the probe")
    feeds = {number: Feed(f"client-{number}") for number in range(1, clients + 1)}
    media_path = f"/media/{video.name}"
    starts = [
        Start(
            service="server",
            role="server",
            network=network,
            files={media_path: video},
            output=_output(server_feed),
        ),
        *(
            Start(
                service="client",
                role="client",
                index=number,
                network=network,
                output=_output(feeds[number]),
                command=None if number <= players else blind,
            )
            for number in range(1, clients + 1)
        ),
        Start(service="probe", role="probe", output=_output(observer_feed)),
    ]
    server, *rest, probe = engine.start(lab, run, layout, starts)
    return Fleet(
        network,
        Host(server, server_feed),
        tuple(
            Client(number, Host(container, feeds[number]), watches=number <= players)
            for number, container in enumerate(rest, 1)
        ),
        Host(probe, observer_feed),
    )


def without_player(command: Sequence[str]) -> tuple[str, ...]:
    """Return a client's *command* with the player ``none``, as the container contract has it."""
    if "--player" in command:
        position = command.index("--player")
        return (*command[: position + 1], "none", *command[position + 2 :])
    return (*command, "--player", "none")


def _output(feed: Feed) -> Output:
    return Output(feed.on_line, feed.on_error)


class _Rest:
    """Tells from a client's statistics, by their own clock, whether its counts have come to rest."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._counts: tuple[object, ...] = ()
        self._since_s = 0.0

    def is_reached(self) -> bool:
        said = self._client.said
        if said is None:
            return True
        counts = (said.state, said.datagrams, said.player.frames_displayed)
        if counts != self._counts:
            self._counts, self._since_s = counts, said.time_s
        return said.time_s - self._since_s >= QUIET_S


def settle(clients: Sequence[Client], *, timeout_s: float = 6.0) -> None:
    """Wait until no client counts anything any more: what was sent has arrived and been shown.

    One that never comes to rest is measured as it is: the judge will find what does not add up.
    """
    rests = [_Rest(client) for client in clients]
    # Every client is looked at every time, so that each one's quiet begins when it begins.
    wait_until(lambda: not [rest for rest in rests if not rest.is_reached()], timeout_s=timeout_s)
