"""``flume lab report``: make the page of a run anew, from its report and pictures."""

from pathlib import Path

import click

from flume.lab.commands.common import artifacts_option, run_folder
from flume.lab.report.writer import write_page


@click.command(name="report", short_help="Make report.html of a run anew.")
@click.argument("run", default="latest")
@artifacts_option
def report(*, run: str, artifacts: Path) -> None:
    """Make report.html of RUN anew, from its report.json and the pictures beside it, and print its path.

    RUN is the name of a folder in the artifacts, the newest one by default, or the path of a folder that holds a
    report.json. A report of an older version has fewer figures; its page says which were not measured.
    """
    click.echo(write_page(run_folder(run, artifacts)))
