"""The links of a lab's clients: set to a profile, read back, measured; and the datagrams that they lost.

Each call is one command in the probe, whatever the number of clients. The program ``link-probe`` there does the work
(services/probe). It records what was set in the probe's /run, where another process finds it.
"""

import base64
import json
import random
import zlib
from array import array
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from flume.errors import EvidenceError, LabError, SettingsError
from flume.lab.containers.probe import Probe, sections
from flume.lab.link import sampling, shaping, traffic
from flume.lab.link.model import Arrival, Sent
from flume.lab.link.profile import Direction, Profile, Step

PROGRAM = "link-probe"
_LINK = "LINK"
"""``link-probe`` replaces this word by the name of the interface, which only it knows."""
DIRECTIONS = ("down", "up")

_IPV6_PAST_NETEM = (
    *("tc", "filter", "replace", "dev", _LINK, "parent", shaping.ROOT, "protocol", "ipv6", "prio", "15"),
    *("handle", "1", "flower", "classid", shaping.CONTROL_BAND),
)
"""IPv6 passes beside netem. The lab uses IPv4, but kernels look for IPv6 routers and listeners by themselves, and drops
of such packets by netem would be counted as lost media."""


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


class _LinkState(NamedTuple):
    """One link: what the probe has recorded of it, and what its kernel reports."""

    number: int
    pid: int
    wire: int
    """The process of the wire that the link passes through; 0: it passes through none."""

    profile: Profile
    down_json: str
    up_json: str
    own_losses: tuple[int, int]
    """Frames of calibrations that were lost, down and up; netem's drops include them."""

    steps_run: bool
    """False where a profile's timed steps were started and the process that makes them has ended."""

    def dropped(self, direction: str) -> int:
        """Return netem's drops in one direction since the link was first set."""
        return shaping.counters(self.down_json if direction == "down" else self.up_json).drops

    def own_loss(self, direction: str) -> int:
        """Return the frames of calibrations that were lost in one direction."""
        return self.own_losses[DIRECTIONS.index(direction)]

    def problems(self) -> list[str]:
        """Return where the kernel's settings match neither the profile's resting values nor one of its steps."""
        found = [] if self.steps_run else [f"client {self.number}: its profile's steps are no longer made"]
        settings = (self.down_json, self.up_json)
        for direction, seen in zip(DIRECTIONS, settings, strict=True):
            allowed = [getattr(values, direction) for values in (self.profile, *self.profile.steps)]
            problems = shaping.check_readback(seen, *allowed)
            found += [f"client {self.number} {direction}: {problem}" for problem in problems]
        return found


class Links:
    """The links of running clients.

    Example::

        links = Links(probe, {1: pid_of_client_1, 2: pid_of_client_2})
        links.set(profile)
        reports = links.calibrate()
    """

    def __init__(self, probe: Probe, clients: Mapping[int, int], wires: Sequence[int] = ()) -> None:
        """Use *probe* for *clients*: number → process id of the client on the engine's host.

        *wires*: process ids of the lab's wires (:mod:`flume.lab.link.wires`); with any, each link is led through one
        when it is first set. Without wires the engine's kernel shapes the links.
        """
        self._probe = probe
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
        specs = [self._spec(number, profile, steps=steps) for number, profile in profiles.items()]
        found = self._run("apply", links=specs, wires=self._wires)
        if self._wires or found["all", "netem"].strip() == "1":
            _check(_states(found))
        elif needing := [profile.name for profile in profiles.values() if profile.needs_netem]:
            raise LabError(
                f"the profile {needing[0]} needs netem, and the Docker engine's kernel has none (sch_netem): "
                "start the lab with a profile, so that its links pass through a wire"
            )

    def _spec(self, number: int, profile: Profile, *, steps: bool) -> dict[str, Any]:
        """Return the part of ``link-probe apply``'s argument that describes one link."""
        timed = steps and bool(profile.steps)
        return {
            "number": number,
            "pid": self._clients[number],
            "profile": base64.b64encode(msgspec.json.encode(profile)).decode(),
            "down": _tree(profile.down, profile),
            "up": _tree(profile.up, profile),
            "period_s": profile.period_s or 0,
            "steps": [_step(step) for step in (profile.timeline() if timed else ())],
        }

    def check(self, clients: Collection[int] | None = None) -> None:
        """Raise :class:`EvidenceError` where the kernel's settings are no longer those that were set."""
        wanted = self._chosen(clients)
        _check([link for link in self._read() if link.number in wanted])

    def calibrate(
        self, clients: Collection[int] | None = None, *, effort: traffic.Effort = traffic.THOROUGH
    ) -> list[LinkReport]:
        """Send frames over all links at the same time; compare what happened to them with the profiles.

        A link out of tolerance is measured a second time, and only the second result counts: a busy CPU is a passing
        cause, a link that is wrong stays wrong. While a stream runs use the effort ``traffic.BESIDE_A_STREAM``: then a
        deviation that the stream explains is not reported. A link with timed steps is held at its resting values
        meanwhile. Raises :class:`EvidenceError` where a link is not as it was set, or the measurement itself failed.
        """
        wanted = self._chosen(clients)
        before = [link for link in self._read() if link.number in wanted]
        if missing := sorted(set(wanted) - {link.number for link in before}):
            raise EvidenceError(f"the links of clients {missing} were never set: there is nothing to measure them by")
        _check(before)
        timed = [link for link in before if link.profile.steps]
        for link in timed:
            self.set(link.profile, [link.number], steps=False)
        reports = self._measure(before, effort)
        doubtful = {report.client for report in reports if report.deviations}
        if doubtful:
            again = self._measure([link for link in self._read() if link.number in doubtful], effort)
            reports = [report for report in reports if report.client not in doubtful] + again
        for link in timed:
            self.set(link.profile, [link.number])
        return sorted(reports, key=lambda report: (report.client, report.direction))

    def _measure(self, links: Sequence[_LinkState], effort: traffic.Effort) -> list[LinkReport]:
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
        after = {link.number: link for link in _states(found)}
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
        return {link.number: link.dropped("down") - link.own_loss("down") for link in self._read()}

    def present(self) -> dict[int, str]:
        """Return the name of the profile of each client whose link was set."""
        return {link.number: link.profile.name for link in self._read()}

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

    def with_wire(self, wire: int) -> "Links":
        """Return the same links with one more wire, whose first process is *wire*."""
        return Links(self._probe, self._clients, [*self._wires, wire])

    def _read(self) -> list[_LinkState]:
        return self._states(self._read_parts())

    def _states(self, found: Mapping[tuple[str, str], str]) -> list[_LinkState]:
        return [link for link in _states(found) if self._clients.get(link.number) == link.pid]

    def _read_parts(self) -> dict[tuple[str, str], str]:
        """Return the state of all links in parts; raises :class:`LabError` where links have ended with their wire."""
        found = self._run("read", wires=self._wires)
        if ended := found["all", "ended"].split():
            raise LabError(
                f"the links of clients {', '.join(ended)} have ended with their wire: start the lab again (make lab)"
            )
        return found

    def _run(self, action: str, **request: Any) -> dict[tuple[str, str], str]:
        return sections(self._probe.container.run_checked([PROGRAM, action, json.dumps(request)]))


def _tree(direction: Direction, profile: Profile) -> list[list[str]]:
    commands = shaping.set_commands(_LINK, direction, exempt=profile.control_exempt)
    # The root of the tree first; the filter for IPv6 must be in place before netem is.
    return [_words(command) for command in (commands[0], _IPV6_PAST_NETEM, *commands[1:])]


def _words(command: Sequence[str]) -> list[str]:
    """Return *command* as a line for ``tc -batch``, which has no program name."""
    return list(command[1:])


def _states(found: Mapping[tuple[str, str], str]) -> list[_LinkState]:
    return [_state(str(number), found) for number in sorted(int(subject) for subject, kind in found if kind == "link")]


def _state(number: str, found: Mapping[tuple[str, str], str]) -> _LinkState:
    pid, wire = map(int, found[number, "link"].split())
    down, up = map(int, found[number, "own"].split())
    runs = found[number, "steps"].strip() == "1"
    profile = msgspec.json.decode(base64.b64decode(found[number, "profile"]), type=Profile)
    return _LinkState(int(number), pid, wire, profile, found[number, "down"], found[number, "up"], (down, up), runs)


def _check(links: Sequence[_LinkState]) -> None:
    problems = [problem for link in links for problem in link.problems()]
    if problems:
        raise EvidenceError(
            f"the links were set and read back, and {'; '.join(problems[:4])}: did another program change them? "
            "set the profile again"
        )


def _step(step: Step) -> list[Any]:
    down, up = (
        [_words(command) for command in shaping.rate_commands(_LINK, direction)] for direction in (step.down, step.up)
    )
    return [step.at_s, down, up]


def _report(
    before: _LinkState,
    after: _LinkState,
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
    samples = _samples(packed, plan)
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


def _samples(packed: Sequence[str], plan: traffic.Plan) -> sampling.Samples:
    """Return the samples in ``link-probe``'s answer: times of sending, numbers, times of arrival, damage."""
    left_ns, numbers, came_ns, damaged = (_unpacked(text, kind) for text, kind in zip(packed, "qiqb", strict=True))
    began_ns = min(left_ns)
    sizes = [phase.frame_bytes for phase in plan.phases for _ in range(phase.frames)]
    sent = [Sent((at_ns - began_ns) / 1e9, size) for at_ns, size in zip(left_ns, sizes, strict=True)]
    intact = [(at, number) for at, number, bad in zip(came_ns, numbers, damaged, strict=True) if not bad]
    return sampling.Samples(
        sent=sent,
        arrivals=[Arrival(number, (at - began_ns) / 1e9) for at, number in intact],
        corrupted=sum(damaged),
        train_from=None if plan.train is None else plan.small.frames,
    )


def _unpacked(text: str, kind: str) -> "array[int]":
    values = array(kind)
    values.frombytes(zlib.decompress(base64.b64decode(text)))
    return values
