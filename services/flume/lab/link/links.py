"""The links of a lab's clients: set to a profile, read back, measured, and asked what they lost.

Each call is one command in the probe, whatever the number of clients; the work is done there by ``link-probe``
(services/probe), which keeps what was set in the probe's /run, so that another process finds it.
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
"""What ``link-probe`` replaces by the name of the interface, which only it knows."""
WAYS = ("down", "up")

_IPV6_ASIDE = (
    *("tc", "filter", "replace", "dev", _LINK, "parent", shaping.ROOT, "protocol", "ipv6", "prio", "15"),
    *("handle", "1", "flower", "classid", shaping.CONTROL_BAND),
)
"""The lab speaks IPv4. Kernels look for IPv6 routers and listeners on their own account, and what netem drops of that
would be counted as lost media."""


class LinkReport(NamedTuple):
    """One direction of one client's link: what it should do and what it does."""

    client: int
    way: str
    """``down`` or ``up``."""
    profile: str
    configured: Direction
    measured: sampling.Measured
    deviations: tuple[str, ...]
    """What is out of tolerance, in words; empty is well."""


class _Seen(NamedTuple):
    """One link as the probe remembers it and its kernel has it."""

    number: int
    pid: int
    interface: str
    profile: Profile
    down_json: str
    up_json: str
    own_losses: tuple[int, int]
    """Down and up: frames of calibrations that were lost, which the drops of netem include."""

    steps_run: bool
    """Not so where a profile's steps were started and nothing takes them any more."""

    def dropped(self, way: str) -> int:
        """Return netem's drops in one direction since the link was first set."""
        return shaping.counters(self.down_json if way == "down" else self.up_json).drops

    def problems(self) -> list[str]:
        """Return where the kernel has something else than the profile says, or said at one of its moments."""
        moments = [(self.profile.down, self.profile.up), *((step.down, step.up) for step in self.profile.steps)]
        found = [] if self.steps_run else [f"client {self.number}: nothing takes its profile's steps any more"]
        for way, text, directions in zip(WAYS, (self.down_json, self.up_json), zip(*moments, strict=True), strict=True):
            each = [shaping.check_readback(text, direction) for direction in directions]
            found += [f"client {self.number} {way}: {problem}" for problem in min(each, key=len)]
        return found


class Links:
    """The links of running clients."""

    def __init__(self, probe: Probe, clients: Mapping[int, int]) -> None:
        """Use *probe* for *clients*: number → process id of the client, in the numbers of the engine's host."""
        self._probe = probe
        self._clients = dict(clients)

    @property
    def clients(self) -> tuple[int, ...]:
        """The numbers of the clients, in their order."""
        return tuple(sorted(self._clients))

    def set(self, profile: Profile, clients: Collection[int] | None = None, *, steps: bool = True) -> None:
        """Give *clients* (all without it) the links of *profile*; see :meth:`set_each`."""
        self.set_each(dict.fromkeys(self._chosen(clients), profile), steps=steps)

    def set_each(self, profiles: Mapping[int, Profile], *, steps: bool = True) -> None:
        """Give each client the links of its profile, in place, and read back that it has them.

        *steps*: let profiles that change with time do so. On a kernel without netem a profile that needs none
        needs no qdisc either. Raises :class:`LabError` where netem is missing, and :class:`EvidenceError` where the
        kernel has something else than was asked for.
        """
        self._chosen(profiles)
        found = self._run(
            "apply", {"links": [self._spec(number, profile, steps=steps) for number, profile in profiles.items()]}
        )
        if found["all", "netem"].strip() == "1":
            _check(_seen(found))
        elif needing := [profile.name for profile in profiles.values() if profile.needs_netem]:
            raise LabError(
                f"the profile {needing[0]} needs netem, and the Docker engine's kernel has none (sch_netem): "
                "take the lab kernel (ENGINE=kernel)"
            )

    def _spec(self, number: int, profile: Profile, *, steps: bool) -> dict[str, Any]:
        """Return what ``link-probe apply`` wants to know of one link."""
        moving = steps and bool(profile.steps)
        return {
            "number": number,
            "pid": self._clients[number],
            "profile": base64.b64encode(msgspec.json.encode(profile)).decode(),
            "down": _tree(profile.down, profile),
            "up": _tree(profile.up, profile),
            "period_s": profile.period_s or 0,
            "steps": [_step(step) for step in (profile.timeline() if moving else ())],
        }

    def check(self, clients: Collection[int] | None = None) -> None:
        """Raise :class:`EvidenceError` where a link is no longer as it was set."""
        wanted = self._chosen(clients)
        _check([link for link in self._read() if link.number in wanted])

    def calibrate(
        self, clients: Collection[int] | None = None, *, effort: traffic.Effort = traffic.THOROUGH
    ) -> list[LinkReport]:
        """Send traffic over the links side by side and compare what it met with what is configured.

        Links that seem out of tolerance are measured a second time, and that counts: a processor that was busy
        elsewhere for a moment does not repeat itself, and a link that is wrong stays wrong. Beside a stream use the
        effort that is named so; then what the stream's own share of the link explains is no deviation. A link that
        changes with time is held at its resting values meanwhile. Raises :class:`EvidenceError` where a link is not as
        it was set, or the measurement itself went wrong.
        """
        wanted = self._chosen(clients)
        before = [link for link in self._read() if link.number in wanted]
        if missing := sorted(set(wanted) - {link.number for link in before}):
            raise EvidenceError(f"the links of clients {missing} were never set: there is nothing to measure them by")
        _check(before)
        moving = [link for link in before if link.profile.steps]
        for link in moving:
            self.set(link.profile, [link.number], steps=False)
        reports = self._measure(before, effort)
        doubtful = {report.client for report in reports if report.deviations}
        if doubtful:
            again = self._measure([link for link in self._read() if link.number in doubtful], effort)
            reports = [report for report in reports if report.client not in doubtful] + again
        for link in moving:
            self.set(link.profile, [link.number])
        return sorted(reports, key=lambda report: (report.client, report.way))

    def _measure(self, links: Sequence[_Seen], effort: traffic.Effort) -> list[LinkReport]:
        configured = {f"{link.number}.{way}": getattr(link.profile, way) for link in links for way in WAYS}
        planned = traffic.plans(configured, effort)
        spec = {
            "drain_us": traffic.drain_us(configured, planned),
            "links": [
                {
                    "number": link.number,
                    "pid": link.pid,
                    **{way: [list(phase) for phase in planned[f"{link.number}.{way}"].phases] for way in WAYS},
                }
                for link in links
            ],
        }
        found = self._run("measure", spec)
        after = {link.number: link for link in _seen(found)}
        return [
            _report(link, after[link.number], way, planned[f"{link.number}.{way}"], found, alone=effort.trains)
            for link in links
            for way in WAYS
        ]

    def lost(self) -> dict[int, int]:
        """Return how many datagrams towards each client netem has dropped since its link was first set.

        Calibration's own are not among them. A client whose link was never set has no entry.
        """
        return {link.number: link.dropped("down") - link.own_losses[0] for link in self._read()}

    def present(self) -> dict[int, str]:
        """Return the name of the profile of each client whose link was set."""
        return {link.number: link.profile.name for link in self._read()}

    def _chosen(self, clients: Collection[int] | None) -> list[int]:
        """Return the numbers asked for; raises :class:`SettingsError` for one that no client has."""
        chosen = sorted(self._clients if clients is None else set(clients))
        if unknown := [number for number in chosen if number not in self._clients]:
            raise SettingsError("client", unknown[0], f"one of {', '.join(map(str, sorted(self._clients)))}")
        return chosen

    def _read(self) -> list[_Seen]:
        return [link for link in _seen(self._run("read")) if self._clients.get(link.number) == link.pid]

    def _run(self, action: str, spec: Mapping[str, Any] | None = None) -> dict[tuple[str, str], str]:
        arguments = [PROGRAM, action] + ([] if spec is None else [json.dumps(spec)])
        return sections(self._probe.container.run_checked(arguments))


def _tree(direction: Direction, profile: Profile) -> list[list[str]]:
    commands = shaping.set_commands(_LINK, direction, exempt=profile.control_exempt)
    # The tree's root comes first; what stands aside has to be in place before netem is.
    return [_words(command) for command in (commands[0], _IPV6_ASIDE, *commands[1:])]


def _words(command: Sequence[str]) -> list[str]:
    """Return *command* as a line for ``tc -batch``, which does without the program's name."""
    return list(command[1:])


def _seen(found: Mapping[tuple[str, str], str]) -> list[_Seen]:
    host = found.get(("host", "qdisc"), "[]")
    numbers = sorted(int(subject) for subject, kind in found if kind == "link")
    return [_one(str(number), found, host) for number in numbers]


def _one(number: str, found: Mapping[tuple[str, str], str], host: str) -> _Seen:
    pid, interface = found[number, "link"].split()
    down, up = map(int, found[number, "own"].split())
    runs = found[number, "steps"].strip() == "1"
    profile = msgspec.json.decode(base64.b64decode(found[number, "profile"]), type=Profile)
    here = [entry for entry in json.loads(host) if entry.get("dev") == interface]
    return _Seen(int(number), int(pid), interface, profile, json.dumps(here), found[number, "qdisc"], (down, up), runs)


def _check(links: Sequence[_Seen]) -> None:
    problems = [problem for link in links for problem in link.problems()]
    if problems:
        raise EvidenceError(
            f"the links were set and read back, and {'; '.join(problems[:4])}: did another program change them? "
            "set the profile again"
        )


def _step(step: Step) -> list[Any]:
    down, up = (_words(shaping.netem_command(_LINK, direction)) for direction in (step.down, step.up))
    return [step.at_s, [down], [up]]


def _report(
    before: _Seen,
    after: _Seen,
    way: str,
    plan: traffic.Plan,
    found: Mapping[tuple[str, str], str],
    *,
    alone: bool,
) -> LinkReport:
    """Return what the samples of one direction say; *alone*: nothing else was on the link.

    Raises :class:`EvidenceError` where they are incomplete.
    """
    unseen, *packed = found[f"{before.number}.{way}", "samples"].split()
    if int(unseen):
        raise EvidenceError(
            f"measuring the link of client {before.number}: {unseen} frames arrived and could not be taken in: "
            "use a less busy machine"
        )
    samples = _samples(packed, plan)
    direction = getattr(before.profile, way)
    draw = random.Random(before.number).random  # noqa: S311 - chance that can be repeated, nothing secret
    outside = sampling.deviations(direction, samples, draw)
    deviations = [str(one) for one in outside if alone or not sampling.may_be_a_streams_doing(direction, one)]
    lost = dict(zip(WAYS, after.own_losses, strict=True))[way] - dict(zip(WAYS, before.own_losses, strict=True))[way]
    counted = after.dropped(way) - before.dropped(way)
    if counted < lost:
        deviations.append(f"{lost} frames are missing and netem counts {counted}: something else loses them")
    return LinkReport(before.number, way, before.profile.name, direction, sampling.measure(samples), tuple(deviations))


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
