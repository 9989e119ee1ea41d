"""Options that several commands of ``flume lab`` share."""

import click

lab_option = click.option(
    "--lab",
    default="default",
    show_default=True,
    envvar="LAB",
    help="The lab's name (or environment variable LAB); labs of other names are not touched.",
)
