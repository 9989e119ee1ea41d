"""The links of a run's clients: set to the profile, measured, and described in the terms of the report."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from flume.lab.evidence.facts import LinkQueue
from flume.lab.hosts.links import SiteLinks, site_links
from flume.lab.link import traffic
from flume.lab.link.exchange import StepCounts
from flume.lab.link.links import LinkReport
from flume.lab.link.profile import Profile
from flume.lab.run.fleet import Fleet
from flume.lab.trial.checks.run import link
from flume.lab.trial.checks.run import steps as timed_steps
from flume.lab.trial.verdict import Check, LinkFigure, Network


def fleet_links(fleet: Fleet) -> SiteLinks:
    """Return the links of the clients of *fleet*."""
    clients = [client.container for client in fleet.clients]
    return site_links(fleet.probes, clients, [wire.container for wire in fleet.wires], fleet.network)


def shape(fleet: Fleet, profile: Profile) -> None:
    """Set the link of every client of *fleet* to *profile*, through the wires when their kernels have booted.

    Links that shape nothing get their qdiscs too, where the kernel has netem: adding a qdisc later, under a stream,
    would interrupt the stream for a moment.

    Raises :class:`~flume.errors.LabError` where the kernel has no netem, and :class:`~flume.errors.EvidenceError` where
    the kernel reports other settings than the profile's.
    """
    fleet.wait_for_wires()
    fleet_links(fleet).set(profile)


def change(fleet: Fleet, profile: Profile, clients: Collection[int] | None) -> None:
    """Set the links of *clients* (None: all) to another *profile* while a stream passes, and read them back."""
    fleet_links(fleet).set(profile, clients)


def measure(fleet: Fleet) -> tuple[LinkReport, ...]:
    """Measure the links as they are set, briefly. Raises :class:`~flume.errors.EvidenceError` where that fails."""
    return tuple(fleet_links(fleet).calibrate(effort=traffic.BRIEF))


def steps(fleet: Fleet) -> dict[int, StepCounts]:
    """Return how the timed steps of each client's link were made; no entry where a link does not change with time."""
    return fleet_links(fleet).steps()


def queue(profile: Profile) -> LinkQueue | None:
    """Return how long a datagram takes towards a client when the queue of *profile* is full; None where it has none."""
    steps = tuple((at_s, direction.full_queue_ms) for at_s, direction in profile.changes("down"))
    return LinkQueue(profile.period_s or 0.0, steps) if any(full_ms is not None for _, full_ms in steps) else None


def described(profile: Profile, reports: Sequence[LinkReport]) -> Network | None:
    """Return the network section of the report; ``None`` where nothing was shaped."""
    if not profile.needs_netem:
        return None
    figures = [figure for report in reports for figure in _figures(report)]
    return Network(profile=profile.name, description=profile.description, figures=figures)


def checks(profile: Profile, reports: Sequence[LinkReport], counts: Mapping[int, StepCounts]) -> list[Check]:
    """Return the checks of each link: one that is not like its profile is an ERROR of the lab, not of the product."""
    found = [
        link(report.direction, report.profile, report.deviations, report.first).check("link", _name(report.client))
        for report in reports
    ]
    made = (
        timed_steps(profile.name, count.due, count.late, str(count)).check("steps", _name(client))
        for client, count in counts.items()
    )
    return [*found, *made]


def _name(client: int) -> str:
    return f"client-{client}"


def _figures(report: LinkReport) -> list[LinkFigure]:
    """Return the figures of one direction; the first one has the problems of all."""
    first, *others = _rows(report)
    problem, before = ("; ".join(deviations) or None for deviations in (report.deviations, report.first))
    return [msgspec.structs.replace(first, problem=problem, first_problem=before), *others]


def _rows(report: LinkReport) -> Iterator[LinkFigure]:
    wanted, seen = report.configured, report.measured
    if seen.delay_ms is not None:
        jitter = f" ± {wanted.jitter_ms:g} {wanted.distribution}" if wanted.jitter_ms else ""
        delay = seen.delay_ms
        measured = f"{delay.p5:.1f} / {delay.p50:.1f} / {delay.p95:.1f}"
        yield _figure(report, "delay ms: 5th / 50th / 95th percentile", f"{wanted.delay_ms:g}{jitter}", measured)
    loss = seen.loss_pct
    yield _figure(report, "loss %", f"{wanted.loss_pct:g}", f"{loss.value:.2f} ({loss.low:.2f} to {loss.high:.2f})")
    if wanted.loss_burst_datagrams is not None and (burst := seen.burst_datagrams) is not None:
        measured = f"{burst.value:.2f} ({burst.low:.2f} to {burst.high:.2f})"
        yield _figure(report, "loss burst, datagrams", f"{wanted.loss_burst_datagrams:g}", measured)
    if wanted.rate_kbit is not None and seen.rate_kbit is not None:
        yield _figure(report, "rate kbit/s", f"{wanted.rate_kbit:g}", f"{seen.rate_kbit:.0f}")
    shares = (
        ("duplicated %", wanted.duplicate_pct, seen.duplicate_pct),
        ("damaged %", wanted.corrupt_pct, seen.corrupted_pct),
        ("reordered %", wanted.reorder_pct, seen.reordered_pct),
    )
    for name, configured, measured_pct in shares:
        if configured:
            yield _figure(report, name, f"{configured:g}", f"{measured_pct:.2f}")


def _figure(report: LinkReport, figure: str, configured: str, measured: str) -> LinkFigure:
    return LinkFigure(
        client=_name(report.client),
        direction=report.direction,
        figure=figure,
        configured=configured,
        measured=measured,
    )
