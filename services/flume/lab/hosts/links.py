"""The links of all clients of a lab, on whichever host each client is; the same calls as those of one host's links.

A probe reaches the containers of its own host, so each host's part is done there, side by side with the others.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

from flume.errors import SettingsError
from flume.lab.containers.container import Container
from flume.lab.containers.engine import Network
from flume.lab.containers.parallel import in_parallel
from flume.lab.containers.probe import Probe
from flume.lab.containers.topology import Topology
from flume.lab.hosts.site import Site
from flume.lab.link import traffic
from flume.lab.link.exchange import StepCounts
from flume.lab.link.links import Lapsed, LinkLosses, LinkReport, Links
from flume.lab.link.profile import Profile
from flume.lab.link.wires import ensure_wires

_T = TypeVar("_T")


def site_links(
    probes: Mapping[str, Probe],
    clients: Sequence[Container],
    wires: Sequence[Container],
    network: Network | None = None,
) -> "SiteLinks":
    """Return the links of *clients*, of which those that do not run have none; *network*: the lab's, if it is known."""
    overlay = network.id if network is not None and network.is_overlay else ""
    return SiteLinks(
        {
            host: Links(
                probe,
                {one.index or 0: one.pid for one in clients if one.host == host and one.pid},
                [one.pid for one in wires if one.host == host and one.pid],
                overlay=overlay,
            )
            for host, probe in probes.items()
        }
    )


def with_room(site: Site, lab: str, run: str, layout: Topology, links: "SiteLinks") -> "SiteLinks":
    """Return *links* with wires on each host that have room for all those of its links that pass through none yet.

    Raises :class:`LabError` where a wire has ended: its links are gone, and only a new lab has new ones.
    """
    return SiteLinks(
        {host: ensure_wires(site.engine(host), lab, run, layout, one) for host, one in links.hosts.items()}
    )


class _Part(NamedTuple):
    """The links of one host, and those of the clients in question that are there."""

    links: Links
    clients: list[int]


class SiteLinks:
    """The links of running clients on several hosts, or on one.

    Example::

        links = site_links(fleet.probes, clients, wires)
        links.set(profile)
        reports = links.calibrate()
    """

    def __init__(self, hosts: Mapping[str, Links]) -> None:
        """Use the links of each host; the numbers of their clients differ."""
        self.hosts = dict(hosts)

    @property
    def clients(self) -> tuple[int, ...]:
        """The numbers of the clients, ascending."""
        return tuple(sorted(number for links in self.hosts.values() for number in links.clients))

    def host_of(self, client: int) -> str:
        """Return the name of the host of *client*; empty where the lab has one host."""
        return next((host for host, links in self.hosts.items() if client in links.clients), "")

    def set(self, profile: Profile, clients: Collection[int] | None = None, *, steps: bool = True) -> None:
        """Set the links of *clients* (None: all) to *profile*; see :meth:`flume.lab.link.links.Links.set_each`."""
        self.set_each(dict.fromkeys(self._chosen(clients), profile), steps=steps)

    def set_each(self, profiles: Mapping[int, Profile], *, steps: bool = True) -> None:
        """Set the link of each client to its profile; see :meth:`flume.lab.link.links.Links.set_each`."""
        self._each(
            profiles, lambda part: part.links.set_each({one: profiles[one] for one in part.clients}, steps=steps)
        )

    def check(self, clients: Collection[int] | None = None) -> None:
        """Raise :class:`~flume.errors.EvidenceError` where the kernel's settings are no longer those that were set."""
        self._each(clients, lambda part: part.links.check(part.clients))

    def calibrate(
        self, clients: Collection[int] | None = None, *, effort: traffic.Effort = traffic.THOROUGH
    ) -> list[LinkReport]:
        """Measure the links of all hosts at the same time; see :meth:`flume.lab.link.links.Links.calibrate`."""
        parts = self._each(clients, lambda part: part.links.calibrate(part.clients, effort=effort))
        return sorted((one for part in parts for one in part), key=lambda report: (report.client, report.direction))

    def lost(self) -> dict[int, int]:
        """Return for each client the datagrams towards it that netem has dropped since its link was first set."""
        return {number: losses.packets for number, losses in self.losses().items()}

    def losses(self) -> dict[int, LinkLosses]:
        """Return what netem has dropped towards each client whose link was set."""
        return _merged(self._each(None, lambda part: part.links.losses()))

    def present(self) -> dict[int, str]:
        """Return the name of the profile of each client whose link was set."""
        return _merged(self._each(None, lambda part: part.links.present()))

    def lapsed(self) -> Lapsed:
        """Return which clients no longer have the link that was set, because they were started again."""
        parts = self._each(None, lambda part: part.links.lapsed())
        return Lapsed(_merged([part.profiles for part in parts]), [one for part in parts for one in part.unknown])

    def steps(self) -> dict[int, StepCounts]:
        """Return for each client whose profile changes with time how its steps were made."""
        return _merged(self._each(None, lambda part: part.links.steps()))

    def _chosen(self, clients: Collection[int] | None) -> list[int]:
        """Return the numbers of *clients* (None: all); raises :class:`SettingsError` for one that no client has."""
        chosen = sorted(self.clients if clients is None else set(clients))
        if unknown := [number for number in chosen if number not in self.clients]:
            raise SettingsError("client", unknown[0], f"one of {', '.join(map(str, self.clients))}")
        return chosen

    def _each(self, clients: Collection[int] | None, function: Callable[[_Part], _T]) -> list[_T]:
        """Return what *function* returns for each host that has some of *clients* (None: all)."""
        chosen = set(self._chosen(clients))
        parts = [_Part(links, sorted(chosen & set(links.clients))) for links in self.hosts.values()]
        return in_parallel(function, [part for part in parts if part.clients])


def _merged(parts: Sequence[Mapping[int, _T]]) -> dict[int, _T]:
    return {number: value for part in parts for number, value in part.items()}
