"""Scenarios: which client sends which command at which time. Pure: text in, a timetable out.

A scenario is a TOML file with parts; each part is a command sequence in the language of
:mod:`flume.control.script`. Clients take the parts in turn: with two parts, client 3 plays the first again. The wait
at the end of a part gives its last command time for its effect; the scenario ends when every part has ended. It may
have events, which are what the lab itself does, and expectations, which the verdict checks.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from flume.control.script import Step, parse_script
from flume.control.session import Command, State
from flume.lab.evidence.bound import Bound
from flume.lab.run.programs import parse_program
from flume.lab.strict import FileValue, decode
from flume.lab.trial.figures import FIGURES, OF_PICTURES
from flume.settings import check

MAX_DURATION_S = 3600.0
"""A run captures every datagram twice: one hour at 4 Mbit/s and five clients makes 18 GB."""

_STATES = {
    Command.CONNECT: State.ACTIVE,
    Command.CONTINUE: State.ACTIVE,
    Command.INTERRUPT: State.INTERRUPTED,
}
_AT = re.compile(r"\d+(\.\d+)?\s*[%s]?")


class Part(FileValue, frozen=True, kw_only=True):
    """The commands of one client."""

    name: str
    commands: str
    expect: dict[str, Bound] = msgspec.field(default_factory=dict)
    """What is expected of this part's clients, beside what the whole scenario expects."""
    player: str | None = None
    """The program of the client that plays this part, such as ``mpv``; None: the one that is dealt to it."""


class Event(FileValue, frozen=True, kw_only=True):
    """What the lab itself does in mid-stream: another network for clients, or a new start of the server."""

    at: str
    """When: ``50%`` of the duration, or seconds."""
    profile: str | None = None
    """The network that *clients* have from then on: a name in netem/profiles, or the path of a file."""
    clients: tuple[int, ...] = ()
    """Their numbers; empty: all."""
    server: Literal["restart"] | None = None

    def __post_init__(self) -> None:
        """Check that it says one thing, and when."""
        one = (self.profile is None) != (self.server is None)
        check(one, "event", self.at, "profile or server, and not both")
        check(_AT.fullmatch(self.at) is not None, "event.at", self.at, 'a share such as "50%", or seconds such as "8"')
        check(self.server is None or not self.clients, "event.clients", list(self.clients), "absent beside server")
        check(all(client >= 1 for client in self.clients), "event.clients", list(self.clients), "numbers from 1 on")

    def at_s(self, duration_s: float) -> float:
        """Return when it happens in a scenario of *duration_s*."""
        amount = float(self.at.rstrip("%s "))
        return amount * duration_s / 100 if self.at.endswith("%") else amount


class Scenario(FileValue, frozen=True, kw_only=True):
    """A scenario as its file describes it; *name* is the name of the file."""

    description: str
    duration_s: float
    part: tuple[Part, ...]
    event: tuple[Event, ...] = ()
    relays: bool = False
    """Each host has a relay, which its clients have for a server; the server sends one stream to each relay."""
    profile: str = "clean"
    """Its own network: that of a run that names none. What it expects is checked in that network alone."""
    expect: dict[str, Bound] = msgspec.field(default_factory=dict)
    """What is expected of every client: key of :data:`~flume.lab.trial.figures.FIGURES` → bound.

    Without those of pictures, which are compared after the verdict.
    """
    name: str = ""

    def __post_init__(self) -> None:
        """Check the ranges, and that every part can be parsed."""
        check(1 <= self.duration_s <= MAX_DURATION_S, "duration_s", self.duration_s, f"1 to {MAX_DURATION_S:g} seconds")
        check(bool(self.part), "part", self.part, "at least one [[part]]")
        for part in self.part:
            self.steps(part)
            if part.player is not None:
                parse_program(part.player, key="part.player")
            _check_expected(part.expect, "part.expect")
        _check_expected(self.expect, "expect")
        for number, event in enumerate(self.event):
            at_s = event.at_s(self.duration_s)
            check(
                0 < at_s < self.duration_s,
                f"event[{number}].at",
                event.at,
                f"above 0, below {self.duration_s:g} seconds",
            )

    def steps(self, part: Part) -> tuple[Step, ...]:
        """Return the steps of *part*; a wait in percent is a share of this scenario's duration."""
        return parse_script(part.commands, duration_s=self.duration_s)

    def part_of(self, client: int) -> Part:
        """Return the part of client number *client*, counted from 1."""
        return self.part[(client - 1) % len(self.part)]


def _check_expected(bounds: dict[str, Bound], key: str) -> None:
    known = [figure for figure in FIGURES if figure not in OF_PICTURES]
    for figure, bound in bounds.items():
        why = "; pictures are compared after the verdict" if figure in OF_PICTURES else ""
        check(figure in known, key, figure, f"one of {', '.join(known)}{why}")
        given = bound.least is not None or bound.most is not None
        check(given, f"{key}.{figure}", "{}", "least, most, or both")


class Cue(NamedTuple):
    """Client number *client* sends *command* *time_s* after the start of the scenario."""

    time_s: float
    client: int
    command: Command


class TimedEvent(NamedTuple):
    """What the lab does *time_s* after the start of the scenario."""

    time_s: float
    event: Event

    def __str__(self) -> str:
        """Return it in words, for the report."""
        if self.event.profile is None:
            return f"{self.time_s:g} s: the server is restarted"
        whose = f"clients {', '.join(map(str, self.event.clients))}" if self.event.clients else "every client"
        return f"{self.time_s:g} s: {self.event.profile} for {whose}"


class Timetable(NamedTuple):
    """All cues in the order of time, and the end of the scenario in seconds after its start."""

    cues: tuple[Cue, ...]
    end_s: float
    events: tuple[TimedEvent, ...] = ()
    expected: tuple[dict[str, Bound], ...] = ()
    """For each client what is expected of it; empty: nothing of any."""

    def state_of(self, client: int) -> State:
        """Return the state to which the commands of client number *client* lead."""
        last = self.commands_of(client)[-1:]
        return _STATES.get(last[0], State.CLOSED) if last else State.CLOSED

    def expected_of(self, client: int) -> dict[str, Bound]:
        """Return what is expected of client number *client*."""
        return self.expected[client - 1] if self.expected else {}

    def commands_of(self, client: int) -> tuple[Command, ...]:
        """Return the commands of client number *client*, in order."""
        return tuple(cue.command for cue in self.cues if cue.client == client)


def load_scenario(text: str, *, name: str, duration_s: float | None = None) -> Scenario:
    """Return the scenario in *text*; *duration_s* replaces its own duration.

    Raises :class:`SettingsError` that names the file and the key.
    """
    more = {} if duration_s is None else {"duration_s": duration_s}
    return decode(text, Scenario, key="scenario", file=name, name=name, **more)


def timetable(scenario: Scenario, *, clients: int) -> Timetable:
    """Return the timetable of *scenario* for *clients* clients.

    >>> part = Part(name="pauses", commands="connect; wait 50%; interrupt")
    >>> scenario = Scenario(description="", duration_s=4, part=(part,))
    >>> [(cue.time_s, str(cue.command)) for cue in timetable(scenario, clients=1).cues]
    [(0.0, 'connect'), (2.0, 'interrupt')]
    """
    cues = sorted(cue for client in range(1, clients + 1) for cue in _cues(scenario, client))
    ends = (sum(step.wait_s for step in scenario.steps(part)) for part in scenario.part)
    events = (TimedEvent(event.at_s(scenario.duration_s), event) for event in scenario.event)
    expected = ({**scenario.expect, **scenario.part_of(client).expect} for client in range(1, clients + 1))
    return Timetable(tuple(cues), max(ends), tuple(sorted(events, key=lambda one: one.time_s)), tuple(expected))


def _cues(scenario: Scenario, client: int) -> Iterator[Cue]:
    time_s = 0.0
    for step in scenario.steps(scenario.part_of(client)):
        if step.command is not None:
            yield Cue(time_s, client, step.command)
        time_s += step.wait_s
