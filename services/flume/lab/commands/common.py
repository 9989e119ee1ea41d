"""What several commands of ``flume lab`` share."""

import click

lab_option = click.option(
    "--lab",
    default="default",
    show_default=True,
    envvar="LAB",
    help="The lab's name (or environment variable LAB); labs of other names are not touched.",
)


def say(line: str) -> None:
    """Show *line* to the person at the terminal: on standard error, so that standard output stays parseable."""
    click.echo(line, err=True)
