"""The engines that a lab runs on, as one: containers are started where they belong, and found and removed everywhere.

A lab on one engine is a site of one host. What a container's process number means, only its own host knows: whatever is
keyed by one is keyed by host and number.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from flume.errors import EngineError, LabError
from flume.lab.containers import topology
from flume.lab.containers.engine import Container, Engine, Network, Start
from flume.lab.containers.parallel import in_parallel
from flume.lab.containers.topology import Role, Topology
from flume.lab.hosts import overlay

_T = TypeVar("_T")

_FORGETS_S = 10.0
"""A worker lists a network of its Swarm for a moment after the manager has removed it."""


_AWAY_S = 3.0
"""As long the manager is given to hear of containers that were removed, as one elsewhere may keep a network."""

_IN_USE = "is in use by task"
"""The Swarm's manager still knows of a container on the network: just removed, or on a host that is away."""


class Host(NamedTuple):
    """One machine with a Docker engine."""

    name: str
    """As the hosts file has it; empty where there is one engine and no file."""
    engine: Engine


class Closeable(Protocol):
    """What carries the connection to an engine."""

    def close(self) -> None:
        """End it."""


class Site:
    """The hosts of one lab. Thread-safe.

    Example::

        with Site.of(Engine.connect()) as site:
            clients = site.find(lab="default", role="client")
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        *,
        server: str,
        dealt: Mapping[int, str] | None = None,
        missing: Mapping[str, str] | None = None,
        tunnels: Sequence[Closeable] = (),
    ) -> None:
        """Use *hosts*, of which *server* runs the server; *dealt*: number of a client → name of its host.

        A client that is not dealt runs on the server's host. *missing*: see :attr:`missing`. *tunnels* are closed after
        the engines.
        """
        self.hosts = tuple(hosts)
        self.missing = dict(missing or {})
        """Name of a host that does not answer and is left out → why, in words."""
        self._tunnels = tuple(tunnels)
        self.mtu: int | None = None
        """The smallest MTU of the network between the hosts, once a preflight has found it."""
        self._by_name = {host.name: host for host in hosts}
        self.server = self._by_name[server]
        self._dealt = dict(dealt or {})

    @classmethod
    def of(cls, engine: Engine) -> "Site":
        """Return the site of one host, whose engine is *engine*."""
        return cls([Host(engine.host, engine)], server=engine.host)

    def again(self, *, timeout_s: float = 10.0, without: Mapping[str, str] | None = None) -> "Site":
        """Return the same hosts, on connections of their own; *without* those: name of a host → why.

        An interrupt may have come while a connection was being handed out. Of several hosts one that does not answer is
        :attr:`missing`, as those left out are. Raises :class:`EngineError` where none answers.
        """
        missing = self.missing | dict(without or {})
        wanted = [host for host in self.hosts if host.name not in missing]

        def connected(host: Host) -> Host | EngineError:
            try:
                return Host(host.name, Engine.connect(host.engine.endpoint, timeout_s=timeout_s, host=host.name))
            except EngineError as error:
                return error

        found = dict(zip((host.name for host in wanted), in_parallel(connected, wanted), strict=True))
        problems = {name: one for name, one in found.items() if isinstance(one, EngineError)}
        hosts = [one for one in found.values() if isinstance(one, Host)]
        if not hosts:
            raise next(iter(problems.values()), EngineError(f"no host answers: {', '.join(missing)}"))
        missing |= {name: str(problem) for name, problem in problems.items()}
        server = hosts[0].name if self.server.name in missing else self.server.name
        return Site(hosts, server=server, dealt=self._dealt, missing=missing)

    def close(self) -> None:
        """Close the connections to all engines."""
        for host in self.hosts:
            host.engine.close()
        self.close_tunnels()

    def close_tunnels(self) -> None:
        """Close what carries the connections; no lock of theirs is waited for."""
        for tunnel in self._tunnels:
            tunnel.close()

    def __enter__(self) -> "Site":
        """Return itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    @property
    def is_single(self) -> bool:
        """Whether there is one host: names of hosts are then left out of what a person reads."""
        return len(self.hosts) + len(self.missing) == 1

    def engine(self, host: str) -> Engine:
        """Return the engine of *host*."""
        return self._by_name[host].engine

    def host_of(self, role: Role, index: int | None) -> str:
        """Return the name of the host that the container with *role* and *index* runs on."""
        return self._dealt.get(index or 0, self.server.name) if role == "client" else self.server.name

    def each(self, function: Callable[[Host], _T], hosts: Iterable[Host] | None = None) -> list[_T]:
        """Return ``function(host)`` for every host (or of *hosts*), run side by side; raise the first error."""
        return in_parallel(function, list(self.hosts if hosts is None else hosts))

    # What one engine does, on all of them

    def find(self, *, lab: str | None = None, run: str | None = None, role: Role | None = None) -> list[Container]:
        """Return the labs' containers on all hosts, sorted by role, index, name and host; ``None`` means any."""
        found = self.each(lambda host: host.engine.find(lab=lab, run=run, role=role))
        return sorted(
            (one for part in found for one in part), key=lambda one: (one.role, one.index or 0, one.name, one.host)
        )

    def names(self, lab: str | None) -> list[str]:
        """Return the names of all objects of *lab* (None: of all labs), with their host where there are several."""
        found = self.each(lambda host: [self._on(host, name) for name in host.engine.names(lab)])
        return list(dict.fromkeys(name for part in found for name in part))

    def _on(self, host: Host, what: str) -> str:
        return what if self.is_single else f"{what} on {host.name}"

    def ensure_network(self, lab: str, run: str, *, description: topology.Network, clients: int) -> Network:
        """Return the lab's network, which joins all hosts; create it if there is none. Raises :class:`EngineError`."""
        if self.is_single:
            return self.server.engine.networks.ensure(lab, run, description=description, clients=clients)
        if self.mtu is not None:
            description = overlay.with_mtu(description, self.mtu)
        engines = [host.engine for host in self.hosts]
        managers = [engine for engine in engines if engine.info.manages_swarm]
        return overlay.ensure_network(managers, engines, lab, run, description=description, clients=clients)

    def network(self, lab: str) -> Network | None:
        """Return the network of *lab*; None without one, or where no host that answers manages the Swarm."""
        engines = [host.engine for host in self.hosts if self.is_single or host.engine.info.manages_swarm]
        return next((found for one in engines if (found := one.networks.find(lab))), None)

    def start(self, lab: str, run: str, layout: Topology, starts: Sequence[Start]) -> list[Container]:
        """Start several containers side by side, each on the host that it names; return them in the order of *starts*.

        If one fails, its error is raised when all starts have ended. The containers that did start have their labels.
        """
        groups = {host.name: [one for one in starts if one.host == host.name] for host in self.hosts}
        if unknown := [one.host for one in starts if one.host not in groups]:
            raise LabError(f"no host {unknown[0]!r} is in this lab: there are {', '.join(groups)}")
        started = self.each(lambda host: host.engine.start(lab, run, layout, groups[host.name]))
        waiting = {host.name: iter(part) for host, part in zip(self.hosts, started, strict=True)}
        return [next(waiting[one.host]) for one in starts]

    def remove_lab(self, lab: str | None, *, without: Collection[str] = ()) -> list[str]:
        """Remove all objects of *lab* (None: of every lab) from all hosts *without* those; return their names.

        A network over several hosts goes after the containers of all of them: as long as one is away that has some, or
        manages the Swarm, the network stays, and goes when this is called again. Raises :class:`EngineError` that names
        what is left and where; what can be removed is removed all the same.
        """
        if self.is_single:
            return self.server.engine.remove_lab(lab)
        present = [host for host in self.hosts if host.name not in without]
        complete = len(present) == len(self.hosts) + len(self.missing)
        removed: list[str] = []
        problems: dict[str, None] = {}

        def step(hosts: Sequence[Host], kind: str, wait_s: float = _FORGETS_S) -> bool:
            outcomes = self.each(partial(_removed, lab=lab, kind=kind, wait_s=wait_s), hosts)
            found: dict[str, None] = {}
            for host, (done, problem) in zip(hosts, outcomes, strict=True):
                removed.extend(self._on(host, what) for what in done)
                found |= {f"{host.name}: {problem}": None} if problem else {}
            left = found if complete else {one: None for one in found if _IN_USE not in one}
            problems.update(left)
            return not found

        step(present, "container")
        managers = [host for host in present if host.engine.info.manages_swarm]
        # A worker cannot remove a network of the Swarm; it forgets the network when the manager has removed it.
        if managers and step(managers, "network", _FORGETS_S if complete else _AWAY_S):
            step(present, "network")
        # Labs of one engine, on machines that are in no Swarm, have networks of their own.
        step([host for host in present if host.engine.info.swarm is None], "network")
        step(present, "volume")
        if problems:
            raise EngineError("; ".join(problems))
        return removed


def _removed(host: Host, lab: str | None, kind: str, wait_s: float) -> tuple[list[str], str]:
    """Return what of *kind* was removed on *host*, and in words what went wrong, also after *wait_s*."""
    until_s = time.monotonic() + wait_s
    while True:
        try:
            return host.engine.remove_lab(lab, kinds=[kind]), ""
        except EngineError as error:
            passes = any(one in str(error) for one in ("not a swarm manager", _IN_USE))
            if not passes or time.monotonic() > until_s:
                return [], str(error)
        time.sleep(0.2)


@contextlib.contextmanager
def closing_unless_interrupted(site: Site) -> Iterator[None]:
    """Close *site* after the body, but not after an interrupt.

    The interrupt may have come while a thread held a lock of the HTTP library, and closing would wait for that lock
    for ever. The process ends anyway.
    """
    try:
        yield
    except Exception:
        site.close()
        raise
    except BaseException:
        site.close_tunnels()
        raise
    site.close()
