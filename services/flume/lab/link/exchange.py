"""What is exchanged with ``link-probe`` (services/probe): what it is asked, and what it answers. Pure."""

import base64
import hashlib
import json
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from flume.lab.link import sampling, shaping, traffic
from flume.lab.link.model import Arrival, Sent
from flume.lab.link.profile import Direction, Profile

PROGRAM = "link-probe"
DIRECTIONS = ("down", "up")

_LINK = "LINK"
"""``link-probe`` replaces this word by the name of the interface, which only it knows."""

ARGUMENT_BYTES = 100_000
"""Longest argument of a command here; Linux allows 128 KiB (MAX_ARG_STRLEN)."""

_IPV6_PAST_NETEM = (
    *("tc", "filter", "replace", "dev", _LINK, "parent", shaping.ROOT, "protocol", "ipv6", "prio", "15"),
    *("handle", "1", "flower", "classid", shaping.CONTROL_BAND),
)
"""IPv6 passes beside netem. The lab uses IPv4, but kernels look for IPv6 routers and listeners by themselves, and drops
of such packets by netem would be counted as lost media."""


# --- what is asked ---------------------------------------------------------------------------------------------------


def command(action: str, request: Mapping[str, Any]) -> list[str]:
    """Return the command that asks for *action*.

    >>> command("read", {"wires": [7]})[:2]
    ['link-probe', 'read']
    """
    packed = _pack(json.dumps(request))
    return [PROGRAM, action, *(packed[at : at + ARGUMENT_BYTES] for at in range(0, len(packed), ARGUMENT_BYTES))]


def _pack(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode())).decode()


class PackedProfile(NamedTuple):
    """A profile as ``link-probe apply`` takes it."""

    key: str
    spec: Mapping[str, Any]


def packed_profile(profile: Profile) -> PackedProfile:
    """Return *profile* with the tc commands that it needs; a key is that of one profile only."""
    encoded = msgspec.json.encode(profile)
    spec = {
        "text": base64.b64encode(zlib.compress(encoded)).decode(),
        "down": _tree(profile.down, profile),
        "up": _tree(profile.up, profile),
        "period_s": profile.period_s or 0,
        "steps": "".join(_steps(profile)) if profile.steps else "",
    }
    return PackedProfile(f"profile-{hashlib.sha256(encoded).hexdigest()[:16]}", spec)


def _tree(direction: Direction, profile: Profile) -> list[list[str]]:
    commands = shaping.set_commands(_LINK, direction, exempt=profile.control_exempt)
    # The root of the tree first; the filter for IPv6 must be in place before netem is.
    return [_words(command) for command in (commands[0], _IPV6_PAST_NETEM, *commands[1:])]


def _words(command: Sequence[str]) -> list[str]:
    """Return *command* as a line for ``tc -batch``, which has no program name."""
    return list(command[1:])


def _steps(profile: Profile) -> Iterator[str]:
    for direction in DIRECTIONS:
        for at_s, commands in shaping.step_commands(_LINK, profile, direction):
            for one in commands:
                yield f"{direction} {at_s!r} {' '.join(_words(one))}\n"


# --- what is answered ------------------------------------------------------------------------------------------------

Answer = Mapping[tuple[str, str], str]
"""(Subject, kind) → text."""


class StepCounts(NamedTuple):
    """How the timed steps of a link were made since it was set, both directions together."""

    due: int
    late: int
    """Of those: made when the next one was due already, or left out for that reason."""
    latest_ms: int
    """Time between the moment of a step and the end of its setting, at worst."""

    def __str__(self) -> str:
        """Return it in words.

        >>> print(StepCounts(due=600, late=3, latest_ms=140))
        600 steps were due, 3 came later than they last; at worst 140 ms behind
        """
        return f"{self.due} steps were due, {self.late} came later than they last; at worst {self.latest_ms} ms behind"


class LinkState(NamedTuple):
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
    steps: StepCounts

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


def states(found: Answer) -> list[LinkState]:
    """Return the links in an answer, by number."""
    return [_state(str(number), found) for number in sorted(int(subject) for subject, kind in found if kind == "link")]


def remembered(found: Answer) -> dict[int, tuple[int, Profile]]:
    """Return for each link that was ever set the process of its client then, and its profile."""
    rows = ((int(subject), text.split()) for (subject, kind), text in found.items() if kind == "remembered")
    return {number: (int(pid), _profile(found[key, "text"])) for number, (pid, key) in rows}


def _state(number: str, found: Answer) -> LinkState:
    pid, wire = map(int, found[number, "link"].split())
    down, up = map(int, found[number, "own"].split())
    runs, *counts = map(int, found[number, "steps"].split())
    profile = _profile(found[found[number, "profile"].strip(), "text"])
    return LinkState(
        number=int(number),
        pid=pid,
        wire=wire,
        profile=profile,
        down_json=found[number, "down"],
        up_json=found[number, "up"],
        own_losses=(down, up),
        steps_run=bool(runs),
        steps=StepCounts(*counts),
    )


@lru_cache(maxsize=32)
def _profile(text: str) -> Profile:
    return msgspec.json.decode(zlib.decompress(base64.b64decode(text)), type=Profile)


def samples(packed: Sequence[str], plan: traffic.Plan) -> sampling.Samples:
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
