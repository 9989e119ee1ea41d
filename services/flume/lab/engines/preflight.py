"""The look at the hosts of a lab before it runs: are they one Swarm, have they the images, what passes between them?

What it finds is judged by :mod:`flume.lab.hosts.readiness`. It starts containers of its own, and removes them; it never
changes an engine's place in a Swarm.
"""

import contextlib
import secrets
import socket
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from flume.errors import EngineError, LabError, SetupError
from flume.lab import checkout
from flume.lab.containers import topology
from flume.lab.containers.engine import Container, Network, Start
from flume.lab.containers.parallel import in_parallel
from flume.lab.containers.probe import Probe
from flume.lab.containers.topology import Topology
from flume.lab.engines import netem
from flume.lab.engines.lock import temporary_lab
from flume.lab.hosts import overlay, readiness
from flume.lab.hosts.clocks import measure_offsets
from flume.lab.hosts.host_facts import HostFacts, Path, Underlay, is_address, underlay_untrusted
from flume.lab.hosts.images_copied import ensure_everywhere
from flume.lab.hosts.readiness import SMALLEST_MTU, Readiness
from flume.lab.hosts.site import Host, Site
from flume.lab.hosts.swarm import MANAGER_PORT, swarm_state
from flume.lab.machine.process import one_line
from flume.lab.progress import Say

_ROUTES = 'ip -j link; for other; do ip -j route get "$other"; done'
_CHECK_S = 60.0

Known = dict[str, HostFacts]
"""By name of the host."""


class _Printed(msgspec.Struct):
    """A line of ``path-probe check``."""

    address: str
    refused: str
    answered: bool
    full_there: bool
    full_back: bool
    batch_there: bool
    batch_back: bool
    damaged: int
    checksum_errors: int
    mtu: int


def examine(site: Site, *, say: Say, interactive: bool = False, players: bool = False) -> Readiness:
    """Return what is known of the hosts of *site*, and what is wrong with them. It takes three to six seconds.

    Images that are missing are built on the server's host and copied from there; with *players* that of other
    people's players too. What is wrong with a host is a problem in the result; :class:`LabError` is raised where there
    is no lab on any hosts, such as for an image that cannot be built.

    Example::

        with connect(hosts_file, say=print) as site:
            print(examine(site, say=print).problems)
    """
    known = {host.name: HostFacts(host.name, host.engine.info, _address_of(host, site)) for host in site.hosts}
    server = site.server.name
    if swarm_state(list(known.values()))[0] or _differ(known):
        return readiness.judge(list(known.values()), server=server)
    tags, copied = ensure_everywhere(site, say=say, interactive=interactive, players=players)
    for name, one in known.items():
        known[name] = one._replace(images={tag: tag not in copied.get(name, ()) for tag in tags})
    layout = topology.load_file(checkout.lab_yaml())
    image = layout.service("probe").image
    with temporary_lab(site.server.engine, "preflight", image=image, site=site) as lab:
        _Looking(site, known, layout, lab).look()
    return readiness.judge(list(known.values()), server=server)


def require(found: Readiness, *, file: str) -> None:
    """Raise :class:`SetupError` of one line with all problems in *found*; *file* is the hosts file."""
    if line := readiness.refusal(found, file=file):
        raise SetupError(line)


def _differ(known: Known) -> bool:
    return len({one.info.architecture for one in known.values()}) > 1


# --- Where a host is ---------------------------------------------------------------------------------------------


def _address_of(host: Host, site: Site) -> str:
    """Return the IP address at which other hosts may reach *host*, as far as this machine knows; else nothing."""
    if info := host.engine.info.swarm:
        return info.address
    if name := _host_name(host):
        return _resolved(name)
    others = (_host_name(other) for other in site.hosts if other is not host)
    return next((ours for name in others if name and (ours := _our_address(name))), "")


def _host_name(host: Host) -> str:
    """Return the name in the address of an engine that is not on this machine; empty for one that is."""
    endpoint = host.engine.endpoint
    url = endpoint.named_by if endpoint.named_by.startswith("ssh://") else endpoint.url
    return "" if url.startswith("unix:") else urllib.parse.urlsplit(url).hostname or ""


def _resolved(name: str) -> str:
    if is_address(name):
        return name
    with contextlib.suppress(OSError, UnicodeError):
        return str(socket.getaddrinfo(name, MANAGER_PORT, type=socket.SOCK_STREAM)[0][4][0])
    return ""


def _our_address(name: str) -> str:
    """Return this machine's address towards the host *name*. Nothing is sent for that."""
    with contextlib.suppress(OSError, UnicodeError):
        family, kind, protocol, _, address = socket.getaddrinfo(name, MANAGER_PORT, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as towards:
            towards.connect(address)
            ours = str(towards.getsockname()[0])
            return "" if ours == str(address[0]) else ours
    return ""


# --- What containers on the hosts find out -------------------------------------------------------------------------


class _Seen(NamedTuple):
    underlay: Underlay | None
    netem: str


class _Looking:
    """One look at all hosts, by the containers of one lab; what it finds goes into *known*."""

    def __init__(self, site: Site, known: Known, layout: Topology, lab: str) -> None:
        self._site, self._known, self._layout, self._lab = site, known, layout, lab
        self._run = "preflight"

    def look(self) -> None:
        probes = self._started(self._site.hosts, lambda host: Start(service="probe", role="probe", host=host.name))
        self._on_each(probes, self._see)
        if self._site.is_single or any(one.problem for one in self._known.values()):
            return
        mtus = [one.underlay.mtu for one in self._known.values() if one.underlay]
        if mtus and min(mtus) >= SMALLEST_MTU:
            self._try_paths(min(mtus))
        self._compare_clocks(probes)

    def _compare_clocks(self, probes: Mapping[str, Container]) -> None:
        places = {name: (Probe(probe), self._known[name].address) for name, probe in probes.items()}
        reference = places.pop(self._site.server.name, None)
        if reference is None:
            return
        found = measure_offsets(reference, places)
        for name, reason in found.reasons.items():
            self._known[name] = self._known[name]._replace(clock=f"not known: {reason}")
        for name, offset in found.measured.items():
            words = f"{offset.ahead_s * 1000:+.3f} ms ± {offset.bound_s * 1000:.3f} ms"
            self._known[name] = self._known[name]._replace(clock=words)

    def _fail(self, name: str, problem: str) -> None:
        self._known[name] = self._known[name]._replace(problem=problem)

    def _started(self, hosts: Sequence[Host], start: Callable[[Host], Start]) -> dict[str, Container]:
        """Return name of a host → its container, of those on which it started."""
        started: dict[str, Container] = {}

        def begin(host: Host) -> None:
            try:
                one = host.engine.start_service(self._lab, self._run, self._layout, start(host))
            except EngineError as error:
                self._fail(host.name, _why_not_started(str(error)))
            else:
                started[host.name] = one

        in_parallel(begin, hosts)
        return started

    def _on_each(self, containers: Mapping[str, Container], work: Callable[[str, Container], None]) -> None:
        def carefully(name: str) -> None:
            try:
                work(name, containers[name])
            except LabError as error:
                self._fail(name, str(error))

        in_parallel(carefully, list(containers))

    def _see(self, name: str, probe: Container) -> None:
        """Read the MTU towards the other hosts, and try netem."""
        others = [one.address for other, one in self._known.items() if other != name and is_address(one.address)]
        underlay = underlay_untrusted(probe.exec(["sh", "-c", _ROUTES, "sh", *others]).stdout)
        try:
            place = netem.choose(self._known[name].info, has_netem=netem.tried_in(probe)).place
        except SetupError:
            place = None
        self._known[name] = self._known[name]._replace(underlay=underlay, netem=place or "none")

    def _try_paths(self, mtu: int) -> None:
        """Send datagrams over a network between containers on all hosts, from the server's host and back."""
        hosts, server = self._site.hosts, self._site.server.name
        description = overlay.with_mtu(self._layout.networks["lab"], mtu)
        network = self._site.ensure_network(self._lab, self._run, description=description, clients=len(hosts))
        token = secrets.token_hex(16)
        numbers = {host.name: number for number, host in enumerate(hosts, 1)}
        answering = ("path-probe", "answer", token)
        running = self._started(
            hosts, lambda host: _on_network(host, numbers[host.name], network, () if host.name == server else answering)
        )
        asking = running.pop(server, None)
        if asking is None or not running:
            return
        addresses = {topology.address(network.subnet, "client", numbers[name]): name for name in running}
        command = ["path-probe", "check", token, *(address for address in addresses if address)]
        checked = asking.exec(command, timeout_s=_CHECK_S)
        if checked.code:
            raise EngineError(f"the paths between the hosts could not be tried: {one_line(checked.stderr)}")
        for line in checked.stdout.splitlines():
            printed = msgspec.json.decode(line, type=_Printed)
            name = addresses[printed.address]
            self._known[name] = self._known[name]._replace(path=_path(printed))


def _on_network(host: Host, number: int, network: Network, command: tuple[str, ...]) -> Start:
    return Start(service="probe", role="client", host=host.name, index=number, network=network, command=command or None)


def _path(printed: _Printed) -> Path:
    return Path(
        answered=printed.answered,
        full=(printed.full_there, printed.full_back),
        batch=(printed.batch_there, printed.batch_back),
        damaged=printed.damaged,
        checksum_errors=printed.checksum_errors,
        mtu=printed.mtu,
        refused=printed.refused,
    )


def _why_not_started(error: str) -> str:
    if "attaching to network failed" in error or "deadline exceeded" in error:
        return (
            f"it could not join a network of the Swarm: is its node Ready and Active (docker node ls on the manager), "
            f"and does TCP {MANAGER_PORT} reach the manager from there? ({error})"
        )
    return error
