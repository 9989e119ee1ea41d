"""``flume lab netem`` and ``flume lab calibrate``: switch the links of a running lab, and measure links."""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import msgspec

from flume.errors import LabError
from flume.lab import catalogue, checkout, progress
from flume.lab.commands.common import hosts_option, lab_option, say
from flume.lab.commands.running import find_client, reached, restore_links, run_of, running_links
from flume.lab.containers import topology
from flume.lab.containers.engine import Engine, Start
from flume.lab.containers.probe import Probe
from flume.lab.engines import prepare
from flume.lab.engines.lock import temporary_lab
from flume.lab.hosts.links import SiteLinks, with_room
from flume.lab.hosts.site import Site
from flume.lab.link import traffic
from flume.lab.link.links import LinkReport, Links
from flume.lab.link.profile import Direction, Profile
from flume.lab.link.profile_file import find_profile
from flume.lab.link.sampling import Interval
from flume.lab.link.wires import wire_starts

_SLEEP = ("sleep", "infinity")

SIDE_BY_SIDE = 20
"""Containers that calibration starts at most: as many profiles are measured at a time."""

_HEAD = ("profile", "client", "direction", "delay ms p5/p50/p95", "set", "loss % (99.9 %)", "set")
_COLUMNS = (*_HEAD, "burst", "set", "kbit/s", "set")
_WIDTHS = (-16, 6, -9, 20, 12, 20, 6, 6, 6, 8, 8)


@click.command(short_help="Switch the links of a running lab.")
@click.argument("profile", required=False)
@click.option("--client", "clients", type=int, multiple=True, metavar="N", help="Only client N; may be repeated.")
@lab_option
@hosts_option
def netem(*, profile: str | None, clients: tuple[int, ...], lab: str, hosts_path: Path | None) -> None:
    """Set the links of a running lab to PROFILE without interrupting a stream; without PROFILE list the profiles.

    PROFILE is a name in netem/profiles or the path of a .toml file of your own. The kernel's settings are read back and
    compared, and the links are measured with little traffic beside the stream. The exit status is 3, an ERROR of the
    lab, if the links do not do what the profile says.
    """
    if profile is None:
        _print_list()
        return
    wanted = find_profile(checkout.profiles(), profile)
    topology.check_lab_name(lab)
    with reached(lab, hosts_path) as site:
        for number in clients:
            find_client(site, lab, number, steered=False)
        links = running_links(site, lab)
        if wanted.needs_netem:
            links = _able_to_shape(site, lab, links)
        for number, counts in links.steps().items():
            click.echo(f"client {number} until now: {counts}")
        links.set(wanted, clients or None)
        if clients and (restored := restore_links(site, lab)):
            say(f"started again, and given back the links that they had: clients {', '.join(map(str, restored))}")
        click.echo(f"{wanted.name}: {wanted.description}")
        present = links.present()
        for number, name in present.items():
            host = links.host_of(number)
            click.echo(f"client {number}{f' on {host}' if host else ''}: {name}")
        reports = links.calibrate(clients or None, effort=traffic.BESIDE_A_STREAM) if present else []
    for line in table(reports) if reports else ():
        click.echo(line)
    _raise_for(reports)


def _print_list() -> None:
    click.echo("Networks: make netem PROFILE=NAME [CLIENT=N], or flume lab netem PROFILE [--client N]")
    for name in catalogue.names(checkout.profiles()):
        click.echo(f"  {name:<18} {find_profile(checkout.profiles(), name).description}")


@click.command(short_help="Measure what links really do.")
@click.argument("profiles", nargs=-1)
@click.option(
    "--lab", metavar="NAME", help="Measure the links of this running lab instead; a stream on them disturbs the result."
)
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON object per direction instead of the table.")
def calibrate(*, profiles: tuple[str, ...], lab: str | None, json_lines: bool) -> None:
    """Measure links set to each of PROFILES (default: all), in new containers; show configured beside measured figures.

    The exit status is 3, an ERROR of the lab, if a figure is out of tolerance.
    """
    if lab is not None:
        topology.check_lab_name(lab)
        with reached(lab) as site:
            reports = running_links(site, lab).calibrate()
    else:
        wanted = [find_profile(checkout.profiles(), name) for name in profiles or catalogue.names(checkout.profiles())]
        interactive = sys.stderr.isatty()
        with prepare.prepare(say, interactive=interactive) as engine:
            place = prepare.prepare_netem(engine, say, interactive=interactive)
            with idle_links(engine, min(SIDE_BY_SIDE, len(wanted)), wire=place == "wire") as links:
                reports = list(calibrated(links, wanted))
    for line in map(as_json, reports) if json_lines else table(reports):
        click.echo(line)
    _raise_for(reports)


def _raise_for(reports: Sequence[LinkReport]) -> None:
    """Raise :class:`LabError` for reports with deviations."""
    if bad := [report for report in reports if report.deviations]:
        named = ", ".join(dict.fromkeys(f"{report.profile} {report.direction}" for report in bad))
        raise LabError(f"calibration found links that do not do what their profiles say: {named}")


def calibrated(links: Links | SiteLinks, profiles: Sequence[Profile]) -> Iterator[LinkReport]:
    """Yield the reports on *profiles*; as many are measured at a time as there are *links*."""
    for chosen in rounds(links.clients, profiles):
        links.set_each(chosen, steps=False)
        yield from links.calibrate(list(chosen))


def rounds(clients: Sequence[int], profiles: Sequence[Profile]) -> Iterator[Mapping[int, Profile]]:
    """Yield for each round of measurements the profile of each client."""
    for first in range(0, len(profiles), len(clients)):
        yield dict(zip(clients, profiles[first : first + len(clients)], strict=False))


def table(reports: Sequence[LinkReport]) -> Iterator[str]:
    """Yield the lines of the table; below a row each figure that is or was out of tolerance."""
    yield _line(_COLUMNS)
    for report in reports:
        yield _line(_cells(report))
        for deviation in report.deviations:
            yield f"    ERROR: {deviation}"
        if (report.configured.rate_kbit or 0) > traffic.RATE_MAX_KBIT:
            yield f"    its rate is not measured: that is sound up to {traffic.RATE_MAX_KBIT:g} kbit/s"
        if report.first:
            yield f"    measured twice; first: {'; '.join(report.first)}"


def _line(cells: Sequence[str]) -> str:
    pairs = zip(cells, _WIDTHS, strict=True)
    return " ".join(cell.ljust(-width) if width < 0 else cell.rjust(width) for cell, width in pairs).rstrip()


def _cells(report: LinkReport) -> tuple[str, ...]:
    measured, wanted = report.measured, report.configured
    delay, burst = measured.delay_ms, measured.burst_datagrams
    return (
        report.profile,
        str(report.client),
        report.direction,
        "–" if delay is None else f"{delay.p5:.1f}/{delay.p50:.1f}/{delay.p95:.1f}",
        _delay(wanted),
        _interval(measured.loss_pct),
        f"{wanted.loss_pct:g}",
        "–" if burst is None else f"{burst.value:.2f}",
        "–" if wanted.loss_burst_datagrams is None else f"{wanted.loss_burst_datagrams:g}",
        "–" if measured.rate_kbit is None else f"{measured.rate_kbit:.0f}",
        "–" if wanted.rate_kbit is None else f"{wanted.rate_kbit:g}",
    )


def _delay(direction: Direction) -> str:
    return f"{direction.delay_ms:g}" + (f"±{direction.jitter_ms:g}" if direction.jitter_ms else "")


def _interval(one: Interval) -> str:
    return f"{one.value:.2f} ({one.low:.2f}–{one.high:.2f})"


def as_json(report: LinkReport) -> str:
    """Return the report as one line of JSON.

    The key ``way`` is the former name of ``direction``; it is written for one more release.
    """
    return msgspec.json.encode({**report._asdict(), "way": report.direction}).decode()


def _able_to_shape(site: Site, lab: str, links: SiteLinks) -> SiteLinks:
    """Return *links*, with wires that have room for all of them on hosts whose kernels have no netem."""
    interactive = sys.stderr.isatty()
    if not prepare.hosts_with_wires(site, say, interactive=interactive):
        return links
    layout = topology.load_file(checkout.lab_yaml())
    with progress.task("wire", interactive=interactive):
        return with_room(site, lab, run_of(site, lab), layout, links)


@contextlib.contextmanager
def idle_links(engine: Engine, count: int, *, wire: bool) -> Iterator[Links]:
    """Yield the links of *count* new containers that only sleep, so that no stream uses the links; then remove them.

    *wire*: the links pass through wires.
    """
    layout = topology.load_file(checkout.lab_yaml())
    with temporary_lab(engine, "calibration", image=layout.service("probe").image) as lab:
        network = engine.networks.ensure(lab, lab, description=layout.networks["lab"], clients=count)
        clients = [
            Start(service="probe", role="client", index=index, network=network, command=_SLEEP)
            for index in range(1, count + 1)
        ]
        wires = wire_starts(count) if wire else []
        started = engine.start(lab, lab, layout, [*wires, Start(service="probe", role="probe"), *clients])
        probe, *hosts = (one for one in started if one.role != "wire")
        links = {host.index or 0: host.pid for host in hosts}
        yield Links(Probe(probe), links, [one.pid for one in started if one.role == "wire"])
