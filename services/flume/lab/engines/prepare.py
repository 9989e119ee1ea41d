"""Everything that must be ready before a lab runs, and its removal: ``flume lab setup | purge | stop-engine``."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from flume.errors import EngineAbsentError, SetupError
from flume.lab import checkout
from flume.lab.containers import images
from flume.lab.containers.engine import Engine
from flume.lab.engines.netem import Place, find_netem
from flume.lab.engines.preflight import examine, require
from flume.lab.hosts.connect import connect
from flume.lab.hosts.hosts_file import HostsFile
from flume.lab.hosts.images_copied import ensure_everywhere
from flume.lab.hosts.readiness import Readiness
from flume.lab.hosts.remembered import forget_labs
from flume.lab.hosts.site import Site
from flume.lab.machine import dockerd
from flume.lab.machine.interrupts import clearing_away
from flume.lab.progress import Say

EARLIER_KERNELS = Path("/run/flumelab")
"""Earlier versions ran labs in kernels of their own, and recorded here which process each one is."""


def prepare(say: Say, *, interactive: bool = False, tests: bool = False, players: bool = False) -> Engine:
    """Return an engine that answers and has the images. What is missing for that is installed, started and built.

    *tests* also installs what only the tests need, *players* also builds the image of other people's players. *say*
    takes each message, and *interactive* allows progress bars. The caller closes the engine::

        with prepare(print) as engine:
            engine.objects()

    Raises :class:`~flume.errors.SetupError` or :class:`~flume.errors.EngineError`.
    """
    dockerd.prepare(say, interactive=interactive, tests=tests)
    engine = Engine.connect()
    try:
        wire = tests and engine.info.architecture == images.WIRE_ARCHITECTURE
        images.ensure_images(engine, say=say, interactive=interactive, wire=wire, players=players or tests)
    except BaseException:
        engine.close()
        raise
    return engine


def prepare_site(
    say: Say,
    *,
    hosts: HostsFile | None = None,
    clients: int = 1,
    interactive: bool = False,
    tests: bool = False,
    players: bool = False,
    show: Callable[[Readiness], None] = lambda _found: None,
) -> Site:
    """Return the hosts of a lab with *clients* clients, which answer and have the images; see :func:`prepare`.

    Without *hosts* that is the one engine that ``docker`` would use. Several hosts are looked at before; *show* takes
    what was found. Raises :class:`SetupError` of one line where they are not ready.
    """
    if hosts is None:
        return Site.of(prepare(say, interactive=interactive, tests=tests, players=players))
    site = connect(hosts, clients=clients, say=say)
    try:
        found = examine(site, say=say, interactive=interactive, players=players or tests)
        show(found)
        require(found, file=hosts.file)
        site.mtu = found.mtu
    except BaseException:
        site.close()
        raise
    return site


def hosts_with_wires(site: Site, say: Say, *, interactive: bool = False) -> tuple[str, ...]:
    """Return the hosts whose links pass through a wire, with its image; the other ones' kernels have netem.

    Raises what :func:`prepare_netem` raises.
    """
    if site.is_single:
        wires = prepare_netem(site.server.engine, say, interactive=interactive) == "wire"
        return (site.server.name,) if wires else ()
    places = site.each(lambda host: (host.name, find_netem(host.engine).place))
    found = tuple(name for name, place in places if place == "wire")
    if found:
        ensure_everywhere(site, say=say, interactive=interactive, wire=True)
    return found


def prepare_netem(engine: Engine, say: Say, *, interactive: bool = False) -> Place:
    """Return where links of *engine* meet netem; where that is a wire, its image is built first.

    Raises :class:`~flume.errors.SetupError` where links cannot be shaped, and what :func:`prepare` raises.
    """
    place = find_netem(engine).place
    if place == "wire":
        images.ensure_images(engine, say=say, interactive=interactive, wire=True)
    return place


def purge(say: Say, *, hosts: HostsFile | None = None) -> None:
    """Remove all labs and images, from *hosts* too, and stop this machine's engine if we started it.

    What a person's own image or container needs is kept, and said. Raises :class:`EngineError` where an engine may be
    there and was not reached, and :class:`SetupError` where it is stopped and may keep images of ours: then nothing is
    stopped or removed, so that it can be done again.
    """
    for line in _left_by_earlier_versions():
        say(line)
    with contextlib.ExitStack() as stack:
        # All are reached before anything is removed from one.
        here = _engine_here(say, is_needed=hosts is None)
        if here is not None:
            stack.enter_context(here)
        if hosts is not None:
            site = stack.enter_context(connect(hosts, say=say))
            clear(site, say, again=f"make purge HOSTS={hosts.file}")
            forget_labs(checkout.cache(), hosts)
        if here is not None:
            clear(here, say, again="make purge")
        if here is not None or hosts is not None:
            images.forget_builds(checkout.project_root())
    if here is not None:
        dockerd.stop_engine(say)


def _engine_here(say: Say, *, is_needed: bool) -> Site | None:
    """Return this machine's engine; None where there is none.

    Raises :class:`SetupError` where it *is_needed*, and :class:`EngineError` where one may be there.
    """
    try:
        return Site.of(Engine.connect())
    except EngineAbsentError as error:
        if not images.may_have_built(checkout.project_root()):
            return None
        may = f"{error}, and it may keep images and labs of this checkout"
        if not is_needed:  # of a lab over hosts, all images may be on those
            say(f"{may}: they stay there.")
            return None
        raise SetupError(
            f"{may}: start it (systemctl start docker, or make setup), then purge again; to remove only what is in "
            "this folder: rm -rf .venv .cache"
        ) from error


def clear(site: Site, say: Say, *, again: str) -> None:
    """Remove all labs, locks and images from the engines of *site*; *again*: the command that does it once more.

    Raises :class:`EngineError` that names what is left, and where.
    """
    with clearing_away("removing all labs and images", lambda: site.names(None), again):
        removed = site.remove_lab(None)
        for host in site.hosts:
            for held in host.engine.locks.find():
                host.engine.locks.remove(held)
        plans = site.each(lambda host: images.remove_images(host.engine))
    for what in removed:
        say(f"Removed {what}.")
    for host, plan in zip(site.hosts, plans, strict=True):
        on = "" if site.is_single else f" on {host.name}"
        for name in plan.names:
            say(f"Removed image {name}{on}.")
        for name, why in plan.kept.items():
            say(f"Kept the image {name}{on}: {why}.")


def _left_by_earlier_versions() -> Iterator[str]:
    """Remove the disks of lab kernels; say how a person ends such a kernel, if one was started since the last boot."""
    for disk in checkout.cache().glob("lab-disk-*.ext4"):
        disk.unlink(missing_ok=True)
        yield f"Removed {disk.name}, which an earlier version made."
    for record in EARLIER_KERNELS.glob("kernel-*.json"):
        number = int(record.stem.removeprefix("kernel-"))
        yield (
            "An earlier version started a lab kernel that may still run. To remove it: "
            f"pkill -KILL -u {60700 + number}; ip link delete flumelab{number}; "
            f"rm -r /var/lib/flumelab/kernel-{number} {record}"
        )
