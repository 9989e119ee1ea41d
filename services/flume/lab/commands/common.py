"""What several commands of ``flume lab`` share."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flume.errors import LabError
from flume.lab import checkout
from flume.lab.link.profile import Profile
from flume.lab.link.profile_file import find_profile
from flume.lab.report.writer import JSON_NAME
from flume.lab.run.scenario import Scenario

PIPE_COLUMNS = 120

_Command = TypeVar("_Command", bound=Callable[..., Any])

lab_option = click.option(
    "--lab",
    default="default",
    show_default=True,
    envvar="FLUME_LAB",
    help="The lab's name (or environment variable FLUME_LAB); labs with other names are not touched.",
)


def hosts_option_saying(text: str) -> Callable[[_Command], _Command]:
    """Return the option that names a hosts file, with *text* as its help."""
    return click.option("--hosts", "hosts_path", type=click.Path(path_type=Path), metavar="FILE", help=text)


hosts_option = hosts_option_saying("The machines of the lab (docs/hosts.md). Default: those that it was started on.")

artifacts_option = click.option(
    "--artifacts",
    type=click.Path(path_type=Path),
    default=Path("artifacts"),
    show_default=True,
    help="The folder for reports, captures and logs.",
)


def say(line: str) -> None:
    """Show *line* to the person at the terminal: on standard error, so that standard output contains results only."""
    click.echo(line, err=True)


def later_profiles(scenario: Scenario) -> dict[str, Profile]:
    """Return the networks that the events of *scenario* name. Raises :class:`~flume.errors.SettingsError`."""
    names = {event.profile for event in scenario.event if event.profile is not None}
    return {name: find_profile(checkout.profiles(), name) for name in sorted(names)}


def console() -> Console:
    """Return a console with the terminal's width; in a pipe or a log file wide enough for a table."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_COLUMNS)


def simple_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of plain texts; long ones are folded."""
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        shown.add_column(heading, overflow="fold")
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    return shown


def run_folder(run: str, artifacts: Path) -> Path:
    """Return the folder of *run*: a name in the folder *artifacts*, or the path of a folder or of its report.json.

    Raises :class:`~flume.errors.LabError` where there is no report.
    """
    given = Path(run)
    if given.name == JSON_NAME:
        given = given.parent
    tried = [artifacts / run, given]
    for folder in tried:
        if (folder / JSON_NAME).is_file():
            return folder
    raise LabError(f"no report of {run!r}: there is no {' and no '.join(str(one / JSON_NAME) for one in tried)}")
