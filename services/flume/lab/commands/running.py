"""The running lab that a command is for: its client, its probe, its links. What was found by name may not run."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from flume.errors import LabError, SettingsError
from flume.lab import checkout, progress
from flume.lab.commands.common import say
from flume.lab.containers import topology
from flume.lab.containers.engine import Container, Engine
from flume.lab.containers.probe import Probe
from flume.lab.engines.lock import down_command
from flume.lab.firewall.firewalls import Firewalls, Target
from flume.lab.firewall.rules import SERVER_WIDE
from flume.lab.firewall.scenario import find
from flume.lab.hosts.connect import connect
from flume.lab.hosts.hosts_file import HostsFile
from flume.lab.hosts.links import SiteLinks, site_links, with_room
from flume.lab.hosts.remembered import read_hosts, remembered
from flume.lab.hosts.site import Site


@contextlib.contextmanager
def reached(lab: str, hosts_path: Path | None = None) -> Iterator[Site]:
    """Yield the hosts of *lab*: those of the file *hosts_path*, else those it was started on, else the one engine.

    A host that does not answer is said and left out. Raises :class:`LabError` where none answers.
    """
    hosts = remembered(checkout.cache(), lab) if hosts_path is None else read_hosts(hosts_path)
    site = Site.of(Engine.connect()) if hosts is None else connect(hosts, say=say, tolerant=True)
    with site:
        yield site


def hosts_for(lab: str, path: Path | None) -> HostsFile | None:
    """Return the hosts of the file *path*, for a run of *lab*; None without one: it runs on one engine.

    Raises :class:`LabError` where *lab* is still on the hosts of an earlier run: they would keep it.
    """
    before = remembered(checkout.cache(), lab)
    hosts = None if path is None else read_hosts(path)
    if before is not None and (
        hosts is None or {one.docker for one in hosts.hosts} != {one.docker for one in before.hosts}
    ):
        names = ", ".join(one.name for one in before.hosts)
        raise LabError(
            f"lab {lab!r} was started on {names} and is still there: {down_command(lab)}, or use another LAB; where a "
            f"host never comes back: {down_command(lab)} HOSTS=FILE, with a file without it"
        )
    return hosts


def no_lab(lab: str) -> LabError:
    """Return the error that *lab* is not there."""
    return LabError(f"no lab {lab!r} is running: start one with make lab")


def check_running(container: Container, *, steered: bool = True) -> Container:
    """Return *container* if it runs; *steered*: and is not paused, so that it takes commands.

    Raises :class:`LabError` that says what it does instead, and how a person starts it.
    """
    if container.status == "running" or (container.pid and not steered):
        return container
    if container.status == "paused":
        raise LabError(f"{container.name} is paused and takes no commands: docker unpause {container.name}")
    how = f"{container.status}, status {container.exit_code}" if container.status == "exited" else container.status
    raise LabError(f"{container.name} does not run ({how}): docker start {container.name}, or start the lab again")


def find_client(site: Site, lab: str, number: int, *, steered: bool = True) -> Container:
    """Return client *number* of *lab*, which runs; see :func:`check_running`.

    Raises :class:`SettingsError` that lists the clients there are, and :class:`LabError` without a lab.
    """
    clients = site.find(lab=lab, role="client")
    if not clients and not site.find(lab=lab):
        raise no_lab(lab)
    for container in clients:
        if container.index == number:
            return check_running(container, steered=steered)
    known = ", ".join(str(container.index) for container in clients)
    raise SettingsError("client", number, f"one of {known}" if known else "the number of a client, and there is none")


def find_probes(site: Site, lab: str) -> dict[str, Container]:
    """Return the probe of *lab* on each host, which runs. Raises :class:`LabError`."""
    probes = {probe.host: check_running(probe) for probe in site.find(lab=lab, role="probe")}
    if not probes:
        raise no_lab(lab)
    return probes


def running_links(site: Site, lab: str) -> SiteLinks:
    """Return the links of the clients of *lab* that run. Raises :class:`LabError` where none does."""
    probes = {host: Probe(one) for host, one in find_probes(site, lab).items()}
    clients = [one for one in site.find(lab=lab, role="client") if one.pid]
    if not clients:
        raise LabError(f"no client of lab {lab!r} runs: start the lab again (make lab)")
    network = site.network(lab)
    if network is None and not site.is_single:
        managers = " or ".join(site.missing) or "a host that manages the Swarm"
        raise LabError(f"the network of lab {lab!r} is not known, as {managers} does not answer: bring it back first")
    return site_links(probes, clients, site.find(lab=lab, role="wire"), network)


def running_firewalls(site: Site, lab: str) -> Firewalls:
    """Return the firewalls of the running *lab*, of its clients that run; raises :class:`LabError` without a lab."""
    probes = {host: Probe(one) for host, one in find_probes(site, lab).items()}
    servers = site.find(lab=lab, role="server")
    if not servers:
        raise no_lab(lab)
    server = check_running(servers[0], steered=False)
    targets = [Target(SERVER_WIDE, server.pid, server.address, server.host)]
    clients = (one for one in site.find(lab=lab, role="client") if one.pid)
    relays = {one.host: (one.host, one.pid) for one in site.find(lab=lab, role="relay") if one.pid}
    targets += [Target(one.index or 0, one.pid, one.address, one.host, relays.get(one.host)) for one in clients]
    return Firewalls(probes, targets)


def restore_firewalls(site: Site, lab: str) -> list[int]:
    """Apply the firewalls of hosts that were started again once more; return their numbers, 0 for the server.

    Raises :class:`LabError` for a scenario that is not one of ours: its file is not known. Without a running server
    nothing streams, and nothing is applied.
    """
    if not any(one.pid for one in site.find(lab=lab, role="server")):
        return []
    firewalls = running_firewalls(site, lab)
    lapsed = firewalls.lapsed()
    try:
        scenarios = {number: find(checkout.firewalls(), name) for number, name in lapsed.items()}
    except SettingsError as error:
        named = ", ".join(f"{name} of {host_name(number)}" for number, name in lapsed.items())
        raise LabError(
            f"a new start has ended these firewalls: {named}; apply them again, or write `flume lab firewall open`"
        ) from error
    firewalls.restore(scenarios)
    return sorted(lapsed)


def run_of(site: Site, lab: str) -> str:
    """Return the run that started *lab*."""
    return next(iter(find_probes(site, lab).values())).run


def host_name(number: int) -> str:
    """Return host *number* in words.

    >>> host_name(0), host_name(3)
    ('the server', 'client 3')
    """
    return "the server" if number == SERVER_WIDE else f"client {number}"


def restore_links(site: Site, lab: str) -> list[int]:
    """Give clients of *lab* that were started again the links that they had; return their numbers.

    A container that is started again gets a new interface from the engine, which leads past netem. Raises
    :class:`LabError` where it is not known which link a client had, because the probe was started again too.
    """
    links = running_links(site, lab)
    found = links.lapsed()
    if found.unknown and any(one.was_started_again for one in find_probes(site, lab).values()):
        numbers = ", ".join(map(str, found.unknown))
        raise LabError(
            f"the probe of lab {lab!r} was started again, and no longer knows the links of clients {numbers}: "
            "start the lab again (make lab)"
        )
    if found.profiles:
        layout = topology.load_file(checkout.lab_yaml())
        with progress.task("links", interactive=sys.stderr.isatty()):
            links = with_room(site, lab, run_of(site, lab), layout, links)
            links.set_each(found.profiles)
    return sorted(found.profiles)
