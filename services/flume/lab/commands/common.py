"""What several commands of ``flume lab`` share."""

import sys

import click
from rich.console import Console

PIPE_COLUMNS = 120

lab_option = click.option(
    "--lab",
    default="default",
    show_default=True,
    envvar="FLUME_LAB",
    help="The lab's name (or environment variable FLUME_LAB); labs with other names are not touched.",
)


def say(line: str) -> None:
    """Show *line* to the person at the terminal: on standard error, so that standard output contains results only."""
    click.echo(line, err=True)


def console() -> Console:
    """Return a console with the terminal's width; in a pipe or a log file wide enough for a table."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_COLUMNS)
