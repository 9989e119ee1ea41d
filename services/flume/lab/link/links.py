"""The links of a lab's clients: set to a profile, read back, measured; and the datagrams that they lost.

Each call is one command in the probe, whatever the number of clients. The program ``link-probe`` there does the work
(services/probe). It records what was set in the probe's /run, where another process finds it.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from flume.errors import EvidenceError, LabError, SettingsError
from flume.lab.containers.probe import Probe, sections
from flume.lab.link import exchange, sampling, traffic
from flume.lab.link.exchange import DIRECTIONS, LinkState, StepCounts, states
from flume.lab.link.profile import Direction, Profile


class LinkReport(NamedTuple):
    """One direction of one client's link: the configured figures and the measured ones."""

    client: int
    direction: str
    """``down`` or ``up``."""
    profile: str
    configured: Direction
    measured: sampling.Measured
    deviations: tuple[str, ...]
    """The figures out of tolerance, in words; empty where the link does what its profile says."""
    first: tuple[str, ...] = ()
    """The figures out of tolerance in a first measurement, where this is the second."""


class LinkLosses(NamedTuple):
    """What a link has dropped towards its client since it was first set, without the frames of calibrations."""

    packets: int
    read_s: float
    """When, in epoch seconds of the clock of the engine's host."""
    longest_s: float
    """The longest time for which a packet is on its way."""
    takes_control: bool
    """Whether control connections pass the link too, so that *packets* includes their segments."""


class Lapsed(NamedTuple):
    """Clients that have no link as it was set."""

    profiles: Mapping[int, Profile]
    """Of those that were started again: what their links were set to."""
    unknown: Sequence[int]
    """Those of which nothing is remembered, where links can be shaped."""


class Links:
    """The links of running clients.

    Example::

        links = Links(probe, {1: pid_of_client_1, 2: pid_of_client_2})
        links.set(profile)
        reports = links.calibrate()
    """

    def __init__(
        self, probe: Probe, clients: Mapping[int, int], wires: Sequence[int] = (), *, overlay: str = ""
    ) -> None:
        """Use *probe* for *clients*: number → process id of the client on the engine's host.

        *wires*: process ids of the lab's wires (:mod:`flume.lab.link.wires`); with any, each link is led through one
        when it is first set. Without wires the engine's kernel shapes the links. *overlay*: identity of the lab's
        network where it is an overlay; the engine keeps the other ends of the links in a namespace of its own then.
        """
        self._probe = probe
        self._overlay = overlay
        self._clients = dict(clients)
        self._wires = list(wires)

    @property
    def clients(self) -> tuple[int, ...]:
        """The numbers of the clients, ascending."""
        return tuple(sorted(self._clients))

    def set(self, profile: Profile, clients: Collection[int] | None = None, *, steps: bool = True) -> None:
        """Set the links of *clients* (None: all) to *profile*; see :meth:`set_each`."""
        self.set_each(dict.fromkeys(self._chosen(clients), profile), steps=steps)

    def set_each(self, profiles: Mapping[int, Profile], *, steps: bool = True) -> None:
        """Set the link of each client to its profile, in place, and read the kernel's settings back.

        *steps*: make the timed steps of profiles that have any. Without a wire, on a kernel without netem, only
        profiles that need no netem are possible, and no qdisc is set. Raises :class:`LabError` where netem is missing,
        and :class:`EvidenceError` where the kernel reports other settings than the profile's.
        """
        self._chosen(profiles)
        distinct = {id(profile): profile for profile in profiles.values()}
        packed = {one: exchange.packed_profile(profile) for one, profile in distinct.items()}
        keys = {number: packed[id(profile)].key for number, profile in profiles.items()}
        found = self._run(
            "apply",
            profiles=dict(packed.values()),
            links=[
                {"number": number, "pid": self._clients[number], "profile": key, "follow": int(steps)}
                for number, key in keys.items()
            ],
            wires=self._wires,
        )
        if self._wires or found["all", "netem"].strip() == "1":
            _check(states(found))
        elif needing := [profile.name for profile in profiles.values() if profile.needs_netem]:
            raise LabError(
                f"the profile {needing[0]} needs netem, and the Docker engine's kernel has none (sch_netem): "
                "start the lab with a profile, so that its links pass through a wire"
            )

    def check(self, clients: Collection[int] | None = None) -> None:
        """Raise :class:`EvidenceError` where the kernel's settings are no longer those that were set."""
        wanted = self._chosen(clients)
        _check([link for link in self._read() if link.number in wanted])

    def calibrate(
        self, clients: Collection[int] | None = None, *, effort: traffic.Effort = traffic.THOROUGH
    ) -> list[LinkReport]:
        """Send frames over all links at the same time; compare what happened to them with the profiles.

        A link out of tolerance is measured a second time, with fewer frames a second. The second result counts, and
        the report has the first one too: a busy CPU is a passing cause, a link that is wrong stays wrong.

        While a stream runs use the effort ``traffic.BESIDE_A_STREAM``: then a deviation that the stream explains is not
        reported. A link with timed steps is held at its resting values meanwhile. Raises :class:`EvidenceError` where a
        link is not as it was set, or the measurement itself failed.
        """
        wanted = self._chosen(clients)
        before = [link for link in self._read() if link.number in wanted]
        if missing := sorted(set(wanted) - {link.number for link in before}):
            raise EvidenceError(f"the links of clients {missing} were never set: there is nothing to measure them by")
        _check(before)
        timed = {link.number: link.profile for link in before if link.profile.steps}
        if timed:
            self.set_each(timed, steps=False)
        reports = self._measure(before, effort)
        first = {(report.client, report.direction): report.deviations for report in reports}
        doubtful = {report.client for report in reports if report.deviations}
        if doubtful:
            again = self._measure([link for link in self._read() if link.number in doubtful], effort.gentler())
            reports = [report for report in reports if report.client not in doubtful]
            reports += [report._replace(first=first[report.client, report.direction]) for report in again]
        if timed:
            self.set_each(timed)
        return sorted(reports, key=lambda report: (report.client, report.direction))

    def _measure(self, links: Sequence[LinkState], effort: traffic.Effort) -> list[LinkReport]:
        configured = {
            f"{link.number}.{direction}": getattr(link.profile, direction) for link in links for direction in DIRECTIONS
        }
        planned = traffic.plans(configured, effort)
        specs = [
            {
                "number": link.number,
                "pid": link.pid,
                **{
                    direction: [list(phase) for phase in planned[f"{link.number}.{direction}"].phases]
                    for direction in DIRECTIONS
                },
            }
            for link in links
        ]
        found = self._run("measure", links=specs, drain_us=traffic.drain_us(configured, planned))
        after = {link.number: link for link in states(found)}
        return [
            _report(
                link, after[link.number], direction, planned[f"{link.number}.{direction}"], found, alone=effort.trains
            )
            for link in links
            for direction in DIRECTIONS
        ]

    def lost(self) -> dict[int, int]:
        """Return for each client the datagrams towards it that netem has dropped since its link was first set.

        The frames of calibrations are not counted. A client whose link was never set has no entry.
        """
        return {number: losses.packets for number, losses in self.losses().items()}

    def losses(self) -> dict[int, "LinkLosses"]:
        """Return what netem has dropped towards each client whose link was set; see :meth:`lost`."""
        found = self._read_parts()
        return {link.number: _losses(link, float(found["all", "time"])) for link in self._states(found)}

    def present(self) -> dict[int, str]:
        """Return the name of the profile of each client whose link was set."""
        return {link.number: link.profile.name for link in self._read()}

    def lapsed(self) -> Lapsed:
        """Return which clients no longer have the link that was set, because they were started again."""
        found = self._read_parts()
        shapes = bool(self._wires) or found["all", "netem"].strip() == "1"
        remembered = exchange.remembered(found)
        return Lapsed(
            {
                number: profile
                for number, (pid, profile) in remembered.items()
                if number in self._clients and self._clients[number] != pid
            },
            [number for number in self.clients if shapes and number not in remembered],
        )

    def steps(self) -> dict[int, StepCounts]:
        """Return for each client whose profile changes with time how its steps were made."""
        return {link.number: link.steps for link in self._read() if link.profile.steps}

    def _chosen(self, clients: Collection[int] | None) -> list[int]:
        """Return the numbers of *clients* (None: all); raises :class:`SettingsError` for one that no client has."""
        chosen = sorted(self._clients if clients is None else set(clients))
        if unknown := [number for number in chosen if number not in self._clients]:
            raise SettingsError("client", unknown[0], f"one of {', '.join(map(str, sorted(self._clients)))}")
        return chosen

    def places_missing(self) -> int:
        """Return for how many clients' links the wires have no place; 0 where the engine's kernel has netem."""
        found = self._read_parts()
        if found["all", "netem"].strip() == "1":
            return 0
        in_wires = sum(bool(link.wire) for link in self._states(found))
        return max(0, len(self._clients) - in_wires - sum(map(int, found["all", "spare"].split())))

    def with_wires(self, wires: Sequence[int]) -> "Links":
        """Return the same links with more wires, whose first processes are *wires*."""
        return Links(self._probe, self._clients, [*self._wires, *wires], overlay=self._overlay)

    def _read(self) -> list[LinkState]:
        return self._states(self._read_parts())

    def _states(self, found: Mapping[tuple[str, str], str]) -> list[LinkState]:
        return [link for link in states(found) if self._clients.get(link.number) == link.pid]

    def _read_parts(self) -> dict[tuple[str, str], str]:
        """Return the state of all links in parts; raises :class:`LabError` where links have ended."""
        found = self._run("read", wires=self._wires)
        if ended := found["all", "ended"].split():
            raise LabError(
                f"the links of clients {', '.join(ended)} have ended with their wire or their eth0: "
                "start the lab again (make lab)"
            )
        return found

    def _run(self, action: str, **request: Any) -> dict[tuple[str, str], str]:
        within = ["overlay", self._overlay] if self._overlay else []
        return sections(self._probe.container.run_checked([*within, *exchange.command(action, request)]))


def _losses(link: LinkState, time_s: float) -> LinkLosses:
    downs = [link.profile.down, *(step.down for step in link.profile.steps)]
    longest_s = max(map(traffic.longest_us, downs)) / 1e6
    return LinkLosses(
        link.dropped("down") - link.own_loss("down"), time_s, longest_s, takes_control=not link.profile.control_exempt
    )


def _check(links: Sequence[LinkState]) -> None:
    problems = [problem for link in links for problem in link.problems()]
    if problems:
        raise EvidenceError(
            f"the links were set and read back, and {'; '.join(problems[:4])}: did another program change them? "
            "set the profile again"
        )


def _report(
    before: LinkState,
    after: LinkState,
    direction: str,
    plan: traffic.Plan,
    found: Mapping[tuple[str, str], str],
    *,
    alone: bool,
) -> LinkReport:
    """Return the report on one direction, from its samples; *alone*: no stream used the link.

    Raises :class:`EvidenceError` where the samples are incomplete.
    """
    unseen, *packed = found[f"{before.number}.{direction}", "samples"].split()
    if int(unseen):
        raise EvidenceError(
            f"measuring the link of client {before.number}: {unseen} frames arrived and could not be read in time: "
            "use a less busy machine"
        )
    samples = exchange.samples(packed, plan)
    configured = getattr(before.profile, direction)
    draw = random.Random(before.number).random  # noqa: S311 - a repeatable simulation, nothing secret
    outside = sampling.deviations(configured, samples, draw)
    deviations = [str(one) for one in outside if alone or not sampling.stream_explains(configured, one)]
    lost = after.own_loss(direction) - before.own_loss(direction)
    counted = after.dropped(direction) - before.dropped(direction)
    if counted < lost:
        deviations.append(f"{lost} frames are missing and netem counts {counted}: another cause loses them")
    return LinkReport(
        before.number, direction, before.profile.name, configured, sampling.measure(samples), tuple(deviations)
    )
