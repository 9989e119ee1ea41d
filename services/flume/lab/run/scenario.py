"""Scenarios: which client sends which command at which time. Pure: text in, a timetable out.

A scenario is a TOML file with parts; each part is a command sequence in the language of
:mod:`flume.control.script`. Clients take the parts in turn: with two parts, client 3 plays the first again. The wait
at the end of a part gives its last command time for its effect; the scenario ends when every part has ended.
"""

import tomllib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from flume.control.script import Step, parse_script
from flume.control.session import Command
from flume.errors import SettingsError
from flume.lab.run.programs import parse_program
from flume.lab.strict import FileValue
from flume.settings import check

MAX_DURATION_S = 3600.0
"""A run captures every datagram twice: one hour at 4 Mbit/s and five clients makes 18 GB."""


class Part(FileValue, frozen=True, kw_only=True):
    """The commands of one client."""

    name: str
    commands: str
    player: str | None = None
    """The program of the client that plays this part, such as ``mpv``; None: the one that is dealt to it."""


class Scenario(FileValue, frozen=True, kw_only=True):
    """A scenario as its file describes it; *name* is the name of the file."""

    description: str
    duration_s: float
    part: tuple[Part, ...]
    name: str = ""

    def __post_init__(self) -> None:
        """Check the ranges, and that every part can be parsed."""
        check(1 <= self.duration_s <= MAX_DURATION_S, "duration_s", self.duration_s, f"1 to {MAX_DURATION_S:g} seconds")
        check(bool(self.part), "part", self.part, "at least one [[part]]")
        for part in self.part:
            self.steps(part)
            if part.player is not None:
                parse_program(part.player, key="part.player")

    def steps(self, part: Part) -> tuple[Step, ...]:
        """Return the steps of *part*; a wait in percent is a share of this scenario's duration."""
        return parse_script(part.commands, duration_s=self.duration_s)

    def part_of(self, client: int) -> Part:
        """Return the part of client number *client*, counted from 1."""
        return self.part[(client - 1) % len(self.part)]


class Cue(NamedTuple):
    """Client number *client* sends *command* *time_s* after the start of the scenario."""

    time_s: float
    client: int
    command: Command


class Timetable(NamedTuple):
    """All cues in the order of time, and the end of the scenario in seconds after its start."""

    cues: tuple[Cue, ...]
    end_s: float

    def commands_of(self, client: int) -> tuple[Command, ...]:
        """Return the commands of client number *client*, in order."""
        return tuple(cue.command for cue in self.cues if cue.client == client)


def load_scenario(text: str, *, name: str, duration_s: float | None = None) -> Scenario:
    """Return the scenario in *text*; *duration_s* replaces its own duration.

    Raises :class:`SettingsError` that names the file and the key.
    """
    try:
        values = tomllib.loads(text)
        if duration_s is not None:
            values["duration_s"] = duration_s
        return msgspec.convert({**values, "name": name}, Scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingsError("scenario", name, f"its file is not as it should be: {error}") from error


def timetable(scenario: Scenario, *, clients: int) -> Timetable:
    """Return the timetable of *scenario* for *clients* clients.

    >>> part = Part(name="pauses", commands="connect; wait 50%; interrupt")
    >>> scenario = Scenario(description="", duration_s=4, part=(part,))
    >>> [(cue.time_s, str(cue.command)) for cue in timetable(scenario, clients=1).cues]
    [(0.0, 'connect'), (2.0, 'interrupt')]
    """
    cues = sorted(cue for client in range(1, clients + 1) for cue in _cues(scenario, client))
    ends = (sum(step.wait_s for step in scenario.steps(part)) for part in scenario.part)
    return Timetable(tuple(cues), max(ends))


def _cues(scenario: Scenario, client: int) -> Iterator[Cue]:
    time_s = 0.0
    for step in scenario.steps(scenario.part_of(client)):
        if step.command is not None:
            yield Cue(time_s, client, step.command)
        time_s += step.wait_s
