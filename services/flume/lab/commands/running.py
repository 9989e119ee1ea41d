"""The running lab that a command is for: its client, its probe, its links. What was found by name may not run."""

import sys

from flume.errors import LabError, SettingsError
from flume.lab import checkout, progress
from flume.lab.containers import topology
from flume.lab.containers.engine import Container, Engine
from flume.lab.containers.probe import Probe
from flume.lab.firewall.firewalls import Firewalls, Target
from flume.lab.firewall.rules import SERVER_WIDE
from flume.lab.firewall.scenario import find
from flume.lab.link.links import Links
from flume.lab.link.wires import ensure_wires, running_wires


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


def find_client(engine: Engine, lab: str, number: int, *, steered: bool = True) -> Container:
    """Return client *number* of *lab*, which runs; see :func:`check_running`.

    Raises :class:`SettingsError` that lists the clients there are, and :class:`LabError` without a lab.
    """
    clients = engine.find(lab=lab, role="client")
    if not clients and not engine.find(lab=lab):
        raise no_lab(lab)
    for container in clients:
        if container.index == number:
            return check_running(container, steered=steered)
    known = ", ".join(str(container.index) for container in clients)
    raise SettingsError("client", number, f"one of {known}" if known else "the number of a client, and there is none")


def find_probe(engine: Engine, lab: str) -> Container:
    """Return the probe of *lab*, which runs. Raises :class:`LabError`."""
    for probe in engine.find(lab=lab, role="probe"):
        return check_running(probe)
    raise no_lab(lab)


def running_links(engine: Engine, lab: str) -> Links:
    """Return the links of the clients of *lab* that run. Raises :class:`LabError` where none does."""
    probe = find_probe(engine, lab)
    clients = {one.index or 0: one.pid for one in engine.find(lab=lab, role="client") if one.pid}
    if not clients:
        raise LabError(f"no client of lab {lab!r} runs: start the lab again (make lab)")
    return Links(Probe(probe), clients, running_wires(engine, lab))


def running_firewalls(engine: Engine, lab: str) -> Firewalls:
    """Return the firewalls of the running *lab*, of its clients that run; raises :class:`LabError` without a lab."""
    probe = find_probe(engine, lab)
    servers = engine.find(lab=lab, role="server")
    if not servers:
        raise no_lab(lab)
    server = check_running(servers[0], steered=False)
    targets = [Target(SERVER_WIDE, server.pid, server.address)]
    targets += [Target(one.index or 0, one.pid, one.address) for one in engine.find(lab=lab, role="client") if one.pid]
    return Firewalls(Probe(probe), targets)


def restore_firewalls(engine: Engine, lab: str) -> list[int]:
    """Apply the firewalls of hosts that were started again once more; return their numbers, 0 for the server.

    Raises :class:`LabError` for a scenario that is not one of ours: its file is not known. Without a running server
    nothing streams, and nothing is applied.
    """
    if not any(one.pid for one in engine.find(lab=lab, role="server")):
        return []
    firewalls = running_firewalls(engine, lab)
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


def host_name(number: int) -> str:
    """Return host *number* in words.

    >>> host_name(0), host_name(3)
    ('the server', 'client 3')
    """
    return "the server" if number == SERVER_WIDE else f"client {number}"


def restore_links(engine: Engine, lab: str) -> list[int]:
    """Give clients of *lab* that were started again the links that they had; return their numbers.

    A container that is started again gets a new interface from the engine, which leads past netem. Raises
    :class:`LabError` where it is not known which link a client had, because the probe was started again too.
    """
    links = running_links(engine, lab)
    found = links.lapsed()
    if found.unknown and find_probe(engine, lab).was_started_again:
        numbers = ", ".join(map(str, found.unknown))
        raise LabError(
            f"the probe of lab {lab!r} was started again, and no longer knows the links of clients {numbers}: "
            "start the lab again (make lab)"
        )
    if found.profiles:
        layout = topology.load_file(checkout.lab_yaml())
        with progress.task("links", interactive=sys.stderr.isatty()):
            links = ensure_wires(engine, lab, find_probe(engine, lab).run, layout, links)
            links.set_each(found.profiles)
    return sorted(found.profiles)
